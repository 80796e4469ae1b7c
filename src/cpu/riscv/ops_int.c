// SPDX-License-Identifier: MIT
/*
 * Integer, bit-manipulation and jump ops. Each is one instruction; none can trap.
 */
#include "cpu/riscv/impl.h"

#define A (h->x[op->rs1])
#define B (h->x[op->rs2])
#define I ((u64)(s64)op->imm)
#define NEXT return DISPATCH(h, op + 1)

#define SET(name, expr) RV_OP(name) { h->x[op->rd] = (u64)(expr); NEXT; }
/* The 32-bit forms: the low word's result, sign-extended. */
#define SETW(name, expr) RV_OP(name) { h->x[op->rd] = (u64)(s64)(s32)(u32)(expr); NEXT; }

RV_OP(nop)
{
	NEXT;
}

SET(li, I)
SET(mv, A)
RV_OP(auipc)
{
	h->x[op->rd] = h->page_va + I;	/* imm has the instruction's offset in it */
	NEXT;
}

SET(addi, A + I)
SET(slti, (s64)A < (s64)I)
SET(sltiu, A < I)
SET(xori, A ^ I)
SET(ori, A | I)
SET(andi, A & I)
SET(slli, A << op->imm)
SET(srli, A >> op->imm)
SET(srai, (s64)A >> op->imm)
SETW(addiw, A + I)
SETW(slliw, (u32)A << op->imm)
SETW(srliw, (u32)A >> op->imm)
SETW(sraiw, (s32)A >> op->imm)

SET(add, A + B)
SET(sub, A - B)
SET(sll, A << (B & 63))
SET(slt, (s64)A < (s64)B)
SET(sltu, A < B)
SET(xor, A ^ B)
SET(srl, A >> (B & 63))
SET(sra, (s64)A >> (B & 63))
SET(or, A | B)
SET(and, A & B)
SETW(addw, A + B)
SETW(subw, A - B)
SETW(sllw, (u32)A << (B & 31))
SETW(srlw, (u32)A >> (B & 31))
SETW(sraw, (s32)A >> (B & 31))

/* ---------------------------------------------------------------- M */

SET(mul, A * B)
SET(mulh, ((__int128)(s64)A * (s64)B) >> 64)
SET(mulhsu, ((__int128)(s64)A * (unsigned __int128)B) >> 64)
SET(mulhu, ((unsigned __int128)A * B) >> 64)
SETW(mulw, (u32)A * (u32)B)

/* Unprivileged manual 13.2: no traps; x/0 = -1, x%0 = x, the overflow wraps. */
static inline u64 div_s(s64 a, s64 b)
{
	if (unlikely(b == 0))
		return ~0ull;
	if (unlikely(b == -1))
		return 0 - (u64)a;
	return (u64)(a / b);
}

static inline u64 rem_s(s64 a, s64 b)
{
	if (unlikely(b == 0))
		return (u64)a;
	if (unlikely(b == -1))
		return 0;
	return (u64)(a % b);
}

SET(div, div_s((s64)A, (s64)B))
SET(divu, unlikely(B == 0) ? ~0ull : A / B)
SET(rem, rem_s((s64)A, (s64)B))
SET(remu, unlikely(B == 0) ? A : A % B)
SETW(divw, div_s((s32)A, (s32)B))
SETW(divuw, unlikely((u32)B == 0) ? ~0u : (u32)A / (u32)B)
SETW(remw, rem_s((s32)A, (s32)B))
SETW(remuw, unlikely((u32)B == 0) ? (u32)A : (u32)A % (u32)B)

/* -------------------------------------- Zba Zbb Zbs Zicond Zimop; Zbc: ops_crypto.c */

SET(add_uw, B + (u32)A)
SET(sh1add, B + (A << 1))
SET(sh2add, B + (A << 2))
SET(sh3add, B + (A << 3))
SET(sh1add_uw, B + ((u64)(u32)A << 1))
SET(sh2add_uw, B + ((u64)(u32)A << 2))
SET(sh3add_uw, B + ((u64)(u32)A << 3))
SET(slli_uw, (u64)(u32)A << op->imm)

SET(andn, A & ~B)
SET(orn, A | ~B)
SET(xnor, ~(A ^ B))
SET(clz, A ? __builtin_clzll(A) : 64)
SET(ctz, A ? __builtin_ctzll(A) : 64)
SET(cpop, __builtin_popcountll(A))
SET(clzw, (u32)A ? __builtin_clz((u32)A) : 32)
SET(ctzw, (u32)A ? __builtin_ctz((u32)A) : 32)
SET(cpopw, __builtin_popcount((u32)A))
SET(max, (s64)A > (s64)B ? A : B)
SET(maxu, A > B ? A : B)
SET(min, (s64)A < (s64)B ? A : B)
SET(minu, A < B ? A : B)
SET(sext_b, (s64)(s8)A)
SET(sext_h, (s64)(s16)A)
SET(zext_h, (u16)A)

static inline u64 ror64(u64 v, unsigned n)
{
	return v >> (n & 63) | v << (-n & 63);
}

static inline u32 ror32(u32 v, unsigned n)
{
	return v >> (n & 31) | v << (-n & 31);
}

SET(rol, ror64(A, 0u - (unsigned)B))
SET(ror, ror64(A, (unsigned)B))
SET(rori, ror64(A, (unsigned)op->imm))
SETW(rolw, ror32((u32)A, 0u - (unsigned)B))
SETW(rorw, ror32((u32)A, (unsigned)B))
SETW(roriw, ror32((u32)A, (unsigned)op->imm))
SET(rev8, __builtin_bswap64(A))

/* Each byte that has any bit set becomes 0xff. */
static inline u64 orc_b(u64 v)
{
	v |= v >> 1 & 0x7f7f7f7f7f7f7f7f;
	v |= v >> 2 & 0x3f3f3f3f3f3f3f3f;
	v |= v >> 4 & 0x0f0f0f0f0f0f0f0f;
	return (v & 0x0101010101010101) * 0xff;
}
SET(orc_b, orc_b(A))

SET(bclr, A & ~BIT(B & 63))
SET(bext, A >> (B & 63) & 1)
SET(binv, A ^ BIT(B & 63))
SET(bset, A | BIT(B & 63))
SET(bclri, A & ~BIT(op->imm))
SET(bexti, A >> op->imm & 1)
SET(binvi, A ^ BIT(op->imm))
SET(bseti, A | BIT(op->imm))
/* Masks: Zkt wants no branch here. */
SET(czero_eqz, A & (0 - (u64)(B != 0)))
SET(czero_nez, A & (0 - (u64)(B == 0)))
SET(mop, 0)	/* until an extension gives it a meaning */

/* -------------------------------------------------------------- jumps */

/*
 * A direct jump goes to a linked block, or has itself linked. Backward ones look at the
 * owner's attention word too, so that every loop does.
 */
static inline const struct rv_op *take(struct rv_hart *h, const struct rv_op *op, bool back)
{
	struct rv_block *b = ((const struct rv_link *)(op + 1))->taken;

	if (unlikely(b->gen != rv_run_gen(h) || (back && rv_attention(h))))
		return rv_link_slow(h, op, true);
	return rv_enter(h, b);
}

static inline const struct rv_op *fall(struct rv_hart *h, const struct rv_op *op)
{
	struct rv_block *b = ((const struct rv_link *)(op + 1))->fall;

	if (unlikely(b->gen != rv_run_gen(h)))
		return rv_link_slow(h, op, false);
	return rv_enter(h, b);
}

#define BRANCH(name, cond) \
	RV_OP(name) { if (cond) return take(h, op, false); return fall(h, op); } \
	RV_OP(name##_back) { if (cond) return take(h, op, true); return fall(h, op); }

BRANCH(beq, A == B)
BRANCH(bne, A != B)
BRANCH(blt, (s64)A < (s64)B)
BRANCH(bge, (s64)A >= (s64)B)
BRANCH(bltu, A < B)
BRANCH(bgeu, A >= B)

RV_OP(j)
{
	return take(h, op, false);
}

RV_OP(j_back)
{
	return take(h, op, true);
}

RV_OP(jal)
{
	h->x[op->rd] = rv_op_pc(h, op) + op->len;
	return take(h, op, true);
}

/* Out of the page, where links do not reach: by the jump cache. */
RV_OP(j_far)
{
	return rv_jump(h, h->page_va + I);
}

RV_OP(jal_far)
{
	h->x[op->rd] = rv_op_pc(h, op) + op->len;
	return rv_jump(h, h->page_va + I);
}

RV_OP(jalr)
{
	u64 target = (A + I) & ~1ull;

	h->x[op->rd] = rv_op_pc(h, op) + op->len;
	return rv_jump(h, target);
}

RV_OP(jr)
{
	return rv_jump(h, (A + I) & ~1ull);
}

/* Not an instruction: the end of a block that goes on in the next. */
RV_OP(fall)
{
	return fall(h, op);
}

/* The same into the next page. */
RV_OP(fall_far)
{
	return rv_jump(h, rv_op_pc(h, op) + op->len);
}
