/* SPDX-License-Identifier: Apache-2.0 */
/*
 * accept: which format the sender wants, of /metrics or of a call's results, by the Accept header of its request (RFC 9110,
 * 12.5.1). http_pages.c and http_calls.c ask. The quality of a format is that of the most specific media range that covers it.
 *
 *   text/plain;version=0.0.4   Prometheus' text format: for all that do not prefer the other one
 *   application/openmetrics-text;version=1.0.0 (or 0.0.1)
 */
#ifndef SUPERVISOR_ACCEPT_H
#define SUPERVISOR_ACCEPT_H

#include <stdbool.h>

/* `header` is NULL when the request has none. */
bool accept_prefers_openmetrics(const char *header);

/* Does the header name this media type, and not only a range that covers it? */
bool accept_names(const char *header, const char *type);

#endif
