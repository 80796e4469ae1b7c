/* SPDX-License-Identifier: MIT */
/*
 * Trap regions: the CPU itself is the oracle. Each instruction runs on memory and on a region
 * whose ops are that same memory, from equal registers, flags and bytes, many random times;
 * registers, flags and bytes must be equal after it.
 */
#include "unit.h"

#include "base/guard.h"
#include "base/sync.h"
#include "base/trap_region.h"

#define SIZE 8192

static u8 model[SIZE];
static volatile unsigned nr_reads, nr_writes;
static u8 *window;
static struct sv_trap_region *region;

static int model_read(void *priv, u64 off, unsigned size, u64 *val)
{
	assert_true(size == 1 || size == 2 || size == 4 || size == 8);
	assert_true(off % size == 0 && off + size <= SIZE);
	memcpy(val, model + off, size);
	nr_reads++;
	return 0;
}

static int model_write(void *priv, u64 off, unsigned size, u64 val)
{
	memcpy(model + off, &val, size);
	nr_writes++;
	return 0;
}

static const struct sv_trap_ops model_ops = { model_read, model_write };

static int setup(void **state)
{
	assert_int_equal(sv_guard_init(), 0);
	window = mmap(NULL, SIZE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	assert_ptr_not_equal(window, MAP_FAILED);
	return sv_trap_region_add(window, SIZE, &model_ops, NULL, &region);
}

static int teardown(void **state)
{
	sv_trap_region_remove(region);
	return munmap(window, SIZE);
}

#ifdef __x86_64__
struct regs {
	u64 rax, rbx, rcx, rdx, rsi, flags;
	u8 vec[2][32] __attribute__((aligned(32)));
};

#define ARITH_FLAGS 0x8d5ul

/*
 * Clear of the red zone; loads the registers, runs the text with the memory at rdi, stores the
 * registers.
 */
#define INSN(n, text, undefined, avx) \
static void __attribute__((noinline)) run_##n(struct regs *r, void *mem) \
{ \
	register struct regs *p asm("r12") = r; \
	register void *m asm("rdi") = mem; \
	asm volatile("lea -128(%%rsp), %%rsp\n pushfq\n pop %%rax\n and $~0x8d5, %%rax\n mov 40(%%r12), %%rdx\n" \
		     "and $0x8d5, %%rdx\n or %%rdx, %%rax\n push %%rax\n" \
		     LOAD_##avx \
		     "mov 0(%%r12), %%rax\n mov 8(%%r12), %%rbx\n mov 16(%%r12), %%rcx\n" \
		     "mov 24(%%r12), %%rdx\n mov 32(%%r12), %%rsi\n" \
		     "popfq\n" text "\n" \
		     "pushfq\n mov %%rax, 0(%%r12)\n mov %%rbx, 8(%%r12)\n" \
		     "mov %%rcx, 16(%%r12)\n mov %%rdx, 24(%%r12)\n mov %%rsi, 32(%%r12)\n" \
		     "pop %%rax\n mov %%rax, 40(%%r12)\n" \
		     STORE_##avx "lea 128(%%rsp), %%rsp\n" \
		     : "+r"(m) : "r"(p) : "rax", "rbx", "rcx", "rdx", "rsi", "cc", "memory", \
		       "xmm0", "xmm1"); \
	r->rsi -= (u64)(uintptr_t)mem; \
	r->flags &= ARITH_FLAGS & ~(undefined); \
}
#define LOAD_0 "movups 64(%%r12), %%xmm0\n movups 96(%%r12), %%xmm1\n"
#define STORE_0 "movups %%xmm0, 64(%%r12)\n movups %%xmm1, 96(%%r12)\n"
#define LOAD_1 "vmovups 64(%%r12), %%ymm0\n vmovups 96(%%r12), %%ymm1\n"
#define STORE_1 "vmovups %%ymm0, 64(%%r12)\n vmovups %%ymm1, 96(%%r12)\n vzeroupper\n"

_Static_assert(__builtin_offsetof(struct regs, vec) == 64, "the asm knows");

#define INSNS(X) \
	X(0, "mov (%%rdi), %%rax", 0, 0) X(1, "mov (%%rdi), %%eax", 0, 0) \
	X(2, "mov (%%rdi), %%ax", 0, 0) X(3, "mov (%%rdi), %%al", 0, 0) \
	X(4, "mov (%%rdi), %%ah", 0, 0) X(5, "mov %%rax, 8(%%rdi)", 0, 0) \
	X(6, "mov %%ebx, 4(%%rdi)", 0, 0) X(7, "mov %%cx, 2(%%rdi)", 0, 0) \
	X(8, "mov %%bh, 1(%%rdi)", 0, 0) X(9, "movl $0x12345678, (%%rdi)", 0, 0) \
	X(10, "movq $-5, (%%rdi)", 0, 0) X(11, "movb $7, 3(%%rdi)", 0, 0) \
	X(12, "movzbl (%%rdi), %%eax", 0, 0) X(13, "movzwl 2(%%rdi), %%ebx", 0, 0) \
	X(14, "movsbq (%%rdi), %%rcx", 0, 0) X(15, "movslq 4(%%rdi), %%rdx", 0, 0) \
	X(16, "movsbw (%%rdi), %%ax", 0, 0) X(17, "orl $0x80, (%%rdi)", 16, 0) \
	X(18, "andq %%rax, (%%rdi)", 16, 0) X(19, "xorb %%cl, 5(%%rdi)", 16, 0) \
	X(20, "addl %%eax, (%%rdi)", 0, 0) X(21, "subw %%bx, (%%rdi)", 0, 0) \
	X(22, "adcq %%rdx, (%%rdi)", 0, 0) X(23, "sbbl $3, (%%rdi)", 0, 0) \
	X(24, "cmpl $0, (%%rdi)", 0, 0) X(25, "cmp (%%rdi), %%rax", 0, 0) \
	X(26, "testb $1, (%%rdi)", 16, 0) X(27, "test %%ecx, (%%rdi)", 16, 0) \
	X(28, "incl (%%rdi)", 0, 0) X(29, "decq (%%rdi)", 0, 0) X(30, "negl (%%rdi)", 0, 0) \
	X(31, "notw (%%rdi)", 0, 0) X(32, "btsl $5, (%%rdi)", 0x894, 0) \
	X(33, "btrq $33, (%%rdi)", 0x894, 0) X(34, "btcl $31, (%%rdi)", 0x894, 0) \
	X(35, "btw $9, (%%rdi)", 0x894, 0) X(36, "xchg %%eax, (%%rdi)", 0, 0) \
	X(37, "lock xaddq %%rbx, (%%rdi)", 0, 0) X(38, "lock cmpxchgl %%ecx, (%%rdi)", 0, 0) \
	X(39, "mov (%%rdi), %%rax\n lock cmpxchgq %%rcx, (%%rdi)", 0, 0) \
	X(40, "lea (%%rdi), %%rsi\n lodsl", 0, 0) \
	X(41, "lea (%%rdi), %%rsi\n lea 64(%%rdi), %%rdi\n mov $5, %%ecx\n rep movsq", 0, 0) \
	X(42, "mov $7, %%ecx\n rep stosb\n lea (%%rdi), %%rsi", 0, 0) \
	X(43, "movsq (%%rsi), %%es:(%%rdi)\n lea (%%rdi), %%rsi", 0, 9) \
	X(44, "movups (%%rdi), %%xmm0", 0, 0) X(45, "movaps 16(%%rdi), %%xmm1", 0, 0) \
	X(46, "movdqu %%xmm1, 3(%%rdi)", 0, 0) X(47, "movq (%%rdi), %%xmm0", 0, 0) \
	X(48, "movd (%%rdi), %%xmm1", 0, 0) X(49, "movq %%xmm0, 8(%%rdi)", 0, 0) \
	X(50, "movss (%%rdi), %%xmm0", 0, 0) X(51, "movsd %%xmm1, (%%rdi)", 0, 0) \
	X(52, "movntdq %%xmm0, 32(%%rdi)", 0, 0) X(53, "movnti %%rax, (%%rdi)", 0, 0) \
	X(54, "movbe (%%rdi), %%rax", 0, 0) X(55, "movbe %%ecx, (%%rdi)", 0, 0) \
	X(56, "or 8(%%rdi), %%rbx", 16, 0) X(57, "add (%%rdi), %%cl", 0, 0) \
	X(58, "mov $16, %%ecx\n mov -128(%%rdi,%%rcx,8), %%rdx", 0, 0) \
	X(59, "lea 512(%%rdi), %%rsi\n std\n mov $3, %%ecx\n lea 64(%%rdi), %%rdi\n rep movsb\n cld", 0, 0) \
	X(60, "xor %%ecx, %%ecx\n rep stosq\n lea (%%rdi), %%rsi", 0, 0)
#define INSNS_AVX(X) \
	X(100, "vmovdqu (%%rdi), %%ymm0", 0, 1) X(101, "vmovdqu %%ymm1, 1(%%rdi)", 0, 1) \
	X(102, "vmovups (%%rdi), %%xmm0", 0, 1) X(103, "vmovq 8(%%rdi), %%xmm1", 0, 1) \
	X(104, "vmovntdq %%ymm0, 64(%%rdi)", 0, 1) X(105, "vmovd %%xmm1, 4(%%rdi)", 0, 1)

/* 43 reads through rsi, which the harness sets to the same place. */
#define LOAD_9 LOAD_0
#define STORE_9 STORE_0
#pragma GCC diagnostic ignored "-Wunused-function"
INSNS(INSN)
INSNS_AVX(INSN)

struct insn_case {
	const char *text;
	void (*run)(struct regs *r, void *mem);
	bool rsi_is_mem;
};
#define CASE(n, text, undefined, avx) { text, run_##n, (avx) == 9 },
static const struct insn_case cases[] = { INSNS(CASE) };
static const struct insn_case cases_avx[] = { INSNS_AVX(CASE) };

static u64 seed = 1;

static u64 rnd(void)
{
	seed = seed * 6364136223846793005ull + 1442695040888963407ull;
	return (seed >> 33) * 0x9e3779b97f4a7c15ull ^ seed;
}

static void try_case(const struct insn_case *c, size_t off)
{
	static u8 memory[SIZE] __attribute__((aligned(4096)));
	struct regs a, b;

	for (size_t i = 0; i < SIZE; i += 8) {
		u64 v = rnd();

		memcpy(memory + i, &v, 8);
	}
	memcpy(model, memory, SIZE);
	for (size_t i = 0; i < sizeof(a); i += 8) {
		u64 v = rnd();

		memcpy((u8 *)&a + i, &v, 8);
	}
	b = a;
	if (c->rsi_is_mem) {
		a.rsi = (uintptr_t)(memory + off + 256);
		b.rsi = (uintptr_t)(window + off + 256);
	} else {
		a.rsi = (u64)(uintptr_t)(memory + off) + 77;
		b.rsi = (u64)(uintptr_t)(window + off) + 77;
	}
	c->run(&a, memory + off);
	c->run(&b, window + off);
	if (memcmp(&a, &b, sizeof(a)) || memcmp(memory, model, SIZE))
		fail_msg("%s at %zu: rax %lx %lx rbx %lx %lx rcx %lx %lx rdx %lx %lx rsi %lx %lx flags %lx %lx vec %d mem %d",
			 c->text, off, a.rax, b.rax, a.rbx, b.rbx, a.rcx, b.rcx, a.rdx, b.rdx,
			 a.rsi, b.rsi, a.flags, b.flags, memcmp(a.vec, b.vec, sizeof(a.vec)),
			 memcmp(memory, model, SIZE));
}

static void test_instructions_as_on_memory(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		for (unsigned n = 0; n < 40; n++)
			try_case(&cases[i], 1024 + 64 * (rnd() % 32));
	if (!__builtin_cpu_supports("avx2"))
		return;
	for (size_t i = 0; i < ARRAY_SIZE(cases_avx); i++)
		for (unsigned n = 0; n < 40; n++)
			try_case(&cases_avx[i], 1024 + 64 * (rnd() % 32));
}

static void test_memcpy_of_the_c_library(void **state)
{
	static u8 buf[SIZE];
	void *(*volatile copy)(void *, const void *, size_t) = memcpy;

	for (size_t i = 0; i < SIZE; i++)
		model[i] = (u8)(i * 7 + 1);
	for (size_t n = 1; n < 600; n += 13) {
		copy(buf, window + 100, n);
		assert_memory_equal(buf, model + 100, n);
		memset(buf, (int)n, n);
		copy(window + 333, buf, n);
		assert_memory_equal(buf, model + 333, n);
	}
}

static void test_one_access_is_one_op(void **state)
{
	nr_reads = nr_writes = 0;
	(void)*(volatile u32 *)(window + 16);
	assert_int_equal(nr_reads, 1);
	*(volatile u64 *)(window + 16) = 5;
	assert_int_equal(nr_writes, 1);
	*(volatile u32 *)(window + 16) |= 2;
	assert_in_range(nr_reads, 2, 2);
	assert_int_equal(nr_writes, 2);
}
#endif

static sigjmp_buf jump;
static siginfo_t seen;

static void on_bus(int signo, siginfo_t *si, void *uc)
{
	seen = *si;
	siglongjmp(jump, 1);
}

static int refuse_read(void *priv, u64 off, unsigned size, u64 *val)
{
	return -EIO;
}

/* An access that nothing answers is SIGBUS with its address, whatever the reason. */
static void expect_sigbus(volatile u32 *p)
{
	struct sigaction act = { .sa_sigaction = on_bus, .sa_flags = SA_SIGINFO }, old;

	assert_int_equal(sv_guard_sigaction(SIGBUS, &act, &old), 0);
	memset(&seen, 0, sizeof(seen));
	if (!sigsetjmp(jump, 1)) {
		(void)*p;
		fail_msg("the load came back");
	}
	assert_int_equal(seen.si_signo, SIGBUS);
	assert_int_equal(seen.si_code, BUS_ADRERR);
	assert_ptr_equal(seen.si_addr, p);
	assert_int_equal(sv_guard_sigaction(SIGBUS, &old, NULL), 0);
}

static void test_nobody_answers_is_sigbus(void **state)
{
	static const struct sv_trap_ops refusing = { refuse_read, NULL };
	u8 *p = mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct sv_trap_region *r;

	assert_int_equal(sv_trap_region_add(p, 4096, NULL, NULL, &r), 0);
	expect_sigbus((u32 *)(p + 8));
	sv_trap_region_remove(r);
	assert_int_equal(sv_trap_region_add(p, 4096, &refusing, NULL, &r), 0);
	expect_sigbus((u32 *)(p + 16));
	sv_trap_region_remove(r);
	munmap(p, 4096);
}

static void test_default_action_kills_with_sigbus(void **state)
{
	int status;
	pid_t pid = fork();

	if (!pid) {
		struct sigaction dfl = { .sa_handler = SIG_DFL };
		struct sv_trap_region *r;
		u8 *p = mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

		sv_guard_sigaction(SIGBUS, &dfl, NULL);
		sv_guard_sigaction(SIGSEGV, &dfl, NULL);
		if (sv_trap_region_add(p, 4096, NULL, NULL, &r))
			_exit(1);
		(void)*(volatile u32 *)p;
		_exit(2);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status));
	assert_int_equal(WTERMSIG(status), SIGBUS);
}

static void test_overlap_is_refused(void **state)
{
	struct sv_trap_region *r;

	assert_int_equal(sv_trap_region_add(window + 4096, 4096, NULL, NULL, &r), -EEXIST);
}

static void test_under_a_guard_it_is_a_fault(void **state)
{
	u32 v;

	assert_int_equal(sv_copy_from_user(&v, window, 4), -EFAULT);
}

static void test_without_an_instruction(void **state)
{
	u8 buf[13];

	for (size_t i = 0; i < SIZE; i++)
		model[i] = (u8)(i ^ (i >> 8));
	assert_int_equal(sv_trap_region_read(window + 3, buf, sizeof(buf)), 0);
	assert_memory_equal(buf, model + 3, sizeof(buf));
	memset(buf, 0xee, sizeof(buf));
	assert_int_equal(sv_trap_region_write(window + 4001, buf, sizeof(buf)), 0);
	assert_memory_equal(buf, model + 4001, sizeof(buf));
	assert_int_equal(sv_trap_region_read(model, buf, 4), -ENOENT);
	assert_int_equal(sv_trap_region_read(window + SIZE - 4, buf, 8), -EIO);
}

/*
 * A thread that loads all the time while the region comes and goes: values or SIGBUS, never
 * SIGSEGV.
 */
struct flicker {
	u8 *p;
	bool stop;
	unsigned long values, buses;
};

static __thread sigjmp_buf thread_jump;

static void on_bus_thread(int signo, siginfo_t *si, void *uc)
{
	siglongjmp(thread_jump, 1);
}

static void *flicker_reader(void *arg)
{
	struct flicker *f = arg;

	while (!__atomic_load_n(&f->stop, __ATOMIC_RELAXED)) {
		if (sigsetjmp(thread_jump, 1)) {
			__atomic_fetch_add(&f->buses, 1, __ATOMIC_RELAXED);
			continue;
		}
		__atomic_load_n((u32 *)f->p, __ATOMIC_RELAXED);
		__atomic_fetch_add(&f->values, 1, __ATOMIC_RELAXED);
	}
	return NULL;
}

static void test_region_comes_and_goes(void **state)
{
	struct sigaction act = { .sa_sigaction = on_bus_thread, .sa_flags = SA_SIGINFO }, old;
	struct flicker f = { 0 };
	struct sv_thread t;

	f.p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	assert_int_equal(sv_guard_sigaction(SIGBUS, &act, &old), 0);
	assert_int_equal(sv_thread_create(&t, "reader", flicker_reader, &f), 0);
	for (unsigned i = 0; i < 2000 || !__atomic_load_n(&f.buses, __ATOMIC_RELAXED) ||
			     !__atomic_load_n(&f.values, __ATOMIC_RELAXED); i++) {
		struct sv_trap_region *r;

		assert_int_equal(sv_trap_region_add(f.p, 4096, NULL, NULL, &r), 0);
		assert_int_equal(mprotect(f.p, 4096, PROT_NONE), 0);
		assert_int_equal(mprotect(f.p, 4096, PROT_READ | PROT_WRITE), 0);
		sv_trap_region_remove(r);
	}
	__atomic_store_n(&f.stop, true, __ATOMIC_RELAXED);
	sv_thread_join(&t);
	assert_int_equal(sv_guard_sigaction(SIGBUS, &old, NULL), 0);
	munmap(f.p, 4096);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#ifdef __x86_64__
		cmocka_unit_test(test_instructions_as_on_memory),
		cmocka_unit_test(test_memcpy_of_the_c_library),
		cmocka_unit_test(test_one_access_is_one_op),
#endif
		cmocka_unit_test(test_nobody_answers_is_sigbus),
		cmocka_unit_test(test_default_action_kills_with_sigbus),
		cmocka_unit_test(test_overlap_is_refused),
		cmocka_unit_test(test_under_a_guard_it_is_a_fault),
		cmocka_unit_test(test_without_an_instruction),
		cmocka_unit_test(test_region_comes_and_goes),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
