/* SPDX-License-Identifier: Apache-2.0 */
/*
 * plugin_script: a plugin that is a program in Python, NAME.py where NAME.so is looked for. Its interpreter takes this process's
 * place, and is the template (plugins/python/template.py). So classes run in a Python that was not known when the plugin was
 * built, and that need not have a shared library.
 */
#ifndef WORKER_PLUGIN_SCRIPT_H
#define WORKER_PLUGIN_SCRIPT_H

#include "daemon/worker/template_packet.h"

/*
 * Looks at the supervisor's first packet, without taking it. If it names such a plugin, runs that: the interpreter is that of the
 * pool's `virtualenv`, or OBJPOOL_PYTHON of the environment. Returns if it does not.
 */
void plugin_script_run(struct template *template);

#endif
