/* SPDX-License-Identifier: MIT */
/*
 * KVM_CREATE_GUEST_MEMFD, and KVM_SET_USER_MEMORY_REGION2 with KVM_MEM_GUEST_MEMFD. What a
 * guest sees of it is test_memory_attributes.c's.
 */
#include <linux/falloc.h>
#include <sys/stat.h>

#include "abi.h"

#define SIZE 0x10000ull
#define GPA 0x30000000ull

static int create(int vm, u64 size, u64 flags)
{
	struct kvm_create_guest_memfd c = { .size = size, .flags = flags };

	return softvirt_ioctl(vm, KVM_CREATE_GUEST_MEMFD, &c);
}

static void vm_up(struct abi *a, unsigned long type)
{
	memset(a, 0, sizeof(*a));
	a->kvm = abi_open();
	a->vm = softvirt_ioctl(a->kvm, KVM_CREATE_VM, type);
	assert_true(a->vm >= 0);
	a->vcpu = -1;
}

static int bind2(int vm, u32 slot, u32 flags, u64 gpa, u64 size, void *host, int fd, u64 offset)
{
	struct kvm_userspace_memory_region2 r = {
		.slot = slot, .flags = flags, .guest_phys_addr = gpa, .memory_size = size,
		.userspace_addr = (uintptr_t)host, .guest_memfd = fd, .guest_memfd_offset = offset,
	};

	return softvirt_ioctl(vm, KVM_SET_USER_MEMORY_REGION2, &r);
}

static int bind(int vm, u32 slot, u64 gpa, u64 size, void *host, int fd, u64 offset)
{
	return bind2(vm, slot, KVM_MEM_GUEST_MEMFD, gpa, size, host, fd, offset);
}

static void wrong_sizes_and_flags_are_einval(void **state)
{
	struct abi a;

	vm_up(&a, KVM_RISCV_SW_PROTECTED_VM);
	assert_errno(create(a.vm, 0, 0), EINVAL);
	for (u64 size = 1; size < 4096; size += 31)
		assert_errno(create(a.vm, size, 0), EINVAL);
	assert_errno(create(a.vm, 4097, 0), EINVAL);
	assert_errno(create(a.vm, 1ull << 63, 0), EINVAL);
	assert_errno(create(a.vm, -4096ull, 0), EINVAL);
	for (u64 flag = 1; flag; flag <<= 1)
		assert_errno(create(a.vm, 4096, flag), EINVAL);
	assert_errno(softvirt_ioctl(a.vm, KVM_CREATE_GUEST_MEMFD, abi_bad_page()), EFAULT);
	abi_down(&a);
}

static void every_type_of_vm_makes_one_but_only_one_type_takes_it(void **state)
{
	u8 *m = abi_memory(SIZE);
	struct abi a;
	int fd;

	vm_up(&a, 0);
	assert_int_equal(softvirt_ioctl(a.kvm, KVM_CHECK_EXTENSION, KVM_CAP_VM_TYPES), 3);
	assert_int_equal(softvirt_ioctl(a.kvm, KVM_CHECK_EXTENSION, KVM_CAP_GUEST_MEMFD), 1);
	assert_int_equal(softvirt_ioctl(a.vm, KVM_CHECK_EXTENSION, KVM_CAP_GUEST_MEMFD), 0);
	fd = create(a.vm, SIZE, 0);
	assert_true(fd >= 0);
	assert_errno(bind(a.vm, 0, GPA, SIZE, m, fd, 0), EINVAL);
	softvirt_close(fd);
	abi_down(&a);
	vm_up(&a, KVM_RISCV_SW_PROTECTED_VM);
	assert_int_equal(softvirt_ioctl(a.vm, KVM_CHECK_EXTENSION, KVM_CAP_GUEST_MEMFD), 1);
	abi_down(&a);
	munmap(m, SIZE);
}

static void it_cannot_be_mapped_read_or_written(void **state)
{
	struct stat st, st2;
	char byte = 1;
	struct abi a;
	int fd, fd2;

	vm_up(&a, KVM_RISCV_SW_PROTECTED_VM);
	fd = create(a.vm, SIZE, 0);
	fd2 = create(a.vm, 4096, 0);
	assert_true(fd >= 0 && fd2 >= 0);
	assert_errno((long)softvirt_mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0), ENODEV);
	assert_errno((long)softvirt_mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, fd, 0), ENODEV);
	/* Without the library in between. */
	assert_true(mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0) == MAP_FAILED);
	assert_true(mmap(NULL, 4096, PROT_WRITE, MAP_SHARED, fd, 0) == MAP_FAILED);
	assert_int_equal(read(fd, &byte, 1), -1);
	assert_int_equal(pread(fd, &byte, 1, 0), -1);
	assert_int_equal(write(fd, &byte, 1), -1);
	assert_int_equal(pwrite(fd, &byte, 1, 0), -1);
	assert_int_equal(ftruncate(fd, 0), -1);
	assert_int_equal(ftruncate(fd, 2 * SIZE), -1);
	assert_return_code(fstat(fd, &st), errno);
	assert_return_code(fstat(fd2, &st2), errno);
	assert_int_equal(st.st_size, SIZE);
	assert_int_equal(st.st_blksize, 4096);
	assert_true(S_ISREG(st.st_mode));
	assert_int_not_equal(st.st_ino, st2.st_ino);
	/* No ioctls of its own. */
	assert_errno(softvirt_ioctl(fd, KVM_GET_API_VERSION, 0), ENOTTY);
	softvirt_close(fd);
	softvirt_close(fd2);
	abi_down(&a);
}

static void fallocate_takes_whole_pages_inside_of_it(void **state)
{
	const int keep = FALLOC_FL_KEEP_SIZE, punch = FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE;
	struct stat st;
	struct abi a;
	int fd;

	vm_up(&a, KVM_RISCV_SW_PROTECTED_VM);
	fd = create(a.vm, SIZE, 0);
	assert_return_code(softvirt_fallocate(fd, keep, 0, SIZE), errno);
	assert_return_code(fstat(fd, &st), errno);
	assert_int_equal(st.st_blocks, SIZE / 512);
	assert_return_code(softvirt_fallocate(fd, punch, 4096, 8192), errno);
	assert_return_code(fstat(fd, &st), errno);
	assert_int_equal(st.st_blocks, (SIZE - 8192) / 512);
	assert_return_code(fallocate(fd, punch, 0, 4096), errno);	/* the plain call */
	assert_return_code(fstat(fd, &st), errno);
	assert_int_equal(st.st_blocks, (SIZE - 12288) / 512);
	assert_errno(softvirt_fallocate(fd, 0, 0, 4096), EOPNOTSUPP);
	assert_errno(softvirt_fallocate(fd, FALLOC_FL_PUNCH_HOLE, 0, 4096), EOPNOTSUPP);
	assert_errno(softvirt_fallocate(fd, keep | FALLOC_FL_ZERO_RANGE, 0, 4096), EOPNOTSUPP);
	for (int i = 0; i < 2; i++) {
		int mode = i ? punch : keep;

		assert_errno(softvirt_fallocate(fd, mode, 1, 4096), EINVAL);
		assert_errno(softvirt_fallocate(fd, mode, 0, 4095), EINVAL);
		assert_errno(softvirt_fallocate(fd, mode, 4096, 0), EINVAL);
		assert_errno(softvirt_fallocate(fd, mode, -4096, 4096), EINVAL);
		assert_errno(softvirt_fallocate(fd, mode, 4096, INT64_MAX - 4095), EFBIG);
	}
	assert_errno(softvirt_fallocate(fd, keep, SIZE, 4096), EINVAL);
	assert_errno(softvirt_fallocate(fd, keep, SIZE - 4096, 8192), EINVAL);
	assert_return_code(softvirt_fallocate(fd, punch, SIZE, 4096), errno);
	softvirt_close(fd);
	/* A file of somebody else's, and none. */
	fd = memfd_create("plain", MFD_CLOEXEC);
	assert_return_code(softvirt_fallocate(fd, 0, 0, 100), errno);
	close(fd);
	assert_errno(softvirt_fallocate(fd, 0, 0, 100), EBADF);
	abi_down(&a);
}

static void binding_follows_every_rule(void **state)
{
	u8 *m = abi_memory(SIZE);
	struct abi a, b;
	int fd, other, plain;

	vm_up(&a, KVM_RISCV_SW_PROTECTED_VM);
	vm_up(&b, KVM_RISCV_SW_PROTECTED_VM);
	fd = create(a.vm, SIZE, 0);
	other = create(b.vm, SIZE, 0);
	plain = memfd_create("plain", MFD_CLOEXEC);
	/* No file, other files, another VM's. */
	assert_errno(bind(a.vm, 0, GPA, SIZE, m, 1000, 0), EBADF);
	assert_errno(bind(a.vm, 0, GPA, SIZE, m, -1, 0), EBADF);
	assert_errno(bind(a.vm, 0, GPA, SIZE, m, plain, 0), EINVAL);
	assert_errno(bind(a.vm, 0, GPA, SIZE, m, a.vm, 0), EINVAL);
	assert_errno(bind(a.vm, 0, GPA, SIZE, m, other, 0), EINVAL);
	/* Beyond it, misaligned, wrapping. */
	assert_errno(bind(a.vm, 0, GPA, SIZE, m, fd, 1), EINVAL);
	assert_errno(bind(a.vm, 0, GPA, SIZE, m, fd, 4096), EINVAL);
	assert_errno(bind(a.vm, 0, GPA, SIZE, m, fd, -4096ull), EINVAL);
	assert_errno(bind(a.vm, 0, GPA, 2 * SIZE, m, fd, 0), EINVAL);
	/* Neither log nor read-only, and not by the first edition. */
	assert_errno(bind2(a.vm, 0, KVM_MEM_GUEST_MEMFD | KVM_MEM_LOG_DIRTY_PAGES, GPA, SIZE, m, fd,
			   0), EINVAL);
	assert_errno(bind2(a.vm, 0, KVM_MEM_GUEST_MEMFD | KVM_MEM_READONLY, GPA, SIZE, m, fd, 0),
		     EINVAL);
	assert_errno(abi_region(a.vm, 0, KVM_MEM_GUEST_MEMFD, GPA, SIZE, m), EINVAL);
	/* The address of the shared half is looked at, too. */
	assert_errno(bind(a.vm, 0, GPA, 0x4000, m + 1, fd, 0), EINVAL);
	/* Two ranges that touch; one that overlaps each. */
	assert_return_code(bind(a.vm, 0, GPA, 0x4000, m, fd, 0x1000), errno);
	assert_return_code(bind(a.vm, 1, GPA + SIZE, 0x4000, m, fd, 0x5000), errno);
	assert_errno(bind(a.vm, 2, GPA + 2 * SIZE, 0x1000, m, fd, 0x1000), EINVAL);
	assert_errno(bind(a.vm, 2, GPA + 2 * SIZE, 0x2000, m, fd, 0), EINVAL);
	assert_errno(bind(a.vm, 2, GPA + 2 * SIZE, 0x8000, m, fd, 0x8000), EINVAL);
	assert_errno(bind(a.vm, 2, GPA + 2 * SIZE, SIZE, m, fd, 0), EINVAL);
	assert_return_code(bind(a.vm, 2, GPA + 2 * SIZE, 0x1000, m, fd, 0), errno);
	/* Overlap of slots comes before what the file says. */
	assert_errno(bind(a.vm, 3, GPA, 0x1000, m, 1000, 0), EEXIST);
	/* Not moved, not even changed to what it is; neither direction of the flag. */
	assert_errno(bind(a.vm, 0, GPA + 4 * SIZE, 0x4000, m, fd, 0x1000), EINVAL);
	assert_errno(bind(a.vm, 0, GPA, 0x4000, m, fd, 0x1000), EINVAL);
	assert_errno(abi_region(a.vm, 0, 0, GPA, 0x4000, m), EINVAL);
	assert_return_code(abi_region(a.vm, 3, 0, GPA + 4 * SIZE, 0x1000, m), errno);
	assert_errno(bind(a.vm, 3, GPA + 4 * SIZE, 0x1000, m, fd, 0xf000), EINVAL);
	/* Deleted, its range is free again; the descriptor does not matter for that. */
	assert_return_code(bind(a.vm, 0, GPA, 0, m, -1, 0), errno);
	assert_return_code(bind(a.vm, 0, GPA, 0x4000, m, fd, 0x1000), errno);
	softvirt_close(fd);
	softvirt_close(other);
	close(plain);
	abi_down(&a);
	abi_down(&b);
	munmap(m, SIZE);
}

static void a_copy_of_the_descriptor_serves(void **state)
{
	u8 *m = abi_memory(SIZE);
	struct abi a;
	int fd, copy;

	vm_up(&a, KVM_RISCV_SW_PROTECTED_VM);
	fd = create(a.vm, SIZE, 0);
	copy = dup(fd);		/* behind the library's back */
	softvirt_close(fd);
	assert_errno(bind(a.vm, 0, GPA, SIZE, m, fd, 0), EBADF);
	close(copy);
	fd = create(a.vm, SIZE, 0);
	copy = softvirt_dup(fd);
	softvirt_close(fd);
	assert_return_code(bind(a.vm, 0, GPA, SIZE, m, copy, 0), errno);
	softvirt_close(copy);
	abi_down(&a);
	munmap(m, SIZE);
}

/* In any order: the file pins the VM, the slot does not pin the file. */
static void it_may_be_closed_before_and_after_its_vm(void **state)
{
	u8 *m = abi_memory(SIZE);
	int before = abi_count_fds(), fd;
	struct abi a;

	vm_up(&a, KVM_RISCV_SW_PROTECTED_VM);
	fd = create(a.vm, SIZE, 0);
	assert_return_code(bind(a.vm, 0, GPA, SIZE, m, fd, 0), errno);
	softvirt_close(fd);
	/* The slot is still there, without its private half; its file's range does not matter. */
	assert_errno(abi_region(a.vm, 1, 0, GPA, 0x1000, m), EEXIST);
	assert_return_code(bind(a.vm, 0, GPA, 0, m, -1, 0), errno);
	abi_down(&a);
	vm_up(&a, KVM_RISCV_SW_PROTECTED_VM);
	fd = create(a.vm, SIZE, 0);
	assert_return_code(bind(a.vm, 0, GPA, SIZE, m, fd, 0), errno);
	abi_down(&a);
	assert_return_code(softvirt_fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, 4096), errno);
	softvirt_close(fd);
	assert_int_equal(abi_count_fds(), before);
	munmap(m, SIZE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(wrong_sizes_and_flags_are_einval),
		cmocka_unit_test(every_type_of_vm_makes_one_but_only_one_type_takes_it),
		cmocka_unit_test(it_cannot_be_mapped_read_or_written),
		cmocka_unit_test(fallocate_takes_whole_pages_inside_of_it),
		cmocka_unit_test(binding_follows_every_rule),
		cmocka_unit_test(a_copy_of_the_descriptor_serves),
		cmocka_unit_test(it_may_be_closed_before_and_after_its_vm),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
