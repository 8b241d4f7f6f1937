/* SPDX-License-Identifier: Apache-2.0 */
/* values: arguments for methods of plugins, as in ARGS(POS(integer(1)), KEY({text("b"), integer(2)})). */
#ifndef TESTS_VALUES_H
#define TESTS_VALUES_H

#include <objpool/plugin.h>

#define POS(...) \
	.count = sizeof((msgpack_object[]){__VA_ARGS__}) / sizeof(msgpack_object), .values = (msgpack_object[]){__VA_ARGS__}
#define KEY(...)                                                                      \
	.kwcount = sizeof((msgpack_object_kv[]){__VA_ARGS__}) / sizeof(msgpack_object_kv), \
	.kwargs = (msgpack_object_kv[]){__VA_ARGS__}
#define ARGS(...) ((struct objpool_args){__VA_ARGS__})
#define NONE      ((struct objpool_args){.count = 0})

static inline msgpack_object integer(int64_t i)
{
	msgpack_object o = {.type = i < 0 ? MSGPACK_OBJECT_NEGATIVE_INTEGER : MSGPACK_OBJECT_POSITIVE_INTEGER};
	o.via.i64 = i;
	return o;
}

static inline msgpack_object natural(uint64_t u)
{
	msgpack_object o = {.type = MSGPACK_OBJECT_POSITIVE_INTEGER};
	o.via.u64 = u;
	return o;
}

static inline msgpack_object real(double f)
{
	msgpack_object o = {.type = MSGPACK_OBJECT_FLOAT64};
	o.via.f64 = f;
	return o;
}

static inline msgpack_object text_of(const char *bytes, size_t size)
{
	msgpack_object o = {.type = MSGPACK_OBJECT_STR};
	o.via.str = (msgpack_object_str){.ptr = bytes, .size = (uint32_t)size};
	return o;
}

static inline msgpack_object text(const char *s)
{
	return text_of(s, strlen(s));
}

static inline msgpack_object bytes(const char *s)
{
	msgpack_object o = {.type = MSGPACK_OBJECT_BIN};
	o.via.bin = (msgpack_object_bin){.ptr = s, .size = (uint32_t)strlen(s)};
	return o;
}

static inline msgpack_object array(msgpack_object *values, uint32_t n)
{
	msgpack_object o = {.type = MSGPACK_OBJECT_ARRAY};
	o.via.array = (msgpack_object_array){.ptr = values, .size = n};
	return o;
}

static inline msgpack_object yes(void)
{
	msgpack_object o = {.type = MSGPACK_OBJECT_BOOLEAN};
	o.via.boolean = true;
	return o;
}

#endif
