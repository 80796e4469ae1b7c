/* SPDX-License-Identifier: MIT */
/*
 * --stats: what the VMM counted itself, and KVM's own counters, which it gives as binary
 * statistics (Documentation/virt/kvm/api.rst, 4.133).
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "softvirt/uapi/kvm.h"
#include "softvirt/uapi/kvm_riscv.h"
#include "vmm/vmm.h"

u64 vmm_now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000000000ull + ts.tv_nsec;
}

static void stats_take(struct vmm_stats *s, const char *name, u64 value)
{
	if (!strcmp(name, "instructions")) {
		s->instructions += value;
		s->has_instructions = true;
	} else if (!strcmp(name, "tlb_misses")) {
		s->tlb_misses += value;
		s->has_tlb_misses = true;
	}
}

static void stats_read(struct vmm_stats *s, int fd)
{
	struct kvm_stats_header h;
	struct kvm_stats_desc *d;
	size_t size;
	char name[64];
	u32 i;

	if (pread(fd, &h, sizeof(h), 0) != sizeof(h) || h.name_size > sizeof(name))
		return;
	size = sizeof(*d) + h.name_size;
	d = calloc(1, size);
	for (i = 0; d && i < h.num_desc; i++) {
		u64 value;

		if (pread(fd, d, size, h.desc_offset + i * size) != (ssize_t)size)
			break;
		memcpy(name, (char *)d + sizeof(*d), h.name_size);
		name[sizeof(name) - 1] = '\0';
		if (d->size == 1 &&
		    pread(fd, &value, sizeof(value), h.data_offset + d->offset) == sizeof(value))
			stats_take(s, name, value);
	}
	free(d);
}

void vmm_stats_collect(struct vmm *vmm, struct vcpu *vcpu)
{
	struct vmm_stats *s = &vmm->stats;
	unsigned int i;

	for (i = 0; i < VCPU_MAX_EXITS; i++)
		s->exits[i] += vcpu->exits[i];
	for (i = 0; i <= MMIO_MAX_REGIONS; i++)
		s->mmio_exits[i] += vcpu->mmio_exits[i];
	s->vcpu_cpu_ns += vcpu->cpu_ns;
	if (vcpu->stats_fd >= 0)
		stats_read(s, vcpu->stats_fd);
}

static const char *exit_name(unsigned int reason)
{
	switch (reason) {
	case KVM_EXIT_MMIO: return "mmio";
	case KVM_EXIT_RISCV_SBI: return "sbi";
	case KVM_EXIT_RISCV_CSR: return "csr";
	case KVM_EXIT_SYSTEM_EVENT: return "system event";
	case KVM_EXIT_INTR: return "interrupted";
	default: return "other";
	}
}

void vmm_stats_print(const struct vmm *vmm)
{
	const struct vmm_stats *s = &vmm->stats;
	double wall = s->wall_ns / 1e9, vcpu = s->vcpu_cpu_ns / 1e9, process = 0;
	struct rusage ru;
	unsigned int i;

	if (!getrusage(RUSAGE_SELF, &ru))
		process = ru.ru_utime.tv_sec + ru.ru_stime.tv_sec +
			  (ru.ru_utime.tv_usec + ru.ru_stime.tv_usec) / 1e6;
	fprintf(stderr, "softvirt boot: statistics\n");
	fprintf(stderr, "  wall time            %12.3f s\n", wall);
	fprintf(stderr, "  vCPU threads' time   %12.3f s\n", vcpu);
	fprintf(stderr, "  other threads' time  %12.3f s\n", process > vcpu ? process - vcpu : 0);
	fprintf(stderr, "  resets               %12u\n", s->resets);
	if (s->has_instructions) {
		fprintf(stderr, "  instructions         %12llu\n", (unsigned long long)s->instructions);
		fprintf(stderr, "  MIPS                 %12.1f\n",
			vcpu > 0 ? s->instructions / vcpu / 1e6 : 0.0);
	}
	if (s->has_tlb_misses)
		fprintf(stderr, "  TLB misses           %12llu\n", (unsigned long long)s->tlb_misses);
	for (i = 0; i < VCPU_MAX_EXITS; i++)
		if (s->exits[i])
			fprintf(stderr, "  exits: %-14s%12llu\n", exit_name(i),
				(unsigned long long)s->exits[i]);
	for (i = 0; i <= MMIO_MAX_REGIONS; i++)
		if (s->mmio_exits[i])
			fprintf(stderr, "    mmio: %-13s%12llu\n",
				i < vmm->bus.nr ? vmm->bus.region[i].name : "nothing there",
				(unsigned long long)s->mmio_exits[i]);
}
