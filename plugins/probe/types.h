/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PROBE_TYPES_H
#define PROBE_TYPES_H

#include <objpool/plugin.h>

extern const struct objpool_class types_class;

#endif
