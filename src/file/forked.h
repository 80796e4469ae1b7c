/* SPDX-License-Identifier: MIT */
/*
 * Calls of forked children on their parent's objects; docs/forked.md has the model.
 *
 * forked.c	the way from a child to the process that has the object, and the child's side
 * forked_serve.c	that process's side: calls are carried out, and whose memory they mean
 * lend.c	the child's side of its memory: what a device in the parent is to reach
 *
 * For handlers. During a call that a child has made (sv_user_is_foreign()) the sv_copy_ functions
 * mean the child's memory, and a descriptor's number in an argument is the child's.
 */
#ifndef SV_FILE_FORKED_H
#define SV_FILE_FORKED_H

#include "file/file.h"

/* A process whose memory is asked for; references by get and put. */
struct sv_lender;

/*
 * The caller's descriptor as one of this process's: the number itself when the caller is this
 * process. -EBADF, -EMFILE, -EIO. Given back by the other, with the number that came in.
 */
int sv_caller_fd(int fd);
void sv_caller_fd_put(int caller_fd, int fd);

/* The calling process's memory: a reference, or ERR_PTR(-EIO, -ENOMEM). Foreign callers only. */
struct sv_lender *sv_caller_lender(void);
struct sv_lender *sv_lender_get(struct sv_lender *l);
void sv_lender_put(struct sv_lender *l);
/*
 * Maps [addr, addr + len) of the process, page-aligned, shared, over the len bytes at at of this
 * one. From here on either process sees what the other writes; the memory stays here whatever the
 * process does with it. -EFAULT: (some of) it isn't there, or not writable, or the process has
 * gone or doesn't answer within ten seconds; what is at at is then unspecified.
 */
int sv_lender_map(struct sv_lender *l, u64 addr, u64 len, bool writable, void *at);

#endif
