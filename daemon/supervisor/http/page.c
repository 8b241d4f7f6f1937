/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/supervisor/http/page.h"

#include "daemon/core/records/pool.h"
#include "daemon/supervisor/http/history_json.h"
#include "daemon/supervisor/http/http_admission.h"
#include "daemon/supervisor/http/http_answer.h"
#include "daemon/supervisor/http/page_access.h"
#include "daemon/supervisor/view/status.h"
#include "page-file.h" /* made by scripts/embed-page.py: page_file, PAGE_POLICY */

#include <event2/keyvalq_struct.h>

static void add_headers(struct evhttp_request *request)
{
	struct evkeyvalq *headers = evhttp_request_get_output_headers(request);

	(void)evhttp_add_header(headers, "X-Content-Type-Options", "nosniff");
	(void)evhttp_add_header(headers, "Referrer-Policy", "no-referrer");
	(void)evhttp_add_header(headers, "X-Frame-Options", "DENY");
	(void)evhttp_add_header(headers, "Cross-Origin-Resource-Policy", "same-origin");
}

void page_answer(struct evhttp_request *request)
{
	add_headers(request);
	(void)evhttp_add_header(evhttp_request_get_output_headers(request), "Content-Security-Policy", PAGE_POLICY);
	http_answer(request, HTTP_OK, "text/html; charset=utf-8", page_file, sizeof page_file);
}

/* ---- who may see what ---- */

static void deny(struct daemon *daemon, struct evhttp_request *request, const char *text)
{
	struct error error;

	error_say(&error, ERROR_DENIED, RAN_NO, "%s", text);
	http_admission_refuse(daemon, request, HTTP_FORBIDDEN, &error);
}

static struct rights *rights_of(const struct known *known)
{
	return known->identity ? known->identity->rights : NULL;
}

/* 0, and who asks; -1: it is refused, and answered. */
static int admit(struct daemon *daemon, struct evhttp_request *request, struct known *known)
{
	struct error error;

	add_headers(request);
	const int status = page_access_judge(daemon, request, known, &error);
	if (status)
		http_admission_refuse(daemon, request, status, &error);
	return status ? -1 : http_admission_rate(request, rights_of(known));
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
	struct query query;
	struct known known;

	if (admit(viewers->daemon, request, &known) < 0 || read_query(request, &query) < 0)
		return;
	if (evhttp_request_get_command(request) == EVHTTP_REQ_HEAD)
		http_answer(request, HTTP_OK, "text/event-stream", "", 0);
	else
		viewers_add(viewers, request, &known, &(struct viewer_wish){.pool = query.pool, .clients = query.clients});
	drop_query(&query);
}

/* ---- JSON ---- */

static void answer_json(struct evhttp_request *request, const struct picture *picture)
{
	if (picture->text)
		http_answer(request, HTTP_OK, "application/json", picture->text, picture->size);
	else
		http_answer_text(request, HTTP_INTERNAL, "out of memory\n");
}

/* Packs what is asked of a pool. 0, or -1: there is nothing. */
typedef int pack_fn(const struct viewers *viewers, const char *pool, msgpack_packer *packer);

static int pack_history_of(const struct viewers *viewers, const char *pool, msgpack_packer *packer)
{
	const struct pool_view *view = pool_views_find(viewers->views, pool);

	if (view)
		history_json_pack(&view->history, packer);
	return view ? 0 : -1;
}

static int pack_description_of(const struct viewers *viewers, const char *name, msgpack_packer *packer)
{
	const struct span span = {.bytes = (const uint8_t *)name, .size = strlen(name)};
	const struct pool *pool = pool_find(&viewers->daemon->core, span);

	return pool ? status_pack_description(pool, packer) : -1;
}

static void answer_packed(struct viewers *viewers, struct evhttp_request *request, const char *pool, pack_fn *pack)
{
	struct picture picture = {0};
	msgpack_sbuffer buffer;
	msgpack_packer packer;

	msgpack_sbuffer_init(&buffer);
	msgpack_packer_init(&packer, &buffer, msgpack_sbuffer_write);
	if (pack(viewers, pool, &packer) == 0) {
		picture_draw(&picture, &buffer, 1);
		answer_json(request, &picture);
	} else {
		http_answer_text(request, HTTP_NOTFOUND, "there is no such pool, or its class is not known yet\n");
	}
	picture_free(&picture);
	msgpack_sbuffer_destroy(&buffer);
}

static void draw_all_histories(struct viewers *viewers, struct rights *rights)
{
	msgpack_sbuffer buffer;
	msgpack_packer packer;

	msgpack_sbuffer_init(&buffer);
	msgpack_packer_init(&packer, &buffer, msgpack_sbuffer_write);
	history_json_pack_all(viewers->views, rights, &packer);
	picture_free(&viewers->histories.picture);
	picture_draw(&viewers->histories.picture, &buffer, 1);
	msgpack_sbuffer_destroy(&buffer);
	rights_set(&viewers->histories.rights, rights);
	viewers->histories.sampled = viewers->views->sampled;
}

static void answer_all_histories(struct viewers *viewers, struct evhttp_request *request, struct rights *rights)
{
	if (!viewers->histories.picture.text || viewers->histories.rights != rights ||
	    viewers->histories.sampled != viewers->views->sampled)
		draw_all_histories(viewers, rights);
	answer_json(request, &viewers->histories.picture);
}

void page_answer_history(struct viewers *viewers, struct evhttp_request *request)
{
	struct query query;
	struct known known;

	if (admit(viewers->daemon, request, &known) < 0 || read_query(request, &query) < 0)
		return;
	pool_views_settle(viewers->views);
	if (!query.pool)
		answer_all_histories(viewers, request, rights_of(&known));
	else if (rights_may_see(rights_of(&known), query.pool)) /* judged by its name, whether or not there is such a pool */
		answer_packed(viewers, request, query.pool, pack_history_of);
	else
		deny(viewers->daemon, request, "this pool needs the right describe or watch");
	drop_query(&query);
}

void page_answer_description(struct viewers *viewers, struct evhttp_request *request)
{
	struct query query;
	struct known known;

	if (admit(viewers->daemon, request, &known) < 0 || read_query(request, &query) < 0)
		return;
	if (!query.pool)
		http_answer_text(request, HTTP_NOTFOUND, "it is /describe?pool=NAME\n");
	else if (rights_allow(rights_of(&known), RIGHT_DESCRIBE, query.pool))
		answer_packed(viewers, request, query.pool, pack_description_of);
	else
		deny(viewers->daemon, request, "this pool needs the right describe");
	drop_query(&query);
}
