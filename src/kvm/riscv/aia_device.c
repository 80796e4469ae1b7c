/* SPDX-License-Identifier: MIT */
/*
 * The AIA as user space sees it: KVM_CREATE_DEVICE, and the device's attributes.
 *
 * Order: create (no vCPU has run yet), configure, place the APLIC and each vCPU's interrupt
 * file, INIT. Configuration is fixed from then on; registers exist from then on.
 *
 * To carry the state into another VM: first drive the lines (KVM_IRQ_LINE) while all sources
 * are inactive, then write the APLIC's sourcecfg, target, clrip (all ones), setip, setie,
 * domaincfg, and each interrupt file's registers, in any order.
 *
 * The mode is emulation, also when it is called automatic: there is no hardware to use.
 *
 * Lock: kvm->lock, for every attribute. Creation takes each vCPU's mutex inside of it, but
 * waits for none.
 */
#include <errno.h>

#include "base/guard.h"
#include "kvm/riscv/kvm_riscv.h"

static void unlock_vcpus(struct kvm *kvm, u32 n)
{
	while (n--)
		sv_mutex_unlock(&kvm->vcpus[n]->mutex);
}

static int aia_create(struct kvm_device *dev, u32 type)
{
	struct kvm *kvm = dev->kvm;
	struct riscv_aia *aia = &to_riscv_vm(kvm)->aia;
	bool ran = false;
	u32 n;

	if (aia->in_kernel)
		return -EEXIST;
	for (n = 0; n < kvm->online_vcpus; n++) {
		if (!sv_mutex_trylock(&kvm->vcpus[n]->mutex)) {
			unlock_vcpus(kvm, n);
			return -EBUSY;
		}
		ran |= to_riscv(kvm->vcpus[n])->ran_atleast_once;
	}
	if (!ran)
		WRITE_ONCE(aia->in_kernel, true);
	unlock_vcpus(kvm, n);
	return ran ? -EBUSY : 0;
}

/* config: one u32 each */

static u32 *config_field(struct riscv_aia *aia, u64 attr)
{
	switch (attr) {
	case KVM_DEV_RISCV_AIA_CONFIG_MODE: return &aia->mode;
	case KVM_DEV_RISCV_AIA_CONFIG_IDS: return &aia->nr_ids;
	case KVM_DEV_RISCV_AIA_CONFIG_SRCS: return &aia->nr_sources;
	case KVM_DEV_RISCV_AIA_CONFIG_GROUP_BITS: return &aia->nr_group_bits;
	case KVM_DEV_RISCV_AIA_CONFIG_GROUP_SHIFT: return &aia->nr_group_shift;
	case KVM_DEV_RISCV_AIA_CONFIG_HART_BITS: return &aia->nr_hart_bits;
	case KVM_DEV_RISCV_AIA_CONFIG_GUEST_BITS: return &aia->nr_guest_bits;
	default: return NULL;
	}
}

static bool config_valid(u64 attr, u32 val)
{
	switch (attr) {
	case KVM_DEV_RISCV_AIA_CONFIG_MODE:
		return val == KVM_DEV_RISCV_AIA_MODE_EMUL || val == KVM_DEV_RISCV_AIA_MODE_AUTO;
	case KVM_DEV_RISCV_AIA_CONFIG_IDS:	/* whole registers, identity 0 not counted */
		return val >= KVM_DEV_RISCV_AIA_IDS_MIN && val < KVM_DEV_RISCV_AIA_IDS_MAX &&
		       val % 64 == 63;
	case KVM_DEV_RISCV_AIA_CONFIG_SRCS:
		return val < KVM_DEV_RISCV_AIA_SRCS_MAX;
	case KVM_DEV_RISCV_AIA_CONFIG_GROUP_BITS:
		return val < KVM_DEV_RISCV_AIA_GROUP_BITS_MAX;
	case KVM_DEV_RISCV_AIA_CONFIG_GROUP_SHIFT:
		return val >= KVM_DEV_RISCV_AIA_GROUP_SHIFT_MIN &&
		       val < KVM_DEV_RISCV_AIA_GROUP_SHIFT_MAX;
	case KVM_DEV_RISCV_AIA_CONFIG_HART_BITS:
		return val < KVM_DEV_RISCV_AIA_HART_BITS_MAX;
	case KVM_DEV_RISCV_AIA_CONFIG_GUEST_BITS:
		return val < KVM_DEV_RISCV_AIA_GUEST_BITS_MAX;
	default:
		return false;
	}
}

static int set_config(struct riscv_aia *aia, u64 attr, u32 val)
{
	u32 *field = config_field(aia, attr);

	if (aia->initialized)
		return -EBUSY;
	if (!field)
		return -ENXIO;
	if (!config_valid(attr, val))
		return -EINVAL;
	*field = val;
	return 0;
}

static int get_config(struct riscv_aia *aia, u64 attr, u32 *val)
{
	const u32 *field = config_field(aia, attr);

	if (!field)
		return -ENXIO;
	*val = *field;
	return 0;
}

/* addr: one u64 each, of the APLIC and of vCPUs in the order of their creation */

static u64 *addr_field(struct kvm *kvm, u64 attr)
{
	if (attr == KVM_DEV_RISCV_AIA_ADDR_APLIC)
		return &to_riscv_vm(kvm)->aia.aplic_addr;
	if (attr < KVM_DEV_RISCV_AIA_ADDR_IMSIC((u64)kvm->online_vcpus))
		return &to_riscv(kvm->vcpus[attr - 1])->aia.imsic_addr;
	return NULL;
}

static int set_addr(struct kvm *kvm, u64 attr, u64 addr)
{
	u64 *field = addr_field(kvm, attr);

	if (!field)
		return -ENXIO;
	if (to_riscv_vm(kvm)->aia.initialized)
		return -EBUSY;
	if (!IS_ALIGNED(addr, (u64)KVM_DEV_RISCV_APLIC_ALIGN))
		return -EINVAL;
	*field = addr;
	return 0;
}

static int get_addr(struct kvm *kvm, u64 attr, u64 *addr)
{
	const u64 *field = addr_field(kvm, attr);

	if (!field)
		return -ENXIO;
	*addr = *field;
	return 0;
}

/* init */

/* Is everything said that INIT needs, and does it fit together? */
static int init_check(struct kvm *kvm)
{
	const struct riscv_aia *aia = &to_riscv_vm(kvm)->aia;

	if (aia->initialized)
		return -EBUSY;
	if (kvm->created_vcpus != kvm->online_vcpus)	/* one is being made */
		return -EBUSY;
	if (aia->nr_ids < aia->nr_sources)
		return -EINVAL;
	if (aia->nr_sources && aia->aplic_addr == AIA_UNDEF_ADDR)
		return -EINVAL;
	for (u32 i = 0; i < kvm->online_vcpus; i++) {
		u64 addr = to_riscv(kvm->vcpus[i])->aia.imsic_addr;

		if (addr == AIA_UNDEF_ADDR)
			return -EINVAL;
		if (aia_imsic_ppn(aia, addr) !=
		    aia_imsic_ppn(aia, to_riscv(kvm->vcpus[0])->aia.imsic_addr))
			return -EINVAL;
	}
	return 0;
}

static int aia_init(struct kvm *kvm)
{
	struct riscv_aia *aia = &to_riscv_vm(kvm)->aia;
	u32 nr = kvm->online_vcpus;
	struct aplic *aplic = NULL;
	struct imsic **files;
	int err = init_check(kvm);

	if (err)
		return err;
	files = sv_calloc(nr, sizeof(*files));
	if (!files)
		return -ENOMEM;
	err = -ENOMEM;
	for (u32 i = 0; i < nr; i++) {
		files[i] = imsic_create(to_riscv(kvm->vcpus[i]), aia->nr_ids);
		if (!files[i])
			goto fail;
	}
	if (aia->nr_sources) {
		aplic = aplic_create(kvm, aia->nr_sources);
		if (!aplic)
			goto fail;
		err = kvm_set_default_irq_routing(kvm, aia->nr_sources + 1);
		if (err)
			goto fail;
	}
	for (u32 i = 0; i < nr; i++) {
		struct riscv_vcpu_aia *va = &to_riscv(kvm->vcpus[i])->aia;

		va->hart_index = aia_imsic_hart_index(aia, va->imsic_addr);
		smp_store_release(&va->imsic, files[i]);
	}
	if (nr)
		aia->imsic_base_ppn = aia_imsic_ppn(aia, to_riscv(kvm->vcpus[0])->aia.imsic_addr);
	aia->aplic = aplic;
	smp_store_release(&aia->initialized, true);
	sv_free(files);
	return 0;
fail:
	aplic_destroy(aplic);
	for (u32 i = 0; i < nr; i++)
		imsic_destroy(files[i]);
	sv_free(files);
	return err;
}

/* registers, once there are any */

static int find_imsic(struct kvm *kvm, u64 attr, struct imsic **out)
{
	struct kvm_vcpu *vcpu;

	if (!to_riscv_vm(kvm)->aia.initialized)
		return -ENODEV;
	vcpu = kvm_get_vcpu_by_id(kvm, KVM_DEV_RISCV_AIA_IMSIC_GET_VCPU(attr));
	*out = vcpu ? to_riscv(vcpu)->aia.imsic : NULL;
	return *out ? 0 : -ENODEV;
}

static int imsic_attr(struct kvm *kvm, u64 attr, enum rv_csr_op op, u64 *val)
{
	struct imsic *s;
	u64 old;
	int err = find_imsic(kvm, attr, &s);

	if (!err)
		err = imsic_access(s, KVM_DEV_RISCV_AIA_IMSIC_GET_ISEL(attr), op, *val, &old);
	if (!err)
		*val = old;
	return err;
}

/* Size of an attribute's value by its group; 0: it has none. */
static size_t value_size(u32 group)
{
	switch (group) {
	case KVM_DEV_RISCV_AIA_GRP_CONFIG:
	case KVM_DEV_RISCV_AIA_GRP_APLIC:
		return sizeof(u32);
	case KVM_DEV_RISCV_AIA_GRP_ADDR:
	case KVM_DEV_RISCV_AIA_GRP_IMSIC:
		return sizeof(u64);
	default:
		return 0;
	}
}

static int set_locked(struct kvm *kvm, const struct kvm_device_attr *attr, u64 val)
{
	struct riscv_aia *aia = &to_riscv_vm(kvm)->aia;

	switch (attr->group) {
	case KVM_DEV_RISCV_AIA_GRP_CONFIG:
		return set_config(aia, attr->attr, (u32)val);
	case KVM_DEV_RISCV_AIA_GRP_ADDR:
		return set_addr(kvm, attr->attr, val);
	case KVM_DEV_RISCV_AIA_GRP_CTRL:
		return attr->attr == KVM_DEV_RISCV_AIA_CTRL_INIT ? aia_init(kvm) : -ENXIO;
	case KVM_DEV_RISCV_AIA_GRP_APLIC:
		return aia->aplic ? aplic_write(aia->aplic, attr->attr, (u32)val, false) : -ENODEV;
	case KVM_DEV_RISCV_AIA_GRP_IMSIC:
		return imsic_attr(kvm, attr->attr, RV_CSR_WRITE, &val);
	default:
		return -ENXIO;
	}
}

static int get_locked(struct kvm *kvm, const struct kvm_device_attr *attr, u64 *val)
{
	struct riscv_aia *aia = &to_riscv_vm(kvm)->aia;
	u32 word = 0;
	int err;

	switch (attr->group) {
	case KVM_DEV_RISCV_AIA_GRP_CONFIG:
		err = get_config(aia, attr->attr, &word);
		*val = word;
		return err;
	case KVM_DEV_RISCV_AIA_GRP_ADDR:
		return get_addr(kvm, attr->attr, val);
	case KVM_DEV_RISCV_AIA_GRP_APLIC:
		err = aia->aplic ? aplic_read(aia->aplic, attr->attr, &word) : -ENODEV;
		*val = word;
		return err;
	case KVM_DEV_RISCV_AIA_GRP_IMSIC:
		return imsic_attr(kvm, attr->attr, RV_CSR_READ, val);
	default:
		return -ENXIO;
	}
}

static int aia_set_attr(struct kvm_device *dev, const struct kvm_device_attr *attr)
{
	size_t size = value_size(attr->group);
	u64 val = 0;
	int err;

	if (size && sv_copy_from_user(&val, (void *)(uintptr_t)attr->addr, size))
		return -EFAULT;
	sv_mutex_lock(&dev->kvm->lock);
	err = set_locked(dev->kvm, attr, val);
	sv_mutex_unlock(&dev->kvm->lock);
	return err;
}

static int aia_get_attr(struct kvm_device *dev, const struct kvm_device_attr *attr)
{
	size_t size = value_size(attr->group);
	u64 val = 0;
	int err;

	/* The kernel reads it first, so what can't be read is seen before what isn't there. */
	if (size && sv_copy_from_user(&val, (void *)(uintptr_t)attr->addr, size))
		return -EFAULT;
	sv_mutex_lock(&dev->kvm->lock);
	err = get_locked(dev->kvm, attr, &val);
	sv_mutex_unlock(&dev->kvm->lock);
	if (err)
		return err;
	return sv_copy_to_user((void *)(uintptr_t)attr->addr, &val, size);
}

static int aia_has_attr(struct kvm_device *dev, const struct kvm_device_attr *attr)
{
	struct kvm *kvm = dev->kvm;
	struct riscv_aia *aia = &to_riscv_vm(kvm)->aia;
	struct imsic *s;
	int err = -ENXIO;
	u32 word;

	sv_mutex_lock(&kvm->lock);
	switch (attr->group) {
	case KVM_DEV_RISCV_AIA_GRP_CONFIG:
		err = config_field(aia, attr->attr) ? 0 : -ENXIO;
		break;
	case KVM_DEV_RISCV_AIA_GRP_ADDR:
		err = addr_field(kvm, attr->attr) ? 0 : -ENXIO;
		break;
	case KVM_DEV_RISCV_AIA_GRP_CTRL:
		err = attr->attr == KVM_DEV_RISCV_AIA_CTRL_INIT ? 0 : -ENXIO;
		break;
	case KVM_DEV_RISCV_AIA_GRP_APLIC:
		err = aia->aplic ? aplic_read(aia->aplic, attr->attr, &word) : -ENODEV;
		break;
	case KVM_DEV_RISCV_AIA_GRP_IMSIC:
		err = find_imsic(kvm, attr->attr, &s);
		if (!err)
			err = imsic_check(s, KVM_DEV_RISCV_AIA_IMSIC_GET_ISEL(attr->attr));
		break;
	}
	sv_mutex_unlock(&kvm->lock);
	return err;
}

const struct kvm_device_ops aia_device_ops = {
	.name = "kvm-riscv-aia",
	.create = aia_create,
	.set_attr = aia_set_attr,
	.get_attr = aia_get_attr,
	.has_attr = aia_has_attr,
};
