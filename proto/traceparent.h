/* SPDX-License-Identifier: Apache-2.0 */
/*
 * traceparent: the trace to which a call belongs, as W3C Trace Context writes it:
 *
 *   00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01
 *   version, trace, span of the caller, flags: in lower-case hexadecimal digits
 */
#ifndef PROTO_TRACEPARENT_H
#define PROTO_TRACEPARENT_H

#include <stdbool.h>
#include <stddef.h>

enum { TRACEPARENT = 55 /* bytes */ };

/* Is it one? Neither the trace nor the span may be all zeros, and there is no version ff. */
bool traceparent_is_one(const void *text, size_t size);

#endif
