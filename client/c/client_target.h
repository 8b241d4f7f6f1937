/* SPDX-License-Identifier: Apache-2.0 */
/* client_target: the target of functions whose name says where the call goes: objpool_all and objpool_map. */
#ifndef CLIENT_C_CLIENT_TARGET_H
#define CLIENT_C_CLIENT_TARGET_H

#include <stddef.h>

enum { CLIENT_TARGET_SIZE = 256 };

/*
 * Writes the target of "sim.step" with this selector (":all"): "sim:all". The method may have the selector already:
 * "sim:all.step". Returns where the method's name begins in `method`. NULL: it has no dot, has another selector, or is too
 * long.
 */
const char *client_target_select(char target[CLIENT_TARGET_SIZE], const char *method, const char *selector);

#endif
