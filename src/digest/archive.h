/* SPDX-License-Identifier: MIT */
/*
 * A public-inbox archive on disk: one git repository, or several epochs of one list read as one.
 */
#ifndef SV_DIGEST_ARCHIVE_H
#define SV_DIGEST_ARCHIVE_H

#include <git2.h>
#include <glib.h>
#include "base/types.h"

/* What went wrong, in one line, for the user. */
struct failure {
	char text[1024];
};

/* Sets the text and returns `err`, a negative errno. */
int failure_set(struct failure *f, int err, const char *fmt, ...) sv_printf(3, 4);

struct epoch {
	unsigned int number;
	char *path;
	git_repository *repo;
	git_odb *odb;
	git_oid tip;
	bool empty;   /* no commit yet */
	bool shallow; /* history is cut: a missing parent is the beginning */
};

struct archive {
	char *path;        /* as given */
	char *index_path;  /* where an index beside it belongs */
	GPtrArray *epochs; /* struct epoch *, by number */
};

/* What a commit did: added a mail (the file m), or deleted one (the file d). */
enum change {
	CHANGE_MAIL,
	CHANGE_DELETE,
	CHANGE_NONE, /* neither: no commit of an archive */
};

/* 0, -ENOENT (nothing there), -EINVAL (no repository, no archive); nothing is written. */
int archive_open(const char *path, struct archive *a, struct failure *f);
void archive_close(struct archive *a);

/* What the commit changed, its time, and the blob of the mail concerned. */
int archive_commit(struct epoch *e, const git_oid *id, enum change *what, git_oid *blob, s64 *time);
/* The commit's nth parent: 1, or 0 if it has no such (or, in a shallow clone, none any more). */
int archive_parent(struct epoch *e, const git_oid *id, unsigned int n, git_oid *parent);

/* Finds a commit by any name git knows; *epoch: where. */
int archive_resolve(struct archive *a, const char *name, git_oid *id, unsigned int *epoch,
		    struct failure *f);

/* The archive's public address, ending in "/", if a remote tells it; NULL else. */
char *archive_public_url(struct archive *a);

#endif
