/* SPDX-License-Identifier: MIT */
/*
 * One mail, parsed: what the update needs to know of it, as clean UTF-8.
 */
#ifndef SV_DIGEST_MAIL_H
#define SV_DIGEST_MAIL_H

#include <glib.h>
#include "base/types.h"

enum review_kind {
	REVIEW_REVIEWED,
	REVIEW_ACKED,
	REVIEW_TESTED,
	REVIEW_KINDS,
};

struct review_tag {
	enum review_kind kind;
	char *person; /* "Name <address>" */
};

/* Strings are never NULL; "" is what the mail doesn't have. */
struct mail {
	char *message_id;  /* without its brackets */
	char *subject;
	char *from;        /* the From header, decoded */
	char *from_name, *from_addr;
	char *author_name, *author_addr; /* the opening From: line's, else the header's */
	char *list_id;
	char *change_id;
	s64 date;          /* seconds; meaningless without has_date */
	bool has_date;
	bool has_diff;
	GString *body;     /* less an opening From: line */
	GPtrArray *refs;   /* char *: In-Reply-To, then References from the last to the first */
	GPtrArray *links;  /* char *: Message-Ids that changelog lines name as earlier versions */
	GPtrArray *paths;  /* char *: files its diff touches; a cover's come from its diffstat */
	GPtrArray *reviews; /* struct review_tag * */
};

/* Once per process, before the first mail_parse(). */
void mail_setup(void);
/*
 * 0, or -EBADMSG where the bytes are no mail: nothing there, or none of the headers that make one.
 * On failure *m holds nothing.
 */
int mail_parse(const void *data, size_t len, struct mail *m);
void mail_clear(struct mail *m);

/*
 * What an update prints of a body: all up to and with the line "N files changed", or, where there
 * is none, up to the diff. Ends with a newline unless empty.
 */
void mail_append_message(GString *out, const struct mail *m);

const char *review_kind_name(enum review_kind kind);

#endif
