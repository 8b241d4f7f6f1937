/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/supervisor/http/page.h"

#include "daemon/core/records/pool.h"
#include "daemon/supervisor/base/packtext.h"
#include "daemon/supervisor/http/http_admission.h"
#include "daemon/supervisor/http/http_answer.h"
#include "daemon/supervisor/http/http_guard.h"
#include "daemon/supervisor/http/http_identity.h"
#include "daemon/supervisor/view/status.h"
#include "page-file.h" /* made by scripts/embed-page.py: page_file, PAGE_POLICY */

#include <event2/buffer.h>
#include <event2/keyvalq_struct.h>
#include <stdlib.h>

enum { GRAIN = 10 /* samples of all pools that are put together: a line of the table has a small graph only */ };

static void add_headers(struct evhttp_request *request)
{
	struct evkeyvalq *headers = evhttp_request_get_output_headers(request);

	(void)evhttp_add_header(headers, "X-Content-Type-Options", "nosniff");
	(void)evhttp_add_header(headers, "Referrer-Policy", "no-referrer");
	(void)evhttp_add_header(headers, "X-Frame-Options", "DENY");
	(void)evhttp_add_header(headers, "Cross-Origin-Resource-Policy", "same-origin");
}

/* Has it come from a page of a stranger, or by a stranger's name for this host? -1: it is refused, and answered. */
static int check_stranger(struct daemon *daemon, struct evhttp_request *request)
{
	struct error error;
	const int status = http_guard_check(&daemon->config, request, &error);

	if (status)
		http_admission_refuse(daemon, request, status, &error);
	return status ? -1 : 0;
}

void page_answer(struct viewers *viewers, struct evhttp_request *request)
{
	add_headers(request);
	if (check_stranger(viewers->daemon, request) < 0)
		return;
	(void)evhttp_add_header(evhttp_request_get_output_headers(request), "Content-Security-Policy", PAGE_POLICY);
	http_answer(request, HTTP_OK, "text/html; charset=utf-8", page_file, sizeof page_file);
}

/* ---- who may see what ---- */

static int deny(struct daemon *daemon, struct evhttp_request *request, int status, const char *text)
{
	struct error error;

	error_say(&error, ERROR_DENIED, RAN_NO, "%s", text);
	http_admission_refuse(daemon, request, status, &error);
	return -1;
}

/* 0 and the rights of who asks; -1: it is refused, and answered. */
static int admit(struct daemon *daemon, struct evhttp_request *request, struct rights **rights)
{
	const bool bare = !evhttp_find_header(evhttp_request_get_input_headers(request), "Authorization");

	add_headers(request);
	if (check_stranger(daemon, request) < 0 || http_admission_rights(daemon, request, rights) < 0)
		return -1;
	if (!daemon->users && !daemon->config.http_calls && !http_is_local(request))
		return deny(daemon, request, HTTP_FORBIDDEN,
			    "from other machines the page needs users, or http_calls = yes, in the daemon's configuration");
	if (!rights_have_any(*rights, RIGHT_DESCRIBE) && !rights_have_any(*rights, RIGHT_WATCH))
		return deny(daemon, request, bare ? HTTP_UNAUTHORIZED : HTTP_FORBIDDEN,
			    "the page needs the right describe or watch");
	return http_admission_rate(request, *rights);
}

/* ---- what the query asks for ---- */

struct query {
	struct evkeyvalq pairs;
	const char *pool;
	bool clients;
};

/* 0; -1: it is refused, and answered. */
static int read_query(struct evhttp_request *request, struct query *query)
{
	const char *text = evhttp_uri_get_query(evhttp_request_get_evhttp_uri(request)), *clients;

	*query = (struct query){0};
	TAILQ_INIT(&query->pairs);
	if (evhttp_parse_query_str(text ? text : "", &query->pairs) < 0) {
		http_answer_text(request, HTTP_BADREQUEST, "the query can't be read\n");
		return -1;
	}
	query->pool = evhttp_find_header(&query->pairs, "pool");
	clients = evhttp_find_header(&query->pairs, "clients");
	query->clients = clients && !strcmp(clients, "yes");
	return 0;
}

static void drop_query(struct query *query)
{
	evhttp_clear_headers(&query->pairs);
}

void page_answer_events(struct viewers *viewers, struct evhttp_request *request)
{
	struct rights *rights = NULL;
	struct query query;

	if (admit(viewers->daemon, request, &rights) < 0 || read_query(request, &query) < 0)
		return;
	if (evhttp_request_get_command(request) == EVHTTP_REQ_HEAD)
		http_answer(request, HTTP_OK, "text/event-stream", "", 0);
	else
		viewers_add(viewers, request, rights, &(struct viewer_wish){.pool = query.pool, .clients = query.clients});
	drop_query(&query);
}

/* ---- JSON ---- */

static void answer_json(struct evhttp_request *request, const msgpack_sbuffer *packed)
{
	struct evbuffer *text = evbuffer_new();
	const unsigned char *bytes = NULL;

	if (text && json_text_put(packed, text) == 0)
		bytes = evbuffer_pullup(text, -1);
	if (bytes)
		http_answer(request, HTTP_OK, "application/json", bytes, evbuffer_get_length(text));
	else
		http_answer_text(request, HTTP_INTERNAL, "out of memory\n");
	if (text)
		evbuffer_free(text);
}

/* Calls in so many samples, the last of which is so many samples ago. */
static uint64_t sum_calls(const struct history *history, uint32_t ago, uint32_t count)
{
	uint64_t calls = 0;

	for (uint32_t i = 0; i < count; i++) {
		const struct history_sample *sample = history_ago(history, ago + i);
		calls += sample ? sample->calls : 0;
	}
	return calls;
}

static void pack_calls(const struct history *history, msgpack_packer *packer)
{
	msgpack_pack_array(packer, HISTORY_SAMPLES / GRAIN);
	for (uint32_t ago = HISTORY_SAMPLES; ago > 0; ago -= GRAIN)
		msgpack_pack_uint64(packer, sum_calls(history, ago - GRAIN, GRAIN));
}

static void pack_time(float seconds, msgpack_packer *packer)
{
	if (seconds < 0)
		msgpack_pack_nil(packer);
	else
		msgpack_pack_float(packer, seconds);
}

static void pack_sample(const struct history_sample *sample, msgpack_packer *packer)
{
	msgpack_pack_array(packer, 7);
	msgpack_pack_uint32(packer, sample->calls);
	msgpack_pack_uint32(packer, sample->failures);
	msgpack_pack_uint32(packer, sample->queue);
	msgpack_pack_uint16(packer, sample->busy);
	msgpack_pack_uint16(packer, sample->ready);
	pack_time(sample->p50, packer);
	pack_time(sample->p99, packer);
}

/* Two keys. */
static void pack_samples(const struct history *history, msgpack_packer *packer)
{
	static const char *const fields[] = {"calls", "failures", "queue", "busy", "ready", "p50", "p99"};

	pack_text(packer, "fields");
	msgpack_pack_array(packer, sizeof fields / sizeof *fields);
	for (size_t i = 0; i < sizeof fields / sizeof *fields; i++)
		pack_text(packer, fields[i]);
	pack_text(packer, "samples");
	msgpack_pack_array(packer, history->count);
	for (uint32_t ago = history->count; ago > 0; ago--)
		pack_sample(history_ago(history, ago - 1), packer);
}

static void pack_history(const struct history *history, msgpack_packer *packer)
{
	msgpack_pack_map(packer, 2);
	pack_samples(history, packer);
}

/* ---- the history of all pools ---- */

static uint32_t count_seen(const struct pool_views *views, const struct rights *rights)
{
	const struct pool_view *view;
	uint32_t count = 0;

	TAILQ_FOREACH(view, &views->list, link)
		count += rights_may_see(rights, view->pool->name);
	return count;
}

static void pack_all_histories(const struct pool_views *views, const struct rights *rights, msgpack_packer *packer)
{
	struct history *sum = calloc(1, sizeof *sum);
	const struct pool_view *view;

	msgpack_pack_map(packer, sum ? 4 : 2);
	pair_number(packer, "step", GRAIN);
	pack_text(packer, "pools");
	msgpack_pack_map(packer, count_seen(views, rights));
	TAILQ_FOREACH(view, &views->list, link) {
		if (!rights_may_see(rights, view->pool->name))
			continue;
		pack_text(packer, view->pool->name);
		pack_calls(&view->history, packer);
		if (sum)
			history_add(sum, &view->history);
	}
	if (sum)
		pack_samples(sum, packer);
	free(sum);
}

/* What is asked of a pool, packed. 0, or -1: there is nothing. */
typedef int pack_fn(const struct viewers *viewers, const char *pool, const struct rights *rights, msgpack_packer *packer);

static int pack_history_of(const struct viewers *viewers, const char *pool, const struct rights *rights, msgpack_packer *packer)
{
	const struct pool_view *view = pool ? pool_views_find(viewers->views, pool) : NULL;

	if (!pool)
		pack_all_histories(viewers->views, rights, packer);
	else if (view)
		pack_history(&view->history, packer);
	return pool && !view ? -1 : 0;
}

static int pack_description_of(const struct viewers *viewers, const char *name, const struct rights *rights,
			       msgpack_packer *packer)
{
	const struct span span = {.bytes = (const uint8_t *)name, .size = name ? strlen(name) : 0};
	const struct pool *pool = pool_find(&viewers->daemon->core, span);

	(void)rights;
	return pool ? status_pack_description(pool, packer) : -1;
}

static void answer_packed(struct viewers *viewers, struct evhttp_request *request, const struct query *query,
			  const struct rights *rights, pack_fn *pack)
{
	msgpack_sbuffer buffer;
	msgpack_packer packer;

	msgpack_sbuffer_init(&buffer);
	msgpack_packer_init(&packer, &buffer, msgpack_sbuffer_write);
	if (pack(viewers, query->pool, rights, &packer) == 0)
		answer_json(request, &buffer);
	else
		http_answer_text(request, HTTP_NOTFOUND, "there is no such pool, or its class is not known yet\n");
	msgpack_sbuffer_destroy(&buffer);
}

/* A pool is refused by its name, whether or not there is such a pool. */
static void answer_of_pool(struct viewers *viewers, struct evhttp_request *request, pack_fn *pack, bool describes)
{
	struct rights *rights = NULL;
	struct query query;

	if (admit(viewers->daemon, request, &rights) < 0 || read_query(request, &query) < 0)
		return;
	if (query.pool && !(describes ? rights_allow(rights, RIGHT_DESCRIBE, query.pool) : rights_may_see(rights, query.pool)))
		(void)deny(viewers->daemon, request, HTTP_FORBIDDEN, "this pool needs the right describe");
	else
		answer_packed(viewers, request, &query, rights, pack);
	drop_query(&query);
}

void page_answer_history(struct viewers *viewers, struct evhttp_request *request)
{
	answer_of_pool(viewers, request, pack_history_of, false);
}

void page_answer_description(struct viewers *viewers, struct evhttp_request *request)
{
	answer_of_pool(viewers, request, pack_description_of, true);
}
