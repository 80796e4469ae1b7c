/* SPDX-License-Identifier: MIT */
/* KVM_PRE_FAULT_MEMORY */
#include <linux/falloc.h>
#include <pthread.h>
#include <signal.h>
#include <sys/stat.h>

#include "abi.h"

#define GPA 0x30000000ull
#define PAGES 64ull
#define SIZE (PAGES * 4096)

static int pre_fault(int vcpu, struct kvm_pre_fault_memory *r, u64 gpa, u64 size)
{
	*r = (struct kvm_pre_fault_memory){ .gpa = gpa, .size = size };
	return softvirt_ioctl(vcpu, KVM_PRE_FAULT_MEMORY, r);
}

static unsigned int resident(void *at, u64 pages)
{
	unsigned char vec[PAGES];
	unsigned int n = 0;

	assert_return_code(mincore(at, pages * 4096, vec), errno);
	for (u64 i = 0; i < pages; i++)
		n += vec[i] & 1;
	return n;
}

static void wrong_ranges_and_flags_are_einval(void **state)
{
	struct kvm_pre_fault_memory r;
	struct abi a;

	abi_up(&a);
	assert_errno(pre_fault(a.vcpu, &r, ABI_RAM, 0), EINVAL);
	assert_errno(pre_fault(a.vcpu, &r, ABI_RAM + 1, 4096), EINVAL);
	assert_errno(pre_fault(a.vcpu, &r, ABI_RAM, 4095), EINVAL);
	assert_errno(pre_fault(a.vcpu, &r, -4096ull, 4096), EINVAL);
	assert_errno(pre_fault(a.vcpu, &r, -4096ull, 8192), EINVAL);
	r = (struct kvm_pre_fault_memory){ .gpa = ABI_RAM, .size = 4096, .flags = 1 };
	assert_errno(softvirt_ioctl(a.vcpu, KVM_PRE_FAULT_MEMORY, &r), EINVAL);
	assert_errno(softvirt_ioctl(a.vcpu, KVM_PRE_FAULT_MEMORY, abi_bad_page()), EFAULT);
	assert_errno(softvirt_ioctl(a.vm, KVM_PRE_FAULT_MEMORY, &r), EINVAL);
	abi_down(&a);
}

static void pages_come_in_and_the_range_says_so(void **state)
{
	struct kvm_pre_fault_memory r;
	int fd = memfd_create("pre-fault", MFD_CLOEXEC);
	struct stat st;
	struct abi a;
	u8 *m;

	abi_up(&a);
	assert_return_code(ftruncate(fd, SIZE), errno);
	m = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	assert_ptr_not_equal(m, MAP_FAILED);
	assert_return_code(abi_region(a.vm, 1, 0, GPA, SIZE, m), errno);
	assert_int_equal(resident(m, PAGES), 0);
	assert_return_code(pre_fault(a.vcpu, &r, GPA + 4096, 8 * 4096), errno);
	assert_int_equal(r.gpa, GPA + 9 * 4096);
	assert_int_equal(r.size, 0);
	assert_int_equal(resident(m + 4096, 8), 8);
	assert_return_code(fstat(fd, &st), errno);
	assert_int_equal(st.st_blocks, 8 * 8);
	munmap(m, SIZE);
	close(fd);
	abi_down(&a);
}

static void where_no_slot_is_it_is_enoent(void **state)
{
	struct kvm_pre_fault_memory r;
	struct abi a;

	abi_up(&a);
	assert_errno(pre_fault(a.vcpu, &r, GPA, 4096), ENOENT);
	assert_int_equal(r.gpa, GPA);
	assert_int_equal(r.size, 4096);
	/* Up to the slot's end; the rest is the next call's. */
	assert_return_code(pre_fault(a.vcpu, &r, ABI_RAM + ABI_RAM_SIZE - 4096, 3 * 4096), errno);
	assert_int_equal(r.gpa, ABI_RAM + ABI_RAM_SIZE);
	assert_int_equal(r.size, 2 * 4096);
	assert_errno(softvirt_ioctl(a.vcpu, KVM_PRE_FAULT_MEMORY, &r), ENOENT);
	abi_down(&a);
}

static void memory_that_is_not_there_is_efault(void **state)
{
	struct kvm_pre_fault_memory r;
	u8 *m = abi_memory(SIZE);
	struct abi a;

	abi_up(&a);
	assert_return_code(abi_region(a.vm, 1, 0, GPA, SIZE, m), errno);
	assert_return_code(mprotect(m + 8192, 4096, PROT_NONE), errno);
	assert_return_code(pre_fault(a.vcpu, &r, GPA, SIZE), errno);
	assert_int_equal(r.gpa, GPA + 8192);
	assert_int_equal(r.size, SIZE - 8192);
	assert_errno(softvirt_ioctl(a.vcpu, KVM_PRE_FAULT_MEMORY, &r), EFAULT);
	assert_int_equal(r.gpa, GPA + 8192);
	munmap(m, SIZE);
	abi_down(&a);
}

/* A read: a read-only slot will do, nothing is dirty, private copies are not made. */
static void it_reads_only(void **state)
{
	struct kvm_pre_fault_memory r;
	u64 bits[1] = { 1 };
	struct kvm_dirty_log log = { .slot = 1, .dirty_bitmap = bits };
	int fd = memfd_create("pre-fault", MFD_CLOEXEC);
	struct abi a;
	u8 *m;

	abi_up(&a);
	assert_return_code(ftruncate(fd, SIZE), errno);
	m = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
	assert_return_code(abi_region(a.vm, 1, KVM_MEM_LOG_DIRTY_PAGES, GPA, SIZE, m), errno);
	assert_return_code(pre_fault(a.vcpu, &r, GPA, SIZE), errno);
	assert_int_equal(r.size, 0);
	assert_return_code(softvirt_ioctl(a.vm, KVM_GET_DIRTY_LOG, &log), errno);
	assert_int_equal(bits[0], 0);
	assert_int_equal(pwrite(fd, "x", 1, 5 * 4096), 1);
	assert_int_equal(m[5 * 4096], 'x');
	assert_return_code(abi_region(a.vm, 1, 0, GPA, 0, m), errno);
	assert_return_code(mprotect(m, SIZE, PROT_READ), errno);
	assert_return_code(abi_region(a.vm, 1, KVM_MEM_READONLY, GPA, SIZE, m), errno);
	assert_return_code(pre_fault(a.vcpu, &r, GPA, SIZE), errno);
	assert_int_equal(r.size, 0);
	munmap(m, SIZE);
	close(fd);
	abi_down(&a);
}

static void private_pages_come_into_the_guest_memfd(void **state)
{
	struct kvm_create_guest_memfd c = { .size = SIZE };
	struct kvm_userspace_memory_region2 region = {
		.slot = 1, .flags = KVM_MEM_GUEST_MEMFD, .guest_phys_addr = GPA, .memory_size = SIZE,
	};
	struct kvm_memory_attributes private = {
		.address = GPA, .size = 4 * 4096, .attributes = KVM_MEMORY_ATTRIBUTE_PRIVATE,
	};
	struct kvm_pre_fault_memory r;
	u8 *m = abi_memory(SIZE);
	struct stat st;
	struct abi a;
	int fd;

	memset(&a, 0, sizeof(a));
	a.kvm = abi_open();
	a.vm = softvirt_ioctl(a.kvm, KVM_CREATE_VM, KVM_RISCV_SW_PROTECTED_VM);
	a.vcpu = softvirt_ioctl(a.vm, KVM_CREATE_VCPU, 0);
	fd = softvirt_ioctl(a.vm, KVM_CREATE_GUEST_MEMFD, &c);
	assert_true(fd >= 0 && a.vcpu >= 0);
	region.userspace_addr = (uintptr_t)m;
	region.guest_memfd = fd;
	assert_return_code(softvirt_ioctl(a.vm, KVM_SET_USER_MEMORY_REGION2, &region), errno);
	assert_return_code(softvirt_ioctl(a.vm, KVM_SET_MEMORY_ATTRIBUTES, &private), errno);
	assert_return_code(pre_fault(a.vcpu, &r, GPA, SIZE), errno);
	assert_int_equal(r.size, 0);
	assert_return_code(fstat(fd, &st), errno);
	assert_int_equal(st.st_blocks, 4 * 8);
	/* Private and no slot: not ENOENT, as it is no device either. */
	private.address = GPA + SIZE;
	assert_return_code(softvirt_ioctl(a.vm, KVM_SET_MEMORY_ATTRIBUTES, &private), errno);
	assert_errno(pre_fault(a.vcpu, &r, GPA + SIZE, 4096), EFAULT);
	softvirt_close(fd);
	munmap(m, SIZE);
	abi_down(&a);
}

static u8 *many;
static u32 handled;

static void on_signal(int sig)
{
	(void)sig;
	__atomic_fetch_add(&handled, 1, __ATOMIC_SEQ_CST);
}

struct interrupter {
	pthread_t target;
	int stop;
};

static void *interrupt(void *arg)
{
	struct interrupter *i = arg;

	while (!__atomic_load_n(&i->stop, __ATOMIC_SEQ_CST)) {
		pthread_kill(i->target, SIGUSR1);
		usleep(200);
	}
	return NULL;
}

/*
 * Under a rain of signals: each call either makes progress or says EINTR, and the range is
 * always what is left.
 */
static void signals_leave_the_range_as_far_as_it_came(void **state)
{
	struct interrupter i = { .target = pthread_self() };
	struct sigaction sa = { .sa_handler = on_signal, .sa_flags = SA_RESTART }, old;
	const u64 size = 4096ull * 4096;
	struct kvm_pre_fault_memory r = { 0 };
	unsigned int partial = 0;
	struct abi a;
	pthread_t t;

	many = abi_memory(size);
	abi_up(&a);
	assert_return_code(abi_region(a.vm, 1, 0, GPA, size, many), errno);
	sigaction(SIGUSR1, &sa, &old);
	assert_int_equal(pthread_create(&t, NULL, interrupt, &i), 0);
	for (int round = 0; round < 2000 && !partial; round++) {
		r = (struct kvm_pre_fault_memory){ .gpa = GPA, .size = size };
		assert_return_code(madvise(many, size, MADV_DONTNEED), errno);
		while (r.size) {
			u64 before = r.size;
			int ret = softvirt_ioctl(a.vcpu, KVM_PRE_FAULT_MEMORY, &r);

			assert_int_equal(r.gpa + r.size, GPA + size);
			if (ret) {
				assert_int_equal(errno, EINTR);
				assert_int_equal(r.size, before);
			} else {
				assert_true(r.size < before);
				partial += r.size != 0;
			}
		}
	}
	__atomic_store_n(&i.stop, 1, __ATOMIC_SEQ_CST);
	pthread_join(t, NULL);
	sigaction(SIGUSR1, &old, NULL);
	assert_true(handled > 0);
	assert_true(partial > 0);
	munmap(many, size);
	abi_down(&a);
}

static void *delete_and_make(void *arg)
{
	struct abi *a = arg;

	for (int i = 0; i < 200; i++) {
		u8 *m = abi_memory(SIZE);

		assert_return_code(abi_region(a->vm, 1, 0, GPA, SIZE, m), errno);
		assert_return_code(abi_region(a->vm, 1, 0, GPA, 0, m), errno);
		/* Nobody reads here any more: a file mapping of 0 bytes would raise SIGBUS. */
		munmap(m, SIZE);
	}
	__atomic_store_n(&handled, 0, __ATOMIC_SEQ_CST);
	return NULL;
}

/* Against the thread that deletes the slot: ENOENT or success, EFAULT never. */
static void a_deleted_slot_is_not_touched(void **state)
{
	struct kvm_pre_fault_memory r;
	unsigned int found = 0;
	struct abi a;
	pthread_t t;

	abi_up(&a);
	__atomic_store_n(&handled, 1, __ATOMIC_SEQ_CST);
	assert_int_equal(pthread_create(&t, NULL, delete_and_make, &a), 0);
	while (__atomic_load_n(&handled, __ATOMIC_SEQ_CST)) {
		if (!pre_fault(a.vcpu, &r, GPA, SIZE))
			found++;
		else
			assert_int_equal(errno, ENOENT);
	}
	pthread_join(t, NULL);
	print_message("# %u times there was something\n", found);
	abi_down(&a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(wrong_ranges_and_flags_are_einval),
		cmocka_unit_test(pages_come_in_and_the_range_says_so),
		cmocka_unit_test(where_no_slot_is_it_is_enoent),
		cmocka_unit_test(memory_that_is_not_there_is_efault),
		cmocka_unit_test(it_reads_only),
		cmocka_unit_test(private_pages_come_into_the_guest_memfd),
		cmocka_unit_test(signals_leave_the_range_as_far_as_it_came),
		cmocka_unit_test(a_deleted_slot_is_not_touched),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
