/* SPDX-License-Identifier: Apache-2.0 */
/* plugin_needs: which libraries and symbols a plugin needs that are not there. The loader itself names only the first. */
#ifndef WORKER_PLUGIN_NEEDS_H
#define WORKER_PLUGIN_NEEDS_H

#include "daemon/worker/plugin_faults.h"

/* For a plugin that can't be loaded. Says nothing of a file that is no shared object. */
void plugin_needs(const char *path, struct plugin_faults *faults);

#endif
