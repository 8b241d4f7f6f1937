/* SPDX-License-Identifier: Apache-2.0 */
/* class_load: a template loads the plugin, finds the pool's class in it, and has the class preload. A failure ends the template,
 * which first tells the supervisor the reason. */
#ifndef WORKER_CLASS_LOAD_H
#define WORKER_CLASS_LOAD_H

#include "daemon/worker/task.h"
#include "daemon/worker/template_packet.h"

#include <dirent.h>

/* What LOAD and CHECK begin with. */
struct class_order {
	char *pool, *path, *class;
	struct span args, kwargs;
	DIR *tasks;       /* this process's threads, as /proc shows them: opened before a cage may forbid it; NULL: not known */
	unsigned threads; /* of this process before anything was loaded */
};

/* Takes the pool's settings and isolation into the template, and enters the pool's cage. */
void class_read_order(struct template *template, struct reader *reader, struct class_order *order);

void class_load(struct template *template, const struct class_order *order);

/* Makes a task for the functions of the class that the template calls. */
void class_begin_task(struct template *template, struct task *task, const char *pool);

void class_preload(struct template *template, struct task *task, const struct class_order *order);

#endif
