/* SPDX-License-Identifier: Apache-2.0 */
/* call_options: the options of objpool.call. Each has a function that reads its value into the call. request.c checks whether
 * options go together. */
#ifndef CORE_CALL_OPTIONS_H
#define CORE_CALL_OPTIONS_H

#include "daemon/core/records/call.h"

/* Reads a map of options, or nil. 0, or -EINVAL with *error made. */
int call_read_options(struct call *call, struct reader *reader, struct error *error);

#endif
