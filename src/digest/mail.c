/* SPDX-License-Identifier: MIT */
/*
 * A raw mail becomes a struct mail. GMime finds headers, parts and transfer encodings; charsets,
 * encoded words and addresses are text.c's, because a mail that breaks a rule there still has to
 * give a sensible line.
 *
 * The body is the first text/plain part that isn't an attachment (text/html stripped where there
 * is no other). Attached patches follow it, unless it holds a diff itself.
 *
 * No state beyond GMime's own set-up; every count that a mail chooses has a limit here.
 */
#include <errno.h>
#include <gmime/gmime.h>
#include <string.h>

#include "digest/mail.h"
#include "digest/subject.h"
#include "digest/text.h"

#define REFS_MAX 64
#define LINKS_MAX 32
#define PATHS_MAX 4096
#define REVIEWS_MAX 64
#define PART_DEPTH_MAX 32
#define MESSAGE_ID_MAX 998
#define PATH_LEN_MAX 4096
/* An update is for reading; what is longer than this is cut, with a line that says so. */
#define MESSAGE_MAX (1u << 20)

static const char *const review_names[REVIEW_KINDS] = {
	[REVIEW_REVIEWED] = "Reviewed-by",
	[REVIEW_ACKED] = "Acked-by",
	[REVIEW_TESTED] = "Tested-by",
};

const char *review_kind_name(enum review_kind kind)
{
	return review_names[kind];
}

static void review_tag_free(void *p)
{
	struct review_tag *t = p;

	g_free(t->person);
	g_free(t);
}

void mail_setup(void)
{
	g_mime_init();
}

/* Headers */

/* Without one of these a blob is a text, not a mail. */
static bool has_mail_header(const char *data, size_t len)
{
	static const char *const names[] = { "from", "subject", "message-id", "date" };
	size_t pos = 0, n;
	const char *line;

	while (text_next_line(data, len, &pos, &line, &n)) {
		const char *colon = memchr(line, ':', min(n, (size_t)64));

		if (n == 0 || (n == 1 && line[0] == '\r'))
			return false;
		if (!colon)
			continue;
		for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
			size_t k = strlen(names[i]);

			if ((size_t)(colon - line) >= k &&
			    !g_ascii_strncasecmp(line, names[i], k) &&
			    strspn(line + k, " \t") == (size_t)(colon - line) - k)
				return true;
		}
	}
	return false;
}

/* The first header of that name, raw, or "". */
static const char *raw_header(GMimeObject *o, const char *name)
{
	GMimeHeaderList *list = g_mime_object_get_header_list(o);
	int n = g_mime_header_list_get_count(list);

	for (int i = 0; i < n; i++) {
		GMimeHeader *h = g_mime_header_list_get_header_at(list, i);

		if (!g_ascii_strcasecmp(g_mime_header_get_name(h), name))
			return g_mime_header_get_raw_value(h) ?: "";
	}
	return "";
}

static bool message_id_ok(const char *s, size_t n)
{
	if (n == 0 || n > MESSAGE_ID_MAX || !g_utf8_validate_len(s, n, NULL))
		return false;
	for (size_t i = 0; i < n; i++)
		if ((unsigned char)s[i] <= ' ' || s[i] == 0x7f || s[i] == '<' || s[i] == '>')
			return false;
	return true;
}

static void append_ids(GPtrArray *ids, const char *s)
{
	while (*s && ids->len < REFS_MAX) {
		const char *lt = strchr(s, '<'), *gt = lt ? strchr(lt, '>') : NULL;

		if (!gt)
			return;
		if (message_id_ok(lt + 1, gt - lt - 1))
			g_ptr_array_add(ids, g_strndup(lt + 1, gt - lt - 1));
		s = gt + 1;
	}
}

static char *parse_message_id(const char *raw)
{
	GPtrArray *ids = g_ptr_array_new_with_free_func(g_free);
	char *id = NULL, *bare;

	append_ids(ids, raw);
	if (ids->len) {
		id = g_strdup(ids->pdata[0]);
	} else {
		bare = g_strstrip(g_strndup(raw, MESSAGE_ID_MAX));
		if (message_id_ok(bare, strlen(bare)))
			id = g_strdup(bare);
		g_free(bare);
	}
	g_ptr_array_free(ids, TRUE);
	return id ?: g_strdup("");
}

static void parse_refs(GMimeObject *o, struct mail *m)
{
	GPtrArray *old = g_ptr_array_new_with_free_func(g_free);
	const char *refs = raw_header(o, "References");
	size_t n = strlen(refs);

	append_ids(m->refs, raw_header(o, "In-Reply-To"));
	/* Of an endless list the end matters: the nearest ancestors. */
	append_ids(old, n > 32768 ? refs + n - 32768 : refs);
	for (guint i = old->len; i-- > 0 && m->refs->len < REFS_MAX;) {
		const char *id = old->pdata[i];
		bool seen = !strcmp(id, m->message_id);

		for (guint k = 0; k < m->refs->len && !seen; k++)
			seen = !strcmp(m->refs->pdata[k], id);
		if (!seen)
			g_ptr_array_add(m->refs, g_strdup(id));
	}
	g_ptr_array_free(old, TRUE);
}

static void parse_date(GMimeObject *o, struct mail *m)
{
	char *raw = g_strndup(raw_header(o, "Date"), 200);
	GDateTime *d;

	for (char *p = raw; *p; p++)
		if (g_ascii_isspace(*p))
			*p = ' ';
	d = g_mime_utils_header_decode_date(g_strstrip(raw));
	if (d) {
		m->date = g_date_time_to_unix(d);
		m->has_date = true;
		g_date_time_unref(d);
	}
	g_free(raw);
}

static void parse_headers(GMimeObject *o, struct mail *m)
{
	char *id = parse_message_id(raw_header(o, "List-Id")), *raw;

	m->message_id = parse_message_id(raw_header(o, "Message-Id"));
	m->subject = text_decode_header(raw_header(o, "Subject"));
	raw = g_strdup(raw_header(o, "From"));
	m->from = text_decode_header(raw);
	text_parse_address(raw, &m->from_name, &m->from_addr);
	g_free(raw);
	m->list_id = id;
	raw = text_decode_header(raw_header(o, "X-Change-ID"));
	m->change_id = strlen(raw) <= 200 ? raw : (g_free(raw), g_strdup(""));
	parse_refs(o, m);
	parse_date(o, m);
}

/* Parts */

struct part_search {
	GMimePart *plain, *html;
	GPtrArray *patches; /* GMimePart *, borrowed */
};

static bool part_is_patch(GMimePart *p)
{
	GMimeContentType *ct = g_mime_object_get_content_type(GMIME_OBJECT(p));
	const char *name = g_mime_part_get_filename(p);

	if (ct && (g_mime_content_type_is_type(ct, "text", "x-patch") ||
		   g_mime_content_type_is_type(ct, "text", "x-diff")))
		return true;
	return name && (g_str_has_suffix(name, ".patch") || g_str_has_suffix(name, ".diff"));
}

static void part_walk(GMimeObject *o, int depth, struct part_search *s)
{
	GMimeContentType *ct = o ? g_mime_object_get_content_type(o) : NULL;

	if (!o || depth > PART_DEPTH_MAX)
		return;
	if (GMIME_IS_MULTIPART(o)) {
		int n = g_mime_multipart_get_count(GMIME_MULTIPART(o));

		for (int i = 0; i < n; i++)
			part_walk(g_mime_multipart_get_part(GMIME_MULTIPART(o), i), depth + 1, s);
	} else if (GMIME_IS_PART(o)) {
		const char *disp = g_mime_object_get_disposition(o);
		bool attached = disp && !g_ascii_strcasecmp(disp, "attachment");

		if (depth > 0 && part_is_patch(GMIME_PART(o))) {
			if (s->patches->len < 16)
				g_ptr_array_add(s->patches, o);
		} else if (!ct || g_mime_content_type_is_type(ct, "text", "plain") ||
			   (depth == 0 && !g_mime_content_type_is_type(ct, "text", "html"))) {
			/* A single part of an unknown type is most likely a mislabelled text. */
			if (!s->plain && (!attached || depth == 0))
				s->plain = GMIME_PART(o);
		} else if (g_mime_content_type_is_type(ct, "text", "html")) {
			if (!s->html && !attached)
				s->html = GMIME_PART(o);
		}
	}
}

static void part_append(GMimePart *p, GString *out)
{
	GMimeDataWrapper *content = g_mime_part_get_content(p);
	GMimeStream *mem;
	GByteArray *bytes;

	if (!content)
		return;
	mem = g_mime_stream_mem_new();
	g_mime_data_wrapper_write_to_stream(content, mem);
	bytes = g_mime_stream_mem_get_byte_array(GMIME_STREAM_MEM(mem));
	if (bytes && bytes->len)
		text_append_bytes(out, (char *)bytes->data, bytes->len,
				  g_mime_object_get_content_type_parameter(GMIME_OBJECT(p),
									   "charset"));
	g_object_unref(mem);
}

/* HTML as a text: tags go, block ends are line ends, the five entities that matter are read. */
static void html_to_text(const char *s, GString *out)
{
	static const struct { const char *name, *text; } entities[] = {
		{ "&lt;", "<" }, { "&gt;", ">" }, { "&amp;", "&" }, { "&quot;", "\"" },
		{ "&nbsp;", " " }, { "&#39;", "'" },
	};

	while (*s) {
		if (*s == '<') {
			const char *end = strchr(s, '>');

			if (!g_ascii_strncasecmp(s, "<style", 6) ||
			    !g_ascii_strncasecmp(s, "<script", 7)) {
				const char *close = strstr(s, "</");

				s = close ?: s + strlen(s);
				end = strchr(s, '>');
			} else if (!g_ascii_strncasecmp(s, "<br", 3) ||
				   !g_ascii_strncasecmp(s, "</p", 3) ||
				   !g_ascii_strncasecmp(s, "</div", 5) ||
				   !g_ascii_strncasecmp(s, "</tr", 4)) {
				g_string_append_c(out, '\n');
			}
			s = end ? end + 1 : s + strlen(s);
			continue;
		}
		if (*s == '&') {
			size_t i;

			for (i = 0; i < ARRAY_SIZE(entities); i++)
				if (!strncmp(s, entities[i].name, strlen(entities[i].name)))
					break;
			if (i < ARRAY_SIZE(entities)) {
				g_string_append(out, entities[i].text);
				s += strlen(entities[i].name);
				continue;
			}
		}
		g_string_append_c(out, *s++);
	}
}

static bool text_has_diff(const char *text, size_t len)
{
	size_t pos = 0, n;
	const char *line;
	int state = 0;

	while (text_next_line(text, len, &pos, &line, &n)) {
		if (n > 11 && !strncmp(line, "diff --git ", 11))
			return true;
		if (n > 4 && !strncmp(line, "--- ", 4))
			state = 1;
		else if (state == 1 && n > 4 && !strncmp(line, "+++ ", 4))
			state = 2;
		else if (state == 2 && n > 3 && !strncmp(line, "@@ ", 3))
			return true;
		else
			state = 0;
	}
	return false;
}

static void parse_body(GMimeObject *root, struct mail *m)
{
	struct part_search s = { .patches = g_ptr_array_new() };

	part_walk(root, 0, &s);
	if (s.plain) {
		part_append(s.plain, m->body);
	} else if (s.html) {
		GString *html = g_string_new(NULL);

		part_append(s.html, html);
		html_to_text(html->str, m->body);
		g_string_free(html, TRUE);
	}
	m->has_diff = text_has_diff(m->body->str, m->body->len);
	for (guint i = 0; i < s.patches->len && !m->has_diff; i++) {
		if (m->body->len && m->body->str[m->body->len - 1] != '\n')
			g_string_append_c(m->body, '\n');
		part_append(s.patches->pdata[i], m->body);
		m->has_diff = text_has_diff(m->body->str, m->body->len);
	}
	g_ptr_array_free(s.patches, TRUE);
}

/* The body's lines */

/*
 * A "From:" line that opens the body names who wrote it; it leaves the body, the blank line after
 * it stays. A quoted header block ("From:", then "Sent:" or "To:") is no such line.
 */
static void take_opening_from(struct mail *m)
{
	size_t pos = 0, start, n, end;
	const char *line;
	char *name, *addr;
	GString *value;

	do {
		start = pos;
		if (!text_next_line(m->body->str, m->body->len, &pos, &line, &n))
			return;
	} while (strspn(line, " \t\f") >= n);
	if (n < 6 || n > 2000 || g_ascii_strncasecmp(line, "From:", 5))
		return;
	value = g_string_new_len(line + 5, n - 5);
	end = pos;
	while (text_next_line(m->body->str, m->body->len, &pos, &line, &n)) {
		if (n < 2 || n > 2000 || (line[0] != ' ' && line[0] != '\t') ||
		    strspn(line, " \t") >= n) {
			if (!g_ascii_strncasecmp(line, "Sent:", min(n, (size_t)5)) && n >= 5)
				goto out;
			if (!g_ascii_strncasecmp(line, "To:", min(n, (size_t)3)) && n >= 3)
				goto out;
			break;
		}
		g_string_append_c(value, ' ');
		g_string_append_len(value, line, n);
		end = pos;
	}
	text_parse_address(value->str, &name, &addr);
	if (strchr(addr, '@')) {
		g_free(m->author_name);
		g_free(m->author_addr);
		m->author_name = name;
		m->author_addr = addr;
		g_string_erase(m->body, start, min(end, (size_t)m->body->len) - start);
	} else {
		g_free(name);
		g_free(addr);
	}
out:
	g_string_free(value, TRUE);
}

static void add_path(GPtrArray *paths, GHashTable *seen, const char *s, size_t n)
{
	char *p;

	if (n && s[n - 1] == '\r')
		n--;
	if (n == 0 || n > PATH_LEN_MAX || paths->len >= PATHS_MAX)
		return;
	p = g_strndup(s, n);
	if (!strcmp(p, "/dev/null") || !g_hash_table_add(seen, p)) {
		if (!strcmp(p, "/dev/null"))
			g_free(p);
		return;
	}
	g_ptr_array_add(paths, g_strdup(p));
}

/* "--- a/x\t2024..." -> "x": the first component is diff's own. */
static void add_diff_path(GPtrArray *paths, GHashTable *seen, const char *s, size_t n)
{
	const char *tab = memchr(s, '\t', n), *slash;

	if (tab)
		n = tab - s;
	if (n >= 9 && !strncmp(s, "/dev/null", 9))
		return;
	slash = memchr(s, '/', n);
	if (slash) {
		n -= slash + 1 - s;
		s = slash + 1;
	}
	add_path(paths, seen, s, n);
}

/* "diff --git a/x b/x" is all a binary or a mode change has; both halves are equal then. */
static void add_git_path(GPtrArray *paths, GHashTable *seen, const char *s, size_t n)
{
	size_t half;

	if (n && s[n - 1] == '\r')
		n--;
	half = (n - 1) / 2;
	if (n < 7 || n % 2 == 0 || strncmp(s, "a/", 2) || strncmp(s + half, " b/", 3) ||
	    strncmp(s + 2, s + half + 3, half - 2))
		return;
	add_path(paths, seen, s + 2, half - 2);
}

/* " path | 12 +--" of a diffstat; a path that was shortened ("...") is none. */
static void add_stat_path(GPtrArray *paths, GHashTable *seen, const char *s, size_t n)
{
	const char *bar = NULL, *p;
	size_t k;

	if (n < 6 || n > PATH_LEN_MAX || s[0] != ' ')
		return;
	for (p = s; p + 2 < s + n; p++)
		if (p[0] == ' ' && p[1] == '|' && p[2] == ' ')
			bar = p;
	if (!bar)
		return;
	for (p = bar + 3; p < s + n && *p == ' '; p++)
		;
	if (p == s + n ||
	    (!g_ascii_isdigit(*p) && strncmp(p, "Bin", min((size_t)3, (size_t)(s + n - p)))))
		return;
	s++;
	for (k = bar - s; k && s[k - 1] == ' '; k--)
		;
	if (k == 0 || !strncmp(s, "...", 3) || memchr(s, '{', k) || memchr(s, ' ', k))
		return;
	add_path(paths, seen, s, k);
}

static void parse_paths(struct mail *m, bool cover)
{
	GHashTable *seen = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
	const char *line, *prev = "";
	size_t pos = 0, n, prev_n = 0;

	while (text_next_line(m->body->str, m->body->len, &pos, &line, &n)) {
		if (n > 11 && !strncmp(line, "diff --git ", 11)) {
			add_git_path(m->paths, seen, line + 11, n - 11);
		} else if (n > 4 && !strncmp(line, "+++ ", 4) && prev_n > 4 &&
			   !strncmp(prev, "--- ", 4)) {
			add_diff_path(m->paths, seen, prev + 4, prev_n - 4);
			add_diff_path(m->paths, seen, line + 4, n - 4);
		} else if (n > 12 && !strncmp(line, "rename from ", 12)) {
			add_path(m->paths, seen, line + 12, n - 12);
		} else if (n > 10 && !strncmp(line, "rename to ", 10)) {
			add_path(m->paths, seen, line + 10, n - 10);
		} else if (cover) {
			add_stat_path(m->paths, seen, line, n);
		}
		prev = line;
		prev_n = n;
	}
	g_hash_table_destroy(seen);
}

static void add_review(struct mail *m, enum review_kind kind, const char *s, size_t n)
{
	struct review_tag *t;
	char *copy = g_strndup(s, n), *name, *addr;

	text_parse_address(copy, &name, &addr);
	if (m->reviews->len < REVIEWS_MAX && (*name || *addr)) {
		t = g_new0(struct review_tag, 1);
		t->kind = kind;
		t->person = !*addr ? g_strdup(name) : !*name ? g_strdup(addr) :
			    g_strdup_printf("%s <%s>", name, addr);
		g_ptr_array_add(m->reviews, t);
	}
	g_free(name);
	g_free(addr);
	g_free(copy);
}

/* "Reviewed-by: X", "Reviewed-and-tested-by: X", at the start of an unquoted line. */
static void parse_review_line(struct mail *m, const char *s, size_t n)
{
	const char *colon;
	char *key;

	while (n && (*s == ' ' || *s == '\t')) {
		s++;
		n--;
	}
	if (n < 12 || n > 500 || !(colon = memchr(s, ':', min(n, (size_t)40))))
		return;
	key = g_ascii_strdown(s, colon - s);
	g_strchomp(key);
	if (g_str_has_suffix(key, "-by") && !strpbrk(key, " \t")) {
		const char *v = colon + 1;
		size_t vn = n - (v - s);

		if (g_str_has_prefix(key, "reviewed-"))
			add_review(m, REVIEW_REVIEWED, v, vn);
		if (g_str_has_prefix(key, "acked-"))
			add_review(m, REVIEW_ACKED, v, vn);
		if (g_str_has_prefix(key, "tested-") || strstr(key, "-tested-by"))
			add_review(m, REVIEW_TESTED, v, vn);
	}
	g_free(key);
}

/*
 * A changelog names its earlier versions: "v2: https://host/list/ID/", "Link to v1: ...",
 * "[v1] https://host/r/ID/T/#u". A link without a version is a link to something else.
 */
static void parse_link_line(struct mail *m, const char *s, size_t n)
{
	const char *url = g_strstr_len(s, n, "://");
	bool version = false;
	char *raw, *plain, **parts;
	size_t len;

	if (!url || m->links->len >= LINKS_MAX || n > 2000)
		return;
	for (const char *p = s; p + 1 < url && !version; p++)
		version = (*p == 'v' || *p == 'V') && g_ascii_isdigit(p[1]) &&
			  (p == s || !g_ascii_isalnum(p[-1]));
	if (!version)
		return;
	url += 3;
	for (len = 0; url + len < s + n && !strchr(" \t>)]\"\r#?", url[len]); len++)
		;
	raw = g_strndup(url, len);
	plain = g_uri_unescape_string(raw, NULL);
	parts = g_strsplit(plain ?: raw, "/", 16);
	/* The host in front may have a user's "@"; the Message-Id follows it. */
	for (char **p = parts; *p; p++) {
		size_t k = strlen(*p);

		while (k && strchr(".,;", (*p)[k - 1]))
			(*p)[--k] = 0;
		if (p != parts && strchr(*p, '@') && message_id_ok(*p, k)) {
			g_ptr_array_add(m->links, g_strdup(*p));
			break;
		}
	}
	g_strfreev(parts);
	g_free(plain);
	g_free(raw);
}

static void parse_lines(struct mail *m, const struct subject *subj)
{
	const char *line;
	size_t pos = 0, n;

	while (text_next_line(m->body->str, m->body->len, &pos, &line, &n)) {
		if (subj->reply)
			parse_review_line(m, line, n);
		else if (n > 11 && !strncmp(line, "diff --git ", 11))
			break;
		else
			parse_link_line(m, line, n);
		if (!subj->reply && !*m->change_id && n > 11 && n < 220 &&
		    !g_ascii_strncasecmp(line, "change-id:", 10)) {
			g_free(m->change_id);
			m->change_id = text_one_line(line + 10, n - 10);
		}
	}
}

int mail_parse(const void *data, size_t len, struct mail *m)
{
	const char *bytes = data;
	GMimeStream *stream;
	GMimeParser *parser;
	GMimeMessage *msg;
	struct subject subj;

	memset(m, 0, sizeof(*m));
	/* An mbox separator in front is not part of the mail. */
	if (len > 5 && !strncmp(bytes, "From ", 5)) {
		const char *nl = memchr(bytes, '\n', len);

		len -= nl ? (size_t)(nl + 1 - bytes) : len;
		bytes = nl ? nl + 1 : bytes;
	}
	if (!has_mail_header(bytes, len))
		return -EBADMSG;
	stream = g_mime_stream_mem_new_with_buffer(bytes, len);
	parser = g_mime_parser_new_with_stream(stream);
	g_object_unref(stream);
	g_mime_parser_set_format(parser, GMIME_FORMAT_MESSAGE);
	msg = g_mime_parser_construct_message(parser, NULL);
	if (!msg) {
		g_object_unref(parser);
		return -EBADMSG;
	}
	m->body = g_string_new(NULL);
	m->refs = g_ptr_array_new_with_free_func(g_free);
	m->links = g_ptr_array_new_with_free_func(g_free);
	m->paths = g_ptr_array_new_with_free_func(g_free);
	m->reviews = g_ptr_array_new_with_free_func(review_tag_free);
	parse_headers(GMIME_OBJECT(msg), m);
	m->author_name = g_strdup(m->from_name);
	m->author_addr = g_strdup(m->from_addr);
	parse_body(g_mime_message_get_mime_part(msg), m);
	g_object_unref(msg);
	g_object_unref(parser);

	take_opening_from(m);
	subject_parse(m->subject, &subj);
	/* A subject without a tag is a cover's too, on some lists. */
	parse_paths(m, !subj.reply && (subj.total ? subj.number == 0 : !m->has_diff));
	parse_lines(m, &subj);
	return 0;
}

void mail_clear(struct mail *m)
{
	g_free(m->message_id);
	g_free(m->subject);
	g_free(m->from);
	g_free(m->from_name);
	g_free(m->from_addr);
	g_free(m->author_name);
	g_free(m->author_addr);
	g_free(m->list_id);
	g_free(m->change_id);
	if (m->body)
		g_string_free(m->body, TRUE);
	if (m->refs)
		g_ptr_array_free(m->refs, TRUE);
	if (m->links)
		g_ptr_array_free(m->links, TRUE);
	if (m->paths)
		g_ptr_array_free(m->paths, TRUE);
	if (m->reviews)
		g_ptr_array_free(m->reviews, TRUE);
	memset(m, 0, sizeof(*m));
}

/* "N files changed, ...", as git and diffstat end their tables. */
static bool is_stat_end(const char *s, size_t n)
{
	const char *end = s + n;

	while (s < end && (*s == ' ' || *s == '\t'))
		s++;
	if (s == end || !g_ascii_isdigit(*s))
		return false;
	while (s < end && g_ascii_isdigit(*s))
		s++;
	if (end - s < 13 || strncmp(s, " file", 5))
		return false;
	s += 5;
	s += *s == 's';
	if (end - s < 8 || strncmp(s, " changed", 8))
		return false;
	s += 8;
	return s == end || *s == ',' || *s == ' ';
}

void mail_append_message(GString *out, const struct mail *m)
{
	const char *body = m->body->str, *line;
	size_t len = m->body->len, pos = 0, end = len, n, start = 0;
	bool stat = false;

	while (text_next_line(body, len, &pos, &line, &n)) {
		if (is_stat_end(line, n)) {
			end = min(pos, len);
			stat = true;
			break;
		}
	}
	if (!stat && m->has_diff) {
		for (pos = 0; text_next_line(body, len, &pos, &line, &n); start = pos) {
			if ((n > 11 && !strncmp(line, "diff --git ", 11)) ||
			    (n > 4 && !strncmp(line, "--- ", 4) && pos + 4 < len &&
			     !strncmp(body + pos, "+++ ", 4)) ||
			    (n > 7 && !strncmp(line, "Index: ", 7))) {
				end = start;
				break;
			}
		}
	}
	while (!stat && end && g_ascii_isspace(body[end - 1]))
		end--;
	if (end > MESSAGE_MAX) {
		const char *nl = memrchr(body, '\n', MESSAGE_MAX);
		size_t cut = nl ? (size_t)(nl + 1 - body) : MESSAGE_MAX;

		/* Not in the middle of a character. */
		while (cut && !nl && ((unsigned char)body[cut] & 0xc0) == 0x80)
			cut--;
		g_string_append_len(out, body, cut);
		g_string_append_printf(out, "%s[%zu more bytes are not shown]\n",
				       nl ? "" : "\n", end - cut);
		return;
	}
	g_string_append_len(out, body, end);
	if (end && body[end - 1] != '\n')
		g_string_append_c(out, '\n');
}
