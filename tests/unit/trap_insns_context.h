/* SPDX-License-Identifier: MIT */
/*
 * Runs code from any set of registers, by signals: the handler of a breakpoint puts the set into
 * its context and goes to the code, that of the breakpoint behind the code takes the registers out
 * and goes back. A signal in between ends the run, too. So an instruction may use every register,
 * the stack pointer included, and nothing of the harness's is in the way.
 *
 * The architecture's header says what struct regs is, and gives context_get(), context_set(),
 * CONTEXT_PC() and BREAK, a breakpoint of four bytes.
 */
#ifndef SV_TESTS_TRAP_INSNS_CONTEXT_H
#define SV_TESTS_TRAP_INSNS_CONTEXT_H

#include "base/trap_insn.h"

/* INSN() makes these: the code with a breakpoint behind it. */
struct insn_case {
	const u8 *code;
	const char *text;
};

/* SAME_AS(): the first is emulated, the second is what the CPU does. */
struct insn_same {
	const u8 *emulated, *oracle;
	const char *text;
};

#define CODE(label, text) \
	".pushsection .text.insns, \"ax\"\n .balign 4\n" label ": " text "; " BREAK "\n .popsection\n"
#define INSN(text) asm(CODE("77", text) \
	".pushsection .rodata.insns, \"a\"\n 78: .asciz \"" text "\"\n .popsection\n" \
	".pushsection insn_cases, \"aw\"\n .balign 8\n .8byte 77b, 78b\n .popsection\n");
#define SAME_AS(text, other) asm(CODE("77", text) CODE("79", other) \
	".pushsection .rodata.insns, \"a\"\n 78: .asciz \"" text "\"\n .popsection\n" \
	".pushsection insn_sames, \"aw\"\n .balign 8\n .8byte 77b, 79b, 78b\n .popsection\n");

enum run_phase { RUN_IDLE, RUN_START, RUN_UNDER_WAY };

static struct {
	volatile enum run_phase phase;
	bool emulate;		/* by a call, not by a fault: the CPU need not know it */
	const void *code;
	struct regs *regs;
	struct regs caller;
	u64 caller_pc;
	int signo;
	u64 fault;
} run;

static void run_end(ucontext_t *uc, int signo, const siginfo_t *si)
{
	run.signo = signo;
	run.fault = (u64)(uintptr_t)si->si_addr;
	context_get(uc, run.regs);
	context_set(uc, &run.caller);
	CONTEXT_PC(uc) = run.caller_pc + 4;
	run.phase = RUN_IDLE;
}

static void on_run_signal(int signo, siginfo_t *si, void *ctx)
{
	ucontext_t *uc = ctx;

	if (run.phase == RUN_IDLE)
		abort();
	if (run.phase == RUN_UNDER_WAY) {
		run_end(uc, signo == SIGTRAP ? 0 : signo, si);
		return;
	}
	context_get(uc, &run.caller);
	run.caller_pc = CONTEXT_PC(uc);
	context_set(uc, run.regs);
	CONTEXT_PC(uc) = (uintptr_t)run.code;
	run.phase = RUN_UNDER_WAY;
	if (run.emulate)
		run_end(uc, sv_trap_emulate(uc) ? 0 : SIGBUS, si);
}

/* 0, or the signal that ended it. */
static int run_code(const void *code, struct regs *r, bool emulate)
{
	struct sigaction act = { .sa_sigaction = on_run_signal, .sa_flags = SA_SIGINFO | SA_ONSTACK };
	struct sigaction old_segv, old_bus;
	static char stack[1 << 18];
	stack_t ss = { .ss_sp = stack, .ss_size = sizeof(stack) };

	/* Each time: cmocka puts its own SIGILL handler there before each test. */
	assert_int_equal(sigaltstack(&ss, NULL), 0);
	assert_int_equal(sigaction(SIGTRAP, &act, NULL), 0);
	assert_int_equal(sigaction(SIGILL, &act, NULL), 0);
	sv_guard_sigaction(SIGSEGV, &act, &old_segv);
	sv_guard_sigaction(SIGBUS, &act, &old_bus);
	run.code = code;
	run.regs = r;
	run.emulate = emulate;
	run.phase = RUN_START;
	asm volatile(BREAK : : : "memory");
	sv_guard_sigaction(SIGSEGV, &old_segv, NULL);
	sv_guard_sigaction(SIGBUS, &old_bus, NULL);
	return run.signo;
}

static int insn_run(const struct insn_case *c, struct regs *r, u8 *mem)
{
	return run_code(c->code, r, false);
}

extern const struct insn_case __start_insn_cases[], __stop_insn_cases[];
#define cases __start_insn_cases
#define NR_CASES ((size_t)(__stop_insn_cases - __start_insn_cases))

#endif
