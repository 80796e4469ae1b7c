/* SPDX-License-Identifier: MIT */
/*
 * Signals end interruptible waits, and no others: fences, reservation locks, the ioctl.
 */
#include "unit.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <time.h>

#include "base/alloc.h"
#include "base/intr.h"
#include "base/sync.h"
#include "base/timer.h"
#include "dmabuf/mem.h"
#include "softvirt/dma-buf.h"
#include "softvirt/softvirt.h"
#include "softvirt/uapi/sync.h"

static int handled;
static void handler(int sig)
{
	__atomic_fetch_add(&handled, 1, __ATOMIC_SEQ_CST);
}

static int handlers(void)
{
	return __atomic_load_n(&handled, __ATOMIC_SEQ_CST);
}

static void handle(int flags)
{
	struct sigaction sa = { .sa_handler = handler, .sa_flags = flags };

	assert_int_equal(sigaction(SIGUSR1, &sa, NULL), 0);
	__atomic_store_n(&handled, 0, __ATOMIC_SEQ_CST);
}

static const char *name(struct dma_fence *f) { return "signal"; }
static const struct dma_fence_ops fence_ops = { .get_driver_name = name, .get_timeline_name = name };

static struct dma_fence *fence_new(void)
{
	struct dma_fence *f = malloc(sizeof(*f));

	dma_fence_init(f, &fence_ops, NULL, dma_fence_context_alloc(1), 1);
	return f;
}

/* Sends a signal again and again until stopped: no order of events is counted on. */
static struct pester {
	struct sv_thread thread;
	pthread_t whom;
	bool stop;
} pester;

static void *pester_main(void *arg)
{
	const struct timespec t = { .tv_nsec = 2000000 };

	while (!__atomic_load_n(&pester.stop, __ATOMIC_RELAXED)) {
		nanosleep(&t, NULL);
		pthread_kill(pester.whom, SIGUSR1);
	}
	return NULL;
}

static void pester_begin(void)
{
	pester.whom = pthread_self();
	pester.stop = false;
	assert_int_equal(sv_thread_create(&pester.thread, "pester", pester_main, NULL), 0);
}

static void pester_end(void)
{
	__atomic_store_n(&pester.stop, true, __ATOMIC_RELAXED);
	sv_thread_join(&pester.thread);
}

/* Signals the fence once as many handlers have run. */
static struct dma_fence *later_fence;
static int later_count;
static void *later_main(void *arg)
{
	const struct timespec t = { .tv_nsec = 1000000 };

	while (handlers() < later_count)
		nanosleep(&t, NULL);
	dma_fence_signal(later_fence);
	return NULL;
}

static void test_fence_waits(void **state)
{
	struct dma_fence *f = fence_new();
	struct sv_thread t;

	handle(SA_RESTART);	/* a driver sees the signal whatever the program wants */
	pester_begin();
	assert_int_equal(dma_fence_wait_timeout(f, true, MAX_SCHEDULE_TIMEOUT), -ERESTARTSYS);
	assert_int_equal(dma_fence_wait_timeout(f, true, 100000), -ERESTARTSYS);
	assert_int_equal(dma_fence_wait(f, true), -ERESTARTSYS);
	assert_int_equal(dma_fence_wait_any_timeout(&f, 1, true, 100000, NULL), -ERESTARTSYS);
	assert_true(handlers() >= 4);
	/* Not these. */
	later_fence = f;
	later_count = handlers() + 5;
	assert_int_equal(sv_thread_create(&t, "later", later_main, NULL), 0);
	assert_int_equal(dma_fence_wait(f, false), 0);
	sv_thread_join(&t);
	assert_int_equal(dma_fence_wait(f, true), 0);
	pester_end();
	dma_fence_put(f);
}

static void *sleeper_main(void *arg)
{
	dma_fence_signal(arg);
	return NULL;
}

/* Without signals an interruptible wait is one like any other. */
static void test_no_signal(void **state)
{
	struct dma_fence *f;
	struct sv_thread t;
	u64 start = sv_now_ns();

	f = fence_new();
	assert_int_equal(dma_fence_wait_timeout(f, true, 20), 0);
	assert_true(sv_now_ns() - start >= 19000000);
	assert_int_equal(sv_thread_create(&t, "signaller", sleeper_main, f), 0);
	assert_true(dma_fence_wait_timeout(f, true, 20000) > 0);
	sv_thread_join(&t);
	dma_fence_put(f);
	/* No descriptor to sleep on: it sleeps all the same. */
	f = fence_new();
	sv_fault_inject(1);
	assert_int_equal(dma_fence_wait_timeout(f, true, 5), 0);
	assert_true(sv_fault_fired());
	sv_fault_inject(0);
	dma_fence_signal(f);
	dma_fence_put(f);
}

static void test_locks(void **state)
{
	struct ww_acquire_ctx ctx;
	struct dma_resv a, c;
	extern struct ww_class reservation_ww_class;

	dma_resv_init(&a);
	dma_resv_init(&c);
	handle(0);
	dma_resv_lock(&a, NULL);
	pester_begin();
	assert_int_equal(dma_resv_lock_interruptible(&a, NULL), -EINTR);
	ww_acquire_init(&ctx, &reservation_ww_class);
	assert_int_equal(dma_resv_lock_slow_interruptible(&a, &ctx), -EINTR);
	assert_int_equal(dma_resv_lock_interruptible(&c, &ctx), 0);
	assert_int_equal(dma_resv_lock_interruptible(&a, &ctx), -EINTR);
	dma_resv_unlock(&c);
	ww_acquire_fini(&ctx);
	pester_end();
	dma_resv_unlock(&a);
	assert_int_equal(dma_resv_lock_interruptible(&a, NULL), 0);
	dma_resv_unlock(&a);
	dma_resv_fini(&a);
	dma_resv_fini(&c);
}

static void test_ioctl(void **state)
{
	struct dma_buf_sync sync = { .flags = DMA_BUF_SYNC_START | DMA_BUF_SYNC_READ };
	struct dma_buf *b = dma_mem_export("signal", 4096, O_RDWR);
	int fd = dma_buf_fd(b, O_CLOEXEC);
	struct dma_fence *f = fence_new();
	struct sv_thread t;

	dma_resv_lock(b->resv, NULL);
	assert_int_equal(dma_resv_reserve_fences(b->resv, 1), 0);
	dma_resv_add_fence(b->resv, f, DMA_RESV_USAGE_WRITE);
	dma_resv_unlock(b->resv);
	handle(0);
	pester_begin();
	assert_int_equal(softvirt_ioctl(fd, DMA_BUF_IOCTL_SYNC, &sync), -1);
	assert_int_equal(errno, EINTR);
	/* With SA_RESTART it goes on until the fence signals. */
	handle(SA_RESTART);
	later_fence = f;
	later_count = 5;
	assert_int_equal(sv_thread_create(&t, "later", later_main, NULL), 0);
	assert_int_equal(softvirt_ioctl(fd, DMA_BUF_IOCTL_SYNC, &sync), 0);
	assert_true(handlers() >= 5);
	sv_thread_join(&t);
	pester_end();
	softvirt_close(fd);
	dma_buf_put(b);
	dma_fence_put(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_fence_waits),
		cmocka_unit_test(test_no_signal),
		cmocka_unit_test(test_locks),
		cmocka_unit_test(test_ioctl),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
