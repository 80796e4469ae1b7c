/* SPDX-License-Identifier: MIT */
/* IOMMU_IOAS_MAP_FILE on memfds, and IOMMU_IOAS_CHANGE_PROCESS, which only they allow. (dma-bufs: tests/unit.) */
#include "iommu_abi.h"

#include <linux/kvm.h>

static unsigned ioas;

static void unmap_it(int fd, const void *done)
{
	const struct iommu_ioas_map_file *m = done;
	struct iommu_ioas_unmap u = {
		.size = sizeof(u), .ioas_id = ioas, .iova = m->iova, .length = m->length,
	};

	assert_int_equal(softvirt_ioctl(fd, IOMMU_IOAS_UNMAP, &u), 0);
}

static void files(void **state)
{
	int fd = iommu_open(), file = memfd_create("abi", MFD_CLOEXEC), dir = open("/", O_RDONLY | O_CLOEXEC);
	int kvm, vm, vcpu;
	struct iommu_ioas_map_file m, good = {
		.size = sizeof(m), .flags = RW | FIXED, .fd = file, .start = PAGE, .length = PAGE, .iova = IOVA,
	};

	assert_int_equal(ftruncate(file, 4 * PAGE), 0);
	good.ioas_id = ioas = iommu_ioas(fd);
	iommu_sizes(fd, IOMMU_IOAS_MAP_FILE, &good, sizeof(m), sizeof(m), unmap_it);
#define WRONG(field, value, err) do { \
	m = good; \
	m.field = (value); \
	assert_errno(softvirt_ioctl(fd, IOMMU_IOAS_MAP_FILE, &m), err); \
} while (0)
	WRONG(flags, FIXED, EINVAL);
	WRONG(flags, RW | 8, EOPNOTSUPP);
	WRONG(ioas_id, ioas + 1, ENOENT);
	WRONG(fd, -1, EBADF);
	WRONG(fd, 1000000, EBADF);
	WRONG(fd, dir, EINVAL);
	WRONG(fd, fd, EINVAL);
	/* What backs an object of ours is a memfd, and not the program's memory. */
	kvm = softvirt_open("/dev/kvm-riscv64", O_RDWR | O_CLOEXEC);
	vm = softvirt_ioctl(kvm, KVM_CREATE_VM, 0);
	vcpu = softvirt_ioctl(vm, KVM_CREATE_VCPU, 0);
	assert_true(vcpu >= 0);
	m = good;
	m.start = 0;
	m.fd = vcpu;
	assert_errno(softvirt_ioctl(fd, IOMMU_IOAS_MAP_FILE, &m), EINVAL);
	softvirt_close(vcpu);
	softvirt_close(vm);
	softvirt_close(kvm);
	WRONG(length, 0, EINVAL);
	WRONG(length, ~0ull, EOVERFLOW);
	WRONG(iova, ~0ull, EOVERFLOW);
	WRONG(start, ~0ull - 1, EOVERFLOW);
	WRONG(start, 4 * PAGE, EINVAL);
	WRONG(length, 4 * PAGE, EINVAL);
	close(dir);
	close(file);
	softvirt_close(fd);
}

static void change_process(void **state)
{
	struct iommu_ioas_change_process c = { .size = sizeof(c) };
	int fd = iommu_open(), file = memfd_create("abi", MFD_CLOEXEC);
	char *mem = iommu_memory(PAGE);
	struct iommu_ioas_map_file f = {
		.size = sizeof(f), .flags = RW | FIXED, .fd = file, .length = PAGE, .iova = IOVA,
	};
	struct iommu_ioas_map m = {
		.size = sizeof(m), .flags = RW | FIXED, .user_va = (unsigned long)mem, .length = PAGE,
		.iova = 2 * IOVA,
	};

	assert_int_equal(ftruncate(file, PAGE), 0);
	iommu_sizes(fd, IOMMU_IOAS_CHANGE_PROCESS, &c, sizeof(c), sizeof(c), NULL);
	f.ioas_id = m.ioas_id = iommu_ioas(fd);
	assert_int_equal(softvirt_ioctl(fd, IOMMU_IOAS_MAP_FILE, &f), 0);
	assert_int_equal(softvirt_ioctl(fd, IOMMU_IOAS_CHANGE_PROCESS, &c), 0);
	assert_int_equal(softvirt_ioctl(fd, IOMMU_IOAS_MAP, &m), 0);
	assert_errno(softvirt_ioctl(fd, IOMMU_IOAS_CHANGE_PROCESS, &c), EINVAL);
	c.__reserved = 1;
	assert_errno(softvirt_ioctl(fd, IOMMU_IOAS_CHANGE_PROCESS, &c), EOPNOTSUPP);
	close(file);
	softvirt_close(fd);
	munmap(mem, PAGE);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(files), cmocka_unit_test(change_process) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
