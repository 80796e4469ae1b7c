/* SPDX-License-Identifier: MIT */
/*
 * A span: by commits as git reads A..B, by time of arrival, or both at once.
 *
 * Time is the commit's: when a mail reached the archive. A sender's Date may be missing or wrong
 * by years; by arrival, updates of adjoining spans hold every mail exactly once.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "digest/span.h"

static int digits(const char **s, int n, int *out)
{
	*out = 0;
	for (int i = 0; i < n; i++) {
		if (!g_ascii_isdigit((*s)[i]))
			return -EINVAL;
		*out = *out * 10 + ((*s)[i] - '0');
	}
	*s += n;
	return 0;
}

/* "Z", "+02:00", "-0330"; *zone in seconds east. */
static int parse_zone(const char **s, int *zone)
{
	int sign, h, m;

	if (**s == 'Z' || **s == 'z') {
		(*s)++;
		*zone = 0;
		return 0;
	}
	if (**s != '+' && **s != '-')
		return -EINVAL;
	sign = **s == '-' ? -1 : 1;
	(*s)++;
	if (digits(s, 2, &h))
		return -EINVAL;
	*s += **s == ':';
	if (digits(s, 2, &m) || h > 14 || m > 59)
		return -EINVAL;
	*zone = sign * (h * 3600 + m * 60);
	return 0;
}

int span_parse_date(const char *s, bool end, s64 *out)
{
	struct tm tm = { .tm_isdst = -1 }, check;
	bool day_only = true, has_zone = false;
	int year, month, zone = 0;
	time_t t;

	if (*s == '@') {
		char *stop;

		errno = 0;
		*out = strtoll(s + 1, &stop, 10);
		return s[1] && !*stop && !errno && !g_ascii_isspace(s[1]) ? 0 : -EINVAL;
	}
	if (digits(&s, 4, &year) || *s++ != '-' || digits(&s, 2, &month) || *s++ != '-' ||
	    digits(&s, 2, &tm.tm_mday))
		return -EINVAL;
	tm.tm_year = year - 1900;
	tm.tm_mon = month - 1;
	if (*s == 'T' || (*s == ' ' && g_ascii_isdigit(s[1]))) {
		s++;
		day_only = false;
		if (digits(&s, 2, &tm.tm_hour) || *s++ != ':' || digits(&s, 2, &tm.tm_min))
			return -EINVAL;
		if (*s == ':' && (s++, digits(&s, 2, &tm.tm_sec)))
			return -EINVAL;
	}
	while (*s == ' ')
		s++;
	if (*s) {
		if (parse_zone(&s, &zone))
			return -EINVAL;
		has_zone = true;
	}
	if (*s || month < 1 || month > 12 || tm.tm_mday < 1 || tm.tm_hour > 23 || tm.tm_min > 59 ||
	    tm.tm_sec > 60)
		return -EINVAL;
	/* The 31st of February is no date, although mktime() knows one. */
	check = tm;
	check.tm_hour = check.tm_min = check.tm_sec = 0;
	t = timegm(&check);
	if (check.tm_mday != tm.tm_mday || t == -1)
		return -EINVAL;
	if (day_only && end)
		tm.tm_mday++;
	*out = has_zone ? (s64)timegm(&tm) - zone : (s64)mktime(&tm);
	return 0;
}

int span_parse_period(const char *s, s64 *out)
{
	static const struct { char unit; s64 seconds; } units[] = {
		{ 'h', 3600 }, { 'd', 86400 }, { 'w', 7 * 86400 }, { 'm', 30 * 86400 },
		{ 'y', 365 * 86400 },
	};
	s64 n = 0;

	if (!g_ascii_isdigit(*s))
		return -EINVAL;
	while (g_ascii_isdigit(*s)) {
		n = n * 10 + (*s++ - '0');
		if (n > 100000)
			return -EINVAL;
	}
	for (size_t i = 0; i < ARRAY_SIZE(units); i++) {
		if (*s == units[i].unit && !s[1]) {
			*out = n * units[i].seconds;
			return 0;
		}
	}
	return -EINVAL;
}

/* One end of A..B as a position; -1 for "before everything". */
static int resolve_end(struct archive *a, const struct index *ix, const char *name, s64 *pos,
		       struct failure *f)
{
	unsigned int epoch;
	git_oid id;
	int err = archive_resolve(a, name, &id, &epoch, f);

	if (err)
		return err;
	*pos = index_find(ix, &id);
	if (*pos < 0)
		return failure_set(f, -ENOENT,
				   "'%s' is a commit of '%s', but none of the branch that "
				   "holds its mails",
				   name, a->path);
	return 0;
}

static struct epoch *find_epoch(struct archive *a, unsigned int number)
{
	for (guint i = 0; i < a->epochs->len; i++) {
		struct epoch *e = a->epochs->pdata[i];

		if (e->number == number)
			return e;
	}
	return NULL;
}

/* Where history branches, the interval of positions is too much: what A reaches goes. */
static int drop_reachable(struct archive *a, const struct index *ix, s64 from, s64 to, bool *keep,
			  struct failure *f)
{
	const struct entry *e = index_entry(ix, to);
	struct epoch *ep = find_epoch(a, e->epoch);
	git_revwalk *walk;
	git_oid id;

	if (git_revwalk_new(&walk, ep->repo))
		return failure_set(f, -EIO, "'%s' cannot be walked", ep->path);
	for (u32 i = 0; i < ix->entries->len; i++)
		if (index_entry(ix, i)->epoch == e->epoch)
			keep[i] = false;
	git_revwalk_push(walk, &e->commit);
	if (from >= 0 && index_entry(ix, from)->epoch == e->epoch)
		git_revwalk_hide(walk, &index_entry(ix, from)->commit);
	while (git_revwalk_next(&id, walk) == 0) {
		s64 pos = index_find(ix, &id);

		if (pos >= 0)
			keep[pos] = true;
	}
	git_revwalk_free(walk);
	return 0;
}

static int select_commits(struct archive *a, const struct index *ix, const char *commits, s64 *from,
			  s64 *to, struct failure *f)
{
	const char *dots = strstr(commits, "..");
	char *first, *second;
	int err = 0;

	if (!dots || dots[2] == '.')
		return failure_set(f, -EINVAL,
				   "'%s' is no span: write A..B, for the mails after commit A "
				   "up to and with commit B",
				   commits);
	first = g_strndup(commits, dots - commits);
	second = g_strdup(dots + 2);
	*from = -1;
	*to = (s64)ix->entries->len - 1;
	if (*first)
		err = resolve_end(a, ix, first, from, f);
	if (!err && *second)
		err = resolve_end(a, ix, second, to, f);
	if (!err && *from > *to)
		err = failure_set(f, -EINVAL, "'%s' is older than '%s': the span is '%s..%s'",
				  *second ? second : "the newest commit", first, second, first);
	g_free(first);
	g_free(second);
	return err;
}

static void name_ends(const struct index *ix, s64 from, s64 to, struct span *s)
{
	/* By time alone: from the commit before the oldest chosen to the newest chosen. */
	if (s->chosen->len && from == -2) {
		from = (s64)g_array_index(s->chosen, u32, 0) - 1;
		to = g_array_index(s->chosen, u32, s->chosen->len - 1);
	} else if (from == -2) {
		from = to;
	}
	s->from_start = from < 0;
	if (from >= 0)
		s->from = index_entry(ix, from)->commit;
	s->to_none = to < 0;
	if (to >= 0)
		s->to = index_entry(ix, to)->commit;
	s->count = to + 1;
}

int span_select(struct archive *a, const struct index *ix, const struct span_request *req,
		struct span *s, struct failure *f)
{
	s64 from = -1, to = (s64)ix->entries->len - 1, before = -1;
	bool timed = req->has_since || req->has_until, branches = false;
	bool *keep;
	int err = 0;

	memset(s, 0, sizeof(*s));
	if (req->commits)
		err = select_commits(a, ix, req->commits, &from, &to, f);
	if (err)
		return err;
	s->chosen = g_array_new(FALSE, FALSE, sizeof(u32));
	keep = g_new(bool, ix->entries->len + 1);
	for (s64 i = 0; i < ix->entries->len; i++)
		keep[i] = i > from && i <= to;
	for (s64 i = from + 1; req->commits && i <= to && !branches; i++)
		branches = index_entry(ix, i)->flags & ENTRY_BRANCHES;
	if (branches)
		err = drop_reachable(a, ix, from, to, keep, f);
	for (u32 i = 0; i < ix->entries->len && !err; i++) {
		const struct entry *e = index_entry(ix, i);

		if (req->has_until && e->time >= req->until)
			continue;
		if (req->has_since && e->time < req->since) {
			before = i;
			continue;
		}
		if (keep[i])
			g_array_append_val(s->chosen, i);
	}
	g_free(keep);
	if (err)
		span_free(s);
	else if (timed && !s->chosen->len)
		name_ends(ix, -2, req->commits ? to : before, s);
	else
		name_ends(ix, timed ? -2 : from, to, s);
	return err;
}

void span_free(struct span *s)
{
	if (s->chosen)
		g_array_free(s->chosen, TRUE);
	memset(s, 0, sizeof(*s));
}
