/* SPDX-License-Identifier: Apache-2.0 */
/* class_check: [CHECK, ...]: whether a class can be loaded, and whether it takes the arguments of its pool's instances, without
 * building one. For objpoold --check. */
#ifndef WORKER_CLASS_CHECK_H
#define WORKER_CLASS_CHECK_H

#include "daemon/worker/template_packet.h"

/* Reads what follows the type, answers, and ends the process. */
_Noreturn void class_on_check(struct template *template, struct reader *reader);

#endif
