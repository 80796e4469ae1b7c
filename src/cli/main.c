/* SPDX-License-Identifier: MIT */
/* The softvirt command: finds the subcommand. */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/types.h"
#include "cli/cli.h"

static int cmd_help(int argc, char **argv);
static int cmd_version(int argc, char **argv);

static const struct command {
	const char *name;
	int (*fn)(int argc, char **argv);
	const char *what;
} commands[] = {
	{ "boot", cmd_boot, "boot a RISC-V guest" },
	{ "dmabuf", cmd_dmabuf, "list shared buffers of running programs" },
	{ "fetch", cmd_fetch, "bring Debian's riscv64 kernel and an initramfs for it" },
	{ "run", cmd_run, "run a program with the devices that softvirt gives" },
	{ "version", cmd_version, "print the version" },
	{ "help", cmd_help, "print this, or a command's own help" },
};

static int cmd_version(int argc, char **argv)
{
	printf("softvirt %s\n", SOFTVIRT_VERSION);
	return 0;
}

static const struct command *find_command(const char *name)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(commands); i++)
		if (!strcmp(name, commands[i].name))
			return &commands[i];
	return NULL;
}

static int unknown_command(const char *name)
{
	unsigned int i;

	fprintf(stderr, "softvirt: unknown command '%s'; known are", name);
	for (i = 0; i < ARRAY_SIZE(commands); i++)
		fprintf(stderr, "%s %s", i ? "," : "", commands[i].name);
	fprintf(stderr, "\n");
	return 2;
}

static int cmd_help(int argc, char **argv)
{
	char help[] = "--help", *sub[3] = { NULL, help, NULL };
	const struct command *c;
	unsigned int i;

	if (argc > 1) {
		c = find_command(argv[1]);
		if (!c)
			return unknown_command(argv[1]);
		if (c->fn != cmd_help && c->fn != cmd_version) {
			sub[0] = argv[1];
			return c->fn(2, sub);
		}
	}
	printf("usage: softvirt COMMAND [ARGUMENTS]\n\n"
	       "Linux's virtualization interfaces in user space.\n\n");
	for (i = 0; i < ARRAY_SIZE(commands); i++)
		printf("  %-8s %s\n", commands[i].name, commands[i].what);
	printf("\n'softvirt COMMAND --help' tells more, and softvirt(1) tells all.\n");
	return 0;
}

/* A descriptor that we open must never become the standard input of something else. */
static void open_standard_fds(void)
{
	int fd;

	do {
		fd = open("/dev/null", O_RDWR);
	} while (fd >= 0 && fd <= STDERR_FILENO);
	if (fd >= 0)
		close(fd);
}

int main(int argc, char **argv)
{
	const struct command *c;

	open_standard_fds();
	if (argc < 2) {
		fprintf(stderr, "softvirt: no command; 'softvirt boot' boots a guest, 'softvirt help' "
			"lists the commands\n");
		return 2;
	}
	if (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h"))
		return cmd_help(1, argv);
	if (!strcmp(argv[1], "--version") || !strcmp(argv[1], "-V"))
		return cmd_version(1, argv);
	c = find_command(argv[1]);
	return c ? c->fn(argc - 1, argv + 1) : unknown_command(argv[1]);
}
