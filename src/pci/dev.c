/* SPDX-License-Identifier: MIT */
/*
 * The list of functions, their life, and who owns them. Model and locks: pci.h.
 *
 * Removal: the function leaves the list, so that nobody finds it any more, and says no to
 * new owners; whoever owns it is asked until it lets go; then the device model goes, and what is
 * left (config space, the BARs' address space) with the last reference.
 *
 * Fork: a function's threads stay in the parent, and so does the function. The child's list is
 * empty; what it makes is its own. What it has inherited is never touched again.
 */
#include <pthread.h>
#include <stdio.h>
#include <unistd.h>

#include "base/log.h"
#include "base/timer.h"
#include "pci/impl.h"

static struct sv_mutex list_lock = SV_MUTEX_INIT;
static LIST_HEAD(devices);	/* by address; list_lock, as every refs */

#define REQUEST_EVERY_NS 10000000000ull

static void (*removed)(struct pci_dev *pdev);	/* atomic */

static void forked(void)
{
	sv_mutex_init(&list_lock);
	INIT_LIST_HEAD(&devices);
}

static void __attribute__((constructor)) list_init(void)
{
	(void)pthread_atfork(NULL, NULL, forked);
}

void pci_set_removed(void (*fn)(struct pci_dev *pdev))
{
	__atomic_store_n(&removed, fn, __ATOMIC_RELEASE);
}

static u32 address(const struct pci_dev *pdev)
{
	return (u32)pdev->domain << 16 | (u32)pdev->bus << 8 | pdev->devfn;
}

/* One rule for each line of struct pci_dev_config. */
static int config_check(const struct pci_dev_config *cfg, const struct pci_dev_ops *ops)
{
	if (!ops || !ops->reset || !ops->destroy)
		return -EINVAL;
	if (cfg->class_code >> 24)
		return -EINVAL;
	/* MSI comes in powers of two. */
	if (cfg->nr_msi > 32 || (cfg->nr_msi & (cfg->nr_msi - 1)))
		return -EINVAL;
	return pci_bars_check(cfg);
}

struct pci_dev *pci_dev_create(const struct pci_dev_config *cfg, const struct pci_dev_ops *ops,
			       void *priv)
{
	struct pci_dev *pdev;
	int err = config_check(cfg, ops);

	if (err)
		return ERR_PTR(err);
	pdev = sv_zalloc(sizeof(*pdev));
	if (!pdev)
		return ERR_PTR(-ENOMEM);
	pdev->cfg = *cfg;
	pdev->ops = ops;
	pdev->priv = priv;
	pdev->refs = 1;
	pdev->iommu.iommu = &vtd_iommu_ops;
	pdev->iommu.max_pasids = cfg->pasid ? 1u << 20 : 0;
	pdev->iommu.pri = cfg->pri;
	sv_mutex_init(&pdev->reset_lock);
	sv_mutex_init(&pdev->lock);
	sv_cond_init(&pdev->owner_cond);
	INIT_LIST_HEAD(&pdev->node);
	err = pci_bars_init(pdev);
	if (err) {
		pci_bars_fini(pdev);
		sv_free(pdev);
		return ERR_PTR(err);
	}
	pci_config_init(pdev);
	return pdev;
}

/*
 * Where pdev belongs in the list (before that entry); NULL: its address is taken. list_lock held.
 */
static struct list_head *list_place(const struct pci_dev *pdev)
{
	struct pci_dev *p;

	list_for_each_entry(p, &devices, node) {
		if (address(p) == address(pdev))
			return NULL;
		if (address(p) > address(pdev))
			return &p->node;
	}
	return &devices;
}

/* list_lock held. */
static u32 index_free(void)
{
	struct pci_dev *p;
	u32 index = 0;

again:
	list_for_each_entry(p, &devices, node) {
		if (p->index == index) {
			index++;
			goto again;
		}
	}
	return index;
}

int pci_dev_publish(struct pci_dev *pdev, u16 domain, u8 bus, u8 devfn, u32 group_id)
{
	struct list_head *before;
	int err;

	pdev->domain = domain;
	pdev->bus = bus;
	pdev->devfn = devfn;
	pdev->group_id = group_id;
	snprintf(pdev->name, sizeof(pdev->name), "%04x:%02x:%02x.%x", domain, bus, devfn >> 3,
		 devfn & 7);
	pdev->iommu.dev.init_name = pdev->name;
	err = iommu_dev_init(&pdev->iommu, group_id);
	if (err)
		return err;
	iommu_dma_enable(&pdev->iommu, false);
	sv_mutex_lock(&list_lock);
	before = list_place(pdev);
	if (before) {
		pdev->index = index_free();
		pdev->published = true;
		list_add_tail(&pdev->node, before);
	}
	sv_mutex_unlock(&list_lock);
	if (!before) {
		iommu_dev_fini(&pdev->iommu);
		return -EEXIST;
	}
	sv_trace("pci.publish", "%s: %s %04x:%04x, group %u", pdev->name, pdev->ops->name,
		 pdev->cfg.vendor, pdev->cfg.device, group_id);
	return 0;
}

/* Until nobody owns it. From here on nobody will. */
static void wait_unowned(struct pci_dev *pdev)
{
	unsigned count = 0;

	sv_mutex_lock(&pdev->lock);
	pdev->dying = true;
	while (pdev->owner_ops) {
		const struct pci_owner_ops *ops = pdev->owner_ops;
		u64 next = sv_now_ns() + REQUEST_EVERY_NS;

		/* Under lock, so that the owner is still there; request is as cheap as msix. */
		if (ops->request)
			ops->request(pdev->owner, count);
		count++;
		while (pdev->owner_ops &&
		       sv_cond_wait_until(&pdev->owner_cond, &pdev->lock, next) != -ETIMEDOUT)
			;
	}
	sv_mutex_unlock(&pdev->lock);
}

static void dev_free(struct pci_dev *pdev)
{
	pci_bars_fini(pdev);
	sv_mutex_destroy(&pdev->reset_lock);
	sv_mutex_destroy(&pdev->lock);
	sv_cond_destroy(&pdev->owner_cond);
	sv_free(pdev);
}

void pci_dev_destroy(struct pci_dev *pdev)
{
	void (*fn)(struct pci_dev *p) = __atomic_load_n(&removed, __ATOMIC_ACQUIRE);

	if (!pdev->published) {
		dev_free(pdev);
		return;
	}
	sv_mutex_lock(&list_lock);
	list_del_init(&pdev->node);
	sv_mutex_unlock(&list_lock);
	wait_unowned(pdev);
	sv_mutex_lock(&pdev->reset_lock);
	WRITE_ONCE(pdev->memory_enabled, false);
	sv_mutex_unlock(&pdev->reset_lock);
	pci_bars_hide(pdev);
	pdev->ops->destroy(pdev);
	if (fn)
		fn(pdev);
	iommu_dev_fini(&pdev->iommu);
	pci_dev_put(pdev);
}

struct pci_dev *pci_dev_get(struct pci_dev *pdev)
{
	sv_mutex_lock(&list_lock);
	pdev->refs++;
	sv_mutex_unlock(&list_lock);
	return pdev;
}

void pci_dev_put(struct pci_dev *pdev)
{
	bool last;

	sv_mutex_lock(&list_lock);
	last = --pdev->refs == 0;
	sv_mutex_unlock(&list_lock);
	if (last)
		dev_free(pdev);
}

struct pci_dev *pci_dev_find(u16 domain, u8 bus, u8 devfn)
{
	struct pci_dev *p, *found = NULL;

	sv_mutex_lock(&list_lock);
	list_for_each_entry(p, &devices, node) {
		if (p->domain == domain && p->bus == bus && p->devfn == devfn) {
			p->refs++;
			found = p;
			break;
		}
	}
	sv_mutex_unlock(&list_lock);
	return found;
}

struct pci_dev *pci_dev_find_name(const char *bdf)
{
	unsigned domain = 0, bus, slot, fn;
	int end = -1;

	if (sscanf(bdf, "%4x:%2x:%2x.%1x%n", &domain, &bus, &slot, &fn, &end) != 4 || end < 0 ||
	    bdf[end]) {
		domain = 0;
		end = -1;
		if (sscanf(bdf, "%2x:%2x.%1x%n", &bus, &slot, &fn, &end) != 3 || end < 0 || bdf[end])
			return NULL;
	}
	if (slot > 31 || fn > 7)
		return NULL;
	return pci_dev_find((u16)domain, (u8)bus, (u8)(slot << 3 | fn));
}

struct pci_dev *pci_dev_next(struct pci_dev *prev)
{
	struct pci_dev *p, *next = NULL;

	sv_mutex_lock(&list_lock);
	/* By address, not by link: prev may have left the list. */
	list_for_each_entry(p, &devices, node) {
		if (!prev || address(p) > address(prev)) {
			p->refs++;
			next = p;
			break;
		}
	}
	sv_mutex_unlock(&list_lock);
	if (prev)
		pci_dev_put(prev);
	return next;
}

int pci_dev_claim(struct pci_dev *pdev, const struct pci_owner_ops *ops, void *owner)
{
	int err = 0;

	sv_mutex_lock(&pdev->reset_lock);
	sv_mutex_lock(&pdev->lock);
	if (pdev->dying)
		err = -ENODEV;
	else if (pdev->owner_ops)
		err = -EBUSY;
	if (!err) {
		pdev->owner_ops = ops;
		pdev->owner = owner;
		pdev->intx_out = false;
		pci_irq_update(pdev);
	}
	sv_mutex_unlock(&pdev->lock);
	sv_mutex_unlock(&pdev->reset_lock);
	return err;
}

void pci_dev_release(struct pci_dev *pdev)
{
	sv_mutex_lock(&pdev->reset_lock);
	sv_mutex_lock(&pdev->lock);
	pdev->owner_ops = NULL;
	pdev->owner = NULL;
	sv_cond_broadcast(&pdev->owner_cond);
	sv_mutex_unlock(&pdev->lock);
	sv_mutex_unlock(&pdev->reset_lock);
}
