/* SPDX-License-Identifier: Apache-2.0 */
/* template_forks: the workers that a template is to fork: when each is asked for, when again, and when not at all. */
#ifndef SUPERVISOR_TEMPLATE_FORKS_H
#define SUPERVISOR_TEMPLATE_FORKS_H

#include "daemon/supervisor/workers/template.h"

/* Called in each turn of the loop in which daemon->forks_wanted: starts the process and forks the workers that are wanted. */
void template_run(struct template *template);

/* A fork has failed with this errno: it is tried again, or the worker is refused. */
void template_on_fork_failed(struct template *template, struct worker *worker, int error);

/* Of the timer `again`. */
void template_on_again(struct timer *timer);

#endif
