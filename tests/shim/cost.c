/* SPDX-License-Identifier: MIT */
/*
 * What a call on somebody else's descriptor costs, and one on ours: run it with and
 * without the preload library and compare. Prints nanoseconds per call, the best of ten
 * rounds. Not a test.
 */
#include <fcntl.h>
#include <linux/kvm.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define N 200000

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec * 1e9 + (double)ts.tv_nsec;
}

#define COST(name, call) do { \
	double best = 1e18; \
	for (int round = 0; round < 10; round++) { \
		double t = now(); \
		for (int i = 0; i < N; i++) \
			(void)(call); \
		t = (now() - t) / N; \
		best = t < best ? t : best; \
	} \
	printf("%-34s %8.1f ns\n", name, best); \
} while (0)

int main(void)
{
	int p[2], n, kvm = open("/dev/kvm-riscv64", O_RDWR);

	if (pipe(p))
		return 1;
	COST("ioctl(FIONREAD) on a pipe", ioctl(p[0], FIONREAD, &n));
	COST("ioctl on a closed descriptor", ioctl(900, FIONREAD, &n));
	COST("fcntl(F_GETFD)", fcntl(p[0], F_GETFD));
	COST("close of a closed descriptor", close(900));
	COST("mmap of a closed descriptor", mmap(NULL, 4096, PROT_READ, MAP_SHARED, 900, 0) == NULL);
	COST("access(\"/\")", access("/", F_OK));
	if (kvm >= 0)
		COST("ioctl(KVM_GET_API_VERSION)", ioctl(kvm, KVM_GET_API_VERSION, 0));
	return 0;
}
