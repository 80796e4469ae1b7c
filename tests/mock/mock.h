/* SPDX-License-Identifier: MIT */
/*
 * Mock devices for tests of /dev/iommu: the ioctl IOMMU_TEST_CMD as Linux's iommufd selftests know
 * it, an IOMMU that translates nothing but remembers what it was told, and requesters behind
 * it. Numbers and layouts are the kernel's test interface of 6.12, with those of later ones that
 * our own tests use.
 *
 * Only test builds link it: mock_iommufd_init() puts it into iommufd before the first open.
 */
#ifndef SV_TESTS_MOCK_MOCK_H
#define SV_TESTS_MOCK_MOCK_H

#include "iommu/viommu.h"

enum {
	IOMMU_TEST_OP_ADD_RESERVED = 1,
	IOMMU_TEST_OP_MOCK_DOMAIN,
	IOMMU_TEST_OP_MD_CHECK_MAP,
	IOMMU_TEST_OP_MD_CHECK_REFS,
	IOMMU_TEST_OP_CREATE_ACCESS,
	IOMMU_TEST_OP_DESTROY_ACCESS_PAGES,
	IOMMU_TEST_OP_ACCESS_PAGES,
	IOMMU_TEST_OP_ACCESS_RW,
	IOMMU_TEST_OP_SET_TEMP_MEMORY_LIMIT,
	IOMMU_TEST_OP_MOCK_DOMAIN_REPLACE,
	IOMMU_TEST_OP_ACCESS_REPLACE_IOAS,
	IOMMU_TEST_OP_MOCK_DOMAIN_FLAGS,
	IOMMU_TEST_OP_DIRTY,
	IOMMU_TEST_OP_MD_CHECK_IOTLB,
	IOMMU_TEST_OP_TRIGGER_IOPF,
	/* Later than 6.12. */
	IOMMU_TEST_OP_DEV_CHECK_CACHE,
	IOMMU_TEST_OP_TRIGGER_VEVENT,
	IOMMU_TEST_OP_PASID_ATTACH,
	IOMMU_TEST_OP_PASID_REPLACE,
	IOMMU_TEST_OP_PASID_DETACH,
	IOMMU_TEST_OP_PASID_CHECK_HWPT,
};

#define MOCK_APERTURE_START (1ull << 24)
#define MOCK_APERTURE_LAST ((1ull << 31) - 1)
#define MOCK_IO_PAGE_SIZE (SV_PAGE_SIZE / 2)
#define MOCK_HUGE_PAGE_SIZE (512 * MOCK_IO_PAGE_SIZE)
#define MOCK_PASID_WIDTH 20

enum {
	MOCK_FLAGS_ACCESS_WRITE = 1 << 0,
	MOCK_FLAGS_ACCESS_SYZ = 1 << 16,
	MOCK_ACCESS_RW_WRITE = 1 << 0,
	MOCK_ACCESS_RW_SLOW_PATH = 1 << 2,
	MOCK_FLAGS_ACCESS_CREATE_NEEDS_PIN_PAGES = 1 << 0,
	MOCK_FLAGS_DEVICE_NO_DIRTY = 1 << 0,
	MOCK_FLAGS_DEVICE_HUGE_IOVA = 1 << 1,
	MOCK_FLAGS_DEVICE_PASID = 1 << 2,
	MOCK_NESTED_DOMAIN_IOTLB_NUM = 4,
	MOCK_DEV_CACHE_NUM = 4,
};

struct iommu_test_cmd {
	u32 size;
	u32 op;
	u32 id;
	u32 reserved;
	union {
		struct { u64 start, length; } add_reserved;
		struct {
			u32 out_stdev_id, out_hwpt_id, out_idev_id;
			u32 dev_flags;		/* MOCK_DOMAIN_FLAGS only */
		} mock_domain;
		struct { u32 pt_id; } mock_domain_replace;
		struct { u64 iova, length, uptr; } check_map;
		struct { u64 length, uptr; u32 refs; } check_refs;
		struct { u32 out_access_fd, flags; } create_access;
		struct { u32 access_pages_id; } destroy_access_pages;
		struct { u32 flags, out_access_pages_id; u64 iova, length, uptr; } access_pages;
		struct { u64 iova, length, uptr; u32 flags; } access_rw;
		struct { u32 limit; } memory_limit;
		struct { u32 ioas_id; } access_replace_ioas;
		struct { u32 flags; u64 iova, length, page_size, uptr, out_nr_dirty; } dirty;
		struct { u32 id, iotlb; } check_iotlb;
		struct { u32 dev_id, pasid, grpid, perm; u64 addr; } trigger_iopf;
		struct { u32 id, cache; } check_dev_cache;
		struct { u32 dev_id; } trigger_vevent;
		struct { u32 pasid, pt_id; } pasid_attach;
		struct { u32 pasid; } pasid_detach;
		struct { u32 pasid, hwpt_id; } pasid_check;
	};
	u32 last;
};
_Static_assert(sizeof(struct iommu_test_cmd) == IOMMUFD_TEST_CMD_SIZE, "uapi");
_Static_assert(offsetof(struct iommu_test_cmd, last) + 4 == IOMMUFD_TEST_CMD_MIN_SIZE, "uapi");

#define IOMMU_HW_INFO_TYPE_SELFTEST 0xfeedbeefu
#define IOMMU_HW_INFO_SELFTEST_REGVAL 0xdeadbeefu
struct iommu_test_hw_info {
	u32 flags;
	u32 test_reg;
};

#define IOMMU_HWPT_DATA_SELFTEST 0xdeadu
#define IOMMU_TEST_IOTLB_DEFAULT 0xbadbeefu
#define IOMMU_TEST_DEV_CACHE_DEFAULT 0xbaddadu
struct iommu_hwpt_selftest {
	u32 iotlb;
};

#define IOMMU_HWPT_INVALIDATE_DATA_SELFTEST 0xdeadbeefu
#define IOMMU_TEST_INVALIDATE_FLAG_ALL (1u << 0)
struct iommu_hwpt_invalidate_selftest {
	u32 flags;
	u32 iotlb_id;
};

#define IOMMU_VIOMMU_TYPE_SELFTEST 0xdeadbeefu
struct iommu_viommu_selftest {
	u32 in_data;
	u32 out_data;			/* in_data + 1 */
};

#define IOMMU_VIOMMU_INVALIDATE_DATA_SELFTEST 0xdeadbeefu
struct iommu_viommu_invalidate_selftest {
	u32 flags;			/* ..._FLAG_ALL: all caches of the device */
	u32 vdev_id;
	u32 cache_id;
};

#define IOMMU_VEVENTQ_TYPE_SELFTEST 0xbeefbeefu
struct iommu_viommu_event_selftest {
	u32 virt_id;
};

#define IOMMU_HW_QUEUE_TYPE_SELFTEST 0xdeadbeefu
#define IOMMU_TEST_HW_QUEUE_MAX 2

struct mock_attach {
	struct list_head node;
	u32 pasid;
	struct iommu_domain *domain;
};

struct mock_dev {
	struct iommu_dev dev;
	u32 flags;
	char name[32];
	struct sv_rwlock lock;		/* attached; read: handing over a page request */
	struct list_head attached;	/* struct mock_attach */
	u32 cache[MOCK_DEV_CACHE_NUM];
};

/* What a domain remembers of each MOCK_IO_PAGE_SIZE. */
#define MOCK_PTE_START BIT(0)
#define MOCK_PTE_LAST BIT(1)
#define MOCK_PTE_DIRTY BIT(2)
#define MOCK_PTE_HUGE BIT(3)
#define MOCK_PTE_VALID BIT(4)
#define MOCK_PTE_FLAGS 0x1full
#define MOCK_LEAF_ENTRIES 512
#define MOCK_LEAVES (((MOCK_APERTURE_LAST + 1) / MOCK_IO_PAGE_SIZE) / MOCK_LEAF_ENTRIES)

struct mock_domain {
	struct iommu_domain domain;
	bool tracking;
	struct sv_mutex lock;		/* leaves */
	u64 *leaves[MOCK_LEAVES];	/* address of the memory (2 KiB-aligned), and flags */
};

struct mock_nested {
	struct iommu_domain domain;
	struct iommu_domain *parent;
	u32 iotlb[MOCK_NESTED_DOMAIN_IOTLB_NUM];
};

extern const struct iommu_ops mock_ops;
extern const struct iommu_domain_ops mock_paging_ops, mock_nested_ops;
extern const struct iommufd_viommu_ops mock_viommu_ops;

/* The entry, 0 if there is none. */
u64 mock_domain_pte(struct mock_domain *mock, u64 iova);
/* False: nothing is mapped there. */
bool mock_domain_set_dirty(struct mock_domain *mock, u64 iova);
struct mock_dev *mock_dev_create(u32 flags);	/* ERR_PTR */
void mock_dev_destroy(struct mock_dev *mdev);
/* The domain at a PASID, NULL if there is none; mdev->lock held. */
struct iommu_domain *mock_dev_domain(struct mock_dev *mdev, u32 pasid);
struct iommu_domain *mock_nested_create(struct iommu_domain *parent, u32 flags,
					const struct iommu_user_data *data);
/* Do two addresses show the same page of memory? */
bool mock_same_page(u64 a, u64 b);

/* Idempotent. */
void mock_iommufd_init(void);

#endif
