/* SPDX-License-Identifier: Apache-2.0 */
/*
 * command_complete: complete: prints what may stand next on a command line of objpool, for shells (packaging/completions). Its
 * words are those of the line behind "objpool"; the last is the one that is being typed, and may be empty. Each line is a
 * candidate, a tab, and what it is. The one line ":files" stands for the names of files.
 *
 * Commands, their options and words come from the tables that --help prints; pools, hosts and methods from the daemon, which
 * has a second to answer.
 */
#include "cli/cli.h"
#include "cli/fields.h"
#include "cli/shown.h"

#include <stdlib.h>
#include <string.h>

enum { COMPLETE_MS = 1000 };

struct completion {
	struct cli *cli;
	struct cli line;    /* as the words say before the last */
	char **room;        /* for its words */
	const char *typed;  /* the word that is being typed, or its value behind "--option=" */
	const char *before; /* what stands before `typed` in its word */
	int before_size;
};

/* Values of options and words that are some of a few. */
static const struct choices {
	const char *name; /* of an option, or of a word in capitals */
	const char *values[50];
} choices[] = {
	{"errors", {"wait", "first", "collect"}},
	{"args-as", {"zip", "single", "positional", "keyword"}},
	{"sticky", {"replace", "append"}},
	{"format", {"json", "pretty", "csv", "npy"}},
	{"generate", {"python", "ts", "go", "rust", "java", "c"}},
	{"lang", {"c", "python"}},
	{"workers", {"cpus"}},
	{"server", {"unix:/run/objpool/objpool.sock", "tcp:127.0.0.1:7117", "tls:localhost:7118"}},
	{"kind",
	 {"daemon",           "daemon.started",  "daemon.draining", "daemon.stopping",  "config",        "config.reloaded",
	  "config.refused",   "pool",            "pool.created",    "pool.changed",     "pool.removed",  "pool.paused",
	  "pool.resumed",     "pool.full",       "template",        "template.started", "template.ready", "template.failed",
	  "template.died",    "slot",            "slot.starting",   "slot.ready",       "slot.failed",   "slot.died",
	  "slot.killed",      "slot.backoff",    "slot.replaced",   "slot.stopped",     "call.killed",   "lease",
	  "lease.opened",     "lease.released",  "lease.broken",    "client",           "client.connected", "client.gone",
	  "client.refused",   "client.denied",   "host",            "host.ready",       "host.silent",   "host.gone",
	  "bus",              "bus.connected",   "bus.lost",        "bus.refused",      "gateway",       "gateway.started",
	  "gateway.died"}},
	{"since", {"10m", "1h", "1d"}},
	{"LEVEL", {"error", "warning", "info", "debug"}},
	{"RIGHT", {"call", "all", "describe", "create", "code", "admin", "direct", "watch", "operate"}},
};

static bool begins(const char *text, const char *with)
{
	return strncmp(text, with, strlen(with)) == 0;
}

/* Prints one line, if the candidate begins as what is typed. */
static void offer(const struct completion *completion, const char *candidate, const char *what)
{
	if (!begins(candidate, completion->typed))
		return;
	printf("%.*s", completion->before_size, completion->before);
	shown_text(stdout, candidate, strlen(candidate));
	(void)putchar('\t');
	shown_text(stdout, what, strcspn(what, "\n"));
	(void)putchar('\n');
}

static void offer_choices(const struct completion *completion, const char *name)
{
	for (size_t i = 0; i < sizeof choices / sizeof *choices; i++)
		for (const char *const *v = choices[i].values; strcmp(choices[i].name, name) == 0 && *v; v++)
			offer(completion, *v, "");
}

/* ---- what the daemon has ---- */

/* Asks without a word of what went wrong. False: there is no answer. */
static bool ask(struct completion *completion, const char *method, const char *pool, struct objpool_result *result)
{
	const struct objpool_call_options options = {.size = sizeof options, .timeout_ms = COMPLETE_MS};
	struct objpool_packer args = OBJPOOL_PACKER_INIT;
	struct cli_reason reason;

	completion->line.answer_ms = COMPLETE_MS;
	*result = (struct objpool_result){{NULL, 0}, NULL, NULL};
	if (cli_try_connect(&completion->line, &reason) != EXIT_DONE)
		return false;
	int rc = pool ? objpool_pack(&args, "[s]", pool) : objpool_pack(&args, "[]");
	if (rc == 0)
		rc = objpool_call(completion->line.client, method, objpool_packed(&args), &options, result);
	objpool_packer_free(&args);
	completion->line.client = objpool_close(completion->line.client);
	if (rc < 0)
		objpool_result_free(result);
	return rc == 0;
}

/* A copy of a field that is text, for the caller to free; "" where there is none. */
static char *copy_field(struct objpool_bytes map, const char *key)
{
	struct objpool_reader reader = objpool_reader(field(map, key));
	const char *text = "";
	size_t size = 0;

	(void)objpool_read_str(&reader, &text, &size);
	return strndup(text, size);
}

/* What comes before and behind the names that are offered. */
struct naming {
	const struct completion *completion;
	const char *before, *behind, *key; /* key: of what a name is said to be */
};

static void offer_named(void *context, struct objpool_bytes map)
{
	const struct naming *naming = context;
	char *name = copy_field(map, "name"), *what = copy_field(map, naming->key), *candidate = NULL;

	if (name && what && *name && asprintf(&candidate, "%s%s%s", naming->before, name, naming->behind) >= 0) {
		offer(naming->completion, candidate, what);
		free(candidate);
	}
	free(name);
	free(what);
}

static void offer_pools(struct completion *completion, const char *behind)
{
	struct objpool_result result;
	struct naming naming = {completion, "", behind, "class"};

	if (!ask(completion, "objpool.pools", NULL, &result))
		return;
	field_each(result.value, offer_named, &naming);
	objpool_result_free(&result);
}

/* The hosts that share a pool. */
struct hosting {
	struct completion *completion;
	const char *pool, *end; /* `end` stands behind the host */
	struct objpool_bytes host;
	bool any;
};

static void offer_place(const struct hosting *hosting, const char *host, const char *what)
{
	char *candidate;

	if (asprintf(&candidate, "%s@%s%s", hosting->pool, host, hosting->end) < 0)
		return;
	offer(hosting->completion, candidate, what);
	free(candidate);
}

static void offer_host_of_pool(void *context, struct objpool_bytes shared)
{
	struct hosting *hosting = context;
	char *pool = copy_field(shared, "pool"), *class = copy_field(shared, "class"), *host = copy_field(hosting->host, "name");

	if (pool && class && host && strcmp(pool, hosting->pool) == 0) {
		if (!hosting->any)
			offer_place(hosting, "*", class);
		hosting->any = true;
		offer_place(hosting, host, class);
	}
	free(pool);
	free(class);
	free(host);
}

static void offer_host(void *context, struct objpool_bytes host)
{
	struct hosting *hosting = context;

	hosting->host = host;
	field_each(field(host, "pools"), offer_host_of_pool, hosting);
}

static void offer_hosts(struct completion *completion, int pool, const char *end)
{
	struct hosting hosting = {.completion = completion, .end = end};
	struct objpool_result result;
	char *name = strndup(completion->typed, (size_t)pool);

	hosting.pool = name;
	if (name && ask(completion, "objpool.hosts", NULL, &result)) {
		field_each(field(result.value, "hosts"), offer_host, &hosting);
		objpool_result_free(&result);
	}
	free(name);
}

static void offer_selectors(const struct completion *completion, int pool)
{
	static const char *const selectors[] = {"all.", "map.", "scatter.", "key="};
	char *candidate;

	for (size_t i = 0; i < sizeof selectors / sizeof *selectors; i++)
		if (asprintf(&candidate, "%.*s:%s", pool, completion->typed, selectors[i]) >= 0) {
			offer(completion, candidate, "");
			free(candidate);
		}
}

/* The pool's methods, behind the target that is typed. */
static void offer_methods(struct completion *completion, int target, int pool)
{
	struct objpool_result result;
	char *before = strndup(completion->typed, (size_t)target + 1), *name = strndup(completion->typed, (size_t)pool);
	struct naming naming = {completion, before, "", "doc"};

	if (before && name && ask(completion, "objpool.describe", name, &result)) {
		field_each(field(result.value, "methods"), offer_named, &naming);
		objpool_result_free(&result);
	}
	free(before);
	free(name);
}

/* TARGET.METHOD */
static void offer_targets(struct completion *completion)
{
	const int target = (int)strcspn(completion->typed, "."), pool = (int)strcspn(completion->typed, ":.");
	const int at = (int)strcspn(completion->typed, "@");

	if (completion->typed[target])
		offer_methods(completion, target, pool);
	else if (completion->typed[pool])
		offer_selectors(completion, pool);
	else if (completion->typed[at])
		offer_hosts(completion, at, ".");
	else
		offer_pools(completion, ".");
}

/* POOL@HOST */
static void offer_places(struct completion *completion)
{
	const int at = (int)strcspn(completion->typed, "@");

	if (completion->typed[at])
		offer_hosts(completion, at, "");
	else
		offer_pools(completion, "@");
}

/* ---- the line ---- */

static const struct command *find_command(const struct cli *cli, const char *name)
{
	for (const struct command *c = cli->commands; c->name; c++)
		if (strcmp(c->name, name) == 0)
			return c;
	return NULL;
}

/* Takes the first `count` words apart, as main does. False: an option among them is unknown, or lacks its value. */
static bool parse(struct completion *completion, int count)
{
	struct arguments *arguments = &completion->line.arguments;

	completion->line = (struct cli){.commands = completion->cli->commands};
	arguments->tables[0] = completion->cli->arguments.tables[0];
	memcpy(completion->room, completion->cli->arguments.words, (size_t)count * sizeof *completion->room);
	if (arguments_parse(arguments, completion->room, count, true) < 0)
		return false;
	if (arguments->count == 0)
		return true;
	completion->line.command = find_command(completion->cli, arguments->words[0]);
	if (!completion->line.command)
		return true;
	arguments->tables[1] = completion->line.command->options;
	return arguments_parse(arguments, arguments->words + 1, arguments->count - 1, false) == 0;
}

/* The option that a word such as --name, --name=value or -abc ends with. */
static const struct option *option_of(const struct completion *completion, const char *word)
{
	const size_t size = strcspn(word, "=");

	for (int t = 0; t < ARGUMENTS_TABLES; t++)
		for (const struct option *o = completion->line.arguments.tables[t]; o && o->name; o++)
			if (begins(word, "--") ? strlen(o->name) == size - 2 && memcmp(o->name, word + 2, size - 2) == 0
					       : word[0] == '-' && word[1] && o->letter == word[size - 1])
				return o;
	return NULL;
}

static void offer_value(struct completion *completion, const struct option *option)
{
	if (strcmp(option->value, "FILE") == 0)
		(void)puts(":files");
	else if (strcmp(option->value, "POOL") == 0)
		offer_pools(completion, "");
	else
		offer_choices(completion, option->name);
}

static void offer_options(const struct completion *completion)
{
	char name[64];

	for (int t = ARGUMENTS_TABLES - 1; t >= 0; t--)
		for (const struct option *o = completion->line.arguments.tables[t]; o && o->name; o++) {
			(void)snprintf(name, sizeof name, "--%s", o->name);
			offer(completion, name, o->help);
		}
}

static void offer_commands(const struct completion *completion)
{
	for (const struct command *c = completion->cli->commands; c->name; c++)
		offer(completion, c->name, c->summary);
}

/* A word of the command, as its row of the table describes it: "[POOL]", "RIGHT", "TARGET.METHOD", "plugin". */
static void offer_word(struct completion *completion, const char *described)
{
	char word[32];
	const int size = (int)strcspn(described, " ].");

	(void)snprintf(word, sizeof word, "%.*s", size, described);
	if (begins(described, "TARGET.METHOD") || begins(described, "POOL.METHOD"))
		offer_targets(completion);
	else if (strcmp(word, "POOL@HOST") == 0)
		offer_places(completion);
	else if (strcmp(word, "POOL") == 0)
		offer_pools(completion, "");
	else if (strcmp(word, "FILE") == 0)
		(void)puts(":files");
	else if (word[0] >= 'a' && word[0] <= 'z')
		offer(completion, word, "");
	else
		offer_choices(completion, word);
}

/* Goes to the word that is being typed. */
static void offer_words(struct completion *completion)
{
	const char *described = completion->line.command->words;

	for (int i = completion->line.arguments.count; i > 0 && described; i--) {
		described = strchr(described, ' ');
		described = described ? described + 1 : NULL;
	}
	if (described)
		offer_word(completion, described + (*described == '['));
}

static bool ends_options(const struct completion *completion, int count)
{
	for (int i = 0; i < count; i++)
		if (strcmp(completion->cli->arguments.words[i], "--") == 0)
			return true;
	return false;
}

/* Completes the last of the words. */
static void complete(struct completion *completion, int count)
{
	char *const *words = completion->cli->arguments.words;
	const char *equals = strchr(completion->typed, '=');
	const bool only_words = ends_options(completion, count - 1);
	const struct option *option = NULL;

	if (!parse(completion, count - 1) && count > 1) {
		(void)parse(completion, count - 2);
		option = option_of(completion, words[count - 2]);
	}
	if (!option && !only_words && equals && begins(completion->typed, "--")) {
		option = option_of(completion, completion->typed);
		completion->before_size = (int)(equals + 1 - completion->typed);
		completion->typed = equals + 1;
	}
	completion->line.address = arguments_get(&completion->line.arguments, "server");
	if (option && option->value)
		offer_value(completion, option);
	else if (completion->typed[0] == '-' && !only_words)
		offer_options(completion);
	else if (!completion->line.command && completion->line.arguments.count == 0)
		offer_commands(completion);
	else if (completion->line.command)
		offer_words(completion);
}

enum exit_status command_complete(struct cli *cli)
{
	const int count = cli->arguments.count;
	struct completion completion = {.cli = cli, .room = calloc((size_t)count + 1, sizeof(char *))};

	if (!completion.room)
		return cli_fail(EXIT_CALL_FAILED, "out of memory");
	completion.before = completion.typed = count > 0 ? cli->arguments.words[count - 1] : "";
	if (count > 0)
		complete(&completion, count);
	else
		offer_commands(&completion);
	free(completion.room);
	return cli_end_output(EXIT_DONE);
}
