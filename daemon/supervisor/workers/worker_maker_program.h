/* SPDX-License-Identifier: Apache-2.0 */
/*
 * worker_maker_program: the template is a fork of a client's program, which waits at an abstract address to be connected to.
 * It ends when the workers are done with, and can't be had again: the program can't be forked again as it was then.
 */
#ifndef SUPERVISOR_WORKER_MAKER_PROGRAM_H
#define SUPERVISOR_WORKER_MAKER_PROGRAM_H

#include "daemon/supervisor/workers/worker_maker.h"

extern const struct worker_maker worker_maker_program;

#endif
