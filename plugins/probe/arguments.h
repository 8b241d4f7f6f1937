/* SPDX-License-Identifier: Apache-2.0 */
/*
 * arguments: reads msgpack objects and packs values. A function want_… returns 0, or -1 if the value is of the wrong kind: then
 * it has failed the call, with a message that tells what `name` must be.
 */
#ifndef PROBE_ARGUMENTS_H
#define PROBE_ARGUMENTS_H

#include "plugins/probe/probe.h"

/* Fails the call for want of memory. Returns -1. */
int no_memory(struct objpool_call *call);

/* objpool_take for a method with one argument. */
int take_one(struct objpool_call *call, probe_args *args, const char *name, const msgpack_object **value);

bool is_integer(const msgpack_object *value);
bool is_negative(const msgpack_object *value); /* a negative integer */
bool is_float(const msgpack_object *value);
double real_of(const msgpack_object *value);

int want_integer(struct objpool_call *call, const char *name, const msgpack_object *value, int64_t min, uint64_t max,
		 int64_t *integer);

/* Without a value *seconds becomes 0. */
int want_seconds(struct objpool_call *call, const msgpack_object *value, double *seconds);

/* Without a value *yes becomes false. */
int want_bool(struct objpool_call *call, const char *name, const msgpack_object *value, bool *yes);

/* Sets *text to a copy with a NUL at its end, which the caller frees; NULL: there is no value, which is no error. */
int want_text(struct objpool_call *call, const char *name, const msgpack_object *value, char **text);

void put_text(msgpack_packer *packer, const char *text);
void put_raw(msgpack_packer *packer, const void *bytes, size_t size);
void put_array(msgpack_packer *packer, probe_args *args);
void put_kwargs(msgpack_packer *packer, probe_args *args);

/* Keeps a value after its call: packed, since objects lie in memory of the call. */
int keep(struct objpool_call *call, msgpack_sbuffer *kept, const msgpack_object *value);
void put_kept(msgpack_packer *packer, const msgpack_sbuffer *kept);

/* 0, or -1 without memory: then the series is unchanged. */
int series_add(struct series *series, const msgpack_object *value);
void put_series(msgpack_packer *packer, const struct series *series);

#endif
