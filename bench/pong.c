/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pong: two processes that send 16 bytes to and fro. One puts into `ab` and gets from `ba`, the other gets from `ab`
 * and puts into `ba`, each unpipelined: round trips/s, p50.
 *   pong objpool SOCKET N       through two pools of class Queue, `ab` and `ba`: a get waits for the put of the other
 *   pong redis SOCKET N         through two lists, with BLPOP and RPUSH
 *   pong socketpair - N         through nothing but the kernel
 */
#include "bench/wire.h"

#include <signal.h>
#include <sys/prctl.h>

#define TEXT "0123456789abcdef"

struct bytes {
	char at[128];
	size_t size;
};

/* One end. The requests and the answers that they get, whole; a size of 0: none. */
struct end {
	int fd;
	struct bytes put, put_answer, get, get_answer;
};

static void exchange(int fd, const struct bytes *request, const struct bytes *answer)
{
	char got[sizeof answer->at];

	if (request->size > 0)
		write_full(fd, request->at, request->size);
	read_full(fd, got, answer->size);
	if (memcmp(got, answer->at, answer->size) != 0)
		fail("an unexpected answer");
}

static void put(const struct end *end)
{
	exchange(end->fd, &end->put, &end->put_answer);
}

static void get(const struct end *end)
{
	exchange(end->fd, &end->get, &end->get_answer);
}

static struct bytes text(const char *format, const char *name)
{
	struct bytes bytes;
	bytes.size = (size_t)snprintf(bytes.at, sizeof bytes.at, format, name);
	return bytes;
}

static struct bytes call(const char *pool, const char *method, bool with_text)
{
	struct bytes bytes;
	char name[32];

	snprintf(name, sizeof name, "%s.%s", pool, method);
	uint8_t *p = put_request((uint8_t *)bytes.at, 1, name);
	*p++ = with_text ? 0x91 : 0x90;
	if (with_text)
		p = put_text(p, TEXT);
	bytes.size = (size_t)((char *)p - bytes.at);
	return bytes;
}

static struct end objpool_end(const char *path, const char *to, const char *from)
{
	return (struct end){
		.fd = connect_unix(path),
		.put = call(to, "put", true),
		.put_answer = {"\x94\x01\x01\xc0\xc0", 5},
		.get = call(from, "get", false),
		.get_answer = {"\x94\x01\x01\xc0\xb0" TEXT, 21},
	};
}

static struct end redis_end(const char *path, const char *to, const char *from)
{
	return (struct end){
		.fd = connect_unix(path),
		.put = text("*3\r\n$5\r\nRPUSH\r\n$2\r\n%s\r\n$16\r\n" TEXT "\r\n", to),
		.put_answer = text(":1\r\n%s", ""),
		.get = text("*3\r\n$5\r\nBLPOP\r\n$2\r\n%s\r\n$1\r\n0\r\n", from),
		.get_answer = text("*2\r\n$2\r\n%s\r\n$16\r\n" TEXT "\r\n", from),
	};
}

static struct end plain_end(int fd)
{
	return (struct end){.fd = fd, .put = text(TEXT "%s", ""), .get_answer = text(TEXT "%s", "")};
}

static void make_ends(const char *kind, const char *path, struct end ends[2])
{
	int pair[2];

	if (!strcmp(kind, "objpool")) {
		ends[0] = objpool_end(path, "ab", "ba");
		ends[1] = objpool_end(path, "ba", "ab");
	} else if (!strcmp(kind, "redis")) {
		ends[0] = redis_end(path, "ab", "ba");
		ends[1] = redis_end(path, "ba", "ab");
	} else if (!strcmp(kind, "socketpair") && socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0) {
		ends[0] = plain_end(pair[0]);
		ends[1] = plain_end(pair[1]);
	} else {
		fail("see the head of pong.c");
	}
}

static void echo(const struct end *end)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (;;) {
		get(end);
		put(end);
	}
}

int main(int argc, char **argv)
{
	struct end ends[2];

	if (argc != 4)
		fail("see the head of pong.c");
	make_ends(argv[1], argv[2], ends);
	if (fork() == 0)
		echo(&ends[1]);
	const size_t n = (size_t)atol(argv[3]), warm = n / 10 + 1;
	uint64_t *times = malloc(n * sizeof *times), begin = 0;
	for (size_t i = 0; i < n + warm; i++) {
		const uint64_t at = now_ns();
		begin = i == warm ? at : begin;
		put(&ends[0]);
		get(&ends[0]);
		times[i % n] = now_ns() - at;
	}
	result("round_trips", (double)n / ((double)(now_ns() - begin) / 1e9), "1/s");
	result_rtt("", times, n);
	result_total(n + warm);
	return 0;
}
