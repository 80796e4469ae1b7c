/* SPDX-License-Identifier: MIT */
/*
 * Which paths are ours: the nodes, and the module parameters that programs read. A path is
 * compared as text, after doubled slashes and "/./"; a relative one (or one below a
 * directory descriptor) is completed first when its last component is one of ours. Symbolic
 * links to a node are not seen through.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/guard.h"
#include "base/sync.h"
#include "shim.h"
#include "softvirt/softvirt.h"

#define PARAMETERS "/sys/module/kvm/parameters"

static struct sv_once guard_once = SV_ONCE_INIT;

/* The kernel's names and defaults; nobody polls here before a vCPU sleeps. */
static const struct {
	const char *name, *text;
} parameters[] = {
	{ "halt_poll_ns", "0\n" },
	{ "halt_poll_ns_grow", "2\n" },
	{ "halt_poll_ns_grow_start", "10000\n" },
	{ "halt_poll_ns_shrink", "0\n" },
};

static struct shim_path find_absolute(const char *path)
{
	struct shim_path p = { .kind = SHIM_NOT_OURS };

	if (!strncmp(path, "/sys/module/kvm", 15)) {
		const char *rest = path + 15;

		if (!*rest || !strcmp(path, PARAMETERS))
			p.kind = SHIM_DIRECTORY;
		for (size_t i = 0; i < ARRAY_SIZE(parameters); i++)
			if (!strncmp(path, PARAMETERS "/", sizeof(PARAMETERS)) &&
			    !strcmp(path + sizeof(PARAMETERS), parameters[i].name)) {
				p.kind = SHIM_PARAMETER;
				p.text = parameters[i].text;
			}
		return p;
	}
	p.node = sv_node_find(path);
	p.kind = p.node ? SHIM_NODE : SHIM_NOT_OURS;
	return p;
}

static bool last_component_is_ours(const char *path)
{
	const char *last = strrchr(path, '/');

	last = last ? last + 1 : path;
	if (!strcmp(last, "kvm"))
		return true;
	for (const struct sv_node *const *n = sv_nodes; *n; n++)
		if (!strcmp(strrchr((*n)->path, '/') + 1, last))
			return true;
	return false;
}

/* dirfd's directory (or the working directory) and path as one; false if it is too long. */
static bool make_absolute(int dirfd, const char *path, char *out, size_t room)
{
	char link[40];
	ssize_t n;

	if (dirfd == AT_FDCWD) {
		if (!getcwd(out, room))
			return false;
		n = (ssize_t)strlen(out);
	} else {
		snprintf(link, sizeof(link), "/proc/self/fd/%d", dirfd);
		n = readlink(link, out, room - 1);
		if (n < 0)
			return false;
	}
	if ((size_t)n + strlen(path) + 2 > room)
		return false;
	out[n] = '/';
	strcpy(out + n + 1, path);
	return true;
}

struct shim_path shim_find(int dirfd, const char *path)
{
	struct shim_path none = { .kind = SHIM_NOT_OURS };
	char copy[128], whole[256];
	int saved = errno;
	long len;

	(void)real();
	if (sv_once(&guard_once, sv_guard_init))
		return none;
	len = sv_strncpy_from_user(copy, path, sizeof(copy));
	if (len <= 0 || len == sizeof(copy))
		return none;
	if (copy[0] == '/')
		return find_absolute(copy);
	if (!last_component_is_ours(copy) || !make_absolute(dirfd, copy, whole, sizeof(whole))) {
		errno = saved;
		return none;
	}
	return find_absolute(whole);
}

/* A read-only descriptor with this content. */
static int open_text(const char *text, int flags)
{
	int fd, ro, saved;
	char path[40];

	if ((flags & O_ACCMODE) != O_RDONLY) {
		errno = EACCES;
		return -1;
	}
	fd = memfd_create("softvirt:parameter", MFD_CLOEXEC);
	if (fd < 0)
		return -1;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	ro = write(fd, text, strlen(text)) < 0 ? -1 :
		real()->open(path, O_RDONLY | (flags & O_CLOEXEC));
	saved = errno;
	real()->close(fd);
	errno = saved;
	return ro;
}

int shim_open(const struct shim_path *p, int flags)
{
	switch (p->kind) {
	case SHIM_NODE:
		return softvirt_open(p->node->path, flags);
	case SHIM_PARAMETER:
		if (flags & O_DIRECTORY) {
			errno = ENOTDIR;
			return -1;
		}
		return open_text(p->text, flags);
	default:
		/* The directories exist to be asked about, not to be listed. */
		errno = EACCES;
		return -1;
	}
}
