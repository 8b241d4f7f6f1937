/* SPDX-License-Identifier: Apache-2.0 */
/* plural: "1 call", "2 calls" in sentences for people. */
#ifndef PROTO_PLURAL_H
#define PROTO_PLURAL_H

#include <stdint.h>

static inline const char *plural(uint64_t n)
{
	return n == 1 ? "" : "s";
}

#endif
