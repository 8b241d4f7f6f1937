/* SPDX-License-Identifier: Apache-2.0 */
/* command_events: what has happened in the daemon, and what follows, as a line of JSON each. */
#include "cli/cli.h"
#include "cli/moment.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

const struct option events_options[] = {
	{'f', "follow", NULL, "print what comes, until interrupted"},
	{'k', "kind", "KIND", "only these: slot, slot.died,pool.full ... (separated by commas); see objpool(1)"},
	{'S', "since", "TIME", "only those since then: 10m, 2h30m, 2026-11-29T10:00:00Z, or seconds since 1970"},
	{'n', "lines", "N", "how many events to begin with (default: all that the daemon has kept)"},
	{0, "after", "N", "only those that came after the event of this number"},
	{0},
};

static int print_event(void *context, uint64_t index, struct objpool_bytes value, const struct objpool_error *error)
{
	(void)context, (void)index;
	if (error)
		return 0;
	cli_print(value);
	return fflush(stdout) == 0 ? 0 : EXIT_CALL_FAILED; /* cli_end_output says why */
}

static void pack_kinds(struct objpool_packer *args, const char *kinds)
{
	uint32_t count = 1;

	for (const char *p = kinds; *p; p++)
		count += *p == ',';
	objpool_pack_cstr(args, "kinds");
	objpool_pack_array(args, count);
	for (const char *p = kinds; count > 0; count--, p += strcspn(p, ",") + 1)
		objpool_pack_str(args, p, strcspn(p, ","));
}

/* 0, or -1: an error is printed. */
static int pack_number(struct objpool_packer *args, const struct cli *cli, const char *name, const char *key)
{
	const char *text = arguments_get(&cli->arguments, name);
	char *end;

	if (!text)
		return 0;
	errno = 0;
	const unsigned long long number = strtoull(text, &end, 10);
	if (*text < '0' || *text > '9' || *end || errno) {
		(void)cli_fail(EXIT_USAGE, "events: --%s takes a number", name);
		return -1;
	}
	objpool_pack_cstr(args, key);
	objpool_pack_uint(args, number);
	return 0;
}

static int pack_since(struct objpool_packer *args, const char *text)
{
	struct timespec now;
	double seconds;

	clock_gettime(CLOCK_REALTIME, &now);
	if (moment_parse(text, (double)now.tv_sec + (double)now.tv_nsec / 1e9, &seconds) < 0) {
		(void)cli_fail(EXIT_USAGE, "events: --since takes " MOMENT_FORMS);
		return -1;
	}
	objpool_pack_cstr(args, "since");
	objpool_pack_double(args, seconds);
	return 0;
}

/* [{follow, pool, kinds, since, last, after}]. 0, or -1: an error is printed. */
static int pack(struct objpool_packer *args, const struct cli *cli)
{
	const struct arguments *arguments = &cli->arguments;
	const char *kinds = arguments_get(arguments, "kind"), *since = arguments_get(arguments, "since");

	objpool_pack_array(args, 1);
	objpool_pack_map(args, 1u + (arguments->count > 0) + (kinds != NULL) + (since != NULL) +
				       (arguments_get(arguments, "lines") != NULL) + (arguments_get(arguments, "after") != NULL));
	objpool_pack_cstr(args, "follow");
	objpool_pack_bool(args, arguments_get(arguments, "follow") != NULL);
	if (arguments->count > 0) {
		objpool_pack_cstr(args, "pool");
		objpool_pack_cstr(args, arguments->words[0]);
	}
	if (kinds)
		pack_kinds(args, kinds);
	if (since && pack_since(args, since) < 0)
		return -1;
	return pack_number(args, cli, "lines", "last") < 0 || pack_number(args, cli, "after", "after") < 0 ? -1 : 0;
}

enum exit_status command_events(struct cli *cli)
{
	const struct objpool_call_options options = {.size = sizeof options};
	struct objpool_packer args = OBJPOOL_PACKER_INIT;
	struct objpool_result result = {0};
	enum exit_status status = pack(&args, cli) < 0 ? EXIT_USAGE : cli_connect(cli);

	if (status == EXIT_DONE) {
		const int rc = objpool_call_each(cli->client, "objpool.events", objpool_packed(&args), &options, print_event,
						 NULL, &result);
		if (rc < 0)
			status = cli_complain(rc, result.error);
		objpool_result_free(&result);
	}
	objpool_packer_free(&args);
	return cli_end_output(status);
}
