/* SPDX-License-Identifier: MIT */
/*
 * What the tests of VFIO share: PCI functions made for the purpose, and the way to their
 * descriptors by cdev and by group.
 *
 * A test function has registers in BAR0 (16 KiB: whatever is stored is read back; MSI-X table
 * at 0x2000, pending bits at 0x3000), memory in BAR2 (64 KiB, 64-bit, prefetchable), 8 MSI-X and 4 MSI
 * vectors, INTx, PASIDs.
 */
#ifndef TESTS_VFIO_H
#define TESTS_VFIO_H

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "base/err.h"
#include "base/guard.h"
#include "base/sync.h"
#include "base/timer.h"
#include "base/types.h"
#include "pci/pci.h"
#include "softvirt/softvirt.h"
#include "softvirt/uapi/iommufd.h"
#include "softvirt/uapi/vfio.h"

#define REGS_SIZE 0x4000u
#define RAM_SIZE 0x10000u
#define MSIX_TABLE 0x2000u
#define MSIX_PBA 0x3000u
#define NR_MSIX 8
#define REGION(index) ((off_t)(index) << 40)

/* cmocka puts its own handlers over the guard's with signal(3): those two stay ours. */
__attribute__((__visibility__("default"))) sighandler_t signal(int signo, sighandler_t handler)
{
	struct sigaction act = { .sa_handler = handler, .sa_flags = SA_RESTART }, old;

	if (signo == SIGSEGV || signo == SIGBUS)
		return SIG_DFL;
	return sigaction(signo, &act, &old) ? SIG_ERR : old.sa_handler;
}

#define assert_errno(call, err) do { \
	errno = 0; \
	assert_int_equal((call), -1); \
	assert_int_equal(errno, (err)); \
} while (0)

/* The test function. */
struct test_dev {
	struct pci_dev *pdev;
	u8 regs[REGS_SIZE];
	unsigned resets, power_changes;
	enum pci_reset_kind last_reset;
	bool destroyed;
};

static inline int test_bar_read(struct pci_dev *pdev, unsigned bar, u64 off, unsigned size, u64 *val)
{
	struct test_dev *d = pdev->priv;

	if (off == 0x18)	/* a register that doesn't answer */
		return -EIO;
	for (unsigned i = 0; i < size; i++)
		*val |= (u64)__atomic_load_n(&d->regs[off + i], __ATOMIC_RELAXED) << (8 * i);
	return 0;
}

static inline int test_bar_write(struct pci_dev *pdev, unsigned bar, u64 off, unsigned size, u64 val)
{
	struct test_dev *d = pdev->priv;

	for (unsigned i = 0; i < size; i++)
		__atomic_store_n(&d->regs[off + i], (u8)(val >> (8 * i)), __ATOMIC_RELAXED);
	/* Doorbells: interrupts. */
	if (off == 0x100)
		pci_msix_raise(pdev, (unsigned)val);
	if (off == 0x104)
		pci_intx_set(pdev, val);
	return 0;
}

static inline void test_reset(struct pci_dev *pdev, enum pci_reset_kind kind)
{
	struct test_dev *d = pdev->priv;

	d->resets++;
	d->last_reset = kind;
	for (unsigned i = 0; i < REGS_SIZE; i++)
		__atomic_store_n(&d->regs[i], 0, __ATOMIC_RELAXED);
}

static inline void test_power(struct pci_dev *pdev)
{
	((struct test_dev *)pdev->priv)->power_changes++;
}

static inline void test_destroy(struct pci_dev *pdev)
{
	((struct test_dev *)pdev->priv)->destroyed = true;
}

static const struct pci_dev_ops test_ops = {
	.name = "test",
	.bar_read = test_bar_read,
	.bar_write = test_bar_write,
	.reset = test_reset,
	.power_changed = test_power,
	.destroy = test_destroy,
};

static inline struct pci_dev_config test_config(void)
{
	return (struct pci_dev_config) {
		.vendor = 0x1234, .device = 0x5678, .subsys_vendor = 0x1111, .subsys = 0x2222,
		.class_code = 0x088000, .revision = 3, .nr_msix = NR_MSIX, .nr_msi = 4, .msix_bar = 0,
		.msix_table_off = MSIX_TABLE, .msix_pba_off = MSIX_PBA, .intx = true, .pasid = true,
		.bars = {
			[0] = { .kind = PCI_BAR_REGS, .size = REGS_SIZE },
			[2] = { .kind = PCI_BAR_RAM, .mem64 = true, .prefetch = true, .size = RAM_SIZE },
		},
	};
}

static inline int test_dev_create(struct test_dev *d, const struct pci_dev_config *cfg, u8 bus,
				  u8 devfn, u32 group)
{
	int err;

	memset(d, 0, sizeof(*d));
	d->pdev = pci_dev_create(cfg, &test_ops, d);
	if (IS_ERR(d->pdev))
		return (int)PTR_ERR(d->pdev);
	err = pci_dev_publish(d->pdev, 0, bus, devfn, group);
	if (err)
		pci_dev_destroy(d->pdev);
	return err;
}

static inline void test_dev_make(struct test_dev *d, u8 bus, u8 devfn, u32 group)
{
	struct pci_dev_config cfg = test_config();

	assert_int_equal(test_dev_create(d, &cfg, bus, devfn, group), 0);
}

/* The cdev's and the iommufd's structs, as the newest kernel has them. */
struct t_bind { u32 argsz, flags; s32 iommufd; u32 out_devid; u64 token_uuid_ptr; };
struct t_attach { u32 argsz, flags, pt_id, pasid; };
struct t_detach { u32 argsz, flags, pasid; };

static inline int iommufd_open_new(void)
{
	int fd = softvirt_open("/dev/iommu", O_RDWR | O_CLOEXEC);

	assert_true(fd >= 0);
	return fd;
}

static inline u32 ioas_new(int iommufd)
{
	struct iommu_ioas_alloc a = { .size = sizeof(a) };

	assert_int_equal(softvirt_ioctl(iommufd, IOMMU_IOAS_ALLOC, &a), 0);
	return a.out_ioas_id;
}

static inline int cdev_open_only(const struct test_dev *d)
{
	char path[64];
	int fd;

	snprintf(path, sizeof(path), "/dev/vfio/devices/vfio%u", d->pdev->index);
	fd = softvirt_open(path, O_RDWR | O_CLOEXEC);
	assert_true(fd >= 0);
	return fd;
}

static inline int cdev_bind(int fd, int iommufd, u32 *devid)
{
	struct t_bind b = { .argsz = 16, .iommufd = iommufd };
	int ret = softvirt_ioctl(fd, VFIO_DEVICE_BIND_IOMMUFD, &b);

	if (devid)
		*devid = b.out_devid;
	return ret;
}

static inline int cdev_attach(int fd, u32 *pt_id)
{
	struct t_attach a = { .argsz = 12, .pt_id = *pt_id };
	int ret = softvirt_ioctl(fd, VFIO_DEVICE_ATTACH_IOMMUFD_PT, &a);

	*pt_id = a.pt_id;
	return ret;
}

static inline int cdev_open_bound(const struct test_dev *d, int iommufd)
{
	int fd = cdev_open_only(d);

	assert_int_equal(cdev_bind(fd, iommufd, NULL), 0);
	return fd;
}

static inline int group_open(u32 id)
{
	char path[64];

	snprintf(path, sizeof(path), "/dev/vfio/%u", id);
	return softvirt_open(path, O_RDWR | O_CLOEXEC);
}

/* Container of a type, with the group in it. */
static inline void container_make(u32 group_id, unsigned long type, int *container, int *group)
{
	*container = softvirt_open("/dev/vfio/vfio", O_RDWR | O_CLOEXEC);
	assert_true(*container >= 0);
	*group = group_open(group_id);
	assert_true(*group >= 0);
	assert_int_equal(softvirt_ioctl(*group, VFIO_GROUP_SET_CONTAINER, container), 0);
	assert_int_equal(softvirt_ioctl(*container, VFIO_SET_IOMMU, type), 0);
}

static inline int group_device(int group, const struct test_dev *d)
{
	return softvirt_ioctl(group, VFIO_GROUP_GET_DEVICE_FD, d->pdev->name);
}

/* Config space through the descriptor. */
static inline u32 cfg_read(int fd, unsigned off, unsigned len)
{
	u32 v = 0;

	assert_int_equal(softvirt_pread(fd, &v, len, REGION(VFIO_PCI_CONFIG_REGION_INDEX) + off), len);
	return v;
}

static inline void cfg_write(int fd, unsigned off, unsigned len, u32 v)
{
	assert_int_equal(softvirt_pwrite(fd, &v, len, REGION(VFIO_PCI_CONFIG_REGION_INDEX) + off), len);
}

static inline void memory_enable(int fd, bool on)
{
	u32 cmd = cfg_read(fd, 4, 2);

	cfg_write(fd, 4, 2, on ? cmd | 2 : cmd & ~2u);
}

static inline void master_enable(int fd, bool on)
{
	u32 cmd = cfg_read(fd, 4, 2);

	cfg_write(fd, 4, 2, on ? cmd | 4 : cmd & ~4u);
}

/* An eventfd's count, taken; 0: none within ms. */
static inline u64 event_take(int fd, int ms)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	u64 n = 0;

	if (poll(&p, 1, ms) == 1)
		assert_int_equal(read(fd, &n, 8), 8);
	return n;
}

/* Feature ioctls: the header, then data. */
struct t_feature {
	u32 argsz, flags;
	u8 data[256];
};

static inline int feature(int fd, u32 flags, const void *data, size_t len)
{
	struct t_feature f = { .argsz = (u32)(8 + len), .flags = flags };

	memcpy(f.data, data, len);
	return softvirt_ioctl(fd, VFIO_DEVICE_FEATURE, &f);
}

struct t_dma_buf {
	u32 argsz, hflags;
	u32 region_index, open_flags, flags, nr_ranges;
	struct { u64 offset, length; } r[4];
};

static inline int dma_buf_export_n(int fd, u32 region, u64 off, u64 len)
{
	struct t_dma_buf b = {
		.argsz = 8 + 16 + 16, .hflags = VFIO_DEVICE_FEATURE_GET | VFIO_DEVICE_FEATURE_DMA_BUF,
		.region_index = region, .open_flags = O_CLOEXEC | O_RDWR, .nr_ranges = 1,
		.r = { { off, len } },
	};

	return softvirt_ioctl(fd, VFIO_DEVICE_FEATURE, &b);
}

/* 0: no fault; else the signal that a load (or store) raises. */
static sigjmp_buf fault_env;
static volatile sig_atomic_t fault_signo;

static inline void fault_handler(int signo, siginfo_t *si, void *uc)
{
	fault_signo = signo;
	siglongjmp(fault_env, 1);
}

static inline int touch(volatile u32 *p, bool write, u32 *val)
{
	struct sigaction act = { .sa_sigaction = fault_handler, .sa_flags = SA_SIGINFO };
	struct sigaction old[2];
	volatile int ret = 0;

	/* As a program's: behind the library's handler, which passes on what is the program's own. */
	sv_guard_sigaction(SIGSEGV, &act, &old[0]);
	sv_guard_sigaction(SIGBUS, &act, &old[1]);
	if (sigsetjmp(fault_env, 1))
		ret = fault_signo;
	else if (write)
		*p = *val;
	else
		*val = *p;
	sv_guard_sigaction(SIGSEGV, &old[0], NULL);
	sv_guard_sigaction(SIGBUS, &old[1], NULL);
	return ret;
}

#endif
