/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/worker/class_load.h"

#include "daemon/worker/class_types.h"
#include "daemon/worker/quit.h"
#include "daemon/worker/run.h"
#include "daemon/worker/services.h"
#include "proto/plural.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>

enum { THREADS_PATIENCE = 100 }; /* milliseconds */

/* ---- the order ---- */

/* For the life of the process: the workers, forked from here, have them too. */
static int keep_settings(struct template *template, struct span settings)
{
	char *bytes = malloc(settings.size);

	if (!bytes || !msgpack_zone_init(&template->settings, 1024))
		return -1;
	memcpy(bytes, settings.bytes, settings.size);
	return msgpack_unpack(bytes, settings.size, NULL, &template->settings, &template->plugin.settings) ==
			       MSGPACK_UNPACK_SUCCESS
		       ? 0
		       : -1;
}

static char *read_string(struct template *template, struct reader *reader)
{
	struct span text;
	char *copy;

	if (read_text(reader, &text) < 0)
		quit_protocol();
	if (!(copy = strndup((const char *)text.bytes, text.size)))
		template_refuse_memory(template);
	return copy;
}

/* What both say, and the memory that they share, would mean something else. */
static void refuse_other_build(struct template *template, struct reader *reader)
{
	struct span build;

	if (read_text(reader, &build) == 0 && build.size == strlen(CHANNEL_BUILD) &&
	    memcmp(build.bytes, CHANNEL_BUILD, build.size) == 0)
		return;
	template_refuse(template, "%s is not of the same build of objpool as the daemon: restart the daemon if objpool "
			"was upgraded while it ran, or else install both anew",
			template->linked ? "the extension module objpool_forked" : "objpool-worker");
}

/* How many threads this process has. 0: not known. */
static unsigned count_threads(DIR *tasks)
{
	unsigned count = 0;

	if (tasks)
		rewinddir(tasks);
	while (tasks && readdir(tasks))
		count++;
	return count > 2 ? count - 2 : 0; /* "." and ".." */
}

/* A cage may have another working directory than the daemon, from which a relative path of the configuration is seen. */
static void make_absolute(char **path)
{
	char *whole = (*path)[0] == '/' ? NULL : realpath(*path, NULL);

	if (!whole)
		return; /* loading it will say what is wrong */
	free(*path);
	*path = whole;
}

static void enter_cage(struct template *template, struct span map)
{
	struct reader reader = reader_of(map);
	char reason[512];

	if (!template->cage && read_nil(&reader) < 0)
		template_refuse(template, "%s can have no cage",
				template->offered ? "a process that a program offers as template"
						  : "the plugin python of a package for pip");
	if (template->cage && template->cage->enter(map, template->threads, reason, sizeof reason) < 0)
		template_refuse(template, "%s", reason);
}

void class_read_order(struct template *template, struct reader *reader, struct class_order *order)
{
	struct span settings, cage;

	refuse_other_build(template, reader);
	order->pool = read_string(template, reader);
	order->path = read_string(template, reader);
	order->class = read_string(template, reader);
	if (read_value(reader, &order->args) < 0 || read_value(reader, &order->kwargs) < 0 ||
	    read_bool(reader, &template->threads) < 0 || read_value(reader, &settings) < 0 || read_value(reader, &cage) < 0)
		quit_protocol();
	if (keep_settings(template, settings) < 0)
		template_refuse_memory(template);
	make_absolute(&order->path);
	order->tasks = opendir("/proc/self/task");
	order->threads = count_threads(order->tasks);
	enter_cage(template, cage);
}

/* ---- the plugin ---- */

/* Refuses the class if `step` has left threads running: a fork has only the thread that forks, and code that waits for another
 * thread would wait for ever. Waits a moment: a thread that has just ended is counted a little longer. */
static void refuse_threads(struct template *template, const struct class_order *order, const char *step, const char *name)
{
	const bool allowed = template->threads || template->linked || template->plugin.class.flags & OBJPOOL_CLASS_FORK_SAFE;
	const unsigned before = order->threads;
	unsigned now = allowed ? 0 : count_threads(order->tasks);

	for (int i = 0; i < THREADS_PATIENCE && now > before; i++) {
		(void)poll(NULL, 0, 1);
		now = count_threads(order->tasks);
	}
	if (now > before)
		template_refuse(template,
				"%s %s has started %u thread%s, which forked workers don't have: start them in the constructor; "
				"where workers can do without them, the class says so (OBJPOOL_CLASS_FORK_SAFE)",
				step, name, now - before, plural(now - before));
}

void class_load(struct template *template, const struct class_order *order)
{
	struct plugin *plugin = &template->plugin;
	char reason[TEMPLATE_REASON];
	const int loaded = template->linked ? plugin_link(plugin, template->linked, order->class, reason, sizeof reason)
					    : plugin_load(plugin, order->path, order->class, reason, sizeof reason);

	if (loaded < 0 || class_types_check(plugin, reason, sizeof reason) < 0)
		template_refuse(template, "%s", reason);
	refuse_threads(template, order, "loading", plugin->exported->name ? plugin->exported->name : order->path);
	if (template->threads && !(plugin->class.flags & OBJPOOL_CLASS_THREAD_SAFE))
		template_refuse(template,
				"class %s does not say that it is safe for threads (OBJPOOL_CLASS_THREAD_SAFE): it needs "
				"isolation = process",
				plugin->class.name);
}

/* ---- preload ---- */

void class_begin_task(struct template *template, struct task *task, const char *pool)
{
	static struct reply unused;

	if (reply_init(&unused, -1, NULL) < 0 || task_init(task, &template->plugin, &services, &unused, NULL) < 0)
		template_refuse_memory(template);
	task->place.pool = pool;
}

void class_preload(struct template *template, struct task *task, const struct class_order *order)
{
	if (task_add_array(task, order->args) < 0 || task_add_map(task, order->kwargs) < 0 || run_preload(task) < 0)
		template_refuse(template, "preload of class %s failed: %s", template->plugin.class.name,
				method_error_message(&task->handle.error));
	refuse_threads(template, order, "preload of class", template->plugin.class.name);
}
