/* SPDX-License-Identifier: Apache-2.0 */
/* forked_worker: a worker that is a fork of the template and becomes a child of the supervisor. The supervisor's
 * worker_maker_forked.c is the mirror image. */
#ifndef WORKER_FORKED_WORKER_H
#define WORKER_FORKED_WORKER_H

#include "daemon/worker/template_packet.h"
#include "daemon/worker/title.h"

#include <sys/types.h>

/* The worker gets the descriptors of FORK (proto/channel.h). Returns its pid or a negative errno. */
pid_t forked_worker_start(const struct template *template, const struct title *title, const int *fds);

#endif
