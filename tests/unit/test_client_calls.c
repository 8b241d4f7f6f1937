/* SPDX-License-Identifier: Apache-2.0 */
/* Calls, their options and errors, large values through the socket, leases. */
#include "tests/unit/client_server.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

static void assert_value(const struct objpool_result *result, const char *bytes, size_t size)
{
	assert_null(result->error);
	assert_int_equal(result->value.size, size);
	assert_memory_equal(result->value.data, bytes, size);
}

static void test_call(void **state)
{
	struct server server;
	struct objpool_client *client = server_start(&server);
	struct objpool_result result;

	(void)state;
	assert_true(objpool_hello(client).size > 10);
	assert_int_equal(objpool_callf(client, "sim.echo", &result, "[i s]", 7, "x"), 0);
	assert_value(&result, "\x92\x07\xa1x", 4);
	objpool_result_free(&result);
	assert_int_equal(objpool_call(client, "sim.echo", (struct objpool_bytes){NULL, 0}, NULL, &result), 0);
	assert_value(&result, "\x90", 1);
	objpool_result_free(&result);
	objpool_result_free(&result);
	server_stop(&server, client);
}

static void test_call_refuses_what_would_break_the_stream(void **state)
{
	int fd;
	struct objpool_client *client = connect_without_server(&fd);
	struct objpool_result result;
	struct objpool_call_options options = OBJPOOL_CALL_OPTIONS_INIT;

	(void)state;
	assert_int_equal(objpool_callf(client, "sim.echo", &result, "i", 7), -EINVAL);
	assert_int_equal(objpool_callf(client, "sim.echo", &result, "[i] n", 7), -EINVAL);
	assert_int_equal(objpool_callf(client, "nodot", &result, "[]"), -EINVAL);
	assert_int_equal(objpool_call(client, "sim.echo", (struct objpool_bytes){"\x91", 1}, NULL, &result), -EINVAL);
	options.kwargs = (struct objpool_bytes){"\x90", 1};
	assert_int_equal(objpool_call(client, "sim.echo", (struct objpool_bytes){"\x90", 1}, &options, &result), -EINVAL);
	options.size = 0;
	assert_int_equal(objpool_call(client, "sim.echo", (struct objpool_bytes){"\x90", 1}, &options, &result), -EINVAL);
	assert_int_equal(objpool_unsent(client), 0);
	assert_int_equal(objpool_in_flight(client), 0);
	objpool_close(client);
	close(fd);
}

static void test_options(void **state)
{
	struct server server;
	struct objpool_client *client = server_start(&server);
	struct objpool_call_options options = {
		.size = sizeof options,
		.kwargs = {"\x81\xa1k\x01", 4},
		.bind = {"\x91\x02", 2},
		.args_as = "single",
		.errors = "first",
		.timeout_ms = 60000,
		.chunk = 3,
		.idempotent = true,
		.traceparent = "a trace",
		.priority = -3,
	};
	struct objpool_packer expected = OBJPOOL_PACKER_INIT;
	struct objpool_result result;

	(void)state;
	objpool_pack(&expected, "[s s [i] {s {s i} s [i] s s s s s s s i s i s i s b}]", "sim:2", "step", 9, "kwargs", "k", 1, "bind",
		     2, "args_as", "single", "errors", "first", "traceparent", "a trace", "timeout_ms", 60000, "chunk", 3,
		     "priority", -3, "idempotent", 1);
	assert_int_equal(objpool_call(client, "sim:2.step", (struct objpool_bytes){"\x91\x09", 2}, &options, &result), 0);
	assert_value(&result, (char *)expected.data, expected.size);
	objpool_result_free(&result);
	options = (struct objpool_call_options){.size = sizeof options, .target = "sim:key=a.b"};
	assert_int_equal(objpool_call(client, "step", (struct objpool_bytes){"\x90", 1}, &options, &result), 0);
	assert_value(&result, "\x94\xabsim:key=a.b\xa4step\x90\x80", 20);
	objpool_result_free(&result);
	objpool_packer_free(&expected);
	server_stop(&server, client);
}

static void test_errors(void **state)
{
	struct server server;
	struct objpool_client *client = server_start(&server);
	struct objpool_result result;

	(void)state;
	assert_int_equal(objpool_callf(client, "sim.fail", &result, "[]"), -EREMOTEIO);
	const struct objpool_error *e = result.error;
	assert_string_equal(e->code, "WORKER_LOST");
	assert_string_equal(e->message, "it died");
	assert_string_equal(e->type, "Boom");
	assert_string_equal(e->traceback, "here\n");
	assert_string_equal(e->pool, "sim");
	assert_string_equal(e->user, "ci");
	assert_string_equal(e->right, "call");
	assert_true(e->slot == 2 && e->generation == 3 && e->index == 4 && e->signal == 9 && e->exit_status == 7);
	assert_int_equal(e->ran, OBJPOOL_RAN_MAYBE);
	assert_int_equal(e->data.size, 4);
	assert_memory_equal(e->data.data, "\xc4\2\0\1", 4);
	objpool_result_free(&result);
	assert_int_equal(objpool_callf(client, "sim.words", &result, "[]"), -EREMOTEIO);
	assert_string_equal(result.error->code, "NO_SUCH_POOL");
	assert_string_equal(result.error->message, "there is none");
	assert_true(result.error->slot == -1 && result.error->exit_status == -1 && !result.error->pool);
	assert_true(!result.error->user && !result.error->right);
	objpool_result_free(&result);
	server_stop(&server, client);
}

static void test_answer_in_pieces(void **state)
{
	struct server server;
	struct objpool_client *client = server_start(&server);
	struct objpool_result result;

	(void)state;
	assert_int_equal(objpool_callf(client, "sim.pieces", &result, "[]"), 0);
	assert_int_equal(result.value.size, 1 + 2 + 49 + 1 + 1 + 5 + 1);
	objpool_result_free(&result);
	server_stop(&server, client);
}

static void test_large(void **state)
{
	struct server server;
	struct objpool_client *client = server_start(&server);
	const size_t size = 20 << 20;
	struct objpool_packer args = OBJPOOL_PACKER_INIT;
	struct objpool_result result;
	char *bytes = malloc(size);

	(void)state;
	for (size_t i = 0; i < size; i++)
		bytes[i] = (char)(i * 2654435761u >> 24);
	objpool_pack(&args, "[B]", bytes, size);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(objpool_call(client, "sim.echo", objpool_packed(&args), NULL, &result), 0);
		assert_int_equal(result.value.size, args.size);
		assert_memory_equal(result.value.data, args.data, args.size);
		objpool_result_free(&result);
		assert_int_equal(objpool_callf(client, "sim.echo", &result, "[i]", i), 0);
		objpool_result_free(&result);
	}
	objpool_packer_free(&args);
	free(bytes);
	server_stop(&server, client);
}

/* An answer that comes before the request has been read: the arguments are not looked at after the call, but all are sent. */
static void test_large_answered_early(void **state)
{
	int fd;
	struct objpool_client *client = connect_without_server(&fd);
	const size_t size = 4 << 20;
	struct objpool_packer args = OBJPOOL_PACKER_INIT;
	struct objpool_result result;
	char *bytes = calloc(1, size), *received = malloc(size);
	size_t total = 0;

	(void)state;
	objpool_pack(&args, "[B]", bytes, size);
	free(bytes);
	send_all(fd, "\x94\x01\x02\xc0\x07", 5);
	assert_int_equal(objpool_call(client, "sim.x", objpool_packed(&args), NULL, &result), 0);
	const size_t expected = 3 + 6 + args.size;
	objpool_packer_free(&args);
	objpool_result_free(&result);
	assert_true(objpool_unsent(client) > 0);
	while (total < expected) {
		(void)objpool_flush(client);
		const ssize_t n = recv(fd, received, size, MSG_DONTWAIT);
		assert_true(n > 0);
		total += (size_t)n;
	}
	assert_int_equal(total, expected);
	assert_int_equal(objpool_unsent(client), 0);
	free(received);
	objpool_close(client);
	close(fd);
}

static void test_lease(void **state)
{
	struct server server;
	struct objpool_client *client = server_start(&server);
	struct objpool_lease_options options = OBJPOOL_LEASE_OPTIONS_INIT;
	struct objpool_lease lease;
	struct objpool_result result;

	(void)state;
	assert_int_equal(objpool_lease(client, "sim", NULL, &lease, NULL), 0);
	assert_true(lease.slot == 0 && lease.generation == 7); /* as many options as were sent */
	options.timeout_ms = 5;
	options.lease_ms = 6;
	options.slot = 0;
	assert_int_equal(objpool_lease(client, "sim", &options, &lease, &result), 0);
	assert_true(lease.slot == 3 && !result.error);
	options.slot = 3;
	assert_int_equal(objpool_lease(client, "sim", &options, &lease, &result), -EREMOTEIO);
	assert_true(lease.slot == -1);
	assert_string_equal(result.error->code, "NO_SUCH_SLOT");
	objpool_result_free(&result);
	options.size = 0;
	assert_int_equal(objpool_lease(client, "sim", &options, &lease, &result), -EINVAL);
	assert_int_equal(objpool_release(client, "sim", 2, NULL), 1);
	assert_int_equal(objpool_release(client, "sim", -1, &result), 0);
	server_stop(&server, client);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_call),
		cmocka_unit_test(test_call_refuses_what_would_break_the_stream),
		cmocka_unit_test(test_options),
		cmocka_unit_test(test_errors),
		cmocka_unit_test(test_answer_in_pieces),
		cmocka_unit_test(test_large),
		cmocka_unit_test(test_large_answered_early),
		cmocka_unit_test(test_lease),
	};

	return cmocka_run_group_tests_name("client calls", tests, NULL, NULL);
}
