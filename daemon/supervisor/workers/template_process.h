/* SPDX-License-Identifier: Apache-2.0 */
/* template_process: the end of a template's process, and what becomes of the workers that it had or should have made. */
#ifndef SUPERVISOR_TEMPLATE_PROCESS_H
#define SUPERVISOR_TEMPLATE_PROCESS_H

#include "daemon/supervisor/workers/template.h"

/* Ends the process. The workers that it was to fork stay in their lists. */
void template_end_process(struct template *template);

/* Ends the process; the workers that it was to fork are refused for this reason. */
void template_fail(struct template *template, const char *reason);

/* Likewise, and logs that the process has died. */
void template_on_death(struct template *template);

/* Likewise: it does not answer. */
void template_give_up(struct template *template);

/* The workers in the list will get no process from this template: worker_on_refused. */
void template_refuse_all(struct worker_list *refused, const char *reason);

/* The process will not report these forks any more: `next` is to make them again. A worker that was forked all the same has
 * lost its channel, and ends. */
void template_ask_again(struct worker_list *forking, struct template *next);

/* The slot of the pool whose worker has that pid. NULL: none has. */
struct slot *template_slot_of(const struct pool *pool, int64_t pid);

/* worker_maker's `kill` of workers that are children of the supervisor. */
void template_kill_child(struct template *template, struct worker *worker);

/* Of the timer `patience`. */
void template_on_silence(struct timer *timer);

#endif
