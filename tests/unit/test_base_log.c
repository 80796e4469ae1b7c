/* SPDX-License-Identifier: MIT */
#include "unit.h"

#include "base/log.h"
#include "base/trace.h"

/* What fn writes to stderr. */
static const char *captured(void (*fn)(void))
{
	static char text[8192];
	int saved = dup(STDERR_FILENO), p[2];
	ssize_t n;

	assert_int_equal(pipe(p), 0);
	dup2(p[1], STDERR_FILENO);
	close(p[1]);
	fn();
	dup2(saved, STDERR_FILENO);
	close(saved);
	n = read(p[0], text, sizeof(text) - 1);
	close(p[0]);
	text[max(n, (ssize_t)0)] = 0;
	return text;
}

static void say_all(void)
{
	sv_err("one %d", 1);
	sv_warn("two");
	sv_info("three");
	sv_dbg("four");
}

static void level_decides_what_is_said(void **state)
{
	sv_log_set_level(SV_LOG_NONE);
	assert_string_equal(captured(say_all), "");
	sv_log_set_level(SV_LOG_WARN);
	assert_string_equal(captured(say_all), "softvirt: one 1\nsoftvirt: warning: two\n");
	sv_log_set_level(SV_LOG_DBG);
	assert_string_equal(captured(say_all), "softvirt: one 1\nsoftvirt: warning: two\n"
			    "softvirt: three\nsoftvirt: debug: four\n");
}

static void say_escape(void)
{
	errno = EXDEV;
	sv_err("a\x1b[2Jb\nc\x7f");
	assert_int_equal(errno, EXDEV);
}

static void control_characters_reach_no_terminal(void **state)
{
	assert_string_equal(captured(say_escape), "softvirt: a?[2Jb?c?\n");
}

static void say_long(void)
{
	char big[5000];

	memset(big, 'x', sizeof(big));
	sv_err("%.*s", (int)sizeof(big), big);
}

static void message_that_is_too_long_is_one_line(void **state)
{
	const char *s = captured(say_long);

	assert_in_range(strlen(s), 900, 1024);
	assert_ptr_equal(strchr(s, '\n'), s + strlen(s) - 1);
}

static void say_once(void)
{
	for (int i = 0; i < 3; i++)
		sv_warn_once("only once");
}

static void once_is_once(void **state)
{
	assert_string_equal(captured(say_once), "softvirt: warning: only once\n");
	assert_string_equal(captured(say_once), "");
}

static void trace_list_with_odd_names(void **state)
{
	assert_false(sv_trace_match(NULL, "kvm.run"));
	assert_false(sv_trace_match("", "kvm.run"));
	assert_false(sv_trace_match(",,", "kvm.run"));
	assert_false(sv_trace_match("kvm", "kvm.run"));
	assert_false(sv_trace_match("kvm.runs", "kvm.run"));
	assert_false(sv_trace_match("file*,x", "kvm.run"));
	assert_true(sv_trace_match("kvm.run", "kvm.run"));
	assert_true(sv_trace_match("a,,kvm.run,b", "kvm.run"));
	assert_true(sv_trace_match("a,kvm.*", "kvm.run"));
	assert_true(sv_trace_match("*", "kvm.run"));
	assert_true(sv_trace_match("kvm.run*", "kvm.run"));
}

static void trace_twice(void)
{
	sv_trace("unit.on", "value %d", 42);
	sv_trace("unit.off", "never %d", 1);
}

static void only_named_points_write(void **state)
{
	const char *s;

	setenv("SOFTVIRT_TRACE", "x,unit.on", 1);
	s = captured(trace_twice);
	assert_non_null(strstr(s, "unit.on: value 42\n"));
	assert_null(strstr(s, "never"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(level_decides_what_is_said),
		cmocka_unit_test(control_characters_reach_no_terminal),
		cmocka_unit_test(message_that_is_too_long_is_one_line),
		cmocka_unit_test(once_is_once),
		cmocka_unit_test(trace_list_with_odd_names),
		cmocka_unit_test(only_named_points_write),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
