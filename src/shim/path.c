/* SPDX-License-Identifier: MIT */
/*
 * Which paths are ours: the nodes, the directories of the shadow tree (shadow.c), and the
 * module parameters that programs read. A path is compared as text, after doubled slashes and
 * "/./"; a relative one (or one below a directory descriptor) is completed first when its
 * last component is one of ours. Symbolic links to a node are not seen through.
 *
 * SOFTVIRT_DEVICES (softvirt run --device) names the emulated devices; they are made when a path
 * that could be theirs is used first, in a forked child once more: those of the parent stay there.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/guard.h"
#include "base/log.h"
#include "base/sync.h"
#include "devices/device.h"
#include "shim.h"
#include "softvirt/softvirt.h"

#define PARAMETERS "/sys/module/kvm/parameters"
#define PATH_ROOM 256		/* longer paths are nobody's */

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

static struct sv_once devices_once = SV_ONCE_INIT;
static bool has_devices;

/* A specification that makes no sense ends the program: it was given for this one. */
static int make_devices(void)
{
	const char *specs = getenv("SOFTVIRT_DEVICES");
	char err[DEVICE_ERR_MAX];
	struct pci_dev *any;

	if (specs && *specs && device_add_list(specs, err)) {
		sv_err("device: %s", err);
		_exit(2);
	}
	any = pci_dev_next(NULL);
	if (any)
		pci_dev_put(any);
	WRITE_ONCE(has_devices, any != NULL);
	return 0;
}

static void forked(void)
{
	devices_once = (struct sv_once)SV_ONCE_INIT;
	has_devices = false;
}

static void __attribute__((constructor)) devices_init(void)
{
	(void)pthread_atfork(NULL, NULL, forked);
}

bool shim_has_devices(void)
{
	(void)sv_once(&devices_once, make_devices);
	return READ_ONCE(has_devices);
}

#define MISC_MAJOR 10
#define KVM_MINOR 232
#define VFIO_MINOR 196
#define IOMMU_MINOR 124

static dev_t node_dev(const char *path)
{
	if (!strncmp(path, "/dev/kvm", 8))
		return makedev(MISC_MAJOR, KVM_MINOR);
	if (!strcmp(path, "/dev/vfio/vfio"))
		return makedev(MISC_MAJOR, VFIO_MINOR);
	if (!strcmp(path, "/dev/iommu"))
		return makedev(MISC_MAJOR, IOMMU_MINOR);
	if (!strncmp(path, "/dev/vfio/devices/vfio", 22))
		return makedev(SHIM_VFIO_CDEV_MAJOR, (unsigned)atoi(path + 22));
	if (!strncmp(path, "/dev/vfio/", 10))
		return makedev(SHIM_VFIO_GROUP_MAJOR, (unsigned)atoi(path + 10));
	return makedev(MISC_MAJOR, 0);
}

/* /dev/char/MAJOR:MINOR, in path, of a VFIO device becomes that device's node. */
static void see_through_dev_char(char path[PATH_ROOM])
{
	unsigned major, minor;
	int n = 0;

	if (sscanf(path, "/dev/char/%u:%u%n", &major, &minor, &n) != 2 || path[n])
		return;
	if (major == SHIM_VFIO_CDEV_MAJOR)
		snprintf(path, PATH_ROOM, "/dev/vfio/devices/vfio%u", minor);
	else if (major == SHIM_VFIO_GROUP_MAJOR)
		snprintf(path, PATH_ROOM, "/dev/vfio/%u", minor);
}

/* What a path redirected, or a node's, is for this thread until it asks for the next. */
static __thread char answer[PATH_ROOM * 2] __attribute__((tls_model("initial-exec")));

static struct shim_path find_absolute(char path[PATH_ROOM])
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
		if (p.kind != SHIM_NOT_OURS)
			return p;
	}
	if (!strncmp(path, "/dev/", 5)) {
		see_through_dev_char(path);
		if (!strncmp(path, "/dev/vfio/", 10) || !strcmp(path, "/dev/iommu"))
			(void)shim_has_devices();
		p.node = sv_node_find(path);
	} else if (strncmp(path, "/sys/", 5)) {
		return p;
	} else if (!strcmp(path, "/sys/kernel/debug/sync/sw_sync")) {
		p.node = sv_node_find(path);
	}
	if (p.node) {
		p.kind = SHIM_NODE;
		p.rdev = node_dev(path);
		p.text = strcpy(answer, path);
	} else if (shim_shadow_path(path, answer, sizeof(answer))) {
		p.kind = SHIM_SHADOW;
		p.text = answer;
	}
	return p;
}

static bool last_component_is_ours(const char *path)
{
	const char *last = strrchr(path, '/');

	last = last ? last + 1 : path;
	if (!strcmp(last, "kvm"))
		return true;
	/* vfio, vfioN, N below the shadow tree's /dev/vfio. */
	if (READ_ONCE(has_devices) &&
	    (!strncmp(last, "vfio", 4) || (*last && !last[strspn(last, "0123456789")])))
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

/*
 * path without doubled slashes and "." components, in place. ".." stays: what it means depends on
 * symbolic links.
 */
static void clean_path(char *path)
{
	char *in = path, *out = path;

	while (*in) {
		if (*in == '/' && in[1] == '/') {
			in++;
		} else if (*in == '/' && in[1] == '.' && (in[2] == '/' || !in[2])) {
			in += 2;
		} else {
			*out++ = *in++;
		}
	}
	while (out > path + 1 && out[-1] == '/')
		out--;
	*out = 0;
}

struct shim_path shim_find(int dirfd, const char *path)
{
	struct shim_path none = { .kind = SHIM_NOT_OURS };
	char copy[PATH_ROOM], whole[PATH_ROOM];
	int saved = errno;
	long len;

	(void)real();
	if (sv_once(&guard_once, sv_guard_init))
		return none;
	len = sv_strncpy_from_user(copy, path, sizeof(copy));
	if (len <= 0 || len == sizeof(copy))
		return none;
	if (copy[0] == '/') {
		if (strncmp(copy, "/dev", 4) && strncmp(copy, "/sys", 4) && copy[1] != '/' && copy[1] != '.')
			return none;
		clean_path(copy);
		return find_absolute(copy);
	}
	if (!last_component_is_ours(copy) || !make_absolute(dirfd, copy, whole, sizeof(whole))) {
		errno = saved;
		return none;
	}
	clean_path(whole);
	return find_absolute(shim_shadow_strip(whole));
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

/* What was opened by a node's path says so when it is asked (stat.c). */
static int open_node(const struct shim_path *p, int flags)
{
	dev_t rdev = p->rdev;
	int fd = softvirt_open(p->text, flags);
	struct sv_file *f = fd < 0 ? NULL : sv_fget(fd, NULL);

	if (f) {
		sv_file_set_rdev(f, rdev);
		sv_file_put(f);
	}
	return fd;
}

int shim_open(const struct shim_path *p, int flags)
{
	switch (p->kind) {
	case SHIM_NODE:
		return open_node(p, flags);
	case SHIM_PARAMETER:
		if (flags & O_DIRECTORY) {
			errno = ENOTDIR;
			return -1;
		}
		return open_text(p->text, flags);
	case SHIM_SHADOW:
		return real()->open(p->text, flags);
	default:
		/* The directories exist to be asked about, not to be listed. */
		errno = EACCES;
		return -1;
	}
}
