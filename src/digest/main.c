/* SPDX-License-Identifier: MIT */
/*
 * softvirt-digest: what happened on a mailing list between two points of its public-inbox archive.
 *
 * main() parses and checks all arguments before anything is opened; then archive, index, span,
 * report and output follow in a line, each able to fail with one line on stderr. Exit status: 0, 1
 * (the archive, the span or the output failed), 2 (the command line is wrong).
 */
#include <errno.h>
#include <getopt.h>
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "digest/report.h"
#include "digest/text.h"

#ifndef SOFTVIRT_VERSION
#define SOFTVIRT_VERSION "unknown"
#endif

enum format { FORMAT_TEXT, FORMAT_MARKDOWN, FORMAT_HTML, FORMAT_JSON };

struct options {
	const char *archive, *output, *last;
	enum format format;
	struct span_request span;
	struct report_options report;
	struct index_options index;
	bool progress, quiet;
};

enum {
	OPT_SINCE = 256, OPT_UNTIL, OPT_LAST, OPT_NOW, OPT_LIST, OPT_URL, OPT_ALL, OPT_PATH,
	OPT_AUTHOR, OPT_SUBJECT, OPT_REVIEW, OPT_TOP, OPT_ABBREV, OPT_INDEX, OPT_NO_INDEX,
	OPT_PROGRESS, OPT_NO_PROGRESS, OPT_VERSION,
};

static const struct option long_options[] = {
	{ "format", required_argument, NULL, 'f' },
	{ "output", required_argument, NULL, 'o' },
	{ "since", required_argument, NULL, OPT_SINCE },
	{ "until", required_argument, NULL, OPT_UNTIL },
	{ "last", required_argument, NULL, OPT_LAST },
	{ "now", required_argument, NULL, OPT_NOW },
	{ "list", required_argument, NULL, OPT_LIST },
	{ "url", required_argument, NULL, OPT_URL },
	{ "all-patches", no_argument, NULL, OPT_ALL },
	{ "path", required_argument, NULL, OPT_PATH },
	{ "author", required_argument, NULL, OPT_AUTHOR },
	{ "subject", required_argument, NULL, OPT_SUBJECT },
	{ "review", no_argument, NULL, OPT_REVIEW },
	{ "top", required_argument, NULL, OPT_TOP },
	{ "abbrev", required_argument, NULL, OPT_ABBREV },
	{ "index", required_argument, NULL, OPT_INDEX },
	{ "no-index", no_argument, NULL, OPT_NO_INDEX },
	{ "progress", no_argument, NULL, OPT_PROGRESS },
	{ "no-progress", no_argument, NULL, OPT_NO_PROGRESS },
	{ "quiet", no_argument, NULL, 'q' },
	{ "help", no_argument, NULL, 'h' },
	{ "version", no_argument, NULL, OPT_VERSION },
	{ NULL, 0, NULL, 0 },
};

static const char help_text[] =
"usage: softvirt-digest [options] ARCHIVE [A..B]\n"
"\n"
"Says who wrote what on a mailing list, and what is new, between two points of its\n"
"public-inbox git archive. ARCHIVE is a repository (bare or not), an epoch of several\n"
"(list.0.git), a directory of epochs, or their common name (list).\n"
"\n"
"Which mails (default: all)\n"
"  A..B              after commit A up to and with B; A.. and ..B leave an end open\n"
"  --since DATE      that arrived at DATE or later (2026-01-31, \"2026-01-31 12:00 +0100\",\n"
"  --until DATE      @seconds), and before DATE (a day alone: to its end)\n"
"  --last PERIOD     of the last 12h, 7d, 2w, 1m (30 days), 1y (365 days)\n"
"  --now DATE        what --last counts back from (default: now)\n"
"  --path PATTERN    patches that touch a path, as 'arch/riscv/kvm/*', and their replies\n"
"  --author TEXT     whose author contains TEXT (with * or ?: matches it)\n"
"  --subject TEXT    whose subject contains TEXT (with * or ?: matches it)\n"
"                    These three may be repeated: any of a kind, and all kinds, must match.\n"
"\n"
"What is printed\n"
"  -f, --format F    text (default), markdown, html, json\n"
"  -o, --output FILE to FILE instead of standard output\n"
"  --all-patches     every patch, not only covers, first and single patches\n"
"  --review          in the text, too, who reviewed, acked and tested (from the replies)\n"
"  --list NAME       the list's name (default: from its mails' List-Id)\n"
"  --url URL         where a mail is found as URL/MESSAGE-ID/ (default: the repository's\n"
"                    remote address if it is a web address, else no links)\n"
"  --top N           rows of the contributor tables (default: 15)\n"
"  --abbrev N        characters of a commit's name (default: 9)\n"
"\n"
"The index (built once, then extended)\n"
"  --index FILE      where (default: beside the archive, else in the user's cache)\n"
"  --no-index        neither read nor write one\n"
"  --progress        show progress although stderr is no terminal; --no-progress: never\n"
"  -q, --quiet       only errors and the count of unreadable mails on stderr\n"
"\n"
"  -h, --help        this text\n"
"  --version         the version\n";

static bool quiet_notes;
static bool bar_shown;

static void bar_end(void)
{
	if (bar_shown)
		fputc('\n', stderr);
	bar_shown = false;
}

static void note(const char *text)
{
	bar_end();
	if (!quiet_notes)
		fprintf(stderr, "softvirt-digest: %s\n", text);
}

/* At most one line per percent, and none for what is done at once. */
static void progress_bar(void *ctx, u64 done, u64 total)
{
	static int shown = -1;
	int percent = total ? (int)(done * 100 / total) : 100, width = 30;
	char bar[31];

	(void)ctx;
	if (percent == shown && done != total)
		return;
	if (done == total && shown < 0 && total < 500)
		return;
	shown = percent;
	memset(bar, '.', width);
	memset(bar, '#', percent * width / 100);
	bar[width] = 0;
	fprintf(stderr, "\rindexing [%s] %3d%% %llu of %llu mails", bar, percent,
		(unsigned long long)done, (unsigned long long)total);
	bar_shown = true;
	if (done == total) {
		bar_end();
		shown = -1;
	}
	fflush(stderr);
}

static int usage_error(const char *fmt, const char *what)
{
	fputs("softvirt-digest: ", stderr);
	fprintf(stderr, fmt, what);
	fputs(" (see softvirt-digest --help)\n", stderr);
	return -EINVAL;
}

static int parse_number(const char *s, unsigned int low, unsigned int high, unsigned int *out)
{
	unsigned long v;
	char *end;

	errno = 0;
	v = strtoul(s, &end, 10);
	if (!g_ascii_isdigit(*s) || *end || errno || v < low || v > high)
		return -EINVAL;
	*out = v;
	return 0;
}

static int parse_format(const char *s, enum format *out)
{
	static const char *const names[] = { "text", "markdown", "html", "json" };

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		if (!strcmp(s, names[i])) {
			*out = i;
			return 0;
		}
	}
	return usage_error("'%s' is no format: text, markdown, html or json", s);
}

/* Only what a browser follows safely: the address goes into every link. */
static int check_url(const char *s)
{
	if (!g_str_has_prefix(s, "https://") && !g_str_has_prefix(s, "http://"))
		return usage_error("--url '%s' is no web address: https://host/list/", s);
	for (const char *p = s; *p; p++)
		if ((unsigned char)*p <= ' ' || (unsigned char)*p >= 0x7f || strchr("<>\"'`\\", *p))
			return usage_error("--url '%s' has a character no address may have", s);
	return 0;
}

static int parse_date_option(const char *name, const char *s, bool end, s64 *out)
{
	char text[128];

	if (span_parse_date(s, end, out) == 0)
		return 0;
	g_snprintf(text, sizeof(text),
		   "--%s '%%s' is no date: 2026-01-31, '2026-01-31 12:00 +0100' or "
		   "@seconds",
		   name);
	return usage_error(text, s);
}

static int add_pattern(GPtrArray *list, const char *what, const char *s)
{
	if (!*s || !g_utf8_validate(s, -1, NULL))
		return usage_error("the %s to look for is empty or no valid UTF-8", what);
	g_ptr_array_add(list, (char *)s);
	return 0;
}

static int parse_option(struct options *o, int c, s64 *now)
{
	switch (c) {
	case 'f':
		return parse_format(optarg, &o->format);
	case 'o':
		o->output = optarg;
		return 0;
	case 'q':
		o->quiet = true;
		return 0;
	case OPT_SINCE:
		o->span.has_since = true;
		return parse_date_option("since", optarg, false, &o->span.since);
	case OPT_UNTIL:
		o->span.has_until = true;
		return parse_date_option("until", optarg, true, &o->span.until);
	case OPT_NOW:
		return parse_date_option("now", optarg, false, now);
	case OPT_LAST:
		o->last = optarg;
		return 0;
	case OPT_LIST:
		o->report.list = optarg;
		return *optarg ? 0 : usage_error("--list needs a %s", "name");
	case OPT_URL:
		o->report.url = optarg;
		return check_url(optarg);
	case OPT_ALL:
		o->report.all_patches = true;
		return 0;
	case OPT_REVIEW:
		o->report.reviews = true;
		return 0;
	case OPT_PATH:
		return add_pattern(o->report.paths, "path", optarg);
	case OPT_AUTHOR:
		return add_pattern(o->report.authors, "author", optarg);
	case OPT_SUBJECT:
		return add_pattern(o->report.subjects, "subject", optarg);
	case OPT_TOP:
		return parse_number(optarg, 1, 1000000, &o->report.top) ?
			usage_error("--top '%s' is no number of rows from 1 on", optarg) : 0;
	case OPT_ABBREV:
		return parse_number(optarg, 4, 40, &o->report.abbrev) ?
			usage_error("--abbrev '%s' is no number from 4 to 40", optarg) : 0;
	case OPT_INDEX:
		o->index.path = optarg;
		return *optarg ? 0 : usage_error("--index needs a %s", "file name");
	case OPT_NO_INDEX:
		o->index.memory_only = true;
		return 0;
	case OPT_PROGRESS:
		o->progress = true;
		return 0;
	case OPT_NO_PROGRESS:
		o->progress = false;
		return 0;
	default:
		/* getopt has said what is wrong with it. */
		fputs("see softvirt-digest --help\n", stderr);
		return -EINVAL;
	}
}

/* 0, 1 (done: help or version), or an error. */
static int parse_options(struct options *o, int argc, char **argv)
{
	s64 now = time(NULL), period;
	int c, err;

	while ((c = getopt_long(argc, argv, "f:o:qh", long_options, NULL)) != -1) {
		if (c == 'h') {
			fputs(help_text, stdout);
			return 1;
		}
		if (c == OPT_VERSION) {
			puts("softvirt-digest " SOFTVIRT_VERSION);
			return 1;
		}
		err = parse_option(o, c, &now);
		if (err)
			return err;
	}
	if (optind == argc)
		return usage_error("no %s given", "archive");
	o->archive = argv[optind++];
	if (optind < argc)
		o->span.commits = argv[optind++];
	if (optind < argc)
		return usage_error("'%s' is one argument too many", argv[optind]);
	if (o->last) {
		if (o->span.has_since)
			return usage_error("--last and --since both say where the span %s",
					   "begins");
		if (span_parse_period(o->last, &period))
			return usage_error("--last '%s' is no period: 12h, 7d, 2w, 1m or 1y",
					   o->last);
		o->span.since = now - period;
		o->span.has_since = true;
		/* What is dated after "now" did not happen in the period before it. */
		if (!o->span.has_until) {
			o->span.until = now + 1;
			o->span.has_until = true;
		}
	}
	if (o->span.has_since && o->span.has_until && o->span.since >= o->span.until)
		return usage_error("the span ends before it %s", "begins");
	return 0;
}

static int write_out(const struct options *o, const GString *out)
{
	FILE *f = o->output ? fopen(o->output, "w") : stdout;
	int err = 0;

	if (!f || fwrite(out->str, 1, out->len, f) != out->len || fflush(f))
		err = -errno ?: -EIO;
	if (f && o->output && fclose(f) && !err)
		err = -errno;
	if (err)
		fprintf(stderr, "softvirt-digest: the update cannot be written to %s: %s\n",
			o->output ?: "standard output", strerror(-err));
	return err;
}

static void close_report(const struct report *r, const struct options *o)
{
	guint n = r->unreadable->len;

	if (o->last && !r->mails && !o->quiet && r->ix->entries->len) {
		const struct entry *e = index_entry(r->ix, r->ix->entries->len - 1);
		GDateTime *d = g_date_time_new_from_unix_utc(e->time);
		char *day = d ? g_date_time_format(d, "%Y-%m-%d") : NULL;

		if (day)
			fprintf(stderr,
				"softvirt-digest: no mail in this period; the archive's newest "
				"is of %s\n",
				day);
		g_free(day);
		if (d)
			g_date_time_unref(d);
	}
	if (!n)
		return;
	fprintf(stderr, "softvirt-digest: %u mail%s unreadable (in commit%s", n, n == 1 ? "" : "s",
		n == 1 ? "" : "s");
	for (guint i = 0; i < n && i < 10; i++) {
		char *id = report_commit(r, g_array_index(r->unreadable, u32, i));

		fprintf(stderr, " %s", id);
		g_free(id);
	}
	fputs(n > 10 ? " and more)\n" : ")\n", stderr);
}

static int run(const struct options *o)
{
	static void (*const formats[])(struct report *, GString *) = {
		report_text, report_markdown, report_html, report_json,
	};
	GString *out = g_string_new(NULL);
	struct failure f = { "" };
	struct archive a;
	struct report r;
	struct index ix;
	struct span s;
	int err;

	err = archive_open(o->archive, &a, &f);
	if (err)
		goto out;
	err = index_open(&a, &o->index, &ix, &f);
	bar_end();
	if (err)
		goto out_archive;
	err = span_select(&a, &ix, &o->span, &s, &f);
	if (err)
		goto out_index;
	err = report_build(&r, &a, &ix, &s, &o->report, &f);
	if (err)
		goto out_span;
	formats[o->format](&r, out);
	err = write_out(o, out);
	if (!err)
		close_report(&r, o);
	report_free(&r);
out_span:
	span_free(&s);
out_index:
	index_close(&ix);
out_archive:
	archive_close(&a);
out:
	if (err && *f.text)
		fprintf(stderr, "softvirt-digest: %s\n", f.text);
	g_string_free(out, TRUE);
	return err;
}

/* Nothing configured outside the archive may change what is read from it. */
static void setup_git(void)
{
	static const int levels[] = { GIT_CONFIG_LEVEL_SYSTEM, GIT_CONFIG_LEVEL_XDG,
				      GIT_CONFIG_LEVEL_GLOBAL, GIT_CONFIG_LEVEL_PROGRAMDATA };

	git_libgit2_init();
	for (size_t i = 0; i < ARRAY_SIZE(levels); i++)
		git_libgit2_opts(GIT_OPT_SET_SEARCH_PATH, levels[i], "");
	git_libgit2_opts(GIT_OPT_SET_OWNER_VALIDATION, 0);
	/* As git: an object's own checksum is for git fsck, the stream's is checked on reading. */
	git_libgit2_opts(GIT_OPT_ENABLE_STRICT_HASH_VERIFICATION, 0);
	/* Each object is read about once. */
	git_libgit2_opts(GIT_OPT_ENABLE_CACHING, 0);
}

int main(int argc, char **argv)
{
	struct options o = { .progress = isatty(STDERR_FILENO) };
	int err;

	setlocale(LC_CTYPE, "");
	o.report.top = 15;
	o.report.abbrev = 9;
	o.report.paths = g_ptr_array_new();
	o.report.authors = g_ptr_array_new();
	o.report.subjects = g_ptr_array_new();
	err = parse_options(&o, argc, argv);
	if (err == 0) {
		quiet_notes = o.quiet;
		o.index.note = note;
		o.index.progress = o.progress && !o.quiet ? progress_bar : NULL;
		setup_git();
		mail_setup();
		err = run(&o) ? 1 : 0;
		git_libgit2_shutdown();
	} else {
		err = err > 0 ? 0 : 2;
	}
	g_ptr_array_free(o.report.paths, TRUE);
	g_ptr_array_free(o.report.authors, TRUE);
	g_ptr_array_free(o.report.subjects, TRUE);
	return err;
}
