/* SPDX-License-Identifier: MIT */
/*
 * The AIA as the guest sees it, and where messages find their interrupt file.
 *
 * A guest with Ssaia has siselect, sireg, stopei and stopi. stopi ranks the interrupts that
 * are pending and enabled; it works without the device too. What belongs to the interrupt
 * file (sireg 0x70 to 0xff, stopei) is an illegal instruction as long as there is none.
 *
 * Priorities: byte iprio[i] is interrupt i's, 0 leaves it to the default order. They rank
 * what stopi shows. Which of several pending interrupts the hart traps for is the default
 * order's; a handler that goes by stopi, as AIA's are, does not see the difference.
 *
 * Numbers: AIA specification 1.0, section 2.1 (CSRs), 5.4 (stopi), 6.3.3 (hviprio's layout,
 * which is how KVM shows the priorities); section 3.6 (the memory of interrupt files).
 */
#include <errno.h>
#include <string.h>

#include "kvm/riscv/kvm_riscv.h"

enum { CSR_SISELECT = 0x150, CSR_SIREG = 0x151, CSR_STOPEI = 0x15c, CSR_STOPI = 0xdb0 };
enum { ISEL_IPRIO0 = 0x30, ISEL_IPRIO15 = 0x3f };

/* One of the vCPU's AIA CSRs as KVM numbers them. */
#define AIA_CSR(v, name) ((v)->aia.csr[KVM_REG_RISCV_CSR_AIA_REG(name)])

#define ISELECT_MASK 0x1ff
#define TOP_ID_SHIFT 16
#define PRIO_LAST 256		/* behind every number that a byte can hold */

static struct riscv_aia *aia_of(struct kvm *kvm)
{
	return &to_riscv_vm(kvm)->aia;
}

void aia_vm_init(struct riscv_aia *aia)
{
	aia->mode = KVM_DEV_RISCV_AIA_MODE_EMUL;
	aia->nr_ids = AIA_MAX_IDS - 1;
	aia->nr_group_shift = KVM_DEV_RISCV_AIA_GROUP_SHIFT_MIN;
	aia->aplic_addr = AIA_UNDEF_ADDR;
}

void aia_vm_destroy(struct riscv_aia *aia)
{
	aplic_destroy(aia->aplic);
}

void aia_vcpu_init(struct riscv_vcpu *v)
{
	v->aia.imsic_addr = AIA_UNDEF_ADDR;
}

void aia_vcpu_destroy(struct riscv_vcpu *v)
{
	imsic_destroy(v->aia.imsic);
}

static struct imsic *imsic_of(struct riscv_vcpu *v)
{
	return smp_load_acquire(&v->aia.imsic);
}

void aia_vcpu_reset(struct riscv_vcpu *v)
{
	struct imsic *s = imsic_of(v);

	memset(v->aia.csr, 0, sizeof(v->aia.csr));
	if (s)
		imsic_reset(s);
}

static bool has_ssaia(const struct riscv_vcpu *v)
{
	return v->isa & BIT(RISCV_EXT_SSAIA);
}

/* Priorities: where interrupt irq's byte lies in iprio1 and iprio2, or -1. */
static int iprio_shift(unsigned int irq)
{
	static const s8 low[16] = { -1, 8, -1, -1, 16, 24, -1, -1, 32, -1, -1, -1, -1, 40, 48, 56 };

	if (irq < 16)
		return low[irq];
	return irq < 24 ? 64 + 8 * (int)(irq - 16) : -1;
}

static u64 *iprio_reg(struct riscv_vcpu *v, int shift)
{
	return shift < 64 ? &AIA_CSR(v, iprio1) : &AIA_CSR(v, iprio2);
}

static u8 iprio_get(struct riscv_vcpu *v, unsigned int irq)
{
	int shift = iprio_shift(irq);

	return shift < 0 ? 0 : (u8)(*iprio_reg(v, shift) >> shift % 64);
}

static void iprio_set(struct riscv_vcpu *v, unsigned int irq, u8 prio)
{
	int shift = iprio_shift(irq);
	u64 *reg;

	if (shift < 0)
		return;
	reg = iprio_reg(v, shift);
	*reg = (*reg & ~(0xffull << shift % 64)) | (u64)prio << shift % 64;
}

/* Eight priorities at once; the odd numbers are RV32's. */
static bool iprio_access(struct riscv_vcpu *v, u64 isel, enum rv_csr_op op, u64 val, u64 *old)
{
	unsigned int first = (unsigned int)(isel - ISEL_IPRIO0) * 4;

	if (isel & 1)
		return false;
	*old = 0;
	for (unsigned int i = 0; i < 8; i++)
		*old |= (u64)iprio_get(v, first + i) << 8 * i;
	if (op == RV_CSR_READ)
		return true;
	val = aia_csr_op(op, *old, val);
	for (unsigned int i = 0; i < 8; i++)
		iprio_set(v, first + i, (u8)(val >> 8 * i));
	return true;
}

static bool sireg_access(struct riscv_vcpu *v, enum rv_csr_op op, u64 val, u64 *old)
{
	u64 isel = AIA_CSR(v, siselect) & ISELECT_MASK;
	struct imsic *s = imsic_of(v);

	if (isel >= ISEL_IPRIO0 && isel <= ISEL_IPRIO15)
		return iprio_access(v, isel, op, val, old);
	return s && !imsic_access(s, isel, op, val, old);
}

/* The interrupt to take next and its priority, or 0. */
static u64 stopi(struct riscv_vcpu *v)
{
	static const u8 order[] = { IRQ_S_EXT, IRQ_S_SOFT, IRQ_S_TIMER, IRQ_PMU_OVF };
	struct imsic *s = imsic_of(v);
	u64 sip, sie, best = 0;
	u32 best_prio = ~0u;

	if (rv_hart_get_csr(v->hart, CSR_SIP, &sip) || rv_hart_get_csr(v->hart, CSR_SIE, &sie))
		return 0;
	for (size_t i = 0; i < ARRAY_SIZE(order); i++) {
		u32 prio;

		if (!(sip & sie & BIT(order[i])))
			continue;
		/* The external interrupt's is the identity that stands in the file. */
		prio = order[i] == IRQ_S_EXT ? (s ? imsic_top(s) : 1) : iprio_get(v, order[i]);
		if (!prio || prio > PRIO_LAST)
			prio = PRIO_LAST;
		if (prio < best_prio) {
			best = order[i];
			best_prio = prio;
		}
	}
	return best ? best << TOP_ID_SHIFT | min(best_prio, 255u) : 0;
}

bool aia_csr_access(struct riscv_vcpu *v, unsigned int csr, enum rv_csr_op op, u64 val, u64 *old)
{
	struct imsic *s;
	u64 id;

	if (!has_ssaia(v))
		return false;
	switch (csr) {
	case CSR_SISELECT:
		*old = AIA_CSR(v, siselect) & ISELECT_MASK;
		AIA_CSR(v, siselect) = aia_csr_op(op, *old, val) & ISELECT_MASK;
		return true;
	case CSR_SIREG:
		return sireg_access(v, op, val, old);
	case CSR_STOPEI:
		s = imsic_of(v);
		if (!s)
			return false;
		/* Any write claims, whatever its value. */
		id = op == RV_CSR_READ ? imsic_top(s) : imsic_claim(s);
		*old = id << TOP_ID_SHIFT | id;
		return true;
	case CSR_STOPI:
		*old = stopi(v);
		return true;
	default:
		return false;
	}
}

static u64 *csr_reg(struct riscv_vcpu *v, u64 num)
{
	return has_ssaia(v) && num < AIA_NR_CSRS ? &v->aia.csr[num] : NULL;
}

int aia_get_csr(struct riscv_vcpu *v, u64 num, u64 *val)
{
	u64 *reg = csr_reg(v, num);

	if (!reg)
		return -ENOENT;
	*val = *reg;
	return 0;
}

int aia_set_csr(struct riscv_vcpu *v, u64 num, u64 val)
{
	u64 *reg = csr_reg(v, num);

	if (!reg)
		return -ENOENT;
	*reg = val;
	return 0;
}

/*
 * Where an interrupt file lies: guest bits above the page's offset, hart bits above those,
 * group bits at their own place. The rest is the same for all files.
 */
u64 aia_imsic_ppn(const struct riscv_aia *aia, u64 addr)
{
	u64 mask = BIT(aia->nr_hart_bits + aia->nr_guest_bits + SV_PAGE_SHIFT) - 1;

	if (aia->nr_group_bits)
		mask |= (BIT(aia->nr_group_bits) - 1) << aia->nr_group_shift;
	return (addr & ~mask) >> SV_PAGE_SHIFT;
}

u32 aia_imsic_hart_index(const struct riscv_aia *aia, u64 addr)
{
	u64 hart = addr >> (aia->nr_guest_bits + SV_PAGE_SHIFT) & (BIT(aia->nr_hart_bits) - 1);
	u64 group = addr >> aia->nr_group_shift & (BIT(aia->nr_group_bits) - 1);

	return (u32)(group << aia->nr_hart_bits | hart);
}

int aia_inject_msi_by_index(struct kvm *kvm, u32 hart_index, u32 guest_index, u32 id)
{
	struct kvm_vcpu *vcpu;

	kvm_for_each_vcpu(i, vcpu, kvm) {
		struct imsic *s = imsic_of(to_riscv(vcpu));

		if (s && to_riscv(vcpu)->aia.hart_index == hart_index)
			return imsic_inject(s, guest_index, 0, id);
	}
	return 0;
}

/* The interrupt file whose page, without the guest bits, is addr's; or NULL. */
static struct imsic *imsic_at(struct kvm *kvm, u64 addr, u64 guest_mask)
{
	const struct riscv_aia *aia = aia_of(kvm);
	struct kvm_vcpu *vcpu;

	if (aia_imsic_ppn(aia, addr) != aia->imsic_base_ppn)
		return NULL;
	kvm_for_each_vcpu(i, vcpu, kvm) {
		struct imsic *s = imsic_of(to_riscv(vcpu));

		if (s && to_riscv(vcpu)->aia.imsic_addr >> SV_PAGE_SHIFT ==
			 ((addr >> SV_PAGE_SHIFT) & ~guest_mask))
			return s;
	}
	return NULL;
}

int aia_send_msi(struct kvm *kvm, const struct kvm_msi *msi)
{
	const struct riscv_aia *aia = aia_of(kvm);
	u64 addr = (u64)msi->address_hi << 32 | msi->address_lo, guest_mask;
	struct imsic *s;

	if (!aia_initialized(aia))
		return -EBUSY;
	guest_mask = BIT(aia->nr_guest_bits) - 1;
	s = imsic_at(kvm, addr, guest_mask);
	return s ? imsic_inject(s, (u32)(addr >> SV_PAGE_SHIFT & guest_mask),
				addr & (SV_PAGE_SIZE - 1), msi->data) : 0;
}

bool aia_irqchip(struct kvm *kvm)
{
	return READ_ONCE(aia_of(kvm)->in_kernel);
}

int aia_set_irq(struct kvm *kvm, u32 pin, int level)
{
	const struct riscv_aia *aia = aia_of(kvm);

	if (!aia_initialized(aia))
		return -EBUSY;
	return aia->aplic ? aplic_set_input(aia->aplic, pin, level) : -ENODEV;
}

long aia_irq_line(struct kvm *kvm, struct kvm_irq_level *level)
{
	if (!aia_irqchip(kvm))
		return -ENXIO;
	return aia_set_irq(kvm, level->irq, level->level != 0);
}

static bool in_aplic(const struct riscv_aia *aia, u64 gpa)
{
	return aia->aplic && gpa - aia->aplic_addr < KVM_DEV_RISCV_APLIC_SIZE;
}

bool aia_mmio_read(struct riscv_vcpu *v, u64 gpa, unsigned int len, u64 *data)
{
	const struct riscv_aia *aia = aia_of(v->vcpu.kvm);
	u32 val = 0;

	if (!aia_initialized(aia) || len != 4)
		return false;
	if (in_aplic(aia, gpa)) {
		if (aplic_read(aia->aplic, gpa - aia->aplic_addr, &val))
			return false;
	} else if (!imsic_at(v->vcpu.kvm, gpa, 0)) {
		return false;
	}
	*data = val;		/* an interrupt file's page reads as 0 */
	return true;
}

bool aia_mmio_write(struct riscv_vcpu *v, u64 gpa, unsigned int len, u64 data)
{
	const struct riscv_aia *aia = aia_of(v->vcpu.kvm);
	struct imsic *s;

	if (!aia_initialized(aia) || len != 4)
		return false;
	if (in_aplic(aia, gpa))
		return !aplic_write(aia->aplic, gpa - aia->aplic_addr, (u32)data, true);
	s = imsic_at(v->vcpu.kvm, gpa, 0);
	if (s)
		imsic_inject(s, 0, gpa & (SV_PAGE_SIZE - 1), (u32)data);
	return s;
}
