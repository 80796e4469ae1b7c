/* SPDX-License-Identifier: MIT */
/*
 * What a subject says of its mail: reply or not, a patch or not, which of how many, which version.
 */
#ifndef SV_DIGEST_SUBJECT_H
#define SV_DIGEST_SUBJECT_H

#include "base/types.h"

struct subject {
	bool reply;   /* "Re:" and its kin, forwards too */
	bool patch;   /* a tag says PATCH */
	bool pull;    /* a tag says PULL: it announces patches, it is none */
	bool rfc;
	bool resend;
	u32 number;   /* n of n/total */
	u32 total;    /* 0: not numbered */
	u32 version;  /* the tag's, 0: none given */
	u32 title_version; /* of a title that ends in "v2", 0: none */
	const char *title; /* in the caller's string, after all tags */
	const char *tag;   /* in the caller's string, where the tags begin */
};

void subject_parse(const char *s, struct subject *out);
/* The title as versions of it share it: case folded, less a trailing "v2". The caller frees it. */
char *subject_title_key(const char *title);
/* The version a title ends with ("... v2"), 0 if none; *len: the title's length without it. */
u32 subject_title_version(const char *title, size_t *len);

#endif
