/* SPDX-License-Identifier: MIT */
/*
 * What the benchmarks of the KVM API share: a VM with a small guest, clocks, medians, and how
 * results are printed. Everything that goes wrong ends the program.
 *
 * A program is a table of parts and bench_main(). Each part reports figures with bench_value();
 * they are printed as a table, then all together as one line of JSON, the last line.
 */
#ifndef BENCH_VM_H
#define BENCH_VM_H

#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include <softvirt/softvirt.h>
#include <softvirt/uapi/kvm_riscv.h>

#define MEM_SIZE 0x10000ul
#define MEM_BASE 0x80000000ul
#define DEVICE 0x10000000ul	/* where a guest's device is */
#define DONE 0x20000000ul	/* a store here ends a guest */
#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

struct guest {
	int vm, vcpu;
	void *mem;
	struct kvm_run *run;
	size_t run_size;
};

struct bench_part {
	const char *name;
	void (*fn)(void);
};

extern int kvm_fd;
extern void *shared_mem;	/* if not NULL: the memory of every guest */

__attribute__((noreturn)) void die(const char *what);	/* with errno's text */
__attribute__((noreturn, format(printf, 1, 2))) void fail(const char *fmt, ...);

double clock_now(clockid_t id);
double now(void);
double median(double *v, size_t n);		/* these two sort v */
double percentile(double *v, size_t n, double p);

void *memory(size_t size);
void slot(int vm, uint32_t id, uint32_t flags, uint64_t gpa, uint64_t size, void *host);

#define CORE(name) (KVM_REG_RISCV | KVM_REG_SIZE_U64 | KVM_REG_RISCV_CORE | \
		    KVM_REG_RISCV_CORE_REG(name))
#define CSR(name) (KVM_REG_RISCV | KVM_REG_SIZE_U64 | KVM_REG_RISCV_CSR | \
		   KVM_REG_RISCV_CSR_REG(name))
void set_reg(int vcpu, uint64_t id, uint64_t v);
uint64_t get_reg(int vcpu, uint64_t id);

/* One vCPU, 64 KiB at MEM_BASE with the code at its start, where the vCPU begins. */
void guest_create(struct guest *g, const uint32_t *code, size_t size);
void guest_destroy(struct guest *g);
void vcpu_create(struct guest *g, unsigned int id);
/* Until the guest's next load or store to a device. */
void run_to_mmio(const struct guest *g);

void bench_value(const char *key, double value, const char *unit, const char *what);
/* usage: PROGRAM [PART|all] */
int bench_main(int argc, char **argv, const struct bench_part *parts, size_t n);

#endif
