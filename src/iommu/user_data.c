/* SPDX-License-Identifier: MIT */
/*
 * Structs of an IOMMU implementation that a program passes through iommufd, copied once: at least
 * as long as the type's first version, zero in what the program's version lacks, and no longer
 * than ours.
 */
#include <string.h>

#include "base/guard.h"
#include "iommu/impl.h"

static int copy(void *dst, size_t size, size_t min_size, u64 uptr, size_t len)
{
	if (len < min_size || len > size)
		return -EINVAL;
	if (sv_copy_from_user(dst, (const void *)(uintptr_t)uptr, len))
		return -EFAULT;
	memset((char *)dst + len, 0, size - len);
	return 0;
}

int iommu_copy_struct_from_user(void *dst, size_t size, size_t min_size, u32 type,
				const struct iommu_user_data *src)
{
	return src->type == type ? copy(dst, size, min_size, src->uptr, src->len) : -EINVAL;
}

int iommu_copy_struct_from_user_array(void *dst, size_t size, size_t min_size, u32 type,
				      const struct iommu_user_data_array *array, u32 index)
{
	if (array->type != type || index >= array->entry_num)
		return -EINVAL;
	return copy(dst, size, min_size, array->uptr + array->entry_len * index, array->entry_len);
}
