/* SPDX-License-Identifier: MIT */
/*
 * softvirt fetch: runs scripts/fetch-debian-riscv64, which is built into the program, so that
 * it is found wherever the program is.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/types.h"
#include "cli/cli.h"
#include "fetch_script.h"

static int run_script(int argc, char **argv)
{
	size_t len = sizeof(fetch_script), done = 0;
	int fd = memfd_create("softvirt-fetch", 0), i;
	char path[32], **args;

	while (fd >= 0 && done < len) {
		ssize_t n = write(fd, fetch_script + done, len - done);

		if (n < 0)
			break;
		done += n;
	}
	args = calloc(argc + 3, sizeof(*args));
	if (done < len || !args) {
		fprintf(stderr, "softvirt fetch: cannot make room for the script: %s\n", strerror(errno));
		return 2;
	}
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	args[0] = argv[0];
	args[1] = path;
	for (i = 0; i < argc - 2; i++)
		args[2 + i] = argv[2 + i];
	execv("/bin/sh", args);
	fprintf(stderr, "softvirt fetch: cannot run /bin/sh: %s\n", strerror(errno));
	return 2;
}

int cmd_fetch(int argc, char **argv)
{
	char target[] = "debian-riscv64", help[] = "--help";
	char *args[4] = { argv[0], target, help, NULL };

	if (argc >= 2 && (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h")))
		return run_script(3, args);
	if (argc < 2 || strcmp(argv[1], target)) {
		fprintf(stderr, "softvirt fetch: %s%s%s; say 'softvirt fetch debian-riscv64'\n",
			argc < 2 ? "it is not said what to fetch" : "'",
			argc < 2 ? "" : argv[1], argc < 2 ? "" : "' is not known");
		return 2;
	}
	return run_script(argc, argv);
}
