/* SPDX-License-Identifier: Apache-2.0 */
/*
 * type_literal: the default values of a signature, as Python writes them:
 *
 *	None True False 1 -1 1.5e3 "text" 'text' b"bytes" [1, 2] (1, 2) {"a": 1}
 */
#ifndef WORKER_TYPE_LITERAL_H
#define WORKER_TYPE_LITERAL_H

#include "daemon/worker/types/type_source.h"

/* 0, or -1 with the reason. */
int type_literal_parse(struct type_source *source, msgpack_object *value);

/* An integer only. */
int type_literal_integer(struct type_source *source, msgpack_object *value);

#endif
