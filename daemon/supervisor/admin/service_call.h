/* SPDX-License-Identifier: Apache-2.0 */
/* service_call: objpool.call ["objpool", method, args, options] is a call of the daemon's own method. So client libraries, whose
 * streams are such calls, can read a stream of the daemon's. */
#ifndef SUPERVISOR_SERVICE_CALL_H
#define SUPERVISOR_SERVICE_CALL_H

#include "daemon/supervisor/admin/admin.h"

/* What objpool.call asks for. */
struct service_call {
	struct span method; /* without "objpool." */
	struct span args;   /* an array */
};

/* Reads the request's params, and sets request->streams and timeout. 0, or -1: the error is made. */
int service_call_read(struct request *request, struct service_call *call);

#endif
