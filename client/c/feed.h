/* SPDX-License-Identifier: Apache-2.0 */
/*
 * feed: the items of a map, from the program's next() to the daemon.
 *
 *   next() --against credit--> items --> the connection's output --> daemon --objpool.credit--> next() ...
 *
 * Items are taken while there is credit and the output is not full, so that neither grows, whichever side is the slow one. A
 * turn reads between two feeds, so that the client and the daemon never wait for each other.
 */
#ifndef CLIENT_C_FEED_H
#define CLIENT_C_FEED_H

#include "client/c/connection.h"

struct feed {
	objpool_next *next; /* NULL: the call is not fed */
	void *next_context;
	uint64_t credit;               /* so many items the daemon will take */
	struct objpool_packer items;   /* taken, and not in the output yet: an array with a header of PACKER_COUNT bytes */
	struct objpool_packer failure;   /* why the input has failed, as next() has packed it */
	uint64_t fed;                  /* items that have been packed into the output */
	struct sent_payload *payloads; /* of items whose results have not come */
	bool has_large;                /* `items` has an item that may have large values */
	bool paused;                   /* next() returned -EAGAIN: it is asked again after objpool_stream_more */
	bool blocking;                 /* nobody can call objpool_stream_more: -EAGAIN ends the map */
	bool ended;                    /* next() is not called any more */
	bool stopped;                  /* the stream is over: nothing more is taken or sent */
};

/* Would feed_turn call next()? */
bool feed_wants_items(const struct feed *feed, const struct objpool_client *client);

/* Takes items and packs them for the call. 0, or what ends the stream: a negative errno. */
int feed_turn(struct feed *feed, struct objpool_client *client, uint32_t msgid);

/* The result of an item has come: the item's payloads can be filled again, unless it has failed. */
void feed_release_item(struct feed *feed, struct objpool_client *client, uint64_t item, bool failed);

/* The call is answered. */
void feed_release_all(struct feed *feed, struct objpool_client *client);

void feed_free(struct feed *feed);

#endif
