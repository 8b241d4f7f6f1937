/* SPDX-License-Identifier: Apache-2.0 */
/*
 * arguments: from msgpack objects to what a method wants, and from what it has to msgpack. A want_… returns 0, or -1 when
 * the value is not what it should be: then the call has failed, and the caller was told what `name` must be.
 */
#ifndef PROBE_ARGUMENTS_H
#define PROBE_ARGUMENTS_H

#include "plugins/probe/probe.h"

/* Fails the call for want of memory. Returns -1. */
int no_memory(struct objpool_call *call);

/* objpool_take for the one argument of a method that has one. */
int take_one(struct objpool_call *call, probe_args *args, const char *name, const msgpack_object **value);

bool is_integer(const msgpack_object *value);
bool is_float(const msgpack_object *value);
__int128 integer_of(const msgpack_object *value);
double real_of(const msgpack_object *value);

int want_integer(struct objpool_call *call, const char *name, const msgpack_object *value, int64_t min, uint64_t max,
		 int64_t *integer);

/* 0 when there is none. */
int want_seconds(struct objpool_call *call, const msgpack_object *value, double *seconds);

/* False when there is none. */
int want_bool(struct objpool_call *call, const char *name, const msgpack_object *value, bool *yes);

/* A copy with a NUL at its end, to be freed; NULL when there is no value, which is not an error. */
int want_text(struct objpool_call *call, const char *name, const msgpack_object *value, char **text);

void put_text(msgpack_packer *packer, const char *text);
void put_raw(msgpack_packer *packer, const void *bytes, size_t size);
void put_array(msgpack_packer *packer, probe_args *args);
void put_kwargs(msgpack_packer *packer, probe_args *args);

/* Keeps a value beyond the call that brought it: packed, it needs no zone to live in. */
int keep(struct objpool_call *call, msgpack_sbuffer *kept, const msgpack_object *value);
void put_kept(msgpack_packer *packer, const msgpack_sbuffer *kept);

/* 0, or -1 when there is no memory for it; the series is as it was then. */
int series_add(struct series *series, const msgpack_object *value);
void put_series(msgpack_packer *packer, const struct series *series);

#endif
