// SPDX-License-Identifier: MIT
/*
 * What an I/O address space costs: maps and unmaps through the ioctls, a translation, many areas,
 * DMA. A table, or with --json one JSON object.
 *
 * DMA's peer is memcpy over the same buffers in the same run. Times are CPU time of the one thread,
 * so that a busy machine disturbs little; the median of so many rounds.
 *
 * usage: bench-iommu [--json]
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "iommu/impl.h"
#include "iommu/soft.h"
#include "softvirt/softvirt.h"

#define ROUNDS 7
#define KIB 1024ull
#define MIB (1024 * KIB)
#define GIB (1024 * MIB)
#define IOVA (1ull << 40)

static int fd;
static u32 ioas;
static struct iommu_dev dev = { .dev.init_name = "bench", .iommu = &vtd_iommu_ops };

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static int compare_doubles(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

static double median(double *v)
{
	qsort(v, ROUNDS, sizeof(*v), compare_doubles);
	return v[ROUNDS / 2];
}

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static void map(void *p, u64 len, u64 iova)
{
	struct iommu_ioas_map m = {
		.size = sizeof(m), .ioas_id = ioas, .user_va = (u64)p, .length = len, .iova = iova,
		.flags = IOMMU_IOAS_MAP_FIXED_IOVA | IOMMU_IOAS_MAP_READABLE | IOMMU_IOAS_MAP_WRITEABLE,
	};

	if (softvirt_ioctl(fd, IOMMU_IOAS_MAP, &m))
		die("IOMMU_IOAS_MAP");
}

static void unmap(u64 len, u64 iova)
{
	struct iommu_ioas_unmap u = { .size = sizeof(u), .ioas_id = ioas, .iova = iova, .length = len };

	if (softvirt_ioctl(fd, IOMMU_IOAS_UNMAP, &u))
		die("IOMMU_IOAS_UNMAP");
}

/* Seconds of one map and one unmap. */
static void bench_map(u8 *p, u64 len, unsigned n, double *map_s, double *both_s)
{
	double m[ROUNDS], b[ROUNDS];

	for (unsigned r = 0; r < ROUNDS; r++) {
		double t = now(), t1 = 0;

		for (unsigned i = 0; i < n; i++) {
			map(p, len, IOVA);
			unmap(len, IOVA);
		}
		b[r] = (now() - t) / n;
		for (unsigned i = 0; i < n && i < 100; i++) {
			t = now();
			map(p, len, IOVA);
			t1 += now() - t;
			unmap(len, IOVA);
		}
		m[r] = t1 / min(n, 100u);
	}
	*map_s = median(m);
	*both_s = median(b);
}

/* One hit in the requester's cache, with and without taking its lock. */
static double bench_hit(u8 *p, bool locked)
{
	struct soft_requester *rq = dev.iommu_priv;
	const unsigned n = 5000000;
	double v[ROUNDS];
	u64 sum = 0;

	map(p, MIB, IOVA);
	for (unsigned r = 0; r < ROUNDS; r++) {
		double t = now();

		if (!locked)
			sv_mutex_lock(&rq->dma_lock);
		for (unsigned i = 0; i < n; i++) {
			u64 iova = IOVA + (i & 15) * SV_PAGE_SIZE + (i & 0xff8);
			const struct soft_tlb *tlb;

			if (locked)
				sv_mutex_lock(&rq->dma_lock);
			tlb = soft_translate(rq, soft_attach_find(rq, IOMMU_NO_PASID), IOMMU_NO_PASID,
					     iova, true);
			if (!tlb) {
				struct soft_access a = { .iova = iova, .write = true };
				struct soft_miss miss;

				tlb = soft_translate_slow(rq, rq->none, &a, &miss);
			}
			if (!tlb)
				die("translate");
			sum += tlb->addr + (iova - tlb->start);
			if (locked)
				sv_mutex_unlock(&rq->dma_lock);
		}
		if (!locked)
			sv_mutex_unlock(&rq->dma_lock);
		v[r] = (now() - t) / n;
	}
	unmap(MIB, IOVA);
	__asm__ volatile("" : : "r"(sum));
	return median(v);
}

/*
 * With n areas of a page in the space: seconds of a map and an unmap of one more, by chosen IOVA.
 */
static double bench_areas(u8 *p, unsigned n)
{
	double v[ROUNDS], t;

	for (unsigned i = 0; i < n; i++)
		map(p + (i % 256) * SV_PAGE_SIZE, SV_PAGE_SIZE, IOVA + 2 * i * SV_PAGE_SIZE);
	for (unsigned r = 0; r < ROUNDS; r++) {
		t = now();
		for (unsigned i = 0; i < 20000; i++) {
			struct iommu_ioas_map m = {
				.size = sizeof(m), .ioas_id = ioas, .user_va = (u64)p, .length = SV_PAGE_SIZE,
				.flags = IOMMU_IOAS_MAP_READABLE,
			};

			if (softvirt_ioctl(fd, IOMMU_IOAS_MAP, &m))
				die("IOMMU_IOAS_MAP");
			unmap(SV_PAGE_SIZE, m.iova);
		}
		v[r] = (now() - t) / 20000;
	}
	unmap(2ull * n * SV_PAGE_SIZE, IOVA);
	return median(v);
}

/* Bytes a second, DMA's and memcpy's, between two buffers. */
static void bench_copy(u8 *src, u8 *dst, u64 len, double *dma, double *cpu)
{
	unsigned n = (unsigned)max(1ull, 256 * MIB / len);
	double d[ROUNDS], c[ROUNDS];

	map(src, len, IOVA);
	map(dst, len, IOVA + GIB);
	for (unsigned r = 0; r < ROUNDS; r++) {
		double t = now();

		for (unsigned i = 0; i < n; i++)
			if (iommu_dma_copy(&dev, IOMMU_NO_PASID, IOVA + GIB, IOVA, len, NULL))
				die("dma");
		d[r] = (double)len * n / (now() - t);
		t = now();
		for (unsigned i = 0; i < n; i++) {
			memcpy(dst, src, len);
			__asm__ volatile("" : : : "memory");
		}
		c[r] = (double)len * n / (now() - t);
	}
	unmap(len, IOVA);
	unmap(len, IOVA + GIB);
	*dma = median(d);
	*cpu = median(c);
}

static bool json;
static bool first = true;

static void show(const char *key, const char *text, double v, const char *unit)
{
	if (json)
		printf("%s\"%s\": %.6g", first ? "{" : ", ", key, v);
	else
		printf("%-58s %12.4g %s\n", text, v, unit);
	first = false;
}

static void setup(struct iommufd_device **idev)
{
	struct iommu_ioas_alloc a = { .size = sizeof(a) };
	struct iommufd_ctx *ictx;
	u32 id, pt;

	fd = softvirt_open("/dev/iommu", O_RDWR);
	if (fd < 0 || softvirt_ioctl(fd, IOMMU_IOAS_ALLOC, &a))
		die("/dev/iommu");
	ioas = a.out_ioas_id;
	ictx = iommufd_ctx_from_fd(fd);
	if (iommu_dev_init(&dev, 1))
		die("iommu_dev_init");
	*idev = iommufd_device_bind(ictx, &dev, &id);
	pt = ioas;
	if (IS_ERR(*idev) || iommufd_device_attach(*idev, IOMMU_NO_PASID, &pt))
		die("attach");
	iommufd_ctx_put(ictx);
}

int main(int argc, char **argv)
{
	static const struct { u64 len; unsigned n; const char *name; } sizes[] = {
		{ 4 * KIB, 200000, "4k" }, { 64 * KIB, 50000, "64k" }, { 2 * MIB, 500, "2m" }, { GIB, 200, "1g" },
	};
	static const u64 copies[] = { 4 * KIB, 64 * KIB, MIB, 16 * MIB };
	struct iommufd_device *idev;
	char key[64], text[96];
	u8 *p;

	json = argc > 1 && !strcmp(argv[1], "--json");
	p = mmap(NULL, GIB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (p == MAP_FAILED)
		die("mmap");
	memset(p, 1, GIB);
	setup(&idev);
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		double m, b;

		bench_map(p, sizes[i].len, sizes[i].n, &m, &b);
		snprintf(key, sizeof(key), "map_unmap_%s_per_s", sizes[i].name);
		snprintf(text, sizeof(text), "IOAS map + unmap of %s resident, a second", sizes[i].name);
		show(key, text, 1 / b, "/s");
		snprintf(key, sizeof(key), "map_%s_us", sizes[i].name);
		snprintf(text, sizeof(text), "  the map alone");
		show(key, text, m * 1e6, "us");
	}
	show("translation_hit_ns", "translation, hit", bench_hit(p, false) * 1e9, "ns");
	show("translation_hit_locked_ns", "  with the requester's lock", bench_hit(p, true) * 1e9, "ns");
	for (unsigned n = 100; n <= 100000; n *= 10) {
		snprintf(key, sizeof(key), "map_unmap_among_%u_us", n);
		snprintf(text, sizeof(text), "map + unmap of 4k at a chosen IOVA, among %u areas", n);
		show(key, text, bench_areas(p, n) * 1e6, "us");
	}
	for (size_t i = 0; i < ARRAY_SIZE(copies); i++) {
		double d, c;

		bench_copy(p, p + 512 * MIB, copies[i], &d, &c);
		snprintf(key, sizeof(key), "dma_copy_%lluk_of_memcpy", (unsigned long long)(copies[i] / KIB));
		snprintf(text, sizeof(text), "DMA copy of %llu KiB, of memcpy's bandwidth",
			 (unsigned long long)(copies[i] / KIB));
		show(key, text, 100 * d / c, "%");
	}
	if (json)
		printf("}\n");
	iommufd_device_detach(idev, IOMMU_NO_PASID);
	iommufd_device_unbind(idev);
	iommu_dev_fini(&dev);
	softvirt_close(fd);
	return 0;
}
