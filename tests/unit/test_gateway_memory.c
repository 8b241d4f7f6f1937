/* SPDX-License-Identifier: Apache-2.0 */
/* The gateway's core when there is no memory: each allocation fails in turn (tests/unit/failing.h). Every request has one answer
 * all the same, and that is a message. Only a gateway that can't tell its supervisor so ends. */
#include "tests/unit/gateway_bench.h"

#include "tests/unit/failing.h"

#define P              "[[\"p\", \"C\", 2, 2, 0, 0, false, null]]"
#define CALL(id, rest) "[0, " #id ", \"objpool.call\", [" rest "]]"
#define ERROR(code, ran) "{\"code\": \"" code "\", \"message\": \"m\", \"ran\": \"" ran "\"}"

static struct failing plan;
static bool armed; /* allocations of the core count */

static struct failing *of_core(void)
{
	return armed ? &plan : NULL;
}

/* ---- the core, with allocations that fail; and what it asks of the bench, without ---- */

/* Where all fail from the n-th on, that lasts until the event is over. */
static void end_event(void)
{
	failing = NULL;
	armed = armed && !(plan.lasting && atomic_load(&plan.asked) > atomic_load(&plan.left));
}

int __real_gateway_on_supervisor(struct gateway *gateway, struct span message, struct block *block);
int __wrap_gateway_on_supervisor(struct gateway *gateway, struct span message, struct block *block);
int __wrap_gateway_on_supervisor(struct gateway *gateway, struct span message, struct block *block)
{
	failing = of_core();
	const int r = __real_gateway_on_supervisor(gateway, message, block);
	end_event();
	return r;
}

void __real_gateway_on_packet(struct gateway *gateway, struct span from, struct span bytes);
void __wrap_gateway_on_packet(struct gateway *gateway, struct span from, struct span bytes);
void __wrap_gateway_on_packet(struct gateway *gateway, struct span from, struct span bytes)
{
	failing = of_core();
	__real_gateway_on_packet(gateway, from, bytes);
	end_event();
}

void __real_gateway_on_beat(struct gateway *gateway, struct span from, struct span bytes);
void __wrap_gateway_on_beat(struct gateway *gateway, struct span from, struct span bytes);
void __wrap_gateway_on_beat(struct gateway *gateway, struct span from, struct span bytes)
{
	failing = of_core();
	__real_gateway_on_beat(gateway, from, bytes);
	end_event();
}

void __real_gateway_run(struct gateway *gateway);
void __wrap_gateway_run(struct gateway *gateway);
void __wrap_gateway_run(struct gateway *gateway)
{
	failing = of_core();
	__real_gateway_run(gateway);
	end_event();
}

void __real_gateway_end_turn(struct gateway *gateway);
void __wrap_gateway_end_turn(struct gateway *gateway);
void __wrap_gateway_end_turn(struct gateway *gateway)
{
	failing = of_core();
	__real_gateway_end_turn(gateway);
	end_event();
}

static const struct gateway_ops *of_bench;

static int publish(struct gateway *gateway, const char *host, const void *bytes, size_t size)
{
	failing = NULL;
	const int r = of_bench->publish(gateway, host, bytes, size);
	failing = of_core();
	return r;
}

static int publish_beat(struct gateway *gateway, const void *bytes, size_t size)
{
	failing = NULL;
	const int r = of_bench->publish_beat(gateway, bytes, size);
	failing = of_core();
	return r;
}

/* ---- what is asked, and answered ---- */

enum { QUESTIONS = 16 };

static void ask_all(struct bench *bench)
{
	bench_ask(bench, CALL(1, "\"p@*\", \"m\", [1]"));
	bench_ask(bench, CALL(2, "\"p@h2\", \"m\", [2]"));
	bench_ask(bench, CALL(3, "\"p@*:all\", \"m\", [3], {\"labels\": true, \"errors\": \"collect\"}"));
	bench_ask(bench, CALL(4, "\"p@*:map\", \"m\", [[4, 5, 6]], {\"errors\": \"collect\"}"));
	bench_ask(bench, CALL(5, "\"p@*:map\", \"m\", [[4, 5, 6]], {\"sync\": true}"));
	bench_ask(bench, "[0, 6, \"objpool.lease\", [\"p@*\"]]");
	bench_ask(bench, CALL(7, "\"p@*:all\", \"m\", [7], {\"sticky\": \"replace\"}"));
	bench_ask(bench, CALL(8, "\"p@*\", \"m\", [8], {\"idempotent\": true, \"timeout_ms\": 1000}"));
	bench_ask(bench, CALL(9, "\"p@*:scatter\", \"m\", [[1, 2, 3, 4]], {\"stream\": true}"));
	bench_ask(bench, "[0, 10, \"p@*.m\", [10]]");
	bench_ask(bench, CALL(11, "\"p@*:map\", \"m\", [[1, 2], [4, 5]], {\"stream\": \"runs\", \"kwargs\": {\"k\": [7, 8]}}"));
	/* These have no answer. */
	bench_ask(bench, CALL(12, "\"p@h2\", \"never\", [12], {\"timeout_ms\": 50}"));
	bench_ask(bench, CALL(13, "\"p@*:all\", \"never\", [13], {\"errors\": \"collect\"}"));
	bench_ask(bench, CALL(14, "\"p@*:all\", \"never\", [14], {\"timeout_ms\": 50}"));
	bench_ask(bench, CALL(15, "\"p@*:map\", \"never\", [[1, 2, 3]], {\"sync\": true, \"timeout_ms\": 50}"));
	bench_ask(bench, CALL(16, "\"p@*\", \"never\", [16], {\"timeout_ms\": 60, \"idempotent\": true}"));
	bench_ask(bench, "[2, \"objpool.cancel\", [10]]");
	bench_ask(bench, "[2, \"objpool.cancel\", [2]]");
}

/* Answers what the host was asked: half of it well. */
static void answer(struct played *host)
{
	for (uint32_t channel = 1; channel < 4; channel++) {
		char *said = strdup(played_heard(host, channel, false));
		assert_non_null(said);
		for (char *rest = said, *line; (line = strsep(&rest, "\n"));) {
			char reply[200];
			unsigned number;
			if (sscanf(line, "[0, %u,", &number) != 1 && sscanf(line, "[0,%u,", &number) != 1)
				continue;
			if (strstr(line, "never"))
				continue;
			if (strstr(line, ":all"))
				(void)snprintf(reply, sizeof reply,
					       "[1, %u, null, [[null, 1], [" ERROR("FAILED", "yes") ", null]]]", number);
			else if (strstr(line, ":map"))
				(void)snprintf(reply, sizeof reply, "[2, \"objpool.credit\", [%u, 2]]", number);
			else if (number % 2)
				(void)snprintf(reply, sizeof reply, "[1, %u, " ERROR("DENIED", "no") ", null]", number);
			else
				(void)snprintf(reply, sizeof reply, "[1, %u, null, {\"slot\": 1}]", number);
			played_says(host, channel, false, reply);
		}
		free(said);
	}
}

static void go_through(struct bench *bench)
{
	ask_all(bench);
	for (int i = 0; i < 3; i++)
		for (unsigned k = 0; k < bench->host_count; k++)
			answer(bench->hosts[k]);
	bench_pass(bench, 200);
	played_says_bye(bench->hosts[1]);
	answer(bench->hosts[0]);
	played_says_bye(bench->hosts[0]);
}

static unsigned count_answers(const char *said, unsigned id)
{
	char head[40];
	unsigned n = 0;

	(void)snprintf(head, sizeof head, "[2, 1, [1, %u,", id);
	for (; (said = strstr(said, head)); said += strlen(head))
		n++;
	return n;
}

/* Question 13 has four slots: four failures, or it has failed as a whole. */
static void check_gather(const char *said, int n)
{
	const char *at = strstr(said, "[2, 1, [1, 13, null, "), *end = at ? strchr(at, '\n') : NULL;
	unsigned failures = 0;

	for (; at && (at = strstr(at, "\"code\"")) && at < end; at++)
		failures++;
	if (end && failures != 4)
		fail_msg("allocation %d: a gather of four slots has %u failures in\n%s", n, failures, said);
}

/* False: no allocation failed. */
static bool try_it(int n, bool lasting)
{
	struct bench *bench = bench_new();

	played_new(bench, "h2", P);
	played_new(bench, "h3", P);
	(void)bench_heard(bench);
	of_bench = bench->gateway->ops;
	struct gateway_ops ops = *of_bench;
	ops.publish = publish;
	ops.publish_beat = publish_beat;
	bench->gateway->ops = &ops;
	failing_begin(&plan, n, lasting);
	armed = true;
	go_through(bench);
	const bool failed = failing_end(&plan);
	armed = false;
	const bool ended = bench->gateway->to_supervisor.failed;
	bench_pass(bench, 3000);
	const char *said = bench_heard(bench);
	for (unsigned i = 1; i <= QUESTIONS && !ended; i++)
		if (count_answers(said, i) != 1)
			fail_msg("allocation %d: question %u has %u answers in\n%s", n, i, count_answers(said, i), said);
	if (!ended) {
		check_gather(said, n);
		assert_int_equal(bench->told.size, 0);
	}
	bench_free(bench);
	return failed;
}

static void test_each_request_has_one_answer_without_memory(void **state)
{
	int n = 0;

	(void)state;
	while (try_it(n, false))
		n++;
	assert_in_range(n, 100, 10000);
	for (n = 0; try_it(n, true);)
		n++;
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_each_request_has_one_answer_without_memory)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
