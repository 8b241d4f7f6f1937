/* SPDX-License-Identifier: Apache-2.0 */
/* quit: how a worker or template ends at once when it can't go on. The supervisor logs the exit status. */
#ifndef WORKER_QUIT_H
#define WORKER_QUIT_H

#include <unistd.h>

/* The supervisor has gone: nobody looks at the status, and no answer can be sent any more. */
_Noreturn static inline void quit_cut_off(void)
{
	_exit(0);
}

enum {
	QUIT_PROTOCOL = 70, /* EX_SOFTWARE of sysexits.h */
	QUIT_MEMORY = 71,   /* EX_OSERR */
};

/* The supervisor has sent what this program does not understand: the two are of different versions, or memory is damaged. */
_Noreturn static inline void quit_protocol(void)
{
	_exit(QUIT_PROTOCOL);
}

/* There is no memory, and no way to tell the supervisor of it that needs none. */
_Noreturn static inline void quit_memory(void)
{
	_exit(QUIT_MEMORY);
}

#endif
