/* SPDX-License-Identifier: Apache-2.0 */
/*
 * client_stream: a call whose results come one by one, as objpool.result, and whose items may be fed (feed.h).
 *
 * A stream is over when its call is answered, when a callback of the program has ended it, or when feeding has failed: nothing is
 * delivered after that. done() is called at the end of the turn. The stream is freed when its call is answered as well.
 */
#ifndef CLIENT_C_CLIENT_STREAM_H
#define CLIENT_C_CLIENT_STREAM_H

#include "client/c/client_request.h"

/* The program's functions. */
struct client_stream_callbacks {
	objpool_each *each;
	void *each_context;
	objpool_stream_done *done;
	void *done_context;
	objpool_next *next; /* NULL: the call is not fed */
	void *next_context;
};

/* Starts a streamed call. 0, or what objpool_call_async returns: then no callback is called. `*stream` may be NULL. */
int client_stream_start(struct objpool_client *client, struct client_request *request, const struct objpool_call_options *options,
			const struct client_stream_callbacks *callbacks, struct objpool_stream **stream);

/* -EAGAIN from next() ends this stream: the program waits for it, and can't call objpool_stream_more. */
void client_stream_set_blocking(struct objpool_stream *stream);

/* Handle objpool.result and objpool.credit: `params` begins behind the msgid. 0 or -EBADMSG. */
int client_stream_on_result(struct objpool_stream *stream, struct objpool_reader *params);
int client_stream_on_credit(struct objpool_stream *stream, struct objpool_reader *params);

/* Ends the stream as if a callback had returned `status`. */
void client_stream_end(struct objpool_stream *stream, int status);

/* Is nothing delivered any more? */
bool client_stream_is_over(const struct objpool_stream *stream);

/* Was any result a failure? */
bool client_stream_has_failures(const struct objpool_stream *stream);

/* Is there something to do for a stream that no message will bring? Then the next turn must not wait. */
bool client_streams_are_due(const struct objpool_client *client);

/* Within a turn: takes and feeds items. */
void client_streams_feed(struct objpool_client *client);

/* At the end of a turn: calls done() of streams that are over, and frees those that are answered. */
void client_streams_settle(struct objpool_client *client);

#endif
