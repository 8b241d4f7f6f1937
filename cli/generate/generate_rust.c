/* SPDX-License-Identifier: Apache-2.0 */
/* A typed client in Rust: a struct with the methods, one for each record, and one for what a method's caller may leave out.
 * There is no library for Rust: the file has a trait for what carries the calls. */
#include "cli/generate/generate.h"

#include <string.h>

static const char *const reserved[] = {
	"abstract",  "as",     "async",    "await",  "become",    "box",   "break", "const", "continue", "crate", "do",
	"dyn",       "else",   "enum",     "extern", "false",     "final", "fn",    "for",   "gen",      "if",    "impl",
	"in",        "let",    "loop",     "macro",  "match",     "mod",   "move",  "mut",   "override", "priv",  "pub",
	"ref",       "return", "self",     "static", "struct",    "super", "trait", "true",  "try",      "type",  "typeof",
	"union",     "unsafe", "unsized",  "use",    "virtual",   "where", "while", "yield", "Self",     "call",  "options",
	"transport", "pool",   "settings", "unpack", "text_pair", NULL};
static const char *const members[] = {"create", "new", NULL};
static const char *const globals[] = {
	"Value", "Ext",    "Bytes",    "Mismatch",     "Transport", "Convert", "Arguments", "WaitingArgument", "Option",  "Some",
	"None",  "Result", "Ok",       "Err",          "Vec",       "String",  "Box",       "BTreeMap",        "Default", "T",
	"From",  "Into",   "Iterator", "IntoIterator", "Extend",    "Ord",     "Sized",     "ToString",        "TryFrom", NULL};

enum { TUPLE_MAX = 6 /* types in a tuple that the file has code for */ };

static const struct literals literals = {
	.nil = "Value::Nil",
	.yes = "Value::Bool(true)",
	.no = "Value::Bool(false)",
	.least = INT64_MIN,
	.most = INT64_MAX,
	.integer = {"Value::Int(", ")"},
	.big = {"Value::UInt(", ")"},
	.real = {"Value::Float(", ")"},
	.text = {"Value::Str(", ".to_string())"},
	.bytes = {"Value::Bin(vec![", "])"},
	.byte = "",
	.array = {"Value::Array(vec![", "])"},
	.map = {"Value::Map(vec![", "])"},
	.pair = {"(Value::Str(", ".to_string()), ", ")"},
	.octal = false,
};

/* ---- types ---- */

static void put_type(FILE *out, const struct type *type, bool boxed);

static void put_generic(FILE *out, const char *name, const struct type *type)
{
	fprintf(out, "%s<", name);
	put_type(out, type, false);
	fputc('>', out);
}

static void put_dict(FILE *out, const struct type *type)
{
	const enum type_kind key = type->parts[0].kind;

	if (key != TYPE_STR && key != TYPE_INT && key != TYPE_BOOL) {
		fputs("Value", out); /* a map of Rust needs keys with an order */
		return;
	}
	fputs("BTreeMap<", out);
	put_type(out, &type->parts[0], false);
	fputs(", ", out);
	put_type(out, &type->parts[1], false);
	fputc('>', out);
}

static void put_tuple(FILE *out, const struct type *type, bool boxed)
{
	if (type->count > TUPLE_MAX) {
		fputs("Value", out);
		return;
	}
	fputc('(', out);
	for (uint32_t i = 0; i < type->count; i++) {
		fputs(i > 0 ? ", " : "", out);
		put_type(out, &type->parts[i], boxed);
	}
	fputs(type->count == 1 ? ",)" : ")", out);
}

static void put_union(FILE *out, const struct type *type, bool boxed)
{
	const struct type *inner = type_optional(type);

	if (!inner) {
		fputs("Value", out);
		return;
	}
	fputs("Option<", out);
	put_type(out, inner, boxed);
	fputc('>', out);
}

/* `boxed`: it is a part of a record, which may have itself as a part. */
static void put_type(FILE *out, const struct type *type, bool boxed)
{
	static const char *const words[] = {[TYPE_ANY] = "Value",   [TYPE_NONE] = "()",       [TYPE_BOOL] = "bool",
					    [TYPE_INT] = "i64",     [TYPE_FLOAT] = "f64",     [TYPE_STR] = "String",
					    [TYPE_BYTES] = "Bytes", [TYPE_TIMESTAMP] = "Ext", [TYPE_NDARRAY] = "Ext"};

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
		put_generic(out, "Vec", &type->parts[0]);
		break;
	case TYPE_DICT:
		put_dict(out, type);
		break;
	case TYPE_TUPLE:
		put_tuple(out, type, boxed);
		break;
	case TYPE_UNION:
		put_union(out, type, boxed);
		break;
	case TYPE_RECORD:
		fprintf(out, boxed ? "Box<%s>" : "%s", type->record->ident);
	}
}

/* Of what may be left out. */
static void put_optional(FILE *out, const struct type *type, bool boxed)
{
	fputs("Option<", out);
	put_type(out, type_optional(type) ? type_optional(type) : type, boxed);
	fputc('>', out);
}

/* ---- records ---- */

static void put_note(FILE *out, const struct field *field)
{
	fputs("    /// ", out);
	code_type(out, &field->type);
	if (field->value) {
		fputs("; by default ", out);
		code_value(out, field->value);
	}
	fputc('\n', out);
}

static void put_pack_record(FILE *out, const struct record *record)
{
	fputs("    fn pack(self) -> Value {\n", out);
	fprintf(out, "        let%s fields = Vec::new();\n", record->count > 0 ? " mut" : "");
	for (uint32_t i = 0; i < record->count; i++) {
		const struct field *field = &record->fields[i];
		if (field->optional)
			fprintf(out, "        if let Some(value) = self.%s {\n    ", field->ident);
		fputs("        fields.push((Value::Str(", out);
		code_string(out, field->name, false);
		if (field->optional)
			fputs(".to_string()), value.pack()));\n        }\n", out);
		else
			fprintf(out, ".to_string()), self.%s.pack()));\n", field->ident);
	}
	fputs("        Value::Map(fields)\n    }\n\n", out);
}

static void put_unpack_record(FILE *out, const struct record *record)
{
	fputs("    fn unpack(value: Value) -> Option<Self> {\n", out);
	if (record->count == 0) {
		fputs("        matches!(value, Value::Map(_)).then_some(Self {})\n    }\n", out);
		return;
	}
	fputs("        let mut fields = fields_of(value)?;\n        Some(Self {\n", out);
	for (uint32_t i = 0; i < record->count; i++) {
		const struct field *field = &record->fields[i];
		fprintf(out, "            %s: ", field->ident);
		if (field->optional) {
			fputs("match fields.remove(", out);
			code_string(out, field->name, false);
			fputs(") {\n                Some(value) => Convert::unpack(value)?,\n                None => None,\n     "
			      "       },\n",
			      out);
		} else {
			fputs("Convert::unpack(fields.remove(", out);
			code_string(out, field->name, false);
			fputs(")?)?,\n", out);
		}
	}
	fputs("        })\n    }\n", out);
}

static void put_record(FILE *out, const struct record *record)
{
	fprintf(out, "\n#[derive(Clone, Debug, PartialEq)]\npub struct %s {\n", record->ident);
	for (uint32_t i = 0; i < record->count; i++) {
		const struct field *field = &record->fields[i];
		put_note(out, field);
		fprintf(out, "    pub %s: ", field->ident);
		if (field->optional)
			put_optional(out, &field->type, true);
		else
			put_type(out, &field->type, true);
		fputs(",\n", out);
	}
	fprintf(out, "}\n\nimpl Convert for %s {\n", record->ident);
	put_pack_record(out, record);
	put_unpack_record(out, record);
	fputs("}\n", out);
}

/* ---- arguments ---- */

static void put_options(FILE *out, const struct method *method, const char *name)
{
	if (!method_has_options(method))
		return;
	fprintf(out,
		"\n/// The arguments of %s that may be left out.\n#[derive(Clone, Debug, Default, PartialEq)]\npub struct "
		"%s {\n",
		name, method->options);
	for (uint32_t i = 0; i < method->count; i++) {
		const struct field *field = &method->fields[i];
		if (field_is_required(field))
			continue;
		put_note(out, field);
		fprintf(out, "    pub %s: ", field->ident);
		if (field->kind == FIELD_REST) {
			put_generic(out, "Vec", &field->type);
		} else if (field->kind == FIELD_KEYWORDS) {
			fputs("BTreeMap<String, ", out);
			put_type(out, &field->type, false);
			fputc('>', out);
		} else {
			put_optional(out, &field->type, false);
		}
		fputs(",\n", out);
	}
	fputs("}\n", out);
}

static void put_arguments(FILE *out, const struct method *method)
{
	for (uint32_t i = 0; i < method->count; i++)
		if (field_is_required(&method->fields[i])) {
			fprintf(out, ", %s: ", method->fields[i].ident);
			put_type(out, &method->fields[i].type, false);
		}
	if (method_has_options(method))
		fprintf(out, ", options: %s", method->options);
}

/* Has it to come by place, and what comes in its place where it is left out before another that does. */
static void put_place(FILE *out, const struct field *field)
{
	const bool known = field->value && code_has_literal(&literals, field->value);

	fputs(field->kind == FIELD_POSITIONAL ? ", true, " : ", false, ", out);
	fputs(known ? "Some(" : "None", out);
	if (known)
		code_literal(out, &literals, field->value);
	fputs(known ? ")" : "", out);
}

static void put_packing(FILE *out, const struct method *method)
{
	const struct field *rest = method_field(method, FIELD_REST), *more = method_field(method, FIELD_KEYWORDS);

	fprintf(out, "        let%s call = Arguments::default();\n", method->count > 0 ? " mut" : "");
	for (uint32_t i = 0; i < method->count; i++) {
		const struct field *field = &method->fields[i];
		if (field->kind == FIELD_REST || field->kind == FIELD_KEYWORDS)
			continue;
		fputs(field->kind == FIELD_KEYWORD ? "        call.keyword("
		      : field->optional            ? "        call.optional("
						   : "        call.place(",
		      out);
		if (field->optional || field->kind == FIELD_KEYWORD) {
			code_string(out, field->name, false);
			fputs(", ", out);
		}
		if (field->optional)
			fprintf(out, "options.%s.map(Convert::pack)", field->ident);
		else
			fprintf(out, field->kind == FIELD_KEYWORD ? "Some(%s.pack())" : "%s.pack()", field->ident);
		if (field->optional && field->kind != FIELD_KEYWORD)
			put_place(out, field);
		fputs(");\n", out);
	}
	if (method_has_options(method))
		fprintf(out, "        call.rest(%s%s%s)?;\n", rest ? "options." : "Vec::new()", rest ? rest->ident : "",
			rest ? ".into_iter().map(Convert::pack).collect()" : "");
	if (more)
		fprintf(out,
			"        for (name, value) in options.%s {\n            call.keyword(&name, Some(value.pack()));\n       "
			" }\n",
			more->ident);
}

/* ---- methods ---- */

static void put_method(FILE *out, const struct method *method)
{
	fputc('\n', out);
	code_lines(out, method->doc, "    /// ");
	fprintf(out, "    pub fn %s(&self", method->ident);
	put_arguments(out, method);
	fputs(") -> Result<", out);
	fputs(method->yields ? "impl Iterator<Item = Result<" : "", out);
	put_type(out, method->yields ? &method->returns.parts[0] : &method->returns, false);
	fputs(method->yields ? ", T::Error>> + '_, T::Error> {\n" : ", T::Error> {\n", out);
	put_packing(out, method);
	fputs(method->yields ? "        let values = self.transport.stream(" : "        unpack(self.transport.call(", out);
	code_string(out, method->name, false);
	fputs(method->yields ? ", call.args, call.kwargs)?;\n        Ok(values.map(|value| unpack(value?)))\n    }\n"
			     : ", call.args, call.kwargs)?)\n    }\n",
	      out);
}

static void put_create(FILE *out, const struct model *model)
{
	fputs("\n    /// Makes a pool of the class. `settings`: other keys of its section, such as workers.\n"
	      "    pub fn create(transport: &T, pool: &str, settings: Vec<(String, Value)>",
	      out);
	put_arguments(out, &model->constructor);
	fputs(") -> Result<(), T::Error> {\n", out);
	put_packing(out, &model->constructor);
	fputs("        let mut keys = vec![\n            text_pair(\"pool\", pool),\n            text_pair(\"plugin\", ", out);
	code_string(out, model->plugin, false);
	fputs("),\n            text_pair(\"class\", ", out);
	code_string(out, model->class, false);
	fputs("),\n            (\"args\".to_string(), Value::Array(call.args)),\n"
	      "            (\"kwargs\".to_string(), call.kwargs.pack()),\n        ];\n"
	      "        keys.extend(settings);\n        transport.create(keys)\n    }\n",
	      out);
}

/* ---- the file ---- */

static const char common[] =
	"#![allow(clippy::all, non_camel_case_types, non_snake_case)]\n"
	"use std::collections::BTreeMap;\n\n"
	"/// A value of msgpack.\n#[derive(Clone, Debug, PartialEq)]\npub enum Value {\n    Nil,\n    Bool(bool),\n    "
	"Int(i64),\n    UInt(u64),\n"
	"    Float(f64),\n    Str(String),\n    Bin(Vec<u8>),\n    Array(Vec<Value>),\n    Map(Vec<(Value, Value)>),\n    "
	"Ext(i8, Vec<u8>),\n}\n\n"
	"/// A value of an extension type: a timestamp (-1), an array of numpy (81).\n"
	"#[derive(Clone, Debug, PartialEq)]\npub struct Ext {\n    pub kind: i8,\n    pub data: Vec<u8>,\n}\n\n"
	"#[derive(Clone, Debug, PartialEq)]\npub struct Bytes(pub Vec<u8>);\n\n"
	"/// What does not agree with the description: an answer of another type, or an argument that is left out before others\n"
	"/// that come by place, though its default is not known.\n"
	"#[derive(Clone, Debug, PartialEq)]\npub struct Mismatch(pub String);\n\n"
	"impl std::fmt::Display for Mismatch {\n"
	"    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {\n        f.write_str(&self.0)\n    }\n}\n\n"
	"impl std::error::Error for Mismatch {}\n\n"
	"/// What carries calls to a pool, or a slot or a key of it: docs/PROTOCOL.md of objpool.\n"
	"pub trait Transport {\n    type Error: From<Mismatch>;\n\n"
	"    fn call(&self, method: &str, args: Vec<Value>, kwargs: BTreeMap<String, Value>) -> Result<Value, Self::Error>;\n\n"
	"    /// With the option stream.\n"
	"    fn stream<'a>(\n        &'a self,\n        method: &str,\n        args: Vec<Value>,\n        kwargs: "
	"BTreeMap<String, Value>,\n"
	"    ) -> Result<Box<dyn Iterator<Item = Result<Value, Self::Error>> + 'a>, Self::Error>;\n\n"
	"    /// objpool.create, with these keys of the pool's section.\n"
	"    fn create(&self, keys: Vec<(String, Value)>) -> Result<(), Self::Error>;\n}\n\n"
	"/// What is a value of msgpack.\npub trait Convert: Sized {\n    fn pack(self) -> Value;\n    fn unpack(value: Value) "
	"-> Option<Self>;\n}\n\n"
	"impl Convert for Value {\n    fn pack(self) -> Value {\n        self\n    }\n\n    fn unpack(value: Value) -> "
	"Option<Self> {\n"
	"        Some(value)\n    }\n}\n\n"
	"macro_rules! plain {\n    ($type:ty, $self:ident => $pack:expr, $($pattern:pat => $value:expr),+) => {\n"
	"        impl Convert for $type {\n            fn pack($self) -> Value {\n                $pack\n            }\n\n"
	"            fn unpack(value: Value) -> Option<Self> {\n                match value {\n                    $($pattern => "
	"$value,)+\n"
	"                    _ => None,\n                }\n            }\n        }\n    };\n}\n\n"
	"plain!((), self => Value::Nil, Value::Nil => Some(()));\n"
	"plain!(bool, self => Value::Bool(self), Value::Bool(b) => Some(b));\n"
	"plain!(i64, self => Value::Int(self), Value::Int(n) => Some(n), Value::UInt(n) => i64::try_from(n).ok());\n"
	"plain!(f64, self => Value::Float(self), Value::Float(f) => Some(f), Value::Int(n) => Some(n as f64), Value::UInt(n) => "
	"Some(n as f64));\n"
	"plain!(String, self => Value::Str(self), Value::Str(s) => Some(s));\n"
	"plain!(Bytes, self => Value::Bin(self.0), Value::Bin(b) => Some(Bytes(b)));\n"
	"plain!(Ext, self => Value::Ext(self.kind, self.data), Value::Ext(kind, data) => Some(Ext { kind, data }));\n\n"
	"impl<T: Convert> Convert for Option<T> {\n    fn pack(self) -> Value {\n        self.map_or(Value::Nil, "
	"Convert::pack)\n    }\n\n"
	"    fn unpack(value: Value) -> Option<Self> {\n        match value {\n            Value::Nil => Some(None),\n"
	"            value => T::unpack(value).map(Some),\n        }\n    }\n}\n\n"
	"impl<T: Convert> Convert for Box<T> {\n    fn pack(self) -> Value {\n        (*self).pack()\n    }\n\n"
	"    fn unpack(value: Value) -> Option<Self> {\n        T::unpack(value).map(Box::new)\n    }\n}\n\n"
	"impl<T: Convert> Convert for Vec<T> {\n    fn pack(self) -> Value {\n        "
	"Value::Array(self.into_iter().map(Convert::pack).collect())\n    }\n\n"
	"    fn unpack(value: Value) -> Option<Self> {\n        match value {\n"
	"            Value::Array(values) => values.into_iter().map(T::unpack).collect(),\n            _ => None,\n        }\n   "
	" }\n}\n\n"
	"impl<K: Convert + Ord, V: Convert> Convert for BTreeMap<K, V> {\n    fn pack(self) -> Value {\n"
	"        Value::Map(self.into_iter().map(|(key, value)| (key.pack(), value.pack())).collect())\n    }\n\n"
	"    fn unpack(value: Value) -> Option<Self> {\n        match value {\n            Value::Map(pairs) => pairs\n"
	"                .into_iter()\n                .map(|(key, value)| Some((K::unpack(key)?, V::unpack(value)?)))\n         "
	"       .collect(),\n"
	"            _ => None,\n        }\n    }\n}\n\n"
	"macro_rules! tuple {\n    ($count:expr, $($name:ident $index:tt),+) => {\n        impl<$($name: Convert),+> Convert for "
	"($($name,)+) {\n"
	"            fn pack(self) -> Value {\n                Value::Array(vec![$(self.$index.pack()),+])\n            }\n\n"
	"            fn unpack(value: Value) -> Option<Self> {\n                match value {\n"
	"                    Value::Array(values) if values.len() == $count => {\n                        let mut values = "
	"values.into_iter();\n"
	"                        Some(($($name::unpack(values.next()?)?,)+))\n                    }\n                    _ => "
	"None,\n"
	"                }\n            }\n        }\n    };\n}\n\n"
	"tuple!(1, A 0);\ntuple!(2, A 0, B 1);\ntuple!(3, A 0, B 1, C 2);\ntuple!(4, A 0, B 1, C 2, D 3);\n"
	"tuple!(5, A 0, B 1, C 2, D 3, E 4);\ntuple!(6, A 0, B 1, C 2, D 3, E 4, F 5);\n\n"
	"#[allow(dead_code)]\nfn unpack<T: Convert, E: From<Mismatch>>(value: Value) -> Result<T, E> {\n    "
	"T::unpack(value).ok_or_else(|| "
	"Mismatch(\"the answer is of another type\".to_string()).into())\n}\n\n"
	"fn text_pair(key: &str, value: &str) -> (String, Value) {\n    (key.to_string(), Value::Str(value.to_string()))\n}\n\n"
	"#[allow(dead_code)]\nfn fields_of(value: Value) -> Option<BTreeMap<String, Value>> {\n    Convert::unpack(value)\n}\n\n"
	"/// The arguments of a call. Those that may be left out wait until it is known whether they come by place.\n"
	"#[derive(Default)]\nstruct Arguments {\n    args: Vec<Value>,\n    kwargs: BTreeMap<String, Value>,\n    waiting: "
	"Vec<WaitingArgument>,\n}\n\n"
	"struct WaitingArgument {\n    name: String,\n    value: Option<Value>,\n    placed: bool,\n    otherwise: "
	"Option<Value>,\n}\n\n"
	"#[allow(dead_code)]\nimpl Arguments {\n    fn place(&mut self, value: Value) {\n        self.args.push(value);\n    "
	"}\n\n"
	"    fn keyword(&mut self, name: &str, value: Option<Value>) {\n        if let Some(value) = value {\n"
	"            self.kwargs.insert(name.to_string(), value);\n        }\n    }\n\n"
	"    /// `otherwise`: the default, if it is known.\n"
	"    fn optional(&mut self, name: &str, value: Option<Value>, placed: bool, otherwise: Option<Value>) {\n"
	"        self.waiting.push(WaitingArgument { name: name.to_string(), value, placed, otherwise });\n    }\n\n"
	"    /// Those that wait come by place up to the last that has to, and the others by keyword.\n"
	"    fn rest(&mut self, rest: Vec<Value>) -> Result<(), Mismatch> {\n        let waiting = std::mem::take(&mut "
	"self.waiting);\n"
	"        let last = waiting.iter().rposition(|one| one.placed && one.value.is_some());\n"
	"        let places = if rest.is_empty() { last.map_or(0, |last| last + 1) } else { waiting.len() };\n"
	"        for (i, one) in waiting.into_iter().enumerate() {\n            if i < places {\n"
	"                let name = one.name;\n"
	"                let missing = || {\n"
	"                    Mismatch(name + \" has to be given with the arguments behind it: its default is not known\")\n"
	"                };\n"
	"                self.args.push(one.value.or(one.otherwise).ok_or_else(missing)?);\n            } else {\n"
	"                self.keyword(&one.name, one.value);\n            }\n        }\n        self.args.extend(rest);\n"
	"        Ok(())\n    }\n}\n";

static void write_rust(const struct model *model, FILE *out)
{
	fputs("//! A typed client of the pool ", out);
	code_text(out, model->pool);
	fputc('\n', out);
	fputs("//!\n//! Made by objpool describe --generate rust. Don't edit it.\n", out);
	fputs(common, out);
	for (uint32_t i = 0; i < model->record_count; i++)
		put_record(out, &model->records[i]);
	put_options(out, &model->constructor, "create");
	for (uint32_t i = 0; i < model->method_count; i++)
		put_options(out, &model->methods[i], model->methods[i].ident);
	fputc('\n', out);
	code_lines(out, model->doc, "/// ");
	fprintf(out, "pub struct %s<T: Transport> {\n    pub transport: T,\n}\n\nimpl<T: Transport> %s<T> {\n", model->ident,
		model->ident);
	fputs("    pub fn new(transport: T) -> Self {\n        Self { transport }\n    }\n", out);
	put_create(out, model);
	for (uint32_t i = 0; i < model->method_count; i++)
		put_method(out, &model->methods[i]);
	fputs("}\n", out);
}

const struct generator generate_rust = {
	.language = "rust",
	.naming = {NAME_SNAKE, NAME_SNAKE, NAME_SNAKE, reserved, members, globals, .prefixes = NULL},
	.write = write_rust,
};
