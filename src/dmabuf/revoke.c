/* SPDX-License-Identifier: MIT */
/*
 * Taking a buffer back: see docs/revoke.md.
 *
 * Model. A revoke goes: announce (revoked is set; who comes later is refused), tell
 * (invalidate_mappings, under the reservation lock, once for each time the flag was set),
 * wait for fences of all classes under that lock, wait without it until nr_mapped is 0, look
 * at the fences once more, take away the CPU mappings. Each wait ends at the deadline; what
 * comes after it is still done, as far as it does not wait.
 *
 * Several revokes may be under way; each makes all of the waits itself, so that each one's
 * 0 means what it says. A restore succeeds only while none is (revoking is 0) and nothing
 * from before is mapped. Both flags change under wait_m; a restore holds the reservation
 * lock from its first look to its last, so that a revoke which announces itself in between
 * finds the flag still set and, behind the lock, nothing restored.
 *
 * Invariant: between the return of 0 and the next restore, no attachment holds a mapping,
 * none gets one, and every fence that was in the reservation has signalled.
 *
 * Locks: reservation lock, then wait_m. cpu_lock is taken with neither (revoke) or with the
 * reservation lock (restore).
 */
#include "dmabuf/buf.h"

#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/trace.h"

/* How long a message may take to find out whom to name, when the lock itself is stuck. */
#define LATE_LOOK_NS 10000000ull
#define LATE_NAMED 8

static void revoke_announce(struct dma_buf *dmabuf)
{
	sv_mutex_lock(&dmabuf->wait_m);
	dmabuf->revoking++;
	if (!dmabuf->revoked) {
		SV_POINT(&dmabuf->revoked, true);
		WRITE_ONCE(dmabuf->revoked, true);
		dmabuf->must_invalidate = true;
		dmabuf->revoke_count++;
	}
	sv_mutex_unlock(&dmabuf->wait_m);
}

static void revoke_end(struct dma_buf *dmabuf)
{
	sv_mutex_lock(&dmabuf->wait_m);
	dmabuf->revoking--;
	sv_mutex_unlock(&dmabuf->wait_m);
}

/* Is it for us to tell the importers? Reservation lock held. */
static bool take_must_invalidate(struct dma_buf *dmabuf)
{
	bool must;

	sv_mutex_lock(&dmabuf->wait_m);
	must = dmabuf->must_invalidate;
	dmabuf->must_invalidate = false;
	sv_mutex_unlock(&dmabuf->wait_m);
	return must;
}

static bool unmapped(struct dma_buf *dmabuf)
{
	SV_POINT(&dmabuf->nr_mapped, false);
	return !__atomic_load_n(&dmabuf->nr_mapped, __ATOMIC_ACQUIRE);
}

static int wait_unmapped(struct dma_buf *dmabuf, u64 deadline_ns)
{
	int err = 0;

	sv_mutex_lock(&dmabuf->wait_m);
	while (!unmapped(dmabuf) && !err)
		err = sv_cond_wait_until(&dmabuf->wait_c, &dmabuf->wait_m, deadline_ns);
	if (unmapped(dmabuf))
		err = 0;
	sv_mutex_unlock(&dmabuf->wait_m);
	return err;
}

static int revoke_cpu(struct dma_buf *dmabuf)
{
	int err;

	if (!dmabuf->ops->revoke_cpu)
		return 0;
	sv_mutex_lock(&dmabuf->cpu_lock);
	err = dmabuf->ops->revoke_cpu(dmabuf);
	sv_mutex_unlock(&dmabuf->cpu_lock);
	return err;
}

static void late_describe(const struct dma_buf_late *late, struct seq_file *m)
{
	switch (late->kind) {
	case DMA_BUF_LATE_MAPPING:
		seq_printf(m, "importer %s (%s%s) holds %u mapping%s", late->name,
			   late->pinned ? "pinned, " : late->dynamic ? "dynamic, " : "static, ",
			   late->revocable ? "revocable" : "not revocable", late->count,
			   late->count == 1 ? "" : "s");
		break;
	case DMA_BUF_LATE_FENCE:
		seq_printf(m, "fence %s %llu:%llu has not signalled", late->name,
			   (unsigned long long)late->context, (unsigned long long)late->seqno);
		break;
	case DMA_BUF_LATE_LOCK:
		seq_puts(m, "somebody keeps the reservation lock");
		break;
	}
}

static void late_message(struct dma_buf *dmabuf)
{
	struct dma_buf_late late[LATE_NAMED];
	unsigned int n = dma_buf_late(dmabuf, late, LATE_NAMED);
	struct seq_file m = { NULL };

	for (unsigned int i = 0; i < min(n, (unsigned int)LATE_NAMED); i++) {
		if (i)
			seq_puts(&m, "; ");
		late_describe(&late[i], &m);
	}
	if (n > LATE_NAMED)
		seq_printf(&m, "; and %u more", n - LATE_NAMED);
	sv_warn("revoke of dma-buf %llu (%s, %zu bytes) ran out of time: %s",
		(unsigned long long)dmabuf->id, dmabuf->exp_name, dmabuf->size,
		m.buf ? m.buf : "everybody has finished since");
	sv_free(m.buf);
}

int dma_buf_revoke(struct dma_buf *dmabuf, u64 deadline_ns)
{
	int err, cpu_err;

	if (dmabuf->ops->mmap && !dmabuf->ops->revoke_cpu)
		return -EOPNOTSUPP;
	sv_trace("dmabuf.revoke", "buffer %llu", (unsigned long long)dmabuf->id);
	revoke_announce(dmabuf);

	err = ww_mutex_lock_until(&dmabuf->resv->lock, NULL, deadline_ns);
	if (!err) {
		if (take_must_invalidate(dmabuf))
			dma_buf_invalidate_mappings(dmabuf);
		err = dma_resv_wait_until(dmabuf->resv, DMA_RESV_USAGE_BOOKKEEP, deadline_ns);
		dma_resv_unlock(dmabuf->resv);
	}
	if (!err)
		err = wait_unmapped(dmabuf, deadline_ns);
	/* A device that was late to file its last fence: it had a mapping until now. */
	if (!err)
		err = dma_resv_wait_until(dmabuf->resv, DMA_RESV_USAGE_BOOKKEEP, deadline_ns);
	cpu_err = revoke_cpu(dmabuf);
	if (err)
		late_message(dmabuf);
	revoke_end(dmabuf);
	return err ? err : cpu_err;
}

int dma_buf_restore(struct dma_buf *dmabuf)
{
	int err = 0;

	dma_resv_lock(dmabuf->resv, NULL);
	sv_mutex_lock(&dmabuf->wait_m);
	if (dmabuf->revoking || (dmabuf->revoked && dmabuf->nr_mapped))
		err = -EBUSY;
	sv_mutex_unlock(&dmabuf->wait_m);
	if (err || !dma_buf_is_revoked(dmabuf))
		goto unlock;
	if (dmabuf->ops->restore_cpu) {
		sv_mutex_lock(&dmabuf->cpu_lock);
		err = dmabuf->ops->restore_cpu(dmabuf);
		sv_mutex_unlock(&dmabuf->cpu_lock);
		if (err)
			goto unlock;
	}
	sv_mutex_lock(&dmabuf->wait_m);
	/* A revoke that came meanwhile waits for our lock and finds the buffer revoked. */
	if (dmabuf->revoking) {
		err = -EBUSY;
	} else {
		SV_POINT(&dmabuf->revoked, true);
		WRITE_ONCE(dmabuf->revoked, false);
		dmabuf->must_invalidate = false;
	}
	sv_mutex_unlock(&dmabuf->wait_m);
unlock:
	dma_resv_unlock(dmabuf->resv);
	return err;
}

static void late_name(struct dma_buf_late *late, const char *a, const char *b)
{
	if (b)
		snprintf(late->name, sizeof(late->name), "%.22s/%.22s", a, b);
	else
		snprintf(late->name, sizeof(late->name), "%.46s", a);
}

static unsigned int late_mappings(struct dma_buf *dmabuf, struct dma_buf_late *late,
				  unsigned int room)
{
	struct dma_buf_attachment *attach;
	unsigned int n = 0;

	list_for_each_entry(attach, &dmabuf->attachments, node) {
		if (!attach->mapped)
			continue;
		if (n < room) {
			struct dma_buf_late *l = &late[n];

			memset(l, 0, sizeof(*l));
			l->kind = DMA_BUF_LATE_MAPPING;
			late_name(l, dev_name(attach->dev), NULL);
			l->dynamic = dma_buf_attachment_is_dynamic(attach);
			l->pinned = attach->pinned;
			l->revocable = dma_buf_attach_revocable(attach);
			l->count = attach->mapped;
		}
		n++;
	}
	return n;
}

static unsigned int late_fences(struct dma_buf *dmabuf, struct dma_buf_late *late,
				unsigned int room)
{
	struct dma_resv_iter cursor;
	struct dma_fence *fence;
	unsigned int n = 0;

	dma_resv_iter_begin(&cursor, dmabuf->resv, DMA_RESV_USAGE_BOOKKEEP);
	dma_resv_for_each_fence_unlocked(&cursor, fence) {
		if (dma_resv_iter_is_restarted(&cursor))
			n = 0;
		if (n < room) {
			struct dma_buf_late *l = &late[n];

			memset(l, 0, sizeof(*l));
			l->kind = DMA_BUF_LATE_FENCE;
			late_name(l, dma_fence_driver_name(fence), dma_fence_timeline_name(fence));
			l->context = fence->context;
			l->seqno = fence->seqno;
		}
		n++;
	}
	dma_resv_iter_end(&cursor);
	return n;
}

unsigned int dma_buf_late(struct dma_buf *dmabuf, struct dma_buf_late *late, unsigned int room)
{
	unsigned int n = 0;

	if (!ww_mutex_lock_until(&dmabuf->resv->lock, NULL, (u64)ktime_get() + LATE_LOOK_NS)) {
		n = late_mappings(dmabuf, late, room);
		dma_resv_unlock(dmabuf->resv);
	} else {
		if (room) {
			memset(late, 0, sizeof(*late));
			late->kind = DMA_BUF_LATE_LOCK;
		}
		n = 1;
	}
	return n + late_fences(dmabuf, late + min(n, room), room - min(n, room));
}
