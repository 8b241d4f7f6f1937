/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Class Echo: changes text. A small example of a class with `dispatch` and `list_methods` instead of a table of methods.
 */
#include "plugins/probe/echo.h"

#include "plugins/probe/arguments.h"

#include <stdlib.h>
#include <string.h>

static int echo_create(struct objpool_call *call, const struct objpool_args *args, void **self)
{
	*self = NULL; /* it has no state */
	return args->count + args->kwcount == 0 ? 0 : objpool_bad_argument(call, "Echo takes no arguments");
}

static void upper(char *text, size_t size)
{
	for (size_t i = 0; i < size; i++)
		if (text[i] >= 'a' && text[i] <= 'z')
			text[i] = (char)(text[i] - 'a' + 'A');
}

static void lower(char *text, size_t size)
{
	for (size_t i = 0; i < size; i++)
		if (text[i] >= 'A' && text[i] <= 'Z')
			text[i] = (char)(text[i] - 'A' + 'a');
}

static void reverse_bytes(char *text, size_t size)
{
	for (size_t i = 0; i < size / 2; i++) {
		const char c = text[i];
		text[i] = text[size - 1 - i];
		text[size - 1 - i] = c;
	}
}

/* Reverses a text by characters: first all bytes, then the bytes of each character again. */
static void reverse(char *text, size_t size)
{
	reverse_bytes(text, size);
	for (size_t begin = 0, i = 0; i < size; i++)
		if (((uint8_t)text[i] & 0xc0) != 0x80) {
			reverse_bytes(text + begin, i + 1 - begin);
			begin = i + 1;
		}
}

static const struct {
	const char *name, *signature, *doc;
	void (*change)(char *text, size_t size);
} echo_methods[] = {
	{"upper", "(text: str) -> str", "The text with a-z made A-Z.", upper},
	{"lower", "(text: str) -> str", "The text with A-Z made a-z.", lower},
	{"reverse", "(text: str) -> str", "The text's characters from last to first.", reverse},
};

enum { ECHO_METHODS = sizeof echo_methods / sizeof *echo_methods };

static int echo_dispatch(void *self, struct objpool_call *call, const struct objpool_args *args, msgpack_packer *result)
{
	size_t i = 0;

	(void)self;
	while (i < ECHO_METHODS && strcmp(echo_methods[i].name, call->method) != 0)
		i++;
	if (i == ECHO_METHODS)
		return objpool_fail_code(call, "NO_SUCH_METHOD", "Echo has no method \"%.80s\"", call->method);
	if (args->count != 1 || args->kwcount != 0 || args->values[0].type != MSGPACK_OBJECT_STR)
		return objpool_bad_argument(call, "%s takes one string", call->method);
	const size_t size = args->values[0].via.str.size;
	char *text = malloc(size + 1); /* a method must not change its arguments */
	if (!text)
		return no_memory(call);
	memcpy(text, args->values[0].via.str.ptr, size);
	echo_methods[i].change(text, size);
	msgpack_pack_str(result, size);
	msgpack_pack_str_body(result, text, size);
	free(text);
	return 0;
}

static int echo_list_methods(struct objpool_call *call, msgpack_packer *result)
{
	(void)call;
	msgpack_pack_array(result, ECHO_METHODS);
	for (size_t i = 0; i < ECHO_METHODS; i++) {
		msgpack_pack_map(result, 3);
		put_text(result, "name");
		put_text(result, echo_methods[i].name);
		put_text(result, "signature");
		put_text(result, echo_methods[i].signature);
		put_text(result, "doc");
		put_text(result, echo_methods[i].doc);
	}
	return 0;
}

const struct objpool_class echo_class = {
	OBJPOOL_CLASS_HEAD,
	.flags = OBJPOOL_CLASS_THREAD_SAFE,
	.name = "Echo",
	.doc = "Changes text; an example of a class without a table of methods.",
	.signature = "()",
	.create = echo_create,
	.dispatch = echo_dispatch,
	.list_methods = echo_list_methods,
};
