/* SPDX-License-Identifier: Apache-2.0 */
/* A connection: many calls at once, callbacks, notifications, loops of a program, its beginning and its end. */
#include "tests/unit/client_server.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

/* A hundred thousand calls at once, more than the socket takes: the client and the server do not wait for each other. */
static void test_pipeline(void **state)
{
	enum { CALLS = 100000 };
	struct server server;
	struct objpool_client *client = server_start(&server);
	struct objpool_packer args = OBJPOOL_PACKER_INIT;
	struct tally tally = {.client = client};

	(void)state;
	for (int i = 0; i < CALLS; i++) {
		args.size = 0;
		objpool_pack(&args, "[i]", i);
		assert_int_equal(objpool_call_async(client, "sim.echo", objpool_packed(&args), NULL, count_answer, &tally, NULL),
				 0);
	}
	assert_int_equal(objpool_in_flight(client), CALLS);
	assert_int_equal(objpool_drain(client), 0);
	assert_int_equal(tally.answers, CALLS);
	assert_int_equal(tally.wrong, 0);
	objpool_packer_free(&args);
	server_stop(&server, client);
}

static void call_again(void *context, const struct objpool_result *result)
{
	struct tally *tally = context;
	struct objpool_result own;

	assert_null(result->error);
	assert_int_equal(objpool_callf(tally->client, "sim.echo", &own, "[]"), -EDEADLK);
	assert_int_equal(objpool_wait(tally->client, 0), -EDEADLK);
	assert_int_equal(objpool_drain(tally->client), -EDEADLK);
	assert_int_equal(objpool_dispatch(tally->client, POLLIN), -EDEADLK);
	tally->answers++;
	if (tally->again-- > 0)
		assert_int_equal(objpool_call_async(tally->client, "sim.echo", (struct objpool_bytes){NULL, 0}, NULL, call_again,
						    tally, NULL),
				 0);
}

static void test_calls_within_callbacks(void **state)
{
	struct server server;
	struct objpool_client *client = server_start(&server);
	struct tally tally = {.client = client, .again = 5};

	(void)state;
	assert_int_equal(objpool_call_async(client, "sim.echo", (struct objpool_bytes){NULL, 0}, NULL, call_again, &tally, NULL),
			 0);
	assert_int_equal(objpool_drain(client), 0);
	assert_int_equal(tally.answers, 6);
	server_stop(&server, client);
}

/* Whatever ends a connection, everyone who waits is told, once. */
static void test_disconnect(void **state)
{
	static const char *const ends[] = {"sim.close", "sim.bye", "sim.garbage"};

	(void)state;
	for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
		struct server server;
		struct objpool_client *client = server_start(&server);
		struct tally tally = {.code = "DISCONNECTED"};
		struct objpool_result result;
		for (int n = 0; n < 10; n++)
			assert_int_equal(objpool_call_async(client, "sim.never", (struct objpool_bytes){NULL, 0}, NULL,
							    expect_code, &tally, NULL),
					 0);
		assert_int_equal(objpool_callf(client, ends[i], &result, "[]"), -EREMOTEIO);
		assert_string_equal(result.error->code, "DISCONNECTED");
		assert_int_equal(result.error->ran, OBJPOOL_RAN_MAYBE);
		if (i == 1)
			assert_non_null(strstr(result.error->message, "that was no message"));
		objpool_result_free(&result);
		assert_int_equal(tally.answers, 10);
		assert_int_equal(tally.wrong, 0);
		assert_int_equal(objpool_callf(client, "sim.echo", &result, "[]"), -ENOTCONN);
		assert_int_equal(objpool_wait(client, -1), -ENOTCONN);
		assert_int_equal(objpool_notify(client, "sim.echo", (struct objpool_bytes){NULL, 0}), -ENOTCONN);
		server_stop(&server, client);
	}
}

static void test_close_tells_who_waits(void **state)
{
	int fd;
	struct objpool_client *client = connect_without_server(&fd);
	struct tally tally = {.code = "DISCONNECTED"};

	(void)state;
	for (int n = 0; n < 200; n++)
		assert_int_equal(
			objpool_call_async(client, "sim.x", (struct objpool_bytes){NULL, 0}, NULL, expect_code, &tally, NULL), 0);
	assert_null(objpool_close(client));
	assert_int_equal(tally.answers, 200);
	assert_int_equal(tally.wrong, 0);
	close(fd);
}

static void close_it(void *context, const struct objpool_result *result)
{
	struct tally *tally = context;

	tally->answers++;
	if (!result->error)
		objpool_close(tally->client);
	assert_int_equal(objpool_notify(tally->client, "a.b", (struct objpool_bytes){NULL, 0}), -ENOTCONN);
}

static void test_close_within_a_callback(void **state)
{
	int fd;
	struct objpool_client *client = connect_without_server(&fd);
	struct tally tally = {.client = client};

	(void)state;
	for (int n = 0; n < 3; n++)
		assert_int_equal(
			objpool_call_async(client, "sim.x", (struct objpool_bytes){NULL, 0}, NULL, close_it, &tally, NULL), 0);
	send_all(fd, "\x94\x01\x02\xc0\xc0\x94\x01\x03\xc0\xc0", 10);
	assert_int_equal(objpool_wait(client, -1), -ESHUTDOWN);
	assert_int_equal(tally.answers, 3);
	close(fd);
}

static void test_notifications(void **state)
{
	struct server server;
	struct objpool_client *client = server_start(&server);
	struct tally tally = {0};
	struct objpool_result result;

	(void)state;
	assert_int_equal(objpool_callf(client, "sim.note", &result, "[]"), 0); /* dropped */
	objpool_result_free(&result);
	objpool_on_notification(client, note_params, &tally);
	assert_int_equal(objpool_callf(client, "sim.note", &result, "[]"), 0);
	objpool_result_free(&result);
	assert_int_equal(tally.answers, 1);
	server_stop(&server, client);
}

static void test_cancel(void **state)
{
	struct server server;
	struct objpool_client *client = server_start(&server);
	struct tally tally = {.code = "CANCELLED"};
	uint32_t id;

	(void)state;
	assert_int_equal(objpool_call_async(client, "sim.never", (struct objpool_bytes){NULL, 0}, NULL, expect_code, &tally, &id),
			 0);
	assert_int_equal(objpool_cancel(client, id), 0);
	assert_int_equal(objpool_drain(client), 0);
	assert_int_equal(tally.answers, 1);
	assert_int_equal(tally.wrong, 0);
	server_stop(&server, client);
}

static void test_own_loop(void **state)
{
	int fd;
	struct objpool_client *client = connect_without_server(&fd);
	struct tally tally = {.code = ""};
	struct objpool_call_options options = {.size = sizeof options, .timeout_ms = 5000};
	char bytes[256];

	(void)state;
	assert_int_equal(objpool_events(client), POLLIN);
	assert_int_equal(objpool_timeout_ms(client), -1);
	assert_int_equal(objpool_dispatch(client, 0), 0);
	assert_int_equal(
		objpool_call_async(client, "sim.x", (struct objpool_bytes){NULL, 0}, &options, expect_code, &tally, NULL), 0);
	assert_int_equal(objpool_call_async(client, "sim.x", (struct objpool_bytes){NULL, 0}, NULL, expect_code, &tally, NULL),
			 0);
	assert_int_equal(objpool_events(client), POLLIN | POLLOUT);
	assert_in_range(objpool_timeout_ms(client), 5000, 6000);
	assert_int_equal(objpool_dispatch(client, POLLOUT), 0);
	assert_int_equal(objpool_events(client), POLLIN);
	assert_true(recv(fd, bytes, sizeof bytes, 0) > 40); /* both with one write */
	assert_int_equal(recv(fd, bytes, sizeof bytes, MSG_DONTWAIT), -1);
	send_all(fd, "\x94\x01\xcd\x00\x03\xa1x\xc0\x94\x01\x02", 11);
	assert_int_equal(objpool_dispatch(client, POLLIN), 0);
	assert_int_equal(tally.answers, 1);
	send_all(fd, "\xa1y\xc0\x94\x01\x63\xc0\xc0", 8); /* and an answer to nobody's call */
	assert_int_equal(objpool_dispatch(client, POLLIN), 0);
	assert_int_equal(tally.answers, 2);
	assert_int_equal(objpool_timeout_ms(client), -1);
	close(fd);
	assert_int_equal(objpool_dispatch(client, POLLIN | POLLHUP), -ENOTCONN);
	objpool_close(client);
}

/* Answers that came before the daemon closed are given, although sending has failed. */
static void test_last_answers(void **state)
{
	int fd;
	struct objpool_client *client = connect_without_server(&fd);
	struct tally tally = {.code = "FAILED"};

	(void)state;
	assert_int_equal(objpool_call_async(client, "sim.x", (struct objpool_bytes){NULL, 0}, NULL, expect_code, &tally, NULL),
			 0);
	send_all(fd,
		 "\x94\x01\x02\xa9"
		 "FAILED: x\xc0",
		 14);
	close(fd);
	assert_int_equal(objpool_flush(client), -ENOTCONN);
	assert_int_equal(tally.answers, 0);
	assert_int_equal(objpool_timeout_ms(client), 0);
	assert_int_equal(objpool_dispatch(client, 0), -ENOTCONN);
	assert_int_equal(tally.answers, 1);
	assert_int_equal(tally.wrong, 0);
	objpool_close(client);
}

static void test_hello_fails(void **state)
{
	struct objpool_connect_options options = {.size = sizeof options, .timeout_ms = 1};
	struct objpool_client *client;
	int fds[2];

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	assert_int_equal(objpool_adopt(&client, fds[1], &options), -ETIMEDOUT);
	assert_null(client);
	close(fds[0]);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	send_all(fds[0], "HTTP/1.1 400 Bad Request", 24);
	assert_int_equal(objpool_adopt(&client, fds[1], NULL), -EPROTO);
	close(fds[0]);
}

static void test_addresses(void **state)
{
	static const char *const malformed[] = {
		"",       "x",         "unix:",     "tcp:",        "tcp:host",           "tcp:host:",
		"tcp::1", "tcp:::1:5", "tcp:[::1]", "tcp:[::1]:x", "tcp:1.2.3.4:123456", "http://x"};
	struct objpool_client *client;
	char text[64];

	(void)state;
	for (size_t i = 0; i < sizeof malformed / sizeof *malformed; i++)
		assert_int_equal(objpool_connect(&client, malformed[i], NULL), -EINVAL);
	assert_int_equal(objpool_connect(&client, "unix:/nonexistent/socket", NULL), -ENOENT);
	setenv("OBJPOOL_ADDRESS", "unix:/elsewhere", 1);
	assert_int_equal(objpool_default_address(text, sizeof text), 0);
	assert_string_equal(text, "unix:/elsewhere");
	assert_int_equal(objpool_default_address(text, 5), -ENAMETOOLONG);
	unsetenv("OBJPOOL_ADDRESS");
	setenv("XDG_RUNTIME_DIR", "/nonexistent", 1);
	assert_int_equal(objpool_default_address(text, sizeof text), 0);
	assert_string_equal(text, "unix:/run/objpool/objpool.sock");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_pipeline),
		cmocka_unit_test(test_calls_within_callbacks),
		cmocka_unit_test(test_disconnect),
		cmocka_unit_test(test_close_tells_who_waits),
		cmocka_unit_test(test_close_within_a_callback),
		cmocka_unit_test(test_notifications),
		cmocka_unit_test(test_cancel),
		cmocka_unit_test(test_own_loop),
		cmocka_unit_test(test_last_answers),
		cmocka_unit_test(test_hello_fails),
		cmocka_unit_test(test_addresses),
	};

	return cmocka_run_group_tests_name("client connection", tests, NULL, NULL);
}
