/* SPDX-License-Identifier: Apache-2.0 */
/* call_options: the options of objpool.call, each read by name into the call. Whether they go together, request.c checks. */
#ifndef CORE_CALL_OPTIONS_H
#define CORE_CALL_OPTIONS_H

#include "daemon/core/records/call.h"

/* A map of options, or nil. 0, or -EINVAL with *error made. */
int call_read_options(struct call *call, struct reader *reader, struct error *error);

#endif
