/* SPDX-License-Identifier: Apache-2.0 */
/* target: the target of functions whose name says where the call goes: objpool_all and objpool_map. */
#ifndef CLIENT_C_TARGET_H
#define CLIENT_C_TARGET_H

#include <stddef.h>

enum { TARGET_SIZE = 256 };

/*
 * Writes the target of "sim.step" with this selector (":all"): "sim:all". The method may have the selector already:
 * "sim:all.step". Returns where the method's name begins in `method`. NULL: it has no dot, has another selector, or is too
 * long.
 */
const char *target_select(char target[TARGET_SIZE], const char *method, const char *selector);

#endif
