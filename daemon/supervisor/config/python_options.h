/* SPDX-License-Identifier: Apache-2.0 */
/* python_options: the options that a pool gives to its Python interpreter. They are checked before any process begins. */
#ifndef SUPERVISOR_PYTHON_OPTIONS_H
#define SUPERVISOR_PYTHON_OPTIONS_H

#include "proto/read.h"

#define PYTHON_OPTIONS_REASON 256

/* The options are an array of strings. Returns the first thing that is wrong, in `reason`: the option, and why. NULL: nothing is. */
const char *python_options_check(struct span options, char reason[PYTHON_OPTIONS_REASON]);

#endif
