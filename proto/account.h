/* SPDX-License-Identifier: Apache-2.0 */
/*
 * account: who holds how much memory, and how many descriptors. Each session has an account. The daemon's account is the parent
 * of all others, and has the limits.
 *
 *   session 7 [used 3 MiB] --.
 *   session 9 [used 80 MiB] --+--> the daemon [used 90 MiB, limit 64 MiB, holders 2]
 *   workers, caches  7 MiB ---'
 *
 * What is allocated for a session (a block, a segment of a send queue, a call) is charged to its account, and thereby to the
 * parent. It is credited to the same account when it is freed. So `used` is exact, and 0 when nothing is left.
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
	/* Only the daemon's account uses these: */
	uint64_t limit;         /* of `used`; 0: none */
	uint32_t holders;       /* children that hold ACCOUNT_SMALL and more */
	uint32_t files_max;    /* 0: no limit */
};

/* A new account below `parent`, which is the daemon's. Out of memory: returns `parent` itself. */
struct account *account_new(struct account *parent);

/* Its owner has gone: frees the account now, or with the last credit. Does nothing with NULL or the daemon's own account. */
void account_close(struct account *account);

/* Only for account_credit and account_remove_file below: frees a closed account to which nothing is charged any more. */
void account_free(struct account *account);

/* With NULL nothing is counted: this is so for all functions that charge, credit, add and remove. */
static inline void account_charge(struct account *account, size_t bytes)
{
	if (!account)
		return;
	const uint64_t before = account->used;
	account->used += bytes;
	struct account *all = account->parent;
	if (!all)
		return;
	all->used += bytes;
	all->holders += before < ACCOUNT_SMALL && account->used >= ACCOUNT_SMALL;
}

static inline void account_credit(struct account *account, size_t bytes)
{
	if (!account)
		return;
	const uint64_t before = account->used;
	assert(before >= bytes);
	account->used -= bytes;
	struct account *all = account->parent;
	if (!all)
		return;
	all->used -= bytes;
	all->holders -= before >= ACCOUNT_SMALL && account->used < ACCOUNT_SMALL;
	if (account->closed && account->used == 0 && account->files == 0)
		account_free(account);
}

/* May the account have one more descriptor? NULL: yes. */
static inline bool account_has_room_for_file(const struct account *account)
{
	const struct account *all = account && account->parent ? account->parent : account;

	if (!all || all->files_max == 0)
		return true;
	return all->files < all->files_max && (account == all || account->files < 2 + all->files_max / 4);
}

static inline void account_add_file(struct account *account)
{
	if (!account)
		return;
	account->files++;
	if (account->parent)
		account->parent->files++;
}

static inline void account_remove_file(struct account *account)
{
	if (!account)
		return;
	account->files--;
	if (!account->parent)
		return;
	account->parent->files--;
	if (account->closed && account->used == 0 && account->files == 0)
		account_free(account);
}

/* Does the daemon hold more than its limit? */
static inline bool account_is_over(const struct account *account)
{
	const struct account *all = account->parent ? account->parent : account;
	return all->limit > 0 && all->used > all->limit;
}

/* How many bytes each holder may have when memory is short. `all` is the daemon's account. */
static inline uint64_t account_share(const struct account *all)
{
	return all->holders > 1 ? all->limit / all->holders : all->limit;
}

/* Does the daemon hold more than its limit, and this account more than its share (account_share)? */
static inline bool account_is_greedy(const struct account *account)
{
	const struct account *all = account->parent;
	return all && all->used > all->limit && all->limit > 0 && account->used >= ACCOUNT_SMALL &&
	       account->used > account_share(all);
}

/*
 * May the account hold for long what it holds now? Only as much as is left free for the others: one account gets half of
 * the limit at most, two a third each.
 */
static inline bool account_may_keep(const struct account *account)
{
	const struct account *all = account->parent ? account->parent : account;
	return all->limit == 0 || (all->used <= all->limit && account->used <= all->limit - all->used);
}

#endif
