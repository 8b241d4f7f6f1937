/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/service/answer.h"

#include "daemon/core/base/error_status.h"
#include "gateway/core/flat.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>

enum { SPANS = 64 };

bool answer_may_go_to(const char *reply)
{
	static const char *const reserved[] = {"$", "objpool.", "_INBOX_objpool_"};

	for (size_t i = 0; i < sizeof reserved / sizeof *reserved; i++)
		if (strncmp(reply, reserved[i], strlen(reserved[i])) == 0)
			return false;
	return strpbrk(reply, " \t*>") == NULL;
}

/* The queue's bytes in one block. NULL: out of memory. */
static struct block *flat(struct sendq *queue, struct account *account, size_t *size)
{
	struct block *block = queue->failed ? NULL : block_new(account, queue->bytes + 1);
	struct iovec iov[SPANS];

	*size = 0;
	while (block && queue->bytes > 0) {
		const int count = sendq_iov(queue, iov, SPANS);
		size_t taken = 0;
		for (int i = 0; i < count; i++) {
			memcpy(block->bytes + *size + taken, iov[i].iov_base, iov[i].iov_len);
			taken += iov[i].iov_len;
		}
		*size += taken;
		sendq_sent(queue, taken);
	}
	sendq_clear(queue);
	return block;
}

/* ---- values ---- */

static int send_bytes(struct outlet *outlet, const char *reply, struct span bytes, const struct bus_header *headers,
		      unsigned count)
{
	return outlet->bus ? outlet->engine->publish_with(outlet->bus, reply, bytes, headers, count) : -ENOTCONN;
}

/* 0 or a negative errno. *size is that of the body. */
static int send_value(struct outlet *outlet, const char *reply, enum body_form form, struct span value,
		      const struct bus_header *headers, unsigned count, size_t *size)
{
	struct evbuffer *text = form == BODY_JSON ? body_text(value) : NULL;
	int r = -ENOMEM;

	*size = text ? evbuffer_get_length(text) : value.size;
	if (form == BODY_MSGPACK) {
		r = send_bytes(outlet, reply, value, headers, count);
	} else if (text) {
		const uint8_t *bytes = evbuffer_pullup(text, -1);
		r = bytes ? send_bytes(outlet, reply, (struct span){.bytes = bytes, .size = *size}, headers, count) : -ENOMEM;
	}
	if (text)
		evbuffer_free(text);
	return r;
}

int answer_value(struct outlet *outlet, const char *reply, enum body_form form, struct span value, struct error *error)
{
	size_t size;

	if (!reply)
		return 0;
	const int r = send_value(outlet, reply, form, value, NULL, 0, &size);
	if (r == -EMSGSIZE)
		error_say(error, ERROR_TOO_LARGE, RAN_YES, "the answer has %zu bytes; a message on the bus can have %zu", size,
			  outlet->engine->max_message(outlet->bus));
	if (r == -ENOMEM)
		error_say(error, ERROR_OVERLOADED, RAN_YES, "the gateway is out of memory");
	return r == -EMSGSIZE || r == -ENOMEM ? -1 : 0;
}

int answer_written(struct outlet *outlet, const char *reply, struct sendq *written, struct error *error)
{
	size_t size;
	struct block *block = flat(written, outlet->account, &size);

	if (!block) {
		error_say(error, ERROR_OVERLOADED, RAN_YES, "the gateway is out of memory");
		return -1;
	}
	const int r = answer_value(outlet, reply, BODY_JSON, (struct span){.bytes = block->bytes, .size = size}, error);
	block_unref(block);
	return r;
}

/* ---- errors ---- */

/* A header is one line. */
static void make_line(char *text)
{
	for (; *text; text++)
		if (iscntrl((unsigned char)*text))
			*text = ' ';
}

void answer_error(struct outlet *outlet, const char *reply, enum body_form form, struct span map, char text[ANSWER_TEXT])
{
	const struct span code = flat_error_text(map, "code"), message = flat_error_text(map, "message");
	char number[12];
	size_t size;

	snprintf(text, ANSWER_TEXT, "%.*s: %.*s", SPAN_TEXT(code, 40), SPAN_TEXT(message, ANSWER_TEXT));
	make_line(text);
	error_make_utf8(text, strlen(text));
	if (!reply)
		return;
	snprintf(number, sizeof number, "%d", error_status(code));
	const struct bus_header headers[] = {{"Nats-Service-Error-Code", number}, {"Nats-Service-Error", text}};
	/* What is too large is left out. */
	if (send_value(outlet, reply, form, map, headers, 2, &size) == -EMSGSIZE)
		(void)send_bytes(outlet, reply, (struct span){.bytes = (const uint8_t *)"", .size = 0}, headers, 2);
}

void answer_failure(struct outlet *outlet, const char *reply, enum body_form form, const struct error *error,
		    char text[ANSWER_TEXT])
{
	struct sendq queue = {.account = outlet->account};
	size_t size;

	error_pack(error, ERRORS_AS_MAP, &queue);
	struct block *block = flat(&queue, outlet->account, &size);
	if (block)
		answer_error(outlet, reply, form, (struct span){.bytes = block->bytes, .size = size}, text);
	else
		snprintf(text, ANSWER_TEXT, "%s", "OVERLOADED: the gateway is out of memory");
	block_unref(block);
}
