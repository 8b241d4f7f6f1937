/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tls: one client over TCP, plain or with TLS, of objpool or of redis. An echo of SIZE bytes, DEPTH at once: they are written
 * together, and then all answers are read.
 *   tls objpool|redis PORT plain|CA.pem SIZE DEPTH N
 * N: how many times. It gives p50, p99 and p99.9 of one time, and the calls in a second.
 */
#include "bench/bench.h"

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <stddef.h>
#include <sys/socket.h>

struct connection {
	int fd;
	SSL *ssl; /* NULL: plain */
};

static void start_tls(struct connection *c, const char *ca)
{
	SSL_CTX *context = SSL_CTX_new(TLS_client_method());

	if (!context || !SSL_CTX_load_verify_locations(context, ca, NULL) || !(c->ssl = SSL_new(context)))
		die("TLS");
	SSL_set_verify(c->ssl, SSL_VERIFY_PEER, NULL);
	if (!SSL_set_fd(c->ssl, c->fd) || SSL_connect(c->ssl) != 1) {
		fprintf(stderr, "the handshake failed\n");
		exit(1);
	}
}

static struct connection connect_to(const char *port, const char *ca)
{
	const struct sockaddr_in address = {
		.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(port)), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	struct connection c = {.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};

	if (c.fd < 0 || connect(c.fd, (const struct sockaddr *)&address, sizeof address) < 0 ||
	    setsockopt(c.fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int)) < 0)
		die(port);
	if (strcmp(ca, "plain") != 0)
		start_tls(&c, ca);
	return c;
}

static void put(struct connection *c, const void *bytes, size_t size)
{
	size_t n;

	if (!c->ssl)
		write_full(c->fd, bytes, size);
	else if (!SSL_write_ex(c->ssl, bytes, size, &n) || n != size)
		die("SSL_write");
}

static void get(struct connection *c, uint8_t *bytes, size_t size)
{
	if (!c->ssl) {
		read_full(c->fd, bytes, size);
		return;
	}
	for (size_t have = 0, n; have < size; have += n)
		if (!SSL_read_ex(c->ssl, bytes + have, size - have, &n))
			die("SSL_read");
}

/* ---- what is sent ---- */

struct exchange {
	uint8_t *request;
	size_t request_size, answer_size;
	uint8_t first; /* byte of an answer that is no error */
	size_t at;     /* where that byte is */
	ptrdiff_t id;  /* the last byte of the request's number, which no other under way may have; 0: it has none */
};

/* [0, id, "p.echo", [str or bin]]; the answer's header is as short as can be. */
static struct exchange objpool_echo(uint32_t size)
{
	const uint32_t n = htonl(size);
	uint8_t *request = calloc(1, size + 64), *p = request;

	p = mempcpy(p, "\x94\x00\xce\x00\x10\x00\x00\xa6p.echo\x91", 15);
	if (size < 32) {
		*p++ = (uint8_t)(0xa0 | size);
	} else {
		*p++ = 0xc6;
		p = mempcpy(p, &n, 4);
	}
	return (struct exchange){.request = request,
				 .request_size = (size_t)(p - request) + size,
				 .answer_size = 8 + (size < 32 ? 1 : size < 256 ? 2 : size < 65536 ? 3 : 5) + size,
				 .first = 0xc0,
				 .at = 7,
				 .id = 6};
}

static struct exchange redis_echo(uint32_t size)
{
	char head[64], size_text[32];
	uint8_t *request = malloc(size + sizeof head);
	const size_t n = (size_t)snprintf(size_text, sizeof size_text, "$%u\r\n", size);
	const size_t h = (size_t)snprintf(head, sizeof head, "*2\r\n$4\r\nECHO\r\n%s", size_text);
	uint8_t *p = mempcpy(request, head, h);

	memset(p, 'x', size);
	memcpy(p + size, "\r\n", 2);
	return (struct exchange){
		.request = request, .request_size = h + size + 2, .answer_size = n + size + 2, .first = '$', .at = 0};
}

int main(int argc, char **argv)
{
	if (argc != 7) {
		fprintf(stderr, "usage: tls objpool|redis PORT plain|CA.pem SIZE DEPTH N\n");
		return 2;
	}
	const uint32_t size = (uint32_t)atoi(argv[4]);
	const size_t depth = (size_t)atoi(argv[5]), n = (size_t)atoi(argv[6]), before = n / 10 + 1;
	const struct exchange one = strcmp(argv[1], "redis") == 0 ? redis_echo(size) : objpool_echo(size);
	struct connection c = connect_to(argv[2], argv[3]);
	uint8_t *requests = malloc(depth * one.request_size), *answers = malloc(depth * one.answer_size);
	uint64_t *times = malloc(n * sizeof *times), sum = 0;

	for (size_t i = 0; i < depth; i++) {
		uint8_t *request = mempcpy(requests + i * one.request_size, one.request, one.request_size);
		if (one.id > 0)
			request[one.id - (ptrdiff_t)one.request_size] = (uint8_t)i;
	}
	for (size_t i = 0; i < n + before; i++) {
		const uint64_t begin = now_ns();
		put(&c, requests, depth * one.request_size);
		get(&c, answers, depth * one.answer_size);
		if (i >= before)
			sum += times[i - before] = now_ns() - begin;
		if (answers[one.at] != one.first || answers[(depth - 1) * one.answer_size + one.at] != one.first)
			return fprintf(stderr, "an error came back\n"), 1;
	}
	result_rtt("", times, n);
	result("calls", (double)(n * depth) / ((double)sum / 1e9), "1/s");
	result_total((n + before) * depth);
	return 0;
}
