/* SPDX-License-Identifier: Apache-2.0 */
/* services: what a class may ask of the worker while it runs: the functions behind objpool_fail, objpool_yield and the others of
 * <objpool/plugin.h>. */
#ifndef WORKER_SERVICES_H
#define WORKER_SERVICES_H

#include <objpool/plugin.h>

extern const struct objpool_host services;

#endif
