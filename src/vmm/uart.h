/* SPDX-License-Identifier: MIT */
/*
 * A 16550A UART (National Semiconductor PC16550D): eight byte-wide registers.
 *
 * The transmitter is always empty: what is written to it goes to the chardev, which waits
 * when it must. The receiver holds more than the chip's 16 bytes, which no driver can tell.
 * Time does not pass in here: a receive timeout is due as soon as there is a byte.
 *
 * uart->lock covers the registers; the PLIC's lock nests inside. The chardev is written to
 * without it, since that may wait.
 */
#ifndef SV_VMM_UART_H
#define SV_VMM_UART_H

#include "base/sync.h"
#include "base/types.h"
#include "vmm/mmio.h"

#define UART_RX_SIZE 1024u

struct uart_ops {
	void (*set_irq)(void *opaque, bool level);
	void (*output)(void *opaque, u8 ch);
	/* The receiver has room again after it was full. */
	void (*input_ready)(void *opaque);
};

struct uart {
	struct sv_mutex lock;
	const struct uart_ops *ops;
	void *opaque;
	u8 ier, lcr, mcr, scr, fcr;
	u8 dll, dlm;
	bool thr_irq;		/* the transmitter ran empty and nobody has been told */
	bool overrun;
	bool msr_delta;
	bool irq;
	u8 rx[UART_RX_SIZE];
	u32 rx_head, rx_tail;	/* free running */
};

void uart_init(struct uart *u, const struct uart_ops *ops, void *opaque);
/* As after power-on; the interrupt line is taken to be low. */
void uart_reset(struct uart *u);
size_t uart_room(struct uart *u);
void uart_input(struct uart *u, const u8 *data, size_t len);
/* Takes what was received past the registers (SBI's console); returns how many bytes. */
size_t uart_take(struct uart *u, u8 *buf, size_t len);

extern const struct mmio_ops uart_mmio_ops;

#endif
