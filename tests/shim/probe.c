/* SPDX-License-Identifier: MIT */
/*
 * A program that knows only the kernel's interfaces, run under the preload library. It
 * links with nothing of ours. Prints TAP; exits non-zero if a case failed.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#define NODE "/dev/kvm-riscv64"
#ifndef SYS_openat2
#define SYS_openat2 437
#endif

int __open_2(const char *path, int flags);
int __open64_2(const char *path, int flags);
int __openat_2(int dirfd, const char *path, int flags);
int __openat64_2(int dirfd, const char *path, int flags);

static int cases, failures;

#define CHECK(cond) do { \
	if (!(cond)) { \
		printf("# %s:%d: %s (errno %s)\n", __FILE__, __LINE__, #cond, strerror(errno)); \
		return 0; \
	} \
} while (0)

static int version(int fd)
{
	return ioctl(fd, KVM_GET_API_VERSION, 0);
}

static int serves_and_closes(int fd)
{
	int v = fd < 0 ? -1 : version(fd);

	return v == KVM_API_VERSION && close(fd) == 0 && fcntl(fd, F_GETFD) == -1;
}

/* Before any constructor of any library. */
static int early_version;

static void early(int argc, char **argv, char **envp)
{
	int fd = open(NODE, O_RDWR | O_CLOEXEC);

	early_version = fd < 0 ? -1 : version(fd);
	if (fd >= 0)
		close(fd);
}
__attribute__((section(".preinit_array"), used)) static void (*early_entry)(int, char **, char **) = early;

static int calls_before_constructors(void)
{
	CHECK(early_version == KVM_API_VERSION);
	return 1;
}

static int every_way_to_open(void)
{
	unsigned long how[3] = { O_RDWR | O_CLOEXEC, 0, 0 };
	int dir = open("/dev", O_PATH | O_DIRECTORY | O_CLOEXEC);
	FILE *f;

	CHECK(serves_and_closes(open(NODE, O_RDWR)));
	CHECK(serves_and_closes(open64(NODE, O_RDWR)));
	CHECK(serves_and_closes(openat(AT_FDCWD, NODE, O_RDWR)));
	CHECK(serves_and_closes(openat64(dir, NODE, O_RDWR)));
	CHECK(serves_and_closes(openat(dir, "kvm-riscv64", O_RDWR)));
	CHECK(serves_and_closes(__open_2(NODE, O_RDWR)));
	CHECK(serves_and_closes(__open64_2(NODE, O_RDWR)));
	CHECK(serves_and_closes(__openat_2(dir, "./kvm-riscv64", O_RDWR)));
	CHECK(serves_and_closes(__openat64_2(dir, NODE, O_RDWR)));
	CHECK(serves_and_closes((int)syscall(SYS_openat, AT_FDCWD, NODE, O_RDWR, 0)));
	CHECK(serves_and_closes((int)syscall(SYS_openat2, AT_FDCWD, NODE, how, sizeof(how))));
	CHECK(serves_and_closes(open("//dev/./kvm-riscv64", O_RDWR)));
	f = fopen(NODE, "r+");
	CHECK(f && version(fileno(f)) == KVM_API_VERSION && fclose(f) == 0);
	close(dir);
	return 1;
}

static int bad_opens(void)
{
	CHECK(open(NODE, O_RDWR | O_CREAT | O_EXCL, 0600) == -1 && errno == EEXIST);
	CHECK(open(NODE, O_RDONLY | O_DIRECTORY) == -1 && errno == ENOTDIR);
	CHECK(open("/dev/kvm-riscv6", O_RDWR) == -1 && errno == ENOENT);
	CHECK(open(NODE "/x", O_RDWR) == -1);
	CHECK(open((const char *)16, O_RDWR) == -1 && errno == EFAULT);
	CHECK(fopen(NODE, "q") == NULL && errno == EINVAL);
	CHECK(syscall(SYS_openat2, AT_FDCWD, NODE, 16, 24) == -1);
	return 1;
}

static int cloexec_is_honoured(void)
{
	int a = open(NODE, O_RDWR | O_CLOEXEC), b = open(NODE, O_RDWR);

	CHECK(fcntl(a, F_GETFD) == FD_CLOEXEC && fcntl(b, F_GETFD) == 0);
	close(a);
	close(b);
	return 1;
}

static int stat_and_access(void)
{
	struct stat st;
	struct statx sx;

	CHECK(stat(NODE, &st) == 0 && S_ISCHR(st.st_mode) && st.st_rdev == makedev(10, 232));
	CHECK(lstat(NODE, &st) == 0 && S_ISCHR(st.st_mode));
	CHECK(fstatat(AT_FDCWD, NODE, &st, 0) == 0 && S_ISCHR(st.st_mode));
	CHECK(statx(AT_FDCWD, NODE, 0, STATX_ALL, &sx) == 0 && S_ISCHR(sx.stx_mode));
	CHECK(stat(NODE, (struct stat *)16) == -1 && errno == EFAULT);
	CHECK(access(NODE, R_OK | W_OK) == 0 && access(NODE, F_OK) == 0);
	CHECK(access(NODE, X_OK) == -1 && errno == EACCES);
	CHECK(access(NODE, 64) == -1 && errno == EINVAL);
	CHECK(faccessat(AT_FDCWD, NODE, R_OK, 0) == 0 && euidaccess(NODE, W_OK) == 0);
	CHECK(stat("/dev/kvm-none", &st) == -1 && errno == ENOENT);
	CHECK(stat("/dev/null", &st) == 0 && st.st_rdev == makedev(1, 3));
	return 1;
}

static int module_parameters(void)
{
	char text[32] = "";
	FILE *f = fopen("/sys/module/kvm/parameters/halt_poll_ns", "r");
	struct stat st;
	int fd;

	CHECK(f && fgets(text, sizeof(text), f) && strchr(text, '\n') && atoi(text) >= 0);
	fclose(f);
	fd = open("/sys/module/kvm/parameters/halt_poll_ns_grow", O_RDONLY | O_CLOEXEC);
	CHECK(fd >= 0 && read(fd, text, sizeof(text)) > 0);
	CHECK(write(fd, text, 1) == -1);
	close(fd);
	CHECK(stat("/sys/module/kvm/parameters/halt_poll_ns", &st) == 0 && S_ISREG(st.st_mode));
	CHECK(stat("/sys/module/kvm", &st) == 0 && S_ISDIR(st.st_mode));
	CHECK(access("/sys/module/kvm/parameters", F_OK) == 0);
	CHECK(open("/sys/module/kvm/parameters/none", O_RDONLY) == -1 && errno == ENOENT);
	return 1;
}

static int copies_and_close_range(void)
{
	int fd = open(NODE, O_RDWR), a = dup(fd), b = dup2(fd, 150), c = dup3(fd, 151, O_CLOEXEC);
	int d = fcntl(fd, F_DUPFD, 152), raw = (int)syscall(SYS_dup, fd);

	CHECK(b == 150 && c == 151 && d == 152 && raw >= 0);
	CHECK(close(fd) == 0);
	CHECK(version(a) == KVM_API_VERSION && version(b) == KVM_API_VERSION);
	CHECK(version(c) == KVM_API_VERSION && version(d) == KVM_API_VERSION);
	CHECK(version(raw) == KVM_API_VERSION);
	CHECK(close_range(150, 152, 0) == 0);
	CHECK(version(b) == -1 && errno == EBADF && version(d) == -1 && errno == EBADF);
	CHECK(version(a) == KVM_API_VERSION);
	/* A descriptor of something else over it. */
	CHECK(dup2(0, a) == a && version(a) == -1);
	close(a);
	close(raw);
	return 1;
}

static int descriptor_over_a_socket(void)
{
	char ctl[CMSG_SPACE(sizeof(int))] = { 0 }, c = 0;
	struct iovec iov = { &c, 1 };
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = ctl,
			    .msg_controllen = sizeof(ctl) };
	struct cmsghdr *h = CMSG_FIRSTHDR(&m);
	int fd = open(NODE, O_RDWR), sv[2], got;

	CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, sv) == 0);
	h->cmsg_level = SOL_SOCKET;
	h->cmsg_type = SCM_RIGHTS;
	h->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(h), &fd, sizeof(int));
	CHECK(sendmsg(sv[0], &m, 0) == 1 && recvmsg(sv[1], &m, 0) == 1);
	memcpy(&got, CMSG_DATA(CMSG_FIRSTHDR(&m)), sizeof(int));
	CHECK(got != fd && version(got) == KVM_API_VERSION);
	close(fd);
	CHECK(version(got) == KVM_API_VERSION);
	close(got);
	close(sv[0]);
	close(sv[1]);
	return 1;
}

static int vm_in_a_forked_child_is_eio(void)
{
	int fd = open(NODE, O_RDWR), vm = ioctl(fd, KVM_CREATE_VM, 0), status;
	pid_t pid;

	CHECK(vm >= 0 && ioctl(vm, KVM_CHECK_EXTENSION, KVM_CAP_USER_MEMORY) == 1);
	pid = fork();
	if (!pid) {
		int bad = ioctl(vm, KVM_CHECK_EXTENSION, KVM_CAP_USER_MEMORY) != -1 || errno != EIO;

		bad |= version(fd) != KVM_API_VERSION;
		bad |= close(vm) || close(fd);
		_exit(bad);
	}
	CHECK(waitpid(pid, &status, 0) == pid && status == 0);
	CHECK(ioctl(vm, KVM_CHECK_EXTENSION, KVM_CAP_USER_MEMORY) == 1);
	close(vm);
	close(fd);
	return 1;
}

static const char *self;

static int program_started_by_exec_is_served(void)
{
	int status;
	pid_t pid = fork();

	if (!pid) {
		execl(self, self, "again", (char *)NULL);
		_exit(99);
	}
	CHECK(waitpid(pid, &status, 0) == pid && status == 0);
	return 1;
}

static sigjmp_buf jump;
static void *volatile fault_at;

static void on_fault(int sig, siginfo_t *si, void *uc)
{
	fault_at = si->si_addr;
	siglongjmp(jump, 1);
}

static int own_fault_handler_and_bad_pointers(void)
{
	struct sigaction act = { .sa_sigaction = on_fault, .sa_flags = SA_SIGINFO }, old;
	char *none = mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int fd = open(NODE, O_RDWR), vm = ioctl(fd, KVM_CREATE_VM, 0);
	sigset_t all;

	CHECK(sigaction(SIGSEGV, &act, &old) == 0 && old.sa_handler == SIG_DFL);
	if (!sigsetjmp(jump, 1)) {
		*(volatile char *)(none + 7);
		CHECK(0);
	}
	CHECK(fault_at == none + 7);
	fault_at = NULL;
	/* The program's handler is not asked about the library's own accesses. */
	CHECK(ioctl(vm, KVM_SET_USER_MEMORY_REGION, none) == -1 && errno == EFAULT);
	CHECK(fault_at == NULL);
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, NULL);
	CHECK(ioctl(vm, KVM_SET_USER_MEMORY_REGION, none) == -1 && errno == EFAULT);
	sigemptyset(&all);
	pthread_sigmask(SIG_SETMASK, &all, NULL);
	CHECK(sigaction(SIGSEGV, NULL, &act) == 0 && act.sa_sigaction == on_fault);
	CHECK((void *)signal(SIGSEGV, SIG_DFL) == (void *)on_fault);
	CHECK(ioctl(vm, KVM_SET_USER_MEMORY_REGION, none) == -1 && errno == EFAULT);
	close(vm);
	close(fd);
	return 1;
}

static int fault_without_a_handler_still_ends_the_program(void)
{
	int status;
	pid_t pid = fork();

	if (!pid) {
		volatile char *volatile nowhere = (volatile char *)16;

		signal(SIGSEGV, SIG_DFL);
		*nowhere = 1;
		_exit(0);
	}
	CHECK(waitpid(pid, &status, 0) == pid);
	CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV);
	return 1;
}

static void *own_object(void *arg)
{
	for (int i = 0; i < 200; i++) {
		int fd = open(NODE, O_RDWR | O_CLOEXEC), copy = dup(fd);

		if (version(fd) != KVM_API_VERSION || close(fd) || version(copy) != KVM_API_VERSION ||
		    close(copy))
			return (void *)1;
	}
	return NULL;
}

static int four_threads(void)
{
	pthread_t t[4];
	void *ret;

	for (int i = 0; i < 4; i++)
		CHECK(pthread_create(&t[i], NULL, own_object, NULL) == 0);
	for (int i = 0; i < 4; i++)
		CHECK(pthread_join(t[i], &ret) == 0 && !ret);
	return 1;
}

static int other_files_are_left_alone(void)
{
	char path[] = "/tmp/softvirt-probe-XXXXXX", text[16] = "";
	int fd = mkstemp(path), again, flags;
	struct stat st;
	char *p;
	FILE *f;

	CHECK(fd >= 0 && write(fd, "hello\n", 6) == 6);
	CHECK(fstat(fd, &st) == 0 && st.st_size == 6);
	p = mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0);
	CHECK(p != MAP_FAILED && !memcmp(p, "hello", 5));
	f = fopen(path, "r");
	CHECK(f && fgets(text, sizeof(text), f) && !strcmp(text, "hello\n") && fclose(f) == 0);
	again = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	CHECK(again >= 0 && stat(path, &st) == 0 && st.st_size == 0);
	CHECK(fcntl(again, F_SETFL, O_APPEND) == 0);
	flags = fcntl(again, F_GETFL);
	CHECK((flags & O_APPEND) && (flags & O_ACCMODE) == O_WRONLY);
	CHECK(ioctl(again, KVM_GET_API_VERSION, 0) == -1 && errno == ENOTTY);
	unlink(path);
	again = creat(path, 0640);
	CHECK(again >= 0 && fstat(again, &st) == 0 && (st.st_mode & 0777) == 0640);
	unlink(path);
	munmap(p, 4096);
	close(again);
	close(fd);
	return 1;
}

static const struct {
	const char *name;
	int (*fn)(void);
} tests[] = {
	{ "calls before constructors", calls_before_constructors },
	{ "every way to open", every_way_to_open },
	{ "bad opens", bad_opens },
	{ "close-on-exec is honoured", cloexec_is_honoured },
	{ "stat and access", stat_and_access },
	{ "module parameters", module_parameters },
	{ "copies and close_range", copies_and_close_range },
	{ "descriptor over a socket", descriptor_over_a_socket },
	{ "VM in a forked child is EIO", vm_in_a_forked_child_is_eio },
	{ "program started by exec is served", program_started_by_exec_is_served },
	{ "own fault handler and bad pointers", own_fault_handler_and_bad_pointers },
	{ "fault without a handler ends the program", fault_without_a_handler_still_ends_the_program },
	{ "four threads", four_threads },
	{ "other files are left alone", other_files_are_left_alone },
};

int main(int argc, char **argv)
{
	size_t n = sizeof(tests) / sizeof(tests[0]);

	self = argv[0];
	alarm(120);
	if (argc > 1)
		return serves_and_closes(open(NODE, O_RDWR)) ? 0 : 1;
	printf("1..%zu\n", n);
	if (early_version != KVM_API_VERSION) {
		/* The cases below would take the host's own files for ours. */
		printf("not ok 1 - " NODE " is served: is the preload library in this process?\n");
		return 1;
	}
	for (size_t i = 0; i < n; i++) {
		int ok;

		fflush(stdout);
		ok = tests[i].fn();
		cases++;
		failures += !ok;
		printf("%sok %d - %s\n", ok ? "" : "not ", cases, tests[i].name);
	}
	return failures != 0;
}
