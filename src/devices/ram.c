/* SPDX-License-Identifier: MIT */
/*
 * A PCI function whose BAR 0 is memory: peer memory for others to copy to, and nothing else.
 *
 * size= (a power of two, 4 KiB to 64 GiB, default 16 MiB) is address space; pages come with
 * their first use. The content survives resets, as a graphics card's does until it is
 * powered off.
 */
#include <errno.h>

#include "base/err.h"
#include "devices/device.h"

static void ram_reset(struct pci_dev *pdev, enum pci_reset_kind kind)
{
}

static void ram_destroy(struct pci_dev *pdev)
{
}

static const struct pci_dev_ops ram_ops = {
	.name = "ram",
	.reset = ram_reset,
	.destroy = ram_destroy,
};

static struct pci_dev *ram_create(struct device_args *args)
{
	struct pci_dev_config cfg = {
		.vendor = 0x1234,
		.device = 0x52a0,
		.subsys_vendor = 0x1234,
		.subsys = 1,
		.class_code = 0x050000,		/* memory controller, RAM */
	};
	u64 size = 16ull << 20;
	struct pci_dev *pdev;

	if (!device_option_size(args, "size", 4096, 64ull << 30, &size))
		return ERR_PTR(-EINVAL);
	if (size & (size - 1)) {
		device_fail(args, "size=%llu: must be a power of two", (unsigned long long)size);
		return ERR_PTR(-EINVAL);
	}
	cfg.bars[0] = (struct pci_bar){ .kind = PCI_BAR_RAM, .mem64 = true, .prefetch = true,
					.size = size };
	pdev = pci_dev_create(&cfg, &ram_ops, NULL);
	if (IS_ERR(pdev))
		device_fail(args, "no memory for a BAR of %llu bytes", (unsigned long long)size);
	return pdev;
}

const struct device_type device_ram = {
	.name = "ram",
	.help = "size=BYTES",
	.create = ram_create,
};
