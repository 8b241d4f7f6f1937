/* SPDX-License-Identifier: Apache-2.0 */
/*
 * command_call: makes one call. Prints its result on one line, and its progress on standard error. With --errors collect, an item
 * that failed makes the exit status 1, as in map.
 */
#include "cli/cli.h"
#include "cli/json.h"
#include "cli/meant.h"
#include "cli/progress.h"
#include "cli/results.h"
#include "cli/words.h"

#include <errno.h>
#include <string.h>

const struct option call_options[] = {
	{0, "kwargs", "JSON", "keyword arguments, an object"},
	{0, "bind", "JSON", "leading arguments of every task, an array"},
	{0, "bind-kwargs", "JSON", "keyword arguments of every task, an object"},
	{0, "args-as", "SHAPE", "in map and scatter: zip, single, positional or keyword"},
	{'e', "errors", "MODE", "of several tasks: wait, first or collect"},
	{'t', "timeout", "SECONDS", "after which the call fails"},
	{0, "chunk", "N", "items handed to a worker at once"},
	{0, "sticky", "HOW", "with all: replace or append; the call is repeated on instances built later"},
	{0, "target", "TARGET", "the target, for a key with dots in it; the first word is METHOD alone then"},
	{0, "idempotent", NULL, "may run again when a worker dies"},
	{0, "sync", NULL, "in map: each slot exactly once a round"},
	{0, "labels", NULL, "with all and scatter: each result as [HOST, SLOT, RESULT]; HOST is null without a cluster"},
	{0, "priority", "N", "from -10 to 10: where calls wait, a higher one is next"},
	{0, "traceparent", "TRACE", "the trace that it belongs to, as in W3C Trace Context"},
	{'j', "json", NULL,
	 "for programs: arrays and objects as they are packed; an error as {\"$error\": {\"code\": ..., ...}}"},
	RESULTS_OPTION,
	{'p', "progress", NULL, "tell on standard error how far the call is: a bar on a terminal, else lines"},
	{0},
};

/* The packed values that `options` points to. */
struct request {
	struct objpool_packer args, kwargs, bind, bind_kwargs;
	struct objpool_call_options options;
	struct progress progress;
	struct results results;
};

static int on_progress(void *context, int64_t done, int64_t total, const char *text)
{
	progress_tell(context, done, total, text);
	return 0;
}

static enum exit_status pack(struct request *request, const struct arguments *arguments)
{
	enum exit_status status = words_pack_array(&request->args, arguments->words + 1, arguments->count - 1);

	if (status == EXIT_DONE)
		status = words_pack_option(&request->kwargs, arguments, "kwargs", OBJPOOL_MAP);
	if (status == EXIT_DONE)
		status = words_pack_option(&request->bind, arguments, "bind", OBJPOOL_ARRAY);
	if (status == EXIT_DONE)
		status = words_pack_option(&request->bind_kwargs, arguments, "bind-kwargs", OBJPOOL_MAP);
	return status;
}

static const char *const error_modes[] = {"wait", "first", "collect", NULL}, *const sticky_modes[] = {"replace", "append", NULL},
		  *const shapes[] = {"zip", "single", "positional", "keyword", NULL};

/* Is the word one of these? NULL, an option that was not given, is fine, too. */
static bool is_one_of(const char *word, const char *const *words)
{
	while (word && *words && strcmp(word, *words) != 0)
		words++;
	return !word || *words;
}

static enum exit_status read_options(struct request *request, struct arguments *arguments)
{
	struct objpool_call_options *options = &request->options;
	char shown[CLI_SHOWN];

	*options = (struct objpool_call_options){
		.size = sizeof *options,
		.target = arguments_get(arguments, "target"),
		.kwargs = objpool_packed(&request->kwargs),
		.bind = objpool_packed(&request->bind),
		.bind_kwargs = objpool_packed(&request->bind_kwargs),
		.args_as = arguments_get(arguments, "args-as"),
		.errors = arguments_get(arguments, "errors"),
		.sticky = arguments_get(arguments, "sticky"),
		.idempotent = arguments_get(arguments, "idempotent") != NULL,
		.sync = arguments_get(arguments, "sync") != NULL,
		.labels = arguments_get(arguments, "labels") != NULL,
		.traceparent = arguments_get(arguments, "traceparent"),
	};
	if (arguments_get(arguments, "progress")) {
		progress_begin_call(&request->progress);
		options->on_progress = on_progress;
		options->progress_context = &request->progress;
	}
	if (arguments_seconds(arguments, "timeout", &options->timeout_ms) < 0 ||
	    arguments_number(arguments, "chunk", 0, &options->chunk) < 0 ||
	    arguments_integer(arguments, "priority", -10, 10, &options->priority) < 0)
		return cli_fail(EXIT_USAGE, "call: %s", arguments->reason);
	if (!is_one_of(options->errors, error_modes) || !is_one_of(options->sticky, sticky_modes) ||
	    !is_one_of(options->args_as, shapes))
		return cli_fail(EXIT_USAGE, "call: --errors, --sticky or --args-as has another value than those in --help");
	if (!options->target && !strchr(arguments->words[0], '.'))
		return cli_fail(EXIT_USAGE, "call: \"%s\" is no TARGET.METHOD, as in pool.method",
				cli_shown(shown, arguments->words[0]));
	const enum exit_status status = results_begin(&request->results, arguments, "call");
	if (status == EXIT_DONE && request->results.format != RESULTS_JSON && arguments_get(arguments, "json"))
		return cli_fail(EXIT_USAGE, "call: --json and --format exclude each other");
	return status;
}

/* Passes over the host and the slot that option labels puts before a result. 0; -1: there are none. */
static int skip_label(struct objpool_reader *reader)
{
	uint32_t parts;

	if (objpool_read_array(reader, &parts) < 0 || parts != 3 || objpool_read_value(reader, NULL) < 0)
		return -1;
	return objpool_read_value(reader, NULL) < 0 ? -1 : 0;
}

/* Whether one of the [error, value] pairs of a collected result has an error. */
static bool has_failures(struct objpool_bytes collected, bool labels)
{
	struct objpool_reader reader = objpool_reader(collected);
	uint32_t count = 0, pair;

	(void)objpool_read_array(&reader, &count);
	while (count-- > 0) {
		if (labels && skip_label(&reader) < 0)
			return false;
		if (objpool_read_array(&reader, &pair) < 0 || pair != 2)
			return false; /* no pairs: the value of a single call */
		if (objpool_read_nil(&reader) < 0)
			return true;
		(void)objpool_read_value(&reader, NULL);
	}
	return false;
}

static enum exit_status print_error(const struct objpool_error *error, enum exit_status status)
{
	fputs("{\"$error\": ", stdout);
	json_write_error(stdout, error);
	fputs("}\n", stdout);
	return cli_end_output(status);
}

/* An error that the daemon did not send. */
static enum exit_status print_own_error(const char *code, const char *message, enum objpool_ran ran, enum exit_status status)
{
	const struct objpool_error error = {
		.code = code, .message = message, .ran = ran, .slot = -1, .generation = -1, .index = -1, .exit_status = -1};
	return print_error(&error, status);
}

static enum exit_status connect_for_json(struct cli *cli)
{
	struct cli_reason reason;

	if (cli_try_connect(cli, &reason) == EXIT_NO_DAEMON)
		return print_own_error("NO_DAEMON", reason.text, OBJPOOL_RAN_NO, reason.status);
	if (reason.status == EXIT_DENIED)
		return print_own_error("DENIED", reason.text, OBJPOOL_RAN_NO, reason.status);
	if (reason.status == EXIT_TRY_AGAIN)
		return print_own_error("OVERLOADED", reason.text, OBJPOOL_RAN_NO, reason.status);
	return reason.status == EXIT_DONE ? EXIT_DONE : cli_fail(reason.status, "%s", reason.text);
}

static enum exit_status print_value(struct request *request, struct objpool_bytes value, bool json)
{
	if (json) {
		json_write(stdout, value);
		(void)putchar('\n');
	} else if (results_print(&request->results, value) < 0) {
		return cli_fail(EXIT_CALL_FAILED, "call: the result has no such form: %s", request->results.reason);
	}
	return cli_end_output(EXIT_DONE);
}

static enum exit_status perform(struct cli *cli, struct request *request)
{
	const bool json = arguments_get(&cli->arguments, "json");
	struct objpool_result result;
	enum exit_status status = json ? connect_for_json(cli) : cli_connect(cli);

	if (status != EXIT_DONE)
		return status;
	const struct objpool_call_options *options = &request->options;
	const int rc = objpool_call(cli->client, cli->arguments.words[0], objpool_packed(&request->args), options, &result);
	progress_clear(&request->progress);
	if (result.error && json) {
		status = print_error(result.error, cli_status_of(result.error));
	} else if (rc == -ENOTCONN && json) {
		status = print_own_error("DISCONNECTED", "the connection was lost before the call was sent", OBJPOOL_RAN_NO,
					 EXIT_CALL_FAILED);
	} else if (rc < 0) {
		status = cli_complain(rc, result.error);
		if (result.error && !options->target)
			meant_tell(cli->client, cli->arguments.words[0], result.error);
	} else {
		const bool collected = options->errors && strcmp(options->errors, "collect") == 0;
		status = print_value(request, result.value, json);
		if (status == EXIT_DONE && collected && has_failures(result.value, options->labels))
			status = EXIT_CALL_FAILED;
	}
	objpool_result_free(&result);
	return status;
}

enum exit_status command_call(struct cli *cli)
{
	struct request request = {.args = OBJPOOL_PACKER_INIT};
	enum exit_status status = pack(&request, &cli->arguments);

	if (status == EXIT_DONE)
		status = read_options(&request, &cli->arguments);
	if (status == EXIT_DONE)
		status = perform(cli, &request);
	objpool_packer_free(&request.args);
	objpool_packer_free(&request.kwargs);
	objpool_packer_free(&request.bind);
	objpool_packer_free(&request.bind_kwargs);
	results_free(&request.results);
	return status;
}
