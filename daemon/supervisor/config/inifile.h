/* SPDX-License-Identifier: Apache-2.0 */
/*
 * inifile: libinih with what its fixed buffers lack: lines of any length, line numbers, sections that are empty, and
 * continuation lines (indented) as part of the value.
 */
#ifndef SUPERVISOR_INIFILE_H
#define SUPERVISOR_INIFILE_H

#include <stddef.h>

struct inifile_reader {
	/* Both return 0 to go on. `value` is valid until the next call. */
	int (*section)(void *data, const char *section, int line);
	int (*value)(void *data, const char *name, const char *value, int line);
	void *data;
};

/* Reads the text of a file, `size` bytes. 0; -EBADMSG with *line; another negative errno; or what a callback returned. */
int inifile_read(char *text, size_t size, const struct inifile_reader *reader, int *line);

#endif
