/* SPDX-License-Identifier: MIT */
/* Page tables for Sv39, Sv48 and Sv57. A and D are always set by hand: Svade does not. */
#include "guest.h"

#define POOL_PAGES 1024
static u8 pool[POOL_PAGES][4096] __attribute__((aligned(4096)));
static unsigned pool_used;

void vm_reset(void)
{
	pool_used = 0;
}

void *vm_page(void)
{
	u8 *p;

	if (pool_used == POOL_PAGES) {
		print("\nFATAL page pool empty\n");
		power_off();
	}
	p = pool[pool_used++];
	for (unsigned i = 0; i < 512; i++)
		((volatile u64 *)p)[i] = 0;
	return p;
}

u64 *vm_pte(struct vm *vm, u64 va, unsigned level)
{
	u64 *table = vm->root;
	unsigned l;

	for (l = vm->levels - 1; ; l--) {
		u64 *pte = &table[(va >> (12 + 9 * l)) & 511];

		if (l == level)
			return pte;
		if (!(*pte & PTE_V))
			*pte = PTE_PPN(vm_page()) | PTE_V;
		table = (u64 *)PTE_PA(*pte);
	}
}

void vm_map(struct vm *vm, u64 va, u64 pa, u64 flags, unsigned level)
{
	*vm_pte(vm, va, level) = PTE_PPN(pa) | flags | PTE_V;
}

void vm_init(struct vm *vm, unsigned levels)
{
	u64 pa;

	vm->levels = levels;
	vm->root = vm_page();
	for (pa = 0x80200000; pa < 0x81000000; pa += 0x200000) {
		vm_map(vm, pa, pa, PTE_RWX | PTE_AD | PTE_G, 1);
		vm_map(vm, pa + USER_BASE, pa, PTE_RWX | PTE_AD | PTE_U, 1);
	}
	vm_map(vm, 0x10000000, 0x10000000, PTE_R | PTE_W | PTE_AD | PTE_G, 0);
	vm_map(vm, 0x0c000000, 0x0c000000, PTE_R | PTE_W | PTE_AD | PTE_G, 1);
	vm_map(vm, 0x0c200000, 0x0c200000, PTE_R | PTE_W | PTE_AD | PTE_G, 1);
}

u64 vm_satp(const struct vm *vm, u64 asid)
{
	return (u64)(vm->levels + 5) << 60 | asid << 44 | (u64)vm->root >> 12;
}

void vm_on(const struct vm *vm, u64 asid)
{
	csr_write(satp, vm_satp(vm, asid));
	sfence_vma();
	user_offset = USER_BASE;
}

void vm_off(void)
{
	csr_write(satp, 0);
	sfence_vma();
	user_offset = 0;
}
