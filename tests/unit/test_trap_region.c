/* SPDX-License-Identifier: MIT */
/*
 * Trap regions: the CPU itself is the oracle. Each instruction runs on memory and, at the same
 * address, on a region whose ops are a copy of that memory, from equal registers, flags and bytes,
 * many random times; registers, flags and bytes must be equal after it.
 *
 * Built for this machine with cmocka, and for riscv64 and arm64 as a static program for QEMU's user
 * mode, whose CPU is the oracle then.
 */
#include "unit.h"

#include "base/guard.h"
#include "base/sync.h"
#include "base/trap_region.h"

#define SIZE 8192

static u8 model[SIZE];
static volatile unsigned nr_reads, nr_writes;
static u8 *window;
static u32 *slot;		/* the page before it, which can be written and executed */
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
	slot = mmap(NULL, 4096 + SIZE, PROT_READ | PROT_WRITE | PROT_EXEC,
		    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	assert_ptr_not_equal(slot, MAP_FAILED);
	window = (u8 *)slot + 4096;
	assert_int_equal(mprotect(window, SIZE, PROT_NONE), 0);
	return sv_trap_region_add(window, SIZE, &model_ops, NULL, &region);
}

static int teardown(void **state)
{
	sv_trap_region_remove(region);
	return munmap(slot, 4096 + SIZE);
}

static u64 seed = 1;

static u64 rnd(void)
{
	seed = seed * 6364136223846793005ull + 1442695040888963407ull;
	return (seed >> 33) * 0x9e3779b97f4a7c15ull ^ seed;
}

/*
 * Each architecture's instructions: struct regs, regs_set() (any, and the addresses), insn_run(),
 * cases[], NR_CASES, PLACE_ALIGN. HAVE_SAMES: instructions that its CPU may not have.
 * HAVE_SWEEP: random words.
 */
#if defined(__x86_64__)
#include "trap_insns_x86.h"
#elif defined(__riscv)
#include "trap_insns_riscv64.h"
#elif defined(__aarch64__)
#include "trap_insns_arm64.h"
#else
#error "list this host's loads and stores"
#endif

static u8 initial[SIZE];

static void bytes_set(void)
{
	for (size_t i = 0; i < SIZE; i += 8) {
		u64 v = rnd();

		memcpy(initial + i, &v, 8);
	}
}

/* The window as memory with the initial bytes; then as registers with them, and what memory had. */
static void window_is_memory(void)
{
	assert_int_equal(mprotect(window, SIZE, PROT_READ | PROT_WRITE), 0);
	memcpy(window, initial, SIZE);
}

static void window_is_region(u8 *was)
{
	memcpy(was, window, SIZE);
	memcpy(model, initial, SIZE);
	assert_int_equal(mprotect(window, SIZE, PROT_NONE), 0);
}

static void expect_equal(const char *what, size_t off, const struct regs *a, const struct regs *b,
			 const u8 *memory)
{
	if (!memcmp(a, b, sizeof(*a)) && !memcmp(memory, model, SIZE))
		return;
	for (size_t i = 0; i < sizeof(*a) / 8; i++)
		if (((const u64 *)a)[i] != ((const u64 *)b)[i])
			print_message("# register %zu: %llx on memory, %llx on a region\n", i,
				      ((const unsigned long long *)a)[i],
				      ((const unsigned long long *)b)[i]);
	for (size_t i = 0; i < SIZE; i++)
		if (memory[i] != model[i])
			print_message("# byte %zu: %02x on memory, %02x on a region\n", i, memory[i],
				      model[i]);
	fail_msg("%s at %zu", what, off);
}

/* Often around the boundary of the two pages. */
static size_t random_place(void)
{
	return rnd() % 2 ? 4096 - 64 + PLACE_ALIGN * (rnd() % (128 / PLACE_ALIGN)) :
			   1024 + 64 * (rnd() % 32);
}

/* False: this CPU doesn't have it. */
static bool try_case(const struct insn_case *c, size_t off)
{
	static u8 memory[SIZE];
	struct regs a, b;
	int signo;

	bytes_set();
	regs_set(&a, window + off);
	b = a;
	window_is_memory();
	signo = insn_run(c, &a, window + off);
	window_is_region(memory);
	if (signo == SIGILL)
		return false;
	if (signo)
		fail_msg("%s at %zu: signal %d on memory", c->text, off, signo);
	signo = insn_run(c, &b, window + off);
	if (signo)
		fail_msg("%s at %zu: signal %d on a region", c->text, off, signo);
	expect_equal(c->text, off, &a, &b, memory);
	return true;
}

static void test_instructions_as_on_memory(void **state)
{
	unsigned unknown = 0;

	for (size_t i = 0; i < NR_CASES; i++) {
		bool known = true;

		for (unsigned n = 0; n < 40 && known; n++)
			known = try_case(&cases[i], random_place());
		if (!known)
			print_message("# %s: not of this CPU\n", cases[i].text);
		unknown += !known;
	}
	print_message("# %zu instructions, %u of them not of this CPU\n", NR_CASES, unknown);
	if (getenv("TRAP_EVERY_INSN"))
		assert_int_equal(unknown, 0);
}

#ifdef HAVE_SAMES
/* What the CPU may not have: the decoder by a call, against base instructions on memory. */
static void test_instructions_that_the_cpu_need_not_have(void **state)
{
	static u8 memory[SIZE];

	for (const struct insn_same *s = __start_insn_sames; s < __stop_insn_sames; s++)
		for (unsigned n = 0; n < 40; n++) {
			size_t off = random_place();
			struct regs a, b;

			bytes_set();
			regs_set(&a, window + off);
			window_is_memory();
			same_set(&a, window + off);
			b = a;
			assert_int_equal(run_code(s->oracle, &a, false), 0);
			window_is_region(memory);
			assert_int_equal(run_code(s->emulated, &b, true), 0);
			expect_equal(s->text, off, &a, &b, memory);
		}
}
#endif

#ifdef HAVE_SWEEP
/*
 * Random words of the encoding space of loads and stores. The CPU says where a word's address is:
 * where it faults with a base that points to nothing; from there the base is moved to the window.
 * On the region it must then do what it does on memory, or be refused with no register changed,
 * and then be one of the words that the decoder says it refuses.
 */
static struct { unsigned same, refused, illegal, faults; } sweep;

static void sweep_compare(u32 w, const struct regs *start)
{
	static u8 memory[SIZE];
	struct regs a = *start, b = *start;
	int on_memory, on_region;
	char text[16];

	snprintf(text, sizeof(text), "word %08x", w);
	bytes_set();
	window_is_memory();
	on_memory = run_code(slot, &a, false);
	window_is_region(memory);
	on_region = run_code(slot, &b, false);
	if (on_memory) {
		if (!on_region || (on_memory == SIGILL) != (on_region == SIGILL))
			fail_msg("%s: signal %d, %d", text, on_memory, on_region);
		sweep.faults++;
	} else if (!on_region) {
		expect_equal(text, 0, &a, &b, memory);
		sweep.same++;
	} else {
		if (on_region != SIGBUS || !sweep_may_refuse(w, start) ||
		    memcmp(&b, start, sizeof(b)))
			fail_msg("%s: runs on memory, signal %d on a region", text, on_region);
		sweep.refused++;
	}
}

static void test_random_words_as_on_memory(void **state)
{
	size_t room = 64 << 20;
	u8 *nothing = mmap(NULL, room, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	assert_ptr_not_equal(nothing, MAP_FAILED);
	for (unsigned n = 0; n < SWEEP_WORDS; n++) {
		unsigned base, align;
		u32 w = sweep_word(&base, &align);
		struct regs start, r;
		u64 target;
		int signo;

		if (!sweep_can_run(w, base))
			continue;
		slot[0] = w;
		slot[1] = BREAK_WORD;
		__builtin___clear_cache((char *)slot, (char *)(slot + 2));
		regs_set(&start, nothing + room / 2);
		sweep_prepare(w, &start);
		*base_reg(&start, base) = (uintptr_t)nothing + room / 2;
		r = start;
		signo = run_code(slot, &r, false);
		if (signo == SIGILL) {
			sweep.illegal++;
			continue;
		}
		target = (uintptr_t)window + random_place() + rnd() % 16;
		if (signo)
			target -= run.fault - *base_reg(&start, base);
		*base_reg(&start, base) = ALIGN_DOWN(target, align);
		sweep_compare(w, &start);
	}
	print_message("# of %u words %u did as on memory, %u were refused, %u are none, "
		      "%u faults\n", SWEEP_WORDS, sweep.same, sweep.refused, sweep.illegal, sweep.faults);
	assert_in_range(sweep.same, SWEEP_WORDS / 3, SWEEP_WORDS);
	assert_true(sweep.faults < SWEEP_WORDS / 20);
	munmap(nothing, room);
}
#endif

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
		cmocka_unit_test(test_instructions_as_on_memory),
#ifdef HAVE_SAMES
		cmocka_unit_test(test_instructions_that_the_cpu_need_not_have),
#endif
#ifdef HAVE_SWEEP
		cmocka_unit_test(test_random_words_as_on_memory),
#endif
		cmocka_unit_test(test_memcpy_of_the_c_library),
		cmocka_unit_test(test_one_access_is_one_op),
		cmocka_unit_test(test_nobody_answers_is_sigbus),
		cmocka_unit_test(test_default_action_kills_with_sigbus),
		cmocka_unit_test(test_overlap_is_refused),
		cmocka_unit_test(test_under_a_guard_it_is_a_fault),
		cmocka_unit_test(test_without_an_instruction),
		cmocka_unit_test(test_region_comes_and_goes),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
