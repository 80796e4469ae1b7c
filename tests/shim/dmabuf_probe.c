/* SPDX-License-Identifier: MIT */
/*
 * A program that knows only the kernel's dma-buf interfaces, run under the preload library:
 * heaps, poll, select, epoll on buffers and sync files, also in another process. Prints TAP.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/dma-buf.h>
#include <linux/dma-heap.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef DMA_BUF_IOCTL_EXPORT_SYNC_FILE
struct dma_buf_export_sync_file { __u32 flags; __s32 fd; };
struct dma_buf_import_sync_file { __u32 flags; __s32 fd; };
#define DMA_BUF_IOCTL_EXPORT_SYNC_FILE _IOWR(DMA_BUF_BASE, 2, struct dma_buf_export_sync_file)
#define DMA_BUF_IOCTL_IMPORT_SYNC_FILE _IOW(DMA_BUF_BASE, 3, struct dma_buf_import_sync_file)
#endif

/* The kernel keeps these to itself. */
struct sw_sync_create_fence_data { __u32 value; char name[32]; __s32 fence; };
#define SW_SYNC_IOC_CREATE_FENCE _IOWR('W', 0, struct sw_sync_create_fence_data)
#define SW_SYNC_IOC_INC _IOW('W', 1, __u32)

#define CHECK(cond) do { \
	if (!(cond)) { \
		printf("# %s:%d: %s (errno %s)\n", __FILE__, __LINE__, #cond, strerror(errno)); \
		return 0; \
	} \
} while (0)

static int heap_alloc(void)
{
	struct dma_heap_allocation_data data = { .len = 8192, .fd_flags = O_RDWR | O_CLOEXEC };
	int heap = open("/dev/dma_heap/system", O_RDONLY | O_CLOEXEC), ret;

	ret = heap < 0 ? -1 : ioctl(heap, DMA_HEAP_IOCTL_ALLOC, &data);
	close(heap);
	return ret ? -1 : (int)data.fd;
}

/* A fence at a timeline's next step. */
static int fence_at(int timeline, unsigned value)
{
	struct sw_sync_create_fence_data data = { .value = value, .name = "probe" };

	return ioctl(timeline, SW_SYNC_IOC_CREATE_FENCE, &data) ? -1 : data.fence;
}

static int import(int buf, int fence, unsigned flags)
{
	struct dma_buf_import_sync_file arg = { .flags = flags, .fd = fence };

	return ioctl(buf, DMA_BUF_IOCTL_IMPORT_SYNC_FILE, &arg);
}

static int step(int timeline)
{
	__u32 one = 1;

	return ioctl(timeline, SW_SYNC_IOC_INC, &one);
}

static int timeline_open(void)
{
	return open("/sys/kernel/debug/sync/sw_sync", O_RDWR | O_CLOEXEC);
}

static int poll_and_select(void)
{
	int buf = heap_alloc(), t = timeline_open(), fence = fence_at(t, 1);
	struct timeval tv = { .tv_usec = 20000 };
	struct timespec ts = { 0 };
	struct pollfd p = { .fd = buf, .events = POLLIN | POLLOUT };
	sigset_t none;
	fd_set r, w;

	CHECK(buf >= 0 && t >= 0 && fence >= 0);
	CHECK(poll(&p, 1, -1) == 1 && p.revents == (POLLIN | POLLOUT));
	CHECK(import(buf, fence, DMA_BUF_SYNC_READ) == 0);
	CHECK(poll(&p, 1, 0) == 1 && p.revents == POLLIN);
	sigemptyset(&none);
	CHECK(ppoll(&p, 1, &ts, &none) == 1 && p.revents == POLLIN);
	CHECK(syscall(SYS_ppoll, &p, 1, &ts, NULL, 8) == 1 && p.revents == POLLIN);
	FD_ZERO(&r);
	FD_ZERO(&w);
	FD_SET(buf, &r);
	FD_SET(buf, &w);
	CHECK(select(buf + 1, &r, &w, NULL, &tv) == 1 && FD_ISSET(buf, &r) && !FD_ISSET(buf, &w));
	FD_SET(buf, &w);
	CHECK(select(buf + 1, NULL, &w, NULL, &tv) == 0 && tv.tv_sec == 0 && tv.tv_usec == 0);
	FD_SET(fence, &r);
	FD_CLR(buf, &r);
	CHECK(pselect(fence + 1, &r, NULL, NULL, &ts, &none) == 0);
	CHECK(step(t) == 0);
	FD_SET(buf, &w);
	CHECK(pselect(buf + 1, NULL, &w, NULL, NULL, &none) == 1 && FD_ISSET(buf, &w));
	close(fence);
	close(buf);
	close(t);
	return 1;
}

static int epoll_on_a_buffer(void)
{
	int buf = heap_alloc(), t = timeline_open(), fence = fence_at(t, 1), copy;
	int ep = epoll_create1(EPOLL_CLOEXEC);
	struct epoll_event ev = { .events = EPOLLIN | EPOLLET, .data.u64 = ~0ull };

	CHECK(buf >= 0 && t >= 0 && fence >= 0 && ep >= 0);
	CHECK(import(buf, fence, DMA_BUF_SYNC_WRITE) == 0);
	CHECK(epoll_ctl(ep, EPOLL_CTL_ADD, buf, &ev) == 0);
	CHECK(epoll_ctl(ep, EPOLL_CTL_ADD, buf, &ev) == -1 && errno == EEXIST);
	CHECK(epoll_wait(ep, &ev, 1, 0) == 0);
	CHECK(step(t) == 0);
	ev.data.u64 = 0;
	CHECK(epoll_pwait(ep, &ev, 1, -1, NULL) == 1 && ev.data.u64 == ~0ull);
	CHECK(epoll_wait(ep, &ev, 1, 0) == 0);
	ev.events = EPOLLOUT;
	ev.data.u32 = 7;
	CHECK(syscall(SYS_epoll_ctl, ep, EPOLL_CTL_MOD, buf, &ev) == 0);
	CHECK(epoll_wait(ep, &ev, 1, 0) == 1 && ev.data.u32 == 7 && ev.events == EPOLLOUT);
	CHECK(epoll_ctl(ep, EPOLL_CTL_DEL, buf, NULL) == 0);
	CHECK(epoll_wait(ep, &ev, 1, 0) == 0);
	CHECK(epoll_ctl(ep, EPOLL_CTL_ADD, buf, &ev) == 0);
	copy = dup(buf);
	close(buf);
	CHECK(epoll_wait(ep, &ev, 1, 0) == 1);
	close(copy);
	CHECK(epoll_wait(ep, &ev, 1, 0) == 0);
	close(fence);
	close(t);
	close(ep);
	return 1;
}

static int sync_file_is_never_writable(void)
{
	int t = timeline_open(), fence = fence_at(t, 1);
	struct pollfd p = { .fd = fence, .events = POLLIN | POLLOUT };

	CHECK(t >= 0 && fence >= 0);
	CHECK(poll(&p, 1, 0) == 0);
	CHECK(step(t) == 0);
	CHECK(poll(&p, 1, -1) == 1 && p.revents == POLLIN);
	close(fence);
	close(t);
	return 1;
}

/* The child has the buffer from its parent, and asks about the parent's fences. */
static int another_process(void)
{
	struct dma_buf_export_sync_file arg = { .flags = DMA_BUF_SYNC_READ };
	int buf = heap_alloc(), t = timeline_open(), fence = fence_at(t, 1), sv[2], status;
	pid_t pid;
	char c;

	CHECK(buf >= 0 && t >= 0 && fence >= 0);
	CHECK(import(buf, fence, DMA_BUF_SYNC_WRITE) == 0);
	CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, sv) == 0);
	fflush(stdout);
	pid = fork();
	if (!pid) {
		struct pollfd p = { .events = POLLIN };

		if (ioctl(buf, DMA_BUF_IOCTL_EXPORT_SYNC_FILE, &arg))
			_exit(1);
		p.fd = arg.fd;
		if (poll(&p, 1, 0))
			_exit(2);
		if (write(sv[1], "", 1) != 1)
			_exit(3);
		_exit(poll(&p, 1, 20000) == 1 ? 0 : 4);
	}
	CHECK(pid > 0 && read(sv[0], &c, 1) == 1);
	CHECK(step(t) == 0);
	CHECK(waitpid(pid, &status, 0) == pid && status == 0);
	close(sv[0]);
	close(sv[1]);
	close(fence);
	close(buf);
	close(t);
	return 1;
}

static void on_alarm(int sig)
{
	(void)sig;
}

static int signal_ends_a_sync(void)
{
	struct dma_buf_sync sync = { .flags = DMA_BUF_SYNC_START | DMA_BUF_SYNC_READ };
	struct sigaction sa = { .sa_handler = on_alarm };
	struct itimerval it = { { 0, 20000 }, { 0, 20000 } }, off = { { 0, 0 }, { 0, 0 } };
	int buf = heap_alloc(), t = timeline_open(), fence = fence_at(t, 1);

	CHECK(buf >= 0 && t >= 0 && fence >= 0);
	CHECK(import(buf, fence, DMA_BUF_SYNC_WRITE) == 0);
	CHECK(sigaction(SIGALRM, &sa, NULL) == 0 && setitimer(ITIMER_REAL, &it, NULL) == 0);
	CHECK(ioctl(buf, DMA_BUF_IOCTL_SYNC, &sync) == -1 && errno == EINTR);
	setitimer(ITIMER_REAL, &off, NULL);
	close(fence);
	close(buf);
	close(t);
	return 1;
}

static const struct {
	const char *name;
	int (*fn)(void);
} tests[] = {
	{ "poll and select", poll_and_select },
	{ "epoll on a buffer", epoll_on_a_buffer },
	{ "sync file is never writable", sync_file_is_never_writable },
	{ "another process", another_process },
	{ "signal ends a sync", signal_ends_a_sync },
};

int main(void)
{
	size_t n = sizeof(tests) / sizeof(tests[0]);
	int failures = 0;

	printf("1..%zu\n", n);
	for (size_t i = 0; i < n; i++) {
		int ok = tests[i].fn();

		failures += !ok;
		printf("%sok %zu - %s\n", ok ? "" : "not ", i + 1, tests[i].name);
	}
	return failures != 0;
}
