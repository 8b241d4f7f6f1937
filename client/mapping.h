/* SPDX-License-Identifier: Apache-2.0 */
/* mapping: what a connection's turn does for the maps under way. */
#ifndef CLIENT_MAPPING_H
#define CLIENT_MAPPING_H

#include "objpool/client.h"

/* Some map has something to do that no message and no time will bring: the next turn must not wait. */
bool mapping_due(const struct objpool *pool);

/* When the next one has to do with time; 0: none. */
int64_t mapping_deadline(const struct objpool *pool);

/* Within a turn: takes items and sends what is due. */
void mapping_turn(struct objpool *pool);

/* The connection is lost: ends every map with `error`, a borrowed one. */
void mapping_disconnect(struct objpool *pool, const struct objpool_error *error);

/* At the end of a turn: tells maps that have ended, and frees those that nobody refers to any more. */
void mapping_settle(struct objpool *pool);

/* Nobody could say objpool_map_more: -EAGAIN from next() ends this map. */
void mapping_set_blocking(struct objpool_map *map);

#endif
