/* SPDX-License-Identifier: MIT */
/*
 * The AIA: KVM_CREATE_DEVICE, its attributes, KVM_IRQ_LINE, KVM_SIGNAL_MSI, routes, irqfds,
 * and a guest that takes what they send.
 *
 * The guest switches its interrupt file on and sleeps; its handler claims by stopei and tells
 * the identity by a store to ABI_DONE.
 */
#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>

#include "abi.h"

#define APLIC 0x0d000000ull
#define IMSIC 0x28000000ull
#define NR_SOURCES 95u
#define NR_IDS 127u

#define HANDLER 0x1000
#define SISELECT 0x150
#define SIREG 0x151
#define STOPEI 0x15c
#define STOPI 0xdb0
#define SCAUSE 0x142
#define CSRRW(rd, csr, rs) i_type(0x73, 1, rd, rs, (s32)(csr))
#define SRLI(rd, rs, n) i_type(0x13, 5, rd, rs, n)
#define ADD(rd, a, b) (0x33 | (rd) << 7 | (a) << 15 | (u32)(b) << 20)
#define SRET 0x10200073u
#define FENCE_I 0x0000100fu
/* bne rs, x0, over the next two instructions */
#define SKIP2_UNLESS_ZERO(rs) (0x63 | 1 << 12 | (u32)(rs) << 15 | 12 << 7)
#define REG_AIA(name) (KVM_REG_RISCV | KVM_REG_SIZE_U64 | KVM_REG_RISCV_CSR | \
		       KVM_REG_RISCV_CSR_AIA | KVM_REG_RISCV_CSR_AIA_REG(name))

/* APLIC registers */
enum {
	DOMAINCFG = 0, SOURCECFG = 0, SETIP = 0x1c00, SETIPNUM = 0x1cdc, CLRIP = 0x1d00,
	CLRIPNUM = 0x1ddc, SETIE = 0x1e00, SETIENUM = 0x1edc, CLRIE = 0x1f00, CLRIENUM = 0x1fdc,
	SETIPNUM_LE = 0x2000, SETIPNUM_BE = 0x2004, GENMSI = 0x3000, TARGET = 0x3000,
};
enum { INACTIVE = 0, DETACHED = 1, EDGE1 = 4, EDGE0 = 5, LEVEL1 = 6, LEVEL0 = 7 };
#define DOMAIN_OFF 0x80000004u
#define DOMAIN_ON 0x80000104u

/* IMSIC registers */
enum { EIDELIVERY = 0x70, EITHRESHOLD = 0x72, EIP0 = 0x80, EIP2 = 0x82, EIE0 = 0xc0, EIE2 = 0xc2 };

static int create(int vm)
{
	struct kvm_create_device d = { .type = KVM_DEV_TYPE_RISCV_AIA };

	return softvirt_ioctl(vm, KVM_CREATE_DEVICE, &d) ? -1 : (int)d.fd;
}

static int attr_ioctl(int dev, unsigned long cmd, u32 group, u64 attr, void *val)
{
	struct kvm_device_attr a = { .group = group, .attr = attr, .addr = (uintptr_t)val };

	return softvirt_ioctl(dev, cmd, &a);
}

static int set(int dev, u32 group, u64 attr, u64 val)
{
	return attr_ioctl(dev, KVM_SET_DEVICE_ATTR, group, attr, &val);
}

static int get(int dev, u32 group, u64 attr, u64 *val)
{
	*val = 0;
	return attr_ioctl(dev, KVM_GET_DEVICE_ATTR, group, attr, val);
}

static int has(int dev, u32 group, u64 attr)
{
	return attr_ioctl(dev, KVM_HAS_DEVICE_ATTR, group, attr, NULL);
}

#define CONFIG(dev, name, val) set(dev, KVM_DEV_RISCV_AIA_GRP_CONFIG, \
				   KVM_DEV_RISCV_AIA_CONFIG_##name, val)
#define ADDR(dev, n, val) set(dev, KVM_DEV_RISCV_AIA_GRP_ADDR, n, val)
#define INIT(dev) set(dev, KVM_DEV_RISCV_AIA_GRP_CTRL, KVM_DEV_RISCV_AIA_CTRL_INIT, 0)
#define MKATTR(vcpu, isel) ((u64)(vcpu) << KVM_DEV_RISCV_AIA_IMSIC_ISEL_BITS | (isel))

static void aplic(int dev, u32 off, u32 val)
{
	assert_return_code(set(dev, KVM_DEV_RISCV_AIA_GRP_APLIC, off, val), errno);
}

static u32 aplic_get(int dev, u32 off)
{
	u64 val;

	assert_return_code(get(dev, KVM_DEV_RISCV_AIA_GRP_APLIC, off, &val), errno);
	return (u32)val;
}

static void imsic(int dev, u32 vcpu, u32 isel, u64 val)
{
	assert_return_code(set(dev, KVM_DEV_RISCV_AIA_GRP_IMSIC, MKATTR(vcpu, isel), val), errno);
}

static u64 imsic_get(int dev, u32 vcpu, u32 isel)
{
	u64 val;

	assert_return_code(get(dev, KVM_DEV_RISCV_AIA_GRP_IMSIC, MKATTR(vcpu, isel), &val), errno);
	return val;
}

/* A device of two interrupt files, configured and initialised. The VM has vCPUs 0 and 1. */
static int device_up(int vm)
{
	int dev = create(vm);

	assert_true(dev >= 0);
	assert_return_code(CONFIG(dev, IDS, NR_IDS), errno);
	assert_return_code(CONFIG(dev, SRCS, NR_SOURCES), errno);
	assert_return_code(CONFIG(dev, HART_BITS, 1), errno);
	assert_return_code(ADDR(dev, KVM_DEV_RISCV_AIA_ADDR_APLIC, APLIC), errno);
	assert_return_code(ADDR(dev, KVM_DEV_RISCV_AIA_ADDR_IMSIC(0), IMSIC), errno);
	assert_return_code(ADDR(dev, KVM_DEV_RISCV_AIA_ADDR_IMSIC(1), IMSIC + 0x1000), errno);
	assert_return_code(INIT(dev), errno);
	return dev;
}

struct vm {
	struct abi a;
	int vcpu1, dev;
};

static void up(struct vm *m)
{
	abi_up(&m->a);
	m->vcpu1 = softvirt_ioctl(m->a.vm, KVM_CREATE_VCPU, 1);
	assert_true(m->vcpu1 >= 0);
	m->dev = device_up(m->a.vm);
}

static void down(struct vm *m)
{
	assert_return_code(softvirt_close(m->dev), errno);
	assert_return_code(softvirt_close(m->vcpu1), errno);
	abi_down(&m->a);
}

/* Interrupts on, code at the start, handler in the next page. */
static void load(struct abi *a, const u32 *code, size_t n, const u32 *handler, size_t nh)
{
	memcpy(a->ram + HANDLER, handler, nh);
	abi_load(a, code, n);
	assert_return_code(abi_set(a->vcpu, REG_CSR(stvec), ABI_RAM + HANDLER), errno);
	assert_return_code(abi_set(a->vcpu, REG_CSR(sie), 0x200), errno);
	assert_return_code(abi_set(a->vcpu, REG_CSR(sstatus), 2), errno);
}

#define ENABLE_FILE \
	LI(T0, EIDELIVERY), CSRW(SISELECT, T0), LI(T1, 1), CSRW(SIREG, T1), \
	LI(T0, EIE0), CSRW(SISELECT, T0), LI(T1, -1), CSRW(SIREG, T1)

/* Sleeps; tells each identity it claims. */
static void load_taker(struct abi *a)
{
	const u32 code[] = { ENABLE_FILE, WFI, j_back(-4) };
	const u32 handler[] = { CSRR(A1, SCAUSE), CSRR(A2, STOPI), CSRRW(A0, STOPEI, X0),
				CSRR(A3, 0x144), SRLI(A4, A0, 16), DONE(T2), SRET };

	load(a, code, sizeof(code), handler, sizeof(handler));
}

static u32 take(struct abi *a)
{
	u64 top;

	abi_run_done(a);
	assert_int_equal(abi_reg(a->vcpu, REG_CORE(regs.a1)), 0x8000000000000009);
	top = abi_reg(a->vcpu, REG_CORE(regs.a0));
	assert_int_equal(top >> 16, top & 0x7ff);
	assert_int_equal(abi_reg(a->vcpu, REG_CORE(regs.a4)), top >> 16);
	/* stopi says external, and the identity as its priority. */
	assert_int_equal(abi_reg(a->vcpu, REG_CORE(regs.a2)), 9 << 16 | (top & 0x7ff));
	return (u32)(top >> 16);
}

static int msi(int vm, u64 addr, u32 data)
{
	struct kvm_msi m = { .address_lo = (u32)addr, .address_hi = (u32)(addr >> 32),
			     .data = data };

	return softvirt_ioctl(vm, KVM_SIGNAL_MSI, &m);
}

static int line(int vm, u32 irq, u32 level)
{
	struct kvm_irq_level l = { .irq = irq, .level = level };

	return softvirt_ioctl(vm, KVM_IRQ_LINE, &l);
}

static int irqfd(int vm, int fd, u32 gsi, u32 flags, int resample)
{
	struct kvm_irqfd i = { .fd = fd, .gsi = gsi, .flags = flags, .resamplefd = resample };

	return softvirt_ioctl(vm, KVM_IRQFD, &i);
}

static void signal_fd(int e)
{
	u64 one = 1;

	assert_int_equal(write(e, &one, sizeof(one)), sizeof(one));
}

static void wait_taken(int e)
{
	struct pollfd p = { .fd = e, .events = POLLIN };

	while (poll(&p, 1, 0) == 1)
		usleep(100);
}

/* --- creation and attributes --------------------------------------------------------------- */

static void capabilities(void **state)
{
	struct abi a;

	abi_vm(&a);
	for (int i = 0; i < 2; i++) {
		int fd = i ? a.vm : a.kvm;

		assert_int_equal(softvirt_ioctl(fd, KVM_CHECK_EXTENSION, KVM_CAP_IRQCHIP), 1);
		assert_int_equal(softvirt_ioctl(fd, KVM_CHECK_EXTENSION, KVM_CAP_SIGNAL_MSI), 1);
		assert_int_equal(softvirt_ioctl(fd, KVM_CHECK_EXTENSION, KVM_CAP_IRQ_ROUTING), 4096);
		assert_int_equal(softvirt_ioctl(fd, KVM_CHECK_EXTENSION, KVM_CAP_IRQFD_RESAMPLE), 1);
	}
	abi_down(&a);
}

static void only_one_and_not_after_a_run(void **state)
{
	struct kvm_create_device d = { .type = KVM_DEV_TYPE_RISCV_AIA,
				       .flags = KVM_CREATE_DEVICE_TEST };
	struct abi a;
	int dev;

	abi_up(&a);
	assert_return_code(softvirt_ioctl(a.vm, KVM_CREATE_DEVICE, &d), errno);
	dev = create(a.vm);
	assert_true(dev >= 0);
	assert_errno(create(a.vm), EEXIST);
	/* The device is the VM's, not its descriptor's. */
	softvirt_close(dev);
	assert_errno(create(a.vm), EEXIST);
	abi_down(&a);

	abi_up(&a);
	abi_guest(&a, DONE(T0));
	abi_run_done(&a);
	assert_errno(create(a.vm), EBUSY);
	abi_down(&a);
}

static void wrong_groups_and_attributes_are_enxio(void **state)
{
	struct abi a;
	int dev;
	u64 v = 0;

	abi_up(&a);
	dev = create(a.vm);
	for (u64 attr = 0; attr < 9; attr++) {
		assert_errno(set(dev, 5, attr, 0), ENXIO);
		assert_errno(get(dev, 5, attr, &v), ENXIO);
		assert_errno(has(dev, 5, attr), ENXIO);
		assert_errno(set(dev, ~0u, attr, 0), ENXIO);
		assert_errno(get(dev, KVM_DEV_RISCV_AIA_GRP_CTRL, attr, &v), ENXIO);
		if (attr < 7) {
			assert_return_code(has(dev, KVM_DEV_RISCV_AIA_GRP_CONFIG, attr), errno);
			assert_return_code(get(dev, KVM_DEV_RISCV_AIA_GRP_CONFIG, attr, &v), errno);
		} else {
			assert_errno(has(dev, KVM_DEV_RISCV_AIA_GRP_CONFIG, attr), ENXIO);
			assert_errno(get(dev, KVM_DEV_RISCV_AIA_GRP_CONFIG, attr, &v), ENXIO);
			assert_errno(set(dev, KVM_DEV_RISCV_AIA_GRP_CONFIG, attr, 0), ENXIO);
		}
		if (attr < 2) {		/* the APLIC, the only vCPU */
			assert_return_code(has(dev, KVM_DEV_RISCV_AIA_GRP_ADDR, attr), errno);
		} else {
			assert_errno(has(dev, KVM_DEV_RISCV_AIA_GRP_ADDR, attr), ENXIO);
			assert_errno(set(dev, KVM_DEV_RISCV_AIA_GRP_ADDR, attr, 0), ENXIO);
			assert_errno(get(dev, KVM_DEV_RISCV_AIA_GRP_ADDR, attr, &v), ENXIO);
		}
		if (attr) {
			assert_errno(has(dev, KVM_DEV_RISCV_AIA_GRP_CTRL, attr), ENXIO);
			assert_errno(set(dev, KVM_DEV_RISCV_AIA_GRP_CTRL, attr, 0), ENXIO);
		}
	}
	for (u32 group = 0; group < 5; group++) {
		if (group == KVM_DEV_RISCV_AIA_GRP_CTRL)
			continue;
		assert_errno(attr_ioctl(dev, KVM_SET_DEVICE_ATTR, group, 0, abi_bad_page()), EFAULT);
		assert_errno(attr_ioctl(dev, KVM_GET_DEVICE_ATTR, group, 0, abi_bad_page()), EFAULT);
		assert_errno(has(dev, KVM_DEV_RISCV_AIA_GRP_CONFIG, ~0ull), ENXIO);
		assert_errno(has(dev, KVM_DEV_RISCV_AIA_GRP_ADDR, ~0ull), ENXIO);
	}
	softvirt_close(dev);
	abi_down(&a);
}

static void config_values_are_checked(void **state)
{
	static const struct { u32 attr, val; bool good; } cases[] = {
		{ KVM_DEV_RISCV_AIA_CONFIG_MODE, KVM_DEV_RISCV_AIA_MODE_EMUL, true },
		{ KVM_DEV_RISCV_AIA_CONFIG_MODE, KVM_DEV_RISCV_AIA_MODE_AUTO, true },
		{ KVM_DEV_RISCV_AIA_CONFIG_MODE, KVM_DEV_RISCV_AIA_MODE_HWACCEL, false },
		{ KVM_DEV_RISCV_AIA_CONFIG_MODE, 3, false },
		{ KVM_DEV_RISCV_AIA_CONFIG_IDS, 0, false },
		{ KVM_DEV_RISCV_AIA_CONFIG_IDS, 62, false },
		{ KVM_DEV_RISCV_AIA_CONFIG_IDS, 63, true },
		{ KVM_DEV_RISCV_AIA_CONFIG_IDS, 64, false },
		{ KVM_DEV_RISCV_AIA_CONFIG_IDS, 126, false },
		{ KVM_DEV_RISCV_AIA_CONFIG_IDS, 2047, true },
		{ KVM_DEV_RISCV_AIA_CONFIG_IDS, 2048, false },
		{ KVM_DEV_RISCV_AIA_CONFIG_IDS, 2111, false },
		{ KVM_DEV_RISCV_AIA_CONFIG_SRCS, 0, true },
		{ KVM_DEV_RISCV_AIA_CONFIG_SRCS, 1023, true },
		{ KVM_DEV_RISCV_AIA_CONFIG_SRCS, 1024, false },
		{ KVM_DEV_RISCV_AIA_CONFIG_SRCS, ~0u, false },
		{ KVM_DEV_RISCV_AIA_CONFIG_GROUP_BITS, 7, true },
		{ KVM_DEV_RISCV_AIA_CONFIG_GROUP_BITS, 8, false },
		{ KVM_DEV_RISCV_AIA_CONFIG_GROUP_SHIFT, 23, false },
		{ KVM_DEV_RISCV_AIA_CONFIG_GROUP_SHIFT, 24, true },
		{ KVM_DEV_RISCV_AIA_CONFIG_GROUP_SHIFT, 55, true },
		{ KVM_DEV_RISCV_AIA_CONFIG_GROUP_SHIFT, 56, false },
		{ KVM_DEV_RISCV_AIA_CONFIG_HART_BITS, 15, true },
		{ KVM_DEV_RISCV_AIA_CONFIG_HART_BITS, 16, false },
		{ KVM_DEV_RISCV_AIA_CONFIG_GUEST_BITS, 7, true },
		{ KVM_DEV_RISCV_AIA_CONFIG_GUEST_BITS, 8, false },
	};
	static const u32 defaults[] = { 0, 2047, 0, 0, 24, 0, 0 };
	struct abi a;
	int dev;
	u64 v;

	abi_vm(&a);
	dev = create(a.vm);
	for (u32 i = 0; i < ARRAY_SIZE(defaults); i++) {
		assert_return_code(get(dev, KVM_DEV_RISCV_AIA_GRP_CONFIG, i, &v), errno);
		assert_int_equal(v, defaults[i]);
	}
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		u64 before;

		assert_return_code(get(dev, KVM_DEV_RISCV_AIA_GRP_CONFIG, cases[i].attr, &before), 0);
		if (cases[i].good)
			assert_return_code(set(dev, 0, cases[i].attr, cases[i].val), errno);
		else
			assert_errno(set(dev, 0, cases[i].attr, cases[i].val), EINVAL);
		assert_return_code(get(dev, 0, cases[i].attr, &v), errno);
		assert_int_equal(v, cases[i].good ? cases[i].val : before);
	}
	softvirt_close(dev);
	abi_down(&a);
}

static void init_wants_everything_first(void **state)
{
	struct abi a;
	int dev, vcpu1;
	u64 v;

	abi_up(&a);
	vcpu1 = softvirt_ioctl(a.vm, KVM_CREATE_VCPU, 1);
	dev = create(a.vm);
	/* Nothing to see before. */
	assert_errno(set(dev, KVM_DEV_RISCV_AIA_GRP_APLIC, DOMAINCFG, 0), ENODEV);
	assert_errno(has(dev, KVM_DEV_RISCV_AIA_GRP_APLIC, DOMAINCFG), ENODEV);
	assert_errno(get(dev, KVM_DEV_RISCV_AIA_GRP_IMSIC, MKATTR(0, EIDELIVERY), &v), ENODEV);
	assert_errno(has(dev, KVM_DEV_RISCV_AIA_GRP_IMSIC, MKATTR(0, EIDELIVERY)), ENODEV);
	assert_errno(line(a.vm, 1, 1), EBUSY);
	assert_errno(msi(a.vm, IMSIC, 1), EBUSY);

	assert_return_code(get(dev, KVM_DEV_RISCV_AIA_GRP_ADDR, 0, &v), errno);
	assert_int_equal(v, ~0ull);
	assert_errno(INIT(dev), EINVAL);			/* no addresses */
	assert_errno(ADDR(dev, 1, IMSIC + 4), EINVAL);
	assert_errno(ADDR(dev, 0, APLIC + 0x800), EINVAL);
	assert_return_code(ADDR(dev, 1, IMSIC), errno);
	assert_errno(INIT(dev), EINVAL);			/* one is missing */
	assert_return_code(ADDR(dev, 2, IMSIC + 0x1000), errno);
	assert_errno(INIT(dev), EINVAL);			/* no hart bits: two bases */
	assert_return_code(CONFIG(dev, HART_BITS, 1), errno);
	assert_return_code(CONFIG(dev, SRCS, 64), errno);
	assert_errno(INIT(dev), EINVAL);			/* sources, no APLIC */
	assert_return_code(ADDR(dev, 0, APLIC), errno);
	assert_return_code(CONFIG(dev, IDS, 63), errno);
	assert_errno(INIT(dev), EINVAL);			/* more sources than ids */
	assert_return_code(CONFIG(dev, SRCS, 63), errno);
	assert_return_code(INIT(dev), errno);

	assert_errno(INIT(dev), EBUSY);
	assert_errno(CONFIG(dev, IDS, 63), EBUSY);
	assert_errno(set(dev, 0, 99, 0), EBUSY);
	assert_errno(ADDR(dev, 0, APLIC), EBUSY);
	assert_errno(ADDR(dev, 1, IMSIC), EBUSY);
	assert_return_code(get(dev, KVM_DEV_RISCV_AIA_GRP_ADDR, 2, &v), errno);
	assert_int_equal(v, IMSIC + 0x1000);
	softvirt_close(dev);
	softvirt_close(vcpu1);
	abi_down(&a);
}

static void registers_that_are_not_there(void **state)
{
	static const struct { u64 attr; int err; } files[] = {
		{ MKATTR(0, 0x6f), ENOENT }, { MKATTR(0, 0x71), ENOENT }, { MKATTR(0, 0x73), ENOENT },
		{ MKATTR(0, 0x7f), ENOENT }, { MKATTR(0, 0x100), ENOENT }, { MKATTR(0, 0xfff), ENOENT },
		{ MKATTR(0, 0x81), EINVAL }, { MKATTR(0, 0xc3), EINVAL }, { MKATTR(0, 0x84), EINVAL },
		{ MKATTR(0, 0xfe), EINVAL }, { MKATTR(2, EIDELIVERY), ENODEV },
		{ MKATTR(1ull << 32, EIDELIVERY), ENODEV }, { ~0ull, ENODEV },
	};
	static const struct { u64 attr; int err; } regs[] = {
		{ 1, EOPNOTSUPP }, { 2, EOPNOTSUPP }, { 0x1bfc, ENODEV }, { 0x4 + 95 * 4, ENODEV },
		{ SETIP + 12, ENODEV }, { CLRIP + 12, ENODEV }, { SETIE + 12, ENODEV },
		{ CLRIE + 12, ENODEV }, { 0x2008, ENODEV }, { 0x3004 + 95 * 4, ENODEV },
		{ 0x4000, ENODEV }, { 1ull << 32, ENODEV }, { ~3ull, ENODEV },
	};
	struct vm m;
	u64 v;

	up(&m);
	for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
		assert_errno(set(m.dev, 4, files[i].attr, 1), files[i].err);
		assert_errno(get(m.dev, 4, files[i].attr, &v), files[i].err);
		assert_errno(has(m.dev, 4, files[i].attr), files[i].err);
	}
	for (size_t i = 0; i < ARRAY_SIZE(regs); i++) {
		assert_errno(set(m.dev, 3, regs[i].attr, 1), regs[i].err);
		assert_errno(get(m.dev, 3, regs[i].attr, &v), regs[i].err);
		assert_errno(has(m.dev, 3, regs[i].attr), regs[i].err);
	}
	/* The last that are there; numbers that are no source; bits that are nothing. */
	aplic(m.dev, SOURCECFG + NR_SOURCES * 4, DETACHED);
	aplic(m.dev, SETIPNUM, NR_SOURCES + 1);
	aplic(m.dev, SETIPNUM, 0);
	aplic(m.dev, SETIENUM, ~0u);
	aplic(m.dev, SETIE, ~0u);
	aplic(m.dev, SETIP, ~0u);
	assert_int_equal(aplic_get(m.dev, SETIE), ~1u);
	assert_int_equal(aplic_get(m.dev, SETIP), 0);		/* all inactive */
	assert_int_equal(aplic_get(m.dev, SETIE + 8), 0);
	aplic(m.dev, DOMAINCFG, ~0u);
	assert_int_equal(aplic_get(m.dev, DOMAINCFG), DOMAIN_ON);
	aplic(m.dev, SOURCECFG + 4, 0x400 | LEVEL1);		/* delegation: there is no child */
	assert_int_equal(aplic_get(m.dev, SOURCECFG + 4), INACTIVE);
	aplic(m.dev, SOURCECFG + 4, 2);
	assert_int_equal(aplic_get(m.dev, SOURCECFG + 4), INACTIVE);
	imsic(m.dev, 1, EIE2, ~0ull);
	imsic(m.dev, 1, EIE0, ~0ull);
	assert_int_equal(imsic_get(m.dev, 1, EIE0), ~1ull);
	imsic(m.dev, 1, EIDELIVERY, ~0ull);
	imsic(m.dev, 1, EITHRESHOLD, ~0ull);
	assert_int_equal(imsic_get(m.dev, 1, EIDELIVERY), 1);
	assert_int_equal(imsic_get(m.dev, 1, EITHRESHOLD), 2047);
	down(&m);
}

/* --- messages ------------------------------------------------------------------------------ */

static void messages_go_where_their_address_says(void **state)
{
	struct kvm_msi flags = { .address_lo = (u32)IMSIC, .data = 1, .flags = 2 };
	struct vm m;

	up(&m);
	load_taker(&m.a);
	assert_errno(softvirt_ioctl(m.a.vm, KVM_SIGNAL_MSI, &flags), EINVAL);
	assert_errno(msi(m.a.vm, IMSIC, 0), ENODEV);			/* no such identity */
	assert_errno(msi(m.a.vm, IMSIC, NR_IDS + 1), EINVAL);
	assert_errno(msi(m.a.vm, IMSIC + 8, 5), ENODEV);		/* no register */
	assert_errno(msi(m.a.vm, IMSIC + 4, 5), EINVAL);		/* big-endian: far too high */
	assert_return_code(msi(m.a.vm, IMSIC + 0x2000, 5), errno);	/* nobody there */
	assert_return_code(msi(m.a.vm, 0, 5), errno);
	assert_int_equal(imsic_get(m.dev, 0, EIP0), 0);
	assert_int_equal(imsic_get(m.dev, 1, EIP0), 0);

	assert_return_code(msi(m.a.vm, IMSIC + 0x1000, 9), errno);
	assert_int_equal(imsic_get(m.dev, 0, EIP0), 0);
	assert_int_equal(imsic_get(m.dev, 1, EIP0), 1 << 9);

	/* The lowest identity first; big-endian works as well. */
	assert_return_code(msi(m.a.vm, IMSIC, 63), errno);
	assert_return_code(msi(m.a.vm, IMSIC + 4, __builtin_bswap32(1)), errno);
	assert_return_code(msi(m.a.vm, IMSIC, 17), errno);
	assert_return_code(msi(m.a.vm, IMSIC, 17), errno);
	assert_int_equal(take(&m.a), 1);
	assert_int_equal(abi_reg(m.a.vcpu, REG_CORE(regs.a3)), 0x200);	/* more to come */
	assert_int_equal(take(&m.a), 17);
	assert_int_equal(take(&m.a), 63);
	assert_int_equal(abi_reg(m.a.vcpu, REG_CORE(regs.a3)), 0);
	assert_int_equal(abi_reg(m.a.vcpu, REG_CSR(sip)), 0);
	down(&m);
}

static void threshold_enable_and_delivery_hold_back(void **state)
{
	struct vm m;

	up(&m);
	imsic(m.dev, 0, EIP0, 1 << 20);
	assert_int_equal(abi_reg(m.a.vcpu, REG_CSR(sip)), 0);
	imsic(m.dev, 0, EIDELIVERY, 1);
	assert_int_equal(abi_reg(m.a.vcpu, REG_CSR(sip)), 0);
	imsic(m.dev, 0, EIE0, 1 << 20);
	assert_int_equal(abi_reg(m.a.vcpu, REG_CSR(sip)), 0x200);
	imsic(m.dev, 0, EITHRESHOLD, 20);
	assert_int_equal(abi_reg(m.a.vcpu, REG_CSR(sip)), 0);
	imsic(m.dev, 0, EITHRESHOLD, 21);
	assert_int_equal(abi_reg(m.a.vcpu, REG_CSR(sip)), 0x200);
	imsic(m.dev, 0, EIDELIVERY, 0);
	assert_int_equal(abi_reg(m.a.vcpu, REG_CSR(sip)), 0);
	imsic(m.dev, 0, EIDELIVERY, 1);
	imsic(m.dev, 0, EIP0, 0);
	assert_int_equal(abi_reg(m.a.vcpu, REG_CSR(sip)), 0);
	/* The second word. */
	imsic(m.dev, 0, EITHRESHOLD, 0);
	imsic(m.dev, 0, EIE2, ~0ull);
	assert_return_code(msi(m.a.vm, IMSIC, 127), errno);
	assert_int_equal(imsic_get(m.dev, 0, EIP2), 1ull << 63);
	assert_int_equal(abi_reg(m.a.vcpu, REG_CSR(sip)), 0x200);
	down(&m);
}

static void group_hart_and_guest_bits(void **state)
{
	struct abi a;
	int dev, vcpu1;

	abi_up(&a);
	vcpu1 = softvirt_ioctl(a.vm, KVM_CREATE_VCPU, 7);
	dev = create(a.vm);
	assert_return_code(CONFIG(dev, SRCS, 3), errno);
	assert_return_code(CONFIG(dev, HART_BITS, 2), errno);
	assert_return_code(CONFIG(dev, GUEST_BITS, 1), errno);
	assert_return_code(CONFIG(dev, GROUP_BITS, 1), errno);
	assert_return_code(CONFIG(dev, GROUP_SHIFT, 28), errno);
	assert_return_code(ADDR(dev, 0, APLIC), errno);
	assert_return_code(ADDR(dev, 1, 0x40000000), errno);
	assert_return_code(ADDR(dev, 2, 0x50006000), errno);	/* group 1, hart 3: index 7 */
	assert_return_code(INIT(dev), errno);
	aplic(dev, GENMSI, 7u << 18 | 33);
	assert_int_equal(aplic_get(dev, GENMSI), 7u << 18 | 33);
	assert_int_equal(imsic_get(dev, 7, EIP0), 1ull << 33);
	aplic(dev, GENMSI, 6u << 18 | 34);			/* nobody */
	assert_int_equal(imsic_get(dev, 7, EIP0), 1ull << 33);
	assert_return_code(msi(a.vm, 0x50006000, 2), errno);
	assert_int_equal(imsic_get(dev, 7, EIP0), 1ull << 33 | 4);
	assert_errno(msi(a.vm, 0x50007000, 2), ENODEV);		/* a guest's file */
	assert_return_code(msi(a.vm, 0x50004000, 2), errno);
	assert_int_equal(imsic_get(dev, 0, EIP0), 0);
	softvirt_close(dev);
	softvirt_close(vcpu1);
	abi_down(&a);
}

/* --- the guest's own view ------------------------------------------------------------------ */

static void the_guest_sends_messages_by_memory(void **state)
{
	struct vm m;

	up(&m);
	/* An IPI to the other file, one to itself, 8 bytes are nobody's. */
	abi_guest(&m.a, LUI(T0, (IMSIC + 0x1000) >> 12), LI(T1, 44), SW(T1, T0, 0),
		  LUI(T2, IMSIC >> 12), SW(T1, T2, 0), SW(T1, T2, 16), SW(X0, T2, 0), LW(A0, T2, 0),
		  SD(T1, T2, 0), DONE(T0));
	assert_return_code(abi_run(&m.a), errno);
	assert_int_equal(m.a.run->exit_reason, KVM_EXIT_MMIO);
	assert_int_equal(m.a.run->mmio.phys_addr, IMSIC);
	assert_int_equal(m.a.run->mmio.len, 8);
	abi_run_done(&m.a);
	assert_int_equal(imsic_get(m.dev, 0, EIP0), 1ull << 44);
	assert_int_equal(imsic_get(m.dev, 1, EIP0), 1ull << 44);
	down(&m);
}

static void the_guest_drives_the_aplic_by_memory(void **state)
{
	struct vm m;

	up(&m);
	abi_guest(&m.a, LUI(T0, APLIC >> 12), LW(A0, T0, 0),		/* domaincfg */
		  LI(T1, EDGE1), SW(T1, T0, 4 * 3), LW(A1, T0, 4 * 3),	/* sourcecfg[3] */
		  LUI(T2, (APLIC + 0x2000) >> 12), LI(T1, 3), SW(T1, T2, -0x124), /* setienum */
		  LUI(A7, (APLIC + 0x3000) >> 12), LI(A6, 50), SW(A6, A7, 4 * 3), /* target[3] */
		  SW(T1, T2, 0),					/* setipnum_le */
		  LW(A2, T2, -0x400),					/* setip[0] */
		  LI(A5, 0x100), SW(A5, T0, 0),				/* on: goes out */
		  LW(A3, T2, -0x400), LW(A4, T2, -0x200),		/* setip[0], setie[0] */
		  LH(A6, T0, 0), DONE(T0));
	assert_return_code(abi_run(&m.a), errno);
	assert_int_equal(m.a.run->exit_reason, KVM_EXIT_MMIO);	/* half a register: user space's */
	assert_int_equal(m.a.run->mmio.phys_addr, APLIC);
	assert_int_equal(m.a.run->mmio.len, 2);
	abi_run_done(&m.a);
	assert_int_equal(abi_reg(m.a.vcpu, REG_CORE(regs.a0)), 0xffffffff80000004);
	assert_int_equal(abi_reg(m.a.vcpu, REG_CORE(regs.a1)), EDGE1);
	assert_int_equal(abi_reg(m.a.vcpu, REG_CORE(regs.a2)), 8);
	assert_int_equal(abi_reg(m.a.vcpu, REG_CORE(regs.a3)), 0);
	assert_int_equal(abi_reg(m.a.vcpu, REG_CORE(regs.a4)), 8);
	assert_int_equal(imsic_get(m.dev, 0, EIP0), 1ull << 50);
	down(&m);
}

/* Runs one CSR instruction; what it read, or ~0 when it was illegal. */
static u64 csr_insn(struct abi *a, u32 insn)
{
	const u32 code[] = { FENCE_I, LI(A1, 0), insn, DONE(T2) };
	const u32 handler[] = { CSRR(A1, SCAUSE), DONE(T2) };

	load(a, code, sizeof(code), handler, sizeof(handler));
	assert_return_code(abi_set(a->vcpu, REG_CSR(sstatus), 0), errno);
	abi_run_done(a);
	if (abi_reg(a->vcpu, REG_CORE(regs.a1))) {
		assert_int_equal(abi_reg(a->vcpu, REG_CORE(regs.a1)), 2);
		return ~0ull;
	}
	return abi_reg(a->vcpu, REG_CORE(regs.a0));
}

static u64 sireg(struct abi *a, u64 isel)
{
	assert_return_code(abi_set(a->vcpu, REG_AIA(siselect), isel), errno);
	return csr_insn(a, CSRR(A0, SIREG));
}

static void csrs_that_are_not_there_are_illegal(void **state)
{
	struct abi a;
	struct vm m;
	u64 v;

	up(&m);
	assert_int_equal(sireg(&m.a, EIDELIVERY), 0);
	assert_int_equal(sireg(&m.a, 0x30), 0);
	assert_int_equal(sireg(&m.a, 0x3e), 0);
	for (size_t i = 0; i < 9; i++) {
		static const u16 bad[] = { 0, 0x2f, 0x31, 0x3f, 0x40, 0x71, 0x81, 0x84, 0x100 };

		assert_int_equal(sireg(&m.a, bad[i]), ~0ull);
	}
	assert_int_equal(csr_insn(&m.a, CSRR(A0, STOPEI)), 0);
	assert_int_equal(csr_insn(&m.a, CSRR(A0, STOPI)), 0);
	assert_int_equal(csr_insn(&m.a, CSRW(STOPI, T0)), ~0ull);
	down(&m);

	/* Without the device: no file, but stopi and priorities. */
	abi_up(&a);
	assert_int_equal(sireg(&a, EIDELIVERY), ~0ull);
	assert_int_equal(sireg(&a, 0x30), 0);
	assert_int_equal(csr_insn(&a, CSRR(A0, STOPEI)), ~0ull);
	assert_int_equal(csr_insn(&a, CSRR(A0, STOPI)), 0);
	assert_errno(abi_get(a.vcpu, REG_AIA(siselect) + 7, &v), ENOENT);
	abi_down(&a);

	/* Without the extension: nothing. */
	abi_up(&a);
	assert_int_equal(abi_reg(a.vcpu, REG_ISA(KVM_RISCV_ISA_EXT_SSAIA)), 1);
	assert_return_code(abi_set(a.vcpu, REG_ISA(KVM_RISCV_ISA_EXT_SSAIA), 0), errno);
	assert_errno(abi_get(a.vcpu, REG_AIA(siselect), &v), ENOENT);
	assert_errno(abi_set(a.vcpu, REG_AIA(siselect), 0), ENOENT);
	assert_int_equal(csr_insn(&a, CSRR(A0, SISELECT)), ~0ull);
	assert_int_equal(csr_insn(&a, CSRR(A0, SIREG)), ~0ull);
	assert_int_equal(csr_insn(&a, CSRR(A0, STOPEI)), ~0ull);
	assert_int_equal(csr_insn(&a, CSRR(A0, STOPI)), ~0ull);
	abi_down(&a);
}

static void stopi_ranks_by_priority(void **state)
{
	struct vm m;

	up(&m);
	imsic(m.dev, 0, EIDELIVERY, 1);
	imsic(m.dev, 0, EIE0, ~0ull);
	imsic(m.dev, 0, EIP0, 1 << 30);
	/* software and external pending, both enabled */
	assert_return_code(abi_set(m.a.vcpu, REG_CSR(sip), 0x202), errno);
	csr_insn(&m.a, CSRR(A0, STOPI));
	assert_return_code(abi_set(m.a.vcpu, REG_CSR(sie), 0x202), errno);
	abi_guest(&m.a, CSRR(A0, STOPI), DONE(T2));
	abi_run_done(&m.a);
	assert_int_equal(abi_reg(m.a.vcpu, REG_CORE(regs.a0)), 9 << 16 | 30);
	/* interrupt 1's priority: byte 1 of iprio1, byte 1 of sireg 0x30 */
	assert_return_code(abi_set(m.a.vcpu, REG_AIA(iprio1), 29 << 8), errno);
	assert_int_equal(sireg(&m.a, 0x30), 29 << 8);
	assert_return_code(abi_set(m.a.vcpu, REG_CSR(sie), 0x202), errno);
	abi_guest(&m.a, FENCE_I, CSRR(A0, STOPI), LI(T0, 31), SLLI(T0, T0, 8), CSRW(SIREG, T0),
		  CSRR(A1, STOPI), DONE(T2));
	abi_run_done(&m.a);
	assert_int_equal(abi_reg(m.a.vcpu, REG_CORE(regs.a0)), 1 << 16 | 29);
	assert_int_equal(abi_reg(m.a.vcpu, REG_CORE(regs.a1)), 9 << 16 | 30);
	assert_int_equal(abi_reg(m.a.vcpu, REG_AIA(iprio1)), 31 << 8);
	/* Only the software interrupt is left: last in the default order without a number. */
	assert_return_code(abi_set(m.a.vcpu, REG_AIA(iprio1), 0), errno);
	imsic(m.dev, 0, EIP0, 0);
	abi_guest(&m.a, FENCE_I, CSRR(A0, STOPI), DONE(T2));
	abi_run_done(&m.a);
	assert_int_equal(abi_reg(m.a.vcpu, REG_CORE(regs.a0)), 1 << 16 | 255);
	down(&m);
}

/* --- wires --------------------------------------------------------------------------------- */

/* Source n, mode, identity 32 + n of vCPU 0; the domain on. */
static void source(int dev, u32 n, u32 mode)
{
	aplic(dev, SOURCECFG + 4 * n, mode);
	aplic(dev, TARGET + 4 * n, 32 + n);
	aplic(dev, SETIENUM, n);
	aplic(dev, DOMAINCFG, 0x100);
}

/* Has source n been forwarded since the last time? */
static bool forwarded(int dev, u32 n)
{
	u64 p = imsic_get(dev, 0, EIP0);

	imsic(dev, 0, EIP0, 0);
	assert_int_equal(p & ~(1ull << (32 + n)), 0);
	return p;
}

static void lines_by_mode(void **state)
{
	struct vm m;

	up(&m);
	assert_errno(line(m.a.vm, 0, 1), ENODEV);
	assert_errno(line(m.a.vm, NR_SOURCES + 1, 1), ENODEV);
	assert_errno(line(m.a.vm, ~0u, 1), ENODEV);
	assert_return_code(line(m.a.vm, NR_SOURCES, 1), errno);

	source(m.dev, 1, EDGE1);
	assert_return_code(line(m.a.vm, 1, 1), errno);
	assert_true(forwarded(m.dev, 1));
	assert_return_code(line(m.a.vm, 1, 1), errno);
	assert_return_code(line(m.a.vm, 1, 0), errno);
	assert_false(forwarded(m.dev, 1));
	assert_return_code(line(m.a.vm, 1, 1), errno);
	assert_true(forwarded(m.dev, 1));

	source(m.dev, 2, EDGE0);
	assert_return_code(line(m.a.vm, 2, 1), errno);
	assert_false(forwarded(m.dev, 2));
	assert_return_code(line(m.a.vm, 2, 0), errno);
	assert_true(forwarded(m.dev, 2));

	source(m.dev, 3, LEVEL1);
	assert_false(forwarded(m.dev, 3));
	assert_return_code(line(m.a.vm, 3, 1), errno);
	assert_true(forwarded(m.dev, 3));
	assert_int_equal(aplic_get(m.dev, CLRIP), 1 << 1 | 1 << 2 | 1 << 3);	/* rectified */
	aplic(m.dev, SETIPNUM_LE, 3);		/* still high: again */
	assert_true(forwarded(m.dev, 3));
	assert_return_code(line(m.a.vm, 3, 0), errno);
	aplic(m.dev, SETIPNUM_LE, 3);
	aplic(m.dev, SETIP, 8);
	assert_false(forwarded(m.dev, 3));

	assert_return_code(line(m.a.vm, 4, 1), errno);
	source(m.dev, 4, LEVEL0);
	assert_false(forwarded(m.dev, 4));
	assert_return_code(line(m.a.vm, 4, 0), errno);
	assert_true(forwarded(m.dev, 4));
	aplic(m.dev, SETIPNUM_BE, __builtin_bswap32(4));
	assert_true(forwarded(m.dev, 4));

	source(m.dev, 5, DETACHED);
	assert_return_code(line(m.a.vm, 5, 1), errno);
	assert_false(forwarded(m.dev, 5));
	aplic(m.dev, SETIPNUM, 5);
	assert_true(forwarded(m.dev, 5));

	source(m.dev, 6, INACTIVE);
	assert_return_code(line(m.a.vm, 6, 1), errno);
	aplic(m.dev, SETIPNUM, 6);
	assert_false(forwarded(m.dev, 6));
	aplic(m.dev, SOURCECFG + 4 * 6, LEVEL1);	/* high when it becomes active */
	assert_true(forwarded(m.dev, 6));

	/* Held back, then let go: by enable, by the domain; a level that falls is forgotten. */
	aplic(m.dev, CLRIENUM, 1);
	assert_return_code(line(m.a.vm, 1, 0), errno);
	assert_return_code(line(m.a.vm, 1, 1), errno);
	assert_false(forwarded(m.dev, 1));
	assert_int_equal(aplic_get(m.dev, SETIP), 2);
	aplic(m.dev, DOMAINCFG, 0);
	aplic(m.dev, SETIE, 2);
	assert_return_code(line(m.a.vm, 3, 1), errno);
	assert_int_equal(aplic_get(m.dev, SETIP), 2 | 8);
	assert_return_code(line(m.a.vm, 3, 0), errno);
	assert_int_equal(aplic_get(m.dev, SETIP), 2);
	aplic(m.dev, DOMAINCFG, 0x100);
	assert_true(forwarded(m.dev, 1));
	aplic(m.dev, CLRIE, ~0u);
	assert_int_equal(aplic_get(m.dev, SETIE), 0);
	aplic(m.dev, SETIPNUM, 5);
	aplic(m.dev, CLRIPNUM, 5);
	aplic(m.dev, SETIPNUM, 5);
	aplic(m.dev, CLRIP, 1 << 5);
	aplic(m.dev, SETIENUM, 5);
	assert_false(forwarded(m.dev, 5));
	down(&m);
}

/* --- irqfds and routes --------------------------------------------------------------------- */

static void an_edge_irqfd_reaches_the_guest(void **state)
{
	int e = eventfd(0, EFD_NONBLOCK);
	struct vm m;

	up(&m);
	load_taker(&m.a);
	source(m.dev, 7, EDGE1);
	assert_return_code(irqfd(m.a.vm, e, 7, 0, 0), errno);
	for (int i = 0; i < 50; i++) {
		signal_fd(e);
		assert_int_equal(take(&m.a), 39);
	}
	down(&m);
	close(e);
}

/* Claims, asks the wire again, tells. */
static void load_retrigger(struct abi *a, u32 n)
{
	const u32 code[] = { ENABLE_FILE, WFI, j_back(-4) };
	const u32 handler[] = { CSRR(A1, SCAUSE), CSRR(A2, STOPI), CSRRW(A0, STOPEI, X0),
				SRLI(A4, A0, 16), LUI(T0, (APLIC + 0x2000) >> 12), LI(T1, (s32)n),
				SW(T1, T0, 0), DONE(T2), SRET };

	load(a, code, sizeof(code), handler, sizeof(handler));
}

static void a_level_irqfd_is_resampled_when_the_guest_is_done(void **state)
{
	int e = eventfd(0, EFD_NONBLOCK), r = eventfd(0, EFD_NONBLOCK);
	struct vm m;
	u64 v;

	up(&m);
	load_retrigger(&m.a, 3);
	source(m.dev, 3, LEVEL1);
	assert_return_code(irqfd(m.a.vm, e, 3, KVM_IRQFD_FLAG_RESAMPLE, r), errno);
	for (int i = 0; i < 20; i++) {
		signal_fd(e);
		assert_int_equal(take(&m.a), 35);
		assert_int_equal(read(r, &v, sizeof(v)), sizeof(v));
		assert_int_equal(v, 1);
		assert_int_equal(aplic_get(m.dev, CLRIP), 0);		/* the wire is down */
		assert_int_equal(imsic_get(m.dev, 0, EIP0), 0);
	}
	/* A wire that somebody holds by KVM_IRQ_LINE comes again until it falls. */
	assert_return_code(irqfd(m.a.vm, e, 3, KVM_IRQFD_FLAG_DEASSIGN, 0), errno);
	assert_return_code(line(m.a.vm, 3, 1), errno);
	for (int i = 0; i < 5; i++)
		assert_int_equal(take(&m.a), 35);
	assert_int_equal(read(r, &v, sizeof(v)), -1);
	assert_return_code(line(m.a.vm, 3, 0), errno);
	/* Deassigning while it is high lets go of the wire. */
	imsic(m.dev, 0, EIP0, 0);
	assert_return_code(irqfd(m.a.vm, e, 3, KVM_IRQFD_FLAG_RESAMPLE, r), errno);
	signal_fd(e);
	while (!aplic_get(m.dev, CLRIP))
		usleep(100);
	assert_return_code(irqfd(m.a.vm, e, 3, KVM_IRQFD_FLAG_DEASSIGN, 0), errno);
	assert_int_equal(aplic_get(m.dev, CLRIP), 0);
	down(&m);
	close(e);
	close(r);
}

static void resampling_follows_the_route_and_a_full_eventfd_blocks_nobody(void **state)
{
	struct { u32 nr, flags; struct kvm_irq_routing_entry e[1]; } r = {
		.nr = 1,
		.e = { { .gsi = 77, .type = KVM_IRQ_ROUTING_IRQCHIP, .u.irqchip.pin = 3 } },
	};
	int e = eventfd(0, EFD_NONBLOCK), full = eventfd(0, 0);	/* blocking */
	u64 most = ~0ull - 1, v;
	struct vm m;

	up(&m);
	load_retrigger(&m.a, 3);
	source(m.dev, 3, LEVEL1);
	assert_return_code(softvirt_ioctl(m.a.vm, KVM_SET_GSI_ROUTING, &r), errno);
	assert_return_code(irqfd(m.a.vm, e, 77, KVM_IRQFD_FLAG_RESAMPLE, full), errno);
	signal_fd(e);
	assert_int_equal(take(&m.a), 35);
	assert_int_equal(read(full, &v, sizeof(v)), sizeof(v));
	assert_int_equal(v, 1);
	assert_int_equal(write(full, &most, sizeof(most)), sizeof(most));
	signal_fd(e);
	assert_int_equal(take(&m.a), 35);
	assert_int_equal(aplic_get(m.dev, CLRIP), 0);
	down(&m);
	close(e);
	close(full);
}

static void routes(void **state)
{
	struct { u32 nr, flags; struct kvm_irq_routing_entry e[3]; } r = {
		.nr = 3,
		.e = {
			{ .gsi = 500, .type = KVM_IRQ_ROUTING_MSI,
			  .u.msi = { .address_lo = (u32)IMSIC, .data = 21 } },
			{ .gsi = 501, .type = KVM_IRQ_ROUTING_IRQCHIP, .u.irqchip.pin = 9 },
			{ .gsi = 502, .type = KVM_IRQ_ROUTING_MSI,
			  .u.msi = { .address_lo = (u32)IMSIC + 0x1000, .data = 22 } },
		},
	}, bad;
	int e[4];
	struct vm m;

	up(&m);
	load_taker(&m.a);
	source(m.dev, 9, EDGE1);
	source(m.dev, 10, EDGE1);
	for (int i = 0; i < 4; i++) {
		e[i] = eventfd(0, EFD_NONBLOCK);
		assert_return_code(irqfd(m.a.vm, e[i], i < 3 ? 500 + i : 10, 0, 0), errno);
	}
	signal_fd(e[3]);			/* pins are routed by INIT */
	assert_int_equal(take(&m.a), 42);
	signal_fd(e[0]);			/* no route yet */
	wait_taken(e[0]);
	assert_int_equal(imsic_get(m.dev, 0, EIP0), 0);
	bad = r;
	bad.e[1].gsi = 500;			/* an MSI shares with nobody */
	assert_errno(softvirt_ioctl(m.a.vm, KVM_SET_GSI_ROUTING, &bad), EINVAL);
	bad = r;
	bad.e[1].u.irqchip.irqchip = 1;
	assert_errno(softvirt_ioctl(m.a.vm, KVM_SET_GSI_ROUTING, &bad), EINVAL);
	bad = r;
	bad.e[1].u.irqchip.pin = 1024;
	assert_errno(softvirt_ioctl(m.a.vm, KVM_SET_GSI_ROUTING, &bad), EINVAL);
	bad = r;
	bad.nr = 4097;
	assert_errno(softvirt_ioctl(m.a.vm, KVM_SET_GSI_ROUTING, &bad), EINVAL);
	assert_return_code(softvirt_ioctl(m.a.vm, KVM_SET_GSI_ROUTING, &r), errno);
	signal_fd(e[0]);
	assert_int_equal(take(&m.a), 21);
	signal_fd(e[1]);
	assert_int_equal(take(&m.a), 41);
	signal_fd(e[2]);
	while (!imsic_get(m.dev, 1, EIP0))
		usleep(100);
	assert_int_equal(imsic_get(m.dev, 1, EIP0), 1 << 22);
	signal_fd(e[3]);			/* the new table has no GSI 10 */
	wait_taken(e[3]);
	assert_return_code(irqfd(m.a.vm, e[3], 10, KVM_IRQFD_FLAG_DEASSIGN, 0), errno);
	assert_int_equal(imsic_get(m.dev, 0, EIP0), 0);
	down(&m);
	for (int i = 0; i < 4; i++)
		close(e[i]);
}

/* --- state --------------------------------------------------------------------------------- */

static void copy_aplic(int from, int to)
{
	aplic(to, DOMAINCFG, 0);
	for (u32 n = 1; n <= NR_SOURCES; n++) {
		aplic(to, SOURCECFG + 4 * n, aplic_get(from, SOURCECFG + 4 * n));
		aplic(to, TARGET + 4 * n, aplic_get(from, TARGET + 4 * n));
	}
	for (u32 w = 0; w < 3; w++) {
		aplic(to, CLRIP + 4 * w, ~0u);
		aplic(to, SETIP + 4 * w, aplic_get(from, SETIP + 4 * w));
		aplic(to, SETIE + 4 * w, aplic_get(from, SETIE + 4 * w));
	}
	aplic(to, DOMAINCFG, aplic_get(from, DOMAINCFG));
}

static void all_state_moves_to_another_vm(void **state)
{
	static const u32 isel[] = { EIE2, EIP0, EITHRESHOLD, EIE0, EIDELIVERY, EIP2 };
	static struct { u64 n; u64 reg[1024]; } list = { .n = 1024 };
	struct vm m, n;
	u64 v[16];

	up(&m);
	load_taker(&m.a);
	assert_return_code(msi(m.a.vm, IMSIC, 12), errno);
	assert_int_equal(take(&m.a), 12);	/* stopped inside its handler */
	assert_return_code(line(m.a.vm, 3, 1), errno);
	assert_return_code(line(m.a.vm, 40, 1), errno);
	source(m.dev, 3, LEVEL1);
	source(m.dev, 94, EDGE1);
	imsic(m.dev, 0, EIE2, ~0ull);
	aplic(m.dev, CLRIENUM, 94);
	aplic(m.dev, TARGET + 4 * 94, 100);
	assert_return_code(line(m.a.vm, 94, 1), errno);		/* pending, held back */
	assert_return_code(line(m.a.vm, 94, 0), errno);
	assert_return_code(msi(m.a.vm, IMSIC + 0x1000, 80), errno);
	assert_return_code(msi(m.a.vm, IMSIC, 60), errno);
	imsic(m.dev, 0, EITHRESHOLD, 120);
	assert_return_code(abi_set(m.a.vcpu, REG_AIA(iprio2), 0x1122334455667788), errno);

	up(&n);
	memcpy(n.a.ram, m.a.ram, ABI_RAM_SIZE);
	assert_return_code(softvirt_ioctl(m.a.vcpu, KVM_GET_REG_LIST, &list), errno);
	for (u64 i = list.n; i-- > 0;) {
		struct kvm_one_reg r = { .id = list.reg[i], .addr = (uintptr_t)v };

		if ((r.id & KVM_REG_RISCV_TYPE_MASK) == KVM_REG_RISCV_ISA_EXT ||
		    (r.id & KVM_REG_RISCV_TYPE_MASK) == KVM_REG_RISCV_SBI_EXT)
			continue;
		memset(v, 0, sizeof(v));
		assert_return_code(softvirt_ioctl(m.a.vcpu, KVM_GET_ONE_REG, &r), errno);
		assert_return_code(softvirt_ioctl(n.a.vcpu, KVM_SET_ONE_REG, &r), errno);
	}
	assert_return_code(line(n.a.vm, 3, 1), errno);
	assert_return_code(line(n.a.vm, 40, 1), errno);
	copy_aplic(m.dev, n.dev);
	for (u32 vcpu = 0; vcpu < 2; vcpu++)
		for (size_t i = 0; i < ARRAY_SIZE(isel); i++)
			imsic(n.dev, vcpu, isel[i], imsic_get(m.dev, vcpu, isel[i]));

	/* The same to see, then the same to happen. */
	for (u32 off = 0; off < 0x4000; off += 4) {
		if (has(m.dev, KVM_DEV_RISCV_AIA_GRP_APLIC, off))
			assert_errno(has(n.dev, KVM_DEV_RISCV_AIA_GRP_APLIC, off), ENODEV);
		else
			assert_int_equal(aplic_get(m.dev, off), aplic_get(n.dev, off));
	}
	assert_int_equal(aplic_get(n.dev, SETIP + 8), 1 << 30);
	for (u32 vcpu = 0; vcpu < 2; vcpu++)
		for (size_t i = 0; i < ARRAY_SIZE(isel); i++)
			assert_int_equal(imsic_get(m.dev, vcpu, isel[i]), imsic_get(n.dev, vcpu, isel[i]));
	assert_int_equal(abi_reg(n.a.vcpu, REG_CSR(sip)), 0x200);
	assert_int_equal(abi_reg(n.a.vcpu, REG_AIA(iprio2)), 0x1122334455667788);
	for (int i = 0; i < 2; i++) {
		struct vm *x = i ? &n : &m;

		assert_int_equal(take(&x->a), 35);
		assert_int_equal(take(&x->a), 60);
		aplic(x->dev, SETIENUM, 94);
		assert_int_equal(take(&x->a), 100);
		assert_int_equal(imsic_get(x->dev, 0, EIP0), 0);
	}
	down(&m);
	down(&n);
}

/* --- many threads -------------------------------------------------------------------------- */

#define ROUNDS 200
static struct vm threads_vm;

/* Sends its identity, waits until the guest has claimed it, again and again. */
static void *sender(void *arg)
{
	u32 id = (u32)(uintptr_t)arg;
	struct vm *m = &threads_vm;
	u64 v;

	for (int i = 0; i < ROUNDS; i++) {
		if (msi(m->a.vm, IMSIC, id))
			return (void *)1;
		do {
			if (get(m->dev, KVM_DEV_RISCV_AIA_GRP_IMSIC, MKATTR(0, EIP0), &v))
				return (void *)1;
			sched_yield();
		} while (v & 1ull << id);
	}
	return NULL;
}

static void *senders(void *arg)
{
	pthread_t t[4];
	void *ret, *bad = NULL;

	for (uintptr_t i = 0; i < 4; i++)
		if (pthread_create(&t[i], NULL, sender, (void *)(5 + 7 * i)))
			return (void *)1;
	for (int i = 0; i < 4; i++) {
		pthread_join(t[i], &ret);
		bad = ret ? ret : bad;
	}
	msi(threads_vm.a.vm, IMSIC, 63);	/* the guest's last */
	return bad;
}

static void no_message_is_lost_or_doubled(void **state)
{
	struct vm *m = &threads_vm;
	/* Counts by identity in memory at s0; 63 ends. */
	const u32 code[] = { ENABLE_FILE, WFI, j_back(-4) };
	const u32 handler[] = { CSRRW(A0, STOPEI, X0), SRLI(A0, A0, 16), SLLI(A3, A0, 3),
				ADD(A3, A3, S0), LD(A4, A3, 0), ADDI(A4, A4, 1), SD(A4, A3, 0),
				ADDI(A5, A0, -63), SKIP2_UNLESS_ZERO(A5), DONE(T2), SRET };
	pthread_t t;
	void *bad;

	up(m);
	load(&m->a, code, sizeof(code), handler, sizeof(handler));
	assert_return_code(abi_set(m->a.vcpu, REG_CORE(regs.s0), ABI_RAM + 0x2000), errno);
	assert_int_equal(pthread_create(&t, NULL, senders, NULL), 0);
	abi_run_done(&m->a);
	pthread_join(t, &bad);
	assert_null(bad);
	for (u64 id = 0; id < 64; id++) {
		u64 count;

		memcpy(&count, m->a.ram + 0x2000 + 8 * id, 8);
		if (id == 63)
			assert_int_equal(count, 1);
		else if (id == 5 || id == 12 || id == 19 || id == 26)
			assert_int_equal(count, ROUNDS);
		else
			assert_int_equal(count, 0);
	}
	down(m);
}

/* A device that pulls its wire N times, each time until it is told to look again. */
static void *level_device(void *arg)
{
	const int *fd = arg;
	struct pollfd p = { .fd = fd[1], .events = POLLIN };
	u64 one = 1;

	for (int i = 0; i < ROUNDS; i++)
		if (write(fd[0], &one, sizeof(one)) != sizeof(one) || poll(&p, 1, 30000) != 1 ||
		    read(fd[1], &one, sizeof(one)) != sizeof(one) || one != 1)
			break;
	msi(threads_vm.a.vm, IMSIC, 63);
	return NULL;
}

static void a_level_device_is_served_once_for_each_pull(void **state)
{
	int fd[2] = { eventfd(0, EFD_NONBLOCK), eventfd(0, EFD_NONBLOCK) };
	struct vm *m = &threads_vm;
	const u32 code[] = { ENABLE_FILE, WFI, j_back(-4) };
	const u32 handler[] = { CSRRW(A0, STOPEI, X0), SRLI(A0, A0, 16), SLLI(A3, A0, 3),
				ADD(A3, A3, S0), LD(A4, A3, 0), ADDI(A4, A4, 1), SD(A4, A3, 0),
				LUI(T0, (APLIC + 0x2000) >> 12), LI(T1, 3), SW(T1, T0, 0),
				ADDI(A5, A0, -63), SKIP2_UNLESS_ZERO(A5), DONE(T2), SRET };
	u64 counts[64];
	pthread_t t;

	up(m);
	load(&m->a, code, sizeof(code), handler, sizeof(handler));
	assert_return_code(abi_set(m->a.vcpu, REG_CORE(regs.s0), ABI_RAM + 0x2000), errno);
	source(m->dev, 3, LEVEL1);
	assert_return_code(irqfd(m->a.vm, fd[0], 3, KVM_IRQFD_FLAG_RESAMPLE, fd[1]), errno);
	assert_int_equal(pthread_create(&t, NULL, level_device, fd), 0);
	abi_run_done(&m->a);
	pthread_join(t, NULL);
	memcpy(counts, m->a.ram + 0x2000, sizeof(counts));
	for (u32 id = 0; id < 64; id++)
		assert_int_equal(counts[id], id == 63 ? 1 : id == 35 ? ROUNDS : 0);
	down(m);
	close(fd[0]);
	close(fd[1]);
}

/* --- vCPUs that come and go ---------------------------------------------------------------- */

static void a_vcpu_after_init_has_no_interrupt_file(void **state)
{
	struct vm m;
	int late;
	u64 v;

	up(&m);
	late = softvirt_ioctl(m.a.vm, KVM_CREATE_VCPU, 2);
	assert_true(late >= 0);
	assert_return_code(get(m.dev, KVM_DEV_RISCV_AIA_GRP_ADDR, 3, &v), errno);
	assert_int_equal(v, ~0ull);
	assert_errno(ADDR(m.dev, 3, IMSIC + 0x2000), EBUSY);
	assert_errno(get(m.dev, KVM_DEV_RISCV_AIA_GRP_IMSIC, MKATTR(2, EIDELIVERY), &v), ENODEV);
	assert_return_code(msi(m.a.vm, ~0xfffull, 1), errno);	/* its address is none */
	aplic(m.dev, GENMSI, 2u << 18 | 5);
	assert_return_code(msi(m.a.vm, IMSIC + 0x1000, 5), errno);
	assert_int_equal(imsic_get(m.dev, 1, EIP0), 1 << 5);
	softvirt_close(late);
	down(&m);
}

static void a_started_hart_begins_with_an_empty_file(void **state)
{
	const u32 second[] = { DONE(T0) };
	struct vm m;
	struct abi b;

	up(&m);
	imsic(m.dev, 1, EIE0, ~0ull);
	imsic(m.dev, 1, EITHRESHOLD, 50);
	imsic(m.dev, 1, EIDELIVERY, 1);
	assert_return_code(msi(m.a.vm, IMSIC + 0x1000, 5), errno);
	assert_int_equal(abi_reg(m.vcpu1, REG_CSR(sip)), 0x200);
	assert_return_code(abi_set(m.vcpu1, REG_AIA(iprio1), 0x500), errno);
	memcpy(m.a.ram + 0x3000, second, sizeof(second));
	abi_guest(&m.a, ECALL, DONE(T0));
	assert_return_code(abi_set(m.a.vcpu, REG_CORE(regs.a0), 1), errno);
	assert_return_code(abi_set(m.a.vcpu, REG_CORE(regs.a1), ABI_RAM + 0x3000), errno);
	assert_return_code(abi_set(m.a.vcpu, REG_CORE(regs.a6), 0), errno);
	assert_return_code(abi_set(m.a.vcpu, REG_CORE(regs.a7), 0x48534d), errno);
	abi_run_done(&m.a);
	assert_int_equal(abi_reg(m.a.vcpu, REG_CORE(regs.a0)), 0);
	b = m.a;
	b.vcpu = m.vcpu1;
	b.run = abi_map_run(m.vcpu1);
	abi_run_done(&b);
	munmap(b.run, ABI_RUN_SIZE);
	assert_int_equal(abi_reg(m.vcpu1, REG_CSR(sip)), 0);
	assert_int_equal(abi_reg(m.vcpu1, REG_AIA(iprio1)), 0);
	assert_int_equal(imsic_get(m.dev, 1, EIP0), 0);
	assert_int_equal(imsic_get(m.dev, 1, EIE0), 0);
	assert_int_equal(imsic_get(m.dev, 1, EITHRESHOLD), 0);
	assert_int_equal(imsic_get(m.dev, 1, EIDELIVERY), 0);
	down(&m);
}

/* --- failures ------------------------------------------------------------------------------ */

static void creation_and_init_survive_every_failure(void **state)
{
	int before = abi_count_fds();

	for (unsigned int n = 1; ; n++) {
		int dev, ret, v1;
		struct abi a;
		bool fired;

		abi_up(&a);
		v1 = softvirt_ioctl(a.vm, KVM_CREATE_VCPU, 1);
		sv_fault_inject(n);
		dev = create(a.vm);
		fired = sv_fault_fired();
		sv_fault_inject(0);
		if (fired) {
			assert_int_equal(dev, -1);
			assert_true(errno == ENOMEM || errno == EMFILE || errno == EINVAL);	/* sigaction(2) */
			dev = create(a.vm);
		}
		assert_true(dev >= 0);
		assert_return_code(CONFIG(dev, HART_BITS, 1), errno);
		assert_return_code(CONFIG(dev, SRCS, 33), errno);
		assert_return_code(ADDR(dev, 0, APLIC), errno);
		assert_return_code(ADDR(dev, 1, IMSIC), errno);
		assert_return_code(ADDR(dev, 2, IMSIC + 0x1000), errno);
		sv_fault_inject(n);
		ret = INIT(dev);
		if (sv_fault_fired()) {
			sv_fault_inject(0);
			assert_int_equal(ret, -1);
			assert_int_equal(errno, ENOMEM);
			assert_errno(has(dev, KVM_DEV_RISCV_AIA_GRP_APLIC, 0), ENODEV);
			assert_errno(msi(a.vm, IMSIC, 1), EBUSY);
			assert_return_code(INIT(dev), errno);
			fired = true;
		} else {
			sv_fault_inject(0);
			assert_return_code(ret, errno);
		}
		assert_return_code(msi(a.vm, IMSIC, 1), errno);
		assert_int_equal(imsic_get(dev, 0, EIP0), 2);
		assert_return_code(softvirt_close(dev), errno);
		softvirt_close(v1);
		abi_down(&a);
		assert_int_equal(abi_count_fds(), before);
		if (!fired) {
			assert_true(n > 4);
			break;
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(capabilities),
		cmocka_unit_test(only_one_and_not_after_a_run),
		cmocka_unit_test(wrong_groups_and_attributes_are_enxio),
		cmocka_unit_test(config_values_are_checked),
		cmocka_unit_test(init_wants_everything_first),
		cmocka_unit_test(registers_that_are_not_there),
		cmocka_unit_test(messages_go_where_their_address_says),
		cmocka_unit_test(threshold_enable_and_delivery_hold_back),
		cmocka_unit_test(group_hart_and_guest_bits),
		cmocka_unit_test(the_guest_sends_messages_by_memory),
		cmocka_unit_test(the_guest_drives_the_aplic_by_memory),
		cmocka_unit_test(csrs_that_are_not_there_are_illegal),
		cmocka_unit_test(stopi_ranks_by_priority),
		cmocka_unit_test(lines_by_mode),
		cmocka_unit_test(an_edge_irqfd_reaches_the_guest),
		cmocka_unit_test(a_level_irqfd_is_resampled_when_the_guest_is_done),
		cmocka_unit_test(resampling_follows_the_route_and_a_full_eventfd_blocks_nobody),
		cmocka_unit_test(routes),
		cmocka_unit_test(all_state_moves_to_another_vm),
		cmocka_unit_test(no_message_is_lost_or_doubled),
		cmocka_unit_test(a_level_device_is_served_once_for_each_pull),
		cmocka_unit_test(a_vcpu_after_init_has_no_interrupt_file),
		cmocka_unit_test(a_started_hart_begins_with_an_empty_file),
		cmocka_unit_test(creation_and_init_survive_every_failure),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
