// SPDX-License-Identifier: MIT
/*
 * Basic blocks: finding, decoding, checking against memory, linking, forgetting.
 *
 * Blocks live in an arena that is only ever emptied as a whole; links between blocks and
 * the jump cache therefore never dangle, since both die with it. A block whose bytes have
 * changed is marked dead (gen 0), which no comparison matches, and stays until then.
 */
#include <string.h>
#include <sys/mman.h>

#include "cpu/riscv/impl.h"

/* Where links point before they are made; its generation matches none. */
struct rv_block rv_unlinked = { .gen = ~0ull };

static struct rv_block **hash_slot(struct rv_hart *h, u64 gpa)
{
	return &h->hash[(gpa >> 1 ^ gpa >> 13) & (RV_HASH_SIZE - 1)];
}

int rv_blocks_init(struct rv_hart *h)
{
	void *p = mmap(NULL, RV_ARENA_SIZE, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (p == MAP_FAILED)
		return -1;
	h->arena = p;
	return 0;
}

void rv_blocks_exit(struct rv_hart *h)
{
	if (h->arena)
		munmap(h->arena, RV_ARENA_SIZE);
}

void rv_blocks_flush(struct rv_hart *h)
{
	if (!h->arena_used)
		return;
	memset(h->hash, 0, sizeof(h->hash));
	h->arena_used = 0;
	h->block_flushes++;
	rv_jumps_flush(h);
}

/* The order matters to a kick that comes in between: see hart.c. A step stays one. */
void rv_fence_i(struct rv_hart *h)
{
	h->gen++;
	__atomic_store_n(&h->run_gen, h->single_step ? 0 : h->gen, __ATOMIC_RELAXED);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	if (__atomic_load_n(&h->requests, __ATOMIC_RELAXED))
		__atomic_store_n(&h->run_gen, 0, __ATOMIC_RELAXED);
}

/* Guest code may be written by others while we read it; fence.i is what orders that. */
static inline u16 fetch16(const u8 *p)
{
	return __atomic_load_n((const u16 *)p, __ATOMIC_RELAXED);
}

static bool block_same(const struct rv_block *b)
{
	const u16 *copy = b->copy;
	unsigned n = b->host2 ? 1 : b->nbytes / 2u;

	for (unsigned i = 0; i < n; i++)
		if (fetch16(b->host + 2 * i) != copy[i])
			return false;
	return !b->host2 || fetch16(b->host2) == copy[1];
}

/* ---------------------------------------------------------------- decode */

struct builder {
	struct rv_hart *h;
	struct rv_op *ops;
	unsigned nr_ops;
	unsigned n;		/* instructions */
	bool fp_checked, fp_dirty_checked, rm_checked;
	u16 copy[RV_BLOCK_MAX * 2];
	unsigned nbytes;
};

static void push(struct builder *b, rv_op_fn fn, const struct rv_op *like)
{
	struct rv_op *op = &b->ops[b->nr_ops++];

	*op = *like;
	op->fn = fn;
}

/* A direct jump's links follow it in the place of an op. */
static void push_links(struct builder *b)
{
	struct rv_link *l = (struct rv_link *)&b->ops[b->nr_ops++];

	l->taken = &rv_unlinked;
	l->fall = &rv_unlinked;
}

/* One instruction. True if the block ends with it. */
static bool add_insn(struct builder *b, unsigned off, u32 raw, unsigned len)
{
	struct rv_op op = {
		.off = (u16)off, .len = (u8)len, .idx = (u8)b->n,
		.raw = len == 2 ? raw & 0xffff : raw,
	};
	u32 insn = len == 2 ? rv_expand(b->h, (u16)raw) : raw;
	enum rv_decoded d = rv_decode(b->h, insn, &op);

	if (d == RV_DECODED_FP && !b->fp_dirty_checked) {
		push(b, rv_op_fp_check, &op);
		b->fp_checked = b->fp_dirty_checked = true;
	} else if (d == RV_DECODED_FP_CLEAN && !b->fp_checked) {
		push(b, rv_op_fp_check_clean, &op);
		b->fp_checked = true;
	} else if (d == RV_DECODED_CSR) {
		/* It may have switched floating point off, or cleaned its state. */
		b->fp_checked = b->fp_dirty_checked = b->rm_checked = false;
	}
	if (!b->rm_checked && rv_decode_dynamic_rm(insn) && op.fn != rv_op_illegal) {
		push(b, rv_op_fp_dynamic_rm, &op);
		b->rm_checked = true;
	}
	push(b, op.fn, &op);
	b->n++;
	return d == RV_DECODED_END;
}

/*
 * The block at pc, whose first byte is at host. host2 is the next page's first byte, for
 * an instruction that straddles.
 */
static struct rv_block *build(struct rv_hart *h, u64 pc, u64 gpa, const u8 *host, const u8 *host2,
			      u64 gpa2, unsigned max)
{
	/* Two checks before each instruction at most; the count, a fall-through and the links. */
	size_t room = sizeof(struct rv_block) + (3 * RV_BLOCK_MAX + 3) * sizeof(struct rv_op) +
		      sizeof(((struct builder *)0)->copy);
	struct builder b = { .h = h };
	unsigned off = pc & ~RV_PAGE_MASK;
	struct rv_block *blk;
	bool ended = false;

	if (h->arena_used + room > RV_ARENA_SIZE)
		rv_blocks_flush(h);
	blk = (struct rv_block *)(h->arena + h->arena_used);
	b.ops = blk->ops;
	if (h->counting) {
		struct rv_op first = { .off = (u16)off };

		push(&b, rv_op_count, &first);
	}
	while (!ended && b.n < max) {
		const u8 *p = host + b.nbytes;
		unsigned at = off + b.nbytes, len;
		u32 raw;

		if (at >= SV_PAGE_SIZE)
			break;
		raw = fetch16(p);
		len = (raw & 3) == 3 ? 4 : 2;
		if (len == 4) {
			if (at + 4 > SV_PAGE_SIZE) {
				if (!host2)
					break;
				raw |= (u32)fetch16(host2) << 16;
			} else {
				raw |= (u32)fetch16(p + 2) << 16;
			}
			b.copy[b.nbytes / 2 + 1] = (u16)(raw >> 16);
		}
		b.copy[b.nbytes / 2] = (u16)raw;
		b.nbytes += len;
		ended = add_insn(&b, at, raw, len);
	}
	if (!ended) {
		struct rv_op end = b.ops[b.nr_ops - 1];

		push(&b, end.off + end.len < (int)SV_PAGE_SIZE ? rv_op_fall : rv_op_fall_far, &end);
	}
	push_links(&b);
	*blk = (struct rv_block){
		.gen = h->gen, .gpa = gpa, .host = host, .host2 = host2, .gpa2 = gpa2,
		.nbytes = (u16)b.nbytes, .n = (u16)b.n, .copy = (const u16 *)&b.ops[b.nr_ops],
	};
	memcpy(&b.ops[b.nr_ops], b.copy, b.nbytes);
	h->arena_used += ALIGN_UP((size_t)((const u8 *)blk->copy - (const u8 *)blk) + b.nbytes, 64);
	h->blocks_decoded++;
	return blk;
}

/* ------------------------------------------------------------------ find */

struct fetch {
	struct rv_xlate a, b;
	bool two;		/* the instruction straddles two pages */
};

/* Translates pc, and the next page if the instruction needs it. False: trapped or exited. */
static bool fetch_translate(struct rv_hart *h, u64 pc, struct fetch *f)
{
	u64 at = pc;
	int cause = rv_mmu_translate(h, pc, CPU_ACCESS_EXEC, &f->a);

	f->two = false;
	f->b.host = NULL;
	f->b.gpa = 0;
	if (!cause && (pc & ~RV_PAGE_MASK) == SV_PAGE_SIZE - 2 && (fetch16(f->a.host) & 3) == 3) {
		f->two = true;
		at = pc + 2;
		cause = rv_mmu_translate(h, at, CPU_ACCESS_EXEC, &f->b);
	}
	h->pc = pc;
	if (cause > 0)
		rv_trap(h, (u64)cause, at, pc);
	return !cause;
}

static void code_map_add(struct rv_hart *h, u64 va)
{
	u64 vpn = va >> SV_PAGE_SHIFT;

	h->code_map[vpn / 64 % ARRAY_SIZE(h->code_map)] |= BIT(vpn % 64);
}

static struct rv_block *hash_find(struct rv_hart *h, u64 gpa, const struct fetch *f)
{
	struct rv_block **slot = hash_slot(h, gpa), *b;

	while ((b = *slot)) {
		if (b->gpa == gpa && (b->host2 != NULL) == f->two && (!f->two || b->gpa2 == f->b.gpa)) {
			if (b->gen == h->gen || block_same(b)) {
				b->gen = h->gen;
				return b;
			}
			b->gen = 0;
			*slot = b->next;
			return NULL;
		}
		slot = &b->next;
	}
	return NULL;
}

struct rv_block *rv_block_find(struct rv_hart *h, u64 pc)
{
	struct rv_jump *j = rv_jump_slot(h, pc);
	struct rv_block *b;
	struct fetch f;

	h->fault_op = NULL;
	h->pc = pc;
	if (j->pc == pc && j->tag == h->jump_tag && j->block->gen == h->gen) {
		h->page_va = pc & RV_PAGE_MASK;
		return j->block;
	}
	if (!fetch_translate(h, pc, &f))
		return NULL;
	b = hash_find(h, f.a.gpa, &f);
	if (!b) {
		struct rv_block **slot;

		b = build(h, pc, f.a.gpa, f.a.host, f.two ? f.b.host : NULL, f.b.gpa,
			  f.two ? 1 : RV_BLOCK_MAX);
		slot = hash_slot(h, f.a.gpa);
		b->next = *slot;
		*slot = b;
	}
	j->pc = pc;
	j->tag = h->jump_tag;
	j->block = b;
	code_map_add(h, pc);
	if (f.two)
		code_map_add(h, pc + 2);
	h->page_va = pc & RV_PAGE_MASK;
	return b;
}

/* A block of the one instruction at pc, for single steps; it is not found again. */
struct rv_block *rv_block_single(struct rv_hart *h, u64 pc)
{
	struct rv_block *b;
	struct fetch f;

	h->fault_op = NULL;
	if (!fetch_translate(h, pc, &f))
		return NULL;
	b = build(h, pc, f.a.gpa, f.a.host, f.two ? f.b.host : NULL, f.b.gpa, 1);
	b->gen = 0;
	h->page_va = pc & RV_PAGE_MASK;
	return b;
}

const struct rv_op *rv_leave_to(struct rv_hart *h, u64 pc)
{
	h->pc = pc;
	return NULL;
}

/* To the driver if somebody wants attention, else to the block at pc. */
static inline struct rv_block *go(struct rv_hart *h, u64 pc)
{
	if (rv_run_gen(h) != h->gen || rv_attention(h)) {
		h->pc = pc;
		return NULL;
	}
	return rv_block_find(h, pc);
}

const struct rv_op *rv_jump_slow(struct rv_hart *h, u64 pc)
{
	struct rv_block *b = go(h, pc);

	return b ? rv_enter(h, b) : NULL;
}

const struct rv_op *rv_link_slow(struct rv_hart *h, const struct rv_op *op, bool taken)
{
	struct rv_link *l = (struct rv_link *)(uintptr_t)(op + 1);
	s64 off = taken ? op->imm : op->off + op->len;
	u64 flushes = h->block_flushes;
	u64 pc = h->page_va + (u64)off;
	struct rv_block *b = go(h, pc);

	if (!b)
		return NULL;
	/*
	 * Within the page the mapping is the one we run in, so a link is always right. Not so
	 * for what straddles into the next; and op itself is gone if the arena was emptied.
	 */
	if (off >= 0 && off < (s64)SV_PAGE_SIZE && !b->host2 && flushes == h->block_flushes) {
		if (taken)
			l->taken = b;
		else
			l->fall = b;
	}
	return rv_enter(h, b);
}
