/* SPDX-License-Identifier: MIT */
/*
 * KVM's side of the machine: opening it, the VM, the vCPUs and their threads.
 *
 * A vCPU thread runs KVM_RUN and handles its exits until vmm->stop is set. To stop it,
 * immediate_exit is set and VCPU_KICK is sent; the signal's handler sets immediate_exit, too,
 * so a signal that arrives just before KVM_RUN is not lost.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <time.h>

#include "softvirt/softvirt.h"
#include "softvirt/uapi/kvm.h"
#include "softvirt/uapi/kvm_riscv.h"
#include "vmm/report.h"
#include "vmm/vmm.h"

#define KVM_NODE "/dev/kvm-riscv64"
#define VCPU_KICK SIGUSR1
#define CSR_SEED 0x015
#define SEED_OPST_ES16 0x80000000ul

static __thread struct kvm_run *vcpu_current_run;

/* --- opening ---------------------------------------------------------------------------- */

int vmm_open_kvm(struct vmm *vmm)
{
	static const struct { int cap; const char *name; } needed[] = {
		{ KVM_CAP_USER_MEMORY, "KVM_CAP_USER_MEMORY" },
		{ KVM_CAP_ONE_REG, "KVM_CAP_ONE_REG" },
		{ KVM_CAP_MP_STATE, "KVM_CAP_MP_STATE" },
		{ KVM_CAP_IMMEDIATE_EXIT, "KVM_CAP_IMMEDIATE_EXIT" },
	};
	unsigned int i, max;
	int version, fd = softvirt_open(KVM_NODE, O_RDWR | O_CLOEXEC);

	if (fd < 0)
		return vmm_report(-errno, "cannot open %s: %s", KVM_NODE, strerror(errno));
	vmm->kvm_fd = fd;
	version = softvirt_ioctl(fd, KVM_GET_API_VERSION, 0);
	if (version != KVM_API_VERSION)
		return vmm_report(-ENOTSUP, "%s speaks version %d of the KVM API; needed is %d",
				  KVM_NODE, version, KVM_API_VERSION);
	for (i = 0; i < ARRAY_SIZE(needed); i++)
		if (softvirt_ioctl(fd, KVM_CHECK_EXTENSION, needed[i].cap) <= 0)
			return vmm_report(-ENOTSUP, "%s lacks %s", KVM_NODE, needed[i].name);
	max = softvirt_ioctl(fd, KVM_CHECK_EXTENSION, KVM_CAP_MAX_VCPUS);
	max = min(max, (unsigned int)VMM_MAX_VCPUS);
	if (vmm->cfg->smp > max)
		return vmm_report(-EINVAL, "--smp %u is too many; say at most %u", vmm->cfg->smp, max);
	return 0;
}

/* --- the VM ----------------------------------------------------------------------------- */

static int vcpu_create(struct vmm *vmm, unsigned int id, size_t run_size)
{
	struct vcpu *vcpu = &vmm->vcpu[id];
	void *run;

	memset(vcpu, 0, sizeof(*vcpu));
	vcpu->vmm = vmm;
	vcpu->id = id;
	vcpu->fd = softvirt_ioctl(vmm->vm_fd, KVM_CREATE_VCPU, (unsigned long)id);
	if (vcpu->fd < 0)
		return -errno;
	run = softvirt_mmap(NULL, run_size, PROT_READ | PROT_WRITE, MAP_SHARED, vcpu->fd, 0);
	if (run == MAP_FAILED) {
		int err = -errno;

		softvirt_close(vcpu->fd);
		return err;
	}
	vcpu->run = run;
	vcpu->run_size = run_size;
	/* KVM counts for those who have asked before. */
	vcpu->stats_fd = vmm->cfg->stats ? softvirt_ioctl(vcpu->fd, KVM_GET_STATS_FD, 0) : -1;
	return 0;
}

int vmm_get_reg(struct vcpu *vcpu, u64 id, u64 *val)
{
	struct kvm_one_reg reg = { .id = KVM_REG_RISCV | KVM_REG_SIZE_U64 | id,
				   .addr = (uintptr_t)val };

	return softvirt_ioctl(vcpu->fd, KVM_GET_ONE_REG, &reg) ? -errno : 0;
}

static int vmm_set_reg(struct vcpu *vcpu, u64 id, u64 val)
{
	struct kvm_one_reg reg = { .id = KVM_REG_RISCV | KVM_REG_SIZE_U64 | id,
				   .addr = (uintptr_t)&val };

	return softvirt_ioctl(vcpu->fd, KVM_SET_ONE_REG, &reg) ? -errno : 0;
}

int vmm_create_vm(struct vmm *vmm)
{
	struct kvm_userspace_memory_region ram = {
		.slot = 0, .guest_phys_addr = vmm->mem.base, .memory_size = vmm->mem.size,
		.userspace_addr = (uintptr_t)vmm->mem.host,
	};
	int run_size = softvirt_ioctl(vmm->kvm_fd, KVM_GET_VCPU_MMAP_SIZE, 0), err;
	unsigned int i;

	if (run_size < (int)sizeof(struct kvm_run))
		return vmm_report(-ENOTSUP, "%s gives no room for a vCPU's shared page", KVM_NODE);
	vmm->vm_fd = softvirt_ioctl(vmm->kvm_fd, KVM_CREATE_VM, 0);
	if (vmm->vm_fd < 0)
		return vmm_report(-errno, "cannot create the VM: %s", strerror(errno));
	if (softvirt_ioctl(vmm->vm_fd, KVM_SET_USER_MEMORY_REGION, &ram))
		return vmm_report(-errno, "cannot give the VM its memory: %s", strerror(errno));
	for (i = 0; i < vmm->cfg->smp; i++) {
		err = vcpu_create(vmm, i, run_size);
		if (err)
			return vmm_report(err, "cannot create vCPU %u: %s; --smp %u has enough "
					  "descriptors and memory", i, strerror(-err), max(i, 1u));
		vmm->nr_vcpus++;
		/* The SBI's debug console and suspend are off until a VMM that serves them says so. */
		vmm_set_reg(&vmm->vcpu[i], KVM_REG_RISCV_SBI_EXT | KVM_REG_RISCV_SBI_SINGLE |
			    KVM_RISCV_SBI_EXT_DBCN, 1);
		vmm_set_reg(&vmm->vcpu[i], KVM_REG_RISCV_SBI_EXT | KVM_REG_RISCV_SBI_SINGLE |
			    KVM_RISCV_SBI_EXT_SUSP, 1);
	}
	plic_connect(&vmm->plic, true);
	return 0;
}

void vmm_destroy_vm(struct vmm *vmm)
{
	unsigned int i;

	/* Nobody drives a vCPU's interrupt line from here on. */
	plic_connect(&vmm->plic, false);
	for (i = 0; i < vmm->nr_vcpus; i++) {
		struct vcpu *vcpu = &vmm->vcpu[i];

		vmm_stats_collect(vmm, vcpu);
		if (vcpu->stats_fd >= 0)
			softvirt_close(vcpu->stats_fd);
		munmap(vcpu->run, vcpu->run_size);
		softvirt_close(vcpu->fd);
	}
	vmm->nr_vcpus = 0;
	if (vmm->vm_fd >= 0)
		softvirt_close(vmm->vm_fd);
	vmm->vm_fd = -1;
}

int vmm_set_boot_state(struct vmm *vmm, u64 entry, u64 dtb)
{
	struct vcpu *vcpu = &vmm->vcpu[0];
	int err = vmm_set_reg(vcpu, KVM_REG_RISCV_CORE | KVM_REG_RISCV_CORE_REG(regs.pc), entry);

	if (!err)
		err = vmm_set_reg(vcpu, KVM_REG_RISCV_CORE | KVM_REG_RISCV_CORE_REG(regs.a0), 0);
	if (!err)
		err = vmm_set_reg(vcpu, KVM_REG_RISCV_CORE | KVM_REG_RISCV_CORE_REG(regs.a1), dtb);
	if (err)
		return vmm_report(err, "cannot set vCPU 0's registers: %s", strerror(-err));
	return 0;
}

int vmm_ioeventfd(void *opaque, u64 addr, int fd, bool attach)
{
	struct vmm *vmm = opaque;
	struct kvm_ioeventfd e = { .addr = addr, .len = 2, .fd = fd,
				   .flags = attach ? 0 : KVM_IOEVENTFD_FLAG_DEASSIGN };

	if (vmm->vm_fd < 0)
		return -ENODEV;
	return softvirt_ioctl(vmm->vm_fd, KVM_IOEVENTFD, &e) ? -errno : 0;
}

void vmm_set_external_irq(void *opaque, unsigned int hart, bool level)
{
	struct vmm *vmm = opaque;
	struct kvm_interrupt irq = { .irq = level ? KVM_INTERRUPT_SET : KVM_INTERRUPT_UNSET };

	if (hart < vmm->nr_vcpus)
		softvirt_ioctl(vmm->vcpu[hart].fd, KVM_INTERRUPT, &irq);
	if (level)
		vmm_wake(vmm);
}

/* --- exits ------------------------------------------------------------------------------ */

static void vcpu_mmio_exit(struct vcpu *vcpu)
{
	struct vmm *vmm = vcpu->vmm;
	struct kvm_run *run = vcpu->run;
	u64 addr = run->mmio.phys_addr, val = 0;
	unsigned int len = min(run->mmio.len, 8u);
	const struct mmio_region *r = mmio_bus_find(&vmm->bus, addr, len);

	vcpu->mmio_exits[r ? r - vmm->bus.region : MMIO_MAX_REGIONS]++;
	if (run->mmio.is_write) {
		memcpy(&val, run->mmio.data, len);
		if (r)
			r->ops->write(r->dev, addr - r->base, val, len);
	} else {
		if (r)
			val = r->ops->read(r->dev, addr - r->base, len);
		memcpy(run->mmio.data, &val, len);
	}
}

static void vcpu_system_event(struct vcpu *vcpu)
{
	struct kvm_run *run = vcpu->run;
	u64 reason = run->system_event.ndata ? run->system_event.data[0] : 0;

	switch (run->system_event.type) {
	case KVM_SYSTEM_EVENT_SHUTDOWN:
		/* SBI SRST: reason 0 is none, 1 a system failure. */
		vmm_request(vcpu->vmm, VMM_EXIT, reason ? 1 : 0);
		break;
	case KVM_SYSTEM_EVENT_RESET:
		vmm_request(vcpu->vmm, VMM_RESET, 0);
		break;
	case KVM_SYSTEM_EVENT_CRASH:
		vmm_report(0, "the guest says that it has crashed");
		vmm_request(vcpu->vmm, VMM_EXIT, 1);
		break;
	default:
		vmm_report(0, "vCPU %u: unknown system event %u", vcpu->id, run->system_event.type);
		vmm_request(vcpu->vmm, VMM_FAIL, 1);
	}
}

/* A CSR that KVM leaves to the VMM: the entropy source is the only one. */
static void vcpu_csr_exit(struct vcpu *vcpu)
{
	struct kvm_run *run = vcpu->run;
	u16 random = 0;

	run->riscv_csr.ret_value = 0;
	if (run->riscv_csr.csr_num == CSR_SEED &&
	    getrandom(&random, sizeof(random), 0) == sizeof(random))
		run->riscv_csr.ret_value = SEED_OPST_ES16 | random;
}

static void vcpu_exit(struct vcpu *vcpu)
{
	struct kvm_run *run = vcpu->run;

	vcpu->exits[min(run->exit_reason, VCPU_MAX_EXITS - 1u)]++;
	switch (run->exit_reason) {
	case KVM_EXIT_MMIO:
		vcpu_mmio_exit(vcpu);
		break;
	case KVM_EXIT_RISCV_SBI:
		vcpu_sbi_exit(vcpu);
		break;
	case KVM_EXIT_RISCV_CSR:
		vcpu_csr_exit(vcpu);
		break;
	case KVM_EXIT_SYSTEM_EVENT:
		vcpu_system_event(vcpu);
		break;
	case KVM_EXIT_INTR:
		break;
	default:
		vmm_report(0, "vCPU %u stopped with KVM exit %u, which this program does not know",
			   vcpu->id, run->exit_reason);
		vmm_request(vcpu->vmm, VMM_FAIL, 1);
	}
}

/* --- threads ---------------------------------------------------------------------------- */

static void vcpu_kicked(int signo)
{
	if (vcpu_current_run)
		__atomic_store_n(&vcpu_current_run->immediate_exit, 1, __ATOMIC_RELAXED);
}

static void vcpu_loop(struct vcpu *vcpu)
{
	struct vmm *vmm = vcpu->vmm;

	while (!__atomic_load_n(&vmm->stop, __ATOMIC_ACQUIRE)) {
		if (!softvirt_ioctl(vcpu->fd, KVM_RUN, 0)) {
			vcpu_exit(vcpu);
		} else if (errno == EINTR || errno == EAGAIN) {
			vcpu->exits[KVM_EXIT_INTR]++;
			__atomic_store_n(&vcpu->run->immediate_exit, 0, __ATOMIC_RELAXED);
		} else {
			vmm_report(0, "vCPU %u cannot run: %s", vcpu->id, strerror(errno));
			vmm_request(vmm, VMM_FAIL, 1);
			break;
		}
	}
}

static void *vcpu_thread(void *arg)
{
	struct vcpu *vcpu = arg;
	struct vmm *vmm = vcpu->vmm;
	struct timespec ts;
	sigset_t set;

	vcpu_current_run = vcpu->run;
	sigemptyset(&set);
	sigaddset(&set, VCPU_KICK);
	pthread_sigmask(SIG_UNBLOCK, &set, NULL);
	vcpu_loop(vcpu);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	vcpu_current_run = NULL;
	if (!clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts))
		vcpu->cpu_ns = ts.tv_sec * 1000000000ull + ts.tv_nsec;
	sv_mutex_lock(&vmm->lock);
	vmm->running--;
	sv_cond_broadcast(&vmm->stopped);
	sv_mutex_unlock(&vmm->lock);
	return NULL;
}

int vcpus_start(struct vmm *vmm)
{
	struct sigaction sa = { .sa_handler = vcpu_kicked };
	char name[16];
	unsigned int i;
	int err;

	sigemptyset(&sa.sa_mask);
	sigaction(VCPU_KICK, &sa, NULL);
	__atomic_store_n(&vmm->stop, false, __ATOMIC_RELEASE);
	for (i = 0; i < vmm->nr_vcpus; i++) {
		snprintf(name, sizeof(name), "vcpu-%u", i);
		sv_mutex_lock(&vmm->lock);
		vmm->running++;
		sv_mutex_unlock(&vmm->lock);
		err = sv_thread_create(&vmm->vcpu[i].thread, name, vcpu_thread, &vmm->vcpu[i]);
		if (err) {
			sv_mutex_lock(&vmm->lock);
			vmm->running--;
			sv_mutex_unlock(&vmm->lock);
			return vmm_report(err, "cannot start vCPU %u's thread: %s; say --smp %u", i,
					  strerror(-err), max(i, 1u));
		}
		vmm->vcpu[i].started = true;
	}
	return 0;
}

void vcpus_stop(struct vmm *vmm)
{
	unsigned int i;

	__atomic_store_n(&vmm->stop, true, __ATOMIC_RELEASE);
	vmm_wake(vmm);
	for (i = 0; i < vmm->nr_vcpus; i++) {
		struct vcpu *vcpu = &vmm->vcpu[i];

		if (!vcpu->started)
			continue;
		__atomic_store_n(&vcpu->run->immediate_exit, 1, __ATOMIC_RELAXED);
		/* The thread has not been joined, so its id is good even if it has ended. */
		pthread_kill(vcpu->thread.t, VCPU_KICK);
	}
}

bool vcpus_wait(struct vmm *vmm, int timeout_ms)
{
	u64 until = vmm_now_ns() + timeout_ms * 1000000ull;
	bool all;

	sv_mutex_lock(&vmm->lock);
	while (vmm->running && !sv_cond_wait_until(&vmm->stopped, &vmm->lock, until))
		;
	all = !vmm->running;
	sv_mutex_unlock(&vmm->lock);
	return all;
}

void vcpus_join(struct vmm *vmm)
{
	unsigned int i;

	for (i = 0; i < vmm->nr_vcpus; i++) {
		if (vmm->vcpu[i].started)
			sv_thread_join(&vmm->vcpu[i].thread);
		vmm->vcpu[i].started = false;
	}
}
