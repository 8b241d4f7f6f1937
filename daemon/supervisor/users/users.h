/* SPDX-License-Identifier: Apache-2.0 */
/*
 * users: who a client is, by the [user NAME] sections of the configuration, and what it may do. A table is made of a
 * configuration. When that is read again there is a new one, and each client is looked up there (session_identity.h).
 *
 * The certificate decides, if a user has it; else the token, then the uid, then the groups; a client that is nobody's is the user
 * "*", if there is one. Root is no user unless a uid names it, and may do everything. A token that is no user's, as it was taken
 * out of the configuration, makes its client nobody: it must not become more than it was.
 */
#ifndef SUPERVISOR_USERS_H
#define SUPERVISOR_USERS_H

#include "daemon/supervisor/base/certificate.h"
#include "daemon/supervisor/config/config.h"

#include <sys/types.h>

enum { TOKEN_HASH = 32, TOKEN_MAX = 4096 /* bytes of a token */ };

struct users;

/* By what a client was recognized. */
enum known_by { KNOWN_AS_ROOT, KNOWN_BY_CERT, KNOWN_BY_TOKEN, KNOWN_BY_UID, KNOWN_BY_GID, KNOWN_AS_ANYONE, KNOWN_BY_NOTHING, KNOWN_BY_HOST };

/* What a client shows of itself. */
struct credentials {
	bool is_local;           /* over a Unix socket: uid and gids are true */
	uid_t uid;
	const gid_t *gids;       /* all its groups */
	uint32_t gid_count;
	const uint8_t *token;    /* the hash of its token; NULL: it has given none */
	const struct certificate *certificate; /* NULL: none */
};

/* One user, or several that a client is by its groups. It lives as long as its table. */
struct identity {
	struct rights *rights;  /* NULL: root's */
	struct quota_limits limits; /* of its quota: see users_make */
	const char *name;       /* NULL: nobody's user. Of several: with commas */
	struct config_words roles; /* their names; the words belong to the table */
};

/* Who a client was found to be. */
struct known {
	const struct identity *identity; /* NULL: there are no users */
	enum known_by by;
};

/* NULL: out of memory. The table takes what it needs from the configuration. */
struct users *users_new(const struct config *config);

/* A table, whose users have their quotas in that core; these may count for the users already. *users is NULL if the configuration
 * has no users. 0 or -ENOMEM. users_set_limits gives the quotas their limits: when the table is used from now on. */
int users_make(const struct config *config, struct core *core, struct users **users);
void users_set_limits(struct users *users);
void users_free(struct users *users);

/* Who is that? 0: *identity and *by are set. -EEXIST: the certificate is that of two users, and *reason names them. -ENOMEM. */
int users_identify(struct users *users, const struct credentials *credentials, const struct identity **identity,
		   enum known_by *by, char *reason, size_t size);

/*
 * Who is that user of another host, NAME of HOST? The section of this name; else the longest one whose name ends in a star, and that
 * matches; else "*"; else nobody.
 */
const struct identity *users_of_host(const struct users *users, struct span name);

/* Makes the hash of a token. */
void users_hash_token(struct span token, uint8_t hash[TOKEN_HASH]);

/* Has a user the token of this hash? It takes the same time for every hash. */
bool users_know_token(const struct users *users, const uint8_t hash[TOKEN_HASH]);

/* The identity of clients that are no user's. */
const struct identity *users_nobody(const struct users *users);

/* The user of that section. NULL: there is none. */
const struct identity *users_find(const struct users *users, struct span name);

/* Who that is: a user of another host (HOST/NAME) as in users_of_host, another as in users_find. */
const struct identity *users_named(const struct users *users, struct span name);

/* What the clients of a [user] section have together; a client that is several users counts for each. */
struct user_state {
	const char *name;
	uint32_t sessions, inflight, lingering, leases, directs;
	uint64_t memory; /* bytes */
	uint64_t calls, denied, overloaded;
};

/* How many [user] sections there are; 0 also for NULL. And what the clients of one have. */
uint32_t users_count(const struct users *users);
struct user_state users_state(const struct users *users, uint32_t index);

/* The quotas of all users, and of clients that are several, one after the other. NULL: there are no more. */
struct quota *users_quota(const struct users *users, uint32_t index);

/* As users tell it: "root", "cert" and so on. */
const char *users_known_by(enum known_by by);

#endif
