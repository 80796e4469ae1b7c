/* SPDX-License-Identifier: MIT */
/*
 * A function with an I/O address space, driven as its registers say, without VFIO: for tests
 * of devices. MEM_SIZE bytes of memory are at IOVA MEM_IOVA.
 */
#ifndef SV_TESTS_DEVICE_ENV_H
#define SV_TESTS_DEVICE_ENV_H

#include <sched.h>

#include "base/err.h"
#include "devices/device.h"
#include "iommu/iommu.h"
#include "unit.h"

#define MEM_IOVA 0x100000ull
#define MEM_SIZE (4u << 20)

#define PCI_COMMAND 0x04
#define PCI_COMMAND_MEMORY 0x2
#define PCI_COMMAND_MASTER 0x4

struct device_env {
	struct pci_dev *pdev;
	struct iommu_domain *domain;
	u8 *mem;
	unsigned irqs;		/* atomic */
};

static inline void env_msix(void *owner, unsigned vector)
{
	__atomic_fetch_add(&((struct device_env *)owner)->irqs, 1, __ATOMIC_SEQ_CST);
}

static inline void env_nothing(void *owner)
{
}

static inline void env_intx(void *owner, bool level)
{
}

static const struct pci_owner_ops env_owner_ops = {
	.msix = env_msix,
	.intx = env_intx,
	.memory_off = env_nothing,
	.memory_on = env_nothing,
	.err = env_nothing,
};

static inline void env_command(struct device_env *e, u16 bits)
{
	pci_config_write(e->pdev, PCI_COMMAND, 2, bits);
}

/* MSI-X on, vector 0 unmasked. */
static inline void env_enable_msix(struct device_env *e)
{
	u32 control = pci_config_read(e->pdev, e->pdev->msix_cap + 2u, 2), zero = 0;

	assert_int_equal(pci_bar_write(e->pdev, e->pdev->cfg.msix_bar,
				       e->pdev->cfg.msix_table_off + 12, &zero, 4), 0);
	pci_config_write(e->pdev, e->pdev->msix_cap + 2u, 2, (control | 0x8000) & ~0x4000u);
}

static inline void env_setup(struct device_env *e, const char *spec)
{
	char err[DEVICE_ERR_MAX];
	struct pci_dev *p = NULL, *last = NULL;

	memset(e, 0, sizeof(*e));
	if (device_add(spec, err))
		fail_msg("%s: %s", spec, err);
	/* The newest is the one with the highest index. */
	while ((p = pci_dev_next(p)))
		if (!last || p->index > last->index)
			last = p;
	assert_non_null(last);
	e->pdev = pci_dev_find(last->domain, last->bus, last->devfn);
	assert_ptr_equal(e->pdev, last);
	e->mem = mmap(NULL, MEM_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	assert_ptr_not_equal(e->mem, MAP_FAILED);
	e->domain = vtd_iommu_ops.domain_alloc_paging(&e->pdev->iommu, 0, NULL);
	assert_false(IS_ERR(e->domain));
	assert_int_equal(iommu_map(e->domain, MEM_IOVA, (uintptr_t)e->mem, MEM_SIZE,
				   IOMMU_READ | IOMMU_WRITE), 0);
	assert_int_equal(iommu_attach(e->domain, &e->pdev->iommu, IOMMU_NO_PASID), 0);
	assert_int_equal(pci_dev_claim(e->pdev, &env_owner_ops, e), 0);
	env_command(e, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
	env_enable_msix(e);
}

static inline void env_teardown(struct device_env *e)
{
	struct pci_dev *pdev = e->pdev;

	pci_reset(pdev, PCI_RESET_FLR);
	pci_dev_release(pdev);
	iommu_detach(&pdev->iommu, IOMMU_NO_PASID);
	iommu_unmap(e->domain, MEM_IOVA, MEM_SIZE);
	e->domain->ops->free(e->domain);
	munmap(e->mem, MEM_SIZE);
	pci_dev_put(pdev);
	pci_dev_destroy(pdev);
}

static inline u64 env_read(struct device_env *e, u64 off, unsigned size)
{
	u64 v = 0;

	assert_int_equal(pci_bar_read(e->pdev, 0, off, &v, size), 0);
	return v;
}

static inline void env_write(struct device_env *e, u64 off, unsigned size, u64 v)
{
	assert_int_equal(pci_bar_write(e->pdev, 0, off, &v, size), 0);
}

/* Waits for what a device's thread does. Nothing depends on how long: a hang is the runner's to end. */
#define env_until(condition) do { \
	while (!(condition)) \
		sched_yield(); \
} while (0)

#endif
