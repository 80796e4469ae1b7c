/* SPDX-License-Identifier: MIT */
/*
 * guest_memfd: guest memory that user space cannot map, read or write.
 *
 * Model: a struct kvm_gmem is behind a descriptor and belongs to one VM, to which it holds a
 * reference. Memory slots are bound to ranges of it, each page to one slot at most; a
 * binding holds no reference: when the last descriptor goes, the slots' private pages are
 * gone, and an access is a fault. A bound slot maps its range; the mapping is what a private
 * page's translation leads to, so that a hole that is punched shows as zeros at once (the
 * host's page tables say what lies there, not our TLBs).
 *
 * The descriptor is a memfd opened a second time, for appending only, with sealed size: the
 * program's own mmap(2), read(2), write(2) and ftruncate(2) fail on it, fallocate(2) works.
 * Our own descriptor of the same memory can be mapped. softvirt_fallocate() and
 * softvirt_mmap() check and answer as the kernel does; so does the preload library.
 *
 * Lock: slots_lock for bindings. slot->gmem_host is read under RCU by a thread in KVM_RUN.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/err.h"
#include "base/guard.h"
#include "base/libc.h"
#include "kvm/kvm.h"

struct kvm_gmem {
	struct kvm *kvm;
	int fd;				/* ours, read and write */
	u64 size;
	struct list_head bindings;	/* kvm_memory_slot.gmem_link */
};

/* slots_lock held. No vCPU can reach the mapping by slot any more, or slot is unpublished. */
void kvm_gmem_unbind(struct kvm_memory_slot *slot)
{
	if (slot->gmem)
		list_del(&slot->gmem_link);
	slot->gmem = NULL;
	if (slot->gmem_host)
		munmap(slot->gmem_host, slot->npages << SV_PAGE_SHIFT);
	slot->gmem_host = NULL;
}

/* The last descriptor has gone: nothing can be bound any more. */
static void gmem_release(struct sv_file *f)
{
	struct kvm_gmem *gmem = sv_file_priv(f);
	struct kvm *kvm = gmem->kvm;
	struct kvm_memory_slot *slot, *next;
	bool any = false;

	sv_mutex_lock(&kvm->slots_lock);
	list_for_each_entry(slot, &gmem->bindings, gmem_link) {
		WRITE_ONCE(slot->gmem_gone, true);
		any = true;
	}
	if (any) {
		kvm_flush_remote_tlbs(kvm);
		synchronize_rcu();
	}
	list_for_each_entry_safe(slot, next, &gmem->bindings, gmem_link)
		kvm_gmem_unbind(slot);
	sv_mutex_unlock(&kvm->slots_lock);
	sv_libc.close(gmem->fd);
	sv_free(gmem);
	kvm_put_kvm(kvm);
}

static void *gmem_mmap(struct sv_file *f, void *addr, size_t len, int prot, int flags, off_t off)
{
	return ERR_PTR(-ENODEV);
}

static long gmem_fallocate(struct sv_file *f, int mode, off_t off, off_t len)
{
	const struct kvm_gmem *gmem = sv_file_priv(f);

	if (!(mode & FALLOC_FL_KEEP_SIZE) ||
	    (mode & ~(FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE)))
		return -EOPNOTSUPP;
	if (!IS_ALIGNED((u64)off, SV_PAGE_SIZE) || !IS_ALIGNED((u64)len, SV_PAGE_SIZE))
		return -EINVAL;
	if (!(mode & FALLOC_FL_PUNCH_HOLE) && (u64)off + (u64)len > gmem->size)
		return -EINVAL;
	if (SV_FAULT(ENOSPC) || sv_libc.fallocate(gmem->fd, mode, off, len))
		return -errno;
	return 0;
}

static const struct sv_file_ops gmem_fops = {
	.name = "kvm-gmem",
	.mmap = gmem_mmap,
	.fallocate = gmem_fallocate,
	.release = gmem_release,
	.bound_to_mm = true,
};

/* A memfd of that size that stays so, out of the way of the program's numbers. */
static int gmem_open_own(u64 size)
{
	struct rlimit rl = { .rlim_cur = 6 };
	int fd, own, err;

	fd = SV_FAULT(EMFILE) ? -1 : memfd_create("softvirt:kvm-gmem",
						  MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (fd < 0)
		return -errno;
	if (SV_FAULT(ENOMEM) || ftruncate(fd, (off_t)size) || SV_FAULT(EINVAL) ||
	    sv_libc.fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL)) {
		err = -errno;
		sv_libc.close(fd);
		return err;
	}
	getrlimit(RLIMIT_NOFILE, &rl);
	own = sv_libc.fcntl(fd, F_DUPFD_CLOEXEC, (int)min(rl.rlim_cur / 2, (rlim_t)1 << 20));
	if (own < 0)
		return fd;
	sv_libc.close(fd);
	return own;
}

/* The program's: a second open description, which may append and no more. */
static int gmem_open_shown(int own)
{
	char path[32];
	int fd;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", own);
	fd = SV_FAULT(EMFILE) ? -1 : sv_libc.open(path, O_WRONLY | O_APPEND);
	if (fd < 0 && errno != EMFILE && errno != ENFILE && errno != ENOMEM)
		fd = sv_libc.fcntl(own, F_DUPFD, 0);	/* no /proc: it can be mapped then */
	return fd < 0 ? -errno : fd;
}

long kvm_gmem_create(struct kvm *kvm, const struct kvm_create_guest_memfd *args)
{
	struct kvm_gmem *gmem;
	struct sv_file *file;
	int err, fd;

	if (args->flags)
		return -EINVAL;
	if ((s64)args->size <= 0 || !IS_ALIGNED(args->size, SV_PAGE_SIZE))
		return -EINVAL;
	gmem = sv_zalloc(sizeof(*gmem));
	if (!gmem)
		return -ENOMEM;
	gmem->kvm = kvm;
	gmem->size = args->size;
	INIT_LIST_HEAD(&gmem->bindings);
	gmem->fd = gmem_open_own(args->size);
	if (gmem->fd < 0) {
		err = gmem->fd;
		goto free_gmem;
	}
	fd = gmem_open_shown(gmem->fd);
	if (fd < 0) {
		err = fd;
		goto close_own;
	}
	err = sv_file_create_fd(&gmem_fops, gmem, fd, &file);
	if (err)
		goto close_shown;
	kvm_get_kvm(kvm);
	return sv_file_install(file);

close_shown:
	sv_libc.close(fd);
close_own:
	sv_libc.close(gmem->fd);
free_gmem:
	sv_free(gmem);
	return err;
}

int kvm_gmem_get(u32 number, struct sv_file **file)
{
	int fd = (int)number;
	struct sv_file *f = sv_fget(fd, NULL);

	if (f && !sv_fd_is(fd, f)) {		/* closed behind our back */
		sv_file_put(f);
		f = NULL;
	}
	if (!f)
		f = sv_fd_adopt(fd);
	if (!f)
		return sv_libc.fcntl(fd, F_GETFD) < 0 ? -EBADF : -EINVAL;
	if (sv_file_get_ops(f) != &gmem_fops) {
		sv_file_put(f);
		return -EINVAL;
	}
	*file = f;
	return 0;
}

static bool bound(const struct kvm_gmem *gmem, u64 offset, u64 size)
{
	const struct kvm_memory_slot *s;

	list_for_each_entry(s, &gmem->bindings, gmem_link)
		if (offset < s->gmem_offset + (s->npages << SV_PAGE_SHIFT) &&
		    s->gmem_offset < offset + size)
			return true;
	return false;
}

int kvm_gmem_bind(struct kvm *kvm, struct kvm_memory_slot *slot, struct sv_file *file, u64 offset)
{
	u64 size = slot->npages << SV_PAGE_SHIFT;
	struct kvm_gmem *gmem = sv_file_priv(file);
	void *p;

	if (gmem->kvm != kvm || offset + size > gmem->size || bound(gmem, offset, size))
		return -EINVAL;
	p = SV_FAULT(ENOMEM) ? MAP_FAILED
			     : mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE,
				    gmem->fd, (off_t)offset);
	if (p == MAP_FAILED)
		return -ENOMEM;
	/* A forked child has no VM, and should not keep its memory alive. */
	madvise(p, size, MADV_DONTFORK);
	slot->gmem = gmem;
	slot->gmem_offset = offset;
	slot->gmem_host = p;
	list_add(&slot->gmem_link, &gmem->bindings);
	return 0;
}
