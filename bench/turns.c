/* SPDX-License-Identifier: Apache-2.0 */
/*
 * turns: cycles of requests, each of which waits for the answer before it; how long a cycle takes.
 *   turns cycle SOCKET N CALL...                 one client: p50, p99, mean
 *   turns crowd SOCKET SECONDS CLIENTS CALL...   CLIENTS that do the same at the same time: cycles/s, p50, p99, mean;
 *                                                and the fewest and the most cycles of one of them
 *   turns lease SOCKET N POOL                    one client: a lease and its release
 *   turns contend SOCKET SECONDS CLIENTS POOL    CLIENTS that do: a lease, a call of what was leased, its release
 *   turns leased SOCKET N POOL                   one client, that has leased an instance: a call of it
 * A CALL is METHOD: with 16 bytes; METHOD=TEXT: with TEXT and 16 bytes; or METHOD!: without arguments.
 */
#include "bench/wire.h"

#include <sys/epoll.h>

enum { BUFFER = 4096, CLIENTS_MAX = 64, SAMPLES_MAX = 1 << 20 };

enum step { LEASE = 'l', CALL = 'c', RELEASE = 'r' };

/* What a cycle is: calls; or, where there are none, these steps with an instance of `pool`. */
struct plan {
	char **calls;
	int count;
	const char *pool, *steps;
};

struct client {
	int fd, step;
	uint32_t slot;	/* that it has leased */
	uint64_t begin, cycles;
	size_t have;
	uint8_t in[BUFFER], out[BUFFER];
};

static int steps(const struct plan *plan)
{
	return plan->count ? plan->count : (int)strlen(plan->steps);
}

static enum step step(const struct plan *plan, const struct client *c)
{
	return plan->count ? CALL : (enum step)plan->steps[c->step];
}

static uint8_t *put_call(uint8_t *p, const char *call)
{
	const size_t n = strcspn(call, "=!");
	char method[64];

	snprintf(method, sizeof method, "%.*s", (int)n, call);
	p = put_request(p, 1, method);
	*p++ = (uint8_t)(0x90 + (call[n] == '!' ? 0 : call[n] == '=' ? 2 : 1));
	if (call[n] == '!')
		return p;
	if (call[n] == '=')
		p = put_text(p, call + n + 1);
	return put_text(p, "0123456789abcdef");
}

static uint8_t *put_leased_call(uint8_t *p, const char *pool, uint32_t slot)
{
	char method[64];

	snprintf(method, sizeof method, "%s:%u.echo", pool, slot);
	return put_call(p, method);
}

static uint8_t *put_lease(uint8_t *p, const char *pool)
{
	p = put_request(p, 1, "objpool.lease");
	*p++ = 0x91;
	return put_text(p, pool);
}

static uint8_t *put_release(uint8_t *p, const char *pool, uint32_t slot)
{
	p = put_request(p, 1, "objpool.release");
	*p++ = 0x92;
	return put_uint(put_text(p, pool), slot);
}

static uint8_t *put_step(uint8_t *p, const struct plan *plan, const struct client *c)
{
	if (plan->count)
		return put_call(p, plan->calls[c->step]);
	switch (step(plan, c)) {
	case LEASE:
		return put_lease(p, plan->pool);
	case CALL:
		return put_leased_call(p, plan->pool, c->slot);
	case RELEASE:
		return put_release(p, plan->pool, c->slot);
	}
	return p;
}

static void ask(struct client *c, const struct plan *plan)
{
	const uint8_t *end = put_step(c->out, plan, c);

	if (c->step == 0)
		c->begin = now_ns();
	write_full(c->fd, c->out, (size_t)(end - c->out));
}

/* Of {slot, generation}. */
static uint32_t take_slot(struct at *at)
{
	uint32_t slot = UINT32_MAX;

	for (int pairs = *take(at, 1) & 15; pairs > 0 && !at->short_of; pairs--) {
		const bool is_slot = at->end - at->p > 5 && memcmp(at->p, "\xa4slot", 5) == 0;
		take_value(at);
		if (is_slot)
			slot = take_uint(at);
		else
			take_value(at);
	}
	if (slot == UINT32_MAX && !at->short_of)
		fail("a lease without a slot");
	return slot;
}

/* True: the answer is whole. */
static bool answered(struct client *c, const struct plan *plan)
{
	struct at at = {.p = c->in, .end = c->in + c->have};

	take_answer(&at);
	switch (step(plan, c)) {
	case LEASE:
		c->slot = take_slot(&at);
		break;
	case CALL:
		take_value(&at);
		break;
	case RELEASE:
		if (!take_byte(&at, 0xc3) && !at.short_of)
			fail("what was leased was not released");
		break;
	}
	if (at.short_of)
		return false;
	c->have = 0;
	return true;
}

static void receive(struct client *c)
{
	const ssize_t n = read(c->fd, c->in + c->have, sizeof c->in - c->have);
	if (n <= 0)
		die("read");
	c->have += (size_t)n;
}

/* The next request, when the answer is there. Returns how long the cycle took, if it is over with this. */
static uint64_t on_readable(struct client *c, const struct plan *plan)
{
	uint64_t took = 0;

	receive(c);
	if (!answered(c, plan))
		return 0;
	if (++c->step == steps(plan)) {
		took = now_ns() - c->begin;
		c->step = 0;
		c->cycles++;
	}
	return took;
}

/* ---- one client ---- */

static uint64_t cycle(struct client *c, const struct plan *plan)
{
	uint64_t took = 0;

	while (!took) {
		if (c->have == 0)
			ask(c, plan);
		took = on_readable(c, plan);
	}
	return took;
}

/* `before`, or NULL: a cycle that goes before them all. */
static int alone(const char *path, size_t n, const struct plan *before, const struct plan *plan)
{
	struct client *c = calloc(1, sizeof *c);
	uint64_t *times = malloc(n * sizeof *times);

	c->fd = connect_unix(path);
	if (before)
		(void)cycle(c, before);
	for (size_t i = 0; i < n + n / 10 + 1; i++)
		times[i % n] = cycle(c, plan);
	result_rtt("", times, n);
	result_total(n + n / 10 + 1);
	return 0;
}

/* ---- many ---- */

static void tell_extremes(const struct client *all, int clients)
{
	uint64_t least = UINT64_MAX, most = 0;

	for (int i = 0; i < clients; i++) {
		least = all[i].cycles < least ? all[i].cycles : least;
		most = all[i].cycles > most ? all[i].cycles : most;
	}
	result("least", (double)least, "cycles");
	result("most", (double)most, "cycles");
}

static int together(const char *path, double seconds, int clients, const struct plan *plan)
{
	static struct client all[CLIENTS_MAX];
	uint64_t *times = malloc(SAMPLES_MAX * sizeof *times), count = 0;
	struct epoll_event events[CLIENTS_MAX];
	const int ep = epoll_create1(0);

	for (int i = 0; i < clients; i++) {
		struct epoll_event e = {.events = EPOLLIN, .data.ptr = &all[i]};
		all[i].fd = connect_unix(path);
		epoll_ctl(ep, EPOLL_CTL_ADD, all[i].fd, &e);
		ask(&all[i], plan);
	}
	const uint64_t begin = now_ns();
	while ((double)(now_ns() - begin) / 1e9 < seconds) {
		const int n = epoll_wait(ep, events, CLIENTS_MAX, 5000);
		if (n <= 0)
			fail("nothing came for five seconds");
		for (int i = 0; i < n; i++) {
			struct client *c = events[i].data.ptr;
			const uint64_t took = on_readable(c, plan);
			if (took)
				times[count++ % SAMPLES_MAX] = took;
			if (c->have == 0)
				ask(c, plan);
		}
	}
	result("cycles", (double)count / ((double)(now_ns() - begin) / 1e9), "1/s");
	result_rtt("", times, count < SAMPLES_MAX ? count : SAMPLES_MAX);
	result_total(count);
	tell_extremes(all, clients);
	return 0;
}

int main(int argc, char **argv)
{
	const char *mode = argc > 4 ? argv[1] : "";

	const int clients = argc > 4 ? atoi(argv[4]) : 0;
	const size_t n = argc > 4 ? (size_t)atol(argv[3]) : 0;

	if (argc >= 5 && !strcmp(mode, "cycle"))
		return alone(argv[2], n, NULL, &(struct plan){.calls = argv + 4, .count = argc - 4});
	if (argc == 5 && !strcmp(mode, "lease"))
		return alone(argv[2], n, NULL, &(struct plan){.pool = argv[4], .steps = "lr"});
	if (argc == 5 && !strcmp(mode, "leased"))
		return alone(argv[2], n, &(struct plan){.pool = argv[4], .steps = "l"},
			     &(struct plan){.pool = argv[4], .steps = "c"});
	if (argc == 6 && !strcmp(mode, "contend") && clients <= CLIENTS_MAX)
		return together(argv[2], atof(argv[3]), clients, &(struct plan){.pool = argv[5], .steps = "lcr"});
	if (argc >= 6 && !strcmp(mode, "crowd") && clients <= CLIENTS_MAX)
		return together(argv[2], atof(argv[3]), clients, &(struct plan){.calls = argv + 5, .count = argc - 5});
	fprintf(stderr, "see the head of turns.c\n");
	return 2;
}
