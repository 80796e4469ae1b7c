/* SPDX-License-Identifier: MIT */
/*
 * Links' sockets, and the thread that serves them: see docs/remote.md.
 *
 * Model. A link is a stream socket with messages of one size. Sending never sleeps: what the
 * socket does not take waits in tx, up to a limit, beyond which the link breaks. One thread
 * of the process, started with the first link, reads all links and runs what their messages
 * ask for. It must always come back to reading, because a fence's signal may be what the
 * owner of a lock waits for; so what needs a reservation lock is tried for a bounded time and
 * then again.
 *
 * Locks: loop_lock; then link->lock.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/libc.h"
#include "base/timer.h"
#include "dmabuf/remote.h"
#include "file/file.h"

#define TX_MOST (1u << 20)
#define MESSAGES_AT_ONCE 64
/* How long the thread waits for one lock, and then before it tries again. */
#define LOCK_NS 200000ull
#define RETRY_MS 1

static struct sv_mutex loop_lock = SV_MUTEX_INIT;
/* Under loop_lock. */
static LIST_HEAD(links);
static u32 nr_links;
static u64 next_link = 1;
static pid_t loop_pid;
static int wake_fds[2] = { -1, -1 };
static ino_t wake_ino;
static struct sv_thread loop_thread;
static __thread bool in_thread __attribute__((tls_model("initial-exec")));

static void loop_wake(void);

static ino_t inode_of(int fd)
{
	struct stat st;

	return !fstat(fd, &st) && S_ISSOCK(st.st_mode) ? st.st_ino : 0;
}

/* A program may close every number it finds and get it for something else. */
static bool still_ours(struct remote_link *link)
{
	return link->ino && inode_of(link->fd) == link->ino;
}

void remote_link_init(struct remote_link *link, const struct remote_role *role, int fd)
{
	remote_link_setup(link, role, fd);
	link->ino = inode_of(fd);
	(void)sv_libc.fcntl(fd, F_SETFL, O_NONBLOCK);
	sv_mutex_lock(&loop_lock);
	link->id = next_link++;
	sv_mutex_unlock(&loop_lock);
}

void remote_io_close(struct remote_link *link)
{
	if (still_ours(link))
		sv_fd_keep_close(link->fd);
}

/* lock held. */
static void break_locked(struct remote_link *link)
{
	if (link->broken)
		return;
	WRITE_ONCE(link->broken, true);
	link->tx_len = 0;
	/* The thread reads the end of file. */
	if (still_ours(link))
		shutdown(link->fd, SHUT_RDWR);
}

void remote_break(struct remote_link *link)
{
	spin_lock(&link->lock);
	break_locked(link);
	spin_unlock(&link->lock);
	loop_wake();
}

/* lock held. What has gone out; -errno: the peer is gone. */
static ssize_t push(struct remote_link *link, const void *p, size_t n)
{
	ssize_t done;

	if (!still_ours(link))
		return -EPIPE;
	do
		done = send(link->fd, p, n, MSG_DONTWAIT | MSG_NOSIGNAL);
	while (done < 0 && errno == EINTR);
	if (done < 0)
		return errno == EAGAIN ? 0 : -errno;
	return done;
}

/* lock held. */
static int tx_append(struct remote_link *link, const char *p, size_t n)
{
	size_t room = max(link->tx_room, (size_t)4096);
	char *bigger;

	if (link->tx_len + n > TX_MOST)
		return -ENOBUFS;
	while (room < link->tx_len + n)
		room *= 2;
	if (room != link->tx_room) {
		bigger = sv_realloc(link->tx, room);
		if (!bigger)
			return -ENOMEM;
		link->tx = bigger;
		link->tx_room = room;
	}
	memcpy(link->tx + link->tx_len, p, n);
	link->tx_len += n;
	return 0;
}

void remote_send(struct remote_link *link, const struct remote_msg *msg)
{
	ssize_t done = 0;
	int saved = errno, err = 0;
	bool wake = false;

	spin_lock(&link->lock);
	if (link->broken)
		goto unlock;
	if (!link->tx_len)
		done = push(link, msg, sizeof(*msg));
	if (done < 0)
		err = (int)done;
	else if ((size_t)done < sizeof(*msg))
		err = tx_append(link, (const char *)msg + done, sizeof(*msg) - (size_t)done);
	if (err)
		break_locked(link);
	wake = err || link->tx_len;
unlock:
	spin_unlock(&link->lock);
	if (wake)
		loop_wake();
	errno = saved;
}

/* What waited goes out. */
static void flush(struct remote_link *link)
{
	ssize_t done;

	spin_lock(&link->lock);
	if (!link->broken && link->tx_len) {
		done = push(link, link->tx, link->tx_len);
		if (done < 0) {
			break_locked(link);
		} else {
			link->tx_len -= (size_t)done;
			memmove(link->tx, link->tx + done, link->tx_len);
		}
	}
	spin_unlock(&link->lock);
}

bool remote_lock(struct dma_resv *resv)
{
	return !ww_mutex_lock_until(&resv->lock, NULL, sv_now_ns() + LOCK_NS);
}

bool remote_in_thread(void)
{
	return in_thread;
}

/* Everything that the socket has, within reason; false: the peer is gone. */
static bool link_read(struct remote_link *link)
{
	for (int i = 0; i < MESSAGES_AT_ONCE; i++) {
		ssize_t n;

		if (!still_ours(link))
			return false;
		n = recv(link->fd, (char *)&link->rx + link->rx_len,
			 sizeof(link->rx) - link->rx_len, MSG_DONTWAIT);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			return true;
		if (n <= 0)
			return false;
		link->rx_len += (size_t)n;
		if (link->rx_len < sizeof(link->rx))
			continue;
		link->rx_len = 0;
		/* It is shown in lists, whatever is in it. */
		link->rx.name[REMOTE_NAME - 1] = 0;
		if (link->role->message(link, &link->rx))
			return false;
	}
	return true;
}

static bool finished(struct remote_link *link)
{
	bool end;

	spin_lock(&link->lock);
	end = link->bye && list_empty(&link->sent) && list_empty(&link->got) &&
	      list_empty(&link->ops) && !link->tx_len;
	spin_unlock(&link->lock);
	return end;
}

/* One round for one link. 1: again soon, 0: when something comes, -1: it has ended. */
static int link_turn(struct remote_link *link, short revents)
{
	if (revents & POLLOUT)
		flush(link);
	if (!link->hung_up && (revents & (POLLIN | POLLHUP | POLLERR | POLLNVAL)) && !link_read(link))
		link->hung_up = true;
	if (!link->hung_up && (remote_is_broken(link) || finished(link)))
		link->hung_up = true;
	if (!link->hung_up)
		return link->role->run(link) ? 0 : 1;
	spin_lock(&link->lock);
	break_locked(link);
	spin_unlock(&link->lock);
	remote_sent_drop(link);
	remote_fences_die(link);
	return link->role->hangup(link) ? -1 : 1;
}

static void link_forget(struct remote_link *link)
{
	struct remote_op *op;

	sv_mutex_lock(&loop_lock);
	list_del(&link->node);
	nr_links--;
	sv_mutex_unlock(&loop_lock);
	while ((op = remote_first_op(link)))
		remote_op_done(link, op);
	remote_link_put(link);
}

/* All links and what to ask of them; what changes the list is this thread, or adds. */
static nfds_t loop_collect(struct pollfd **fds, struct remote_link ***which, nfds_t *room,
			   bool *again)
{
	struct remote_link *link;
	nfds_t n = 1;

	sv_mutex_lock(&loop_lock);
	if (*room < nr_links + 1) {
		nfds_t want = nr_links + 16;
		struct pollfd *f = sv_realloc(*fds, want * sizeof(*f));
		struct remote_link **w;

		if (f)
			*fds = f;
		w = f ? sv_realloc(*which, want * sizeof(struct remote_link *)) : NULL;
		if (w) {
			*which = w;
			*room = want;
		}
	}
	if (*room)
		(*fds)[0] = (struct pollfd){ .fd = wake_fds[0], .events = POLLIN };
	/* Without memory for all, those at the front get their turn. */
	list_for_each_entry(link, &links, node) {
		if (n >= *room)
			break;
		(*which)[n] = link;
		(*fds)[n] = (struct pollfd){ .fd = link->fd, .events = POLLIN };
		spin_lock(&link->lock);
		if (link->tx_len)
			(*fds)[n].events |= POLLOUT;
		spin_unlock(&link->lock);
		if (link->hung_up)
			(*fds)[n].fd = -1;
		/* A new one has something to do before anything comes. */
		*again |= link->fresh;
		link->fresh = false;
		n++;
	}
	sv_mutex_unlock(&loop_lock);
	return *room ? n : 0;
}

static void *loop_main(void *arg)
{
	struct remote_link **which = NULL;
	struct pollfd *fds = NULL;
	nfds_t room = 0;
	bool again = false;
	char bin[64];

	in_thread = true;
	for (;;) {
		nfds_t n = loop_collect(&fds, &which, &room, &again);

		if (!n) {
			usleep(10000);
			continue;
		}
		if (poll(fds, n, again ? RETRY_MS : -1) < 0 && errno != EINTR)
			usleep(1000);
		if (fds[0].revents & POLLIN && read(fds[0].fd, bin, sizeof(bin)) < 0) {
			/* Somebody else's wake-up was read with ours. */
		}
		again = false;
		for (nfds_t i = 1; i < n; i++) {
			int turn = link_turn(which[i], fds[i].revents);

			again |= turn > 0;
			if (turn < 0)
				link_forget(which[i]);
		}
	}
	return arg;
}

static void loop_wake(void)
{
	int fd = READ_ONCE(wake_fds[1]);
	struct stat st;

	/* The number may be a stranger's by now. */
	if (fd < 0 || in_thread || fstat(fd, &st) || st.st_ino != READ_ONCE(wake_ino))
		return;
	if (write(fd, "", 1) < 0) {
		/* Full: it is awake. */
	}
}

void remote_link_kick(void)
{
	loop_wake();
}

/* loop_lock held. */
static int loop_start(void)
{
	int fds[2], a, b, err;
	struct stat st;

	if (loop_pid == getpid())
		return 0;
	if (SV_FAULT(EMFILE) || pipe2(fds, O_CLOEXEC | O_NONBLOCK))
		return -errno;
	a = sv_fd_keep(fds[0]);
	b = sv_fd_keep(fds[1]);
	err = a < 0 ? a : b < 0 ? b : fstat(b, &st) ? -errno : 0;
	if (!err) {
		wake_fds[0] = a;
		WRITE_ONCE(wake_ino, st.st_ino);
		WRITE_ONCE(wake_fds[1], b);
		err = sv_thread_create(&loop_thread, "softvirt-remote", loop_main, NULL);
	}
	if (!err) {
		loop_pid = getpid();
		return 0;
	}
	WRITE_ONCE(wake_fds[1], -1);
	if (a >= 0)
		sv_fd_keep_close(a);
	if (b >= 0)
		sv_fd_keep_close(b);
	return err;
}

int remote_link_start(struct remote_link *link)
{
	int err;

	sv_mutex_lock(&loop_lock);
	err = loop_start();
	if (!err) {
		remote_link_get(link);
		link->fresh = true;
		list_add_tail(&link->node, &links);
		nr_links++;
	}
	sv_mutex_unlock(&loop_lock);
	if (!err)
		loop_wake();
	return err;
}

static void fork_prepare(void)
{
	sv_mutex_lock(&loop_lock);
}

static void fork_parent(void)
{
	sv_mutex_unlock(&loop_lock);
}

/*
 * The peers wait for the end of the process that they talk to: the child must not keep their
 * sockets open. The links themselves are copies that nobody looks at.
 */
static void fork_child(void)
{
	struct remote_link *link;

	list_for_each_entry(link, &links, node) {
		if (still_ours(link))
			sv_libc.close(link->fd);
		link->ino = 0;
		link->broken = true;
	}
	INIT_LIST_HEAD(&links);
	nr_links = 0;
	loop_pid = 0;
	for (int i = 0; i < 2; i++)
		if (wake_fds[i] >= 0)
			sv_libc.close(wake_fds[i]);
	wake_fds[0] = wake_fds[1] = -1;
	sv_mutex_unlock(&loop_lock);
}

static void __attribute__((constructor(103))) remote_init(void)
{
	(void)pthread_atfork(fork_prepare, fork_parent, fork_child);
}
