/* SPDX-License-Identifier: MIT */
/*
 * The update as plain text, in the form the mailing-list updates have had from the start: its
 * headings, columns and blank lines are an interface, compared byte for byte by a test.
 */
#include <string.h>

#include "digest/report.h"
#include "digest/text.h"

#define RULE "----------------------------------------------------------------------\n"

static void table(GString *out, const GPtrArray *counts, unsigned int top, const char *gap)
{
	for (guint i = 0; i < counts->len && i < top; i++) {
		const struct count *c = counts->pdata[i];

		g_string_append_printf(out, "%7u%s%s\n", c->n, gap, c->text);
	}
}

static void append_reviews(struct report *r, GString *out, u32 pos)
{
	const struct place *p = &r->threads.place[pos];
	const struct series *s = threads_series(&r->threads, p->series);
	bool any = false;

	for (guint i = 0; i < s->reviews->len; i++) {
		const struct review *v = &g_array_index(s->reviews, struct review, i);
		const struct entry *target = index_entry(r->ix, v->target);
		const struct entry *reply = index_entry(r->ix, v->reply);

		/* The cover, or what stands for it, tells the series' state; a patch its own. */
		if (pos != s->lead && v->target != pos)
			continue;
		g_string_append_printf(out, "%s%s: %s", any ? "" : "\n", review_kind_name(v->kind),
				       v->person);
		if (pos == s->lead && target->subj.number)
			g_string_append_printf(out, " (patch %u)", target->subj.number);
		if (!v->own)
			g_string_append_printf(out, " (sent by %s)", report_author(reply));
		g_string_append_c(out, '\n');
		any = true;
	}
}

void report_text(struct report *r, GString *out)
{
	unsigned int top = r->opt->top;

	g_string_append_printf(out, "From %s to %s\n", r->from, r->to);
	g_string_append_printf(out, "%s mailing list update from %s to %s\n\n", r->list, r->from,
			       r->to);
	g_string_append_printf(out, "Top %u contributor Email domains (Based on Email Body)\n\n",
			       top);
	table(out, r->domains, top, " ");
	g_string_append_printf(out, "\nTop %u contributors (Based on Email Body)\n\n", top);
	table(out, r->contributors, top, "  ");
	g_string_append(out, "\n===== Patch list in this time period =====\n\n");
	for (guint i = 0; r->opt->all_patches && i < r->items->len; i++) {
		u32 pos = g_array_index(r->items, struct item, i).pos;

		g_string_append_printf(out, "%s\n", report_subject(index_entry(r->ix, pos)));
	}
	g_string_append(out, "\n===== Patch Commit Messages ====\n\n");
	for (guint i = 0; i < r->items->len; i++) {
		const struct item *it = &g_array_index(r->items, struct item, i);
		const struct entry *e = index_entry(r->ix, it->pos);

		g_string_append_printf(out, "%s  %s\n%s\nAuthor: %s\n\n",
				       it->later ? "Updated:" : "New:", report_title(e),
				       report_subject(e), report_author(e));
		report_append_message(r, it->pos, out);
		if (r->opt->reviews)
			append_reviews(r, out, it->pos);
		g_string_append(out, "\n" RULE "\n");
	}
}
