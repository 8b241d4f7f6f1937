/* SPDX-License-Identifier: Apache-2.0 */
/* class_description: a template tells the supervisor what its class offers: [LOADED, {...}], with its types. */
#ifndef WORKER_CLASS_DESCRIPTION_H
#define WORKER_CLASS_DESCRIPTION_H

#include "daemon/worker/task.h"
#include "daemon/worker/template_packet.h"

/* `task` has run the class's preload. A class that can't be described ends the process (template_refuse). */
void class_describe(struct template *template, struct task *task);

#endif
