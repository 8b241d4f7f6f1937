/* SPDX-License-Identifier: Apache-2.0 */
#include "client/c/turn.h"

#include "client/c/answer.h"
#include "client/c/channel_end.h"
#include "client/c/failure.h"
#include "client/c/incoming.h"
#include "client/c/readiness.h"
#include "client/c/shared_memory.h"
#include "client/c/start.h"
#include "client/c/client_stream.h"
#include "proto/clock.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>

enum { TURN_TRIM_MS = 1000 };

/* Why the connection is lost. */
static const char *lost_words(const struct objpool_client *client)
{
	int error = 0;
	const struct reason *reason = client->wire.tls ? client_tls_reason(client->wire.tls, &error) : NULL;

	return error ? reason->text : strerror(-client->lost);
}

static const struct objpool_error *disconnected(const struct objpool_client *client)
{
	char message[1024];

	if (client->close_error)
		snprintf(message, sizeof message, "the daemon closed the connection: %s", client->close_error->message);
	else if (!client->lost || client->closing)
		snprintf(message, sizeof message, "the connection was closed");
	else
		snprintf(message, sizeof message, "the connection to the daemon was lost: %s", lost_words(client));
	return failure_make("DISCONNECTED", message, OBJPOOL_RAN_MAYBE);
}

static void fail_all_calls(struct objpool_client *client)
{
	const struct objpool_error *error = disconnected(client);
	struct pending_call call;

	for (uint32_t place = 0; pending_take_any(&client->pending, &place, &call);)
		answer_failure(client, &call, failure_ref(error));
	(void)failure_unref(error);
}

static void fail_overdue_calls(struct objpool_client *client)
{
	struct pending_call call;

	if (pending_deadline(&client->pending) == 0)
		return;
	for (const int64_t now = clock_now(); pending_take_expired(&client->pending, now, &call);) {
		const char *message = call.message ? "the call's time is over" : "the daemon has not answered in time";
		(void)start_cancel(client, &call);
		answer_failure(client, &call, failure_make("TIMEOUT", message, OBJPOOL_RAN_MAYBE));
	}
}

/* Frees memory of large values that has been idle for some seconds. Until then it is used for other values. */
static void trim(struct objpool_client *client)
{
	shared_memory_sweep(&client->sent.shared);
	if (client->sent.idle.count == 0 && client->sent.idle.shortage == 0 && client->received.files.count == 0) {
		client->trim_at = 0;
		return;
	}
	const int64_t now = clock_now();
	if (client->trim_at != 0 && now >= client->trim_at) {
		payload_trim(&client->sent.idle);
		mapped_files_trim(&client->received.files);
	}
	if (client->trim_at <= now)
		client->trim_at = now + TURN_TRIM_MS * CLOCK_NS_PER_MS;
}

/* Reads from all sockets of a connection with direct channels that can be read. */
static void receive_ready(struct objpool_client *client, int wait_ms)
{
	struct ready ready[READINESS_MAX];
	const bool waits = wait_ms != 0 && readiness_fall_asleep(client);
	const int n = readiness_wait(client, ready, waits ? wait_ms : 0);

	client->channels.heard = n > 0;
	for (int i = 0; i < n && !client->closing && !client->lost; i++)
		if (!ready[i].channel)
			incoming_receive(client, false);
		else if (ready[i].channel->state != CHANNEL_ENDED)
			incoming_receive_channel(client, ready[i].channel, false);
}

static void receive(struct objpool_client *client, int wait_ms)
{
	struct channel *only = wait_ms < 0 && client->channels.enabled ? readiness_only(client) : NULL;

	if (!client->channels.enabled)
		incoming_receive(client, wait_ms < 0);
	else if (only)
		incoming_receive_channel(client, only, true);
	else
		receive_ready(client, wait_ms);
}

int turn_run(struct objpool_client *client, bool readable, int wait_ms)
{
	client->dispatching = true;
	if (readable && !client->lost)
		receive(client, wait_ms);
	if (!client->lost && !client->closing) {
		fail_overdue_calls(client);
		client_streams_feed(client);
		trim(client);
		(void)objpool_flush(client);
	}
	if (client->send_failed && !client->closing)
		incoming_receive_rest(client);
	if (client->lost)
		fail_all_calls(client);
	client_streams_settle(client);
	if (client->closing) { /* a callback may have closed it just now */
		fail_all_calls(client);
		client_streams_settle(client);
	}
	channel_end_reap(client);
	client->dispatching = false;
	if (client->closing) {
		connection_free(client);
		return -ESHUTDOWN;
	}
	return client->lost ? -ENOTCONN : 0;
}

int objpool_dispatch(struct objpool_client *client, short events)
{
	if (client->dispatching)
		return -EDEADLK;
	const int rc = turn_run(client, (events & ~POLLOUT) != 0, 0);
	if (rc == 0 && client->channels.with_rings > 0 && !readiness_fall_asleep(client))
		readiness_nudge(client);
	return rc;
}

/* ---- waiting, and other loops ---------------------------------------------------------------------------------------- */

int objpool_fd(const struct objpool_client *client)
{
	return client->channels.enabled ? client->channels.epoll : client->wire.fd;
}

short objpool_events(const struct objpool_client *client)
{
	if (client->channels.enabled) {
		struct objpool_client *own = (struct objpool_client *)(uintptr_t)client; /* changes only what the set waits for */
		readiness_await_room(own);
		if (!readiness_fall_asleep(own))
			readiness_nudge(own);
		return POLLIN;
	}
	return wire_unsent(&client->wire) > 0 || received_payloads_are_due(&client->received) ? POLLIN | POLLOUT : POLLIN;
}

int objpool_timeout_ms(const struct objpool_client *client)
{
	if ((client->lost && client->pending.count > 0) || client_streams_are_due(client))
		return 0;
	return clock_ms_until(clock_earlier(pending_deadline(&client->pending), client->trim_at));
}

/* Waits for the socket. Returns its events; 0: the deadline has passed; or a negative errno. */
static int poll_socket(const struct objpool_client *client, int64_t deadline)
{
	struct pollfd pollfd = {.fd = objpool_fd(client), .events = objpool_events(client)};
	int n;

	do
		n = poll(&pollfd, 1, clock_ms_until(deadline));
	while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : pollfd.revents;
}

/* A turn that waits until the deadline. `*heard`: there was something to do. */
static int wait_and_run(struct objpool_client *client, int64_t deadline, bool *heard)
{
	if (client->channels.enabled) {
		readiness_await_room(client);
		const int rc = turn_run(client, true, clock_ms_until(deadline));
		*heard = rc < 0 || client->channels.heard; /* -ESHUTDOWN: there is no client any more */
		return rc;
	}
	const int events = poll_socket(client, deadline);
	*heard = events != 0;
	return events < 0 ? events : turn_run(client, (events & ~POLLOUT) != 0, 0);
}

int objpool_wait(struct objpool_client *client, int timeout_ms)
{
	bool heard;

	if (client->dispatching)
		return -EDEADLK;
	if (client_streams_are_due(client))
		return turn_run(client, true, 0);
	if (objpool_flush(client) < 0)
		return turn_run(client, false, 0);
	const int64_t until = timeout_ms < 0 ? 0 : clock_now() + (int64_t)timeout_ms * CLOCK_NS_PER_MS;
	const int64_t deadline = clock_earlier(clock_earlier(until, client->trim_at), pending_deadline(&client->pending));
	if (deadline == 0 && objpool_unsent(client) == 0)
		return turn_run(client, true, -1);
	const int rc = wait_and_run(client, deadline, &heard);
	return rc == 0 && !heard && until != 0 && clock_now() >= until ? -ETIMEDOUT : rc;
}

int objpool_drain(struct objpool_client *client)
{
	int rc = client->dispatching ? -EDEADLK : 0;

	while (rc == 0 && (objpool_in_flight(client) > 0 || client->streams))
		rc = objpool_wait(client, -1);
	return rc;
}
