/* SPDX-License-Identifier: MIT */
/*
 * /dev/udmabuf: a buffer out of pieces of a program's memfds.
 *
 * Model. A udmabuf keeps a descriptor of each piece's memfd and one contiguous mapping of
 * all pieces, which is what devices get. A program's mmap is stitched together of the same
 * memfds, so that everybody sees the same pages. The memory is the program's: it can't be
 * taken from it, and a revoke that would have to is refused (-EOPNOTSUPP).
 *
 * The memfds are sealed against shrinking, or they would be refused: our mapping can't lose
 * its pages.
 *
 * A process can map a huge page only whole and at an address that is a multiple of its size.
 * So pieces of a hugetlb memfd must be whole huge pages that begin at such a multiple of the
 * buffer, too, and are mapped whole; the kernel has no such limits. -EINVAL says so.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/guard.h"
#include "base/libc.h"
#include "file/file.h"
#include "softvirt/dma-buf.h"
#include "softvirt/uapi/sync.h"

#define UDMABUF_MAX_ENTRIES 1024u
#define UDMABUF_MAX_BYTES (64ull << 20)
#define HUGETLBFS_FS_MAGIC 0x958458f6ul

struct udmabuf_piece {
	int memfd;
	u64 offset, size;
	u64 page;		/* what its mappings are multiples of */
};

struct udmabuf {
	char *vaddr;
	u64 size;
	u64 align;		/* the largest page */
	u32 nr_pieces;
	struct udmabuf_piece pieces[];
};

/*
 * Maps what lies in [from, from + len) of the pieces to addr, which is reserved: len bytes
 * of ours to overwrite.
 */
static int map_pieces(const struct udmabuf *u, char *addr, u64 from, u64 len, int prot, int flags)
{
	for (u32 i = 0; i < u->nr_pieces && len; i++) {
		const struct udmabuf_piece *p = &u->pieces[i];
		u64 n;

		if (from >= p->size) {
			from -= p->size;
			continue;
		}
		n = min(p->size - from, len);
		if (!IS_ALIGNED(from | n | (uintptr_t)addr, p->page))
			return -EINVAL;
		if (SV_FAULT(ENOMEM) ||
		    sv_libc.mmap(addr, n, prot, (flags & ~MAP_FIXED_NOREPLACE) | MAP_FIXED,
				 p->memfd, (off_t)(p->offset + from)) == MAP_FAILED)
			return -errno;
		addr += n;
		len -= n;
		from = 0;
	}
	return 0;
}

/* len bytes of address space at a multiple of align; MAP_FAILED and errno. */
static char *reserve(void *hint, u64 len, int placement, u64 align)
{
	u64 more = placement || align == SV_PAGE_SIZE ? 0 : align, head;
	char *p;

	p = sv_libc.mmap(hint, len + more, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | placement, -1, 0);
	if (p == MAP_FAILED || !more)
		return p;
	head = ALIGN_UP((uintptr_t)p, align) - (uintptr_t)p;
	if (head)
		munmap(p, head);
	munmap(p + head + len, more - head);
	return p + head;
}

static int udmabuf_mmap(struct dma_buf *dmabuf, struct vm_area_struct *vma)
{
	const int placement = MAP_FIXED | MAP_FIXED_NOREPLACE;
	char *p;
	int err;

	/* As the kernel: only shared, or two programs would not see the same buffer. */
	if ((vma->flags & MAP_TYPE) == MAP_PRIVATE)
		return -EINVAL;
	p = reserve(vma->addr, vma->len, vma->flags & placement,
		    ((struct udmabuf *)dmabuf->priv)->align);
	if (p == MAP_FAILED)
		return -errno;
	err = map_pieces(dmabuf->priv, p, vma->off, vma->len, vma->prot, vma->flags);
	if (err) {
		munmap(p, vma->len);
		return err;
	}
	vma->mapped = p;
	return 0;
}

static struct sg_table *udmabuf_map(struct dma_buf_attachment *attach, enum dma_data_direction dir)
{
	struct udmabuf *u = attach->dmabuf->priv;

	return sg_table_create(u->vaddr, u->size);
}

static void udmabuf_unmap(struct dma_buf_attachment *attach, struct sg_table *sgt,
			  enum dma_data_direction dir)
{
	sg_table_destroy(sgt);
}

static int udmabuf_vmap(struct dma_buf *dmabuf, struct iosys_map *map)
{
	map->vaddr = ((struct udmabuf *)dmabuf->priv)->vaddr;
	return 0;
}

static void udmabuf_free(struct udmabuf *u)
{
	if (u->vaddr)
		munmap(u->vaddr, u->size);
	for (u32 i = 0; i < u->nr_pieces; i++)
		if (u->pieces[i].memfd >= 0)
			sv_libc.close(u->pieces[i].memfd);
	sv_free(u);
}

static void udmabuf_release(struct dma_buf *dmabuf)
{
	udmabuf_free(dmabuf->priv);
}

static const struct dma_buf_ops udmabuf_ops = {
	.map_dma_buf = udmabuf_map,
	.unmap_dma_buf = udmabuf_unmap,
	.release = udmabuf_release,
	.mmap = udmabuf_mmap,
	.vmap = udmabuf_vmap,
};

/* One rule per line; nothing is changed. *page: see struct udmabuf_piece. */
static int piece_check(const struct udmabuf_create_item *item, u64 total, u64 *page)
{
	struct statfs fs;
	struct stat st;
	u64 end;
	int seals;

	if (!IS_ALIGNED(item->offset, SV_PAGE_SIZE) || !IS_ALIGNED(item->size, SV_PAGE_SIZE))
		return -EINVAL;
	/* Also the sum: no program gets more than this out of one buffer. */
	if (item->size > UDMABUF_MAX_BYTES || total + item->size > UDMABUF_MAX_BYTES)
		return -EINVAL;
	/* Only memfds have seals to ask about. */
	seals = sv_libc.fcntl((int)item->memfd, F_GET_SEALS);
	if (seals < 0)
		return -EBADFD;
	if (!(seals & F_SEAL_SHRINK) || (seals & F_SEAL_WRITE))
		return -EINVAL;
	if (fstat((int)item->memfd, &st))
		return -EBADFD;
	if (fstatfs((int)item->memfd, &fs))
		return -EBADFD;
	*page = (unsigned long)fs.f_type == HUGETLBFS_FS_MAGIC ? (u64)fs.f_bsize : SV_PAGE_SIZE;
	if (!IS_ALIGNED(item->offset | item->size | total, *page))
		return -EINVAL;
	if (__builtin_add_overflow(item->offset, item->size, &end) || end > (u64)st.st_size)
		return -EINVAL;
	return 0;
}

static int udmabuf_take(struct udmabuf *u, const struct udmabuf_create_item *items, u32 count)
{
	int err;

	for (u32 i = 0; i < count; i++) {
		struct udmabuf_piece *p = &u->pieces[i];

		err = piece_check(&items[i], u->size, &p->page);
		if (err)
			return err;
		p->memfd = SV_FAULT(EMFILE) ? -1 :
			   sv_libc.fcntl((int)items[i].memfd, F_DUPFD_CLOEXEC, 3);
		if (p->memfd < 0)
			return -errno;
		u->nr_pieces = i + 1;
		p->offset = items[i].offset;
		p->size = items[i].size;
		u->size += p->size;
		u->align = max(u->align, p->page);
	}
	if (!u->size)
		return -EINVAL;
	u->vaddr = SV_FAULT(ENOMEM) ? MAP_FAILED : reserve(NULL, u->size, 0, u->align);
	if (u->vaddr == MAP_FAILED) {
		u->vaddr = NULL;
		return -ENOMEM;
	}
	return map_pieces(u, u->vaddr, 0, u->size, PROT_READ | PROT_WRITE, MAP_SHARED);
}

static long udmabuf_create(u32 flags, const struct udmabuf_create_item *items, u32 count)
{
	DEFINE_DMA_BUF_EXPORT_INFO(info);
	struct dma_buf *dmabuf;
	struct udmabuf *u;
	int err, fd;

	u = sv_zalloc(sizeof(*u) + count * sizeof(u->pieces[0]));
	if (!u)
		return -ENOMEM;
	err = udmabuf_take(u, items, count);
	if (err)
		goto free_u;
	info.exp_name = "udmabuf";
	info.ops = &udmabuf_ops;
	info.size = u->size;
	info.flags = O_RDWR;
	info.priv = u;
	dmabuf = dma_buf_export(&info);
	if (IS_ERR(dmabuf)) {
		err = (int)PTR_ERR(dmabuf);
		goto free_u;
	}
	fd = dma_buf_fd(dmabuf, flags & UDMABUF_FLAGS_CLOEXEC ? O_CLOEXEC : 0);
	dma_buf_put(dmabuf);
	return fd;
free_u:
	udmabuf_free(u);
	return err;
}

static long ioctl_create(struct sv_file *f, struct sv_ioctl_ctx *c)
{
	const struct udmabuf_create *create = c->buf;
	const struct udmabuf_create_item item = {
		.memfd = create->memfd, .offset = create->offset, .size = create->size,
	};

	return udmabuf_create(create->flags, &item, 1);
}

static long ioctl_create_list(struct sv_file *f, struct sv_ioctl_ctx *c)
{
	const struct udmabuf_create_list *head = c->buf;
	struct udmabuf_create_item *items;
	long ret;

	if (!head->count || head->count > UDMABUF_MAX_ENTRIES)
		return -EINVAL;
	items = sv_calloc(head->count, sizeof(*items));
	if (!items)
		return -ENOMEM;
	if (sv_copy_from_user(items, (const char *)c->value + sizeof(*head),
			      head->count * sizeof(*items)))
		ret = -EFAULT;
	else
		ret = udmabuf_create(head->flags, items, head->count);
	sv_free(items);
	return ret;
}

static const struct sv_ioctl udmabuf_ioctls[] = {
	SV_IOCTL_ENTRY(SV_IOCTL_EXACT, UDMABUF_CREATE, ioctl_create),
	SV_IOCTL_ENTRY(SV_IOCTL_EXACT, UDMABUF_CREATE_LIST, ioctl_create_list),
};

static const struct sv_file_ops udmabuf_fops = {
	.name = "udmabuf",
	.ioctls = udmabuf_ioctls,
	.nr_ioctls = ARRAY_SIZE(udmabuf_ioctls),
};

static int udmabuf_open(const struct sv_node *node, int o_flags)
{
	struct sv_file *f;
	int err = sv_file_create(&udmabuf_fops, NULL, SV_BACKING_EVENTFD, 0, o_flags, &f);

	return err ? err : sv_file_install(f);
}

extern const struct sv_node udmabuf_node;
const struct sv_node udmabuf_node = {
	.path = "/dev/udmabuf",
	.open = udmabuf_open,
};
