/* SPDX-License-Identifier: MIT */
/*
 * Threads that make, attach, replace, destroy and look at the same objects, answer page
 * requests and report events, without order. Whatever each call answers, nothing may be lost: when the context
 * is closed no page is pinned. For the sanitizers more than for the assertions.
 */
#include "base/sync.h"
#include "iommufd.h"

#define THREADS 4
#define ROUNDS 300
#define IDS 24

static int fd;
static char *mem;

struct worker {
	struct sv_thread thread;
	u32 seed;
	unsigned ok, failed;
};

static u32 rnd(struct worker *w, u32 n)
{
	w->seed = w->seed * 1664525 + 1013904223;
	return (w->seed >> 8) % n;
}

static int nested(u32 dev, u32 pt, u32 flags, u32 fault)
{
	struct iommu_hwpt_selftest data = { .iotlb = 1 };
	struct iommu_hwpt_alloc cmd = {
		.size = sizeof(cmd), .dev_id = dev, .pt_id = pt, .flags = flags, .fault_id = fault,
		.data_type = IOMMU_HWPT_DATA_SELFTEST, .data_len = sizeof(data),
		.data_uptr = (uintptr_t)&data,
	};

	return softvirt_ioctl(fd, IOMMU_HWPT_ALLOC, &cmd);
}

static int mock_op(struct worker *w, u32 op, u32 id, u32 arg)
{
	struct iommu_test_cmd cmd = { .size = sizeof(cmd), .op = op, .id = id };

	if (op == IOMMU_TEST_OP_MOCK_DOMAIN_REPLACE)
		cmd.mock_domain_replace.pt_id = arg;
	else if (op == IOMMU_TEST_OP_MOCK_DOMAIN_FLAGS)
		cmd.mock_domain.dev_flags = MOCK_FLAGS_DEVICE_PASID;
	else if (op == IOMMU_TEST_OP_TRIGGER_IOPF)
		cmd.trigger_iopf.dev_id = id;
	else if (op == IOMMU_TEST_OP_TRIGGER_VEVENT)
		cmd.trigger_vevent.dev_id = id;
	else
		cmd.pasid_attach.pasid = 1 + rnd(w, 3), cmd.pasid_attach.pt_id = arg;
	return softvirt_ioctl(fd, IOMMU_TEST_CMD, &cmd);
}

/* A queue is read once and closed. */
static int use_queue(u32 viommu)
{
	struct iommu_fault_alloc fault = { .size = sizeof(fault) };
	struct iommu_veventq_alloc ev = { .size = sizeof(ev), .viommu_id = viommu,
					  .veventq_depth = 3, .type = IOMMU_VEVENTQ_TYPE_SELFTEST };
	char buf[400];
	int q;

	if (viommu) {
		if (softvirt_ioctl(fd, IOMMU_VEVENTQ_ALLOC, &ev))
			return -1;
		q = (int)ev.out_veventq_fd;
	} else {
		if (softvirt_ioctl(fd, IOMMU_FAULT_QUEUE_ALLOC, &fault))
			return -1;
		q = (int)fault.out_fault_fd;
	}
	(void)!softvirt_read(q, buf, sizeof(buf));
	return softvirt_close(q);
}

static int step(struct worker *w)
{
	u32 a = 1 + rnd(w, IDS), b = 1 + rnd(w, IDS), c = 1 + rnd(w, IDS);
	struct iommu_viommu_alloc viommu = { .size = sizeof(viommu), .dev_id = a, .hwpt_id = b,
					     .type = IOMMU_VIOMMU_TYPE_SELFTEST };
	struct iommu_vdevice_alloc vdev = { .size = sizeof(vdev), .dev_id = a, .viommu_id = b,
					    .virt_id = rnd(w, 3) };
	struct iommu_hw_info info = { .size = sizeof(info), .dev_id = a };
	struct iommu_hw_queue_alloc hwq = {
		.size = sizeof(hwq), .viommu_id = a, .type = IOMMU_HW_QUEUE_TYPE_SELFTEST,
		.nesting_parent_iova = MOCK_APERTURE_START, .length = SV_PAGE_SIZE,
	};
	struct iommu_ioas_alloc ioas = { .size = sizeof(ioas) };
	u32 id;

	switch (rnd(w, 18)) {
	case 0: case 1: case 2: return destroy(fd, a);
	case 3: return softvirt_ioctl(fd, IOMMU_IOAS_ALLOC, &ioas);
	case 4: return mock_op(w, IOMMU_TEST_OP_MOCK_DOMAIN_FLAGS, a, 0);
	case 5: case 6: return mock_op(w, IOMMU_TEST_OP_MOCK_DOMAIN_REPLACE, a, b);
	case 7: return hwpt_alloc_flags(fd, a, b, rnd(w, 16) & ~4u, &id);
	case 8: return nested(a, b, rnd(w, 2) ? IOMMU_HWPT_FAULT_ID_VALID : 0, c);
	case 9: return softvirt_ioctl(fd, IOMMU_VIOMMU_ALLOC, &viommu);
	case 10: return softvirt_ioctl(fd, IOMMU_VDEVICE_ALLOC, &vdev);
	case 11: return mock_op(w, IOMMU_TEST_OP_TRIGGER_IOPF, a, 0);
	case 12: return mock_op(w, IOMMU_TEST_OP_TRIGGER_VEVENT, a, 0);
	case 13: return use_queue(rnd(w, 2) ? a : 0);
	case 14: return mock_op(w, IOMMU_TEST_OP_PASID_ATTACH + rnd(w, 3), a, b);
	case 15: return ioas_map(fd, a, mem, SV_PAGE_SIZE * (1 + rnd(w, 4)), MOCK_APERTURE_START);
	case 16: return ioas_unmap(fd, a, 0, ~0ull);
	default:
		return rnd(w, 2) ? softvirt_ioctl(fd, IOMMU_HW_QUEUE_ALLOC, &hwq) :
				   softvirt_ioctl(fd, IOMMU_GET_HW_INFO, &info);
	}
}

static void *work(void *arg)
{
	struct worker *w = arg;

	for (unsigned i = 0; i < ROUNDS * 10; i++) {
		if (step(w) < 0)
			w->failed++;
		else
			w->ok++;
	}
	return NULL;
}

static void test_stress(void **state)
{
	struct worker w[THREADS] = { 0 };

	mem = memory(4 * SV_PAGE_SIZE);
	fd = iommu_open();
	mock_attach(fd, ioas_alloc(fd), MOCK_FLAGS_DEVICE_PASID);
	for (u32 i = 0; i < THREADS; i++) {
		w[i].seed = i + 1;
		assert_int_equal(sv_thread_create(&w[i].thread, "stress", work, &w[i]), 0);
	}
	for (u32 i = 0; i < THREADS; i++)
		sv_thread_join(&w[i].thread);
	for (u32 i = 0; i < THREADS; i++) {
		print_message("# thread %u: %u done, %u refused\n", i, w[i].ok, w[i].failed);
		assert_true(w[i].ok);
	}
	iommu_close(fd);
	for (u32 i = 0; i < 4; i++)
		assert_int_equal(iopt_user_page_pins((uintptr_t)mem + i * SV_PAGE_SIZE), 0);
	munmap(mem, 4 * SV_PAGE_SIZE);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_stress) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
