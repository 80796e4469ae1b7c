/* SPDX-License-Identifier: MIT */
/*
 * A program with an allocator of its own, as programs with jemalloc have: it opens a file of /sys
 * while it sets itself up, and gives memory back to the kernel at each free, by munmap(2), which the
 * preload library sees. The library allocates under its locks. Its mmap(2) is another library's
 * (mmap_hook.c). Run by
 *
 *	softvirt run --device ram -- allocator_probe
 */
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "softvirt/uapi/iommufd.h"
#include "softvirt/uapi/vfio.h"

#define PAGE 4096ul
#define PAGES 300ul
#define IOVA 0x100000000ull

/* In front of each allocation. */
struct head {
	void *start;
	size_t len, size;
	size_t pad;
};

static int state;	/* 0: not set up, 1: being set up, 2: ready; before the first thread */

static void set_up(void)
{
	if (state == 1) {
		static const char text[] = "not ok - asked for memory while the allocator was being set up\n";

		(void)!write(1, text, sizeof(text) - 1);
		_exit(3);
	}
	state = 1;
	close(open("/sys/kernel/mm/transparent_hugepage/enabled", O_RDONLY));
	state = 2;
}

static void *allocate(size_t align, size_t size)
{
	size_t len = (size + align + sizeof(struct head) + PAGE - 1) & ~(PAGE - 1);
	struct head *h;
	char *p;

	if (state != 2)
		set_up();
	p = (char *)syscall(SYS_mmap, NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0l);
	if (p == MAP_FAILED)
		return NULL;
	h = (struct head *)(((uintptr_t)p + sizeof(*h) + align - 1) & ~(uintptr_t)(align - 1)) - 1;
	h->start = p;
	h->len = len;
	h->size = size;
	return h + 1;
}

void *malloc(size_t size)
{
	return allocate(16, size);
}

void free(void *p)
{
	int saved = errno;

	if (p)
		munmap(((struct head *)p)[-1].start, ((struct head *)p)[-1].len);
	errno = saved;
}

void *calloc(size_t n, size_t size)
{
	return size && n > SIZE_MAX / 2 / size ? NULL : allocate(16, n * size);
}

void *realloc(void *p, size_t size)
{
	void *q = allocate(16, size);

	if (p && q) {
		size_t old = ((struct head *)p)[-1].size;

		memcpy(q, p, old < size ? old : size);
		free(p);
	}
	return q;
}

int posix_memalign(void **out, size_t align, size_t size)
{
	*out = allocate(align < 16 ? 16 : align, size);
	return *out ? 0 : ENOMEM;
}

void *aligned_alloc(size_t align, size_t size)
{
	return allocate(align < 16 ? 16 : align, size);
}

static int tests, failures;

static int check(int ok, const char *what)
{
	printf("%sok %d - %s%s%s\n", ok ? "" : "not ", ++tests, what, ok ? "" : ": ",
	       ok ? "" : strerror(errno));
	failures += !ok;
	return ok;
}

static int map_pages(int iommufd, uint32_t ioas, char *mem)
{
	for (unsigned long i = 0; i < PAGES; i++) {
		struct iommu_ioas_map map = {
			.size = sizeof(map), .ioas_id = ioas, .user_va = (uintptr_t)mem + 2 * i * PAGE,
			.length = PAGE, .iova = IOVA + 2 * i * PAGE,
			.flags = IOMMU_IOAS_MAP_FIXED_IOVA | IOMMU_IOAS_MAP_READABLE |
				 IOMMU_IOAS_MAP_WRITEABLE,
		};

		if (ioctl(iommufd, IOMMU_IOAS_MAP, &map))
			return -1;
	}
	return 0;
}

int main(void)
{
	struct { uint32_t argsz, flags, pt_id; } attach = { .argsz = 12 };
	struct vfio_device_bind_iommufd bind = { .argsz = sizeof(bind) };
	struct iommu_ioas_alloc alloc = { .size = sizeof(alloc) };
	struct iommu_ioas_unmap unmap = { .size = sizeof(unmap), .length = UINT64_MAX };
	int iommufd = open("/dev/iommu", O_RDWR), dev = open("/dev/vfio/devices/vfio0", O_RDWR);
	char *mem;

	bind.iommufd = iommufd;
	check(!ioctl(iommufd, IOMMU_IOAS_ALLOC, &alloc), "an address space");
	check(!ioctl(dev, VFIO_DEVICE_BIND_IOMMUFD, &bind), "a device");
	attach.pt_id = unmap.ioas_id = alloc.out_ioas_id;
	check(!ioctl(dev, VFIO_DEVICE_ATTACH_IOMMUFD_PT, &attach), "attached");
	mem = mmap(NULL, 2 * PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	check(!map_pages(iommufd, alloc.out_ioas_id, mem), "pages are mapped");
	check(!munmap(mem, 2 * PAGES * PAGE), "pinned memory is unmapped, in many pieces");
	check(!ioctl(iommufd, IOMMU_IOAS_UNMAP, &unmap), "and given back by the device");
	check(!close(dev) && !close(iommufd), "closed");
	printf("1..%d\n", tests);
	return failures != 0;
}
