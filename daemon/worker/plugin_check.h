/* SPDX-License-Identifier: Apache-2.0 */
/* plugin_check: all that is wrong with a plugin, for `objpoold --check-plugin`. No instance is built, and no class preloads. */
#ifndef WORKER_PLUGIN_CHECK_H
#define WORKER_PLUGIN_CHECK_H

#include "daemon/worker/template_packet.h"

/* Loads the plugin, sends a FAULT for each thing that is wrong with it, then LOADED, and ends the process. */
_Noreturn void plugin_check(struct template *template, const char *path);

#endif
