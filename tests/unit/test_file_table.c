/* SPDX-License-Identifier: MIT */
/*
 * The descriptor table: copies, closes in every order, closes behind its back, full
 * tables, and threads that race for the same number. Every object counts its releases.
 */
#include "unit.h"

#include <dirent.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "base/alloc.h"
#include "base/err.h"
#include "base/sync.h"
#include "file/file.h"
#include "softvirt/softvirt.h"

static int alive, releases;

static void release(struct sv_file *f)
{
	__atomic_fetch_sub(&alive, 1, __ATOMIC_RELAXED);
	__atomic_fetch_add(&releases, 1, __ATOMIC_RELAXED);
}

static long who(struct sv_file *f, unsigned int cmd, unsigned long value)
{
	return cmd == 0x1234 ? (long)sv_file_priv(f) : -ENOIOCTLCMD_SV;
}

static void *refuse_map(struct sv_file *f, void *addr, size_t len, int prot, int flags, off_t off)
{
	return off ? ERR_PTR(-ENXIO) : (void *)0x10000;
}

static const struct sv_file_ops ops = { .name = "test", .ioctl = who, .release = release };
static const struct sv_file_ops map_ops = {
	.name = "map", .ioctl = who, .mmap = refuse_map, .release = release,
};

static int new_fd_of(const struct sv_file_ops *o, long id, enum sv_backing backing, size_t size,
		     int flags)
{
	struct sv_file *f;
	int err = sv_file_create(o, (void *)id, backing, size, flags, &f);

	if (err)
		return err;
	__atomic_fetch_add(&alive, 1, __ATOMIC_RELAXED);
	return sv_file_install(f);
}

static int new_fd(long id, enum sv_backing backing)
{
	return new_fd_of(&ops, id, backing, 0, O_CLOEXEC);
}

static int ask(int fd)
{
	return softvirt_ioctl(fd, 0x1234);
}

static int open_fds(void)
{
	DIR *d = opendir("/proc/self/fd");
	int n = 0;

	assert_non_null(d);
	while (readdir(d))
		n++;
	closedir(d);
	return n;
}

static void copies_serve_the_same_object_until_the_last_closes(void **state)
{
	int fd[5] = { new_fd(7, SV_BACKING_EVENTFD) };

	fd[1] = softvirt_dup(fd[0]);
	fd[2] = softvirt_fcntl(fd[0], F_DUPFD_CLOEXEC, 100);
	fd[3] = softvirt_dup3(fd[2], 200, O_CLOEXEC);
	fd[4] = softvirt_dup2(fd[1], 300);
	assert_in_range(fd[2], 100, 199);
	assert_int_equal(fd[3], 200);
	assert_int_equal(fd[4], 300);
	for (int i = 0; i < 5; i++)
		assert_int_equal(ask(fd[i]), 7);
	/* In an order that is neither that of opening nor its reverse. */
	for (int i = 0; i < 5; i++) {
		assert_int_equal(alive, 1);
		assert_int_equal(softvirt_close(fd[(i * 3 + 1) % 5]), 0);
	}
	assert_int_equal(alive, 0);
	assert_int_equal(softvirt_close(fd[0]), -1);
	assert_int_equal(errno, EBADF);
}

static void dup2_onto_ours_releases_what_was_there(void **state)
{
	int a = new_fd(1, SV_BACKING_EVENTFD), b = new_fd(2, SV_BACKING_MEMFD);
	int null = open("/dev/null", O_RDONLY | O_CLOEXEC);

	assert_int_equal(softvirt_dup2(a, b), b);
	assert_int_equal(alive, 1);
	assert_int_equal(ask(b), 1);
	assert_int_equal(softvirt_dup2(null, b), b);
	assert_int_equal(ask(b), -1);
	assert_int_equal(errno, ENOTTY);
	/* A copy that fails changes nothing. */
	assert_int_equal(softvirt_dup2(-1, a), -1);
	assert_int_equal(errno, EBADF);
	assert_int_equal(ask(a), 1);
	assert_int_equal(softvirt_dup3(a, a, 0), -1);
	assert_int_equal(errno, EINVAL);
	assert_int_equal(softvirt_dup2(a, a), a);
	assert_int_equal(ask(a), 1);
	softvirt_close(a);
	softvirt_close(b);
	close(null);
	assert_int_equal(alive, 0);
}

static void number_reused_after_a_raw_close(void **state)
{
	/* By a new object of ours: the stale one goes when the number is taken. */
	int a = new_fd(1, SV_BACKING_MEMFD), b, c;

	syscall(SYS_close, a);
	b = new_fd(2, SV_BACKING_MEMFD);
	assert_int_equal(b, a);
	assert_int_equal(ask(b), 2);
	assert_int_equal(alive, 1);
	/* By a stranger: it is not mapped or copied as ours, and closes as itself. */
	for (int backing = SV_BACKING_EVENTFD; backing <= SV_BACKING_MEMFD; backing++) {
		a = new_fd(3, (enum sv_backing)backing);
		syscall(SYS_close, a);
		c = eventfd(0, EFD_CLOEXEC);
		assert_int_equal(c, a);
		c = softvirt_dup(a);
		assert_int_equal(ask(c), -1);
		assert_int_equal(errno, ENOTTY);
		assert_int_equal(alive, 1);
		assert_int_equal(softvirt_close(c), 0);
		assert_int_equal(softvirt_close(a), 0);
	}
	softvirt_close(b);
	assert_int_equal(alive, 0);
}

static void raw_copies_are_recognised(void **state)
{
	int a = new_fd(4, SV_BACKING_EVENTFD), b = new_fd(5, SV_BACKING_MEMFD);
	int other = new_fd(6, SV_BACKING_EVENTFD);
	int a2 = (int)syscall(SYS_dup, a), b2 = (int)syscall(SYS_dup, b);

	assert_int_equal(ask(a2), 4);
	assert_int_equal(ask(b2), 5);
	softvirt_close(a);
	softvirt_close(b);
	softvirt_close(other);
	assert_int_equal(alive, 2);
	softvirt_close(a2);
	softvirt_close(b2);
	assert_int_equal(alive, 0);
}

static void descriptor_sent_over_a_socket_within_the_process(void **state)
{
	char ctl[CMSG_SPACE(sizeof(int))] = { 0 }, c = 0;
	struct iovec iov = { &c, 1 };
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = ctl,
			    .msg_controllen = sizeof(ctl) };
	struct cmsghdr *h = CMSG_FIRSTHDR(&m);
	int a = new_fd(8, SV_BACKING_MEMFD), sv[2], got;

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv), 0);
	h->cmsg_level = SOL_SOCKET;
	h->cmsg_type = SCM_RIGHTS;
	h->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(h), &a, sizeof(int));
	assert_int_equal(sendmsg(sv[0], &m, 0), 1);
	assert_int_equal(recvmsg(sv[1], &m, 0), 1);
	memcpy(&got, CMSG_DATA(CMSG_FIRSTHDR(&m)), sizeof(int));
	assert_int_not_equal(got, a);
	assert_int_equal(ask(got), 8);
	softvirt_close(a);
	assert_int_equal(ask(got), 8);
	softvirt_close(got);
	assert_int_equal(alive, 0);
	close(sv[0]);
	close(sv[1]);
}

static void close_range_over_ours_and_strangers(void **state)
{
	int a = new_fd(1, SV_BACKING_EVENTFD), null = open("/dev/null", O_RDONLY | O_CLOEXEC);
	int kept = new_fd_of(&ops, 2, SV_BACKING_EVENTFD | SV_BACKING_KEEP, 0, O_CLOEXEC);
	struct sv_file *f = sv_fget(kept, &ops);
	int own = sv_file_backing_fd(f);
	u64 one = 1;

	assert_true(own > kept);
	/* A flag that does not exist, a range that is none: nothing happens. */
	assert_int_equal(softvirt_close_range((unsigned)a, (unsigned)kept, 1 << 20), -1);
	assert_int_equal(errno, EINVAL);
	assert_int_equal(softvirt_close_range(5, 4, 0), -1);
	assert_int_equal(errno, EINVAL);
	assert_int_equal(ask(a), 1);
	assert_int_equal(softvirt_close_range((unsigned)a, ~0u, 0), 0);
	assert_int_equal(fcntl(null, F_GETFD), -1);
	assert_int_equal(ask(a), -1);
	assert_int_equal(errno, EBADF);
	/* f is held by us: its own descriptor was spared. */
	assert_int_equal(alive, 1);
	assert_int_equal(write(own, &one, 8), 8);
	sv_file_put(f);
	assert_int_equal(alive, 0);
	assert_int_equal(fcntl(own, F_GETFD), -1);
}

static void poll_sees_the_backing(void **state)
{
	int a = new_fd_of(&ops, 1, SV_BACKING_EVENTFD | SV_BACKING_KEEP, 0, O_CLOEXEC | O_NONBLOCK);
	struct sv_file *f = sv_fget(a, NULL);
	struct pollfd p = { .fd = a, .events = POLLIN };
	u64 one = 1;

	assert_int_equal(poll(&p, 1, 0), 0);
	assert_int_equal(write(sv_file_backing_fd(f), &one, 8), 8);
	assert_int_equal(poll(&p, 1, 0), 1);
	assert_int_equal(read(a, &one, 8), 8);
	assert_int_equal(read(a, &one, 8), -1);
	assert_int_equal(errno, EAGAIN);
	sv_file_put(f);
	softvirt_close(a);
	assert_int_equal(alive, 0);
}

static void memfd_can_be_mapped_and_not_resized(void **state)
{
	int a = new_fd_of(&ops, 1, SV_BACKING_MEMFD, 8192, O_CLOEXEC);
	char *p = softvirt_mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, a, 0), *q;

	assert_ptr_not_equal(p, MAP_FAILED);
	q = softvirt_mmap(NULL, 4096, PROT_READ, MAP_SHARED, a, 4096);
	assert_ptr_not_equal(q, MAP_FAILED);
	p[4096] = 'x';
	assert_int_equal(q[0], 'x');
	assert_int_equal(ftruncate(a, 0), -1);
	assert_int_equal(errno, EPERM);
	assert_int_equal(ftruncate(a, 1 << 20), -1);
	assert_int_equal(errno, EPERM);
	assert_int_equal(fcntl(a, F_ADD_SEALS, F_SEAL_WRITE), -1);
	softvirt_close(a);
	/* The mapping outlives the object. */
	assert_int_equal(alive, 0);
	p[4097] = 'y';
	assert_int_equal(q[1], 'y');
	munmap(p, 8192);
	munmap(q, 4096);
}

static void mmap_that_the_object_refuses(void **state)
{
	int a = new_fd_of(&map_ops, 1, SV_BACKING_EVENTFD, 0, O_CLOEXEC);

	assert_ptr_equal(softvirt_mmap(NULL, 4096, PROT_READ, MAP_SHARED, a, 0), (void *)0x10000);
	assert_ptr_equal(softvirt_mmap(NULL, 4096, PROT_READ, MAP_SHARED, a, 4096), MAP_FAILED);
	assert_int_equal(errno, ENXIO);
	assert_ptr_equal(softvirt_mmap(NULL, 4096, PROT_READ, MAP_SHARED, a, 5), MAP_FAILED);
	assert_int_equal(errno, EINVAL);
	assert_ptr_equal(softvirt_mmap(NULL, 0, PROT_READ, MAP_SHARED, a, 0), MAP_FAILED);
	assert_int_equal(errno, EINVAL);
	softvirt_close(a);
	assert_int_equal(alive, 0);
}

static void flags_are_honoured(void **state)
{
	for (int backing = SV_BACKING_EVENTFD; backing <= SV_BACKING_MEMFD; backing++) {
		int a = new_fd_of(&ops, 1, (enum sv_backing)backing, 0, O_CLOEXEC);
		int b = new_fd_of(&ops, 1, (enum sv_backing)backing, 0, 0);

		assert_int_equal(fcntl(a, F_GETFD), FD_CLOEXEC);
		assert_int_equal(fcntl(b, F_GETFD), 0);
		softvirt_close(a);
		softvirt_close(b);
	}
}

static void every_step_of_create_fails_once(void **state)
{
	static const enum sv_backing kinds[] = {
		SV_BACKING_EVENTFD, SV_BACKING_MEMFD, SV_BACKING_EVENTFD | SV_BACKING_KEEP,
		SV_BACKING_MEMFD | SV_BACKING_KEEP,
	};
	int before = open_fds();
	unsigned n;

	releases = 0;
	for (size_t k = 0; k < ARRAY_SIZE(kinds); k++) {
		for (n = 1; ; n++) {
			int fd;

			sv_fault_inject(n);
			fd = new_fd_of(&ops, 1, kinds[k], 4096, O_CLOEXEC);
			if (!sv_fault_fired()) {
				sv_fault_inject(0);
				assert_int_equal(softvirt_close(fd), 0);
				break;
			}
			assert_in_range(-fd, 1, 4095);
			assert_int_equal(open_fds(), before);
			assert_int_equal(releases, (int)k);
		}
		assert_in_range(n, 2, 12);
	}
	assert_int_equal(alive, 0);
	assert_int_equal(open_fds(), before);
}

static void put_before_install_undoes_everything(void **state)
{
	int before = open_fds();
	struct sv_file *f;

	releases = 0;
	assert_int_equal(sv_file_create(&ops, NULL, SV_BACKING_MEMFD | SV_BACKING_KEEP, 4096, 0, &f),
			 0);
	assert_int_equal(open_fds(), before + 2);
	assert_null(sv_fget(sv_file_backing_fd(f), NULL));
	alive++;
	sv_file_put(f);
	assert_int_equal(releases, 1);
	assert_int_equal(open_fds(), before);
}

static void no_descriptor_left_is_emfile(void **state)
{
	struct rlimit old, tight;
	struct sv_file *f;
	int fd = new_fd(1, SV_BACKING_EVENTFD);

	getrlimit(RLIMIT_NOFILE, &old);
	tight = old;
	tight.rlim_cur = (rlim_t)fd + 1;
	setrlimit(RLIMIT_NOFILE, &tight);
	assert_int_equal(sv_file_create(&ops, NULL, SV_BACKING_EVENTFD, 0, 0, &f), -EMFILE);
	assert_int_equal(sv_file_create(&ops, NULL, SV_BACKING_MEMFD, 0, 0, &f), -EMFILE);
	assert_int_equal(softvirt_dup(fd), -1);
	assert_int_equal(errno, EMFILE);
	/* One left, two needed. */
	tight.rlim_cur = (rlim_t)fd + 2;
	setrlimit(RLIMIT_NOFILE, &tight);
	assert_int_equal(sv_file_create(&ops, NULL, SV_BACKING_EVENTFD | SV_BACKING_KEEP, 0, 0, &f),
			 -EMFILE);
	setrlimit(RLIMIT_NOFILE, &old);
	softvirt_close(fd);
	assert_int_equal(alive, 0);
}

static void fget_with_other_ops_or_a_wrong_number(void **state)
{
	int fd = new_fd(1, SV_BACKING_EVENTFD);
	struct sv_file *f;

	assert_null(sv_fget(fd, &map_ops));
	assert_null(sv_fget(-1, NULL));
	assert_null(sv_fget(INT32_MIN, NULL));
	assert_null(sv_fget(INT32_MAX, NULL));
	assert_null(sv_fget(0, NULL));
	f = sv_fget(fd, &ops);
	assert_non_null(f);
	assert_ptr_equal(sv_file_get_ops(f), &ops);
	/* An operation in flight keeps the object; the number is gone at once. */
	softvirt_close(fd);
	assert_int_equal(alive, 1);
	assert_null(sv_fget(fd, NULL));
	sv_file_put(f);
	assert_int_equal(alive, 0);
}

static bool stop;

static void *opener(void *arg)
{
	for (long i = 0; i < 1500; i++) {
		int fd = new_fd(1000 + i % 7, SV_BACKING_EVENTFD), copy;

		if (fd < 0)
			return (void *)1;
		copy = softvirt_dup(fd);
		if (ask(fd) != 1000 + i % 7 || softvirt_close(fd) || ask(copy) != 1000 + i % 7 ||
		    softvirt_close(copy))
			return (void *)2;
	}
	return NULL;
}

static void *asker(void *arg)
{
	while (!__atomic_load_n(&stop, __ATOMIC_RELAXED)) {
		for (int fd = 3; fd < 24; fd++) {
			struct sv_file *f = sv_fget(fd, &ops);
			long id;

			if (!f)
				continue;
			id = (long)sv_file_priv(f);
			sv_file_put(f);
			if (id < 1000 || id > 1006)
				return (void *)3;
		}
	}
	return NULL;
}

static void threads_open_copy_close_and_look_up_the_same_numbers(void **state)
{
	struct sv_thread t[4];

	for (int i = 0; i < 4; i++)
		assert_int_equal(sv_thread_create(&t[i], "race", i < 2 ? opener : asker, NULL), 0);
	for (int i = 0; i < 2; i++)
		assert_null(sv_thread_join(&t[i]));
	__atomic_store_n(&stop, true, __ATOMIC_RELAXED);
	for (int i = 2; i < 4; i++)
		assert_null(sv_thread_join(&t[i]));
	assert_int_equal(alive, 0);
}

static void paths_that_are_not_ours(void **state)
{
	char longest[300];
	int fd;

	memset(longest, '/', sizeof(longest));
	longest[299] = 0;
	assert_null(sv_node_find(""));
	assert_null(sv_node_find("dev/kvm"));
	assert_null(sv_node_find("/dev/kvm-none"));
	assert_null(sv_node_find("/dev/kvm/"  "x"));
	assert_null(sv_node_find(longest));
	fd = softvirt_open("/dev/null", O_RDONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	close(fd);
	assert_int_equal(softvirt_open("/nonexistent/file", O_RDONLY), -1);
	assert_int_equal(errno, ENOENT);
	assert_int_equal(softvirt_open(NULL, O_RDONLY), -1);
	assert_int_equal(errno, EFAULT);
	fd = softvirt_open(longest, O_RDONLY | O_CLOEXEC);	/* the root, written at length */
	assert_true(fd >= 0);
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(copies_serve_the_same_object_until_the_last_closes),
		cmocka_unit_test(dup2_onto_ours_releases_what_was_there),
		cmocka_unit_test(number_reused_after_a_raw_close),
		cmocka_unit_test(raw_copies_are_recognised),
		cmocka_unit_test(descriptor_sent_over_a_socket_within_the_process),
		cmocka_unit_test(close_range_over_ours_and_strangers),
		cmocka_unit_test(poll_sees_the_backing),
		cmocka_unit_test(memfd_can_be_mapped_and_not_resized),
		cmocka_unit_test(mmap_that_the_object_refuses),
		cmocka_unit_test(flags_are_honoured),
		cmocka_unit_test(every_step_of_create_fails_once),
		cmocka_unit_test(put_before_install_undoes_everything),
		cmocka_unit_test(no_descriptor_left_is_emfile),
		cmocka_unit_test(fget_with_other_ops_or_a_wrong_number),
		cmocka_unit_test(threads_open_copy_close_and_look_up_the_same_numbers),
		cmocka_unit_test(paths_that_are_not_ours),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
