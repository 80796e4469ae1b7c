/* SPDX-License-Identifier: MIT */
#include "vmm/load.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include "vmm/report.h"

#ifndef EM_RISCV
#define EM_RISCV 243
#endif

#define KERNEL_HINT "name a RISC-V Linux Image (plain or gzip) or a 64-bit RISC-V ELF file, such " \
		    "as Debian's /boot/vmlinux-*-riscv64"
#define HEAD_SIZE 4096u
#define ELF_MAX_PHDRS 256
/* Where an ELF kernel that is linked below RAM goes, as an Image would. */
#define KERNEL_OFFSET 0x200000ull

/* boot-image-header.rst; little endian. */
struct image_header {
	u32 code[2];
	u64 text_offset;
	u64 image_size;
	u64 flags;
	u32 version;
	u32 res1;
	u64 res2;
	u64 magic;		/* "RISCV", deprecated */
	u32 magic2;		/* "RSC\x05" */
	u32 pe_offset;
};
#define IMAGE_MAGIC2 0x05435352u
#define IMAGE_BIG_ENDIAN 1u

/* A file, or what gzip makes of it, read from front to end. */
struct stream {
	int fd;
	u64 left;		/* bytes of the file that belong to the stream */
	bool gz, gz_end;
	z_stream z;
	u8 *in;
};
#define STREAM_IN 65536u

static ssize_t stream_read_raw(struct stream *s, void *buf, size_t n)
{
	size_t done = 0;

	n = min((u64)n, s->left);
	while (done < n) {
		ssize_t r = read(s->fd, (u8 *)buf + done, n - done);

		if (r < 0 && errno == EINTR)
			continue;
		if (r < 0)
			return -errno;
		if (!r)
			break;
		done += r;
	}
	s->left -= done;
	return done;
}

/* Returns less than n at the end only; -EBADMSG: the compressed data is damaged or cut off. */
static ssize_t stream_read(struct stream *s, void *buf, size_t n)
{
	size_t done = 0;

	if (!s->gz)
		return stream_read_raw(s, buf, n);
	while (done < n && !s->gz_end) {
		size_t want = min(n - done, (size_t)1 << 30);
		int r;

		if (!s->z.avail_in) {
			ssize_t got = stream_read_raw(s, s->in, STREAM_IN);

			if (got <= 0)
				return got ? got : -EBADMSG;
			s->z.next_in = s->in;
			s->z.avail_in = got;
		}
		s->z.next_out = (u8 *)buf + done;
		s->z.avail_out = want;
		r = inflate(&s->z, Z_NO_FLUSH);
		done += want - s->z.avail_out;
		s->gz_end = r == Z_STREAM_END;
		if (r != Z_OK && r != Z_STREAM_END)
			return -EBADMSG;
	}
	return done;
}

static int stream_start_gz(struct stream *s)
{
	s->in = malloc(STREAM_IN);
	if (!s->in || inflateInit2(&s->z, 16 + MAX_WBITS) != Z_OK)
		return -ENOMEM;
	s->gz = true;
	return 0;
}

static void stream_end(struct stream *s)
{
	if (s->gz)
		inflateEnd(&s->z);
	free(s->in);
	close(s->fd);
}

static int open_file(const char *what, const char *hint, const char *name, u64 *size)
{
	struct stat st;
	int fd = open(name, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);

	if (fd < 0)
		return vmm_report(-errno, "cannot open the %s '%s': %s; %s", what, name,
				  strerror(errno), hint);
	if (fstat(fd, &st) || !S_ISREG(st.st_mode) || !st.st_size) {
		close(fd);
		return vmm_report(-EINVAL, "the %s '%s' is %s; %s", what, name,
				  S_ISREG(st.st_mode) ? "empty" : "not a regular file", hint);
	}
	*size = st.st_size;
	return fd;
}

static int report_memory(const struct guest_mem *m, const char *what, const char *name, u64 need)
{
	return vmm_report(-E2BIG, "the %s '%s' needs %llu MiB of memory and the guest has %llu; say "
			  "--memory %lluM or more", what, name, (unsigned long long)(need >> 20) + 1,
			  (unsigned long long)m->size >> 20,
			  (unsigned long long)ALIGN_UP(need + (need >> 1), 64ull << 20) >> 20);
}

static int report_truncated(const char *name)
{
	return vmm_report(-EINVAL, "the kernel '%s' is cut off or damaged; fetch it again", name);
}

/* --- Images ----------------------------------------------------------------------------- */

static u32 get32(const u8 *p)
{
	u32 v;

	memcpy(&v, p, sizeof(v));
	return v;
}

/*
 * An Image is also a PE file, whose sections tell how long the file must be; an Image has no
 * other mark of its end. head holds the first bytes. True if len bytes may be all of it.
 */
static bool image_is_whole(const u8 *head, size_t head_len, u64 len)
{
	u32 pe = get32(head + offsetof(struct image_header, pe_offset)), i, nr, at;

	if (memcmp(head, "MZ", 2) || pe > head_len - 24 || memcmp(head + pe, "PE\0\0", 4))
		return true;
	nr = head[pe + 6] | head[pe + 7] << 8;
	at = pe + 24 + (head[pe + 20] | head[pe + 21] << 8);
	for (i = 0; i < nr && at + 40 <= head_len; i++, at += 40)
		if ((u64)get32(head + at + 20) + get32(head + at + 16) > len)
			return false;
	return true;
}

static int load_image(const struct guest_mem *m, const char *name, struct stream *s,
		      const u8 *head, size_t head_len, struct load_kernel *k)
{
	struct image_header h;
	ssize_t n;
	u64 room;
	u8 more;

	memcpy(&h, head, sizeof(h));
	if (h.flags & IMAGE_BIG_ENDIAN)
		return vmm_report(-EINVAL, "the kernel '%s' is big-endian; %s", name, KERNEL_HINT);
	if (h.text_offset > m->size || h.image_size > m->size - h.text_offset ||
	    head_len > m->size - h.text_offset)
		return report_memory(m, "kernel", name,
				     h.image_size < 1ull << 40 && h.text_offset < 1ull << 40 ?
				     h.image_size + h.text_offset : 1ull << 41);
	k->start = k->entry = m->base + h.text_offset;
	room = m->size - h.text_offset - head_len;
	memcpy(guest_mem_ptr(m, k->start, head_len), head, head_len);
	n = stream_read(s, guest_mem_ptr(m, k->start + head_len, room), room);
	if (n < 0 && n != -EBADMSG)
		return vmm_report(n, "cannot read the kernel '%s': %s", name, strerror(-n));
	if (n < 0)
		return report_truncated(name);
	if ((u64)n == room && stream_read(s, &more, 1) == 1)
		return report_memory(m, "kernel", name, m->size + (m->size >> 1));
	if (!image_is_whole(head, head_len, head_len + n))
		return report_truncated(name);
	k->end = k->start + max(h.image_size, (u64)head_len + n);
	return 0;
}

/* --- ELF -------------------------------------------------------------------------------- */

static int pread_all(int fd, void *buf, size_t n, u64 off)
{
	size_t done = 0;

	while (done < n) {
		ssize_t r = pread(fd, (u8 *)buf + done, n - done, off + done);

		if (r < 0 && errno == EINTR)
			continue;
		if (r <= 0)
			return r ? -errno : -ENODATA;
		done += r;
	}
	return 0;
}

static int elf_check_header(const char *name, const Elf64_Ehdr *e)
{
	const char *wrong = NULL;

	if (e->e_ident[EI_CLASS] != ELFCLASS64)
		wrong = "a 32-bit ELF file";
	else if (e->e_ident[EI_DATA] != ELFDATA2LSB)
		wrong = "big-endian";
	else if (e->e_machine != EM_RISCV)
		wrong = "an ELF file for another architecture";
	else if (e->e_type != ET_EXEC && e->e_type != ET_DYN)
		wrong = "an ELF file that is no executable";
	else if (e->e_phentsize != sizeof(Elf64_Phdr) || !e->e_phnum || e->e_phnum > ELF_MAX_PHDRS)
		wrong = "an ELF file with an unusable program header table";
	if (wrong)
		return vmm_report(-EINVAL, "the kernel '%s' is %s; %s", name, wrong, KERNEL_HINT);
	return 0;
}

/* Finds the extent of what is loaded: physical addresses, and whether a file this long has it. */
static int elf_extent(const char *name, const Elf64_Phdr *ph, unsigned int n, u64 size, u64 *low,
		      u64 *high)
{
	unsigned int i;

	*low = ~0ull;
	*high = 0;
	for (i = 0; i < n; i++) {
		const Elf64_Phdr *p = &ph[i];

		if (p->p_type != PT_LOAD || !p->p_memsz)
			continue;
		if (p->p_filesz > p->p_memsz || p->p_paddr + p->p_memsz < p->p_paddr)
			return vmm_report(-EINVAL, "the kernel '%s' has an impossible segment; fetch or "
					  "link it again", name);
		if (p->p_offset > size || p->p_filesz > size - p->p_offset)
			return report_truncated(name);
		*low = min(*low, (u64)p->p_paddr);
		*high = max(*high, (u64)(p->p_paddr + p->p_memsz));
	}
	if (*low == ~0ull)
		return vmm_report(-EINVAL, "the kernel '%s' is an ELF file with nothing to load; %s",
				  name, KERNEL_HINT);
	return 0;
}

/* The entry point is a virtual address; the machine starts without translation. */
static u64 elf_entry(const Elf64_Ehdr *e, const Elf64_Phdr *ph, u64 shift)
{
	unsigned int i;

	for (i = 0; i < e->e_phnum; i++)
		if (ph[i].p_type == PT_LOAD && e->e_entry - ph[i].p_vaddr < ph[i].p_memsz)
			return e->e_entry - ph[i].p_vaddr + ph[i].p_paddr + shift;
	return e->e_entry + shift;
}

static int load_elf_segments(const struct guest_mem *m, const char *name, int fd,
			     const Elf64_Phdr *ph, unsigned int n, u64 shift)
{
	unsigned int i;
	int err;

	for (i = 0; i < n; i++) {
		if (ph[i].p_type != PT_LOAD || !ph[i].p_filesz)
			continue;
		err = pread_all(fd, guest_mem_ptr(m, ph[i].p_paddr + shift, ph[i].p_filesz),
				ph[i].p_filesz, ph[i].p_offset);
		if (err == -ENODATA)
			return report_truncated(name);
		if (err)
			return vmm_report(err, "cannot read the kernel '%s': %s", name,
					  strerror(-err));
	}
	return 0;
}

static int load_elf(const struct guest_mem *m, const char *name, int fd, u64 size,
		    struct load_kernel *k)
{
	u64 low, high, shift = 0;
	Elf64_Phdr *ph;
	Elf64_Ehdr e;
	int err;

	if (pread_all(fd, &e, sizeof(e), 0))
		return report_truncated(name);
	err = elf_check_header(name, &e);
	if (err)
		return err;
	ph = calloc(e.e_phnum, sizeof(*ph));
	if (!ph)
		return vmm_report(-ENOMEM, "no memory to read the kernel '%s'", name);
	if (pread_all(fd, ph, e.e_phnum * sizeof(*ph), e.e_phoff)) {
		err = report_truncated(name);
		goto out;
	}
	err = elf_extent(name, ph, e.e_phnum, size, &low, &high);
	if (err)
		goto out;
	/* Linux's vmlinux is linked at 0 and runs anywhere at a multiple of 2 MiB. */
	if (high <= m->base && !(low % KERNEL_OFFSET))
		shift = m->base + KERNEL_OFFSET - low;
	if (low + shift < m->base) {
		err = vmm_report(-EINVAL, "the kernel '%s' is linked to 0x%llx, where there is no RAM; "
				 "link it to 0x%llx or above", name, (unsigned long long)low,
				 (unsigned long long)m->base);
		goto out;
	}
	if (!guest_mem_ptr(m, low + shift, high - low)) {
		err = report_memory(m, "kernel", name, high + shift - m->base);
		goto out;
	}
	k->entry = elf_entry(&e, ph, shift);
	k->start = low + shift;
	k->end = high + shift;
	if (k->entry < k->start || k->entry >= k->end) {
		err = vmm_report(-EINVAL, "the kernel '%s' starts at 0x%llx, which it does not load; "
				 "link it with an entry point of its own", name,
				 (unsigned long long)e.e_entry);
		goto out;
	}
	err = load_elf_segments(m, name, fd, ph, e.e_phnum, shift);
out:
	free(ph);
	return err;
}

/* --- which it is ------------------------------------------------------------------------ */

static bool is_image(const u8 *head, size_t n)
{
	return n >= sizeof(struct image_header) &&
	       get32(head + offsetof(struct image_header, magic2)) == IMAGE_MAGIC2;
}

/* What a wrong file seems to be: the commonest mistakes by name. */
static const char *guess_file(const u8 *head, size_t n)
{
	if (n >= 0x40 && !memcmp(head + 0x38, "ARM\x64", 4))
		return "an arm64 kernel";
	if (n >= 0x206 && !memcmp(head + 0x202, "HdrS", 4))
		return "an x86 kernel";
	if (n >= 6 && (!memcmp(head, "070701", 6) || !memcmp(head, "070702", 6)))
		return "a cpio archive, such as an initramfs";
	if (n >= 6 && !memcmp(head, "\xfd" "7zXZ", 6))
		return "compressed with xz";
	if (n >= 4 && !memcmp(head, "\x28\xb5\x2f\xfd", 4))
		return "compressed with zstd";
	return "no kernel";
}

/* An EFI zboot file (Linux: drivers/firmware/efi/libstub/zboot-header.S) around gzip data. */
static int zboot_enter(struct stream *s, const char *name, const u8 *head, u64 size)
{
	u64 offset = get32(head + 8), len = get32(head + 12);

	if (strncmp((const char *)head + 24, "gzip", 8))
		return vmm_report(-EINVAL, "the kernel '%s' is an EFI file compressed with '%.8s'; "
				  "unpack it, or use one with gzip", name, head + 24);
	if (offset > size || len > size - offset)
		return report_truncated(name);
	if (lseek(s->fd, offset, SEEK_SET) < 0)
		return vmm_report(-errno, "cannot read the kernel '%s': %s", name, strerror(errno));
	s->left = len;
	return 0;
}

static int load_stream(const struct guest_mem *m, const char *name, struct stream *s, u64 size,
		       struct load_kernel *k)
{
	u8 head[HEAD_SIZE];
	ssize_t n = stream_read(s, head, sizeof(head));
	bool packed = false;
	int err;

	if (n >= SELFMAG && !memcmp(head, ELFMAG, SELFMAG))
		return load_elf(m, name, s->fd, size, k);
	if (n >= 64 && !memcmp(head, "MZ", 2) && !memcmp(head + 4, "zimg", 4)) {
		err = zboot_enter(s, name, head, size);
		if (err)
			return err;
		packed = true;
	} else if (n >= 2 && head[0] == 0x1f && head[1] == 0x8b) {
		if (lseek(s->fd, 0, SEEK_SET) < 0)
			return vmm_report(-errno, "cannot read the kernel '%s': %s", name,
					  strerror(errno));
		s->left = size;
		packed = true;
	}
	if (packed) {
		err = stream_start_gz(s);
		if (err)
			return vmm_report(err, "no memory to unpack the kernel '%s'", name);
		n = stream_read(s, head, sizeof(head));
		if (n == -EBADMSG)
			return report_truncated(name);
	}
	if (n < 0)
		return vmm_report(n, "cannot read the kernel '%s': %s", name, strerror(-n));
	if (!is_image(head, n))
		return vmm_report(-EINVAL, "'%s' is %s; %s", name, guess_file(head, n), KERNEL_HINT);
	return load_image(m, name, s, head, n, k);
}

int load_kernel(const struct guest_mem *m, const char *name, struct load_kernel *k)
{
	struct stream s = { 0 };
	u64 size;
	int err;

	s.fd = open_file("kernel", KERNEL_HINT, name, &size);
	if (s.fd < 0)
		return s.fd;
	s.left = size;
	err = load_stream(m, name, &s, size, k);
	stream_end(&s);
	return err;
}

int load_initrd(const struct guest_mem *m, const char *name, u64 low, u64 high, u64 *start,
		u64 *end)
{
	u64 size;
	int fd = open_file("initrd", "name a cpio archive, plain or compressed", name, &size), err;

	if (fd < 0)
		return fd;
	if (low > high || size > high - low || ALIGN_DOWN(high - size, SV_PAGE_SIZE) < low) {
		close(fd);
		return report_memory(m, "initrd", name, low - m->base + size + (4ull << 20));
	}
	*start = ALIGN_DOWN(high - size, SV_PAGE_SIZE);
	*end = *start + size;
	err = pread_all(fd, guest_mem_ptr(m, *start, size), size, 0);
	close(fd);
	if (err)
		return vmm_report(err, "cannot read the initrd '%s': %s", name,
				  err == -ENODATA ? "it became shorter" : strerror(-err));
	return 0;
}
