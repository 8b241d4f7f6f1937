/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/supervisor/config.h"

#include "daemon/supervisor/address.h"
#include "daemon/supervisor/inifile.h"
#include "daemon/supervisor/json.h"
#include "daemon/supervisor/paths.h"
#include "daemon/supervisor/textfile.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <grp.h>
#include <sched.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <syslog.h>
#include <unistd.h>

enum { CONFIG_FILE_MOST = 4 << 20, CONFIG_POOLS_MOST = 10000, CONFIG_LISTEN_MOST = 256 };

/* ---- the table ---- */

enum type {
	T_TEXT, T_LIST, T_ADDRESS, T_BOOL, T_COUNT, T_SIZE, T_MEMORY, T_SECONDS, T_MODE, T_WORKERS, T_JSON, T_CHOICE, T_GROUP
};

struct option {
	const char *name;
	enum type type;
	size_t at;                   /* in struct config or config_pool */
	const char *preset;          /* as it would be written; NULL: none */
	const char *const *choices;  /* of T_CHOICE */
	uint64_t least, most;        /* of numbers */
};

static const char *const admins[] = {"all", "unix", "none", NULL};         /* as enum config_admin */
static const char *const isolations[] = {"process", "thread", NULL};       /* as enum config_isolation */
static const char *const levels[] = {"error", "warning", "info", "debug", NULL};

#define AT(member) offsetof(struct config, member)
static const struct option daemon_options[] = {
	{"listen", T_LIST, AT(listen), NULL, NULL, 0, 0},
	{"http", T_ADDRESS, AT(http), NULL, NULL, 0, 0},
	{"plugin_dir", T_TEXT, AT(plugin_dir), paths_plugins, NULL, 0, 0},
	{"worker_program", T_TEXT, AT(worker_program), NULL, NULL, 0, 0},
	{"socket_mode", T_MODE, AT(socket_mode), "0660", NULL, 0, 0777},
	{"socket_group", T_GROUP, AT(socket_group), NULL, NULL, 0, 0},
	{"insecure_remote", T_BOOL, AT(insecure_remote), "no", NULL, 0, 0},
	{"admin", T_CHOICE, AT(admin), "all", admins, 0, 0},
	{"create", T_CHOICE, AT(create), "all", admins, 0, 0},
	{"max_pools", T_COUNT, AT(max_pools), "1000", NULL, 1, 1000000},
	{"max_message", T_SIZE, AT(max_message), "256M", NULL, 1024, UINT64_C(1) << 31},
	{"max_connections", T_COUNT, AT(max_connections), "10000", NULL, 1, 1000000},
	{"max_inflight", T_COUNT, AT(max_inflight), "16384", NULL, 1, 10000000},
	{"max_unsent", T_SIZE, AT(max_unsent), "16M", NULL, 4096, UINT64_C(1) << 40},
	{"max_pending", T_SIZE, AT(max_pending), "512M", NULL, 4096, UINT64_C(1) << 40},
	{"max_memory", T_MEMORY, AT(max_memory), "half", NULL, 0, UINT64_C(1) << 48},
	{"payload_min", T_SIZE, AT(payload_min), "64K", NULL, 0, UINT64_C(1) << 40},
	{"log_level", T_CHOICE, AT(log_level), "info", levels, 0, 0},
	{"worker_log_level", T_CHOICE, AT(worker_log_level), "info", levels, 0, 0},
	{"drain_timeout", T_SECONDS, AT(drain_timeout), "never", NULL, 0, 0},
};
#undef AT
#define AT(member) offsetof(struct config_pool, member)
static const struct option pool_options[] = {
	{"plugin", T_TEXT, AT(plugin), NULL, NULL, 0, 0},
	{"class", T_TEXT, AT(class), NULL, NULL, 0, 0},
	{"workers", T_WORKERS, AT(workers), "1", NULL, 0, CONFIG_WORKERS_MOST},
	{"isolation", T_CHOICE, AT(isolation), "process", isolations, 0, 0},
	{"args", T_JSON, AT(args), NULL, NULL, 0, 0},
	{"kwargs", T_JSON, AT(kwargs), NULL, NULL, 0, 0},
	{"slot_kwargs", T_JSON, AT(slot_kwargs), NULL, NULL, 0, 0},
	{"python_path", T_JSON, AT(python_path), NULL, NULL, 0, 0},
	{"python_options", T_JSON, AT(python_options), NULL, NULL, 0, 0},
	{"virtualenv", T_TEXT, AT(virtualenv), NULL, NULL, 0, 0},
	{"preload", T_JSON, AT(preload), NULL, NULL, 0, 0},
	{"unpickle", T_BOOL, AT(unpickle), "no", NULL, 0, 0},
	{"max_queue", T_COUNT, AT(max_queue), "100000", NULL, 1, UINT32_MAX},
	{"max_sticky", T_SIZE, AT(max_sticky), "16M", NULL, 0, UINT64_C(1) << 32},
	{"start_timeout", T_SECONDS, AT(start_timeout), "60", NULL, MILLISECOND, 0},
	{"stop_timeout", T_SECONDS, AT(stop_timeout), "5", NULL, 0, 0},
	{"cancel_grace", T_SECONDS, AT(cancel_grace), "never", NULL, 0, 0},
	{"slow_log", T_SECONDS, AT(slow_log), "never", NULL, MILLISECOND, 0},
	{"max_calls", T_COUNT, AT(max_calls), "0", NULL, 0, UINT64_C(1) << 48},
	{"max_age", T_SECONDS, AT(max_age), "0", NULL, 0, 0},
	{"max_rss", T_SIZE, AT(max_rss), "0", NULL, 0, UINT64_C(1) << 48},
	{"workers_min", T_COUNT, AT(workers_min), NULL, NULL, 0, CONFIG_WORKERS_MOST},
	{"workers_max", T_COUNT, AT(workers_max), NULL, NULL, 1, CONFIG_WORKERS_MOST},
	{"idle_timeout", T_SECONDS, AT(idle_timeout), "60", NULL, 0, 0},
};
#undef AT
#define COUNT(table) (sizeof(table) / sizeof *(table))

__attribute__((format(printf, 2, 3)))
static int fail(struct config *config, const char *format, ...)
{
	va_list list;
	va_start(list, format);
	(void)vsnprintf(config->fault, sizeof config->fault, format, list);
	va_end(list);
	return -1;
}

/* ---- values ---- */

/* What is wrong with a value, as the end of a sentence; NULL: nothing. */
typedef const char *set_fn(void *field, const struct option *option, const char *text);

static const char *set_text(void *field, const struct option *option, const char *text)
{
	char *copy = text[0] ? strdup(text) : NULL;
	if (!copy)
		return option->preset ? "must not be empty" : "is empty";
	free(*(char **)field);
	*(char **)field = copy;
	return NULL;
}

static const char *set_bool(void *field, const struct option *option, const char *text)
{
	(void)option;
	const bool yes = !strcmp(text, "yes") || !strcmp(text, "true") || !strcmp(text, "on") || !strcmp(text, "1");
	const bool no = !strcmp(text, "no") || !strcmp(text, "false") || !strcmp(text, "off") || !strcmp(text, "0");
	if (!yes && !no)
		return "must be yes or no";
	*(bool *)field = yes;
	return NULL;
}

static int parse_number(const char *text, int base, uint64_t *value, const char **rest)
{
	char *end;
	if (text[0] < '0' || text[0] > '9')
		return -1;
	errno = 0;
	*value = strtoull(text, &end, base);
	*rest = end;
	return errno ? -1 : 0;
}

static const char *set_count(void *field, const struct option *option, const char *text)
{
	const char *rest;
	uint64_t value;
	if (parse_number(text, 10, &value, &rest) < 0 || *rest)
		return "must be a whole number";
	if (value < option->least || value > option->most)
		return "is out of range";
	*(uint64_t *)field = value;
	return NULL;
}

static const char *set_size(void *field, const struct option *option, const char *text)
{
	static const char units[] = "KMG";
	const char *rest;
	uint64_t value;

	if (parse_number(text, 10, &value, &rest) < 0)
		return "must be a number of bytes, as in 65536, 64K, 16M or 1G";
	const char *unit = *rest ? strchr(units, *rest) : NULL;
	if (*rest && (!unit || rest[1]))
		return "must be a number of bytes, as in 65536, 64K, 16M or 1G";
	for (const char *u = units; unit && u <= unit; u++)
		if (__builtin_mul_overflow(value, 1024, &value))
			return "is out of range";
	if (value < option->least || value > option->most)
		return "is out of range";
	*(uint64_t *)field = value;
	return NULL;
}

static const char *set_memory(void *field, const struct option *option, const char *text)
{
	uint64_t value;

	if (!strcmp(text, "half")) {
		*(uint64_t *)field = CONFIG_HALF;
		return NULL;
	}
	const char *wrong = set_size(&value, option, text);
	if (!wrong && value > 0 && value < CONFIG_MEMORY_LEAST)
		return "is out of range: it must be 1M at least, or 0 for no limit";
	if (!wrong)
		*(uint64_t *)field = value;
	return wrong;
}

static const char *set_seconds(void *field, const struct option *option, const char *text)
{
	char *end;
	if (!strcmp(text, "never")) {
		*(uint64_t *)field = NEVER;
		return NULL;
	}
	errno = 0;
	const double value = strtod(text, &end);
	if (end == text || *end || errno || !(value >= 0 && value <= 1e8))
		return "must be a number of seconds, or never";
	if (value * (double)SECOND < (double)option->least)
		return "is too short: it must be 0.001 at least, or never";
	*(uint64_t *)field = (uint64_t)(value * (double)SECOND);
	return NULL;
}

static const char *set_mode(void *field, const struct option *option, const char *text)
{
	const char *rest;
	uint64_t value;
	if (parse_number(text, 8, &value, &rest) < 0 || *rest || value > option->most)
		return "must be an octal mode, as in 0660";
	*(uint64_t *)field = value;
	return NULL;
}

static const char *set_workers(void *field, const struct option *option, const char *text)
{
	struct config_pool *pool = container_of(field, struct config_pool, workers);
	const char *rest;
	uint64_t value;

	if (!strcmp(text, "cpus")) {
		pool->workers_cpus = true;
		return NULL;
	}
	if (parse_number(text, 10, &value, &rest) < 0 || *rest || value < option->least || value > option->most)
		return "must be a number from 0 to 4096, or cpus";
	pool->workers = (uint32_t)value;
	pool->workers_cpus = false;
	return NULL;
}

static const char *set_json(void *field, const struct option *option, const char *text)
{
	static char what[192]; /* outlives the call; the next error replaces it */
	struct config_json *json = field;
	struct block *packed;
	struct span value;

	(void)option;
	if (json_to_msgpack(text, &packed, &value, what, sizeof what) < 0)
		return what;
	block_unref(json->packed);
	free(json->text);
	json->packed = packed;
	json->value = value;
	json->text = strdup(text);
	return json->text ? NULL : "could not be kept: out of memory";
}

static const char *set_choice(void *field, const struct option *option, const char *text)
{
	for (uint32_t i = 0; option->choices[i]; i++)
		if (!strcmp(text, option->choices[i])) {
			*(uint32_t *)field = i;
			return NULL;
		}
	return option->choices == admins       ? "must be all, unix or none"
	       : option->choices == isolations ? "must be process or thread"
					       : "must be error, warning, info or debug";
}

static const char *set_list(void *field, const struct option *option, const char *text)
{
	struct config *config = container_of(field, struct config, listen);
	struct address address;
	static char what[192];

	(void)option;
	if (address_parse(&address, text, what, sizeof what) < 0)
		return what;
	if (config->listen_count == CONFIG_LISTEN_MOST)
		return "is one address too many";
	return config_add_listen(config, text, NULL) < 0 ? "could not be kept: out of memory" : NULL;
}

static const char *set_group(void *field, const struct option *option, const char *text)
{
	return getgrnam(text) ? set_text(field, option, text) : "there is no such group";
}

static const char *set_address(void *field, const struct option *option, const char *text)
{
	struct config_address *address = field;
	struct address parsed;
	static char what[192];

	(void)option;
	if (address_parse(&parsed, text, what, sizeof what) < 0)
		return what;
	free(address->text);
	address->text = strdup(text);
	return address->text ? NULL : "could not be kept: out of memory";
}

static set_fn *const setters[] = {
	[T_TEXT] = set_text, [T_LIST] = set_list,     [T_ADDRESS] = set_address, [T_BOOL] = set_bool, [T_COUNT] = set_count,
	[T_SIZE] = set_size, [T_MEMORY] = set_memory, [T_SECONDS] = set_seconds, [T_MODE] = set_mode, [T_WORKERS] = set_workers,
	[T_JSON] = set_json, [T_CHOICE] = set_choice, [T_GROUP] = set_group,
};

int config_add_listen(struct config *config, const char *address, const char *place)
{
	struct config_address *list = realloc(config->listen, (config->listen_count + 1) * sizeof *list);
	if (!list)
		return -ENOMEM;
	config->listen = list;
	struct config_address *added = &list[config->listen_count++];
	*added = (struct config_address){.text = strdup(address), .place = place ? strdup(place) : NULL};
	return added->text && (added->place || !place) ? 0 : -ENOMEM;
}

void config_drop_listen(struct config *config)
{
	struct config_address *last = &config->listen[--config->listen_count];
	free(last->text);
	free(last->place);
}

static void preset(void *base, const struct option *options, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (options[i].preset)
			(void)setters[options[i].type]((char *)base + options[i].at, &options[i], options[i].preset);
}

/* ---- files ---- */

struct file {
	struct config *config;
	const char *path;
	char section[128];
	bool seen[COUNT(daemon_options) + COUNT(pool_options)];
};

static struct config_pool *find_pool(struct config *config, const char *name)
{
	for (uint32_t i = 0; i < config->pool_count; i++)
		if (!strcmp(config->pools[i].name, name))
			return &config->pools[i];
	return NULL;
}

static bool is_pool_name(const char *name)
{
	return name[0] && strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-") == strlen(name);
}

/* The array has room for the next power of two of pools. */
static int make_room_for_pool(struct config *config)
{
	const uint32_t n = config->pool_count;
	struct config_pool *pools =
		(n & (n - 1)) == 0 ? realloc(config->pools, (n ? 2 * (size_t)n : 1) * sizeof *pools) : config->pools;

	if (!pools)
		return -ENOMEM;
	config->pools = pools;
	return 0;
}

static int add_pool(struct config *config, const char *name, const char *place)
{
	const struct config_pool *other = find_pool(config, name);

	if (!is_pool_name(name) || !strcmp(name, "objpool"))
		return fail(config, "%s: \"%.100s\" can't be a pool's name: use letters, digits, _ and -, and not objpool", place, name);
	if (other)
		return fail(config, "%s: pool %s is there already, at %s", place, name, other->place);
	if (config->pool_count == CONFIG_POOLS_MOST)
		return fail(config, "%s: these are more than %d pools", place, CONFIG_POOLS_MOST);
	if (make_room_for_pool(config) < 0)
		return fail(config, "out of memory");
	struct config_pool *pool = &config->pools[config->pool_count++];
	*pool = (struct config_pool){.name = strdup(name), .workers_min = CONFIG_UNSET, .workers_max = CONFIG_UNSET};
	preset(pool, pool_options, COUNT(pool_options));
	pool->place = strdup(place);
	return pool->name && pool->place ? 0 : fail(config, "out of memory");
}

static int add_pool_of_file(struct file *file, const char *name, int line)
{
	char *place;

	if (asprintf(&place, "%s:%d", file->path, line) < 0)
		return fail(file->config, "out of memory");
	const int r = add_pool(file->config, name, place);
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
	return fail(file->config, "%s:%d: there is no section [%s]: write [daemon] or [pool NAME]", file->path, line, section);
}

/* What is meant as a comment would become part of a path or name. A '#' in JSON is in a string, or no JSON. */
static const char *refuse_comment(const struct option *option, const char *value)
{
	for (const char *p = strchr(value, '#'); p && option->type != T_JSON; p = strchr(p + 1, '#'))
		if (p > value && isspace((unsigned char)p[-1]))
			return "a comment behind a value begins with ; and not with #";
	return NULL;
}

static int set_value(struct file *file, const struct option *option, void *field, const char *value, int line)
{
	const char *wrong = refuse_comment(option, value);

	if (!wrong)
		wrong = setters[option->type](field, option, value);
	if (wrong)
		return fail(file->config, "%s:%d: %s = %.100s: %s", file->path, line, option->name, value, wrong);
	if (option->type != T_ADDRESS && option->type != T_LIST)
		return 0;
	struct config_address *address = option->type == T_LIST ? &file->config->listen[file->config->listen_count - 1] : field;
	free(address->place);
	if (asprintf(&address->place, "%s:%d", file->path, line) < 0)
		address->place = NULL;
	return address->place ? 0 : fail(file->config, "out of memory");
}

static int on_value(void *data, const char *name, const char *value, int line)
{
	struct file *file = data;
	struct config *config = file->config;
	const bool in_daemon = !strcmp(file->section, "daemon");
	const struct option *options = in_daemon ? daemon_options : pool_options;
	const size_t count = in_daemon ? COUNT(daemon_options) : COUNT(pool_options);
	void *base = in_daemon ? (void *)config : config->pool_count ? (void *)&config->pools[config->pool_count - 1] : NULL;

	if (!file->section[0])
		return fail(config, "%s:%d: %s stands before any section: begin with [daemon] or [pool NAME]", file->path, line, name);
	for (size_t i = 0; i < count; i++) {
		if (strcmp(options[i].name, name) != 0)
			continue;
		if (file->seen[i] && options[i].type != T_LIST)
			return fail(config, "%s:%d: %s is given twice in [%s]", file->path, line, name, file->section);
		file->seen[i] = true;
		if (options[i].type == T_WORKERS && asprintf(&config->pools[config->pool_count - 1].workers_place, "%s:%d", file->path, line) < 0)
			return fail(config, "out of memory");
		return set_value(file, &options[i], (char *)base + options[i].at, value, line);
	}
	return fail(config, "%s:%d: [%s] has no key \"%s\"", file->path, line, file->section, name);
}

static int read_text_file(struct config *config, const char *path, char *text, size_t size)
{
	struct file file = {.config = config, .path = path};
	const struct inifile_reader reader = {.section = on_section, .value = on_value, .data = &file};
	int line = 0;
	const int r = inifile_read(text, size, &reader, &line);

	if (r == 0 || config->fault[0])
		return config->fault[0] ? -1 : 0;
	if (r == -EBADMSG)
		return fail(config, "%s:%d: this is neither [section], name = value, nor a comment", path, line);
	return fail(config, "%s: %s", path, strerror(-r));
}

static int load_file(struct config *config, const char *path)
{
	char *text, why[128];
	size_t size;

	if (textfile_read(path, CONFIG_FILE_MOST, &text, &size, why, sizeof why) < 0)
		return fail(config, "%s: %s", path, why);
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
		return fail(config, "out of memory");
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
		return fail(config, "out of memory");
	const int n = scandir(directory, &entries, is_conf, alphasort);
	int r = n >= 0 || errno == ENOENT || errno == ENOTDIR ? 0 : fail(config, "%s: %s", directory, strerror(errno));
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
	preset(config, daemon_options, COUNT(daemon_options));
	if (!path)
		return 0;
	return load_file(config, path) < 0 || load_directory(config, path) < 0 ? -1 : 0;
}

/* ---- what a client wants ---- */

int config_add_pool(struct config *config, struct span name, const char *place)
{
	char text[256];

	if (name.size == 0 || name.size >= sizeof text || memchr(name.bytes, 0, name.size))
		return fail(config, "%s: a pool needs a name of 1 to 255 characters", place);
	snprintf(text, sizeof text, "%.*s", (int)name.size, (const char *)name.bytes);
	return add_pool(config, text, place);
}

/* A value as it would be written in a file. -1: it can't be. */
static int text_of(struct span value, char *text, size_t size)
{
	struct reader reader = reader_of(value);
	struct span string;
	uint64_t u;
	int64_t i;
	double f;
	bool b;

	if (read_text(&reader, &string) == 0 && string.size < size && !memchr(string.bytes, 0, string.size))
		return snprintf(text, size, "%.*s", (int)string.size, (const char *)string.bytes);
	if (read_int(&reader, &i) == 0)
		return snprintf(text, size, "%lld", (long long)i);
	if (read_uint(&reader, &u) == 0)
		return snprintf(text, size, "%llu", (unsigned long long)u);
	if (read_bool(&reader, &b) == 0)
		return snprintf(text, size, "%s", b ? "yes" : "no");
	if (read_whole(&reader, &u) == 0)
		return snprintf(text, size, "%llu", (unsigned long long)u);
	return read_number(&reader, &f) == 0 ? snprintf(text, size, "%.9g", f) : -1;
}

/* Why text_of can't write the value. */
static const char *why_no_text(struct span value, size_t size)
{
	struct reader reader = reader_of(value);
	struct span string;

	if (read_text(&reader, &string) < 0)
		return "must be a string, a number or a boolean";
	return string.size < size ? "has a NUL byte" : "is too long";
}

/* What is JSON in a file comes packed. */
static const char *keep_packed(struct config_json *json, struct span value)
{
	struct reader reader = reader_of(value);

	if (read_nil(&reader) == 0)
		return NULL;
	struct block *packed = block_new(NULL, value.size);
	char *text = strdup("(packed)");
	if (!packed || !text) {
		block_unref(packed);
		free(text);
		return "could not be kept: out of memory";
	}
	memcpy(packed->bytes, value.bytes, value.size);
	block_unref(json->packed);
	free(json->text);
	*json = (struct config_json){.text = text, .packed = packed, .value = {.bytes = packed->bytes, .size = value.size}};
	return NULL;
}

int config_set_pool(struct config *config, struct span key, struct span value)
{
	struct config_pool *pool = &config->pools[config->pool_count - 1];
	const char *wrong;
	char text[4096];

	for (size_t i = 0; i < COUNT(pool_options); i++) {
		const struct option *option = &pool_options[i];
		void *field = (char *)pool + option->at;
		if (!span_is(key, option->name))
			continue;
		if (option->type == T_JSON)
			wrong = keep_packed(field, value);
		else if (text_of(value, text, sizeof text) >= 0)
			wrong = setters[option->type](field, option, text);
		else
			wrong = why_no_text(value, sizeof text);
		return wrong ? fail(config, "%s: pool %s: %s %s", pool->place, pool->name, option->name, wrong) : 0;
	}
	return fail(config, "%s: pool %s: there is no key \"%.*s\"", pool->place, pool->name, (int)(key.size < 64 ? key.size : 64),
		    (const char *)key.bytes);
}

/* ---- the whole ---- */

static int check_strings(struct config *config, const struct config_pool *pool, const char *key, const struct config_json *json)
{
	struct reader reader = reader_of(json->value);
	struct span text;
	uint32_t n;
	int r = json->text ? read_array(&reader, &n) : 0;

	for (uint32_t i = 0; json->text && r == 0 && i < n; i++)
		r = read_text(&reader, &text);
	return r == 0 ? 0 : fail(config, "%s: pool %s: %s must be an array of strings", pool->place, pool->name, key);
}

static int check_json(struct config *config, const struct config_pool *pool)
{
	struct reader args = reader_of(pool->args.value), kwargs = reader_of(pool->kwargs.value);
	struct reader slots = reader_of(pool->slot_kwargs.value);
	uint32_t n, workers, any;
	struct span item;

	if (pool->args.text && read_array(&args, &n) < 0)
		return fail(config, "%s: pool %s: args must be an array", pool->place, pool->name);
	if (pool->kwargs.text && read_map(&kwargs, &n) < 0)
		return fail(config, "%s: pool %s: kwargs must be an object", pool->place, pool->name);
	if (check_strings(config, pool, "python_path", &pool->python_path) < 0 ||
	    check_strings(config, pool, "python_options", &pool->python_options) < 0 ||
	    check_strings(config, pool, "preload", &pool->preload) < 0)
		return -1;
	if (!pool->slot_kwargs.text)
		return 0;
	workers = config_pool_settings(pool).workers_max;
	if (read_array(&slots, &n) < 0 || n != workers)
		return fail(config, "%s: pool %s: slot_kwargs must be an array of %u objects, one per slot", pool->place,
			    pool->name, workers);
	while (n-- > 0) {
		struct reader look = slots;
		if (read_map(&look, &any) < 0 || read_value(&slots, &item) < 0)
			return fail(config, "%s: pool %s: slot_kwargs must be an array of objects", pool->place, pool->name);
	}
	return 0;
}

static int check_size(struct config *config, const struct config_pool *pool)
{
	const struct pool_settings settings = config_pool_settings(pool);
	const uint32_t workers = config_pool_workers(pool);

	if (settings.workers_min > settings.workers_max)
		return fail(config, "%s: pool %s: workers_min = %u is more than workers_max = %u", pool->place, pool->name,
			    settings.workers_min, settings.workers_max);
	if (workers < settings.workers_min || workers > settings.workers_max)
		return fail(config, "%s: pool %s: workers = %u does not lie between workers_min = %u and workers_max = %u",
			    pool->place, pool->name, workers, settings.workers_min, settings.workers_max);
	if (settings.workers_max == 0)
		return fail(config, "%s: pool %s: workers = 0 needs a workers_max to grow to",
			    pool->workers_place ? pool->workers_place : pool->place, pool->name);
	return 0;
}

static int check_pool(struct config *config, const struct config_pool *pool)
{
	if (!pool->plugin || !pool->class)
		return fail(config, "%s: pool %s needs plugin and class", pool->place, pool->name);
	if (pool->isolation == ISOLATION_THREAD && pool->max_rss)
		return fail(config, "%s: pool %s: max_rss is of a process: it needs isolation = process", pool->place, pool->name);
	return check_size(config, pool) < 0 ? -1 : check_json(config, pool);
}

static int check_listen(struct config *config, uint32_t i)
{
	const struct config_address *listen = &config->listen[i];
	struct address address, other;
	char fault[256];

	if (address_parse(&address, listen->text, fault, sizeof fault) < 0)
		return fail(config, "%s: %s", listen->place, fault);
	if (!address_is_loopback(&address) && !config->insecure_remote)
		return fail(config,
			    "%s: listen = %s: anyone on the network could call; set insecure_remote = yes if that is what you want",
			    listen->place, listen->text);
	for (uint32_t j = 0; j < i; j++)
		if (address_parse(&other, config->listen[j].text, fault, sizeof fault) == 0 && address_equal(&address, &other) &&
		    !strstr(listen->text, ":0"))
			return fail(config, "%s: listen = %s is given twice: see %s", listen->place, listen->text, config->listen[j].place);
	return 0;
}

static int check_http(struct config *config)
{
	const struct config_address *http = &config->http;
	struct address address;
	char fault[256];

	if (!http->text || config->insecure_remote)
		return 0;
	if (address_parse(&address, http->text, fault, sizeof fault) < 0)
		return fail(config, "%s: http: %s", http->place, fault);
	if (!address_is_loopback(&address))
		return fail(config, "%s: http = %s: anyone on the network could look; set insecure_remote = yes if that is what you want",
			    http->place, http->text);
	return 0;
}

int config_check(struct config *config)
{
	if (check_http(config) < 0)
		return -1;
	for (uint32_t i = 0; i < config->listen_count; i++)
		if (check_listen(config, i) < 0)
			return -1;
	for (uint32_t i = 0; i < config->pool_count; i++)
		if (check_pool(config, &config->pools[i]) < 0)
			return -1;
	return 0;
}

uint32_t config_pool_workers(const struct config_pool *pool)
{
	cpu_set_t set;
	if (!pool->workers_cpus)
		return pool->workers;
	return sched_getaffinity(0, sizeof set, &set) == 0 && CPU_COUNT(&set) > 0 ? (uint32_t)CPU_COUNT(&set) : 1;
}

struct pool_settings config_pool_settings(const struct config_pool *pool)
{
	const uint32_t workers = config_pool_workers(pool);
	const bool least = pool->workers_min != CONFIG_UNSET, most = pool->workers_max != CONFIG_UNSET;

	return (struct pool_settings){
		.max_queue = (uint32_t)pool->max_queue,
		.max_sticky = pool->max_sticky,
		.start_timeout = pool->start_timeout,
		.stop_timeout = pool->stop_timeout,
		.cancel_grace = pool->cancel_grace,
		.max_calls = pool->max_calls,
		.max_age = pool->max_age ? pool->max_age : NEVER,
		.workers_min = least ? (uint32_t)pool->workers_min : workers,
		.workers_max = most ? (uint32_t)pool->workers_max : workers,
		.idle_timeout = pool->idle_timeout,
	};
}

static bool same_text(const char *a, const char *b)
{
	return a == b || (a && b && strcmp(a, b) == 0);
}

bool config_pool_same_instances(const struct config_pool *a, const struct config_pool *b)
{
	return a->isolation == b->isolation && same_text(a->plugin, b->plugin) && same_text(a->class, b->class) &&
	       same_text(a->args.text, b->args.text) && same_text(a->kwargs.text, b->kwargs.text) &&
	       same_text(a->slot_kwargs.text, b->slot_kwargs.text) && same_text(a->python_path.text, b->python_path.text) &&
	       same_text(a->virtualenv, b->virtualenv) && same_text(a->python_options.text, b->python_options.text) &&
	       same_text(a->preload.text, b->preload.text) && a->unpickle == b->unpickle;
}

bool config_pool_same_size(const struct config_pool *a, const struct config_pool *b)
{
	const struct pool_settings of_a = config_pool_settings(a), of_b = config_pool_settings(b);

	return config_pool_workers(a) == config_pool_workers(b) && of_a.workers_min == of_b.workers_min &&
	       of_a.workers_max == of_b.workers_max;
}

static void pack_key(msgpack_packer *packer, const char *key)
{
	msgpack_pack_str(packer, strlen(key));
	msgpack_pack_str_body(packer, key, strlen(key));
}

static void pack_json(msgpack_packer *packer, const char *key, const struct config_json *json)
{
	pack_key(packer, key);
	if (json->text)
		(void)packer->callback(packer->data, (const char *)json->value.bytes, json->value.size);
	else
		msgpack_pack_nil(packer);
}

void config_pool_pack_settings(const struct config_pool *pool, uint64_t max_message, msgpack_packer *packer)
{
	msgpack_pack_map(packer, 7);
	pack_key(packer, "max_message");
	msgpack_pack_uint64(packer, max_message);
	pack_json(packer, "python_path", &pool->python_path);
	pack_json(packer, "python_options", &pool->python_options);
	pack_json(packer, "preload", &pool->preload);
	pack_key(packer, "virtualenv");
	if (pool->virtualenv)
		pack_key(packer, pool->virtualenv);
	else
		msgpack_pack_nil(packer);
	pack_key(packer, "unpickle");
	if (pool->unpickle)
		msgpack_pack_true(packer);
	else
		msgpack_pack_false(packer);
	pack_key(packer, "cancel_grace");
	if (pool->cancel_grace != NEVER)
		msgpack_pack_uint64(packer, pool->cancel_grace);
	else
		msgpack_pack_nil(packer);
}

/* ---- printing ---- */

static void print_size(FILE *to, uint64_t value)
{
	static const char units[] = "\0KMG";
	int unit = 0;
	while (unit < 3 && value && value % 1024 == 0) {
		value /= 1024;
		unit++;
	}
	fprintf(to, "%llu", (unsigned long long)value);
	if (unit)
		fputc(units[unit], to);
}

static void print_seconds(FILE *to, uint64_t value)
{
	if (value == NEVER)
		fputs("never", to);
	else
		fprintf(to, "%.9g", (double)value / (double)SECOND);
}

static void print_list(const struct config *config, FILE *to)
{
	for (uint32_t i = 0; i < config->listen_count; i++)
		fprintf(to, "listen = %s\n", config->listen[i].text);
}

static void print_value(const void *field, const struct option *option, FILE *to)
{
	const struct config_pool *pool;

	switch (option->type) {
	case T_TEXT:
	case T_GROUP:
	case T_ADDRESS: /* its first member */
		fputs(*(char *const *)field, to);
		break;
	case T_BOOL:
		fputs(*(const bool *)field ? "yes" : "no", to);
		break;
	case T_COUNT:
		fprintf(to, "%llu", (unsigned long long)*(const uint64_t *)field);
		break;
	case T_SIZE:
		print_size(to, *(const uint64_t *)field);
		break;
	case T_MEMORY:
		if (*(const uint64_t *)field == CONFIG_HALF)
			fputs("half", to);
		else
			print_size(to, *(const uint64_t *)field);
		break;
	case T_SECONDS:
		print_seconds(to, *(const uint64_t *)field);
		break;
	case T_MODE:
		fprintf(to, "%04llo", (unsigned long long)*(const uint64_t *)field);
		break;
	case T_WORKERS:
		pool = container_of(field, const struct config_pool, workers);
		if (pool->workers_cpus)
			fputs("cpus", to);
		else
			fprintf(to, "%u", pool->workers);
		break;
	case T_JSON:
		fputs(((const struct config_json *)field)->text, to);
		break;
	case T_CHOICE:
		fputs(option->choices[*(const uint32_t *)field], to);
		break;
	case T_LIST:
		break;
	}
}

static bool is_given(const void *field, const struct option *option)
{
	return ((option->type != T_TEXT && option->type != T_GROUP && option->type != T_ADDRESS) || *(char *const *)field) &&
	       (option->type != T_COUNT || *(const uint64_t *)field != CONFIG_UNSET) &&
	       (option->type != T_JSON || ((const struct config_json *)field)->text);
}

/* A value that begins so would read as a comment in --print-config: a semicolon behind a blank begins one. */
static bool begins_with_semicolon(const void *field, const struct option *option)
{
	return (option->type == T_TEXT || option->type == T_GROUP || option->type == T_ADDRESS) && **(char *const *)field == ';';
}

static void print_section(const void *base, const struct option *options, size_t count, FILE *to)
{
	for (size_t i = 0; i < count; i++) {
		const void *field = (const char *)base + options[i].at;
		if (options[i].type == T_LIST) {
			print_list(base, to);
		} else if (is_given(field, &options[i])) {
			fprintf(to, "%s =%s", options[i].name, begins_with_semicolon(field, &options[i]) ? "" : " ");
			print_value(field, &options[i], to);
			fputc('\n', to);
		}
	}
}

void config_print(const struct config *config, FILE *to)
{
	fputs("[daemon]\n", to);
	print_section(config, daemon_options, COUNT(daemon_options), to);
	for (uint32_t i = 0; i < config->pool_count; i++) {
		fprintf(to, "\n[pool %s]\n", config->pools[i].name);
		print_section(&config->pools[i], pool_options, COUNT(pool_options), to);
	}
}

/* ---- freeing ---- */

static void free_section(void *base, const struct option *options, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		void *field = (char *)base + options[i].at;
		if (options[i].type == T_TEXT || options[i].type == T_GROUP)
			free(*(char **)field);
		if (options[i].type == T_ADDRESS) {
			free(((struct config_address *)field)->text);
			free(((struct config_address *)field)->place);
		}
		if (options[i].type == T_JSON) {
			free(((struct config_json *)field)->text);
			block_unref(((struct config_json *)field)->packed);
		}
	}
}

void config_pool_charge(struct config_pool *pool, struct account *account)
{
	for (size_t i = 0; i < COUNT(pool_options); i++) {
		const struct config_json *json = (const void *)((const char *)pool + pool_options[i].at);
		if (pool_options[i].type == T_JSON && json->packed)
			block_charge(json->packed, account, json->packed->capacity);
	}
}

void config_pool_free(struct config_pool *pool)
{
	free(pool->workers_place);
	free_section(pool, pool_options, COUNT(pool_options));
	free(pool->name);
	free(pool->offered);
	free(pool->place);
	*pool = (struct config_pool){0};
}

void config_free(struct config *config)
{
	for (uint32_t i = 0; i < config->pool_count; i++)
		config_pool_free(&config->pools[i]);
	free(config->pools);
	while (config->listen_count > 0)
		config_drop_listen(config);
	free(config->listen);
	free_section(config, daemon_options, COUNT(daemon_options));
	*config = (struct config){0};
}
