/* SPDX-License-Identifier: Apache-2.0 */
/* command_drain: has the daemon finish what it has, and stop. Asks again and again what it still waits for, and says so when that has
 * changed. The daemon has stopped when the connection ends. */
#include "cli/cli.h"
#include "cli/fields.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ASK_EVERY = 200 /* milliseconds */ };

static void write_count(FILE *to, double count, const char *noun)
{
	fprintf(to, "%.0f %s%s", count, noun, count == 1 ? "" : "s");
}

struct pools {
	FILE *to;
	bool any;
};

static void write_pool(void *context, struct objpool_bytes pool)
{
	struct pools *pools = context;

	fputs(pools->any ? ", " : " (", pools->to);
	field_show(pools->to, field(pool, "name"));
	fprintf(pools->to, ": %.0f", field_number(field(pool, "calls"), 0) + field_number(field(pool, "direct"), 0));
	pools->any = true;
}

/* "3 calls and 1 direct channel (sim: 4)". To be freed. NULL: out of memory. */
static char *describe(struct objpool_bytes answer)
{
	const double calls = field_number(field(answer, "calls"), 0), direct = field_number(field(answer, "direct"), 0);
	size_t size;
	char *text = NULL;
	FILE *to = open_memstream(&text, &size);
	struct pools pools = {.to = to};

	if (!to)
		return NULL;
	write_count(to, calls, "call");
	if (direct > 0) {
		fputs(" and ", to);
		write_count(to, direct, "direct channel");
	}
	field_each(field(answer, "pools"), write_pool, &pools);
	if (pools.any)
		fputc(')', to);
	return fclose(to) == 0 ? text : NULL;
}

static void say(struct objpool_bytes answer, char **said)
{
	char *text = describe(answer);
	const double left = field_number(field(answer, "left_s"), -1);

	if (!text || (*said && strcmp(text, *said) == 0)) {
		free(text);
		return;
	}
	fprintf(stderr, "objpool: the daemon waits for %s", text);
	if (left >= 0)
		fprintf(stderr, ", for %.0f s at most", left);
	fputc('\n', stderr);
	free(*said);
	*said = text;
}

static bool is_gone(const struct objpool_error *error)
{
	return error && strcmp(error->code, "DISCONNECTED") == 0;
}

static enum exit_status watch(struct cli *cli, char **said)
{
	struct objpool_result result;
	int rc;

	for (;;) {
		result = (struct objpool_result){{NULL, 0}, NULL, NULL};
		rc = objpool_call(cli->client, "objpool.drain", (struct objpool_bytes){"\x90", 1}, NULL, &result);
		if (rc < 0)
			break;
		say(result.value, said);
		objpool_result_free(&result);
		(void)poll(NULL, 0, ASK_EVERY);
	}
	const bool gone = *said && (is_gone(result.error) || !result.error);
	const enum exit_status status = gone ? EXIT_DONE : cli_complain(rc, result.error);
	objpool_result_free(&result);
	return status;
}

enum exit_status command_drain(struct cli *cli)
{
	char *said = NULL;
	enum exit_status status = cli_connect(cli);

	if (status == EXIT_DONE)
		status = watch(cli, &said);
	if (status == EXIT_DONE)
		fputs("objpool: the daemon has stopped\n", stderr);
	free(said);
	return status;
}
