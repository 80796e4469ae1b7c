/* SPDX-License-Identifier: MIT */
#include "vmm/uart.h"

#include <string.h>

/* PC16550D data sheet, table II: registers and their bits. */
enum { UART_RBR_THR, UART_IER, UART_IIR_FCR, UART_LCR, UART_MCR, UART_LSR, UART_MSR, UART_SCR };

#define IER_RDI		0x01
#define IER_THRI	0x02
#define IER_RLSI	0x04
#define IER_MSI		0x08
#define IIR_NONE	0x01
#define IIR_MSI		0x00
#define IIR_THRI	0x02
#define IIR_RDI		0x04
#define IIR_RLSI	0x06
#define IIR_TIMEOUT	0x0c
#define IIR_FIFO	0xc0
#define FCR_ENABLE	0x01
#define FCR_CLEAR_RX	0x02
#define FCR_TRIGGER	0xc0
#define LCR_DLAB	0x80
#define MCR_DTR		0x01
#define MCR_RTS		0x02
#define MCR_OUT1	0x04
#define MCR_OUT2	0x08
#define MCR_LOOP	0x10
#define LSR_DR		0x01
#define LSR_OE		0x02
#define LSR_THRE	0x20
#define LSR_TEMT	0x40
#define MSR_DCTS	0x01
#define MSR_CTS		0x10
#define MSR_DSR		0x20
#define MSR_RI		0x40
#define MSR_DCD		0x80

void uart_init(struct uart *u, const struct uart_ops *ops, void *opaque)
{
	memset(u, 0, sizeof(*u));
	sv_mutex_init(&u->lock);
	u->ops = ops;
	u->opaque = opaque;
	u->mcr = MCR_OUT2;
	u->dll = 12;
}

void uart_reset(struct uart *u)
{
	sv_mutex_lock(&u->lock);
	u->ier = u->lcr = u->scr = u->fcr = u->dlm = 0;
	u->mcr = MCR_OUT2;
	u->dll = 12;
	u->thr_irq = u->overrun = u->msr_delta = u->irq = false;
	u->rx_head = u->rx_tail = 0;
	sv_mutex_unlock(&u->lock);
}

static u32 uart_rx_count(const struct uart *u)
{
	return u->rx_head - u->rx_tail;
}

/* What IIR names: the pending interrupt of the highest priority. */
static u8 uart_iir(const struct uart *u)
{
	static const u8 trigger[] = { 1, 4, 8, 14 };

	if ((u->ier & IER_RLSI) && u->overrun)
		return IIR_RLSI;
	if ((u->ier & IER_RDI) && uart_rx_count(u)) {
		if (!(u->fcr & FCR_ENABLE) || uart_rx_count(u) >= trigger[u->fcr >> 6])
			return IIR_RDI;
		return IIR_TIMEOUT;
	}
	if ((u->ier & IER_THRI) && u->thr_irq)
		return IIR_THRI;
	if ((u->ier & IER_MSI) && u->msr_delta)
		return IIR_MSI;
	return IIR_NONE;
}

static void uart_update(struct uart *u)
{
	bool irq = uart_iir(u) != IIR_NONE;

	if (irq != u->irq) {
		u->irq = irq;
		u->ops->set_irq(u->opaque, irq);
	}
}

static void uart_rx_push(struct uart *u, u8 ch)
{
	if (uart_rx_count(u) == UART_RX_SIZE)
		u->overrun = true;
	else
		u->rx[u->rx_head++ % UART_RX_SIZE] = ch;
}

size_t uart_room(struct uart *u)
{
	size_t room;

	sv_mutex_lock(&u->lock);
	room = UART_RX_SIZE - uart_rx_count(u);
	sv_mutex_unlock(&u->lock);
	return room;
}

void uart_input(struct uart *u, const u8 *data, size_t len)
{
	size_t i;

	sv_mutex_lock(&u->lock);
	/* In loopback the line is cut off (PC16550D, 8.6.7). */
	for (i = 0; i < len && !(u->mcr & MCR_LOOP); i++)
		uart_rx_push(u, data[i]);
	uart_update(u);
	sv_mutex_unlock(&u->lock);
}

size_t uart_take(struct uart *u, u8 *buf, size_t len)
{
	bool was_full;
	size_t i;

	sv_mutex_lock(&u->lock);
	was_full = uart_rx_count(u) == UART_RX_SIZE;
	for (i = 0; i < len && uart_rx_count(u); i++)
		buf[i] = u->rx[u->rx_tail++ % UART_RX_SIZE];
	uart_update(u);
	sv_mutex_unlock(&u->lock);
	if (was_full && i)
		u->ops->input_ready(u->opaque);
	return i;
}

static u8 uart_msr(struct uart *u)
{
	u8 v = MSR_DCD | MSR_DSR | MSR_CTS;

	if (u->mcr & MCR_LOOP)
		v = (u->mcr & MCR_RTS ? MSR_CTS : 0) | (u->mcr & MCR_DTR ? MSR_DSR : 0) |
		    (u->mcr & MCR_OUT1 ? MSR_RI : 0) | (u->mcr & MCR_OUT2 ? MSR_DCD : 0);
	if (u->msr_delta)
		v |= MSR_DCTS;
	u->msr_delta = false;
	return v;
}

static u8 uart_read_rbr(struct uart *u, bool *ready)
{
	u8 v = 0;

	if (uart_rx_count(u)) {
		*ready = uart_rx_count(u) == UART_RX_SIZE;
		v = u->rx[u->rx_tail++ % UART_RX_SIZE];
	}
	return v;
}

static u64 uart_read(void *dev, u64 off, unsigned int size)
{
	struct uart *u = dev;
	bool ready = false;
	u8 v = 0;

	sv_mutex_lock(&u->lock);
	switch (off) {
	case UART_RBR_THR:
		v = u->lcr & LCR_DLAB ? u->dll : uart_read_rbr(u, &ready);
		break;
	case UART_IER:
		v = u->lcr & LCR_DLAB ? u->dlm : u->ier;
		break;
	case UART_IIR_FCR:
		v = uart_iir(u);
		if (v == IIR_THRI)
			u->thr_irq = false;
		if (u->fcr & FCR_ENABLE)
			v |= IIR_FIFO;
		break;
	case UART_LCR:
		v = u->lcr;
		break;
	case UART_MCR:
		v = u->mcr;
		break;
	case UART_LSR:
		v = LSR_THRE | LSR_TEMT | (uart_rx_count(u) ? LSR_DR : 0) |
		    (u->overrun ? LSR_OE : 0);
		u->overrun = false;
		break;
	case UART_MSR:
		v = uart_msr(u);
		break;
	case UART_SCR:
		v = u->scr;
		break;
	}
	uart_update(u);
	sv_mutex_unlock(&u->lock);
	if (ready)
		u->ops->input_ready(u->opaque);
	return v;
}

/* true: the byte is to leave the machine. */
static bool uart_write_thr(struct uart *u, u8 v)
{
	u->thr_irq = true;
	if (!(u->mcr & MCR_LOOP))
		return true;
	uart_rx_push(u, v);
	return false;
}

static void uart_write_ier(struct uart *u, u8 v)
{
	/* The transmitter is empty: enabling its interrupt raises it (data sheet, 8.6.5). */
	if ((v & IER_THRI) && !(u->ier & IER_THRI))
		u->thr_irq = true;
	u->ier = v & 0x0f;
}

static void uart_write(void *dev, u64 off, u64 val, unsigned int size)
{
	struct uart *u = dev;
	bool output = false, ready = false;
	u8 v = val;

	sv_mutex_lock(&u->lock);
	switch (off) {
	case UART_RBR_THR:
		if (u->lcr & LCR_DLAB)
			u->dll = v;
		else
			output = uart_write_thr(u, v);
		break;
	case UART_IER:
		if (u->lcr & LCR_DLAB)
			u->dlm = v;
		else
			uart_write_ier(u, v);
		break;
	case UART_IIR_FCR:
		/* Switching the FIFOs on or off empties them. */
		if (((v ^ u->fcr) & FCR_ENABLE) || (v & FCR_ENABLE && v & FCR_CLEAR_RX)) {
			ready = uart_rx_count(u) == UART_RX_SIZE;
			u->rx_tail = u->rx_head;
		}
		u->fcr = v & FCR_ENABLE ? v & (FCR_ENABLE | FCR_TRIGGER) : 0;
		break;
	case UART_LCR:
		u->lcr = v;
		break;
	case UART_MCR:
		u->mcr = v & 0x1f;
		break;
	case UART_SCR:
		u->scr = v;
		break;
	}
	uart_update(u);
	sv_mutex_unlock(&u->lock);
	if (output)
		u->ops->output(u->opaque, v);
	if (ready)
		u->ops->input_ready(u->opaque);
}

const struct mmio_ops uart_mmio_ops = { uart_read, uart_write };
