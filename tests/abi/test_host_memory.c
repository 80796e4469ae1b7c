/* SPDX-License-Identifier: MIT */
/*
 * What a program may do to the memory behind a slot, while the guest uses it: the guest
 * follows as with the kernel's KVM, whose MMU notifiers tell it of each change. (The engine
 * keeps host addresses, so the host's page tables have the last word.)
 */
#include <linux/userfaultfd.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "abi.h"

#define GPA 0x30000000ull
#define HUGE (2ul << 20)
/* How long a guest counts. */
#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
#define MILLION 50000ull
#else
#define MILLION 1000000ull
#endif
#define ADD(rd, a, b) (0x33u | (rd) << 7 | (a) << 15 | (b) << 20)
#define BNEZ(rs, off) (0x63u | ((off) >> 11 & 1) << 7 | ((off) >> 1 & 15) << 8 | 1 << 12 | \
		       (rs) << 15 | ((off) >> 5 & 0x3f) << 25 | ((u32)(off) >> 12 & 1) << 31)

static void slot(struct abi *a, void *host, u64 size)
{
	abi_up(a);
	assert_return_code(abi_region(a->vm, 1, 0, GPA, size, host), errno);
}

static void set_args(struct abi *a, u64 address, u64 count)
{
	assert_return_code(abi_set(a->vcpu, REG_CORE(regs.a0), address), errno);
	assert_return_code(abi_set(a->vcpu, REG_CORE(regs.a1), count), errno);
	assert_return_code(abi_set(a->vcpu, REG_CORE(regs.pc), ABI_RAM), errno);
}

/* a2 = the sum of the words at a0, a0 + 4096, ... (a1 of them). */
static void load_sum(struct abi *a)
{
	abi_guest(a, LI(A2, 0), LUI(T0, 1), /* 1: */ LD(T1, A0, 0), ADD(A2, A2, T1),
		  ADD(A0, A0, T0), ADDI(A1, A1, -1), BNEZ(A1, -16), DONE(T2));
}

static u64 sum(struct abi *a, u64 pages)
{
	load_sum(a);
	set_args(a, GPA, pages);
	abi_run_done(a);
	return abi_reg(a->vcpu, REG_CORE(regs.a2));
}

/* Adds 1 to the word at a0, a1 times. */
static void load_count(struct abi *a, u64 times)
{
	abi_guest(a, LD(T1, A0, 0), ADDI(T1, T1, 1), SD(T1, A0, 0), ADDI(A1, A1, -1),
		  BNEZ(A1, -16), DONE(T2));
	set_args(a, GPA, times);
}

/* Until the word at a0 is 0. */
static void load_wait(struct abi *a, u64 address)
{
	abi_guest(a, LD(T1, A0, 0), BNEZ(T1, -4), DONE(T2));
	set_args(a, address, 0);
}

static void *run_thread(void *arg)
{
	struct abi *a = arg;
	int ret = abi_run(a);

	return (void *)(intptr_t)(ret || a->run->mmio.phys_addr != ABI_DONE);
}

static void start(pthread_t *t, struct abi *a)
{
	assert_int_equal(pthread_create(t, NULL, run_thread, a), 0);
}

static void finish(pthread_t t)
{
	void *bad;

	pthread_join(t, &bad);
	assert_null(bad);
}

/* --- userfaultfd ------------------------------------------------------------------------- */

struct pager {
	pthread_t thread;
	int uffd, stop;
	u8 *base;
	unsigned int served;
};

/* Page n's first word is n + 1. */
static void *pager(void *arg)
{
	struct pager *p = arg;
	u64 page[512] = { 0 };
	struct uffd_msg msg;

	for (;;) {
		struct pollfd pfd[2] = { { p->uffd, POLLIN, 0 }, { p->stop, POLLIN, 0 } };
		struct uffdio_copy copy = { .src = (uintptr_t)page, .len = 4096 };

		poll(pfd, 2, -1);
		if (pfd[1].revents)
			return NULL;
		if (read(p->uffd, &msg, sizeof(msg)) != sizeof(msg) ||
		    msg.event != UFFD_EVENT_PAGEFAULT)
			continue;
		copy.dst = msg.arg.pagefault.address & ~4095ull;
		page[0] = (copy.dst - (uintptr_t)p->base) / 4096 + 1;
		__atomic_fetch_add(&p->served, 1, __ATOMIC_RELAXED);
		ioctl(p->uffd, UFFDIO_COPY, &copy);
	}
}

static void pager_start(struct pager *p, u8 *base, u64 size, int stop)
{
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register reg = {
		.range = { (uintptr_t)base, size }, .mode = UFFDIO_REGISTER_MODE_MISSING,
	};

	/* Our faults are user mode's, so this needs no right. */
	*p = (struct pager){ .base = base, .stop = stop };
	p->uffd = syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK | UFFD_USER_MODE_ONLY);
	assert_return_code(p->uffd, errno);
	assert_return_code(ioctl(p->uffd, UFFDIO_API, &api), errno);
	assert_return_code(ioctl(p->uffd, UFFDIO_REGISTER, &reg), errno);
	assert_int_equal(pthread_create(&p->thread, NULL, pager, p), 0);
}

static unsigned int served(const struct pager *p)
{
	return __atomic_load_n(&p->served, __ATOMIC_RELAXED);
}

static void missing_pages_wait_for_userfaultfd(void **state)
{
	enum { PAGES = 64 };
	struct kvm_pre_fault_memory ahead = { .gpa = GPA, .size = 4 * 4096 };
	u8 *m = abi_memory(PAGES * 4096);
	struct pager p;
	struct abi a;
	int stop[2];

	assert_return_code(pipe(stop), errno);
	pager_start(&p, m, PAGES * 4096, stop[0]);
	/* The slot's creation touches nothing, and neither does a log. */
	slot(&a, m, PAGES * 4096);
	assert_return_code(abi_region(a.vm, 1, KVM_MEM_LOG_DIRTY_PAGES, GPA, PAGES * 4096, m),
			   errno);
	assert_int_equal(served(&p), 0);
	assert_return_code(softvirt_ioctl(a.vcpu, KVM_PRE_FAULT_MEMORY, &ahead), errno);
	assert_int_equal(ahead.size, 0);
	assert_int_equal(served(&p), 4);
	assert_int_equal(sum(&a, PAGES), PAGES * (PAGES + 1) / 2);
	assert_int_equal(served(&p), PAGES);
	/* Taken away, they are missing again: the guest had them in its TLB. */
	assert_return_code(madvise(m, PAGES * 4096, MADV_DONTNEED), errno);
	load_count(&a, 7);
	abi_run_done(&a);
	assert_int_equal(served(&p), PAGES + 1);
	assert_int_equal(*(u64 *)m, 1 + 7);
	assert_int_equal(write(stop[1], "x", 1), 1);
	pthread_join(p.thread, NULL);
	close(p.uffd);
	close(stop[0]);
	close(stop[1]);
	abi_down(&a);
	munmap(m, PAGES * 4096);
}

struct waiter {
	struct abi *a;
	bool ahead;		/* KVM_PRE_FAULT_MEMORY, else KVM_RUN */
	int ret, deleted;
};

static void *touch_thread(void *arg)
{
	struct kvm_pre_fault_memory range = { .gpa = GPA, .size = 4096 };
	struct waiter *w = arg;

	w->ret = w->ahead ? softvirt_ioctl(w->a->vcpu, KVM_PRE_FAULT_MEMORY, &range) : abi_run(w->a);
	return NULL;
}

static void *delete_thread(void *arg)
{
	struct waiter *w = arg;

	if (abi_region(w->a->vm, 1, 0, GPA, 0, NULL))
		w->ret = -1;
	__atomic_store_n(&w->deleted, 1, __ATOMIC_SEQ_CST);
	return NULL;
}

/* A vCPU that waits for a page is not done with the slot, so neither is who deletes it. */
static void delete_waits(bool ahead)
{
	struct uffdio_api api = { .api = UFFD_API };
	u8 *m = abi_memory(4096), page[4096] = { 0 };
	struct uffdio_register reg = {
		.range = { (uintptr_t)m, 4096 }, .mode = UFFDIO_REGISTER_MODE_MISSING,
	};
	struct uffdio_copy copy = { .dst = (uintptr_t)m, .src = (uintptr_t)page, .len = 4096 };
	struct abi a;
	struct waiter w = { .a = &a, .ahead = ahead };
	pthread_t toucher, deleter;
	struct uffd_msg msg;
	int uffd = syscall(SYS_userfaultfd, O_CLOEXEC | UFFD_USER_MODE_ONLY);

	assert_return_code(uffd, errno);
	assert_return_code(ioctl(uffd, UFFDIO_API, &api), errno);
	assert_return_code(ioctl(uffd, UFFDIO_REGISTER, &reg), errno);
	slot(&a, m, 4096);
	abi_guest(&a, LD(A1, A0, 0), DONE(T2));
	set_args(&a, GPA, 0);
	assert_int_equal(pthread_create(&toucher, NULL, touch_thread, &w), 0);
	assert_int_equal(read(uffd, &msg, sizeof(msg)), sizeof(msg));	/* it waits now */
	assert_int_equal(pthread_create(&deleter, NULL, delete_thread, &w), 0);
	usleep(50000);
	assert_int_equal(__atomic_load_n(&w.deleted, __ATOMIC_SEQ_CST), 0);
	assert_return_code(ioctl(uffd, UFFDIO_COPY, &copy), errno);
	pthread_join(toucher, NULL);
	pthread_join(deleter, NULL);
	assert_int_equal(w.ret, 0);
	close(uffd);
	abi_down(&a);
	munmap(m, 4096);
}

static void deleting_a_slot_waits_for_a_guest_in_it(void **state)
{
	delete_waits(false);
}

static void deleting_a_slot_waits_for_pre_fault(void **state)
{
	delete_waits(true);
}

/* --- madvise ----------------------------------------------------------------------------- */

static void dontneed_gives_zeros_while_it_runs(void **state)
{
	u8 *m = abi_memory(4096);
	struct abi a;
	pthread_t t;

	slot(&a, m, 4096);
	for (int i = 0; i < 50; i++) {
		*(volatile u64 *)m = 1;
		load_wait(&a, GPA);
		start(&t, &a);
		assert_return_code(madvise(m, 4096, MADV_DONTNEED), errno);
		finish(t);
	}
	abi_down(&a);
	munmap(m, 4096);
}

static void dontneed_gives_the_files_new_content(void **state)
{
	int fd = memfd_create("host-memory", MFD_CLOEXEC);
	u64 word = 1;
	struct abi a;
	pthread_t t;
	u8 *m;

	assert_int_equal(pwrite(fd, &word, 8, 0), 8);
	assert_return_code(ftruncate(fd, 4096), errno);
	m = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
	slot(&a, m, 4096);
	/* The guest's own copy hides the file's change until it is dropped. */
	load_count(&a, 5);
	abi_run_done(&a);
	word = 0;
	assert_int_equal(pwrite(fd, &word, 8, 0), 8);
	load_wait(&a, GPA);
	start(&t, &a);
	assert_int_equal(*(volatile u64 *)m, 6);
	assert_return_code(madvise(m, 4096, MADV_DONTNEED), errno);
	finish(t);
	munmap(m, 4096);
	close(fd);
	abi_down(&a);
}

/* --- mprotect ---------------------------------------------------------------------------- */

struct counter {
	struct abi a;
	unsigned int faults, wrong;
	int done;
};

/* Runs on after each fault, as a program that mends the memory would. */
static void *count_thread(void *arg)
{
	struct counter *c = arg;

	for (;;) {
		int ret = abi_run(&c->a);

		if (!ret)
			break;
		__atomic_fetch_add(&c->faults, 1, __ATOMIC_SEQ_CST);
		if (errno != EFAULT || c->a.run->exit_reason != KVM_EXIT_MEMORY_FAULT ||
		    SOFTVIRT_MEMORY_FAULT(c->a.run)->gpa != GPA ||
		    SOFTVIRT_MEMORY_FAULT(c->a.run)->flags) {
			c->wrong++;
			break;
		}
	}
	c->wrong += c->a.run->exit_reason != KVM_EXIT_MMIO;
	__atomic_store_n(&c->done, 1, __ATOMIC_SEQ_CST);
	return NULL;
}

static unsigned int faults(const struct counter *c)
{
	return __atomic_load_n(&c->faults, __ATOMIC_SEQ_CST);
}

static bool done(const struct counter *c)
{
	return __atomic_load_n(&c->done, __ATOMIC_SEQ_CST);
}

/* No increment is lost or made twice, wherever the protection strikes. */
static void protection_stops_and_continues(int prot)
{
	const u64 times = 3 * MILLION;
	u8 *m = abi_memory(4096);
	struct counter c = { 0 };
	pthread_t t;

	slot(&c.a, m, 4096);
	load_count(&c.a, times);
	assert_int_equal(pthread_create(&t, NULL, count_thread, &c), 0);
	while (!done(&c)) {
		assert_return_code(mprotect(m, 4096, prot), errno);
		/* Until it has struck. */
		for (unsigned int was = faults(&c); faults(&c) == was && !done(&c);)
			usleep(50);
		assert_return_code(mprotect(m, 4096, PROT_READ | PROT_WRITE), errno);
		usleep(200);
	}
	pthread_join(t, NULL);
	assert_int_equal(c.wrong, 0);
	assert_int_equal(*(u64 *)m, times);
	assert_true(c.faults > 0);
	abi_down(&c.a);
	munmap(m, 4096);
}

static void no_access_stops_it_and_it_continues(void **state)
{
	protection_stops_and_continues(PROT_NONE);
}

static void read_only_stops_stores_and_they_continue(void **state)
{
	protection_stops_and_continues(PROT_READ);
}

/* Of an access to two pages the one that is not there; of a page table the table's page. */
static void the_fault_names_the_page_that_is_missing(void **state)
{
	u8 *m = abi_memory(3 * 4096);
	struct abi a;

	slot(&a, m, 3 * 4096);
	abi_guest(&a, SD(A1, A0, 0), DONE(T2));
	assert_return_code(mprotect(m + 4096, 4096, PROT_NONE), errno);
	set_args(&a, GPA + 4096 - 4, 0x1122334455667788);
	assert_errno(abi_run(&a), EFAULT);
	assert_int_equal(SOFTVIRT_MEMORY_FAULT(a.run)->gpa, GPA + 4096);
	assert_return_code(mprotect(m + 4096, 4096, PROT_READ | PROT_WRITE), errno);
	abi_run_done(&a);
	assert_int_equal(*(u32 *)(m + 4096), 0x11223344);
	/* Code, too. */
	memcpy(m, (u32[]){ DONE(T2), DONE(T2) }, 8);
	assert_return_code(abi_set(a.vcpu, REG_CORE(regs.pc), GPA), errno);
	abi_run_done(&a);
	assert_return_code(mprotect(m, 4096, PROT_NONE), errno);
	assert_return_code(abi_set(a.vcpu, REG_CORE(regs.pc), GPA), errno);
	assert_errno(abi_run(&a), EFAULT);
	assert_int_equal(SOFTVIRT_MEMORY_FAULT(a.run)->gpa, GPA);
	assert_int_equal(abi_reg(a.vcpu, REG_CORE(regs.pc)), GPA);
	/* Sv39 with its root in the slot's last page, which maps the first GiBs one to one. */
	for (u64 i = 0; i < 512; i++)
		((u64 *)(m + 8192))[i] = i << 28 | 0xcf;
	assert_return_code(mprotect(m, 4096, PROT_READ | PROT_WRITE), errno);
	abi_guest(&a, SD(A1, A0, 0), DONE(T2));
	assert_return_code(abi_set(a.vcpu, REG_CSR(satp), 8ull << 60 | (GPA + 8192) >> 12), errno);
	set_args(&a, GPA, 5);
	abi_run_done(&a);
	assert_int_equal(*(u64 *)m, 5);
	assert_return_code(mprotect(m + 8192, 4096, PROT_NONE), errno);
	assert_return_code(abi_set(a.vcpu, REG_CSR(satp), 8ull << 60 | 1ull << 44 |
				   (GPA + 8192) >> 12), errno);
	set_args(&a, GPA, 6);
	assert_errno(abi_run(&a), EFAULT);
	assert_int_equal(SOFTVIRT_MEMORY_FAULT(a.run)->gpa, GPA + 8192);
	assert_return_code(mprotect(m + 8192, 4096, PROT_READ), errno);
	abi_run_done(&a);
	assert_int_equal(*(u64 *)m, 6);
	abi_down(&a);
	munmap(m, 3 * 4096);
}

/* --- files ------------------------------------------------------------------------------- */

static void a_shared_file_is_seen_by_every_mapping(void **state)
{
	int fd = memfd_create("host-memory", MFD_CLOEXEC);
	volatile u64 *other;
	struct abi a;
	pthread_t t;
	u64 word;
	u8 *m;

	assert_return_code(ftruncate(fd, 8192), errno);
	m = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	other = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	slot(&a, m, 8192);
	load_count(&a, 9);
	abi_run_done(&a);
	assert_int_equal(other[0], 9);
	assert_int_equal(pread(fd, &word, 8, 0), 8);
	assert_int_equal(word, 9);
	load_wait(&a, GPA);
	start(&t, &a);
	other[0] = 0;
	finish(t);
	/* write(2), too. */
	other[0] = 1;
	load_wait(&a, GPA);
	start(&t, &a);
	word = 0;
	assert_int_equal(pwrite(fd, &word, 8, 0), 8);
	finish(t);
	munmap((void *)other, 8192);
	munmap(m, 8192);
	close(fd);
	abi_down(&a);
}

/* The host raises SIGBUS then. */
static void a_truncated_file_is_efault_until_it_grows(void **state)
{
	int fd = memfd_create("host-memory", MFD_CLOEXEC);
	struct counter c = { 0 };
	pthread_t t;
	u8 *m;

	assert_return_code(ftruncate(fd, 8192), errno);
	m = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	slot(&c.a, m, 8192);
	load_count(&c.a, 5);
	abi_run_done(&c.a);
	assert_return_code(ftruncate(fd, 0), errno);
	set_args(&c.a, GPA, 5);
	for (int i = 0; i < 3; i++) {
		assert_errno(abi_run(&c.a), EFAULT);
		assert_int_equal(c.a.run->exit_reason, KVM_EXIT_MEMORY_FAULT);
		assert_int_equal(SOFTVIRT_MEMORY_FAULT(c.a.run)->gpa, GPA);
		assert_int_equal(abi_reg(c.a.vcpu, REG_CORE(regs.pc)), ABI_RAM);
	}
	assert_return_code(ftruncate(fd, 4096), errno);
	abi_run_done(&c.a);
	assert_int_equal(*(u64 *)m, 5);
	/* And while it runs. */
	load_count(&c.a, MILLION);
	assert_int_equal(pthread_create(&t, NULL, count_thread, &c), 0);
	while (!done(&c)) {
		assert_return_code(ftruncate(fd, 0), errno);
		usleep(50);
		assert_return_code(ftruncate(fd, 4096), errno);
		usleep(200);
	}
	pthread_join(t, NULL);
	assert_int_equal(c.wrong, 0);
	munmap(m, 8192);
	close(fd);
	abi_down(&c.a);
}

/* --- huge pages -------------------------------------------------------------------------- */

static void fill(u8 *m, u64 pages)
{
	for (u64 i = 0; i < pages; i++)
		*(u64 *)(m + i * 4096) = i + 1;
}

static void huge_pages_come_and_are_split(void **state)
{
	const u64 pages = 2 * HUGE / 4096;
	u8 *all = abi_memory(3 * HUGE), *m = (u8 *)ALIGN_UP((uintptr_t)all, HUGE);
	struct abi a;

	if (madvise(m, 2 * HUGE, MADV_HUGEPAGE))
		print_message("# no transparent huge pages here: ordinary ones\n");
	slot(&a, m, 2 * HUGE);
	load_count(&a, 3);
	abi_run_done(&a);
	fill(m, pages);
	assert_int_equal(sum(&a, pages), pages * (pages + 1) / 2);
	/* One small page out of the middle of a huge one. */
	assert_return_code(madvise(m + 100 * 4096, 4096, MADV_DONTNEED), errno);
	assert_int_equal(sum(&a, pages), pages * (pages + 1) / 2 - 101);
	assert_return_code(madvise(m, 2 * HUGE, MADV_NOHUGEPAGE), errno);
	assert_return_code(madvise(m, HUGE, MADV_DONTNEED), errno);
	assert_int_equal(sum(&a, pages / 2), 0);
	abi_down(&a);
	munmap(all, 3 * HUGE);
}

/* As root; by one, since others may have some. */
static bool hugetlb_reserve(int more)
{
	FILE *f = fopen("/proc/sys/vm/nr_hugepages", "r+e");
	long now;
	bool ok;

	if (!f)
		return false;
	ok = fscanf(f, "%ld", &now) == 1;
	rewind(f);
	ok = ok && fprintf(f, "%ld\n", now + more) > 0;
	return fclose(f) == 0 && ok;
}

static void *hugetlb_map(void)
{
	return mmap(NULL, HUGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB,
		    -1, 0);
}

static void hugetlb_memory_is_memory(void **state)
{
	const u64 pages = HUGE / 4096;
	u8 *m = hugetlb_map();
	struct abi a;

	assert_ptr_not_equal(m, MAP_FAILED);
	slot(&a, m, HUGE);
	load_count(&a, 3);
	abi_run_done(&a);
	assert_int_equal(*(u64 *)m, 3);
	fill(m, pages);
	assert_int_equal(sum(&a, pages), pages * (pages + 1) / 2);
	assert_return_code(mprotect(m, HUGE, PROT_NONE), errno);
	set_args(&a, GPA, 1);
	assert_errno(abi_run(&a), EFAULT);
	abi_down(&a);
	munmap(m, HUGE);
}

/* --- fork, mremap ------------------------------------------------------------------------ */

static void a_forked_child_shares_shared_memory(void **state)
{
	volatile u64 *m = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	u64 *own = abi_memory(4096);
	int status;
	struct abi a;
	pid_t pid;

	slot(&a, (void *)m, 4096);
	assert_return_code(abi_region(a.vm, 2, 0, GPA + 4096, 4096, own), errno);
	m[0] = 1;
	own[0] = 1;
	load_wait(&a, GPA);
	pid = fork();
	assert_true(pid >= 0);
	if (!pid) {
		own[0] = 99;	/* the child's copy */
		m[0] = 0;
		_exit(0);
	}
	/* What the guest waits for comes from the other process. */
	abi_run_done(&a);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	/* After the fork both write copies; the guest writes the parent's. */
	abi_guest(&a, LD(T1, A0, 0), ADDI(T1, T1, 1), SD(T1, A0, 0), DONE(T2));
	set_args(&a, GPA + 4096, 0);
	abi_run_done(&a);
	assert_int_equal(own[0], 2);
	abi_down(&a);
	munmap((void *)m, 4096);
	munmap(own, 4096);
}

/* A copy-on-write break by the fork while the guest has the page in its TLB. */
static void fork_while_it_runs_loses_no_store(void **state)
{
	const u64 times = 2 * MILLION;
	u8 *m = abi_memory(4096);
	struct counter c = { 0 };
	pthread_t t;

	slot(&c.a, m, 4096);
	load_count(&c.a, times);
	assert_int_equal(pthread_create(&t, NULL, count_thread, &c), 0);
	while (!done(&c)) {
		pid_t pid = fork();

		assert_true(pid >= 0);
		if (!pid)
			_exit(0);
		waitpid(pid, NULL, 0);
	}
	pthread_join(t, NULL);
	assert_int_equal(c.wrong, 0);
	assert_int_equal(c.faults, 0);
	assert_int_equal(*(u64 *)m, times);
	abi_down(&c.a);
	munmap(m, 4096);
}

/* A slot is an address, not what lies there. */
static void mremap_takes_memory_away_and_brings_other(void **state)
{
	u8 *m = abi_memory(2 * 4096), *away = abi_memory(4096), *other = abi_memory(4096);
	struct abi a;

	slot(&a, m, 2 * 4096);
	load_count(&a, 4);
	abi_run_done(&a);
	assert_ptr_equal(mremap(m, 4096, 4096, MREMAP_MAYMOVE | MREMAP_FIXED, away), away);
	set_args(&a, GPA, 4);
	assert_errno(abi_run(&a), EFAULT);
	assert_int_equal(*(u64 *)away, 4);
	/* Something else in its place. */
	*(u64 *)other = 100;
	assert_ptr_equal(mremap(other, 4096, 4096, MREMAP_MAYMOVE | MREMAP_FIXED, m), m);
	abi_run_done(&a);
	assert_int_equal(*(u64 *)m, 104);
	assert_int_equal(*(u64 *)away, 4);
	abi_down(&a);
	munmap(m, 2 * 4096);
	munmap(away, 4096);
}

static bool has_userfaultfd(void)
{
	int fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | UFFD_USER_MODE_ONLY);

	if (fd >= 0)
		close(fd);
	return fd >= 0;
}

/* One that is there already, or that may be reserved: *reserved must be given back. */
static bool has_huge_page(bool *reserved)
{
	void *p = hugetlb_map();

	*reserved = p == MAP_FAILED && hugetlb_reserve(1);
	if (p == MAP_FAILED)
		p = hugetlb_map();
	if (p != MAP_FAILED)
		return !munmap(p, HUGE);
	if (*reserved)
		hugetlb_reserve(-1);
	*reserved = false;
	return false;
}

/* What a host lacks is left out, and said: nothing of ours can be tested there. */
int main(void)
{
	const struct CMUnitTest always[] = {
		cmocka_unit_test(dontneed_gives_zeros_while_it_runs),
		cmocka_unit_test(dontneed_gives_the_files_new_content),
		cmocka_unit_test(no_access_stops_it_and_it_continues),
		cmocka_unit_test(read_only_stops_stores_and_they_continue),
		cmocka_unit_test(the_fault_names_the_page_that_is_missing),
		cmocka_unit_test(a_shared_file_is_seen_by_every_mapping),
		cmocka_unit_test(a_truncated_file_is_efault_until_it_grows),
		cmocka_unit_test(huge_pages_come_and_are_split),
		cmocka_unit_test(a_forked_child_shares_shared_memory),
		cmocka_unit_test(fork_while_it_runs_loses_no_store),
		cmocka_unit_test(mremap_takes_memory_away_and_brings_other),
	};
	const struct CMUnitTest uffd[] = {
		cmocka_unit_test(missing_pages_wait_for_userfaultfd),
		cmocka_unit_test(deleting_a_slot_waits_for_a_guest_in_it),
		cmocka_unit_test(deleting_a_slot_waits_for_pre_fault),
	};
	const struct CMUnitTest huge = cmocka_unit_test(hugetlb_memory_is_memory);
	struct CMUnitTest tests[ARRAY_SIZE(always) + ARRAY_SIZE(uffd) + 1];
	size_t nr = ARRAY_SIZE(always);
	bool reserved;
	int ret;

	memcpy(tests, always, sizeof(always));
	if (has_userfaultfd()) {
		memcpy(tests + nr, uffd, sizeof(uffd));
		nr += ARRAY_SIZE(uffd);
	} else {
		printf("# left out: userfaultfd(2) is not allowed here: %s\n", strerror(errno));
	}
	if (has_huge_page(&reserved))
		tests[nr++] = huge;
	else
		printf("# left out: no huge page can be had here: %s\n", strerror(errno));
	ret = _cmocka_run_group_tests("tests", tests, nr, NULL, NULL);
	if (reserved && !hugetlb_reserve(-1))
		ret = 1;
	return ret;
}
