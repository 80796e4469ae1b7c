/* SPDX-License-Identifier: MIT */
/*
 * Revocation with every kind of importer, each a device with a thread that moves bytes; and
 * of CPU mappings, here and in other processes.
 */
#include "unit.h"

#include "base/alloc.h"
#include "base/guard.h"
#include "dmabuf/importer.h"
#include "dmabuf/mem.h"
#include "file/file.h"

#define SIZE (64 * SV_PAGE_SIZE)

static struct dma_buf *b;

static u64 in_ms(unsigned int ms)
{
	return (u64)ktime_get() + ms * 1000000ull;
}

static int setup(void **state)
{
	b = dma_mem_export("test", SIZE, O_RDWR);
	return IS_ERR(b);
}

static int teardown(void **state)
{
	dma_buf_put(b);
	rcu_barrier();
	return 0;
}

static struct dma_importer *importer(enum dma_importer_kind kind)
{
	struct dma_importer *imp = dma_importer_create(b, kind, "dev0", SIZE);

	assert_false(IS_ERR(imp));
	return imp;
}

static int copy(struct dma_importer *imp, enum dma_importer_dir dir)
{
	struct dma_fence *f = dma_importer_copy(imp, dir, 0, 0, SIZE);
	int err;

	if (IS_ERR(f))
		return (int)PTR_ERR(f);
	dma_fence_wait(f, false);
	err = f->error;
	dma_fence_put(f);
	return err;
}

static void test_bytes_move(void **state)
{
	for (int kind = DMA_IMPORTER_DYNAMIC; kind <= DMA_IMPORTER_STATIC; kind++) {
		struct dma_importer *imp = importer((enum dma_importer_kind)kind);
		char *mem = dma_importer_mem(imp), *buf = dma_mem_vaddr(b);

		memset(mem, 'a' + kind, SIZE);
		assert_int_equal(copy(imp, DMA_IMPORTER_WRITE), 0);
		assert_memory_equal(mem, buf, SIZE);
		memset(buf, 'A' + kind, SIZE);
		assert_int_equal(copy(imp, DMA_IMPORTER_READ), 0);
		assert_memory_equal(mem, buf, SIZE);
		assert_int_equal(PTR_ERR(dma_importer_copy(imp, DMA_IMPORTER_READ, 1, 0, SIZE)),
				 -EINVAL);
		assert_int_equal(PTR_ERR(dma_importer_copy(imp, DMA_IMPORTER_READ, 0, SIZE, 1)),
				 -EINVAL);
		assert_int_equal(PTR_ERR(dma_importer_copy(imp, DMA_IMPORTER_READ, 0, 0, 0)),
				 -EINVAL);
		dma_importer_destroy(imp);
	}
}

static void test_dynamic_maps_again_after_restore(void **state)
{
	struct dma_importer *imp = importer(DMA_IMPORTER_DYNAMIC);

	assert_int_equal(copy(imp, DMA_IMPORTER_WRITE), 0);
	assert_true(dma_importer_is_mapped(imp));
	assert_int_equal(dma_buf_revoke(b, in_ms(5000)), 0);
	assert_false(dma_importer_is_mapped(imp));
	assert_int_equal(copy(imp, DMA_IMPORTER_WRITE), -ENODEV);
	assert_int_equal(PTR_ERR(dma_importer_create(b, DMA_IMPORTER_DYNAMIC, "late", 1)), -ENODEV);
	assert_int_equal(dma_buf_revoke(b, in_ms(5000)), 0);	/* again: nothing to do */
	assert_int_equal(dma_buf_restore(b), 0);
	assert_int_equal(dma_buf_restore(b), 0);
	assert_int_equal(copy(imp, DMA_IMPORTER_WRITE), 0);
	dma_importer_destroy(imp);
}

static void test_pinned_revocable_stays_dead(void **state)
{
	struct dma_importer *imp = importer(DMA_IMPORTER_PINNED_REVOCABLE);

	assert_int_equal(dma_buf_revoke(b, in_ms(5000)), 0);
	assert_int_equal(dma_importer_remap(imp), -ENODEV);
	assert_int_equal(dma_buf_restore(b), 0);
	assert_int_equal(copy(imp, DMA_IMPORTER_WRITE), -ENODEV);
	assert_int_equal(dma_importer_remap(imp), 0);
	assert_int_equal(copy(imp, DMA_IMPORTER_WRITE), 0);
	dma_importer_destroy(imp);
}

static void check_late(enum dma_importer_kind kind, bool dynamic, bool pinned)
{
	struct dma_importer *imp = importer(kind);
	struct dma_buf_late late[4];

	assert_int_equal(dma_buf_revoke(b, in_ms(20)), -ETIMEDOUT);
	assert_int_equal(dma_buf_late(b, late, 4), 1);
	assert_int_equal(late[0].kind, DMA_BUF_LATE_MAPPING);
	assert_string_equal(late[0].name, "dev0");
	assert_int_equal(late[0].dynamic, dynamic);
	assert_int_equal(late[0].pinned, pinned);
	assert_false(late[0].revocable);
	assert_int_equal(late[0].count, 1);
	/* Its mapping is from before: nothing may be restored around it. */
	assert_int_equal(dma_buf_restore(b), -EBUSY);
	/* It unmaps when it pleases; until then it may still touch the memory. */
	assert_int_equal(copy(imp, DMA_IMPORTER_READ), 0);
	dma_importer_destroy(imp);
	assert_int_equal(dma_buf_revoke(b, in_ms(5000)), 0);
	assert_int_equal(dma_buf_late(b, late, 4), 0);
	assert_int_equal(dma_buf_restore(b), 0);
}

static void test_legacy_is_named(void **state)
{
	check_late(DMA_IMPORTER_PINNED_LEGACY, true, true);
}

static void test_static_is_named(void **state)
{
	check_late(DMA_IMPORTER_STATIC, false, false);
}

static void test_stalled_device_is_named_and_waited_for(void **state)
{
	struct dma_importer *imp = importer(DMA_IMPORTER_DYNAMIC);
	struct dma_buf_late late[4];
	struct dma_fence *f;

	dma_importer_stall(imp, true);
	f = dma_importer_copy(imp, DMA_IMPORTER_WRITE, 0, 0, SIZE);
	assert_false(IS_ERR(f));
	assert_int_equal(dma_buf_revoke(b, in_ms(20)), -ETIMEDOUT);
	assert_int_equal(dma_buf_late(b, late, 4), 2);
	assert_int_equal(late[0].kind, DMA_BUF_LATE_MAPPING);
	assert_true(late[0].revocable);
	assert_int_equal(late[1].kind, DMA_BUF_LATE_FENCE);
	assert_string_equal(late[1].name, "softvirt-importer/copy-engine");
	assert_int_equal(late[1].context, f->context);
	/* It signals late; then everything ends well. */
	dma_importer_stall(imp, false);
	assert_int_equal(dma_buf_revoke(b, in_ms(5000)), 0);
	assert_int_equal(f->error, 0);
	dma_fence_put(f);
	dma_importer_destroy(imp);
}

static void test_pinned_cancels_what_was_not_begun(void **state)
{
	struct dma_importer *imp = importer(DMA_IMPORTER_PINNED_REVOCABLE);
	struct dma_fence *f;

	dma_importer_stall(imp, true);
	f = dma_importer_copy(imp, DMA_IMPORTER_WRITE, 0, 0, SIZE);
	assert_int_equal(dma_buf_revoke(b, in_ms(5000)), 0);
	assert_int_equal(dma_fence_get_status(f), -ECANCELED);
	dma_fence_put(f);
	dma_importer_destroy(imp);
}

static const char *never_name(struct dma_fence *f) { return "never"; }
static const struct dma_fence_ops never_ops = {
	.get_driver_name = never_name, .get_timeline_name = never_name,
};

static void test_fence_that_never_signals(void **state)
{
	struct dma_fence *f = malloc(sizeof(*f));
	struct dma_buf_late late;

	dma_fence_init(f, &never_ops, NULL, dma_fence_context_alloc(1), 3);
	dma_resv_lock(b->resv, NULL);
	assert_int_equal(dma_resv_reserve_fences(b->resv, 1), 0);
	dma_resv_add_fence(b->resv, f, DMA_RESV_USAGE_BOOKKEEP);
	dma_resv_unlock(b->resv);
	assert_int_equal(dma_buf_revoke(b, in_ms(20)), -ETIMEDOUT);
	assert_int_equal(dma_buf_late(b, &late, 1), 1);
	assert_string_equal(late.name, "never/never");
	assert_int_equal(late.seqno, 3);
	dma_fence_signal(f);
	dma_fence_put(f);
	assert_int_equal(dma_buf_revoke(b, in_ms(5000)), 0);
}

static void test_lock_that_is_kept(void **state)
{
	struct dma_buf_late late;

	dma_resv_lock(b->resv, NULL);
	assert_int_equal(dma_buf_revoke(b, in_ms(10)), -ETIMEDOUT);
	assert_int_equal(dma_buf_late(b, &late, 1), 1);
	assert_int_equal(late.kind, DMA_BUF_LATE_LOCK);
	dma_resv_unlock(b->resv);
	assert_int_equal(dma_buf_revoke(b, in_ms(5000)), 0);
}

/* An address of it that faults: 1; that works: 0. */
static int faults(volatile char *p, bool write)
{
	struct sv_guard g;

	if (sv_guard_enter(&g))
		return g.signo == SIGBUS ? 1 : -1;
	if (write)
		*p = 'w';
	else
		(void)*p;
	sv_guard_leave(&g);
	return 0;
}

static void test_cpu_mappings_die_and_come_back(void **state)
{
	int fd = dma_buf_fd(b, O_CLOEXEC);
	char *p = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	char *q = mmap(NULL, SIZE, PROT_READ, MAP_PRIVATE, fd, 0), *mine = dma_mem_vaddr(b);
	u64 rnd = 1;

	for (size_t i = 0; i < SIZE; i++)
		p[i] = (char)unit_rand(&rnd);
	assert_memory_equal(mine, p, SIZE);
	assert_int_equal(dma_buf_revoke(b, in_ms(5000)), 0);
	for (size_t i = 0; i < SIZE; i += SV_PAGE_SIZE) {
		assert_int_equal(faults(p + i, false), 1);
		assert_int_equal(faults(p + i, true), 1);
		assert_int_equal(faults(q + i, false), 1);
	}
	/* A mapping made now is dead too, and the exporter has it all. */
	munmap(q, SIZE);
	q = mmap(NULL, SIZE, PROT_READ, MAP_SHARED, fd, 0);
	assert_int_equal(faults(q, false), 1);
	rnd = 1;
	for (size_t i = 0; i < SIZE; i++)
		assert_int_equal(mine[i], (char)unit_rand(&rnd));
	mine[5] = 'm';
	assert_int_equal(dma_buf_restore(b), 0);
	assert_int_equal(faults(p, true), 0);
	assert_int_equal(p[5], 'm');
	assert_memory_equal(p, mine, SIZE);
	p[7] = 'x';
	assert_int_equal(mine[7], 'x');
	munmap(p, SIZE);
	munmap(q, SIZE);
	sv_fd_forget(fd);
	close(fd);
}

static void test_born_dead_when_published_while_revoked(void **state)
{
	int fd;
	char *p;

	assert_int_equal(dma_buf_revoke(b, in_ms(5000)), 0);
	fd = dma_buf_fd(b, O_CLOEXEC);
	p = mmap(NULL, SIZE, PROT_READ, MAP_SHARED, fd, 0);
	assert_int_equal(faults(p, false), 1);
	assert_int_equal(dma_buf_restore(b), 0);
	assert_int_equal(faults(p, false), 0);
	munmap(p, SIZE);
	sv_fd_forget(fd);
	close(fd);
}

/*
 * Other processes, which know nothing of softvirt, count upwards in the buffer until they
 * die of SIGBUS. What they had stored by then is in the memory: not one store is lost.
 */
static void counter_process(int fd, volatile u64 *report, size_t page)
{
	volatile u64 *cell = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	struct sigaction dfl = { .sa_handler = SIG_DFL };

	sigaction(SIGBUS, &dfl, NULL);
	cell += page * (SV_PAGE_SIZE / sizeof(u64));
	for (u64 i = 1;; i++) {
		*cell = i;
		*report = i;
	}
}

#define CHILDREN 4
static void test_other_processes_die_and_lose_nothing(void **state)
{
	volatile u64 *reports = mmap(NULL, SV_PAGE_SIZE, PROT_READ | PROT_WRITE,
				     MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	int fd = dma_buf_fd(b, O_CLOEXEC);
	const u64 *mine = dma_mem_vaddr(b);
	pid_t pids[CHILDREN];

	for (size_t i = 0; i < CHILDREN; i++) {
		pids[i] = fork();
		if (!pids[i])
			counter_process(fd, &reports[i * 8], i * 15);
	}
	for (size_t i = 0; i < CHILDREN; i++)
		while (reports[i * 8] < 1000)
			usleep(100);
	assert_int_equal(dma_buf_revoke(b, in_ms(10000)), 0);
	for (size_t i = 0; i < CHILDREN; i++) {
		int status;
		u64 stored, said;

		assert_int_equal(waitpid(pids[i], &status, 0), pids[i]);
		assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGBUS);
		stored = mine[i * 15 * (SV_PAGE_SIZE / sizeof(u64))];
		said = reports[i * 8];
		/* It died at the store after the last one it reported, or at the report. */
		assert_true(stored == said || stored == said + 1);
	}
	munmap((void *)reports, SV_PAGE_SIZE);
	sv_fd_forget(fd);
	close(fd);
}

static void test_revoke_cpu_each_step_fails_once(void **state)
{
	int fd = dma_buf_fd(b, O_CLOEXEC);
	char *p = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	memset(p, 'c', SIZE);
	for (unsigned int n = 1;; n++) {
		int err;

		sv_fault_inject(n);
		err = dma_buf_revoke(b, in_ms(5000));
		if (!sv_fault_fired()) {
			assert_int_equal(err, 0);
			break;
		}
		sv_fault_inject(0);
		/* Revoked for devices, but the CPU could not be stopped: it is told so. */
		assert_true(err < 0);
		assert_int_equal(p[SIZE - 1], 'c');
	}
	for (unsigned int n = 1;; n++) {
		int err;

		sv_fault_inject(n);
		err = dma_buf_restore(b);
		if (!sv_fault_fired())
			break;
		sv_fault_inject(0);
		assert_true(err < 0);
		assert_int_equal(faults(p, false), 1);
		assert_int_equal(((char *)dma_mem_vaddr(b))[SIZE - 1], 'c');
	}
	sv_fault_inject(0);
	assert_int_equal(p[SIZE - 1], 'c');
	munmap(p, SIZE);
	sv_fd_forget(fd);
	close(fd);
}

/* A buffer between two places: its owner moves it, importers follow. No revoke. */
static struct {
	char *place[2];
	int at;
} mover;

static int mover_pin(struct dma_buf_attachment *a) { return 0; }
static void mover_unpin(struct dma_buf_attachment *a) { }
static struct sg_table *mover_map(struct dma_buf_attachment *a, enum dma_data_direction dir)
{
	return sg_table_create(mover.place[mover.at], SIZE);
}
static void mover_unmap(struct dma_buf_attachment *a, struct sg_table *t,
			enum dma_data_direction dir)
{
	sg_table_destroy(t);
}
static void mover_release(struct dma_buf *d) { }
static const struct dma_buf_ops mover_ops = {
	.pin = mover_pin, .unpin = mover_unpin, .map_dma_buf = mover_map,
	.unmap_dma_buf = mover_unmap, .release = mover_release,
};

static void move(struct dma_buf *d)
{
	int to = !mover.at;

	dma_resv_lock(d->resv, NULL);
	dma_buf_invalidate_mappings(d);
	assert_int_equal(dma_resv_wait_until(d->resv, DMA_RESV_USAGE_BOOKKEEP,
					     DMA_DEADLINE_NEVER), 0);
	memcpy(mover.place[to], mover.place[mover.at], SIZE);
	memset(mover.place[mover.at], 0xee, SIZE);
	mover.at = to;
	dma_resv_unlock(d->resv);
}

static void test_importer_follows_a_buffer_that_migrates(void **state)
{
	DEFINE_DMA_BUF_EXPORT_INFO(info);
	struct dma_importer *imp;
	struct dma_buf *d;
	char *mem;

	mover.place[0] = calloc(1, SIZE);
	mover.place[1] = calloc(1, SIZE);	/* "the card's own memory" */
	info.ops = &mover_ops;
	info.size = SIZE;
	info.priv = &mover;
	d = dma_buf_export(&info);
	imp = dma_importer_create(d, DMA_IMPORTER_DYNAMIC, "gpu0", SIZE);
	mem = dma_importer_mem(imp);
	for (int i = 0; i < 50; i++) {
		struct dma_fence *f;

		memset(mem, i, SIZE);
		do
			f = dma_importer_copy(imp, DMA_IMPORTER_WRITE, 0, 0, SIZE);
		while (f == ERR_PTR(-EBUSY));
		assert_false(IS_ERR(f));
		move(d);
		assert_int_equal(dma_fence_get_status(f), 1);
		dma_fence_put(f);
		assert_int_equal(mover.place[mover.at][SIZE - 1], i);
	}
	dma_importer_destroy(imp);
	dma_buf_put(d);
	free(mover.place[0]);
	free(mover.place[1]);
}

/* An exporter that hands out CPU mappings and can't take them back must say so. */
static int no_mmap(struct dma_buf *d, struct vm_area_struct *vma) { return -EIO; }
static void test_mmap_without_revoke_cpu_is_refused(void **state)
{
	struct dma_buf_ops ops = mover_ops;
	DEFINE_DMA_BUF_EXPORT_INFO(info);
	struct dma_buf *d;

	ops.mmap = no_mmap;
	info.ops = &ops;
	info.size = SIZE;
	info.priv = &mover;
	d = dma_buf_export(&info);
	assert_int_equal(dma_buf_revoke(d, in_ms(10)), -EOPNOTSUPP);
	assert_false(dma_buf_is_revoked(d));
	dma_buf_put(d);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_bytes_move),
		T(test_dynamic_maps_again_after_restore),
		T(test_pinned_revocable_stays_dead),
		T(test_legacy_is_named),
		T(test_static_is_named),
		T(test_stalled_device_is_named_and_waited_for),
		T(test_pinned_cancels_what_was_not_begun),
		T(test_fence_that_never_signals),
		T(test_lock_that_is_kept),
		T(test_cpu_mappings_die_and_come_back),
		T(test_born_dead_when_published_while_revoked),
		T(test_other_processes_die_and_lose_nothing),
		T(test_revoke_cpu_each_step_fails_once),
		T(test_importer_follows_a_buffer_that_migrates),
		T(test_mmap_without_revoke_cpu_is_refused),
	};

	if (sv_guard_init())
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
