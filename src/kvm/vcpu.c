/* SPDX-License-Identifier: MIT */
/*
 * A vCPU's file: creation, its shared kvm_run page, the ioctls every architecture has.
 *
 * Model: the file's memfd is the kvm_run page and what follows it; we map it once and so
 * does user space. What user space writes there is read once and never trusted. Every
 * ioctl but the asynchronous ones holds vcpu->mutex, KVM_RUN for as long as it runs: a
 * second caller waits.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/err.h"
#include "base/guard.h"
#include "base/trace.h"
#include "kvm/kvm.h"
#include "softvirt/uapi/kvm_riscv.h"	/* KVM_RISCV_SET_GUEST_DEBUG: a number without the host's part */

__thread struct kvm_vcpu *kvm_running_vcpu __attribute__((tls_model("initial-exec")));

static long kvm_vcpu_run(struct kvm_vcpu *vcpu, unsigned long arg)
{
	struct kvm_vcpu *outer = kvm_running_vcpu;
	long ret;

	if (arg)
		return -EINVAL;
	kvm_running_vcpu = vcpu;
	ret = vcpu->kvm->ops->vcpu_run(vcpu);
	kvm_running_vcpu = outer;
	sv_trace("kvm.run", "vcpu %u exit %u ret %ld", vcpu->vcpu_id,
		 READ_ONCE(vcpu->run->exit_reason), ret);
	return ret;
}

static long vcpu_set_one_reg(struct sv_file *f, struct sv_ioctl_ctx *c)
{
	struct kvm_vcpu *vcpu = sv_file_priv(f);

	return vcpu->kvm->ops->set_one_reg(vcpu, c->buf);
}

static long vcpu_get_one_reg(struct sv_file *f, struct sv_ioctl_ctx *c)
{
	struct kvm_vcpu *vcpu = sv_file_priv(f);

	return vcpu->kvm->ops->get_one_reg(vcpu, c->buf);
}

static long vcpu_get_reg_list(struct sv_file *f, struct sv_ioctl_ctx *c)
{
	struct kvm_vcpu *vcpu = sv_file_priv(f);
	struct kvm_reg_list *list = c->buf;
	u64 n = list->n, have, *ids;
	int err;

	have = vcpu->kvm->ops->reg_list(vcpu, NULL, 0);
	list->n = have;
	c->copy_out = true;
	if (n < have)
		return -E2BIG;
	ids = sv_calloc(have, sizeof(*ids));
	if (!ids)
		return -ENOMEM;
	vcpu->kvm->ops->reg_list(vcpu, ids, have);
	err = sv_copy_to_user((char *)c->value + offsetof(struct kvm_reg_list, reg), ids,
			      have * sizeof(*ids));
	sv_free(ids);
	return err;
}

static long vcpu_get_mp_state(struct sv_file *f, struct sv_ioctl_ctx *c)
{
	struct kvm_vcpu *vcpu = sv_file_priv(f);

	return vcpu->kvm->ops->get_mp_state(vcpu, c->buf);
}

static long vcpu_set_mp_state(struct sv_file *f, struct sv_ioctl_ctx *c)
{
	struct kvm_vcpu *vcpu = sv_file_priv(f);

	return vcpu->kvm->ops->set_mp_state(vcpu, c->buf);
}

static long vcpu_set_guest_debug(struct sv_file *f, struct sv_ioctl_ctx *c)
{
	struct kvm_vcpu *vcpu = sv_file_priv(f);
	const struct kvm_riscv_guest_debug *dbg = c->buf;	/* the common head of all */

	return vcpu->kvm->ops->set_guest_debug(vcpu, dbg->control);
}

static long vcpu_set_signal_mask(struct sv_file *f, struct sv_ioctl_ctx *c)
{
	return kvm_vcpu_set_signal_mask(sv_file_priv(f), c->value);
}

static long vcpu_pre_fault(struct sv_file *f, struct sv_ioctl_ctx *c)
{
	c->copy_out = true;	/* what is left, also after an error */
	return kvm_vcpu_pre_fault_memory(sv_file_priv(f), c->buf);
}

static long vcpu_stats_fd(struct sv_file *f, struct sv_ioctl_ctx *c)
{
	return kvm_vcpu_get_stats_fd(sv_file_priv(f));
}

/* Under vcpu->mutex, all of them. */
#define LOCKED(fn) \
static long fn##_locked(struct sv_file *f, struct sv_ioctl_ctx *c) \
{ \
	struct kvm_vcpu *vcpu = sv_file_priv(f); \
	long ret; \
	sv_mutex_lock(&vcpu->mutex); \
	ret = fn(f, c); \
	sv_mutex_unlock(&vcpu->mutex); \
	return ret; \
}
LOCKED(vcpu_set_one_reg)
LOCKED(vcpu_get_one_reg)
LOCKED(vcpu_get_reg_list)
LOCKED(vcpu_get_mp_state)
LOCKED(vcpu_set_mp_state)
LOCKED(vcpu_set_guest_debug)
LOCKED(vcpu_set_signal_mask)
LOCKED(vcpu_stats_fd)
LOCKED(vcpu_pre_fault)

static const struct sv_ioctl vcpu_ioctls[] = {
	SV_IOCTL_ENTRY(SV_IOCTL_EXACT, KVM_GET_ONE_REG, vcpu_get_one_reg_locked),
	SV_IOCTL_ENTRY(SV_IOCTL_EXACT, KVM_SET_ONE_REG, vcpu_set_one_reg_locked),
	SV_IOCTL_ENTRY(SV_IOCTL_EXACT, KVM_GET_REG_LIST, vcpu_get_reg_list_locked),
	SV_IOCTL_ENTRY(SV_IOCTL_EXACT, KVM_GET_MP_STATE, vcpu_get_mp_state_locked),
	SV_IOCTL_ENTRY(SV_IOCTL_EXACT, KVM_SET_MP_STATE, vcpu_set_mp_state_locked),
	SV_IOCTL_ENTRY(SV_IOCTL_EXACT, KVM_RISCV_SET_GUEST_DEBUG, vcpu_set_guest_debug_locked),
	SV_IOCTL_ENTRY(SV_IOCTL_VALUE, KVM_SET_SIGNAL_MASK, vcpu_set_signal_mask_locked),
	SV_IOCTL_ENTRY(SV_IOCTL_VALUE, KVM_GET_STATS_FD, vcpu_stats_fd_locked),
	SV_IOCTL_ENTRY(SV_IOCTL_EXACT, KVM_PRE_FAULT_MEMORY, vcpu_pre_fault_locked),
};

/*
 * A host program that knows its own architecture's <asm/kvm.h> only has another size in
 * the number. The head is the same, and a guest of ours uses no more.
 */
static long foreign_guest_debug(struct kvm_vcpu *vcpu, unsigned long arg)
{
	struct kvm_riscv_guest_debug dbg;
	long ret;

	if (sv_copy_from_user(&dbg, (void *)arg, sizeof(dbg)))
		return -EFAULT;
	sv_mutex_lock(&vcpu->mutex);
	ret = vcpu->kvm->ops->set_guest_debug(vcpu, dbg.control);
	sv_mutex_unlock(&vcpu->mutex);
	return ret;
}

static long kvm_vcpu_ioctl(struct sv_file *f, unsigned int cmd, unsigned long arg)
{
	struct kvm_vcpu *vcpu = sv_file_priv(f);
	long ret;

	if (likely(cmd == KVM_RUN)) {
		sv_mutex_lock(&vcpu->mutex);
		ret = kvm_vcpu_run(vcpu, arg);
		sv_mutex_unlock(&vcpu->mutex);
		return ret;
	}
	ret = vcpu->kvm->ops->vcpu_async_ioctl(vcpu, cmd, arg);
	if (ret != -ENOIOCTLCMD_SV)
		return ret;
	for (size_t i = 0; i < ARRAY_SIZE(vcpu_ioctls); i++)
		if (vcpu_ioctls[i].cmd == cmd)
			return -ENOIOCTLCMD_SV;
	if (cmd == KVM_SET_GUEST_DEBUG)
		return foreign_guest_debug(vcpu, arg);
	return -EINVAL;
}

/* The vCPU stays with its VM; only the file's reference to the VM goes. */
static void kvm_vcpu_release(struct sv_file *f)
{
	struct kvm_vcpu *vcpu = sv_file_priv(f);

	if (vcpu->file)		/* it was published */
		kvm_put_kvm(vcpu->kvm);
}

/* A shared mapping moved with an old size of 0 is a second mapping; qemu-user can't do it. */
static bool host_duplicates;
static struct sv_once host_duplicates_once = SV_ONCE_INIT;

static int host_duplicates_probe(void)
{
	void *copy, *p = mmap(NULL, SV_PAGE_SIZE, PROT_NONE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		return -ENOMEM;
	copy = mremap(p, 0, SV_PAGE_SIZE, MREMAP_MAYMOVE);
	host_duplicates = copy != MAP_FAILED;
	if (host_duplicates)
		munmap(copy, SV_PAGE_SIZE);
	munmap(p, SV_PAGE_SIZE);
	return 0;
}

/*
 * n bytes at from, which is mapped here already, from off of vcpu's file, a second time at at.
 * -1 and errno when it fails.
 */
static int map_again(const struct kvm_vcpu *vcpu, char *from, off_t off, char *at, size_t n,
		     int prot)
{
	if (vcpu->run_fd >= 0)
		return mmap(at, n, prot, MAP_SHARED | MAP_FIXED, vcpu->run_fd, off) == MAP_FAILED ?
		       -1 : 0;
	if (mremap(from, 0, n, MREMAP_MAYMOVE | MREMAP_FIXED, at) == MAP_FAILED)
		return -1;
	return mprotect(at, n, prot);
}

static int map_run_page(const struct kvm_vcpu *vcpu, off_t off, char *at, int prot)
{
	return map_again(vcpu, (char *)vcpu->run + off, off, at, SV_PAGE_SIZE, prot);
}

static off_t ring_offset(const struct kvm *kvm)
{
	return (off_t)kvm->ops->dirty_ring_page * SV_PAGE_SIZE;
}

static bool in_ring(const struct kvm *kvm, off_t off)
{
	return off >= ring_offset(kvm) && off - ring_offset(kvm) < kvm->dirty_ring_size;
}

/* What of the dirty ring lies in the len bytes from off of the file, in their place behind base. */
static int map_ring(const struct kvm_vcpu *vcpu, off_t off, size_t len, char *base, int prot)
{
	off_t start = ring_offset(vcpu->kvm), from = max(off, start), end;

	end = min(off + (off_t)len, start + (off_t)vcpu->kvm->dirty_ring_size);
	if (!vcpu->dirty_ring.gfns || from >= end)
		return 0;
	return map_again(vcpu, (char *)vcpu->dirty_ring.gfns + (from - start), from,
			 base + (from - off), end - from, prot);
}

/*
 * Page 0 is the vCPU's own; the coalesced ring's page is the VM's one ring, in the first
 * vCPU's file; then, far behind, the vCPU's dirty ring. All of it is mapped here already and
 * is mapped a second time. Between and beyond there is nothing to touch.
 */
static void *kvm_vcpu_mmap(struct sv_file *f, void *addr, size_t len, int prot, int flags,
			   off_t off)
{
	struct kvm_vcpu *vcpu = sv_file_priv(f);
	struct kvm *kvm = vcpu->kvm;
	char *base;
	int err;

	if ((flags & MAP_TYPE) == MAP_PRIVATE)
		return ERR_PTR(-EINVAL);
	len = ALIGN_UP(len, SV_PAGE_SIZE);
	if (!len || len > INT64_MAX)
		return ERR_PTR(-ENOMEM);
	if (off > INT64_MAX - (off_t)len)
		return ERR_PTR(-EOVERFLOW);
	if ((prot & PROT_EXEC) &&
	    (in_ring(kvm, off) || in_ring(kvm, off + (off_t)(len - SV_PAGE_SIZE))))
		return ERR_PTR(-EINVAL);
	flags = (flags & ~MAP_TYPE) | MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
	base = mmap(addr, len, PROT_NONE, flags, -1, 0);
	if (base == MAP_FAILED)
		return ERR_PTR(-errno);
	for (size_t at = 0; at < len && off + at < KVM_VCPU_MMAP_PAGES * SV_PAGE_SIZE;
	     at += SV_PAGE_SIZE) {
		bool ring = off + at == kvm->ops->coalesced_page * SV_PAGE_SIZE;

		if (map_run_page(ring ? kvm->vcpus[0] : vcpu, off + at, base + at, prot))
			goto fail;
	}
	if (map_ring(vcpu, off, len, base, prot))
		goto fail;
	return base;
fail:
	err = errno;
	munmap(base, len);
	return ERR_PTR(-err);
}

static const struct sv_file_ops kvm_vcpu_fops = {
	.name = "kvm-vcpu",
	.ioctls = vcpu_ioctls,
	.nr_ioctls = ARRAY_SIZE(vcpu_ioctls),
	.ioctl = kvm_vcpu_ioctl,
	.mmap = kvm_vcpu_mmap,
	.release = kvm_vcpu_release,
	.bound_to_mm = true,
};

void kvm_vcpu_free(struct kvm_vcpu *vcpu)
{
	kvm_signal_destroy(vcpu);
	kvm_dirty_ring_free(vcpu);
	if (vcpu->wake_fd >= 0)
		close(vcpu->wake_fd);
	if (vcpu->run_fd >= 0)
		close(vcpu->run_fd);
	if (vcpu->run)
		munmap(vcpu->run, KVM_VCPU_MMAP_PAGES * SV_PAGE_SIZE);
	kvm_stats_put(vcpu->stats_file);
	sv_mutex_destroy(&vcpu->mutex);
	vcpu->kvm->ops->vcpu_destroy(vcpu);
}

/* What can fail before anybody sees the vCPU. */
static int vcpu_prepare(struct kvm *kvm, u32 id, struct kvm_vcpu **out, struct sv_file **file)
{
	size_t size = KVM_VCPU_MMAP_PAGES * SV_PAGE_SIZE;
	struct kvm_vcpu *vcpu;
	void *run;
	int err;

	if (kvm->dirty_ring_size)
		size = ring_offset(kvm) + kvm->dirty_ring_size;
	if (sv_once(&host_duplicates_once, host_duplicates_probe))
		return -ENOMEM;
	err = kvm->ops->vcpu_create(kvm, id, &vcpu);
	if (err)
		return err;
	vcpu->kvm = kvm;
	vcpu->vcpu_id = id;
	vcpu->wake_fd = -1;
	vcpu->run_fd = -1;
	vcpu->stat = &vcpu->own_stat;
	sv_mutex_init(&vcpu->mutex);
	kvm_signal_init(vcpu);

	err = sv_file_create(&kvm_vcpu_fops, vcpu, SV_BACKING_MEMFD,
			     size, O_RDWR | O_CLOEXEC, file);
	if (err) {
		kvm_vcpu_free(vcpu);
		return err;
	}
	run = SV_FAULT(ENOMEM) ? MAP_FAILED : mmap(NULL, KVM_VCPU_MMAP_PAGES * SV_PAGE_SIZE,
						  PROT_READ | PROT_WRITE, MAP_SHARED,
						  sv_file_backing_fd(*file), 0);
	if (run == MAP_FAILED) {
		sv_file_put(*file);
		kvm_vcpu_free(vcpu);
		return -ENOMEM;
	}
	vcpu->run = run;
	if (kvm->dirty_ring_size && kvm_dirty_ring_alloc(vcpu, sv_file_backing_fd(*file))) {
		sv_file_put(*file);
		kvm_vcpu_free(vcpu);
		return -ENOMEM;
	}
	if (!host_duplicates) {
		vcpu->run_fd = fcntl(sv_file_backing_fd(*file), F_DUPFD_CLOEXEC, 0);
		if (vcpu->run_fd < 0) {		/* the limit is all that can fail */
			sv_file_put(*file);
			kvm_vcpu_free(vcpu);
			return -EMFILE;
		}
	}
	*out = vcpu;
	return 0;
}

long kvm_vm_create_vcpu(struct kvm *kvm, unsigned long id)
{
	struct kvm_vcpu *vcpu = NULL;
	struct sv_file *file = NULL;
	long ret;

	if (id >= KVM_MAX_VCPU_IDS)
		return -EINVAL;
	sv_mutex_lock(&kvm->lock);
	if (kvm->created_vcpus >= KVM_MAX_VCPUS) {
		sv_mutex_unlock(&kvm->lock);
		return -EINVAL;
	}
	kvm->created_vcpus++;
	sv_mutex_unlock(&kvm->lock);

	ret = vcpu_prepare(kvm, id, &vcpu, &file);
	if (ret)
		goto uncount;

	sv_mutex_lock(&kvm->lock);
	if (kvm->vcpu_by_id[id]) {
		sv_mutex_unlock(&kvm->lock);
		sv_file_put(file);
		kvm_vcpu_free(vcpu);
		ret = -EEXIST;
		goto uncount;
	}
	vcpu->file = file;
	vcpu->vcpu_idx = kvm->online_vcpus;
	kvm_get_kvm(kvm);
	kvm->ops->vcpu_postcreate(vcpu);
	WRITE_ONCE(kvm->vcpus[vcpu->vcpu_idx], vcpu);
	smp_store_release(&kvm->vcpu_by_id[id], vcpu);
	smp_store_release(&kvm->online_vcpus, kvm->online_vcpus + 1);
	ret = sv_file_install(file);
	sv_mutex_unlock(&kvm->lock);
	return ret;

uncount:
	sv_mutex_lock(&kvm->lock);
	kvm->created_vcpus--;
	sv_mutex_unlock(&kvm->lock);
	return ret;
}
