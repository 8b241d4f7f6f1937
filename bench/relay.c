/* SPDX-License-Identifier: Apache-2.0 */
/*
 * relay: what the machine allows a server with workers: the same bytes from a client through an epoll process to an echo process and
 * back, four switches a message.
 *   relay rtt SIZE N        prints p50, p99 and p99.9
 *   relay pair SIZE N       the same without the epoll process: a socketpair to the echo process, two switches
 *   relay bulk MIB ROUNDS   so many bytes there and back, and a warm memcpy of them beside
 *   relay copies MIB ROUNDS so many bytes to each of four processes, through a socket each, and a word back from all
 * Each also prints what its other processes have spent: C <tab> process <tab> user <tab> system nanoseconds
 */
#include "bench/bench.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>

enum { RELAY_BUFFER = 256 << 10 };

static pid_t child(void)
{
	fflush(stdout);
	const pid_t pid = fork();
	if (pid < 0)
		die("fork");
	if (pid == 0)
		prctl(PR_SET_PDEATHSIG, SIGKILL);
	return pid;
}

/* When its sockets are closed. */
static void tell_cost(const char *name, pid_t pid)
{
	struct rusage used;

	if (wait4(pid, NULL, 0, &used) < 0)
		die("wait4");
	printf("C\t%s\t%ld000\t%ld000\n", name, used.ru_utime.tv_sec * 1000000 + used.ru_utime.tv_usec,
	       used.ru_stime.tv_sec * 1000000 + used.ru_stime.tv_usec);
}

static void set_nonblocking(int fd)
{
	if (fcntl(fd, F_SETFL, O_NONBLOCK) < 0)
		die("fcntl");
}

static void write_all(int fd, const char *bytes, size_t size)
{
	while (size > 0) {
		const ssize_t n = write(fd, bytes, size);
		struct pollfd p = {.fd = fd, .events = POLLOUT};
		if (n < 0 && errno != EAGAIN)
			exit(0);
		if (n < 0)
			poll(&p, 1, -1);
		if (n > 0)
			bytes += n, size -= (size_t)n;
	}
}

static _Noreturn void relay(int client, int worker)
{
	const int ep = epoll_create1(0), fds[2] = {client, worker};
	char *buffer = malloc(RELAY_BUFFER);
	struct epoll_event events[4];

	for (int i = 0; i < 2; i++) {
		struct epoll_event e = {.events = EPOLLIN, .data.fd = fds[i]};
		set_nonblocking(fds[i]);
		epoll_ctl(ep, EPOLL_CTL_ADD, fds[i], &e);
	}
	for (;;) {
		const int n = epoll_wait(ep, events, 4, -1);
		for (int i = 0; i < n; i++) {
			const ssize_t got = read(events[i].data.fd, buffer, RELAY_BUFFER);
			if (got == 0)
				exit(0);
			if (got > 0)
				write_all(events[i].data.fd == client ? worker : client, buffer, (size_t)got);
		}
	}
}

static _Noreturn void echo(int fd, size_t size)
{
	char *buffer = malloc(size);
	for (;;) {
		read_full(fd, buffer, size);
		write_full(fd, buffer, size);
	}
}

enum { COPIES = 4 };

static _Noreturn void swallow(int fd, size_t size)
{
	char *buffer = malloc(size);
	for (;;) {
		read_full(fd, buffer, size);
		write_full(fd, buffer, 1);
	}
}

static int copies(size_t size, size_t n)
{
	uint64_t *times = malloc(n * sizeof *times);
	char *bytes = malloc(size), word;
	int fds[COPIES][2];
	pid_t pids[COPIES];

	memset(bytes, 7, size);
	for (int i = 0; i < COPIES; i++) {
		if (socketpair(AF_UNIX, SOCK_STREAM, 0, fds[i]) < 0)
			die("socketpair");
		if ((pids[i] = child()) == 0) {
			for (int k = 0; k <= i; k++)
				close(fds[k][0]);
			swallow(fds[i][1], size);
		}
		close(fds[i][1]);
	}
	for (size_t i = 0; i < n + 2; i++) {
		const uint64_t begin = now_ns();
		for (int k = 0; k < COPIES; k++)
			write_full(fds[k][0], bytes, size);
		for (int k = 0; k < COPIES; k++)
			read_full(fds[k][0], &word, 1);
		times[i % n] = now_ns() - begin;
	}
	result_rtt("", times, n);
	result_total(n + 2);
	for (int i = 0; i < COPIES; i++) {
		close(fds[i][0]);
		tell_cost("receivers", pids[i]);
	}
	return 0;
}

static int pair(size_t size, size_t n)
{
	uint64_t *times = malloc(n * sizeof *times);
	char *bytes = calloc(1, size);
	int fds[2];

	if (socketpair(AF_UNIX, SOCK_STREAM, 0, fds) < 0)
		die("socketpair");
	const pid_t echoes = child();
	if (echoes == 0) {
		close(fds[0]);
		echo(fds[1], size);
	}
	close(fds[1]);
	for (size_t i = 0; i < n + 2; i++) {
		const uint64_t begin = now_ns();
		write_full(fds[0], bytes, size);
		read_full(fds[0], bytes, size);
		times[i % n] = now_ns() - begin;
	}
	result_rtt("", times, n);
	result_total(n + 2);
	close(fds[0]);
	tell_cost("echo", echoes);
	return 0;
}

int main(int argc, char **argv)
{
	int a[2], b[2];

	if (argc != 4)
		return 2;
	if (!strcmp(argv[1], "copies"))
		return copies((size_t)atol(argv[2]) << 20, (size_t)atol(argv[3]));
	if (!strcmp(argv[1], "pair"))
		return pair((size_t)atol(argv[2]), (size_t)atol(argv[3]));
	const int bulk = !strcmp(argv[1], "bulk");
	const size_t size = (size_t)atol(argv[2]) << (bulk ? 20 : 0), n = (size_t)atol(argv[3]);
	if (socketpair(AF_UNIX, SOCK_STREAM, 0, a) < 0 || socketpair(AF_UNIX, SOCK_STREAM, 0, b) < 0)
		die("socketpair");
	const pid_t echoes = child();
	if (echoes == 0) {
		close(a[0]), close(a[1]), close(b[0]);
		echo(b[1], size);
	}
	const pid_t relays = child();
	if (relays == 0) {
		close(a[0]), close(b[1]);
		relay(a[1], b[0]);
	}
	close(a[1]), close(b[0]), close(b[1]);
	char *bytes = malloc(size), *copy = malloc(size);
	uint64_t *times = malloc(n * sizeof *times), *copies = malloc(n * sizeof *copies);
	memset(bytes, 7, size);
	for (size_t i = 0; i < n + 2; i++) {
		const uint64_t begin = now_ns();
		write_full(a[0], bytes, size);
		read_full(a[0], copy, size);
		times[i % n] = now_ns() - begin;
		const uint64_t half = now_ns();
		if (bulk)
			memcpy(copy, bytes, size);
		copies[i % n] = now_ns() - half;
	}
	result_rtt("", times, n);
	if (bulk)
		result_rtt("memcpy_", copies, n);
	result_total(n + 2);
	close(a[0]);
	tell_cost("relay", relays);
	tell_cost("echo", echoes);
	return 0;
}
