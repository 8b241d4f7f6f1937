/* SPDX-License-Identifier: Apache-2.0 */
/*
 * client_server: a server for tests of libobjpool. It is a thread at the other end of a socketpair, which reads requests with
 * msgpack-c: so another library judges the bytes of this one. Tests that need an exact order of events have no thread. They write
 * the server's bytes themselves, before the client reads them, or between two turns.
 */
#ifndef TESTS_CLIENT_SERVER_H
#define TESTS_CLIENT_SERVER_H

#include "objpool/client.h"

#include <msgpack.h>
#include <pthread.h>

enum stream_errors { ERRORS_WAIT, ERRORS_FIRST, ERRORS_COLLECT };

/* A streamed call, as the server sees it. */
struct served {
	uint32_t id; /* 0: none */
	char method[32];
	enum stream_errors errors;
	uint64_t window, granted, fed, failed, first_failure;
};

enum { SERVED = 4 };

struct server {
	int fd;
	pthread_t thread;
	bool open;
	struct served served[SERVED];
	uint64_t window;    /* of the next streams; 0: 64 */
	unsigned overdrawn; /* feeds beyond the credit; this and what follows is looked at when the thread has ended */
	unsigned cancelled;
	uint64_t most;        /* items in one feed */
	char options[20][16]; /* of the last stream, in their order */
};

/* Starts the thread, and connects a client to it. server_start_with: streams get a window of so many items. */
struct objpool_client *server_start(struct server *server);
struct objpool_client *server_start_with(struct server *server, uint64_t window);

/* Closes the client, and waits for the thread to end. */
void server_stop(struct server *server, struct objpool_client *client);

/* Connects a client to a socket without a thread: `*fd` is the server's end. */
struct objpool_client *connect_without_server(int *fd);

void send_all(int fd, const void *bytes, size_t size);
void pack_object(struct objpool_packer *packer, msgpack_object object);

/* ---- callbacks of calls, which tests share ---- */

struct tally {
	struct objpool_client *client;
	unsigned answers, wrong, again;
	const char *code;
	int rc;
};

/* Counts answers of "sim.echo" with the number of the call. Counts in `wrong` those that do not come in the order of the calls. */
void count_answer(void *context, const struct objpool_result *result);

/* Counts answers. Counts in `wrong` those that are not an error with the code tally->code. */
void expect_code(void *context, const struct objpool_result *result);

/* For objpool_on_notification: counts the progress that the server sends. */
void note_params(void *context, const char *method, struct objpool_bytes params);

#endif
