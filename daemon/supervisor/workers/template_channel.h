/* SPDX-License-Identifier: Apache-2.0 */
/* template_channel: the messages of a template's process: it is told what to load, and says what it has loaded and forked. */
#ifndef SUPERVISOR_TEMPLATE_CHANNEL_H
#define SUPERVISOR_TEMPLATE_CHANNEL_H

#include "daemon/supervisor/workers/template.h"

/* The process is there, at the other end of `fd`, which the template takes over: tells it what to load. 0 or a negative errno. */
int template_attach(struct template *template, int fd);

/* The process has ended: acts on what it said before. The channel's end may never come: what it has forked may hold the
 * channel. */
void template_drain_channel(struct template *template);

#endif
