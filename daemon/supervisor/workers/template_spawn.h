/* SPDX-License-Identifier: Apache-2.0 */
/* template_spawn: starts objpool-worker as the process of a template. */
#ifndef SUPERVISOR_TEMPLATE_SPAWN_H
#define SUPERVISOR_TEMPLATE_SPAWN_H

#include "daemon/supervisor/workers/template.h"

/* worker_maker's `start` of templates that are no program's own. */
void template_spawn(struct template *template);

#endif
