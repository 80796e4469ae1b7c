/* SPDX-License-Identifier: MIT */
/*
 * Random mappings against a model: pages of all sizes are mapped, changed and removed at random
 * addresses, with the fence the manual asks for; loads, stores and calls through them must see
 * exactly what the model says. There are more pages than any TLB holds, and many that fall on the
 * same entry of a direct-mapped one. Expectations are the model's; QEMU is run as well.
 */
#include "lib/exec.h"

#define SLOTS 700
#define FRAMES 64
#define STEPS 30000
#define WINDOW 0x2000000000ul

static u8 frames[FRAMES][4096] __attribute__((aligned(4096)));
static u64 model_word[FRAMES];		/* what is stored at each frame's offset 8 */
static struct slot {
	u64 va;
	u64 *pte;
	unsigned frame, perm;		/* perm: R 1, W 2, X 4; 0 not mapped */
	bool user;
} slots[SLOTS];
static struct vm vms[2];
static u64 rng = 4242;
static struct trap t;

#define FN(name, insns) u64 name(u64 a, u64 b, u64 c); \
	__asm__(".text\n.balign 4\n" #name ":\n" insns "\nret\n")
FN(do_ld, "ld a0, 8(a0)");
FN(do_sd, "sd a1, 8(a0)");
FN(do_call, "addi sp, sp, -16; sd ra, 8(sp); jalr a0; ld ra, 8(sp); addi sp, sp, 16");

static u32 rnd(u32 n)
{
	return (u32)((random64(&rng) >> 32) * n >> 32);
}

/* Addresses that collide in a TLB of any power of two entries up to 2^27, and neighbours. */
static u64 slot_address(unsigned i)
{
	if (i < 300)
		return WINDOW + i * 4096;
	if (i < 500)
		return WINDOW + 0x40000000 + (u64)(i - 300) * 0x400000;
	return WINDOW + 0x80000000 + (u64)(i - 500) * 0x100000;
}

static void set_slot(struct slot *s, bool remove)
{
	static const u8 perms[] = { 1, 3, 4, 5, 7, 7, 3, 7 };

	s->perm = remove ? 0 : perms[rnd(8)];
	s->frame = rnd(FRAMES);
	s->user = rnd(3) == 0;
	*s->pte = s->perm ? PTE_PPN(frames[s->frame]) | (u64)s->perm << 1 | PTE_AD | PTE_V |
		(s->user ? PTE_U : 0) : 0;
	if (rnd(4))
		__asm__ volatile("sfence.vma %0" :: "r"(s->va + rnd(4096)) : "memory");
	else if (rnd(8))
		__asm__ volatile("sfence.vma %0, %1" :: "r"(s->va), "r"(csr_read(satp) >> 44 & 0xffff)
				 : "memory");
	else
		sfence_vma();
}

static void access_slot(struct slot *s, u64 *h)
{
	bool user = rnd(4) == 0, allowed = s->perm && s->user == user;
	u64 v, r;

	switch (rnd(4)) {
	case 0:
	case 1:
		r = user ? try_user(&t, do_ld, s->va, 0, 0) : try_call(&t, do_ld, s->va, 0, 0);
		if (allowed && s->perm & 1)
			check(t.cause == NO_TRAP && r == model_word[s->frame],
			      "load at %x: cause %d got %x want %x", s->va, t.cause, r,
			      model_word[s->frame]);
		else
			check(t.cause == 13 && t.tval == s->va + 8, "load at %x: cause %d tval %x",
			      s->va, t.cause, t.tval);
		break;
	case 2:
		v = random64(&rng);
		user ? try_user(&t, do_sd, s->va, v, 0) : try_call(&t, do_sd, s->va, v, 0);
		if (allowed && s->perm & 2) {
			model_word[s->frame] = v;
			check(t.cause == NO_TRAP, "store at %x: cause %d", s->va, t.cause);
		} else {
			check(t.cause == 15 && t.tval == s->va + 8, "store at %x: cause %d tval %x",
			      s->va, t.cause, t.tval);
		}
		check(*(u64 *)&frames[s->frame][8] == model_word[s->frame], "memory of frame %u",
		      (u64)s->frame);
		break;
	default:
		v = s->va + 64 + 16 * rnd(200);
		r = user ? try_user(&t, do_call, v, 0, 0) : try_call(&t, do_call, v, 0, 0);
		if (allowed && s->perm & 4)
			check(t.cause == NO_TRAP && r == s->frame, "call at %x: cause %d got %u want %u",
			      v, t.cause, r, (u64)s->frame);
		else
			check(t.cause == 12 && t.tval == v && t.epc == v,
			      "call at %x: cause %d epc %x tval %x", v, t.cause, t.epc, t.tval);
	}
	*h = hash(hash(*h, t.cause), t.tval);
}

static void fill_frames(void)
{
	unsigned i, k;

	for (i = 0; i < FRAMES; i++) {
		for (k = 64; k < 4096; k += 16) {
			*(u32 *)&frames[i][k] = enc_i(0x13, 0, 10, 0, (s32)i);	/* li a0, i */
			*(u32 *)&frames[i][k + 4] = 0x00008067;			/* ret */
		}
		*(u64 *)&frames[i][8] = model_word[i] = random64(&rng);
	}
	fence_i();
}

static void run_levels(unsigned levels)
{
	unsigned i, step, which = 0;
	u64 h = 0;

	test_case("mmu-random-sv%u", (u64)levels * 9 + 12);
	vm_reset();
	vm_init(&vms[0], levels);
	vm_init(&vms[1], levels);
	fill_frames();
	/* Two address spaces: the slots alternate between them, the other one's are not seen. */
	for (i = 0; i < SLOTS; i++) {
		slots[i].va = slot_address(i);
		slots[i].pte = vm_pte(&vms[i & 1], slots[i].va, 0);
		vm_pte(&vms[!(i & 1)], slots[i].va, 0);
		slots[i].perm = 0;
	}
	vm_on(&vms[0], 1);
	for (step = 0; step < STEPS; step++) {
		struct slot *s;

		if (rnd(50) == 0) {
			which = !which;
			csr_write(satp, vm_satp(&vms[which], which + 1));
		}
		s = &slots[(rnd(rnd(2) ? SLOTS / 2 : 24) * 2 + which) % SLOTS];
		if (rnd(8) == 0)
			set_slot(s, rnd(4) == 0);
		else
			access_slot(s, &h);
	}
	/* In the end every slot once more, in both spaces. */
	for (which = 0; which < 2; which++) {
		csr_write(satp, vm_satp(&vms[which], which + 1));
		for (i = which; i < SLOTS; i += 2)
			access_slot(&slots[i], &h);
	}
	print("  %w\n", h);
	vm_off();
}

int main(void)
{
	unsigned levels;

	for (levels = 3; levels <= 5; levels++)
		run_levels(levels);
	return 0;
}
