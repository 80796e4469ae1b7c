/* SPDX-License-Identifier: MIT */
/*
 * What dma-types.h declares: deferred work, time, growing texts. See there for the model.
 */
#include "softvirt/dma-types.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/timer.h"

#ifndef SV_MODEL
__thread struct dma_irq_state dma_irq __attribute__((tls_model("initial-exec")));
#endif

void dma_irq_run(void)
{
	struct irq_work *work;

	if (dma_irq.running)
		return;
	dma_irq.running = true;
	while ((work = dma_irq.first)) {
		dma_irq.first = work->next;
		if (!dma_irq.first)
			dma_irq.last = NULL;
		work->next = NULL;
		work->func(work);
	}
	dma_irq.running = false;
}

void irq_work_queue(struct irq_work *work)
{
	work->next = NULL;
	if (dma_irq.first)
		*dma_irq.last = work;
	else
		dma_irq.first = work;
	dma_irq.last = &work->next;
	if (!dma_irq.depth)
		dma_irq_run();
}

ktime_t ktime_get(void)
{
	return (ktime_t)sv_now_ns();
}

void dma_warn(const char *file, int line, const char *expr)
{
	const char *slash = strrchr(file, '/');

	sv_warn("bug: %s:%d: %s", slash ? slash + 1 : file, line, expr);
}

/* Room for n more bytes and a terminating zero. */
static bool seq_room(struct seq_file *m, size_t n)
{
	size_t size = max(m->size, (size_t)256);
	char *bigger;

	if (m->overflow)
		return false;
	while (size - m->count <= n)
		size *= 2;
	if (size == m->size)
		return true;
	bigger = sv_realloc(m->buf, size);
	if (!bigger) {
		m->overflow = true;
		return false;
	}
	m->buf = bigger;
	m->size = size;
	return true;
}

void seq_printf(struct seq_file *m, const char *fmt, ...)
{
	char small[256];
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(small, sizeof(small), fmt, ap);
	va_end(ap);
	if (n < 0 || !seq_room(m, (size_t)n))
		return;
	if ((size_t)n < sizeof(small)) {
		memcpy(m->buf + m->count, small, (size_t)n + 1);
	} else {
		va_start(ap, fmt);
		vsnprintf(m->buf + m->count, (size_t)n + 1, fmt, ap);
		va_end(ap);
	}
	m->count += (size_t)n;
}

void seq_puts(struct seq_file *m, const char *s)
{
	seq_printf(m, "%s", s);
}

void seq_putc(struct seq_file *m, char c)
{
	seq_printf(m, "%c", c);
}
