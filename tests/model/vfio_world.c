/* SPDX-License-Identifier: MIT */
/*
 * The parts of the library that the model of vfio.c leaves out, and what stands in their place:
 * descriptors (two buffers, files that are counted), a BAR whose memory is an array, the caller's
 * memory, which never faults, and interrupts and mmaps of a VFIO device, which have no part in it.
 *
 * pt_init and pt_destroy are wrapped by the linker: the model knows every page table that exists.
 */
#include "vfio_world.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/guard.h"
#include "base/libc.h"
#include "base/refcount.h"
#include "base/trace.h"
#include "base/trap_region.h"
#include "explore.h"
#include "file/file.h"
#include "file/forked.h"
#include "iommu/page_table.h"
#include "pci/impl.h"
#include "softvirt/dma-buf.h"
#include "vfio/vfio.h"

/* base */
struct sv_libc sv_libc = {
	.open = open, .close = close, .mmap = mmap, .fcntl = fcntl, .syscall = syscall,
};
__thread unsigned sv_fault_countdown __attribute__((tls_model("initial-exec")));
bool sv_fault_slow(void) { return false; }
void sv_trace_slow(struct sv_tracepoint *tp, const char *fmt, ...) { tp->state = SV_TRACE_OFF; }

void *sv_alloc_aligned(size_t align, size_t size)
{
	void *p = sv_alloc(0), *aligned = NULL;

	/* Counted by the explorer as every other. */
	free(p);
	if (posix_memalign(&aligned, align, size))
		model_fail("no memory");
	return aligned;
}

void *sv_realloc_array(void *p, size_t n, size_t size) { return sv_realloc(p, n * size); }

void sv_guard_push(struct sv_guard *g) { }
void sv_guard_leave(struct sv_guard *g) { }

__thread const struct sv_user_ops *sv_user_foreign;

int sv_copy_guarded(void *dst, const void *src, size_t n)
{
	memmove(dst, src, n);
	return 0;
}

int sv_copy_from_user(void *dst, const void *src, size_t n) { return sv_copy_guarded(dst, src, n); }
int sv_copy_to_user(void *dst, const void *src, size_t n) { return sv_copy_guarded(dst, src, n); }

int sv_clear_user(void *dst, size_t n)
{
	memset(dst, 0, n);
	return 0;
}

int sv_trap_region_read(const void *addr, void *dst, size_t len) { return -ENOENT; }
int sv_trap_region_write(void *addr, const void *src, size_t len) { return -ENOENT; }

/* file */
struct sv_file {
	refcount_t refs;
	const struct sv_file_ops *ops;
	void *priv;
};

int sv_file_create(const struct sv_file_ops *ops, void *priv, enum sv_backing backing, size_t size,
		   int o_flags, struct sv_file **out)
{
	struct sv_file *f = sv_zalloc(sizeof(*f));

	refcount_set(&f->refs, 1);
	f->ops = ops;
	f->priv = priv;
	*out = f;
	return 0;
}

struct sv_file *sv_file_get(struct sv_file *f)
{
	refcount_inc(&f->refs);
	return f;
}

void sv_file_put(struct sv_file *f)
{
	sv_model_point(&f->refs, true);
	if (!refcount_dec_and_test(&f->refs))
		return;
	if (f->ops->release)
		f->ops->release(f);
	sv_free(f);
}

void *sv_file_priv(const struct sv_file *f) { return f->priv; }
const struct sv_file_ops *sv_file_get_ops(const struct sv_file *f) { return f->ops; }
/* Nobody forks. */
bool sv_file_is_foreign(const struct sv_file *f) { return false; }
int sv_caller_fd(int fd) { return fd; }
void sv_caller_fd_put(int caller_fd, int fd) { }
struct sv_lender *sv_caller_lender(void) { return ERR_PTR(-EIO); }
void sv_lender_put(struct sv_lender *l) { }
int sv_lender_map(struct sv_lender *l, u64 addr, u64 len, bool writable, void *at) { return -EFAULT; }

int sv_file_install(struct sv_file *f) { return -EMFILE; }
int sv_file_backing_fd(const struct sv_file *f) { return -1; }
int sv_file_number(const struct sv_file *f) { return -1; }
struct sv_file *sv_fget(int fd, const struct sv_file_ops *ops) { return NULL; }
bool sv_fd_is(int fd, const struct sv_file *f) { return false; }
__thread unsigned sv_mem_quiet;
struct sv_file *sv_fd_adopt(int fd) { return NULL; }

long world_ioctl(struct sv_file *f, unsigned int cmd, void *arg, size_t size)
{
	struct sv_ioctl_ctx c = {
		.cmd = cmd, .value = (unsigned long)arg, .buf = arg, .size = size, .user_size = size,
	};
	long ret = -ENOTTY;

	sv_file_get(f);
	for (size_t i = 0; i < f->ops->nr_ioctls; i++)
		if (f->ops->ioctls[i].cmd == cmd)
			ret = f->ops->ioctls[i].fn(f, &c);
	sv_file_put(f);
	return ret;
}

/* dmabuf */
struct dma_buf *buffer, *second;

void dma_buf_file_fini(struct dma_buf *dmabuf) { }
void dma_buf_debug_add(struct dma_buf *dmabuf) { }
void dma_buf_debug_del(struct dma_buf *dmabuf) { }

int dma_buf_fd(struct dma_buf *dmabuf, int flags)
{
	get_dma_buf(dmabuf);
	if (buffer) {
		model_assert(!second, "internal: a third buffer");
		second = dmabuf;
		return BUFFER_FD + 1;
	}
	buffer = dmabuf;
	return BUFFER_FD;
}

struct dma_buf *dma_buf_get(int fd)
{
	if (fd != BUFFER_FD)
		return ERR_PTR(-EBADF);
	get_dma_buf(buffer);
	return buffer;
}

/* iommu: every page table that exists */
#define TABLES 16
static struct page_table *tables[TABLES];

int __real_pt_init(struct page_table *pt);
void __real_pt_destroy(struct page_table *pt);
int __wrap_pt_init(struct page_table *pt);
void __wrap_pt_destroy(struct page_table *pt);

int __wrap_pt_init(struct page_table *pt)
{
	for (int i = 0; i < TABLES; i++) {
		if (!tables[i]) {
			tables[i] = pt;
			return __real_pt_init(pt);
		}
	}
	model_fail("internal: too many page tables");
}

void __wrap_pt_destroy(struct page_table *pt)
{
	for (int i = 0; i < TABLES; i++)
		if (tables[i] == pt)
			tables[i] = NULL;
	__real_pt_destroy(pt);
}

static bool leads_to(const struct pt_table *t, unsigned int level, u64 page)
{
	u32 left = t->live;

	for (unsigned int i = 0; i < 512 && left; i++) {
		u64 e = t->e[i], addr = e & ~PT_FLAGS;

		left -= !!e;
		if ((e & PT_TABLE) && leads_to((const struct pt_table *)addr, level - 1, page))
			return true;
		if ((e & PT_LEAF) && addr <= page && addr + (1ull << pt_shift(level)) > page)
			return true;
	}
	return false;
}

bool world_is_translated(unsigned int page)
{
	for (int i = 0; i < TABLES; i++)
		if (tables[i] && tables[i]->root && leads_to(tables[i]->root, 3, (u64)bar_memory + page * 4096))
			return true;
	return false;
}

/* pci: one BAR of RAM */
u8 bar_memory[BAR_PAGES * 4096] __attribute__((aligned(4096)));

int pci_bars_check(const struct pci_dev_config *cfg) { return 0; }

int pci_bars_init(struct pci_dev *pdev)
{
	for (unsigned int i = 0; i < PCI_NR_BARS; i++) {
		pdev->bars[i] = pdev->cfg.bars[i];
		pdev->bars[i].pdev = pdev;
		pdev->bars[i].memfd = -1;
	}
	pdev->bars[0].base = bar_memory;
	pdev->bars[0].bus_addr = 0xc0000000;
	return 0;
}

void pci_bars_hide(struct pci_dev *pdev) { }
void pci_bars_fini(struct pci_dev *pdev) { }

/* vfio */
static int one_group;

struct vfio_group *vfio_group_get_by_id(u32 id) { return (struct vfio_group *)&one_group; }
void vfio_group_put(struct vfio_group *g) { }
struct vfio_group *vfio_group_from_fd(int fd) { return ERR_PTR(-EBADF); }
void vfio_maps_zap(struct vfio_device *vdev) { }
void vfio_maps_restore(struct vfio_device *vdev) { scenario_memory_back(); }
int vfio_check_feature(u32 flags, size_t argsz, u32 supported, size_t minsz) { return 1; }
void vfio_device_detach_all(struct vfio_device *vdev) { }
struct vfio_device *vfio_device_pf(struct vfio_device *vdev) { return NULL; }
void vfio_dma_log_close(struct vfio_device *vdev) { }
void vfio_irq_init(struct vfio_device *vdev) { }
void vfio_irq_close(struct vfio_device *vdev) { }
void vfio_intx_virq_disable(struct vfio_device *vdev, bool off) { }
void vfio_owner_msix(void *owner, unsigned vector) { }
void vfio_owner_intx(void *owner, bool level) { }
void vfio_owner_err(void *owner) { }
void vfio_owner_request(void *owner, unsigned count) { }
int vfio_eventfd_get(int fd) { return -EBADF; }
void vfio_eventfd_put(int fd) { }
void vfio_eventfd_signal(int fd) { }

/* What the table of a device's descriptor names, and the scenarios don't call by it. */
#define NOT_HERE(name, ...) long name(__VA_ARGS__) { model_fail(#name " is not in this model"); }
NOT_HERE(vfio_device_feature, struct vfio_device *vdev, void *user)
NOT_HERE(vfio_get_irq_info, struct vfio_device *vdev, void *user)
NOT_HERE(vfio_get_region_info, struct vfio_device *vdev, void *user)
NOT_HERE(vfio_set_irqs, struct vfio_device *vdev, void *user)
NOT_HERE(vfio_df_attach, struct vfio_df *df, void *user)
NOT_HERE(vfio_df_bind, struct vfio_df *df, void *user)
NOT_HERE(vfio_df_detach, struct vfio_df *df, void *user)
NOT_HERE(vfio_region_read, struct sv_file *f, void *user, size_t len, u64 *pos, bool stream)
NOT_HERE(vfio_region_write, struct sv_file *f, const void *user, size_t len, u64 *pos, bool stream)
void vfio_df_unbind(struct vfio_df *df) { model_fail("vfio_df_unbind is not in this model"); }
void vfio_df_group_close(struct vfio_df *df)
{
	model_fail("vfio_df_group_close is not in this model");
}

void *vfio_mmap(struct sv_file *f, void *addr, size_t len, int prot, int flags, off_t off)
{
	model_fail("vfio_mmap is not in this model");
}
