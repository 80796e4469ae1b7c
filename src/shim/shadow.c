/* SPDX-License-Identifier: MIT */
/*
 * Directories of /sys and /dev as programs that look for devices expect them.
 *
 * Model: a tree of real directories, files and links in a private folder (under
 * $XDG_RUNTIME_DIR, /dev/shm or /tmp), made when the first path below one of prefixes[] is
 * used. Such paths are redirected there; from then on the kernel does the rest: readdir,
 * openat below a directory, dirfd, links. Names come back without the folder (realpath). The host's
 * own entries stand beside ours as links to them.
 *
 * Device nodes are empty files in the tree, so that they are listed; opening and asking about them
 * goes to the library (path.c asks for nodes first).
 *
 * The tree is a picture: files can be read, writing to them changes nothing. Each process
 * has its own, and removes it when it exits; what a killed one left is removed by the next.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/err.h"
#include "base/log.h"
#include "base/sync.h"
#include "devices/device.h"
#include "softvirt/uapi/iommufd.h"
#include "shim.h"

#define NAME_PREFIX "softvirt-shadow-"

/* Whole components; a directory and all below it. The first needs no device. */
static const char *const prefixes[] = {
	"/dev/dma_heap",
	"/dev/vfio", "/sys/bus/pci", "/sys/devices/softvirt", "/sys/kernel/iommu_groups",
	"/sys/class/iommu", "/sys/class/vfio", "/sys/class/vfio-dev", "/sys/module/vfio",
	"/sys/module/vfio_pci", "/sys/module/vfio_iommu_type1", "/sys/module/iommufd",
};

/* What the IOMMUs are called below /sys/class/iommu; constant once made. */
static char vtd_name[16], smmuv3_name[32];

static char root[PATH_MAX - 256];	/* constant once made */
static pid_t owner;
static struct sv_once made = SV_ONCE_INIT;

static bool below(const char *path, const char *prefix)
{
	size_t n = strlen(prefix);

	return !strncmp(path, prefix, n) && (!path[n] || path[n] == '/');
}

/*
 * An absolute path in the tree, from a format. Too long for a path: cut, and it will not be found.
 */
static void in_tree(char out[PATH_MAX], const char *fmt, va_list ap)
{
	size_t n = strlen(root);

	memcpy(out, root, n);
	vsnprintf(out + n, PATH_MAX - n, fmt, ap);
}

/* Failures are not fatal: the entry is missing, and the program says what it misses. */
static void warn_missing(const char *path)
{
	sv_warn("cannot make %s: %s", path, strerror(errno));
}

/* Makes the directory of a path, and those above it. */
static void make_parents(char *path)
{
	for (char *p = path + strlen(root) + 1; (p = strchr(p, '/')); p++) {
		*p = 0;
		if (mkdir(path, 0755) && errno != EEXIST)
			warn_missing(path);
		*p = '/';
	}
}

static void make_dir(const char *fmt, ...) sv_printf(1, 2);
static void make_dir(const char *fmt, ...)
{
	char path[PATH_MAX];
	va_list ap;

	va_start(ap, fmt);
	in_tree(path, fmt, ap);
	va_end(ap);
	make_parents(path);
	if (mkdir(path, 0755) && errno != EEXIST)
		warn_missing(path);
}

static void make_bytes(const char *path, const void *data, size_t len)
{
	int fd = real()->open(path, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0444);

	if (fd < 0 || write(fd, data, len) != (ssize_t)len)
		warn_missing(path);
	if (fd >= 0)
		real()->close(fd);
}

/* A file dir/name with a text. */
static void make_file(const char *dir, const char *name, const char *fmt, ...) sv_printf(3, 4);
static void make_file(const char *dir, const char *name, const char *fmt, ...)
{
	char path[PATH_MAX], text[2048];
	va_list ap;

	snprintf(path, sizeof(path), "%s%s/%s", root, dir, name);
	make_parents(path);
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	make_bytes(path, text, strlen(text));
}

/* A link dir/name to target. */
static void make_link(const char *target, const char *dir, const char *name)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s%s/%s", root, dir, name);
	make_parents(path);
	if (symlink(target, path) && errno != EEXIST)
		warn_missing(path);
}

/* What the host has in this directory, beside ours. */
static void merge_host(const char *dir)
{
	DIR *d = real()->opendir(dir);
	char target[PATH_MAX];
	struct dirent *e;

	if (!d)
		return;
	while ((e = readdir(d))) {
		if (!strcmp(e->d_name, ".") || !strcmp(e->d_name, ".."))
			continue;
		snprintf(target, sizeof(target), "%s/%s", dir, e->d_name);
		make_link(target, dir, e->d_name);
	}
	closedir(d);
}

/* IORESOURCE_*: memory, prefetchable, 64-bit; and what PCI's own bits say (low nibble). */
#define RES_MEM 0x200ull
#define RES_PREFETCH 0x2000ull
#define RES_MEM_64 0x100000ull
#define RES_SIZEALIGN 0x40000ull

static void make_resource(const struct pci_dev *pdev, const char *dir)
{
	char text[13 * 60] = "", *p = text;

	for (unsigned i = 0; i < 13; i++) {
		const struct pci_bar *bar = i < PCI_NR_BARS ? &pdev->bars[i] : NULL;
		u64 start = 0, last = 0, flags = 0;

		if (bar && bar->kind != PCI_BAR_NONE) {
			start = bar->bus_addr;
			last = start + bar->size - 1;
			flags = RES_MEM | RES_SIZEALIGN | (bar->prefetch ? RES_PREFETCH | 8 : 0) |
				(bar->mem64 ? RES_MEM_64 | 4 : 0);
		}
		p += sprintf(p, "0x%016llx 0x%016llx 0x%016llx\n", (unsigned long long)start,
			     (unsigned long long)last, (unsigned long long)flags);
	}
	make_file(dir, "resource", "%s", text);
}

static void make_config(struct pci_dev *pdev, const char *dir)
{
	u32 config[PCI_CFG_SIZE / 4];
	char path[PATH_MAX];

	for (unsigned i = 0; i < ARRAY_SIZE(config); i++)
		config[i] = pci_config_read(pdev, i * 4, 4);
	snprintf(path, sizeof(path), "%s%s/config", root, dir);
	make_bytes(path, config, sizeof(config));
}

/* As drivers name them, and like none that the host has: by number, by the registers' address. */
static void name_iommus(void)
{
	char path[64];
	unsigned n = 0;

	do {
		snprintf(vtd_name, sizeof(vtd_name), "dmar%u", n++);
		snprintf(path, sizeof(path), "/sys/class/iommu/%s", vtd_name);
	} while (n < 1000 && !real()->access(path, F_OK));
	n = 0;
	do {
		snprintf(smmuv3_name, sizeof(smmuv3_name), "smmu3.0x%016x", 0x9050000 + n++ * 0x20000);
		snprintf(path, sizeof(path), "/sys/class/iommu/%s", smmuv3_name);
	} while (n < 1000 && !real()->access(path, F_OK));
}

static const char *iommu_name(const struct pci_dev *pdev)
{
	return pdev->iommu.iommu == &smmuv3_iommu_ops ? smmuv3_name : vtd_name;
}

/* What VT-d's driver tells of its registers; drivers of devices look at the address width. */
static void make_vtd(struct pci_dev *pdev)
{
	struct iommu_hw_info_vtd *info;
	char dir[64], path[PATH_MAX];
	u32 len, type;

	snprintf(dir, sizeof(dir), "/sys/class/iommu/%s/intel-iommu", vtd_name);
	snprintf(path, sizeof(path), "%s%s/cap", root, dir);
	if (pdev->iommu.iommu != &vtd_iommu_ops || !faccessat(AT_FDCWD, path, F_OK, 0))
		return;
	info = vtd_iommu_ops.hw_info(&pdev->iommu, &len, &type);
	if (IS_ERR(info))
		return;
	make_file(dir, "cap", "%llx\n", (unsigned long long)info->cap_reg);
	make_file(dir, "ecap", "%llx\n", (unsigned long long)info->ecap_reg);
	make_file(dir, "version", "1:0\n");
	sv_free(info);
}

static void make_device(struct pci_dev *pdev)
{
	const struct pci_dev_config *c = &pdev->cfg;
	char dir[64], name[32], sub[128], target[128];

	snprintf(dir, sizeof(dir), "/sys/devices/softvirt/%s", pdev->name);
	make_file(dir, "vendor", "0x%04x\n", c->vendor);
	make_file(dir, "device", "0x%04x\n", c->device);
	make_file(dir, "subsystem_vendor", "0x%04x\n", c->subsys_vendor);
	make_file(dir, "subsystem_device", "0x%04x\n", c->subsys);
	make_file(dir, "class", "0x%06x\n", c->class_code);
	make_file(dir, "revision", "0x%02x\n", c->revision);
	make_file(dir, "irq", "0\n");
	make_file(dir, "enable", "1\n");
	make_file(dir, "numa_node", "-1\n");
	make_file(dir, "local_cpulist", "0-%ld\n", sysconf(_SC_NPROCESSORS_CONF) - 1);
	make_file(dir, "sriov_totalvfs", "0\n");
	make_file(dir, "sriov_numvfs", "0\n");
	make_file(dir, "driver_override", "vfio-pci\n");
	make_file(dir, "reset_method", "flr bus\n");
	make_file(dir, "modalias", "pci:v%08Xd%08Xsv%08Xsd%08Xbc%02Xsc%02Xi%02X\n", c->vendor,
		  c->device, c->subsys_vendor, c->subsys, c->class_code >> 16,
		  c->class_code >> 8 & 0xff, c->class_code & 0xff);
	make_file(dir, "uevent", "DRIVER=vfio-pci\nPCI_CLASS=%X\nPCI_ID=%04X:%04X\n"
		  "PCI_SUBSYS_ID=%04X:%04X\nPCI_SLOT_NAME=%s\n", c->class_code, c->vendor,
		  c->device, c->subsys_vendor, c->subsys, pdev->name);
	make_resource(pdev, dir);
	make_config(pdev, dir);
	make_link("../../../bus/pci", dir, "subsystem");
	make_link("../../../bus/pci/drivers/vfio-pci", dir, "driver");
	snprintf(target, sizeof(target), "../../../kernel/iommu_groups/%u", pdev->group_id);
	make_link(target, dir, "iommu_group");
	snprintf(target, sizeof(target), "../../../class/iommu/%s", iommu_name(pdev));
	make_link(target, dir, "iommu");
	make_vtd(pdev);

	snprintf(name, sizeof(name), "vfio%u", pdev->index);
	snprintf(sub, sizeof(sub), "%s/vfio-dev/%s", dir, name);
	make_file(sub, "dev", "%u:%u\n", SHIM_VFIO_CDEV_MAJOR, pdev->index);
	make_file(sub, "uevent", "MAJOR=%u\nMINOR=%u\nDEVNAME=vfio/devices/%s\n",
		  SHIM_VFIO_CDEV_MAJOR, pdev->index, name);
	snprintf(target, sizeof(target), "../../devices/softvirt/%s/vfio-dev/%s", pdev->name, name);
	make_link(target, "/sys/class/vfio-dev", name);

	snprintf(target, sizeof(target), "../../../devices/softvirt/%s", pdev->name);
	make_link(target, "/sys/bus/pci/devices", pdev->name);
	snprintf(target, sizeof(target), "../../../../devices/softvirt/%s", pdev->name);
	make_link(target, "/sys/bus/pci/drivers/vfio-pci", pdev->name);
	snprintf(sub, sizeof(sub), "/sys/class/iommu/%s/devices", iommu_name(pdev));
	make_link(target, sub, pdev->name);
	snprintf(sub, sizeof(sub), "/sys/kernel/iommu_groups/%u/devices", pdev->group_id);
	snprintf(target, sizeof(target), "../../../../devices/softvirt/%s", pdev->name);
	make_link(target, sub, pdev->name);
	make_file("/dev/vfio/devices", name, "%s", "");
}

/* What each group has once, however many functions are in it. */
static void make_group(struct pci_dev *pdev)
{
	struct iommu_resv_region r = { 0 };
	char dir[64], name[16], path[PATH_MAX];
	u32 id = pdev->group_id;

	snprintf(dir, sizeof(dir), "/sys/kernel/iommu_groups/%u", id);
	snprintf(path, sizeof(path), "%s%s/type", root, dir);
	if (!faccessat(AT_FDCWD, path, F_OK, 0))
		return;
	make_file(dir, "type", "DMA\n");
	/* Both models have one, a window of MSIs. */
	pdev->iommu.iommu->get_resv_regions(&pdev->iommu, &r, 1);
	make_file(dir, "reserved_regions", "0x%016llx 0x%016llx msi\n", (unsigned long long)r.start,
		  (unsigned long long)(r.start + r.length - 1));
	snprintf(name, sizeof(name), "%u", id);
	make_file("/dev/vfio", name, "%s", "");
	snprintf(path, sizeof(path), "/sys/class/vfio/%s", name);
	make_file(path, "dev", "%u:%u\n", SHIM_VFIO_GROUP_MAJOR, id);
	make_file(path, "uevent", "MAJOR=%u\nMINOR=%u\nDEVNAME=vfio/%s\n", SHIM_VFIO_GROUP_MAJOR, id, name);
}

static void make_devices(void)
{
	static const char *const modules[] = { "vfio", "vfio_pci", "vfio_iommu_type1", "iommufd" };
	struct pci_dev *pdev = NULL;

	name_iommus();
	while ((pdev = pci_dev_next(pdev))) {
		make_group(pdev);
		make_device(pdev);
	}
	for (size_t i = 0; i < ARRAY_SIZE(modules); i++)
		make_dir("/sys/module/%s/parameters", modules[i]);
	make_file("/sys/module/vfio/parameters", "enable_unsafe_noiommu_mode", "N\n");
	make_file("/sys/module/vfio_iommu_type1/parameters", "dma_entry_limit", "65535\n");
	make_file("/dev/vfio", "vfio", "%s", "");
	merge_host("/sys/bus/pci/devices");
	merge_host("/sys/bus/pci/drivers");
	merge_host("/sys/bus/pci");
	merge_host("/sys/kernel/iommu_groups");
	merge_host("/sys/class/iommu");
}

static bool remove_tree(const char *path)
{
	DIR *d = real()->opendir(path);
	char child[PATH_MAX];
	struct dirent *e;

	if (!d)
		return !unlink(path);
	while ((e = readdir(d))) {
		if (!strcmp(e->d_name, ".") || !strcmp(e->d_name, ".."))
			continue;
		snprintf(child, sizeof(child), "%s/%s", path, e->d_name);
		/* Links are unlinked, never followed: the host's /sys is behind them. */
		if (e->d_type == DT_DIR)
			remove_tree(child);
		else
			unlink(child);
	}
	closedir(d);
	return !rmdir(path);
}

/* Trees of processes that are gone. They are ours to remove when the user is the same. */
static void remove_stale(const char *folder)
{
	DIR *d = real()->opendir(folder);
	char path[PATH_MAX];
	struct dirent *e;

	if (!d)
		return;
	while ((e = readdir(d))) {
		struct stat st;
		long pid;

		if (strncmp(e->d_name, NAME_PREFIX, strlen(NAME_PREFIX)))
			continue;
		pid = strtol(e->d_name + strlen(NAME_PREFIX), NULL, 10);
		snprintf(path, sizeof(path), "%s/%s", folder, e->d_name);
		if (pid > 0 && kill((pid_t)pid, 0) && errno == ESRCH &&
		    !real()->fstatat(AT_FDCWD, path, &st, AT_SYMLINK_NOFOLLOW) &&
		    st.st_uid == geteuid() && S_ISDIR(st.st_mode))
			remove_tree(path);
	}
	closedir(d);
}

static int make_tree(void)
{
	const char *places[] = { getenv("XDG_RUNTIME_DIR"), "/dev/shm", "/tmp" };
	const struct sv_node *const *n;
	mode_t mask = umask(022);

	for (size_t i = 0; i < ARRAY_SIZE(places) && !*root; i++) {
		if (!places[i] || places[i][0] != '/' || strlen(places[i]) > sizeof(root) - 64)
			continue;
		snprintf(root, sizeof(root), "%s/" NAME_PREFIX "%d-XXXXXX", places[i], (int)getpid());
		if (!mkdtemp(root)) {
			*root = 0;
			continue;
		}
		chmod(root, 0755);
		remove_stale(places[i]);
	}
	if (!*root) {
		sv_warn("no folder for device files: neither XDG_RUNTIME_DIR, /dev/shm nor /tmp can be written");
	} else {
		owner = getpid();
		for (n = sv_nodes; *n; n++)
			if (!strncmp((*n)->path, "/dev/dma_heap/", 14))
				make_file("/dev/dma_heap", (*n)->path + 14, "%s", "");
		make_devices();
	}
	umask(mask);
	return 0;
}

/* A forked child makes its own: the parent's goes with the parent. */
static void forked(void)
{
	*root = 0;
	made = (struct sv_once)SV_ONCE_INIT;
}

static void __attribute__((constructor)) shadow_init(void)
{
	(void)pthread_atfork(NULL, NULL, forked);
}

static void __attribute__((destructor)) shadow_fini(void)
{
	if (owner == getpid() && *root)
		remove_tree(root);
}

bool shim_shadow_path(const char *path, char *out, size_t room)
{
	for (size_t i = 0; i < ARRAY_SIZE(prefixes); i++) {
		int saved = errno;

		/*
		 * Devices are made only for a path that may be theirs: an allocator that reads a file
		 * of /sys while it sets itself up must not be asked for memory.
		 */
		if (!below(path, prefixes[i]) || (i && !shim_has_devices()))
			continue;
		(void)sv_once(&made, make_tree);
		errno = saved;
		return *root && (size_t)snprintf(out, room, "%s%s", root, path) < room;
	}
	return false;
}

char *shim_shadow_strip(char *path)
{
	size_t n = strlen(root);

	if (n && __atomic_load_n(&made.state, __ATOMIC_ACQUIRE) && !strncmp(path, root, n) &&
	    path[n] == '/')
		memmove(path, path + n, strlen(path + n) + 1);
	return path;
}
