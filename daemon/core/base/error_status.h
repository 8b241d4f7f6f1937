/* SPDX-License-Identifier: Apache-2.0 */
/* error_status: the number of HTTP (RFC 9110) that comes nearest to an error, for clients by HTTP and for programs on the bus. */
#ifndef CORE_ERROR_STATUS_H
#define CORE_ERROR_STATUS_H

#include "daemon/core/base/error.h"

/* Of the code's name; 500 for one that is not known. */
int error_status(struct span code);

int error_status_of(enum error_code code);

#endif
