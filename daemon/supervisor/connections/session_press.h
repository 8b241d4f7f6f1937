/* SPDX-License-Identifier: Apache-2.0 */
/* session_press: a session that holds more than its share of the memory has its calls refused (memory.h). */
#ifndef SUPERVISOR_SESSION_PRESS_H
#define SUPERVISOR_SESSION_PRESS_H

#include "daemon/supervisor/connections/session.h"

/* Called twice a second: notes for how long it has held more than its share, refuses its calls, or accepts them again. */
void session_press(struct session *session);

#endif
