/* SPDX-License-Identifier: MIT */
/*
 * First in every file of kernels: has GCC turn their loops into the host's vector instructions
 * at -O2 too, where it by itself does so for few.
 */
#if defined(__GNUC__) && !defined(__clang__) && defined(__OPTIMIZE__) && \
	!defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#pragma GCC optimize("tree-vectorize", "vect-cost-model=dynamic", "no-trapping-math")
#endif
