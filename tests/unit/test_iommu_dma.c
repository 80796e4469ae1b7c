/* SPDX-License-Identifier: MIT */
/*
 * What the soft IOMMU does beside plain translation: dirty pages, two stages, page requests,
 * PASIDs, dma-bufs that are taken back, access by software.
 */
#include "iommu_env.h"

#include "softvirt/dma-buf.h"

#define IOVA 0x40000000ull

static u32 hwpt_alloc(struct env *e, u32 pt, u32 flags, u32 type, const void *data, u32 len, int want)
{
	struct iommu_hwpt_alloc a = {
		.size = sizeof(a), .flags = flags, .dev_id = e->d[0].id, .pt_id = pt, .data_type = type,
		.data_len = len, .data_uptr = (u64)data,
	};

	assert_int_equal(env_ioctl(e->fd, IOMMU_HWPT_ALLOC, &a), want);
	return a.out_hwpt_id;
}

static int set_tracking(struct env *e, u32 hwpt, bool on)
{
	struct iommu_hwpt_set_dirty_tracking s = {
		.size = sizeof(s), .flags = on ? IOMMU_HWPT_DIRTY_TRACKING_ENABLE : 0, .hwpt_id = hwpt,
	};

	return env_ioctl(e->fd, IOMMU_HWPT_SET_DIRTY_TRACKING, &s);
}

static int get_dirty(struct env *e, u32 hwpt, u64 iova, u64 len, u64 page, void *bits, bool no_clear)
{
	struct iommu_hwpt_get_dirty_bitmap g = {
		.size = sizeof(g), .hwpt_id = hwpt, .iova = iova, .length = len, .page_size = page,
		.data = (u64)bits, .flags = no_clear ? IOMMU_HWPT_GET_DIRTY_BITMAP_NO_CLEAR : 0,
	};

	return env_ioctl(e->fd, IOMMU_HWPT_GET_DIRTY_BITMAP, &g);
}

static void written_pages_are_reported_once(void **state)
{
	u64 len = 4 << 20, bits[16], want[16], seed = 5;
	u8 *p = env_memory(len);
	struct env e;
	u32 hwpt;

	env_up(&e);
	assert_int_equal(env_map(&e, e.ioas, p, len, IOVA, RW), 0);
	hwpt = hwpt_alloc(&e, e.ioas, IOMMU_HWPT_ALLOC_DIRTY_TRACKING, 0, NULL, 0, 0);
	assert_int_equal(env_attach(&e.d[0], hwpt), 0);
	assert_int_equal(env_poke(&e.d[0], IOVA, 1), 0);
	assert_int_equal(set_tracking(&e, hwpt, true), 0);
	for (unsigned round = 0; round < 20; round++) {
		memset(want, 0, sizeof(want));
		for (unsigned i = 0; i < 40; i++) {
			u64 at = unit_rand(&seed) % (len - 3 * PAGE), n = 1 + unit_rand(&seed) % (2 * PAGE);

			assert_int_equal(iommu_dma_fill(&e.d[0].dev, 0, IOVA + at, i, n, NULL), 0);
			assert_int_equal(env_peek(&e.d[0], IOVA + unit_rand(&seed) % len) < 0, 0);
			for (u64 k = at / PAGE; k <= (at + n - 1) / PAGE; k++)
				want[k / 64] |= 1ull << (k % 64);
		}
		memset(bits, 0, sizeof(bits));
		assert_int_equal(get_dirty(&e, hwpt, IOVA, len, PAGE, bits, true), 0);
		assert_memory_equal(bits, want, sizeof(bits));
		memset(bits, 0, sizeof(bits));
		assert_int_equal(get_dirty(&e, hwpt, IOVA, len, PAGE, bits, false), 0);
		assert_memory_equal(bits, want, sizeof(bits));
		memset(bits, 0, sizeof(bits));
		assert_int_equal(get_dirty(&e, hwpt, IOVA, len, PAGE, bits, false), 0);
		memset(want, 0, sizeof(want));
		assert_memory_equal(bits, want, sizeof(bits));
	}
	/* Coarser and finer than a page. */
	assert_int_equal(env_poke(&e.d[0], IOVA + 5 * PAGE, 1), 0);
	assert_int_equal(get_dirty(&e, hwpt, IOVA, len, 2 << 20, bits, true), 0);
	assert_int_equal(bits[0], 1);
	bits[0] = 0;
	assert_int_equal(get_dirty(&e, hwpt, IOVA, 8 * PAGE, 2048, bits, false), 0);
	assert_int_equal(bits[0], 3 << 10);
	assert_int_equal(get_dirty(&e, hwpt, IOVA, len, 0, bits, false), -EINVAL);
	assert_int_equal(get_dirty(&e, hwpt, IOVA, 0, PAGE, bits, false), -EINVAL);
	assert_int_equal(get_dirty(&e, hwpt, IOVA + 1, len, PAGE, bits, false), -EINVAL);
	assert_int_equal(get_dirty(&e, hwpt, ~0ull - PAGE + 1, 2 * PAGE, PAGE, bits, false), -EOVERFLOW);
	assert_int_equal(env_poke(&e.d[0], IOVA, 1), 0);
	assert_int_equal(get_dirty(&e, hwpt, IOVA, len, PAGE, (void *)8, false), -EFAULT);
	assert_int_equal(set_tracking(&e, hwpt, false), 0);
	env_detach(&e.d[0]);
	assert_int_equal(env_destroy(&e, hwpt), 0);
	env_down(&e);
	munmap(p, len);
}

/* A guest's memory at IOVA 0x1000000, with page tables of its own in the first pages. */
#define GPA 0x1000000ull
#define S1_VALID 7ull	/* P, RW, US */

static void two_stages(void **state)
{
	struct iommu_hwpt_vtd_s1 s1 = { .pgtbl_addr = GPA, .addr_width = 48 };
	struct iommu_hwpt_vtd_s1_invalidate inv = { .npages = ~0ull };
	struct iommu_hwpt_invalidate i = {
		.size = sizeof(i), .data_uptr = (u64)&inv, .entry_len = sizeof(inv), .entry_num = 1,
	};
	u64 len = 4 << 20, *t, bits[16] = { 0 };
	u8 *p = env_memory(len);
	struct env e;
	u32 parent, nested;

	env_up(&e);
	t = (u64 *)p;
	assert_int_equal(env_map(&e, e.ioas, p, len, GPA, RW), 0);
	parent = hwpt_alloc(&e, e.ioas, IOMMU_HWPT_ALLOC_NEST_PARENT | IOMMU_HWPT_ALLOC_DIRTY_TRACKING, 0,
			    NULL, 0, 0);
	s1.addr_width = 40;
	hwpt_alloc(&e, parent, 0, IOMMU_HWPT_DATA_VTD_S1, &s1, sizeof(s1), -EINVAL);
	s1.addr_width = 48;
	hwpt_alloc(&e, parent, 0, IOMMU_HWPT_DATA_VTD_S1, &s1, sizeof(s1) - 8, -EINVAL);
	nested = hwpt_alloc(&e, parent, 0, IOMMU_HWPT_DATA_VTD_S1, &s1, sizeof(s1), 0);
	assert_int_equal(env_attach(&e.d[0], nested), 0);
	assert_int_equal(env_peek(&e.d[0], 0x1000), ~IOMMU_FAULT_UNMAPPED);
	/* 0x1000 and 0x2000 by a table, 0x200000 by a large page. */
	t[0] = (GPA + 0x1000) | S1_VALID;
	t[512] = (GPA + 0x2000) | S1_VALID;
	t[1024] = (GPA + 0x3000) | S1_VALID;
	t[1025] = (GPA + 0x200000) | S1_VALID | 0x80;
	t[1536 + 1] = (GPA + 0x10000) | S1_VALID;
	t[1536 + 2] = (GPA + 0x11000) | 5;	/* read-only */
	t[1536 + 3] = (GPA + len) | S1_VALID;	/* the guest has no such memory */
	t[1536 + 4] = (GPA + 0x12000) | 3;	/* the supervisor's */
	t[1536 + 5] = GPA | S1_VALID;
	p[0x10000] = 0x11;
	p[0x11000] = 0x22;
	p[0x234567] = 0x33;
	assert_int_equal(set_tracking(&e, parent, true), 0);
	assert_int_equal(env_peek(&e.d[0], 0x1000), 0x11);
	assert_int_equal(t[1536 + 1] & 0x60, 0x20);	/* accessed, not dirty */
	assert_int_equal(env_poke(&e.d[0], 0x1008, 0x44), 0);
	assert_int_equal(p[0x10008], 0x44);
	assert_int_equal(t[1536 + 1] & 0x60, 0x60);
	assert_int_equal(env_peek(&e.d[0], 0x2000), 0x22);
	assert_int_equal(env_poke(&e.d[0], 0x2000, 1), ~IOMMU_FAULT_PERMISSION);
	assert_int_equal(env_peek(&e.d[0], 0x3000), ~IOMMU_FAULT_UNMAPPED);
	assert_int_equal(env_peek(&e.d[0], 0x4000), ~IOMMU_FAULT_PERMISSION);
	assert_int_equal(env_peek(&e.d[0], 0x234567), 0x33);
	assert_int_equal(env_peek(&e.d[0], 1ull << 47), ~IOMMU_FAULT_UNMAPPED);
	assert_int_equal(env_poke(&e.d[0], 0x300000, 1), 0);
	/* Dirty by the guest's addresses: two pages, and the tables that the walk marked. */
	assert_int_equal(get_dirty(&e, parent, GPA, len, PAGE, bits, false), 0);
	assert_int_equal(bits[0], 0xf | 1 << 16);
	assert_int_equal(bits[12], 1);
	/* Cached until invalidated, in the domain's view; then what the table says. */
	t[1536 + 1] = 0;
	assert_int_equal(env_peek(&e.d[0], 0x1000), 0x11);
	i.hwpt_id = nested;
	assert_int_equal(env_ioctl(e.fd, IOMMU_HWPT_INVALIDATE, &i), 0);
	assert_int_equal(i.entry_num, 1);
	assert_int_equal(env_peek(&e.d[0], 0x1000), ~IOMMU_FAULT_UNMAPPED);
	/* The parent takes the memory away: at once. */
	assert_int_equal(env_peek(&e.d[0], 0x234567), 0x33);
	assert_int_equal(env_unmap(&e, e.ioas, GPA, len), 0);
	assert_int_equal(env_peek(&e.d[0], 0x234567), ~IOMMU_FAULT_UNMAPPED);
	env_detach(&e.d[0]);
	assert_int_equal(env_destroy(&e, parent), -EBUSY);
	assert_int_equal(env_destroy(&e, nested), 0);
	assert_int_equal(env_destroy(&e, parent), 0);
	env_down(&e);
	munmap(p, len);
}

/* A domain whose faults come to the test. */
struct pri {
	struct env e;
	struct iommu_domain *domain;
	struct sv_mutex lock;
	struct sv_cond cond;
	struct iopf_group *group;
	u32 asked;
	u8 *mem;
	bool done;
	int result;
};
static struct pri pri;

static int pri_handler(struct iopf_group *group)
{
	sv_mutex_lock(&pri.lock);
	pri.group = iopf_group_get(group);
	pri.asked++;
	sv_cond_broadcast(&pri.cond);
	sv_mutex_unlock(&pri.lock);
	return 0;
}

static void *pri_device(void *arg)
{
	u64 v = 0x1122334455667788ull;

	pri.result = iommu_dma_write(&pri.e.d[0].dev, 0, IOVA + 0xffc, &v, 8, NULL);
	return NULL;
}

static struct iopf_group *pri_wait(u32 n)
{
	struct iopf_group *g;

	sv_mutex_lock(&pri.lock);
	while (pri.asked < n)
		sv_cond_wait(&pri.cond, &pri.lock);
	g = pri.group;
	sv_mutex_unlock(&pri.lock);
	return g;
}

static void page_requests(void **state)
{
	struct iommu_domain *d;
	struct sv_thread t;
	struct iopf_group *g;

	memset(&pri, 0, sizeof(pri));
	sv_mutex_init(&pri.lock);
	sv_cond_init(&pri.cond);
	env_up(&pri.e);
	pri.mem = env_memory(2 * PAGE);
	pri.e.d[0].dev.pri = true;
	d = vtd_iommu_ops.domain_alloc_paging(&pri.e.d[0].dev, 0, NULL);
	assert_false(IS_ERR(d));
	d->iopf_handler = pri_handler;
	assert_int_equal(vtd_iommu_ops.enable_iopf(&pri.e.d[0].dev), 0);
	assert_int_equal(iommu_attach(d, &pri.e.d[0].dev, 0), 0);
	assert_int_equal(sv_thread_create(&t, "device", pri_device, NULL), 0);
	/* Both pages, one after the other. */
	g = pri_wait(1);
	assert_int_equal(g->addr, IOVA);
	assert_int_equal(g->perm, IOMMU_PGFAULT_PERM_WRITE);
	assert_int_equal(iommu_map(d, IOVA, (u64)pri.mem, PAGE, IOMMU_READ | IOMMU_WRITE), 0);
	iopf_group_response(g, IOMMUFD_PAGE_RESP_SUCCESS);
	iopf_group_put(g);
	g = pri_wait(2);
	assert_int_equal(g->addr, IOVA + PAGE);
	assert_int_equal(iommu_map(d, IOVA + PAGE, (u64)pri.mem + PAGE, PAGE, IOMMU_READ | IOMMU_WRITE), 0);
	iopf_group_response(g, IOMMUFD_PAGE_RESP_SUCCESS);
	iopf_group_response(g, IOMMUFD_PAGE_RESP_INVALID);	/* too late, and harmless */
	iopf_group_put(g);
	sv_thread_join(&t);
	assert_int_equal(pri.result, 0);
	assert_memory_equal(pri.mem + 0xffc, "\x88\x77\x66\x55\x44\x33\x22\x11", 8);
	/* No. */
	assert_int_equal(iommu_unmap(d, IOVA, 2 * PAGE), 2 * PAGE);
	assert_int_equal(sv_thread_create(&t, "device", pri_device, NULL), 0);
	g = pri_wait(3);
	iopf_group_response(g, IOMMUFD_PAGE_RESP_INVALID);
	sv_thread_join(&t);
	assert_int_equal(pri.result, -EFAULT);
	iopf_group_put(g);
	/* A detach ends the wait; the answer that comes after it is of no use. */
	assert_int_equal(sv_thread_create(&t, "device", pri_device, NULL), 0);
	g = pri_wait(4);
	iommu_detach(&pri.e.d[0].dev, 0);
	sv_thread_join(&t);
	assert_int_equal(pri.result, -EFAULT);
	iopf_group_response(g, IOMMUFD_PAGE_RESP_SUCCESS);
	iopf_group_put(g);
	vtd_iommu_ops.disable_iopf(&pri.e.d[0].dev);
	d->ops->free(d);
	env_down(&pri.e);
	munmap(pri.mem, 2 * PAGE);
}

static void pasids_are_spaces_of_their_own(void **state)
{
	u8 *p = env_memory(2 * PAGE), b;
	struct iommu_domain *d[2];
	struct env e;

	env_up(&e);
	p[0] = 1;
	p[PAGE] = 2;
	for (unsigned i = 0; i < 2; i++) {
		d[i] = vtd_iommu_ops.domain_alloc_paging(&e.d[0].dev, 0, NULL);
		assert_int_equal(iommu_map(d[i], IOVA, (u64)p + i * PAGE, PAGE, IOMMU_READ), 0);
		assert_int_equal(iommu_attach(d[i], &e.d[0].dev, 7 + i), 0);
	}
	for (unsigned i = 0; i < 2; i++) {
		assert_int_equal(iommu_dma_read(&e.d[0].dev, 7 + i, &b, IOVA, 1, NULL), 0);
		assert_int_equal(b, 1 + i);
	}
	assert_int_equal(env_peek(&e.d[0], IOVA), ~IOMMU_FAULT_BLOCKED);
	assert_int_equal(iommu_attach(d[0], &e.d[0].dev, 1024), -EINVAL);
	/* One step from one to the other. */
	assert_int_equal(iommu_attach(d[1], &e.d[0].dev, 7), 0);
	assert_int_equal(iommu_dma_read(&e.d[0].dev, 7, &b, IOVA, 1, NULL), 0);
	assert_int_equal(b, 2);
	for (unsigned i = 0; i < 2; i++) {
		iommu_detach(&e.d[0].dev, 7 + i);
		assert_int_equal(iommu_dma_read(&e.d[0].dev, 7 + i, &b, IOVA, 1, NULL), -EFAULT);
	}
	d[0]->ops->free(d[0]);
	d[1]->ops->free(d[1]);
	env_down(&e);
	munmap(p, 2 * PAGE);
}

/* An exporter of one physical range. */
struct exp {
	u8 *mem;
	struct dma_buf *dmabuf;
	int fd;
};

static int exp_pin(struct dma_buf_attachment *a) { return 0; }
static void exp_unpin(struct dma_buf_attachment *a) { }
static struct sg_table *exp_map(struct dma_buf_attachment *a, enum dma_data_direction dir)
{
	return ERR_PTR(-EOPNOTSUPP);
}
static void exp_unmap(struct dma_buf_attachment *a, struct sg_table *s, enum dma_data_direction dir) { }
static void exp_release(struct dma_buf *b) { }
static const struct dma_buf_ops exp_ops = {
	.pin = exp_pin, .unpin = exp_unpin, .map_dma_buf = exp_map, .unmap_dma_buf = exp_unmap,
	.release = exp_release,
};
static const struct dma_buf_ops other_ops = {
	.pin = exp_pin, .unpin = exp_unpin, .map_dma_buf = exp_map, .unmap_dma_buf = exp_unmap,
	.release = exp_release,
};

static int exp_phys(struct dma_buf_attachment *a, struct iommu_phys *out)
{
	struct exp *x = a->dmabuf->priv;

	out->addr = x->mem;
	out->len = a->dmabuf->size;
	return 0;
}

static void exp_up(struct exp *x, const struct dma_buf_ops *ops, u64 size)
{
	DEFINE_DMA_BUF_EXPORT_INFO(info);

	x->mem = env_memory(size);
	info.ops = ops;
	info.size = size;
	info.flags = O_RDWR | O_CLOEXEC;
	info.priv = x;
	x->dmabuf = dma_buf_export(&info);
	assert_false(IS_ERR(x->dmabuf));
	x->fd = dma_buf_fd(x->dmabuf, O_CLOEXEC);
	assert_true(x->fd >= 0);
}

static void exp_down(struct exp *x, u64 size)
{
	softvirt_close(x->fd);
	dma_buf_put(x->dmabuf);
	munmap(x->mem, size);
}

static void nothing(void *data, u64 iova, u64 length) { }
static const struct iommufd_access_ops access_ops = { .needs_pin_pages = true, .unmap = nothing };

static void a_revoked_buffer_is_out_of_every_domain(void **state)
{
	const u64 size = 16 * PAGE;
	struct iommufd_access *acc;
	struct exp x, y;
	struct env e;
	void *addrs[1];
	u32 other, id;
	u64 cut = IOVA + PAGE - 1;
	u8 b;

	env_up(&e);
	exp_up(&x, &exp_ops, size);
	exp_up(&y, &other_ops, size);
	assert_int_equal(iommufd_register_phys_exporter(&exp_ops, exp_phys), 0);
	other = env_ioas(&e);
	x.mem[PAGE] = 5;
	assert_int_equal(env_map_file(&e, e.ioas, y.fd, 0, size, IOVA, RW), -EOPNOTSUPP);
	assert_int_equal(env_map_file(&e, e.ioas, x.fd, size, PAGE, IOVA, RW), -EINVAL);
	assert_int_equal(env_map_file(&e, e.ioas, x.fd, 0, size + PAGE, IOVA, RW), -EINVAL);
	assert_int_equal(env_map_file(&e, e.ioas, x.fd, 0, 0, IOVA, RW), -EINVAL);
	assert_int_equal(env_attach(&e.d[0], e.ioas), 0);
	assert_int_equal(env_map_file(&e, e.ioas, x.fd, PAGE, 8 * PAGE, IOVA, RW), 0);
	assert_int_equal(env_copy(&e, other, IOVA, e.ioas, IOVA, 8 * PAGE, RW), 0);
	assert_int_equal(env_attach(&e.d[1], other), 0);
	assert_int_equal(env_peek(&e.d[0], IOVA), 5);
	assert_int_equal(env_peek(&e.d[1], IOVA), 5);
	/* Not for software, not to be cut. */
	acc = iommufd_access_create(e.ictx, &access_ops, NULL, &id);
	assert_int_equal(iommufd_access_attach(acc, e.ioas), 0);
	assert_int_equal(iommufd_access_rw(acc, IOVA, &b, 1, 0), -EINVAL);
	assert_int_equal(iommufd_access_pin_pages(acc, IOVA, PAGE, addrs, 0), -EINVAL);
	assert_int_equal(iopt_cut_iova(&acc->ioas->iopt, &cut, 1), -EOPNOTSUPP);
	iommufd_access_detach(acc);
	iommufd_access_destroy(acc);
	assert_int_equal(dma_buf_revoke(x.dmabuf, DMA_DEADLINE_NEVER), 0);
	assert_int_equal(env_peek(&e.d[0], IOVA), ~IOMMU_FAULT_UNMAPPED);
	assert_int_equal(env_peek(&e.d[1], IOVA), ~IOMMU_FAULT_UNMAPPED);
	/* Dead, but there; a new domain skips it; it doesn't come back with a restore. */
	assert_int_equal(env_map(&e, e.ioas, y.mem, PAGE, IOVA, RW), -EEXIST);
	env_detach(&e.d[1]);
	assert_int_equal(env_attach(&e.d[1], e.ioas), 0);
	assert_int_equal(env_map_file(&e, e.ioas, x.fd, 0, PAGE, 0x1000, RW), -ENODEV);
	assert_int_equal(dma_buf_restore(x.dmabuf), 0);
	assert_int_equal(env_peek(&e.d[0], IOVA), ~IOMMU_FAULT_UNMAPPED);
	assert_int_equal(env_map_file(&e, e.ioas, x.fd, PAGE, PAGE, 0x1000, RW), 0);
	assert_int_equal(env_peek(&e.d[1], 0x1000), 5);
	assert_int_equal(env_unmap(&e, e.ioas, IOVA, 8 * PAGE), 0);
	assert_int_equal(env_unmap(&e, e.ioas, 0, ~0ull), 0);
	env_detach(&e.d[0]);
	env_detach(&e.d[1]);
	env_down(&e);
	/* The context's close has let go of it. */
	assert_int_equal(x.dmabuf->nr_attached, 0);
	exp_down(&x, size);
	exp_down(&y, size);
}

/* An access whose unmap lets go of what it has pinned, or (stubborn) doesn't. */
struct holder {
	struct iommufd_access *acc;
	bool pinned, stubborn;
	u32 calls;
};

static void holder_unmap(void *data, u64 iova, u64 length)
{
	struct holder *h = data;

	h->calls++;
	if (h->pinned && !h->stubborn) {
		h->pinned = false;
		iommufd_access_unpin_pages(h->acc, IOVA, 2 * PAGE);
	}
}
static const struct iommufd_access_ops holder_ops = { .needs_pin_pages = true, .unmap = holder_unmap };

static void software_reads_writes_and_pins(void **state)
{
	struct holder h = { 0 };
	u8 *p = env_memory(4 * PAGE), buf[2 * 4096];
	void *addrs[2];
	struct env e;
	u32 id;

	env_up(&e);
	memset(p, 3, 4 * PAGE);
	h.acc = iommufd_access_create(e.ictx, &holder_ops, &h, &id);
	assert_false(IS_ERR(h.acc));
	assert_int_equal(iommufd_access_rw(h.acc, IOVA, buf, 1, 0), -ENOENT);
	assert_int_equal(iommufd_access_attach(h.acc, 999), -ENOENT);
	assert_int_equal(iommufd_access_attach(h.acc, e.ioas), 0);
	/* Maps must be of whole pages from now on. */
	assert_int_equal(env_map(&e, e.ioas, p, 100, IOVA, RW), -EINVAL);
	assert_int_equal(env_map(&e, e.ioas, p, 2 * PAGE, IOVA, RW), 0);
	assert_int_equal(env_map(&e, e.ioas, p + 2 * PAGE, 2 * PAGE, IOVA + 2 * PAGE,
				 IOMMU_IOAS_MAP_READABLE), 0);
	assert_int_equal(iommufd_access_rw(h.acc, IOVA + 100, (char *)"abc", 3, IOMMUFD_ACCESS_RW_WRITE), 0);
	assert_memory_equal(p + 100, "abc", 3);
	assert_int_equal(iommufd_access_rw(h.acc, IOVA + PAGE, buf, sizeof(buf), 0), 0);
	assert_int_equal(iommufd_access_rw(h.acc, IOVA + 2 * PAGE, (char *)"x", 1, IOMMUFD_ACCESS_RW_WRITE), -EPERM);
	assert_int_equal(iommufd_access_rw(h.acc, IOVA + 3 * PAGE, buf, sizeof(buf), 0), -ENOENT);
	assert_int_equal(iommufd_access_rw(h.acc, IOVA, buf, 0, 0), -EINVAL);
	assert_int_equal(iommufd_access_rw(h.acc, ~0ull, buf, 2, 0), -EOVERFLOW);
	assert_int_equal(iommufd_access_pin_pages(h.acc, IOVA + 1, PAGE, addrs, 0), -EINVAL);
	assert_int_equal(iommufd_access_pin_pages(h.acc, IOVA, 2 * PAGE, addrs, IOMMUFD_ACCESS_RW_WRITE), 0);
	assert_ptr_equal(addrs[1], p + PAGE);
	assert_int_equal(iopt_user_page_pins((u64)p), 1);
	/* Whoever has the address has the memory. */
	assert_int_equal(softvirt_munmap(p, PAGE), -1);
	assert_int_equal(errno, EBUSY);
	h.pinned = true;
	h.stubborn = true;
	assert_int_equal(env_unmap(&e, e.ioas, IOVA, 2 * PAGE), -EDEADLOCK);
	assert_int_equal(h.calls, 101);
	/* Half-way through an unmap nothing new is pinned. */
	assert_int_equal(iommufd_access_pin_pages(h.acc, IOVA, PAGE, addrs, 0), -EINVAL);
	h.stubborn = false;
	assert_int_equal(env_unmap(&e, e.ioas, IOVA, 2 * PAGE), 0);
	assert_false(h.pinned);
	assert_int_equal(iopt_user_page_pins((u64)p), 0);
	assert_int_equal(env_map(&e, e.ioas, p, 2 * PAGE, IOVA, RW), 0);
	assert_int_equal(iommufd_access_pin_pages(h.acc, IOVA, 2 * PAGE, addrs, 0), 0);
	h.pinned = true;
	/* Another IOAS: told to let go of everything. */
	assert_int_equal(iommufd_access_replace(h.acc, env_ioas(&e)), 0);
	assert_false(h.pinned);
	iommufd_access_detach(h.acc);
	assert_int_equal(iommufd_access_replace(h.acc, e.ioas), -ENOENT);
	iommufd_access_destroy(h.acc);
	env_down(&e);
	munmap(p, 4 * PAGE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(written_pages_are_reported_once),
		cmocka_unit_test(two_stages),
		cmocka_unit_test(page_requests),
		cmocka_unit_test(pasids_are_spaces_of_their_own),
		cmocka_unit_test(a_revoked_buffer_is_out_of_every_domain),
		cmocka_unit_test(software_reads_writes_and_pins),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
