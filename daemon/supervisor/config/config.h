/* SPDX-License-Identifier: Apache-2.0 */
/*
 * config: the configuration, read and checked. An error names file and line. config.c has the table of keys, which the parser,
 * --print-config, and the test that every key is documented use. config_load is in config_read.c. config_check and
 * config_print are in files of these names. config_pool.c has the functions for the section of one pool.
 */
#ifndef SUPERVISOR_CONFIG_H
#define SUPERVISOR_CONFIG_H

#include "daemon/core/records/pool.h"
#include "daemon/core/records/rights.h"

#include <msgpack.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#define CONFIG_UNSET UINT64_MAX
#define CONFIG_HALF UINT64_MAX /* max_memory: half of the machine's memory */
enum {
	CONFIG_WORKERS_MAX = 4096,
	CONFIG_MEMORY_MIN = 1 << 20,
	CONFIG_USER_NAME_MAX = 64,
	CONFIG_TABLE_MAX = 64, /* keys of one table */
	CONFIG_INTEGER_UNSET = INT32_MIN,
};

/* A value that is JSON in the file and msgpack on the wire. */
struct config_json {
	char *text; /* as written; NULL: not given */
	struct block *packed;
	struct span value;
};

/* An address, and where it was given: FILE:LINE. */
struct config_address {
	char *text; /* NULL: not given */
	char *place;
};

/* A word of a list. */
struct config_word {
	char *text;
	char *place;     /* FILE:LINE */
	uint32_t number; /* of a uid or gid */
};

struct config_words {
	struct config_word *words;
	uint32_t count;
};

/* What a section [role NAME] or [user NAME] says of rights: the words of each, which are patterns of rules. */
struct config_role {
	char *name;
	char *place; /* file:line of its section */
	struct config_words of[RIGHTS];
};

/* As struct quota_rate; calls is 0: no rate is given. */
struct config_rate {
	uint64_t calls, period, burst;
};

struct config_user {
	struct config_role own; /* the first member: the tables of keys rely on it */
	struct config_words is; /* names of roles */
	struct config_words uids, gids, certificates, tokens;
	uint64_t max_sessions, max_inflight; /* CONFIG_UNSET: no limit */
	uint64_t max_memory; /* CONFIG_UNSET: no limit */
	struct config_rate rate;
	int32_t max_priority; /* CONFIG_INTEGER_UNSET: 0 */
};

/* What confines a pool's processes: daemon/worker/cage enters it. config_cage.h has the functions. */
struct config_cage {
	char *user, *group, *directory, *cpus;
	int32_t nice;           /* CONFIG_INTEGER_UNSET: as the daemon's */
	uint64_t umask;         /* CONFIG_UNSET: as the daemon's */
	struct config_json slot_cpus, env, slot_env;
	uint64_t limit_memory, limit_files, limit_processes, limit_cpu, memory_max; /* 0: no limit */
	struct config_json read, write; /* arrays of paths */
	bool network;
	uint32_t syscalls; /* enum cage_syscalls (proto/cage.h) */
};

/* The section [cluster]: this host, and the bus over which it meets others. */
struct config_cluster {
	char *place; /* file:line of its section; NULL: there is none */
	char *name, *domain;
	struct config_words bus; /* addresses */
	char *bus_ca, *bus_cert, *bus_key, *bus_creds; /* files; NULL: not given */
	uint64_t max_sessions, max_memory; /* of the gateway: sessions for other hosts; bytes */
	char *program; /* NULL: found */
};

enum config_prefer { PREFER_LOCAL, PREFER_LOAD };

/* A section [remote NAME]: a pool that other hosts serve. */
struct config_remote {
	char *name, *place;
	struct config_words hosts; /* none: as "*" */
	uint32_t prefer;           /* enum config_prefer */
};

struct config_pool {
	char *name;
	char *plugin, *class;
	uint32_t workers;
	char *workers_place;    /* file:line where that is said; NULL: nowhere */
	bool workers_cpus;      /* as many as CPUs that the daemon may use */
	uint32_t isolation;     /* enum config_isolation */
	struct config_json args, kwargs, slot_kwargs;
	/* Keys that only some plugins use. A plugin asks for them by name. */
	struct config_json python_path, python_options, preload;
	char *virtualenv;
	bool unpickle;
	uint64_t max_queue, max_sticky, max_direct, max_concurrent;
	uint64_t start_timeout, stop_timeout, cancel_grace; /* nanoseconds; NEVER */
	uint64_t slow_log;      /* nanoseconds; NEVER */
	uint64_t max_calls, max_rss; /* an instance is replaced when it exceeds them; 0: never */
	uint64_t max_age;            /* nanoseconds, likewise */
	uint64_t workers_min, workers_max; /* CONFIG_UNSET: as workers */
	uint64_t idle_timeout;       /* nanoseconds; NEVER */
	struct config_cage cage;
	bool share;             /* other hosts may call it */
	struct config_words trust; /* hosts that may share it although it unpickles; "*": all */
	char *run_as;           /* the user whose rights calls without a caller have; NULL: none */
	char *offered; /* the abstract socket where a fork of a client's program waits to be the template; NULL: nowhere */
	char *place;            /* file:line of its section */
};

enum config_isolation { ISOLATION_PROCESS, ISOLATION_THREAD };
enum config_admin { ADMIN_ALL, ADMIN_UNIX, ADMIN_NONE };
enum config_tls_client { TLS_CLIENT_NONE, TLS_CLIENT_OPTIONAL, TLS_CLIENT_REQUIRED, TLS_CLIENT_UNSET };

struct config {
	struct config_address *listen;
	uint32_t listen_count;
	struct config_address http; /* for probes and metrics */
	bool http_calls;            /* and for calls */
	uint64_t http_max_body;     /* bytes of a call's body, and of its packed result */
	struct config_words http_hosts, http_origins;
	char *plugin_dir;
	char *worker_program; /* NULL: found */
	char *user, *group;   /* whom the daemon becomes that root has started; NULL: nobody else */
	char *pid_file, *log_file; /* NULL: none; standard error, or the journal */
	uint64_t socket_mode;
	char *socket_group;
	bool insecure_remote;
	char *tls_cert, *tls_key, *tls_client_ca, *tls_crl; /* files; NULL: not given */
	uint32_t tls_client;   /* enum config_tls_client; config_check settles what was not given */
	uint32_t admin, create; /* enum config_admin */
	uint64_t max_pools;
	uint64_t max_message, max_connections, max_inflight, max_unsent, max_pending, max_memory, payload_min;
	uint32_t log_level, worker_log_level; /* 0: error, warning, info, debug */
	uint64_t drain_timeout; /* nanoseconds; NEVER */
	char *policy;           /* "FILE:LINE: KEY" of the last of `admin` and `create` that was given; NULL: neither was */
	struct config_pool *pools;
	uint32_t pool_count;
	struct config_role *roles;
	uint32_t role_count;
	struct config_user *users;
	uint32_t user_count;
	struct config_cluster cluster;
	struct config_remote *remotes;
	uint32_t remote_count;
	char *places[CONFIG_TABLE_MAX]; /* file:line of the keys of [daemon], as in its table; NULL: not given */
	char reason[512];      /* the first error */
};

/* Reads the file and conf.d/ *.conf beside it. NULL: the defaults alone. 0, or -1 with config->reason. */
int config_load(struct config *config, const char *path);

/* Where that field was given, as file:line: `field` points into the configuration. */
const char *config_place(const struct config *config, const void *field);

/* Adds a listen address; `place` says where it was given, for errors. 0 or -ENOMEM. And: drops the last. */
int config_add_listen(struct config *config, const char *address, const char *place);
void config_drop_listen(struct config *config);

/* Adds a pool that a client wants, and sets one of its keys from a packed value. 0, or -1 with config->reason. `place` says where
 * it comes from. */
int config_add_pool(struct config *config, struct span name, const char *place);
int config_set_pool(struct config *config, struct span key, struct span value);

/* Checks what concerns several keys or sections: addresses, users, names of plugins, numbers of slots. 0, or -1 with
 * config->reason. */
int config_check(struct config *config);

/* Checks one section by itself. */
int config_check_pool(struct config *config, const struct config_pool *pool);

void config_print(const struct config *config, FILE *to);

/* Parts of it, as objpool.config shows them: [daemon], the roles and the users, but not the hashes of their tokens; and the
 * section of a pool. */
void config_print_open(const struct config *config, FILE *to);
void config_print_pool(const struct config_pool *pool, FILE *to);

/* The name of a log_level, and the level of that name. -1: there is none. */
const char *config_level_name(uint32_t level);
int config_level_of(struct span name);
void config_free(struct config *config);

/* Do two sections make the same instances? */
bool config_pool_same_instances(const struct config_pool *a, const struct config_pool *b);

/* Does a pool keep the size that objpool.scale has set, when `section` takes the place of `before`? */
bool config_pool_keeps_size(const struct config_pool *before, const struct config_pool *section, uint32_t size);

void config_pool_free(struct config_pool *pool);

/* Makes a copy, which has the same packed values. 0, or -ENOMEM and the copy is all 0. */
int config_pool_copy(struct config_pool *copy, const struct config_pool *pool);

/* Charges the values that the section keeps to the account. */
void config_pool_charge(struct config_pool *pool, struct account *account);

/* Does the list of hosts have that one, or "*"? */
bool config_has_host(const struct config_words *hosts, struct span host);

/* Packs the section's keys that a plugin may ask for, and max_message, as a map. */
void config_pool_pack_settings(const struct config_pool *pool, uint64_t max_message, msgpack_packer *packer);

uint32_t config_pool_workers(const struct config_pool *pool);

/* The settings of the section that the core uses. */
struct pool_settings config_pool_settings(const struct config_pool *pool);

#endif
