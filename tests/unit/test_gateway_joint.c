/* SPDX-License-Identifier: Apache-2.0 */
/* Calls that several hosts carry out together: all, scatter and map: gateway/core/gather.c, map.c, results.c. Hosts h2 and h3
 * have two slots each, and this host has none. */
#include "tests/unit/gateway_bench.h"

#include "gateway/core/session.h"
#include "gateway/core/sticky.h"

#define P              "[[\"p\", \"C\", 2, 2, 0, 0, false, null]]"
#define FAILURE(text)  "{\"code\": \"FAILED\", \"message\": \"" text "\", \"ran\": \"yes\"}"
#define CALL(id, rest) "[0, " #id ", \"objpool.call\", [" rest "]]"

static int setup(void **state)
{
	struct bench *bench = bench_new();

	played_new(bench, "h2", P);
	played_new(bench, "h3", P);
	(void)bench_heard(bench);
	*state = bench;
	return 0;
}

static int teardown(void **state)
{
	bench_free(*state);
	return 0;
}

static struct played *h2(void **state)
{
	return ((struct bench *)*state)->hosts[0];
}

static struct played *h3(void **state)
{
	return ((struct bench *)*state)->hosts[1];
}

static const struct host *known(struct bench *bench, const char *name)
{
	return hosts_find(bench->gateway->hosts, (struct span){.bytes = (const uint8_t *)name, .size = strlen(name)});
}

static void assert_has(const char *said, const char *part)
{
	if (!strstr(said, part))
		fail_msg("%s is not in\n%s", part, said);
}

static void assert_said(struct bench *bench, const char *part)
{
	assert_has(bench_heard(bench), part);
}

/* How many items have been fed to the host since. */
static unsigned fed(struct played *host)
{
	const char *at = played_heard(host, 1, false);
	unsigned n = 0;

	while ((at = strstr(at, "\"objpool.feed\", ["))) {
		const char *list = strchr(at + 17, '[');
		n++;
		for (at = list; *at && *at != ']'; at++)
			n += *at == ',';
	}
	return n;
}

static void break_conduit(struct played *host)
{
	played_frame(host, 9, 1, NULL, 0);
	host->seq = host->received = 0;
	host->stream[1].size = 0;
}

/* ---- map ---- */

static void begin_map(struct bench *bench, const char *options)
{
	char call[200];

	(void)snprintf(call, sizeof call,
		       "[0, 1, \"objpool.call\", [\"p@*:map\", \"m\", [[10, 11, 12, 13, 14, 15, 16, 17, 18, 19]], {%s}]]",
		       options);
	bench_ask(bench, call);
	(void)played_heard(bench->hosts[0], 1, false);
	(void)played_heard(bench->hosts[1], 1, false);
}

static void test_each_host_gets_its_share_within_its_credit(void **state)
{
	struct bench *bench = *state;

	begin_map(bench, "");
	played_says(h2(state), 1, false, "[2, \"objpool.credit\", [1, 2]]");
	assert_int_equal(fed(h2(state)), 2);
	played_says(h2(state), 1, false, "[2, \"objpool.credit\", [1, 100]]");
	assert_int_equal(fed(h2(state)), 4); /* half of the eight that were left */
	played_says(h3(state), 1, false, "[2, \"objpool.credit\", [1, 3]]");
	assert_int_equal(fed(h2(state)), 2); /* half of the four */
	assert_int_equal(fed(h3(state)), 1);
}

static void test_results_are_counted_once_and_put_in_order(void **state)
{
	struct bench *bench = *state;

	begin_map(bench, "");
	played_says(h2(state), 1, false, "[2, \"objpool.credit\", [1, 5]]");
	played_says(h3(state), 1, false, "[2, \"objpool.credit\", [1, 5]]");
	for (unsigned i = 0, left = 10; left > 0 && i < 10; i++) {
		const unsigned more = fed(h2(state)) + fed(h3(state));
		left -= more < left ? more : left;
		played_says(h2(state), 1, false, "[2, \"objpool.credit\", [1, 1]]");
		played_says(h3(state), 1, false, "[2, \"objpool.credit\", [1, 1]]");
	}
	/* h2 has five or more of them: all but its last are told twice. */
	const struct host *of_h2 = known(bench, "h2");
	assert_int_equal(of_h2->unanswered, 1);
	for (unsigned i = 0; i < 10; i++) {
		char result[80];
		for (int twice = 0; twice < 2; twice++) {
			(void)snprintf(result, sizeof result, "[2, \"objpool.result\", [1, %u, null, %u]]", i, 100 + i);
			played_says(h2(state), 1, false, result);
			(void)snprintf(result, sizeof result, "[2, \"objpool.result\", [1, %u, null, %u]]", i, 200 + i);
			if (i < 3)
				played_says(h3(state), 1, false, result);
		}
		if (i == 2)
			assert_null(strstr(bench_heard(bench), "[2, 1, [1, 1,")); /* not before all are there */
	}
	for (unsigned i = 3; i < 10; i++) {
		char result[80];
		(void)snprintf(result, sizeof result, "[2, \"objpool.result\", [1, %u, null, %u]]", i, 200 + i);
		played_says(h3(state), 1, false, result);
	}
	const char *said = bench_heard(bench);
	assert_has(said, "[2, 1, [1, 1, null, [");
	for (unsigned i = 0; i < 3; i++) {
		char value[8];
		(void)snprintf(value, sizeof value, "%u", 100 + i);
		assert_has(said, value);
		(void)snprintf(value, sizeof value, "%u", 200 + i);
		assert_has(said, value);
	}
}

static void test_a_result_that_comes_twice_does_not_end_the_map(void **state)
{
	struct bench *bench = *state;

	bench_ask(bench, CALL(1, "\"p@h2:map\", \"m\", [[]], {}"));
	bench_ask(bench, CALL(2, "\"p@*:map\", \"m\", [[10, 11]], {}"));
	played_beat(h3(state), "[]");
	played_says(h2(state), 1, false, "[2, \"objpool.credit\", [2, 9]]");
	played_says(h2(state), 1, false, "[2, \"objpool.credit\", [2, 9]]");
	for (int i = 0; i < 3; i++) /* of the second, before the first */
		played_says(h2(state), 1, false, "[2, \"objpool.result\", [2, 1, null, 8]]");
	assert_null(strstr(bench_heard(bench), "[1, 2, null"));
	played_says(h2(state), 1, false, "[2, \"objpool.result\", [2, 0, null, 7]]");
	assert_said(bench, "[1, 2, null, [7, 8]]");
}

static void test_what_a_lost_host_had_fails_and_the_rest_goes_on(void **state)
{
	struct bench *bench = *state;

	begin_map(bench, "\"errors\": \"collect\"");
	played_says(h2(state), 1, false, "[2, \"objpool.credit\", [1, 2]]");
	assert_int_equal(fed(h2(state)), 2);
	break_conduit(h2(state));
	played_beat(h2(state), "[]");
	played_says(h3(state), 1, false, "[2, \"objpool.credit\", [1, 100]]");
	assert_int_equal(fed(h3(state)), 8);
	for (unsigned i = 0; i < 8; i++) {
		char result[80];
		(void)snprintf(result, sizeof result, "[2, \"objpool.result\", [1, %u, null, 5]]", i);
		played_says(h3(state), 1, false, result);
	}
	const char *said = bench_heard(bench);
	assert_has(said, "\"ran\": \"maybe\"");
	assert_has(said, "\"index\": 0");
	assert_has(said, "\"index\": 1");
	assert_null(strstr(said, "\"index\": 2"));
}

static void test_an_idempotent_map_hands_out_again(void **state)
{
	struct bench *bench = *state;

	begin_map(bench, "\"idempotent\": true, \"errors\": \"collect\"");
	played_says(h2(state), 1, false, "[2, \"objpool.credit\", [1, 2]]");
	assert_int_equal(fed(h2(state)), 2);
	break_conduit(h2(state));
	played_beat(h2(state), "[]");
	played_says(h3(state), 1, false, "[2, \"objpool.credit\", [1, 1]]");
	assert_int_equal(fed(h3(state)), 1);
	played_says(h3(state), 1, false, "[1, 1, {\"code\": \"UNAVAILABLE\", \"message\": \"no\", \"ran\": \"no\"}, null]");
	played_beat(h3(state), "[]");
	bench_pass(bench, 3000);
	assert_has(bench_heard(bench), "\"ran\": \"maybe\""); /* the first two may have run, at h2 */
}

static void test_items_that_had_not_left_go_to_others(void **state)
{
	struct bench *bench = *state;
	static char call[100 * 1024];
	char *at = call + sprintf(call, "[2, 1, [0, 1, \"objpool.call\", [\"p@*:map\", \"m\", [[\"");

	memset(at, 'x', 80 * 1024); /* more than the first credit of a channel */
	strcpy(at + 80 * 1024, "\"]], {}]]]");
	bench_tell(bench, call);
	played_says(h2(state), 1, false, "[2, \"objpool.credit\", [1, 1]]");
	break_conduit(h2(state));
	played_beat(h2(state), "[]");
	(void)played_heard(h3(state), 1, false);
	played_says(h3(state), 1, false, "[2, \"objpool.credit\", [1, 1]]");
	assert_true(h3(state)->stream[1].size > 1000); /* it comes, as far as credit goes */
	assert_null(strstr(bench_heard(bench), "[2, 1, [1, 1,"));
}

static void test_an_ordered_stream_does_not_run_ahead(void **state)
{
	struct bench *bench = *state;

	begin_map(bench, "\"stream\": true, \"window\": 4");
	played_says(h2(state), 1, false, "[2, \"objpool.credit\", [1, 100]]");
	played_says(h3(state), 1, false, "[2, \"objpool.credit\", [1, 100]]");
	assert_in_range(fed(h2(state)) + fed(h3(state)), 1, 4);
	for (int i = 0; i < 20; i++) { /* nor by and by */
		played_says(h2(state), 1, false, "[2, \"objpool.credit\", [1, 100]]");
		played_says(h3(state), 1, false, "[2, \"objpool.credit\", [1, 100]]");
	}
	assert_int_equal(known(bench, "h2")->unanswered, 1);
	assert_true(fed(h2(state)) + fed(h3(state)) <= 3);
}

static void test_a_stream_waits_for_a_client_that_does_not_read(void **state)
{
	struct bench *bench = *state;
	static char result[300 * 1024];
	char *at = result + sprintf(result, "[2, \"objpool.result\", [1, 0, null, \"");

	begin_map(bench, "\"stream\": true, \"ordered\": false");
	played_says(h2(state), 1, false, "[2, \"objpool.credit\", [1, 1]]");
	assert_int_equal(fed(h2(state)), 1);
	struct session *session = session_find(bench->gateway, 1);
	memset(at, 'x', 20 * 1024);
	strcpy(at + 20 * 1024, "\"]]");
	session->untaken = GATEWAY_AHEAD; /* as if so much had been sent */
	played_says(h2(state), 1, false, result);
	assert_true(session->full);
	played_says(h2(state), 1, false, "[2, \"objpool.credit\", [1, 9]]");
	assert_int_equal(fed(h2(state)), 0);
	bench_tell(bench, "[4, 1, 1060000]");
	assert_false(session->full);
	assert_true(fed(h2(state)) > 0);
}

static void test_a_map_is_fed_within_its_credit(void **state)
{
	struct bench *bench = *state;

	bench_ask(bench, CALL(1, "\"p@*:map\", \"m\", null, {\"stream\": true, \"window\": 4}"));
	assert_said(bench, "\"objpool.credit\", [1, 4]");
	bench_ask(bench, "[2, \"objpool.feed\", [1, [1, 2, 3, 4]]]");
	assert_null(strstr(bench_heard(bench), "OVERLOADED"));
	bench_ask(bench, "[2, \"objpool.feed\", [1, [5]]]");
	assert_said(bench, "OVERLOADED");
}

/* ---- all, scatter ---- */

static void test_the_error_of_the_first_slot_is_told(void **state)
{
	struct bench *bench = *state;

	bench_ask(bench, CALL(1, "\"p@*:all\", \"m\", [], {}"));
	played_says(h3(state), 1, false, "[1, 1, null, [[null, 1], [" FAILURE("late") ", null]]]");
	assert_string_equal(bench_heard(bench), "");
	played_says(h2(state), 1, false, "[1, 1, null, [[" FAILURE("early") ", null], [null, 1]]]");
	const char *said = bench_heard(bench);
	assert_has(said, "early");
	assert_has(said, "\"index\": 0");
	bench_ask(bench, CALL(2, "\"p@*:all\", \"m\", [], {}")); /* the other way about */
	played_says(h2(state), 1, false, "[1, 2, null, [[" FAILURE("early") ", null], [null, 1]]]");
	played_says(h3(state), 1, false, "[1, 2, null, [[null, 1], [" FAILURE("late") ", null]]]");
	assert_said(bench, "early");
}

static void test_the_first_error_ends_it(void **state)
{
	struct bench *bench = *state;

	bench_ask(bench, CALL(1, "\"p@*:all\", \"m\", [], {\"errors\": \"first\"}"));
	(void)played_heard(h2(state), 1, false);
	played_says(h3(state), 1, false, "[2, \"objpool.result\", [1, 1, " FAILURE("no") ", null]]");
	assert_said(bench, "\"index\": 3");
	assert_has(played_heard(h2(state), 1, false), "objpool.cancel");
}

static void test_results_of_a_stream_come_once(void **state)
{
	struct bench *bench = *state;

	bench_ask(bench, CALL(1, "\"p@*:all\", \"m\", [], {\"stream\": true, \"ordered\": false}"));
	played_says(h3(state), 1, false, "[2, \"objpool.result\", [1, 1, null, 7]]");
	assert_said(bench, "[1, 3, null, 7]");
	played_says(h3(state), 1, false, "[2, \"objpool.result\", [1, 1, null, 8]]");
	played_says(h3(state), 1, false, "[2, \"objpool.result\", [1, 2, null, 9]]"); /* it has two slots */
	assert_string_equal(bench_heard(bench), "");
}

static void test_results_together_are_bounded(void **state)
{
	struct bench *bench = *state;
	static char answer[3000];
	char *at = answer + sprintf(answer, "[1, 1, null, [[null, \"");

	bench->gateway->max_message = 4000;
	memset(at, 'x', 2500);
	strcpy(at + 2500, "\"], [null, 1]]]");
	bench_ask(bench, CALL(1, "\"p@*:all\", \"m\", [], {}"));
	played_says(h2(state), 1, false, answer);
	assert_string_equal(bench_heard(bench), "");
	played_says(h3(state), 1, false, answer);
	assert_said(bench, "TOO_LARGE");
}

static void test_so_many_slots_and_no_more(void **state)
{
	struct bench *bench = *state;

	played_beat(h2(state), "[[\"p\", \"C\", 65536, 2, 0, 0, false, null]]");
	bench_ask(bench, CALL(1, "\"p@*:all\", \"m\", [], {}"));
	assert_said(bench, "TOO_LARGE");
}

static void test_a_sticky_call_that_all_refuse_is_not_kept(void **state)
{
	struct bench *bench = *state;
	static const char refused[] = "[1, 1, {\"code\": \"BAD_ARGUMENT\", \"message\": \"no\", \"ran\": \"no\"}, null]";

	bench_ask(bench, CALL(1, "\"p@*:all\", \"m\", [], {\"sticky\": \"append\"}"));
	assert_int_equal(bench->gateway->sticky_count, 1);
	played_says(h2(state), 1, false, refused);
	assert_int_equal(bench->gateway->sticky_count, 1);
	played_says(h3(state), 1, false, refused);
	assert_int_equal(bench->gateway->sticky_count, 0);
	assert_said(bench, "BAD_ARGUMENT");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(test_##name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(each_host_gets_its_share_within_its_credit),
		TEST(results_are_counted_once_and_put_in_order),
		TEST(a_result_that_comes_twice_does_not_end_the_map),
		TEST(what_a_lost_host_had_fails_and_the_rest_goes_on),
		TEST(an_idempotent_map_hands_out_again),
		TEST(items_that_had_not_left_go_to_others),
		TEST(an_ordered_stream_does_not_run_ahead),
		TEST(a_stream_waits_for_a_client_that_does_not_read),
		TEST(a_map_is_fed_within_its_credit),
		TEST(the_error_of_the_first_slot_is_told),
		TEST(the_first_error_ends_it),
		TEST(results_of_a_stream_come_once),
		TEST(results_together_are_bounded),
		TEST(so_many_slots_and_no_more),
		TEST(a_sticky_call_that_all_refuse_is_not_kept),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
