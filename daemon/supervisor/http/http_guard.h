/* SPDX-License-Identifier: Apache-2.0 */
/*
 * http_guard: keeps pages of strangers from calling by way of a browser that can reach the daemon.
 *
 *   Host          must be an address, localhost, or one of http_hosts: else a stranger's name that leads here (DNS rebinding)
 *                 would make the stranger's page one of this host
 *   Origin        if a browser sends it, must be of this host, or one of http_origins
 *   Content-Type  must be application/json: a page of another site can't send that without asking by OPTIONS first
 */
#ifndef SUPERVISOR_HTTP_GUARD_H
#define SUPERVISOR_HTTP_GUARD_H

#include "daemon/core/base/error.h"
#include "daemon/supervisor/config/config.h"

#include <event2/http.h>

/* Checks Host and Origin. 0; else the status of HTTP by which the request is refused, and *error is made. */
int http_guard_judge(const struct config *config, struct evhttp_request *request, struct error *error);

/* The same, when the request has come: also adds the headers that let an origin of the configuration read the answer. */
int http_guard_check(const struct config *config, struct evhttp_request *request, struct error *error);

/* Checks what a browser says of the page that loads this, as an image or a script, for which it sends no Origin: the page could
 * not read the answer, but would hold it open. To be called when http_guard_check has let Origin pass. Likewise. */
int http_guard_check_site(struct evhttp_request *request, struct error *error);

/* Checks Content-Type, likewise. */
int http_guard_check_type(struct evhttp_request *request, struct error *error);

/* Answers OPTIONS, by which a browser asks what a page of another origin may send. */
void http_guard_answer_options(struct evhttp_request *request);

#endif
