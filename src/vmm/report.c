/* SPDX-License-Identifier: MIT */
#include "vmm/report.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

int vmm_report(int err, const char *fmt, ...)
{
	char line[1024];
	int n, saved_errno = errno;
	ssize_t written;
	size_t i, len;
	va_list ap;

	len = snprintf(line, sizeof(line), "softvirt boot: ");
	va_start(ap, fmt);
	n = vsnprintf(line + len, sizeof(line) - len - 1, fmt, ap);
	va_end(ap);
	len = min(len + (n < 0 ? 0 : n), sizeof(line) - 2);
	/* A file's name may hold anything; one line it stays, and the terminal stays as it is. */
	for (i = 0; i < len; i++)
		if ((u8)line[i] < ' ' || line[i] == 0x7f)
			line[i] = '?';
	line[len++] = '\n';
	written = write(STDERR_FILENO, line, len);
	(void)written;
	errno = saved_errno;
	return err;
}
