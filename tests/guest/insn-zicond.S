/* SPDX-License-Identifier: MIT */
/* Zicond, which QEMU 7.2 lacks: checked against lib/table-model.c. Zbc, Zbs etc.: insn-int.S. */
#include "lib/table.h"
#include "lib/guest.h"

	T RR + TABLE_SELF, "czero.eqz", ".insn r 0x33, 5, 7, a0, a0, a1"
	T RR + TABLE_SELF, "czero.eqz", ".insn r 0x33, 5, 7, a1, a0, a1; mv a0, a1"
	T RR + TABLE_SELF, "czero.eqz", ".insn r 0x33, 5, 7, t0, a0, a1; mv a0, t0"
	T RR + TABLE_SELF, "czero.nez", ".insn r 0x33, 7, 7, a0, a0, a1"
	T RR + TABLE_SELF, "czero.nez", ".insn r 0x33, 7, 7, a1, a0, a1; mv a0, a1"
	T RR + TABLE_SELF, "czero.nez", ".insn r 0x33, 7, 7, t0, a0, a1; mv a0, t0"
