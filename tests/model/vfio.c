/* SPDX-License-Identifier: MIT */
/*
 * Every interleaving of what takes a device's memory away (memory disabled, reset, last close) with
 * what iommufd may do at the same time with the dma-buf of its BAR: map, unmap, copy, attach,
 * detach, replace, destroy, close; with DMA of a peer under way, a second revoke, memory coming
 * back, and another export. The code is the library's own: src/vfio (exporter), src/pci,
 * src/dmabuf, src/iommu.
 *
 *	vfio [-v] [-a] [-l LIMIT] [NAME]		-a: all pairs beside each trigger, not only a choice
 *
 * The world: an exporter with a BAR of two pages, open, its buffer exported. IOAS 1 has page 0 at
 * IOVA A and peer 0 attached, which has written there already. What a thread does to peers'
 * devices goes through one lock, as VFIO does it.
 *
 * Checked in each schedule: once memory is off (a reset has come to the device, the write or close
 * has returned) no page table leads into the BAR, nobody has it mapped, no byte of it changes
 * until memory is back; page 0, mapped before the revoke, is never reached again by those
 * mappings, nor by copies of them or domains that come later; a DMA write begun after it fails; a
 * revoked buffer is not mapped; after an unmap the IOVA is dead. Nobody sleeps for ever, nothing
 * is used after its end, nothing leaks; at the end a restored buffer can be mapped and written to.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "dmabuf/buf.h"
#include "explore.h"
#include "iommu/objects.h"
#include "softvirt/uapi/vfio.h"
#include "vfio/vfio.h"
#include "vfio_world.h"

#define PAGE 4096ull
#define A 0x10000ull		/* page 0, from the beginning */
#define B 0x20000ull		/* page 1, mapped by the map thread (and page by page behind it) */
#define C 0x30000ull		/* IOAS 2: the copies of A */
#define D 0x40000ull		/* at the end */
#define PEERS 3
#define RW (IOMMU_IOAS_MAP_FIXED_IOVA | IOMMU_IOAS_MAP_WRITEABLE | IOMMU_IOAS_MAP_READABLE)

static struct pci_dev *pdev;
static struct vfio_device *vdev;
static struct vfio_df df;
static bool exporter_open;

static struct peer {
	struct iommu_dev dev;
	struct iommufd_device *idev;	/* NULL: not bound */
	bool attached;
	u32 id;
} peers[PEERS];
static struct sv_mutex peer_lock;	/* idev, attached */

static struct iommufd_ctx *ictx;
static bool fd_open;
static u32 ioas[2];

static bool ready;		/* the world has been set up */
static bool gone;		/* memory is off, and whoever took it has been told so */
static bool a_dead;		/* it has been, once */
static u32 back;		/* how often it has come back */
static u8 snapshot[sizeof(bar_memory)];

static bool untouched(unsigned int page)
{
	return !memcmp(snapshot + page * PAGE, bar_memory + page * PAGE, PAGE);
}

/* Memory is off: what must hold. */
static void check_gone(void)
{
	for (unsigned int i = 0; i < BAR_PAGES; i++) {
		model_assert(!world_is_translated(i), "a domain leads into the BAR after the revoke");
		model_assert(!gone || untouched(i), "a DMA write lands after the revoke");
	}
	model_assert(!buffer->nr_mapped, "somebody has the buffer mapped after the revoke");
	model_assert(buffer->revoked, "the buffer is not revoked");
	model_assert(!second || second->revoked, "a buffer exported meanwhile is not revoked");
	if (!a_dead)
		memcpy(snapshot, bar_memory, PAGE);
	if (!gone)
		memcpy(snapshot + PAGE, bar_memory + PAGE, sizeof(snapshot) - PAGE);
	gone = a_dead = true;
	/* A write that comes before this is another schedule than one that comes after. */
	for (unsigned int i = 0; i < BAR_PAGES; i++)
		SV_POINT(bar_memory + i * PAGE, false);
}

void scenario_memory_back(void)
{
	if (!gone)
		return;
	model_assert(untouched(1), "a DMA write lands after the revoke");
	model_assert(!world_is_translated(0) && !world_is_translated(1),
		     "a domain leads into the BAR before memory is back");
	model_note("memory is back");
	gone = false;
	back++;
}

static void x_reset(struct pci_dev *p, enum pci_reset_kind kind)
{
	if (ready)
		check_gone();
}
static void x_destroy(struct pci_dev *p) { }
static const struct pci_dev_ops exporter_ops = {
	.name = "model", .reset = x_reset, .destroy = x_destroy,
};

/* A peer writes. */
static int dma(unsigned int peer, u64 iova, bool dead)
{
	u64 val = 0x0101010101010101ull * (model_self() + 2);
	int err = iommu_dma_write(&peers[peer].dev, IOMMU_NO_PASID, iova, &val, sizeof(val), NULL);

	model_note("DMA write of %#llx: %d", (unsigned long long)iova, err);
	model_assert(!err || err == -EFAULT, "DMA ends with 0 or EFAULT");
	model_assert(err || !dead, "a DMA write begun after the revoke succeeds");
	return err;
}

static long fd_ioctl(unsigned int cmd, void *arg, size_t size)
{
	return fd_open ? world_ioctl(ictx->file, cmd, arg, size) : -EBADF;
}

static bool is_one_of(long err, long a, long b)
{
	/* Beside what the call itself may say: the IOAS is gone, the descriptor is closed. */
	return !err || err == a || err == b || err == -ENOENT || err == -EBADF;
}

static long map_file(u64 iova, u64 start)
{
	struct iommu_ioas_map_file cmd = {
		.size = sizeof(cmd), .flags = RW, .ioas_id = ioas[0], .fd = BUFFER_FD, .start = start,
		.length = PAGE, .iova = iova,
	};

	return fd_ioctl(IOMMU_IOAS_MAP_FILE, &cmd, sizeof(cmd));
}

static long hwpt_alloc(unsigned int peer, u32 *id)
{
	struct iommu_hwpt_alloc cmd = {
		.size = sizeof(cmd), .dev_id = peers[peer].id, .pt_id = ioas[0],
	};
	long err = fd_ioctl(IOMMU_HWPT_ALLOC, &cmd, sizeof(cmd));

	*id = cmd.out_hwpt_id;
	return err;
}

static long destroy(u32 id)
{
	struct iommu_destroy cmd = { .size = sizeof(cmd), .id = id };

	return fd_ioctl(IOMMU_DESTROY, &cmd, sizeof(cmd));
}

/* What takes the memory away, and gives it back. */
static void command(u16 val)
{
	model_assert(vfio_config_rw(vdev, &val, sizeof(val), PCI_COMMAND, true) == sizeof(val),
		     "a write of the command register");
}

static void t_disable(void)
{
	command(0);
	/* Nobody else runs between the end of the write and this. */
	if (!vdev->accessible)
		check_gone();
}

static void t_enable(void)
{
	command(PCI_COMMAND_MEMORY);
}

static void t_reset(void)
{
	model_assert(!vfio_device_reset(vdev), "a reset");
	model_assert(a_dead && !world_is_translated(0), "a mapping outlives the reset");
}

static void t_close(void)
{
	sv_mutex_lock(&vdev->set->lock);
	vfio_device_close(&df);
	exporter_open = false;
	sv_mutex_unlock(&vdev->set->lock);
	check_gone();
}

/* What iommufd does. */
static int export(void)
{
	struct {
		struct vfio_device_feature_dma_buf d;
		struct vfio_region_dma_range r;
	} req = { .d = { .nr_ranges = 1 }, .r = { .offset = 0, .length = sizeof(bar_memory) } };

	return (int)vfio_feature_dma_buf(vdev, VFIO_DEVICE_FEATURE_GET, &req, sizeof(req));
}

/* Another buffer of the same memory. */
static void t_export(void)
{
	if (!second)
		model_assert(export() == BUFFER_FD + 1, "export");
}

static void t_map(void)
{
	u64 iova = B + model_self() * PAGE;
	bool refused = gone;
	u32 times = back;
	long err = map_file(iova, PAGE);

	model_note("map: %ld", err);
	model_assert(is_one_of(err, -ENODEV, 0), "a refused mapping says ENODEV");
	model_assert(err || !refused || back != times, "a revoked buffer is mapped");
	if (!err)
		(void)dma(0, iova, gone);
}

static void t_unmap(void)
{
	struct iommu_ioas_unmap cmd = {
		.size = sizeof(cmd), .ioas_id = ioas[0], .iova = A, .length = PAGE,
	};
	long err = fd_ioctl(IOMMU_IOAS_UNMAP, &cmd, sizeof(cmd));

	model_note("unmap: %ld", err);
	model_assert(is_one_of(err, -EBUSY, 0), "unmap says 0, ENOENT or EBUSY");
	if (!err)
		model_assert(dma(0, A, a_dead), "DMA to an IOVA that is not mapped");
}

static void t_attach(void)
{
	struct peer *p = &peers[1];
	u32 id;
	long err = hwpt_alloc(1, &id);

	model_note("a new domain: %ld", err);
	model_assert(is_one_of(err, -EINVAL, 0), "a dead area keeps a new domain out");
	if (err)
		return;
	sv_mutex_lock(&peer_lock);
	/* Another thread's domain may have it. */
	if (!p->attached)
		err = iommufd_device_attach(p->idev, IOMMU_NO_PASID, &id);
	p->attached = true;
	sv_mutex_unlock(&peer_lock);
	model_assert(!err, "attach");
	(void)dma(1, A, a_dead);
}

static void detach(struct peer *p)
{
	sv_mutex_lock(&peer_lock);
	if (p->attached)
		iommufd_device_detach(p->idev, IOMMU_NO_PASID);
	p->attached = false;
	sv_mutex_unlock(&peer_lock);
}

static void t_detach(void)
{
	detach(&peers[0]);
	model_assert(dma(0, A, a_dead), "DMA of a device that is detached");
}

static void t_replace(void)
{
	struct peer *p = &peers[0];
	long err = 0;
	u32 id;

	sv_mutex_lock(&peer_lock);
	if (p->attached) {
		err = hwpt_alloc(0, &id);
		model_assert(is_one_of(err, -EINVAL, 0), "a dead area keeps a new domain out");
		if (!err) {
			err = iommufd_device_replace(p->idev, IOMMU_NO_PASID, &id);
			model_assert(!err, "replace");
		}
	}
	sv_mutex_unlock(&peer_lock);
	if (!err)
		(void)dma(0, A, a_dead);
}

static void t_copy(void)
{
	struct iommu_ioas_copy cmd = {
		.size = sizeof(cmd), .flags = RW, .dst_ioas_id = ioas[1], .src_ioas_id = ioas[0],
		.length = PAGE, .dst_iova = C + model_self() * PAGE, .src_iova = A,
	};
	long err = fd_ioctl(IOMMU_IOAS_COPY, &cmd, sizeof(cmd));

	model_note("copy: %ld", err);
	model_assert(is_one_of(err, 0, 0), "copy says 0 or ENOENT");
	if (!err)
		(void)dma(2, cmd.dst_iova, a_dead);
}

static void t_destroy(void)
{
	long err;

	detach(&peers[0]);
	err = destroy(ioas[0]);
	model_note("destroy: %ld", err);
	model_assert(is_one_of(err, -EBUSY, 0), "destroy says 0 or EBUSY");
}

static void unbind(struct peer *p)
{
	detach(p);
	sv_mutex_lock(&peer_lock);
	if (p->idev)
		iommufd_device_unbind(p->idev);
	p->idev = NULL;
	sv_mutex_unlock(&peer_lock);
}

static void t_close_iommufd(void)
{
	unbind(&peers[0]);
	if (fd_open) {
		fd_open = false;
		iommufd_ctx_put(ictx);
	}
}

static void t_dma(void)
{
	(void)dma(0, A, a_dead);
}

struct op {
	const char *name;
	void (*fn)(void);
	unsigned int peers;	/* mask: more than peer 0 are bound; 4: IOAS 2 has peer 2 */
	bool exporter;		/* uses the exporter's descriptor: not beside its last close */
	bool closes;		/* the IOAS goes: not beside another one like that */
};

static const struct op triggers[] = {
	{ "disable", t_disable, 0, true, false },
	{ "reset", t_reset, 0, true, false },
	{ "close", t_close, 0, true, false },
};

static const struct op ops[] = {
	{ "map", t_map, 0, false, false },
	{ "unmap", t_unmap, 0, false, false },
	{ "attach", t_attach, 2, false, false },
	{ "detach", t_detach, 0, false, false },
	{ "replace", t_replace, 0, false, false },
	{ "copy", t_copy, 4, false, false },
	{ "destroy", t_destroy, 0, false, true },
	{ "iommufd-close", t_close_iommufd, 0, false, true },
	{ "dma", t_dma, 0, false, false },
	{ "disable", t_disable, 0, true, false },
	{ "reset", t_reset, 0, true, false },
	{ "enable", t_enable, 0, true, false },
	{ "export", t_export, 0, true, false },
};

static unsigned int peer_mask;	/* of the scenario that runs */

static void setup_exporter(void)
{
	struct pci_dev_config cfg = {
		.vendor = 0x1234, .device = 1, .class_code = 0x058000,
		.bars[0] = { .kind = PCI_BAR_RAM, .size = sizeof(bar_memory) },
	};

	buffer = second = NULL;
	pdev = pci_dev_create(&cfg, &exporter_ops, NULL);
	model_assert(!IS_ERR(pdev) && !pci_dev_publish(pdev, 0, 1, 0, 1), "a function");
	vdev = vfio_device_get_by_pci(pdev);
	df = (struct vfio_df){ .vdev = vdev, .group = vdev->group };
	model_assert(!vfio_device_open(&df, NULL, NULL), "open");
	exporter_open = true;
	model_assert(export() == BUFFER_FD, "export");
}

static void setup_peer(unsigned int i, u32 pt_id)
{
	struct peer *p = &peers[i];

	p->dev = (struct iommu_dev){ .dev.init_name = "peer", .iommu = &vtd_iommu_ops };
	model_assert(!iommu_dev_init(&p->dev, 2 + i), "a peer");
	if (i && !(peer_mask & (1u << i)))
		return;
	p->idev = iommufd_device_bind(ictx, &p->dev, &p->id);
	model_assert(!IS_ERR(p->idev), "bind");
	if (pt_id)
		p->attached = !iommufd_device_attach(p->idev, IOMMU_NO_PASID, &pt_id);
}

static void setup(void)
{
	struct iommu_ioas_alloc alloc = { .size = sizeof(alloc) };

	ready = gone = a_dead = false;
	back = 0;
	memset(bar_memory, 0x55, sizeof(bar_memory));
	memset(peers, 0, sizeof(peers));
	sv_mutex_init(&peer_lock);
	setup_exporter();
	ictx = iommufd_ctx_create(0);
	fd_open = true;
	for (int i = 0; i < 2; i++) {
		model_assert(!fd_ioctl(IOMMU_IOAS_ALLOC, &alloc, sizeof(alloc)), "an IOAS");
		ioas[i] = alloc.out_ioas_id;
	}
	setup_peer(0, ioas[0]);
	setup_peer(1, 0);
	setup_peer(2, ioas[1]);
	model_assert(!map_file(A, 0) && !dma(0, A, false), "map");
	ready = true;
}

/* What the threads have left: dead stays dead, and a restored buffer lives. */
static void check_end(void)
{
	u32 id;

	model_assert(!second || second->revoked == buffer->revoked,
		     "a buffer exported meanwhile is not revoked");
	if (gone) {
		model_assert(!world_is_translated(0) && !world_is_translated(1),
			     "a domain leads into the BAR after the revoke");
		model_assert(untouched(1), "a DMA write lands after the revoke");
		if (fd_open)
			model_assert(map_file(D, 0), "a revoked buffer is mapped");
	}
	if (a_dead)
		model_assert(untouched(0) && !world_is_translated(0), "a DMA write lands after the revoke");
	if (exporter_open)
		command(PCI_COMMAND_MEMORY);
	model_assert(buffer->revoked == !exporter_open, "memory is back, the buffer is not");
	if (!fd_open || !peers[0].idev)
		return;
	if (!hwpt_alloc(0, &id))
		model_assert(!a_dead || !world_is_translated(0), "a new domain has a dead area");
	if (exporter_open && a_dead && peers[0].attached && !map_file(D, 0))
		model_assert(dma(0, A, true) && !dma(0, D, false), "a restored buffer can't be used");
}

static void end(void)
{
	check_end();
	ready = false;
	for (int i = 0; i < PEERS; i++)
		unbind(&peers[i]);
	if (fd_open)
		iommufd_ctx_put(ictx);
	for (int i = 0; i < PEERS; i++)
		iommu_dev_fini(&peers[i].dev);
	if (exporter_open)
		vfio_device_close(&df);
	dma_buf_put(buffer);
	if (second)
		dma_buf_put(second);
	vfio_device_put(vdev);
	pci_dev_destroy(pdev);
	model_assert(!world_is_translated(0) && !world_is_translated(1), "a page table is left");
}

static struct {
	u64 schedules, redundant, steps, limit;
	unsigned int scenarios, whole, incomplete;
	bool verbose, all;
	const char *only;
} run = { .limit = 2000 };

static void count(const struct model_result *r)
{
	run.schedules += r->schedules;
	run.redundant += r->redundant;
	run.steps += r->steps;
}

static bool may_meet(const struct op *a, const struct op *b)
{
	return !(a->exporter && b->exporter && (a->fn == t_close || b->fn == t_close)) &&
	       !(a->closes && b->closes);
}

/* All schedules; where there are more than the limit, all with at most two preemptions, or one. */
static void explore(const struct op *const *list, int n, u64 limit)
{
	struct model_scenario s = { .setup = setup, .end = end };
	char name[64] = "", how[48] = "all";
	struct model_result r;

	peer_mask = 0;
	for (int i = 0; i < n; i++) {
		for (int j = 0; j < i; j++)
			if (!may_meet(list[i], list[j]))
				return;
		snprintf(name + strlen(name), sizeof(name) - strlen(name), "%s%s", i ? "+" : "",
			 list[i]->name);
		s.thread[i] = list[i]->fn;
		peer_mask |= list[i]->peers;
	}
	if (run.only && strcmp(run.only, name))
		return;
	s.name = name;
	r = model_explore(&s, -1, limit);
	run.whole += r.complete;
	for (int bound = 2; !r.complete && bound >= 0; bound--) {
		count(&r);
		r = model_explore(&s, bound, 2 * limit);
		snprintf(how, sizeof(how), "at most %d preemption%s", bound, bound == 1 ? "" : "s");
	}
	count(&r);
	run.scenarios++;
	run.incomplete += !r.complete;
	if (run.verbose || !r.complete)
		printf("  %-28s %9llu schedules  %5u steps  %s%s\n", name, (unsigned long long)r.schedules,
		       r.deepest, how, r.complete ? "" : "  NOT COMPLETE");
	fflush(stdout);
}

/* The default's pairs: with DMA, with memory that comes back, and who frees what others look at. */
static bool is_pair_of_default(const struct op *a, const struct op *b)
{
	if (a->fn == t_dma || b->fn == t_dma)
		return true;
	if (b->fn == t_enable)
		return a->fn == t_map || a->fn == t_unmap || a->fn == t_attach || a->fn == t_copy;
	return a->fn == t_map && b->closes;
}

/* Each trigger with each operation, and with pairs of them; -a: with each pair. */
static void explore_all(void)
{
	for (size_t t = 0; t < ARRAY_SIZE(triggers); t++) {
		for (size_t i = 0; i < ARRAY_SIZE(ops); i++) {
			const struct op *list[] = { &triggers[t], &ops[i] };

			explore(list, 2, 4 * run.limit);
		}
	}
	for (size_t t = 0; t < ARRAY_SIZE(triggers); t++) {
		for (size_t i = 0; i < ARRAY_SIZE(ops); i++) {
			for (size_t j = i; j < ARRAY_SIZE(ops); j++) {
				const struct op *list[] = { &triggers[t], &ops[i], &ops[j] };

				if (run.all || run.only || is_pair_of_default(&ops[i], &ops[j]))
					explore(list, 3, run.limit);
			}
		}
	}
}

/* Once outside of any schedule: what is made for ever is made now. */
static void warm_up(void)
{
	static const struct model_scenario s = { .name = "alone", .setup = setup, .end = end };

	peer_mask = ~0u;
	model_begin(&s);
	setup();
	end();
}

int main(int argc, char **argv)
{
	int opt;

	while ((opt = getopt(argc, argv, "val:")) != -1) {
		switch (opt) {
		case 'v':
			run.verbose = true;
			break;
		case 'a':
			run.all = true;
			break;
		case 'l':
			run.limit = strtoull(optarg, NULL, 10);
			break;
		default:
			fprintf(stderr, "usage: vfio [-v] [-a] [-l LIMIT] [NAME]\n");
			return 2;
		}
	}
	run.only = argv[optind];
	warm_up();
	explore_all();
	printf("%u scenarios (%u of them whole), %llu schedules (%llu of them seen before), "
	       "%llu steps, %u incomplete, %.1f s of CPU time\n",
	       run.scenarios, run.whole, (unsigned long long)run.schedules,
	       (unsigned long long)run.redundant, (unsigned long long)run.steps, run.incomplete,
	       (double)clock() / CLOCKS_PER_SEC);
	printf("%u passed, %u failed\n", run.scenarios - run.incomplete, run.incomplete);
	return run.incomplete || !run.scenarios;
}
