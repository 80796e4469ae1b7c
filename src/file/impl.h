/* SPDX-License-Identifier: MIT */
/*
 * What the files of this folder share.
 */
#ifndef SV_FILE_IMPL_H
#define SV_FILE_IMPL_H

#include "base/list.h"
#include "base/refcount.h"
#include "file/file.h"

struct sv_file {
	refcount_t refs;
	u32 mm;			/* the address space it was made in */
	u64 id;			/* no other file of that process ever has it */
	const struct sv_file_ops *ops;
	void *priv;
	int fd;			/* the backing, until install publishes it; then -1 */
	int own_fd;		/* SV_BACKING_KEEP, else -1 */
	u8 backing;		/* enum sv_backing without flags */
	bool keep, marked;
	dev_t dev;		/* a memfd's identity */
	ino_t ino;
	u64 pos;		/* of read and write; atomic */
	dev_t rdev;		/* sv_file_set_rdev; atomic */
	struct list_head link;	/* in all_files while in use */
	struct sv_file *next_free;
};

/* The name of this address space: another one in a child. */
u32 sv_mm_id(void);
/* This process's file with this id, with a reference; NULL. */
struct sv_file *sv_file_find(u64 id);

/* forked.c. Before a file that children may call is shown: 0, -ENOMEM. */
int sv_forked_init(void);
/* An ioctl on a file of the process that this one was forked from. */
long sv_forked_ioctl(struct sv_file *f, unsigned int cmd, unsigned long value);

/* mem.c: around a mapping that may replace others. 1: sv_mem_after(ev) must follow; 0; -errno. */
struct sv_mem_event;
int sv_mem_replace_begin(struct sv_mem_event *ev, const void *addr, size_t len, int flags);

#endif
