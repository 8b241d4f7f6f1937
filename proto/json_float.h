/* SPDX-License-Identifier: Apache-2.0 */
/* json_float: how a float of msgpack stands in JSON. */
#ifndef PROTO_JSON_FLOAT_H
#define PROTO_JSON_FLOAT_H

enum { JSON_FLOAT = 40 /* bytes that the text of a float takes at most */ };

/* Writes the shortest text that is read as the same number; always one that shows it is no integer. What JSON has no number for is
 * an object, as {"$float": "nan"}. Returns `text`. */
const char *json_float(char text[JSON_FLOAT], double number);

#endif
