/* SPDX-License-Identifier: Apache-2.0 */
/*
 * command_create: creates a pool from the keys of a [pool] section. Each key can be given as KEY=VALUE; plugin, class and workers
 * have options, too.
 */
#include "cli/cli.h"
#include "cli/json.h"
#include "cli/words.h"

#include <stdio.h>
#include <string.h>

const struct option create_options[] = {
	{'p', "plugin", "NAME", "the plugin: a name in the daemon's plugin_dir, or a path"},
	{'c', "class", "NAME", "which of its classes"},
	{'w', "workers", "N", "how many instances, or: cpus"},
	{0},
};

/* Keys for the constructor. Their values must be JSON of these types: other text would be passed on as a string. */
static const struct {
	const char *key;
	enum objpool_type type;
	const char *kind;
} constructor_keys[] = {
	{"args", OBJPOOL_ARRAY, "array"},
	{"kwargs", OBJPOOL_MAP, "object"},
	{"slot_kwargs", OBJPOOL_ARRAY, "array"},
};

static bool is_key(const char *key, size_t size, const char *name)
{
	return strlen(name) == size && memcmp(key, name, size) == 0;
}

/* The value of the word KEY=VALUE; NULL: there is no such word. */
static const char *setting(const struct arguments *arguments, const char *key)
{
	for (int i = 1; i < arguments->count; i++) {
		const char *word = arguments->words[i];
		const char *equals = strchr(word, '=');
		if (equals && is_key(word, (size_t)(equals - word), key))
			return equals + 1;
	}
	return NULL;
}

static enum exit_status pack_constructor_value(struct objpool_packer *packer, size_t which, const char *text)
{
	const char *key = constructor_keys[which].key, *kind = constructor_keys[which].kind;
	const size_t before = packer->size;
	char reason[160] = "";

	if (json_read(packer, text, strlen(text), reason, sizeof reason) < 0)
		return cli_fail(EXIT_USAGE, "create: %s wants a JSON %s: %s", key, kind, reason);
	const struct objpool_reader reader = {packer->data + before, packer->data + packer->size};
	if (objpool_read_type(&reader) != constructor_keys[which].type)
		return cli_fail(EXIT_USAGE, "create: %s wants a JSON %s", key, kind);
	return EXIT_DONE;
}

static enum exit_status pack_value(struct objpool_packer *packer, const char *key, size_t size, const char *text)
{
	for (size_t i = 0; i < sizeof constructor_keys / sizeof *constructor_keys; i++)
		if (is_key(key, size, constructor_keys[i].key))
			return pack_constructor_value(packer, i, text);
	return words_pack(packer, text);
}

static bool is_option(const struct arguments *arguments, const char *key)
{
	for (const struct option *option = create_options; option->name; option++)
		if (strcmp(option->name, key) == 0)
			return arguments_get(arguments, key) != NULL;
	return false;
}

/* Packs KEY=VALUE, unless the key has been packed before. */
static enum exit_status pack_setting(struct objpool_packer *packer, const struct arguments *arguments, int i)
{
	const char *word = arguments->words[i];
	const char *equals = strchr(word, '=');
	char key[64], shown[CLI_SHOWN];

	if (!equals || equals == word)
		return cli_fail(EXIT_USAGE, "create: \"%s\" is no KEY=VALUE", cli_shown(shown, word));
	if ((size_t)(equals - word) >= sizeof key)
		return cli_fail(EXIT_USAGE, "create: there is no key as long as in \"%s\"", cli_shown(shown, word));
	snprintf(key, sizeof key, "%.*s", (int)(equals - word), word);
	if (setting(arguments, key) != equals + 1 || is_option(arguments, key))
		return cli_fail(EXIT_USAGE, "create: %s is given twice", key);
	if (strcmp(key, "pool") == 0)
		return cli_fail(EXIT_USAGE, "create: the pool's name is the first word, not a key");
	objpool_pack_cstr(packer, key);
	return pack_value(packer, word, strlen(key), equals + 1);
}

static enum exit_status pack_option(struct objpool_packer *packer, const char *key, const char *text)
{
	if (!text)
		return EXIT_DONE;
	objpool_pack_cstr(packer, key);
	if (strcmp(key, "workers") == 0)
		return words_pack(packer, text);
	objpool_pack_cstr(packer, text); /* a name, whatever it looks like */
	return EXIT_DONE;
}

static enum exit_status check_required(const struct arguments *arguments, const char *key)
{
	if (arguments_get(arguments, key) || setting(arguments, key))
		return EXIT_DONE;
	return cli_fail(EXIT_USAGE, "create: which %s? Write --%s NAME", key, key);
}

/* Unless the user gives `owner`, the pool belongs to the daemon: the session of this program ends at once. */
static enum exit_status pack_settings(struct objpool_packer *packer, const struct arguments *arguments)
{
	const bool owned = setting(arguments, "owner") != NULL;
	uint32_t count = (uint32_t)arguments->count + (owned ? 0 : 1);
	enum exit_status status = EXIT_DONE;

	for (const struct option *o = create_options; o->name; o++)
		count += arguments_get(arguments, o->name) ? 1 : 0;
	objpool_pack_map(packer, count);
	objpool_pack(packer, "s s", "pool", arguments->words[0]);
	if (!owned)
		objpool_pack(packer, "s s", "owner", "daemon");
	for (const struct option *o = create_options; o->name && status == EXIT_DONE; o++)
		status = pack_option(packer, o->name, arguments_get(arguments, o->name));
	for (int i = 1; i < arguments->count && status == EXIT_DONE; i++)
		status = pack_setting(packer, arguments, i);
	return status;
}

enum exit_status command_create(struct cli *cli)
{
	struct objpool_packer settings = OBJPOOL_PACKER_INIT;
	struct objpool_result result;

	enum exit_status status = pack_settings(&settings, &cli->arguments);
	if (status == EXIT_DONE)
		status = check_required(&cli->arguments, "plugin");
	if (status == EXIT_DONE)
		status = check_required(&cli->arguments, "class");
	if (status == EXIT_DONE)
		status = cli_order(cli, &result, "objpool.create", "[v]", objpool_packed(&settings));
	objpool_packer_free(&settings);
	if (status != EXIT_DONE)
		return status;
	cli_print(result.value);
	objpool_result_free(&result);
	return cli_end_output(EXIT_DONE);
}
