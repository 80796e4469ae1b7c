// SPDX-License-Identifier: MIT
/*
 * Arbitrary ioctls on the KVM node and on the VM, vCPU and device descriptors that come of them:
 * commands, argument structs, pointers and memory slots that mean harm.
 *
 * Input: a row of calls. Each begins with a byte that picks the descriptor, a byte that picks a
 * known command (or two bytes of an unknown one) and a byte that says where the argument lies;
 * then the argument's bytes.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>

#include <softvirt/softvirt.h>
#include <softvirt/uapi/kvm_riscv.h>

#define MAX_FDS 8
#define MEM_SIZE 0x10000u

static const unsigned long commands[] = {
	KVM_GET_API_VERSION, KVM_CREATE_VM, KVM_CHECK_EXTENSION, KVM_GET_VCPU_MMAP_SIZE,
	KVM_CREATE_VCPU, KVM_GET_DIRTY_LOG, KVM_SET_USER_MEMORY_REGION, KVM_SET_USER_MEMORY_REGION2,
	KVM_RUN, KVM_GET_ONE_REG, KVM_SET_ONE_REG, KVM_GET_REG_LIST, KVM_GET_MP_STATE, KVM_SET_MP_STATE,
	KVM_INTERRUPT, KVM_IOEVENTFD, KVM_IRQFD, KVM_SET_SIGNAL_MASK, KVM_RISCV_SET_GUEST_DEBUG,
	KVM_GET_STATS_FD, KVM_ENABLE_CAP, KVM_CREATE_DEVICE, KVM_SET_DEVICE_ATTR, KVM_GET_DEVICE_ATTR,
	KVM_HAS_DEVICE_ATTR, KVM_SET_GSI_ROUTING, KVM_SIGNAL_MSI, KVM_IRQ_LINE, KVM_CLEAR_DIRTY_LOG,
	KVM_REGISTER_COALESCED_MMIO, KVM_UNREGISTER_COALESCED_MMIO, KVM_RESET_DIRTY_RINGS,
	KVM_CREATE_GUEST_MEMFD, KVM_SET_MEMORY_ATTRIBUTES, KVM_PRE_FAULT_MEMORY,
};

struct input {
	const uint8_t *p;
	size_t left;
};

static uint8_t byte(struct input *in)
{
	if (!in->left)
		return 0;
	in->left--;
	return *in->p++;
}

/* Registers, memory and an instruction or two, so that KVM_RUN has something to run. */
static void *memory;

/* The new descriptor if the call made one, else -1. */
static int do_call(struct input *in, const int *fds, unsigned nr)
{
	uint8_t which = byte(in), cmd = byte(in), where = byte(in);
	unsigned long request = cmd < 0xf0 ? commands[cmd % (sizeof(commands) / sizeof(*commands))]
					   : _IOC(cmd & 3, 0xae, byte(in), byte(in));
	union {
		uint64_t words[64];
		uint8_t bytes[512];
		struct kvm_userspace_memory_region slot;
		struct kvm_run run;
	} arg;
	size_t size = in->left < 64 ? in->left : 64;
	int fd = fds[which % nr], ret;

	memset(&arg, 0, sizeof(arg.words));
	memcpy(arg.bytes, in->p, size);
	in->p += size;
	in->left -= size;
	/* Only the first vCPU's run page is ours to make it end at once. */
	if (request == KVM_RUN && fd != fds[2])
		return -1;
	if (request == KVM_SET_USER_MEMORY_REGION || request == KVM_SET_USER_MEMORY_REGION2) {
		/* Memory that is ours, or nobody's: never the fuzzer's own. */
		arg.slot.memory_size &= MEM_SIZE - 1;
		arg.slot.userspace_addr = where & 1 ? (uintptr_t)memory : 0x1000;
	}
	switch (where & 3) {
	case 2:
		ret = softvirt_ioctl(fd, request, (unsigned long)(where >> 2));
		break;
	case 3:
		ret = softvirt_ioctl(fd, request, 0x1000ul);
		break;
	default:
		ret = softvirt_ioctl(fd, request, &arg);
	}
	return request == KVM_CREATE_VM || request == KVM_CREATE_VCPU || request == KVM_GET_STATS_FD ||
	       request == KVM_CREATE_GUEST_MEMFD ? ret : -1;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = { data, size };
	struct kvm_run *run = MAP_FAILED;
	int fds[MAX_FDS];
	unsigned nr = 0;

	if (!memory)
		memory = mmap(NULL, MEM_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	memset(memory, 0x73, MEM_SIZE);
	fds[nr++] = softvirt_open("/dev/kvm-riscv64", O_RDWR | O_CLOEXEC);
	/* Every other one with private memory. */
	fds[nr++] = softvirt_ioctl(fds[0], KVM_CREATE_VM, size & 1);
	fds[nr++] = softvirt_ioctl(fds[1], KVM_CREATE_VCPU, 0);
	/* A run ends at once: what the guest does is fuzz_hart's. */
	run = softvirt_mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fds[2], 0);
	if (run == MAP_FAILED)
		__builtin_trap();
	run->immediate_exit = 1;
	while (in.left) {
		int ret = do_call(&in, fds, nr);

		run->immediate_exit = 1;
		if (ret >= 0 && nr < MAX_FDS)
			fds[nr++] = ret;
		else if (ret >= 0)
			softvirt_close(ret);
	}
	munmap(run, 4096);
	while (nr--)
		softvirt_close(fds[nr]);
	return 0;
}
