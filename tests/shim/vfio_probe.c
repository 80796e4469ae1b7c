/* SPDX-License-Identifier: MIT */
/*
 * A driver written for VFIO's groups and containers, as the field writes them: it finds the
 * engine in /sys, opens its group, maps memory, maps the registers, and copies. It links
 * with nothing of ours; run by
 *
 *	softvirt run --device ioat,bdf=0000:05:00.0,group=26 --device ram \
 *		--device ram,bdf=0000:06:00.0,group=27,iommu=smmuv3 -- vfio_probe
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/vfio.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#define LEN (1u << 20)
#define IOVA 0x100000000ull

static int tests, failures;

static int check(int ok, const char *what)
{
	printf("%sok %d - %s%s%s\n", ok ? "" : "not ", ++tests, what, ok ? "" : ": ",
	       ok ? "" : strerror(errno));
	failures += !ok;
	return ok;
}

/* A small file's text below a device's directory, without the newline. */
static const char *attribute(const char *bdf, const char *name)
{
	static char text[64];
	char path[PATH_MAX];
	FILE *f;

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/%s", bdf, name);
	f = fopen(path, "r");
	if (!f || !fgets(text, sizeof(text), f))
		text[0] = 0;
	if (f)
		fclose(f);
	text[strcspn(text, "\n")] = 0;
	return text;
}

static int find_engine(char bdf[32])
{
	DIR *d = opendir("/sys/bus/pci/devices");
	struct dirent *e;
	int found = 0;

	while (d && (e = readdir(d)))
		if (e->d_name[0] != '.' && !strcmp(attribute(e->d_name, "vendor"), "0x8086") &&
		    !strcmp(attribute(e->d_name, "device"), "0x2021")) {
			snprintf(bdf, 32, "%.31s", e->d_name);
			found++;
		}
	if (d)
		closedir(d);
	return found;
}

static int not_a_dot(const struct dirent *e)
{
	return e->d_name[0] != '.';
}

/* Whoever opens a device's node makes sure that it is the right one, before anything else. */
static void check_open_node(const char *path, const struct stat *st)
{
	struct stat st2 = { 0 };
	struct statx stx;
	int fd = open(path, O_RDWR);

	check(fd >= 0 && !fstat(fd, &st2) && S_ISCHR(st2.st_mode) && st2.st_rdev == st->st_rdev,
	      "an open node's number");
	memset(&st2, 0, sizeof(st2));
	check(!fstatat(fd, "", &st2, AT_EMPTY_PATH) && st2.st_rdev == st->st_rdev,
	      "by a path that is empty");
	check(!statx(fd, "", AT_EMPTY_PATH, STATX_BASIC_STATS, &stx) && S_ISCHR(stx.stx_mode) &&
	      makedev(stx.stx_rdev_major, stx.stx_rdev_minor) == st->st_rdev, "and by statx");
	close(fd);
	fd = open("/dev/null", O_RDWR);
	check(fd >= 0 && !fstat(fd, &st2) && st2.st_rdev == makedev(1, 3), "the number's next owner's");
	close(fd);
}

/* The IOMMU of a device, by the last part of its link's target; and what it says of a group. */
static void look_at_iommu(const char *bdf, const char *name, unsigned group, const char *reserved)
{
	char path[PATH_MAX], link[PATH_MAX], line[80] = "";
	ssize_t n;
	FILE *f;

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/iommu", bdf);
	n = readlink(path, link, sizeof(link) - 1);
	link[n > 0 ? n : 0] = 0;
	check(n > 0 && !strncmp(strrchr(link, '/') + 1, name, strlen(name)), "the link to the IOMMU");
	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/iommu/devices/%s/vendor", bdf, bdf);
	check(!access(path, R_OK), "the IOMMU's devices");
	snprintf(path, sizeof(path), "/sys/kernel/iommu_groups/%u/reserved_regions", group);
	f = fopen(path, "r");
	check(f && fgets(line, sizeof(line), f) && !strcmp(line, reserved), "its reserved region");
	if (f)
		fclose(f);
}

static void look_around(const char *bdf)
{
	char path[PATH_MAX], link[PATH_MAX], whole[PATH_MAX];
	struct dirent **list;
	struct stat st, st2;
	unsigned major = 0, minor = 0;
	uint32_t id = 0;
	ssize_t n;
	int fd, i, heaps = 0;

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/iommu_group", bdf);
	n = readlink(path, link, sizeof(link) - 1);
	link[n > 0 ? n : 0] = 0;
	check(n > 0 && !strcmp(strrchr(link, '/'), "/26"), "the link to the group");
	check(realpath(path, whole) && !strcmp(whole, "/sys/kernel/iommu_groups/26"), "its real path");
	check(!chdir("/sys/kernel/iommu_groups/26") && getcwd(whole, sizeof(whole)) &&
	      !strcmp(whole, "/sys/kernel/iommu_groups/26"), "a working directory's name");
	errno = 0;
	check(!getcwd(whole, 27) && errno == ERANGE && getcwd(whole, 28), "in the room that it needs");
	check(!chdir("/"), "and back");
	look_at_iommu(bdf, "dmar", 26, "0x00000000fee00000 0x00000000feefffff msi\n");
	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/iommu/intel-iommu/cap", bdf);
	check(!access(path, R_OK), "VT-d's capabilities");
	look_at_iommu("0000:06:00.0", "smmu3.0x000000000", 27,
		      "0x0000000008000000 0x00000000080fffff msi\n");
	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/driver", bdf);
	n = readlink(path, link, sizeof(link) - 1);
	link[n > 0 ? n : 0] = 0;
	check(n > 0 && !strcmp(strrchr(link, '/'), "/vfio-pci"), "the driver");
	/* ls -l asks, and takes ENOENT for an error. */
	check(lgetxattr(path, "security.selinux", link, sizeof(link)) < 0 && errno != ENOENT &&
	      llistxattr("/dev/vfio/vfio", link, sizeof(link)) < 0 && errno == ENOTSUP, "no attributes");
	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/config", bdf);
	fd = open(path, O_RDONLY);
	check(fd >= 0 && pread(fd, &id, 4, 0) == 4 && id == 0x20218086, "config space");
	close(fd);
	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/vfio-dev", bdf);
	i = scandir(path, &list, not_a_dot, alphasort);
	check(i == 1 && !strcmp(list[0]->d_name, "vfio0"), "the character device's name");
	if (i == 1) {
		snprintf(path, sizeof(path), "vfio-dev/%s/dev", list[0]->d_name);
		check(sscanf(attribute(bdf, path), "%u:%u", &major, &minor) == 2 &&
		      !stat("/dev/vfio/devices/vfio0", &st) && S_ISCHR(st.st_mode) &&
		      st.st_rdev == makedev(major, minor), "and its number");
		snprintf(path, sizeof(path), "/dev/char/%u:%u", major, minor);
		check(!stat(path, &st2) && st2.st_rdev == st.st_rdev, "under /dev/char, too");
		check_open_node(path, &st);
		check_open_node("/dev/vfio/devices/vfio0", &st);
		free(list[0]);
		free(list);
	}
	i = scandir("/dev/dma_heap", &list, not_a_dot, alphasort);
	for (; i > 0; i--) {
		heaps += !strcmp(list[i - 1]->d_name, "system");
		free(list[i - 1]);
	}
	check(heaps == 1, "the heap in a listing");
}

static int container, group, device;

static int open_device(const char *bdf)
{
	struct vfio_group_status status = { .argsz = sizeof(status) };

	container = open("/dev/vfio/vfio", O_RDWR);
	if (!check(container >= 0 && ioctl(container, VFIO_GET_API_VERSION) == VFIO_API_VERSION &&
		   ioctl(container, VFIO_CHECK_EXTENSION, VFIO_TYPE1v2_IOMMU) == 1, "the container"))
		return 0;
	group = open("/dev/vfio/26", O_RDWR);
	if (!check(group >= 0 && !ioctl(group, VFIO_GROUP_GET_STATUS, &status) &&
		   (status.flags & VFIO_GROUP_FLAGS_VIABLE), "the group"))
		return 0;
	check(open("/dev/vfio/26", O_RDWR) < 0 && errno == EBUSY, "one opener at a time");
	if (!check(!ioctl(group, VFIO_GROUP_SET_CONTAINER, &container) &&
		   !ioctl(container, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU), "both together"))
		return 0;
	device = ioctl(group, VFIO_GROUP_GET_DEVICE_FD, bdf);
	return check(device >= 0, "the device");
}

struct desc {
	uint32_t size, ctl;
	uint64_t src, dst, next, user[4];
};

static void copy(void)
{
	struct vfio_iommu_type1_dma_map map = { .argsz = sizeof(map), .iova = IOVA, .size = 4 * LEN,
		.flags = VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE };
	struct vfio_region_info config = { .argsz = sizeof(config), .index = VFIO_PCI_CONFIG_REGION_INDEX };
	struct vfio_region_info bar = { .argsz = sizeof(bar), .index = VFIO_PCI_BAR0_REGION_INDEX };
	struct { struct vfio_irq_set s; int fd; } irq = {
		.s = { .argsz = sizeof(irq), .index = VFIO_PCI_MSIX_IRQ_INDEX, .count = 1,
		       .flags = VFIO_IRQ_SET_DATA_EVENTFD | VFIO_IRQ_SET_ACTION_TRIGGER },
		.fd = eventfd(0, EFD_CLOEXEC) };
	struct pollfd p = { .fd = irq.fd, .events = POLLIN };
	volatile uint8_t *regs;
	uint16_t command = 6;
	struct desc *d;
	uint8_t *mem;

	mem = mmap(NULL, 4 * LEN, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	map.vaddr = (uintptr_t)mem;
	if (!check(mem != MAP_FAILED && !ioctl(container, VFIO_IOMMU_MAP_DMA, &map), "memory for DMA"))
		return;
	check(!ioctl(device, VFIO_DEVICE_GET_REGION_INFO, &config) &&
	      !ioctl(device, VFIO_DEVICE_GET_REGION_INFO, &bar) &&
	      pwrite(device, &command, 2, (off_t)config.offset + 4) == 2, "regions and the command register");
	regs = mmap(NULL, bar.size, PROT_READ | PROT_WRITE, MAP_SHARED, device, (off_t)bar.offset);
	if (!check(regs != MAP_FAILED && regs[8] == 0x33, "registers by plain loads"))
		return;
	check(!ioctl(device, VFIO_DEVICE_SET_IRQS, &irq), "an eventfd for MSI-X");
	for (unsigned i = 0; i < LEN; i++)
		mem[LEN + i] = (uint8_t)(i * 37 + (i >> 9));
	d = (struct desc *)(mem + 64);
	*d = (struct desc){ .size = LEN, .ctl = 9, .src = IOVA + LEN, .dst = IOVA + 2 * LEN, .next = IOVA + 64 };
	regs[0x84] = 0x20;					/* reset */
	check((*(volatile uint64_t *)(regs + 0x88) & 7) == 3, "halted after a reset, at once");
	regs[3] = 1;						/* interrupts on */
	*(volatile uint16_t *)(regs + 0x80) = 0xd;
	*(volatile uint64_t *)(regs + 0x98) = IOVA;		/* the completion record */
	*(volatile uint64_t *)(regs + 0x90) = IOVA + 64;
	*(volatile uint16_t *)(regs + 0x86) = 1;
	check(poll(&p, 1, 60000) == 1, "an interrupt");
	check((__atomic_load_n((uint64_t *)mem, __ATOMIC_ACQUIRE) & ~0x3full) == IOVA + 64, "the completion record");
	check(!memcmp(mem + LEN, mem + 2 * LEN, LEN), "the bytes");

	/*
	 * Memory that is given back while the device may reach it stays the device's, not the next
	 * owner's, by whichever call it is.
	 */
	for (unsigned i = 2; i < 4; i++) {
		uint8_t *piece = mem + i * LEN;

		d->dst = IOVA + i * LEN;
		check(!(i == 2 ? munmap(piece, LEN) : syscall(SYS_munmap, piece, LEN)),
		      "a piece unmapped under the device");
		check(mmap(piece, LEN, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED,
			   -1, 0) == piece, "something else put there");
		*(volatile uint64_t *)(regs + 0x90) = IOVA + 64;
		*(volatile uint16_t *)(regs + 0x86) = 1;
		while ((*(volatile uint64_t *)(regs + 0x88) & 7) == 0)
			;
		check((*(volatile uint64_t *)(regs + 0x88) & 7) == 1, "the device still copies");
		for (unsigned j = 0; j < LEN; j += 4096)
			if (piece[j])
				check(0, "and touches nothing of the new owner's");
	}
	close(irq.fd);
	munmap((void *)regs, bar.size);
	munmap(mem, 4 * LEN);
}

static void drive(char bdf[32])
{
	check(find_engine(bdf) == 1 && !strcmp(bdf, "0000:05:00.0"), "one engine in /sys");
	look_around(bdf);
	if (open_device(bdf))
		copy();
}

static void let_go(void)
{
	close(device);
	close(group);
	close(container);
	device = group = container = -1;
}

/* A program that has looked at the device goes on in a child, and its parent is gone. */
static void drive_in_orphan(char bdf[32])
{
	int fds[2], counts[2] = { 0 };

	if (!check(!pipe(fds), "a pipe"))
		return;
	fflush(stdout);
	if (!fork()) {
		pid_t parent = getpid();

		if (fork())
			_exit(0);
		while (getppid() == parent)
			usleep(1000);
		/* What the first process has open stays its own. */
		let_go();
		drive(bdf);
		let_go();
		fflush(stdout);
		counts[0] = tests;
		counts[1] = failures;
		_exit(write(fds[1], counts, sizeof(counts)) != sizeof(counts));
	}
	close(fds[1]);
	wait(NULL);
	if (read(fds[0], counts, sizeof(counts)) == sizeof(counts)) {
		tests = counts[0];
		failures = counts[1];
	} else {
		check(0, "what the orphan did");
	}
	close(fds[0]);
}

int main(void)
{
	char bdf[32] = "";

	int orphans = !getenv("PROBE_WITHOUT_ORPHANS");	/* tests/hosts/run says where */

	drive(bdf);
	if (orphans)
		drive_in_orphan(bdf);
	check(!ioctl(device, VFIO_DEVICE_RESET), "the device is still the first process's");
	let_go();
	if (orphans)
		drive_in_orphan(bdf);
	printf("1..%d\n", tests);
	return failures != 0;
}
