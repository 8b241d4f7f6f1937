/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/client_server.h"

#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

void send_all(int fd, const void *bytes, size_t size)
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
void pack_object(struct objpool_packer *packer, msgpack_object object)
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

	objpool_pack(&packer, "[i I {s s, s s, s s, s s, s s, s i, s i, s i, s s, s i, s i, s B, s s, s s, s [i], i i} n]", 1,
		     (int64_t)id, "code", "WORKER_LOST", "message", "it died", "type", "Boom", "traceback", "here\n", "pool",
		     "sim", "slot", 2, "generation", 3, "index", 4, "ran", "maybe", "signal", 9, "exit_status", 7, "data", "\0\1",
		     (size_t)2, "user", "ci", "right", "call", "unknown", 1, 5, 6);
	send_packed(server->fd, &packer);
}

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
	objpool_pack(&packer, "[i s [I I v n]]", 2, "objpool.result", (int64_t)served->id, (int64_t)index,
		     objpool_packed(&failure));
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
			served->errors = named(o->val, "collect") ? ERRORS_COLLECT
					 : named(o->val, "first") ? ERRORS_FIRST
								  : ERRORS_WAIT;
		if (named(o->key, "window"))
			served->window = o->val.via.u64;
	}
}

static void send_progress(struct server *server, uint32_t id)
{
	struct objpool_packer packer = OBJPOOL_PACKER_INIT;

	objpool_pack(&packer, "[i s [I i i s]] [i s [I n n n]]", 2, "objpool.progress", (int64_t)id, 3, 8, "half", 2,
		     "objpool.progress", (int64_t)id);
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

	objpool_pack(&packer, "[i I n {s [i i i]}]", 1, (int64_t)id, "a longer string than fits into one byte of length", 1,
		     70000, -5);
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

struct objpool_client *server_start_with(struct server *server, uint64_t window)
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

struct objpool_client *server_start(struct server *server)
{
	return server_start_with(server, 0);
}

void server_stop(struct server *server, struct objpool_client *client)
{
	objpool_close(client);
	pthread_join(server->thread, NULL);
	close(server->fd);
}

/* Without a thread: hello is the first call, so its answer can be there before it is asked. */
struct objpool_client *connect_without_server(int *fd)
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

void count_answer(void *context, const struct objpool_result *result)
{
	struct tally *tally = context;
	struct objpool_reader reader = objpool_reader(result->value);
	uint32_t count;
	int64_t number;

	if (objpool_read_array(&reader, &count) < 0 || objpool_read_int(&reader, &number) < 0 ||
	    number != (int64_t)tally->answers)
		tally->wrong++;
	tally->answers++;
}

void expect_code(void *context, const struct objpool_result *result)
{
	struct tally *tally = context;

	tally->answers++;
	tally->wrong += !result->error || strcmp(result->error->code, tally->code) != 0;
}

void note_params(void *context, const char *method, struct objpool_bytes params)
{
	struct tally *tally = context;

	tally->answers += strcmp(method, "objpool.progress") == 0 && params.size == 4;
}
