/* SPDX-License-Identifier: MIT */
/* The RDMA function: regions of each kind, transfers, and what a revoke does to them. */
#include "device_env.h"

#include <linux/dma-heap.h>

#include "base/timer.h"
#include "devices/rnic_regs.h"
#include "softvirt/dma-buf.h"
#include "softvirt/softvirt.h"

#define IOVA(off) (MEM_IOVA + (off))
#define SQ 4096
#define CQ 16384
#define LOG2 5
#define DATA 65536		/* user memory that is registered */
#define BUF_SIZE (1u << 20)
#define ALL_ACCESS (RNIC_ACCESS_LOCAL_WRITE | RNIC_ACCESS_REMOTE_WRITE | RNIC_ACCESS_REMOTE_READ)
#define SHORT_NS 30000000ull	/* a deadline that is meant to be missed */

struct nic {
	struct device_env e;
	u32 tail, head;
};

static struct nic a, b;

static void nic_on(struct nic *n)
{
	n->tail = n->head = 0;
	memset(n->e.mem, 0, DATA);
	env_write(&n->e, RNIC_REG_SQ_BASE, 8, IOVA(SQ));
	env_write(&n->e, RNIC_REG_CQ_BASE, 8, IOVA(CQ));
	env_write(&n->e, RNIC_REG_SQ_LOG2, 4, LOG2);
	env_write(&n->e, RNIC_REG_CQ_LOG2, 4, LOG2);
	env_write(&n->e, RNIC_REG_CTRL, 4, RNIC_CTRL_ENABLE);
	assert_int_equal(env_read(&n->e, RNIC_REG_STATUS, 4), RNIC_STATUS_ENABLED);
}

static void nic_setup(struct nic *n, const char *spec)
{
	env_setup(&n->e, spec);
	assert_int_equal(env_read(&n->e, RNIC_REG_ID, 4), RNIC_ID);
	nic_on(n);
}

static void post(struct nic *n, struct rnic_wqe w)
{
	w.id = (u16)n->tail;
	memcpy(n->e.mem + SQ + (n->tail & ((1u << LOG2) - 1)) * sizeof(w), &w, sizeof(w));
	n->tail++;
	env_write(&n->e, RNIC_REG_SQ_TAIL, 4, n->tail);
}

static bool poll_cq(struct nic *n, struct rnic_cqe *c)
{
	struct rnic_cqe *at = (struct rnic_cqe *)(n->e.mem + CQ) + (n->head & ((1u << LOG2) - 1));

	if (__atomic_load_n(&at->phase, __ATOMIC_ACQUIRE) != !(n->head >> LOG2 & 1))
		return false;
	*c = *at;
	n->head++;
	env_write(&n->e, RNIC_REG_CQ_HEAD, 4, n->head);
	/* Not ignored, although the device may not have got beyond writing the entry. */
	assert_int_equal(env_read(&n->e, RNIC_REG_CQ_HEAD, 4), n->head);
	return true;
}

/* One entry and its completion. */
static struct rnic_cqe run(struct nic *n, struct rnic_wqe w)
{
	u16 id = (u16)n->tail;
	struct rnic_cqe c;

	post(n, w);
	env_until(poll_cq(n, &c));
	assert_int_equal(c.id, id);
	assert_int_equal(c.op, w.op);
	return c;
}

static u32 reg_user(struct nic *n, u64 iova, u64 len, u32 access)
{
	struct rnic_cqe c = run(n, (struct rnic_wqe){ .op = RNIC_OP_REG_USER, .addr = iova,
						      .length = len, .access = access });

	assert_int_equal(c.status, RNIC_OK);
	return c.value;
}

static struct rnic_cqe reg_buf(struct nic *n, int fd, u32 kind)
{
	return run(n, (struct rnic_wqe){ .op = RNIC_OP_REG_DMABUF, .fd = fd, .kind = kind,
					 .length = BUF_SIZE, .access = ALL_ACCESS });
}

static struct rnic_cqe transfer(struct nic *n, u8 op, u32 lkey, u64 addr, u32 dest, u32 rkey,
				u64 raddr, u32 len)
{
	return run(n, (struct rnic_wqe){ .op = op, .lkey = lkey, .addr = addr, .dest = dest,
					 .rkey = rkey, .raddr = raddr, .len = len });
}

static void dereg(struct nic *n, u32 key)
{
	assert_int_equal(run(n, (struct rnic_wqe){ .op = RNIC_OP_DEREG, .lkey = key }).status,
			 RNIC_OK);
}

static int heap_buffer(void)
{
	struct dma_heap_allocation_data d = { .len = BUF_SIZE, .fd_flags = O_RDWR | O_CLOEXEC };
	int heap = softvirt_open("/dev/dma_heap/system", O_RDWR);

	assert_true(heap >= 0);
	assert_int_equal(softvirt_ioctl(heap, DMA_HEAP_IOCTL_ALLOC, &d), 0);
	softvirt_close(heap);
	return (int)d.fd;
}

static u8 *map_buffer(int fd)
{
	u8 *p = softvirt_mmap(NULL, BUF_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	assert_ptr_not_equal(p, MAP_FAILED);
	return p;
}

static int setup(void **state)
{
	nic_setup(&a, "rnic");
	nic_setup(&b, "rnic");
	return 0;
}

static int teardown(void **state)
{
	env_teardown(&a.e);
	env_teardown(&b.e);
	return 0;
}

static void test_write_and_read_user_memory(void **state)
{
	u32 l = reg_user(&a, IOVA(DATA), 1u << 20, ALL_ACCESS);
	u32 r = reg_user(&a, IOVA(2u << 20), 1u << 20, ALL_ACCESS);
	struct rnic_cqe c;
	u64 seed = 3;

	for (unsigned i = 0; i < 1u << 20; i++)
		a.e.mem[DATA + i] = (u8)unit_rand(&seed);
	c = transfer(&a, RNIC_OP_WRITE, l, IOVA(DATA) + 5, RNIC_DEST_SELF, r, IOVA(2u << 20) + 9, 700001);
	assert_int_equal(c.status, RNIC_OK);
	assert_int_equal(c.value, 700001);
	assert_memory_equal(a.e.mem + (2u << 20) + 9, a.e.mem + DATA + 5, 700001);
	memset(a.e.mem + DATA, 0, 1u << 20);
	c = transfer(&a, RNIC_OP_READ, l, IOVA(DATA), RNIC_DEST_SELF, r, IOVA(2u << 20), 65537);
	assert_int_equal(c.status, RNIC_OK);
	assert_memory_equal(a.e.mem + DATA, a.e.mem + (2u << 20), 65537);
	dereg(&a, l);
	dereg(&a, r);
}

static void test_between_two_functions(void **state)
{
	u32 dest = (u32)b.e.pdev->domain << 16 | (u32)b.e.pdev->bus << 8 | b.e.pdev->devfn;
	u32 l = reg_user(&a, IOVA(DATA), 1u << 20, ALL_ACCESS);
	u32 r = reg_user(&b, IOVA(DATA), 1u << 20, ALL_ACCESS);

	memset(a.e.mem + DATA, 0x3c, 1u << 20);
	assert_int_equal(transfer(&a, RNIC_OP_WRITE, l, IOVA(DATA), dest, r, IOVA(DATA), 300000).status,
			 RNIC_OK);
	assert_memory_equal(b.e.mem + DATA, a.e.mem + DATA, 300000);
	assert_int_equal(b.e.mem[DATA + 300000], 0);
	/* No such function, and one that is no rnic. */
	assert_int_equal(transfer(&a, RNIC_OP_WRITE, l, IOVA(DATA), 0xfff8, r, IOVA(DATA), 1).status,
			 RNIC_REMOTE_ACCESS);
	dereg(&a, l);
	dereg(&b, r);
}

static void test_keys_ranges_and_rights(void **state)
{
	u32 l = reg_user(&a, IOVA(DATA), 4096, 0);
	u32 r = reg_user(&a, IOVA(DATA) + 8192, 4096, RNIC_ACCESS_REMOTE_READ);
	u32 self = RNIC_DEST_SELF;
	u64 la = IOVA(DATA), ra = IOVA(DATA) + 8192;

	assert_int_equal(transfer(&a, RNIC_OP_WRITE, l, la, self, r, ra, 8).status, RNIC_REMOTE_ACCESS);
	assert_int_equal(transfer(&a, RNIC_OP_READ, l, la, self, r, ra, 8).status, RNIC_LOCAL_PROTECTION);
	assert_int_equal(transfer(&a, RNIC_OP_WRITE, l + 1, la, self, r, ra, 8).status,
			 RNIC_LOCAL_PROTECTION);
	assert_int_equal(transfer(&a, RNIC_OP_WRITE, l, la + 4090, self, r, ra, 8).status,
			 RNIC_LOCAL_PROTECTION);
	assert_int_equal(transfer(&a, RNIC_OP_WRITE, l, la - 1, self, r, ra, 8).status,
			 RNIC_LOCAL_PROTECTION);
	assert_int_equal(transfer(&a, RNIC_OP_WRITE, 0xffffffff, la, self, r, ra, 8).status,
			 RNIC_LOCAL_PROTECTION);
	assert_int_equal(run(&a, (struct rnic_wqe){ .op = 77 }).status, RNIC_BAD_OP);
	assert_int_equal(run(&a, (struct rnic_wqe){ .op = RNIC_OP_REG_USER }).status,
			 RNIC_LOCAL_PROTECTION);
	assert_int_equal(run(&a, (struct rnic_wqe){ .op = RNIC_OP_DEREG, .lkey = 5 }).status,
			 RNIC_LOCAL_PROTECTION);
	dereg(&a, l);
	/* The old key stays dead when its slot is used again. */
	for (unsigned i = 0; i < RNIC_MAX_MRS + 10; i++) {
		u32 k = reg_user(&a, la, 8, 0);

		assert_int_not_equal(k, l);
		dereg(&a, k);
	}
	assert_int_equal(transfer(&a, RNIC_OP_WRITE, l, la, self, r, ra, 8).status, RNIC_LOCAL_PROTECTION);
	dereg(&a, r);
	assert_int_equal(env_read(&a.e, RNIC_REG_NR_MRS, 4), 0);
}

static void test_unmapped_user_memory(void **state)
{
	u32 l = reg_user(&a, IOVA(DATA), 4096, ALL_ACCESS);
	u32 r = reg_user(&a, 0x1000, 4096, ALL_ACCESS);
	struct rnic_cqe c = transfer(&a, RNIC_OP_WRITE, l, IOVA(DATA), RNIC_DEST_SELF, r, 0x1000, 64);

	assert_int_equal(c.status, RNIC_DMA_FAULT);
	assert_int_equal(c.addr, 0x1000);
	dereg(&a, l);
	dereg(&a, r);
}

static void test_bad_descriptors(void **state)
{
	int fd = heap_buffer(), other = open("/dev/null", O_RDWR);
	struct rnic_wqe w = { .op = RNIC_OP_REG_DMABUF, .length = BUF_SIZE, .fd = other };

	assert_int_equal(run(&a, w).status, RNIC_BAD_FD);
	w.fd = -1;
	assert_int_equal(run(&a, w).status, RNIC_BAD_FD);
	w.fd = fd;
	w.offset = 4096;
	assert_int_equal(run(&a, w).status, RNIC_BAD_FD);
	w.offset = ~0ull - 10;
	w.length = 5;
	assert_int_equal(run(&a, w).status, RNIC_BAD_FD);
	w.offset = 0;
	w.kind = 9;
	assert_int_equal(run(&a, w).status, RNIC_LOCAL_PROTECTION);
	close(other);
	softvirt_close(fd);
}

static void test_kinds_over_a_buffer(void **state)
{
	for (u32 kind = RNIC_MR_ON_DEMAND; kind <= RNIC_MR_PINNED; kind++) {
		int fd = heap_buffer();
		u8 *p = map_buffer(fd);
		u32 l = reg_user(&a, IOVA(DATA), 1u << 20, ALL_ACCESS);
		struct rnic_cqe c = reg_buf(&a, fd, kind);
		u32 r = c.value;

		assert_int_equal(c.status, RNIC_OK);
		/* The region outlives the descriptor. */
		softvirt_close(fd);
		memset(a.e.mem + DATA, (int)kind + 1, 1u << 20);
		c = transfer(&a, RNIC_OP_WRITE, l, IOVA(DATA), RNIC_DEST_SELF, r, 100, 500000);
		assert_int_equal(c.status, RNIC_OK);
		assert_int_equal(p[99], 0);
		assert_memory_equal(p + 100, a.e.mem + DATA, 500000);
		assert_int_equal(p[500100], 0);
		memset(p, 0x77, BUF_SIZE);
		c = transfer(&a, RNIC_OP_READ, l, IOVA(DATA), RNIC_DEST_SELF, r, 0, BUF_SIZE);
		assert_int_equal(c.status, RNIC_OK);
		assert_memory_equal(p, a.e.mem + DATA, BUF_SIZE);
		dereg(&a, l);
		dereg(&a, r);
		munmap(p, BUF_SIZE);
	}
}

/* A region of this kind over a new buffer, used once; the buffer with a reference. */
static struct dma_buf *used_region(struct nic *n, u32 kind, u32 *lkey, u32 *rkey)
{
	int fd = heap_buffer();
	struct dma_buf *buf = dma_buf_get(fd);
	struct rnic_cqe c;

	assert_false(IS_ERR(buf));
	c = reg_buf(n, fd, kind);
	assert_int_equal(c.status, RNIC_OK);
	*rkey = c.value;
	*lkey = reg_user(n, IOVA(DATA), 1u << 20, ALL_ACCESS);
	softvirt_close(fd);
	assert_int_equal(transfer(n, RNIC_OP_WRITE, *lkey, IOVA(DATA), RNIC_DEST_SELF, *rkey, 0, 8192).status,
			 RNIC_OK);
	return buf;
}

static u8 write_status(struct nic *n, u32 l, u32 r)
{
	return transfer(n, RNIC_OP_WRITE, l, IOVA(DATA), RNIC_DEST_SELF, r, 0, 8192).status;
}

static void test_revoke_on_demand_comes_back(void **state)
{
	struct dma_buf *buf;
	u32 l, r;

	buf = used_region(&a, RNIC_MR_ON_DEMAND, &l, &r);
	for (unsigned i = 0; i < 20; i++) {
		assert_int_equal(dma_buf_revoke(buf, DMA_DEADLINE_NEVER), 0);
		assert_int_equal(write_status(&a, l, r), RNIC_REVOKED);
		assert_int_equal(dma_buf_restore(buf), 0);
		assert_int_equal(write_status(&a, l, r), RNIC_OK);
	}
	dereg(&a, l);
	dereg(&a, r);
	dma_buf_put(buf);
}

static void test_revoke_pinned_is_for_ever(void **state)
{
	struct dma_buf *buf;
	u32 l, r, k;

	buf = used_region(&a, RNIC_MR_PINNED_REVOCABLE, &l, &r);
	assert_int_equal(dma_buf_revoke(buf, DMA_DEADLINE_NEVER), 0);
	assert_int_equal(write_status(&a, l, r), RNIC_REVOKED);
	assert_int_equal(dma_buf_restore(buf), 0);
	assert_int_equal(write_status(&a, l, r), RNIC_REVOKED);
	/* Its key is nobody else's before it is deregistered. */
	for (unsigned i = 0; i < RNIC_MAX_MRS; i++) {
		k = reg_user(&a, IOVA(DATA), 8, 0);
		assert_int_not_equal(k, r);
		assert_int_not_equal(k >> 8, r >> 8);
		dereg(&a, k);
	}
	dereg(&a, l);
	dereg(&a, r);
	dma_buf_put(buf);
}

static bool late_names(struct dma_buf *buf, const struct nic *n)
{
	struct dma_buf_late late[4];
	unsigned nr = dma_buf_late(buf, late, 4);

	for (unsigned i = 0; i < nr && i < 4; i++)
		if (late[i].kind == DMA_BUF_LATE_MAPPING && !strcmp(late[i].name, n->e.pdev->name))
			return true;
	return false;
}

static void test_revoke_pinned_legacy_is_late(void **state)
{
	struct dma_buf *buf;
	u32 l, r;

	buf = used_region(&a, RNIC_MR_PINNED, &l, &r);
	assert_int_equal(dma_buf_revoke(buf, sv_now_ns() + SHORT_NS), -ETIMEDOUT);
	assert_true(late_names(buf, &a));
	dereg(&a, r);
	assert_int_equal(dma_buf_revoke(buf, DMA_DEADLINE_NEVER), 0);
	dereg(&a, l);
	dma_buf_put(buf);
}

static void test_late_unmap(void **state)
{
	struct nic n = { 0 };
	struct dma_buf *buf;
	u32 l, r;

	nic_setup(&n, "rnic,late-unmap=20");
	for (u32 kind = RNIC_MR_ON_DEMAND; kind <= RNIC_MR_PINNED_REVOCABLE; kind++) {
		buf = used_region(&n, kind, &l, &r);
		assert_int_equal(dma_buf_revoke(buf, DMA_DEADLINE_NEVER), 0);
		assert_int_equal(write_status(&n, l, r), RNIC_REVOKED);
		dereg(&n, l);
		dereg(&n, r);
		dma_buf_put(buf);
	}
	env_teardown(&n.e);
}

static void test_never_unmap(void **state)
{
	struct nic n = { 0 };
	struct dma_buf *buf;
	u32 l, r;

	nic_setup(&n, "rnic,never-unmap");
	buf = used_region(&n, RNIC_MR_ON_DEMAND, &l, &r);
	assert_int_equal(dma_buf_revoke(buf, sv_now_ns() + SHORT_NS), -ETIMEDOUT);
	assert_true(late_names(buf, &n));
	/* Late it is, but it does not write. */
	assert_int_equal(write_status(&n, l, r), RNIC_REVOKED);
	dereg(&n, r);
	assert_int_equal(dma_buf_revoke(buf, DMA_DEADLINE_NEVER), 0);
	dereg(&n, l);
	dma_buf_put(buf);
	env_teardown(&n.e);
}

static void test_a_device_that_dies(void **state)
{
	struct nic n = { 0 };
	struct dma_buf *buf;
	u32 l, r;

	nic_setup(&n, "rnic,die-on=4");
	buf = used_region(&n, RNIC_MR_PINNED_REVOCABLE, &l, &r);	/* three entries */
	post(&n, (struct rnic_wqe){ .op = RNIC_OP_NOP });
	env_until(env_read(&n.e, RNIC_REG_STATUS, 4) & RNIC_STATUS_FATAL);
	assert_int_equal(dma_buf_revoke(buf, sv_now_ns() + SHORT_NS), -ETIMEDOUT);
	assert_true(late_names(buf, &n));
	pci_reset(n.e.pdev, PCI_RESET_FLR);
	assert_int_equal(dma_buf_revoke(buf, DMA_DEADLINE_NEVER), 0);
	dma_buf_put(buf);
	env_teardown(&n.e);
}

static void test_queues_out_of_reach_are_fatal(void **state)
{
	struct nic n = { 0 };

	nic_setup(&n, "rnic");
	env_write(&n.e, RNIC_REG_CTRL, 4, 0);
	env_write(&n.e, RNIC_REG_CQ_BASE, 8, 0x4000);
	env_write(&n.e, RNIC_REG_CTRL, 4, RNIC_CTRL_ENABLE);
	post(&n, (struct rnic_wqe){ .op = RNIC_OP_NOP });
	env_until(env_read(&n.e, RNIC_REG_STATUS, 4) & RNIC_STATUS_FATAL);
	env_write(&n.e, RNIC_REG_CTRL, 4, RNIC_CTRL_RESET);
	nic_on(&n);
	assert_int_equal(run(&n, (struct rnic_wqe){ .op = RNIC_OP_NOP }).status, RNIC_OK);
	env_teardown(&n.e);
}

static void test_full_completion_queue_waits(void **state)
{
	struct rnic_cqe c;
	u32 first = a.tail;

	for (unsigned i = 0; i < 1u << LOG2; i++)
		post(&a, (struct rnic_wqe){ .op = RNIC_OP_NOP });
	env_until(env_read(&a.e, RNIC_REG_CQ_TAIL, 4) == first + (1u << LOG2));
	/* More than fits is not taken. */
	env_write(&a.e, RNIC_REG_SQ_TAIL, 4, a.tail + 1000);
	assert_int_equal(env_read(&a.e, RNIC_REG_SQ_TAIL, 4), a.tail);
	post(&a, (struct rnic_wqe){ .op = RNIC_OP_NOP });
	for (unsigned i = 0; i < (1u << LOG2) + 1; i++) {
		env_until(poll_cq(&a, &c));
		assert_int_equal(c.id, (u16)(first + i));
	}
}

static void test_interrupt_on_request(void **state)
{
	unsigned before = __atomic_load_n(&a.e.irqs, __ATOMIC_SEQ_CST);

	run(&a, (struct rnic_wqe){ .op = RNIC_OP_NOP });
	run(&a, (struct rnic_wqe){ .op = RNIC_OP_NOP, .flags = RNIC_WQE_INTERRUPT });
	env_until(__atomic_load_n(&a.e.irqs, __ATOMIC_SEQ_CST) == before + 1);
}

/* Somebody takes the buffer away and gives it back while the device writes to it. */
struct taker {
	struct dma_buf *buf;
	u8 *p;
	bool stop;
	unsigned long revokes;
};

static void *taker_thread(void *arg)
{
	struct taker *t = arg;

	while (!__atomic_load_n(&t->stop, __ATOMIC_RELAXED)) {
		assert_int_equal(dma_buf_revoke(t->buf, DMA_DEADLINE_NEVER), 0);
		t->revokes++;
		assert_int_equal(dma_buf_restore(t->buf), 0);
	}
	return NULL;
}

static void test_revokes_under_load(void **state)
{
	struct taker t = { 0 };
	struct sv_thread thread;
	unsigned ok = 0, revoked = 0;
	u32 l, r;

	t.buf = used_region(&a, RNIC_MR_ON_DEMAND, &l, &r);
	assert_int_equal(sv_thread_create(&thread, "taker", taker_thread, &t), 0);
	while (ok < 300 || revoked < 5) {
		u8 status = write_status(&a, l, r);

		assert_true(status == RNIC_OK || status == RNIC_REVOKED);
		ok += status == RNIC_OK;
		revoked += status == RNIC_REVOKED;
	}
	__atomic_store_n(&t.stop, true, __ATOMIC_RELAXED);
	sv_thread_join(&thread);
	dereg(&a, l);
	dereg(&a, r);
	dma_buf_put(t.buf);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_write_and_read_user_memory),
		cmocka_unit_test(test_between_two_functions),
		cmocka_unit_test(test_keys_ranges_and_rights),
		cmocka_unit_test(test_unmapped_user_memory),
		cmocka_unit_test(test_bad_descriptors),
		cmocka_unit_test(test_kinds_over_a_buffer),
		cmocka_unit_test(test_revoke_on_demand_comes_back),
		cmocka_unit_test(test_revoke_pinned_is_for_ever),
		cmocka_unit_test(test_revoke_pinned_legacy_is_late),
		cmocka_unit_test(test_late_unmap),
		cmocka_unit_test(test_never_unmap),
		cmocka_unit_test(test_a_device_that_dies),
		cmocka_unit_test(test_queues_out_of_reach_are_fatal),
		cmocka_unit_test(test_full_completion_queue_waits),
		cmocka_unit_test(test_interrupt_on_request),
		cmocka_unit_test(test_revokes_under_load),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
