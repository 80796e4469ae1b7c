/* SPDX-License-Identifier: MIT */
/*
 * Integer types and the small macros every room uses.
 */
#ifndef SV_BASE_TYPES_H
#define SV_BASE_TYPES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef uint8_t u8;
typedef uint16_t u16;
typedef uint32_t u32;
typedef uint64_t u64;
typedef int8_t s8;
typedef int16_t s16;
typedef int32_t s32;
typedef int64_t s64;

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
#define BIT(n) (1ull << (n))
/* Bits l..h, both included. */
#define GENMASK(h, l) ((~0ull >> (63 - (h))) & (~0ull << (l)))
#define ALIGN_DOWN(x, a) ((x) & ~((__typeof__(x))(a) - 1))
#define ALIGN_UP(x, a) ALIGN_DOWN((x) + ((__typeof__(x))(a) - 1), a)
#define IS_ALIGNED(x, a) (((x) & ((__typeof__(x))(a) - 1)) == 0)
#define container_of(ptr, type, member) ((type *)((char *)(ptr) - offsetof(type, member)))
/* The two use other names inside, so that one may stand in the other. */
#define min(a, b) ({ __typeof__(a) _na = (a); __typeof__(b) _nb = (b); _na < _nb ? _na : _nb; })
#define max(a, b) ({ __typeof__(a) _xa = (a); __typeof__(b) _xb = (b); _xa > _xb ? _xa : _xb; })

#define likely(x) __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)
#define sv_noinline __attribute__((noinline))
#define sv_cold __attribute__((cold, noinline))
#define sv_printf(f, a) __attribute__((__format__(__printf__, f, a)))

#define SV_PAGE_SHIFT 12
#define SV_PAGE_SIZE 4096ull

/* Exported from libsoftvirt.so; everything else is hidden. */
#define SV_EXPORT __attribute__((visibility("default")))

#endif
