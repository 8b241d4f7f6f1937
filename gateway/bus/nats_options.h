/* SPDX-License-Identifier: Apache-2.0 */
/* nats_options: what libnats is told before it connects: servers, names, TLS, credentials, patience. */
#ifndef GATEWAY_NATS_OPTIONS_H
#define GATEWAY_NATS_OPTIONS_H

#include "gateway/bus/bus.h"

#include <nats/nats.h>

/* 0; or -1, with a sentence in `reason`: a file can't be read. */
int nats_options_check(const struct bus_options *options, char *reason, size_t size);

/* *made is the caller's, also when this fails. */
natsStatus nats_options_make(natsOptions **made, const struct bus_options *options);

#endif
