/* SPDX-License-Identifier: Apache-2.0 */
/* http_admission: may who asks have this page? Where not, the request is answered here. */
#ifndef SUPERVISOR_HTTP_ADMISSION_H
#define SUPERVISOR_HTTP_ADMISSION_H

#include "daemon/core/base/error.h"
#include "daemon/supervisor/base/daemon.h"

#include <event2/http.h>

/* Finds the rights of who asks. -1: the request is refused, and answered. */
int http_admission_rights(struct daemon *daemon, struct evhttp_request *request, struct rights **rights);

/* A page that costs something counts in the rate of who asks. -1: the request is refused, and answered. */
int http_admission_rate(struct evhttp_request *request, const struct rights *rights);

/* Answers with the error, which is counted, and in the log, if it is DENIED. */
void http_admission_refuse(struct daemon *daemon, struct evhttp_request *request, int status, const struct error *error);

#endif
