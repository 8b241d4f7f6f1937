/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gateway_bench: the core of one gateway, host h1, in the hands of a test, which plays all that is around it: the supervisor, the
 * daemon's sessions, and other hosts, with beats and packets byte by byte. So a test says what no gateway would. Messages are
 * written, and shown, as JSON. Time is virtual.
 */
#ifndef GATEWAY_BENCH_H
#define GATEWAY_BENCH_H

#include "gateway/core/channel.h"
#include "gateway/core/gateway.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { BENCH_LOCALS = 64, BENCH_HOSTS = 4, BENCH_CHANNELS = 64 };
enum { OPEN = 1, DATA = 2, CREDIT = 3, CLOSE = 4, BY_OPENER = 0x80 }; /* frames: channel.h */

struct bytes {
	uint8_t *bytes;
	size_t size, room;
};

/* A host that is played. What the gateway sends to it is taken apart here. */
struct played {
	struct bench *bench;
	char name[GATEWAY_NAME_MAX + 1];
	uint64_t incarnation, beats, age_ms;
	const char *pools; /* of its last beat */
	uint64_t epoch, seq, received, last_ack;
	bool is_deaf;                         /* it acknowledges nothing */
	unsigned packets;                     /* with frames, that have come; those that came again count, too */
	size_t packet_bytes;                  /* of the same */
	char frames[8192];                    /* since it was cleared: "OPEN 1 alice\nDATA 1 35\nCLOSE 1 0 text\n" */
	struct bytes stream[BENCH_CHANNELS];  /* all DATA of a channel that the gateway has opened */
	struct bytes answers[BENCH_CHANNELS]; /* of one that it was asked to open */
};

struct bench {
	struct gateway *gateway;
	struct played *hosts[BENCH_HOSTS];
	unsigned host_count, beats;
	bool full;         /* the bus has no room */
	struct bytes beat; /* the last one */
	struct local *locals[BENCH_LOCALS];
	bool closed[BENCH_LOCALS];
	unsigned local_count;
	struct bytes told;   /* what the supervisor was told */
	struct bytes before; /* frames of channels that were sent so far */
	char *text;          /* what bench_heard has returned */
};

/* One that has just come; and one that serves already. */
struct bench *bench_start(void);
struct bench *bench_new(void);
void bench_free(struct bench *bench);

void bench_pass(struct bench *bench, unsigned ms);
/* The same, while this daemon tells of its pools (NULL: it does not), and all hosts but `silent` are heard. */
void bench_keep(struct bench *bench, unsigned ms, const char *own_pools, const struct played *silent);
void bench_end_turn(struct bench *bench);

/* A message of the supervisor: [2, 1, [0, 1, "p@h2.m", []]]. */
void bench_tell(struct bench *bench, const char *json);
/* A message of client 1, who gets errors as maps. */
void bench_ask(struct bench *bench, const char *json);
/* What the supervisor was told since, without beats of HOSTS: a line of JSON for each message. It lasts until the next call. */
const char *bench_heard(struct bench *bench);

/* Bytes, or a message, of a session of the own daemon. */
void bench_local_bytes(struct bench *bench, unsigned i, const void *bytes, size_t size);
void bench_local_says(struct bench *bench, unsigned i, const char *json);
/* What was written to it, as lines of JSON, which are taken. */
const char *bench_local_heard(struct bench *bench, unsigned i);

/* A host that is heard for the first time; its pools as in a beat: [["p", "C", 2, 2, 0, 0, false, null]]. */
struct played *played_new(struct bench *bench, const char *name, const char *pools);
void played_beat(struct played *host, const char *pools);
void played_says_bye(struct played *host);

/* Its next packet, with one frame. */
void played_frame(struct played *host, unsigned kind, uint32_t channel, const void *bytes, size_t size);
void played_says(struct played *host, uint32_t channel, bool by_opener, const char *json);
/* Any packet at all. */
struct head {
	uint64_t from, to, epoch, seq, ack;
	unsigned flags;
};
struct head played_head(const struct played *host); /* of the next */
void played_packet(struct played *host, const struct head *head, const void *frames, size_t size);
size_t frame_put(uint8_t *to, unsigned kind, uint32_t channel, const void *bytes, size_t size);

/* What has come on a channel that the gateway has opened, or (answers) on one that this host has, as lines of JSON. It is
 * taken. */
const char *played_heard(struct played *host, uint32_t channel, bool answers);

#endif
