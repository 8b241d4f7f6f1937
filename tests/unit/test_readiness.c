/* SPDX-License-Identifier: Apache-2.0 */
/* Which channels with rings are read in a turn, if there are more than one turn has room for. */
#include "client/c/readiness.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

enum { CHANNELS = 2 * READINESS_MAX + 6, ROUTES = 3 };

/* A connection with channels in several routes, whose rings are one pair, in which there is always something to read. */
struct stage {
	struct objpool_client client;
	struct rings worker, rings;
	int daemon;
	struct route *routes[ROUTES];
	struct channel channels[CHANNELS];
	unsigned reads[CHANNELS];
};

static void open_rings(struct stage *stage)
{
	int files[RINGS_FILES];

	assert_int_equal(rings_make(&stage->worker, files), 0);
	assert_int_equal(rings_open(&stage->rings, files), 0);
	assert_int_equal(rings_put(&stage->worker, "x", 1), 1);
}

static void add_channels(struct stage *stage)
{
	struct channels *channels = &stage->client.channels;

	for (int i = 0; i < ROUTES; i++) {
		struct route *route = stage->routes[i] = route_new("sim", 3, 3, -1);
		assert_non_null(route);
		route->next = channels->routes;
		channels->routes = route;
	}
	for (int i = 0; i < CHANNELS; i++) {
		struct route *route = stage->routes[i % ROUTES];
		stage->channels[i].wire.rings = &stage->rings;
		stage->channels[i].next = route->channels;
		route->channels = &stage->channels[i];
	}
	channels->with_rings = CHANNELS;
}

static struct stage *begin(void)
{
	struct stage *stage = calloc(1, sizeof *stage);
	int fds[2];

	assert_non_null(stage);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	stage->daemon = fds[0];
	stage->client.wire.fd = fds[1];
	stage->client.channels.nudge = -1;
	assert_int_equal(readiness_open(&stage->client), 0);
	open_rings(stage);
	add_channels(stage);
	return stage;
}

static void end(struct stage *stage)
{
	close(stage->client.channels.epoll);
	close(stage->client.wire.fd);
	close(stage->daemon);
	rings_close(&stage->rings);
	rings_close(&stage->worker);
	for (int i = 0; i < ROUTES; i++)
		free(stage->routes[i]);
	free(stage);
}

/* Returns how many were ready. */
static int turn(struct stage *stage)
{
	struct ready ready[READINESS_MAX];
	const int n = readiness_wait(&stage->client, ready, 0);

	for (int i = 0; i < n; i++)
		if (ready[i].channel)
			stage->reads[ready[i].channel - stage->channels]++;
	return n;
}

/* As a call does for its route. */
static void move_last_route_to_front(struct channels *channels)
{
	struct route **last = &channels->routes;

	while ((*last)->next)
		last = &(*last)->next;
	struct route *route = *last;
	*last = NULL;
	route->next = channels->routes;
	channels->routes = route;
}

static void test_all_have_their_turn(void **state)
{
	struct stage *stage = begin();

	(void)state;
	for (unsigned turns = 0; turns < 20; turns++) {
		assert_int_equal(turn(stage), READINESS_MAX);
		move_last_route_to_front(&stage->client.channels);
	}
	for (int i = 1; i < CHANNELS; i++)
		assert_in_range(stage->reads[i], stage->reads[0] - 1, stage->reads[0] + 1);
	end(stage);
}

static void test_the_connection_is_heard_beside_them(void **state)
{
	struct stage *stage = begin();
	struct ready ready[READINESS_MAX];

	(void)state;
	assert_int_equal(write(stage->daemon, "x", 1), 1);
	assert_int_equal(readiness_wait(&stage->client, ready, 0), READINESS_MAX);
	assert_null(ready[0].channel);
	end(stage);
}

/* A round ends when none is left, not when the next turn begins. */
static void test_few_are_read_in_each_turn(void **state)
{
	struct stage *stage = begin();

	(void)state;
	for (int i = 5; i < CHANNELS; i++)
		stage->channels[i].wire.rings = NULL;
	for (unsigned turns = 1; turns < 5; turns++) {
		assert_int_equal(turn(stage), 5);
		for (int i = 0; i < 5; i++)
			assert_int_equal(stage->reads[i], turns);
	}
	end(stage);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_all_have_their_turn),
		cmocka_unit_test(test_the_connection_is_heard_beside_them),
		cmocka_unit_test(test_few_are_read_in_each_turn),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
