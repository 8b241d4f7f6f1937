/* SPDX-License-Identifier: Apache-2.0 */
/* config_read: the file and those in conf.d, line by line; an error names file and line. */
#include "daemon/supervisor/config/config.h"
#include "daemon/supervisor/config/config_pool.h"
#include "daemon/supervisor/config/config_table.h"
#include "daemon/supervisor/config/config_values.h"
#include "daemon/supervisor/config/inifile.h"
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
	bool seen[CONFIG_TABLE_MAX]; /* keys of the section */
};

static int add_pool_of_file(struct file *file, const char *name, int line)
{
	char *place;

	if (asprintf(&place, "%s:%d", file->path, line) < 0)
		return config_no_memory(file->config);
	const int r = config_add_named_pool(file->config, name, place);
	free(place);
	return r;
}

static int on_section(void *data, const char *section, int line)
{
	struct file *file = data;

	memset(file->seen, 0, sizeof file->seen);
	snprintf(file->section, sizeof file->section, "%s", section);
	if (!strcmp(section, "daemon"))
		return 0;
	if (!strncmp(section, "pool ", 5))
		return add_pool_of_file(file, section + 5 + strspn(section + 5, " \t"), line);
	return config_fail(file->config, "%s:%d: there is no section [%s]: write [daemon] or [pool NAME]", file->path, line,
			   section);
}

/* What is meant as a comment would become part of a path or name. A '#' in JSON is in a string, or no JSON. */
static const char *refuse_comment(const struct config_option *option, const char *value)
{
	for (const char *p = strchr(value, '#'); p && option->type != T_JSON; p = strchr(p + 1, '#'))
		if (p > value && isspace((unsigned char)p[-1]))
			return "a comment behind a value begins with ; and not with #";
	return NULL;
}

static int set_value(struct file *file, const struct config_option *option, void *field, const char *value, int line)
{
	const char *reason = refuse_comment(option, value);

	if (!reason)
		reason = config_set_value(field, option, value);
	if (reason)
		return config_fail(file->config, "%s:%d: %s = %.100s: %s", file->path, line, option->name, value, reason);
	if (option->type != T_ADDRESS && option->type != T_LIST)
		return 0;
	struct config_address *address = option->type == T_LIST ? &file->config->listen[file->config->listen_count - 1] : field;
	free(address->place);
	if (asprintf(&address->place, "%s:%d", file->path, line) < 0)
		address->place = NULL;
	return address->place ? 0 : config_no_memory(file->config);
}

static int on_value(void *data, const char *name, const char *value, int line)
{
	struct file *file = data;
	struct config *config = file->config;
	const bool in_daemon = !strcmp(file->section, "daemon");
	const struct config_option *options = in_daemon ? config_of_daemon.options : config_of_pool.options;
	const size_t count = in_daemon ? config_of_daemon.count : config_of_pool.count;
	void *base = in_daemon ? (void *)config : config->pool_count ? (void *)&config->pools[config->pool_count - 1] : NULL;

	if (!file->section[0])
		return config_fail(config, "%s:%d: %s stands before any section: begin with [daemon] or [pool NAME]", file->path,
				   line, name);
	for (size_t i = 0; i < count; i++) {
		if (strcmp(options[i].name, name) != 0)
			continue;
		if (file->seen[i] && options[i].type != T_LIST)
			return config_fail(config, "%s:%d: %s is given twice in [%s]", file->path, line, name, file->section);
		file->seen[i] = true;
		if (options[i].type == T_WORKERS &&
		    asprintf(&config->pools[config->pool_count - 1].workers_place, "%s:%d", file->path, line) < 0)
			return config_no_memory(config);
		return set_value(file, &options[i], (char *)base + options[i].at, value, line);
	}
	return config_fail(config, "%s:%d: [%s] has no key \"%s\"", file->path, line, file->section, name);
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
	*config = (struct config){0};
	config_preset(config, &config_of_daemon);
	if (!path)
		return 0;
	return load_file(config, path) < 0 || load_directory(config, path) < 0 ? -1 : 0;
}
