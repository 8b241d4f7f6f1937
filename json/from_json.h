/* SPDX-License-Identifier: Apache-2.0 */
/*
 * from_json: packs a JSON text (RFC 8259) as msgpack in one pass, without objects between. Nothing changes silently: what
 * msgpack or the receiver could not tell apart is an error with its place.
 *
 *   integers              -2^63 to 2^64-1; a larger one is an error, not a float
 *   other numbers         float 64; one that is not finite is an error
 *   strings               must be UTF-8, also by their escapes: half a surrogate pair is an error
 *   objects               maps, in the order of the text; a key that comes twice is an error
 *   objects whose first key begins with $   what JSON has no form for, as the command line has it; to_json writes these:
 *
 *      {"$bin": BASE64}  {"$str": BASE64}  {"$ext": [TYPE, BASE64]}  {"$float": "nan" | "inf" | "-inf"}  {"$uint": "DIGITS"}
 *      {"$map": [[KEY, VALUE], ...]}
 */
#ifndef JSON_FROM_JSON_H
#define JSON_FROM_JSON_H

#include "proto/block.h"
#include "proto/read.h"

/*
 * Packs the text, which ends with a '\0' at text[size]. Arrays and maps may be nested `levels` deep. 0: *packed is the caller's
 * to unref, and *value lies in it; -EINVAL: it can't be packed, and `reason` says why and where ("line 1 column 7: ...");
 * -ENOMEM.
 */
int from_json(struct account *account, const char *text, size_t size, unsigned levels, struct block **packed, struct span *value,
	      char *reason, size_t reason_size);

#endif
