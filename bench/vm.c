// SPDX-License-Identifier: MIT
#include "vm.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

int kvm_fd;
void *shared_mem;
static const char *program = "bench";

void die(const char *what)
{
	fail("%s: %s", what, strerror(errno));
}

void fail(const char *fmt, ...)
{
	va_list ap;

	fprintf(stderr, "%s: ", program);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
	exit(1);
}

double clock_now(clockid_t id)
{
	struct timespec ts;

	clock_gettime(id, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

double now(void)
{
	return clock_now(CLOCK_MONOTONIC);
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

double percentile(double *v, size_t n, double p)
{
	qsort(v, n, sizeof(*v), compare);
	return v[(size_t)((double)(n - 1) * p / 100)];
}

double median(double *v, size_t n)
{
	return percentile(v, n, 50);
}

void *memory(size_t size)
{
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (p == MAP_FAILED)
		die("mmap");
	return p;
}

void slot(int vm, uint32_t id, uint32_t flags, uint64_t gpa, uint64_t size, void *host)
{
	struct kvm_userspace_memory_region r = {
		.slot = id, .flags = flags, .guest_phys_addr = gpa, .memory_size = size,
		.userspace_addr = (uintptr_t)host,
	};

	if (softvirt_ioctl(vm, KVM_SET_USER_MEMORY_REGION, &r))
		die("KVM_SET_USER_MEMORY_REGION");
}

void set_reg(int vcpu, uint64_t id, uint64_t v)
{
	struct kvm_one_reg reg = { .id = id, .addr = (uintptr_t)&v };

	if (softvirt_ioctl(vcpu, KVM_SET_ONE_REG, &reg))
		die("KVM_SET_ONE_REG");
}

uint64_t get_reg(int vcpu, uint64_t id)
{
	uint64_t v = 0;
	struct kvm_one_reg reg = { .id = id, .addr = (uintptr_t)&v };

	if (softvirt_ioctl(vcpu, KVM_GET_ONE_REG, &reg))
		die("KVM_GET_ONE_REG");
	return v;
}

void vcpu_create(struct guest *g, unsigned int id)
{
	struct kvm_mp_state runnable = { .mp_state = KVM_MP_STATE_RUNNABLE };

	g->vcpu = softvirt_ioctl(g->vm, KVM_CREATE_VCPU, id);
	if (g->vcpu < 0)
		die("KVM_CREATE_VCPU");
	g->run_size = (size_t)softvirt_ioctl(kvm_fd, KVM_GET_VCPU_MMAP_SIZE, 0);
	g->run = softvirt_mmap(NULL, g->run_size, PROT_READ | PROT_WRITE, MAP_SHARED, g->vcpu, 0);
	if (g->run == MAP_FAILED)
		die("mmap of the vCPU");
	if (id && softvirt_ioctl(g->vcpu, KVM_SET_MP_STATE, &runnable))
		die("KVM_SET_MP_STATE");
	set_reg(g->vcpu, CORE(regs.pc), MEM_BASE);
}

void guest_create(struct guest *g, const uint32_t *code, size_t size)
{
	g->mem = shared_mem ? shared_mem : memory(MEM_SIZE);
	memcpy(g->mem, code, size);
	g->vm = softvirt_ioctl(kvm_fd, KVM_CREATE_VM, 0);
	if (g->vm < 0)
		die("KVM_CREATE_VM");
	slot(g->vm, 0, 0, MEM_BASE, MEM_SIZE, g->mem);
	vcpu_create(g, 0);
}

void guest_destroy(struct guest *g)
{
	munmap(g->run, g->run_size);
	softvirt_close(g->vcpu);
	softvirt_close(g->vm);
	if (g->mem != shared_mem)
		munmap(g->mem, MEM_SIZE);
}

void run_to_mmio(const struct guest *g)
{
	int ret;

	do
		ret = softvirt_ioctl(g->vcpu, KVM_RUN, 0);
	while (ret && errno == EINTR);
	if (ret || g->run->exit_reason != KVM_EXIT_MMIO)
		fail("KVM_RUN ended with exit %u", g->run->exit_reason);
}

/* --- results ----------------------------------------------------------------------------- */

static struct {
	const char *key;
	double value;
} values[64];
static size_t nr_values;

void bench_value(const char *key, double value, const char *unit, const char *what)
{
	if (nr_values == ARRAY_SIZE(values))
		fail("too many figures");
	values[nr_values].key = key;
	values[nr_values++].value = value;
	printf("%-48s %14.*f %s\n", what, value < 10 ? 2 : value < 10000 ? 1 : 0, value, unit);
	fflush(stdout);
}

static void print_json(void)
{
	printf("{");
	for (size_t i = 0; i < nr_values; i++)
		printf("%s\"%s\": %.6g", i ? ", " : "", values[i].key, values[i].value);
	printf("}\n");
}

static int usage(const struct bench_part *parts, size_t n)
{
	fprintf(stderr, "usage: %s [", program);
	for (size_t i = 0; i < n; i++)
		fprintf(stderr, "%s|", parts[i].name);
	fprintf(stderr, "all]\n");
	return 2;
}

int bench_main(int argc, char **argv, const struct bench_part *parts, size_t n)
{
	const char *want = argc > 1 ? argv[1] : "all";
	int done = 0;

	program = argv[0];
	kvm_fd = softvirt_open("/dev/kvm-riscv64", O_RDWR | O_CLOEXEC);
	if (kvm_fd < 0)
		die("/dev/kvm-riscv64");
	for (size_t i = 0; i < n; i++) {
		if (strcmp(want, "all") && strcmp(want, parts[i].name))
			continue;
		done++;
		parts[i].fn();
	}
	softvirt_close(kvm_fd);
	if (!done)
		return usage(parts, n);
	print_json();
	return 0;
}
