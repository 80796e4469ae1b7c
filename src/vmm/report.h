/* SPDX-License-Identifier: MIT */
/*
 * What the user is told: one line on stderr for each message, with the command's name.
 */
#ifndef SV_VMM_REPORT_H
#define SV_VMM_REPORT_H

#include "base/types.h"

/* Prints "softvirt boot: ..." and returns err, so that it can end a function. */
int vmm_report(int err, const char *fmt, ...) sv_printf(2, 3);

#endif
