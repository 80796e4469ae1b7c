// SPDX-License-Identifier: MIT
/*
 * Zkt: what it lists takes no other way through the machine for one operand than for another.
 * Each op is executed instruction by instruction (x86's trap flag), and the addresses of the
 * instructions must be the same for all operands, with the host's cryptographic instructions and
 * without. That no memory address depends on an operand is not seen here: there are no tables.
 * Built for an optimized x86-64 alone (meson.build).
 */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <ucontext.h>

#include <cmocka.h>

#include "cpu/riscv/crypto.h"
#include "cpu/riscv/impl.h"

#define OPS(F) \
	F(li) F(auipc) F(mv) F(addi) F(slti) F(sltiu) F(xori) F(ori) F(andi) F(slli) F(srli) F(srai) \
	F(addiw) F(slliw) F(srliw) F(sraiw) F(add) F(sub) F(sll) F(slt) F(sltu) F(xor) F(srl) F(sra) \
	F(or) F(and) F(addw) F(subw) F(sllw) F(srlw) F(sraw) F(mul) F(mulh) F(mulhsu) F(mulhu) \
	F(mulw) F(andn) F(orn) F(xnor) F(rol) F(ror) F(rori) F(rolw) F(rorw) F(roriw) F(rev8) \
	F(czero_eqz) F(czero_nez) RV_OPS_CRYPTO(F)

#define ENTRY(name) { #name, rv_op_##name },
static const struct {
	const char *name;
	rv_op_fn fn;
} ops[] = { OPS(ENTRY) };

static const u64 values[] = {
	0, 1, ~0ull, 0x80000000, 0x8000000000000000, 0x7fffffffffffffff, 63, 0x0123456789abcdef,
	0xfedcba9876543210, 0x5555555555555555, 0x0706050403020100, 0xf0f0f0f0f0f0f0f0,
};

static volatile u64 trace, steps;

static void on_step(int sig, siginfo_t *info, void *context)
{
	const ucontext_t *u = context;

	trace = (trace ^ (u64)u->uc_mcontext.gregs[REG_RIP]) * 0x9e3779b97f4a7c15ull;
	steps++;
}

static const struct rv_op *stop(struct rv_hart *h, const struct rv_op *op)
{
	return NULL;
}

static u64 traced(struct rv_hart *h, const struct rv_op *op)
{
	trace = steps = 0;
	__asm__ volatile("sub $128, %%rsp\n\tpushfq\n\torq $0x100, (%%rsp)\n\tpopfq\n\tadd $128, %%rsp"
			 : : : "memory", "cc");
	op->fn(h, op);
	__asm__ volatile("sub $128, %%rsp\n\tpushfq\n\tandq $~0x100, (%%rsp)\n\tpopfq\n\tadd $128, %%rsp"
			 : : : "memory", "cc");
	return trace;
}

static void the_path_does_not_depend_on_operands(void **state)
{
	struct sigaction sa = { .sa_sigaction = on_step, .sa_flags = SA_SIGINFO }, old;
	struct rv_hart *h = calloc(1, sizeof(*h));
	u64 first, now;

	assert_non_null(h);
	assert_int_equal(sigaction(SIGTRAP, &sa, &old), 0);
	for (unsigned portable = 0; portable < 2; portable++)
		for (size_t n = 0; n < ARRAY_SIZE(ops); n++) {
			const struct rv_op op[2] = {
				{ .fn = ops[n].fn, .imm = 13, .rd = 10, .rs1 = 11, .rs2 = 12, .aux = 3 },
				{ .fn = stop },
			};

			rv_crypto_portable = portable;
			first = 0;
			/* A step is a signal: a few pairs, and the portable way for fewer. */
			for (size_t i = 0; i < ARRAY_SIZE(values); i += 1 + 2 * portable) {
				h->x[11] = values[i];
				h->x[12] = values[i * 5 % ARRAY_SIZE(values)];
				now = traced(h, op);
				assert_true(steps > 3);
				if (!i)
					first = now;
				else if (now != first)
					fail_msg("%s takes another way for %llx and %llx", ops[n].name,
						 (unsigned long long)h->x[11],
						 (unsigned long long)h->x[12]);
			}
		}
	rv_crypto_portable = false;
	sigaction(SIGTRAP, &old, NULL);
	free(h);
}

/* The method sees a difference where there is one: a quotient's special case. */
static void a_division_does(void **state)
{
	struct sigaction sa = { .sa_sigaction = on_step, .sa_flags = SA_SIGINFO }, old;
	struct rv_hart *h = calloc(1, sizeof(*h));
	const struct rv_op op[2] = {
		{ .fn = rv_op_divu, .rd = 10, .rs1 = 11, .rs2 = 12 }, { .fn = stop },
	};
	u64 by_one;

	assert_non_null(h);
	assert_int_equal(sigaction(SIGTRAP, &sa, &old), 0);
	h->x[12] = 1;
	by_one = traced(h, op);
	h->x[12] = 0;
	assert_true(traced(h, op) != by_one);
	sigaction(SIGTRAP, &old, NULL);
	free(h);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_path_does_not_depend_on_operands),
		cmocka_unit_test(a_division_does),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
