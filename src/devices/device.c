/* SPDX-License-Identifier: MIT */
/*
 * Specifications of devices, and the address that each gets.
 *
 * Validation first: every option is parsed before anything is made; an option that no type asked
 * for is an error. Without bdf= a function gets the first bus from 1 on that has none, without
 * group= a group of its own, without iommu= Intel VT-d's IOMMU.
 */
#include "devices/device.h"

#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/err.h"
#include "softvirt/softvirt.h"

const struct device_type *const device_types[] = { &device_ioat, &device_ram, &device_rnic, NULL };

__thread bool device_thread_self;

static struct sv_mutex add_lock = SV_MUTEX_INIT;	/* one address is chosen at a time */

void device_fail(struct device_args *args, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(args->err, DEVICE_ERR_MAX, fmt, ap);
	va_end(ap);
}

const char *device_option(struct device_args *args, const char *name)
{
	for (unsigned i = 0; i < args->nr; i++)
		if (!strcmp(args->options[i].name, name)) {
			args->options[i].used = true;
			return args->options[i].value;
		}
	return NULL;
}

static bool parse_number(const char *s, bool units, u64 *v)
{
	unsigned shift = 0;
	char *end;

	if (!isdigit((unsigned char)*s))
		return false;
	errno = 0;
	*v = strtoull(s, &end, 0);
	if (errno)
		return false;
	if (units && *end) {
		const char *unit = strchr("KMGT", toupper((unsigned char)*end));

		if (!unit)
			return false;
		shift = 10 * (unsigned)(unit - "KMGT" + 1);
		end++;
		if (*v << shift >> shift != *v)
			return false;
		*v <<= shift;
	}
	return !*end;
}

static bool option_number(struct device_args *args, const char *name, bool units, u64 min, u64 max,
			  u64 *v)
{
	const char *s = device_option(args, name);
	u64 n;

	if (!s)
		return true;
	if (!parse_number(s, units, &n) || n < min || n > max) {
		device_fail(args, "%s=%s: must be a number from %llu to %llu%s", name, s,
			    (unsigned long long)min, (unsigned long long)max,
			    units ? " (K, M, G may follow)" : "");
		return false;
	}
	*v = n;
	return true;
}

bool device_option_size(struct device_args *args, const char *name, u64 min, u64 max, u64 *v)
{
	return option_number(args, name, true, min, max, v);
}

bool device_option_number(struct device_args *args, const char *name, u64 min, u64 max, u64 *v)
{
	return option_number(args, name, false, min, max, v);
}

bool device_option_bool(struct device_args *args, const char *name, bool *v)
{
	const char *s = device_option(args, name);

	if (!s)
		return true;
	if (!*s || !strcmp(s, "on")) {
		*v = true;
	} else if (!strcmp(s, "off")) {
		*v = false;
	} else {
		device_fail(args, "%s=%s: must be on or off", name, s);
		return false;
	}
	return true;
}

struct address {
	bool given;
	u16 domain;
	u8 bus, devfn;
	u64 group;
};

static bool parse_bdf(const char *s, struct address *a)
{
	unsigned domain = 0, bus, dev, fn;
	int n = 0;

	if (sscanf(s, "%4x:%2x:%2x.%1x%n", &domain, &bus, &dev, &fn, &n) != 4 || s[n]) {
		n = 0;
		domain = 0;
		if (sscanf(s, "%2x:%2x.%1x%n", &bus, &dev, &fn, &n) != 3 || s[n])
			return false;
	}
	if (dev > 31 || fn > 7 || bus > 255)
		return false;
	a->given = true;
	a->domain = (u16)domain;
	a->bus = (u8)bus;
	a->devfn = (u8)(dev << 3 | fn);
	return true;
}

static bool bus_is_taken(unsigned bus)
{
	struct pci_dev *p = NULL;

	while ((p = pci_dev_next(p)))
		if (!p->domain && p->bus == bus) {
			pci_dev_put(p);
			return true;
		}
	return false;
}

static bool group_is_taken(u64 group)
{
	struct pci_dev *p = NULL;

	while ((p = pci_dev_next(p)))
		if (p->group_id == group) {
			pci_dev_put(p);
			return true;
		}
	return false;
}

static const struct iommu_ops *const iommus[] = { &vtd_iommu_ops, &smmuv3_iommu_ops };

static bool parse_iommu(struct device_args *args, const struct iommu_ops **iommu)
{
	const char *s = device_option(args, "iommu");

	*iommu = iommus[0];
	for (size_t i = 0; s && i < ARRAY_SIZE(iommus); i++) {
		if (!strcmp(iommus[i]->name, s)) {
			*iommu = iommus[i];
			return true;
		}
	}
	if (s)
		device_fail(args, "iommu=%.40s: must be %s or %s", s, iommus[0]->name, iommus[1]->name);
	return !s;
}

/* Says which IOMMU a group is behind. */
static void other_iommu(struct device_args *args, u64 group)
{
	struct pci_dev *p = NULL;

	while ((p = pci_dev_next(p)))
		if (p->group_id == group) {
			device_fail(args, "group %llu sits behind another IOMMU, that of %s; one IOMMU "
				    "translates for a whole group: iommu=%s, or another group=",
				    (unsigned long long)group, p->name, p->iommu.iommu->name);
			pci_dev_put(p);
			return;
		}
	device_fail(args, "group %llu sits behind another IOMMU", (unsigned long long)group);
}

/* add_lock held. */
static int publish(struct pci_dev *pdev, struct address *a, struct device_args *args)
{
	int err;

	if (!a->given) {
		unsigned bus = 1;

		while (bus < 256 && bus_is_taken(bus))
			bus++;
		if (bus == 256) {
			device_fail(args, "no bus is free; give an address: bdf=0000:01:01.0");
			return -EEXIST;
		}
		a->bus = (u8)bus;
	}
	if (a->group == ~0ull)
		for (a->group = 1; group_is_taken(a->group);)
			a->group++;
	err = pci_dev_publish(pdev, a->domain, a->bus, a->devfn, (u32)a->group);
	if (err == -EEXIST)
		device_fail(args, "there is a device at %04x:%02x:%02x.%x already", a->domain,
			    a->bus, a->devfn >> 3, a->devfn & 7);
	else if (err == -EXDEV)
		other_iommu(args, a->group);
	else if (err)
		device_fail(args, "out of memory");
	return err == -EXDEV ? -EINVAL : err;
}

static int add(const struct device_type *type, struct device_args *args)
{
	struct address a = { .group = ~0ull };
	const char *bdf = device_option(args, "bdf");
	const struct iommu_ops *iommu;
	struct pci_dev *pdev;
	int err;

	if (bdf && !parse_bdf(bdf, &a)) {
		device_fail(args, "bdf=%s: must be DOMAIN:BUS:DEVICE.FUNCTION in hex, as 0000:01:00.0", bdf);
		return -EINVAL;
	}
	if (!device_option_number(args, "group", 0, 0x7fffffff, &a.group) ||
	    !parse_iommu(args, &iommu))
		return -EINVAL;
	pdev = type->create(args);
	if (IS_ERR(pdev))
		return (int)PTR_ERR(pdev);
	pdev->iommu.iommu = iommu;
	for (unsigned i = 0; i < args->nr; i++)
		if (!args->options[i].used) {
			device_fail(args, "%s has no option %s; it has: bdf, group, iommu%s%s",
				    type->name, args->options[i].name, *type->help ? ", " : "", type->help);
			pdev->ops->destroy(pdev);
			pci_dev_destroy(pdev);
			return -EINVAL;
		}
	sv_mutex_lock(&add_lock);
	err = publish(pdev, &a, args);
	sv_mutex_unlock(&add_lock);
	if (err) {
		pdev->ops->destroy(pdev);
		pci_dev_destroy(pdev);
	}
	return err;
}

/* Cuts text, which is changed, into the type's name and options. False and err. */
static bool split(char *text, char **name, struct device_args *args)
{
	char *save = NULL, *part = strtok_r(text, ",", &save);

	if (!part) {
		device_fail(args, "an empty device; use NAME[,bdf=0000:01:00.0][,OPTION=VALUE]...");
		return false;
	}
	*name = part;
	while ((part = strtok_r(NULL, ",", &save))) {
		char *eq = strchr(part, '=');

		if (args->nr == ARRAY_SIZE(args->options)) {
			device_fail(args, "more than %zu options", ARRAY_SIZE(args->options));
			return false;
		}
		if (eq)
			*eq++ = 0;
		for (unsigned i = 0; i < args->nr; i++)
			if (!strcmp(args->options[i].name, part)) {
				device_fail(args, "%s is given twice", part);
				return false;
			}
		args->options[args->nr++] = (struct device_option){ part, eq ? eq : "", false };
	}
	return true;
}

int device_add(const char *spec, char err[DEVICE_ERR_MAX])
{
	struct device_args args = { .err = err };
	char *text = sv_strdup(spec), *name;
	char types[128] = "";
	int ret = -EINVAL;

	*err = 0;
	if (!text) {
		device_fail(&args, "out of memory");
		return -ENOMEM;
	}
	if (!split(text, &name, &args))
		goto out;
	for (const struct device_type *const *t = device_types; *t; t++) {
		if (!strcmp((*t)->name, name)) {
			ret = add(*t, &args);
			goto out;
		}
		snprintf(types + strlen(types), sizeof(types) - strlen(types), "%s%s",
			 *types ? ", " : "", (*t)->name);
	}
	device_fail(&args, "there is no device %.40s; there are: %s", name, types);
out:
	sv_free(text);
	return ret;
}

int device_add_list(const char *specs, char err[DEVICE_ERR_MAX])
{
	int ret = 0;

	while (*specs && !ret) {
		size_t n = strcspn(specs, ";");
		char *one = n ? strndup(specs, n) : NULL;

		if (n && !one)
			return -ENOMEM;
		if (n)
			ret = device_add(one, err);
		free(one);
		specs += n + (specs[n] == ';');
	}
	return ret;
}

SV_EXPORT int softvirt_device_add(const char *spec)
{
	char text[DEVICE_ERR_MAX];
	int err = device_add(spec, text);

	if (!err)
		return 0;
	if (*text)
		fprintf(stderr, "softvirt: device %s: %s\n", spec, text);
	errno = -err;
	return -1;
}
