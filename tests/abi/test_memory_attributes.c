/* SPDX-License-Identifier: MIT */
/*
 * KVM_SET_MEMORY_ATTRIBUTES, and what a guest with private memory sees: private or shared by
 * the page's attribute, KVM_EXIT_MEMORY_FAULT where there is no such memory.
 */
#include <linux/falloc.h>
#include <pthread.h>

#include "abi.h"

#define SIZE 0x10000ull
#define GPA 0x30000000ull
#define PRIVATE KVM_MEMORY_ATTRIBUTE_PRIVATE

struct pvm {
	struct abi a;
	u8 *shared;
	int fd;
};

static int attributes(int vm, u64 address, u64 size, u64 attributes)
{
	struct kvm_memory_attributes m = {
		.address = address, .size = size, .attributes = attributes,
	};

	return softvirt_ioctl(vm, KVM_SET_MEMORY_ATTRIBUTES, &m);
}

static int bind(struct pvm *p, u32 flags, u64 size)
{
	struct kvm_userspace_memory_region2 r = {
		.slot = 1, .flags = flags, .guest_phys_addr = GPA, .memory_size = size,
		.userspace_addr = (uintptr_t)p->shared, .guest_memfd = p->fd,
	};

	return softvirt_ioctl(p->a.vm, KVM_SET_USER_MEMORY_REGION2, &r);
}

/* RAM for code as usual; SIZE bytes at GPA with both halves. */
static void up(struct pvm *p)
{
	struct kvm_create_guest_memfd c = { .size = SIZE };
	struct abi *a = &p->a;

	memset(p, 0, sizeof(*p));
	a->kvm = abi_open();
	a->vm = softvirt_ioctl(a->kvm, KVM_CREATE_VM, KVM_RISCV_SW_PROTECTED_VM);
	assert_true(a->vm >= 0);
	a->ram = abi_memory(ABI_RAM_SIZE);
	p->shared = abi_memory(SIZE);
	assert_return_code(abi_region(a->vm, 0, 0, ABI_RAM, ABI_RAM_SIZE, a->ram), errno);
	p->fd = softvirt_ioctl(a->vm, KVM_CREATE_GUEST_MEMFD, &c);
	assert_true(p->fd >= 0);
	assert_return_code(bind(p, KVM_MEM_GUEST_MEMFD, SIZE), errno);
	a->vcpu = softvirt_ioctl(a->vm, KVM_CREATE_VCPU, 0);
	assert_true(a->vcpu >= 0);
	a->run = abi_map_run(a->vcpu);
}

static void down(struct pvm *p)
{
	if (p->fd >= 0)
		softvirt_close(p->fd);
	munmap(p->shared, SIZE);
	abi_down(&p->a);
}

/* a1 = [a0], then [a0] = a2; a0 is GPA + off. */
static void exchange(struct pvm *p, u64 off, u64 new)
{
	abi_guest(&p->a, LD(A1, A0, 0), SD(A2, A0, 0), DONE(T2));
	assert_return_code(abi_set(p->a.vcpu, REG_CORE(regs.a0), GPA + off), errno);
	assert_return_code(abi_set(p->a.vcpu, REG_CORE(regs.a2), new), errno);
}

static u64 exchanged(struct pvm *p, u64 off, u64 new)
{
	exchange(p, off, new);
	abi_run_done(&p->a);
	return abi_reg(p->a.vcpu, REG_CORE(regs.a1));
}

static void fault(struct pvm *p, u64 gpa, u64 flags, u64 pc)
{
	p->a.run->exit_reason = 0;
	assert_errno(abi_run(&p->a), EFAULT);
	assert_int_equal(p->a.run->exit_reason, KVM_EXIT_MEMORY_FAULT);
	assert_int_equal(SOFTVIRT_MEMORY_FAULT(p->a.run)->gpa, gpa);
	assert_int_equal(SOFTVIRT_MEMORY_FAULT(p->a.run)->size, 4096);
	assert_int_equal(SOFTVIRT_MEMORY_FAULT(p->a.run)->flags, flags);
	assert_int_equal(abi_reg(p->a.vcpu, REG_CORE(regs.pc)), pc);
}

static void wrong_ranges_and_bits_are_einval(void **state)
{
	struct kvm_memory_attributes flags = { .size = 4096, .flags = 1 };
	struct pvm p;
	struct abi a;

	up(&p);
	assert_errno(attributes(p.a.vm, 0, 0, PRIVATE), EINVAL);
	assert_errno(attributes(p.a.vm, 1, 4096, PRIVATE), EINVAL);
	assert_errno(attributes(p.a.vm, 0, 4095, PRIVATE), EINVAL);
	assert_errno(attributes(p.a.vm, -4096ull, 8192, PRIVATE), EINVAL);
	for (int bit = 0; bit < 64; bit++)
		if (BIT(bit) != PRIVATE)
			assert_errno(attributes(p.a.vm, 0, 4096, BIT(bit)), EINVAL);
	assert_errno(softvirt_ioctl(p.a.vm, KVM_SET_MEMORY_ATTRIBUTES, &flags), EINVAL);
	assert_errno(softvirt_ioctl(p.a.vm, KVM_SET_MEMORY_ATTRIBUTES, abi_bad_page()), EFAULT);
	/* Where no memory is it is as good. */
	assert_return_code(attributes(p.a.vm, 0, -4096ull, PRIVATE), errno);
	assert_return_code(attributes(p.a.vm, 0, -4096ull, 0), errno);
	assert_int_equal(softvirt_ioctl(p.a.vm, KVM_CHECK_EXTENSION, KVM_CAP_MEMORY_ATTRIBUTES),
			 PRIVATE);
	assert_int_equal(softvirt_ioctl(p.a.kvm, KVM_CHECK_EXTENSION, KVM_CAP_MEMORY_ATTRIBUTES),
			 PRIVATE);
	down(&p);
	/* An ordinary VM has no attribute to set, and may say so. */
	abi_vm(&a);
	assert_int_equal(softvirt_ioctl(a.vm, KVM_CHECK_EXTENSION, KVM_CAP_MEMORY_ATTRIBUTES), 0);
	assert_errno(attributes(a.vm, 0, 4096, PRIVATE), EINVAL);
	assert_return_code(attributes(a.vm, 0, 4096, 0), errno);
	abi_down(&a);
}

static void the_attribute_selects_the_memory(void **state)
{
	struct pvm p;

	up(&p);
	*(u64 *)(p.shared + 0x2000) = 11;
	assert_int_equal(exchanged(&p, 0x2000, 12), 11);
	assert_int_equal(*(u64 *)(p.shared + 0x2000), 12);
	assert_return_code(attributes(p.a.vm, GPA + 0x2000, 4096, PRIVATE), errno);
	assert_int_equal(exchanged(&p, 0x2000, 21), 0);
	assert_int_equal(exchanged(&p, 0x2000, 22), 21);
	assert_int_equal(*(u64 *)(p.shared + 0x2000), 12);
	/* The neighbours are as they were. */
	assert_int_equal(exchanged(&p, 0x1ff8, 5), 0);
	assert_int_equal(exchanged(&p, 0x3000, 6), 0);
	assert_int_equal(*(u64 *)(p.shared + 0x1ff8), 5);
	assert_int_equal(*(u64 *)(p.shared + 0x3000), 6);
	/* There and back: each keeps its contents. */
	assert_return_code(attributes(p.a.vm, GPA, SIZE, 0), errno);
	assert_int_equal(exchanged(&p, 0x2000, 13), 12);
	assert_return_code(attributes(p.a.vm, GPA, SIZE, PRIVATE), errno);
	assert_int_equal(exchanged(&p, 0x2000, 23), 22);
	/* The shared half need not be there for that. */
	assert_return_code(mprotect(p.shared, SIZE, PROT_NONE), errno);
	assert_int_equal(exchanged(&p, 0x2000, 24), 23);
	assert_return_code(mprotect(p.shared, SIZE, PROT_READ | PROT_WRITE), errno);
	assert_int_equal(*(u64 *)(p.shared + 0x2000), 13);
	down(&p);
}

/* Code in private memory: put there by the guest itself. */
static void private_memory_runs(void **state)
{
	const u32 code[] = { LI(A3, 77), DONE(T2) };
	struct pvm p;

	up(&p);
	assert_return_code(attributes(p.a.vm, GPA, SIZE, PRIVATE), errno);
	for (unsigned int i = 0; i < 4; i += 2)
		exchanged(&p, 0x4000 + i * 4, code[i] | (i < 2 ? (u64)code[i + 1] << 32 : 0));
	assert_return_code(abi_set(p.a.vcpu, REG_CORE(regs.pc), GPA + 0x4000), errno);
	abi_run_done(&p.a);
	assert_int_equal(abi_reg(p.a.vcpu, REG_CORE(regs.a3)), 77);
	/* Shared again there is something else: zeros, which are no instruction. */
	*(u32 *)(p.shared + 0x4000) = LI(A3, 78);
	*(u32 *)(p.shared + 0x4004) = code[1];
	*(u32 *)(p.shared + 0x4008) = code[2];
	assert_return_code(attributes(p.a.vm, GPA + 0x4000, 4096, 0), errno);
	assert_return_code(abi_set(p.a.vcpu, REG_CORE(regs.pc), GPA + 0x4000), errno);
	abi_run_done(&p.a);
	assert_int_equal(abi_reg(p.a.vcpu, REG_CORE(regs.a3)), 78);
	down(&p);
}

static void a_hole_reads_as_zeros(void **state)
{
	struct pvm p;

	up(&p);
	assert_return_code(attributes(p.a.vm, GPA, SIZE, PRIVATE), errno);
	assert_int_equal(exchanged(&p, 0x3000, 1), 0);
	assert_int_equal(exchanged(&p, 0x4000, 2), 0);
	assert_return_code(softvirt_fallocate(p.fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
					      0x3000, 4096), errno);
	assert_int_equal(exchanged(&p, 0x3000, 3), 0);
	assert_int_equal(exchanged(&p, 0x4000, 4), 2);
	down(&p);
}

static void private_without_memory_is_a_memory_fault(void **state)
{
	struct pvm p;

	up(&p);
	/* A slot that has no private half. */
	assert_return_code(attributes(p.a.vm, ABI_RAM + 0x8000, 4096, PRIVATE), errno);
	abi_guest(&p.a, LD(A1, A0, 0), DONE(T2), SD(A2, A0, 0), DONE(T2), JR(A0), DONE(T2));
	assert_return_code(abi_set(p.a.vcpu, REG_CORE(regs.a0), ABI_RAM + 0x8000), errno);
	for (int i = 0; i < 2; i++)
		fault(&p, ABI_RAM + 0x8000, KVM_MEMORY_EXIT_FLAG_PRIVATE, ABI_RAM);
	assert_return_code(abi_set(p.a.vcpu, REG_CORE(regs.pc), ABI_RAM + 12), errno);
	fault(&p, ABI_RAM + 0x8000, KVM_MEMORY_EXIT_FLAG_PRIVATE, ABI_RAM + 12);
	assert_return_code(abi_set(p.a.vcpu, REG_CORE(regs.pc), ABI_RAM + 24), errno);
	fault(&p, ABI_RAM + 0x8000, KVM_MEMORY_EXIT_FLAG_PRIVATE, ABI_RAM + 0x8000);
	/* Mended by an attribute. */
	assert_return_code(attributes(p.a.vm, ABI_RAM + 0x8000, 4096, 0), errno);
	assert_return_code(abi_set(p.a.vcpu, REG_CORE(regs.pc), ABI_RAM), errno);
	abi_run_done(&p.a);
	/* No slot at all: not a device when it is private. */
	assert_return_code(attributes(p.a.vm, ABI_DONE, 4096, PRIVATE), errno);
	fault(&p, ABI_DONE, KVM_MEMORY_EXIT_FLAG_PRIVATE, ABI_RAM + 20);
	assert_return_code(attributes(p.a.vm, ABI_DONE, 4096, 0), errno);
	abi_run_done(&p.a);
	down(&p);
}

static void a_closed_file_takes_its_memory_along(void **state)
{
	struct pvm p;

	up(&p);
	assert_return_code(attributes(p.a.vm, GPA, SIZE, PRIVATE), errno);
	assert_int_equal(exchanged(&p, 0x3000, 1), 0);
	softvirt_close(p.fd);
	p.fd = -1;
	exchange(&p, 0x3000, 2);
	fault(&p, GPA + 0x3000, KVM_MEMORY_EXIT_FLAG_PRIVATE, ABI_RAM);
	/* The shared half is there as ever. */
	assert_return_code(attributes(p.a.vm, GPA, SIZE, 0), errno);
	assert_int_equal(exchanged(&p, 0x3000, 2), 0);
	assert_int_equal(exchanged(&p, 0x3000, 3), 2);
	assert_return_code(bind(&p, 0, 0), errno);
	down(&p);
}

static void a_shared_page_that_is_not_there_is_a_shared_fault(void **state)
{
	struct pvm p;

	up(&p);
	assert_return_code(mprotect(p.shared + 0x3000, 4096, PROT_NONE), errno);
	exchange(&p, 0x3000, 1);
	fault(&p, GPA + 0x3000, 0, ABI_RAM);
	down(&p);
}

/* Random ranges against an array of bytes. Each page's shared half holds a mark. */
static void any_row_of_changes_adds_up(void **state)
{
	enum { PAGES = SIZE / 4096 };
	bool private[PAGES] = { false };
	u64 rng = 0x2545f4914f6cdd1d;
	struct pvm p;

	up(&p);
	for (int i = 0; i < PAGES; i++)
		*(u64 *)(p.shared + i * 4096) = 1;
	for (int step = 0; step < 300; step++) {
		unsigned int from, n;

		rng ^= rng << 13, rng ^= rng >> 7, rng ^= rng << 17;
		from = rng % PAGES;
		n = 1 + (rng >> 8) % (PAGES - from);
		if (step % 3)
			n = min(n, 3u);
		assert_return_code(attributes(p.a.vm, GPA + from * 4096, n * 4096ull,
					      rng >> 40 & 1 ? PRIVATE : 0), errno);
		for (unsigned int i = from; i < from + n; i++)
			private[i] = rng >> 40 & 1;
		/* The guest adds up the first words of all pages. */
		abi_guest(&p.a, LI(A1, 0), ADDI(A0, S0, 0), LUI(T0, 1),
			  /* 1: */ LD(T1, A0, 0), SLLI(A1, A1, 1), 0x0065e5b3u /* or a1, a1, t1 */,
			  0x00550533u /* add a0, a0, t0 */, 0xfe9518e3u /* bne a0, s1, 1b */,
			  DONE(T2));
		assert_return_code(abi_set(p.a.vcpu, REG_CORE(regs.s0), GPA), errno);
		assert_return_code(abi_set(p.a.vcpu, REG_CORE(regs.s1), GPA + SIZE), errno);
		abi_run_done(&p.a);
		for (int i = 0; i < PAGES; i++)
			assert_int_equal(abi_reg(p.a.vcpu, REG_CORE(regs.a1)) >> (PAGES - 1 - i) & 1,
					 !private[i]);
	}
	down(&p);
}

/* --- while the guest runs ---------------------------------------------------------------- */

static void *run_thread(void *arg)
{
	struct pvm *p = arg;
	int ret = abi_run(&p->a);

	return (void *)(intptr_t)(ret || p->a.run->mmio.phys_addr != ABI_DONE);
}

/*
 * The guest stores to the page without end. After the ioctl that makes it private its shared
 * half does not change any more; after the one that makes it shared its private half does
 * not: a hole that is punched then stays one.
 */
static void a_change_holds_when_the_ioctl_returns(void **state)
{
	struct pvm p;
	pthread_t t;
	void *bad;

	up(&p);
	abi_guest(&p.a, /* 1: */ ADDI(A1, A1, 1), SD(A1, A0, 0), LW(T0, S0, 0),
		  0xfe028ae3u /* beqz t0, 1b */, DONE(T2));
	assert_return_code(abi_set(p.a.vcpu, REG_CORE(regs.a0), GPA + 0x5000), errno);
	assert_return_code(abi_set(p.a.vcpu, REG_CORE(regs.s0), ABI_RAM + 0x1000), errno);
	assert_int_equal(pthread_create(&t, NULL, run_thread, &p), 0);
	for (int i = 0; i < 300; i++) {
		u64 *word = (u64 *)(p.shared + 0x5000), seen;

		assert_return_code(attributes(p.a.vm, GPA + 0x4000, 0x2000, PRIVATE), errno);
		seen = __atomic_load_n(word, __ATOMIC_SEQ_CST);
		/* Nobody touches it, or the run ends with EFAULT. */
		assert_return_code(mprotect(p.shared + 0x5000, 4096, PROT_NONE), errno);
		assert_return_code(mprotect(p.shared + 0x5000, 4096, PROT_READ | PROT_WRITE), errno);
		assert_int_equal(__atomic_load_n(word, __ATOMIC_SEQ_CST), seen);
		assert_return_code(attributes(p.a.vm, GPA + 0x4000, 0x2000, 0), errno);
		assert_return_code(softvirt_fallocate(p.fd,
				   FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, SIZE), errno);
	}
	__atomic_store_n((u32 *)(p.a.ram + 0x1000), 1, __ATOMIC_SEQ_CST);
	pthread_join(t, &bad);
	assert_null(bad);
	/* The last hole is still empty. */
	assert_return_code(attributes(p.a.vm, GPA, SIZE, PRIVATE), errno);
	assert_int_equal(exchanged(&p, 0x5000, 0), 0);
	down(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(wrong_ranges_and_bits_are_einval),
		cmocka_unit_test(the_attribute_selects_the_memory),
		cmocka_unit_test(private_memory_runs),
		cmocka_unit_test(a_hole_reads_as_zeros),
		cmocka_unit_test(private_without_memory_is_a_memory_fault),
		cmocka_unit_test(a_closed_file_takes_its_memory_along),
		cmocka_unit_test(a_shared_page_that_is_not_there_is_a_shared_fault),
		cmocka_unit_test(any_row_of_changes_adds_up),
		cmocka_unit_test(a_change_holds_when_the_ioctl_returns),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
