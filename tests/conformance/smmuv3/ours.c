/* SPDX-License-Identifier: MIT */
/*
 * Our SMMUv3 for the comparison with QEMU's (run): a device behind it, as a VMM would set it up, led by
 * lines on standard input. Guest memory lies at IPA 0x40000000, where QEMU's virt machine has it;
 * from 0x80000000 on, for HOLE_SIZE bytes, nothing is behind an address.
 *
 *	mem IPA HEX		writes bytes
 *	zero IPA SIZE		zeroes
 *	ste WORD0 WORD1		a nested HWPT for it takes the place of the former; says "ok" or errno
 *	cmd WORD0 WORD1		a command of the guest's queue; "ok" or errno
 *	read IOVA		4 bytes by DMA
 *	write IOVA VALUE	4 bytes by DMA
 *
 * An access is answered by one line: OUTCOME GPA VALUE NR_EVENTS W0 W1 W2 W3. OUTCOME is ok, bus (a
 * translation to nothing), or abort; the words are those of the event record that the hardware makes,
 * NR_EVENTS how many came out of the vIOMMU's event queue. The walk and the DMA have to say the same.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/err.h"
#include "iommu/objects.h"
#include "iommu/smmuv3.h"
#include "softvirt/softvirt.h"

#define RAM_IPA 0x40000000ull
#define RAM_SIZE (128ull << 20)
#define HOLE_IPA 0x80000000ull
#define HOLE_SIZE (256ull << 20)
#define STREAM 0x10

static int fd, events;
static unsigned viommu, nested;
static struct iommufd_ctx *ictx;
static struct iommufd_device *idev;
static struct iommu_domain *parent;
static struct iommu_dev dev = { .dev.init_name = "edu", .iommu = &smmuv3_iommu_ops };
static unsigned dev_id;
static unsigned char *ram;
static u64 ste[2];

static void die(const char *what)
{
	fprintf(stderr, "smmuv3-oracle: %s: %m\n", what);
	exit(2);
}

static void call(unsigned long request, void *arg, const char *what)
{
	if (softvirt_ioctl(fd, request, arg))
		die(what);
}

/* Guest memory, and a stretch of addresses at which an access meets a bus error. */
static void set_up_memory(unsigned ioas)
{
	struct iommu_ioas_map map = {
		.size = sizeof(map), .ioas_id = ioas, .length = RAM_SIZE, .iova = RAM_IPA,
		.flags = IOMMU_IOAS_MAP_FIXED_IOVA | IOMMU_IOAS_MAP_READABLE | IOMMU_IOAS_MAP_WRITEABLE,
	};
	void *hole = mmap(NULL, HOLE_SIZE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
			  -1, 0);

	ram = mmap(NULL, RAM_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (ram == MAP_FAILED || hole == MAP_FAILED)
		die("memory");
	map.user_va = (uintptr_t)ram;
	call(IOMMU_IOAS_MAP, &map, "IOMMU_IOAS_MAP");
	if (iommu_map(parent, HOLE_IPA, (u64)hole, HOLE_SIZE, IOMMU_READ | IOMMU_WRITE))
		die("the hole");
}

static void set_up(void)
{
	struct iommu_ioas_alloc ioas = { .size = sizeof(ioas) };
	struct iommu_hwpt_alloc hwpt = { .size = sizeof(hwpt), .flags = IOMMU_HWPT_ALLOC_NEST_PARENT };
	struct iommu_viommu_alloc v = { .size = sizeof(v), .type = IOMMU_VIOMMU_TYPE_ARM_SMMUV3 };
	struct iommu_vdevice_alloc vdev = { .size = sizeof(vdev), .virt_id = STREAM };
	struct iommu_veventq_alloc q = {
		.size = sizeof(q), .type = IOMMU_VEVENTQ_TYPE_ARM_SMMUV3, .veventq_depth = 16,
	};
	struct iommufd_object *obj;

	fd = softvirt_open("/dev/iommu", O_RDWR | O_CLOEXEC);
	ictx = iommufd_ctx_from_fd(fd);
	if (iommu_dev_init(&dev, 0x60000001))
		die("device");
	idev = iommufd_device_bind(ictx, &dev, &dev_id);
	if (IS_ERR(idev))
		die("bind");
	call(IOMMU_IOAS_ALLOC, &ioas, "IOMMU_IOAS_ALLOC");
	hwpt.dev_id = v.dev_id = vdev.dev_id = dev_id;
	hwpt.pt_id = ioas.out_ioas_id;
	call(IOMMU_HWPT_ALLOC, &hwpt, "IOMMU_HWPT_ALLOC");
	v.hwpt_id = hwpt.out_hwpt_id;
	call(IOMMU_VIOMMU_ALLOC, &v, "IOMMU_VIOMMU_ALLOC");
	viommu = vdev.viommu_id = q.viommu_id = v.out_viommu_id;
	call(IOMMU_VDEVICE_ALLOC, &vdev, "IOMMU_VDEVICE_ALLOC");
	call(IOMMU_VEVENTQ_ALLOC, &q, "IOMMU_VEVENTQ_ALLOC");
	events = (int)q.out_veventq_fd;
	obj = iommufd_get_object(ictx, hwpt.out_hwpt_id, IOMMUFD_OBJ_HWPT_PAGING);
	parent = container_of(obj, struct iommufd_hw_pagetable, obj)->domain;
	iommufd_put_object(ictx, obj);
	set_up_memory(ioas.out_ioas_id);
}

static void do_ste(u64 w0, u64 w1)
{
	struct iommu_hwpt_arm_smmuv3 data = { .ste = { w0, w1 } };
	struct iommu_hwpt_alloc hwpt = {
		.size = sizeof(hwpt), .dev_id = dev_id, .pt_id = viommu,
		.data_type = IOMMU_HWPT_DATA_ARM_SMMUV3, .data_len = sizeof(data),
		.data_uptr = (uintptr_t)&data,
	};
	struct iommu_destroy d = { .size = sizeof(d), .id = nested };

	if (softvirt_ioctl(fd, IOMMU_HWPT_ALLOC, &hwpt)) {
		printf("%m\n");
		return;
	}
	if (nested) {
		iommufd_device_detach(idev, IOMMU_NO_PASID);
		call(IOMMU_DESTROY, &d, "IOMMU_DESTROY");
	}
	nested = hwpt.out_hwpt_id;
	if (iommufd_device_attach(idev, IOMMU_NO_PASID, &hwpt.out_hwpt_id))
		die("attach");
	ste[0] = w0;
	ste[1] = w1;
	printf("ok\n");
}

static void do_cmd(u64 w0, u64 w1)
{
	struct iommu_viommu_arm_smmuv3_invalidate inv = { .cmd = { w0, w1 } };
	struct iommu_hwpt_invalidate cmd = {
		.size = sizeof(cmd), .hwpt_id = viommu, .data_uptr = (uintptr_t)&inv,
		.data_type = IOMMU_VIOMMU_INVALIDATE_DATA_ARM_SMMUV3, .entry_len = sizeof(inv),
		.entry_num = 1,
	};

	printf("%s\n", softvirt_ioctl(fd, IOMMU_HWPT_INVALIDATE, &cmd) ? strerror(errno) : "ok");
}

static unsigned char *memory(u64 ipa, u64 size)
{
	if (ipa < RAM_IPA || size > RAM_SIZE || ipa - RAM_IPA > RAM_SIZE - size)
		die("outside of memory");
	return ram + (ipa - RAM_IPA);
}

static void do_mem(u64 ipa, const char *hex)
{
	unsigned byte;

	for (unsigned char *p = memory(ipa, strlen(hex) / 2); sscanf(hex, "%2x", &byte) == 1; hex += 2)
		*p++ = (unsigned char)byte;
}

/* What the queue has, compared with what the walk recorded: how many. */
static unsigned drain(const u64 rec[4])
{
	struct { struct iommufd_vevent_header h; struct iommu_vevent_arm_smmuv3 e; } got;
	unsigned n = 0;

	while (softvirt_read(events, &got, sizeof(got)) == sizeof(got)) {
		if (memcmp(got.e.evt, rec, sizeof(got.e.evt)))
			die("the event queue says something else than the walk");
		n++;
	}
	return n;
}

static void do_access(u64 iova, bool write, u32 value)
{
	struct smmuv3_access a = { .iova = iova, .write = write };
	struct soft_requester *rq = dev.iommu_priv;
	struct iommu_dma_fault fault;
	struct smmuv3_result r;
	unsigned n;
	u64 gpa;
	int err;

	sv_mutex_lock(&rq->dma_lock);
	smmuv3_walk(soft_domain_of(parent), ste, &a, &r);
	sv_mutex_unlock(&rq->dma_lock);
	err = write ? iommu_dma_write(&dev, IOMMU_NO_PASID, iova, &value, sizeof(value), &fault) :
		      iommu_dma_read(&dev, IOMMU_NO_PASID, &value, iova, sizeof(value), &fault);
	gpa = r.bypass ? iova : r.gpa + (iova & (r.size - 1));
	if (r.recorded)
		r.rec[0] |= (u64)STREAM << EVT0_SID_SHIFT;
	else
		memset(r.rec, 0, sizeof(r.rec));
	n = drain(r.rec);
	if (n != smmuv3_event_is_guests(&r))
		die("an event too many, or too few");
	if (r.outcome == SMMUV3_OK && err && fault.reason != IOMMU_FAULT_BUS &&
	    fault.reason != IOMMU_FAULT_UNMAPPED)
		die("the walk succeeded, the DMA failed");
	if (r.outcome != SMMUV3_OK && !err)
		die("the walk failed, the DMA succeeded");
	printf("%s %llx %llx %u %llx %llx %llx %llx\n",
	       r.outcome != SMMUV3_OK ? "abort" : err ? "bus" : "ok",
	       (unsigned long long)(r.outcome == SMMUV3_OK ? gpa : 0),
	       (unsigned long long)(err ? 0u : value), n, (unsigned long long)r.rec[0],
	       (unsigned long long)r.rec[1], (unsigned long long)r.rec[2], (unsigned long long)r.rec[3]);
}

int main(void)
{
	static char line[4096];

	set_up();
	while (fgets(line, sizeof(line), stdin)) {
		char *op = strtok(line, " \n"), *a = strtok(NULL, " \n"), *b = strtok(NULL, " \n");
		u64 x = a ? strtoull(a, NULL, 16) : 0, y = b ? strtoull(b, NULL, 16) : 0;

		if (!op || !a)
			die("a line that says nothing");
		if (!strcmp(op, "mem") && b)
			do_mem(x, b);
		else if (!strcmp(op, "zero"))
			memset(memory(x, y), 0, y);
		else if (!strcmp(op, "ste"))
			do_ste(x, y);
		else if (!strcmp(op, "cmd"))
			do_cmd(x, y);
		else if (!strcmp(op, "read") || !strcmp(op, "write"))
			do_access(x, *op == 'w', (u32)y);
		else
			die("a line that is no command");
		fflush(stdout);
	}
	return 0;
}
