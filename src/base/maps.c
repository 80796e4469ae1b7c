/* SPDX-License-Identifier: MIT */
/* maps.h by the host's query (Linux 6.11), or by the text where there is none. */
#include "base/maps.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/libc.h"
#include "base/mem_notify.h"

/* The host's answer to "which mapping is at, or next behind, addr". */
struct procmap_query {
	u64 size, query_flags, query_addr;
	u64 vma_start, vma_end, vma_flags, vma_page_size, vma_offset, inode;
	u32 dev_major, dev_minor, vma_name_size, build_id_size;
	u64 vma_name_addr, build_id_addr;
};
#define PROCMAP_QUERY _IOWR('f', 17, struct procmap_query)
#define PROCMAP_QUERY_COVERING_OR_NEXT_VMA 0x10

int sv_maps_open(pid_t pid)
{
	char path[32] = "/proc/self/maps";

	if (pid)
		snprintf(path, sizeof(path), "/proc/%d/maps", pid);
	return SV_FAULT(EMFILE) ? -1 : sv_libc.open(path, O_RDONLY | O_CLOEXEC);
}

static void vma_from_line(const char *perms, struct sv_vma *v)
{
	v->flags = (perms[0] == 'r' ? SV_VMA_R : 0) | (perms[1] == 'w' ? SV_VMA_W : 0) |
		   (perms[2] == 'x' ? SV_VMA_X : 0) | (perms[3] == 's' ? SV_VMA_SHARED : 0);
}

/* The text, up to the mapping that ends behind addr. */
static int next_from_text(int maps, u64 addr, struct sv_vma *v)
{
	int fd = lseek(maps, 0, SEEK_SET) ? -1 : sv_libc.fcntl(maps, F_DUPFD_CLOEXEC, 0);
	FILE *f = fd < 0 ? NULL : fdopen(fd, "r");
	char line[256], perms[5];
	bool begins = true, whole;
	int ret = -EFAULT;

	if (!f) {
		if (fd >= 0)
			sv_libc.close(fd);
		return -ENOMEM;
	}
	for (; fgets(line, sizeof(line), f); begins = whole) {
		unsigned long start, end, offset, ino;
		unsigned major, minor;

		whole = strchr(line, '\n');
		/* A path may be longer than line, and its rest look like anything. */
		if (!begins ||
		    sscanf(line, "%lx-%lx %4s %lx %x:%x %lu", &start, &end, perms, &offset, &major,
			   &minor, &ino) != 7 || end <= addr)
			continue;
		v->start = start;
		v->end = end;
		v->offset = offset;
		v->dev = makedev(major, minor);
		v->ino = ino;
		vma_from_line(perms, v);
		ret = 0;
		break;
	}
	fclose(f);
	return ret;
}

int sv_vma_next(int fd, u64 addr, struct sv_vma *v)
{
	struct procmap_query q = {
		.size = sizeof(q), .query_addr = addr, .query_flags = PROCMAP_QUERY_COVERING_OR_NEXT_VMA,
	};
	int err;

	if (!sv_libc.ioctl(fd, PROCMAP_QUERY, &q)) {
		v->start = q.vma_start;
		v->end = q.vma_end;
		v->offset = q.vma_offset;
		v->dev = makedev(q.dev_major, q.dev_minor);
		v->ino = q.inode;
		v->flags = (u32)q.vma_flags;
		return 0;
	}
	if (errno == ENOENT)
		return -EFAULT;
	/* Reading text asks for memory, perhaps under a lock of those who watch the program's. */
	sv_mem_quiet_begin();
	err = next_from_text(fd, addr, v);
	sv_mem_quiet_end();
	return err;
}

int sv_vma_find(int fd, u64 addr, struct sv_vma *v)
{
	int err = sv_vma_next(fd, addr, v);

	return !err && v->start > addr ? -EFAULT : err;
}
