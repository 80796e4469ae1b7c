/* SPDX-License-Identifier: MIT */
/*
 * Calls about directories and links, for paths in the shadow tree (shadow.c). The C library
 * does not pass through our opendir when it scans a directory itself: each of its calls is here.
 * glob, ftw and fts are not.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "shim.h"

#pragma GCC diagnostic ignored "-Wmissing-prototypes"	/* the headers declare only some */

SV_EXPORT DIR *opendir(const char *path)
{
	struct shim_path p = shim_find(AT_FDCWD, path);

	shim_redirect(&p, &path);
	return real()->opendir(path);
}

typedef int (*filter_fn)(const struct dirent *);
typedef int (*compare_fn)(const struct dirent **, const struct dirent **);

SV_EXPORT int scandirat(int dirfd, const char *path, struct dirent ***list, filter_fn filter,
			compare_fn compare)
{
	struct shim_path p = shim_find(dirfd, path);

	shim_redirect(&p, &path);
	return real()->scandirat(dirfd, path, list, filter, compare);
}

SV_EXPORT int scandir(const char *path, struct dirent ***list, filter_fn filter, compare_fn compare)
{
	return scandirat(AT_FDCWD, path, list, filter, compare);
}

/* struct dirent64 is struct dirent on every 64-bit host. */
_Static_assert(sizeof(struct dirent64) == sizeof(struct dirent), "a 64-bit host");

SV_EXPORT int scandirat64(int dirfd, const char *path, struct dirent64 ***list,
			  int (*filter)(const struct dirent64 *),
			  int (*compare)(const struct dirent64 **, const struct dirent64 **))
{
	return scandirat(dirfd, path, (struct dirent ***)list, (filter_fn)(void *)filter,
			 (compare_fn)(void *)compare);
}

SV_EXPORT int scandir64(const char *path, struct dirent64 ***list,
			int (*filter)(const struct dirent64 *),
			int (*compare)(const struct dirent64 **, const struct dirent64 **))
{
	return scandirat64(AT_FDCWD, path, list, filter, compare);
}

SV_EXPORT ssize_t readlinkat(int dirfd, const char *path, char *buf, size_t room)
{
	struct shim_path p = shim_find(dirfd, path);

	shim_redirect(&p, &path);
	return real()->readlinkat(dirfd, path, buf, room);
}

SV_EXPORT ssize_t readlink(const char *path, char *buf, size_t room)
{
	return readlinkat(AT_FDCWD, path, buf, room);
}

static void check_room(size_t need, size_t room)
{
	/*
	 * As the C library's fortified twins: a program that would overflow its buffer ends here.
	 */
	if (need > room)
		abort();
}

SV_EXPORT ssize_t __readlink_chk(const char *path, char *buf, size_t len, size_t room)
{
	check_room(len, room);
	return readlinkat(AT_FDCWD, path, buf, len);
}

SV_EXPORT ssize_t __readlinkat_chk(int dirfd, const char *path, char *buf, size_t len, size_t room)
{
	check_room(len, room);
	return readlinkat(dirfd, path, buf, len);
}

SV_EXPORT char *realpath(const char *path, char *resolved)
{
	struct shim_path p = path ? shim_find(AT_FDCWD, path) : (struct shim_path){ SHIM_NOT_OURS };
	char *whole;

	if (p.kind == SHIM_NODE) {
		/* No link leads to a node of ours: its own path is the real one. */
		if (!resolved)
			return strdup(p.text);
		return strcpy(resolved, p.text);
	}
	shim_redirect(&p, &path);
	whole = real()->realpath(path, resolved);
	return whole ? shim_shadow_strip(whole) : NULL;
}

SV_EXPORT char *__realpath_chk(const char *path, char *resolved, size_t room)
{
	if (resolved)
		check_room(PATH_MAX, room);
	return realpath(path, resolved);
}

SV_EXPORT char *canonicalize_file_name(const char *path)
{
	return realpath(path, NULL);
}

SV_EXPORT int chdir(const char *path)
{
	struct shim_path p = shim_find(AT_FDCWD, path);

	shim_redirect(&p, &path);
	return real()->chdir(path);
}

/* In the tree, too, a directory is called what the program called it. */
SV_EXPORT char *getcwd(char *buf, size_t room)
{
	char whole[PATH_MAX], *path = real()->getcwd(whole, sizeof(whole));
	size_t n;

	if (!path)
		return NULL;
	n = strlen(shim_shadow_strip(path)) + 1;
	if (buf ? room < n : room && room < n) {
		errno = buf && !room ? EINVAL : ERANGE;
		return NULL;
	}
	if (!buf)
		buf = malloc(max(room, n));
	return buf ? memcpy(buf, path, n) : NULL;
}

SV_EXPORT char *__getcwd_chk(char *buf, size_t room, size_t size)
{
	check_room(room, size);
	return getcwd(buf, room);
}

SV_EXPORT char *get_current_dir_name(void)
{
	return getcwd(NULL, 0);
}

/* What ls asks of every file that it lists in full. A node has no attributes. */
#define XATTR_CALL(path, call) do { \
	struct shim_path _p = shim_find(AT_FDCWD, path); \
	shim_redirect(&_p, &path); \
	if (_p.kind == SHIM_NODE) { \
		errno = ENOTSUP; \
		return -1; \
	} \
	return (call); \
} while (0)

SV_EXPORT ssize_t getxattr(const char *path, const char *name, void *value, size_t size)
{
	XATTR_CALL(path, real()->getxattr(path, name, value, size));
}

SV_EXPORT ssize_t lgetxattr(const char *path, const char *name, void *value, size_t size)
{
	XATTR_CALL(path, real()->lgetxattr(path, name, value, size));
}

SV_EXPORT ssize_t listxattr(const char *path, char *list, size_t size)
{
	XATTR_CALL(path, real()->listxattr(path, list, size));
}

SV_EXPORT ssize_t llistxattr(const char *path, char *list, size_t size)
{
	XATTR_CALL(path, real()->llistxattr(path, list, size));
}
