/* SPDX-License-Identifier: MIT */
/*
 * VFIO_DEVICE_SET_IRQS: all forms of data with all actions on all indexes, and that the
 * interrupts come.
 */
#include "vfio.h"

#include <linux/pci_regs.h>

static struct test_dev dev;
static int iommufd, fd, ev[NR_MSIX];

#define NONE VFIO_IRQ_SET_DATA_NONE
#define BOOL VFIO_IRQ_SET_DATA_BOOL
#define EVENTFD VFIO_IRQ_SET_DATA_EVENTFD
#define MASK VFIO_IRQ_SET_ACTION_MASK
#define UNMASK VFIO_IRQ_SET_ACTION_UNMASK
#define TRIGGER VFIO_IRQ_SET_ACTION_TRIGGER
#define INTX VFIO_PCI_INTX_IRQ_INDEX
#define MSI VFIO_PCI_MSI_IRQ_INDEX
#define MSIX VFIO_PCI_MSIX_IRQ_INDEX
#define ERR VFIO_PCI_ERR_IRQ_INDEX
#define REQ VFIO_PCI_REQ_IRQ_INDEX

static int setup(void **state)
{
	test_dev_make(&dev, 1, 0, 1);
	iommufd = iommufd_open_new();
	fd = cdev_open_bound(&dev, iommufd);
	for (unsigned i = 0; i < NR_MSIX; i++)
		ev[i] = eventfd(0, EFD_CLOEXEC);
	master_enable(fd, true);
	return 0;
}

static int teardown(void **state)
{
	softvirt_close(fd);
	softvirt_close(iommufd);
	for (unsigned i = 0; i < NR_MSIX; i++)
		close(ev[i]);
	pci_dev_destroy(dev.pdev);
	return !dev.destroyed;
}

struct set {
	struct vfio_irq_set s;
	s32 data[80];
};

static int set_raw(u32 index, u32 flags, u32 start, u32 count, const void *data, size_t len)
{
	struct set s = { .s = {
		.argsz = (u32)(sizeof(struct vfio_irq_set) + len), .flags = flags, .index = index,
		.start = start, .count = count,
	} };

	memcpy(s.s.data, data, len);
	return softvirt_ioctl(fd, VFIO_DEVICE_SET_IRQS, &s);
}

static int set_none(u32 index, u32 action, u32 start, u32 count)
{
	return set_raw(index, NONE | action, start, count, "", 0);
}

static int set_fds(u32 index, u32 action, u32 start, u32 count, const s32 *fds)
{
	return set_raw(index, EVENTFD | action, start, count, fds, count * 4);
}

static int set_bools(u32 index, u32 action, u32 start, u32 count, const u8 *bools)
{
	return set_raw(index, BOOL | action, start, count, bools, count);
}

static void intx(bool level)
{
	pci_intx_set(dev.pdev, level);
}

static void test_validation(void **state)
{
	static const u32 max[] = { 1, 4, NR_MSIX, 1, 1 };
	struct set s = { 0 };

	for (u32 index = 0; index < 5; index++) {
		s32 minus = -1;

		assert_errno(set_none(index, TRIGGER, max[index], 1), EINVAL);
		assert_errno(set_none(index, TRIGGER, 0, max[index] + 1), EINVAL);
		assert_errno(set_none(index, TRIGGER, ~0u, 1), EINVAL);
		assert_errno(set_none(index, TRIGGER, 0, ~0u), EINVAL);
		/* No form of data, two, unknown flags. */
		assert_errno(set_raw(index, TRIGGER, 0, 1, &minus, 4), EINVAL);
		assert_errno(set_raw(index, NONE | BOOL | TRIGGER, 0, 1, &minus, 4), EINVAL);
		assert_errno(set_raw(index, NONE | TRIGGER | 1 << 6, 0, 1, &minus, 4), EINVAL);
		/* Data that is too short. */
		assert_errno(set_raw(index, EVENTFD | TRIGGER, 0, 1, &minus, 3), EINVAL);
		assert_errno(set_raw(index, BOOL | TRIGGER, 0, 1, &minus, 0), EINVAL);
		/* No action, two of them. */
		assert_errno(set_raw(index, NONE, 0, 1, "", 0), ENOTTY);
		assert_errno(set_raw(index, NONE | MASK | UNMASK, 0, 1, "", 0), ENOTTY);
		if (index != INTX) {
			assert_errno(set_none(index, MASK, 0, 1), ENOTTY);
			assert_errno(set_none(index, UNMASK, 0, 1), ENOTTY);
		}
	}
	assert_errno(set_none(5, TRIGGER, 0, 1), EINVAL);
	s.s.argsz = sizeof(s.s) - 1;
	s.s.flags = NONE | TRIGGER;
	assert_errno(softvirt_ioctl(fd, VFIO_DEVICE_SET_IRQS, &s), EINVAL);
	assert_errno(softvirt_ioctl(fd, VFIO_DEVICE_SET_IRQS, (void *)8), EFAULT);
}

static void test_descriptors_that_are_no_eventfds(void **state)
{
	static const u32 indexes[] = { INTX, MSI, MSIX, ERR, REQ };
	int p[2];

	assert_int_equal(pipe(p), 0);
	for (unsigned i = 0; i < 5; i++) {
		assert_errno(set_fds(indexes[i], TRIGGER, 0, 1, &(s32) { 9999 }), EBADF);
		assert_errno(set_fds(indexes[i], TRIGGER, 0, 1, &p[0]), EINVAL);
		/* The backing of an object of ours is none for a user. */
		assert_errno(set_fds(indexes[i], TRIGGER, 0, 1, &iommufd), EINVAL);
	}
	/* Nothing was set up by the attempts. */
	assert_int_equal(set_fds(INTX, TRIGGER, 0, 1, &ev[0]), 0);
	close(p[0]);
	close(p[1]);
}

static void test_intx(void **state)
{
	assert_errno(set_none(INTX, MASK, 0, 1), EINVAL);
	assert_errno(set_none(INTX, UNMASK, 0, 1), EINVAL);
	assert_errno(set_none(INTX, TRIGGER, 0, 1), EINVAL);
	assert_int_equal(set_fds(INTX, TRIGGER, 0, 1, &ev[0]), 0);
	intx(true);
	assert_int_equal(event_take(ev[0], 1000), 1);
	/* Masked by its delivery: a second edge says nothing. */
	intx(false);
	intx(true);
	assert_int_equal(event_take(ev[0], 20), 0);
	/* Still high when unmasked: again. */
	assert_int_equal(set_none(INTX, UNMASK, 0, 1), 0);
	assert_int_equal(event_take(ev[0], 1000), 1);
	intx(false);
	assert_int_equal(set_bools(INTX, UNMASK, 0, 1, &(u8) { 0 }), 0);	/* says no */
	intx(true);
	assert_int_equal(event_take(ev[0], 20), 0);
	intx(false);
	assert_int_equal(set_bools(INTX, UNMASK, 0, 1, &(u8) { 1 }), 0);
	assert_int_equal(event_take(ev[0], 20), 0);
	/* Masked by hand. */
	assert_int_equal(set_none(INTX, MASK, 0, 1), 0);
	intx(true);
	assert_int_equal(event_take(ev[0], 20), 0);
	assert_int_equal(set_none(INTX, UNMASK, 0, 1), 0);
	assert_int_equal(event_take(ev[0], 1000), 1);
	assert_errno(set_fds(INTX, MASK, 0, 1, &ev[1]), ENOTTY);
	/* Loopback. */
	assert_int_equal(set_none(INTX, TRIGGER, 0, 1), 0);
	assert_int_equal(event_take(ev[0], 1000), 1);
	assert_int_equal(set_bools(INTX, TRIGGER, 0, 1, &(u8) { 0 }), 0);
	assert_int_equal(event_take(ev[0], 20), 0);
	/* Another eventfd, then none, then off. */
	assert_int_equal(set_fds(INTX, TRIGGER, 0, 1, &ev[1]), 0);
	assert_int_equal(set_none(INTX, TRIGGER, 0, 1), 0);
	assert_int_equal(event_take(ev[1], 1000), 1);
	assert_int_equal(event_take(ev[0], 0), 0);
	assert_int_equal(set_fds(INTX, TRIGGER, 0, 1, &(s32) { -1 }), 0);
	assert_int_equal(set_none(INTX, TRIGGER, 0, 1), 0);
	assert_int_equal(set_none(INTX, TRIGGER, 0, 0), 0);
	assert_errno(set_none(INTX, MASK, 0, 1), EINVAL);
	/* High when it is set up: at once. */
	assert_int_equal(set_fds(INTX, TRIGGER, 0, 1, &ev[2]), 0);
	assert_int_equal(event_take(ev[2], 1000), 1);
}

static void test_intx_unmask_eventfd(void **state)
{
	u64 one = 1;

	assert_int_equal(set_fds(INTX, TRIGGER, 0, 1, &ev[0]), 0);
	assert_errno(set_fds(INTX, UNMASK, 0, 1, &(s32) { 9999 }), EBADF);
	assert_int_equal(set_fds(INTX, UNMASK, 0, 1, &ev[1]), 0);
	assert_errno(set_fds(INTX, UNMASK, 0, 1, &ev[2]), EBUSY);
	intx(true);
	for (unsigned i = 0; i < 20; i++) {
		assert_int_equal(event_take(ev[0], 2000), 1);
		assert_int_equal(write(ev[1], &one, 8), 8);
	}
	assert_int_equal(event_take(ev[0], 2000), 1);
	/* Taken away. */
	assert_int_equal(set_fds(INTX, UNMASK, 0, 1, &(s32) { -1 }), 0);
	assert_int_equal(write(ev[1], &one, 8), 8);
	assert_int_equal(event_take(ev[0], 50), 0);
	/* One that was signalled before counts. */
	assert_int_equal(set_fds(INTX, UNMASK, 0, 1, &ev[1]), 0);
	assert_int_equal(event_take(ev[0], 2000), 1);
	assert_int_equal(set_none(INTX, TRIGGER, 0, 0), 0);
	assert_int_equal(write(ev[1], &one, 8), 8);
	assert_int_equal(event_take(ev[0], 50), 0);
}

static void test_intx_disable_in_the_command_register(void **state)
{
	u32 cmd = cfg_read(fd, PCI_COMMAND, 2);

	assert_int_equal(set_fds(INTX, TRIGGER, 0, 1, &ev[0]), 0);
	cfg_write(fd, PCI_COMMAND, 2, cmd | PCI_COMMAND_INTX_DISABLE);
	intx(true);
	assert_int_equal(event_take(ev[0], 20), 0);
	assert_int_equal(set_none(INTX, UNMASK, 0, 1), 0);	/* stays masked */
	assert_int_equal(event_take(ev[0], 20), 0);
	cfg_write(fd, PCI_COMMAND, 2, cmd);
	assert_int_equal(event_take(ev[0], 1000), 1);
}

static void test_msix(void **state)
{
	s32 fds[NR_MSIX], minus = -1;

	memcpy(fds, ev, sizeof(fds));
	assert_errno(set_none(MSIX, TRIGGER, 0, 1), EINVAL);
	assert_int_equal(set_fds(MSIX, TRIGGER, 0, 3, fds), 0);
	for (unsigned v = 0; v < NR_MSIX; v++) {
		pci_msix_raise(dev.pdev, v);
		assert_int_equal(event_take(ev[v], v < 3 ? 1000 : 10), v < 3);
	}
	/* Vectors are added later, and one that was raised meanwhile comes then. */
	assert_int_equal(set_fds(MSIX, TRIGGER, 5, 2, fds + 5), 0);
	assert_int_equal(event_take(ev[5], 1000), 1);
	assert_int_equal(event_take(ev[6], 1000), 1);
	pci_msix_raise(dev.pdev, 6);
	assert_int_equal(event_take(ev[6], 1000), 1);
	/* One is taken away, one is replaced. */
	assert_int_equal(set_fds(MSIX, TRIGGER, 1, 1, &minus), 0);
	assert_int_equal(set_fds(MSIX, TRIGGER, 2, 1, &ev[4]), 0);
	pci_msix_raise(dev.pdev, 1);
	pci_msix_raise(dev.pdev, 2);
	assert_int_equal(event_take(ev[4], 1000), 1);
	assert_int_equal(event_take(ev[2], 0), 0);
	assert_int_equal(event_take(ev[1], 10), 0);
	/* Loopback: NONE all, BOOL those that say so. */
	assert_int_equal(set_none(MSIX, TRIGGER, 0, NR_MSIX), 0);
	assert_int_equal(event_take(ev[0], 1000), 1);
	assert_int_equal(event_take(ev[4], 1000), 1);
	assert_int_equal(event_take(ev[6], 1000), 1);
	assert_int_equal(event_take(ev[5], 1000), 1);
	assert_int_equal(set_bools(MSIX, TRIGGER, 5, 2, (u8[]) { 0, 1 }), 0);
	assert_int_equal(event_take(ev[5], 0), 0);
	assert_int_equal(event_take(ev[6], 1000), 1);
	/* The others are shut out while it is set up. */
	assert_errno(set_fds(INTX, TRIGGER, 0, 1, &ev[0]), EINVAL);
	assert_errno(set_fds(MSI, TRIGGER, 0, 1, &ev[0]), EINVAL);
	/* A bad one among good ones takes its whole block with it. */
	fds[2] = 9999;
	assert_errno(set_fds(MSIX, TRIGGER, 0, 4, fds), EBADF);
	(void)event_take(ev[0], 0);
	pci_msix_raise(dev.pdev, 0);
	assert_int_equal(event_take(ev[0], 10), 0);
	pci_msix_raise(dev.pdev, 6);
	assert_int_equal(event_take(ev[6], 1000), 1);
	assert_int_equal(set_none(MSIX, TRIGGER, 0, 0), 0);
	assert_errno(set_none(MSIX, TRIGGER, 0, 1), EINVAL);
	assert_int_equal(pci_config_read(dev.pdev, dev.pdev->msix_cap + 2u, 2), NR_MSIX - 1);
	pci_msix_raise(dev.pdev, 6);
	assert_int_equal(event_take(ev[6], 10), 0);
	/* All of them when the first block fails: nothing is set up. */
	assert_errno(set_fds(MSIX, TRIGGER, 0, 4, fds), EBADF);
	assert_int_equal(set_fds(INTX, TRIGGER, 0, 1, &ev[0]), 0);
}

static void test_msi(void **state)
{
	assert_int_equal(set_fds(MSI, TRIGGER, 0, 4, ev), 0);
	for (unsigned v = 0; v < 4; v++) {
		pci_msix_raise(dev.pdev, v);
		assert_int_equal(event_take(ev[v], 1000), 1);
	}
	assert_int_equal(set_none(MSI, TRIGGER, 0, 0), 0);
	/* Two vectors: the device folds the rest into them. */
	assert_int_equal(set_fds(MSI, TRIGGER, 0, 2, ev), 0);
	pci_msix_raise(dev.pdev, 3);
	assert_int_equal(event_take(ev[1], 1000), 1);
	/* Set up, so the user may say in config space that it is on, with no more vectors. */
	cfg_write(fd, dev.pdev->msi_cap + PCI_MSI_FLAGS, 2, PCI_MSI_FLAGS_ENABLE | 2 << 4);
	assert_int_equal(cfg_read(fd, dev.pdev->msi_cap + PCI_MSI_FLAGS, 2) & 0x71,
			 PCI_MSI_FLAGS_ENABLE | 1 << 4);
}

static void test_err_and_req(void **state)
{
	static const u32 indexes[] = { ERR, REQ };

	for (unsigned i = 0; i < 2; i++) {
		u32 x = indexes[i];

		assert_errno(set_none(x, TRIGGER, 0, 1), EINVAL);
		assert_errno(set_none(x, TRIGGER, 0, 0), EINVAL);
		assert_int_equal(set_fds(x, TRIGGER, 0, 1, &ev[i]), 0);
		assert_int_equal(set_none(x, TRIGGER, 0, 1), 0);
		assert_int_equal(event_take(ev[i], 1000), 1);
		assert_int_equal(set_bools(x, TRIGGER, 0, 1, &(u8) { 1 }), 0);
		assert_int_equal(event_take(ev[i], 1000), 1);
		assert_int_equal(set_bools(x, TRIGGER, 0, 1, &(u8) { 0 }), 0);
		assert_int_equal(event_take(ev[i], 10), 0);
		assert_errno(set_raw(x, BOOL | TRIGGER, 0, 0, "", 0), EINVAL);
		assert_errno(set_raw(x, EVENTFD | TRIGGER, 0, 0, "", 0), EINVAL);
		assert_errno(set_fds(x, TRIGGER, 0, 1, &(s32) { -2 }), EINVAL);
	}
	pci_report_err(dev.pdev);
	assert_int_equal(event_take(ev[0], 1000), 1);
	assert_int_equal(set_none(ERR, TRIGGER, 0, 0), 0);
	pci_report_err(dev.pdev);
	assert_int_equal(event_take(ev[0], 10), 0);
	assert_int_equal(set_fds(REQ, TRIGGER, 0, 1, &(s32) { -1 }), 0);
	assert_errno(set_none(REQ, TRIGGER, 0, 1), EINVAL);
}

static void *destroyer(void *arg)
{
	pci_dev_destroy(arg);
	return NULL;
}

static void test_removal_requests(void **state)
{
	struct test_dev other;
	struct sv_thread t;
	int f;

	test_dev_make(&other, 2, 0, 2);
	f = fd;
	fd = cdev_open_bound(&other, iommufd);
	assert_int_equal(set_fds(REQ, TRIGGER, 0, 1, &ev[0]), 0);
	assert_int_equal(sv_thread_create(&t, "remover", destroyer, other.pdev), 0);
	assert_int_equal(event_take(ev[0], 5000), 1);
	/* The device goes on working until it is let go. */
	assert_int_equal(cfg_read(fd, 0, 2), 0x1234);
	assert_false(other.destroyed);
	softvirt_close(fd);
	sv_thread_join(&t);
	assert_true(other.destroyed);
	fd = f;
}

static void test_full_eventfd_never_blocks(void **state)
{
	u64 full = ~0ull - 1, n;

	assert_int_equal(set_fds(MSIX, TRIGGER, 0, 1, ev), 0);
	assert_int_equal(write(ev[0], &full, 8), 8);
	pci_msix_raise(dev.pdev, 0);
	assert_int_equal(read(ev[0], &n, 8), 8);
	assert_true(n == full);
}

static void test_failures_of_descriptors(void **state)
{
	unsigned n;
	int ret = 0;

	for (n = 1;; n++) {
		sv_fault_inject(n);
		ret = set_fds(MSIX, TRIGGER, 0, 3, ev);
		if (!sv_fault_fired())
			break;
		assert_int_equal(ret, -1);
		sv_fault_inject(0);
		/* Nothing is set up: another kind can be. */
		assert_int_equal(set_fds(INTX, TRIGGER, 0, 1, &ev[7]), 0);
		assert_int_equal(set_none(INTX, TRIGGER, 0, 0), 0);
	}
	sv_fault_inject(0);
	assert_true(n > 3);
	assert_int_equal(ret, 0);
	assert_int_equal(set_none(MSIX, TRIGGER, 0, 0), 0);
	assert_int_equal(set_fds(INTX, TRIGGER, 0, 1, &ev[0]), 0);
	for (n = 1;; n++) {
		sv_fault_inject(n);
		ret = set_fds(INTX, UNMASK, 0, 1, &ev[1]);
		if (!sv_fault_fired())
			break;
		assert_int_equal(ret, -1);
	}
	sv_fault_inject(0);
	assert_int_equal(ret, 0);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(test_validation), T(test_descriptors_that_are_no_eventfds), T(test_intx),
		T(test_intx_unmask_eventfd), T(test_intx_disable_in_the_command_register), T(test_msix),
		T(test_msi), T(test_err_and_req), T(test_removal_requests),
		T(test_full_eventfd_never_blocks), T(test_failures_of_descriptors),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
