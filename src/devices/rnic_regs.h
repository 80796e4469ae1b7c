/* SPDX-License-Identifier: MIT */
/*
 * What a driver of the rnic function (1234:52a1) sees: registers in BAR 0, work queue entries,
 * completions. All little-endian. docs/devices.md explains them.
 */
#ifndef SV_DEVICES_RNIC_REGS_H
#define SV_DEVICES_RNIC_REGS_H

#include "base/types.h"

#define RNIC_VENDOR 0x1234
#define RNIC_DEVICE 0x52a1

/* Registers of 4 bytes, but for the two bases of 8 (which may be written by halves). */
enum rnic_reg {
	RNIC_REG_ID = 0x00,		/* "RNIC" */
	RNIC_REG_VERSION = 0x04,	/* 1 */
	RNIC_REG_CTRL = 0x08,
	RNIC_REG_STATUS = 0x0c,
	RNIC_REG_SQ_BASE = 0x10,
	RNIC_REG_SQ_LOG2 = 0x18,	/* entries: 1 << this, at most 15 */
	RNIC_REG_SQ_TAIL = 0x1c,	/* doorbell: entries ever written, modulo 2^32 */
	RNIC_REG_CQ_BASE = 0x20,
	RNIC_REG_CQ_LOG2 = 0x28,
	RNIC_REG_CQ_HEAD = 0x2c,	/* completions ever read, modulo 2^32 */
	RNIC_REG_SQ_HEAD = 0x30,	/* read-only: entries ever taken */
	RNIC_REG_CQ_TAIL = 0x34,	/* read-only: completions ever written */
	RNIC_REG_NR_MRS = 0x38,		/* read-only */
};
#define RNIC_ID 0x43494e52u
#define RNIC_CTRL_ENABLE BIT(0)		/* queues must be set up; 0 stops after the entry under way */
#define RNIC_CTRL_RESET BIT(1)		/* as FLR, without config space */
#define RNIC_STATUS_ENABLED BIT(0)
#define RNIC_STATUS_FATAL BIT(1)	/* only a reset helps */
#define RNIC_QUEUE_LOG2_MAX 15
#define RNIC_MAX_MRS 4096

enum rnic_op {
	RNIC_OP_NOP,
	RNIC_OP_REG_USER,	/* addr, length (IOVA), access, kind: a PASID or 0 -> value: key */
	RNIC_OP_REG_DMABUF,	/* addr (what offset is called in work requests), fd, offset, length, kind, access */
	RNIC_OP_DEREG,		/* lkey */
	RNIC_OP_WRITE,		/* lkey, addr, len -> dest, rkey, raddr */
	RNIC_OP_READ,		/* dest, rkey, raddr -> lkey, addr, len */
};

enum rnic_mr_kind {
	RNIC_MR_ON_DEMAND,		/* maps when used; moves and revokes are survived */
	RNIC_MR_PINNED_REVOCABLE,	/* pinned; dead for ever once revoked */
	RNIC_MR_PINNED,			/* pinned; can't be revoked, and some exporters refuse it */
	RNIC_MR_USER,			/* memory by IOVA */
};

#define RNIC_ACCESS_LOCAL_WRITE BIT(0)
#define RNIC_ACCESS_REMOTE_WRITE BIT(1)
#define RNIC_ACCESS_REMOTE_READ BIT(2)

#define RNIC_DEST_SELF 0xffffffffu	/* else domain << 16 | bus << 8 | devfn of another rnic */
#define RNIC_WQE_INTERRUPT BIT(0)

struct rnic_wqe {
	u8 op, flags;
	u16 id;			/* comes back in the completion */
	u32 access;
	u64 addr;
	u32 lkey, len;
	u64 raddr;
	u32 rkey, dest;
	s32 fd;
	u32 kind;
	u64 offset, length;
};
_Static_assert(sizeof(struct rnic_wqe) == 64, "the hardware's layout");

enum rnic_status {
	RNIC_OK,
	RNIC_BAD_OP,
	RNIC_LOCAL_PROTECTION,	/* no such lkey, out of its range, or no right */
	RNIC_REMOTE_ACCESS,	/* the same of rkey, or no such destination */
	RNIC_REVOKED,		/* the memory has been taken back; value: the key */
	RNIC_DMA_FAULT,		/* addr: where */
	RNIC_NO_MEMORY,		/* no room for one more region, or no memory */
	RNIC_BAD_FD,		/* fd is no dma-buf, or the range is not in it */
	RNIC_NOT_SUPPORTED,	/* the exporter wants no importer of this kind; this function has no PASIDs */
};

struct rnic_cqe {
	u16 id;
	u8 op, status;
	u32 value;		/* a key; bytes moved */
	u64 addr;		/* of a fault */
	u64 reserved;
	u32 reserved2;
	u32 phase;		/* 1 in the first round through the ring, then 0, 1, ...; written last */
};
_Static_assert(sizeof(struct rnic_cqe) == 32, "the hardware's layout");

#endif
