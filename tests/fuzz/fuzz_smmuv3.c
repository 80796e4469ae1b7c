/* SPDX-License-Identifier: MIT */
/*
 * A hostile guest of an SMMUv3: what it may say through its VMM (an STE, commands of its queue) and
 * what it has in memory (context descriptors, tables), with DMA of its device in between.
 *
 * Input: flags and an STE of two words, a row of operations of 24 bytes, then the guest's memory, repeated
 * until it is full. The memory's words are taken as they are, or (by a bit of flags) their addresses led to
 * the guest's own memory, so that walks go deep. What lies on both sides of the guest's memory must never
 * change, and a read must give what the guest has.
 */
#include <fcntl.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>

#include "base/err.h"
#include "iommu/iommu.h"
#include "pci/pci.h"
#include "softvirt/softvirt.h"
#include "softvirt/uapi/iommufd.h"
#include "softvirt/uapi/vfio.h"

#define IPA 0x40000000ull
#define SIZE 0x40000ull
#define GUARD 0x10000ull
#define STREAM 7u

static u8 *around, *guest;		/* guest: SIZE bytes, GUARD on either side */
static struct pci_dev *pdev;
static int iommufd, device, queue;
static u32 dev_id, viommu, parent;

static void reset(struct pci_dev *p, enum pci_reset_kind kind)
{
}

static void destroy(struct pci_dev *p)
{
}

static const struct pci_dev_ops ops = { .name = "fuzz", .reset = reset, .destroy = destroy };

static void must(bool yes)
{
	if (!yes)
		__builtin_trap();
}

#define CALL(request, cmd) ({ (cmd)->size = sizeof(*(cmd)); softvirt_ioctl(iommufd, request, cmd); })

static void vmm(void)
{
	struct { u32 argsz, flags; s32 iommufd; u32 out_devid; } bind = { 16, 0, 0, 0 };
	struct iommu_ioas_alloc ioas = { 0 };
	struct iommu_ioas_map map = {
		.length = SIZE, .iova = IPA,
		.flags = IOMMU_IOAS_MAP_FIXED_IOVA | IOMMU_IOAS_MAP_READABLE | IOMMU_IOAS_MAP_WRITEABLE,
	};
	struct iommu_hwpt_alloc hwpt = { .flags = IOMMU_HWPT_ALLOC_NEST_PARENT };
	struct iommu_viommu_alloc v = { .type = IOMMU_VIOMMU_TYPE_ARM_SMMUV3 };
	struct iommu_vdevice_alloc vdev = { .virt_id = STREAM };
	struct iommu_veventq_alloc q = { .type = IOMMU_VEVENTQ_TYPE_ARM_SMMUV3, .veventq_depth = 8 };
	u32 command = 6;

	iommufd = softvirt_open("/dev/iommu", O_RDWR | O_CLOEXEC);
	device = softvirt_open("/dev/vfio/devices/vfio0", O_RDWR | O_CLOEXEC);
	bind.iommufd = iommufd;
	must(!softvirt_ioctl(device, VFIO_DEVICE_BIND_IOMMUFD, &bind));
	must(softvirt_pwrite(device, &command, 2, ((off_t)VFIO_PCI_CONFIG_REGION_INDEX << 40) + 4) == 2);
	dev_id = bind.out_devid;
	must(!CALL(IOMMU_IOAS_ALLOC, &ioas));
	map.ioas_id = ioas.out_ioas_id;
	map.user_va = (uintptr_t)guest;
	must(!CALL(IOMMU_IOAS_MAP, &map));
	hwpt.dev_id = v.dev_id = vdev.dev_id = dev_id;
	hwpt.pt_id = ioas.out_ioas_id;
	must(!CALL(IOMMU_HWPT_ALLOC, &hwpt));
	parent = v.hwpt_id = hwpt.out_hwpt_id;
	must(!CALL(IOMMU_VIOMMU_ALLOC, &v));
	viommu = vdev.viommu_id = q.viommu_id = v.out_viommu_id;
	must(!CALL(IOMMU_VDEVICE_ALLOC, &vdev));
	must(!CALL(IOMMU_VEVENTQ_ALLOC, &q));
	queue = (int)q.out_veventq_fd;
}

static void start(void)
{
	struct pci_dev_config cfg = { .vendor = 1, .device = 2, .class_code = 0x088000, .pasid = true };

	around = mmap(NULL, SIZE + 2 * GUARD, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	must(around != MAP_FAILED);
	guest = around + GUARD;
	pdev = pci_dev_create(&cfg, &ops, NULL);
	must(!IS_ERR(pdev));
	pdev->iommu.iommu = &smmuv3_iommu_ops;
	must(!pci_dev_publish(pdev, 0, 1, 0, 1));
	vmm();
}

static u32 attach(u32 pt)
{
	struct { u32 argsz, flags, pt_id; } a = { 12, 0, pt };

	return softvirt_ioctl(device, VFIO_DEVICE_ATTACH_IOMMUFD_PT, &a) ? 0 : a.pt_id;
}

/* The nested HWPT of a guest's STE, attached; 0: refused. */
static u32 attach_ste(const u64 ste[2])
{
	struct iommu_hwpt_arm_smmuv3 data = { .ste = { ste[0], ste[1] } };
	struct iommu_hwpt_alloc h = {
		.dev_id = dev_id, .pt_id = viommu, .data_type = IOMMU_HWPT_DATA_ARM_SMMUV3,
		.data_len = sizeof(data), .data_uptr = (uintptr_t)&data,
	};

	if (CALL(IOMMU_HWPT_ALLOC, &h))
		return 0;
	must(attach(h.out_hwpt_id));
	return h.out_hwpt_id;
}

static void operate(const u8 *p)
{
	struct iommu_viommu_arm_smmuv3_invalidate inv;
	struct iommu_hwpt_invalidate cmd = {
		.hwpt_id = viommu, .data_type = IOMMU_VIOMMU_INVALIDATE_DATA_ARM_SMMUV3,
		.data_uptr = (uintptr_t)&inv, .entry_len = sizeof(inv), .entry_num = 1,
	};
	u8 bytes[256] = { 0 };
	u64 iova, words[2];
	u32 pasid, len;

	memcpy(words, p + 8, sizeof(words));
	iova = words[0];
	pasid = p[1] & 1 ? (u32)words[1] & 0xf : 0;
	len = p[2] ? p[2] : 256;
	switch (p[0] % 4) {
	case 0:
		(void)iommu_dma_read(&pdev->iommu, pasid, bytes, iova, len, NULL);
		break;
	case 1:
		(void)iommu_dma_write(&pdev->iommu, pasid, iova, bytes, len, NULL);
		break;
	case 2:
		inv.cmd[0] = words[0];
		inv.cmd[1] = words[1];
		(void)CALL(IOMMU_HWPT_INVALIDATE, &cmd);
		must(cmd.entry_num <= 1);
		break;
	default:
		memcpy(guest + (words[0] % (SIZE - 8)), &words[1], 8);
		break;
	}
	(void)softvirt_read(queue, bytes, p[3]);
}

static void check_around(void)
{
	for (u64 i = 0; i < GUARD; i += 8)
		must(!*(u64 *)(void *)(around + i) && !*(u64 *)(void *)(guest + SIZE + i));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	u64 ste[2], nr;
	struct iommu_destroy d = { .size = sizeof(d) };
	bool lead;
	u32 id;

	if (!around)
		start();
	if (size < 24 + 24 + 8)
		return 0;
	nr = data[1] % 16 + 1;
	lead = data[0] & 1;
	memcpy(ste, data + 8, sizeof(ste));
	if (lead) {	/* of the fields that may be said: valid, with a place in the guest's memory */
		ste[0] = (ste[0] & ~0x000fffffffffffceull) | 1 | 5 << 1 |
			 ((IPA + (ste[0] % SIZE)) & ~63ull & 0x000fffffffffffc0ull);
		ste[0] &= ~(7ull << 52);
		ste[1] &= 0xff;
	}
	data += 24;
	size -= 24;
	if (size < nr * 24 + 8)
		nr = (size - 8) / 24;
	for (u64 i = 0, n = size - nr * 24; i < SIZE; i += 8) {
		u64 w = 0;

		memcpy(&w, data + nr * 24 + i % (n & ~7ull), 8);
		if (lead)
			w = (w & ~0x0000fffffffff000ull) | ((IPA + (w & (SIZE - 1))) & 0x0000fffffffff000ull);
		memcpy(guest + i, &w, 8);
	}
	id = attach_ste(ste);
	for (u64 i = 0; id && i < nr; i++)
		operate(data + i * 24);
	check_around();
	if (!id)
		return 0;
	must(attach(parent));
	d.id = id;
	must(!softvirt_ioctl(iommufd, IOMMU_DESTROY, &d));
	return 0;
}
