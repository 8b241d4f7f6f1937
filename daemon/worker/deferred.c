/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/worker/deferred.h"

#include "daemon/worker/direct_service.h"
#include "daemon/worker/quit.h"
#include "proto/pack.h"
#include "proto/scan.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* [ANSWER, tag, error, nil] with a short error */
enum { ANSWER_MIN = 3 + PACK_UINT + METHOD_ERROR_SHORT };

void deferrals_init(struct deferrals *deferrals, struct task *task, struct board *board)
{
	*deferrals = (struct deferrals){.task = task, .board = board};
	TAILQ_INIT(&deferrals->roomy);
}

static struct deferred **place_of(struct deferrals *deferrals, uint64_t tag)
{
	return &deferrals->by_place[tag % LEDGER_ENTRIES];
}

/* ---- those of direct channels ---- */

static struct direct_place *board_of(const struct deferred *deferred)
{
	return &deferred->deferrals->board->direct.places[deferred->channel->place];
}

static void link_to_channel(struct deferred *deferred, const struct direct_call *call)
{
	deferred->is_direct = true;
	if (!call->request)
		return;
	deferred->channel = call->channel;
	deferred->number = call->number;
	deferred->msgid = call->msgid;
	TAILQ_INSERT_TAIL(&call->channel->deferred, deferred, of_channel);
	atomic_fetch_add(&board_of(deferred)->put_off, 1);
}

static void unlink_from_channel(struct deferred *deferred)
{
	(void)board_direct_take_cancel(board_of(deferred), deferred->number);
	atomic_fetch_sub(&board_of(deferred)->put_off, 1);
	TAILQ_REMOVE(&deferred->channel->deferred, deferred, of_channel);
}

void deferred_free(struct deferred *deferred)
{
	struct deferrals *deferrals = deferred->deferrals;

	if (deferred->channel)
		unlink_from_channel(deferred);
	if (deferred->roomy)
		TAILQ_REMOVE(&deferrals->roomy, deferred, link);
	timer_close(&deferrals->timers, &deferred->wake);
	*place_of(deferrals, deferred->tag) = NULL;
	deferrals->count--;
	method_error_forget(&deferred->handle.error);
	free((char *)deferred->handle.call.method);
	free(deferred->traceparent);
	free(deferred);
}

void deferrals_free(struct deferrals *deferrals)
{
	for (uint32_t i = 0; deferrals->by_place && i < LEDGER_ENTRIES && deferrals->count > 0; i++)
		if (deferrals->by_place[i])
			deferred_free(deferrals->by_place[i]);
	free(deferrals->by_place);
	timers_free(&deferrals->timers);
	free(deferrals->answers);
}

/* ---- answers that wait to be sent ---- */

/* Makes room for `size` bytes, and for short answers to `others` calls. 0, or -ENOMEM. */
static int make_room(struct deferrals *deferrals, size_t size, uint32_t others)
{
	const size_t wanted = deferrals->answers_size + size + (size_t)others * ANSWER_MIN;

	if (wanted <= deferrals->answers_room)
		return 0;
	const size_t room = wanted > 2 * deferrals->answers_room ? wanted : 2 * deferrals->answers_room;
	uint8_t *grown = realloc(deferrals->answers, room);
	if (!grown)
		return -ENOMEM;
	deferrals->answers = grown;
	deferrals->answers_room = room;
	return 0;
}

/* The callback of a msgpack_packer that writes an answer. The room set aside for the other calls is not used. */
static int append(void *data, const char *bytes, size_t size)
{
	struct deferrals *deferrals = data;

	if (deferrals->failed || make_room(deferrals, size, deferrals->count - 1) < 0) {
		deferrals->failed = true;
		return -1;
	}
	memcpy(deferrals->answers + deferrals->answers_size, bytes, size);
	deferrals->answers_size += size;
	return 0;
}

struct span deferred_answers(struct deferrals *deferrals)
{
	const struct span answers = {.bytes = deferrals->answers, .size = deferrals->answers_size};
	deferrals->answers_size = 0;
	return answers;
}

/* ---- deferring ---- */

static void on_wake(struct timer *timer)
{
	struct deferred *deferred = container_of(timer, struct deferred, wake);
	const struct task *task = deferred->deferrals->task;
	task->plugin->class.deferred(task->self, &deferred->handle.call, OBJPOOL_WAKE);
}

static struct deferred *make(struct deferrals *deferrals, const struct objpool_call *call)
{
	struct deferred *deferred = make_room(deferrals, 0, deferrals->count + 1) == 0 ? calloc(1, sizeof *deferred) : NULL;

	if (!deferred)
		return NULL;
	deferred->handle.call = *call;
	deferred->handle.call.method = strdup(call->method);
	deferred->deferrals = deferrals;
	do {
		deferred->tag = ++deferrals->last_tag;
	} while (*place_of(deferrals, deferred->tag));
	*place_of(deferrals, deferred->tag) = deferred;
	deferrals->count++;
	return deferred;
}

struct objpool_call *deferred_new(struct objpool_call *call, uint64_t wake_at)
{
	struct task *task = task_of(call);
	struct deferrals *deferrals = task ? task->deferrals : NULL;

	if (!deferrals || !call->method || task->deferred_tag || !task->plugin->class.deferred ||
	    deferrals->count >= LEDGER_ENTRIES / 2)
		return NULL;
	if (task->direct ? direct_service_is_committed(task) : board_state(deferrals->board, task->id) == BOARD_COMMITTED)
		return NULL; /* its caller can't give the call up any more, and might wait for ever */
	if (!deferrals->by_place && !(deferrals->by_place = calloc(LEDGER_ENTRIES, sizeof *deferrals->by_place)))
		return NULL;
	struct deferred *deferred = make(deferrals, call);
	if (!deferred)
		return NULL;
	deferred->traceparent = task->traceparent[0] ? strdup(task->traceparent) : NULL;
	const bool kept = deferred->handle.call.method && (deferred->traceparent || !task->traceparent[0]);
	if (!kept || (wake_at && timer_open(&deferrals->timers, &deferred->wake, on_wake) < 0)) {
		deferred_free(deferred);
		return NULL;
	}
	if (wake_at)
		timer_set(&deferrals->timers, &deferred->wake, wake_at);
	if (task->direct)
		link_to_channel(deferred, task->direct);
	else
		ledger_open(deferrals->board, deferred->tag);
	task->deferred_tag = deferred->tag;
	deferred->progress = task->progress;
	deferred->wants_values = task->wants_values;
	return &deferred->handle.call;
}

int deferred_set_at_work(struct objpool_call *call)
{
	struct deferred *deferred = task_of(call) ? NULL : deferred_of(call);

	if (!deferred || deferred->deferrals->task->deferred_tag != deferred->tag)
		return -EINVAL; /* the supervisor has been told of it */
	deferred->at_work = true;
	return 0;
}

bool deferred_is_at_work(const struct deferrals *deferrals, uint64_t tag)
{
	const struct deferred *deferred = deferrals->by_place[tag % LEDGER_ENTRIES];

	return deferred && deferred->tag == tag && deferred->at_work; /* the method may have answered it already */
}

uint64_t deferred_take(struct task *task)
{
	const uint64_t tag = task->deferred_tag;
	task->deferred_tag = 0;
	return tag;
}

void deferred_undo(struct deferrals *deferrals, uint64_t tag)
{
	struct deferred *deferred = *place_of(deferrals, tag);
	if (deferred && deferred->tag == tag)
		deferred_free(deferred);
}

/* ---- answering ---- */

static bool is_one_value(const void *bytes, size_t size)
{
	return size > 0 && scan_nesting(bytes, size) <= SCAN_LEVELS && scan_length(bytes, size) == (int64_t)size;
}

void deferred_check_answer(struct deferred *deferred, const void *value, size_t size)
{
	struct method_error *error = &deferred->handle.error;

	if (error->code)
		return;
	if (!is_one_value(value, size))
		method_error_set(error, "FAILED", "yes", "the deferred answer is not one msgpack value");
	else if (size > deferred->deferrals->task->max_result)
		method_error_set(error, "TOO_LARGE", "yes", "the result is %zu bytes, over max_message = %llu bytes", size,
				 (unsigned long long)deferred->deferrals->task->max_result);
}

/* Begins [ANSWER, tag, error, value]: writes it up to the tag. */
static msgpack_packer begin_answer(const struct deferred *deferred)
{
	msgpack_packer packer;

	msgpack_packer_init(&packer, deferred->deferrals, append);
	msgpack_pack_array(&packer, 4);
	msgpack_pack_int(&packer, FROM_ANSWER);
	msgpack_pack_uint64(&packer, deferred->tag);
	return packer;
}

static void put_value(const struct deferred *deferred, const void *value, size_t size)
{
	msgpack_packer packer = begin_answer(deferred);

	msgpack_pack_nil(&packer);
	(void)append(deferred->deferrals, value, size);
}

static void put_error(const struct deferred *deferred, void (*pack)(const struct method_error *error, msgpack_packer *packer))
{
	msgpack_packer packer = begin_answer(deferred);

	pack(&deferred->handle.error, &packer);
	msgpack_pack_nil(&packer);
}

static void put_answer(struct deferred *deferred, const void *value, size_t size)
{
	struct deferrals *deferrals = deferred->deferrals;
	const size_t start = deferrals->answers_size;

	deferred_check_answer(deferred, value, size);
	if (deferred->handle.error.code)
		put_error(deferred, method_error_pack);
	else
		put_value(deferred, value, size);
	if (!deferrals->failed)
		return;
	deferrals->answers_size = start;
	deferrals->failed = false;
	put_error(deferred, method_error_pack_short);
}

/* Ends the process: the call can neither be answered nor given up, and its caller would wait for ever. */
__attribute__((noreturn))
static void die_of_ledger(void)
{
	(void)fprintf(stderr, "the memory that tells of deferred calls has been overwritten\n");
	quit_protocol();
}

int deferred_answer(struct deferred *deferred, const void *msgpack, size_t size)
{
	struct board *board = deferred->deferrals->board;

	if (!ledger_move(board, deferred->tag, LEDGER_DEFERRED, LEDGER_ANSWERED)) {
		if (!ledger_is(board, deferred->tag, LEDGER_CANCELLED))
			die_of_ledger();
		deferred->given_up = true; /* the tag is in use until GONE has come */
		timer_clear(&deferred->deferrals->timers, &deferred->wake);
		return -ECANCELED;
	}
	put_answer(deferred, msgpack, size);
	deferred_free(deferred);
	return 0;
}

/* ---- what it may ask meanwhile ---- */

bool deferred_is_cancelled(const struct deferred *deferred)
{
	if (deferred->is_direct)
		return deferred->channel &&
		       (deferred->channel->dead || board_direct_is_dropped(board_of(deferred), deferred->number));
	return deferred->given_up || ledger_is(deferred->deferrals->board, deferred->tag, LEDGER_CANCELLED);
}

uint64_t deferred_id(const struct deferred *deferred)
{
	if (deferred->is_direct)
		return INVOKE_DIRECT + deferred->channel->place;
	return deferred_is_in_its_method(deferred) ? deferred->deferrals->task->id : TASK_DEFERRED + deferred->tag;
}

bool deferred_has_room(const struct deferred *deferred, uint64_t size)
{
	return deferred->yielded == 0 || deferred->yielded + size <= YIELD_AHEAD;
}

bool deferred_is_in_its_method(const struct deferred *deferred)
{
	return deferred->deferrals->task->deferred_tag == deferred->tag;
}

int deferred_refuse_until_known(struct deferred *deferred, uint64_t size)
{
	deferred->refused = size;
	if (!deferred->roomy)
		TAILQ_INSERT_TAIL(&deferred->deferrals->roomy, deferred, link);
	deferred->roomy = true;
	return -EAGAIN;
}

void deferred_taken(struct deferrals *deferrals, uint64_t tag, uint64_t bytes)
{
	struct deferred *deferred = deferrals && deferrals->by_place ? *place_of(deferrals, tag) : NULL;

	if (!deferred || deferred->tag != tag)
		return;
	deferred->yielded -= bytes < deferred->yielded ? bytes : deferred->yielded;
	if (!deferred->refused || deferred->roomy || !deferred_has_room(deferred, deferred->refused))
		return;
	TAILQ_INSERT_TAIL(&deferrals->roomy, deferred, link);
	deferred->roomy = true;
}

/* ---- what happens to them ---- */

void deferred_gone(struct deferrals *deferrals, uint64_t tag)
{
	struct deferred *deferred = deferrals->by_place ? *place_of(deferrals, tag) : NULL;
	const struct task *task = deferrals->task;

	if (!deferred || deferred->tag != tag)
		return;
	if (!deferred->given_up)
		task->plugin->class.deferred(task->self, &deferred->handle.call, OBJPOOL_GONE);
	if (*place_of(deferrals, tag) == deferred)
		deferred_free(deferred);
}

/* The class may answer these calls meanwhile. */
void deferred_tell_room(struct deferrals *deferrals)
{
	const struct task *task = deferrals->task;
	struct deferred *deferred;

	while ((deferred = TAILQ_FIRST(&deferrals->roomy))) {
		TAILQ_REMOVE(&deferrals->roomy, deferred, link);
		deferred->roomy = false;
		deferred->refused = 0;
		if (!deferred->given_up)
			task->plugin->class.deferred(task->self, &deferred->handle.call, OBJPOOL_ROOM);
	}
}

void deferred_wake(struct deferrals *deferrals, uint64_t now)
{
	timers_run(&deferrals->timers, now, UINT32_MAX);
}
