/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mapping: a map over items without end, in requests to "pool:map" of some items each.
 *
 *   next() -> | chunk | chunk | chunk | chunk |   a list in item order, bounded in number and bytes
 *               flying  ANSWERED  WAITING  flying
 *               `-> each(), in item order: a chunk that is answered before its turn is kept
 *
 * How large and how many they are is the pace's affair. A chunk that meets a full queue is cut in two, WAITs, and goes again when
 * another one is answered, or after a pause; new ones stay back meanwhile.
 *
 * A map that is over stays until its chunks in flight have been answered.
 */
#include "client/mapping.h"

#include "client/clock.h"
#include "client/connection.h"
#include "client/failure.h"
#include "client/gather.h"
#include "client/options.h"
#include "client/pace.h"
#include "client/pack.h"
#include "proto/scan.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum {
	MAP_CHUNK_BYTES = 256 << 10, /* a chunk is full from here on */
	MAP_BYTES = 8 << 20,         /* of items and results, from which on only one chunk is under way */
	MAP_PAUSE_MS = 10,           /* before the first new try with a full queue; doubles up to MAP_PAUSE_MOST_MS */
	MAP_PAUSE_MOST_MS = 1000,
	MAP_GIVE_UP_MS = 30000,      /* with a queue that stays full */
};

enum chunk_state { CHUNK_FLYING, CHUNK_WAITING, CHUNK_ANSWERED };

struct chunk {
	struct chunk *previous, *next;
	struct objpool_map *map;
	enum chunk_state state;
	uint64_t first; /* item */
	uint32_t count, id;
	struct objpool_packer items;  /* an array of them, with a header of PACK_COUNT_SIZE; kept until they are answered */
	struct objpool_result answer; /* when ANSWERED */
};

struct objpool_map {
	struct objpool *pool;
	struct objpool_map *next_map;
	char target[256];
	char *method, *args_as;
	struct objpool_packer bind, bind_kwargs;
	struct objpool_map_options options; /* its pointers are the caller's, and not used later */
	enum { MODE_WAIT, MODE_FIRST, MODE_COLLECT } mode;
	objpool_next *next;
	objpool_each *each;
	objpool_map_done *done;
	void *next_context, *each_context, *done_context;

	struct chunk *head, *tail;
	uint32_t chunks, flying, waiting;
	size_t bytes;
	uint64_t next_item;
	struct pace pace;
	int64_t deadline;             /* 0: none */
	int64_t retry_at, full_since; /* 0: the queue isn't full */
	int pause_ms;

	bool pumping;  /* items are being taken: not again from within */
	bool due;      /* for items that were not taken yet */
	bool dry;      /* next() said -EAGAIN */
	bool blocking; /* nobody would say that there are items again */
	bool ended;    /* next() said that there are no more */
	bool over;     /* nothing is delivered any more */
	bool told;     /* ... and done() has been called */
	int status;
	const struct objpool_error *error;
};

/* ---- the end ------------------------------------------------------------------------------------------------------------ */

static void finish(struct objpool_map *map, int status, const struct objpool_error *error)
{
	if (map->over)
		return;
	map->over = true;
	map->status = status;
	if (error) {
		(void)failure_ref(error);
		(void)failure_unref(map->error);
		map->error = error;
	}
	for (struct chunk *chunk = map->head; chunk; chunk = chunk->next)
		if (chunk->state == CHUNK_FLYING)
			(void)objpool_cancel(map->pool, chunk->id);
}

static void finish_local(struct objpool_map *map, const char *code, const char *message, enum objpool_ran ran)
{
	const struct objpool_error *error = failure_make(code, message, ran);

	finish(map, -EREMOTEIO, error);
	(void)failure_unref(error);
}

/* All items are answered and delivered. */
static void finish_well(struct objpool_map *map)
{
	finish(map, map->error ? -EREMOTEIO : 0, NULL);
}

/* ---- chunks ------------------------------------------------------------------------------------------------------------- */

static struct chunk *chunk_new(struct objpool_map *map, uint64_t first)
{
	struct chunk *chunk = calloc(1, sizeof *chunk);

	if (!chunk)
		return NULL;
	chunk->map = map;
	chunk->first = first;
	if (pack_room(&chunk->items, PACK_COUNT_SIZE))
		chunk->items.size = PACK_COUNT_SIZE;
	return chunk;
}

static void chunk_link_after(struct chunk *chunk, struct chunk *previous)
{
	struct objpool_map *map = chunk->map;
	struct chunk **forward = previous ? &previous->next : &map->head;

	chunk->previous = previous;
	chunk->next = *forward;
	*(chunk->next ? &chunk->next->previous : &map->tail) = chunk;
	*forward = chunk;
	map->chunks++;
	map->bytes += chunk->items.size;
}

/* Takes it out of the list, if it is in it. */
static void chunk_free(struct chunk *chunk, bool linked)
{
	struct objpool_map *map = chunk->map;

	if (linked) {
		*(chunk->previous ? &chunk->previous->next : &map->head) = chunk->next;
		*(chunk->next ? &chunk->next->previous : &map->tail) = chunk->previous;
		map->chunks--;
		map->bytes -= chunk->items.size + chunk->answer.value.size;
	}
	objpool_packer_free(&chunk->items);
	objpool_result_free(&chunk->answer);
	free(chunk);
}

static void on_chunk(void *context, const struct objpool_result *result);

/* What is left of the map's time, for the daemon; 0: it has no deadline. False: the time is up. */
static bool time_left(const struct objpool_map *map, uint32_t *ms)
{
	const int left = clock_ms_until(map->deadline);

	*ms = left > 0 ? (uint32_t)left : 0;
	return left != 0;
}

/* Sends a chunk that is in the list. */
static void chunk_launch(struct chunk *chunk)
{
	struct objpool_map *map = chunk->map;
	struct objpool_call_options options = {
		.size = sizeof options,
		.target = map->target,
		.bind = objpool_packed(&map->bind),
		.bind_kwargs = objpool_packed(&map->bind_kwargs),
		.args_as = map->args_as,
		.errors = "collect",
		.chunk = map->options.chunk,
		.idempotent = map->options.idempotent,
	};

	if (!time_left(map, &options.timeout_ms)) {
		finish_local(map, "TIMEOUT", "the map's time is up", OBJPOOL_RAN_UNKNOWN);
		return;
	}
	const int rc = objpool_call_async(map->pool, map->method, objpool_packed(&chunk->items), &options, on_chunk, chunk, &chunk->id);
	if (rc == -ENOTCONN) {
		chunk->state = CHUNK_WAITING; /* for the end of this turn, when all maps are told how the connection was lost */
		map->waiting++;
		return;
	}
	if (rc < 0) {
		finish(map, rc, NULL);
		return;
	}
	chunk->state = CHUNK_FLYING;
	map->flying++;
}

/* Takes items until the chunk is full or there are none. 0, or what ends the map. */
static int chunk_fill(struct chunk *chunk)
{
	struct objpool_map *map = chunk->map;
	struct objpool_packer *items = &chunk->items;

	while (chunk->count < map->pace.batch && items->size < MAP_CHUNK_BYTES && !map->over) {
		const size_t before = items->size;
		const int rc = map->next(map->next_context, items);
		if (items->error)
			return items->error;
		if (rc == 1) {
			chunk->count++;
			continue;
		}
		items->size = before;
		map->ended = rc == 0;
		map->dry = rc == -EAGAIN;
		return rc == -EAGAIN && !map->blocking ? 0 : rc;
	}
	return items->error;
}

/* Makes the next chunk and sends it. False: there is none now. */
static bool send_chunk(struct objpool_map *map)
{
	struct chunk *chunk = chunk_new(map, map->next_item);
	int rc = chunk ? chunk_fill(chunk) : -ENOMEM;

	if (rc == 0 && chunk->count > 0) {
		pack_count_set(chunk->items.data, chunk->count);
		if (scan_length(chunk->items.data, chunk->items.size) != (int64_t)chunk->items.size)
			rc = -EINVAL;
	}
	if (rc < 0)
		finish(map, rc, NULL);
	if (map->over || chunk->count == 0) {
		if (chunk)
			chunk_free(chunk, false);
		return false;
	}
	map->next_item += chunk->count;
	chunk_link_after(chunk, map->tail);
	chunk->state = CHUNK_WAITING;
	chunk_launch(chunk);
	return !map->over;
}

/* ---- taking items ------------------------------------------------------------------------------------------------------- */

static bool has_room(const struct objpool_map *map)
{
	return map->chunks < (map->bytes < MAP_BYTES ? pace_requests(&map->pace) : 1);
}

/* Takes items while there are any and there is room for them. */
static void pump(struct objpool_map *map)
{
	if (map->pumping)
		return;
	map->pumping = true;
	map->due = false;
	while (!map->over && !map->ended && !map->dry && map->waiting == 0 && has_room(map))
		if (!send_chunk(map))
			break;
	map->pumping = false;
	if (map->ended && map->chunks == 0)
		finish_well(map);
}

/* ---- a full queue ----------------------------------------------------------------------------------------------------------- */

/* Moves the second half of a chunk's items to a new one behind it; both wait. Without memory it stays whole. */
static void chunk_split(struct chunk *chunk)
{
	struct objpool_map *map = chunk->map;
	const uint32_t keep = chunk->count / 2;
	struct chunk *half = chunk_new(map, chunk->first + keep);
	struct objpool_reader reader = objpool_reader(objpool_packed(&chunk->items));
	uint32_t count;

	if (!half)
		return;
	(void)objpool_read_array(&reader, &count);
	for (uint32_t i = 0; i < keep; i++)
		(void)objpool_read_value(&reader, NULL);
	objpool_pack_raw(&half->items, (struct objpool_bytes){reader.next, (size_t)(reader.end - reader.next)});
	if (half->items.error) {
		chunk_free(half, false);
		return;
	}
	half->count = chunk->count - keep;
	pack_count_set(half->items.data, half->count);
	half->state = CHUNK_WAITING;
	map->waiting++;
	map->bytes -= half->items.size - PACK_COUNT_SIZE;
	chunk_link_after(half, chunk);
	chunk->count = keep;
	chunk->items.size -= half->items.size - PACK_COUNT_SIZE;
	pack_count_set(chunk->items.data, keep);
}

static bool is_overloaded(const struct objpool_result *result)
{
	return result->error && strcmp(result->error->code, "OVERLOADED") == 0 && result->error->ran != OBJPOOL_RAN_MAYBE &&
	       result->error->ran != OBJPOOL_RAN_YES;
}

static void try_later(struct chunk *chunk, const struct objpool_error *error)
{
	struct objpool_map *map = chunk->map;
	const int64_t now = clock_now();

	if (map->full_since == 0)
		map->full_since = now;
	if (now - map->full_since > (int64_t)MAP_GIVE_UP_MS * CLOCK_NS_PER_MS) {
		finish(map, -EREMOTEIO, error);
		return;
	}
	chunk->state = CHUNK_WAITING;
	map->waiting++;
	pace_overloaded(&map->pace, chunk->count, map->flying);
	if (chunk->count > 1)
		chunk_split(chunk);
	if (map->retry_at == 0 || map->retry_at <= now) {
		map->retry_at = now + (int64_t)map->pause_ms * CLOCK_NS_PER_MS;
		map->pause_ms = 2 * map->pause_ms < MAP_PAUSE_MOST_MS ? 2 * map->pause_ms : MAP_PAUSE_MOST_MS;
	}
}

/* Sends the first chunk that waits. */
static void launch_waiting(struct objpool_map *map)
{
	struct chunk *chunk = map->head;

	while (chunk && chunk->state != CHUNK_WAITING)
		chunk = chunk->next;
	if (!chunk)
		return;
	map->waiting--;
	chunk_launch(chunk);
}

/* The queue has taken something. */
static void queue_moves(struct objpool_map *map)
{
	map->full_since = 0;
	map->pause_ms = MAP_PAUSE_MS;
	map->retry_at = 0;
	if (map->waiting > 0)
		launch_waiting(map);
	if (map->waiting > 0 && map->flying == 0)
		map->retry_at = clock_now() + (int64_t)map->pause_ms * CLOCK_NS_PER_MS;
}

/* ---- results ---------------------------------------------------------------------------------------------------------------- */

/* An item failed: the first in item order is what the map comes to. */
static void note_failure(struct objpool_map *map, const struct objpool_error *error)
{
	if (map->mode == MODE_COLLECT || (map->error && map->error->index <= error->index))
		return;
	(void)failure_unref(map->error);
	map->error = failure_ref(error);
}

struct delivery {
	struct objpool_map *map;
	uint64_t first;
	uint32_t count, delivered;
};

static int on_item(void *context, uint64_t index, struct objpool_bytes value, const struct objpool_error *error)
{
	struct delivery *delivery = context;
	struct objpool_map *map = delivery->map;
	const uint64_t item = delivery->first + index;

	if (index >= delivery->count)
		return -EPROTO;
	delivery->delivered++;
	if (error) {
		failure_set_index(error, (int64_t)item);
		note_failure(map, error);
	}
	const int rc = map->each(map->each_context, item, value, error);
	if (rc != 0)
		finish(map, rc, NULL);
	else if (error && map->mode == MODE_FIRST)
		finish(map, -EREMOTEIO, error);
	return map->over ? -ECANCELED : 0;
}

/* The chunk's turn has come: its items' results go out, and it goes. */
static void deliver(struct chunk *chunk, const struct objpool_result *result)
{
	struct objpool_map *map = chunk->map;
	struct delivery delivery = {.map = map, .first = chunk->first, .count = chunk->count};

	if (result->error) {
		finish(map, -EREMOTEIO, result->error);
	} else {
		const int rc = gather_each(result->value, on_item, &delivery);
		if (!map->over && (rc < 0 || delivery.delivered != delivery.count))
			finish(map, -EPROTO, NULL);
	}
	chunk_free(chunk, true);
}

static void deliver_or_keep(struct chunk *chunk, const struct objpool_result *result)
{
	struct objpool_map *map = chunk->map;

	if (map->options.unordered || chunk == map->head) {
		deliver(chunk, result);
	} else if (objpool_result_copy(&chunk->answer, result) == 0) {
		chunk->state = CHUNK_ANSWERED;
		map->bytes += chunk->answer.value.size;
	} else {
		finish(map, -ENOMEM, NULL);
	}
	while (!map->over && map->head && map->head->state == CHUNK_ANSWERED)
		deliver(map->head, &map->head->answer);
}

static void on_chunk(void *context, const struct objpool_result *result)
{
	struct chunk *chunk = context;
	struct objpool_map *map = chunk->map;

	map->flying--;
	if (map->over) {
		chunk_free(chunk, true);
		return;
	}
	if (is_overloaded(result)) {
		try_later(chunk, result->error);
		return;
	}
	pace_answered(&map->pace, chunk->count, clock_now());
	deliver_or_keep(chunk, result);
	if (map->over)
		return;
	queue_moves(map);
	pump(map);
}

/* ---- the connection's turn ------------------------------------------------------------------------------------------------------ */

bool mapping_due(const struct objpool *pool)
{
	for (const struct objpool_map *map = pool->maps; map; map = map->next_map)
		if ((map->due && !map->over) || (map->over && !map->told))
			return true;
	return false;
}

/* With nothing in flight, nobody but this side watches over the map's time. */
static int64_t deadline_of(const struct objpool_map *map)
{
	if (map->over)
		return 0;
	return clock_earlier(map->flying ? 0 : map->deadline, map->waiting ? map->retry_at : 0);
}

int64_t mapping_deadline(const struct objpool *pool)
{
	int64_t deadline = 0;

	for (const struct objpool_map *map = pool->maps; map; map = map->next_map)
		deadline = clock_earlier(deadline, deadline_of(map));
	return deadline;
}

void mapping_turn(struct objpool *pool)
{
	for (struct objpool_map *map = pool->maps; map; map = map->next_map) {
		const int64_t deadline = deadline_of(map);
		if (deadline && deadline <= clock_now()) {
			if (map->waiting > 0)
				launch_waiting(map);
			else
				finish_local(map, "TIMEOUT", "the map's time is up", OBJPOOL_RAN_UNKNOWN);
			map->retry_at = 0;
		}
		if (map->due)
			pump(map);
	}
}

void mapping_disconnect(struct objpool *pool, const struct objpool_error *error)
{
	for (struct objpool_map *map = pool->maps; map; map = map->next_map)
		finish(map, -EREMOTEIO, error);
}

static void map_free(struct objpool_map *map)
{
	while (map->head)
		chunk_free(map->head, true);
	objpool_packer_free(&map->bind);
	objpool_packer_free(&map->bind_kwargs);
	free(map->method);
	free(map->args_as);
	(void)failure_unref(map->error);
	free(map);
}

static void tell(struct objpool_map *map)
{
	map->told = true;
	map->done(map->done_context, map->status, map->status == -EREMOTEIO ? map->error : NULL);
}

/* done() may add maps, at the list's end. */
void mapping_settle(struct objpool *pool)
{
	struct objpool_map *map;

	for (struct objpool_map **link = &pool->maps; (map = *link);) {
		if (map->over && !map->told)
			tell(map);
		if (!map->over || map->flying > 0) {
			link = &map->next_map;
			continue;
		}
		*link = map->next_map;
		if (pool->maps_end == &map->next_map)
			pool->maps_end = link;
		map_free(map);
	}
}

/* ---- the beginning ------------------------------------------------------------------------------------------------------------- */

static int set_mode(struct objpool_map *map, const char *errors)
{
	if (!errors || strcmp(errors, "wait") == 0)
		map->mode = MODE_WAIT;
	else if (strcmp(errors, "first") == 0)
		map->mode = MODE_FIRST;
	else if (strcmp(errors, "collect") == 0)
		map->mode = MODE_COLLECT;
	else
		return -EINVAL;
	return 0;
}

/* Keeps what the caller only lends. */
static int set_options(struct objpool_map *map, const char *method)
{
	const struct objpool_map_options *o = &map->options;
	const char *args_as = o->args_as ? o->args_as : "single";

	if (set_mode(map, o->errors) < 0 || gather_target(map->target, sizeof map->target, method, ":map") < 0 ||
	    (strcmp(args_as, "single") != 0 && strcmp(args_as, "positional") != 0 && strcmp(args_as, "keyword") != 0))
		return -EINVAL;
	map->method = strdup(strchr(method, '.') + 1);
	map->args_as = strdup(args_as);
	if (o->bind.data)
		objpool_pack_raw(&map->bind, o->bind);
	if (o->bind_kwargs.data)
		objpool_pack_raw(&map->bind_kwargs, o->bind_kwargs);
	return map->method && map->args_as && !map->bind.error && !map->bind_kwargs.error ? 0 : -ENOMEM;
}

static void set_pace(struct objpool_map *map)
{
	const int64_t now = clock_now();

	pace_begin(&map->pace, map->options.batch, map->options.in_flight, now);
	map->pause_ms = MAP_PAUSE_MS;
	map->deadline = map->options.timeout_ms ? now + (int64_t)map->options.timeout_ms * CLOCK_NS_PER_MS : 0;
	map->due = true;
}

int objpool_map_async(struct objpool *pool, const char *method, objpool_next *next, void *next_context, objpool_each *each,
		      void *each_context, const struct objpool_map_options *given, objpool_map_done *done, void *done_context,
		      struct objpool_map **out)
{
	size_t mark;
	int rc = connection_begin(pool, &mark);
	struct objpool_map *map = rc == 0 ? calloc(1, sizeof *map) : NULL;

	if (!map)
		return rc < 0 ? rc : -ENOMEM;
	*map = (struct objpool_map){.pool = pool, .next = next, .next_context = next_context, .each = each,
				    .each_context = each_context, .done = done, .done_context = done_context};
	rc = OPTIONS_TAKE(&map->options, given);
	if (rc == 0)
		rc = set_options(map, method);
	if (rc < 0) {
		map_free(map);
		return rc;
	}
	set_pace(map);
	*pool->maps_end = map;
	pool->maps_end = &map->next_map;
	if (out)
		*out = map;
	return 0;
}

void mapping_set_blocking(struct objpool_map *map)
{
	map->blocking = true;
}

void objpool_map_more(struct objpool_map *map)
{
	map->dry = false;
	map->due = true;
}

void objpool_map_stop(struct objpool_map *map, int status)
{
	finish(map, status < 0 ? status : -ECANCELED, NULL);
}
