/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/gateway_bench.h"

#include "gateway/core/put.h"
#include "gateway/core/sum.h"
#include "gateway/service/body.h"
#include "json/from_json.h"
#include "proto/pack.h"
#include "proto/rpc.h"
#include "proto/scan.h"

#include <stdio.h>

enum { AT_SUM = CONDUIT_HEAD - 8, FRAME_HEAD = 9, PACKET_VERSION = 2, PING = 1, PONG = 2 };

/* ---- bytes ---- */

static void add(struct bytes *to, const void *bytes, size_t size)
{
	if (to->size + size > to->room) {
		to->room = 2 * (to->size + size);
		to->bytes = realloc(to->bytes, to->room);
		assert_non_null(to->bytes);
	}
	if (size)
		memcpy(to->bytes + to->size, bytes, size);
	to->size += size;
}

static struct span span_of(const char *text)
{
	return (struct span){.bytes = (const uint8_t *)text, .size = strlen(text)};
}

static struct block *packed(const char *json, struct span *value)
{
	struct block *block;
	char reason[200] = "";

	if (from_json(NULL, json, strlen(json), 60, &block, value, reason, sizeof reason) < 0)
		fail_msg("%s: %s", json, reason);
	return block;
}

/* Takes whole values off the front, and shows them, a line each. */
static const char *show(struct bench *bench, struct bytes *from, bool (*skips)(struct span value))
{
	struct bytes text = {0};
	size_t at = 0;

	while (at < from->size) {
		const int64_t n = scan_length(from->bytes + at, from->size - at);
		assert_true(n >= 0);
		if (n == 0)
			break;
		const struct span value = {.bytes = from->bytes + at, .size = (size_t)n};
		at += (size_t)n;
		if (skips && skips(value))
			continue;
		struct evbuffer *line = body_text(value);
		assert_non_null(line);
		add(&text, evbuffer_pullup(line, -1), evbuffer_get_length(line));
		add(&text, "\n", 1);
		evbuffer_free(line);
	}
	from->size -= at;
	if (at > 0)
		memmove(from->bytes, from->bytes + at, from->size);
	add(&text, "", 1);
	free(bench->text);
	bench->text = (char *)text.bytes;
	return bench->text;
}

static void drain(struct sendq *queue, struct bytes *to)
{
	struct iovec iov[1];

	while (sendq_iov(queue, iov, 1) == 1) {
		add(to, iov[0].iov_base, iov[0].iov_len);
		sendq_sent(queue, iov[0].iov_len);
	}
}

static uint64_t get(const uint8_t *bytes, unsigned size)
{
	uint64_t n = 0;

	for (unsigned i = 0; i < size; i++)
		n = n << 8 | bytes[i];
	return n;
}

/* ---- what a played host hears ---- */

static struct played *find(struct bench *bench, const char *name)
{
	for (unsigned i = 0; i < bench->host_count; i++)
		if (strcmp(bench->hosts[i]->name, name) == 0)
			return bench->hosts[i];
	return NULL;
}

static void note(struct played *host, const uint8_t *frame, uint32_t id, const uint8_t *payload, size_t size)
{
	static const char *const names[] = {"?", "OPEN", "DATA", "CREDIT", "CLOSE"};
	const unsigned kind = frame[0] & ~(unsigned)BY_OPENER;
	const size_t at = strlen(host->frames), room = sizeof host->frames - at;

	assert_in_range(kind, OPEN, CLOSE);
	if (kind == DATA)
		(void)snprintf(host->frames + at, room, "DATA %u %zu\n", id, size);
	else if (kind == CREDIT)
		(void)snprintf(host->frames + at, room, "CREDIT %u %llu\n", id, (unsigned long long)get(payload, 4));
	else if (kind == CLOSE)
		(void)snprintf(host->frames + at, room, "CLOSE %u %u %.*s\n", id, payload[0], (int)size - 1, payload + 1);
	else
		(void)snprintf(host->frames + at, room, "%s %u %.*s\n", names[kind], id, (int)size, payload);
	if (kind == DATA && id < BENCH_CHANNELS)
		add(frame[0] & BY_OPENER ? &host->stream[id] : &host->answers[id], payload, size);
}

static void take_frames(struct played *host, const uint8_t *bytes, size_t size)
{
	while (size > 0) {
		assert_true(size >= FRAME_HEAD);
		const size_t payload = get(bytes + 5, 4);
		assert_true(payload <= size - FRAME_HEAD);
		note(host, bytes, (uint32_t)get(bytes + 1, 4), bytes + FRAME_HEAD, payload);
		bytes += FRAME_HEAD + payload;
		size -= FRAME_HEAD + payload;
	}
}

static int on_publish(struct gateway *gateway, const char *name, const void *packet, size_t size)
{
	struct played *host = find(gateway->owner, name);
	const uint8_t *bytes = packet;

	assert_true(size >= CONDUIT_HEAD && size <= gateway->packet_max);
	assert_int_equal(bytes[0], PACKET_VERSION);
	assert_true(get(bytes + 4, 8) == gateway->incarnation);
	if (!host || get(bytes + 12, 8) != host->incarnation)
		return 0;
	host->epoch = get(bytes + 20, 8);
	host->last_ack = get(bytes + 36, 8);
	const uint64_t seq = get(bytes + 28, 8);
	if (seq == 0)
		return 0;
	host->packets++;
	host->packet_bytes += size;
	if (seq != host->received + 1)
		return 0;
	host->received = seq;
	take_frames(host, bytes + CONDUIT_HEAD, size - CONDUIT_HEAD);
	return 0;
}

static bool on_room(struct gateway *gateway)
{
	const struct bench *bench = gateway->owner;

	return !bench->full;
}

static int on_publish_beat(struct gateway *gateway, const void *bytes, size_t size)
{
	struct bench *bench = gateway->owner;

	bench->beats++;
	bench->beat.size = 0;
	add(&bench->beat, bytes, size);
	return 0;
}

/* ---- the gateway's surroundings ---- */

static void on_supervisor_wrote(struct gateway *gateway)
{
	(void)gateway;
}

static int on_local_open(struct local *local)
{
	struct bench *bench = local->gateway->owner;

	if (bench->local_count == BENCH_LOCALS)
		return -1;
	bench->locals[bench->local_count++] = local;
	return 0;
}

static void on_local(struct local *local)
{
	(void)local;
}

static void on_local_close(struct local *local)
{
	struct bench *bench = local->gateway->owner;

	for (unsigned i = 0; i < bench->local_count; i++)
		if (bench->locals[i] == local) {
			assert_false(bench->closed[i]);
			bench->closed[i] = true;
			if (local->gateway->ending) /* what the session holds is charged to the gateway, which is freed next */
				bench->locals[i] = local_free(local);
			return;
		}
	fail_msg("a session is closed that was never opened");
}

static const struct gateway_ops ops = {.publish = on_publish,
				       .publish_beat = on_publish_beat,
				       .has_room = on_room,
				       .supervisor_wrote = on_supervisor_wrote,
				       .local_open = on_local_open,
				       .local_wrote = on_local,
				       .local_reads = on_local,
				       .local_close = on_local_close};

void bench_end_turn(struct bench *bench)
{
	gateway_end_turn(bench->gateway);
	drain(&bench->gateway->to_supervisor, &bench->told);
	for (unsigned i = 0; i < bench->host_count; i++) {
		struct played *host = bench->hosts[i];
		struct head head = played_head(host);
		if (host->is_deaf || host->received == 0)
			continue;
		head.seq = 0;
		played_packet(host, &head, NULL, 0);
	}
}

void bench_pass(struct bench *bench, unsigned ms)
{
	const uint64_t until = bench->gateway->now + ms * MILLISECOND;

	while (bench->gateway->now < until) {
		const uint64_t next = gateway_next(bench->gateway);
		bench->gateway->now = next < until ? (next > bench->gateway->now ? next : bench->gateway->now) : until;
		gateway_run(bench->gateway);
		bench_end_turn(bench);
		if (next <= bench->gateway->now && gateway_next(bench->gateway) <= bench->gateway->now)
			bench->gateway->now++;
	}
}

void bench_keep(struct bench *bench, unsigned ms, const char *own_pools, const struct played *silent)
{
	enum { EVERY = 200 };

	for (; ms > 0; ms -= ms < EVERY ? ms : EVERY) {
		if (own_pools)
			bench_tell(bench, own_pools);
		for (unsigned i = 0; i < bench->host_count; i++)
			if (bench->hosts[i] != silent)
				played_beat(bench->hosts[i], bench->hosts[i]->pools);
		bench_pass(bench, ms < EVERY ? ms : EVERY);
	}
}

void bench_tell(struct bench *bench, const char *json)
{
	struct span value;
	struct block *block = packed(json, &value);

	assert_int_equal(gateway_on_supervisor(bench->gateway, value, NULL), 0);
	block_unref(block);
	bench_end_turn(bench);
}

void bench_ask(struct bench *bench, const char *json)
{
	char message[4096];

	assert_true((size_t)snprintf(message, sizeof message, "[2, 1, %s]", json) < sizeof message);
	bench_tell(bench, message);
}

static bool is_of_hosts(struct span value)
{
	return value.size > 1 && value.bytes[1] == FROM_GATEWAY_HOSTS;
}

const char *bench_heard(struct bench *bench)
{
	drain(&bench->gateway->to_supervisor, &bench->told);
	return show(bench, &bench->told, is_of_hosts);
}

struct bench *bench_start(void)
{
	struct bench *bench = calloc(1, sizeof *bench);

	assert_non_null(bench);
	bench->gateway = gateway_new(&ops, bench, 1000 * SECOND, 5);
	assert_non_null(bench->gateway);
	bench_tell(bench, "[0, {\"name\": \"h1\", \"remotes\": {\"near\": {\"hosts\": [\"h2\"], \"prefer\": \"local\"},"
			  " \"far\": {\"hosts\": \"*\", \"prefer\": \"load\"}}}]");
	gateway_on_bus_up(bench->gateway, 1 << 20, "a test");
	bench_tell(bench, "[1, 1, {\"user\": \"alice\", \"errors\": \"map\"}]");
	return bench;
}

struct bench *bench_new(void)
{
	struct bench *bench = bench_start();

	bench_pass(bench, 1200);
	assert_int_equal(bench->gateway->state, GATEWAY_SERVING);
	(void)bench_heard(bench);
	return bench;
}

static void free_played(struct played *host)
{
	for (unsigned i = 0; i < BENCH_CHANNELS; i++) {
		free(host->stream[i].bytes);
		free(host->answers[i].bytes);
	}
	free(host);
}

void bench_free(struct bench *bench)
{
	for (unsigned i = 0; i < bench->local_count; i++)
		if (!bench->locals[i]->ops) /* the core is done with it */
			bench->locals[i] = local_free(bench->locals[i]);
	bench->gateway = gateway_free(bench->gateway);
	for (unsigned i = 0; i < bench->host_count; i++)
		free_played(bench->hosts[i]);
	free(bench->told.bytes);
	free(bench->beat.bytes);
	free(bench->before.bytes);
	free(bench->text);
	free(bench);
}

/* ---- the own daemon ---- */

void bench_local_bytes(struct bench *bench, unsigned i, const void *bytes, size_t size)
{
	assert_true(i < bench->local_count && !bench->closed[i]);
	gateway_on_local_bytes(bench->locals[i], (struct span){.bytes = bytes, .size = size});
	bench_end_turn(bench);
}

void bench_local_says(struct bench *bench, unsigned i, const char *json)
{
	struct span value;
	struct block *block = packed(json, &value);

	bench_local_bytes(bench, i, value.bytes, value.size);
	block_unref(block);
}

const char *bench_local_heard(struct bench *bench, unsigned i)
{
	struct bytes bytes = {0};

	assert_true(i < bench->local_count);
	drain(&bench->locals[i]->out, &bytes);
	if (!bench->closed[i])
		gateway_on_local_sent(bench->locals[i]);
	const char *text = show(bench, &bytes, NULL);
	free(bytes.bytes);
	bench_end_turn(bench);
	return text;
}

/* ---- what a played host says ---- */

static void say_beat(struct played *host, bool bye, const char *pools)
{
	struct gateway *gateway = host->bench->gateway;
	struct sendq to = {0};
	struct bytes beat = {0};
	struct span value;
	struct block *block = packed(pools, &value);
	uint8_t sum[8];

	put_array(&to, 6);
	put_uint(&to, 1);
	put_uint(&to, host->incarnation);
	put_uint(&to, ++host->beats);
	put_uint(&to, host->age_ms);
	put_bool(&to, bye);
	sendq_copy(&to, value.bytes, value.size);
	drain(&to, &beat);
	(void)pack_be64(sum, sum_of(0, beat.bytes, beat.size));
	add(&beat, sum, sizeof sum);
	gateway_on_beat(gateway, span_of(host->name), (struct span){.bytes = beat.bytes, .size = beat.size});
	free(beat.bytes);
	sendq_clear(&to);
	block_unref(block);
	bench_end_turn(host->bench);
}

void played_beat(struct played *host, const char *pools)
{
	host->pools = pools;
	say_beat(host, false, pools);
}

void played_says_bye(struct played *host)
{
	say_beat(host, true, "null");
}

struct played *played_new(struct bench *bench, const char *name, const char *pools)
{
	struct played *host = calloc(1, sizeof *host);

	assert_non_null(host);
	assert_true(bench->host_count < BENCH_HOSTS);
	*host = (struct played){.bench = bench, .incarnation = 1000 + bench->host_count, .age_ms = 5000, .epoch = 1};
	(void)snprintf(host->name, sizeof host->name, "%s", name);
	bench->hosts[bench->host_count++] = host;
	played_beat(host, pools);
	return host;
}

struct head played_head(const struct played *host)
{
	return (struct head){.from = host->incarnation,
			     .to = host->bench->gateway->incarnation,
			     .epoch = host->epoch,
			     .seq = host->seq + 1,
			     .ack = host->received};
}

void played_packet(struct played *host, const struct head *head, const void *frames, size_t size)
{
	uint8_t *bytes = malloc(CONDUIT_HEAD + size), *p = bytes;

	assert_non_null(bytes);
	*p++ = PACKET_VERSION;
	*p++ = (uint8_t)head->flags;
	p = pack_be16(p, 0);
	p = pack_be64(p, head->from);
	p = pack_be64(p, head->to);
	p = pack_be64(p, head->epoch);
	p = pack_be64(p, head->seq);
	(void)pack_be64(p, head->ack);
	if (size)
		memcpy(bytes + CONDUIT_HEAD, frames, size);
	(void)pack_be64(bytes + AT_SUM, sum_of(sum_of(0, bytes, AT_SUM), bytes + CONDUIT_HEAD, size));
	gateway_on_packet(host->bench->gateway, span_of(host->name), (struct span){.bytes = bytes, .size = CONDUIT_HEAD + size});
	free(bytes);
	gateway_end_turn(host->bench->gateway);
}

size_t frame_put(uint8_t *to, unsigned kind, uint32_t channel, const void *bytes, size_t size)
{
	to[0] = (uint8_t)kind;
	(void)pack_be32(pack_be32(to + 1, channel), (uint32_t)size);
	if (size)
		memcpy(to + FRAME_HEAD, bytes, size);
	return FRAME_HEAD + size;
}

void played_frame(struct played *host, unsigned kind, uint32_t channel, const void *bytes, size_t size)
{
	uint8_t *frame = malloc(FRAME_HEAD + size);
	const struct head head = played_head(host);

	assert_non_null(frame);
	host->seq++;
	played_packet(host, &head, frame, frame_put(frame, kind, channel, bytes, size));
	free(frame);
	bench_end_turn(host->bench);
}

void played_says(struct played *host, uint32_t channel, bool by_opener, const char *json)
{
	struct span value;
	struct block *block = packed(json, &value);

	played_frame(host, DATA | (by_opener ? BY_OPENER : 0), channel, value.bytes, value.size);
	block_unref(block);
}

const char *played_heard(struct played *host, uint32_t channel, bool answers)
{
	return show(host->bench, answers ? &host->answers[channel] : &host->stream[channel], NULL);
}
