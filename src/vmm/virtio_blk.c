/* SPDX-License-Identifier: MIT */
/*
 * The virtio block device (virtio 1.2, 5.2) on a raw file or block device.
 *
 * Requests are worked on one after the other in the device's thread. What the guest is told
 * is what happened: a transfer that the host could not do in full is VIRTIO_BLK_S_IOERR. A
 * flush is an fdatasync; a driver that did not negotiate flushes gets one after each write.
 *
 * The file is locked (open file description locks, all of it) for writing, or with ",ro" for
 * reading, so two machines never write the same disk.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "vmm/devices.h"
#include "vmm/report.h"

#define VIRTIO_BLK_F_SIZE_MAX	BIT(1)
#define VIRTIO_BLK_F_SEG_MAX	BIT(2)
#define VIRTIO_BLK_F_RO		BIT(5)
#define VIRTIO_BLK_F_BLK_SIZE	BIT(6)
#define VIRTIO_BLK_F_FLUSH	BIT(9)
#define VIRTIO_BLK_F_DISCARD	BIT(13)
#define VIRTIO_BLK_F_WRITE_ZEROES BIT(14)

enum { T_IN = 0, T_OUT = 1, T_FLUSH = 4, T_GET_ID = 8, T_DISCARD = 11, T_WRITE_ZEROES = 13 };
enum { S_OK = 0, S_IOERR = 1, S_UNSUPP = 2 };

#define SECTOR		512ull
#define BLK_ID_LEN	20
#define BLK_SIZE_MAX	(1u << 20)
#define BLK_SEG_MAX	(VIRTQ_MAX_SEGS - 2)
#define BLK_CHUNK	(4ull << 20)	/* between two looks at whether the VM stops */
#define BLK_MAX_RANGES	16
#define WRITE_ZEROES_UNMAP 1u

/* virtio 1.2, 5.2.4; little endian, as is every host this runs on. */
struct blk_config {
	u64 capacity;
	u32 size_max;
	u32 seg_max;
	u16 cylinders;
	u8 heads, sectors;
	u32 blk_size;
	u8 physical_block_exp, alignment_offset;
	u16 min_io_size;
	u32 opt_io_size;
	u8 writeback, unused0;
	u16 num_queues;
	u32 max_discard_sectors;
	u32 max_discard_seg;
	u32 discard_sector_alignment;
	u32 max_write_zeroes_sectors;
	u32 max_write_zeroes_seg;
	u8 write_zeroes_may_unmap;
	u8 unused1[3];
} __attribute__((packed));

struct blk_header {
	u32 type;
	u32 reserved;
	u64 sector;
};

struct blk_range {
	u64 sector;
	u32 nr_sectors;
	u32 flags;
};

struct virtio_blk {
	struct device device;
	struct virtio_dev dev;
	int fd;
	bool ro;
	u64 size;		/* in bytes, a multiple of SECTOR */
	struct blk_config config;
	char id[BLK_ID_LEN];
	struct iovec iov[VIRTQ_MAX_SEGS];	/* the part of a request that is transferred */
};

static struct virtio_blk *to_blk(struct virtio_dev *dev)
{
	return container_of(dev, struct virtio_blk, dev);
}

static const void *blk_config(struct virtio_dev *dev, size_t *len)
{
	struct virtio_blk *b = to_blk(dev);

	*len = sizeof(b->config);
	return &b->config;
}

/* [sector, sector + bytes) is on the disk. */
static bool blk_in_range(const struct virtio_blk *b, u64 sector, u64 bytes)
{
	return sector <= b->size / SECTOR && bytes <= b->size - sector * SECTOR;
}

/* Moves len bytes between the chain (from iov_off on) and the file. false: not all of it. */
static bool blk_transfer(struct virtio_blk *b, const struct iovec *iov, unsigned int cnt,
			 u64 iov_off, u64 pos, u64 len, bool write)
{
	while (len) {
		u64 part = min(len, BLK_CHUNK);
		unsigned int n = iov_slice(b->iov, iov, cnt, iov_off, part);
		ssize_t r = write ? pwritev(b->fd, b->iov, n, pos) : preadv(b->fd, b->iov, n, pos);

		if (r < 0 && errno == EINTR)
			continue;
		/* 0: the file became shorter than the disk (read), or the device is full. */
		if (r <= 0 || virtio_stopping(&b->dev))
			return false;
		iov_off += r;
		pos += r;
		len -= r;
	}
	return true;
}

static bool blk_sync(struct virtio_blk *b)
{
	return fdatasync(b->fd) == 0;
}

static u8 blk_read(struct virtio_blk *b, u64 sector, u64 len)
{
	struct virtq_chain *c = &b->dev.chain;

	if (len % SECTOR || !blk_in_range(b, sector, len))
		return S_IOERR;
	return blk_transfer(b, c->iov + c->nr_out, c->nr_in, 0, sector * SECTOR, len, false) ?
	       S_OK : S_IOERR;
}

static u8 blk_write(struct virtio_blk *b, u64 sector, u64 len)
{
	struct virtq_chain *c = &b->dev.chain;

	if (b->ro || len % SECTOR || !blk_in_range(b, sector, len))
		return S_IOERR;
	if (!blk_transfer(b, c->iov, c->nr_out, sizeof(struct blk_header), sector * SECTOR, len,
			  true))
		return S_IOERR;
	/* 5.2.6.2: without the flush command every write is on the disk when it is done. */
	if (!virtio_has(&b->dev, VIRTIO_BLK_F_FLUSH) && !blk_sync(b))
		return S_IOERR;
	return S_OK;
}

/* Zeroes that the file system could not make by itself. */
static bool blk_write_zeroes_slowly(struct virtio_blk *b, u64 pos, u64 len)
{
	static const u8 zeroes[65536];

	while (len) {
		ssize_t r = pwrite(b->fd, zeroes, min(len, (u64)sizeof(zeroes)), pos);

		if (r < 0 && errno == EINTR)
			continue;
		if (r <= 0 || virtio_stopping(&b->dev))
			return false;
		pos += r;
		len -= r;
	}
	return true;
}

static u8 blk_one_range(struct virtio_blk *b, u32 type, const struct blk_range *r)
{
	u64 pos = r->sector * SECTOR, len = r->nr_sectors * SECTOR;
	int mode = FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE;

	/* 5.2.6.2: unknown flags, and unmap for a discard, are not supported. */
	if (r->flags & ~(type == T_WRITE_ZEROES ? WRITE_ZEROES_UNMAP : 0))
		return S_UNSUPP;
	if (!blk_in_range(b, r->sector, len))
		return S_IOERR;
	if (!len)
		return S_OK;
	if (type == T_DISCARD || (r->flags & WRITE_ZEROES_UNMAP))
		mode = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;
	if (!fallocate(b->fd, mode, pos, len))
		return S_OK;
	/* A discard is a hint: where the file system takes none, the data may stay. */
	if (type == T_DISCARD)
		return errno == EOPNOTSUPP || errno == ENODEV ? S_OK : S_IOERR;
	if (errno != EOPNOTSUPP && errno != EINVAL && errno != ENODEV)
		return S_IOERR;
	return blk_write_zeroes_slowly(b, pos, len) ? S_OK : S_IOERR;
}

static u8 blk_ranges(struct virtio_blk *b, u32 type)
{
	struct virtq_chain *c = &b->dev.chain;
	u64 len = c->out_len - sizeof(struct blk_header), i;
	struct blk_range r;
	u8 status = S_OK;

	if (b->ro || !len || len % sizeof(r) || len / sizeof(r) > BLK_MAX_RANGES)
		return S_IOERR;
	for (i = 0; i < len / sizeof(r) && status == S_OK; i++) {
		iov_read(c->iov, c->nr_out, sizeof(struct blk_header) + i * sizeof(r), &r,
			 sizeof(r));
		status = blk_one_range(b, type, &r);
	}
	if (status == S_OK && type == T_WRITE_ZEROES &&
	    !virtio_has(&b->dev, VIRTIO_BLK_F_FLUSH) && !blk_sync(b))
		status = S_IOERR;
	return status;
}

/* Does dev->chain; returns how many bytes were written into it. */
static u32 blk_request(struct virtio_blk *b)
{
	struct virtq_chain *c = &b->dev.chain;
	u64 in_len = c->in_len - 1, out_len = c->out_len - sizeof(struct blk_header), done = 0;
	struct blk_header h;
	u8 status;

	iov_read(c->iov, c->nr_out, 0, &h, sizeof(h));
	switch (h.type) {
	case T_IN:
		status = blk_read(b, h.sector, in_len);
		done = status == S_OK ? in_len : 0;
		break;
	case T_OUT:
		status = blk_write(b, h.sector, out_len);
		break;
	case T_FLUSH:
		status = blk_sync(b) ? S_OK : S_IOERR;
		break;
	case T_GET_ID:
		done = iov_write(c->iov + c->nr_out, c->nr_in, 0, b->id,
				 min(in_len, (u64)BLK_ID_LEN));
		status = S_OK;
		break;
	case T_DISCARD:
	case T_WRITE_ZEROES:
		status = blk_ranges(b, h.type);
		break;
	default:
		status = S_UNSUPP;
	}
	/* The status is the last byte of the writable part. */
	iov_write(c->iov + c->nr_out, c->nr_in, in_len, &status, 1);
	return done + 1;
}

static void blk_kick(struct virtio_dev *dev, unsigned int queue)
{
	struct virtio_blk *b = to_blk(dev);
	struct virtq_chain *c = &dev->chain;
	struct virtq *q = &dev->queue[queue];

	do {
		virtq_kicks_off(q);
		while (virtio_pop(dev, queue)) {
			/* 5.2.6.4: a header to read and a status byte to write there must be. */
			if (c->out_len < sizeof(struct blk_header) || !c->in_len ||
			    c->in_len > 0xffffffffull) {
				virtio_break(dev);
				return;
			}
			virtio_push(dev, queue, blk_request(b));
			virtio_signal(dev, queue);
		}
		if (!virtio_queue_ready(dev, queue))
			return;
	} while (virtq_kicks_on(q));
}

static const struct virtio_ops blk_ops = {
	.name = "virtio-blk",
	.id = VIRTIO_ID_BLOCK,
	.class_code = 0x018000,
	.nr_queues = 1,
	.config = blk_config,
	.kick = blk_kick,
};

/* --- opening the disk ------------------------------------------------------------------- */

static int blk_lock(struct virtio_blk *b, const char *name)
{
	struct flock l = { .l_type = b->ro ? F_RDLCK : F_WRLCK, .l_whence = SEEK_SET };

	if (!fcntl(b->fd, F_OFD_SETLK, &l))
		return 0;
	if (errno == EAGAIN || errno == EACCES)
		return vmm_report(-EBUSY, "the disk '%s' is in use by another program (or named twice); "
				  "stop that one%s", name,
				  b->ro ? "" : ", or let both of them read only (',ro')");
	return vmm_report(-errno, "cannot lock the disk '%s': %s; put it on a file system that "
			  "has locks", name, strerror(errno));
}

static int blk_size(struct virtio_blk *b, const char *name)
{
	struct stat st;
	u64 bytes;

	if (fstat(b->fd, &st))
		return vmm_report(-errno, "cannot read the disk '%s': %s", name, strerror(errno));
	if (S_ISREG(st.st_mode))
		bytes = st.st_size;
	else if (!S_ISBLK(st.st_mode) || ioctl(b->fd, BLKGETSIZE64, &bytes))
		return vmm_report(-EINVAL, "the disk '%s' is neither a file nor a block device; name "
				  "one of these", name);
	if (!bytes || bytes % SECTOR)
		return vmm_report(-EINVAL, "the disk '%s' has %llu bytes, which is no multiple of 512; "
				  "'truncate -s %%4096' rounds it up", name, (unsigned long long)bytes);
	b->size = bytes;
	return 0;
}

static int blk_open(struct virtio_blk *b, const char *spec)
{
	size_t len = strlen(spec);
	char name[4096];
	int err;

	if (len > 3 && !strcmp(spec + len - 3, ",ro")) {
		b->ro = true;
		len -= 3;
	}
	if (len >= sizeof(name))
		return vmm_report(-ENAMETOOLONG, "the disk's name is too long");
	memcpy(name, spec, len);
	name[len] = '\0';
	b->fd = open(name, (b->ro ? O_RDONLY : O_RDWR) | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	if (b->fd < 0)
		return vmm_report(-errno, "cannot open the disk '%s': %s; name a raw image or block "
				  "device%s", name, strerror(errno),
				  b->ro ? "" : " that can be written, or add ',ro'");
	err = blk_size(b, name);
	if (!err)
		err = blk_lock(b, name);
	if (err) {
		close(b->fd);
		return err;
	}
	/* The serial number is the end of the name, which is what tells disks apart. */
	len = strlen(name);
	memcpy(b->id, name + (len > BLK_ID_LEN ? len - BLK_ID_LEN : 0),
	       min(len, (size_t)BLK_ID_LEN));
	return 0;
}

static void blk_destroy(struct device *d)
{
	struct virtio_blk *b = container_of(d, struct virtio_blk, device);

	virtio_destroy(&b->dev);
	close(b->fd);
	free(b);
}

struct device *virtio_blk_create(const struct virtio_env *env, const char *spec)
{
	struct virtio_blk *b = calloc(1, sizeof(*b));
	u64 features = VIRTIO_BLK_F_SIZE_MAX | VIRTIO_BLK_F_SEG_MAX | VIRTIO_BLK_F_BLK_SIZE |
		       VIRTIO_BLK_F_FLUSH;
	int err;

	if (!b) {
		vmm_report(-ENOMEM, "no memory for a disk");
		return NULL;
	}
	if (blk_open(b, spec))
		goto free;
	features |= b->ro ? VIRTIO_BLK_F_RO : VIRTIO_BLK_F_DISCARD | VIRTIO_BLK_F_WRITE_ZEROES;
	b->config = (struct blk_config){
		.capacity = b->size / SECTOR, .size_max = BLK_SIZE_MAX, .seg_max = BLK_SEG_MAX,
		.blk_size = SECTOR, .num_queues = 1,
		.max_discard_sectors = 0x400000, .max_discard_seg = BLK_MAX_RANGES,
		.discard_sector_alignment = 8,
		.max_write_zeroes_sectors = 0x400000, .max_write_zeroes_seg = BLK_MAX_RANGES,
		.write_zeroes_may_unmap = 1,
	};
	err = virtio_init(&b->dev, &blk_ops, features, env->mem, env->host, env->ioeventfd,
			  env->opaque);
	if (err) {
		vmm_report(err, "no room for the disk '%s': %s; fewer disks are possible", spec,
			   strerror(-err));
		goto close;
	}
	err = virtio_start_worker(&b->dev);
	b->device = (struct device){ .name = "virtio-blk", .virtio = &b->dev, .destroy = blk_destroy };
	/* Once it is on the bus the device stays there until the machine goes. */
	if (err)
		vmm_report(err, "cannot start the disk's thread: %s", strerror(-err));
	return &b->device;
close:
	close(b->fd);
free:
	free(b);
	return NULL;
}
