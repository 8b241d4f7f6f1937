/* SPDX-License-Identifier: Apache-2.0 */
/* paths: the directories of the installation. Only paths.c is compiled with them, so that an installation elsewhere compiles this
 * file anew, and no other (packaging/install.mk). */
#ifndef SUPERVISOR_PATHS_H
#define SUPERVISOR_PATHS_H

extern const char paths_plugins[]; /* the folder of plugins */
extern const char paths_worker[];  /* objpool-worker */
extern const char paths_gateway[]; /* objpool-gateway */
extern const char paths_config[];  /* the default of --config */

/* What has this name in the folder of this program, as in a build tree, or else a copy of `installed`. To be freed; NULL: out of
 * memory. */
char *paths_find(const char *name, const char *installed);

#endif
