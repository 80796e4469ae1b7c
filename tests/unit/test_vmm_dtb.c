/* SPDX-License-Identifier: MIT */
#include <libfdt.h>

#include "unit.h"

#include "softvirt/uapi/kvm_riscv.h"
#include "vmm/dtb.h"
#include "vmm/isa.h"

static u8 buf[1 << 20];

static struct dtb_info info_for(unsigned int harts)
{
	return (struct dtb_info){
		.nr_harts = harts, .mem_size = 0x123450000, .pci_high_base = 0x400000000,
		.isa = "rv64imafdc_zicsr", .isa_list = "i\0m\0zicsr", .isa_list_len = 10,
		.timebase = 10000000, .cbom_size = 64, .satp_mode = 9, .bootargs = "a b",
		.initrd_start = 0x84000000, .initrd_end = 0x84001234,
	};
}

static const void *prop(const char *path, const char *name, int *len)
{
	int node = fdt_path_offset(buf, path);

	assert_true(node >= 0);
	return fdt_getprop(buf, node, name, len);
}

static u32 prop_u32(const char *path, const char *name, unsigned int cell)
{
	int len;
	const fdt32_t *p = prop(path, name, &len);

	assert_non_null(p);
	assert_true((unsigned int)len >= 4 * cell + 4);
	return fdt32_to_cpu(p[cell]);
}

static void the_tree_says_what_the_machine_is(void **state)
{
	struct dtb_info info = info_for(2);
	int len;

	assert_true(dtb_size(&info) <= sizeof(buf));
	assert_int_equal(dtb_build(&info, buf, dtb_size(&info)), 0);
	assert_int_equal(fdt_check_full(buf, fdt_totalsize(buf)), 0);
	assert_string_equal(prop("/cpus/cpu@1", "mmu-type", NULL), "riscv,sv48");
	assert_string_equal(prop("/cpus/cpu@1", "riscv,isa", NULL), "rv64imafdc_zicsr");
	assert_memory_equal(prop("/cpus/cpu@0", "riscv,isa-extensions", &len), "i\0m\0zicsr", 10);
	assert_int_equal(len, 10);
	assert_int_equal(prop_u32("/cpus/cpu@0", "riscv,cbom-block-size", 0), 64);
	assert_null(prop("/cpus/cpu@0", "riscv,cboz-block-size", NULL));
	assert_int_equal(prop_u32("/cpus", "timebase-frequency", 0), 10000000);
	assert_int_equal(prop_u32("/memory@80000000", "reg", 2), 1);
	assert_int_equal(prop_u32("/memory@80000000", "reg", 3), 0x23450000);
	assert_string_equal(prop("/chosen", "bootargs", NULL), "a b");
	assert_string_equal(prop("/chosen", "stdout-path", NULL), "/soc/serial@10000000");
	assert_int_equal(prop_u32("/chosen", "linux,initrd-end", 1), 0x84001234);
	/* Two contexts for each hart: none, and the supervisor's external interrupt. */
	prop("/soc/plic@c000000", "interrupts-extended", &len);
	assert_int_equal(len, 2 * 16);
	for (unsigned int h = 0; h < 2; h++) {
		assert_int_equal(prop_u32("/soc/plic@c000000", "interrupts-extended", 4 * h + 1), ~0u);
		assert_int_equal(prop_u32("/soc/plic@c000000", "interrupts-extended", 4 * h + 3), 9);
	}
	/* Slot 1's pin A is line 33. */
	assert_int_equal(prop_u32("/soc/pci@30000000", "interrupt-map", 4 * 6), 1 << 11);
	assert_int_equal(prop_u32("/soc/pci@30000000", "interrupt-map", 4 * 6 + 5), 33);
}

static void every_number_of_harts_fits(void **state)
{
	static u8 large[8 << 20];

	for (unsigned int n = 1; n <= 512; n += n < 8 ? 1 : 63) {
		struct dtb_info info = info_for(n);

		memset(info.isa, 'x', DTB_MAX_ISA - 1);
		memset(info.isa_list, 'x', DTB_MAX_ISA - 1);
		info.isa_list_len = DTB_MAX_ISA;
		assert_true(dtb_size(&info) <= sizeof(large));
		assert_int_equal(dtb_build(&info, large, dtb_size(&info)), 0);
	}
}

static void what_does_not_fit_is_an_error(void **state)
{
	struct dtb_info info = info_for(1);
	size_t need;

	assert_int_equal(dtb_build(&info, buf, sizeof(buf)), 0);
	need = fdt_totalsize(buf);
	for (size_t n = 0; n < need; n += 7)
		assert_int_not_equal(dtb_build(&info, buf, n), 0);
}

static void extensions_are_in_canonical_order(void **state)
{
	bool has[KVM_RISCV_ISA_EXT_MAX] = { false };
	char isa[256], list[256];
	size_t len;

	has[KVM_RISCV_ISA_EXT_I] = has[KVM_RISCV_ISA_EXT_C] = has[KVM_RISCV_ISA_EXT_M] = true;
	has[KVM_RISCV_ISA_EXT_SVPBMT] = has[KVM_RISCV_ISA_EXT_SSTC] = true;
	has[KVM_RISCV_ISA_EXT_ZBB] = has[KVM_RISCV_ISA_EXT_ZICSR] = true;
	has[KVM_RISCV_ISA_EXT_ZICBOM] = true;
	assert_int_equal(isa_strings(has, isa, sizeof(isa), list, sizeof(list), &len), 0);
	assert_string_equal(isa, "rv64imc_zicbom_zicsr_zbb_sstc_svpbmt");
	assert_int_equal(len, sizeof("i\0m\0c\0zicbom\0zicsr\0zbb\0sstc\0svpbmt"));
	assert_memory_equal(list, "i\0m\0c\0zicbom\0zicsr\0zbb\0sstc\0svpbmt", len);
	assert_int_equal(isa_strings(has, isa, 12, list, sizeof(list), &len), -ENOSPC);
	assert_int_equal(isa_strings(has, isa, sizeof(isa), list, 12, &len), -ENOSPC);
	memset(has, true, sizeof(has));
	assert_int_equal(isa_strings(has, isa, sizeof(isa), list, sizeof(list), &len), -ENOSPC);
	assert_null(isa_ext_name(KVM_RISCV_ISA_EXT_MAX));
	for (unsigned int i = 0; i < isa_nr_exts(); i++)
		assert_non_null(isa_ext_name(i));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_tree_says_what_the_machine_is),
		cmocka_unit_test(every_number_of_harts_fits),
		cmocka_unit_test(what_does_not_fit_is_an_error),
		cmocka_unit_test(extensions_are_in_canonical_order),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
