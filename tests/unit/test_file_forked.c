/* SPDX-License-Identifier: MIT */
/*
 * Calls of forked children: their structs, strings and descriptors; memory that they lend, of every
 * kind, and what becomes of it; children that die, stop, or lie.
 */
#include "unit.h"

#include <linux/ioctl.h>
#include <pthread.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "base/alloc.h"
#include "base/err.h"
#include "base/guard.h"
#include "file/forked_impl.h"
#include "softvirt/softvirt.h"

#define PAGE 4096ul

/*
 * ThreadSanitizer may end a child that starts a thread: the C library gives it the number of one of the
 * parent's, which it still knows. So what a child lends is for the other builds.
 */
#ifdef __SANITIZE_THREAD__
#define CHILDREN_HAVE_THREADS 0
#else
#define CHILDREN_HAVE_THREADS 1
#endif

struct sized { u32 size, a; u64 b; };
struct lend { void *addr; u64 len, writable; s64 found; };
struct string { const char *s; u64 room; };

#define CMD_EXACT _IOWR('t', 1, struct sized)
#define CMD_SIZED _IO('t', 2)
#define CMD_STRING _IOWR('t', 3, struct string)
#define CMD_SIZE_OF_FD _IO('t', 4)
#define CMD_LEND _IOWR('t', 5, struct lend)
#define CMD_LENT_BYTE _IO('t', 6)	/* value: offset; the byte there, which becomes 0x77 */
#define CMD_CLEAR _IOWR('t', 7, struct string)
#define CMD_WAIT _IO('t', 8)		/* for a byte through gate, then reads the caller's memory; says so in back */
#define CMD_RESTART _IO('t', 9)
#define CMD_ARM _IO('t', 10)		/* the value-th fallible step of the line's thread fails; was one armed, did it? */

static struct sv_lender *lender;
static u8 *lent;
static u64 lent_len;
/* The calls of one test follow each other, by way of other processes, which TSan can't know. */
static struct sv_mutex lent_lock = SV_MUTEX_INIT;
static int releases, gate[2], back[2];	/* pipes */

static long swap(struct sv_file *f, struct sv_ioctl_ctx *c)
{
	struct sized *s = c->buf;

	s->b = s->a;
	s->a = (u32)(long)sv_file_priv(f);
	return 7;
}

static long string(struct sv_file *f, struct sv_ioctl_ctx *c)
{
	struct string *s = c->buf;
	char copy[64];

	return sv_strncpy_from_user(copy, s->s, min(s->room, sizeof(copy)));
}

static long clear(struct sv_file *f, struct sv_ioctl_ctx *c)
{
	struct string *s = c->buf;

	return sv_clear_user((void *)(uintptr_t)s->s, s->room);
}

static long size_of_fd(struct sv_file *f, struct sv_ioctl_ctx *c)
{
	int fd = sv_caller_fd((int)c->value);
	struct stat st;
	long ret;

	if (fd < 0)
		return fd;
	ret = fstat(fd, &st) ? -EBADF : st.st_size;
	sv_caller_fd_put((int)c->value, fd);
	return ret;
}

/* Maps what the caller has at addr in place of what was lent before. */
static long lend_locked(struct lend *l)
{
	long err;

	if (!sv_user_is_foreign())
		return -EINVAL;
	if (lender)
		sv_lender_put(lender);
	lender = sv_caller_lender();
	if (IS_ERR(lender)) {
		err = PTR_ERR(lender);
		lender = NULL;
		return err;
	}
	if (lent)
		munmap(lent, lent_len);
	lent_len = l->len;
	lent = mmap(NULL, lent_len, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	err = sv_lender_map(lender, (u64)l->addr, l->len, l->writable, lent);
	l->found = err ? -1 : *lent;
	return err;
}

static long lend(struct sv_file *f, struct sv_ioctl_ctx *c)
{
	long ret;

	sv_mutex_lock(&lent_lock);
	ret = lend_locked(c->buf);
	sv_mutex_unlock(&lent_lock);
	return ret;
}

static long lent_byte(struct sv_file *f, struct sv_ioctl_ctx *c)
{
	u8 b, new = 0x77;
	long ret;

	sv_mutex_lock(&lent_lock);
	ret = sv_copy_guarded(&b, lent + c->value, 1) || sv_copy_guarded(lent + c->value, &new, 1) ? -EFAULT : b;
	sv_mutex_unlock(&lent_lock);
	return ret;
}

static long wait_then_read(struct sv_file *f, struct sv_ioctl_ctx *c)
{
	char b;
	long ret;

	assert_int_equal(write(back[1], "i", 1), 1);
	assert_int_equal(read(gate[0], &b, 1), 1);
	ret = sv_copy_from_user(&b, (void *)c->value, 1);
	assert_int_equal(write(back[1], ret ? "e" : "k", 1), 1);
	return ret;
}

static long restart(struct sv_file *f, struct sv_ioctl_ctx *c)
{
	return -ERESTARTSYS_SV;
}

static long arm(struct sv_file *f, struct sv_ioctl_ctx *c)
{
	long fired = sv_fault_fired();

	sv_fault_inject((unsigned)c->value);
	return fired;
}

static void release(struct sv_file *f)
{
	__atomic_fetch_add(&releases, 1, __ATOMIC_RELEASE);
}

static const struct sv_ioctl ioctls[] = {
	SV_IOCTL_ENTRY(SV_IOCTL_EXACT, CMD_EXACT, swap),
	{ .cmd = CMD_SIZED, .kind = SV_IOCTL_SIZED, .size = 16, .min_size = 8, .name = "sized", .fn = swap },
	SV_IOCTL_ENTRY(SV_IOCTL_EXACT, CMD_STRING, string),
	SV_IOCTL_ENTRY(SV_IOCTL_VALUE, CMD_SIZE_OF_FD, size_of_fd),
	SV_IOCTL_ENTRY(SV_IOCTL_EXACT, CMD_LEND, lend),
	SV_IOCTL_ENTRY(SV_IOCTL_VALUE, CMD_LENT_BYTE, lent_byte),
	SV_IOCTL_ENTRY(SV_IOCTL_EXACT, CMD_CLEAR, clear),
	SV_IOCTL_ENTRY(SV_IOCTL_VALUE, CMD_WAIT, wait_then_read),
	SV_IOCTL_ENTRY(SV_IOCTL_VALUE, CMD_RESTART, restart),
	SV_IOCTL_ENTRY(SV_IOCTL_VALUE, CMD_ARM, arm),
};

static const struct sv_file_ops ops = {
	.name = "called", .ioctls = ioctls, .nr_ioctls = ARRAY_SIZE(ioctls), .release = release,
	.bound_to_mm = true, .called_by_children = true,
};
static int fd;

static int new_fd(long id)
{
	struct sv_file *f;

	assert_int_equal(sv_file_create(&ops, (void *)id, SV_BACKING_EVENTFD, 0, O_CLOEXEC, &f), 0);
	return sv_file_install(f);
}

/* The owner's threads may still be at the end of a call. */
static void wait_for_release(void)
{
	while (!__atomic_load_n(&releases, __ATOMIC_ACQUIRE))
		usleep(100);
	assert_int_equal(releases, 1);
}

static int setup(void **state)
{
	releases = 0;
	fd = new_fd(1);
	return pipe(gate) || pipe(back);
}

static int teardown(void **state)
{
	struct sized s = { .size = 16 };

	/* Whatever the children did: the file is alive and well, and ends with us. */
	assert_int_equal(softvirt_ioctl(fd, CMD_EXACT, &s), 7);
	assert_int_equal(releases, 0);
	softvirt_close(fd);
	wait_for_release();
	sv_mutex_lock(&lent_lock);
	if (lender)
		sv_lender_put(lender);
	lender = NULL;
	sv_mutex_unlock(&lent_lock);
	for (int i = 0; i < 2; i++) {
		close(gate[i]);
		close(back[i]);
	}
	return 0;
}

/* In a child: which check failed is its exit status, as the line's number. */
#define CHECK(cond) do { \
	if (!(cond)) \
		_exit(__LINE__ % 251 + 1); \
} while (0)
#define CHECK_ERRNO(call, err) do { \
	errno = 0; \
	CHECK((call) == -1 && errno == (err)); \
} while (0)

static void *memory(size_t len)
{
	void *p = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	CHECK(p != MAP_FAILED);
	return p;
}

static void structs(void)
{
	struct sized s = { .size = 16, .a = 5 };
	char *edge = (char *)memory(3 * PAGE) + PAGE, buf[40] = { 0 };

	CHECK(softvirt_ioctl(fd, CMD_EXACT, &s) == 7 && s.a == 1 && s.b == 5);
	s = (struct sized){ .size = 16, .a = 6 };
	CHECK(softvirt_ioctl(fd, CMD_SIZED, &s) == 7 && s.a == 1 && s.b == 6);
	/* Short, long, with a dirty tail; ENOTTY. */
	s = (struct sized){ .size = 7, .a = 6 };
	CHECK_ERRNO(softvirt_ioctl(fd, CMD_SIZED, &s), EINVAL);
	memcpy(buf, &(struct sized){ .size = sizeof(buf), .a = 9 }, sizeof(s));
	CHECK(softvirt_ioctl(fd, CMD_SIZED, buf) == 7);
	buf[39] = 1;
	CHECK_ERRNO(softvirt_ioctl(fd, CMD_SIZED, buf), E2BIG);
	CHECK_ERRNO(softvirt_ioctl(fd, _IO('t', 99), buf), ENOTTY);
	CHECK_ERRNO(softvirt_ioctl(fd, CMD_RESTART, 0), EINTR);
	/* Half of it is there. */
	CHECK(!munmap(edge + PAGE, PAGE));
	CHECK_ERRNO(softvirt_ioctl(fd, CMD_EXACT, edge + PAGE - 8), EFAULT);
	CHECK(softvirt_ioctl(fd, CMD_EXACT, edge + PAGE - 16) == 7);
	CHECK_ERRNO(softvirt_ioctl(fd, CMD_EXACT, NULL), EFAULT);
	CHECK_ERRNO(softvirt_ioctl(fd, CMD_EXACT, -16), EFAULT);
	CHECK(!mprotect(edge, PAGE, PROT_READ));
	CHECK_ERRNO(softvirt_ioctl(fd, CMD_EXACT, edge), EFAULT);
}

static void a_child_s_structs_are_copied_from_and_to_the_child(void **state)
{
	assert_int_equal(unit_in_child(structs), 0);
}

static char *parents;

static void unmapped_here(void)
{
	CHECK(!munmap(parents, PAGE));
	CHECK_ERRNO(softvirt_ioctl(fd, CMD_EXACT, parents), EFAULT);
}

static void an_address_that_only_the_parent_has_is_efault(void **state)
{
	parents = memory(PAGE);
	assert_int_equal(unit_in_child(unmapped_here), 0);
	for (size_t i = 0; i < PAGE; i++)
		assert_int_equal(parents[i], 0);
	munmap(parents, PAGE);
}

static void strings_and_ranges(void)
{
	char *p = memory(4 * PAGE), *end = p + 3 * PAGE;
	struct string s = { .s = end - 5, .room = 64 }, c = { .s = p + 10, .room = 2 * PAGE };

	memset(p, 'x', 4 * PAGE);
	CHECK(!munmap(end, PAGE));
	/* It ends where memory does; one byte less, and it doesn't. */
	end[-1] = 0;
	CHECK(softvirt_ioctl(fd, CMD_STRING, &s) == 4);
	end[-1] = 'x';
	CHECK_ERRNO(softvirt_ioctl(fd, CMD_STRING, &s), EFAULT);
	s.room = 5;
	CHECK(softvirt_ioctl(fd, CMD_STRING, &s) == 5);
	CHECK(!softvirt_ioctl(fd, CMD_CLEAR, &c));
	CHECK(p[9] == 'x' && !p[10] && !p[10 + 2 * PAGE - 1] && p[10 + 2 * PAGE] == 'x');
	c.room = 4 * PAGE;
	CHECK_ERRNO(softvirt_ioctl(fd, CMD_CLEAR, &c), EFAULT);
}

static void strings_end_where_they_end(void **state)
{
	assert_int_equal(unit_in_child(strings_and_ranges), 0);
}

static void descriptors(void)
{
	int mfd = memfd_create("child's", MFD_CLOEXEC);

	CHECK(!ftruncate(mfd, 12345));
	CHECK(softvirt_ioctl(fd, CMD_SIZE_OF_FD, mfd) == 12345);
	close(mfd);
	CHECK_ERRNO(softvirt_ioctl(fd, CMD_SIZE_OF_FD, mfd), EBADF);
	CHECK_ERRNO(softvirt_ioctl(fd, CMD_SIZE_OF_FD, -1), EBADF);
}

static void a_descriptor_s_number_is_the_child_s(void **state)
{
	int other = open("/proc/self/exe", O_RDONLY);

	assert_int_equal(unit_in_child(descriptors), 0);
	close(other);
}

/* The child lends p; the parent sees its writes and it the parent's. */
static void check_lent(u8 *p, size_t len)
{
	struct lend l = { .addr = p, .len = len, .writable = 1 };

	p[0] = 0x11;
	p[len - 1] = 0x22;
	CHECK(!softvirt_ioctl(fd, CMD_LEND, &l) && l.found == 0x11);
	CHECK(p[0] == 0x11 && p[len - 1] == 0x22);
	CHECK(softvirt_ioctl(fd, CMD_LENT_BYTE, len - 1) == 0x22 && p[len - 1] == 0x77);
	p[0] = 0x33;
	CHECK(softvirt_ioctl(fd, CMD_LENT_BYTE, 0) == 0x33 && p[0] == 0x77);
}

static u8 *shared_before;

static void lend_all_kinds(void)
{
	static u8 data[3 * PAGE] __attribute__((aligned(4096))) = { 1 };
	int mfd = memfd_create("lent", MFD_CLOEXEC);
	u8 stack[3 * PAGE], *p = memory(4 * PAGE), *q;

	check_lent(p, 4 * PAGE);
	/* Again, the part that is shared by now; then more of it with it. */
	check_lent(p + PAGE, PAGE);
	check_lent(data, 3 * PAGE);
	check_lent((u8 *)(((uintptr_t)stack + PAGE - 1) & -PAGE), PAGE);
	q = aligned_alloc(PAGE, 64 * PAGE);
	check_lent(q, 64 * PAGE);
	free(q);
	CHECK(!ftruncate(mfd, 3 * PAGE));
	q = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, mfd, PAGE);
	check_lent(q, 2 * PAGE);
	check_lent(q + PAGE, PAGE);
	/* Without a descriptor: by map_files if we may, else there is none to be had. */
	check_lent(shared_before, 4 * PAGE);
	check_lent(shared_before + PAGE, 2 * PAGE);
	/* Several mappings at once. */
	q = memory(6 * PAGE);
	CHECK(mmap(q + 2 * PAGE, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, mfd, 0) != MAP_FAILED);
	check_lent(q, 6 * PAGE);
	/* Later ones see all of it. */
	CHECK(q[5 * PAGE + 5] == 0);
}

static void memory_of_every_kind_is_lent(void **state)
{
	shared_before = mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	assert_int_equal(unit_in_child(lend_all_kinds), 0);
	munmap(shared_before, 4 * PAGE);
}

/* As a user that may not look into map_files and has no descriptor of it. */
static void without_privileges(void)
{
	if (!geteuid())
		CHECK(!setgid(65534) && !setuid(65534));
	lend_all_kinds();
}

static void memory_is_lent_without_privileges(void **state)
{
	/* A process that has changed its user can't be looked at by a parent that isn't root. */
	shared_before = mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	assert_int_equal(unit_in_child(without_privileges), 0);
	munmap(shared_before, 4 * PAGE);
}

static void lend_what_is_not_there(void)
{
	u8 *p = memory(4 * PAGE);
	struct lend l = { .addr = p, .len = 4 * PAGE, .writable = 1 };

	CHECK(!mprotect(p + PAGE, PAGE, PROT_READ));
	CHECK_ERRNO(softvirt_ioctl(fd, CMD_LEND, &l), EFAULT);
	/* What was private and written before still is what it was. */
	p[0] = 1;
	l.writable = 0;
	CHECK(!softvirt_ioctl(fd, CMD_LEND, &l) && l.found == 1);
	CHECK(!mprotect(p + PAGE, PAGE, PROT_NONE));
	CHECK_ERRNO(softvirt_ioctl(fd, CMD_LEND, &l), EFAULT);
	CHECK(!munmap(p + PAGE, PAGE));
	CHECK_ERRNO(softvirt_ioctl(fd, CMD_LEND, &l), EFAULT);
	l.addr = (void *)(1ul << 46);
	CHECK_ERRNO(softvirt_ioctl(fd, CMD_LEND, &l), EFAULT);
	/* And then it goes on. */
	check_lent(p + 2 * PAGE, 2 * PAGE);
}

static void memory_that_is_not_there_is_efault(void **state)
{
	assert_int_equal(unit_in_child(lend_what_is_not_there), 0);
}

static void lend_and_go(void)
{
	u8 *p = memory(2 * PAGE);
	struct lend l = { .addr = p, .len = 2 * PAGE, .writable = 1 };

	memset(p, 0x42, 2 * PAGE);
	CHECK(!softvirt_ioctl(fd, CMD_LEND, &l));
	CHECK(!munmap(p, PAGE));
	p[PAGE] = 0x43;
}

static void lent_memory_outlives_the_child(void **state)
{
	assert_int_equal(unit_in_child(lend_and_go), 0);
	sv_mutex_lock(&lent_lock);
	assert_int_equal(lent[0], 0x42);
	assert_int_equal(lent[PAGE], 0x43);
	/* What the child would have had to lend now is gone with it. */
	assert_int_equal(sv_lender_map(lender, (u64)lent, PAGE, true, lent), -EFAULT);
	sv_mutex_unlock(&lent_lock);
}

static unsigned the_step;

/* The first call of a child whose nth step fails is EIO, and after it all is well. Status 255: none has failed. */
static void first_call(void)
{
	struct sized s = { .size = 16 };
	bool fired;
	int ret;

	sv_fault_inject(the_step);
	ret = softvirt_ioctl(fd, CMD_EXACT, &s);
	fired = sv_fault_fired();
	sv_fault_inject(0);
	CHECK(ret == 7 || (ret == -1 && errno == EIO && fired));
	CHECK(softvirt_ioctl(fd, CMD_EXACT, &s) == 7);
	if (!fired)
		_exit(255);
}

/* The same in the owner's thread, which has the child's only line. */
static void owner_s_steps(void)
{
	u8 *p = memory(2 * PAGE);
	struct lend l = { .addr = p, .len = 2 * PAGE, .writable = 1 };
	unsigned failed = 0;
	long ret, fired = 1;

	for (int n = 1; fired; n++) {
		CHECK(softvirt_ioctl(fd, CMD_ARM, n) >= 0);
		ret = softvirt_ioctl(fd, CMD_LEND, &l);
		CHECK(!ret || errno == EIO || errno == EFAULT || errno == ENOMEM);
		failed += ret < 0;
		fired = softvirt_ioctl(fd, CMD_ARM, 0);
		CHECK(fired >= 0 && n < 100);
		check_lent(p, 2 * PAGE);
	}
	CHECK(failed);
}

static void a_step_that_fails_is_an_error_and_no_more(void **state)
{
	int status = 0;

	for (the_step = 1; status != 255; the_step++) {
		status = unit_in_child(first_call);
		assert_true(!status || (status == 255 && the_step > 2));
	}
	assert_int_equal(unit_in_child(owner_s_steps), 0);
}

#define COUNTERS 4
#define COUNT 200000ul
static u8 *counted;

static void *count(void *arg)
{
	u64 *p = (u64 *)(void *)(counted + (size_t)arg * PAGE);

	for (u64 i = 0; i < COUNT; i++)
		__atomic_fetch_add(p + i % 512, 1, __ATOMIC_RELAXED);
	return NULL;
}

static void lend_under_writes(void)
{
	struct lend l = { .len = COUNTERS * PAGE, .writable = 1 };
	pthread_t t[COUNTERS];

	for (int round = 0; round < 4; round++) {
		l.addr = counted = memory(COUNTERS * PAGE);
		for (size_t i = 0; i < COUNTERS; i++)
			CHECK(!pthread_create(&t[i], NULL, count, (void *)i));
		CHECK(!softvirt_ioctl(fd, CMD_LEND, &l));
		for (size_t i = 0; i < COUNTERS; i++)
			CHECK(!pthread_join(t[i], NULL));
		for (size_t i = 0; i < COUNTERS; i++) {
			u64 *p = (u64 *)(void *)(counted + i * PAGE), sum = 0;

			for (size_t j = 0; j < 512; j++)
				sum += p[j];
			CHECK(sum == COUNT);
		}
	}
}

static void no_write_is_lost_while_memory_becomes_shared(void **state)
{
	assert_int_equal(unit_in_child(lend_under_writes), 0);
}

static void *calls(void *arg)
{
	for (int i = 0; i < 200; i++) {
		struct sized s = { .size = 16, .a = (u32)(long)arg };

		CHECK(softvirt_ioctl(fd, CMD_EXACT, &s) == 7 && s.a == 1 && s.b == (u64)arg);
	}
	return NULL;
}

static void threads(void)
{
	pthread_t t[6];

	for (long i = 0; i < 6; i++)
		CHECK(!pthread_create(&t[i], NULL, calls, (void *)i));
	for (int i = 0; i < 6; i++)
		CHECK(!pthread_join(t[i], NULL));
}

static void threads_of_several_children_call_at_once(void **state)
{
	pid_t pid[6];
	int status;

	for (int i = 0; i < 6; i++) {
		pid[i] = fork();
		if (!pid[i]) {
			if (CHILDREN_HAVE_THREADS)
				threads();
			else
				calls((void *)(long)i);
			_exit(0);
		}
	}
	for (int i = 0; i < 6; i++) {
		assert_int_equal(waitpid(pid[i], &status, 0), pid[i]);
		assert_int_equal(status, 0);
	}
}

static int own;

static void grandchild(void)
{
	struct sized s = { .size = 16 };

	CHECK(softvirt_ioctl(own, CMD_EXACT, &s) == 7 && s.a == 2);
	CHECK(softvirt_ioctl(fd, CMD_EXACT, &s) == 7 && s.a == 1);
	lend_all_kinds();
}

static void child_with_children(void)
{
	struct sized s = { .size = 16 };
	int status;

	/* Its own line is not its child's. */
	CHECK(softvirt_ioctl(fd, CMD_EXACT, &s) == 7);
	own = new_fd(2);
	status = unit_in_child(grandchild);
	CHECK(!status);
	CHECK(softvirt_ioctl(fd, CMD_EXACT, &s) == 7);
	CHECK(softvirt_ioctl(own, CMD_EXACT, &s) == 7 && s.a == 2);
	CHECK(!softvirt_close(own) && releases == 1);
	CHECK_ERRNO(softvirt_ioctl(own, CMD_EXACT, &s), EBADF);
}

static void grandchildren_reach_both(void **state)
{
	shared_before = mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	assert_int_equal(unit_in_child(child_with_children), 0);
	munmap(shared_before, 4 * PAGE);
}

static void closed_by_the_parent_is_eio(void **state)
{
	struct sized s = { .size = 16 };
	int other = new_fd(3), status;
	char b = 0;
	pid_t pid = fork();

	if (!pid) {
		CHECK(softvirt_ioctl(other, CMD_EXACT, &s) == 7);
		CHECK(write(back[1], "x", 1) == 1);
		CHECK(read(gate[0], &b, 1) == 1);
		CHECK_ERRNO(softvirt_ioctl(other, CMD_EXACT, &s), EIO);
		CHECK(softvirt_ioctl(fd, CMD_EXACT, &s) == 7);
		_exit(0);
	}
	assert_int_equal(read(back[0], &b, 1), 1);
	softvirt_close(other);
	wait_for_release();
	releases = 0;
	assert_int_equal(write(gate[1], "x", 1), 1);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

/* Forks a child whose parent then ends; what the grandchild found comes through the pipe. */
static void orphan(void)
{
	struct sized s = { .size = 16 };
	char b = 'n';

	own = new_fd(2);
	if (fork())
		_exit(0);
	while (getppid() != 1 && softvirt_ioctl(own, CMD_EXACT, &s) == 7)
		usleep(1000);
	if (softvirt_ioctl(own, CMD_EXACT, &s) == -1 && errno == EIO)
		b = 'y';
	CHECK(write(gate[1], &b, 1) == 1);
	_exit(0);
}

static void an_owner_that_has_ended_is_eio(void **state)
{
	char b = 0;

	assert_int_equal(unit_in_child(orphan), 0);
	assert_int_equal(read(gate[0], &b, 1), 1);
	assert_int_equal(b, 'y');
}

static void a_child_that_is_killed_in_a_call(void **state)
{
	int status;
	char b = 0;
	pid_t pid;

	for (int i = 0; i < 10; i++) {
		pid = fork();
		if (!pid) {
			softvirt_ioctl(fd, CMD_WAIT, &b);
			_exit(0);
		}
		assert_int_equal(read(back[0], &b, 1), 1);
		assert_int_equal(b, 'i');
		kill(pid, SIGKILL);
		assert_int_equal(waitpid(pid, &status, 0), pid);
		/* The handler finds nobody. */
		assert_int_equal(write(gate[1], "x", 1), 1);
		assert_int_equal(read(back[0], &b, 1), 1);
		assert_int_equal(b, 'e');
	}
}

static void children_that_are_killed_at_any_moment(void **state)
{
	u64 seed = 4711;
	int status;
	pid_t pid;

	for (int i = 0; i < 40; i++) {
		pid = fork();
		if (!pid)
			for (;;)
				calls(NULL);
		usleep((useconds_t)(unit_rand(&seed) % 4000));
		kill(pid, SIGKILL);
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_true(WIFSIGNALED(status));
	}
}

static void a_child_that_stops_does_not_stop_the_owner(void **state)
{
	unsigned patience = forked_patience_ms;
	int status;
	char b = 0;
	u8 *p;
	pid_t pid;

	__atomic_store_n(&forked_patience_ms, 30, __ATOMIC_RELAXED);
	pid = fork();
	if (!pid) {
		struct lend l = { .addr = memory(PAGE), .len = PAGE, .writable = 1 };

		CHECK(!softvirt_ioctl(fd, CMD_LEND, &l));
		CHECK(write(gate[1], "x", 1) == 1);
		for (;;)
			pause();
	}
	assert_int_equal(read(gate[0], &b, 1), 1);
	kill(pid, SIGSTOP);
	assert_int_equal(waitpid(pid, &status, WUNTRACED), pid);
	p = mmap(NULL, PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	sv_mutex_lock(&lent_lock);
	assert_int_equal(sv_lender_map(lender, (u64)lent, PAGE, true, p), -EFAULT);
	kill(pid, SIGCONT);
	/* It had its chance. */
	assert_int_equal(sv_lender_map(lender, (u64)lent, PAGE, true, p), -EFAULT);
	sv_mutex_unlock(&lent_lock);
	kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	munmap(p, PAGE);
	__atomic_store_n(&forked_patience_ms, patience, __ATOMIC_RELAXED);
}

/* Lies. */

/* Every socket that the child has inherited: the door is among them. */
static int doors[64];
static unsigned nr_doors;

static void find_doors(void)
{
	struct stat st;

	for (int i = 3; i < 1 << 20 && nr_doors < ARRAY_SIZE(doors); i++)
		if (!fstat(i, &st) && S_ISSOCK(st.st_mode))
			doors[nr_doors++] = i;
	CHECK(nr_doors);
}

static void at_every_door(const void *msg, size_t n, int give)
{
	union { struct cmsghdr align; char buf[CMSG_SPACE(sizeof(int))]; } control = { 0 };

	for (unsigned i = 0; i < nr_doors; i++) {
		struct iovec iov = { (void *)(uintptr_t)msg, n };
		struct msghdr h = { .msg_iov = &iov, .msg_iovlen = 1 };
		struct cmsghdr *c;

		if (give >= 0) {
			h.msg_control = control.buf;
			h.msg_controllen = sizeof(control.buf);
			c = CMSG_FIRSTHDR(&h);
			c->cmsg_level = SOL_SOCKET;
			c->cmsg_type = SCM_RIGHTS;
			c->cmsg_len = CMSG_LEN(sizeof(int));
			memcpy(CMSG_DATA(c), &give, sizeof(int));
		}
		(void)sendmsg(doors[i], &h, MSG_DONTWAIT | MSG_NOSIGNAL);
	}
}

/* A line of the child's own making. */
static struct forked_end liar_line(void)
{
	struct forked_msg hello = { .type = FORKED_LINE };
	struct forked_end e;
	int s[2];

	CHECK(!socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, s));
	at_every_door(&hello, sizeof(hello), s[1]);
	close(s[1]);
	CHECK(!forked_end_init(&e, s[0]));
	return e;
}

static void garbage(void)
{
	u64 seed = 88172645463325252ull, noise[32];
	struct sized s = { .size = 16 };
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	find_doors();
	for (int i = 0; i < 60; i++) {
		struct forked_end e;
		struct forked_msg m, got;

		for (size_t j = 0; j < ARRAY_SIZE(noise); j++)
			noise[j] = unit_rand(&seed);
		if (i < 6)
			at_every_door(noise, (size_t)(unit_rand(&seed) % sizeof(noise)) + 1, i % 2 ? null : -1);
		if (i % 10)
			continue;
		/* A call by the book, then answers that are not. */
		e = liar_line();
		m = (struct forked_msg){ .type = FORKED_IOCTL, .file = unit_rand(&seed) % 64, .cmd = CMD_EXACT };
		CHECK(!forked_send(&e, &m, NULL, 0, -1));
		if (forked_recv(&e, &got, noise, sizeof(noise), NULL) >= 0 && got.type == FORKED_READ) {
			memcpy(&m, noise, sizeof(m));
			if (unit_rand(&seed) % 2)
				m.type = FORKED_ANSWER;
			(void)forked_send(&e, &m, noise, (size_t)(unit_rand(&seed) % 64), i % 3 ? null : -1);
			(void)forked_recv(&e, &got, noise, sizeof(noise), NULL);
		}
		forked_end_close(&e);
		/* Honest ones are served as before. */
		CHECK(softvirt_ioctl(fd, CMD_EXACT, &s) == 7);
	}
}

static void nonsense_at_the_door_and_on_a_line(void **state)
{
	assert_int_equal(unit_in_child(garbage), 0);
}

/* How a liar answers to being asked for two pages at 0x10000000. */
static int lie(struct forked_end *e, unsigned how, int mfd, const struct stat *st)
{
	struct forked_msg p = { .type = FORKED_PIECE, .addr = 0x10000000, .len = 2 * PAGE };
	struct forked_msg end = { .type = FORKED_ANSWER };
	int give = mfd;

	switch (how) {
	case 0: p.addr += PAGE; break;
	case 1: p.len = 3 * PAGE; break;
	case 2: p.len = 0; break;
	case 3: p.len = PAGE + 1; break;
	case 4: p.offset = 1; break;
	case 5: p.offset = ~0ull - PAGE + 1; break;
	case 6: p.len = PAGE; break;		/* and no more comes */
	case 7: p.type = FORKED_RETURN; break;
	case 8: give = open("/dev/null", O_RDWR | O_CLOEXEC); break;
	case 9:	/* somebody's secret, which this process has never mapped */
		give = -1;
		p.dev = st->st_dev;
		p.ino = st->st_ino;
		break;
	case 10: end.ret = 5; break;
	case 11: close(e->fd); return -1;
	}
	(void)forked_send(e, &p, NULL, 0, give);
	return forked_send(e, &end, NULL, 0, -1);
}

/* From here on the truth: all of it works but for what is said. */
#define LIES 12

/* Serves the call until it returns; its result. */
static long lying_call(struct forked_end *e, unsigned how, int mfd, const struct stat *st)
{
	struct lend l = { .addr = (void *)0x10000000, .len = 2 * PAGE, .writable = 1 };
	struct forked_msg m = { .type = FORKED_IOCTL, .file = 1, .cmd = CMD_LEND, .addr = (u64)&l };
	struct forked_end loan = { .fd = -1 };
	u8 data[FORKED_DATA];
	ssize_t n;
	int got;

	for (m.file = 1; m.file < 1000; m.file++) {
		CHECK(!forked_send(e, &m, NULL, 0, -1));
		for (;;) {
			struct forked_msg q, a = { .type = FORKED_ANSWER };

			n = forked_recv(e, &q, data, sizeof(data), &got);
			if (n < 0)
				return -EPIPE;
			if (q.type == FORKED_RETURN) {
				if (q.ret == -EIO)	/* no such file: the next number */
					break;
				return q.ret;
			}
			if (q.type == FORKED_READ) {
				a.len = q.len;
				CHECK(!forked_send(e, &a, (void *)q.addr, q.len, -1));
			} else if (q.type == FORKED_WRITE) {
				CHECK(!forked_send(e, &a, NULL, 0, -1));
			} else {
				CHECK(q.type == FORKED_LENDER && got >= 0 && !forked_end_init(&loan, got));
				CHECK(!forked_send(e, &a, NULL, 0, -1));
				CHECK(forked_recv(&loan, &q, NULL, 0, NULL) == 0 && q.type == FORKED_LEND);
				CHECK(q.addr == 0x10000000 && q.len == 2 * PAGE);
				(void)lie(&loan, how, mfd, st);
			}
		}
	}
	return 1;
}

static struct stat secret;
static unsigned the_lie;

static void liar(void)
{
	int mfd = memfd_create("liar", MFD_CLOEXEC);
	struct forked_end e;

	find_doors();
	e = liar_line();

	CHECK(!ftruncate(mfd, 2 * PAGE));
	CHECK(lying_call(&e, the_lie, mfd, &secret) == (the_lie < LIES ? -EFAULT : 0));
}

static void a_lender_that_lies_is_efault(void **state)
{
	int mfd = memfd_create("secret", MFD_CLOEXEC);
	u8 *p;

	assert_int_equal(ftruncate(mfd, 2 * PAGE), 0);
	assert_int_equal(fstat(mfd, &secret), 0);
	p = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, mfd, 0);
	assert_ptr_not_equal(p, MAP_FAILED);
	madvise(p, 2 * PAGE, MADV_DONTFORK);
	for (the_lie = 0; the_lie <= LIES; the_lie++)
		assert_int_equal(unit_in_child(liar), 0);
	munmap(p, 2 * PAGE);
	close(mfd);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(a_child_s_structs_are_copied_from_and_to_the_child),
		TEST(an_address_that_only_the_parent_has_is_efault),
		TEST(strings_end_where_they_end),
		TEST(a_descriptor_s_number_is_the_child_s),
		TEST(threads_of_several_children_call_at_once),
		TEST(closed_by_the_parent_is_eio),
		TEST(an_owner_that_has_ended_is_eio),
		TEST(a_child_that_is_killed_in_a_call),
		TEST(children_that_are_killed_at_any_moment),
		TEST(nonsense_at_the_door_and_on_a_line),
		TEST(a_lender_that_lies_is_efault),
		/* From here on children have threads. */
		TEST(memory_of_every_kind_is_lent),
		TEST(memory_is_lent_without_privileges),
		TEST(memory_that_is_not_there_is_efault),
		TEST(lent_memory_outlives_the_child),
		TEST(a_step_that_fails_is_an_error_and_no_more),
		TEST(no_write_is_lost_while_memory_becomes_shared),
		TEST(grandchildren_reach_both),
		TEST(a_child_that_stops_does_not_stop_the_owner),
	};
	size_t n = ARRAY_SIZE(tests);

	while (!CHILDREN_HAVE_THREADS && tests[n - 1].test_func != a_lender_that_lies_is_efault)
		n--;
	return _cmocka_run_group_tests("tests", tests, n, NULL, NULL);
}
