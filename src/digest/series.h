/* SPDX-License-Identifier: MIT */
/*
 * Threads, series, and which series is a later version of which.
 */
#ifndef SV_DIGEST_SERIES_H
#define SV_DIGEST_SERIES_H

#include "digest/index.h"

#define POS_NONE G_MAXUINT32

struct review {
	enum review_kind kind;
	const char *person;
	u32 reply;   /* the mail that gives it */
	u32 target;  /* the patch or cover it answers */
	bool own;    /* the person is who sent the mail */
};

struct series {
	u32 cover;       /* position or POS_NONE */
	u32 first;       /* patch 1 of n, or the single patch; POS_NONE if the archive lacks it */
	GArray *members; /* u32 positions: the cover, then patches by number */
	u32 lead;        /* the mail that stands for it: cover, else first, else lowest */
	u32 oldest, newest; /* positions of its first and last mail */
	u32 version;     /* 1 where none is given */
	u32 total;       /* 0: a single patch */
	bool rfc, resend;
	char *key;       /* subject_title_key() of the lead */
	GArray *reviews; /* struct review */
	u32 replies;
	s32 prev;        /* the series it is a later version of, -1, or PREV_UNKNOWN */
};

#define PREV_UNKNOWN (-2)

/* What was found about a mail beyond its entry. */
struct place {
	s32 series;  /* it is a member of, -1 */
	s32 answers; /* series a reply belongs to, -1 */
	u32 target;  /* the member a reply answers, however far up, POS_NONE */
	u32 thread;  /* position of the thread's oldest mail */
};

struct threads {
	const struct index *ix;
	u32 count;         /* entries looked at: those up to the span's end */
	struct place *place;
	GPtrArray *series; /* struct series * */
	GHashTable *by_id; /* u64 * -> position + 1 */
	GHashTable *by_title, *by_patch, *by_change, *by_author; /* string -> GArray of series */
};

/* Looks at the first `count` entries: what came later changes nothing in an update. */
void threads_build(struct threads *t, const struct index *ix, u32 count);
void threads_free(struct threads *t);

static inline struct series *threads_series(const struct threads *t, s32 i)
{
	return t->series->pdata[i];
}

/* The series' previous version, -1 if the archive holds none. */
s32 threads_previous(struct threads *t, s32 series);
/* Whether the archive holds an earlier version of this very patch, whatever its series was. */
bool threads_patch_is_later(struct threads *t, u32 pos);
/* A live mail that counts. */
bool threads_counts(const struct threads *t, u32 pos);

#endif
