/* SPDX-License-Identifier: MIT */
/*
 * What the host's kernel says about the caller's mappings.
 *
 * KVM refuses a writable slot over a read-only mapping (EPERM, in RISC-V's
 * kvm_arch_prepare_memory_region). Its source is /proc/self/maps: asked for single mappings
 * by ioctl where the kernel can (Linux 6.11), else read as text up to the range's end.
 * Touching the memory instead would populate it, and wait for a userfaultfd.
 *
 * Who has no /proc, or no descriptor left, or an emulated /proc, gets no check: the guest's
 * store to such memory ends KVM_RUN with EFAULT then.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/ioctl.h>
#include <linux/magic.h>
#include <sys/ioctl.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/libc.h"
#include "kvm/kvm.h"

/* struct procmap_query of include/uapi/linux/fs.h, which older headers lack. */
struct map_query {
	u64 size;
	u64 query_flags;
	u64 query_addr;
	u64 vma_start;
	u64 vma_end;
	u64 vma_flags;
	u64 vma_page_size;
	u64 vma_offset;
	u64 inode;
	u32 dev_major;
	u32 dev_minor;
	u32 vma_name_size;
	u32 build_id_size;
	u64 vma_name_addr;
	u64 build_id_addr;
};
#define MAP_QUERY _IOWR('f', 17, struct map_query)
#define MAP_QUERY_COVERING_OR_NEXT 0x10
#define MAP_FLAG_WRITABLE 0x02

/* 1: all writable, 0: not so, -1: the kernel can't say. */
static int query(int fd, u64 addr, u64 end)
{
	while (addr < end) {
		struct map_query q = {
			.size = sizeof(q), .query_addr = addr,
			.query_flags = MAP_QUERY_COVERING_OR_NEXT,
		};

		if (sv_libc.ioctl(fd, MAP_QUERY, &q))
			return errno == ENOENT ? 1 : -1;
		if (q.vma_start >= end)
			return 1;
		if (!(q.vma_flags & MAP_FLAG_WRITABLE))
			return 0;
		if (q.vma_end <= addr)
			return -1;
		addr = q.vma_end;
	}
	return 1;
}

/* A line is "start-end rwxp ...": what has been read of the current one. */
struct line {
	u64 start, end;
	int field;		/* 0: start, 1: end, 2: permissions, 3: the rest */
	int column;		/* in the permissions */
	bool writable;
};

static int hex(char c)
{
	return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* True when the permissions have been read. */
static bool feed(struct line *l, char c)
{
	if (c == '\n') {
		*l = (struct line){ 0 };
	} else if (l->field == 0) {
		if (c == '-')
			l->field = 1;
		else
			l->start = l->start << 4 | (u64)hex(c);
	} else if (l->field == 1) {
		if (c == ' ')
			l->field = 2;
		else
			l->end = l->end << 4 | (u64)hex(c);
	} else if (l->field == 2) {
		if (l->column++ == 1) {
			l->writable = c == 'w';
			l->field = 3;
			return true;
		}
	}
	return false;
}

static bool read_text(int fd, u64 addr, u64 end)
{
	struct line l = { 0 };
	char buf[4096];
	ssize_t n;

	while ((n = read(fd, buf, sizeof(buf))) > 0 || (n < 0 && errno == EINTR)) {
		for (ssize_t i = 0; i < n; i++) {
			if (!feed(&l, buf[i]) || l.end <= addr)
				continue;
			if (l.start >= end)
				return true;
			if (!l.writable)
				return false;
		}
	}
	return true;
}

/*
 * An emulator of user processes makes the whole text up at each open, which costs it
 * milliseconds: no check there.
 */
static bool maps_are_procfs;
static struct sv_once maps_once = SV_ONCE_INIT;

static int maps_probe(void)
{
	int fd = sv_libc.open("/proc/self/maps", O_RDONLY | O_CLOEXEC);
	struct statfs st;

	if (fd < 0)
		return -errno;
	maps_are_procfs = !fstatfs(fd, &st) && (u64)st.f_type == PROC_SUPER_MAGIC;
	sv_libc.close(fd);
	return 0;
}

bool kvm_host_range_writable(u64 addr, u64 size)
{
	int fd, ret, saved = errno;

	if (sv_once(&maps_once, maps_probe) || !maps_are_procfs) {
		errno = saved;
		return true;
	}
	fd = SV_FAULT(EMFILE) ? -1 : sv_libc.open("/proc/self/maps", O_RDONLY | O_CLOEXEC);
	if (fd < 0) {
		errno = saved;
		return true;
	}
	ret = query(fd, addr, addr + size);
	if (ret < 0)
		ret = read_text(fd, addr, addr + size);
	sv_libc.close(fd);
	errno = saved;
	return ret;
}
