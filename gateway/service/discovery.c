/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/service/discovery.h"

#include "gateway/core/put.h"

#include <inttypes.h>
#include <stdio.h>

enum verb { PING, INFO, STATS, VERBS };
enum { ID = 2 * GATEWAY_NAME_MAX, ENTRIES = 5 /* that put_service writes */ };

static const struct {
	const char *name, *type;
} verbs[VERBS] = {
	{"PING", "io.nats.micro.v1.ping_response"},
	{"INFO", "io.nats.micro.v1.info_response"},
	{"STATS", "io.nats.micro.v1.stats_response"},
};

/* ---- what is said ---- */

static void make_id(const struct discovery *discovery, char id[ID])
{
	snprintf(id, ID, "%s-%016" PRIx64, discovery->gateway->name, discovery->gateway->incarnation);
}

static void put_entry(struct sendq *to, const char *key, struct span text)
{
	put_text(to, key);
	put_span(to, text);
}

static struct span span_of(const char *text)
{
	return (struct span){.bytes = (const uint8_t *)text, .size = strlen(text)};
}

/* Values are texts, by the rules of NATS services. */
static void put_metadata(const struct discovery *discovery, const struct offer *offer, struct sendq *to)
{
	char slots[12];

	snprintf(slots, sizeof slots, "%" PRIu32, offer->slots);
	put_text(to, "metadata");
	put_map(to, 4 + (offer->version.size > 0));
	put_entry(to, "host", span_of(discovery->gateway->name));
	put_entry(to, "domain", span_of(discovery->domain));
	put_entry(to, "class", span_of(offer->class));
	put_entry(to, "slots", span_of(slots));
	if (offer->version.size > 0)
		put_entry(to, "class_version", offer->version);
}

static void put_service(const struct discovery *discovery, const struct offer *offer, enum verb verb, struct sendq *to)
{
	char id[ID];

	make_id(discovery, id);
	put_entry(to, "type", span_of(verbs[verb].type));
	put_entry(to, "name", span_of(offer->name));
	put_entry(to, "id", span_of(id));
	put_entry(to, "version", span_of(OBJPOOL_VERSION));
	put_metadata(discovery, offer, to);
}

static void put_subject(const struct discovery *discovery, const struct offer *offer, const struct endpoint *endpoint,
			struct sendq *to)
{
	const char *const parts[] = {
		"objpool.", discovery->domain, ".call.", offer->name, ".", endpoint->name ? endpoint->name : ">"};
	size_t size = 0;

	for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
		size += strlen(parts[i]);
	put_text(to, "subject");
	put_str_head(to, (uint32_t)size);
	for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
		sendq_copy(to, parts[i], strlen(parts[i]));
}

static void put_endpoint(const struct discovery *discovery, const struct offer *offer, const struct endpoint *endpoint,
			 struct sendq *to)
{
	put_entry(to, "name", span_of(endpoint->name ? endpoint->name : "call"));
	put_subject(discovery, offer, endpoint, to);
	put_entry(to, "queue_group", span_of("objpool"));
}

static void put_info(const struct discovery *discovery, const struct offer *offer, struct sendq *to)
{
	put_map(to, ENTRIES + 2);
	put_service(discovery, offer, INFO, to);
	put_entry(to, "description", offer->doc);
	put_text(to, "endpoints");
	put_array(to, offer->endpoint_count);
	for (uint32_t i = 0; i < offer->endpoint_count; i++) {
		const struct endpoint *endpoint = &offer->endpoints[i];
		put_map(to, 4);
		put_endpoint(discovery, offer, endpoint, to);
		put_text(to, "metadata");
		put_map(to, 0U + (endpoint->signature.size > 0) + (endpoint->doc.size > 0));
		if (endpoint->signature.size > 0)
			put_entry(to, "signature", endpoint->signature);
		if (endpoint->doc.size > 0)
			put_entry(to, "doc", endpoint->doc);
	}
}

static void put_stats(const struct discovery *discovery, const struct offer *offer, struct sendq *to)
{
	put_map(to, ENTRIES + 2);
	put_service(discovery, offer, STATS, to);
	put_entry(to, "started", span_of(offer->started));
	put_text(to, "endpoints");
	put_array(to, offer->endpoint_count);
	for (uint32_t i = 0; i < offer->endpoint_count; i++) {
		const struct endpoint *endpoint = &offer->endpoints[i];
		put_map(to, 8);
		put_endpoint(discovery, offer, endpoint, to);
		put_pair(to, "num_requests", endpoint->requests);
		put_pair(to, "num_errors", endpoint->errors);
		put_entry(to, "last_error", span_of(endpoint->last_error));
		put_pair(to, "processing_time", endpoint->nanoseconds);
		put_pair(to, "average_processing_time", endpoint->requests ? endpoint->nanoseconds / endpoint->requests : 0);
	}
}

static void answer_one(const struct discovery *discovery, const struct offer *offer, enum verb verb, const char *reply)
{
	struct sendq queue = {.account = discovery->outlet->account};
	struct error error;
	char text[ANSWER_TEXT];

	switch (verb) {
	case PING:
		put_map(&queue, ENTRIES);
		put_service(discovery, offer, PING, &queue);
		break;
	case INFO:
		put_info(discovery, offer, &queue);
		break;
	case STATS:
		put_stats(discovery, offer, &queue);
		break;
	case VERBS:
		return;
	}
	if (answer_written(discovery->outlet, reply, &queue, &error) < 0)
		answer_failure(discovery->outlet, reply, BODY_JSON, &error, text);
}

/* ---- what is asked ---- */

/* The text up to the next dot, which is passed. */
static struct span take_token(struct span *rest)
{
	const uint8_t *dot = rest->size ? memchr(rest->bytes, '.', rest->size) : NULL;
	const struct span token = {.bytes = rest->bytes, .size = dot ? (size_t)(dot - rest->bytes) : rest->size};
	const size_t passed = token.size + (dot != NULL);

	*rest = (struct span){.bytes = passed ? rest->bytes + passed : rest->bytes, .size = rest->size - passed};
	return token;
}

void discovery_answer(const struct discovery *discovery, struct span rest, const char *reply)
{
	const struct span verb = take_token(&rest), name = take_token(&rest), asked = take_token(&rest);
	const struct offer *offer;
	enum verb i = PING;
	char id[ID];

	while (i < VERBS && !span_is(verb, verbs[i].name))
		i++;
	make_id(discovery, id);
	if (i == VERBS || rest.size > 0 || (asked.size > 0 && !span_is(asked, id)))
		return;
	TAILQ_FOREACH(offer, discovery->offers, entry)
		if (name.size == 0 || span_is(name, offer->name))
			answer_one(discovery, offer, i, reply);
}
