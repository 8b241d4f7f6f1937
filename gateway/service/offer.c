/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/service/offer.h"

#include "proto/block.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static void free_endpoints(struct endpoint *endpoints, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++)
		free(endpoints[i].name);
	free(endpoints);
}

struct offer *offer_free(struct offer *offer)
{
	if (!offer)
		return NULL;
	free_endpoints(offer->endpoints, offer->endpoint_count);
	block_unref(offer->description);
	free(offer->name);
	free(offer->class);
	free(offer);
	return NULL;
}

static void set_started(struct offer *offer)
{
	const time_t now = time(NULL);
	struct tm tm;

	if (!gmtime_r(&now, &tm) || strftime(offer->started, sizeof offer->started, "%Y-%m-%dT%H:%M:%SZ", &tm) == 0)
		strcpy(offer->started, "1970-01-01T00:00:00Z");
}

struct offer *offer_new(const char *name, const char *class)
{
	struct offer *offer = calloc(1, sizeof *offer);

	if (!offer)
		return NULL;
	set_started(offer);
	offer->name = strdup(name);
	offer->class = strdup(class);
	offer->endpoints = calloc(1, sizeof *offer->endpoints);
	offer->endpoint_count = offer->endpoints != NULL;
	return offer->name && offer->class && offer->endpoints ? offer : offer_free(offer);
}

struct offer *offers_find(const struct offer_list *offers, struct span name)
{
	struct offer *offer;

	TAILQ_FOREACH(offer, offers, entry)
		if (span_is(name, offer->name))
			return offer;
	return NULL;
}

/* ---- the description ---- */

static int read_method(struct reader *reader, struct endpoint *endpoint)
{
	struct span key, value, name = {.size = 0};
	uint32_t count;

	if (read_map(reader, &count) < 0)
		return -EINVAL;
	for (; count > 0; count--) {
		if (read_text(reader, &key) < 0 || read_value(reader, &value) < 0)
			return -EINVAL;
		struct reader of_value = reader_of(value);
		if (span_is(key, "name"))
			(void)read_text(&of_value, &name);
		else if (span_is(key, "signature"))
			(void)read_text(&of_value, &endpoint->signature);
		else if (span_is(key, "doc"))
			(void)read_text(&of_value, &endpoint->doc);
	}
	if (name.size == 0)
		return -EINVAL;
	endpoint->name = strndup((const char *)name.bytes, name.size);
	return endpoint->name ? 0 : -ENOMEM;
}

static int read_methods(struct span methods, struct endpoint **endpoints, uint32_t *count)
{
	struct reader reader = reader_of(methods);
	uint32_t left;
	int r = read_array(&reader, &left) < 0 || left == 0 ? -EINVAL : 0;

	*count = 0;
	*endpoints = r == 0 ? calloc(left, sizeof **endpoints) : NULL; /* by the own daemon's word, each method has bytes there */
	if (r == 0 && !*endpoints)
		return -ENOMEM;
	for (; r == 0 && left > 0; left--) {
		r = read_method(&reader, &(*endpoints)[*count]);
		*count += r == 0;
	}
	if (r < 0)
		free_endpoints(*endpoints, *count);
	return r;
}

static void keep_counts(struct offer *offer, struct endpoint *endpoints, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++)
		for (uint32_t k = 0; k < offer->endpoint_count; k++) {
			const struct endpoint *before = &offer->endpoints[k];
			if (!before->name || strcmp(before->name, endpoints[i].name) != 0)
				continue;
			endpoints[i].requests = before->requests;
			endpoints[i].errors = before->errors;
			endpoints[i].nanoseconds = before->nanoseconds;
			memcpy(endpoints[i].last_error, before->last_error, sizeof before->last_error);
		}
}

int offer_describe(struct offer *offer, struct account *account, struct span description)
{
	struct block *block = block_new(account, description.size);
	struct span key, value, methods = {.size = 0}, version = {.size = 0}, doc = {.size = 0};
	struct endpoint *endpoints;
	uint32_t count = 0;

	if (!block)
		return -ENOMEM;
	memcpy(block->bytes, description.bytes, description.size);
	struct reader reader = reader_of((struct span){.bytes = block->bytes, .size = description.size});
	int r = read_map(&reader, &count);
	for (; r == 0 && count > 0; count--) {
		if ((r = read_text(&reader, &key) < 0 || read_value(&reader, &value) < 0 ? -EINVAL : 0) < 0)
			break;
		struct reader of_value = reader_of(value);
		if (span_is(key, "methods"))
			methods = value;
		else if (span_is(key, "version"))
			(void)read_text(&of_value, &version);
		else if (span_is(key, "doc"))
			(void)read_text(&of_value, &doc);
	}
	r = r < 0 ? -EINVAL : read_methods(methods, &endpoints, &count);
	if (r < 0) {
		block_unref(block);
		return r;
	}
	keep_counts(offer, endpoints, count);
	free_endpoints(offer->endpoints, offer->endpoint_count);
	block_unref(offer->description);
	offer->description = block;
	offer->version = version;
	offer->doc = doc;
	offer->endpoints = endpoints;
	offer->endpoint_count = count;
	return 0;
}

/* ---- counts ---- */

struct endpoint *offer_endpoint(struct offer *offer, struct span method)
{
	for (uint32_t i = 0; i < offer->endpoint_count; i++)
		if (!offer->endpoints[i].name || span_is(method, offer->endpoints[i].name))
			return &offer->endpoints[i];
	return NULL;
}

void endpoint_count(struct endpoint *endpoint, uint64_t nanoseconds, const char *error)
{
	endpoint->requests++;
	endpoint->nanoseconds += nanoseconds;
	if (!error)
		return;
	endpoint->errors++;
	snprintf(endpoint->last_error, sizeof endpoint->last_error, "%s", error);
	error_make_utf8(endpoint->last_error, strlen(endpoint->last_error));
}
