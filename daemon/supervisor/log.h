/* SPDX-License-Identifier: Apache-2.0 */
/*
 * log: one line per event, to the journal with fields when standard error is the journal's, else to standard error.
 * A line about a pool or a slot begins with "pool sim slot 2: ", and has OBJPOOL_POOL, OBJPOOL_SLOT and OBJPOOL_GENERATION.
 */
#ifndef SUPERVISOR_LOG_H
#define SUPERVISOR_LOG_H

#include <stdarg.h>
#include <stdint.h>
#include <syslog.h> /* LOG_ERR, LOG_WARNING, LOG_INFO, LOG_DEBUG */

struct pool;
struct slot;

/* Looks where standard error goes; lines less urgent than `most` are dropped. */
void log_open(int most);
void log_set_level(int most);

__attribute__((format(printf, 2, 3))) void log_say(int level, const char *format, ...);
__attribute__((format(printf, 3, 4))) void log_pool(int level, const struct pool *pool, const char *format, ...);
__attribute__((format(printf, 3, 4))) void log_slot(int level, const struct slot *slot, const char *format, ...);

#endif
