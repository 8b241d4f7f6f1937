/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the clients of the benchmarks share: MessagePack written by hand, and read from what has come so far. A take_*
 * that runs out of bytes says so by `short_of`, and gives 0: the caller waits for more, and begins the message anew.
 */
#ifndef BENCH_WIRE_H
#define BENCH_WIRE_H
#include "bench/bench.h"

#include <stdbool.h>
#include <sys/socket.h>
#include <sys/un.h>

static inline int connect_unix(const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
	if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof address) < 0)
		die(path);
	return fd;
}

static inline void fail(const char *what)
{
	fprintf(stderr, "%s\n", what);
	exit(1);
}

/* ---- writing ---- */

static inline uint8_t *put_big(uint8_t *p, uint8_t type, uint64_t value, int bytes)
{
	*p++ = type;
	while (bytes-- > 0)
		*p++ = (uint8_t)(value >> 8 * bytes);
	return p;
}

static inline uint8_t *put_uint(uint8_t *p, uint32_t value)
{
	if (value < 0x80)
		return put_big(p, (uint8_t)value, 0, 0);
	return value < 0x100 ? put_big(p, 0xcc, value, 1) : value < 0x10000 ? put_big(p, 0xcd, value, 2) : put_big(p, 0xce, value, 4);
}

static inline uint8_t *put_double(uint8_t *p, double value)
{
	uint64_t bits;
	memcpy(&bits, &value, sizeof bits);
	return put_big(p, 0xcb, bits, 8);
}

static inline uint8_t *put_text(uint8_t *p, const char *text)
{
	const size_t n = strlen(text);

	if (n > 31)
		fail("a text of the benchmarks has 31 bytes at most");
	p = put_big(p, (uint8_t)(0xa0 | n), 0, 0);
	return (uint8_t *)memcpy(p, text, n) + n;
}

/* [0, msgid, method, what follows */
static inline uint8_t *put_request(uint8_t *p, uint32_t msgid, const char *method)
{
	*p++ = 0x94, *p++ = 0;
	return put_text(put_uint(p, msgid), method);
}

/* ---- reading ---- */

struct at {
	const uint8_t *p, *end;
	bool short_of;
};

static inline const uint8_t *take(struct at *at, size_t n)
{
	static const uint8_t zeros[16];

	if (at->short_of || (size_t)(at->end - at->p) < n) {
		at->short_of = true;
		return zeros;
	}
	at->p += n;
	return at->p - n;
}

static inline uint64_t take_big(struct at *at, size_t n)
{
	uint64_t value = 0;

	for (const uint8_t *p = take(at, n), *end = p + n; p < end; p++)
		value = value << 8 | *p;
	return value;
}

static inline uint32_t take_uint(struct at *at)
{
	const uint8_t type = *take(at, 1);

	if (type < 0x80)
		return type;
	if (type < 0xcc || type > 0xce)
		fail("not an integer, where one should be");
	return (uint32_t)take_big(at, 1u << (type - 0xcc));
}

static inline bool take_byte(struct at *at, uint8_t byte)
{
	return *take(at, 1) == byte;
}

/* Past any value but ext. */
static inline void take_value(struct at *at)
{
	const uint8_t type = *take(at, 1);
	uint64_t values = 0;

	if (type < 0x80 || type >= 0xe0 || (type >= 0xc0 && type <= 0xc3))
		return;
	if (type < 0x90)
		values = 2 * (type & 15u);
	else if (type < 0xa0)
		values = type & 15u;
	else if (type < 0xc0)
		(void)take(at, type & 31u);
	else if (type <= 0xc6)
		(void)take(at, take_big(at, 1u << (type - 0xc4)));
	else if (type == 0xca || type == 0xcb)
		(void)take(at, type == 0xca ? 4 : 8);
	else if (type >= 0xcc && type <= 0xd3)
		(void)take(at, 1u << ((type - 0xcc) & 3));
	else if (type >= 0xd9 && type <= 0xdb)
		(void)take(at, take_big(at, 1u << (type - 0xd9)));
	else if (type >= 0xdc)
		values = take_big(at, type & 1 ? 4 : 2) * (type >= 0xde ? 2 : 1);
	else
		fail("a type that the benchmarks do not know");
	while (values-- > 0 && !at->short_of)
		take_value(at);
}

/* The head of an answer, up to its value; an error ends the program. */
static inline void take_answer(struct at *at)
{
	if (!take_byte(at, 0x94) && !at->short_of)
		fail("not a response");
	(void)take(at, 1);
	(void)take_uint(at);
	if (!take_byte(at, 0xc0) && !at->short_of) {
		at->p--;
		fprintf(stderr, "an error came back: %.*s\n", (int)(at->end - at->p), (const char *)at->p);
		exit(1);
	}
}
#endif
