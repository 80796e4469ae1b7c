/* SPDX-License-Identifier: MIT */
/*
 * Binary statistics: KVM_GET_STATS_FD.
 *
 * Model: what the descriptor shows is a file: a header, the object's name, descriptors,
 * the values. So it is one: a memfd made at the first request, into which the object's
 * counters move and in which they live from then on. Each request opens the memfd again,
 * read-only, with a position of its own. read(2), pread(2) and lseek(2) are the system's.
 *
 * Locks: a vCPU's counters move under vcpu->mutex (nobody runs it), a VM's under
 * slots_lock, which everybody who raises them holds.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/err.h"
#include "kvm/kvm.h"

struct kvm_stats_file {
	int fd;
	void *map;
	size_t size;
};

/* A descriptor as the file shows it: kvm_stats_desc with a name of fixed length. */
struct desc {
	u32 flags;
	s16 exponent;
	u16 size;
	u32 offset;
	u32 bucket_size;
	char name[KVM_STATS_NAME_SIZE];
};

#define COUNTER (KVM_STATS_TYPE_CUMULATIVE | KVM_STATS_UNIT_NONE | KVM_STATS_BASE_POW10)
#define TIME_NS (KVM_STATS_TYPE_CUMULATIVE | KVM_STATS_UNIT_SECONDS | KVM_STATS_BASE_POW10)
#define HIST_NS (KVM_STATS_TYPE_LOG_HIST | KVM_STATS_UNIT_SECONDS | KVM_STATS_BASE_POW10)
#define BOOLEAN (KVM_STATS_TYPE_INSTANT | KVM_STATS_UNIT_BOOLEAN | KVM_STATS_BASE_POW10)

#define STAT(type, field, fl, exp, n) \
	{ .flags = (fl), .exponent = (exp), .size = (n), .offset = offsetof(struct type, field), \
	  .name = #field }

static const struct desc vm_descs[] = {
	STAT(kvm_vm_stat, remote_tlb_flush, COUNTER, 0, 1),
	STAT(kvm_vm_stat, remote_tlb_flush_requests, COUNTER, 0, 1),
};

static const struct desc vcpu_descs[] = {
	STAT(kvm_vcpu_stat, halt_successful_poll, COUNTER, 0, 1),
	STAT(kvm_vcpu_stat, halt_attempted_poll, COUNTER, 0, 1),
	STAT(kvm_vcpu_stat, halt_poll_invalid, COUNTER, 0, 1),
	STAT(kvm_vcpu_stat, halt_wakeup, COUNTER, 0, 1),
	STAT(kvm_vcpu_stat, halt_poll_success_ns, TIME_NS, -9, 1),
	STAT(kvm_vcpu_stat, halt_poll_fail_ns, TIME_NS, -9, 1),
	STAT(kvm_vcpu_stat, halt_wait_ns, TIME_NS, -9, 1),
	STAT(kvm_vcpu_stat, halt_poll_success_hist, HIST_NS, -9, KVM_HALT_POLL_HIST_COUNT),
	STAT(kvm_vcpu_stat, halt_poll_fail_hist, HIST_NS, -9, KVM_HALT_POLL_HIST_COUNT),
	STAT(kvm_vcpu_stat, halt_wait_hist, HIST_NS, -9, KVM_HALT_POLL_HIST_COUNT),
	STAT(kvm_vcpu_stat, blocking, BOOLEAN, 0, 1),
};

void kvm_stat_hist(u64 *hist, u64 value)
{
	unsigned int bucket = value ? 64 - __builtin_clzll(value) : 0;

	hist[min(bucket, (unsigned int)KVM_HALT_POLL_HIST_COUNT - 1)]++;
}

void kvm_stats_put(struct kvm_stats_file *f)
{
	if (!f)
		return;
	munmap(f->map, f->size);
	close(f->fd);
	sv_free(f);
}

/* Everything but the values, which begin at *data. ERR_PTR on failure. */
static struct kvm_stats_file *stats_create(const char *id, const struct desc *descs, u32 nr,
					   const char *const *extra, size_t extra_offset,
					   size_t value_size, void **data)
{
	struct kvm_stats_header h = { .name_size = KVM_STATS_NAME_SIZE, .num_desc = nr };
	struct kvm_stats_file *f;
	struct desc *d;
	int err;

	for (const char *const *name = extra; name && *name; name++)
		h.num_desc++;
	h.id_offset = sizeof(h);
	h.desc_offset = h.id_offset + KVM_STATS_NAME_SIZE;
	h.data_offset = h.desc_offset + h.num_desc * sizeof(*d);

	f = sv_zalloc(sizeof(*f));
	if (!f)
		return ERR_PTR(-ENOMEM);
	f->size = h.data_offset + value_size;
	f->fd = SV_FAULT(EMFILE) ? -1 : memfd_create("kvm-stats", MFD_CLOEXEC);
	err = -errno;
	if (f->fd < 0)
		goto free_file;
	err = SV_FAULT(ENOMEM) || ftruncate(f->fd, f->size) ? -errno : 0;
	if (err)
		goto close_fd;
	f->map = SV_FAULT(ENOMEM) ? MAP_FAILED : mmap(NULL, f->size, PROT_READ | PROT_WRITE,
						     MAP_SHARED, f->fd, 0);
	err = -errno;
	if (f->map == MAP_FAILED)
		goto close_fd;

	memcpy(f->map, &h, sizeof(h));
	snprintf((char *)f->map + h.id_offset, KVM_STATS_NAME_SIZE, "%s", id);
	d = (struct desc *)((char *)f->map + h.desc_offset);
	memcpy(d, descs, nr * sizeof(*d));
	for (d += nr; extra && *extra; extra++, d++, extra_offset += sizeof(u64)) {
		d->flags = COUNTER;
		d->size = 1;
		d->offset = extra_offset;
		snprintf(d->name, sizeof(d->name), "%s", *extra);
	}
	*data = (char *)f->map + h.data_offset;
	return f;

close_fd:
	close(f->fd);
free_file:
	sv_free(f);
	return ERR_PTR(err);
}

static long stats_open(const struct kvm_stats_file *f)
{
	char path[48];
	int fd;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", f->fd);
	fd = SV_FAULT(EMFILE) ? -1 : open(path, O_RDONLY | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

long kvm_vcpu_get_stats_fd(struct kvm_vcpu *vcpu)
{
	char id[KVM_STATS_NAME_SIZE];
	struct kvm_stats_file *f;
	void *data;

	if (!vcpu->stats_file) {
		snprintf(id, sizeof(id), "kvm-%d/vcpu-%u", (int)getpid(), vcpu->vcpu_id);
		f = stats_create(id, vcpu_descs, ARRAY_SIZE(vcpu_descs),
				 vcpu->kvm->ops->vcpu_stats, offsetof(struct kvm_vcpu_stat, arch),
				 sizeof(struct kvm_vcpu_stat), &data);
		if (IS_ERR(f))
			return PTR_ERR(f);
		vcpu->stats_file = f;
		memcpy(data, vcpu->stat, sizeof(*vcpu->stat));
		vcpu->stat = data;
	}
	return stats_open(vcpu->stats_file);
}

long kvm_vm_get_stats_fd(struct kvm *kvm)
{
	char id[KVM_STATS_NAME_SIZE];
	struct kvm_stats_file *f;
	void *data;
	long ret;

	sv_mutex_lock(&kvm->slots_lock);
	if (!kvm->stats_file) {
		snprintf(id, sizeof(id), "kvm-%d", (int)getpid());
		f = stats_create(id, vm_descs, ARRAY_SIZE(vm_descs), NULL, 0,
				 sizeof(struct kvm_vm_stat), &data);
		if (IS_ERR(f)) {
			sv_mutex_unlock(&kvm->slots_lock);
			return PTR_ERR(f);
		}
		kvm->stats_file = f;
		memcpy(data, kvm->stat, sizeof(*kvm->stat));
		kvm->stat = data;
	}
	ret = stats_open(kvm->stats_file);
	sv_mutex_unlock(&kvm->slots_lock);
	return ret;
}
