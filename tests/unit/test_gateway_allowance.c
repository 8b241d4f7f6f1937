/* SPDX-License-Identifier: Apache-2.0 */
/* How much a gateway holds for another host that takes nothing: gateway/core/allowance.h. The simulation plays the rest. */
#include "gateway/core/allowance.h"
#include "gateway/core/conduit.h"
#include "gateway/core/gateway.h"
#include "gateway/core/local.h"
#include "gateway/core/put.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { MEMORY = 16 << 20, SESSIONS = 100, READ = 64 << 10, LOCALS = SESSIONS, FLIGHTS = 4096 };

struct flight {
	struct gateway *to;
	const char *from;
	bool beat;
	uint8_t *bytes;
	size_t size;
};

/* Two hosts. What they publish waits until `deliver`. h1 serves; its sessions are in `locals`. */
struct pair {
	struct gateway *h1, *h2;
	struct flight flights[FLIGHTS];
	unsigned flight_count;
	struct local *locals[LOCALS];
	unsigned local_count;
};

static struct span span_of(const char *text)
{
	return (struct span){.bytes = (const uint8_t *)text, .size = strlen(text)};
}

static void fly(struct gateway *from, const void *bytes, size_t size, bool beat)
{
	struct pair *pair = from->owner;

	if (!pair->h1 || !pair->h2)
		return; /* one of them is being made, or freed */
	assert_true(pair->flight_count < FLIGHTS);
	struct flight *flight = &pair->flights[pair->flight_count++];
	*flight = (struct flight){
		.to = from == pair->h1 ? pair->h2 : pair->h1, .from = from == pair->h1 ? "h1" : "h2", .beat = beat};
	flight->bytes = malloc(size);
	assert_non_null(flight->bytes);
	memcpy(flight->bytes, bytes, size);
	flight->size = size;
}

static int on_publish(struct gateway *gateway, const char *host, const void *bytes, size_t size)
{
	(void)host;
	fly(gateway, bytes, size, false);
	return 0;
}

static int on_publish_beat(struct gateway *gateway, const void *bytes, size_t size)
{
	fly(gateway, bytes, size, true);
	return 0;
}

static void on_supervisor_wrote(struct gateway *gateway)
{
	(void)gateway;
}

static bool has_room(struct gateway *gateway)
{
	(void)gateway;
	return true;
}

static int on_local_open(struct local *local)
{
	struct pair *pair = local->gateway->owner;

	assert_true(pair->local_count < LOCALS);
	pair->locals[pair->local_count++] = local;
	return 0;
}

static void on_local_change(struct local *local)
{
	(void)local;
}

static void on_local_close(struct local *local)
{
	(void)local_free(local);
}

static const struct gateway_ops ops = {
	.publish = on_publish,
	.has_room = has_room,
	.publish_beat = on_publish_beat,
	.supervisor_wrote = on_supervisor_wrote,
	.local_open = on_local_open,
	.local_wrote = on_local_change,
	.local_reads = on_local_change,
	.local_close = on_local_close,
};

/* Gives the other host what a host has published, or (not `whole`) drops it. */
static void deliver(struct pair *pair, bool whole)
{
	for (unsigned i = 0; i < pair->flight_count; i++) {
		const struct flight flight = pair->flights[i];
		const struct span bytes = {.bytes = flight.bytes, .size = flight.size};
		if (whole && flight.beat)
			gateway_on_beat(flight.to, span_of(flight.from), bytes);
		else if (whole)
			gateway_on_packet(flight.to, span_of(flight.from), bytes);
		free(flight.bytes);
	}
	pair->flight_count = 0;
}

static void end_turns(struct pair *pair)
{
	struct gateway *const both[] = {pair->h1, pair->h2};

	for (unsigned k = 0; k < 2; k++) {
		gateway_end_turn(both[k]);
		sendq_clear(&both[k]->to_supervisor);
	}
}

static void pass(struct pair *pair, unsigned ms)
{
	struct gateway *const both[] = {pair->h1, pair->h2};

	for (unsigned i = 0; i < ms; i++) {
		for (unsigned k = 0; k < 2; k++) {
			both[k]->now += MILLISECOND;
			if (gateway_next(both[k]) <= both[k]->now)
				gateway_run(both[k]);
		}
		end_turns(pair);
		deliver(pair, true);
	}
}

/* A message of the supervisor, which is taken out of the queue. */
static void tell(struct gateway *gateway, struct sendq *message)
{
	uint8_t bytes[512];
	struct iovec iov[8];
	size_t size = 0;

	const int n = sendq_iov(message, iov, 8);
	for (int i = 0; i < n; i++) {
		assert_true(size + iov[i].iov_len <= sizeof bytes);
		memcpy(bytes + size, iov[i].iov_base, iov[i].iov_len);
		size += iov[i].iov_len;
	}
	assert_int_equal(gateway_on_supervisor(gateway, (struct span){.bytes = bytes, .size = size}, NULL), 0);
	sendq_clear(message);
}

static struct gateway *start(struct pair *pair, const char *name, uint64_t seed)
{
	struct gateway *gateway = gateway_new(&ops, pair, 1000 * SECOND, seed);
	struct sendq config = {0};

	assert_non_null(gateway);
	put_array(&config, 2);
	put_uint(&config, TO_GATEWAY_CONFIG);
	put_map(&config, 2);
	put_text(&config, "name");
	put_text(&config, name);
	put_pair(&config, "max_memory", MEMORY);
	tell(gateway, &config);
	gateway_on_bus_up(gateway, 1 << 20, "a test");
	return gateway;
}

/* A client of h2 calls h1. */
static void call(struct pair *pair, uint64_t sid)
{
	struct sendq to = {0};

	put_array(&to, 3);
	put_uint(&to, TO_GATEWAY_OPEN);
	put_uint(&to, sid);
	put_map(&to, 0);
	tell(pair->h2, &to);
	put_array(&to, 3);
	put_uint(&to, TO_GATEWAY_MESSAGE);
	put_uint(&to, sid);
	put_array(&to, 4);
	put_uint(&to, 0);
	put_uint(&to, 1);
	put_text(&to, "p@h1.get");
	put_array(&to, 0);
	tell(pair->h2, &to);
}

/* Each session of h1's daemon says all that is read of it. */
static void answer(struct pair *pair, unsigned reads)
{
	static const uint8_t bytes[READ];

	for (unsigned k = 0; k < reads; k++)
		for (unsigned i = 0; i < pair->local_count; i++)
			if (pair->locals[i]->reads)
				gateway_on_local_bytes(pair->locals[i], (struct span){.bytes = bytes, .size = sizeof bytes});
}

static void test_a_host_that_takes_nothing(void **state)
{
	struct pair *pair = calloc(1, sizeof *pair);

	(void)state;
	assert_non_null(pair);
	struct gateway *h1 = start(pair, "h1", 1), *h2 = start(pair, "h2", 2);
	pair->h1 = h1;
	pair->h2 = h2;
	pass(pair, 2000);
	for (uint64_t sid = 1; sid <= SESSIONS; sid++)
		call(pair, sid);
	pass(pair, 100);
	assert_int_equal(pair->local_count, SESSIONS);
	assert_int_equal(h1->served, SESSIONS);

	/* It has a quarter: half of what others may have. Each session had been read once before that was used up. */
	const struct host *host = hosts_find(h1->hosts, span_of("h2"));
	answer(pair, 20);
	assert_true(host->memory->used > MEMORY / 4);
	assert_true(host->memory->used < MEMORY / 4 + SESSIONS * (READ + 4096));
	assert_false(allowance_has_memory(host));
	assert_false(allowance_is_used_up(h1));
	end_turns(pair);
	assert_true(host->memory->used < MEMORY / 4 + SESSIONS * (READ + 4096) + CONDUIT_WINDOW + GATEWAY_PACKET);

	/* Another session is refused, and nothing is left when the host has gone. */
	deliver(pair, false);
	call(pair, SESSIONS + 1);
	end_turns(pair);
	deliver(pair, true);
	assert_int_equal(host->sessions, SESSIONS);
	pair->local_count = 0; /* they are freed with their channels */
	pair->h2 = gateway_free(h2);
	deliver(pair, false);
	for (unsigned i = 0; i < 4000; i++) {
		h1->now += MILLISECOND;
		gateway_run(h1);
		gateway_end_turn(h1);
		sendq_clear(&h1->to_supervisor);
	}
	assert_int_equal(h1->served, 0);
	assert_int_equal(h1->memory.used, 0);
	pair->h1 = gateway_free(h1);
	free(pair);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_a_host_that_takes_nothing)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
