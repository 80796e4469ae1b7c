/* SPDX-License-Identifier: MIT */
/*
 * Virtio devices on the PCI host bridge, driven through configuration space and BARs as a
 * guest would, by a driver that makes every mistake.
 */
#include <sched.h>
#include <sys/file.h>

#include "unit.h"

#include "vmm/devices.h"
#include "vmm/pci.h"

#define RAM_BASE 0x80000000ull
#define RAM_SIZE 0x400000ull
#define MMIO_BASE 0x40000000ull
#define MMIO_SIZE 0x40000000ull
#define HIGH_BASE 0x400000000ull
#define BAR MMIO_BASE
#define QSIZE 16
#define DESC RAM_BASE
#define AVAIL (RAM_BASE + 0x1000)
#define USED (RAM_BASE + 0x2000)
#define DATA (RAM_BASE + 0x10000)
#define DISK_SIZE 65536u

enum { ACKNOWLEDGE = 1, DRIVER = 2, DRIVER_OK = 4, FEATURES_OK = 8, NEEDS_RESET = 0x40 };
enum { NEXT = 1, WRITE = 2 };
struct desc { u64 addr; u32 len; u16 flags, next; };

static struct guest_mem mem;
static struct pci_host host;
static struct device *dev;
static bool lines[PCI_NR_LINES];
static u64 ioeventfds[8];
static char disk_name[64];

static void set_line(void *opaque, unsigned int line, bool level)
{
	assert_true(line < PCI_NR_LINES);
	assert_int_not_equal(__atomic_exchange_n(&lines[line], level, __ATOMIC_SEQ_CST), level);
}

/* Remembers what is attached; an attachment is undone before the address is used again. */
static int ioeventfd(void *opaque, u64 addr, int fd, bool attach)
{
	for (unsigned int i = 0; i < ARRAY_SIZE(ioeventfds); i++) {
		if (ioeventfds[i] == (attach ? 0 : addr)) {
			ioeventfds[i] = attach ? addr : 0;
			return 0;
		}
	}
	fail_msg("ioeventfd at %llx", (unsigned long long)addr);
	return -ENOSPC;
}

static const struct virtio_env env = { .mem = &mem, .host = &host, .ioeventfd = ioeventfd };

static u64 cfg_rd(unsigned int slot, unsigned int reg, unsigned int size)
{
	return pci_ecam_ops.read(&host, slot << 15 | reg, size) & (~0ull >> (64 - 8 * size));
}

static void cfg_wr(unsigned int slot, unsigned int reg, u64 v, unsigned int size)
{
	pci_ecam_ops.write(&host, slot << 15 | reg, v, size);
}

static u64 rd(u64 off, unsigned int size)
{
	return pci_window_ops[0].read(&host, BAR - MMIO_BASE + off, size) & (~0ull >> (64 - 8 * size));
}

static void wr(u64 off, u64 v, unsigned int size)
{
	pci_window_ops[0].write(&host, BAR - MMIO_BASE + off, v, size);
}

static void make_disk(void)
{
	u8 data[DISK_SIZE];
	int fd;

	strcpy(disk_name, "/tmp/softvirt-unit-XXXXXX");
	fd = mkstemp(disk_name);
	assert_true(fd >= 0);
	for (unsigned int i = 0; i < sizeof(data); i++)
		data[i] = i >> 9;
	assert_int_equal(write(fd, data, sizeof(data)), sizeof(data));
	close(fd);
}

static void make_host(void)
{
	const struct pci_window windows[2] = { { MMIO_BASE, MMIO_SIZE }, { HIGH_BASE, 1ull << 34 } };

	memset(lines, 0, sizeof(lines));
	memset(ioeventfds, 0, sizeof(ioeventfds));
	assert_int_equal(guest_mem_init(&mem, RAM_BASE, RAM_SIZE), 0);
	pci_host_init(&host, windows, set_line, NULL);
}

static int setup(void **state)
{
	make_host();
	make_disk();
	dev = virtio_blk_create(&env, disk_name);
	assert_non_null(dev);
	cfg_wr(1, PCI_BASE_ADDRESS_0, BAR, 4);
	cfg_wr(1, PCI_COMMAND, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER, 2);
	return 0;
}

static int teardown(void **state)
{
	virtio_quiesce(dev->virtio);
	dev->destroy(dev);
	guest_mem_destroy(&mem);
	unlink(disk_name);
	return 0;
}

/* --- a driver --------------------------------------------------------------------------- */

static void negotiate(u64 features)
{
	wr(0x14, 0, 1);
	wr(0x14, ACKNOWLEDGE, 1);
	wr(0x14, ACKNOWLEDGE | DRIVER, 1);
	for (int i = 0; i < 2; i++) {
		wr(0x08, i, 4);
		wr(0x0c, (u32)(features >> 32 * i), 4);
	}
	wr(0x14, ACKNOWLEDGE | DRIVER | FEATURES_OK, 1);
}

static void set_queue(u16 size, u64 desc, u64 driver, u64 device)
{
	wr(0x16, 0, 2);
	wr(0x18, size, 2);
	wr(0x20, (u32)desc, 4);
	wr(0x24, desc >> 32, 4);
	wr(0x28, driver, 8);
	wr(0x30, (u32)device, 4);
	wr(0x34, device >> 32, 4);
	wr(0x1c, 1, 2);
}

static void start_with(u64 features)
{
	wr(0x14, 0, 1);
	memset(mem.host, 0, 0x3000);
	negotiate(features | VIRTIO_F_VERSION_1);
	set_queue(QSIZE, DESC, AVAIL, USED);
	wr(0x14, ACKNOWLEDGE | DRIVER | FEATURES_OK | DRIVER_OK, 1);
}

static void start(void)
{
	start_with(1 << 9);
	assert_int_equal(rd(0x14, 1), ACKNOWLEDGE | DRIVER | FEATURES_OK | DRIVER_OK);
}

static void *ptr(u64 gpa)
{
	return guest_mem_ptr(&mem, gpa, 1);
}

static void set_desc(unsigned int i, u64 addr, u32 len, u16 flags, u16 next)
{
	struct desc d = { addr, len, flags, next };

	memcpy(ptr(DESC + i * sizeof(d)), &d, sizeof(d));
}

static void submit(u16 head)
{
	u16 *avail = ptr(AVAIL);

	avail[2 + avail[1] % QSIZE] = head;
	__atomic_store_n(&avail[1], avail[1] + 1, __ATOMIC_RELEASE);
	wr(0x3000, 0, 2);
}

static u16 used_idx(void)
{
	return __atomic_load_n((u16 *)ptr(USED) + 1, __ATOMIC_ACQUIRE);
}

static void wait_used(u16 idx)
{
	while (used_idx() != idx)
		sched_yield();
}

static void wait_broken(void)
{
	while (!(rd(0x14, 1) & NEEDS_RESET))
		sched_yield();
}

/* A request in three descriptors from `first` on; the status byte is at DATA. */
static void blk_request(unsigned int first, u32 type, u64 sector, u64 addr, u32 len, bool in)
{
	u64 header[2] = { type, sector };

	memcpy(ptr(DATA + 0x10), header, sizeof(header));
	*(volatile u8 *)ptr(DATA) = 0xff;
	set_desc(first, DATA + 0x10, 16, NEXT, first + 1);
	set_desc(first + 1, addr, len, NEXT | (in ? WRITE : 0), first + 2);
	set_desc(first + 2, DATA, 1, WRITE, 0);
}

static u8 blk(u32 type, u64 sector, u64 addr, u32 len, bool in)
{
	u16 idx = used_idx();

	blk_request(0, type, sector, addr, len, in);
	submit(0);
	wait_used(idx + 1);
	return *(volatile u8 *)ptr(DATA);
}

/* --- configuration space ---------------------------------------------------------------- */

static void configuration_space_has_what_is_there(void **state)
{
	assert_int_equal(cfg_rd(0, 0, 4), 0x00081b36);
	assert_int_equal(cfg_rd(1, 0, 4), 0x10421af4);
	assert_int_equal(cfg_rd(1, 0, 8), 0x0010000610421af4);
	assert_int_equal(cfg_rd(1, 9, 1), 0);
	assert_int_equal(cfg_rd(1, 10, 2), 0x0180);
	assert_int_equal(cfg_rd(1, PCI_INTERRUPT_PIN, 1), 1);
	/* Other slots, functions and buses, and the space beyond 256 bytes. */
	assert_int_equal(cfg_rd(2, 0, 4), 0xffffffff);
	assert_int_equal(pci_ecam_ops.read(&host, 1 << 15 | 1 << 12, 4) & 0xffffffff, 0xffffffff);
	assert_int_equal(pci_ecam_ops.read(&host, 1 << 20, 4) & 0xffffffff, 0xffffffff);
	assert_int_equal(cfg_rd(1, 0x100, 4), 0);
	assert_int_equal(cfg_rd(1, 0xfc, 8) >> 32, 0);
	cfg_wr(1, 0, 0, 4);
	cfg_wr(1, PCI_INTERRUPT_PIN, 0, 1);
	cfg_wr(1, 0x1f8, ~0ull, 8);
	assert_int_equal(cfg_rd(1, 0, 4), 0x10421af4);
	assert_int_equal(cfg_rd(1, PCI_INTERRUPT_PIN, 1), 1);
	cfg_wr(1, PCI_INTERRUPT_LINE, 0x5a, 1);
	assert_int_equal(cfg_rd(1, PCI_INTERRUPT_LINE, 1), 0x5a);
}

static void a_bar_is_sized_and_moves(void **state)
{
	cfg_wr(1, PCI_COMMAND, 0, 2);
	cfg_wr(1, PCI_BASE_ADDRESS_0, 0xffffffff, 4);
	assert_int_equal(cfg_rd(1, PCI_BASE_ADDRESS_0, 4), 0xffffc000);
	cfg_wr(1, PCI_BASE_ADDRESS_0 + 4, 0xffffffff, 4);
	assert_int_equal(cfg_rd(1, PCI_BASE_ADDRESS_0 + 4, 4), 0);
	assert_int_equal(ioeventfds[0], 0);
	/* Outside of the windows nothing answers, and KVM is told nothing. */
	cfg_wr(1, PCI_COMMAND, PCI_COMMAND_MEMORY, 2);
	assert_int_equal(ioeventfds[0], 0);
	cfg_wr(1, PCI_BASE_ADDRESS_0, 0x3fffc000, 4);
	assert_int_equal(ioeventfds[0], 0);
	cfg_wr(1, PCI_BASE_ADDRESS_0, 0x7fffc000, 4);
	assert_int_equal(ioeventfds[0], 0x7ffff000);
	assert_int_equal(rd(0x12, 2), 0xffff);
	assert_int_equal(pci_window_ops[0].read(&host, 0x3fffc012, 2) & 0xffff, 1);
	cfg_wr(1, PCI_BASE_ADDRESS_0, 0x80000000, 4);
	assert_int_equal(ioeventfds[0], 0);
	cfg_wr(1, PCI_BASE_ADDRESS_0, BAR, 4);
	assert_int_equal(ioeventfds[0], BAR + 0x3000);
	assert_int_equal(rd(0x12, 2), 1);
	cfg_wr(1, PCI_COMMAND, 0, 2);
	assert_int_equal(ioeventfds[0], 0);
	assert_int_equal(rd(0x12, 2), 0xffff);
}

static unsigned int find_cap(unsigned int type)
{
	unsigned int at = cfg_rd(1, PCI_CAPABILITY_LIST, 1), steps = 0;

	while (at && cfg_rd(1, at + 3, 1) != type) {
		assert_true(++steps < 20);
		assert_int_equal(cfg_rd(1, at, 1), 9);
		at = cfg_rd(1, at + 1, 1);
	}
	assert_int_not_equal(at, 0);
	return at;
}

static void capabilities_name_the_structures(void **state)
{
	static const struct { unsigned int type; u32 offset, length; } want[] = {
		{ 1, 0, 0x38 }, { 2, 0x3000, 8 }, { 3, 0x1000, 1 }, { 4, 0x2000, 60 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(want); i++) {
		unsigned int at = find_cap(want[i].type);

		assert_int_equal(cfg_rd(1, at + 4, 1), 0);
		assert_int_equal(cfg_rd(1, at + 8, 4), want[i].offset);
		assert_int_equal(cfg_rd(1, at + 12, 4), want[i].length);
	}
	assert_int_equal(cfg_rd(1, find_cap(2) + 16, 4), 4);
}

static void the_window_in_configuration_space_reaches_the_bar(void **state)
{
	unsigned int at = find_cap(5);
	static const struct { u8 bar; u32 offset, length; } bad[] = {
		{ 1, 0x14, 1 }, { 0, 0x4000, 1 }, { 0, 0xffffffff, 1 }, { 0, 0x14, 0 }, { 0, 0x14, 3 },
		{ 0, 0x14, 8 }, { 0, 0x14, 0xffffffff }, { 0, 0x15, 2 }, { 0, 0x3ffe, 4 },
	};

	wr(0x14, ACKNOWLEDGE, 1);
	cfg_wr(1, at + 4, 0, 1);
	cfg_wr(1, at + 8, 0x14, 4);
	cfg_wr(1, at + 12, 1, 4);
	assert_int_equal(cfg_rd(1, at + 16, 1), ACKNOWLEDGE);
	cfg_wr(1, at + 16, ACKNOWLEDGE | DRIVER, 1);
	assert_int_equal(rd(0x14, 1), ACKNOWLEDGE | DRIVER);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		cfg_wr(1, at + 4, bad[i].bar, 1);
		cfg_wr(1, at + 8, bad[i].offset, 4);
		cfg_wr(1, at + 12, bad[i].length, 4);
		cfg_wr(1, at + 16, 0, 4);
		cfg_rd(1, at + 16, 4);
		assert_int_equal(rd(0x14, 1), ACKNOWLEDGE | DRIVER);
	}
}

/* --- negotiation ------------------------------------------------------------------------ */

static void features_are_what_was_offered(void **state)
{
	u64 offered;

	wr(0, 0, 4);
	offered = rd(4, 4);
	wr(0, 1, 4);
	offered |= rd(4, 4) << 32;
	assert_true(offered & VIRTIO_F_VERSION_1);
	wr(0, 2, 4);
	assert_int_equal(rd(4, 4), 0);
	/* Without VERSION_1, with something that was not offered, and rightly. */
	negotiate(offered & ~VIRTIO_F_VERSION_1);
	assert_int_equal(rd(0x14, 1), ACKNOWLEDGE | DRIVER);
	negotiate(offered | BIT(33));
	assert_int_equal(rd(0x14, 1), ACKNOWLEDGE | DRIVER);
	negotiate(offered);
	assert_int_equal(rd(0x14, 1), ACKNOWLEDGE | DRIVER | FEATURES_OK);
	/* What was agreed on stays. */
	wr(0x08, 0, 4);
	wr(0x0c, 0, 4);
	assert_int_equal(rd(0x0c, 4), (u32)offered);
	/* A bit of the status is not taken away but by a reset. */
	wr(0x14, ACKNOWLEDGE, 1);
	assert_int_equal(rd(0x14, 1), ACKNOWLEDGE | DRIVER | FEATURES_OK);
	wr(0x14, 0, 1);
	assert_int_equal(rd(0x14, 1), 0);
	assert_int_equal(rd(0x0c, 4), 0);
}

static void queues_that_do_not_exist(void **state)
{
	negotiate(VIRTIO_F_VERSION_1);
	wr(0x16, 1, 2);
	assert_int_equal(rd(0x18, 2), 0);
	wr(0x18, 16, 2);
	wr(0x20, 0x1000, 8);
	wr(0x1c, 1, 2);
	assert_int_equal(rd(0x1c, 2), 0);
	wr(0x16, 0xffff, 2);
	assert_int_equal(rd(0x20, 8), 0);
	wr(0x3004, 1, 2);
	wr(0x3ffc, 1, 4);
	wr(0x16, 0, 2);
	assert_int_equal(rd(0x18, 2), VIRTQ_MAX_SIZE);
	assert_int_equal(rd(0x14, 1), ACKNOWLEDGE | DRIVER | FEATURES_OK);
}

static void rings_outside_of_ram_break_the_device(void **state)
{
	negotiate(VIRTIO_F_VERSION_1);
	set_queue(QSIZE, 0x1000, AVAIL, USED);
	wait_broken();
	assert_int_equal(rd(0x1c, 2), 0);
	/* The interrupt tells that the configuration changed; reading takes it away. */
	assert_true(lines[1]);
	assert_int_equal(cfg_rd(1, PCI_STATUS, 2) & PCI_STATUS_INTERRUPT, PCI_STATUS_INTERRUPT);
	assert_int_equal(rd(0x1000, 1), 2);
	assert_int_equal(rd(0x1000, 1), 0);
	assert_false(lines[1]);
	assert_int_equal(cfg_rd(1, PCI_STATUS, 2) & PCI_STATUS_INTERRUPT, 0);
	start();
	assert_int_equal(blk(0, 0, DATA + 0x1000, 512, true), 0);
}

/* --- requests --------------------------------------------------------------------------- */

static void requests_read_write_and_flush(void **state)
{
	u8 *buf = ptr(DATA + 0x1000);
	u8 sector[512];
	int fd;

	start();
	assert_int_equal(blk(0, 3, DATA + 0x1000, 1024, true), 0);
	assert_int_equal(buf[0], 3);
	assert_int_equal(buf[1023], 4);
	assert_int_equal(((u32 *)ptr(USED))[2], 1025);
	memset(buf, 0xa5, 512);
	assert_int_equal(blk(1, 7, DATA + 0x1000, 512, false), 0);
	assert_int_equal(blk(4, 0, DATA + 0x1000, 0, false), 0);
	fd = open(disk_name, O_RDONLY);
	assert_int_equal(pread(fd, sector, 512, 7 * 512), 512);
	close(fd);
	assert_memory_equal(sector, buf, 512);
	assert_int_equal(blk(8, 0, DATA + 0x1000, 20, true), 0);
	assert_int_equal(blk(99, 0, DATA + 0x1000, 512, true), 2);
	assert_int_equal(rd(0x1000, 1), 1);
	assert_int_equal(rd(0x2000, 8), DISK_SIZE / 512);
}

static void requests_beyond_the_disk_are_errors(void **state)
{
	static const struct { u32 type; u64 sector; u32 len; } bad[] = {
		{ 0, DISK_SIZE / 512, 512 }, { 0, DISK_SIZE / 512 - 1, 1024 }, { 0, ~0ull, 512 },
		{ 0, 1ull << 55, 512 }, { 0, 0, DISK_SIZE + 512 }, { 0, 0, 511 }, { 0, 0, 513 },
		{ 1, DISK_SIZE / 512, 512 }, { 1, ~0ull, 1024 }, { 1, 1ull << 63, 512 }, { 1, 0, 1 },
		{ 11, 0, 15 }, { 13, 0, 17 }, { 11, 0, 0 }, { 13, 0, 16 * 17 },
	};

	start();
	memset(ptr(DATA + 0x1000), 0xff, 16 * 17);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(blk(bad[i].type, bad[i].sector, DATA + 0x1000, bad[i].len, !bad[i].type), 1);
	assert_int_equal(rd(0x14, 1) & NEEDS_RESET, 0);
	assert_int_equal(blk(0, 0, DATA + 0x1000, 512, true), 0);
}

static void zeroes_and_discards(void **state)
{
	struct { u64 sector; u32 nr, flags; } r = { 2, 2, 0 };
	u8 *buf = ptr(DATA + 0x2000);

	start();
	memcpy(ptr(DATA + 0x1000), &r, sizeof(r));
	assert_int_equal(blk(13, 0, DATA + 0x1000, 16, false), 0);
	assert_int_equal(blk(0, 1, DATA + 0x2000, 2048, true), 0);
	assert_int_equal(buf[0], 1);
	assert_int_equal(buf[512], 0);
	assert_int_equal(buf[1535], 0);
	assert_int_equal(buf[1536], 4);
	assert_int_equal(blk(11, 0, DATA + 0x1000, 16, false), 0);
	r.flags = 1;
	memcpy(ptr(DATA + 0x1000), &r, sizeof(r));
	assert_int_equal(blk(13, 0, DATA + 0x1000, 16, false), 0);
	assert_int_equal(blk(11, 0, DATA + 0x1000, 16, false), 2);
	r.flags = 2;
	memcpy(ptr(DATA + 0x1000), &r, sizeof(r));
	assert_int_equal(blk(13, 0, DATA + 0x1000, 16, false), 2);
	r.flags = 0;
	r.sector = DISK_SIZE / 512 - 1;
	memcpy(ptr(DATA + 0x1000), &r, sizeof(r));
	assert_int_equal(blk(13, 0, DATA + 0x1000, 16, false), 1);
	r.sector = ~0ull;
	memcpy(ptr(DATA + 0x1000), &r, sizeof(r));
	assert_int_equal(blk(13, 0, DATA + 0x1000, 16, false), 1);
}

static void a_file_that_became_shorter_is_an_error(void **state)
{
	start();
	assert_int_equal(truncate(disk_name, 4096), 0);
	assert_int_equal(blk(0, 7, DATA + 0x1000, 512, true), 0);
	assert_int_equal(blk(0, 7, DATA + 0x1000, 1024, true), 1);
	assert_int_equal(blk(0, 100, DATA + 0x1000, 512, true), 1);
}

static void expect_broken(void)
{
	u16 idx = used_idx();

	submit(0);
	wait_broken();
	assert_int_equal(used_idx(), idx);
	/* Nothing is done any more, whatever comes, until the reset. */
	blk_request(0, 0, 0, DATA + 0x1000, 512, true);
	submit(0);
	virtio_quiesce(dev->virtio);
	__atomic_store_n(&dev->virtio->stopping, false, __ATOMIC_RELEASE);
	assert_int_equal(used_idx(), idx);
	start();
	assert_int_equal(blk(0, 0, DATA + 0x1000, 512, true), 0);
}

static void requests_that_are_no_requests_break_the_device(void **state)
{
	start();
	/* No header, a short one, no status, a status in a readable part, a loop, no RAM. */
	set_desc(0, DATA, 1, WRITE, 0);
	expect_broken();
	set_desc(0, DATA, 15, NEXT, 1);
	set_desc(1, DATA, 1, WRITE, 0);
	expect_broken();
	set_desc(0, DATA, 16, 0, 0);
	expect_broken();
	set_desc(0, DATA, 16, NEXT, 1);
	set_desc(1, DATA, 512, 0, 0);
	expect_broken();
	set_desc(0, DATA, 16, NEXT, 0);
	expect_broken();
	set_desc(0, 0x1000, 16, NEXT, 1);
	expect_broken();
	set_desc(0, DATA, 16, NEXT, QSIZE);
	expect_broken();
	__atomic_fetch_add((u16 *)ptr(AVAIL) + 1, QSIZE, __ATOMIC_RELEASE);
	expect_broken();
}

/* A request may be cut into pieces anywhere; the header and the status, too. */
static void requests_in_any_pieces(void **state)
{
	u64 header[2] = { 0, 5 };
	unsigned int n = 0;

	start();
	memcpy(ptr(DATA + 0x10), header, sizeof(header));
	set_desc(n, DATA + 0x10, 7, NEXT, n + 1), n++;
	set_desc(n, DATA + 0x17, 9, NEXT, n + 1), n++;
	set_desc(n, DATA + 0x1000, 1, NEXT | WRITE, n + 1), n++;
	set_desc(n, DATA + 0x1001, 510, NEXT | WRITE, n + 1), n++;
	set_desc(n, DATA + 0x1200, 2, WRITE, 0);
	((u8 *)ptr(DATA + 0x1201))[0] = 0xff;
	submit(0);
	wait_used(1);
	assert_int_equal(((u8 *)ptr(DATA + 0x1000))[0], 5);
	assert_int_equal(((u8 *)ptr(DATA + 0x1200))[0], 5);
	assert_int_equal(((volatile u8 *)ptr(DATA + 0x1201))[0], 0);
}

static void many_requests_at_once(void **state)
{
	start();
	for (u16 round = 0; round < 2000; round++) {
		u16 *avail = ptr(AVAIL);
		u16 idx = used_idx();

		for (u16 i = 0; i < 5; i++) {
			blk_request(i * 3, 0, (round + i) % 128, DATA + 0x1000 * (i + 1), 512, true);
			/* Each has its own header and status. */
			memcpy(ptr(DATA + 0x100 + i * 0x20), ptr(DATA + 0x10), 16);
			set_desc(i * 3, DATA + 0x100 + i * 0x20, 16, NEXT, i * 3 + 1);
			avail[2 + (u16)(avail[1] + i) % QSIZE] = i * 3;
		}
		__atomic_store_n(&avail[1], avail[1] + 5, __ATOMIC_RELEASE);
		wr(0x3000, 0, 2);
		wait_used(idx + 5);
		for (u16 i = 0; i < 5; i++)
			assert_int_equal(((u8 *)ptr(DATA + 0x1000 * (i + 1)))[511], (round + i) % 128);
	}
	assert_int_equal(rd(0x14, 1) & NEEDS_RESET, 0);
}

static void nothing_happens_without_bus_mastering_or_driver_ok(void **state)
{
	start();
	cfg_wr(1, PCI_COMMAND, PCI_COMMAND_MEMORY, 2);
	blk_request(0, 0, 1, DATA + 0x1000, 512, true);
	submit(0);
	virtio_quiesce(dev->virtio);
	__atomic_store_n(&dev->virtio->stopping, false, __ATOMIC_RELEASE);
	assert_int_equal(used_idx(), 0);
	cfg_wr(1, PCI_COMMAND, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER, 2);
	wait_used(1);
	/* Available before the driver was ready: looked at then. */
	wr(0x14, 0, 1);
	memset(mem.host, 0, 0x3000);
	negotiate(VIRTIO_F_VERSION_1);
	set_queue(QSIZE, DESC, AVAIL, USED);
	blk_request(0, 0, 1, DATA + 0x1000, 512, true);
	submit(0);
	wr(0x14, ACKNOWLEDGE | DRIVER | FEATURES_OK | DRIVER_OK, 1);
	wait_used(1);
}

static void intx_can_be_disabled(void **state)
{
	start();
	blk(0, 0, DATA + 0x1000, 512, true);
	while (!__atomic_load_n(&lines[1], __ATOMIC_SEQ_CST))
		sched_yield();
	cfg_wr(1, PCI_COMMAND, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER | PCI_COMMAND_INTX_DISABLE, 2);
	assert_false(lines[1]);
	cfg_wr(1, PCI_COMMAND, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER, 2);
	assert_true(lines[1]);
	wr(0x14, 0, 1);
	assert_false(lines[1]);
}

static void the_machines_reset_is_power_on(void **state)
{
	u64 command = cfg_rd(1, PCI_COMMAND, 2);

	start();
	blk(0, 0, DATA + 0x1000, 512, true);
	virtio_quiesce(dev->virtio);
	rd(0x1000, 1);
	pci_host_reset(&host);
	virtio_reset(dev->virtio);
	assert_int_not_equal(command, 0);
	assert_int_equal(cfg_rd(1, PCI_COMMAND, 2), 0);
	assert_int_equal(cfg_rd(1, PCI_BASE_ADDRESS_0, 4), 0);
	assert_int_equal(ioeventfds[0], 0);
	cfg_wr(1, PCI_BASE_ADDRESS_0, BAR, 4);
	cfg_wr(1, PCI_COMMAND, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER, 2);
	assert_int_equal(rd(0x14, 1), 0);
	start();
	assert_int_equal(blk(0, 0, DATA + 0x1000, 512, true), 0);
}

/* Any access to any register, with rings that are sometimes right. */
static void random_register_accesses(void **state)
{
	static const u8 sizes[] = { 1, 2, 4, 8 };
	u64 rnd = 99;

	for (int i = 0; i < 60000; i++) {
		u64 r = unit_rand(&rnd), v = unit_rand(&rnd);
		unsigned int size = sizes[r & 3], off = (r >> 8) & 0x3fff & ~(size - 1);

		if (i % 500 == 0)
			start_with(v);
		if (r & 64)
			off = off % 0x40 & ~(size - 1);
		if (r & 128)
			memcpy(ptr(DESC + (v >> 32) % 0x3000), &v, 8);
		if (r & 16)
			wr(off, v, size);
		else
			rd(off, size);
		if ((r >> 32) % 64 == 0)
			cfg_wr(1, 0x40 + ((r >> 40) & 0xbc), v, 4);
	}
	start();
	assert_int_equal(blk(0, 0, DATA + 0x1000, 512, true), 0);
}

/* --- other devices ---------------------------------------------------------------------- */

static int rng_setup(void **state)
{
	make_host();
	strcpy(disk_name, "/nonexistent");
	dev = virtio_rng_create(&env);
	assert_non_null(dev);
	cfg_wr(1, PCI_BASE_ADDRESS_0, BAR, 4);
	cfg_wr(1, PCI_COMMAND, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER, 2);
	return 0;
}

static void the_entropy_device_fills_buffers(void **state)
{
	u8 zero[64] = { 0 };

	start_with(0);
	set_desc(0, DATA, 64, WRITE | NEXT, 1);
	set_desc(1, DATA + 0x1000, 0x100000, WRITE, 0);
	submit(0);
	wait_used(1);
	assert_int_equal(((u32 *)ptr(USED))[2], 65536);
	assert_memory_not_equal(ptr(DATA), zero, 64);
	assert_memory_not_equal(ptr(DATA + 0x1000), zero, 64);
	/* Nothing to fill is nothing filled. */
	set_desc(0, DATA, 64, 0, 0);
	submit(0);
	wait_used(2);
	assert_int_equal(((u32 *)ptr(USED))[4], 0);
}

static int net_setup(void **state)
{
	make_host();
	strcpy(disk_name, "/nonexistent");
	dev = virtio_net_create(&env);
	assert_non_null(dev);
	cfg_wr(1, PCI_BASE_ADDRESS_0, BAR, 4);
	cfg_wr(1, PCI_COMMAND, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER, 2);
	return 0;
}

/* Asks for the gateway's address on the wire; the answer comes into the other queue. */
static void the_network_answers_arp_and_drops_nonsense(void **state)
{
	static const u8 arp[42] = {
		0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x52, 0x54, 0, 0x12, 0x34, 0x56, 8, 6,
		0, 1, 8, 0, 6, 4, 0, 1, 0x52, 0x54, 0, 0x12, 0x34, 0x56, 10, 0, 2, 15,
		0, 0, 0, 0, 0, 0, 10, 0, 2, 2,
	};
	const u64 rx = RAM_BASE + 0x100000;
	u16 *tx_avail, *rx_used;
	struct desc d;

	memset(mem.host, 0, 0x3000);
	negotiate(VIRTIO_F_VERSION_1);
	wr(0x16, 1, 2);
	wr(0x18, QSIZE, 2);
	wr(0x20, DESC, 8);
	wr(0x28, AVAIL, 8);
	wr(0x30, USED, 8);
	wr(0x1c, 1, 2);
	set_queue(QSIZE, rx, rx + 0x1000, rx + 0x2000);
	wr(0x14, ACKNOWLEDGE | DRIVER | FEATURES_OK | DRIVER_OK, 1);
	assert_int_equal(rd(0x2000, 4), 0x12005452);
	/* One buffer to receive into, which is large enough. */
	d = (struct desc){ rx + 0x4000, 2048, WRITE, 0 };
	memcpy(ptr(rx), &d, sizeof(d));
	((u16 *)ptr(rx + 0x1000))[1] = 1;
	/* Too short to be a frame, too long, nothing but a header; then the question. */
	tx_avail = ptr(AVAIL);
	set_desc(0, DATA, 13, 0, 0);
	set_desc(1, DATA, 0x20000, 0, 0);
	set_desc(2, DATA, 12, 0, 0);
	set_desc(3, DATA, 12 + sizeof(arp), 0, 0);
	memcpy(ptr(DATA + 12), arp, sizeof(arp));
	for (u16 i = 0; i < 4; i++)
		tx_avail[2 + i] = i;
	__atomic_store_n(&tx_avail[1], 4, __ATOMIC_RELEASE);
	wr(0x3004, 1, 2);
	wait_used(4);
	rx_used = ptr(rx + 0x2000);
	while (!__atomic_load_n(&rx_used[1], __ATOMIC_ACQUIRE))
		sched_yield();
	assert_memory_equal((u8 *)ptr(rx + 0x4000) + 12, arp + 6, 6);
	assert_memory_equal((u8 *)ptr(rx + 0x4000) + 12 + 28, arp + 38, 4);
	assert_int_equal(rd(0x14, 1) & NEEDS_RESET, 0);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(configuration_space_has_what_is_there),
		T(a_bar_is_sized_and_moves),
		T(capabilities_name_the_structures),
		T(the_window_in_configuration_space_reaches_the_bar),
		T(features_are_what_was_offered),
		T(queues_that_do_not_exist),
		T(rings_outside_of_ram_break_the_device),
		T(requests_read_write_and_flush),
		T(requests_beyond_the_disk_are_errors),
		T(zeroes_and_discards),
		T(a_file_that_became_shorter_is_an_error),
		T(requests_that_are_no_requests_break_the_device),
		T(requests_in_any_pieces),
		T(many_requests_at_once),
		T(nothing_happens_without_bus_mastering_or_driver_ok),
		T(intx_can_be_disabled),
		T(the_machines_reset_is_power_on),
		T(random_register_accesses),
		cmocka_unit_test_setup_teardown(the_entropy_device_fills_buffers, rng_setup, teardown),
		cmocka_unit_test_setup_teardown(the_network_answers_arp_and_drops_nonsense, net_setup,
						teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
