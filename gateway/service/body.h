/* SPDX-License-Identifier: Apache-2.0 */
/*
 * body: the two forms in which programs on the bus write values: JSON (json/from_json.h has what JSON has no form for), and
 * msgpack. The header Content-Type says which. Without it the first byte does: JSON begins with a blank or one of [ { " - t f n
 * and the digits, and all else is msgpack. So a number from 9 to 123 alone, in msgpack, may need the header; an array or a map
 * never does.
 */
#ifndef GATEWAY_BODY_H
#define GATEWAY_BODY_H

#include "daemon/core/base/error.h"
#include "proto/block.h"

#include <event2/buffer.h>

enum body_form { BODY_JSON, BODY_MSGPACK };

/* `type`: of the header; NULL: it has none. 0; or -1 with *error made, and *form is JSON. An empty body without a type is
 * JSON. */
int body_find_form(struct span body, const char *type, enum body_form *form, struct error *error);

/* Reads the value of a body, or of a header, that isn't empty; `what` is its name in errors. 0: *value lies in *block, the
 * caller's to unref, or, if that is NULL, in the body. -1 with *error made. */
int body_read(enum body_form form, const char *what, struct span body, struct account *account, struct block **block,
	      struct span *value, struct error *error);

/* The value as JSON, the caller's to free. NULL: out of memory. */
struct evbuffer *body_text(struct span value);

#endif
