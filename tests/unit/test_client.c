/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libobjpool against a server of its own making: a thread at the other end of a socketpair, which takes requests apart with
 * msgpack-c, so that this library's bytes are judged by another one. Tests that need an exact order of events have no thread:
 * they write the server's bytes themselves, beforehand or between two turns.
 */
#include "client/pace.h"
#include "client/pending.h"
#include "objpool/client.h"

#include <errno.h>
#include <msgpack.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

/* ---- the server ------------------------------------------------------------------------------------------------------- */

struct server {
	int fd;
	pthread_t thread;
	bool open;
	uint32_t held;         /* a request that waits for the next one */
	struct objpool_packer held_answer;
	unsigned refusals;     /* this and the next are looked at when the thread has ended */
	size_t largest;        /* items in one request */
};

static void send_all(int fd, const void *bytes, size_t size)
{
	for (size_t sent = 0; sent < size;) {
		const ssize_t n = send(fd, (const char *)bytes + sent, size - sent, MSG_NOSIGNAL);
		if (n <= 0)
			return;
		sent += (size_t)n;
	}
}

static void send_packed(int fd, struct objpool_packer *packer)
{
	send_all(fd, packer->data, packer->size);
	objpool_packer_free(packer);
}

static bool named(msgpack_object object, const char *name)
{
	return object.type == MSGPACK_OBJECT_STR && object.via.str.size == strlen(name) &&
	       memcmp(object.via.str.ptr, name, strlen(name)) == 0;
}

/* A value back as it came, by way of msgpack-c. */
static void pack_object(struct objpool_packer *packer, msgpack_object object)
{
	msgpack_sbuffer buffer;
	msgpack_packer other;

	msgpack_sbuffer_init(&buffer);
	msgpack_packer_init(&other, &buffer, msgpack_sbuffer_write);
	msgpack_pack_object(&other, object);
	objpool_pack_raw(packer, (struct objpool_bytes){buffer.data, buffer.size});
	msgpack_sbuffer_destroy(&buffer);
}

static void respond(struct server *server, uint32_t id, msgpack_object value)
{
	struct objpool_packer packer = OBJPOOL_PACKER_INIT;

	objpool_pack_array(&packer, 4);
	objpool_pack(&packer, "i I n", 1, (int64_t)id);
	pack_object(&packer, value);
	send_packed(server->fd, &packer);
}

static void respond_error(struct server *server, uint32_t id, const char *code)
{
	struct objpool_packer packer = OBJPOOL_PACKER_INIT;

	objpool_pack(&packer, "[i I {s s s s s s} n]", 1, (int64_t)id, "code", code, "message", "as asked", "ran", "no");
	send_packed(server->fd, &packer);
}

static void respond_full_error(struct server *server, uint32_t id)
{
	struct objpool_packer packer = OBJPOOL_PACKER_INIT;

	objpool_pack(&packer, "[i I {s s, s s, s s, s s, s s, s i, s i, s i, s s, s i, s i, s B, s [i], i i} n]", 1, (int64_t)id, "code",
		     "WORKER_LOST", "message", "it died", "type", "Boom", "traceback", "here\n", "pool", "sim", "slot", 2, "generation",
		     3, "index", 4, "ran", "maybe", "signal", 9, "exit_status", 7, "data", "\0\1", (size_t)2, "unknown", 1, 5, 6);
	send_packed(server->fd, &packer);
}

/* [nil, item] for each, but 13 fails. */
static void pack_collected(struct objpool_packer *packer, msgpack_object_array items)
{
	objpool_pack_array(packer, items.size);
	for (uint32_t i = 0; i < items.size; i++) {
		objpool_pack_array(packer, 2);
		if (items.ptr[i].type == MSGPACK_OBJECT_POSITIVE_INTEGER && items.ptr[i].via.u64 == 13) {
			objpool_pack(packer, "{s s s s s i} n", "code", "FAILED", "message", "thirteen", "index", (int)i);
		} else {
			objpool_pack_nil(packer);
			pack_object(packer, items.ptr[i]);
		}
	}
}

static void answer_items(struct server *server, uint32_t id, const char *method, msgpack_object_array items)
{
	struct objpool_packer packer = OBJPOOL_PACKER_INIT;

	server->largest = items.size > server->largest ? items.size : server->largest;
	if (strcmp(method, "narrow") == 0 && items.size > 5) {
		server->refusals++;
		respond_error(server, id, "OVERLOADED");
		return;
	}
	objpool_pack_array(&packer, 4);
	objpool_pack(&packer, "i I n", 1, (int64_t)id);
	pack_collected(&packer, items);
	if (strcmp(method, "swap") == 0 && server->held == 0) {
		server->held = id;
		server->held_answer = packer;
		return;
	}
	send_packed(server->fd, &packer);
	if (server->held) {
		send_packed(server->fd, &server->held_answer);
		server->held = 0;
	}
}

/* objpool.call [target, method, args, options] */
static void on_full_call(struct server *server, uint32_t id, msgpack_object params)
{
	const msgpack_object *p = params.via.array.ptr;
	char method[32];

	snprintf(method, sizeof method, "%.*s", (int)p[1].via.str.size, p[1].via.str.ptr);
	if (named(p[0], "sim:map"))
		answer_items(server, id, method, p[2].via.array);
	else if (named(p[0], "sim:all"))
		answer_items(server, id, method, p[2].via.array);
	else if (strcmp(method, "never") != 0)
		respond(server, id, params);
}

static void send_in_pieces(struct server *server, uint32_t id)
{
	struct objpool_packer packer = OBJPOOL_PACKER_INIT;

	objpool_pack(&packer, "[i I n {s [i i i]}]", 1, (int64_t)id, "a longer string than fits into one byte of length", 1, 70000, -5);
	for (size_t i = 0; i < packer.size; i++)
		send_all(server->fd, packer.data + i, 1);
	objpool_packer_free(&packer);
}

static void say_goodbye(struct server *server)
{
	struct objpool_packer packer = OBJPOOL_PACKER_INIT;

	objpool_pack(&packer, "[i i s n]", 1, 0, "BAD_REQUEST: that was no message");
	send_packed(server->fd, &packer);
	server->open = false;
}

static void send_notification(struct server *server, uint32_t id, msgpack_object params)
{
	struct objpool_packer packer = OBJPOOL_PACKER_INIT;

	objpool_pack(&packer, "[i s [I i n]]", 2, "objpool.progress", (int64_t)id, 7);
	send_packed(server->fd, &packer);
	respond(server, id, params);
}

static void on_request(struct server *server, uint32_t id, msgpack_object method, msgpack_object params)
{
	struct objpool_packer packer = OBJPOOL_PACKER_INIT;

	if (named(method, "objpool.hello") || named(method, "sim.echo"))
		respond(server, id, params);
	else if (named(method, "objpool.call"))
		on_full_call(server, id, params);
	else if (named(method, "sim.fail"))
		respond_full_error(server, id);
	else if (named(method, "sim.pieces"))
		send_in_pieces(server, id);
	else if (named(method, "sim.note"))
		send_notification(server, id, params);
	else if (named(method, "sim.bye"))
		say_goodbye(server);
	else if (named(method, "sim.close"))
		server->open = false;
	else if (named(method, "sim.garbage"))
		send_all(server->fd, "\xc1", 1);
	else if (named(method, "sim.words")) {
		objpool_pack(&packer, "[i I s n]", 1, (int64_t)id, "NO_SUCH_POOL: there is none");
		send_packed(server->fd, &packer);
	}
}

static void on_message(struct server *server, msgpack_object message)
{
	const msgpack_object *p = message.via.array.ptr;

	if (p[0].via.u64 == 0) {
		on_request(server, (uint32_t)p[1].via.u64, p[2], p[3]);
	} else if (p[0].via.u64 == 2 && named(p[1], "objpool.cancel")) {
		respond_error(server, (uint32_t)p[2].via.array.ptr[0].via.u64, "CANCELLED");
	}
}

static void *serve(void *context)
{
	struct server *server = context;
	msgpack_unpacker unpacker;
	msgpack_unpacked unpacked;

	msgpack_unpacker_init(&unpacker, 1 << 16);
	msgpack_unpacked_init(&unpacked);
	while (server->open) {
		msgpack_unpacker_reserve_buffer(&unpacker, 1 << 16);
		const ssize_t n = recv(server->fd, msgpack_unpacker_buffer(&unpacker), 1 << 16, 0);
		if (n <= 0)
			break;
		msgpack_unpacker_buffer_consumed(&unpacker, (size_t)n);
		while (server->open && msgpack_unpacker_next(&unpacker, &unpacked) == MSGPACK_UNPACK_SUCCESS)
			on_message(server, unpacked.data);
	}
	msgpack_unpacked_destroy(&unpacked);
	msgpack_unpacker_destroy(&unpacker);
	shutdown(server->fd, SHUT_RDWR);
	return NULL;
}

static struct objpool *start(struct server *server)
{
	struct objpool *pool;
	int fds[2];

	*server = (struct server){.open = true};
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	server->fd = fds[0];
	assert_int_equal(pthread_create(&server->thread, NULL, serve, server), 0);
	assert_int_equal(objpool_adopt(&pool, fds[1], NULL), 0);
	return pool;
}

static void stop(struct server *server, struct objpool *pool)
{
	objpool_close(pool);
	pthread_join(server->thread, NULL);
	close(server->fd);
	objpool_packer_free(&server->held_answer);
}

/* Without a thread: hello is the first call, so its answer can be there before it is asked. */
static struct objpool *start_silent(int *fd)
{
	struct objpool *pool;
	int fds[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	send_all(fds[0], "\x94\x01\x01\xc0\x80", 5);
	assert_int_equal(objpool_adopt(&pool, fds[1], NULL), 0);
	*fd = fds[0];
	char hello[256];
	assert_true(recv(fds[0], hello, sizeof hello, 0) > 20);
	return pool;
}

/* ---- packing and reading --------------------------------------------------------------------------------------------- */

static void assert_packs(const char *bytes, size_t size, struct objpool_packer *packer)
{
	assert_int_equal(packer->error, 0);
	assert_int_equal(packer->size, size);
	assert_memory_equal(packer->data, bytes, size);
	objpool_packer_free(packer);
}
#define ASSERT_PACKS(bytes, packer) assert_packs(bytes, sizeof(bytes) - 1, packer)

static void test_format(void **state)
{
	struct objpool_packer p = OBJPOOL_PACKER_INIT;

	(void)state;
	assert_int_equal(objpool_pack(&p, "[i, {s: f, s: [b n]}, B S v]", -7, "rate", 0.5, "flags", 1, "\1\2", (size_t)2, "xyz", (size_t)2,
				      (struct objpool_bytes){"\x05", 1}), 0);
	ASSERT_PACKS("\x95\xf9\x82\xa4rate\xcb\x3f\xe0\0\0\0\0\0\0\xa5" "flags\x92\xc3\xc0\xc4\2\1\2\xa2xy\5", &p);
	static const char *const malformed[] = {"[", "]", "[i", "{s}", "[}", "{]", "q", "[i]]", "{[i}"};
	for (size_t i = 0; i < sizeof malformed / sizeof *malformed; i++) {
		assert_int_equal(objpool_pack(&p, malformed[i], 1, "", 2), -EINVAL);
		assert_int_equal(p.size, 0);
	}
	objpool_packer_free(&p);
}

static void test_integers_are_shortest_and_come_back(void **state)
{
	static const int64_t numbers[] = {0, 1, 127, 128, 255, 256, 65535, 65536, 4294967295, 4294967296, INT64_MAX,
					  -1, -32, -33, -128, -129, -32768, -32769, -2147483648, -2147483649, INT64_MIN};
	static const unsigned char sizes[] = {1, 1, 1, 2, 2, 3, 3, 5, 5, 9, 9, 1, 1, 2, 2, 3, 3, 5, 5, 9, 9};
	int64_t number;
	uint64_t large;

	(void)state;
	for (size_t i = 0; i < sizeof sizes; i++) {
		struct objpool_packer p = OBJPOOL_PACKER_INIT;
		objpool_pack_int(&p, numbers[i]);
		assert_int_equal(p.size, sizes[i]);
		struct objpool_reader reader = objpool_reader(objpool_packed(&p));
		assert_int_equal(objpool_read_int(&reader, &number), 0);
		assert_true(number == numbers[i] && reader.next == reader.end);
		objpool_packer_free(&p);
	}
	struct objpool_reader reader = objpool_reader((struct objpool_bytes){"\xcf\xff\xff\xff\xff\xff\xff\xff\xff", 9});
	assert_int_equal(objpool_read_int(&reader, &number), -EINVAL);
	assert_int_equal(objpool_read_uint(&reader, &large), 0);
	assert_true(large == UINT64_MAX);
}

/* What one packs, msgpack-c unpacks and packs to the same bytes, and the other reads. */
static void test_sizes(void **state)
{
	static const size_t sizes[] = {0, 1, 2, 3, 4, 8, 15, 16, 17, 31, 32, 255, 256, 65535, 65536};
	static char text[65536];

	(void)state;
	memset(text, 'x', sizeof text);
	for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
		struct objpool_packer p = OBJPOOL_PACKER_INIT, q = OBJPOOL_PACKER_INIT;
		const char *str;
		const void *bytes;
		size_t size;
		int8_t type;
		uint32_t count;
		objpool_pack_array(&p, 3);
		objpool_pack_str(&p, text, sizes[i]);
		objpool_pack_bin(&p, text, sizes[i]);
		objpool_pack_ext(&p, -3, text, sizes[i]);
		msgpack_unpacked unpacked;
		msgpack_unpacked_init(&unpacked);
		assert_int_equal(msgpack_unpack_next(&unpacked, (char *)p.data, p.size, NULL), MSGPACK_UNPACK_SUCCESS);
		pack_object(&q, unpacked.data);
		msgpack_unpacked_destroy(&unpacked);
		assert_int_equal(q.size, p.size);
		assert_memory_equal(q.data, p.data, p.size);
		struct objpool_reader r = objpool_reader(objpool_packed(&p));
		assert_int_equal(objpool_read_array(&r, &count), 0);
		assert_true(objpool_read_str(&r, &str, &size) == 0 && size == sizes[i]);
		assert_true(objpool_read_bin(&r, &bytes, &size) == 0 && size == sizes[i]);
		assert_true(objpool_read_ext(&r, &type, &bytes, &size) == 0 && size == sizes[i]);
		assert_true(type == -3 && r.next == r.end);
		objpool_packer_free(&p);
		objpool_packer_free(&q);
	}
}

/* Every beginning of a value that is cut short, and every single first byte, is refused or read within bounds. */
static void test_reader_is_safe(void **state)
{
	(void)state;
	for (unsigned first = 0; first < 256; first++)
		for (size_t size = 0; size <= 4; size++) {
			unsigned char *bytes = malloc(size + 1); /* exactly as large as it is, for the sanitizer */
			struct objpool_bytes values = {bytes, size};
			const char *text;
			const void *data;
			size_t n;
			int64_t number;
			double real;
			int8_t type;
			uint32_t count;
			memset(bytes, 0xff, size + 1);
			bytes[0] = (unsigned char)first;
			unsigned char *exact = realloc(bytes, size ? size : 1);
			values.data = exact;
			for (int i = 0; i < 8; i++) {
				struct objpool_reader r = objpool_reader(values);
				switch (i) {
				case 0: (void)objpool_read_str(&r, &text, &n); break;
				case 1: (void)objpool_read_bin(&r, &data, &n); break;
				case 2: (void)objpool_read_ext(&r, &type, &data, &n); break;
				case 3: (void)objpool_read_int(&r, &number); break;
				case 4: (void)objpool_read_double(&r, &real); break;
				case 5: (void)objpool_read_array(&r, &count); break;
				case 6: (void)objpool_read_map(&r, &count); break;
				default: (void)objpool_read_value(&r, NULL); break;
				}
				assert_true(r.next <= r.end);
			}
			free(exact);
		}
}

/* ---- calls ------------------------------------------------------------------------------------------------------------ */

static void assert_value(const struct objpool_result *result, const char *bytes, size_t size)
{
	assert_null(result->error);
	assert_int_equal(result->value.size, size);
	assert_memory_equal(result->value.data, bytes, size);
}

static void test_call(void **state)
{
	struct server server;
	struct objpool *pool = start(&server);
	struct objpool_result result;

	(void)state;
	assert_true(objpool_hello(pool).size > 10);
	assert_int_equal(objpool_callf(pool, "sim.echo", &result, "[i s]", 7, "x"), 0);
	assert_value(&result, "\x92\x07\xa1x", 4);
	objpool_result_free(&result);
	assert_int_equal(objpool_call(pool, "sim.echo", (struct objpool_bytes){NULL, 0}, NULL, &result), 0);
	assert_value(&result, "\x90", 1);
	objpool_result_free(&result);
	objpool_result_free(&result);
	stop(&server, pool);
}

static void test_call_refuses_what_would_break_the_stream(void **state)
{
	int fd;
	struct objpool *pool = start_silent(&fd);
	struct objpool_result result;
	struct objpool_call_options options = OBJPOOL_CALL_OPTIONS_INIT;

	(void)state;
	assert_int_equal(objpool_callf(pool, "sim.echo", &result, "i", 7), -EINVAL);
	assert_int_equal(objpool_callf(pool, "sim.echo", &result, "[i] n", 7), -EINVAL);
	assert_int_equal(objpool_callf(pool, "nodot", &result, "[]"), -EINVAL);
	assert_int_equal(objpool_call(pool, "sim.echo", (struct objpool_bytes){"\x91", 1}, NULL, &result), -EINVAL);
	options.kwargs = (struct objpool_bytes){"\x90", 1};
	assert_int_equal(objpool_call(pool, "sim.echo", (struct objpool_bytes){"\x90", 1}, &options, &result), -EINVAL);
	options.size = 0;
	assert_int_equal(objpool_call(pool, "sim.echo", (struct objpool_bytes){"\x90", 1}, &options, &result), -EINVAL);
	assert_int_equal(objpool_unsent(pool), 0);
	assert_int_equal(objpool_in_flight(pool), 0);
	objpool_close(pool);
	close(fd);
}

static void test_options(void **state)
{
	struct server server;
	struct objpool *pool = start(&server);
	struct objpool_call_options options = {
		.size = sizeof options,
		.kwargs = {"\x81\xa1k\x01", 4},
		.bind = {"\x91\x02", 2},
		.args_as = "single",
		.errors = "first",
		.timeout_ms = 60000,
		.chunk = 3,
		.idempotent = true,
	};
	struct objpool_packer expected = OBJPOOL_PACKER_INIT;
	struct objpool_result result;

	(void)state;
	objpool_pack(&expected, "[s s [i] {s {s i} s [i] s s s s s i s i s b}]", "sim:2", "step", 9, "kwargs", "k", 1, "bind", 2, "args_as",
		     "single", "errors", "first", "timeout_ms", 60000, "chunk", 3, "idempotent", 1);
	assert_int_equal(objpool_call(pool, "sim:2.step", (struct objpool_bytes){"\x91\x09", 2}, &options, &result), 0);
	assert_value(&result, (char *)expected.data, expected.size);
	objpool_result_free(&result);
	options = (struct objpool_call_options){.size = sizeof options, .target = "sim:key=a.b"};
	assert_int_equal(objpool_call(pool, "step", (struct objpool_bytes){"\x90", 1}, &options, &result), 0);
	assert_value(&result, "\x94\xabsim:key=a.b\xa4step\x90\x80", 20);
	objpool_result_free(&result);
	objpool_packer_free(&expected);
	stop(&server, pool);
}

static void test_errors(void **state)
{
	struct server server;
	struct objpool *pool = start(&server);
	struct objpool_result result;

	(void)state;
	assert_int_equal(objpool_callf(pool, "sim.fail", &result, "[]"), -EREMOTEIO);
	const struct objpool_error *e = result.error;
	assert_string_equal(e->code, "WORKER_LOST");
	assert_string_equal(e->message, "it died");
	assert_string_equal(e->type, "Boom");
	assert_string_equal(e->traceback, "here\n");
	assert_string_equal(e->pool, "sim");
	assert_true(e->slot == 2 && e->generation == 3 && e->index == 4 && e->signal == 9 && e->exit_status == 7);
	assert_int_equal(e->ran, OBJPOOL_RAN_MAYBE);
	assert_int_equal(e->data.size, 4);
	assert_memory_equal(e->data.data, "\xc4\2\0\1", 4);
	objpool_result_free(&result);
	assert_int_equal(objpool_callf(pool, "sim.words", &result, "[]"), -EREMOTEIO);
	assert_string_equal(result.error->code, "NO_SUCH_POOL");
	assert_string_equal(result.error->message, "there is none");
	assert_true(result.error->slot == -1 && result.error->exit_status == -1 && !result.error->pool);
	objpool_result_free(&result);
	stop(&server, pool);
}

static void test_answer_in_pieces(void **state)
{
	struct server server;
	struct objpool *pool = start(&server);
	struct objpool_result result;

	(void)state;
	assert_int_equal(objpool_callf(pool, "sim.pieces", &result, "[]"), 0);
	assert_int_equal(result.value.size, 1 + 2 + 49 + 1 + 1 + 5 + 1);
	objpool_result_free(&result);
	stop(&server, pool);
}

static void test_large(void **state)
{
	struct server server;
	struct objpool *pool = start(&server);
	const size_t size = 20 << 20;
	struct objpool_packer args = OBJPOOL_PACKER_INIT;
	struct objpool_result result;
	char *bytes = malloc(size);

	(void)state;
	for (size_t i = 0; i < size; i++)
		bytes[i] = (char)(i * 2654435761u >> 24);
	objpool_pack(&args, "[B]", bytes, size);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(objpool_call(pool, "sim.echo", objpool_packed(&args), NULL, &result), 0);
		assert_int_equal(result.value.size, args.size);
		assert_memory_equal(result.value.data, args.data, args.size);
		objpool_result_free(&result);
		assert_int_equal(objpool_callf(pool, "sim.echo", &result, "[i]", i), 0);
		objpool_result_free(&result);
	}
	objpool_packer_free(&args);
	free(bytes);
	stop(&server, pool);
}

/* An answer that comes before the request has been read: the arguments are not looked at after the call, but all are sent. */
static void test_large_answered_early(void **state)
{
	int fd;
	struct objpool *pool = start_silent(&fd);
	const size_t size = 4 << 20;
	struct objpool_packer args = OBJPOOL_PACKER_INIT;
	struct objpool_result result;
	char *bytes = calloc(1, size), *received = malloc(size);
	size_t total = 0;

	(void)state;
	objpool_pack(&args, "[B]", bytes, size);
	free(bytes);
	send_all(fd, "\x94\x01\x02\xc0\x07", 5);
	assert_int_equal(objpool_call(pool, "sim.x", objpool_packed(&args), NULL, &result), 0);
	const size_t expected = 3 + 6 + args.size;
	objpool_packer_free(&args);
	objpool_result_free(&result);
	assert_true(objpool_unsent(pool) > 0);
	while (total < expected) {
		(void)objpool_flush(pool);
		const ssize_t n = recv(fd, received, size, MSG_DONTWAIT);
		assert_true(n > 0);
		total += (size_t)n;
	}
	assert_int_equal(total, expected);
	assert_int_equal(objpool_unsent(pool), 0);
	free(received);
	objpool_close(pool);
	close(fd);
}

struct tally {
	struct objpool *pool;
	unsigned answers, wrong, again;
	const char *code;
	int rc;
};

static void count_answer(void *context, const struct objpool_result *result)
{
	struct tally *tally = context;
	struct objpool_reader reader = objpool_reader(result->value);
	uint32_t count;
	int64_t number;

	if (objpool_read_array(&reader, &count) < 0 || objpool_read_int(&reader, &number) < 0 || number != (int64_t)tally->answers)
		tally->wrong++;
	tally->answers++;
}

/* A hundred thousand calls at once, more than the socket takes: nobody waits for the other. */
static void test_pipeline(void **state)
{
	enum { CALLS = 100000 };
	struct server server;
	struct objpool *pool = start(&server);
	struct objpool_packer args = OBJPOOL_PACKER_INIT;
	struct tally tally = {.pool = pool};

	(void)state;
	for (int i = 0; i < CALLS; i++) {
		args.size = 0;
		objpool_pack(&args, "[i]", i);
		assert_int_equal(objpool_call_async(pool, "sim.echo", objpool_packed(&args), NULL, count_answer, &tally, NULL), 0);
	}
	assert_int_equal(objpool_in_flight(pool), CALLS);
	assert_int_equal(objpool_drain(pool), 0);
	assert_int_equal(tally.answers, CALLS);
	assert_int_equal(tally.wrong, 0);
	objpool_packer_free(&args);
	stop(&server, pool);
}

static void call_again(void *context, const struct objpool_result *result)
{
	struct tally *tally = context;
	struct objpool_result own;

	assert_null(result->error);
	assert_int_equal(objpool_callf(tally->pool, "sim.echo", &own, "[]"), -EDEADLK);
	assert_int_equal(objpool_wait(tally->pool, 0), -EDEADLK);
	assert_int_equal(objpool_drain(tally->pool), -EDEADLK);
	assert_int_equal(objpool_dispatch(tally->pool, POLLIN), -EDEADLK);
	tally->answers++;
	if (tally->again-- > 0)
		assert_int_equal(objpool_call_async(tally->pool, "sim.echo", (struct objpool_bytes){NULL, 0}, NULL, call_again, tally, NULL), 0);
}

static void test_calls_within_callbacks(void **state)
{
	struct server server;
	struct objpool *pool = start(&server);
	struct tally tally = {.pool = pool, .again = 5};

	(void)state;
	assert_int_equal(objpool_call_async(pool, "sim.echo", (struct objpool_bytes){NULL, 0}, NULL, call_again, &tally, NULL), 0);
	assert_int_equal(objpool_drain(pool), 0);
	assert_int_equal(tally.answers, 6);
	stop(&server, pool);
}

static void keep_code(void *context, const struct objpool_result *result)
{
	struct tally *tally = context;

	tally->answers++;
	tally->wrong += !result->error || strcmp(result->error->code, tally->code) != 0;
}

/* Whatever ends a connection, everyone who waits is told, once. */
static void test_disconnect(void **state)
{
	static const char *const ends[] = {"sim.close", "sim.bye", "sim.garbage"};

	(void)state;
	for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
		struct server server;
		struct objpool *pool = start(&server);
		struct tally tally = {.code = "DISCONNECTED"};
		struct objpool_result result;
		for (int n = 0; n < 10; n++)
			assert_int_equal(objpool_call_async(pool, "sim.never", (struct objpool_bytes){NULL, 0}, NULL, keep_code, &tally, NULL), 0);
		assert_int_equal(objpool_callf(pool, ends[i], &result, "[]"), -EREMOTEIO);
		assert_string_equal(result.error->code, "DISCONNECTED");
		assert_int_equal(result.error->ran, OBJPOOL_RAN_MAYBE);
		if (i == 1)
			assert_non_null(strstr(result.error->message, "that was no message"));
		objpool_result_free(&result);
		assert_int_equal(tally.answers, 10);
		assert_int_equal(tally.wrong, 0);
		assert_int_equal(objpool_callf(pool, "sim.echo", &result, "[]"), -ENOTCONN);
		assert_int_equal(objpool_wait(pool, -1), -ENOTCONN);
		assert_int_equal(objpool_notify(pool, "sim.echo", (struct objpool_bytes){NULL, 0}), -ENOTCONN);
		stop(&server, pool);
	}
}

static void test_close_tells_who_waits(void **state)
{
	int fd;
	struct objpool *pool = start_silent(&fd);
	struct tally tally = {.code = "DISCONNECTED"};

	(void)state;
	for (int n = 0; n < 200; n++)
		assert_int_equal(objpool_call_async(pool, "sim.x", (struct objpool_bytes){NULL, 0}, NULL, keep_code, &tally, NULL), 0);
	assert_null(objpool_close(pool));
	assert_int_equal(tally.answers, 200);
	assert_int_equal(tally.wrong, 0);
	close(fd);
}

static void close_it(void *context, const struct objpool_result *result)
{
	struct tally *tally = context;

	tally->answers++;
	if (!result->error)
		objpool_close(tally->pool);
	assert_int_equal(objpool_notify(tally->pool, "a.b", (struct objpool_bytes){NULL, 0}), -ENOTCONN);
}

static void test_close_within_a_callback(void **state)
{
	int fd;
	struct objpool *pool = start_silent(&fd);
	struct tally tally = {.pool = pool};

	(void)state;
	for (int n = 0; n < 3; n++)
		assert_int_equal(objpool_call_async(pool, "sim.x", (struct objpool_bytes){NULL, 0}, NULL, close_it, &tally, NULL), 0);
	send_all(fd, "\x94\x01\x02\xc0\xc0\x94\x01\x03\xc0\xc0", 10);
	assert_int_equal(objpool_wait(pool, -1), -ESHUTDOWN);
	assert_int_equal(tally.answers, 3);
	close(fd);
}

static void note_params(void *context, const char *method, struct objpool_bytes params)
{
	struct tally *tally = context;

	tally->answers += strcmp(method, "objpool.progress") == 0 && params.size == 4;
}

static void test_notifications(void **state)
{
	struct server server;
	struct objpool *pool = start(&server);
	struct tally tally = {0};
	struct objpool_result result;

	(void)state;
	assert_int_equal(objpool_callf(pool, "sim.note", &result, "[]"), 0); /* dropped */
	objpool_result_free(&result);
	objpool_on_notification(pool, note_params, &tally);
	assert_int_equal(objpool_callf(pool, "sim.note", &result, "[]"), 0);
	objpool_result_free(&result);
	assert_int_equal(tally.answers, 1);
	stop(&server, pool);
}

static void test_cancel(void **state)
{
	struct server server;
	struct objpool *pool = start(&server);
	struct tally tally = {.code = "CANCELLED"};
	uint32_t id;

	(void)state;
	assert_int_equal(objpool_call_async(pool, "sim.never", (struct objpool_bytes){NULL, 0}, NULL, keep_code, &tally, &id), 0);
	assert_int_equal(objpool_cancel(pool, id), 0);
	assert_int_equal(objpool_drain(pool), 0);
	assert_int_equal(tally.answers, 1);
	assert_int_equal(tally.wrong, 0);
	stop(&server, pool);
}

/* ---- a loop of one's own ------------------------------------------------------------------------------------------------ */

static void test_own_loop(void **state)
{
	int fd;
	struct objpool *pool = start_silent(&fd);
	struct tally tally = {.code = ""};
	struct objpool_call_options options = {.size = sizeof options, .timeout_ms = 5000};
	char bytes[256];

	(void)state;
	assert_int_equal(objpool_events(pool), POLLIN);
	assert_int_equal(objpool_timeout_ms(pool), -1);
	assert_int_equal(objpool_dispatch(pool, 0), 0);
	assert_int_equal(objpool_call_async(pool, "sim.x", (struct objpool_bytes){NULL, 0}, &options, keep_code, &tally, NULL), 0);
	assert_int_equal(objpool_call_async(pool, "sim.x", (struct objpool_bytes){NULL, 0}, NULL, keep_code, &tally, NULL), 0);
	assert_int_equal(objpool_events(pool), POLLIN | POLLOUT);
	assert_in_range(objpool_timeout_ms(pool), 5000, 6000);
	assert_int_equal(objpool_dispatch(pool, POLLOUT), 0);
	assert_int_equal(objpool_events(pool), POLLIN);
	assert_true(recv(fd, bytes, sizeof bytes, 0) > 40); /* both with one write */
	assert_int_equal(recv(fd, bytes, sizeof bytes, MSG_DONTWAIT), -1);
	send_all(fd, "\x94\x01\xcd\x00\x03\xa1x\xc0\x94\x01\x02", 11);
	assert_int_equal(objpool_dispatch(pool, POLLIN), 0);
	assert_int_equal(tally.answers, 1);
	send_all(fd, "\xa1y\xc0\x94\x01\x63\xc0\xc0", 8); /* and an answer to nobody's call */
	assert_int_equal(objpool_dispatch(pool, POLLIN), 0);
	assert_int_equal(tally.answers, 2);
	assert_int_equal(objpool_timeout_ms(pool), -1);
	close(fd);
	assert_int_equal(objpool_dispatch(pool, POLLIN | POLLHUP), -ENOTCONN);
	objpool_close(pool);
}

/* Answers that came before the daemon closed are given, although sending has failed. */
static void test_last_answers(void **state)
{
	int fd;
	struct objpool *pool = start_silent(&fd);
	struct tally tally = {.code = "FAILED"};

	(void)state;
	assert_int_equal(objpool_call_async(pool, "sim.x", (struct objpool_bytes){NULL, 0}, NULL, keep_code, &tally, NULL), 0);
	send_all(fd, "\x94\x01\x02\xa9" "FAILED: x\xc0", 14);
	close(fd);
	assert_int_equal(objpool_flush(pool), -ENOTCONN);
	assert_int_equal(tally.answers, 0);
	assert_int_equal(objpool_timeout_ms(pool), 0);
	assert_int_equal(objpool_dispatch(pool, 0), -ENOTCONN);
	assert_int_equal(tally.answers, 1);
	assert_int_equal(tally.wrong, 0);
	objpool_close(pool);
}

static void test_hello_fails(void **state)
{
	struct objpool_connect_options options = {.size = sizeof options, .timeout_ms = 1};
	struct objpool *pool;
	int fds[2];

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	assert_int_equal(objpool_adopt(&pool, fds[1], &options), -ETIMEDOUT);
	assert_null(pool);
	close(fds[0]);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	send_all(fds[0], "HTTP/1.1 400 Bad Request", 24);
	assert_int_equal(objpool_adopt(&pool, fds[1], NULL), -EPROTO);
	close(fds[0]);
}

static void test_addresses(void **state)
{
	static const char *const malformed[] = {"", "x", "unix:", "tcp:", "tcp:host", "tcp:host:", "tcp::1", "tcp:::1:5", "tcp:[::1]", "tcp:[::1]:x",
						"tcp:1.2.3.4:123456", "http://x"};
	struct objpool *pool;
	char text[64];

	(void)state;
	for (size_t i = 0; i < sizeof malformed / sizeof *malformed; i++)
		assert_int_equal(objpool_connect(&pool, malformed[i], NULL), -EINVAL);
	assert_int_equal(objpool_connect(&pool, "unix:/nonexistent/socket", NULL), -ENOENT);
	setenv("OBJPOOL_ADDRESS", "unix:/elsewhere", 1);
	assert_int_equal(objpool_default_address(text, sizeof text), 0);
	assert_string_equal(text, "unix:/elsewhere");
	assert_int_equal(objpool_default_address(text, 5), -ENAMETOOLONG);
	unsetenv("OBJPOOL_ADDRESS");
	setenv("XDG_RUNTIME_DIR", "/nonexistent", 1);
	assert_int_equal(objpool_default_address(text, sizeof text), 0);
	assert_string_equal(text, "unix:/run/objpool/objpool.sock");
}

/* ---- gathered and mapped --------------------------------------------------------------------------------------------------- */

struct items {
	struct objpool *pool;
	struct objpool_map *map;
	uint64_t given, count, seen, failed, wrong;
	bool ordered;
	uint64_t pause_at, stop_at; /* 0: never */
	int stop_with, status;
	char code[32];
	int64_t index;
	bool done;
};

static int give_item(void *context, struct objpool_packer *packer)
{
	struct items *items = context;

	if (items->given == items->count)
		return 0;
	if (items->pause_at && items->given == items->pause_at) {
		items->pause_at = 0;
		return -EAGAIN;
	}
	objpool_pack_uint(packer, items->given++);
	return 1;
}

static int take_result(void *context, uint64_t index, struct objpool_bytes value, const struct objpool_error *error)
{
	struct items *items = context;
	struct objpool_reader reader = objpool_reader(value);
	uint64_t number;

	items->wrong += items->ordered && index != items->seen;
	items->seen++;
	if (error) {
		items->failed++;
		items->wrong += error->index != (int64_t)index;
	} else {
		items->wrong += objpool_read_uint(&reader, &number) < 0 || number != index;
	}
	return items->stop_at && items->seen == items->stop_at ? items->stop_with : 0;
}

static int run_map(struct objpool *pool, const char *method, struct items *items, const struct objpool_map_options *options,
		   struct objpool_result *result)
{
	return objpool_map(pool, method, give_item, items, take_result, items, options, result);
}

static void test_all(void **state)
{
	struct server server;
	struct objpool *pool = start(&server);
	struct items items = {.ordered = true};
	struct objpool_result result;

	(void)state;
	assert_int_equal(objpool_all(pool, "sim.step", (struct objpool_bytes){"\x93\x00\x01\x02", 4}, NULL, take_result, &items, &result), 0);
	assert_true(items.seen == 3 && items.wrong == 0);
	items = (struct items){.stop_at = 2, .stop_with = 42};
	assert_int_equal(objpool_all(pool, "sim:all.step", (struct objpool_bytes){"\x93\x00\x01\x02", 4}, NULL, take_result, &items, NULL), 42);
	assert_int_equal(objpool_all(pool, "sim:2.step", (struct objpool_bytes){NULL, 0}, NULL, take_result, &items, NULL), -EINVAL);
	assert_int_equal(objpool_all(pool, ".step", (struct objpool_bytes){NULL, 0}, NULL, take_result, &items, NULL), -EINVAL);
	stop(&server, pool);
}

static void test_map(void **state)
{
	struct server server;
	struct objpool *pool = start(&server);
	struct objpool_map_options options = {.size = sizeof options, .errors = "collect"};
	struct items items = {.count = 200000, .ordered = true};

	(void)state;
	assert_int_equal(run_map(pool, "sim.step", &items, &options, NULL), 0);
	assert_true(items.seen == 200000 && items.wrong == 0 && items.failed == 1);
	items = (struct items){.count = 0};
	assert_int_equal(run_map(pool, "sim.step", &items, &options, NULL), 0);
	assert_int_equal(run_map(pool, "sim:2.step", &items, &options, NULL), -EINVAL);
	options.errors = "other";
	assert_int_equal(run_map(pool, "sim.step", &items, &options, NULL), -EINVAL);
	stop(&server, pool);
}

/* Chunks that are answered in another order are delivered in item order, or as they come. */
static void test_map_order(void **state)
{
	struct server server;
	struct objpool *pool = start(&server);
	struct objpool_map_options options = {.size = sizeof options, .errors = "collect", .batch = 10, .in_flight = 4};
	struct items items = {.count = 400, .ordered = true};

	(void)state;
	assert_int_equal(run_map(pool, "sim.swap", &items, &options, NULL), 0);
	assert_true(items.seen == 400 && items.wrong == 0);
	options.unordered = true;
	items = (struct items){.count = 400, .ordered = true};
	assert_int_equal(run_map(pool, "sim.swap", &items, &options, NULL), 0);
	assert_true(items.seen == 400 && items.wrong > 0);
	stop(&server, pool);
	assert_int_equal(server.largest, 10);
}

static void test_map_error_modes(void **state)
{
	struct server server;
	struct objpool *pool = start(&server);
	struct objpool_map_options options = {.size = sizeof options, .batch = 4, .in_flight = 3};
	struct items items = {.count = 100, .ordered = true};
	struct objpool_result result;

	(void)state;
	assert_int_equal(run_map(pool, "sim.step", &items, &options, &result), -EREMOTEIO);
	assert_true(items.seen == 100 && items.failed == 1 && items.wrong == 0);
	assert_true(result.error->index == 13);
	assert_string_equal(result.error->message, "thirteen");
	objpool_result_free(&result);
	options.errors = "first";
	items = (struct items){.count = 100, .ordered = true};
	assert_int_equal(run_map(pool, "sim.step", &items, &options, &result), -EREMOTEIO);
	assert_true(items.seen == 14 && result.error->index == 13);
	objpool_result_free(&result);
	items = (struct items){.count = 100, .stop_at = 5, .stop_with = 77};
	assert_int_equal(run_map(pool, "sim.step", &items, &options, NULL), 77);
	assert_int_equal(items.seen, 5);
	items = (struct items){.count = 100, .pause_at = 5};
	assert_int_equal(run_map(pool, "sim.step", &items, &options, NULL), -EAGAIN);
	stop(&server, pool);
}

static void test_map_with_a_full_queue(void **state)
{
	struct server server;
	struct objpool *pool = start(&server);
	struct objpool_map_options options = {.size = sizeof options, .errors = "collect", .batch = 64};
	struct items items = {.count = 1000, .ordered = true};

	(void)state;
	assert_int_equal(run_map(pool, "sim.narrow", &items, &options, NULL), 0);
	assert_true(items.seen == 1000 && items.wrong == 0 && items.failed == 1);
	stop(&server, pool);
	assert_true(server.refusals > 0 && server.refusals < 100);
}

static void map_is_done(void *context, int status, const struct objpool_error *error)
{
	struct items *items = context;

	assert_false(items->done);
	items->done = true;
	items->status = status;
	snprintf(items->code, sizeof items->code, "%s", error ? error->code : "");
}

static struct objpool_map *start_map(struct objpool *pool, const char *method, struct items *items)
{
	struct objpool_map *map;

	assert_int_equal(objpool_map_async(pool, method, give_item, items, take_result, items, NULL, map_is_done, items, &map), 0);
	return map;
}

/* Two at once, one of which has to wait for its items; and what came before the pause is answered during it. */
static void test_maps_side_by_side(void **state)
{
	struct server server;
	struct objpool *pool = start(&server);
	struct items a = {.count = 10}, b = {.count = 10, .pause_at = 6};

	(void)state;
	(void)start_map(pool, "sim.step", &a);
	struct objpool_map *map = start_map(pool, "sim.step", &b);
	assert_int_equal(objpool_timeout_ms(pool), 0);
	while (b.seen < 6 || !a.done)
		assert_int_equal(objpool_wait(pool, -1), 0);
	assert_false(b.done);
	assert_int_equal(objpool_timeout_ms(pool), -1);
	objpool_map_more(map);
	assert_int_equal(objpool_drain(pool), 0);
	assert_true(a.done && a.status == 0 && a.seen == 10 && b.done && b.status == 0 && b.seen == 10);
	stop(&server, pool);
}

static void test_map_stopped(void **state)
{
	struct server server;
	struct objpool *pool = start(&server);
	struct items items = {.count = 100, .pause_at = 50};

	(void)state;
	struct objpool_map *map = start_map(pool, "sim.step", &items);
	while (items.seen < 50)
		assert_int_equal(objpool_wait(pool, -1), 0);
	objpool_map_stop(map, -EINTR);
	assert_false(items.done);
	assert_int_equal(objpool_drain(pool), 0);
	assert_true(items.done && items.status == -EINTR && items.seen == 50);
	stop(&server, pool);
}

static int give_large_item(void *context, struct objpool_packer *packer)
{
	struct items *items = context;
	static char bytes[300000];

	objpool_pack_bin(packer, bytes, sizeof bytes);
	return items->given++ < items->count;
}

/* The connection breaks while items are being sent, not between two turns. */
static void test_map_disconnected_on_the_way(void **state)
{
	int fd;
	struct objpool *pool = start_silent(&fd);
	struct items items = {.count = 5};

	(void)state;
	close(fd);
	assert_int_equal(objpool_map_async(pool, "sim.step", give_large_item, &items, take_result, &items, NULL, map_is_done, &items, NULL), 0);
	assert_int_equal(objpool_dispatch(pool, 0), -ENOTCONN);
	assert_true(items.done && items.status == -EREMOTEIO);
	assert_string_equal(items.code, "DISCONNECTED");
	objpool_close(pool);
}

static void test_map_disconnected(void **state)
{
	int fd;
	struct objpool *pool = start_silent(&fd);
	struct items flying = {.count = 5}, dry = {.count = 5, .pause_at = 1}, closed = {.count = 3};

	(void)state;
	(void)start_map(pool, "sim.step", &flying);
	dry.given = 1; /* dry at once */
	(void)start_map(pool, "sim.step", &dry);
	assert_int_equal(objpool_dispatch(pool, 0), 0);
	assert_int_equal(objpool_in_flight(pool), 5);
	close(fd);
	assert_int_equal(objpool_dispatch(pool, POLLIN), -ENOTCONN);
	assert_true(flying.done && flying.status == -EREMOTEIO && dry.done && dry.status == -EREMOTEIO);
	assert_string_equal(flying.code, "DISCONNECTED");
	assert_string_equal(dry.code, "DISCONNECTED");
	objpool_close(pool);
	pool = start_silent(&fd);
	(void)start_map(pool, "sim.step", &closed);
	assert_int_equal(objpool_dispatch(pool, 0), 0);
	objpool_close(pool);
	assert_true(closed.done && closed.seen == 0);
	close(fd);
}

/* ---- inner parts ------------------------------------------------------------------------------------------------------------- */

static void test_pending(void **state)
{
	enum { CALLS = 5000 };
	struct pending pending = {0};
	struct pending_call call;
	uint32_t ids[CALLS], slow;
	int64_t last = 0;

	(void)state;
	assert_int_equal(pending_add(&pending, NULL, NULL, 0, &slow), 0);
	for (int round = 0; round < 3; round++) {
		for (uint32_t i = 0; i < CALLS; i++)
			assert_int_equal(pending_add(&pending, NULL, &ids[i], 1 + i * 7919 % CALLS, &ids[i]), 0);
		for (uint32_t i = 0; i < CALLS; i += 3)
			assert_true(pending_take(&pending, ids[i], &call) && call.context == &ids[i]);
		assert_false(pending_take(&pending, ids[0], &call));
		for (last = 0; pending_take_expired(&pending, CALLS, &call); last = call.deadline)
			assert_true(call.deadline >= last);
		assert_int_equal(pending.count, 1);
	}
	assert_true(pending_take(&pending, slow, &call));
	pending.last_id = UINT32_MAX - 1; /* ids begin anew, and never with 0 */
	for (uint32_t i = 0; i < 3; i++)
		assert_int_equal(pending_add(&pending, NULL, NULL, 0, &ids[i]), 0);
	assert_true(ids[0] == UINT32_MAX && ids[1] == 1 && ids[2] == 2);
	pending_free(&pending);
}

static void test_pace(void **state)
{
	struct pace pace;

	(void)state;
	pace_begin(&pace, 0, 0, 0);
	assert_true(pace.batch == 1 && pace_requests(&pace) == 256);
	for (int64_t ms = 1; ms <= 30; ms++)
		pace_answered(&pace, 1000, ms * 1000000); /* a million a second */
	assert_in_range(pace.batch, 8000, 8192);
	assert_int_equal(pace_requests(&pace), 4);
	for (int64_t s = 1; s <= 40; s++)
		pace_answered(&pace, 1, s * 1000000000);
	assert_int_equal(pace.batch, 1);
	pace_overloaded(&pace, 8, 3);
	assert_int_equal(pace_requests(&pace), 3);
	for (int64_t s = 41; s <= 44; s++)
		pace_answered(&pace, 1000000, s * 1000000000);
	assert_true(pace.batch == 4 && pace_requests(&pace) == 4);
	pace_begin(&pace, 10, 2, 0);
	pace_answered(&pace, 1000000, 1000000);
	assert_true(pace.batch == 10 && pace_requests(&pace) == 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_format),
		cmocka_unit_test(test_integers_are_shortest_and_come_back),
		cmocka_unit_test(test_sizes),
		cmocka_unit_test(test_reader_is_safe),
		cmocka_unit_test(test_call),
		cmocka_unit_test(test_call_refuses_what_would_break_the_stream),
		cmocka_unit_test(test_options),
		cmocka_unit_test(test_errors),
		cmocka_unit_test(test_answer_in_pieces),
		cmocka_unit_test(test_large),
		cmocka_unit_test(test_large_answered_early),
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
		cmocka_unit_test(test_all),
		cmocka_unit_test(test_map),
		cmocka_unit_test(test_map_order),
		cmocka_unit_test(test_map_error_modes),
		cmocka_unit_test(test_map_with_a_full_queue),
		cmocka_unit_test(test_maps_side_by_side),
		cmocka_unit_test(test_map_stopped),
		cmocka_unit_test(test_map_disconnected_on_the_way),
		cmocka_unit_test(test_map_disconnected),
		cmocka_unit_test(test_pending),
		cmocka_unit_test(test_pace),
	};

	return cmocka_run_group_tests_name("client", tests, NULL, NULL);
}
