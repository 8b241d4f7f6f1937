/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/core/items.h"

#include <errno.h>
#include <stdlib.h>

int items_reserve(struct items *items, uint32_t more)
{
	const uint64_t need = (uint64_t)items->count + more;

	if (items->start + need <= items->room)
		return 0;
	if (items->start >= items->count && need <= items->room) { /* moving costs less than what was taken out */
		memcpy(items->item, items->item + items->start, items->count * sizeof *items->item);
		items->start = 0;
		return 0;
	}
	const uint64_t room = 2 * (items->start + need) + 16;
	struct item *item = room < UINT32_MAX / 2 ? realloc(items->item, room * sizeof *item) : NULL;
	if (!item)
		return -ENOMEM;
	account_charge(items->account, (room - items->room) * sizeof *item);
	items->item = item;
	items->room = (uint32_t)room;
	return 0;
}

int items_push(struct items *items, struct item item)
{
	if (items_reserve(items, 1) < 0)
		return -ENOMEM;
	items_add(items, item);
	return 0;
}

struct item items_pop(struct items *items)
{
	items->count--;
	items->base++;
	return items->item[items->start++];
}

void items_trim(struct items *items)
{
	uint32_t n = 0;

	while (n < items->count && items->item[items->start + n].answered)
		n++;
	items->start += n;
	items->count -= n;
	items->base += n;
}

void items_close(struct items *items)
{
	for (uint32_t i = 0; i < items->count; i++)
		block_unref(items->item[items->start + i].block);
	account_credit(items->account, items->room * sizeof *items->item);
	free(items->item);
	items->item = NULL;
	items->start = items->count = items->room = 0;
}
