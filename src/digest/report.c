/* SPDX-License-Identifier: MIT */
/*
 * Counting, filtering, choosing.
 *
 * The order of everything is the archive's, newest first. A filter narrows the whole update: a mail
 * that doesn't pass is not counted either. A path filter asks what a patch touches; a cover passes
 * with any patch of its series, a reply with the patch or cover it answers.
 */
#include <errno.h>
#include <string.h>

#include "digest/report.h"
#include "digest/text.h"

static const struct entry *at(const struct report *r, u32 pos)
{
	return index_entry(r->ix, pos);
}

const char *report_title(const struct entry *e)
{
	return *e->subj.title ? e->subj.title : *e->subject ? e->subject : "(no subject)";
}

const char *report_subject(const struct entry *e)
{
	return *e->subject ? e->subject : "(no subject)";
}

const char *report_author(const struct entry *e)
{
	return *e->from ? e->from : "(no author)";
}

/* Filters */

static bool any_match(const GPtrArray *patterns, const char *a, const char *b)
{
	for (guint i = 0; i < patterns->len; i++)
		if (text_match(patterns->pdata[i], a) || text_match(patterns->pdata[i], b))
			return true;
	return patterns->len == 0;
}

static bool touches(const struct report *r, u32 pos)
{
	const struct entry *e = at(r, pos);
	const u8 *p = e->paths;

	for (u32 i = 0; i < e->paths_n; i++) {
		const char *path = entry_path(&p);

		for (guint k = 0; k < r->opt->paths->len; k++)
			if (text_match_path(r->opt->paths->pdata[k], path))
				return true;
	}
	return false;
}

static bool passes_path(const struct report *r, u32 pos)
{
	const struct place *p = &r->threads.place[pos];
	const struct series *s;

	if (p->series < 0 && p->answers < 0)
		return touches(r, pos);
	if (p->series < 0)
		pos = p->target;
	s = threads_series(&r->threads, p->series < 0 ? p->answers : p->series);
	if (touches(r, pos))
		return true;
	if (pos != s->cover)
		return false;
	for (guint i = 0; i < s->members->len; i++)
		if (touches(r, g_array_index(s->members, u32, i)))
			return true;
	return false;
}

static char *person(const char *name, const char *addr)
{
	if (!*name && !*addr)
		return g_strdup("(no author)");
	return !*name ? g_strdup(addr) : !*addr ? g_strdup(name) :
	       g_strdup_printf("%s <%s>", name, addr);
}

char *report_person(const struct entry *e)
{
	return person(e->from_name, e->from_addr);
}

static bool passes(const struct report *r, u32 pos)
{
	const struct entry *e = at(r, pos);
	bool ok = true;

	if (r->opt->authors->len) {
		char *author = person(e->author_name, e->author_addr);

		ok = any_match(r->opt->authors, e->from, author);
		g_free(author);
	}
	return ok && any_match(r->opt->subjects, e->subject, e->subj.title) &&
	       (!r->opt->paths->len || passes_path(r, pos));
}

/* Counting */

static void count_free(void *p)
{
	struct count *c = p;

	g_free(c->text);
	g_free(c->name);
	g_free(c->addr);
	g_free(c);
}

static void count_one(GHashTable *h, const char *text, const char *name, const char *addr)
{
	struct count *c = g_hash_table_lookup(h, text);

	if (!c) {
		c = g_new0(struct count, 1);
		c->text = g_strdup(text);
		c->name = g_strdup(name);
		c->addr = g_strdup(addr);
		g_hash_table_insert(h, c->text, c);
	}
	c->n++;
}

/* By count falling, ties by name falling. */
static gint count_compare(gconstpointer pa, gconstpointer pb)
{
	const struct count *a = *(struct count *const *)pa, *b = *(struct count *const *)pb;

	if (a->n != b->n)
		return a->n > b->n ? -1 : 1;
	return strcmp(b->text, a->text);
}

static GPtrArray *counts_sorted(GHashTable *h)
{
	GPtrArray *list = g_ptr_array_new_with_free_func(count_free);
	GHashTableIter it;
	gpointer c;

	g_hash_table_iter_init(&it, h);
	while (g_hash_table_iter_next(&it, NULL, &c))
		g_ptr_array_add(list, c);
	g_hash_table_destroy(h);
	g_ptr_array_sort(list, count_compare);
	return list;
}

static void count_author(GHashTable *people, GHashTable *domains, const struct entry *e)
{
	char *who = person(e->author_name, e->author_addr);
	const char *at_sign = strrchr(e->author_addr, '@');
	char *domain = g_ascii_strdown(at_sign && at_sign[1] ? at_sign + 1 : "(none)", -1);

	count_one(people, who, e->author_name, e->author_addr);
	count_one(domains, domain, "", "");
	g_free(domain);
	g_free(who);
}

/* Items and parts */

static void part_free(void *p)
{
	struct part *part = p;

	g_array_free(part->items, TRUE);
	g_array_free(part->patches, TRUE);
	g_free(part);
}

static void talk_free(void *p)
{
	struct talk *t = p;

	g_ptr_array_free(t->people, TRUE);
	g_free(t);
}

static struct part *part_of(struct report *r, GHashTable *parts, s32 series)
{
	struct part *p = g_hash_table_lookup(parts, GINT_TO_POINTER(series + 1));
	const struct series *s;

	if (p)
		return p;
	s = threads_series(&r->threads, series);
	p = g_new0(struct part, 1);
	p->series = series;
	p->items = g_array_new(FALSE, FALSE, sizeof(struct item));
	p->patches = g_array_new(FALSE, FALSE, sizeof(u32));
	g_array_append_vals(p->patches, s->members->data, s->members->len);
	p->later = threads_previous(&r->threads, series) >= 0;
	g_ptr_array_add(r->parts, p);
	g_hash_table_insert(parts, GINT_TO_POINTER(series + 1), p);
	return p;
}

/* Every cover, a series' first patch, every single patch; all of them when asked. */
static bool is_item(const struct report *r, const struct series *s, u32 pos)
{
	return r->opt->all_patches || pos == s->cover || pos == s->first ||
	       at(r, pos)->subj.number == 1;
}

static void add_item(struct report *r, struct part *part, u32 pos)
{
	const struct series *s = threads_series(&r->threads, part->series);
	struct item it = { .pos = pos };

	/* What stands for its series is as new as that; another patch, as itself. */
	it.later = pos == s->cover || pos == s->first ? part->later :
		   threads_patch_is_later(&r->threads, pos);
	g_array_append_val(part->items, it);
	g_array_append_val(r->items, it);
}

static void take_patch(struct report *r, GHashTable *parts, u32 pos)
{
	s32 series = r->threads.place[pos].series;
	struct part *part = part_of(r, parts, series);

	part->fresh++;
	part->newest = max(part->newest, pos);
	if (is_item(r, threads_series(&r->threads, series), pos))
		add_item(r, part, pos);
}

/* With a path filter a series may match in its middle only: its first match speaks for it. */
static void represent(struct report *r, const bool *chosen)
{
	for (guint i = 0; i < r->parts->len; i++) {
		struct part *part = r->parts->pdata[i];
		const struct series *s = threads_series(&r->threads, part->series);
		bool shown = false;

		for (guint k = 0; k < s->members->len && !shown; k++) {
			u32 pos = g_array_index(s->members, u32, k);

			shown = is_item(r, s, pos) && passes(r, pos);
		}
		for (guint k = 0; k < s->members->len && !shown; k++) {
			u32 pos = g_array_index(s->members, u32, k);

			if (chosen[pos]) {
				add_item(r, part, pos);
				shown = true;
			}
		}
	}
}

static void take_talk(struct report *r, GHashTable *talks, u32 pos)
{
	u32 root = r->threads.place[pos].thread;
	struct talk *t = g_hash_table_lookup(talks, GUINT_TO_POINTER(root + 1));
	const struct entry *e = at(r, pos);
	const char *addr = *e->from_addr ? e->from_addr : "(no author)";
	const char *who = *e->from_name ? e->from_name : addr;

	if (!t) {
		t = g_new0(struct talk, 1);
		t->root = root;
		t->people = g_ptr_array_new_with_free_func(g_free);
		g_ptr_array_add(r->talks, t);
		g_hash_table_insert(talks, GUINT_TO_POINTER(root + 1), t);
	}
	t->mails++;
	t->newest = max(t->newest, pos);
	for (guint i = 0; i < t->people->len; i++)
		if (!strcmp(t->people->pdata[i], who))
			return;
	if (t->people->len < 100)
		g_ptr_array_add(t->people, g_strdup(who));
}

static gint item_compare(gconstpointer pa, gconstpointer pb)
{
	const struct item *a = pa, *b = pb;

	return a->pos > b->pos ? -1 : a->pos < b->pos;
}

static gint part_compare(gconstpointer pa, gconstpointer pb)
{
	const struct part *a = *(struct part *const *)pa, *b = *(struct part *const *)pb;

	return a->newest > b->newest ? -1 : a->newest < b->newest;
}

static gint talk_compare(gconstpointer pa, gconstpointer pb)
{
	const struct talk *a = *(struct talk *const *)pa, *b = *(struct talk *const *)pb;

	return a->newest > b->newest ? -1 : a->newest < b->newest;
}

static const struct report *item_order;

static gint item_by_number(gconstpointer pa, gconstpointer pb)
{
	const struct item *a = pa, *b = pb;
	u32 x = at(item_order, a->pos)->subj.number, y = at(item_order, b->pos)->subj.number;

	return x != y ? (x < y ? -1 : 1) : a->pos < b->pos ? -1 : a->pos > b->pos;
}

static void sort_all(struct report *r)
{
	g_array_sort(r->items, item_compare);
	g_ptr_array_sort(r->parts, part_compare);
	g_ptr_array_sort(r->talks, talk_compare);
	item_order = r;
	for (guint i = 0; i < r->parts->len; i++)
		g_array_sort(((struct part *)r->parts->pdata[i])->items, item_by_number);
}

/* One commit of the span. */
static void take(struct report *r, u32 pos, bool *chosen, GHashTable *tables[4])
{
	const struct entry *e = at(r, pos);
	const struct place *p = &r->threads.place[pos];

	if (e->type == ENTRY_UNREADABLE && e->state == STATE_LIVE)
		g_array_append_val(r->unreadable, pos);
	if (e->type != ENTRY_MAIL)
		return;
	r->duplicates += e->state == STATE_DUPLICATE;
	r->deleted += e->state == STATE_DELETED;
	if (e->state != STATE_LIVE || !passes(r, pos))
		return;
	chosen[pos] = true;
	r->mails++;
	r->oldest_time = r->mails == 1 ? e->time : min(r->oldest_time, e->time);
	r->newest_time = r->mails == 1 ? e->time : max(r->newest_time, e->time);
	count_author(tables[0], tables[1], e);
	if (p->series >= 0) {
		r->patches++;
		take_patch(r, tables[2], pos);
	} else if (p->answers >= 0) {
		struct part *part = part_of(r, tables[2], p->answers);

		r->replies++;
		part->replies++;
		part->newest = max(part->newest, pos);
	} else {
		r->replies += e->subj.reply;
		take_talk(r, tables[3], pos);
	}
}

/* Names */

static char *short_oid(const struct report *r, const git_oid *id)
{
	unsigned int n = CLAMP(r->opt->abbrev, 4, GIT_OID_HEXSZ);
	char hex[GIT_OID_HEXSZ + 1];

	git_oid_tostr(hex, sizeof(hex), id);
	/* Longer where another commit of the archive begins alike. */
	for (u32 i = 0; i < r->ix->entries->len && n < GIT_OID_HEXSZ; i++) {
		const git_oid *other = &at(r, i)->commit;

		while (n < GIT_OID_HEXSZ && !git_oid_ncmp(id, other, n) &&
		       !git_oid_equal(id, other))
			n++;
	}
	return g_strndup(hex, n);
}

char *report_commit(const struct report *r, u32 pos)
{
	return g_strdup_printf("%.*s", (int)CLAMP(r->opt->abbrev, 4, GIT_OID_HEXSZ),
			       git_oid_tostr_s(&at(r, pos)->commit));
}

static int read_mail(const struct report *r, u32 pos, struct mail *m)
{
	const struct entry *e = at(r, pos);
	git_odb_object *o;
	int err = -ENOENT;

	for (guint i = 0; i < r->archive->epochs->len; i++) {
		struct epoch *ep = r->archive->epochs->pdata[i];

		if (ep->number != e->epoch || git_odb_read(&o, ep->odb, &e->blob))
			continue;
		err = mail_parse(git_odb_object_data(o), git_odb_object_size(o), m);
		git_odb_object_free(o);
	}
	return err;
}

/* What the newest mail's List-Id says ("kvm.vger.kernel.org": kvm), else the archive's name. */
static char *list_name(struct report *r)
{
	char *name = NULL;
	u32 tried = 0;

	for (u32 i = r->ix->entries->len; i-- > 0 && !name && tried < 10;) {
		struct mail m;

		if (at(r, i)->type != ENTRY_MAIL || at(r, i)->state != STATE_LIVE)
			continue;
		tried++;
		if (read_mail(r, i, &m))
			continue;
		if (*m.list_id)
			name = g_strndup(m.list_id, strcspn(m.list_id, "."));
		mail_clear(&m);
	}
	if (name && *name)
		return name;
	g_free(name);
	name = g_path_get_basename(r->archive->index_path);
	name[strcspn(name, ".")] = 0;
	return name;
}

/* The list's name goes into every format's first line. */
static char *clean_name(const char *s)
{
	GString *out = g_string_new(NULL);
	char *line;

	text_append_bytes(out, s, strlen(s), NULL);
	line = text_one_line(out->str, out->len);
	g_string_free(out, TRUE);
	return line;
}

void report_append_message(struct report *r, u32 pos, GString *out)
{
	struct mail m;

	if (read_mail(r, pos, &m)) {
		g_string_append(out, "(this mail cannot be read again)\n");
		return;
	}
	mail_append_message(out, &m);
	mail_clear(&m);
}

char *report_mail_url(const struct report *r, u32 pos)
{
	const char *id = at(r, pos)->message_id;
	GString *u;

	if (!r->url || !*id)
		return NULL;
	u = g_string_new(r->url);
	text_append_url(u, id);
	g_string_append_c(u, '/');
	return g_string_free(u, FALSE);
}

int report_build(struct report *r, struct archive *a, const struct index *ix, const struct span *s,
		 const struct report_options *opt, struct failure *f)
{
	GHashTable *tables[4] = {
		g_hash_table_new(g_str_hash, g_str_equal),
		g_hash_table_new(g_str_hash, g_str_equal),
		g_hash_table_new(NULL, NULL),
		g_hash_table_new(NULL, NULL),
	};
	bool *chosen = g_new0(bool, ix->entries->len + 1);

	memset(r, 0, sizeof(*r));
	r->archive = a;
	r->ix = ix;
	r->span = s;
	r->opt = opt;
	threads_build(&r->threads, ix, s->count);
	r->list = opt->list ? clean_name(opt->list) : list_name(r);
	if (opt->url)
		r->url = g_str_has_suffix(opt->url, "/") ? g_strdup(opt->url) :
			 g_strconcat(opt->url, "/", NULL);
	else
		r->url = archive_public_url(a);
	r->from = s->from_start ? g_strdup("the beginning") : short_oid(r, &s->from);
	r->to = s->to_none ? g_strdup("the beginning") : short_oid(r, &s->to);
	r->items = g_array_new(FALSE, FALSE, sizeof(struct item));
	r->parts = g_ptr_array_new_with_free_func(part_free);
	r->talks = g_ptr_array_new_with_free_func(talk_free);
	r->unreadable = g_array_new(FALSE, FALSE, sizeof(u32));
	for (guint i = 0; i < s->chosen->len; i++)
		take(r, g_array_index(s->chosen, u32, i), chosen, tables);
	if (opt->paths->len)
		represent(r, chosen);
	r->contributors = counts_sorted(tables[0]);
	r->domains = counts_sorted(tables[1]);
	g_hash_table_destroy(tables[2]);
	g_hash_table_destroy(tables[3]);
	g_free(chosen);
	sort_all(r);
	return 0;
}

void report_free(struct report *r)
{
	threads_free(&r->threads);
	g_free(r->list);
	g_free(r->url);
	g_free(r->from);
	g_free(r->to);
	g_ptr_array_free(r->contributors, TRUE);
	g_ptr_array_free(r->domains, TRUE);
	g_array_free(r->items, TRUE);
	g_ptr_array_free(r->parts, TRUE);
	g_ptr_array_free(r->talks, TRUE);
	g_array_free(r->unreadable, TRUE);
	memset(r, 0, sizeof(*r));
}
