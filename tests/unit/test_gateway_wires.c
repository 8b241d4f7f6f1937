/* SPDX-License-Identifier: Apache-2.0 */
/* What a gateway takes, and does not take, of hosts that do not keep to the protocol: gateway/core/conduit.c, channel.c and
 * serve.c. */
#include "tests/unit/gateway_bench.h"

#define P "[[\"p\", \"C\", 2, 2, 0, 0, false, null]]"

static int setup(void **state)
{
	struct bench *bench = bench_new();

	played_new(bench, "h2", P);
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

static const struct host *known(void **state)
{
	struct bench *bench = *state;
	return hosts_find(bench->gateway->hosts, (struct span){.bytes = (const uint8_t *)"h2", .size = 2});
}

static bool lives(void **state)
{
	return known(state)->conduit && !known(state)->conduit->dead;
}

/* Its session, and the first DATA. */
static void open_one(struct played *host, uint32_t channel)
{
	played_frame(host, OPEN | BY_OPENER, channel, "bob", 3);
}

/* ---- who may speak ---- */

static void test_packets_of_others_are_dropped(void **state)
{
	struct played *host = h2(state);
	uint8_t frame[64];
	const size_t size = frame_put(frame, OPEN | BY_OPENER, 1, "bob", 3);
	struct head head = played_head(host);

	head.to++;
	played_packet(host, &head, frame, size);
	head = played_head(host);
	head.from++;
	played_packet(host, &head, frame, size);
	head = played_head(host);
	head.epoch = 0;
	played_packet(host, &head, frame, size);
	assert_null(known(state)->conduit);
	assert_int_equal(((struct bench *)*state)->local_count, 0);
	head = played_head(host);
	played_packet(host, &head, frame, size);
	assert_int_equal(((struct bench *)*state)->local_count, 1);
	assert_string_equal(((struct bench *)*state)->locals[0]->host, "h2");
	assert_string_equal(((struct bench *)*state)->locals[0]->user, "bob");
}

static void test_packets_of_a_host_that_is_gone_are_dropped(void **state)
{
	struct played *host = h2(state);
	struct bench *bench = *state;

	bench_pass(bench, 2500);
	assert_int_equal(known(state)->state, HOST_GONE);
	open_one(host, 1);
	assert_int_equal(bench->local_count, 0);
	assert_null(known(state)->conduit);
}

static void test_who_refuses_to_serve_takes_nothing(void **state)
{
	struct bench *bench = *state;

	bench->gateway->state = GATEWAY_REFUSED;
	open_one(h2(state), 1);
	assert_null(known(state)->conduit);
	bench->gateway->state = GATEWAY_DRAINING;
	h2(state)->seq = 0;
	open_one(h2(state), 1);
	assert_non_null(known(state)->conduit);
	assert_int_equal(bench->local_count, 0); /* no new sessions */
	bench_pass(bench, 50);
	assert_string_equal(h2(state)->frames, "CLOSE 1 1 it is stopping\n");
}

static void test_a_packet_that_is_not_whole_is_dropped(void **state)
{
	struct played *host = h2(state);
	struct bench *bench = *state;
	uint8_t bytes[CONDUIT_HEAD] = {2};

	gateway_on_packet(bench->gateway, (struct span){.bytes = (const uint8_t *)"h2", .size = 2},
			  (struct span){.bytes = bytes, .size = sizeof bytes});
	assert_int_equal(bench->gateway->late, 1);
	open_one(host, 1);
	assert_int_equal(bench->local_count, 1);
	/* Nor is a beat that is not: this one is h1's own, as if it came from h9. */
	const struct span h9 = {.bytes = (const uint8_t *)"h9", .size = 2};
	bench->beat.bytes[bench->beat.size - 1] ^= 1;
	gateway_on_beat(bench->gateway, h9, (struct span){.bytes = bench->beat.bytes, .size = bench->beat.size});
	assert_null(hosts_find(bench->gateway->hosts, h9));
	bench->beat.bytes[bench->beat.size - 1] ^= 1;
	gateway_on_beat(bench->gateway, h9, (struct span){.bytes = bench->beat.bytes, .size = bench->beat.size});
	assert_non_null(hosts_find(bench->gateway->hosts, h9));
}

/* ---- order ---- */

static void test_each_packet_counts_once_and_in_its_order(void **state)
{
	struct played *host = h2(state);
	struct bench *bench = *state;
	uint8_t frame[64];
	struct head head;

	open_one(host, 1);
	played_says(host, 1, true, "[0, 0, \"objpool.hello\", [{}]]");
	(void)bench_local_heard(bench, 0);
	for (unsigned i = 3; i > 0; i--) { /* the last comes first, and each twice */
		const uint8_t number = (uint8_t)i;
		head = played_head(host);
		head.seq = host->seq + i;
		const size_t size = frame_put(frame, DATA | BY_OPENER, 1, &number, 1);
		played_packet(host, &head, frame, size);
		played_packet(host, &head, frame, size);
	}
	host->seq += 3;
	assert_string_equal(bench_local_heard(bench, 0), "1\n2\n3\n");
	assert_int_equal(known(state)->duplicates, 3);
	assert_int_equal(known(state)->conduit->early_count, 0);
}

static void test_what_comes_too_early_is_not_kept(void **state)
{
	struct played *host = h2(state);
	uint8_t frame[64];
	const size_t size = frame_put(frame, DATA | BY_OPENER, 1, "x", 1);
	struct head head;

	open_one(host, 1);
	for (unsigned i = 2; i < 2 * CONDUIT_PACKETS; i++) {
		head = played_head(host);
		head.seq = host->seq + i;
		played_packet(host, &head, frame, size);
	}
	assert_int_equal(known(state)->conduit->early_count, CONDUIT_PACKETS - 1);
	head.seq = UINT64_MAX;
	played_packet(host, &head, frame, size);
	assert_int_equal(known(state)->conduit->early_count, CONDUIT_PACKETS - 1);
}

static void test_the_bytes_of_what_comes_early_are_bounded(void **state)
{
	struct played *host = h2(state);
	const size_t room = GATEWAY_PACKET - CONDUIT_HEAD;
	uint8_t *frame = calloc(1, room);

	assert_non_null(frame);
	open_one(host, 1);
	(void)frame_put(frame, DATA | BY_OPENER, 1, NULL, 0);
	for (unsigned i = 2; i < CONDUIT_PACKETS; i++) {
		struct head head = played_head(host);
		head.seq = host->seq + i;
		played_packet(host, &head, frame, room);
	}
	assert_true(known(state)->conduit->early_bytes >= CONDUIT_WINDOW);
	assert_true(known(state)->conduit->early_bytes < CONDUIT_WINDOW + 2 * GATEWAY_PACKET);
	free(frame);
}

/* ---- epochs ---- */

static void test_an_older_epoch_is_answered_and_not_taken(void **state)
{
	struct played *host = h2(state);
	struct bench *bench = *state;
	struct head head;
	uint8_t frame[64];

	host->epoch = 5;
	open_one(host, 1);
	assert_int_equal(bench->local_count, 1);
	const unsigned late = (unsigned)known(state)->late;
	head = played_head(host);
	head.epoch = 4;
	head.seq = 1;
	host->epoch = 0;
	played_packet(host, &head, frame, frame_put(frame, OPEN | BY_OPENER, 2, "bob", 3));
	assert_int_equal(bench->local_count, 1);
	assert_int_equal(known(state)->late, late + 1);
	assert_int_equal(host->epoch, 5); /* the answer said it */
}

static void test_a_higher_epoch_ends_what_was(void **state)
{
	struct played *host = h2(state);
	struct bench *bench = *state;

	open_one(host, 1);
	bench_ask(bench, "[0, 1, \"p@h2.m\", []]");
	host->epoch = 9;
	host->seq = host->received = 0;
	open_one(host, 1);
	assert_true(bench->closed[0]);
	assert_int_equal(bench->local_count, 2);
	assert_non_null(strstr(bench_heard(bench), "HOST_LOST"));
	assert_int_equal(known(state)->conduit->epoch, 9);
}

static void test_no_epoch_is_used_twice(void **state)
{
	struct played *host = h2(state);
	struct bench *bench = *state;
	uint64_t epochs[3];

	for (unsigned i = 0; i < 3; i++) {
		host->received = 0;
		bench_ask(bench, "[0, 1, \"p@h2.m\", []]");
		epochs[i] = known(state)->conduit->epoch;
		played_frame(host, 9, 1, NULL, 0); /* no such frame: the conduit dies */
		host->seq = 0;
		if (i > 0)
			assert_true(epochs[i] > epochs[i - 1]);
	}
	host->is_deaf = true; /* else its acknowledgements would tell the epoch */
	/* Nor after the host's name was another's, and is its own again. */
	struct played *other = played_new(bench, "h2", P);
	bench_pass(bench, 1000);
	played_beat(other, P);
	assert_int_equal(known(state)->incarnation, other->incarnation);
	assert_int_equal(known(state)->next_epoch, 1);
	bench_pass(bench, 1000);
	played_beat(host, P);
	assert_int_equal(known(state)->incarnation, host->incarnation);
	assert_true(known(state)->next_epoch > epochs[2]);
	/* Nor after it was forgotten. */
	bench_pass(bench, 650 * 1000);
	assert_null(known(state));
	played_beat(host, P);
	assert_true(known(state)->next_epoch > epochs[2]);
}

/* ---- acknowledgements, and their absence ---- */

static void ask_much(struct bench *bench, unsigned count)
{
	static char message[220 * 1024];
	unsigned n = (unsigned)snprintf(message, sizeof message, "[2, 1, [0, %u, \"p@h2.m\", [\"", count);

	memset(message + n, 'x', 200 * 1024);
	strcpy(message + n + 200 * 1024, "\"]]]");
	bench_tell(bench, message);
}

static void test_no_more_than_the_window_is_under_way(void **state)
{
	struct played *host = h2(state);
	struct bench *bench = *state;
	static const uint8_t much[4] = {0x7f};

	bench_ask(bench, "[0, 1, \"p@h2.m\", []]");
	played_frame(host, CREDIT, 1, much, 4);
	host->is_deaf = true;
	for (unsigned i = 2; i < 60; i++)
		ask_much(bench, i);
	const struct conduit *conduit = known(state)->conduit;
	assert_true(conduit->unacked_bytes >= CONDUIT_WINDOW);
	assert_true(conduit->unacked_bytes < CONDUIT_WINDOW + GATEWAY_PACKET);
	assert_true(conduit->unacked_count < CONDUIT_PACKETS);
}

static void test_no_more_packets_are_under_way_than_may_be(void **state)
{
	struct played *host = h2(state);
	struct bench *bench = *state;

	bench_ask(bench, "[0, 1, \"p@h2.m\", []]");
	host->is_deaf = true;
	for (unsigned i = 2; i < 2 * CONDUIT_PACKETS; i++) {
		char message[100];
		(void)snprintf(message, sizeof message, "[0, %u, \"p@h2.m\", []]", i);
		bench_ask(bench, message);
	}
	assert_int_equal(known(state)->conduit->unacked_count, CONDUIT_PACKETS);
}

/* Acknowledgements don't wait for room. */
static void test_packets_are_made_when_the_bus_has_room(void **state)
{
	struct played *host = h2(state);
	struct bench *bench = *state;

	bench_ask(bench, "[0, 1, \"p@h2.m\", []]");
	const unsigned packets = host->packets;
	bench->full = true;
	bench_ask(bench, "[0, 2, \"p@h2.m\", []]");
	bench_pass(bench, 50);
	assert_int_equal(host->packets, packets);
	open_one(host, 1);
	bench_pass(bench, 50);
	assert_int_equal(host->last_ack, host->seq);
	assert_int_equal(host->packets, packets);
	bench->full = false;
	bench_end_turn(bench);
	assert_int_equal(host->packets, packets + 1);
}

static void test_an_end_takes_a_conduit_from_those_that_wait_for_room(void **state)
{
	struct played *host = h2(state);
	struct bench *bench = *state;

	bench_ask(bench, "[0, 1, \"p@h2.m\", []]");
	bench->full = true;
	bench_ask(bench, "[0, 2, \"p@h2.m\", []]");
	assert_false(TAILQ_EMPTY(&bench->gateway->stuck));
	played_says_bye(host);
	assert_true(TAILQ_EMPTY(&bench->gateway->stuck));
	bench->full = false;
	bench_end_turn(bench);
}

static void test_an_acknowledgement_of_what_was_not_sent_is_dropped(void **state)
{
	struct played *host = h2(state);
	struct bench *bench = *state;
	struct head head;

	host->is_deaf = true;
	bench_ask(bench, "[0, 1, \"p@h2.m\", []]");
	assert_int_equal(known(state)->conduit->unacked_count, 1);
	head = played_head(host);
	head.seq = 0;
	head.ack = 2;
	played_packet(host, &head, NULL, 0);
	assert_int_equal(known(state)->conduit->unacked_count, 1);
	head.ack = 1;
	played_packet(host, &head, NULL, 0);
	assert_int_equal(known(state)->conduit->unacked_count, 0);
}

static void test_what_is_not_acknowledged_is_sent_again_and_given_up(void **state)
{
	struct played *host = h2(state);
	struct bench *bench = *state;

	host->is_deaf = true;
	bench_ask(bench, "[0, 1, \"p@h2.m\", []]");
	assert_int_equal(host->packets, 1);
	for (unsigned i = 0; i < 19; i++) { /* it is heard all the time, but takes nothing */
		struct head head = played_head(host);
		head.seq = head.ack = 0;
		bench_pass(bench, 100);
		played_beat(host, P);
		played_packet(host, &head, NULL, 0);
		assert_true(lives(state));
	}
	assert_in_range(host->packets, 4, 12);
	bench_pass(bench, 150);
	assert_null(known(state)->conduit);
	assert_non_null(strstr(bench_heard(bench), "\"code\": \"HOST_LOST\""));
}

static void test_a_silent_conduit_dies_though_the_host_is_there(void **state)
{
	struct played *host = h2(state);
	struct bench *bench = *state;

	bench_ask(bench, "[0, 1, \"p@h2.m\", []]");
	bench_pass(bench, 20);
	host->is_deaf = true; /* and says nothing but beats */
	for (unsigned i = 0; i < 24; i++) {
		bench_pass(bench, 100);
		played_beat(host, P);
	}
	bench_pass(bench, 50);
	assert_null(known(state)->conduit);
	assert_non_null(strstr(bench_heard(bench), "\"ran\": \"maybe\""));
}

static void test_who_stood_still_does_not_blame_others(void **state)
{
	struct played *host = h2(state);
	struct bench *bench = *state;

	bench_ask(bench, "[0, 1, \"p@h2.m\", []]");
	bench_pass(bench, 20);
	bench->gateway->now += 30 * SECOND; /* the process had no CPU */
	gateway_run(bench->gateway);
	gateway_end_turn(bench->gateway);
	assert_int_equal(known(state)->state, HOST_READY);
	assert_true(lives(state));
	played_beat(host, P);
	bench_pass(bench, 100);
	assert_true(lives(state));
	assert_string_equal(bench_heard(bench), "");
}

/* ---- channels ---- */

static void test_more_than_credit_ends_the_conduit(void **state)
{
	struct played *host = h2(state);
	struct bench *bench = *state;
	static const uint8_t bytes[CHANNEL_FIRST];

	open_one(host, 1);
	played_frame(host, DATA | BY_OPENER, 1, bytes, CHANNEL_FIRST);
	assert_true(lives(state));
	played_frame(host, DATA | BY_OPENER, 1, bytes, 1);
	assert_false(lives(state));
	assert_true(bench->closed[0]);
}

static void test_credit_is_what_the_daemon_has_taken(void **state)
{
	struct played *host = h2(state);
	struct bench *bench = *state;
	static const uint8_t bytes[50000];
	char credit[80];

	open_one(host, 1);
	played_frame(host, DATA | BY_OPENER, 1, bytes, sizeof bytes);
	bench_pass(bench, 100);
	assert_string_equal(host->frames, ""); /* the daemon has not read it */
	(void)bench_local_heard(bench, 0);
	bench_pass(bench, 100);
	(void)snprintf(credit, sizeof credit, "CREDIT 1 %zu\n", sizeof bytes + CHANNEL_WINDOW - CHANNEL_FIRST);
	assert_string_equal(host->frames, credit);
}

static void test_windows_are_within_the_memory(void **state)
{
	struct played *host = h2(state);
	struct bench *bench = *state;
	unsigned widened = 0;

	bench->gateway->memory.limit = 20 * CHANNEL_WINDOW; /* a quarter is for wide windows, and half of it for one host */
	for (uint32_t i = 1; i <= 4; i++) {
		open_one(host, i);
		played_says(host, i, true, "[0, 0, \"objpool.hello\", [{}]]");
		(void)bench_local_heard(bench, i - 1);
		bench_pass(bench, 100);
	}
	for (const char *at = host->frames; (at = strstr(at, "CREDIT")); at++)
		widened += strtoul(strchr(at + 7, ' '), NULL, 10) > CHANNEL_FIRST;
	assert_int_equal(widened, 2);
	assert_int_equal(bench->gateway->others_promised, 2 * CHANNEL_WINDOW);
	played_frame(host, CLOSE | BY_OPENER, 1, "", 1);
	assert_int_equal(bench->gateway->others_promised, CHANNEL_WINDOW);
}

static void test_who_holds_too_much_takes_no_sessions(void **state)
{
	struct bench *bench = *state;

	bench->gateway->memory.limit = 1 << 20;
	account_charge(known(state)->memory, 256 << 10);
	open_one(h2(state), 1);
	bench_pass(bench, 50);
	assert_int_equal(bench->local_count, 0);
	assert_string_equal(h2(state)->frames, "CLOSE 1 1 its gateway holds as much for this host as it may "
				      "(max_memory in its section [cluster])\n");
	account_credit(known(state)->memory, 256 << 10);
}

static void test_what_ends_a_conduit(void **state)
{
	static const struct {
		unsigned kind;
		const char *payload;
		size_t size;
	} bad[] = {
		{OPEN, "bob", 3},                 /* not by its opener */
		{OPEN | BY_OPENER, "", 0},        /* no user */
		{OPEN | BY_OPENER, "a\0b", 3},    /* a user whose name is not all of it */
		{OPEN | BY_OPENER, "bob", 3},     /* of a channel that is open */
		{CREDIT | BY_OPENER, "abc", 3},   /* no number */
		{CLOSE | BY_OPENER, "", 0},       /* no end */
		{CLOSE | BY_OPENER, "\2", 1},     /* an end that only this side can tell */
		{9 | BY_OPENER, "", 0},           /* no frame */
	};
	struct played *host = h2(state);
	struct bench *bench = *state;

	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		host->seq = host->received = 0;
		open_one(host, 1);
		assert_true(lives(state));
		const unsigned locals = bench->local_count;
		played_frame(host, bad[i].kind, i < 3 ? 2 : 1, bad[i].payload, bad[i].size);
		if (lives(state))
			fail_msg("case %zu", i);
		assert_true(bench->closed[locals - 1]);
		host->epoch++;
	}
}

static void test_a_host_has_so_many_sessions_and_no_more(void **state)
{
	struct played *host = h2(state);
	struct bench *bench = *state;

	bench->gateway->max_sessions = 8;
	for (uint32_t i = 1; i <= 5; i++)
		open_one(host, i);
	bench_pass(bench, 50);
	assert_int_equal(known(state)->sessions, 4); /* as many as are free */
	assert_non_null(strstr(host->frames, "CLOSE 5 1 this host has as many sessions there as it may (max_sessions"));
	assert_true(lives(state));
	known(state)->conduit->opened_by_peer = 4 + CHANNELS_UNSERVED; /* who does not take refusals either */
	open_one(host, 1001);
	assert_false(lives(state));
}

static void test_channels_take_turns(void **state)
{
	struct played *host = h2(state);
	struct bench *bench = *state;
	static const uint8_t much[4] = {0x10}, bytes[100 * 1024];

	for (uint32_t i = 1; i <= 2; i++) {
		open_one(host, i);
		played_frame(host, CREDIT | BY_OPENER, i, much, 4);
	}
	bench_pass(bench, 50);
	host->frames[0] = '\0';
	gateway_on_local_bytes(bench->locals[0], (struct span){.bytes = bytes, .size = sizeof bytes});
	gateway_on_local_bytes(bench->locals[1], (struct span){.bytes = bytes, .size = sizeof bytes});
	bench_end_turn(bench);
	const char *first = strstr(host->frames, "DATA 1 "), *second = strstr(host->frames, "DATA 2 ");
	assert_true(first && second && second > first);
	assert_int_equal(strtoul(first + 7, NULL, 10), 16 << 10);
	assert_ptr_equal(strchr(first, '\n') + 1, second); /* the second's turn comes after a piece of the first */
	assert_int_equal(host->answers[1].size, sizeof bytes);
	assert_int_equal(host->answers[2].size, sizeof bytes);
}

static void test_what_was_written_is_sent_before_the_end(void **state)
{
	struct played *host = h2(state);
	struct bench *bench = *state;
	static const uint8_t bytes[CHANNEL_FIRST + 1000], some[4] = {0, 0, 0xff, 0xff};

	open_one(host, 1);
	open_one(host, 2);
	gateway_on_local_bytes(bench->locals[1], (struct span){.bytes = bytes, .size = sizeof bytes}); /* so that there is room */
	gateway_on_local_bytes(bench->locals[0], (struct span){.bytes = bytes, .size = sizeof bytes});
	gateway_on_local_gone(bench->locals[0]);
	bench_end_turn(bench);
	bench_pass(bench, 50);
	assert_int_equal(host->answers[1].size, CHANNEL_FIRST);
	assert_null(strstr(host->frames, "CLOSE"));
	played_frame(host, CREDIT | BY_OPENER, 1, some, 4);
	assert_int_equal(host->answers[1].size, sizeof bytes);
	assert_non_null(strstr(host->frames, "CLOSE 1 0 its daemon has closed the session\n"));
}

static void test_a_daemon_is_not_read_while_its_answers_wait(void **state)
{
	struct played *host = h2(state);
	struct bench *bench = *state;
	static const uint8_t bytes[100 << 10], much[4] = {0x10};

	open_one(host, 1);
	for (unsigned i = 0; i < 3; i++) {
		assert_true(bench->locals[0]->reads);
		bench_local_bytes(bench, 0, bytes, sizeof bytes);
	}
	bench_local_bytes(bench, 0, bytes, sizeof bytes);
	assert_false(bench->locals[0]->reads);
	played_frame(host, CREDIT | BY_OPENER, 1, much, 4);
	assert_true(bench->locals[0]->reads);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(test_##name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(packets_of_others_are_dropped),
		TEST(packets_of_a_host_that_is_gone_are_dropped),
		TEST(who_refuses_to_serve_takes_nothing),
		TEST(a_packet_that_is_not_whole_is_dropped),
		TEST(each_packet_counts_once_and_in_its_order),
		TEST(what_comes_too_early_is_not_kept),
		TEST(the_bytes_of_what_comes_early_are_bounded),
		TEST(an_older_epoch_is_answered_and_not_taken),
		TEST(a_higher_epoch_ends_what_was),
		TEST(no_epoch_is_used_twice),
		TEST(no_more_than_the_window_is_under_way),
		TEST(no_more_packets_are_under_way_than_may_be),
		TEST(packets_are_made_when_the_bus_has_room),
		TEST(an_end_takes_a_conduit_from_those_that_wait_for_room),
		TEST(an_acknowledgement_of_what_was_not_sent_is_dropped),
		TEST(what_is_not_acknowledged_is_sent_again_and_given_up),
		TEST(a_silent_conduit_dies_though_the_host_is_there),
		TEST(who_stood_still_does_not_blame_others),
		TEST(more_than_credit_ends_the_conduit),
		TEST(credit_is_what_the_daemon_has_taken),
		TEST(windows_are_within_the_memory),
		TEST(who_holds_too_much_takes_no_sessions),
		TEST(what_ends_a_conduit),
		TEST(a_host_has_so_many_sessions_and_no_more),
		TEST(channels_take_turns),
		TEST(what_was_written_is_sent_before_the_end),
		TEST(a_daemon_is_not_read_while_its_answers_wait),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
