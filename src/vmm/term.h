/* SPDX-License-Identifier: MIT */
/*
 * The terminal in raw mode, and back again whatever happens.
 *
 * There is one terminal for a process, so this is process-wide state. term_raw() saves the
 * settings and installs handlers for the faults and aborts that would end the process; they
 * put the terminal right and let the default action follow. Orderly signals (TERM, HUP, INT,
 * TSTP, CONT) are taken by the main loop, which calls term_restore() and term_raw().
 */
#ifndef SV_VMM_TERM_H
#define SV_VMM_TERM_H

/* 0, also when fd is no terminal (then nothing is changed), or -errno. */
int term_raw(int fd);
/* Idempotent; safe in signal handlers. */
void term_restore(void);
/* To be called before anything else installs handlers for faults. */
void term_catch_crashes(void);

#endif
