/* SPDX-License-Identifier: Apache-2.0 */
/* logsink: where the log goes (standard error, or the journal, with fields), and the format of its lines there. */
#ifndef SUPERVISOR_LOGSINK_H
#define SUPERVISOR_LOGSINK_H

#include "daemon/supervisor/log/logwriter.h"

struct pool;
struct slot;

enum { LOGSINK_AROUND = 512 }; /* bytes that a line has at most besides its text; a pool's name has 255 at most */

/* The subject of a line. */
struct logsink_subject {
	int level;               /* LOG_ERR, … */
	const struct pool *pool; /* NULL: none */
	const struct slot *slot; /* a slot of `pool`; NULL: none */
	const char *stream;      /* "stdout" or "stderr" of a worker; NULL: the daemon speaks */
};

/* The sink for what standard error is: the journal's, or that of any other file. With `to_file` the latter, whatever it is:
 * logsink_use_file follows. */
const struct logwriter_sink *logsink_open(bool to_file);

/* From now on lines go to the file, which is made if it is not there. Once in a process. 0 or a negative errno. */
int logsink_use_file(const char *path);

/* Makes a line of the escaped text. `room`: LOGSINK_AROUND bytes more than the text's length. Returns the line's length. */
size_t logsink_format(char *line, size_t room, const struct logsink_subject *about, const char *text);

#endif
