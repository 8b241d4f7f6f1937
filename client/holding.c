/* SPDX-License-Identifier: Apache-2.0 */
#include "client/holding.h"

#include <stdlib.h>

struct taken {
	struct holding holding; /* first */
	void *memory; /* or NULL */
	unsigned char bytes[];
};

static void drop_taken(struct holding *holding)
{
	struct taken *taken = (struct taken *)holding;

	free(taken->memory);
	free(taken);
}

struct holding *holding_new(size_t size, unsigned char **bytes)
{
	struct taken *taken = malloc(sizeof *taken + size);

	if (!taken)
		return NULL;
	*taken = (struct taken){.holding = {drop_taken}};
	*bytes = taken->bytes;
	return &taken->holding;
}

void holding_keep(struct holding *holding, void *memory)
{
	((struct taken *)holding)->memory = memory;
}
