/* SPDX-License-Identifier: Apache-2.0 */
/*
 * stream: many small items through one map, by a lean client that looks at each result: items/s, from the first byte of
 * the request to the last of the answer.
 *   stream map SOCKET POOL N                          gathered: one answer with all
 *   stream args SOCKET POOL N ordered|unordered       streamed, the items given with the call
 *   stream feed SOCKET POOL N ordered|unordered       streamed, fed against credit, window default
 *   stream beside SOCKET POOL N METHOD [SECONDS]      the same gathered map again and again, until killed; says so when
 *                                                     the first was sent. Items are numbers, or all are SECONDS
 */
#include "bench/wire.h"

#include <fcntl.h>
#include <poll.h>

enum { IN = 256 << 10, FEED_MAX = 16384, NAME = 14 /* objpool.result, objpool.credit */ };

struct client {
	int fd;
	bool ordered, feeds, done;
	uint32_t items, fed, credit;
	uint32_t results;
	uint64_t sum;	/* of the indexes that came */
	uint8_t *out;	/* what is still to be sent: from `from` to `to` */
	size_t from, to;
	uint8_t in[IN];
	size_t have;
};

/* ---- what is sent ---- */

/* As the daemon writes the head of their results: as short as can be. */
static uint8_t *put_items(uint8_t *p, uint32_t n, double seconds)
{
	if (n < 0x10)
		*p++ = (uint8_t)(0x90 | n);
	else
		p = n < 0x10000 ? put_big(p, 0xdc, n, 2) : put_big(p, 0xdd, n, 4);
	for (uint32_t i = 0; i < n; i++)
		p = seconds > 0 ? put_double(p, seconds) : put_uint(p, i);
	return p;
}

static void request_map(struct client *c, const char *target, const char *method, double seconds)
{
	char name[64];

	snprintf(name, sizeof name, "%s:map.%s", target, method);
	uint8_t *p = put_request(c->out, 1, name);
	*p++ = 0x91;
	c->to = (size_t)(put_items(p, c->items, seconds) - c->out);
}

static void request_stream(struct client *c, const char *pool)
{
	char target[64];

	snprintf(target, sizeof target, "%s:map", pool);
	uint8_t *p = put_request(c->out, 1, "objpool.call");
	*p++ = 0x94;
	p = put_text(put_text(p, target), "echo");
	if (c->feeds)
		*p++ = 0xc0;
	else
		*p++ = 0x91, p = put_items(p, c->items, 0);
	*p++ = 0x82;
	p = put_text(p, "stream"), *p++ = 0xc3;
	p = put_text(p, "ordered"), *p++ = c->ordered ? 0xc3 : 0xc2;
	c->to = (size_t)(p - c->out);
}

/* All that the credit allows, when what was fed before has been sent. */
static void feed(struct client *c)
{
	uint32_t n = c->items - c->fed < c->credit ? c->items - c->fed : c->credit;
	uint8_t *p = c->out;

	if (!c->feeds || c->from < c->to || n == 0)
		return;
	if (n > FEED_MAX)
		n = FEED_MAX;
	*p++ = 0x93, *p++ = 2;
	p = put_text(p, "objpool.feed");
	*p++ = 0x92, *p++ = 1;
	p = put_big(p, 0xdd, n, 4);
	for (uint32_t i = 0; i < n; i++)
		p = put_uint(p, c->fed + i);
	c->credit -= n;
	c->fed += n;
	if (c->fed == c->items) {
		*p++ = 0x93, *p++ = 2;
		p = put_text(p, "objpool.feed_end");
		*p++ = 0x91, *p++ = 1;
	}
	c->from = 0;
	c->to = (size_t)(p - c->out);
}

static void send_some(struct client *c)
{
	if (c->from == c->to)
		return;
	const ssize_t n = write(c->fd, c->out + c->from, c->to - c->from);
	if (n < 0 && errno != EAGAIN)
		die("write");
	if (n > 0)
		c->from += (size_t)n;
}

/* ---- what comes of a stream ---- */

static void on_result(struct client *c, struct at *at)
{
	const uint32_t index = take_uint(at);
	const bool fine = take_byte(at, 0xc0);
	const uint32_t value = fine ? take_uint(at) : 0;

	if (at->short_of)
		return;
	if (!fine || value != index || (c->ordered && index != c->results))
		fail("a wrong result");
	c->results++;
	c->sum += index;
}

static void on_notification(struct client *c, struct at *at)
{
	(void)take(at, 3);
	const uint8_t *name = take(at, NAME);
	(void)take(at, 1);
	(void)take_uint(at);
	if (at->short_of)
		return;
	if (memcmp(name, "objpool.result", NAME) == 0) {
		on_result(c, at);
		return;
	}
	const uint32_t credit = take_uint(at);
	c->credit += at->short_of ? 0 : credit;
}

static void on_end(struct client *c, struct at *at)
{
	take_answer(at);
	take_value(at);
	if (at->short_of)
		return;
	if (c->results != c->items || c->sum != (uint64_t)c->items * (c->items - 1) / 2)
		fail("not every result came");
	c->done = true;
}

static void take_in(struct client *c)
{
	struct at at = {.p = c->in, .end = c->in + c->have};
	const uint8_t *message = at.p;

	while (at.p < at.end && !c->done) {
		message = at.p;
		if (*at.p == 0x93)
			on_notification(c, &at);
		else
			on_end(c, &at);
		if (at.short_of)
			break;
		message = at.p;
	}
	c->have = (size_t)(c->in + c->have - message);
	memmove(c->in, message, c->have);
}

static void receive(struct client *c)
{
	const ssize_t n = read(c->fd, c->in + c->have, sizeof c->in - c->have);
	if (n == 0 || (n < 0 && errno != EAGAIN))
		die("read");
	if (n > 0)
		c->have += (size_t)n;
}

static void wait_for(const struct client *c)
{
	struct pollfd p = {.fd = c->fd, .events = (short)(POLLIN | (c->from < c->to ? POLLOUT : 0))};
	if (poll(&p, 1, 60000) <= 0)
		fail("nothing came for a minute");
}

static void run_stream(struct client *c)
{
	while (!c->done) {
		wait_for(c);
		receive(c);
		take_in(c);
		feed(c);
		send_some(c);
	}
}

/* ---- what comes of a gathered map: the items again ---- */

static void run_map(struct client *c, uint8_t *answer, size_t items_at)
{
	const size_t head = 4, size = head + c->to - items_at;

	for (size_t have = 0; have < size;) {
		wait_for(c);
		send_some(c);
		const ssize_t n = read(c->fd, answer + have, size - have);
		if (n == 0 || (n < 0 && errno != EAGAIN))
			die("read");
		have += n > 0 ? (size_t)n : 0;
		if (have >= head && memcmp(answer, "\x94\x01\x01\xc0", head) != 0)
			fail("an error came back");
	}
	if (memcmp(answer + head, c->out + items_at, size - head) != 0)
		fail("a wrong result");
}

/* ---- the runs ---- */

static struct client *client_new(const char *path, uint32_t items)
{
	struct client *c = calloc(1, sizeof *c);

	c->fd = connect_unix(path);
	fcntl(c->fd, F_SETFL, O_NONBLOCK);
	c->items = items;
	c->out = malloc((size_t)items * 9 + 4096);
	memset(c->out, 1, (size_t)items * 9 + 4096); /* its pages are there */
	return c;
}

static void client_free(struct client *c)
{
	close(c->fd);
	free(c->out);
	free(c);
}

static double one_map(const char *path, const char *pool, uint32_t items)
{
	struct client *c = client_new(path, items);

	request_map(c, pool, "echo", 0);
	const size_t items_at = 2 + 1 + 1 + strlen(pool) + strlen(":map.echo") + 1;
	uint8_t *answer = malloc(c->to + 64);
	memset(answer, 1, c->to + 64);
	const uint64_t begin = now_ns();
	run_map(c, answer, items_at);
	const uint64_t end = now_ns();
	free(answer);
	client_free(c);
	return items / ((double)(end - begin) / 1e9);
}

static double one_stream(const char *path, const char *pool, uint32_t items, bool feeds, bool ordered)
{
	struct client *c = client_new(path, items);

	c->feeds = feeds;
	c->ordered = ordered;
	const uint64_t begin = now_ns();
	request_stream(c, pool);
	send_some(c);
	run_stream(c);
	const uint64_t end = now_ns();
	client_free(c);
	return items / ((double)(end - begin) / 1e9);
}

static _Noreturn void beside(const char *path, const char *pool, uint32_t items, const char *method, double seconds)
{
	struct client *c = client_new(path, items);
	const size_t items_at = 2 + 1 + 1 + strlen(pool) + strlen(":map.") + strlen(method) + 1;
	uint8_t *answer = malloc((size_t)items * 9 + 4096);

	request_map(c, pool, method, seconds);
	while (c->from < c->to) {
		struct pollfd p = {.fd = c->fd, .events = POLLOUT};
		poll(&p, 1, -1);
		send_some(c);
	}
	result("begun", 1, "");
	for (;;) {
		run_map(c, answer, items_at);
		c->from = 0;
	}
}

int main(int argc, char **argv)
{
	const char *mode = argc > 4 ? argv[1] : "";
	const uint32_t n = argc > 4 ? (uint32_t)atol(argv[4]) : 0;

	if (argc == 5 && !strcmp(mode, "map")) {
		(void)one_map(argv[2], argv[3], n / 10);
		result("items", one_map(argv[2], argv[3], n), "1/s");
		result_total(n + n / 10);
		return 0;
	}
	if (argc == 6 && (!strcmp(mode, "args") || !strcmp(mode, "feed"))) {
		const bool feeds = !strcmp(mode, "feed"), ordered = !strcmp(argv[5], "ordered");
		(void)one_stream(argv[2], argv[3], n / 10, feeds, ordered);
		result("items", one_stream(argv[2], argv[3], n, feeds, ordered), "1/s");
		result_total(n + n / 10);
		return 0;
	}
	if (argc >= 6 && !strcmp(mode, "beside"))
		beside(argv[2], argv[3], n, argv[5], argc > 6 ? atof(argv[6]) : 0);
	fprintf(stderr, "see the head of stream.c\n");
	return 2;
}
