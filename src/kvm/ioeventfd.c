/* SPDX-License-Identifier: MIT */
/*
 * ioeventfd: a guest's store that signals an eventfd instead of leaving KVM_RUN.
 *
 * Model: an immutable array sorted by address, replaced under slots_lock, read under RCU by
 * the thread that runs the guest. Each entry owns a descriptor of its own to the caller's
 * eventfd, so the caller may close its. Two descriptors name the same eventfd when the
 * kernel gives both the same eventfd-id (/proc/self/fdinfo).
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "kvm/kvm.h"

#define NR_IOBUS_DEVS 1000
#define VALID_FLAGS (KVM_IOEVENTFD_FLAG_DATAMATCH | KVM_IOEVENTFD_FLAG_PIO | \
		     KVM_IOEVENTFD_FLAG_DEASSIGN | KVM_IOEVENTFD_FLAG_VIRTIO_CCW_NOTIFY)

struct ioeventfd {
	u64 addr;
	u64 datamatch;
	u64 identity;
	u32 length;		/* 0: any */
	u32 bus;		/* which of the kernel's buses; MMIO is the only one a guest reaches */
	int fd;
	bool wildcard;
};

struct kvm_ioeventfds {
	struct rcu_head rcu;
	u32 nr;
	struct ioeventfd e[];
};

enum { BUS_MMIO, BUS_PIO, BUS_CCW };

int kvm_eventfd_identity(int fd, u64 *identity)
{
	static const char key[] = "eventfd-id:";
	struct sv_file *ours;
	char path[48], buf[512], *p;
	ssize_t n;
	int info, err;

	if (fd < 0 || fcntl(fd, F_GETFD) < 0)
		return -EBADF;
	ours = sv_fget(fd, NULL);
	if (ours) {		/* an object of ours, whatever lies behind it */
		sv_file_put(ours);
		return -EINVAL;
	}
	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	info = SV_FAULT(EMFILE) ? -1 : open(path, O_RDONLY | O_CLOEXEC);
	if (info < 0)
		return errno == ENOENT ? -EBADF : -errno;
	n = read(info, buf, sizeof(buf) - 1);
	err = n < 0 ? -errno : 0;
	close(info);
	if (err)
		return err;
	buf[n] = '\0';
	p = strstr(buf, key);
	if (!p)
		return -EINVAL;
	*identity = strtoull(p + sizeof(key) - 1, NULL, 10);
	return 0;
}

int kvm_eventfd_get(int fd, u64 *identity)
{
	u64 before, after;
	int err, copy;

	err = kvm_eventfd_identity(fd, &before);
	if (err)
		return err;
	copy = SV_FAULT(EMFILE) ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, 0);
	if (copy < 0)
		return -errno;
	/* Somebody may have replaced fd in between: what we hold is what counts. */
	err = kvm_eventfd_identity(copy, &after);
	if (err || before != after) {
		close(copy);
		return err ? err : -EBADF;
	}
	*identity = after;
	return copy;
}

static bool matches(const struct ioeventfd *p, unsigned int len, u64 data)
{
	if (!p->length)
		return true;
	if (p->length != len)
		return false;
	return p->wildcard || p->datamatch == data;
}

static void signal_eventfd(int fd)
{
	u64 one = 1;
	int saved = errno;

	/*
	 * The kernel never blocks here: a full counter stays full. The caller's eventfd may be
	 * in blocking mode, which we must not change, so the count is lowered by a reader
	 * only; 2^64-2 signals without one do not happen.
	 */
	if (write(fd, &one, sizeof(one)) < 0)
		errno = saved;
}

bool kvm_ioeventfd_write(struct kvm *kvm, u64 gpa, unsigned int len, u64 data)
{
	const struct kvm_ioeventfds *set;
	bool hit = false;
	u32 lo = 0, hi;

	if (!rcu_access_pointer(kvm->ioeventfds))
		return false;
	if (len < 8)
		data &= BIT(len * 8) - 1;
	rcu_read_lock();
	set = rcu_dereference(kvm->ioeventfds);
	hi = set ? set->nr : 0;
	while (lo < hi) {	/* the first entry at or above gpa */
		u32 mid = lo + (hi - lo) / 2;

		if (set->e[mid].addr < gpa)
			lo = mid + 1;
		else
			hi = mid;
	}
	for (; set && lo < set->nr && set->e[lo].addr == gpa && !hit; lo++) {
		if (set->e[lo].bus != BUS_MMIO || !matches(&set->e[lo], len, data))
			continue;
		signal_eventfd(set->e[lo].fd);
		hit = true;
	}
	rcu_read_unlock();
	return hit;
}

static u32 bus_from_flags(u32 flags)
{
	if (flags & KVM_IOEVENTFD_FLAG_PIO)
		return BUS_PIO;
	return flags & KVM_IOEVENTFD_FLAG_VIRTIO_CCW_NOTIFY ? BUS_CCW : BUS_MMIO;
}

static int validate(const struct kvm_ioeventfd *args)
{
	switch (args->len) {
	case 0: case 1: case 2: case 4: case 8:
		break;
	default:
		return -EINVAL;
	}
	if (args->addr + args->len < args->addr)
		return -EINVAL;
	if (args->flags & ~(u32)VALID_FLAGS)
		return -EINVAL;
	/* Without a length there is no datum to compare. */
	if (!args->len && (args->flags & KVM_IOEVENTFD_FLAG_DATAMATCH))
		return -EINVAL;
	return 0;
}

static bool collides(const struct kvm_ioeventfds *set, const struct ioeventfd *n)
{
	for (u32 i = 0; set && i < set->nr; i++) {
		const struct ioeventfd *p = &set->e[i];

		if (p->bus != n->bus || p->addr != n->addr)
			continue;
		if (!p->length || !n->length)
			return true;
		if (p->length == n->length &&
		    (p->wildcard || n->wildcard || p->datamatch == n->datamatch))
			return true;
	}
	return false;
}

static void publish(struct kvm *kvm, struct kvm_ioeventfds *next)
{
	struct kvm_ioeventfds *prev = kvm->ioeventfds;

	rcu_assign_pointer(kvm->ioeventfds, next);
	if (smp_load_acquire(&kvm->online_vcpus))
		synchronize_rcu();
	sv_free(prev);
}

static int assign_locked(struct kvm *kvm, const struct ioeventfd *n)
{
	const struct kvm_ioeventfds *cur = kvm->ioeventfds;
	u32 nr = cur ? cur->nr : 0, at = 0;
	struct kvm_ioeventfds *next;

	if (collides(cur, n))
		return -EEXIST;
	if (nr >= NR_IOBUS_DEVS)
		return -ENOSPC;
	next = sv_alloc(sizeof(*next) + (nr + 1) * sizeof(next->e[0]));
	if (!next)
		return -ENOMEM;
	while (at < nr && cur->e[at].addr <= n->addr)
		at++;
	if (at)
		memcpy(next->e, cur->e, at * sizeof(next->e[0]));
	next->e[at] = *n;
	if (nr > at)
		memcpy(next->e + at + 1, cur->e + at, (nr - at) * sizeof(next->e[0]));
	next->nr = nr + 1;
	publish(kvm, next);
	return 0;
}

static long ioeventfd_assign(struct kvm *kvm, const struct kvm_ioeventfd *args)
{
	struct ioeventfd n = {
		.addr = args->addr, .length = args->len, .bus = bus_from_flags(args->flags),
		.datamatch = args->datamatch,
		.wildcard = !(args->flags & KVM_IOEVENTFD_FLAG_DATAMATCH),
	};
	int err = validate(args);

	if (err)
		return err;
	n.fd = kvm_eventfd_get(args->fd, &n.identity);
	if (n.fd < 0)
		return n.fd;
	sv_mutex_lock(&kvm->slots_lock);
	err = assign_locked(kvm, &n);
	sv_mutex_unlock(&kvm->slots_lock);
	if (err)
		close(n.fd);
	return err;
}

static int deassign_locked(struct kvm *kvm, const struct kvm_ioeventfd *args, u64 identity,
			   int *victim)
{
	const struct kvm_ioeventfds *cur = kvm->ioeventfds;
	bool wildcard = !(args->flags & KVM_IOEVENTFD_FLAG_DATAMATCH);
	struct kvm_ioeventfds *next = NULL;
	u32 i;

	for (i = 0; cur && i < cur->nr; i++) {
		const struct ioeventfd *p = &cur->e[i];

		if (p->bus == bus_from_flags(args->flags) && p->identity == identity &&
		    p->addr == args->addr && p->length == args->len &&
		    p->wildcard == wildcard && (wildcard || p->datamatch == args->datamatch))
			break;
	}
	if (!cur || i == cur->nr)
		return -ENOENT;
	if (cur->nr > 1) {
		next = sv_alloc(sizeof(*next) + (cur->nr - 1) * sizeof(next->e[0]));
		if (!next)
			return -ENOMEM;
		memcpy(next->e, cur->e, i * sizeof(next->e[0]));
		memcpy(next->e + i, cur->e + i + 1, (cur->nr - 1 - i) * sizeof(next->e[0]));
		next->nr = cur->nr - 1;
	}
	*victim = cur->e[i].fd;
	publish(kvm, next);
	return 0;
}

static long ioeventfd_deassign(struct kvm *kvm, const struct kvm_ioeventfd *args)
{
	u64 identity;
	int err, victim = -1;

	err = kvm_eventfd_identity(args->fd, &identity);
	if (err)
		return err;
	sv_mutex_lock(&kvm->slots_lock);
	err = deassign_locked(kvm, args, identity, &victim);
	sv_mutex_unlock(&kvm->slots_lock);
	if (victim >= 0)
		close(victim);
	return err;
}

long kvm_ioeventfd(struct kvm *kvm, const struct kvm_ioeventfd *args)
{
	if (args->flags & KVM_IOEVENTFD_FLAG_DEASSIGN)
		return ioeventfd_deassign(kvm, args);
	return ioeventfd_assign(kvm, args);
}

void kvm_free_ioeventfds(struct kvm *kvm)
{
	for (u32 i = 0; kvm->ioeventfds && i < kvm->ioeventfds->nr; i++)
		close(kvm->ioeventfds->e[i].fd);
	sv_free(kvm->ioeventfds);
}
