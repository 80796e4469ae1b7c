/* SPDX-License-Identifier: MIT */
/*
 * IOMMU_FAULT_QUEUE_ALLOC: page requests read from a queue, answers written to it.
 */
#include <sys/epoll.h>

#include "base/sync.h"
#include "iommufd.h"

struct env {
	int fd, queue;
	u32 ioas, fault, parent, nested;
	struct mock_ids ids;
};

static struct env up(void)
{
	struct iommu_fault_alloc cmd = { 0 };
	struct env e = { .fd = iommu_open() };

	e.ioas = ioas_alloc(e.fd);
	e.ids = mock_attach(e.fd, e.ioas, 0);
	OK(e.fd, IOMMU_FAULT_QUEUE_ALLOC, &cmd);
	e.fault = cmd.out_fault_id;
	e.queue = (int)cmd.out_fault_fd;
	e.parent = hwpt_alloc(e.fd, e.ids.dev, e.ioas, IOMMU_HWPT_ALLOC_NEST_PARENT);
	assert_return_code(nested_alloc(e.fd, e.ids.dev, e.parent, IOMMU_HWPT_FAULT_ID_VALID,
					e.fault, &e.nested), errno);
	assert_return_code(mock_replace(e.fd, e.ids.stdev, e.nested), errno);
	return e;
}

static void down(struct env *e)
{
	assert_return_code(softvirt_close(e->queue), errno);
	iommu_close(e->fd);
}

static void trigger(const struct env *e, u32 pasid, u32 grpid, u64 addr)
{
	struct iommu_test_cmd cmd = {
		.op = IOMMU_TEST_OP_TRIGGER_IOPF,
		.trigger_iopf = { e->ids.dev, pasid, grpid, IOMMU_PGFAULT_PERM_WRITE, addr },
	};

	assert_return_code(test_cmd(e->fd, &cmd), errno);
}

static short polled(const struct env *e)
{
	struct pollfd p = { .fd = e->queue, .events = POLLIN | POLLOUT };

	assert_true(poll(&p, 1, 0) >= 0);
	return p.revents;
}

static int answer(const struct env *e, u32 cookie, u32 code)
{
	struct iommu_hwpt_page_response r = { cookie, code };

	return (int)softvirt_write(e->queue, &r, sizeof(r));
}

static void test_sizes(void **state)
{
	struct iommu_fault_alloc cmd = { .flags = 1 };
	int fd = iommu_open();

	CHECK_SIZES(fd, IOMMU_FAULT_QUEUE_ALLOC, &cmd, out_fault_fd, EOPNOTSUPP);
	iommu_close(fd);
}

static void test_descriptor(void **state)
{
	struct env e = up();
	char buf[64];

	assert_int_equal(fcntl(e.queue, F_GETFD), FD_CLOEXEC);
	assert_int_equal(polled(&e), POLLOUT);
	assert_int_equal(softvirt_read(e.queue, buf, 40), 0);
	assert_errno(softvirt_pread(e.queue, buf, 40, 0), ESPIPE);
	assert_errno(softvirt_pwrite(e.queue, buf, 8, 0), ESPIPE);
	assert_errno(softvirt_read(e.queue, buf, 39), ESPIPE);
	assert_errno(softvirt_write(e.queue, buf, 7), ESPIPE);
	assert_int_equal(softvirt_write(e.queue, buf, 0), 0);
	/* Used by a HWPT and by its descriptor. */
	assert_errno(destroy(e.fd, e.fault), EBUSY);
	assert_return_code(mock_replace(e.fd, e.ids.stdev, e.ioas), errno);
	assert_return_code(destroy(e.fd, e.nested), errno);
	assert_errno(destroy(e.fd, e.fault), EBUSY);
	assert_return_code(softvirt_close(e.queue), errno);
	assert_return_code(destroy(e.fd, e.fault), errno);
	iommu_close(e.fd);
}

static void test_round(void **state)
{
	struct env e = up();
	struct iommu_hwpt_pgfault f[3];

	trigger(&e, 0, 7, 0x1000);
	trigger(&e, 5, 8, 0x2000);
	assert_int_equal(polled(&e), POLLIN | POLLOUT);
	assert_errno(softvirt_read(e.queue, f, 0), EINVAL);
	assert_errno(softvirt_read(e.queue, (void *)8, sizeof(f[0])), EFAULT);
	assert_int_equal(softvirt_read(e.queue, f, sizeof(f)), 2 * sizeof(f[0]));
	assert_int_equal(polled(&e), POLLOUT);
	assert_int_equal(f[0].flags, IOMMU_PGFAULT_FLAGS_LAST_PAGE);
	assert_int_equal(f[0].dev_id, e.ids.dev);
	assert_int_equal(f[0].grpid, 7);
	assert_int_equal(f[0].perm, IOMMU_PGFAULT_PERM_WRITE);
	assert_int_equal(f[0].addr, 0x1000);
	assert_int_equal(f[0].length, 0);
	assert_int_equal(f[1].flags,
			 IOMMU_PGFAULT_FLAGS_LAST_PAGE | IOMMU_PGFAULT_FLAGS_PASID_VALID);
	assert_int_equal(f[1].pasid, 5);
	assert_int_not_equal(f[0].cookie, f[1].cookie);
	assert_errno(answer(&e, f[0].cookie, 2), EINVAL);
	assert_errno(answer(&e, f[0].cookie + 1000, IOMMUFD_PAGE_RESP_SUCCESS), EINVAL);
	assert_int_equal(answer(&e, f[1].cookie, IOMMUFD_PAGE_RESP_INVALID), 8);
	assert_errno(answer(&e, f[1].cookie, IOMMUFD_PAGE_RESP_SUCCESS), EINVAL);
	assert_int_equal(answer(&e, f[0].cookie, IOMMUFD_PAGE_RESP_SUCCESS), 8);
	assert_errno(softvirt_write(e.queue, (void *)8, 8), EFAULT);
	down(&e);
}

/* Answers before the bad one count. */
static void test_many_answers(void **state)
{
	struct env e = up();
	struct iommu_hwpt_page_response r[3];
	struct iommu_hwpt_pgfault f;

	for (u32 i = 0; i < 2; i++) {
		trigger(&e, 0, i, 0x1000);
		assert_int_equal(softvirt_read(e.queue, &f, sizeof(f)), sizeof(f));
		r[i] = (struct iommu_hwpt_page_response){ f.cookie, IOMMUFD_PAGE_RESP_SUCCESS };
	}
	r[2] = r[0];
	assert_int_equal(softvirt_write(e.queue, r, sizeof(r)), 16);
	assert_errno(softvirt_write(e.queue, r, sizeof(r)), EINVAL);
	down(&e);
}

static void test_epoll(void **state)
{
	struct env e = up();
	struct epoll_event ev = { .events = EPOLLIN }, out;
	int ep = epoll_create1(EPOLL_CLOEXEC);
	struct iommu_hwpt_pgfault f;

	assert_return_code(epoll_ctl(ep, EPOLL_CTL_ADD, e.queue, &ev), errno);
	assert_int_equal(epoll_wait(ep, &out, 1, 0), 0);
	trigger(&e, 0, 1, 0x1000);
	assert_int_equal(epoll_wait(ep, &out, 1, 1000), 1);
	assert_int_equal(softvirt_read(e.queue, &f, sizeof(f)), sizeof(f));
	assert_int_equal(epoll_wait(ep, &out, 1, 0), 0);
	close(ep);
	down(&e);
}

/* What is waiting or unanswered when the device leaves is answered for it. */
static void test_detach(void **state)
{
	struct env e = up();
	struct iommu_hwpt_pgfault f[2];

	for (u32 i = 0; i < 4; i++)
		trigger(&e, i & 1, i, 0x1000);
	assert_int_equal(softvirt_read(e.queue, f, sizeof(f)), sizeof(f));
	assert_return_code(mock_replace(e.fd, e.ids.stdev, e.ioas), errno);
	assert_int_equal(polled(&e), POLLOUT);
	assert_errno(answer(&e, f[0].cookie, IOMMUFD_PAGE_RESP_SUCCESS), EINVAL);
	/* Nobody listens now. */
	trigger(&e, 0, 9, 0x1000);
	assert_int_equal(polled(&e), POLLOUT);
	down(&e);
}

/* The queue's descriptor is closed first, with requests waiting and unanswered. */
static void test_close_first(void **state)
{
	struct env e = up();
	struct iommu_hwpt_pgfault f;

	trigger(&e, 0, 1, 0x1000);
	trigger(&e, 0, 2, 0x2000);
	assert_int_equal(softvirt_read(e.queue, &f, sizeof(f)), sizeof(f));
	assert_return_code(softvirt_close(e.queue), errno);
	trigger(&e, 0, 3, 0x3000);
	iommu_close(e.fd);
}

/* A paging HWPT has one as well. */
static void test_paging(void **state)
{
	struct iommu_fault_alloc cmd = { 0 };
	int fd = iommu_open();
	u32 ioas = ioas_alloc(fd);
	struct mock_ids ids = mock_attach(fd, ioas, 0);
	struct iommu_hwpt_alloc hwpt = { .dev_id = ids.dev, .pt_id = ioas,
					 .flags = IOMMU_HWPT_FAULT_ID_VALID };
	struct env e = { .fd = fd, .ids = ids };
	struct iommu_hwpt_pgfault f;

	OK(fd, IOMMU_FAULT_QUEUE_ALLOC, &cmd);
	hwpt.fault_id = cmd.out_fault_id;
	e.queue = (int)cmd.out_fault_fd;
	OK(fd, IOMMU_HWPT_ALLOC, &hwpt);
	assert_return_code(mock_replace(fd, ids.stdev, hwpt.out_hwpt_id), errno);
	trigger(&e, 0, 1, 0x5000);
	assert_int_equal(softvirt_read(e.queue, &f, sizeof(f)), sizeof(f));
	assert_int_equal(f.addr, 0x5000);
	down(&e);
}

struct dma {
	struct sv_thread thread;
	struct iommu_dev *dev;
	u64 iova, value;
	int ret;
};

static void *dma_read(void *arg)
{
	struct dma *d = arg;

	d->ret = iommu_dma_read(d->dev, IOMMU_NO_PASID, &d->value, d->iova, sizeof(d->value), NULL);
	return NULL;
}

/* A device that reads where nothing is mapped yet: its access waits for the answer. */
static void test_dma(void **state)
{
	struct iommu_dev dev = { .dev.init_name = "test", .iommu = &vtd_iommu_ops, .pri = true };
	struct iommu_fault_alloc cmd = { 0 };
	struct iommu_hwpt_alloc hwpt = { .flags = IOMMU_HWPT_FAULT_ID_VALID };
	struct env e = { .fd = iommu_open() };
	struct iommufd_ctx *ictx = iommufd_ctx_from_fd(e.fd);
	u64 *p = memory(SV_PAGE_SIZE);
	struct iommufd_device *idev;
	struct iommu_hwpt_pgfault f;

	assert_int_equal(iommu_dev_init(&dev, 0x60000000), 0);
	iommu_dma_enable(&dev, true);
	idev = iommufd_device_bind(ictx, &dev, &hwpt.dev_id);
	assert_true((long)idev > 0);
	hwpt.pt_id = ioas_alloc(e.fd);
	OK(e.fd, IOMMU_FAULT_QUEUE_ALLOC, &cmd);
	hwpt.fault_id = cmd.out_fault_id;
	e.queue = (int)cmd.out_fault_fd;
	OK(e.fd, IOMMU_HWPT_ALLOC, &hwpt);
	assert_int_equal(iommufd_device_attach(idev, IOMMU_NO_PASID, &hwpt.out_hwpt_id), 0);
	*p = 0x1234567890abcdef;
	/* Answered after mapping; refused; left alone until the device is detached. */
	for (u32 round = 0; round < 3; round++) {
		struct dma d = { .dev = &dev, .iova = 0x100000 + round * SV_PAGE_SIZE, .ret = 1 };
		struct pollfd pfd = { .fd = e.queue, .events = POLLIN };

		assert_int_equal(sv_thread_create(&d.thread, "dma", dma_read, &d), 0);
		assert_int_equal(poll(&pfd, 1, 20000), 1);
		assert_int_equal(softvirt_read(e.queue, &f, sizeof(f)), sizeof(f));
		assert_int_equal(f.dev_id, hwpt.dev_id);
		assert_int_equal(f.addr, d.iova);
		assert_int_equal(f.perm, IOMMU_PGFAULT_PERM_READ);
		if (round == 0)
			assert_return_code(ioas_map(e.fd, hwpt.pt_id, p, SV_PAGE_SIZE, d.iova), errno);
		if (round < 2)
			assert_int_equal(answer(&e, f.cookie, round), 8);
		else
			iommufd_device_detach(idev, IOMMU_NO_PASID);
		sv_thread_join(&d.thread);
		assert_int_equal(d.ret, round ? -EFAULT : 0);
		assert_true(round || d.value == *p);
	}
	iommufd_device_unbind(idev);
	iommu_dev_fini(&dev);
	iommufd_ctx_put(ictx);
	down(&e);
	munmap(p, SV_PAGE_SIZE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sizes),
		cmocka_unit_test(test_descriptor),
		cmocka_unit_test(test_round),
		cmocka_unit_test(test_many_answers),
		cmocka_unit_test(test_epoll),
		cmocka_unit_test(test_detach),
		cmocka_unit_test(test_close_first),
		cmocka_unit_test(test_paging),
		cmocka_unit_test(test_dma),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
