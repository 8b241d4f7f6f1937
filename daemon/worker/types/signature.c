/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/worker/types/signature.h"

#include "daemon/worker/types/type.h"
#include "daemon/worker/types/type_literal.h"

/* ---- parameters ---- */

/* What has been seen of a list of parameters. */
struct progress {
	struct signature *signature;
	bool slash, star, optional; /* a "/", a "*", and a default of a parameter that may come by place */
	bool is_record;
};

static bool is_known(const struct signature *signature, msgpack_object_str name)
{
	for (uint32_t i = 0; i < signature->count; i++)
		if (type_text_same(signature->parameters[i].name, name))
			return true;
	return false;
}

static int parse_annotation(struct type_source *source, struct parameter *parameter)
{
	parameter->type = type_word("any");
	return type_source_take(source, ":") ? type_parse(source, &parameter->type) : 0;
}

static int parse_default(struct type_source *source, struct parameter *parameter)
{
	parameter->optional = type_source_take(source, "=");
	parameter->shown = parameter->optional && !type_source_take(source, "...");
	return parameter->shown ? type_literal_parse(source, &parameter->value) : 0;
}

static int check_default(struct type_source *source, struct progress *progress, const struct parameter *parameter)
{
	const bool by_place = parameter->kind != PARAMETER_KEYWORD;

	if (by_place && !progress->is_record && progress->optional && !parameter->optional)
		return type_source_fail(source, parameter->name.ptr, "%.*s has no default, but one before it has",
					type_shown(parameter->name), parameter->name.ptr);
	progress->optional = progress->optional || (by_place && parameter->optional);
	return 0;
}

/* name: type = default */
static int parse_parameter(struct type_source *source, struct progress *progress, enum parameter_kind kind)
{
	struct signature *signature = progress->signature;
	struct parameter *parameter = &signature->parameters[signature->count];

	*parameter = (struct parameter){.kind = kind};
	if (!type_source_name(source, &parameter->name))
		return type_source_fail(source, source->at, "the name of %s must stand here",
					progress->is_record ? "a field" : "an argument");
	if (is_known(signature, parameter->name))
		return type_source_fail(source, parameter->name.ptr, "%.*s comes twice", type_shown(parameter->name),
					parameter->name.ptr);
	if (parse_annotation(source, parameter) < 0)
		return -1;
	if (kind != PARAMETER_REST && kind != PARAMETER_KEYWORDS &&
	    (parse_default(source, parameter) < 0 || check_default(source, progress, parameter) < 0))
		return -1;
	signature->count++;
	return 0;
}

/* After a "*": *name, or nothing, which says that what follows comes by keyword. */
static int parse_star(struct type_source *source, struct progress *progress)
{
	const char *at = source->at;
	msgpack_object_str name;

	if (progress->star)
		return type_source_fail(source, at - 1, "there is a \"*\" before this one");
	progress->star = true;
	if (type_source_name(source, &name)) {
		source->at = name.ptr;
		return parse_parameter(source, progress, PARAMETER_REST);
	}
	struct type_source ahead = *source;
	if (!type_source_take(&ahead, ",") || type_source_take(&ahead, ")") || type_source_take(&ahead, "**"))
		return type_source_fail(source, at - 1, "an argument must follow \"*\"");
	return 0;
}

static int parse_slash(struct type_source *source, struct progress *progress)
{
	struct signature *signature = progress->signature;

	if (progress->slash || progress->star || signature->count == 0)
		return type_source_fail(source, source->at - 1, "\"/\" stands once, behind arguments and before \"*\"");
	progress->slash = true;
	for (uint32_t i = 0; i < signature->count; i++)
		signature->parameters[i].kind = PARAMETER_POSITIONAL;
	return 0;
}

/* Before each part of the list. */
static int check_end(struct type_source *source, const struct signature *signature)
{
	if (signature->count > 0 && signature->parameters[signature->count - 1].kind == PARAMETER_KEYWORDS)
		return type_source_fail(source, source->at, "nothing may follow \"**\"");
	return 0;
}

static int parse_part(struct type_source *source, struct progress *progress)
{
	if (check_end(source, progress->signature) < 0)
		return -1;
	if (!progress->is_record) {
		if (type_source_take(source, "**"))
			return parse_parameter(source, progress, PARAMETER_KEYWORDS);
		if (type_source_take(source, "*"))
			return parse_star(source, progress);
		if (type_source_take(source, "/"))
			return parse_slash(source, progress);
	}
	return parse_parameter(source, progress, progress->star ? PARAMETER_KEYWORD : PARAMETER_EITHER);
}

static void add_any(struct signature *signature, const char *name, enum parameter_kind kind)
{
	signature->parameters[signature->count++] =
		(struct parameter){.name = type_word(name).via.str, .kind = kind, .type = type_word("any")};
}

static void add_anything(struct signature *signature)
{
	add_any(signature, "args", PARAMETER_REST);
	add_any(signature, "kwargs", PARAMETER_KEYWORDS);
}

static int parse_parameters(struct type_source *source, struct progress *progress)
{
	int more;

	if (type_source_expect(source, "(") < 0)
		return -1;
	if (!progress->is_record && type_source_take(source, "...")) {
		add_anything(progress->signature);
		return type_source_expect(source, ")");
	}
	for (uint32_t n = 0; (more = type_source_part(source, ")", n, SIGNATURE_PARAMETERS_MAX)) > 0; n++)
		if (parse_part(source, progress) < 0)
			return -1;
	return more;
}

/* ---- the whole ---- */

static int parse_result(struct type_source *source, struct signature *signature)
{
	signature->returns = type_word("any");
	if (type_source_take(source, "->") && type_parse(source, &signature->returns) < 0)
		return -1;
	signature->yields = type_is_iterator(&signature->returns);
	return 0;
}

static int expect_end(struct type_source *source)
{
	return type_source_ends(source) ? 0 : type_source_fail(source, source->at, "the signature should end here");
}

int signature_parse(struct signature *signature, const char *text, size_t size, msgpack_zone *zone,
		    const struct type_names *records, char *reason, size_t reason_size)
{
	struct progress progress = {.signature = signature};
	struct type_source source;

	signature->count = 0;
	if (type_source_begin(&source, text, size, zone, records, reason, reason_size) < 0 ||
	    parse_parameters(&source, &progress) < 0 || parse_result(&source, signature) < 0)
		return -1;
	return expect_end(&source);
}

int signature_parse_record(struct signature *signature, msgpack_object_str *name, const char *text, size_t size,
			   msgpack_zone *zone, const struct type_names *records, char *reason, size_t reason_size)
{
	struct progress progress = {.signature = signature, .is_record = true};
	struct type_source source;

	signature->count = 0;
	signature->returns = type_word("any");
	signature->yields = false;
	if (type_source_begin(&source, text, size, zone, records, reason, reason_size) < 0)
		return -1;
	if (!type_source_name(&source, name))
		return type_source_fail(&source, source.at, "the name of a record must stand here");
	return parse_parameters(&source, &progress) < 0 ? -1 : expect_end(&source);
}

void signature_open(struct signature *signature, bool places, bool keywords)
{
	signature->count = 0;
	signature->returns = type_word("any");
	signature->yields = false;
	if (places)
		add_any(signature, "args", PARAMETER_REST);
	if (keywords)
		add_any(signature, "kwargs", PARAMETER_KEYWORDS);
}

/* ---- what it takes ---- */

static bool is_by_place(const struct parameter *parameter)
{
	return parameter->kind == PARAMETER_POSITIONAL || parameter->kind == PARAMETER_EITHER;
}

int32_t signature_max_places(const struct signature *signature)
{
	int32_t n = 0;

	for (uint32_t i = 0; i < signature->count; i++) {
		if (signature->parameters[i].kind == PARAMETER_REST)
			return -1;
		n += is_by_place(&signature->parameters[i]);
	}
	return n;
}

int32_t signature_min_places(const struct signature *signature)
{
	int32_t n = 0;

	for (uint32_t i = 0; i < signature->count; i++)
		n += is_by_place(&signature->parameters[i]) && !signature->parameters[i].optional;
	return n;
}

bool signature_takes_keywords(const struct signature *signature)
{
	for (uint32_t i = 0; i < signature->count; i++)
		if (signature->parameters[i].kind == PARAMETER_KEYWORD || signature->parameters[i].kind == PARAMETER_KEYWORDS)
			return true;
	return false;
}

void signature_drop_keywords(struct signature *signature)
{
	for (uint32_t i = 0; i < signature->count; i++)
		if (signature->parameters[i].kind == PARAMETER_EITHER)
			signature->parameters[i].kind = PARAMETER_POSITIONAL;
}

/* ---- packed ---- */

static void pack_word(msgpack_packer *packer, const char *word)
{
	msgpack_pack_str(packer, strlen(word));
	msgpack_pack_str_body(packer, word, strlen(word));
}

static void pack_bool(msgpack_packer *packer, const char *key, bool value)
{
	pack_word(packer, key);
	if (value)
		msgpack_pack_true(packer);
	else
		msgpack_pack_false(packer);
}

static void pack_object(msgpack_packer *packer, const char *key, msgpack_object value)
{
	pack_word(packer, key);
	msgpack_pack_object(packer, value);
}

/* `kind`: NULL for a field of a record, which has none. */
static void pack_parameter(msgpack_packer *packer, const struct parameter *parameter, const char *kind)
{
	msgpack_pack_map(packer, 2u + (kind != NULL) + parameter->optional);
	pack_object(packer, "name", type_text(parameter->name));
	if (kind) {
		pack_word(packer, "kind");
		pack_word(packer, kind);
	}
	pack_object(packer, "type", parameter->type);
	if (parameter->shown)
		pack_object(packer, "default", parameter->value);
	else if (parameter->optional)
		pack_bool(packer, "optional", true);
}

void signature_pack(const struct signature *signature, bool readonly, msgpack_packer *packer)
{
	static const char *const kinds[] = {
		[PARAMETER_POSITIONAL] = "positional", [PARAMETER_KEYWORD] = "keyword",
		[PARAMETER_EITHER] = "either",         [PARAMETER_REST] = "rest",
		[PARAMETER_KEYWORDS] = "keywords",
	};

	pack_word(packer, "params");
	msgpack_pack_array(packer, signature->count);
	for (uint32_t i = 0; i < signature->count; i++)
		pack_parameter(packer, &signature->parameters[i], kinds[signature->parameters[i].kind]);
	pack_object(packer, "returns", signature->returns);
	pack_bool(packer, "yields", signature->yields);
	pack_bool(packer, "readonly", readonly);
}

void signature_pack_fields(const struct signature *record, msgpack_packer *packer)
{
	msgpack_pack_array(packer, record->count);
	for (uint32_t i = 0; i < record->count; i++)
		pack_parameter(packer, &record->parameters[i], NULL);
}
