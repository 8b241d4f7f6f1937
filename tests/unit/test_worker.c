/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A worker without memory. The host runs in a child, with a class of this file; the test plays the supervisor. Each call is made
 * again and again, and each time another allocation fails, alone or with all that follow: the answer is the whole right value
 * or an error that speaks of memory, and the next call is answered as if nothing had been. A worker that ends has lost its
 * call, which is right too, but rare.
 */
#include "daemon/worker/worker_loop.h"
#include "daemon/worker/plugin_load.h"
#include "daemon/worker/task.h"
#include "daemon/worker/worker_yield.h"
#include "proto/channel.h"
#include "proto/scan.h"
#include "tests/unit/failing.h"

#include <assert.h>
#include <errno.h>
#include <malloc.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

enum { PIECES = 5, PIECE = 40000, DATA = 3000, ROOM = 4 << 20, ITEMS = 4, TRIES = 200, PATIENCE_MS = 20000, YIELDED = 64 << 10 };

/* ---- the class ---- */

static struct objpool_call *kept;

static int create(struct objpool_call *call, const struct objpool_args *args, void **self)
{
	(void)call, (void)args;
	*self = NULL;
	return 0;
}

/* An array of strings: when one is missing, what follows could still be taken for a value. */
static int pieces(void *self, struct objpool_call *call, const struct objpool_args *args, msgpack_packer *result)
{
	static char text[PIECE];

	(void)self, (void)call;
	memset(text, 'a' + (int)args->count, sizeof text);
	msgpack_pack_array(result, PIECES);
	for (int i = 0; i < PIECES; i++) {
		msgpack_pack_str(result, sizeof text);
		msgpack_pack_str_body(result, text, sizeof text);
	}
	return 0;
}

static int nothing(void *self, struct objpool_call *call, const struct objpool_args *args, msgpack_packer *result)
{
	(void)self, (void)call, (void)args, (void)result;
	return 0;
}

static int refuse(void *self, struct objpool_call *call, const struct objpool_args *args, msgpack_packer *result)
{
	static char data[DATA];
	const struct objpool_failure error = {
		.type = "Type", .message = "a message", .traceback = "a traceback", .data = data, .data_size = sizeof data};

	(void)self, (void)args, (void)result;
	return objpool_fail_with(call, &error);
}

static int defer(void *self, struct objpool_call *call, const struct objpool_args *args, msgpack_packer *result)
{
	(void)self, (void)args, (void)result;
	kept = objpool_defer(call, 0);
	return kept ? 0 : objpool_fail(call, NULL, "out of memory");
}

static void deferred(void *self, struct objpool_call *call, enum objpool_event event)
{
	(void)self, (void)call, (void)event;
}

/* Answers the one that was deferred, with as much as `pieces` gives. */
static int answer(void *self, struct objpool_call *call, const struct objpool_args *args, msgpack_packer *result)
{
	struct objpool_buffer buffer = OBJPOOL_BUFFER_INIT;
	msgpack_packer packer;

	(void)result;
	if (!kept)
		return objpool_fail(call, NULL, "nothing is deferred");
	msgpack_packer_init(&packer, &buffer, objpool_buffer_write);
	(void)pieces(self, call, args, &packer);
	if (buffer.failed)
		(void)objpool_fail(kept, NULL, "out of memory");
	(void)objpool_answer(kept, buffer.data, buffer.size);
	objpool_buffer_free(&buffer);
	kept = NULL;
	return 0;
}

/* Yields values of 64 KiB, head included, until its caller has gone. */
static int gen(void *self, struct objpool_call *call, const struct objpool_args *args, msgpack_packer *result)
{
	static uint8_t value[YIELDED] = {0xc6, 0, 0, (YIELDED - 5) >> 8, (YIELDED - 5) & 0xff};

	(void)self, (void)args, (void)result;
	while (objpool_yield(call, value, sizeof value) == 0)
		;
	return objpool_fail(call, NULL, "nobody waits");
}

/* How many bytes the process has allocated. */
static int memory(void *self, struct objpool_call *call, const struct objpool_args *args, msgpack_packer *result)
{
	(void)self, (void)call, (void)args;
	msgpack_pack_uint64(result, mallinfo2().uordblks);
	return 0;
}

static int snapshot(void *self, struct objpool_call *call, msgpack_packer *state)
{
	return pieces(self, call, &(const struct objpool_args){.count = 0}, state);
}

static int restore(void *self, struct objpool_call *call, const msgpack_object *state)
{
	(void)self, (void)call, (void)state;
	return 0;
}

static int each_pieces(void *self, struct objpool_call *call, msgpack_packer *result)
{
	const struct objpool_args *args;

	while ((args = objpool_next_item(call)))
		(void)pieces(self, call, args, result);
	return 0;
}

static struct board *board_of_worker; /* in the worker */

/* Does what its argument says, and goes on with the next item, or returns. Counts the items that it has asked for. */
enum act { GIVE, GIVE_NOTHING, FAIL, FAIL_AND_RETURN, GIVE_TWO, GIVE_HALF, RETURN, DEFER, CANCEL };

static int acts(void *self, struct objpool_call *call, msgpack_packer *result)
{
	static int64_t count;
	const struct objpool_args *args;

	(void)self;
	while ((args = objpool_next_item(call))) {
		const uint64_t act = args->values[0].via.u64;
		count++;
		if (act == FAIL || act == FAIL_AND_RETURN)
			(void)objpool_fail(call, NULL, "as told");
		if (act == FAIL_AND_RETURN)
			return -1;
		if (act == CANCEL)
			(void)board_move(board_of_worker, task_of(call)->id, BOARD_STARTED, BOARD_CANCELLED);
		if (act == DEFER)
			(void)objpool_defer(call, 0);
		if (act == GIVE_TWO)
			msgpack_pack_nil(result);
		if (act == GIVE_HALF)
			msgpack_pack_array(result, 2);
		else if (act != GIVE_NOTHING)
			msgpack_pack_int64(result, count);
		if (act == RETURN)
			return 0;
	}
	msgpack_pack_int64(result, count); /* there is no item for these */
	(void)objpool_fail(call, NULL, "too late");
	return -1;
}

/* Answers the call that was deferred once there are no more items. */
static int answers_last(void *self, struct objpool_call *call, msgpack_packer *result)
{
	static const char value[] = "\x2a";

	(void)self, (void)result;
	while (objpool_next_item(call))
		;
	(void)objpool_answer(kept, value, 1);
	kept = NULL;
	return 0;
}

static int asks_for_nothing(void *self, struct objpool_call *call, msgpack_packer *result)
{
	(void)self, (void)call, (void)result;
	return 0;
}

static const struct objpool_method methods[] = {{.name = "pieces", .call = pieces, .max_args = -1},
						{.name = "nothing", .call = nothing},
						{.name = "fail", .call = refuse},
						{.name = "defer", .call = defer},
						{.name = "answer", .call = answer},
						{.name = "gen", .call = gen},
						{.name = "memory", .call = memory},
						{.name = "each_pieces", .many = each_pieces, .max_args = -1},
						{.name = "acts", .many = acts, .min_args = 1, .max_args = 1},
						{.name = "answers_last", .many = answers_last, .max_args = -1},
						{.name = "asks_for_nothing", .many = asks_for_nothing, .max_args = -1},
						{.name = NULL}};
static const struct objpool_class class = {OBJPOOL_CLASS_HEAD, .name = "Pieces", .create = create, .methods = methods,
					   .deferred = deferred, .snapshot = snapshot, .restore = restore};
static const struct objpool_class *const classes[] = {&class, NULL};
static const struct objpool_plugin exported = {OBJPOOL_PLUGIN_HEAD, .name = "pieces", .version = "1", .classes = classes};

/* ---- the worker, and what it says ---- */

struct worker {
	pid_t pid;
	int fd;
	uint32_t id;
	struct board *board;
	struct failing *plan;
	uint8_t *got; /* [ROOM] */
	size_t begin, end;
	int descriptor; /* that came with what was read; -1: none */
	msgpack_unpacked message;
};

_Noreturn static void run_worker(struct worker *worker, int fd)
{
	static struct plugin plugin;
	char fault[256];

	(void)close(worker->fd);
	if (plugin_link(&plugin, &exported, "Pieces", fault, sizeof fault) < 0)
		_exit(99);
	failing = worker->plan;
	board_of_worker = worker->board;
	_exit(worker_loop_run(&plugin, worker->board, fd, 0) == HOST_STOPPED ? 0 : 1);
}

static void *shared(size_t size)
{
	void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	assert_true(memory != MAP_FAILED);
	return memory;
}

static void say(const struct worker *worker, const msgpack_sbuffer *message)
{
	assert_int_equal(send(worker->fd, message->data, message->size, MSG_NOSIGNAL), message->size);
}

static bool receive(struct worker *worker)
{
	union {
		struct cmsghdr head;
		char room[CMSG_SPACE(sizeof(int))];
	} control;
	struct iovec iov = {.iov_base = worker->got + worker->end, .iov_len = ROOM - worker->end};
	struct msghdr header = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};

	assert_int_equal(poll(&(struct pollfd){.fd = worker->fd, .events = POLLIN}, 1, PATIENCE_MS), 1);
	const ssize_t n = recvmsg(worker->fd, &header, MSG_CMSG_CLOEXEC);
	if (n <= 0)
		return false;
	if (CMSG_FIRSTHDR(&header))
		memcpy(&worker->descriptor, CMSG_DATA(&control.head), sizeof worker->descriptor);
	worker->end += (size_t)n;
	return true;
}

/* The next message, as an array in worker->message; NULL: the worker has ended. */
static const msgpack_object_array *hear(struct worker *worker)
{
	int64_t size;

	while ((size = worker->begin < worker->end ? scan_length(worker->got + worker->begin, worker->end - worker->begin) : 0) ==
	       0)
		if (!receive(worker))
			return NULL;
	assert_true(size > 0);
	size_t from = 0;
	msgpack_unpacked_destroy(&worker->message);
	assert_int_equal(msgpack_unpack_next(&worker->message, (const char *)worker->got + worker->begin, (size_t)size, &from),
			 MSGPACK_UNPACK_SUCCESS);
	worker->begin += (size_t)size;
	assert_int_equal(worker->message.data.type, MSGPACK_OBJECT_ARRAY);
	return &worker->message.data.via.array;
}

static void start(struct worker *worker)
{
	int ends[2];
	msgpack_sbuffer out;
	msgpack_packer packer;

	*worker = (struct worker){.board = shared(sizeof(struct board)),
				  .plan = shared(sizeof(struct failing)),
				  .got = malloc(ROOM),
				  .descriptor = -1};
	msgpack_unpacked_init(&worker->message);
	atomic_store(&worker->plan->left, -1);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
	worker->fd = ends[0];
	worker->pid = fork();
	if (worker->pid == 0)
		run_worker(worker, ends[1]);
	(void)close(ends[1]);
	msgpack_sbuffer_init(&out);
	msgpack_packer_init(&packer, &out, msgpack_sbuffer_write);
	msgpack_pack_array(&packer, 12);
	msgpack_pack_int(&packer, TO_START);
	msgpack_pack_int(&packer, getpid());
	msgpack_pack_str_with_body(&packer, "p", 1);
	for (int i = 0; i < 3; i++)
		msgpack_pack_int(&packer, 1);
	for (int i = 0; i < 3; i++)
		msgpack_pack_nil(&packer);
	msgpack_pack_int(&packer, ROOM);
	msgpack_pack_array(&packer, 0);
	msgpack_pack_false(&packer);
	say(worker, &out);
	msgpack_sbuffer_destroy(&out);
	const msgpack_object_array *ready = hear(worker);
	assert_true(ready && ready->size == 1 && ready->ptr[0].via.u64 == FROM_READY);
}

static void stop_host(struct worker *worker)
{
	(void)close(worker->fd);
	if (worker->descriptor >= 0)
		(void)close(worker->descriptor);
	assert_int_equal(waitpid(worker->pid, NULL, 0), worker->pid);
	(void)munmap(worker->board, sizeof *worker->board);
	(void)munmap(worker->plan, sizeof *worker->plan);
	msgpack_unpacked_destroy(&worker->message);
	free(worker->got);
}

/* ---- questions ---- */

static uint32_t next_id(struct worker *worker)
{
	worker->id++;
	board_set_items(worker->board, worker->id, BOARD_ITEMS_MAX);
	atomic_store(&board_entry(worker->board, worker->id)->word, board_word(worker->id, BOARD_HANDED));
	return worker->id;
}

static void call(struct worker *worker, const char *method)
{
	msgpack_sbuffer out;
	msgpack_packer packer;

	msgpack_sbuffer_init(&out);
	msgpack_packer_init(&packer, &out, msgpack_sbuffer_write);
	msgpack_pack_array(&packer, 5);
	msgpack_pack_int(&packer, TO_CALL);
	msgpack_pack_uint32(&packer, next_id(worker));
	msgpack_pack_int(&packer, 7);
	msgpack_pack_str_with_body(&packer, method, strlen(method));
	msgpack_pack_array(&packer, 0);
	say(worker, &out);
	msgpack_sbuffer_destroy(&out);
}

/* A map of items, each with an argument. */
static void map_of(struct worker *worker, const char *method, const uint8_t *items, uint32_t count)
{
	msgpack_sbuffer out;
	msgpack_packer packer;

	msgpack_sbuffer_init(&out);
	msgpack_packer_init(&packer, &out, msgpack_sbuffer_write);
	msgpack_pack_array(&packer, 11);
	msgpack_pack_int(&packer, TO_ITEMS);
	msgpack_pack_uint32(&packer, next_id(worker));
	msgpack_pack_int(&packer, 7);
	msgpack_pack_str_with_body(&packer, method, strlen(method));
	msgpack_pack_int(&packer, 0);
	msgpack_pack_int(&packer, 0);
	msgpack_pack_int(&packer, SHAPE_ZIP);
	msgpack_pack_int(&packer, 0);
	msgpack_pack_uint32(&packer, count);
	msgpack_pack_array(&packer, 1);
	msgpack_pack_array(&packer, count);
	for (uint32_t i = 0; i < count; i++)
		msgpack_pack_uint8(&packer, items[i]);
	msgpack_pack_map(&packer, 0);
	say(worker, &out);
	msgpack_sbuffer_destroy(&out);
}

static void ask_for_state(struct worker *worker)
{
	const char message[] = {(char)0x92, TO_STOP, 1};
	assert_int_equal(send(worker->fd, message, sizeof message, MSG_NOSIGNAL), sizeof message);
}

/* ---- answers ---- */

static bool is_pieces(const msgpack_object *value, char letter)
{
	char text[PIECE];

	memset(text, letter, sizeof text);
	if (value->type != MSGPACK_OBJECT_ARRAY || value->via.array.size != PIECES)
		return false;
	for (int i = 0; i < PIECES; i++) {
		const msgpack_object *piece = &value->via.array.ptr[i];
		if (piece->type != MSGPACK_OBJECT_STR || piece->via.str.size != PIECE ||
		    memcmp(piece->via.str.ptr, text, PIECE) != 0)
			return false;
	}
	return true;
}

static bool is_text(const msgpack_object *object, const char *text)
{
	return object->type == MSGPACK_OBJECT_STR && object->via.str.size == strlen(text) &&
	       memcmp(object->via.str.ptr, text, strlen(text)) == 0;
}

/* [code, message, type, traceback, data, ran] that says that there is no memory. */
static void assert_no_memory(const msgpack_object *error)
{
	assert_int_equal(error->type, MSGPACK_OBJECT_ARRAY);
	assert_int_equal(error->via.array.size, 6);
	const msgpack_object_str *message = &error->via.array.ptr[1].via.str;
	assert_non_null(memmem(message->ptr, message->size, "memory", 6));
}

static void assert_whole_failure(const msgpack_object *error)
{
	const msgpack_object *fields = error->via.array.ptr;

	assert_int_equal(error->via.array.size, 6);
	assert_true(is_text(&fields[1], "a message") && is_text(&fields[2], "Type") && is_text(&fields[3], "a traceback"));
	assert_true(fields[4].type == MSGPACK_OBJECT_BIN && fields[4].via.bin.size == DATA);
}

/* What an answer came to. */
enum outcome { LOST, WITHOUT_MEMORY, RIGHT };

/* [PAYLOAD, id, place, offset, length, touched] */
static enum outcome read_payload(struct worker *worker, const msgpack_object_array *message)
{
	const size_t size = (size_t)message->ptr[4].via.u64;
	char *bytes = malloc(size);
	msgpack_unpacked value;

	assert_true(worker->descriptor >= 0);
	assert_int_equal(pread(worker->descriptor, bytes, size, 0), size);
	msgpack_unpacked_init(&value);
	assert_int_equal(msgpack_unpack_next(&value, bytes, size, NULL), MSGPACK_UNPACK_SUCCESS);
	assert_true(is_pieces(&value.data, 'a'));
	msgpack_unpacked_destroy(&value);
	free(bytes);
	atomic_store(&worker->board->lent[message->ptr[2].via.u64], LENT_FREE);
	(void)close(worker->descriptor);
	worker->descriptor = -1;
	return RIGHT;
}

static enum outcome read_pieces(struct worker *worker)
{
	const msgpack_object_array *message = hear(worker);

	if (!message)
		return LOST;
	if (message->ptr[0].via.u64 == FROM_PAYLOAD)
		return read_payload(worker, message);
	assert_int_equal(message->ptr[0].via.u64, FROM_REPLY);
	assert_int_equal(message->ptr[1].via.u64, worker->id);
	if (message->ptr[2].type == MSGPACK_OBJECT_NIL) {
		assert_true(is_pieces(&message->ptr[3], 'a'));
		return RIGHT;
	}
	assert_no_memory(&message->ptr[2]);
	return WITHOUT_MEMORY;
}

static enum outcome ask_pieces(struct worker *worker)
{
	call(worker, "pieces");
	return read_pieces(worker);
}

static enum outcome ask_nothing(struct worker *worker)
{
	call(worker, "nothing");
	const msgpack_object_array *message = hear(worker);
	if (!message)
		return LOST;
	if (message->ptr[2].type != MSGPACK_OBJECT_NIL) {
		assert_no_memory(&message->ptr[2]);
		return WITHOUT_MEMORY;
	}
	assert_int_equal(message->ptr[3].type, MSGPACK_OBJECT_NIL);
	return RIGHT;
}

static enum outcome ask_fail(struct worker *worker)
{
	call(worker, "fail");
	const msgpack_object_array *message = hear(worker);
	if (!message)
		return LOST;
	assert_int_equal(message->ptr[2].type, MSGPACK_OBJECT_ARRAY);
	if (is_text(&message->ptr[2].via.array.ptr[1], "a message")) {
		assert_whole_failure(&message->ptr[2]);
		return RIGHT;
	}
	assert_no_memory(&message->ptr[2]);
	return WITHOUT_MEMORY;
}

/* Each item has its value or its error. */
static enum outcome hear_items(struct worker *worker)
{
	enum outcome outcome = RIGHT;
	uint64_t item = 0;

	while (item < ITEMS) {
		const msgpack_object_array *message = hear(worker);
		if (!message)
			return LOST;
		assert_int_equal(message->ptr[2].via.u64, item);
		if (message->ptr[0].via.u64 == FROM_ITEM_ERROR) {
			assert_no_memory(&message->ptr[3]);
			outcome = WITHOUT_MEMORY;
			item++;
			continue;
		}
		assert_int_equal(message->ptr[0].via.u64, FROM_RESULTS);
		for (uint32_t i = 0; i < message->ptr[3].via.array.size; i++, item++)
			assert_true(is_pieces(&message->ptr[3].via.array.ptr[i], 'b'));
	}
	return outcome;
}

static const uint8_t some_items[ITEMS] = {0, 1, 2, 3};

static enum outcome ask_items(struct worker *worker)
{
	map_of(worker, "pieces", some_items, ITEMS);
	return hear_items(worker);
}

static enum outcome ask_run(struct worker *worker)
{
	map_of(worker, "each_pieces", some_items, ITEMS);
	return hear_items(worker);
}

/* Defers a call, and answers it by another: [DEFERRED], [REPLY], [ANSWER]. */
static enum outcome ask_deferred(struct worker *worker)
{
	call(worker, "defer");
	const msgpack_object_array *message = hear(worker);
	if (!message)
		return LOST;
	if (message->ptr[0].via.u64 == FROM_REPLY) {
		assert_no_memory(&message->ptr[2]);
		return WITHOUT_MEMORY;
	}
	assert_int_equal(message->ptr[0].via.u64, FROM_DEFERRED);
	call(worker, "answer");
	if (!(message = hear(worker)))
		return LOST;
	assert_int_equal(message->ptr[0].via.u64, FROM_REPLY);
	if (message->ptr[2].type != MSGPACK_OBJECT_NIL) { /* `answer` was not called: its arguments had no memory */
		assert_no_memory(&message->ptr[2]);
		call(worker, "answer");
		if (!hear(worker))
			return LOST;
	}
	if (!(message = hear(worker)))
		return LOST;
	assert_int_equal(message->ptr[0].via.u64, FROM_ANSWER);
	if (message->ptr[2].type == MSGPACK_OBJECT_NIL) {
		assert_true(is_pieces(&message->ptr[3], 'a'));
		return RIGHT;
	}
	assert_no_memory(&message->ptr[2]);
	return WITHOUT_MEMORY;
}

static enum outcome ask_state(struct worker *worker)
{
	ask_for_state(worker);
	const msgpack_object_array *message = hear(worker);
	if (!message)
		return LOST;
	assert_int_equal(message->ptr[0].via.u64, FROM_STATE);
	if (message->size == 3) {
		assert_no_memory(&message->ptr[2]);
		return WITHOUT_MEMORY;
	}
	assert_true(is_pieces(&message->ptr[1], 'a'));
	return RIGHT;
}

/* ---- the tests ---- */

/* Until so many allocations go well that none fails. */
static void try_all(enum outcome (*ask)(struct worker *worker), uint64_t payload_min, bool lasting, bool last)
{
	int tries = 0, refused = 0, lost = 0;

	for (bool failed = true; failed; tries++) {
		struct worker worker;
		start(&worker);
		atomic_store(&worker.board->payload_min, payload_min);
		failing_begin(worker.plan, tries, lasting);
		const enum outcome outcome = ask(&worker);
		failed = failing_end(worker.plan);
		assert_true(failed || outcome == RIGHT);
		assert_true(tries < TRIES);
		refused += outcome == WITHOUT_MEMORY;
		lost += outcome == LOST;
		worker.begin = worker.end = 0;
		if (outcome != LOST && !last)
			assert_int_equal(ask(&worker), RIGHT);
		stop_host(&worker);
	}
	assert_true(refused > 0 && lost <= refused);
}

static void try_both(enum outcome (*ask)(struct worker *worker), uint64_t payload_min, bool last)
{
	try_all(ask, payload_min, false, last);
	try_all(ask, payload_min, true, last);
}

static void test_result(void **state)
{
	(void)state;
	try_both(ask_pieces, 0, false);
}

/* One that goes on in a memory file, and comes back into the bytes where there can be none. */
static void test_payload(void **state)
{
	struct worker worker;

	(void)state;
	start(&worker);
	atomic_store(&worker.board->payload_min, PIECE);
	assert_int_equal(ask_pieces(&worker), RIGHT);
	stop_host(&worker);
	for (int n = 0; n < 8; n++)
		for (int lasting = 0; lasting < 2; lasting++) {
			start(&worker);
			atomic_store(&worker.board->payload_min, PIECE);
			failing_begin(worker.plan, n, lasting);
			const enum outcome outcome = ask_pieces(&worker);
			(void)failing_end(worker.plan);
			if (outcome != LOST)
				assert_int_equal(ask_pieces(&worker), RIGHT);
			stop_host(&worker);
		}
}

static void test_error(void **state)
{
	(void)state;
	try_both(ask_fail, 0, false);
}

static void test_items(void **state)
{
	(void)state;
	try_both(ask_items, 0, false);
}

static void test_run(void **state)
{
	(void)state;
	try_both(ask_run, 0, false);
}

static void test_deferred_answer(void **state)
{
	(void)state;
	try_both(ask_deferred, 0, false);
}

/* The answer that a run gives behind its last item does not wait for another message. */
static void test_a_run_that_answers_last(void **state)
{
	struct worker worker;

	(void)state;
	start(&worker);
	call(&worker, "defer");
	assert_int_equal(hear(&worker)->ptr[0].via.u64, FROM_DEFERRED);
	map_of(&worker, "answers_last", some_items, ITEMS);
	const msgpack_object_array *message = hear(&worker);
	assert_int_equal(message->ptr[0].via.u64, FROM_RESULTS);
	while (message->ptr[0].via.u64 == FROM_RESULTS) /* in two parts, when it is slow */
		message = hear(&worker);
	assert_int_equal(message->ptr[0].via.u64, FROM_ANSWER);
	assert_int_equal(message->ptr[3].via.u64, 42);
	stop_host(&worker);
}

static void test_snapshot(void **state)
{
	(void)state;
	try_both(ask_state, 0, true);
}

/* No allocation stands between a small call and its answer. */
static void test_small_answers_need_no_memory(void **state)
{
	struct worker worker;

	(void)state;
	start(&worker);
	failing_begin(worker.plan, 0, true);
	for (int i = 0; i < 500; i++)
		assert_int_equal(ask_nothing(&worker), RIGHT);
	(void)failing_end(worker.plan);
	stop_host(&worker);
}

/* Its method is one that the worker doesn't find; then it sees that it was taken back. */
static void test_a_call_that_was_taken_back_leaves_no_error(void **state)
{
	char name[400];
	struct worker worker;
	msgpack_sbuffer out;
	msgpack_packer packer;

	(void)state;
	memset(name, 'x', sizeof name);
	start(&worker);
	msgpack_sbuffer_init(&out);
	msgpack_packer_init(&packer, &out, msgpack_sbuffer_write);
	msgpack_pack_array(&packer, 5);
	msgpack_pack_int(&packer, TO_CALL);
	msgpack_pack_uint32(&packer, next_id(&worker));
	assert_true(board_revoke(worker.board, worker.id));
	msgpack_pack_int(&packer, 7);
	msgpack_pack_str_with_body(&packer, name, sizeof name);
	msgpack_pack_array(&packer, 0);
	say(&worker, &out);
	msgpack_sbuffer_destroy(&out);
	const msgpack_object_array *passed = hear(&worker);
	assert_int_equal(passed->ptr[0].via.u64, FROM_PASSED);
	assert_int_equal(ask_nothing(&worker), RIGHT);
	stop_host(&worker);
}

/* ---- bounds ---- */

/* A call that takes values as they are yielded. */
static void call_gen(struct worker *worker)
{
	msgpack_sbuffer out;
	msgpack_packer packer;

	msgpack_sbuffer_init(&out);
	msgpack_packer_init(&packer, &out, msgpack_sbuffer_write);
	msgpack_pack_array(&packer, 8);
	msgpack_pack_int(&packer, TO_CALL);
	msgpack_pack_uint32(&packer, next_id(worker));
	msgpack_pack_int(&packer, 7);
	msgpack_pack_str_with_body(&packer, "gen", 3);
	msgpack_pack_array(&packer, 0);
	msgpack_pack_int(&packer, 0);
	msgpack_pack_nil(&packer);
	msgpack_pack_int(&packer, CALL_YIELDS);
	say(worker, &out);
	msgpack_sbuffer_destroy(&out);
}

/* How many values come, one after another, until the worker waits, and then is told that its caller has gone. */
static void test_yields_are_bounded(void **state)
{
	const char taken_nothing[] = {(char)0x93, TO_TAKEN, 1, 0};
	const msgpack_object_array *message;
	struct worker worker;
	int yields = 0;

	(void)state;
	start(&worker);
	call_gen(&worker);
	assert_int_equal(worker.id, 1);
	while ((message = hear(&worker)) && message->ptr[0].via.u64 == FROM_YIELD) {
		if (++yields < YIELD_AHEAD / YIELDED)
			continue;
		if (board_move(worker.board, worker.id, BOARD_STARTED, BOARD_CANCELLED))
			assert_int_equal(send(worker.fd, taken_nothing, sizeof taken_nothing, MSG_NOSIGNAL),
					 sizeof taken_nothing);
	}
	assert_non_null(message);
	assert_int_equal(message->ptr[0].via.u64, FROM_REPLY);
	assert_int_equal(yields, YIELD_AHEAD / YIELDED);
	stop_host(&worker);
}

static void call_with_arguments(struct worker *worker, const char *method)
{
	char text[5000] = {0};
	msgpack_sbuffer out;
	msgpack_packer packer;

	msgpack_sbuffer_init(&out);
	msgpack_packer_init(&packer, &out, msgpack_sbuffer_write);
	msgpack_pack_array(&packer, 5);
	msgpack_pack_int(&packer, TO_CALL);
	msgpack_pack_uint32(&packer, next_id(worker));
	msgpack_pack_int(&packer, 7);
	msgpack_pack_str_with_body(&packer, method, strlen(method));
	msgpack_pack_array(&packer, 20);
	for (int i = 0; i < 20; i++) {
		msgpack_pack_array(&packer, 2);
		msgpack_pack_str_with_body(&packer, text, sizeof text);
		msgpack_pack_nil(&packer);
	}
	say(worker, &out);
	msgpack_sbuffer_destroy(&out);
}

static void hear_reply(struct worker *worker)
{
	worker->begin = worker->end = 0;
	const msgpack_object_array *message = hear(worker);
	assert_true(message && message->ptr[0].via.u64 == FROM_REPLY);
}

static uint64_t ask_memory(struct worker *worker)
{
	call(worker, "memory");
	hear_reply(worker);
	return worker->message.data.via.array.ptr[3].via.u64;
}

static void use(struct worker *worker)
{
	call_with_arguments(worker, "pieces");
	hear_reply(worker);
	call_with_arguments(worker, "fail"); /* it takes none */
	hear_reply(worker);
	call(worker, "fail");
	hear_reply(worker);
	call(worker, "no such method");
	hear_reply(worker);
}

static void test_a_worker_keeps_no_memory_of_its_tasks(void **state)
{
	struct worker worker;

	(void)state;
	start(&worker);
	for (int i = 0; i < 20; i++)
		use(&worker);
	const uint64_t before = ask_memory(&worker);
	for (int i = 0; i < 4000; i++) /* a buffer may have grown meanwhile; what each call kept would be more */
		use(&worker);
	assert_in_range(ask_memory(&worker), 0, before + (128 << 10));
	stop_host(&worker);
}

/* ---- runs of items ---- */

/* Writes what the worker says of `items` items as words: a number is a value, E an error of the method's own, I one of an item
 * that is wrong, D a deferral, C the error of an item that was cancelled, "-" the word that the rest was taken back. */
static const char *hear_run(struct worker *worker, uint32_t items)
{
	static char words[256];
	size_t n = 0;

	while (items > 0) {
		const msgpack_object_array *message = hear(worker);
		assert_non_null(message);
		const msgpack_object *field = message->ptr;
		switch (field[0].via.u64) {
		case FROM_RESULTS:
			for (uint32_t i = 0; i < field[3].via.array.size; i++, items--)
				n += (size_t)snprintf(words + n, sizeof words - n,
						      field[3].via.array.ptr[i].type == MSGPACK_OBJECT_NIL ? "nil " : "%d ",
						      (int)field[3].via.array.ptr[i].via.i64);
			break;
		case FROM_ITEM_ERROR:
			n += (size_t)snprintf(words + n, sizeof words - n, "%s ",
					      is_text(&field[3].via.array.ptr[0], "CANCELLED")  ? "C"
					      : is_text(&field[3].via.array.ptr[1], "as told") ? "E"
											 : "I");
			items--;
			break;
		case FROM_DEFERRED:
			n += (size_t)snprintf(words + n, sizeof words - n, "D ");
			items--;
			break;
		default:
			assert_int_equal(field[0].via.u64, FROM_PASSED);
			n += (size_t)snprintf(words + n, sizeof words - n, "-");
			items = 0;
		}
	}
	return words;
}

static void expect_run(struct worker *worker, const uint8_t *items, uint32_t count, const char *words)
{
	map_of(worker, "acts", items, count);
	assert_string_equal(hear_run(worker, count), words);
}

static void test_each_item_of_a_run_has_its_own_answer(void **state)
{
	const uint8_t all[] = {GIVE, FAIL, GIVE_NOTHING, GIVE_TWO, GIVE, GIVE_HALF, DEFER, GIVE};
	struct worker worker;

	(void)state;
	start(&worker);
	expect_run(&worker, all, sizeof all, "1 E nil I 5 I D 8 ");
	expect_run(&worker, (const uint8_t[]){GIVE}, 1, "9 "); /* what it does without an item is forgotten */
	stop_host(&worker);
}

/* The host calls it again for the items that are left. */
static void test_a_method_may_return_in_the_middle_of_a_run(void **state)
{
	const uint8_t all[] = {RETURN, FAIL_AND_RETURN, GIVE, RETURN};
	struct worker worker;

	(void)state;
	start(&worker);
	expect_run(&worker, all, sizeof all, "1 E 3 4 ");
	map_of(&worker, "asks_for_nothing", all, sizeof all);
	assert_string_equal(hear_run(&worker, sizeof all), "I I I I ");
	stop_host(&worker);
}

static void test_a_run_ends_where_the_board_says(void **state)
{
	const uint8_t all[] = {GIVE, GIVE, GIVE, GIVE};
	struct worker worker;

	(void)state;
	start(&worker);
	assert_int_equal(kill(worker.pid, SIGSTOP), 0); /* until the board says so */
	map_of(&worker, "acts", all, sizeof all);
	board_set_items(worker.board, worker.id, 2);
	assert_int_equal(kill(worker.pid, SIGCONT), 0);
	assert_string_equal(hear_run(&worker, sizeof all), "1 2 -");
	expect_run(&worker, all, 1, "3 ");
	stop_host(&worker);
}

static void test_a_run_that_is_cancelled_begins_no_item_more(void **state)
{
	const uint8_t all[] = {GIVE, CANCEL, GIVE, GIVE};
	struct worker worker;

	(void)state;
	start(&worker);
	expect_run(&worker, all, sizeof all, "1 2 C C ");
	expect_run(&worker, all, 1, "3 ");
	stop_host(&worker);
}

static void test_a_call_that_comes_alone_is_a_run_of_one(void **state)
{
	struct worker worker;

	(void)state;
	start(&worker);
	call(&worker, "each_pieces");
	assert_int_equal(read_pieces(&worker), RIGHT);
	call(&worker, "acts"); /* it takes an argument: the host says so */
	const msgpack_object_array *message = hear(&worker);
	assert_true(message && is_text(&message->ptr[2].via.array.ptr[0], "BAD_ARGUMENT"));
	call(&worker, "asks_for_nothing");
	message = hear(&worker);
	assert_true(message && is_text(&message->ptr[2].via.array.ptr[0], "FAILED"));
	stop_host(&worker);
}

static uint64_t taken(struct task *task, uint8_t id, uint8_t bytes)
{
	const uint8_t message[] = {id, bytes};
	struct reader reader = {.p = message, .end = message + sizeof message};

	worker_yield_on_taken(task, &reader);
	return task->yielded;
}

/* A late word of an earlier batch says nothing of this one. */
static void test_taken_is_of_its_batch(void **state)
{
	struct task task = {.id = 5, .yielded = 100};

	(void)state;
	assert_int_equal(taken(&task, 4, 60), 100);
	assert_int_equal(taken(&task, 5, 60), 40);
	assert_int_equal(taken(&task, 5, 60), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_result),	cmocka_unit_test(test_payload),		cmocka_unit_test(test_error),
		cmocka_unit_test(test_run),	cmocka_unit_test(test_each_item_of_a_run_has_its_own_answer),
		cmocka_unit_test(test_a_method_may_return_in_the_middle_of_a_run),
		cmocka_unit_test(test_a_run_ends_where_the_board_says),
		cmocka_unit_test(test_a_run_that_is_cancelled_begins_no_item_more),
		cmocka_unit_test(test_a_call_that_comes_alone_is_a_run_of_one),
		cmocka_unit_test(test_items),	cmocka_unit_test(test_deferred_answer), cmocka_unit_test(test_snapshot),
		cmocka_unit_test(test_small_answers_need_no_memory), cmocka_unit_test(test_a_run_that_answers_last),
		cmocka_unit_test(test_a_call_that_was_taken_back_leaves_no_error), cmocka_unit_test(test_taken_is_of_its_batch),
		cmocka_unit_test(test_yields_are_bounded), cmocka_unit_test(test_a_worker_keeps_no_memory_of_its_tasks),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
