/* SPDX-License-Identifier: MIT */
/*
 * From a list of mails to conversations.
 *
 * A thread is what In-Reply-To and References connect. A series is narrower: numbered patches of
 * one author with one total and one version, that answer their cover, or each other, or one mail
 * the archive doesn't have; patches sent without threading are joined by their tags when they came
 * within a day and no number is taken twice. A mail without a tag that an author's numbered patches
 * answer is their cover too.
 *
 * Versions. A series is a later version of an earlier one by the same author (name or address)
 * when they share a title, a change-id, a patch's title, or when its changelog links to it; a
 * series that says "v2" or more also by a similar title. A higher number, a patch after its RFC,
 * and something posted again count as later, in this order of arrival only.
 *
 * All is computed from the index in one pass over the entries, plus look-ups for the few series an
 * update shows. Every step is near linear whatever the mails claim. No locks; one thread.
 */
#include <string.h>

#include "digest/series.h"
#include "digest/text.h"

/* Unthreaded patches further apart than this are not one series. */
#define UNTHREADED_SECONDS 86400
/* Of an author's series, or of namesakes, so many of the latest are compared. */
#define COMPARE_MAX 400
#define SIMILAR_SECONDS (400ll * 86400)

static struct entry *at(const struct threads *t, u32 pos)
{
	return index_entry(t->ix, pos);
}

bool threads_counts(const struct threads *t, u32 pos)
{
	const struct entry *e = at(t, pos);

	return e->type == ENTRY_MAIL && e->state == STATE_LIVE;
}

static u32 lookup(const struct threads *t, u64 id)
{
	u32 p = id ? GPOINTER_TO_UINT(g_hash_table_lookup(t->by_id, &id)) : 0;

	return p ? p - 1 : POS_NONE;
}

static bool same_text(const char *a, const char *b)
{
	return *a && *b && !g_ascii_strcasecmp(a, b);
}

static bool same_name(const char *a, const char *b)
{
	char *x, *y;
	bool same;

	if (!*a || !*b)
		return false;
	if (!strcmp(a, b))
		return true;
	x = g_utf8_casefold(a, -1);
	y = g_utf8_casefold(b, -1);
	same = !strcmp(x, y);
	g_free(x);
	g_free(y);
	return same;
}

/* One person under two addresses is still one. */
static bool same_author(const struct entry *a, const struct entry *b)
{
	return same_text(a->from_addr, b->from_addr) || same_text(a->author_addr, b->author_addr) ||
	       same_text(a->author_addr, b->from_addr) || same_text(a->from_addr, b->author_addr) ||
	       same_name(a->from_name, b->from_name) || same_name(a->author_name, b->author_name);
}

static u32 version_of(const struct entry *e)
{
	return e->subj.version ?: 1;
}

/* Union-find with path halving. */
static u32 find(u32 *parent, u32 i)
{
	while (parent[i] != i) {
		parent[i] = parent[parent[i]];
		i = parent[i];
	}
	return i;
}

/* The older becomes the root. */
static void join(u32 *parent, u32 a, u32 b)
{
	a = find(parent, a);
	b = find(parent, b);
	if (a < b)
		parent[b] = a;
	else
		parent[a] = b;
}

static bool numbered(const struct threads *t, u32 i)
{
	return threads_counts(t, i) && at(t, i)->patch && at(t, i)->subj.total;
}

struct grouping {
	struct threads *t;
	u32 *parent;
	u64 *cover_of; /* an untagged mail that is a cover: of which total and version */
	bool *loose;    /* a series' mail without any reference */
};

/* Joins a numbered patch with what it answers. */
static void group_by_refs(struct grouping *g, GHashTable *absent, u32 i)
{
	const struct entry *p = at(g->t, i);
	u64 kind = (u64)p->subj.total << 32 | version_of(p);

	for (u32 r = 0; r < p->refs_n; r++) {
		u64 id = entry_ref(p, r);
		u32 k = lookup(g->t, id);

		if (k == i)
			continue;
		if (k != POS_NONE) {
			const struct entry *q = at(g->t, k);

			if (!same_author(p, q))
				continue;
			if (q->patch && q->subj.total == p->subj.total &&
			    version_of(q) == version_of(p)) {
				join(g->parent, i, k);
				return;
			}
			if (!q->patch && !q->subj.reply && p->subj.number &&
			    (!g->cover_of[k] || g->cover_of[k] == kind)) {
				join(g->parent, i, k);
				g->cover_of[k] = kind;
				return;
			}
		} else if (r == 0) {
			/* The cover went elsewhere: those who miss the same one belong together. */
			char *key = g_strdup_printf("%016llx %u %u %s", (unsigned long long)id,
						    p->subj.total, version_of(p), p->from_addr);
			gpointer first = g_hash_table_lookup(absent, key);

			if (first) {
				join(g->parent, i, GPOINTER_TO_UINT(first) - 1);
				g_free(key);
			} else {
				g_hash_table_insert(absent, key, GUINT_TO_POINTER(i + 1));
			}
			return;
		}
	}
	g->loose[i] = p->refs_n == 0;
}

struct open_group {
	u32 root;
	s64 time;
	GHashTable *numbers;
};

static void open_group_free(void *p)
{
	struct open_group *o = p;

	g_hash_table_destroy(o->numbers);
	g_free(o);
}

/* The tags less the number that differs from patch to patch: "[PATCH v2 /3]". */
static char *tag_key(const struct subject *subj)
{
	char *tag = g_strndup(subj->tag, subj->title - subj->tag);
	size_t o = 0;

	for (size_t i = 0; tag[i];) {
		size_t digits = strspn(tag + i, "0123456789");

		if (digits && tag[i + digits] == '/') {
			i += digits;
		} else {
			tag[o++] = tag[i++];
		}
	}
	tag[o] = 0;
	return tag;
}

/* Joins patches that answer nothing with those of the same tags around them. */
static void group_loose(struct grouping *g)
{
	GHashTable *open = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, open_group_free);
	bool *answered = g_new0(bool, g->t->count ?: 1);

	/* Only what is loose throughout: a cover that its patches answer is complete. */
	for (u32 i = 0; i < g->t->count; i++)
		if (numbered(g->t, i) && !g->loose[i])
			answered[find(g->parent, i)] = true;
	for (u32 i = 0; i < g->t->count; i++) {
		const struct entry *e = at(g->t, i);
		struct open_group *o;
		gpointer number;
		char *tag, *key;

		if (!numbered(g->t, i) || !g->loose[i] || answered[find(g->parent, i)])
			continue;
		tag = tag_key(&e->subj);
		key = g_strdup_printf("%s %u %u %s", e->from_addr, e->subj.total, version_of(e),
				      tag);
		number = GUINT_TO_POINTER(e->subj.number + 1);
		o = g_hash_table_lookup(open, key);
		if (o && ABS(e->time - o->time) <= UNTHREADED_SECONDS &&
		    !g_hash_table_contains(o->numbers, number)) {
			join(g->parent, i, o->root);
			o->root = find(g->parent, i);
			g_free(key);
		} else {
			o = g_new0(struct open_group, 1);
			o->root = i;
			o->time = e->time;
			o->numbers = g_hash_table_new(NULL, NULL);
			g_hash_table_replace(open, key, o);
		}
		g_hash_table_add(o->numbers, number);
		g_free(tag);
	}
	g_free(answered);
	g_hash_table_destroy(open);
}

static const struct threads *member_order;

/* The cover, then by number; twice the same number: by arrival. */
static gint member_compare(gconstpointer pa, gconstpointer pb)
{
	u32 a = *(const u32 *)pa, b = *(const u32 *)pb;
	const struct subject *x = &at(member_order, a)->subj, *y = &at(member_order, b)->subj;

	if (x->number != y->number)
		return x->number < y->number ? -1 : 1;
	return a < b ? -1 : a > b;
}

static void series_free(void *p)
{
	struct series *s = p;

	g_array_free(s->members, TRUE);
	g_array_free(s->reviews, TRUE);
	g_free(s->key);
	g_free(s);
}

static struct series *series_new(struct threads *t)
{
	struct series *s = g_new0(struct series, 1);

	s->members = g_array_new(FALSE, FALSE, sizeof(u32));
	s->reviews = g_array_new(FALSE, FALSE, sizeof(struct review));
	s->cover = s->first = s->lead = POS_NONE;
	s->prev = PREV_UNKNOWN;
	g_ptr_array_add(t->series, s);
	return s;
}

static void series_finish(struct threads *t, struct series *s)
{
	const struct entry *lead;

	member_order = t;
	g_array_sort(s->members, member_compare);
	s->oldest = POS_NONE;
	for (guint i = 0; i < s->members->len; i++) {
		u32 pos = g_array_index(s->members, u32, i);
		const struct subject *subj = &at(t, pos)->subj;

		s->oldest = min(s->oldest, pos);
		s->newest = max(s->newest, pos);
		s->rfc |= subj->rfc;
		s->resend |= subj->resend;
		s->total = max(s->total, subj->total);
		s->version = max(s->version, subj->version);
		if (s->cover == POS_NONE && subj->number == 0 &&
		    (subj->total || !at(t, pos)->patch))
			s->cover = pos;
		else if (s->first == POS_NONE && (subj->number == 1 || !subj->total))
			s->first = pos;
	}
	s->lead = s->cover != POS_NONE ? s->cover : s->first != POS_NONE ? s->first :
		  g_array_index(s->members, u32, 0);
	lead = at(t, s->lead);
	/* Some give the version at the title's end only. */
	if (!s->version)
		s->version = lead->subj.title_version ?: 1;
	s->key = subject_title_key(lead->subj.title);
}

static void build_series(struct threads *t)
{
	struct grouping g = { .t = t };
	GHashTable *absent = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
	s32 *of_root = g_new(s32, t->count ?: 1);

	g.parent = g_new(u32, t->count ?: 1);
	g.cover_of = g_new0(u64, t->count ?: 1);
	g.loose = g_new0(bool, t->count ?: 1);
	for (u32 i = 0; i < t->count; i++) {
		g.parent[i] = i;
		of_root[i] = -1;
	}
	for (u32 i = 0; i < t->count; i++)
		if (numbered(t, i))
			group_by_refs(&g, absent, i);
	group_loose(&g);
	for (u32 i = 0; i < t->count; i++) {
		const struct entry *e = at(t, i);
		u32 root = find(g.parent, i);

		if (!threads_counts(t, i) || (!e->patch && !g.cover_of[i]))
			continue;
		if (of_root[root] < 0) {
			of_root[root] = t->series->len;
			series_new(t);
		}
		t->place[i].series = of_root[root];
		g_array_append_val(threads_series(t, of_root[root])->members, i);
	}
	for (guint i = 0; i < t->series->len; i++)
		series_finish(t, t->series->pdata[i]);
	g_free(g.parent);
	g_free(g.cover_of);
	g_free(g.loose);
	g_free(of_root);
	g_hash_table_destroy(absent);
}

static void build_threads(struct threads *t)
{
	u32 *parent = g_new(u32, t->count ?: 1);
	GHashTable *absent = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, NULL);

	for (u32 i = 0; i < t->count; i++)
		parent[i] = i;
	for (u32 i = 0; i < t->count; i++) {
		const struct entry *e = at(t, i);

		if (!threads_counts(t, i))
			continue;
		for (u32 r = 0; r < e->refs_n; r++) {
			u64 id = entry_ref(e, r);
			u32 k = lookup(t, id);
			gpointer first = k == POS_NONE ? g_hash_table_lookup(absent, &id) : NULL;

			if (k != POS_NONE)
				join(parent, i, k);
			else if (first)
				join(parent, i, GPOINTER_TO_UINT(first) - 1);
			else
				g_hash_table_insert(absent, g_memdup2(&id, sizeof(id)),
						    GUINT_TO_POINTER(i + 1));
		}
	}
	for (u32 i = 0; i < t->count; i++)
		t->place[i].thread = find(parent, i);
	g_hash_table_destroy(absent);
	g_free(parent);
}

static void add_reviews(struct threads *t, u32 pos)
{
	const struct entry *e = at(t, pos);
	struct series *s = threads_series(t, t->place[pos].answers);
	const u8 *p = e->reviews;

	for (u32 i = 0; i < e->reviews_n; i++) {
		struct review r = { .reply = pos, .target = t->place[pos].target };
		char *name, *addr;
		bool seen = false;

		r.person = entry_review(&p, &r.kind);
		for (guint k = 0; k < s->reviews->len && !seen; k++) {
			const struct review *o = &g_array_index(s->reviews, struct review, k);

			seen = o->kind == r.kind && o->target == r.target &&
			       !strcmp(o->person, r.person);
		}
		if (seen || s->reviews->len >= 1000)
			continue;
		text_parse_address(r.person, &name, &addr);
		r.own = same_text(addr, e->from_addr) || same_name(name, e->from_name);
		g_free(name);
		g_free(addr);
		g_array_append_val(s->reviews, r);
	}
}

/* Which patch or cover each reply answers, however deep; twice, as mails overtake each other. */
static void build_replies(struct threads *t)
{
	for (int pass = 0; pass < 2; pass++) {
		for (u32 i = 0; i < t->count; i++) {
			struct place *p = &t->place[i];
			const struct entry *e = at(t, i);

			if (!threads_counts(t, i) || p->series >= 0 || p->answers >= 0)
				continue;
			for (u32 r = 0; r < e->refs_n && p->answers < 0; r++) {
				u32 k = lookup(t, entry_ref(e, r));

				if (k == POS_NONE || k == i)
					continue;
				if (t->place[k].series >= 0) {
					p->answers = t->place[k].series;
					p->target = k;
				} else if (t->place[k].answers >= 0) {
					p->answers = t->place[k].answers;
					p->target = t->place[k].target;
				}
			}
			if (p->answers < 0)
				continue;
			threads_series(t, p->answers)->replies++;
			if (e->subj.reply)
				add_reviews(t, i);
		}
	}
}

/* Versions */

static void note_series(GHashTable *h, const char *key, u32 series)
{
	GArray *list;

	if (!*key)
		return;
	list = g_hash_table_lookup(h, key);
	if (!list) {
		list = g_array_new(FALSE, FALSE, sizeof(u32));
		g_hash_table_insert(h, g_strdup(key), list);
	}
	if (!list->len || g_array_index(list, u32, list->len - 1) != series)
		g_array_append_val(list, series);
}

static GHashTable *series_lists(void)
{
	return g_hash_table_new_full(g_str_hash, g_str_equal, g_free,
				     (GDestroyNotify)g_array_unref);
}

static void build_versions(struct threads *t)
{
	t->by_title = series_lists();
	t->by_patch = series_lists();
	t->by_change = series_lists();
	t->by_author = series_lists();
	for (guint i = 0; i < t->series->len; i++) {
		struct series *s = t->series->pdata[i];
		char *author = g_ascii_strdown(at(t, s->lead)->from_addr, -1);

		note_series(t->by_title, s->key, i);
		note_series(t->by_author, author, i);
		g_free(author);
		for (guint k = 0; k < s->members->len; k++) {
			u32 pos = g_array_index(s->members, u32, k);
			char *key;

			note_series(t->by_change, at(t, pos)->change_id, i);
			if (pos == s->cover)
				continue;
			key = subject_title_key(at(t, pos)->subj.title);
			note_series(t->by_patch, key, i);
			g_free(key);
		}
	}
}

struct candidate {
	struct threads *t;
	struct series *s;
	s32 self, best;
};

/* Whether `e`, which arrived before, is an earlier version by what both say of themselves. */
static bool says_earlier(const struct series *e, const struct series *s, bool equal_counts)
{
	if (e->version < s->version || (e->rfc && !s->rfc))
		return true;
	return e->version == s->version && e->rfc == s->rfc && (equal_counts || s->resend);
}

static bool consider(struct candidate *c, s32 i, bool equal_counts)
{
	struct series *e = threads_series(c->t, i), *b;

	if (i == c->self || e->oldest >= c->s->oldest || !says_earlier(e, c->s, equal_counts) ||
	    !same_author(at(c->t, e->lead), at(c->t, c->s->lead)))
		return false;
	b = c->best >= 0 ? threads_series(c->t, c->best) : NULL;
	if (!b || (b->rfc && !e->rfc) ||
	    (b->rfc == e->rfc && (e->version > b->version ||
				  (e->version == b->version && e->oldest > b->oldest))))
		c->best = i;
	return true;
}

static void consider_list(struct candidate *c, GHashTable *h, const char *key, bool equal_counts)
{
	GArray *list = *key ? g_hash_table_lookup(h, key) : NULL;

	for (guint i = list && list->len > COMPARE_MAX ? list->len - COMPARE_MAX : 0;
	     list && i < list->len; i++)
		consider(c, g_array_index(list, u32, i), equal_counts);
}

/* Series that share patches: one is enough for a higher version, half of them for an equal one. */
static void consider_patches(struct candidate *c)
{
	GHashTable *shared = g_hash_table_new(NULL, NULL);
	GHashTableIter it;
	gpointer key, value;
	u32 patches = 0;

	for (guint k = 0; k < c->s->members->len; k++) {
		u32 pos = g_array_index(c->s->members, u32, k);
		GArray *list;
		char *title;

		if (pos == c->s->cover)
			continue;
		patches++;
		title = subject_title_key(at(c->t, pos)->subj.title);
		list = *title ? g_hash_table_lookup(c->t->by_patch, title) : NULL;
		for (guint i = list && list->len > COMPARE_MAX ? list->len - COMPARE_MAX : 0;
		     list && i < list->len; i++) {
			gpointer id = GUINT_TO_POINTER(g_array_index(list, u32, i) + 1);
			guint n = GPOINTER_TO_UINT(g_hash_table_lookup(shared, id));

			g_hash_table_insert(shared, id, GUINT_TO_POINTER(n + 1));
		}
		g_free(title);
	}
	g_hash_table_iter_init(&it, shared);
	while (g_hash_table_iter_next(&it, &key, &value))
		consider(c, GPOINTER_TO_UINT(key) - 1, GPOINTER_TO_UINT(value) * 2 >= patches);
	g_hash_table_destroy(shared);
}

static void consider_links(struct candidate *c)
{
	for (guint k = 0; k < c->s->members->len; k++) {
		const struct entry *e = at(c->t, g_array_index(c->s->members, u32, k));

		for (u32 i = 0; i < e->links_n; i++) {
			u32 pos = lookup(c->t, entry_link(e, i));

			if (pos != POS_NONE && c->t->place[pos].series >= 0)
				consider(c, c->t->place[pos].series, false);
		}
	}
}

static GHashTable *words_of(const char *key)
{
	GHashTable *h = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
	char **words = g_strsplit_set(key, " ,.:;()/", 64);

	for (char **w = words; *w; w++)
		if (**w)
			g_hash_table_add(h, g_strdup(*w));
	g_strfreev(words);
	return h;
}

/* Half of all words in common, and the same subsystem in front. */
static bool similar(const char *a, const char *b)
{
	size_t x = strcspn(a, ":"), y = strcspn(b, ":");
	GHashTable *p, *q;
	GHashTableIter it;
	gpointer w;
	guint both = 0, all;

	if (!a[x] || x != y || strncmp(a, b, x))
		return false;
	p = words_of(a);
	q = words_of(b);
	g_hash_table_iter_init(&it, p);
	while (g_hash_table_iter_next(&it, &w, NULL))
		both += g_hash_table_contains(q, w);
	all = g_hash_table_size(p) + g_hash_table_size(q) - both;
	g_hash_table_destroy(p);
	g_hash_table_destroy(q);
	return both >= 3 && both * 2 >= all;
}

static void consider_similar(struct candidate *c)
{
	char *author = g_ascii_strdown(at(c->t, c->s->lead)->from_addr, -1);
	GArray *list = g_hash_table_lookup(c->t->by_author, author);
	guint tried = 0;

	for (guint i = list ? list->len : 0; i-- > 0 && tried < COMPARE_MAX;) {
		u32 k = g_array_index(list, u32, i);
		struct series *e = threads_series(c->t, k);

		if (e->oldest >= c->s->oldest || e->version >= c->s->version)
			continue;
		if (at(c->t, c->s->oldest)->time - at(c->t, e->oldest)->time > SIMILAR_SECONDS)
			continue;
		tried++;
		if (similar(e->key, c->s->key))
			consider(c, k, false);
	}
	g_free(author);
}

s32 threads_previous(struct threads *t, s32 series)
{
	struct series *s = threads_series(t, series);
	struct candidate c = { t, s, series, -1 };

	if (s->prev != PREV_UNKNOWN)
		return s->prev;
	consider_list(&c, t->by_title, s->key, true);
	for (guint k = 0; k < s->members->len; k++)
		consider_list(&c, t->by_change,
			      at(t, g_array_index(s->members, u32, k))->change_id, true);
	consider_patches(&c);
	consider_links(&c);
	if (c.best < 0 && s->version > 1)
		consider_similar(&c);
	s->prev = c.best;
	return s->prev;
}

bool threads_patch_is_later(struct threads *t, u32 pos)
{
	struct series *s = threads_series(t, t->place[pos].series);
	char *key = subject_title_key(at(t, pos)->subj.title);
	GArray *list = *key ? g_hash_table_lookup(t->by_patch, key) : NULL;
	struct candidate c = { t, s, t->place[pos].series, -1 };

	for (guint i = list && list->len > COMPARE_MAX ? list->len - COMPARE_MAX : 0;
	     list && i < list->len && c.best < 0; i++)
		consider(&c, g_array_index(list, u32, i), true);
	g_free(key);
	return c.best >= 0;
}

void threads_build(struct threads *t, const struct index *ix, u32 count)
{
	memset(t, 0, sizeof(*t));
	t->ix = ix;
	t->count = count;
	t->place = g_new(struct place, count ?: 1);
	t->series = g_ptr_array_new_with_free_func(series_free);
	t->by_id = g_hash_table_new(g_int64_hash, g_int64_equal);
	for (u32 i = 0; i < count; i++) {
		struct entry *e = at(t, i);

		t->place[i] = (struct place){ .series = -1, .answers = -1, .target = POS_NONE,
					      .thread = i };
		/* The first to use a Message-Id has it. */
		if (threads_counts(t, i) && e->id && !g_hash_table_contains(t->by_id, &e->id))
			g_hash_table_insert(t->by_id, &e->id, GUINT_TO_POINTER(i + 1));
	}
	build_series(t);
	build_threads(t);
	build_replies(t);
	build_versions(t);
}

void threads_free(struct threads *t)
{
	GHashTable *const tables[] = { t->by_id, t->by_title, t->by_patch, t->by_change,
				       t->by_author };

	for (size_t i = 0; i < ARRAY_SIZE(tables); i++)
		if (tables[i])
			g_hash_table_destroy(tables[i]);
	if (t->series)
		g_ptr_array_free(t->series, TRUE);
	g_free(t->place);
	memset(t, 0, sizeof(*t));
}
