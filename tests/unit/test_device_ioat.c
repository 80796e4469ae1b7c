/* SPDX-License-Identifier: MIT */
/* The I/OAT channel, by its registers and descriptors. */
#include "device_env.h"

enum { CHANCTRL = 0x80, CHANCMD = 0x84, DMACOUNT = 0x86, CHANSTS = 0x88, CHAINADDR = 0x90,
       CHANCMP = 0x98, CHANERR = 0xa8 };
enum { ACTIVE, DONE, SUSPENDED, HALTED, ARMED };
#define CMD_RESET 0x20
#define CMD_SUSPEND 0x04
#define CMD_RESUME 0x10
#define INT_EN 1u
#define COMPL 8u
#define NULL_OP 0x20u
#define FILL (1u << 24)

struct desc {
	u32 size, ctl;
	u64 src, dst, next, user[4];
};

/* In memory: completion record at 0, descriptors from 4096 (64 of them), data from 64 KiB. */
#define RING 4096
#define NR 64
#define DATA 65536
#define IOVA(off) (MEM_IOVA + (off))

static struct device_env env;

static struct desc *ring(unsigned n)
{
	return (struct desc *)(env.mem + RING) + n % NR;
}

static u64 record(void)
{
	return __atomic_load_n((u64 *)env.mem, __ATOMIC_ACQUIRE);
}

static unsigned state_now(void)
{
	return env_read(&env, CHANSTS, 8) & 7;
}

static void start(void)
{
	env_write(&env, CHANCMD, 1, CMD_RESET);
	assert_int_equal(state_now(), HALTED);
	memset(env.mem, 0, RING + NR * sizeof(struct desc));
	for (unsigned i = 0; i < NR; i++) {
		*ring(i) = (struct desc){ .ctl = NULL_OP | COMPL };
		ring(i)->next = IOVA(RING + (i + 1) % NR * sizeof(struct desc));
	}
	env_write(&env, CHANERR, 4, ~0u);
	env_write(&env, CHANCTRL, 2, 0x4 | 0x8 | 0x10 | 0x1);
	env_write(&env, CHANCMP, 8, IOVA(0));
	env_write(&env, CHAINADDR, 8, IOVA(RING));
	assert_int_equal(state_now(), ARMED);
}

static void wait_for(unsigned n)
{
	u64 addr = IOVA(RING + n % NR * sizeof(struct desc));

	env_until((record() & ~0x3full) == addr || (record() & 7) == HALTED);
	assert_int_equal(record() & ~0x3full, addr);
}

static void put(unsigned n, u32 ctl, u64 src, u64 dst, u32 size)
{
	ring(n)->ctl = ctl;
	ring(n)->src = src;
	ring(n)->dst = dst;
	ring(n)->size = size;
}

static int setup(void **state)
{
	env_setup(&env, "ioat");
	return 0;
}

static int teardown(void **state)
{
	env_teardown(&env);
	return 0;
}

static void test_identity(void **state)
{
	assert_int_equal(pci_config_read(env.pdev, 0, 4), 0x20218086);
	assert_int_equal(env_read(&env, 0, 1), 1);		/* channels */
	assert_int_equal(env_read(&env, 8, 1), 0x33);		/* version */
	assert_int_equal(env_read(&env, 1, 1), 20);		/* XFERCAP */
	assert_int_equal(env_read(&env, 0, 8), 0x1401);		/* one access, several registers */
	assert_int_equal(env_read(&env, 0x1000, 4), 0);
}

static void test_copies_and_fills(void **state)
{
	u8 *src = env.mem + DATA, *dst = env.mem + (2u << 20);
	u64 seed = 7;

	start();
	for (unsigned i = 0; i < 1u << 20; i++)
		src[i] = (u8)unit_rand(&seed);
	memset(dst, 0, 1u << 20);
	put(0, COMPL, IOVA(DATA) + 1, IOVA(2u << 20) + 3, 999983);
	put(1, COMPL | FILL, 0x8877665544332211, IOVA(2u << 20) + 1000000, 1001);
	env_write(&env, DMACOUNT, 2, 2);
	wait_for(1);
	assert_memory_equal(dst + 3, src + 1, 999983);
	assert_int_equal(dst[2], 0);
	assert_int_equal(dst[3 + 999983], 0);
	for (unsigned i = 0; i < 1001; i++)
		assert_int_equal(dst[1000000 + i], 0x11 * (i % 8 + 1));
	assert_int_equal(dst[1001001], 0);
	env_until(state_now() == DONE);
	assert_int_equal(env_read(&env, CHANERR, 4), 0);
}

static void test_count_wraps(void **state)
{
	unsigned issued = 0;

	start();
	while (issued < 70000) {
		issued += NR - 1;
		env_write(&env, DMACOUNT, 2, issued & 0xffff);
		env_until((record() & ~0x3full) ==
			  IOVA(RING + (issued - 1) % NR * sizeof(struct desc)));
		assert_int_not_equal(state_now(), HALTED);
	}
}

static void expect_error(u32 chanerr)
{
	env_until(state_now() == HALTED);
	assert_int_equal(env_read(&env, CHANERR, 4), chanerr);
	/* Stays until cleared, by writing ones. */
	env_write(&env, CHANERR, 4, chanerr);
	assert_int_equal(env_read(&env, CHANERR, 4), 0);
}

static void test_errors_halt(void **state)
{
	static const struct { u32 ctl, size; u64 src, dst; u32 chanerr; } cases[] = {
		{ COMPL, 64, 0x10, IOVA(DATA), 0x1 },
		{ COMPL, 64, IOVA(DATA), 0x7ffffff00000, 0x2 },
		{ COMPL, 128, IOVA(DATA), IOVA(MEM_SIZE) - 64, 0x2 },
		{ COMPL | FILL, 64, 0, 0x10, 0x2 },
		{ COMPL, 0, IOVA(DATA), IOVA(DATA), 0x800 },
		{ COMPL, (1u << 20) + 1, IOVA(DATA), IOVA(DATA), 0x800 },
		{ COMPL | 0x87u << 24, 64, IOVA(DATA), IOVA(DATA), 0x400 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		start();
		put(1, cases[i].ctl, cases[i].src, cases[i].dst, cases[i].size);
		env_write(&env, DMACOUNT, 2, 3);
		expect_error(cases[i].chanerr);
		/* The record says: halted, and the one before was the last that was done. */
		env_until(record() == (IOVA(RING) | HALTED));
		/* Nothing more until a reset. */
		env_write(&env, DMACOUNT, 2, 4);
		assert_int_equal(state_now(), HALTED);
	}
	/* And it works again. */
	start();
	env_write(&env, DMACOUNT, 2, 1);
	wait_for(0);
}

static void test_bad_addresses_of_the_chain(void **state)
{
	start();
	env_write(&env, CHAINADDR, 8, IOVA(RING) + 32);
	env_write(&env, DMACOUNT, 2, 1);
	expect_error(0x10);
	start();
	ring(0)->next = IOVA(RING) + 33;
	env_write(&env, DMACOUNT, 2, 2);
	expect_error(0x8);
	start();
	ring(0)->next = 0x40;
	env_write(&env, DMACOUNT, 2, 2);
	expect_error(0x4);
	start();
	env_write(&env, CHANCMP, 8, 0x40);
	env_write(&env, DMACOUNT, 2, 1);
	expect_error(0x1000);
}

static void test_suspend_shows_at_once(void **state)
{
	for (unsigned i = 0; i < 200; i++) {
		start();
		for (unsigned n = 0; n < NR; n++)
			put(n, COMPL, IOVA(DATA), IOVA(2u << 20), 65536);
		env_write(&env, DMACOUNT, 2, NR - 1);
		env_write(&env, CHANCMD, 1, CMD_SUSPEND);
		assert_int_equal(state_now(), SUSPENDED);
		env_write(&env, CHANCMD, 1, CMD_RESUME);
		wait_for(NR - 2);
		env_until(state_now() == DONE);
	}
}

static void test_a_new_chain_after_suspend(void **state)
{
	start();
	env_write(&env, DMACOUNT, 2, 5);
	wait_for(4);
	env_write(&env, CHANCMD, 1, CMD_SUSPEND);
	assert_int_equal(state_now(), SUSPENDED);
	env_write(&env, CHAINADDR, 8, IOVA(RING + 10 * sizeof(struct desc)));
	assert_int_equal(state_now(), ARMED);
	env_write(&env, DMACOUNT, 2, 1);
	wait_for(10);
}

static void test_reset_gives_up_at_once(void **state)
{
	for (unsigned i = 0; i < 200; i++) {
		start();
		for (unsigned n = 0; n < NR; n++)
			put(n, COMPL, IOVA(DATA), IOVA(2u << 20), 1u << 20);
		env_write(&env, DMACOUNT, 2, NR - 1);
		env_write(&env, CHANCMD, 1, CMD_RESET);
		assert_int_equal(state_now(), HALTED);
		assert_int_equal(env_read(&env, CHANCMD, 1), 0);
	}
}

static void test_interrupt_until_rearmed(void **state)
{
	unsigned before;

	start();
	env_write(&env, 0x03, 1, 1);
	put(0, INT_EN | COMPL | NULL_OP, 0, 0, 0);
	put(1, INT_EN | COMPL | NULL_OP, 0, 0, 0);
	before = __atomic_load_n(&env.irqs, __ATOMIC_SEQ_CST);
	env_write(&env, DMACOUNT, 2, 1);
	env_until(__atomic_load_n(&env.irqs, __ATOMIC_SEQ_CST) == before + 1);
	env_write(&env, DMACOUNT, 2, 2);
	wait_for(1);
	env_until(state_now() == DONE);
	env_write(&env, CHANCMD, 1, CMD_SUSPEND);	/* the thread is done with it */
	assert_int_equal(__atomic_load_n(&env.irqs, __ATOMIC_SEQ_CST), before + 1);
	env_write(&env, CHANCTRL, 2, 1);
	assert_int_equal(__atomic_load_n(&env.irqs, __ATOMIC_SEQ_CST), before + 2);
	assert_int_equal(env_read(&env, 0x04, 4), 1);
	assert_int_equal(env_read(&env, 0x04, 4), 0);	/* reading clears */
}

static void test_bus_mastering_off(void **state)
{
	start();
	env_command(&env, PCI_COMMAND_MEMORY);
	env_write(&env, DMACOUNT, 2, 1);
	expect_error(0x4);
	env_command(&env, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
}

static void test_flr_is_power_on(void **state)
{
	start();
	env_write(&env, DMACOUNT, 2, 1);
	wait_for(0);
	pci_reset(env.pdev, PCI_RESET_FLR);
	env_command(&env, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
	env_enable_msix(&env);
	assert_int_equal(state_now(), HALTED);
	assert_int_equal(env_read(&env, CHAINADDR, 8), 0);
	assert_int_equal(env_read(&env, CHANCTRL, 2), 0);
}

static void test_unmapped_while_copying(void **state)
{
	for (unsigned i = 0; i < 50; i++) {
		start();
		for (unsigned n = 0; n < NR; n++)
			put(n, COMPL, IOVA(DATA), IOVA(2u << 20), 1u << 20);
		env_write(&env, DMACOUNT, 2, NR - 1);
		assert_int_equal(iommu_unmap(env.domain, MEM_IOVA, MEM_SIZE), MEM_SIZE);
		memset(env.mem + (2u << 20), 0x5a, 1u << 20);
		/* On a busy machine all may have been copied before the unmap. */
		env_until(state_now() == HALTED || state_now() == DONE);
		for (unsigned n = 0; n < 1u << 20; n += 511)
			assert_int_equal(env.mem[(2u << 20) + n], 0x5a);
		assert_int_equal(iommu_map(env.domain, MEM_IOVA, (uintptr_t)env.mem, MEM_SIZE,
					   IOMMU_READ | IOMMU_WRITE), 0);
	}
}

/* A channel that was told to copy a command into its own registers would wait for itself. */
static void test_command_by_dma(void **state)
{
	const u64 regs = MEM_IOVA + MEM_SIZE, size = env.pdev->bars[0].size;
	static const u8 cmds[] = { CMD_RESET, CMD_SUSPEND, 0x08 };

	assert_int_equal(iommu_map(env.domain, regs, (uintptr_t)env.pdev->bars[0].base, size,
				   IOMMU_READ | IOMMU_WRITE | IOMMU_MMIO), 0);
	for (unsigned i = 0; i < sizeof(cmds); i++) {
		start();
		env.mem[DATA] = cmds[i];
		put(0, COMPL, IOVA(DATA), regs + CHANCMD, 1);
		put(1, COMPL, regs + CHANSTS, IOVA(2u << 20), 8);
		env_write(&env, DMACOUNT, 2, 2);
		wait_for(1);
		assert_int_equal(*(u64 *)(env.mem + (2u << 20)) & 7, ACTIVE);
		env_write(&env, CHANCMD, 1, cmds[i]);
		assert_int_not_equal(state_now(), ACTIVE);
	}
	iommu_unmap(env.domain, regs, size);
}

static void test_die_on(void **state)
{
	struct device_env saved = env;

	env_setup(&env, "ioat,die-on=3");
	start();
	env_write(&env, DMACOUNT, 2, 5);
	expect_error(0x20);
	assert_int_equal(record() & ~0x3full, IOVA(RING + sizeof(struct desc)));
	env_teardown(&env);
	env = saved;
}

static void test_bad_specifications(void **state)
{
	static const struct { const char *spec, *says; } cases[] = {
		{ "", "empty" }, { "iota", "there are: ioat" }, { "ioat,bdf=1", "0000:01:00.0" },
		{ "ioat,bdf=0000:01:20.0", "0000:01:00.0" }, { "ioat,size=4", "no option size" },
		{ "ioat,die-on=0", "from 1" }, { "ioat,group=x", "number" }, { "ioat,version=4", "3.4" },
		{ "ram,size=5000", "power of two" }, { "ram,size=128G", "to" },
		{ "ioat,iommu=amd", "vtd or smmuv3" }, { "ioat,iommu", "vtd or smmuv3" },
		{ "ram,size=1M,size=2M", "twice" }, { "rnic,never-unmap=maybe", "on or off" },
	};
	char err[DEVICE_ERR_MAX], spec[64];

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		assert_int_equal(device_add(cases[i].spec, err), -EINVAL);
		if (!strstr(err, cases[i].says))
			fail_msg("%s: %s", cases[i].spec, err);
	}
	snprintf(spec, sizeof(spec), "ioat,bdf=%s", env.pdev->name);
	assert_int_equal(device_add(spec, err), -EEXIST);
	assert_non_null(strstr(err, "already"));
}

/* One IOMMU translates for a group: the second device is told of the first one's. */
static void test_group_behind_two_iommus(void **state)
{
	char err[DEVICE_ERR_MAX], spec[64];
	struct pci_dev *pdev;

	assert_int_equal(device_add("ram,bdf=0000:70:00.0,group=7070,iommu=smmuv3", err), 0);
	pdev = pci_dev_find_name("0000:70:00.0");
	assert_ptr_equal(pdev->iommu.iommu, &smmuv3_iommu_ops);
	for (unsigned i = 0; i < 2; i++) {
		snprintf(spec, sizeof(spec), "ram,bdf=0000:70:01.0,group=7070%s", i ? ",iommu=vtd" : "");
		assert_int_equal(device_add(spec, err), -EINVAL);
		if (!strstr(err, "0000:70:00.0") || !strstr(err, "iommu=smmuv3"))
			fail_msg("%s", err);
	}
	assert_int_equal(device_add("ram,bdf=0000:70:01.0,group=7070,iommu=smmuv3", err), 0);
	pci_dev_put(pdev);
	pdev = pci_dev_find_name("0000:70:01.0");
	pci_dev_put(pdev);
	pci_dev_destroy(pdev);
	pdev = pci_dev_find_name("0000:70:00.0");
	pci_dev_put(pdev);
	pci_dev_destroy(pdev);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_identity),
		cmocka_unit_test(test_copies_and_fills),
		cmocka_unit_test(test_count_wraps),
		cmocka_unit_test(test_errors_halt),
		cmocka_unit_test(test_bad_addresses_of_the_chain),
		cmocka_unit_test(test_suspend_shows_at_once),
		cmocka_unit_test(test_a_new_chain_after_suspend),
		cmocka_unit_test(test_reset_gives_up_at_once),
		cmocka_unit_test(test_interrupt_until_rearmed),
		cmocka_unit_test(test_bus_mastering_off),
		cmocka_unit_test(test_flr_is_power_on),
		cmocka_unit_test(test_unmapped_while_copying),
		cmocka_unit_test(test_command_by_dma),
		cmocka_unit_test(test_die_on),
		cmocka_unit_test(test_bad_specifications),
		cmocka_unit_test(test_group_behind_two_iommus),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
