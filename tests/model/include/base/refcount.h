/* SPDX-License-Identifier: MIT */
/* The real counts; where a count may reach zero, another thread may step in. */
#ifndef SV_MODEL_REFCOUNT_H
#define SV_MODEL_REFCOUNT_H

#include_next "base/refcount.h"

void sv_model_point(const void *obj, bool write);

#define kref_put(k, release) (sv_model_point((k), true), kref_put((k), (release)))
#define kref_get_unless_zero(k) (sv_model_point((k), true), kref_get_unless_zero(k))

#endif
