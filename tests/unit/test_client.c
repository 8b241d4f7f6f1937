/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libobjpool against a server of its own making: a thread at the other end of a socketpair, which takes requests apart with
 * msgpack-c, so that this library's bytes are judged by another one. Tests that need an exact order of events have no thread:
 * they write the server's bytes themselves, beforehand or between two turns.
 */
#include "client/pending.h"
#include "objpool/client.h"
#include "tests/unit/failing.h"

#include <errno.h>
#include <fcntl.h>
#include <msgpack.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

/* ---- the server ------------------------------------------------------------------------------------------------------- */

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
	uint64_t window;       /* of the next streams; 0: 64 */
	unsigned overdrawn;    /* feeds beyond the credit; this and what follows is looked at when the thread has ended */
	unsigned cancelled;
	uint64_t most;         /* items in one feed */
	char options[16][16];  /* of the last stream, in their order */
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

/* ---- the server's streams: every item is its own result, but 13 fails */

static struct served *find_served(struct server *server, uint32_t id)
{
	for (int i = 0; i < SERVED; i++)
		if (server->served[i].id == id)
			return &server->served[i];
	return NULL;
}

static void grant(struct server *server, struct served *served, uint64_t n)
{
	struct objpool_packer packer = OBJPOOL_PACKER_INIT;

	served->granted += n;
	objpool_pack(&packer, "[i s [I I]]", 2, "objpool.credit", (int64_t)served->id, (int64_t)n);
	send_packed(server->fd, &packer);
}

static void pack_failure(struct objpool_packer *packer, const char *message, uint64_t index)
{
	objpool_pack(packer, "{s s s s s I}", "code", "FAILED", "message", message, "index", (int64_t)index);
}

static void send_result(struct server *server, const struct served *served, uint64_t index, msgpack_object item)
{
	struct objpool_packer packer = OBJPOOL_PACKER_INIT;

	objpool_pack_array(&packer, 3);
	objpool_pack(&packer, "i s", 2, "objpool.result");
	objpool_pack_array(&packer, 4);
	objpool_pack(&packer, "I I n", (int64_t)served->id, (int64_t)index);
	pack_object(&packer, item);
	send_packed(server->fd, &packer);
}

static void send_failure(struct server *server, struct served *served, uint64_t index, const char *message)
{
	struct objpool_packer failure = OBJPOOL_PACKER_INIT, packer = OBJPOOL_PACKER_INIT;

	pack_failure(&failure, message, index);
	objpool_pack(&packer, "[i s [I I v n]]", 2, "objpool.result", (int64_t)served->id, (int64_t)index, objpool_packed(&failure));
	objpool_packer_free(&failure);
	if (served->failed++ == 0)
		served->first_failure = index;
	send_packed(server->fd, &packer);
}

/* The summary, or the first failure. */
static void end_stream(struct server *server, struct served *served, const char *message)
{
	struct objpool_packer failure = OBJPOOL_PACKER_INIT, packer = OBJPOOL_PACKER_INIT;

	if (served->failed > 0 && served->errors != ERRORS_COLLECT) {
		pack_failure(&failure, message, served->first_failure);
		objpool_pack(&packer, "[i I v n]", 1, (int64_t)served->id, objpool_packed(&failure));
	} else {
		objpool_pack(&packer, "[i I n {s I s I}]", 1, (int64_t)served->id, "items", (int64_t)served->fed, "failed",
			     (int64_t)served->failed);
	}
	objpool_packer_free(&failure);
	served->id = 0;
	send_packed(server->fd, &packer);
}

static bool is_thirteen(msgpack_object item)
{
	return item.type == MSGPACK_OBJECT_POSITIVE_INTEGER && item.via.u64 == 13;
}

/* False: the stream has ended. */
static bool serve_item(struct server *server, struct served *served, msgpack_object item)
{
	const uint64_t index = served->fed++;

	if (strcmp(served->method, "break") == 0 && index == 20) {
		server->open = false;
		return false;
	}
	if (!is_thirteen(item)) {
		send_result(server, served, index, item);
		return true;
	}
	if (served->errors == ERRORS_FIRST) {
		served->failed++;
		served->first_failure = index;
		end_stream(server, served, "thirteen");
		return false;
	}
	send_failure(server, served, index, "thirteen");
	return true;
}

static void serve_items(struct server *server, struct served *served, msgpack_object_array items)
{
	server->most = items.size > server->most ? items.size : server->most;
	server->overdrawn += served->fed + items.size > served->granted;
	for (uint32_t i = 0; i < items.size; i++)
		if (!serve_item(server, served, items.ptr[i]))
			return;
	if (strcmp(served->method, "stall") != 0)
		grant(server, served, served->fed + served->window - served->granted);
}

static void on_feed(struct server *server, msgpack_object_array params)
{
	struct served *served = find_served(server, (uint32_t)params.ptr[0].via.u64);

	if (served && served->id)
		serve_items(server, served, params.ptr[1].via.array);
}

static void on_feed_end(struct server *server, msgpack_object_array params)
{
	struct served *served = find_served(server, (uint32_t)params.ptr[0].via.u64);
	char message[64] = "thirteen";

	if (!served || !served->id)
		return;
	if (params.size == 2) {
		snprintf(message, sizeof message, "%.*s", (int)params.ptr[1].via.str.size, params.ptr[1].via.str.ptr);
		send_failure(server, served, served->fed++, message);
	}
	end_stream(server, served, message);
}

static void read_stream_options(struct server *server, struct served *served, msgpack_object_map options)
{
	memset(server->options, 0, sizeof server->options);
	for (uint32_t i = 0; i < options.size; i++) {
		const msgpack_object_kv *o = &options.ptr[i];
		snprintf(server->options[i], sizeof server->options[i], "%.*s", (int)o->key.via.str.size, o->key.via.str.ptr);
		if (named(o->key, "errors"))
			served->errors = named(o->val, "collect") ? ERRORS_COLLECT : named(o->val, "first") ? ERRORS_FIRST : ERRORS_WAIT;
		if (named(o->key, "window"))
			served->window = o->val.via.u64;
	}
}

static void send_progress(struct server *server, uint32_t id)
{
	struct objpool_packer packer = OBJPOOL_PACKER_INIT;

	objpool_pack(&packer, "[i s [I i i s]] [i s [I n n n]]", 2, "objpool.progress", (int64_t)id, 3, 8, "half", 2, "objpool.progress",
		     (int64_t)id);
	send_packed(server->fd, &packer);
}

/* A map without arguments is fed; others have as many results as arguments. */
static void begin_stream(struct server *server, uint32_t id, const char *method, msgpack_object args, msgpack_object options)
{
	struct served *served = find_served(server, 0);

	*served = (struct served){.id = id, .window = server->window ? server->window : 64, .granted = UINT64_MAX / 2};
	snprintf(served->method, sizeof served->method, "%s", method);
	read_stream_options(server, served, options.via.map);
	if (strcmp(method, "progress") == 0)
		send_progress(server, id);
	if (args.type == MSGPACK_OBJECT_NIL) {
		served->granted = 0;
		grant(server, served, served->window);
	} else {
		for (uint32_t i = 0; i < args.via.array.size && served->id; i++)
			(void)serve_item(server, served, args.via.array.ptr[i]);
		if (served->id && strcmp(method, "stall") != 0)
			end_stream(server, served, "thirteen");
	}
}

static bool has_option(msgpack_object options, const char *name)
{
	for (uint32_t i = 0; i < options.via.map.size; i++)
		if (named(options.via.map.ptr[i].key, name))
			return true;
	return false;
}

/* objpool.call [target, method, args, options] */
static void on_full_call(struct server *server, uint32_t id, msgpack_object params)
{
	const msgpack_object *p = params.via.array.ptr;
	char method[32];

	snprintf(method, sizeof method, "%.*s", (int)p[1].via.str.size, p[1].via.str.ptr);
	if (has_option(p[3], "stream")) {
		begin_stream(server, id, method, p[2], p[3]);
		return;
	}
	if (strcmp(method, "progress") == 0)
		send_progress(server, id);
	if (strcmp(method, "never") != 0)
		respond(server, id, params);
}

static void on_cancel(struct server *server, uint32_t id)
{
	struct served *served = find_served(server, id);

	server->cancelled++;
	if (served)
		served->id = 0;
	respond_error(server, id, "CANCELLED");
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

/* [client, options]: slot 3 is nobody's; the answer has a key that is not known. */
static void answer_lease(struct server *server, uint32_t id, msgpack_object params)
{
	struct objpool_packer packer = OBJPOOL_PACKER_INIT;
	const msgpack_object_map options = params.via.array.ptr[1].via.map;
	const bool third = options.size > 0 && named(options.ptr[options.size - 1].key, "slot") &&
			   options.ptr[options.size - 1].val.via.u64 == 3;

	if (third) {
		respond_error(server, id, "NO_SUCH_SLOT");
		return;
	}
	objpool_pack(&packer, "[i I n {s i s [] s i}]", 1, (int64_t)id, "slot", (int)options.size, "more", "generation", 7);
	send_packed(server->fd, &packer);
}

/* What has a slot was held. */
static void answer_release(struct server *server, uint32_t id, msgpack_object params)
{
	struct objpool_packer packer = OBJPOOL_PACKER_INIT;

	objpool_pack(&packer, "[i I n b]", 1, (int64_t)id, params.via.array.size == 2);
	send_packed(server->fd, &packer);
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
	else if (named(method, "objpool.lease"))
		answer_lease(server, id, params);
	else if (named(method, "objpool.release"))
		answer_release(server, id, params);
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
	} else if (named(p[1], "objpool.cancel")) {
		on_cancel(server, (uint32_t)p[2].via.array.ptr[0].via.u64);
	} else if (named(p[1], "objpool.feed")) {
		on_feed(server, p[2].via.array);
	} else if (named(p[1], "objpool.feed_end")) {
		on_feed_end(server, p[2].via.array);
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

static struct objpool_client *start_with(struct server *server, uint64_t window)
{
	struct objpool_client *client;
	int fds[2];

	*server = (struct server){.open = true, .window = window};
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	server->fd = fds[0];
	assert_int_equal(pthread_create(&server->thread, NULL, serve, server), 0);
	assert_int_equal(objpool_adopt(&client, fds[1], NULL), 0);
	return client;
}

static struct objpool_client *start(struct server *server)
{
	return start_with(server, 0);
}

static void stop(struct server *server, struct objpool_client *client)
{
	objpool_close(client);
	pthread_join(server->thread, NULL);
	close(server->fd);
}

/* Without a thread: hello is the first call, so its answer can be there before it is asked. */
static struct objpool_client *start_silent(int *fd)
{
	struct objpool_client *client;
	int fds[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	send_all(fds[0], "\x94\x01\x01\xc0\x80", 5);
	assert_int_equal(objpool_adopt(&client, fds[1], NULL), 0);
	*fd = fds[0];
	char hello[256];
	assert_true(recv(fds[0], hello, sizeof hello, 0) > 20);
	return client;
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
	struct objpool_client *client = start(&server);
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
	stop(&server, client);
}

static void test_call_refuses_what_would_break_the_stream(void **state)
{
	int fd;
	struct objpool_client *client = start_silent(&fd);
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

/* An array of texts, each larger than what there was room for. */
static void pack_texts(struct objpool_packer *packer)
{
	static char text[20000];

	objpool_pack_array(packer, 3);
	for (int i = 0; i < 3; i++) {
		memset(text, 'a' + i, sizeof text);
		objpool_pack_str(packer, text, sizeof text);
	}
}

/* What could not be packed is not "none", nor a part of itself, wherever it is used. */
static void assert_refused(struct objpool_client *client, struct objpool_bytes failed)
{
	const struct objpool_call_options kwargs = {.size = sizeof kwargs, .kwargs = failed},
					  bind = {.size = sizeof bind, .bind = failed},
					  bind_kwargs = {.size = sizeof bind_kwargs, .bind_kwargs = failed};
	const struct objpool_bytes none = {NULL, 0};
	struct objpool_packer other = OBJPOOL_PACKER_INIT;
	struct objpool_result result;

	assert_null(failed.data);
	assert_int_equal(objpool_call(client, "sim.echo", failed, NULL, &result), -ENOMEM);
	assert_int_equal(objpool_call(client, "sim.echo", none, &kwargs, &result), -ENOMEM);
	assert_int_equal(objpool_call(client, "sim.echo", none, &bind, &result), -ENOMEM);
	assert_int_equal(objpool_call(client, "sim.echo", none, &bind_kwargs, &result), -ENOMEM);
	assert_int_equal(objpool_notify(client, "sim.echo", failed), -ENOMEM);
	assert_int_equal(objpool_unsent(client), 0);
	assert_int_equal(objpool_pack(&other, "[v]", failed), -ENOMEM);
	objpool_packer_free(&other);
	struct objpool_reader reader = objpool_reader(failed);
	assert_int_equal(objpool_read_type(&reader), OBJPOOL_END);
}

/* Packs with the n-th allocation failing. False: none did. */
static bool pack_without_memory(struct objpool_client *client, struct objpool_bytes right, int n, bool lasting)
{
	struct objpool_packer packer = OBJPOOL_PACKER_INIT;
	struct failing plan;

	failing = &plan;
	failing_begin(&plan, n, lasting);
	pack_texts(&packer);
	const bool failed = failing_end(&plan);
	failing = NULL;
	const struct objpool_bytes packed = objpool_packed(&packer);
	if (failed) {
		assert_int_equal(packer.error, -ENOMEM);
		assert_refused(client, packed);
	} else {
		assert_int_equal(packed.size, right.size);
		assert_memory_equal(packed.data, right.data, right.size);
	}
	objpool_packer_free(&packer);
	return failed;
}

static void test_packing_without_memory(void **state)
{
	int fd;
	struct objpool_client *client = start_silent(&fd);
	struct objpool_packer right = OBJPOOL_PACKER_INIT;

	(void)state;
	pack_texts(&right);
	for (int lasting = 0; lasting < 2; lasting++)
		for (int n = 0; pack_without_memory(client, objpool_packed(&right), n, lasting);)
			assert_true(++n < 100);
	objpool_packer_free(&right);
	objpool_close(client);
	close(fd);
}

/* A whole call. The connection may be lost for want of memory, but then every call says so. False: no allocation failed. */
static bool call_without_memory(int n, bool lasting)
{
	static const char text[100000];
	struct server server;
	struct objpool_client *client = start(&server);
	struct objpool_result result;
	struct failing plan;

	failing = &plan;
	failing_begin(&plan, n, lasting);
	const int rc = objpool_callf(client, "sim.echo", &result, "[S]", text, sizeof text);
	const bool failed = failing_end(&plan);
	failing = NULL;
	assert_true(rc == 0 || failed);
	if (rc == 0)
		assert_true(result.value.size == 6 + sizeof text &&
			    memcmp((const char *)result.value.data + 6, text, sizeof text) == 0);
	else
		assert_true(rc == -ENOMEM || (rc == -EREMOTEIO && strcmp(result.error->code, "DISCONNECTED") == 0));
	objpool_result_free(&result);
	const int again = objpool_callf(client, "sim.echo", &result, "[i]", n);
	assert_true(again == 0 || again == -ENOTCONN);
	objpool_result_free(&result);
	stop(&server, client);
	return failed;
}

static void test_calls_without_memory(void **state)
{
	(void)state;
	for (int lasting = 0; lasting < 2; lasting++)
		for (int n = 0; call_without_memory(n, lasting);)
			assert_true(++n < 100);
}

static void test_options(void **state)
{
	struct server server;
	struct objpool_client *client = start(&server);
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
	assert_int_equal(objpool_call(client, "sim:2.step", (struct objpool_bytes){"\x91\x09", 2}, &options, &result), 0);
	assert_value(&result, (char *)expected.data, expected.size);
	objpool_result_free(&result);
	options = (struct objpool_call_options){.size = sizeof options, .target = "sim:key=a.b"};
	assert_int_equal(objpool_call(client, "step", (struct objpool_bytes){"\x90", 1}, &options, &result), 0);
	assert_value(&result, "\x94\xabsim:key=a.b\xa4step\x90\x80", 20);
	objpool_result_free(&result);
	objpool_packer_free(&expected);
	stop(&server, client);
}

static void test_errors(void **state)
{
	struct server server;
	struct objpool_client *client = start(&server);
	struct objpool_result result;

	(void)state;
	assert_int_equal(objpool_callf(client, "sim.fail", &result, "[]"), -EREMOTEIO);
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
	assert_int_equal(objpool_callf(client, "sim.words", &result, "[]"), -EREMOTEIO);
	assert_string_equal(result.error->code, "NO_SUCH_POOL");
	assert_string_equal(result.error->message, "there is none");
	assert_true(result.error->slot == -1 && result.error->exit_status == -1 && !result.error->pool);
	objpool_result_free(&result);
	stop(&server, client);
}

static void test_answer_in_pieces(void **state)
{
	struct server server;
	struct objpool_client *client = start(&server);
	struct objpool_result result;

	(void)state;
	assert_int_equal(objpool_callf(client, "sim.pieces", &result, "[]"), 0);
	assert_int_equal(result.value.size, 1 + 2 + 49 + 1 + 1 + 5 + 1);
	objpool_result_free(&result);
	stop(&server, client);
}

static void test_large(void **state)
{
	struct server server;
	struct objpool_client *client = start(&server);
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
	stop(&server, client);
}

/* An answer that comes before the request has been read: the arguments are not looked at after the call, but all are sent. */
static void test_large_answered_early(void **state)
{
	int fd;
	struct objpool_client *client = start_silent(&fd);
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

struct tally {
	struct objpool_client *client;
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
/* ---- descriptors: a daemon that is written by hand ---- */

enum { DESCRIBED = 100000, MARK = 0x1234 };

static struct objpool_client *start_with_descriptors(int *fd)
{
	struct objpool_packer hello = OBJPOOL_PACKER_INIT;
	struct objpool_client *client;
	char said[256];
	int fds[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	objpool_pack(&hello, "[i i n {s s, s b, s i}]", 1, 1, "server", "x", "fds", true, "fds_mark", MARK);
	send_all(fds[0], hello.data, hello.size);
	objpool_packer_free(&hello);
	assert_int_equal(objpool_adopt(&client, fds[1], NULL), 0);
	const ssize_t n = recv(fds[0], said, sizeof said, 0);
	assert_true(n > 0 && memmem(said, (size_t)n, "\xa3""fds\xc3", 5));
	*fd = fds[0];
	return client;
}

static int filled_memfd(int seals, const void *bytes, size_t size)
{
	const int fd = memfd_create("daemon", MFD_ALLOW_SEALING | MFD_CLOEXEC);

	assert_int_equal(write(fd, bytes, size), size);
	assert_true(seals == 0 || fcntl(fd, F_ADD_SEALS, seals) == 0);
	return fd;
}

/* Sends bytes and, unless it is -1, the descriptor, which it closes. */
static void send_described(int fd, const void *bytes, size_t size, int described)
{
	union {
		struct cmsghdr head;
		char room[CMSG_SPACE(sizeof(int))];
	} control = {.head = {.cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS, .cmsg_len = CMSG_LEN(sizeof(int))}};
	struct iovec iov = {.iov_base = (void *)(uintptr_t)bytes, .iov_len = size};
	struct msghdr message = {.msg_iov = &iov, .msg_iovlen = 1};

	if (described >= 0) {
		memcpy(CMSG_DATA(&control.head), &described, sizeof described);
		message.msg_control = &control;
		message.msg_controllen = sizeof control;
	}
	assert_int_equal(sendmsg(fd, &message, 0), size);
	if (described >= 0)
		close(described);
}

/* What one read brings; `*described` is how many descriptors, which are closed. */
static size_t receive_described(int fd, void *bytes, size_t size, unsigned *described)
{
	char control[CMSG_SPACE(64 * sizeof(int))] __attribute__((aligned(8)));
	struct iovec iov = {.iov_base = bytes, .iov_len = size};
	struct msghdr message = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
	const ssize_t n = recvmsg(fd, &message, MSG_DONTWAIT);

	*described = 0;
	for (struct cmsghdr *c = n > 0 ? CMSG_FIRSTHDR(&message) : NULL; c; c = CMSG_NXTHDR(&message, c))
		for (size_t at = CMSG_LEN(0); at < c->cmsg_len; at += sizeof(int), ++*described) {
			int found;
			memcpy(&found, (char *)c + at, sizeof found);
			close(found);
		}
	return n > 0 ? (size_t)n : 0;
}

/* Each message with descriptors begins a write, whatever was left of the one before it, and has no more than 64. */
static void test_descriptors_leave_with_their_message(void **state)
{
	struct objpool_packer plain = OBJPOOL_PACKER_INIT, large = OBJPOOL_PACKER_INIT;
	struct tally tally = {0};
	unsigned char *bytes = calloc(1, 1 << 20), *in = malloc(1 << 20);
	unsigned described, messages = 0, passed[2] = {0};
	int fd;
	struct objpool_client *client = start_with_descriptors(&fd);

	(void)state;
	objpool_pack(&plain, "[S]", bytes, (size_t)900000);
	objpool_pack_array(&large, 66);
	for (int i = 0; i < 66; i++)
		objpool_pack_bin(&large, bytes, i < 2 ? 65536 : 65536 + (size_t)i);
	assert_int_equal(objpool_call_async(client, "sim.plain", objpool_packed(&plain), NULL, count_answer, &tally, NULL), 0);
	assert_int_equal(objpool_call_async(client, "sim.large", objpool_packed(&large), NULL, count_answer, &tally, NULL), 0);
	assert_true(objpool_unsent(client) > 0);
	for (size_t n; objpool_flush(client), (n = receive_described(fd, in, 1 << 20, &described)) > 0;)
		if (described > 0) {
			assert_non_null(memmem(in, n, "sim.large", 9));
			passed[messages++] = described;
		}
	assert_int_equal(messages, 1);
	assert_int_equal(passed[0], 64);
	assert_int_equal(objpool_unsent(client), 0);
	objpool_packer_free(&plain);
	objpool_packer_free(&large);
	objpool_close(client);
	close(fd);
	free(bytes);
	free(in);
}

/* Takes the request, and says which file has come with it. */
static ino_t receive_file(int fd)
{
	char bytes[1024], control[CMSG_SPACE(sizeof(int))] __attribute__((aligned(8)));
	struct iovec iov = {.iov_base = bytes, .iov_len = sizeof bytes};
	struct msghdr message = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
	struct stat st;
	int found;

	assert_true(recvmsg(fd, &message, MSG_DONTWAIT) > 0 && CMSG_FIRSTHDR(&message));
	memcpy(&found, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof found);
	assert_int_equal(fstat(found, &st), 0);
	close(found);
	return st.st_ino;
}

/* Calls with a large argument, and answers with `error`, or nil. */
static ino_t call_with_file(struct objpool_client *client, int fd, int msgid, const char *error)
{
	static const unsigned char zeros[DESCRIBED];
	struct objpool_packer args = OBJPOOL_PACKER_INIT, answer = OBJPOOL_PACKER_INIT;
	struct tally tally = {0};

	objpool_pack_array(&args, 1);
	objpool_pack_bin(&args, zeros, DESCRIBED);
	assert_int_equal(objpool_call_async(client, "sim.x", objpool_packed(&args), NULL, count_answer, &tally, NULL), 0);
	assert_int_equal(objpool_flush(client), 0);
	const ino_t file = receive_file(fd);
	if (error)
		objpool_pack(&answer, "[i i s n]", 1, msgid, error);
	else
		objpool_pack(&answer, "[i i n [i]]", 1, msgid, 0);
	send_all(fd, answer.data, answer.size);
	assert_int_equal(objpool_dispatch(client, POLLIN), 0);
	assert_int_equal(tally.answers, 1);
	objpool_packer_free(&args);
	objpool_packer_free(&answer);
	return file;
}

/* The method of a call that failed may be at work on them still. */
static void test_memory_of_arguments_is_used_again_after_a_success_only(void **state)
{
	int fd;
	struct objpool_client *client = start_with_descriptors(&fd);

	(void)state;
	const ino_t first = call_with_file(client, fd, 2, NULL);
	assert_int_equal(call_with_file(client, fd, 3, NULL), first);
	assert_int_equal(call_with_file(client, fd, 4, "TIMEOUT: late"), first);
	assert_int_not_equal(call_with_file(client, fd, 5, NULL), first);
	objpool_close(client);
	close(fd);
}

/* [1, 2, nil, what stands for the descriptor's bytes from `offset` on] */
static size_t write_answer(unsigned char *answer, int mark, size_t offset, size_t size)
{
	const unsigned char head[] = {0x94, 1, 2, 0xc0, 0xd8, 112, (unsigned char)(mark >> 8), (unsigned char)mark};

	memset(answer, 0, 22);
	memcpy(answer, head, sizeof head);
	for (int i = 0; i < 4; i++) {
		answer[13 - i] = (unsigned char)(offset >> (8 * i));
		answer[21 - i] = (unsigned char)(size >> (8 * i));
	}
	return 22;
}

/* A value that lies there packed is given back when its result is freed; one that doesn't is copied, and given back at once. */
static void test_results_by_descriptor(void **state)
{
	const unsigned char header[] = {0xc6, 0, DESCRIBED >> 16, (DESCRIBED >> 8) & 0xff, DESCRIBED & 0xff};

	(void)state;
	for (size_t offset = 0; offset <= 5; offset += 5) {
		unsigned char *bytes = calloc(1, 5 + DESCRIBED), answer[22], said[256];
		struct objpool_result result;
		unsigned described;
		int fd;
		struct objpool_client *client = start_with_descriptors(&fd);
		memcpy(bytes, header, offset);
		memset(bytes + offset, 7, DESCRIBED);
		send_described(fd, answer, write_answer(answer, MARK, offset, DESCRIBED), filled_memfd(F_SEAL_SHRINK, bytes, offset + DESCRIBED));
		assert_int_equal(objpool_callf(client, "sim.x", &result, "[]"), 0);
		assert_int_equal(result.value.size, 5 + DESCRIBED);
		assert_memory_equal(result.value.data, header, 5);
		assert_int_equal(((const unsigned char *)result.value.data)[4 + DESCRIBED], 7);
		assert_int_equal(objpool_events(client) & POLLOUT, 0);
		size_t n = receive_described(fd, said, sizeof said, &described); /* the request */
		assert_true(n > 0 && !memmem(said, n, "give_back", 9) == (offset == 5));
		objpool_result_free(&result);
		assert_int_equal(objpool_events(client) & POLLOUT, offset == 5 ? POLLOUT : 0);
		assert_int_equal(objpool_flush(client), 0);
		n = receive_described(fd, said, sizeof said, &described);
		assert_int_equal(n, offset == 5 ? 22 : 0);
		assert_memory_equal(said, offset == 5 ? "\x93\2\xb1objpool.give_back\x91" : "", n);
		objpool_close(client);
		close(fd);
		free(bytes);
	}
}

/* What can't be what it is said to be ends the connection; what has not the mark is a value. */
static void test_wrong_descriptors(void **state)
{
	char bytes[1000] = {0};
	unsigned char answer[22];
	struct objpool_result result;
	struct objpool_client *client;
	int fd;

	(void)state;
	for (int i = 0; i < 4; i++) {
		const int described = i == 0 ? -1 : filled_memfd(i == 1 ? 0 : F_SEAL_SHRINK, bytes, sizeof bytes);
		client = start_with_descriptors(&fd);
		send_described(fd, answer, write_answer(answer, MARK, 0, i == 2 ? 1001 : 1000), described);
		assert_int_equal(objpool_callf(client, "sim.x", &result, "[]"), i == 3 ? 0 : -EREMOTEIO);
		if (i < 3)
			assert_string_equal(result.error->code, "DISCONNECTED");
		objpool_result_free(&result);
		objpool_close(client);
		close(fd);
	}
	client = start_with_descriptors(&fd);
	send_described(fd, answer, write_answer(answer, MARK + 1, 0, 1000), -1);
	assert_int_equal(objpool_callf(client, "sim.x", &result, "[]"), 0);
	assert_int_equal(result.value.size, 18);
	assert_memory_equal(result.value.data, answer + 4, 18);
	objpool_result_free(&result);
	objpool_close(client);
	close(fd);
}

static void test_pipeline(void **state)
{
	enum { CALLS = 100000 };
	struct server server;
	struct objpool_client *client = start(&server);
	struct objpool_packer args = OBJPOOL_PACKER_INIT;
	struct tally tally = {.client = client};

	(void)state;
	for (int i = 0; i < CALLS; i++) {
		args.size = 0;
		objpool_pack(&args, "[i]", i);
		assert_int_equal(objpool_call_async(client, "sim.echo", objpool_packed(&args), NULL, count_answer, &tally, NULL), 0);
	}
	assert_int_equal(objpool_in_flight(client), CALLS);
	assert_int_equal(objpool_drain(client), 0);
	assert_int_equal(tally.answers, CALLS);
	assert_int_equal(tally.wrong, 0);
	objpool_packer_free(&args);
	stop(&server, client);
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
		assert_int_equal(objpool_call_async(tally->client, "sim.echo", (struct objpool_bytes){NULL, 0}, NULL, call_again, tally, NULL), 0);
}

static void test_calls_within_callbacks(void **state)
{
	struct server server;
	struct objpool_client *client = start(&server);
	struct tally tally = {.client = client, .again = 5};

	(void)state;
	assert_int_equal(objpool_call_async(client, "sim.echo", (struct objpool_bytes){NULL, 0}, NULL, call_again, &tally, NULL), 0);
	assert_int_equal(objpool_drain(client), 0);
	assert_int_equal(tally.answers, 6);
	stop(&server, client);
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
		struct objpool_client *client = start(&server);
		struct tally tally = {.code = "DISCONNECTED"};
		struct objpool_result result;
		for (int n = 0; n < 10; n++)
			assert_int_equal(objpool_call_async(client, "sim.never", (struct objpool_bytes){NULL, 0}, NULL, keep_code, &tally, NULL), 0);
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
		stop(&server, client);
	}
}

static void test_close_tells_who_waits(void **state)
{
	int fd;
	struct objpool_client *client = start_silent(&fd);
	struct tally tally = {.code = "DISCONNECTED"};

	(void)state;
	for (int n = 0; n < 200; n++)
		assert_int_equal(objpool_call_async(client, "sim.x", (struct objpool_bytes){NULL, 0}, NULL, keep_code, &tally, NULL), 0);
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
	struct objpool_client *client = start_silent(&fd);
	struct tally tally = {.client = client};

	(void)state;
	for (int n = 0; n < 3; n++)
		assert_int_equal(objpool_call_async(client, "sim.x", (struct objpool_bytes){NULL, 0}, NULL, close_it, &tally, NULL), 0);
	send_all(fd, "\x94\x01\x02\xc0\xc0\x94\x01\x03\xc0\xc0", 10);
	assert_int_equal(objpool_wait(client, -1), -ESHUTDOWN);
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
	struct objpool_client *client = start(&server);
	struct tally tally = {0};
	struct objpool_result result;

	(void)state;
	assert_int_equal(objpool_callf(client, "sim.note", &result, "[]"), 0); /* dropped */
	objpool_result_free(&result);
	objpool_on_notification(client, note_params, &tally);
	assert_int_equal(objpool_callf(client, "sim.note", &result, "[]"), 0);
	objpool_result_free(&result);
	assert_int_equal(tally.answers, 1);
	stop(&server, client);
}

static void test_cancel(void **state)
{
	struct server server;
	struct objpool_client *client = start(&server);
	struct tally tally = {.code = "CANCELLED"};
	uint32_t id;

	(void)state;
	assert_int_equal(objpool_call_async(client, "sim.never", (struct objpool_bytes){NULL, 0}, NULL, keep_code, &tally, &id), 0);
	assert_int_equal(objpool_cancel(client, id), 0);
	assert_int_equal(objpool_drain(client), 0);
	assert_int_equal(tally.answers, 1);
	assert_int_equal(tally.wrong, 0);
	stop(&server, client);
}

/* ---- a loop of one's own ------------------------------------------------------------------------------------------------ */

static void test_own_loop(void **state)
{
	int fd;
	struct objpool_client *client = start_silent(&fd);
	struct tally tally = {.code = ""};
	struct objpool_call_options options = {.size = sizeof options, .timeout_ms = 5000};
	char bytes[256];

	(void)state;
	assert_int_equal(objpool_events(client), POLLIN);
	assert_int_equal(objpool_timeout_ms(client), -1);
	assert_int_equal(objpool_dispatch(client, 0), 0);
	assert_int_equal(objpool_call_async(client, "sim.x", (struct objpool_bytes){NULL, 0}, &options, keep_code, &tally, NULL), 0);
	assert_int_equal(objpool_call_async(client, "sim.x", (struct objpool_bytes){NULL, 0}, NULL, keep_code, &tally, NULL), 0);
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
	struct objpool_client *client = start_silent(&fd);
	struct tally tally = {.code = "FAILED"};

	(void)state;
	assert_int_equal(objpool_call_async(client, "sim.x", (struct objpool_bytes){NULL, 0}, NULL, keep_code, &tally, NULL), 0);
	send_all(fd, "\x94\x01\x02\xa9" "FAILED: x\xc0", 14);
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
	static const char *const malformed[] = {"", "x", "unix:", "tcp:", "tcp:host", "tcp:host:", "tcp::1", "tcp:::1:5", "tcp:[::1]", "tcp:[::1]:x",
						"tcp:1.2.3.4:123456", "http://x"};
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

/* ---- results one by one
 * ------------------------------------------------------------------------------------------------------ */

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

static int run_map(struct objpool_client *client, const char *method, struct items *items, const struct objpool_map_options *options,
		   struct objpool_result *result)
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

	assert_int_equal(objpool_map_async(client, method, give_item, items, take_result, items, NULL, stream_is_done, items, &stream), 0);
	return stream;
}

static void test_all(void **state)
{
	struct server server;
	struct objpool_client *client = start(&server);
	const struct objpool_bytes args = {"\x93\x00\x01\x02", 4};
	struct items items = {0};
	struct objpool_result result;

	(void)state;
	assert_int_equal(objpool_all(client, "sim.step", args, NULL, take_result, &items, &result), 0);
	assert_true(items.seen == 3 && items.wrong == 0);
	items = (struct items){.stop_at = 2, .stop_with = 42};
	assert_int_equal(objpool_all(client, "sim:all.step", args, NULL, take_result, &items, NULL), 42);
	assert_int_equal(items.seen, 2);
	assert_int_equal(objpool_all(client, "sim:2.step", (struct objpool_bytes){NULL, 0}, NULL, take_result, &items, NULL), -EINVAL);
	assert_int_equal(objpool_all(client, ".step", (struct objpool_bytes){NULL, 0}, NULL, take_result, &items, NULL), -EINVAL);
	stop(&server, client);
	assert_string_equal(server.options[0], "errors");
	assert_string_equal(server.options[1], "stream");
}

/* What a call has many results of, comes one by one; its own failure is told apart from theirs. */
static void test_call_each(void **state)
{
	struct server server;
	struct objpool_client *client = start(&server);
	struct objpool_call_options options = {.size = sizeof options, .unordered = true, .window = 7, .timeout_ms = 60000};
	struct objpool_packer args = OBJPOOL_PACKER_INIT;
	struct objpool_result result;
	struct items items = {0};

	(void)state;
	objpool_pack_array(&args, 100);
	for (int i = 0; i < 100; i++)
		objpool_pack_int(&args, i);
	assert_int_equal(objpool_call_each(client, "sim:scatter.step", objpool_packed(&args), &options, take_result, &items, &result),
			 -EREMOTEIO);
	assert_true(items.seen == 100 && items.failed == 1 && items.wrong == 0);
	assert_string_equal(result.error->message, "thirteen");
	objpool_result_free(&result);
	options.errors = "collect";
	items = (struct items){0};
	assert_int_equal(objpool_call_each(client, "sim.step", (struct objpool_bytes){"\x91\x00", 2}, &options, take_result, &items, NULL), 0);
	assert_true(items.seen == 1 && items.wrong == 0);
	assert_int_equal(objpool_call_each(client, "sim", (struct objpool_bytes){NULL, 0}, NULL, take_result, &items, NULL), -EINVAL);
	assert_int_equal(objpool_call_each(client, "sim.step", (struct objpool_bytes){"\xc0", 1}, NULL, take_result, &items, NULL), -EINVAL);
	objpool_packer_free(&args);
	stop(&server, client);
	static const char *const sent[] = {"errors", "timeout_ms", "stream", "window", "ordered", ""};
	for (size_t i = 0; i < sizeof sent / sizeof *sent; i++)
		assert_string_equal(server.options[i], sent[i]);
}

/* Large arguments of a stream that ends before they have been sent are not looked at any more. */
static void test_call_each_stopped_early(void **state)
{
	int fd;
	struct objpool_client *client = start_silent(&fd);
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
	struct objpool_client *client = start(&server);
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
	stop(&server, client);
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
		struct objpool_client *client = start_with(&server, windows[i]);
		struct items items = {.count = 10000};
		assert_int_equal(run_map(client, "sim.step", &items, NULL, NULL), -EREMOTEIO);
		assert_true(items.seen == 10000 && items.wrong == 0 && items.failed == 1);
		stop(&server, client);
		assert_int_equal(server.overdrawn, 0);
		assert_in_range(server.most, 1, windows[i]);
	}
}

/* next() is not asked before there is credit, and for no more than that. */
static void test_map_is_lazy(void **state)
{
	int fd;
	struct objpool_client *client = start_silent(&fd);
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
	struct objpool_client *client = start(&server);
	struct items items = {.count = 300, .size = 300000};

	(void)state;
	alarm(60);
	assert_int_equal(run_map(client, "sim.step", &items, NULL, NULL), 0);
	alarm(0);
	assert_true(items.seen == 300 && items.wrong == 0);
	stop(&server, client);
	assert_int_equal(server.overdrawn, 0);
}

/* With credit for ten thousand items and a server that doesn't read them, only a few are taken. */
static void test_map_takes_no_more_than_the_socket(void **state)
{
	int fd;
	struct objpool_client *client = start_silent(&fd);
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
	struct objpool_client *client = start_with(&server, 6);
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
	stop(&server, client);
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
	struct objpool_client *client = start(&server);

	(void)state;
	for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
		int number = numbers[i];
		struct items items = {0};
		assert_int_equal(objpool_map(client, "sim.step", give_nothing, &number, take_result, &items, NULL, NULL), number);
		assert_int_equal(items.seen, 0);
	}
	assert_int_equal(objpool_drain(client), 0);
	stop(&server, client);
}

static void test_map_stopped_by_its_callbacks(void **state)
{
	struct server server;
	struct objpool_client *client = start_with(&server, 6);
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
	stop(&server, client);
	assert_int_equal(server.cancelled, 2);
}

/* The input's own failure comes behind the results of what was before it. */
static void test_map_whose_input_fails(void **state)
{
	struct server server;
	struct objpool_client *client = start_with(&server, 4);
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
	stop(&server, client);
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
	struct objpool_client *client = start(&server);
	struct objpool_map_options options = {.size = sizeof options, .window = 1};
	struct objpool_result result;
	struct items items = {0};

	(void)state;
	for (int how = 1; how <= 5; how++)
		assert_int_equal(objpool_map(client, "sim.step", give_garbage, &how, take_result, &items, &options, NULL), -EINVAL);
	assert_int_equal(items.seen, 0);
	assert_int_equal(objpool_callf(client, "sim.echo", &result, "[]"), 0);
	objpool_result_free(&result);
	stop(&server, client);
}

/* Two at once, one of which has to wait for its items; and what came before the pause is answered during it. */
static void test_maps_side_by_side(void **state)
{
	struct server server;
	struct objpool_client *client = start(&server);
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
	stop(&server, client);
}

static void test_map_stopped(void **state)
{
	struct server server;
	struct objpool_client *client = start(&server);
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
	stop(&server, client);
}

/* In the middle, with items and results under way. */
static void test_map_whose_connection_is_lost(void **state)
{
	struct server server;
	struct objpool_client *client = start(&server);
	struct items items = {.count = 100000}, other = {0};
	struct objpool_result result;

	(void)state;
	(void)objpool_call_each_async(client, "sim.stall", (struct objpool_bytes){NULL, 0}, NULL, take_result, &other, stream_is_done, &other,
				      NULL);
	assert_int_equal(run_map(client, "sim.break", &items, NULL, &result), -EREMOTEIO);
	assert_string_equal(result.error->code, "DISCONNECTED");
	assert_true(items.seen <= 20 && items.wrong == 0);
	objpool_result_free(&result);
	assert_true(other.done && other.status == -EREMOTEIO);
	assert_string_equal(other.code, "DISCONNECTED");
	assert_int_equal(run_map(client, "sim.step", &items, NULL, NULL), -ENOTCONN);
	stop(&server, client);
}

/* The connection breaks while items are being sent, not between two turns. */
static void test_map_disconnected_on_the_way(void **state)
{
	int fd;
	struct objpool_client *client = start_silent(&fd);
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
	struct objpool_client *client = start_silent(&fd);
	struct items outside = {.count = 3}, inside = {.count = 9, .stop_at = 2, .closes = true};
	struct server server;

	(void)state;
	(void)start_map(client, "sim.step", &outside);
	assert_int_equal(objpool_dispatch(client, 0), 0);
	objpool_close(client);
	assert_true(outside.done && outside.seen == 0);
	assert_string_equal(outside.code, "DISCONNECTED");
	close(fd);
	inside.client = start(&server);
	assert_int_equal(run_map(inside.client, "sim.step", &inside, NULL, NULL), -EREMOTEIO);
	assert_int_equal(inside.seen, 2);
	stop(&server, NULL);
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
	struct objpool_client *client = start(&server);
	struct items closes = {.client = client}, other = {0};
	struct tally tally = {.code = "DISCONNECTED"};

	(void)state;
	assert_int_equal(objpool_call_async(client, "sim.never", (struct objpool_bytes){NULL, 0}, NULL, keep_code, &tally, NULL), 0);
	for (int i = 0; i < 2; i++)
		assert_int_equal(objpool_call_each_async(client, i ? "sim.step" : "sim.stall", (struct objpool_bytes){NULL, 0}, NULL, take_result,
							 i ? &closes : &other, i ? close_at_the_end : stream_is_done, i ? &closes : &other,
							 NULL), 0);
	while (!closes.done)
		(void)objpool_wait(client, -1);
	assert_true(closes.status == 0 && other.done && other.status == -EREMOTEIO);
	assert_true(tally.answers == 1 && tally.wrong == 0);
	stop(&server, NULL);
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
	struct objpool_client *client = start(&server);
	struct progress progress = {0};
	struct objpool_call_options options = {.size = sizeof options, .on_progress = note_progress, .progress_context = &progress};
	struct tally tally = {0};
	struct items items = {0};
	struct objpool_result result;

	(void)state;
	objpool_on_notification(client, note_params, &tally);
	assert_int_equal(objpool_call(client, "sim.progress", (struct objpool_bytes){NULL, 0}, &options, &result), 0);
	objpool_result_free(&result);
	assert_true(progress.calls == 2 && progress.wrong == 0);
	progress = (struct progress){0};
	assert_int_equal(objpool_call_each(client, "sim:all.progress", (struct objpool_bytes){"\x92\0\1", 3}, &options, take_result, &items,
					   NULL), 0);
	assert_true(progress.calls == 2 && progress.wrong == 0 && items.seen == 2);
	progress = (struct progress){.stop_with = 5};
	items = (struct items){0};
	assert_int_equal(objpool_call_each(client, "sim:all.progress", (struct objpool_bytes){"\x92\0\1", 3}, &options, take_result, &items,
					   NULL), 5);
	assert_true(progress.calls == 1 && items.seen == 0);
	stop(&server, client);
	assert_int_equal(tally.answers, 0);
	assert_int_equal(server.cancelled, 1);
}

/* ---- leases --------------------------------------------------------------------------------------------------------------- */

static void test_lease(void **state)
{
	struct server server;
	struct objpool_client *client = start(&server);
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
	stop(&server, client);
}

/* ---- inner parts
 * ------------------------------------------------------------------------------------------------------------- */

static uint32_t add_pending(struct pending *pending, void *context, int64_t deadline)
{
	struct pending_call call = {.context = context, .deadline = deadline};

	assert_int_equal(pending_add(pending, &call), 0);
	return call.msgid;
}

static void test_pending(void **state)
{
	enum { CALLS = 5000 };
	struct pending pending = {0};
	struct pending_call call;
	struct pending_call slow = {0};
	uint32_t ids[CALLS];
	int64_t last = 0;

	(void)state;
	assert_int_equal(pending_add(&pending, &slow), 0);
	for (int round = 0; round < 3; round++) {
		for (uint32_t i = 0; i < CALLS; i++)
			ids[i] = add_pending(&pending, &ids[i], 1 + i * 7919 % CALLS);
		for (uint32_t i = 0; i < CALLS; i += 3)
			assert_true(pending_take(&pending, ids[i], &call) && call.context == &ids[i]);
		assert_false(pending_take(&pending, ids[0], &call));
		for (last = 0; pending_take_expired(&pending, CALLS, &call); last = call.deadline)
			assert_true(call.deadline >= last);
		assert_int_equal(pending.count, 1);
	}
	assert_true(pending_find(&pending, slow.msgid) && pending_take(&pending, slow.msgid, &call));
	assert_null(pending_find(&pending, slow.msgid));
	pending.last_id = UINT32_MAX - 1; /* ids begin anew, and never with 0 */
	for (uint32_t i = 0; i < 3; i++)
		ids[i] = add_pending(&pending, NULL, 0);
	assert_true(ids[0] == UINT32_MAX && ids[1] == 1 && ids[2] == 2);
	pending_free(&pending);
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
		cmocka_unit_test(test_packing_without_memory),
		cmocka_unit_test(test_calls_without_memory),
		cmocka_unit_test(test_options),
		cmocka_unit_test(test_errors),
		cmocka_unit_test(test_answer_in_pieces),
		cmocka_unit_test(test_large),
		cmocka_unit_test(test_large_answered_early),
		cmocka_unit_test(test_descriptors_leave_with_their_message),
		cmocka_unit_test(test_memory_of_arguments_is_used_again_after_a_success_only),
		cmocka_unit_test(test_results_by_descriptor),
		cmocka_unit_test(test_wrong_descriptors),
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
		cmocka_unit_test(test_call_each),
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
		cmocka_unit_test(test_lease),
		cmocka_unit_test(test_pending),
	};

	return cmocka_run_group_tests_name("client", tests, NULL, NULL);
}
