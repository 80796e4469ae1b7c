/* SPDX-License-Identifier: MIT */
/*
 * Emulated PCI functions: a type for each, made from a specification as `softvirt run
 * --device` takes it: NAME[,bdf=0000:01:00.0][,group=N][,iommu=vtd|smmuv3][,OPTION=VALUE]...
 *
 * Functions live until the process ends or device_remove(). Any thread may add.
 */
#ifndef SV_DEVICES_DEVICE_H
#define SV_DEVICES_DEVICE_H

#include "base/types.h"
#include "pci/pci.h"

/* Room for what is wrong and what would be right. */
#define DEVICE_ERR_MAX 256

struct device_option {
	const char *name;
	const char *value;
	bool used;
};

struct device_args {
	struct device_option options[16];
	unsigned nr;
	char *err;		/* DEVICE_ERR_MAX bytes */
};

struct device_type {
	const char *name;
	const char *help;	/* one line for each option, after the common ones */
	/* The function, not published yet; ERR_PTR and args->err. */
	struct pci_dev *(*create)(struct device_args *args);
};

extern const struct device_type device_ioat, device_ram, device_rnic;
extern const struct device_type *const device_types[];	/* NULL-terminated */

/* 0; -EINVAL, -EEXIST (address taken), -ENOMEM, -EAGAIN (no thread), and err says what is wrong. */
int device_add(const char *spec, char err[DEVICE_ERR_MAX]);
/* Several, separated by ';'. What was added before the one that is wrong stays. */
int device_add_list(const char *specs, char err[DEVICE_ERR_MAX]);

/*
 * For types: true in a device's own thread. A register access that comes from there is a peer's
 * DMA, or the device's own into itself, and must not wait for a device to stop: what does is ignored.
 */
extern __thread bool device_thread_self __attribute__((tls_model("initial-exec")));

/*
 * For types: an option's value; it counts as known. False with err: it is there and makes no sense.
 */
const char *device_option(struct device_args *args, const char *name);
/* With K, M, G; min, max inclusive. *v stays when the option is absent. */
bool device_option_size(struct device_args *args, const char *name, u64 min, u64 max, u64 *v);
bool device_option_number(struct device_args *args, const char *name, u64 min, u64 max, u64 *v);
/* "name" alone, or name=on|off. */
bool device_option_bool(struct device_args *args, const char *name, bool *v);
void device_fail(struct device_args *args, const char *fmt, ...) sv_printf(2, 3);

#endif
