/* SPDX-License-Identifier: MIT */
/*
 * What the preload library adds to a call that is not for it. Each call is made through
 * the name (which the preload library takes) and through the C library's own function, in
 * turns, 2,000 calls a round; the least of 500 rounds each stands for the cost. Not a test.
 *
 *	LD_PRELOAD=$PWD/build/libsoftvirt-preload.so build/tests/shim/shim_cost
 */
#include <dlfcn.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define CALLS 2000
#define ROUNDS 500
#define CLOSED 900

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec * 1e9 + (double)ts.tv_nsec;
}

#define ROUND(best, call) do { \
	double t = now(); \
	for (int i = 0; i < CALLS; i++) \
		(void)(call); \
	t = (now() - t) / CALLS; \
	best = t < best ? t : best; \
} while (0)

/* fn in the call: once the function of that name, once the C library's. */
#define COST(name, function, ...) do { \
	__typeof__(function) *theirs = (__typeof__(function) *)dlsym(libc, #function); \
	double a = 1e18, b = 1e18; \
	for (int round = 0; round < ROUNDS; round++) { \
		ROUND(a, function(__VA_ARGS__)); \
		ROUND(b, theirs(__VA_ARGS__)); \
	} \
	printf("%-30s %8.1f %8.1f %+8.1f\n", name, a, b, a - b); \
} while (0)

int main(void)
{
	void *libc = dlopen("libc.so.6", RTLD_NOW);
	int p[2], n, kvm = open("/dev/kvm-riscv64", O_RDWR);
	double best = 1e18;

	if (!libc || pipe(p))
		return 1;
	printf("%-30s %8s %8s %8s\n", "ns per call", "here", "libc", "more");
	COST("ioctl(FIONREAD) on a pipe", ioctl, p[0], FIONREAD, &n);
	COST("ioctl, closed descriptor", ioctl, CLOSED, FIONREAD, &n);
	COST("fcntl(F_GETFD)", fcntl, p[0], F_GETFD);
	COST("close, closed descriptor", close, CLOSED);
	COST("mmap, closed descriptor", mmap, NULL, 4096, PROT_READ, MAP_SHARED, CLOSED, 0);
	COST("access(\"/\")", access, "/", F_OK);
	if (kvm < 0)
		return 0;
	for (int round = 0; round < ROUNDS; round++)
		ROUND(best, ioctl(kvm, KVM_GET_API_VERSION, 0));
	printf("%-30s %8.1f\n", "ioctl(KVM_GET_API_VERSION)", best);
	return 0;
}
