/* SPDX-License-Identifier: Apache-2.0 */
/*
 * small: small calls by libobjpool, as a program makes them: echo of 32 bytes.
 *   small WAY rtt SOCKET METHOD N               one call after the other: p50, p99, p99.9
 *   small WAY pipe SOCKET METHOD DEPTH SECONDS  calls/s, DEPTH in flight
 * WAY is `ordinary`: through the daemon; `direct`: on direct channels; `rings`: on direct channels with rings.
 */
#include "bench/bench.h"

#include <objpool/client.h>

#include <stdbool.h>

static struct {
	struct objpool_client *client;
	const char *method;
	struct objpool_packer args;
	uint64_t answers, lost;
	bool ends;
} run;

static void connect_to(const char *path, const char *way)
{
	struct objpool_connect_options options = OBJPOOL_CONNECT_OPTIONS_INIT;
	char address[256];

	snprintf(address, sizeof address, "unix:%s", path);
	options.direct = !strcmp(way, "rings") ? OBJPOOL_DIRECT_RINGS : !strcmp(way, "direct") ? OBJPOOL_DIRECT : 0;
	if (objpool_connect(&run.client, address, &options) < 0)
		die(address);
	objpool_pack(&run.args, "[s]", "................................");
}

static int rtt(size_t n)
{
	uint64_t *times = malloc(n * sizeof *times);
	struct objpool_result result;

	for (size_t i = 0; i < n + n / 10 + 3; i++) {
		const uint64_t begin = now_ns();
		if (objpool_call(run.client, run.method, objpool_packed(&run.args), NULL, &result) < 0)
			return fprintf(stderr, "an error came back\n"), 1;
		objpool_result_free(&result);
		times[i % n] = now_ns() - begin;
	}
	result_rtt("", times, n);
	result_total(n + n / 10 + 3);
	return 0;
}

static void ask(void);

static void on_answer(void *context, const struct objpool_result *result)
{
	(void)context;
	run.answers++;
	run.lost += result->error != NULL;
	if (!run.ends)
		ask();
}

static void ask(void)
{
	if (objpool_call_async(run.client, run.method, objpool_packed(&run.args), NULL, on_answer, NULL, NULL) < 0)
		run.lost++;
}

static int pipelined(int depth, double seconds)
{
	const uint64_t start = now_ns();
	uint64_t begin = 0, warm = 0;
	double passed = 0;

	for (int i = 0; i < depth; i++)
		ask();
	for (; passed < seconds && objpool_wait(run.client, 5000) == 0; passed = (double)(now_ns() - start) / 1e9)
		if (!begin && passed > seconds / 10)
			begin = now_ns(), warm = run.answers;
	result("calls", (double)(run.answers - warm) / ((double)(now_ns() - begin) / 1e9), "1/s");
	run.ends = true;
	objpool_drain(run.client);
	result_total(run.answers);
	return run.lost > 0;
}

int main(int argc, char **argv)
{
	int rc = 2;

	if (argc < 6)
		return 2;
	run.method = argv[4];
	connect_to(argv[3], argv[1]);
	if (argc == 6 && !strcmp(argv[2], "rtt"))
		rc = rtt((size_t)atol(argv[5]));
	if (argc == 7 && !strcmp(argv[2], "pipe"))
		rc = pipelined(atoi(argv[5]), atof(argv[6]));
	objpool_close(run.client);
	objpool_packer_free(&run.args);
	return rc;
}
