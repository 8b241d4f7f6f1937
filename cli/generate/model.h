/* SPDX-License-Identifier: Apache-2.0 */
/*
 * model: what objpool.describe says of a pool, as a typed client of it is written from: methods, records and types, with names
 * that a language takes.
 *
 * A description comes from strangers. Each part of it may be missing or odd: what is no type is any.
 */
#ifndef CLI_GENERATE_MODEL_H
#define CLI_GENERATE_MODEL_H

#include "objpool/client.h"

#include <msgpack.h>
#include <stdio.h>

/* Text that is not ended by a NUL. */
typedef msgpack_object_str model_text;

enum type_kind {
	TYPE_ANY,
	TYPE_NONE,
	TYPE_BOOL,
	TYPE_INT,
	TYPE_FLOAT,
	TYPE_STR,
	TYPE_BYTES,
	TYPE_TIMESTAMP,
	TYPE_NDARRAY,
	TYPE_LIST,     /* of parts[0] */
	TYPE_DICT,     /* from parts[0] to parts[1] */
	TYPE_TUPLE,    /* of these parts */
	TYPE_REST,     /* a tuple of any number of parts[0] */
	TYPE_UNION,    /* of these parts */
	TYPE_ITERATOR, /* of parts[0] */
	TYPE_RECORD
};

struct record;

struct type {
	enum type_kind kind;
	const struct type *parts;
	uint32_t count;
	const struct record *record;
	bool has_limits; /* of an int: `low` to `high` */
	msgpack_object low, high;
	msgpack_object dtype, dimensions; /* of an ndarray; nil: not known */
};

/* As the wire has them, in this order. */
enum field_kind { FIELD_POSITIONAL, FIELD_EITHER, FIELD_KEYWORD, FIELD_REST, FIELD_KEYWORDS };

/* An argument of a method, or a field of a record. */
struct field {
	model_text name;
	const char *ident; /* the name in the language */
	const char *given; /* the name of a member of records that says whether the field is there; naming.given */
	enum field_kind kind;
	struct type type;
	bool optional;
	const msgpack_object *value; /* the default; NULL: there is none, or it is not known */
};

struct method {
	model_text name, signature, doc;
	const char *ident;
	const char *options; /* the name of a type for the arguments that may be left out */
	struct field *fields;
	uint32_t count;
	struct type returns;
	bool yields, readonly;
};

struct record {
	model_text name;
	const char *ident;
	struct field *fields;
	uint32_t count;
};

struct model {
	model_text pool, plugin, class, signature, doc;
	const char *ident; /* of the class */
	struct method constructor;
	struct method *methods;
	uint32_t method_count;
	struct record *records;
	uint32_t record_count;
	msgpack_zone zone; /* all of it */
};

/* 0; -EBADMSG: it is no description; -ENOMEM. model_free is due in any case. */
int model_read(struct model *model, struct objpool_bytes description);
void model_free(struct model *model);

/* ---- names ---- */

enum name_style {
	NAME_AS_IS,  /* two_words stays */
	NAME_SNAKE,  /* two_words */
	NAME_CAMEL,  /* twoWords */
	NAME_PASCAL, /* TwoWords */
};

struct naming {
	enum name_style methods, arguments, fields;
	const char *const *reserved; /* words of the language, which get an underscore; ends with NULL */
	const char *const *members;  /* what the class has beside the methods; ends with NULL */
	const char *const *globals;  /* what the file has beside the class and the records; ends with NULL */
	const char *const
		*prefixes; /* what stands before a record's name in names beside those of methods; ends with NULL, or NULL */
	const char *const *locals; /* words that no argument can be called, beside `reserved`; ends with NULL, or NULL */
	const char *given;         /* what stands before a field's name in the member that says whether it is there; NULL: none */
	const char *const
		*special; /* of names with two underscores in front, those that keep them; ends with NULL. NULL: all do */
};

/* Gives all `ident`s: in each scope they differ. 0 or -ENOMEM. */
int model_name(struct model *model, const struct naming *naming);

/* A name in the zone. NULL: no memory. */
const char *model_identifier(struct model *model, model_text text, enum name_style style);

/* ---- questions ---- */

/* Is it a required argument: one that has no default, and is neither *rest nor **more? */
bool field_is_required(const struct field *field);

/* The field of that kind, FIELD_REST or FIELD_KEYWORDS; NULL: there is none. */
const struct field *method_field(const struct method *method, enum field_kind kind);

/* Has the method arguments that may be left out, *rest and **more among them? */
bool method_has_options(const struct method *method);

/* The type without None, of T | None. NULL: it is not such a union. */
const struct type *type_optional(const struct type *type);

/* Does any type of the model have that kind? */
bool model_uses(const struct model *model, enum type_kind kind);

bool model_yields(const struct model *model);

/* ---- text ---- */

/* Writes the type in the language of signatures. */
void type_show(FILE *out, const struct type *type);

/* Writes a value as Python does. */
void value_show(FILE *out, const msgpack_object *value);

void text_put(FILE *out, model_text text);
bool text_is(model_text text, const char *other);

#endif
