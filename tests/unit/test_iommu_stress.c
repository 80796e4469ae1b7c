/* SPDX-License-Identifier: MIT */
/*
 * Many threads over one space: those who map, unmap and take memory away, devices that read and
 * write all the time, one that attaches and detaches, one that copies areas to another space.
 *
 * The oracle: the memory behind slot i holds the byte i + 1 in every byte for as long as it is
 * mapped there, and devices write nothing else. A device that reads another byte, or memory that
 * changes after its unmap has returned, is a broken invariant.
 */
#include <sched.h>

#include "base/sync.h"
#include "iommu_env.h"

/* cmocka's own may only be used in the first thread. */
#define CHECK(cond) do { \
	if (!(cond)) { \
		fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #cond); \
		abort(); \
	} \
} while (0)

#define SLOTS 12
#define SLOT_PAGES 4
#define SLOT_LEN (SLOT_PAGES * PAGE)
#define SLOT_IOVA(i) (0x40000000ull + (i) * 0x10000)
#define FOREIGN 0xee

static struct env e;
static struct env_dev guest;	/* comes and goes */
static u32 other;
static bool stop;
static struct sv_mutex slot_lock[SLOTS] = { [0 ... SLOTS - 1] = SV_MUTEX_INIT };

static u8 *slot_memory(u8 *at, u8 v)
{
	u8 *p = mmap(at, SLOT_LEN, PROT_READ | PROT_WRITE,
		     MAP_PRIVATE | MAP_ANONYMOUS | (at ? MAP_FIXED : 0), -1, 0);

	CHECK(p != MAP_FAILED);
	memset(p, v, SLOT_LEN);
	return p;
}

/* Every byte is v; else the message says who looked. */
static void check_all(const char *who, const u8 *p, size_t n, u8 v)
{
	for (size_t i = 0; i < n; i++) {
		if (p[i] == v)
			continue;
		fprintf(stderr, "%s: byte %zu of %zu is %#x, not %#x\n", who, i, n, p[i], v);
		abort();
	}
}

static void slot_round(unsigned i, u64 *seed)
{
	u8 *p = slot_memory(NULL, (u8)(i + 1));

	CHECK(env_map(&e, e.ioas, p, SLOT_LEN, SLOT_IOVA(i), RW) == 0);
	if (unit_rand(seed) % 2) {
		/* Part of it goes away; what comes in its place is not for devices. */
		u64 from = unit_rand(seed) % SLOT_PAGES, n = 1 + unit_rand(seed) % (SLOT_PAGES - from);
		u8 *q = softvirt_mmap(p + from * PAGE, n * PAGE, PROT_READ | PROT_WRITE,
				      MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);

		CHECK(q == p + from * PAGE);
		memset(q, FOREIGN, n * PAGE);
		for (unsigned k = 0; k < 3; k++)
			check_all("what came in its place", q, n * PAGE, FOREIGN);
	}
	/* As long as the copier looks at an area its memory is what the slot says. */
	sv_mutex_lock(&slot_lock[i]);
	CHECK(env_unmap(&e, e.ioas, SLOT_IOVA(i), SLOT_LEN) == 0);
	/* Nobody else has it now, unless the copier does, who never has the lower half. */
	if (i < SLOTS / 2) {
		memset(p, FOREIGN, SLOT_LEN);
		check_all("unmapped memory", p, SLOT_LEN, FOREIGN);
	}
	CHECK(softvirt_munmap(p, SLOT_LEN) == 0);
	sv_mutex_unlock(&slot_lock[i]);
}

static void *mapper(void *arg)
{
	unsigned id = (unsigned)(uintptr_t)arg;
	u64 seed = 1000 + id;

	for (unsigned round = 0; round < 400; round++)
		slot_round(unit_rand(&seed) % (SLOTS / 4) * 4 + id, &seed);
	return NULL;
}

static void *device(void *arg)
{
	/*
	 * Devices keep off each other's slots: what they do to shared bytes is no concern of locks.
	 */
	unsigned id = (unsigned)(uintptr_t)arg;
	struct env_dev *d = id < 2 ? &e.d[id] : &guest;
	u8 buf[SLOT_LEN];
	u64 seed = 7 + id;

	while (!__atomic_load_n(&stop, __ATOMIC_RELAXED)) {
		unsigned i = id + 3 * (unit_rand(&seed) % (SLOTS / 3));
		struct iommu_dma_fault f;
		size_t got = SLOT_LEN;
		u64 v = 0x0101010101010101ull * (i + 1);

		if (iommu_dma_read(&d->dev, 0, buf, SLOT_IOVA(i), SLOT_LEN, &f)) {
			CHECK(f.reason == IOMMU_FAULT_UNMAPPED || f.reason == IOMMU_FAULT_BLOCKED);
			got = f.iova - SLOT_IOVA(i);
		}
		check_all("device", buf, got, (u8)(i + 1));
		if (iommu_dma_fill(&d->dev, 0, SLOT_IOVA(i), v, SLOT_LEN, &f))
			CHECK(f.reason == IOMMU_FAULT_UNMAPPED || f.reason == IOMMU_FAULT_BLOCKED);
		if (iommu_dma_copy(&d->dev, 0, SLOT_IOVA(i) + PAGE, SLOT_IOVA(i), PAGE, &f))
			CHECK(f.reason == IOMMU_FAULT_UNMAPPED || f.reason == IOMMU_FAULT_BLOCKED);
	}
	return NULL;
}

static void *attacher(void *arg)
{
	while (!__atomic_load_n(&stop, __ATOMIC_RELAXED)) {
		CHECK(env_attach(&guest, e.ioas) == 0);
		env_detach(&guest);
	}
	return NULL;
}

static void *copier(void *arg)
{
	u64 seed = 99;

	while (!__atomic_load_n(&stop, __ATOMIC_RELAXED)) {
		unsigned i = SLOTS / 2 + unit_rand(&seed) % (SLOTS / 2);
		int ret;

		sv_mutex_lock(&slot_lock[i]);
		ret = env_copy(&e, other, SLOT_IOVA(i), e.ioas, SLOT_IOVA(i), SLOT_LEN, RW);
		sv_mutex_unlock(&slot_lock[i]);
		if (ret)
			CHECK(ret == -ENOENT);
		else
			CHECK(env_unmap(&e, other, SLOT_IOVA(i), SLOT_LEN) == 0);
	}
	return NULL;
}

static void all_at_once(void **state)
{
	struct sv_thread maps[4], dev[3], at, co;

	stop = false;
	env_up(&e);
	other = env_ioas(&e);
	env_dev_up(&e, &guest);
	assert_int_equal(env_attach(&e.d[0], e.ioas), 0);
	assert_int_equal(env_attach(&e.d[1], other), 0);
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(sv_thread_create(&dev[i], "device", device, (void *)(uintptr_t)i), 0);
	assert_int_equal(sv_thread_create(&at, "attacher", attacher, NULL), 0);
	assert_int_equal(sv_thread_create(&co, "copier", copier, NULL), 0);
	for (unsigned i = 0; i < ARRAY_SIZE(maps); i++)
		assert_int_equal(sv_thread_create(&maps[i], "mapper", mapper, (void *)(uintptr_t)i), 0);
	for (unsigned i = 0; i < ARRAY_SIZE(maps); i++)
		sv_thread_join(&maps[i]);
	__atomic_store_n(&stop, true, __ATOMIC_RELAXED);
	sv_thread_join(&co);
	sv_thread_join(&at);
	for (unsigned i = 0; i < 3; i++)
		sv_thread_join(&dev[i]);
	env_detach(&e.d[0]);
	env_detach(&e.d[1]);
	env_dev_down(&guest);
	env_down(&e);
}

/* Accesses that pin and end while others unmap what they have pinned: none is left behind. */
struct pinner {
	struct iommufd_access *access;
	struct sv_mutex lock;
	bool pinned;
	u64 iova;
};

static void pinner_unmap(void *data, u64 iova, u64 length)
{
	struct pinner *x = data;

	sv_mutex_lock(&x->lock);
	if (x->pinned && x->iova - iova < length) {
		iommufd_access_unpin_pages(x->access, x->iova, PAGE);
		x->pinned = false;
	}
	sv_mutex_unlock(&x->lock);
}

static const struct iommufd_access_ops pinner_ops = { .needs_pin_pages = true, .unmap = pinner_unmap };

static void *pinners(void *arg)
{
	while (!__atomic_load_n(&stop, __ATOMIC_RELAXED)) {
		struct pinner *x = calloc(1, sizeof(*x));
		void *addr;
		u32 id;

		CHECK(x);
		sv_mutex_init(&x->lock);
		x->iova = SLOT_IOVA(0);
		x->access = iommufd_access_create(e.ictx, &pinner_ops, x, &id);
		CHECK(!IS_ERR(x->access));
		CHECK(iommufd_access_attach(x->access, e.ioas) == 0);
		sv_mutex_lock(&x->lock);
		x->pinned = !iommufd_access_pin_pages(x->access, x->iova, PAGE, &addr,
						      IOMMUFD_ACCESS_RW_WRITE);
		sv_mutex_unlock(&x->lock);
		iommufd_access_destroy(x->access);
		CHECK(!x->pinned);
		sv_mutex_destroy(&x->lock);
		free(x);
	}
	return NULL;
}

static void accesses_end_beside_unmaps(void **state)
{
	struct sv_thread t[2];
	u8 *p = env_memory(PAGE);
	u32 before;

	stop = false;
	env_up(&e);
	before = e.ictx->nr_objects;
	for (unsigned i = 0; i < ARRAY_SIZE(t); i++)
		assert_int_equal(sv_thread_create(&t[i], "pinner", pinners, NULL), 0);
	for (unsigned i = 0; i < 20000; i++) {
		assert_int_equal(env_map(&e, e.ioas, p, PAGE, SLOT_IOVA(0), RW), 0);
		sched_yield();
		assert_int_equal(env_unmap(&e, e.ioas, SLOT_IOVA(0), PAGE), 0);
	}
	__atomic_store_n(&stop, true, __ATOMIC_RELAXED);
	for (unsigned i = 0; i < ARRAY_SIZE(t); i++)
		sv_thread_join(&t[i]);
	assert_int_equal(e.ictx->nr_objects, before);
	munmap(p, PAGE);
	env_down(&e);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(all_at_once),
		cmocka_unit_test(accesses_end_beside_unmaps),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
