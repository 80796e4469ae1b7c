/* SPDX-License-Identifier: MIT */
/*
 * Descriptors across fork, vfork and a raw clone: what is bound to the parent's memory
 * answers EIO in a child, is never released there, and the parent notices nothing.
 */
#include "unit.h"

#include <pthread.h>
#include <sys/syscall.h>

#include "file/file.h"
#include "softvirt/softvirt.h"

static int releases;

static void release(struct sv_file *f)
{
	__atomic_fetch_add(&releases, 1, __ATOMIC_RELAXED);
}

static long who(struct sv_file *f, unsigned int cmd, unsigned long value)
{
	return cmd == 0x1234 ? (long)sv_file_priv(f) : -ENOIOCTLCMD_SV;
}

static void *map_one(struct sv_file *f, void *addr, size_t len, int prot, int flags, off_t off)
{
	return (void *)0x10000;
}

static const struct sv_file_ops bound_ops = {
	.name = "bound", .ioctl = who, .mmap = map_one, .release = release, .bound_to_mm = true,
};
static const struct sv_file_ops free_ops = { .name = "free", .ioctl = who, .release = release };
static int bound, unbound;

static int new_fd(const struct sv_file_ops *ops, long id)
{
	struct sv_file *f;

	assert_int_equal(sv_file_create(ops, (void *)id, SV_BACKING_EVENTFD, 0, O_CLOEXEC, &f), 0);
	return sv_file_install(f);
}

static int setup(void **state)
{
	releases = 0;
	bound = new_fd(&bound_ops, 1);
	unbound = new_fd(&free_ops, 2);
	return 0;
}

static int teardown(void **state)
{
	assert_int_equal(releases, 0);
	assert_int_equal(softvirt_ioctl(bound, 0x1234), 1);
	assert_int_equal(softvirt_ioctl(unbound, 0x1234), 2);
	softvirt_close(bound);
	softvirt_close(unbound);
	assert_int_equal(releases, 2);
	return 0;
}

static void child_asks(void)
{
	errno = 0;
	if (softvirt_ioctl(bound, 0x1234) != -1 || errno != EIO)
		_exit(1);
	errno = 0;
	if (softvirt_mmap(NULL, 4096, PROT_READ, MAP_SHARED, bound, 0) != MAP_FAILED || errno != EIO)
		_exit(2);
	if (softvirt_ioctl(unbound, 0x1234) != 2)
		_exit(3);
	if (softvirt_close(bound) || softvirt_close(unbound) || releases)
		_exit(4);
	if (softvirt_ioctl(bound, 0x1234) != -1 || errno != EBADF)
		_exit(5);
	/* Its own objects work and are released. */
	bound = new_fd(&bound_ops, 3);
	if (softvirt_ioctl(bound, 0x1234) != 3 || softvirt_close(bound) || releases != 1)
		_exit(6);
	_exit(0);
}

static void bound_descriptor_in_a_forked_child_is_eio(void **state)
{
	assert_int_equal(unit_in_child(child_asks), 0);
}

static void grandchild(void)
{
	bound = new_fd(&bound_ops, 9);
	if (unit_in_child(child_asks))
		_exit(1);
	_exit(softvirt_ioctl(bound, 0x1234) == 9 ? 0 : 2);
}

static void grandchild_is_no_relative_of_the_child_s_objects(void **state)
{
	assert_int_equal(unit_in_child(grandchild), 0);
}

#if !defined(__SANITIZE_THREAD__)
static void raw_clone_without_atfork_handlers_is_noticed(void **state)
{
	int status;
	pid_t pid = (pid_t)syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);

	if (!pid) {
		errno = 0;
		_exit(softvirt_ioctl(bound, 0x1234) == -1 && errno == EIO &&
		      !softvirt_close(bound) && !releases ? 0 : 1);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}
#endif

static void close_in_a_vforked_child_leaves_the_parent_s_table(void **state)
{
	int status, b = bound;
	pid_t pid = vfork();

	if (!pid) {
		softvirt_close(b);
		softvirt_dup2(0, b);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	/* teardown asks it */
}

static void *open_and_close(void *stop)
{
	while (!__atomic_load_n((bool *)stop, __ATOMIC_RELAXED))
		softvirt_close(new_fd(&free_ops, 3));
	return NULL;
}

/* Other threads are in the middle of whatever it takes to make one. */
static void a_forked_child_can_make_descriptors(void **state)
{
	bool stop = false;
	pthread_t t[3];
	int status, before = releases;

	for (size_t i = 0; i < ARRAY_SIZE(t); i++)
		assert_int_equal(pthread_create(&t[i], NULL, open_and_close, &stop), 0);
	for (unsigned i = 0; i < 500; i++) {
		pid_t pid = fork();

		if (!pid) {
			softvirt_close(new_fd(&free_ops, 4));
			_exit(0);
		}
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_int_equal(status, 0);
	}
	__atomic_store_n(&stop, true, __ATOMIC_RELAXED);
	for (size_t i = 0; i < ARRAY_SIZE(t); i++)
		pthread_join(t[i], NULL);
	releases = before;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(bound_descriptor_in_a_forked_child_is_eio, setup,
						teardown),
		cmocka_unit_test_setup_teardown(grandchild_is_no_relative_of_the_child_s_objects,
						setup, teardown),
#if !defined(__SANITIZE_THREAD__)
		cmocka_unit_test_setup_teardown(raw_clone_without_atfork_handlers_is_noticed, setup,
						teardown),
#endif
		cmocka_unit_test_setup_teardown(a_forked_child_can_make_descriptors, setup, teardown),
		cmocka_unit_test_setup_teardown(close_in_a_vforked_child_leaves_the_parent_s_table,
						setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
