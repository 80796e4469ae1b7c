/* SPDX-License-Identifier: MIT */
/*
 * Physical memory as an engine sees it: whoever embeds the engine answers, page by page,
 * what lies at a guest physical address. The engine caches the answers in its TLB until
 * it is told to forget them (*_flush_phys).
 */
#ifndef SV_CPU_PHYS_H
#define SV_CPU_PHYS_H

#include "base/types.h"

enum cpu_access { CPU_ACCESS_READ, CPU_ACCESS_WRITE, CPU_ACCESS_EXEC };

enum cpu_phys_kind {
	CPU_PHYS_RAM,		/* host is valid for the whole 4 KiB page */
	CPU_PHYS_MMIO,		/* nothing there: the access leaves the engine */
	CPU_PHYS_FAULT,		/* should be memory, can't be reached: the run ends with err */
};

struct cpu_phys_page {
	u8 *host;		/* of the page's first byte */
	bool writable;		/* false: reads only are cached; a write asks again */
	int err;		/* CPU_PHYS_FAULT: -errno */
};

struct cpu_phys_ops {
	/*
	 * gpa is any address in the page. For CPU_ACCESS_WRITE a RAM answer means that the
	 * write happens: the owner marks the page dirty before it returns. A write to
	 * read-only memory is MMIO. Called in the thread that runs the vCPU, only from
	 * inside *_run().
	 */
	enum cpu_phys_kind (*resolve)(void *owner, u64 gpa, enum cpu_access access,
				      struct cpu_phys_page *page);
	/*
	 * A load from a device the owner handles by itself (an interrupt controller). True if
	 * answered: *data's low len bytes are the value. May be NULL.
	 */
	bool (*mmio_read)(void *owner, u64 gpa, unsigned len, u64 *data);
	/*
	 * A store that hits a device the owner handles by itself (an ioeventfd). True if
	 * taken: the store is complete and the guest goes on without an exit. May be NULL.
	 */
	bool (*mmio_write)(void *owner, u64 gpa, unsigned len, u64 data);
};

#endif
