/* SPDX-License-Identifier: Apache-2.0 */
#include "client/c/result.h"

#include "client/c/failure.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* ---- memory ---------------------------------------------------------------------------------------------------------- */

struct allocated {
	struct result_memory memory; /* must be first */
	void *attached;              /* or NULL */
	unsigned char bytes[];
};

static void allocated_drop(struct result_memory *memory)
{
	struct allocated *allocated = (struct allocated *)memory;

	free(allocated->attached);
	free(allocated);
}

struct result_memory *result_memory_new(size_t size, unsigned char **bytes)
{
	struct allocated *allocated = malloc(sizeof *allocated + size);

	if (!allocated)
		return NULL;
	*allocated = (struct allocated){.memory = {allocated_drop}};
	*bytes = allocated->bytes;
	return &allocated->memory;
}

void result_memory_attach(struct result_memory *memory, void *attached)
{
	((struct allocated *)memory)->attached = attached;
}

/* ---- results --------------------------------------------------------------------------------------------------------- */

void objpool_result_free(struct objpool_result *result)
{
	if (!result->owned)
		return;
	if (result->error)
		(void)failure_unref(result->error);
	else
		(void)result_memory_drop(result->owned);
	*result = (struct objpool_result){{NULL, 0}, NULL, NULL};
}

int objpool_result_copy(struct objpool_result *copy, const struct objpool_result *result)
{
	*copy = (struct objpool_result){{NULL, 0}, NULL, NULL};
	if (result->error) {
		copy->error = failure_ref(result->error);
		copy->owned = (void *)(uintptr_t)copy->error;
		return 0;
	}
	unsigned char *bytes;
	copy->owned = result_memory_new(result->value.size, &bytes);
	if (!copy->owned)
		return -ENOMEM;
	if (result->value.size > 0) /* at the end of a stream there is none */
		memcpy(bytes, result->value.data, result->value.size);
	copy->value = (struct objpool_bytes){bytes, result->value.size};
	return 0;
}
