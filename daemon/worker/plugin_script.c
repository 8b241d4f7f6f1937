/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/worker/plugin_script.h"

#include "daemon/worker/quit.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum { OPTIONS_MAX = 64, ISOLATION = 1 /* its place in the command line */ };

#define SEED "PYTHONHASHSEED="

struct script {
	char *path;
	struct span virtualenv, options; /* an array of texts. Size 0: there are none */
};

/* The name of the script that stands in the place of the shared object; NULL: none does. */
static char *find_script(struct span library)
{
	static const char ending[] = ".so";
	const size_t stem = library.size - (sizeof ending - 1);
	char *path = NULL;

	if (library.size < sizeof ending || memcmp(library.bytes + stem, ending, sizeof ending - 1) != 0)
		return NULL;
	if (asprintf(&path, "%.*s.py", (int)stem, (const char *)library.bytes) < 0)
		quit_memory();
	if (access(path, R_OK) == 0)
		return path;
	free(path);
	return NULL;
}

static bool is_there(struct span path)
{
	char *text = strndup((const char *)path.bytes, path.size);

	if (!text)
		quit_memory();
	const bool found = access(text, F_OK) == 0;
	free(text);
	return found;
}

static void read_settings(struct span settings, struct script *script)
{
	struct reader reader = reader_of(settings);
	struct span key, value;
	uint32_t n;

	if (read_map(&reader, &n) < 0)
		quit_protocol();
	for (uint32_t i = 0; i < n; i++) {
		if (read_text(&reader, &key) < 0)
			quit_protocol();
		if (span_is(key, "virtualenv") && read_text(&reader, &script->virtualenv) == 0)
			continue;
		if (read_value(&reader, &value) < 0)
			quit_protocol();
		if (span_is(key, "python_options"))
			script->options = value;
	}
}

/* Reads LOAD, or CHECK, as far as it concerns scripts. False: the plugin is none. */
static bool read_order(struct span packet, struct script *script)
{
	struct reader reader = reader_of(packet);
	struct span skipped, path, settings;
	uint32_t fields;
	uint64_t type;

	/* type, build, pool; path; class, args, kwargs, threads; settings */
	if (read_array(&reader, &fields) < 0 || read_uint(&reader, &type) < 0 || (type != TO_LOAD && type != TO_CHECK) ||
	    read_values(&reader, 2, &skipped) < 0 || read_text(&reader, &path) < 0 || is_there(path) ||
	    !(script->path = find_script(path)) || read_values(&reader, 4, &skipped) < 0 || read_value(&reader, &settings) < 0)
		return false;
	read_settings(settings, script);
	return true;
}

/* To be called before the supervisor is refused something: it would not read the answer of a process that has left its packet
 * unread. */
static void take_packet(const struct template *template)
{
	struct template_packet packet;

	(void)template_receive(template, &packet); /* the same bytes, to the same place */
}

/* A copy of an option, for the life of the process. */
static char *copy_option(struct span option)
{
	char *text = strndup((const char *)option.bytes, option.size);

	if (!text)
		quit_memory();
	return text;
}

/* Adds the pool's python_options to the command line. The hash seed goes into the environment. */
static void add_options(struct template *template, struct span options, const char **argv, size_t *count)
{
	struct reader reader = reader_of(options);
	bool takes_argument = false;
	struct span option;
	uint32_t n = 0;

	if (read_array(&reader, &n) < 0)
		return; /* nil */
	if (n > OPTIONS_MAX) {
		take_packet(template);
		template_refuse(template, "python_options has more than %d options", OPTIONS_MAX);
	}
	for (uint32_t i = 0; i < n && read_text(&reader, &option) == 0; i++) {
		const char *text = copy_option(option);
		if (strncmp(text, SEED, sizeof SEED - 1) == 0) {
			argv[ISOLATION] = "-s"; /* there is no other variable of Python's: spawn_environment */
			if (setenv("PYTHONHASHSEED", text + sizeof SEED - 1, true) < 0)
				quit_memory();
			continue;
		}
		if (!takes_argument && (text[0] != '-' || !text[1])) {
			take_packet(template);
			template_refuse(template, "python_options: \"%s\" is no option of the interpreter", text);
		}
		takes_argument = !takes_argument && (strcmp(text, "-W") == 0 || strcmp(text, "-X") == 0);
		argv[(*count)++] = text;
	}
}

static const char *find_interpreter(struct template *template, const struct script *script)
{
	const char *path = getenv("OBJPOOL_PYTHON");
	char *own;

	if (asprintf(&own, "%.*s/bin/python3", (int)script->virtualenv.size, (const char *)script->virtualenv.bytes) < 0)
		quit_memory();
	if (script->virtualenv.size > 0 && access(own, X_OK) == 0)
		return own; /* for the life of the process */
	free(own);
	if (path && path[0])
		return path;
	take_packet(template);
	template_refuse(template, "%s needs a Python: give the pool a virtualenv, or set OBJPOOL_PYTHON in the daemon's environment",
			script->path);
}

/* As the embedded interpreter is set: nothing of the user's, no bytecode written, UTF-8. */
_Noreturn static void run(struct template *template, const struct script *script)
{
	const char *argv[OPTIONS_MAX + 8] = {"", [ISOLATION] = "-I", "-B", "-X", "utf8"};
	size_t count = 5;

	argv[0] = find_interpreter(template, script);
	add_options(template, script->options, argv, &count);
	argv[count++] = script->path;
	argv[count] = COMMAND_LINE_ROOM; /* template.py clears sys.argv */
	(void)execv(argv[0], (char *const *)argv);
	const int error = errno;
	take_packet(template);
	template_refuse(template, "%s can't run %s: %s", argv[0], script->path, strerror(error));
}

void plugin_script_run(struct template *template)
{
	struct script script = {0};
	ssize_t n;

	do
		n = recv(template->channel, template->room, TEMPLATE_PACKET, MSG_PEEK);
	while (n < 0 && errno == EINTR);
	if (n > 0 && read_order((struct span){.bytes = template->room, .size = (size_t)n}, &script))
		run(template, &script);
}
