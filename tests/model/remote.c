/* SPDX-License-Identifier: MIT */
/*
 * Every interleaving of a revoke with an importer in another process (src/dmabuf/remote_*.c).
 *
 *	remote [-v] [-b BOUND] [-l LIMIT] [NAME]
 *
 * Both processes live in this one: the exporter's buffer b, and the importer's proxy of it,
 * with a reservation of its own. The sockets and the thread are the model's: a message reaches
 * the other side's handler at once, and what that queues is run by a thread for each side, at
 * any later time. Messages that are on their way are so those in the queues.
 *
 * The steps are many, so most scenarios are run with at most one preemption (-b for more);
 * with none, threads still take turns wherever they wait, in every order.
 *
 * Checked in each: when a revoke returns 0, the importer has no address (or is dead), every
 * fence that it filed has signalled; requests are answered 0 or -ENODEV, never by running out
 * of time; an importer is told of no revoke older than its mapping; no deadlock; no use after
 * free, no leak.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/trace.h"
#include "dmabuf/remote.h"
#include "explore.h"

#define A 0	/* the exporter's side */
#define B 1	/* the importer's */

void dma_buf_file_fini(struct dma_buf *dmabuf) { }
void dma_buf_debug_add(struct dma_buf *dmabuf) { }
void dma_buf_debug_del(struct dma_buf *dmabuf) { }
void sv_trace_slow(struct sv_tracepoint *tp, const char *fmt, ...) { tp->state = SV_TRACE_OFF; }

/* The sockets and the thread. */
static struct remote_link *links[2];
static struct sv_mutex io_m;
static struct sv_cond io_c[2], cycle_c;
static bool kicked[2];
static int working;		/* threads that are no servers */
static bool dead;		/* the importer's process */
static bool may_die;	/* this one's importer may */
static bool alone;		/* no threads: the exporter's side answers at once */
static u64 next_link;
static unsigned int server_thread[2];

static void kick(int side)
{
	sv_mutex_lock(&io_m);
	kicked[side] = true;
	sv_cond_signal(&io_c[side]);
	sv_mutex_unlock(&io_m);
}

void remote_link_kick(void) { }
void remote_io_close(struct remote_link *link) { }

void remote_link_init(struct remote_link *link, const struct remote_role *role, int fd)
{
	remote_link_setup(link, role, fd);
	link->id = next_link++;
	links[fd] = link;
}

int remote_link_start(struct remote_link *link)
{
	remote_link_get(link);
	return 0;
}

void remote_send(struct remote_link *link, const struct remote_msg *msg)
{
	int other = link->fd == A ? B : A;

	if (may_die)
		SV_POINT(&dead, false);
	if (msg->type == REMOTE_HELLO || dead || remote_is_broken(link))
		return;
	if (links[other]->role->message(links[other], msg))
		model_fail("a side calls what the other says nonsense");
	if (!alone)
		kick(other);
	else if (other == A)
		links[A]->role->run(links[A]);
}

void remote_break(struct remote_link *link)
{
	model_fail("a link breaks");
}

bool remote_lock(struct dma_resv *resv)
{
	dma_resv_lock(resv, NULL);
	return true;
}

bool remote_in_thread(void)
{
	return model_self() == server_thread[A] || model_self() == server_thread[B];
}

void remote_proxy_forget(struct dma_buf *dmabuf) { }

static void serve(int side)
{
	bool go = true;

	server_thread[side] = model_self();
	while (go) {
		sv_mutex_lock(&io_m);
		while (!kicked[side] && working)
			sv_cond_wait(&io_c[side], &io_m);
		go = kicked[side];
		kicked[side] = false;
		sv_mutex_unlock(&io_m);
		if (side == A && dead) {
			links[A]->role->hangup(links[A]);
			return;
		}
		if (go && !dead)
			links[side]->role->run(links[side]);
	}
}

static void s_exporter(void) { serve(A); }
static void s_importer(void) { serve(B); }

static void done(void)
{
	sv_mutex_lock(&io_m);
	working--;
	sv_cond_broadcast(&io_c[A]);
	sv_cond_broadcast(&io_c[B]);
	sv_mutex_unlock(&io_m);
}

/* The exporter. */
static struct dma_buf *b, *proxy;
static int released;
static char memory[64];
static int x_pin(struct dma_buf_attachment *a) { return 0; }
static void x_unpin(struct dma_buf_attachment *a) { }
static struct sg_table *x_map(struct dma_buf_attachment *a, enum dma_data_direction dir)
{
	model_assert(!(b->revoked && !b->revoking), "a revoked buffer is mapped");
	return sg_table_create(memory, sizeof(memory));
}
static void x_unmap(struct dma_buf_attachment *a, struct sg_table *t, enum dma_data_direction dir)
{
	sg_table_destroy(t);
}
static void x_release(struct dma_buf *d) { released++; }
static const struct dma_buf_ops exporter_ops = {
	.pin = x_pin, .unpin = x_unpin, .map_dma_buf = x_map, .unmap_dma_buf = x_unmap,
	.release = x_release,
};

/* The importer, over there. */
static struct device dev = { .init_name = "model-device" };
static struct dma_buf_attachment *attach;
static struct sg_table *sgt;
static struct dma_fence *fence;
static bool busy, told;
static bool hasty;		/* it unmaps while its fence is unsignalled */
static u32 mapped_at;		/* revokes before the mapping that is there */

static const char *fence_name(struct dma_fence *f) { return "model"; }
static const struct dma_fence_ops fence_ops = {
	.get_driver_name = fence_name, .get_timeline_name = fence_name,
};

static void drop(void)
{
	struct sg_table *t = sgt;

	if (!t)
		return;
	sgt = NULL;
	dma_buf_unmap_attachment(attach, t, DMA_BIDIRECTIONAL);
	model_note("unmapped");
}

static void invalidate(struct dma_buf_attachment *a)
{
	model_note("told");
	model_assert(!sgt || b->revoke_count > mapped_at, "told of a revoke older than the mapping");
	if (busy && !hasty)
		told = true;
	else
		drop();
}
static const struct dma_buf_attach_ops importer_ops = { .invalidate_mappings = invalidate };

static struct dma_fence *file_fence(struct dma_buf *d)
{
	struct dma_fence *f = sv_alloc(sizeof(*f));

	dma_fence_init(f, &fence_ops, NULL, dma_fence_context_alloc(1), 1);
	if (dma_resv_reserve_fences(d->resv, 1))
		model_fail("no room for a fence");
	dma_resv_add_fence(d->resv, f, DMA_RESV_USAGE_BOOKKEEP);
	return f;
}

static void map_work(void)
{
	struct sg_table *t;

	dma_resv_lock(proxy->resv, NULL);
	t = dma_buf_map_attachment(attach, DMA_BIDIRECTIONAL);
	model_note("map: %d", PTR_ERR_OR_ZERO(t));
	if (!IS_ERR(t)) {
		sgt = t;
		mapped_at = (u32)b->revoke_count - b->revoked;
		busy = true;
		fence = file_fence(proxy);
	} else {
		model_assert(PTR_ERR(t) == -ENODEV, "a refused mapping says ENODEV");
	}
	dma_resv_unlock(proxy->resv);
	if (!busy)
		return;
	dma_fence_signal(fence);
	dma_resv_lock(proxy->resv, NULL);
	busy = false;
	if (told)
		drop();
	dma_resv_unlock(proxy->resv);
}

static void t_map(void)
{
	map_work();
	done();
}

static void t_unmap(void)
{
	dma_resv_lock(proxy->resv, NULL);
	drop();
	dma_resv_unlock(proxy->resv);
	done();
}

static void t_remap(void)
{
	dma_resv_lock(proxy->resv, NULL);
	drop();
	dma_resv_unlock(proxy->resv);
	map_work();
	done();
}

/* Maps and files a fence, which t_signal signals at any later time; unmaps when it is told. */
static bool filed;

static void t_hasty_map(void)
{
	struct sg_table *t;

	hasty = true;
	dma_resv_lock(proxy->resv, NULL);
	t = dma_buf_map_attachment(attach, DMA_BIDIRECTIONAL);
	model_note("map: %d", PTR_ERR_OR_ZERO(t));
	if (!IS_ERR(t)) {
		sgt = t;
		mapped_at = (u32)b->revoke_count - b->revoked;
		fence = file_fence(proxy);
	}
	dma_resv_unlock(proxy->resv);
	sv_mutex_lock(&io_m);
	filed = true;
	sv_cond_broadcast(&cycle_c);
	sv_mutex_unlock(&io_m);
	done();
}

static void t_signal(void)
{
	sv_mutex_lock(&io_m);
	while (!filed)
		sv_cond_wait(&cycle_c, &io_m);
	sv_mutex_unlock(&io_m);
	if (fence)
		dma_fence_signal(fence);
	done();
}

/* A revoke and its end, and an importer that unmaps before and maps after it. */
static bool cycled;

static void t_cycle(void)
{
	if (dma_buf_revoke(b, DMA_DEADLINE_NEVER) || dma_buf_restore(b))
		model_fail("a revoke and a restore");
	sv_mutex_lock(&io_m);
	cycled = true;
	sv_cond_broadcast(&cycle_c);
	sv_mutex_unlock(&io_m);
	done();
}

static void t_unmap_and_map(void)
{
	dma_resv_lock(proxy->resv, NULL);
	drop();
	dma_resv_unlock(proxy->resv);
	sv_mutex_lock(&io_m);
	while (!cycled)
		sv_cond_wait(&cycle_c, &io_m);
	sv_mutex_unlock(&io_m);
	map_work();
	model_assert(fence, "a restored buffer is mapped");
	done();
}

static void t_detach(void)
{
	struct dma_buf_attachment *a = attach;

	dma_resv_lock(proxy->resv, NULL);
	drop();
	dma_resv_unlock(proxy->resv);
	attach = NULL;
	dma_buf_detach(proxy, a);
	done();
}

static void t_attach(void)
{
	struct dma_buf_attachment *a = dma_buf_dynamic_attach(proxy, &dev, &importer_ops, NULL);

	model_note("attach: %d", PTR_ERR_OR_ZERO(a));
	if (IS_ERR(a))
		model_assert(PTR_ERR(a) == -ENODEV, "a refused attach says ENODEV");
	else
		dma_buf_detach(proxy, a);
	done();
}

static void t_fence(void)
{
	struct dma_fence *f;

	dma_resv_lock(proxy->resv, NULL);
	f = file_fence(proxy);
	dma_resv_unlock(proxy->resv);
	dma_fence_signal(f);
	dma_fence_put(f);
	done();
}

/* A fence of the exporter's, which the importer's process waits for after a sync. */
static void t_their_fence(void)
{
	struct dma_fence *f;

	dma_resv_lock(b->resv, NULL);
	f = file_fence(b);
	dma_resv_unlock(b->resv);
	dma_fence_signal(f);
	dma_fence_put(f);
	done();
}

static void t_sync(void)
{
	int err = proxy->ops->sync(proxy);

	model_assert(!err || err == -ENODEV, "a sync says 0 or ENODEV");
	if (dma_resv_wait_until(proxy->resv, DMA_RESV_USAGE_BOOKKEEP, DMA_DEADLINE_NEVER))
		model_fail("a wait without a deadline fails");
	done();
}

static void t_revoke(void)
{
	int err = dma_buf_revoke(b, DMA_DEADLINE_NEVER);

	model_note("revoke returns %d", err);
	model_assert(!err, "revoke without a deadline fails");
	model_assert(dead || !sgt, "the importer has an address after the revoke");
	model_assert(!b->nr_mapped, "a mapping is counted after the revoke");
	model_assert(dead || !fence || (fence->flags & 1), "a fence is unsignalled after the revoke");
	done();
}

static void t_restore(void)
{
	int err = dma_buf_restore(b);

	model_note("restore: %d", err);
	model_assert(!err || err == -EBUSY, "restore says 0 or EBUSY");
	done();
}

/*
 * The process ends at any moment, whatever it holds. That its fences signal needs no lock: the
 * thread does it even while what it was asked to do waits for one, and so it is done here.
 */
static void t_die(void)
{
	sv_mutex_lock(&io_m);
	SV_POINT(&dead, true);
	dead = true;
	kicked[A] = true;
	sv_cond_signal(&io_c[A]);
	sv_mutex_unlock(&io_m);
	WRITE_ONCE(links[A]->broken, true);
	remote_sent_drop(links[A]);
	remote_fences_die(links[A]);
	done();
}

static const struct {
	const char *name;
	int bound;		/* preemptions; -1: all schedules */
	bool mapped, fence;
	void (*thread[3])(void);
} scenarios[] = {
	{ "revoke+nothing", -1, true, false, { t_revoke } },
	{ "revoke+map", 1, false, false, { t_revoke, t_map } },
	{ "revoke+unmap", 1, true, false, { t_revoke, t_unmap } },
	{ "revoke+remap", 0, true, false, { t_revoke, t_remap } },
	{ "revoke+attach", 1, false, false, { t_revoke, t_attach } },
	{ "revoke+detach", 1, true, false, { t_revoke, t_detach } },
	{ "revoke+fence", 1, true, false, { t_revoke, t_fence } },
	{ "revoke+revoke", 1, true, false, { t_revoke, t_revoke } },
	{ "revoke+restore", 1, true, false, { t_revoke, t_restore } },
	{ "revoke+die", 1, true, false, { t_revoke, t_die } },
	{ "revoke+die with a fence", 1, true, true, { t_revoke, t_die } },
	{ "their fence+sync", 1, false, false, { t_their_fence, t_sync } },
	{ "revoke+restore+map", 0, false, false, { t_revoke, t_restore, t_map } },
	{ "revoke+hasty map", 0, false, false, { t_revoke, t_hasty_map, t_signal } },
	{ "cycle+unmap and map", 0, true, false, { t_cycle, t_unmap_and_map } },
	{ "revoke+restore+remap", 0, true, false, { t_revoke, t_restore, t_remap } },
	{ "revoke+revoke+map", 0, false, false, { t_revoke, t_revoke, t_map } },
};
static size_t now;

/* Alone, what the server threads would do. */
static void settle(void)
{
	for (int i = 0; i < 4; i++) {
		links[A]->role->run(links[A]);
		if (!dead)
			links[B]->role->run(links[B]);
	}
}

static void setup(void)
{
	DEFINE_DMA_BUF_EXPORT_INFO(info);
	struct remote_proxy_info from = { .exp_name = "model", .memfd = -1, .size = 4096 };

	alone = true;
	sgt = NULL;
	attach = NULL;
	fence = NULL;
	busy = told = dead = hasty = cycled = filed = false;
	released = 0;
	mapped_at = 0;
	next_link = 1;
	working = 0;
	sv_mutex_init(&io_m);
	sv_cond_init(&cycle_c);
	for (int i = 0; i < 2; i++) {
		sv_cond_init(&io_c[i]);
		kicked[i] = false;
		server_thread[i] = ~0u;
	}
	info.ops = &exporter_ops;
	info.size = sizeof(memory);
	info.priv = memory;
	b = dma_buf_export(&info);
	get_dma_buf(b);
	if (!remote_server_new(b, 1, A))
		model_fail("server");
	proxy = remote_proxy_new(&from, B);
	if (IS_ERR(proxy) || remote_proxy_start(proxy))
		model_fail("proxy");
	settle();
	attach = dma_buf_dynamic_attach(proxy, &dev, &importer_ops, NULL);
	model_assert(!IS_ERR(attach), "attach");
	if (scenarios[now].mapped) {
		sgt = dma_buf_map_attachment_unlocked(attach, DMA_BIDIRECTIONAL);
		model_assert(!IS_ERR(sgt), "map");
		model_assert(b->nr_mapped == 1, "the mapping is counted at the exporter's");
	}
	if (scenarios[now].fence) {
		dma_resv_lock(proxy->resv, NULL);
		fence = file_fence(proxy);
		dma_resv_unlock(proxy->resv);
	}
	settle();
	for (int i = 0; i < 3 && scenarios[now].thread[i]; i++)
		working++;
	may_die = false;
	for (int i = 0; i < 3; i++)
		may_die |= scenarios[now].thread[i] == t_die;
	alone = false;
	kicked[A] = kicked[B] = false;
}

static void end(void)
{
	struct remote_op *op;

	alone = true;
	settle();
	if (attach) {
		dma_resv_lock(proxy->resv, NULL);
		drop();
		dma_resv_unlock(proxy->resv);
		dma_buf_detach(proxy, attach);
	}
	if (fence)
		dma_fence_signal(fence);
	settle();
	if (dead) {
		remote_sent_drop(links[B]);
		remote_fences_die(links[B]);
		links[B]->role->hangup(links[B]);
		while ((op = remote_first_op(links[B])))
			remote_op_done(links[B], op);
	}
	dma_fence_put(fence);
	dma_buf_put(proxy);
	model_assert(!b->nr_attached && !b->nr_mapped, "nothing of the importer is left");
	remote_link_put(links[A]);
	remote_link_put(links[B]);
	dma_buf_put(b);
	model_assert(released == 1, "the exporter's release is called once");
}

int main(int argc, char **argv)
{
	unsigned int incomplete = 0, scenarios_run = 0;
	u64 schedules = 0, redundant = 0, steps = 0, limit = 400000;
	bool verbose = false;
	int opt, asked = -2;

	while ((opt = getopt(argc, argv, "vb:l:")) != -1) {
		if (opt == 'v')
			verbose = true;
		else if (opt == 'b')
			asked = atoi(optarg);
		else if (opt == 'l')
			limit = strtoull(optarg, NULL, 10);
		else
			return 2;
	}
	for (now = 0; now < ARRAY_SIZE(scenarios); now++) {
		struct model_scenario s = {
			.name = scenarios[now].name, .setup = setup, .end = end,
			.thread = { s_exporter, s_importer },
		};
		struct model_result m;
		int bound = asked >= -1 ? asked : scenarios[now].bound;
		char how[32] = "all";

		if (argv[optind] && strcmp(argv[optind], s.name))
			continue;
		memcpy(s.thread + 2, scenarios[now].thread, sizeof(scenarios[now].thread));
		m = model_explore(&s, bound, limit);
		if (bound >= 0)
			snprintf(how, sizeof(how), "at most %d preemptions", bound);
		scenarios_run++;
		schedules += m.schedules;
		redundant += m.redundant;
		steps += m.steps;
		incomplete += !m.complete;
		if (verbose)
			printf("  %-28s %9llu schedules  %5u steps  %s%s\n", s.name,
			       (unsigned long long)m.schedules, m.deepest, how,
			       m.complete ? "" : "  NOT COMPLETE");
		fflush(stdout);
	}
	printf("%u scenarios, %llu schedules (%llu of them seen before), %llu steps, %u incomplete\n",
	       scenarios_run, (unsigned long long)schedules, (unsigned long long)redundant,
	       (unsigned long long)steps, incomplete);
	printf("%u passed, %u failed\n", scenarios_run - incomplete, incomplete);
	return incomplete || !scenarios_run;
}
