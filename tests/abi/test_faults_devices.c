/* SPDX-License-Identifier: MIT */
/* The sweep of test_faults.c over the interrupt controller, routes and irqfds that use it. */
#include <sys/eventfd.h>

#include "faults.h"

#define APLIC 0x0d000000ull
#define IMSIC 0x28000000ull
#define NONE 0

static int dev;

static int attr(unsigned long cmd, u32 group, u64 number, u64 *val)
{
	struct kvm_device_attr a = { .group = group, .attr = number, .addr = (uintptr_t)val };

	return softvirt_ioctl(dev, cmd, &a);
}

static int set(u32 group, u64 number, u64 val)
{
	return attr(KVM_SET_DEVICE_ATTR, group, number, &val);
}

static int call_create_device(void)
{
	struct kvm_create_device d = { .type = KVM_DEV_TYPE_RISCV_AIA };

	if (softvirt_ioctl(t.a.vm, KVM_CREATE_DEVICE, &d))
		return -1;
	return keep_fd(d.fd);
}

static void up_device(void)
{
	up();
	assert_true(call_create_device() >= 0);
	dev = t.fd;
	must(set(KVM_DEV_RISCV_AIA_GRP_CONFIG, KVM_DEV_RISCV_AIA_CONFIG_IDS, 63));
	must(set(KVM_DEV_RISCV_AIA_GRP_CONFIG, KVM_DEV_RISCV_AIA_CONFIG_SRCS, 40));
	must(set(KVM_DEV_RISCV_AIA_GRP_ADDR, KVM_DEV_RISCV_AIA_ADDR_APLIC, APLIC));
	must(set(KVM_DEV_RISCV_AIA_GRP_ADDR, KVM_DEV_RISCV_AIA_ADDR_IMSIC(0), IMSIC));
}

static void down_device(void)
{
	must(softvirt_close(dev));
	down();
}

static int call_init(void)
{
	return set(KVM_DEV_RISCV_AIA_GRP_CTRL, KVM_DEV_RISCV_AIA_CTRL_INIT, 0);
}

static void up_init(void)
{
	up_device();
	must(call_init());
}

static int call_set_aplic(void)
{
	return set(KVM_DEV_RISCV_AIA_GRP_APLIC, 4, 6);
}

static int call_get_aplic(void)
{
	u64 val;

	return attr(KVM_GET_DEVICE_ATTR, KVM_DEV_RISCV_AIA_GRP_APLIC, 4, &val);
}

static int call_set_imsic(void)
{
	return set(KVM_DEV_RISCV_AIA_GRP_IMSIC, 0x70, 1);
}

static int call_get_imsic(void)
{
	u64 val;

	return attr(KVM_GET_DEVICE_ATTR, KVM_DEV_RISCV_AIA_GRP_IMSIC, 0x70, &val);
}

static int call_has(void)
{
	return attr(KVM_HAS_DEVICE_ATTR, KVM_DEV_RISCV_AIA_GRP_CONFIG,
		    KVM_DEV_RISCV_AIA_CONFIG_IDS, NULL);
}

static int routing(u32 nr)
{
	struct {
		struct kvm_irq_routing head;
		struct kvm_irq_routing_entry e[8];
	} r = { .head.nr = nr };

	for (u32 i = 0; i < nr; i++) {
		r.e[i].gsi = i;
		r.e[i].type = i & 1 ? KVM_IRQ_ROUTING_MSI : KVM_IRQ_ROUTING_IRQCHIP;
		if (i & 1) {
			r.e[i].u.msi.address_lo = IMSIC;
			r.e[i].u.msi.data = i;
		} else {
			r.e[i].u.irqchip.pin = i;
		}
	}
	return softvirt_ioctl(t.a.vm, KVM_SET_GSI_ROUTING, &r);
}

static int call_routing(void)
{
	return routing(8);
}

static int call_no_routes(void)
{
	return routing(0);
}

static int call_irq_line(void)
{
	struct kvm_irq_level level = { .irq = 1, .level = 1 };

	return softvirt_ioctl(t.a.vm, KVM_IRQ_LINE, &level);
}

static int call_signal_msi(void)
{
	struct kvm_msi msi = { .address_lo = IMSIC, .data = 3 };

	/* 1: delivered */
	return softvirt_ioctl(t.a.vm, KVM_SIGNAL_MSI, &msi) < 0 ? -1 : 0;
}

static void up_irqfds(void)
{
	up_init();
	t.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	t.fd2 = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	assert_true(t.fd >= 0 && t.fd2 >= 0);
}

static void down_irqfds(void)
{
	close(t.fd);
	close(t.fd2);
	down_device();
}

static int irqfd(u32 flags)
{
	struct kvm_irqfd i = { .fd = t.fd, .gsi = 2, .flags = flags, .resamplefd = t.fd2 };

	return softvirt_ioctl(t.a.vm, KVM_IRQFD, &i);
}

static int call_irqfd(void)
{
	return irqfd(0);
}

static int call_resample(void)
{
	return irqfd(KVM_IRQFD_FLAG_RESAMPLE);
}

static int call_deassign(void)
{
	return irqfd(KVM_IRQFD_FLAG_DEASSIGN);
}

static void undo_irqfd(void)
{
	must(call_deassign());
}

static void undo_deassign(void)
{
	must(call_resample());
}

static void up_resample(void)
{
	up_irqfds();
	must(call_resample());
}

static int call_create_vcpu(void)
{
	return keep_fd(softvirt_ioctl(t.a.vm, KVM_CREATE_VCPU, 7));
}

static const struct test tests_table[] = {
	/* A VM's one device, once made, outlives its descriptor: not made by a failed call. */
	{ "KVM_CREATE_DEVICE", up, call_create_device, close_fd, down, SHORT | E(EINVAL) },
	{ "INIT", up_device, call_init, nothing, down_device, E(ENOMEM) },
	{ "SET_DEVICE_ATTR of the APLIC", up_init, call_set_aplic, nothing, down_device, NONE },
	{ "GET_DEVICE_ATTR of the APLIC", up_init, call_get_aplic, nothing, down_device, NONE },
	{ "SET_DEVICE_ATTR of an IMSIC", up_init, call_set_imsic, nothing, down_device, NONE },
	{ "GET_DEVICE_ATTR of an IMSIC", up_init, call_get_imsic, nothing, down_device, NONE },
	{ "HAS_DEVICE_ATTR", up_init, call_has, nothing, down_device, NONE },
	{ "KVM_SET_GSI_ROUTING", up_init, call_routing, nothing, down_device, E(ENOMEM) },
	{ "KVM_SET_GSI_ROUTING to none", up_init, call_no_routes, nothing, down_device, E(ENOMEM) },
	{ "KVM_IRQ_LINE", up_init, call_irq_line, nothing, down_device, NONE },
	{ "KVM_SIGNAL_MSI", up_init, call_signal_msi, nothing, down_device, NONE },
	{ "KVM_IRQFD", up_irqfds, call_irqfd, undo_irqfd, down_irqfds,
	  SHORT | E(EAGAIN) | E(EIO), 0, true },
	{ "KVM_IRQFD resample", up_irqfds, call_resample, undo_irqfd, down_irqfds,
	  SHORT | E(EAGAIN) | E(EIO), 0, true },
	{ "KVM_IRQFD deassign", up_resample, call_deassign, undo_deassign, down_irqfds,
	  SHORT | E(EIO) },
	{ "KVM_CREATE_VCPU beside the device", up_device, call_create_vcpu, close_fd, down_device,
	  SHORT | E(EINVAL) },
};

int main(int argc, char **argv)
{
	return faults_main(argc, argv, tests_table, ARRAY_SIZE(tests_table));
}
