/* SPDX-License-Identifier: MIT */
/*
 * Harts: the machine's hartids are probed through SBI HSM. The boot hart can be any of them, so
 * tests speak of indexes: 0 is the boot hart, the others follow by hartid.
 */
#include "guest.h"

static u64 count = 1;

u64 smp_count(void)
{
	return count;
}

u64 smp_find_stopped(void)
{
	struct sbi_ret r;
	u64 id;

	for (id = 0; id < MAX_HARTS; id++) {
		r = sbi_call(SBI_EXT_HSM, 2, id, 0, 0, 0, 0);
		if (!r.error && r.value == 1)
			return id;
	}
	return NO_TRAP;
}

u64 smp_start_all(void)
{
	struct sbi_ret r;
	struct hart *h;
	u64 id;

	if (count > 1)
		return count;
	for (id = 0; id < MAX_HARTS; id++) {
		if (id == harts[0].hartid)
			continue;
		r = sbi_call(SBI_EXT_HSM, 2, id, 0, 0, 0, 0);
		if (r.error || r.value != 1)
			continue;
		h = &harts[count];
		h->hartid = id;
		h->index = count;
		h->recover_sp = (u64)h->stack + STACK_SIZE;
		r = sbi_call(SBI_EXT_HSM, 0, id, (u64)smp_entry, (u64)h, 0, 0);
		if (r.error) {
			print("  FAIL hart_start: error %d\n", r.error);
			continue;
		}
		count++;
	}
	return count;
}

void smp_run(u64 index, void (*fn)(struct hart *h))
{
	__atomic_store_n(&harts[index].work, fn, __ATOMIC_RELEASE);
	sbi_call(SBI_EXT_IPI, 0, 1, harts[index].hartid, 0, 0, 0);
}

void smp_wait(u64 index)
{
	while (__atomic_load_n(&harts[index].work, __ATOMIC_ACQUIRE))
		__asm__ volatile(".word 0x0100000f");	/* pause */
}
