/* SPDX-License-Identifier: MIT */
/*
 * poll, select and epoll on buffers and sync files: which event waits for which fences, level
 * and edge, one-shot, several numbers, closing, nested sets, races of signal and filing.
 */
#include "unit.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "base/alloc.h"
#include "base/rcu.h"
#include "base/sync.h"
#include "dmabuf/mem.h"
#include "dmabuf/watch.h"
#include "softvirt/softvirt.h"
#include "softvirt/sync-file.h"

static struct dma_buf *b;
static int fd, ep;

static const char *name(struct dma_fence *f) { return "poll"; }
static const struct dma_fence_ops fence_ops = { .get_driver_name = name, .get_timeline_name = name };

static struct dma_fence *file_fence(enum dma_resv_usage usage)
{
	struct dma_fence *f = malloc(sizeof(*f));

	dma_fence_init(f, &fence_ops, NULL, dma_fence_context_alloc(1), 1);
	dma_resv_lock(b->resv, NULL);
	assert_int_equal(dma_resv_reserve_fences(b->resv, 1), 0);
	dma_resv_add_fence(b->resv, f, usage);
	dma_resv_unlock(b->resv);
	return f;
}

static void signal_put(struct dma_fence *f)
{
	dma_fence_signal(f);
	dma_fence_put(f);
}

static int setup(void **state)
{
	b = dma_mem_export("poll", 4096, O_RDWR);
	fd = dma_buf_fd(b, O_CLOEXEC);
	ep = epoll_create1(EPOLL_CLOEXEC);
	return IS_ERR(b) || fd < 0 || ep < 0;
}

static int teardown(void **state)
{
	if (fd >= 0)
		softvirt_close(fd);
	close(ep);
	dma_buf_put(b);
	rcu_barrier();
	return 0;
}

static int ctl(int set, int op, int f, u32 events, u64 data)
{
	struct epoll_event ev = { .events = events, .data.u64 = data };

	return softvirt_epoll_ctl(set, op, f, &ev) ? -errno : 0;
}

/* What the set says of its one member right now; 0: nothing. */
static u32 ready(int set, u64 data)
{
	struct epoll_event ev[4];
	int n = epoll_wait(set, ev, 4, 0);

	assert_true(n == 0 || n == 1);
	if (n)
		assert_true(ev[0].data.u64 == data);
	return n ? ev[0].events : 0;
}

static void test_level(void **state)
{
	struct dma_fence *w, *r, *k, *bk;

	assert_int_equal(ctl(ep, EPOLL_CTL_ADD, fd, EPOLLIN | EPOLLOUT, 0x1122334455667788), 0);
	assert_int_equal(ready(ep, 0x1122334455667788), EPOLLIN | EPOLLOUT);
	assert_int_equal(ready(ep, 0x1122334455667788), EPOLLIN | EPOLLOUT);
	r = file_fence(DMA_RESV_USAGE_READ);
	assert_int_equal(ready(ep, 0x1122334455667788), EPOLLIN);
	w = file_fence(DMA_RESV_USAGE_WRITE);
	assert_int_equal(ready(ep, 0), 0);
	signal_put(r);
	assert_int_equal(ready(ep, 0), 0);
	bk = file_fence(DMA_RESV_USAGE_BOOKKEEP);
	signal_put(w);
	assert_int_equal(ready(ep, 0x1122334455667788), EPOLLIN | EPOLLOUT);
	k = file_fence(DMA_RESV_USAGE_KERNEL);
	assert_int_equal(ready(ep, 0), 0);
	signal_put(k);
	assert_int_equal(ready(ep, 0x1122334455667788), EPOLLIN | EPOLLOUT);
	signal_put(bk);
}

static void test_edge_and_oneshot(void **state)
{
	struct dma_fence *f = file_fence(DMA_RESV_USAGE_WRITE);

	assert_int_equal(ctl(ep, EPOLL_CTL_ADD, fd, EPOLLIN | EPOLLET, 1), 0);
	assert_int_equal(ready(ep, 1), 0);
	signal_put(f);
	assert_int_equal(ready(ep, 1), EPOLLIN);
	assert_int_equal(ready(ep, 1), 0);
	f = file_fence(DMA_RESV_USAGE_WRITE);
	assert_int_equal(ready(ep, 1), 0);
	signal_put(f);
	assert_int_equal(ready(ep, 1), EPOLLIN);
	assert_int_equal(ready(ep, 1), 0);

	assert_int_equal(ctl(ep, EPOLL_CTL_MOD, fd, EPOLLOUT | EPOLLONESHOT, 2), 0);
	assert_int_equal(ready(ep, 2), EPOLLOUT);
	f = file_fence(DMA_RESV_USAGE_WRITE);
	signal_put(f);
	assert_int_equal(ready(ep, 2), 0);
	assert_int_equal(ctl(ep, EPOLL_CTL_MOD, fd, EPOLLOUT | EPOLLONESHOT, 3), 0);
	assert_int_equal(ready(ep, 3), EPOLLOUT);
}

static void test_wrong_uses(void **state)
{
	struct epoll_event ev = { .events = EPOLLIN };

	assert_int_equal(ctl(ep, EPOLL_CTL_DEL, fd, 0, 0), -ENOENT);
	assert_int_equal(ctl(ep, EPOLL_CTL_MOD, fd, EPOLLIN, 0), -ENOENT);
	assert_int_equal(ctl(ep, EPOLL_CTL_ADD, fd, EPOLLIN, 0), 0);
	assert_int_equal(ctl(ep, EPOLL_CTL_ADD, fd, EPOLLIN, 0), -EEXIST);
	assert_int_equal(ctl(ep, 77, fd, EPOLLIN, 0), -EINVAL);
	assert_int_equal(ctl(-1, EPOLL_CTL_ADD, fd, EPOLLIN, 0), -EBADF);
	assert_int_equal(ctl(fd, EPOLL_CTL_ADD, fd, EPOLLIN, 0), -EINVAL);
	assert_int_equal(softvirt_epoll_ctl(ep, EPOLL_CTL_MOD, fd, (void *)8), -1);
	assert_int_equal(errno, EFAULT);
	/* A file that can't be polled stays one. */
	assert_int_equal(ctl(ep, EPOLL_CTL_ADD, 1 << 20, EPOLLIN, 0), -EBADF);
	assert_int_equal(softvirt_epoll_ctl(ep, EPOLL_CTL_DEL, fd, &ev), 0);
	assert_int_equal(ready(ep, 0), 0);
}

/* Events that only sockets have are not passed on. */
static void test_no_other_events(void **state)
{
	assert_int_equal(ctl(ep, EPOLL_CTL_ADD, fd, EPOLLPRI | EPOLLRDHUP | EPOLLRDNORM |
			     EPOLLWRNORM, 1), 0);
	assert_int_equal(ready(ep, 1), 0);
}

static void test_numbers_and_closing(void **state)
{
	int copy = softvirt_dup(fd), other = epoll_create1(EPOLL_CLOEXEC);
	struct epoll_event ev[4];

	assert_int_equal(ctl(ep, EPOLL_CTL_ADD, fd, EPOLLIN, 1), 0);
	assert_int_equal(ctl(ep, EPOLL_CTL_ADD, copy, EPOLLIN, 2), 0);
	assert_int_equal(ctl(other, EPOLL_CTL_ADD, fd, EPOLLOUT, 3), 0);
	assert_int_equal(epoll_wait(ep, ev, 4, 0), 2);
	assert_int_equal(ready(other, 3), EPOLLOUT);
	/* As in the kernel: an entry lives as long as the file, not its number. */
	softvirt_close(copy);
	assert_int_equal(epoll_wait(ep, ev, 4, 0), 2);
	softvirt_close(fd);
	fd = -1;
	assert_int_equal(epoll_wait(ep, ev, 4, 0), 0);
	assert_int_equal(ready(other, 3), 0);
	close(other);
}

static void test_nested_and_fork(void **state)
{
	int outer = epoll_create1(EPOLL_CLOEXEC);
	struct dma_fence *f = file_fence(DMA_RESV_USAGE_WRITE);
	struct pollfd p = { .fd = ep, .events = POLLIN };
	int status;
	pid_t pid;

	assert_int_equal(ctl(ep, EPOLL_CTL_ADD, fd, EPOLLIN, 1), 0);
	assert_int_equal(ctl(outer, EPOLL_CTL_ADD, ep, EPOLLIN, 9), 0);
	assert_int_equal(ready(outer, 9), 0);
	assert_int_equal(poll(&p, 1, 0), 0);
	/* The set is a real descriptor: a child waits for our fence with it. */
	pid = fork();
	if (!pid) {
		struct epoll_event ev;

		_exit(epoll_wait(ep, &ev, 1, 20000) == 1 && ev.data.u64 == 1 ? 0 : 1);
	}
	signal_put(f);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	assert_int_equal(ready(outer, 9), EPOLLIN);
	assert_int_equal(poll(&p, 1, 0), 1);
	close(outer);
}

static void test_poll_and_select(void **state)
{
	struct dma_fence *f = file_fence(DMA_RESV_USAGE_READ);
	struct timespec none = { 0 }, soon = { .tv_nsec = 1000000 };
	struct pollfd p[2] = { { .fd = fd, .events = POLLIN | POLLOUT | POLLPRI }, { .fd = -1 } };
	int pipe_fd[2];
	fd_set r, w;

	assert_int_equal(pipe(pipe_fd), 0);
	p[1].fd = pipe_fd[0];
	p[1].events = POLLIN;
	assert_int_equal(softvirt_ppoll(p, 2, &none, NULL), 1);
	assert_int_equal(p[0].revents, POLLIN);
	FD_ZERO(&r);
	FD_ZERO(&w);
	FD_SET(fd, &r);
	FD_SET(pipe_fd[0], &r);
	FD_SET(fd, &w);
	assert_int_equal(softvirt_pselect(max(fd, pipe_fd[0]) + 1, &r, &w, NULL, &none, NULL), 1);
	assert_true(FD_ISSET(fd, &r) && !FD_ISSET(fd, &w) && !FD_ISSET(pipe_fd[0], &r));
	FD_ZERO(&w);
	FD_SET(fd, &w);
	assert_int_equal(softvirt_pselect(fd + 1, NULL, &w, NULL, &soon, NULL), 0);
	assert_false(FD_ISSET(fd, &w));
	signal_put(f);
	FD_SET(fd, &r);
	FD_SET(fd, &w);
	assert_int_equal(write(pipe_fd[1], "", 1), 1);
	assert_int_equal(softvirt_pselect(max(fd, pipe_fd[0]) + 1, &r, &w, NULL, NULL, NULL), 2);
	assert_true(FD_ISSET(fd, &r) && FD_ISSET(fd, &w));
	close(pipe_fd[0]);
	close(pipe_fd[1]);
	FD_SET(pipe_fd[0], &r);
	assert_int_equal(softvirt_pselect(max(fd, pipe_fd[0]) + 1, &r, &w, NULL, &none, NULL), -1);
	assert_int_equal(errno, EBADF);
}

/* A fence that was replaced, not signalled, holds up nobody. */
static void test_replaced_fence(void **state)
{
	struct dma_fence *f = file_fence(DMA_RESV_USAGE_WRITE), *stub = dma_fence_get_stub();

	assert_int_equal(ctl(ep, EPOLL_CTL_ADD, fd, EPOLLIN, 1), 0);
	assert_int_equal(ready(ep, 1), 0);
	stub->context = f->context;
	dma_resv_lock(b->resv, NULL);
	dma_resv_replace_fences(b->resv, f->context, stub, DMA_RESV_USAGE_WRITE);
	dma_resv_unlock(b->resv);
	stub->context = 0;
	assert_int_equal(ready(ep, 1), EPOLLIN);
	dma_fence_put(stub);
	signal_put(f);
}

static void test_each_step_fails_once(void **state)
{
	for (unsigned int n = 1;; n++) {
		int err;

		sv_fault_inject(n);
		err = ctl(ep, EPOLL_CTL_ADD, fd, EPOLLIN, 1);
		if (!sv_fault_fired()) {
			sv_fault_inject(0);
			assert_int_equal(err, 0);
			break;
		}
		assert_true(err < 0);
	}
	assert_int_equal(ready(ep, 1), EPOLLIN);
}

/* Filing and signalling in two threads, waiting in a third: the state at rest is right. */
static void *filer(void *arg)
{
	u64 rnd = 1 + (u64)(uintptr_t)arg;

	for (int i = 0; i < 500; i++) {
		struct dma_fence *f = file_fence((enum dma_resv_usage)(unit_rand(&rnd) % 4));

		if (unit_rand(&rnd) % 4 == 0)
			sched_yield();
		signal_put(f);
	}
	return NULL;
}

static void test_races(void **state)
{
	for (int round = 0; round < 4; round++) {
		struct sv_thread t[2];
		struct epoll_event ev;

		assert_int_equal(ctl(ep, EPOLL_CTL_ADD, fd, EPOLLIN | EPOLLOUT, 5), 0);
		for (intptr_t i = 0; i < 2; i++)
			assert_int_equal(sv_thread_create(&t[i], "filer", filer, (void *)i), 0);
		for (int i = 0; i < 200; i++)
			(void)epoll_wait(ep, &ev, 1, 1);
		for (int i = 0; i < 2; i++)
			sv_thread_join(&t[i]);
		assert_int_equal(ready(ep, 5), EPOLLIN | EPOLLOUT);
		/* Closing while somebody files and signals. */
		assert_int_equal(sv_thread_create(&t[0], "filer", filer, NULL), 0);
		softvirt_close(fd);
		sv_thread_join(&t[0]);
		assert_int_equal(ready(ep, 5), 0);
		fd = dma_buf_fd(b, O_CLOEXEC);
	}
}

static void test_sync_file_is_only_readable(void **state)
{
	struct dma_fence *f = file_fence(DMA_RESV_USAGE_WRITE);
	int s = sync_file_fd(f, NULL), status, sv[2];
	struct pollfd p = { .fd = s, .events = POLLIN | POLLOUT };
	pid_t pid;

	assert_true(s >= 0);
	assert_int_equal(poll(&p, 1, 0), 0);
	assert_int_equal(ctl(ep, EPOLL_CTL_ADD, s, EPOLLIN | EPOLLOUT, 4), 0);
	assert_int_equal(ready(ep, 4), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, sv), 0);
	pid = fork();
	if (!pid) {
		/* The only reader left by then. */
		char go;

		close(sv[0]);
		if (read(sv[1], &go, 1) != 1)
			_exit(2);
		_exit(poll(&p, 1, 20000) == 1 && p.revents == POLLIN ? 0 : 1);
	}
	close(sv[1]);
	softvirt_close(s);
	assert_int_equal(write(sv[0], "", 1), 1);
	signal_put(f);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	close(sv[0]);

	/* Without any reader left it lets go of the fence at once. */
	f = file_fence(DMA_RESV_USAGE_WRITE);
	assert_int_equal(kref_read(&f->refcount), 2);
	s = sync_file_fd(f, NULL);
	assert_int_equal(kref_read(&f->refcount), 3);
	softvirt_close(s);
	assert_int_equal(kref_read(&f->refcount), 2);
	signal_put(f);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(test_level), T(test_edge_and_oneshot), T(test_wrong_uses),
		T(test_no_other_events), T(test_numbers_and_closing), T(test_nested_and_fork),
		T(test_poll_and_select), T(test_replaced_fence), T(test_each_step_fails_once),
		T(test_races), T(test_sync_file_is_only_readable),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
