/* SPDX-License-Identifier: Apache-2.0 */
/* command_manage: commands that send one request to the daemon: drop, scale, restart, forget, kick, pause, resume, reload, ping,
 * log-level, config, metrics. */
#include "cli/cli.h"
#include "cli/fields.h"
#include "cli/words.h"
#include "proto/clock.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const struct option timeout_options[] = {
	{'t', "timeout", "SECONDS", "how long to wait for the daemon (default: 10)"},
	{0},
};

/* Prints the result, and frees it. */
static enum exit_status print_result(struct objpool_result *result)
{
	cli_print(result->value);
	objpool_result_free(result);
	return cli_end_output(EXIT_DONE);
}

/* Reads a whole number from 0 on. Prints an error for other text. */
static bool read_number(const char *text, const char *name, int64_t *number)
{
	char *end, shown[CLI_SHOWN];

	errno = 0;
	*number = strtoll(text, &end, 10);
	if (*text >= '0' && *text <= '9' && *end == '\0' && errno == 0)
		return true;
	(void)cli_fail(EXIT_USAGE, "%s: \"%s\" is no number", name, cli_shown(shown, text));
	return false;
}

/* Calls a method that takes a pool's name alone, and whose answer waits for workers. */
static enum exit_status order_for_pool(struct cli *cli, const char *method)
{
	struct objpool_result result;
	const enum exit_status status = cli_order(cli, &result, method, "[s]", cli->arguments.words[0]);

	return status == EXIT_DONE ? print_result(&result) : status;
}

enum exit_status command_drop(struct cli *cli)
{
	return order_for_pool(cli, "objpool.drop");
}

enum exit_status command_pause(struct cli *cli)
{
	return order_for_pool(cli, "objpool.pause");
}

enum exit_status command_resume(struct cli *cli)
{
	return order_for_pool(cli, "objpool.resume");
}

enum exit_status command_scale(struct cli *cli)
{
	char **words = cli->arguments.words;
	struct objpool_result result;
	int64_t workers;

	if (!read_number(words[1], "scale", &workers))
		return EXIT_USAGE;
	const enum exit_status status = cli_order(cli, &result, "objpool.scale", "[s I]", words[0], workers);
	return status == EXIT_DONE ? print_result(&result) : status;
}

enum exit_status command_restart(struct cli *cli)
{
	char **words = cli->arguments.words;
	const bool one = cli->arguments.count > 1;
	struct objpool_result result;
	int64_t slot = 0;

	if (one && !read_number(words[1], "restart", &slot))
		return EXIT_USAGE;
	const enum exit_status status = one ? cli_order(cli, &result, "objpool.restart", "[s I]", words[0], slot)
					    : cli_order(cli, &result, "objpool.restart", "[s]", words[0]);
	return status == EXIT_DONE ? print_result(&result) : status;
}

enum exit_status command_kick(struct cli *cli)
{
	struct objpool_result result;
	int64_t session;
	bool there = false;

	if (!read_number(cli->arguments.words[0], "kick", &session))
		return EXIT_USAGE;
	const enum exit_status status = cli_ask(cli, &result, "objpool.kick", "[I]", session);
	if (status != EXIT_DONE)
		return status;
	struct objpool_reader reader = objpool_reader(result.value);
	const bool was_there = objpool_read_bool(&reader, &there) == 0 && there;
	const enum exit_status printed = print_result(&result);
	return printed != EXIT_DONE || was_there ? printed : EXIT_CALL_FAILED;
}

enum exit_status command_forget(struct cli *cli)
{
	char **words = cli->arguments.words;
	struct objpool_result result;
	const enum exit_status status = cli->arguments.count > 1
						? cli_ask(cli, &result, "objpool.forget", "[s s]", words[0], words[1])
						: cli_ask(cli, &result, "objpool.forget", "[s]", words[0]);

	return status == EXIT_DONE ? print_result(&result) : status;
}

static void print_name(void *context, struct objpool_bytes name)
{
	(void)context;
	fputc(' ', stdout);
	field_show(stdout, name);
}

/* Prints `KEY: NAME: SENTENCE` for each pool of this group. */
static void print_sentences(struct objpool_bytes key, struct objpool_reader *reader, uint32_t count)
{
	struct objpool_bytes name, sentence;

	while (count-- > 0 && objpool_read_value(reader, &name) == 0 && objpool_read_value(reader, &sentence) == 0) {
		field_show(stdout, key);
		fputs(": ", stdout);
		field_show(stdout, name);
		fputs(": ", stdout);
		field_show(stdout, sentence);
		putchar('\n');
	}
}

static void print_group(struct objpool_bytes key, struct objpool_bytes group)
{
	struct objpool_reader reader = objpool_reader(group);
	uint32_t count;

	if (objpool_read_map(&reader, &count) == 0) {
		print_sentences(key, &reader, count);
	} else if (field_is_set(group)) {
		field_show(stdout, key); /* `started: a b` */
		putchar(':');
		field_each(group, print_name, NULL);
		putchar('\n');
	}
}

/* Prints each group of the daemon's answer that is not empty. */
static void print_groups(struct objpool_bytes groups)
{
	struct objpool_reader reader = objpool_reader(groups);
	struct objpool_bytes key, group;
	uint32_t count = 0;

	(void)objpool_read_map(&reader, &count);
	while (count-- > 0 && objpool_read_value(&reader, &key) == 0 && objpool_read_value(&reader, &group) == 0)
		print_group(key, group);
}

const struct option reload_options[] = {
	{'j', "json", NULL, "print JSON"},
	{'c', "code", "POOL", "load the code of this pool anew, and nothing else"},
	{0},
};

enum exit_status command_reload(struct cli *cli)
{
	const char *pool = arguments_get(&cli->arguments, "code");
	struct objpool_result result;
	const enum exit_status status = pool ? cli_order(cli, &result, "objpool.reload_code", "[s]", pool)
					     : cli_order(cli, &result, "objpool.reload", "[]");

	if (status != EXIT_DONE)
		return status;
	const bool failed = field_is_set(field(result.value, "failed"));
	if (arguments_get(&cli->arguments, "json"))
		cli_print(result.value);
	else
		print_groups(result.value);
	objpool_result_free(&result);
	return cli_end_output(failed ? EXIT_CALL_FAILED : EXIT_DONE);
}

/* Another host's daemon answers what is asked of its pool: so the way there, and the right to see the pool, are tried, too. */
enum exit_status command_ping(struct cli *cli)
{
	const char *target = cli->arguments.count > 0 ? cli->arguments.words[0] : NULL;
	struct objpool_result result;
	enum exit_status status = cli_connect_briefly(cli);

	if (status != EXIT_DONE)
		return status;
	const int64_t began = clock_now();
	status = target ? cli_ask(cli, &result, "objpool.describe", "[s]", target) : cli_ask(cli, &result, "objpool.ping", "[]");
	if (status != EXIT_DONE)
		return status;
	printf("{\"ms\": %.3f}\n", (double)(clock_now() - began) / CLOCK_NS_PER_MS);
	objpool_result_free(&result);
	return cli_end_output(EXIT_DONE);
}

/* Prints a text that the method answers, as it is. */
static enum exit_status print_text(struct cli *cli, const char *method)
{
	struct objpool_result result;
	const enum exit_status status = cli_ask(cli, &result, method, "[]");
	const char *text;
	size_t size;

	if (status != EXIT_DONE)
		return status;
	struct objpool_reader reader = objpool_reader(result.value);
	if (objpool_read_str(&reader, &text, &size) < 0)
		return print_result(&result);
	(void)fwrite(text, 1, size, stdout);
	objpool_result_free(&result);
	return cli_end_output(EXIT_DONE);
}

enum exit_status command_metrics(struct cli *cli)
{
	return print_text(cli, "objpool.metrics");
}

enum exit_status command_config(struct cli *cli)
{
	return print_text(cli, "objpool.config");
}

enum exit_status command_log_level(struct cli *cli)
{
	struct objpool_result result;
	const enum exit_status status = cli->arguments.count > 0
						? cli_ask(cli, &result, "objpool.log_level", "[s]", cli->arguments.words[0])
						: cli_ask(cli, &result, "objpool.log_level", "[]");

	return status == EXIT_DONE ? print_result(&result) : status;
}
