/* SPDX-License-Identifier: MIT */
/*
 * The ioctls of a container's type1: GET_INFO, MAP_DMA, UNMAP_DMA, DIRTY_PAGES, versions 1 and 2.
 */
#include "vfio.h"

#include "iommu/iommu.h"

static struct test_dev dev;
static int container, group, fd;
static u8 *mem;

#define MEM (1u << 20)
#define RW (VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE)

static int open_as(unsigned long type)
{
	test_dev_make(&dev, 1, 0, 1);
	container_make(1, type, &container, &group);
	fd = group_device(group, &dev);
	assert_true(fd >= 0);
	master_enable(fd, true);
	mem = mmap(NULL, MEM, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	for (u32 i = 0; i < MEM / 4; i++)
		((u32 *)mem)[i] = i;
	return mem == MAP_FAILED;
}

static int setup(void **state)
{
	return open_as(VFIO_TYPE1v2_IOMMU);
}

static int setup_v1(void **state)
{
	return open_as(VFIO_TYPE1_IOMMU);
}

static int teardown(void **state)
{
	softvirt_close(fd);
	softvirt_close(group);
	softvirt_close(container);
	munmap(mem, MEM);
	pci_dev_destroy(dev.pdev);
	return !dev.destroyed;
}

static int map_dma(u64 iova, void *addr, u64 size, u32 flags)
{
	struct vfio_iommu_type1_dma_map m = {
		.argsz = sizeof(m), .flags = flags, .vaddr = (u64)addr, .iova = iova, .size = size,
	};

	return softvirt_ioctl(container, VFIO_IOMMU_MAP_DMA, &m);
}

static int unmap_dma(u64 iova, u64 size, u32 flags, u64 *unmapped)
{
	struct vfio_iommu_type1_dma_unmap u = {
		.argsz = sizeof(u), .flags = flags, .iova = iova, .size = size,
	};
	int ret = softvirt_ioctl(container, VFIO_IOMMU_UNMAP_DMA, &u);

	if (unmapped)
		*unmapped = u.size;
	return ret;
}

static bool reads(u64 iova, u32 expect)
{
	u32 v = ~0u;

	return !iommu_dma_read(&dev.pdev->iommu, 0, &v, iova, 4, NULL) && v == expect;
}

static void test_get_info(void **state)
{
	struct { struct vfio_iommu_type1_info i; u8 caps[1000]; } r;
	struct vfio_info_cap_header *h;
	unsigned seen = 0;
	u32 need;

	memset(&r, 0, sizeof(r));
	r.i.argsz = 15;
	assert_errno(softvirt_ioctl(container, VFIO_IOMMU_GET_INFO, &r), EINVAL);
	r.i.argsz = 16;
	assert_int_equal(softvirt_ioctl(container, VFIO_IOMMU_GET_INFO, &r), 0);
	assert_int_equal(r.i.flags, VFIO_IOMMU_INFO_PGSIZES | VFIO_IOMMU_INFO_CAPS);
	assert_true(r.i.iova_pgsizes & 4096);
	need = r.i.argsz;
	assert_true(need > 24);
	r.i.argsz = need;
	assert_int_equal(softvirt_ioctl(container, VFIO_IOMMU_GET_INFO, &r), 0);
	assert_int_equal(r.i.argsz, need);
	for (u32 off = r.i.cap_offset; off; off = h->next) {
		assert_true(off + sizeof(*h) <= need);
		h = (void *)((u8 *)&r + off);
		seen |= 1u << h->id;
		if (h->id == VFIO_IOMMU_TYPE1_INFO_DMA_AVAIL)
			assert_int_equal(((struct vfio_iommu_type1_info_dma_avail *)h)->avail, 65535);
		if (h->id == VFIO_IOMMU_TYPE1_INFO_CAP_MIGRATION) {
			struct vfio_iommu_type1_info_cap_migration *m = (void *)h;

			assert_int_equal(m->pgsize_bitmap, 4096);
			assert_int_equal(m->max_dirty_bitmap_size, 1u << 28);
		}
		if (h->id == VFIO_IOMMU_TYPE1_INFO_CAP_IOVA_RANGE) {
			struct vfio_iommu_type1_info_cap_iova_range *c = (void *)h;

			assert_true(c->nr_iovas >= 1);
			for (u32 i = 0; i < c->nr_iovas; i++) {
				u64 start = c->iova_ranges[i].start;

				/* What is said to be usable is, and what comes before it isn't. */
				assert_int_equal(map_dma(start, mem, 4096, RW), 0);
				assert_int_equal(unmap_dma(start, 4096, 0, NULL), 0);
				if (start)
					assert_errno(map_dma(start - 4096, mem, 4096, RW), EINVAL);
			}
		}
	}
	assert_int_equal(seen, 1u << 1 | 1u << 2 | 1u << 3);
	assert_errno(softvirt_ioctl(container, VFIO_IOMMU_GET_INFO, (void *)8), EFAULT);
	assert_errno(softvirt_ioctl(container, VFIO_IOMMU_ENABLE, 0), ENOTTY);
}

static void test_map(void **state)
{
	struct vfio_iommu_type1_dma_map m = { .argsz = sizeof(m) - 1, .flags = RW };
	u64 n;

	assert_errno(softvirt_ioctl(container, VFIO_IOMMU_MAP_DMA, &m), EINVAL);
	assert_errno(softvirt_ioctl(container, VFIO_IOMMU_MAP_DMA, (void *)8), EFAULT);
	assert_errno(map_dma(0x10000, mem, 4096, 0), EINVAL);
	assert_errno(map_dma(0x10000, mem, 4096, RW | 8), EINVAL);
	assert_errno(map_dma(0x10000, mem, 4096, RW | VFIO_DMA_MAP_FLAG_VADDR), EINVAL);
	assert_errno(map_dma(0x10000, mem, 0, RW), EINVAL);
	assert_errno(map_dma(0x10001, mem, 4096, RW), EINVAL);
	assert_errno(map_dma(0x10000, mem + 1, 4096, RW), EINVAL);
	assert_errno(map_dma(0x10000, mem, 4097, RW), EINVAL);
	assert_errno(map_dma(~0ull << 12, mem, 8192, RW), EOVERFLOW);
	assert_errno(map_dma(0x10000, (void *)(~0ull << 12), 8192, RW), EOVERFLOW);
	assert_errno(map_dma(0x10000, (void *)4096, 4096, RW), EFAULT);
	assert_int_equal(map_dma(0x10000, mem, 65536, RW), 0);
	assert_true(reads(0x10000, 0) && reads(0x1f000, 0xf000 / 4));
	assert_errno(map_dma(0x10000, mem, 65536, RW), EEXIST);
	assert_errno(map_dma(0x1f000, mem, 8192, RW), EEXIST);
	assert_int_equal(map_dma(0x20000, mem + 65536, 4096, VFIO_DMA_MAP_FLAG_READ), 0);
	assert_true(reads(0x20000, 0x10000 / 4));
	assert_int_not_equal(iommu_dma_write(&dev.pdev->iommu, 0, 0x20000, "x", 1, NULL), 0);
	assert_int_equal(unmap_dma(0x20000, 4096, 0, &n), 0);
	assert_int_equal(n, 4096);
	assert_false(reads(0x20000, 0x10000 / 4));
}

static void test_unmap_v2(void **state)
{
	struct vfio_iommu_type1_dma_unmap u = { .argsz = sizeof(u) - 1 };
	u64 n;

	assert_errno(softvirt_ioctl(container, VFIO_IOMMU_UNMAP_DMA, &u), EINVAL);
	assert_errno(softvirt_ioctl(container, VFIO_IOMMU_UNMAP_DMA, (void *)8), EFAULT);
	assert_errno(unmap_dma(0, 4096, 8, NULL), EINVAL);
	assert_errno(unmap_dma(0x10000, 0, 0, NULL), EINVAL);
	assert_errno(unmap_dma(0x10001, 4096, 0, NULL), EINVAL);
	assert_errno(unmap_dma(0x10000, 4097, 0, NULL), EINVAL);
	assert_errno(unmap_dma(~0ull << 12, 8192, 0, NULL), EOVERFLOW);
	/* Nothing there: fine, nothing unmapped. */
	assert_int_equal(unmap_dma(0x10000, 65536, 0, &n), 0);
	assert_int_equal(n, 0);
	assert_int_equal(map_dma(0x10000, mem, 8192, RW), 0);
	assert_int_equal(map_dma(0x12000, mem + 8192, 8192, RW), 0);
	/* No mapping is cut. */
	assert_errno(unmap_dma(0x11000, 4096, 0, NULL), EINVAL);
	assert_errno(unmap_dma(0x10000, 4096, 0, NULL), EINVAL);
	assert_errno(unmap_dma(0x10000, 3 * 4096, 0, NULL), EINVAL);
	assert_true(reads(0x10000, 0) && reads(0x13000, 0x3000 / 4));
	assert_int_equal(unmap_dma(0, 0x100000, 0, &n), 0);
	assert_int_equal(n, 16384);
	assert_false(reads(0x10000, 0));
	/* All at once. */
	assert_int_equal(map_dma(0x10000, mem, 8192, RW), 0);
	assert_int_equal(map_dma(0x90000, mem, 8192, RW), 0);
	assert_errno(unmap_dma(0, 4096, VFIO_DMA_UNMAP_FLAG_ALL, NULL), EINVAL);
	assert_errno(unmap_dma(4096, 0, VFIO_DMA_UNMAP_FLAG_ALL, NULL), EINVAL);
	assert_int_equal(unmap_dma(0, 0, VFIO_DMA_UNMAP_FLAG_ALL, &n), 0);
	assert_int_equal(n, 16384);
}

static void test_unmap_v1(void **state)
{
	u64 n;

	assert_int_equal(map_dma(0x10000, mem, 8192, RW), 0);
	assert_int_equal(map_dma(0x12000, mem + 8192, 8192, RW), 0);
	/* From the middle: nothing, and no error. */
	assert_int_equal(unmap_dma(0x11000, 4096, 0, &n), 0);
	assert_int_equal(n, 0);
	assert_int_equal(unmap_dma(0x11000, 3 * 4096, 0, &n), 0);
	assert_int_equal(n, 0);
	assert_true(reads(0x12000, 0x2000 / 4));
	/* The beginning takes all of it. */
	assert_int_equal(unmap_dma(0x10000, 4096, 0, &n), 0);
	assert_int_equal(n, 8192);
	assert_false(reads(0x11000, 0x1000 / 4));
	assert_int_equal(unmap_dma(0, 0, VFIO_DMA_UNMAP_FLAG_ALL, &n), 0);
	assert_int_equal(n, 8192);
	assert_errno(softvirt_ioctl(container, VFIO_IOMMU_DIRTY_PAGES,
		&(struct vfio_iommu_type1_dirty_bitmap) { .argsz = 8, .flags = 1 }), EACCES);
}

static void test_vaddr(void **state)
{
	u64 n;
	int m = memfd_create("moved", MFD_CLOEXEC);
	u32 *one, *two;

	assert_int_equal(ftruncate(m, 8192), 0);
	one = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, m, 0);
	two = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, m, 0);
	*one = 99;
	assert_int_equal(map_dma(0x10000, one, 8192, RW), 0);
	assert_errno(map_dma(0x10000, two, 8192, VFIO_DMA_MAP_FLAG_VADDR), EINVAL);
	assert_errno(map_dma(0x80000, two, 8192, VFIO_DMA_MAP_FLAG_VADDR), ENOENT);
	assert_errno(unmap_dma(0x10000, 8192, VFIO_DMA_UNMAP_FLAG_VADDR |
			       VFIO_DMA_UNMAP_FLAG_GET_DIRTY_BITMAP, NULL), EINVAL);
	assert_int_equal(unmap_dma(0x10000, 8192, VFIO_DMA_UNMAP_FLAG_VADDR, &n), 0);
	assert_int_equal(n, 8192);
	assert_true(reads(0x10000, 99));	/* the device goes on */
	assert_errno(unmap_dma(0x10000, 8192, VFIO_DMA_UNMAP_FLAG_VADDR, &n), EINVAL);
	assert_errno(map_dma(0x10000, two, 4096, VFIO_DMA_MAP_FLAG_VADDR), EINVAL);
	assert_int_equal(map_dma(0x10000, two, 8192, VFIO_DMA_MAP_FLAG_VADDR), 0);
	assert_true(reads(0x10000, 99));
	assert_int_equal(unmap_dma(0, 0, VFIO_DMA_UNMAP_FLAG_VADDR | VFIO_DMA_UNMAP_FLAG_ALL, &n), 0);
	assert_int_equal(n, 8192);
	assert_int_equal(unmap_dma(0x10000, 8192, 0, &n), 0);
	assert_int_equal(n, 8192);
	munmap(one, 8192);
	munmap(two, 8192);
	close(m);
}

static int dirty(u32 flags, u64 iova, u64 size, u64 pgsize, void *bits, u64 bytes)
{
	struct {
		struct vfio_iommu_type1_dirty_bitmap h;
		struct vfio_iommu_type1_dirty_bitmap_get g;
	} d = { { .argsz = sizeof(d), .flags = flags }, { iova, size, { pgsize, bytes, bits } } };

	return softvirt_ioctl(container, VFIO_IOMMU_DIRTY_PAGES, &d);
}

/* Registers, by the addresses of their mapping. A reset takes them away for good. */
static void test_registers(void **state)
{
	u8 *regs = softvirt_mmap(NULL, REGS_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, REGION(0));
	u32 v = 0x55aa1234;
	u64 n;

	if (regs == MAP_FAILED)
		skip();	/* this host's instructions can't be decoded */
	assert_int_equal(map_dma(0x10000, regs, REGS_SIZE, RW), 0);
	assert_int_equal(map_dma(0x20000, regs + 4096, 4096, VFIO_DMA_MAP_FLAG_READ), 0);
	assert_int_equal(iommu_dma_write(&dev.pdev->iommu, 0, 0x11040, &v, 4, NULL), 0);
	assert_memory_equal(dev.regs + 0x1040, "\x34\x12\xaa\x55", 4);
	assert_true(reads(0x20040, v));
	assert_int_not_equal(iommu_dma_write(&dev.pdev->iommu, 0, 0x20040, &v, 4, NULL), 0);
	/* What reaches over the mapping's end is nothing of the kind. */
	assert_errno(map_dma(0x40000, regs + 4096, REGS_SIZE, RW), EFAULT);
	assert_int_equal(softvirt_ioctl(fd, VFIO_DEVICE_RESET), 0);
	master_enable(fd, true);
	assert_false(reads(0x20040, v));
	assert_int_equal(unmap_dma(0x20000, 4096, 0, &n), 0);
	assert_int_equal(n, 4096);
	assert_int_equal(unmap_dma(0x10000, REGS_SIZE, 0, &n), 0);
	assert_int_equal(n, REGS_SIZE);
	assert_int_equal(map_dma(0x20000, regs + 4096, 4096, RW), 0);
	assert_true(reads(0x20000, *(u32 *)(dev.regs + 4096)));
	memory_enable(fd, false);
	assert_errno(map_dma(0x10000, regs, 4096, RW), EFAULT);
	softvirt_munmap(regs, REGS_SIZE);
}

static bool dma_stop;

static void *write_by_dma(void *arg)
{
	u8 bytes[64] = { 1 };

	while (!__atomic_load_n(&dma_stop, __ATOMIC_RELAXED))
		(void)iommu_dma_write(&dev.pdev->iommu, IOMMU_NO_PASID, 0x100000, bytes, sizeof(bytes), NULL);
	return NULL;
}

/*
 * A device reaches a BAR by the address of the program's mapping, while the memory goes, which waits
 * for the device because it may have a buffer of the same function, too (its registers here).
 */
static void test_dma_by_the_programs_mapping(void **state)
{
	u8 *ram = softvirt_mmap(NULL, RAM_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, REGION(2));
	u8 *regs = softvirt_mmap(NULL, REGS_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, REGION(0));
	struct sv_thread t;

	assert_ptr_not_equal(ram, MAP_FAILED);
	assert_int_equal(map_dma(0x100000, ram, RAM_SIZE, RW), 0);
	dma_stop = false;
	assert_int_equal(sv_thread_create(&t, "dma", write_by_dma, NULL), 0);
	for (unsigned i = 0; i < 1000; i++) {
		memory_enable(fd, true);
		if (regs != MAP_FAILED)
			assert_int_equal(map_dma(0x200000, regs, 4096, RW), 0);
		memory_enable(fd, false);
		if (regs != MAP_FAILED)
			assert_int_equal(unmap_dma(0x200000, 4096, 0, NULL), 0);
	}
	__atomic_store_n(&dma_stop, true, __ATOMIC_RELAXED);
	sv_thread_join(&t);
	assert_int_equal(unmap_dma(0x100000, RAM_SIZE, 0, NULL), 0);
	softvirt_munmap(ram, RAM_SIZE);
	if (regs != MAP_FAILED)
		softvirt_munmap(regs, REGS_SIZE);
}

/* The program unmaps the BAR, or puts something else there: the device has it no longer, memory on or off. */
static void test_a_mapping_that_goes(void **state)
{
	u32 *ram = softvirt_mmap(NULL, RAM_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, REGION(2));
	/* More than a word: TSan's own atomic store can't be left by a fault. */
	u32 *again, good[4] = { 0x600d }, bad[4] = { 0xbad }, v = good[0];
	u64 n;

	assert_ptr_not_equal(ram, MAP_FAILED);
	assert_int_equal(map_dma(0x100000, ram, RAM_SIZE, RW), 0);
	assert_int_equal(iommu_dma_write(&dev.pdev->iommu, 0, 0x100000, good, sizeof(good), NULL), 0);
	assert_int_equal(ram[0], v);
	assert_int_equal(softvirt_munmap(ram, 4096), 0);
	assert_int_not_equal(iommu_dma_write(&dev.pdev->iommu, 0, 0x100000, bad, sizeof(bad), NULL), 0);
	/* What is left of it is as before. */
	assert_int_equal(iommu_dma_write(&dev.pdev->iommu, 0, 0x101000, good, sizeof(good), NULL), 0);
	assert_int_equal(ram[1024], v);
	assert_ptr_equal(softvirt_mmap(ram + 1024, 4096, PROT_READ | PROT_WRITE,
				       MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0), ram + 1024);
	assert_int_not_equal(iommu_dma_write(&dev.pdev->iommu, 0, 0x101000, bad, sizeof(bad), NULL), 0);
	assert_int_equal(ram[1024], 0);
	memory_enable(fd, false);
	assert_int_not_equal(iommu_dma_write(&dev.pdev->iommu, 0, 0x100000, bad, sizeof(bad), NULL), 0);
	assert_int_not_equal(iommu_dma_write(&dev.pdev->iommu, 0, 0x102000, bad, sizeof(bad), NULL), 0);
	memory_enable(fd, true);
	assert_int_equal(iommu_dma_write(&dev.pdev->iommu, 0, 0x102000, good, sizeof(good), NULL), 0);
	again = softvirt_mmap(NULL, RAM_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, REGION(2));
	assert_int_equal(again[0], v);
	assert_int_equal(again[1024], v);
	assert_int_equal(again[2048], v);
	assert_int_equal(unmap_dma(0x100000, RAM_SIZE, 0, &n), 0);
	assert_int_equal(n, RAM_SIZE);
	softvirt_munmap(again, RAM_SIZE);
	softvirt_munmap(ram + 1024, RAM_SIZE - 4096);
}

static void test_dirty(void **state)
{
	const u32 get = VFIO_IOMMU_DIRTY_PAGES_FLAG_GET_BITMAP;
	struct { struct vfio_iommu_type1_dma_unmap u; struct vfio_bitmap b; } u = { 0 };
	u64 bits[4] = { 0 }, n;

	assert_int_equal(map_dma(0x100000, mem, 64 * 4096, RW), 0);
	assert_errno(dirty(get, 0x100000, 64 * 4096, 4096, bits, 8), EINVAL);	/* not tracking */
	assert_errno(dirty(0, 0, 0, 0, NULL, 0), EINVAL);
	assert_errno(dirty(3, 0, 0, 0, NULL, 0), EINVAL);
	assert_errno(dirty(8, 0, 0, 0, NULL, 0), EINVAL);
	assert_errno(softvirt_ioctl(container, VFIO_IOMMU_DIRTY_PAGES,
		&(struct vfio_iommu_type1_dirty_bitmap) { .argsz = 7, .flags = 1 }), EINVAL);
	assert_errno(softvirt_ioctl(container, VFIO_IOMMU_DIRTY_PAGES,
		&(struct vfio_iommu_type1_dirty_bitmap) { .argsz = 8, .flags = get }), EINVAL);
	assert_errno(softvirt_ioctl(container, VFIO_IOMMU_DIRTY_PAGES, (void *)8), EFAULT);
	assert_int_equal(dirty(VFIO_IOMMU_DIRTY_PAGES_FLAG_START, 0, 0, 0, NULL, 0), 0);
	assert_int_equal(dirty(VFIO_IOMMU_DIRTY_PAGES_FLAG_START, 0, 0, 0, NULL, 0), 0);
	assert_errno(dirty(get, 0x100000, 64 * 4096, 8192, bits, 8), EINVAL);
	assert_errno(dirty(get, 0x100000, 64 * 4096, 0, bits, 8), EINVAL);
	assert_errno(dirty(get, 0x100000, 64 * 4096, 4096, bits, 7), EINVAL);
	assert_errno(dirty(get, 0x100000, 64 * 4096, 4096, bits, (1ull << 28) + 1), EINVAL);
	assert_errno(dirty(get, 0x100800, 4096, 4096, bits, 8), EINVAL);
	assert_errno(dirty(get, 0x100000, 0, 4096, bits, 8), EINVAL);
	assert_errno(dirty(get, 0x101000, 4096, 4096, bits, 8), EINVAL);	/* cuts a mapping */
	assert_errno(dirty(get, ~0ull << 12, 8192, 4096, bits, 8), EOVERFLOW);
	/* The address space's last page is one like others. */
	assert_int_equal(dirty(get, ~0ull << 12, 4096, 4096, bits, 8), 0);
	assert_int_equal(dirty(get, 0x100000, 64 * 4096, 4096, bits, 8), 0);
	assert_true(bits[0] == 0);
	assert_int_equal(iommu_dma_write(&dev.pdev->iommu, 0, 0x103ff0, mem, 32, NULL), 0);
	assert_int_equal(iommu_dma_write(&dev.pdev->iommu, 0, 0x13f000, mem, 1, NULL), 0);
	assert_errno(dirty(get, 0x100000, 64 * 4096, 4096, (void *)8, 8), EFAULT);
	assert_int_equal(iommu_dma_write(&dev.pdev->iommu, 0, 0x103ff0, mem, 32, NULL), 0);
	assert_int_equal(iommu_dma_write(&dev.pdev->iommu, 0, 0x13f000, mem, 1, NULL), 0);
	assert_int_equal(dirty(get, 0x100000, 64 * 4096, 4096, bits, 8), 0);
	assert_true(bits[0] == (BIT(3) | BIT(4) | BIT(63)));
	bits[0] = 0;
	assert_int_equal(dirty(get, 0x100000, 64 * 4096, 4096, bits, 8), 0);
	assert_true(bits[0] == 0);	/* reported once */
	/* Several mappings and holes in one report. */
	assert_int_equal(map_dma(0x160000, mem, 4096, RW), 0);
	assert_int_equal(iommu_dma_write(&dev.pdev->iommu, 0, 0x160000, mem, 1, NULL), 0);
	assert_int_equal(iommu_dma_write(&dev.pdev->iommu, 0, 0x100000, mem, 1, NULL), 0);
	assert_int_equal(dirty(get, 0x100000, 128 * 4096, 4096, bits, 16), 0);
	assert_true(bits[0] == 1 && bits[1] == BIT(0x60 - 64));
	/* With the unmap. */
	bits[0] = 0;
	assert_int_equal(iommu_dma_write(&dev.pdev->iommu, 0, 0x101000, mem, 1, NULL), 0);
	u.u = (struct vfio_iommu_type1_dma_unmap) {
		.argsz = sizeof(u.u), .flags = VFIO_DMA_UNMAP_FLAG_GET_DIRTY_BITMAP,
		.iova = 0x100000, .size = 64 * 4096,
	};
	u.b = (struct vfio_bitmap) { 4096, 8, (void *)bits };
	assert_errno(softvirt_ioctl(container, VFIO_IOMMU_UNMAP_DMA, &u), EINVAL);
	u.u.argsz = sizeof(u);
	u.b.size = 4;
	assert_errno(softvirt_ioctl(container, VFIO_IOMMU_UNMAP_DMA, &u), EINVAL);
	u.b.size = 8;
	assert_int_equal(softvirt_ioctl(container, VFIO_IOMMU_UNMAP_DMA, &u), 0);
	assert_int_equal(u.u.size, 64 * 4096);
	assert_true(bits[0] == 2);
	assert_int_equal(dirty(VFIO_IOMMU_DIRTY_PAGES_FLAG_STOP, 0, 0, 0, NULL, 0), 0);
	assert_int_equal(unmap_dma(0, 0, VFIO_DMA_UNMAP_FLAG_ALL, &n), 0);
}

static void test_entry_limit(void **state)
{
	u64 n;

	for (u64 i = 0; i < 65535; i++)
		if (map_dma(0x10000000 + (i << 12), mem, 4096, RW))
			fail_msg("mapping %lu: %d", (unsigned long)i, errno);
	assert_errno(map_dma(0x10000, mem, 4096, RW), ENOSPC);
	assert_int_equal(unmap_dma(0x10000000, 4096, 0, &n), 0);
	assert_int_equal(map_dma(0x10000, mem, 4096, RW), 0);
	assert_int_equal(unmap_dma(0, 0, VFIO_DMA_UNMAP_FLAG_ALL, &n), 0);
	assert_true(n == 65535ull * 4096);
}

static void test_failures(void **state)
{
	unsigned n;
	int ret = 0;

	for (n = 1;; n++) {
		sv_fault_inject(n);
		ret = map_dma(0x10000, mem, 1u << 18, RW);
		if (!sv_fault_fired())
			break;
		assert_int_equal(ret, -1);
		assert_false(reads(0x10000, 0));
	}
	sv_fault_inject(0);
	assert_true(n > 2);
	assert_int_equal(ret, 0);
	assert_true(reads(0x10000, 0));
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(test_get_info), T(test_map), T(test_unmap_v2),
		cmocka_unit_test_setup_teardown(test_unmap_v1, setup_v1, teardown),
		T(test_vaddr), T(test_registers), T(test_dma_by_the_programs_mapping),
		T(test_a_mapping_that_goes), T(test_dirty), T(test_entry_limit), T(test_failures),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
