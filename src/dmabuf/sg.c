/* SPDX-License-Identifier: MIT */
/* Tables of ranges. See softvirt/dma-sg.h. */
#include "softvirt/dma-sg.h"

/* An entry's length is 32 bits; whole pages of it. */
#define SG_MAX_LEN (UINT32_MAX & ~(SV_PAGE_SIZE - 1))

int sg_alloc_table(struct sg_table *table, unsigned int nents, unsigned int gfp)
{
	table->sgl = NULL;
	table->nents = 0;
	table->orig_nents = 0;
	if (!nents)
		return -EINVAL;
	table->sgl = sv_calloc(nents, sizeof(*table->sgl));
	if (!table->sgl)
		return -ENOMEM;
	table->nents = nents;
	table->orig_nents = nents;
	return 0;
}

void sg_free_table(struct sg_table *table)
{
	sv_free(table->sgl);
	table->sgl = NULL;
	table->nents = 0;
	table->orig_nents = 0;
}

/* Struct and entries in one piece: this is on every map's path. */
struct sg_table *sg_table_create(void *addr, u64 len)
{
	u64 nents = max((len + SG_MAX_LEN - 1) / SG_MAX_LEN, (u64)1);
	struct sg_table *table;

	table = sv_alloc(sizeof(*table) + nents * sizeof(*table->sgl));
	if (!table)
		return NULL;
	table->sgl = (struct scatterlist *)(table + 1);
	table->nents = (unsigned int)nents;
	table->orig_nents = (unsigned int)nents;
	for (u64 i = 0; i < nents; i++) {
		unsigned int n = (unsigned int)min(len, (u64)SG_MAX_LEN);

		sg_set_buf(&table->sgl[i], addr, n);
		addr = (char *)addr + n;
		len -= n;
	}
	return table;
}

void sg_table_destroy(struct sg_table *table)
{
	sv_free(table);
}
