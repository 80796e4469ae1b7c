/* SPDX-License-Identifier: MIT */
/*
 * softvirt dmabuf: the buffers of every process that uses the library and that we may ask.
 *
 * Each such process answers on an abstract socket named after its number (dmabuf/debug.c);
 * /proc/net/unix lists them. A process that does not answer within two seconds is reported
 * and does not stop the others.
 */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/types.h"
#include "cli/cli.h"

#define PREFIX "softvirt/dmabuf/"
#define MAX_PROCESSES 4096

static void usage(FILE *to)
{
	fprintf(to,
		"usage: softvirt dmabuf [--json] [PID...]\n\n"
		"Lists the dma-bufs of the processes that use softvirt (of all, or of those named):\n"
		"sizes, exporters, attached devices, unsignalled fences. A process answers its own\n"
		"user and root; SOFTVIRT_DEBUG_SOCKET=0 in its environment turns that off.\n");
}

static int ask(int pid)
{
	const struct timeval patience = { .tv_sec = 2 };
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int fd, n, err;

	n = snprintf(addr.sun_path + 1, sizeof(addr.sun_path) - 1, PREFIX "%d", pid);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
	if (connect(fd, (struct sockaddr *)&addr,
		    (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)n))) {
		err = -errno;
		close(fd);
		return err;
	}
	return fd;
}

/* The whole answer, ended by a zero; NULL with errno. */
static char *fetch(int pid, char format)
{
	size_t used = 0, size = 4096;
	int fd = ask(pid), err = 0;
	char *text, *bigger;
	ssize_t n;

	if (fd < 0) {
		errno = -fd;
		return NULL;
	}
	text = malloc(size);
	if (!text || send(fd, &format, 1, MSG_NOSIGNAL) != 1)
		err = text ? errno : ENOMEM;
	while (!err && (n = recv(fd, text + used, size - used - 1, 0)) != 0) {
		if (n < 0) {
			err = errno == EAGAIN ? ETIMEDOUT : errno;
			break;
		}
		used += (size_t)n;
		if (used + 1 < size)
			continue;
		bigger = realloc(text, size *= 2);
		if (!bigger)
			err = ENOMEM;
		else
			text = bigger;
	}
	close(fd);
	/* It accepts and says nothing to whom it does not know. */
	if (!err && !used && format == 'j')
		err = EACCES;
	if (err) {
		free(text);
		errno = err;
		return NULL;
	}
	text[used] = 0;
	return text;
}

static int compare_pids(const void *a, const void *b)
{
	return *(const int *)a - *(const int *)b;
}

/* Every process with such a socket; how many. */
static int find_processes(int *pids)
{
	FILE *f = fopen("/proc/net/unix", "re");
	char line[512], *p;
	int n = 0, kept = 0;

	if (!f)
		return -errno;
	while (n < MAX_PROCESSES && fgets(line, sizeof(line), f)) {
		p = strstr(line, "@" PREFIX);
		if (p)
			pids[n++] = atoi(p + sizeof(PREFIX));
	}
	fclose(f);
	/* Connections are listed too. */
	qsort(pids, (size_t)n, sizeof(*pids), compare_pids);
	for (int i = 0; i < n; i++)
		if (pids[i] > 0 && (!kept || pids[i] != pids[kept - 1]))
			pids[kept++] = pids[i];
	return kept;
}

static void print_command(int pid)
{
	char path[64], name[64] = "?";
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/comm", pid);
	f = fopen(path, "re");
	if (f) {
		if (!fgets(name, sizeof(name), f))
			strcpy(name, "?");
		fclose(f);
	}
	name[strcspn(name, "\n")] = 0;
	for (char *p = name; *p; p++)
		if (!isprint((unsigned char)*p))
			*p = '?';
	printf("process %d (%s)\n", pid, name);
}

static int list(const int *pids, int n, bool json)
{
	bool first = true;
	int status = 0;

	if (json)
		printf("{\"processes\":[");
	for (int i = 0; i < n; i++) {
		char *text = fetch(pids[i], json ? 'j' : 't');

		if (!text) {
			fprintf(stderr, "softvirt dmabuf: process %d: %s\n", pids[i],
				errno == ECONNREFUSED ? "it does not use softvirt's dma-bufs" :
				strerror(errno));
			status = 1;
			continue;
		}
		if (json) {
			printf("%s%s", first ? "" : ",", text);
		} else {
			print_command(pids[i]);
			printf("%s", *text ? text : "  no buffers\n");
		}
		first = false;
		free(text);
	}
	if (json)
		printf("]}\n");
	else if (!n)
		printf("no process uses softvirt's dma-bufs\n");
	return status;
}

int cmd_dmabuf(int argc, char **argv)
{
	static int pids[MAX_PROCESSES];
	bool json = false;
	int n = 0;

	for (int i = 1; i < argc; i++) {
		char *end;
		long pid = strtol(argv[i], &end, 10);

		if (!strcmp(argv[i], "--help") || !strcmp(argv[i], "-h")) {
			usage(stdout);
			return 0;
		}
		if (!strcmp(argv[i], "--json")) {
			json = true;
		} else if (*end || pid <= 0 || pid > INT32_MAX || n == MAX_PROCESSES) {
			fprintf(stderr, "softvirt dmabuf: '%s' is no process number; --help tells more\n",
				argv[i]);
			return 2;
		} else {
			pids[n++] = (int)pid;
		}
	}
	if (!n) {
		n = find_processes(pids);
		if (n < 0) {
			fprintf(stderr, "softvirt dmabuf: /proc/net/unix: %s\n", strerror(-n));
			return 1;
		}
	}
	return list(pids, n, json);
}
