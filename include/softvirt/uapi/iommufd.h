/* SPDX-License-Identifier: MIT */
/*
 * /dev/iommu's user ABI as of Linux 7.x, for hosts whose headers lack it or have an older one.
 * Include this instead of <linux/iommufd.h>.
 *
 * Model: where the system has the header (Linux 6.12's or newer) it comes first and what it
 * defines stays; what is newer follows under #ifndef of its ioctl's number, and flags, which
 * are enumerators there, under a test of the ioctl that came with them.
 *
 * Every struct begins with its size in bytes as the program knows it; a reserved field is zero.
 */
#ifndef SOFTVIRT_UAPI_IOMMUFD_H
#define SOFTVIRT_UAPI_IOMMUFD_H

#include <stddef.h>
#include <linux/ioctl.h>
#include <linux/types.h>
#if defined(__has_include)
#if __has_include(<linux/iommufd.h>)
#include <linux/iommufd.h>
#endif
#endif

/* Linux 6.12's header, of what came with vIOMMUs. */
#if defined(IOMMU_HWPT_ALLOC) && !defined(IOMMU_VIOMMU_ALLOC)
#define IOMMU_HWPT_DATA_ARM_SMMUV3 2
#define IOMMU_HW_INFO_TYPE_ARM_SMMUV3 2
#define IOMMU_VIOMMU_INVALIDATE_DATA_ARM_SMMUV3 1
#endif

/* Linux 6.12's to 6.14's header: enumerators that its ioctls have got since. */
#if defined(IOMMU_HWPT_ALLOC) && !defined(IOMMU_VEVENTQ_ALLOC)
#define IOMMU_HWPT_ALLOC_PASID (1 << 3)
#define IOMMU_HW_CAP_PCI_PASID_EXEC (1 << 1)
#define IOMMU_HW_CAP_PCI_PASID_PRIV (1 << 2)
#endif

#ifndef IOMMUFD_TYPE
#define IOMMUFD_TYPE (';')
#define IOMMUFD_CMD_BASE 0x80
#endif

#ifndef IOMMU_DESTROY
#define IOMMU_DESTROY _IO(IOMMUFD_TYPE, 0x80)
struct iommu_destroy {
	__u32 size;
	__u32 id;		/* of any object that nothing uses */
};
#endif

#ifndef IOMMU_IOAS_ALLOC
#define IOMMU_IOAS_ALLOC _IO(IOMMUFD_TYPE, 0x81)
struct iommu_ioas_alloc {
	__u32 size;
	__u32 flags;		/* 0 */
	__u32 out_ioas_id;
};
#endif

#ifndef IOMMU_IOAS_ALLOW_IOVAS
struct iommu_iova_range {
	__aligned_u64 start;
	__aligned_u64 last;	/* included */
};

/* The ranges that no device attached later may take away; they replace the earlier ones. */
#define IOMMU_IOAS_ALLOW_IOVAS _IO(IOMMUFD_TYPE, 0x82)
struct iommu_ioas_allow_iovas {
	__u32 size;
	__u32 ioas_id;
	__u32 num_iovas;
	__u32 __reserved;
	__aligned_u64 allowed_iovas;	/* struct iommu_iova_range[num_iovas] */
};
#endif

#ifndef IOMMU_IOAS_COPY
/* Flags of MAP, MAP_FILE and COPY. */
enum iommufd_ioas_map_flags {
	IOMMU_IOAS_MAP_FIXED_IOVA = 1 << 0,	/* else the IOVA is chosen and comes back */
	IOMMU_IOAS_MAP_WRITEABLE = 1 << 1,
	IOMMU_IOAS_MAP_READABLE = 1 << 2,
};

#define IOMMU_IOAS_COPY _IO(IOMMUFD_TYPE, 0x83)
struct iommu_ioas_copy {
	__u32 size;
	__u32 flags;
	__u32 dst_ioas_id;
	__u32 src_ioas_id;
	__aligned_u64 length;
	__aligned_u64 dst_iova;
	__aligned_u64 src_iova;
};
#endif

#ifndef IOMMU_IOAS_IOVA_RANGES
#define IOMMU_IOAS_IOVA_RANGES _IO(IOMMUFD_TYPE, 0x84)
struct iommu_ioas_iova_ranges {
	__u32 size;
	__u32 ioas_id;
	__u32 num_iovas;	/* in: room; out: how many there are (EMSGSIZE: more than room) */
	__u32 __reserved;
	__aligned_u64 allowed_iovas;
	__aligned_u64 out_iova_alignment;
};
#endif

#ifndef IOMMU_IOAS_MAP
#define IOMMU_IOAS_MAP _IO(IOMMUFD_TYPE, 0x85)
struct iommu_ioas_map {
	__u32 size;
	__u32 flags;
	__u32 ioas_id;
	__u32 __reserved;
	__aligned_u64 user_va;
	__aligned_u64 length;
	__aligned_u64 iova;
};
#endif

#ifndef IOMMU_IOAS_UNMAP
#define IOMMU_IOAS_UNMAP _IO(IOMMUFD_TYPE, 0x86)
struct iommu_ioas_unmap {
	__u32 size;
	__u32 ioas_id;
	__aligned_u64 iova;
	__aligned_u64 length;	/* out: bytes unmapped. iova 0 and all ones: everything */
};
#endif

#ifndef IOMMU_OPTION
enum iommufd_option {
	IOMMU_OPTION_RLIMIT_MODE = 0,	/* 0: pinned pages are the user's, 1: the process's */
	IOMMU_OPTION_HUGE_PAGES = 1,	/* of an IOAS; 0: mappings are made of single pages */
};
enum iommufd_option_ops {
	IOMMU_OPTION_OP_SET = 0,
	IOMMU_OPTION_OP_GET = 1,
};

#define IOMMU_OPTION _IO(IOMMUFD_TYPE, 0x87)
struct iommu_option {
	__u32 size;
	__u32 option_id;
	__u16 op;
	__u16 __reserved;
	__u32 object_id;
	__aligned_u64 val64;
};
#endif

#ifndef IOMMU_VFIO_IOAS
enum iommufd_vfio_ioas_op {
	IOMMU_VFIO_IOAS_GET = 0,
	IOMMU_VFIO_IOAS_SET = 1,
	IOMMU_VFIO_IOAS_CLEAR = 2,
};

/* The IOAS that a container's ioctls mean. */
#define IOMMU_VFIO_IOAS _IO(IOMMUFD_TYPE, 0x88)
struct iommu_vfio_ioas {
	__u32 size;
	__u32 ioas_id;
	__u16 op;
	__u16 __reserved;
};
#endif

#ifndef IOMMU_HWPT_ALLOC
enum iommufd_hwpt_alloc_flags {
	IOMMU_HWPT_ALLOC_NEST_PARENT = 1 << 0,
	IOMMU_HWPT_ALLOC_DIRTY_TRACKING = 1 << 1,
	IOMMU_HWPT_FAULT_ID_VALID = 1 << 2,
	IOMMU_HWPT_ALLOC_PASID = 1 << 3,	/* only such a one may be attached to a PASID */
};

enum iommu_hwpt_data_type {
	IOMMU_HWPT_DATA_NONE = 0,
	IOMMU_HWPT_DATA_VTD_S1 = 1,
	IOMMU_HWPT_DATA_ARM_SMMUV3 = 2,
	IOMMU_HWPT_DATA_AMD_GUEST = 3,
};

/* Intel VT-d's first stage, as a program describes it for a nested HWPT. */
enum iommu_hwpt_vtd_s1_flags {
	IOMMU_VTD_S1_SRE = 1 << 0,
	IOMMU_VTD_S1_EAFE = 1 << 1,
	IOMMU_VTD_S1_WPE = 1 << 2,
};
struct iommu_hwpt_vtd_s1 {
	__aligned_u64 flags;
	__aligned_u64 pgtbl_addr;
	__u32 addr_width;
	__u32 __reserved;
};

#define IOMMU_HWPT_ALLOC _IO(IOMMUFD_TYPE, 0x89)
struct iommu_hwpt_alloc {
	__u32 size;
	__u32 flags;
	__u32 dev_id;
	__u32 pt_id;		/* an IOAS, or for a nested one its parent HWPT or vIOMMU */
	__u32 out_hwpt_id;
	__u32 __reserved;
	__u32 data_type;
	__u32 data_len;
	__aligned_u64 data_uptr;
	__u32 fault_id;
	__u32 __reserved2;
};
#endif

#ifndef IOMMU_GET_HW_INFO
enum iommu_hw_info_type {
	IOMMU_HW_INFO_TYPE_NONE = 0,
	IOMMU_HW_INFO_TYPE_INTEL_VTD = 1,
	IOMMU_HW_INFO_TYPE_ARM_SMMUV3 = 2,
	IOMMU_HW_INFO_TYPE_TEGRA241_CMDQV = 3,
	IOMMU_HW_INFO_TYPE_AMD = 4,
};
#define IOMMU_HW_INFO_TYPE_DEFAULT IOMMU_HW_INFO_TYPE_NONE

enum iommufd_hw_capabilities {
	IOMMU_HW_CAP_DIRTY_TRACKING = 1 << 0,
	IOMMU_HW_CAP_PCI_PASID_EXEC = 1 << 1,
	IOMMU_HW_CAP_PCI_PASID_PRIV = 1 << 2,
	IOMMU_HW_CAP_PCI_ATS_NOT_SUPPORTED = 1 << 3,
};

enum iommu_hw_info_vtd_flags {
	IOMMU_HW_INFO_VTD_ERRATA_772415_SPR17 = 1 << 0,
};
struct iommu_hw_info_vtd {
	__u32 flags;
	__u32 __reserved;
	__aligned_u64 cap_reg;
	__aligned_u64 ecap_reg;
};

#define IOMMU_GET_HW_INFO _IO(IOMMUFD_TYPE, 0x8a)
struct iommu_hw_info {
	__u32 size;
	__u32 flags;
	__u32 dev_id;
	__u32 data_len;		/* in: room; out: bytes there are */
	__aligned_u64 data_uptr;
	union {
		__u32 in_data_type;	/* with FLAG_INPUT_TYPE: the wanted one */
		__u32 out_data_type;
	};
	__u8 out_max_pasid_log2;	/* 0: no PASIDs */
	__u8 __reserved[3];
	__aligned_u64 out_capabilities;
};
#endif
#ifndef IOMMU_HW_INFO_FLAG_INPUT_TYPE
#define IOMMU_HW_INFO_FLAG_INPUT_TYPE 1u
#endif

#ifndef IOMMU_HWPT_SET_DIRTY_TRACKING
enum iommufd_hwpt_set_dirty_tracking_flags {
	IOMMU_HWPT_DIRTY_TRACKING_ENABLE = 1,
};

#define IOMMU_HWPT_SET_DIRTY_TRACKING _IO(IOMMUFD_TYPE, 0x8b)
struct iommu_hwpt_set_dirty_tracking {
	__u32 size;
	__u32 flags;
	__u32 hwpt_id;
	__u32 __reserved;
};
#endif

#ifndef IOMMU_HWPT_GET_DIRTY_BITMAP
enum iommufd_hwpt_get_dirty_bitmap_flags {
	IOMMU_HWPT_GET_DIRTY_BITMAP_NO_CLEAR = 1,
};

#define IOMMU_HWPT_GET_DIRTY_BITMAP _IO(IOMMUFD_TYPE, 0x8c)
struct iommu_hwpt_get_dirty_bitmap {
	__u32 size;
	__u32 hwpt_id;
	__u32 flags;
	__u32 __reserved;
	__aligned_u64 iova;
	__aligned_u64 length;
	__aligned_u64 page_size;
	__aligned_u64 data;	/* u64[]: bit 0 of [0] is the page at iova */
};
#endif

#ifndef IOMMU_HWPT_INVALIDATE
enum iommu_hwpt_invalidate_data_type {
	IOMMU_HWPT_INVALIDATE_DATA_VTD_S1 = 0,
	IOMMU_VIOMMU_INVALIDATE_DATA_ARM_SMMUV3 = 1,
};

enum iommu_hwpt_vtd_s1_invalidate_flags {
	IOMMU_VTD_INV_FLAGS_LEAF = 1 << 0,
};
struct iommu_hwpt_vtd_s1_invalidate {
	__aligned_u64 addr;	/* 0 and npages all ones: everything */
	__aligned_u64 npages;
	__u32 flags;
	__u32 __reserved;
};

#define IOMMU_HWPT_INVALIDATE _IO(IOMMUFD_TYPE, 0x8d)
struct iommu_hwpt_invalidate {
	__u32 size;
	__u32 hwpt_id;		/* a nested HWPT or a vIOMMU */
	__aligned_u64 data_uptr;
	__u32 data_type;
	__u32 entry_len;
	__u32 entry_num;	/* out: entries handled, also when the call fails */
	__u32 __reserved;
};
#endif

#ifndef IOMMU_FAULT_QUEUE_ALLOC
enum iommu_hwpt_pgfault_flags {
	IOMMU_PGFAULT_FLAGS_PASID_VALID = 1 << 0,
	IOMMU_PGFAULT_FLAGS_LAST_PAGE = 1 << 1,
};
enum iommu_hwpt_pgfault_perm {
	IOMMU_PGFAULT_PERM_READ = 1 << 0,
	IOMMU_PGFAULT_PERM_WRITE = 1 << 1,
	IOMMU_PGFAULT_PERM_EXEC = 1 << 2,
	IOMMU_PGFAULT_PERM_PRIV = 1 << 3,
};
/* What a read of the queue returns, */
struct iommu_hwpt_pgfault {
	__u32 flags;
	__u32 dev_id;
	__u32 pasid;
	__u32 grpid;
	__u32 perm;
	__u32 __reserved;
	__aligned_u64 addr;
	__u32 length;
	__u32 cookie;
};
/* and what is written to it for each group of faults. */
enum iommufd_page_response_code {
	IOMMUFD_PAGE_RESP_SUCCESS = 0,
	IOMMUFD_PAGE_RESP_INVALID = 1,
};
struct iommu_hwpt_page_response {
	__u32 cookie;
	__u32 code;
};

#define IOMMU_FAULT_QUEUE_ALLOC _IO(IOMMUFD_TYPE, 0x8e)
struct iommu_fault_alloc {
	__u32 size;
	__u32 flags;
	__u32 out_fault_id;
	__u32 out_fault_fd;
};
#endif

#ifndef IOMMU_IOAS_MAP_FILE
#define IOMMU_IOAS_MAP_FILE _IO(IOMMUFD_TYPE, 0x8f)
struct iommu_ioas_map_file {
	__u32 size;
	__u32 flags;
	__u32 ioas_id;
	__s32 fd;		/* a memfd, or a dma-buf of VFIO */
	__aligned_u64 start;	/* in the file */
	__aligned_u64 length;
	__aligned_u64 iova;
};
#endif

#ifndef IOMMU_VIOMMU_ALLOC
enum iommu_viommu_type {
	IOMMU_VIOMMU_TYPE_DEFAULT = 0,
	IOMMU_VIOMMU_TYPE_ARM_SMMUV3 = 1,
	IOMMU_VIOMMU_TYPE_TEGRA241_CMDQV = 2,
};

/* What of a stream table entry of SMMUv3's is a guest's; on a vIOMMU. */
struct iommu_hwpt_arm_smmuv3 {
	__aligned_le64 ste[2];
};

/* The registers SMMU_IDR0 to 5, SMMU_IIDR and SMMU_AIDR. */
struct iommu_hw_info_arm_smmuv3 {
	__u32 flags;
	__u32 __reserved;
	__u32 idr[6];
	__u32 iidr;
	__u32 aidr;
};

/* A command of SMMUv3's queue, by the guest's StreamIDs; of a vIOMMU. */
struct iommu_viommu_arm_smmuv3_invalidate {
	__aligned_le64 cmd[2];
};

#define IOMMU_VIOMMU_ALLOC _IO(IOMMUFD_TYPE, 0x90)
struct iommu_viommu_alloc {
	__u32 size;
	__u32 flags;
	__u32 type;
	__u32 dev_id;
	__u32 hwpt_id;		/* the nesting parent that it stands on */
	__u32 out_viommu_id;
	__u32 data_len;
	__u32 __reserved;
	__aligned_u64 data_uptr;
};
#endif

#ifndef IOMMU_VDEVICE_ALLOC
#define IOMMU_VDEVICE_ALLOC _IO(IOMMUFD_TYPE, 0x91)
struct iommu_vdevice_alloc {
	__u32 size;
	__u32 viommu_id;
	__u32 dev_id;
	__u32 out_vdevice_id;
	__aligned_u64 virt_id;	/* what the guest calls the device; one device per id */
};
#endif

#ifndef IOMMU_IOAS_CHANGE_PROCESS
#define IOMMU_IOAS_CHANGE_PROCESS _IO(IOMMUFD_TYPE, 0x92)
struct iommu_ioas_change_process {
	__u32 size;
	__u32 __reserved;
};
#endif

#ifndef IOMMU_VEVENTQ_ALLOC
enum iommu_veventq_flag {
	IOMMU_VEVENTQ_FLAG_LOST_EVENTS = 1U << 0,	/* events before this header are lost */
};
/* Before each event that is read; a header that says "lost" has no event behind it. */
struct iommufd_vevent_header {
	__u32 flags;
	__u32 sequence;		/* 0..INT_MAX, then from 0 again; counts lost events, too */
};
enum iommu_veventq_type {
	IOMMU_VEVENTQ_TYPE_DEFAULT = 0,
	IOMMU_VEVENTQ_TYPE_ARM_SMMUV3 = 1,
	IOMMU_VEVENTQ_TYPE_TEGRA241_CMDQV = 2,
};

/* SMMUv3's event record, with the guest's StreamID. */
struct iommu_vevent_arm_smmuv3 {
	__aligned_le64 evt[4];
};

#define IOMMU_VEVENTQ_ALLOC _IO(IOMMUFD_TYPE, 0x93)
struct iommu_veventq_alloc {
	__u32 size;
	__u32 flags;
	__u32 viommu_id;
	__u32 type;
	__u32 veventq_depth;
	__u32 out_veventq_id;
	__u32 out_veventq_fd;
	__u32 __reserved;
};
#endif

#ifndef IOMMU_HW_QUEUE_ALLOC
enum iommu_hw_queue_type {
	IOMMU_HW_QUEUE_TYPE_DEFAULT = 0,
	IOMMU_HW_QUEUE_TYPE_TEGRA241_CMDQV = 1,
};

#define IOMMU_HW_QUEUE_ALLOC _IO(IOMMUFD_TYPE, 0x94)
struct iommu_hw_queue_alloc {
	__u32 size;
	__u32 flags;
	__u32 viommu_id;
	__u32 type;
	__u32 index;
	__u32 out_hw_queue_id;
	__aligned_u64 nesting_parent_iova;
	__aligned_u64 length;
};
#endif

_Static_assert(IOMMU_DESTROY == 0x3b80 && IOMMU_HW_QUEUE_ALLOC == 0x3b94, "uapi");
_Static_assert(sizeof(struct iommu_destroy) == 8, "uapi");
_Static_assert(sizeof(struct iommu_ioas_alloc) == 12, "uapi");
_Static_assert(sizeof(struct iommu_ioas_allow_iovas) == 24, "uapi");
_Static_assert(sizeof(struct iommu_ioas_copy) == 40, "uapi");
_Static_assert(sizeof(struct iommu_ioas_iova_ranges) == 32, "uapi");
_Static_assert(sizeof(struct iommu_ioas_map) == 40, "uapi");
_Static_assert(sizeof(struct iommu_ioas_unmap) == 24, "uapi");
_Static_assert(sizeof(struct iommu_option) == 24, "uapi");
_Static_assert(sizeof(struct iommu_vfio_ioas) == 12, "uapi");
_Static_assert(sizeof(struct iommu_hwpt_set_dirty_tracking) == 16, "uapi");
_Static_assert(sizeof(struct iommu_hwpt_get_dirty_bitmap) == 48, "uapi");
_Static_assert(sizeof(struct iommu_hwpt_invalidate) == 32, "uapi");
_Static_assert(sizeof(struct iommu_hwpt_pgfault) == 40, "uapi");
_Static_assert(sizeof(struct iommu_hwpt_page_response) == 8, "uapi");
_Static_assert(sizeof(struct iommu_fault_alloc) == 16, "uapi");
_Static_assert(sizeof(struct iommu_ioas_map_file) == 40, "uapi");
_Static_assert(sizeof(struct iommu_viommu_alloc) == 40, "uapi");
_Static_assert(sizeof(struct iommu_vdevice_alloc) == 24, "uapi");
_Static_assert(sizeof(struct iommu_ioas_change_process) == 8, "uapi");
_Static_assert(sizeof(struct iommu_veventq_alloc) == 32, "uapi");
_Static_assert(sizeof(struct iommu_hw_queue_alloc) == 40, "uapi");

#endif
