/* SPDX-License-Identifier: MIT */
/*
 * SBI steal time: how long the vCPU's thread waited for a CPU, told to the guest.
 *
 * Model: the guest names 64 bytes of its memory. Before the guest is entered, and when the
 * thread's run delay has grown, the delay's growth is added to the field steal, between
 * two increments of sequence. The delay is the host kernel's own account of the thread,
 * /proc/thread-self/schedstat, second field.
 *
 * When to look: the rseq word is left armed between runs while the feature is on; cleared,
 * it says that the thread lost its CPU since. Without rseq: at most once a millisecond.
 * Nothing is done for a guest that has not asked.
 *
 * Invariant: shmem is INVALID_GPA or 64-byte aligned; the register and the call both see
 * to it. A delay belongs to a thread: in a new thread the base is taken anew. If no memory
 * is left at shmem the feature turns itself off.
 */
#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "kvm/riscv/sbi.h"

#define SHMEM_SIZE 64
#define OFF_SEQUENCE 0
#define OFF_STEAL 8
#define LOOK_PERIOD_NS 1000000ull

static int open_schedstat(void)
{
	return SV_FAULT(EMFILE) ? -1 : open("/proc/thread-self/schedstat", O_RDONLY | O_CLOEXEC);
}

/* "running waiting slices": the second, or false. */
static bool read_delay(int fd, u64 *delay)
{
	char buf[96], *p;
	ssize_t n = pread(fd, buf, sizeof(buf) - 1, 0);

	if (n <= 0)
		return false;
	buf[n] = '\0';
	p = strchr(buf, ' ');
	if (!p)
		return false;
	*delay = strtoull(p + 1, NULL, 10);
	return true;
}

void sbi_sta_init(struct riscv_vcpu *v)
{
	v->sta.shmem = INVALID_GPA;
	v->sta.fd = -1;
}

void sbi_sta_destroy(struct riscv_vcpu *v)
{
	if (v->sta.fd >= 0)
		close(v->sta.fd);
}

void sbi_sta_reset(struct riscv_vcpu *v)
{
	v->sta.shmem = INVALID_GPA;
	v->sta.tid = 0;
}

/* From here on delays count. False: the host does not tell. */
static bool take_base(struct riscv_vcpu *v, int tid)
{
	if (v->sta.fd >= 0)
		close(v->sta.fd);
	v->sta.fd = open_schedstat();
	v->sta.tid = tid;
	return v->sta.fd >= 0 && read_delay(v->sta.fd, &v->sta.last_delay);
}

static bool slot_writable(struct kvm *kvm, u64 gpa)
{
	const struct kvm_memory_slot *s;
	bool ok;

	rcu_read_lock();
	s = gfn_to_memslot(kvm, gpa >> SV_PAGE_SHIFT);
	ok = s && !(s->flags & KVM_MEM_READONLY);
	rcu_read_unlock();
	return ok;
}

void sbi_sta_record(struct riscv_vcpu *v)
{
	struct kvm *kvm = v->vcpu.kvm;
	int tid = syscall(SYS_gettid);
	u64 shmem = v->sta.shmem, delay, steal;
	u32 sequence;

	if (v->sta.tid != tid) {
		take_base(v, tid);
		return;
	}
	if (v->sta.fd < 0 || !read_delay(v->sta.fd, &delay) || delay == v->sta.last_delay)
		return;
	if (!slot_writable(kvm, shmem)) {
		v->sta.shmem = INVALID_GPA;
		return;
	}
	/* Little-endian, as every host this runs on; the 64 bytes are in one page. */
	if (kvm_read_guest(kvm, shmem + OFF_SEQUENCE, &sequence, sizeof(sequence)) ||
	    kvm_read_guest(kvm, shmem + OFF_STEAL, &steal, sizeof(steal)))
		return;
	sequence |= 1;		/* odd: being written; a stray odd value stays odd */
	if (kvm_write_guest(kvm, shmem + OFF_SEQUENCE, &sequence, sizeof(sequence)))
		return;
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	steal += delay - v->sta.last_delay;
	if (!kvm_write_guest(kvm, shmem + OFF_STEAL, &steal, sizeof(steal)))
		v->sta.last_delay = delay;
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	sequence++;
	kvm_write_guest(kvm, shmem + OFF_SEQUENCE, &sequence, sizeof(sequence));
}

static s64 set_shmem(struct riscv_vcpu *v)
{
	static const u8 zero[SHMEM_SIZE];
	u64 lo = vcpu_x(v, X_A0), hi = vcpu_x(v, X_A1);

	if ((u32)vcpu_x(v, X_A2))
		return SBI_ERR_INVALID_PARAM;
	if (lo == ~0ull && hi == ~0ull) {
		v->sta.shmem = INVALID_GPA;
		return 0;
	}
	if (!IS_ALIGNED(lo, SHMEM_SIZE))
		return SBI_ERR_INVALID_PARAM;
	if (hi || !slot_writable(v->vcpu.kvm, lo))
		return SBI_ERR_INVALID_ADDRESS;
	if (kvm_write_guest(v->vcpu.kvm, lo, zero, sizeof(zero)))
		return SBI_ERR_INVALID_ADDRESS;
	if (!take_base(v, syscall(SYS_gettid)))
		return SBI_ERR_FAILURE;
	v->sta.shmem = lo;
	return 0;
}

static enum sbi_outcome sta_handler(struct riscv_vcpu *v, struct sbi_ret *ret)
{
	ret->err = vcpu_x(v, X_A6) == 0 ? set_shmem(v) : SBI_ERR_NOT_SUPPORTED;
	return SBI_DONE;
}

/* Does the host account run delays? */
static u64 sta_probe(struct riscv_vcpu *v)
{
	static int known;	/* 0: not asked, 1: no, 2: yes */
	int k = READ_ONCE(known), fd;
	u64 delay;

	if (!k) {
		fd = open_schedstat();
		if (fd < 0 && errno != ENOENT)
			return 0;	/* no descriptor to be had: ask again next time */
		k = fd >= 0 && read_delay(fd, &delay) ? 2 : 1;
		if (fd >= 0)
			close(fd);
		WRITE_ONCE(known, k);
	}
	return k == 2;
}

int sbi_sta_set_reg(struct riscv_vcpu *v, u64 num, u64 val)
{
	switch (num) {
	case KVM_REG_RISCV_SBI_STA_REG(shmem_lo):
		if (val != INVALID_GPA && !IS_ALIGNED(val, SHMEM_SIZE))
			return -EINVAL;
		v->sta.shmem = val;
		v->sta.tid = 0;
		return 0;
	case KVM_REG_RISCV_SBI_STA_REG(shmem_hi):
		/* Always 0 on RV64. Writing that changes nothing, in whatever order. */
		return val ? -EINVAL : 0;
	default:
		return -ENOENT;
	}
}

int sbi_sta_get_reg(struct riscv_vcpu *v, u64 num, u64 *val)
{
	switch (num) {
	case KVM_REG_RISCV_SBI_STA_REG(shmem_lo):
		*val = v->sta.shmem;
		return 0;
	case KVM_REG_RISCV_SBI_STA_REG(shmem_hi):
		*val = 0;
		return 0;
	default:
		return -ENOENT;
	}
}

const struct sbi_ext sbi_ext_sta = {
	.first = SBI_ID_STA, .last = SBI_ID_STA, .handler = sta_handler, .probe = sta_probe,
};
