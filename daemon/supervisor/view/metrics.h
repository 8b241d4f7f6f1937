/* SPDX-License-Identifier: Apache-2.0 */
/*
 * metrics: what can be counted, as text. In two formats, which differ in the lines that describe a family:
 *
 *   METRICS_CLASSIC      Prometheus' text format, version 0.0.4: all scrapers read it
 *   METRICS_OPENMETRICS  https://prometheus.io/docs/specs/om/open_metrics_spec/
 */
#ifndef SUPERVISOR_METRICS_H
#define SUPERVISOR_METRICS_H

#include "daemon/supervisor/base/daemon.h"

enum metrics_format { METRICS_CLASSIC, METRICS_OPENMETRICS, METRICS_FORMATS };

/* The media type of a format. */
const char *metrics_type(enum metrics_format format);

/* The text, to be freed, and its size: what the rights allow to be seen. NULL: out of memory. */
char *metrics_text(const struct daemon *daemon, const struct rights *rights, enum metrics_format format, size_t *size);

#endif
