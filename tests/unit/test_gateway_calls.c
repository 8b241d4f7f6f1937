/* SPDX-License-Identifier: Apache-2.0 */
/* Where calls go, how often, and what is said of them when hosts are lost: gateway/core/hosts.c, route.c, lane.c, remote_call.c,
 * session.c, sticky.c. */
#include "gateway/core/held.h"
#include "tests/unit/gateway_bench.h"

#include "gateway/core/session.h"
#include "gateway/core/sticky.h"

#define P              "[[\"p\", \"C\", 2, 2, 0, 0, false, null]]"
#define OWN(more)      "[5, [" more "]]"
#define OWN_P          OWN("[\"p\", \"C\", 2, [0, 1], 0, 0, false, null]")
#define CALL(id, rest) "[0, " #id ", \"objpool.call\", [" rest "]]"
#define IDEMPOTENT(id) CALL(id, "\"p@*\", \"m\", [], {\"idempotent\": true}")

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

static struct host *known(struct bench *bench, const char *name)
{
	return hosts_find(bench->gateway->hosts, (struct span){.bytes = (const uint8_t *)name, .size = strlen(name)});
}

static unsigned count(const char *text, const char *part)
{
	unsigned n = 0;

	for (; (text = strstr(text, part)); text += strlen(part))
		n++;
	return n;
}

static void assert_said(struct bench *bench, const char *part)
{
	const char *said = bench_heard(bench);

	if (!strstr(said, part))
		fail_msg("%s is not in\n%s", part, said);
}

static void assert_no_answer(struct bench *bench)
{
	const char *said = bench_heard(bench);

	if (strstr(said, "[2, 1, "))
		fail_msg("%s", said);
}

/* The host that has been asked the last call, the other, and its number there. */
static struct played *asked(void **state, struct played **other, unsigned *number)
{
	for (unsigned i = 0; i < 2; i++) {
		struct played *host = ((struct bench *)*state)->hosts[i];
		const char *said = played_heard(host, 1, false), *last = NULL;
		for (const char *at = said; (at = strstr(at, "[0, ")); at++)
			last = at;
		if (!last || strstr(last, "hello"))
			continue;
		*number = (unsigned)strtoul(last + 4, NULL, 10);
		*other = ((struct bench *)*state)->hosts[!i];
		return host;
	}
	fail_msg("no host was asked");
	return NULL;
}

static void break_conduit(struct played *host)
{
	played_frame(host, 9, 1, NULL, 0);
	host->seq = host->received = 0;
	host->stream[1].size = host->stream[2].size = 0;
}

/* ---- beats ---- */

static void test_a_beat_that_is_older_counts_for_nothing(void **state)
{
	struct bench *bench = *state;
	struct played *host = h2(state);

	host->beats = 100;
	played_beat(host, P);
	host->beats = 50;
	played_beat(host, "[]");
	assert_int_equal(known(bench, "h2")->pools.count, 1);
	host->beats = 100; /* the same once more */
	played_beat(host, "[]");
	assert_int_equal(known(bench, "h2")->pools.count, 1);
	played_beat(host, "[]");
	assert_int_equal(known(bench, "h2")->pools.count, 0);
}

static void test_who_has_said_goodbye_does_not_come_back(void **state)
{
	struct bench *bench = *state;
	struct played *host = h2(state);

	played_says_bye(host);
	assert_int_equal(known(bench, "h2")->state, HOST_GONE);
	played_beat(host, P);
	assert_int_equal(known(bench, "h2")->state, HOST_GONE);
	host->incarnation = 77; /* its next process */
	played_beat(host, P);
	assert_int_equal(known(bench, "h2")->state, HOST_READY);
}

static void test_a_successor_waits_until_the_first_is_silent(void **state)
{
	struct bench *bench = *state;
	struct played *host = h2(state);
	const uint64_t first = host->incarnation;

	host->incarnation = 77;
	played_beat(host, "[]");
	assert_true(known(bench, "h2")->incarnation == first);
	assert_int_equal(known(bench, "h2")->pools.count, 1);
	bench_pass(bench, 950);
	played_beat(host, "[]");
	assert_true(known(bench, "h2")->incarnation == 77);
}

static void test_a_beat_has_a_largest_size(void **state)
{
	struct bench *bench = *state;
	struct bytes text = {.bytes = malloc(400000)};
	char *at = (char *)text.bytes;

	assert_non_null(at);
	at += sprintf(at, "[");
	for (int i = 0; i < 1000; i++)
		at += sprintf(at, "%s[\"pool-%0100d\", \"C\", 1, 1, 0, 0, false, null]", i ? ", " : "", i);
	strcpy(at, "]");
	played_beat(h2(state), (char *)text.bytes);
	assert_int_equal(known(bench, "h2")->pools.count, 1);
	at = (char *)text.bytes + sprintf((char *)text.bytes, "[");
	for (int i = 0; i <= HOST_POOLS_MAX; i++)
		at += sprintf(at, "%s[\"%d\", \"C\", 1, 1, 0, 0, false, null]", i ? ", " : "", i);
	strcpy(at, "]");
	played_beat(h2(state), (char *)text.bytes);
	assert_int_equal(known(bench, "h2")->pools.count, 1);
	free(text.bytes);
}

static void test_so_many_hosts_are_remembered_and_no_more(void **state)
{
	struct bench *bench = *state;

	for (unsigned i = 0; i < HOSTS_MAX + 100; i++) {
		struct played host = {.bench = bench, .incarnation = 5000 + i};
		(void)snprintf(host.name, sizeof host.name, "n%u", i);
		played_beat(&host, "[]");
	}
	assert_int_equal(bench->gateway->hosts->count, HOSTS_MAX);
	played_beat(h2(state), P);
	assert_int_equal(known(bench, "h2")->state, HOST_READY);
}

static void test_a_host_listens_first(void **state)
{
	struct bench *bench = bench_start();

	(void)state;
	bench_pass(bench, 999);
	assert_int_equal(bench->gateway->state, GATEWAY_LISTENING);
	assert_int_equal(bench->beats, 0);
	bench_pass(bench, 130);
	assert_int_equal(bench->gateway->state, GATEWAY_SERVING);
	assert_int_equal(bench->beats, 1);
	bench_free(bench);
}

static bool beat_names_p(const struct bench *bench)
{
	for (size_t i = 0; i + 1 < bench->beat.size; i++)
		if (bench->beat.bytes[i] == 0xa1 && bench->beat.bytes[i + 1] == 'p')
			return true;
	return false;
}

static void test_what_the_daemon_told_long_ago_is_not_told_on(void **state)
{
	struct bench *bench = *state;

	bench_keep(bench, 600, OWN_P, NULL);
	assert_true(beat_names_p(bench));
	bench_keep(bench, 1500, NULL, NULL); /* it says nothing */
	assert_false(beat_names_p(bench));
	bench_keep(bench, 600, OWN_P, NULL);
	assert_true(beat_names_p(bench));
	bench_tell(bench, "[6]"); /* it stops */
	bench_tell(bench, OWN_P);
	assert_false(beat_names_p(bench));
	bench_keep(bench, 600, OWN_P, NULL);
	assert_false(beat_names_p(bench));
}

/* ---- two hosts of one name ---- */

static struct played rival_of(struct bench *bench, uint64_t age_ms)
{
	return (struct played){.bench = bench, .name = "h1", .incarnation = 5, .age_ms = age_ms};
}

static void test_the_younger_of_two_of_one_name_gives_way(void **state)
{
	struct bench *bench = *state;
	struct played rival = rival_of(bench, 60 * 1000);

	bench_ask(bench, "[0, 1, \"p@h2.m\", []]");
	played_beat(&rival, P); /* it may be an echo of a process that has just ended */
	assert_int_equal(bench->gateway->state, GATEWAY_SERVING);
	played_beat(&rival, P);
	assert_int_equal(bench->gateway->state, GATEWAY_REFUSED);
	assert_said(bench, "HOST_LOST");
	bench_ask(bench, "[0, 2, \"p@h2.m\", []]");
	assert_said(bench, "another host has this host's name");
	bench_keep(bench, 2000, NULL, NULL);
	assert_int_equal(bench->gateway->state, GATEWAY_REFUSED);
	bench_keep(bench, 2500, NULL, NULL); /* the other has gone, and it listens for another second */
	assert_int_equal(bench->gateway->state, GATEWAY_SERVING);
}

static void test_the_older_stays(void **state)
{
	struct bench *bench = *state;
	struct played rival = rival_of(bench, 0);

	bench_keep(bench, 2000, NULL, NULL);
	for (int i = 0; i < 5; i++)
		played_beat(&rival, P);
	assert_int_equal(bench->gateway->state, GATEWAY_SERVING);
}

static void test_of_two_that_came_together_one_stays(void **state)
{
	struct bench *bench = *state;
	struct played rival = rival_of(bench, 1400); /* 1.2 s have passed here */

	rival.incarnation = UINT64_MAX;
	for (int i = 0; i < 5; i++)
		played_beat(&rival, P);
	assert_int_equal(bench->gateway->state, GATEWAY_SERVING);
	rival.incarnation = 1;
	for (int i = 0; i < 5; i++)
		played_beat(&rival, P);
	assert_int_equal(bench->gateway->state, GATEWAY_REFUSED);
}

/* ---- which host ---- */

static void test_a_silent_host_gets_no_calls(void **state)
{
	struct bench *bench = *state;

	bench_keep(bench, 1000, NULL, h2(state));
	assert_int_equal(known(bench, "h2")->state, HOST_SILENT);
	for (int i = 0; i < 8; i++)
		bench_ask(bench, "[2, \"p@*.m\", []]");
	assert_int_equal(h2(state)->stream[1].size, 0);
	assert_true(h3(state)->stream[1].size > 0);
	bench_ask(bench, "[0, 1, \"p@h2.m\", []]");
	assert_said(bench, "host h2 is silent");
}

static void test_a_pool_that_unpickles_is_for_those_it_trusts(void **state)
{
	struct bench *bench = *state;

	played_beat(h2(state), "[[\"p\", \"C\", 2, 2, 0, 0, true, [\"h3\", \"h4\"]]]");
	played_beat(h3(state), "[]");
	bench_ask(bench, "[0, 1, \"p@*.m\", []]");
	assert_said(bench, "UNREACHABLE");
	played_beat(h2(state), "[[\"p\", \"C\", 2, 2, 0, 0, true, null]]");
	bench_ask(bench, "[0, 1, \"p@*.m\", []]");
	assert_said(bench, "UNREACHABLE");
	played_beat(h2(state), "[[\"p\", \"C\", 2, 2, 0, 0, true, [\"h3\", \"h1\"]]]");
	bench_ask(bench, "[0, 1, \"p@*.m\", []]");
	assert_string_equal(bench_heard(bench), "");
	assert_int_equal(known(bench, "h2")->unanswered, 1);
}

#define NEAR "[[\"near\", \"C\", 2, 2, 0, 0, false, null], [\"far\", \"C\", 2, 2, 0, 0, false, null]]"

static void test_a_remote_pool_is_of_the_hosts_that_it_names(void **state)
{
	struct bench *bench = *state;

	played_beat(h2(state), "[]");
	played_beat(h3(state), NEAR);
	bench_ask(bench, "[0, 1, \"near.m\", []]"); /* hosts = h2 */
	assert_said(bench, "UNREACHABLE");
	bench_ask(bench, "[0, 2, \"far.m\", []]"); /* hosts = * */
	assert_string_equal(bench_heard(bench), "");
	assert_int_equal(known(bench, "h3")->unanswered, 1);
}

static void test_what_prefer_means(void **state)
{
	struct bench *bench = *state;

	played_beat(h2(state), NEAR);
	bench_tell(bench, OWN("[\"near\", \"C\", 2, [0, 1], 0, 0, false, null], [\"far\", \"C\", 2, [0, 1], 0, 2, false, null]"));
	bench_ask(bench, "[0, 1, \"near.m\", []]");
	bench_ask(bench, "[0, 2, \"near.m\", []]");
	assert_int_equal(known(bench, "h2")->unanswered, 2); /* local: the daemon has no room, or it would not ask */
	bench_ask(bench, "[0, 3, \"far.m\", []]"); /* load: h2 has less to do */
	assert_int_equal(known(bench, "h2")->unanswered, 3);
	played_beat(h2(state), "[[\"near\", \"C\", 2, 0, 0, 0, false, null]]");
	bench_ask(bench, "[0, 4, \"near.m\", []]");
	assert_int_equal(known(bench, "h2")->unanswered + bench->gateway->hosts->self->unanswered, 4);
	played_beat(h2(state), "[]");
	bench_ask(bench, "[0, 5, \"near.m\", []]"); /* there is no other */
	assert_true(bench->gateway->hosts->self->unanswered > 0);
}

static void test_the_least_loaded_of_two(void **state)
{
	struct bench *bench = *state;

	played_beat(h2(state), "[[\"p\", \"C\", 2, 2, 100, 2, false, null]]");
	played_beat(h3(state), "[[\"p\", \"C\", 2, 2, 0, 0, false, null]]");
	for (int i = 0; i < 20; i++) {
		char call[64];
		(void)snprintf(call, sizeof call, "[0, %d, \"p@*.m\", []]", i);
		bench_ask(bench, call);
	}
	assert_int_equal(known(bench, "h3")->unanswered, 20);
	/* None is ready there: only if there is no other. */
	played_beat(h3(state), "[[\"p\", \"C\", 2, 0, 0, 0, false, null]]");
	bench_ask(bench, "[0, 50, \"p@*.m\", []]");
	assert_int_equal(known(bench, "h2")->unanswered, 1);
	played_beat(h2(state), "[]");
	bench_ask(bench, "[0, 51, \"p@*.m\", []]");
	assert_int_equal(known(bench, "h3")->unanswered, 21);
}

#define MOVES(finished) "[[\"p\", \"C\", 2, 2, 0, 2, false, null, " #finished "]]"

/* Short calls are sent blindly, but not to a pool where nothing ends. */
static void test_a_pool_that_is_stuck(void **state)
{
	struct bench *bench = *state;

	known(bench, "h2")->took = known(bench, "h3")->took = 1;
	h2(state)->pools = MOVES(7);
	bench_keep(bench, 2000, NULL, NULL);
	for (int i = 0; i < 4; i++)
		bench_ask(bench, i == 0 ? "[0, 0, \"p@*.m\", []]" : "[2, \"p@*.m\", []]");
	assert_int_equal(known(bench, "h2")->unanswered, 0);
	assert_int_equal(h2(state)->stream[1].size, 0);
	/* Something ends there. */
	for (unsigned i = 0; i < 40 && h2(state)->stream[1].size == 0; i++) {
		h2(state)->pools = i % 2 ? MOVES(8) : MOVES(9);
		bench_keep(bench, 500, NULL, NULL);
		bench_ask(bench, "[2, \"p@*.m\", []]");
	}
	assert_true(h2(state)->stream[1].size > 0);
}

static void test_calls_that_have_no_answer_yet_count(void **state)
{
	struct bench *bench = *state;

	for (int i = 0; i < 40; i++) {
		char call[64];
		(void)snprintf(call, sizeof call, "[0, %d, \"p@*.m\", []]", i);
		bench_ask(bench, call);
	}
	assert_int_equal(known(bench, "h2")->unanswered, 20);
	assert_int_equal(known(bench, "h3")->unanswered, 20);
	for (int i = 1; i <= 20; i++) {
		char answer[64];
		(void)snprintf(answer, sizeof answer, "[1, %d, null, 5]", i);
		played_says(h2(state), 1, false, answer);
	}
	assert_int_equal(known(bench, "h2")->unanswered, 0);
	played_says(h2(state), 1, false, "[1, 99, null, 5]"); /* nobody has asked */
	assert_int_equal(known(bench, "h2")->late, 1);
}

enum { KEYS = 300 };

/* Which host of the three each key goes to: 'a' + its place. */
static void place_keys(struct bench *bench, struct played *const hosts[], unsigned host_count, char places[KEYS])
{
	static uint32_t msgid = 1000;

	for (int i = 0; i < KEYS; i++) {
		char call[80];
		uint64_t before[3];
		for (unsigned k = 0; k < host_count; k++)
			before[k] = known(bench, hosts[k]->name)->calls;
		(void)snprintf(call, sizeof call, "[0, %u, \"p@*:key=k%d.m\", []]", ++msgid, i);
		bench_ask(bench, call);
		for (unsigned k = 0; k < host_count; k++)
			if (known(bench, hosts[k]->name)->calls > before[k])
				places[i] = (char)('a' + k);
	}
}

static void test_a_key_has_one_host_and_few_move(void **state)
{
	struct bench *bench = *state;
	char two[KEYS], three[KEYS], again[KEYS];
	unsigned of_first = 0, moved = 0;

	place_keys(bench, bench->hosts, 2, two);
	for (int i = 0; i < KEYS; i++)
		of_first += two[i] == 'a';
	assert_in_range(of_first, KEYS / 3, 2 * KEYS / 3);
	played_beat(h2(state), "[[\"p\", \"C\", 2, 2, 500, 2, false, null]]"); /* load does not matter */
	played_new(bench, "h4", P);
	place_keys(bench, bench->hosts, 3, three);
	for (int i = 0; i < KEYS; i++)
		if (three[i] != two[i]) {
			assert_int_equal(three[i], 'c'); /* to the new one alone */
			moved++;
		}
	assert_in_range(moved, KEYS / 5, KEYS / 2);
	played_beat(bench->hosts[2], "[]");
	place_keys(bench, bench->hosts, 2, again);
	assert_memory_equal(again, two, KEYS);
}

static void test_a_slot_is_of_one_host(void **state)
{
	struct bench *bench = *state;

	bench_ask(bench, "[0, 1, \"p@*:1.m\", []]");
	assert_said(bench, "slot 1 of which host? Several have pool p: name one, as in p@h2:1");
	played_beat(h2(state), "[]");
	bench_ask(bench, "[0, 2, \"p@*:1.m\", []]");
	assert_int_equal(known(bench, "h3")->unanswered, 1);
}

/* ---- hosts that are lost ---- */

static void test_what_had_not_left_has_not_run(void **state)
{
	struct bench *bench = *state;
	static char call[80 * 1024];
	const int n = sprintf(call, "[2, 1, [0, 1, \"p@h2.m\", [\"");

	memset(call + n, 'x', 70 * 1024);
	strcpy(call + n + 70 * 1024, "\"]]]");
	bench_tell(bench, call); /* more than the first credit */
	bench_ask(bench, "[0, 2, \"p@h2.m\", []]");
	break_conduit(h2(state));
	const char *said = bench_heard(bench);
	assert_int_equal(count(said, "\"code\": \"HOST_LOST\""), 2);
	assert_int_equal(count(said, "the call has not run there"), 2);
	bench_ask(bench, "[0, 3, \"p@h2.m\", []]");
	bench_ask(bench, "[0, 4, \"p@h2.m\", []]");
	break_conduit(h2(state));
	said = bench_heard(bench);
	assert_int_equal(count(said, "the call may have run there"), 2);
	assert_int_equal(count(said, "\"ran\": \"maybe\""), 2);
}

static void test_an_idempotent_call_is_made_again_elsewhere(void **state)
{
	struct bench *bench = *state;
	struct played *other;
	unsigned number;

	bench_ask(bench, IDEMPOTENT(1));
	struct played *first = asked(state, &other, &number);
	break_conduit(first);
	assert_no_answer(bench);
	const struct played *second = asked(state, &first, &number);
	assert_ptr_equal(second, other);
	/* It refuses the session: the call has not run there, but may have at the first. */
	played_beat(first, "[]");
	played_beat(other, "[]");
	played_frame(other, CLOSE, 1, "\1no", 3);
	assert_said(bench, "\"ran\": \"maybe\"");
}

static void test_a_call_that_may_have_run_is_not_made_again(void **state)
{
	struct bench *bench = *state;
	struct played *other;
	unsigned number;

	bench_ask(bench, "[0, 1, \"p@*.m\", []]");
	break_conduit(asked(state, &other, &number));
	assert_said(bench, "\"ran\": \"maybe\"");
	assert_int_equal(other->stream[1].size, 0);
}

static void test_a_call_that_has_told_of_results_is_not_made_again(void **state)
{
	struct bench *bench = *state;
	struct played *other;
	unsigned number;
	char result[80];

	bench_ask(bench, CALL(1, "\"p@*\", \"m\", [], {\"idempotent\": true, \"stream\": true}"));
	struct played *host = asked(state, &other, &number);
	(void)snprintf(result, sizeof result, "[2, \"objpool.result\", [%u, 0, null, 5]]", number);
	played_says(host, 1, false, result);
	assert_said(bench, "[2, \"objpool.result\", [1, 0, null, 5]]");
	break_conduit(host);
	assert_said(bench, "HOST_LOST");
	assert_int_equal(other->stream[1].size, 0);
}

static void test_a_call_that_is_cancelled_is_not_made_again(void **state)
{
	struct bench *bench = *state;
	struct played *other;
	unsigned number;

	bench_ask(bench, IDEMPOTENT(1));
	struct played *host = asked(state, &other, &number);
	bench_ask(bench, "[2, \"objpool.cancel\", [1]]");
	assert_non_null(strstr(played_heard(host, 1, false), "objpool.cancel"));
	break_conduit(host);
	assert_said(bench, "HOST_LOST");
	assert_int_equal(other->stream[1].size, 0);
}

static void test_hosts_are_asked_four_times_at_most(void **state)
{
	struct bench *bench = *state;
	struct played *other;
	unsigned number;

	bench_ask(bench, IDEMPOTENT(1));
	for (int i = 0; i < 4; i++) {
		assert_no_answer(bench);
		break_conduit(asked(state, &other, &number));
	}
	assert_said(bench, "HOST_LOST");
}

static void test_a_call_keeps_its_time(void **state)
{
	struct bench *bench = *state;
	struct played *other;
	unsigned number;

	bench_ask(bench, CALL(1, "\"p@*\", \"m\", [], {\"idempotent\": true, \"timeout_ms\": 600}"));
	struct played *host = asked(state, &other, &number);
	bench_pass(bench, 400);
	break_conduit(host);
	assert_non_null(strstr(played_heard(other, 1, false), "\"timeout_ms\": 200"));
	bench_keep(bench, 210, NULL, NULL);
	break_conduit(other); /* its time is over */
	assert_int_equal(host->stream[1].size, 0);
	assert_said(bench, "HOST_LOST");
	/* A host that says nothing at the end of the time is not waited for. */
	bench_ask(bench, CALL(2, "\"p@h2\", \"m\", [], {\"timeout_ms\": 300}"));
	bench_keep(bench, 300, NULL, NULL);
	assert_string_equal(bench_heard(bench), "");
	bench_keep(bench, 1000, NULL, NULL);
	assert_said(bench, "TIMEOUT");
	const uint64_t late = known(bench, "h2")->late;
	played_says(h2(state), 1, false, "[1, 1, null, 5]"); /* too late, but it was asked */
	assert_int_equal(known(bench, "h2")->late, late);
	assert_string_equal(bench_heard(bench), "");
}

/* ---- how much may come ---- */

static void test_an_answer_over_max_message_fails_its_call(void **state)
{
	struct bench *bench = *state;
	static const uint8_t head[] = {0x94, 1, 1, 0xc0, 0xc6, 0x7f, 0, 0, 0}; /* a value of 2 GiB begins */

	bench_ask(bench, "[0, 1, \"p@h2.m\", []]");
	played_frame(h2(state), DATA, 1, head, sizeof head);
	assert_said(bench, "max_message");
	assert_non_null(known(bench, "h2")->conduit); /* the host itself is not lost */
}

/* So many bytes as the answer to call `number`. */
static void answer_much(struct played *host, unsigned number, size_t size)
{
	enum { PIECE = 60000 };
	const uint8_t head[] = {0x94, 1, (uint8_t)number, 0xc0, 0xc6,
				(uint8_t)(size >> 24), (uint8_t)(size >> 16), (uint8_t)(size >> 8), (uint8_t)size};
	static const uint8_t zeroes[PIECE];

	played_frame(host, DATA, 1, head, sizeof head);
	for (; size > 0; size -= size < PIECE ? size : PIECE)
		played_frame(host, DATA, 1, zeroes, size < PIECE ? size : PIECE);
}

static void test_no_credit_for_a_client_that_does_not_read(void **state)
{
	struct bench *bench = *state;
	char taken[64];

	for (int i = 1; i <= 3; i++) {
		char call[64];
		(void)snprintf(call, sizeof call, "[0, %d, \"p@h2.m\", []]", i);
		bench_ask(bench, call);
	}
	answer_much(h2(state), 1, GATEWAY_AHEAD + 100000);
	h2(state)->frames[0] = '\0';
	answer_much(h2(state), 2, 900000);
	bench_keep(bench, 200, NULL, NULL);
	assert_null(strstr(h2(state)->frames, "CREDIT"));
	(void)snprintf(taken, sizeof taken, "[4, 1, %d]", GATEWAY_AHEAD + 900000 + 100000);
	bench_tell(bench, taken);
	assert_non_null(strstr(h2(state)->frames, "CREDIT"));
	(void)bench_heard(bench);
}

static void go_on_answering(struct played *host, size_t size)
{
	enum { PIECE = 50000 };
	static const uint8_t zeroes[PIECE];

	for (size_t piece; size > 0; size -= piece) {
		piece = size < PIECE ? size : PIECE;
		played_frame(host, DATA, 1, zeroes, piece);
	}
}

static void begin_answer(struct played *host, unsigned number, size_t size, size_t come)
{
	const uint8_t head[] = {0x94, 1, (uint8_t)number, 0xc0, 0xc6, (uint8_t)(size >> 24), (uint8_t)(size >> 16),
				(uint8_t)(size >> 8), (uint8_t)size};

	played_frame(host, DATA, 1, head, sizeof head);
	host->frames[0] = '\0';
	go_on_answering(host, come);
}

/* The client has far more than its share: the answers that have begun come one after the other. */
static void test_large_answers_come_one_after_the_other(void **state)
{
	enum { SIZE = 300000, PART = 50000 };
	struct bench *bench = *state;

	bench->gateway->memory.limit = 20000;
	bench_ask(bench, "[0, 1, \"p@h2.m\", []]");
	bench_ask(bench, "[0, 2, \"p@h3.m\", []]");
	begin_answer(h2(state), 1, SIZE, PART);
	assert_non_null(strstr(h2(state)->frames, "CREDIT")); /* the first goes on */
	begin_answer(h3(state), 1, SIZE, PART);
	assert_null(strstr(h3(state)->frames, "CREDIT"));
	go_on_answering(h2(state), SIZE - PART);
	assert_said(bench, "[1, 1, null");
	bench_keep(bench, 500, NULL, NULL);
	assert_non_null(strstr(h3(state)->frames, "CREDIT"));
	go_on_answering(h3(state), SIZE - PART);
	assert_said(bench, "[1, 2, null");
}

static void test_who_holds_too_much_begins_no_calls(void **state)
{
	struct bench *bench = *state;
	struct gateway *gateway = bench->gateway;
	struct account *memory = session_find(gateway, 1)->memory;

	gateway->memory.limit = 100000;
	account_charge(memory, 150000);
	bench_tell(bench, "[1, 2, {\"user\": \"bob\", \"errors\": \"map\"}]");
	bench_tell(bench, "[2, 2, [0, 1, \"p@h2.m\", []]]");
	assert_no_answer(bench); /* another client: it goes on */
	bench_ask(bench, "[0, 1, \"p@h2.m\", []]");
	assert_said(bench, "OVERLOADED");
	account_charge(&gateway->memory, 150000); /* by whoever: nobody takes more */
	bench_tell(bench, "[2, 2, [0, 2, \"p@h2.m\", []]]");
	assert_said(bench, "OVERLOADED");
	assert_true(gateway_reads_supervisor(gateway));
	account_charge(&gateway->memory, 150000);
	assert_false(gateway_reads_supervisor(gateway));
	account_credit(&gateway->memory, 300000);
	account_credit(memory, 150000);
}

/* ---- leases ---- */

static void lease(struct bench *bench, struct played *host, const char *target, unsigned msgid, unsigned number)
{
	char text[100];

	(void)snprintf(text, sizeof text, "[0, %u, \"objpool.lease\", [\"%s\"]]", msgid, target);
	bench_ask(bench, text);
	(void)snprintf(text, sizeof text, "[1, %u, null, {\"slot\": 0}]", number);
	played_says(host, 1, false, text);
	assert_said(bench, "\"host\": \"h");
	(void)played_heard(host, 1, false);
}

static void test_a_release_goes_where_the_lease_is(void **state)
{
	struct bench *bench = *state;

	lease(bench, h2(state), "p@h2", 1, 1);
	bench_ask(bench, "[0, 2, \"objpool.release\", [\"p@*\"]]"); /* that one was asked of h2 by name */
	assert_said(bench, "this connection has no lease of pool p that any host has given");
	played_beat(h3(state), "[]");
	lease(bench, h2(state), "p@*", 3, 2);
	played_beat(h2(state), "[]");
	played_beat(h3(state), P);
	lease(bench, h3(state), "p@*", 4, 1);
	bench_ask(bench, "[0, 5, \"objpool.release\", [\"p@*\"]]"); /* the last first */
	assert_non_null(strstr(played_heard(h3(state), 1, false), "objpool.release"));
	break_conduit(h2(state)); /* and with it its leases */
	bench_ask(bench, "[0, 6, \"objpool.release\", [\"p@*\"]]");
	assert_said(bench, "no lease");
}

/* ---- sticky calls ---- */

#define STICKY(id, how) CALL(id, "\"p@*:all\", \"m\", [" #id "], {\"sticky\": \"" how "\"}")

static void answer_all(struct played *host, unsigned number)
{
	char text[64];

	(void)snprintf(text, sizeof text, "[1, %u, null, [[null, 5], [null, 5]]]", number);
	played_says(host, 1, false, text);
}

static void test_a_host_that_comes_gets_sticky_calls_first_and_in_order(void **state)
{
	struct bench *bench = *state;

	for (unsigned i = 1; i <= 2; i++) {
		bench_ask(bench, i == 1 ? STICKY(1, "append") : STICKY(2, "append"));
		answer_all(h2(state), i);
		answer_all(h3(state), i);
	}
	(void)bench_heard(bench);
	struct played *h4 = played_new(bench, "h4", P);
	bench_ask(bench, "[0, 3, \"p@h4.m\", []]"); /* must wait */
	bench_ask(bench, "[0, 4, \"p@h4.m\", []]");
	bench_ask(bench, "[2, \"objpool.cancel\", [4]]");
	assert_said(bench, "CANCELLED");
	assert_non_null(strstr(played_heard(h4, 1, false), "\"m\", [1]"));
	answer_all(h4, 1);
	assert_non_null(strstr(played_heard(h4, 2, false), "\"m\", [2]"));
	assert_int_equal(h4->stream[3].size, 0);
	answer_all(h4, 1);
	played_frame(h4, DATA, 2, "\x94\x01\x01\xc0\x90", 5);
	assert_int_equal(count(played_heard(h4, 3, false), "p@h4.m"), 1);
}

static void test_what_replaces_takes_the_place_of_what_was(void **state)
{
	struct bench *bench = *state;

	bench_ask(bench, STICKY(1, "replace"));
	bench_ask(bench, STICKY(2, "replace"));
	assert_int_equal(bench->gateway->sticky_count, 1);
	bench_ask(bench, STICKY(3, "append"));
	assert_int_equal(bench->gateway->sticky_count, 2);
}

static void test_what_appends_is_not_made_twice(void **state)
{
	struct bench *bench = *state;

	bench_ask(bench, STICKY(1, "append"));
	bench_ask(bench, CALL(2, "\"p@*:all\", \"n\", [2], {\"sticky\": \"replace\"}"));
	(void)played_heard(h2(state), 1, false);
	break_conduit(h2(state));
	bench_keep(bench, 500, NULL, NULL);
	const char *again = played_heard(h2(state), 1, false);
	assert_null(strstr(again, "\"m\", [1]"));
	assert_non_null(strstr(again, "\"n\", [2]"));
}

static void test_so_many_sticky_calls_are_remembered(void **state)
{
	struct bench *bench = *state;

	bench->gateway->sticky_count += STICKY_CALLS;
	bench_ask(bench, STICKY(1, "append"));
	assert_said(bench, "forget some");
	bench->gateway->sticky_count -= STICKY_CALLS;
	bench->gateway->sticky_bytes += STICKY_BYTES;
	bench_ask(bench, STICKY(2, "append"));
	assert_said(bench, "forget some");
	bench->gateway->sticky_bytes -= STICKY_BYTES;
	bench_ask(bench, STICKY(3, "append"));
	assert_int_equal(bench->gateway->sticky_count, 1);
}

static void test_a_pool_that_is_not_open_gets_no_sticky_calls(void **state)
{
	struct bench *bench = *state;

	bench_ask(bench, STICKY(1, "append"));
	struct played *h4 = played_new(bench, "h4", "[[\"p\", \"C\", 2, 2, 0, 0, true, [\"h2\"]]]");
	bench_keep(bench, 1000, NULL, NULL);
	assert_int_equal(h4->stream[1].size, 0);
	played_beat(h4, "[[\"p\", \"C\", 2, 2, 0, 0, true, \"*\"]]");
	bench_keep(bench, 500, NULL, NULL);
	assert_true(h4->stream[1].size > 0);
}

static void test_who_holds_a_lease_does_not_wait_for_sticky_calls(void **state)
{
	struct bench *bench = *state;

	bench_ask(bench, STICKY(1, "append"));
	bench_tell(bench, "[1, 2, {\"errors\": \"map\"}]");
	bench_tell(bench, "[2, 2, [0, 1, \"objpool.lease\", [\"p@h2\"]]]");
	played_says(h2(state), 2, false, "[1, 1, null, {\"slot\": 0}]");
	struct played *h4 = played_new(bench, "h4", P);
	bench_tell(bench, "[2, 2, [0, 2, \"p@h4.n\", []]]");
	assert_non_null(strstr(played_heard(h4, 2, false), "p@h4.n"));
}

/* A number behind the text, which must be between. */
static void assert_between(const char *said, const char *text, unsigned least, unsigned most)
{
	const char *at = strstr(said, text);

	if (!at)
		fail_msg("%s is not in\n%s", text, said);
	const unsigned long number = strtoul(at + strlen(text), NULL, 10);
	assert_in_range(number, least, most);
}

static void test_what_waits_for_sticky_calls_keeps_its_time(void **state)
{
	struct bench *bench = *state;

	bench_ask(bench, STICKY(1, "append"));
	answer_all(h2(state), 1);
	answer_all(h3(state), 1);
	struct played *h4 = played_new(bench, "h4", P);
	bench_ask(bench, CALL(10, "\"p@h4\", \"short\", [], {\"timeout_ms\": 300}"));
	bench_ask(bench, CALL(11, "\"p@h4\", \"long\", [], {\"timeout_ms\": 2000}"));
	bench_ask(bench, "[0, 12, \"objpool.lease\", [\"p@h4\", {\"lease_ms\": 77, \"timeout_ms\": 4000, \"slot\": 1}]]");
	bench_ask(bench, CALL(13, "\"p@*:key=b\", \"any\", [], {}"));
	(void)bench_heard(bench);
	bench_keep(bench, 250, NULL, NULL);
	assert_no_answer(bench);
	bench_keep(bench, 250, NULL, NULL);
	const char *said = bench_heard(bench);
	assert_non_null(strstr(said, "TIMEOUT"));
	assert_non_null(strstr(said, "\"ran\": \"no\""));
	assert_int_equal(count(said, "[2, 1, "), 1);
	(void)played_heard(h4, 1, false);
	answer_all(h4, 1);
	bench_keep(bench, 150, NULL, NULL);
	said = played_heard(h4, 2, false);
	assert_between(said, "\"long\", [], {\"timeout_ms\": ", 1300, 1500);
	assert_between(said, "{\"lease_ms\": 77, \"timeout_ms\": ", 3300, 3500);
	assert_non_null(strstr(said, ", \"slot\": 1}]"));
	assert_null(strstr(said, "short"));
}

static void test_what_is_fed_to_a_call_that_waits_is_not_lost(void **state)
{
	struct bench *bench = *state;
	char ask[64];

	bench_ask(bench, STICKY(1, "append"));
	answer_all(h2(state), 1);
	answer_all(h3(state), 1);
	(void)played_new(bench, "h4", P);
	(void)bench_heard(bench);
	bench_ask(bench, CALL(2, "\"p@h4:map\", \"m\", null, {\"stream\": true}"));
	for (unsigned i = 0; i < HELD_MAX - 1; i++) {
		(void)snprintf(ask, sizeof ask, "[0, %u, \"p@h4.m\", []]", 100 + i);
		bench_ask(bench, ask);
	}
	assert_int_equal(held_count(bench->gateway), HELD_MAX);
	assert_int_equal(count(bench_heard(bench), "[2, 1, "), 0);
	bench_ask(bench, "[2, \"objpool.feed_end\", [2]]");
	assert_said(bench, "[2, 1, [1, 2, {\"code\": \"OVERLOADED\"");
	assert_int_equal(held_count(bench->gateway), HELD_MAX - 1);
}

static void test_a_lease_that_another_host_is_asked_for_has_less_time(void **state)
{
	struct bench *bench = *state;
	struct played *other;
	unsigned number;

	bench_ask(bench, "[0, 1, \"objpool.lease\", [\"p@*\", {\"timeout_ms\": 3000}]]");
	struct played *first = asked(state, &other, &number);
	bench_keep(bench, 1000, NULL, NULL);
	played_frame(first, CLOSE, 1, "\1no", 3); /* it refuses the session */
	assert_between(played_heard(other, 1, false), "{\"timeout_ms\": ", 1900, 2000);
	assert_no_answer(bench);
}

static void test_a_notification_that_waits_outlives_its_client(void **state)
{
	struct bench *bench = *state;

	bench_ask(bench, STICKY(1, "append"));
	struct played *h4 = played_new(bench, "h4", P);
	bench_tell(bench, "[1, 2, {\"errors\": \"map\"}]");
	bench_tell(bench, "[2, 2, [2, \"p@h4.noted\", []]]");
	bench_tell(bench, "[2, 2, [0, 5, \"p@h4.asked\", []]]");
	bench_tell(bench, "[3, 2]");
	assert_int_equal(held_count(bench->gateway), 1);
	answer_all(h4, 1);
	bench_keep(bench, 150, NULL, NULL);
	const char *said = played_heard(h4, 2, false);
	assert_non_null(strstr(said, "p@h4.noted"));
	assert_null(strstr(said, "p@h4.asked"));
}

static void test_who_goes_while_he_waits_is_forgotten(void **state)
{
	struct bench *bench = *state;

	bench_ask(bench, STICKY(1, "append"));
	struct played *h4 = played_new(bench, "h4", P);
	bench_tell(bench, "[1, 2, {\"errors\": \"map\"}]");
	bench_tell(bench, "[2, 2, [0, 2, \"p@h4.n\", []]]");
	assert_int_equal(held_count(bench->gateway), 1);
	bench_tell(bench, "[3, 2]");
	assert_int_equal(held_count(bench->gateway), 0);
	assert_int_equal(h4->stream[2].size, 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(test_##name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(a_beat_that_is_older_counts_for_nothing),
		TEST(who_has_said_goodbye_does_not_come_back),
		TEST(a_successor_waits_until_the_first_is_silent),
		TEST(a_beat_has_a_largest_size),
		TEST(so_many_hosts_are_remembered_and_no_more),
		TEST(a_host_listens_first),
		TEST(what_the_daemon_told_long_ago_is_not_told_on),
		TEST(the_younger_of_two_of_one_name_gives_way),
		TEST(the_older_stays),
		TEST(of_two_that_came_together_one_stays),
		TEST(a_silent_host_gets_no_calls),
		TEST(a_pool_that_unpickles_is_for_those_it_trusts),
		TEST(a_remote_pool_is_of_the_hosts_that_it_names),
		TEST(what_prefer_means),
		TEST(the_least_loaded_of_two),
		TEST(a_pool_that_is_stuck),
		TEST(calls_that_have_no_answer_yet_count),
		TEST(a_key_has_one_host_and_few_move),
		TEST(a_slot_is_of_one_host),
		TEST(what_had_not_left_has_not_run),
		TEST(an_idempotent_call_is_made_again_elsewhere),
		TEST(a_call_that_may_have_run_is_not_made_again),
		TEST(a_call_that_has_told_of_results_is_not_made_again),
		TEST(a_call_that_is_cancelled_is_not_made_again),
		TEST(hosts_are_asked_four_times_at_most),
		TEST(a_call_keeps_its_time),
		TEST(an_answer_over_max_message_fails_its_call),
		TEST(no_credit_for_a_client_that_does_not_read),
		TEST(large_answers_come_one_after_the_other),
		TEST(who_holds_too_much_begins_no_calls),
		TEST(a_release_goes_where_the_lease_is),
		TEST(a_host_that_comes_gets_sticky_calls_first_and_in_order),
		TEST(what_replaces_takes_the_place_of_what_was),
		TEST(what_appends_is_not_made_twice),
		TEST(so_many_sticky_calls_are_remembered),
		TEST(a_pool_that_is_not_open_gets_no_sticky_calls),
		TEST(who_holds_a_lease_does_not_wait_for_sticky_calls),
		TEST(what_waits_for_sticky_calls_keeps_its_time),
		TEST(what_is_fed_to_a_call_that_waits_is_not_lost),
		TEST(a_lease_that_another_host_is_asked_for_has_less_time),
		TEST(a_notification_that_waits_outlives_its_client),
		TEST(who_goes_while_he_waits_is_forgotten),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
