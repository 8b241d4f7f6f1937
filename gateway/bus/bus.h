/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bus: what carries packets between hosts, behind a table of functions: an engine. bus_nats.c is the engine on NATS; another
 * could stand beside it. A bus gives each subscriber of a subject a copy of what is published there. It may lose messages,
 * and it need not say who is there: gateway/core makes up for both.
 *
 * All functions are called in the thread of the loop, and all events come in it. None of them blocks.
 */
#ifndef GATEWAY_BUS_H
#define GATEWAY_BUS_H

#include "proto/read.h"

#include <event2/event.h>
#include <stdbool.h>
#include <stddef.h>

struct bus;

/* Where the bus is, and who this host is there. The texts are copied. */
struct bus_options {
	const char *const *servers; /* "nats://HOST:PORT" or "tls://HOST:PORT" */
	unsigned server_count;
	const char *name;           /* of the connection, as the bus's own tools show it */
	const char *inbox;          /* the beginning of subjects that are this host's alone */
	const char *ca, *cert, *key; /* files in PEM; NULL: none */
	const char *creds; /* a file: the credentials of an account's user, a line USER:PASSWORD, or a token; NULL: none */
};

struct bus_message {
	void *context; /* of the subscription */
	struct span subject, bytes;
	const char *subject_text;
	const char *reply; /* the subject on which an answer is awaited; NULL: none is */
	void *carrier;     /* the engine's */
};

/* A header of a message: one line of text each. */
struct bus_header {
	const char *name, *value;
};

struct bus_events {
	void (*message)(void *owner, const struct bus_message *message); /* valid until this returns */
	void (*up)(void *owner, const char *server);  /* it is connected, and its subscriptions are in force */
	void (*down)(void *owner, const char *reason); /* it is not, and tries to be; also when the first attempt fails */
	void (*left)(void *owner, const char *name);  /* a connection of that name has ended. Not every server tells */
	void (*said)(void *owner, const char *text);  /* something that an admin should know: a refused subject, lost messages */
};

struct bus_counts {
	uint64_t in, out, in_bytes, out_bytes;
	uint64_t dropped;    /* messages that came faster than they were taken, and were lost */
	uint64_t reconnects;
};

struct bus_engine {
	/* Begins to connect, and goes on until `close`; files that can't be read now are read again. NULL: out of memory;
	 * `reason` has a sentence. */
	struct bus *(*open)(const struct bus_options *options, struct event_base *base, const struct bus_events *events,
			    void *owner, char *reason, size_t size);
	/* From now on, and after each reconnection. `group`: each message goes to one of its members; NULL: to each subscriber.
	 * 0 or a negative errno. */
	int (*subscribe)(struct bus *bus, const char *pattern, const char *group, void *context);
	/* Ends a subscription. Messages that have come, and were not given to the owner, are lost. Not within `message`. */
	void (*unsubscribe)(struct bus *bus, const char *pattern, const void *context);
	/* `reply` may be NULL. 0; -ENOTCONN; -EAGAIN: too much waits to be sent; -EMSGSIZE. Nothing is sent before `flush`. */
	int (*publish)(struct bus *bus, const char *subject, const char *reply, struct span bytes);
	/* Likewise, with headers. */
	int (*publish_with)(struct bus *bus, const char *subject, struct span bytes, const struct bus_header *headers,
			    unsigned count);
	/* The first value of that header, in capitals or not; NULL: the message has none. As long as the message. */
	const char *(*header)(const struct bus_message *message, const char *name);
	/* A turn of the loop is over: sends what has been published. What the socket doesn't take goes later, by itself. */
	void (*flush)(struct bus *bus);
	/* The largest message, in bytes. */
	size_t (*max_message)(const struct bus *bus);
	/* Bytes that were published and are not sent. */
	size_t (*unsent)(const struct bus *bus);
	/* False while much is not sent; it tries to send it first. A turn comes when that has changed. */
	bool (*has_room)(struct bus *bus);
	void (*counts)(const struct bus *bus, struct bus_counts *counts);
	/* Accepts NULL. What is not sent is lost, and no event comes any more. False: a thread still waits for a server, and
	 * wakes the loop when it has done so: the loop must not be freed before the process ends. */
	bool (*close)(struct bus *bus);
};

extern const struct bus_engine bus_nats;

#endif
