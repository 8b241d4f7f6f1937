/* SPDX-License-Identifier: Apache-2.0 */
/* children: processes of the daemon that have ended: templates, workers, the keeper, objpool-backtrace. */
#ifndef SUPERVISOR_CHILDREN_H
#define SUPERVISOR_CHILDREN_H

struct daemon;

/* Waits for all children that have ended, and tells each one's owner. */
void children_reap(struct daemon *daemon);

#endif
