/* SPDX-License-Identifier: MIT */
/*
 * Zkr: the entropy source, as a hypervisor shows it to S and U mode. QEMU's firmware keeps it from
 * S mode, so the expectations are the manual's.
 */
#include "lib/exec.h"

#define ES16 2ul		/* bits 31:30: 16 bits of entropy are in 15:0 */

static struct context ctx;
static struct trap t;

static u64 read_seed(u32 insn, bool user)
{
	u64 random = 1;

	exec_registers(&ctx, &random);
	ctx.sstatus = user ? 0 : SSTATUS_SPP;
	exec32(&ctx, &t, insn);
	return ctx.x[10];
}

int main(void)
{
	/* csrrw a0, seed, zero; csrrw a0, seed, a1; csrrs a0, seed, a1; and with an immediate */
	static const u32 writing[] = { 0x01501573, 0x01559573, 0x0155a573, 0x0155b573, 0x0150d573,
				       0x0150e573, 0x0150f573, 0x01505573 };
	/* Without a write: csrrs and csrrc of x0, csrrsi and csrrci of 0. */
	static const u32 reading[] = { 0x01502573, 0x01503573, 0x01506573, 0x01507573 };
	u64 seen[256], bits, ones = 0, equal = 0;
	unsigned i, k, mode;
	struct vm vm;

	exec_init();
	vm_init(&vm, 3);
	vm_on(&vm, 0);
	for (mode = 0; mode < 2; mode++) {
		test_case_self(mode ? "seed-in-u" : "seed");
		for (i = 0; i < ARRAY_SIZE(writing); i++) {
			bits = read_seed(writing[i], mode);
			check(t.cause == 3 && t.epc == ctx.pc + 4, "%x: cause %d", (u64)writing[i], t.cause);
			check(bits >> 30 == ES16 && !(bits & 0x3fff0000), "%x gave %x",
			      (u64)writing[i], bits);
		}
		for (i = 0; i < ARRAY_SIZE(reading); i++) {
			read_seed(reading[i], mode);
			check_trap("a read alone", &t, 2, ctx.pc, reading[i]);
		}
		read_seed(0x01501073, mode);	/* csrw: rd is x0 */
		check(t.cause == 3, "csrw: cause %d", t.cause);
	}
	test_case_self("seed-is-random");
	for (i = 0; i < 256; i++) {
		seen[i] = read_seed(writing[0], false) & 0xffff;
		for (k = 0; k < 16; k++)
			ones += seen[i] >> k & 1;
		for (k = 0; k < i; k++)
			equal += seen[k] == seen[i];
	}
	/* 4096 bits: 2048 ones, sigma 32; 32640 pairs: half of one is expected equal. */
	check(ones > 2048 - 320 && ones < 2048 + 320, "%u of 4096 bits are ones", ones);
	check(equal < 12, "%u pairs of 256 are equal", equal);
	vm_off();
	return 0;
}
