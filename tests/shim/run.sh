#!/bin/sh
# SPDX-License-Identifier: MIT
# softvirt run: a program served, statuses passed on, wrong uses refused.
# usage: run.sh SOFTVIRT PROBE
softvirt=$1
probe=$2
n=0

case_() {
	n=$((n + 1))
	if [ "$2" = "$3" ]; then
		echo "ok $n - $1"
	else
		echo "not ok $n - $1: expected '$3', got '$2'"
		failed=1
	fi
}

status() {
	"$@" >/dev/null 2>&1 </dev/null
	echo $?
}

failed=0
echo "1..9"
case_ "a program is served" "$(status "$softvirt" run -- "$probe" again)" 0
case_ "the dashes may be left out" "$(status "$softvirt" run "$probe" again)" 0
case_ "without it the same program fails" "$(status "$probe" again)" 1
case_ "an exit status is passed on" "$(status "$softvirt" run -- sh -c 'exit 37')" 37
case_ "arguments are passed on" "$("$softvirt" run -- printf '%s|' -- 'a b' '')" "--|a b||"
case_ "no program" "$(status "$softvirt" run)" 2
case_ "an unknown option" "$(status "$softvirt" run --nonsense "$probe")" 2
case_ "a program that does not exist" "$(status "$softvirt" run -- /nonexistent/program)" 127
case_ "a program that can't be executed" "$(status "$softvirt" run -- /etc/passwd)" 126
exit $failed
