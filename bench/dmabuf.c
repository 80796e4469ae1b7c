// SPDX-License-Identifier: MIT
/*
 * What sharing buffers costs: attach to detach, a fence's way to its waiter, a revoke against
 * 1 to 10,000 importers, readers of a reservation on two CPUs, memory. A table, or with
 * --json one JSON object.
 *
 * The peer of the fence figure is a pthread condition variable between the same two threads
 * in the same run: what the host can do at best.
 *
 * usage: bench-dmabuf [--json]
 */
#include <fcntl.h>
#include <malloc.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "../tests/unit/plain_exporter.h"
#include "base/timer.h"
#include "dmabuf/mem.h"
#include "softvirt/softvirt.h"
#include "softvirt/dma-buf.h"

#define ROUNDS 7	/* the median of so many counts */

static void die(const char *what)
{
	fprintf(stderr, "bench-dmabuf: %s\n", what);
	exit(1);
}

static int compare_doubles(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

static double median(double *v, size_t n)
{
	qsort(v, n, sizeof(*v), compare_doubles);
	return v[n / 2];
}

static double cpu_seconds(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static double seconds(void)
{
	return (double)sv_now_ns() / 1e9;
}

static struct device dev = { .init_name = "bench" };

static struct dma_buf *export(void)
{
	struct dma_buf *b = plain_export();

	if (IS_ERR(b))
		die("export");
	return b;
}

static void nothing(struct dma_buf_attachment *a) { }
static const struct dma_buf_attach_ops importer_ops = { .invalidate_mappings = nothing };

/* Attach, map, unmap, detach: a million of each, in CPU time of this thread. */
static double bench_cycle(void)
{
	const int n = 200000;
	struct dma_buf *b = export();
	double v[ROUNDS], t;

	for (int r = 0; r < ROUNDS; r++) {
		t = cpu_seconds();
		for (int i = 0; i < n; i++) {
			struct dma_buf_attachment *a;
			struct sg_table *sgt;

			a = dma_buf_dynamic_attach(b, &dev, &importer_ops, NULL);
			sgt = dma_buf_map_attachment_unlocked(a, DMA_BIDIRECTIONAL);
			dma_buf_unmap_attachment_unlocked(a, sgt, DMA_BIDIRECTIONAL);
			dma_buf_detach(b, a);
		}
		v[r] = n / (cpu_seconds() - t);
	}
	dma_buf_put(b);
	return median(v, ROUNDS);
}

/* From the signal in one thread to the waiter running in another. */
static const char *fence_name(struct dma_fence *f) { return "bench"; }
static const struct dma_fence_ops fence_ops = {
	.get_driver_name = fence_name, .get_timeline_name = fence_name,
};

static struct dma_fence *fence_new(void)
{
	struct dma_fence *f = malloc(sizeof(*f));

	if (!f)
		die("memory");
	dma_fence_init(f, &fence_ops, NULL, dma_fence_context_alloc(1), 1);
	return f;
}

#define WAKES 2000
static struct dma_fence *wake_fences[WAKES];
static u64 woken_at[WAKES], signalled_at[WAKES];
static int waiting_for;

static void *fence_waiter(void *arg)
{
	for (int i = 0; i < WAKES; i++) {
		__atomic_store_n(&waiting_for, i + 1, __ATOMIC_RELEASE);
		dma_fence_wait(wake_fences[i], false);
		woken_at[i] = sv_now_ns();
	}
	return NULL;
}

static pthread_mutex_t peer_m = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t peer_c = PTHREAD_COND_INITIALIZER;
static int peer_flag;

static void *peer_waiter(void *arg)
{
	for (int i = 0; i < WAKES; i++) {
		pthread_mutex_lock(&peer_m);
		__atomic_store_n(&waiting_for, i + 1, __ATOMIC_RELEASE);
		while (peer_flag != i + 1)
			pthread_cond_wait(&peer_c, &peer_m);
		pthread_mutex_unlock(&peer_m);
		woken_at[i] = sv_now_ns();
	}
	return NULL;
}

static void fence_signal_nth(int i)
{
	dma_fence_signal(wake_fences[i]);
}

static void peer_signal_nth(int i)
{
	pthread_mutex_lock(&peer_m);
	peer_flag = i + 1;
	pthread_cond_signal(&peer_c);
	pthread_mutex_unlock(&peer_m);
}

/* The waiter gets time to fall asleep: what counts is the wake-up, not the spin. */
static double bench_wake(void *(*waiter)(void *arg), void (*signal_nth)(int i))
{
	const struct timespec pause = { .tv_nsec = 60000 };
	static double v[WAKES];
	struct sv_thread t;

	waiting_for = 0;
	if (sv_thread_create(&t, "waiter", waiter, NULL))
		die("thread");
	for (int i = 0; i < WAKES; i++) {
		while (__atomic_load_n(&waiting_for, __ATOMIC_ACQUIRE) != i + 1)
			sched_yield();
		nanosleep(&pause, NULL);
		signalled_at[i] = sv_now_ns();
		signal_nth(i);
	}
	sv_thread_join(&t);
	for (int i = 0; i < WAKES; i++)
		v[i] = (double)(woken_at[i] - signalled_at[i]) / 1e3;
	return median(v, WAKES);
}

static double bench_fence_wake(void)
{
	double us;

	for (int i = 0; i < WAKES; i++)
		wake_fences[i] = fence_new();
	us = bench_wake(fence_waiter, fence_signal_nth);
	for (int i = 0; i < WAKES; i++)
		dma_fence_put(wake_fences[i]);
	return us;
}

/* A revoke against n importers that are mapped and unmap when they are told. */
static void unmap_when_told(struct dma_buf_attachment *a)
{
	struct sg_table **sgt = a->importer_priv;

	dma_buf_unmap_attachment(a, *sgt, DMA_BIDIRECTIONAL);
	*sgt = NULL;
}
static const struct dma_buf_attach_ops told_ops = { .invalidate_mappings = unmap_when_told };

static double bench_revoke(int n)
{
	struct dma_buf_attachment **a = calloc((size_t)n, sizeof(struct dma_buf_attachment *));
	struct sg_table **sgt = calloc((size_t)n, sizeof(struct sg_table *));
	struct dma_buf *b = export();
	int rounds = n > 1000 ? 15 : 101;
	double v[101];

	for (int i = 0; i < n; i++)
		a[i] = dma_buf_dynamic_attach(b, &dev, &told_ops, &sgt[i]);
	for (int r = 0; r < rounds; r++) {
		u64 t;

		for (int i = 0; i < n; i++)
			sgt[i] = dma_buf_map_attachment_unlocked(a[i], DMA_BIDIRECTIONAL);
		t = sv_now_ns();
		if (dma_buf_revoke(b, DMA_DEADLINE_NEVER))
			die("revoke");
		v[r] = (double)(sv_now_ns() - t) / 1e3;
		if (dma_buf_restore(b))
			die("restore");
	}
	for (int i = 0; i < n; i++)
		dma_buf_detach(b, a[i]);
	dma_buf_put(b);
	free(a);
	free(sgt);
	return median(v, (size_t)rounds);
}

/* CPU mappings: revoke and restore of a mapped buffer, for each MiB. */
static void bench_cpu(size_t mib, double *revoke_ms, double *restore_ms)
{
	struct dma_buf *b = dma_mem_export("bench", mib << 20, O_RDWR);
	int fd = IS_ERR(b) ? -1 : dma_buf_fd(b, O_CLOEXEC);
	double v1[ROUNDS], v2[ROUNDS], t;

	if (fd < 0)
		die("memory buffer");
	for (int r = 0; r < ROUNDS; r++) {
		memset(dma_mem_vaddr(b), r, mib << 20);
		t = seconds();
		if (dma_buf_revoke(b, DMA_DEADLINE_NEVER))
			die("revoke");
		v1[r] = (seconds() - t) * 1e3;
		t = seconds();
		if (dma_buf_restore(b))
			die("restore");
		v2[r] = (seconds() - t) * 1e3;
	}
	*revoke_ms = median(v1, ROUNDS) / (double)mib;
	*restore_ms = median(v2, ROUNDS) / (double)mib;
	softvirt_close(fd);
	dma_buf_put(b);
}

/* Readers: looks per second of CPU time and thread, alone and two at once. */
static struct reader {
	struct dma_resv *resv;
	double rate;
} readers[2];
static bool read_go, read_stop;

static void *resv_reader(void *arg)
{
	struct reader *reader = arg;
	double t;
	u64 n = 0;

	while (!__atomic_load_n(&read_go, __ATOMIC_ACQUIRE))
		sched_yield();
	t = cpu_seconds();
	while (!__atomic_load_n(&read_stop, __ATOMIC_RELAXED))
		for (int i = 0; i < 256; i++)
			n += dma_resv_test_signaled(reader->resv, DMA_RESV_USAGE_BOOKKEEP);
	reader->rate = (double)n / (cpu_seconds() - t);
	return NULL;
}

/* Looks per second and reader, one turn of 100 ms. */
static double readers_turn(int n)
{
	const struct timespec time = { .tv_nsec = 100000000 };
	struct sv_thread t[2];
	double rate = 0;

	read_go = false;
	read_stop = false;
	for (int i = 0; i < n; i++)
		if (sv_thread_create(&t[i], "reader", resv_reader, &readers[i]))
			die("thread");
	__atomic_store_n(&read_go, true, __ATOMIC_RELEASE);
	nanosleep(&time, NULL);
	__atomic_store_n(&read_stop, true, __ATOMIC_RELAXED);
	for (int i = 0; i < n; i++) {
		sv_thread_join(&t[i]);
		rate += readers[i].rate / n;
	}
	return rate;
}

/* A reservation with four fences that have signalled, as a buffer in use mostly shows. */
static struct dma_buf *used_buffer(void)
{
	struct dma_buf *b = export();
	struct dma_fence *f[4];

	for (int i = 0; i < 4; i++) {
		f[i] = fence_new();
		dma_resv_lock(b->resv, NULL);
		if (dma_resv_reserve_fences(b->resv, 1))
			die("memory");
		dma_resv_add_fence(b->resv, f[i], DMA_RESV_USAGE_READ);
		dma_resv_unlock(b->resv);
	}
	for (int i = 0; i < 4; i++) {
		dma_fence_signal(f[i]);
		dma_fence_put(f[i]);
	}
	return b;
}

#define READER_ROUNDS 21

/*
 * apart: two readers, each with a reservation of its own: the host's limit, our peer. A round
 * has a turn of each kind, in changing order, so that whatever else the host does meets all
 * three; what counts is each round's own ratios, and of those the median.
 */
static void bench_all_readers(double *one, double *to_one, double *to_apart)
{
	struct dma_buf *b1 = used_buffer(), *b2 = used_buffer();
	double rate[3][READER_ROUNDS], v1[READER_ROUNDS], v2[READER_ROUNDS];

	readers[0].resv = b1->resv;
	for (int r = 0; r < READER_ROUNDS; r++) {
		for (int k = 0; k < 3; k++) {
			int kind = (r + (r & 1 ? 3 - k : k)) % 3;

			readers[1].resv = kind == 2 ? b2->resv : b1->resv;
			rate[kind][r] = readers_turn(kind ? 2 : 1);
		}
		v1[r] = rate[1][r] / rate[0][r];
		v2[r] = rate[1][r] / rate[2][r];
	}
	*one = median(rate[0], READER_ROUNDS);
	*to_one = median(v1, READER_ROUNDS);
	*to_apart = median(v2, READER_ROUNDS);
	dma_buf_put(b1);
	dma_buf_put(b2);
}

/* Bytes from the allocator, over many of each. Descriptors are the kernel's and not in it. */
static void bench_memory(double *buffer, double *attachment)
{
	static struct dma_buf *bufs[200];
	static struct dma_buf_attachment *atts[10000];
	size_t before = mallinfo2().uordblks;

	for (size_t i = 0; i < ARRAY_SIZE(bufs); i++) {
		bufs[i] = dma_mem_export("bench", 4096, O_RDWR);
		if (IS_ERR(bufs[i]))
			die("memory buffer");
	}
	*buffer = (double)(mallinfo2().uordblks - before) / ARRAY_SIZE(bufs);
	before = mallinfo2().uordblks;
	for (size_t i = 0; i < ARRAY_SIZE(atts); i++)
		atts[i] = dma_buf_dynamic_attach(bufs[0], &dev, &importer_ops, NULL);
	*attachment = (double)(mallinfo2().uordblks - before) / ARRAY_SIZE(atts);
	for (size_t i = 0; i < ARRAY_SIZE(atts); i++)
		dma_buf_detach(bufs[0], atts[i]);
	for (size_t i = 0; i < ARRAY_SIZE(bufs); i++)
		dma_buf_put(bufs[i]);
}

int main(int argc, char **argv)
{
	static const int counts[] = { 1, 10, 100, 1000, 10000 };
	double cycle, wake, peer, revoke[ARRAY_SIZE(counts)], one, to_one, to_apart, buffer, attachment;
	double revoke_ms, restore_ms;
	bool json = argc > 1 && !strcmp(argv[1], "--json");

	cycle = bench_cycle();
	wake = bench_fence_wake();
	peer = bench_wake(peer_waiter, peer_signal_nth);
	for (size_t i = 0; i < ARRAY_SIZE(counts); i++)
		revoke[i] = bench_revoke(counts[i]);
	bench_all_readers(&one, &to_one, &to_apart);
	bench_memory(&buffer, &attachment);
	bench_cpu(16, &revoke_ms, &restore_ms);

	if (json) {
		printf("{\"attach_map_unmap_detach_per_s\":%.0f,\"fence_wake_us\":%.1f,"
		       "\"condvar_wake_us\":%.1f,\"revoke_us\":{", cycle, wake, peer);
		for (size_t i = 0; i < ARRAY_SIZE(counts); i++)
			printf("%s\"%d\":%.1f", i ? "," : "", counts[i], revoke[i]);
		printf("},\"readers_1_per_s\":%.0f,\"readers_2_to_1\":%.3f,"
		       "\"readers_2_to_2_apart\":%.3f,\"bytes_per_buffer\":%.0f,\"bytes_per_attachment\":%.0f,"
		       "\"cpu_revoke_ms_per_mib\":%.2f,\"cpu_restore_ms_per_mib\":%.2f}\n", one, to_one, to_apart,
		       buffer, attachment, revoke_ms, restore_ms);
		return 0;
	}
	printf("attach+map+unmap+detach     %10.0f /s of CPU time (to reach: 1000000)\n", cycle);
	printf("fence signal to wake-up     %10.1f us median (below 15); a condition variable: %.1f us\n",
	       wake, peer);
	for (size_t i = 0; i < ARRAY_SIZE(counts); i++)
		printf("revoke, %5d importers     %10.1f us, %.3f us each (below 0.5)\n", counts[i],
		       revoke[i], revoke[i] / counts[i]);
	printf("reservation test, 1 reader  %10.0f /s of CPU time\n", one);
	printf("                  2 readers %10.2f of one alone, each; median of %d rounds\n", to_one,
	       READER_ROUNDS);
	printf("                            %10.2f of two readers of two reservations\n", to_apart);
	printf("memory per buffer           %10.0f bytes (below 8192)\n", buffer);
	printf("memory per attachment       %10.0f bytes (below 512)\n", attachment);
	printf("revoke of CPU mappings      %10.2f ms/MiB, restore %.2f ms/MiB\n", revoke_ms, restore_ms);
	return 0;
}
