/* SPDX-License-Identifier: Apache-2.0 */
/*
 * type: a type of a signature becomes the object that objpool.describe gives:
 *
 *	text                                            object
 *	None bool int float str bytes any timestamp     "int" and so on
 *	list[T]  Iterator[T]                            {"list": T}  {"iterator": T}
 *	dict[K, V]  tuple[T, U]                         {"dict": [K, V]}  {"tuple": [T, U]}
 *	tuple[T, ...]                                   {"tuple": [T], "rest": true}
 *	T | U                                           {"union": [T, U]}
 *	int[0, 255]                                     {"int": [0, 255]}
 *	ndarray  ndarray[uint8]  ndarray[any, 2]        {"ndarray": [nil, nil]}  ["uint8", nil]  [nil, 2]
 *	Name                                            {"record": "Name"}
 */
#ifndef WORKER_TYPE_H
#define WORKER_TYPE_H

#include "daemon/worker/types/type_source.h"

/* 0, or -1 with the reason. */
int type_parse(struct type_source *source, msgpack_object *type);

/* Is it the name of a type of the language, which no record can have? */
bool type_is_name(msgpack_object_str name);

/* Is this the type Iterator[T]? */
bool type_is_iterator(const msgpack_object *type);

#endif
