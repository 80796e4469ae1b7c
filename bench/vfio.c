// SPDX-License-Identifier: MIT
/*
 * What a device costs, through the ABI that a driver uses: the DMA engine's copies against
 * memcpy of the same bytes in the same run, an interrupt's way from the descriptor to the thread
 * that waits on its eventfd, and taking a BAR back from 1,000 I/O address spaces. A table, or
 * with --json one JSON object.
 *
 * The interrupt's peer is an eventfd written by another thread in the same run.
 *
 * usage: bench-vfio [--json]
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/vfio.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "softvirt/softvirt.h"
#include "softvirt/uapi/iommufd.h"
#include "softvirt/uapi/vfio.h"

#define ROUNDS 9
#define MIB (1ul << 20)
#define MEM_SIZE (64 * MIB)
#define IOVA 0x10000000ul
#define RING 4096		/* descriptors, in front of the data */
#define DATA (1 * MIB)
#define SPACES 1000

enum { CHANCTRL = 0x80, CHANCMD = 0x84, DMACOUNT = 0x86, CHANSTS = 0x88, CHAINADDR = 0x90,
       CHANCMP = 0x98 };

struct desc {
	uint32_t size, ctl;
	uint64_t src, dst, next, user[4];
};

static int iommufd, engine, peer;
static uint32_t ioas, engine_id;
static volatile uint8_t *regs;
static uint8_t *mem;

static void die(const char *what)
{
	fprintf(stderr, "bench-vfio: %s: %s\n", what, strerror(errno));
	exit(1);
}

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
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

static uint32_t ioas_alloc(void)
{
	struct iommu_ioas_alloc a = { .size = sizeof(a) };

	if (softvirt_ioctl(iommufd, IOMMU_IOAS_ALLOC, &a))
		die("IOMMU_IOAS_ALLOC");
	return a.out_ioas_id;
}

static int open_device(const char *path, uint32_t *id)
{
	struct vfio_device_bind_iommufd bind = { .argsz = sizeof(bind), .iommufd = iommufd };
	struct vfio_region_info info = { .argsz = sizeof(info), .index = VFIO_PCI_CONFIG_REGION_INDEX };
	uint16_t command = 6;
	int fd = softvirt_open(path, O_RDWR);

	if (fd < 0 || softvirt_ioctl(fd, VFIO_DEVICE_BIND_IOMMUFD, &bind))
		die(path);
	if (softvirt_ioctl(fd, VFIO_DEVICE_GET_REGION_INFO, &info) ||
	    softvirt_pwrite(fd, &command, 2, (off_t)info.offset + 4) != 2)
		die("PCI command");
	*id = bind.out_devid;
	return fd;
}

static void setup(void)
{
	struct vfio_device_attach_iommufd_pt attach = { .argsz = sizeof(attach) };
	struct vfio_region_info info = { .argsz = sizeof(info), .index = 0 };
	struct iommu_ioas_map map = {
		.size = sizeof(map), .length = MEM_SIZE, .iova = IOVA,
		.flags = IOMMU_IOAS_MAP_FIXED_IOVA | IOMMU_IOAS_MAP_READABLE | IOMMU_IOAS_MAP_WRITEABLE,
	};

	if (softvirt_device_add("ioat") || softvirt_device_add("ram,size=64M"))
		die("devices");
	iommufd = softvirt_open("/dev/iommu", O_RDWR);
	if (iommufd < 0)
		die("/dev/iommu");
	ioas = ioas_alloc();
	peer = open_device("/dev/vfio/devices/vfio1", &engine_id);
	engine = open_device("/dev/vfio/devices/vfio0", &engine_id);
	attach.pt_id = ioas;
	if (softvirt_ioctl(engine, VFIO_DEVICE_ATTACH_IOMMUFD_PT, &attach))
		die("VFIO_DEVICE_ATTACH_IOMMUFD_PT");
	if (softvirt_ioctl(engine, VFIO_DEVICE_GET_REGION_INFO, &info))
		die("VFIO_DEVICE_GET_REGION_INFO");
	regs = softvirt_mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, engine, (off_t)info.offset);
	mem = mmap(NULL, MEM_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (regs == MAP_FAILED || mem == MAP_FAILED)
		die("mmap");
	memset(mem, 1, MEM_SIZE);
	map.ioas_id = ioas;
	map.user_va = (uintptr_t)mem;
	if (softvirt_ioctl(iommufd, IOMMU_IOAS_MAP, &map))
		die("IOMMU_IOAS_MAP");
}

/* A chain of n descriptors that copy size bytes each; started and waited for. */
static void run_chain(unsigned n, uint32_t size, uint32_t ctl)
{
	struct desc *d = (struct desc *)(mem + RING);
	uint64_t last = IOVA + RING + (n - 1) * sizeof(*d);

	for (unsigned i = 0; i < n; i++) {
		uint64_t off = (uint64_t)i * size % (24 * MIB);

		d[i] = (struct desc){ .size = size, .ctl = i == n - 1 ? ctl | 8 : 0,
				      .src = IOVA + DATA + off, .dst = IOVA + DATA + 32 * MIB + off,
				      .next = IOVA + RING + (i + 1) * sizeof(*d) };
	}
	__atomic_store_n((uint64_t *)mem, 0, __ATOMIC_RELEASE);
	*(volatile uint64_t *)(regs + CHAINADDR) = IOVA + RING;
	*(volatile uint16_t *)(regs + DMACOUNT) = (uint16_t)n;
	while ((__atomic_load_n((uint64_t *)mem, __ATOMIC_ACQUIRE) & ~0x3ful) != last) {
		if ((__atomic_load_n((uint64_t *)mem, __ATOMIC_ACQUIRE) & 7) == 3)
			die("the engine halted");
		sched_yield();
	}
	while ((*(volatile uint64_t *)(regs + CHANSTS) & 7) == 0)
		;
}

static void engine_start(void)
{
	regs[CHANCMD] = 0x20;
	*(volatile uint16_t *)(regs + CHANCTRL) = 0xd;
	*(volatile uint64_t *)(regs + CHANCMP) = IOVA;
}

/*
 * Bytes per second of the engine and of memcpy over the same bytes; *ratio is the median of pairs.
 */
static double bench_copy(uint32_t size, double *memcpy_rate, double *ratio)
{
	unsigned n = (unsigned)(48 * MIB / size);
	double e[ROUNDS], m[ROUNDS], r[ROUNDS], t;

	if (n > 4096)
		n = 4096;
	for (int i = 0; i < ROUNDS; i++) {
		t = now();
		run_chain(n, size, 0);
		e[i] = (double)n * size / (now() - t);
		t = now();
		for (unsigned k = 0; k < n; k++) {
			uint64_t off = (uint64_t)k * size % (24 * MIB);

			memcpy(mem + DATA + 32 * MIB + off, mem + DATA + off, size);
			__asm__ volatile("" ::: "memory");
		}
		m[i] = (double)n * size / (now() - t);
		r[i] = e[i] / m[i];
	}
	*memcpy_rate = median(m, ROUNDS);
	*ratio = median(r, ROUNDS);
	return median(e, ROUNDS);
}

struct waiter {
	int fd;
	unsigned seen;		/* atomic */
	double at;		/* before seen */
	int stop;
};

static void *wait_thread(void *arg)
{
	struct waiter *w = arg;
	uint64_t v;

	while (read(w->fd, &v, sizeof(v)) == sizeof(v) && !__atomic_load_n(&w->stop, __ATOMIC_ACQUIRE)) {
		w->at = now();
		__atomic_fetch_add(&w->seen, 1, __ATOMIC_RELEASE);
	}
	return NULL;
}

static void set_irq_eventfd(int fd)
{
	struct {
		struct vfio_irq_set set;
		int fd;
	} s = { .set = { .argsz = sizeof(s), .flags = VFIO_IRQ_SET_DATA_EVENTFD | VFIO_IRQ_SET_ACTION_TRIGGER,
			 .index = VFIO_PCI_MSIX_IRQ_INDEX, .start = 0, .count = 1 }, .fd = fd };

	if (softvirt_ioctl(engine, VFIO_DEVICE_SET_IRQS, &s))
		die("VFIO_DEVICE_SET_IRQS");
}

#define WAKEUPS 2000

static void *poke_thread(void *arg)
{
	struct waiter *w = arg;
	uint64_t one = 1;
	double *v = calloc(WAKEUPS, sizeof(*v));

	if (!v)
		die("calloc");
	for (unsigned i = 0; i < WAKEUPS; i++) {
		double t = now();

		if (write(w->fd, &one, sizeof(one)) != sizeof(one))
			die("eventfd");
		while (__atomic_load_n(&w->seen, __ATOMIC_ACQUIRE) != i + 1)
			sched_yield();
		v[i] = w->at - t;
	}
	*(double *)v = median(v, WAKEUPS);
	return v;
}

/*
 * From the doorbell to the waiter. The engine's part (fetching a null descriptor in its thread) is
 * in it: one wake-up more than the eventfd alone.
 */
static double bench_interrupt(double *peer_median)
{
	struct desc *d = (struct desc *)(mem + RING);
	struct waiter w = { .fd = eventfd(0, EFD_CLOEXEC) };
	static double v[WAKEUPS];
	pthread_t t, p;
	void *result;
	uint64_t one = 1;
	double m;

	if (w.fd < 0 || pthread_create(&t, NULL, wait_thread, &w))
		die("thread");
	if (pthread_create(&p, NULL, poke_thread, &w))
		die("thread");
	pthread_join(p, &result);
	*peer_median = *(double *)result;
	free(result);
	set_irq_eventfd(w.fd);
	regs[3] = 1;
	for (unsigned i = 0; i < WAKEUPS; i++) {
		unsigned before = __atomic_load_n(&w.seen, __ATOMIC_ACQUIRE);
		double start;

		*d = (struct desc){ .ctl = 0x29, .next = IOVA + RING };
		*(volatile uint64_t *)(regs + CHAINADDR) = IOVA + RING;
		start = now();
		*(volatile uint16_t *)(regs + DMACOUNT) = 1;
		while (__atomic_load_n(&w.seen, __ATOMIC_ACQUIRE) == before)
			sched_yield();
		v[i] = w.at - start;
		*(volatile uint16_t *)(regs + CHANCTRL) = 0xd;
		while ((*(volatile uint64_t *)(regs + CHANSTS) & 7) == 0)
			;
	}
	m = median(v, WAKEUPS);
	__atomic_store_n(&w.stop, 1, __ATOMIC_RELEASE);
	if (write(w.fd, &one, sizeof(one)) != sizeof(one))
		die("eventfd");
	pthread_join(t, NULL);
	return m;
}

/* The engine sits on one space; each of the others has a page table of its own, too. */
static double bench_revoke(void)
{
	struct {
		struct vfio_device_feature head;
		struct vfio_device_feature_dma_buf buf;
		struct vfio_region_dma_range range;
	} f = {
		.head = { sizeof(f), VFIO_DEVICE_FEATURE_GET | VFIO_DEVICE_FEATURE_DMA_BUF },
		.buf = { .open_flags = O_RDWR | O_CLOEXEC, .nr_ranges = 1 },
		.range = { 0, 64 * MIB },
	};
	static uint32_t spaces[SPACES];
	double v[ROUNDS];
	int buf = softvirt_ioctl(peer, VFIO_DEVICE_FEATURE, &f);

	if (buf < 0)
		die("VFIO_DEVICE_FEATURE_DMA_BUF");
	for (unsigned i = 0; i < SPACES; i++) {
		struct iommu_hwpt_alloc hwpt = { .size = sizeof(hwpt), .dev_id = engine_id };

		spaces[i] = hwpt.pt_id = i ? ioas_alloc() : ioas;
		if (i && softvirt_ioctl(iommufd, IOMMU_HWPT_ALLOC, &hwpt))
			die("IOMMU_HWPT_ALLOC");
	}
	for (int r = 0; r < ROUNDS; r++) {
		uint16_t off = 4, on = 6;
		struct vfio_region_info info = { .argsz = sizeof(info), .index = VFIO_PCI_CONFIG_REGION_INDEX };
		double t;

		for (unsigned i = 0; i < SPACES; i++) {
			struct iommu_ioas_map_file map = {
				.size = sizeof(map), .ioas_id = spaces[i], .fd = buf,
				.length = 64 * MIB, .iova = 0x80000000ul,
				.flags = IOMMU_IOAS_MAP_FIXED_IOVA | IOMMU_IOAS_MAP_READABLE |
					 IOMMU_IOAS_MAP_WRITEABLE,
			};

			if (softvirt_ioctl(iommufd, IOMMU_IOAS_MAP_FILE, &map))
				die("IOMMU_IOAS_MAP_FILE");
		}
		if (softvirt_ioctl(peer, VFIO_DEVICE_GET_REGION_INFO, &info))
			die("VFIO_DEVICE_GET_REGION_INFO");
		t = now();
		if (softvirt_pwrite(peer, &off, 2, (off_t)info.offset + 4) != 2)
			die("PCI command");
		v[r] = now() - t;
		if (softvirt_pwrite(peer, &on, 2, (off_t)info.offset + 4) != 2)
			die("PCI command");
		for (unsigned i = 0; i < SPACES; i++) {
			struct iommu_ioas_unmap unmap = { .size = sizeof(unmap), .ioas_id = spaces[i],
							  .iova = 0x80000000ul, .length = 64 * MIB };

			if (softvirt_ioctl(iommufd, IOMMU_IOAS_UNMAP, &unmap))
				die("IOMMU_IOAS_UNMAP");
		}
	}
	softvirt_close(buf);
	return median(v, ROUNDS);
}

/* One load of a register through the mapping: a fault, a decoded instruction, the device. */
static double bench_register(void)
{
	double v[ROUNDS];

	for (int r = 0; r < ROUNDS; r++) {
		double t = now();

		for (int i = 0; i < 10000; i++)
			(void)*(volatile uint64_t *)(regs + CHANSTS);
		v[r] = (now() - t) / 10000;
	}
	return median(v, ROUNDS);
}

int main(int argc, char **argv)
{
	static const uint32_t sizes[] = { 4096, 65536, 1u << 20 };
	bool json = argc > 1 && !strcmp(argv[1], "--json");
	double copy[3], mcpy[3], ratio[3], irq, irq_peer, revoke, reg;

	setup();
	engine_start();
	for (int i = 0; i < 3; i++)
		copy[i] = bench_copy(sizes[i], &mcpy[i], &ratio[i]);
	reg = bench_register();
	irq = bench_interrupt(&irq_peer);
	revoke = bench_revoke();
	if (json) {
		printf("{\"ioat_copy_1m_of_memcpy\": %.3f, \"ioat_copy_1m_gbs\": %.2f, \"ioat_copy_64k_of_memcpy\": %.3f, "
		       "\"ioat_copy_4k_of_memcpy\": %.3f, \"register_load_us\": %.3f, \"msix_us\": %.2f, "
		       "\"eventfd_us\": %.2f, \"revoke_1000_spaces_ms\": %.3f}\n",
		       ratio[2], copy[2] / 1e9, ratio[1], ratio[0], reg * 1e6, irq * 1e6, irq_peer * 1e6,
		       revoke * 1e3);
		return 0;
	}
	for (int i = 0; i < 3; i++)
		printf("ioat copy, %7u bytes each   %6.2f GB/s   memcpy %6.2f GB/s   ratio %.2f\n", sizes[i],
		       copy[i] / 1e9, mcpy[i] / 1e9, ratio[i]);
	printf("load of a mapped register      %6.2f us\n", reg * 1e6);
	printf("doorbell to MSI-X's waiter     %6.2f us     eventfd alone %.2f us\n", irq * 1e6, irq_peer * 1e6);
	printf("revoke, 1,000 address spaces   %6.3f ms\n", revoke * 1e3);
	return 0;
}
