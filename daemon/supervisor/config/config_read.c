/* SPDX-License-Identifier: Apache-2.0 */
/* config_read: the file and those in conf.d, line by line; an error names file and line. */
#include "daemon/supervisor/config/config.h"
#include "daemon/supervisor/config/config_cluster.h"
#include "daemon/supervisor/config/config_pool.h"
#include "daemon/supervisor/config/config_table.h"
#include "daemon/supervisor/config/config_users.h"
#include "daemon/supervisor/config/config_values.h"
#include "daemon/supervisor/config/config_words.h"
#include "daemon/supervisor/config/inifile.h"
#include "daemon/supervisor/config/paths.h"
#include "daemon/supervisor/config/textfile.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>

enum { FILE_MAX = 4 << 20 };

struct file {
	struct config *config;
	const char *path;
	char section[128];
	const struct config_table *table; /* of its keys; NULL: there was no section yet */
	void *base;                       /* the structure that its values go to */
	bool seen[CONFIG_TABLE_MAX]; /* keys of the section */
};

/* What a section says: [KIND NAME]. */
static const struct kind {
	const char *name;
	const struct config_table *table;
	int (*add)(struct config *config, const char *name, const char *place);
	void *(*last)(struct config *config);
} kinds[] = {
	{"pool", &config_of_pool, config_add_named_pool, config_last_pool},
	{"role", &config_of_role, config_add_role, config_last_role},
	{"user", &config_of_user, config_add_user, config_last_user},
	{"remote", &config_of_remote, config_add_remote, config_last_remote},
};

static int add_section(struct file *file, const struct kind *kind, const char *name, int line)
{
	char *place;

	if (asprintf(&place, "%s:%d", file->path, line) < 0)
		return config_no_memory(file->config);
	const int r = kind->add(file->config, name, place);
	free(place);
	file->table = kind->table;
	file->base = r == 0 ? kind->last(file->config) : NULL;
	return r;
}

static int refuse_section(const struct file *file, const char *section, int line)
{
	struct similar similar = similar_to(section, strcspn(section, " \t"));
	char hint[SIMILAR_HINT];

	similar_offer(&similar, "daemon");
	similar_offer(&similar, "cluster");
	for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
		similar_offer(&similar, kinds[i].name);
	return config_fail(file->config,
			   "%s:%d: there is no section [%s]: write [daemon], [pool NAME], [role NAME], [user NAME], [cluster] or "
			   "[remote NAME]%s",
			   file->path, line, section, similar_hint(&similar, "", hint));
}

/* It may come again in another file, as [daemon] may. */
static int open_cluster(struct file *file, int line)
{
	struct config_cluster *cluster = &file->config->cluster;

	file->table = &config_of_cluster;
	file->base = cluster;
	if (!cluster->place && asprintf(&cluster->place, "%s:%d", file->path, line) < 0) {
		cluster->place = NULL;
		return config_no_memory(file->config);
	}
	return 0;
}

static int on_section(void *data, const char *section, int line)
{
	struct file *file = data;

	memset(file->seen, 0, sizeof file->seen);
	snprintf(file->section, sizeof file->section, "%s", section);
	if (!strcmp(section, "daemon")) {
		file->table = &config_of_daemon;
		file->base = file->config;
		return 0;
	}
	if (!strcmp(section, "cluster"))
		return open_cluster(file, line);
	for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
		const size_t n = strlen(kinds[i].name);
		if (!strncmp(section, kinds[i].name, n) && section[n] == ' ')
			return add_section(file, &kinds[i], section + n + strspn(section + n, " \t"), line);
	}
	return refuse_section(file, section, line);
}

/* What is meant as a comment would become part of a path or name. A '#' in JSON is in a string, or no JSON. */
static const char *refuse_comment(const struct config_option *option, const char *value)
{
	for (const char *p = strchr(value, '#'); p && option->type != T_JSON; p = strchr(p + 1, '#'))
		if (p > value && isspace((unsigned char)p[-1]))
			return "a comment behind a value begins with ; and not with #";
	return NULL;
}

/* Says where an address, or the words that were added last, were given. */
static int set_place(struct file *file, const struct config_option *option, void *field, int line)
{
	struct config *config = file->config;
	struct config_address *address = option->type == T_LIST ? &config->listen[config->listen_count - 1] : field;
	char *place;

	if (asprintf(&place, "%s:%d", file->path, line) < 0)
		return config_no_memory(config);
	if (config_has_words(option->type)) {
		const int r = config_words_place(field, place);
		free(place);
		return r < 0 ? config_no_memory(config) : 0;
	}
	free(address->place);
	address->place = place;
	return 0;
}

static bool has_place(enum config_type type)
{
	return type == T_ADDRESS || type == T_LIST || config_has_words(type);
}

static int set_value(struct file *file, const struct config_option *option, void *field, const char *value, int line)
{
	const char *reason = refuse_comment(option, value);

	if (!reason)
		reason = config_set_value(field, option, value);
	if (reason)
		return config_fail(file->config, "%s:%d: %s = %.100s: %s", file->path, line, option->name, value, reason);
	return has_place(option->type) ? set_place(file, option, field, line) : 0;
}

static int note_daemon_place(struct file *file, const struct config_option *option, int line)
{
	char **place = &file->config->places[option - config_of_daemon.options];

	free(*place);
	if (asprintf(place, "%s:%d", file->path, line) < 0)
		*place = NULL;
	return *place ? 0 : config_no_memory(file->config);
}

/* Some keys are remembered with their places, since only other keys, sections or files show whether they are right. */
static int note_place(struct file *file, const struct config_option *option, int line)
{
	struct config *config = file->config;

	if (file->table == &config_of_daemon && note_daemon_place(file, option, line) < 0)
		return -1;
	if (option->type == T_WORKERS &&
	    asprintf(&config->pools[config->pool_count - 1].workers_place, "%s:%d", file->path, line) < 0)
		return config_no_memory(config);
	if (!config_is_policy(file->table, option))
		return 0;
	free(config->policy);
	if (asprintf(&config->policy, "%s:%d: %s", file->path, line, option->name) >= 0)
		return 0;
	config->policy = NULL;
	return config_no_memory(config);
}

static int on_value(void *data, const char *name, const char *value, int line)
{
	struct file *file = data;
	const struct config_table *table = file->table;
	char hint[SIMILAR_HINT];

	if (!table)
		return config_fail(file->config, "%s:%d: %s stands before any section: begin with [daemon] or [pool NAME]",
				   file->path, line, name);
	for (size_t i = 0; i < table->count; i++) {
		const struct config_option *option = &table->options[i];
		if (strcmp(option->name, name) != 0)
			continue;
		if (file->seen[i] && !config_may_repeat(option->type))
			return config_fail(file->config, "%s:%d: %s is given twice in [%s]", file->path, line, name,
					   file->section);
		file->seen[i] = true;
		if (note_place(file, option, line) < 0)
			return -1;
		return set_value(file, option, (char *)file->base + option->at, value, line);
	}
	return config_fail(file->config, "%s:%d: [%s] has no key \"%s\"%s", file->path, line, file->section, name,
			   config_hint(table, name, strlen(name), hint));
}

static int read_text_file(struct config *config, const char *path, char *text, size_t size)
{
	struct file file = {.config = config, .path = path};
	const struct inifile_reader reader = {.section = on_section, .value = on_value, .data = &file};
	int line = 0;
	const int r = inifile_read(text, size, &reader, &line);

	if (r == 0 || config->reason[0])
		return config->reason[0] ? -1 : 0;
	if (r == -EBADMSG)
		return config_fail(config, "%s:%d: this is neither [section], name = value, nor a comment", path, line);
	return config_fail(config, "%s: %s", path, strerror(-r));
}

static int load_file(struct config *config, const char *path)
{
	char *text, reason[128];
	size_t size;

	if (textfile_read(path, FILE_MAX, &text, &size, reason, sizeof reason) < 0)
		return config_fail(config, "%s: %s", path, reason);
	const int r = read_text_file(config, path, text, size);
	free(text);
	return r;
}

static int is_conf(const struct dirent *entry)
{
	const size_t n = strlen(entry->d_name);
	return entry->d_name[0] != '.' && n > 5 && !strcmp(entry->d_name + n - 5, ".conf");
}

static int load_entry(struct config *config, const char *directory, const char *name)
{
	char *path;

	if (asprintf(&path, "%s/%s", directory, name) < 0)
		return config_no_memory(config);
	const int r = load_file(config, path);
	free(path);
	return r;
}

/* conf.d/ beside the file, in the order of names. */
static int load_directory(struct config *config, const char *path)
{
	const char *slash = strrchr(path, '/');
	struct dirent **entries = NULL;
	char *directory;

	if (asprintf(&directory, "%.*sconf.d", slash ? (int)(slash - path) + 1 : 0, path) < 0)
		return config_no_memory(config);
	const int n = scandir(directory, &entries, is_conf, alphasort);
	int r = n >= 0 || errno == ENOENT || errno == ENOTDIR ? 0 : config_fail(config, "%s: %s", directory, strerror(errno));
	for (int i = 0; i < n; i++) {
		if (r == 0)
			r = load_entry(config, directory, entries[i]->d_name);
		free(entries[i]);
	}
	free(entries);
	free(directory);
	return r;
}

int config_load(struct config *config, const char *path)
{
	*config = (struct config){.tls_client = TLS_CLIENT_UNSET};
	config_preset(config, &config_of_daemon);
	config_preset(&config->cluster, &config_of_cluster);
	config->plugin_dir = paths_find("plugins", paths_plugins);
	if (!config->plugin_dir)
		return config_no_memory(config);
	if (!path)
		return 0;
	return load_file(config, path) < 0 || load_directory(config, path) < 0 ? -1 : 0;
}
