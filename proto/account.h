/* SPDX-License-Identifier: Apache-2.0 */
/*
 * account: who holds how much memory, and how many descriptors. Each session has an account. The daemon's account is above all
 * others. Between them, a user's account is above those of the user's sessions.
 *
 *   session 7 [used 3 MiB] ------> user ci [used 83 MiB, limit 80 MiB, holders 2] --.
 *   session 9 [used 80 MiB] ---'                                                     +--> the daemon [used 91 MiB, holders 2]
 *   session 8 [used 1 MiB], of no user ----------------------------------------------+
 *   workers, caches  7 MiB ----------------------------------------------------------'
 *
 * What is allocated for a session (a block, a segment of a send queue, a call) is charged to its account, and thereby to all
 * above. It is credited to the same account when it is freed. So `used` is exact, and 0 when nothing is left.
 *
 * Descriptors are counted likewise (`files`): a connection, the files that a client has handed over, and the files of large
 * values. All sessions together may have `files_max`, one session a quarter of that and two more. The process may have more open
 * than `files_max`: the daemon needs the difference for its workers.
 *
 * An account lives until it is closed and all that was charged to it has been credited: a call that outlives its session
 * still knows whom to credit. Not thread-safe.
 */
#ifndef PROTO_ACCOUNT_H
#define PROTO_ACCOUNT_H

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { ACCOUNT_SMALL = 4096 }; /* bytes: an account that holds less is not counted in `holders`, and is never greedy */

struct account {
	struct account *parent; /* NULL: it is the daemon's */
	uint64_t used;
	uint32_t files;
	bool closed;            /* freed with the last credit */
	uint64_t limit;         /* of `used`, of the daemon and of users; 0: none */
	uint32_t holders;       /* accounts directly below it that hold ACCOUNT_SMALL and more */
	uint32_t files_max;     /* of the daemon; 0: no limit */
};

/* A new account below `parent`. Out of memory: returns `parent` itself. */
struct account *account_new(struct account *parent);

/* Puts the account, with all that it holds, below another parent. The daemon's own account stays. */
void account_move(struct account *account, struct account *parent);

/* Its owner has gone: frees the account now, or with the last credit. There must be no account below it that is not closed. Does
 * nothing with NULL or the daemon's own account. */
void account_close(struct account *account);

/* Only for account_credit and account_remove_file below: frees a closed account to which nothing is charged any more. */
void account_free(struct account *account);

static inline void account_free_if_over(struct account *account)
{
	if (account->closed && account->used == 0 && account->files == 0)
		account_free(account);
}

/* With NULL nothing is counted: this is so for all functions that charge, credit, add and remove. */
static inline void account_charge(struct account *account, uint64_t bytes)
{
	for (; account; account = account->parent) {
		const uint64_t before = account->used;
		account->used += bytes;
		if (account->parent)
			account->parent->holders += before < ACCOUNT_SMALL && account->used >= ACCOUNT_SMALL;
	}
}

static inline void account_credit(struct account *account, uint64_t bytes)
{
	for (struct account *parent; account; account = parent) {
		const uint64_t before = account->used;
		parent = account->parent;
		assert(before >= bytes);
		account->used -= bytes;
		if (parent)
			parent->holders -= before >= ACCOUNT_SMALL && account->used < ACCOUNT_SMALL;
		account_free_if_over(account);
	}
}

/* The daemon's. */
static inline const struct account *account_root(const struct account *account)
{
	while (account->parent)
		account = account->parent;
	return account;
}

/* May the account have one more descriptor? NULL: yes. */
static inline bool account_has_room_for_file(const struct account *account)
{
	const struct account *all = account ? account_root(account) : NULL;

	if (!all || all->files_max == 0)
		return true;
	return all->files < all->files_max && (account == all || account->files < 2 + all->files_max / 4);
}

static inline void account_add_file(struct account *account)
{
	for (; account; account = account->parent)
		account->files++;
}

static inline void account_remove_file(struct account *account)
{
	for (struct account *parent; account; account = parent) {
		parent = account->parent;
		account->files--;
		account_free_if_over(account);
	}
}

/* Holds the account more than its own limit? */
static inline bool account_is_over(const struct account *account)
{
	return account->limit > 0 && account->used > account->limit;
}

/* Has the account more than its share of the limit of `over`, which is above it? The accounts directly below `over` have equal
 * shares, and those below such an account have equal shares of its share. An account below one that keeps to its share keeps to
 * its own. */
bool account_exceeds_share(const struct account *account, const struct account *over);

/* The account above that holds more than its limit, and of whose limit this account has more than its share. NULL: there is
 * none. */
static inline const struct account *account_pressed_by(const struct account *account)
{
	for (const struct account *above = account->parent; above; above = above->parent)
		if (account_is_over(above) && account_exceeds_share(account, above))
			return above;
	return NULL;
}

static inline bool account_is_greedy(const struct account *account)
{
	return account_pressed_by(account) != NULL;
}

/*
 * May the account hold for long what it holds now? Only as much as is left free for the others: one account gets half of
 * a limit at most, two a third each.
 */
static inline bool account_may_keep(const struct account *account)
{
	for (const struct account *all = account->parent ? account->parent : account; all; all = all->parent)
		if (all->limit > 0 && (all->used > all->limit || account->used > all->limit - all->used))
			return false;
	return true;
}

#endif
