/* SPDX-License-Identifier: Apache-2.0 */
/*
 * command_map: reads lines of JSON and prints lines of JSON. Only items that are under way are in memory: a line is read when
 * the daemon has given credit for it. One poll waits for standard input, for the daemon, and for the end of whoever reads the
 * results: so results leave while the next item has not come yet.
 *
 * Each item makes one line, in item order, so that input and output can be laid side by side: its value, or {"$error": {...}}.
 * Other forms than JSON: results.h.
 */
#include "cli/cli.h"
#include "cli/json.h"
#include "cli/input_lines.h"
#include "cli/progress.h"
#include "cli/results.h"
#include "cli/words.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

const struct option map_options[] = {
	{'i', "items", "FILE", "read the items from FILE"},
	{0, "args-as", "SHAPE", "an item is a single argument (default), positional arguments or keyword arguments"},
	{0, "bind", "JSON", "leading arguments of every item, an array"},
	{0, "bind-kwargs", "JSON", "keyword arguments of every item, an object"},
	{'e', "errors", "MODE", "wait: go on, then fail; first: stop at the first failure; collect: go on"},
	{'t', "timeout", "SECONDS", "for the whole map"},
	{0, "chunk", "N", "items handed to a worker at once (default: adapted)"},
	{0, "window", "N", "items taken and not yet answered, at most (default: adapted)"},
	{0, "sync", NULL, "rounds of one item per slot, each slot exactly once a round"},
	{'u', "unordered", NULL,
	 "print results as they finish: {\"index\": N, \"value\": ...} or {\"index\": N, \"error\": ...}"},
	{0, "idempotent", NULL, "items may run again when a worker dies"},
	{0, "priority", "N", "of all items, from -10 to 10: where calls wait, a higher one is next"},
	{0, "traceparent", "TRACE", "the trace that it belongs to, as in W3C Trace Context"},
	RESULTS_OPTION,
	{'q', "quiet", NULL, "no progress bar"},
	{0},
};

struct map_run {
	struct input_lines lines;
	struct progress progress;
	struct results results;
	bool unfit; /* a result has no such form, and has ended the map */
	bool first, unordered;
	bool terminal;      /* results go where the progress bar is */
	bool dry;           /* the map waits for lines */
	uint64_t done_items, failed_items;
	bool written;       /* results that are not flushed yet */
	int output_error;   /* errno of a write that failed, or 0 */
	bool done;
	enum exit_status status;
};

static bool is_blank(const char *line, size_t size)
{
	for (size_t i = 0; i < size; i++)
		if (!strchr(" \t\r", line[i]) || line[i] == '\0')
			return false;
	return true;
}

/* The line is no JSON, or could not be read: the error takes the place of its result. */
static int fail_input(struct objpool_packer *item, size_t before, uint64_t line, const char *reason)
{
	char text[256];

	snprintf(text, sizeof text, "line %" PRIu64 ": %s", line, reason);
	item->size = before;
	objpool_pack_cstr(item, text);
	return OBJPOOL_NEXT_FAILED;
}

static int next_item(void *context, struct objpool_packer *item)
{
	struct map_run *run = context;
	const char *line;
	size_t size;
	const size_t before = item->size;
	char reason[160];
	int rc;

	do
		rc = input_lines_next(&run->lines, &line, &size);
	while (rc == 1 && is_blank(line, size));
	run->dry = rc == -EAGAIN;
	if (rc < 0 && rc != -EAGAIN)
		return fail_input(item, before, run->lines.number + 1, strerror(-rc));
	if (rc == 1 && json_read(item, line, size, reason, sizeof reason) < 0)
		return fail_input(item, before, run->lines.number, reason);
	return rc; /* as objpool_next expects */
}

static void print_labelled(uint64_t index, struct objpool_bytes value, const struct objpool_error *error)
{
	printf("{\"index\": %" PRIu64 ", \"%s\": ", index, error ? "error" : "value");
	if (error)
		json_write_error(stdout, error);
	else
		json_write(stdout, value);
	(void)puts("}");
}

/* False: the value has no such form. */
static bool print_line(struct map_run *run, struct objpool_bytes value, const struct objpool_error *error)
{
	if (error) {
		(void)fputs_unlocked("{\"$error\": ", stdout);
		json_write_error(stdout, error);
		(void)putc_unlocked('}', stdout);
	} else if (results_add(&run->results, value) < 0) {
		return false;
	}
	if (!results_are_one(&run->results))
		(void)putc_unlocked('\n', stdout);
	return true;
}

static bool note_output(struct map_run *run)
{
	if (ferror(stdout) && !run->output_error)
		run->output_error = errno;
	return !run->output_error;
}

static int print_item(void *context, uint64_t index, struct objpool_bytes value, const struct objpool_error *error)
{
	struct map_run *run = context;

	run->done_items++;
	run->failed_items += error != NULL;
	if (run->terminal && !run->written)
		progress_clear(&run->progress);
	run->written = true;
	if (error && run->first)
		return 0; /* the failure ends the map, and on_done tells of it */
	if (run->unordered)
		print_labelled(index, value, error);
	else
		run->unfit = !print_line(run, value, error);
	if (run->unfit)
		return -EINVAL;
	return note_output(run) ? 0 : -EPIPE;
}

static void on_done(void *context, int status, const struct objpool_error *error)
{
	struct map_run *run = context;

	run->done = true;
	progress_clear(&run->progress);
	run->status = run->failed_items > 0 ? EXIT_CALL_FAILED : EXIT_DONE;
	if (run->unfit)
		run->status = cli_fail(EXIT_CALL_FAILED, "map: result %" PRIu64 " has no such form: %s", run->done_items - 1,
				       run->results.reason);
	else if (status == -EPIPE)
		run->status = EXIT_CALL_FAILED; /* without a message: the reader has gone, or cli_end_output tells the reason */
	else if (status < 0)
		run->status = cli_complain(status, error);
}

/* Flushes results soon after they come, but several with one system call. */
static void flush_results(struct map_run *run)
{
	if (run->written)
		(void)fflush(stdout);
	(void)note_output(run);
	run->written = false;
	progress_update(&run->progress, run->done_items, run->failed_items, run->lines.offset);
}

/* One turn of the loop. Waits for the daemon's socket, for the input if the map needs it, and for the end of the reader. */
static int turn(struct cli *cli, struct map_run *run, struct objpool_stream *stream)
{
	struct pollfd pollfds[3] = {
		{.fd = objpool_fd(cli->client), .events = objpool_events(cli->client)},
		{.fd = run->dry ? run->lines.fd : -1, .events = POLLIN},
		{.fd = STDOUT_FILENO},
	};

	if (poll(pollfds, 3, objpool_timeout_ms(cli->client)) < 0)
		return errno == EINTR ? 0 : -errno;
	if (pollfds[1].revents)
		objpool_stream_more(stream);
	if (pollfds[2].revents & POLLERR)
		objpool_stream_stop(stream, -EPIPE);
	(void)objpool_dispatch(cli->client, pollfds[0].revents); /* if the connection is lost, on_done tells of it */
	return 0;
}

static enum exit_status perform(struct cli *cli, struct map_run *run, const struct objpool_map_options *options)
{
	struct objpool_stream *stream;
	char shown[CLI_SHOWN];
	int rc = objpool_map_async(cli->client, cli->arguments.words[0], next_item, run, print_item, run, options, on_done, run,
				   &stream);

	if (rc == -EINVAL)
		return cli_fail(EXIT_USAGE,
				"map: \"%s\" is no POOL.METHOD, or --errors or --args-as has another value than those in --help",
				cli_shown(shown, cli->arguments.words[0]));
	if (rc < 0)
		return cli_complain(rc, NULL);
	while (rc == 0 && !run->done) {
		rc = turn(cli, run, stream);
		flush_results(run);
	}
	progress_clear(&run->progress);
	if (rc == 0 && run->status == EXIT_DONE && results_end(&run->results) < 0)
		run->status = cli_fail(EXIT_CALL_FAILED, "map: %s", run->results.reason);
	errno = run->output_error;
	return cli_end_output(rc < 0 ? cli_complain(rc, NULL) : run->status);
}

static enum exit_status open_items(struct map_run *run, const char *path, bool quiet)
{
	char shown[CLI_SHOWN];
	struct stat info;

	run->lines.fd = path ? open(path, O_RDONLY | O_CLOEXEC) : STDIN_FILENO;
	if (run->lines.fd < 0)
		return cli_fail(EXIT_USAGE, "map: %s: %s", errno == ENAMETOOLONG ? cli_shown(shown, path) : path,
				strerror(errno));
	const bool sized = fstat(run->lines.fd, &info) == 0 && S_ISREG(info.st_mode);
	progress_begin(&run->progress, quiet, sized ? (uint64_t)info.st_size : 0);
	run->terminal = isatty(STDOUT_FILENO);
	return EXIT_DONE;
}

/* Where results are one file, the first failure ends the map. */
static enum exit_status read_format(struct objpool_map_options *options, struct map_run *run, const struct arguments *arguments)
{
	const enum exit_status status = results_begin(&run->results, arguments, "map");

	if (status != EXIT_DONE)
		return status;
	if (run->unordered && run->results.format != RESULTS_JSON)
		return cli_fail(EXIT_USAGE, "map: --unordered goes with --format json only");
	if (!results_are_one(&run->results))
		return EXIT_DONE;
	if (options->errors && strcmp(options->errors, "first") != 0)
		return cli_fail(EXIT_USAGE, "map: --format csv and npy go with --errors first only");
	options->errors = "first";
	return EXIT_DONE;
}

static enum exit_status read_options(struct objpool_map_options *options, struct map_run *run, struct arguments *arguments)
{
	options->args_as = arguments_get(arguments, "args-as");
	options->errors = arguments_get(arguments, "errors");
	options->unordered = run->unordered = arguments_get(arguments, "unordered") != NULL;
	options->idempotent = arguments_get(arguments, "idempotent") != NULL;
	options->sync = arguments_get(arguments, "sync") != NULL;
	options->traceparent = arguments_get(arguments, "traceparent");
	if (read_format(options, run, arguments) != EXIT_DONE)
		return EXIT_USAGE;
	run->first = options->errors && strcmp(options->errors, "first") == 0;
	if (arguments_seconds(arguments, "timeout", &options->timeout_ms) < 0 ||
	    arguments_number(arguments, "chunk", 0, &options->chunk) < 0 ||
	    arguments_number(arguments, "window", 1, &options->window) < 0 ||
	    arguments_integer(arguments, "priority", -10, 10, &options->priority) < 0)
		return cli_fail(EXIT_USAGE, "map: %s", arguments->reason);
	return EXIT_DONE;
}

enum exit_status command_map(struct cli *cli)
{
	struct objpool_map_options options = OBJPOOL_MAP_OPTIONS_INIT;
	struct objpool_packer bind = OBJPOOL_PACKER_INIT, bind_kwargs = OBJPOOL_PACKER_INIT;
	struct map_run run = {.lines = {.fd = -1}};
	struct arguments *arguments = &cli->arguments;

	enum exit_status status = words_pack_option(&bind, arguments, "bind", OBJPOOL_ARRAY);
	if (status == EXIT_DONE)
		status = words_pack_option(&bind_kwargs, arguments, "bind-kwargs", OBJPOOL_MAP);
	options.bind = objpool_packed(&bind);
	options.bind_kwargs = objpool_packed(&bind_kwargs);
	if (status == EXIT_DONE)
		status = read_options(&options, &run, arguments);
	if (status == EXIT_DONE)
		status = open_items(&run, arguments_get(arguments, "items"), arguments_get(arguments, "quiet") != NULL);
	if (status == EXIT_DONE)
		status = cli_connect(cli);
	if (status == EXIT_DONE)
		status = perform(cli, &run, &options);
	if (run.lines.fd > STDIN_FILENO)
		(void)close(run.lines.fd);
	input_lines_free(&run.lines);
	results_free(&run.results);
	objpool_packer_free(&bind);
	objpool_packer_free(&bind_kwargs);
	return status;
}
