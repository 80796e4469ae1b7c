/* SPDX-License-Identifier: MIT */
#include "vmm/isa.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "softvirt/uapi/kvm_riscv.h"

#define EXT(upper, lower) [KVM_RISCV_ISA_EXT_##upper] = lower
static const char *const isa_names[KVM_RISCV_ISA_EXT_MAX] = {
	EXT(A, "a"), EXT(C, "c"), EXT(D, "d"), EXT(F, "f"), EXT(H, "h"), EXT(I, "i"),
	EXT(M, "m"), EXT(V, "v"),
	EXT(SVPBMT, "svpbmt"), EXT(SSTC, "sstc"), EXT(SVINVAL, "svinval"),
	EXT(ZIHINTPAUSE, "zihintpause"), EXT(ZICBOM, "zicbom"), EXT(ZICBOZ, "zicboz"),
	EXT(ZBB, "zbb"), EXT(SSAIA, "ssaia"), EXT(SVNAPOT, "svnapot"), EXT(ZBA, "zba"),
	EXT(ZBS, "zbs"), EXT(ZICNTR, "zicntr"), EXT(ZICSR, "zicsr"),
	EXT(ZIFENCEI, "zifencei"), EXT(ZIHPM, "zihpm"), EXT(SMSTATEEN, "smstateen"),
	EXT(ZICOND, "zicond"), EXT(ZBC, "zbc"), EXT(ZBKB, "zbkb"), EXT(ZBKC, "zbkc"),
	EXT(ZBKX, "zbkx"), EXT(ZKND, "zknd"), EXT(ZKNE, "zkne"), EXT(ZKNH, "zknh"),
	EXT(ZKR, "zkr"), EXT(ZKSED, "zksed"), EXT(ZKSH, "zksh"), EXT(ZKT, "zkt"),
	EXT(ZVBB, "zvbb"), EXT(ZVBC, "zvbc"), EXT(ZVKB, "zvkb"), EXT(ZVKG, "zvkg"),
	EXT(ZVKNED, "zvkned"), EXT(ZVKNHA, "zvknha"), EXT(ZVKNHB, "zvknhb"),
	EXT(ZVKSED, "zvksed"), EXT(ZVKSH, "zvksh"), EXT(ZVKT, "zvkt"), EXT(ZFH, "zfh"),
	EXT(ZFHMIN, "zfhmin"), EXT(ZIHINTNTL, "zihintntl"), EXT(ZVFH, "zvfh"),
	EXT(ZVFHMIN, "zvfhmin"), EXT(ZFA, "zfa"), EXT(ZTSO, "ztso"), EXT(ZACAS, "zacas"),
	EXT(SSCOFPMF, "sscofpmf"), EXT(ZIMOP, "zimop"), EXT(ZCA, "zca"), EXT(ZCB, "zcb"),
	EXT(ZCD, "zcd"), EXT(ZCF, "zcf"), EXT(ZCMOP, "zcmop"), EXT(ZAWRS, "zawrs"),
};

const char *isa_ext_name(unsigned int id)
{
	return id < ARRAY_SIZE(isa_names) ? isa_names[id] : NULL;
}

unsigned int isa_nr_exts(void)
{
	return ARRAY_SIZE(isa_names);
}

/* Where a Z extension's second letter stands among the single-letter ones (ISA manual, 27.11). */
static int isa_rank(const char *name)
{
	static const char order[] = "imafdqlcbkjtpvnh";
	const char *p = strchr(order, name[0] == 'z' ? name[1] : name[0]);

	return p ? p - order : (int)sizeof(order);
}

/* Canonical order: single letters, then z* by category and name, then s* by name. */
static bool isa_before(const char *a, const char *b)
{
	int ga = !a[1] ? 0 : a[0] == 'z' ? 1 : 2, gb = !b[1] ? 0 : b[0] == 'z' ? 1 : 2;

	if (ga != gb)
		return ga < gb;
	if (ga < 2 && isa_rank(a) != isa_rank(b))
		return isa_rank(a) < isa_rank(b);
	return strcmp(a, b) < 0;
}

int isa_strings(const bool *has, char *isa, size_t isa_size, char *list, size_t list_size,
		size_t *list_len)
{
	const char *sorted[ARRAY_SIZE(isa_names)];
	size_t used = 0, listed = 0;
	unsigned int n = 0, i, j;

	for (i = 0; i < ARRAY_SIZE(isa_names); i++) {
		if (!has[i] || !isa_names[i])
			continue;
		for (j = n++; j && isa_before(isa_names[i], sorted[j - 1]); j--)
			sorted[j] = sorted[j - 1];
		sorted[j] = isa_names[i];
	}
	used = snprintf(isa, isa_size, "rv64");
	for (i = 0; i < n; i++) {
		size_t len = strlen(sorted[i]) + 1;

		if (used + len + 1 > isa_size || listed + len > list_size)
			return -ENOSPC;
		used += snprintf(isa + used, isa_size - used, "%s%s", len > 2 ? "_" : "",
				 sorted[i]);
		memcpy(list + listed, sorted[i], len);
		listed += len;
	}
	*list_len = listed;
	return 0;
}
