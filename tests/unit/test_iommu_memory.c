/* SPDX-License-Identifier: MIT */
/*
 * The program's memory under a device: when is it looked at, what is a fault, and what becomes of
 * it when the program unmaps, replaces, discards or moves it while it is pinned.
 */
#include <sys/resource.h>
#include <sys/syscall.h>
#include <linux/capability.h>

#include "base/sync.h"
#include "iommu_env.h"

#define IOVA 0x100000ull

static void fill_pages(u8 *p, unsigned n, u8 first)
{
	for (unsigned i = 0; i < n; i++)
		memset(p + i * PAGE, first + i, PAGE);
}

static void memory_is_looked_at_when_it_is_pinned(void **state)
{
	static const u64 sizes[] = { PAGE, 16 * PAGE, 17 * PAGE, 1 << 20, 32 << 20 };
	struct env e;

	for (unsigned i = 0; i < ARRAY_SIZE(sizes); i++) {
		u64 len = sizes[i];
		u8 *p = env_memory(len + 2 * PAGE);

		env_up(&e);
		munmap(p + len - PAGE, PAGE);
		/* Nobody has it in a page table: nobody looks. */
		assert_int_equal(env_map(&e, e.ioas, p, len, IOVA, RW), 0);
		assert_int_equal(env_attach(&e.d[0], e.ioas), -EFAULT);
		assert_int_equal(env_unmap(&e, e.ioas, IOVA, len), 0);
		assert_int_equal(env_attach(&e.d[0], e.ioas), 0);
		assert_int_equal(env_map(&e, e.ioas, p, len, IOVA, RW), -EFAULT);
		assert_int_equal(env_map(&e, e.ioas, p, len, IOVA, IOMMU_IOAS_MAP_READABLE), -EFAULT);
		if (len > PAGE) {
			assert_int_equal(env_map(&e, e.ioas, p, len - PAGE, IOVA, RW), 0);
			assert_int_equal(env_unmap(&e, e.ioas, IOVA, len - PAGE), 0);
			/* Read-only memory is there for reading. */
			mprotect(p, PAGE, PROT_READ);
			assert_int_equal(env_map(&e, e.ioas, p, len - PAGE, IOVA, RW), -EFAULT);
			assert_int_equal(env_map(&e, e.ioas, p, len - PAGE, IOVA,
						 IOMMU_IOAS_MAP_READABLE), 0);
			mprotect(p, PAGE, PROT_NONE);
			assert_int_equal(env_map(&e, e.ioas, p, len - PAGE, IOVA + (1 << 30),
						 IOMMU_IOAS_MAP_READABLE), -EFAULT);
			/* Taken away behind the library's back: a fault to the device. */
			assert_int_equal(env_peek(&e.d[0], IOVA), ~IOMMU_FAULT_BUS);
			mprotect(p, PAGE, PROT_READ);
			assert_int_equal(env_peek(&e.d[0], IOVA), 0);
			assert_int_equal(env_unmap(&e, e.ioas, 0, ~0ull), 0);
		}
		env_detach(&e.d[0]);
		env_down(&e);
		munmap(p, len + 2 * PAGE);
	}
}

static void unmapped_memory_stays_with_the_device(void **state)
{
	u8 *p = env_memory(8 * PAGE), *q;
	u32 other, third;
	struct env e;

	env_up(&e);
	other = env_ioas(&e);
	third = env_ioas(&e);
	fill_pages(p, 8, 1);
	assert_int_equal(env_map(&e, e.ioas, p, 8 * PAGE, IOVA, RW), 0);
	assert_int_equal(env_map(&e, other, p + 2 * PAGE, 4 * PAGE, IOVA, RW), 0);
	assert_int_equal(env_map(&e, third, p, 8 * PAGE, IOVA, RW), 0);
	assert_int_equal(env_attach(&e.d[0], e.ioas), 0);
	assert_int_equal(env_attach(&e.d[1], other), 0);
	assert_int_equal(softvirt_munmap(p + PAGE, 4 * PAGE), 0);
	/* It is gone for the program, and may be somebody else's. */
	q = mmap(p + PAGE, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE,
		 -1, 0);
	assert_ptr_equal(q, p + PAGE);
	for (unsigned i = 0; i < 8; i++)
		assert_int_equal(env_peek(&e.d[0], IOVA + i * PAGE), 1 + i);
	/* Both devices still have the same memory, and the newcomer isn't it. */
	assert_int_equal(env_poke(&e.d[0], IOVA + 3 * PAGE, 0x77), 0);
	assert_int_equal(env_peek(&e.d[1], IOVA + PAGE), 0x77);
	for (unsigned i = 0; i < 4 * PAGE; i++)
		assert_int_equal(q[i], 0);
	/* A copy has the pinned pages, too; a new map has the new ones. */
	assert_int_equal(env_copy(&e, other, IOVA + (1 << 20), e.ioas, IOVA, 8 * PAGE, RW), 0);
	assert_int_equal(env_peek(&e.d[1], IOVA + (1 << 20) + 3 * PAGE), 0x77);
	assert_int_equal(env_map(&e, other, p, 8 * PAGE, IOVA + (2 << 20), RW), 0);
	assert_int_equal(env_peek(&e.d[1], IOVA + (2 << 20) + 3 * PAGE), 0);
	/* What nobody had pinned is looked up when it is. */
	env_detach(&e.d[1]);
	assert_int_equal(env_attach(&e.d[1], third), 0);
	assert_int_equal(env_peek(&e.d[1], IOVA), 1);
	assert_int_equal(env_peek(&e.d[1], IOVA + 3 * PAGE), 0);
	env_detach(&e.d[1]);
	env_detach(&e.d[0]);
	/* Unpinned everywhere: the old pages have gone, the pointer is what counts. */
	assert_int_equal(env_attach(&e.d[0], e.ioas), 0);
	assert_int_equal(env_peek(&e.d[0], IOVA + 3 * PAGE), 0);
	env_detach(&e.d[0]);
	env_down(&e);
	munmap(p, 8 * PAGE);
}

static void replaced_discarded_and_moved(void **state)
{
	u8 *p = env_memory(8 * PAGE), *to = env_memory(8 * PAGE), *r;
	struct env e;

	env_up(&e);
	fill_pages(p, 8, 1);
	assert_int_equal(env_attach(&e.d[0], e.ioas), 0);
	assert_int_equal(env_map(&e, e.ioas, p, 8 * PAGE, IOVA, RW), 0);
	/* mmap over it. */
	r = softvirt_mmap(p, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	assert_ptr_equal(r, p);
	assert_int_equal(p[0], 0);
	p[0] = 0x99;
	assert_int_equal(env_peek(&e.d[0], IOVA), 1);
	/* Discard: fresh zeroes for the program, the old pages for the device. */
	assert_int_equal(softvirt_madvise(p + 2 * PAGE, 2 * PAGE, MADV_DONTNEED), 0);
	assert_int_equal(p[2 * PAGE], 0);
	p[2 * PAGE] = 0x98;
	assert_int_equal(env_peek(&e.d[0], IOVA + 2 * PAGE), 3);
	/* Move: both have the same pages, at the new place. */
	r = softvirt_mremap(p + 4 * PAGE, 2 * PAGE, 2 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, to);
	assert_ptr_equal(r, to);
	assert_int_equal(to[PAGE], 6);
	assert_int_equal(env_poke(&e.d[0], IOVA + 5 * PAGE, 0x55), 0);
	assert_int_equal(to[PAGE], 0x55);
	/* And away from there, in part. */
	assert_int_equal(softvirt_munmap(to, PAGE), 0);
	assert_int_equal(env_peek(&e.d[0], IOVA + 4 * PAGE), 5);
	to[PAGE] = 0x56;
	assert_int_equal(env_peek(&e.d[0], IOVA + 5 * PAGE), 0x56);
	/* Growing may move; shrinking cuts. */
	r = softvirt_mremap(p + 6 * PAGE, 2 * PAGE, 64 * PAGE, MREMAP_MAYMOVE);
	assert_ptr_not_equal(r, MAP_FAILED);
	r[PAGE] = 0x44;
	assert_int_equal(env_peek(&e.d[0], IOVA + 7 * PAGE), 0x44);
	r = softvirt_mremap(r, 64 * PAGE, PAGE, 0);
	assert_ptr_not_equal(r, MAP_FAILED);
	r[0] = 0x43;
	assert_int_equal(env_peek(&e.d[0], IOVA + 6 * PAGE), 0x43);
	assert_int_equal(env_peek(&e.d[0], IOVA + 7 * PAGE), 0x44);
	/* Onto something pinned. */
	assert_int_equal(env_map(&e, e.ioas, to + 4 * PAGE, PAGE, 0x10000, RW), 0);
	to[4 * PAGE] = 0x31;
	r = softvirt_mremap(r, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, to + 4 * PAGE);
	assert_ptr_equal(r, to + 4 * PAGE);
	assert_int_equal(*r, 0x43);
	assert_int_equal(env_peek(&e.d[0], 0x10000), 0x31);
	assert_int_equal(env_unmap(&e, e.ioas, 0, ~0ull), 0);
	/* With nothing pinned they are the plain calls. */
	assert_int_equal(softvirt_munmap(to, 8 * PAGE), 0);
	assert_int_equal(softvirt_munmap(p, 4 * PAGE), 0);
	env_detach(&e.d[0]);
	env_down(&e);
}

/* The same thousand times at random, against what each page of the device must show. */
static void random_changes_of_memory(void **state)
{
	enum { N = 32 };
	u8 *mem = env_memory(N * PAGE);
	u8 device[2][N] = { 0 }, program[N];
	bool there[N], mapped[2] = { false, false };
	u64 seed = 77;
	struct env e;
	u32 ioas[2];

	env_up(&e);
	ioas[0] = e.ioas;
	ioas[1] = env_ioas(&e);
	for (unsigned i = 0; i < 2; i++)
		assert_int_equal(env_attach(&e.d[i], ioas[i]), 0);
	for (unsigned i = 0; i < N; i++)
		there[i] = true, program[i] = 0;
	for (unsigned round = 0; round < 3000; round++) {
		u64 r = unit_rand(&seed);
		unsigned at = (r >> 8) % N, n = min(1 + (r >> 16) % 8, N - at), s = r & 1;
		u8 v = (u8)(round * 7 + 1);

		switch ((r >> 32) % 6) {
		case 0:
			assert_int_equal(softvirt_munmap(mem + at * PAGE, n * PAGE), 0);
			for (unsigned i = at; i < at + n; i++)
				there[i] = false;
			break;
		case 1:
			assert_ptr_equal(softvirt_mmap(mem + at * PAGE, n * PAGE, PROT_READ | PROT_WRITE,
						       MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0),
					 mem + at * PAGE);
			for (unsigned i = at; i < at + n; i++)
				there[i] = true, program[i] = 0;
			break;
		case 2: {
			bool all = true;

			for (unsigned i = at; i < at + n; i++)
				all &= there[i];
			if (!all)
				break;
			assert_int_equal(softvirt_madvise(mem + at * PAGE, n * PAGE, MADV_DONTNEED), 0);
			for (unsigned i = at; i < at + n; i++)
				program[i] = 0;
			break;
		}
		case 3:
			/*
			 * The program writes; where it shares the page with a device, that sees it.
			 */
			if (there[at]) {
				bool shared[2];

				for (unsigned k = 0; k < 2; k++) {
					mem[at * PAGE] = (u8)(v ^ 0xff);
					shared[k] = mapped[k] && env_peek(&e.d[k], IOVA + at * PAGE) ==
								 (u8)(v ^ 0xff);
					mem[at * PAGE] = v;
					shared[k] = shared[k] && env_peek(&e.d[k], IOVA + at * PAGE) == v;
					if (shared[k])
						device[k][at] = v;
				}
				program[at] = v;
			}
			break;
		default:
			if (mapped[s]) {
				assert_int_equal(env_unmap(&e, ioas[s], IOVA, N * PAGE), 0);
				mapped[s] = false;
			} else {
				bool all = true;

				for (unsigned i = 0; i < N; i++)
					all &= there[i];
				assert_int_equal(env_map(&e, ioas[s], mem, N * PAGE, IOVA, RW),
						 all ? 0 : -EFAULT);
				mapped[s] = all;
				memcpy(device[s], program, N);
			}
		}
		for (unsigned i = 0; i < N; i++) {
			if (there[i])
				assert_int_equal(mem[i * PAGE], program[i]);
			for (unsigned k = 0; k < 2; k++)
				if (mapped[k])
					assert_int_equal(env_peek(&e.d[k], IOVA + i * PAGE), device[k][i]);
		}
	}
	for (unsigned i = 0; i < 2; i++)
		env_detach(&e.d[i]);
	env_down(&e);
	munmap(mem, N * PAGE);
}

static void failures_while_memory_moves(void **state)
{
	u8 *p = env_memory(1 << 21), *r;
	struct env e;
	unsigned n;
	int ret;

	env_up(&e);
	assert_int_equal(env_attach(&e.d[0], e.ioas), 0);
	/* Aligned in IOVA: large entries that must be split. */
	assert_int_equal(env_map(&e, e.ioas, p, 1 << 21, 1 << 21, RW), 0);
	for (n = 1;; n++) {
		memset(p + 0x5000, (int)n, 0x3000);
		sv_fault_inject(n);
		ret = softvirt_munmap(p + 0x5000, 0x3000);
		if (!sv_fault_fired())
			break;
		sv_fault_inject(0);
		assert_int_equal(ret, -1);
		assert_int_equal(errno, ENOMEM);
		p[0x6000] = (u8)(n + 100);
		assert_int_equal(env_peek(&e.d[0], (1 << 21) + 0x6000), (u8)(n + 100));
	}
	sv_fault_inject(0);
	assert_int_equal(ret, 0);
	assert_true(n > 4);
	assert_int_equal(env_peek(&e.d[0], (1 << 21) + 0x6000), (u8)n);
	/* Several pieces, of which a later one can't go: none has gone. */
	assert_int_equal(env_unmap(&e, e.ioas, 0, ~0ull), 0);
	for (unsigned i = 0; i < 4; i++)
		assert_int_equal(env_map(&e, e.ioas, p + 0x40000 + i * 0x2000, PAGE, IOVA + i * PAGE, RW), 0);
	for (n = 1;; n++) {
		memset(p + 0x40000, (int)n, 0x8000);
		sv_fault_inject(n);
		ret = softvirt_munmap(p + 0x40000, 0x8000);
		if (!sv_fault_fired())
			break;
		sv_fault_inject(0);
		assert_int_equal(ret, -1);
		for (unsigned i = 0; i < 8; i++)
			assert_int_equal(p[0x40000 + i * PAGE], (u8)n);
		for (unsigned i = 0; i < 4; i++) {
			p[0x40000 + i * 0x2000] = (u8)(n + 100 + i);
			assert_int_equal(env_peek(&e.d[0], IOVA + i * PAGE), (u8)(n + 100 + i));
		}
	}
	sv_fault_inject(0);
	assert_int_equal(ret, 0);
	assert_true(n > 16);
	for (unsigned i = 0; i < 4; i++)
		assert_int_equal(env_peek(&e.d[0], IOVA + i * PAGE), (u8)n);
	assert_int_equal(env_unmap(&e, e.ioas, 0, ~0ull), 0);
	assert_int_equal(env_map(&e, e.ioas, p + 0x10000, 0x4000, (1 << 21) + 0x10000, RW), 0);
	for (n = 1;; n++) {
		sv_fault_inject(n);
		r = softvirt_mremap(p + 0x10000, 0x4000, 0x100000, MREMAP_MAYMOVE);
		if (!sv_fault_fired())
			break;
		sv_fault_inject(0);
		assert_ptr_equal(r, MAP_FAILED);
		p[0x11000] = (u8)(n + 100);
		assert_int_equal(env_peek(&e.d[0], (1 << 21) + 0x11000), (u8)(n + 100));
	}
	sv_fault_inject(0);
	assert_ptr_not_equal(r, MAP_FAILED);
	r[0x1000] = 42;
	assert_int_equal(env_peek(&e.d[0], (1 << 21) + 0x11000), 42);
	env_detach(&e.d[0]);
	env_down(&e);
	munmap(r, 0x100000);
	munmap(p, 1 << 21);
}

/*
 * Device threads copy while the program takes memory from under them: never a fault, never a
 * stranger's page.
 */
struct race {
	struct env e;
	u8 *mem;
	bool stop;
};

static void *race_device(void *arg)
{
	struct race *r = arg;
	u8 buf[8 * 4096];

	while (!__atomic_load_n(&r->stop, __ATOMIC_RELAXED)) {
		struct iommu_dma_fault f;

		assert_int_equal(iommu_dma_read(&r->e.d[0].dev, 0, buf, IOVA, sizeof(buf), &f), 0);
		for (unsigned i = 0; i < sizeof(buf); i += 64)
			assert_int_equal(buf[i], 0x5a);
		assert_int_equal(iommu_dma_fill(&r->e.d[0].dev, 0, IOVA, 0x5a5a5a5a5a5a5a5aull, sizeof(buf), &f), 0);
	}
	return NULL;
}

static void a_device_sees_no_gap(void **state)
{
	static struct race r;
	struct sv_thread t;

	memset(&r, 0, sizeof(r));
	env_up(&r.e);
	r.mem = env_memory(8 * PAGE);
	memset(r.mem, 0x5a, 8 * PAGE);
	assert_int_equal(env_map(&r.e, r.e.ioas, r.mem, 8 * PAGE, IOVA, RW), 0);
	assert_int_equal(env_attach(&r.e.d[0], r.e.ioas), 0);
	assert_int_equal(sv_thread_create(&t, "device", race_device, &r), 0);
	for (unsigned i = 0; i < 300; i++) {
		/* There and back, then away. */
		u8 *to = softvirt_mremap(r.mem, 8 * PAGE, 8 * PAGE, MREMAP_MAYMOVE | MREMAP_DONTUNMAP, NULL);

		if (to == MAP_FAILED)
			break;
		assert_ptr_equal(softvirt_mremap(to, 8 * PAGE, 8 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, r.mem),
				 r.mem);
		if (i % 3 == 0) {
			assert_int_equal(softvirt_munmap(r.mem + (i % 8) * PAGE, PAGE), 0);
			assert_ptr_equal(mmap(r.mem + (i % 8) * PAGE, PAGE, PROT_READ | PROT_WRITE,
					      MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0),
					 r.mem + (i % 8) * PAGE);
			for (unsigned k = 0; k < PAGE; k++)
				assert_int_equal(r.mem[(i % 8) * PAGE + k], 0);
		}
	}
	__atomic_store_n(&r.stop, true, __ATOMIC_RELAXED);
	sv_thread_join(&t);
	env_detach(&r.e.d[0]);
	env_down(&r.e);
	munmap(r.mem, 8 * PAGE);
}

static void drop_ipc_lock(void)
{
	struct __user_cap_header_struct hdr = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct cap[2];

	assert_int_equal(syscall(SYS_capget, &hdr, cap), 0);
	cap[0].effective &= ~(1u << CAP_IPC_LOCK);
	assert_int_equal(syscall(SYS_capset, &hdr, cap), 0);
}

static void rlimit_child(void)
{
	struct rlimit lim = { 16 * PAGE, 16 * PAGE };
	struct iommu_option opt = {
		.size = sizeof(opt), .option_id = IOMMU_OPTION_RLIMIT_MODE, .op = IOMMU_OPTION_OP_SET, .val64 = 1,
	};
	u8 *p = env_memory(64 * PAGE);
	struct env e;
	u32 other;

	drop_ipc_lock();
	setrlimit(RLIMIT_MEMLOCK, &lim);
	for (unsigned mode = 0; mode < 2; mode++) {
		if (mode) {
			int fd = softvirt_open("/dev/iommu", O_RDWR);

			if (env_ioctl(fd, IOMMU_OPTION, &opt) == 0)
				opt.op = IOMMU_OPTION_OP_GET, opt.val64 = 0;
			softvirt_close(fd);
		}
		env_up(&e);
		other = env_ioas(&e);
		assert_int_equal(env_attach(&e.d[0], e.ioas), 0);
		assert_int_equal(env_map(&e, e.ioas, p, 17 * PAGE, IOVA, RW), -ENOMEM);
		assert_int_equal(env_map(&e, e.ioas, p, 16 * PAGE, IOVA, RW), 0);
		assert_int_equal(env_map(&e, e.ioas, p, PAGE, 0x10000, RW), -ENOMEM);
		/* A copy is pinned already, and what no device has isn't. */
		assert_int_equal(env_copy(&e, e.ioas, 0x800000, e.ioas, IOVA, 16 * PAGE, RW), 0);
		assert_int_equal(env_map(&e, other, p, 64 * PAGE, IOVA, RW), 0);
		assert_int_equal(env_attach(&e.d[1], other), -ENOMEM);
		assert_int_equal(env_unmap(&e, e.ioas, IOVA, 16 * PAGE), 0);
		assert_int_equal(env_map(&e, e.ioas, p, PAGE, 0x10000, RW), -ENOMEM);
		assert_int_equal(env_unmap(&e, e.ioas, 0x800000, 16 * PAGE), 0);
		assert_int_equal(env_map(&e, e.ioas, p, 16 * PAGE, IOVA, RW), 0);
		env_detach(&e.d[0]);
		env_down(&e);
	}
}

static void pinned_pages_count_against_the_limit(void **state)
{
	assert_int_equal(unit_in_child(rlimit_child), 0);
}

static void files_stay_mapped_and_cut_ones_fault(void **state)
{
	int fd = memfd_create("test", MFD_CLOEXEC), null = open("/dev/null", O_RDWR);
	struct env e;
	u8 *p;

	env_up(&e);
	assert_int_equal(ftruncate(fd, 8 * PAGE), 0);
	p = mmap(NULL, 8 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	fill_pages(p, 8, 1);
	assert_int_equal(env_attach(&e.d[0], e.ioas), 0);
	assert_int_equal(env_map_file(&e, e.ioas, fd, 2 * PAGE, 4 * PAGE, IOVA, RW), 0);
	assert_int_equal(env_peek(&e.d[0], IOVA + PAGE), 4);
	assert_int_equal(env_map_file(&e, e.ioas, fd, 8 * PAGE, PAGE, 0x10000, RW), -EINVAL);
	assert_int_equal(env_map_file(&e, e.ioas, fd, 0, 0, 0x10000, RW), -EINVAL);
	assert_int_equal(env_map_file(&e, e.ioas, null, 0, PAGE, 0x10000, RW), -EINVAL);
	assert_int_equal(env_map_file(&e, e.ioas, -1, 0, PAGE, 0x10000, RW), -EBADF);
	assert_int_equal(env_map_file(&e, e.ioas, fd, ~0ull - PAGE, 2 * PAGE, 0x10000, RW), -EOVERFLOW);
	munmap(p, 8 * PAGE);
	assert_int_equal(ftruncate(fd, 4 * PAGE), 0);
	assert_int_equal(env_peek(&e.d[0], IOVA + PAGE), 4);
	assert_int_equal(env_peek(&e.d[0], IOVA + 2 * PAGE), ~IOMMU_FAULT_BUS);
	close(fd);
	assert_int_equal(env_poke(&e.d[0], IOVA, 9), 0);
	close(null);
	env_detach(&e.d[0]);
	env_down(&e);
}

static void a_fault_says_exactly_how_far_it_got(void **state)
{
	u8 *p = env_memory(64 * PAGE), *q = env_memory(64 * PAGE);
	struct iommu_dma_fault f;
	struct env e;

	env_up(&e);
	memset(q, 0xee, 64 * PAGE);
	fill_pages(p, 64, 1);
	assert_int_equal(env_map(&e, e.ioas, p, 64 * PAGE, IOVA, RW), 0);
	assert_int_equal(env_map(&e, e.ioas, q, 64 * PAGE, IOVA + (1 << 20), RW), 0);
	assert_int_equal(env_attach(&e.d[0], e.ioas), 0);
	munmap(p + 37 * PAGE, PAGE);		/* behind the library's back */
	assert_int_equal(iommu_dma_copy(&e.d[0].dev, 0, IOVA + (1 << 20), IOVA, 64 * PAGE, &f), -EFAULT);
	assert_int_equal(f.reason, IOMMU_FAULT_BUS);
	assert_int_equal(f.iova, IOVA + 37 * PAGE);
	assert_false(f.write);
	assert_memory_equal(q, p, 37 * PAGE);
	for (unsigned i = 37 * PAGE; i < 64 * PAGE; i++)
		assert_int_equal(q[i], 0xee);
	assert_int_equal(iommu_dma_copy(&e.d[0].dev, 0, IOVA + 100, IOVA + (1 << 20), 60 * PAGE, &f), -EFAULT);
	assert_int_equal(f.iova, IOVA + 37 * PAGE);
	assert_true(f.write);
	env_detach(&e.d[0]);
	env_down(&e);
	munmap(p, 64 * PAGE);
	munmap(q, 64 * PAGE);
}

/* All of the program's n pages at p hold what they held, and the device sees what it writes. */
static void check_intact(struct env *e, u8 *p, u64 iova, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		assert_int_equal(p[i * PAGE], 1 + i);
		assert_int_equal(p[i * PAGE + PAGE - 1], 1 + i);
		assert_int_equal(env_peek(&e->d[0], iova + i * PAGE), 1 + i);
		assert_int_equal(env_poke(&e->d[0], iova + i * PAGE + 1, 0x77), 0);
		assert_int_equal(p[i * PAGE + 1], 0x77);
		p[i * PAGE + 1] = (u8)(1 + i);
	}
}

static void a_call_that_fails_takes_nothing(void **state)
{
	enum { N = 8 };
	int fd = memfd_create("private", MFD_CLOEXEC);
	u8 *p = env_memory(N * PAGE), *locked = env_memory(N * PAGE), *target, *file;
	struct env e;

	env_up(&e);
	assert_int_equal(env_attach(&e.d[0], e.ioas), 0);
	fill_pages(p, N, 1);
	assert_int_equal(env_map(&e, e.ioas, p, N * PAGE, IOVA, RW), 0);
	/* A fixed mapping of nothing. */
	assert_ptr_equal(softvirt_mmap(p, N * PAGE, PROT_READ, MAP_PRIVATE | MAP_FIXED, -1, 0), MAP_FAILED);
	assert_int_equal(errno, EBADF);
	check_intact(&e, p, IOVA, N);
	/* A remap with a flag that there isn't: no page is cut off, the target is left alone. */
	assert_ptr_equal(softvirt_mremap(p, N * PAGE, PAGE, 0x100), MAP_FAILED);
	assert_int_equal(errno, EINVAL);
	target = env_memory(N * PAGE);
	fill_pages(target, N, 1);
	assert_ptr_equal(softvirt_mremap(p, N * PAGE, N * PAGE, MREMAP_FIXED, target), MAP_FAILED);
	assert_int_equal(errno, EINVAL);
	for (unsigned i = 0; i < N; i++)
		assert_int_equal(target[i * PAGE], 1 + i);
	check_intact(&e, p, IOVA, N);
	/* Locked memory can't be discarded, pinned or not. */
	assert_int_equal(env_unmap(&e, e.ioas, 0, ~0ull), 0);
	fill_pages(locked, N, 1);
	/* By number: the sanitizers make mlock() do nothing. */
	if (!syscall(SYS_mlock, locked + PAGE, PAGE)) {
		assert_int_equal(env_map(&e, e.ioas, locked, N * PAGE, IOVA, RW), 0);
		assert_int_equal(softvirt_madvise(locked + PAGE, PAGE, MADV_DONTNEED), -1);
		assert_int_equal(errno, EINVAL);
		check_intact(&e, locked, IOVA, N);
		assert_int_equal(env_unmap(&e, e.ioas, 0, ~0ull), 0);
	}
	/* Nor can private pages of a file be given up lazily. */
	assert_int_equal(ftruncate(fd, N * PAGE), 0);
	file = mmap(NULL, N * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
	assert_ptr_not_equal(file, MAP_FAILED);
	fill_pages(file, N, 1);
	assert_int_equal(env_map(&e, e.ioas, file, N * PAGE, IOVA, RW), 0);
	assert_int_equal(softvirt_madvise(file, N * PAGE, MADV_FREE), -1);
	assert_int_equal(errno, EINVAL);
	check_intact(&e, file, IOVA, N);
	/* A hole is an error, too, but what is around it has gone. */
	munmap(file + PAGE, PAGE);
	assert_int_equal(softvirt_madvise(file, N * PAGE, MADV_DONTNEED), -1);
	assert_int_equal(errno, ENOMEM);
	assert_int_equal(file[0], 0);
	assert_int_equal(file[2 * PAGE], 0);
	assert_int_equal(env_peek(&e.d[0], IOVA + 2 * PAGE), 3);
	assert_int_equal(env_unmap(&e, e.ioas, 0, ~0ull), 0);
	env_detach(&e.d[0]);
	env_down(&e);
	close(fd);
	munmap(p, N * PAGE);
	munmap(locked, N * PAGE);
	munmap(target, N * PAGE);
	munmap(file, N * PAGE);
}

/* The only free place for a page is a hole in what is unmapped, which goes with the rest. */
static void what_is_kept_is_not_kept_in_the_way(void **state)
{
	enum { N = 8, FILL = 4096 };
	static void *fill[FILL];
	u8 *p = env_memory(N * PAGE);
	unsigned n = 0;
	struct env e;

	env_up(&e);
	assert_int_equal(env_attach(&e.d[0], e.ioas), 0);
	fill_pages(p, N, 1);
	for (unsigned i = 0; i < N; i += 2)
		assert_int_equal(env_map(&e, e.ioas, p + i * PAGE, PAGE, IOVA + i * PAGE, RW), 0);
	/* The host takes the highest place that is free. */
	do {
		fill[n] = mmap(NULL, PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		assert_ptr_not_equal(fill[n], MAP_FAILED);
	} while ((u8 *)fill[n] > p && ++n < FILL);
	for (unsigned i = 1; i < N; i += 2)
		munmap(p + i * PAGE, PAGE);
	assert_int_equal(softvirt_munmap(p, N * PAGE), 0);
	for (unsigned i = 0; i < N; i += 2)
		assert_int_equal(env_peek(&e.d[0], IOVA + i * PAGE), 1 + i);
	assert_int_equal(env_unmap(&e, e.ioas, 0, ~0ull), 0);
	for (unsigned i = 0; i <= n && i < FILL; i++)
		munmap(fill[i], PAGE);
	env_detach(&e.d[0]);
	env_down(&e);
}

/* More than the host has mappings for, if each page went by itself. */
static void many_pages_pinned_one_by_one_go_together(void **state)
{
	enum { N = 70000 };
	u8 *p = env_memory(N * PAGE);
	struct env e;

	env_up(&e);
	assert_int_equal(env_attach(&e.d[0], e.ioas), 0);
	for (unsigned i = 0; i < N; i++)
		assert_int_equal(env_map(&e, e.ioas, p + i * PAGE, PAGE, IOVA + i * PAGE, RW), 0);
	p[0] = 1;
	p[(N - 1) * PAGE] = 2;
	assert_int_equal(softvirt_munmap(p, N * PAGE), 0);
	assert_int_equal(env_peek(&e.d[0], IOVA), 1);
	assert_int_equal(env_peek(&e.d[0], IOVA + (N - 1) * PAGE), 2);
	assert_int_equal(env_unmap(&e, e.ioas, 0, ~0ull), 0);
	env_detach(&e.d[0]);
	env_down(&e);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pinned_pages_count_against_the_limit),
		cmocka_unit_test(memory_is_looked_at_when_it_is_pinned),
		cmocka_unit_test(unmapped_memory_stays_with_the_device),
		cmocka_unit_test(replaced_discarded_and_moved),
		cmocka_unit_test(a_call_that_fails_takes_nothing),
		cmocka_unit_test(what_is_kept_is_not_kept_in_the_way),
		cmocka_unit_test(many_pages_pinned_one_by_one_go_together),
		cmocka_unit_test(random_changes_of_memory),
		cmocka_unit_test(failures_while_memory_moves),
		cmocka_unit_test(a_device_sees_no_gap),
		cmocka_unit_test(files_stay_mapped_and_cut_ones_fault),
		cmocka_unit_test(a_fault_says_exactly_how_far_it_got),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
