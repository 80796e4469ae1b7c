/* SPDX-License-Identifier: MIT */
/*
 * Save and restore: a guest that is moved to a new VM at random points, again and again,
 * ends as one that was never stopped.
 *
 * What is moved is what the API shows and nothing else: the list's registers, MP_STATE,
 * memory. The registers are written in a random order, every other time twice. The guest
 * (guest/save_restore.c) hashes all it sees; the VMM's device hashes all it is told. The
 * oracle is the same guest in the same VMM without a stop.
 *
 * Three kinds of stops: at an exit whose answer has not been taken yet; a number of single
 * steps after an exit (the same points for the same seed); and by a signal that comes when
 * it comes. No kind changes the result, so nothing here depends on timing.
 *
 * The first argument is the guest's image.
 */
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>

#include "abi.h"
#include "guest/save_restore.h"

#if defined(__SANITIZE_THREAD__)
#define RESTORES 100
#elif defined(__SANITIZE_ADDRESS__)
#define RESTORES 250
#else
#define RESTORES 1000
#endif
#define MAX_REGS 512
#define MAX_WORDS 2	/* the widest is a vector register of 128 bits */
#define PAGES (SR_RAM_SIZE / 4096)

struct machine {
	int vm, vcpu;
	struct kvm_run *run;
	u8 *ram;
	bool logged;
};

struct state {
	u64 n, ids[MAX_REGS], values[MAX_REGS][MAX_WORDS];
	struct kvm_mp_state mp;
	u8 ram[SR_RAM_SIZE] __attribute__((aligned(4096)));
};

/* The VMM's own part: it moves along, as a device model does. */
struct device {
	u64 loads, hash;
	bool done;
};

enum stop { STOP_PENDING, STOP_STEPS, STOP_KICK, STOP_KINDS };

static int kvm_fd;
static u8 image[SR_RAM_SIZE];
static size_t image_size;
static struct state saved;
static u64 rng_state;
static unsigned int moves[STOP_KINDS], pending_mmio, pending_sbi;
static struct kvm_run *volatile signalled_run;
static bool kicking;
static timer_t alarm_timer;

static u64 rng(void)
{
	rng_state ^= rng_state << 13;
	rng_state ^= rng_state >> 7;
	rng_state ^= rng_state << 17;
	return rng_state * 0x2545f4914f6cdd1dull;
}

static u64 mix(u64 h, u64 v)
{
	h = (h ^ v) * 0x9e3779b97f4a7c15ull;
	return h ^ h >> 29;
}

static void machine_up(struct machine *m, bool logged)
{
	m->ram = abi_memory(SR_RAM_SIZE);
	m->vm = softvirt_ioctl(kvm_fd, KVM_CREATE_VM, 0);
	assert_true(m->vm >= 0);
	m->logged = logged;
	assert_return_code(abi_region(m->vm, 3, logged ? KVM_MEM_LOG_DIRTY_PAGES : 0, SR_RAM,
				      SR_RAM_SIZE, m->ram), errno);
	m->vcpu = softvirt_ioctl(m->vm, KVM_CREATE_VCPU, 0);
	assert_true(m->vcpu >= 0);
	m->run = abi_map_run(m->vcpu);
	signalled_run = m->run;
}

static void machine_down(struct machine *m)
{
	if (signalled_run == m->run)
		signalled_run = NULL;
	munmap(m->run, ABI_RUN_SIZE);
	assert_return_code(softvirt_close(m->vcpu), errno);
	assert_return_code(softvirt_close(m->vm), errno);
	/* The VM is gone: whoever still touches its memory faults. */
	munmap(m->ram, SR_RAM_SIZE);
}

/* Not what a new vCPU has anyway: identity and SBI extensions must be moved too. */
static void machine_boot(struct machine *m)
{
	memcpy(m->ram, image, image_size);
	assert_return_code(abi_set(m->vcpu, REG_CORE(regs.pc), SR_RAM), errno);
	assert_return_code(abi_set(m->vcpu, REG_CONFIG(mvendorid), SR_MVENDORID), errno);
	assert_return_code(abi_set(m->vcpu, REG_SBI(KVM_RISCV_SBI_EXT_DBCN), 1), errno);
	assert_return_code(abi_set(m->vcpu, REG_SBI(KVM_RISCV_SBI_EXT_V01), 0), errno);
	assert_return_code(abi_set(m->vcpu, REG_ISA(KVM_RISCV_ISA_EXT_ZICBOZ), 0), errno);
}

/* --- what a state consists of ---------------------------------------------------------- */

static int one_reg(int vcpu, unsigned long cmd, u64 id, const u64 *value)
{
	struct kvm_one_reg r = { .id = id, .addr = (uintptr_t)value };

	return softvirt_ioctl(vcpu, cmd, &r);
}

static void save_registers(int vcpu, struct state *s)
{
	struct {
		struct kvm_reg_list head;
		u64 ids[MAX_REGS];
	} list = { .head.n = 0 };

	assert_errno(softvirt_ioctl(vcpu, KVM_GET_REG_LIST, &list), E2BIG);
	assert_true(list.head.n > 0 && list.head.n <= MAX_REGS);
	assert_return_code(softvirt_ioctl(vcpu, KVM_GET_REG_LIST, &list), errno);
	s->n = list.head.n;
	for (u64 i = 0; i < s->n; i++) {
		s->ids[i] = list.ids[i];
		assert_true(KVM_REG_SIZE(s->ids[i]) <= sizeof(s->values[i]));
		assert_return_code(one_reg(vcpu, KVM_GET_ONE_REG, s->ids[i], s->values[i]), errno);
	}
	assert_return_code(softvirt_ioctl(vcpu, KVM_GET_MP_STATE, &s->mp), errno);
}

/*
 * As a migration does it: the pages that the log names over the image that the machine
 * began with, which is the last saved.
 */
static void save_memory(const struct machine *m, struct state *s)
{
	u64 log[PAGES / 64];
	struct kvm_dirty_log args = { .slot = 3, .dirty_bitmap = log };

	if (m->logged) {
		if (s != &saved)
			memcpy(s->ram, saved.ram, SR_RAM_SIZE);
		assert_return_code(softvirt_ioctl(m->vm, KVM_GET_DIRTY_LOG, &args), errno);
		for (unsigned int i = 0; i < PAGES; i++)
			if (log[i / 64] & BIT(i % 64))
				memcpy(s->ram + i * 4096, m->ram + i * 4096, 4096);
		assert_memory_equal(s->ram, m->ram, SR_RAM_SIZE);
	} else {
		memcpy(s->ram, m->ram, SR_RAM_SIZE);
	}
}

static void shuffle(u32 *order, u64 n)
{
	for (u64 i = 0; i < n; i++)
		order[i] = i;
	for (u64 i = n - 1; i; i--) {
		u64 j = rng() % (i + 1);
		u32 t = order[i];

		order[i] = order[j];
		order[j] = t;
	}
}

static void restore_registers(int vcpu, const struct state *s, unsigned int times)
{
	u32 order[MAX_REGS + 1];

	while (times--) {
		shuffle(order, s->n + 1);
		for (u64 i = 0; i <= s->n; i++) {
			u64 k = order[i];
			struct kvm_mp_state mp = s->mp;
			int ret = k == s->n ? softvirt_ioctl(vcpu, KVM_SET_MP_STATE, &mp) :
					      one_reg(vcpu, KVM_SET_ONE_REG, s->ids[k], s->values[k]);

			if (ret < 0)
				print_message("register %#llx = %#llx: %s\n",
					      k < s->n ? (unsigned long long)s->ids[k] : 0,
					      k < s->n ? (unsigned long long)s->values[k][0] : 0,
					      strerror(errno));
			assert_return_code(ret, errno);
		}
	}
}

/* What was written is what is read. Time goes on; the timer's state follows from it. */
static void check_registers(int vcpu, const struct state *s)
{
	static struct state got;

	save_registers(vcpu, &got);
	assert_int_equal(got.n, s->n);
	assert_int_equal(got.mp.mp_state, s->mp.mp_state);
	for (u64 i = 0; i < s->n; i++) {
		assert_int_equal(got.ids[i], s->ids[i]);
		if (s->ids[i] == REG_TIMER(time))
			assert_true(got.values[i][0] >= s->values[i][0] &&
				    got.values[i][0] - s->values[i][0] < 600000000);
		else if (s->ids[i] != REG_TIMER(state) &&
			 memcmp(got.values[i], s->values[i], KVM_REG_SIZE(s->ids[i]))) {
			print_message("register %#llx: %#llx was %#llx\n",
				      (unsigned long long)s->ids[i],
				      (unsigned long long)got.values[i][0],
				      (unsigned long long)s->values[i][0]);
			fail();
		}
	}
}

static void move(struct machine *m, enum stop kind)
{
	struct machine next;

	save_registers(m->vcpu, &saved);
	save_memory(m, &saved);
	machine_up(&next, rng() & 1);
	memcpy(next.ram, saved.ram, SR_RAM_SIZE);
	restore_registers(next.vcpu, &saved, 1 + (rng() & 1));
	check_registers(next.vcpu, &saved);
	machine_down(m);
	*m = next;
	moves[kind]++;
}

/* --- the VMM --------------------------------------------------------------------------- */

static void device_mmio(struct machine *m, struct device *d)
{
	struct kvm_run *run = m->run;
	struct kvm_interrupt irq;
	u64 v = 0;

	if (!run->mmio.is_write) {
		v = mix(run->mmio.phys_addr, ++d->loads);
		memcpy(run->mmio.data, &v, 8);
		return;
	}
	memcpy(&v, run->mmio.data, run->mmio.len);
	d->hash = mix(mix(mix(d->hash, run->mmio.phys_addr), run->mmio.len), v);
	switch (run->mmio.phys_addr) {
	case SR_RAISE:
	case SR_ACK:
		irq.irq = run->mmio.phys_addr == SR_RAISE ? KVM_INTERRUPT_SET :
							    KVM_INTERRUPT_UNSET;
		assert_return_code(softvirt_ioctl(m->vcpu, KVM_INTERRUPT, &irq), errno);
		break;
	case SR_DONE:
		d->done = true;
		break;
	}
}

static void device_sbi(struct machine *m, struct device *d)
{
	struct kvm_run *run = m->run;
	u64 h = mix(run->riscv_sbi.extension_id, run->riscv_sbi.function_id);

	for (int i = 0; i < 3; i++)
		h = mix(h, run->riscv_sbi.args[i]);
	d->hash = mix(d->hash, h);
	run->riscv_sbi.ret[0] = h;
	run->riscv_sbi.ret[1] = ~h;
}

/* One KVM_RUN. True if it ended with an exit that now has its answer. */
static bool run_once(struct machine *m, struct device *d)
{
	int ret = softvirt_ioctl(m->vcpu, KVM_RUN, 0);

	if (ret < 0) {
		if (errno != EINTR)
			print_message("KVM_RUN at %#llx: %s\n",
				      (unsigned long long)abi_reg(m->vcpu, REG_CORE(regs.pc)),
				      strerror(errno));
		assert_int_equal(errno, EINTR);
		/* A signal that came later than the stop it was meant for. */
		if (!kicking)
			__atomic_store_n(&m->run->immediate_exit, 0, __ATOMIC_RELAXED);
		return false;
	}
	switch (m->run->exit_reason) {
	case KVM_EXIT_MMIO:
		device_mmio(m, d);
		return true;
	case KVM_EXIT_RISCV_SBI:
		device_sbi(m, d);
		return true;
	case KVM_EXIT_DEBUG:
		return false;
	default:
		print_message("exit %u\n", m->run->exit_reason);
		fail();
		return false;
	}
}

static void stop_pending(struct machine *m)
{
	if (m->run->exit_reason == KVM_EXIT_RISCV_SBI)
		pending_sbi++;
	else if (!m->run->mmio.is_write)
		pending_mmio++;
	m->run->immediate_exit = 1;
	assert_errno(softvirt_ioctl(m->vcpu, KVM_RUN, 0), EINTR);
}

static void stop_steps(struct machine *m, struct device *d)
{
	struct kvm_riscv_guest_debug debug = {
		.control = KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_SINGLESTEP };

	assert_return_code(softvirt_ioctl(m->vcpu, KVM_RISCV_SET_GUEST_DEBUG, &debug), errno);
	for (u64 n = 1 + rng() % 400; n && !d->done; n--)
		if (run_once(m, d))
			n++;
	if (!d->done)
		return;
	debug.control = 0;
	assert_return_code(softvirt_ioctl(m->vcpu, KVM_RISCV_SET_GUEST_DEBUG, &debug), errno);
}

static void on_signal(int sig)
{
	struct kvm_run *run = signalled_run;

	if (run)
		__atomic_store_n(&run->immediate_exit, 1, __ATOMIC_RELAXED);
}

static void stop_kick(struct machine *m, struct device *d)
{
	struct itimerspec when = { .it_value.tv_nsec = 1000 + (long)(rng() % 200000) };

	kicking = true;
	assert_return_code(timer_settime(alarm_timer, 0, &when, NULL), errno);
	while (!d->done && !__atomic_load_n(&m->run->immediate_exit, __ATOMIC_RELAXED))
		run_once(m, d);
	kicking = false;
	/* An answer may still be on its way. */
	if (!d->done)
		assert_errno(softvirt_ioctl(m->vcpu, KVM_RUN, 0), EINTR);
}

/* From the start to SR_DONE; with stops while some of *budget are left. */
static void run_guest(struct machine *m, struct device *d, unsigned int *budget)
{
	u64 exits = 0;

	memset(d, 0, sizeof(*d));
	machine_up(m, false);
	machine_boot(m);
	if (*budget)
		exits = 1 + rng() % 12;
	while (!d->done) {
		enum stop kind = rng() % STOP_KINDS;

		if (!run_once(m, d) || d->done || !*budget || --exits)
			continue;
		switch (kind) {
		case STOP_PENDING:
			stop_pending(m);
			break;
		case STOP_STEPS:
			stop_steps(m, d);
			if (d->done)
				return;
			if (m->run->exit_reason == KVM_EXIT_MMIO ||
			    m->run->exit_reason == KVM_EXIT_RISCV_SBI)
				stop_pending(m);
			break;
		default:
			stop_kick(m, d);
			if (d->done)
				return;
			break;
		}
		move(m, kind);
		--*budget;
		exits = 1 + rng() % 12;
	}
}

/* Registers that hold the same at the end whenever interrupts came. */
static bool reproducible(u64 id)
{
	switch (id & KVM_REG_RISCV_TYPE_MASK) {
	case KVM_REG_RISCV_TIMER:
		return false;
	case KVM_REG_RISCV_CORE:
		return id == REG_CORE(regs.pc) || id == REG_CORE(regs.sp) || id == REG_CORE(mode);
	case KVM_REG_RISCV_CSR:
		return id == REG_CSR(satp) || id == REG_CSR(stvec) || id == REG_CSR(sscratch) ||
		       id == REG_CSR(sie) || id == REG_CSR(scounteren) || id == REG_CSR(senvcfg);
	default:
		return true;
	}
}

static void compare_ends(const struct state *want, const struct state *got)
{
	const struct sr_result *r = (const void *)(got->ram + SR_RESULT - SR_RAM);
	size_t low = SR_SCRATCH - SR_RAM, high = SR_RESULT - SR_RAM;

	assert_int_equal(r->errors, 0);
	assert_int_equal(r->rounds, SR_ROUNDS);
	assert_int_equal(r->ticks, SR_ROUNDS * SR_TICKS);
	assert_int_equal(r->ipis, SR_ROUNDS);
	assert_int_equal(r->externals, SR_ROUNDS);
	assert_int_equal(got->n, want->n);
	for (u64 i = 0; i < got->n; i++)
		if (reproducible(got->ids[i]) &&
		    memcmp(got->values[i], want->values[i], KVM_REG_SIZE(got->ids[i]))) {
			print_message("at the end register %#llx is %#llx instead of %#llx\n",
				      (unsigned long long)got->ids[i],
				      (unsigned long long)got->values[i][0],
				      (unsigned long long)want->values[i][0]);
			fail();
		}
	assert_memory_equal(got->ram, want->ram, low);
	assert_memory_equal(got->ram + high, want->ram + high, SR_RAM_SIZE - high);
}

static void moved_a_thousand_times_it_ends_as_if_never_stopped(void **state)
{
	static struct state want, got;
	struct device want_device, device;
	unsigned int budget = 0, runs = 0, total = 0, more = 0;
	struct machine m;

	run_guest(&m, &want_device, &budget);
	save_registers(m.vcpu, &want);
	save_memory(&m, &want);
	machine_down(&m);
	compare_ends(&want, &want);

	/* On until a load and an SBI call have been pending at a move: when is the timer's to say. */
	for (budget = RESTORES; budget || !pending_mmio || !pending_sbi; runs++) {
		if (!budget) {
			budget = 10;
			more += 10;
		}
		rng_state = 0x1234567 + runs * 0x9e3779b9ull;
		run_guest(&m, &device, &budget);
		save_registers(m.vcpu, &got);
		save_memory(&m, &got);
		machine_down(&m);
		compare_ends(&want, &got);
		assert_int_equal(device.loads, want_device.loads);
		assert_int_equal(device.hash, want_device.hash);
	}
	for (int i = 0; i < STOP_KINDS; i++)
		total += moves[i];
	assert_int_equal(total, RESTORES + more);
	assert_true(moves[STOP_PENDING] && moves[STOP_STEPS] && moves[STOP_KICK]);
	print_message("# %u runs; %u moves at exits (%u loads, %u SBI calls), %u after steps, "
		      "%u by signals\n", runs, moves[STOP_PENDING], pending_mmio, pending_sbi,
		      moves[STOP_STEPS], moves[STOP_KICK]);
}

/* --- what one guest does not show ------------------------------------------------------ */

/* A stopped vCPU stays off; one that was started but has not run yet starts in its new VM. */
static void a_start_not_yet_carried_out_moves_along(void **state)
{
	static struct state two[3];
	struct abi a, b;
	int others_a[2], others_b[2];
	u64 v;

	abi_up(&a);
	abi_up(&b);
	for (int i = 0; i < 2; i++) {
		others_a[i] = softvirt_ioctl(a.vm, KVM_CREATE_VCPU, i + 1);
		others_b[i] = softvirt_ioctl(b.vm, KVM_CREATE_VCPU, i + 1);
		assert_true(others_a[i] >= 0 && others_b[i] >= 0);
	}
	/* HSM start of vCPU 1 at ABI_RAM + 0x2000 with a1 = 0x77. */
	abi_guest(&a, ECALL, DONE(T0));
	abi_set(a.vcpu, REG_CORE(regs.a7), 0x48534d);
	abi_set(a.vcpu, REG_CORE(regs.a6), 0);
	abi_set(a.vcpu, REG_CORE(regs.a0), 1);
	abi_set(a.vcpu, REG_CORE(regs.a1), ABI_RAM + 0x2000);
	abi_set(a.vcpu, REG_CORE(regs.a2), 0x77);
	abi_set(others_a[0], REG_CORE(regs.s1), 0x55);
	abi_run_done(&a);
	memcpy(a.ram + 0x2000, (u32[]){ DONE(T0) }, 8);

	save_registers(a.vcpu, &two[0]);
	save_registers(others_a[0], &two[1]);
	save_registers(others_a[1], &two[2]);
	assert_int_equal(two[1].mp.mp_state, KVM_MP_STATE_RUNNABLE);
	assert_int_equal(two[2].mp.mp_state, KVM_MP_STATE_STOPPED);
	memcpy(b.ram, a.ram, ABI_RAM_SIZE);
	restore_registers(others_b[0], &two[1], 1);
	restore_registers(b.vcpu, &two[0], 1);
	restore_registers(others_b[1], &two[2], 2);
	check_registers(others_b[0], &two[1]);
	check_registers(others_b[1], &two[2]);
	{
		struct abi one = b;

		one.vcpu = others_b[0];
		one.run = abi_map_run(one.vcpu);
		assert_return_code(abi_get(one.vcpu, REG_CORE(regs.pc), &v), errno);
		assert_int_equal(v, ABI_RAM + 0x2000);
		abi_run_done(&one);
		munmap(one.run, ABI_RUN_SIZE);
		assert_int_equal(abi_reg(one.vcpu, REG_CORE(regs.a0)), 1);
		assert_int_equal(abi_reg(one.vcpu, REG_CORE(regs.a1)), 0x77);
		assert_int_equal(abi_reg(one.vcpu, REG_CORE(regs.s1)), 0);
	}
	for (int i = 0; i < 2; i++) {
		softvirt_close(others_a[i]);
		softvirt_close(others_b[i]);
	}
	abi_down(&a);
	abi_down(&b);
}

/* Where the guest has F without D a float register is all there is, and stays NaN-boxed. */
static void single_precision_without_double_moves_along(void **state)
{
	struct abi a, b;

	for (unsigned int seed = 1; seed < 20; seed++) {
		rng_state = seed;
		abi_up(&a);
		assert_return_code(abi_set(a.vcpu, REG_ISA(KVM_RISCV_ISA_EXT_D), 0), errno);
		/* fcvt.s.l f0, a0 (7); then, in the other VM: fadd.s f1, f0, f0; fmv.x.w a1, f1 */
		abi_guest(&a, 0xd0257053, DONE(T0), 0x000070d3, 0xe00085d3, DONE(T0));
		assert_return_code(abi_set(a.vcpu, REG_CSR(sstatus), 0x6000), errno);
		assert_return_code(abi_set(a.vcpu, REG_CORE(regs.a0), 7), errno);
		abi_run_done(&a);
		save_registers(a.vcpu, &saved);

		abi_up(&b);
		memcpy(b.ram, a.ram, ABI_RAM_SIZE);
		restore_registers(b.vcpu, &saved, 1 + (seed & 1));
		check_registers(b.vcpu, &saved);
		abi_run_done(&b);
		assert_int_equal(abi_reg(b.vcpu, REG_CORE(regs.a1)), 0x41600000);	/* 14 */
		abi_down(&a);
		abi_down(&b);
	}
}

/* A write of the same values into the vCPU they came from, in the middle of its life. */
static void written_back_into_itself_nothing_changes(void **state)
{
	static struct state again;
	struct device d = { 0 };
	struct machine m;
	u64 left = 0;

	rng_state = 77;
	machine_up(&m, false);
	machine_boot(&m);
	for (unsigned int i = 0; !d.done; i++) {
		if (!run_once(&m, &d) || d.done || left--)
			continue;
		left = rng() % 8;
		stop_pending(&m);
		m.run->immediate_exit = 0;
		save_registers(m.vcpu, &again);
		for (u64 k = 0; k < again.n; k++) {
			u64 type = again.ids[k] & KVM_REG_RISCV_TYPE_MASK;
			int ret = one_reg(m.vcpu, KVM_SET_ONE_REG, again.ids[k], again.values[k]);

			/* Which SBI extensions there are is settled by the first run. */
			if (type == KVM_REG_RISCV_SBI_EXT)
				assert_true(ret == -1 && errno == EBUSY);
			else
				assert_return_code(ret, errno);
		}
		check_registers(m.vcpu, &again);
	}
	assert_int_equal(((struct sr_result *)(m.ram + SR_RESULT - SR_RAM))->errors, 0);
	assert_int_equal(((struct sr_result *)(m.ram + SR_RESULT - SR_RAM))->rounds, SR_ROUNDS);
	machine_down(&m);
}

static int set_up(void **state)
{
	struct sigaction sa = { .sa_handler = on_signal };
	struct sigevent ev = { .sigev_notify = SIGEV_THREAD_ID, .sigev_signo = SIGUSR1 };

	ev._sigev_un._tid = (pid_t)syscall(SYS_gettid);
	kvm_fd = abi_open();
	return sigaction(SIGUSR1, &sa, NULL) || timer_create(CLOCK_MONOTONIC, &ev, &alarm_timer);
}

static int tear_down(void **state)
{
	timer_delete(alarm_timer);
	return softvirt_close(kvm_fd);
}

static void load_image(const char *path)
{
	int fd = path ? open(path, O_RDONLY) : -1;
	ssize_t n = fd < 0 ? -1 : read(fd, image, sizeof(image));

	if (n <= 0) {
		print_error("usage: test_abi_save_restore IMAGE (the guest's)\n");
		exit(2);
	}
	image_size = n;
	close(fd);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(moved_a_thousand_times_it_ends_as_if_never_stopped),
		cmocka_unit_test(written_back_into_itself_nothing_changes),
		cmocka_unit_test(a_start_not_yet_carried_out_moves_along),
		cmocka_unit_test(single_precision_without_double_moves_along),
	};

	load_image(argc > 1 ? argv[1] : NULL);
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
