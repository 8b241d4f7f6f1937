/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/supervisor/transport/intake.h"

#include <errno.h>
#include <string.h>

enum { OWN_FIRST = 4 << 10 };

void intake_init(struct intake *intake, uint64_t limit, struct account *account)
{
	*intake = (struct intake){.limit = limit, .account = account};
	scan_begin(&intake->scan, limit);
}

void intake_use_payloads(struct intake *intake, struct payload_pool *payloads, uint64_t least)
{
	intake->payloads = least > 0 ? payloads : NULL;
	intake->payload_min = least;
}

void intake_expect_files(struct intake *intake, void (*discard)(struct account *account, int fd))
{
	intake->passing = true;
	intake->arrivals.refusing = true;
	intake->arrivals.discard = discard;
	intake->arrivals.account = intake->account;
}

void intake_pass(struct intake *intake)
{
	intake->arrivals.refusing = false;
}

void intake_free(struct intake *intake)
{
	intake->own = block_unref(intake->own);
	intake->whole = block_unref(intake->whole);
	arrivals_clear(&intake->arrivals);
}

/* Charges what the intake keeps. The unfilled rest of a payload is address space only, and not charged. */
static void count(struct intake *intake)
{
	struct block *own = intake->own;

	if (own->fd >= 0)
		payload_filled(own, intake->end);
	else if (own->mapped)
		block_charge(own, own->account, intake->end);
}

/* Copies the bytes that are not taken yet to a new block, which becomes intake->own. */
static int move_to_block(struct intake *intake, struct block *block)
{
	const struct block *from = intake->own ? intake->own : intake->scratch;
	if (!block)
		return -ENOMEM;
	memcpy(block->bytes, from->bytes + intake->begin, intake->end - intake->begin);
	intake->end -= intake->begin;
	intake->begin = 0;
	block_unref(intake->own);
	intake->own = block;
	count(intake);
	return 0;
}

static int move_to(struct intake *intake, size_t capacity)
{
	return move_to_block(intake, block_new(intake->account, capacity));
}

/* ---- large messages ---- */

/* The size that the unfinished message has at least, by what has come of it. */
static size_t least_size(const struct intake *intake)
{
	const struct block *in = intake->own ? intake->own : intake->scratch;
	return (size_t)scan_least(&intake->scan, in->bytes + intake->begin, intake->end - intake->begin);
}

static bool is_large(const struct intake *intake)
{
	return intake->payloads && !intake->dropping && least_size(intake) >= intake->payload_min;
}

static struct block *new_payload(const struct intake *intake, size_t capacity)
{
	struct block *block = payload_new(intake->payloads, capacity, 0);
	if (block)
		block_move(block, intake->account);
	return block;
}

/* If there is no payload (no descriptors, or no memory), the message goes on growing in an ordinary block. */
static void move_to_payload(struct intake *intake, size_t capacity)
{
	(void)move_to_block(intake, new_payload(intake, capacity));
}

static bool in_payload(const struct intake *intake)
{
	return intake->own && intake->own->fd >= 0;
}

/* Copies a large message that has come whole into a payload of its own. From there it goes to workers without a copy. */
static struct block *take_whole(struct intake *intake, struct span *message)
{
	struct block *block = intake->own;

	if (block || !intake->payloads || message->size < intake->payload_min)
		return block;
	block = intake->whole = new_payload(intake, message->size);
	if (!block)
		return NULL;
	memcpy(block->bytes, message->bytes, message->size);
	payload_filled(block, message->size);
	message->bytes = block->bytes;
	return block;
}

/* ---- reading ---- */

static int grow(struct intake *intake)
{
	const int r = block_grow(intake->own, 2 * intake->own->capacity);

	count(intake);
	return r;
}

static int make_room(struct intake *intake)
{
	struct block *own = intake->own;
	const size_t waiting = intake->end - intake->begin;

	if (own->capacity - intake->end >= own->capacity / 4)
		return 0;
	if (intake->begin == 0 && own->mapped && own->refs == 1)
		return grow(intake);
	const size_t wanted = waiting > own->capacity / 2 ? 2 * own->capacity : own->capacity;
	return move_to(intake, wanted);
}

/* How much to read of a message that lies in a payload: the bytes that certainly belong to it and have not come, or
 * INTAKE_READ_MIN. */
static size_t room_in_payload(const struct intake *intake, size_t least)
{
	const size_t certain = least > intake->end ? least - intake->end : 0, room = intake->own->capacity - intake->end;

	if (certain == 0 || certain >= INTAKE_READ_MIN || scan_end_is_known(&intake->scan))
		return certain;
	return room < INTAKE_READ_MIN ? room : INTAKE_READ_MIN;
}

/* How many bytes to read into intake->own, after making room for them. */
static ssize_t room_for_more(struct intake *intake)
{
	const size_t least = least_size(intake);

	if (is_large(intake) && (!in_payload(intake) || least > intake->own->capacity))
		move_to_payload(intake, least);
	if (in_payload(intake) && !intake->dropping && least <= intake->own->capacity)
		return (ssize_t)room_in_payload(intake, least);
	if (in_payload(intake) && move_to(intake, intake->end - intake->begin + OWN_FIRST) < 0)
		return -ENOMEM;
	return make_room(intake) < 0 ? -ENOMEM : (ssize_t)(intake->own->capacity - intake->end);
}

static ssize_t read_some(struct intake *intake, struct transport *transport, uint8_t *bytes, size_t size)
{
	const uint64_t before = intake->arrivals.read;
	const ssize_t n = transport_read(transport, bytes, size, intake->passing ? &intake->arrivals : NULL);

	if (n != -EPROTO)
		return n;
	intake->lost = true;
	return (ssize_t)(intake->arrivals.read - before);
}

ssize_t intake_read(struct intake *intake, struct transport *transport, struct block *scratch)
{
	if (!intake->own) {
		intake->scratch = scratch;
		intake->begin = intake->end = 0;
		const ssize_t n = read_some(intake, transport, scratch->bytes, scratch->capacity);
		if (n > 0)
			intake->end = (size_t)n;
		return n;
	}
	const ssize_t size = room_for_more(intake);
	if (size < 0)
		return size;
	if (size == 0)
		return 1; /* a whole message waits to be taken */
	const ssize_t n = read_some(intake, transport, intake->own->bytes + intake->end, (size_t)size);
	if (n > 0) {
		intake->end += (size_t)n;
		count(intake);
	}
	return n;
}

/* Drops the bytes of a message over the limit that have been scanned. */
static void drop(struct intake *intake)
{
	size_t n = intake->end - intake->begin;
	if (n > intake->scan.pos)
		n = (size_t)intake->scan.pos;
	intake->begin += n;
	scan_forget(&intake->scan, n);
}

/* The message that ends at intake->begin lies in a payload: moves the bytes that came after it to another block. */
static int leave_alone(struct intake *intake)
{
	const size_t waiting = intake->end - intake->begin;
	struct block *rest = block_new(intake->account, waiting + OWN_FIRST);

	if (!rest)
		return -ENOMEM;
	memcpy(rest->bytes, intake->own->bytes + intake->begin, waiting);
	intake->whole = intake->own;
	intake->own = rest;
	intake->begin = 0;
	intake->end = waiting;
	return 0;
}

int intake_next(struct intake *intake, struct span *message, struct block **block)
{
	intake->whole = block_unref(intake->whole);
	for (;;) {
		const struct block *in = intake->own ? intake->own : intake->scratch;
		if (!intake_has(intake) && !intake->dropping)
			return 0;
		const uint8_t *from = in->bytes + intake->begin;
		const size_t size = intake->end - intake->begin;
		const int r = scan_run(&intake->scan, from, size);
		if (r < 0)
			return r;
		*message = (struct span){.bytes = from, .size = r > 0 ? (size_t)intake->scan.pos : size};
		if ((intake->scan.over || (intake->given_up && r == 0)) && !intake->dropping) {
			intake->dropping = true;
			intake->given_up = false;
			*block = NULL;
			return intake->scan.over ? -EMSGSIZE : -ENOBUFS; /* the bytes are still there: the next call drops them */
		}
		if (intake->dropping)
			drop(intake);
		if (r == 0)
			return 0;
		intake->given_up = false;
		intake->deep = intake->scan.deep;
		intake->deepest = intake->scan.deepest;
		intake->refs = intake->scan.refs;
		intake->begins = intake->arrivals.read - size;
		scan_begin(&intake->scan, intake->limit);
		if (intake->dropping) {
			intake->dropping = false;
			continue;
		}
		intake->begin += message->size;
		if (in_payload(intake) && intake_has(intake) && leave_alone(intake) < 0)
			return -ENOMEM;
		*block = intake->whole ? intake->whole : take_whole(intake, message);
		return 1;
	}
}

struct span intake_waiting(const struct intake *intake)
{
	const struct block *in = intake->own ? intake->own : intake->scratch;

	if (!intake_has(intake) || intake->dropping || intake->scan.pos > 0 || in_payload(intake))
		return (struct span){0};
	return (struct span){.bytes = in->bytes + intake->begin, .size = intake->end - intake->begin};
}

void intake_pass_over(struct intake *intake, size_t size)
{
	intake->begin += size;
}

bool intake_give_up(struct intake *intake)
{
	intake->given_up = intake->own && intake_has(intake) && !intake->dropping;
	return intake->given_up;
}

int intake_keep(struct intake *intake)
{
	const size_t waiting = intake->end - intake->begin;

	intake->whole = block_unref(intake->whole);
	if (waiting > 0 && !intake->own && is_large(intake))
		move_to_payload(intake, least_size(intake));
	if (waiting == 0) {
		intake->own = block_unref(intake->own);
		intake->begin = intake->end = 0;
	} else if (!intake->own && move_to(intake, waiting + OWN_FIRST) < 0) {
		return -ENOMEM;
	}
	intake->scratch = NULL;
	return 0;
}
