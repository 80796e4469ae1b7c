/* SPDX-License-Identifier: MIT */
/*
 * A driver of rnic by cdev and iommufd: regions in address spaces of PASIDs, and page requests, which
 * the driver reads from a fault queue and answers.
 */
#include "vfio.h"

#include "devices/rnic_regs.h"

#define PAGE 4096ull
#define QUEUES 0x10000ull	/* IOVA of the queues, mapped; DATA comes on demand */
#define DATA 0x40000000ull
#define LOG2 4
#define RIGHTS (RNIC_ACCESS_LOCAL_WRITE | RNIC_ACCESS_REMOTE_WRITE | RNIC_ACCESS_REMOTE_READ)

static int iommufd, nic, queue;
static u32 ioas, devid, hwpt, tail, head;
static u8 *rings;

static void map_at(u32 space, void *p, u64 len, u64 iova, u32 rights)
{
	struct iommu_ioas_map m = {
		.size = sizeof(m), .flags = IOMMU_IOAS_MAP_FIXED_IOVA | rights, .ioas_id = space,
		.user_va = (u64)p, .length = len, .iova = iova,
	};

	assert_int_equal(softvirt_ioctl(iommufd, IOMMU_IOAS_MAP, &m), 0);
}
#define READABLE IOMMU_IOAS_MAP_READABLE
#define WRITABLE (IOMMU_IOAS_MAP_READABLE | IOMMU_IOAS_MAP_WRITEABLE)

static u8 *memory(u64 len)
{
	u8 *p = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	assert_ptr_not_equal(p, MAP_FAILED);
	return p;
}

static u32 hwpt_new(u32 space, u32 flags, u32 fault)
{
	struct iommu_hwpt_alloc h = {
		.size = sizeof(h), .flags = flags, .dev_id = devid, .pt_id = space, .fault_id = fault,
	};

	assert_int_equal(softvirt_ioctl(iommufd, IOMMU_HWPT_ALLOC, &h), 0);
	return h.out_hwpt_id;
}

static void set_reg(u32 reg, u64 v, size_t size)
{
	assert_int_equal(softvirt_pwrite(nic, &v, size, REGION(0) + reg), (ssize_t)size);
}

static void queues_on(void)
{
	memset(rings, 0, 2 * PAGE);
	tail = head = 0;
	set_reg(RNIC_REG_SQ_BASE, QUEUES, 8);
	set_reg(RNIC_REG_CQ_BASE, QUEUES + PAGE, 8);
	set_reg(RNIC_REG_SQ_LOG2, LOG2, 4);
	set_reg(RNIC_REG_CQ_LOG2, LOG2, 4);
	set_reg(RNIC_REG_CTRL, RNIC_CTRL_ENABLE, 4);
}

static void post(struct rnic_wqe w)
{
	w.id = (u16)tail;
	memcpy(rings + (tail % (1u << LOG2)) * sizeof(w), &w, sizeof(w));
	set_reg(RNIC_REG_SQ_TAIL, ++tail, 4);
}

static struct rnic_cqe completion(void)
{
	struct rnic_cqe *c = (struct rnic_cqe *)(void *)(rings + PAGE) + head % (1u << LOG2);

	while (__atomic_load_n(&c->phase, __ATOMIC_ACQUIRE) != !(head >> LOG2 & 1))
		usleep(50);
	set_reg(RNIC_REG_CQ_HEAD, ++head, 4);
	return *c;
}

static struct rnic_cqe run(struct rnic_wqe w)
{
	post(w);
	return completion();
}

static u32 region(u64 iova, u64 len, u32 pasid)
{
	struct rnic_cqe c = run((struct rnic_wqe){ .op = RNIC_OP_REG_USER, .addr = iova, .length = len,
						   .access = RIGHTS, .kind = pasid });

	assert_int_equal(c.status, RNIC_OK);
	return c.value;
}

static struct rnic_wqe write_to(u32 rkey, u64 raddr, u32 lkey, u64 addr, u32 len)
{
	return (struct rnic_wqe){ .op = RNIC_OP_WRITE, .lkey = lkey, .addr = addr, .len = len, .rkey = rkey,
				  .raddr = raddr, .dest = RNIC_DEST_SELF };
}

static struct iommu_hwpt_pgfault next_fault(void)
{
	struct pollfd p = { .fd = queue, .events = POLLIN };
	struct iommu_hwpt_pgfault f;

	assert_int_equal(poll(&p, 1, 60000), 1);
	assert_int_equal(softvirt_read(queue, &f, sizeof(f)), sizeof(f));
	assert_int_equal(f.dev_id, devid);
	return f;
}

static void answer(u32 cookie, u32 code)
{
	struct iommu_hwpt_page_response r = { .cookie = cookie, .code = code };

	assert_int_equal(softvirt_write(queue, &r, sizeof(r)), sizeof(r));
}

static int setup_with(const char *spec)
{
	struct iommu_fault_alloc fault = { .size = sizeof(fault) };
	u32 pt;
	struct pci_dev *pdev;
	struct test_dev name;

	assert_int_equal(softvirt_device_add(spec), 0);
	pdev = pci_dev_find(0, 0x20, 0);
	assert_non_null(pdev);
	pci_dev_put(pdev);
	name.pdev = pdev;
	iommufd = iommufd_open_new();
	ioas = ioas_new(iommufd);
	nic = cdev_open_only(&name);
	assert_int_equal(cdev_bind(nic, iommufd, &devid), 0);
	assert_int_equal(softvirt_ioctl(iommufd, IOMMU_FAULT_QUEUE_ALLOC, &fault), 0);
	queue = (int)fault.out_fault_fd;
	hwpt = hwpt_new(ioas, IOMMU_HWPT_FAULT_ID_VALID | IOMMU_HWPT_ALLOC_PASID, fault.out_fault_id);
	pt = hwpt;
	assert_int_equal(cdev_attach(nic, &pt), 0);
	master_enable(nic, true);
	memory_enable(nic, true);
	rings = memory(2 * PAGE);
	map_at(ioas, rings, 2 * PAGE, QUEUES, WRITABLE);
	queues_on();
	return 0;
}

static int teardown(void **state)
{
	struct pci_dev *pdev = pci_dev_find(0, 0x20, 0);

	softvirt_close(nic);
	softvirt_close(queue);
	softvirt_close(iommufd);
	munmap(rings, 2 * PAGE);
	pci_dev_put(pdev);
	pci_dev_destroy(pdev);
	return 0;
}

static int setup(void **state) { return setup_with("rnic,bdf=0000:20:00.0"); }
static int setup_without(void **state) { return setup_with("rnic,bdf=0000:20:00.0,pasid=off"); }

static void memory_comes_when_it_is_asked_for(void **state)
{
	u8 *p = memory(4 * PAGE);
	u32 key = region(DATA, 4 * PAGE, 0);
	struct iommu_hwpt_pgfault f;
	unsigned asked = 0;
	struct rnic_cqe c;

	memset(p, 0x5a, 2 * PAGE);
	/* One page after the other, as the transfer gets there. */
	post(write_to(key, DATA + 2 * PAGE, key, DATA + 16, 2 * PAGE - 32));
	for (unsigned n = 0; n < 4; n++) {
		u64 i;

		f = next_fault();
		i = (f.addr - DATA) / PAGE;
		assert_true(i < 4 && !(asked & 1u << i));
		asked |= 1u << i;
		assert_int_equal(f.perm, i < 2 ? IOMMU_PGFAULT_PERM_READ : IOMMU_PGFAULT_PERM_WRITE);
		assert_int_equal(f.flags & IOMMU_PGFAULT_FLAGS_PASID_VALID, 0);
		map_at(ioas, p + i * PAGE, PAGE, DATA + i * PAGE, i < 2 ? READABLE : WRITABLE);
		answer(f.cookie, IOMMUFD_PAGE_RESP_SUCCESS);
	}
	c = completion();
	assert_int_equal(c.status, RNIC_OK);
	assert_int_equal(c.value, 2 * PAGE - 32);
	assert_memory_equal(p, p + 2 * PAGE, 2 * PAGE - 32);
	/* Read-only for good: the driver says no. */
	post(write_to(key, DATA, key, DATA + 2 * PAGE, 8));
	f = next_fault();
	assert_int_equal(f.perm, IOMMU_PGFAULT_PERM_WRITE);
	answer(f.cookie, IOMMUFD_PAGE_RESP_INVALID);
	c = completion();
	assert_int_equal(c.status, RNIC_DMA_FAULT);
	assert_int_equal(c.addr, DATA);
	munmap(p, 4 * PAGE);
}

static void an_answer_that_maps_nothing_is_asked_again(void **state)
{
	u32 key = region(DATA, PAGE, 0);
	struct iommu_hwpt_pgfault f;

	post(write_to(key, DATA, key, DATA + 64, 8));
	for (int i = 0; i < 3; i++) {
		f = next_fault();
		assert_int_equal(f.addr, DATA);
		answer(f.cookie, IOMMUFD_PAGE_RESP_SUCCESS);
	}
	f = next_fault();
	answer(f.cookie, IOMMUFD_PAGE_RESP_INVALID);
	assert_int_equal(completion().status, RNIC_DMA_FAULT);
}

static void a_detach_or_a_reset_ends_what_waits(void **state)
{
	struct t_detach d = { .argsz = 12 };
	u32 key = region(DATA, PAGE, 0), pt = hwpt;

	post(write_to(key, DATA, key, DATA + 64, 8));
	next_fault();
	/* The queues go with the same domain: the function can say nothing any more, and is not stuck. */
	assert_int_equal(softvirt_ioctl(nic, VFIO_DEVICE_DETACH_IOMMUFD_PT, &d), 0);
	set_reg(RNIC_REG_CTRL, 0, 4);
	assert_int_equal(cdev_attach(nic, &pt), 0);
	assert_int_equal(softvirt_ioctl(nic, VFIO_DEVICE_RESET), 0);
	master_enable(nic, true);
	memory_enable(nic, true);
	queues_on();
	key = region(DATA, PAGE, 0);
	post(write_to(key, DATA, key, DATA + 64, 8));
	next_fault();
	assert_int_equal(softvirt_ioctl(nic, VFIO_DEVICE_RESET), 0);
}

static void each_pasid_has_its_own_addresses(void **state)
{
	u32 spaces[2] = { ioas_new(iommufd), ioas_new(iommufd) }, keys[2];
	u8 *p = memory(2 * PAGE);

	for (u32 i = 0; i < 2; i++) {
		struct t_attach a = {
			.argsz = 16, .flags = VFIO_DEVICE_ATTACH_PASID, .pasid = 100 + i,
			.pt_id = hwpt_new(spaces[i], IOMMU_HWPT_ALLOC_PASID, 0),
		};

		assert_int_equal(softvirt_ioctl(nic, VFIO_DEVICE_ATTACH_IOMMUFD_PT, &a), 0);
		map_at(spaces[i], p + i * PAGE, PAGE, DATA, WRITABLE);
		keys[i] = region(DATA, PAGE, 100 + i);
	}
	memset(p, 0x11, PAGE);
	/* The same address in both. */
	assert_int_equal(run(write_to(keys[1], DATA, keys[0], DATA, PAGE)).status, RNIC_OK);
	assert_memory_equal(p, p + PAGE, PAGE);
	/* An address space without a fault queue, and a PASID that nobody has attached. */
	assert_int_equal(run(write_to(region(DATA + PAGE, PAGE, 100), DATA + PAGE, keys[0], DATA, 8)).status,
			 RNIC_DMA_FAULT);
	assert_int_equal(run(write_to(region(DATA, PAGE, 102), DATA, keys[0], DATA, 8)).status, RNIC_DMA_FAULT);
	munmap(p, 2 * PAGE);
}

static void a_page_request_names_its_pasid(void **state)
{
	struct iommu_fault_alloc fault = { .size = sizeof(fault) };
	struct t_attach a = { .argsz = 16, .flags = VFIO_DEVICE_ATTACH_PASID, .pasid = 0xfffff };
	u32 space = ioas_new(iommufd), key;
	struct iommu_hwpt_pgfault f;
	u8 *p = memory(PAGE);
	int first = queue;

	assert_int_equal(softvirt_ioctl(iommufd, IOMMU_FAULT_QUEUE_ALLOC, &fault), 0);
	a.pt_id = hwpt_new(space, IOMMU_HWPT_ALLOC_PASID | IOMMU_HWPT_FAULT_ID_VALID, fault.out_fault_id);
	assert_int_equal(softvirt_ioctl(nic, VFIO_DEVICE_ATTACH_IOMMUFD_PT, &a), 0);
	key = region(DATA, PAGE, 0xfffff);
	post(write_to(key, DATA, key, DATA + 64, 8));
	queue = (int)fault.out_fault_fd;
	f = next_fault();
	assert_true(f.flags & IOMMU_PGFAULT_FLAGS_PASID_VALID);
	assert_int_equal(f.pasid, 0xfffff);
	map_at(space, p, PAGE, DATA, WRITABLE);
	answer(f.cookie, IOMMUFD_PAGE_RESP_SUCCESS);
	assert_int_equal(completion().status, RNIC_OK);
	softvirt_close(queue);
	queue = first;
	munmap(p, PAGE);
}

static void a_pasid_out_of_range_is_refused(void **state)
{
	struct rnic_wqe w = { .op = RNIC_OP_REG_USER, .addr = DATA, .length = PAGE, .kind = 1u << 20 };

	assert_int_equal(run(w).status, RNIC_NOT_SUPPORTED);
}

static void without_pasids_none_is_taken(void **state)
{
	struct rnic_wqe w = { .op = RNIC_OP_REG_USER, .addr = DATA, .length = PAGE, .kind = 1 };

	assert_int_equal(run(w).status, RNIC_NOT_SUPPORTED);
	w.kind = 0;
	assert_int_equal(run(w).status, RNIC_OK);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(memory_comes_when_it_is_asked_for),
		T(an_answer_that_maps_nothing_is_asked_again),
		T(a_detach_or_a_reset_ends_what_waits),
		T(each_pasid_has_its_own_addresses),
		T(a_page_request_names_its_pasid),
		T(a_pasid_out_of_range_is_refused),
		cmocka_unit_test_setup_teardown(without_pasids_none_is_taken, setup_without, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
