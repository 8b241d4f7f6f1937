/* SPDX-License-Identifier: Apache-2.0 */
/*
 * load: a lean MessagePack-RPC client, as lean as the peers' own: bytes made by hand, one write per read.
 *   load rtt SOCKET METHOD SIZE N              one call after the other, echo of SIZE bytes: p50, p99
 *   load pipe SOCKET METHOD CLIENTS DEPTH SECONDS   calls/s, echo of 16 bytes, DEPTH in flight per client
 *   load idle SOCKET N                         holds N connections until its standard input ends
 */
#include "bench/bench.h"

#include <arpa/inet.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>

enum { ANSWER = 25, BUFFER = 64 << 10 }; /* of pipe: 94 01 ce id c0 b0 + 16 */

static int connect_to(const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
	if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof address) < 0)
		die(path);
	return fd;
}

/* [0, id, method, [bin of `size`]], with bytes that the caller fills; returns where they begin. */
static uint8_t *put_call(uint8_t *p, uint32_t id, const char *method, uint32_t size)
{
	const uint32_t big_id = htonl(id), big_size = htonl(size);
	const size_t n = strlen(method);

	*p++ = 0x94, *p++ = 0, *p++ = 0xce;
	p = (uint8_t *)memcpy(p, &big_id, 4) + 4;
	*p++ = (uint8_t)(0xa0 | n);
	p = (uint8_t *)memcpy(p, method, n) + n;
	*p++ = 0x91;
	if (size < 32) {
		*p++ = (uint8_t)(0xa0 | size);
		return p;
	}
	*p++ = 0xc6;
	return (uint8_t *)memcpy(p, &big_size, 4) + 4;
}

static int rtt(const char *path, const char *method, uint32_t size, size_t n)
{
	const int fd = connect_to(path);
	uint8_t *call = calloc(1, size + 128), *answer = malloc(size + 128), *body = put_call(call, 1 << 20, method, size);
	const size_t call_size = (size_t)(body - call) + size;
	/* 94 01 ce id c0, and the value, whose header the method writes as short as can be */
	const size_t head = size < 32 ? 1 : size < 256 ? 2 : size < 65536 ? 3 : 5, answer_size = 8 + head + size;
	uint64_t *times = malloc(n * sizeof *times);

	for (size_t i = 0; i < n + n / 10 + 1; i++) {
		const uint64_t begin = now_ns();
		write_full(fd, call, call_size);
		read_full(fd, answer, answer_size);
		times[i % n] = now_ns() - begin;
		if (answer[0] != 0x94 || answer[7] != 0xc0)
			return fprintf(stderr, "an error came back\n"), 1;
	}
	result_rtt("", times, n);
	return 0;
}

struct connection {
	int fd;
	uint32_t id;
	size_t have;
	uint8_t in[BUFFER], out[BUFFER];
};

static void ask(struct connection *c, const char *method, size_t count)
{
	uint8_t *p = c->out;
	for (size_t i = 0; i < count; i++) {
		p = put_call(p, c->id++, method, 16);
		p = (uint8_t *)memset(p, 'x', 16) + 16;
	}
	if (c->id > UINT32_MAX - 2 * BUFFER)
		c->id = 1 << 16; /* ids stay five bytes long */
	if (count > 0)
		write_full(c->fd, c->out, (size_t)(p - c->out));
}

static size_t take(struct connection *c)
{
	const ssize_t n = read(c->fd, c->in + c->have, sizeof c->in - c->have);
	if (n <= 0)
		die("read");
	c->have += (size_t)n;
	const size_t count = c->have / ANSWER;
	for (size_t i = 0; i < count; i++)
		if (c->in[i * ANSWER] != 0x94 || c->in[i * ANSWER + 7] != 0xc0)
			exit(1);
	c->have -= count * ANSWER;
	memmove(c->in, c->in + count * ANSWER, c->have);
	return count;
}

static int pipelined(const char *path, const char *method, int clients, size_t depth, double seconds)
{
	struct connection *all = calloc((size_t)clients, sizeof *all);
	struct epoll_event events[64];
	const int ep = epoll_create1(0);
	uint64_t got = 0, warm = 0, begin = 0;

	for (int i = 0; i < clients; i++) {
		struct epoll_event e = {.events = EPOLLIN, .data.ptr = &all[i]};
		all[i].fd = connect_to(path);
		all[i].id = 1 << 16;
		epoll_ctl(ep, EPOLL_CTL_ADD, all[i].fd, &e);
		ask(&all[i], method, depth);
	}
	for (const uint64_t start = now_ns();;) {
		const int n = epoll_wait(ep, events, 64, 5000);
		if (n <= 0)
			return 1;
		for (int i = 0; i < n; i++) {
			const size_t count = take(events[i].data.ptr);
			got += count;
			ask(events[i].data.ptr, method, count);
		}
		const double passed = (double)(now_ns() - start) / 1e9;
		if (!begin && passed > seconds / 10)
			begin = now_ns(), warm = got;
		if (passed > seconds)
			break;
	}
	result("calls", (double)(got - warm) / ((double)(now_ns() - begin) / 1e9), "1/s");
	return 0;
}

static int idle(const char *path, size_t n)
{
	struct rlimit limit;
	char end;

	if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
		limit.rlim_cur = limit.rlim_max;
		setrlimit(RLIMIT_NOFILE, &limit);
	}
	for (size_t i = 0; i < n; i++)
		(void)connect_to(path);
	result("held", (double)n, "connections");
	return read(0, &end, 1) < 0;
}

int main(int argc, char **argv)
{
	if (argc == 6 && !strcmp(argv[1], "rtt"))
		return rtt(argv[2], argv[3], (uint32_t)atol(argv[4]), (size_t)atol(argv[5]));
	if (argc == 7 && !strcmp(argv[1], "pipe"))
		return pipelined(argv[2], argv[3], atoi(argv[4]), (size_t)atol(argv[5]), atof(argv[6]));
	if (argc == 4 && !strcmp(argv[1], "idle"))
		return idle(argv[2], (size_t)atol(argv[3]));
	fprintf(stderr, "see the head of load.c\n");
	return 2;
}
