/* SPDX-License-Identifier: MIT */
/*
 * Text that comes out of mails: charsets, encoded words, escapes, patterns.
 *
 * Everything behind this header works on bytes somebody else chose. What leaves text_from_bytes()
 * and text_decode_header() is valid UTF-8 without control characters but tab, newline and form
 * feed, so that the writers need to think of their own syntax only.
 */
#ifndef SV_DIGEST_TEXT_H
#define SV_DIGEST_TEXT_H

#include <glib.h>
#include "base/types.h"

/* Appends `len` bytes in `charset` (NULL: not known) as clean UTF-8; CR LF becomes LF. */
void text_append_bytes(GString *out, const char *bytes, size_t len, const char *charset);
/* A header's raw value: unfolded, encoded words decoded, on one line. The caller frees it. */
char *text_decode_header(const char *raw);
/* One line of an already decoded text: white space runs and controls become one space. */
char *text_one_line(const char *s, size_t len);

/* The address of a raw From value and the name before it, each "" where there is none. */
void text_parse_address(const char *raw, char **name, char **addr);

/* Case-insensitive: a substring, or, where the pattern has '*' or '?', the whole of `s`. */
bool text_match(const char *pattern, const char *s);
/* A path pattern: fnmatch without regard to '/', or a directory with all below it. */
bool text_match_path(const char *pattern, const char *path);

void text_append_html(GString *out, const char *s);
void text_append_json(GString *out, const char *s);
/* Markdown's own characters made literal; on one line. */
void text_append_markdown(GString *out, const char *s);
/* A Message-Id as the last part of an address. */
void text_append_url(GString *out, const char *s);

/* Detects tears and rot, not forgery. */
u64 text_checksum(const void *data, size_t len);
/* 64 bits of SHA-256, for names that enemies choose. */
u64 text_hash(const char *s, size_t len);

/* The next line of `text` from *pos on, without its newline; false at the end. */
bool text_next_line(const char *text, size_t len, size_t *pos, const char **line, size_t *n);

#endif
