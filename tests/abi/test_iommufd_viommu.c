/* SPDX-License-Identifier: MIT */
/*
 * IOMMU_VIOMMU_ALLOC, IOMMU_VDEVICE_ALLOC, IOMMU_VEVENTQ_ALLOC, IOMMU_HW_QUEUE_ALLOC.
 */
#include "iommufd.h"

struct env {
	int fd;
	u32 ioas, parent, viommu;
	struct mock_ids ids;
};

static struct env up(void)
{
	struct iommu_viommu_alloc cmd = { .type = IOMMU_VIOMMU_TYPE_SELFTEST };
	struct env e = { .fd = iommu_open() };

	e.ioas = ioas_alloc(e.fd);
	e.ids = mock_attach(e.fd, e.ioas, 0);
	e.parent = hwpt_alloc(e.fd, e.ids.dev, e.ioas, IOMMU_HWPT_ALLOC_NEST_PARENT);
	cmd.dev_id = e.ids.dev;
	cmd.hwpt_id = e.parent;
	OK(e.fd, IOMMU_VIOMMU_ALLOC, &cmd);
	e.viommu = cmd.out_viommu_id;
	return e;
}

static void test_sizes(void **state)
{
	struct iommu_viommu_alloc viommu = { .type = IOMMU_VIOMMU_TYPE_SELFTEST, .dev_id = NO_ID };
	struct iommu_vdevice_alloc vdev = { .viommu_id = NO_ID };
	struct iommu_veventq_alloc q = { .viommu_id = NO_ID, .veventq_depth = 1,
					 .type = IOMMU_VEVENTQ_TYPE_SELFTEST };
	struct iommu_hw_queue_alloc hwq = { .viommu_id = NO_ID, .length = 1,
					    .type = IOMMU_HW_QUEUE_TYPE_SELFTEST };
	int fd = iommu_open();

	CHECK_SIZES(fd, IOMMU_VIOMMU_ALLOC, &viommu, out_viommu_id, ENOENT);
	CHECK_SIZES(fd, IOMMU_VDEVICE_ALLOC, &vdev, virt_id, ENOENT);
	CHECK_SIZES(fd, IOMMU_VEVENTQ_ALLOC, &q, __reserved, ENOENT);
	CHECK_SIZES(fd, IOMMU_HW_QUEUE_ALLOC, &hwq, length, ENOENT);
	iommu_close(fd);
}

static void test_viommu_refused(void **state)
{
	struct env e = up();
	struct iommu_viommu_selftest data = { .in_data = 41 };
	struct iommu_viommu_alloc cmd = { .type = IOMMU_VIOMMU_TYPE_SELFTEST, .dev_id = e.ids.dev,
					  .hwpt_id = e.parent };

#define REFUSED(field, bad, good, err) do { \
	cmd.field = (bad); \
	assert_errno(CALL(e.fd, IOMMU_VIOMMU_ALLOC, &cmd), err); \
	cmd.field = (good); \
} while (0)
	REFUSED(flags, 1, 0, EOPNOTSUPP);
	REFUSED(__reserved, 1, 0, EOPNOTSUPP);
	REFUSED(type, IOMMU_VIOMMU_TYPE_DEFAULT, IOMMU_VIOMMU_TYPE_SELFTEST, EOPNOTSUPP);
	REFUSED(type, IOMMU_VIOMMU_TYPE_ARM_SMMUV3, IOMMU_VIOMMU_TYPE_SELFTEST, EOPNOTSUPP);
	REFUSED(dev_id, e.ioas, e.ids.dev, ENOENT);
	REFUSED(hwpt_id, NO_ID, e.parent, ENOENT);
	REFUSED(hwpt_id, e.ioas, e.parent, ENOENT);
	REFUSED(hwpt_id, e.ids.hwpt, e.parent, EINVAL);
	cmd.data_uptr = (uintptr_t)&data;
	REFUSED(data_len, 4, 0, EINVAL);
	cmd.data_len = sizeof(data);
	OK(e.fd, IOMMU_VIOMMU_ALLOC, &cmd);
	assert_int_equal(data.out_data, 42);
	assert_errno(destroy(e.fd, e.parent), EBUSY);
	assert_return_code(destroy(e.fd, cmd.out_viommu_id), errno);
	assert_return_code(destroy(e.fd, e.viommu), errno);
	assert_return_code(destroy(e.fd, e.parent), errno);
	iommu_close(e.fd);
#undef REFUSED
}

static void test_nested(void **state)
{
	struct env e = up();
	u32 id;

	assert_errno(hwpt_alloc_flags(e.fd, e.ids.dev, e.viommu, 0, &id), EOPNOTSUPP);
	assert_errno(nested_alloc(e.fd, e.ids.dev, e.viommu, IOMMU_HWPT_ALLOC_DIRTY_TRACKING, 0,
				  &id), EOPNOTSUPP);
	assert_return_code(nested_alloc(e.fd, e.ids.dev, e.viommu, 0, 0, &id), errno);
	assert_errno(destroy(e.fd, e.viommu), EBUSY);
	assert_return_code(mock_replace(e.fd, e.ids.stdev, id), errno);
	assert_return_code(mock_replace(e.fd, e.ids.stdev, e.ioas), errno);
	assert_return_code(destroy(e.fd, id), errno);
	assert_return_code(destroy(e.fd, e.viommu), errno);
	iommu_close(e.fd);
}

static int vdevice(const struct env *e, u32 viommu, u32 dev, u64 virt, u32 *id)
{
	struct iommu_vdevice_alloc cmd = { .viommu_id = viommu, .dev_id = dev, .virt_id = virt };
	int ret = CALL(e->fd, IOMMU_VDEVICE_ALLOC, &cmd);

	*id = cmd.out_vdevice_id;
	return ret;
}

static void test_vdevice(void **state)
{
	struct env e = up();
	struct mock_ids second = mock_attach(e.fd, e.ioas, 0);
	u32 id, other;

	assert_errno(vdevice(&e, e.parent, e.ids.dev, 1, &id), ENOENT);
	assert_errno(vdevice(&e, e.viommu, e.ioas, 1, &id), ENOENT);
	assert_return_code(vdevice(&e, e.viommu, e.ids.dev, 1, &id), errno);
	assert_errno(vdevice(&e, e.viommu, e.ids.dev, 2, &other), EEXIST);
	assert_errno(vdevice(&e, e.viommu, second.dev, 1, &other), EEXIST);
	assert_return_code(vdevice(&e, e.viommu, second.dev, ~0ull, &other), errno);
	assert_errno(destroy(e.fd, e.viommu), EBUSY);
	assert_return_code(destroy(e.fd, id), errno);
	assert_return_code(vdevice(&e, e.viommu, e.ids.dev, 7, &id), errno);
	/* With its device the vdevice goes; nobody gets its id. */
	assert_return_code(destroy(e.fd, second.stdev), errno);
	assert_errno(destroy(e.fd, other), ENOENT);
	for (u32 i = 0; i < 5; i++)
		assert_int_not_equal(ioas_alloc(e.fd), other);
	assert_return_code(destroy(e.fd, id), errno);
	assert_return_code(destroy(e.fd, e.viommu), errno);
	iommu_close(e.fd);
}

static int veventq(const struct env *e, struct iommu_veventq_alloc cmd, u32 *id, int *fd)
{
	int ret = CALL(e->fd, IOMMU_VEVENTQ_ALLOC, &cmd);

	*id = cmd.out_veventq_id;
	*fd = (int)cmd.out_veventq_fd;
	return ret;
}

static void test_veventq_refused(void **state)
{
	struct env e = up();
	struct iommu_veventq_alloc cmd = { .viommu_id = e.viommu, .veventq_depth = 2,
					   .type = IOMMU_VEVENTQ_TYPE_SELFTEST };
	u32 id, other;
	int fd, fd2;

#define REFUSED(field, bad, good, err) do { \
	cmd.field = (bad); \
	assert_errno(veventq(&e, cmd, &id, &fd), err); \
	cmd.field = (good); \
} while (0)
	REFUSED(flags, 1, 0, EOPNOTSUPP);
	REFUSED(__reserved, 1, 0, EOPNOTSUPP);
	REFUSED(type, IOMMU_VEVENTQ_TYPE_DEFAULT, IOMMU_VEVENTQ_TYPE_SELFTEST, EOPNOTSUPP);
	REFUSED(type, IOMMU_VEVENTQ_TYPE_ARM_SMMUV3, IOMMU_VEVENTQ_TYPE_SELFTEST, EOPNOTSUPP);
	REFUSED(veventq_depth, 0, 2, EINVAL);
	REFUSED(viommu_id, e.parent, e.viommu, ENOENT);
	assert_return_code(veventq(&e, cmd, &id, &fd), errno);
	assert_errno(veventq(&e, cmd, &other, &fd2), EEXIST);
	assert_errno(destroy(e.fd, id), EBUSY);
	assert_errno(destroy(e.fd, e.viommu), EBUSY);
	assert_return_code(softvirt_close(fd), errno);
	assert_return_code(destroy(e.fd, id), errno);
	assert_return_code(destroy(e.fd, e.viommu), errno);
	iommu_close(e.fd);
#undef REFUSED
}

static int trigger(const struct env *e)
{
	struct iommu_test_cmd cmd = { .op = IOMMU_TEST_OP_TRIGGER_VEVENT,
				      .trigger_vevent.dev_id = e->ids.dev };

	return test_cmd(e->fd, &cmd);
}

struct vevent {
	struct iommufd_vevent_header header;
	struct iommu_viommu_event_selftest event;
};

static void test_vevents(void **state)
{
	struct env e = up();
	struct iommu_veventq_alloc cmd = { .viommu_id = e.viommu, .veventq_depth = 2,
					   .type = IOMMU_VEVENTQ_TYPE_SELFTEST };
	struct vevent ev[4];
	struct pollfd p = { .events = POLLIN };
	u32 id, vdev;

	assert_errno(trigger(&e), ENOENT);
	assert_return_code(vdevice(&e, e.viommu, e.ids.dev, 0x99, &vdev), errno);
	assert_errno(trigger(&e), EOPNOTSUPP);
	assert_return_code(veventq(&e, cmd, &id, &p.fd), errno);
	assert_int_equal(softvirt_read(p.fd, ev, sizeof(ev)), 0);
	assert_errno(softvirt_pread(p.fd, ev, sizeof(ev), 0), ESPIPE);
	assert_errno(softvirt_write(p.fd, ev, sizeof(ev)), EINVAL);
	assert_int_equal(poll(&p, 1, 0), 0);
	assert_return_code(trigger(&e), errno);
	assert_int_equal(poll(&p, 1, 0), 1);
	/* No room for the event: it waits. */
	assert_int_equal(softvirt_read(p.fd, ev, 4), 0);
	assert_int_equal(softvirt_read(p.fd, ev, sizeof(ev[0]) - 1), 0);
	assert_errno(softvirt_read(p.fd, (void *)8, sizeof(ev)), EFAULT);
	assert_int_equal(softvirt_read(p.fd, ev, sizeof(ev)), sizeof(ev[0]));
	assert_int_equal(ev[0].header.flags, 0);
	assert_int_equal(ev[0].header.sequence, 0);
	assert_int_equal(ev[0].event.virt_id, 0x99);
	assert_int_equal(poll(&p, 1, 0), 0);
	/* Two fit, three are lost: two events, and a header with the last one's number. */
	for (u32 i = 0; i < 5; i++)
		assert_return_code(trigger(&e), errno);
	assert_int_equal(softvirt_read(p.fd, ev, sizeof(ev)),
			 2 * sizeof(ev[0]) + sizeof(ev[0].header));
	assert_int_equal(ev[0].header.sequence, 1);
	assert_int_equal(ev[1].header.sequence, 2);
	assert_int_equal(ev[2].header.flags, IOMMU_VEVENTQ_FLAG_LOST_EVENTS);
	assert_int_equal(ev[2].header.sequence, 5);
	/* Lost, then there is room: the gap in the numbers says it alone. */
	for (u32 i = 0; i < 3; i++)
		assert_return_code(trigger(&e), errno);
	assert_int_equal(softvirt_read(p.fd, ev, sizeof(ev[0])), sizeof(ev[0]));
	assert_int_equal(ev[0].header.sequence, 6);
	assert_return_code(trigger(&e), errno);
	assert_int_equal(softvirt_read(p.fd, ev, sizeof(ev)), 2 * sizeof(ev[0]));
	assert_int_equal(ev[0].header.sequence, 7);
	assert_int_equal(ev[1].header.flags, 0);
	assert_int_equal(ev[1].header.sequence, 9);
	/* The context goes first, with something in the queue. */
	assert_return_code(trigger(&e), errno);
	iommu_close(e.fd);
	assert_return_code(softvirt_close(p.fd), errno);
}

static int hw_queue(const struct env *e, struct iommu_hw_queue_alloc cmd, u32 *id)
{
	int ret = CALL(e->fd, IOMMU_HW_QUEUE_ALLOC, &cmd);

	*id = cmd.out_hw_queue_id;
	return ret;
}

static void test_hw_queue(void **state)
{
	struct env e = up();
	struct iommu_hw_queue_alloc cmd = {
		.viommu_id = e.viommu, .type = IOMMU_HW_QUEUE_TYPE_SELFTEST,
		.nesting_parent_iova = MOCK_APERTURE_START, .length = 2 * SV_PAGE_SIZE,
	};
	char *p = memory(4 * SV_PAGE_SIZE);
	u32 id, second;

#define REFUSED(field, bad, good, err) do { \
	cmd.field = (bad); \
	assert_errno(hw_queue(&e, cmd, &id), err); \
	cmd.field = (good); \
} while (0)
	REFUSED(flags, 1, 0, EOPNOTSUPP);
	REFUSED(type, IOMMU_HW_QUEUE_TYPE_DEFAULT, IOMMU_HW_QUEUE_TYPE_SELFTEST, EOPNOTSUPP);
	REFUSED(type, IOMMU_HW_QUEUE_TYPE_TEGRA241_CMDQV, IOMMU_HW_QUEUE_TYPE_SELFTEST, EOPNOTSUPP);
	REFUSED(length, 0, 2 * SV_PAGE_SIZE, EINVAL);
	REFUSED(nesting_parent_iova, ~0ull, MOCK_APERTURE_START, EOVERFLOW);
	REFUSED(viommu_id, e.ioas, e.viommu, ENOENT);
	/* Nothing is mapped there. */
	assert_errno(hw_queue(&e, cmd, &id), ENOENT);
	assert_return_code(ioas_map(e.fd, e.ioas, p, 2 * SV_PAGE_SIZE, MOCK_APERTURE_START), errno);
	REFUSED(length, 3 * SV_PAGE_SIZE, 2 * SV_PAGE_SIZE, ENOENT);
	/* In two pieces of memory. */
	assert_return_code(ioas_map(e.fd, e.ioas, p + 3 * SV_PAGE_SIZE, SV_PAGE_SIZE,
				    MOCK_APERTURE_START + 2 * SV_PAGE_SIZE), errno);
	REFUSED(length, 3 * SV_PAGE_SIZE, 2 * SV_PAGE_SIZE, EFAULT);
	REFUSED(index, IOMMU_TEST_HW_QUEUE_MAX, 0, EINVAL);
	REFUSED(index, 1, 0, EIO);
	assert_return_code(hw_queue(&e, cmd, &id), errno);
	assert_errno(hw_queue(&e, cmd, &second), EEXIST);
	cmd.index = 1;
	cmd.nesting_parent_iova += 8;
	cmd.length = 16;
	assert_return_code(hw_queue(&e, cmd, &second), errno);
	/* Its memory stays, and the vIOMMU does. */
	assert_errno(ioas_unmap(e.fd, e.ioas, MOCK_APERTURE_START, 2 * SV_PAGE_SIZE), EBUSY);
	assert_errno(destroy(e.fd, e.viommu), EBUSY);
	assert_return_code(destroy(e.fd, id), errno);
	assert_errno(ioas_unmap(e.fd, e.ioas, MOCK_APERTURE_START, 2 * SV_PAGE_SIZE), EBUSY);
	assert_return_code(destroy(e.fd, second), errno);
	assert_return_code(ioas_unmap(e.fd, e.ioas, MOCK_APERTURE_START, 2 * SV_PAGE_SIZE), errno);
	iommu_close(e.fd);
	munmap(p, 4 * SV_PAGE_SIZE);
#undef REFUSED
}

/* Closed with queues alive. */
static void test_close(void **state)
{
	struct env e = up();
	struct iommu_hw_queue_alloc cmd = {
		.viommu_id = e.viommu, .type = IOMMU_HW_QUEUE_TYPE_SELFTEST,
		.nesting_parent_iova = MOCK_APERTURE_START, .length = SV_PAGE_SIZE,
	};
	char *p = memory(SV_PAGE_SIZE);
	u32 id, vdev, nested;

	assert_return_code(ioas_map(e.fd, e.ioas, p, SV_PAGE_SIZE, MOCK_APERTURE_START), errno);
	assert_return_code(hw_queue(&e, cmd, &id), errno);
	assert_return_code(vdevice(&e, e.viommu, e.ids.dev, 3, &vdev), errno);
	assert_return_code(nested_alloc(e.fd, e.ids.dev, e.viommu, 0, 0, &nested), errno);
	assert_return_code(mock_replace(e.fd, e.ids.stdev, nested), errno);
	iommu_close(e.fd);
	assert_int_equal(iopt_user_page_pins((uintptr_t)p), 0);
	munmap(p, SV_PAGE_SIZE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sizes),
		cmocka_unit_test(test_viommu_refused),
		cmocka_unit_test(test_nested),
		cmocka_unit_test(test_vdevice),
		cmocka_unit_test(test_veventq_refused),
		cmocka_unit_test(test_vevents),
		cmocka_unit_test(test_hw_queue),
		cmocka_unit_test(test_close),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
