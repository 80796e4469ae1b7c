/* SPDX-License-Identifier: MIT */
/*
 * Memory that can be shared with other processes and taken back: see mem.h and
 * docs/revoke.md.
 *
 * Model. The memory is a memfd. The exporter and importers in this process reach it at
 * vaddr, which is a mapping like anybody's. To take it from all other mappings at once,
 * whoever made them, the file is made shorter: every page table in the system loses the
 * pages, and the next access faults with SIGBUS.
 *
 * What the file loses must not be lost: before a piece (from the end) is cut off, its pages
 * are spliced into a pipe, which refers to the same pages without a copy. A store that some
 * CPU makes in between still goes to that page; after the cut nobody can store any more, and
 * what is read from the pipe is final. The pieces are collected in anonymous memory that in
 * the end replaces the file's pages at vaddr.
 *
 * Giving back appends the content to the file, in order: a page is within the file's size
 * only after its content is in it.
 *
 * Invariants: the content is in the file or at vaddr, and complete there whenever cpu_lock
 * is free; gone is set while it is in anonymous memory.
 *
 * Locks: the buffer's cpu_lock, then pipe_lock.
 */
#include "dmabuf/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/libc.h"
#include "base/log.h"
#include "base/sync.h"

struct dma_mem {
	struct dma_buf *dmabuf;
	size_t size;
	int memfd;
	bool gone;		/* cpu_lock */
	char *vaddr;
};

/* One pipe for all, made when first needed and again after a fork. */
#define PIPE_ROOM (1u << 20)
static struct sv_mutex pipe_lock = SV_MUTEX_INIT;
static int pipe_fds[2] = { -1, -1 };
static size_t pipe_room;
static pid_t pipe_owner;

static void fork_prepare(void)
{
	sv_mutex_lock(&pipe_lock);
}

static void fork_done(void)
{
	sv_mutex_unlock(&pipe_lock);
}

static void __attribute__((constructor(103))) pipe_init(void)
{
	(void)pthread_atfork(fork_prepare, fork_done, fork_done);
}

static int pipe_get(void)
{
	int room;

	if (pipe_fds[0] >= 0 && pipe_owner == getpid())
		return 0;
	if (pipe_fds[0] >= 0) {
		/* The parent uses the same pipe: these copies are not for us. */
		sv_libc.close(pipe_fds[0]);
		sv_libc.close(pipe_fds[1]);
		pipe_fds[0] = -1;
	}
	if (SV_FAULT(EMFILE) || pipe2(pipe_fds, O_CLOEXEC | O_NONBLOCK)) {
		pipe_fds[0] = -1;
		return -errno;
	}
	/* Smaller where the user has many pipes: more rounds. */
	(void)sv_libc.fcntl(pipe_fds[1], F_SETPIPE_SZ, PIPE_ROOM);
	room = sv_libc.fcntl(pipe_fds[1], F_GETPIPE_SZ);
	pipe_room = room < (int)SV_PAGE_SIZE ? SV_PAGE_SIZE : (size_t)room;
	pipe_owner = getpid();
	return 0;
}

/* Reads n bytes that are in the pipe. */
static int pipe_drain(char *to, size_t n)
{
	while (n) {
		ssize_t got = read(pipe_fds[0], to, n);

		if (got <= 0) {
			if (got < 0 && errno == EINTR)
				continue;
			return got ? -errno : -EIO;
		}
		to += got;
		n -= (size_t)got;
	}
	return 0;
}

/* The file's pages from off on into the pipe; how many bytes' worth went in. */
static size_t pipe_fill(int memfd, size_t off, size_t n)
{
	loff_t at = (loff_t)off;

	while (n) {
		ssize_t got = splice(memfd, &at, pipe_fds[1], NULL, n, SPLICE_F_NONBLOCK);

		if (got <= 0) {
			if (got < 0 && errno == EINTR)
				continue;
			break;
		}
		n -= (size_t)got;
	}
	return (size_t)at - off;
}

/*
 * Cuts the file off at off, its end being end, and saves what was there. Where the file was
 * shorter (its memory is in the hands of other programs, which may truncate it) there are
 * zeros.
 */
static int cut_piece(struct dma_mem *mem, char *save, size_t off, size_t end)
{
	size_t in = pipe_fill(mem->memfd, off, end - off);

	if (in < end - off) {
		/* The pipe is full, or the file ends early. Smaller pieces, down to a page. */
		if (pipe_drain(save + off, in))
			return -EIO;
		if (end - off > SV_PAGE_SIZE) {
			size_t middle = ALIGN_DOWN(off + (end - off) / 2, SV_PAGE_SIZE);
			int err = cut_piece(mem, save, middle, end);

			return err ? err : cut_piece(mem, save, off, middle);
		}
		if (pread(mem->memfd, save + off, end - off, (off_t)off) < 0)
			return -errno;
		return ftruncate(mem->memfd, (off_t)off) ? -errno : 0;
	}
	if (ftruncate(mem->memfd, (off_t)off)) {
		int err = -errno;

		return pipe_drain(save + off, in) ? -EIO : err;
	}
	return pipe_drain(save + off, in);
}

static int mem_put_back(struct dma_mem *mem, const char *from, size_t off);

static int mem_move_out(struct dma_mem *mem)
{
	char *save;
	size_t end;
	int err;

	save = SV_FAULT(ENOMEM) ? MAP_FAILED :
	       mmap(NULL, mem->size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (save == MAP_FAILED)
		return -ENOMEM;
	sv_mutex_lock(&pipe_lock);
	err = pipe_get();
	for (end = mem->size; !err && end;) {
		size_t piece = min(pipe_room, end), off = end - piece;

		err = cut_piece(mem, save, off, end);
		if (!err)
			end = off;
	}
	sv_mutex_unlock(&pipe_lock);
	if (err) {
		/* What was cut off goes back; the mappings live on. */
		if (end < mem->size && mem_put_back(mem, save + end, end))
			sv_err("dma-buf: memory could not be put back after a failed revoke");
		munmap(save, mem->size);
		return err;
	}
	/* In one step, for anybody who looks at vaddr meanwhile. */
	if (mremap(save, mem->size, mem->size, MREMAP_MAYMOVE | MREMAP_FIXED, mem->vaddr) ==
	    MAP_FAILED) {
		err = -errno;
		(void)mem_put_back(mem, save, 0);
		munmap(save, mem->size);
		return err;
	}
	mem->gone = true;
	return 0;
}

/* Appends from off to the end, page after page. */
static int mem_put_back(struct dma_mem *mem, const char *from, size_t off)
{
	if (SV_FAULT(ENOMEM) || ftruncate(mem->memfd, (off_t)off))
		return -errno;
	while (off < mem->size) {
		ssize_t n = pwrite(mem->memfd, from, mem->size - off, (off_t)off);

		if (n <= 0) {
			if (n < 0 && errno == EINTR)
				continue;
			return n ? -errno : -EIO;
		}
		from += n;
		off += (size_t)n;
	}
	return 0;
}

static int mem_revoke_cpu(struct dma_buf *dmabuf)
{
	struct dma_mem *mem = dmabuf->priv;

	/* Nobody outside has ever had a way to map it. */
	if (mem->gone || !dmabuf->published)
		return 0;
	return mem_move_out(mem);
}

static int mem_restore_cpu(struct dma_buf *dmabuf)
{
	struct dma_mem *mem = dmabuf->priv;
	void *p;
	int err;

	if (!mem->gone)
		return 0;
	err = mem_put_back(mem, mem->vaddr, 0);
	if (!err) {
		p = mmap(mem->vaddr, mem->size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED,
			 mem->memfd, 0);
		if (p == MAP_FAILED)
			err = -errno;
	}
	if (err) {
		(void)ftruncate(mem->memfd, 0);
		return err == -ENOSPC ? -ENOMEM : err;
	}
	mem->gone = false;
	return 0;
}

static int mem_pin(struct dma_buf_attachment *attach)
{
	return 0;	/* it never moves while it is not revoked */
}

static void mem_unpin(struct dma_buf_attachment *attach)
{
}

static struct sg_table *mem_map(struct dma_buf_attachment *attach, enum dma_data_direction dir)
{
	struct dma_mem *mem = attach->dmabuf->priv;

	return sg_table_create(mem->vaddr, mem->size);
}

static void mem_unmap(struct dma_buf_attachment *attach, struct sg_table *sgt,
		      enum dma_data_direction dir)
{
	sg_table_destroy(sgt);
}

static void mem_free(struct dma_mem *mem)
{
	if (mem->vaddr)
		munmap(mem->vaddr, mem->size);
	if (mem->memfd >= 0)
		sv_libc.close(mem->memfd);
	sv_free(mem);
}

static void mem_release(struct dma_buf *dmabuf)
{
	mem_free(dmabuf->priv);
}

static int mem_mmap(struct dma_buf *dmabuf, struct vm_area_struct *vma)
{
	struct dma_mem *mem = dmabuf->priv;
	bool shared = (vma->flags & MAP_TYPE) != MAP_PRIVATE;
	void *p;

	if ((dmabuf->flags & O_ACCMODE) == O_RDONLY && shared && (vma->prot & PROT_WRITE))
		return -EACCES;
	p = sv_libc.mmap(vma->addr, vma->len, vma->prot, vma->flags, mem->memfd, (off_t)vma->off);
	if (p == MAP_FAILED)
		return -errno;
	vma->mapped = p;
	return 0;
}

static int mem_vmap(struct dma_buf *dmabuf, struct iosys_map *map)
{
	struct dma_mem *mem = dmabuf->priv;

	map->vaddr = mem->vaddr;
	map->is_iomem = false;
	return 0;
}

static int mem_backing(struct dma_buf *dmabuf)
{
	return ((struct dma_mem *)dmabuf->priv)->memfd;
}

static const struct dma_buf_ops mem_ops = {
	.pin = mem_pin,
	.unpin = mem_unpin,
	.map_dma_buf = mem_map,
	.unmap_dma_buf = mem_unmap,
	.release = mem_release,
	.mmap = mem_mmap,
	.vmap = mem_vmap,
	.backing = mem_backing,
	.revoke_cpu = mem_revoke_cpu,
	.restore_cpu = mem_restore_cpu,
};

/* The file with all of its pages, and our view of it. 0 or -errno; the caller frees. */
static int mem_alloc(struct dma_mem *mem)
{
	char name[64];
	int err;

	/* Tells another process whom to ask about it (docs/remote.md). */
	snprintf(name, sizeof(name), DMA_MEM_NAME "%d", (int)getpid());
	mem->memfd = SV_FAULT(EMFILE) ? -1 : memfd_create(name, MFD_CLOEXEC);
	if (mem->memfd < 0)
		return -errno;
	if (SV_FAULT(ENOMEM) || ftruncate(mem->memfd, (off_t)mem->size))
		return -ENOMEM;
	/* A hole would be filled by whoever touches it first, even between splice and cut. */
	do
		err = SV_FAULT(ENOSPC) || fallocate(mem->memfd, 0, 0, (off_t)mem->size) ? -errno : 0;
	while (err == -EINTR);
	if (err)
		return -ENOMEM;
	mem->vaddr = SV_FAULT(ENOMEM) ? MAP_FAILED :
		     mmap(NULL, mem->size, PROT_READ | PROT_WRITE, MAP_SHARED, mem->memfd, 0);
	if (mem->vaddr == MAP_FAILED) {
		mem->vaddr = NULL;
		return -ENOMEM;
	}
	return 0;
}

struct dma_buf *dma_mem_export(const char *exp_name, size_t size, int flags)
{
	DEFINE_DMA_BUF_EXPORT_INFO(info);
	size_t whole = ALIGN_UP(size, SV_PAGE_SIZE);
	struct dma_buf *dmabuf;
	struct dma_mem *mem;
	int err;

	if (!size || whole < size || whole > INT64_MAX)
		return ERR_PTR(size ? -ENOMEM : -EINVAL);
	mem = sv_zalloc(sizeof(*mem));
	if (!mem)
		return ERR_PTR(-ENOMEM);
	mem->size = whole;
	err = mem_alloc(mem);
	if (err)
		goto free_mem;
	info.exp_name = exp_name;
	info.ops = &mem_ops;
	info.size = whole;
	info.flags = flags;
	info.priv = mem;
	dmabuf = dma_buf_export(&info);
	if (IS_ERR(dmabuf)) {
		err = (int)PTR_ERR(dmabuf);
		goto free_mem;
	}
	mem->dmabuf = dmabuf;
	return dmabuf;
free_mem:
	mem_free(mem);
	return ERR_PTR(err);
}

void *dma_mem_vaddr(struct dma_buf *dmabuf)
{
	return dmabuf->ops == &mem_ops ? ((struct dma_mem *)dmabuf->priv)->vaddr : NULL;
}
