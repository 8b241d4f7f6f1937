/* SPDX-License-Identifier: Apache-2.0 */
/* Methods that fail, and one that writes invalid results. */
#include "plugins/probe/arguments.h"

#include <stdlib.h>
#include <string.h>

enum { TOO_DEEP = 33 };

struct failure {
	char *message, *type, *traceback;
	const msgpack_object *data;
};

static int read_failure(struct objpool_call *call, probe_args *args, struct failure *failure)
{
	static const char *const names[] = {"message", "type", "traceback", "data", NULL};
	const msgpack_object *v[4] = {NULL};

	if (objpool_take(call, args, names, 4, v) < 0 || want_text(call, "message", v[0], &failure->message) < 0 ||
	    want_text(call, "type", v[1], &failure->type) < 0 ||
	    want_text(call, "traceback", v[2], &failure->traceback) < 0)
		return -1;
	failure->data = v[3];
	if (v[3] && v[3]->type != MSGPACK_OBJECT_BIN && v[3]->type != MSGPACK_OBJECT_STR)
		return objpool_bad_argument(call, "data must be bytes");
	return 0;
}

int probe_fail(void *self, struct objpool_call *call, probe_args *args, msgpack_packer *result)
{
	struct failure failure = {0};

	(void)result;
	probe_called(self);
	if (read_failure(call, args, &failure) == 0) {
		struct objpool_failure error = {.message = failure.message ? failure.message : "failed",
					      .type = failure.type ? failure.type : "ProbeError",
					      .traceback = failure.traceback};
		if (failure.data) { /* str and bin have one layout in msgpack-c */
			error.data = failure.data->via.bin.ptr;
			error.data_size = failure.data->via.bin.size;
		}
		objpool_fail_with(call, &error);
	}
	free(failure.message);
	free(failure.type);
	free(failure.traceback);
	return -1;
}

static void put_deep(msgpack_packer *result)
{
	for (int i = 0; i < TOO_DEEP; i++)
		msgpack_pack_array(result, 1);
	msgpack_pack_nil(result);
}

/* Writes what a method must not write: the caller gets an error, and the worker goes on. */
int probe_garbage(void *self, struct objpool_call *call, probe_args *args, msgpack_packer *result)
{
	const msgpack_object *value = NULL;
	char *kind;
	int r = 0;

	probe_called(self);
	if (take_one(call, args, "kind", &value) < 0 || want_text(call, "kind", value, &kind) < 0)
		return -1;
	if (!kind || strcmp(kind, "two") == 0)
		put_raw(result, "\x01\x02", 2);
	else if (strcmp(kind, "half") == 0)
		put_raw(result, "\x92\x01", 2);
	else if (strcmp(kind, "text") == 0)
		put_raw(result, "\xaashort", 6);
	else if (strcmp(kind, "invalid") == 0)
		put_raw(result, "\xc1", 1);
	else if (strcmp(kind, "deep") == 0)
		put_deep(result);
	else
		r = objpool_bad_argument(call, "kind must be two, half, text, invalid or deep");
	free(kind);
	return r;
}
