/* SPDX-License-Identifier: MIT */
/* Traps: what start.S's entry calls, and the C side of try_call, try_user and run_context. */
#include "guest.h"

u64 try_asm(const void *fn, u64 a, u64 b, u64 c);
u64 try_user_asm(const void *fn, u64 a, u64 b, u64 c, u64 user_sp, u64 ret);
void run_context_asm(struct context *c);
void trap_handler(struct hart *h);
extern const char user_return[];

u64 user_offset;

static void __attribute__((noreturn)) fatal(struct hart *h)
{
	print("\nFATAL hart %u trap cause %x epc %x tval %x status %x ra %x sp %x\n", h->index,
	      csr_read(scause), csr_read(sepc), csr_read(stval), csr_read(sstatus), h->x[1],
	      h->x[2]);
	power_off();
}

void trap_handler(struct hart *h)
{
	if (h->in_handler)
		fatal(h);
	h->in_handler = true;
	if ((s64)h->scause < 0) {
		u64 cause = h->scause & 0xff;

		if (!h->irq || cause >= ARRAY_SIZE(h->irq_count))
			fatal(h);
		h->irq_count[cause]++;
		h->irq(h, cause);
		h->in_handler = false;
		return;
	}
	if (!h->recover_sp)
		fatal(h);
	if (h->scause != 8 || h->x[17] != USER_RETURN)
		h->trap = (struct trap){ h->scause, h->sepc, h->stval, h->sstatus };
	if (h->context) {
		memcpy(h->context->x, h->x, sizeof(h->x));
		h->sstatus &= ~(u64)SSTATUS_SPIE;	/* the context may have had interrupts on */
		h->context = NULL;
	}
	/* Back into try_recover or context_recover, in S mode with interrupts as they were. */
	h->x[2] = h->recover_sp;
	h->x[4] = (u64)h;
	h->sepc = h->recover_pc;
	h->sstatus |= SSTATUS_SPP;
	h->recover_sp = 0;
	h->in_handler = false;
}

static void copy_trap(struct trap *to, const struct hart *h)
{
	if (to)
		*to = h->trap;
}

u64 try_call(struct trap *t, const void *fn, u64 a, u64 b, u64 c)
{
	struct hart *h = this_hart();
	u64 r;

	h->trap = (struct trap){ NO_TRAP, 0, 0, 0 };
	r = try_asm(fn, a, b, c);
	copy_trap(t, h);
	return r;
}

u64 try_user(struct trap *t, const void *fn, u64 a, u64 b, u64 c)
{
	struct hart *h = this_hart();
	u64 r;

	h->trap = (struct trap){ NO_TRAP, 0, 0, 0 };
	r = try_user_asm((const char *)fn + user_offset, a, b, c,
			 (u64)h->user_stack + STACK_SIZE + user_offset,
			 (u64)user_return + user_offset);
	copy_trap(t, h);
	return r;
}

void run_context(struct context *c, struct trap *t)
{
	struct hart *h = this_hart();

	h->trap = (struct trap){ NO_TRAP, 0, 0, 0 };
	h->context = c;
	run_context_asm(c);
	copy_trap(t, h);
}
