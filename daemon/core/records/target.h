/* SPDX-License-Identifier: Apache-2.0 */
/* target: what a method string names: `pool.method` or `pool:selector.method`. */
#ifndef CORE_TARGET_H
#define CORE_TARGET_H

#include "daemon/core/base/error.h"

enum select { SELECT_ANY, SELECT_SLOT, SELECT_ALL, SELECT_MAP, SELECT_SCATTER, SELECT_KEY };

struct target {
	struct span pool;
	enum select select;
	uint32_t slot;      /* of SELECT_SLOT */
	struct span key;    /* of SELECT_KEY */
	struct span method;
};

/* Takes apart `pool[:selector].method`, split at the first dot. 0, or -EINVAL with *error made. */
int target_parse(struct span text, struct target *target, struct error *error);

/* The same for a target without a method: `pool[:selector]`; a key may hold dots. */
int target_parse_bare(struct span text, struct target *target, struct error *error);

#endif
