/* SPDX-License-Identifier: MIT */
/*
 * Config space as VFIO shows it: what is virtual, what is written through, what is hidden.
 */
#include "vfio.h"

#include <linux/pci_regs.h>

static struct test_dev dev;
static int iommufd, fd;

static int setup(void **state)
{
	struct pci_dev_config cfg = test_config();

	cfg.pri = true;
	if (test_dev_create(&dev, &cfg, 1, 0, 1))
		return -1;
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

static u32 hw(unsigned off, unsigned len)
{
	return pci_config_read(dev.pdev, off, len);
}

static void test_after_open(void **state)
{
	/* Decoding memory, no bus mastering, in D0. */
	assert_int_equal(cfg_read(fd, PCI_COMMAND, 2), PCI_COMMAND_MEMORY);
	assert_int_equal(cfg_read(fd, PCI_VENDOR_ID, 4), 0x56781234);
	assert_int_equal(cfg_read(fd, PCI_CLASS_REVISION, 4), 0x08800003);
	assert_int_equal(cfg_read(fd, PCI_INTERRUPT_PIN, 1), 1);
	assert_int_equal(dev.last_reset, PCI_RESET_FLR);
	assert_true(dev.resets >= 1);
}

static void test_bars_are_virtual(void **state)
{
	u32 bar0 = hw(PCI_BASE_ADDRESS_0, 4), bar2 = hw(PCI_BASE_ADDRESS_2, 4);

	assert_int_equal(cfg_read(fd, PCI_BASE_ADDRESS_0, 4), bar0);
	cfg_write(fd, PCI_BASE_ADDRESS_0, 4, ~0u);
	assert_int_equal(cfg_read(fd, PCI_BASE_ADDRESS_0, 4), ~(REGS_SIZE - 1));
	cfg_write(fd, PCI_BASE_ADDRESS_2, 4, ~0u);
	cfg_write(fd, PCI_BASE_ADDRESS_3, 4, ~0u);
	assert_int_equal(cfg_read(fd, PCI_BASE_ADDRESS_2, 4), ~(RAM_SIZE - 1) | 0xc);
	assert_int_equal(cfg_read(fd, PCI_BASE_ADDRESS_3, 4), ~0u);
	/* One byte of it, and an address of the user's own. */
	cfg_write(fd, PCI_BASE_ADDRESS_0 + 3, 1, 0x12);
	assert_int_equal(cfg_read(fd, PCI_BASE_ADDRESS_0, 4), 0x12ffc000);
	cfg_write(fd, PCI_BASE_ADDRESS_1, 4, ~0u);
	assert_int_equal(cfg_read(fd, PCI_BASE_ADDRESS_1, 4), 0);
	cfg_write(fd, PCI_ROM_ADDRESS, 4, ~0u);
	assert_int_equal(cfg_read(fd, PCI_ROM_ADDRESS, 4), 0);
	assert_int_equal(hw(PCI_BASE_ADDRESS_0, 4), bar0);
	assert_int_equal(hw(PCI_BASE_ADDRESS_2, 4), bar2);
}

static void test_command(void **state)
{
	cfg_write(fd, PCI_COMMAND, 2, 0xffff);
	/* INTX_DISABLE is the user's alone. */
	assert_int_equal(cfg_read(fd, PCI_COMMAND, 2), 0x0546);
	assert_int_equal(hw(PCI_COMMAND, 2), 0x0146);
	cfg_write(fd, PCI_COMMAND + 1, 1, 0);
	assert_int_equal(cfg_read(fd, PCI_COMMAND, 2), 0x0046);
	/* A write of all four bytes doesn't touch the status. */
	cfg_write(fd, PCI_COMMAND, 4, 0xffff0002);
	assert_int_equal(cfg_read(fd, PCI_COMMAND, 4), PCI_STATUS_CAP_LIST << 16 | 2);
	cfg_write(fd, PCI_STATUS, 2, 0);
	assert_int_equal(cfg_read(fd, PCI_STATUS, 2), PCI_STATUS_CAP_LIST);
}

static void test_read_only(void **state)
{
	cfg_write(fd, PCI_VENDOR_ID, 4, 0);
	cfg_write(fd, PCI_CLASS_REVISION, 4, 0);
	cfg_write(fd, PCI_CAPABILITY_LIST, 1, 0);
	cfg_write(fd, PCI_INTERRUPT_PIN, 1, 0);
	assert_int_equal(cfg_read(fd, PCI_VENDOR_ID, 4), 0x56781234);
	assert_int_equal(cfg_read(fd, PCI_CLASS_REVISION, 4), 0x08800003);
	assert_int_equal(cfg_read(fd, PCI_CAPABILITY_LIST, 1), dev.pdev->pm_cap);
	assert_int_equal(cfg_read(fd, PCI_INTERRUPT_PIN, 1), 1);
	/* The interrupt line is the user's to write and changes nothing. */
	cfg_write(fd, PCI_INTERRUPT_LINE, 1, 77);
	assert_int_equal(cfg_read(fd, PCI_INTERRUPT_LINE, 1), 77);
	assert_int_equal(hw(PCI_INTERRUPT_LINE, 1), 0);
	cfg_write(fd, PCI_CACHE_LINE_SIZE, 1, 16);
	assert_int_equal(hw(PCI_CACHE_LINE_SIZE, 1), 16);
}

static void test_capability_list(void **state)
{
	static const u8 expect[] = { PCI_CAP_ID_PM, PCI_CAP_ID_MSI, PCI_CAP_ID_EXP, PCI_CAP_ID_MSIX };
	unsigned at = cfg_read(fd, PCI_CAPABILITY_LIST, 1), n = 0;

	while (at) {
		assert_true(n < ARRAY_SIZE(expect));
		assert_int_equal(cfg_read(fd, at, 1), expect[n++]);
		cfg_write(fd, at, 2, 0xffff);
		at = cfg_read(fd, at + 1, 1);
	}
	assert_int_equal(n, ARRAY_SIZE(expect));
	/* PASID is the host's: an empty header that leads on to PRI. */
	assert_int_equal(cfg_read(fd, 0x100, 4) & 0xfffff, 0);
	at = cfg_read(fd, 0x100, 4) >> 20;
	assert_int_equal(at, dev.pdev->pri_cap);
	assert_int_equal(cfg_read(fd, at, 2), PCI_EXT_CAP_ID_PRI);
	cfg_write(fd, at + PCI_PRI_CTRL, 2, 1);
	assert_int_equal(hw(at + PCI_PRI_CTRL, 2), 0);
	cfg_write(fd, dev.pdev->pasid_cap + PCI_PASID_CTRL, 2, 1);
	assert_int_equal(hw(dev.pdev->pasid_cap + PCI_PASID_CTRL, 2), 0);
}

static void test_msix_control_is_read_only(void **state)
{
	unsigned flags = dev.pdev->msix_cap + PCI_MSIX_FLAGS;

	cfg_write(fd, flags, 2, 0xc000);
	assert_int_equal(cfg_read(fd, flags, 2), NR_MSIX - 1);
	assert_int_equal(hw(flags, 2), NR_MSIX - 1);
}

static void test_msi_is_virtual(void **state)
{
	unsigned msi = dev.pdev->msi_cap;

	cfg_write(fd, msi + PCI_MSI_ADDRESS_LO, 4, 0xfee00000);
	cfg_write(fd, msi + PCI_MSI_DATA_64, 2, 0x4041);
	assert_int_equal(cfg_read(fd, msi + PCI_MSI_ADDRESS_LO, 4), 0xfee00000);
	assert_int_equal(cfg_read(fd, msi + PCI_MSI_DATA_64, 2), 0x4041);
	assert_int_equal(hw(msi + PCI_MSI_ADDRESS_LO, 4), 0);
	/* Not set up, so it can't be enabled. */
	cfg_write(fd, msi + PCI_MSI_FLAGS, 2, PCI_MSI_FLAGS_ENABLE);
	assert_int_equal(cfg_read(fd, msi + PCI_MSI_FLAGS, 2) & PCI_MSI_FLAGS_ENABLE, 0);
	assert_int_equal(cfg_read(fd, msi + PCI_MSI_FLAGS, 2) & PCI_MSI_FLAGS_QMASK, 2 << 1);
}

static void test_power_states(void **state)
{
	unsigned ctrl = dev.pdev->pm_cap + PCI_PM_CTRL;
	u32 v;

	for (unsigned len = 1; len <= 4; len *= 2) {
		cfg_write(fd, ctrl, len, 3);
		assert_int_equal(cfg_read(fd, ctrl, 2) & 3, 3);
		assert_errno(softvirt_pread(fd, &v, 4, REGION(2)), EIO);
		cfg_write(fd, ctrl, len, 0);
		assert_int_equal(softvirt_pread(fd, &v, 4, REGION(2)), 4);
	}
	cfg_write(fd, ctrl + 1, 1, 3);	/* the next byte says nothing about it */
	assert_int_equal(cfg_read(fd, ctrl, 2) & 3, 0);
	assert_int_equal(cfg_read(fd, dev.pdev->pm_cap + PCI_PM_PMC, 2) & PCI_PM_CAP_PME_MASK, 0);
}

static void test_flr(void **state)
{
	unsigned ctl = dev.pdev->pcie_cap + PCI_EXP_DEVCTL, resets = dev.resets;

	master_enable(fd, true);
	dev.regs[0x50] = 1;
	cfg_write(fd, ctl, 2, cfg_read(fd, ctl, 2) | PCI_EXP_DEVCTL_BCR_FLR);
	assert_int_equal(dev.resets, resets + 1);
	assert_int_equal(dev.regs[0x50], 0);
	assert_false(cfg_read(fd, ctl, 2) & PCI_EXP_DEVCTL_BCR_FLR);
	cfg_write(fd, ctl + 1, 1, 0x80);
	assert_int_equal(dev.resets, resets + 2);
	cfg_write(fd, ctl, 4, PCI_EXP_DEVCTL_BCR_FLR);
	assert_int_equal(dev.resets, resets + 3);
	/* Payload and read request sizes are virtual. */
	cfg_write(fd, ctl, 2, 0x50f0);
	assert_int_equal(cfg_read(fd, ctl, 2) & 0x70e0, 0x50e0);
	assert_int_equal(cfg_read(fd, PCI_COMMAND, 2), PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
}

static void test_bounds(void **state)
{
	u8 all[4096];
	u32 v;

	assert_int_equal(softvirt_pread(fd, all, 4096, REGION(7)), 4096);
	assert_memory_equal(all, "\x34\x12\x78\x56", 4);
	assert_errno(softvirt_pread(fd, all, 4, REGION(7) + 4093), EFAULT);
	assert_errno(softvirt_pread(fd, all, 1, REGION(7) + 4096), EFAULT);
	assert_errno(softvirt_pwrite(fd, all, 1, REGION(7) + 4096), EFAULT);
	/* Any length at any offset shows the same bytes. */
	for (unsigned off = 0; off < 0x48; off++) {
		for (unsigned len = 1; len <= 8; len++) {
			u8 part[8];

			assert_int_equal(softvirt_pread(fd, part, len, REGION(7) + off), len);
			assert_memory_equal(part, all + off, len);
		}
	}
	assert_errno(softvirt_pread(fd, (void *)8, 4, REGION(7)), EFAULT);
	assert_errno(softvirt_pwrite(fd, (void *)8, 4, REGION(7) + 4), EFAULT);
	/* What belongs to no capability is the function's. */
	cfg_write(fd, 0xf0, 4, ~0u);
	v = cfg_read(fd, 0xf0, 4);
	assert_int_equal(v, 0);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(test_after_open), T(test_bars_are_virtual), T(test_command), T(test_read_only),
		T(test_capability_list), T(test_msix_control_is_read_only), T(test_msi_is_virtual),
		T(test_power_states), T(test_flr), T(test_bounds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
