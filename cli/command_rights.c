/* SPDX-License-Identifier: Apache-2.0 */
/* command_rights: whoami and acl: who the daemon takes this client for, and what users may do. */
#include "cli/cli.h"
#include "cli/fields.h"
#include "cli/shown.h"

#include <stdio.h>
#include <string.h>

/* ---- whoami ---------------------------------------------------------------------------------------------------------------- */

static void print_word(void *context, struct objpool_bytes word)
{
	(void)context;
	fputc(' ', stdout);
	field_show(stdout, word);
}

/* `call: sim.get* dice.*` */
static void print_words(struct objpool_bytes key, struct objpool_bytes words)
{
	field_show(stdout, key);
	fputc(':', stdout);
	field_each(words, print_word, NULL);
	putchar('\n');
}

/* `max_sessions: 10`, `rate: 0.08333/s`. The rate is the one limit with a fraction. */
static void print_limit(struct objpool_bytes key, struct objpool_bytes value)
{
	struct objpool_reader reader = objpool_reader(value);

	field_show(stdout, key);
	fputs(": ", stdout);
	if (objpool_read_type(&reader) == OBJPOOL_DOUBLE)
		printf("%.4g/s", field_number(value, 0));
	else
		field_show(stdout, value);
	putchar('\n');
}

static void print_pairs(struct objpool_bytes map, void (*print)(struct objpool_bytes key, struct objpool_bytes value))
{
	struct objpool_reader reader = objpool_reader(map);
	struct objpool_bytes key, value;
	uint32_t count = 0;

	(void)objpool_read_map(&reader, &count);
	while (count-- > 0 && objpool_read_value(&reader, &key) == 0 && objpool_read_value(&reader, &value) == 0)
		print(key, value);
}

static void print_user(struct objpool_bytes who)
{
	const struct objpool_bytes user = field(who, "user"), roles = field(who, "roles");

	fputs(field_is_set(user) ? "user " : "no user", stdout);
	if (field_is_set(user))
		field_show(stdout, user);
	fputs(", by ", stdout);
	field_show(stdout, field(who, "by"));
	putchar('\n');
	if (!field_is_set(roles))
		return;
	fputs("roles:", stdout);
	field_each(roles, print_word, NULL);
	putchar('\n');
}

static void print_who(struct objpool_bytes who)
{
	print_user(who);
	print_pairs(field(who, "rights"), print_words);
	if (!field_is_set(field(who, "rights")))
		puts("no rights");
	print_pairs(field(who, "limits"), print_limit);
}

enum exit_status command_whoami(struct cli *cli)
{
	struct objpool_result result;
	const enum exit_status status = cli_ask(cli, &result, "objpool.whoami", "[]");

	if (status != EXIT_DONE)
		return status;
	if (arguments_get(&cli->arguments, "json"))
		cli_print(result.value);
	else
		print_who(result.value);
	objpool_result_free(&result);
	return cli_end_output(EXIT_DONE);
}

/* ---- acl ------------------------------------------------------------------------------------------------------------------- */

static void print_text(const char *text)
{
	shown_text(stdout, text, strlen(text));
}

/* `user ci may not "call" sim.step (objpoold.conf:31)`, as the daemon says it. */
static void print_ruling(char *const *question, bool allowed, struct objpool_bytes where)
{
	fputs("user ", stdout);
	print_text(question[0]);
	fputs(allowed ? " may \"" : " may not \"", stdout);
	print_text(question[1]);
	fputs("\" ", stdout);
	print_text(question[2]);
	fputs(" (", stdout);
	field_show(stdout, where);
	puts(")");
}

static enum exit_status print_answer(struct cli *cli, char *const *question, struct objpool_bytes answer)
{
	struct objpool_reader reader = objpool_reader(field(answer, "allowed"));
	bool allowed = false;

	if (objpool_read_bool(&reader, &allowed) < 0)
		return cli_fail(EXIT_USAGE, "the daemon does not say whether it is allowed");
	if (arguments_get(&cli->arguments, "json"))
		cli_print(answer);
	else
		print_ruling(question, allowed, field(answer, "where"));
	return cli_end_output(allowed ? EXIT_DONE : EXIT_CALL_FAILED);
}

enum exit_status command_acl(struct cli *cli)
{
	char **question = cli->arguments.words + 1;
	struct objpool_result result;

	if (strcmp(cli->arguments.words[0], "check") != 0)
		return cli_fail(EXIT_USAGE, "acl: it is: acl check USER RIGHT NAME");
	enum exit_status status = cli_ask(cli, &result, "objpool.acl", "[s s s]", question[0], question[1], question[2]);
	if (status == EXIT_CALL_FAILED)
		return EXIT_USAGE; /* there is no such user or right: EXIT_CALL_FAILED would say "not allowed" */
	if (status != EXIT_DONE)
		return status;
	status = print_answer(cli, question, result.value);
	objpool_result_free(&result);
	return status;
}
