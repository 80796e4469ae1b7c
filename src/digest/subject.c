/* SPDX-License-Identifier: MIT */
/*
 * Subjects: any mix of "[tags]" and reply prefixes, then the title. A list may put its own name
 * in front ("[list] Re: [PATCH v2 1/3] title"), so both kinds are taken in any order.
 */
#include <glib.h>
#include <string.h>

#include "digest/subject.h"
#include "digest/text.h"

/* Beyond this a bracket is prose. */
#define TAG_LEN_MAX 200
#define NUMBER_MAX 9999

static const char *const reply_prefixes[] = {
	"re", "aw", "sv", "vs", "fw", "fwd", "wg", "antw", "odp", "ynt",
	"\xe5\x9b\x9e\xe5\xa4\x8d" /* reply, Chinese */, "\xe7\xad\x94\xe5\xa4\x8d",
};

/* Digits at s, at most NUMBER_MAX; returns how many bytes, 0 if none. */
static size_t number_at(const char *s, size_t len, u32 *out)
{
	size_t n = 0;
	u32 v = 0;

	while (n < len && g_ascii_isdigit(s[n])) {
		v = v * 10 + (s[n] - '0');
		if (v > NUMBER_MAX)
			return 0;
		n++;
	}
	*out = v;
	return n;
}

static void tag_word(const char *w, size_t len, struct subject *out)
{
	size_t n, k;
	u32 a, b;

	while (len && strchr("-_/", *w)) {
		w++;
		len--;
	}
	if (!len)
		return;
	if (len >= 5 && !g_ascii_strncasecmp(w, "patch", 5)) {
		out->patch = true;
		tag_word(w + 5, len - 5, out);
		return;
	}
	if (len >= 3 && !g_ascii_strncasecmp(w, "rfc", 3)) {
		out->rfc = true;
		tag_word(w + 3, len - 3, out);
		return;
	}
	if ((len >= 6 && !g_ascii_strncasecmp(w, "resend", 6)) ||
	    (len == 6 && !g_ascii_strncasecmp(w, "repost", 6))) {
		out->resend = true;
		tag_word(w + 6, len - 6, out);
		return;
	}
	if (len == 4 && !g_ascii_strncasecmp(w, "pull", 4)) {
		out->pull = true;
		return;
	}
	if (len >= 2 && (*w == 'v' || *w == 'V')) {
		n = number_at(w + 1, len - 1, &a);
		/* "v2", and "v2.1", which is a v2 to everybody else. */
		if (n && (n + 1 == len || w[n + 1] == '.' || w[n + 1] == '-')) {
			out->version = a;
			return;
		}
	}
	n = number_at(w, len, &a);
	if (n && n < len && w[n] == '/') {
		k = number_at(w + n + 1, len - n - 1, &b);
		if (k && n + 1 + k == len && b > 0) {
			out->number = a;
			out->total = b;
		}
	}
}

static void tag_parse(const char *s, size_t len, struct subject *out)
{
	size_t i = 0;

	while (i < len) {
		size_t start;

		while (i < len && strchr(" \t,;:[]()", s[i]))
			i++;
		start = i;
		while (i < len && !strchr(" \t,;:[]()", s[i]))
			i++;
		if (i > start)
			tag_word(s + start, i - start, out);
	}
}

/* Length of a reply prefix with its colon, 0 if there is none. */
static size_t reply_prefix(const char *s)
{
	for (size_t i = 0; i < ARRAY_SIZE(reply_prefixes); i++) {
		size_t n = strlen(reply_prefixes[i]);
		const char *p = s + n;

		if (g_ascii_strncasecmp(s, reply_prefixes[i], n))
			continue;
		/* "Re[2]:", "Re: ", "Re :", and the full-width colon. */
		if (*p == '[') {
			do
				p++;
			while (g_ascii_isdigit(*p));
			if (*p++ != ']')
				continue;
		}
		while (*p == ' ')
			p++;
		if (*p == ':')
			return p + 1 - s;
		if (!strncmp(p, "\xef\xbc\x9a", 3))
			return p + 3 - s;
	}
	return 0;
}

void subject_parse(const char *s, struct subject *out)
{
	memset(out, 0, sizeof(*out));
	out->tag = s;
	for (;;) {
		size_t n;

		while (g_ascii_isspace(*s))
			s++;
		if (*s == '[') {
			int depth = 0;

			for (n = 0; s[n] && n < TAG_LEN_MAX; n++) {
				depth += s[n] == '[';
				depth -= s[n] == ']';
				if (depth == 0)
					break;
			}
			if (s[n] != ']')
				break;
			tag_parse(s + 1, n - 1, out);
			s += n + 1;
			continue;
		}
		n = reply_prefix(s);
		if (!n)
			break;
		out->reply = true;
		s += n;
	}
	out->title = s;
	out->title_version = subject_title_version(s, &(size_t){ 0 });
}

u32 subject_title_version(const char *title, size_t *len)
{
	size_t end = strlen(title), i;
	bool paren;
	u32 v;

	*len = end;
	while (end && g_ascii_isspace(title[end - 1]))
		end--;
	paren = end && title[end - 1] == ')';
	end -= paren;
	for (i = end; i && g_ascii_isdigit(title[i - 1]); i--)
		;
	if (i == end || i < 2 || (title[i - 1] != 'v' && title[i - 1] != 'V'))
		return 0;
	if (number_at(title + i, end - i, &v) == 0)
		return 0;
	i--;
	if (paren) {
		if (title[i - 1] != '(')
			return 0;
		i--;
	}
	/* "... v2" and "..., v2", but not "GICv2". */
	if (i == 0 || !g_ascii_isspace(title[i - 1]))
		return 0;
	while (i && (g_ascii_isspace(title[i - 1]) || strchr(",;:-", title[i - 1])))
		i--;
	if (i == 0)
		return 0;
	*len = i;
	return v;
}

char *subject_title_key(const char *title)
{
	size_t len;
	char *line, *key;

	subject_title_version(title, &len);
	line = text_one_line(title, len);
	/* Nearly all are ASCII, where folding is cheap. */
	key = g_str_is_ascii(line) ? g_ascii_strdown(line, -1) : g_utf8_casefold(line, -1);
	g_free(line);
	return key;
}
