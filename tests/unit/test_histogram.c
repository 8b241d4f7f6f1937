/* SPDX-License-Identifier: Apache-2.0 */
/* The core's histogram: every duration has one place, bounds rise and are their own places' ends, quantiles against sorted values. */
#include "daemon/core/base/histogram.h"
#include "proto/channel.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

enum { VALUES = 20000 };

static uint64_t seed = 20260101;

static uint64_t dice(uint64_t sides)
{
	seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (seed >> 20) % sides;
}

/* The place that a duration is counted in. */
static unsigned place_of(uint64_t nanoseconds)
{
	struct histogram histogram = {0};
	unsigned place = 0;

	histogram_add(&histogram, nanoseconds, 1);
	while (place < HISTOGRAM_PLACES && !histogram.places[place])
		place++;
	return place;
}

static void test_bounds_are_the_last_of_their_places(void **state)
{
	(void)state;
	for (unsigned place = 0; place < HISTOGRAM_PLACES - 1; place++) {
		assert_true(histogram_bound(place) < histogram_bound(place + 1));
		assert_int_equal(place_of(histogram_bound(place)), place);
		assert_int_equal(place_of(histogram_bound(place) + 1), place + 1);
	}
	assert_int_equal(histogram_bound(0), 1024);
	assert_int_equal(histogram_bound(1), 1280);
	assert_int_equal(histogram_bound(HISTOGRAM_PLACES - 2), UINT64_C(1) << 37);
	assert_int_equal(place_of(0), 0);
	assert_int_equal(place_of(UINT64_MAX), HISTOGRAM_PLACES - 1);
}

static void test_count_within(void **state)
{
	static const uint64_t values[] = {0, 1024, 1025, 2048, 2049, 1000000000, UINT64_C(1) << 37, UINT64_MAX / 4};
	struct histogram histogram = {0};

	(void)state;
	for (size_t i = 0; i < sizeof values / sizeof *values; i++)
		histogram_add(&histogram, values[i], 1);
	for (unsigned power = HISTOGRAM_FIRST; power <= HISTOGRAM_FIRST + HISTOGRAM_OCTAVES; power++) {
		uint64_t within = 0;
		for (size_t i = 0; i < sizeof values / sizeof *values; i++)
			within += values[i] <= UINT64_C(1) << power;
		assert_int_equal(histogram_count_within(&histogram, power), within);
	}
}

static void test_counts_sums_and_merges(void **state)
{
	struct histogram a = {0}, b = {0};

	(void)state;
	histogram_add(&a, 2000, 3);
	histogram_add(&b, 5000, 2);
	histogram_merge(&a, &b);
	assert_int_equal(a.count, 5);
	assert_int_equal(a.sum, 16000);
	assert_int_equal(a.most, 5000);
	assert_int_equal(histogram_count_within(&a, 11), 3);
	assert_int_equal(histogram_count_within(&a, 13), 5);
	histogram_merge(&b, &a);
	assert_int_equal(b.count, 7);
}

static int by_size(const void *a, const void *b)
{
	const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
	return (x > y) - (x < y);
}

/* A place is at most a quarter longer than the one before it. */
static void test_quantiles(void **state)
{
	static uint64_t values[VALUES];
	struct histogram histogram = {0};

	(void)state;
	assert_int_equal(histogram_quantile(&histogram, 0.5), 0);
	for (unsigned i = 0; i < VALUES; i++) {
		values[i] = 2000 + dice(UINT64_C(1) << (8 + dice(22)));
		histogram_add(&histogram, values[i], 1);
	}
	qsort(values, VALUES, sizeof *values, by_size);
	for (unsigned percent = 1; percent <= 100; percent++) {
		const double truth = (double)values[VALUES / 100 * percent - 1];
		const double told = (double)histogram_quantile(&histogram, percent / 100.0);
		assert_true(told > truth * 0.79 && told < truth * 1.26);
	}
	assert_int_equal(histogram_quantile(&histogram, 1), values[VALUES - 1]);
}

/* What a worker tells of a task's time fits 32 bits: exact below two seconds, to within 2^16 ns beyond. */
static void test_time_on_the_board(void **state)
{
	static const uint64_t exact[] = {0, 1, 999, 1000000000, INT32_MAX};

	(void)state;
	for (size_t i = 0; i < sizeof exact / sizeof *exact; i++)
		assert_int_equal(board_nanoseconds(board_spent(exact[i])), exact[i]);
	for (uint64_t time = (uint64_t)INT32_MAX + 1; time < UINT64_C(140000000000000); time += time / 3) {
		assert_true(board_nanoseconds(board_spent(time)) <= time);
		assert_true(time - board_nanoseconds(board_spent(time)) < 1 << 16);
	}
	assert_true(board_nanoseconds(board_spent(UINT64_MAX)) > UINT64_C(139000000000000));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bounds_are_the_last_of_their_places),
		cmocka_unit_test(test_count_within),
		cmocka_unit_test(test_counts_sums_and_merges),
		cmocka_unit_test(test_quantiles),
		cmocka_unit_test(test_time_on_the_board),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
