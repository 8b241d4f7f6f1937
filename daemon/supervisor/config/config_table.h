/* SPDX-License-Identifier: Apache-2.0 */
/*
 * config_table: what the files that read, set, print and free a configuration share: the tables of its keys. The tables
 * themselves are in config.c.
 */
#ifndef SUPERVISOR_CONFIG_TABLE_H
#define SUPERVISOR_CONFIG_TABLE_H

#include <stddef.h>
#include <stdint.h>

struct config;

enum config_type {
	T_TEXT, T_LIST, T_ADDRESS, T_BOOL, T_COUNT, T_SIZE, T_MEMORY, T_SECONDS, T_MODE, T_WORKERS, T_JSON, T_CHOICE, T_GROUP
};

struct config_option {
	const char *name;
	enum config_type type;
	size_t at;                   /* in struct config or config_pool */
	const char *preset;          /* as it would be written; NULL: none */
	const char *const *choices;  /* of T_CHOICE */
	uint64_t min, max;           /* of numbers */
};

struct config_table {
	const struct config_option *options;
	size_t count;
};

enum { CONFIG_TABLE_MAX = 64 }; /* keys of one table */

/* The keys of [daemon], in struct config; and of [pool NAME], in struct config_pool. */
extern const struct config_table config_of_daemon, config_of_pool;

/* Sets config->reason. Returns -1. */
__attribute__((format(printf, 2, 3))) int config_fail(struct config *config, const char *format, ...);
int config_no_memory(struct config *config);

/* The reason why there is no memory for a value, as the end of a sentence that names its key. */
extern const char config_not_kept[];

#endif
