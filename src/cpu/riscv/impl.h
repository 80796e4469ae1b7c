/* SPDX-License-Identifier: MIT */
/*
 * Inside of the RISC-V hart.
 *
 * Model. Guest code is decoded, a basic block at a time, into an array of struct rv_op;
 * each op knows the function that carries it out. An op's function ends by calling the
 * next op's function (a tail call, where the compiler makes one; else the driver loop
 * calls them in turn, see DISPATCH). Nothing of the guest's state lives in host registers
 * between ops, so a run can be abandoned at any op: by an exit, by a trap, or by a host
 * fault on guest memory, which longjmps out of the middle (base/guard.h).
 *
 * Blocks are keyed by guest physical address and never cross a page (but for a single
 * instruction that straddles two); code is therefore shared by all its mappings. An op
 * knows its offset in the page, and page_va says where that page is mapped now.
 *
 * Coherence. There is no write tracking. fence.i (and each entry to a run, so that a
 * debugger's or loader's writes are seen) raises the generation; a block of an older
 * generation compares its bytes with memory before it runs again, and is decoded anew if
 * they differ.
 *
 * run_gen is what blocks are compared with. It equals gen, except that any thread that
 * wants the hart's attention sets it to 0: one comparison at a block's entry serves both.
 *
 * TLB. Direct-mapped, tagged with the page and a context number that stands for (satp,
 * privilege, SUM, MXR); so a trap, an sret or an address-space switch flushes nothing.
 * Contexts come in groups of eight, one group for a satp value; a full flush retires the
 * groups in use and memory is cleared only when the numbers run out.
 *
 * Threads. All of it belongs to the running thread, but for the fields under "shared".
 */
#ifndef SV_CPU_RISCV_IMPL_H
#define SV_CPU_RISCV_IMPL_H

#include "base/guard.h"
#include "base/timer.h"
#include "base/types.h"
#include "cpu/riscv/hart.h"
#include "cpu/riscv/vec.h"

/*
 * Tail calls need an optimizing compiler and frames that nothing points into; sanitizers
 * break the latter. Then each op returns the next one to a loop.
 */
#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || \
	__has_feature(memory_sanitizer) || __has_feature(undefined_behavior_sanitizer)
#define RV_SANITIZED 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define RV_SANITIZED 1
#endif
#if defined(__OPTIMIZE__) && !defined(RV_SANITIZED) && !defined(RV_NO_TAIL_CALLS) && \
	!defined(__OPTIMIZE_SIZE__)
#define RV_TAIL_CALLS 1
#else
#define RV_TAIL_CALLS 0
#endif

struct rv_op;
typedef const struct rv_op *(*rv_op_fn)(struct rv_hart *h, const struct rv_op *op);

struct rv_op {
	rv_op_fn fn;
	s32 imm;	/* branches: the target as an offset from the page's start */
	u8 rd;		/* x0 as a destination is slot RV_X_SINK */
	u8 rs1, rs2;
	u8 aux;		/* rs3, rounding mode, access kind: as the op wants */
	u16 off;	/* of the instruction in its page */
	u8 len;		/* bytes: 2 or 4 */
	u8 idx;		/* instructions before it in the block */
	u32 raw;	/* the instruction, as fetched */
};

/* Stands in the op slot behind a block's last op, if that is a direct jump. */
struct rv_link {
	struct rv_block *taken;
	struct rv_block *fall;
};

struct rv_block {
	u64 gen;		/* of the last comparison with memory; 0: dead */
	u64 gpa;
	struct rv_block *next;	/* in the hash chain */
	const u8 *host;		/* its bytes, valid until the owner's answers are forgotten */
	const u8 *host2;	/* straddling: the second page's first two bytes, else NULL */
	u64 gpa2;
	const u16 *copy;	/* what was decoded */
	u16 nbytes;
	u16 n;			/* instructions */
	struct rv_op ops[];
};

struct rv_tlb {
	u64 r, w, x;		/* key, or 0 */
	u64 addend;		/* host address - va */
};

struct rv_jump {
	u64 pc;
	u64 tag;
	struct rv_block *block;
};

struct rv_phys_entry {
	u64 gpa;		/* page address | 1, or 0 */
	u8 *host;
};

enum {
	RV_X_SINK = 32,
	RV_TLB_BITS = 12, RV_TLB_SIZE = 1 << RV_TLB_BITS,
	RV_JUMP_BITS = 12, RV_JUMP_SIZE = 1 << RV_JUMP_BITS,
	RV_HASH_BITS = 14, RV_HASH_SIZE = 1 << RV_HASH_BITS,
	RV_PHYS_SIZE = 64,
	RV_GROUPS = 64,			/* address spaces with TLB entries; 0 is never used */
	RV_BLOCK_MAX = 64,		/* instructions in a block */
	RV_ARENA_SIZE = 12 << 20,
	RV_CODE_MAP_BITS = 4096,
};

/* aux of loads and stores */
enum { RV_MEM_SIZE = 3, RV_MEM_SIGNED = 4, RV_MEM_FP = 8, RV_MEM_VEC = 16 };

enum rv_priv { RV_U = 0, RV_S = 1 };

enum rv_cause {
	RV_CAUSE_FETCH_ACCESS = 1, RV_CAUSE_ILLEGAL = 2, RV_CAUSE_BREAK = 3,
	RV_CAUSE_LOAD_MISALIGNED = 4, RV_CAUSE_LOAD_ACCESS = 5, RV_CAUSE_STORE_MISALIGNED = 6,
	RV_CAUSE_STORE_ACCESS = 7, RV_CAUSE_ECALL_U = 8, RV_CAUSE_FETCH_PAGE = 12,
	RV_CAUSE_LOAD_PAGE = 13, RV_CAUSE_STORE_PAGE = 15,
};
#define RV_CAUSE_INTERRUPT BIT(63)

enum { RV_IRQ_SSI = 1, RV_IRQ_STI = 5, RV_IRQ_SEI = 9, RV_IRQ_LCOFI = 13 };

#define RV_SSTATUS_SIE BIT(1)
#define RV_SSTATUS_SPIE BIT(5)
#define RV_SSTATUS_SPP BIT(8)
#define RV_SSTATUS_VS (3ull << 9)
#define RV_SSTATUS_FS (3ull << 13)
#define RV_SSTATUS_FS_DIRTY (3ull << 13)
#define RV_SSTATUS_SUM BIT(18)
#define RV_SSTATUS_MXR BIT(19)
#define RV_SSTATUS_UXL (2ull << 32)
#define RV_SSTATUS_SD BIT(63)
#define RV_SSTATUS_WRITABLE (RV_SSTATUS_SIE | RV_SSTATUS_SPIE | RV_SSTATUS_SPP | RV_SSTATUS_FS | \
			     RV_SSTATUS_VS | RV_SSTATUS_SUM | RV_SSTATUS_MXR)

/* Requests from other threads. */
enum {
	RV_REQ_KICK = 1, RV_REQ_IRQ = 2, RV_REQ_TLB = 4, RV_REQ_PHYS = 8, RV_REQ_FENCE_I = 16,
	RV_REQ_TIMER = 32,
};

struct rv_hart {
	/* Hot: what ops touch. */
	u64 x[33];
	u64 f[32];
	u64 run_gen;		/* shared, atomic */
	u64 ctx;		/* the current context, as tag bits */
	u64 jump_tag;
	u64 page_va;
	struct rv_block *block;
	const struct rv_op *fault_op;	/* the op that touches memory, for the fault path */
	const u64 *attention;
	u64 instret;
	u8 fp_fast[8];		/* by rm field: host arithmetic is exact enough (see fp ops) */
	u8 frm, fflags;
	u8 priv;
	bool debug_ebreak, single_step;
	bool counting;		/* blocks begin with an op that looks at count_stop */
	u32 pauses;

	u64 count_stop;		/* instret when the next stop is due in this mode, or RV_NO_STOP */
	u64 pc;			/* valid between blocks */
	u64 gen;
	u64 sstatus, sie, stvec, scounteren, senvcfg, sscratch, sepc, scause, stval, satp, stimecmp;
	u64 time_offset;

	/* counting by mode: see count.c */
	u64 instret_u;		/* of finished stays in U */
	u64 mode_from;		/* instret when this stay began */
	u64 stops[RV_COUNTS];
	u32 stops_set;
	u64 unused_since;	/* instret when the last stop went */

	/* lr/sc: the reservation is the host address and the value that lr saw */
	u64 res_val;
	const void *res_host;
	u8 res_size;
	bool cas_locked;	/* inside of amocas.q on a host that needs a lock for it */

	struct rv_exit_info exit;
	struct {
		u8 rd, aux;
		bool pending;
	} mmio;
	struct {
		u8 rd;
		bool pending;
	} csr;			/* an access that the owner completes */
	/*
	 * Of vec, but here for those that look at every trap and entry. Fields done of a segment
	 * whose last one left the run as an MMIO exit: a trap forgets it, and the segment is done
	 * again as a whole, as the manual allows. And: the owner has set vl or vtype.
	 */
	u8 vec_field;
	bool vec_unsettled;

	u64 extensions;
	const struct cpu_phys_ops *phys;
	const struct rv_csr_ops *csrs;
	void *owner;
	struct sv_timer timer;
	u64 timer_armed;	/* the timer is set to this or will be looked at before; ~0: it is not */
	u64 timer_due;		/* BIT(RV_IRQ_STI) if it was, when last looked at */

	/* shared, atomic */
	u64 irq_lines;
	u32 requests;
	u32 running;
	u64 req_seq, done_seq;

	/* statistics */
	u64 tlb_misses, blocks_decoded, block_flushes, traps;

	/* address spaces */
	u64 group_satp[RV_GROUPS];
	bool group_live[RV_GROUPS];
	unsigned group_next;	/* first number never used since the last clearing */
	unsigned group;
	bool tlb_used;
	u64 jump_epoch;
	u64 super_lo[2], super_hi[2];	/* VA spans with entries cut from superpages; by sign of VA */
	u64 code_map[RV_CODE_MAP_BITS / 64];	/* pages that jumps[] may know, hashed */

	/* big and touched on demand (the hart is one anonymous mapping) */
	struct rv_phys_entry phys_cache[RV_PHYS_SIZE];
	struct rv_tlb tlb[RV_TLB_SIZE];
	u64 tlb_gpa[RV_TLB_SIZE];
	struct rv_jump jumps[RV_JUMP_SIZE];
	struct rv_block *hash[RV_HASH_SIZE];
	u8 *arena;
	size_t arena_used;

	struct rv_vec vec;	/* at the end: a hart without V never touches it */
};

#define RV_PAGE_MASK (~(SV_PAGE_SIZE - 1))

/* ------------------------------------------------------------- dispatch */

#if RV_TAIL_CALLS
#define DISPATCH(h, op) ((op)->fn((h), (op)))
#else
#define DISPATCH(h, op) (op)
#endif

static inline bool rv_has(const struct rv_hart *h, enum rv_ext e)
{
	return h->extensions & BIT(e);
}

static inline u64 rv_irq_mask(const struct rv_hart *h)
{
	u64 mask = BIT(RV_IRQ_SSI) | BIT(RV_IRQ_STI) | BIT(RV_IRQ_SEI);

	return rv_has(h, RV_EXT_SSCOFPMF) ? mask | BIT(RV_IRQ_LCOFI) : mask;
}

/* What a guest may change in sip. */
static inline u64 rv_sip_writable(const struct rv_hart *h)
{
	return rv_irq_mask(h) & (BIT(RV_IRQ_SSI) | BIT(RV_IRQ_LCOFI));
}

static inline u64 rv_op_pc(const struct rv_hart *h, const struct rv_op *op)
{
	return h->page_va + op->off;
}

/* ------------------------------------------------------------------ TLB */

static inline struct rv_tlb *rv_tlb_slot(struct rv_hart *h, u64 va)
{
	return &h->tlb[(va >> SV_PAGE_SHIFT) & (RV_TLB_SIZE - 1)];
}

/* Low bits of a misaligned address stay in, so it never matches. */
static inline u64 rv_tlb_key(const struct rv_hart *h, u64 va, unsigned size)
{
	return (va & (RV_PAGE_MASK | (size - 1))) | h->ctx;
}

/* ------------------------------------------------------------ block.c */

extern struct rv_block rv_unlinked;

/*
 * The block at the virtual address pc, ready to run, page_va set; NULL after a trap has
 * been taken or an exit been noted (h->pc then says where to go on).
 */
struct rv_block *rv_block_find(struct rv_hart *h, u64 pc);
struct rv_block *rv_block_single(struct rv_hart *h, u64 pc);
const struct rv_op *rv_jump_slow(struct rv_hart *h, u64 pc);
const struct rv_op *rv_link_slow(struct rv_hart *h, const struct rv_op *op, bool taken);
const struct rv_op *rv_leave_to(struct rv_hart *h, u64 pc);
void rv_blocks_flush(struct rv_hart *h);
int rv_blocks_init(struct rv_hart *h);
void rv_blocks_exit(struct rv_hart *h);
void rv_fence_i(struct rv_hart *h);
void rv_jumps_flush(struct rv_hart *h);

static inline struct rv_jump *rv_jump_slot(struct rv_hart *h, u64 pc)
{
	return &h->jumps[(pc >> 1) & (RV_JUMP_SIZE - 1)];
}

static inline const struct rv_op *rv_enter(struct rv_hart *h, struct rv_block *b)
{
	h->block = b;
	h->instret += b->n;
	return DISPATCH(h, b->ops);
}

static inline u64 rv_run_gen(const struct rv_hart *h)
{
	return __atomic_load_n(&h->run_gen, __ATOMIC_RELAXED);
}

static inline bool rv_attention(const struct rv_hart *h)
{
	return __atomic_load_n(h->attention, __ATOMIC_RELAXED) == 0;
}

/* An indirect jump. */
static inline const struct rv_op *rv_jump(struct rv_hart *h, u64 pc)
{
	struct rv_jump *j = rv_jump_slot(h, pc);

	if (unlikely(j->pc != pc || j->tag != h->jump_tag || j->block->gen != rv_run_gen(h) ||
		     rv_attention(h)))
		return rv_jump_slow(h, pc);
	h->page_va = pc & RV_PAGE_MASK;
	return rv_enter(h, j->block);
}

/* -------------------------------------------------------------- mmu.c */

struct rv_xlate {
	u64 gpa;
	u8 *host;		/* NULL: MMIO */
};
/*
 * Translates for one access of any size inside of a page, fills the TLB. 0; or a trap's
 * cause; or -1 after noting an exit.
 */
int rv_mmu_translate(struct rv_hart *h, u64 va, enum cpu_access access, struct rv_xlate *t);
const struct rv_op *rv_load_slow(struct rv_hart *h, const struct rv_op *op, u64 va);
const struct rv_op *rv_store_slow(struct rv_hart *h, const struct rv_op *op, u64 va, u64 val);
/* Host address for an AMO, LR or SC of size bytes at va; NULL after a trap or exit. */
void *rv_amo_addr(struct rv_hart *h, const struct rv_op *op, u64 va, unsigned size, bool lr);
/* After a host fault: gives up what amocas.q held. */
void rv_cas_release(struct rv_hart *h);
void rv_mmu_reset(struct rv_hart *h);
void rv_mmu_context(struct rv_hart *h);		/* after a change of priv, SUM or MXR */
void rv_mmu_satp(struct rv_hart *h);		/* after a change of satp */
void rv_mmu_flush_all(struct rv_hart *h);
void rv_mmu_flush_phys(struct rv_hart *h);
void rv_mmu_flush_asid(struct rv_hart *h, u64 asid);
void rv_mmu_flush_va(struct rv_hart *h, u64 va);

/* -------------------------------------------------------------- csr.c */

enum rv_csr_result { RV_CSR_OK, RV_CSR_CHECK, RV_CSR_END, RV_CSR_ILLEGAL, RV_CSR_OWNER };
/*
 * *old is what was read. CHECK: an interrupt may now be deliverable. END: translation changed.
 * OWNER: only the owner can answer, outside of the run.
 */
enum rv_csr_result rv_csr_access(struct rv_hart *h, unsigned csr, enum rv_csr_op op, u64 val,
				 u64 *old);
void rv_fp_update(struct rv_hart *h);
u64 rv_sip(const struct rv_hart *h);
void rv_timer_update(struct rv_hart *h);
u64 rv_time(const struct rv_hart *h);

/* ------------------------------------------------------------ count.c */

enum {
	RV_COUNT_NEAR_BITS = 40,	/* stops further away cost nothing yet */
	RV_COUNT_IDLE = 100000000,	/* instructions without a stop, after which blocks lose the op */
};
/* After a change of stops or privilege; instret is exact. */
void rv_count_update(struct rv_hart *h);
void rv_count_idle(struct rv_hart *h);
bool rv_count_serve(struct rv_hart *h);

/*
 * Between blocks. True: a stop is less than the longest block away, one instruction at a time
 * from here. At a stop its function is called.
 */
static inline bool rv_count_near(struct rv_hart *h)
{
	if (likely((h->count_stop - h->instret) >> RV_COUNT_NEAR_BITS))
		return false;
	return rv_count_serve(h);
}

/* Every change of privilege. instret is exact. */
static inline void rv_set_priv(struct rv_hart *h, u8 priv)
{
	if (h->priv == RV_U)
		h->instret_u += h->instret - h->mode_from;
	h->mode_from = h->instret;
	h->priv = priv;
	if (unlikely(h->stops_set))
		rv_count_update(h);
}

/* ------------------------------------------------------------- hart.c */

/* Takes a trap: sets pc and the trap CSRs. */
void rv_trap(struct rv_hart *h, u64 cause, u64 tval, u64 epc);
/* The three below end the block: each returns NULL, for the op to return. */
/* An exception by the instruction of op. */
const struct rv_op *rv_raise(struct rv_hart *h, const struct rv_op *op, u64 cause, u64 tval);
/* Leaves the run at op (its pc, not retired) with reason. */
const struct rv_op *rv_exit_at(struct rv_hart *h, const struct rv_op *op, enum rv_exit reason);
/* The same behind op, which has retired. */
const struct rv_op *rv_exit_after(struct rv_hart *h, const struct rv_op *op, enum rv_exit reason);
/* An interrupt that is pending, enabled and deliverable now: its number, else 0. */
unsigned rv_irq_deliverable(const struct rv_hart *h);

/* -------------------------------------------------------- decode_vec.c */

/* The vector opcodes: OP-V, OP-VE, and the vector half of LOAD-FP and STORE-FP. */
enum rv_decoded rv_decode_vec(const struct rv_hart *h, u32 insn, struct rv_op *op);

/* ------------------------------------------------------- ops_vec_cfg.c */

void rv_vec_reset(struct rv_hart *h);
/* Makes vl and vtype fit each other after the owner has set them. */
void rv_vec_settle(struct rv_hart *h);
bool rv_vec_csr_get(const struct rv_hart *h, unsigned csr, u64 *v);
bool rv_vec_csr_set(struct rv_hart *h, unsigned csr, u64 v);

/* ------------------------------------------------------- ops_vec_mem.c */

void rv_vec_mmio_done(struct rv_hart *h, u64 data);

/* ------------------------------------------------------------ decode.c */

enum rv_decoded { RV_DECODED, RV_DECODED_END, RV_DECODED_FP, RV_DECODED_FP_CLEAN, RV_DECODED_CSR };
/* Fills op from the (expanded) instruction; op->off, len and raw are set already. */
enum rv_decoded rv_decode(const struct rv_hart *h, u32 insn, struct rv_op *op);
/* Does the instruction round by frm? */
bool rv_decode_dynamic_rm(u32 insn);
/* A 16-bit instruction as its 32-bit equivalent; 0 if there is none. */
u32 rv_expand(const struct rv_hart *h, u16 insn);

#define RV_OP(name) const struct rv_op *rv_op_##name(struct rv_hart *h, const struct rv_op *op)
#define RV_OP_DECLARE(name) RV_OP(name);
#include "cpu/riscv/ops.h"

#endif
