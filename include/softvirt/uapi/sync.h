/* SPDX-License-Identifier: MIT */
/*
 * Numbers of sync files, sw_sync, dma-buf, dma_heap and udmabuf that an old host's headers
 * lack. Include this instead of them.
 */
#ifndef SOFTVIRT_UAPI_SYNC_H
#define SOFTVIRT_UAPI_SYNC_H

#include <linux/dma-buf.h>
#include <linux/dma-heap.h>
#include <linux/sync_file.h>
#include <linux/udmabuf.h>

#ifndef SYNC_IOC_SET_DEADLINE
struct sync_set_deadline {
	__u64 deadline_ns;
	__u64 pad;
};
#define SYNC_IOC_SET_DEADLINE _IOW(SYNC_IOC_MAGIC, 5, struct sync_set_deadline)
#endif

#ifndef SW_SYNC_IOC_INC
struct sw_sync_create_fence_data {
	__u32 value;
	char name[32];
	__s32 fence;	/* out: a sync file */
};
struct sw_sync_get_deadline {
	__u64 deadline_ns;	/* out */
	__u32 pad;
	__s32 fence_fd;
};
#define SW_SYNC_IOC_CREATE_FENCE _IOWR('W', 0, struct sw_sync_create_fence_data)
#define SW_SYNC_IOC_INC _IOW('W', 1, __u32)
#define SW_SYNC_GET_DEADLINE _IOWR('W', 2, struct sw_sync_get_deadline)
#endif

#ifndef DMA_BUF_IOCTL_EXPORT_SYNC_FILE
struct dma_buf_export_sync_file {
	__u32 flags;
	__s32 fd;
};
struct dma_buf_import_sync_file {
	__u32 flags;
	__s32 fd;
};
#define DMA_BUF_IOCTL_EXPORT_SYNC_FILE _IOWR('b', 2, struct dma_buf_export_sync_file)
#define DMA_BUF_IOCTL_IMPORT_SYNC_FILE _IOW('b', 3, struct dma_buf_import_sync_file)
#endif

_Static_assert(sizeof(struct sync_merge_data) == 48, "uapi");
_Static_assert(sizeof(struct sync_file_info) == 56, "uapi");
_Static_assert(sizeof(struct sync_fence_info) == 80, "uapi");
_Static_assert(SYNC_IOC_MERGE == 0xc0303e03, "uapi");
_Static_assert(SYNC_IOC_FILE_INFO == 0xc0383e04, "uapi");
_Static_assert(SYNC_IOC_SET_DEADLINE == 0x40103e05, "uapi");
_Static_assert(SW_SYNC_IOC_CREATE_FENCE == 0xc0285700, "uapi");
_Static_assert(SW_SYNC_IOC_INC == 0x40045701, "uapi");
_Static_assert(SW_SYNC_GET_DEADLINE == 0xc0105702, "uapi");
_Static_assert(DMA_BUF_IOCTL_EXPORT_SYNC_FILE == 0xc0086202, "uapi");
_Static_assert(DMA_BUF_IOCTL_IMPORT_SYNC_FILE == 0x40086203, "uapi");
_Static_assert(DMA_HEAP_IOCTL_ALLOC == 0xc0184800, "uapi");
_Static_assert(UDMABUF_CREATE == 0x40187542, "uapi");
_Static_assert(UDMABUF_CREATE_LIST == 0x40087543, "uapi");

#endif
