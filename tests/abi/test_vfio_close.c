/* SPDX-License-Identifier: MIT */
/*
 * Closing in every order: iommufd, container, group, device, mapping, dma-buf, with DMA mapped,
 * interrupts set up and a peer's mapping of the buffer. Afterwards the function is free and whole.
 */
#include "vfio.h"

#include <sys/wait.h>

#include "iommu/iommu.h"

static struct test_dev dev, peer;
static u8 *mem;

static int setup(void **state)
{
	test_dev_make(&dev, 1, 0, 1);
	test_dev_make(&peer, 2, 0, 2);
	mem = mmap(NULL, 65536, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	return mem == MAP_FAILED;
}

static int teardown(void **state)
{
	munmap(mem, 65536);
	pci_dev_destroy(dev.pdev);
	pci_dev_destroy(peer.pdev);
	return !dev.destroyed || !peer.destroyed;
}

/* The n-th order of k things. */
static void order_of(unsigned n, unsigned k, unsigned *out)
{
	unsigned left[8];

	for (unsigned i = 0; i < k; i++)
		left[i] = i;
	for (unsigned i = k; i > 0; i--) {
		unsigned at = n % i;

		n /= i;
		out[k - i] = left[at];
		memmove(left + at, left + at + 1, (i - at - 1) * sizeof(left[0]));
	}
}

static unsigned factorial(unsigned k)
{
	return k < 2 ? 1 : k * factorial(k - 1);
}

/* Interrupts, a mapping, a buffer on a device's descriptor. */
struct things {
	int fd, buf, ev;
	u8 *map, *regs;
};

static void things_make(struct things *t, int fd)
{
	struct { struct vfio_irq_set s; s32 fd; } irq = { .s = {
		.argsz = sizeof(irq), .flags = VFIO_IRQ_SET_DATA_EVENTFD | VFIO_IRQ_SET_ACTION_TRIGGER,
		.index = VFIO_PCI_MSIX_IRQ_INDEX, .start = 0, .count = 1,
	} };

	t->fd = fd;
	t->ev = eventfd(0, EFD_CLOEXEC);
	irq.fd = t->ev;
	memcpy(irq.s.data, &t->ev, 4);
	assert_int_equal(softvirt_ioctl(fd, VFIO_DEVICE_SET_IRQS, &irq), 0);
	master_enable(fd, true);
	t->map = softvirt_mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, fd, REGION(2));
	assert_ptr_not_equal(t->map, MAP_FAILED);
	t->regs = softvirt_mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, REGION(0));
	assert_ptr_not_equal(t->regs, MAP_FAILED);
	t->buf = dma_buf_export_n(fd, 2, 0, 4096);
	assert_true(t->buf >= 0);
}

static void unmap(struct things *t)
{
	assert_int_equal(softvirt_munmap(t->map, 8192), 0);
	assert_int_equal(softvirt_munmap(t->regs, 4096), 0);
}

/* Everything is closed: the function can be had again, and nobody reaches anything. */
static void check_free(void)
{
	int iommufd = iommufd_open_new(), fd = cdev_open_bound(&dev, iommufd);
	u32 v;

	assert_int_not_equal(iommu_dma_read(&dev.pdev->iommu, 0, &v, 0x10000, 4, NULL), 0);
	softvirt_close(fd);
	softvirt_close(iommufd);
	assert_false(pci_memory_on(dev.pdev));
}

static void ioas_map(int iommufd, u32 ioas, int file, u64 iova)
{
	struct iommu_ioas_map_file mf = {
		.size = sizeof(mf), .ioas_id = ioas, .fd = file, .length = 4096, .iova = iova,
		.flags = IOMMU_IOAS_MAP_FIXED_IOVA | IOMMU_IOAS_MAP_READABLE | IOMMU_IOAS_MAP_WRITEABLE,
	};
	struct iommu_ioas_map m = {
		.size = sizeof(m), .ioas_id = ioas, .user_va = (u64)mem, .length = 65536, .iova = iova,
		.flags = mf.flags,
	};

	assert_int_equal(file < 0 ? softvirt_ioctl(iommufd, IOMMU_IOAS_MAP, &m) :
				    softvirt_ioctl(iommufd, IOMMU_IOAS_MAP_FILE, &mf), 0);
}

static void test_cdev(void **state)
{
	for (unsigned n = 0; n < factorial(5); n++) {
		int iommufd = iommufd_open_new(), fd2 = cdev_open_bound(&peer, iommufd);
		u32 ioas = ioas_new(iommufd), pt = ioas, pt2 = ioas;
		unsigned order[5];
		struct things t;

		things_make(&t, cdev_open_bound(&dev, iommufd));
		assert_int_equal(cdev_attach(t.fd, &pt), 0);
		assert_int_equal(cdev_attach(fd2, &pt2), 0);
		ioas_map(iommufd, ioas, -1, 0x10000);
		ioas_map(iommufd, ioas, t.buf, 0x80000);
		order_of(n, 5, order);
		for (unsigned i = 0; i < 5; i++) {
			switch (order[i]) {
			case 0:
				softvirt_close(iommufd);
				break;
			case 1:
				softvirt_close(t.fd);
				break;
			case 2:
				softvirt_close(fd2);
				break;
			case 3:
				unmap(&t);
				break;
			case 4:
				softvirt_close(t.buf);
				break;
			}
		}
		close(t.ev);
		check_free();
	}
}

static void test_group(void **state)
{
	struct vfio_iommu_type1_dma_map m = {
		.argsz = sizeof(m), .flags = VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE,
		.vaddr = (u64)mem, .iova = 0x10000, .size = 65536,
	};

	for (unsigned n = 0; n < factorial(5); n++) {
		/* With type1, and with an iommufd as the container. */
		bool native = n & 1;
		int container, group;
		unsigned order[5];
		struct things t;

		if (native) {
			container_make(1, VFIO_TYPE1v2_IOMMU, &container, &group);
		} else {
			container = iommufd_open_new();
			group = group_open(1);
			assert_int_equal(softvirt_ioctl(group, VFIO_GROUP_SET_CONTAINER, &container), 0);
			assert_int_equal(softvirt_ioctl(container, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU), 0);
		}
		things_make(&t, group_device(group, &dev));
		assert_int_equal(softvirt_ioctl(container, VFIO_IOMMU_MAP_DMA, &m), 0);
		order_of(n, 5, order);
		for (unsigned i = 0; i < 5; i++) {
			switch (order[i]) {
			case 0:
				softvirt_close(container);
				break;
			case 1:
				softvirt_close(group);
				break;
			case 2:
				softvirt_close(t.fd);
				break;
			case 3:
				unmap(&t);
				break;
			case 4:
				softvirt_close(t.buf);
				break;
			}
		}
		close(t.ev);
		check_free();
	}
}

/* A device that is pulled out while everything is alive: it asks, and waits for the last thing. */
static void *destroyer(void *arg)
{
	pci_dev_destroy(arg);
	return NULL;
}

static void test_removal(void **state)
{
	int iommufd = iommufd_open_new();
	struct sv_thread th;
	struct test_dev gone;
	struct things t;

	test_dev_make(&gone, 4, 0, 4);
	things_make(&t, cdev_open_bound(&gone, iommufd));
	assert_int_equal(sv_thread_create(&th, "remover", destroyer, gone.pdev), 0);
	while (pci_dev_find(0, 4, 0))
		pci_dev_put(gone.pdev);
	softvirt_close(t.fd);
	usleep(5000);
	assert_false(gone.destroyed);
	unmap(&t);
	sv_thread_join(&th);
	assert_true(gone.destroyed);
	/* The buffer is all that is left, and is dead. */
	softvirt_close(t.buf);
	close(t.ev);
	softvirt_close(iommufd);
	check_free();
}

/* A function that nobody has open goes at once, also when its group is in a container. */
static void test_removal_from_a_container(void **state)
{
	struct vfio_iommu_type1_dma_map m = {
		.argsz = sizeof(m), .flags = VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE,
		.vaddr = (u64)mem, .iova = 0x10000, .size = 65536,
	};
	struct test_dev one, two;
	int container, group, fd;
	u32 v;

	test_dev_make(&one, 4, 0, 4);
	test_dev_make(&two, 4, 1, 4);
	container_make(4, VFIO_TYPE1v2_IOMMU, &container, &group);
	assert_int_equal(softvirt_ioctl(container, VFIO_IOMMU_MAP_DMA, &m), 0);
	fd = group_device(group, &two);
	master_enable(fd, true);
	pci_dev_destroy(one.pdev);
	assert_true(one.destroyed);
	assert_int_equal(iommu_dma_read(&two.pdev->iommu, 0, &v, 0x10000, 4, NULL), 0);
	assert_errno(softvirt_ioctl(group, VFIO_GROUP_GET_DEVICE_FD, "0000:04:00.0"), ENODEV);
	softvirt_close(fd);
	pci_dev_destroy(two.pdev);
	assert_true(two.destroyed);
	/* The group is empty; what is left of it closes. */
	assert_errno(softvirt_ioctl(group, VFIO_GROUP_GET_DEVICE_FD, "0000:04:00.1"), ENODEV);
	softvirt_close(group);
	softvirt_close(container);
}

static void test_fork_and_exit(void **state)
{
	int iommufd = iommufd_open_new(), status;
	struct things t;
	pid_t pid;

	things_make(&t, cdev_open_bound(&dev, iommufd));
	pid = fork();
	if (!pid) {
		u32 v;
		int ok = softvirt_ioctl(t.fd, VFIO_DEVICE_RESET, 0) < 0 && errno == EIO;

		ok &= softvirt_pread(t.fd, &v, 4, REGION(7)) < 0 && errno == EIO;
		softvirt_close(t.fd);
		softvirt_close(iommufd);
		_exit(!ok);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	assert_int_equal(cfg_read(t.fd, 0, 2), 0x1234);
	unmap(&t);
	softvirt_close(t.buf);
	softvirt_close(t.fd);
	softvirt_close(iommufd);
	close(t.ev);
	check_free();
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(test_cdev), T(test_group), T(test_removal), T(test_removal_from_a_container), T(test_fork_and_exit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
