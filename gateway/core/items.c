/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/core/items.h"

#include <errno.h>
#include <stdlib.h>

static int make_room(struct items *items)
{
	if (items->start + items->count < items->room)
		return 0;
	if (items->start > items->room / 2) {
		memmove(items->item, items->item + items->start, items->count * sizeof *items->item);
		items->start = 0;
		return 0;
	}
	const uint32_t room = 2 * items->room + 16;
	struct item *item = room < UINT32_MAX / 4 ? realloc(items->item, room * sizeof *item) : NULL;
	if (!item)
		return -ENOMEM;
	account_charge(items->account, (room - items->room) * sizeof *item);
	items->item = item;
	items->room = room;
	return 0;
}

int items_push(struct items *items, const struct item *item)
{
	if (make_room(items) < 0)
		return -ENOMEM;
	items->item[items->start + items->count++] = *item;
	if (item->owned)
		account_charge(items->account, item->value.size);
	return 0;
}

struct item *items_at(const struct items *items, uint64_t number)
{
	const uint64_t place = number - items->base;
	return number >= items->base && place < items->count ? &items->item[items->start + place] : NULL;
}

struct item items_pop(struct items *items)
{
	const struct item item = items->item[items->start];

	items->start++;
	items->count--;
	items->base++;
	if (item.owned)
		account_credit(items->account, item.value.size);
	return item;
}

void item_free(struct items *items, struct item *item)
{
	if (!item->owned)
		return;
	account_credit(items->account, item->value.size);
	free((void *)(uintptr_t)item->value.bytes);
	item->owned = false;
	item->value = (struct span){0};
}

void items_close(struct items *items)
{
	for (; items->count > 0; items->start++, items->count--)
		item_free(items, &items->item[items->start]);
	account_credit(items->account, items->room * sizeof *items->item);
	free(items->item);
	items->item = NULL;
	items->room = 0;
}
