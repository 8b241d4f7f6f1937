/* SPDX-License-Identifier: Apache-2.0 */
/* session_writing: answers go to the client. */
#ifndef SUPERVISOR_SESSION_WRITING_H
#define SUPERVISOR_SESSION_WRITING_H

#include "daemon/supervisor/connections/session.h"

/* The end of the turn, for each session that is dirty: sends its answers, closes it if it is done, else resumes it. */
void session_flush(struct session *session);

#endif
