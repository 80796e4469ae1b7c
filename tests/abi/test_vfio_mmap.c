/* SPDX-License-Identifier: MIT */
/*
 * Mappings of BARs: RAM and registers, SIGBUS while memory is off, accesses during resets, cutting,
 * moving, replacing, and descriptors that go first.
 */
#include "vfio.h"

#include <linux/pci_regs.h>
#include <sys/wait.h>

#include "iommu/iommu.h"

static struct test_dev dev;
static int iommufd, fd;

static int setup(void **state)
{
	test_dev_make(&dev, 1, 0, 1);
	iommufd = iommufd_open_new();
	fd = cdev_open_bound(&dev, iommufd);
	return 0;
}

static int teardown(void **state)
{
	softvirt_close(fd);
	softvirt_close(iommufd);
	pci_dev_destroy(dev.pdev);
	return !dev.destroyed;
}

static void *map_bar(u32 bar, u64 off, size_t len, int prot)
{
	return softvirt_mmap(NULL, len, prot, MAP_SHARED, fd, REGION(bar) + (off_t)off);
}

#define RW (PROT_READ | PROT_WRITE)

static u32 load(void *p)
{
	u32 v = 0;

	assert_int_equal(touch(p, false, &v), 0);
	return v;
}

static void store(void *p, u32 v)
{
	assert_int_equal(touch(p, true, &v), 0);
}

static void dead(void *p)
{
	u32 v = 0;

	assert_int_equal(touch(p, false, &v), SIGBUS);
	assert_int_equal(touch(p, true, &v), SIGBUS);
}

static void test_bad(void **state)
{
#define BAD(p, err) do { assert_ptr_equal((p), MAP_FAILED); assert_int_equal(errno, (err)); } while (0)
	BAD(map_bar(1, 0, 4096, RW), EINVAL);
	BAD(map_bar(6, 0, 4096, RW), EINVAL);
	BAD(map_bar(7, 0, 4096, RW), EINVAL);
	BAD(map_bar(9, 0, 4096, RW), EINVAL);
	BAD(map_bar(2, 0, RAM_SIZE + 1, RW), EINVAL);
	BAD(map_bar(2, RAM_SIZE, 4096, RW), EINVAL);
	BAD(map_bar(2, RAM_SIZE - 4096, 8192, RW), EINVAL);
	BAD(map_bar(2, 1, 4096, RW), EINVAL);
	BAD(map_bar(2, 0, 0, RW), EINVAL);
	BAD(softvirt_mmap(NULL, 4096, RW, MAP_PRIVATE, fd, REGION(2)), EINVAL);
}

static void test_memory_is_the_memory(void **state)
{
	u8 *p = map_bar(2, 0, RAM_SIZE, RW), *q = map_bar(2, 4096, 4096, PROT_READ);
	u32 v;

	store(p + 4096, 0xabcd);
	assert_int_equal(load(q), 0xabcd);
	assert_int_equal(softvirt_pread(fd, &v, 4, REGION(2) + 4096), 4);
	assert_int_equal(v, 0xabcd);
	assert_int_equal(*(u32 *)((u8 *)dev.pdev->bars[2].base + 4096), 0xabcd);
	v = 1;
	assert_int_not_equal(touch((u32 *)q, true, &v), 0);	/* read-only */
	assert_int_equal(load(q), 0xabcd);
	softvirt_munmap(p, RAM_SIZE);
	softvirt_munmap(q, 4096);
}

static void test_registers(void **state)
{
	u8 *p = map_bar(0, 0, REGS_SIZE, RW), *ro = map_bar(0, 0, 4096, PROT_READ);
	u32 v = 3;

	assert_ptr_not_equal(p, MAP_FAILED);
	store(p + 0x40, 0x11223344);
	assert_memory_equal(dev.regs + 0x40, "\x44\x33\x22\x11", 4);
	dev.regs[0x41] = 0;
	assert_int_equal(load(p + 0x40), 0x11220044);
	assert_int_equal(load(ro + 0x40), 0x11220044);
	assert_int_equal(touch((u32 *)(ro + 0x40), true, &v), SIGBUS);
	assert_int_equal(load(p + 0x18), ~0u);		/* doesn't answer */
	/* The table is the function's own here. */
	store(p + MSIX_TABLE + 12, 0);
	assert_int_equal(load(p + MSIX_TABLE + 12), 0);
	memory_enable(fd, false);
	dead(p + 0x40);
	memory_enable(fd, true);
	assert_int_equal(load(p + 0x40), 0x11220044);
	softvirt_munmap(p, REGS_SIZE);
	softvirt_munmap(ro, 4096);
}

static void off_by_command(bool off)
{
	memory_enable(fd, !off);
}

static void off_by_power(bool off)
{
	cfg_write(fd, dev.pdev->pm_cap + PCI_PM_CTRL, 2, off ? 3 : 0);
}

static void off_by_feature(bool off)
{
	assert_int_equal(feature(fd, VFIO_DEVICE_FEATURE_SET |
		(off ? VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY : VFIO_DEVICE_FEATURE_LOW_POWER_EXIT), "", 0), 0);
}

static void test_sigbus_while_off(void **state)
{
	void (*const ways[])(bool) = { off_by_command, off_by_power, off_by_feature };

	for (size_t i = 0; i < ARRAY_SIZE(ways); i++) {
		u8 *p = map_bar(2, 0, RAM_SIZE, RW), *later;

		store(p, 77);
		ways[i](true);
		dead(p);
		dead(p + RAM_SIZE - 4);
		/* Mapped while it is off: dead until it is on. */
		later = map_bar(2, 0, 4096, RW);
		assert_ptr_not_equal(later, MAP_FAILED);
		dead(later);
		ways[i](false);
		assert_int_equal(load(p), 77);
		assert_int_equal(load(later), 77);
		store(later, 78);
		assert_int_equal(load(p), 78);
		softvirt_munmap(p, RAM_SIZE);
		softvirt_munmap(later, 4096);
	}
}

/* All under way while the device is reset: every access ends, with the memory's content. */
static volatile bool stop;
static u8 *ram, *regs;

static void *hammer(void *arg)
{
	volatile u32 *p = (u32 *)(ram + 8192), *r = (u32 *)(regs + 0x80);
	u64 n = 0;

	while (!__atomic_load_n(&stop, __ATOMIC_RELAXED)) {
		u8 block[256];

		*p = (u32)++n;
		if (*p != (u32)n)
			return (void *)1;
		*r = 5;
		(void)*r;
		memcpy(block, ram, sizeof(block));	/* whatever instructions that takes */
		memcpy(ram + 256, block, sizeof(block));
		if (memcmp(block, ram + 256, sizeof(block)))
			return (void *)2;
	}
	return NULL;
}

static void test_accesses_wait_for_a_reset(void **state)
{
	struct sv_thread t;

	ram = map_bar(2, 0, RAM_SIZE, RW);
	regs = map_bar(0, 0, REGS_SIZE, RW);
	stop = false;
	assert_int_equal(sv_thread_create(&t, "hammer", hammer, NULL), 0);
	for (unsigned i = 0; i < 300; i++)
		assert_int_equal(softvirt_ioctl(fd, VFIO_DEVICE_RESET, 0), 0);
	__atomic_store_n(&stop, true, __ATOMIC_RELAXED);
	assert_null(sv_thread_join(&t));
	softvirt_munmap(ram, RAM_SIZE);
	softvirt_munmap(regs, REGS_SIZE);
}

/* What mprotect says holds for the device's memory, and gives access to none that is off. */
static void test_protect(void **state)
{
	u8 *p = map_bar(2, 0, RAM_SIZE, PROT_READ), *r = map_bar(0, 0, 4096, PROT_READ);

	assert_int_equal(softvirt_mprotect(p + 4096, 2 * 4096, RW), 0);
	store(p + 4096, 77);
	memory_enable(fd, false);
	assert_int_equal(softvirt_mprotect(p + 2 * 4096, 2 * 4096, RW), 0);
	dead(p);
	dead(p + 4096);
	dead(p + 3 * 4096);
	memory_enable(fd, true);
	assert_int_equal(load(p + 4096), 77);
	store(p + 4096, 78);
	store(p + 3 * 4096, 79);
	assert_int_equal(load(p + 4096), 78);
	assert_int_equal(load(p + 4 * 4096), 0);
	/* Neither does a second mapping of what is there. */
	assert_errno(softvirt_madvise(p, 4096, MADV_DOFORK), EINVAL);
	assert_ptr_equal(softvirt_mremap(p, 0, 4096, MREMAP_MAYMOVE), MAP_FAILED);
	assert_int_equal(errno, EFAULT);
	softvirt_munmap(p, RAM_SIZE);
	/* Registers are none either; on hosts that can't map them there is nothing to protect. */
	if (r == MAP_FAILED)
		return;
	assert_int_equal(softvirt_mprotect(r, 4096, RW), 0);
	store(r, 0x1234);
	assert_memory_equal(dev.regs, "\x34\x12\0\0", 4);
	softvirt_munmap(r, 4096);
}

static void test_cut(void **state)
{
	u8 *p = map_bar(2, 0, RAM_SIZE, RW);

	for (u32 i = 0; i < RAM_SIZE / 4096; i++)
		store(p + 4096 * i, i);
	assert_int_equal(softvirt_munmap(p + 4 * 4096, 2 * 4096), 0);
	/* What comes into the hole is left alone. */
	assert_ptr_equal(mmap(p + 4 * 4096, 8192, RW, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE,
			      -1, 0), p + 4 * 4096);
	store(p + 5 * 4096, 555);
	memory_enable(fd, false);
	dead(p + 3 * 4096);
	dead(p + 6 * 4096);
	assert_int_equal(load(p + 5 * 4096), 555);
	memory_enable(fd, true);
	assert_int_equal(load(p + 3 * 4096), 3);
	assert_int_equal(load(p + 6 * 4096), 6);
	assert_int_equal(load(p + 15 * 4096), 15);
	assert_int_equal(load(p + 5 * 4096), 555);
	/* Replaced by something else, and by another part of the BAR. */
	assert_ptr_equal(softvirt_mmap(p + 8 * 4096, 4096, RW,
				       MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0), p + 8 * 4096);
	assert_ptr_equal(softvirt_mmap(p + 9 * 4096, 4096, RW, MAP_SHARED | MAP_FIXED, fd,
				       REGION(2)), p + 9 * 4096);
	store(p + 8 * 4096, 888);
	memory_enable(fd, false);
	assert_int_equal(load(p + 8 * 4096), 888);
	dead(p + 9 * 4096);
	memory_enable(fd, true);
	assert_int_equal(load(p + 9 * 4096), 0);
	assert_int_equal(load(p + 10 * 4096), 10);
	softvirt_munmap(p, RAM_SIZE);
}

static void test_move(void **state)
{
	u8 *p = map_bar(2, 0, RAM_SIZE, RW), *q, *to;

	store(p, 1);
	store(p + 4096, 2);
	store(p + 8192, 3);
	to = mmap(NULL, RAM_SIZE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	q = softvirt_mremap(p + 4096, 8192, 8192, MREMAP_MAYMOVE | MREMAP_FIXED, to);
	assert_ptr_equal(q, to);
	assert_int_equal(load(q), 2);
	memory_enable(fd, false);
	dead(q);
	dead(p);
	memory_enable(fd, true);
	assert_int_equal(load(q), 2);
	assert_int_equal(load(q + 4096), 3);
	assert_int_equal(load(p), 1);
	/* Smaller, yes; larger, no. */
	assert_ptr_equal(softvirt_mremap(q, 8192, 16384, MREMAP_MAYMOVE, NULL), MAP_FAILED);
	assert_int_equal(errno, EFAULT);
	assert_ptr_equal(softvirt_mremap(q, 8192, 4096, 0, NULL), q);
	assert_int_equal(load(q), 2);
	softvirt_munmap(to, RAM_SIZE);
	softvirt_munmap(p, RAM_SIZE);
}

static void test_outlives_the_descriptor(void **state)
{
	u8 *p = map_bar(2, 0, 4096, RW), *r = map_bar(0, 0, 4096, RW);
	int other;

	store(p, 4242);
	softvirt_close(fd);
	/* Mapped is open, as in the kernel. */
	assert_int_equal(load(p), 4242);
	store(r + 0x40, 7);
	assert_int_equal(load(r + 0x40), 7);
	other = cdev_open_only(&dev);
	assert_errno(cdev_bind(other, iommufd, NULL), EINVAL);
	assert_int_equal(softvirt_munmap(p, 4096), 0);
	assert_errno(cdev_bind(other, iommufd, NULL), EINVAL);
	assert_int_equal(softvirt_munmap(r, 4096), 0);
	assert_int_equal(cdev_bind(other, iommufd, NULL), 0);
	fd = other;
}

static void test_children_have_no_mapping(void **state)
{
	u8 *p = map_bar(2, 0, 4096, RW);
	int status;
	pid_t pid;

	store(p, 1);
	for (int i = 0; i < 2; i++) {
		pid = fork();
		if (!pid) {
			u8 vec;

			_exit(mincore(p, 4096, &vec) == 0 || errno != ENOMEM);
		}
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_int_equal(status, 0);
		/* The same after it was off and on. */
		memory_enable(fd, false);
		memory_enable(fd, true);
	}
	softvirt_munmap(p, 4096);
}

static void test_failures(void **state)
{
	u8 *p = MAP_FAILED;
	unsigned n;

	for (n = 1;; n++) {
		sv_fault_inject(n);
		p = map_bar(2, 0, RAM_SIZE, RW);
		if (!sv_fault_fired())
			break;
		assert_ptr_equal(p, MAP_FAILED);
	}
	sv_fault_inject(0);
	assert_true(n > 2);
	store(p, 1);
	/* Cutting fails as a whole. */
	for (n = 1;; n++) {
		int ret;

		sv_fault_inject(n);
		ret = softvirt_munmap(p + 4096, 4096);
		if (!sv_fault_fired() || !ret)
			break;
		sv_fault_inject(0);
		assert_int_equal(errno, ENOMEM);
		assert_int_equal(load(p + 4096), 0);
	}
	sv_fault_inject(0);
	/* Pages that can't be put there: no access at all. */
	sv_fault_inject(1);
	memory_enable(fd, false);
	sv_fault_inject(0);
	assert_int_not_equal(touch((u32 *)p, false, &(u32) { 0 }), 0);
	memory_enable(fd, true);
	assert_int_equal(load(p), 1);
	softvirt_munmap(p, RAM_SIZE);
}


/* To iommufd it is no memory of the program's, as little as to the kernel's: there are dma-bufs. */
static void test_no_memory_to_iommufd(void **state)
{
	u32 ioas = ioas_new(iommufd), pt = ioas;
	struct iommu_ioas_unmap unmap = { .size = sizeof(unmap), .ioas_id = ioas, .length = ~0ull };
	struct iommu_ioas_map map = {
		.size = sizeof(map), .ioas_id = ioas, .length = 4096, .iova = 0x100000,
		.flags = IOMMU_IOAS_MAP_FIXED_IOVA | IOMMU_IOAS_MAP_READABLE,
	};
	u8 *p, *q;

	memory_enable(fd, true);
	p = map_bar(2, 0, RAM_SIZE, RW);
	assert_ptr_not_equal(p, MAP_FAILED);
	/* Looked at when it is pinned. */
	map.user_va = (uintptr_t)p;
	assert_int_equal(softvirt_ioctl(iommufd, IOMMU_IOAS_MAP, &map), 0);
	assert_errno(cdev_attach(fd, &pt), EFAULT);
	assert_int_equal(softvirt_ioctl(iommufd, IOMMU_IOAS_UNMAP, &unmap), 0);
	pt = ioas;
	assert_int_equal(cdev_attach(fd, &pt), 0);
	assert_errno(softvirt_ioctl(iommufd, IOMMU_IOAS_MAP, &map), EFAULT);
	/* The last page, the first of what was cut, all of it and what lies beside it. */
	map.user_va = (uintptr_t)p + RAM_SIZE - 4096;
	assert_errno(softvirt_ioctl(iommufd, IOMMU_IOAS_MAP, &map), EFAULT);
	assert_int_equal(softvirt_munmap(p + 4096, 4096), 0);
	map.user_va = (uintptr_t)p;
	assert_errno(softvirt_ioctl(iommufd, IOMMU_IOAS_MAP, &map), EFAULT);
	map.user_va = (uintptr_t)p + 8192;
	assert_errno(softvirt_ioctl(iommufd, IOMMU_IOAS_MAP, &map), EFAULT);
	/* What comes in the place of it is memory, also beside what has stayed. */
	q = softvirt_mmap(p + 4096, 4096, RW, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	assert_ptr_equal(q, p + 4096);
	map.user_va = (uintptr_t)q;
	assert_int_equal(softvirt_ioctl(iommufd, IOMMU_IOAS_MAP, &map), 0);
	map.iova += 0x10000;
	map.length = 8192;
	assert_errno(softvirt_ioctl(iommufd, IOMMU_IOAS_MAP, &map), EFAULT);
	/* Moved, it is a device's at the new place alone. */
	q = mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	assert_ptr_equal(softvirt_mremap(p, 4096, 4096, MREMAP_MAYMOVE | MREMAP_FIXED, q), q);
	map.length = 4096;
	map.user_va = (uintptr_t)q;
	assert_errno(softvirt_ioctl(iommufd, IOMMU_IOAS_MAP, &map), EFAULT);
	assert_ptr_equal(softvirt_mmap(p, 4096, RW, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0), p);
	map.user_va = (uintptr_t)p;
	assert_int_equal(softvirt_ioctl(iommufd, IOMMU_IOAS_MAP, &map), 0);
	unmap.length = ~0ull;
	assert_int_equal(softvirt_ioctl(iommufd, IOMMU_IOAS_UNMAP, &unmap), 0);
	softvirt_munmap(p, RAM_SIZE);
	softvirt_munmap(q, 4096);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(test_bad), T(test_memory_is_the_memory), T(test_registers), T(test_sigbus_while_off),
		T(test_accesses_wait_for_a_reset), T(test_protect), T(test_cut), T(test_move),
		T(test_outlives_the_descriptor), T(test_children_have_no_mapping), T(test_failures),
		T(test_no_memory_to_iommufd),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
