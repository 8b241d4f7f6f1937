/* SPDX-License-Identifier: Apache-2.0 */
/* Results one by one: objpool_all, objpool_call_each, objpool_map, and progress. */
#include "tests/unit/client_server.h"

#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

struct items {
	struct objpool_client *client;
	uint64_t given, count, seen, failed, wrong;
	uint64_t pause_at, fail_at, stop_at; /* 0: never */
	size_t size;                         /* of an item, bytes; 0: a number */
	int stop_with, status;
	char code[32], message[64];
	bool closes, done;
};

static int give_item(void *context, struct objpool_packer *packer)
{
	struct items *items = context;
	static const char bytes[400000];

	if (items->given == items->count)
		return OBJPOOL_NEXT_END;
	if (items->pause_at && items->given == items->pause_at) {
		items->pause_at = 0;
		return -EAGAIN;
	}
	if (items->fail_at && items->given == items->fail_at) {
		objpool_pack_cstr(packer, "line 7: no number");
		return OBJPOOL_NEXT_FAILED;
	}
	if (items->size)
		objpool_pack_bin(packer, bytes, items->size);
	else
		objpool_pack_uint(packer, items->given);
	items->given++;
	return OBJPOOL_NEXT_ITEM;
}

static int take_result(void *context, uint64_t index, struct objpool_bytes value, const struct objpool_error *error)
{
	struct items *items = context;
	struct objpool_reader reader = objpool_reader(value);
	uint64_t number;

	items->wrong += index != items->seen++;
	if (error) {
		items->failed++;
		items->wrong += error->index != (int64_t)index || value.data;
		snprintf(items->message, sizeof items->message, "%s", error->message);
	} else if (items->size) {
		items->wrong += value.size < items->size;
	} else {
		items->wrong += objpool_read_uint(&reader, &number) < 0 || number != index;
	}
	if (items->stop_at && items->seen == items->stop_at && items->closes)
		objpool_close(items->client);
	return items->stop_at && items->seen == items->stop_at ? items->stop_with : 0;
}

static int run_map(struct objpool_client *client, const char *method, struct items *items,
		   const struct objpool_map_options *options, struct objpool_result *result)
{
	return objpool_map(client, method, give_item, items, take_result, items, options, result);
}

static void stream_is_done(void *context, int status, const struct objpool_error *error)
{
	struct items *items = context;

	assert_false(items->done);
	items->done = true;
	items->status = status;
	snprintf(items->code, sizeof items->code, "%s", error ? error->code : "");
}

static struct objpool_stream *start_map(struct objpool_client *client, const char *method, struct items *items)
{
	struct objpool_stream *stream;

	assert_int_equal(
		objpool_map_async(client, method, give_item, items, take_result, items, NULL, stream_is_done, items, &stream), 0);
	return stream;
}

static void test_all(void **state)
{
	struct server server;
	struct objpool_client *client = server_start(&server);
	const struct objpool_bytes args = {"\x93\x00\x01\x02", 4};
	struct items items = {0};
	struct objpool_result result;

	(void)state;
	assert_int_equal(objpool_all(client, "sim.step", args, NULL, take_result, &items, &result), 0);
	assert_true(items.seen == 3 && items.wrong == 0);
	items = (struct items){.stop_at = 2, .stop_with = 42};
	assert_int_equal(objpool_all(client, "sim:all.step", args, NULL, take_result, &items, NULL), 42);
	assert_int_equal(items.seen, 2);
	assert_int_equal(objpool_all(client, "sim:2.step", (struct objpool_bytes){NULL, 0}, NULL, take_result, &items, NULL),
			 -EINVAL);
	assert_int_equal(objpool_all(client, ".step", (struct objpool_bytes){NULL, 0}, NULL, take_result, &items, NULL), -EINVAL);
	server_stop(&server, client);
	assert_string_equal(server.options[0], "errors");
	assert_string_equal(server.options[1], "stream");
}

/* What a call has many results of, comes one by one; its own failure is told apart from theirs. */
static void test_call_each(void **state)
{
	struct server server;
	struct objpool_client *client = server_start(&server);
	struct objpool_call_options options = {.size = sizeof options, .unordered = true, .window = 7, .timeout_ms = 60000};
	struct objpool_packer args = OBJPOOL_PACKER_INIT;
	struct objpool_result result;
	struct items items = {0};

	(void)state;
	objpool_pack_array(&args, 100);
	for (int i = 0; i < 100; i++)
		objpool_pack_int(&args, i);
	assert_int_equal(
		objpool_call_each(client, "sim:scatter.step", objpool_packed(&args), &options, take_result, &items, &result),
		-EREMOTEIO);
	assert_true(items.seen == 100 && items.failed == 1 && items.wrong == 0);
	assert_string_equal(result.error->message, "thirteen");
	objpool_result_free(&result);
	options.errors = "collect";
	items = (struct items){0};
	assert_int_equal(
		objpool_call_each(client, "sim.step", (struct objpool_bytes){"\x91\x00", 2}, &options, take_result, &items, NULL),
		0);
	assert_true(items.seen == 1 && items.wrong == 0);
	assert_int_equal(objpool_call_each(client, "sim", (struct objpool_bytes){NULL, 0}, NULL, take_result, &items, NULL),
			 -EINVAL);
	assert_int_equal(
		objpool_call_each(client, "sim.step", (struct objpool_bytes){"\xc0", 1}, NULL, take_result, &items, NULL),
		-EINVAL);
	objpool_packer_free(&args);
	server_stop(&server, client);
	static const char *const sent[] = {"errors", "timeout_ms", "stream", "window", "ordered", ""};
	for (size_t i = 0; i < sizeof sent / sizeof *sent; i++)
		assert_string_equal(server.options[i], sent[i]);
}

static int ignore_progress(void *context, int64_t done, int64_t total, const char *text)
{
	(void)context;
	(void)done;
	(void)total;
	(void)text;
	return 0;
}

/* They are one map, however many they are. */
static void test_all_options_at_once(void **state)
{
	static const char *const sent[] = {"kwargs",      "bind",       "bind_kwargs", "args_as",  "errors",     "sticky",
					   "traceparent", "timeout_ms", "chunk",       "priority", "idempotent", "sync",
					   "labels",      "progress",   "stream",      "window",   "ordered"};
	const struct objpool_bytes map = {"\x80", 1}, array = {"\x90", 1};
	const struct objpool_call_options options = {
		.size = sizeof options,
		.kwargs = map,
		.bind = array,
		.bind_kwargs = map,
		.args_as = "zip",
		.errors = "collect",
		.sticky = "append",
		.timeout_ms = 60000,
		.chunk = 1,
		.idempotent = true,
		.sync = true,
		.labels = true,
		.unordered = true,
		.window = 7,
		.on_progress = ignore_progress,
		.traceparent = "x",
		.priority = -10,
	};
	struct server server;
	struct objpool_client *client = server_start(&server);
	struct items items = {0};

	(void)state;
	const struct objpool_bytes args = {"\x91\x00", 2};
	assert_int_equal(objpool_call_each(client, "sim.step", args, &options, take_result, &items, NULL), 0);
	assert_true(items.seen == 1 && items.wrong == 0);
	server_stop(&server, client);
	for (size_t i = 0; i < sizeof sent / sizeof *sent; i++)
		assert_string_equal(server.options[i], sent[i]);
}

/* Large arguments of a stream that ends before they have been sent are not looked at any more. */
static void test_call_each_stopped_early(void **state)
{
	int fd;
	struct objpool_client *client = connect_without_server(&fd);
	const size_t size = 4 << 20;
	struct objpool_packer args = OBJPOOL_PACKER_INIT;
	struct items items = {.stop_at = 1, .stop_with = 9};
	char *bytes = calloc(1, size), *received = malloc(size);

	(void)state;
	objpool_pack(&args, "[B]", bytes, size);
	free(bytes);
	send_all(fd, "\x93\x02\xaeobjpool.result\x94\x02\x00\xc0\x00", 22);
	assert_int_equal(objpool_call_each(client, "sim.x", objpool_packed(&args), NULL, take_result, &items, NULL), 9);
	size_t total = 0;
	const size_t least = args.size;
	memset(args.data, 0xc1, args.size);
	objpool_packer_free(&args);
	assert_true(objpool_unsent(client) > 0);
	while (objpool_flush(client) == 1 || total < least) {
		const ssize_t n = recv(fd, received, size, MSG_DONTWAIT);
		assert_true(n > 0 && !memchr(received, 0xc1, (size_t)n));
		total += (size_t)n;
	}
	free(received);
	objpool_close(client);
	close(fd);
}

static void test_map(void **state)
{
	struct server server;
	struct objpool_client *client = server_start(&server);
	struct objpool_map_options options = {.size = sizeof options, .errors = "collect"};
	struct items items = {.count = 200000};

	(void)state;
	assert_int_equal(run_map(client, "sim.step", &items, &options, NULL), 0);
	assert_true(items.seen == 200000 && items.wrong == 0 && items.failed == 1);
	items = (struct items){.count = 0};
	assert_int_equal(run_map(client, "sim.step", &items, &options, NULL), 0);
	assert_int_equal(run_map(client, "sim:2.step", &items, &options, NULL), -EINVAL);
	options.errors = "other";
	assert_int_equal(run_map(client, "sim.step", &items, &options, NULL), -EINVAL);
	options = (struct objpool_map_options){.size = sizeof options, .args_as = "zip"};
	assert_int_equal(run_map(client, "sim.step", &items, &options, NULL), -EINVAL);
	server_stop(&server, client);
	assert_int_equal(server.overdrawn, 0);
	assert_in_range(server.most, 2, 64);
}

/* Whatever the window, also when credit comes for one item at a time. */
static void test_map_keeps_to_its_credit(void **state)
{
	static const uint64_t windows[] = {1, 2, 5000};

	(void)state;
	for (size_t i = 0; i < sizeof windows / sizeof *windows; i++) {
		struct server server;
		struct objpool_client *client = server_start_with(&server, windows[i]);
		struct items items = {.count = 10000};
		assert_int_equal(run_map(client, "sim.step", &items, NULL, NULL), -EREMOTEIO);
		assert_true(items.seen == 10000 && items.wrong == 0 && items.failed == 1);
		server_stop(&server, client);
		assert_int_equal(server.overdrawn, 0);
		assert_in_range(server.most, 1, windows[i]);
	}
}

/* next() is not asked before there is credit, and for no more than that. */
static void test_map_is_lazy(void **state)
{
	int fd;
	struct objpool_client *client = connect_without_server(&fd);
	struct items items = {.count = 100};
	char bytes[512];

	(void)state;
	(void)start_map(client, "sim.step", &items);
	assert_int_equal(objpool_dispatch(client, 0), 0);
	assert_int_equal(items.given, 0);
	assert_int_equal(objpool_timeout_ms(client), -1);
	assert_true(recv(fd, bytes, sizeof bytes, 0) > 0);
	send_all(fd, "\x93\x02\xaeobjpool.credit\x92\x02\x03", 20);
	assert_int_equal(objpool_dispatch(client, POLLIN), 0);
	assert_int_equal(items.given, 3);
	const char *fed = "\x93\x02\xacobjpool.feed\x92\x02\xdd\0\0\0\3\0\1\2";
	assert_int_equal(recv(fd, bytes, sizeof bytes, MSG_DONTWAIT), 25);
	assert_memory_equal(bytes, fed, 25);
	items.count = 3;
	send_all(fd, "\x93\x02\xaeobjpool.credit\x92\x02\x01", 20);
	assert_int_equal(objpool_dispatch(client, POLLIN), 0);
	assert_int_equal(recv(fd, bytes, sizeof bytes, MSG_DONTWAIT), 21);
	assert_memory_equal(bytes, "\x93\x02\xb0objpool.feed_end\x91\x02", 21);
	send_all(fd, "\x93\x02\xaeobjpool.credit\x92\x02\x09", 20);
	assert_int_equal(objpool_dispatch(client, POLLIN), 0);
	assert_int_equal(recv(fd, bytes, sizeof bytes, MSG_DONTWAIT), -1);
	assert_int_equal(items.given, 3);
	objpool_close(client);
	assert_true(items.done);
	close(fd);
}

/* Items and results by the hundred kilobytes: both sides write, and each must read for the other to go on. */
static void test_map_with_full_sockets(void **state)
{
	struct server server;
	struct objpool_client *client = server_start(&server);
	struct items items = {.count = 300, .size = 300000};

	(void)state;
	alarm(60);
	assert_int_equal(run_map(client, "sim.step", &items, NULL, NULL), 0);
	alarm(0);
	assert_true(items.seen == 300 && items.wrong == 0);
	server_stop(&server, client);
	assert_int_equal(server.overdrawn, 0);
}

/* With credit for ten thousand items and a server that doesn't read them, only a few are taken. */
static void test_map_takes_no_more_than_the_socket(void **state)
{
	int fd;
	struct objpool_client *client = connect_without_server(&fd);
	struct items items = {.count = 10000, .size = 300000};

	(void)state;
	(void)start_map(client, "sim.step", &items);
	send_all(fd, "\x93\x02\xaeobjpool.credit\x92\x02\xcd\x27\x10", 22);
	for (int i = 0; i < 100; i++)
		assert_int_equal(objpool_dispatch(client, POLLIN), 0);
	assert_in_range(items.given, 1, 8);
	assert_in_range(objpool_unsent(client), 1, 1 << 20);
	assert_int_equal(objpool_timeout_ms(client), -1); /* waits for the socket */
	objpool_close(client);
	assert_true(items.done);
	close(fd);
}

static void test_map_error_modes(void **state)
{
	struct server server;
	struct objpool_client *client = server_start_with(&server, 6);
	struct objpool_map_options options = {.size = sizeof options};
	struct items items = {.count = 100};
	struct objpool_result result;

	(void)state;
	assert_int_equal(run_map(client, "sim.step", &items, &options, &result), -EREMOTEIO);
	assert_true(items.seen == 100 && items.failed == 1 && items.wrong == 0);
	assert_true(result.error->index == 13);
	assert_string_equal(result.error->message, "thirteen");
	objpool_result_free(&result);
	options.errors = "first";
	items = (struct items){.count = 100};
	assert_int_equal(run_map(client, "sim.step", &items, &options, &result), -EREMOTEIO);
	assert_true(items.seen == 13 && items.given < 30 && result.error->index == 13);
	objpool_result_free(&result);
	server_stop(&server, client);
	assert_int_equal(server.overdrawn, 0);
	assert_int_equal(server.cancelled, 0);
}

static int give_nothing(void *context, struct objpool_packer *packer)
{
	(void)packer;
	return *(int *)context;
}

/* Each number ends the map, also one that the library uses itself. */
static void test_map_stopped_with_any_number(void **state)
{
	const int numbers[] = {-EIO, -ENOTCONN, -ESHUTDOWN, -EDEADLK, -ENOMEM};
	struct server server;
	struct objpool_client *client = server_start(&server);

	(void)state;
	for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
		int number = numbers[i];
		struct items items = {0};
		assert_int_equal(objpool_map(client, "sim.step", give_nothing, &number, take_result, &items, NULL, NULL), number);
		assert_int_equal(items.seen, 0);
	}
	assert_int_equal(objpool_drain(client), 0);
	server_stop(&server, client);
}

static void test_map_stopped_by_its_callbacks(void **state)
{
	struct server server;
	struct objpool_client *client = server_start_with(&server, 6);
	struct items items = {.count = 100, .stop_at = 5, .stop_with = 77};
	struct objpool_result result;

	(void)state;
	assert_int_equal(run_map(client, "sim.step", &items, NULL, &result), 77);
	assert_true(items.seen == 5 && !result.error);
	items = (struct items){.count = 100, .pause_at = 5};
	assert_int_equal(run_map(client, "sim.step", &items, NULL, NULL), -EAGAIN);
	assert_int_equal(objpool_callf(client, "sim.echo", &result, "[]"), 0); /* the connection lives on */
	objpool_result_free(&result);
	assert_int_equal(objpool_drain(client), 0);
	server_stop(&server, client);
	assert_int_equal(server.cancelled, 2);
}

/* The input's own failure comes behind the results of what was before it. */
static void test_map_whose_input_fails(void **state)
{
	struct server server;
	struct objpool_client *client = server_start_with(&server, 4);
	struct objpool_map_options options = {.size = sizeof options};
	struct items items = {.count = 100, .fail_at = 10};
	struct objpool_result result;

	(void)state;
	assert_int_equal(run_map(client, "sim.step", &items, &options, &result), -EREMOTEIO);
	assert_true(items.given == 10 && items.seen == 11 && items.failed == 1 && items.wrong == 0);
	assert_string_equal(items.message, "line 7: no number");
	assert_string_equal(result.error->message, "line 7: no number");
	objpool_result_free(&result);
	options.errors = "collect";
	items = (struct items){.count = 100, .fail_at = 3};
	assert_int_equal(run_map(client, "sim.step", &items, &options, &result), 0);
	assert_true(items.seen == 4 && items.failed == 1);
	server_stop(&server, client);
}

static int give_garbage(void *context, struct objpool_packer *packer)
{
	const int *how = context;

	if (*how == 1)
		objpool_pack_raw(packer, (struct objpool_bytes){"\x92\x01", 2});
	else if (*how == 2)
		objpool_pack(packer, "i i", 1, 2);
	else if (*how == 4)
		return OBJPOOL_NEXT_FAILED;
	return *how == 5 ? 17 : OBJPOOL_NEXT_ITEM;
}

/* Half an item, two, none; a failure without words; a number that means nothing: none of it reaches the wire. */
static void test_map_refuses_what_is_no_item(void **state)
{
	struct server server;
	struct objpool_client *client = server_start(&server);
	struct objpool_map_options options = {.size = sizeof options, .window = 1};
	struct objpool_result result;
	struct items items = {0};

	(void)state;
	for (int how = 1; how <= 5; how++)
		assert_int_equal(objpool_map(client, "sim.step", give_garbage, &how, take_result, &items, &options, NULL),
				 -EINVAL);
	assert_int_equal(items.seen, 0);
	assert_int_equal(objpool_callf(client, "sim.echo", &result, "[]"), 0);
	objpool_result_free(&result);
	server_stop(&server, client);
}

/* Two at once, one of which has to wait for its items; and what came before the pause is answered during it. */
static void test_maps_side_by_side(void **state)
{
	struct server server;
	struct objpool_client *client = server_start(&server);
	struct items a = {.count = 10}, b = {.count = 10, .pause_at = 6};

	(void)state;
	(void)start_map(client, "sim.step", &a);
	struct objpool_stream *stream = start_map(client, "sim.step", &b);
	while (b.seen < 6 || !a.done)
		assert_int_equal(objpool_wait(client, -1), 0);
	assert_false(b.done);
	assert_int_equal(objpool_timeout_ms(client), -1);
	objpool_stream_more(stream);
	assert_int_equal(objpool_timeout_ms(client), 0);
	assert_int_equal(objpool_drain(client), 0);
	assert_true(a.done && a.status == 0 && a.seen == 10 && b.done && b.status == 0 && b.seen == 10);
	server_stop(&server, client);
}

static void test_map_stopped(void **state)
{
	struct server server;
	struct objpool_client *client = server_start(&server);
	struct items items = {.count = 100, .pause_at = 50};

	(void)state;
	struct objpool_stream *stream = start_map(client, "sim.step", &items);
	while (items.seen < 50)
		assert_int_equal(objpool_wait(client, -1), 0);
	objpool_stream_stop(stream, -EINTR);
	assert_false(items.done);
	assert_int_equal(objpool_timeout_ms(client), 0);
	assert_int_equal(objpool_drain(client), 0);
	assert_true(items.done && items.status == -EINTR && items.seen == 50);
	server_stop(&server, client);
}

/* In the middle, with items and results under way. */
static void test_map_whose_connection_is_lost(void **state)
{
	struct server server;
	struct objpool_client *client = server_start(&server);
	struct items items = {.count = 100000}, other = {0};
	struct objpool_result result;

	(void)state;
	(void)objpool_call_each_async(client, "sim.stall", (struct objpool_bytes){NULL, 0}, NULL, take_result, &other,
				      stream_is_done, &other, NULL);
	assert_int_equal(run_map(client, "sim.break", &items, NULL, &result), -EREMOTEIO);
	assert_string_equal(result.error->code, "DISCONNECTED");
	assert_true(items.seen <= 20 && items.wrong == 0);
	objpool_result_free(&result);
	assert_true(other.done && other.status == -EREMOTEIO);
	assert_string_equal(other.code, "DISCONNECTED");
	assert_int_equal(run_map(client, "sim.step", &items, NULL, NULL), -ENOTCONN);
	server_stop(&server, client);
}

/* The connection breaks while items are being sent, not between two turns. */
static void test_map_disconnected_on_the_way(void **state)
{
	int fd;
	struct objpool_client *client = connect_without_server(&fd);
	struct items items = {.count = 50, .size = 300000};

	(void)state;
	(void)start_map(client, "sim.step", &items);
	send_all(fd, "\x93\x02\xaeobjpool.credit\x92\x02\x32", 20);
	close(fd);
	assert_int_equal(objpool_dispatch(client, POLLIN), -ENOTCONN);
	assert_true(items.done && items.status == -EREMOTEIO);
	assert_string_equal(items.code, "DISCONNECTED");
	objpool_close(client);
}

static void test_stream_closed(void **state)
{
	int fd;
	struct objpool_client *client = connect_without_server(&fd);
	struct items outside = {.count = 3}, inside = {.count = 9, .stop_at = 2, .closes = true};
	struct server server;

	(void)state;
	(void)start_map(client, "sim.step", &outside);
	assert_int_equal(objpool_dispatch(client, 0), 0);
	objpool_close(client);
	assert_true(outside.done && outside.seen == 0);
	assert_string_equal(outside.code, "DISCONNECTED");
	close(fd);
	inside.client = server_start(&server);
	assert_int_equal(run_map(inside.client, "sim.step", &inside, NULL, NULL), -EREMOTEIO);
	assert_int_equal(inside.seen, 2);
	server_stop(&server, NULL);
}

static void close_at_the_end(void *context, int status, const struct objpool_error *error)
{
	struct items *items = context;

	stream_is_done(context, status, error);
	objpool_close(items->client);
}

/* done() closes the connection: the others are told. */
static void test_stream_closes_when_done(void **state)
{
	struct server server;
	struct objpool_client *client = server_start(&server);
	struct items closes = {.client = client}, other = {0};
	struct tally tally = {.code = "DISCONNECTED"};

	(void)state;
	assert_int_equal(
		objpool_call_async(client, "sim.never", (struct objpool_bytes){NULL, 0}, NULL, expect_code, &tally, NULL), 0);
	for (int i = 0; i < 2; i++)
		assert_int_equal(objpool_call_each_async(client, i ? "sim.step" : "sim.stall", (struct objpool_bytes){NULL, 0},
							 NULL, take_result, i ? &closes : &other,
							 i ? close_at_the_end : stream_is_done, i ? &closes : &other, NULL),
				 0);
	while (!closes.done)
		(void)objpool_wait(client, -1);
	assert_true(closes.status == 0 && other.done && other.status == -EREMOTEIO);
	assert_true(tally.answers == 1 && tally.wrong == 0);
	server_stop(&server, NULL);
}

struct progress {
	unsigned calls, wrong;
	int stop_with;
};

static int note_progress(void *context, int64_t done, int64_t total, const char *text)
{
	struct progress *progress = context;

	if (progress->calls++ == 0)
		progress->wrong += done != 3 || total != 8 || !text || strcmp(text, "half") != 0;
	else
		progress->wrong += done != -1 || total != -1 || text;
	return progress->stop_with;
}

static void test_progress(void **state)
{
	struct server server;
	struct objpool_client *client = server_start(&server);
	struct progress progress = {0};
	struct objpool_call_options options = {
		.size = sizeof options, .on_progress = note_progress, .progress_context = &progress};
	struct tally tally = {0};
	struct items items = {0};
	struct objpool_result result;

	(void)state;
	objpool_on_notification(client, note_params, &tally);
	assert_int_equal(objpool_call(client, "sim.progress", (struct objpool_bytes){NULL, 0}, &options, &result), 0);
	objpool_result_free(&result);
	assert_true(progress.calls == 2 && progress.wrong == 0);
	progress = (struct progress){0};
	assert_int_equal(objpool_call_each(client, "sim:all.progress", (struct objpool_bytes){"\x92\0\1", 3}, &options,
					   take_result, &items, NULL),
			 0);
	assert_true(progress.calls == 2 && progress.wrong == 0 && items.seen == 2);
	progress = (struct progress){.stop_with = 5};
	items = (struct items){0};
	assert_int_equal(objpool_call_each(client, "sim:all.progress", (struct objpool_bytes){"\x92\0\1", 3}, &options,
					   take_result, &items, NULL),
			 5);
	assert_true(progress.calls == 1 && items.seen == 0);
	server_stop(&server, client);
	assert_int_equal(tally.answers, 0);
	assert_int_equal(server.cancelled, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_all),
		cmocka_unit_test(test_call_each),
		cmocka_unit_test(test_all_options_at_once),
		cmocka_unit_test(test_call_each_stopped_early),
		cmocka_unit_test(test_map),
		cmocka_unit_test(test_map_keeps_to_its_credit),
		cmocka_unit_test(test_map_is_lazy),
		cmocka_unit_test(test_map_with_full_sockets),
		cmocka_unit_test(test_map_takes_no_more_than_the_socket),
		cmocka_unit_test(test_map_error_modes),
		cmocka_unit_test(test_map_stopped_with_any_number),
		cmocka_unit_test(test_map_stopped_by_its_callbacks),
		cmocka_unit_test(test_map_whose_input_fails),
		cmocka_unit_test(test_map_refuses_what_is_no_item),
		cmocka_unit_test(test_maps_side_by_side),
		cmocka_unit_test(test_map_stopped),
		cmocka_unit_test(test_map_whose_connection_is_lost),
		cmocka_unit_test(test_map_disconnected_on_the_way),
		cmocka_unit_test(test_stream_closed),
		cmocka_unit_test(test_stream_closes_when_done),
		cmocka_unit_test(test_progress),
	};

	return cmocka_run_group_tests_name("client streams", tests, NULL, NULL);
}
