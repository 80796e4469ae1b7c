/* SPDX-License-Identifier: MIT */
/*
 * The runtime under every guest test: one hart in S mode on bare metal, no libc.
 *
 * A test is a main() that opens cases with test_case() and prints what it saw; tests/guest/run
 * executes the ELF under softvirt and under QEMU and compares each case's lines. A case opened
 * with test_case_self() is not compared: its expectations come from the ISA manual and are
 * checked by check(), because QEMU 7.2 lacks the feature or legitimately differs.
 *
 * tp holds the running hart's struct hart; sscratch holds it too while the test runs, so a trap
 * can be taken with any register contents. Traps do not nest: a trap inside the handler ends the
 * test with a FATAL line. C code is built without F/D, so FP registers belong to the test.
 *
 * The same offsets are used by the assembly: see the HART_* and CTX_* numbers below.
 */
#ifndef GUEST_H
#define GUEST_H

#define HART_X		0
#define HART_SEPC	256
#define HART_SSTATUS	264
#define HART_SCAUSE	272
#define HART_STVAL	280
#define HART_TRAP_SP	288
#define HART_RECOVER_SP	296
#define HART_RECOVER_PC	304

#define CTX_X		0
#define CTX_F		256
#define CTX_PC		512
#define CTX_FCSR	520
#define CTX_SSTATUS	528

#define STACK_SIZE	8192
#define MAX_HARTS	8

/* The a7 of the ecall by which a U-mode function returns. */
#define USER_RETURN	0x5afe

#define SSTATUS_SIE	(1 << 1)
#define SSTATUS_SPIE	(1 << 5)
#define SSTATUS_SPP	(1 << 8)
#define SSTATUS_FS	(3 << 13)
#define SSTATUS_SUM	(1 << 18)
#define SSTATUS_MXR	(1 << 19)

#define IRQ_S_SOFT	1
#define IRQ_S_TIMER	5
#define IRQ_S_EXT	9

#ifndef __ASSEMBLER__

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long u64;
typedef signed char s8;
typedef short s16;
typedef int s32;
typedef long s64;
typedef _Bool bool;
#define true 1
#define false 0
#define NULL ((void *)0)
#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
#define BIT(n) (1ul << (n))

/* Filled in by the runner in the ELF file, found by its magic. */
struct params {
	char magic[16];
	u64 verbose;		/* print each operation of the case named in filter */
	u64 seed;
	u64 count;
	u64 first;		/* random: the first block to print in full */
	u64 last;
	char filter[64];
};
extern volatile struct params params;

struct trap {
	u64 cause;		/* ~0: no trap */
	u64 epc;
	u64 tval;
	u64 status;
};
#define NO_TRAP (~0ul)

struct context;
struct hart {
	u64 x[32];
	u64 sepc, sstatus, scause, stval;
	u64 trap_sp;
	u64 recover_sp, recover_pc;
	/* from here the assembly does not look */
	u64 hartid;
	u64 index;
	bool in_handler;
	struct context *context;	/* run_context(): where the handler leaves x */
	struct trap trap;		/* the last one */
	u64 irq_count[16];
	void (*irq)(struct hart *h, u64 cause);	/* NULL: an interrupt is fatal */
	void (*work)(struct hart *h);		/* secondary harts: run, then set NULL */
	u8 trap_stack[STACK_SIZE] __attribute__((aligned(16)));
	u8 stack[STACK_SIZE] __attribute__((aligned(16)));
	u8 user_stack[STACK_SIZE] __attribute__((aligned(16)));
};
extern struct hart harts[MAX_HARTS];

/* All user-visible registers: loaded, run until a trap, saved. */
struct context {
	u64 x[32];
	u64 f[32];
	u64 pc;
	u64 fcsr;
	u64 sstatus;		/* SPP chooses the mode; FS must not be off */
};

static inline struct hart *this_hart(void)
{
	struct hart *h;

	__asm__ volatile("mv %0, tp" : "=r"(h));
	return h;
}

#define csr_read(csr) ({ u64 v_; \
	__asm__ volatile("csrr %0, " #csr : "=r"(v_) :: "memory"); v_; })
#define csr_write(csr, v) \
	__asm__ volatile("csrw " #csr ", %0" :: "r"((u64)(v)) : "memory")
#define csr_set(csr, v) \
	__asm__ volatile("csrs " #csr ", %0" :: "r"((u64)(v)) : "memory")
#define csr_clear(csr, v) \
	__asm__ volatile("csrc " #csr ", %0" :: "r"((u64)(v)) : "memory")
#define csr_swap(csr, v) ({ u64 v_; \
	__asm__ volatile("csrrw %0, " #csr ", %1" : "=r"(v_) : "r"((u64)(v)) : "memory"); v_; })
#define fence_i() __asm__ volatile("fence.i" ::: "memory")
#define sfence_vma() __asm__ volatile("sfence.vma" ::: "memory")
#define fence() __asm__ volatile("fence rw, rw" ::: "memory")

/* print.c: %d %u %x (all 64-bit), %w (16 hex digits), %s, %c */
void print(const char *fmt, ...);
/*
 * A case: the lines that follow belong to it. True: print every operand and result (the runner
 * asks for that, in a second run that is otherwise silent, when a case disagrees).
 */
bool test_case(const char *fmt, ...);		/* compared with the other side */
bool test_case_self(const char *fmt, ...);	/* checked here only */
void check(bool ok, const char *what, ...);	/* prints FAIL and what, if not ok */
void check_eq(u64 got, u64 want, const char *what);
void print_trap(const char *what, const struct trap *t, u64 base);
void check_trap(const char *what, const struct trap *t, u64 cause, u64 epc, u64 tval);
/* Four hexadecimal digits for %c%c%c%c: the runner disassembles what follows the word code. */
#define HEX1(v, n) "0123456789abcdef"[(v) >> (n) & 15]
#define HEX4(v) HEX1(v, 12), HEX1(v, 8), HEX1(v, 4), HEX1(v, 0)
void __attribute__((noreturn)) power_off(void);
void *memcpy(void *d, const void *s, u64 n);
void *memset(void *d, int c, u64 n);
int memcmp(const void *a, const void *b, u64 n);
int strcmp(const char *a, const char *b);
u64 hash(u64 h, u64 v);
u64 hash_bytes(u64 h, const void *p, u64 n);	/* n a multiple of 8 */
u64 random64(u64 *state);

/* trap.S / trap.c: run fn with up to three arguments; a trap ends it and is in *t. */
u64 try_call(struct trap *t, const void *fn, u64 a, u64 b, u64 c);
/* The same in U mode. fn and the stack are used at va + user_offset (0 in bare mode). */
u64 try_user(struct trap *t, const void *fn, u64 a, u64 b, u64 c);
extern u64 user_offset;
/* Runs c until it traps (an ebreak at its end, usually), saves all registers back into c. */
void run_context(struct context *c, struct trap *t);

/* sbi */
struct sbi_ret {
	s64 error;
	u64 value;
};
struct sbi_ret sbi_call(u64 ext, u64 fid, u64 a0, u64 a1, u64 a2, u64 a3, u64 a4);
#define SBI_EXT_BASE	0x10
#define SBI_EXT_TIME	0x54494d45
#define SBI_EXT_IPI	0x735049
#define SBI_EXT_RFENCE	0x52464e43
#define SBI_EXT_HSM	0x48534d
#define SBI_EXT_SRST	0x53525354

/* smp.c: harts are numbered 0 (the boot hart), 1, ...; hartid is the machine's number. */
u64 smp_start_all(void);			/* returns how many run, the boot hart included */
void smp_run(u64 index, void (*fn)(struct hart *h));	/* starts fn there; returns at once */
void smp_wait(u64 index);			/* until it has returned */
u64 smp_count(void);
u64 smp_find_stopped(void);			/* a hartid that HSM reports stopped; ~0 if none */
extern const char smp_entry[];

/* vm.c: page tables; pages come from a pool that never shrinks except by vm_reset(). */
#define PTE_V BIT(0)
#define PTE_R BIT(1)
#define PTE_W BIT(2)
#define PTE_X BIT(3)
#define PTE_U BIT(4)
#define PTE_G BIT(5)
#define PTE_A BIT(6)
#define PTE_D BIT(7)
#define PTE_NAPOT BIT(63)
#define PTE_AD (PTE_A | PTE_D)
#define PTE_RWX (PTE_R | PTE_W | PTE_X)
#define PTE_PPN(pa) (((u64)(pa) >> 12) << 10)
#define PTE_PA(pte) (((pte) << 10 >> 20) << 12)

struct vm {
	u64 *root;
	unsigned levels;	/* 3, 4, 5 */
};
#define USER_BASE 0x1000000000ul	/* where the user's alias of RAM is: va = pa + this */
void vm_reset(void);
void *vm_page(void);		/* a zeroed 4 KiB page from the pool */
/* The kernel's identity map (RAM in 2 MiB pages, UART, PLIC), and the U alias of RAM. */
void vm_init(struct vm *vm, unsigned levels);
/* The entry that maps va at level (0 is 4 KiB), tables made on the way. */
u64 *vm_pte(struct vm *vm, u64 va, unsigned level);
void vm_map(struct vm *vm, u64 va, u64 pa, u64 flags, unsigned level);
void vm_on(const struct vm *vm, u64 asid);
void vm_off(void);
u64 vm_satp(const struct vm *vm, u64 asid);

int main(void);

#endif
#endif
