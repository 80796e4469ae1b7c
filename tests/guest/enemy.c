/* SPDX-License-Identifier: MIT */
/*
 * A guest that wishes ill: loads and stores of every size and alignment over all device regions
 * and where nothing is, atomics on devices, page tables in devices, wild satp and SBI calls. It
 * only has to survive until its end; what it reads is not looked at. Not run under QEMU.
 */
#include "lib/exec.h"

#define VA 0x2000000000ul
static u64 rng = 31337;
static struct trap t;
static u64 traps;

/* Not the finisher at 0x100000, whose business is to end the machine. */
static const struct {
	const char *name;
	u64 base, size, step;
} regions[] = {
	{ "low", 0x0, 0x100000, 1021 },
	{ "rtc", 0x101000, 0x1000, 3 },
	{ "clint", 0x2000000, 0x10000, 251 },
	{ "pci-pio", 0x3000000, 0x10000, 251 },
	{ "plic", 0xc000000, 0x600000, 1021 },
	{ "virtio-mmio", 0x10001000, 0x8000, 61 },
	{ "fw-cfg", 0x10100000, 0x100, 3 },
	{ "flash", 0x20000000, 0x4000000, 65521 },
	{ "ecam", 0x30000000, 0x10000000, 65521 },
	{ "ecam-first", 0x30000000, 0x10000, 61 },
	{ "pci-mmio", 0x40000000, 0x40000000, 1048573 },
	{ "pci-mmio-first", 0x40000000, 0x100000, 1021 },
	{ "behind-ram", 0x88000000, 0x10000000, 1048573 },
	{ "pci-high", 0x400000000, 0x400000000, 0xffffffb },
	{ "far", 0x8000000000, 0xff00000000000000, 0x10000000000003 },
};

static u64 poke(u64 addr, u64 what, u64 value)
{
	switch (what) {
	case 0:
		return *(volatile u8 *)addr;
	case 1:
		return *(volatile u16 *)addr;
	case 2:
		return *(volatile u32 *)addr;
	case 3:
		return *(volatile u64 *)addr;
	case 4:
		*(volatile u8 *)addr = (u8)value;
		break;
	case 5:
		*(volatile u16 *)addr = (u16)value;
		break;
	case 6:
		*(volatile u32 *)addr = (u32)value;
		break;
	case 7:
		*(volatile u64 *)addr = value;
		break;
	case 8:
		return __atomic_fetch_add((u32 *)addr, value, __ATOMIC_SEQ_CST);
	case 9:
		__asm__ volatile("lr.d %0, (%1)\nsc.d %0, %0, (%1)" : "=&r"(value)
				 : "r"(addr) : "memory");
		break;
	case 10:
		/* cbo.zero */
		__asm__ volatile(".insn i 0x0f, 2, x0, %0, 4" :: "r"(addr) : "memory");
		break;
	case 11:
		__asm__ volatile(".option push\n.option arch, +d\nfld ft0, 0(%0)\nfsd ft0, 0(%0)\n"
				 ".option pop" :: "r"(addr) : "memory");
		break;
	}
	return 0;
}

static void uart_back(void)
{
	volatile u8 *uart = (volatile u8 *)0x10000000;

	uart[3] = 3;
	uart[1] = 0;
	uart[2] = 7;
	uart[4] = 0;
}

static void test_regions(void)
{
	unsigned i, what;
	u64 off, n;

	for (i = 0; i < ARRAY_SIZE(regions); i++) {
		test_case_self("enemy-%s", regions[i].name);
		n = 0;
		for (off = 0; off < regions[i].size; off += regions[i].step)
			for (what = 0; what < 12; what++, n++) {
				try_call(&t, poke, regions[i].base + off, what, edge_value(&rng));
				traps += t.cause != NO_TRAP;
			}
		print("  %u accesses\n", n);
	}
	test_case_self("enemy-uart");
	for (off = 0; off < 0x120; off++)
		for (what = 0; what < 12; what++)
			try_call(&t, poke, 0x10000000 + off, what, off == 0 ? 0 : random64(&rng));
	uart_back();
	print("\n");
}

/* Accesses that begin in RAM and end in a device or in nothing, and the other way round. */
static void test_edges(void)
{
	struct vm vm;
	unsigned what, k;
	u64 target;

	test_case_self("enemy-page-edges");
	vm_init(&vm, 3);
	for (target = 0; target < 3; target++) {
		u64 pa = target == 0 ? 0x0c000000 : target == 1 ? 0x88000000 : 0xfffffffffff000;

		vm_map(&vm, VA, (u64)scratch, PTE_RWX | PTE_AD, 0);
		vm_map(&vm, VA + 4096, pa, PTE_RWX | PTE_AD, 0);
		vm_map(&vm, VA + 8192, (u64)scratch + 4096, PTE_RWX | PTE_AD, 0);
		vm_on(&vm, 0);
		for (what = 0; what < 12; what++)
			for (k = 0; k < 9; k++) {
				try_call(&t, poke, VA + 4096 - k, what, 1);
				try_call(&t, poke, VA + 8192 - k, what, 1);
			}
		vm_off();
	}
	print("  survived\n");
	/* The last bytes of RAM, and over its end. */
	for (what = 0; what < 12; what++)
		for (k = 0; k < 9; k++)
			try_call(&t, poke, 0x88000000 - k, what, 1);
}

/* Table walks through devices and nowhere; every level; entries with every bit set. */
static void test_tables(void)
{
	static const u64 places[] = { 0x10000000, 0x0c000000, 0x30000000, 0x88000000, 0,
				      0x00fffffffffff000, 0x40000000 };
	struct vm vm;
	unsigned levels, l, i, what;

	test_case_self("enemy-page-tables");
	for (levels = 3; levels <= 5; levels++) {
		vm_reset();
		vm_init(&vm, levels);
		vm_pte(&vm, VA, 0);
		vm_on(&vm, 0);
		for (l = 0; l < levels - 1; l++)
			for (i = 0; i < ARRAY_SIZE(places); i++) {
				/* High up, an entry apart from those of the code that runs. */
				u64 va = l >= 2 || l == levels - 2 ? 3ul << (12 + 9 * (l + 1)) : VA;
				u64 *pte = vm_pte(&vm, va, l + 1), old = *pte;

				*pte = PTE_PPN(places[i]) | PTE_V;
				sfence_vma();
				for (what = 0; what < 12; what++)
					try_call(&t, poke, va, what, 1);
				*pte = old;
				sfence_vma();
			}
		for (i = 0; i < 3000; i++) {
			u64 *pte = vm_pte(&vm, VA, 0);

			/* A random entry; never one that maps our own memory writable. */
			*pte = random64(&rng) | (i & 1 ? PTE_V : PTE_V | PTE_RWX | PTE_AD);
			if (PTE_PA(*pte) >= 0x80000000 && PTE_PA(*pte) < 0x88000000)
				continue;
			sfence_vma();
			try_call(&t, poke, VA + (i & 0xfff), i % 12, 1);
			*pte = 0;
		}
		vm_off();
	}
	print("  survived\n");
}

/* By try_call(): a legacy call with a bad pointer to its hart mask is a fault in the guest. */
static u64 sbi_by_array(u64 ext, u64 fid, const u64 *a)
{
	return (u64)sbi_call(ext, fid, a[0], a[1], a[2], a[3], a[4]).error;
}

static void test_sbi(void)
{
	/* Not SRST, and of HSM not stop and suspend: they do what they say. */
	static const u64 exts[] = { 0x10, SBI_EXT_TIME, SBI_EXT_IPI, SBI_EXT_RFENCE, SBI_EXT_HSM,
				    0x4442434e, 0, 1, 2, 4, 5, 6, 7, 0x504d55, 0x535441, 0x53555350,
				    0x43505043, 0x4e41434c, 0x46574654, 0x09000000,
				    0x0a000000, ~0ul };
	unsigned i, n;

	test_case_self("enemy-sbi");
	for (n = 0; n < 4000; n++) {
		u64 ext = exts[n % ARRAY_SIZE(exts)], fid = random64(&rng) % 10, a[5];

		for (i = 0; i < 5; i++)
			a[i] = random64(&rng) & 3 ? edge_value(&rng) :
				(u64)scratch + (random64(&rng) & 255);
		if (ext == SBI_EXT_HSM && (fid == 1 || fid == 3))
			continue;
		if (ext == SBI_EXT_HSM && fid == 0)
			a[0] |= 1000;	/* a hart that is not there */
		if (ext == 0x53555350)	/* system suspend */
			continue;
		if (ext == 0x4442434e)	/* console: no long writes of memory */
			a[0] &= 7;
		if (ext == 1)		/* putchar */
			a[0] = '.';
		try_call(&t, sbi_by_array, ext, fid, (u64)a);
	}
	csr_write(stimecmp, ~0ul);
	csr_clear(sip, BIT(1));
	print("\n  survived\n");
}

int main(void)
{
	exec_init();
	test_regions();
	test_edges();
	test_tables();
	test_sbi();
	test_case_self("enemy-end");
	check(traps > 0, "no access trapped");
	return 0;
}
