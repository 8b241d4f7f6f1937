/* SPDX-License-Identifier: Apache-2.0 */
/* nats_options: what libnats is told before it connects: servers, names, TLS, credentials, patience. */
#ifndef GATEWAY_NATS_OPTIONS_H
#define GATEWAY_NATS_OPTIONS_H

#include "gateway/bus/bus.h"

#include <nats/nats.h>

/* A copy with texts of its own. NULL: out of memory. */
struct bus_options *nats_options_copy(const struct bus_options *options);
struct bus_options *nats_options_free_copy(struct bus_options *copy);

/* Reads the files. NULL: that fails, and `reason` has a sentence. */
natsOptions *nats_options_make(const struct bus_options *options, char *reason, size_t size);

#endif
