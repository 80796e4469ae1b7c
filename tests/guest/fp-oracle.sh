#!/bin/sh
# SPDX-License-Identifier: MIT
# softfloat against a RISC-V machine, see fp-oracle.c.
#
#	fp-oracle.sh SOFT RISCV [COUNT]
#
# SOFT is fp-oracle.c built for the host, RISCV the same for riscv64, static. RISCV runs under
# $QEMU (qemu-riscv64). Each instruction in each rounding mode is a case. Exit status: 0 all
# agree, 1 some differ, 2 wrong usage or a program failed, 77 skipped as a tool is missing.
set -eu

if [ $# -lt 1 ]; then
	echo "usage: fp-oracle.sh SOFT RISCV [COUNT]" >&2
	exit 2
fi
if [ $# -lt 2 ]; then
	echo "SKIP: no RISCV program: its compiler is missing (gcc-riscv64-linux-gnu)" >&2
	exit 77
fi
soft=$1 riscv=$2 count=${3:-20000} qemu=${QEMU:-qemu-riscv64}
export QEMU_CPU=${QEMU_CPU:-rv64,Zfh=true}
if ! command -v "$qemu" >/dev/null; then
	echo "SKIP: $qemu is missing (qemu-user)" >&2
	exit 77
fi

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
"$qemu" "$riscv" "$count" >"$dir/want" || exit 2
"$soft" "$count" >"$dir/got" || exit 2
lines=$(wc -l <"$dir/want")
if [ "$lines" -lt 350 ]; then
	echo "fp-oracle.sh: only $lines results from $riscv" >&2
	exit 2
fi
diff "$dir/want" "$dir/got" | awk '$1 == "<" { print $2, $3 }' >"$dir/bad"
while read -r insn mode; do
	echo "not ok: $insn $mode; first operation that differs (RISC-V, softfloat):"
	"$qemu" "$riscv" "$count" "$insn" "$mode" >"$dir/want1"
	"$soft" "$count" "$insn" "$mode" >"$dir/got1"
	diff "$dir/want1" "$dir/got1" | awk '$1 == "<" && !w { w = 1; print }
					     $1 == ">" && !g { g = 1; print }'
done <"$dir/bad"
bad=$(wc -l <"$dir/bad")
awk '{ n += $3 } END { printf "%d operations\n", n }' "$dir/want"
echo "$((lines - bad)) passed, $bad failed"
[ "$bad" = 0 ]
