/* SPDX-License-Identifier: MIT */
/* KVM_GET_STATS_FD of a VM and of a vCPU */
#include <stdlib.h>

#include "abi.h"

struct stats {
	struct kvm_stats_header h;
	u8 *descs;
	size_t desc_size;
	int fd;
};

static void read_header(struct stats *s, int fd)
{
	s->fd = fd;
	assert_true(fd >= 0);
	assert_int_equal(pread(fd, &s->h, sizeof(s->h), 0), sizeof(s->h));
	assert_int_equal(s->h.flags, 0);
	assert_int_equal(s->h.name_size, 48);
	assert_true(s->h.num_desc > 0);
	s->desc_size = sizeof(struct kvm_stats_desc) + s->h.name_size;
	s->descs = malloc(s->desc_size * s->h.num_desc);
	assert_int_equal(pread(fd, s->descs, s->desc_size * s->h.num_desc, s->h.desc_offset),
			 s->desc_size * s->h.num_desc);
}

static const struct kvm_stats_desc *desc(const struct stats *s, u32 i)
{
	return (const void *)(s->descs + i * s->desc_size);
}

static void check_descriptors(struct stats *s)
{
	u64 end = 0;

	for (u32 i = 0; i < s->h.num_desc; i++) {
		const struct kvm_stats_desc *d = desc(s, i);
		u64 v;

		assert_true((d->flags & KVM_STATS_TYPE_MASK) <= KVM_STATS_TYPE_MAX);
		assert_true((d->flags & KVM_STATS_UNIT_MASK) <= KVM_STATS_UNIT_BOOLEAN);
		assert_true(d->size >= 1);
		assert_true(strlen(d->name) > 0 && strlen(d->name) < s->h.name_size);
		assert_int_equal(d->offset, end);	/* nothing between, nothing twice */
		end = d->offset + d->size * 8;
		assert_int_equal(pread(s->fd, &v, 8, s->h.data_offset + d->offset), 8);
	}
}

static u64 value(const struct stats *s, const char *name)
{
	u64 v = 0;

	for (u32 i = 0; i < s->h.num_desc; i++)
		if (!strcmp(desc(s, i)->name, name)) {
			assert_int_equal(pread(s->fd, &v, 8, s->h.data_offset + desc(s, i)->offset), 8);
			return v;
		}
	fail_msg("no statistic is called %s", name);
	return 0;
}

static void put(struct stats *s)
{
	free(s->descs);
	close(s->fd);
}

static void a_vcpu_counts_its_exits(void **state)
{
	struct stats s;
	struct abi a;

	abi_up(&a);
	abi_guest(&a, DONE(T0), DONE(T0));
	abi_run_done(&a);
	read_header(&s, softvirt_ioctl(a.vcpu, KVM_GET_STATS_FD, 0));
	check_descriptors(&s);
	/* What was counted before the descriptor existed is in it. */
	assert_int_equal(value(&s, "mmio_exit_user"), 1);
	abi_run_done(&a);
	assert_int_equal(value(&s, "mmio_exit_user"), 2);
	assert_true(value(&s, "exits") >= 2);
	assert_true(value(&s, "instructions") >= 4);
	put(&s);
	abi_down(&a);
}

static void a_vm_counts_flushes(void **state)
{
	struct stats s;
	struct abi a;

	abi_up(&a);
	read_header(&s, softvirt_ioctl(a.vm, KVM_GET_STATS_FD, 0));
	check_descriptors(&s);
	assert_int_equal(value(&s, "remote_tlb_flush"), 0);
	assert_return_code(abi_region(a.vm, 0, 0, ABI_RAM, 0, NULL), errno);
	assert_int_equal(value(&s, "remote_tlb_flush"), 1);
	put(&s);
	abi_down(&a);
}

static void two_descriptors_have_two_positions(void **state)
{
	struct kvm_stats_header h, g;
	struct abi a;
	int one, two;

	abi_up(&a);
	one = softvirt_ioctl(a.vcpu, KVM_GET_STATS_FD, 0);
	two = softvirt_ioctl(a.vcpu, KVM_GET_STATS_FD, 0);
	assert_int_equal(read(one, &h, sizeof(h)), sizeof(h));
	assert_int_equal(read(two, &g, sizeof(g)), sizeof(g));
	assert_memory_equal(&h, &g, sizeof(h));
	close(one);
	close(two);
	abi_down(&a);
}

static void it_can_only_be_read_and_outlives_the_vm(void **state)
{
	struct kvm_stats_header h;
	struct abi a;
	int fd;

	abi_up(&a);
	fd = softvirt_ioctl(a.vcpu, KVM_GET_STATS_FD, 0);
	assert_int_equal(write(fd, "x", 1), -1);
	assert_int_equal(errno, EBADF);
	assert_ptr_equal(mmap(NULL, 4096, PROT_WRITE, MAP_SHARED, fd, 0), MAP_FAILED);
	abi_down(&a);
	assert_int_equal(read(fd, &h, sizeof(h)), sizeof(h));
	close(fd);
}

static void stats_fd_survives_every_failure(void **state)
{
	struct abi a;
	int before, fd;

	abi_up(&a);
	before = abi_count_fds();
	for (unsigned int n = 1; ; n++) {
		sv_fault_inject(n);
		fd = softvirt_ioctl(a.vcpu, KVM_GET_STATS_FD, 0);
		if (!sv_fault_fired())
			break;
		assert_int_equal(fd, -1);
		assert_true(errno == ENOMEM || errno == EMFILE);
		/* The memory behind it may stay for the next call: one descriptor at most. */
		assert_true(abi_count_fds() <= before + 1);
	}
	sv_fault_inject(0);
	assert_true(fd >= 0);
	close(fd);
	abi_down(&a);
	assert_int_equal(abi_count_fds(), before - 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_vcpu_counts_its_exits),
		cmocka_unit_test(a_vm_counts_flushes),
		cmocka_unit_test(two_descriptors_have_two_positions),
		cmocka_unit_test(it_can_only_be_read_and_outlives_the_vm),
		cmocka_unit_test(stats_fd_survives_every_failure),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
