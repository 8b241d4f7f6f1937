/* SPDX-License-Identifier: Apache-2.0 */
/* paths: the directories of the installation. Only paths.c is compiled with them, so that an installation elsewhere compiles this
 * file anew, and no other (packaging/install.mk). */
#ifndef SUPERVISOR_PATHS_H
#define SUPERVISOR_PATHS_H

extern const char paths_plugins[]; /* the default of plugin_dir */
extern const char paths_worker[];  /* objpool-worker */
extern const char paths_config[];  /* the default of --config */

#endif
