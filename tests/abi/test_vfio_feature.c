/* SPDX-License-Identifier: MIT */
/*
 * VFIO_DEVICE_FEATURE: the rules of probing, getting and setting; low power; DMA logging. DMA_BUF and
 * PCI_VF_TOKEN have tests of their own.
 */
#include "vfio.h"

#include "iommu/iommu.h"

#define GET VFIO_DEVICE_FEATURE_GET
#define SET VFIO_DEVICE_FEATURE_SET
#define PROBE VFIO_DEVICE_FEATURE_PROBE
#define ENTRY VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY
#define WAKEUP VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY_WITH_WAKEUP
#define EXIT VFIO_DEVICE_FEATURE_LOW_POWER_EXIT
#define START VFIO_DEVICE_FEATURE_DMA_LOGGING_START
#define STOP VFIO_DEVICE_FEATURE_DMA_LOGGING_STOP
#define REPORT VFIO_DEVICE_FEATURE_DMA_LOGGING_REPORT

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

static void test_rules(void **state)
{
	static const struct { u32 feature, ops; } known[] = {
		{ ENTRY, SET }, { WAKEUP, SET }, { EXIT, SET }, { START, SET }, { STOP, SET },
		{ REPORT, GET }, { VFIO_DEVICE_FEATURE_DMA_BUF, GET },
	};
	static const u32 unknown[] = { VFIO_DEVICE_FEATURE_PCI_VF_TOKEN, VFIO_DEVICE_FEATURE_MIGRATION,
		VFIO_DEVICE_FEATURE_MIG_DEVICE_STATE, VFIO_DEVICE_FEATURE_MIG_DATA_SIZE,
		VFIO_DEVICE_FEATURE_BUS_MASTER, 12, 0xffff };
	u32 hdr[2] = { 7, PROBE | ENTRY };

	assert_errno(softvirt_ioctl(fd, VFIO_DEVICE_FEATURE, hdr), EINVAL);
	assert_errno(softvirt_ioctl(fd, VFIO_DEVICE_FEATURE, (void *)8), EFAULT);
	for (size_t i = 0; i < ARRAY_SIZE(known); i++) {
		u32 f = known[i].feature, other = known[i].ops ^ (GET | SET);

		assert_int_equal(feature(fd, f | PROBE, "", 0), 0);
		assert_int_equal(feature(fd, f | PROBE | known[i].ops, "", 0), 0);
		assert_errno(feature(fd, f | PROBE | other, "", 0), EINVAL);
		assert_errno(feature(fd, f | PROBE | GET | SET, "", 0), EINVAL);
		assert_errno(feature(fd, f | other, "", 0), EINVAL);
		assert_errno(feature(fd, f | GET | SET, "", 0), EINVAL);
		assert_errno(feature(fd, f, "", 0), EINVAL);
		assert_errno(feature(fd, f | 1u << 19 | known[i].ops, "", 0), EINVAL);
		if (f != ENTRY && f != EXIT && f != STOP)
			assert_errno(feature(fd, f | known[i].ops, "1234567", 7), EINVAL);
	}
	for (size_t i = 0; i < ARRAY_SIZE(unknown); i++) {
		assert_errno(feature(fd, unknown[i] | PROBE, "", 0), ENOTTY);
		assert_errno(feature(fd, unknown[i] | GET, "", 0), ENOTTY);
	}
}

static void test_low_power(void **state)
{
	volatile u32 *p = softvirt_mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, REGION(2));
	u32 v = 5;

	assert_ptr_not_equal(p, MAP_FAILED);
	assert_int_equal(touch(p, true, &v), 0);
	assert_int_equal(feature(fd, EXIT | SET, "", 0), 0);	/* not in it: fine */
	assert_int_equal(feature(fd, ENTRY | SET, "", 0), 0);
	assert_errno(feature(fd, ENTRY | SET, "", 0), EINVAL);
	assert_int_equal(touch(p, false, &v), SIGBUS);
	/* The device wakes for calls, and sleeps on. */
	assert_int_equal(softvirt_pread(fd, &v, 4, REGION(2)), 4);
	assert_int_equal(v, 5);
	assert_int_equal(cfg_read(fd, 0, 2), 0x1234);
	assert_int_equal(touch(p, false, &v), SIGBUS);
	assert_int_equal(feature(fd, EXIT | SET, "", 0), 0);
	v = 0;
	assert_int_equal(touch(p, false, &v), 0);
	assert_int_equal(v, 5);
	/* Memory off and low power: both have to go. */
	assert_int_equal(feature(fd, ENTRY | SET, "", 0), 0);
	memory_enable(fd, false);
	assert_int_equal(feature(fd, EXIT | SET, "", 0), 0);
	assert_int_equal(touch(p, false, &v), SIGBUS);
	memory_enable(fd, true);
	assert_int_equal(touch(p, false, &v), 0);
	softvirt_munmap((void *)p, 4096);
}

static void test_wakeup(void **state)
{
	volatile u32 *p = softvirt_mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, REGION(2));
	struct vfio_device_low_power_entry_with_wakeup e = { .wakeup_eventfd = -1 };
	int ev = eventfd(0, EFD_CLOEXEC);
	u32 v = 0;

	assert_errno(feature(fd, WAKEUP | SET, &e, sizeof(e)), EINVAL);
	e.wakeup_eventfd = 9999;
	assert_errno(feature(fd, WAKEUP | SET, &e, sizeof(e)), EBADF);
	e.wakeup_eventfd = 0;
	assert_errno(feature(fd, WAKEUP | SET, &e, sizeof(e)), EINVAL);
	e.wakeup_eventfd = ev;
	assert_int_equal(feature(fd, WAKEUP | SET, &e, sizeof(e)), 0);
	assert_int_equal(touch(p, false, &v), SIGBUS);
	assert_int_equal(event_take(ev, 0), 0);
	/* Any call ends it and says so. */
	assert_int_equal(cfg_read(fd, 0, 2), 0x1234);
	assert_int_equal(event_take(ev, 1000), 1);
	assert_int_equal(touch(p, false, &v), 0);
	assert_int_equal(feature(fd, WAKEUP | SET, &e, sizeof(e)), 0);
	assert_int_equal(feature(fd, EXIT | PROBE, "", 0), 0);
	assert_int_equal(event_take(ev, 1000), 1);
	assert_int_equal(touch(p, false, &v), 0);
	/* In it when the device is closed. */
	assert_int_equal(feature(fd, WAKEUP | SET, &e, sizeof(e)), 0);
	softvirt_munmap((void *)p, 4096);
	close(ev);
}

struct start { u64 page_size; u32 num, reserved; u64 ranges; };
struct range { u64 iova, length; };
struct report { u64 iova, length, page_size, bitmap; };

static int start(u64 page_size, u32 n, struct range *r)
{
	struct start s = { page_size, n, 0, (u64)r };

	return feature(fd, START | SET, &s, sizeof(s));
}

static int report(u64 iova, u64 length, u64 page_size, void *bits)
{
	struct report r = { iova, length, page_size, (u64)bits };

	return feature(fd, REPORT | GET, &r, sizeof(r));
}

static void dev_write(u64 iova, size_t len)
{
	u8 buf[8192] = { 1 };

	assert_int_equal(iommu_dma_write(&dev.pdev->iommu, 0, iova, buf, len, NULL), 0);
}

static void test_dma_logging(void **state)
{
	u8 *mem = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	struct range r[2] = { { 0x100000, 0x40000 }, { 0x180000, 0x40000 } };
	u32 ioas = ioas_new(iommufd), pt = ioas;
	struct iommu_ioas_map m = {
		.size = sizeof(m), .ioas_id = ioas, .user_va = (u64)mem, .length = 1 << 20,
		.iova = 0x100000,
		.flags = IOMMU_IOAS_MAP_FIXED_IOVA | IOMMU_IOAS_MAP_READABLE | IOMMU_IOAS_MAP_WRITEABLE,
	};
	u64 bits[4] = { 0 };

	assert_int_equal(softvirt_ioctl(iommufd, IOMMU_IOAS_MAP, &m), 0);
	assert_int_equal(cdev_attach(fd, &pt), 0);
	master_enable(fd, true);
	assert_errno(report(0x100000, 0x40000, 4096, bits), EINVAL);
	assert_int_equal(feature(fd, STOP | SET, "", 0), 0);	/* not started: fine */
	assert_errno(start(4096, 0, r), EINVAL);
	assert_errno(start(4096, 257, r), E2BIG);
	assert_errno(start(4096, 1, (void *)8), EFAULT);
	assert_errno(start(12288, 1, r), EINVAL);
	assert_errno(start(4096, 1, &(struct range) { 0x100800, 0x1000 }), EINVAL);
	assert_errno(start(4096, 1, &(struct range) { 0x100000, 0x1800 }), EINVAL);
	assert_errno(start(4096, 1, &(struct range) { ~0ull << 12, 0x2000 }), EOVERFLOW);
	assert_errno(start(4096, 2, (struct range[]) { r[0], { 0x13f000, 0x1000 } }), EINVAL);
	assert_int_equal(start(4096, 2, r), 0);
	assert_errno(start(4096, 2, r), EINVAL);	/* it is on */
	dev_write(0x101ff8, 16);
	dev_write(0x13f000, 1);
	dev_write(0x150000, 1);				/* in no range */
	dev_write(0x180000, 1);
	assert_errno(report(0x100000, 0x40000, 2048, bits), EINVAL);
	assert_errno(report(0x100000, 0x40000, 12288, bits), EINVAL);
	assert_errno(report(~0ull << 12, 0x2000, 4096, bits), EOVERFLOW);
	assert_errno(report(0x100000, 0, 4096, bits), EINVAL);
	assert_int_equal(report(0x100000, 0xc0000, 4096, bits), 0);
	assert_true(bits[0] == (BIT(1) | BIT(2) | BIT(63)));
	assert_true(bits[1] == 0 && bits[2] == 1 && bits[3] == 0);
	memset(bits, 0, sizeof(bits));
	assert_int_equal(report(0x100000, 0xc0000, 4096, bits), 0);
	assert_true(!bits[0] && !bits[2]);	/* reported once */
	/* Larger pages in the report; a part of a range. */
	dev_write(0x103000, 1);
	dev_write(0x13e000, 1);
	assert_int_equal(report(0x102000, 0x4000, 8192, bits), 0);
	assert_true(bits[0] == 1);
	bits[0] = 0;
	assert_int_equal(report(0x100000, 0x40000, 4096, bits), 0);
	assert_true(bits[0] == BIT(62));
	/* A bitmap that isn't there. */
	dev_write(0x103000, 1);
	assert_errno(report(0x100000, 0x40000, 4096, (void *)8), EFAULT);
	assert_int_equal(feature(fd, STOP | SET, "", 0), 0);
	dev_write(0x103000, 1);
	assert_errno(report(0x100000, 0x40000, 4096, bits), EINVAL);
	/* A page size of its own, and a huge range. */
	assert_int_equal(start(1u << 21, 1, &(struct range) { 0, 1ull << 40 }), 0);
	dev_write(0x1ff000, 1);
	bits[0] = 0;
	assert_int_equal(report(0x100000, 0x100000, 1 << 20, bits), 0);
	assert_true(bits[0] == 1);
	assert_int_equal(feature(fd, STOP | SET, "", 0), 0);
	/* Failures on the way. */
	for (unsigned n = 1;; n++) {
		int ret;

		sv_fault_inject(n);
		ret = start(4096, 2, r);
		if (!sv_fault_fired()) {
			sv_fault_inject(0);
			assert_int_equal(ret, 0);
			assert_true(n > 2);
			break;
		}
		assert_int_equal(ret, -1);
	}
	/* On when the device is closed. */
	munmap(mem, 1 << 20);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(test_rules), T(test_low_power), T(test_wakeup), T(test_dma_logging),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
