/* SPDX-License-Identifier: MIT */
/*
 * Each step of iommufd's object calls that can fail, made to fail once: an error comes back,
 * nothing leaks (no object is left, no page stays pinned), and the same call then works.
 */
#include "iommufd.h"

struct env {
	int fd, other;
	u32 ioas, ioas2, parent, viommu, fault, tracks;
	int fault_fd;
	struct mock_ids ids;
	char *p;
};

static struct env up(void)
{
	struct env e = { .fd = iommu_open(), .p = memory(4 * SV_PAGE_SIZE) };
	struct iommu_viommu_alloc viommu = { .type = IOMMU_VIOMMU_TYPE_SELFTEST };
	struct iommu_fault_alloc fault = { 0 };

	e.ioas = ioas_alloc(e.fd);
	e.ioas2 = ioas_alloc(e.fd);
	e.ids = mock_attach(e.fd, e.ioas, MOCK_FLAGS_DEVICE_PASID);
	e.parent = hwpt_alloc(e.fd, e.ids.dev, e.ioas, IOMMU_HWPT_ALLOC_NEST_PARENT |
			      IOMMU_HWPT_ALLOC_PASID);
	e.tracks = hwpt_alloc(e.fd, e.ids.dev, e.ioas, IOMMU_HWPT_ALLOC_DIRTY_TRACKING);
	assert_return_code(ioas_map(e.fd, e.ioas, e.p, 4 * SV_PAGE_SIZE, MOCK_APERTURE_START),
			   errno);
	viommu.dev_id = e.ids.dev;
	viommu.hwpt_id = e.parent;
	OK(e.fd, IOMMU_VIOMMU_ALLOC, &viommu);
	e.viommu = viommu.out_viommu_id;
	OK(e.fd, IOMMU_FAULT_QUEUE_ALLOC, &fault);
	e.fault = fault.out_fault_id;
	e.fault_fd = (int)fault.out_fault_fd;
	return e;
}

static void down(struct env *e)
{
	assert_return_code(softvirt_close(e->fault_fd), errno);
	iommu_close(e->fd);
	assert_int_equal(iopt_user_page_pins((uintptr_t)e->p), 0);
	munmap(e->p, 4 * SV_PAGE_SIZE);
}

/* Since the operation began. */
static bool fired;

static void disarm(void)
{
	fired |= sv_fault_fired();
	sv_fault_inject(0);
}

/* Makes something and takes it away again; -1 and errno if it can't be made. */
typedef int (*op_fn)(struct env *e);

static int undo(struct env *e, u32 id)
{
	disarm();
	assert_return_code(destroy(e->fd, id), errno);
	return 0;
}

static int op_open(struct env *e)
{
	int fd = softvirt_open("/dev/iommu", O_RDWR);

	return fd < 0 ? -1 : softvirt_close(fd);
}

static int op_ioas(struct env *e)
{
	struct iommu_ioas_alloc cmd = { 0 };

	return CALL(e->fd, IOMMU_IOAS_ALLOC, &cmd) ? -1 : undo(e, cmd.out_ioas_id);
}

static int op_hwpt(struct env *e)
{
	u32 id;

	return hwpt_alloc_flags(e->fd, e->ids.dev, e->ioas, 0, &id) ? -1 : undo(e, id);
}

static int op_nested(struct env *e)
{
	u32 id;

	return nested_alloc(e->fd, e->ids.dev, e->parent, IOMMU_HWPT_FAULT_ID_VALID, e->fault,
			    &id) ? -1 : undo(e, id);
}

static int op_nested_viommu(struct env *e)
{
	u32 id;

	return nested_alloc(e->fd, e->ids.dev, e->viommu, 0, 0, &id) ? -1 : undo(e, id);
}

static int op_fault(struct env *e)
{
	struct iommu_fault_alloc cmd = { 0 };

	if (CALL(e->fd, IOMMU_FAULT_QUEUE_ALLOC, &cmd))
		return -1;
	disarm();
	assert_return_code(softvirt_close((int)cmd.out_fault_fd), errno);
	return undo(e, cmd.out_fault_id);
}

static int op_viommu(struct env *e)
{
	struct iommu_viommu_alloc cmd = { .type = IOMMU_VIOMMU_TYPE_SELFTEST, .dev_id = e->ids.dev,
					  .hwpt_id = e->parent };

	return CALL(e->fd, IOMMU_VIOMMU_ALLOC, &cmd) ? -1 : undo(e, cmd.out_viommu_id);
}

static int op_vdevice(struct env *e)
{
	struct iommu_vdevice_alloc cmd = { .viommu_id = e->viommu, .dev_id = e->ids.dev };

	return CALL(e->fd, IOMMU_VDEVICE_ALLOC, &cmd) ? -1 : undo(e, cmd.out_vdevice_id);
}

static int op_veventq(struct env *e)
{
	struct iommu_veventq_alloc cmd = { .viommu_id = e->viommu, .veventq_depth = 1,
					   .type = IOMMU_VEVENTQ_TYPE_SELFTEST };

	if (CALL(e->fd, IOMMU_VEVENTQ_ALLOC, &cmd))
		return -1;
	disarm();
	assert_return_code(softvirt_close((int)cmd.out_veventq_fd), errno);
	return undo(e, cmd.out_veventq_id);
}

static int op_hw_queue(struct env *e)
{
	struct iommu_hw_queue_alloc cmd = {
		.viommu_id = e->viommu, .type = IOMMU_HW_QUEUE_TYPE_SELFTEST,
		.nesting_parent_iova = MOCK_APERTURE_START, .length = SV_PAGE_SIZE,
	};

	return CALL(e->fd, IOMMU_HW_QUEUE_ALLOC, &cmd) ? -1 : undo(e, cmd.out_hw_queue_id);
}

static int op_attach(struct env *e)
{
	struct mock_ids ids;

	return mock_attach_flags(e->fd, e->ioas2, 0, &ids) ? -1 : undo(e, ids.stdev);
}

/* To another IOAS, and to a HWPT with faults; then back. */
static int op_replace(struct env *e)
{
	u32 id;

	if (mock_replace(e->fd, e->ids.stdev, e->ioas2))
		return -1;
	if (nested_alloc(e->fd, e->ids.dev, e->parent, IOMMU_HWPT_FAULT_ID_VALID, e->fault, &id)) {
		disarm();
		assert_return_code(mock_replace(e->fd, e->ids.stdev, e->ioas), errno);
		errno = ENOMEM;
		return -1;
	}
	if (mock_replace(e->fd, e->ids.stdev, id)) {
		disarm();
		assert_return_code(mock_replace(e->fd, e->ids.stdev, e->ioas), errno);
		undo(e, id);
		errno = ENOMEM;
		return -1;
	}
	disarm();
	assert_return_code(mock_replace(e->fd, e->ids.stdev, e->ioas), errno);
	return undo(e, id);
}

static int op_pasid(struct env *e)
{
	struct iommu_test_cmd cmd = { .op = IOMMU_TEST_OP_PASID_ATTACH, .id = e->ids.stdev,
				      .pasid_attach = { 3, e->parent } };
	int ret;

	ret = test_cmd(e->fd, &cmd);
	if (ret)
		return -1;
	disarm();
	cmd.op = IOMMU_TEST_OP_PASID_DETACH;
	assert_return_code(test_cmd(e->fd, &cmd), errno);
	return 0;
}

static int op_dirty(struct env *e)
{
	struct iommu_hwpt_set_dirty_tracking set = { .hwpt_id = e->tracks,
						     .flags = IOMMU_HWPT_DIRTY_TRACKING_ENABLE };
	u64 bits = 0;
	struct iommu_hwpt_get_dirty_bitmap get = {
		.hwpt_id = e->tracks, .iova = MOCK_APERTURE_START, .length = 4 * SV_PAGE_SIZE,
		.page_size = SV_PAGE_SIZE, .data = (uintptr_t)&bits,
	};

	if (CALL(e->fd, IOMMU_HWPT_SET_DIRTY_TRACKING, &set))
		return -1;
	return CALL(e->fd, IOMMU_HWPT_GET_DIRTY_BITMAP, &get);
}

static int op_hw_info(struct env *e)
{
	struct iommu_test_hw_info info;
	struct iommu_hw_info cmd = { .dev_id = e->ids.dev, .data_len = sizeof(info),
				     .data_uptr = (uintptr_t)&info };

	return CALL(e->fd, IOMMU_GET_HW_INFO, &cmd);
}

static u32 nr_objects(struct env *e)
{
	struct iommufd_ctx *ictx = iommufd_ctx_from_fd(e->fd);
	u32 n = ictx->nr_objects;

	iommufd_ctx_put(ictx);
	return n;
}

static void sweep(struct env *e, const char *name, op_fn op)
{
	u32 objects = nr_objects(e);
	unsigned n;

	for (n = 1; n < 500; n++) {
		int ret;

		fired = false;
		sv_fault_inject(n);
		errno = 0;
		ret = op(e);
		disarm();
		if (ret) {
			assert_true(fired);
			assert_true(errno == ENOMEM || errno == ENOENT || errno == EMFILE ||
				    errno == EINVAL);
		}
		assert_int_equal(nr_objects(e), objects);
		if (!ret)
			break;
	}
	if (n == 500)
		fail_msg("%s never succeeds", name);
	print_message("# %s: %u steps\n", name, n - 1);
}

#define SWEEP(op) sweep(&e, #op, op)

static void test_objects(void **state)
{
	struct env e = up();

	/* Once without, so that what is set up once is. */
	assert_return_code(op_open(&e), errno);
	SWEEP(op_open);
	SWEEP(op_ioas);
	SWEEP(op_hwpt);
	SWEEP(op_nested);
	SWEEP(op_nested_viommu);
	SWEEP(op_fault);
	SWEEP(op_viommu);
	SWEEP(op_vdevice);
	SWEEP(op_veventq);
	SWEEP(op_hw_queue);
	down(&e);
}

static void test_attachment(void **state)
{
	struct env e = up();

	SWEEP(op_attach);
	SWEEP(op_replace);
	SWEEP(op_dirty);
	SWEEP(op_hw_info);
	assert_return_code(mock_replace(e.fd, e.ids.stdev, e.parent), errno);
	SWEEP(op_pasid);
	down(&e);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_objects),
		cmocka_unit_test(test_attachment),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
