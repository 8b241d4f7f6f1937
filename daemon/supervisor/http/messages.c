/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/supervisor/http/messages.h"

#include <errno.h>
#include <stdlib.h>

enum { PIECE = 4096 /* bytes are taken in pieces of this size, or of what the message needs at least */ };

static void forget_given(struct messages *messages)
{
	messages->begin += messages->given;
	messages->given = 0;
	if (messages->begin == messages->have)
		messages->begin = messages->have = 0;
}

/* 1: there is a whole message; 0: more bytes are needed; or an error. */
static int scan(struct messages *messages)
{
	const size_t have = messages->have - messages->begin;

	if (!messages->scanning)
		scan_begin(&messages->scan, messages->limit);
	messages->scanning = true;
	const int r = have > 0 ? scan_run(&messages->scan, messages->bytes + messages->begin, have) : 0;
	if (r == 0 && messages->scan.over)
		return -EMSGSIZE;
	if (r != 0)
		messages->scanning = false;
	return r;
}

static int make_room(struct messages *messages, size_t size)
{
	size_t room = messages->room ? messages->room : PIECE;

	if (messages->begin > 0)
		memmove(messages->bytes, messages->bytes + messages->begin, messages->have - messages->begin);
	messages->have -= messages->begin;
	messages->begin = 0;
	while (room < messages->have + size)
		room *= 2;
	if (room == messages->room)
		return 0;
	uint8_t *bytes = realloc(messages->bytes, room);
	if (!bytes)
		return -ENOMEM;
	account_charge(messages->account, room - messages->room);
	messages->bytes = bytes;
	messages->room = room;
	return 0;
}

/* Takes some bytes more: of the first piece of the queue, which is not empty. */
static int fill(struct messages *messages, struct sendq *from)
{
	const size_t have = messages->have - messages->begin;
	const uint64_t least = have > 0 ? scan_least(&messages->scan, messages->bytes + messages->begin, have) - have : 0;
	struct iovec piece;

	if (sendq_iov(from, &piece, 1) < 1)
		return -EBADMSG;
	const size_t wanted = least > PIECE ? (size_t)least : PIECE;
	const size_t size = piece.iov_len < wanted ? piece.iov_len : wanted;
	if (messages->room - messages->have < size && make_room(messages, size) < 0)
		return -ENOMEM;
	memcpy(messages->bytes + messages->have, piece.iov_base, size);
	messages->have += size;
	sendq_sent(from, size);
	return 0;
}

int messages_next(struct messages *messages, struct sendq *from, struct span *message)
{
	int r;

	forget_given(messages);
	while ((r = scan(messages)) == 0 && from->bytes > 0)
		if (fill(messages, from) < 0)
			return -ENOMEM;
	if (r > 0) {
		messages->given = (size_t)messages->scan.pos;
		*message = (struct span){.bytes = messages->bytes + messages->begin, .size = messages->given};
	}
	return r;
}

void messages_free(struct messages *messages)
{
	account_credit(messages->account, messages->room);
	free(messages->bytes);
	*messages = (struct messages){0};
}
