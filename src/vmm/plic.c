/* SPDX-License-Identifier: MIT */
#include "vmm/plic.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* PLIC specification, chapter 3: the memory map. */
#define PLIC_PENDING	0x1000
#define PLIC_ENABLE	0x2000
#define PLIC_ENABLE_STRIDE 0x80
#define PLIC_CONTEXT	0x200000
#define PLIC_CONTEXT_STRIDE 0x1000

int plic_init(struct plic *p, unsigned int nr_harts,
	      void (*set_output)(void *opaque, unsigned int hart, bool level), void *opaque)
{
	memset(p, 0, sizeof(*p));
	p->context = calloc(nr_harts, sizeof(*p->context));
	if (!p->context)
		return -ENOMEM;
	p->nr_harts = nr_harts;
	p->set_output = set_output;
	p->opaque = opaque;
	sv_mutex_init(&p->lock);
	return 0;
}

void plic_destroy(struct plic *p)
{
	if (!p->context)
		return;
	sv_mutex_destroy(&p->lock);
	free(p->context);
	p->context = NULL;
}

void plic_reset(struct plic *p)
{
	sv_mutex_lock(&p->lock);
	memset(p->priority, 0, sizeof(p->priority));
	memset(p->level, 0, sizeof(p->level));
	memset(p->pending, 0, sizeof(p->pending));
	memset(p->claimed, 0, sizeof(p->claimed));
	memset(p->context, 0, p->nr_harts * sizeof(*p->context));
	sv_mutex_unlock(&p->lock);
}

/* The source that c would claim now: the highest priority, among equals the lowest number. */
static unsigned int plic_best(const struct plic *p, const struct plic_context *c)
{
	u32 best_priority = c->threshold;
	unsigned int best = 0, w;

	for (w = 0; w < PLIC_WORDS; w++) {
		u32 bits = p->pending[w] & c->enable[w];

		while (bits) {
			unsigned int source = w * 32 + __builtin_ctz(bits);

			bits &= bits - 1;
			if (p->priority[source] > best_priority) {
				best_priority = p->priority[source];
				best = source;
			}
		}
	}
	return best;
}

static void plic_update(struct plic *p)
{
	unsigned int h;

	if (!p->connected)
		return;
	for (h = 0; h < p->nr_harts; h++) {
		struct plic_context *c = &p->context[h];
		bool out = plic_best(p, c) != 0;

		if (out != c->out) {
			c->out = out;
			p->set_output(p->opaque, h, out);
		}
	}
}

void plic_connect(struct plic *p, bool on)
{
	unsigned int h;

	sv_mutex_lock(&p->lock);
	p->connected = on;
	for (h = 0; h < p->nr_harts; h++)
		p->context[h].out = false;
	plic_update(p);
	sv_mutex_unlock(&p->lock);
}

bool plic_asserted(struct plic *p)
{
	bool high = false;

	sv_mutex_lock(&p->lock);
	for (unsigned int h = 0; h < p->nr_harts; h++)
		high |= p->context[h].out;
	sv_mutex_unlock(&p->lock);
	return high;
}

void plic_set_level(struct plic *p, unsigned int source, bool level)
{
	u32 bit = 1u << (source % 32), *lv = &p->level[source / 32];

	sv_mutex_lock(&p->lock);
	if (!!(*lv & bit) != level) {
		*lv ^= bit;
		/* Once taken in, a request stays until it is claimed, whatever the level does. */
		if (level && !(p->claimed[source / 32] & bit)) {
			p->pending[source / 32] |= bit;
			plic_update(p);
		}
	}
	sv_mutex_unlock(&p->lock);
}

static u32 plic_claim(struct plic *p, struct plic_context *c)
{
	unsigned int source = plic_best(p, c);

	if (source) {
		p->pending[source / 32] &= ~(1u << (source % 32));
		p->claimed[source / 32] |= 1u << (source % 32);
		plic_update(p);
	}
	return source;
}

/* A completion for a source that the context has not enabled is ignored. */
static void plic_complete(struct plic *p, struct plic_context *c, u32 source)
{
	u32 bit = 1u << (source % 32);

	if (source >= PLIC_NR_SOURCES || !(c->enable[source / 32] & bit) ||
	    !(p->claimed[source / 32] & bit))
		return;
	p->claimed[source / 32] &= ~bit;
	p->pending[source / 32] |= p->level[source / 32] & bit;
	plic_update(p);
}

static struct plic_context *plic_context_at(struct plic *p, u64 nr)
{
	return nr % 2 && nr / 2 < p->nr_harts ? &p->context[nr / 2] : NULL;
}

/* The enable word at off, or NULL. */
static u32 *plic_enable_at(struct plic *p, u64 off)
{
	struct plic_context *c;
	u64 w;

	if (off < PLIC_ENABLE || off >= PLIC_CONTEXT)
		return NULL;
	c = plic_context_at(p, (off - PLIC_ENABLE) / PLIC_ENABLE_STRIDE);
	w = (off - PLIC_ENABLE) % PLIC_ENABLE_STRIDE / 4;
	return c && w < PLIC_WORDS ? &c->enable[w] : NULL;
}

/* Registers are 32 bits; other sizes are answered as nothing. */
static u64 plic_read(void *dev, u64 off, unsigned int size)
{
	struct plic *p = dev;
	struct plic_context *c;
	u32 val = 0, *word;

	if (size != 4 || off % 4)
		return 0;
	sv_mutex_lock(&p->lock);
	if (off < PLIC_NR_SOURCES * 4) {
		val = p->priority[off / 4];
	} else if (off >= PLIC_PENDING && off < PLIC_PENDING + PLIC_WORDS * 4) {
		val = p->pending[(off - PLIC_PENDING) / 4];
	} else if ((word = plic_enable_at(p, off))) {
		val = *word;
	} else if (off >= PLIC_CONTEXT) {
		c = plic_context_at(p, (off - PLIC_CONTEXT) / PLIC_CONTEXT_STRIDE);
		off = (off - PLIC_CONTEXT) % PLIC_CONTEXT_STRIDE;
		if (c && off == 0)
			val = c->threshold;
		else if (c && off == 4)
			val = plic_claim(p, c);
	}
	sv_mutex_unlock(&p->lock);
	return val;
}

static void plic_write(void *dev, u64 off, u64 val, unsigned int size)
{
	struct plic *p = dev;
	struct plic_context *c;
	u32 *word;

	if (size != 4 || off % 4)
		return;
	sv_mutex_lock(&p->lock);
	if (off < PLIC_NR_SOURCES * 4) {
		if (off)
			p->priority[off / 4] = val & PLIC_MAX_PRIORITY;
		plic_update(p);
	} else if ((word = plic_enable_at(p, off))) {
		*word = val & (off % PLIC_ENABLE_STRIDE ? ~0u : ~1u);
		plic_update(p);
	} else if (off >= PLIC_CONTEXT) {
		c = plic_context_at(p, (off - PLIC_CONTEXT) / PLIC_CONTEXT_STRIDE);
		off = (off - PLIC_CONTEXT) % PLIC_CONTEXT_STRIDE;
		if (c && off == 0) {
			c->threshold = val & PLIC_MAX_PRIORITY;
			plic_update(p);
		} else if (c && off == 4) {
			plic_complete(p, c, val);
		}
	}
	sv_mutex_unlock(&p->lock);
}

const struct mmio_ops plic_mmio_ops = { plic_read, plic_write };
