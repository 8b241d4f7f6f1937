/* SPDX-License-Identifier: Apache-2.0 */
/*
 * config_table: what the files that read, set, print and free a configuration share: the tables of its keys. The tables
 * themselves are in config.c.
 */
#ifndef SUPERVISOR_CONFIG_TABLE_H
#define SUPERVISOR_CONFIG_TABLE_H

#include "proto/similar.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct config;

enum config_type {
	T_TEXT, T_LIST, T_ADDRESS, T_BOOL, T_COUNT, T_SIZE, T_MEMORY, T_SECONDS, T_MODE, T_WORKERS, T_JSON, T_CHOICE, T_GROUP,
	T_INTEGER, T_CPUS,
	T_RATE,
	/* Lists of words: struct config_words. */
	T_METHODS, T_POOLS, T_YES, T_NAMES, T_UIDS, T_GIDS, T_CERTIFICATES, T_TOKENS,
	T_HOSTS, T_ORIGINS, T_MACHINES, T_BUS
};

/* Is the key's value a list of words? */
static inline bool config_has_words(enum config_type type)
{
	return type >= T_METHODS;
}

/* Is it a string of its own, a char *? */
static inline bool config_has_text(enum config_type type)
{
	return type == T_TEXT || type == T_GROUP || type == T_CPUS;
}

/* May the key be given several times in a section? */
static inline bool config_may_repeat(enum config_type type)
{
	return type == T_LIST || (config_has_words(type) && type != T_YES);
}

struct config_option {
	const char *name;
	enum config_type type;
	size_t at;                   /* in the structure of the section */
	const char *preset;          /* as it would be written; NULL: none */
	const char *const *choices;  /* of T_CHOICE */
	uint64_t min, max;           /* of numbers; of T_INTEGER: as int64_t */
};

struct config_table {
	const struct config_option *options;
	size_t count;
};

/* The keys of [daemon], in struct config; of [pool NAME], in struct config_pool; and so on. */
extern const struct config_table config_of_daemon, config_of_pool, config_of_role, config_of_user,
	config_of_cluster, config_of_remote;

/* Is it `admin` or `create` of [daemon]? Where there are users, rights decide in the place of these. */
bool config_is_policy(const struct config_table *table, const struct config_option *option);

/* "; did you mean KEY?" in `hint`, if a key of the table is like `name` (of `size` characters), or else nothing. */
const char *config_hint(const struct config_table *table, const char *name, size_t size, char hint[SIMILAR_HINT]);

/* Sets config->reason. Returns -1. */
__attribute__((format(printf, 2, 3))) int config_fail(struct config *config, const char *format, ...);
int config_no_memory(struct config *config);

/* The reason why there is no memory for a value, as the end of a sentence that names its key. */
extern const char config_not_kept[];

#endif
