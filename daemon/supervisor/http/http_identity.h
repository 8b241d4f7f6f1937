/* SPDX-License-Identifier: Apache-2.0 */
/* http_identity: who asks by HTTP: known by the certificate of its connection or by its token, else [user *]. */
#ifndef SUPERVISOR_HTTP_IDENTITY_H
#define SUPERVISOR_HTTP_IDENTITY_H

#include "daemon/core/base/error.h"
#include "daemon/supervisor/base/daemon.h"
#include "daemon/supervisor/users/users.h"

#include <event2/http.h>

/* Finds who asks: *known, without an identity where there are no users. 0; else the status of HTTP by which the request is
 * refused, and *error is made. */
int http_identify(struct daemon *daemon, struct evhttp_request *request, struct known *known, struct error *error);

/* A request was refused before it was any client's: if with DENIED, that is counted, and in the log. */
void http_note_denied(struct daemon *daemon, struct evhttp_request *request, const struct error *error);

/* Has the request come with TLS? */
bool http_is_encrypted(struct evhttp_request *request);

/* Has it come from this machine? */
bool http_is_local(struct evhttp_request *request);

#endif
