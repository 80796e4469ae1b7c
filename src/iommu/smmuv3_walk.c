/* SPDX-License-Identifier: MIT */
/*
 * What SMMUv3 hardware does with an access by a guest's STE: context descriptor, stage 1 tables,
 * event record. Arm IHI 0070 ("manual"), and the Arm ARM's VMSAv8-64 for the tables.
 *
 * Everything it reads is the guest's memory, by IPA, through the parent (soft_table_read): each word
 * once, under dma_lock. Nothing is trusted and nothing kept, so whatever the guest writes, at any time,
 * ends in a translation, or a fault; only IPAs that the parent has are reached.
 *
 * Order of checks is the manual's (3.x, 7.3): STE, substream, CD fetch, CD, input address, then
 * per level: descriptor valid, its address in range; at the leaf: access flag, permission.
 */
#include "iommu/smmuv3.h"

struct walk {
	struct soft_domain *parent;
	const struct smmuv3_access *access;
	struct smmuv3_result *r;
	u64 cd[3];
	unsigned ips;			/* bits of an IPA, by CD.IPS and IDR5.OAS */
};

/* One of the two table trees of a CD. */
struct tree {
	unsigned granule;		/* log2 */
	unsigned bits;			/* of an input address */
	u64 base;
	bool had;			/* hierarchical permissions are ignored */
};

/* How a step ended. FAULT: r has it. AGAIN: the guest changed a descriptor that was to be updated. */
enum step { STEP_OK, STEP_FAULT, STEP_AGAIN };

static u64 record_head(const struct walk *w, enum smmuv3_event fault)
{
	const struct smmuv3_access *a = w->access;

	switch (fault) {
	case EVT_F_STREAM_DISABLED:
		return fault;
	case EVT_C_BAD_SUBSTREAMID:
		return fault | (u64)a->ssid << EVT0_SSID_SHIFT;
	default:
		return fault | (a->ssv ? EVT0_SSV | (u64)a->ssid << EVT0_SSID_SHIFT : 0);
	}
}

/* Errors of the configuration: always recorded, always an abort. */
static enum step bad_config(struct walk *w, enum smmuv3_event fault)
{
	w->r->outcome = SMMUV3_ABORT;
	w->r->fault = fault;
	w->r->recorded = true;
	w->r->rec[0] = record_head(w, fault);
	return STEP_FAULT;
}

/* With the fields of a fault in a translation (manual 7.3.12 to 7.3.16). */
static enum step bad_access(struct walk *w, enum smmuv3_event fault, u64 word1, u64 word3)
{
	struct smmuv3_result *r = w->r;

	bad_config(w, fault);
	r->rec[1] = word1 | (w->access->write ? 0 : EVT1_RNW);
	r->rec[2] = w->access->iova;
	r->rec[3] = word3;
	return STEP_FAULT;
}

/* A fault of stage 1: CD.R says whether it is recorded, CD.A how the access ends (manual 5.5). */
static enum step s1_fault(struct walk *w, enum smmuv3_event fault)
{
	bad_access(w, fault, EVT1_CLASS_IN, 0);
	w->r->recorded = w->cd[0] & CD0_R;
	if (!(w->cd[0] & CD0_A))
		w->r->outcome = SMMUV3_RAZ_WI;
	return STEP_FAULT;
}

/* A word of the CD's or of tables that couldn't be accessed: what of, at this IPA? */
static enum step fetch_fault(struct walk *w, enum soft_table t, u64 class, u64 ipa, bool update)
{
	switch (t) {
	case SOFT_TABLE_UNMAPPED:
		return bad_access(w, EVT_F_TRANSLATION, EVT1_S2 | class, ipa & EVT3_IPA);
	case SOFT_TABLE_PERMISSION:
		return bad_access(w, EVT_F_PERMISSION, EVT1_S2 | class |
				  (class == EVT1_CLASS_TT && !update ? EVT1_TTRNW : 0), ipa & EVT3_IPA);
	default:
		w->r->table_gone = true;
		if (class == EVT1_CLASS_TT)
			return bad_access(w, EVT_F_WALK_EABT, class, ipa & EVT3_FETCH);
		bad_config(w, EVT_F_CD_FETCH);
		w->r->rec[3] = ipa & EVT3_FETCH;
		return STEP_FAULT;
	}
}

static enum step fetch(struct walk *w, u64 ipa, u64 class, u64 *word)
{
	enum soft_table t = soft_table_read(w->parent, ipa, word);

	return t == SOFT_TABLE_OK ? STEP_OK : fetch_fault(w, t, class, ipa, false);
}

/* Where the CD of a substream is, in a table of one or two levels (manual 5.2, 5.3). */
static enum step cd_address(struct walk *w, u64 ste0, u32 index, u64 *ipa)
{
	unsigned leaf_bits = 0;
	enum step s;
	u64 l1;

	*ipa = ste0 & STE0_S1CTXPTR;
	if (ste0 & STE0_S1CDMAX)
		leaf_bits = (ste0 & STE0_S1FMT) == STE0_S1FMT_4K ? 6 :
			    (ste0 & STE0_S1FMT) == STE0_S1FMT_64K ? 10 : 0;
	if (leaf_bits) {
		s = fetch(w, *ipa + (index >> leaf_bits) * 8ull, EVT1_CLASS_CD, &l1);
		if (s != STEP_OK)
			return s;
		if (!(l1 & L1CD_V))
			return bad_config(w, EVT_C_BAD_SUBSTREAMID);
		*ipa = l1 & L1CD_L2PTR;
		index &= (1u << leaf_bits) - 1;
	}
	*ipa += (u64)index * CD_SIZE;
	return STEP_OK;
}

/* Is this access one of stage 1, and by which CD? index: of the CD. */
static enum step substream(struct walk *w, const u64 ste[2], u32 *index)
{
	const struct smmuv3_access *a = w->access;
	unsigned cdmax = (unsigned)(ste[0] >> STE0_S1CDMAX_SHIFT);
	u64 dss = ste[1] & STE1_S1DSS;

	/* Illegal with what IDR0.STALL_MODEL and IDR1.SSIDSIZE say. */
	if ((ste[1] & STE1_S1STALLD) || cdmax > SMMUV3_SSID_BITS ||
	    (cdmax && (ste[0] & STE0_S1FMT) == STE0_S1FMT))
		return bad_config(w, EVT_C_BAD_STE);
	*index = 0;
	if (a->ssv) {
		if (!cdmax || a->ssid >> cdmax || (dss == STE1_S1DSS_SSID0 && !a->ssid))
			return bad_config(w, EVT_C_BAD_SUBSTREAMID);
		*index = a->ssid;
	} else if (cdmax && dss == STE1_S1DSS_BYPASS) {
		w->r->bypass = true;
	} else if (cdmax && dss != STE1_S1DSS_SSID0) {
		return bad_config(w, EVT_F_STREAM_DISABLED);
	}
	return STEP_OK;
}

static unsigned ips_bits(u64 cd0)
{
	static const u8 bits[] = { 32, 36, 40, 42, 44, 48, SMMUV3_OAS_BITS, SMMUV3_OAS_BITS };

	return bits[cd0 >> CD0_IPS_SHIFT & 7];
}

/* TG0 and TG1 have different codes (manual 5.4). 0: reserved. */
static unsigned granule(u64 cd0, unsigned n)
{
	static const u8 codes[2][4] = { { 12, 16, 14, 0 }, { 0, 14, 12, 16 } };

	return codes[n][cd0 >> (n ? 22 : 6) & 3];
}

/* False: the CD is illegal for it. */
static bool tree_get(const struct walk *w, unsigned n, struct tree *t)
{
	u64 cd0 = w->cd[0];
	unsigned size = (unsigned)(cd0 >> (n ? 16 : 0) & CD0_TXSZ);

	t->granule = granule(cd0, n);
	t->bits = 64 - size;
	t->base = w->cd[1 + n] & CD1_TTB;
	t->had = w->cd[1 + n] & CD1_HAD;
	/* Without IDR3.STT and 52-bit addresses (manual 5.4, T0SZ). */
	return t->granule && size >= 16 && size <= 39 && !(t->base >> w->ips);
}

/* The CD, checked (manual 5.5, "CD faults"), and the tree that the address is in. */
static enum step cd_get(struct walk *w, u64 ipa, struct tree *tree)
{
	unsigned upper = (unsigned)(w->access->iova >> 55 & 1);
	struct tree t;
	u64 cd0, high;
	enum step s;

	for (unsigned i = 0; i < ARRAY_SIZE(w->cd); i++) {
		s = fetch(w, ipa + i * 8, EVT1_CLASS_CD, &w->cd[i]);
		if (s != STEP_OK)
			return s;
	}
	cd0 = w->cd[0];
	/* AArch32 tables, big-endian ones and stalls are not there. */
	if (!(cd0 & CD0_V) || !(cd0 & CD0_AA64) || (cd0 & (CD0_ENDI | CD0_S)))
		return bad_config(w, EVT_C_BAD_CD);
	w->ips = ips_bits(cd0);
	for (unsigned n = 0; n < 2; n++) {
		if (cd0 & CD0_EPD(n))
			continue;
		if (!tree_get(w, n, &t))
			return bad_config(w, EVT_C_BAD_CD);
		if (n == upper)
			*tree = t;
	}
	if (!tree->bits)
		return s1_fault(w, EVT_F_TRANSLATION);
	/* All bits above the tree's are those of bit 55; with TBI the top byte doesn't count. */
	high = (upper ? ~w->access->iova : w->access->iova) >> tree->bits;
	if (cd0 & CD0_TBI(upper))
		high &= (1ull << (56 - tree->bits)) - 1;
	return high ? s1_fault(w, EVT_F_TRANSLATION) : STEP_OK;
}

/* Sizes that a descriptor above level 3 can map: 1 GiB and 2 MiB; 32 MiB; 512 MiB. */
static bool block_ok(const struct tree *t, unsigned level)
{
	return level == 2 || (level == 1 && t->granule == 12);
}

/* What was gathered on the way down: APTable. */
struct hierarchy {
	bool ro, privileged;
};

/*
 * The leaf e, read at ipa, of 1 << shift bytes: access flag, permission, dirty state (Arm ARM
 * D8.4; HTTU: manual 3.13).
 */
static enum step leaf_use(struct walk *w, u64 e, u64 ipa, unsigned shift, struct hierarchy h)
{
	struct smmuv3_result *r = w->r;
	u64 cd0 = w->cd[0], new = e;
	bool ha = cd0 & CD0_HA, hd = ha && (cd0 & CD0_HD), changed = false;
	enum soft_table t;

	r->gpa = e & GENMASK(SMMUV3_OAS_BITS - 1, shift);
	r->size = 1ull << shift;
	if (r->gpa >> w->ips)
		return s1_fault(w, EVT_F_ADDR_SIZE);
	if (ha)
		new |= TTD_AF;
	else if (!(e & TTD_AF) && !(cd0 & CD0_AFFD))
		return s1_fault(w, EVT_F_ACCESS);
	if (!(e & TTD_AP1) || h.privileged)
		return s1_fault(w, EVT_F_PERMISSION);
	if (w->access->write) {
		if (hd && (e & TTD_DBM))
			new &= ~TTD_AP2;
		if (h.ro || (new & TTD_AP2))
			return s1_fault(w, EVT_F_PERMISSION);
	}
	if (new != e) {
		t = soft_table_update(w->parent, ipa, e, new, &changed);
		if (t != SOFT_TABLE_OK)
			return fetch_fault(w, t, EVT1_CLASS_TT, ipa, true);
	}
	/* A write to what is writable but clean must come here again. */
	r->prot = PT_READ | (h.ro || (new & TTD_AP2) ? 0 : PT_WRITE);
	return changed ? STEP_AGAIN : STEP_OK;
}

static enum step walk_tables(struct walk *w, const struct tree *t)
{
	unsigned stride = t->granule - 3;
	unsigned level = 4 - (t->bits - t->granule + stride - 1) / stride;
	unsigned shift = t->granule + stride * (3 - level);
	u64 mask = (1ull << (t->bits - shift)) - 1, table = t->base & ~(mask * 8 + 7);
	struct hierarchy h = { false };

	for (;; level++, shift -= stride) {
		u64 ipa = table + ((w->access->iova >> shift) & mask) * 8, e;
		enum step s = fetch(w, ipa, EVT1_CLASS_TT, &e);

		if (s != STEP_OK)
			return s;
		if (!(e & TTD_VALID) || (level == 3 && !(e & TTD_TABLE)))
			return s1_fault(w, EVT_F_TRANSLATION);
		if (level == 3)
			return leaf_use(w, e, ipa, shift, h);
		if (!(e & TTD_TABLE))
			return block_ok(t, level) ? leaf_use(w, e, ipa, shift, h) :
						    s1_fault(w, EVT_F_TRANSLATION);
		table = e & GENMASK(SMMUV3_OAS_BITS - 1, t->granule);
		if (table >> w->ips)
			return s1_fault(w, EVT_F_ADDR_SIZE);
		if (!t->had) {
			h.ro |= !!(e & TTD_APTABLE1);
			h.privileged |= !!(e & TTD_APTABLE0);
		}
		mask = (1ull << stride) - 1;
	}
}

static enum step walk_stage1(struct walk *w, const u64 ste[2])
{
	struct tree tree = { 0 };
	u32 index;
	u64 ipa;
	enum step s;

	s = substream(w, ste, &index);
	if (s != STEP_OK || w->r->bypass)
		return s;
	s = cd_address(w, ste[0], index, &ipa);
	if (s == STEP_OK)
		s = cd_get(w, ipa, &tree);
	return s == STEP_OK ? walk_tables(w, &tree) : s;
}

void smmuv3_walk(struct soft_domain *parent, const u64 ste[2], const struct smmuv3_access *access,
		 struct smmuv3_result *r)
{
	struct walk w = { .parent = parent, .access = access, .r = r };
	enum step s = STEP_AGAIN;

	*r = (struct smmuv3_result){ .outcome = SMMUV3_OK };
	switch (ste[0] & (STE0_V | STE0_CFG)) {
	case STE0_V | STE0_CFG_BYPASS:
		r->bypass = true;
		/* Substreams are stage 1's: a stream without it has none (manual 7.3.9). */
		if (access->ssv)
			bad_config(&w, EVT_C_BAD_SUBSTREAMID);
		return;
	case STE0_V | STE0_CFG_S1:
		break;
	default:
		/* Abort; an invalid STE of the guest's becomes one, without an event. */
		r->outcome = SMMUV3_ABORT;
		return;
	}
	/* Another CPU of the guest may be changing it; a few tries are plenty. */
	for (unsigned i = 0; i < 16 && s == STEP_AGAIN; i++)
		s = walk_stage1(&w, ste);
	if (s == STEP_AGAIN)
		r->outcome = SMMUV3_ABORT;
}

bool smmuv3_event_is_guests(const struct smmuv3_result *r)
{
	switch (r->fault) {
	case EVT_C_BAD_STE:
	case EVT_F_STREAM_DISABLED:
	case EVT_C_BAD_SUBSTREAMID:
	case EVT_C_BAD_CD:
	case EVT_F_TRANSLATION:
	case EVT_F_ADDR_SIZE:
	case EVT_F_ACCESS:
	case EVT_F_PERMISSION:
		return r->recorded && !(r->rec[1] & EVT1_S2);
	default:
		return false;
	}
}
