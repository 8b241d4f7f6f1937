/* SPDX-License-Identifier: Apache-2.0 */
/* frames: the stack of one thread: found while the thread is stopped, given names when it runs again. */
#ifndef BACKTRACE_FRAMES_H
#define BACKTRACE_FRAMES_H

#include <elfutils/libdwfl.h>
#include <stdbool.h>
#include <stdint.h>

enum { FRAMES_MAX = 64 };

struct frame {
	Dwarf_Addr pc;
	bool exact; /* the instruction that is next; else the one after a call */
};

struct frames {
	uint32_t count;
	bool cut; /* there are more */
	struct frame at[FRAMES_MAX];
};

/* Reads beforehand what frames_collect will need of the objects, so that the thread is stopped for less long. */
void frames_prepare(Dwfl *dwfl);

/* The thread must be stopped. */
void frames_collect(Dwfl *dwfl, pid_t thread, struct frames *frames);

/*
 * Prints a line each: "#0  0x00007f3b41a3f1c2 function+0x42 at file.c:123 (object.so)", "??" for a function without a name.
 * File and line need debug information, and are left out once `in_time` says no.
 */
void frames_print(Dwfl *dwfl, const struct frames *frames, bool (*in_time)(void));

/* Prints a name of the program's that is looked at, escaped (proto/escape.h). */
void frames_print_name(const char *name, size_t size);

#endif
