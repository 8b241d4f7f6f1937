/* SPDX-License-Identifier: Apache-2.0 */
/* A typed client in TypeScript: a class with the methods, and an interface for each record. It uses client/node. */
#include "cli/generate/generate.h"

#include <string.h>

static const char *const reserved[] = {"arguments", "await",      "break",    "case",    "catch",      "class",     "const",
				       "continue",  "debugger",   "default",  "delete",  "do",         "else",      "enum",
				       "eval",      "export",     "extends",  "false",   "finally",    "for",       "function",
				       "if",        "implements", "import",   "in",      "instanceof", "interface", "let",
				       "new",       "null",       "package",  "private", "protected",  "public",    "return",
				       "static",    "super",      "switch",   "this",    "throw",      "true",      "try",
				       "typeof",    "var",        "void",     "while",   "with",       "yield",     "constructor",
				       "client",    "pool",       "settings", "options", "call",       "undefined", NULL};
/* What every object has: an object of options that has none of its own would have these, of other types. */
static const char *const locals[] = {"constructor",    "hasOwnProperty", "isPrototypeOf", "propertyIsEnumerable",
				     "toLocaleString", "toString",       "valueOf",       NULL};
static const char *const members[] = {"target", "constructor", "create", "on", "then", NULL};
static const char *const globals[] = {"Client", "Ext",   "NdArray", "One",     "PoolSettings", "Results", "Call", "Map",
				      "Date",   "Array", "Record",  "Promise", "Uint8Array",   "Object",  "Math", NULL};

static const struct literals literals = {
	.nil = "null",
	.yes = "true",
	.no = "false",
	.least = -(INT64_C(1) << 53),
	.most = UINT64_C(1) << 53,
	.integer = {"", ""},
	.big = {"", "n"},
	.real = {"", ""},
	.text = {"", ""},
	.bytes = {"new Uint8Array([", "])"},
	.byte = "",
	.array = {"[", "]"},
	.map = {"{", "}"},
	.pair = {"[", "]: ", ""},
	.octal = false,
};

/* ---- types ---- */

static void put_type(FILE *out, const struct type *type);

static void put_types(FILE *out, const struct type *type, const char *between)
{
	for (uint32_t i = 0; i < type->count; i++) {
		fputs(i > 0 ? between : "", out);
		put_type(out, &type->parts[i]);
	}
}

static void put_list(FILE *out, const struct type *type)
{
	fputs("Array<", out);
	put_type(out, &type->parts[0]);
	fputc('>', out);
}

/* A map whose keys are not all text comes as a Map. */
static void put_dict(FILE *out, const struct type *type)
{
	fputs(type->parts[0].kind == TYPE_STR ? "Record<" : "Map<", out);
	put_types(out, type, ", ");
	fputc('>', out);
}

static void put_type(FILE *out, const struct type *type)
{
	static const char *const words[] = {[TYPE_ANY] = "any",          [TYPE_NONE] = "null",      [TYPE_BOOL] = "boolean",
					    [TYPE_INT] = "number",       [TYPE_FLOAT] = "number",   [TYPE_STR] = "string",
					    [TYPE_BYTES] = "Uint8Array", [TYPE_TIMESTAMP] = "Date", [TYPE_NDARRAY] = "NdArray"};

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
		fputc('[', out);
		put_types(out, type, ", ");
		fputc(']', out);
		break;
	case TYPE_UNION:
		put_types(out, type, " | ");
		break;
	case TYPE_RECORD:
		fputs(type->record->ident, out);
	}
}

/* ---- interfaces ---- */

static void put_note(FILE *out, const struct field *field)
{
	if (!field->value)
		return;
	fputs("\t/** By default ", out);
	code_value(out, field->value);
	fputs(" */\n", out);
}

static void put_member(FILE *out, const struct field *field)
{
	put_note(out, field);
	fputc('\t', out);
	code_string(out, field->name, false);
	fputs(field->optional ? "?: " : ": ", out);
	put_type(out, &field->type);
	fputs(";\n", out);
}

static void put_record(FILE *out, const struct record *record)
{
	fprintf(out, "\nexport interface %s {\n", record->ident);
	for (uint32_t i = 0; i < record->count; i++)
		put_member(out, &record->fields[i]);
	fputs("}\n", out);
}

/* The type of the argument in which a method gets what may be left out. */
static void put_options(FILE *out, const struct method *method)
{
	fputs("{", out);
	const char *between = " ";
	for (uint32_t i = 0; i < method->count; i++) {
		const struct field *field = &method->fields[i];
		if (field_is_required(field))
			continue;
		fputs(between, out);
		fprintf(out, "%s?: ", field->ident);
		if (field->kind == FIELD_KEYWORDS)
			fputs("Record<string, ", out);
		else if (field->kind == FIELD_REST)
			fputs("Array<", out);
		put_type(out, &field->type);
		if (field->kind == FIELD_KEYWORDS || field->kind == FIELD_REST)
			fputc('>', out);
		between = "; ";
	}
	fputs(" }", out);
}

/* ---- methods ---- */

static void put_arguments(FILE *out, const struct method *method, const char *between)
{
	for (uint32_t i = 0; i < method->count; i++)
		if (field_is_required(&method->fields[i])) {
			fprintf(out, "%s%s: ", between, method->fields[i].ident);
			put_type(out, &method->fields[i].type);
			between = ", ";
		}
	if (!method_has_options(method))
		return;
	fprintf(out, "%soptions: ", between);
	put_options(out, method);
	fputs(" = {}", out);
}

/* Has it to come by place, and what comes in its place where it is left out before another that does. */
static void put_place(FILE *out, const struct field *field)
{
	fputs(field->kind == FIELD_POSITIONAL ? ", true" : ", false", out);
	if (field->value && code_has_literal(&literals, field->value)) {
		fputs(", ", out);
		code_literal(out, &literals, field->value);
	}
}

static void put_packing(FILE *out, const struct method *method)
{
	const struct field *rest = method_field(method, FIELD_REST), *more = method_field(method, FIELD_KEYWORDS);

	fputs("\t\tconst call = new Call();\n", out);
	for (uint32_t i = 0; i < method->count; i++) {
		const struct field *field = &method->fields[i];
		if (field->kind == FIELD_REST || field->kind == FIELD_KEYWORDS)
			continue;
		fputs(field->kind == FIELD_KEYWORD ? "\t\tcall.keyword("
		      : field->optional            ? "\t\tcall.optional("
						   : "\t\tcall.place(",
		      out);
		if (field->optional || field->kind == FIELD_KEYWORD) {
			code_string(out, field->name, false);
			fputs(", ", out);
		}
		fprintf(out, "%s%s", field->optional ? "options." : "", field->ident);
		if (field->optional && field->kind != FIELD_KEYWORD)
			put_place(out, field);
		fputs(");\n", out);
	}
	if (rest)
		fprintf(out, "\t\tcall.rest(options.%s);\n", rest->ident);
	if (more)
		fprintf(out, "\t\tcall.more(options.%s);\n", more->ident);
}

static void put_doc(FILE *out, model_text doc, const char *indent)
{
	if (doc.size == 0)
		return;
	char prefix[16];
	(void)snprintf(prefix, sizeof prefix, "%s * ", indent);
	fprintf(out, "%s/**\n", indent);
	code_lines(out, doc, prefix);
	fprintf(out, "%s */\n", indent);
}

static void put_method(FILE *out, const struct method *method)
{
	const struct type *value = method->yields ? &method->returns.parts[0] : &method->returns;

	fputc('\n', out);
	put_doc(out, method->doc, "\t");
	fprintf(out, "\t%s(", method->ident);
	put_arguments(out, method, "");
	fputs(method->yields ? "): Results<" : "): Promise<", out);
	put_type(out, value);
	fputs("> {\n", out);
	put_packing(out, method);
	fputs(method->yields ? "\t\treturn this.on(call).method<any[], " : "\t\treturn this.on(call).call<", out);
	put_type(out, value);
	fputs(method->yields ? ">(" : ">(", out);
	code_string(out, method->name, false);
	fputs(method->yields ? ").stream(...call.places());\n\t}\n" : ", ...call.places());\n\t}\n", out);
}

static void put_create(FILE *out, const struct model *model)
{
	fputs("\n\t/** Makes a pool of the class. `settings`: other keys of its section, such as workers. */\n"
	      "\tstatic async create(client: Client, pool: string, settings: PoolSettings",
	      out);
	put_arguments(out, &model->constructor, ", ");
	fprintf(out, "): Promise<%s> {\n", model->ident);
	put_packing(out, &model->constructor);
	fprintf(out, "\t\treturn new %s(await client.createPool(pool, {\n\t\t\tplugin: ", model->ident);
	code_string(out, model->plugin, false);
	fputs(", class: ", out);
	code_string(out, model->class, false);
	fputs(", args: call.places(), kwargs: call.keywords ?? {}, ...settings,\n\t\t}));\n\t}\n", out);
}

/* ---- the file ---- */

static const char common[] =
	"\n/** The arguments of a call. Those that may be left out wait until it is known whether they come by place. */\n"
	"class Call {\n\tkeywords: Record<string, unknown> | undefined;\n\tprivate args: unknown[] = [];\n"
	"\tprivate waiting: Array<{ name: string; value: unknown; placed: boolean; otherwise: unknown }> = [];\n\n"
	"\tplace(value: unknown): void {\n\t\tthis.args.push(value);\n\t}\n\n"
	"\tkeyword(name: string, value: unknown): void {\n\t\tif (value !== undefined)\n"
	"\t\t\tthis.keywords = { ...this.keywords, [name]: value };\n\t}\n\n"
	"\t/** `otherwise`: the default; undefined: it is not known. */\n"
	"\toptional(name: string, value: unknown, placed: boolean, otherwise?: unknown): void {\n"
	"\t\tthis.waiting.push({ name, value, placed, otherwise });\n\t}\n\n"
	"\trest(values: unknown[] = []): void {\n\t\tthis.fill(values.length > 0);\n\t\tthis.args.push(...values);\n\t}\n\n"
	"\tmore(values: Record<string, unknown> = {}): void {\n\t\tfor (const [name, value] of Object.entries(values))\n"
	"\t\t\tthis.keyword(name, value);\n\t}\n\n"
	"\tplaces(): unknown[] {\n\t\tthis.fill(false);\n\t\treturn this.args;\n\t}\n\n"
	"\t/** By place up to the last that has to, and the others by keyword. */\n"
	"\tfill(all: boolean): void {\n\t\tlet places = all ? this.waiting.length : 0;\n"
	"\t\tthis.waiting.forEach((one, i) => { if (one.placed && one.value !== undefined) places = Math.max(places, i + 1); "
	"});\n"
	"\t\tthis.waiting.forEach((one, i) => {\n\t\t\tconst value = one.value === undefined ? one.otherwise : one.value;\n"
	"\t\t\tif (i >= places)\n\t\t\t\tthis.keyword(one.name, one.value);\n"
	"\t\t\telse if (value === undefined)\n"
	"\t\t\t\tthrow new TypeError(`${one.name} has to be given with the arguments behind it: its default is not known`);\n"
	"\t\t\telse\n\t\t\t\tthis.place(value);\n\t\t});\n\t\tthis.waiting = [];\n\t}\n}\n";

static void write_ts(const struct model *model, FILE *out)
{
	fputs("// A typed client of the pool ", out);
	code_text(out, model->pool);
	fputc('\n', out);
	fputs("// Made by objpool describe --generate ts. Don't edit it.\n//\n"
	      "// An integer beyond 2^53 comes, and is given, as a bigint: where a class has such, cast.\n"
	      "import type { Client, One, PoolSettings",
	      out);
	fputs(model_yields(model) ? ", Results" : "", out);
	fputs(model_uses(model, TYPE_NDARRAY) ? ", NdArray } from \"objpool\";\n" : " } from \"objpool\";\n", out);
	fputs(common, out);
	for (uint32_t i = 0; i < model->record_count; i++)
		put_record(out, &model->records[i]);
	fputc('\n', out);
	put_doc(out, model->doc, "");
	fprintf(out, "export class %s {\n\t/** `target`: a pool, or a slot or a key of it, or a lease. */\n", model->ident);
	fputs("\tconstructor(readonly target: One) {}\n", out);
	if (model->method_count > 0)
		fputs("\n\tprivate on(call: Call): One {\n\t\tcall.places();\n"
		      "\t\treturn call.keywords ? this.target.options({ kwargs: call.keywords }) : this.target;\n\t}\n",
		      out);
	put_create(out, model);
	for (uint32_t i = 0; i < model->method_count; i++)
		put_method(out, &model->methods[i]);
	fputs("}\n", out);
}

const struct generator generate_ts = {
	.language = "ts",
	.naming = {NAME_CAMEL, NAME_CAMEL, NAME_AS_IS, reserved, members, globals, .locals = locals},
	.write = write_ts,
};
