/* SPDX-License-Identifier: MIT */
/*
 * The index file: a header, then batches, each written with its checksum and never changed again.
 *
 *	file  := "softvirt-digest\n" u32 version, u32 zero, batch*
 *	batch := "SVDB" u32 epoch, u32 records, u32 zero, u64 length, u64 checksum, record*
 *
 * A batch covers commits of one epoch, parents before children, and follows the epoch's previous
 * batch. All numbers are little-endian.
 *
 * Invariants. What precedes the first bad batch is good: a torn tail, from a kill or a full disk,
 * is cut off by the next writer and costs the work of that batch only. A file is only ever
 * extended by a writer that holds flock(LOCK_EX) on it and has read it under that lock, so two runs
 * at once build one index between them; a reader takes LOCK_SH and copies the file into its own
 * memory, so nothing a writer does later can touch it. Where the archive's history was rewritten,
 * the file is emptied and built anew, under the same lock.
 *
 * The file is data like any other: each length in it is checked, each string is valid UTF-8 or the
 * batch counts as bad. Its checksum is against accidents; who can write beside the archive can
 * write the archive too.
 *
 * Locks: one, the file's. It is taken with nothing else held.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "digest/index.h"
#include "digest/text.h"

#define INDEX_MAGIC "softvirt-digest\n"
#define INDEX_VERSION 1u
#define HEADER_LEN 24u
#define BATCH_MAGIC "SVDB"
#define BATCH_HEAD_LEN 32u
#define BATCH_RECORDS 1000u
#define BATCH_BYTES (4u << 20)
/* A record's strings are bounded by the parser; this bounds what a file may claim. */
#define RECORD_MAX (64u << 20)
/* A mail above this isn't parsed. */
#define MAIL_MAX (1ull << 30)
#define REFS_KEPT 24u

/* Writing records */

static void put_u32(GString *b, u32 v)
{
	u8 raw[4] = { v, v >> 8, v >> 16, v >> 24 };

	g_string_append_len(b, (char *)raw, 4);
}

static void put_u64(GString *b, u64 v)
{
	put_u32(b, v);
	put_u32(b, v >> 32);
}

static void put_string(GString *b, const char *s)
{
	size_t n = strlen(s);

	put_u32(b, n);
	g_string_append_len(b, s, n + 1);
}

u64 index_message_hash(const char *message_id)
{
	return *message_id ? text_hash(message_id, strlen(message_id)) ?: 1 : 0;
}

/* The same sender, Message-Id, title and date: the same mail, whatever a relay added to it. */
static u64 mail_identity(const struct mail *m, const git_oid *blob)
{
	struct subject s;
	char *key;
	u64 h;

	if (!*m->message_id)
		return text_hash((const char *)blob->id, sizeof(blob->id));
	subject_parse(m->subject, &s);
	key = g_strdup_printf("%s\n%s\n%s\n%lld", m->message_id, m->from_addr, s.title,
			      m->has_date ? (long long)m->date : 0);
	h = text_hash(key, strlen(key));
	g_free(key);
	return h;
}

static void put_mail(GString *b, const struct mail *m)
{
	u32 refs = min(m->refs->len, REFS_KEPT);

	put_u64(b, m->date);
	put_u64(b, index_message_hash(m->message_id));
	put_string(b, m->message_id);
	put_string(b, m->subject);
	put_string(b, m->from);
	put_string(b, m->from_name);
	put_string(b, m->from_addr);
	put_string(b, m->author_name);
	put_string(b, m->author_addr);
	put_string(b, m->change_id);
	/* The nearest ancestors, and the last of the list: the thread's root. */
	put_u32(b, refs);
	for (u32 i = 0; i < refs; i++) {
		u32 k = i + 1 == refs ? m->refs->len - 1 : i;

		put_u64(b, index_message_hash(m->refs->pdata[k]));
	}
	put_u32(b, m->links->len);
	for (u32 i = 0; i < m->links->len; i++)
		put_u64(b, index_message_hash(m->links->pdata[i]));
	put_u32(b, m->reviews->len);
	for (u32 i = 0; i < m->reviews->len; i++) {
		const struct review_tag *t = m->reviews->pdata[i];

		g_string_append_c(b, t->kind);
		put_string(b, t->person);
	}
	put_u32(b, m->paths->len);
	for (u32 i = 0; i < m->paths->len; i++)
		put_string(b, m->paths->pdata[i]);
}

/*
 * One commit's record. A commit that cannot be read is an error; *missing: the mail's bytes could
 * not be had, which another run may find mended.
 */
static int put_commit(GString *b, struct epoch *ep, const git_oid *id, u8 flags, bool *missing,
		      struct failure *f)
{
	size_t start = b->len, head, type;
	enum change what;
	git_oid blob = { 0 };
	git_odb_object *o = NULL;
	struct mail m;
	bool parsed = false;
	s64 time;
	u32 len;

	if (archive_commit(ep, id, &what, &blob, &time))
		return failure_set(f, -EIO, "commit %s of '%s' cannot be read: %s",
				   git_oid_tostr_s(id), ep->path, git_error_last()->message);
	put_u32(b, 0);
	type = b->len;
	g_string_append_c(b, ENTRY_NONE);
	head = b->len;
	g_string_append_c(b, flags);
	g_string_append_len(b, (char *)id->id, sizeof(id->id));
	g_string_append_len(b, (char *)blob.id, sizeof(blob.id));
	put_u64(b, time);
	if (what != CHANGE_NONE) {
		*missing = git_odb_read(&o, ep->odb, &blob) != 0;
		if (o && git_odb_object_size(o) <= MAIL_MAX)
			parsed = mail_parse(git_odb_object_data(o), git_odb_object_size(o),
					    &m) == 0;
		b->str[type] = what == CHANGE_DELETE ? ENTRY_DELETE :
			       parsed ? ENTRY_MAIL : ENTRY_UNREADABLE;
	}
	put_u64(b, parsed ? mail_identity(&m, &blob) :
		what != CHANGE_NONE ? text_hash((char *)blob.id, sizeof(blob.id)) : 0);
	if (parsed) {
		if (what == CHANGE_MAIL) {
			b->str[head] |= m.has_date ? ENTRY_HAS_DATE : 0;
			b->str[head] |= m.has_diff ? ENTRY_HAS_DIFF : 0;
			put_mail(b, &m);
		} else {
			put_string(b, m.message_id);
		}
		mail_clear(&m);
	} else if (what == CHANGE_DELETE) {
		put_string(b, "");
	}
	git_odb_object_free(o);
	len = b->len - start - 4;
	for (int i = 0; i < 4; i++)
		b->str[start + i] = len >> (8 * i);
	return 0;
}

/* Reading records: a cursor that fails for good at the first thing that doesn't fit. */

struct cursor {
	const u8 *p, *end;
	bool bad;
};

static const u8 *get(struct cursor *c, size_t n)
{
	const u8 *p = c->p;

	if (c->bad || (size_t)(c->end - c->p) < n) {
		c->bad = true;
		return NULL;
	}
	c->p += n;
	return p;
}

static u32 get_u32(struct cursor *c)
{
	const u8 *p = get(c, 4);

	return p ? p[0] | p[1] << 8 | p[2] << 16 | (u32)p[3] << 24 : 0;
}

static u64 get_u64(struct cursor *c)
{
	u64 lo = get_u32(c);

	return lo | (u64)get_u32(c) << 32;
}

static const char *get_string(struct cursor *c)
{
	u32 n = get_u32(c);
	const char *s = (const char *)get(c, (size_t)n + 1);

	if (!s || s[n] || !g_utf8_validate_len(s, n, NULL)) {
		c->bad = true;
		return "";
	}
	return s;
}

static void get_mail(struct cursor *c, struct entry *e)
{
	e->date = get_u64(c);
	e->id = get_u64(c);
	e->message_id = get_string(c);
	e->subject = get_string(c);
	e->from = get_string(c);
	e->from_name = get_string(c);
	e->from_addr = get_string(c);
	e->author_name = get_string(c);
	e->author_addr = get_string(c);
	e->change_id = get_string(c);
	e->refs_n = get_u32(c);
	e->refs = get(c, (size_t)e->refs_n * 8);
	e->links_n = get_u32(c);
	e->links = get(c, (size_t)e->links_n * 8);
	e->reviews_n = get_u32(c);
	e->reviews = c->p;
	for (u32 i = 0; i < e->reviews_n && !c->bad; i++) {
		const u8 *kind = get(c, 1);

		if (!kind || *kind >= REVIEW_KINDS)
			c->bad = true;
		get_string(c);
	}
	e->paths_n = get_u32(c);
	e->paths = c->p;
	for (u32 i = 0; i < e->paths_n && !c->bad; i++)
		get_string(c);
	subject_parse(e->subject, &e->subj);
	e->patch = !e->subj.reply && !e->subj.pull &&
		   (e->subj.patch || (e->flags & ENTRY_HAS_DIFF) || (e->subj.rfc && e->subj.total));
}

static bool get_record(struct cursor *c, struct entry *e)
{
	u32 len = get_u32(c);
	const u8 *p = len <= RECORD_MAX ? get(c, len) : NULL, *raw;
	struct cursor r = { p, p ? p + len : p, !p };

	memset(e, 0, sizeof(*e));
	e->message_id = e->subject = e->from = e->from_name = e->from_addr = "";
	e->author_name = e->author_addr = e->change_id = "";
	raw = get(&r, 2);
	if (raw) {
		e->type = raw[0];
		e->flags = raw[1];
	}
	raw = get(&r, 40);
	if (raw) {
		memcpy(e->commit.id, raw, 20);
		memcpy(e->blob.id, raw + 20, 20);
	}
	e->time = get_u64(&r);
	e->ident = get_u64(&r);
	if (e->type == ENTRY_MAIL)
		get_mail(&r, e);
	else if (e->type == ENTRY_DELETE) {
		e->message_id = get_string(&r);
		e->id = index_message_hash(e->message_id);
	} else if (e->type != ENTRY_UNREADABLE && e->type != ENTRY_NONE) {
		r.bad = true;
	}
	return !r.bad && r.p == r.end;
}

u64 entry_ref(const struct entry *e, u32 i)
{
	struct cursor c = { e->refs + (size_t)i * 8, e->refs + (size_t)e->refs_n * 8, false };

	return get_u64(&c);
}

u64 entry_link(const struct entry *e, u32 i)
{
	struct cursor c = { e->links + (size_t)i * 8, e->links + (size_t)e->links_n * 8, false };

	return get_u64(&c);
}

const char *entry_path(const u8 **at)
{
	const u8 *p = *at;
	u32 n = p[0] | p[1] << 8 | p[2] << 16 | (u32)p[3] << 24;

	*at = p + 4 + n + 1;
	return (const char *)p + 4;
}

const char *entry_review(const u8 **at, enum review_kind *kind)
{
	*kind = **at;
	(*at)++;
	return entry_path(at);
}

/* One batch's records become entries; all or none. */
static bool add_records(struct index *ix, u32 epoch, u32 count, const u8 *p, size_t len)
{
	struct cursor c = { p, p + len, false };
	guint before = ix->entries->len;

	for (u32 i = 0; i < count; i++) {
		struct entry e;

		if (!get_record(&c, &e)) {
			g_array_set_size(ix->entries, before);
			return false;
		}
		e.epoch = epoch;
		g_array_append_val(ix->entries, e);
	}
	if (c.p != c.end) {
		g_array_set_size(ix->entries, before);
		return false;
	}
	return true;
}

static void batch_head(u8 *head, u32 epoch, u32 count, const GString *records)
{
	GString *b = g_string_new_len(BATCH_MAGIC, 4);

	put_u32(b, epoch);
	put_u32(b, count);
	put_u32(b, 0);
	put_u64(b, records->len);
	put_u64(b, text_checksum(records->str, records->len) ^ text_checksum(b->str, b->len));
	memcpy(head, b->str, BATCH_HEAD_LEN);
	g_string_free(b, TRUE);
}

/* Takes what is good of a file's content; returns how many bytes that is. */
static size_t load_bytes(struct index *ix, const u8 *p, size_t len)
{
	struct cursor c = { p, p + len, false };
	const u8 *magic = get(&c, strlen(INDEX_MAGIC));
	size_t good;

	if (!magic || memcmp(magic, INDEX_MAGIC, strlen(INDEX_MAGIC)) ||
	    get_u32(&c) != INDEX_VERSION || get_u32(&c) != 0 || c.bad)
		return 0;
	good = HEADER_LEN;
	for (;;) {
		const u8 *head = get(&c, BATCH_HEAD_LEN), *body;
		struct cursor h = { head, head ? head + BATCH_HEAD_LEN : head, !head };
		u32 epoch, count, zero;
		u64 n, sum;

		if (!head || memcmp(get(&h, 4), BATCH_MAGIC, 4))
			break;
		epoch = get_u32(&h);
		count = get_u32(&h);
		zero = get_u32(&h);
		n = get_u64(&h);
		sum = get_u64(&h);
		if (zero || epoch > G_MAXUINT16 || n > SIZE_MAX / 2 || !(body = get(&c, n)) ||
		    sum != (text_checksum(body, n) ^ text_checksum(head, BATCH_HEAD_LEN - 8)) ||
		    !add_records(ix, epoch, count, body, n))
			break;
		good = c.p - p;
	}
	return good;
}

static void index_reset(struct index *ix)
{
	g_array_set_size(ix->entries, 0);
	g_ptr_array_set_size(ix->buffers, 0);
	g_clear_pointer(&ix->by_commit, g_hash_table_destroy);
}

static int load_fd(struct index *ix, int fd, size_t *good)
{
	char magic[sizeof(INDEX_MAGIC) - 1];
	struct stat st;
	size_t len = 0;
	ssize_t n;
	u8 *p;

	index_reset(ix);
	*good = 0;
	if (fstat(fd, &st) || !S_ISREG(st.st_mode))
		return -EINVAL;
	/* Somebody's file that is no index is never written to; a torn header is none of those. */
	n = pread(fd, magic, sizeof(magic), 0);
	if (n < 0 || memcmp(magic, INDEX_MAGIC, n)) {
		errno = EEXIST;
		return -EEXIST;
	}
	p = g_try_malloc((size_t)st.st_size + 1);
	if (!p)
		return -ENOMEM;
	while (len < (size_t)st.st_size) {
		n = pread(fd, p + len, st.st_size - len, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			break;
		len += n;
	}
	g_ptr_array_add(ix->buffers, p);
	*good = load_bytes(ix, p, len);
	return 0;
}

/* What is missing */

static guint oid_hash(gconstpointer p)
{
	guint h;

	memcpy(&h, ((const git_oid *)p)->id, sizeof(h));
	return h;
}

static gboolean oid_equal(gconstpointer a, gconstpointer b)
{
	return git_oid_equal(a, b);
}

/* Positions of commits; entries must not move while it is used. */
static void index_by_commit(struct index *ix)
{
	g_clear_pointer(&ix->by_commit, g_hash_table_destroy);
	ix->by_commit = g_hash_table_new(oid_hash, oid_equal);
	for (u32 i = 0; i < ix->entries->len; i++)
		g_hash_table_insert(ix->by_commit, &index_entry(ix, i)->commit,
				    GUINT_TO_POINTER(i + 1));
}

s64 index_find(const struct index *ix, const git_oid *commit)
{
	return (s64)GPOINTER_TO_UINT(g_hash_table_lookup(ix->by_commit, commit)) - 1;
}

struct walk_step {
	git_oid id, first;   /* the commit, its first parent */
	unsigned int parent; /* the next to visit */
	bool entered;
};

struct new_commit {
	git_oid id;
	bool chained; /* its only parent is the commit before it, or it is the first */
};

/*
 * The epoch's commits that `known` lacks, parents before children, without recursion.
 * *met: whether `last` was come upon (the history still contains what was indexed).
 */
static int walk_new(struct epoch *ep, GHashTable *known, const git_oid *last, GArray *out,
		    bool *met)
{
	const git_oid *prev = last;

	GHashTable *seen = g_hash_table_new_full(oid_hash, oid_equal, g_free, NULL);
	GArray *stack = g_array_new(FALSE, FALSE, sizeof(struct walk_step));
	struct walk_step s = { .id = ep->tip };
	int err = 0;

	*met = false;
	g_array_append_val(stack, s);
	while (stack->len && !err) {
		struct walk_step *top = &g_array_index(stack, struct walk_step, stack->len - 1);
		struct walk_step child = { .parent = 0 };
		int n;

		if (!top->entered) {
			*met |= last && git_oid_equal(&top->id, last);
			if (g_hash_table_contains(known, &top->id) ||
			    g_hash_table_contains(seen, &top->id)) {
				g_array_set_size(stack, stack->len - 1);
				continue;
			}
			g_hash_table_add(seen, g_memdup2(&top->id, sizeof(top->id)));
			top->entered = true;
		}
		n = archive_parent(ep, &top->id, top->parent++, &child.id);
		if (n < 0) {
			err = n;
		} else if (n > 0) {
			top->first = top->parent == 1 ? child.id : top->first;
			g_array_append_val(stack, child);
		} else {
			struct new_commit c = { .id = top->id };

			c.chained = top->parent == 1 ? !prev :
				    top->parent == 2 && prev && git_oid_equal(&top->first, prev);
			g_array_append_val(out, c);
			prev = &g_array_index(out, struct new_commit, out->len - 1).id;
			g_array_set_size(stack, stack->len - 1);
		}
	}
	g_array_free(stack, TRUE);
	g_hash_table_destroy(seen);
	return err;
}

/* The last commit indexed of an epoch, NULL if none. */
static const git_oid *last_of(const struct index *ix, unsigned int epoch)
{
	for (u32 i = ix->entries->len; i-- > 0;)
		if (index_entry(ix, i)->epoch == epoch)
			return &index_entry(ix, i)->commit;
	return NULL;
}

static struct epoch *epoch_of(struct archive *a, unsigned int number)
{
	for (guint i = 0; i < a->epochs->len; i++) {
		struct epoch *e = a->epochs->pdata[i];

		if (e->number == number)
			return e;
	}
	return NULL;
}

static bool is_current(const struct index *ix, struct archive *a)
{
	unsigned int prev = G_MAXUINT;

	for (u32 i = 0; i < ix->entries->len; i++) {
		unsigned int n = index_entry(ix, i)->epoch;

		if (n != prev && !epoch_of(a, n))
			return false;
		prev = n;
	}
	for (guint i = 0; i < a->epochs->len; i++) {
		struct epoch *e = a->epochs->pdata[i];
		const git_oid *last = last_of(ix, e->number);

		if (e->empty ? last != NULL : !last || !git_oid_equal(last, &e->tip))
			return false;
	}
	return true;
}

/* Extending */

struct writer {
	struct index *ix;
	const struct index_options *opt;
	int fd; /* -1: in memory, or no longer worth trying */
	off_t end;
	GString *records;
	u32 count, epoch;
	u64 done, total;
};

static int write_all(int fd, const void *p, size_t n, off_t at)
{
	while (n) {
		ssize_t w = pwrite(fd, p, n, at);

		if (w < 0 && errno == EINTR)
			continue;
		if (w < 0)
			return -errno;
		if (w == 0)
			return -EIO;
		p = (const char *)p + w;
		at += w;
		n -= w;
	}
	return 0;
}

/* The index in memory is complete whatever the disk says; a file that can't grow is left good. */
static void writer_stop(struct writer *w, int err)
{
	char text[256];

	if (ftruncate(w->fd, w->end) && w->opt->note)
		w->opt->note("the index file may end in a torn batch; the next run cuts it off");
	snprintf(text, sizeof(text), "the index '%.150s' cannot be extended: %s", w->ix->path,
		 strerror(-err));
	if (w->opt->note)
		w->opt->note(text);
	w->fd = -1;
}

static int writer_flush(struct writer *w, struct failure *f)
{
	u8 head[BATCH_HEAD_LEN];
	GString *r = w->records;
	size_t len = r->len;
	char *bytes;
	int err;

	if (!w->count)
		return 0;
	batch_head(head, w->epoch, w->count, r);
	bytes = g_string_free(r, FALSE);
	if (w->fd >= 0) {
		/* The head last: until it is there, the batch isn't. */
		err = write_all(w->fd, bytes, len, w->end + BATCH_HEAD_LEN);
		err = err ?: write_all(w->fd, head, BATCH_HEAD_LEN, w->end);
		if (err)
			writer_stop(w, err);
		else
			w->end += BATCH_HEAD_LEN + len;
	}
	g_ptr_array_add(w->ix->buffers, bytes);
	if (!add_records(w->ix, w->epoch, w->count, (u8 *)bytes, len))
		return failure_set(f, -EIO, "a record just made for the index does not read back");
	w->records = g_string_new(NULL);
	w->count = 0;
	return 0;
}

static int extend_epoch(struct writer *w, struct epoch *ep, const GArray *ids, struct failure *f)
{
	int err = 0;

	w->epoch = ep->number;
	for (guint i = 0; i < ids->len && !err; i++) {
		const struct new_commit *c = &g_array_index(ids, struct new_commit, i);
		size_t start = w->records->len;
		bool missing = false;

		err = put_commit(w->records, ep, &c->id, c->chained ? 0 : ENTRY_BRANCHES, &missing,
				 f);
		if (err)
			break;
		if (missing && w->fd >= 0) {
			/* What comes before is kept; the rest is tried again next time. */
			GString *rest = g_string_new_len(w->records->str + start,
							 w->records->len - start);

			g_string_truncate(w->records, start);
			err = writer_flush(w, f);
			writer_stop(w, -ENODATA);
			g_string_append_len(w->records, rest->str, rest->len);
			g_string_free(rest, TRUE);
		}
		w->done++;
		if (!err && (++w->count >= BATCH_RECORDS || w->records->len >= BATCH_BYTES))
			err = writer_flush(w, f);
		if (w->opt->progress)
			w->opt->progress(w->opt->ctx, w->done, w->total);
	}
	return err ?: writer_flush(w, f);
}

/* Whether all that is indexed is still in the archive; `fresh` gets, per epoch, what is not yet. */
static int find_new(struct index *ix, struct archive *a, GPtrArray *fresh, bool *rewritten,
		    struct failure *f)
{
	int err = 0;

	*rewritten = false;
	index_by_commit(ix);
	for (u32 i = 0; i < ix->entries->len; i++)
		*rewritten |= !epoch_of(a, index_entry(ix, i)->epoch);
	g_ptr_array_set_size(fresh, 0);
	for (guint i = 0; i < a->epochs->len && !err; i++) {
		struct epoch *ep = a->epochs->pdata[i];
		const git_oid *last = last_of(ix, ep->number);
		GArray *ids = g_array_new(FALSE, FALSE, sizeof(struct new_commit));
		bool met = false;

		g_ptr_array_add(fresh, ids);
		if (!ep->empty)
			err = walk_new(ep, ix->by_commit, last, ids, &met);
		if (err)
			err = failure_set(f, -EIO,
					  "'%s' cannot be read: commits are missing or broken "
					  "(try git fsck)",
					  ep->path);
		*rewritten |= last && !met;
	}
	return err;
}

static int index_extend(struct index *ix, struct archive *a, const struct index_options *opt,
			int fd, size_t good, struct failure *f)
{
	GPtrArray *fresh = g_ptr_array_new_with_free_func((GDestroyNotify)g_array_unref);
	struct writer w = { .ix = ix, .opt = opt, .fd = fd, .end = good };
	bool rewritten;
	int err = find_new(ix, a, fresh, &rewritten, f);

	if (!err && rewritten) {
		index_reset(ix);
		w.end = 0;
		if (opt->note)
			opt->note("the archive's history was rewritten: its index is built anew");
		err = find_new(ix, a, fresh, &rewritten, f);
	}
	if (!err && fd >= 0) {
		GString *head = g_string_new(INDEX_MAGIC);
		int werr = 0;

		put_u32(head, INDEX_VERSION);
		put_u32(head, 0);
		if (ftruncate(fd, w.end))
			werr = -errno;
		if (!werr && w.end == 0) {
			werr = write_all(fd, head->str, head->len, 0);
			w.end = werr ? 0 : HEADER_LEN;
		}
		if (werr)
			writer_stop(&w, werr);
		g_string_free(head, TRUE);
	}
	w.records = g_string_new(NULL);
	for (guint i = 0; i < fresh->len; i++)
		w.total += ((GArray *)fresh->pdata[i])->len;
	for (guint i = 0; i < fresh->len && !err; i++)
		err = extend_epoch(&w, a->epochs->pdata[i], fresh->pdata[i], f);
	g_string_free(w.records, TRUE);
	g_ptr_array_free(fresh, TRUE);
	return err;
}

/* After loading: order, deletions, duplicates */

static gint entry_compare(gconstpointer pa, gconstpointer pb)
{
	const struct entry *a = pa, *b = pb;

	return (a->epoch > b->epoch) - (a->epoch < b->epoch);
}

struct chains {
	GHashTable *by_key; /* u64 * -> position + 1 of the newest */
	u32 *older;         /* position + 1 of the one before, 0 at the end */
};

static void chains_init(struct chains *c, u32 n)
{
	c->by_key = g_hash_table_new(g_int64_hash, g_int64_equal);
	c->older = g_new0(u32, n ?: 1);
}

static void chains_push(struct chains *c, const u64 *key, u32 pos)
{
	c->older[pos] = GPOINTER_TO_UINT(g_hash_table_lookup(c->by_key, key));
	g_hash_table_replace(c->by_key, (void *)key, GUINT_TO_POINTER(pos + 1));
}

/* Deletes every live mail of the chain; what is deleted leaves it. Returns how many. */
static u32 chains_delete(struct chains *c, struct index *ix, const u64 *key)
{
	u32 n = 0, i = GPOINTER_TO_UINT(g_hash_table_lookup(c->by_key, key));

	for (; i; i = c->older[i - 1]) {
		struct entry *e = index_entry(ix, i - 1);

		n += e->state != STATE_DELETED;
		e->state = STATE_DELETED;
	}
	g_hash_table_remove(c->by_key, key);
	return n;
}

static void chains_free(struct chains *c)
{
	g_hash_table_destroy(c->by_key);
	g_free(c->older);
}

static void settle(struct index *ix)
{
	u32 n = ix->entries->len;
	struct chains ident, id;
	bool sorted = true;

	for (u32 i = 1; i < n && sorted; i++)
		sorted = index_entry(ix, i - 1)->epoch <= index_entry(ix, i)->epoch;
	/* g_array_sort() is stable: within an epoch the order stays. */
	if (!sorted)
		g_array_sort(ix->entries, entry_compare);
	index_by_commit(ix);
	chains_init(&ident, n);
	chains_init(&id, n);
	ix->mails = 0;
	for (u32 i = 0; i < n; i++) {
		struct entry *e = index_entry(ix, i);

		e->state = STATE_LIVE;
		if (e->type == ENTRY_DELETE) {
			/* By content; failing that, by name. */
			if (!chains_delete(&ident, ix, &e->ident) && e->id)
				chains_delete(&id, ix, &e->id);
		}
		if (e->type != ENTRY_MAIL && e->type != ENTRY_UNREADABLE)
			continue;
		ix->mails++;
		if (e->id && g_hash_table_lookup(ident.by_key, &e->ident))
			e->state = STATE_DUPLICATE;
		chains_push(&ident, &e->ident, i);
		if (e->id)
			chains_push(&id, &e->id, i);
	}
	chains_free(&ident);
	chains_free(&id);
}

/* Where the file lies */

static int lock(int fd, int how, const struct index_options *opt)
{
	if (flock(fd, how | LOCK_NB) == 0)
		return 0;
	if (errno != EWOULDBLOCK)
		return -errno;
	if (opt->note)
		opt->note("waiting for another run that extends the index");
	while (flock(fd, how)) {
		if (errno != EINTR)
			return -errno;
	}
	return 0;
}

/*
 * Uses the file at `path`. 0: the index is complete. -EAGAIN: not this file, try the next.
 * Another error: the archive itself cannot be read.
 */
static int try_file(struct index *ix, struct archive *a, const struct index_options *opt,
		    const char *path, struct failure *f)
{
	const int flags = O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY;
	int fd = open(path, O_RDONLY | flags), err;
	size_t good;

	ix->path = g_strdup(path);
	if (fd >= 0) {
		err = lock(fd, LOCK_SH, opt) ?: load_fd(ix, fd, &good);
		close(fd);
		if (!err && good && is_current(ix, a))
			return 0;
	}
	fd = open(path, O_RDWR | O_CREAT | flags, 0666);
	if (fd < 0 || lock(fd, LOCK_EX, opt) || load_fd(ix, fd, &good)) {
		err = errno;
		if (fd >= 0)
			close(fd);
		errno = err;
		index_reset(ix);
		g_clear_pointer(&ix->path, g_free);
		return -EAGAIN;
	}
	err = is_current(ix, a) && good ? 0 : index_extend(ix, a, opt, fd, good, f);
	close(fd);
	return err;
}

/* For an archive in a place that can't be written: one file per archive in the user's cache. */
static char *cache_path(struct archive *a)
{
	char *dir = g_build_filename(g_get_user_cache_dir(), "softvirt-digest", NULL);
	char *name, *path;

	if (g_mkdir_with_parents(dir, 0700)) {
		g_free(dir);
		return NULL;
	}
	name = g_strdup_printf("%016llx.index", (unsigned long long)
			       text_hash(a->index_path, strlen(a->index_path)));
	path = g_build_filename(dir, name, NULL);
	g_free(name);
	g_free(dir);
	return path;
}

int index_open(struct archive *a, const struct index_options *opt, struct index *ix,
	       struct failure *f)
{
	char *paths[2] = { NULL, NULL };
	int err = -EAGAIN;

	memset(ix, 0, sizeof(*ix));
	ix->entries = g_array_new(FALSE, FALSE, sizeof(struct entry));
	ix->buffers = g_ptr_array_new_with_free_func(g_free);
	if (!opt->memory_only) {
		paths[0] = g_strdup(opt->path ?: a->index_path);
		err = try_file(ix, a, opt, paths[0], f);
		if (err == -EAGAIN && !opt->path && (paths[1] = cache_path(a)))
			err = try_file(ix, a, opt, paths[1], f);
		if (err == -EAGAIN && opt->path)
			err = failure_set(f, -EINVAL,
					  "the index '%s' can be neither read nor written: %s",
					  opt->path, strerror(errno));
		else if (err == -EAGAIN && opt->note)
			opt->note("no index can be kept: a file can be written neither beside the "
				  "archive nor in the cache directory");
	}
	if (err == -EAGAIN)
		err = index_extend(ix, a, opt, -1, 0, f);
	g_free(paths[0]);
	g_free(paths[1]);
	if (err)
		index_close(ix);
	else
		settle(ix);
	return err;
}

void index_close(struct index *ix)
{
	g_clear_pointer(&ix->by_commit, g_hash_table_destroy);
	if (ix->entries)
		g_array_free(ix->entries, TRUE);
	if (ix->buffers)
		g_ptr_array_free(ix->buffers, TRUE);
	g_free(ix->path);
	memset(ix, 0, sizeof(*ix));
}
