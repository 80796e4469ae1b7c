/* SPDX-License-Identifier: MIT */
/*
 * Finding and reading an archive.
 *
 * ARCHIVE may be a repository (bare or not), one epoch of several ("list.0.git"; its siblings are
 * read too), a directory that holds epochs ("0.git", "list.0.git", or those under "git/"), or the
 * stem they share ("dir/list"). Epochs are ordered by number; within one, parents come before
 * children. Repositories are opened for reading only, without the user's or system's git
 * configuration: nothing configured elsewhere can change what is read. Whose they are doesn't
 * matter, as nothing in them is ever run.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "digest/archive.h"

#define EPOCH_MAX 999
/* How far back from the tip a mail must show up for a repository to be an archive. */
#define PROBE_COMMITS 16

int failure_set(struct failure *f, int err, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(f->text, sizeof(f->text), fmt, ap);
	va_end(ap);
	/* Names come from the command line and from disk: one line, nothing a terminal obeys. */
	for (char *p = f->text; *p; p++)
		if ((unsigned char)*p < 0x20 || *p == 0x7f)
			*p = '?';
	return err;
}

static const char *git_message(void)
{
	const git_error *e = git_error_last();

	return e && e->message ? e->message : "no reason given";
}

static void epoch_free(void *p)
{
	struct epoch *e = p;

	git_odb_free(e->odb);
	git_repository_free(e->repo);
	g_free(e->path);
	g_free(e);
}

/* "list.12.git", "12.git", "list.12": the stem's length, dot included, and the number. */
static bool epoch_name(const char *name, size_t *stem, unsigned int *number)
{
	size_t end = strlen(name), i;

	if (end > 4 && !strcmp(name + end - 4, ".git"))
		end -= 4;
	for (i = end; i && g_ascii_isdigit(name[i - 1]); i--)
		;
	if (i == end || end - i > 3 || (name[i] == '0' && end - i > 1))
		return false;
	if (i && name[i - 1] != '.')
		return false;
	/* A bare number is an epoch only with its ".git". */
	if (i == 0 && !name[end])
		return false;
	*stem = i;
	*number = atoi(name + i);
	return *number <= EPOCH_MAX;
}

static bool is_directory(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

static git_repository *repo_open(const char *path)
{
	git_repository *repo = NULL;

	if (git_repository_open_ext(&repo, path, GIT_REPOSITORY_OPEN_NO_SEARCH, NULL))
		return NULL;
	return repo;
}

/* The newest commit: HEAD's, else a usual branch's, else that of the only branch. */
static int repo_tip(git_repository *repo, git_oid *tip)
{
	static const char *const names[] = { "HEAD", "refs/heads/master", "refs/heads/main" };
	git_branch_iterator *it = NULL;
	git_reference *ref = NULL;
	git_branch_t type;
	git_object *o = NULL;
	int found = 0;

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		if (git_reference_name_to_id(tip, repo, names[i]) == 0)
			return 0;
	}
	if (git_branch_iterator_new(&it, repo, GIT_BRANCH_LOCAL))
		return -ENOENT;
	while (git_branch_next(&ref, &type, it) == 0) {
		if (git_reference_peel(&o, ref, GIT_OBJECT_COMMIT) == 0) {
			*tip = *git_object_id(o);
			git_object_free(o);
			found++;
		}
		git_reference_free(ref);
	}
	git_branch_iterator_free(it);
	return found == 1 ? 0 : -ENOENT;
}

static int epoch_add(struct archive *a, const char *path, unsigned int number, struct failure *f)
{
	git_repository *repo = repo_open(path);
	struct epoch *e;

	if (!repo)
		return failure_set(f, -EINVAL, "'%s' cannot be opened as a git repository: %s",
				   path, git_message());
	for (guint i = 0; i < a->epochs->len; i++) {
		struct epoch *other = a->epochs->pdata[i];

		if (other->number != number)
			continue;
		git_repository_free(repo);
		return failure_set(f, -EINVAL, "'%s' and '%s' are both epoch %u: name one of them",
				   other->path, path, number);
	}
	e = g_new0(struct epoch, 1);
	e->number = number;
	e->path = g_strdup(path);
	e->repo = repo;
	e->shallow = git_repository_is_shallow(repo) == 1;
	g_ptr_array_add(a->epochs, e);
	if (git_repository_odb(&e->odb, repo))
		return failure_set(f, -EINVAL, "'%s' has no readable objects: %s", path,
				   git_message());
	e->empty = repo_tip(repo, &e->tip) != 0;
	return 0;
}

static gint epoch_compare(gconstpointer pa, gconstpointer pb)
{
	const struct epoch *a = *(struct epoch *const *)pa, *b = *(struct epoch *const *)pb;

	return (a->number > b->number) - (a->number < b->number);
}

/*
 * Adds the epochs in `dir` whose names begin with `stem`; stem NULL: of the one list there.
 * Returns how many there were or an error; *found: the stem.
 */
static int epochs_scan(struct archive *a, const char *dir, const char *stem, char **found,
		       struct failure *f)
{
	GDir *d = g_dir_open(dir, 0, NULL);
	const char *name;
	int n = 0, err = 0;

	*found = g_strdup(stem);
	if (!d)
		return 0;
	while (!err && (name = g_dir_read_name(d))) {
		unsigned int number;
		size_t len;
		char *path, *this;
		git_repository *repo;

		if (!epoch_name(name, &len, &number))
			continue;
		this = g_strndup(name, len);
		path = g_build_filename(dir, name, NULL);
		if (stem && strcmp(stem, this))
			goto next;
		repo = is_directory(path) ? repo_open(path) : NULL;
		if (!repo)
			goto next;
		git_repository_free(repo);
		if (*found && strcmp(*found, this)) {
			err = failure_set(f, -EINVAL,
					  "'%s' holds several archives ('%s' and '%s' among them): "
					  "name one, as '%s/%.*s'", dir, *found, this, dir,
					  (int)len - 1, this);
			goto next;
		}
		if (!*found)
			*found = g_strdup(this);
		err = epoch_add(a, path, number, f);
		n++;
next:
		g_free(path);
		g_free(this);
	}
	g_dir_close(d);
	return err ?: n;
}

static void index_path_set(struct archive *a, const char *dir, const char *stem)
{
	size_t n = strlen(stem);

	a->index_path = g_strdup_printf("%s/%.*s.softvirt-digest", strcmp(dir, "/") ? dir : "",
					n ? (int)n - 1 : 6, n ? stem : "epochs");
}

/* The path is a repository itself: alone, or an epoch among siblings. */
static int locate_repository(struct archive *a, const char *real, struct failure *f)
{
	char *dir = g_path_get_dirname(real), *base = g_path_get_basename(real), *found = NULL;
	unsigned int number;
	size_t len;
	int n;

	if (!strcmp(base, ".git")) {
		char *up = g_path_get_dirname(dir);

		g_free(base);
		base = g_path_get_basename(dir);
		g_free(dir);
		dir = up;
	}
	if (epoch_name(base, &len, &number)) {
		char *stem = g_strndup(base, len);

		n = epochs_scan(a, dir, stem, &found, f);
		index_path_set(a, dir, stem);
		g_free(stem);
	} else {
		char *stem = g_str_has_suffix(base, ".git") ? g_strndup(base, strlen(base) - 4) :
			     g_strdup(base);
		char *dotted = g_strconcat(*stem ? stem : "archive", ".", NULL);

		n = epoch_add(a, real, 0, f);
		index_path_set(a, dir, dotted);
		g_free(dotted);
		g_free(stem);
	}
	g_free(found);
	g_free(base);
	g_free(dir);
	return n < 0 ? n : 0;
}

static int locate_directory(struct archive *a, const char *real, struct failure *f)
{
	static const char *const below[] = { "", "git" };
	int n = 0;

	for (size_t i = 0; i < ARRAY_SIZE(below) && n == 0; i++) {
		char *dir = *below[i] ? g_build_filename(real, below[i], NULL) : g_strdup(real);
		char *found = NULL;

		n = epochs_scan(a, dir, NULL, &found, f);
		if (n > 0)
			index_path_set(a, dir, found);
		g_free(found);
		g_free(dir);
	}
	if (n == 0)
		return failure_set(f, -EINVAL,
				   "'%s' is no git repository and holds no epochs of an "
				   "archive (0.git or list.0.git)",
				   a->path);
	return n < 0 ? n : 0;
}

/* There is no such file: perhaps the stem of "stem.0.git", or of "stem.git". */
static int locate_stem(struct archive *a, struct failure *f)
{
	char *dir = g_path_get_dirname(a->path), *base = g_path_get_basename(a->path);
	char *stem = g_strconcat(base, ".", NULL), *found = NULL, *real = realpath(dir, NULL);
	char *dotgit = g_strconcat(a->path, ".git", NULL);
	int n = 0;

	if (real) {
		n = epochs_scan(a, real, stem, &found, f);
		if (n > 0)
			index_path_set(a, real, stem);
	}
	if (n == 0 && is_directory(dotgit)) {
		char *r = realpath(dotgit, NULL);

		n = r ? locate_repository(a, r, f) : -errno;
		n = n ?: 1;
		free(r);
	}
	if (n == 0)
		n = failure_set(f, -ENOENT, "'%s' does not exist, and neither does '%s.git' or "
				"'%s.0.git'", a->path, a->path, a->path);
	free(real);
	g_free(dotgit);
	g_free(found);
	g_free(stem);
	g_free(base);
	g_free(dir);
	return n < 0 ? n : 0;
}

/* An archive's newest commits hold a mail each. */
static int probe(struct archive *a, struct failure *f)
{
	bool empty = true;

	for (guint i = a->epochs->len; i-- > 0;) {
		struct epoch *e = a->epochs->pdata[i];
		git_oid id = e->tip, blob;
		enum change what;
		s64 time;

		if (e->empty)
			continue;
		empty = false;
		for (int k = 0; k < PROBE_COMMITS; k++) {
			if (archive_commit(e, &id, &what, &blob, &time))
				return failure_set(f, -EIO, "'%s' cannot be read: %s", e->path,
						   git_message());
			if (what != CHANGE_NONE)
				return 0;
			if (archive_parent(e, &id, 0, &id) < 1)
				break;
		}
	}
	if (empty)
		return failure_set(f, -EINVAL,
				   "'%s' holds no commits: nothing has been archived or "
				   "fetched yet",
				   a->path);
	return failure_set(f, -EINVAL, "'%s' is a git repository but no public-inbox archive: its "
			   "newest commits hold no mail (a file 'm')", a->path);
}

int archive_open(const char *path, struct archive *a, struct failure *f)
{
	char *real = realpath(path, NULL);
	git_repository *repo = NULL;
	int err;

	memset(a, 0, sizeof(*a));
	a->path = g_strdup(path);
	while (strlen(a->path) > 1 && g_str_has_suffix(a->path, "/"))
		a->path[strlen(a->path) - 1] = 0;
	a->epochs = g_ptr_array_new_with_free_func(epoch_free);
	if (!real)
		err = locate_stem(a, f);
	else if (!is_directory(real))
		err = failure_set(f, -EINVAL,
				  "'%s' is a file: an archive is a git repository; clone a "
				  "bundle first (git clone --bare)",
				  a->path);
	else if ((repo = repo_open(real)))
		err = locate_repository(a, real, f);
	else
		err = locate_directory(a, real, f);
	git_repository_free(repo);
	free(real);
	if (!err) {
		g_ptr_array_sort(a->epochs, epoch_compare);
		err = probe(a, f);
	}
	if (err)
		archive_close(a);
	return err;
}

void archive_close(struct archive *a)
{
	if (a->epochs)
		g_ptr_array_free(a->epochs, TRUE);
	g_free(a->path);
	g_free(a->index_path);
	memset(a, 0, sizeof(*a));
}

struct tree_files {
	git_oid m, d;
	bool has_m, has_d;
};

static int commit_files(git_commit *c, struct tree_files *t)
{
	const git_tree_entry *e;
	git_tree *tree;

	memset(t, 0, sizeof(*t));
	if (git_commit_tree(&tree, c))
		return -EIO;
	e = git_tree_entry_byname(tree, "m");
	if (e && git_tree_entry_type(e) == GIT_OBJECT_BLOB) {
		t->has_m = true;
		t->m = *git_tree_entry_id(e);
	}
	e = git_tree_entry_byname(tree, "d");
	if (e && git_tree_entry_type(e) == GIT_OBJECT_BLOB) {
		t->has_d = true;
		t->d = *git_tree_entry_id(e);
	}
	git_tree_free(tree);
	return 0;
}

int archive_commit(struct epoch *e, const git_oid *id, enum change *what, git_oid *blob, s64 *time)
{
	struct tree_files now, before = { 0 };
	git_commit *c, *parent;
	int err;

	if (git_commit_lookup(&c, e->repo, id))
		return -EIO;
	*time = git_commit_time(c);
	err = commit_files(c, &now);
	/* With both files there, what the commit did is what differs from its parent. */
	if (!err && now.has_m && now.has_d && git_commit_parent(&parent, c, 0) == 0) {
		err = commit_files(parent, &before);
		git_commit_free(parent);
	}
	git_commit_free(c);
	if (err)
		return err;
	*what = CHANGE_NONE;
	if (now.has_d && (!now.has_m || ((!before.has_d || !git_oid_equal(&now.d, &before.d)) &&
					 before.has_m && git_oid_equal(&now.m, &before.m)))) {
		*what = CHANGE_DELETE;
		*blob = now.d;
	} else if (now.has_m) {
		*what = CHANGE_MAIL;
		*blob = now.m;
	}
	return 0;
}

int archive_parent(struct epoch *e, const git_oid *id, unsigned int n, git_oid *parent)
{
	const git_oid *p;
	git_commit *c;
	int ret = 0;

	if (git_commit_lookup(&c, e->repo, id))
		return -EIO;
	p = git_commit_parent_id(c, n);
	if (p) {
		*parent = *p;
		ret = git_odb_exists(e->odb, p) ? 1 : e->shallow ? 0 : -ENOENT;
	}
	git_commit_free(c);
	return ret;
}

static bool is_hex(const char *s)
{
	size_t n = strspn(s, "0123456789abcdefABCDEF");

	return n >= 4 && !s[n];
}

int archive_resolve(struct archive *a, const char *name, git_oid *id, unsigned int *epoch,
		    struct failure *f)
{
	bool found = false;

	for (guint i = a->epochs->len; i-- > 0;) {
		struct epoch *e = a->epochs->pdata[i];
		git_object *o = NULL, *c = NULL;
		int err = git_revparse_single(&o, e->repo, name);

		if (err == GIT_EAMBIGUOUS)
			return failure_set(f, -EINVAL,
					   "'%s' is the beginning of several commits' names: "
					   "give more characters",
					   name);
		if (err)
			continue;
		err = git_object_peel(&c, o, GIT_OBJECT_COMMIT);
		git_object_free(o);
		if (err)
			return failure_set(f, -EINVAL, "'%s' names no commit of '%s'", name,
					   a->path);
		if (found && !git_oid_equal(id, git_object_id(c))) {
			git_object_free(c);
			return failure_set(f, -EINVAL,
					   "'%s' is a commit in several epochs of '%s': give "
					   "more characters",
					   name, a->path);
		}
		*id = *git_object_id(c);
		*epoch = e->number;
		found = true;
		git_object_free(c);
		/* A branch is there in every epoch; the newest is meant. */
		if (!is_hex(name))
			break;
	}
	if (!found)
		return failure_set(f, -ENOENT, "there is no commit '%s' in '%s'", name, a->path);
	return 0;
}

/*
 * "https://host/list/0", ".../list/git/0.git" -> "https://host/list/". NULL where the address is a
 * git server's ("list.git"), which answers no Message-Id. A password in it stays out.
 */
static char *url_base(const char *url)
{
	const char *rest = strstr(url, "://") + 3, *at;
	char *u, *slash, *base = NULL;
	size_t host = strcspn(rest, "/"), stem;
	unsigned int number;

	at = memrchr(rest, '@', host);
	u = g_strdup_printf("%.*s%s", (int)(rest - url), url, at ? at + 1 : rest);
	while (g_str_has_suffix(u, "/"))
		u[strlen(u) - 1] = 0;
	slash = strrchr(u, '/');
	if (slash && ((epoch_name(slash + 1, &stem, &number) && stem == 0) ||
		      (slash[1] && strspn(slash + 1, "0123456789") == strlen(slash + 1)))) {
		*slash = 0;
		slash = strrchr(u, '/');
		if (slash && !strcmp(slash, "/git"))
			*slash = 0;
	}
	if (!g_str_has_suffix(u, ".git"))
		base = g_strconcat(u, "/", NULL);
	g_free(u);
	return base;
}

char *archive_public_url(struct archive *a)
{
	static const char *const keys[] = { "publicinbox.url", "remote.origin.url" };

	for (guint i = a->epochs->len; i-- > 0;) {
		struct epoch *e = a->epochs->pdata[i];
		git_config *snapshot = NULL;
		const char *url;
		char *base = NULL;

		if (git_repository_config_snapshot(&snapshot, e->repo))
			continue;
		for (size_t k = 0; k < ARRAY_SIZE(keys) && !base; k++) {
			if (git_config_get_string(&url, snapshot, keys[k]) == 0 &&
			    (g_str_has_prefix(url, "https://") || g_str_has_prefix(url, "http://")))
				base = url_base(url);
		}
		git_config_free(snapshot);
		if (base)
			return base;
	}
	return NULL;
}
