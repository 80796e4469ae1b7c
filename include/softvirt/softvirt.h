/* SPDX-License-Identifier: MIT */
/*
 * softvirt: Linux's virtualization interfaces in user space.
 *
 * Calls with the shape of the system calls they stand for. Each returns what the
 * system call returns and sets errno as the kernel does. All are safe from any thread;
 * a descriptor may be used by several threads at once, as with the kernel.
 *
 * A path or descriptor that is not ours is passed on to the C library, so a program may
 * route all of its calls here.
 */
#ifndef SOFTVIRT_H
#define SOFTVIRT_H

#include <sys/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/*
 * Opens a node by its path, e.g. "/dev/kvm-riscv64". flags are open(2)'s; O_CLOEXEC and
 * O_RDWR matter. Returns a descriptor that the caller closes with softvirt_close().
 */
int softvirt_open(const char *path, int flags, ...);

/* ioctl(2). The third argument is a pointer or an integer, as the command wants. */
int softvirt_ioctl(int fd, unsigned long request, ...);

/* mmap(2): the kvm_run page of a vCPU, a dma-buf, a BAR. Undo with munmap(2). */
void *softvirt_mmap(void *addr, size_t length, int prot, int flags, int fd, off_t offset);

/*
 * read(2), write(2), pread(2), pwrite(2) and their vectors: a VFIO device's regions by their
 * offsets, events of an iommufd fault queue.
 */
struct iovec;
ssize_t softvirt_read(int fd, void *buf, size_t count);
ssize_t softvirt_write(int fd, const void *buf, size_t count);
ssize_t softvirt_pread(int fd, void *buf, size_t count, off_t offset);
ssize_t softvirt_pwrite(int fd, const void *buf, size_t count, off_t offset);
ssize_t softvirt_readv(int fd, const struct iovec *iov, int iovcnt);
ssize_t softvirt_writev(int fd, const struct iovec *iov, int iovcnt);
ssize_t softvirt_preadv(int fd, const struct iovec *iov, int iovcnt, off_t offset);
ssize_t softvirt_pwritev(int fd, const struct iovec *iov, int iovcnt, off_t offset);

/*
 * munmap(2), mremap(2), madvise(2), mprotect(2), for memory that devices may reach (IOMMU_IOAS_MAP,
 * VFIO_IOMMU_MAP_DMA) or that is a BAR: what is mapped for DMA stays with the devices, as pinned
 * memory does. They may fail with ENOMEM. After the C library's own calls devices would meet
 * whatever lies there next.
 */
int softvirt_munmap(void *addr, size_t length);
void *softvirt_mremap(void *addr, size_t length, size_t new_length, int flags, ...);
int softvirt_madvise(void *addr, size_t length, int advice);
int softvirt_mprotect(void *addr, size_t length, int prot);

/* fallocate(2): holes in a guest_memfd. */
int softvirt_fallocate(int fd, int mode, off_t offset, off_t len);

/* close(2). Mappings stay valid until munmap(2), as with the kernel. */
int softvirt_close(int fd);

/*
 * dup(2), dup2(2), dup3(2), fcntl(2) and close_range(2): a copy serves the same object,
 * which goes away with its last descriptor and mapping. A descriptor that was copied with
 * the C library's calls is recognised at its first softvirt_ioctl(); one that was closed
 * with them keeps its object alive until the number is used again: use these.
 */
int softvirt_dup(int fd);
int softvirt_dup2(int fd, int newfd);
int softvirt_dup3(int fd, int newfd, int flags);
int softvirt_fcntl(int fd, int cmd, ...);
int softvirt_close_range(unsigned int first, unsigned int last, int flags);

/*
 * Adds an emulated PCI function to this process, as `softvirt run --device` does:
 * "NAME[,bdf=0000:01:00.0][,group=N][,iommu=vtd|smmuv3][,OPTION=VALUE]...", for example "ioat" or
 * "ram,size=1G". It appears under /dev/vfio and, with its BDF, to VFIO_GROUP_GET_DEVICE_FD; it stays
 * until the process ends. 0, or -1 with a line on stderr and errno: EINVAL, EEXIST (the address is
 * taken), ENOMEM, EAGAIN (no thread).
 */
int softvirt_device_add(const char *spec);

#ifdef __cplusplus
}
#endif

#endif
