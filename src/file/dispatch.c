/* SPDX-License-Identifier: MIT */
/*
 * The ioctl dispatcher: from a command and a word to a handler with a snapshot.
 *
 * The caller's struct is copied once, before the handler runs, and never looked at again;
 * results go back in one copy after it. A handler therefore decides about the same bytes
 * that it acts on, whatever other threads do to the caller's memory. A result that can't
 * be copied back is -EFAULT even though the handler has acted, as in the kernel.
 */
#include <errno.h>
#include <linux/ioctl.h>
#include <string.h>

#include "base/alloc.h"
#include "base/guard.h"
#include "base/trace.h"
#include "file/impl.h"

#define STACK_SIZE 256	/* nearly every struct fits */

/* How much goes in and out, and how large the handler's view is. */
struct plan {
	size_t in, out, size;
};

static bool matches(const struct sv_ioctl *e, unsigned int cmd)
{
	if (e->kind == SV_IOCTL_BY_NUMBER)
		return _IOC_TYPE(e->cmd) == _IOC_TYPE(cmd) && _IOC_NR(e->cmd) == _IOC_NR(cmd);
	return e->cmd == cmd;
}

/* The kernel's rule for structs whose size the command number carries (dma_heap, drm). */
static void plan_by_number(const struct sv_ioctl *e, unsigned int cmd, struct plan *p)
{
	size_t user = _IOC_SIZE(cmd);
	unsigned int both = _IOC_DIR(cmd) & _IOC_DIR(e->cmd);

	p->in = both & _IOC_WRITE ? user : 0;
	p->out = both & _IOC_READ ? user : 0;
	p->size = max(user, (size_t)e->size);
}

/*
 * The kernel's rule for extensible structs: a program older than us gives less and means
 * zero for the rest; a newer one may give more as long as it says nothing with it.
 */
static int plan_sized(const struct sv_ioctl *e, const void *user, struct plan *p,
		      size_t *user_size)
{
	u32 size;
	int zero;

	if (sv_copy_from_user(&size, user, sizeof(size)))
		return -EFAULT;
	if (size < e->min_size || size < sizeof(size))
		return -EINVAL;
	p->size = e->size;
	p->in = min((size_t)size, p->size);
	p->out = p->in;
	*user_size = size;
	if (size > p->size) {
		zero = sv_user_is_zero((const char *)user + p->size, size - p->size);
		if (zero < 0)
			return zero;
		if (!zero)
			return -E2BIG;
	}
	return 0;
}

static int plan_make(const struct sv_ioctl *e, struct sv_ioctl_ctx *c, struct plan *p)
{
	c->user_size = _IOC_SIZE(c->cmd);
	switch (e->kind) {
	case SV_IOCTL_EXACT:
		p->size = e->size;
		p->in = _IOC_DIR(e->cmd) & _IOC_WRITE ? p->size : 0;
		p->out = _IOC_DIR(e->cmd) & _IOC_READ ? p->size : 0;
		return 0;
	case SV_IOCTL_BY_NUMBER:
		plan_by_number(e, c->cmd, p);
		return 0;
	case SV_IOCTL_SIZED:
		return plan_sized(e, (void *)c->value, p, &c->user_size);
	default:
		return 0;
	}
}

/* The copies around the handler. buf has room for p->size bytes. */
static long call_with_copy(struct sv_file *f, const struct sv_ioctl *e, struct sv_ioctl_ctx *c,
			   const struct plan *p)
{
	void *user = (void *)c->value;
	long ret;

	if (p->in && sv_copy_from_user(c->buf, user, p->in))
		return -EFAULT;
	/*
	 * The size is the one that was checked, even if the caller's memory has changed
	 * since.
	 */
	if (e->kind == SV_IOCTL_SIZED)
		*(u32 *)c->buf = (u32)c->user_size;
	memset((char *)c->buf + p->in, 0, p->size - p->in);
	ret = e->fn(f, c);
	/* The kernel's dma_heap copies back whatever became of the call. */
	if (p->out && !c->no_copy_out &&
	    (ret >= 0 || c->copy_out || e->kind == SV_IOCTL_BY_NUMBER) &&
	    sv_copy_to_user(user, c->buf, p->out))
		return -EFAULT;
	return ret;
}

static long call(struct sv_file *f, const struct sv_ioctl *e, struct sv_ioctl_ctx *c)
{
	u64 stack[STACK_SIZE / sizeof(u64)];
	struct plan p = { 0 };
	void *heap = NULL;
	long ret;
	int err;

	if (e->kind == SV_IOCTL_VALUE)
		return e->fn(f, c);
	err = plan_make(e, c, &p);
	if (err)
		return err;
	if (p.size > sizeof(stack)) {
		heap = sv_alloc(p.size);
		if (!heap)
			return -ENOMEM;
	}
	c->buf = heap ? heap : stack;
	c->size = p.size;
	ret = call_with_copy(f, e, c, &p);
	sv_free(heap);
	return ret;
}

static const struct sv_ioctl *find(const struct sv_file_ops *ops, unsigned int cmd)
{
	for (size_t i = 0; i < ops->nr_ioctls; i++)
		if (matches(&ops->ioctls[i], cmd))
			return &ops->ioctls[i];
	return NULL;
}

long sv_file_ioctl(struct sv_file *f, unsigned int cmd, unsigned long value)
{
	struct sv_ioctl_ctx c = { .cmd = cmd, .value = value };
	const struct sv_file_ops *ops = f->ops;
	const struct sv_ioctl *e;
	long ret;

	if (ops->bound_to_mm && sv_file_is_foreign(f))
		return ops->called_by_children ? sv_forked_ioctl(f, cmd, value) : -EIO;
	if (ops->ioctl) {
		ret = ops->ioctl(f, cmd, value);
		if (ret != -ENOIOCTLCMD_SV)
			return ret;
	}
	e = find(ops, cmd);
	ret = e ? call(f, e, &c) : -ENOTTY;
	sv_trace("file.ioctl", "%s: %s (%#x, %#lx) = %ld", ops->name, e ? e->name : "?", cmd,
		 value, ret);
	return ret;
}
