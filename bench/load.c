/* SPDX-License-Identifier: Apache-2.0 */
/*
 * load: a lean MessagePack-RPC client, as lean as the peers' own: bytes made by hand, one write per read.
 *   load rtt SOCKET METHOD SIZE N              one call after the other, echo of SIZE bytes: p50, p99, p99.9
 *   load pipe SOCKET METHOD CLIENTS DEPTH SECONDS   calls/s, echo of 16 bytes, DEPTH in flight per client
 *   load bulk SOCKET METHOD SIZE N             SIZE bytes to a method that answers something small
 *   load fds SOCKET METHOD SIZE N              as rtt, or bulk, with descriptors: a memfd that is filled, and an answer that is
 *                                              mapped and looked at, then given back
 *   load idle SOCKET N                         holds N connections until its standard input ends
 */
#include "bench/bench.h"

#include <arpa/inet.h>
#include <endian.h>
#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
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
	result_total(n + n / 10 + 1);
	return 0;
}

static int bulk(const char *path, const char *method, uint32_t size, size_t n)
{
	const int fd = connect_to(path);
	uint8_t *call = calloc(1, size + 128), *body = put_call(call, 1 << 20, method, size), answer[4096];
	const size_t call_size = (size_t)(body - call) + size;
	uint64_t *times = malloc(n * sizeof *times);

	memset(body, 7, size);
	for (size_t i = 0; i < n + n / 10 + 1; i++) {
		const uint64_t begin = now_ns();
		write_full(fd, call, call_size);
		if (read(fd, answer, sizeof answer) < 8 || answer[0] != 0x94 || answer[7] != 0xc0)
			return fprintf(stderr, "an error came back\n"), 1;
		times[i % n] = now_ns() - begin;
	}
	result_rtt("", times, n);
	result_total(n + n / 10 + 1);
	return 0;
}

union control {
	struct cmsghdr head;
	char room[CMSG_SPACE(sizeof(int))];
};

static void send_with(int fd, const void *bytes, size_t size, int passed)
{
	struct iovec iov = {.iov_base = (void *)(uintptr_t)bytes, .iov_len = size};
	union control control = {.head = {.cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS, .cmsg_len = CMSG_LEN(sizeof(int))}};
	struct msghdr message = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};

	memcpy(CMSG_DATA(&control.head), &passed, sizeof passed);
	if (sendmsg(fd, &message, 0) != (ssize_t)size)
		die("sendmsg");
}

/* A small message; the descriptor that came with it, or -1. */
static int receive_with(int fd, uint8_t *bytes, size_t size)
{
	struct iovec iov = {.iov_base = bytes, .iov_len = size};
	union control control;
	struct msghdr message = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
	int passed = -1;

	if (recvmsg(fd, &message, 0) < 8 || bytes[0] != 0x94 || bytes[7] != 0xc0) {
		fprintf(stderr, "an error came back\n");
		exit(1);
	}
	if (message.msg_controllen > 0)
		memcpy(&passed, CMSG_DATA(&control.head), sizeof passed);
	return passed;
}

static int filled_memfd(uint32_t size)
{
	const int fd = memfd_create("load", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (fd < 0 || ftruncate(fd, size) < 0)
		die("memfd");
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (p == MAP_FAILED)
		die("mmap");
	memset(p, 7, size);
	if (fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK) < 0)
		die("seal");
	return fd;
}

/* One mapping for as long as it is the same file: its pages stay warm. */
static const uint8_t *map_answer(int fd, size_t size)
{
	static struct { ino_t inode; const uint8_t *bytes; size_t size; } known[16];
	static unsigned next;
	struct stat st;

	if (fstat(fd, &st) < 0)
		die("fstat");
	for (unsigned i = 0; i < 16; i++)
		if (known[i].bytes && known[i].inode == st.st_ino && known[i].size >= size)
			return known[i].bytes;
	next = (next + 1) % 16;
	if (known[next].bytes)
		munmap((void *)(uintptr_t)known[next].bytes, known[next].size);
	known[next].inode = st.st_ino;
	known[next].size = (size_t)st.st_size;
	known[next].bytes = mmap(NULL, known[next].size, PROT_READ, MAP_SHARED, fd, 0);
	if (known[next].bytes == MAP_FAILED)
		die("mmap");
	return known[next].bytes;
}

static volatile uint64_t sink;

static void look_at(int fd, const uint8_t *reference)
{
	uint64_t offset, length, sum = 0, word;

	memcpy(&offset, reference + 2, 8);
	memcpy(&length, reference + 10, 8);
	offset = be64toh(offset) << 16 >> 16, length = be64toh(length); /* the session's mark is before it */
	const uint8_t *bytes = map_answer(fd, offset + length) + offset;
	for (uint64_t i = 0; i + 8 <= length; i += 8)
		memcpy(&word, bytes + i, 8), sum += word;
	if (bytes[length - 1] != 7)
		die("wrong bytes");
	sink = sum;
	close(fd);
}

static int with_descriptors(const char *path, const char *method, uint32_t size, size_t n)
{
	static const char hello[] = "\x94\x00\xce\x00\x10\x00\x00\xadobjpool.hello\x91\x81\xa3""fds\xc3";
	const int fd = connect_to(path), memfd = filled_memfd(size);
	const uint64_t big_size = htobe64(size);
	uint8_t call[128] = {0}, back[64], answer[4096], *p = put_call(call, 1 << 20, method, 0);
	uint64_t *times = malloc(n * sizeof *times);
	uint32_t number = 0;

	p[-1] = 0xd8; /* in place of the empty string: a fixext 16 of type 112, offset 0 */
	*p++ = 112;
	p += 8;
	p = (uint8_t *)memcpy(p, &big_size, 8) + 8;
	write_full(fd, hello, sizeof hello - 1);
	if (receive_with(fd, answer, sizeof answer) >= 0)
		return 1;
	for (size_t i = 0; i < n + n / 10 + 2; i++) {
		const uint64_t begin = now_ns();
		send_with(fd, call, (size_t)(p - call), memfd);
		const int got = receive_with(fd, answer, sizeof answer);
		if (got >= 0) {
			const uint32_t big = htonl(number++);
			look_at(got, answer + 8);
			memcpy(back, "\x93\x02\xb1objpool.give_back\x91\xce", 22);
			memcpy(back + 22, &big, 4);
			write_full(fd, back, 26);
		}
		times[i % n] = now_ns() - begin;
	}
	result_rtt("", times, n);
	result("descriptors", number, "");
	result_total(n + n / 10 + 2);
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
	result_total(got);
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
	if (argc == 6 && !strcmp(argv[1], "bulk"))
		return bulk(argv[2], argv[3], (uint32_t)atol(argv[4]), (size_t)atol(argv[5]));
	if (argc == 6 && !strcmp(argv[1], "fds"))
		return with_descriptors(argv[2], argv[3], (uint32_t)atol(argv[4]), (size_t)atol(argv[5]));
	if (argc == 7 && !strcmp(argv[1], "pipe"))
		return pipelined(argv[2], argv[3], atoi(argv[4]), (size_t)atol(argv[5]), atof(argv[6]));
	if (argc == 4 && !strcmp(argv[1], "idle"))
		return idle(argv[2], (size_t)atol(argv[3]));
	fprintf(stderr, "see the head of load.c\n");
	return 2;
}
