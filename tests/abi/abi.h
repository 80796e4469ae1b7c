/* SPDX-License-Identifier: MIT */
/*
 * What the ABI tests share: a VM with one page-aligned piece of memory, guests written as
 * arrays of instructions, and checks of errno.
 *
 * Every test goes through the public calls, as a program would. A guest ends by a store to
 * ABI_DONE, which nobody maps, so KVM_RUN returns with KVM_EXIT_MMIO.
 */
#ifndef TESTS_ABI_H
#define TESTS_ABI_H

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "base/types.h"
#include "softvirt/softvirt.h"
#include "softvirt/uapi/kvm_riscv.h"

#define ABI_RAM 0x80000000ull
#define ABI_RAM_SIZE 0x40000ull
#define ABI_DEVICE 0x10000000ull
#define ABI_DONE 0x20000000ull
#define ABI_RUN_SIZE 8192

/* Registers by number, for the encoders. */
enum { X0, RA, SP, GP, TP, T0, T1, T2, S0, S1, A0, A1, A2, A3, A4, A5, A6, A7 };

/* RV64I encodings (unprivileged manual, instruction listings). */
static inline u32 i_type(u32 op, u32 f3, u32 rd, u32 rs1, s32 imm)
{
	return op | rd << 7 | f3 << 12 | rs1 << 15 | (u32)imm << 20;
}
static inline u32 s_type(u32 f3, u32 rs1, u32 rs2, s32 imm)
{
	return 0x23 | ((u32)imm & 0x1f) << 7 | f3 << 12 | rs1 << 15 | rs2 << 20 |
	       ((u32)imm >> 5 & 0x7f) << 25;
}
#define LI(rd, imm) i_type(0x13, 0, rd, X0, imm)			/* 12 bits, signed */
#define ADDI(rd, rs, imm) i_type(0x13, 0, rd, rs, imm)
#define SLLI(rd, rs, n) i_type(0x13, 1, rd, rs, n)
#define LUI(rd, page) (0x37 | (rd) << 7 | (u32)(page) << 12)	/* sign-extended from bit 31 */
#define LB(rd, rs, off) i_type(0x03, 0, rd, rs, off)
#define LH(rd, rs, off) i_type(0x03, 1, rd, rs, off)
#define LW(rd, rs, off) i_type(0x03, 2, rd, rs, off)
#define LD(rd, rs, off) i_type(0x03, 3, rd, rs, off)
#define LBU(rd, rs, off) i_type(0x03, 4, rd, rs, off)
#define SB(rs2, rs1, off) s_type(0, rs1, rs2, off)
#define SH(rs2, rs1, off) s_type(1, rs1, rs2, off)
#define SW(rs2, rs1, off) s_type(2, rs1, rs2, off)
#define SD(rs2, rs1, off) s_type(3, rs1, rs2, off)
#define JR(rs) i_type(0x67, 0, X0, rs, 0)
#define J_SELF 0x0000006fu
#define ECALL 0x00000073u
#define EBREAK 0x00100073u
#define WFI 0x10500073u
#define CSRW(csr, rs) i_type(0x73, 1, X0, rs, (s32)(csr))
#define CSRR(rd, csr) i_type(0x73, 2, rd, X0, (s32)(csr))
static inline u32 j_back(s32 off)	/* jal x0, off */
{
	u32 u = (u32)off;

	return 0x6f | (u >> 20 & 1) << 31 | (u >> 1 & 0x3ff) << 21 | (u >> 11 & 1) << 20 |
	       (u >> 12 & 0xff) << 12;
}
/* Two instructions: rd = ABI_DONE (or another address below 2^31 with 12 low zero bits). */
#define DONE(tmp) LUI(tmp, ABI_DONE >> 12), SW(X0, tmp, 0)

struct abi {
	int kvm, vm, vcpu;
	struct kvm_run *run;
	u8 *ram;
};

static inline int abi_open(void)
{
	int fd = softvirt_open("/dev/kvm-riscv64", O_RDWR | O_CLOEXEC);

	assert_true(fd >= 0);
	return fd;
}

static inline int abi_region(int vm, u32 slot, u32 flags, u64 gpa, u64 size, void *host)
{
	struct kvm_userspace_memory_region r = {
		.slot = slot, .flags = flags, .guest_phys_addr = gpa, .memory_size = size,
		.userspace_addr = (uintptr_t)host,
	};

	return softvirt_ioctl(vm, KVM_SET_USER_MEMORY_REGION, &r);
}

static inline void *abi_memory(size_t size)
{
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	assert_ptr_not_equal(p, MAP_FAILED);
	return p;
}

static inline struct kvm_run *abi_map_run(int vcpu)
{
	struct kvm_run *run = softvirt_mmap(NULL, ABI_RUN_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED,
					    vcpu, 0);

	assert_ptr_not_equal(run, MAP_FAILED);
	return run;
}

/* A VM without vCPU or memory. */
static inline void abi_vm(struct abi *a)
{
	memset(a, 0, sizeof(*a));
	a->kvm = abi_open();
	a->vm = softvirt_ioctl(a->kvm, KVM_CREATE_VM, 0);
	assert_true(a->vm >= 0);
	a->vcpu = -1;
}

/* The same with memory and vCPU 0. */
static inline void abi_up(struct abi *a)
{
	abi_vm(a);
	a->ram = abi_memory(ABI_RAM_SIZE);
	assert_return_code(abi_region(a->vm, 0, 0, ABI_RAM, ABI_RAM_SIZE, a->ram), errno);
	a->vcpu = softvirt_ioctl(a->vm, KVM_CREATE_VCPU, 0);
	assert_true(a->vcpu >= 0);
	a->run = abi_map_run(a->vcpu);
}

static inline void abi_down(struct abi *a)
{
	if (a->run)
		munmap(a->run, ABI_RUN_SIZE);
	if (a->vcpu >= 0)
		assert_return_code(softvirt_close(a->vcpu), errno);
	if (a->ram)
		munmap(a->ram, ABI_RAM_SIZE);
	assert_return_code(softvirt_close(a->vm), errno);
	assert_return_code(softvirt_close(a->kvm), errno);
}

#define REG_CONFIG(name) (KVM_REG_RISCV | KVM_REG_SIZE_U64 | KVM_REG_RISCV_CONFIG | \
			  KVM_REG_RISCV_CONFIG_REG(name))
#define REG_CORE(name) (KVM_REG_RISCV | KVM_REG_SIZE_U64 | KVM_REG_RISCV_CORE | \
			KVM_REG_RISCV_CORE_REG(name))
#define REG_CSR(name) (KVM_REG_RISCV | KVM_REG_SIZE_U64 | KVM_REG_RISCV_CSR | \
		       KVM_REG_RISCV_CSR_REG(name))
#define REG_TIMER(name) (KVM_REG_RISCV | KVM_REG_SIZE_U64 | KVM_REG_RISCV_TIMER | \
			 KVM_REG_RISCV_TIMER_REG(name))
#define REG_ISA(num) (KVM_REG_RISCV | KVM_REG_SIZE_U64 | KVM_REG_RISCV_ISA_EXT | (num))
#define REG_SBI(num) (KVM_REG_RISCV | KVM_REG_SIZE_U64 | KVM_REG_RISCV_SBI_EXT | (num))
#define REG_STA(name) (KVM_REG_RISCV | KVM_REG_SIZE_U64 | KVM_REG_RISCV_SBI_STATE | \
		       KVM_REG_RISCV_SBI_STA | KVM_REG_RISCV_SBI_STA_REG(name))

#define REG_FWFT(name) (KVM_REG_RISCV | KVM_REG_SIZE_U64 | KVM_REG_RISCV_SBI_STATE | \
			KVM_REG_RISCV_SBI_FWFT | KVM_REG_RISCV_SBI_FWFT_REG(name))
#define REG_SSTATEEN0 (KVM_REG_RISCV | KVM_REG_SIZE_U64 | KVM_REG_RISCV_CSR | \
		       KVM_REG_RISCV_CSR_SMSTATEEN)

static inline int abi_set(int vcpu, u64 id, u64 val)
{
	struct kvm_one_reg r = { .id = id, .addr = (uintptr_t)&val };

	return softvirt_ioctl(vcpu, KVM_SET_ONE_REG, &r);
}

static inline int abi_get(int vcpu, u64 id, u64 *val)
{
	struct kvm_one_reg r = { .id = id, .addr = (uintptr_t)val };

	*val = 0;
	return softvirt_ioctl(vcpu, KVM_GET_ONE_REG, &r);
}

static inline u64 abi_reg(int vcpu, u64 id)
{
	u64 val;

	assert_return_code(abi_get(vcpu, id, &val), errno);
	return val;
}

/* Code at the start of memory, pc there. */
static inline void abi_load(struct abi *a, const u32 *code, size_t bytes)
{
	memcpy(a->ram, code, bytes);
	assert_return_code(abi_set(a->vcpu, REG_CORE(regs.pc), ABI_RAM), errno);
}
#define abi_guest(a, ...) do { \
	const u32 _code[] = { __VA_ARGS__ }; \
	abi_load(a, _code, sizeof(_code)); \
} while (0)

/* KVM_RUN, entering again after an EINTR that nobody asked for. */
static inline int abi_run(struct abi *a)
{
	int ret;

	do {
		ret = softvirt_ioctl(a->vcpu, KVM_RUN, 0);
	} while (ret < 0 && errno == EINTR && !a->run->immediate_exit);
	return ret;
}

static inline void abi_run_done(struct abi *a)
{
	assert_return_code(abi_run(a), errno);
	assert_int_equal(a->run->exit_reason, KVM_EXIT_MMIO);
	assert_int_equal(a->run->mmio.phys_addr, ABI_DONE);
}

#define assert_errno(call, err) do { \
	errno = 0; \
	assert_int_equal(call, -1); \
	assert_int_equal(errno, err); \
} while (0)

/* Reads and writes of this page fault. */
static inline void *abi_bad_page(void)
{
	void *p = mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	assert_ptr_not_equal(p, MAP_FAILED);
	return p;
}

/* How many descriptors are open: before and after must agree. */
static inline int abi_count_fds(void)
{
	int n = 0;

	for (int fd = 0; fd < 4096; fd++)
		if (fcntl(fd, F_GETFD) >= 0)
			n++;
	return n;
}

#endif
