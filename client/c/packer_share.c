/* SPDX-License-Identifier: Apache-2.0 */
/* packer_share: objpool_packer_share, which gives a packer memory that workers can map. */
#include "client/c/connection.h"
#include "client/c/shared_memory.h"

#include <errno.h>
#include <stdlib.h>

enum { PACKER_SHARE_HEADERS = 64 }; /* bytes beside those that the program asks for */

int objpool_packer_share(struct objpool_packer *packer, struct objpool_client *client, size_t size)
{
	struct shared_memory *shared = NULL;

	if (packer->data || packer->error || size == 0 || size > SIZE_MAX / 4)
		return -EINVAL;
	size += PACKER_SHARE_HEADERS;
	if (client->sent.enabled && !client->closing)
		packer->data = shared_memory_new(&client->sent.shared, size, &shared);
	packer->owned = shared;
	if (!shared)
		packer->data = malloc(size);
	packer->capacity = packer->data ? size : 0;
	return packer->data ? 0 : -ENOMEM;
}
