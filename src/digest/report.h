/* SPDX-License-Identifier: MIT */
/*
 * The update itself, ready to be written in any format.
 */
#ifndef SV_DIGEST_REPORT_H
#define SV_DIGEST_REPORT_H

#include "digest/series.h"
#include "digest/span.h"

struct report_options {
	const char *list; /* NULL: as the archive says */
	const char *url;  /* NULL: as the archive says */
	bool all_patches;
	bool reviews;     /* in the text, too */
	unsigned int top;    /* rows of the tables */
	unsigned int abbrev; /* characters of a commit's name at least */
	/* char *: any of each must match; empty: no filter. */
	GPtrArray *paths, *authors, *subjects;
};

struct count {
	char *text; /* a domain, or "Name <address>" */
	char *name, *addr;
	u32 n;
};

/* One patch or cover that the update prints. */
struct item {
	u32 pos;
	bool later; /* "Updated:" */
};

/* A series with mails in the span. */
struct part {
	s32 series;
	bool later;
	u32 newest;     /* its newest mail in the span */
	GArray *items;  /* struct item, cover first */
	GArray *patches; /* u32: all members the archive has, cover included */
	u32 fresh;      /* its covers and patches in the span; 0: only talked about */
	u32 replies;    /* in the span */
};

/* A conversation in the span that belongs to no series. */
struct talk {
	u32 root;   /* its oldest mail in the archive */
	u32 newest;
	u32 mails;  /* in the span */
	GPtrArray *people; /* char *, in the order they spoke */
};

struct report {
	struct archive *archive;
	const struct index *ix;
	const struct span *span;
	const struct report_options *opt;
	struct threads threads;
	char *list, *url; /* url: NULL, or ends in "/" */
	char *from, *to;  /* short names */
	u32 mails, replies, patches, duplicates, deleted;
	GPtrArray *domains, *contributors; /* struct count *, most first */
	GArray *items;     /* struct item, newest first */
	GPtrArray *parts;  /* struct part *, newest first */
	GPtrArray *talks;  /* struct talk *, newest first */
	GArray *unreadable; /* u32 positions */
	s64 oldest_time, newest_time;
};

int report_build(struct report *r, struct archive *a, const struct index *ix, const struct span *s,
		 const struct report_options *opt, struct failure *f);
void report_free(struct report *r);

/* The message of one mail, as mail_append_message(); nothing if it can't be read again. */
void report_append_message(struct report *r, u32 pos, GString *out);
/* The public address of a mail, NULL if it has none. The caller frees it. */
char *report_mail_url(const struct report *r, u32 pos);
/* A subject without its tags, never empty. */
const char *report_title(const struct entry *e);
const char *report_subject(const struct entry *e);
const char *report_author(const struct entry *e);
/* Who sent it, without a header's quotes. The caller frees it. */
char *report_person(const struct entry *e);
/* A short commit name. The caller frees it. */
char *report_commit(const struct report *r, u32 pos);

/* The formats. Each appends to `out`. */
void report_text(struct report *r, GString *out);
void report_markdown(struct report *r, GString *out);
void report_json(struct report *r, GString *out);
void report_html(struct report *r, GString *out);

#endif
