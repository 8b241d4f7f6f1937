/* SPDX-License-Identifier: Apache-2.0 */
/* What a gateway knows of other hosts, by their beats and by what the bus tells: gateway/core/hosts.c. */
#include "gateway/core/gateway.h"
#include "gateway/core/hosts.h"
#include "gateway/core/put.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* The two hosts of a test. h2's beats go to h1 when the test says so. */
struct pair {
	struct gateway *h1, *h2;
	uint8_t beat[4096];
	size_t beat_size; /* of the last beat of h2 */
	unsigned beats;   /* of h1 */
};

static int on_publish(struct gateway *gateway, const char *host, const void *bytes, size_t size)
{
	(void)gateway, (void)host, (void)bytes, (void)size;
	return 0;
}

static bool on_room(struct gateway *gateway)
{
	(void)gateway;
	return true;
}

static int on_publish_beat(struct gateway *gateway, const void *bytes, size_t size)
{
	struct pair *pair = gateway->owner;

	if (gateway == pair->h1) {
		pair->beats++;
		return 0;
	}
	assert_true(size <= sizeof pair->beat);
	memcpy(pair->beat, bytes, size);
	pair->beat_size = size;
	return 0;
}

static void on_supervisor_wrote(struct gateway *gateway)
{
	(void)gateway;
}

static const struct gateway_ops ops = {
	.publish = on_publish, .publish_beat = on_publish_beat, .has_room = on_room, .supervisor_wrote = on_supervisor_wrote};

static struct span span_of(const char *text)
{
	return (struct span){.bytes = (const uint8_t *)text, .size = strlen(text)};
}

/* Virtual time goes on by so many milliseconds, one after the other. */
static void pass(struct pair *pair, unsigned ms)
{
	struct gateway *const both[] = {pair->h1, pair->h2};

	for (unsigned i = 0; i < ms; i++)
		for (unsigned k = 0; k < 2; k++) {
			both[k]->now += MILLISECOND;
			if (gateway_next(both[k]) <= both[k]->now)
				gateway_run(both[k]);
			gateway_end_turn(both[k]);
			sendq_clear(&both[k]->to_supervisor);
		}
}

static struct gateway *start(struct pair *pair, const char *name, uint64_t seed)
{
	struct gateway *gateway = gateway_new(&ops, pair, 1000 * SECOND, seed);
	struct sendq config = {0};
	struct iovec iov[8];

	assert_non_null(gateway);
	put_array(&config, 2);
	put_uint(&config, TO_GATEWAY_CONFIG);
	put_map(&config, 1);
	put_text(&config, "name");
	put_text(&config, name);
	assert_int_equal(sendq_iov(&config, iov, 8), 1);
	assert_int_equal(
		gateway_on_supervisor(gateway, (struct span){.bytes = iov[0].iov_base, .size = iov[0].iov_len}, NULL), 0);
	sendq_clear(&config);
	gateway_on_bus_up(gateway, 1 << 20, "a test");
	return gateway;
}

static void hear(struct pair *pair)
{
	gateway_on_beat(pair->h1, span_of("h2"), (struct span){.bytes = pair->beat, .size = pair->beat_size});
}

static const struct host *h2(const struct pair *pair)
{
	return hosts_find(pair->h1->hosts, span_of("h2"));
}

static int setup(void **state)
{
	struct pair *pair = calloc(1, sizeof *pair);

	assert_non_null(pair);
	pair->h1 = start(pair, "h1", 1);
	pair->h2 = start(pair, "h2", 2);
	pass(pair, 2000);
	hear(pair);
	assert_non_null(h2(pair));
	assert_int_equal(h2(pair)->state, HOST_READY);
	*state = pair;
	return 0;
}

static int teardown(void **state)
{
	struct pair *pair = *state;

	gateway_free(pair->h1);
	gateway_free(pair->h2);
	free(pair);
	return 0;
}

static void test_silence(void **state)
{
	struct pair *pair = *state;

	pass(pair, 899);
	assert_int_equal(h2(pair)->state, HOST_READY);
	pass(pair, 1);
	assert_int_equal(h2(pair)->state, HOST_SILENT);
	pass(pair, 1099);
	assert_int_equal(h2(pair)->state, HOST_SILENT);
	pass(pair, 1);
	assert_int_equal(h2(pair)->state, HOST_GONE);
	hear(pair); /* it had not ended */
	assert_int_equal(h2(pair)->state, HOST_READY);
}

static void test_a_beat_ends_the_silence(void **state)
{
	struct pair *pair = *state;

	pass(pair, 1500);
	assert_int_equal(h2(pair)->state, HOST_SILENT);
	hear(pair);
	assert_int_equal(h2(pair)->state, HOST_READY);
	pass(pair, 899);
	assert_int_equal(h2(pair)->state, HOST_READY);
}

static void test_the_bus_tells_that_it_has_disconnected(void **state)
{
	struct pair *pair = *state;

	gateway_on_disconnect(pair->h1, span_of("h2"));
	assert_int_equal(h2(pair)->state, HOST_SILENT);
	pass(pair, 499);
	assert_int_equal(h2(pair)->state, HOST_SILENT);
	pass(pair, 1);
	assert_int_equal(h2(pair)->state, HOST_GONE);
}

static void test_the_bus_tells_it_again_and_again(void **state)
{
	struct pair *pair = *state;

	for (int i = 0; i < 5; i++) {
		gateway_on_disconnect(pair->h1, span_of("h2"));
		pass(pair, 100);
	}
	assert_int_equal(h2(pair)->state, HOST_GONE);
	gateway_on_disconnect(pair->h1, span_of("h2"));
	gateway_on_disconnect(pair->h1, span_of("h3")); /* nobody knows it */
}

static void test_the_host_is_there_all_the_same(void **state)
{
	struct pair *pair = *state;

	pass(pair, 400);
	gateway_on_disconnect(pair->h1, span_of("h2"));
	pass(pair, 450);
	hear(pair);
	assert_int_equal(h2(pair)->state, HOST_READY);
	pass(pair, 899); /* what the bus had told no longer counts */
	assert_int_equal(h2(pair)->state, HOST_READY);
	pass(pair, 1);
	assert_int_equal(h2(pair)->state, HOST_SILENT);
	pass(pair, 1099);
	assert_int_equal(h2(pair)->state, HOST_SILENT);
}

static void test_it_was_silent_before(void **state)
{
	struct pair *pair = *state;

	pass(pair, 1800);
	gateway_on_disconnect(pair->h1, span_of("h2"));
	pass(pair, 200);
	assert_int_equal(h2(pair)->state, HOST_GONE);
}

static void test_it_is_this_host_itself(void **state)
{
	struct pair *pair = *state;

	pass(pair, 20); /* after whichever beat was the last */
	const unsigned before = pair->beats;
	gateway_on_disconnect(pair->h1, span_of("h1"));
	gateway_on_disconnect(pair->h1, span_of("h1"));
	pass(pair, 51);
	assert_int_equal(pair->beats - before, 1);
	assert_true(hosts_find(pair->h1->hosts, span_of("h1"))->state == HOST_READY);
}

/* An hour, in which the own daemon reads nothing. */
static void test_a_daemon_that_does_not_read_is_not_told_for_ever(void **state)
{
	struct pair *pair = *state;
	struct gateway *gateway = pair->h1;

	for (unsigned i = 0; i < 3600 * 10; i++) {
		gateway->now += 100 * MILLISECOND;
		gateway_run(gateway);
		gateway_log(gateway, LOG_WARNING, "nobody reads this");
		gateway_end_turn(gateway);
	}
	assert_true(gateway->to_supervisor.bytes <= GATEWAY_AHEAD + 4096);
	sendq_clear(&gateway->to_supervisor);
	for (unsigned i = 0; i < 20; i++) {
		gateway->now += 100 * MILLISECOND;
		gateway_run(gateway);
	}
	assert_true(gateway->to_supervisor.bytes > 0); /* it reads again, and is told again */
}

static void test_more_hosts_than_may_be(void **state)
{
	struct pair *pair = *state;
	const struct span beat = {.bytes = pair->beat, .size = pair->beat_size};
	struct hosts *hosts = pair->h1->hosts;
	char name[16];

	for (int i = 3; i <= HOSTS_MAX; i++) {
		snprintf(name, sizeof name, "h%d", i);
		gateway_on_beat(pair->h1, span_of(name), beat);
	}
	assert_int_equal(hosts->count, HOSTS_MAX);
	sendq_clear(&pair->h1->to_supervisor);
	gateway_on_beat(pair->h1, span_of("one-more"), beat);
	assert_null(hosts_find(hosts, span_of("one-more")));
	assert_true(pair->h1->to_supervisor.bytes > 0); /* a line for the log */
	sendq_clear(&pair->h1->to_supervisor);
	gateway_on_beat(pair->h1, span_of("two-more"), beat);
	assert_int_equal(pair->h1->to_supervisor.bytes, 0); /* not again so soon */
	pass(pair, 2500);
	gateway_on_beat(pair->h1, span_of("one-more"), beat); /* others are gone now */
	assert_non_null(hosts_find(hosts, span_of("one-more")));
	assert_int_equal(hosts->count, HOSTS_MAX);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_silence, setup, teardown),
		cmocka_unit_test_setup_teardown(test_a_beat_ends_the_silence, setup, teardown),
		cmocka_unit_test_setup_teardown(test_the_bus_tells_that_it_has_disconnected, setup, teardown),
		cmocka_unit_test_setup_teardown(test_the_bus_tells_it_again_and_again, setup, teardown),
		cmocka_unit_test_setup_teardown(test_the_host_is_there_all_the_same, setup, teardown),
		cmocka_unit_test_setup_teardown(test_it_was_silent_before, setup, teardown),
		cmocka_unit_test_setup_teardown(test_it_is_this_host_itself, setup, teardown),
		cmocka_unit_test_setup_teardown(test_a_daemon_that_does_not_read_is_not_told_for_ever, setup, teardown),
		cmocka_unit_test_setup_teardown(test_more_hosts_than_may_be, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
