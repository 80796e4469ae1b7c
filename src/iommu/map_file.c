/* SPDX-License-Identifier: MIT */
/*
 * Pages from a file: IOMMU_IOAS_MAP_FILE. A dma-buf is dmabuf.c's; a memfd (or another file of
 * memory: shmem, hugetlbfs) gets a shared mapping of our own, which keeps it alive and needs no
 * descriptor. What the program does to its own mappings is of no interest here. A file that is
 * cut later raises SIGBUS, which is a fault to the device.
 */
#include <fcntl.h>
#include <linux/magic.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include "base/alloc.h"
#include "base/libc.h"
#include "iommu/pages.h"
#include "softvirt/dma-buf.h"

#ifndef HUGETLBFS_MAGIC
#define HUGETLBFS_MAGIC 0x958458f6
#endif

/* One of the library's objects, whatever it is backed by, is no memory to the program. */
static bool is_object(int fd)
{
	struct sv_file *f = sv_fget(fd, NULL);
	bool yes = f && sv_fd_is(fd, f);

	if (f)
		sv_file_put(f);
	return yes;
}

/* A file whose pages are memory: 0, and what a mapping's offset must be a multiple of. */
static int check_memory_file(int fd, u64 start, u64 length, u64 *granule)
{
	struct statfs fs;
	struct stat st;

	if (SV_FAULT(EBADF) || fstatfs(fd, &fs) || fstat(fd, &st))
		return -EBADF;
	if (is_object(fd))
		return -EINVAL;
	if (fs.f_type != TMPFS_MAGIC && fs.f_type != HUGETLBFS_MAGIC)
		return -EINVAL;
	*granule = fs.f_type == HUGETLBFS_MAGIC ? (u64)fs.f_bsize : SV_PAGE_SIZE;
	if (!S_ISREG(st.st_mode) || start + length > (u64)st.st_size)
		return -EINVAL;
	return 0;
}

static struct iopt_pages *alloc_memfd(struct iommufd_ctx *ictx, int fd, u64 start, u64 length,
				      bool writable, u64 *start_byte)
{
	u64 granule, first = ALIGN_DOWN(start, SV_PAGE_SIZE), off, map_len;
	int prot = PROT_READ | (writable ? PROT_WRITE : 0), err;
	struct iopt_pages *pages;
	void *map;

	err = check_memory_file(fd, start, length, &granule);
	if (err)
		return ERR_PTR(err);
	off = ALIGN_DOWN(start, granule);
	map_len = ALIGN_UP(start + length, granule) - off;
	pages = iopt_pages_alloc(ictx, IOPT_PAGES_FILE,
				 (ALIGN_UP(start + length, SV_PAGE_SIZE) - first) / SV_PAGE_SIZE, writable);
	if (IS_ERR(pages))
		return pages;
	map = SV_FAULT(ENOMEM) ? MAP_FAILED :
		sv_libc.mmap(NULL, map_len, prot, MAP_SHARED | MAP_NORESERVE, fd, (off_t)off);
	if (map == MAP_FAILED) {
		err = errno == EACCES ? -EPERM : -errno;
		sv_mutex_destroy(&pages->lock);
		sv_free(pages);
		return ERR_PTR(err);
	}
	pages->map = map;
	pages->map_len = map_len;
	pages->base = (u64)map + (first - off);
	*start_byte = start - first;
	return pages;
}

struct iopt_pages *iopt_pages_alloc_file(struct iommufd_ctx *ictx, int fd, u64 start, u64 length,
					 bool writable, u64 *start_byte)
{
	struct iopt_pages *pages;
	struct dma_buf *dmabuf;
	u64 end;

	if (!length)
		return ERR_PTR(-EINVAL);
	if (__builtin_add_overflow(start, length, &end) || end > ~0ull - (1ull << 30))
		return ERR_PTR(-EOVERFLOW);
	dmabuf = dma_buf_get(fd);
	if (IS_ERR(dmabuf)) {
		if (PTR_ERR(dmabuf) == -EBADF)
			return ERR_CAST(dmabuf);
		return alloc_memfd(ictx, fd, start, length, writable, start_byte);
	}
	pages = iopt_pages_alloc_dmabuf(ictx, dmabuf, start, length, writable, start_byte);
	dma_buf_put(dmabuf);
	return pages;
}
