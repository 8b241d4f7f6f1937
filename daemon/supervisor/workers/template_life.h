/* SPDX-License-Identifier: Apache-2.0 */
/* template_life: a template is made, takes another's place after a reload, or gives it back, and is freed. */
#ifndef SUPERVISOR_TEMPLATE_LIFE_H
#define SUPERVISOR_TEMPLATE_LIFE_H

#include "daemon/supervisor/workers/template.h"

/* Takes the section over (it is empty then). The pool is set by the caller. NULL: out of memory. */
struct template *template_new(struct daemon *daemon, struct config_pool *section);

/* Puts another in its place, for workers that are started from now on: those that live, live on. Keeps `old` as next->before. */
void template_succeed(struct template *old, struct template *next);

/* It works: frees what was before. */
void template_commit(struct template *template);

/* It doesn't: puts template->before in its place again, and frees it. */
void template_revert(struct template *template);

/* Ends the process and frees everything. */
void template_free(struct template *template);

#endif
