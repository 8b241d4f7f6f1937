/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/supervisor/config/paths.h"

const char paths_plugins[] = OBJPOOL_PLUGIN_DIR;
const char paths_worker[] = OBJPOOL_LIBEXEC_DIR "/objpool-worker";
const char paths_config[] = OBJPOOL_SYSCONF_DIR "/objpoold.conf";
