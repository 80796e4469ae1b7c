/* SPDX-License-Identifier: MIT */
/*
 * PCI functions as hardware: creation, the list, config space's masks, memory and power, resets,
 * MSI-X with pending bits, MSI, INTx, owners and removal.
 */
#include "../abi/vfio.h"

#include <linux/pci_regs.h>

static struct test_dev dev;

static unsigned fired[64];
static int intx_level, offs, ons, errs;
static volatile int requests;
static bool memory_was_on;

static void on_msix(void *owner, unsigned v)
{
	fired[v]++;
}

static void on_intx(void *owner, bool level)
{
	intx_level = level;
}

static void on_off(void *owner)
{
	offs++;
	memory_was_on = pci_memory_on(owner);
}

static void on_on(void *owner)
{
	ons++;
	assert_true(pci_memory_on(owner));
}

static void on_err(void *owner)
{
	errs++;
}

static void on_request(void *owner, unsigned count)
{
	__atomic_fetch_add(&requests, 1, __ATOMIC_SEQ_CST);
}

static const struct pci_owner_ops owner = {
	.msix = on_msix, .intx = on_intx, .memory_off = on_off, .memory_on = on_on, .err = on_err,
	.request = on_request,
};

static int setup(void **state)
{
	struct pci_dev_config cfg = test_config();

	cfg.pri = true;
	memset(fired, 0, sizeof(fired));
	intx_level = offs = ons = errs = requests = 0;
	if (test_dev_create(&dev, &cfg, 1, 0, 1))
		return -1;
	return pci_dev_claim(dev.pdev, &owner, dev.pdev);
}

static int teardown(void **state)
{
	pci_dev_release(dev.pdev);
	pci_dev_destroy(dev.pdev);
	return !dev.destroyed;
}

static u32 rd(unsigned off, unsigned len)
{
	return pci_config_read(dev.pdev, off, len);
}

static void wr(unsigned off, unsigned len, u32 v)
{
	pci_config_write(dev.pdev, off, len, v);
}

static void command(u16 v)
{
	wr(PCI_COMMAND, 2, v);
}

static void test_bad_configs(void **state)
{
	struct pci_dev_config cfg;
	struct test_dev d;
#define REFUSED(change) do { \
	cfg = test_config(); \
	change; \
	assert_int_equal(test_dev_create(&d, &cfg, 2, 0, 2), -EINVAL); \
} while (0)

	REFUSED(cfg.bars[0].size = 0x3000);
	REFUSED(cfg.bars[0].size = 2048);
	REFUSED(cfg.bars[2].size = 1ull << 37);
	REFUSED(cfg.bars[3].kind = PCI_BAR_RAM; cfg.bars[3].size = 4096);
	REFUSED(cfg.bars[5] = cfg.bars[2]);
	REFUSED(cfg.msix_bar = 2);
	REFUSED(cfg.msix_bar = 6);
	REFUSED(cfg.nr_msix = 65);
	REFUSED(cfg.msix_table_off = REGS_SIZE - 16);
	REFUSED(cfg.msix_pba_off = MSIX_TABLE + 16);
	REFUSED(cfg.msix_table_off = 4);
	REFUSED(cfg.nr_msi = 3);
	REFUSED(cfg.nr_msi = 64);
	REFUSED(cfg.class_code = 1u << 24);
}

static void test_list(void **state)
{
	struct test_dev a, b;
	struct pci_dev_config cfg = test_config();
	struct pci_dev *p = NULL;
	unsigned n = 0;

	test_dev_make(&b, 3, 8, 5);
	test_dev_make(&a, 0, 255, 4);
	assert_int_equal(test_dev_create(&(struct test_dev) { 0 }, &cfg, 3, 8, 5), -EEXIST);
	assert_int_equal(dev.pdev->index, 0);
	assert_int_equal(b.pdev->index, 1);
	assert_int_equal(a.pdev->index, 2);
	while ((p = pci_dev_next(p))) {
		assert_ptr_equal(p, n == 0 ? a.pdev : n == 1 ? dev.pdev : b.pdev);
		n++;
	}
	assert_int_equal(n, 3);
	p = pci_dev_find_name("0000:03:01.0");
	assert_ptr_equal(p, b.pdev);
	pci_dev_put(p);
	p = pci_dev_find_name("00:1f.7");
	assert_ptr_equal(p, a.pdev);
	pci_dev_put(p);
	assert_null(pci_dev_find_name("0000:03:01.1"));
	assert_null(pci_dev_find_name("0000:03:01.0x"));
	assert_null(pci_dev_find_name("03:20.0"));
	assert_null(pci_dev_find_name("nonsense"));
	pci_dev_destroy(a.pdev);
	pci_dev_destroy(b.pdev);
	assert_true(a.destroyed && b.destroyed);
	assert_null(pci_dev_find(3, 1, 0));
}

static void test_config_masks(void **state)
{
	u32 bar0 = rd(PCI_BASE_ADDRESS_0, 4), bar2 = rd(PCI_BASE_ADDRESS_2, 4);

	assert_int_equal(rd(PCI_VENDOR_ID, 4), 0x56781234);
	wr(PCI_VENDOR_ID, 4, 0);
	assert_int_equal(rd(PCI_VENDOR_ID, 4), 0x56781234);
	assert_int_equal(rd(PCI_CLASS_REVISION, 4), 0x08800003);
	assert_int_equal(rd(PCI_SUBSYSTEM_VENDOR_ID, 4), 0x22221111);
	assert_int_equal(rd(PCI_INTERRUPT_PIN, 1), 1);
	/* BAR sizing, as a kernel does it. */
	wr(PCI_BASE_ADDRESS_0, 4, ~0u);
	assert_int_equal(rd(PCI_BASE_ADDRESS_0, 4), ~(REGS_SIZE - 1));
	wr(PCI_BASE_ADDRESS_0, 4, bar0);
	wr(PCI_BASE_ADDRESS_2, 4, ~0u);
	wr(PCI_BASE_ADDRESS_3, 4, ~0u);
	assert_int_equal(rd(PCI_BASE_ADDRESS_2, 4), ~(RAM_SIZE - 1) | 0xc);
	assert_int_equal(rd(PCI_BASE_ADDRESS_3, 4), ~0u);
	assert_int_equal(bar2 & 0xf, 0xc);
	wr(PCI_BASE_ADDRESS_1, 4, ~0u);
	assert_int_equal(rd(PCI_BASE_ADDRESS_1, 4), 0);
	assert_int_equal(rd(PCI_ROM_ADDRESS, 4), 0);
	/* Command: only what there is; status: bits are cleared by ones, and there are none. */
	command(0xffff);
	assert_int_equal(rd(PCI_COMMAND, 2), 0x0546);
	command(0);
	/* Accesses that no bus makes. */
	assert_int_equal(rd(1, 2), ~0u);
	assert_int_equal(rd(4096, 4), ~0u);
	assert_int_equal(rd(0, 3), ~0u);
	wr(PCI_CACHE_LINE_SIZE, 3, ~0u);
	assert_int_equal(rd(PCI_CACHE_LINE_SIZE, 1), 0);
}

static void test_capabilities(void **state)
{
	static const u8 expect[] = { PCI_CAP_ID_PM, PCI_CAP_ID_MSI, PCI_CAP_ID_EXP, PCI_CAP_ID_MSIX };
	unsigned at = rd(PCI_CAPABILITY_LIST, 1), n = 0;

	while (at) {
		assert_true(n < ARRAY_SIZE(expect));
		assert_int_equal(rd(at, 1), expect[n++]);
		at = rd(at + 1, 1);
	}
	assert_int_equal(n, ARRAY_SIZE(expect));
	assert_true(rd(dev.pdev->pcie_cap + PCI_EXP_DEVCAP, 4) & PCI_EXP_DEVCAP_FLR);
	assert_int_equal(rd(dev.pdev->msix_cap + PCI_MSIX_FLAGS, 2), NR_MSIX - 1);
	assert_int_equal(rd(0x100, 4) & 0xffff, PCI_EXT_CAP_ID_PASID);
	at = rd(0x100, 4) >> 20;
	assert_int_equal(rd(at, 4) & 0xffff, PCI_EXT_CAP_ID_PRI);
	assert_int_equal(rd(at, 4) >> 20, 0);
}

static void test_memory_and_power(void **state)
{
	unsigned pm = dev.pdev->pm_cap + PCI_PM_CTRL;
	u32 v = 0x12345678;

	assert_false(pci_memory_on(dev.pdev));
	assert_int_equal(pci_bar_write(dev.pdev, 2, 0, &v, 4), -EIO);
	assert_int_equal(pci_bar_read(dev.pdev, 0, 0, &v, 4), -EIO);
	command(PCI_COMMAND_MEMORY);
	assert_true(pci_memory_on(dev.pdev));
	assert_int_equal(ons, 1);
	command(PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);	/* no transition */
	assert_int_equal(ons, 1);
	assert_int_equal(dev.power_changes, 1);
	v = 0x12345678;
	assert_int_equal(pci_bar_write(dev.pdev, 2, 8, &v, 4), 0);
	assert_memory_equal((u8 *)dev.pdev->bars[2].base + 8, &v, 4);
	/* D1 and D2 don't exist. */
	wr(pm, 2, 1);
	assert_int_equal(rd(pm, 2) & 3, 0);
	wr(pm, 2, 3);
	assert_int_equal(rd(pm, 2) & 3, 3);
	assert_int_equal(offs, 1);
	assert_true(memory_was_on);	/* the owner hears of it before it happens */
	assert_false(pci_memory_on(dev.pdev));
	command(0);
	assert_int_equal(offs, 1);
	wr(pm, 2, 0);
	assert_int_equal(ons, 1);
	command(PCI_COMMAND_MEMORY);
	assert_int_equal(ons, 2);
	v = 0;
	assert_int_equal(pci_bar_read(dev.pdev, 2, 8, &v, 4), 0);
	assert_int_equal(v, 0x12345678);
	assert_int_equal(pci_bar_read(dev.pdev, 2, RAM_SIZE, &v, 1), -EINVAL);
	assert_int_equal(pci_bar_read(dev.pdev, 2, ~0ull, &v, 2), -EINVAL);
	assert_int_equal(pci_bar_read(dev.pdev, 3, 0, &v, 1), -EINVAL);
	assert_int_equal(pci_bar_read(dev.pdev, 6, 0, &v, 1), -EINVAL);
	/* What doesn't answer reads as ones. */
	assert_int_equal(pci_bar_read(dev.pdev, 0, 0x18, &v, 4), 0);
	assert_int_equal(v, ~0u);
}

static void test_odd_register_accesses(void **state)
{
	u8 in[23], out[23];

	command(PCI_COMMAND_MEMORY);
	for (unsigned i = 0; i < sizeof(in); i++)
		in[i] = (u8)(i * 7 + 1);
	for (unsigned off = 0x20; off < 0x28; off++) {
		for (unsigned len = 1; len <= sizeof(in); len++) {
			memset(dev.regs, 0, 0x80);
			assert_int_equal(pci_bar_write(dev.pdev, 0, off, in, len), 0);
			assert_memory_equal(dev.regs + off, in, len);
			assert_int_equal(dev.regs[off + len], 0);
			assert_int_equal(pci_bar_read(dev.pdev, 0, off, out, len), 0);
			assert_memory_equal(out, in, len);
		}
	}
}

static void reset_and_check(void (*reset)(void), enum pci_reset_kind kind)
{
	unsigned resets = dev.resets;

	command(PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
	wr(PCI_CACHE_LINE_SIZE, 1, 16);
	pci_msix_enable(dev.pdev, true);
	pci_msix_set_mask(dev.pdev, 3, false);
	dev.regs[0x40] = 1;
	offs = ons = 0;
	reset();
	assert_int_equal(dev.resets, resets + 1);
	assert_int_equal(dev.last_reset, kind);
	assert_int_equal(offs, 1);
	assert_int_equal(ons, 1);
	assert_int_equal(dev.regs[0x40], 0);
	/* Config space and vectors are as before. */
	assert_int_equal(rd(PCI_COMMAND, 2), PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
	assert_int_equal(rd(PCI_CACHE_LINE_SIZE, 1), 16);
	memset(fired, 0, sizeof(fired));
	pci_msix_raise(dev.pdev, 3);
	assert_int_equal(fired[3], 1);
	pci_msix_raise(dev.pdev, 4);
	assert_int_equal(fired[4], 0);
}

static void by_bit(void)
{
	unsigned ctl = dev.pdev->pcie_cap + PCI_EXP_DEVCTL;

	wr(ctl, 2, rd(ctl, 2) | PCI_EXP_DEVCTL_BCR_FLR);
	assert_false(rd(ctl, 2) & PCI_EXP_DEVCTL_BCR_FLR);
}

static void by_call(void)
{
	pci_reset(dev.pdev, PCI_RESET_HOT);
}

static void by_byte(void)
{
	unsigned ctl = dev.pdev->pcie_cap + PCI_EXP_DEVCTL;

	wr(ctl + 1, 1, rd(ctl + 1, 1) | 0x80);
}

static void test_resets(void **state)
{
	reset_and_check(by_bit, PCI_RESET_FLR);
	reset_and_check(by_byte, PCI_RESET_FLR);
	reset_and_check(by_call, PCI_RESET_HOT);
	/* Out of D3hot, with memory enabled in the command register. */
	wr(dev.pdev->pm_cap + PCI_PM_CTRL, 2, 3);
	assert_false(pci_memory_on(dev.pdev));
	by_call();
	assert_true(pci_memory_on(dev.pdev));
	assert_int_equal(rd(dev.pdev->pm_cap + PCI_PM_CTRL, 2) & 3, 0);
	/* A level that was high falls. */
	pci_msix_enable(dev.pdev, false);
	pci_intx_set(dev.pdev, true);
	assert_int_equal(intx_level, 1);
	by_call();
	assert_int_equal(intx_level, 0);
}

static u32 pending(void)
{
	u32 v;

	assert_int_equal(pci_bar_read(dev.pdev, 0, MSIX_PBA, &v, 4), 0);
	return v;
}

static void test_msix(void **state)
{
	unsigned flags = dev.pdev->msix_cap + PCI_MSIX_FLAGS;
	u32 v;

	command(PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
	pci_msix_raise(dev.pdev, 0);		/* off: lost */
	wr(flags, 2, PCI_MSIX_FLAGS_ENABLE);
	assert_int_equal(fired[0], 0);
	/* Masked after power-on: pending until unmasked, by a store into the table. */
	pci_msix_raise(dev.pdev, 5);
	pci_msix_raise(dev.pdev, 5);
	assert_int_equal(fired[5], 0);
	assert_int_equal(pending(), 1u << 5);
	v = 0;
	assert_int_equal(pci_bar_write(dev.pdev, 0, MSIX_TABLE + 5 * 16 + 12, &v, 4), 0);
	assert_int_equal(fired[5], 1);
	assert_int_equal(pending(), 0);
	pci_msix_raise(dev.pdev, 5);
	assert_int_equal(fired[5], 2);
	/* The whole function masked. */
	wr(flags, 2, PCI_MSIX_FLAGS_ENABLE | PCI_MSIX_FLAGS_MASKALL);
	pci_msix_raise(dev.pdev, 5);
	assert_int_equal(pending(), 1u << 5);
	wr(flags, 2, PCI_MSIX_FLAGS_ENABLE);
	assert_int_equal(fired[5], 3);
	/* No bus mastering, no message. */
	command(PCI_COMMAND_MEMORY);
	pci_msix_raise(dev.pdev, 5);
	assert_int_equal(fired[5], 3);
	command(PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
	assert_int_equal(fired[5], 4);
	/* Vectors that there aren't, pending bits that nobody may write. */
	pci_msix_raise(dev.pdev, NR_MSIX);
	pci_msix_raise(dev.pdev, 200);
	v = ~0u;
	assert_int_equal(pci_bar_write(dev.pdev, 0, MSIX_PBA, &v, 4), 0);
	assert_int_equal(pending(), 0);
	/* The table's fields: address bits 1:0 and all but the mask bit are not there. */
	v = ~0u;
	for (unsigned i = 0; i < 4; i++)
		assert_int_equal(pci_bar_write(dev.pdev, 0, MSIX_TABLE + 4 * i, &v, 4), 0);
	assert_int_equal(pci_bar_read(dev.pdev, 0, MSIX_TABLE, &v, 4), 0);
	assert_int_equal(v, 0xfffffffc);
	assert_int_equal(pci_bar_read(dev.pdev, 0, MSIX_TABLE + 12, &v, 4), 0);
	assert_int_equal(v, 1);
	/* Read-only: the number of vectors. */
	wr(flags, 2, 0x7ff);
	assert_int_equal(rd(flags, 2) & 0x7ff, NR_MSIX - 1);
}

static void test_msi(void **state)
{
	unsigned flags = dev.pdev->msi_cap + PCI_MSI_FLAGS;

	command(PCI_COMMAND_MASTER);
	wr(flags, 2, PCI_MSI_FLAGS_ENABLE | 1 << 4);	/* two of four */
	for (unsigned v = 0; v < 4; v++)
		pci_msix_raise(dev.pdev, v);
	assert_int_equal(fired[0], 2);
	assert_int_equal(fired[1], 2);
	assert_int_equal(fired[2], 0);
	wr(flags, 2, PCI_MSI_FLAGS_ENABLE | 5 << 4);	/* more than there are */
	pci_msix_raise(dev.pdev, 3);
	assert_int_equal(fired[3], 1);
	pci_msi_enable(dev.pdev, 0);
	pci_msix_raise(dev.pdev, 3);
	assert_int_equal(fired[3], 1);
}

static void test_intx(void **state)
{
	pci_intx_set(dev.pdev, true);
	assert_int_equal(intx_level, 1);
	assert_true(rd(PCI_STATUS, 2) & PCI_STATUS_INTERRUPT);
	command(PCI_COMMAND_INTX_DISABLE);
	assert_int_equal(intx_level, 0);
	assert_true(rd(PCI_STATUS, 2) & PCI_STATUS_INTERRUPT);	/* the device's own level */
	command(0);
	assert_int_equal(intx_level, 1);
	pci_msix_enable(dev.pdev, true);	/* messages take its place */
	assert_int_equal(intx_level, 0);
	pci_msix_enable(dev.pdev, false);
	assert_int_equal(intx_level, 1);
	pci_intx_set(dev.pdev, false);
	assert_int_equal(intx_level, 0);
	assert_false(rd(PCI_STATUS, 2) & PCI_STATUS_INTERRUPT);
	pci_report_err(dev.pdev);
	assert_int_equal(errs, 1);
}

static void *destroyer(void *arg)
{
	pci_dev_destroy(arg);
	return NULL;
}

static void test_removal_asks_the_owner(void **state)
{
	struct sv_thread t;
	struct test_dev d;

	assert_int_equal(pci_dev_claim(dev.pdev, &owner, dev.pdev), -EBUSY);
	test_dev_make(&d, 9, 0, 9);
	assert_int_equal(pci_dev_claim(d.pdev, &owner, d.pdev), 0);
	(void)pci_dev_get(d.pdev);
	assert_int_equal(sv_thread_create(&t, "destroyer", destroyer, d.pdev), 0);
	while (!__atomic_load_n(&requests, __ATOMIC_SEQ_CST))
		usleep(1000);
	assert_false(d.destroyed);
	assert_null(pci_dev_find(0, 9, 0));
	pci_dev_release(d.pdev);
	sv_thread_join(&t);
	assert_true(d.destroyed);
	assert_int_equal(pci_dev_claim(d.pdev, &owner, d.pdev), -ENODEV);
	assert_int_equal(pci_bar_read(d.pdev, 0, 0, &(u32) { 0 }, 4), -EIO);
	pci_dev_put(d.pdev);
}

static void test_allocation_failures(void **state)
{
	struct pci_dev_config cfg = test_config();
	struct test_dev d;
	unsigned n;
	int err = 0;

	for (n = 1;; n++) {
		sv_fault_inject(n);
		err = test_dev_create(&d, &cfg, 7, 0, 7);
		if (!sv_fault_fired())
			break;
		assert_int_not_equal(err, 0);
		assert_null(pci_dev_find(0, 7, 0));
	}
	sv_fault_inject(0);
	assert_int_equal(err, 0);
	assert_true(n > 5);
	pci_dev_destroy(d.pdev);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(test_bad_configs), T(test_list), T(test_config_masks), T(test_capabilities),
		T(test_memory_and_power), T(test_odd_register_accesses), T(test_resets), T(test_msix),
		T(test_msi), T(test_intx), T(test_removal_asks_the_owner), T(test_allocation_failures),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
