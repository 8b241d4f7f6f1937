/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/question.h"

#include "proto/traceparent.h"
#include "proto/pack.h"

#include <stdio.h>
#include <stdlib.h>

/* ---- asking ---- */

static void choose_target(struct world *world, struct question *question)
{
	static const char *const singles[] = {"", "", "", "", ":0", ":1", ":key=a", ":key=bc"};
	static const char *const selectors[] = {[KIND_ALL] = ":all", [KIND_MAP] = ":map", [KIND_SCATTER] = ":scatter"};
	static const enum kind kinds[8] = {KIND_ALL, KIND_MAP, KIND_MAP, KIND_SCATTER}; /* the others: single */

	question->pool = world_dice(world, WORLD_POOLS);
	question->kind = kinds[world_dice(world, 8)];
	const char *selector = question->kind == KIND_SINGLE ? singles[world_dice(world, sizeof singles / sizeof *singles)]
							     : selectors[question->kind];
	(void)snprintf(question->target, sizeof question->target, "%s%s", world_pool_name(question->pool), selector);
}

static void choose_stream(struct world *world, struct question *question)
{
	question->stream = !question->notification && !question->nested && world_one_in(world, 3);
	question->ordered = world_one_in(world, 2);
	question->window = question->stream && world_one_in(world, 2) ? 1 + world_dice(world, 12) : 0;
	question->fed = question->stream && question->kind == KIND_MAP && world_one_in(world, 2);
	question->yields = world_one_in(world, 2);
}

uint32_t question_tasks(const struct question *question)
{
	return question->kind == KIND_MAP || question->kind == KIND_SCATTER ? question->count : 1;
}

static void choose_tokens(struct world *world, struct question *question)
{
	const struct pool *pool = world->pools[question->pool];
	const bool wide = question->kind == KIND_ALL || question->kind == KIND_SCATTER;

	question->count = question->kind == KIND_MAP ? world_dice(world, question->nested ? 6 : QUESTION_ITEMS)
			  : wide && pool             ? (pool->size > 0 ? pool->size : 1) /* a call makes a slot */
						     : 1;
	question->token = world_tokens(world, question_tasks(question));
}

static int choose_priority(struct world *world)
{
	if (world->flavour.urgent && world_dice(world, 5) > 0)
		return CALL_PRIORITY_MAX - (int)world_dice(world, 2);
	return world_one_in(world, 3) ? CALL_PRIORITY_MIN + (int)world_dice(world, 21) : 0;
}

static void choose_options(struct world *world, struct question *question)
{
	question->errors = (enum errors)world_dice(world, 3);
	question->idempotent = world_one_in(world, 5);
	question->traced = world_one_in(world, 8);
	question->priority = choose_priority(world);
	question->timeout = world_one_in(world, 6);
	question->sync = question->kind == KIND_MAP && world_one_in(world, 4);
	question->sticky = question->kind == KIND_ALL && !question->nested && world_one_in(world, 3);
	question->bind = !question->sticky && world_one_in(world, 6);
	world->tokens[question->token].sticky = question->sticky;
	world->stickies += question->sticky;
}

static bool can_be_plain(const struct question *question)
{
	return !question->stream && !question->fed;
}

struct question *question_new(struct world *world, bool nested)
{
	struct question *question = calloc(1, sizeof *question);

	question->nested = nested;
	question->notification = !nested && world_one_in(world, 20);
	choose_target(world, question);
	choose_stream(world, question);
	choose_tokens(world, question);
	question->plain = can_be_plain(question) && world_one_in(world, 3);
	if (!question->plain)
		choose_options(world, question);
	return question;
}

size_t question_size(const struct question *question)
{
	size_t size = 512;
	for (uint32_t i = 0; i < question_tasks(question); i++)
		size += value_size(question->token + i);
	return size;
}

static const char *method_name(const struct question *question)
{
	return question->yields ? "gen" : "echo";
}

struct span question_method(const struct question *question, char room[32])
{
	const int n = question->plain ? snprintf(room, 32, "%s.%s", question->target, method_name(question))
				      : snprintf(room, 32, "objpool.call");
	return (struct span){.bytes = (const uint8_t *)room, .size = (size_t)n};
}

static uint8_t *pack_text(uint8_t *p, const char *text)
{
	return pack_str(p, text, strlen(text));
}

struct question *question_like(struct world *world, const struct question *question)
{
	if (!question->plain || question->kind != KIND_SINGLE || question->notification || strchr(question->target, ':'))
		return NULL;
	struct question *like = malloc(sizeof *like);
	*like = *question;
	like->token = world_tokens(world, 1);
	return like;
}

static void write_args(const struct question *question, struct writing *writing)
{
	const bool items = question->kind == KIND_MAP || question->kind == KIND_SCATTER;

	if (question->fed) {
		writing->p = pack_nil(writing->p);
		return;
	}
	writing->p = pack_array(writing->p, 1);
	if (items)
		writing->p = pack_array(writing->p, question->count);
	for (uint32_t i = 0; i < question_tasks(question); i++)
		value_write(writing, question->token + i);
}

/* Tells of the call's first token: fake.c looks whether it comes with that call. */
static uint8_t *pack_trace(uint8_t *p, uint32_t token)
{
	char text[TRACEPARENT + 1];

	snprintf(text, sizeof text, "00-%032x-%016x-01", token + 1, token + 1);
	return pack_text(pack_text(p, "traceparent"), text);
}

static uint8_t *pack_options(struct world *world, const struct question *question, uint8_t *p)
{
	static const char *const modes[] = {"wait", "first", "collect"};

	p = pack_map(p, 3u + question->timeout + question->bind + question->sticky + 2u * question->stream +
				(question->window > 0) + question->sync + question->traced + (question->priority != 0));
	if (question->stream) {
		p = pack_bool(pack_text(p, "stream"), true);
		p = pack_bool(pack_text(p, "ordered"), question->ordered);
	}
	if (question->sticky)
		p = pack_text(pack_text(p, "sticky"), world_dice(world, 4) ? "append" : "replace");
	if (question->priority)
		p = pack_int(pack_text(p, "priority"), question->priority);
	if (question->traced)
		p = pack_trace(p, question->token);
	if (question->bind)
		p = pack_nil(pack_array(pack_text(p, "bind"), 1));
	if (question->window)
		p = pack_uint(pack_text(p, "window"), question->window);
	if (question->sync)
		p = pack_bool(pack_text(p, "sync"), true);
	p = pack_text(pack_text(p, "errors"), modes[question->errors]);
	p = pack_bool(pack_text(p, "idempotent"), question->idempotent);
	p = pack_uint(pack_text(p, "chunk"), world_one_in(world, 2) ? 0 : 1 + world_dice(world, 9));
	if (question->timeout)
		p = pack_uint(pack_text(p, "timeout_ms"), world_dice(world, 200));
	return p;
}

void question_write(const struct question *question, struct writing *writing)
{
	if (question->plain) {
		write_args(question, writing);
		return;
	}
	writing->p = pack_text(pack_array(writing->p, 4), question->target);
	writing->p = pack_text(writing->p, method_name(question));
	write_args(question, writing);
	writing->p = pack_options(writing->world, question, writing->p);
}

/* ---- errors ---- */

struct told {
	struct span code, message, ran;
	uint64_t items, failed; /* of a stream that failed; UINT64_MAX: not told */
};

static struct told read_error(const struct world *world, struct span error)
{
	struct reader reader = reader_of(error);
	struct told told = {.items = UINT64_MAX, .failed = UINT64_MAX};
	struct span key, value;
	uint32_t n;

	if (read_map(&reader, &n) < 0)
		world_fail(world, "an error that is no map");
	for (; n > 0; n--) {
		struct reader look;
		(void)read_text(&reader, &key);
		look = reader;
		(void)read_value(&reader, &value);
		if (span_is(key, "code"))
			(void)read_text(&look, &told.code);
		if (span_is(key, "message"))
			(void)read_text(&look, &told.message);
		if (span_is(key, "ran"))
			(void)read_text(&look, &told.ran);
		if (span_is(key, "items"))
			(void)read_uint(&look, &told.items);
		if (span_is(key, "failed"))
			(void)read_uint(&look, &told.failed);
	}
	return told;
}

static bool says(struct span text, const char *words)
{
	return memmem(text.bytes, text.size, words, strlen(words)) != NULL;
}

/* May this world give such an error to that question? */
static void check_code(const struct world *world, const struct question *question, const struct told *told)
{
	const bool memory = says(told->message, "out of memory");

	if (told->code.size == 0 || span_is(told->code, "INTERNAL") || span_is(told->code, "BAD_REQUEST") ||
	    span_is(told->code, "TOO_LARGE"))
		world_fail(world, "an error that should not be: %.*s", (int)told->message.size,
			   (const char *)told->message.bytes);
	if (span_is(told->code, "OVERLOADED") && says(told->message, "max_memory") && !world->flavour.bounded &&
	    (!world->flavour.users || question->nested)) /* a client may have become a user since it asked */
		world_fail(world, "told that the daemon holds too much, and it may hold any number");
	const bool in_vain = span_is(told->code, "CANCELLED") && question->nested;
	if (question->denied && !span_is(told->code, "DENIED") && !memory && !in_vain)
		world_fail(world, "told something else than that it has no right");
	if (!question->denied && span_is(told->code, "DENIED"))
		world_fail(world, "told that it has no right, and it has");
	if (!question->limited && (says(told->message, "max_inflight") || says(told->message, "rate = ")))
		world_fail(world, "told of a limit, and it has none");
	if (memory && faults_count() == 0)
		world_fail(world, "told that memory is out, and it was not");
	if (span_is(told->code, "TIMEOUT") && !question->timeout && question->kind != KIND_LEASE)
		world_fail(world, "told that it took too long, and it had any time");
	if (span_is(told->code, "CANCELLED") && question->plain && !question->nested && !question->cancelled &&
	    !says(told->message, "the pool was dropped"))
		world_fail(world, "a plain call is cancelled by nobody");
	if (span_is(told->code, "BAD_ARGUMENT") && question->kind != KIND_SCATTER)
		world_fail(world, "a good argument was refused");
	if (span_is(told->code, "NO_SUCH_POOL") && !world->flavour.memory)
		world_fail(world, "a pool was not found");
	if (question->may_go && says(told->message, "would wait for itself"))
		world_fail(world, "told that it would wait for itself, though an instance waits for nobody");
	if (says(told->message, "takes no new calls") && (question->early || question->nested))
		world_fail(world, "the daemon stops: what came before it is refused");
}

static bool has_lied(const struct world *world, uint32_t token, uint32_t tokens)
{
	for (uint32_t i = 0; i < tokens; i++)
		if (world->tokens[token + i].lied)
			return true;
	return false;
}

/* An error: a map with a code, and the truth about `ran`. */
static void check_error(const struct world *world, const struct question *question, struct span error, uint32_t token,
			uint32_t tokens)
{
	const struct told told = read_error(world, error);
	uint32_t times = 0;

	for (uint32_t i = 0; i < tokens; i++)
		times += world->tokens[token + i].ran - world->tokens[token + i].waits;
	world_say(world, "   %.*s, ran %.*s: %.*s", (int)told.code.size, (const char *)told.code.bytes, (int)told.ran.size,
		  (const char *)told.ran.bytes, (int)told.message.size, (const char *)told.message.bytes);
	check_code(world, question, &told);
	if (has_lied(world, token, tokens))
		return;
	const bool refused = span_is(told.code, "FAILED") && says(told.message, "has no memory");
	if (span_is(told.code, "FAILED") && tokens == 1 && !world_is_bad(token) && question->kind != KIND_LEASE && !refused)
		world_fail(world, "a good token failed");
	if (tokens == 1 && question->kind != KIND_ALL && question->kind != KIND_LEASE) {
		if (span_is(told.code, "CANCELLED") && question->too_late && question->plain &&
		    !says(told.message, "the pool was dropped"))
			world_fail(world, "told that it was cancelled, and its method had committed itself");
		if (span_is(told.ran, "no") && times > 0)
			world_fail(world, "told that it did not run, but it did");
		if (span_is(told.ran, "yes") && times == 0)
			world_fail(world, "told that it ran, but it did not");
	}
}

/* ---- values ---- */

static void check_value(struct listener *listener, struct reader *reader, uint32_t token)
{
	const struct world *world = listener->world;
	uint32_t value;

	if (!listener->read(listener, reader, &value) || value != token)
		world_fail(world, "a value of somebody else, where that of %u should be", token);
	if (world_is_bad(token))
		world_fail(world, "a bad token gave a value");
	if (world->tokens[token].ran == 0)
		world_fail(world, "a value of what never ran");
}

static void check_collected(struct listener *listener, const struct question *question, struct reader *reader, uint32_t token)
{
	struct span error;
	uint32_t n;

	if (read_array(reader, &n) < 0 || n != 2)
		world_fail(listener->world, "a collected item that is no pair");
	if (read_nil(reader) == 0) {
		check_value(listener, reader, token);
		return;
	}
	if (read_value(reader, &error) < 0 || read_nil(reader) < 0)
		world_fail(listener->world, "a collected error with a value");
	check_error(listener->world, question, error, token, 1);
}

static void check_gathered(struct listener *listener, const struct question *question, struct reader *reader)
{
	uint32_t n;

	if (read_array(reader, &n) < 0 || n != question->count)
		world_fail(listener->world, "a gathered array of another length");
	for (uint32_t i = 0; i < n; i++) {
		const uint32_t token = question->kind == KIND_ALL ? question->token : question->token + i;
		if (question->errors == ERRORS_COLLECT)
			check_collected(listener, question, reader, token);
		else
			check_value(listener, reader, token);
	}
}

/* {slot, generation} */
static void check_lease(const struct world *world, struct reader *reader)
{
	struct span key;
	uint64_t number;
	uint32_t n;

	if (read_map(reader, &n) < 0 || n != 2)
		world_fail(world, "a lease that says nothing");
	for (; n > 0; n--)
		if (read_text(reader, &key) < 0 || read_uint(reader, &number) < 0)
			world_fail(world, "a lease that can't be read");
}

static void check_result(struct listener *listener, const struct question *question, struct span result)
{
	struct reader reader = reader_of(result);

	if (question->kind == KIND_LEASE)
		check_lease(listener->world, &reader);
	else if (question->kind == KIND_SINGLE)
		check_value(listener, &reader, question->token);
	else
		check_gathered(listener, question, &reader);
	if (reader.p != reader.end)
		world_fail(listener->world, "a result with something behind it");
}

void question_check_runs(const struct world *world, const struct question *question)
{
	const uint32_t most = question->kind == KIND_ALL ? question->count : 1;

	for (uint32_t i = 0; i < question_tasks(question) && !question->idempotent && question->kind != KIND_LEASE; i++)
		if (world->tokens[question->token + i].ran > most)
			world_fail(world, "a task ran twice");
}

/* ---- streams ---- */

static bool is_yielded(const struct question *question)
{
	return question->yields && question->kind == KIND_SINGLE;
}

static void check_summary(const struct world *world, const struct question *question, struct span result)
{
	struct reader reader = reader_of(result);
	struct span key;
	uint64_t items = 0, failed = 0;
	uint32_t n;

	if (read_map(&reader, &n) < 0 || n != 2 || read_text(&reader, &key) < 0 || read_uint(&reader, &items) < 0 ||
	    read_text(&reader, &key) < 0 || read_uint(&reader, &failed) < 0)
		world_fail(world, "a stream without a summary");
	uint32_t all = question->fed                   ? question->given + question->input_failed
		       : question->kind == KIND_SINGLE ? 1
						       : question->count;
	if (is_yielded(question)) /* as many as there were; a method that failed adds one */
		all = question->failures > 0 ? question->results : question->token % QUESTION_YIELDS;
	if (items != all || question->results != all || failed != question->failures)
		world_fail(world, "a summary that does not count what came: %llu, and %u of %u came", (unsigned long long)items,
			   question->results, all);
}

/* The error of a stream counts what came, as a summary does; one that had not begun need not. */
static void check_counts(const struct world *world, const struct question *question, struct span error)
{
	const struct told told = read_error(world, error);
	const bool counted = told.items == question->results && told.failed == question->failures;

	if (!counted && (told.items != UINT64_MAX || question->results > 0))
		world_fail(world, "a stream's error that does not count what came: %llu and %llu, and %u and %u came",
			   (unsigned long long)told.items, (unsigned long long)told.failed, question->results,
			   question->failures);
}

static void on_result(struct listener *listener, struct question *question, struct reader *reader)
{
	const bool items = question->kind == KIND_MAP || question->kind == KIND_SCATTER;
	const struct world *world = listener->world;
	struct span error;
	uint64_t index;

	if (read_uint(reader, &index) < 0 || index > QUESTION_ITEMS || question->seen[index]++ || !question->stream)
		world_fail(world, "a result that should not be, or not twice");
	if ((question->ordered || is_yielded(question)) && index != question->results)
		world_fail(world, "a result out of order");
	question->results++;
	const uint32_t token = items ? question->token + (uint32_t)index : question->token;
	if (read_nil(reader) == 0) {
		if (is_yielded(question) && world_is_bad(token))
			(void)listener->read(listener, reader, &(uint32_t){0}); /* it yields before it fails */
		else
			check_value(listener, reader, token);
		return;
	}
	question->failures++;
	if (read_value(reader, &error) < 0)
		world_fail(world, "half a result");
	if (question->fed && question->input_failed && index == question->given)
		return; /* the input's own */
	check_error(world, question, error, token, 1);
}

static void on_credit(const struct world *world, struct question *question, struct reader *reader)
{
	uint64_t n;

	if (!question->fed || read_uint(reader, &n) < 0 || n == 0)
		world_fail(world, "a credit that should not be");
	question->granted += (uint32_t)n;
	if (question->window && question->granted != question->results + question->window)
		world_fail(world, "credit for more, or less, than the window");
}

void question_on_notification(struct listener *listener, struct question *question, const struct rpc *rpc)
{
	struct reader reader = reader_of(rpc->params);
	uint64_t msgid;
	uint32_t n;

	(void)read_array(&reader, &n);
	(void)read_uint(&reader, &msgid);
	if (span_is(rpc->method, "objpool.result") && n == 4)
		on_result(listener, question, &reader);
	else if (span_is(rpc->method, "objpool.credit") && n == 2)
		on_credit(listener->world, question, &reader);
	else
		world_fail(listener->world, "a notification that nobody asked for");
}

/* ---- the answer ---- */

void question_on_answer(struct listener *listener, struct question *question, const struct rpc *rpc)
{
	const struct world *world = listener->world;
	struct reader error = reader_of(rpc->error);
	const bool failed = read_nil(&error) < 0;
	const uint32_t tokens = question->kind == KIND_LEASE ? 0 : question->kind == KIND_ALL ? 1 : question_tasks(question);

	if (!failed && question->denied)
		world_fail(world, "a value of what it has no right to");
	if (!failed && question->stream)
		check_summary(world, question, rpc->result);
	else if (!failed)
		check_result(listener, question, rpc->result);
	else if (!question->input_failed) /* then it may be the input's */
		check_error(world, question, rpc->error, question->token, tokens);
	if (failed && question->stream)
		check_counts(world, question, rpc->error);
	question_check_runs(world, question);
}
