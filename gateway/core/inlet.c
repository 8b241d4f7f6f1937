/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/core/inlet.h"

#include <errno.h>
#include <string.h>

enum { PART_MIN = 4096 };

void inlet_open(struct inlet *inlet, const struct inlet_ops *ops, struct account *account, uint64_t largest)
{
	*inlet = (struct inlet){.ops = ops, .account = account, .largest = largest, .turns = inlet->turns + 1};
	scan_begin(&inlet->scan, largest);
}

void inlet_close(struct inlet *inlet)
{
	inlet->turns++;
	inlet->part = block_unref(inlet->part);
	inlet->part_size = 0;
}

static int make_room(struct inlet *inlet, size_t size)
{
	const size_t room = size < PART_MIN ? PART_MIN : 2 * size;

	if (inlet->part && inlet->part->capacity >= size)
		return 0;
	if (inlet->part && inlet->part->mapped)
		return block_grow(inlet->part, room);
	struct block *larger = block_new(inlet->account, room);
	if (!larger)
		return -ENOMEM;
	if (inlet->part_size)
		memcpy(larger->bytes, inlet->part->bytes, inlet->part_size);
	block_unref(inlet->part);
	inlet->part = larger;
	return 0;
}

/* What is allocated follows what has come. */
static int add_part(struct inlet *inlet, struct span bytes)
{
	if (make_room(inlet, inlet->part_size + bytes.size) < 0)
		return -ENOMEM;
	memcpy(inlet->part->bytes + inlet->part_size, bytes.bytes, bytes.size);
	inlet->part_size += bytes.size;
	return 0;
}

/* The message that begins so will not be handed on. 0 or -EMSGSIZE. */
static int look_at_size(struct inlet *inlet, struct span beginning)
{
	const bool fits = !inlet->scan.over && !(inlet->scan.deep && inlet->ops->large);

	if (fits || inlet->passes)
		return 0;
	if (!inlet->ops->large)
		return -EMSGSIZE;
	inlet->passes = true;
	inlet->ops->large(inlet, beginning);
	return 0;
}

/* Hands on the message at the front of `bytes`. How many bytes are done with; 0: there is no whole one; or negative. */
static int64_t take_one(struct inlet *inlet, struct span bytes, struct block *block)
{
	const unsigned turn = inlet->turns;
	int r = scan_run(&inlet->scan, bytes.bytes, bytes.size);

	if (r < 0 || look_at_size(inlet, bytes) < 0)
		return r < 0 ? r : -EMSGSIZE;
	if (r == 0 && !inlet->passes)
		return 0;
	const size_t done = inlet->scan.pos < bytes.size ? (size_t)inlet->scan.pos : bytes.size;
	if (r == 0) {
		scan_forget(&inlet->scan, done);
		return (int64_t)done;
	}
	r = inlet->passes ? 0 : inlet->ops->message(inlet, (struct span){.bytes = bytes.bytes, .size = done}, block);
	if (inlet->turns == turn) {
		inlet->passes = false;
		scan_begin(&inlet->scan, inlet->largest);
	}
	return r < 0 ? r : (int64_t)done;
}

/* All whole messages at the front of `bytes`, which becomes what is left. `block` holds the bytes; only the first message is told
 * so, else a small one behind it would keep all of a large block. */
static int take_whole(struct inlet *inlet, struct span *bytes, struct block *block)
{
	const unsigned turn = inlet->turns;
	int64_t done = 1;

	while (bytes->size > 0 && inlet->turns == turn && (done = take_one(inlet, *bytes, block)) > 0) {
		bytes->bytes += done;
		bytes->size -= (size_t)done;
		block = NULL;
	}
	return done < 0 ? (int)done : 0;
}

int inlet_take(struct inlet *inlet, struct span bytes)
{
	const unsigned turn = inlet->turns;
	struct block *held = NULL;

	if (inlet->part) {
		if (add_part(inlet, bytes) < 0)
			return -ENOMEM;
		held = inlet->part;
		bytes = (struct span){.bytes = held->bytes, .size = inlet->part_size};
		inlet->part = NULL;
		inlet->part_size = 0;
	}
	int r = take_whole(inlet, &bytes, held);
	if (r == 0 && inlet->turns == turn && bytes.size > 0) {
		if (held && bytes.bytes == held->bytes) { /* it is not whole yet */
			inlet->part = held;
			inlet->part_size = bytes.size;
			return 0;
		}
		r = add_part(inlet, bytes);
	}
	block_unref(held);
	return r;
}
