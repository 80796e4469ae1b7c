/* SPDX-License-Identifier: MIT */
/*
 * The update as one self-contained HTML page: charts as inline SVG, a search box, each series to
 * fold, and a link to the public address of each mail that has one.
 *
 * Mails are hostile. All their text passes text_append_html(), into element content or quoted
 * attributes only; direction marks stay inside <bdi> and <pre>; links are made of the archive's
 * address and a percent-encoded Message-Id only, never of an address a mail names; and the page's
 * content security policy allows nothing but its own style and script, by hash.
 */
#include <string.h>
#include <time.h>

#include "digest/out_html_page.h"
#include "digest/report.h"
#include "digest/text.h"

#define CHART_ROW 36

static void esc(GString *out, const char *before, const char *text, const char *after)
{
	g_string_append(out, before);
	text_append_html(out, text);
	g_string_append(out, after);
}

static const char *plural(u32 n, const char *one, const char *many)
{
	return n == 1 ? one : many;
}

static void append_date(GString *out, s64 t)
{
	time_t tt = t;
	char buf[32];
	struct tm tm;

	if (gmtime_r(&tt, &tm) && strftime(buf, sizeof(buf), "%Y-%m-%d", &tm))
		g_string_append_printf(out, "<time>%s</time>", buf);
}

/* The text, a link where the mail has an address; the id tells it where there is none. */
static void link_to(struct report *r, GString *out, u32 pos, const char *text)
{
	const struct entry *e = index_entry(r->ix, pos);
	char *url = report_mail_url(r, pos);

	if (url)
		esc(out, "<a rel=\"noopener noreferrer\" href=\"", url, "\">");
	else
		esc(out, "<span title=\"", e->message_id, "\">");
	esc(out, "<bdi>", text, "</bdi>");
	g_string_append(out, url ? "</a>" : "</span>");
	g_free(url);
}

static void person(struct report *r, GString *out, u32 pos)
{
	char *who = report_person(index_entry(r->ix, pos));

	esc(out, "<bdi>", who, "</bdi>");
	g_free(who);
}

static void hash_source(GString *out, const char *text)
{
	GChecksum *sum = g_checksum_new(G_CHECKSUM_SHA256);
	guint8 digest[32];
	gsize n = sizeof(digest);
	char *b64;

	g_checksum_update(sum, (const guchar *)text, strlen(text));
	g_checksum_get_digest(sum, digest, &n);
	g_checksum_free(sum);
	b64 = g_base64_encode(digest, n);
	g_string_append_printf(out, "'sha256-%s'", b64);
	g_free(b64);
}

static void head(struct report *r, GString *out)
{
	g_string_append(
		out, "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
		     "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; "
		     "style-src ");
	hash_source(out, html_page_style);
	g_string_append(out, "; script-src ");
	hash_source(out, html_page_script);
	g_string_append(out, "; base-uri 'none'; form-action 'none'\">\n"
			"<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
			"<meta name=\"referrer\" content=\"no-referrer\">\n");
	esc(out, "<title>", r->list, " mailing list update</title>\n");
	g_string_append_printf(out, "<style>%s</style>\n</head>\n<body>\n<div class=\"wrap\">\n",
			       html_page_style);
}

static void tile(GString *out, u32 n, const char *text)
{
	g_string_append_printf(out, "<li><b>%u</b>%s</li>\n", n, text);
}

static void summary(struct report *r, GString *out)
{
	u32 fresh = 0, later = 0;

	for (guint i = 0; i < r->parts->len; i++) {
		const struct part *p = r->parts->pdata[i];

		fresh += p->fresh && !p->later;
		later += p->fresh && p->later;
	}
	esc(out, "<header>\n<h1><bdi>", r->list, "</bdi> mailing list update</h1>\n");
	esc(out, "<p class=\"sub\">From <code>", r->from, "</code>");
	esc(out, " to <code>", r->to, "</code>");
	if (r->mails) {
		g_string_append(out, " &middot; arrived ");
		append_date(out, r->oldest_time);
		g_string_append(out, " to ");
		append_date(out, r->newest_time);
	}
	g_string_append(out, "</p>\n</header>\n<ul class=\"tiles\">\n");
	tile(out, r->mails, plural(r->mails, "mail", "mails"));
	tile(out, r->contributors->len,
	     plural(r->contributors->len, "contributor", "contributors"));
	tile(out, fresh, "new series");
	tile(out, later, "updated series");
	tile(out, r->patches, "patches and covers");
	tile(out, r->replies, plural(r->replies, "reply", "replies"));
	if (r->unreadable->len)
		tile(out, r->unreadable->len, "unreadable");
	g_string_append(out, "</ul>\n");
}

/* Widths are percentages: the chart fits any screen, its text keeps its size. */
static void chart(GString *out, const char *title, const GPtrArray *counts, unsigned int top)
{
	u32 rows = min(counts->len, top), most = 1;

	g_string_append_printf(out, "<div class=\"card\">\n<h2>%s</h2>\n", title);
	if (!rows)
		g_string_append(out, "<p class=\"none\">None in this span.</p>\n");
	else
		most = ((struct count *)counts->pdata[0])->n;
	if (rows)
		g_string_append_printf(out, "<svg role=\"img\" aria-label=\"%s\" height=\"%u\">\n",
				       title, rows * CHART_ROW);
	for (u32 i = 0; i < rows; i++) {
		const struct count *c = counts->pdata[i];
		u32 y = i * CHART_ROW;

		esc(out, "<g><title>", c->text, "");
		g_string_append_printf(out, ": %u %s</title>", c->n, plural(c->n, "mail", "mails"));
		/* The label is clipped where the number stands. */
		g_string_append_printf(out, "<svg x=\"0\" y=\"%u\" width=\"88%%\" height=\"20\">"
				       "<text x=\"0\" y=\"14\">", y);
		if (*c->name && *c->addr) {
			esc(out, "", c->name, " <tspan class=\"a\">&lt;");
			esc(out, "", c->addr, "&gt;</tspan>");
		} else {
			text_append_html(out, c->text);
		}
		g_string_append_printf(out, "</text></svg><text class=\"n\" x=\"100%%\" y=\"%u\" "
				       "text-anchor=\"end\">%u</text>", y + 14, c->n);
		g_string_append_printf(
			out,
			"<rect class=\"track\" x=\"0\" y=\"%u\" width=\"100%%\" "
			"height=\"6\" rx=\"3\"/><rect class=\"bar\" x=\"0\" y=\"%u\" "
			"width=\"%.2f%%\" height=\"6\" rx=\"3\"/></g>\n",
			y + 21, y + 21, max(c->n * 100.0 / most, 0.8));
	}
	g_string_append(out, rows ? "</svg>\n</div>\n" : "</div>\n");
}

static void tools(GString *out)
{
	g_string_append(
		out,
		"<div class=\"tools\" role=\"search\" hidden>\n"
		"<input type=\"search\" placeholder=\"Search patches, people, paths ( / )\" "
		"aria-label=\"Search this update\">\n"
		"<button type=\"button\" data-show=\"all\" aria-pressed=\"true\">All</button>\n"
		"<button type=\"button\" data-show=\"new\" aria-pressed=\"false\">New</button>\n"
		"<button type=\"button\" data-show=\"updated\" "
		"aria-pressed=\"false\">Updated</button>\n"
		"<button type=\"button\" data-fold=\"open\">Unfold all</button>\n"
		"<output aria-live=\"polite\"></output>\n</div>\n");
}

static void series_meta(struct report *r, GString *out, const struct part *part)
{
	const struct series *s = threads_series(&r->threads, part->series);
	u32 kinds[REVIEW_KINDS] = { 0 };

	g_string_append(out, "<div class=\"meta\">");
	person(r, out, s->lead);
	g_string_append_printf(out, "<span>%sv%u</span>", s->rfc ? "RFC " : "", s->version);
	if (s->total)
		g_string_append_printf(out, "<span>%u %s</span>", s->total,
				       plural(s->total, "patch", "patches"));
	if (s->replies)
		g_string_append_printf(out, "<span>%u %s</span>", s->replies,
				       plural(s->replies, "reply", "replies"));
	for (guint i = 0; i < s->reviews->len; i++)
		kinds[g_array_index(s->reviews, struct review, i).kind]++;
	for (int k = 0; k < REVIEW_KINDS; k++)
		if (kinds[k])
			g_string_append_printf(out, "<span>%u %s</span>", kinds[k],
					       review_kind_name(k));
	g_string_append(out, "</div>");
}

static void previous(struct report *r, GString *out, s32 series)
{
	bool any = false;

	for (int n = 0; n < 100 && (series = threads_previous(&r->threads, series)) >= 0; n++) {
		const struct series *s = threads_series(&r->threads, series);
		char label[32];

		g_snprintf(label, sizeof(label), "%sv%u", s->rfc ? "RFC " : "", s->version);
		g_string_append(out, any ? ", " : "<p class=\"sub\">Earlier versions: ");
		link_to(r, out, s->lead, label);
		any = true;
	}
	if (any)
		g_string_append(out, "</p>\n");
}

static void reviews(struct report *r, GString *out, const struct series *s)
{
	if (!s->reviews->len)
		return;
	g_string_append(out, "<ul class=\"reviews\">\n");
	for (guint i = 0; i < s->reviews->len; i++) {
		const struct review *v = &g_array_index(s->reviews, struct review, i);
		const struct entry *target = index_entry(r->ix, v->target);

		g_string_append_printf(out, "<li><i>%s:</i> ", review_kind_name(v->kind));
		link_to(r, out, v->reply, v->person);
		if (target->subj.number)
			g_string_append_printf(out, " <i>patch %u</i>", target->subj.number);
		if (!v->own) {
			g_string_append(out, " <i>sent by ");
			person(r, out, v->reply);
			g_string_append(out, "</i>");
		}
		g_string_append(out, "</li>\n");
	}
	g_string_append(out, "</ul>\n");
}

static void patch_number(GString *out, const struct entry *e)
{
	if (e->subj.total)
		g_string_append_printf(out, "<span class=\"num\">%u/%u</span>", e->subj.number,
				       e->subj.total);
}

/* A patch that is printed: folded, but for the one that stands for its series. */
static void patch_full(struct report *r, GString *out, const struct item *it, bool open)
{
	const struct entry *e = index_entry(r->ix, it->pos);
	GString *body = g_string_new(NULL);

	g_string_append_printf(out, "<details class=\"patch\"%s><summary>", open ? " open" : "");
	patch_number(out, e);
	link_to(r, out, it->pos, report_title(e));
	esc(out, "</summary>\n<p class=\"who\"><bdi>", report_subject(e), "</bdi><br>");
	g_string_append(out, "Author: ");
	person(r, out, it->pos);
	g_string_append(out, "</p>\n");
	report_append_message(r, it->pos, body);
	esc(out, "<pre tabindex=\"0\">", body->str, "</pre></details>\n");
	g_string_free(body, TRUE);
}

static const struct item *item_of(const struct part *part, u32 pos)
{
	for (guint i = 0; i < part->items->len; i++)
		if (g_array_index(part->items, struct item, i).pos == pos)
			return &g_array_index(part->items, struct item, i);
	return NULL;
}

/* What the search box finds although it isn't shown: all files the series touches. */
static void hidden_paths(struct report *r, GString *out, const struct part *part)
{
	u32 room = 2000;

	g_string_append(out, "<span hidden>");
	for (guint i = 0; i < part->patches->len; i++) {
		const struct entry *e = index_entry(r->ix, g_array_index(part->patches, u32, i));
		const u8 *p = e->paths;

		for (u32 k = 0; k < e->paths_n && room; k++, room--)
			esc(out, "", entry_path(&p), "\n");
	}
	g_string_append(out, "</span>");
}

static void series_section(struct report *r, GString *out, const struct part *part)
{
	const struct series *s = threads_series(&r->threads, part->series);
	const char *state = part->later ? "updated" : "new";
	bool first = true;

	g_string_append_printf(out, "<details class=\"series\" data-state=\"%s\"><summary>"
			       "<span class=\"badge %s\">%s</span>", state, state,
			       part->later ? "Updated" : "New");
	esc(out, "<span class=\"title\"><bdi>", report_title(index_entry(r->ix, s->lead)),
	    "</bdi></span>");
	series_meta(r, out, part);
	g_string_append(out, "</summary>\n<div class=\"inside\">\n");
	previous(r, out, part->series);
	reviews(r, out, s);
	for (guint i = 0; i < part->patches->len; i++) {
		u32 pos = g_array_index(part->patches, u32, i);
		const struct item *it = item_of(part, pos);

		if (it) {
			patch_full(r, out, it, first);
			first = false;
			continue;
		}
		g_string_append(out, "<div class=\"plain\">");
		patch_number(out, index_entry(r->ix, pos));
		link_to(r, out, pos, report_title(index_entry(r->ix, pos)));
		g_string_append(out, "</div>\n");
	}
	hidden_paths(r, out, part);
	g_string_append(out, "</div></details>\n");
}

static void sections(struct report *r, GString *out)
{
	u32 shown = 0, discussed = 0;

	g_string_append(out, "<section aria-label=\"Patches\">\n");
	for (guint i = 0; i < r->parts->len; i++) {
		const struct part *part = r->parts->pdata[i];

		discussed += !part->fresh;
		shown += part->fresh != 0;
		if (part->fresh)
			series_section(r, out, part);
	}
	if (!shown)
		g_string_append(out, "<p class=\"none\">No patches in this span.</p>\n");
	g_string_append(out, "</section>\n");
	if (!discussed)
		return;
	g_string_append(out, "<section class=\"card\">\n<h2>Earlier series under discussion</h2>\n"
			"<ul class=\"talks\">\n");
	for (guint i = 0; i < r->parts->len; i++) {
		const struct part *part = r->parts->pdata[i];
		const struct series *s = threads_series(&r->threads, part->series);

		if (part->fresh)
			continue;
		g_string_append(out, "<li data-state=\"talk\">");
		link_to(r, out, s->lead, report_title(index_entry(r->ix, s->lead)));
		g_string_append(out, "<div>");
		person(r, out, s->lead);
		if (part->replies)
			g_string_append_printf(out, " &middot; %u %s in this span", part->replies,
					       plural(part->replies, "reply", "replies"));
		g_string_append(out, "</div></li>\n");
	}
	g_string_append(out, "</ul></section>\n");
}

static void talks(struct report *r, GString *out)
{
	if (!r->talks->len)
		return;
	g_string_append(out,
			"<section class=\"card\">\n<h2>Other threads</h2>\n<ul class=\"talks\">\n");
	for (guint i = 0; i < r->talks->len; i++) {
		const struct talk *t = r->talks->pdata[i];

		g_string_append(out, "<li data-state=\"talk\">");
		link_to(r, out, t->root, report_title(index_entry(r->ix, t->root)));
		g_string_append_printf(out, "<div>%u %s: ", t->mails,
				       plural(t->mails, "mail", "mails"));
		for (guint k = 0; k < t->people->len && k < 8; k++)
			esc(out, k ? ", <bdi>" : "<bdi>", t->people->pdata[k], "</bdi>");
		g_string_append(out, t->people->len > 8 ? ", ...</div></li>\n" : "</div></li>\n");
	}
	g_string_append(out, "</ul></section>\n");
}

void report_html(struct report *r, GString *out)
{
	head(r, out);
	summary(r, out);
	g_string_append(out, "<div class=\"charts\">\n");
	chart(out, "Top contributor domains", r->domains, r->opt->top);
	chart(out, "Top contributors", r->contributors, r->opt->top);
	g_string_append(out, "</div>\n");
	tools(out);
	g_string_append(out, "<main>\n");
	sections(r, out);
	talks(r, out);
	g_string_append(out, "</main>\n<footer>Written by softvirt-digest");
	if (r->url) {
		esc(out, " from the archive at <a rel=\"noopener noreferrer\" href=\"", r->url,
		    "\">");
		esc(out, "", r->url, "</a>");
	}
	g_string_append(out, ".</footer>\n</div>\n<script>");
	g_string_append_printf(out, "%s</script>\n</body>\n</html>\n", html_page_script);
}
