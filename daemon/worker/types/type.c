/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/worker/types/type.h"

#include "daemon/worker/types/type_literal.h"

#include <string.h>

enum { DIMENSIONS_MAX = 64 /* as numpy */ };

static int parse_union(struct type_source *source, msgpack_object *type);

/* {key: value} */
static int make_pair(struct type_source *source, const char *key, msgpack_object value, msgpack_object *map)
{
	return type_map(source, &(msgpack_object_kv){.key = type_word(key), .val = value}, 1, map);
}

/* {key: [values]} */
static int make_list(struct type_source *source, const char *key, const msgpack_object *values, uint32_t n, msgpack_object *map)
{
	msgpack_object list;

	return type_array(source, values, n, &list) < 0 ? -1 : make_pair(source, key, list, map);
}

/* ---- forms with brackets; each begins behind the bracket ---- */

static int parse_one(struct type_source *source, const char *key, msgpack_object *type)
{
	msgpack_object inner;

	if (parse_union(source, &inner) < 0 || type_source_expect(source, "]") < 0)
		return -1;
	return make_pair(source, key, inner, type);
}

static int parse_list(struct type_source *source, msgpack_object *type)
{
	return parse_one(source, "list", type);
}

static int parse_iterator(struct type_source *source, msgpack_object *type)
{
	return parse_one(source, "iterator", type);
}

static int parse_dict(struct type_source *source, msgpack_object *type)
{
	msgpack_object inner[2];

	if (parse_union(source, &inner[0]) < 0 || type_source_expect(source, ",") < 0 || parse_union(source, &inner[1]) < 0 ||
	    type_source_expect(source, "]") < 0)
		return -1;
	return make_list(source, "dict", inner, 2, type);
}

/* [T, ...] */
static int make_rest(struct type_source *source, const msgpack_object *inner, msgpack_object *type)
{
	msgpack_object_kv pairs[2] = {{.key = type_word("tuple")},
				      {.key = type_word("rest"), .val = {.type = MSGPACK_OBJECT_BOOLEAN, .via.boolean = true}}};

	if (type_source_expect(source, "]") < 0 || type_array(source, inner, 1, &pairs[0].val) < 0)
		return -1;
	return type_map(source, pairs, 2, type);
}

static int parse_tuple(struct type_source *source, msgpack_object *type)
{
	msgpack_object inner[TYPE_PARTS_MAX];
	uint32_t n = 0;
	int more;

	for (; (more = type_source_part(source, "]", n, TYPE_PARTS_MAX)) > 0; n++) {
		if (n == 1 && type_source_take(source, "..."))
			return make_rest(source, inner, type);
		if (parse_union(source, &inner[n]) < 0)
			return -1;
	}
	if (more == 0 && n == 0)
		return type_source_fail(source, source->at - 1, "a tuple needs types");
	return more < 0 ? -1 : make_list(source, "tuple", inner, n, type);
}

static bool is_less(const msgpack_object *a, const msgpack_object *b)
{
	const bool negative = a->type == MSGPACK_OBJECT_NEGATIVE_INTEGER;

	if (negative != (b->type == MSGPACK_OBJECT_NEGATIVE_INTEGER))
		return negative;
	return negative ? a->via.i64 < b->via.i64 : a->via.u64 < b->via.u64;
}

static int parse_range(struct type_source *source, msgpack_object *type)
{
	const char *at = type_source_here(source);
	msgpack_object limits[2];

	if (type_literal_integer(source, &limits[0]) < 0 || type_source_expect(source, ",") < 0 ||
	    type_literal_integer(source, &limits[1]) < 0 || type_source_expect(source, "]") < 0)
		return -1;
	if (is_less(&limits[1], &limits[0]))
		return type_source_fail(source, at, "the least value comes first");
	return make_list(source, "int", limits, 2, type);
}

static int parse_dimensions(struct type_source *source, msgpack_object *dimensions)
{
	const char *at = type_source_here(source);

	if (type_literal_integer(source, dimensions) < 0)
		return -1;
	if (dimensions->type != MSGPACK_OBJECT_POSITIVE_INTEGER || dimensions->via.u64 > DIMENSIONS_MAX)
		return type_source_fail(source, at, "an array has 0 to %d dimensions", DIMENSIONS_MAX);
	return 0;
}

static int parse_ndarray(struct type_source *source, msgpack_object *type)
{
	msgpack_object inner[2] = {type_nil(), type_nil()};
	msgpack_object_str name;

	if (!type_source_name(source, &name))
		return type_source_fail(source, source->at,
					"the type of the elements must stand here, as numpy calls it, or any");
	if (!type_text_is(name, "any"))
		inner[0] = type_text(name);
	if (type_source_take(source, ",") && parse_dimensions(source, &inner[1]) < 0)
		return -1;
	return type_source_expect(source, "]") < 0 ? -1 : make_list(source, "ndarray", inner, 2, type);
}

/* ---- names ---- */

static const struct form {
	const char *name;
	bool alone;                                                     /* without brackets it is a type, too */
	int (*parse)(struct type_source *source, msgpack_object *type); /* NULL: it has no brackets */
} forms[] = {
	{"None", true, NULL},
	{"bool", true, NULL},
	{"int", true, parse_range},
	{"float", true, NULL},
	{"str", true, NULL},
	{"bytes", true, NULL},
	{"any", true, NULL},
	{"timestamp", true, NULL},
	{"ndarray", true, parse_ndarray},
	{"list", false, parse_list},
	{"dict", false, parse_dict},
	{"tuple", false, parse_tuple},
	{"Iterator", false, parse_iterator},
};

static const struct form *find_form(msgpack_object_str name)
{
	for (size_t i = 0; i < sizeof forms / sizeof *forms; i++)
		if (type_text_is(name, forms[i].name))
			return &forms[i];
	return NULL;
}

bool type_is_name(msgpack_object_str name)
{
	return find_form(name) != NULL;
}

static int parse_record(struct type_source *source, msgpack_object_str name, msgpack_object *type)
{
	for (uint32_t i = 0; i < source->records->count; i++)
		if (type_text_same(source->records->names[i], name))
			return make_pair(source, "record", type_text(name), type);
	return type_source_fail(source, name.ptr, "there is no type \"%.*s\"", type_shown(name), name.ptr);
}

static int make_alone(struct type_source *source, const struct form *form, msgpack_object_str name, msgpack_object *type)
{
	const msgpack_object unknown[2] = {type_nil(), type_nil()};

	if (!form->alone)
		return type_source_fail(source, name.ptr, "%s needs types in brackets: %s[any%s]", form->name, form->name,
					type_text_is(name, "dict")    ? ", any"
					: type_text_is(name, "tuple") ? ", ..."
								      : "");
	if (form->parse == parse_ndarray)
		return make_list(source, "ndarray", unknown, 2, type);
	*type = type_text(name);
	return 0;
}

static int parse_name(struct type_source *source, msgpack_object *type)
{
	msgpack_object_str name;

	if (!type_source_name(source, &name))
		return type_source_fail(source, source->at, "a type must stand here");
	const struct form *form = find_form(name);
	if (!form)
		return parse_record(source, name, type);
	if (form->parse && type_source_take(source, "["))
		return form->parse(source, type);
	return make_alone(source, form, name, type);
}

/* T | U | … */
static int parse_union(struct type_source *source, msgpack_object *type)
{
	msgpack_object parts[TYPE_PARTS_MAX];
	uint32_t n = 0;

	if (type_source_descend(source) < 0)
		return -1;
	do {
		if (n == TYPE_PARTS_MAX)
			return type_source_fail(source, source->at, "a union of more than %d types", TYPE_PARTS_MAX);
		if (parse_name(source, &parts[n++]) < 0)
			return -1;
	} while (type_source_take(source, "|"));
	source->depth--;
	*type = parts[0];
	return n == 1 ? 0 : make_list(source, "union", parts, n, type);
}

int type_parse(struct type_source *source, msgpack_object *type)
{
	return parse_union(source, type);
}

bool type_is_iterator(const msgpack_object *type)
{
	return type->type == MSGPACK_OBJECT_MAP && type_text_is(type->via.map.ptr[0].key.via.str, "iterator");
}
