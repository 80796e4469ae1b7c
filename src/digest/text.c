/* SPDX-License-Identifier: MIT */
/*
 * Text that comes out of mails. No state, no locks; every function may run in any thread.
 *
 * A charset a mail names is a hint. It is used where iconv knows it; bytes that don't fit it, or
 * that came without one, are UTF-8 where they are valid UTF-8, else windows-1252 where nothing was
 * declared, else U+FFFD. Bytes never vanish: each undecodable one leaves a mark.
 */
#include <errno.h>
#include <fnmatch.h>
#include <iconv.h>
#include <string.h>

#include "digest/text.h"

#define REPLACEMENT "\xef\xbf\xbd"
/* Longer ones exist only to hurt: RFC 5322 ends a line at 998. */
#define HEADER_LEN_MAX 16384

/* Valid UTF-8 in, the same without characters a terminal or a page would obey out. */
static void append_clean(GString *out, const char *s, size_t len)
{
	size_t start = 0;

	for (size_t i = 0; i < len; i++) {
		unsigned char c = s[i];
		bool c1 = c == 0xc2 && i + 1 < len && (unsigned char)s[i + 1] < 0xa0;
		bool c0 = (c < 0x20 && c != '\t' && c != '\n' && c != '\f') || c == 0x7f;

		if (!c0 && !c1)
			continue;
		g_string_append_len(out, s + start, i - start);
		if (c == '\r') {
			size_t j = i;

			while (j < len && s[j] == '\r')
				j++;
			/* "\r\n", and "\r\r\n" from gateways that converted twice, end a line. */
			if (j < len && s[j] == '\n')
				i = j - 1;
			else
				g_string_append_c(out, '\n');
		} else {
			g_string_append(out, REPLACEMENT);
			i += c1;
		}
		start = i + 1;
	}
	g_string_append_len(out, s + start, len - start);
}

static void append_utf8(GString *out, const char *s, size_t len)
{
	while (len) {
		const char *end;
		bool ok = g_utf8_validate_len(s, len, &end);

		append_clean(out, s, end - s);
		if (ok)
			return;
		len -= end - s;
		s = end;
		/* g_utf8_validate_len() stops at a NUL too; append_clean() marks that one. */
		g_string_append(out, REPLACEMENT);
		s++;
		len--;
	}
}

/* glibc loads converters by name: no path, no "//TRANSLIT" of a mail's choosing. */
static bool charset_name_ok(const char *cs)
{
	size_t n = strlen(cs);

	if (n == 0 || n > 32)
		return false;
	for (size_t i = 0; i < n; i++)
		if (!g_ascii_isalnum(cs[i]) && !strchr("-_.:+", cs[i]))
			return false;
	return true;
}

static int append_iconv(GString *out, const char *s, size_t len, const char *charset)
{
	iconv_t cd = iconv_open("UTF-8", charset);
	GString *utf8;
	char buf[4096];
	char *in = (char *)s;

	if (cd == (iconv_t)-1)
		return -EINVAL;
	utf8 = g_string_sized_new(len + len / 8);
	while (len) {
		char *o = buf;
		size_t room = sizeof(buf);
		size_t r = iconv(cd, &in, &len, &o, &room);
		int err = errno;

		g_string_append_len(utf8, buf, o - buf);
		if (r != (size_t)-1)
			break;
		if (err == E2BIG && o != buf)
			continue;
		/* EILSEQ, or EINVAL at the end: one byte leaves a mark, the rest may be fine. */
		g_string_append(utf8, REPLACEMENT);
		in++;
		len--;
		iconv(cd, NULL, NULL, NULL, NULL);
	}
	{
		/* Some converters hold the last character back in case an accent follows. */
		char *o = buf;
		size_t room = sizeof(buf);

		iconv(cd, NULL, NULL, &o, &room);
		g_string_append_len(utf8, buf, o - buf);
	}
	iconv_close(cd);
	append_utf8(out, utf8->str, utf8->len);
	g_string_free(utf8, TRUE);
	return 0;
}

void text_append_bytes(GString *out, const char *bytes, size_t len, const char *charset)
{
	bool known = charset && g_ascii_strcasecmp(charset, "us-ascii") &&
		     g_ascii_strcasecmp(charset, "ascii") &&
		     g_ascii_strcasecmp(charset, "unknown-8bit") &&
		     g_ascii_strcasecmp(charset, "x-unknown");

	if (known && (!g_ascii_strcasecmp(charset, "utf-8") ||
		      !g_ascii_strcasecmp(charset, "utf8"))) {
		append_utf8(out, bytes, len);
		return;
	}
	/* What calls itself Latin-1 is windows-1252, which has no controls where that has. */
	if (known && !g_ascii_strcasecmp(charset, "iso-8859-1"))
		charset = "windows-1252";
	if (known && charset_name_ok(charset) && append_iconv(out, bytes, len, charset) == 0)
		return;
	if (!g_utf8_validate_len(bytes, len, NULL) && !memchr(bytes, 0, len) &&
	    append_iconv(out, bytes, len, "windows-1252") == 0)
		return;
	append_utf8(out, bytes, len);
}

char *text_one_line(const char *s, size_t len)
{
	GString *out = g_string_sized_new(len);
	bool space = false;

	for (size_t i = 0; i < len; i++) {
		if (g_ascii_isspace(s[i])) {
			space = out->len > 0;
			continue;
		}
		if (space)
			g_string_append_c(out, ' ');
		space = false;
		g_string_append_c(out, s[i]);
	}
	return g_string_free(out, FALSE);
}

struct encoded_word {
	char charset[40];
	char how; /* 'q' or 'b' */
	const char *text;
	size_t text_len;
	size_t len; /* of the whole word */
};

/* RFC 2047 section 2: =?charset[*language]?encoding?text?= */
static bool encoded_word_at(const char *s, size_t len, struct encoded_word *w)
{
	const char *end = s + len, *q, *t;
	size_t n;

	if (len < 8 || s[0] != '=' || s[1] != '?')
		return false;
	q = memchr(s + 2, '?', min(len - 2, sizeof(w->charset)));
	if (!q || q == s + 2 || end - q < 4 || q[2] != '?')
		return false;
	n = min((size_t)(q - (s + 2)), sizeof(w->charset) - 1);
	memcpy(w->charset, s + 2, n);
	w->charset[n] = 0;
	w->charset[strcspn(w->charset, "*")] = 0;
	w->how = g_ascii_tolower(q[1]);
	if (w->how != 'q' && w->how != 'b')
		return false;
	w->text = q + 3;
	for (t = w->text; t + 1 < end && !(t[0] == '?' && t[1] == '='); t++)
		;
	if (t + 1 >= end)
		return false;
	w->text_len = t - w->text;
	w->len = t + 2 - s;
	return true;
}

static void encoded_word_bytes(const struct encoded_word *w, GString *bytes)
{
	if (w->how == 'b') {
		char *copy = g_strndup(w->text, w->text_len);
		gsize n = 0;
		guchar *raw = g_base64_decode(copy, &n);

		g_string_append_len(bytes, (char *)raw, n);
		g_free(raw);
		g_free(copy);
		return;
	}
	for (size_t i = 0; i < w->text_len; i++) {
		char c = w->text[i];

		if (c == '_') {
			c = ' ';
		} else if (c == '=' && i + 2 < w->text_len && g_ascii_isxdigit(w->text[i + 1]) &&
			   g_ascii_isxdigit(w->text[i + 2])) {
			c = g_ascii_xdigit_value(w->text[i + 1]) << 4 |
			    g_ascii_xdigit_value(w->text[i + 2]);
			i += 2;
		}
		g_string_append_c(bytes, c);
	}
}

char *text_decode_header(const char *raw)
{
	size_t len = min(strlen(raw), (size_t)HEADER_LEN_MAX);
	GString *out = g_string_sized_new(len + 1), *bytes = g_string_new(NULL);
	size_t i = 0, plain = 0;
	char *line;

	while (i < len) {
		struct encoded_word w;
		char charset[sizeof(w.charset)];

		if (!encoded_word_at(raw + i, len - i, &w)) {
			i++;
			continue;
		}
		text_append_bytes(out, raw + plain, i - plain, NULL);
		g_string_truncate(bytes, 0);
		strcpy(charset, w.charset);
		/* Words in a row are one text, split anywhere; the space between is none of it. */
		for (;;) {
			size_t next;

			encoded_word_bytes(&w, bytes);
			i += w.len;
			for (next = i; next < len && g_ascii_isspace(raw[next]); next++)
				;
			if (next == i || !encoded_word_at(raw + next, len - next, &w))
				break;
			if (g_ascii_strcasecmp(charset, w.charset)) {
				text_append_bytes(out, bytes->str, bytes->len, charset);
				g_string_truncate(bytes, 0);
				strcpy(charset, w.charset);
			}
			i = next;
		}
		text_append_bytes(out, bytes->str, bytes->len, charset);
		plain = i;
	}
	text_append_bytes(out, raw + plain, len - plain, NULL);

	/* Unfold: a line break and tabs are spaces; runs of spaces stay as the sender set them. */
	line = out->str;
	for (size_t r = 0, o = 0; r <= out->len; r++) {
		char c = line[r];

		if (c == '\n')
			continue;
		line[o++] = c == '\t' || c == '\f' ? ' ' : c;
	}
	g_string_free(bytes, TRUE);
	return g_strstrip(g_string_free(out, FALSE));
}

/* Finds `want` outside quoted strings and comments. */
static const char *find_unquoted(const char *s, char want)
{
	bool quoted = false;
	int comment = 0;

	for (; *s; s++) {
		if (*s == '\\' && s[1]) {
			s++;
			continue;
		}
		if (!comment && *s == '"')
			quoted = !quoted;
		if (quoted)
			continue;
		if (*s == want && comment == 0)
			return s;
		if (*s == '(')
			comment++;
		else if (*s == ')' && comment)
			comment--;
	}
	return NULL;
}

/* Where the address begins: the first "<" that holds an "@", else the first. */
static const char *find_angle(const char *v)
{
	const char *first = find_unquoted(v, '<'), *lt;

	/* A quote that never ends hides nothing. */
	if (!first && strchr(v, '<') && strchr(v, '"'))
		return strrchr(v, '<');
	for (lt = first; lt; lt = find_unquoted(lt + 1, '<')) {
		size_t n = strcspn(lt + 1, "<>");

		if (memchr(lt + 1, '@', n))
			return lt;
	}
	return first;
}

static char *unquote(const char *s, size_t len)
{
	char *copy = g_strndup(s, len), *decoded, *line;
	size_t n, o = 0;

	g_strstrip(copy);
	n = strlen(copy);
	if (n >= 2 && copy[0] == '"' && copy[n - 1] == '"') {
		for (size_t i = 1; i + 1 < n; i++) {
			if (copy[i] == '\\' && i + 2 < n)
				i++;
			copy[o++] = copy[i];
		}
		copy[o] = 0;
	}
	decoded = text_decode_header(copy);
	line = text_one_line(decoded, strlen(decoded));
	g_free(decoded);
	g_free(copy);
	return line;
}

void text_parse_address(const char *raw, char **name, char **addr)
{
	char *v = g_strndup(raw, HEADER_LEN_MAX), *a;
	const char *lt, *gt, *paren;

	/* What is left of folding. */
	for (char *p = v; *p; p++)
		if (g_ascii_isspace(*p))
			*p = ' ';
	g_strstrip(v);
	lt = find_angle(v);
	gt = lt ? strchr(lt, '>') : NULL;
	if (lt) {
		a = g_strndup(lt + 1, gt ? (size_t)(gt - lt - 1) : strlen(lt + 1));
		*name = unquote(v, lt - v);
	} else {
		a = g_strdup(v);
		a[strcspn(a, " (,;")] = 0;
		paren = strchr(v, '(');
		if (paren) {
			const char *close = strrchr(paren, ')');

			*name = unquote(paren + 1, close ? (size_t)(close - paren - 1) :
							   strlen(paren + 1));
		} else {
			*name = g_strdup("");
		}
		if (!strchr(a, '@')) {
			/* A name alone is a name. */
			g_free(*name);
			*name = unquote(v, strlen(v));
			a[0] = 0;
		}
	}
	g_strstrip(a);
	{
		char *clean = text_decode_header(a);

		*addr = text_one_line(clean, strlen(clean));
		g_free(clean);
	}
	g_free(a);
	g_free(v);
}

/* '*' and '?' over Unicode characters, without recursion: at most |p| * |s| steps. */
static bool glob_match(const char *p, const char *s)
{
	const char *star = NULL, *back = NULL;

	while (*s) {
		if (*p == '*') {
			star = ++p;
			back = s;
		} else if (*p && (*p == '?' || g_utf8_get_char(p) == g_utf8_get_char(s))) {
			p = g_utf8_next_char(p);
			s = g_utf8_next_char(s);
		} else if (star) {
			back = g_utf8_next_char(back);
			p = star;
			s = back;
		} else {
			return false;
		}
	}
	while (*p == '*')
		p++;
	return !*p;
}

bool text_match(const char *pattern, const char *s)
{
	char *p = g_utf8_casefold(pattern, -1), *t = g_utf8_casefold(s, -1);
	bool ok = strpbrk(p, "*?") ? glob_match(p, t) : strstr(t, p) != NULL;

	g_free(p);
	g_free(t);
	return ok;
}

bool text_match_path(const char *pattern, const char *path)
{
	size_t n = strlen(pattern);

	if (fnmatch(pattern, path, 0) == 0)
		return true;
	while (n && pattern[n - 1] == '/')
		n--;
	return n && !strncmp(pattern, path, n) && path[n] == '/';
}

void text_append_html(GString *out, const char *s)
{
	for (; *s; s++) {
		switch (*s) {
		case '<': g_string_append(out, "&lt;"); break;
		case '>': g_string_append(out, "&gt;"); break;
		case '&': g_string_append(out, "&amp;"); break;
		case '"': g_string_append(out, "&quot;"); break;
		case '\'': g_string_append(out, "&#39;"); break;
		default: g_string_append_c(out, *s);
		}
	}
}

void text_append_json(GString *out, const char *s)
{
	g_string_append_c(out, '"');
	for (; *s; s++) {
		unsigned char c = *s;

		if (c == '"' || c == '\\')
			g_string_append_printf(out, "\\%c", c);
		else if (c == '\n')
			g_string_append(out, "\\n");
		else if (c == '\t')
			g_string_append(out, "\\t");
		else if (c < 0x20 || c == 0x7f)
			g_string_append_printf(out, "\\u%04x", c);
		else
			g_string_append_c(out, c);
	}
	g_string_append_c(out, '"');
}

void text_append_markdown(GString *out, const char *s)
{
	for (; *s; s++) {
		if (*s == '\n' || *s == '\t') {
			g_string_append_c(out, ' ');
		} else if (*s == '<') {
			g_string_append(out, "&lt;");
		} else if (*s == '&') {
			g_string_append(out, "&amp;");
		} else {
			/* '@' and ':' stay: without "<" they make no link. */
			if (strchr("\\`*_{}[]()#+-.!|~>$", *s))
				g_string_append_c(out, '\\');
			g_string_append_c(out, *s);
		}
	}
}

void text_append_url(GString *out, const char *s)
{
	for (; *s; s++) {
		unsigned char c = *s;

		if (g_ascii_isalnum(c) || strchr("-._~@!$*+,=", c))
			g_string_append_c(out, c);
		else
			g_string_append_printf(out, "%%%02X", c);
	}
}

u64 text_checksum(const void *data, size_t len)
{
	const unsigned char *p = data;
	u64 h = 0x9e3779b97f4a7c15ull ^ len;

	for (; len >= 8; p += 8, len -= 8) {
		u64 w;

		memcpy(&w, p, 8);
		h = (h ^ w) * 0xff51afd7ed558ccdull;
		h ^= h >> 32;
	}
	for (; len; p++, len--) {
		h = (h ^ *p) * 0xff51afd7ed558ccdull;
		h ^= h >> 32;
	}
	return h;
}

u64 text_hash(const char *s, size_t len)
{
	GChecksum *sum = g_checksum_new(G_CHECKSUM_SHA256);
	guint8 digest[32];
	gsize n = sizeof(digest);
	u64 h;

	g_checksum_update(sum, (const guchar *)s, len);
	g_checksum_get_digest(sum, digest, &n);
	g_checksum_free(sum);
	memcpy(&h, digest, sizeof(h));
	return h;
}

bool text_next_line(const char *text, size_t len, size_t *pos, const char **line, size_t *n)
{
	const char *nl;

	if (*pos >= len)
		return false;
	*line = text + *pos;
	nl = memchr(*line, '\n', len - *pos);
	*n = nl ? (size_t)(nl - *line) : len - *pos;
	*pos += *n + 1;
	return true;
}
