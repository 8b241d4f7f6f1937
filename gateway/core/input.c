/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/core/input.h"

#include "gateway/core/flat.h"

#include <errno.h>
#include <stdlib.h>

enum { WINDOW_MIN = 16 };

int input_open(struct input *input, struct account *account, const struct ask *ask, struct block *block, struct error *error)
{
	*input = (struct input){.account = account,
				.waiting.account = account,
				.is_fed = ask->stream && !ask->args.size && ask->rpc.type == RPC_REQUEST,
				.window = ask->window ? ask->window : WINDOW_MIN,
				.window_is_fixed = ask->window > 0};
	input->is_over = !input->is_fed;
	if (input->is_fed && (ask->given & OPTION_KWARGS)) {
		error_say(error, ERROR_BAD_REQUEST, RAN_NO,
			  "a map that is fed takes bind_kwargs, not kwargs: its items come one by one");
		return -EINVAL;
	}
	if (input->is_fed) {
		input->args_as = ask->args_as == ASK_ZIP ? ASK_SINGLE : ask->args_as;
		return 0;
	}
	if (slices_open(&input->slices, ask, error) < 0)
		return -EINVAL;
	input->args_as = slices_args_as(&input->slices);
	input->block = block_ref(block);
	return 0;
}

void input_close(struct input *input)
{
	items_close(&input->waiting);
	slices_close(&input->slices);
	input->block = block_unref(input->block);
}

/* ---- items to the hosts ---- */

/* No value is longer than a message, which fits into 32 bits. */
static struct item new_item(struct input *input, struct span value, struct block *block)
{
	return (struct item){
		.index = input->next++, .bytes = value.bytes, .size = (uint32_t)value.size, .block = block_ref(block)};
}

/* Items that lie in the request as they are. */
static void hand_given(struct input *input, struct items *to, uint32_t count)
{
	for (; count > 0; count--) {
		items_add(to, new_item(input, slices_take(&input->slices), input->block));
	}
}

/* Items that are made of several arguments. They lie together in a block of their own. */
static int hand_made(struct input *input, struct items *to, uint32_t count)
{
	struct sendq made = {0};
	const uint64_t first = to->base + to->count;

	for (uint32_t i = 0; i < count; i++) {
		const size_t before = made.bytes;
		slices_put(&input->slices, &made);
		items_add(to, (struct item){.index = input->next++, .size = (uint32_t)(made.bytes - before)});
	}
	struct block *block = made.failed ? NULL : block_new(input->account, made.bytes);
	if (!block) {
		to->count -= count;
		sendq_clear(&made);
		return -ENOMEM;
	}
	uint8_t *end = block->bytes;
	for (struct iovec iov[1]; sendq_iov(&made, iov, 1) == 1; sendq_sent(&made, iov[0].iov_len)) {
		memcpy(end, iov[0].iov_base, iov[0].iov_len);
		end += iov[0].iov_len;
	}
	const uint8_t *at = block->bytes;
	for (uint32_t i = 0; i < count; i++) {
		struct item *item = items_at(to, first + i);
		item->bytes = at;
		item->block = block_ref(block);
		at += item->size;
	}
	block_unref(block);
	return 0;
}

int input_hand(struct input *input, struct items *to, uint32_t count)
{
	if (items_reserve(to, count) < 0)
		return -ENOMEM;
	for (; count > 0 && input->waiting.count > 0; count--)
		items_add(to, items_pop(&input->waiting));
	if (count > 0 && !slices_are_whole(&input->slices))
		return hand_made(input, to, count);
	hand_given(input, to, count);
	return 0;
}

int input_give_back(struct input *input, struct item item)
{
	return items_push(&input->waiting, item);
}

/* ---- items from the client ---- */

/* The block that holds them for as long as they wait. A few bytes do not keep a large block. */
static struct block *keep(struct input *input, struct span *items, struct block *block)
{
	if (block && items->size >= SENDQ_SHARE)
		return block_ref(block);
	struct block *copy = block_new(input->account, items->size);
	if (!copy)
		return NULL;
	memcpy(copy->bytes, items->bytes, items->size);
	items->bytes = copy->bytes;
	return copy;
}

static int add_fed(struct input *input, struct reader *reader, uint32_t count, struct block *block)
{
	struct span value;

	if (items_reserve(&input->waiting, count) < 0)
		return -ENOMEM;
	for (; count > 0 && read_value(reader, &value) == 0; count--)
		items_add(&input->waiting, new_item(input, value, block));
	return 0;
}

int input_feed(struct input *input, struct span items, struct block *block, struct error *error)
{
	struct reader reader = reader_of(items);
	uint32_t count;

	if (read_array(&reader, &count) < 0 || count == 0)
		return 0;
	if (count > input->granted - input->next) {
		error_say(error, ERROR_OVERLOADED, RAN_MAYBE, "%u items were fed, and there was credit for %llu", count,
			  (unsigned long long)(input->granted - input->next));
		return -EINVAL;
	}
	items = reader_rest(&reader);
	block = keep(input, &items, block);
	reader = reader_of(items);
	const int r = block ? add_fed(input, &reader, count, block) : -ENOMEM;
	block_unref(block);
	if (r < 0)
		error_no_memory(error, RAN_MAYBE);
	return r;
}

void input_grant(struct input *input, struct call *call, uint64_t left)
{
	if (!input->is_fed || input->is_over || call->session->full || call->over)
		return;
	const uint64_t limit = left + input->window, more = limit > input->granted ? limit - input->granted : 0;
	if (more == 0 || (more < input->window / 8 && input->granted > 0))
		return;
	struct sendq *to = call_notice_begin(call, "credit", 1);
	if (!to)
		return;
	input->granted = limit;
	put_uint(to, more);
	session_end(call->session);
}

void input_widen(struct input *input, uint64_t window)
{
	if (!input->window_is_fixed && window > input->window)
		input->window = window;
}
