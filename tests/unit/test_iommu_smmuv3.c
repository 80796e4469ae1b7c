/* SPDX-License-Identifier: MIT */
/*
 * SMMUv3's walk: what each field of STE, CD and descriptors does, and every word of every event
 * record; memory that anybody may be writing to.
 */
#include "unit.h"

#include <stdlib.h>

#include "base/alloc.h"
#include "base/err.h"
#include "base/guard.h"
#include "base/sync.h"
#include "iommu/smmuv3.h"
#include "smmuv3_guest.h"
#include "softvirt/uapi/iommufd.h"

#define VA 0x12345000ull
#define TAGGED (0xaaull << 56 | VA)
#define HOLE 0x80000000ull	/* mapped, but nothing is there */
#define REGS 0x90000000ull	/* registers of a device */
#define READ_ONLY 0xa0000000ull	/* the guest's memory once more, not to be written */

static struct iommu_dev dev = {
	.dev.init_name = "test", .iommu = &smmuv3_iommu_ops, .max_pasids = 1024,
};
static struct iommu_domain *parent;
static struct guest g;
static u64 ste[2], cd, root, page;
static void *hole;

static void put_default(void)
{
	g.next = GUEST_IPA;
	cd = guest_alloc(&g, 4096);
	root = guest_alloc(&g, 4096);
	page = guest_alloc(&g, 4096);
	guest_cd(&g, cd, G_CD | G_CD_T0SZ(48), root, 0);
	guest_page(&g, root, VA, page, G_RW);
	ste[0] = G_STE_V | G_STE_S1 | cd;
	ste[1] = 0;
}

static int setup(void **state)
{
	int rw = IOMMU_READ | IOMMU_WRITE;

	assert_int_equal(sv_guard_init(), 0);
	assert_int_equal(iommu_dev_init(&dev, 4242), 0);
	parent = smmuv3_iommu_ops.domain_alloc_paging(&dev, IOMMU_HWPT_ALLOC_DIRTY_TRACKING, NULL);
	assert_false(IS_ERR(parent));
	guest_init(&g);
	hole = mmap(NULL, 1 << 20, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	assert_int_equal(iommu_map(parent, GUEST_IPA, (u64)g.mem, GUEST_SIZE, rw), 0);
	assert_int_equal(iommu_map(parent, HOLE, (u64)hole, 1 << 20, rw), 0);
	assert_int_equal(iommu_map(parent, REGS, (u64)hole, 1 << 20, rw | IOMMU_MMIO), 0);
	assert_int_equal(iommu_map(parent, READ_ONLY, (u64)g.mem, GUEST_SIZE, IOMMU_READ), 0);
	return 0;
}

static int teardown(void **state)
{
	parent->ops->free(parent);
	iommu_dev_fini(&dev);
	guest_fini(&g);
	munmap(hole, 1 << 20);
	return 0;
}

static struct smmuv3_result walk(struct smmuv3_access a)
{
	struct soft_requester *rq = dev.iommu_priv;
	struct smmuv3_result r;

	sv_mutex_lock(&rq->dma_lock);
	smmuv3_walk(soft_domain_of(parent), ste, &a, &r);
	sv_mutex_unlock(&rq->dma_lock);
	return r;
}

#define READ(va) ((struct smmuv3_access){ .iova = (va) })
#define WRITE(va) ((struct smmuv3_access){ .iova = (va), .write = true })
#define WITH_SSID(va, n) ((struct smmuv3_access){ .iova = (va), .ssv = true, .ssid = (n) })

static void expect_ok(struct smmuv3_access a, u64 ipa, u64 size, u32 prot)
{
	struct smmuv3_result r = walk(a);

	assert_int_equal(r.outcome, SMMUV3_OK);
	assert_int_equal(r.fault, EVT_NONE);
	assert_false(r.bypass);
	assert_int_equal(r.gpa, ipa);
	assert_int_equal(r.size, size);
	assert_int_equal(r.prot, prot);
}

/* The whole record. */
static void expect_event(struct smmuv3_access a, u64 w0, u64 w1, u64 w2, u64 w3)
{
	struct smmuv3_result r = walk(a);

	assert_int_equal(r.outcome, SMMUV3_ABORT);
	assert_true(r.recorded);
	assert_int_equal(r.rec[0], w0);
	assert_int_equal(r.rec[1], w1);
	assert_int_equal(r.rec[2], w2);
	assert_int_equal(r.rec[3], w3);
}

#define RNW (1ull << 35)
#define S2 (1ull << 39)
#define CLASS_TT (1ull << 40)
#define CLASS_IN (2ull << 40)
#define TTRNW (1ull << 44)
#define SSV(n) (1ull << 11 | (u64)(n) << 12)
#define RW_ (PT_READ | PT_WRITE)

static void test_each_granule_and_level(void **state)
{
	static const struct { unsigned granule, tg0, tg1; } gran[] = {
		{ 12, 0, 2 }, { 14, 2, 1 }, { 16, 1, 3 },
	};

	for (unsigned k = 0; k < ARRAY_SIZE(gran); k++) {
		unsigned granule = gran[k].granule, stride = granule - 3;

		for (unsigned bits = 25; bits <= 48; bits++) {
			for (unsigned level = guest_level(granule, bits); level <= 3; level++) {
				unsigned shift = granule + stride * (3 - level);
				u64 va = 0x5a5a5a5a5a5aull & ((1ull << bits) - 1), out = 1ull << 46;
				bool block = level == 2 || (level == 1 && granule == 12);
				u64 leaf = out | G_RW | (level == 3 ? G_PAGE : 0);

				put_default();
				root = guest_alloc(&g, 1ull << granule);
				guest_map(&g, root, granule, bits, va, level, leaf);
				/* As the lower half's tree, and as the upper one's. */
				guest_cd(&g, cd, G_CD | G_CD_T0SZ(bits) | gran[k].tg0 << 6, root, 0);
				if (level < 3 && !block)
					expect_event(READ(va), EVT_F_TRANSLATION, CLASS_IN | RNW, va, 0);
				else
					expect_ok(READ(va), out, 1ull << shift, RW_);
				if (level < 3 && !block)
					continue;
				guest_cd(&g, cd, (G_CD & ~G_CD_EPD(1)) | G_CD_EPD(0) | G_CD_T1SZ(bits) |
					 (u64)gran[k].tg1 << 22, 0, root);
				va |= ~((1ull << bits) - 1);
				expect_ok(WRITE(va), out, 1ull << shift, RW_);
			}
		}
	}
}

static void test_addresses_outside_of_the_trees(void **state)
{
	put_default();
	guest_cd(&g, cd, G_CD | G_CD_T0SZ(40), root, 0);
	expect_event(READ(1ull << 40), EVT_F_TRANSLATION, CLASS_IN | RNW, 1ull << 40, 0);
	expect_event(WRITE(1ull << 54), EVT_F_TRANSLATION, CLASS_IN, 1ull << 54, 0);
	/* The upper half is disabled. */
	expect_event(READ(~0ull), EVT_F_TRANSLATION, CLASS_IN | RNW, ~0ull, 0);
	guest_cd(&g, cd, (G_CD & ~G_CD_EPD(1)) | G_CD_EPD(0) | G_CD_T1SZ(40) | 2ull << 22, 0, root);
	expect_event(READ(0), EVT_F_TRANSLATION, CLASS_IN | RNW, 0, 0);
	expect_event(READ(~0ull << 41), EVT_F_TRANSLATION, CLASS_IN | RNW, ~0ull << 41, 0);
	/* The top byte is part of the address, or not. */
	put_default();
	expect_event(READ(TAGGED), EVT_F_TRANSLATION, CLASS_IN | RNW, TAGGED, 0);
	guest_cd(&g, cd, G_CD | G_CD_T0SZ(48) | G_CD_TBI(0), root, 0);
	expect_ok(READ(TAGGED), page, 4096, RW_);
	expect_event(READ(1ull << 48 | VA), EVT_F_TRANSLATION, CLASS_IN | RNW, 1ull << 48 | VA, 0);
	guest_cd(&g, cd, G_CD | G_CD_T0SZ(48) | G_CD_TBI(1), root, 0);
	expect_event(READ(TAGGED), EVT_F_TRANSLATION, CLASS_IN | RNW, TAGGED, 0);
}

/* Each way for a CD to be illegal; with a tree disabled its fields don't matter. */
static void test_illegal_cds(void **state)
{
	static const struct { u64 clear, set; bool ttb; } cases[] = {
		{ G_CD_V, 0 }, { G_CD_AA64, 0 }, { 0, 1ull << 15 }, { 0, 1ull << 44 }, { 0x3f, 15 },
		{ 0x3f, 40 }, { 0x3f, 0 }, { 0, 3 << 6 }, { G_CD_IPS(7), G_CD_IPS(0), true },
		{ G_CD_IPS(7), G_CD_IPS(4), true },
		{ G_CD_EPD(1), 15 << 16 | 2 << 22 }, { G_CD_EPD(1), 16 << 16 },
	};

	put_default();
	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		u64 word0 = ((G_CD | G_CD_T0SZ(48)) & ~cases[i].clear) | cases[i].set;

		guest_cd(&g, cd, word0, root | (cases[i].ttb ? 1ull << 47 : 0), 0);
		expect_event(WRITE(VA), EVT_C_BAD_CD, 0, 0, 0);
	}
	guest_cd(&g, cd, G_CD | G_CD_T0SZ(48) | 15 << 16, root, ~0ull);
	expect_ok(READ(VA), page, 4096, RW_);
	/* Larger than there is: as much as there is. */
	guest_cd(&g, cd, G_CD | G_CD_T0SZ(48) | G_CD_IPS(7), root, 0);
	expect_ok(READ(VA), page, 4096, RW_);
}

static void test_permissions(void **state)
{
	u64 upper = root;

	put_default();
	guest_page(&g, root, VA, page, G_RW | G_RO);
	expect_ok(READ(VA), page, 4096, PT_READ);
	expect_event(WRITE(VA + 8), EVT_F_PERMISSION, CLASS_IN, VA + 8, 0);
	guest_page(&g, root, VA, page, G_RW & ~G_AP1);
	expect_event(READ(VA), EVT_F_PERMISSION, CLASS_IN | RNW, VA, 0);
	/* What tables on the way say, unless it is not to be heard. */
	guest_page(&g, root, VA, page, G_RW);
	upper = root + (VA >> 39) * 8;
	guest_put(&g, upper, *guest_word(&g, upper) | 1ull << 62);
	expect_ok(READ(VA), page, 4096, PT_READ);
	expect_event(WRITE(VA), EVT_F_PERMISSION, CLASS_IN, VA, 0);
	guest_put(&g, cd + 8, root | 2);
	expect_ok(WRITE(VA), page, 4096, RW_);
	guest_put(&g, cd + 8, root);
	guest_put(&g, upper, (*guest_word(&g, upper) & ~(1ull << 62)) | 1ull << 61);
	expect_event(READ(VA), EVT_F_PERMISSION, CLASS_IN | RNW, VA, 0);
}

static void test_descriptors(void **state)
{
	u64 at;

	put_default();
	expect_event(READ(VA + 4096), EVT_F_TRANSLATION, CLASS_IN | RNW, VA + 4096, 0);
	at = guest_page(&g, root, VA, page, G_RW);
	guest_put(&g, at, page | G_RW);			/* no page: reserved */
	expect_event(READ(VA), EVT_F_TRANSLATION, CLASS_IN | RNW, VA, 0);
	/* Beyond CD.IPS: a leaf, a table. */
	guest_cd(&g, cd, (G_CD & ~G_CD_IPS(7)) | G_CD_T0SZ(48), root, 0);
	guest_put(&g, at, 1ull << 32 | G_RW | G_PAGE);
	expect_event(WRITE(VA), EVT_F_ADDR_SIZE, CLASS_IN, VA, 0);
	guest_map(&g, root, 12, 48, VA, 2, 1ull << 40 | G_TABLE);
	expect_event(READ(VA), EVT_F_ADDR_SIZE, CLASS_IN | RNW, VA, 0);
}

static void test_access_flag_and_dirty_state(void **state)
{
	u64 at;

	put_default();
	at = guest_page(&g, root, VA, page, G_RW & ~G_AF);
	expect_event(READ(VA), EVT_F_ACCESS, CLASS_IN | RNW, VA, 0);
	guest_put(&g, cd, G_CD | G_CD_T0SZ(48) | G_CD_AFFD);
	expect_ok(READ(VA), page, 4096, RW_);
	assert_false(*guest_word(&g, at) & G_AF);
	guest_put(&g, cd, G_CD | G_CD_T0SZ(48) | G_CD_HA);
	expect_ok(READ(VA), page, 4096, RW_);
	assert_int_equal(*guest_word(&g, at), page | G_PAGE | G_RW);
	/* Writable but clean: a write makes it dirty, a read doesn't, and knows it as not writable. */
	guest_put(&g, at, page | G_PAGE | G_RW | G_RO | G_DBM);
	expect_event(WRITE(VA), EVT_F_PERMISSION, CLASS_IN, VA, 0);
	guest_put(&g, cd, G_CD | G_CD_T0SZ(48) | G_CD_HD);	/* without HA: nothing */
	expect_event(WRITE(VA), EVT_F_PERMISSION, CLASS_IN, VA, 0);
	guest_put(&g, cd, G_CD | G_CD_T0SZ(48) | G_CD_HA | G_CD_HD);
	expect_ok(READ(VA), page, 4096, PT_READ);
	assert_true(*guest_word(&g, at) & G_RO);
	expect_ok(WRITE(VA), page, 4096, RW_);
	assert_int_equal(*guest_word(&g, at), page | G_PAGE | G_RW | G_DBM);
	/* Not what a fault was about. */
	guest_put(&g, at, page | G_PAGE | (G_RW & ~G_AF) | G_RO);
	expect_event(WRITE(VA), EVT_F_PERMISSION, CLASS_IN, VA, 0);
	assert_false(*guest_word(&g, at) & G_AF);
	guest_put(&g, at, page | G_PAGE | ((G_RW & ~G_AF) & ~G_AP1));
	expect_event(READ(VA), EVT_F_PERMISSION, CLASS_IN | RNW, VA, 0);
}

struct bits {
	u64 pages;
};

static void count_dirty(void *arg, u64 iova, u64 len)
{
	((struct bits *)arg)->pages |= 1ull << ((iova - GUEST_IPA) / 4096);
}

/* What the walk writes is the parent's dirty memory. */
static void test_dirty_tables(void **state)
{
	struct bits b = { 0 };
	u64 at;

	put_default();
	at = guest_page(&g, root, VA, page, G_RW & ~G_AF);
	guest_put(&g, cd, G_CD | G_CD_T0SZ(48) | G_CD_HA);
	assert_int_equal(parent->dirty_ops->set_dirty_tracking(parent, true), 0);
	expect_ok(READ(VA), page, 4096, RW_);
	expect_ok(READ(VA), page, 4096, RW_);
	assert_int_equal(parent->dirty_ops->read_and_clear_dirty(parent, GUEST_IPA, 64 * 4096, false,
								 count_dirty, &b), 0);
	assert_int_equal(b.pages, 1ull << ((at - GUEST_IPA) / 4096));
	assert_int_equal(parent->dirty_ops->set_dirty_tracking(parent, false), 0);
}

static void test_faults_without_record_or_abort(void **state)
{
	struct smmuv3_result r;

	put_default();
	guest_put(&g, cd, (G_CD & ~G_CD_R) | G_CD_T0SZ(48));
	r = walk(READ(0));
	assert_int_equal(r.outcome, SMMUV3_ABORT);
	assert_false(r.recorded);
	assert_false(smmuv3_event_is_guests(&r));
	guest_put(&g, cd, (G_CD & ~G_CD_A) | G_CD_T0SZ(48));
	r = walk(READ(0));
	assert_int_equal(r.outcome, SMMUV3_RAZ_WI);
	assert_true(smmuv3_event_is_guests(&r));
	/* Errors of the configuration abort and are recorded, whatever these bits say. */
	guest_put(&g, cd, (G_CD & ~(G_CD_A | G_CD_R | G_CD_AA64)) | G_CD_T0SZ(48));
	expect_event(READ(VA), EVT_C_BAD_CD, 0, 0, 0);
}

static void test_stes(void **state)
{
	struct smmuv3_result r;

	put_default();
	ste[0] = G_STE_V | G_STE_ABORT;
	for (unsigned i = 0; i < 2; i++) {
		r = walk(READ(VA));
		assert_int_equal(r.outcome, SMMUV3_ABORT);
		assert_false(r.recorded);
		ste[0] = 0;
	}
	ste[0] = G_STE_V | G_STE_BYPASS;
	r = walk(WRITE(GUEST_IPA));
	assert_int_equal(r.outcome, SMMUV3_OK);
	assert_true(r.bypass);
	expect_event(WITH_SSID(VA, 7), EVT_C_BAD_SUBSTREAMID | 7 << 12, 0, 0, 0);
	/* Illegal: stalls; more substreams than there are; a format that isn't. */
	ste[0] = G_STE_V | G_STE_S1 | cd;
	ste[1] = 1ull << 27;
	expect_event(READ(VA), EVT_C_BAD_STE, 0, 0, 0);
	ste[1] = 0;
	ste[0] = G_STE_V | G_STE_S1 | G_STE_CDMAX(21) | cd;
	expect_event(WITH_SSID(VA, 3), EVT_C_BAD_STE | SSV(3), 0, 0, 0);
	ste[0] = G_STE_V | G_STE_S1 | G_STE_CDMAX(1) | G_STE_FMT(3) | cd;
	expect_event(READ(VA), EVT_C_BAD_STE, 0, 0, 0);
	ste[0] = G_STE_V | G_STE_S1 | G_STE_FMT(3) | cd;	/* no table of CDs: no format */
	expect_ok(READ(VA), page, 4096, RW_);
}

/* S1DSS for what has no SubstreamID, S1CDMax for what has one. */
static void test_substreams(void **state)
{
	u64 table, other, root2;

	put_default();
	expect_event(WITH_SSID(VA, 0), EVT_C_BAD_SUBSTREAMID, 0, 0, 0);
	expect_event(WITH_SSID(VA, 5), EVT_C_BAD_SUBSTREAMID | 5 << 12, 0, 0, 0);
	table = guest_alloc(&g, 4096);
	root2 = guest_alloc(&g, 4096);
	other = guest_alloc(&g, 4096);
	guest_page(&g, root2, VA, other, G_RW);
	guest_cd(&g, table, G_CD | G_CD_T0SZ(48), root, 0);
	guest_cd(&g, table + 5 * 64, G_CD | G_CD_T0SZ(48), root2, 0);
	ste[0] = G_STE_V | G_STE_S1 | G_STE_CDMAX(3) | table;
	for (u64 dss = 0; dss < 4; dss++) {
		ste[1] = dss;
		expect_ok(WITH_SSID(VA, 5), other, 4096, RW_);
		expect_event(WITH_SSID(VA, 8), EVT_C_BAD_SUBSTREAMID | 8 << 12, 0, 0, 0);
		expect_event(WITH_SSID(VA, 4), EVT_C_BAD_CD | SSV(4), 0, 0, 0);
		expect_event(WITH_SSID(0, 5), EVT_F_TRANSLATION | SSV(5), CLASS_IN | RNW, 0, 0);
		if (dss == 2)
			expect_event(WITH_SSID(VA, 0), EVT_C_BAD_SUBSTREAMID, 0, 0, 0);
		else
			expect_ok(WITH_SSID(VA, 0), page, 4096, RW_);
		if (dss == 1)
			assert_true(walk(READ(VA)).bypass);
		else if (dss == 2)
			expect_ok(READ(VA), page, 4096, RW_);
		else
			expect_event(READ(VA), EVT_F_STREAM_DISABLED, 0, 0, 0);
	}
}

static void test_two_levels_of_cds(void **state)
{
	static const struct { unsigned fmt, bits; } formats[] = { { 1, 6 }, { 2, 10 } };

	for (unsigned i = 0; i < 2; i++) {
		u32 ssid = 3u << formats[i].bits | 41;
		u64 l1, leaf;

		put_default();
		l1 = guest_alloc(&g, 4096);
		leaf = guest_alloc(&g, 64ull << formats[i].bits);
		guest_put(&g, l1 + 3 * 8, leaf | 1);
		guest_cd(&g, leaf + 41 * 64, G_CD | G_CD_T0SZ(48), root, 0);
		ste[0] = G_STE_V | G_STE_S1 | G_STE_CDMAX(formats[i].bits + 2) |
			 G_STE_FMT(formats[i].fmt) | l1;
		expect_ok(WITH_SSID(VA, ssid), page, 4096, RW_);
		expect_event(WITH_SSID(VA, ssid + 1), EVT_C_BAD_CD | SSV(ssid + 1), 0, 0, 0);
		expect_event(WITH_SSID(VA, 1), EVT_C_BAD_SUBSTREAMID | 1 << 12, 0, 0, 0);
		guest_put(&g, l1 + 3 * 8, HOLE | 1);
		expect_event(WITH_SSID(VA, ssid), EVT_F_CD_FETCH | SSV(ssid), 0, 0, HOLE + 41 * 64);
	}
}

/* What the second stage or the memory behind it says no to; none of it is the guest's to hear. */
static void test_fetches(void **state)
{
	struct smmuv3_result r;
	u64 at;

	put_default();
	ste[0] = G_STE_V | G_STE_S1 | 0x1000;
	expect_event(WRITE(VA), EVT_F_TRANSLATION, S2, VA, 0x1000);
	ste[0] = G_STE_V | G_STE_S1 | (1ull << 51) | 0x40;
	expect_event(WRITE(VA), EVT_F_TRANSLATION, S2, VA, 1ull << 51);
	ste[0] = G_STE_V | G_STE_S1 | REGS;
	expect_event(READ(VA), EVT_F_CD_FETCH, 0, 0, REGS);
	ste[0] = G_STE_V | G_STE_S1 | (HOLE + 64);
	expect_event(READ(VA), EVT_F_CD_FETCH, 0, 0, HOLE + 64);
	r = walk(READ(VA));
	assert_true(r.table_gone);
	assert_false(smmuv3_event_is_guests(&r));
	ste[0] = G_STE_V | G_STE_S1 | cd;
	at = root + (VA >> 39) * 8;
	guest_put(&g, at, 0x5000 | G_TABLE);
	expect_event(READ(VA), EVT_F_TRANSLATION, S2 | CLASS_TT | RNW, VA, 0x5000);
	r = walk(READ(VA));
	assert_false(smmuv3_event_is_guests(&r));
	guest_put(&g, at, HOLE | G_TABLE);
	expect_event(WRITE(VA), EVT_F_WALK_EABT, CLASS_TT, VA, HOLE + (VA >> 30 & 511) * 8);
	/* Tables may lie in memory that is read-only, but an access flag then can't be set. */
	put_default();
	at = guest_page(&g, root, VA, page, G_RW & ~G_AF);
	guest_cd(&g, cd, G_CD | G_CD_T0SZ(48) | G_CD_HA, root, 0);
	guest_map(&g, root, 12, 48, VA, 2, ((at & ~4095ull) - GUEST_IPA + READ_ONLY) | G_TABLE);
	expect_event(READ(VA), EVT_F_PERMISSION, S2 | CLASS_TT | RNW, VA,
		     (at & ~4095ull) - GUEST_IPA + READ_ONLY);
	guest_put(&g, at, page | G_PAGE | G_RW);
	expect_ok(READ(VA), page, 4096, RW_);
}

/* Noise for tables, configurations and addresses: a translation or a fault, and only IPAs come out. */
static void test_random_memory(void **state)
{
	u64 seed = 11, ok = 0, faults = 0;

	put_default();
	for (unsigned i = 0; i < 60000; i++) {
		struct smmuv3_access a = { .iova = unit_rand(&seed) };
		struct smmuv3_result r;

		a.ssid = (u32)unit_rand(&seed) & 0xff;

		if (!(i % 64)) {
			for (u64 at = GUEST_IPA; at < GUEST_IPA + 16 * 4096; at += 8) {
				u64 v = unit_rand(&seed);

				/* Mostly pointing at itself, so that walks go deep. */
				if (v & 0xf00)
					v = (v & 0xfff0000000000fffull) |
					    (GUEST_IPA + (v >> 20 & 15) * 4096);
				guest_put(&g, at, v | (v & 0x30 ? 3 : 0));
			}
			guest_put(&g, GUEST_IPA,
				  (unit_rand(&seed) & 0xffff0c0f3f3f00ffull) | G_CD | 16);
		}
		a.iova &= unit_rand(&seed) & 1 ? ~0ull : (1ull << 40) - 1;
		a.ssv = unit_rand(&seed) & 1;
		a.write = unit_rand(&seed) & 1;
		ste[0] = (unit_rand(&seed) & 0xf800000000000031ull) | G_STE_V | G_STE_S1 |
			 (GUEST_IPA + (unit_rand(&seed) & 3) * 4096);
		if (unit_rand(&seed) & 1)
			ste[0] &= ~G_STE_CDMAX(31);
		ste[1] = unit_rand(&seed) & 0x33;
		r = walk(a);
		if (r.outcome == SMMUV3_OK) {
			assert_true(r.bypass || !(r.gpa >> 48));
			ok++;
		} else {
			faults++;
		}
	}
	assert_true(ok > 100);
	assert_true(faults > 1000);
}

/* Another CPU of the guest, in the middle of everything. */
static unsigned stop;

static void *scribble(void *arg)
{
	u64 seed = 99;

	while (!__atomic_load_n(&stop, __ATOMIC_ACQUIRE)) {
		u64 at = GUEST_IPA + (unit_rand(&seed) & 0x1fff) * 8, v = unit_rand(&seed);

		guest_put(&g, at, v & 1 ? v : (v & 0xfff) | (GUEST_IPA + (v >> 20 & 15) * 4096) | 3);
		if (!(v & 0xff00))
			guest_cd(&g, cd, G_CD | G_CD_T0SZ(48) | G_CD_HA | G_CD_HD, root, 0);
	}
	return NULL;
}

static void *invalidate(void *arg)
{
	struct soft_domain *dom = soft_domain_of(parent);

	while (!__atomic_load_n(&stop, __ATOMIC_ACQUIRE)) {
		sv_mutex_lock(&dom->lock);
		soft_invalidate(dom);
		sv_mutex_unlock(&dom->lock);
		iommu_unmap(parent, 1ull << 40, 4096);
		assert_int_equal(iommu_map(parent, 1ull << 40, (u64)g.mem, 4096, IOMMU_READ), 0);
	}
	return NULL;
}

static void test_changing_under_the_walk(void **state)
{
	struct sv_thread t[2];
	u64 seed = 5;

	put_default();
	stop = 0;
	assert_int_equal(sv_thread_create(&t[0], "guest", scribble, NULL), 0);
	assert_int_equal(sv_thread_create(&t[1], "inval", invalidate, NULL), 0);
	for (unsigned i = 0; i < 30000; i++) {
		struct smmuv3_result r = walk((struct smmuv3_access){
			.iova = unit_rand(&seed) & ((1ull << 48) - 1), .write = i & 1 });

		assert_true(r.outcome != SMMUV3_OK || !(r.gpa >> 48));
	}
	__atomic_store_n(&stop, 1, __ATOMIC_RELEASE);
	sv_thread_join(&t[0]);
	sv_thread_join(&t[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_each_granule_and_level),
		cmocka_unit_test(test_addresses_outside_of_the_trees),
		cmocka_unit_test(test_illegal_cds),
		cmocka_unit_test(test_permissions),
		cmocka_unit_test(test_descriptors),
		cmocka_unit_test(test_access_flag_and_dirty_state),
		cmocka_unit_test(test_dirty_tables),
		cmocka_unit_test(test_faults_without_record_or_abort),
		cmocka_unit_test(test_stes),
		cmocka_unit_test(test_substreams),
		cmocka_unit_test(test_two_levels_of_cds),
		cmocka_unit_test(test_fetches),
		cmocka_unit_test(test_random_memory),
		cmocka_unit_test(test_changing_under_the_walk),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
