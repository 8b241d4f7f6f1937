/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A client program as it was written against the header of ABI 1 (tests/abi/1). test_abi.py builds it with this header, links it
 * with the library of today, and runs it against the daemon of today. The daemon has a pool `p` of two instances of plugin.c's
 * class. The program calls each function of the header. It is C and C++: it must go on compiling as both.
 */
#include <objpool/client.h>

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#define CHECK(condition) check(condition, #condition, __LINE__)
static void check(bool holds, const char *what, int line)
{
	if (holds)
		return;
	fprintf(stderr, "line %d: not so: %s\n", line, what);
	exit(1);
}

static struct objpool_bytes bytes_of(const void *data, size_t size)
{
	const struct objpool_bytes bytes = {data, size};
	return bytes;
}

static int64_t integer(struct objpool_bytes value)
{
	struct objpool_reader reader = objpool_reader(value);
	int64_t number = -1;

	CHECK(objpool_read_int(&reader, &number) == 0 && objpool_read_type(&reader) == OBJPOOL_END);
	return number;
}

static bool is_text(struct objpool_bytes value, const char *expected)
{
	struct objpool_reader reader = objpool_reader(value);
	const char *text;
	size_t size;

	return objpool_read_str(&reader, &text, &size) == 0 && size == strlen(expected) && memcmp(text, expected, size) == 0;
}

/* ---- values ---------------------------------------------------------------------------------------------------------- */

static void read_back(struct objpool_bytes values)
{
	struct objpool_reader reader = objpool_reader(values);
	struct objpool_bytes value;
	const char *text;
	const void *bytes;
	size_t size;
	int8_t type;
	uint32_t count;
	int64_t number;
	uint64_t natural;
	double real;
	bool flag;

	CHECK(objpool_read_array(&reader, &count) == 0 && count == 9);
	CHECK(objpool_read_type(&reader) == OBJPOOL_NIL && objpool_read_nil(&reader) == 0);
	CHECK(objpool_read_bool(&reader, &flag) == 0 && flag);
	CHECK(objpool_read_int(&reader, &number) == 0 && number == -70000);
	CHECK(objpool_read_uint(&reader, &natural) == 0 && natural == UINT64_MAX);
	CHECK(objpool_read_double(&reader, &real) == 0 && real == 0.5);
	CHECK(objpool_read_str(&reader, &text, &size) == 0 && size == 2 && memcmp(text, "hi", 2) == 0);
	CHECK(objpool_read_bin(&reader, &bytes, &size) == 0 && size == 3 && memcmp(bytes, "bin", 3) == 0);
	CHECK(objpool_read_ext(&reader, &type, &bytes, &size) == 0 && type == 5 && size == 4 && memcmp(bytes, "four", 4) == 0);
	CHECK(objpool_read_map(&reader, &count) == 0 && count == 1);
	CHECK(objpool_read_value(&reader, &value) == 0 && is_text(value, "key"));
	CHECK(objpool_read_value(&reader, NULL) == 0 && objpool_read_type(&reader) == OBJPOOL_END);
}

static void pack_and_read(void)
{
	struct objpool_packer one = OBJPOOL_PACKER_INIT, other = OBJPOOL_PACKER_INIT;

	objpool_pack_array(&one, 9);
	objpool_pack_nil(&one);
	objpool_pack_bool(&one, true);
	objpool_pack_int(&one, -70000);
	objpool_pack_uint(&one, UINT64_MAX);
	objpool_pack_double(&one, 0.5);
	objpool_pack_str(&one, "hi there", 2);
	memcpy(objpool_pack_bin_room(&one, 3), "bin", 3);
	objpool_pack_ext(&one, 5, "four", 4);
	objpool_pack_map(&one, 1);
	objpool_pack_cstr(&one, "key");
	objpool_pack_bin(&one, "value", 5);
	CHECK(one.error == 0);
	read_back(objpool_packed(&one));
	CHECK(objpool_pack(&other, "[n, b, i, u, f, S, v, {s: B}]", true, -70000, UINT64_MAX, 0.5, "hi there", (size_t)2,
			   objpool_packed(&one), "key", "value", (size_t)5) == 0);
	CHECK(objpool_pack(&other, "[") == -EINVAL);
	objpool_packer_free(&other);
	objpool_packer_free(&one);
}

/* ---- calls ----------------------------------------------------------------------------------------------------------- */

struct answers {
	int count, failures;
	int64_t sum;
	char code[32];
};

static void count_answer(void *context, const struct objpool_result *result)
{
	struct answers *answers = (struct answers *)context;

	answers->count++;
	if (!result->error) {
		answers->sum += integer(result->value);
		return;
	}
	answers->failures++;
	snprintf(answers->code, sizeof answers->code, "%s", result->error->code);
}

static void call_and_wait(struct objpool *pool)
{
	struct objpool_call_options options = OBJPOOL_CALL_OPTIONS_INIT;
	struct objpool_packer args = OBJPOOL_PACKER_INIT;
	struct objpool_result result, copy;

	CHECK(objpool_callf(pool, "p.add", &result, "[i i]", 1, 2) == 0 && integer(result.value) == 3);
	CHECK(objpool_result_copy(&copy, &result) == 0);
	objpool_result_free(&result);
	CHECK(integer(copy.value) == 3);
	objpool_result_free(&copy);

	CHECK(objpool_pack(&args, "{s: i}", "b", 40) == 0);
	options.target = "p:1";
	options.kwargs = objpool_packed(&args);
	options.timeout_ms = 60000;
	CHECK(objpool_call(pool, "add", bytes_of("\x91\x02", 2), &options, &result) == 0);
	CHECK(integer(result.value) == 42);
	objpool_result_free(&result);
	objpool_packer_free(&args);

	CHECK(objpool_callf(pool, "nodot", &result, "[]") == -EINVAL);
	objpool_result_free(&result);
}

static void fail_and_look(struct objpool *pool)
{
	struct objpool_result result;

	CHECK(objpool_callf(pool, "p:1.fail", &result, "[s]", "with everything") == -EREMOTEIO);
	const struct objpool_error *error = result.error;
	CHECK(strcmp(error->code, "FAILED") == 0 && strcmp(error->message, "out of paper") == 0);
	CHECK(strcmp(error->type, "PrinterError") == 0 && strcmp(error->traceback, "line 7") == 0 &&
	      strcmp(error->pool, "p") == 0);
	CHECK(error->slot == 1 && error->generation == 1 && error->index == -1 && error->ran == OBJPOOL_RAN_YES);
	CHECK(error->signal == 0 && error->exit_status == -1 && error->data.size == 4 &&
	      memcmp(error->data.data,
		     "\xc4\x02"
		     "A4",
		     4) == 0);
	objpool_result_free(&result);
}

static int note_progress(void *context, int64_t done, int64_t total, const char *text)
{
	CHECK(done == 3 && total == 10 && strcmp(text, "waiting") == 0);
	return ++*(int *)context; /* cancels */
}

static void start_and_cancel(struct objpool *pool)
{
	struct objpool_call_options options = OBJPOOL_CALL_OPTIONS_INIT;
	struct answers answers = {0, 0, 0, ""};
	int told = 0;
	uint32_t id;

	for (char i = 0; i < 3; i++) {
		const char args[] = {(char)0x91, i};
		CHECK(objpool_call_async(pool, "p.echo", bytes_of(args, 2), NULL, count_answer, &answers, NULL) == 0);
	}
	CHECK(objpool_in_flight(pool) == 3 && objpool_unsent(pool) > 0 && objpool_flush(pool) == 0 && objpool_unsent(pool) == 0);
	CHECK(objpool_drain(pool) == 0 && answers.count == 3 && answers.sum == 3 && answers.failures == 0);

	CHECK(objpool_call_async(pool, "p.wait", bytes_of(NULL, 0), NULL, count_answer, &answers, &id) == 0);
	CHECK(objpool_cancel(pool, id) == 0);
	while (answers.count < 4)
		CHECK(objpool_wait(pool, -1) == 0);
	CHECK(answers.failures == 1 && strcmp(answers.code, "CANCELLED") == 0);

	options.on_progress = note_progress;
	options.progress_context = &told;
	CHECK(objpool_call_async(pool, "p.wait", bytes_of(NULL, 0), &options, count_answer, &answers, NULL) == 0);
	CHECK(objpool_drain(pool) == 0 && answers.failures == 2 && told > 0);
}

static void note_params(void *context, const char *method, struct objpool_bytes params)
{
	if (strcmp(method, "objpool.progress") == 0 && params.size > 0)
		++*(int *)context;
}

static void notify(struct objpool *pool)
{
	struct objpool_call_options options = OBJPOOL_CALL_OPTIONS_INIT;
	struct answers answers = {0, 0, 0, ""};
	int told = 0;
	uint32_t id;

	objpool_on_notification(pool, note_params, &told);
	options.progress = true;
	CHECK(objpool_call_async(pool, "p.wait", bytes_of(NULL, 0), &options, count_answer, &answers, &id) == 0);
	while (told == 0)
		CHECK(objpool_wait(pool, 20000) == 0);
	const char args[] = {(char)0x91, (char)0xce, (char)(id >> 24), (char)(id >> 16), (char)(id >> 8), (char)id};
	CHECK(objpool_notify(pool, "objpool.cancel", bytes_of(args, sizeof args)) == 0);
	CHECK(objpool_drain(pool) == 0 && strcmp(answers.code, "CANCELLED") == 0);
	objpool_on_notification(pool, NULL, NULL);
}

/* ---- many results ---------------------------------------------------------------------------------------------------- */

struct series {
	int64_t given, end; /* what give() packs */
	int64_t sum;
	uint64_t next, failed; /* what take() has seen */
	bool waits;            /* give() says once that it has nothing yet */
	int status;            /* of on_done */
	bool done;
};

static int give(void *context, struct objpool_packer *item)
{
	struct series *series = (struct series *)context;

	if (series->waits) {
		series->waits = false;
		return -EAGAIN;
	}
	if (series->given == series->end)
		return OBJPOOL_NEXT_END;
	objpool_pack_int(item, series->given++);
	return OBJPOOL_NEXT_ITEM;
}

static int give_failure(void *context, struct objpool_packer *item)
{
	(void)context;
	objpool_pack_cstr(item, "the tape is torn");
	return OBJPOOL_NEXT_FAILED;
}

static int take(void *context, uint64_t index, struct objpool_bytes value, const struct objpool_error *error)
{
	struct series *series = (struct series *)context;

	CHECK(index == series->next++);
	if (error)
		series->failed++;
	else
		series->sum += integer(value);
	return 0;
}

static void on_done(void *context, int status, const struct objpool_error *error)
{
	struct series *series = (struct series *)context;

	CHECK((status == -EREMOTEIO) == (error != NULL));
	series->status = status;
	series->done = true;
}

static void gather(struct objpool *pool)
{
	struct objpool_map_options options = OBJPOOL_MAP_OPTIONS_INIT;
	struct series map = {0, 1000, 0, 0, 0, false, 0, false}, all = {0, 0, 0, 0, 0, false, 0, false}, yields = all,
		      failing = all;
	struct objpool_result result;

	options.bind = bytes_of("\x91\x01", 2);
	CHECK(objpool_map(pool, "p.add", give, &map, take, &map, &options, &result) == 0);
	CHECK(map.next == 1000 && map.sum == 1000 * 999 / 2 + 1000);
	CHECK(objpool_all(pool, "p.echo", bytes_of("\x91\x07", 2), NULL, take, &all, NULL) == 0 && all.sum == 14);
	CHECK(objpool_call_each(pool, "p.count", bytes_of("\x91\x05", 2), NULL, take, &yields, NULL) == 0);
	CHECK(yields.next == 5 && yields.sum == 10);
	CHECK(objpool_map(pool, "p.echo", give_failure, NULL, take, &failing, NULL, &result) == -EREMOTEIO);
	CHECK(failing.failed == 1 && strstr(result.error->message, "the tape is torn"));
	objpool_result_free(&result);
}

static void stream(struct objpool *pool)
{
	struct series map = {0, 10, 0, 0, 0, true, 0, false}, each = {0, 0, 0, 0, 0, false, 0, false},
		      stopped = {0, 10, 0, 0, 0, true, 0, false};
	struct objpool_stream *running, *endless;

	CHECK(objpool_map_async(pool, "p.echo", give, &map, take, &map, NULL, on_done, &map, &running) == 0);
	CHECK(objpool_map_async(pool, "p.echo", give, &stopped, take, &stopped, NULL, on_done, &stopped, &endless) == 0);
	CHECK(objpool_call_each_async(pool, "p:all.echo", bytes_of("\x91\x03", 2), NULL, take, &each, on_done, &each, NULL) == 0);
	while (!each.done || map.waits || stopped.waits)
		CHECK(objpool_wait(pool, -1) == 0);
	objpool_stream_more(running);
	objpool_stream_stop(endless, -ECANCELED);
	CHECK(objpool_drain(pool) == 0);
	CHECK(each.status == 0 && each.sum == 6 && map.status == 0 && map.sum == 45 && stopped.status == -ECANCELED &&
	      stopped.next == 0);
}

static void lease(struct objpool *pool)
{
	struct objpool_lease_options options = OBJPOOL_LEASE_OPTIONS_INIT;
	struct objpool_lease lease;

	options.slot = 1;
	CHECK(objpool_lease(pool, "p", &options, &lease, NULL) == 0 && lease.slot == 1 && lease.generation == 1);
	CHECK(objpool_release(pool, "p", -1, NULL) == 1);
	CHECK(objpool_release(pool, "p", 1, NULL) == 0);
}

/* ---- large values ---------------------------------------------------------------------------------------------------- */

enum { LARGE = 200000 };

static void send_and_get_large(struct objpool *pool)
{
	struct objpool_packer args = OBJPOOL_PACKER_INIT;
	struct objpool_result result;
	const void *bytes;
	size_t size;

	CHECK(objpool_packer_share(&args, pool, LARGE) == 0);
	objpool_pack_array(&args, 1);
	memset(objpool_pack_bin_room(&args, LARGE), 'x', LARGE);
	CHECK(objpool_call(pool, "p.echo", objpool_packed(&args), NULL, &result) == 0);
	objpool_packer_free(&args);
	struct objpool_reader reader = objpool_reader(result.value);
	CHECK(objpool_read_bin(&reader, &bytes, &size) == 0 && size == LARGE && ((const char *)bytes)[LARGE - 1] == 'x');
	objpool_result_free(&result);
}

/* ---- connections ----------------------------------------------------------------------------------------------------- */

static void run_a_loop(struct objpool *pool)
{
	struct answers answers = {0, 0, 0, ""};

	CHECK(objpool_call_async(pool, "p.echo", bytes_of("\x91\x09", 2), NULL, count_answer, &answers, NULL) == 0);
	while (answers.count == 0) {
		struct pollfd ready = {objpool_fd(pool), objpool_events(pool), 0};
		CHECK(poll(&ready, 1, objpool_timeout_ms(pool)) >= 0 && objpool_dispatch(pool, ready.revents) == 0);
	}
	CHECK(answers.sum == 9);
}

static void adopt(const char *path)
{
	struct objpool_connect_options options = OBJPOOL_CONNECT_OPTIONS_INIT;
	struct sockaddr_un address;
	struct objpool_result result;
	struct objpool *pool;
	const int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	memset(&address, 0, sizeof address);
	address.sun_family = AF_UNIX;
	memcpy(address.sun_path, path, strlen(path));
	CHECK(fd >= 0 && connect(fd, (const struct sockaddr *)&address, sizeof address) == 0);
	options.client = "adopted";
	options.timeout_ms = 20000;
	options.no_descriptors = true;
	CHECK(objpool_adopt(&pool, fd, &options) == 0);
	CHECK(objpool_callf(pool, "p.add", &result, "[i i]", 1, 1) == 0 && integer(result.value) == 2);
	objpool_result_free(&result);
	CHECK(objpool_close(pool) == NULL);
}

int main(void)
{
	struct objpool *pool;
	char address[200];

	CHECK(objpool_default_address(address, sizeof address) == 0 && strncmp(address, "unix:", 5) == 0);
	CHECK(objpool_connect(&pool, "unix:/nowhere", NULL) == -ENOENT && !pool);
	CHECK(objpool_connect(&pool, NULL, NULL) == 0 && objpool_hello(pool).size > 0);
	pack_and_read();
	call_and_wait(pool);
	fail_and_look(pool);
	start_and_cancel(pool);
	notify(pool);
	gather(pool);
	stream(pool);
	lease(pool);
	send_and_get_large(pool);
	run_a_loop(pool);
	adopt(address + strlen("unix:"));
	pool = objpool_close(pool);
	return pool ? 1 : 0;
}
