/* SPDX-License-Identifier: MIT */
/*
 * The update as Markdown (CommonMark with tables). Mails' own text goes either through
 * text_append_markdown() or into a fence longer than any it contains.
 */
#include <string.h>

#include "digest/report.h"
#include "digest/text.h"

static void table(GString *out, const char *what, const GPtrArray *counts, unsigned int top)
{
	g_string_append_printf(out, "| Mails | %s |\n| ---: | :--- |\n", what);
	for (guint i = 0; i < counts->len && i < top; i++) {
		const struct count *c = counts->pdata[i];

		g_string_append_printf(out, "| %u | ", c->n);
		text_append_markdown(out, c->text);
		g_string_append(out, " |\n");
	}
	g_string_append_c(out, '\n');
}

static void fence(GString *out, const char *text)
{
	size_t longest = 2, run = 0;

	for (const char *p = text; *p; p++) {
		run = *p == '`' ? run + 1 : 0;
		longest = max(longest, run);
	}
	for (size_t i = 0; i <= longest; i++)
		g_string_append_c(out, '`');
	g_string_append_printf(out, "text\n%s", text);
	if (*text && text[strlen(text) - 1] != '\n')
		g_string_append_c(out, '\n');
	for (size_t i = 0; i <= longest; i++)
		g_string_append_c(out, '`');
	g_string_append(out, "\n\n");
}

/* The text, as a link where the mail has a public address. */
static void link_to(struct report *r, GString *out, u32 pos, const char *text)
{
	char *url = report_mail_url(r, pos);

	if (url)
		g_string_append_c(out, '[');
	text_append_markdown(out, text);
	if (url)
		g_string_append_printf(out, "](<%s>)", url);
	g_free(url);
}

static void append_person(GString *out, const struct entry *e)
{
	char *who = report_person(e);

	text_append_markdown(out, who);
	g_free(who);
}

static void reviews(struct report *r, GString *out, const struct series *s)
{
	for (guint i = 0; i < s->reviews->len; i++) {
		const struct review *v = &g_array_index(s->reviews, struct review, i);
		const struct entry *target = index_entry(r->ix, v->target);
		const struct entry *reply = index_entry(r->ix, v->reply);

		g_string_append_printf(out, "- %s: ", review_kind_name(v->kind));
		link_to(r, out, v->reply, v->person);
		if (target->subj.number)
			g_string_append_printf(out, ", patch %u", target->subj.number);
		if (!v->own) {
			g_string_append(out, ", sent by ");
			append_person(out, reply);
		}
		g_string_append_c(out, '\n');
	}
	if (s->reviews->len)
		g_string_append_c(out, '\n');
}

static void previous(struct report *r, GString *out, s32 series)
{
	bool any = false;

	for (int n = 0; n < 100 && (series = threads_previous(&r->threads, series)) >= 0; n++) {
		const struct series *s = threads_series(&r->threads, series);
		char label[32];

		g_snprintf(label, sizeof(label), "%sv%u", s->rfc ? "RFC " : "", s->version);
		g_string_append(out, any ? ", " : "Earlier: ");
		link_to(r, out, s->lead, label);
		any = true;
	}
	if (any)
		g_string_append(out, "\n\n");
}

static void part_section(struct report *r, GString *out, const struct part *part)
{
	const struct series *s = threads_series(&r->threads, part->series);
	const struct entry *lead = index_entry(r->ix, s->lead);

	g_string_append_printf(out, "### %s: ", part->later ? "Updated" : "New");
	link_to(r, out, s->lead, report_title(lead));
	g_string_append(out, "\n\n");
	append_person(out, lead);
	g_string_append_printf(out, ", version %u", s->version);
	if (s->total)
		g_string_append_printf(out, ", %u patch%s", s->total, s->total == 1 ? "" : "es");
	g_string_append_printf(out, ", %u repl%s\n\n", s->replies, s->replies == 1 ? "y" : "ies");
	previous(r, out, part->series);
	reviews(r, out, s);
	/* Of a series that came without its cover and first patch: what did come. */
	for (guint i = 0; !part->items->len && i < part->patches->len; i++) {
		u32 pos = g_array_index(part->patches, u32, i);

		g_string_append(out, "- ");
		link_to(r, out, pos, report_subject(index_entry(r->ix, pos)));
		g_string_append(out, i + 1 == part->patches->len ? "\n\n" : "\n");
	}
	for (guint i = 0; i < part->items->len; i++) {
		u32 pos = g_array_index(part->items, struct item, i).pos;
		GString *body = g_string_new(NULL);

		g_string_append(out, "**");
		text_append_markdown(out, report_subject(index_entry(r->ix, pos)));
		g_string_append(out, "**\n\n");
		report_append_message(r, pos, body);
		fence(out, body->str);
		g_string_free(body, TRUE);
	}
}

/* Series the span only replied to: a line each. */
static void discussed(struct report *r, GString *out)
{
	bool any = false;

	for (guint i = 0; i < r->parts->len; i++) {
		const struct part *part = r->parts->pdata[i];
		const struct series *s = threads_series(&r->threads, part->series);

		if (part->fresh)
			continue;
		if (!any)
			g_string_append(out, "## Earlier series under discussion\n\n");
		any = true;
		g_string_append(out, "- ");
		link_to(r, out, s->lead, report_title(index_entry(r->ix, s->lead)));
		g_string_append_printf(out, ": %u repl%s\n", part->replies,
				       part->replies == 1 ? "y" : "ies");
	}
	if (any)
		g_string_append_c(out, '\n');
}

void report_markdown(struct report *r, GString *out)
{
	g_string_append(out, "# ");
	text_append_markdown(out, r->list);
	g_string_append_printf(
		out,
		" mailing list update\n\nFrom `%s` to `%s`: %u mail%s, %u of them patches "
		"and covers, %u replies.\n\n",
		r->from, r->to, r->mails, r->mails == 1 ? "" : "s", r->patches, r->replies);
	g_string_append_printf(out, "## Top %u contributor domains\n\n", r->opt->top);
	table(out, "Domain", r->domains, r->opt->top);
	g_string_append_printf(out, "## Top %u contributors\n\n", r->opt->top);
	table(out, "Contributor", r->contributors, r->opt->top);
	g_string_append(out, "## Patches\n\n");
	for (guint i = 0; i < r->parts->len; i++)
		if (((struct part *)r->parts->pdata[i])->fresh)
			part_section(r, out, r->parts->pdata[i]);
	discussed(r, out);
	if (r->talks->len)
		g_string_append(out, "## Other threads\n\n");
	for (guint i = 0; i < r->talks->len; i++) {
		const struct talk *t = r->talks->pdata[i];

		g_string_append(out, "- ");
		link_to(r, out, t->root, report_title(index_entry(r->ix, t->root)));
		g_string_append_printf(out, ": %u mail%s\n", t->mails, t->mails == 1 ? "" : "s");
	}
}
