/* SPDX-License-Identifier: MIT */
/*
 * The index: what is known of every mail of an archive without reading it again.
 */
#ifndef SV_DIGEST_INDEX_H
#define SV_DIGEST_INDEX_H

#include "digest/archive.h"
#include "digest/mail.h"
#include "digest/subject.h"

enum entry_type {
	ENTRY_MAIL = 1,
	ENTRY_DELETE,     /* a commit that takes a mail out */
	ENTRY_UNREADABLE, /* a commit with bytes that are no mail */
	ENTRY_NONE,       /* a commit without a mail */
};

#define ENTRY_HAS_DATE BIT(0)
#define ENTRY_HAS_DIFF BIT(1)
#define ENTRY_BRANCHES BIT(2) /* its parent isn't the entry before it */

enum entry_state {
	STATE_LIVE,
	STATE_DELETED,
	STATE_DUPLICATE,
};

/* Strings and lists point into the index's memory and live as long as it. */
struct entry {
	u8 type;
	u8 flags;
	u8 state; /* enum entry_state; of mails */
	u16 epoch;
	git_oid commit, blob;
	s64 time; /* of the commit: when the mail arrived */
	s64 date; /* of the mail, with ENTRY_HAS_DATE */
	u64 id;   /* hash of the Message-Id, 0 without one */
	u64 ident; /* what makes it the same mail as another */
	const char *message_id, *subject, *from, *from_name, *from_addr;
	const char *author_name, *author_addr, *change_id;
	u32 refs_n, links_n, reviews_n, paths_n;
	const u8 *refs, *links;    /* u64 each, unaligned: entry_ref() */
	const u8 *reviews, *paths; /* entry_review(), entry_path() step through them */
	struct subject subj;
	bool patch; /* a patch or a numbered cover, not a reply */
};

struct index {
	GArray *entries;    /* struct entry, oldest first */
	GPtrArray *buffers; /* the memory behind them */
	GHashTable *by_commit; /* git_oid * -> position + 1 */
	char *path;         /* where it lies; NULL: in memory only */
	u32 mails;
};

typedef void (*index_progress)(void *ctx, u64 done, u64 total);

struct index_options {
	const char *path;  /* of the index file; NULL: beside the archive, else in the cache */
	bool memory_only;
	index_progress progress; /* may be NULL */
	void (*note)(const char *text); /* something the user should know, one line; may be NULL */
	void *ctx;
};

/* Loads the index, extended to the archive's newest commit; builds it where there is none. */
int index_open(struct archive *a, const struct index_options *opt, struct index *ix,
	       struct failure *f);
void index_close(struct index *ix);

static inline struct entry *index_entry(const struct index *ix, u32 pos)
{
	return &g_array_index(ix->entries, struct entry, pos);
}

/* The commit's position, -1 if the index doesn't hold it. */
s64 index_find(const struct index *ix, const git_oid *commit);

u64 entry_ref(const struct entry *e, u32 i);
u64 entry_link(const struct entry *e, u32 i);
/* Steps: *at starts as e->reviews (e->paths); each call returns the next of reviews_n (paths_n). */
const char *entry_review(const u8 **at, enum review_kind *kind);
const char *entry_path(const u8 **at);

/* The hash under which a Message-Id is known. */
u64 index_message_hash(const char *message_id);

#endif
