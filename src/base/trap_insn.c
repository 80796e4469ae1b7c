/* SPDX-License-Identifier: MIT */
/* What the decoders of trap_insn.h share: bytes of regions or of memory, and of code. */
#include "base/trap_insn.h"

#include <errno.h>

#include "base/guard.h"
#include "base/trap_region.h"

struct sv_mutex sv_trap_rmw_lock = SV_MUTEX_INIT;

bool sv_trap_load(u64 addr, void *dst, size_t len)
{
	int err = sv_trap_region_read((void *)(uintptr_t)addr, dst, len);

	return err == -ENOENT ? !sv_copy_guarded(dst, (void *)(uintptr_t)addr, len) : !err;
}

bool sv_trap_store(u64 addr, const void *src, size_t len)
{
	int err = sv_trap_region_write((void *)(uintptr_t)addr, src, len);

	return err == -ENOENT ? !sv_copy_guarded((void *)(uintptr_t)addr, src, len) : !err;
}

size_t sv_trap_fetch(u64 pc, void *buf, size_t len)
{
	size_t here = SV_PAGE_SIZE - pc % SV_PAGE_SIZE;
	u8 *p = buf;

	if (here > len)
		here = len;
	if (sv_copy_guarded(p, (void *)(uintptr_t)pc, here))
		return 0;
	if (here < len && !sv_copy_guarded(p + here, (void *)(uintptr_t)(pc + here), len - here))
		here = len;
	return here;
}
