/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/core/base/error.h"

#include "proto/pack.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

static const char *const code_names[ERROR_CODES] = {
	[ERROR_BAD_REQUEST] = "BAD_REQUEST",
	[ERROR_BAD_TARGET] = "BAD_TARGET",
	[ERROR_NO_SUCH_POOL] = "NO_SUCH_POOL",
	[ERROR_NO_SUCH_SLOT] = "NO_SUCH_SLOT",
	[ERROR_NO_SUCH_METHOD] = "NO_SUCH_METHOD",
	[ERROR_BAD_ARGUMENT] = "BAD_ARGUMENT",
	[ERROR_DENIED] = "DENIED",
	[ERROR_FAILED] = "FAILED",
	[ERROR_WORKER_LOST] = "WORKER_LOST",
	[ERROR_TIMEOUT] = "TIMEOUT",
	[ERROR_CANCELLED] = "CANCELLED",
	[ERROR_OVERLOADED] = "OVERLOADED",
	[ERROR_TOO_LARGE] = "TOO_LARGE",
	[ERROR_UNAVAILABLE] = "UNAVAILABLE",
	[ERROR_HOST_LOST] = "HOST_LOST",
	[ERROR_UNREACHABLE] = "UNREACHABLE",
	[ERROR_INTERNAL] = "INTERNAL",
};
static const char *const ran_names[] = {[RAN_NO] = "no", [RAN_MAYBE] = "maybe", [RAN_YES] = "yes"};

const char *error_code_name(enum error_code code)
{
	return code_names[code];
}

static void set_empty(struct error *error)
{
	*error = (struct error){.slot = -1, .index = -1, .exit_status = -1};
}

/* How many bytes the UTF-8 character at the front has. 0: there is none (RFC 3629). */
static size_t character(const unsigned char *p, size_t left)
{
	const size_t size = *p < 0x80                 ? 1
			    : *p >= 0xc2 && *p < 0xe0 ? 2
			    : (*p & 0xf0) == 0xe0     ? 3
			    : *p >= 0xf0 && *p < 0xf5 ? 4
						      : 0;

	if (size == 0 || size > left)
		return 0;
	for (size_t i = 1; i < size; i++)
		if ((p[i] & 0xc0) != 0x80)
			return 0;
	const bool overlong = (*p == 0xe0 && p[1] < 0xa0) || (*p == 0xf0 && p[1] < 0x90);
	const bool beyond = (*p == 0xed && p[1] >= 0xa0) || (*p == 0xf4 && p[1] >= 0x90);
	return overlong || beyond ? 0 : size;
}

void error_make_utf8(char *text, size_t size)
{
	for (size_t i = 0, n; i < size; i += n ? n : 1)
		if ((n = character((const unsigned char *)text + i, size - i)) == 0)
			text[i] = '?';
}

const char *error_shown(struct span text, char room[ERROR_SHOWN])
{
	const bool whole = text.size <= ERROR_SHOWN - 4;
	size_t n = whole ? text.size : ERROR_SHOWN - 4;

	while (!whole && n > 0 && (text.bytes[n] & 0xc0) == 0x80) /* don't cut through a character */
		n--;
	for (size_t i = 0; i < n; i++)
		room[i] = text.bytes[i] >= 0x20 && text.bytes[i] != 0x7f ? (char)text.bytes[i] : '?';
	error_make_utf8(room, n);
	strcpy(room + n, whole ? "" : "...");
	return room;
}

void error_say(struct error *error, enum error_code code, enum ran ran, const char *format, ...)
{
	va_list list;

	set_empty(error);
	error->code = code;
	error->ran = ran;
	va_start(list, format);
	int n = vsnprintf(error->text, sizeof error->text, format, list);
	va_end(list);
	if (n < 0)
		n = 0;
	if ((size_t)n >= sizeof error->text) {
		n = (int)sizeof error->text - 1;
		while (n > 0 && ((unsigned char)error->text[n] & 0xc0) == 0x80) /* don't cut through a character */
			n--;
	}
	error_make_utf8(error->text, (size_t)n);
	error->message = (struct span){.bytes = (const uint8_t *)error->text, .size = (size_t)n};
}

void error_no_memory(struct error *error, enum ran ran)
{
	error_say(error, ERROR_OVERLOADED, ran, "%s", NO_MEMORY);
}

void error_copy(struct error *to, const struct error *from)
{
	*to = *from;
	if (from->message.bytes == (const uint8_t *)from->text)
		to->message.bytes = (const uint8_t *)to->text;
}

static int code_of(struct span name, enum error_code *code)
{
	for (int i = 0; i < ERROR_CODES; i++)
		if (span_is(name, code_names[i])) {
			*code = (enum error_code)i;
			return 0;
		}
	return -EINVAL;
}

/* Reads a text, or nil as an empty text. */
static int read_optional(struct reader *reader, struct span *text)
{
	*text = (struct span){0};
	return read_nil(reader) == 0 ? 0 : read_text(reader, text);
}

int error_read(struct error *error, struct span value)
{
	struct reader reader = reader_of(value);
	struct span code, ran;
	uint32_t count;

	set_empty(error);
	if (read_array(&reader, &count) < 0 || count != 6 || read_text(&reader, &code) < 0 || code_of(code, &error->code) < 0 ||
	    read_text(&reader, &error->message) < 0 || read_optional(&reader, &error->type) < 0 ||
	    read_optional(&reader, &error->traceback) < 0)
		return -EINVAL;
	if (read_nil(&reader) < 0 && read_value(&reader, &error->data) < 0)
		return -EINVAL;
	if (read_text(&reader, &ran) < 0)
		return -EINVAL;
	error->ran = span_is(ran, "no") ? RAN_NO : RAN_YES;
	return 0;
}

static void put_head(struct sendq *to, uint8_t *(*head)(uint8_t *, uint32_t), uint32_t n)
{
	uint8_t *p = sendq_reserve(to, PACK_HEAD);
	if (p)
		sendq_commit(to, (size_t)(head(p, n) - p));
}

static void put_text(struct sendq *to, const void *text, size_t size)
{
	put_head(to, pack_str_head, (uint32_t)size);
	sendq_copy(to, text, size);
}

static void put_key(struct sendq *to, const char *key)
{
	put_text(to, key, strlen(key));
}

static void put_int(struct sendq *to, const char *key, int64_t value)
{
	put_key(to, key);
	uint8_t *p = sendq_reserve(to, PACK_UINT);
	if (p)
		sendq_commit(to, (size_t)(pack_int(p, value) - p));
}

static void put_span(struct sendq *to, const char *key, struct span text)
{
	put_key(to, key);
	put_text(to, text.bytes, text.size);
}

/* NULL: there is none. */
static void put_name(struct sendq *to, const char *key, const char *name)
{
	if (!name)
		return;
	put_key(to, key);
	put_text(to, name, strlen(name));
}

static struct span message_of(const struct error *error)
{
	static const char none[] = "(no message)";
	if (error->message.size > 0)
		return error->message;
	return (struct span){.bytes = (const uint8_t *)none, .size = sizeof none - 1};
}

static void pack_string(const struct error *error, struct sendq *to)
{
	const char *code = code_names[error->code];
	const size_t n = strlen(code);
	const struct span message = message_of(error);

	put_head(to, pack_str_head, (uint32_t)(n + 2 + message.size));
	sendq_copy(to, code, n);
	sendq_copy(to, ": ", 2);
	sendq_copy(to, message.bytes, message.size);
}

static uint32_t count_fields(const struct error *error)
{
	return 3u + (error->type.size > 0) + (error->traceback.size > 0) + (error->data.size > 0) + (error->pool != NULL) +
	       (error->host != NULL) + (error->slot >= 0) + (error->generation > 0) + (error->index >= 0) + (error->signal > 0) +
	       (error->exit_status >= 0) + (error->user != NULL) + (error->right != NULL) + (error->retry_after > 0);
}

static void pack_as_map(const struct error *error, uint32_t more, struct sendq *to)
{
	const char *code = code_names[error->code], *ran = ran_names[error->ran];

	put_head(to, pack_map, count_fields(error) + more);
	put_key(to, "code");
	put_text(to, code, strlen(code));
	put_span(to, "message", message_of(error));
	put_key(to, "ran");
	put_text(to, ran, strlen(ran));
	if (error->type.size > 0)
		put_span(to, "type", error->type);
	if (error->traceback.size > 0)
		put_span(to, "traceback", error->traceback);
	put_name(to, "pool", error->pool);
	put_name(to, "host", error->host);
	put_name(to, "user", error->user);
	put_name(to, "right", error->right);
	if (error->slot >= 0)
		put_int(to, "slot", error->slot);
	if (error->generation > 0)
		put_int(to, "generation", (int64_t)error->generation);
	if (error->index >= 0)
		put_int(to, "index", error->index);
	if (error->signal > 0)
		put_int(to, "signal", error->signal);
	if (error->exit_status >= 0)
		put_int(to, "exit_status", error->exit_status);
	if (error->retry_after > 0)
		put_int(to, "retry_after_ms", (int64_t)error->retry_after);
	if (error->data.size > 0) {
		put_key(to, "data");
		sendq_copy(to, error->data.bytes, error->data.size);
	}
}

static void pack_pair(const struct error *error, struct sendq *to)
{
	put_head(to, pack_array, 2);
	sendq_copy(to, "\0", 1); /* the number 0 */
	pack_string(error, to);
}

bool error_pack_open(const struct error *error, enum error_form form, uint32_t more, struct sendq *to)
{
	switch (form) {
	case ERRORS_AS_MAP:
		pack_as_map(error, more, to);
		return true;
	case ERRORS_AS_PAIR:
		pack_pair(error, to);
		return false;
	case ERRORS_AS_STRING:
	case ERROR_FORMS:
		break;
	}
	pack_string(error, to);
	return false;
}

void error_pack(const struct error *error, enum error_form form, struct sendq *to)
{
	(void)error_pack_open(error, form, 0, to);
}
