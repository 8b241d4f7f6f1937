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

void account_close(struct account *account)
{
	if (!account || !account->parent)
		return;
	account->closed = true;
	if (account->used == 0 && account->files == 0)
		free(account);
}
