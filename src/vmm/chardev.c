/* SPDX-License-Identifier: MIT */
#include "vmm/chardev.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/uio.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include "vmm/loop.h"
#include "vmm/report.h"
#include "vmm/term.h"

#define CHARDEV_ESCAPE 0x01		/* Ctrl-A */
#define CHARDEV_BATCH_NS 1000000ull
#define CHARDEV_BATCH_BYTES 4096u

static u64 chardev_now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000000000ull + ts.tv_nsec;
}

static int chardev_open_pty(struct chardev *c)
{
	struct termios t;
	char name[64];
	int err;

	c->out_fd = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK);
	if (c->out_fd < 0)
		return vmm_report(-errno, "cannot open a pseudo-terminal: %s; is /dev/pts mounted?",
				  strerror(errno));
	c->close_fds = true;
	if (grantpt(c->out_fd) || unlockpt(c->out_fd) ||
	    ptsname_r(c->out_fd, name, sizeof(name)) ||
	    (c->slave_fd = open(name, O_RDWR | O_NOCTTY | O_CLOEXEC)) < 0) {
		err = errno;
		close(c->out_fd);
		return vmm_report(-err, "cannot open a pseudo-terminal: %s; is /dev/pts mounted?",
				  strerror(err));
	}
	if (!tcgetattr(c->slave_fd, &t)) {
		cfmakeraw(&t);
		tcsetattr(c->slave_fd, TCSANOW, &t);
	}
	c->in_fd = c->out_fd;
	c->drop_when_stuck = true;
	snprintf(c->what, sizeof(c->what), "%s", name);
	fprintf(stderr, "softvirt boot: the console is %s\n", name);
	return 0;
}

static int chardev_open_spec(struct chardev *c, const char *spec)
{
	if (!strcmp(spec, "pty"))
		return chardev_open_pty(c);
	if (!strcmp(spec, "stdio")) {
		c->in_fd = STDIN_FILENO;
		c->out_fd = STDOUT_FILENO;
		c->escapes = isatty(STDIN_FILENO);
		strcpy(c->what, "stdout");
		return 0;
	}
	c->out_fd = open(spec, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOCTTY, 0666);
	if (c->out_fd < 0)
		return vmm_report(-errno, "cannot write the console to '%s': %s; name a file that can "
				  "be written, or stdio, or pty", spec, strerror(errno));
	c->close_fds = true;
	snprintf(c->what, sizeof(c->what), "'%.58s'", spec);
	return 0;
}

int chardev_open(struct chardev *c, const char *spec, const struct chardev_owner *owner)
{
	int err;

	memset(c, 0, sizeof(*c));
	c->in_fd = c->slave_fd = -1;
	c->owner = *owner;
	sv_mutex_init(&c->lock);
	sv_cond_init(&c->more);
	sv_cond_init(&c->space);
	c->ring = malloc(CHARDEV_RING_SIZE);
	c->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (!c->ring || c->wake_fd < 0)
		err = vmm_report(-ENOMEM, "no memory or descriptors for the console");
	else
		err = chardev_open_spec(c, spec);
	if (err) {
		free(c->ring);
		c->ring = NULL;
		if (c->wake_fd >= 0)
			close(c->wake_fd);
	}
	return err;
}

/* --- output ----------------------------------------------------------------------------- */

/* Writes all of it. false: the rest cannot be written, and the owner knows. */
static bool chardev_write_out(struct chardev *c, struct iovec *iov, int cnt)
{
	while (cnt) {
		ssize_t n = writev(c->out_fd, iov, cnt);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN) {
			struct pollfd p = { .fd = c->out_fd, .events = POLLOUT };

			if (poll(&p, 1, c->drop_when_stuck ? 50 : -1) == 0)
				return true;
			continue;
		}
		if (n < 0) {
			c->owner.failed(c->owner.opaque, c->what, errno);
			return false;
		}
		while (cnt && (size_t)n >= iov->iov_len) {
			n -= iov->iov_len;
			iov++;
			cnt--;
		}
		if (cnt) {
			iov->iov_base = (u8 *)iov->iov_base + n;
			iov->iov_len -= n;
		}
	}
	return true;
}

static void *chardev_writer(void *arg)
{
	struct chardev *c = arg;

	sv_mutex_lock(&c->lock);
	for (;;) {
		struct iovec iov[2];
		u32 start, len, first;
		u64 until;
		bool ok;

		while (c->head == c->tail && !c->stop)
			sv_cond_wait(&c->more, &c->lock);
		if (c->head == c->tail)
			break;
		until = chardev_now() + CHARDEV_BATCH_NS;
		while (c->head - c->tail < CHARDEV_BATCH_BYTES && !c->stop)
			if (sv_cond_wait_until(&c->more, &c->lock, until))
				break;
		start = c->tail % CHARDEV_RING_SIZE;
		len = c->head - c->tail;
		first = min(len, CHARDEV_RING_SIZE - start);
		iov[0] = (struct iovec){ c->ring + start, first };
		iov[1] = (struct iovec){ c->ring, len - first };
		c->writing = true;
		ok = c->discard;
		sv_mutex_unlock(&c->lock);
		if (!ok)
			ok = chardev_write_out(c, iov, len > first ? 2 : 1);
		sv_mutex_lock(&c->lock);
		c->writing = false;
		if (!ok)
			c->discard = true;
		c->tail += len;
		sv_cond_broadcast(&c->space);
	}
	sv_mutex_unlock(&c->lock);
	return NULL;
}

void chardev_write(struct chardev *c, const void *data, size_t len)
{
	const u8 *p = data;

	sv_mutex_lock(&c->lock);
	while (len && !c->discard) {
		u32 used = c->head - c->tail, start = c->head % CHARDEV_RING_SIZE, n;

		n = min(CHARDEV_RING_SIZE - used, CHARDEV_RING_SIZE - start);
		n = min((size_t)n, len);
		if (!n) {
			sv_cond_wait(&c->space, &c->lock);
			continue;
		}
		memcpy(c->ring + start, p, n);
		c->head += n;
		p += n;
		len -= n;
		/* The writer sleeps without a deadline when the ring is empty, with one until then. */
		if (!used || (used < CHARDEV_BATCH_BYTES && used + n >= CHARDEV_BATCH_BYTES))
			sv_cond_signal(&c->more);
	}
	sv_mutex_unlock(&c->lock);
}

bool chardev_drain(struct chardev *c, int timeout_ms)
{
	u64 until = chardev_now() + timeout_ms * 1000000ull;
	bool done;

	sv_mutex_lock(&c->lock);
	while (c->started && (c->head != c->tail || c->writing) && !c->discard)
		if (sv_cond_wait_until(&c->space, &c->lock, until))
			break;
	done = !c->started || (c->head == c->tail && !c->writing) || c->discard;
	sv_mutex_unlock(&c->lock);
	return done;
}

void chardev_discard(struct chardev *c)
{
	sv_mutex_lock(&c->lock);
	c->discard = true;
	sv_cond_broadcast(&c->space);
	sv_mutex_unlock(&c->lock);
}

/* --- input ------------------------------------------------------------------------------ */

static void chardev_help(struct chardev *c)
{
	static const char text[] =
		"\r\nsoftvirt: Ctrl-A x  leave: the guest stops at once\r\n"
		"          Ctrl-A r  reset the guest\r\n"
		"          Ctrl-A h  this help\r\n"
		"          Ctrl-A Ctrl-A  send Ctrl-A to the guest\r\n";

	chardev_write(c, text, sizeof(text) - 1);
}

/* Takes the escape sequences out of buf; returns how many bytes are the guest's. */
static size_t chardev_escapes(struct chardev *c, u8 *buf, size_t n)
{
	size_t i, out = 0;

	for (i = 0; i < n; i++) {
		u8 ch = buf[i];

		if (!c->after_escape && ch == CHARDEV_ESCAPE) {
			c->after_escape = true;
			continue;
		}
		if (c->after_escape) {
			c->after_escape = false;
			if (ch == 'x' || ch == 'X')
				c->owner.quit(c->owner.opaque);
			else if (ch == 'r')
				c->owner.reset(c->owner.opaque);
			else if (ch == 'h' || ch == '?')
				chardev_help(c);
			else if (ch == CHARDEV_ESCAPE || ch == 'a')
				buf[out++] = CHARDEV_ESCAPE;
			continue;
		}
		buf[out++] = ch;
	}
	return out;
}

/* false: there will be no more. */
static bool chardev_read(struct chardev *c, size_t room)
{
	u8 buf[512];
	ssize_t n = read(c->in_fd, buf, c->escapes ? sizeof(buf) : min(room, sizeof(buf)));
	size_t len;

	if (n < 0)
		return errno == EINTR || errno == EAGAIN;
	if (n == 0)
		return false;
	len = c->escapes ? chardev_escapes(c, buf, n) : (size_t)n;
	len = min(len, room);
	if (len && c->sink.input)
		c->sink.input(c->sink.opaque, buf, len);
	return true;
}

static void *chardev_reader(void *arg)
{
	struct chardev *c = arg;
	struct pollfd p[2] = {
		{ .fd = c->wake_fd, .events = POLLIN },
		{ .fd = c->in_fd, .events = POLLIN },
	};
	bool stop = false;

	while (!stop) {
		size_t room = c->sink.room ? c->sink.room(c->sink.opaque) : 0;

		/* A negative descriptor is not polled; errors of it would be reported all the same. */
		p[1].fd = room || c->escapes ? c->in_fd : -1;
		if (poll(p, 2, -1) < 0)
			continue;
		if (p[0].revents)
			eventfd_drain(c->wake_fd);
		if (p[1].fd >= 0 && p[1].revents && !chardev_read(c, room))
			break;
		sv_mutex_lock(&c->lock);
		stop = c->stop;
		sv_mutex_unlock(&c->lock);
	}
	return NULL;
}

void chardev_input_ready(struct chardev *c)
{
	if (c->in_fd >= 0 && !c->escapes)
		eventfd_kick(c->wake_fd);
}

/* --- life ------------------------------------------------------------------------------- */

int chardev_start(struct chardev *c)
{
	int err = sv_thread_create(&c->writer, "console-out", chardev_writer, c);

	if (err)
		return err;
	c->started = true;
	if (c->in_fd < 0)
		return 0;
	err = sv_thread_create(&c->reader, "console-in", chardev_reader, c);
	if (err) {
		c->in_fd = -1;	/* there is no reader to join */
		return err;
	}
	if (c->escapes)
		err = term_raw(c->in_fd);
	return err;
}

void chardev_close(struct chardev *c)
{
	u64 until = chardev_now() + 200000000ull;
	bool stuck;

	if (!c->ring)
		return;
	sv_mutex_lock(&c->lock);
	c->stop = c->discard = true;
	sv_cond_broadcast(&c->more);
	sv_cond_broadcast(&c->space);
	while (c->writing && !sv_cond_wait_until(&c->space, &c->lock, until))
		;
	stuck = c->writing;
	sv_mutex_unlock(&c->lock);
	if (c->started && c->in_fd >= 0) {
		eventfd_kick(c->wake_fd);
		sv_thread_join(&c->reader);
	}
	if (c->escapes)
		term_restore();
	/*
	 * The writer may hang in write(2) to a pipe that nobody reads. Nothing ends that but the
	 * end of the process, which is near; until then the thread owns c.
	 */
	if (stuck)
		return;
	if (c->started)
		sv_thread_join(&c->writer);
	if (c->close_fds)
		close(c->out_fd);
	if (c->slave_fd >= 0)
		close(c->slave_fd);
	close(c->wake_fd);
	free(c->ring);
	c->ring = NULL;
}
