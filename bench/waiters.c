/* SPDX-License-Identifier: Apache-2.0 */
/*
 * waiters: many gets of one pool of class Queue under way at once, from one connection, and the puts from another. The
 * pool has one worker, so the calls of a connection are done in their order.
 *   waiters late SOCKET POOL COUNT ROUNDS    COUNT gets that find nothing, then the puts that answer them: pairs/s
 *   waiters soon SOCKET POOL COUNT ROUNDS    the puts first: no get waits
 *   waiters hold SOCKET POOL COUNT           COUNT gets that wait until standard input ends
 */
#include "bench/wire.h"

#define TEXT "0123456789abcdef"
enum { ID = 1 << 20, COUNT_MAX = 10000, CALL_MAX = 64 };
enum { PUT_ANSWER = 9, GET_ANSWER = 8 + 17, SIZE_ANSWER = 9 }; /* of 94 01 ce id c0 value */

struct client {
	int fd;
	uint8_t out[(COUNT_MAX + 1) * CALL_MAX];
	uint8_t in[(COUNT_MAX + 1) * GET_ANSWER];
};

/* Their msgids count up from `id`. */
static uint8_t *put_calls(uint8_t *p, const char *pool, const char *method, const char *text, uint32_t id,
			  uint32_t count)
{
	char name[32];

	snprintf(name, sizeof name, "%s.%s", pool, method);
	for (uint32_t i = 0; i < count; i++) {
		*p++ = 0x94, *p++ = 0;
		p = put_text(put_big(p, 0xce, id + i, 4), name);
		*p++ = text ? 0x91 : 0x90;
		p = text ? put_text(p, text) : p;
	}
	return p;
}

static void send_all(struct client *c, const uint8_t *end)
{
	write_full(c->fd, c->out, (size_t)(end - c->out));
}

static void expect(struct client *c, uint32_t count, size_t size, const char *value)
{
	const size_t n = strlen(value);

	read_full(c->fd, c->in, count * size);
	for (const uint8_t *p = c->in; p < c->in + count * size; p += size)
		if (p[0] != 0x94 || p[7] != 0xc0 || memcmp(p + 8, value, n) != 0)
			fail("an unexpected answer");
}

static void send_gets(struct client *getter, const char *pool, uint32_t count)
{
	send_all(getter, put_calls(getter->out, pool, "get", NULL, ID, count));
}

static void send_puts(struct client *putter, const char *pool, uint32_t count)
{
	send_all(putter, put_calls(putter->out, pool, "put", TEXT, ID, count));
}

/* The answer to a call of the same connection: what went before it has been done, or waits. */
static void barrier(struct client *c, const char *pool)
{
	send_all(c, put_calls(c->out, pool, "size", NULL, ID + COUNT_MAX, 1));
	read_full(c->fd, c->in, SIZE_ANSWER);
	if (c->in[7] != 0xc0 || c->in[8] != 0)
		fail("the queue should be empty");
}

static void late(struct client *getter, struct client *putter, const char *pool, uint32_t count)
{
	send_gets(getter, pool, count);
	barrier(getter, pool);
	send_puts(putter, pool, count);
	expect(putter, count, PUT_ANSWER, "\xc0");
	expect(getter, count, GET_ANSWER, "\xb0" TEXT);
}

static void soon(struct client *getter, struct client *putter, const char *pool, uint32_t count)
{
	send_puts(putter, pool, count);
	expect(putter, count, PUT_ANSWER, "\xc0");
	send_gets(getter, pool, count);
	expect(getter, count, GET_ANSWER, "\xb0" TEXT);
	barrier(getter, pool);
}

static struct client *client_new(const char *path)
{
	struct client *c = calloc(1, sizeof *c);
	c->fd = connect_unix(path);
	return c;
}

static int hold(struct client *getter, const char *pool, uint32_t count)
{
	char end;

	send_gets(getter, pool, count);
	barrier(getter, pool);
	result("waiting", count, "calls");
	return read(0, &end, 1) < 0;
}

int main(int argc, char **argv)
{
	const char *mode = argc > 4 ? argv[1] : "";
	const uint32_t count = argc > 4 ? (uint32_t)atol(argv[4]) : 0, rounds = argc > 5 ? (uint32_t)atol(argv[5]) : 0;
	const bool is_late = !strcmp(mode, "late");

	if (count == 0 || count > COUNT_MAX)
		fail("see the head of waiters.c");
	struct client *getter = client_new(argv[2]), *putter = client_new(argv[2]);
	if (argc == 5 && !strcmp(mode, "hold"))
		return hold(getter, argv[3], count);
	if (argc != 6 || (!is_late && strcmp(mode, "soon") != 0))
		fail("see the head of waiters.c");
	uint64_t begin = 0;
	for (uint32_t i = 0, warm = rounds / 10 + 1; i < rounds + warm; i++) {
		begin = i == warm ? now_ns() : begin;
		(is_late ? late : soon)(getter, putter, argv[3], count);
	}
	result("pairs", (double)count * rounds / ((double)(now_ns() - begin) / 1e9), "1/s");
	result_total((uint64_t)count * (rounds + rounds / 10 + 1));
	return 0;
}
