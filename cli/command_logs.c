/* SPDX-License-Identifier: Apache-2.0 */
/* command_logs: the last lines that the workers of a pool have printed, and those that follow. */
#include "cli/cli.h"
#include "cli/fields.h"
#include "cli/words.h"

#include <stdlib.h>
#include <time.h>

const struct option logs_options[] = {
	{'f', "follow", NULL, "print what comes, until interrupted"},
	{'n', "lines", "N", "how many lines to begin with (default: all that the daemon has kept)"},
	{'S', "slot", "N", "only lines of this slot"},
	{'j', "json", NULL, "print JSON, a line each"},
	{'t', "timeout", "SECONDS", "how long to wait for the daemon (default: 10)"},
	{0},
};

enum { EVERY = 500000000 /* nanoseconds between two questions */ };

struct wanted {
	double slot; /* -1: all */
	bool json;
	uint32_t skip; /* lines that are not printed */
};

static bool is_wanted(const struct wanted *wanted, struct objpool_bytes line)
{
	return wanted->slot < 0 || field_number(field(line, "slot"), -1) == wanted->slot;
}

static void count_line(void *context, struct objpool_bytes line)
{
	struct wanted *wanted = context;

	wanted->skip += is_wanted(wanted, line);
}

/* `slot 2 stdout: the text` */
static void print_line(void *context, struct objpool_bytes line)
{
	struct wanted *wanted = context;

	if (!is_wanted(wanted, line))
		return;
	if (wanted->skip > 0) {
		wanted->skip--;
		return;
	}
	if (wanted->json) {
		cli_print(line);
		return;
	}
	if (field_is_set(field(line, "slot"))) {
		fputs("slot ", stdout);
		field_show(stdout, field(line, "slot"));
	} else {
		fputs("template", stdout);
	}
	putchar(' ');
	field_show(stdout, field(line, "stream"));
	fputs(": ", stdout);
	if (field_is_set(field(line, "text")))
		field_show(stdout, field(line, "text"));
	putchar('\n');
}

/* Asks for the lines after number *last, and prints them. */
static enum exit_status print_after(struct cli *cli, struct wanted *wanted, uint64_t most, uint64_t *last)
{
	struct objpool_result result;
	const enum exit_status status =
		cli_ask(cli, &result, "objpool.logs", "[s I]", cli->arguments.words[0], (int64_t)*last);

	if (status != EXIT_DONE)
		return status;
	const struct objpool_bytes lines = field(result.value, "lines");
	const double missed = field_number(field(result.value, "missed"), 0);
	wanted->skip = 0;
	field_each(lines, count_line, wanted);
	wanted->skip = wanted->skip > most ? wanted->skip - (uint32_t)most : 0;
	if (*last > 0 && missed > 0)
		fprintf(stderr, "objpool: %.0f line%s of the pool missed here\n", missed, missed == 1 ? " was" : "s were");
	field_each(lines, print_line, wanted);
	*last = (uint64_t)field_number(field(result.value, "last"), 0);
	objpool_result_free(&result);
	return cli_end_output(EXIT_DONE);
}

/* 0, or -1: an error is printed. */
static int read_count(struct cli *cli, const char *name, double *number)
{
	const char *text = arguments_get(&cli->arguments, name);
	char *end;

	if (!text)
		return 0;
	*number = strtod(text, &end);
	if (*text >= '0' && *text <= '9' && *end == '\0' && *number < UINT32_MAX)
		return 0;
	(void)cli_fail(EXIT_USAGE, "--%s: it takes a number", name);
	return -1;
}

enum exit_status command_logs(struct cli *cli)
{
	const bool follows = arguments_get(&cli->arguments, "follow") != NULL;
	const struct timespec pause = {.tv_nsec = EVERY};
	struct wanted wanted = {.slot = -1, .json = arguments_get(&cli->arguments, "json") != NULL};
	double most = UINT32_MAX;
	uint64_t last = 0;

	if (read_count(cli, "slot", &wanted.slot) < 0 || read_count(cli, "lines", &most) < 0)
		return EXIT_USAGE;
	enum exit_status status = print_after(cli, &wanted, (uint64_t)most, &last);
	while (follows && status == EXIT_DONE) {
		(void)nanosleep(&pause, NULL);
		status = print_after(cli, &wanted, UINT32_MAX, &last);
	}
	return status;
}
