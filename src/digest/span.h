/* SPDX-License-Identifier: MIT */
/*
 * Which mails an update is about.
 */
#ifndef SV_DIGEST_SPAN_H
#define SV_DIGEST_SPAN_H

#include "digest/index.h"

struct span_request {
	const char *commits; /* "A..B", "A..", "..B"; NULL: none */
	bool has_since, has_until;
	s64 since, until;    /* arrival: since <= t < until */
};

struct span {
	GArray *chosen; /* u32 positions of commits, oldest first */
	u32 count;      /* entries up to the span's end: what the update may know */
	git_oid from, to;
	bool from_start, to_none; /* the span begins with the archive; there is no commit in it */
};

int span_select(struct archive *a, const struct index *ix, const struct span_request *req,
		struct span *s, struct failure *f);
void span_free(struct span *s);

/*
 * "2026-01-31", "2026-01-31 12:00[:30]", either with "Z" or "+0200", or "@seconds"; else local
 * time. A date alone is its first second, or, with `end`, the one after its last.
 */
int span_parse_date(const char *s, bool end, s64 *out);
/* "7d", "12h", "2w", "1m" (30 days), "1y" (365 days): seconds. */
int span_parse_period(const char *s, s64 *out);

#endif
