/* SPDX-License-Identifier: Apache-2.0 */
/* A typed client in Go: a struct with the methods, one for each record, and one for what a method's caller may leave out. It uses
 * client/go. */
#include "cli/generate/generate.h"

#include <stdlib.h>
#include <string.h>

enum {
	KEYWORDS = 25, /* words of the language, the first of `reserved` */
	TUPLES = 17,   /* tuples of fewer parts have types of their own */
};

static const char *const reserved[] = {
	"break",  "case",   "chan",   "const",    "continue",  "default",   "defer",  "else",    "fallthrough", "for",
	"func",   "go",     "goto",   "if",       "import",    "interface", "map",    "package", "range",       "return",
	"select", "struct", "switch", "type",     "var",       "any",       "bool",   "byte",    "error",       "float64",
	"int64",  "string", "nil",    "true",     "false",     "len",       "append", "make",    "new",         "c",
	"ctx",    "client", "pool",   "settings", "options",   "args",      "kwargs", "objpool", "context",     "time",
	"call",   "err",    "target", "keys",     "arguments", "uint64",    NULL};
static const char *const members[] = {"Target", "Options", "Create", NULL};
static const char *const globals[] = {"New",     "Create",  "Tuple0",  "Tuple1",  "Tuple2",  "Tuple3",  "Tuple4",
				      "Tuple5",  "Tuple6",  "Tuple7",  "Tuple8",  "Tuple9",  "Tuple10", "Tuple11",
				      "Tuple12", "Tuple13", "Tuple14", "Tuple15", "Tuple16", NULL};

static const struct literals literals = {
	.nil = "nil",
	.yes = "true",
	.no = "false",
	.least = INT64_MIN,
	.most = INT64_MAX,
	.integer = {"int64(", ")"},
	.big = {"uint64(", ")"},
	.real = {"float64(", ")"},
	.text = {"", ""},
	.bytes = {"[]byte{", "}"},
	.byte = "",
	.array = {"[]any{", "}"},
	.map = {"map[string]any{", "}"},
	.pair = {"", ": ", ""},
	.octal = true,
};

/* ---- types ---- */

static void put_type(FILE *out, const struct type *type);

static bool is_key(const struct type *type)
{
	return type->kind == TYPE_STR || type->kind == TYPE_INT || type->kind == TYPE_FLOAT || type->kind == TYPE_BOOL;
}

/* Can it be nil by itself? */
static bool has_nil(const struct type *type)
{
	switch (type->kind) {
	case TYPE_BOOL:
	case TYPE_INT:
	case TYPE_FLOAT:
	case TYPE_STR:
	case TYPE_TIMESTAMP:
	case TYPE_NDARRAY:
	case TYPE_RECORD:
	case TYPE_TUPLE:
		return false;
	case TYPE_ANY:
	case TYPE_NONE:
	case TYPE_BYTES:
	case TYPE_LIST:
	case TYPE_DICT:
	case TYPE_REST:
	case TYPE_UNION:
	case TYPE_ITERATOR:
		break;
	}
	return true;
}

/* As a value that may be nil, or be left out. */
static void put_optional(FILE *out, const struct type *type)
{
	const struct type *inner = type_optional(type) ? type_optional(type) : type;

	fputs(has_nil(inner) ? "" : "*", out);
	put_type(out, inner);
}

/* Does the type have a value of the record in it, and not only a pointer to one? `seen` has a place for each record. */
static bool holds(const struct model *model, const struct type *type, const struct record *record, bool *seen)
{
	if (type->kind == TYPE_TUPLE && type->count < TUPLES)
		for (uint32_t i = 0; i < type->count; i++)
			if (holds(model, &type->parts[i], record, seen))
				return true;
	if (type->kind != TYPE_RECORD || type->record == record)
		return type->kind == TYPE_RECORD;
	if (seen[type->record - model->records])
		return false;
	seen[type->record - model->records] = true;
	for (uint32_t i = 0; i < type->record->count; i++)
		if (!type->record->fields[i].optional && holds(model, &type->record->fields[i].type, record, seen))
			return true;
	return false;
}

/* Would a struct of the record have itself in it, if it had a value of that type? Without memory, too. */
static bool is_endless(const struct model *model, const struct type *type, const struct record *record)
{
	bool *seen = calloc(model->record_count, sizeof *seen);
	const bool endless = !seen || holds(model, type, record, seen);

	free(seen);
	return endless;
}

static void put_tuple(FILE *out, const struct type *type)
{
	if (type->count >= TUPLES) {
		fputs("[]any", out);
		return;
	}
	fprintf(out, "Tuple%u", type->count);
	for (uint32_t i = 0; i < type->count; i++) {
		fputs(i == 0 ? "[" : ", ", out);
		put_type(out, &type->parts[i]);
	}
	fputs(type->count > 0 ? "]" : "", out);
}

static void put_list(FILE *out, const struct type *type)
{
	fputs("[]", out);
	put_type(out, &type->parts[0]);
}

static void put_dict(FILE *out, const struct type *type)
{
	if (!is_key(&type->parts[0])) {
		fputs("map[any]any", out);
		return;
	}
	fputs("map[", out);
	put_type(out, &type->parts[0]);
	fputc(']', out);
	put_type(out, &type->parts[1]);
}

static void put_type(FILE *out, const struct type *type)
{
	static const char *const words[] = {[TYPE_ANY] = "any",
					    [TYPE_NONE] = "any",
					    [TYPE_BOOL] = "bool",
					    [TYPE_INT] = "int64",
					    [TYPE_FLOAT] = "float64",
					    [TYPE_STR] = "string",
					    [TYPE_BYTES] = "[]byte",
					    [TYPE_TIMESTAMP] = "time.Time",
					    [TYPE_NDARRAY] = "objpool.NdArray"};

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
	case TYPE_REST:
	case TYPE_ITERATOR:
		put_list(out, type);
		break;
	case TYPE_DICT:
		put_dict(out, type);
		break;
	case TYPE_TUPLE:
		put_tuple(out, type);
		break;
	case TYPE_UNION:
		if (type_optional(type))
			put_optional(out, type);
		else
			fputs("any", out);
		break;
	case TYPE_RECORD:
		fputs(type->record->ident, out);
	}
}

/* ---- what the file needs ---- */

/* What types that are written have in them. */
struct uses {
	bool time;
	bool tuples[TUPLES]; /* of so many parts */
};

/* Notes what put_type writes of the type. */
static void use_type(struct uses *uses, const struct type *type)
{
	uint32_t parts = 0;

	switch (type->kind) {
	case TYPE_TIMESTAMP:
		uses->time = true;
		break;
	case TYPE_LIST:
	case TYPE_REST:
	case TYPE_ITERATOR:
		parts = 1;
		break;
	case TYPE_DICT:
		parts = is_key(&type->parts[0]) ? 2 : 0;
		break;
	case TYPE_TUPLE:
		parts = type->count < TUPLES ? type->count : 0;
		if (type->count < TUPLES)
			uses->tuples[type->count] = true;
		break;
	case TYPE_UNION:
		if (type_optional(type))
			use_type(uses, type_optional(type));
		break;
	case TYPE_ANY:
	case TYPE_NONE:
	case TYPE_BOOL:
	case TYPE_INT:
	case TYPE_FLOAT:
	case TYPE_STR:
	case TYPE_BYTES:
	case TYPE_NDARRAY:
	case TYPE_RECORD:
		break;
	}
	for (uint32_t i = 0; i < parts; i++)
		use_type(uses, &type->parts[i]);
}

static void use_fields(struct uses *uses, const struct field *fields, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++)
		use_type(uses, &fields[i].type);
}

static void use_all(struct uses *uses, const struct model *model)
{
	for (uint32_t i = 0; i < model->record_count; i++)
		use_fields(uses, model->records[i].fields, model->records[i].count);
	use_fields(uses, model->constructor.fields, model->constructor.count);
	for (uint32_t i = 0; i < model->method_count; i++) {
		const struct method *method = &model->methods[i];
		use_fields(uses, method->fields, method->count);
		use_type(uses, method->yields ? &method->returns.parts[0] : &method->returns);
	}
}

/* ---- structs ---- */

/* Of arguments that may be left out, the field's name in the struct of options. The argument's name differs from the others'. */
static const char *pascal(const struct model *model, const struct field *field)
{
	const char *made =
		model_identifier((struct model *)(uintptr_t)model,
				 (model_text){.ptr = field->ident, .size = (uint32_t)strlen(field->ident)}, NAME_PASCAL);

	return made ? made : "X";
}

/* A comment above a field: behind it, it would have to be aligned with others. */
static void put_field_note(FILE *out, const struct field *field)
{
	fputs("\t// ", out);
	code_type(out, &field->type);
	if (field->value) {
		fputs("; by default ", out);
		code_value(out, field->value);
	}
	fputc('\n', out);
}

/* A tag of Go can't have all characters. */
static void put_tag(FILE *out, model_text name)
{
	for (uint32_t i = 0; i < name.size; i++) {
		const char c = name.ptr[i];
		fputc((unsigned char)c < 0x20 || strchr("\"`\\,", c) ? '_' : c, out);
	}
}

static void put_record(FILE *out, const struct model *model, const struct record *record)
{
	fprintf(out, "\n// %s is a record.\ntype %s struct {\n", record->ident, record->ident);
	for (uint32_t i = 0; i < record->count; i++) {
		const struct field *field = &record->fields[i];
		put_field_note(out, field);
		fprintf(out, "\t%s ", field->ident);
		if (field->optional) {
			put_optional(out, &field->type);
		} else {
			fputs(is_endless(model, &field->type, record) ? "*" : "", out);
			put_type(out, &field->type);
		}
		fputs(" `msgpack:\"", out);
		put_tag(out, field->name);
		fputs(field->optional ? ",omitempty\"`\n" : "\"`\n", out);
	}
	fputs("}\n", out);
}

static void put_tuples(FILE *out, const struct uses *uses)
{
	for (unsigned count = 0; count < TUPLES; count++) {
		if (!uses->tuples[count])
			continue;
		fprintf(out, "\n// Tuple%u is a tuple of %u.\ntype Tuple%u", count, count, count);
		for (unsigned i = 0; i < count; i++)
			fprintf(out, "%sT%u", i == 0 ? "[" : ", ", i);
		fprintf(out, "%s struct {\n\t_msgpack struct{} `msgpack:\",as_array\"`\n", count > 0 ? " any]" : "");
		for (unsigned i = 0; i < count; i++)
			fprintf(out, "\tV%-7u T%u\n", i, i);
		fputs("}\n", out);
	}
}

static void put_options(FILE *out, const struct model *model, const struct method *method, const char *name)
{
	if (!method_has_options(method))
		return;
	fprintf(out, "\n// %s are the arguments of %s that may be left out: those that are nil are.\ntype %s struct {\n",
		method->options, name, method->options);
	for (uint32_t i = 0; i < method->count; i++) {
		const struct field *field = &method->fields[i];
		if (field_is_required(field))
			continue;
		put_field_note(out, field);
		fprintf(out, "\t%s ", pascal(model, field));
		if (field->kind == FIELD_REST) {
			fputs("[]", out);
			put_type(out, &field->type);
		} else if (field->kind == FIELD_KEYWORDS) {
			fputs("map[string]", out);
			put_type(out, &field->type);
		} else {
			put_optional(out, &field->type);
		}
		fputc('\n', out);
	}
	fputs("}\n", out);
}

/* ---- docs ---- */

static bool is_space(char c)
{
	return (unsigned char)c <= ' ';
}

/* Does a line begin as an item of a list? gofmt would indent it otherwise than we do. */
static bool is_item(model_text line)
{
	uint32_t digits = 0;

	while (digits < line.size && line.ptr[digits] >= '0' && line.ptr[digits] <= '9')
		digits++;
	return digits > 0 || (line.size > 0 && (strchr("*+-", line.ptr[0]) || line.ptr[0] == '\xe2'));
}

static void put_doc_line(FILE *out, model_text line)
{
	while (line.size > 0 && is_space(line.ptr[line.size - 1]))
		line.size--;
	fputs(line.size > 0 ? "//\t" : "//", out);
	code_text(out, line);
	fputc('\n', out);
}

/* Writes a text into the comment of a declaration, as gofmt leaves it: indented, because gofmt changes other text. */
static void put_doc_text(FILE *out, model_text text)
{
	while (text.size > 0 && is_space(text.ptr[0]))
		text = (model_text){.ptr = text.ptr + 1, .size = text.size - 1};
	while (text.size > 0 && is_space(text.ptr[text.size - 1]))
		text.size--;
	if (text.size == 0)
		return;
	fputs(is_item(text) ? "//\n//\tDescription:\n" : "//\n", out);
	for (uint32_t begin = 0; begin < text.size;) {
		const char *line = text.ptr + begin, *end = memchr(line, '\n', text.size - begin);
		const uint32_t n = end ? (uint32_t)(end - line) : text.size - begin;
		put_doc_line(out, (model_text){.ptr = line, .size = n});
		begin += n + 1;
	}
}

/* ---- methods ---- */

static void put_arguments(FILE *out, const struct method *method)
{
	for (uint32_t i = 0; i < method->count; i++)
		if (field_is_required(&method->fields[i])) {
			fprintf(out, ", %s ", method->fields[i].ident);
			put_type(out, &method->fields[i].type);
		}
	if (method_has_options(method))
		fprintf(out, ", options *%s", method->options);
}

static void put_required(FILE *out, const struct method *method)
{
	for (uint32_t i = 0; i < method->count; i++) {
		const struct field *field = &method->fields[i];
		if (!field_is_required(field))
			continue;
		if (field->kind == FIELD_KEYWORD) {
			fputs("\tcall.keyword(", out);
			code_string(out, field->name, true);
			fprintf(out, ", %s)\n", field->ident);
		} else {
			fprintf(out, "\tcall.args = append(call.args, %s)\n", field->ident);
		}
	}
}

/* *rest moves all that may be left out before it to their places. */
static void put_optionals(FILE *out, const struct model *model, const struct method *method)
{
	const struct field *rest = method_field(method, FIELD_REST), *more = method_field(method, FIELD_KEYWORDS);

	if (!method_has_options(method))
		return;
	fputs("\tif options != nil {\n", out);
	for (uint32_t i = 0; i < method->count; i++) {
		const struct field *field = &method->fields[i];
		if (!field->optional)
			continue;
		fprintf(out, "\t\tcall.optional(");
		code_string(out, field->name, true);
		fprintf(out, ", options.%s != nil, options.%s, %s, %s", pascal(model, field), pascal(model, field),
			field->kind == FIELD_KEYWORD ? "false" : "true", field->kind == FIELD_POSITIONAL ? "true" : "false");
		if (field->kind != FIELD_KEYWORD && field->value && code_has_literal(&literals, field->value)) {
			fputs(", ", out);
			code_literal(out, &literals, field->value);
		}
		fputs(")\n", out);
	}
	if (rest)
		fprintf(out,
			"\t\tcall.fill(len(options.%s) > 0)\n\t\tfor _, value := range options.%s {\n"
			"\t\t\tcall.args = append(call.args, value)\n\t\t}\n",
			pascal(model, rest), pascal(model, rest));
	if (more)
		fprintf(out, "\t\tfor name, value := range options.%s {\n\t\t\tcall.keyword(name, value)\n\t\t}\n",
			pascal(model, more));
	fputs("\t}\n\tcall.fill(false)\n", out);
}

static void put_doc(FILE *out, const struct method *method)
{
	fprintf(out, "\n// %s calls ", method->ident);
	code_text(out, method->name);
	fputc('\n', out);
	put_doc_text(out, method->doc);
}

static void put_method(FILE *out, const struct model *model, const struct method *method)
{
	const bool silent = method->returns.kind == TYPE_NONE;

	put_options(out, model, method, method->ident);
	put_doc(out, method);
	fprintf(out, "func (c %s) %s(ctx context.Context", model->ident, method->ident);
	put_arguments(out, method);
	fputs(method->yields ? ") *objpool.Results[" : silent ? ") error" : ") (", out);
	if (!silent)
		put_type(out, method->yields ? &method->returns.parts[0] : &method->returns);
	fputs(method->yields ? "] {\n" : silent ? " {\n" : ", error) {\n", out);
	fputs("\tvar call arguments\n", out);
	put_required(out, method);
	put_optionals(out, model, method);
	fputs(silent ? "\t_, err := objpool.Call[" : method->yields ? "\treturn objpool.Stream[" : "\treturn objpool.Call[", out);
	if (silent)
		fputs("struct{}", out);
	else
		put_type(out, method->yields ? &method->returns.parts[0] : &method->returns);
	fputs("](ctx, c.on(&call), ", out);
	code_string(out, method->name, true);
	fputs(silent ? ", call.args...)\n\treturn err\n}\n" : ", call.args...)\n}\n", out);
}

static void put_create(FILE *out, const struct model *model)
{
	put_options(out, model, &model->constructor, "Create");
	fprintf(out, "\n// Create makes a pool of the class. settings are other keys of its section, as \"workers\".\n"
		     "func Create(ctx context.Context, client *objpool.Client, pool string, settings map[string]any");
	put_arguments(out, &model->constructor);
	fprintf(out, ") (%s, error) {\n\tvar call arguments\n", model->ident);
	put_required(out, &model->constructor);
	put_optionals(out, model, &model->constructor);
	fputs("\tkeys := map[string]any{\"plugin\": ", out);
	code_string(out, model->plugin, true);
	fputs(", \"class\": ", out);
	code_string(out, model->class, true);
	fprintf(out,
		"}\n\tif call.args != nil {\n\t\tkeys[\"args\"] = call.args\n\t}\n\tif call.kwargs != nil {\n"
		"\t\tkeys[\"kwargs\"] = call.kwargs\n\t}\n\tfor key, value := range settings {\n\t\tkeys[key] = value\n\t}\n"
		"\ttarget, err := client.Create(ctx, pool, keys)\n\treturn %s{Target: target}, err\n}\n",
		model->ident);
}

/* ---- the file ---- */

static const char common[] =
	"\n// arguments are those of a call. Optional ones wait until it is known whether they come by place.\n"
	"type arguments struct {\n\targs    []any\n\tkwargs  map[string]any\n\twaiting []argument\n}\n"
	"\ntype argument struct {\n\tname      string\n\tvalue     any\n\tgiven     bool\n"
	"\tplaced    bool  // it can't come by keyword\n\totherwise []any // the default, if it is known\n}\n"
	"\n// missing stands in the place of an argument that is left out, and of which no default is known: it can't be "
	"packed.\n"
	"type missing string\n"
	"\nfunc (m missing) Error() string {\n"
	"\treturn string(m) + \" has to be given with the arguments behind it: its default is not known\"\n}\n"
	"\n// MarshalMsgpack fails.\nfunc (m missing) MarshalMsgpack() ([]byte, error) {\n\treturn nil, m\n}\n"
	"\nfunc (a *arguments) keyword(name string, value any) {\n\tif a.kwargs == nil {\n\t\ta.kwargs = map[string]any{}\n\t}\n"
	"\ta.kwargs[name] = value\n}\n"
	"\nfunc (a *arguments) optional(name string, given bool, value any, place, placed bool, otherwise ...any) {\n\tif place "
	"{\n"
	"\t\ta.waiting = append(a.waiting, argument{name, value, given, placed, otherwise})\n\t} else if given "
	"{\n\t\ta.keyword(name, "
	"value)\n\t}\n}\n"
	"\n// fill sends those that wait: by place up to the last that has to, and the others by keyword.\n"
	"func (a *arguments) fill(all bool) {\n\tplaces := 0\n\tfor i, waiting := range a.waiting {\n"
	"\t\tif all || (waiting.given && waiting.placed) {\n\t\t\tplaces = i + 1\n\t\t}\n\t}\n"
	"\tfor i, waiting := range a.waiting {\n\t\tswitch {\n\t\tcase i < places && waiting.given:\n"
	"\t\t\ta.args = append(a.args, waiting.value)\n\t\tcase i < places && len(waiting.otherwise) > 0:\n"
	"\t\t\ta.args = append(a.args, waiting.otherwise[0])\n"
	"\t\tcase i < places:\n\t\t\ta.args = append(a.args, missing(waiting.name))\n"
	"\t\tcase waiting.given:\n\t\t\ta.keyword(waiting.name, waiting.value)\n\t\t}\n\t}\n\ta.waiting = nil\n}\n";

/* The package's name is the pool's, where a package can have it. */
static const char *package_name(const struct model *model)
{
	const char *name = model_identifier((struct model *)(uintptr_t)model, model->pool, NAME_AS_IS);

	for (size_t i = 0; name && i < KEYWORDS; i++)
		if (strcmp(name, reserved[i]) == 0)
			return "client";
	return name && strcmp(name, "main") != 0 && strcmp(name, "_") != 0 ? name : "client";
}

static void put_package(FILE *out, const struct model *model, const struct uses *uses)
{
	fputs("// A typed client of the pool ", out);
	code_text(out, model->pool);
	fputc('\n', out);
	fputs("//\n// Code generated by objpool describe --generate go. DO NOT EDIT.\n\n", out);
	fprintf(out, "package %s\n\nimport (\n\t\"context\"\n", package_name(model));
	if (uses->time)
		fputs("\t\"time\"\n", out);
	fputs("\n\tobjpool \"objpool.dev/go\"\n)\n", out);
}

static void put_client(FILE *out, const struct model *model)
{
	fprintf(out, "\n// %s calls a pool, or some of its instances, with the options of calls.\n", model->ident);
	put_doc_text(out, model->doc);
	fprintf(out, "type %s struct {\n\tTarget  objpool.Target\n\tOptions objpool.Options\n}\n", model->ident);
	fprintf(out,
		"\n// New makes a client of a target: a pool, or a slot or a key of it. Calls have the target's options.\n"
		"func New(target objpool.Target) %s {\n\treturn %s{Target: target, Options: target.Options()}\n}\n",
		model->ident, model->ident);
	fprintf(out,
		"\nfunc (c %s) on(call *arguments) objpool.Target {\n\toptions := c.Options\n\toptions.Kwargs = call.kwargs\n"
		"\treturn c.Target.With(options)\n}\n",
		model->ident);
}

static void write_go(const struct model *model, FILE *out)
{
	struct uses uses = {0};

	use_all(&uses, model);
	put_package(out, model, &uses);
	put_client(out, model);
	fputs(common, out);
	put_tuples(out, &uses);
	for (uint32_t i = 0; i < model->record_count; i++)
		put_record(out, model, &model->records[i]);
	put_create(out, model);
	for (uint32_t i = 0; i < model->method_count; i++)
		put_method(out, model, &model->methods[i]);
}

const struct generator generate_go = {
	.language = "go",
	.naming = {NAME_PASCAL, NAME_CAMEL, NAME_PASCAL, reserved, members, globals, .prefixes = NULL},
	.write = write_go,
};
