/* SPDX-License-Identifier: MIT */
/*
 * softvirt run [--] PROGRAM [ARGUMENTS]: the program with the preload library in it.
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

int cmd_run(int argc, char **argv)
{
	char library[PATH_MAX] = LIBRARY, *value;
	const char *old = getenv("LD_PRELOAD");
	int first = 1;

	if (first < argc && !strcmp(argv[first], "--help")) {
		printf("usage: softvirt run [--] PROGRAM [ARGUMENTS]\n\n"
		       "Runs a program that knows only the kernel's interfaces: what it opens under\n"
		       "/dev/kvm-riscv64 (and /dev/kvm on a riscv64 host) is softvirt's.\n");
		return 0;
	}
	if (first < argc && !strcmp(argv[first], "--")) {
		first++;
	} else if (first < argc && argv[first][0] == '-') {
		fprintf(stderr, "softvirt run: unknown option %s; use: softvirt run [--] PROGRAM [ARGUMENTS]\n",
			argv[first]);
		return 2;
	}
	if (first >= argc) {
		fprintf(stderr, "softvirt run: no program given; use: softvirt run [--] PROGRAM [ARGUMENTS]\n");
		return 2;
	}
	if (!find_library(library, sizeof(library))) {
		fprintf(stderr, "softvirt run: " LIBRARY " is neither beside this command nor in ../lib; build or install it\n");
		return 2;
	}
	if (asprintf(&value, "%s%s%s", library, old && *old ? ":" : "", old ? old : "") < 0 ||
	    setenv("LD_PRELOAD", value, 1)) {
		fprintf(stderr, "softvirt run: out of memory\n");
		return 2;
	}
	free(value);
	execvp(argv[first], argv + first);
	fprintf(stderr, "softvirt run: %s: %s\n", argv[first], strerror(errno));
	return errno == ENOENT ? 127 : 126;
}
