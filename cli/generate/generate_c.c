/* SPDX-License-Identifier: Apache-2.0 */
/* A typed client in C: a header with an inline function for each method, and a struct for each record. It uses libobjpool. */
#include "cli/generate/generate.h"

#include <string.h>

static const char *const reserved[] = {
	/* of C and C++ */
	"alignas", "alignof", "and", "and_eq", "asm", "auto", "bitand", "bitor", "bool", "break", "case", "catch", "char",
	"char16_t", "char32_t", "char8_t", "class", "co_await", "co_return", "co_yield", "compl", "concept", "const",
	"const_cast", "consteval", "constexpr", "constinit", "continue", "decltype", "default", "delete", "do", "double",
	"dynamic_cast", "else", "enum", "explicit", "export", "extern", "false", "float", "for", "friend", "goto", "if", "inline",
	"int", "long", "mutable", "namespace", "new", "noexcept", "not", "not_eq", "nullptr", "operator", "or", "or_eq",
	"private", "protected", "public", "register", "reinterpret_cast", "requires", "restrict", "return", "short", "signed",
	"sizeof", "static", "static_assert", "static_cast", "struct", "switch", "template", "this", "thread_local", "throw",
	"true", "try", "typedef", "typeid", "typename", "typeof", "typeof_unqual", "union", "unsigned", "using", "virtual",
	"void", "volatile", "wchar_t", "while", "xor", "xor_eq",
	/* macros of their headers, and of compilers */
	"complex", "errno", "imaginary", "linux", "noreturn", "stderr", "stdin", "stdout", "unix",
	/* types that it uses */
	"int64_t", "uint32_t",
	/* arguments and variables of the functions */
	"answer", "call", "client", "context", "each", "keys", "options", "packer", "r", "result", "target", "value_", NULL};
static const char *const locals[] = {"key_count", "pool", "reader", "to", NULL};
static const char *const members[] = {"create",         "internal_begin",     "internal_end", "internal_keyword",
				      "internal_place", "internal_default",   "internal_add", "internal_pack",
				      "internal_call",  "internal_read_text", "internal_is",  NULL};
static const char *const globals[] = {"InternalCall", "CreateOptions", NULL};

static const char *const prefixes[] = {"pack_", "read_", NULL};

/* What a value is in C. */
enum form { FORM_BOOL, FORM_INT, FORM_DOUBLE, FORM_STR, FORM_BIN, FORM_RECORD, FORM_PACKED };

/* Of T | None where None is the same as leaving it out, T. */
static const struct type *type_of(const struct field *field)
{
	const struct type *inner = field->optional ? type_optional(&field->type) : NULL;

	return inner ? inner : &field->type;
}

static enum form form_of(const struct type *type)
{
	switch (type->kind) {
	case TYPE_BOOL:
		return FORM_BOOL;
	case TYPE_INT:
		return FORM_INT;
	case TYPE_FLOAT:
		return FORM_DOUBLE;
	case TYPE_STR:
		return FORM_STR;
	case TYPE_BYTES:
		return FORM_BIN;
	case TYPE_RECORD:
		return FORM_RECORD;
	case TYPE_ANY:
	case TYPE_NONE:
	case TYPE_TIMESTAMP:
	case TYPE_NDARRAY:
	case TYPE_LIST:
	case TYPE_DICT:
	case TYPE_TUPLE:
	case TYPE_REST:
	case TYPE_UNION:
	case TYPE_ITERATOR:
		break;
	}
	return FORM_PACKED;
}

/* Names of C are snake_case, those of types and functions behind the class's. */
struct names {
	const char *class;
	const struct model *model;
};

static const char *snake(const struct names *names, const char *ident)
{
	const char *made = model_identifier((struct model *)(uintptr_t)names->model,
					    (model_text){.ptr = ident, .size = (uint32_t)strlen(ident)}, NAME_SNAKE);
	return made ? made : "x";
}

static void put_record_name(FILE *out, const struct names *names, const struct record *record)
{
	fprintf(out, "%s_%s", names->class, snake(names, record->ident));
}

/* ---- comments ---- */

static void put_type_note(FILE *out, const struct type *type)
{
	const enum form form = form_of(type);

	if (form == FORM_PACKED)
		fputs("packed: ", out);
	code_type(out, type);
}

static void put_argument_note(FILE *out, const struct field *field)
{
	fprintf(out, " * %s: ", field->ident);
	put_type_note(out, type_of(field));
	fputc('\n', out);
}

static void put_method_doc(FILE *out, const struct method *method)
{
	fputs("\n/*\n", out);
	code_lines(out, method->doc, " * ");
	if (method->doc.size > 0)
		fputs(" *\n", out);
	for (uint32_t i = 0; i < method->count; i++)
		if (field_is_required(&method->fields[i]))
			put_argument_note(out, &method->fields[i]);
	if (!method->yields) {
		fputs(" * The answer: ", out);
		put_type_note(out, &method->returns);
	} else {
		fputs(" * Each value: ", out);
		put_type_note(out, &method->returns.parts[0]);
	}
	fputs("\n */\n", out);
}

/* ---- declarations ---- */

static void put_argument(FILE *out, const struct names *names, const struct field *field)
{
	switch (form_of(&field->type)) {
	case FORM_BOOL:
		fprintf(out, ", bool %s", field->ident);
		break;
	case FORM_INT:
		fprintf(out, ", int64_t %s", field->ident);
		break;
	case FORM_DOUBLE:
		fprintf(out, ", double %s", field->ident);
		break;
	case FORM_STR:
		fprintf(out, ", const char *%s", field->ident);
		break;
	case FORM_RECORD:
		fputs(", const struct ", out);
		put_record_name(out, names, field->type.record);
		fprintf(out, " *%s", field->ident);
		break;
	case FORM_BIN:
	case FORM_PACKED:
		fprintf(out, ", struct objpool_bytes %s", field->ident);
	}
}

static void put_member(FILE *out, const struct names *names, const struct field *field)
{
	const struct type *type = type_of(field);

	fputc('\t', out);
	if (field->kind == FIELD_REST || field->kind == FIELD_KEYWORDS) {
		fprintf(out, "struct objpool_bytes %s; /* packed: %s of ", field->ident,
			field->kind == FIELD_REST ? "an array" : "a map");
		code_type(out, &field->type);
		fputs(" */\n", out);
		return;
	}
	switch (form_of(type)) {
	case FORM_BOOL:
		fprintf(out, "const bool *%s;", field->ident);
		break;
	case FORM_INT:
		fprintf(out, "const int64_t *%s;", field->ident);
		break;
	case FORM_DOUBLE:
		fprintf(out, "const double *%s;", field->ident);
		break;
	case FORM_STR:
		fprintf(out, "const char *%s;", field->ident);
		break;
	case FORM_RECORD:
		fputs("const struct ", out);
		put_record_name(out, names, type->record);
		fprintf(out, " *%s;", field->ident);
		break;
	case FORM_BIN:
	case FORM_PACKED:
		fprintf(out, "struct objpool_bytes %s;", field->ident);
	}
	fputs(" /* ", out);
	put_type_note(out, &field->type);
	if (field->value) {
		fputs("; by default ", out);
		code_value(out, field->value);
	}
	fputs(" */\n", out);
}

/* A struct with what may be left out. */
static void put_options(FILE *out, const struct names *names, const struct method *method, const char *name)
{
	if (!method_has_options(method))
		return;
	fprintf(out,
		"\n/* What %s_%s need not be given. A member that is NULL, or has no data, is left out. */\nstruct %s_%s_options "
		"{\n",
		names->class, name, names->class, name);
	for (uint32_t i = 0; i < method->count; i++)
		if (!field_is_required(&method->fields[i]))
			put_member(out, names, &method->fields[i]);
	fputs("};\n", out);
}

static void put_arguments(FILE *out, const struct names *names, const struct method *method, const char *name)
{
	for (uint32_t i = 0; i < method->count; i++)
		if (field_is_required(&method->fields[i]))
			put_argument(out, names, &method->fields[i]);
	if (method_has_options(method))
		fprintf(out, ", const struct %s_%s_options *options", names->class, name);
}

static void put_answer(FILE *out, const struct names *names, const struct type *returns)
{
	switch (form_of(returns)) {
	case FORM_BOOL:
		fputs(", bool *answer", out);
		break;
	case FORM_INT:
		fputs(", int64_t *answer", out);
		break;
	case FORM_DOUBLE:
		fputs(", double *answer", out);
		break;
	case FORM_STR:
	case FORM_BIN:
		fputs(", struct objpool_bytes *answer", out);
		break;
	case FORM_RECORD:
		fputs(", struct ", out);
		put_record_name(out, names, returns->record);
		fputs(" *answer", out);
		break;
	case FORM_PACKED:
		break;
	}
}

/* ---- packing ---- */

/* Packs `value`, an expression, into the packer `to`. `text`: a str is struct objpool_bytes, not text with a NUL. */
static void put_pack(FILE *out, const struct names *names, const struct type *type, const char *to, const char *value,
		     const char *deref, bool text)
{
	switch (form_of(type)) {
	case FORM_BOOL:
		fprintf(out, "objpool_pack_bool(%s, %s%s);", to, deref, value);
		break;
	case FORM_INT:
		fprintf(out, "objpool_pack_int(%s, %s%s);", to, deref, value);
		break;
	case FORM_DOUBLE:
		fprintf(out, "objpool_pack_double(%s, %s%s);", to, deref, value);
		break;
	case FORM_STR:
		if (text)
			fprintf(out, "objpool_pack_str(%s, (const char *)%s.data, %s.size);", to, value, value);
		else
			fprintf(out, "objpool_pack_cstr(%s, %s);", to, value);
		break;
	case FORM_BIN:
		fprintf(out, "objpool_pack_bin(%s, %s.data, %s.size);", to, value, value);
		break;
	case FORM_RECORD:
		fprintf(out, "%s_pack_%s(%s, %s);", names->class, snake(names, type->record->ident), to, value);
		break;
	case FORM_PACKED:
		fprintf(out, "objpool_pack_raw(%s, %s);", to, value);
	}
}

static void put_required(FILE *out, const struct names *names, const struct field *field)
{
	if (field->kind == FIELD_KEYWORD) {
		fputs("\tobjpool_pack_cstr(&call.kwargs, ", out);
		code_string(out, field->name, true);
		fputs("), call.keywords++;\n", out);
	}
	fputc('\t', out);
	put_pack(out, names, &field->type, field->kind == FIELD_KEYWORD ? "&call.kwargs" : "&call.args", field->ident, "", false);
	fputs(field->kind == FIELD_KEYWORD ? "\n" : "\n\tcall.places++;\n", out);
}

/* "options && options->name", or of bytes ".data" of it. */
static void put_is_given(FILE *out, const struct field *field)
{
	const enum form form = field->kind == FIELD_REST || field->kind == FIELD_KEYWORDS ? FORM_PACKED : form_of(type_of(field));

	fprintf(out, "options && options->%s%s", field->ident, form == FORM_BIN || form == FORM_PACKED ? ".data" : "");
}

/* Says how many arguments that may be left out come by place: up to the last that is given and has to. */
static void put_count_places(FILE *out, const struct method *method)
{
	unsigned n = 0;

	for (uint32_t i = 0; i < method->count; i++) {
		const struct field *field = &method->fields[i];
		const bool by_place = field->optional && (field->kind == FIELD_POSITIONAL || field->kind == FIELD_EITHER);
		n += by_place;
		if (n == 0 || !((by_place && field->kind == FIELD_POSITIONAL) || field->kind == FIELD_REST))
			continue;
		fputs("\tif (", out);
		put_is_given(out, field);
		fprintf(out, ")\n\t\tcall.wanted = %u;\n", n);
	}
}

/* Writes the value, packed, as a string of C. Returns the bytes. */
static unsigned put_packed(FILE *out, const msgpack_object *value)
{
	msgpack_sbuffer packed;
	msgpack_packer packer;

	msgpack_sbuffer_init(&packed);
	msgpack_packer_init(&packer, &packed, msgpack_sbuffer_write);
	const unsigned size = msgpack_pack_object(&packer, *value) == 0 ? (unsigned)packed.size : 0;
	fputc('"', out);
	for (unsigned i = 0; i < size; i++)
		fprintf(out, "\\%03o", (unsigned char)packed.data[i]);
	fputc('"', out);
	msgpack_sbuffer_destroy(&packed);
	return size;
}

/* What comes in the place of an argument that is left out before another that comes by place: its default. */
static void put_otherwise(FILE *out, const struct names *names, const struct field *field, unsigned place)
{
	fprintf(out, " else if (call.wanted > %u) {\n\t\t", place);
	if (field->value) {
		fprintf(out, "%s_internal_default(&call, ", names->class);
		const unsigned size = put_packed(out, field->value);
		fprintf(out, ", %u);\n\t}", size);
	} else {
		fputs("r = -EINVAL;\n\t}", out);
	}
}

static void put_optional(FILE *out, const struct names *names, const struct field *field, unsigned place)
{
	char value[512];
	const bool by_place = field->kind == FIELD_POSITIONAL || field->kind == FIELD_EITHER;

	(void)snprintf(value, sizeof value, "options->%s", field->ident);
	fputs("\tif (", out);
	put_is_given(out, field);
	fputs(") {\n", out);
	if (by_place)
		fprintf(out, "\t\tstruct objpool_packer *to = %s_internal_place(&call, %u, ", names->class, place);
	else
		fprintf(out, "\t\tstruct objpool_packer *to = %s_internal_keyword(&call, ", names->class);
	code_string(out, field->name, true);
	fputs(");\n\t\t", out);
	put_pack(out, names, type_of(field), "to", value, "*", false);
	fputs("\n\t}", out);
	if (by_place)
		put_otherwise(out, names, field, place);
	fputc('\n', out);
}

static void put_more(FILE *out, const struct names *names, const struct field *field)
{
	fputs("\tif (r == 0 && ", out);
	put_is_given(out, field);
	fprintf(out, ")\n\t\tr = %s_internal_add(&call, options->%s, %s);\n", names->class, field->ident,
		field->kind == FIELD_REST ? "false" : "true");
}

static void put_packing(FILE *out, const struct names *names, const struct method *method)
{
	unsigned place = 0;

	for (uint32_t i = 0; i < method->count; i++)
		if (field_is_required(&method->fields[i]))
			put_required(out, names, &method->fields[i]);
	put_count_places(out, method);
	for (uint32_t i = 0; i < method->count; i++) {
		const struct field *field = &method->fields[i];
		if (field->optional) {
			put_optional(out, names, field, place);
			place += field->kind != FIELD_KEYWORD;
		}
	}
	for (uint32_t i = 0; i < method->count; i++)
		if (method->fields[i].kind == FIELD_REST || method->fields[i].kind == FIELD_KEYWORDS)
			put_more(out, names, &method->fields[i]);
}

/* ---- records ---- */

static void put_record(FILE *out, const struct names *names, const struct record *record)
{
	fprintf(out, "\n/* Record %s. Text is struct objpool_bytes, without a NUL at its end. */\nstruct ", record->ident);
	put_record_name(out, names, record);
	fputs(" {\n", out);
	for (uint32_t i = 0; i < record->count; i++) {
		const struct field *field = &record->fields[i];
		static const char *const types[] = {[FORM_BOOL] = "bool",
						    [FORM_INT] = "int64_t",
						    [FORM_DOUBLE] = "double",
						    [FORM_STR] = "struct objpool_bytes",
						    [FORM_BIN] = "struct objpool_bytes",
						    [FORM_RECORD] = "struct objpool_bytes",
						    [FORM_PACKED] = "struct objpool_bytes"};
		const enum form form = form_of(&field->type);
		if (field->optional)
			fprintf(out, "\tbool %s;\n", field->given);
		fprintf(out, "\t%s %s; /* %s", types[form], field->ident, form == FORM_RECORD ? "packed: " : "");
		put_type_note(out, &field->type);
		fputs(" */\n", out);
	}
	if (record->count == 0)
		fputs("\tchar none;\n", out);
	fputs("};\n", out);
}

/* A record in a record stays packed: it may be of the same type. */
static struct type field_type(const struct field *field)
{
	struct type type = field->type;

	if (type.kind == TYPE_RECORD)
		type.kind = TYPE_ANY;
	return type;
}

static void put_pack_record(FILE *out, const struct names *names, const struct record *record)
{
	const char *name = snake(names, record->ident);
	char value[512];

	fprintf(out, "\nstatic inline void %s_pack_%s(struct objpool_packer *packer, const struct %s_%s *record)\n{\n",
		names->class, name, names->class, name);
	fputs("\tuint32_t n = 0;\n\n", out);
	for (uint32_t i = 0; i < record->count; i++)
		if (record->fields[i].optional)
			fprintf(out, "\tn += record->%s;\n", record->fields[i].given);
		else
			fputs("\tn++;\n", out);
	fputs("\tobjpool_pack_map(packer, n);\n", out);
	if (record->count == 0)
		fputs("\t(void)record;\n", out);
	for (uint32_t i = 0; i < record->count; i++) {
		const struct field *field = &record->fields[i];
		const struct type type = field_type(field);
		(void)snprintf(value, sizeof value, "record->%s", field->ident);
		if (field->optional)
			fprintf(out, "\tif (record->%s) {\n\t", field->given);
		fputs("\tobjpool_pack_cstr(packer, ", out);
		code_string(out, field->name, true);
		fputs(field->optional ? ");\n\t\t" : ");\n\t", out);
		put_pack(out, names, &type, "packer", value, "", true);
		fputs(field->optional ? "\n\t}\n" : "\n", out);
	}
	fputs("}\n", out);
}

/* "objpool_read_…(reader, &record->x)" */
static void put_read(FILE *out, enum form form, const char *class, const char *ident)
{
	switch (form) {
	case FORM_BOOL:
		fprintf(out, "objpool_read_bool(reader, &record->%s)", ident);
		break;
	case FORM_INT:
		fprintf(out, "objpool_read_int(reader, &record->%s)", ident);
		break;
	case FORM_DOUBLE:
		fprintf(out, "objpool_read_double(reader, &record->%s)", ident);
		break;
	case FORM_STR:
		fprintf(out, "%s_internal_read_text(reader, &record->%s)", class, ident);
		break;
	case FORM_BIN:
		fprintf(out, "objpool_read_bin(reader, &record->%s.data, &record->%s.size)", ident, ident);
		break;
	case FORM_RECORD:
	case FORM_PACKED:
		fprintf(out, "objpool_read_value(reader, &record->%s)", ident);
	}
}

static void put_read_field(FILE *out, const struct names *names, const struct record *record, const char *name)
{
	fprintf(out,
		"\nstatic inline int %s_read_%s_field(struct objpool_reader *reader, struct objpool_bytes key, struct %s_%s "
		"*record)\n{\n",
		names->class, name, names->class, name);
	if (record->count == 0)
		fputs("\t(void)key, (void)record;\n", out);
	for (uint32_t i = 0; i < record->count; i++) {
		const struct field *field = &record->fields[i];
		fprintf(out, "\tif (%s_internal_is(key, ", names->class);
		code_string(out, field->name, true);
		fputs(")) {\n", out);
		if (field->optional)
			fprintf(out, "\t\trecord->%s = true;\n", field->given);
		fputs("\t\treturn ", out);
		put_read(out, form_of(&field->type), names->class, field->ident);
		fputs(";\n\t}\n", out);
	}
	fputs("\treturn objpool_read_value(reader, NULL);\n}\n", out);
}

static void put_read_record(FILE *out, const struct names *names, const struct record *record)
{
	const char *name = snake(names, record->ident);

	put_read_field(out, names, record, name);
	fprintf(out, "\nstatic inline int %s_read_%s(struct objpool_bytes value, struct %s_%s *record)\n{\n", names->class, name,
		names->class, name);
	fputs("\tstruct objpool_reader reader = objpool_reader(value);\n\tstruct objpool_bytes key;\n\tuint32_t n;\n\n", out);
	fputs("\tmemset(record, 0, sizeof *record);\n\tif (objpool_read_map(&reader, &n) < 0)\n\t\treturn -EBADMSG;\n", out);
	fprintf(out,
		"\tfor (; n > 0; n--)\n\t\tif (%s_internal_read_text(&reader, &key) < 0 || %s_read_%s_field(&reader, key, "
		"record) < 0)\n"
		"\t\t\treturn -EBADMSG;\n\treturn 0;\n}\n",
		names->class, names->class, name);
}

/* ---- functions ---- */

static void put_read_answer(FILE *out, const struct names *names, const struct type *returns)
{
	static const char *const functions[] = {[FORM_BOOL] = "bool", [FORM_INT] = "int", [FORM_DOUBLE] = "double"};
	const enum form form = form_of(returns);

	if (form == FORM_PACKED)
		return;
	fputs("\tif (r == 0) {\n", out);
	if (form != FORM_RECORD)
		fputs("\t\tstruct objpool_reader reader = objpool_reader(result->value);\n", out);
	fputs("\t\tr = ", out);
	if (form == FORM_RECORD)
		fprintf(out, "%s_read_%s(result->value, answer)", names->class, snake(names, returns->record->ident));
	else if (form == FORM_STR)
		fprintf(out, "%s_internal_read_text(&reader, answer)", names->class);
	else if (form == FORM_BIN)
		fputs("objpool_read_bin(&reader, &answer->data, &answer->size)", out);
	else
		fprintf(out, "objpool_read_%s(&reader, answer)", functions[form]);
	fputs(" < 0 ? -EBADMSG : 0;\n\t}\n", out);
}

static void put_method(FILE *out, const struct names *names, const struct method *method)
{
	put_options(out, names, method, method->ident);
	put_method_doc(out, method);
	fprintf(out, "static inline int %s_%s(struct objpool_client *client, const char *target", names->class, method->ident);
	put_arguments(out, names, method, method->ident);
	if (method->yields)
		fputs(", objpool_each *each, void *context", out);
	else
		put_answer(out, names, &method->returns);
	fputs(", struct objpool_result *result)\n{\n", out);
	fprintf(out, "\tstruct %s_internal_call call = %s_internal_begin(result);\n\tint r = 0;\n\n", names->class, names->class);
	put_packing(out, names, method);
	fputs("\tif (r == 0)\n\t\tr = ", out);
	fprintf(out, "%s_internal_call(client, target, ", names->class);
	code_string(out, method->name, true);
	fputs(method->yields ? ", &call, each, context, result);\n" : ", &call, NULL, NULL, result);\n", out);
	if (!method->yields)
		put_read_answer(out, names, &method->returns);
	fprintf(out, "\t%s_internal_end(&call);\n\treturn r;\n}\n", names->class);
}

static void put_create(FILE *out, const struct names *names, const struct model *model)
{
	put_options(out, names, &model->constructor, "create");
	fputs("\n/* Makes a pool of this class. `keys`: packed keys and values of its section, `key_count` pairs, as workers; or "
	      "none. */\n",
	      out);
	fprintf(out,
		"static inline int %s_create(struct objpool_client *client, const char *pool, struct objpool_bytes keys, "
		"uint32_t key_count",
		names->class);
	put_arguments(out, names, &model->constructor, "create");
	fputs(", struct objpool_result *result)\n{\n", out);
	fprintf(out,
		"\tstruct %s_internal_call call = %s_internal_begin(result);\n\tstruct objpool_packer packer = "
		"OBJPOOL_PACKER_INIT;\n\tint r = 0;\n\n",
		names->class, names->class);
	put_packing(out, names, &model->constructor);
	fputs("\tobjpool_pack_array(&packer, 1);\n\tobjpool_pack_map(&packer, 5 + key_count);\n", out);
	fputs("\tobjpool_pack_cstr(&packer, \"pool\"), objpool_pack_cstr(&packer, pool);\n\tobjpool_pack_cstr(&packer, "
	      "\"plugin\"), "
	      "objpool_pack_cstr(&packer, ",
	      out);
	code_string(out, model->plugin, true);
	fputs(");\n\tobjpool_pack_cstr(&packer, \"class\"), objpool_pack_cstr(&packer, ", out);
	code_string(out, model->class, true);
	fprintf(out,
		");\n\tobjpool_pack_cstr(&packer, \"args\"), %s_internal_pack(&call, false, &packer);\n"
		"\tobjpool_pack_cstr(&packer, \"kwargs\"), %s_internal_pack(&call, true, &packer);\n\tobjpool_pack_raw(&packer, "
		"keys);\n"
		"\tif (r == 0)\n\t\tr = objpool_call(client, \"objpool.create\", objpool_packed(&packer), NULL, result);\n"
		"\tobjpool_packer_free(&packer);\n\t%s_internal_end(&call);\n\treturn r;\n}\n",
		names->class, names->class, names->class);
}

/* ---- the file ---- */

/* What all functions use; @ stands for the name of the class. */
static const char common[] =
	"\n/* The arguments of a call while they are packed. `wanted`: so many of those that may be left out come by place. */\n"
	"struct @_internal_call {\n\tstruct objpool_packer args, kwargs;\n\tuint32_t places, keywords, wanted;\n};\n"
	"\nstatic inline struct @_internal_call @_internal_begin(struct objpool_result *result)\n{\n"
	"\tstruct @_internal_call call = {OBJPOOL_PACKER_INIT, OBJPOOL_PACKER_INIT, 0, 0, 0};\n\n"
	"\tmemset(result, 0, sizeof *result);\n\treturn call;\n}\n"
	"\nstatic inline void @_internal_end(struct @_internal_call *call)\n{\n"
	"\tobjpool_packer_free(&call->args);\n\tobjpool_packer_free(&call->kwargs);\n}\n"
	"\nstatic inline struct objpool_packer *@_internal_keyword(struct @_internal_call *call, const char *name)\n{\n"
	"\tobjpool_pack_cstr(&call->kwargs, name);\n\tcall->keywords++;\n\treturn &call->kwargs;\n}\n"
	"\nstatic inline struct objpool_packer *@_internal_place(struct @_internal_call *call, uint32_t place, const char "
	"*name)\n{\n"
	"\tif (place >= call->wanted)\n\t\treturn @_internal_keyword(call, name);\n\tcall->places++;\n\treturn &call->args;\n}\n"
	"\nstatic inline void @_internal_default(struct @_internal_call *call, const char *packed, size_t size)\n{\n"
	"\tstruct objpool_bytes value = {packed, size};\n\n\tobjpool_pack_raw(&call->args, value);\n\tcall->places++;\n}\n"
	"\nstatic inline int @_internal_add(struct @_internal_call *call, struct objpool_bytes packed, bool keywords)\n{\n"
	"\tstruct objpool_reader reader = objpool_reader(packed);\n\tstruct objpool_bytes rest;\n\tuint32_t n;\n\n"
	"\tif ((keywords ? objpool_read_map(&reader, &n) : objpool_read_array(&reader, &n)) < 0)\n\t\treturn -EINVAL;\n"
	"\trest.data = reader.next;\n\trest.size = (size_t)(reader.end - reader.next);\n"
	"\tobjpool_pack_raw(keywords ? &call->kwargs : &call->args, rest);\n"
	"\t*(keywords ? &call->keywords : &call->places) += n;\n\treturn 0;\n}\n"
	"\nstatic inline void @_internal_pack(const struct @_internal_call *call, bool keywords, struct objpool_packer "
	"*packer)\n{\n"
	"\tif (keywords)\n\t\tobjpool_pack_map(packer, call->keywords);\n\telse\n\t\tobjpool_pack_array(packer, call->places);\n"
	"\tif ((keywords ? call->keywords : call->places) > 0)\n"
	"\t\tobjpool_pack_raw(packer, objpool_packed(keywords ? &call->kwargs : &call->args));\n}\n"
	"\nstatic inline int @_internal_call(struct objpool_client *client, const char *target, const char *method, const struct "
	"@_internal_call *call,\n"
	"\t\t\t objpool_each *each, void *context, struct objpool_result *result)\n{\n"
	"\tstruct objpool_call_options options = OBJPOOL_CALL_OPTIONS_INIT;\n"
	"\tstruct objpool_packer args = OBJPOOL_PACKER_INIT, kwargs = OBJPOOL_PACKER_INIT;\n\tint r;\n\n"
	"\t@_internal_pack(call, false, &args);\n\toptions.target = target;\n"
	"\tif (call->keywords > 0) {\n\t\t@_internal_pack(call, true, &kwargs);\n\t\toptions.kwargs = "
	"objpool_packed(&kwargs);\n\t}\n"
	"\tif (each)\n\t\tr = objpool_call_each(client, method, objpool_packed(&args), &options, each, context, result);\n"
	"\telse\n\t\tr = objpool_call(client, method, objpool_packed(&args), &options, result);\n"
	"\tobjpool_packer_free(&args);\n\tobjpool_packer_free(&kwargs);\n\treturn r;\n}\n"
	"\nstatic inline int @_internal_read_text(struct objpool_reader *reader, struct objpool_bytes *text)\n{\n"
	"\tconst char *begin;\n\n\tif (objpool_read_str(reader, &begin, &text->size) < 0)\n\t\treturn -1;\n"
	"\ttext->data = begin;\n\treturn 0;\n}\n"
	"\nstatic inline bool @_internal_is(struct objpool_bytes text, const char *other)\n{\n"
	"\treturn text.size == strlen(other) && memcmp(text.data, other, text.size) == 0;\n}\n";

static void put_common(FILE *out, const struct names *names)
{
	for (const char *p = common; *p; p++) {
		if (*p == '@')
			fputs(names->class, out);
		else
			fputc(*p, out);
	}
}

static void put_head(FILE *out, const struct names *names, const struct model *model)
{
	fputs("/*\n * A typed client of the pool ", out);
	code_text(out, model->pool);
	fputc('\n', out);
	fputs(" *\n * Made by objpool describe --generate c. Don't edit it.\n *\n", out);
	code_lines(out, model->doc, " * ");
	fputs(" *\n * `target`: the pool, or a slot or a key of it: \"sim\", \"sim:2\", \"sim:key=abc\". A packed value is one "
	      "value of\n"
	      " * msgpack. The functions return what objpool_call returns, or objpool_call_each where they have `each`; "
	      "-EBADMSG: the\n"
	      " * answer is of another type; -EINVAL: what should be packed is not, or an argument is left out before others "
	      "that\n * come by place, though its default is not known. The caller frees `result` in any case, after "
	      "the last\n"
	      " * use of an answer that has texts or packed values.\n */\n",
	      out);
	fprintf(out, "#ifndef OBJPOOL_GENERATED_%s_H\n#define OBJPOOL_GENERATED_%s_H\n\n", names->class, names->class);
	fputs("#include <objpool/client.h>\n\n#include <errno.h>\n#include <string.h>\n", out);
	fputs("\n#ifdef __cplusplus\nextern \"C\" {\n#pragma GCC diagnostic push\n", out);
	fputs("#pragma GCC diagnostic ignored \"-Wshadow\" /* a structure and a function may have one name */\n#endif\n", out);
}

static void write_c(const struct model *model, FILE *out)
{
	struct names names = {.model = model};

	names.class = snake(&names, model->ident);
	put_head(out, &names, model);
	put_common(out, &names);
	for (uint32_t i = 0; i < model->record_count; i++)
		put_record(out, &names, &model->records[i]);
	for (uint32_t i = 0; i < model->record_count; i++) {
		put_pack_record(out, &names, &model->records[i]);
		put_read_record(out, &names, &model->records[i]);
	}
	put_create(out, &names, model);
	for (uint32_t i = 0; i < model->method_count; i++)
		put_method(out, &names, &model->methods[i]);
	fputs("\n#ifdef __cplusplus\n#pragma GCC diagnostic pop\n}\n#endif\n#endif\n", out);
}

const struct generator generate_c = {
	.language = "c",
	.naming = {NAME_SNAKE, NAME_SNAKE, NAME_SNAKE, reserved, members, globals, prefixes, .locals = locals, .given = "has_"},
	.write = write_c,
};
