/* SPDX-License-Identifier: MIT */
/* Expected results of table instructions that QEMU 7.2 lacks or gets wrong. */
#include "guest.h"

u64 table_model(const char *name, u64 a, u64 b);

u64 table_model(const char *name, u64 a, u64 b)
{
	if (!strcmp(name, "czero.eqz"))
		return b == 0 ? 0 : a;
	if (!strcmp(name, "czero.nez"))
		return b != 0 ? 0 : a;
	if (!strcmp(name, "ctzw")) {
		for (b = 0; b < 32 && !(a >> b & 1); b++)
			;
		return b;
	}
	print("  FAIL no model of %s\n", name);
	return 0;
}
