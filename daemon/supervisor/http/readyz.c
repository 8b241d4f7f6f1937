/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/supervisor/http/readyz.h"

#include "daemon/core/entry/probe.h"
#include "daemon/core/records/pool.h"
#include "daemon/core/records/slot.h"
#include "daemon/supervisor/http/http_answer.h"
#include "proto/escape.h"

#include <event2/buffer.h>
#include <stdlib.h>
#include <string.h>

#define READY_WITHIN (1 * SECOND)

/* A request that waits for its probes. */
struct check {
	TAILQ_ENTRY(check) link; /* in readyz->checks */
	struct readyz *readyz;
	struct evhttp_request *request;
	struct rights *rights; /* of who asks: it is told of pools that it may see */
	uint32_t count;
	struct part {
		char *pool; /* its name: the pool may go */
		struct probe probe;
	} parts[];
};

void readyz_open(struct readyz *readyz, struct daemon *daemon)
{
	readyz->daemon = daemon;
	TAILQ_INIT(&readyz->checks);
}

/* ---- asking ---- */

static void check_free(struct check *check)
{
	TAILQ_REMOVE(&check->readyz->checks, check, link);
	for (uint32_t i = 0; i < check->count; i++) {
		probe_end(&check->parts[i].probe);
		free(check->parts[i].pool);
	}
	rights_unref(check->rights);
	free(check);
}

static uint32_t count_pools(const struct core *core)
{
	const struct pool *pool;
	uint32_t n = 0;

	TAILQ_FOREACH(pool, &core->pools, link)
	n += !pool->leaving;
	return n;
}

static struct check *check_new(struct readyz *readyz, struct evhttp_request *request, struct rights *rights)
{
	struct core *core = &readyz->daemon->core;
	struct check *check = calloc(1, sizeof *check + count_pools(core) * sizeof *check->parts);
	struct pool *pool;

	if (!check)
		return NULL;
	check->readyz = readyz;
	check->request = request;
	check->rights = rights_ref(rights);
	TAILQ_INSERT_TAIL(&readyz->checks, check, link);
	TAILQ_FOREACH(pool, &core->pools, link)
	{
		if (pool->leaving)
			continue;
		struct part *part = &check->parts[check->count++];
		part->pool = strdup(pool->name);
		probe_begin(&part->probe, pool, core->now + READY_WITHIN);
	}
	return check;
}

void readyz_ask(struct readyz *readyz, struct evhttp_request *request, struct rights *rights)
{
	if (readyz->daemon->state != DAEMON_RUNNING)
		http_answer_text(request, HTTP_SERVUNAVAIL,
				 "draining: the daemon finishes the calls that it has, and takes no new ones\n");
	else if (!check_new(readyz, request, rights))
		http_answer_text(request, HTTP_SERVUNAVAIL, "out of memory\n");
}

/* ---- answering ---- */

static uint32_t count_ready(const struct pool *pool)
{
	uint32_t n = 0;
	for (uint32_t i = 0; i < pool->size; i++)
		n += pool->slots[i]->state == SLOT_READY;
	return n;
}

/* NULL: it has gone. */
static const struct pool *find(const struct core *core, const char *name)
{
	return name ? pool_find(core, (struct span){.bytes = (const uint8_t *)name, .size = strlen(name)}) : NULL;
}

/* A pool whose probe ran out of time. */
static bool judge_late(const struct core *core, const char *name, char *text, size_t size)
{
	const struct pool *pool = find(core, name);
	const uint32_t ready = pool ? count_ready(pool) : 0;

	if (pool && probe_finds_busy(pool)) {
		snprintf(text, size, "busy: no instance was free within a second");
		return true;
	}
	if (ready > 0)
		snprintf(text, size, "failed: no instance has answered within a second");
	else
		snprintf(text, size, "failed: no instance is ready%s%s", pool && pool->reason[0] ? ": " : "",
			 pool ? pool->reason : "");
	return false;
}

static bool judge(const struct core *core, const struct part *part, char *text, size_t size)
{
	char reason[512];

	const struct pool *pool = find(core, part->pool);

	snprintf(text, size, pool && pool->paused ? "ok: paused" : "ok");
	if ((pool && pool->paused) || probe_succeeded(&part->probe, reason, sizeof reason))
		return true;
	if (strncmp(reason, "TIMEOUT: ", 9) == 0)
		return judge_late(core, part->pool, text, size);
	snprintf(text, size, "failed: %s", reason);
	return false;
}

static void finish_check(struct check *check)
{
	const struct core *core = &check->readyz->daemon->core;
	struct evbuffer *body = evbuffer_new();
	bool good = true;
	char text[768], line[sizeof text];

	for (uint32_t i = 0; i < check->count; i++) {
		const struct part *part = &check->parts[i];
		good = judge(core, part, text, sizeof text) && good;
		if (!rights_may_see(check->rights, part->pool ? part->pool : ""))
			continue;
		(void)escape_text(line, sizeof line, text, strlen(text));
		if (body)
			(void)evbuffer_add_printf(body, "%s %s\n", part->pool ? part->pool : "?", line);
	}
	if (body && evbuffer_get_length(body) == 0)
		(void)evbuffer_add_printf(body, "%s\n", check->count == 0 ? "there are no pools" : good ? "ready" : "not ready");
	if (body)
		http_answer(check->request, good ? HTTP_OK : HTTP_SERVUNAVAIL, "text/plain; charset=utf-8",
			    evbuffer_pullup(body, -1), evbuffer_get_length(body));
	else
		http_answer_text(check->request, HTTP_SERVUNAVAIL, "out of memory\n");
	if (body)
		evbuffer_free(body);
	check_free(check);
}

static bool is_done(const struct check *check)
{
	for (uint32_t i = 0; i < check->count; i++)
		if (!probe_is_answered(&check->parts[i].probe))
			return false;
	return true;
}

void readyz_end_turn(struct readyz *readyz)
{
	struct check *check, *next;

	for (check = TAILQ_FIRST(&readyz->checks); check; check = next) {
		next = TAILQ_NEXT(check, link);
		if (is_done(check))
			finish_check(check);
	}
}

void readyz_close(struct readyz *readyz)
{
	struct check *check;

	while ((check = TAILQ_FIRST(&readyz->checks))) {
		http_answer_text(check->request, HTTP_SERVUNAVAIL, "this address is being closed\n");
		check_free(check);
	}
}
