/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/worker/method_error.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char no_memory_text[] = "out of memory in the worker";

void method_error_forget(struct method_error *error)
{
	free(error->message);
	free(error->type);
	free(error->traceback);
	free(error->data);
	*error = (struct method_error){0};
}

static char *copy_text(const char *text)
{
	return text && text[0] ? strdup(text) : NULL;
}

/* As copy_text, but sets error->no_memory if there is no memory. */
static char *keep_text(struct method_error *error, const char *text)
{
	char *copy = copy_text(text);
	error->no_memory |= text && text[0] && !copy;
	return copy;
}

static void keep_data(struct method_error *error, const void *data, size_t size)
{
	if (!data)
		return;
	error->data = malloc(size ? size : 1);
	error->no_memory |= !error->data;
	if (error->data)
		error->data_size = (size_t)((char *)mempcpy(error->data, data, size) - (char *)error->data);
}

/* A plugin may give only these codes: the others tell of the daemon. */
static const char *allowed_code(const char *code)
{
	static const char *const codes[] = {"FAILED", "BAD_ARGUMENT", "NO_SUCH_METHOD"};
	for (size_t i = 0; code && i < sizeof codes / sizeof *codes; i++)
		if (strcmp(code, codes[i]) == 0)
			return codes[i];
	return "FAILED";
}

/* A class refuses a method that it does not have before it runs anything. It may have begun whatever else it refuses. */
static const char *ran_before(const char *code)
{
	return strcmp(code, "NO_SUCH_METHOD") == 0 ? "no" : "yes";
}

void method_error_keep(struct method_error *error, const struct objpool_failure *said)
{
	method_error_forget(error);
	error->code = allowed_code(said->code);
	error->ran = ran_before(error->code);
	error->message = keep_text(error, said->message);
	error->type = keep_text(error, said->type);
	error->traceback = keep_text(error, said->traceback);
	keep_data(error, said->data, said->data_size);
}

void method_error_vset(struct method_error *error, const char *code, const char *ran, const char *format, va_list list)
{
	char text[512];

	(void)vsnprintf(text, sizeof text, format, list);
	method_error_forget(error);
	error->code = code;
	error->ran = ran;
	error->message = keep_text(error, text);
}

void method_error_set(struct method_error *error, const char *code, const char *ran, const char *format, ...)
{
	va_list list;
	va_start(list, format);
	method_error_vset(error, code, ran, format, list);
	va_end(list);
}

static void pack_text(msgpack_packer *packer, const char *text)
{
	if (!text) {
		msgpack_pack_nil(packer);
		return;
	}
	msgpack_pack_str(packer, strlen(text));
	msgpack_pack_str_body(packer, text, strlen(text));
}

const char *method_error_message(const struct method_error *error)
{
	if (error->no_memory)
		return no_memory_text;
	return error->message ? error->message : "the plugin gave an error without a message";
}

void method_error_pack_short(const struct method_error *error, msgpack_packer *packer)
{
	msgpack_pack_array(packer, 6);
	pack_text(packer, "FAILED");
	pack_text(packer, no_memory_text);
	pack_text(packer, NULL);
	pack_text(packer, NULL);
	pack_text(packer, NULL);
	pack_text(packer, error->ran ? error->ran : "yes");
}

void method_error_pack(const struct method_error *error, msgpack_packer *packer)
{
	if (error->no_memory) {
		method_error_pack_short(error, packer);
		return;
	}
	msgpack_pack_array(packer, 6);
	pack_text(packer, error->code ? error->code : "FAILED");
	pack_text(packer, method_error_message(error));
	pack_text(packer, error->type);
	pack_text(packer, error->traceback);
	if (error->data) {
		msgpack_pack_bin(packer, error->data_size);
		msgpack_pack_bin_body(packer, error->data, error->data_size);
	} else {
		msgpack_pack_nil(packer);
	}
	pack_text(packer, error->ran ? error->ran : "yes");
}
