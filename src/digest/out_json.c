/* SPDX-License-Identifier: MIT */
/*
 * The update as JSON: one object, all of the report, in the order the text has. Every value is
 * there in every run: what isn't known is null or an empty list.
 */
#include <string.h>
#include <time.h>

#include "digest/report.h"
#include "digest/text.h"

/* Writes "key": with a comma where one is due; the string's last byte tells. */
static void key(GString *out, const char *name)
{
	char last = out->str[out->len - 1];

	if (last != '{' && last != '[')
		g_string_append_c(out, ',');
	if (name) {
		text_append_json(out, name);
		g_string_append_c(out, ':');
	}
}

static void string(GString *out, const char *name, const char *value)
{
	key(out, name);
	if (value)
		text_append_json(out, value);
	else
		g_string_append(out, "null");
}

static void number(GString *out, const char *name, s64 value)
{
	key(out, name);
	g_string_append_printf(out, "%lld", (long long)value);
}

static void boolean(GString *out, const char *name, bool value)
{
	key(out, name);
	g_string_append(out, value ? "true" : "false");
}

static void open_value(GString *out, const char *name, char bracket)
{
	key(out, name);
	g_string_append_c(out, bracket);
}

static void date(GString *out, const char *name, s64 t)
{
	time_t tt = t;
	char buf[64];
	struct tm tm;

	if (gmtime_r(&tt, &tm) && strftime(buf, sizeof(buf), "%Y-%m-%dT%H:%M:%SZ", &tm))
		string(out, name, buf);
	else
		string(out, name, NULL);
}

static void mail_fields(struct report *r, GString *out, u32 pos)
{
	const struct entry *e = index_entry(r->ix, pos);
	char *url = report_mail_url(r, pos);
	const u8 *p = e->paths;

	string(out, "commit", git_oid_tostr_s(&e->commit));
	string(out, "message_id", *e->message_id ? e->message_id : NULL);
	string(out, "url", url);
	string(out, "subject", report_subject(e));
	string(out, "title", report_title(e));
	string(out, "from", report_author(e));
	string(out, "author_name", e->author_name);
	string(out, "author_address", e->author_addr);
	date(out, "arrived", e->time);
	if (e->flags & ENTRY_HAS_DATE)
		date(out, "date", e->date);
	else
		string(out, "date", NULL);
	number(out, "number", e->subj.number);
	number(out, "total", e->subj.total);
	open_value(out, "paths", '[');
	for (u32 i = 0; i < e->paths_n; i++)
		string(out, NULL, entry_path(&p));
	g_string_append_c(out, ']');
	g_free(url);
}

static void counts(GString *out, const char *name, const GPtrArray *list, bool people)
{
	open_value(out, name, '[');
	for (guint i = 0; i < list->len; i++) {
		const struct count *c = list->pdata[i];

		open_value(out, NULL, '{');
		number(out, "count", c->n);
		if (people) {
			string(out, "name", c->name);
			string(out, "address", c->addr);
		} else {
			string(out, "domain", c->text);
		}
		g_string_append_c(out, '}');
	}
	g_string_append_c(out, ']');
}

static void reviews(struct report *r, GString *out, const struct series *s)
{
	open_value(out, "reviews", '[');
	for (guint i = 0; i < s->reviews->len; i++) {
		const struct review *v = &g_array_index(s->reviews, struct review, i);
		const struct entry *target = index_entry(r->ix, v->target);
		const struct entry *reply = index_entry(r->ix, v->reply);

		open_value(out, NULL, '{');
		string(out, "tag", review_kind_name(v->kind));
		string(out, "person", v->person);
		string(out, "sent_by", report_author(reply));
		boolean(out, "by_sender", v->own);
		number(out, "patch", target->subj.number);
		string(out, "target", target->message_id);
		string(out, "message_id", reply->message_id);
		g_string_append_c(out, '}');
	}
	g_string_append_c(out, ']');
}

static void previous(struct report *r, GString *out, s32 series)
{
	open_value(out, "previous_versions", '[');
	for (int n = 0; n < 100 && (series = threads_previous(&r->threads, series)) >= 0; n++) {
		const struct series *s = threads_series(&r->threads, series);
		const struct entry *e = index_entry(r->ix, s->lead);
		char *url = report_mail_url(r, s->lead);

		open_value(out, NULL, '{');
		number(out, "version", s->version);
		string(out, "subject", report_subject(e));
		string(out, "message_id", *e->message_id ? e->message_id : NULL);
		string(out, "url", url);
		string(out, "commit", git_oid_tostr_s(&e->commit));
		g_string_append_c(out, '}');
		g_free(url);
	}
	g_string_append_c(out, ']');
}

static void part_object(struct report *r, GString *out, const struct part *part)
{
	const struct series *s = threads_series(&r->threads, part->series);
	const struct entry *lead = index_entry(r->ix, s->lead);

	open_value(out, NULL, '{');
	string(out, "state", part->later ? "updated" : "new");
	string(out, "title", report_title(lead));
	string(out, "author", report_author(lead));
	number(out, "version", s->version);
	boolean(out, "rfc", s->rfc);
	number(out, "total", s->total);
	boolean(out, "cover", s->cover != POS_NONE);
	number(out, "replies", s->replies);
	number(out, "replies_in_span", part->replies);
	number(out, "patches_in_span", part->fresh);
	previous(r, out, part->series);
	reviews(r, out, s);
	open_value(out, "patches", '[');
	for (guint i = 0; i < part->patches->len; i++) {
		open_value(out, NULL, '{');
		mail_fields(r, out, g_array_index(part->patches, u32, i));
		g_string_append_c(out, '}');
	}
	g_string_append(out, "]}");
}

static void talk_object(struct report *r, GString *out, const struct talk *t)
{
	const struct entry *e = index_entry(r->ix, t->root);

	open_value(out, NULL, '{');
	string(out, "title", report_title(e));
	string(out, "message_id", *e->message_id ? e->message_id : NULL);
	number(out, "mails_in_span", t->mails);
	open_value(out, "people", '[');
	for (guint i = 0; i < t->people->len; i++)
		string(out, NULL, t->people->pdata[i]);
	g_string_append(out, "]}");
}

static void items(struct report *r, GString *out)
{
	open_value(out, "items", '[');
	for (guint i = 0; i < r->items->len; i++) {
		const struct item *it = &g_array_index(r->items, struct item, i);
		GString *body = g_string_new(NULL);

		open_value(out, NULL, '{');
		string(out, "state", it->later ? "updated" : "new");
		mail_fields(r, out, it->pos);
		report_append_message(r, it->pos, body);
		string(out, "message", body->str);
		g_string_append_c(out, '}');
		g_string_free(body, TRUE);
	}
	g_string_append_c(out, ']');
}

void report_json(struct report *r, GString *out)
{
	g_string_append_c(out, '{');
	string(out, "format", "softvirt-digest 1");
	string(out, "list", r->list);
	string(out, "from", r->span->from_start ? NULL : git_oid_tostr_s(&r->span->from));
	string(out, "to", r->span->to_none ? NULL : git_oid_tostr_s(&r->span->to));
	string(out, "url", r->url);
	number(out, "mails", r->mails);
	number(out, "patches_and_covers", r->patches);
	number(out, "replies", r->replies);
	number(out, "duplicates", r->duplicates);
	number(out, "deleted", r->deleted);
	open_value(out, "unreadable", '[');
	for (guint i = 0; i < r->unreadable->len; i++) {
		u32 pos = g_array_index(r->unreadable, u32, i);

		string(out, NULL, git_oid_tostr_s(&index_entry(r->ix, pos)->commit));
	}
	g_string_append_c(out, ']');
	counts(out, "domains", r->domains, false);
	counts(out, "contributors", r->contributors, true);
	items(r, out);
	open_value(out, "series", '[');
	for (guint i = 0; i < r->parts->len; i++)
		part_object(r, out, r->parts->pdata[i]);
	g_string_append_c(out, ']');
	open_value(out, "threads", '[');
	for (guint i = 0; i < r->talks->len; i++)
		talk_object(r, out, r->talks->pdata[i]);
	g_string_append(out, "]}\n");
}
