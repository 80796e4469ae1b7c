/* SPDX-License-Identifier: MIT */
/*
 * The subcommands. Each gets its own argv, argv[0] being its name, and returns the exit status.
 */
#ifndef SV_CLI_CLI_H
#define SV_CLI_CLI_H

int cmd_boot(int argc, char **argv);
int cmd_dmabuf(int argc, char **argv);
int cmd_fetch(int argc, char **argv);
int cmd_run(int argc, char **argv);

#endif
