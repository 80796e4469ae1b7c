/* SPDX-License-Identifier: MIT */
/*
 * The dispatcher with every size a caller may give: short, exact, long, with a clean and a
 * dirty tail, at the end of a readable page; unreadable, read-only. What the handler saw
 * and what came back are compared byte by byte with what the kernel's rules say.
 */
#include "unit.h"

#include <linux/ioctl.h>
#include <sys/ioctl.h>

#include "base/alloc.h"
#include "file/file.h"
#include "softvirt/softvirt.h"

#define PAGE 4096

struct arg {
	u32 size;
	u32 a;
	u64 b;
	u64 c;
};

struct big {
	u8 bytes[2000];
};

#define T_VALUE _IO('T', 1)
#define T_R _IOR('T', 2, struct arg)
#define T_W _IOW('T', 3, struct arg)
#define T_RW _IOWR('T', 4, struct arg)
#define T_BY_NUMBER _IOWR('T', 5, struct arg)
#define T_SIZED _IO('T', 6)
#define T_BIG _IOWR('T', 7, struct big)
#define T_FAIL _IOWR('T', 8, struct arg)
#define T_COUNT _IOWR('T', 9, struct arg)
#define T_BY_NUMBER_FAIL _IOWR('T', 10, struct arg)
#define T_RAW _IO('T', 11)
#define T_NEGATIVE _IO('T', 12)
#define MIN_SIZE 16

/* What the handler saw. */
static struct {
	int calls;
	u8 bytes[16384];
	size_t size, user_size;
	unsigned int cmd;
	unsigned long value;
	void *buf;
} seen;

static void note(struct sv_ioctl_ctx *c)
{
	seen.calls++;
	seen.size = c->size;
	seen.user_size = c->user_size;
	seen.cmd = c->cmd;
	seen.value = c->value;
	seen.buf = c->buf;
	if (c->buf)
		memcpy(seen.bytes, c->buf, c->size);
}

static long h_note(struct sv_file *f, struct sv_ioctl_ctx *c)
{
	note(c);
	if (c->buf)
		memset(c->buf, 0xee, c->size);
	return 5;
}

static long h_fail(struct sv_file *f, struct sv_ioctl_ctx *c)
{
	h_note(f, c);
	return -EBUSY;
}

static long h_count(struct sv_file *f, struct sv_ioctl_ctx *c)
{
	h_note(f, c);
	c->copy_out = true;
	return -E2BIG;
}

static const struct sv_ioctl table[] = {
	SV_IOCTL_ENTRY(SV_IOCTL_VALUE, T_VALUE, h_note),
	SV_IOCTL_ENTRY(SV_IOCTL_EXACT, T_R, h_note),
	SV_IOCTL_ENTRY(SV_IOCTL_EXACT, T_W, h_note),
	SV_IOCTL_ENTRY(SV_IOCTL_EXACT, T_RW, h_note),
	SV_IOCTL_ENTRY(SV_IOCTL_BY_NUMBER, T_BY_NUMBER, h_note),
	{ .cmd = T_SIZED, .kind = SV_IOCTL_SIZED, .size = sizeof(struct arg),
	  .min_size = MIN_SIZE, .name = "T_SIZED", .fn = h_note },
	SV_IOCTL_ENTRY(SV_IOCTL_EXACT, T_BIG, h_note),
	SV_IOCTL_ENTRY(SV_IOCTL_EXACT, T_FAIL, h_fail),
	SV_IOCTL_ENTRY(SV_IOCTL_EXACT, T_COUNT, h_count),
	SV_IOCTL_ENTRY(SV_IOCTL_BY_NUMBER, T_BY_NUMBER_FAIL, h_fail),
};

static long raw(struct sv_file *f, unsigned int cmd, unsigned long value)
{
	if (cmd == T_RAW)
		return (long)value;
	return cmd == T_NEGATIVE ? -EPERM : -ENOIOCTLCMD_SV;
}

static const struct sv_file_ops ops = {
	.name = "test",
	.ioctls = table,
	.nr_ioctls = ARRAY_SIZE(table),
	.ioctl = raw,
};

static int fd = -1;
static u8 *page;	/* one page, the next one unreadable */

/* The last n bytes before the unreadable page. */
static u8 *at_end(size_t n)
{
	return page + PAGE - n;
}

static void fill(u8 *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		p[i] = (u8)(i * 7 + 1);
}

static bool all(const u8 *p, u8 value, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (p[i] != value)
			return false;
	return true;
}

#define assert_ioctl(request, argument, want_errno) do { \
	seen.calls = 0; \
	errno = 0; \
	assert_int_equal(softvirt_ioctl(fd, request, argument), -1); \
	assert_int_equal(errno, want_errno); \
} while (0)

#define assert_ioctl_ok(request, argument) do { \
	seen.calls = 0; \
	assert_int_equal(softvirt_ioctl(fd, request, argument), 5); \
	assert_int_equal(seen.calls, 1); \
} while (0)

static int setup(void **state)
{
	struct sv_file *f;

	page = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	mprotect(page + PAGE, PAGE, PROT_NONE);
	if (sv_file_create(&ops, NULL, SV_BACKING_EVENTFD, 0, O_CLOEXEC, &f))
		return -1;
	fd = sv_file_install(f);
	return 0;
}

static int teardown(void **state)
{
	munmap(page, 2 * PAGE);
	return softvirt_close(fd);
}

static void unknown_command_is_enotty(void **state)
{
	assert_ioctl(_IO('T', 99), 0, ENOTTY);
	assert_ioctl(_IO('U', 1), 0, ENOTTY);
	/* EXACT and SIZED: another size or direction is another command. */
	assert_ioctl(_IOR('T', 4, struct arg), page, ENOTTY);
	assert_ioctl(_IOWR('T', 4, u64), page, ENOTTY);
	assert_ioctl(_IOWR('T', 6, struct arg), page, ENOTTY);
	assert_int_equal(seen.calls, 0);
}

static void value_comes_as_it_is(void **state)
{
	assert_ioctl_ok(T_VALUE, ~0ul);
	assert_int_equal(seen.value, ~0ul);
	assert_null(seen.buf);
	/* Only 32 bits of a request count, as in the kernel. */
	assert_ioctl_ok(0xabcd00000000ul | T_VALUE, 3);
	assert_int_equal(seen.cmd, T_VALUE);
}

static void raw_hook_is_asked_first(void **state)
{
	assert_int_equal(softvirt_ioctl(fd, T_RAW, 123), 123);
	assert_ioctl(T_NEGATIVE, 0, EPERM);
}

static void exact_copies_as_its_direction_says(void **state)
{
	u8 *p = at_end(sizeof(struct arg));
	u8 in[sizeof(struct arg)];

	fill(in, sizeof(in));
	memcpy(p, in, sizeof(in));
	assert_ioctl_ok(T_W, p);
	assert_memory_equal(seen.bytes, in, sizeof(in));
	assert_memory_equal(p, in, sizeof(in));

	assert_ioctl_ok(T_RW, p);
	assert_memory_equal(seen.bytes, in, sizeof(in));
	assert_true(all(p, 0xee, sizeof(in)));

	fill(p, sizeof(in));
	assert_ioctl_ok(T_R, p);
	assert_true(all(seen.bytes, 0, sizeof(in)));
	assert_true(all(p, 0xee, sizeof(in)));
	assert_int_equal(seen.size, sizeof(in));
	assert_ptr_not_equal(seen.buf, p);
}

static void struct_that_runs_into_a_bad_page_is_efault(void **state)
{
	for (size_t n = 0; n < sizeof(struct arg); n++) {
		assert_ioctl(T_W, at_end(n), EFAULT);
		assert_int_equal(seen.calls, 0);
		assert_ioctl(T_RW, at_end(n), EFAULT);
		assert_int_equal(seen.calls, 0);
		/* Nothing is read: the handler runs, and its result can't be told. */
		assert_ioctl(T_R, at_end(n), EFAULT);
		assert_int_equal(seen.calls, 1);
	}
	assert_ioctl(T_W, NULL, EFAULT);
	assert_ioctl(T_BIG, at_end(1999), EFAULT);
	assert_ioctl(T_BY_NUMBER, at_end(23), EFAULT);
}

static void result_into_read_only_memory_is_efault(void **state)
{
	mprotect(page, PAGE, PROT_READ);
	assert_ioctl(T_RW, at_end(24), EFAULT);
	assert_int_equal(seen.calls, 1);
	assert_ioctl_ok(T_W, at_end(24));
	mprotect(page, PAGE, PROT_READ | PROT_WRITE);
}

static void large_struct_goes_through_the_heap(void **state)
{
	u8 *p = at_end(2000), in[2000];

	fill(in, sizeof(in));
	memcpy(p, in, sizeof(in));
	assert_ioctl_ok(T_BIG, p);
	assert_memory_equal(seen.bytes, in, sizeof(in));
	assert_true(all(p, 0xee, sizeof(in)));
	sv_fault_inject(1);
	assert_ioctl(T_BIG, p, ENOMEM);
	assert_true(sv_fault_fired());
	sv_fault_inject(0);
	assert_int_equal(seen.calls, 0);
	assert_ioctl_ok(T_BIG, p);
}

static void failed_handler_copies_nothing_out_unless_it_says_so(void **state)
{
	u8 *p = at_end(24), in[24];

	fill(in, 24);
	memcpy(p, in, 24);
	assert_ioctl(T_FAIL, p, EBUSY);
	assert_memory_equal(p, in, 24);
	assert_ioctl(T_COUNT, p, E2BIG);
	assert_true(all(p, 0xee, 24));
	/* By number the copy happens whatever became of the call. */
	fill(p, 24);
	assert_ioctl(T_BY_NUMBER_FAIL, p, EBUSY);
	assert_true(all(p, 0xee, 24));
}

static void by_number_with_every_size(void **state)
{
	for (size_t n = 0; n <= 200; n++) {
		unsigned int cmd = _IOC(_IOC_READ | _IOC_WRITE, 'T', 5, n);
		u8 *p = at_end(n), in[200];

		fill(in, n);
		memcpy(p, in, n);
		assert_ioctl_ok(cmd, p);
		assert_int_equal(seen.size, max(n, sizeof(struct arg)));
		assert_int_equal(seen.user_size, n);
		assert_memory_equal(seen.bytes, in, n);
		if (n < sizeof(struct arg))
			assert_true(all(seen.bytes + n, 0, sizeof(struct arg) - n));
		assert_true(all(p, 0xee, n));
	}
	/* The largest that a command can carry. */
	assert_ioctl(_IOC(_IOC_READ | _IOC_WRITE, 'T', 5, 16383), page, EFAULT);
}

static void by_number_with_fewer_directions(void **state)
{
	u8 *p = at_end(24), in[24];

	fill(in, 24);
	memcpy(p, in, 24);
	assert_ioctl_ok(_IOC(_IOC_WRITE, 'T', 5, 24), p);
	assert_memory_equal(seen.bytes, in, 24);
	assert_memory_equal(p, in, 24);
	assert_ioctl_ok(_IOC(_IOC_READ, 'T', 5, 24), p);
	assert_true(all(seen.bytes, 0, 24));
	assert_true(all(p, 0xee, 24));
	assert_ioctl_ok(_IOC(_IOC_NONE, 'T', 5, 24), NULL);
}

static void sized_with_every_size_and_a_dirty_tail(void **state)
{
	const size_t ours = sizeof(struct arg);

	for (u32 n = 0; n <= 300; n++) {
		/* Memory for all that is claimed, and always for the size field. */
		u8 *p = at_end(max(n, 4u)), in[300];

		for (int dirty = 0; dirty <= (n > ours); dirty++) {
			memset(p, 0, n);
			fill(p, min((size_t)n, ours));
			memcpy(p, &n, 4);
			memcpy(in, p, min((size_t)n, ours));
			if (dirty)
				p[ours + (n - ours) / 2] = 0x80;
			if (n < MIN_SIZE) {
				assert_ioctl(T_SIZED, p, EINVAL);
				assert_int_equal(seen.calls, 0);
			} else if (dirty) {
				assert_ioctl(T_SIZED, p, E2BIG);
				assert_int_equal(seen.calls, 0);
			} else {
				assert_ioctl_ok(T_SIZED, p);
				assert_int_equal(seen.size, ours);
				assert_int_equal(seen.user_size, n);
				assert_memory_equal(seen.bytes, in, min((size_t)n, ours));
				if (n < ours)
					assert_true(all(seen.bytes + n, 0, ours - n));
				assert_true(all(p, 0xee, min((size_t)n, ours)));
				if (n > ours)
					assert_true(all(p + ours, 0, n - ours));
			}
		}
	}
}

static void sized_that_claims_more_than_is_there_is_efault(void **state)
{
	u32 sizes[] = { 25, 4096, 4097, 0x7fffffff, 0xffffffff };
	u8 *p = at_end(24);

	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		memset(p, 0, 24);
		memcpy(p, &sizes[i], 4);
		assert_ioctl(T_SIZED, p, EFAULT);
		assert_int_equal(seen.calls, 0);
	}
	for (size_t n = 0; n < 4; n++)
		assert_ioctl(T_SIZED, at_end(n), EFAULT);
	/* Says 24, has 20. */
	p = at_end(20);
	memcpy(p, &(u32){ 24 }, 4);
	assert_ioctl(T_SIZED, p, EFAULT);
}

static void generic_commands_reach_the_kernel(void **state)
{
	assert_int_equal(softvirt_ioctl(fd, FIONCLEX), 0);
	assert_int_equal(fcntl(fd, F_GETFD), 0);
	assert_int_equal(softvirt_ioctl(fd, FIOCLEX), 0);
	assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
}

static void stranger_s_descriptor_goes_to_the_kernel(void **state)
{
	int p[2], n = -1;

	assert_int_equal(pipe(p), 0);
	assert_int_equal(write(p[1], "abc", 3), 3);
	assert_int_equal(softvirt_ioctl(p[0], FIONREAD, &n), 0);
	assert_int_equal(n, 3);
	assert_int_equal(softvirt_ioctl(p[0], T_VALUE, 0), -1);
	assert_int_equal(errno, ENOTTY);
	close(p[0]);
	close(p[1]);
	assert_int_equal(softvirt_ioctl(p[0], T_VALUE, 0), -1);
	assert_int_equal(errno, EBADF);
	assert_int_equal(softvirt_ioctl(-1, T_VALUE, 0), -1);
	assert_int_equal(errno, EBADF);
	assert_int_equal(softvirt_ioctl(INT32_MAX, T_VALUE, 0), -1);
	assert_int_equal(errno, EBADF);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(unknown_command_is_enotty),
		cmocka_unit_test(value_comes_as_it_is),
		cmocka_unit_test(raw_hook_is_asked_first),
		cmocka_unit_test(exact_copies_as_its_direction_says),
		cmocka_unit_test(struct_that_runs_into_a_bad_page_is_efault),
		cmocka_unit_test(result_into_read_only_memory_is_efault),
		cmocka_unit_test(large_struct_goes_through_the_heap),
		cmocka_unit_test(failed_handler_copies_nothing_out_unless_it_says_so),
		cmocka_unit_test(by_number_with_every_size),
		cmocka_unit_test(by_number_with_fewer_directions),
		cmocka_unit_test(sized_with_every_size_and_a_dirty_tail),
		cmocka_unit_test(sized_that_claims_more_than_is_there_is_efault),
		cmocka_unit_test(generic_commands_reach_the_kernel),
		cmocka_unit_test(stranger_s_descriptor_goes_to_the_kernel),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
