/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/core/records/train.h"

#include <stdlib.h>

static uint32_t size_of_all(const struct plain_request *requests, uint32_t count)
{
	uint32_t size = 0;
	for (uint32_t i = 0; i < count; i++)
		size += requests[i].size;
	return size;
}

static void seat(struct call *call, const struct plain_request *requests)
{
	struct train *train = call->train;
	uint32_t at = 0;

	for (uint32_t i = 0; i < train->count; i++) {
		struct passenger *passenger = &train->passengers[i];
		passenger->ticket.msgid = requests[i].msgid;
		passenger->ticket.client = NULL;
		passenger->call = call;
		passenger->at = at;
		passenger->size = requests[i].size;
		at += requests[i].size;
	}
}

struct call *train_new(struct client *client, const uint8_t *bytes, const struct plain_request *requests, uint32_t count)
{
	const uint32_t size = size_of_all(requests, count);
	const size_t passengers = sizeof(struct train) + count * sizeof(struct passenger);
	struct call *call = call_new_with(client, passengers + size);

	if (!call)
		return NULL;
	call->select = SELECT_ANY;
	call->train = (struct train *)(call + 1);
	call->columns = 1;
	call->size = size;
	uint8_t *copy = (uint8_t *)call->train + passengers;
	memcpy(copy, bytes, size);
	call->train->bytes = copy;
	call->train->count = count;
	seat(call, requests);
	return call;
}
