/* SPDX-License-Identifier: MIT */
/*
 * The soft IOMMU as ARM SMMUv3 with nested translation: what its registers say, vIOMMUs, a guest's
 * STEs as nested domains, invalidation, events. The manual is Arm IHI 0070; what iommufd makes of
 * it is Linux's (7.x).
 *
 * Model: a vIOMMU is a VMID on its parent HWPT, the second stage. A nested domain is what of an STE is
 * the guest's. A vdevice says by what StreamID the guest knows a device: an STE that translates can
 * only be attached with one, and keeps the StreamID of that moment for its events. Configuration
 * (CDs) and translations are cached in requesters' tlb alone, so that any invalidation is that of the
 * parent: whole, and done when the call returns.
 *
 * Lifetime: a nested domain's HWPT holds its vIOMMU. Events come from DMA without any lock; soft.h
 * says what keeps the domain, and so the vIOMMU, alive meanwhile. DESTROY of the vdevice or of the
 * event queue may come between: the first doesn't matter, for the second iommufd's viommu->lock
 * decides whether the event finds its queue.
 */
#include "base/alloc.h"
#include "base/err.h"
#include "iommu/smmuv3.h"
#include "iommu/viommu.h"

struct smmuv3_nested {
	struct soft_domain dom;
	struct iommufd_viommu *viommu;
	u64 ste[2];
};

#define NO_VIRT_ID (~0ull)

static struct smmuv3_nested *smmuv3_nested_of(const struct soft_domain *dom)
{
	return container_of(dom, struct smmuv3_nested, dom);
}

/* As the device sees it, for its own error and whether it asks for the page (PRI). */
static enum iommu_fault_reason reason(const struct smmuv3_result *r)
{
	switch (r->fault) {
	case EVT_F_TRANSLATION:
	case EVT_F_ADDR_SIZE:
	case EVT_F_ACCESS:
		return IOMMU_FAULT_UNMAPPED;
	case EVT_F_PERMISSION:
		return IOMMU_FAULT_PERMISSION;
	default:
		return IOMMU_FAULT_BLOCKED;
	}
}

static bool smmuv3_lookup(struct soft_domain *dom, const struct soft_access *access,
			  struct pt_leaf *leaf, u64 *gpa, struct soft_miss *miss)
{
	struct smmuv3_access a = {
		.iova = access->iova, .write = access->write,
		.ssv = access->pasid != IOMMU_NO_PASID, .ssid = access->pasid,
	};
	struct smmuv3_result r;

	smmuv3_walk(dom->parent, smmuv3_nested_of(dom)->ste, &a, &r);
	miss->has_event = smmuv3_event_is_guests(&r);
	miss->table_gone = r.table_gone;
	for (unsigned i = 0; miss->has_event && i < ARRAY_SIZE(r.rec); i++)
		miss->event.rec[i] = r.rec[i];
	/* A device that asks for pages translates before it accesses: nothing to read as zero. */
	if (r.outcome == SMMUV3_RAZ_WI && !dom->d.iopf_handler) {
		leaf->prot = PT_SINK;
		return true;
	}
	if (r.outcome != SMMUV3_OK) {
		miss->reason = reason(&r);
		return false;
	}
	/* What the second stage hasn't is the host's business: no event. */
	miss->reason = IOMMU_FAULT_UNMAPPED;
	if (r.bypass)
		return access->iova <= PT_LAST &&
		       soft_nested_leaf(dom->parent, access->iova, 0, PT_LAST + 1, PT_READ | PT_WRITE,
					leaf, gpa);
	return soft_nested_leaf(dom->parent, access->iova, r.gpa, r.size, r.prot, leaf, gpa);
}

/*
 * Linux lets only an STE that needs no StreamID (abort, bypass: what SMMU_GBPA is to a guest) be
 * attached without a vdevice.
 */
static int smmuv3_attach(struct soft_domain *dom, struct iommu_dev *dev, struct soft_attach *att)
{
	struct smmuv3_nested *n = smmuv3_nested_of(dom);
	struct soft_requester *rq = dev->iommu_priv;

	if (iommufd_viommu_get_vdev_id(n->viommu, dev, &att->virt_id)) {
		if ((n->ste[0] & STE0_CFG) == STE0_CFG_S1)
			return -ENOENT;
		att->virt_id = NO_VIRT_ID;
	}
	/* DMA uses it only once this attachment is there. */
	if (!rq->sink)
		rq->sink = sv_alloc_aligned(SV_PAGE_SIZE, SV_PAGE_SIZE);
	return rq->sink ? 0 : -ENOMEM;
}

static void smmuv3_report(const struct soft_attach *att, const struct soft_event *event)
{
	struct iommu_vevent_arm_smmuv3 e;

	if (att->virt_id == NO_VIRT_ID)
		return;
	for (unsigned i = 0; i < ARRAY_SIZE(e.evt); i++)
		e.evt[i] = event->rec[i];
	e.evt[0] |= att->virt_id << EVT0_SID_SHIFT;
	/* A queue that isn't there, or is full, is the program's decision. */
	(void)iommufd_viommu_report_event(smmuv3_nested_of(att->dom)->viommu,
					  IOMMU_VEVENTQ_TYPE_ARM_SMMUV3, &e, sizeof(e));
}

static const struct soft_s1_ops smmuv3_s1_ops = {
	.lookup = smmuv3_lookup,
	.attach = smmuv3_attach,
	.report = smmuv3_report,
	.pasid_table = true,
};

static void nested_free(struct iommu_domain *d)
{
	struct soft_domain *dom = soft_domain_of(d);

	soft_nested_fini(dom);
	sv_free(smmuv3_nested_of(dom));
}

static const struct iommu_domain_ops smmuv3_nested_ops = {
	.attach_dev = soft_attach_dev,
	.free = nested_free,
};

#define STE0_GUESTS (STE0_V | STE0_CFG | STE0_S1FMT | STE0_S1CTXPTR | STE0_S1CDMAX)
#define STE1_GUESTS (STE1_S1DSS | STE1_S1CIR | STE1_S1COR | STE1_S1CSH | STE1_S1STALLD | STE1_EATS)

/* What of an STE a guest may say; an invalid one may say anything, and is one that aborts. */
static int ste_check(u64 ste[2])
{
	if (!(ste[0] & STE0_V)) {
		ste[0] = 0;
		ste[1] = 0;
		return 0;
	}
	if ((ste[0] & ~STE0_GUESTS) || (ste[1] & ~STE1_GUESTS))
		return -EIO;
	switch (ste[0] & STE0_CFG) {
	case STE0_CFG_ABORT:
	case STE0_CFG_BYPASS:
	case STE0_CFG_S1:
		break;
	default:
		return -EIO;
	}
	/* ATS: off, or on as a whole. */
	if ((ste[1] & STE1_EATS) && (ste[1] & STE1_EATS) != STE1_EATS_TRANS)
		return -EIO;
	return 0;
}

static struct iommu_domain *smmuv3_alloc_nested(struct iommufd_viommu *viommu, u32 flags,
						const struct iommu_user_data *data)
{
	struct iommu_hwpt_arm_smmuv3 arg;
	struct smmuv3_nested *n;
	u64 ste[2];
	int err;

	/* PASIDs are the guest's: none of the host's. */
	if (flags)
		return ERR_PTR(-EOPNOTSUPP);
	err = iommu_copy_struct_from_user(&arg, sizeof(arg), sizeof(arg), IOMMU_HWPT_DATA_ARM_SMMUV3,
					  data);
	if (err)
		return ERR_PTR(err);
	ste[0] = arg.ste[0];
	ste[1] = arg.ste[1];
	err = ste_check(ste);
	if (err)
		return ERR_PTR(err);
	n = sv_zalloc(sizeof(*n));
	if (!n)
		return ERR_PTR(-ENOMEM);
	soft_nested_init(&n->dom, viommu->hwpt->common.domain, &smmuv3_nested_ops, &smmuv3_s1_ops);
	n->viommu = viommu;
	n->ste[0] = ste[0];
	n->ste[1] = ste[1];
	return &n->dom.d;
}

/* Commands (manual 4.1): what a guest's queue may have for stage 1. */
enum {
	CMD_CFGI_CD = 0x05,
	CMD_CFGI_CD_ALL = 0x06,
	CMD_TLBI_NH_ALL = 0x10,
	CMD_TLBI_NH_ASID = 0x11,
	CMD_TLBI_NH_VA = 0x12,
	CMD_TLBI_NH_VAA = 0x13,
	CMD_TLBI_NSNH_ALL = 0x30,
	CMD_ATC_INV = 0x40,
};
#define CMD0_OP		GENMASK(7, 0)
#define CMD0_SSEC	BIT(10)
#define CMD0_SID_SHIFT	32

/* 0; -EIO: illegal, or of a stream that isn't the guest's. */
static int command_check(struct iommufd_viommu *viommu, u64 cmd0)
{
	switch (cmd0 & CMD0_OP) {
	case CMD_TLBI_NSNH_ALL:
	case CMD_TLBI_NH_ALL:
	case CMD_TLBI_NH_ASID:
	case CMD_TLBI_NH_VA:
	case CMD_TLBI_NH_VAA:
		return 0;
	case CMD_CFGI_CD:
	case CMD_CFGI_CD_ALL:
	case CMD_ATC_INV:
		/* Secure streams are none of ours. */
		if ((cmd0 & CMD0_SSEC) || !iommufd_viommu_find_dev(viommu, cmd0 >> CMD0_SID_SHIFT))
			return -EIO;
		return 0;
	default:
		return -EIO;
	}
}

static int smmuv3_cache_invalidate(struct iommufd_viommu *viommu, struct iommu_user_data_array *array)
{
	struct soft_domain *parent = soft_domain_of(viommu->hwpt->common.domain);
	struct iommu_viommu_arm_smmuv3_invalidate inv;
	u32 done = 0;
	int err = array->type == IOMMU_VIOMMU_INVALIDATE_DATA_ARM_SMMUV3 ? 0 : -EINVAL;

	while (!err && done < array->entry_num) {
		err = iommu_copy_struct_from_user_array(&inv, sizeof(inv), sizeof(inv),
							IOMMU_VIOMMU_INVALIDATE_DATA_ARM_SMMUV3,
							array, done);
		if (!err)
			err = command_check(viommu, inv.cmd[0]);
		done += !err;
	}
	/* Those before an illegal one are carried out. */
	if (done) {
		sv_mutex_lock(&parent->lock);
		soft_invalidate(parent);
		sv_mutex_unlock(&parent->lock);
	}
	array->entry_num = done;
	return err;
}

static int smmuv3_viommu_init(struct iommufd_viommu *viommu, struct iommu_dev *dev, u32 type,
			      const struct iommu_user_data *data)
{
	return type == IOMMU_VIOMMU_TYPE_ARM_SMMUV3 ? 0 : -EOPNOTSUPP;
}

/* A StreamID has 32 bits. */
static int smmuv3_vdevice_init(struct iommufd_vdevice *vdev)
{
	return vdev->node.start >> 32 ? -EINVAL : 0;
}

static bool smmuv3_supports_veventq(struct iommufd_viommu *viommu, u32 type)
{
	return type == IOMMU_VEVENTQ_TYPE_ARM_SMMUV3;
}

static const struct iommufd_viommu_ops smmuv3_viommu_ops = {
	.init = smmuv3_viommu_init,
	.alloc_domain_nested = smmuv3_alloc_nested,
	.cache_invalidate = smmuv3_cache_invalidate,
	.vdevice_init = smmuv3_vdevice_init,
	.supports_veventq = smmuv3_supports_veventq,
};

/* Manual 6.3.1 to 6.3.7; only what is true here. */
#define IDR0_S2P		BIT(0)
#define IDR0_S1P		BIT(1)
#define IDR0_TTF_AARCH64	(2u << 2)
#define IDR0_COHACC		BIT(4)
#define IDR0_HTTU_ACCESS_DIRTY	(2u << 6)
#define IDR0_ATS		BIT(10)
#define IDR0_ASID16		BIT(12)
#define IDR0_PRI		BIT(16)
#define IDR0_VMID16		BIT(18)
#define IDR0_CD2L		BIT(19)
#define IDR0_TTENDIAN_LITTLE	(2u << 21)
#define IDR0_STALL_NONE		(1u << 24)
#define IDR0_ST_LEVEL_2		(1u << 27)
#define IDR1_SIDSIZE_32		32u
#define IDR1_SSIDSIZE_SHIFT	6
#define IDR1_PRIQS_19		(19u << 11)
#define IDR1_EVENTQS_19		(19u << 16)
#define IDR1_CMDQS_19		(19u << 21)	/* entries of one IOMMU_HWPT_INVALIDATE */
#define IDR3_HAD		BIT(2)
#define IDR3_RIL		BIT(10)
#define IDR5_OAS_48		5u
#define IDR5_GRAN4K		BIT(4)
#define IDR5_GRAN16K		BIT(5)
#define IDR5_GRAN64K		BIT(6)
#define AIDR_SMMUV3_1		1u

static void *smmuv3_hw_info(struct iommu_dev *dev, u32 *length, u32 *type)
{
	struct iommu_hw_info_arm_smmuv3 *info = sv_zalloc(sizeof(*info));

	if (!info)
		return ERR_PTR(-ENOMEM);
	info->idr[0] = (u32)(IDR0_S2P | IDR0_S1P | IDR0_TTF_AARCH64 | IDR0_COHACC |
			     IDR0_HTTU_ACCESS_DIRTY | IDR0_ASID16 | IDR0_VMID16 | IDR0_CD2L |
			     IDR0_TTENDIAN_LITTLE | IDR0_STALL_NONE | IDR0_ST_LEVEL_2 |
			     (dev->pri ? IDR0_ATS | IDR0_PRI : 0));
	info->idr[1] = IDR1_SIDSIZE_32 | SMMUV3_SSID_BITS << IDR1_SSIDSIZE_SHIFT | IDR1_EVENTQS_19 |
		       IDR1_CMDQS_19 | (dev->pri ? IDR1_PRIQS_19 : 0);
	info->idr[3] = (u32)(IDR3_HAD | IDR3_RIL);
	info->idr[5] = (u32)(IDR5_OAS_48 | IDR5_GRAN4K | IDR5_GRAN16K | IDR5_GRAN64K);
	info->aidr = AIDR_SMMUV3_1;
	*length = sizeof(*info);
	*type = IOMMU_HW_INFO_TYPE_ARM_SMMUV3;
	return info;
}

/* Where Linux's driver lets MSIs be mapped (its MSI_IOVA_BASE): DMA can't be, as it has it. */
static unsigned smmuv3_resv_regions(struct iommu_dev *dev, struct iommu_resv_region *out,
				    unsigned room)
{
	if (room)
		out[0] = (struct iommu_resv_region){
			.start = 0x8000000, .length = 0x100000, .msi = true,
		};
	return 1;
}

const struct iommu_ops smmuv3_iommu_ops = {
	.name = "smmuv3",
	SOFT_COMMON_OPS,
	.hw_info = smmuv3_hw_info,
	.get_resv_regions = smmuv3_resv_regions,
	.viommu = &smmuv3_viommu_ops,
	.user_pasid_table = true,
};
