/* SPDX-License-Identifier: Apache-2.0 */
/* stream: what a connection's turn does for the calls whose results come one by one. */
#ifndef CLIENT_STREAM_H
#define CLIENT_STREAM_H

#include "objpool/client.h"

/* Some stream has something to do that no message will bring: the next turn must not wait. */
bool stream_due(const struct objpool *pool);

/* Within a turn: takes items and feeds them. */
void stream_turn(struct objpool *pool);

/* At the end of a turn: tells streams that have ended, and frees those that nobody refers to any more. */
void stream_settle(struct objpool *pool);

/* objpool.result and objpool.credit: what follows the msgid. 0 or -EBADMSG. */
int stream_on_result(struct objpool_stream *stream, struct objpool_reader *params);
int stream_on_credit(struct objpool_stream *stream, struct objpool_reader *params);

/* Nothing is delivered any more; and what makes it so, as if a callback had returned `status`. */
bool stream_is_over(const struct objpool_stream *stream);

/* Some result was a failure. */
bool stream_has_failures(const struct objpool_stream *stream);
void stream_end(struct objpool_stream *stream, int status);

/* Nobody could say objpool_stream_more: -EAGAIN from next() ends this stream. */
void stream_set_blocking(struct objpool_stream *stream);

/* Starts a streamed call of `target` like objpool_call_each_async; with `lend`, large arguments stay where they are. */
int stream_call(struct objpool *pool, const char *method, struct objpool_bytes args, const struct objpool_call_options *options,
		objpool_each *each, void *each_context, objpool_stream_done *done, void *done_context, bool lend,
		struct objpool_stream **stream);

#endif
