/* SPDX-License-Identifier: MIT */
/*
 * VFIO's buffers taken back: each trigger with each kind of importer in each state, what waits for
 * what, several buffers, races, and an importer that doesn't let go.
 */
#include "../abi/vfio.h"

#include <linux/pci_regs.h>

#include "dmabuf/importer.h"
#include "softvirt/dma-buf.h"

static struct test_dev dev;
static int iommufd, fd;
static int dfd;
static struct dma_buf *buf;

#define BUF 16384u

static int setup(void **state)
{
	test_dev_make(&dev, 1, 0, 1);
	iommufd = iommufd_open_new();
	fd = cdev_open_bound(&dev, iommufd);
	dfd = dma_buf_export_n(fd, 2, 4096, BUF);
	buf = dma_buf_get(dfd);
	return IS_ERR(buf);
}

static int teardown(void **state)
{
	dma_buf_put(buf);
	softvirt_close(dfd);
	if (fd >= 0)
		softvirt_close(fd);
	softvirt_close(iommufd);
	pci_dev_destroy(dev.pdev);
	rcu_barrier();
	return !dev.destroyed;
}

/* Triggers: off takes the BAR away (and gives it back at once: transient), on gives it back. */
struct trigger {
	const char *name;
	void (*off)(void);
	void (*on)(void);
	bool transient;
};

static void command_off(void) { memory_enable(fd, false); }
static void command_on(void) { memory_enable(fd, true); }
static void power_off(void) { cfg_write(fd, dev.pdev->pm_cap + PCI_PM_CTRL, 2, 3); }
static void power_on(void) { cfg_write(fd, dev.pdev->pm_cap + PCI_PM_CTRL, 2, 0); }
static void do_reset(void) { assert_int_equal(softvirt_ioctl(fd, VFIO_DEVICE_RESET, 0), 0); }
static void nothing(void) { }
static void do_flr(void) { cfg_write(fd, dev.pdev->pcie_cap + PCI_EXP_DEVCTL + 1, 1, 0x80); }

static void do_hot(void)
{
	u32 r[3] = { 12, 0, 0 };

	assert_int_equal(softvirt_ioctl(fd, VFIO_DEVICE_PCI_HOT_RESET, r), 0);
}

static void low_power(void)
{
	assert_int_equal(feature(fd, VFIO_DEVICE_FEATURE_SET | VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY, "", 0), 0);
}

static void high_power(void)
{
	assert_int_equal(feature(fd, VFIO_DEVICE_FEATURE_SET | VFIO_DEVICE_FEATURE_LOW_POWER_EXIT, "", 0), 0);
}

static const struct trigger triggers[] = {
	{ "command", command_off, command_on, false },
	{ "D3hot", power_off, power_on, false },
	{ "reset", do_reset, nothing, true },
	{ "FLR", do_flr, nothing, true },
	{ "hot reset", do_hot, nothing, true },
	{ "low power", low_power, high_power, false },
};

static int copy(struct dma_importer *imp, enum dma_importer_dir dir)
{
	struct dma_fence *f;
	int err;

	/* An old mapping may be on its way out. */
	while (IS_ERR(f = dma_importer_copy(imp, dir, 0, 0, BUF)) && PTR_ERR(f) == -EBUSY)
		usleep(100);
	if (IS_ERR(f))
		return (int)PTR_ERR(f);
	dma_fence_wait(f, false);
	err = f->error;
	dma_fence_put(f);
	return err;
}

static u8 *bar(void)
{
	return (u8 *)dev.pdev->bars[2].base + 4096;
}

static void test_who_may_attach(void **state)
{
	struct device d = { .init_name = "dev0" };
	struct dma_buf_attach_ops no_p2p = { .allow_peer2peer = false, .invalidate_mappings = (void *)1 };
	struct dma_importer *imp;

	assert_int_equal(PTR_ERR(dma_importer_create(buf, DMA_IMPORTER_PINNED_LEGACY, "x", BUF)),
			 -EOPNOTSUPP);
	assert_int_equal(PTR_ERR(dma_importer_create(buf, DMA_IMPORTER_STATIC, "x", BUF)), -EOPNOTSUPP);
	assert_int_equal(PTR_ERR(dma_buf_dynamic_attach(buf, &d, &no_p2p, NULL)), -EOPNOTSUPP);
	imp = dma_importer_create(buf, DMA_IMPORTER_PINNED_REVOCABLE, "x", BUF);
	assert_false(IS_ERR(imp));
	dma_importer_destroy(imp);
	command_off();
	assert_int_equal(PTR_ERR(dma_importer_create(buf, DMA_IMPORTER_DYNAMIC, "x", BUF)), -ENODEV);
	command_on();
	imp = dma_importer_create(buf, DMA_IMPORTER_DYNAMIC, "x", BUF);
	assert_false(IS_ERR(imp));
	assert_int_equal(copy(imp, DMA_IMPORTER_WRITE), 0);
	dma_importer_destroy(imp);
}

static void one(const struct trigger *t, enum dma_importer_kind kind, bool busy)
{
	struct dma_importer *imp = dma_importer_create(buf, kind, "dev0", BUF);
	struct dma_fence *f[8] = { NULL };
	int err;

	assert_false(IS_ERR(imp));
	assert_int_equal(copy(imp, DMA_IMPORTER_WRITE), 0);
	memset(dma_importer_mem(imp), 0x5a, BUF);
	for (unsigned i = 0; busy && i < ARRAY_SIZE(f); i++) {
		f[i] = dma_importer_copy(imp, DMA_IMPORTER_WRITE, 0, 0, BUF);
		assert_false(IS_ERR(f[i]));
	}
	t->off();
	/* Nobody has it; what was queued has ended, this way or that. */
	if (!t->transient) {
		assert_true(dma_buf_is_revoked(buf));
		assert_false(dma_importer_is_mapped(imp));
	}
	for (unsigned i = 0; busy && i < ARRAY_SIZE(f); i++) {
		assert_true(dma_fence_is_signaled(f[i]));
		assert_true(f[i]->error == 0 || f[i]->error == -ECANCELED);
		dma_fence_put(f[i]);
	}
	if (!t->transient)
		assert_int_equal(copy(imp, DMA_IMPORTER_WRITE), -ENODEV);
	t->on();
	assert_false(dma_buf_is_revoked(buf));
	if (kind == DMA_IMPORTER_PINNED_REVOCABLE) {
		/* Dead until it maps anew. */
		assert_int_equal(copy(imp, DMA_IMPORTER_WRITE), -ENODEV);
		assert_int_equal(dma_importer_remap(imp), 0);
	}
	memset(dma_importer_mem(imp), 0xa5, BUF);
	err = copy(imp, DMA_IMPORTER_WRITE);
	assert_int_equal(err, 0);
	assert_memory_equal(bar(), dma_importer_mem(imp), BUF);
	dma_importer_destroy(imp);
}

static void test_every_trigger(void **state)
{
	static const enum dma_importer_kind kinds[] = {
		DMA_IMPORTER_DYNAMIC, DMA_IMPORTER_PINNED_REVOCABLE,
	};

	for (size_t i = 0; i < ARRAY_SIZE(triggers); i++)
		for (size_t k = 0; k < ARRAY_SIZE(kinds); k++)
			for (int busy = 0; busy < 2; busy++)
				one(&triggers[i], kinds[k], busy);
}

/* In any two orders: the buffer is usable only when nothing keeps the memory away. */
static void test_two_triggers(void **state)
{
	static const unsigned lasting[] = { 0, 1, 5 };

	for (unsigned i = 0; i < 3; i++) {
		for (unsigned j = 0; j < 3; j++) {
			const struct trigger *a = &triggers[lasting[i]], *b = &triggers[lasting[j]];

			if (i == j)
				continue;
			a->off();
			b->off();
			a->on();
			assert_true(dma_buf_is_revoked(buf));
			b->on();
			assert_false(dma_buf_is_revoked(buf));
		}
	}
	/* A reset leaves command and low power as they are, and ends D3hot. */
	command_off();
	do_reset();
	assert_true(dma_buf_is_revoked(buf));
	command_on();
	assert_false(dma_buf_is_revoked(buf));
	power_off();
	do_reset();
	assert_false(dma_buf_is_revoked(buf));
	low_power();
	do_flr();
	assert_true(dma_buf_is_revoked(buf));
	high_power();
	assert_false(dma_buf_is_revoked(buf));
}

static void test_close(void **state)
{
	struct dma_importer *imp = dma_importer_create(buf, DMA_IMPORTER_DYNAMIC, "dev0", BUF);

	assert_int_equal(copy(imp, DMA_IMPORTER_WRITE), 0);
	softvirt_close(fd);
	assert_true(dma_buf_is_revoked(buf));
	assert_false(dma_importer_is_mapped(imp));
	assert_int_equal(copy(imp, DMA_IMPORTER_WRITE), -ENODEV);
	/* Opened anew: still dead. */
	fd = cdev_open_bound(&dev, iommufd);
	command_off();
	command_on();
	assert_true(dma_buf_is_revoked(buf));
	assert_int_equal(copy(imp, DMA_IMPORTER_WRITE), -ENODEV);
	dma_importer_destroy(imp);
}

struct late {
	const struct trigger *t;
	bool done;
};

static void *pull(void *arg)
{
	struct late *l = arg;

	l->t->off();
	__atomic_store_n(&l->done, true, __ATOMIC_SEQ_CST);
	return NULL;
}

/* The trigger doesn't return before a stalled importer has let go; others go on meanwhile. */
static void test_triggers_wait(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(triggers); i++) {
		struct dma_importer *imp = dma_importer_create(buf, DMA_IMPORTER_DYNAMIC, "dev0", BUF);
		struct late l = { .t = &triggers[i] };
		struct sv_thread th;
		struct test_dev free_dev;
		struct dma_fence *f;
		int other;

		assert_int_equal(copy(imp, DMA_IMPORTER_WRITE), 0);
		dma_importer_stall(imp, true);
		f = dma_importer_copy(imp, DMA_IMPORTER_WRITE, 0, 0, BUF);
		assert_false(IS_ERR(f));
		assert_int_equal(sv_thread_create(&th, "trigger", pull, &l), 0);
		while (!dma_buf_is_revoked(buf))
			usleep(100);
		usleep(20000);
		assert_false(__atomic_load_n(&l.done, __ATOMIC_SEQ_CST));
		/* Another device, another buffer of this one, config space: all live. */
		test_dev_make(&free_dev, 3, 0, 3);
		other = cdev_open_bound(&free_dev, iommufd);
		assert_int_equal(softvirt_ioctl(other, VFIO_DEVICE_RESET, 0), 0);
		softvirt_close(other);
		pci_dev_destroy(free_dev.pdev);
		assert_int_equal(cfg_read(fd, 0, 2), 0x1234);
		assert_false(__atomic_load_n(&l.done, __ATOMIC_SEQ_CST));
		dma_importer_stall(imp, false);
		sv_thread_join(&th);
		assert_true(l.done);
		assert_true(dma_fence_is_signaled(f));
		dma_fence_put(f);
		triggers[i].on();
		dma_importer_destroy(imp);
	}
}

static void test_many_buffers(void **state)
{
	struct dma_importer *imp[15];
	struct dma_buf *b[15];
	int d[15];

	for (unsigned i = 0; i < 15; i++) {
		d[i] = dma_buf_export_n(fd, 2, 4096ull * i, 8192);
		b[i] = dma_buf_get(d[i]);
		imp[i] = dma_importer_create(b[i], i & 1 ? DMA_IMPORTER_DYNAMIC :
					     DMA_IMPORTER_PINNED_REVOCABLE, "dev", 4096);
		assert_false(IS_ERR(imp[i]));
		/* Half of the buffers have nobody but their importer. */
		if (i % 3 == 0) {
			softvirt_close(d[i]);
			d[i] = -1;
		}
	}
	command_off();
	for (unsigned i = 0; i < 15; i++) {
		assert_true(dma_buf_is_revoked(b[i]));
		assert_false(dma_importer_is_mapped(imp[i]));
	}
	command_on();
	for (unsigned i = 0; i < 15; i++) {
		assert_false(dma_buf_is_revoked(b[i]));
		dma_importer_destroy(imp[i]);
		dma_buf_put(b[i]);
		if (d[i] >= 0)
			softvirt_close(d[i]);
	}
}

static volatile bool stop;

/* Exports, attaches, copies, detaches, closes, while another thread pulls every trigger. */
static void *user(void *arg)
{
	unsigned long n = 0;

	/* Each has a part of the BAR to itself. */
	while (!__atomic_load_n(&stop, __ATOMIC_RELAXED)) {
		int d = dma_buf_export_n(fd, 2, (u64)arg * BUF, BUF);
		struct dma_buf *b = d >= 0 ? dma_buf_get(d) : NULL;
		struct dma_importer *imp;

		if (!b || IS_ERR(b))
			return (void *)1;
		imp = dma_importer_create(b, n++ & 1 ? DMA_IMPORTER_DYNAMIC :
					  DMA_IMPORTER_PINNED_REVOCABLE, "dev", BUF);
		softvirt_close(d);
		if (!IS_ERR(imp)) {
			for (unsigned i = 0; i < 4; i++) {
				int err = copy(imp, DMA_IMPORTER_WRITE);

				if (err && err != -ENODEV && err != -ECANCELED)
					return (void *)2;
			}
			dma_importer_destroy(imp);
		} else if (PTR_ERR(imp) != -ENODEV) {
			return (void *)3;
		}
		dma_buf_put(b);
	}
	return NULL;
}

static void test_races(void **state)
{
	struct sv_thread t[2];

	stop = false;
	for (unsigned i = 0; i < 2; i++)
		assert_int_equal(sv_thread_create(&t[i], "user", user, (void *)(unsigned long)i), 0);
	for (unsigned n = 0; n < 150; n++) {
		const struct trigger *tr = &triggers[n % ARRAY_SIZE(triggers)];
		u8 before[64];

		tr->off();
		if (!tr->transient) {
			/* Not one byte lands while it is off. */
			memset(bar() - 4096, (int)n, 2 * BUF);
			memset(before, (int)n, sizeof(before));
			usleep(200);
			for (unsigned i = 0; i < 2 * BUF; i += sizeof(before))
				assert_memory_equal(bar() - 4096 + i, before, sizeof(before));
		}
		tr->on();
	}
	__atomic_store_n(&stop, true, __ATOMIC_RELAXED);
	for (unsigned i = 0; i < 2; i++)
		assert_null(sv_thread_join(&t[i]));
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(test_who_may_attach), T(test_every_trigger), T(test_two_triggers), T(test_close),
		T(test_triggers_wait), T(test_many_buffers), T(test_races),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
