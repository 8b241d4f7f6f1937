/* SPDX-License-Identifier: Apache-2.0 */
/* metrics: what can be counted, as OpenMetrics text (https://prometheus.io/docs/specs/om/open_metrics_spec/). */
#ifndef SUPERVISOR_METRICS_H
#define SUPERVISOR_METRICS_H

#include "daemon/supervisor/daemon.h"

#define METRICS_TYPE "application/openmetrics-text; version=1.0.0; charset=utf-8"

/* The text, to be freed, and its size. NULL: out of memory. */
char *metrics_text(const struct daemon *daemon, size_t *size);

#endif
