/* SPDX-License-Identifier: Apache-2.0 */
/* direct_error: a method's error as the client of a direct channel gets it: in the form that it wants. The core's error.c writes
 * the same for clients of the daemon. */
#ifndef WORKER_DIRECT_ERROR_H
#define WORKER_DIRECT_ERROR_H

#include "daemon/worker/method_error.h"
#include "proto/error_form.h"

void direct_error_pack(const struct method_error *error, const struct objpool_place *place, enum error_form form,
		       msgpack_packer *packer);

#endif
