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

void account_free(struct account *account)
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
