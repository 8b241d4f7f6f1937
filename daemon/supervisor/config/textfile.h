/* SPDX-License-Identifier: Apache-2.0 */
/* textfile: reads a whole file that somebody has named. Whatever the file is, reading never blocks, and takes no more memory
 * than allowed. */
#ifndef SUPERVISOR_TEXTFILE_H
#define SUPERVISOR_TEXTFILE_H

#include <stddef.h>

/*
 * Reads a regular file (or /dev/null, which is empty) of `most` bytes at most. 0 with *text, which has a '\0' after its *size
 * bytes and is to be freed; or -1 with `reason`, the end of a sentence that begins with the path.
 */
int textfile_read(const char *path, size_t most, char **text, size_t *size, char *reason, size_t reason_size);

#endif
