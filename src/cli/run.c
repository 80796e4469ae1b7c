/* SPDX-License-Identifier: MIT */
/*
 * softvirt run [--device SPEC]... [--] PROGRAM [ARGUMENTS]: the program with the preload
 * library in it, and emulated devices for it. The library makes them, from SOFTVIRT_DEVICES; here
 * they are only checked, so that a mistake is told before the program starts.
 *
 * The library is looked for beside this executable and where a build folder has it, then where it is
 * installed relative to it (../lib, ../lib/TRIPLET), then by the dynamic loader's rules.
 */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/types.h"
#include "cli/cli.h"
#include "softvirt/softvirt.h"

#define LIBRARY "libsoftvirt-preload.so"

/* Writes the library's path; false if it is at none of the usual places. */
static bool find_library(char *out, size_t room)
{
	static const char *const places[] = {
		"", "/../shim", "/../lib", "/../lib/" SV_HOST_ARCH "-linux-gnu", "/../lib64",
	};
	char self[PATH_MAX], *slash, path[PATH_MAX + 64], real[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);

	if (n <= 0)
		return false;
	self[n] = 0;
	slash = strrchr(self, '/');
	*slash = 0;
	for (size_t i = 0; i < ARRAY_SIZE(places); i++) {
		snprintf(path, sizeof(path), "%s%s/" LIBRARY, self, places[i]);
		/* The loader splits LD_PRELOAD at spaces and colons. */
		if (realpath(path, real) && !access(real, R_OK) && !strpbrk(real, " :") &&
		    strlen(real) < room) {
			strcpy(out, real);
			return true;
		}
	}
	return false;
}

static void print_help(void)
{
	printf("usage: softvirt run [--device DEVICE]... [--] PROGRAM [ARGUMENTS]\n\n"
	       "Runs a program that knows only the kernel's interfaces: what it opens under\n"
	       "/dev/kvm-riscv64 (and /dev/kvm on a riscv64 host), /dev/iommu, /dev/vfio,\n"
	       "/dev/dma_heap and /dev/udmabuf is softvirt's.\n\n"
	       "--device NAME[,bdf=0000:01:00.0][,group=N][,iommu=vtd|smmuv3][,OPTION=VALUE]...\n"
	       "        an emulated PCI function bound to vfio-pci, with its files in /sys, behind\n"
	       "        an IOMMU that shows itself as Intel VT-d (default) or ARM SMMUv3:\n"
	       "  ioat  Intel I/OAT DMA engine (8086:2021); version=3.2|3.3|3.4, die-on=N: halts there\n"
	       "  ram   a BAR of memory; size=BYTES (a power of two up to 64G, default 16M)\n"
	       "  rnic  a small RDMA device that imports dma-bufs; late-unmap=MS, never-unmap, die-on=N,\n"
	       "        pasid=off, pri=off\n");
}

/* Checks one --device and adds it to the list that the program gets. False: said why. */
static bool add_device(const char *spec, char **list)
{
	char *more;

	if (strchr(spec, ';')) {
		fprintf(stderr, "softvirt run: --device %s: one device for each --device, without ';'\n", spec);
		return false;
	}
	if (softvirt_device_add(spec))
		return false;
	if (asprintf(&more, "%s%s%s", *list ? *list : "", *list ? ";" : "", spec) < 0) {
		fprintf(stderr, "softvirt run: out of memory\n");
		return false;
	}
	free(*list);
	*list = more;
	return true;
}

/* Options in front of the program. Returns the program's index, or -1 and *status. */
static int parse_options(int argc, char **argv, char **devices, int *status)
{
	static const char usage[] = "softvirt run [--device DEVICE]... [--] PROGRAM [ARGUMENTS]";
	int i;

	*status = 2;
	for (i = 1; i < argc && argv[i][0] == '-'; i++) {
		if (!strcmp(argv[i], "--"))
			return i + 1;
		if (!strcmp(argv[i], "--help")) {
			print_help();
			*status = 0;
			return -1;
		}
		if (!strncmp(argv[i], "--device=", 9)) {
			if (!add_device(argv[i] + 9, devices))
				return -1;
		} else if (!strcmp(argv[i], "--device") && i + 1 < argc) {
			if (!add_device(argv[++i], devices))
				return -1;
		} else {
			fprintf(stderr, "softvirt run: %s %s; use: %s\n", !strcmp(argv[i], "--device") ?
				"no device after" : "unknown option", argv[i], usage);
			return -1;
		}
	}
	return i;
}

int cmd_run(int argc, char **argv)
{
	char library[PATH_MAX] = LIBRARY, *value, *devices = NULL;
	const char *old = getenv("LD_PRELOAD");
	int first, status;

	first = parse_options(argc, argv, &devices, &status);
	if (first < 0)
		return status;
	if (first >= argc) {
		fprintf(stderr, "softvirt run: no program given; use: softvirt run [--device DEVICE]... [--] PROGRAM [ARGUMENTS]\n");
		return 2;
	}
	if (!find_library(library, sizeof(library))) {
		fprintf(stderr, "softvirt run: " LIBRARY " is neither beside this command nor in ../lib; build or install it\n");
		return 2;
	}
	if (asprintf(&value, "%s%s%s", library, old && *old ? ":" : "", old ? old : "") < 0 ||
	    setenv("LD_PRELOAD", value, 1) || (devices && setenv("SOFTVIRT_DEVICES", devices, 1))) {
		fprintf(stderr, "softvirt run: out of memory\n");
		return 2;
	}
	free(value);
	execvp(argv[first], argv + first);
	fprintf(stderr, "softvirt run: %s: %s\n", argv[first], strerror(errno));
	return errno == ENOENT ? 127 : 126;
}
