/* SPDX-License-Identifier: MIT */
/*
 * Objects behind real file descriptors, and the ioctl dispatcher. docs/file.md says more
 * about descriptors that are copied or closed behind the library's back, and about fork.
 *
 * Model: a struct sv_file is to us what struct file is to the kernel: one open
 * description. It is backed by a real memfd or eventfd, so that poll, epoll, dup,
 * fork and SCM_RIGHTS behave; the descriptor table maps numbers to sv_files and holds
 * one reference for each number. An operation in flight (an ioctl, a mapping) holds
 * another. ops->release runs once, after the last of them, in whichever thread put it,
 * and cannot fail.
 *
 * Look-up takes no lock: struct sv_file memory is only ever reused for sv_files, so a
 * reader takes a reference and then checks that the number still leads there. Install and
 * close take the table's mutex. release, mmap and ioctl are called without it.
 *
 * After fork() the child has copies of the table and of the objects, and none of their
 * threads: an object is never released there, and what is bound to its memory answers EIO.
 */
#ifndef SV_FILE_FILE_H
#define SV_FILE_FILE_H

#include <sys/types.h>

#include "base/types.h"

struct sv_file;

/* How one ioctl's argument is read. */
enum sv_ioctl_kind {
	/* The argument is a plain integer (c->value), or there is none. */
	SV_IOCTL_VALUE,
	/*
	 * The command number matches exactly, its size field is the struct's size.
	 * A _IOR struct is not copied in, a _IOW struct is not copied out.
	 */
	SV_IOCTL_EXACT,
	/*
	 * Matched by type and number alone (dma_heap): the size field of the caller's
	 * command may be shorter (missing bytes are zero) or longer than ours.
	 */
	SV_IOCTL_BY_NUMBER,
	/*
	 * The struct's first u32 is its size (iommufd): below min_size -EINVAL, a
	 * non-zero tail beyond ours -E2BIG, missing bytes are zero.
	 */
	SV_IOCTL_SIZED,
};

/* What a handler sees. buf is our snapshot, never the caller's memory. */
struct sv_ioctl_ctx {
	unsigned int cmd;
	unsigned long value;	/* the third argument as it came */
	void *buf;		/* SV_IOCTL_VALUE: NULL */
	size_t size;		/* of buf */
	size_t user_size;	/* what the caller said */
	bool copy_out;		/* set to copy out even though the handler failed (E2BIG with a count) */
	bool no_copy_out;	/* set by a handler that has nothing to say, or has said it */
};

/* Returns >= 0, the ioctl's result, or -errno. */
typedef long (*sv_ioctl_fn)(struct sv_file *f, struct sv_ioctl_ctx *c);

struct sv_ioctl {
	unsigned int cmd;
	u8 kind;		/* enum sv_ioctl_kind */
	u16 size;		/* SV_IOCTL_SIZED and BY_NUMBER: our struct's size */
	u16 min_size;		/* SV_IOCTL_SIZED */
	const char *name;	/* for traces */
	sv_ioctl_fn fn;
};
#define SV_IOCTL_ENTRY(k, command, handler) \
	{ .cmd = (command), .kind = (k), .size = _IOC_SIZE(command), .name = #command, .fn = (handler) }

struct sv_file_ops {
	const char *name;	/* "kvm-vcpu": shown in lists and traces */
	const struct sv_ioctl *ioctls;
	size_t nr_ioctls;
	/* Asked first; -ENOIOCTLCMD_SV means "not mine, look in the table". May be NULL. */
	long (*ioctl)(struct sv_file *f, unsigned int cmd, unsigned long value);
	/*
	 * NULL: the backing descriptor is mapped as it is. Otherwise the address, or
	 * ERR_PTR(-errno).
	 */
	void *(*mmap)(struct sv_file *f, void *addr, size_t len, int prot, int flags, off_t off);
	/*
	 * read(2), pread(2), write(2), pwrite(2) and their vectors. user is the caller's memory
	 * (guard.h); the result, or -errno. *pos: where; moved on by what was done. stream: from
	 * read(2) and write(2), which go on where the last one ended; else from the p forms. NULL:
	 * the call reaches the backing descriptor.
	 */
	ssize_t (*read)(struct sv_file *f, void *user, size_t len, u64 *pos, bool stream);
	ssize_t (*write)(struct sv_file *f, const void *user, size_t len, u64 *pos, bool stream);
	/* NULL: the backing descriptor's. off >= 0, len > 0. */
	long (*fallocate)(struct sv_file *f, int mode, off_t off, off_t len);
	/* May be NULL. Frees priv; runs once, in the process that created the file. */
	void (*release)(struct sv_file *f);
	/* As kvm's: in a process forked later every ioctl and ops->mmap answer -EIO. */
	bool bound_to_mm;
	/* With it: there ioctls are carried out in the process that made the file (forked.h). */
	bool called_by_children;
	/* In a process forked later the first use opens it again (sv_fd_set_foreign_open). */
	bool reopen_after_fork;
};
#define ENOIOCTLCMD_SV 515
/*
 * An ioctl that a signal has ended says so by -ERESTARTSYS: it is called again, or the
 * program gets EINTR, as its handlers want it.
 */
#define ERESTARTSYS_SV 512

/*
 * Backing for a new file. SV_BACKING_MEMFD with size > 0 makes a sealed memfd
 * (F_SEAL_SHRINK | F_SEAL_GROW) that the object can map; an eventfd has no memory.
 */
enum sv_backing {
	SV_BACKING_EVENTFD,
	SV_BACKING_MEMFD,
	/*
	 * Or-ed in: the file keeps a descriptor of its own (close-on-exec, numbered high),
	 * for objects that signal or map their backing after the program may have closed
	 * its number. It costs one of the process's descriptors.
	 */
	SV_BACKING_KEEP = 0x10,
};

/*
 * Two phases: sv_file_create makes the object and its backing descriptor but shows it
 * to nobody; sv_file_install publishes it and returns the number; sv_file_put before
 * that undoes everything (release is called). priv belongs to the caller; when create
 * fails release is not called.
 */
int sv_file_create(const struct sv_file_ops *ops, void *priv, enum sv_backing backing,
		   size_t size, int o_flags, struct sv_file **out);
/*
 * The same over a descriptor that the caller made, as it is: no seals, no size. On success
 * it belongs to the file, on failure still to the caller.
 */
int sv_file_create_fd(const struct sv_file_ops *ops, void *priv, int fd, struct sv_file **out);
int sv_file_install(struct sv_file *f);		/* the descriptor; cannot fail after create */
struct sv_file *sv_file_get(struct sv_file *f);
/* Made before a fork that this process is the child of: a copy that must not be touched. */
bool sv_file_is_foreign(const struct sv_file *f);
void sv_file_put(struct sv_file *f);

/* NULL when fd is not ours, or when ops is given and differs. Takes a reference. */
struct sv_file *sv_fget(int fd, const struct sv_file_ops *ops);
void *sv_file_priv(const struct sv_file *f);
/*
 * With SV_BACKING_KEEP: the file's own descriptor, always. Without: the number that
 * install will publish, and -1 once it has, because the program may close it.
 */
int sv_file_backing_fd(const struct sv_file *f);
/* The number that install will publish, also with SV_BACKING_KEEP; -1 once it has. */
int sv_file_number(const struct sv_file *f);
const struct sv_file_ops *sv_file_get_ops(const struct sv_file *f);
/*
 * The number of the device node that it was opened by, which fstat tells of; 0: none, and fstat shows
 * the backing.
 */
void sv_file_set_rdev(struct sv_file *f, dev_t rdev);
dev_t sv_file_rdev(const struct sv_file *f);

/* What softvirt_ioctl does once it has the file: result >= 0 or -errno. */
long sv_file_ioctl(struct sv_file *f, unsigned int cmd, unsigned long value);

/*
 * For the calls that stand for system calls (api.c, the preload library).
 * sv_fd_ours: does the table know this number? Two loads; no reference, so only a hint.
 */
#define SV_FD_CHUNK_BITS 12
#define SV_FD_CHUNK (1u << SV_FD_CHUNK_BITS)
struct sv_fd_chunk {
	struct sv_file *files[SV_FD_CHUNK];
};
extern struct sv_fd_chunk *sv_fd_table[(1u << 31) >> SV_FD_CHUNK_BITS];

static inline struct sv_file **sv_fd_slot(int fd)
{
	struct sv_fd_chunk *c;

	if (unlikely(fd < 0))
		return NULL;
	c = __atomic_load_n(&sv_fd_table[(unsigned)fd >> SV_FD_CHUNK_BITS], __ATOMIC_ACQUIRE);
	return c ? &c->files[(unsigned)fd & (SV_FD_CHUNK - 1)] : NULL;
}

static inline bool sv_fd_ours(int fd)
{
	struct sv_file **slot = sv_fd_slot(fd);

	return slot && __atomic_load_n(slot, __ATOMIC_RELAXED);
}

/* The table forgets the number, which the caller is about to close or has replaced. */
void sv_fd_forget(int fd);
/* fd, just made by the kernel as a copy of f's descriptor, serves f too. 0 or -ENOMEM. */
int sv_fd_attach(int fd, struct sv_file *f);
/* Does the descriptor still belong to f? One system call; for paths that aren't hot. */
bool sv_fd_is(int fd, const struct sv_file *f);
/*
 * fd is not in the table; if it is a copy of one of our descriptors that we did not see
 * being made (SCM_RIGHTS, a raw dup), it is from now on. A reference, or NULL.
 */
struct sv_file *sv_fd_adopt(int fd);
/*
 * Who makes a file out of a descriptor that carries our mark and belongs to another process:
 * installed under fd, with a reference for the caller; or NULL.
 */
typedef struct sv_file *(*sv_fd_foreign_fn)(int fd);
void sv_fd_set_foreign_open(sv_fd_foreign_fn open);
/* f, just looked up under fd; in a forked child, where its ops ask for it, the child's own. */
struct sv_file *sv_fd_reopen(int fd, struct sv_file *f);
/*
 * Moves a descriptor of the library's own out of the program's way: close-on-exec, numbered
 * high, spared by close_range. The new number or -errno; fd is closed in any case.
 */
int sv_fd_keep(int fd);
void sv_fd_keep_close(int fd);
/* close_range(2) that knows our numbers and spares the files' own descriptors. */
int sv_fd_close_range(unsigned first, unsigned last, int flags);
/*
 * False in a child of vfork() and the like, which shares our memory and not our
 * descriptors: there the table must stay as it is.
 */
bool sv_fd_table_is_mine(void);

/* Nodes: what softvirt_open() knows by path. */
struct sv_node {
	const char *path;	/* "/dev/kvm-riscv64" */
	int (*open)(const struct sv_node *node, int o_flags);	/* descriptor or -errno */
	/*
	 * Set: this stands for a number of nodes that come and go (path is none of them). The node
	 * with that path, which lives for ever, or NULL.
	 */
	const struct sv_node *(*match)(const char *path);
};
extern const struct sv_node *const sv_nodes[];	/* NULL-terminated, in src/file/nodes.c */
/*
 * NULL when the path is nobody's. "/dev/kvm" is the node of the host's own architecture;
 * doubled slashes and "/./" are seen through.
 */
const struct sv_node *sv_node_find(const char *path);

#endif
