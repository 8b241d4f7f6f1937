/* SPDX-License-Identifier: Apache-2.0 */
/* A typed client in Python: a class, and a TypedDict for each record. It uses the package objpool. */
#include "cli/generate/generate.h"

#include <math.h>
#include <string.h>

static const char *const reserved[] = {
	"False",    "None",    "True",       "and",     "as",     "assert",    "async",   "await",   "break", "class",
	"continue", "def",     "del",        "elif",    "else",   "except",    "finally", "for",     "from",  "global",
	"if",       "import",  "in",         "is",      "lambda", "nonlocal",  "not",     "or",      "pass",  "raise",
	"return",   "try",     "while",      "with",    "yield",  "self",      "cls",     "_client", "_name", "_settings",
	"_given",   "_places", "_arguments", "_listed", "_UNSET", "__debug__", NULL};
/* A method of the class hides the names of types, in what stands behind it. */
static const char *const members[] = {"target",   "create", "__init__", "objpool",  "msgpack",     "numpy",     "Any",   "Dict",
				      "Iterable", "List",   "Mapping",  "Optional", "Tuple",       "TypedDict", "Union", "bool",
				      "bytes",    "float",  "int",      "str",      "classmethod", NULL};
static const char *const globals[] = {"objpool",  "Any",   "Dict",      "Iterable", "List",          "Mapping",
				      "Optional", "Tuple", "TypedDict", "Union",    "TYPE_CHECKING", NULL};
static const char *const prefixes[] = {"", NULL};

/* The methods with such names that classes offer. Within a class Python changes other names that begin with two underscores. */
static const char *const special[] = {"__call__", "__getitem__", "__setitem__", "__delitem__", "__len__", "__contains__",
				      "__iter__", "__next__",    "__enter__",   "__exit__",    NULL};

/* ---- types ---- */

static void put_type(FILE *out, const struct type *type, bool argument);

static void put_types(FILE *out, const struct type *type, const char *between, bool argument)
{
	for (uint32_t i = 0; i < type->count; i++) {
		fputs(i > 0 ? between : "", out);
		put_type(out, &type->parts[i], argument);
	}
}

static void put_generic(FILE *out, const char *name, const struct type *type, const char *end, bool argument)
{
	fprintf(out, "%s[", name);
	put_types(out, type, ", ", argument);
	fputs(end, out);
}

static void put_union(FILE *out, const struct type *type, bool argument)
{
	const struct type *inner = type_optional(type);

	fputs(inner ? "Optional[" : "Union[", out);
	if (inner)
		put_type(out, inner, argument);
	else
		put_types(out, type, ", ", argument);
	fputs("]", out);
}

/* The file defers annotations, so that Python 3.9 takes all of them. `argument`: what any iterable will do for. */
static void put_type(FILE *out, const struct type *type, bool argument)
{
	static const char *const words[] = {[TYPE_ANY] = "Any",
					    [TYPE_NONE] = "None",
					    [TYPE_BOOL] = "bool",
					    [TYPE_INT] = "int",
					    [TYPE_FLOAT] = "float",
					    [TYPE_STR] = "str",
					    [TYPE_BYTES] = "bytes",
					    [TYPE_TIMESTAMP] = "msgpack.Timestamp",
					    [TYPE_NDARRAY] = "numpy.ndarray"};

	switch (type->kind) {
	case TYPE_ANY:
	case TYPE_NONE:
	case TYPE_BOOL:
	case TYPE_INT:
	case TYPE_FLOAT:
	case TYPE_STR:
	case TYPE_BYTES:
	case TYPE_TIMESTAMP:
	case TYPE_NDARRAY:
		fputs(words[type->kind], out);
		break;
	case TYPE_LIST:
		put_generic(out, "List", type, "]", argument);
		break;
	case TYPE_ITERATOR:
		put_generic(out, argument ? "Iterable" : "List", type, "]", argument);
		break;
	case TYPE_DICT:
		put_generic(out, "Dict", type, "]", argument);
		break;
	case TYPE_TUPLE:
	case TYPE_REST:
		if (argument)
			put_generic(out, "Tuple", type, type->kind == TYPE_REST ? ", ...]" : "]", argument);
		else if (type->kind == TYPE_REST)
			put_generic(out, "List", type, "]", argument);
		else
			fputs("List[Any]", out); /* arrays come as lists, whose items have one type */
		break;
	case TYPE_UNION:
		put_union(out, type, argument);
		break;
	case TYPE_RECORD:
		fputs(type->record->ident, out);
	}
}

/* ---- records ---- */

static bool is_listed(const char *const *words, const char *word)
{
	while (*words && strcmp(*words, word) != 0)
		words++;
	return *words != NULL;
}

/* Are all names of the record's fields words that a class of Python can have, and that hide no type? */
static bool is_plain(const struct record *record)
{
	for (uint32_t i = 0; i < record->count; i++)
		if (!text_is(record->fields[i].name, record->fields[i].ident) || is_listed(members, record->fields[i].ident))
			return false;
	return true;
}

static void put_default_note(FILE *out, const struct field *field)
{
	if (field->value) {
		fputs("  # by default ", out);
		code_value(out, field->value);
	}
	fputc('\n', out);
}

static void put_fields(FILE *out, const struct record *record, bool optional)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < record->count; i++) {
		const struct field *field = &record->fields[i];
		if (field->optional != optional)
			continue;
		fprintf(out, "    %s: ", field->ident);
		put_type(out, &field->type, false);
		put_default_note(out, field);
		n++;
	}
	if (n == 0)
		fputs("    pass\n", out);
}

/* The same with names that no class can have. Types are texts: they may name what comes later. */
static void put_keys(FILE *out, const struct record *record, bool optional)
{
	const char *part = optional ? "Optional" : "Required";

	fprintf(out, "\n_%s%s = TypedDict(\"_%s%s\", {\n", record->ident, part, record->ident, part);
	for (uint32_t i = 0; i < record->count; i++) {
		const struct field *field = &record->fields[i];
		if (field->optional != optional)
			continue;
		fputs("    ", out);
		code_string(out, field->name, true);
		fputs(": \"", out);
		put_type(out, &field->type, false);
		fputs("\",", out);
		put_default_note(out, field);
	}
	fprintf(out, "}, total=%s)\n", optional ? "False" : "True");
}

static void put_record(FILE *out, const struct record *record)
{
	const char *name = record->ident;

	if (!is_plain(record)) {
		fputc('\n', out);
		put_keys(out, record, false);
		put_keys(out, record, true);
		fprintf(out, "\n\nclass %s(_%sRequired, _%sOptional):\n    pass\n", name, name, name);
		return;
	}
	fprintf(out, "\n\nclass _%sRequired(TypedDict):\n", name);
	put_fields(out, record, false);
	fprintf(out, "\n\nclass %s(_%sRequired, total=False):\n", name, name);
	put_fields(out, record, true);
}

/* ---- arguments ---- */

/* Is a value of this kind of msgpack one of the type? Of types that it may be, as it may be of others, false will do. */
static bool is_of(const msgpack_object *value, const struct type *type)
{
	switch (type->kind) {
	case TYPE_ANY:
		return true;
	case TYPE_NONE:
		return value->type == MSGPACK_OBJECT_NIL;
	case TYPE_BOOL:
		return value->type == MSGPACK_OBJECT_BOOLEAN;
	case TYPE_INT:
		return value->type == MSGPACK_OBJECT_POSITIVE_INTEGER || value->type == MSGPACK_OBJECT_NEGATIVE_INTEGER;
	case TYPE_FLOAT:
		return value->type == MSGPACK_OBJECT_FLOAT64 || value->type == MSGPACK_OBJECT_FLOAT32 ||
		       value->type == MSGPACK_OBJECT_POSITIVE_INTEGER || value->type == MSGPACK_OBJECT_NEGATIVE_INTEGER;
	case TYPE_STR:
		return value->type == MSGPACK_OBJECT_STR;
	case TYPE_BYTES:
		return value->type == MSGPACK_OBJECT_BIN;
	case TYPE_UNION:
		for (uint32_t i = 0; i < type->count; i++)
			if (is_of(value, &type->parts[i]))
				return true;
		return false;
	case TYPE_TIMESTAMP:
	case TYPE_NDARRAY:
	case TYPE_LIST:
	case TYPE_DICT:
	case TYPE_TUPLE:
	case TYPE_REST:
	case TYPE_ITERATOR:
	case TYPE_RECORD:
		break;
	}
	return false;
}

/* "x: int = None", as many write it. */
static bool is_none_of_other(const struct field *field)
{
	return field->value && field->value->type == MSGPACK_OBJECT_NIL && !is_of(field->value, &field->type);
}

/* Its default is none that Python can write, or is not known, or is of another type: it is not sent unless it is given. */
static bool is_hidden(const struct field *field)
{
	return field->optional && (!field->value || !code_is_simple(field->value) ||
				   (field->value->type == MSGPACK_OBJECT_FLOAT64 && !isfinite(field->value->via.f64)) ||
				   (!is_of(field->value, &field->type) && !is_none_of_other(field)));
}

static void put_parameter(FILE *out, const struct field *field)
{
	fputs(field->kind == FIELD_REST ? "*" : field->kind == FIELD_KEYWORDS ? "**" : "", out);
	fprintf(out, is_none_of_other(field) ? "%s: Optional[" : "%s: ", field->ident);
	put_type(out, &field->type, true);
	fputs(is_none_of_other(field) ? "]" : "", out);
	if (is_hidden(field)) {
		fputs(" = _UNSET", out);
	} else if (field->optional) {
		fputs(" = ", out);
		value_show(out, field->value);
	}
}

/* `own`: arguments before the method's own, which come by place. */
static void put_parameters(FILE *out, const struct method *method, const char *own)
{
	const char *between = method->count > 4 ? ",\n            " : ", ";
	bool star = false, slash = strcmp(own, "self") == 0;

	fputs(own, out);
	for (uint32_t i = 0; i < method->count; i++) {
		const struct field *field = &method->fields[i];
		if (!slash && field->kind != FIELD_POSITIONAL)
			fprintf(out, "%s/", between);
		slash = slash || field->kind != FIELD_POSITIONAL;
		if (field->kind == FIELD_KEYWORD && !star)
			fprintf(out, "%s*", between);
		star = star || field->kind == FIELD_KEYWORD || field->kind == FIELD_REST;
		fputs(between, out);
		put_parameter(out, field);
		if (strcmp(own, "self") == 0 && field->kind == FIELD_POSITIONAL &&
		    (i + 1 == method->count || method->fields[i + 1].kind != FIELD_POSITIONAL))
			fprintf(out, "%s/", between);
	}
	if (!slash)
		fputs(", /", out);
}

/* An argument; an array is made of what may be any iterable. */
static void put_value(FILE *out, const struct field *field)
{
	const struct type *inner = type_optional(&field->type);

	fprintf(out, (inner ? inner : &field->type)->kind == TYPE_ITERATOR ? "_listed(%s)" : "%s", field->ident);
}

static void put_keyword(FILE *out, const struct field *field)
{
	if (!is_hidden(field) && text_is(field->name, field->ident)) {
		fprintf(out, "%s=", field->ident);
		put_value(out, field);
		return;
	}
	fputs(is_hidden(field) ? "**_given({" : "**{", out);
	code_string(out, field->name, true);
	fputs(": ", out);
	put_value(out, field);
	fputs(is_hidden(field) ? "})" : "}", out);
}

static void put_place(FILE *out, const struct field *field)
{
	fputs(is_hidden(field) ? "*_places(" : "", out);
	put_value(out, field);
	fputs(is_hidden(field) ? ")" : "", out);
}

/* How the arguments of a call are written: those by place first. What stands behind a hidden one comes by keyword if it can. */
static void put_arguments(FILE *out, const struct method *method, const char *between)
{
	const bool rest = method_field(method, FIELD_REST);
	bool by_keyword = false;

	for (uint32_t i = 0; i < method->count; i++, between = ", ") {
		const struct field *field = &method->fields[i];
		by_keyword =
			by_keyword || field->kind == FIELD_KEYWORD || (field->kind == FIELD_EITHER && !rest && is_hidden(field));
		fputs(between, out);
		if (field->kind == FIELD_REST)
			fprintf(out, "*%s", field->ident);
		else if (field->kind == FIELD_KEYWORDS)
			fprintf(out, "**%s", field->ident);
		else if (by_keyword)
			put_keyword(out, field);
		else
			put_place(out, field);
	}
}

/* ---- methods ---- */

/* Writes the lines of a text within three quotes. */
static void put_quoted(FILE *out, model_text text, const char *indent)
{
	bool begins = true;

	fprintf(out, "%s\"\"\"\n", indent);
	for (uint32_t i = 0; i < text.size; i++) {
		const char c = text.ptr[i];
		if (begins && c != '\n')
			fputs(indent, out);
		begins = c == '\n';
		if (c == '"' || c == '\\')
			fputc('\\', out);
		fputc((unsigned char)c < 0x20 && c != '\n' && c != '\t' ? ' ' : c, out);
	}
	fprintf(out, "\n%s\"\"\"\n", indent);
}

/* Does stream() of the package take a keyword of the method for its own, or has one that no program can write? */
static bool needs_stream_of(const struct method *method)
{
	static const char *const own[] = {"ordered", "window", NULL};

	for (uint32_t i = 0; i < method->count; i++) {
		const struct field *field = &method->fields[i];
		const bool keyword = field->kind == FIELD_KEYWORD || field->kind == FIELD_EITHER;
		if (field->kind == FIELD_KEYWORDS ||
		    (keyword && (is_listed(own, field->ident) || !text_is(field->name, field->ident))))
			return true;
	}
	return false;
}

static void put_call(FILE *out, const struct method *method)
{
	const bool of = method->yields && needs_stream_of(method);

	fputs(method->yields ? "        return self.target.method(" : "        return self.target.call(", out);
	code_string(out, method->name, true);
	fputs(of ? ").stream_of(*_arguments(" : method->yields ? ").stream(" : "", out);
	put_arguments(out, method, method->yields ? "" : ", ");
	fputs(of ? "))\n" : ")\n", out);
}

static void put_method(FILE *out, const struct method *method)
{
	fprintf(out, "\n    def %s(", method->ident);
	put_parameters(out, method, "self");
	fputs(") -> ", out);
	if (method->yields)
		put_generic(out, "objpool.Stream", &method->returns, "]", false);
	else
		put_type(out, &method->returns, false);
	fputs(":\n", out);
	if (method->doc.size > 0)
		put_quoted(out, method->doc, "        ");
	put_call(out, method);
}

static void put_create(FILE *out, const struct model *model)
{
	fputs("\n    @classmethod\n    def create(", out);
	put_parameters(out, &model->constructor, "cls, _client: objpool.Client, _name: str, _settings: Mapping[str, Any]");
	fprintf(out, ") -> %s:\n", model->ident);
	fputs("        \"\"\"Makes a pool with that name. `_settings`: other keys of its section, such as workers.\"\"\"\n", out);
	fputs("        args, kwargs = _arguments(", out);
	put_arguments(out, &model->constructor, "");
	fputs(")\n        return cls(_client.create_pool(", out);
	code_string(out, model->class, true);
	fputs(", plugin=", out);
	code_string(out, model->plugin, true);
	fputs(", name=_name, args=args, kwargs=kwargs, **_settings))\n", out);
}

static void put_head(FILE *out, const struct model *model)
{
	fputs("# A typed client of the pool ", out);
	code_text(out, model->pool);
	fputc('\n', out);
	fputs("# Made by objpool describe --generate python. Don't edit it.\n", out);
	fprintf(out, "# mypy: disable-error-code=\"no-any-return%s\"\n", model_uses(model, TYPE_TIMESTAMP) ? ",import" : "");
	fputs("from __future__ import annotations\n\n"
	      "from typing import TYPE_CHECKING, Any, Dict, Iterable, List, Mapping, Optional, Tuple, TypedDict, Union\n\n",
	      out);
	if (model_uses(model, TYPE_TIMESTAMP))
		fputs("import msgpack\n", out);
	fputs("import objpool\n", out);
	if (model_uses(model, TYPE_NDARRAY))
		fputs("\nif TYPE_CHECKING:\n    import numpy\n", out);
	fputs("\n_UNSET: Any = object()\n\n\n"
	      "def _given(keywords: Dict[str, Any]) -> Dict[str, Any]:\n"
	      "    return {name: value for name, value in keywords.items() if value is not _UNSET}\n\n\n"
	      "def _places(*values: Any) -> Tuple[Any, ...]:\n"
	      "    return tuple(value for value in values if value is not _UNSET)\n\n\n"
	      "def _listed(values: Any) -> Any:\n"
	      "    return values if values is None or values is _UNSET else [*values]\n\n\n"
	      "def _arguments(*args: Any, **kwargs: Any) -> Tuple[Tuple[Any, ...], Dict[str, Any]]:\n"
	      "    return args, kwargs\n",
	      out);
}

static void put_class(FILE *out, const struct model *model)
{
	fprintf(out, "\n\nclass %s:\n", model->ident);
	if (model->doc.size > 0) {
		put_quoted(out, model->doc, "    ");
		fputc('\n', out);
	}
	fputs("    def __init__(self, target: objpool.Target) -> None:\n"
	      "        \"\"\"`target`: a pool, a slot or a key of it, or a lease.\"\"\"\n"
	      "        self.target = target\n",
	      out);
	put_create(out, model);
	for (uint32_t i = 0; i < model->method_count; i++)
		put_method(out, &model->methods[i]);
}

static void write_python(const struct model *model, FILE *out)
{
	put_head(out, model);
	for (uint32_t i = 0; i < model->record_count; i++)
		put_record(out, &model->records[i]);
	put_class(out, model);
}

const struct generator generate_python = {
	.language = "python",
	.naming = {NAME_AS_IS, NAME_AS_IS, NAME_AS_IS, reserved, members, globals, prefixes, .special = special},
	.write = write_python,
};
