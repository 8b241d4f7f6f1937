/* SPDX-License-Identifier: Apache-2.0 */
/*
 * transport: who uses it does what TLS will need. The transport of these tests is not a plain socket: it says what it awaits,
 * holds bytes back, and sends nothing at the first attempt, as OpenSSL may.
 */
#include "daemon/supervisor/connections/session_life.h"
#include "daemon/supervisor/connections/session_reading.h"
#include "daemon/supervisor/connections/session_writing.h"
#include "daemon/supervisor/transport/outlet.h"
#include "daemon/supervisor/transport/socket.h"
#include "daemon/supervisor/transport/transport.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

/* ---- events ---- */

static unsigned reads, sends;

static void on_readable(struct transport *transport)
{
	(void)transport;
	reads++;
}

static void on_sendable(struct transport *transport)
{
	(void)transport;
	sends++;
}

struct pair {
	struct event_base *base;
	struct transport transport;
	int other;
};

static struct pair pair_open(void)
{
	int fds[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
	reads = sends = 0;
	return (struct pair){.base = event_base_new(), .transport = transport_of(&socket_transport, fds[0]), .other = fds[1]};
}

static void pair_close(struct pair *pair)
{
	transport_close(&pair->transport, NULL);
	assert_int_equal(pair->transport.fd, -1);
	event_base_free(pair->base);
	(void)close(pair->other);
}

static void turn(struct pair *pair)
{
	reads = sends = 0;
	assert_true(event_base_loop(pair->base, EVLOOP_ONCE | EVLOOP_NONBLOCK) >= 0);
}

static void test_only_what_is_wanted_is_told(void **state)
{
	struct pair pair = pair_open();

	(void)state;
	transport_open(&pair.transport, pair.base, on_readable, on_sendable);
	assert_int_equal(write(pair.other, "x", 1), 1);
	turn(&pair);
	assert_true(reads == 0 && sends == 0);
	assert_int_equal(transport_want_read(&pair.transport, true), 0);
	turn(&pair);
	assert_true(reads == 1 && sends == 0);
	assert_int_equal(transport_want_send(&pair.transport, true), 0);
	turn(&pair);
	assert_true(reads == 1 && sends == 1);
	assert_int_equal(transport_want_read(&pair.transport, false), 0);
	turn(&pair);
	assert_true(reads == 0 && sends == 1);
	pair_close(&pair);
}

static void test_to_read_it_may_have_to_write(void **state)
{
	struct pair pair = pair_open();

	(void)state;
	transport_open(&pair.transport, pair.base, on_readable, on_sendable);
	assert_int_equal(transport_want_read(&pair.transport, true), 0);
	pair.transport.read_awaits = TRANSPORT_WRITABLE;
	assert_int_equal(transport_want_read(&pair.transport, true), 0);
	turn(&pair);
	assert_true(reads == 1 && sends == 0); /* nothing has come, but it can write */
	pair.transport.read_awaits = TRANSPORT_READABLE;
	assert_int_equal(transport_want_read(&pair.transport, true), 0);
	turn(&pair);
	assert_true(reads == 0 && sends == 0);
	pair_close(&pair);
}

static void test_to_send_it_may_have_to_read(void **state)
{
	struct pair pair = pair_open();

	(void)state;
	transport_open(&pair.transport, pair.base, on_readable, on_sendable);
	pair.transport.send_awaits = TRANSPORT_READABLE;
	assert_int_equal(transport_want_send(&pair.transport, true), 0);
	turn(&pair);
	assert_true(reads == 0 && sends == 0);
	assert_int_equal(write(pair.other, "x", 1), 1);
	turn(&pair);
	assert_true(reads == 0 && sends == 1);
	assert_int_equal(transport_want_read(&pair.transport, true), 0);
	turn(&pair);
	assert_true(reads == 1 && sends == 1);
	pair_close(&pair);
}

/* ---- sending ---- */

static char offered[64];
static bool refuses;

static ssize_t offer(struct transport *transport, const struct msghdr *message)
{
	(void)transport;
	assert_int_equal(message->msg_iovlen, 1);
	snprintf(offered, sizeof offered, "%.*s", (int)message->msg_iov->iov_len, (const char *)message->msg_iov->iov_base);
	return refuses ? -EAGAIN : (ssize_t)message->msg_iov->iov_len;
}

static void test_what_was_refused_is_offered_again(void **state)
{
	static const struct transport_ops ops = {.send = offer};
	struct transport transport = transport_of(&ops, -1);
	struct sendq queue = {0};

	(void)state;
	refuses = true;
	sendq_copy(&queue, "first", 5);
	assert_int_equal(outlet_flush(&queue, &transport), 1);
	assert_string_equal(offered, "first");
	sendq_copy(&queue, "second", 6);
	assert_int_equal(outlet_flush(&queue, &transport), 1);
	assert_string_equal(offered, "firstsecond");
	refuses = false;
	assert_int_equal(outlet_flush(&queue, &transport), 0);
	assert_int_equal(queue.bytes, 0);
	sendq_clear(&queue);
}

/* ---- bytes that no event tells of ---- */

/* Takes all that the socket has at once, as TLS takes a record, and gives it out byte by byte. */
static uint8_t held[256];
static size_t held_from, held_to;

static ssize_t read_byte(struct transport *transport, void *bytes, size_t size, struct arrivals *arrivals)
{
	(void)arrivals;
	assert_true(size > 0);
	if (held_from == held_to) {
		const ssize_t n = socket_transport.read(transport, held, sizeof held, NULL);
		if (n <= 0)
			return n;
		held_from = 0;
		held_to = (size_t)n;
	}
	memcpy(bytes, held + held_from++, 1);
	transport->pending = held_from < held_to;
	return 1;
}

static ssize_t send_all(struct transport *transport, const struct msghdr *message)
{
	return socket_transport.send(transport, message);
}

static void shut_down(struct transport *transport, int how)
{
	socket_transport.shutdown(transport, how);
}

static void close_it(struct transport *transport, struct account *account)
{
	socket_transport.close(transport, account);
}

static const struct transport_ops bytewise = {.read = read_byte, .send = send_all, .shutdown = shut_down, .close = close_it};

static void daemon_open(struct daemon *daemon, struct event_base *base)
{
	static const struct core_ops ops = {.client_wrote = session_on_wrote};
	const struct core_limits limits = {
		.max_message = 1 << 20, .max_inflight = 100, .max_pending = 1 << 20, .max_unsent = 1 << 20};

	core_init(&daemon->core, &ops, &limits);
	TAILQ_INIT(&daemon->sessions);
	TAILQ_INIT(&daemon->dirty_sessions);
	TAILQ_INIT(&daemon->busy_sessions);
	TAILQ_INIT(&daemon->departed_sessions);
	TAILQ_INIT(&daemon->ended_sessions);
	daemon->base = base;
	daemon->scratch = block_new(NULL, INTAKE_SCRATCH);
}

static void test_what_is_held_back_is_read_without_an_event(void **state)
{
	static const uint8_t calls[] = "\x94\x00\x01\xa3p.x\x90\x94\x00\x02\xa3p.x\x90"; /* there is no pool p */
	struct pair pair = pair_open();
	struct daemon daemon = {0};
	uint8_t answers[512];

	(void)state;
	daemon_open(&daemon, pair.base);
	pair.transport.ops = &bytewise;
	struct session *session = session_new(&daemon, &pair.transport, false);
	assert_non_null(session);
	assert_int_equal(write(pair.other, calls, sizeof calls - 1), sizeof calls - 1);
	turn(&pair); /* the one event that the socket has for these bytes */
	while (!TAILQ_EMPTY(&daemon.busy_sessions))
		session_take_turn(TAILQ_FIRST(&daemon.busy_sessions));
	session_flush(session);
	const ssize_t n = read(pair.other, answers, sizeof answers);
	assert_true(n > 8);
	assert_memory_equal(answers, "\x94\x01\x01", 3);
	assert_non_null(memmem(answers, (size_t)n, "\x94\x01\x02", 3));
	session_end(session);
	core_end_event(&daemon.core);
	session_free(session);
	core_free(&daemon.core);
	block_unref(daemon.scratch);
	pair.transport.fd = -1; /* the session has closed it */
	pair_close(&pair);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_only_what_is_wanted_is_told),
		cmocka_unit_test(test_to_read_it_may_have_to_write),
		cmocka_unit_test(test_to_send_it_may_have_to_read),
		cmocka_unit_test(test_what_was_refused_is_offered_again),
		cmocka_unit_test(test_what_is_held_back_is_read_without_an_event),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
