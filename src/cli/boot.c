/* SPDX-License-Identifier: MIT */
/* softvirt boot: reads the command line and checks all that can be checked before a VM exists. */
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysinfo.h>
#include <unistd.h>

#include "cli/cli.h"
#include "vmm/report.h"
#include "vmm/vmm.h"

#define BAD 2	/* the exit status for input that cannot be used */

enum {
	OPT_KERNEL = 256, OPT_INITRD, OPT_APPEND, OPT_DISK, OPT_SMP, OPT_MEMORY, OPT_CONSOLE,
	OPT_VIRTIO_CONSOLE, OPT_NET, OPT_DUMP_DTB, OPT_STATS,
};

static const struct option options[] = {
	{ "kernel", required_argument, NULL, OPT_KERNEL },
	{ "initrd", required_argument, NULL, OPT_INITRD },
	{ "append", required_argument, NULL, OPT_APPEND },
	{ "disk", required_argument, NULL, OPT_DISK },
	{ "smp", required_argument, NULL, OPT_SMP },
	{ "memory", required_argument, NULL, OPT_MEMORY },
	{ "console", required_argument, NULL, OPT_CONSOLE },
	{ "virtio-console", required_argument, NULL, OPT_VIRTIO_CONSOLE },
	{ "net", required_argument, NULL, OPT_NET },
	{ "dump-dtb", required_argument, NULL, OPT_DUMP_DTB },
	{ "stats", no_argument, NULL, OPT_STATS },
	{ "help", no_argument, NULL, 'h' },
	{ 0 },
};

static void usage(void)
{
	printf("usage: softvirt boot [OPTIONS] [debian-riscv64]\n\n"
	       "Boots a RISC-V guest. Without --kernel: Debian's, as 'softvirt fetch debian-riscv64'\n"
	       "brought it.\n\n"
	       "  --kernel FILE     a Linux Image (plain, gzip) or an ELF file\n"
	       "  --initrd FILE     an initramfs\n"
	       "  --append STRING   the kernel's command line\n"
	       "  --disk FILE[,ro]  a raw image or a block device; up to %d times\n"
	       "  --smp N           vCPUs, 1 to %d (1)\n"
	       "  --memory SIZE     in MiB, or with K, M, G (512M)\n"
	       "  --console WHERE   the serial port: stdio, pty, or a FILE to write to (stdio)\n"
	       "  --virtio-console WHERE\n"
	       "                    a second console, hvc0 in the guest\n"
	       "  --net user|none   a network through this user's sockets, or none (user)\n"
	       "  --dump-dtb FILE   write the device tree and boot nothing\n"
	       "  --stats           at the end, print what the guest did\n\n"
	       "On a terminal: Ctrl-A x leaves, Ctrl-A r resets, Ctrl-A h helps, Ctrl-A Ctrl-A sends\n"
	       "Ctrl-A. The exit status is 0 after a clean power-off, 1 after a failure that the guest\n"
	       "reports, 2 for input that cannot be used, 128 + n for signal n.\n",
	       VMM_MAX_DISKS, VMM_MAX_VCPUS);
}

static int parse_smp(const char *s, unsigned int *smp)
{
	char *end;
	unsigned long v;

	errno = 0;
	v = strtoul(s, &end, 10);
	if (*s < '0' || *s > '9' || *end || errno || !v || v > VMM_MAX_VCPUS)
		return vmm_report(-EINVAL, "--smp '%s' is no possible number of vCPUs; say 1 to %d", s,
				  VMM_MAX_VCPUS);
	*smp = v;
	return 0;
}

/* Plain numbers are MiB. */
static int parse_memory(const char *s, u64 *bytes)
{
	struct sysinfo si;
	u64 unit = 1 << 20, have;
	unsigned long long v;
	char *end;

	errno = 0;
	v = strtoull(s, &end, 10);
	if (*end == 'K' || *end == 'k')
		unit = 1ull << 10;
	else if (*end == 'G' || *end == 'g')
		unit = 1ull << 30;
	else if (*end == 'T' || *end == 't')
		unit = 1ull << 40;
	else if (*end && *end != 'M' && *end != 'm')
		unit = 0;
	if (*s < '0' || *s > '9' || !unit || (*end && end[1]))
		return vmm_report(-EINVAL, "--memory '%s' is no size; say one such as 512M or 2G", s);
	if (sysinfo(&si))
		return vmm_report(-errno, "cannot find out how much memory there is");
	have = ((u64)si.totalram + si.totalswap) * si.mem_unit;
	if (errno == ERANGE || v > have / unit)
		return vmm_report(-EINVAL, "--memory %s is more than this machine has; say at most %lluM",
				  s, (unsigned long long)have >> 20);
	*bytes = ALIGN_DOWN(v * unit, SV_PAGE_SIZE);
	if (*bytes < VMM_MIN_MEMORY)
		return vmm_report(-EINVAL, "--memory %s is too little; a bare-metal program needs 4M, "
				  "a Linux kernel 128M", s);
	return 0;
}

static int parse_net(const char *s, bool *net)
{
	if (strcmp(s, "user") && strcmp(s, "none"))
		return vmm_report(-EINVAL, "--net '%s' is not known; say user or none", s);
	*net = !strcmp(s, "user");
	return 0;
}

static int add_disk(struct vmm_config *cfg, const char *spec)
{
	if (cfg->nr_disks == VMM_MAX_DISKS)
		return vmm_report(-EINVAL, "too many disks; at most %d fit", VMM_MAX_DISKS);
	cfg->disk[cfg->nr_disks++] = spec;
	return 0;
}

/* 0, -errno after a line on stderr, or 1: help was asked for. */
static int parse(int argc, char **argv, struct vmm_config *cfg)
{
	int opt, err = 0;

	optind = 1;
	opterr = 0;
	while (!err && (opt = getopt_long(argc, argv, ":h", options, NULL)) != -1) {
		switch (opt) {
		case OPT_KERNEL: cfg->kernel = optarg; break;
		case OPT_INITRD: cfg->initrd = optarg; break;
		case OPT_APPEND: cfg->append = optarg; break;
		case OPT_DISK: err = add_disk(cfg, optarg); break;
		case OPT_SMP: err = parse_smp(optarg, &cfg->smp); break;
		case OPT_MEMORY: err = parse_memory(optarg, &cfg->memory); break;
		case OPT_CONSOLE: cfg->console = optarg; break;
		case OPT_VIRTIO_CONSOLE: cfg->virtio_console = optarg; break;
		case OPT_NET: err = parse_net(optarg, &cfg->net); break;
		case OPT_DUMP_DTB: cfg->dump_dtb = optarg; break;
		case OPT_STATS: cfg->stats = true; break;
		case 'h': return 1;
		case ':':
			return vmm_report(-EINVAL, "%s needs a value; see softvirt boot --help",
					  argv[optind - 1]);
		default:
			return vmm_report(-EINVAL, "unknown option '%s'; see softvirt boot --help",
					  argv[optind - 1]);
		}
	}
	/* The guest that was fetched may be named; it is what no --kernel means, too. */
	if (!err && optind < argc && !cfg->kernel && !strcmp(argv[optind], "debian-riscv64"))
		optind++;
	if (!err && optind < argc)
		return vmm_report(-EINVAL, "'%s' is not an option; did you mean --kernel %s?",
				  argv[optind], argv[optind]);
	return err;
}

static int check_consoles(const struct vmm_config *cfg)
{
	const char *v = cfg->virtio_console;

	if (!*cfg->console || (v && !*v))
		return vmm_report(-EINVAL, "a console's name is empty; say stdio, pty or a file's name");
	if (v && strcmp(v, "pty") && !strcmp(v, cfg->console))
		return vmm_report(-EINVAL, "--console and --virtio-console cannot both be %s; name "
				  "another place for one of them", v);
	return 0;
}

/* The path of a file that was fetched, if it is there. The caller frees it. */
static char *fetched(const char *file)
{
	const char *base = getenv("XDG_CACHE_HOME"), *dir = "";
	char *path = NULL;

	if (!base || !*base) {
		base = getenv("HOME");
		dir = "/.cache";
	}
	if (!base || !*base ||
	    asprintf(&path, "%s%s/softvirt/debian-riscv64/%s", base, dir, file) < 0)
		return NULL;
	if (access(path, R_OK)) {
		free(path);
		return NULL;
	}
	return path;
}

/* Debian's kernel and initramfs, where the user names no kernel. */
static int use_fetched(struct vmm_config *cfg, char **kernel, char **initrd)
{
	*kernel = fetched("vmlinux");
	*initrd = fetched("initrd");
	if (!*kernel || (!cfg->initrd && !*initrd))
		return vmm_report(-ENOENT, "no --kernel is named and none has been fetched; run 'softvirt "
				  "fetch debian-riscv64', or name one with --kernel FILE");
	cfg->kernel = *kernel;
	if (!cfg->initrd)
		cfg->initrd = *initrd;
	vmm_report(0, "using Debian's kernel, %s%s", *kernel,
		   isatty(STDIN_FILENO) ? " (Ctrl-A h: help, Ctrl-A x: leave)" : "");
	return 0;
}

int cmd_boot(int argc, char **argv)
{
	struct vmm_config cfg = { .smp = 1, .memory = 512ull << 20, .console = "stdio",
				  .net = true };
	char *kernel = NULL, *initrd = NULL;
	int err = parse(argc, argv, &cfg);

	if (err > 0) {
		usage();
		return 0;
	}
	if (!err)
		err = check_consoles(&cfg);
	if (!err && !cfg.kernel && !cfg.dump_dtb)
		err = use_fetched(&cfg, &kernel, &initrd);
	if (!err) {
		/* A reader that has gone and a file that may not grow are errors of write(2). */
		signal(SIGPIPE, SIG_IGN);
		signal(SIGXFSZ, SIG_IGN);
		err = vmm_main(&cfg);
	} else {
		err = BAD;
	}
	free(kernel);
	free(initrd);
	return err;
}
