/* SPDX-License-Identifier: MIT */
/*
 * How an importer finds the exporter of a descriptor, and is let in: see docs/remote.md.
 *
 * Model. The memory's memfd is named for the process that made it. That process listens
 * (debug.c) and hands over connections that begin with REMOTE_HELLO_BYTE and a descriptor:
 * having one of a buffer's memory is the right to import it, besides being the same user or
 * root. A process has one proxy for each such memory, however many descriptors it gets.
 *
 * Locks: open_lock (one opens at a time; it waits for another process), then list_lock, a
 * leaf.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/libc.h"
#include "dmabuf/mem.h"
#include "dmabuf/remote.h"
#include "file/file.h"

/* How long an exporter may take to let an importer in. */
#define HELLO_S 5

struct known {
	struct list_head node;
	struct dma_buf *dmabuf;		/* no reference: its release takes it off the list */
	dev_t dev;
	ino_t ino;
};

static struct sv_mutex open_lock = SV_MUTEX_INIT;
static struct sv_mutex list_lock = SV_MUTEX_INIT;
static LIST_HEAD(proxies);		/* list_lock */

/* The buffer that the peer holds a descriptor of: having it is the right to import it. */
static struct dma_buf *buffer_of(int memfd)
{
	struct stat st;

	if (fstat(memfd, &st))
		return NULL;
	return dma_buf_debug_find(st.st_dev, st.st_ino);
}

static void refuse(int sock, int err)
{
	const struct remote_msg msg = { .type = REMOTE_HELLO, .value = err };

	if (send(sock, &msg, sizeof(msg), MSG_NOSIGNAL) < 0) {
		/* Then it has not waited for the answer. */
	}
	sv_libc.close(sock);
}

static int peer_pid(int sock)
{
	struct ucred cred;
	socklen_t len = sizeof(cred);

	return getsockopt(sock, SOL_SOCKET, SO_PEERCRED, &cred, &len) ? 0 : (int)cred.pid;
}

void dma_buf_remote_accept(int sock, int memfd)
{
	struct dma_buf *dmabuf = buffer_of(memfd);
	struct remote_link *link;

	if (!dmabuf) {
		refuse(sock, -ENOENT);
		return;
	}
	link = NULL;
	sock = sv_fd_keep(sock);
	if (sock >= 0)
		link = remote_server_new(dmabuf, peer_pid(sock), sock);
	if (!link) {
		if (sock >= 0)
			sv_fd_keep_close(sock);
		dma_buf_put(dmabuf);
		return;
	}
	if (remote_link_start(link))
		remote_server_drop(link);
	else
		remote_link_put(link);
}

/* Whose the memory is, by the name of its memfd; 0: not one of a heap's. */
static pid_t exporter_of(int fd)
{
	static const char prefix[] = "/memfd:" DMA_MEM_NAME;
	char path[32], name[96];
	ssize_t n;
	long pid;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	n = readlink(path, name, sizeof(name) - 1);
	if (n <= 0)
		return 0;
	name[n] = 0;
	if (strncmp(name, prefix, sizeof(prefix) - 1))
		return 0;
	pid = strtol(name + sizeof(prefix) - 1, NULL, 10);
	return pid > 0 && pid <= INT32_MAX ? (pid_t)pid : 0;
}

static int send_hello(int sock, int memfd)
{
	union {
		char buf[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} control = { { 0 } };
	char byte = REMOTE_HELLO_BYTE;
	struct iovec iov = { .iov_base = &byte, .iov_len = 1 };
	struct msghdr msg = {
		.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control.buf,
		.msg_controllen = sizeof(control.buf),
	};
	struct cmsghdr *c = CMSG_FIRSTHDR(&msg);

	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(c), &memfd, sizeof(int));
	return sendmsg(sock, &msg, MSG_NOSIGNAL) == 1 ? 0 : -errno;
}

/* Is it the owner of the memory who listens there, or root? */
static bool peer_is_owner(int sock, const struct stat *st)
{
	struct ucred cred;
	socklen_t len = sizeof(cred);

	if (getsockopt(sock, SOL_SOCKET, SO_PEERCRED, &cred, &len))
		return false;
	return cred.uid == 0 || cred.uid == st->st_uid;
}

/* A connection that has begun, or -errno: -ESRCH no such process. */
static int connect_to(pid_t pid, int memfd, const struct stat *st, struct remote_msg *hello)
{
	const struct timeval patience = { .tv_sec = HELLO_S };
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int n, err = 0, sock;

	if (SV_FAULT(EMFILE))
		return -errno;
	sock = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (sock < 0)
		return -errno;
	setsockopt(sock, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	setsockopt(sock, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
	n = snprintf(addr.sun_path + 1, sizeof(addr.sun_path) - 1, "softvirt/dmabuf/%d", (int)pid);
	if (connect(sock, (struct sockaddr *)&addr,
		    (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)n)))
		err = kill(pid, 0) && errno == ESRCH ? -ESRCH : -ECONNREFUSED;
	else if (!peer_is_owner(sock, st))
		err = -EPERM;
	else
		err = send_hello(sock, memfd);
	if (!err && recv(sock, hello, sizeof(*hello), MSG_WAITALL) != sizeof(*hello))
		err = -EPIPE;
	if (!err && (hello->type != REMOTE_HELLO || !hello->arg ||
		     !IS_ALIGNED(hello->arg, SV_PAGE_SIZE) || hello->arg > (u64)INT64_MAX))
		err = hello->value < 0 && hello->value >= -MAX_ERRNO ? (int)hello->value : -EPROTO;
	if (!err)
		return sock;
	sv_libc.close(sock);
	return err;
}

/* hello tells the rest; its size has been looked at. 0 or -errno: nothing is left then. */
static int memory_map(struct remote_proxy_info *info, int memfd)
{
	info->memfd = SV_FAULT(EMFILE) ? -1 : sv_libc.fcntl(memfd, F_DUPFD_CLOEXEC, 3);
	if (info->memfd < 0)
		return -errno;
	info->vaddr = SV_FAULT(ENOMEM) ? MAP_FAILED :
		      mmap(NULL, info->size, PROT_READ | PROT_WRITE, MAP_SHARED, info->memfd, 0);
	/* Of a descriptor that is for reading only no device gets more. */
	if (info->vaddr == MAP_FAILED && errno == EACCES)
		info->vaddr = mmap(NULL, info->size, PROT_READ, MAP_SHARED, info->memfd, 0);
	if (info->vaddr != MAP_FAILED)
		return 0;
	sv_libc.close(info->memfd);
	return -ENOMEM;
}

static struct dma_buf *proxy_make(int fd, pid_t pid, const struct remote_msg *hello, int sock)
{
	struct remote_proxy_info info = {
		.exp_name = hello->name, .pid = pid, .flags = (int)hello->id, .size = hello->arg,
	};
	struct dma_buf *dmabuf;
	int err = memory_map(&info, fd);

	if (err)
		return ERR_PTR(err);
	dmabuf = remote_proxy_new(&info, sock);
	if (IS_ERR(dmabuf)) {
		munmap(info.vaddr, info.size);
		sv_libc.close(info.memfd);
	}
	return dmabuf;
}

/* The proxy's buffer, with a reference, or ERR_PTR. open_lock held. */
static struct dma_buf *proxy_open(int fd, pid_t pid, const struct stat *st)
{
	struct remote_msg hello = { .arg = ALIGN_UP((u64)st->st_size, SV_PAGE_SIZE) };
	int err = 0, sock = connect_to(pid, fd, st, &hello);
	struct known *k = sv_zalloc(sizeof(*k));
	struct dma_buf *dmabuf = ERR_PTR(-ENOMEM);
	bool dead = sock == -ESRCH && hello.arg;

	if (sock >= 0)
		sock = sv_fd_keep(sock);
	if (k && (sock >= 0 || dead))
		dmabuf = proxy_make(fd, pid, &hello, dead ? -1 : sock);
	else if (k)
		dmabuf = ERR_PTR(sock);
	if (IS_ERR(dmabuf)) {
		if (sock >= 0)
			sv_fd_keep_close(sock);
		sv_free(k);
		return dmabuf;
	}
	k->dmabuf = dmabuf;
	k->dev = st->st_dev;
	k->ino = st->st_ino;
	sv_mutex_lock(&list_lock);
	list_add_tail(&k->node, &proxies);
	sv_mutex_unlock(&list_lock);
	/* Its owner is dead: nobody gives out mappings any more. */
	if (dead)
		remote_proxy_orphan(dmabuf);
	else
		err = remote_proxy_start(dmabuf);
	if (!err)
		return dmabuf;
	dma_buf_put(dmabuf);
	return ERR_PTR(err);
}

void remote_proxy_forget(struct dma_buf *dmabuf)
{
	struct known *k, *next, *found = NULL;

	sv_mutex_lock(&list_lock);
	list_for_each_entry_safe(k, next, &proxies, node) {
		if (k->dmabuf == dmabuf) {
			list_del(&k->node);
			found = k;
		}
	}
	sv_mutex_unlock(&list_lock);
	sv_free(found);
}

/* With a reference. */
static struct dma_buf *proxy_find(const struct stat *st)
{
	struct dma_buf *dmabuf = NULL;
	struct known *k;

	sv_mutex_lock(&list_lock);
	list_for_each_entry(k, &proxies, node) {
		/* Being freed: it waits for us in remote_proxy_forget. */
		if (k->dev != st->st_dev || k->ino != st->st_ino ||
		    !kref_get_unless_zero(&k->dmabuf->refcount))
			continue;
		dmabuf = k->dmabuf;
		break;
	}
	sv_mutex_unlock(&list_lock);
	return dmabuf;
}

/* fd carries our mark and is nobody's here. */
static struct sv_file *remote_open(int fd)
{
	struct dma_buf *dmabuf, *drop = NULL;
	struct sv_file *f = NULL;
	struct stat st;
	pid_t pid;

	pid = exporter_of(fd);
	if (!pid || pid == getpid() || fstat(fd, &st))
		return NULL;
	sv_mutex_lock(&open_lock);
	dmabuf = proxy_find(&st);
	if (!dmabuf)
		dmabuf = proxy_open(fd, pid, &st);
	if (!IS_ERR(dmabuf)) {
		drop = dmabuf;
		if (dma_buf_file_create(dmabuf, fd, &f))
			f = NULL;
	}
	sv_mutex_unlock(&open_lock);
	if (f) {
		sv_file_get(f);
		sv_file_install(f);
	}
	if (drop)
		dma_buf_put(drop);
	return f;
}

static void fork_prepare(void)
{
	/* Not open_lock: who holds it may wait for another process. It guards no data. */
	sv_mutex_lock(&list_lock);
}

static void fork_parent(void)
{
	sv_mutex_unlock(&list_lock);
}

/* The parent's proxies are the parent's. */
static void fork_child(void)
{
	sv_mutex_init(&open_lock);
	INIT_LIST_HEAD(&proxies);
	sv_mutex_unlock(&list_lock);
}

static void __attribute__((constructor(103))) client_init(void)
{
	(void)pthread_atfork(fork_prepare, fork_parent, fork_child);
	sv_fd_set_foreign_open(remote_open);
}
