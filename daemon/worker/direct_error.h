/* SPDX-License-Identifier: Apache-2.0 */
/* direct_error: a method's error as the client of a direct channel gets it: "CODE: text", or a map. The core's error.c writes
 * the same for clients of the daemon. */
#ifndef WORKER_DIRECT_ERROR_H
#define WORKER_DIRECT_ERROR_H

#include "daemon/worker/method_error.h"

void direct_error_pack(const struct method_error *error, const struct objpool_place *place, bool as_map, msgpack_packer *packer);

#endif
