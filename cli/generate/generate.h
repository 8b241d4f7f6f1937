/* SPDX-License-Identifier: Apache-2.0 */
/* generate: typed clients of pools, for `objpool describe --generate`. A file for each language. */
#ifndef CLI_GENERATE_H
#define CLI_GENERATE_H

#include "cli/generate/model.h"

struct generator {
	const char *language;
	struct naming naming;
	void (*write)(const struct model *model, FILE *out); /* the model has its names */
};

extern const struct generator generate_python, generate_ts, generate_go, generate_rust, generate_java, generate_c;

#define GENERATE_LANGUAGES "python, ts, go, rust, java or c"

/* NULL: there is no such language. */
const struct generator *generate_find(const char *language);

/* 0; -EBADMSG: it is no description; -ENOMEM. */
int generate(const struct generator *generator, struct objpool_bytes description, FILE *out);

/* ---- for the languages ---- */

/* Writes a text into a comment, on one line. What could end the comment is changed. */
void code_text(FILE *out, model_text text);

/* The same for the lines of a text, each behind `prefix`. */
void code_lines(FILE *out, model_text text, const char *prefix);

/* Writes a text in double quotes. `octal`: the language has escapes as "\012"; else as "\x0a". */
void code_string(FILE *out, model_text text, bool octal);

/* Write a type, or a value, of the language of signatures into a comment. */
void code_type(FILE *out, const struct type *type);
void code_value(FILE *out, const msgpack_object *value);

/* Is the value a number, a boolean, nil or a text, so that each language can write it? */
bool code_is_simple(const msgpack_object *value);

/* How a language writes values: what stands before them and behind them. */
struct literals {
	const char *nil, *yes, *no;
	int64_t least; /* integers from here */
	uint64_t most; /* to here are written as `integer` */
	const char *integer[2], *big[2], *real[2], *text[2], *bytes[2], *byte, *array[2], *map[2]; /* big[0] NULL: has none */
	const char *pair[3]; /* of a map: before and behind the key, and behind the value */
	bool octal;          /* as in code_string */
};

/* Can the language write the value? No extension type, no number that is not finite, and no map but of different texts. */
bool code_has_literal(const struct literals *literals, const msgpack_object *value);

/* Writes such a value. */
void code_literal(FILE *out, const struct literals *literals, const msgpack_object *value);

#endif
