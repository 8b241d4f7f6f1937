/* SPDX-License-Identifier: Apache-2.0 */
/* Leaves arguments out before others that come by place. test_generate.py makes the client, and compiles and runs this. */
#include "gaps.h"

#include <stdio.h>
#include <stdlib.h>

#define CHECK(condition) ((condition) ? (void)0 : fail(#condition, __LINE__))

static struct objpool_client *client;
static struct objpool_result result;

static void fail(const char *what, int line)
{
	fprintf(stderr, "gaps.c:%d: %s: %s\n", line, what, result.error ? result.error->message : "no error");
	exit(1);
}

/* Is the answer that array of integers? */
static bool is_answer(int64_t first, int64_t second, uint32_t count)
{
	struct objpool_reader reader = objpool_reader(result.value);
	int64_t a = 0, b = 0;
	uint32_t n = 0;
	const bool same = objpool_read_array(&reader, &n) == 0 && n == count && objpool_read_int(&reader, &a) == 0 &&
			  objpool_read_int(&reader, &b) == 0 && a == first && b == second;

	objpool_result_free(&result);
	return same;
}

static int none(void *context, uint64_t index, struct objpool_bytes value, const struct objpool_error *error)
{
	(void)context, (void)index, (void)value, (void)error;
	return 0;
}

static void calls(struct objpool_bytes rest)
{
	const struct gaps_number_options number = {.rest = rest};
	const struct gaps_values_options values = {.rest = rest};
	const struct gaps_unshown_options unshown = {.rest = rest};
	const struct gaps_unshown_each_options unshown_each = {.rest = rest};
	const int64_t second = 5;
	const struct gaps_placed_options placed = {.b = &second};
	int64_t sum;

	CHECK(gaps_number(client, "gaps", 5, &number, &result) == 0);
	CHECK(is_answer(5, 7, 4));
	CHECK(gaps_values(client, "gaps", &values, &sum, &result) == 0 && sum == 3);
	objpool_result_free(&result);
	CHECK(gaps_placed(client, "gaps", &placed, &result) == 0);
	CHECK(is_answer(7, 5, 2));
	CHECK(gaps_unshown(client, "gaps", NULL, &sum, &result) == 0 && sum == 0);
	objpool_result_free(&result);
	CHECK(gaps_unshown(client, "gaps", &unshown, &sum, &result) == -EINVAL);
	CHECK(gaps_unshown_each(client, "gaps", &unshown_each, none, NULL, &result) == -EINVAL);
}

int main(void)
{
	struct objpool_packer rest = OBJPOOL_PACKER_INIT;

	CHECK(objpool_connect(&client, getenv("OBJPOOL_ADDRESS"), NULL) == 0);
	CHECK(objpool_pack(&rest, "[i i]", 1, 2) == 0);
	calls(objpool_packed(&rest));
	objpool_packer_free(&rest);
	objpool_close(client);
	puts("done");
	return 0;
}
