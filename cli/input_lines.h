/* SPDX-License-Identifier: Apache-2.0 */
/* input_lines: reads lines from a descriptor and never waits for more. */
#ifndef CLI_INPUT_LINES_H
#define CLI_INPUT_LINES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct input_lines {
	int fd;
	char *bytes;
	size_t begin, end, capacity;
	size_t searched; /* so many of the bytes have no end of line */
	bool ended;
	uint64_t number; /* of the line that came last */
	uint64_t offset; /* bytes passed */
};

/*
 * Sets *line to the next line, without its end. The line is valid until the next call. 1; 0: there are no more; -EAGAIN: no whole
 * line is there yet (poll the descriptor); another negative errno.
 */
int input_lines_next(struct input_lines *lines, const char **line, size_t *size);

void input_lines_free(struct input_lines *lines);

#endif
