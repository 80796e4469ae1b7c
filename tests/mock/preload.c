/* SPDX-License-Identifier: MIT */
/*
 * libsoftvirt-preload-mock.so is the preload library with the mock in it; this puts it in place
 * and shows the fault injection of src/base/alloc.h to failnth.c.
 */
#include "base/alloc.h"
#include "mock.h"

SV_EXPORT void mock_fault_inject(unsigned nth);
SV_EXPORT unsigned mock_fault_left(void);

void mock_fault_inject(unsigned nth)
{
	sv_fault_inject(nth);
}

unsigned mock_fault_left(void)
{
	return sv_fault_countdown;
}

static void __attribute__((constructor(103))) mock_constructor(void)
{
	mock_iommufd_init();
}
