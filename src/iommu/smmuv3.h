/* SPDX-License-Identifier: MIT */
/*
 * ARM SMMUv3 (Arm IHI 0070, "the manual" here): what smmuv3.c (the model towards iommufd) and
 * smmuv3_walk.c (configuration and translation) share, and what tests look at.
 */
#ifndef SV_IOMMU_SMMUV3_H
#define SV_IOMMU_SMMUV3_H

#include "iommu/soft.h"

/* What the identification registers say (manual 6.3). */
#define SMMUV3_OAS_BITS		48
#define SMMUV3_SSID_BITS	SOFT_PASID_BITS

/* Stream table entry, words 0 and 1 (manual 5.2): what a guest may say. */
#define STE0_V			BIT(0)
#define STE0_CFG		GENMASK(3, 1)
#define STE0_CFG_ABORT		(0ull << 1)
#define STE0_CFG_BYPASS		(4ull << 1)
#define STE0_CFG_S1		(5ull << 1)
#define STE0_S1FMT		GENMASK(5, 4)
#define STE0_S1FMT_LINEAR	(0ull << 4)
#define STE0_S1FMT_4K		(1ull << 4)
#define STE0_S1FMT_64K		(2ull << 4)
#define STE0_S1CTXPTR		GENMASK(51, 6)
#define STE0_S1CDMAX_SHIFT	59
#define STE0_S1CDMAX		GENMASK(63, 59)
#define STE1_S1DSS		GENMASK(1, 0)
#define STE1_S1DSS_BYPASS	1ull
#define STE1_S1DSS_SSID0	2ull
#define STE1_S1CIR		GENMASK(3, 2)
#define STE1_S1COR		GENMASK(5, 4)
#define STE1_S1CSH		GENMASK(7, 6)
#define STE1_S1STALLD		BIT(27)
#define STE1_EATS		GENMASK(29, 28)
#define STE1_EATS_TRANS		(1ull << 28)

/* Level 1 context descriptor, context descriptor (manual 5.3, 5.4). */
#define L1CD_V			BIT(0)
#define L1CD_L2PTR		GENMASK(51, 12)
#define CD0_TXSZ		GENMASK(5, 0)
#define CD0_EPD(n)		BIT((n) ? 30 : 14)
#define CD0_ENDI		BIT(15)
#define CD0_V			BIT(31)
#define CD0_IPS_SHIFT		32
#define CD0_AFFD		BIT(35)
#define CD0_TBI(n)		BIT(38 + (n))
#define CD0_AA64		BIT(41)
#define CD0_HD			BIT(42)
#define CD0_HA			BIT(43)
#define CD0_S			BIT(44)
#define CD0_R			BIT(45)
#define CD0_A			BIT(46)
#define CD1_HAD			BIT(1)		/* in the words of TTB0 and TTB1 */
#define CD1_TTB			GENMASK(51, 4)
#define CD_SIZE			64

/* Translation table descriptors (Arm ARM D8.3, VMSAv8-64). */
#define TTD_VALID		BIT(0)
#define TTD_TABLE		BIT(1)		/* at level 3: page */
#define TTD_AP1			BIT(6)		/* unprivileged access allowed */
#define TTD_AP2			BIT(7)		/* read-only */
#define TTD_AF			BIT(10)
#define TTD_DBM			BIT(51)
#define TTD_APTABLE0		BIT(61)
#define TTD_APTABLE1		BIT(62)

/* Events (manual 7.3). */
enum smmuv3_event {
	EVT_NONE = 0,
	EVT_C_BAD_STE = 0x04,
	EVT_F_STREAM_DISABLED = 0x06,
	EVT_C_BAD_SUBSTREAMID = 0x08,
	EVT_F_CD_FETCH = 0x09,
	EVT_C_BAD_CD = 0x0a,
	EVT_F_WALK_EABT = 0x0b,
	EVT_F_TRANSLATION = 0x10,
	EVT_F_ADDR_SIZE = 0x11,
	EVT_F_ACCESS = 0x12,
	EVT_F_PERMISSION = 0x13,
};
#define EVT0_ID			GENMASK(7, 0)
#define EVT0_SSV		BIT(11)
#define EVT0_SSID_SHIFT		12
#define EVT0_SID_SHIFT		32
#define EVT1_RNW		BIT(35)
#define EVT1_S2			BIT(39)
#define EVT1_CLASS_SHIFT	40
#define EVT1_CLASS_CD		(0ull << EVT1_CLASS_SHIFT)
#define EVT1_CLASS_TT		(1ull << EVT1_CLASS_SHIFT)
#define EVT1_CLASS_IN		(2ull << EVT1_CLASS_SHIFT)
#define EVT1_TTRNW		BIT(44)
#define EVT3_IPA		GENMASK(51, 12)
#define EVT3_FETCH		GENMASK(51, 3)

/* An access of a device: data, unprivileged (PnU and InD are 0), as DMA is. */
struct smmuv3_access {
	u64 iova;
	u32 ssid;
	bool ssv;			/* it has a SubstreamID */
	bool write;
};

enum smmuv3_outcome {
	SMMUV3_OK,
	SMMUV3_ABORT,
	SMMUV3_RAZ_WI,			/* CD.A is 0: reads as zero, writes are ignored */
};

struct smmuv3_result {
	enum smmuv3_outcome outcome;
	u64 gpa, size;			/* OK: size bytes at gpa, an IPA, for those around iova; */
	u32 prot;			/* PT_READ, PT_WRITE; */
	bool bypass;			/* or: the address is the IPA */
	bool table_gone;		/* a fetch met no memory */
	enum smmuv3_event fault;	/* not OK: what it was (EVT_NONE: STE.Config says abort), */
	bool recorded;			/* and whether rec is written: */
	u64 rec[4];			/* the event record; StreamID is 0 */
};

/*
 * Configuration and stage 1 for one access, by a guest's STE that smmuv3.c has let through. dma_lock
 * held. Sets access flags and dirty state where the CD says so.
 */
void smmuv3_walk(struct soft_domain *parent, const u64 ste[2], const struct smmuv3_access *access,
		 struct smmuv3_result *r);
/* Does the host pass this event on to the guest? The others are about what the host has made. */
bool smmuv3_event_is_guests(const struct smmuv3_result *r);

#endif
