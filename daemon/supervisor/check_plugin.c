/* SPDX-License-Identifier: Apache-2.0 */
/* check_plugin: `objpoold --check-plugin`. The process that loads the plugin is confined as a pool's may be, so that a bad plugin
 * does no harm, and does not hang. */
#include "daemon/supervisor/base/spawn.h"
#include "daemon/supervisor/check.h"
#include "daemon/supervisor/workers/loading.h"
#include "proto/escape.h"

#include <errno.h>
#include <msgpack.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { NAME_MAX_BYTES = 128, CLASSES_MAX = 200, PATH_BYTES = 4096 };

static const char pool_name[] = "check-plugin";

/* What each check needs. */
struct subject {
	struct config *config;
	char path[PATH_BYTES]; /* of the file, whole */
	char about[2 * ESCAPE_MAX * NAME_MAX_BYTES];
	char *program;
};

/* ---- the section ---- */

static int set_packed(struct config *config, const char *key, const msgpack_sbuffer *packed)
{
	return config_set_pool(config, (struct span){.bytes = (const uint8_t *)key, .size = strlen(key)},
			       (struct span){.bytes = (const uint8_t *)packed->data, .size = packed->size});
}

/* As a text, or as an array with this text. */
static int set(struct config *config, const char *key, const char *text, bool array)
{
	msgpack_sbuffer packed;
	msgpack_packer packer;

	msgpack_sbuffer_init(&packed);
	msgpack_packer_init(&packer, &packed, msgpack_sbuffer_write);
	if (array)
		msgpack_pack_array(&packer, 1);
	msgpack_pack_str(&packer, strlen(text));
	msgpack_pack_str_body(&packer, text, strlen(text));
	const int r = set_packed(config, key, &packed);
	msgpack_sbuffer_destroy(&packed);
	return r;
}

/* The limits of a process that only loads a plugin. */
static int set_limits(struct config *config)
{
	int r = set(config, "start_timeout", "60", false);

	if (r == 0)
		r = set(config, "limit_cpu", "60", false);
	if (r == 0)
		r = set(config, "limit_files", "1000", false);
	return r == 0 ? set(config, "network", "no", false) : r;
}

static int add_section(struct config *config, const char *plugin, bool confined)
{
	int r = config_add_pool(config, (struct span){.bytes = (const uint8_t *)pool_name, .size = strlen(pool_name)},
				"--check-plugin");

	if (r == 0)
		r = set(config, "plugin", plugin, false);
	return r == 0 && confined ? set_limits(config) : r;
}

static int complain(const struct subject *subject, const char *reason)
{
	printf("%s: error: %s\n", subject->about, reason);
	return -1;
}

/* Root has become another user. */
static int complain_of_access(const struct subject *subject, int reason)
{
	const struct passwd *user = reason == EACCES ? getpwuid(geteuid()) : NULL;
	char text[256];

	(void)snprintf(text, sizeof text, "%s%s%s", strerror(reason), user ? ", for user " : "", user ? user->pw_name : "");
	return complain(subject, text);
}

static int check_section(const struct subject *subject, bool all)
{
	const struct config_pool *section = &subject->config->pools[subject->config->pool_count - 1];
	char *path = loading_path(subject->config, section);
	const struct loading loading = {.section = section,
					.plugin_path = path,
					.max_message = subject->config->max_message,
					.check = true,
					.preload = !all,
					.all = all,
					.only = !all};
	const int r =
		path ? check_loading(&loading, subject->program, subject->about, stdout) : complain(subject, "out of memory");

	free(path);
	return r;
}

/* ---- shared objects ---- */

static int check_object(struct subject *subject)
{
	if (add_section(subject->config, subject->path, true) < 0 || set(subject->config, "class", "*", false) < 0)
		return complain(subject, subject->config->reason);
	return check_section(subject, true);
}

/* ---- files of Python ---- */

static bool is_of_name(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || (unsigned char)c >= 0x80;
}

/* The name of a class that a line at the margin begins, and that clients could want. 0: none. */
static size_t class_of_line(const char *line)
{
	size_t n = 0;

	if (strncmp(line, "class ", 6) != 0 || line[6] == '_')
		return 0;
	while (is_of_name(line[6 + n]))
		n++;
	return n < NAME_MAX_BYTES ? n : 0;
}

static int check_class(struct subject *subject, const char *module, int module_size, const char *class, int class_size)
{
	char name[2 * NAME_MAX_BYTES + 2];

	(void)snprintf(name, sizeof name, "%.*s:%.*s", module_size, module, class_size, class);
	if (set(subject->config, "class", name, false) < 0)
		return complain(subject, subject->config->reason);
	if (check_section(subject, false) < 0)
		return -1;
	printf("%s: class %.*s: it can be loaded\n", subject->about, class_size, class);
	return 0;
}

/* Most of what keeps one class from being loaded keeps all of them: the first failure is the last. */
static int check_classes(struct subject *subject, FILE *file, const char *module, int size)
{
	char line[1024];
	int r = 0, n = 0;

	while (r == 0 && n < CLASSES_MAX && fgets(line, sizeof line, file)) {
		const size_t length = class_of_line(line);
		if (length == 0)
			continue;
		r = check_class(subject, module, size, line + 6, (int)length);
		n++;
	}
	return n == 0 ? complain(subject, "it defines no class: no line begins with \"class \" and a name") : r;
}

static bool has_end(const char *text, const char *end)
{
	const size_t n = strlen(text), size = strlen(end);

	return n > size && strcmp(text + n - size, end) == 0;
}

/* Is the plugin python a shared object? A script (daemon/worker/plugin_script.h) can have no cage. */
static bool can_be_confined(const struct config *config)
{
	char *path;

	if (asprintf(&path, "%s/python.py", config->plugin_dir) < 0)
		return true;
	const bool script = access(path, F_OK) == 0;
	free(path);
	return !script;
}

static int check_python(struct subject *subject)
{
	char *slash = strrchr(subject->path, '/');
	const char *module = slash + 1;
	const int size = (int)(strlen(module) - strlen(".py"));
	FILE *file = fopen(subject->path, "re");

	if (!file)
		return complain(subject, strerror(errno));
	*slash = '\0';
	int r = add_section(subject->config, "python", can_be_confined(subject->config));
	if (r == 0)
		r = set(subject->config, "python_path", slash == subject->path ? "/" : subject->path, true);
	r = r < 0                    ? complain(subject, subject->config->reason)
	    : size >= NAME_MAX_BYTES ? complain(subject, "its name is too long")
				     : check_classes(subject, file, module, size);
	(void)fclose(file);
	return r;
}

int check_plugin(struct config *config, const char *file)
{
	struct subject subject = {.config = config};
	const size_t size = strlen(file);

	(void)escape_text(subject.about, sizeof subject.about, file, size < NAME_MAX_BYTES ? size : NAME_MAX_BYTES);
	if (!realpath(file, subject.path) || access(subject.path, R_OK) < 0)
		return complain_of_access(&subject, errno);
	subject.program = spawn_find_worker(config->worker_program);
	if (!subject.program)
		return complain(&subject, "out of memory");
	const int r = has_end(subject.path, ".py") ? check_python(&subject) : check_object(&subject);
	free(subject.program);
	return r;
}
