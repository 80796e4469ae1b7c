/* SPDX-License-Identifier: MIT */
/*
 * APLIC: turns wires into messages. One domain, message delivery only, no delegation.
 *
 * Model: a source has a mode, an input wire, a pending and an enable bit, and a target (hart
 * index, identity). While the domain's interrupts are on, a source that is pending and
 * enabled is forwarded: its pending bit falls, its target's interrupt file gets the
 * identity. A message has no end; the guest says that it has dealt with a level source by
 * writing the source's number to setipnum, which makes it pending again if the wire is still
 * high. That write is also what a resampling irqfd waits for.
 *
 * Invariants, whenever the lock is free: no source is pending, enabled and not forwarded
 * while the domain is on. An inactive source is never pending. Source 0 is none: its bits
 * are 0.
 *
 * A target and an enable bit can be written while the source is inactive, as the kernel
 * allows and the specification need not: so they can be restored before the mode.
 *
 * Lock: a->lock; interrupt files' locks are taken inside. It is not held while irqfds are
 * told of an end.
 *
 * Numbers: AIA specification 1.0, chapter 4.
 */
#include <errno.h>

#include "kvm/riscv/kvm_riscv.h"

enum {
	DOMAINCFG = 0x0000, SOURCECFG_1 = 0x0004, SETIP = 0x1c00, SETIPNUM = 0x1cdc,
	IN_CLRIP = 0x1d00, CLRIPNUM = 0x1ddc, SETIE = 0x1e00, SETIENUM = 0x1edc, CLRIE = 0x1f00,
	CLRIENUM = 0x1fdc, SETIPNUM_LE = 0x2000, SETIPNUM_BE = 0x2004, GENMSI = 0x3000,
	TARGET_1 = 0x3004,
};
#define DOMAINCFG_FIXED 0x80000004u	/* read as written by nobody: the top byte, DM */
#define DOMAINCFG_IE BIT(8)
#define SOURCECFG_D BIT(10)
#define TARGET_HART_SHIFT 18
#define TARGET_GUEST_SHIFT 12
#define TARGET_GUEST_MASK 0x3fu
#define TARGET_ID_MASK 0x7ffu

enum source_mode {
	SM_INACTIVE = 0, SM_DETACHED = 1, SM_EDGE_RISE = 4, SM_EDGE_FALL = 5,
	SM_LEVEL_HIGH = 6, SM_LEVEL_LOW = 7,
};

#define MAX_SOURCES KVM_DEV_RISCV_AIA_SRCS_MAX
#define WORDS (MAX_SOURCES / 32)

struct aplic {
	struct kvm *kvm;
	u32 nr;			/* sources are 1..nr-1 */
	u32 nr_words;
	struct sv_spin lock;
	bool ie;
	u32 genmsi;
	u32 input[WORDS], pending[WORDS], enabled[WORDS];
	u8 mode[MAX_SOURCES];
	u32 target[MAX_SOURCES];
};

struct aplic *aplic_create(struct kvm *kvm, u32 nr_sources)
{
	struct aplic *a = sv_zalloc(sizeof(*a));

	if (!a)
		return NULL;
	a->kvm = kvm;
	a->nr = nr_sources + 1;
	a->nr_words = (a->nr + 31) / 32;
	sv_spin_init(&a->lock);
	return a;
}

void aplic_destroy(struct aplic *a)
{
	sv_free(a);
}

static bool bit_test(const u32 *map, u32 n)
{
	return map[n / 32] & 1u << n % 32;
}

static void bit_assign(u32 *map, u32 n, bool set)
{
	if (set)
		map[n / 32] |= 1u << n % 32;
	else
		map[n / 32] &= ~(1u << n % 32);
}

static bool is_level(u8 mode)
{
	return mode == SM_LEVEL_HIGH || mode == SM_LEVEL_LOW;
}

/* The wire as the mode sees it: the active state is true. Lock held. */
static bool rectified(const struct aplic *a, u32 n)
{
	switch (a->mode[n]) {
	case SM_EDGE_RISE:
	case SM_LEVEL_HIGH:
		return bit_test(a->input, n);
	case SM_EDGE_FALL:
	case SM_LEVEL_LOW:
		return !bit_test(a->input, n);
	default:
		return false;
	}
}

/* Lock held. Everything that can be forwarded is. */
static void forward(struct aplic *a)
{
	if (!a->ie)
		return;
	for (u32 w = 0; w < a->nr_words; w++) {
		u32 hot = a->pending[w] & a->enabled[w];

		a->pending[w] &= ~hot;
		for (; hot; hot &= hot - 1) {
			u32 t = a->target[w * 32 + (u32)__builtin_ctz(hot)];

			aia_inject_msi_by_index(a->kvm, t >> TARGET_HART_SHIFT,
						t >> TARGET_GUEST_SHIFT & TARGET_GUEST_MASK,
						t & TARGET_ID_MASK);
		}
	}
}

int aplic_set_input(struct aplic *a, u32 source, bool level)
{
	bool before, now;

	if (!source || source >= a->nr)
		return -ENODEV;
	sv_spin_lock(&a->lock);
	before = rectified(a, source);
	bit_assign(a->input, source, level);
	now = rectified(a, source);
	if (is_level(a->mode[source]))		/* as often as somebody says so */
		bit_assign(a->pending, source, now);
	else if (now && !before)
		bit_assign(a->pending, source, true);
	forward(a);
	sv_spin_unlock(&a->lock);
	return 0;
}

/* Lock held. A set is refused while a level source's wire is low. */
static void write_pending(struct aplic *a, u32 n, bool set)
{
	if (!n || n >= a->nr || a->mode[n] == SM_INACTIVE)
		return;
	if (set && is_level(a->mode[n]) && !rectified(a, n))
		return;
	bit_assign(a->pending, n, set);
}

static void write_mode(struct aplic *a, u32 n, u32 val)
{
	u8 mode = val & SOURCECFG_D ? SM_INACTIVE : val & 7;

	if (mode == 2 || mode == 3)	/* reserved */
		mode = SM_INACTIVE;
	if (mode == a->mode[n])
		return;
	a->mode[n] = mode;
	if (mode == SM_INACTIVE)
		bit_assign(a->pending, n, false);
	else if (is_level(mode))
		bit_assign(a->pending, n, rectified(a, n));
}

/* Is offset in the array of count words at base? *index says where. */
static bool in_array(u64 offset, u64 base, u32 count, u32 *index)
{
	if (offset < base || offset - base >= 4ull * count)
		return false;
	*index = (u32)((offset - base) / 4);
	return true;
}

static u32 input_word(const struct aplic *a, u32 w)
{
	u32 val = 0;

	for (u32 i = 0; i < 32; i++)
		if (w * 32 + i < a->nr && rectified(a, w * 32 + i))
			val |= 1u << i;
	return val;
}

static int read_locked(struct aplic *a, u64 off, u32 *val)
{
	u32 i;

	*val = 0;
	switch (off) {
	case DOMAINCFG:
		*val = DOMAINCFG_FIXED | (a->ie ? DOMAINCFG_IE : 0);
		return 0;
	case GENMSI:
		*val = a->genmsi;
		return 0;
	case SETIPNUM: case CLRIPNUM: case SETIENUM: case CLRIENUM:
	case SETIPNUM_LE: case SETIPNUM_BE:
		return 0;
	}
	if (in_array(off, SOURCECFG_1, a->nr - 1, &i))
		*val = a->mode[i + 1];
	else if (in_array(off, TARGET_1, a->nr - 1, &i))
		*val = a->target[i + 1];
	else if (in_array(off, SETIP, a->nr_words, &i))
		*val = a->pending[i];
	else if (in_array(off, IN_CLRIP, a->nr_words, &i))
		*val = input_word(a, i);
	else if (in_array(off, SETIE, a->nr_words, &i))
		*val = a->enabled[i];
	else if (!in_array(off, CLRIE, a->nr_words, &i))
		return -ENODEV;
	return 0;
}

int aplic_read(struct aplic *a, u64 offset, u32 *val)
{
	int err;

	if (offset & 3)
		return -EOPNOTSUPP;
	sv_spin_lock(&a->lock);
	err = read_locked(a, offset, val);
	sv_spin_unlock(&a->lock);
	return err;
}

static void write_pending_word(struct aplic *a, u32 w, u32 val, bool set)
{
	for (; val; val &= val - 1)
		write_pending(a, w * 32 + (u32)__builtin_ctz(val), set);
}

static void write_enabled(struct aplic *a, u32 n, bool set)
{
	if (n && n < a->nr)
		bit_assign(a->enabled, n, set);
}

static void write_enabled_word(struct aplic *a, u32 w, u32 val, bool set)
{
	for (; val; val &= val - 1)
		write_enabled(a, w * 32 + (u32)__builtin_ctz(val), set);
}

static int write_locked(struct aplic *a, u64 off, u32 val)
{
	u32 i;

	switch (off) {
	case DOMAINCFG:
		a->ie = val & DOMAINCFG_IE;
		return 0;
	case SETIPNUM:
	case SETIPNUM_LE:
		write_pending(a, val, true);
		return 0;
	case SETIPNUM_BE:
		write_pending(a, __builtin_bswap32(val), true);
		return 0;
	case CLRIPNUM:
		write_pending(a, val, false);
		return 0;
	case SETIENUM:
		write_enabled(a, val, true);
		return 0;
	case CLRIENUM:
		write_enabled(a, val, false);
		return 0;
	case GENMSI:
		a->genmsi = val & ~((1u << TARGET_HART_SHIFT) - 1 - TARGET_ID_MASK);
		aia_inject_msi_by_index(a->kvm, val >> TARGET_HART_SHIFT, 0, val & TARGET_ID_MASK);
		return 0;
	}
	if (in_array(off, SOURCECFG_1, a->nr - 1, &i))
		write_mode(a, i + 1, val);
	else if (in_array(off, TARGET_1, a->nr - 1, &i))
		a->target[i + 1] = val & ~(1u << 11);
	else if (in_array(off, SETIP, a->nr_words, &i))
		write_pending_word(a, i, val, true);
	else if (in_array(off, IN_CLRIP, a->nr_words, &i))
		write_pending_word(a, i, val, false);
	else if (in_array(off, SETIE, a->nr_words, &i))
		write_enabled_word(a, i, val, true);
	else if (in_array(off, CLRIE, a->nr_words, &i))
		write_enabled_word(a, i, val, false);
	else
		return -ENODEV;
	return 0;
}

/*
 * The guest is about to ask level sources to look at their wires: their irqfds let go first,
 * and pull again if their devices still want something.
 */
static void end_of_level(struct aplic *a, u64 off, u32 val)
{
	u32 first = 0, mask, i;

	switch (off) {
	case SETIPNUM_BE:
		val = __builtin_bswap32(val);
		/* fall through */
	case SETIPNUM:
	case SETIPNUM_LE:
		if (val >= a->nr)
			return;
		first = val & ~31u;
		mask = 1u << val % 32;
		break;
	default:
		if (!in_array(off, SETIP, a->nr_words, &i))
			return;
		first = i * 32;
		mask = val;
		break;
	}
	for (; mask; mask &= mask - 1) {
		u32 n = first + (u32)__builtin_ctz(mask);
		bool level;

		if (!n || n >= a->nr)
			continue;
		sv_spin_lock(&a->lock);
		level = is_level(a->mode[n]);
		sv_spin_unlock(&a->lock);
		if (level)
			kvm_notify_acked_irq(a->kvm, n);
	}
}

int aplic_write(struct aplic *a, u64 offset, u32 val, bool by_guest)
{
	int err;

	if (offset & 3)
		return -EOPNOTSUPP;
	if (by_guest)
		end_of_level(a, offset, val);
	sv_spin_lock(&a->lock);
	err = write_locked(a, offset, val);
	if (!err)
		forward(a);
	sv_spin_unlock(&a->lock);
	return err;
}
