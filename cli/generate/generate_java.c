/* SPDX-License-Identifier: Apache-2.0 */
/* A typed client in Java: a class with the methods, and in it one for each record and for what a method's caller may leave out.
 * There is no library for Java: the file has an interface for what carries the calls. */
#include "cli/generate/generate.h"

#include <string.h>

static const char *const reserved[] = {
	"abstract", "assert",    "boolean",   "break",  "byte",     "case",  "catch",      "char",         "class",
	"const",    "continue",  "default",   "do",     "double",   "else",  "enum",       "extends",      "false",
	"final",    "finally",   "float",     "for",    "goto",     "if",    "implements", "import",       "instanceof",
	"int",      "interface", "long",      "native", "new",      "null",  "package",    "private",      "protected",
	"public",   "return",    "short",     "static", "strictfp", "super", "switch",     "synchronized", "this",
	"throw",    "throws",    "transient", "true",   "try",      "void",  "volatile",   "while",        "_",
	"call",     "options",   "transport", "pool",   "settings", "keys",  "fields",     "value",        "made",
	"answer",   NULL};
static const char *const members[] = {"create",   "transport", "getClass", "notify", "notifyAll", "wait",
				      "toString", "hashCode",  "equals",   "clone",  "finalize",  "list",
				      "map",      "optional",  "each",     NULL};
static const char *const globals[] = {"Transport",
				      "Ext",
				      "Call",
				      "WaitingArgument",
				      "Object",
				      "String",
				      "Long",
				      "Double",
				      "Boolean",
				      "List",
				      "Map",
				      "Iterator",
				      "ArrayList",
				      "LinkedHashMap",
				      "Function",
				      "Override",
				      "Number",
				      "Math",
				      "Iterable",
				      "Plain",
				      "IllegalArgumentException",
				      NULL};

static const struct literals literals = {
	.nil = "(Object) null",
	.yes = "true",
	.no = "false",
	.least = INT64_MIN,
	.most = INT64_MAX,
	.integer = {"", "L"},
	.big = {NULL, NULL},
	.real = {"", ""},
	.text = {"", ""},
	.bytes = {"new byte[] {", "}"},
	.byte = "(byte) ",
	.array = {"Call.values(", ")"},
	.map = {"Call.pairs(", ")"},
	.pair = {"", ", ", ""},
	.octal = true,
};

/* ---- types ---- */

static void put_type(FILE *out, const struct type *type, bool boxed);

static void put_generic(FILE *out, const char *name, const struct type *type)
{
	fprintf(out, "%s<", name);
	for (uint32_t i = 0; i < type->count; i++) {
		fputs(i > 0 ? ", " : "", out);
		put_type(out, &type->parts[i], true);
	}
	fputc('>', out);
}

/* `boxed`: an object, as a List holds it, and which may be null. */
static void put_type(FILE *out, const struct type *type, bool boxed)
{
	switch (type->kind) {
	case TYPE_BOOL:
		fputs(boxed ? "Boolean" : "boolean", out);
		break;
	case TYPE_INT:
		fputs(boxed ? "Long" : "long", out);
		break;
	case TYPE_FLOAT:
		fputs(boxed ? "Double" : "double", out);
		break;
	case TYPE_STR:
		fputs("String", out);
		break;
	case TYPE_BYTES:
		fputs("byte[]", out);
		break;
	case TYPE_TIMESTAMP:
	case TYPE_NDARRAY:
		fputs("Ext", out);
		break;
	case TYPE_LIST:
	case TYPE_REST:
	case TYPE_ITERATOR:
		put_generic(out, "List", type);
		break;
	case TYPE_DICT:
		put_generic(out, "Map", type);
		break;
	case TYPE_TUPLE:
		fputs("List<Object>", out);
		break;
	case TYPE_UNION:
		if (type_optional(type))
			put_type(out, type_optional(type), true);
		else
			fputs("Object", out);
		break;
	case TYPE_RECORD:
		fputs(type->record->ident, out);
		break;
	case TYPE_ANY:
	case TYPE_NONE:
		fputs("Object", out);
	}
}

static void put_field_type(FILE *out, const struct field *field, bool boxed)
{
	if (field->kind == FIELD_REST)
		fputs("List<", out);
	else if (field->kind == FIELD_KEYWORDS)
		fputs("Map<String, ", out);
	put_type(out, &field->type, boxed || field->optional || field->kind == FIELD_REST || field->kind == FIELD_KEYWORDS);
	if (field->kind == FIELD_REST || field->kind == FIELD_KEYWORDS)
		fputc('>', out);
}

/* ---- values ---- */

static bool has_record(const struct type *type)
{
	bool has = type->kind == TYPE_RECORD;

	if (type->kind == TYPE_TUPLE || (type->kind == TYPE_UNION && !type_optional(type)))
		return false; /* Objects, which Call.plain takes apart */
	for (uint32_t i = 0; !has && i < type->count; i++)
		has = has_record(&type->parts[i]);
	return has;
}

/* An expression that makes plain values, which a transport knows, of `value`. */
static void put_pack(FILE *out, const struct type *type, const char *value)
{
	const bool whole = type->kind == TYPE_ANY || type->kind == TYPE_TUPLE || type->kind == TYPE_UNION || has_record(type);

	fprintf(out, whole ? "plain(%s)" : "%s", value);
}

static void put_unpack(FILE *out, const struct type *type, const char *value, int depth);

/* "list(value, e1 -> …)" */
static void put_each(FILE *out, const char *function, const struct type *type, const char *value, int depth)
{
	char name[16];

	fprintf(out, "%s(%s", function, value);
	for (uint32_t i = 0; i < type->count; i++) {
		(void)snprintf(name, sizeof name, "e%d", depth);
		fprintf(out, ", %s -> ", name);
		put_unpack(out, &type->parts[i], name, depth + 1);
	}
	fputc(')', out);
}

static void put_unpack_optional(FILE *out, const struct type *type, const char *value, int depth)
{
	char name[16];

	(void)snprintf(name, sizeof name, "e%d", depth);
	fprintf(out, "optional(%s, %s -> ", value, name);
	put_unpack(out, type, name, depth + 1);
	fputc(')', out);
}

/* An expression of the type, of the Object `value`. */
static void put_unpack(FILE *out, const struct type *type, const char *value, int depth)
{
	switch (type->kind) {
	case TYPE_BOOL:
		fprintf(out, "(Boolean) %s", value);
		break;
	case TYPE_INT:
		fprintf(out, "((Number) %s).longValue()", value);
		break;
	case TYPE_FLOAT:
		fprintf(out, "((Number) %s).doubleValue()", value);
		break;
	case TYPE_STR:
		fprintf(out, "(String) %s", value);
		break;
	case TYPE_BYTES:
		fprintf(out, "(byte[]) %s", value);
		break;
	case TYPE_TIMESTAMP:
	case TYPE_NDARRAY:
		fprintf(out, "(Ext) %s", value);
		break;
	case TYPE_LIST:
	case TYPE_REST:
	case TYPE_ITERATOR:
		put_each(out, "list", type, value, depth);
		break;
	case TYPE_DICT:
		put_each(out, "map", type, value, depth);
		break;
	case TYPE_TUPLE:
		fprintf(out, "list(%s, e%d -> e%d)", value, depth, depth);
		break;
	case TYPE_UNION:
		if (type_optional(type))
			put_unpack_optional(out, type_optional(type), value, depth);
		else
			fputs(value, out);
		break;
	case TYPE_RECORD:
		fprintf(out, "%s.from(%s)", type->record->ident, value);
		break;
	case TYPE_ANY:
	case TYPE_NONE:
		fputs(value, out);
	}
}

/* ---- classes ---- */

static void put_doc(FILE *out, model_text doc, const char *indent)
{
	char prefix[16];

	if (doc.size == 0)
		return;
	(void)snprintf(prefix, sizeof prefix, "%s * ", indent);
	fprintf(out, "%s/**\n", indent);
	code_lines(out, doc, prefix);
	fprintf(out, "%s */\n", indent);
}

static void put_member(FILE *out, const struct field *field)
{
	fputs("        /** ", out);
	code_type(out, &field->type);
	if (field->value) {
		fputs("; by default ", out);
		code_value(out, field->value);
	}
	fputs(field->optional ? "; null: left out */\n" : " */\n", out);
	fputs("        public ", out);
	put_field_type(out, field, false);
	fprintf(out, " %s;\n", field->ident);
}

/* "made.x = …", of the map `fields`. */
static void put_from_field(FILE *out, const struct field *field)
{
	const bool optional = field->optional && !type_optional(&field->type);

	fputs("            value = fields.get(", out);
	code_string(out, field->name, true);
	fprintf(out, ");\n            made.%s = ", field->ident);
	if (optional)
		put_unpack_optional(out, &field->type, "value", 0);
	else
		put_unpack(out, &field->type, "value", 0);
	fputs(";\n", out);
}

static void put_from(FILE *out, const struct record *record)
{
	fprintf(out,
		"\n        static %s from(Object value) {\n            Map<?, ?> fields = (Map<?, ?>) value;\n            %s "
		"made = new %s();\n",
		record->ident, record->ident, record->ident);
	for (uint32_t i = 0; i < record->count; i++)
		put_from_field(out, &record->fields[i]);
	fputs("            return made;\n        }\n\n", out);
}

static void put_record(FILE *out, const struct record *record)
{
	fprintf(out, "\n    /** A record. */\n    public static final class %s implements Plain {\n", record->ident);
	for (uint32_t i = 0; i < record->count; i++)
		put_member(out, &record->fields[i]);
	fputs("\n        @Override\n        public Object toPlain() {\n            Map<String, Object> fields = new "
	      "LinkedHashMap<>();\n",
	      out);
	for (uint32_t i = 0; i < record->count; i++) {
		const struct field *field = &record->fields[i];
		if (field->optional)
			fprintf(out, "            if (%s != null)\n    ", field->ident);
		fputs("            fields.put(", out);
		code_string(out, field->name, true);
		fputs(", ", out);
		put_pack(out, &field->type, field->ident);
		fputs(");\n", out);
	}
	fputs("            return fields;\n        }\n", out);
	put_from(out, record);
	fputs("    }\n", out);
}

static void put_options(FILE *out, const struct method *method, const char *name)
{
	if (!method_has_options(method))
		return;
	fprintf(out,
		"\n    /** The arguments of %s that may be left out: those that are null are. */\n    public static final class "
		"%s {\n",
		name, method->options);
	for (uint32_t i = 0; i < method->count; i++)
		if (!field_is_required(&method->fields[i]))
			put_member(out, &method->fields[i]);
	fputs("    }\n", out);
}

/* ---- methods ---- */

static void put_arguments(FILE *out, const struct method *method, const char *between)
{
	for (uint32_t i = 0; i < method->count; i++)
		if (field_is_required(&method->fields[i])) {
			fputs(between, out);
			put_field_type(out, &method->fields[i], false);
			fprintf(out, " %s", method->fields[i].ident);
			between = ", ";
		}
	if (method_has_options(method))
		fprintf(out, "%s%s options", between, method->options);
}

/* Has it to come by place, and what comes in its place where it is left out before another that does. */
static void put_place(FILE *out, const struct field *field)
{
	fputs(field->kind == FIELD_POSITIONAL ? ", true, " : ", false, ", out);
	if (field->value && code_has_literal(&literals, field->value))
		code_literal(out, &literals, field->value);
	else
		fputs("Call.UNKNOWN", out);
}

/* One call of Call.place, keyword or optional. */
static void put_packed(FILE *out, const struct field *field)
{
	char value[512];

	(void)snprintf(value, sizeof value, "%s%s", field->optional ? "options." : "", field->ident);
	fputs(field->kind == FIELD_KEYWORD ? "call.keyword(" : field->optional ? "call.optional(" : "call.place(", out);
	if (field->optional || field->kind == FIELD_KEYWORD) {
		code_string(out, field->name, true);
		fputs(", ", out);
	}
	put_pack(out, &field->type, value);
	if (field->optional && field->kind != FIELD_KEYWORD)
		put_place(out, field);
	fputs(");\n", out);
}

static void put_packing(FILE *out, const struct method *method)
{
	const struct field *rest = method_field(method, FIELD_REST), *more = method_field(method, FIELD_KEYWORDS);

	fputs("        Call call = new Call();\n", out);
	for (uint32_t i = 0; i < method->count; i++)
		if (field_is_required(&method->fields[i])) {
			fputs(method->fields[i].kind == FIELD_KEYWORD ? "        call.required(" : "        call.place(", out);
			if (method->fields[i].kind == FIELD_KEYWORD) {
				code_string(out, method->fields[i].name, true);
				fputs(", ", out);
			}
			put_pack(out, &method->fields[i].type, method->fields[i].ident);
			fputs(");\n", out);
		}
	if (!method_has_options(method))
		return;
	fputs("        if (options != null) {\n", out);
	for (uint32_t i = 0; i < method->count; i++)
		if (method->fields[i].optional) {
			fputs("            ", out);
			put_packed(out, &method->fields[i]);
		}
	fprintf(out, "            call.rest(%s%s);\n", rest ? "options." : "null", rest ? rest->ident : "");
	if (more)
		fprintf(out, "            call.more(options.%s);\n", more->ident);
	fputs("        }\n", out);
}

static void put_method(FILE *out, const struct method *method)
{
	const bool silent = method->returns.kind == TYPE_NONE;

	fputc('\n', out);
	put_doc(out, method->doc, "    ");
	fputs(method->yields ? "    public Iterator<" : "    public ", out);
	if (silent)
		fputs("void", out);
	else
		put_type(out, method->yields ? &method->returns.parts[0] : &method->returns, method->yields);
	fprintf(out, "%s %s(", method->yields ? ">" : "", method->ident);
	put_arguments(out, method, "");
	fputs(") {\n", out);
	put_packing(out, method);
	fputs(method->yields ? "        return each(transport.stream("
	      : silent       ? "        transport.call("
			     : "        Object answer = transport.call(",
	      out);
	code_string(out, method->name, true);
	fputs(method->yields ? ", call.args, call.kwargs), e0 -> " : ", call.args, call.kwargs);\n", out);
	if (method->yields) {
		put_unpack(out, &method->returns.parts[0], "e0", 1);
		fputs(");\n", out);
	} else if (!silent) {
		fputs("        return ", out);
		put_unpack(out, &method->returns, "answer", 0);
		fputs(";\n", out);
	}
	fputs("    }\n", out);
}

static void put_create(FILE *out, const struct model *model)
{
	fputs("\n    /** Makes a pool of the class. settings: other keys of its section, such as workers; or null. */\n"
	      "    public static void create(Transport transport, String pool, Map<String, Object> settings",
	      out);
	put_arguments(out, &model->constructor, ", ");
	fputs(") {\n", out);
	put_packing(out, &model->constructor);
	fputs("        Map<String, Object> keys = new LinkedHashMap<>();\n        keys.put(\"pool\", pool);\n        "
	      "keys.put(\"plugin\", ",
	      out);
	code_string(out, model->plugin, true);
	fputs(");\n        keys.put(\"class\", ", out);
	code_string(out, model->class, true);
	fputs(");\n        keys.put(\"args\", call.args);\n        keys.put(\"kwargs\", call.kwargs);\n"
	      "        if (settings != null)\n            keys.putAll(settings);\n        transport.create(keys);\n    }\n",
	      out);
}

/* ---- the file ---- */

static const char common[] =
	"\n    /**\n     * What carries calls to a pool, or a slot or a key of it. Values are null, Boolean, Long, Double, "
	"String, byte[], List, Map\n"
	"     * and Ext.\n     */\n    public interface Transport {\n"
	"        Object call(String method, List<Object> args, Map<String, Object> kwargs);\n\n"
	"        /** With the option stream. */\n        Iterator<?> stream(String method, List<Object> args, Map<String, "
	"Object> kwargs);\n\n"
	"        /** objpool.create, with these keys of the pool's section. */\n        void create(Map<String, Object> keys);\n "
	"   }\n"
	"\n    /** A value of an extension type: a timestamp (-1), an array of numpy (81). */\n    public static final class Ext "
	"{\n"
	"        public final int type;\n        public final byte[] data;\n\n        public Ext(int type, byte[] data) {\n"
	"            this.type = type;\n            this.data = data;\n        }\n    }\n"
	"\n    private interface Plain {\n        Object toPlain();\n    }\n"
	"\n    private static Object plain(Object value) {\n        if (value instanceof Plain)\n            return ((Plain) "
	"value).toPlain();\n"
	"        if (value instanceof List) {\n            List<Object> values = new ArrayList<>();\n            for (Object one "
	": (List<?>) value)\n"
	"                values.add(plain(one));\n            return values;\n        }\n        if (value instanceof Map) {\n"
	"            Map<Object, Object> pairs = new LinkedHashMap<>();\n            for (Map.Entry<?, ?> one : ((Map<?, ?>) "
	"value).entrySet())\n"
	"                pairs.put(plain(one.getKey()), plain(one.getValue()));\n            return pairs;\n        }\n        "
	"return value;\n    }\n"
	"\n    private static <T> List<T> list(Object value, Function<Object, T> of) {\n        List<T> values = new "
	"ArrayList<>();\n"
	"        for (Object one : (List<?>) value)\n            values.add(of.apply(one));\n        return values;\n    }\n"
	"\n    private static <K, V> Map<K, V> map(Object value, Function<Object, K> key, Function<Object, V> of) {\n"
	"        Map<K, V> pairs = new LinkedHashMap<>();\n        for (Map.Entry<?, ?> one : ((Map<?, ?>) value).entrySet())\n"
	"            pairs.put(key.apply(one.getKey()), of.apply(one.getValue()));\n        return pairs;\n    }\n"
	"\n    private static <T> T optional(Object value, Function<Object, T> of) {\n        return value == null ? null : "
	"of.apply(value);\n    }\n"
	"\n    private static <T> Iterator<T> each(Iterator<?> values, Function<Object, T> of) {\n        return new "
	"Iterator<T>() {\n"
	"            @Override\n            public boolean hasNext() {\n                return values.hasNext();\n            "
	"}\n\n"
	"            @Override\n            public T next() {\n                return of.apply(values.next());\n            }\n  "
	"      };\n    }\n"
	"\n    /** The arguments of a call. Those that may be left out wait until it is known whether they come by place. */\n"
	"    private static final class Call {\n"
	"        /** Instead of a default that is not known. */\n        static final Object UNKNOWN = new Object();\n"
	"        final List<Object> args = new ArrayList<>();\n"
	"        final Map<String, Object> kwargs = new LinkedHashMap<>();\n        private final List<WaitingArgument> waiting "
	"= new ArrayList<>();\n\n"
	"        void place(Object value) {\n            args.add(value);\n        }\n\n"
	"        void required(String name, Object value) {\n            kwargs.put(name, value);\n        }\n\n"
	"        void keyword(String name, Object value) {\n            if (value != null)\n                kwargs.put(name, "
	"value);\n        }\n\n"
	"        void optional(String name, Object value, boolean placed, Object otherwise) {\n"
	"            waiting.add(new WaitingArgument(name, value, placed, otherwise));\n        }\n\n"
	"        static List<Object> values(Object... values) {\n            List<Object> made = new ArrayList<>();\n"
	"            for (Object value : values)\n                made.add(value);\n            return made;\n        }\n\n"
	"        static Map<String, Object> pairs(Object... pairs) {\n            Map<String, Object> made = new "
	"LinkedHashMap<>();\n"
	"            for (int i = 0; i < pairs.length; i += 2)\n                made.put((String) pairs[i], pairs[i + 1]);\n"
	"            return made;\n        }\n\n"
	"        void more(Map<String, ?> values) {\n            if (values != null)\n"
	"                values.forEach((name, value) -> kwargs.put(name, plain(value)));\n        }\n\n"
	"        /** Those that wait come by place up to the last that has to, and the others by keyword. */\n"
	"        void rest(List<?> values) {\n            int places = values == null || values.isEmpty() ? 0 : waiting.size();\n"
	"            for (int i = 0; i < waiting.size(); i++)\n                if (waiting.get(i).placed && waiting.get(i).value "
	"!= null)\n"
	"                    places = Math.max(places, i + 1);\n            for (int i = 0; i < waiting.size(); i++)\n"
	"                if (i < places)\n                    args.add(waiting.get(i).inPlace());\n                else\n"
	"                    keyword(waiting.get(i).name, waiting.get(i).value);\n            if (values != null)\n"
	"                for (Object value : values)\n                    args.add(plain(value));\n        }\n    }\n"
	"\n    private static final class WaitingArgument {\n        final String name;\n        final Object value;\n        "
	"final boolean placed;\n        final Object otherwise;\n\n"
	"        WaitingArgument(String name, Object value, boolean placed, Object otherwise) {\n            this.name = name;\n"
	"            this.value = value;\n            this.placed = placed;\n            this.otherwise = otherwise;\n        "
	"}\n\n"
	"        Object inPlace() {\n            if (value != null)\n                return value;\n"
	"            if (otherwise == Call.UNKNOWN)\n"
	"                throw new IllegalArgumentException(\n"
	"                    name + \" has to be given with the arguments behind it: its default is not known\");\n"
	"            return otherwise;\n        }\n    }\n";

static void write_java(const struct model *model, FILE *out)
{
	fputs("// A typed client of the pool ", out);
	code_text(out, model->pool);
	fputc('\n', out);
	fprintf(out, "// Made by objpool describe --generate java. Don't edit it. The file is %s.java.\n", model->ident);
	fputs("import java.util.ArrayList;\nimport java.util.Iterator;\nimport java.util.LinkedHashMap;\nimport java.util.List;\n"
	      "import java.util.Map;\nimport java.util.function.Function;\n\n",
	      out);
	put_doc(out, model->doc, "");
	fprintf(out, "public final class %s {\n    private final Transport transport;\n\n    public %s(Transport transport) {\n",
		model->ident, model->ident);
	fputs("        this.transport = transport;\n    }\n", out);
	put_create(out, model);
	for (uint32_t i = 0; i < model->method_count; i++)
		put_method(out, &model->methods[i]);
	for (uint32_t i = 0; i < model->record_count; i++)
		put_record(out, &model->records[i]);
	put_options(out, &model->constructor, "create");
	for (uint32_t i = 0; i < model->method_count; i++)
		put_options(out, &model->methods[i], model->methods[i].ident);
	fputs(common, out);
	fputs("}\n", out);
}

const struct generator generate_java = {
	.language = "java",
	.naming = {NAME_CAMEL, NAME_CAMEL, NAME_CAMEL, reserved, members, globals, .prefixes = NULL},
	.write = write_java,
};
