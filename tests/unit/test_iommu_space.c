/* SPDX-License-Identifier: MIT */
/*
 * An I/O address space and its domains: what devices reach, compared to an array that says what
 * they must reach; failures of every allocation; the rules of maps, unmaps and copies.
 */
#include "iommu_env.h"

static void a_device_reaches_what_is_mapped_and_nothing_else(void **state)
{
	u8 *p = env_memory(16 * PAGE), buf[3 * 4096], out[3 * 4096];
	struct iommu_dma_fault f;
	struct env e;

	env_up(&e);
	for (unsigned i = 0; i < 16 * PAGE; i++)
		p[i] = (u8)(i >> 12 ^ i);
	assert_int_equal(env_peek(&e.d[0], PAGE), ~IOMMU_FAULT_BLOCKED);
	assert_int_equal(env_map(&e, e.ioas, p, 8 * PAGE, 0x10000, RW), 0);
	assert_int_equal(env_attach(&e.d[0], e.ioas), 0);
	/* After the domain is there, too. */
	assert_int_equal(env_map(&e, e.ioas, p + 8 * PAGE, 8 * PAGE, 0x18000, IOMMU_IOAS_MAP_READABLE), 0);
	assert_int_equal(iommu_dma_read(&e.d[0].dev, 0, buf, 0x16800, sizeof(buf), NULL), 0);
	assert_memory_equal(buf, p + 0x6800, sizeof(buf));
	memset(out, 0xa5, sizeof(out));
	assert_int_equal(iommu_dma_write(&e.d[0].dev, 0, 0x10123, out, sizeof(out), NULL), 0);
	assert_memory_equal(out, p + 0x123, sizeof(out));
	assert_int_equal(iommu_dma_copy(&e.d[0].dev, 0, 0x10000, 0x18000, 8 * PAGE, NULL), 0);
	assert_memory_equal(p, p + 8 * PAGE, 8 * PAGE);
	assert_int_equal(iommu_dma_fill(&e.d[0].dev, 0, 0x10003, 0x8877665544332211ull, 21, NULL), 0);
	assert_memory_equal(p + 3, "\x11\x22\x33\x44\x55\x66\x77\x88\x11\x22\x33\x44\x55\x66\x77\x88\x11\x22\x33\x44\x55", 21);
	/* Up to the border, and no further. */
	assert_int_equal(iommu_dma_write(&e.d[0].dev, 0, 0x17000, out, sizeof(out), &f), -EFAULT);
	assert_int_equal(f.iova, 0x18000);
	assert_int_equal(f.reason, IOMMU_FAULT_PERMISSION);
	assert_true(f.write);
	assert_memory_equal(p + 7 * PAGE, out, PAGE);
	assert_int_equal(iommu_dma_read(&e.d[0].dev, 0, buf, 0x1f000, sizeof(buf), &f), -EFAULT);
	assert_int_equal(f.iova, 0x20000);
	assert_int_equal(f.reason, IOMMU_FAULT_UNMAPPED);
	assert_int_equal(env_peek(&e.d[1], 0x10000), ~IOMMU_FAULT_BLOCKED);
	iommu_dma_enable(&e.d[0].dev, false);
	assert_int_equal(env_peek(&e.d[0], 0x10000), ~IOMMU_FAULT_BLOCKED);
	iommu_dma_enable(&e.d[0].dev, true);
	assert_int_equal(env_unmap(&e, e.ioas, 0x10000, 8 * PAGE), 0);
	assert_int_equal(env_peek(&e.d[0], 0x10000), ~IOMMU_FAULT_UNMAPPED);
	assert_int_equal(env_peek(&e.d[0], 0x18000), p[8 * PAGE]);
	env_detach(&e.d[0]);
	assert_int_equal(env_peek(&e.d[0], 0x18000), ~IOMMU_FAULT_BLOCKED);
	env_down(&e);
	munmap(p, 16 * PAGE);
}

/*
 * The model: 64 pages of IOVA in each of two spaces, each page what it must show (0: nothing).
 * Areas are known by their first page. Two devices are attached to one of the spaces or to none.
 */
#define PAGES 64
#define BASE 0x200000ull

struct model {
	u16 page[PAGES];	/* the memory's page + 1 */
	u8 len[PAGES];		/* of the area that begins here */
	bool ro[PAGES];
};

static bool model_free(const struct model *m, unsigned at, unsigned n)
{
	for (unsigned i = at; i < at + n; i++)
		if (m->page[i])
			return false;
	return true;
}

static void model_put(struct model *m, unsigned at, unsigned n, bool ro, const u16 *pages)
{
	m->len[at] = n;
	for (unsigned i = 0; i < n; i++) {
		m->page[at + i] = pages[i];
		m->ro[at + i] = ro;
	}
}

/* Removes the areas of [at, at + n); -1: one reaches out of it; else how many pages. */
static int model_cut(struct model *m, unsigned at, unsigned n)
{
	int removed = 0;

	for (unsigned i = 0; i < PAGES; i++)
		if (m->len[i] && i < at + n && i + m->len[i] > at && (i < at || i + m->len[i] > at + n))
			return -1 - removed;
	for (unsigned i = at; i < at + n; i++) {
		removed += m->page[i] != 0;
		m->page[i] = 0;
		m->len[i] = 0;
	}
	return removed;
}

static void model_check(struct env_dev *d, const struct model *m, const u8 *mem)
{
	for (unsigned i = 0; i < PAGES; i++) {
		int want = !m ? ~IOMMU_FAULT_BLOCKED : !m->page[i] ? ~IOMMU_FAULT_UNMAPPED :
			   mem[(m->page[i] - 1) * PAGE];

		assert_int_equal(env_peek(d, BASE + i * PAGE), want);
		if (m && m->page[i])
			assert_int_equal(env_poke(d, BASE + i * PAGE + 1, (u8)i),
					 m->ro[i] ? ~IOMMU_FAULT_PERMISSION : 0);
	}
}

static void random_operations_match_a_model(void **state)
{
	static struct model m[2];
	int on[2] = { -1, -1 };
	u8 *mem = env_memory(PAGES * PAGE);
	u64 seed = 0x5eed;
	u32 ioas[2];
	struct env e;

	env_up(&e);
	memset(m, 0, sizeof(m));
	ioas[0] = e.ioas;
	ioas[1] = env_ioas(&e);
	for (unsigned i = 0; i < PAGES; i++)
		mem[i * PAGE] = (u8)(i + 1);
	for (unsigned round = 0; round < 4000; round++) {
		u64 r = unit_rand(&seed);
		unsigned s = r & 1, at = (r >> 8) % PAGES, n = 1 + (r >> 16) % 8, from = (r >> 24) % PAGES;
		unsigned dev = (r >> 32) & 1;
		bool ro = (r >> 40) % 4 == 0;
		u16 pages[8];
		int ret, want;

		n = min(n, PAGES - at);
		n = min(n, PAGES - from);
		for (unsigned i = 0; i < n; i++)
			pages[i] = (u16)(from + i + 1);
		switch ((r >> 48) % 8) {
		case 0: case 1: case 2:
			ret = env_map(&e, ioas[s], mem + from * PAGE, n * PAGE, BASE + at * PAGE,
				      ro ? IOMMU_IOAS_MAP_READABLE : RW);
			want = model_free(&m[s], at, n) ? 0 : -EEXIST;
			assert_int_equal(ret, want);
			if (!ret)
				model_put(&m[s], at, n, ro, pages);
			break;
		case 3: case 4: {
			struct model before = m[s];
			int cut = model_cut(&m[s], at, n);

			ret = env_unmap(&e, ioas[s], BASE + at * PAGE, n * PAGE);
			if (cut >= 0) {
				assert_int_equal(ret, cut ? 0 : -ENOENT);
				break;
			}
			/*
			 * The kernel's rule: whole areas before the one that reaches out are gone.
			 */
			assert_int_equal(ret, -ENOENT);
			m[s] = before;
			for (unsigned i = 0; i < at + n; i++) {
				unsigned len = m[s].len[i];

				if (!len || i + len <= at)
					continue;
				if (i < at || i + len > at + n)
					break;
				model_cut(&m[s], i, len);
			}
			break;
		}
		case 5: {
			unsigned k = 0;

			for (; k < n && m[!s].page[from + k]; k++)
				pages[k] = m[!s].page[from + k];
			/* A read-only map's pages aren't writable for a copy either. */
			bool src_ro = false;

			for (unsigned i = 0; i < n; i++)
				src_ro |= m[!s].ro[from + i];
			ret = env_copy(&e, ioas[s], BASE + at * PAGE, ioas[!s], BASE + from * PAGE, n * PAGE,
				       IOMMU_IOAS_MAP_READABLE);
			want = k < n ? -ENOENT : model_free(&m[s], at, n) ? 0 : -EEXIST;
			assert_int_equal(ret, want);
			if (ret)
				break;
			/* As many areas as there were in the source. */
			for (unsigned i = 0; i < n; ) {
				unsigned j = i + 1;

				while (j < n && !m[!s].len[from + j])
					j++;
				model_put(&m[s], at + i, j - i, true, pages + i);
				i = j;
			}
			break;
		}
		case 6:
			if (on[dev] >= 0) {
				env_detach(&e.d[dev]);
				on[dev] = -1;
			} else {
				assert_int_equal(env_attach(&e.d[dev], ioas[s]), 0);
				on[dev] = s;
			}
			break;
		default:
			if (on[dev] >= 0) {
				e.d[dev].hwpt = ioas[s];
				assert_int_equal(iommufd_device_replace(e.d[dev].idev, 0, &e.d[dev].hwpt), 0);
				on[dev] = s;
			}
		}
		for (dev = 0; dev < 2; dev++)
			model_check(&e.d[dev], on[dev] < 0 ? NULL : &m[on[dev]], mem);
	}
	for (unsigned dev = 0; dev < 2; dev++)
		if (on[dev] >= 0)
			env_detach(&e.d[dev]);
	env_down(&e);
	munmap(mem, PAGES * PAGE);
}

static void every_failed_allocation_leaves_all_as_it_was(void **state)
{
	u8 *mem = env_memory(64 * PAGE);
	struct iommufd_ioas *space;
	struct env e;
	unsigned n;
	int ret;
	u32 other;

	env_up(&e);
	other = env_ioas(&e);
	memset(mem, 7, 64 * PAGE);
	assert_int_equal(env_attach(&e.d[0], e.ioas), 0);
	for (n = 1;; n++) {
		sv_fault_inject(n);
		ret = env_map(&e, e.ioas, mem, 8 * PAGE, BASE, RW);
		if (!sv_fault_fired())
			break;
		sv_fault_inject(0);
		assert_int_not_equal(ret, 0);
		assert_int_equal(env_peek(&e.d[0], BASE), ~IOMMU_FAULT_UNMAPPED);
	}
	sv_fault_inject(0);
	assert_int_equal(ret, 0);
	assert_true(n > 3);
	for (n = 1;; n++) {
		sv_fault_inject(n);
		ret = env_copy(&e, e.ioas, BASE + 0x40000000, e.ioas, BASE, 4 * PAGE, RW);
		if (!sv_fault_fired())
			break;
		assert_int_not_equal(ret, 0);
		sv_fault_inject(0);
		assert_int_equal(env_peek(&e.d[0], BASE + 0x40000000), ~IOMMU_FAULT_UNMAPPED);
	}
	sv_fault_inject(0);
	assert_int_equal(ret, 0);
	/* Attaching a second domain to what is there, and a first one to another space. */
	assert_int_equal(env_map(&e, other, mem, 16 * PAGE, BASE, RW), 0);
	assert_int_equal(env_map(&e, other, mem, 64 * PAGE, 0x40000000, RW), 0);
	for (n = 1;; n++) {
		sv_fault_inject(n);
		ret = env_attach(&e.d[1], other);
		if (!sv_fault_fired())
			break;
		sv_fault_inject(0);
		assert_int_not_equal(ret, 0);
		assert_int_equal(env_peek(&e.d[1], BASE), ~IOMMU_FAULT_BLOCKED);
	}
	sv_fault_inject(0);
	assert_int_equal(ret, 0);
	assert_true(n > 5);
	assert_int_equal(env_peek(&e.d[1], BASE), 7);
	/* Taking away can't fail: nothing in it may. (Looking up an id is a step that may.) */
	space = iommufd_get_ioas(e.ictx, other);
	sv_fault_inject(1);
	assert_int_equal(iopt_unmap_all(&space->iopt, NULL), 0);
	env_detach(&e.d[1]);
	env_detach(&e.d[0]);
	assert_false(sv_fault_fired());
	sv_fault_inject(0);
	iommufd_put_object(e.ictx, &space->obj);
	env_down(&e);
	munmap(mem, 64 * PAGE);
}

static void iovas_are_chosen_and_run_out(void **state)
{
	struct iommu_iova_range range = { 0x100000, 0x100000 + 64 * PAGE - 1 };
	struct iommu_ioas_allow_iovas allow = {
		.size = sizeof(allow), .num_iovas = 1, .allowed_iovas = (u64)&range,
	};
	u8 *mem = env_memory(1 << 21), used[64] = { 0 };
	struct env e;
	u64 iova;

	env_up(&e);
	allow.ioas_id = e.ioas;
	assert_int_equal(env_ioctl(e.fd, IOMMU_IOAS_ALLOW_IOVAS, &allow), 0);
	for (unsigned i = 0; i < 64; i++) {
		assert_int_equal(env_map_any(&e, e.ioas, mem, PAGE, &iova, RW), 0);
		assert_true(iova >= range.start && iova <= range.last && !(iova % PAGE));
		assert_false(used[(iova - range.start) / PAGE]++);
	}
	assert_int_equal(env_map_any(&e, e.ioas, mem, PAGE, &iova, RW), -ENOSPC);
	/* A hole in the middle is found; one that is too small isn't taken. */
	assert_int_equal(env_unmap(&e, e.ioas, range.start + 17 * PAGE, PAGE), 0);
	assert_int_equal(env_map_any(&e, e.ioas, mem, 2 * PAGE, &iova, RW), -ENOSPC);
	assert_int_equal(env_map_any(&e, e.ioas, mem, PAGE, &iova, RW), 0);
	assert_int_equal(iova, range.start + 17 * PAGE);
	env_down(&e);
	munmap(mem, 1 << 21);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_device_reaches_what_is_mapped_and_nothing_else),
		cmocka_unit_test(random_operations_match_a_model),
		cmocka_unit_test(every_failed_allocation_leaves_all_as_it_was),
		cmocka_unit_test(iovas_are_chosen_and_run_out),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
