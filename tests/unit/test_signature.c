/* SPDX-License-Identifier: Apache-2.0 */
/* Signatures: each form, what is wrong and where, and that what is written of a parsed one is parsed as the same. */
#include "tests/unit/signature_text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

enum { ROUNDS = 20000 };

static msgpack_zone zone;
static struct signature signature;
static char reason[256];

static const msgpack_object_str names[] = {{5, "Point"}, {4, "Tree"}};
static const struct type_names records = {.names = names, .count = 2};

static int parse(const char *text)
{
	return signature_parse(&signature, text, strlen(text), &zone, &records, reason, sizeof reason);
}

static void parsed(const char *text)
{
	if (parse(text) < 0)
		fail_msg("%s: %s", text, reason);
}

/* Written again it is `as`. */
static void becomes(const char *text, const char *as)
{
	parsed(text);
	char *again = signature_text(&signature);
	assert_string_equal(again, as);
	free(again);
}

static void stays(const char *text)
{
	becomes(text, text);
}

static void refused(const char *text, const char *why)
{
	if (parse(text) == 0)
		fail_msg("%s was parsed", text);
	assert_string_equal(reason, why);
}

/* What is packed for the method, shown as JSON by msgpack_object_print. */
static void packs(const char *text, const char *as)
{
	msgpack_sbuffer packed;
	msgpack_packer packer;
	msgpack_unpacked got;
	char *shown = NULL;
	size_t size;

	parsed(text);
	msgpack_sbuffer_init(&packed);
	msgpack_packer_init(&packer, &packed, msgpack_sbuffer_write);
	msgpack_pack_map(&packer, SIGNATURE_PAIRS);
	signature_pack(&signature, true, &packer);
	msgpack_unpacked_init(&got);
	assert_int_equal(msgpack_unpack_next(&got, packed.data, packed.size, NULL), MSGPACK_UNPACK_SUCCESS);
	FILE *out = open_memstream(&shown, &size);
	msgpack_object_print(out, got.data);
	(void)fclose(out);
	assert_string_equal(shown, as);
	free(shown);
	msgpack_unpacked_destroy(&got);
	msgpack_sbuffer_destroy(&packed);
}

static void every_type(void **state)
{
	static const char *const types[] = {
		"None", "bool", "int", "float", "str", "bytes", "any", "timestamp", "ndarray", "ndarray[uint8]", "ndarray[any, 2]",
		"ndarray[float64, 0]", "list[int]", "dict[str, list[float]]", "tuple[int, str]", "tuple[int]", "tuple[float, ...]",
		"int | str | None", "Iterator[tuple[int, str]]", "int[0, 255]", "int[-9223372036854775808, 18446744073709551615]",
		"Point", "list[Tree | None]", "dict[int | str, any]",
	};
	char text[256];

	(void)state;
	for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
		snprintf(text, sizeof text, "(x: %s) -> %s", types[i], types[i]);
		stays(text);
		assert_int_equal(signature.yields, strncmp(types[i], "Iterator", 8) == 0);
	}
}

static void every_kind(void **state)
{
	(void)state;
	stays("() -> any");
	becomes("()", "() -> any");
	becomes(" ( a ,b:int=1 , ) ", "(a: any, b: int = 1) -> any");
	stays("(a: int, /, b: str = \"x\", *rest: float, c: bool, d: any = ..., **more: Point) -> None");
	assert_int_equal(signature_max_places(&signature), -1);
	assert_int_equal(signature_min_places(&signature), 1);
	assert_true(signature_takes_keywords(&signature));
	stays("(a: any, *, b: any, c: any = None) -> any");
	assert_int_equal(signature_max_places(&signature), 1);
	stays("(a: any, /) -> any");
	becomes("(größe: int) -> int", "(größe: int) -> int");
	becomes("(*args, **kwargs)", "(*args: any, **kwargs: any) -> any");
	becomes("(...) -> int", "(*args: any, **kwargs: any) -> int");
	refused("(..., a)", "column 5: \")\" is missing before \",\"");
	parsed("(a, b=1)");
	assert_int_equal(signature_max_places(&signature), 2);
	assert_int_equal(signature_min_places(&signature), 1);
	assert_false(signature_takes_keywords(&signature));
	signature_drop_keywords(&signature);
	assert_int_equal(signature.parameters[1].kind, PARAMETER_POSITIONAL);
}

static void every_default(void **state)
{
	(void)state;
	stays("(a: any = None, b: any = True, c: any = False, d: any = -1, e: any = 18446744073709551615) -> any");
	becomes("(a = 1.5, b = -2e3, c = .5, d = 1., e = -0)",
		"(a: any = 1.50000000000000000e+00, b: any = -2.00000000000000000e+03, c: any = 5.00000000000000000e-01, "
		"d: any = 1.00000000000000000e+00, e: any = 0) -> any");
	becomes("(a = 'x\\'\"', b = \"\\n\\x41\\u00e9\\U0001f600\\0\", c = b'\\x01\\\\', d = \"\")",
		"(a: any = \"x'\\\"\", b: any = \"\\x0aAé😀\\x00\", c: any = b\"\\x01\\\\\", d: any = \"\") -> any");
	becomes("(a = [1, 'b', [], ], b = (1, 2), c = {'k': [None], 2: {}})",
		"(a: any = [1,\"b\",[],], b: any = [1,2,], c: any = {\"k\":[None,],2:{},}) -> any");
	stays("(a: list[int] = ...) -> any");
}

static void what_clients_get(void **state)
{
	(void)state;
	packs("(x: float, names: list[str], *, scale: float = 1.0, tag: str | None = None) -> dict[str, list[float]]",
	      "{\"params\"=>[{\"name\"=>\"x\", \"kind\"=>\"either\", \"type\"=>\"float\"}, "
	      "{\"name\"=>\"names\", \"kind\"=>\"either\", \"type\"=>{\"list\"=>\"str\"}}, "
	      "{\"name\"=>\"scale\", \"kind\"=>\"keyword\", \"type\"=>\"float\", \"default\"=>1.000000}, "
	      "{\"name\"=>\"tag\", \"kind\"=>\"keyword\", \"type\"=>{\"union\"=>[\"str\", \"None\"]}, \"default\"=>nil}], "
	      "\"returns\"=>{\"dict\"=>[\"str\", {\"list\"=>\"float\"}]}, \"yields\"=>false, \"readonly\"=>true}");
	packs("(i: Iterator[int], /, *r: int, n: any = ..., **k) -> Iterator[tuple[int, ...]]",
	      "{\"params\"=>[{\"name\"=>\"i\", \"kind\"=>\"positional\", \"type\"=>{\"iterator\"=>\"int\"}}, "
	      "{\"name\"=>\"r\", \"kind\"=>\"rest\", \"type\"=>\"int\"}, "
	      "{\"name\"=>\"n\", \"kind\"=>\"keyword\", \"type\"=>\"any\", \"optional\"=>true}, "
	      "{\"name\"=>\"k\", \"kind\"=>\"keywords\", \"type\"=>\"any\"}], "
	      "\"returns\"=>{\"iterator\"=>{\"tuple\"=>[\"int\"], \"rest\"=>true}}, \"yields\"=>true, \"readonly\"=>true}");
	packs("(a: ndarray, b: ndarray[any, 2], c: int[-1, 7]) -> Point",
	      "{\"params\"=>[{\"name\"=>\"a\", \"kind\"=>\"either\", \"type\"=>{\"ndarray\"=>[nil, nil]}}, "
	      "{\"name\"=>\"b\", \"kind\"=>\"either\", \"type\"=>{\"ndarray\"=>[nil, 2]}}, "
	      "{\"name\"=>\"c\", \"kind\"=>\"either\", \"type\"=>{\"int\"=>[-1, 7]}}], "
	      "\"returns\"=>{\"record\"=>\"Point\"}, \"yields\"=>false, \"readonly\"=>true}");
}

static void records_have_fields(void **state)
{
	const char *text = "Point(x: float, y: float = 0, label: str)";
	msgpack_object_str name;

	(void)state;
	assert_int_equal(signature_parse_record(&signature, &name, text, strlen(text), &zone, &records, reason, sizeof reason), 0);
	assert_true(type_text_is(name, "Point"));
	assert_int_equal(signature.count, 3);
	assert_true(signature.parameters[1].optional && !signature.parameters[2].optional);
	text = "Point(x: float, *, y: float)";
	assert_int_equal(signature_parse_record(&signature, &name, text, strlen(text), &zone, &records, reason, sizeof reason), -1);
	assert_string_equal(reason, "column 17: the name of a field must stand here");
}

static void what_is_wrong_and_where(void **state)
{
	(void)state;
	refused("", "column 1: \"(\" is missing before the end");
	refused("(x: number) -> int", "column 5: there is no type \"number\"");
	refused("(x: int) -> [float]", "column 13: a type must stand here");
	refused("(x: int) -> nil", "column 13: there is no type \"nil\"");
	refused("(x: list) -> int", "column 5: list needs types in brackets: list[any]");
	refused("(x: dict[str]) -> int", "column 13: \",\" is missing before \"]\"");
	refused("(x: tuple[]) -> int", "column 11: a tuple needs types");
	refused("(x: tuple[int, str, ...])", "column 21: a type must stand here");
	refused("(x: int[5, 1])", "column 9: the least value comes first");
	refused("(x: int[0.5, 1])", "column 9: an integer must stand here");
	refused("(x: int[0, 99999999999999999999])", "column 12: the integer has more than 64 bits");
	refused("(x: ndarray[uint8, -1])", "column 20: an array has 0 to 64 dimensions");
	refused("(x: str[5])", "column 8: \",\" or \")\" is missing before \"[\"");
	refused("(x: int |)", "column 10: a type must stand here");
	refused("(x: int", "column 8: \",\" or \")\" is missing before the end");
	refused("(x int)", "column 4: \",\" or \")\" is missing before \"int\"");
	refused("(x, x)", "column 5: x comes twice");
	refused("(x=1, y)", "column 7: y has no default, but one before it has");
	refused("(*, *a)", "column 5: there is a \"*\" before this one");
	refused("(a, *)", "column 5: an argument must follow \"*\"");
	refused("(**k, a)", "column 7: nothing may follow \"**\"");
	refused("(/, a)", "column 2: \"/\" stands once, behind arguments and before \"*\"");
	refused("(a, *, /)", "column 8: \"/\" stands once, behind arguments and before \"*\"");
	refused("(a = x)", "column 6: \"x\" is no value");
	refused("(a = )", "column 6: a value must stand here");
	refused("(a = 'x)", "column 6: the text does not end: ' is missing");
	refused("(a = '\\q')", "column 8: there is no such escape");
	refused("(a = '\\ud800')", "column 7: this escape is no character");
	refused("(a = [1, 2)", "column 11: \",\" or \"]\" is missing before \")\"");
	refused("(a) -> int x", "column 12: the signature should end here");
	refused("(a: list[list[list[list[list[list[list[list[list[list[int]]]]]]]]]])", "column 55: more than 10 levels");
}

/* ---- at random ---- */

static uint64_t seed = 20261129;

static uint32_t dice(uint32_t sides)
{
	seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (uint32_t)(seed >> 33) % sides;
}

static void make_type(FILE *out, int depth)
{
	static const char *const plain[] = {"None", "bool", "int", "float", "str", "bytes", "any", "timestamp", "ndarray",
					    "ndarray[int8, 3]", "int[-5, 7]", "Point", "Tree", "ndarray[any, 1]"};

	switch (depth > 0 ? dice(8) : 7) {
	case 0:
		fputs("list[", out);
		break;
	case 1:
		fputs("Iterator[", out);
		break;
	case 2:
		fputs("dict[", out);
		make_type(out, depth - 1);
		fputs(", ", out);
		break;
	case 3:
		fputs("tuple[", out);
		make_type(out, depth - 1);
		fputs(", ...]", out);
		return;
	case 4:
		fputs("tuple[", out);
		for (uint32_t n = dice(3); n > 0; n--) {
			make_type(out, depth - 1);
			fputs(", ", out);
		}
		break;
	case 5:
		fprintf(out, "%s | %s", plain[dice(14)], plain[dice(14)]);
		return;
	default:
		fputs(plain[dice(14)], out);
		return;
	}
	make_type(out, depth - 1);
	fputs("]", out);
}

static void what_is_written_is_parsed_as_the_same(void **state)
{
	(void)state;
	for (int i = 0; i < ROUNDS; i++) {
		char *text = NULL;
		size_t size;
		FILE *out = open_memstream(&text, &size);
		fputs("(a: ", out);
		make_type(out, 5);
		fputs(dice(2) ? ", /, *, b: " : ", *r: any, b: ", out);
		make_type(out, 5);
		fputs(") -> ", out);
		make_type(out, 5);
		(void)fclose(out);
		stays(text);
		free(text);
		msgpack_zone_clear(&zone);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_type),          cmocka_unit_test(every_kind),
		cmocka_unit_test(every_default),       cmocka_unit_test(what_clients_get),
		cmocka_unit_test(records_have_fields), cmocka_unit_test(what_is_wrong_and_where),
		cmocka_unit_test(what_is_written_is_parsed_as_the_same),
	};

	if (!msgpack_zone_init(&zone, 4096))
		return 1;
	const int failed = cmocka_run_group_tests(tests, NULL, NULL);
	msgpack_zone_destroy(&zone);
	return failed;
}
