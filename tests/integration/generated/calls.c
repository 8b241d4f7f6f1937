/* SPDX-License-Identifier: Apache-2.0 */
/* Calls the methods of class Types by its typed client. test_generate.py makes the client, and builds and runs this. */
#include "types.h"

#include <stdio.h>
#include <stdlib.h>

#define CHECK(x) ((x) ? (void)0 : (fprintf(stderr, "line %d: %s\n", __LINE__, #x), exit(1)))

static struct objpool_client *client;
static struct objpool_result result;
static const char target[] = "types";

static bool same(struct objpool_bytes a, struct objpool_bytes b)
{
	return a.size == b.size && memcmp(a.data, b.data, a.size) == 0;
}

/* A packed value, which stays valid until the next. */
static struct objpool_bytes packed(const char *format, int64_t number)
{
	static struct objpool_packer packer = OBJPOOL_PACKER_INIT;

	objpool_packer_free(&packer);
	CHECK(objpool_pack(&packer, format, number, "x") == 0);
	return objpool_packed(&packer);
}

static void scalars(void)
{
	struct objpool_bytes text;
	int64_t integer;
	double number;
	bool boolean;

	CHECK(types_boolean(client, target, true, &boolean, &result) == 0 && boolean);
	objpool_result_free(&result);
	CHECK(types_integer(client, "types:0", -5, &integer, &result) == 0 && integer == -5);
	objpool_result_free(&result);
	CHECK(types_number(client, target, 2.5, &number, &result) == 0 && number > 2.4 && number < 2.6);
	objpool_result_free(&result);
	CHECK(types_text(client, target, "abc", &text, &result) == 0 && text.size == 3 && memcmp(text.data, "abc", 3) == 0);
	objpool_result_free(&result);
	CHECK(types_data(client, target, (struct objpool_bytes){"\0\1", 2}, &text, &result) == 0 && text.size == 2);
	objpool_result_free(&result);
	CHECK(types_byte(client, target, 255, &integer, &result) == 0 && integer == 255);
	objpool_result_free(&result);
	CHECK(types_byte(client, target, 256, &integer, &result) == -EREMOTEIO);
	CHECK(strcmp(result.error->code, "BAD_ARGUMENT") == 0);
	objpool_result_free(&result);
}

typedef int packed_method(struct objpool_client *, const char *, struct objpool_bytes, struct objpool_result *);

static void packed_values(void)
{
	static const struct {
		packed_method *method;
		const char *format;
	} rows[] = {{types_anything, "[I]"}, {types_choice, "I"}, {types_integers, "[I]"}, {types_pair, "[I s]"}, {types_row, "[I]"},
		    {types_points, "{I n}"}};
	struct objpool_packer packer = OBJPOOL_PACKER_INIT;

	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		CHECK(rows[i].method(client, target, packed(rows[i].format, 7), &result) == 0);
		CHECK(same(result.value, packed(rows[i].format, 7)));
		objpool_result_free(&result);
	}
	CHECK(types_none(client, target, packed("n", 0), &result) == 0);
	objpool_result_free(&result);
	CHECK(types_table(client, target, packed("{}", 0), &result) == 0);
	objpool_result_free(&result);
	objpool_pack_ext(&packer, -1, "\0\0\0\1", 4);
	CHECK(types_when(client, target, objpool_packed(&packer), &result) == 0);
	objpool_result_free(&result);
	objpool_packer_free(&packer);
	objpool_pack_ext(&packer, 81, "x", 1);
	CHECK(types_array(client, target, objpool_packed(&packer), &result) == 0);
	objpool_result_free(&result);
	CHECK(types_samples(client, target, objpool_packed(&packer), &result) == 0);
	objpool_result_free(&result);
	CHECK(types_image(client, target, objpool_packed(&packer), &result) == 0);
	objpool_result_free(&result);
	CHECK(types_volume(client, target, objpool_packed(&packer), &result) == 0);
	objpool_result_free(&result);
	objpool_packer_free(&packer);
}

static void of_records(void)
{
	const struct types_point point = {.x = 1.5, .y = 2, .has_label = true, .label = {"here", 4}};
	struct types_point got;
	struct types_path path = {0}, got_path;
	struct types_tree tree = {.value = 5}, got_tree;
	struct objpool_packer points = OBJPOOL_PACKER_INIT;

	CHECK(types_point(client, target, &point, &got, &result) == 0);
	CHECK(got.x > 1.4 && got.y > 1.9 && got.has_label && got.label.size == 4);
	objpool_result_free(&result);
	objpool_pack_array(&points, 1);
	types_pack_point(&points, &point);
	path.points = objpool_packed(&points);
	CHECK(types_path(client, target, &path, &got_path, &result) == 0 && !got_path.has_closed && same(got_path.points, path.points));
	objpool_result_free(&result);
	objpool_packer_free(&points);
	CHECK(types_tree(client, target, &tree, &got_tree, &result) == 0 && got_tree.value == 5);
	objpool_result_free(&result);
}

static int counted(void *context, uint64_t index, struct objpool_bytes value, const struct objpool_error *error)
{
	(void)value;
	CHECK(!error && index == *(uint64_t *)context);
	++*(uint64_t *)context;
	return 0;
}

static void streams(void)
{
	struct objpool_packer items = OBJPOOL_PACKER_INIT;
	uint64_t n = 0;

	CHECK(types_count(client, target, 5, counted, &n, &result) == 0 && n == 5);
	objpool_result_free(&result);
	CHECK(objpool_pack(&items, "[s s]", "a", "b") == 0);
	n = 0;
	CHECK(types_numbered(client, target, objpool_packed(&items), counted, &n, &result) == 0 && n == 2);
	objpool_result_free(&result);
	objpool_packer_free(&items);
}

/* Are the places that kinds() got so many? */
static bool has_places(struct objpool_bytes places, uint32_t count)
{
	struct objpool_reader reader = objpool_reader(places);
	uint32_t n;

	return objpool_read_array(&reader, &n) == 0 && n == count;
}

static void kinds(void)
{
	const int64_t second = 3;
	struct objpool_packer rest = OBJPOOL_PACKER_INIT;
	struct types_kinds_options options = {.second = &second, .fourth = "x"};
	struct types_kinds got;

	CHECK(types_kinds(client, target, 1, 0.5, NULL, &got, &result) == 0 && has_places(got.places, 1));
	objpool_result_free(&result);
	CHECK(types_kinds(client, target, 1, 0.5, &options, &got, &result) == 0 && has_places(got.places, 1));
	objpool_result_free(&result);
	CHECK(objpool_pack(&rest, "[i i]", 4, 5) == 0);
	options.rest = objpool_packed(&rest);
	CHECK(types_kinds(client, target, 1, 0.5, &options, &got, &result) == 0 && has_places(got.places, 4));
	objpool_result_free(&result);
	options.more = options.rest;
	CHECK(types_kinds(client, target, 1, 0.5, &options, &got, &result) == -EINVAL);
	objpool_result_free(&result);
	objpool_packer_free(&rest);
}

static void create(void)
{
	const struct types_point origin = {.x = 1, .y = 2};
	const struct types_create_options options = {.origin = &origin, .secret = "s"};
	int64_t integer;

	CHECK(types_create(client, "made", (struct objpool_bytes){NULL, 0}, 0, &options, &result) == 0);
	objpool_result_free(&result);
	CHECK(types_integer(client, "made", 7, &integer, &result) == 0 && integer == 7);
	objpool_result_free(&result);
}

int main(void)
{
	CHECK(objpool_connect(&client, NULL, NULL) == 0);
	scalars();
	packed_values();
	of_records();
	streams();
	kinds();
	create();
	objpool_close(client);
	puts("done");
	return 0;
}
