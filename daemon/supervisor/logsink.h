/* SPDX-License-Identifier: Apache-2.0 */
/* logsink: where the log goes, and what a line looks like there: standard error, or the journal, with fields. */
#ifndef SUPERVISOR_LOGSINK_H
#define SUPERVISOR_LOGSINK_H

#include "daemon/supervisor/logwriter.h"

struct pool;
struct slot;

enum { LOGSINK_AROUND = 512 }; /* bytes that a line may have besides its text: a pool's name has 255 at most */

/* What a line is about. */
struct logsink_subject {
	int level;               /* LOG_ERR, … */
	const struct pool *pool; /* NULL: none */
	const struct slot *slot; /* NULL: none; else the pool's */
	const char *stream;      /* "stdout" or "stderr" of a worker; NULL: the daemon speaks */
};

/* Looks where standard error goes, which the writer is to write to. */
const struct logwriter_sink *logsink_open(void);

/* Makes a line of the text, which has been escaped. It must have LOGSINK_AROUND bytes more room than the text. Returns its length. */
size_t logsink_format(char *line, size_t room, const struct logsink_subject *about, const char *text);

#endif
