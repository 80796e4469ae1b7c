/* SPDX-License-Identifier: MIT */
#include "vmm/mem.h"

#include <errno.h>
#include <sys/mman.h>

int guest_mem_init(struct guest_mem *m, u64 base, u64 size)
{
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (p == MAP_FAILED)
		return -errno;
	/* Guest memory is walked through a table of its own on top of the host's: spare that one. */
	madvise(p, size, MADV_HUGEPAGE);
	/* A core dump of the VMM is about the VMM. */
	madvise(p, size, MADV_DONTDUMP);
	m->host = p;
	m->base = base;
	m->size = size;
	return 0;
}

void guest_mem_destroy(struct guest_mem *m)
{
	if (m->host)
		munmap(m->host, m->size);
	m->host = NULL;
}

void guest_mem_clear(struct guest_mem *m)
{
	/* Private anonymous memory: dropped pages come back as zeroes. */
	if (madvise(m->host, m->size, MADV_DONTNEED))
		memset(m->host, 0, m->size);
}
