/* SPDX-License-Identifier: Apache-2.0 */
/*
 * command_bench: keeps a number of calls in flight on each of some connections: each call that is answered starts the next. One
 * thread runs all connections, because more threads would compete with the daemon for the processors.
 */
#include "cli/cli.h"
#include "cli/bench_histogram.h"
#include "cli/words.h"
#include "proto/clock.h"
#include "proto/plural.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const struct option bench_options[] = {
	{'c', "clients", "N", "connections (default: 1)"},
	{'P', "depth", "N", "calls in flight on each connection (default: 1)"},
	{'n', "calls", "N", "how many calls (default: as many as fit into --seconds)"},
	{'t', "seconds", "SECONDS", "how long (default: 3)"},
	{'j', "json", NULL, "print JSON"},
	{0},
};

struct bench {
	const char *method;
	struct objpool_bytes args;
	uint32_t clients, depth, calls, ms;
	uint32_t started, in_flight;
	uint64_t failed;
	int64_t began, ends; /* nanoseconds */
	bool stopping;
	struct objpool_result failure; /* the first one */
	struct bench_histogram *histogram;
	struct pollfd *pollfds;
	struct objpool_client **connections;
	struct lane *lanes;
};

/* A place for one call in flight: when it is answered, the next one takes it. */
struct lane {
	struct bench *bench;
	struct objpool_client *client;
	int64_t started;
};

static void on_answer(void *context, const struct objpool_result *result);

static void start_call(struct lane *lane, int64_t now)
{
	struct bench *bench = lane->bench;

	if (bench->stopping || (bench->calls && bench->started == bench->calls))
		return;
	lane->started = now;
	if (objpool_call_async(lane->client, bench->method, bench->args, NULL, on_answer, lane, NULL) < 0) {
		bench->stopping = true; /* the connection is lost: the answer tells the error */
		return;
	}
	bench->started++;
	bench->in_flight++;
}

static void on_answer(void *context, const struct objpool_result *result)
{
	struct lane *lane = context;
	struct bench *bench = lane->bench;
	const int64_t now = clock_now();

	bench->in_flight--;
	bench_histogram_add(bench->histogram, (uint64_t)(now - lane->started));
	if (result->error && bench->failed++ == 0)
		(void)objpool_result_copy(&bench->failure, result);
	if (!bench->calls && now >= bench->ends)
		bench->stopping = true;
	start_call(lane, now);
}

static enum exit_status connect_all(struct cli *cli, struct bench *bench)
{
	enum exit_status status = EXIT_DONE;

	for (uint32_t i = 0; i < bench->clients && status == EXIT_DONE; i++) {
		bench->connections[i] = cli_connect_another(cli, &status);
		if (bench->connections[i])
			bench->pollfds[i] = (struct pollfd){.fd = objpool_fd(bench->connections[i])};
	}
	return status;
}

static void start_all(struct bench *bench)
{
	bench->began = clock_now();
	bench->ends = bench->began + (int64_t)bench->ms * CLOCK_NS_PER_MS;
	for (uint32_t d = 0; d < bench->depth; d++)
		for (uint32_t c = 0; c < bench->clients; c++) {
			struct lane *lane = &bench->lanes[(size_t)c * bench->depth + d];
			*lane = (struct lane){.bench = bench, .client = bench->connections[c]};
			start_call(lane, bench->began);
		}
}

/* Gives up ten seconds after the time that the calls should take, if the daemon does not answer. */
static int poll_all(struct bench *bench)
{
	for (uint32_t c = 0; c < bench->clients; c++) {
		(void)objpool_flush(bench->connections[c]);
		bench->pollfds[c].events = objpool_events(bench->connections[c]);
	}
	return poll(bench->pollfds, bench->clients, bench->calls ? -1 : clock_ms_until(bench->ends) + 10000);
}

/* Runs until all calls that were started are answered. With one connection it does without poll, to save a system call for each
 * answer. */
static void run_loop(struct bench *bench)
{
	while (bench->in_flight > 0) {
		if (bench->clients == 1) {
			(void)objpool_wait(bench->connections[0], -1);
			continue;
		}
		const int n = poll_all(bench);
		if (n == 0)
			return;
		for (uint32_t c = 0; n > 0 && c < bench->clients; c++)
			if (bench->pollfds[c].revents)
				(void)objpool_dispatch(bench->connections[c], bench->pollfds[c].revents);
	}
}

static enum exit_status report(const struct bench *bench, double seconds, bool json)
{
	const struct bench_histogram *h = bench->histogram;
	const double rate = seconds > 0 ? (double)h->count / seconds : 0;
	const double p50 = (double)bench_histogram_quantile(h, 0.5) / 1000,
		     p99 = (double)bench_histogram_quantile(h, 0.99) / 1000;
	const double max = (double)h->largest / 1000;

	if (json)
		printf("{\"calls\": %" PRIu64 ", \"failed\": %" PRIu64
		       ", \"unanswered\": %u, \"seconds\": %.3f, \"calls_per_s\": %.0f, "
		       "\"p50_us\": %.1f, \"p99_us\": %.1f, \"max_us\": %.1f, \"clients\": %u, \"depth\": %u}\n",
		       h->count, bench->failed, bench->in_flight, seconds, rate, p50, p99, max, bench->clients, bench->depth);
	else
		printf("%.0f calls/s  p50 %.1f us  p99 %.1f us  max %.1f us  (%" PRIu64
		       " call%s in %.2f s, %u client%s, %u in flight each)\n",
		       rate, p50, p99, max, h->count, plural(h->count), seconds, bench->clients, plural(bench->clients),
		       bench->depth);
	if (bench->in_flight > 0)
		(void)cli_fail(EXIT_CALL_FAILED, "bench: %u call%s without an answer", bench->in_flight, plural(bench->in_flight));
	if (bench->failed > 0) {
		(void)cli_fail(EXIT_CALL_FAILED, "bench: %" PRIu64 " call%s failed; the first with:", bench->failed,
			       plural(bench->failed));
		(void)cli_complain(-EREMOTEIO, bench->failure.error);
	}
	return cli_end_output(bench->failed > 0 || bench->in_flight > 0 ? EXIT_CALL_FAILED : EXIT_DONE);
}

static enum exit_status perform(struct cli *cli, struct bench *bench)
{
	enum exit_status status = connect_all(cli, bench);
	char shown[CLI_SHOWN];

	if (status != EXIT_DONE)
		return status;
	start_all(bench);
	if (bench->in_flight == 0)
		return cli_fail(EXIT_USAGE, "bench: \"%s\" is no TARGET.METHOD", cli_shown(shown, bench->method));
	run_loop(bench);
	return report(bench, (double)(clock_now() - bench->began) / 1e9, arguments_get(&cli->arguments, "json") != NULL);
}

static enum exit_status read_options(struct bench *bench, struct arguments *arguments)
{
	if (arguments_number(arguments, "clients", 1, &bench->clients) < 0 ||
	    arguments_number(arguments, "depth", 1, &bench->depth) < 0 ||
	    arguments_number(arguments, "calls", 1, &bench->calls) < 0 || arguments_seconds(arguments, "seconds", &bench->ms) < 0)
		return cli_fail(EXIT_USAGE, "bench: %s", arguments->reason);
	return EXIT_DONE;
}

static bool allocate(struct bench *bench)
{
	bench->histogram = calloc(1, sizeof *bench->histogram);
	bench->pollfds = calloc(bench->clients, sizeof *bench->pollfds);
	bench->connections = calloc(bench->clients, sizeof(struct objpool_client *));
	bench->lanes = calloc(bench->clients, bench->depth * sizeof *bench->lanes);
	return bench->histogram && bench->pollfds && bench->connections && bench->lanes;
}

static void release(struct bench *bench)
{
	bench->stopping = true; /* closing answers the calls in flight, and these answers must not start new calls */
	for (uint32_t c = 0; bench->connections && c < bench->clients; c++)
		objpool_close(bench->connections[c]);
	objpool_result_free(&bench->failure);
	free(bench->histogram);
	free(bench->pollfds);
	free(bench->connections);
	free(bench->lanes);
}

enum exit_status command_bench(struct cli *cli)
{
	struct bench bench = {.method = cli->arguments.words[0], .clients = 1, .depth = 1, .ms = 3000};
	struct objpool_packer args = OBJPOOL_PACKER_INIT;
	enum exit_status status = words_pack_array(&args, cli->arguments.words + 1, cli->arguments.count - 1);

	bench.args = objpool_packed(&args);
	if (status == EXIT_DONE)
		status = read_options(&bench, &cli->arguments);
	if (status == EXIT_DONE)
		status = allocate(&bench) ? perform(cli, &bench) : cli_fail(EXIT_CALL_FAILED, "bench: %s", strerror(ENOMEM));
	release(&bench);
	objpool_packer_free(&args);
	return status;
}
