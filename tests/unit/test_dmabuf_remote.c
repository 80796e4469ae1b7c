/* SPDX-License-Identifier: MIT */
/*
 * Buffers imported by other processes: attach, map, fences both ways, revoke, and either side
 * that stops, dies, or talks nonsense. The other process is this program again, told over a
 * socket what to do; REMOTE_ROUNDS sets the length of the last test.
 */
#include "unit.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/rcu.h"
#include "base/timer.h"
#include "dmabuf/importer.h"
#include "dmabuf/mem.h"
#include "dmabuf/remote.h"
#include "softvirt/softvirt.h"
#include "softvirt/sync-file.h"
#include "softvirt/uapi/sync.h"

#define SIZE 16384
#define SECOND 1000000000ull

static const char *fname(struct dma_fence *f) { return "remote-test"; }
static const struct dma_fence_ops fence_ops = { .get_driver_name = fname, .get_timeline_name = fname };

static struct dma_fence *fence_new(void)
{
	struct dma_fence *f = malloc(sizeof(*f));

	dma_fence_init(f, &fence_ops, NULL, dma_fence_context_alloc(1), 1);
	return f;
}

static struct dma_fence *file_fence(struct dma_buf *b, enum dma_resv_usage usage)
{
	struct dma_fence *f = fence_new();

	dma_resv_lock(b->resv, NULL);
	if (dma_resv_reserve_fences(b->resv, 1))
		abort();
	dma_resv_add_fence(b->resv, f, usage);
	dma_resv_unlock(b->resv);
	return f;
}

/* What one process tells the other: a command, a number, perhaps a descriptor. */
struct cmd {
	char what;
	int arg;
};

static void send_cmd(int sock, char what, int arg, int fd)
{
	struct cmd cmd = { what, arg };
	union {
		char buf[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} control = { { 0 } };
	struct iovec iov = { &cmd, sizeof(cmd) };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };

	if (fd >= 0) {
		struct cmsghdr *c;

		msg.msg_control = control.buf;
		msg.msg_controllen = sizeof(control.buf);
		c = CMSG_FIRSTHDR(&msg);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(c), &fd, sizeof(int));
	}
	if (sendmsg(sock, &msg, MSG_NOSIGNAL) != sizeof(cmd) && what != 'K')
		perror("sendmsg");
}

static bool recv_cmd(int sock, struct cmd *cmd, int *fd)
{
	union {
		char buf[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} control;
	struct iovec iov = { cmd, sizeof(*cmd) };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control.buf,
			      .msg_controllen = sizeof(control.buf) };
	struct cmsghdr *c;

	*fd = -1;
	if (recvmsg(sock, &msg, MSG_CMSG_CLOEXEC) != sizeof(*cmd))
		return false;
	c = CMSG_FIRSTHDR(&msg);
	if (c && c->cmsg_type == SCM_RIGHTS)
		memcpy(fd, CMSG_DATA(c), sizeof(int));
	return true;
}

/* The other process. */
static struct {
	struct dma_buf *b;
	int fd;
	struct dma_importer *imp;
	struct dma_fence *fence, *queued;
	int sync;
} me = { .fd = -1, .sync = -1 };

static int copy_all(enum dma_importer_dir dir, bool wait)
{
	struct dma_fence *f = dma_importer_copy(me.imp, dir, 0, 0, SIZE);
	int err;

	if (IS_ERR(f))
		return (int)PTR_ERR(f);
	if (!wait) {
		me.queued = f;
		return 0;
	}
	dma_fence_wait(f, false);
	err = f->error;
	dma_fence_put(f);
	return err;
}

static int export_sync(int flags)
{
	struct dma_buf_export_sync_file arg = { .flags = (u32)flags, .fd = -1 };

	return softvirt_ioctl(me.fd, DMA_BUF_IOCTL_EXPORT_SYNC_FILE, &arg) ? -errno : arg.fd;
}

static int import_sync(void)
{
	struct dma_buf_import_sync_file arg = { .flags = DMA_BUF_SYNC_WRITE };
	int err;

	me.fence = fence_new();
	arg.fd = sync_file_fd(me.fence, NULL);
	err = softvirt_ioctl(me.fd, DMA_BUF_IOCTL_IMPORT_SYNC_FILE, &arg) ? -errno : 0;
	softvirt_close(arg.fd);
	return err;
}

static int readable(int fd, int ms)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	return softvirt_poll(&p, 1, ms) == 1 && p.revents == POLLIN;
}

/* For the last test: copies for ever, as fast as it goes. */
static void work_for_ever(int kind)
{
	me.imp = dma_importer_create(me.b, (enum dma_importer_kind)kind, "worker", SIZE);
	for (;;) {
		if (IS_ERR(me.imp))
			me.imp = dma_importer_create(me.b, (enum dma_importer_kind)kind, "worker", SIZE);
		else if (copy_all(DMA_IMPORTER_READ, true) == -ENODEV)
			(void)dma_importer_remap(me.imp);
		usleep(200);
	}
}

static int export_one(int sock)
{
	me.b = dma_mem_export("other", SIZE, O_RDWR);
	me.fd = dma_buf_fd(me.b, O_CLOEXEC);
	memset(dma_mem_vaddr(me.b), 0x77, SIZE);
	send_cmd(sock, 'B', 0, me.fd);
	return 0;
}

static int child_do(int sock, struct cmd *cmd, int fd)
{
	switch (cmd->what) {
	case 'b':
		me.fd = fd;
		me.b = dma_buf_get(fd);
		return PTR_ERR_OR_ZERO(me.b);
	case 'E':
		return export_one(sock);
	case 'i':
		me.imp = dma_importer_create(me.b, (enum dma_importer_kind)cmd->arg, "cam", SIZE);
		return PTR_ERR_OR_ZERO(me.imp);
	case 'r':
		return copy_all(DMA_IMPORTER_READ, true);
	case 'w':
		memset(dma_importer_mem(me.imp), cmd->arg, SIZE);
		return copy_all(DMA_IMPORTER_WRITE, true);
	case 'q':
		dma_importer_stall(me.imp, true);
		return copy_all(DMA_IMPORTER_WRITE, false);
	case 'u':
		dma_importer_stall(me.imp, false);
		return 0;
	case 'M':
		return ((unsigned char *)dma_importer_mem(me.imp))[cmd->arg];
	case 'm':
		return dma_importer_is_mapped(me.imp);
	case 'R':
		return dma_importer_remap(me.imp);
	case 'D':
		dma_importer_destroy(me.imp);
		return 0;
	case 's':
		me.sync = export_sync(cmd->arg);
		return me.sync < 0 ? me.sync : 0;
	case 'p':
		return readable(me.sync, cmd->arg);
	case 'P':
		return readable(me.fd, cmd->arg);
	case 'f':
		return import_sync();
	case 'F':
		me.fence = file_fence(me.b, DMA_RESV_USAGE_BOOKKEEP);
		return 0;
	case 'g':
		dma_fence_set_error(me.fence, -EIO);
		dma_fence_signal(me.fence);
		dma_fence_put(me.fence);
		return 0;
	case 'x':
		dma_buf_put(me.b);
		softvirt_close(me.fd);
		return 0;
	case 'W':
		work_for_ever(cmd->arg);
		return 0;
	default:
		return -ENOSYS;
	}
}

static int child_main(int sock)
{
	struct cmd cmd;
	int fd;

	while (recv_cmd(sock, &cmd, &fd)) {
		int ret = child_do(sock, &cmd, fd);

		send_cmd(sock, 'a', ret, -1);
	}
	return 0;
}

/* The process under test, mostly the exporter. */
struct peer {
	pid_t pid;
	int sock;
};

static struct peer spawn(void)
{
	struct peer p;
	char number[16];
	int sv[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sv), 0);
	snprintf(number, sizeof(number), "%d", sv[1]);
	p.sock = sv[0];
	p.pid = vfork();
	if (!p.pid) {
		fcntl(sv[1], F_SETFD, 0);
		execl("/proc/self/exe", "test_dmabuf_remote", "child", number, (char *)NULL);
		_exit(127);
	}
	close(sv[1]);
	return p;
}

static int ask_fd(struct peer *p, char what, int arg, int fd)
{
	struct cmd cmd;
	int none;

	send_cmd(p->sock, what, arg, fd);
	assert_true(recv_cmd(p->sock, &cmd, &none));
	assert_int_equal(cmd.what, 'a');
	return cmd.arg;
}

static int ask(struct peer *p, char what, int arg)
{
	return ask_fd(p, what, arg, -1);
}

static void finish(struct peer *p, int sig)
{
	int status;

	if (sig)
		kill(p->pid, sig);
	close(p->sock);
	assert_int_equal(waitpid(p->pid, &status, 0), p->pid);
	assert_true(sig ? WIFSIGNALED(status) : status == 0);
}

static struct dma_buf *b;
static int fd;
static unsigned char *mem;

static int setup(void **state)
{
	b = dma_mem_export("test", SIZE, O_RDWR);
	fd = dma_buf_fd(b, O_CLOEXEC);
	mem = dma_mem_vaddr(b);
	return 0;
}

static int teardown(void **state)
{
	softvirt_close(fd);
	dma_buf_put(b);
	rcu_barrier();
	return 0;
}

static u64 in(u64 ns)
{
	return sv_now_ns() + ns;
}

/* A count of the buffer's, which its lock guards. */
static u32 count(struct dma_buf *d, const u32 *n)
{
	u32 v;

	dma_resv_lock(d->resv, NULL);
	v = *n;
	dma_resv_unlock(d->resv);
	return v;
}

/* Becomes true soon, or the test fails. */
#define EVENTUALLY(cond) do { \
	u64 _end = in(20 * SECOND); \
	while (!(cond) && sv_now_ns() < _end) \
		usleep(500); \
	assert_true(cond); \
} while (0)

static void test_bytes_move(void **state)
{
	struct peer p = spawn();
	struct dma_buf_late late[2];

	memset(mem, 0x21, SIZE);
	assert_int_equal(ask_fd(&p, 'b', 0, fd), 0);
	assert_int_equal(ask(&p, 'i', DMA_IMPORTER_DYNAMIC), 0);
	assert_int_equal(count(b, &b->nr_attached), 1);
	assert_int_equal(ask(&p, 'r', 0), 0);
	assert_int_equal(ask(&p, 'M', SIZE - 1), 0x21);
	assert_int_equal(count(b, &b->nr_mapped), 1);
	assert_int_equal(ask(&p, 'w', 0x42), 0);
	assert_int_equal(mem[5], 0x42);
	/* The fence of the copy has signalled over there; here it does soon. */
	EVENTUALLY(dma_buf_late(b, late, 2) == 1);
	assert_non_null(strstr(late[0].name, "cam@"));
	assert_true(late[0].revocable);
	assert_int_equal(ask(&p, 'D', 0), 0);
	EVENTUALLY(count(b, &b->nr_attached) == 0);
	assert_int_equal(ask(&p, 'x', 0), 0);
	finish(&p, 0);
}

static void test_revoke_and_restore(void **state)
{
	for (int kind = DMA_IMPORTER_DYNAMIC; kind <= DMA_IMPORTER_PINNED_REVOCABLE; kind++) {
		struct peer p = spawn();

		assert_int_equal(ask_fd(&p, 'b', 0, fd), 0);
		assert_int_equal(ask(&p, 'i', kind), 0);
		for (int round = 0; round < 3; round++) {
			assert_int_equal(ask(&p, 'w', round + 1), 0);
			assert_int_equal(count(b, &b->nr_mapped), 1);
			assert_int_equal(dma_buf_revoke(b, in(10 * SECOND)), 0);
			assert_int_equal(count(b, &b->nr_mapped), 0);
			assert_int_equal(ask(&p, 'm', 0), 0);
			assert_int_equal(mem[7], round + 1);
			assert_int_equal(ask(&p, 'r', 0), -ENODEV);
			assert_int_equal(ask(&p, 'R', 0), -ENODEV);
			assert_int_equal(ask(&p, 'f', 0), -ENODEV);
			assert_int_equal(ask(&p, 'g', 0), 0);
			assert_int_equal(dma_buf_restore(b), 0);
			/* As if it lived here: dead until it maps anew. */
			if (kind == DMA_IMPORTER_PINNED_REVOCABLE) {
				assert_int_equal(ask(&p, 'r', 0), -ENODEV);
				assert_int_equal(ask(&p, 'R', 0), 0);
			}
			assert_int_equal(ask(&p, 'r', 0), 0);
			assert_int_equal(ask(&p, 'M', 9), round + 1);
		}
		finish(&p, 0);
		EVENTUALLY(count(b, &b->nr_attached) == 0);
	}
}

static void test_work_in_progress_is_waited_for(void **state)
{
	struct peer p = spawn();
	struct dma_buf_late late[4];
	unsigned int n;
	u64 t;

	assert_int_equal(ask_fd(&p, 'b', 0, fd), 0);
	assert_int_equal(ask(&p, 'i', DMA_IMPORTER_DYNAMIC), 0);
	assert_int_equal(ask(&p, 'q', 0), 0);
	EVENTUALLY(!dma_resv_test_signaled(b->resv, DMA_RESV_USAGE_BOOKKEEP));
	t = sv_now_ns();
	assert_int_equal(dma_buf_revoke(b, in(SECOND / 10)), -ETIMEDOUT);
	assert_true(sv_now_ns() - t < 5 * SECOND);
	n = dma_buf_late(b, late, 4);
	assert_int_equal(n, 2);
	assert_int_equal(late[0].kind, DMA_BUF_LATE_MAPPING);
	assert_int_equal(late[1].kind, DMA_BUF_LATE_FENCE);
	assert_string_equal(late[1].name, "softvirt-importer/copy-engine");
	assert_int_equal(ask(&p, 'u', 0), 0);
	assert_int_equal(dma_buf_revoke(b, in(10 * SECOND)), 0);
	finish(&p, 0);
}

static void test_not_revocable(void **state)
{
	struct peer p = spawn();
	struct dma_buf_late late[2];

	assert_int_equal(ask_fd(&p, 'b', 0, fd), 0);
	assert_int_equal(ask(&p, 'i', DMA_IMPORTER_PINNED_LEGACY), 0);
	assert_int_equal(count(b, &b->nr_pinned), 1);
	assert_int_equal(dma_buf_revoke(b, in(SECOND / 10)), -ETIMEDOUT);
	assert_int_equal(dma_buf_late(b, late, 2), 1);
	assert_false(late[0].revocable);
	assert_true(late[0].pinned);
	/* The memory itself is out of its reach all the same. */
	assert_int_equal(ask(&p, 'r', 0), -EFAULT);
	assert_int_equal(ask(&p, 'D', 0), 0);
	assert_int_equal(dma_buf_revoke(b, in(10 * SECOND)), 0);
	finish(&p, 0);
}

static void test_stopped_peer(void **state)
{
	struct peer p = spawn();
	struct dma_buf_late late[2];
	char name[32];
	int status;
	u64 t;

	assert_int_equal(ask_fd(&p, 'b', 0, fd), 0);
	assert_int_equal(ask(&p, 'i', DMA_IMPORTER_DYNAMIC), 0);
	assert_int_equal(ask(&p, 'r', 0), 0);
	EVENTUALLY(dma_resv_test_signaled(b->resv, DMA_RESV_USAGE_BOOKKEEP));
	kill(p.pid, SIGSTOP);
	assert_int_equal(waitpid(p.pid, &status, WUNTRACED), p.pid);
	t = sv_now_ns();
	assert_int_equal(dma_buf_revoke(b, in(SECOND / 5)), -ETIMEDOUT);
	assert_true(sv_now_ns() - t < 5 * SECOND);
	assert_int_equal(dma_buf_late(b, late, 2), 1);
	snprintf(name, sizeof(name), "cam@%d", (int)p.pid);
	assert_string_equal(late[0].name, name);
	kill(p.pid, SIGCONT);
	assert_int_equal(dma_buf_revoke(b, in(10 * SECOND)), 0);
	assert_int_equal(dma_buf_restore(b), 0);
	assert_int_equal(ask(&p, 'r', 0), 0);
	finish(&p, 0);
}

static void test_killed_peer(void **state)
{
	struct peer p = spawn();
	struct dma_fence *f = NULL;

	assert_int_equal(ask_fd(&p, 'b', 0, fd), 0);
	assert_int_equal(ask(&p, 'i', DMA_IMPORTER_PINNED_LEGACY), 0);
	assert_int_equal(ask(&p, 'q', 0), 0);
	EVENTUALLY(!dma_resv_test_signaled(b->resv, DMA_RESV_USAGE_BOOKKEEP));
	assert_int_equal(dma_resv_get_singleton(b->resv, DMA_RESV_USAGE_BOOKKEEP, &f), 0);
	kill(p.pid, SIGKILL);
	/* Nothing but its death ends this. */
	assert_int_equal(dma_buf_revoke(b, in(20 * SECOND)), 0);
	assert_int_equal(f->error, -EOWNERDEAD);
	dma_fence_put(f);
	EVENTUALLY(count(b, &b->nr_attached) == 0);
	assert_int_equal(count(b, &b->nr_pinned), 0);
	finish(&p, SIGKILL);
}

static void test_exporter_dies(void **state)
{
	struct peer p = spawn();
	struct dma_importer *imp;
	struct dma_buf *theirs;
	struct dma_fence *f;
	struct cmd cmd;
	int got, late_fd;
	char *map;

	send_cmd(p.sock, 'E', 0, -1);
	assert_true(recv_cmd(p.sock, &cmd, &got));
	assert_true(recv_cmd(p.sock, &cmd, &late_fd));
	theirs = dma_buf_get(got);
	assert_false(IS_ERR(theirs));
	assert_int_equal(dma_buf_revoke(theirs, in(SECOND)), -EOPNOTSUPP);
	imp = dma_importer_create(theirs, DMA_IMPORTER_DYNAMIC, "here", SIZE);
	assert_false(IS_ERR(imp));
	f = dma_importer_copy(imp, DMA_IMPORTER_READ, 0, 0, SIZE);
	assert_false(IS_ERR(f));
	dma_fence_wait(f, false);
	dma_fence_put(f);
	assert_int_equal(((char *)dma_importer_mem(imp))[3], 0x77);
	assert_int_equal(ask(&p, 'F', 0), 0);
	EVENTUALLY(!dma_resv_test_signaled(theirs->resv, DMA_RESV_USAGE_BOOKKEEP));
	assert_int_equal(dma_resv_get_singleton(theirs->resv, DMA_RESV_USAGE_BOOKKEEP, &f), 0);
	late_fd = fcntl(got, F_DUPFD_CLOEXEC, 0);
	finish(&p, SIGKILL);
	EVENTUALLY(!dma_importer_is_mapped(imp));
	dma_fence_wait(f, false);
	assert_int_equal(f->error, -EOWNERDEAD);
	dma_fence_put(f);
	assert_int_equal(PTR_ERR(dma_importer_copy(imp, DMA_IMPORTER_READ, 0, 0, SIZE)), -ENODEV);
	map = softvirt_mmap(NULL, SIZE, PROT_READ, MAP_SHARED, got, 0);
	assert_true(map != MAP_FAILED);
	assert_int_equal(map[3], 0x77);
	munmap(map, SIZE);
	dma_importer_destroy(imp);
	dma_buf_put(theirs);
	softvirt_close(got);
	/* Who gets it only now finds a buffer without an owner. */
	theirs = dma_buf_get(late_fd);
	assert_false(IS_ERR(theirs));
	assert_true(dma_buf_is_revoked(theirs));
	dma_buf_put(theirs);
	softvirt_close(late_fd);
}

static void test_fences_both_ways(void **state)
{
	struct peer p = spawn();
	struct dma_fence *f, *theirs = NULL;

	f = file_fence(b, DMA_RESV_USAGE_WRITE);	/* from before */
	assert_int_equal(ask_fd(&p, 'b', 0, fd), 0);
	assert_int_equal(ask(&p, 's', DMA_BUF_SYNC_READ), 0);
	assert_int_equal(ask(&p, 'p', 0), 0);
	assert_int_equal(ask(&p, 'P', 0), 0);
	dma_fence_signal(f);
	dma_fence_put(f);
	assert_int_equal(ask(&p, 'p', 20000), 1);
	assert_int_equal(ask(&p, 'P', 20000), 1);
	f = file_fence(b, DMA_RESV_USAGE_WRITE);	/* from now */
	assert_int_equal(ask(&p, 's', DMA_BUF_SYNC_READ), 0);
	assert_int_equal(ask(&p, 'p', 0), 0);
	/* After the ioctl returned over there it is here. */
	assert_int_equal(ask(&p, 'f', 0), 0);
	dma_fence_signal(f);
	dma_fence_put(f);
	assert_false(dma_resv_test_signaled(b->resv, DMA_RESV_USAGE_WRITE));
	assert_int_equal(dma_resv_get_singleton(b->resv, DMA_RESV_USAGE_WRITE, &theirs), 0);
	assert_string_equal(dma_fence_driver_name(theirs), "remote-test");
	/* The buffer over there may go; its fence, and the sync file of ours, live on. */
	assert_int_equal(ask(&p, 's', DMA_BUF_SYNC_READ), 0);
	assert_int_equal(ask(&p, 'x', 0), 0);
	assert_false(dma_fence_is_signaled(theirs));
	assert_int_equal(ask(&p, 'g', 0), 0);
	dma_fence_wait(theirs, false);
	assert_int_equal(theirs->error, -EIO);
	dma_fence_put(theirs);
	assert_int_equal(ask(&p, 'p', 20000), 1);
	finish(&p, 0);
}

/* A fork finds the buffer to be its parent's. */
static void test_forked_child_imports(void **state)
{
	int sv[2], status;
	pid_t pid;

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, sv), 0);
	memset(mem, 0x33, SIZE);
	pid = fork();
	if (!pid) {
		char go;

		me.b = dma_buf_get(fd);
		if (IS_ERR(me.b) || me.b == b)
			_exit(1);
		me.imp = dma_importer_create(me.b, DMA_IMPORTER_DYNAMIC, "forked", SIZE);
		if (IS_ERR(me.imp))
			_exit(2);
		if (copy_all(DMA_IMPORTER_READ, true) || ((char *)dma_importer_mem(me.imp))[1] != 0x33)
			_exit(3);
		if (write(sv[1], "", 1) != 1 || read(sv[1], &go, 1) != 1)
			_exit(4);
		_exit(dma_importer_is_mapped(me.imp) ? 5 : 0);
	}
	assert_int_equal(read(sv[0], &status, 1), 1);
	assert_int_equal(count(b, &b->nr_mapped), 1);
	assert_int_equal(dma_buf_revoke(b, in(10 * SECOND)), 0);
	assert_int_equal(write(sv[0], "", 1), 1);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	close(sv[0]);
	close(sv[1]);
}

/* An enemy: it has the descriptor, and says what it likes. */
static int enemy_connect(int passed)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int s = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	char byte = REMOTE_HELLO_BYTE;
	union {
		char buf[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} control = { { 0 } };
	struct iovec iov = { &byte, 1 };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control.buf,
			      .msg_controllen = sizeof(control.buf) };
	struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
	int n = snprintf(addr.sun_path + 1, sizeof(addr.sun_path) - 1, "softvirt/dmabuf/%d",
			 (int)getpid());

	assert_int_equal(connect(s, (struct sockaddr *)&addr,
		(socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)n)), 0);
	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(c), &passed, sizeof(int));
	assert_int_equal(sendmsg(s, &msg, MSG_NOSIGNAL), 1);
	return s;
}

static void test_strangers_are_refused(void **state)
{
	struct remote_msg hello;
	int pipe_fd[2], s, other = memfd_create("x", MFD_CLOEXEC);

	assert_int_equal(pipe(pipe_fd), 0);
	for (int i = 0; i < 2; i++) {
		s = enemy_connect(i ? other : pipe_fd[0]);
		assert_int_equal(recv(s, &hello, sizeof(hello), MSG_WAITALL), sizeof(hello));
		assert_int_equal(hello.value, -ENOENT);
		assert_int_equal(recv(s, &hello, 1, 0), 0);
		close(s);
	}
	close(other);
	close(pipe_fd[0]);
	close(pipe_fd[1]);
}

static void test_nonsense(void **state)
{
	u64 rnd = 4711;

	for (int round = 0; round < 60; round++) {
		int s = enemy_connect(fd), n = (int)(unit_rand(&rnd) % 200);

		for (int i = 0; i < n; i++) {
			struct remote_msg m;
			unsigned char *raw = (void *)&m;

			for (size_t k = 0; k < sizeof(m); k++)
				raw[k] = (unsigned char)unit_rand(&rnd);
			if (round % 4) {
				/* Near enough to the truth to get somewhere. */
				m.type = 2 + (u32)(unit_rand(&rnd) % 12);
				m.id = (u32)(unit_rand(&rnd) % 4);
				m.seq = unit_rand(&rnd) % 4;
				m.value = (s64)(unit_rand(&rnd) % 5) - 1;
			}
			if (send(s, &m, sizeof(m) - (unit_rand(&rnd) % 50 == 0), MSG_NOSIGNAL) < 0)
				break;
		}
		if (round % 8 == 0)
			(void)dma_buf_revoke(b, in(SECOND / 20));
		close(s);
	}
	EVENTUALLY(count(b, &b->nr_attached) == 0);
	assert_int_equal(dma_buf_revoke(b, in(10 * SECOND)), 0);
	assert_int_equal(count(b, &b->nr_mapped), 0);
	assert_int_equal(count(b, &b->nr_pinned), 0);
	assert_int_equal(dma_buf_restore(b), 0);
}

/* It maps, and never says another word; nor does it read what it is told. */
static void test_silence(void **state)
{
	struct remote_msg m = { .type = REMOTE_ATTACH, .id = 1, .seq = 1, .value = REMOTE_REVOCABLE,
				.name = "silent\n\033[2J" };
	struct dma_buf_late late[2];
	int s = enemy_connect(fd);
	u64 t;

	assert_int_equal(send(s, &m, sizeof(m), 0), sizeof(m));
	m = (struct remote_msg){ .type = REMOTE_MAP, .id = 1, .seq = 2 };
	assert_int_equal(send(s, &m, sizeof(m), 0), sizeof(m));
	EVENTUALLY(count(b, &b->nr_mapped) == 1);
	for (int i = 0; i < 3; i++) {
		t = sv_now_ns();
		assert_int_equal(dma_buf_revoke(b, in(SECOND / 20)), -ETIMEDOUT);
		assert_true(sv_now_ns() - t < 5 * SECOND);
		assert_int_equal(dma_buf_late(b, late, 2), 1);
		assert_non_null(strstr(late[0].name, "silent"));
	}
	close(s);
	assert_int_equal(dma_buf_revoke(b, in(20 * SECOND)), 0);
	assert_int_equal(dma_buf_restore(b), 0);
	/* More fences than its socket takes: it is dropped, nobody waits for it. */
	s = enemy_connect(fd);
	assert_int_equal(recv(s, &m, sizeof(m), MSG_WAITALL), sizeof(m));
	EVENTUALLY(READ_ONCE(b->resv->watches));
	for (int i = 0; i < 20000; i++) {
		struct dma_fence *f = file_fence(b, DMA_RESV_USAGE_READ);

		dma_fence_signal(f);
		dma_fence_put(f);
	}
	EVENTUALLY(!READ_ONCE(b->resv->watches));
	close(s);
}

/* An exporter that wants only revocable importers, as VFIO does, finds out about each. */
static char picky_memory[SIZE];
static int picky_fd;
static int picky_attach(struct dma_buf *d, struct dma_buf_attachment *a)
{
	return a->peer2peer && dma_buf_attach_revocable(a) ? 0 : -EOPNOTSUPP;
}
static struct sg_table *picky_map(struct dma_buf_attachment *a, enum dma_data_direction dir)
{
	return sg_table_create(picky_memory, SIZE);
}
static void picky_unmap(struct dma_buf_attachment *a, struct sg_table *t, enum dma_data_direction dir)
{
	sg_table_destroy(t);
}
static void picky_release(struct dma_buf *d) { }
static int picky_cpu(struct dma_buf *d) { return 0; }
static int picky_backing(struct dma_buf *d) { return picky_fd; }
static int picky_mmap(struct dma_buf *d, struct vm_area_struct *vma) { return -ENODEV; }
static const struct dma_buf_ops picky_ops = {
	.attach = picky_attach, .map_dma_buf = picky_map, .unmap_dma_buf = picky_unmap,
	.release = picky_release, .mmap = picky_mmap, .backing = picky_backing,
	.revoke_cpu = picky_cpu, .restore_cpu = picky_cpu,
};

static void test_exporter_decides(void **state)
{
	DEFINE_DMA_BUF_EXPORT_INFO(info);
	struct peer p = spawn();
	struct dma_buf *picky;
	char name[64];
	int f;

	snprintf(name, sizeof(name), DMA_MEM_NAME "%d", (int)getpid());
	picky_fd = memfd_create(name, MFD_CLOEXEC);
	assert_int_equal(ftruncate(picky_fd, SIZE), 0);
	info.ops = &picky_ops;
	info.size = SIZE;
	info.priv = picky_memory;
	picky = dma_buf_export(&info);
	assert_false(IS_ERR(picky));
	f = dma_buf_fd(picky, O_CLOEXEC);
	assert_int_equal(ask_fd(&p, 'b', 0, f), 0);
	assert_int_equal(ask(&p, 'i', DMA_IMPORTER_PINNED_LEGACY), -EOPNOTSUPP);
	assert_int_equal(ask(&p, 'i', DMA_IMPORTER_STATIC), -EOPNOTSUPP);
	assert_int_equal(ask(&p, 'i', DMA_IMPORTER_PINNED_REVOCABLE), 0);
	assert_int_equal(ask(&p, 'D', 0), 0);
	finish(&p, 0);
	EVENTUALLY(count(picky, &picky->nr_attached) == 0);
	softvirt_close(f);
	EVENTUALLY(kref_read(&picky->refcount) == 1);
	dma_buf_put(picky);
	close(picky_fd);
}

/* Processes at work, killed at any moment, and revokes that must end in time. */
static void test_random_kills(void **state)
{
	const char *env = getenv("REMOTE_ROUNDS");
	int rounds = env ? atoi(env) : 25, kills = 0, met = 0;
	struct peer p[3];
	u64 rnd = (u64)getpid(), longest = 0;

	for (int i = 0; i < 3; i++) {
		p[i] = spawn();
		assert_int_equal(ask_fd(&p[i], 'b', 0, fd), 0);
		send_cmd(p[i].sock, 'W', i % 2, -1);
	}
	for (int round = 0; round < rounds; round++) {
		int who = (int)(unit_rand(&rnd) % 3);
		u64 t;

		usleep((useconds_t)(unit_rand(&rnd) % 20000));
		if (unit_rand(&rnd) % 2) {
			kill(p[who].pid, SIGKILL);
			kills++;
		} else {
			who = -1;
		}
		usleep((useconds_t)(unit_rand(&rnd) % 1000));
		met += count(b, &b->nr_mapped) > 0;
		t = sv_now_ns();
		assert_int_equal(dma_buf_revoke(b, in(30 * SECOND)), 0);
		longest = max(longest, sv_now_ns() - t);
		assert_int_equal(count(b, &b->nr_mapped), 0);
		memset(mem, round, SIZE);
		assert_int_equal(dma_buf_restore(b), 0);
		if (who >= 0) {
			finish(&p[who], SIGKILL);
			p[who] = spawn();
			assert_int_equal(ask_fd(&p[who], 'b', 0, fd), 0);
			send_cmd(p[who].sock, 'W', who % 2, -1);
		}
	}
	for (int i = 0; i < 3; i++)
		finish(&p[i], SIGKILL);
	printf("# %d revokes, %d of a mapped buffer, %d kills, the longest revoke took %llu us\n",
	       rounds, met, kills, (unsigned long long)(longest / 1000));
	assert_true(met > 0);
	EVENTUALLY(count(b, &b->nr_attached) == 0);
}

int main(int argc, char **argv)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(test_bytes_move), T(test_revoke_and_restore),
		T(test_work_in_progress_is_waited_for), T(test_not_revocable), T(test_stopped_peer),
		T(test_killed_peer), T(test_exporter_dies), T(test_fences_both_ways),
		T(test_forked_child_imports), T(test_strangers_are_refused), T(test_nonsense),
		T(test_silence), T(test_exporter_decides), T(test_random_kills),
	};

	if (argc > 2 && !strcmp(argv[1], "child"))
		return child_main(atoi(argv[2]));
	if (argc > 1)
		cmocka_set_test_filter(argv[1]);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
