/* SPDX-License-Identifier: Apache-2.0 */
/*
 * signature: what a method, a constructor or a record says of its types, in the syntax of Python's annotations, taken apart:
 *
 *	(x: float, names: list[str], *, scale: float = 1.0, tag: str | None = None) -> dict[str, list[float]]
 *	Point(x: float, y: float, label: str = "")
 *
 * What has no annotation is any. "(...)" takes anything, as "(*args, **kwargs)" does. The default "..." says that there is one,
 * and doesn't show it. type.h has the types, type_literal.h the default values.
 */
#ifndef WORKER_SIGNATURE_H
#define WORKER_SIGNATURE_H

#include "daemon/worker/types/type_source.h"

enum { SIGNATURE_PARAMETERS_MAX = 256 /* of a method, fields of a record */ };

enum parameter_kind {
	PARAMETER_POSITIONAL, /* by place */
	PARAMETER_KEYWORD,    /* by keyword */
	PARAMETER_EITHER,
	PARAMETER_REST,     /* *name: further ones by place */
	PARAMETER_KEYWORDS, /* **name: further ones by keyword */
};

struct parameter {
	msgpack_object_str name;
	enum parameter_kind kind;
	msgpack_object type;
	bool optional; /* it has a default */
	bool shown;    /* `value` is the default */
	msgpack_object value;
};

struct signature {
	struct parameter parameters[SIGNATURE_PARAMETERS_MAX];
	uint32_t count;
	msgpack_object returns;
	bool yields;
};

/* The text, the names of records and the zone must outlive what is made of them. 0, or -1 with the reason, "column N: …". */
int signature_parse(struct signature *signature, const char *text, size_t size, msgpack_zone *zone,
		    const struct type_names *records, char *reason, size_t reason_size);

/* A record: its name, and its fields as `signature->parameters`. */
int signature_parse_record(struct signature *signature, msgpack_object_str *name, const char *text, size_t size,
			   msgpack_zone *zone, const struct type_names *records, char *reason, size_t reason_size);

/* What a method takes that says nothing: any arguments, if `places` and `keywords` allow them. */
void signature_open(struct signature *signature, bool places, bool keywords);

/* How many arguments by place the signature takes at most (-1: any number), and at least. */
int32_t signature_max_places(const struct signature *signature);
int32_t signature_min_places(const struct signature *signature);
bool signature_takes_keywords(const struct signature *signature);

/* For a method that takes no keywords: what may come either way comes by place. */
void signature_drop_keywords(struct signature *signature);

/* Packs four pairs of a map: params, returns, yields, readonly. */
enum { SIGNATURE_PAIRS = 4 };
void signature_pack(const struct signature *signature, bool readonly, msgpack_packer *packer);

/* Packs the fields of a record: an array of {name, type, default?, optional?}. */
void signature_pack_fields(const struct signature *record, msgpack_packer *packer);

#endif
