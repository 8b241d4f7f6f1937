/* SPDX-License-Identifier: Apache-2.0 */
/* target: the parts of a method string `pool[@host][:selector].method`. */
#ifndef CORE_TARGET_H
#define CORE_TARGET_H

#include "daemon/core/base/error.h"

enum select { SELECT_ANY, SELECT_SLOT, SELECT_ALL, SELECT_MAP, SELECT_SCATTER, SELECT_KEY };

struct target {
	struct span pool;
	struct span host;   /* size 0: the target names none. "*": any host, or all */
	enum select select;
	uint32_t slot;      /* of SELECT_SLOT */
	struct span key;    /* of SELECT_KEY */
	struct span method;
};

/* Reads `pool[@host][:selector].method`. The first dot ends the selector. 0, or -EINVAL with *error made. */
int target_parse(struct span text, struct target *target, struct error *error);

/* Reads a target without a method: `pool[@host][:selector]`. A key may hold dots. */
int target_parse_bare(struct span text, struct target *target, struct error *error);

/* Does the target name more than one host? */
static inline bool target_is_of_hosts(const struct target *target)
{
	return span_is(target->host, "*");
}

#endif
