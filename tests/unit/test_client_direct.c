/* SPDX-License-Identifier: Apache-2.0 */
/* Direct channels of libobjpool: which calls go on them, how they begin and end, and what becomes of calls in flight. */
#include "tests/unit/client_server.h"
#include "tests/unit/failing.h"

#include "proto/rings.h"

#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

/* The test is the daemon, at one end of a socketpair, and the worker, at one end of another. */
struct stage {
	struct objpool_client *client;
	int daemon;
	int worker;
};

/* What became of a call. */
struct outcome {
	unsigned answers;
	struct objpool_result result;
};

static void note(void *context, const struct objpool_result *result)
{
	struct outcome *outcome = context;

	outcome->answers++;
	objpool_result_free(&outcome->result);
	assert_int_equal(objpool_result_copy(&outcome->result, result), 0);
}

static void assert_number(struct outcome *outcome, int64_t expected)
{
	struct objpool_reader reader = objpool_reader(outcome->result.value);
	int64_t number;

	assert_int_equal(outcome->answers, 1);
	assert_null(outcome->result.error);
	assert_int_equal(objpool_read_int(&reader, &number), 0);
	assert_int_equal(number, expected);
	objpool_result_free(&outcome->result);
}

static void assert_failed(struct outcome *outcome, const char *code, enum objpool_ran ran)
{
	assert_int_equal(outcome->answers, 1);
	assert_non_null(outcome->result.error);
	assert_string_equal(outcome->result.error->code, code);
	assert_int_equal(outcome->result.error->ran, ran);
}

static void say(int fd, const char *format, ...)
{
	struct objpool_packer packer = OBJPOOL_PACKER_INIT;
	va_list arguments;

	va_start(arguments, format);
	assert_int_equal(objpool_vpack(&packer, format, arguments), 0);
	va_end(arguments);
	send_all(fd, packer.data, packer.size);
	objpool_packer_free(&packer);
}

/* Reads as many bytes as the format makes, which must be these. */
static void hear(int fd, const char *format, ...)
{
	struct objpool_packer packer = OBJPOOL_PACKER_INIT;
	unsigned char bytes[512];
	va_list arguments;

	va_start(arguments, format);
	assert_int_equal(objpool_vpack(&packer, format, arguments), 0);
	va_end(arguments);
	assert_int_equal(recv(fd, bytes, packer.size, MSG_WAITALL | MSG_DONTWAIT), packer.size);
	assert_memory_equal(bytes, packer.data, packer.size);
	objpool_packer_free(&packer);
}

static void hear_nothing(int fd)
{
	char byte;

	assert_int_equal(recv(fd, &byte, 1, MSG_DONTWAIT), -1);
	assert_int_equal(errno, EAGAIN);
}

static void hear_end(int fd)
{
	char byte;

	assert_int_equal(recv(fd, &byte, 1, MSG_DONTWAIT), 0);
}

/* Answers objpool.attach with a socket. Returns the worker's end of it. */
static int give_channel(int fd, unsigned msgid, int slot, int channel)
{
	union {
		struct cmsghdr head;
		char room[CMSG_SPACE(sizeof(int))];
	} control = {.head = {.cmsg_len = CMSG_LEN(sizeof(int)), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS}};
	struct objpool_packer packer = OBJPOOL_PACKER_INIT;
	int fds[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	objpool_pack(&packer, "[i u n {s i s i s [] s i}]", 1, (uint64_t)msgid, "slot", slot, "generation", 3, "more", "channel",
		     channel);
	struct iovec iov = {.iov_base = packer.data, .iov_len = packer.size};
	const struct msghdr message = {
		.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
	memcpy(CMSG_DATA(&control.head), &fds[1], sizeof(int));
	assert_int_equal(sendmsg(fd, &message, MSG_NOSIGNAL), packer.size);
	objpool_packer_free(&packer);
	close(fds[1]);
	return fds[0];
}

/* One turn: sends, takes what has come, sends what follows. */
static void turn(const struct stage *stage)
{
	struct pollfd pollfd = {.fd = objpool_fd(stage->client), .events = objpool_events(stage->client)};

	(void)poll(&pollfd, 1, 0);
	assert_int_equal(objpool_dispatch(stage->client, pollfd.revents), 0);
}

static uint32_t call(const struct stage *stage, const char *method, int number, struct outcome *outcome)
{
	struct objpool_packer args = OBJPOOL_PACKER_INIT;
	uint32_t id;

	*outcome = (struct outcome){0};
	objpool_pack(&args, "[i]", number);
	assert_int_equal(objpool_call_async(stage->client, method, objpool_packed(&args), NULL, note, outcome, &id), 0);
	objpool_packer_free(&args);
	return id;
}

static void begin_as(struct stage *stage, int minor, enum objpool_direct direct)
{
	const struct objpool_connect_options options = {.size = sizeof options, .client = "t", .direct = direct};
	int fds[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	stage->daemon = fds[0];
	stage->worker = -1;
	say(stage->daemon, "[i i n {s b s i s [i i]}]", 1, 1, "fds", true, "fds_mark", 7, "protocol", 1, minor);
	assert_int_equal(objpool_adopt(&stage->client, fds[1], &options), 0);
	hear(stage->daemon, "[i i s [{s s s s s b}]]", 0, 1, "objpool.hello", "client", "t", "errors", "map", "fds", true);
}

static void begin_with(struct stage *stage, int minor)
{
	begin_as(stage, minor, OBJPOOL_DIRECT);
}

/* A connection that has a channel, number 17, to slot 0. The next msgid is 4. */
static void begin(struct stage *stage)
{
	struct outcome first;

	begin_with(stage, 1);
	call(stage, "sim.step", 1, &first);
	turn(stage);
	hear(stage->daemon, "[i i s [s]] [i i s [i]]", 0, 2, "objpool.attach", "sim", 0, 3, "sim.step", 1);
	say(stage->daemon, "[i i n i]", 1, 3, 10);
	stage->worker = give_channel(stage->daemon, 2, 0, 17);
	turn(stage);
	assert_number(&first, 10);
	assert_int_equal(objpool_in_flight(stage->client), 0);
}

static void end(struct stage *stage)
{
	objpool_close(stage->client);
	close(stage->daemon);
	if (stage->worker >= 0)
		close(stage->worker);
}

static void test_calls_go_to_the_worker(void **state)
{
	struct objpool_call_options options = {.size = sizeof options, .kwargs = {"\x81\xa1k\x01", 4}, .timeout_ms = 60000};
	struct outcome outcome, other = {0};
	struct stage stage;

	(void)state;
	begin(&stage);
	call(&stage, "sim.step", 2, &outcome);
	assert_int_equal(
		objpool_call_async(stage.client, "sim.step", (struct objpool_bytes){"\x90", 1}, &options, note, &other, NULL), 0);
	assert_int_equal(objpool_in_flight(stage.client), 2);
	assert_true(objpool_unsent(stage.client) > 0);
	turn(&stage);
	assert_int_equal(objpool_unsent(stage.client), 0);
	hear(stage.worker, "[i i s [i]]", 0, 4, "step", 2);
	hear(stage.worker, "[i i s [n s [] {s {s i} s i}]]", 0, 6, "objpool.call", "step", "kwargs", "k", 1, "timeout_ms", 60000);
	say(stage.worker, "[i i n i] [i i {s s s s s s s i} n]", 1, 4, 20, 1, 6, "code", "FAILED", "message", "no", "ran", "yes",
	    "slot", 0);
	turn(&stage);
	assert_number(&outcome, 20);
	assert_failed(&other, "FAILED", OBJPOOL_RAN_YES);
	assert_string_equal(other.result.error->message, "no");
	objpool_result_free(&other.result);
	hear(stage.daemon, "[i i s [s]]", 0, 5, "objpool.attach", "sim"); /* while the first call was under way */
	hear_nothing(stage.daemon);
	end(&stage);
}

static void test_other_calls_go_to_the_daemon(void **state)
{
	struct objpool_call_options options = {.size = sizeof options, .idempotent = true};
	const struct objpool_bytes none = {"\x90", 1};
	struct outcome outcome = {0};
	struct stage stage;

	(void)state;
	begin(&stage);
	assert_int_equal(objpool_call_async(stage.client, "sim.step", none, &options, note, &outcome, NULL), 0);
	assert_int_equal(objpool_call_async(stage.client, "sim:all.step", none, NULL, note, &outcome, NULL), 0);
	assert_int_equal(objpool_call_async(stage.client, "sim:key=2.step", none, NULL, note, &outcome, NULL), 0);
	assert_int_equal(objpool_call_async(stage.client, "objpool.ping", none, NULL, note, &outcome, NULL), 0);
	turn(&stage);
	hear(stage.daemon, "[i i s [s s [] {s b}]]", 0, 4, "objpool.call", "sim", "step", "idempotent", true);
	hear(stage.daemon, "[i i s []] [i i s []] [i i s []]", 0, 5, "sim:all.step", 0, 6, "sim:key=2.step", 0, 7,
	     "objpool.ping");
	hear_nothing(stage.daemon);
	hear_nothing(stage.worker);
	end(&stage);
	objpool_result_free(&outcome.result);
}

static void test_large_arguments_go_to_the_daemon(void **state)
{
	struct objpool_packer args = OBJPOOL_PACKER_INIT;
	struct outcome outcome = {0};
	struct stage stage;
	char head[64];

	(void)state;
	begin(&stage);
	objpool_pack_array(&args, 1);
	memset(objpool_pack_bin_room(&args, 80 << 10), 7, 80 << 10);
	assert_int_equal(objpool_call_async(stage.client, "sim.step", objpool_packed(&args), NULL, note, &outcome, NULL), 0);
	turn(&stage);
	assert_true(recv(stage.daemon, head, sizeof head, MSG_DONTWAIT) > 20);
	hear_nothing(stage.worker);
	end(&stage);
	objpool_packer_free(&args);
	objpool_result_free(&outcome.result);
}

/* Answers with a bin of so many bytes, as fast as the client reads it. */
static void say_large(const struct stage *stage, int fd, unsigned msgid, size_t size)
{
	struct objpool_packer packer = OBJPOOL_PACKER_INIT;

	objpool_pack_array(&packer, 4);
	objpool_pack_uint(&packer, 1);
	objpool_pack_uint(&packer, msgid);
	objpool_pack_nil(&packer);
	memset(objpool_pack_bin_room(&packer, size), 7, size);
	for (size_t n = 0; n < packer.size; n += 32 << 10) {
		send_all(fd, packer.data + n, packer.size - n < 32 << 10 ? packer.size - n : 32 << 10);
		turn(stage);
	}
	objpool_packer_free(&packer);
}

/* Until the method's results are small again. */
static void test_calls_with_large_results_go_to_the_daemon(void **state)
{
	struct outcome outcome, other;
	struct stage stage;

	(void)state;
	begin(&stage);
	call(&stage, "sim.step", 1, &outcome);
	turn(&stage);
	hear(stage.worker, "[i i s [i]]", 0, 4, "step", 1);
	say_large(&stage, stage.worker, 4, 300 << 10);
	assert_int_equal(outcome.result.value.size, (300 << 10) + 5);
	objpool_result_free(&outcome.result);
	call(&stage, "sim.step", 2, &outcome);
	turn(&stage);
	hear_nothing(stage.worker);
	hear(stage.daemon, "[i i s [i]]", 0, 5, "sim.step", 2);
	call(&stage, "sim.other", 2, &other);
	turn(&stage);
	hear(stage.worker, "[i i s [i]]", 0, 6, "other", 2);
	say(stage.worker, "[i i n i]", 1, 6, 30);
	turn(&stage);
	assert_number(&other, 30);
	say(stage.daemon, "[i i n i]", 1, 5, 20);
	turn(&stage);
	assert_number(&outcome, 20);
	call(&stage, "sim.step", 3, &outcome);
	turn(&stage);
	hear(stage.worker, "[i i s [i]]", 0, 7, "step", 3);
	end(&stage);
	objpool_result_free(&outcome.result);
}

static void test_slot(void **state)
{
	struct outcome outcome;
	struct stage stage;

	(void)state;
	begin_with(&stage, 1);
	call(&stage, "sim:2.step", 1, &outcome);
	turn(&stage);
	hear(stage.daemon, "[i i s [s i]] [i i s [i]]", 0, 2, "objpool.attach", "sim", 2, 0, 3, "sim:2.step", 1);
	stage.worker = give_channel(stage.daemon, 2, 2, 5);
	turn(&stage);
	struct outcome first, second;
	call(&stage, "sim:2.step", 2, &first);
	call(&stage, "sim:2.step", 3, &second);
	turn(&stage);
	hear(stage.worker, "[i i s [i]] [i i s [i]]", 0, 4, "step", 2, 0, 5, "step", 3);
	hear_nothing(stage.daemon);
	end(&stage);
	assert_failed(&first, "DISCONNECTED", OBJPOOL_RAN_MAYBE);
	objpool_result_free(&outcome.result);
	objpool_result_free(&first.result);
	objpool_result_free(&second.result);
}

/* ---- rings ---- */

/* A connection that wants rings, and whose channel has been given, but not offered any. The next msgid is 4. */
static void begin_rings(struct stage *stage)
{
	struct outcome first;

	begin_as(stage, 2, OBJPOOL_DIRECT_RINGS);
	call(stage, "sim.step", 1, &first);
	turn(stage);
	hear(stage->daemon, "[i i s [s n {s b}]] [i i s [i]]", 0, 2, "objpool.attach", "sim", "rings", true, 0, 3, "sim.step", 1);
	say(stage->daemon, "[i i n i]", 1, 3, 10);
	stage->worker = give_channel(stage->daemon, 2, 0, 17);
	turn(stage);
	assert_number(&first, 10);
}

/* Offers rings with so many of their descriptors. */
static void offer(const struct stage *stage, struct rings *rings, unsigned count, uint64_t bytes)
{
	union {
		struct cmsghdr head;
		char room[CMSG_SPACE(RINGS_FILES * sizeof(int))];
	} control = {.head = {.cmsg_len = CMSG_LEN(count * sizeof(int)), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS}};
	struct objpool_packer packer = OBJPOOL_PACKER_INIT;
	int files[RINGS_FILES];

	assert_int_equal(rings_make(rings, files), 0);
	assert_int_equal(objpool_pack(&packer, "[i s [u]]", 2, "objpool.rings", bytes), 0);
	struct iovec iov = {.iov_base = packer.data, .iov_len = packer.size};
	const struct msghdr message = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = count ? &control : NULL,
				       .msg_controllen = count ? CMSG_SPACE(count * sizeof(int)) : 0};
	memcpy(CMSG_DATA(&control.head), files, count * sizeof(int));
	assert_int_equal(sendmsg(stage->worker, &message, MSG_NOSIGNAL), packer.size);
	objpool_packer_free(&packer);
	for (int i = 0; i < RINGS_FILES; i++)
		close(files[i]);
}

static void hear_in(struct rings *rings, const char *format, ...)
{
	struct objpool_packer packer = OBJPOOL_PACKER_INIT;
	unsigned char bytes[512];
	va_list arguments;

	va_start(arguments, format);
	assert_int_equal(objpool_vpack(&packer, format, arguments), 0);
	va_end(arguments);
	assert_int_equal(rings_take(rings, bytes, sizeof bytes), packer.size);
	assert_memory_equal(bytes, packer.data, packer.size);
	objpool_packer_free(&packer);
}

static void say_in(struct rings *rings, const char *format, ...)
{
	struct objpool_packer packer = OBJPOOL_PACKER_INIT;
	va_list arguments;

	va_start(arguments, format);
	assert_int_equal(objpool_vpack(&packer, format, arguments), 0);
	va_end(arguments);
	assert_int_equal(rings_put(rings, packer.data, packer.size), packer.size);
	objpool_packer_free(&packer);
}

/* Is there something to do, for a program that polls? */
static bool is_readable(const struct stage *stage)
{
	struct pollfd pollfd = {.fd = objpool_fd(stage->client), .events = objpool_events(stage->client)};

	return poll(&pollfd, 1, 0) == 1;
}

static void test_rings(void **state)
{
	struct outcome before, first, second;
	struct rings rings;
	struct stage stage;

	(void)state;
	begin_rings(&stage);
	call(&stage, "sim.step", 2, &before); /* the worker has not said yet what bytes go through */
	turn(&stage);
	hear_nothing(stage.worker);
	hear(stage.daemon, "[i i s [i]]", 0, 4, "sim.step", 2);
	offer(&stage, &rings, RINGS_FILES, RINGS_BYTES);
	turn(&stage);
	call(&stage, "sim.step", 3, &first);
	call(&stage, "sim.step", 4, &second);
	turn(&stage);
	hear_in(&rings, "[i i s [i]] [i i s [i]]", 0, 5, "step", 3, 0, 7, "step", 4);
	assert_false(is_readable(&stage));
	say_in(&rings, "[i i n i]", 1, 5, 30); /* the program polls: the worker wakes it */
	assert_true(is_readable(&stage));
	assert_int_equal(objpool_dispatch(stage.client, POLLIN), 0);
	assert_number(&first, 30);
	assert_false(is_readable(&stage));
	say_in(&rings, "[i i n i]", 1, 7, 40);
	assert_int_equal(objpool_wait(stage.client, 1000), 0);
	assert_number(&second, 40);
	hear_nothing(stage.worker);
	end(&stage);
	objpool_result_free(&before.result);
	rings_close(&rings);
}

/* More than a ring holds goes in parts. */
static void test_full_rings(void **state)
{
	static unsigned char bytes[RINGS_BYTES];
	struct objpool_packer args = OBJPOOL_PACKER_INIT;
	struct outcome outcome = {0}, last = {0};
	struct rings rings;
	struct stage stage;

	(void)state;
	begin_rings(&stage);
	offer(&stage, &rings, RINGS_FILES, RINGS_BYTES);
	turn(&stage);
	objpool_pack_array(&args, 1);
	memset(objpool_pack_bin_room(&args, 40000), 7, 40000);
	assert_int_equal(objpool_call_async(stage.client, "sim.step", objpool_packed(&args), NULL, note, &outcome, NULL), 0);
	assert_int_equal(objpool_call_async(stage.client, "sim.step", objpool_packed(&args), NULL, note, &last, NULL), 0);
	turn(&stage);
	assert_true(objpool_unsent(stage.client) > 14000);
	assert_int_equal(rings_take(&rings, bytes, sizeof bytes), RINGS_BYTES);
	assert_true(is_readable(&stage));
	turn(&stage);
	assert_int_equal(objpool_unsent(stage.client), 0);
	assert_true(rings_take(&rings, bytes, sizeof bytes) > 14000);
	end(&stage);
	objpool_packer_free(&args);
	objpool_result_free(&outcome.result);
	objpool_result_free(&last.result);
	rings_close(&rings);
}

/* What the worker wrote before it died is read. */
static void test_rings_of_a_worker_that_dies(void **state)
{
	struct outcome first, second;
	struct rings rings;
	struct stage stage;

	(void)state;
	begin_rings(&stage);
	offer(&stage, &rings, RINGS_FILES, RINGS_BYTES);
	turn(&stage);
	call(&stage, "sim.step", 3, &first);
	call(&stage, "sim.step", 4, &second);
	turn(&stage);
	hear_in(&rings, "[i i s [i]] [i i s [i]]", 0, 4, "step", 3, 0, 6, "step", 4);
	hear(stage.daemon, "[i i s [s n {s b}]]", 0, 5, "objpool.attach", "sim", "rings", true);
	say_in(&rings, "[i i n i]", 1, 4, 30);
	close(stage.worker);
	stage.worker = -1;
	turn(&stage);
	assert_number(&first, 30);
	turn(&stage);
	hear(stage.daemon, "[i i s [i]]", 0, 7, "objpool.detached", 17);
	end(&stage);
	objpool_result_free(&second.result);
	rings_close(&rings);
}

/* A worker that has none, and offers that are none. After those, calls go to the daemon, and channels are asked for without. */
static void test_offers(void **state)
{
	struct outcome outcome;
	struct rings rings;
	struct stage stage;

	(void)state;
	begin_rings(&stage);
	say(stage.worker, "[i s [n]]", 2, "objpool.rings");
	turn(&stage);
	call(&stage, "sim.step", 3, &outcome);
	turn(&stage);
	hear(stage.worker, "[i i s [i]]", 0, 4, "step", 3);
	end(&stage);
	objpool_result_free(&outcome.result);

	for (unsigned files = 0; files <= RINGS_FILES; files++) {
		begin_rings(&stage);
		offer(&stage, &rings, files, files == RINGS_FILES ? RINGS_BYTES + 1 : RINGS_BYTES);
		turn(&stage);
		turn(&stage);
		hear_end(stage.worker);
		call(&stage, "sim.step", 3, &outcome);
		turn(&stage);
		hear(stage.daemon, "[i i s [s]] [i i s [i]]", 0, 4, "objpool.attach", "sim", 0, 5, "sim.step", 3);
		end(&stage);
		objpool_result_free(&outcome.result);
		rings_close(&rings);
	}
}

/* A daemon of before, one that has no channels for the pool, one that has none now. */
static void test_refusals(void **state)
{
	struct outcome outcome, next;
	struct stage stage;

	(void)state;
	begin_with(&stage, 0);
	call(&stage, "sim.step", 1, &outcome);
	turn(&stage);
	hear(stage.daemon, "[i i s [i]]", 0, 2, "sim.step", 1);
	end(&stage);
	objpool_result_free(&outcome.result);

	begin_with(&stage, 1);
	call(&stage, "sim.step", 1, &outcome);
	turn(&stage);
	hear(stage.daemon, "[i i s [s]] [i i s [i]]", 0, 2, "objpool.attach", "sim", 0, 3, "sim.step", 1);
	say(stage.daemon, "[i i {s s s s} n] [i i n i]", 1, 2, "code", "DENIED", "message", "none", 1, 3, 4);
	turn(&stage);
	assert_number(&outcome, 4);
	call(&stage, "sim.step", 2, &next);
	turn(&stage);
	hear(stage.daemon, "[i i s [i]]", 0, 4, "sim.step", 2);
	hear_nothing(stage.daemon);
	end(&stage);
	objpool_result_free(&next.result);
}

/* Calls of any instance get more channels while all are busy, but none twice to the same instance. */
static void test_idlest(void **state)
{
	struct outcome outcomes[6];
	struct stage stage;

	(void)state;
	begin(&stage);
	for (int i = 0; i < 2; i++)
		call(&stage, "sim.step", i, &outcomes[i]);
	turn(&stage);
	hear(stage.worker, "[i i s [i]] [i i s [i]]", 0, 4, "step", 0, 0, 6, "step", 1);
	hear(stage.daemon, "[i i s [s]]", 0, 5, "objpool.attach", "sim");
	const int second = give_channel(stage.daemon, 5, 1, 18);
	turn(&stage);
	for (int i = 2; i < 4; i++)
		call(&stage, "sim.step", i, &outcomes[i]);
	turn(&stage);
	hear(second, "[i i s [i]] [i i s [i]]", 0, 7, "step", 2, 0, 9, "step", 3);
	hear(stage.daemon, "[i i s [s]]", 0, 8, "objpool.attach", "sim");
	const int again = give_channel(stage.daemon, 8, 1, 19);
	turn(&stage);
	hear_end(again);
	say(stage.worker, "[i i n i]", 1, 4, 4);
	turn(&stage);
	assert_number(&outcomes[0], 4);
	for (int i = 4; i < 6; i++)
		call(&stage, "sim.step", i, &outcomes[i]);
	turn(&stage);
	hear(stage.worker, "[i i s [i]] [i i s [i]]", 0, 10, "step", 4, 0, 11, "step", 5);
	hear_nothing(stage.daemon);
	end(&stage);
	close(second);
	close(again);
	for (int i = 1; i < 6; i++)
		objpool_result_free(&outcomes[i].result);
}

static void test_closing(void **state)
{
	struct outcome before, after;
	struct stage stage;

	(void)state;
	begin(&stage);
	call(&stage, "sim.step", 2, &before);
	turn(&stage);
	hear(stage.worker, "[i i s [i]]", 0, 4, "step", 2);
	say(stage.worker, "[i s [s]]", 2, "objpool.closing", "replaced");
	turn(&stage);
	hear_end(stage.worker);
	call(&stage, "sim.step", 3, &after);
	turn(&stage);
	hear(stage.daemon, "[i i s [s]] [i i s [i]]", 0, 5, "objpool.attach", "sim", 0, 6, "sim.step", 3);
	const int successor = give_channel(stage.daemon, 5, 0, 18);
	say(stage.daemon, "[i i n i]", 1, 6, 30);
	say(stage.worker, "[i i n i]", 1, 4, 20);
	close(stage.worker);
	stage.worker = successor;
	turn(&stage);
	turn(&stage); /* a read ends where a descriptor came */
	assert_number(&before, 20);
	assert_number(&after, 30);
	hear_nothing(stage.daemon);
	call(&stage, "sim.step", 4, &after);
	turn(&stage);
	hear(successor, "[i i s [i]]", 0, 7, "step", 4);
	end(&stage);
	objpool_result_free(&after.result);
}

/* Three calls, of which the worker has begun two when it dies. */
static void lose_worker(struct stage *stage, struct outcome outcomes[3])
{
	for (int i = 0; i < 3; i++)
		call(stage, "sim:0.step", i, &outcomes[i]);
	turn(stage);
	close(stage->worker);
	stage->worker = -1;
	turn(stage);
	hear(stage->daemon, "[i i s [i]]", 0, 7, "objpool.detached", 21);
	assert_int_equal(outcomes[0].answers + outcomes[1].answers + outcomes[2].answers, 0);
	assert_int_equal(objpool_in_flight(stage->client), 3);
	say(stage->daemon, "[i i n {s s s i s {s s s s s s s i s i s i}}]", 1, 7, "reason", "lost", "begun", 2, "error", "code",
	    "WORKER_LOST", "message", "it died", "ran", "maybe", "slot", 0, "generation", 3, "signal", 9);
	turn(stage);
	assert_failed(&outcomes[0], "WORKER_LOST", OBJPOOL_RAN_YES);
	assert_failed(&outcomes[1], "WORKER_LOST", OBJPOOL_RAN_MAYBE);
	assert_int_equal(outcomes[1].result.error->signal, 9);
	assert_int_equal(outcomes[1].result.error->generation, 3);
}

static void begin_with_slot(struct stage *stage)
{
	struct outcome first;

	begin_with(stage, 1);
	call(stage, "sim:0.step", 1, &first);
	turn(stage);
	hear(stage->daemon, "[i i s [s i]] [i i s [i]]", 0, 2, "objpool.attach", "sim", 0, 0, 3, "sim:0.step", 1);
	say(stage->daemon, "[i i n i]", 1, 3, 10);
	stage->worker = give_channel(stage->daemon, 2, 0, 21);
	turn(stage);
	assert_number(&first, 10);
}

static void test_lost(void **state)
{
	struct outcome outcomes[3];
	struct stage stage;

	(void)state;
	begin_with_slot(&stage);
	lose_worker(&stage, outcomes);
	hear(stage.daemon, "[i i s [i]]", 0, 6, "sim:0.step", 2); /* it had not begun */
	hear_nothing(stage.daemon);
	say(stage.daemon, "[i i n i]", 1, 6, 66);
	turn(&stage);
	assert_number(&outcomes[2], 66);
	end(&stage);
	objpool_result_free(&outcomes[0].result);
	objpool_result_free(&outcomes[1].result);
}

struct lease_answer {
	int daemon;
};

static void *answer_lease(void *context)
{
	const struct lease_answer *answer = context;
	char request[64];

	assert_true(recv(answer->daemon, request, sizeof request, 0) > 0);
	say(answer->daemon, "[i i n {s i s i}]", 1, 4, "slot", 0, "generation", 3);
	return NULL;
}

/* The next call of a leased instance must not run when the lease has ended with the worker. */
static void test_lost_while_leased(void **state)
{
	struct outcome outcomes[3];
	struct objpool_lease lease;
	struct stage stage;
	pthread_t thread;

	(void)state;
	begin_with_slot(&stage);
	assert_int_equal(pthread_create(&thread, NULL, answer_lease, &(struct lease_answer){stage.daemon}), 0);
	assert_int_equal(objpool_lease(stage.client, "sim", NULL, &lease, NULL), 0);
	pthread_join(thread, NULL);
	for (int i = 0; i < 3; i++)
		call(&stage, "sim:0.step", i, &outcomes[i]);
	close(stage.worker);
	stage.worker = -1;
	turn(&stage);
	turn(&stage);
	hear(stage.daemon, "[i i s [i]]", 0, 8, "objpool.detached", 21);
	say(stage.daemon, "[i i n {s s s i s {s s s s}}]", 1, 8, "reason", "lost", "begun", 1, "error", "code", "WORKER_LOST",
	    "message", "it died");
	turn(&stage);
	hear_nothing(stage.daemon);
	assert_failed(&outcomes[0], "WORKER_LOST", OBJPOOL_RAN_MAYBE);
	assert_failed(&outcomes[2], "WORKER_LOST", OBJPOOL_RAN_NO);
	end(&stage);
	for (int i = 0; i < 3; i++)
		objpool_result_free(&outcomes[i].result);
}

/* The worker reads no more: what it has not got is sent to the daemon. */
static void test_send_fails(void **state)
{
	struct objpool_call_options options = {.size = sizeof options, .timeout_ms = 60000};
	struct outcome outcome = {0};
	struct stage stage;

	(void)state;
	begin(&stage);
	assert_int_equal(shutdown(stage.worker, SHUT_RD), 0);
	assert_int_equal(
		objpool_call_async(stage.client, "sim.step", (struct objpool_bytes){"\x90", 1}, &options, note, &outcome, NULL),
		0);
	turn(&stage);
	close(stage.worker);
	stage.worker = -1;
	turn(&stage);
	hear(stage.daemon, "[i i s [i]]", 0, 5, "objpool.detached", 17);
	say(stage.daemon, "[i i n {s s s i s n}]", 1, 5, "reason", "replaced", "begun", 0, "error");
	turn(&stage);
	hear(stage.daemon, "[i i s [s s [] {s i}]]", 0, 4, "objpool.call", "sim", "step", "timeout_ms", 60000);
	say(stage.daemon, "[i i n i]", 1, 4, 40);
	turn(&stage);
	assert_number(&outcome, 40);
	end(&stage);
}

static void test_timeout(void **state)
{
	struct objpool_call_options options = {.size = sizeof options, .timeout_ms = 1};
	struct outcome first, outcome = {0};
	struct stage stage;

	(void)state;
	begin(&stage);
	const uint32_t id = call(&stage, "sim.step", 2, &first);
	assert_int_equal(
		objpool_call_async(stage.client, "sim.step", (struct objpool_bytes){"\x90", 1}, &options, note, &outcome, NULL),
		0);
	while (outcome.answers == 0)
		assert_true(objpool_wait(stage.client, 1000) == 0);
	assert_failed(&outcome, "TIMEOUT", OBJPOOL_RAN_MAYBE);
	assert_int_equal(objpool_cancel(stage.client, id), 0);
	turn(&stage);
	hear(stage.daemon, "[i i s [s]]", 0, 5, "objpool.attach", "sim");
	hear(stage.daemon, "[i s [i i]] [i s [i i]]", 2, "objpool.cancel", 17, 1, 2, "objpool.cancel", 17, 0);
	end(&stage);
	objpool_result_free(&first.result);
	objpool_result_free(&outcome.result);
}

/* A worker that is out of order ends its channel and no more. Answers of calls that are not its own are ignored. */
static void test_wrong_answers(void **state)
{
	struct outcome mine, other;
	struct stage stage;

	(void)state;
	begin(&stage);
	call(&stage, "sim:all.step", 2, &other);
	call(&stage, "sim.step", 3, &mine);
	turn(&stage);
	say(stage.worker, "[i i n i]", 1, 4, 4);
	turn(&stage);
	assert_int_equal(other.answers, 0);
	say(stage.worker, "[i i]", 1, 2);
	turn(&stage);
	hear(stage.worker, "[i i s [i]]", 0, 5, "step", 3);
	hear_end(stage.worker);
	hear(stage.daemon, "[i i s [i]] [i i s [i]]", 0, 4, "sim:all.step", 2, 0, 6, "objpool.detached", 17);
	say(stage.daemon, "[i i {s s s s} n]", 1, 6, "code", "BAD_ARGUMENT", "message", "there is no such channel");
	say(stage.daemon, "[i i n i]", 1, 4, 40);
	turn(&stage);
	assert_number(&other, 40);
	assert_failed(&mine, "DISCONNECTED", OBJPOOL_RAN_MAYBE);
	objpool_result_free(&mine.result);
	end(&stage);
}

static void count(void *context, const struct objpool_result *result)
{
	unsigned *answers = context;

	(void)result;
	++*answers;
}

/* Starts a call, or doesn't for want of memory, and runs a turn. Returns how many calls were started. */
static unsigned call_and_turn(const struct stage *stage, struct failing *plan, unsigned *answers)
{
	failing = plan;
	const int rc =
		objpool_call_async(stage->client, "sim:0.step", (struct objpool_bytes){"\x90", 1}, NULL, count, answers, NULL);
	const int turned = objpool_dispatch(stage->client, POLLIN);
	failing = NULL;
	assert_true(rc == 0 || rc == -ENOMEM || rc == -ENOTCONN);
	assert_true(turned == 0 || turned == -ENOTCONN);
	return rc == 0;
}

/* The life of a channel. The connection may be lost for want of memory. Each call that was started has one answer. */
static bool live_without_memory(int n, bool lasting)
{
	unsigned answers = 0, started = 0;
	struct failing plan;
	struct stage stage;

	begin_with(&stage, 1);
	failing_begin(&plan, n, lasting);
	started += call_and_turn(&stage, &plan, &answers);
	stage.worker = give_channel(stage.daemon, 2, 0, 17);
	for (int i = 0; i < 3; i++)
		started += call_and_turn(&stage, &plan, &answers);
	(void)send(stage.worker, "\x94\x01\x05\xc0\x01", 5, MSG_NOSIGNAL);
	started += call_and_turn(&stage, &plan, &answers);
	close(stage.worker);
	stage.worker = -1;
	started += call_and_turn(&stage, &plan, &answers);
	for (int id = 7; id < 10; id++)
		say(stage.daemon, "[i i n {s s s i}]", 1, id, "reason", "lost", "begun", 2);
	started += call_and_turn(&stage, &plan, &answers);
	const bool failed = failing_end(&plan);
	end(&stage);
	assert_int_equal(answers, started);
	assert_true(failed || started == 7);
	return failed;
}

static void test_without_memory(void **state)
{
	(void)state;
	for (int lasting = 0; lasting < 2; lasting++)
		for (int n = 0; live_without_memory(n, lasting);)
			assert_true(++n < 100);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_calls_go_to_the_worker),
		cmocka_unit_test(test_other_calls_go_to_the_daemon),
		cmocka_unit_test(test_large_arguments_go_to_the_daemon),
		cmocka_unit_test(test_calls_with_large_results_go_to_the_daemon),
		cmocka_unit_test(test_slot),
		cmocka_unit_test(test_rings),
		cmocka_unit_test(test_full_rings),
		cmocka_unit_test(test_rings_of_a_worker_that_dies),
		cmocka_unit_test(test_offers),
		cmocka_unit_test(test_refusals),
		cmocka_unit_test(test_idlest),
		cmocka_unit_test(test_closing),
		cmocka_unit_test(test_lost),
		cmocka_unit_test(test_lost_while_leased),
		cmocka_unit_test(test_send_fails),
		cmocka_unit_test(test_timeout),
		cmocka_unit_test(test_wrong_answers),
		cmocka_unit_test(test_without_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
