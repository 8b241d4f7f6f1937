/* SPDX-License-Identifier: Apache-2.0 */
/* command_inspect: pools, clients, hosts, describe and status: what the daemon has, for people. With --json, one value per line. */
#include "cli/cli.h"
#include "cli/fields.h"
#include "cli/generate/generate.h"
#include "cli/shown.h"
#include "cli/table.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const struct option json_options[] = {
	{'j', "json", NULL, "print JSON"},
	{0},
};

const struct option look_options[] = {
	{'j', "json", NULL, "print JSON"},
	{'t', "timeout", "SECONDS", "how long to wait for the daemon (default: 10)"},
	{0},
};

const struct option describe_options[] = {
	{'j', "json", NULL, "print JSON"},
	{'g', "generate", "LANGUAGE", "print a typed client of the pool: " GENERATE_LANGUAGES},
	{'t', "timeout", "SECONDS", "how long to wait for the daemon (default: 10)"},
	{0},
};

static bool wants_json(const struct cli *cli)
{
	return arguments_get(&cli->arguments, "json") != NULL;
}

static void print_element(void *context, struct objpool_bytes element)
{
	(void)context;
	cli_print(element);
}

/* ---- pools ----------------------------------------------------------------------------------------------------------------- */

static const struct column pool_columns[] = {
	{"POOL", "name", false},     {"CLASS", "class", false}, {"PLUGIN", "plugin", false}, {"WORKERS", "workers", true},
	{"READY", "ready", true},    {"QUEUE", "queue", true},  {"STATE", "state", false},   {"WHY", "error", false},
	{0},
};

/* Prints what the method answers, an array of maps, as a table. */
static enum exit_status print_table(struct cli *cli, const char *method, const struct column *columns)
{
	struct objpool_result result;
	struct table table;
	const enum exit_status status = cli_ask(cli, &result, method, "[]");

	if (status != EXIT_DONE)
		return status;
	if (wants_json(cli)) {
		field_each(result.value, print_element, NULL);
	} else {
		table_begin(&table, columns);
		field_each(result.value, table_add, &table);
		table_end(&table, stdout, "");
	}
	objpool_result_free(&result);
	return cli_end_output(EXIT_DONE);
}

enum exit_status command_pools(struct cli *cli)
{
	return print_table(cli, "objpool.pools", pool_columns);
}

/* ---- clients --------------------------------------------------------------------------------------------------------------- */

static const struct column client_columns[] = {
	{"SESSION", "session", true},
	{"USER", "user", false},
	{"BY", "by", false},
	{"KIND", "kind", false},
	{"FROM", "peer", false},
	{"NAME", "name", false},
	{"SINCE/s", "since_s", true},
	{"CALLS", "calls", true},
	{"IN FLIGHT", "in_flight", true},
	{"UNSENT", "unsent", true},
	{"WAITS FOR", "waits_for", false},
	{"SLOT", "waits_slot", true},
	{"FOR/s", "waits_s", true},
	{0},
};

enum exit_status command_clients(struct cli *cli)
{
	return print_table(cli, "objpool.clients", client_columns);
}

/* ---- hosts ----------------------------------------------------------------------------------------------------------------- */

/* Eighty columns are enough for names that are not long. */
static const struct column host_columns[] = {
	{"HOST", "name", false},
	{"STATE", "state", false},
	{"POOL", "pool", false},
	{"READY", "ready/slots", true},
	{"QUEUE", "queue", true},
	{"BUSY", "running", true},
	{"RTT/us", "rtt_us", true},
	{"CALLS", "calls", true},
	{"IN FLIGHT", "inflight", true},
	{"LOST", "lost", true},
	{0},
};

struct host_rows {
	struct table *table;
	struct objpool_bytes host;
	bool any; /* of its pools has a row */
};

static void add_host_pool(void *context, struct objpool_bytes pool)
{
	struct host_rows *rows = context;

	table_add_two(rows->table, pool, rows->any ? (struct objpool_bytes){0} : rows->host);
	rows->any = true;
}

/* The host stands in the row of its first pool. */
static void add_host(void *context, struct objpool_bytes host)
{
	struct host_rows rows = {.table = context, .host = host};

	field_each(field(host, "pools"), add_host_pool, &rows);
	if (!rows.any)
		table_add(rows.table, host);
}

static void print_hosts(struct objpool_bytes hosts)
{
	struct table table;

	fputs("host ", stdout);
	field_show(stdout, field(hosts, "name"));
	fputs(" of domain ", stdout);
	field_show(stdout, field(hosts, "domain"));
	fputs(": ", stdout);
	field_show(stdout, field(field(hosts, "bus"), "state"));
	fputs(": ", stdout);
	field_show(stdout, field(field(hosts, "bus"), "text"));
	fputc('\n', stdout);
	table_begin(&table, host_columns);
	field_each(field(hosts, "hosts"), add_host, &table);
	table_end(&table, stdout, "");
}

enum exit_status command_hosts(struct cli *cli)
{
	struct objpool_result result;
	enum exit_status status = cli_ask(cli, &result, "objpool.hosts", "[]");

	if (status != EXIT_DONE)
		return status;
	if (wants_json(cli))
		cli_print(result.value);
	else if (!field_is_set(field(result.value, "name")))
		status = cli_fail(EXIT_CALL_FAILED, "this daemon is in no cluster: it needs [cluster], see objpoold.conf(5)");
	else
		print_hosts(result.value);
	objpool_result_free(&result);
	return cli_end_output(status);
}

/* ---- describe
 * ---------------------------------------------------------------------------------------------------------------- */

/* Prints text of several lines, each with `indent` before it. */
static void print_doc(struct objpool_bytes doc, const char *indent)
{
	struct objpool_reader reader = objpool_reader(doc);
	const char *text;
	size_t size;

	if (!field_is_set(doc) || objpool_read_str(&reader, &text, &size) < 0)
		return;
	while (size > 0) {
		const char *end = memchr(text, '\n', size);
		const size_t n = end ? (size_t)(end - text) : size;
		fputs(indent, stdout);
		shown_text(stdout, text, n);
		fputc('\n', stdout);
		text += end ? n + 1 : n;
		size -= end ? n + 1 : n;
	}
}

static void print_text(model_text text)
{
	shown_text(stdout, text.ptr, text.size);
}

static void print_lines(model_text text, const char *indent)
{
	if (text.size == 0)
		return;
	fputs(indent, stdout);
	shown_lines(stdout, text.ptr, text.size, indent);
	fputc('\n', stdout);
}

static void print_method(const struct method *method)
{
	fputs("\n  ", stdout);
	print_text(method->name);
	print_text(method->signature);
	fputs(method->readonly ? "   (changes nothing)\n" : "\n", stdout);
	print_lines(method->doc, "      ");
}

/* Types and defaults are of strangers: they are written to memory, and shown from there. */
static void print_field(const struct field *field)
{
	char *text = NULL;
	size_t size = 0;
	FILE *out = open_memstream(&text, &size);

	if (!out)
		return;
	type_show(out, &field->type);
	fputs(field->optional ? " = " : "", out);
	if (field->value)
		value_show(out, field->value);
	else if (field->optional)
		fputs("...", out);
	(void)fclose(out);
	fputs("    ", stdout);
	print_text(field->name);
	fputs(": ", stdout);
	shown_text(stdout, text, size);
	fputc('\n', stdout);
	free(text);
}

static void print_record(const struct record *record)
{
	fputs("\nrecord ", stdout);
	print_text(record->name);
	fputc('\n', stdout);
	for (uint32_t i = 0; i < record->count; i++)
		print_field(&record->fields[i]);
}

static void print_model(const struct model *model)
{
	fputs("pool ", stdout);
	print_text(model->pool);
	fputs(", plugin ", stdout);
	print_text(model->plugin);
	fputs("\n\nclass ", stdout);
	print_text(model->class);
	print_text(model->signature);
	fputc('\n', stdout);
	print_lines(model->doc, "    ");
	for (uint32_t i = 0; i < model->method_count; i++)
		print_method(&model->methods[i]);
	for (uint32_t i = 0; i < model->record_count; i++)
		print_record(&model->records[i]);
}

static enum exit_status print_description(struct objpool_bytes description)
{
	struct model model;
	const int r = model_read(&model, description);

	if (r == 0)
		print_model(&model);
	model_free(&model);
	return r == 0 ? EXIT_DONE : cli_fail(EXIT_CALL_FAILED, "describe: %s", strerror(-r));
}

static enum exit_status print_client(const struct generator *generator, struct objpool_bytes description)
{
	const int r = generate(generator, description, stdout);

	return r == 0 ? EXIT_DONE : cli_fail(EXIT_CALL_FAILED, "describe: %s", strerror(-r));
}

enum exit_status command_describe(struct cli *cli)
{
	const char *language = arguments_get(&cli->arguments, "generate");
	const struct generator *generator = language ? generate_find(language) : NULL;
	struct objpool_result result;
	char shown[CLI_SHOWN];

	if (language && !generator)
		return cli_fail(EXIT_USAGE, "describe: --generate takes " GENERATE_LANGUAGES ", not %s",
				cli_shown(shown, language));
	enum exit_status status = cli_ask(cli, &result, "objpool.describe", "[s]", cli->arguments.words[0]);
	if (status != EXIT_DONE)
		return status;
	if (generator)
		status = print_client(generator, result.value);
	else if (wants_json(cli))
		cli_print(result.value);
	else
		status = print_description(result.value);
	objpool_result_free(&result);
	return cli_end_output(status);
}

/* ---- status
 * ------------------------------------------------------------------------------------------------------------------- */

static const struct column slot_columns[] = {
	{"SLOT", "slot", true},
	{"STATE", "state", false},
	{"GEN", "generation", true},
	{"PID", "pid", true},
	{"SINCE/s", "since_s", true},
	{"CALLS", "calls", true},
	{"FAILED", "failures", true},
	{"RESTARTS", "restarts", true},
	{"QUEUE", "queue", true},
	{"RUNNING", "running", false},
	{"FOR/s", "running_s", true},
	{"CPU/s", "cpu_s", true},
	{"RSS", "rss", true},
	{"LAST FAILURE", "last_failure", false},
	{0},
};

/* Prints `, 3 WORDS`. */
static void print_count(struct objpool_bytes value, const char *words)
{
	if (!value.data)
		return;
	fputs(", ", stdout);
	field_show(stdout, value);
	fputs(words, stdout);
}

/* Prints `, 3 NOUNs`. */
static void print_nouns(struct objpool_bytes value, const char *noun)
{
	print_count(value, noun);
	if (field_number(value, 1) != 1)
		fputc('s', stdout);
}

/* A line, if the pool has a template: `  template: ready for 12.3 s, pid 4711, generation 1, 1830912 bytes`. */
static void print_template(struct objpool_bytes template)
{
	if (!field_is_set(template) || field_number(field(template, "generation"), 0) == 0)
		return;
	fputs("  template: ", stdout);
	field_show(stdout, field(template, "state"));
	fputs(" for ", stdout);
	field_show(stdout, field(template, "since_s"));
	fputs(" s", stdout);
	if (field_number(field(template, "pid"), 0) > 0) {
		fputs(", pid ", stdout);
		field_show(stdout, field(template, "pid"));
	}
	fputs(", generation ", stdout);
	field_show(stdout, field(template, "generation"));
	print_count(field(template, "rss"), " bytes");
	if (field_number(field(template, "failed_loads"), 0) > 0)
		print_count(field(template, "failed_loads"), " failed to load");
	fputc('\n', stdout);
}

static void print_pool(void *context, struct objpool_bytes pool)
{
	struct table table;

	(void)context;
	fputs("\npool ", stdout);
	field_show(stdout, field(pool, "name"));
	fputs(": ", stdout);
	field_show(stdout, field(pool, "state"));
	print_count(field(pool, "class"), "");
	print_count(field(pool, "ready"), " of ");
	field_show(stdout, field(pool, "workers"));
	fputs(" ready", stdout);
	print_count(field(pool, "queue"), " queued");
	print_count(field(pool, "running"), " running");
	print_nouns(field(pool, "calls"), " call");
	print_count(field(pool, "failures"), " failed");
	print_count(field(pool, "lost"), " lost");
	print_nouns(field(pool, "restarts"), " restart");
	fputc('\n', stdout);
	print_doc(field(pool, "error"), "  ! ");
	print_template(field(pool, "template"));
	if (!field_is_set(field(pool, "slots")))
		return;
	table_begin(&table, slot_columns);
	field_each(field(pool, "slots"), table_add, &table);
	table_end(&table, stdout, "  ");
}

static const struct column user_columns[] = {
	{"USER", "name", false},
	{"SESSIONS", "sessions", true},
	{"IN FLIGHT", "inflight", true},
	{"CALLS", "calls", true},
	{"DENIED", "denied", true},
	{"OVERLOADED", "overloaded", true},
	{"MEMORY", "memory", true},
	{0},
};

/* Where the configuration has users, and this one may see them. */
static void print_users(struct objpool_bytes users)
{
	struct objpool_reader reader = objpool_reader(users);
	struct table table;
	uint32_t count;

	if (objpool_read_array(&reader, &count) < 0 || count == 0)
		return;
	fputs("\nusers:\n", stdout);
	table_begin(&table, user_columns);
	field_each(users, table_add, &table);
	table_end(&table, stdout, "  ");
}

static void print_address(void *context, struct objpool_bytes address)
{
	(void)context;
	fputs("  listens on ", stdout);
	field_show(stdout, address);
	fputc('\n', stdout);
}

static void print_uptime(double seconds)
{
	const long s = seconds >= 0 && seconds < 1e12 ? (long)seconds : 0;

	if (s >= 86400)
		printf(", up %ldd %ldh", s / 86400, s / 3600 % 24);
	else if (s >= 3600)
		printf(", up %ldh %ldm", s / 3600, s / 60 % 60);
	else if (s >= 60)
		printf(", up %ldm %lds", s / 60, s % 60);
	else
		printf(", up %lds", s);
}

static void print_cluster(struct objpool_bytes cluster)
{
	if (!field_is_set(cluster))
		return;
	fputs("  is host ", stdout);
	field_show(stdout, field(cluster, "name"));
	fputs(" of domain ", stdout);
	field_show(stdout, field(cluster, "domain"));
	print_count(field(cluster, "bus"), "");
	print_nouns(field(cluster, "hosts"), " other host");
	print_count(field(cluster, "requests"), " under way there");
	fputc('\n', stdout);
}

static bool is_empty(struct objpool_bytes array)
{
	struct objpool_reader reader = objpool_reader(array);
	uint32_t count;

	return objpool_read_array(&reader, &count) == 0 && count == 0;
}

static void print_status(struct objpool_bytes status)
{
	field_show(stdout, field(status, "server"));
	fputc(' ', stdout);
	field_show(stdout, field(status, "version"));
	fputs(": ", stdout);
	field_show(stdout, field(status, "state"));
	fputs(", pid ", stdout);
	field_show(stdout, field(status, "pid"));
	print_uptime(field_number(field(status, "uptime_s"), 0));
	print_nouns(field(status, "sessions"), " session");
	fputc('\n', stdout);
	field_each(field(status, "listen"), print_address, NULL);
	print_cluster(field(status, "cluster"));
	if (is_empty(field(status, "pools")))
		fputs("\nno pools\n", stdout);
	field_each(field(status, "pools"), print_pool, NULL);
	print_users(field(status, "users"));
}

static enum exit_status ask_status(struct cli *cli, struct objpool_result *result)
{
	const char *pool = cli->arguments.words[0];

	if (cli->arguments.count > 0)
		return cli_ask(cli, result, "objpool.status", "[s]", pool);
	return cli_ask(cli, result, "objpool.status", "[]");
}

enum exit_status command_status(struct cli *cli)
{
	struct objpool_result result;
	const enum exit_status status = ask_status(cli, &result);

	if (status != EXIT_DONE)
		return status;
	if (wants_json(cli))
		cli_print(result.value);
	else
		print_status(result.value);
	objpool_result_free(&result);
	return cli_end_output(EXIT_DONE);
}
