/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PROBE_ECHO_H
#define PROBE_ECHO_H

#include <objpool/plugin.h>

extern const struct objpool_class echo_class;

#endif
