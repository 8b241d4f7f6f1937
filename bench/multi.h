/* SPDX-License-Identifier: Apache-2.0 */
/* K load processes with counters in shared memory; the parent reads the counters twice, after a warm-up and at the end. */
#ifndef MULTI_H
#define MULTI_H
#include "bench/bench.h"
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
struct multi_slot {
	_Alignas(64) volatile uint64_t count;
	volatile int ready;
	volatile uint64_t samples;	/* of rtt */
};
#define MULTI_RTT (1u << 18)
struct multi {
	volatile int go;
	struct multi_slot slot[64];
	uint32_t rtt[64][MULTI_RTT];	/* ns, ring */
};
/* fn sets up, sets me->ready = 1, waits for m->go, then counts for ever. */
typedef void (*multi_fn)(struct multi *m, int index, struct multi_slot *me, void *arg);
static inline void multi_begin(struct multi *m, struct multi_slot *me)
{
	me->ready = 1;
	while (!m->go)
		usleep(200);
}
static inline void multi_rtt(struct multi *m, int index, struct multi_slot *me, uint64_t ns)
{
	m->rtt[index][me->samples++ % MULTI_RTT] = (uint32_t)ns;
}
static int cmp_u32(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
	return x < y ? -1 : x > y;
}
static inline void multi_run(const char *metric, int k, double seconds, multi_fn fn, void *arg)
{
	struct multi *m = mmap(NULL, sizeof *m, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	pid_t pid[64];
	if (m == MAP_FAILED)
		die("mmap");
	for (int i = 0; i < k; i++) {
		fflush(stdout);
		if ((pid[i] = fork()) < 0)
			die("fork");
		if (pid[i] == 0) {
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			fn(m, i, &m->slot[i], arg);
			_exit(0);
		}
	}
	for (int i = 0; i < k; i++)
		while (!m->slot[i].ready)
			usleep(200);
	m->go = 1;
	usleep((useconds_t)(seconds * 1e5));
	uint64_t a = 0, b = 0, t0 = now_ns(), s0[64];
	for (int i = 0; i < k; i++)
		a += m->slot[i].count, s0[i] = m->slot[i].samples;
	usleep((useconds_t)(seconds * 9e5));
	uint64_t t1 = now_ns();
	for (int i = 0; i < k; i++)
		b += m->slot[i].count;
	result(metric, (double)(b - a) / ((double)(t1 - t0) / 1e9), "1/s");
	size_t n = 0;
	uint32_t *all = NULL;
	for (int i = 0; i < k; i++) {
		uint64_t e = m->slot[i].samples, s = s0[i];
		if (e - s > MULTI_RTT)
			s = e - MULTI_RTT;
		if (e > s) {
			all = realloc(all, (n + (e - s)) * sizeof *all);
			for (; s < e; s++)
				all[n++] = m->rtt[i][s % MULTI_RTT];
		}
	}
	if (n) {
		char name[160];
		qsort(all, n, sizeof *all, cmp_u32);
		snprintf(name, sizeof name, "%s_rtt_p50", metric);
		result(name, all[n / 2] / 1e3, "us");
		snprintf(name, sizeof name, "%s_rtt_p99", metric);
		result(name, all[(size_t)((double)n * .99)] / 1e3, "us");
		snprintf(name, sizeof name, "%s_rtt_p99.9", metric);
		result(name, all[(size_t)((double)n * .999)] / 1e3, "us");
	}
	free(all);
	uint64_t total = 0;
	for (int i = 0; i < k; i++) {
		kill(pid[i], SIGKILL);
		waitpid(pid[i], NULL, 0);
		total += m->slot[i].count;
	}
	result_total(total);
	munmap(m, sizeof *m);
}
#endif
