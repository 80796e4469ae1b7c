/* SPDX-License-Identifier: MIT */
/*
 * libFuzzer on the digest's mail path: any bytes as a mail, parsed, its message cut out, and each
 * string written in every format. Beyond not crashing, what comes out must be what the writers rely
 * on: valid UTF-8 on which no terminal acts, JSON strings without raw controls, no live markup.
 *
 *	clang -g -O1 -fsanitize=fuzzer,address,undefined -std=gnu11 -D_GNU_SOURCE -Isrc \
 *	  tests/fuzz/fuzz_digest_mail.c src/digest/{text,subject,mail}.c \
 *	  $(pkg-config --cflags --libs gmime-3.0) -o fuzz_digest_mail
 */
#include <stdlib.h>
#include <string.h>

#include "digest/mail.h"
#include "digest/subject.h"
#include "digest/text.h"

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	mail_setup();
	return 0;
}

static void require(bool ok)
{
	if (!ok)
		abort();
}

static void check_clean(const char *s, size_t len, bool lines)
{
	require(g_utf8_validate_len(s, len, NULL));
	for (size_t i = 0; i < len; i++) {
		unsigned char c = s[i];

		require(c >= 0x20 || c == '\t' || c == '\f' || (lines && c == '\n'));
		require(c != 0x7f);
		require(c != 0xc2 || (unsigned char)s[i + 1] >= 0xa0);
	}
}

static void check_writers(const char *s)
{
	GString *out = g_string_new(NULL);

	text_append_html(out, s);
	require(!strpbrk(out->str, "<>\"'"));
	g_string_truncate(out, 0);
	text_append_json(out, s);
	for (size_t i = 0; i < out->len; i++)
		require((unsigned char)out->str[i] >= 0x20);
	require(out->len >= 2 && out->str[0] == '"' && out->str[out->len - 1] == '"');
	g_string_truncate(out, 0);
	text_append_url(out, s);
	for (size_t i = 0; i < out->len; i++)
		require(out->str[i] > ' ' && !strchr("<>\"'&/?#\\", out->str[i]));
	g_string_truncate(out, 0);
	text_append_markdown(out, s);
	require(!strchr(out->str, '<') && !strchr(out->str, '\n'));
	g_string_free(out, TRUE);
}

static void check_line(const char *s)
{
	check_clean(s, strlen(s), false);
	check_writers(s);
}

static void check_list(const GPtrArray *list)
{
	for (guint i = 0; i < list->len; i++)
		check_line(list->pdata[i]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct subject subj;
	struct mail m;
	GString *out;
	char *key;

	if (mail_parse(data, size, &m))
		return 0;
	check_line(m.subject);
	check_line(m.from);
	check_line(m.from_name);
	check_line(m.from_addr);
	check_line(m.author_name);
	check_line(m.author_addr);
	check_line(m.message_id);
	check_line(m.list_id);
	check_line(m.change_id);
	check_list(m.refs);
	check_list(m.links);
	check_list(m.paths);
	for (guint i = 0; i < m.reviews->len; i++)
		check_line(((struct review_tag *)m.reviews->pdata[i])->person);
	check_clean(m.body->str, m.body->len, true);
	out = g_string_new(NULL);
	mail_append_message(out, &m);
	check_clean(out->str, out->len, true);
	require(!out->len || out->str[out->len - 1] == '\n');
	check_writers(out->str);
	g_string_free(out, TRUE);
	subject_parse(m.subject, &subj);
	require(subj.title >= m.subject && subj.title <= m.subject + strlen(m.subject));
	key = subject_title_key(subj.title);
	require(g_utf8_validate(key, -1, NULL));
	text_match("a*b?c", key);
	g_free(key);
	mail_clear(&m);
	return 0;
}
