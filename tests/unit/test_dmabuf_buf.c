/* SPDX-License-Identifier: MIT */
/* The dma-buf core with an exporter that notes what it is asked. */
#include "unit.h"

#include "base/alloc.h"
#include "dmabuf/buf.h"
#include "dmabuf/mem.h"
#include "file/file.h"
#include "softvirt/dma-buf.h"

static struct exporter {
	int attached, detached, pins, unpins, maps, unmaps, released, begins, ends;
	int attach_err, pin_err, map_err;
	bool map_null;
	char memory[SV_PAGE_SIZE];
} x;

static int x_attach(struct dma_buf *b, struct dma_buf_attachment *a)
{
	x.attached++;
	return x.attach_err;
}
static void x_detach(struct dma_buf *b, struct dma_buf_attachment *a) { x.detached++; }
static int x_pin(struct dma_buf_attachment *a)
{
	x.pins++;
	return x.pin_err;
}
static void x_unpin(struct dma_buf_attachment *a) { x.unpins++; }
static struct sg_table *x_map(struct dma_buf_attachment *a, enum dma_data_direction dir)
{
	x.maps++;
	if (x.map_null)
		return NULL;
	return x.map_err ? ERR_PTR(x.map_err) : sg_table_create(x.memory, sizeof(x.memory));
}
static void x_unmap(struct dma_buf_attachment *a, struct sg_table *t, enum dma_data_direction dir)
{
	x.unmaps++;
	sg_table_destroy(t);
}
static void x_release(struct dma_buf *b) { x.released++; }
static int x_begin(struct dma_buf *b, enum dma_data_direction dir)
{
	x.begins++;
	return 0;
}
static int x_end(struct dma_buf *b, enum dma_data_direction dir)
{
	x.ends++;
	return -EIO;
}

static const struct dma_buf_ops dynamic_ops = {
	.attach = x_attach, .detach = x_detach, .pin = x_pin, .unpin = x_unpin,
	.map_dma_buf = x_map, .unmap_dma_buf = x_unmap, .release = x_release,
	.begin_cpu_access = x_begin, .end_cpu_access = x_end,
};
static const struct dma_buf_ops static_ops = {
	.map_dma_buf = x_map, .unmap_dma_buf = x_unmap, .release = x_release,
};

static int invalidated;
static void invalidate(struct dma_buf_attachment *a) { invalidated++; }
static const struct dma_buf_attach_ops with = { .allow_peer2peer = true,
						.invalidate_mappings = invalidate };
static const struct dma_buf_attach_ops without = { .allow_peer2peer = false };
static struct device dev = { .init_name = "test0" };

static struct dma_buf *export(const struct dma_buf_ops *ops)
{
	DEFINE_DMA_BUF_EXPORT_INFO(info);
	struct dma_buf *b;

	memset(&x, 0, sizeof(x));
	info.ops = ops;
	info.size = sizeof(x.memory);
	info.priv = &x;
	info.flags = O_RDWR;
	b = dma_buf_export(&info);
	assert_false(IS_ERR(b));
	return b;
}

static void test_export_without_what_it_needs(void **state)
{
	struct dma_buf_ops half = static_ops;
	DEFINE_DMA_BUF_EXPORT_INFO(info);

	info.size = 4096;
	assert_int_equal(PTR_ERR(dma_buf_export(&info)), -EINVAL);
	info.ops = &static_ops;
	assert_int_equal(PTR_ERR(dma_buf_export(&info)), -EINVAL);	/* no priv */
	info.priv = &x;
	half.pin = x_pin;
	info.ops = &half;
	assert_int_equal(PTR_ERR(dma_buf_export(&info)), -EINVAL);	/* pin without unpin */
	info.ops = &static_ops;
	for (unsigned int n = 1;; n++) {
		struct dma_buf *b;

		sv_fault_inject(n);
		b = dma_buf_export(&info);
		if (!sv_fault_fired()) {
			dma_buf_put(b);
			break;
		}
		/* The thread for listings may fail without harm. */
		if (IS_ERR(b))
			assert_int_equal(PTR_ERR(b), -ENOMEM);
		else
			dma_buf_put(b);
	}
	sv_fault_inject(0);
}

static void test_kinds_of_importers(void **state)
{
	struct dma_buf *b = export(&dynamic_ops);
	struct dma_buf_attachment *s, *d, *l;

	s = dma_buf_attach(b, &dev);
	d = dma_buf_dynamic_attach(b, &dev, &with, &x);
	l = dma_buf_dynamic_attach(b, &dev, &without, NULL);
	assert_false(dma_buf_attachment_is_dynamic(s));
	assert_true(dma_buf_attachment_is_dynamic(d));
	assert_true(dma_buf_attachment_is_dynamic(l));
	assert_false(dma_buf_attach_revocable(s));
	assert_true(dma_buf_attach_revocable(d));
	assert_false(dma_buf_attach_revocable(l));
	assert_true(d->peer2peer);
	assert_false(s->peer2peer || l->peer2peer);
	assert_ptr_equal(d->importer_priv, &x);
	dma_resv_lock(b->resv, NULL);
	invalidated = 0;
	dma_buf_invalidate_mappings(b);
	assert_int_equal(invalidated, 1);
	dma_resv_unlock(b->resv);
	dma_buf_detach(b, s);
	dma_buf_detach(b, d);
	dma_buf_detach(b, l);
	assert_int_equal(x.attached, 3);
	assert_int_equal(x.detached, 3);
	dma_buf_put(b);
	assert_int_equal(x.released, 1);
}

static void test_attach_refused(void **state)
{
	struct dma_buf *b = export(&dynamic_ops);

	x.attach_err = -EOPNOTSUPP;
	assert_int_equal(PTR_ERR(dma_buf_attach(b, &dev)), -EOPNOTSUPP);
	assert_int_equal(PTR_ERR(dma_buf_attach(b, NULL)), -EINVAL);
	x.attach_err = 0;
	sv_fault_inject(1);
	assert_int_equal(PTR_ERR(dma_buf_attach(b, &dev)), -ENOMEM);
	sv_fault_inject(0);
	assert_int_equal(x.detached, 0);
	dma_buf_put(b);
}

static void test_static_importer_pins_while_mapped(void **state)
{
	struct dma_buf *b = export(&dynamic_ops);
	struct dma_buf_attachment *a = dma_buf_attach(b, &dev);
	struct sg_table *t;

	t = dma_buf_map_attachment_unlocked(a, DMA_BIDIRECTIONAL);
	assert_false(IS_ERR(t));
	assert_ptr_equal((void *)(uintptr_t)sg_dma_address(t->sgl), x.memory);
	assert_int_equal(sg_dma_len(t->sgl), sizeof(x.memory));
	assert_int_equal(x.pins, 1);
	dma_buf_unmap_attachment_unlocked(a, t, DMA_BIDIRECTIONAL);
	assert_int_equal(x.unpins, 1);
	x.pin_err = -EBUSY;
	assert_int_equal(PTR_ERR(dma_buf_map_attachment_unlocked(a, DMA_TO_DEVICE)), -EBUSY);
	assert_int_equal(x.maps, 1);
	x.pin_err = 0;
	x.map_err = -EIO;
	assert_int_equal(PTR_ERR(dma_buf_map_attachment_unlocked(a, DMA_TO_DEVICE)), -EIO);
	x.map_err = 0;
	x.map_null = true;
	assert_int_equal(PTR_ERR(dma_buf_map_attachment_unlocked(a, DMA_TO_DEVICE)), -ENOMEM);
	assert_int_equal(x.unpins, 3);
	assert_int_equal(PTR_ERR(dma_buf_map_attachment_unlocked(a, DMA_NONE)), -EINVAL);
	dma_buf_detach(b, a);
	dma_buf_put(b);
}

static void test_dynamic_importer_pins_itself(void **state)
{
	struct dma_buf *b = export(&dynamic_ops);
	struct dma_buf_attachment *a = dma_buf_dynamic_attach(b, &dev, &with, NULL);
	struct sg_table *t;

	dma_resv_lock(b->resv, NULL);
	t = dma_buf_map_attachment(a, DMA_FROM_DEVICE);
	assert_int_equal(x.pins, 0);
	dma_buf_unmap_attachment(a, t, DMA_FROM_DEVICE);
	assert_int_equal(dma_buf_pin(a), 0);
	x.pin_err = -ENOSPC;
	assert_int_equal(dma_buf_pin(a), -ENOSPC);
	dma_buf_unpin(a);
	assert_int_equal(x.unpins, 1);
	dma_resv_unlock(b->resv);
	dma_buf_detach(b, a);
	dma_buf_put(b);
}

static void test_vmap_counts(void **state)
{
	struct dma_buf *b = dma_mem_export("test", 3 * SV_PAGE_SIZE, O_RDWR);
	struct dma_buf *none = export(&static_ops);
	struct iosys_map m1, m2;

	assert_int_equal(dma_buf_vmap_unlocked(none, &m1), -EINVAL);
	assert_int_equal(dma_buf_vmap_unlocked(b, &m1), 0);
	assert_int_equal(dma_buf_vmap_unlocked(b, &m2), 0);
	assert_ptr_equal(m1.vaddr, dma_mem_vaddr(b));
	memset(m1.vaddr, 0x5a, b->size);
	dma_buf_vunmap_unlocked(b, &m1);
	assert_int_equal(b->vmapping_counter, 1);
	dma_buf_vunmap_unlocked(b, &m2);
	assert_int_equal(b->vmapping_counter, 0);
	dma_buf_put(b);
	dma_buf_put(none);
}

static void test_cpu_access_asks_the_exporter(void **state)
{
	struct dma_buf *b = export(&dynamic_ops);

	assert_int_equal(dma_buf_begin_cpu_access(b, DMA_FROM_DEVICE), 0);
	assert_int_equal(dma_buf_end_cpu_access(b, DMA_FROM_DEVICE), -EIO);
	assert_int_equal(x.begins, 1);
	assert_int_equal(x.ends, 1);
	dma_buf_put(b);
}

static void test_descriptors(void **state)
{
	struct dma_buf *b = export(&static_ops), *got;
	int fd1 = dma_buf_fd(b, O_CLOEXEC), fd2 = dma_buf_fd(b, 0);

	assert_true(fd1 >= 0 && fd2 >= 0);
	assert_int_equal(fcntl(fd1, F_GETFD), FD_CLOEXEC);
	assert_int_equal(fcntl(fd2, F_GETFD), 0);
	assert_int_equal(lseek(fd2, 0, SEEK_END), sizeof(x.memory));
	/* An exporter without mmap: nobody writes through the descriptor either. */
	assert_true(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd1, 0) == MAP_FAILED);
	got = dma_buf_get(fd2);
	assert_ptr_equal(got, b);
	dma_buf_put(got);
	assert_int_equal(PTR_ERR(dma_buf_get(-1)), -EBADF);
	assert_int_equal(PTR_ERR(dma_buf_get(0)), -EINVAL);
	assert_int_equal(dma_buf_fd(NULL, 0), -EINVAL);
	dma_buf_put(b);
	assert_int_equal(x.released, 0);
	sv_fd_forget(fd1);
	close(fd1);
	assert_int_equal(x.released, 0);
	sv_fd_forget(fd2);
	close(fd2);
	assert_int_equal(x.released, 1);
}

static void test_fd_each_step_fails_once(void **state)
{
	struct dma_buf *b = dma_mem_export("test", 4096, O_RDWR);

	for (unsigned int n = 1;; n++) {
		int fd;

		sv_fault_inject(n);
		fd = dma_buf_fd(b, O_CLOEXEC);
		if (!sv_fault_fired()) {
			sv_fault_inject(0);
			sv_fd_forget(fd);
			close(fd);
			break;
		}
		assert_true(fd < 0);
	}
	assert_int_equal(kref_read(&b->refcount), 1);
	dma_buf_put(b);
	for (unsigned int n = 1;; n++) {
		sv_fault_inject(n);
		b = dma_mem_export("test", 4096, O_RDWR);
		if (!sv_fault_fired())
			break;
		assert_true(IS_ERR(b));
	}
	sv_fault_inject(0);
	dma_buf_put(b);
	assert_int_equal(PTR_ERR(dma_mem_export("test", 0, 0)), -EINVAL);
	assert_int_equal(PTR_ERR(dma_mem_export("test", SIZE_MAX - 5, 0)), -ENOMEM);
}

static void test_dump_shows_it_and_survives_names(void **state)
{
	struct dma_buf *b = export(&dynamic_ops);
	struct dma_buf_attachment *a = dma_buf_dynamic_attach(b, &dev, &with, NULL);
	struct sg_table *t = dma_buf_map_attachment_unlocked(a, DMA_BIDIRECTIONAL);
	struct seq_file m = { NULL };

	assert_int_equal(dma_buf_set_name(b, "evil\"\\\n\x1b[2Jname"), 0);
	dma_buf_debug_dump(&m, false);
	assert_non_null(strstr(m.buf, "evil\"\\??[2Jname"));
	assert_non_null(strstr(m.buf, "device test0  dynamic, revocable yes, mapped 1, pinned 0"));
	m.count = 0;
	dma_buf_debug_dump(&m, true);
	assert_non_null(strstr(m.buf, "\"name\":\"evil\\u0022\\u005c\\u000a\\u001b[2Jname\""));
	assert_non_null(strstr(m.buf, "\"mapped\":1,\"pinned\":0,\"maps\":1,\"revoked\":false"));
	assert_null(strchr(m.buf, '\n'));
	m.count = 0;
	dma_resv_lock(b->resv, NULL);	/* somebody keeps it: the dump says so and ends */
	dma_buf_debug_dump(&m, false);
	assert_non_null(strstr(m.buf, "the reservation lock is held"));
	dma_resv_unlock(b->resv);
	sv_free(m.buf);
	dma_buf_unmap_attachment_unlocked(a, t, DMA_BIDIRECTIONAL);
	dma_buf_detach(b, a);
	dma_buf_put(b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_export_without_what_it_needs),
		cmocka_unit_test(test_kinds_of_importers),
		cmocka_unit_test(test_attach_refused),
		cmocka_unit_test(test_static_importer_pins_while_mapped),
		cmocka_unit_test(test_dynamic_importer_pins_itself),
		cmocka_unit_test(test_vmap_counts),
		cmocka_unit_test(test_cpu_access_asks_the_exporter),
		cmocka_unit_test(test_descriptors),
		cmocka_unit_test(test_fd_each_step_fails_once),
		cmocka_unit_test(test_dump_shows_it_and_survives_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
