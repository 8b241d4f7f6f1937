/* SPDX-License-Identifier: Apache-2.0 */
/*
 * method_error: why a method failed: code, message, type, traceback, data, and whether the method ran. The plugin or the worker
 * sets it. It owns copies of its texts. If there is no memory for a copy, the whole error becomes "out of memory".
 */
#ifndef WORKER_METHOD_ERROR_H
#define WORKER_METHOD_ERROR_H

#include <objpool/plugin.h>

#include <stdarg.h>

enum { METHOD_ERROR_SHORT = 64 };

/* `code` is NULL when there is no error. `code` and `ran` are not owned: they are string literals. */
struct method_error {
	const char *code;
	const char *ran;
	char *message, *type, *traceback;
	void *data;
	size_t data_size;
	bool no_memory; /* there was no memory to keep all of the error, so all of it is dropped */
};

/* Sets the error, with the formatted text as its message. Forgets the error before it. `ran` is "no" or "yes". */
__attribute__((format(printf, 4, 5)))
void method_error_set(struct method_error *error, const char *code, const char *ran, const char *format, ...);
__attribute__((format(printf, 4, 0)))
void method_error_vset(struct method_error *error, const char *code, const char *ran, const char *format, va_list list);

/* Sets the error to a copy of what a plugin passed to objpool_fail. A code that plugins may not give becomes FAILED. */
void method_error_keep(struct method_error *error, const struct objpool_failure *said);

void method_error_forget(struct method_error *error);

/* The error's message, for people. */
const char *method_error_message(const struct method_error *error);

/* Writes the error as in proto/channel.h. method_error_pack_short writes only that memory was short, in at most
 * METHOD_ERROR_SHORT bytes. */
void method_error_pack(const struct method_error *error, msgpack_packer *packer);
void method_error_pack_short(const struct method_error *error, msgpack_packer *packer);

#endif
