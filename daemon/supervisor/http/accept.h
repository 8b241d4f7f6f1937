/* SPDX-License-Identifier: Apache-2.0 */
/*
 * accept: the format of /metrics that a scraper wants, by the Accept header of its request (RFC 9110, 12.5.1). http.c asks. The
 * quality of a format is that of the most specific media range that covers it.
 *
 *   text/plain;version=0.0.4   Prometheus' text format: for all that do not prefer the other one
 *   application/openmetrics-text;version=1.0.0 (or 0.0.1)
 */
#ifndef SUPERVISOR_ACCEPT_H
#define SUPERVISOR_ACCEPT_H

#include <stdbool.h>

/* `header` is NULL when the request has none. */
bool accept_prefers_openmetrics(const char *header);

#endif
