/* SPDX-License-Identifier: MIT */
/*
 * A guest that drives an SMMUv3, for tests: its memory, and what it writes there. Every address is an
 * IPA; the memory begins at GUEST_IPA, pages are handed out from its beginning.
 */
#ifndef TESTS_SMMUV3_GUEST_H
#define TESTS_SMMUV3_GUEST_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>

#define GUEST_IPA 0x40000000ull
#define GUEST_SIZE (64ull << 20)

/* A stream table entry's words. */
#define G_STE_V 1ull
#define G_STE_ABORT 0ull
#define G_STE_BYPASS (4ull << 1)
#define G_STE_S1 (5ull << 1)
#define G_STE_FMT(f) ((uint64_t)(f) << 4)
#define G_STE_CDMAX(n) ((uint64_t)(n) << 59)

/* A context descriptor's first word: valid, AArch64, faults abort and are recorded, 48 bits of IPA. */
#define G_CD_V (1ull << 31)
#define G_CD_AA64 (1ull << 41)
#define G_CD_HD (1ull << 42)
#define G_CD_HA (1ull << 43)
#define G_CD_R (1ull << 45)
#define G_CD_A (1ull << 46)
#define G_CD_AFFD (1ull << 35)
#define G_CD_TBI(n) (1ull << (38 + (n)))
#define G_CD_EPD(n) (1ull << ((n) ? 30 : 14))
#define G_CD_IPS(n) ((uint64_t)(n) << 32)
#define G_CD_T0SZ(bits) (64ull - (bits))
#define G_CD_T1SZ(bits) ((64ull - (bits)) << 16)
#define G_CD (G_CD_V | G_CD_AA64 | G_CD_R | G_CD_A | G_CD_IPS(5) | G_CD_EPD(1) | 0x1234ull << 48)

/* Descriptors: a table; a leaf that a user may read and write, and that has been used. */
#define G_TABLE 3ull
#define G_RW (1ull | 1ull << 6 | 1ull << 10)
#define G_RO (1ull << 7)
#define G_AF (1ull << 10)
#define G_AP1 (1ull << 6)
#define G_DBM (1ull << 51)
#define G_PAGE 2ull

struct guest {
	uint8_t *mem;
	uint64_t next;		/* IPA of the first page that nobody has */
};

static inline void guest_init(struct guest *g)
{
	g->mem = mmap(NULL, GUEST_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	g->next = GUEST_IPA;
}

static inline void guest_fini(struct guest *g)
{
	munmap(g->mem, GUEST_SIZE);
}

/* size: a power of two. */
static inline uint64_t guest_alloc(struct guest *g, uint64_t size)
{
	uint64_t ipa = (g->next + size - 1) & -size;

	g->next = ipa + size;
	memset(g->mem + (ipa - GUEST_IPA), 0, size);
	return ipa;
}

static inline uint64_t *guest_word(struct guest *g, uint64_t ipa)
{
	return (uint64_t *)(void *)(g->mem + (ipa - GUEST_IPA));
}

static inline void guest_put(struct guest *g, uint64_t ipa, uint64_t value)
{
	__atomic_store_n(guest_word(g, ipa), value, __ATOMIC_RELEASE);
}

static inline void guest_cd(struct guest *g, uint64_t ipa, uint64_t word0, uint64_t ttb0, uint64_t ttb1)
{
	guest_put(g, ipa, word0);
	guest_put(g, ipa + 8, ttb0);
	guest_put(g, ipa + 16, ttb1);
	guest_put(g, ipa + 24, 0);
}

/* The first level that a walk of `bits` of address has. */
static inline unsigned guest_level(unsigned granule, unsigned bits)
{
	unsigned stride = granule - 3;

	return 4 - (bits - granule + stride - 1) / stride;
}

/*
 * Writes the descriptor for va at a level, with tables down to there; returns its IPA. root has
 * been allocated by one granule.
 */
static inline uint64_t guest_map(struct guest *g, uint64_t root, unsigned granule, unsigned bits,
				 uint64_t va, unsigned level, uint64_t desc)
{
	unsigned stride = granule - 3, l = guest_level(granule, bits);
	uint64_t table = root, ipa;

	for (;; l++) {
		unsigned shift = granule + stride * (3 - l);
		unsigned width = l == guest_level(granule, bits) ? bits - shift : stride;

		ipa = table + (va >> shift & ((1ull << width) - 1)) * 8;
		if (l == level)
			break;
		if (!(*guest_word(g, ipa) & 1))
			guest_put(g, ipa, guest_alloc(g, 1ull << granule) | G_TABLE);
		table = *guest_word(g, ipa) & ((1ull << 48) - (1ull << granule));
	}
	guest_put(g, ipa, desc);
	return ipa;
}

/* A page of 4 KiB in a tree of 48 bits. */
static inline uint64_t guest_page(struct guest *g, uint64_t root, uint64_t va, uint64_t ipa,
				  uint64_t attributes)
{
	return guest_map(g, root, 12, 48, va, 3, ipa | G_PAGE | attributes);
}

#endif
