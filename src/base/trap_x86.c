/* SPDX-License-Identifier: MIT */
/*
 * Loads and stores of x86-64 programs that hit a trap region, carried out.
 *
 * Zydis decodes (it knows every encoding; ours would be a worse one). What compilers and the C
 * library make of volatile accesses and of memcpy is carried out here: mov and its extending and
 * byte-swapping forms, read-modify-write arithmetic, bit tests, exchanges, string instructions, and
 * moves of vector registers (SSE, AVX, AVX-512 in the forms without a mask). Everything else is
 * refused, and the program gets SIGBUS.
 *
 * Registers are read and written in the signal's context, so that a refused instruction has changed
 * none. A string instruction does one element for each fault and leaves rip where it is until rcx
 * is 0, as an interrupted one does. Read-modify-write is atomic among trapped accesses
 * (sv_trap_rmw_lock), LOCK or not.
 *
 * Intel SDM vol. 1 3.4.3 (flags), 13.4 (the XSAVE area, standard format: what the kernel puts in a
 * signal frame), vol. 2.
 */
#include <Zydis/Zydis.h>
#include <cpuid.h>
#include <string.h>
#include <ucontext.h>

#include "base/trap_insn.h"
#include "base/trap_region.h"

#define FLAG_CF 0x001
#define FLAG_PF 0x004
#define FLAG_AF 0x010
#define FLAG_ZF 0x040
#define FLAG_SF 0x080
#define FLAG_DF 0x400
#define FLAG_OF 0x800
#define FLAGS_ARITH (FLAG_CF | FLAG_PF | FLAG_AF | FLAG_ZF | FLAG_SF | FLAG_OF)

#define FXSAVE_XMM 160		/* offset of xmm0 in the FXSAVE area */
#define FXSAVE_SW_MAGIC 464	/* the kernel's: FP_XSTATE_MAGIC1 says that an XSAVE area follows */
#define XSAVE_HEADER 512
enum { XSTATE_YMM = 2, XSTATE_ZMM_HI256 = 6, XSTATE_HI16_ZMM = 7 };

struct insn {
	ucontext_t *uc;
	greg_t *g;
	ZydisDecodedInstruction i;
	ZydisDecodedOperand op[ZYDIS_MAX_OPERAND_COUNT];
};

bool sv_trap_can_emulate(void)
{
	return true;
}

/* General registers, in the numbering of encodings. */
static const u8 greg_of[16] = {
	REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP, REG_RSI, REG_RDI,
	REG_R8, REG_R9, REG_R10, REG_R11, REG_R12, REG_R13, REG_R14, REG_R15,
};

static bool is_high_byte(ZydisRegister r)
{
	return r >= ZYDIS_REGISTER_AH && r <= ZYDIS_REGISTER_BH;
}

/* Where a general register lives; NULL: it is none. */
static greg_t *greg(struct insn *in, ZydisRegister r)
{
	ZydisRegister whole;

	if (is_high_byte(r))
		return &in->g[greg_of[r - ZYDIS_REGISTER_AH]];
	whole = ZydisRegisterGetLargestEnclosing(ZYDIS_MACHINE_MODE_LONG_64, r);
	if (whole < ZYDIS_REGISTER_RAX || whole > ZYDIS_REGISTER_R15)
		return NULL;
	return &in->g[greg_of[whole - ZYDIS_REGISTER_RAX]];
}

static u64 mask_of(unsigned size)
{
	return size >= 8 ? ~0ull : (1ull << (size * 8)) - 1;
}

static u64 reg_read(struct insn *in, ZydisRegister r, unsigned size)
{
	u64 v = (u64)*greg(in, r);

	return (is_high_byte(r) ? v >> 8 : v) & mask_of(size);
}

static void reg_write(struct insn *in, ZydisRegister r, unsigned size, u64 v)
{
	greg_t *p = greg(in, r);
	unsigned shift = is_high_byte(r) ? 8 : 0;

	if (size >= 4)
		*p = (greg_t)(v & mask_of(size));
	else
		*p = (greg_t)(((u64)*p & ~(mask_of(size) << shift)) | (v & mask_of(size)) << shift);
}

static bool effective_address(struct insn *in, const ZydisDecodedOperand *op, u64 *out)
{
	u64 a = op->mem.disp.has_displacement ? (u64)op->mem.disp.value : 0;
	u64 mask = in->i.address_width == 32 ? 0xffffffffull : ~0ull;

	if (op->mem.segment == ZYDIS_REGISTER_FS || op->mem.segment == ZYDIS_REGISTER_GS ||
	    (op->mem.type != ZYDIS_MEMOP_TYPE_MEM))
		return false;
	if (op->mem.base == ZYDIS_REGISTER_RIP) {
		a += (u64)in->g[REG_RIP] + in->i.length;
	} else if (op->mem.base != ZYDIS_REGISTER_NONE) {
		if (!greg(in, op->mem.base))
			return false;
		a += (u64)*greg(in, op->mem.base);
	}
	if (op->mem.index != ZYDIS_REGISTER_NONE) {
		if (!greg(in, op->mem.index))	/* a vector of indices: gather */
			return false;
		a += (u64)*greg(in, op->mem.index) * op->mem.scale;
	}
	*out = a & mask;
	return true;
}

/* A general operand's value: register, immediate, or memory at addr. */
static bool operand_read(struct insn *in, const ZydisDecodedOperand *op, u64 *v)
{
	unsigned size = op->size / 8;
	u64 addr;

	*v = 0;
	switch (op->type) {
	case ZYDIS_OPERAND_TYPE_REGISTER:
		if (!greg(in, op->reg.value))
			return false;
		*v = reg_read(in, op->reg.value, size);
		return true;
	case ZYDIS_OPERAND_TYPE_IMMEDIATE:
		*v = op->imm.value.u;
		return true;
	case ZYDIS_OPERAND_TYPE_MEMORY:
		return size && size <= 8 && effective_address(in, op, &addr) &&
		       sv_trap_load(addr, v, size);
	default:
		return false;
	}
}

static bool operand_write(struct insn *in, const ZydisDecodedOperand *op, u64 v)
{
	unsigned size = op->size / 8;
	u64 addr;

	switch (op->type) {
	case ZYDIS_OPERAND_TYPE_REGISTER:
		if (!greg(in, op->reg.value))
			return false;
		reg_write(in, op->reg.value, size, v);
		return true;
	case ZYDIS_OPERAND_TYPE_MEMORY:
		return size && size <= 8 && effective_address(in, op, &addr) &&
		       sv_trap_store(addr, &v, size);
	default:
		return false;
	}
}

static u64 sign_extend(u64 v, unsigned size)
{
	unsigned shift = 64 - size * 8;

	return (u64)((s64)(v << shift) >> shift);
}

static void set_flags(struct insn *in, u64 changed, u64 flags)
{
	u64 old = (u64)in->g[REG_EFL];

	in->g[REG_EFL] = (greg_t)((old & ~changed) | (flags & changed));
}

static u64 flags_of_result(u64 r, unsigned size)
{
	u64 sign = 1ull << (size * 8 - 1);

	r &= mask_of(size);
	return (r ? 0 : FLAG_ZF) | (r & sign ? FLAG_SF : 0) |
	       (__builtin_parity((unsigned)r & 0xff) ? 0 : FLAG_PF);
}

static u64 add_flags(u64 a, u64 b, u64 r, unsigned size)
{
	u64 sign = 1ull << (size * 8 - 1), carry = (a & b) | ((a | b) & ~r);

	return flags_of_result(r, size) | (carry & sign ? FLAG_CF : 0) |
	       ((a ^ r) & (b ^ r) & sign ? FLAG_OF : 0) | ((a ^ b ^ r) & 0x10 ? FLAG_AF : 0);
}

static u64 sub_flags(u64 a, u64 b, u64 r, unsigned size)
{
	u64 sign = 1ull << (size * 8 - 1), borrow = (~a & b) | ((~a | b) & r);

	return flags_of_result(r, size) | (borrow & sign ? FLAG_CF : 0) |
	       ((a ^ b) & (a ^ r) & sign ? FLAG_OF : 0) | ((a ^ b ^ r) & 0x10 ? FLAG_AF : 0);
}

/* r = a OP b, with the flags that OP changes. False: none of these. */
static bool arithmetic(struct insn *in, u64 a, u64 b, unsigned size, u64 *r, bool *writes)
{
	u64 carry = (u64)in->g[REG_EFL] & FLAG_CF, changed = FLAGS_ARITH, flags;

	*writes = true;
	b &= mask_of(size);
	switch (in->i.mnemonic) {
	case ZYDIS_MNEMONIC_TEST:
		*writes = false;
		/* fallthrough */
	case ZYDIS_MNEMONIC_AND:
		*r = a & b;
		flags = flags_of_result(*r, size);
		break;
	case ZYDIS_MNEMONIC_OR:
		*r = a | b;
		flags = flags_of_result(*r, size);
		break;
	case ZYDIS_MNEMONIC_XOR:
		*r = a ^ b;
		flags = flags_of_result(*r, size);
		break;
	case ZYDIS_MNEMONIC_ADD:
		*r = a + b;
		flags = add_flags(a, b, *r, size);
		break;
	case ZYDIS_MNEMONIC_ADC:
		*r = a + b + carry;
		flags = add_flags(a, b, *r, size);
		break;
	case ZYDIS_MNEMONIC_CMP:
		*writes = false;
		/* fallthrough */
	case ZYDIS_MNEMONIC_SUB:
		*r = a - b;
		flags = sub_flags(a, b, *r, size);
		break;
	case ZYDIS_MNEMONIC_SBB:
		*r = a - b - carry;
		flags = sub_flags(a, b, *r, size);
		break;
	case ZYDIS_MNEMONIC_INC:
		*r = a + 1;
		flags = add_flags(a, 1, *r, size);
		changed &= ~(u64)FLAG_CF;
		break;
	case ZYDIS_MNEMONIC_DEC:
		*r = a - 1;
		flags = sub_flags(a, 1, *r, size);
		changed &= ~(u64)FLAG_CF;
		break;
	case ZYDIS_MNEMONIC_NEG:
		*r = -a;
		flags = sub_flags(0, a, *r, size);
		break;
	case ZYDIS_MNEMONIC_NOT:
		*r = ~a;
		flags = changed = 0;
		break;
	default:
		return false;
	}
	set_flags(in, changed, flags);
	return true;
}

static bool do_arithmetic(struct insn *in)
{
	unsigned size = in->op[0].size / 8;
	greg_t flags = in->g[REG_EFL];
	u64 a, b = 0, r = 0;
	bool ok, writes;

	if (!size || size > 8)
		return false;
	sv_mutex_lock(&sv_trap_rmw_lock);
	ok = operand_read(in, &in->op[0], &a) &&
	     (in->i.operand_count_visible < 2 || operand_read(in, &in->op[1], &b)) &&
	     arithmetic(in, a, b, size, &r, &writes) &&
	     (!writes || operand_write(in, &in->op[0], r));
	sv_mutex_unlock(&sv_trap_rmw_lock);
	if (!ok)
		in->g[REG_EFL] = flags;
	return ok;
}

static bool do_bit_test(struct insn *in)
{
	unsigned size = in->op[0].size / 8;
	u64 a, n, bit, r;
	bool ok;

	/* With a register as the index the address moves, too; compilers use the immediate. */
	if (in->op[1].type != ZYDIS_OPERAND_TYPE_IMMEDIATE || !size || size > 8)
		return false;
	n = in->op[1].imm.value.u % (size * 8);
	bit = 1ull << n;
	sv_mutex_lock(&sv_trap_rmw_lock);
	ok = operand_read(in, &in->op[0], &a);
	r = in->i.mnemonic == ZYDIS_MNEMONIC_BTS ? a | bit :
	    in->i.mnemonic == ZYDIS_MNEMONIC_BTR ? a & ~bit : a ^ bit;
	if (ok && in->i.mnemonic != ZYDIS_MNEMONIC_BT)
		ok = operand_write(in, &in->op[0], r);
	sv_mutex_unlock(&sv_trap_rmw_lock);
	if (ok)
		set_flags(in, FLAG_CF, a & bit ? FLAG_CF : 0);
	return ok;
}

static bool do_exchange(struct insn *in)
{
	unsigned size = in->op[0].size / 8;
	u64 a, b, sum;
	bool ok;

	sv_mutex_lock(&sv_trap_rmw_lock);
	ok = operand_read(in, &in->op[0], &a) && operand_read(in, &in->op[1], &b);
	if (ok && in->i.mnemonic == ZYDIS_MNEMONIC_XADD) {
		sum = a + b;
		ok = in->op[0].type == ZYDIS_OPERAND_TYPE_MEMORY &&
		     operand_write(in, &in->op[0], sum) && operand_write(in, &in->op[1], a);
		if (ok)
			set_flags(in, FLAGS_ARITH, add_flags(a, b, sum, size));
	} else if (ok) {
		/* The memory first: registers must not change when it refuses. */
		bool mem1 = in->op[1].type == ZYDIS_OPERAND_TYPE_MEMORY;

		ok = mem1 ? operand_write(in, &in->op[1], a) && operand_write(in, &in->op[0], b) :
			    operand_write(in, &in->op[0], b) && operand_write(in, &in->op[1], a);
	}
	sv_mutex_unlock(&sv_trap_rmw_lock);
	return ok;
}

static bool do_cmpxchg(struct insn *in)
{
	unsigned size = in->op[0].size / 8;
	u64 old, val, acc;
	bool ok;

	if (!size || size > 8)
		return false;
	acc = (u64)in->g[REG_RAX] & mask_of(size);
	sv_mutex_lock(&sv_trap_rmw_lock);
	ok = operand_read(in, &in->op[0], &old) && operand_read(in, &in->op[1], &val) &&
	     operand_write(in, &in->op[0], old == acc ? val : old);
	sv_mutex_unlock(&sv_trap_rmw_lock);
	if (!ok)
		return false;
	if (old != acc)
		reg_write(in, size == 8 ? ZYDIS_REGISTER_RAX : size == 4 ? ZYDIS_REGISTER_EAX :
			  size == 2 ? ZYDIS_REGISTER_AX : ZYDIS_REGISTER_AL, size, old);
	set_flags(in, FLAGS_ARITH, sub_flags(acc, old, acc - old, size));
	return true;
}

/* movs, stos, lods: one element. The context stays at the instruction while rcx says so. */
static bool do_string(struct insn *in)
{
	unsigned size = in->i.operand_width / 8;
	bool rep = in->i.attributes & (ZYDIS_ATTRIB_HAS_REP | ZYDIS_ATTRIB_HAS_REPE |
				       ZYDIS_ATTRIB_HAS_REPNE);
	s64 step = (u64)in->g[REG_EFL] & FLAG_DF ? -(s64)size : (s64)size;
	bool movs = false, lods = false;
	u64 v = 0;

	switch (in->i.mnemonic) {
	case ZYDIS_MNEMONIC_MOVSB: size = 1; movs = true; break;
	case ZYDIS_MNEMONIC_MOVSW: case ZYDIS_MNEMONIC_MOVSD: case ZYDIS_MNEMONIC_MOVSQ:
		movs = true;
		break;
	case ZYDIS_MNEMONIC_STOSB: size = 1; break;
	case ZYDIS_MNEMONIC_STOSW: case ZYDIS_MNEMONIC_STOSD: case ZYDIS_MNEMONIC_STOSQ: break;
	case ZYDIS_MNEMONIC_LODSB: size = 1; lods = true; break;
	case ZYDIS_MNEMONIC_LODSW: case ZYDIS_MNEMONIC_LODSD: case ZYDIS_MNEMONIC_LODSQ:
		lods = true;
		break;
	default:
		return false;
	}
	if (in->i.address_width != 64)
		return false;
	step = step < 0 ? -(s64)size : (s64)size;
	if (rep && !in->g[REG_RCX]) {
		in->g[REG_RIP] += in->i.length;
		return true;
	}
	if (movs || lods) {
		if (!sv_trap_load((u64)in->g[REG_RSI], &v, size))
			return false;
	} else {
		v = (u64)in->g[REG_RAX];
	}
	if (lods)
		reg_write(in, size == 8 ? ZYDIS_REGISTER_RAX : size == 4 ? ZYDIS_REGISTER_EAX :
			  size == 2 ? ZYDIS_REGISTER_AX : ZYDIS_REGISTER_AL, size, v);
	else if (!sv_trap_store((u64)in->g[REG_RDI], &v, size))
		return false;
	if (movs || lods)
		in->g[REG_RSI] += step;
	if (!lods)
		in->g[REG_RDI] += step;
	if (!rep || !--in->g[REG_RCX])
		in->g[REG_RIP] += in->i.length;
	return true;
}

/* A component of the XSAVE area in the signal frame; NULL: this CPU or frame has none. */
static u8 *xstate(struct insn *in, unsigned component)
{
	u8 *fx = (u8 *)in->uc->uc_mcontext.fpregs;
	unsigned eax, ebx, ecx, edx;
	u32 magic, size;

	if (!fx)
		return NULL;
	memcpy(&magic, fx + FXSAVE_SW_MAGIC, 4);
	memcpy(&size, fx + FXSAVE_SW_MAGIC + 4 + 4 + 8, 4);	/* xstate_size */
	if (magic != FP_XSTATE_MAGIC1 || !__get_cpuid_count(0xd, component, &eax, &ebx, &ecx, &edx) ||
	    !eax || ebx + eax > size)
		return NULL;
	return fx + ebx;
}

/* A vector register's bytes, from the lowest on, as the context keeps them. */
struct vector_part {
	u8 *p;			/* NULL: this frame has no room for it */
	size_t size;
	unsigned component;	/* 0: the FXSAVE area, which is always there */
};

static unsigned vector_parts(struct insn *in, ZydisRegister r, struct vector_part part[3])
{
	static const struct { unsigned component; size_t size; } low[] = {
		{ XSTATE_YMM, 16 }, { XSTATE_ZMM_HI256, 32 },
	};
	u8 *fx = (u8 *)in->uc->uc_mcontext.fpregs;
	unsigned n;

	if (r >= ZYDIS_REGISTER_XMM0 && r <= ZYDIS_REGISTER_XMM31)
		n = r - ZYDIS_REGISTER_XMM0;
	else if (r >= ZYDIS_REGISTER_YMM0 && r <= ZYDIS_REGISTER_YMM31)
		n = r - ZYDIS_REGISTER_YMM0;
	else if (r >= ZYDIS_REGISTER_ZMM0 && r <= ZYDIS_REGISTER_ZMM31)
		n = r - ZYDIS_REGISTER_ZMM0;
	else
		return 0;
	if (!fx)
		return 0;
	if (n >= 16) {
		u8 *p = xstate(in, XSTATE_HI16_ZMM);

		part[0] = (struct vector_part){ p ? p + 64 * (n - 16) : NULL, 64, XSTATE_HI16_ZMM };
		return 1;
	}
	part[0] = (struct vector_part){ fx + FXSAVE_XMM + 16 * n, 16, 0 };
	for (unsigned i = 0; i < ARRAY_SIZE(low); i++) {
		u8 *p = xstate(in, low[i].component);

		part[i + 1] = (struct vector_part){ p ? p + low[i].size * n : NULL, low[i].size,
						    low[i].component };
	}
	return 3;
}

/* A component in its initial state is all zero, and memory need not say so. */
static bool component_in_use(struct insn *in, unsigned component)
{
	u64 bv;

	memcpy(&bv, (u8 *)in->uc->uc_mcontext.fpregs + XSAVE_HEADER, sizeof(bv));
	return !component || bv >> component & 1;
}

static void component_use(struct insn *in, const struct vector_part *part)
{
	u8 *header = (u8 *)in->uc->uc_mcontext.fpregs + XSAVE_HEADER;
	u64 bv;

	memset(xstate(in, part->component), 0, part->size * 16);
	memcpy(&bv, header, sizeof(bv));
	bv |= 1ull << part->component;
	memcpy(header, &bv, sizeof(bv));
}

static bool vector_read(struct insn *in, ZydisRegister r, u8 *buf, size_t len)
{
	struct vector_part part[3];
	unsigned nr = vector_parts(in, r, part);

	for (unsigned i = 0; i < nr && len; i++) {
		size_t take = len < part[i].size ? len : part[i].size;

		if (!part[i].p)
			return false;
		if (component_in_use(in, part[i].component))
			memcpy(buf, part[i].p, take);
		else
			memset(buf, 0, take);
		buf += take;
		len -= take;
	}
	return nr && !len;
}

/* clear_above: what lies above len becomes zero (VEX and EVEX), else it stays. */
static bool vector_write(struct insn *in, ZydisRegister r, const u8 *buf, size_t len,
			 bool clear_above)
{
	struct vector_part part[3];
	unsigned nr = vector_parts(in, r, part);

	for (unsigned i = 0; i < nr; i++) {
		size_t take = len < part[i].size ? len : part[i].size;
		bool in_use;

		if (take && !part[i].p)
			return false;
		if (!part[i].p || (!take && !clear_above))
			break;
		in_use = component_in_use(in, part[i].component);
		if (take && !in_use)
			component_use(in, &part[i]);
		if (take || in_use) {
			memcpy(part[i].p, buf, take);
			if (clear_above)
				memset(part[i].p + take, 0, part[i].size - take);
		}
		buf += take;
		len -= take;
	}
	return nr && !len;
}

static bool do_vector_move(struct insn *in)
{
	bool legacy = in->i.encoding == ZYDIS_INSTRUCTION_ENCODING_LEGACY;
	const ZydisDecodedOperand *mem, *reg;
	size_t len;
	u8 buf[64] = { 0 };
	u64 addr;

	if (in->i.operand_count_visible != 2 ||
	    (in->i.avx.mask.mode != ZYDIS_MASK_MODE_INVALID &&
	     in->i.avx.mask.mode != ZYDIS_MASK_MODE_DISABLED)) {
		/* AVX-512 lists its mask register as an operand, k0 when there is no mask. */
		if (in->i.operand_count_visible != 3 || in->i.avx.mask.reg != ZYDIS_REGISTER_K0)
			return false;
	}
	mem = &in->op[0];
	reg = &in->op[in->i.operand_count_visible - 1];
	if (mem->type != ZYDIS_OPERAND_TYPE_MEMORY) {
		reg = mem;
		mem = &in->op[in->i.operand_count_visible - 1];
	}
	len = mem->size / 8;
	if (mem->type != ZYDIS_OPERAND_TYPE_MEMORY || reg->type != ZYDIS_OPERAND_TYPE_REGISTER ||
	    !len || len > sizeof(buf) || !effective_address(in, mem, &addr))
		return false;
	if (greg(in, reg->reg.value))	/* movnti */
		return mem == &in->op[0] && operand_read(in, reg, (u64 *)(void *)buf) &&
		       sv_trap_store(addr, buf, len);
	if (mem == &in->op[0])
		return vector_read(in, reg->reg.value, buf, len) &&
		       sv_trap_store(addr, buf, len);
	if (!sv_trap_load(addr, buf, len))
		return false;
	/* Loads of part of a register clear the rest of its 128 bits. */
	return vector_write(in, reg->reg.value, buf, len < 16 ? 16 : len, !legacy);
}

static bool do_move(struct insn *in)
{
	u64 v;

	if (!operand_read(in, &in->op[1], &v))
		return false;
	switch (in->i.mnemonic) {
	case ZYDIS_MNEMONIC_MOVSX:
	case ZYDIS_MNEMONIC_MOVSXD:
		v = sign_extend(v, in->op[1].size / 8);
		break;
	case ZYDIS_MNEMONIC_MOVBE:
		v = __builtin_bswap64(v) >> (64 - in->op[1].size);
		break;
	default:
		break;
	}
	return operand_write(in, &in->op[0], v);
}

static bool carry_out(struct insn *in, bool *advanced)
{
	*advanced = false;
	switch (in->i.mnemonic) {
	case ZYDIS_MNEMONIC_MOV: case ZYDIS_MNEMONIC_MOVZX: case ZYDIS_MNEMONIC_MOVSX:
	case ZYDIS_MNEMONIC_MOVSXD: case ZYDIS_MNEMONIC_MOVBE:
		return do_move(in);
	case ZYDIS_MNEMONIC_AND: case ZYDIS_MNEMONIC_OR: case ZYDIS_MNEMONIC_XOR:
	case ZYDIS_MNEMONIC_ADD: case ZYDIS_MNEMONIC_ADC: case ZYDIS_MNEMONIC_SUB:
	case ZYDIS_MNEMONIC_SBB: case ZYDIS_MNEMONIC_CMP: case ZYDIS_MNEMONIC_TEST:
	case ZYDIS_MNEMONIC_INC: case ZYDIS_MNEMONIC_DEC: case ZYDIS_MNEMONIC_NEG:
	case ZYDIS_MNEMONIC_NOT:
		return do_arithmetic(in);
	case ZYDIS_MNEMONIC_BT: case ZYDIS_MNEMONIC_BTS: case ZYDIS_MNEMONIC_BTR:
	case ZYDIS_MNEMONIC_BTC:
		return do_bit_test(in);
	case ZYDIS_MNEMONIC_XCHG: case ZYDIS_MNEMONIC_XADD:
		return do_exchange(in);
	case ZYDIS_MNEMONIC_CMPXCHG:
		return do_cmpxchg(in);
	case ZYDIS_MNEMONIC_MOVSD:
		/* Both a string instruction and a vector one. */
		if (in->op[0].type == ZYDIS_OPERAND_TYPE_REGISTER ||
		    in->op[1].type == ZYDIS_OPERAND_TYPE_REGISTER)
			return do_vector_move(in);
		/* fallthrough */
	case ZYDIS_MNEMONIC_MOVSB: case ZYDIS_MNEMONIC_MOVSW: case ZYDIS_MNEMONIC_MOVSQ:
	case ZYDIS_MNEMONIC_STOSB: case ZYDIS_MNEMONIC_STOSW: case ZYDIS_MNEMONIC_STOSD:
	case ZYDIS_MNEMONIC_STOSQ: case ZYDIS_MNEMONIC_LODSB: case ZYDIS_MNEMONIC_LODSW:
	case ZYDIS_MNEMONIC_LODSD: case ZYDIS_MNEMONIC_LODSQ:
		*advanced = true;
		return do_string(in);
	case ZYDIS_MNEMONIC_MOVUPS: case ZYDIS_MNEMONIC_MOVAPS: case ZYDIS_MNEMONIC_MOVUPD:
	case ZYDIS_MNEMONIC_MOVAPD: case ZYDIS_MNEMONIC_MOVDQU: case ZYDIS_MNEMONIC_MOVDQA:
	case ZYDIS_MNEMONIC_MOVQ: case ZYDIS_MNEMONIC_MOVD: case ZYDIS_MNEMONIC_MOVSS:
	case ZYDIS_MNEMONIC_MOVNTDQ: case ZYDIS_MNEMONIC_MOVNTPS: case ZYDIS_MNEMONIC_MOVNTI:
	case ZYDIS_MNEMONIC_LDDQU:
	case ZYDIS_MNEMONIC_VMOVUPS: case ZYDIS_MNEMONIC_VMOVAPS: case ZYDIS_MNEMONIC_VMOVUPD:
	case ZYDIS_MNEMONIC_VMOVAPD: case ZYDIS_MNEMONIC_VMOVDQU: case ZYDIS_MNEMONIC_VMOVDQA:
	case ZYDIS_MNEMONIC_VMOVQ: case ZYDIS_MNEMONIC_VMOVD: case ZYDIS_MNEMONIC_VMOVNTDQ:
	case ZYDIS_MNEMONIC_VMOVNTPS: case ZYDIS_MNEMONIC_VLDDQU:
	case ZYDIS_MNEMONIC_VMOVDQU8: case ZYDIS_MNEMONIC_VMOVDQU16:
	case ZYDIS_MNEMONIC_VMOVDQU32: case ZYDIS_MNEMONIC_VMOVDQU64:
	case ZYDIS_MNEMONIC_VMOVDQA32: case ZYDIS_MNEMONIC_VMOVDQA64:
		return do_vector_move(in);
	default:
		return false;
	}
}

bool sv_trap_emulate(void *ucontext)
{
	ucontext_t *uc = ucontext;
	struct insn in = { .uc = uc, .g = uc->uc_mcontext.gregs };
	u8 code[ZYDIS_MAX_INSTRUCTION_LENGTH];
	ZydisDecoder decoder;
	bool advanced;
	size_t len;

	len = sv_trap_fetch((u64)in.g[REG_RIP], code, sizeof(code));
	if (!ZYAN_SUCCESS(ZydisDecoderInit(&decoder, ZYDIS_MACHINE_MODE_LONG_64,
					   ZYDIS_STACK_WIDTH_64)) ||
	    !ZYAN_SUCCESS(ZydisDecoderDecodeFull(&decoder, code, len, &in.i, in.op)) ||
	    !carry_out(&in, &advanced))
		return false;
	if (!advanced)
		in.g[REG_RIP] += in.i.length;
	return true;
}
