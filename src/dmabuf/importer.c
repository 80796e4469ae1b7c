/* SPDX-License-Identifier: MIT */
/*
 * The copy engine of importer.h.
 *
 * Model. Work is submitted under the reservation lock: there is a mapping, the fence is
 * filed, the job is queued, in one step that no invalidate can split. The device's thread
 * takes jobs in order, copies under a fault guard (a buffer may be torn from under it) and
 * signals.
 *
 * invalidate_mappings sets stale. Jobs in the queue are then finished (dynamic) or canceled
 * (pinned), and when none is left the mapping goes: at once if the device is idle, else by
 * the thread, which may take the reservation lock once its fences have signalled.
 *
 * Locks: reservation lock, then m. The thread holds neither while it copies or signals.
 */
#include "dmabuf/importer.h"

#include <string.h>

#include "base/guard.h"

struct dma_importer {
	struct device dev;
	enum dma_importer_kind kind;
	struct dma_buf *dmabuf;
	struct dma_buf_attachment *attach;
	struct sv_thread thread;
	char *mem;
	size_t mem_size;
	u64 context, seqno;		/* reservation lock */
	struct sg_table *sgt;		/* reservation lock; the thread's while it is busy */
	bool pinned;			/* reservation lock */

	struct sv_mutex m;
	struct sv_cond c;
	/* Under m. */
	struct list_head jobs;
	bool busy, stale, stalled, stop;
};

struct job {
	struct dma_fence fence;
	struct dma_importer *imp;
	struct list_head node;
	enum dma_importer_dir dir;
	size_t buf_off, mem_off, len;
};

static const char *job_driver_name(struct dma_fence *fence)
{
	return "softvirt-importer";
}

static const char *job_timeline_name(struct dma_fence *fence)
{
	/* The name must outlive the device: fences do. */
	return "copy-engine";
}

static const struct dma_fence_ops job_ops = {
	.get_driver_name = job_driver_name,
	.get_timeline_name = job_timeline_name,
};

/* The part of a table's entry that [*off, *off + len) begins in; skips whole entries. */
static char *sg_at(struct sg_table *sgt, size_t off, size_t *room)
{
	struct scatterlist *sg;
	unsigned int i;

	for_each_sgtable_dma_sg(sgt, sg, i) {
		if (off < sg_dma_len(sg)) {
			*room = sg_dma_len(sg) - off;
			return (char *)(uintptr_t)sg_dma_address(sg) + off;
		}
		off -= sg_dma_len(sg);
	}
	return NULL;
}

/* The buffer may be torn from under it. */
static int bus_copy(void *to, const void *from, size_t n)
{
	struct sv_guard g;

	if (sv_guard_enter(&g))
		return -EFAULT;
	memcpy(to, from, n);
	sv_guard_leave(&g);
	return 0;
}

static int job_run(struct dma_importer *imp, struct job *job)
{
	size_t done = 0;

	while (done < job->len) {
		size_t room = 0, n;
		char *buf = sg_at(imp->sgt, job->buf_off + done, &room);
		char *mem = imp->mem + job->mem_off + done;

		if (!buf)
			return -EFAULT;
		n = min(room, job->len - done);
		if (bus_copy(job->dir == DMA_IMPORTER_READ ? mem : buf,
			     job->dir == DMA_IMPORTER_READ ? buf : mem, n))
			return -EFAULT;
		done += n;
	}
	return 0;
}

static void job_end(struct job *job, int err)
{
	if (err)
		dma_fence_set_error(&job->fence, err);
	dma_fence_signal(&job->fence);
	dma_fence_put(&job->fence);
}

/* Reservation lock held; the device is idle. */
static void drop_mapping(struct dma_importer *imp)
{
	if (imp->sgt) {
		dma_buf_unmap_attachment(imp->attach, imp->sgt, DMA_BIDIRECTIONAL);
		imp->sgt = NULL;
	}
	if (imp->pinned) {
		dma_buf_unpin(imp->attach);
		imp->pinned = false;
	}
}

static bool idle(struct dma_importer *imp)
{
	return !imp->busy && list_empty(&imp->jobs);
}

static void cancel_jobs(struct list_head *jobs, int err)
{
	struct job *job, *next;

	list_for_each_entry_safe(job, next, jobs, node)
		job_end(job, err);
}

static void importer_invalidate(struct dma_buf_attachment *attach)
{
	struct dma_importer *imp = attach->importer_priv;
	bool drop;
	LIST_HEAD(canceled);

	sv_mutex_lock(&imp->m);
	imp->stale = imp->sgt != NULL;
	if (imp->kind == DMA_IMPORTER_PINNED_REVOCABLE)
		list_splice_init(&imp->jobs, &canceled);
	drop = imp->stale && idle(imp);
	if (drop)
		imp->stale = false;
	sv_mutex_unlock(&imp->m);
	cancel_jobs(&canceled, -ECANCELED);
	if (drop)
		drop_mapping(imp);
}

static const struct dma_buf_attach_ops revocable_ops = {
	.allow_peer2peer = true,
	.invalidate_mappings = importer_invalidate,
};

static const struct dma_buf_attach_ops legacy_ops = {
	.allow_peer2peer = true,
};

/* m held: the next job, or NULL when the thread shall end. */
static struct job *next_job(struct dma_importer *imp)
{
	struct job *job;

	while (!imp->stop && (imp->stalled || list_empty(&imp->jobs)))
		sv_cond_wait(&imp->c, &imp->m);
	if (imp->stop)
		return NULL;
	job = list_first_entry(&imp->jobs, struct job, node);
	list_del(&job->node);
	imp->busy = true;
	return job;
}

static void *importer_main(void *arg)
{
	struct dma_importer *imp = arg;
	struct job *job;
	bool drop;

	sv_mutex_lock(&imp->m);
	while ((job = next_job(imp))) {
		sv_mutex_unlock(&imp->m);
		job_end(job, job_run(imp, job));
		sv_mutex_lock(&imp->m);
		imp->busy = false;
		if (!imp->stale || !idle(imp))
			continue;
		/* A revoke waits for this, without the reservation lock by now. */
		sv_mutex_unlock(&imp->m);
		dma_resv_lock(imp->dmabuf->resv, NULL);
		sv_mutex_lock(&imp->m);
		drop = imp->stale && idle(imp);
		if (drop)
			imp->stale = false;
		sv_mutex_unlock(&imp->m);
		if (drop)
			drop_mapping(imp);
		dma_resv_unlock(imp->dmabuf->resv);
		sv_mutex_lock(&imp->m);
	}
	sv_mutex_unlock(&imp->m);
	return NULL;
}

/* Reservation lock held. */
static int get_mapping(struct dma_importer *imp)
{
	struct sg_table *sgt;
	int err;

	if (imp->sgt)
		return 0;
	if (imp->kind == DMA_IMPORTER_PINNED_REVOCABLE || imp->kind == DMA_IMPORTER_PINNED_LEGACY) {
		err = dma_buf_pin(imp->attach);
		if (err)
			return err;
		imp->pinned = true;
	}
	sgt = dma_buf_map_attachment(imp->attach, DMA_BIDIRECTIONAL);
	if (IS_ERR(sgt)) {
		drop_mapping(imp);
		return (int)PTR_ERR(sgt);
	}
	imp->sgt = sgt;
	return 0;
}

int dma_importer_remap(struct dma_importer *imp)
{
	int err;

	dma_resv_lock(imp->dmabuf->resv, NULL);
	err = get_mapping(imp);
	dma_resv_unlock(imp->dmabuf->resv);
	return err;
}

static bool job_fits(struct dma_importer *imp, size_t buf_off, size_t mem_off, size_t len)
{
	return len && len <= imp->mem_size && mem_off <= imp->mem_size - len &&
	       len <= imp->dmabuf->size && buf_off <= imp->dmabuf->size - len;
}

struct dma_fence *dma_importer_copy(struct dma_importer *imp, enum dma_importer_dir dir,
				    size_t buf_off, size_t mem_off, size_t len)
{
	struct dma_resv *resv = imp->dmabuf->resv;
	struct job *job;
	int err;

	if (!job_fits(imp, buf_off, mem_off, len))
		return ERR_PTR(-EINVAL);
	job = sv_zalloc(sizeof(*job));
	if (!job)
		return ERR_PTR(-ENOMEM);
	job->imp = imp;
	job->dir = dir;
	job->buf_off = buf_off;
	job->mem_off = mem_off;
	job->len = len;

	dma_resv_lock(resv, NULL);
	sv_mutex_lock(&imp->m);
	err = 0;
	if (imp->kind != DMA_IMPORTER_DYNAMIC && !imp->sgt)
		err = -ENODEV;
	else if (imp->stale)	/* a mapping that has to go takes no more work */
		err = dma_buf_is_revoked(imp->dmabuf) ? -ENODEV : -EBUSY;
	sv_mutex_unlock(&imp->m);
	if (!err)
		err = get_mapping(imp);
	if (!err)
		err = dma_resv_reserve_fences(resv, 1);
	if (err) {
		dma_resv_unlock(resv);
		sv_free(job);
		return ERR_PTR(err);
	}
	dma_fence_init(&job->fence, &job_ops, NULL, imp->context, ++imp->seqno);
	dma_fence_get(&job->fence);	/* the caller's; the first is the queue's */
	dma_resv_add_fence(resv, &job->fence, dir == DMA_IMPORTER_WRITE ? DMA_RESV_USAGE_WRITE :
			   DMA_RESV_USAGE_READ);
	sv_mutex_lock(&imp->m);
	list_add_tail(&job->node, &imp->jobs);
	sv_cond_signal(&imp->c);
	sv_mutex_unlock(&imp->m);
	dma_resv_unlock(resv);
	return &job->fence;
}

static const struct dma_buf_attach_ops *ops_of(enum dma_importer_kind kind)
{
	switch (kind) {
	case DMA_IMPORTER_DYNAMIC:
	case DMA_IMPORTER_PINNED_REVOCABLE:
		return &revocable_ops;
	case DMA_IMPORTER_PINNED_LEGACY:
		return &legacy_ops;
	default:
		return NULL;
	}
}

static void importer_free(struct dma_importer *imp)
{
	if (!IS_ERR_OR_NULL(imp->attach)) {
		dma_resv_lock(imp->dmabuf->resv, NULL);
		drop_mapping(imp);
		dma_resv_unlock(imp->dmabuf->resv);
		dma_buf_detach(imp->dmabuf, imp->attach);
	}
	dma_buf_put(imp->dmabuf);
	sv_free((void *)imp->dev.init_name);
	sv_free(imp->mem);
	sv_free(imp);
}

struct dma_importer *dma_importer_create(struct dma_buf *dmabuf, enum dma_importer_kind kind,
					 const char *name, size_t mem_size)
{
	struct dma_importer *imp = sv_zalloc(sizeof(*imp));
	int err = sv_guard_init();

	if (!imp)
		return ERR_PTR(-ENOMEM);
	get_dma_buf(dmabuf);
	imp->dmabuf = dmabuf;
	imp->kind = kind;
	imp->context = dma_fence_context_alloc(1);
	imp->mem_size = mem_size;
	sv_mutex_init(&imp->m);
	sv_cond_init(&imp->c);
	INIT_LIST_HEAD(&imp->jobs);
	imp->mem = sv_zalloc(mem_size);
	imp->dev.init_name = sv_strdup(name);
	if (!err && (!imp->mem || !imp->dev.init_name))
		err = -ENOMEM;
	if (err)
		goto free;
	imp->attach = dma_buf_dynamic_attach(dmabuf, &imp->dev, ops_of(kind), imp);
	err = PTR_ERR_OR_ZERO(imp->attach);
	if (!err && kind != DMA_IMPORTER_DYNAMIC)
		err = dma_importer_remap(imp);
	if (!err)
		err = sv_thread_create(&imp->thread, name, importer_main, imp);
	if (!err)
		return imp;
free:
	importer_free(imp);
	return ERR_PTR(err);
}

void dma_importer_destroy(struct dma_importer *imp)
{
	LIST_HEAD(canceled);

	sv_mutex_lock(&imp->m);
	imp->stop = true;
	sv_cond_signal(&imp->c);
	sv_mutex_unlock(&imp->m);
	sv_thread_join(&imp->thread);
	/* A revoke may cancel them at the same time. */
	sv_mutex_lock(&imp->m);
	list_splice_init(&imp->jobs, &canceled);
	sv_mutex_unlock(&imp->m);
	cancel_jobs(&canceled, -ECANCELED);
	importer_free(imp);
}

void *dma_importer_mem(struct dma_importer *imp)
{
	return imp->mem;
}

bool dma_importer_is_mapped(struct dma_importer *imp)
{
	bool mapped;

	dma_resv_lock(imp->dmabuf->resv, NULL);
	mapped = imp->sgt != NULL;
	dma_resv_unlock(imp->dmabuf->resv);
	return mapped;
}

void dma_importer_stall(struct dma_importer *imp, bool stall)
{
	sv_mutex_lock(&imp->m);
	imp->stalled = stall;
	sv_cond_signal(&imp->c);
	sv_mutex_unlock(&imp->m);
}
