/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/service/bus_request.h"

#include "gateway/core/put.h"
#include "proto/rpc.h"

enum { ROOM = 160 }; /* for heads, names of the wire, and the host's */

int bus_request_subject(struct span rest, struct bus_request *request, struct span *host)
{
	const uint8_t *dot = rest.size ? memchr(rest.bytes, '.', rest.size) : NULL;

	*request = (struct bus_request){.form = BODY_JSON};
	*host = (struct span){.size = 0};
	if (!dot || dot + 1 == rest.bytes + rest.size)
		return -1;
	request->pool = (struct span){.bytes = rest.bytes, .size = (size_t)(dot - rest.bytes)};
	request->method = (struct span){.bytes = dot + 1, .size = rest.size - request->pool.size - 1};
	const uint8_t *at = request->pool.size ? memchr(request->pool.bytes, '@', request->pool.size) : NULL;
	if (!at)
		return 0;
	*host = (struct span){.bytes = at + 1, .size = (size_t)(dot - at - 1)};
	request->pool.size = (size_t)(at - request->pool.bytes);
	return 0;
}

static int refuse(struct error *error, const char *text)
{
	error_say(error, ERROR_BAD_REQUEST, RAN_NO, "%s", text);
	return -1;
}

/* These need more than one answer, or a session of the program's own. */
static int check_option(struct span key, struct error *error)
{
	static const char *const not_here[] = {"stream", "progress", "sticky"};

	for (size_t i = 0; i < sizeof not_here / sizeof *not_here; i++)
		if (span_is(key, not_here[i])) {
			error_say(error, ERROR_BAD_REQUEST, RAN_NO, "calls from the bus can't have the option %s", not_here[i]);
			return -1;
		}
	return 0;
}

static int read_options(struct bus_request *request, const char *text, struct account *account, struct error *error)
{
	const struct span json = {.bytes = (const uint8_t *)text, .size = strlen(text)};
	struct span key, value;
	uint32_t count;

	if (body_read(BODY_JSON, "Objpool-Options", json, account, &request->options_block, &request->options, error) < 0)
		return -1;
	struct reader reader = reader_of(request->options);
	if (read_map(&reader, &count) < 0)
		return refuse(error, "the header " BUS_REQUEST_OPTIONS " must be a JSON object");
	for (; count > 0; count--)
		if ((read_text(&reader, &key) == 0 && check_option(key, error) < 0) || read_value(&reader, &value) < 0)
			return -1;
	return 0;
}

int bus_request_read(struct bus_request *request, struct span body, const char *type, const char *selector, const char *options,
		     struct account *account, struct error *error)
{
	uint32_t count;

	if (body_find_form(body, type, &request->form, error) < 0)
		return -1;
	request->selector = selector && *selector ? selector : NULL;
	if (options && read_options(request, options, account, error) < 0)
		return -1;
	if (body.size == 0)
		return 0;
	if (body_read(request->form, "the body", body, account, &request->body_block, &request->args, error) < 0)
		return -1;
	struct reader reader = reader_of(request->args);
	request->alone = read_array(&reader, &count) < 0;
	return 0;
}

size_t bus_request_size(const struct bus_request *request)
{
	return ROOM + request->pool.size + request->method.size + (request->selector ? strlen(request->selector) : 0) +
	       request->args.size + request->options.size;
}

/* POOL@HOST[:SELECTOR], of the own host: a section [remote POOL] must not send the call on. */
static void put_target(const struct bus_request *request, const char *host, struct sendq *to)
{
	const size_t selector = request->selector ? strlen(request->selector) : 0, size = strlen(host);

	put_str_head(to, (uint32_t)(request->pool.size + 1 + size + (selector ? 1 + selector : 0)));
	sendq_copy(to, request->pool.bytes, request->pool.size);
	sendq_copy(to, "@", 1);
	sendq_copy(to, host, size);
	if (selector) {
		sendq_copy(to, ":", 1);
		sendq_copy(to, request->selector, selector);
	}
}

void bus_request_put(const struct bus_request *request, const char *host, uint32_t number, struct sendq *to)
{
	put_array(to, 4);
	put_uint(to, RPC_REQUEST);
	put_uint(to, number);
	put_text(to, "objpool.call");
	put_array(to, 3 + (request->options.size > 0));
	put_target(request, host, to);
	put_span(to, request->method);
	if (request->args.size == 0 || request->alone)
		put_array(to, request->args.size > 0);
	if (request->args.size > 0)
		sendq_span(to, request->body_block, request->args.bytes, request->args.size);
	if (request->options.size > 0)
		sendq_span(to, request->options_block, request->options.bytes, request->options.size);
}

void bus_request_close(struct bus_request *request)
{
	request->body_block = block_unref(request->body_block);
	request->options_block = block_unref(request->options_block);
}
