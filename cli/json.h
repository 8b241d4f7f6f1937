/* SPDX-License-Identifier: Apache-2.0 */
/*
 * json: writes values as JSON text, and reads them. A value that JSON has no form for is an object with one key that begins with
 * $:
 *
 *	bin                                {"$bin": BASE64}
 *	str that isn't UTF-8               {"$str": BASE64}
 *	ext                                {"$ext": [TYPE, BASE64]}
 *	NaN and infinities                 {"$float": "nan"}, "inf", "-inf"
 *	map with keys that aren't strings, or with one key that looks like one of these
 *	                                   {"$map": [[KEY, VALUE], ...]}
 *	integer of 2^63 and more           a number; {"$uint": "18446744073709551615"} is read as well
 *	a value nested deeper than 64 levels
 *	                                   {"$msgpack": BASE64}, the packed value; it is not read back
 *
 * An item that failed, where results are printed one by one, is {"$error": {"code": ..., "message": ..., ...}}.
 */
#ifndef CLI_JSON_H
#define CLI_JSON_H

#include "objpool/client.h"

#include <stdio.h>

/* Writes one value on one line, without an end of line. */
void json_write(FILE *out, struct objpool_bytes value);

/*
 * Writes one value for people: it can't be read back. An array (ext 81 of docs/VALUES.md) becomes nested JSON arrays, or
 * {"$array": [DTYPE, SHAPE]} when JSON has no form for its elements. An object (ext 80) becomes {"$object": "pickle, 57 bytes"}.
 */
void json_show(FILE *out, struct objpool_bytes value);

/* The same on several lines, where it does not fit on one: a line for each item of an array or an object, indented by tabs. */
void json_show_pretty(FILE *out, struct objpool_bytes value);

/* Whether a map of `count` entries, which the reader is at, is written as an object, and not in the form {"$map": ...}. */
bool json_map_is_plain(struct objpool_reader reader, uint32_t count);

/* Writes an error as an object. */
void json_write_error(FILE *out, const struct objpool_error *error);

/*
 * Packs the value of the JSON text. 0; -EINVAL: it is no JSON; -ERANGE: it is JSON, but can't become msgpack (a number, or a
 * malformed $-object). In both cases it writes the reason.
 */
int json_read(struct objpool_packer *packer, const char *text, size_t size, char *reason, size_t reason_size);

#endif
