/* SPDX-License-Identifier: MIT */
/*
 * What iommufd does with a device behind SMMUv3: hardware information, vIOMMU, vdevice, STEs as nested
 * HWPTs, commands, events, page requests; every size and errno; each step that can fail.
 */
#include "iommufd.h"

#include "../unit/smmuv3_guest.h"
#include "base/err.h"
#include "iommu/viommu.h"

#define STREAM 0xcafe0010u
#define VA 0x12345000ull

struct env {
	int fd, events;
	struct iommufd_ctx *ictx;
	struct iommu_dev dev;
	struct iommufd_device *idev;
	u32 dev_id, ioas, parent, viommu, vdevice, veventq;
	struct guest g;
	u64 cd, root, page;
};

static u32 viommu_alloc(struct env *e)
{
	struct iommu_viommu_alloc cmd = { .type = IOMMU_VIOMMU_TYPE_ARM_SMMUV3, .dev_id = e->dev_id,
					  .hwpt_id = e->parent };

	OK(e->fd, IOMMU_VIOMMU_ALLOC, &cmd);
	return cmd.out_viommu_id;
}

static int vdevice_alloc(struct env *e, u64 virt_id, u32 *id)
{
	struct iommu_vdevice_alloc cmd = { .viommu_id = e->viommu, .dev_id = e->dev_id,
					   .virt_id = virt_id };
	int ret = CALL(e->fd, IOMMU_VDEVICE_ALLOC, &cmd);

	*id = cmd.out_vdevice_id;
	return ret;
}

static int ste_alloc_flags(struct env *e, u64 w0, u64 w1, u32 flags, u32 fault, u32 *id)
{
	struct iommu_hwpt_arm_smmuv3 data = { .ste = { w0, w1 } };
	struct iommu_hwpt_alloc cmd = {
		.dev_id = e->dev_id, .pt_id = e->viommu, .flags = flags, .fault_id = fault,
		.data_type = IOMMU_HWPT_DATA_ARM_SMMUV3, .data_len = sizeof(data),
		.data_uptr = (uintptr_t)&data,
	};
	int ret = CALL(e->fd, IOMMU_HWPT_ALLOC, &cmd);

	*id = cmd.out_hwpt_id;
	return ret;
}

static int ste_alloc(struct env *e, u64 w0, u64 w1, u32 *id)
{
	return ste_alloc_flags(e, w0, w1, 0, 0, id);
}

static int attach(struct env *e, u32 hwpt)
{
	return iommufd_device_attach(e->idev, IOMMU_NO_PASID, &hwpt);
}

static void detach(struct env *e)
{
	iommufd_device_detach(e->idev, IOMMU_NO_PASID);
}

static void veventq_alloc(struct env *e, u32 depth)
{
	struct iommu_veventq_alloc cmd = { .viommu_id = e->viommu, .veventq_depth = depth,
					   .type = IOMMU_VEVENTQ_TYPE_ARM_SMMUV3 };

	OK(e->fd, IOMMU_VEVENTQ_ALLOC, &cmd);
	e->veventq = cmd.out_veventq_id;
	e->events = (int)cmd.out_veventq_fd;
}

static void down(struct env *e)
{
	if (e->events >= 0)
		assert_return_code(softvirt_close(e->events), errno);
	iommufd_device_unbind(e->idev);
	iommu_dev_fini(&e->dev);
	iommufd_ctx_put(e->ictx);
	iommu_close(e->fd);
	guest_fini(&e->g);
	free(e);
}

/*
 * A guest with a page at VA, a vIOMMU and an event queue (of depth, unless 0); nothing is attached.
 */
static struct env *up(u32 depth, bool pri)
{
	static u32 groups = 0x50000000;
	struct env *e = calloc(1, sizeof(*e));

	assert_non_null(e);
	e->fd = iommu_open();
	e->events = -1;
	e->ictx = iommufd_ctx_from_fd(e->fd);
	guest_init(&e->g);
	e->cd = guest_alloc(&e->g, 4096);
	e->root = guest_alloc(&e->g, 4096);
	e->page = guest_alloc(&e->g, 4096);
	guest_cd(&e->g, e->cd, G_CD | G_CD_T0SZ(48), e->root, 0);
	guest_page(&e->g, e->root, VA, e->page, G_RW);
	e->dev = (struct iommu_dev){ .dev.init_name = "test", .iommu = &smmuv3_iommu_ops,
				    .max_pasids = 1024, .pri = pri };
	assert_int_equal(iommu_dev_init(&e->dev, groups++), 0);
	e->idev = iommufd_device_bind(e->ictx, &e->dev, &e->dev_id);
	assert_false(IS_ERR(e->idev));
	e->ioas = ioas_alloc(e->fd);
	assert_return_code(ioas_map(e->fd, e->ioas, e->g.mem, GUEST_SIZE, GUEST_IPA), errno);
	e->parent = hwpt_alloc(e->fd, e->dev_id, e->ioas, IOMMU_HWPT_ALLOC_NEST_PARENT);
	e->viommu = viommu_alloc(e);
	if (depth)
		veventq_alloc(e, depth);
	return e;
}

static u64 ste_of(struct env *e)
{
	return G_STE_V | G_STE_S1 | e->cd;
}

/* With a vdevice and the guest's STE attached. */
static u32 attached(struct env *e)
{
	u32 hwpt;

	assert_return_code(vdevice_alloc(e, STREAM, &e->vdevice), errno);
	assert_return_code(ste_alloc(e, ste_of(e), 0, &hwpt), errno);
	assert_int_equal(attach(e, hwpt), 0);
	return hwpt;
}

static int dma_read32(struct env *e, u32 pasid, u64 iova, u32 *value)
{
	return iommu_dma_read(&e->dev, pasid, value, iova, sizeof(*value), NULL);
}

static int dma_write32(struct env *e, u32 pasid, u64 iova, u32 value)
{
	return iommu_dma_write(&e->dev, pasid, iova, &value, sizeof(value), NULL);
}

struct vevent {
	struct iommufd_vevent_header header;
	struct iommu_vevent_arm_smmuv3 e;
};

static void expect_event(struct env *e, u32 sequence, u64 w0, u64 w1, u64 w2, u64 w3)
{
	struct pollfd pfd = { .fd = e->events, .events = POLLIN };
	struct vevent v;

	assert_int_equal(poll(&pfd, 1, 0), 1);
	assert_int_equal(softvirt_read(e->events, &v, sizeof(v)), sizeof(v));
	assert_int_equal(v.header.flags, 0);
	assert_int_equal(v.header.sequence, sequence);
	assert_int_equal(v.e.evt[0], w0 | (u64)STREAM << 32);
	assert_int_equal(v.e.evt[1], w1);
	assert_int_equal(v.e.evt[2], w2);
	assert_int_equal(v.e.evt[3], w3);
}

static void expect_silence(struct env *e)
{
	struct pollfd pfd = { .fd = e->events, .events = POLLIN };
	struct vevent v;

	assert_int_equal(poll(&pfd, 1, 0), 0);
	assert_int_equal(softvirt_read(e->events, &v, sizeof(v)), 0);
}

#define RNW (1ull << 35)
#define CLASS_IN (2ull << 40)

static void test_hw_info(void **state)
{
	struct env *e = up(0, false);
	u8 buf[64];

	for (u32 len = 0; len <= sizeof(buf); len++) {
		struct iommu_hw_info cmd = { .dev_id = e->dev_id, .data_len = len,
					     .data_uptr = (uintptr_t)buf };
		struct iommu_hw_info_arm_smmuv3 info = { 0 };

		memset(buf, 0xee, sizeof(buf));
		OK(e->fd, IOMMU_GET_HW_INFO, &cmd);
		assert_int_equal(cmd.out_data_type, IOMMU_HW_INFO_TYPE_ARM_SMMUV3);
		assert_int_equal(cmd.data_len, sizeof(info));
		assert_int_equal(cmd.out_max_pasid_log2, 10);
		for (u32 i = sizeof(info); i < sizeof(buf); i++)
			assert_int_equal(buf[i], i < len ? 0 : 0xee);
		if (len < sizeof(info))
			continue;
		memcpy(&info, buf, sizeof(info));
		assert_int_equal(info.flags, 0);
		/* S1P and S2P, AArch64, HTTU, two levels of CDs, no stalls, no ATS without PRI. */
		assert_int_equal(info.idr[0], 0x094c109b);
		assert_int_equal(info.idr[1], 19 << 21 | 19 << 16 | 20 << 6 | 32);
		assert_int_equal(info.idr[3], 1 << 10 | 1 << 2);
		assert_int_equal(info.idr[5], 0x75);
		assert_int_equal(info.aidr, 1);
	}
	down(e);
	e = up(0, true);
	{
		struct iommu_hw_info_arm_smmuv3 info;
		struct iommu_hw_info cmd = { .dev_id = e->dev_id, .data_len = sizeof(info),
					     .data_uptr = (uintptr_t)&info,
					     .flags = IOMMU_HW_INFO_FLAG_INPUT_TYPE,
					     .out_data_type = IOMMU_HW_INFO_TYPE_ARM_SMMUV3 };

		OK(e->fd, IOMMU_GET_HW_INFO, &cmd);
		assert_int_equal(info.idr[0], 0x094c109b | 1 << 10 | 1 << 16);
		cmd.out_data_type = IOMMU_HW_INFO_TYPE_INTEL_VTD;
		assert_errno(CALL(e->fd, IOMMU_GET_HW_INFO, &cmd), EOPNOTSUPP);
	}
	down(e);
}

static void test_viommu_and_vdevice(void **state)
{
	struct env *e = up(0, false);
	struct iommu_viommu_alloc cmd = { .type = IOMMU_VIOMMU_TYPE_TEGRA241_CMDQV, .dev_id = e->dev_id,
					  .hwpt_id = e->parent };
	struct iommu_veventq_alloc q = { .viommu_id = e->viommu, .veventq_depth = 1,
					 .type = IOMMU_VEVENTQ_TYPE_TEGRA241_CMDQV };
	struct iommu_hw_queue_alloc hwq = { .viommu_id = e->viommu, .length = 4096,
					    .type = IOMMU_HW_QUEUE_TYPE_TEGRA241_CMDQV };
	u32 id, plain;

	assert_errno(CALL(e->fd, IOMMU_VIOMMU_ALLOC, &cmd), EOPNOTSUPP);
	plain = hwpt_alloc(e->fd, e->dev_id, e->ioas, 0);
	cmd.type = IOMMU_VIOMMU_TYPE_ARM_SMMUV3;
	cmd.hwpt_id = plain;
	assert_errno(CALL(e->fd, IOMMU_VIOMMU_ALLOC, &cmd), EINVAL);
	assert_errno(CALL(e->fd, IOMMU_VEVENTQ_ALLOC, &q), EOPNOTSUPP);
	assert_errno(CALL(e->fd, IOMMU_HW_QUEUE_ALLOC, &hwq), EOPNOTSUPP);
	/* A StreamID has 32 bits. */
	assert_errno(vdevice_alloc(e, 1ull << 32, &id), EINVAL);
	assert_errno(vdevice_alloc(e, ~0ull, &id), EINVAL);
	assert_return_code(vdevice_alloc(e, 0xffffffff, &id), errno);
	assert_errno(vdevice_alloc(e, 5, &plain), EEXIST);
	assert_errno(destroy(e->fd, e->viommu), EBUSY);
	assert_return_code(destroy(e->fd, id), errno);
	assert_return_code(destroy(e->fd, e->viommu), errno);
	down(e);
}

static void test_ste_words(void **state)
{
	const u64 allowed0 = 0xf80fffffffffffc0ull | 0x3f, allowed1 = 0xff | 1ull << 27 | 1ull << 28;
	struct env *e = up(0, false);
	u32 id;

	for (unsigned bit = 0; bit < 128; bit++) {
		u64 w0 = ste_of(e), w1 = 0;
		int want;

		*(bit < 64 ? &w0 : &w1) ^= 1ull << bit % 64;
		want = (w0 & ~allowed0) || (w1 & ~allowed1) ? EIO : 0;
		/* Stage 2, or kinds that don't exist. */
		if ((w0 & 1) && (w0 & 0xe) != G_STE_S1 && (w0 & 0xe) != G_STE_BYPASS && (w0 & 0xe))
			want = EIO;
		errno = 0;
		assert_int_equal(ste_alloc(e, w0, w1, &id), want ? -1 : 0);
		assert_int_equal(errno, want);
		if (!want)
			assert_return_code(destroy(e->fd, id), errno);
	}
	for (u64 eats = 0; eats < 4; eats++) {
		errno = 0;
		assert_int_equal(ste_alloc(e, ste_of(e), eats << 28, &id), eats > 1 ? -1 : 0);
		assert_int_equal(errno, eats > 1 ? EIO : 0);
	}
	/* An invalid one may say anything. */
	assert_return_code(ste_alloc(e, ~1ull, ~0ull, &id), errno);
	down(e);
}

static void test_ste_sizes_and_flags(void **state)
{
	struct env *e = up(0, false);
	u64 words[4] = { ste_of(e) };
	struct iommu_hwpt_alloc cmd = { .dev_id = e->dev_id, .pt_id = e->viommu,
					.data_type = IOMMU_HWPT_DATA_ARM_SMMUV3,
					.data_uptr = (uintptr_t)words };
	u32 id;

	for (u32 len = 1; len <= sizeof(words); len++) {
		cmd.data_len = len;
		errno = 0;
		assert_int_equal(CALL(e->fd, IOMMU_HWPT_ALLOC, &cmd), len == 16 ? 0 : -1);
		assert_int_equal(errno, len == 16 ? 0 : EINVAL);
	}
	cmd.data_len = 16;
	cmd.data_uptr = 8;
	assert_errno(CALL(e->fd, IOMMU_HWPT_ALLOC, &cmd), EFAULT);
	cmd.data_uptr = (uintptr_t)words;
	cmd.data_type = IOMMU_HWPT_DATA_VTD_S1;
	assert_errno(CALL(e->fd, IOMMU_HWPT_ALLOC, &cmd), EINVAL);
	cmd.data_type = IOMMU_HWPT_DATA_ARM_SMMUV3;
	/* Only on a vIOMMU. */
	cmd.pt_id = e->parent;
	assert_errno(CALL(e->fd, IOMMU_HWPT_ALLOC, &cmd), EOPNOTSUPP);
	assert_errno(ste_alloc_flags(e, ste_of(e), 0, IOMMU_HWPT_ALLOC_PASID, 0, &id), EOPNOTSUPP);
	assert_errno(ste_alloc_flags(e, ste_of(e), 0, IOMMU_HWPT_ALLOC_NEST_PARENT, 0, &id), EOPNOTSUPP);
	assert_errno(ste_alloc_flags(e, ste_of(e), 0, IOMMU_HWPT_FAULT_ID_VALID, NO_ID, &id), ENOENT);
	down(e);
}

static void test_attaching(void **state)
{
	struct env *e = up(0, false);
	u32 s1, bypass, abort, pasid_hwpt, value, pasid_pt;

	guest_put(&e->g, e->page, 0x11223344);
	assert_return_code(ste_alloc(e, ste_of(e), 0, &s1), errno);
	assert_return_code(ste_alloc(e, G_STE_V | G_STE_BYPASS, 0, &bypass), errno);
	assert_return_code(ste_alloc(e, 0, 0, &abort), errno);
	/* What needs no StreamID needs no vdevice. */
	assert_int_equal(attach(e, s1), -ENOENT);
	assert_int_equal(attach(e, bypass), 0);
	assert_int_equal(dma_read32(e, 0, e->page, &value), 0);
	assert_int_equal(value, 0x11223344);
	assert_int_equal(dma_read32(e, 0, VA, &value), -EFAULT);
	assert_int_equal(dma_read32(e, 3, e->page, &value), -EFAULT);
	detach(e);
	assert_int_equal(attach(e, abort), 0);
	assert_int_equal(dma_read32(e, 0, e->page, &value), -EFAULT);
	detach(e);
	assert_return_code(vdevice_alloc(e, STREAM, &e->vdevice), errno);
	assert_int_equal(attach(e, s1), 0);
	assert_int_equal(dma_read32(e, 0, VA, &value), 0);
	assert_int_equal(value, 0x11223344);
	assert_int_equal(dma_read32(e, 0, e->page, &value), -EFAULT);
	assert_errno(destroy(e->fd, s1), EBUSY);
	assert_errno(destroy(e->fd, e->viommu), EBUSY);
	/* Its PASIDs are the guest's. */
	pasid_hwpt = hwpt_alloc(e->fd, e->dev_id, e->ioas, IOMMU_HWPT_ALLOC_PASID);
	pasid_pt = pasid_hwpt;
	assert_int_equal(iommufd_device_attach(e->idev, 5, &pasid_pt), -EINVAL);
	detach(e);
	pasid_pt = s1;
	assert_int_equal(iommufd_device_attach(e->idev, 5, &pasid_pt), -EINVAL);
	pasid_pt = pasid_hwpt;
	assert_int_equal(iommufd_device_attach(e->idev, 5, &pasid_pt), 0);
	assert_int_equal(attach(e, s1), -EINVAL);
	iommufd_device_detach(e->idev, 5);
	down(e);
}

/* The window of MSIs that Linux's driver keeps, in the IOAS of what is attached. */
static void test_reserved_window(void **state)
{
	struct env *e = up(0, false);
	struct iommu_iova_range r[4];
	struct iommu_ioas_iova_ranges cmd = { .ioas_id = e->ioas, .num_iovas = 4,
					      .allowed_iovas = (uintptr_t)r };

	OK(e->fd, IOMMU_IOAS_IOVA_RANGES, &cmd);
	assert_int_equal(cmd.num_iovas, 1);
	attached(e);
	cmd.num_iovas = 4;
	OK(e->fd, IOMMU_IOAS_IOVA_RANGES, &cmd);
	assert_int_equal(cmd.num_iovas, 2);
	assert_int_equal(r[0].start, 0);
	assert_int_equal(r[0].last, 0x7ffffff);
	assert_int_equal(r[1].start, 0x8100000);
	assert_errno(ioas_map(e->fd, e->ioas, e->g.mem, SV_PAGE_SIZE, 0x8000000), EINVAL);
	detach(e);
	assert_return_code(ioas_map(e->fd, e->ioas, e->g.mem, SV_PAGE_SIZE, 0x8000000), errno);
	assert_int_equal(attach(e, e->parent), -EADDRINUSE);
	down(e);
}

static int invalidate(struct env *e, void *cmds, u32 len, u32 *n)
{
	struct iommu_hwpt_invalidate cmd = {
		.hwpt_id = e->viommu, .data_uptr = (uintptr_t)cmds, .entry_len = len, .entry_num = *n,
		.data_type = IOMMU_VIOMMU_INVALIDATE_DATA_ARM_SMMUV3,
	};
	int ret = CALL(e->fd, IOMMU_HWPT_INVALIDATE, &cmd);

	*n = cmd.entry_num;
	return ret;
}

/* Every opcode, for a stream that is there and one that isn't; what works has an effect. */
static void test_commands(void **state)
{
	struct env *e = up(0, false);
	u64 other = guest_alloc(&e->g, 4096);
	u32 value;

	attached(e);
	guest_put(&e->g, e->page, 1);
	guest_put(&e->g, other, 2);
	for (u64 op = 0; op < 256; op++) {
		for (unsigned k = 0; k < 3; k++) {
			u64 stream_id = k == 1 ? STREAM + 1 : STREAM;
			u64 cmd[2] = { op | stream_id << 32 | (k == 2 ? 1 << 10 : 0), 0 };
			bool tlbi = op == 0x10 || op == 0x11 || op == 0x12 || op == 0x13 || op == 0x30;
			bool stream = op == 5 || op == 6 || op == 0x40;
			bool good = tlbi || (stream && !k);
			u32 n = 1;

			guest_page(&e->g, e->root, VA, e->page, G_RW);
			if (!good) {
				assert_errno(invalidate(e, cmd, 16, &n), EIO);
				assert_int_equal(n, 0);
				continue;
			}
			assert_return_code(invalidate(e, cmd, 16, &n), errno);
			assert_int_equal(n, 1);
			assert_int_equal(dma_read32(e, 0, VA, &value), 0);
			assert_int_equal(value, 1);
			/* At hand until it is said. */
			guest_page(&e->g, e->root, VA, other, G_RW);
			assert_int_equal(dma_read32(e, 0, VA, &value), 0);
			assert_int_equal(value, 1);
			assert_return_code(invalidate(e, cmd, 16, &n), errno);
			assert_int_equal(dma_read32(e, 0, VA, &value), 0);
			assert_int_equal(value, 2);
		}
	}
	detach(e);
	down(e);
}

/* Those before an illegal one are done. */
static void test_several_commands(void **state)
{
	struct env *e = up(0, false);
	u64 cmds[4][2] = { { 0x30 }, { 0x12, VA }, { 0x99 }, { 0x10 } };
	u64 other = guest_alloc(&e->g, 4096);
	u32 value, n;
	struct iommu_hwpt_invalidate cmd = { .hwpt_id = e->viommu,
		.data_type = IOMMU_VIOMMU_INVALIDATE_DATA_ARM_SMMUV3 };

	attached(e);
	guest_put(&e->g, e->page, 1);
	guest_put(&e->g, other, 2);
	assert_int_equal(dma_read32(e, 0, VA, &value), 0);
	guest_page(&e->g, e->root, VA, other, G_RW);
	n = 4;
	assert_errno(invalidate(e, cmds, 16, &n), EIO);
	assert_int_equal(n, 2);
	assert_int_equal(dma_read32(e, 0, VA, &value), 0);
	assert_int_equal(value, 2);
	cmds[2][0] = 0x13;
	n = 4;
	assert_return_code(invalidate(e, cmds, 16, &n), errno);
	assert_int_equal(n, 4);
	/* Entries of another size; memory that ends; another type; no entry asks for the type. */
	for (u32 len = 1; len <= 32; len++) {
		n = 1;
		errno = 0;
		assert_int_equal(invalidate(e, cmds, len, &n), len == 16 ? 0 : -1);
		assert_int_equal(errno, len == 16 ? 0 : EINVAL);
		assert_int_equal(n, len == 16);
	}
	n = 2;
	assert_errno(invalidate(e, (void *)8, 16, &n), EFAULT);
	assert_int_equal(n, 0);
	OK(e->fd, IOMMU_HWPT_INVALIDATE, &cmd);
	cmd.data_type = IOMMU_HWPT_INVALIDATE_DATA_VTD_S1;
	assert_errno(CALL(e->fd, IOMMU_HWPT_INVALIDATE, &cmd), EINVAL);
	detach(e);
	down(e);
}

/* One of each kind that Linux passes on, out of DMA, with the guest's StreamID. */
static void test_events(void **state)
{
	struct env *e = up(16, false);
	u64 table, root = e->root;
	u32 value, hwpt;

	hwpt = attached(e);
	expect_silence(e);
	assert_int_equal(dma_read32(e, 0, 0x1234, &value), -EFAULT);
	expect_event(e, 0, 0x10, CLASS_IN | RNW, 0x1234, 0);
	guest_page(&e->g, root, VA, e->page, G_RW | G_RO);
	assert_int_equal(dma_write32(e, 0, VA + 4, 1), -EFAULT);
	expect_event(e, 1, 0x13, CLASS_IN, VA + 4, 0);
	guest_page(&e->g, root, VA, e->page, G_RW & ~G_AF);
	assert_int_equal(dma_write32(e, 0, VA, 1), -EFAULT);
	expect_event(e, 2, 0x12, CLASS_IN, VA, 0);
	guest_put(&e->g, e->cd, 0);
	assert_int_equal(dma_read32(e, 0, VA, &value), -EFAULT);
	expect_event(e, 3, 0x0a, 0, 0, 0);
	assert_int_equal(dma_read32(e, 7, VA, &value), -EFAULT);
	expect_event(e, 4, 0x08 | 7 << 12, 0, 0, 0);
	/* The host's own: memory that the guest hasn't got, behind a page and behind a table. */
	guest_cd(&e->g, e->cd, G_CD | G_CD_T0SZ(48), root, 0);
	guest_page(&e->g, root, VA, 0x1000, G_RW);
	assert_int_equal(dma_read32(e, 0, VA, &value), -EFAULT);
	guest_put(&e->g, e->cd + 8, 0x2000);
	assert_int_equal(dma_read32(e, 0, VA, &value), -EFAULT);
	expect_silence(e);
	detach(e);
	assert_int_equal(dma_read32(e, 0, VA, &value), -EFAULT);
	expect_silence(e);
	assert_return_code(destroy(e->fd, hwpt), errno);
	/* No stream without a substream; a substream of the guest's own. */
	table = guest_alloc(&e->g, 4096);
	guest_cd(&e->g, table + 9 * 64, G_CD | G_CD_T0SZ(48), root, 0);
	guest_page(&e->g, root, VA, e->page, G_RW);
	assert_return_code(ste_alloc(e, G_STE_V | G_STE_S1 | G_STE_CDMAX(4) | table, 0, &hwpt), errno);
	assert_int_equal(attach(e, hwpt), 0);
	assert_int_equal(dma_read32(e, 0, VA, &value), -EFAULT);
	expect_event(e, 5, 0x06, 0, 0, 0);
	assert_int_equal(dma_read32(e, 9, VA, &value), 0);
	assert_int_equal(dma_read32(e, 9, 0, &value), -EFAULT);
	expect_event(e, 6, 0x10 | 1 << 11 | 9 << 12, CLASS_IN | RNW, 0, 0);
	detach(e);
	down(e);
}

/* Substreams are told apart in what is at hand, too. */
static void test_substreams(void **state)
{
	struct env *e = up(0, false);
	u64 table = guest_alloc(&e->g, 4096);
	u32 hwpt, value;

	for (u64 i = 0; i < 8; i++) {
		u64 root = guest_alloc(&e->g, 4096), page = guest_alloc(&e->g, 4096);

		guest_page(&e->g, root, VA, page, G_RW);
		guest_cd(&e->g, table + i * 64, G_CD | G_CD_T0SZ(48), root, 0);
		guest_put(&e->g, page, 100 + i);
	}
	assert_return_code(vdevice_alloc(e, STREAM, &e->vdevice), errno);
	for (u64 dss = 1; dss <= 2; dss++) {
		assert_return_code(ste_alloc(e, G_STE_V | G_STE_S1 | G_STE_CDMAX(3) | table, dss,
					     &hwpt), errno);
		assert_int_equal(attach(e, hwpt), 0);
		for (u32 round = 0; round < 2; round++) {
			for (u32 i = 1; i < 8; i++) {
				assert_int_equal(dma_read32(e, i, VA, &value), 0);
				assert_int_equal(value, 100 + i);
			}
			/* Bypass: an IPA; SSID 0: the first CD's. */
			assert_int_equal(dma_read32(e, 0, dss == 1 ? e->page : VA, &value), 0);
			assert_int_equal(value, dss == 1 ? 0 : 100);
		}
		detach(e);
	}
	down(e);
}

/* CD.A of 0: the device gets zeroes, its writes go nowhere, and each is an event. */
static void test_read_as_zero(void **state)
{
	struct env *e = up(64, false);
	u8 buf[3 * SV_PAGE_SIZE];
	struct iommu_dma_fault f;
	u32 sequence = 0;

	guest_put(&e->g, e->cd, (G_CD & ~G_CD_A) | G_CD_T0SZ(48));
	memset(e->g.mem + (e->page - GUEST_IPA), 0x77, SV_PAGE_SIZE);
	attached(e);
	memset(buf, 0xaa, sizeof(buf));
	/* Of three pages the one in the middle is there. */
	assert_int_equal(iommu_dma_read(&e->dev, 0, buf, VA - SV_PAGE_SIZE, sizeof(buf), &f), 0);
	for (unsigned i = 0; i < sizeof(buf); i++)
		assert_int_equal(buf[i], i / SV_PAGE_SIZE == 1 ? 0x77 : 0);
	expect_event(e, sequence++, 0x10, CLASS_IN | RNW, VA - SV_PAGE_SIZE, 0);
	expect_event(e, sequence++, 0x10, CLASS_IN | RNW, VA + SV_PAGE_SIZE, 0);
	memset(buf, 0x55, sizeof(buf));
	assert_int_equal(iommu_dma_write(&e->dev, 0, VA - 8, buf, 16, &f), 0);
	expect_event(e, sequence++, 0x10, CLASS_IN, VA - 8, 0);
	assert_int_equal(*guest_word(&e->g, e->page), 0x5555555555555555);
	assert_int_equal(*guest_word(&e->g, e->page + 8), 0x7777777777777777);
	/* Both ends; nobody sees what was written. */
	assert_int_equal(iommu_dma_copy(&e->dev, 0, 0x8000, 0x4000, 64, &f), 0);
	expect_event(e, sequence++, 0x10, CLASS_IN | RNW, 0x4000, 0);
	expect_event(e, sequence++, 0x10, CLASS_IN, 0x8000, 0);
	assert_int_equal(iommu_dma_copy(&e->dev, 0, VA, 0x8000, 64, &f), 0);
	expect_event(e, sequence++, 0x10, CLASS_IN | RNW, 0x8000, 0);
	assert_int_equal(*guest_word(&e->g, e->page), 0);
	expect_silence(e);
	detach(e);
	down(e);
}

/* More than the queue holds: the numbers go on, and its end says that some are lost. */
static void test_lost_events(void **state)
{
	struct env *e = up(2, false);
	struct vevent v[4];
	u32 value;

	attached(e);
	for (u32 i = 0; i < 5; i++)
		assert_int_equal(dma_read32(e, 0, i * 4, &value), -EFAULT);
	assert_int_equal(softvirt_read(e->events, v, sizeof(v)), 2 * sizeof(*v) + sizeof(v->header));
	assert_int_equal(v[1].header.sequence, 1);
	assert_int_equal(v[1].e.evt[2], 4);
	assert_int_equal(v[2].header.flags, IOMMU_VEVENTQ_FLAG_LOST_EVENTS);
	assert_int_equal(v[2].header.sequence, 4);
	assert_int_equal(dma_read32(e, 0, 0x40, &value), -EFAULT);
	expect_event(e, 5, 0x10, CLASS_IN | RNW, 0x40, 0);
	expect_silence(e);
	detach(e);
	down(e);
}

/* A vdevice that goes keeps neither translation nor events; another one's StreamID is for the next. */
static void test_vdevice_goes(void **state)
{
	struct env *e = up(8, false);
	u64 inv[2] = { 0x40 | (u64)STREAM << 32, 0 };
	u32 value, n = 1;

	attached(e);
	assert_return_code(invalidate(e, inv, 16, &n), errno);
	assert_return_code(destroy(e->fd, e->vdevice), errno);
	assert_errno(invalidate(e, inv, 16, &n), EIO);
	assert_int_equal(dma_read32(e, 0, VA, &value), 0);
	assert_int_equal(dma_read32(e, 0, 0, &value), -EFAULT);
	expect_event(e, 0, 0x10, CLASS_IN | RNW, 0, 0);
	/* Nobody to hear. */
	assert_return_code(softvirt_close(e->events), errno);
	e->events = -1;
	assert_return_code(destroy(e->fd, e->veventq), errno);
	assert_int_equal(dma_read32(e, 0, 0, &value), -EFAULT);
	detach(e);
	down(e);
}

struct storm {
	struct env *e;
	unsigned stop;
	unsigned long faults;
};

static void *bad_dma(void *arg)
{
	struct storm *d = arg;
	u32 value;

	while (!__atomic_load_n(&d->stop, __ATOMIC_ACQUIRE))
		d->faults += dma_read32(d->e, 0, 0x100, &value) != 0;
	return NULL;
}

/* Everything that an event needs goes and comes, while a device makes events all the time. */
static void test_ends_under_events(void **state)
{
	struct env *e = up(0, false);
	struct storm d = { .e = e };
	struct sv_thread t;

	assert_int_equal(sv_thread_create(&t, "device", bad_dma, &d), 0);
	for (unsigned i = 0; i < 200; i++) {
		u32 hwpt;

		veventq_alloc(e, 4);
		hwpt = attached(e);
		if (i % 3 == 0)
			assert_return_code(destroy(e->fd, e->vdevice), errno);
		/* An event, at least one, before it all goes. */
		for (struct pollfd pfd = { .fd = e->events, .events = POLLIN }; i % 2;) {
			assert_int_equal(poll(&pfd, 1, 60000), 1);
			break;
		}
		if (i % 5 == 0) {
			assert_return_code(softvirt_close(e->events), errno);
			assert_return_code(destroy(e->fd, e->veventq), errno);
			e->events = -1;
		}
		detach(e);
		assert_return_code(destroy(e->fd, hwpt), errno);
		if (i % 3)
			assert_return_code(destroy(e->fd, e->vdevice), errno);
		if (e->events >= 0) {
			assert_return_code(softvirt_close(e->events), errno);
			assert_return_code(destroy(e->fd, e->veventq), errno);
			e->events = -1;
		}
		assert_return_code(destroy(e->fd, e->viommu), errno);
		e->viommu = viommu_alloc(e);
	}
	__atomic_store_n(&d.stop, 1, __ATOMIC_RELEASE);
	sv_thread_join(&t);
	assert_true(d.faults > 0);
	down(e);
}

struct asker {
	struct env *e;
	struct sv_thread thread;
	u32 pasid, value;
	int ret;
};

static void *ask(void *arg)
{
	struct asker *a = arg;

	a->ret = dma_read32(a->e, a->pasid, VA + SV_PAGE_SIZE, &a->value);
	return NULL;
}

/* A device with PRI asks the guest for the page, and is no event; refused, it is none either. */
static void test_page_requests(void **state)
{
	struct env *e = up(4, true);
	struct iommu_fault_alloc fault = { 0 };
	u64 table = guest_alloc(&e->g, 4096);
	u32 hwpt;

	OK(e->fd, IOMMU_FAULT_QUEUE_ALLOC, &fault);
	for (u32 i = 0; i < 8; i += 7)
		guest_cd(&e->g, table + i * 64, G_CD | G_CD_T0SZ(48), e->root, 0);
	guest_put(&e->g, e->page, 0x600df00d);
	assert_return_code(vdevice_alloc(e, STREAM, &e->vdevice), errno);
	assert_return_code(ste_alloc_flags(e, G_STE_V | G_STE_S1 | G_STE_CDMAX(3) | table, 2 | 1 << 28,
					   IOMMU_HWPT_FAULT_ID_VALID, fault.out_fault_id, &hwpt), errno);
	assert_int_equal(attach(e, hwpt), 0);
	for (u32 i = 0; i < 4; i++) {
		struct asker a = { .e = e, .pasid = i & 1 ? 7 : 0 };
		struct pollfd pfd = { .fd = (int)fault.out_fault_fd, .events = POLLIN };
		struct iommu_hwpt_page_response answer = {
			.code = i / 2 ? IOMMUFD_PAGE_RESP_SUCCESS : IOMMUFD_PAGE_RESP_INVALID,
		};
		struct iommu_hwpt_pgfault f;

		assert_int_equal(sv_thread_create(&a.thread, "device", ask, &a), 0);
		assert_int_equal(poll(&pfd, 1, 60000), 1);
		assert_int_equal(softvirt_read(pfd.fd, &f, sizeof(f)), sizeof(f));
		assert_int_equal(f.dev_id, e->dev_id);
		assert_int_equal(f.addr, VA + SV_PAGE_SIZE);
		assert_int_equal(f.pasid, a.pasid);
		assert_int_equal(f.flags & IOMMU_PGFAULT_FLAGS_PASID_VALID,
				 a.pasid ? IOMMU_PGFAULT_FLAGS_PASID_VALID : 0);
		if (i / 2)
			guest_page(&e->g, e->root, VA + SV_PAGE_SIZE, e->page, G_RW);
		answer.cookie = f.cookie;
		assert_int_equal(softvirt_write(pfd.fd, &answer, sizeof(answer)), sizeof(answer));
		sv_thread_join(&a.thread);
		assert_int_equal(a.ret, i / 2 ? 0 : -EFAULT);
		assert_int_equal(a.value, i / 2 ? 0x600df00d : 0);
		guest_page(&e->g, e->root, VA + SV_PAGE_SIZE, 0, 0);
		if (i / 2) {
			u64 inv[2] = { 0x10, 0 };
			u32 n = 1;

			assert_return_code(invalidate(e, inv, 16, &n), errno);
		}
	}
	expect_silence(e);
	detach(e);
	assert_return_code(softvirt_close((int)fault.out_fault_fd), errno);
	down(e);
}

/* Each step that can fail, once. */
static u32 nr_objects(struct env *e)
{
	return e->ictx->nr_objects;
}

static int op_viommu(struct env *e)
{
	struct iommu_viommu_alloc cmd = { .type = IOMMU_VIOMMU_TYPE_ARM_SMMUV3, .dev_id = e->dev_id,
					  .hwpt_id = e->parent };
	int ret = CALL(e->fd, IOMMU_VIOMMU_ALLOC, &cmd);

	sv_fault_inject(0);
	return ret ? ret : destroy(e->fd, cmd.out_viommu_id);
}

static int op_vdevice(struct env *e)
{
	u32 id;
	int ret = vdevice_alloc(e, STREAM, &id);

	sv_fault_inject(0);
	return ret ? ret : destroy(e->fd, id);
}

static int op_nested(struct env *e)
{
	u32 id;
	int ret = ste_alloc(e, ste_of(e), 0, &id);

	sv_fault_inject(0);
	return ret ? ret : destroy(e->fd, id);
}

static int op_hw_info(struct env *e)
{
	struct iommu_hw_info_arm_smmuv3 info;
	struct iommu_hw_info cmd = { .dev_id = e->dev_id, .data_len = sizeof(info),
				     .data_uptr = (uintptr_t)&info };

	return CALL(e->fd, IOMMU_GET_HW_INFO, &cmd);
}

static u32 swept_hwpt;

static int op_attach(struct env *e)
{
	int err = attach(e, swept_hwpt);

	sv_fault_inject(0);
	if (!err)
		detach(e);
	errno = -err;
	return err ? -1 : 0;
}

static int op_invalidate(struct env *e)
{
	u64 inv[2] = { 0x10, 0 };
	u32 n = 1;

	return invalidate(e, inv, 16, &n);
}

static int op_event(struct env *e)
{
	u32 value;

	assert_int_equal(dma_read32(e, 0, 0x40, &value), -EFAULT);
	sv_fault_inject(0);
	return 0;
}

static void sweep(struct env *e, const char *name, int (*op)(struct env *e))
{
	u32 objects = nr_objects(e);
	unsigned n = 0;
	int ret;

	do {
		sv_fault_inject(++n);
		errno = 0;
		ret = op(e);
		if (ret)
			assert_true(errno == ENOMEM || errno == ENOENT || errno == EINVAL);
		sv_fault_inject(0);
		assert_int_equal(nr_objects(e), objects);
	} while (ret && n < 100);
	assert_int_equal(ret, 0);
	print_message("# %s: %u steps\n", name, n - 1);
}

static void test_each_step_fails(void **state)
{
	struct env *e = up(4, false);
	u32 value;

	sweep(e, "viommu", op_viommu);
	sweep(e, "vdevice", op_vdevice);
	sweep(e, "nested", op_nested);
	sweep(e, "hw_info", op_hw_info);
	assert_return_code(vdevice_alloc(e, STREAM, &e->vdevice), errno);
	assert_return_code(ste_alloc(e, ste_of(e), 0, &swept_hwpt), errno);
	sweep(e, "attach", op_attach);
	sweep(e, "invalidate", op_invalidate);
	assert_int_equal(attach(e, swept_hwpt), 0);
	sweep(e, "event", op_event);
	/* For which there was no memory: lost. */
	assert_int_equal(dma_read32(e, 0, 0x40, &value), -EFAULT);
	expect_event(e, 1, 0x10, CLASS_IN | RNW, 0x40, 0);
	detach(e);
	down(e);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_hw_info),
		cmocka_unit_test(test_viommu_and_vdevice),
		cmocka_unit_test(test_ste_words),
		cmocka_unit_test(test_ste_sizes_and_flags),
		cmocka_unit_test(test_attaching),
		cmocka_unit_test(test_reserved_window),
		cmocka_unit_test(test_commands),
		cmocka_unit_test(test_several_commands),
		cmocka_unit_test(test_events),
		cmocka_unit_test(test_substreams),
		cmocka_unit_test(test_read_as_zero),
		cmocka_unit_test(test_lost_events),
		cmocka_unit_test(test_vdevice_goes),
		cmocka_unit_test(test_ends_under_events),
		cmocka_unit_test(test_page_requests),
		cmocka_unit_test(test_each_step_fails),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
