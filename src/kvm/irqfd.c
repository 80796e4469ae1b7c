/* SPDX-License-Identifier: MIT */
/*
 * irqfd: an eventfd whose signal becomes an interrupt; and the routes from a GSI to where
 * the interrupt goes.
 *
 * Model: the kernel hooks into the eventfd's wait queue. Here a thread of the VM, started
 * with the first irqfd and named "kvm-irqfd", waits in epoll for all of them, takes the
 * count and injects. Each irqfd owns descriptors of its own to the caller's eventfds.
 *
 * An epoll event carries the irqfd's serial number, not its address; the thread looks it
 * up under irq_lock, and deassign removes it under the same lock. So when deassign has
 * returned no further interrupt comes from that eventfd.
 *
 * A resampling irqfd is level triggered: its pin stays high until the guest ends the
 * interrupt; then the pin falls and the resample eventfd is signalled.
 *
 * Routes are an immutable table, replaced under irq_lock, read under RCU. A GSI without a
 * route goes nowhere, as in the kernel.
 *
 * Lock: irq_lock. Injection takes the irqchip's locks inside of it.
 */
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/guard.h"
#include "base/trace.h"
#include "kvm/kvm.h"

struct irqfd {
	struct list_head link;
	u64 serial;
	u64 identity;
	u32 gsi;
	int fd;
	int resample_fd;	/* -1: edge */
};

struct kvm_irqfds {
	struct kvm *kvm;
	struct list_head items;
	u64 next_serial;
	int epoll_fd;
	int stop_fd;
	struct sv_thread thread;
};

struct route {
	u32 gsi;
	u32 type;
	u32 pin;
	struct kvm_msi msi;
};

struct kvm_irq_routing_table {
	u32 nr;
	struct route r[];
};

#define STOP_SERIAL 0

int kvm_set_irq(struct kvm *kvm, u32 gsi, int level)
{
	const struct kvm_irq_routing_table *t;
	struct route hits[8];
	u32 n = 0;
	int ret = -1;

	rcu_read_lock();
	t = rcu_dereference(kvm->routes);
	for (u32 i = 0; t && i < t->nr && n < ARRAY_SIZE(hits); i++)
		if (t->r[i].gsi == gsi)
			hits[n++] = t->r[i];
	rcu_read_unlock();
	for (u32 i = 0; i < n; i++) {
		if (hits[i].type == KVM_IRQ_ROUTING_IRQCHIP)
			ret = kvm->ops->set_irq(kvm, hits[i].pin, level);
		else if (level)
			ret = kvm->ops->send_msi(kvm, &hits[i].msi);
	}
	return ret;
}

/* irq_lock held. */
static bool leads_to_pin(struct kvm *kvm, u32 gsi, u32 pin)
{
	const struct kvm_irq_routing_table *t = kvm->routes;

	for (u32 i = 0; t && i < t->nr; i++)
		if (t->r[i].gsi == gsi && t->r[i].type == KVM_IRQ_ROUTING_IRQCHIP &&
		    t->r[i].pin == pin)
			return true;
	return false;
}

void kvm_notify_acked_irq(struct kvm *kvm, u32 pin)
{
	struct pollfd full = { .events = POLLOUT };
	u64 one = 1;
	struct irqfd *p;

	if (!READ_ONCE(kvm->irqfds))
		return;
	sv_mutex_lock(&kvm->irq_lock);
	list_for_each_entry(p, &kvm->irqfds->items, link) {
		if (p->resample_fd < 0 || !leads_to_pin(kvm, p->gsi, pin))
			continue;
		kvm_set_irq(kvm, p->gsi, 0);
		full.fd = p->resample_fd;	/* a count that is full would make write() wait */
		if (poll(&full, 1, 0) != 1 || write(p->resample_fd, &one, sizeof(one)) < 0)
			sv_trace("kvm.irqfd", "gsi %u: resample count is full", p->gsi);
	}
	sv_mutex_unlock(&kvm->irq_lock);
}

/* Takes the count without ever waiting: somebody else may have taken it first. */
static bool take_count(int fd)
{
	u64 count;
	struct iovec iov = { .iov_base = &count, .iov_len = sizeof(count) };

	return preadv2(fd, &iov, 1, -1, RWF_NOWAIT) == sizeof(count);
}

static void irqfd_event(struct kvm_irqfds *q, u64 serial)
{
	struct irqfd *p;

	sv_mutex_lock(&q->kvm->irq_lock);
	list_for_each_entry(p, &q->items, link) {
		if (p->serial != serial)
			continue;
		if (take_count(p->fd)) {
			kvm_set_irq(q->kvm, p->gsi, 1);
			if (p->resample_fd < 0)
				kvm_set_irq(q->kvm, p->gsi, 0);
		}
		break;
	}
	sv_mutex_unlock(&q->kvm->irq_lock);
}

static void *irqfd_thread(void *arg)
{
	struct kvm_irqfds *q = arg;
	struct epoll_event ev[16];

	for (;;) {
		int n = epoll_wait(q->epoll_fd, ev, ARRAY_SIZE(ev), -1);

		for (int i = 0; i < n; i++) {
			if (ev[i].data.u64 == STOP_SERIAL)
				return NULL;
			irqfd_event(q, ev[i].data.u64);
		}
		if (n < 0 && errno != EINTR)
			return NULL;
	}
}

static void irqfds_close(struct kvm_irqfds *q)
{
	if (q->stop_fd >= 0)
		close(q->stop_fd);
	if (q->epoll_fd >= 0)
		close(q->epoll_fd);
	sv_free(q);
}

/* irq_lock held. */
static int irqfds_start(struct kvm *kvm)
{
	struct epoll_event ev = { .events = EPOLLIN, .data.u64 = STOP_SERIAL };
	struct kvm_irqfds *q;
	int err;

	if (kvm->irqfds)
		return 0;
	q = sv_zalloc(sizeof(*q));
	if (!q)
		return -ENOMEM;
	q->kvm = kvm;
	q->next_serial = STOP_SERIAL + 1;
	INIT_LIST_HEAD(&q->items);
	q->epoll_fd = SV_FAULT(EMFILE) ? -1 : epoll_create1(EPOLL_CLOEXEC);
	err = -errno;
	q->stop_fd = -1;
	if (q->epoll_fd < 0)
		goto fail;
	q->stop_fd = SV_FAULT(EMFILE) ? -1 : eventfd(0, EFD_CLOEXEC);
	err = -errno;
	if (q->stop_fd < 0)
		goto fail;
	err = SV_FAULT(ENOMEM) || epoll_ctl(q->epoll_fd, EPOLL_CTL_ADD, q->stop_fd, &ev) ?
	      -errno : 0;
	if (!err)
		err = sv_thread_create(&q->thread, "kvm-irqfd", irqfd_thread, q);
	if (err)
		goto fail;
	WRITE_ONCE(kvm->irqfds, q);
	return 0;
fail:
	irqfds_close(q);
	return err;
}

static void irqfd_free(struct irqfd *p)
{
	if (p->fd >= 0)
		close(p->fd);
	if (p->resample_fd >= 0)
		close(p->resample_fd);
	sv_free(p);
}

static int irqfd_add_locked(struct kvm *kvm, struct irqfd *n)
{
	struct epoll_event ev = { .events = EPOLLIN };
	struct irqfd *p;
	int err;

	err = irqfds_start(kvm);
	if (err)
		return err;
	list_for_each_entry(p, &kvm->irqfds->items, link)
		if (p->identity == n->identity)
			return -EBUSY;
	n->serial = kvm->irqfds->next_serial++;
	ev.data.u64 = n->serial;
	if (SV_FAULT(ENOMEM) || epoll_ctl(kvm->irqfds->epoll_fd, EPOLL_CTL_ADD, n->fd, &ev))
		return -errno;
	list_add_tail(&n->link, &kvm->irqfds->items);
	return 0;
}

static long irqfd_assign(struct kvm *kvm, const struct kvm_irqfd *args)
{
	struct irqfd *n;
	u64 resample_identity;
	int err;

	n = sv_zalloc(sizeof(*n));
	if (!n)
		return -ENOMEM;
	n->resample_fd = -1;
	n->gsi = args->gsi;
	n->fd = kvm_eventfd_get(args->fd, &n->identity);
	if (n->fd < 0) {
		err = n->fd;
		goto fail;
	}
	if (args->flags & KVM_IRQFD_FLAG_RESAMPLE) {
		n->resample_fd = kvm_eventfd_get(args->resamplefd, &resample_identity);
		if (n->resample_fd < 0) {
			err = n->resample_fd;
			goto fail;
		}
	}
	sv_mutex_lock(&kvm->irq_lock);
	err = irqfd_add_locked(kvm, n);
	sv_mutex_unlock(&kvm->irq_lock);
	if (!err)
		return 0;
fail:
	irqfd_free(n);
	return err;
}

/* irq_lock held. With the last resampling irqfd of a GSI nobody is left to let go of it. */
static void release_line(struct kvm *kvm, u32 gsi)
{
	struct irqfd *p;

	list_for_each_entry(p, &kvm->irqfds->items, link)
		if (p->resample_fd >= 0 && p->gsi == gsi)
			return;
	kvm_set_irq(kvm, gsi, 0);
}

static long irqfd_deassign(struct kvm *kvm, const struct kvm_irqfd *args)
{
	struct irqfd *p, *next;
	u64 identity;
	int err;

	err = kvm_eventfd_identity(args->fd, &identity);
	if (err)
		return err;
	sv_mutex_lock(&kvm->irq_lock);
	if (kvm->irqfds)
		list_for_each_entry_safe(p, next, &kvm->irqfds->items, link) {
			if (p->identity != identity || p->gsi != args->gsi)
				continue;
			epoll_ctl(kvm->irqfds->epoll_fd, EPOLL_CTL_DEL, p->fd, NULL);
			list_del(&p->link);
			if (p->resample_fd >= 0)
				release_line(kvm, p->gsi);
			irqfd_free(p);
		}
	sv_mutex_unlock(&kvm->irq_lock);
	return 0;	/* also when there was none: the caller's wish is fulfilled */
}

long kvm_irqfd(struct kvm *kvm, const struct kvm_irqfd *args)
{
	if (args->flags & ~(u32)(KVM_IRQFD_FLAG_DEASSIGN | KVM_IRQFD_FLAG_RESAMPLE))
		return -EINVAL;
	if (args->flags & KVM_IRQFD_FLAG_DEASSIGN)
		return irqfd_deassign(kvm, args);
	return irqfd_assign(kvm, args);
}

void kvm_free_irqfds(struct kvm *kvm)
{
	struct kvm_irqfds *q = kvm->irqfds;
	struct irqfd *p, *next;
	u64 one = 1;

	if (q) {
		while (write(q->stop_fd, &one, sizeof(one)) < 0 && errno == EINTR)
			;
		sv_thread_join(&q->thread);
		list_for_each_entry_safe(p, next, &q->items, link)
			irqfd_free(p);
		irqfds_close(q);
	}
	sv_free(kvm->routes);
}

static void publish_routes(struct kvm *kvm, struct kvm_irq_routing_table *t)
{
	struct kvm_irq_routing_table *old;

	sv_mutex_lock(&kvm->irq_lock);
	old = kvm->routes;
	rcu_assign_pointer(kvm->routes, t);
	sv_mutex_unlock(&kvm->irq_lock);
	synchronize_rcu();
	sv_free(old);
}

static struct kvm_irq_routing_table *table_alloc(u32 nr)
{
	struct kvm_irq_routing_table *t;

	t = sv_zalloc(sizeof(*t) + nr * sizeof(t->r[0]));
	if (t)
		t->nr = nr;
	return t;
}

int kvm_set_default_irq_routing(struct kvm *kvm, u32 lines)
{
	struct kvm_irq_routing_table *t = table_alloc(lines);

	if (!t)
		return -ENOMEM;
	for (u32 i = 0; i < lines; i++)
		t->r[i] = (struct route){ .gsi = i, .type = KVM_IRQ_ROUTING_IRQCHIP, .pin = i };
	publish_routes(kvm, t);
	return 0;
}

/* One entry of user space's into one of ours, or -EINVAL. */
static int parse_route(const struct kvm_irq_routing_entry *e,
		       const struct kvm_irq_routing_table *t, u32 upto, struct route *r)
{
	*r = (struct route){ .gsi = e->gsi, .type = e->type };
	if (e->gsi >= KVM_MAX_IRQ_ROUTES)
		return -EINVAL;
	switch (e->type) {
	case KVM_IRQ_ROUTING_IRQCHIP:
		if (e->flags || e->u.irqchip.irqchip >= 1 || e->u.irqchip.pin >= 1024)
			return -EINVAL;
		r->pin = e->u.irqchip.pin;
		break;
	case KVM_IRQ_ROUTING_MSI:
		if (e->flags & ~(u32)KVM_MSI_VALID_DEVID)
			return -EINVAL;
		r->msi.address_lo = e->u.msi.address_lo;
		r->msi.address_hi = e->u.msi.address_hi;
		r->msi.data = e->u.msi.data;
		break;
	default:
		return -EINVAL;
	}
	/* A GSI may have several targets, but an MSI only alone and a chip only once. */
	for (u32 i = 0; i < upto; i++)
		if (t->r[i].gsi == r->gsi && (r->type == KVM_IRQ_ROUTING_MSI ||
					      t->r[i].type == KVM_IRQ_ROUTING_MSI ||
					      t->r[i].type == r->type))
			return -EINVAL;
	return 0;
}

long kvm_set_irq_routing(struct kvm *kvm, const struct kvm_irq_routing *user)
{
	struct kvm_irq_routing_table *t;
	struct kvm_irq_routing head;
	int err = 0;

	if (sv_copy_from_user(&head, user, sizeof(head)))
		return -EFAULT;
	if (!kvm->ops->irqchip(kvm) || head.nr > KVM_MAX_IRQ_ROUTES || head.flags)
		return -EINVAL;
	t = table_alloc(head.nr);
	if (!t)
		return -ENOMEM;
	for (u32 i = 0; !err && i < head.nr; i++) {
		struct kvm_irq_routing_entry e;

		err = sv_copy_from_user(&e, &user->entries[i], sizeof(e));
		if (!err)
			err = parse_route(&e, t, i, &t->r[i]);
	}
	if (err) {
		sv_free(t);
		return err;
	}
	publish_routes(kvm, t);
	return 0;
}

long kvm_signal_msi(struct kvm *kvm, const struct kvm_msi *msi)
{
	if (!kvm->ops->irqchip(kvm) || (msi->flags & ~(u32)KVM_MSI_VALID_DEVID))
		return -EINVAL;
	return kvm->ops->send_msi(kvm, msi);
}
