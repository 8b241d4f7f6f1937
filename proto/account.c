/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/account.h"

#include <stdlib.h>

struct account *account_new(struct account *parent)
{
	struct account *account = calloc(1, sizeof *account);

	if (!account)
		return parent;
	account->parent = parent;
	return account;
}

/* Not inlined: where the daemon's own account is charged, the compiler would warn that it is freed, which never happens. */
__attribute__((noinline)) void account_free(struct account *account)
{
	free(account);
}

void account_move(struct account *account, struct account *parent)
{
	struct account *before = account->parent;

	if (!before || before == parent)
		return;
	before->holders -= account->used >= ACCOUNT_SMALL;
	parent->holders += account->used >= ACCOUNT_SMALL;
	account->parent = parent;
	account_charge(parent, account->used); /* before it is credited: accounts above both never count less than there is */
	for (uint32_t i = 0; i < account->files; i++) {
		account_add_file(parent);
		account_remove_file(before);
	}
	account_credit(before, account->used);
}

/* How much of the limit of `over` the account may have. */
static uint64_t share(const struct account *account, const struct account *over)
{
	if (account == over)
		return over->limit;
	const uint32_t holders = account->parent->holders;
	return share(account->parent, over) / (holders > 1 ? holders : 1);
}

bool account_exceeds_share(const struct account *account, const struct account *over)
{
	for (; account != over; account = account->parent)
		if (account->used < ACCOUNT_SMALL || account->used <= share(account, over))
			return false;
	return true;
}

void account_close(struct account *account)
{
	if (!account || !account->parent)
		return;
	account->closed = true;
	account_free_if_over(account);
}
