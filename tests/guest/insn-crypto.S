/* SPDX-License-Identifier: MIT */
/* Zbkb, Zbkc, Zbkx, Zknd, Zkne, Zknh, Zksed, Zksh: every instruction over edge operands. */
#include "lib/table.h"
#include "lib/guest.h"

	.macro	RRALL name
	T RR, "\name", "\name a0, a0, a1"
	T RR, "\name", "\name a1, a0, a1; mv a0, a1"
	T RR, "\name", "\name t0, a1, a0; mv a0, t0"
	T RR, "\name", "\name a0, a0, a0"
	T RR, "\name", "\name a0, a0, zero"
	T RR, "\name", "\name a0, zero, a1"
	T RR, "\name", "\name zero, a0, a1; mv a0, zero"
	.endm
	.irp	n, pack, packh, packw, clmul, clmulh, xperm4, xperm8
	RRALL	\n
	.endr
	.irp	n, aes64es, aes64esm, aes64ds, aes64dsm, aes64ks2
	RRALL	\n
	.endr

	.macro	UNARY name
	T R1, "\name", "\name a0, a0"
	T R1, "\name", "\name t0, a0; mv a0, t0"
	T R1, "\name", "\name a0, zero"
	T R1, "\name", "\name zero, a0; mv a0, zero"
	.endm
	.irp	n, brev8, rev8, aes64im, sm3p0, sm3p1
	UNARY	\n
	.endr
	.irp	n, sha256sig0, sha256sig1, sha256sum0, sha256sum1
	UNARY	\n
	.endr
	.irp	n, sha512sig0, sha512sig1, sha512sum0, sha512sum1
	UNARY	\n
	.endr
	.irp	v, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10
	T R1, "aes64ks1i", "aes64ks1i a0, a0, \v"
	.endr
	T R1, "aes64ks1i", "aes64ks1i zero, a0, 1; mv a0, zero"

	.macro	SM4 name
	.irp	v, 0, 1, 2, 3
	T RR, "\name", "\name a0, a0, a1, \v"
	T RR, "\name", "\name t0, a1, a0, \v; mv a0, t0"
	.endr
	T RR, "\name", "\name zero, a0, a1, 2; mv a0, zero"
	.endm
	SM4	sm4ed
	SM4	sm4ks
