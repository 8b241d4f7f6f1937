/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/core/results.h"

#include "gateway/core/flat.h"

#include <stdlib.h>

#define PROGRESS_EVERY (100 * MILLISECOND)

enum { RUN_BYTES = 64 << 10 }; /* of values in a message */

void results_open(struct results *results, struct call *call, const struct ask *ask)
{
	*results = (struct results){.call = call,
				    .account = call->session->memory,
				    .streams = ask->stream,
				    .runs = ask->runs,
				    .run.account = call->session->memory,
				    .ordered = ask->ordered,
				    .collects = ask->errors == ASK_COLLECT,
				    .first = ask->errors == ASK_FIRST,
				    .progress = ask->progress,
				    .total = UINT64_MAX,
				    .failed_index = UINT64_MAX,
				    .pool = strndup((const char *)ask->target.pool.bytes, ask->target.pool.size)};
}

/* ---- those that wait ---- */

static struct cell *cell_at(const struct results *results, uint64_t index)
{
	const uint64_t place = index - results->base;
	return index >= results->base && place < results->count ? &results->cells[results->start + place] : NULL;
}

static const uint8_t *cell_bytes(const struct cell *cell)
{
	return cell->size <= sizeof cell->here ? cell->here : cell->bytes;
}

static void empty(struct results *results, struct cell *cell)
{
	results->bytes -= cell->size;
	if (cell->size > sizeof cell->here) {
		account_credit(results->account, cell->size);
		free(cell->bytes);
	}
	*cell = (struct cell){0};
}

/* The cell of a result that has not left; made if need be. NULL: out of memory. */
static struct cell *make_cell(struct results *results, uint64_t index)
{
	const uint64_t need = results->start + (index - results->base) + 1;

	if (need > results->room && results->start > results->room / 2) {
		memmove(results->cells, results->cells + results->start, results->count * sizeof *results->cells);
		results->start = 0;
		return make_cell(results, index);
	}
	if (need > results->room) {
		const uint64_t room = 2 * need + 14;
		struct cell *cells = room < UINT32_MAX ? realloc(results->cells, room * sizeof *cells) : NULL;
		if (!cells)
			return NULL;
		account_charge(results->account, (room - results->room) * sizeof *cells);
		results->cells = cells;
		results->room = (uint32_t)room;
	}
	while (results->count <= index - results->base)
		results->cells[results->start + results->count++] = (struct cell){0};
	return cell_at(results, index);
}

static bool keep(struct results *results, uint64_t index, bool is_error, struct span value)
{
	struct cell *cell = make_cell(results, index);
	uint8_t *copy = NULL;

	if (!cell || (value.size > sizeof cell->here && !(copy = malloc(value.size))))
		return false;
	memcpy(copy ? copy : cell->here, value.bytes, value.size);
	if (copy) {
		cell->bytes = copy;
		account_charge(results->account, value.size);
	}
	cell->size = (uint32_t)value.size;
	cell->is_error = is_error;
	results->bytes += value.size;
	return true;
}

static void drop_first(struct results *results)
{
	empty(results, &results->cells[results->start]);
	results->start++;
	results->count--;
	results->base++;
}

void results_close(struct results *results)
{
	while (results->count > 0)
		drop_first(results);
	account_credit(results->account, results->room * sizeof *results->cells);
	sendq_clear(&results->run);
	free(results->cells);
	free(results->failure);
	free(results->pool);
	results->pool = NULL;
	results->cells = NULL;
	results->room = 0;
	results->failure = NULL;
}

/* ---- how they leave ---- */

static void put_any_error(const struct results *results, struct sendq *to, struct span error)
{
	const struct error_context context = {NO_CONTEXT};
	put_error(to, error, results->call->session->form, &context);
}

static void put_labelled(const struct results *results, struct sendq *to, uint64_t index)
{
	const char *host = "";
	uint32_t slot = 0;

	if (!results->label)
		return;
	results->label(results, index, &host, &slot);
	put_array(to, 3);
	put_text(to, host);
	put_uint(to, slot);
}

void results_flush(struct results *results)
{
	if (results->run_count == 0)
		return;
	struct sendq *to = results->run.failed ? NULL : call_notice_begin(results->call, "results", 2);
	if (to) {
		put_uint(to, results->run_first);
		put_array(to, results->run_count);
		sendq_move(to, &results->run);
		session_end(results->call->session);
	}
	results->run_count = 0;
	sendq_clear(&results->run);
}

static void add_to_run(struct results *results, uint64_t index, struct span value, struct block *block)
{
	if (index != results->run_first + results->run_count)
		results_flush(results);
	if (results->run_count == 0)
		results->run_first = index;
	put_labelled(results, &results->run, index);
	sendq_span(&results->run, block, value.bytes, value.size);
	results->run_count++;
	if (results->run.bytes >= RUN_BYTES)
		results_flush(results);
}

static void stream_one(struct results *results, uint64_t index, struct span error, struct span value, struct block *block)
{
	struct sendq *to = call_notice_begin(results->call, "result", 3);

	if (!to)
		return;
	uint8_t *p = sendq_reserve(to, PACK_UINT + 1);
	if (p)
		sendq_commit(to, (size_t)(pack_nil(pack_uint(p, index)) - p) - (error.size > 0));
	if (error.size) {
		put_any_error(results, to, error);
		put_nil(to);
	} else {
		put_labelled(results, to, index);
		sendq_span(to, block, value.bytes, value.size);
	}
	session_end(results->call->session);
}

static void stream_out(struct results *results, uint64_t index, struct span error, struct span value, struct block *block)
{
	results->left++;
	if (results->runs && !error.size) {
		add_to_run(results, index, value, block);
		return;
	}
	results_flush(results);
	stream_one(results, index, error, value, block);
}

/* Those whose turn it is now. */
static void stream_waiting(struct results *results)
{
	while (results->count > 0 && results->cells[results->start].size > 0) {
		const struct cell *cell = &results->cells[results->start];
		const struct span span = {.bytes = cell_bytes(cell), .size = cell->size};
		const struct span none = {0};
		stream_out(results, results->base, cell->is_error ? span : none, cell->is_error ? none : span, NULL);
		drop_first(results);
	}
}

static void put_progress(struct results *results)
{
	struct sendq *to = call_notice_begin(results->call, "progress", 3);

	results->told = results->call->session->gateway->now;
	results->told_taken = results->taken;
	results->told_total = results->total != UINT64_MAX;
	if (!to)
		return;
	put_uint(to, results->taken);
	if (!results->told_total)
		put_nil(to);
	else
		put_uint(to, results->total);
	put_nil(to);
	session_end(results->call->session);
}

/* The first and the last are told, and between them some. */
static void say_progress(struct results *results)
{
	const uint64_t now = results->call->session->gateway->now;

	if (results->progress && (!results->told || results->taken == results->total || now - results->told >= PROGRESS_EVERY))
		put_progress(results);
}

/* Where the input has ended after its last result, the end was not told. */
static void say_last_progress(struct results *results)
{
	if (results->progress && results->taken > 0 && (results->told_taken < results->taken || !results->told_total))
		put_progress(results);
}

/* ---- how they come ---- */

static void remember_failure(struct results *results, uint64_t index, struct span error)
{
	if (index >= results->failed_index)
		return;
	uint8_t *copy = malloc(error.size);
	if (!copy)
		return; /* a later failure is told, or INTERNAL */
	memcpy(copy, error.bytes, error.size);
	free(results->failure);
	results->failure = copy;
	results->failure_size = error.size;
	results->failed_index = index;
}

static void fail_for_size(struct results *results)
{
	struct error error;

	error_say(&error, ERROR_TOO_LARGE, RAN_MAYBE, "the results are larger together than max_message, %llu bytes",
		  (unsigned long long)results->call->session->gateway->max_message);
	results_fail(results, &error);
}

void results_fail_for_memory(struct results *results)
{
	struct error error;

	error_no_memory(&error, RAN_MAYBE);
	results_fail(results, &error);
}

void results_fail_for_cancel(struct results *results)
{
	struct error error;

	error_say(&error, ERROR_CANCELLED, RAN_MAYBE, "the call was cancelled by its caller");
	results_fail(results, &error);
}

void results_fail_for_time(struct results *results)
{
	struct error error;

	error_say(&error, ERROR_TIMEOUT, RAN_MAYBE, "the call's time is over");
	results_fail(results, &error);
}

static bool has_come(const struct results *results, uint64_t index)
{
	const struct cell *cell = cell_at(results, index);
	return index < results->base || (cell && cell->size > 0);
}

bool results_take(struct results *results, uint64_t index, struct span error, struct span value, struct block *block)
{
	const bool waits = !results->streams || results->ordered;

	if (results->call->over || (waits && has_come(results, index)))
		return false;
	results->taken++;
	if (error.size) {
		results->failed++;
		remember_failure(results, index, error);
	}
	if (error.size && results->first) {
		results_fail_with(results, error, NULL, false);
		return true;
	}
	if (!waits || (results->streams && index == results->base && results->count == 0)) {
		stream_out(results, index, error, value, block);
		results->base += waits;
	} else if (!keep(results, index, error.size > 0, error.size ? error : value)) {
		results_fail_for_memory(results);
		return true;
	} else if (results->streams) {
		stream_waiting(results);
	}
	if (results->bytes > results->call->session->gateway->max_message) {
		fail_for_size(results);
		return true;
	}
	say_progress(results);
	return true;
}

void results_take_failure(struct results *results, uint64_t index, struct span error, const struct error_context *context)
{
	struct error_context whole = *context;
	struct sendq to = {0};

	whole.index = (int64_t)index;
	put_error(&to, error, ERRORS_AS_MAP, &whole);
	const struct span map = flat_take(&to);
	if (map.size)
		(void)results_take(results, index, map, (struct span){0}, NULL);
	else
		results_fail_for_memory(results);
	flat_free(map);
}

void results_take_error(struct results *results, uint64_t index, struct error *error)
{
	error->index = (int64_t)index;
	error->pool = results->pool;
	const struct span map = flat_error(error);

	if (map.size)
		(void)results_take(results, index, map, (struct span){0}, NULL);
	else
		results_fail_for_memory(results);
	flat_free(map);
}

/* ---- the answer ---- */

void results_fail_with(struct results *results, struct span error, const char *host, bool may_have_run)
{
	results_flush(results);
	const struct error_context context = {.host = host,
					      .slot = -1,
					      .index = -1,
					      .may_have_run = may_have_run,
					      .items = results->streams ? (int64_t)results->left : -1,
					      .failed = results->failed};
	call_fail_with(results->call, error, &context);
}

void results_fail(struct results *results, struct error *error)
{
	error->pool = results->pool;
	const struct span map = flat_error(error);

	if (map.size)
		results_fail_with(results, map, NULL, false);
	else
		call_fail(results->call, error);
	flat_free(map);
}

static void put_summary(const struct results *results, struct sendq *to)
{
	put_map(to, 2);
	put_pair(to, "items", results->left);
	put_pair(to, "failed", results->failed);
}

static void put_all(const struct results *results, struct sendq *to)
{
	put_array(to, results->count);
	for (uint32_t i = 0; i < results->count; i++) {
		const struct cell *cell = &results->cells[results->start + i];
		const struct span span = {.bytes = cell_bytes(cell), .size = cell->size};
		put_labelled(results, to, i);
		if (results->collects) {
			put_array(to, 2);
			if (cell->is_error)
				put_any_error(results, to, span);
			put_nil(to);
			if (cell->is_error)
				continue;
		}
		sendq_copy(to, span.bytes, span.size);
	}
}

void results_answer(struct results *results)
{
	say_last_progress(results);
	if (results->failed > 0 && !results->collects) {
		const struct span failure = {.bytes = results->failure, .size = results->failure_size};
		if (failure.size)
			results_fail_with(results, failure, NULL, false);
		else
			results_fail_for_memory(results);
		return;
	}
	results_flush(results);
	struct sendq *to = call_answer_begin(results->call);
	if (!to)
		return;
	if (results->streams)
		put_summary(results, to);
	else
		put_all(results, to);
	call_answer_end(results->call);
}
