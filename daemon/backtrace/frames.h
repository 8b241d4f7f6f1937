/* SPDX-License-Identifier: Apache-2.0 */
/* frames: the stack of one thread. It is collected while the thread is stopped, and gets names when the thread runs again. */
#ifndef BACKTRACE_FRAMES_H
#define BACKTRACE_FRAMES_H

#include <elfutils/libdwfl.h>
#include <stdbool.h>
#include <stdint.h>

enum { FRAMES_MAX = 64 };

struct frame {
	Dwarf_Addr pc;
	bool exact; /* pc is the next instruction; otherwise the one after a call */
};

struct frames {
	uint32_t count;
	bool cut; /* the stack has more frames */
	struct frame at[FRAMES_MAX];
};

/* Reads what frames_collect will need of the shared objects, so that the thread is stopped for a shorter time. */
void frames_prepare(Dwfl *dwfl);

/* The thread must be stopped. */
void frames_collect(Dwfl *dwfl, pid_t thread, struct frames *frames);

/*
 * Prints each frame on a line: "#0  0x00007f3b41a3f1c2 function+0x42 at file.c:123 (object.so)", "??" for a function without a
 * name. File and line need debug information, and are left out once `in_time` says no.
 */
void frames_print(Dwfl *dwfl, const struct frames *frames, bool (*in_time)(void));

/* Prints a name of the other program, escaped (proto/escape.h). */
void frames_print_name(const char *name, size_t size);

#endif
