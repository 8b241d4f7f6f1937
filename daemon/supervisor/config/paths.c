/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/supervisor/config/paths.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

const char paths_plugins[] = OBJPOOL_PLUGIN_DIR;
const char paths_worker[] = OBJPOOL_LIBEXEC_DIR "/objpool-worker";
const char paths_gateway[] = OBJPOOL_LIBEXEC_DIR "/objpool-gateway";
const char paths_config[] = OBJPOOL_SYSCONF_DIR "/objpoold.conf";

char *paths_find(const char *name, const char *installed)
{
	char self[4096], *path;
	const ssize_t n = readlink("/proc/self/exe", self, sizeof self);
	const char *slash = n > 0 ? memrchr(self, '/', (size_t)n) : NULL;

	if (!slash)
		return strdup(installed);
	if (asprintf(&path, "%.*s/%s", (int)(slash - self), self, name) < 0)
		return NULL;
	if (access(path, X_OK) == 0)
		return path;
	free(path);
	return strdup(installed);
}
