/* SPDX-License-Identifier: Apache-2.0 */
/* Shared timing helpers of the baselines. One line per figure: R <tab> metric <tab> value <tab> unit */
#ifndef BENCH_H
#define BENCH_H
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static inline uint64_t now_ns(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000ull + (uint64_t)t.tv_nsec;
}
static inline void die(const char *what)
{
	fprintf(stderr, "%s: %s\n", what, strerror(errno));
	exit(1);
}
static inline void result(const char *metric, double v, const char *unit)
{
	printf("R\t%s\t%.6g\t%s\n", metric, v, unit);
	fflush(stdout);
}
static int cmp_u64(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
	return x < y ? -1 : x > y;
}
/* Sorts s (nanoseconds) and prints p50, p99, p99.9, mean in microseconds. */
static inline void result_rtt(const char *prefix, uint64_t *s, size_t n)
{
	char m[128];
	double sum = 0;
	for (size_t i = 0; i < n; i++)
		sum += (double)s[i];
	qsort(s, n, sizeof *s, cmp_u64);
	snprintf(m, sizeof m, "%sp50", prefix);
	result(m, (double)s[n / 2] / 1e3, "us");
	snprintf(m, sizeof m, "%sp99", prefix);
	result(m, (double)s[(size_t)((double)n * .99)] / 1e3, "us");
	snprintf(m, sizeof m, "%sp99.9", prefix);
	result(m, (double)s[(size_t)((double)n * .999)] / 1e3, "us");
	snprintf(m, sizeof m, "%smean", prefix);
	result(m, sum / (double)n / 1e3, "us");
}
/* How many calls the program has made in all, those before the measurement too: what it cost is divided by them. */
static inline void result_total(uint64_t calls)
{
	result("total", (double)calls, "calls");
}
static inline void pin(int cpu)
{
	if (cpu < 0)
		return;
	cpu_set_t set;
	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	if (sched_setaffinity(0, sizeof set, &set) < 0)
		die("sched_setaffinity");
}
static inline void read_full(int fd, void *p, size_t n)
{
	char *c = p;
	while (n) {
		ssize_t r = read(fd, c, n);
		if (r == 0)
			exit(0);
		if (r < 0) {
			if (errno == EINTR)
				continue;
			die("read");
		}
		c += r;
		n -= (size_t)r;
	}
}
static inline void write_full(int fd, const void *p, size_t n)
{
	const char *c = p;
	while (n) {
		ssize_t r = write(fd, c, n);
		if (r < 0) {
			if (errno == EINTR)
				continue;
			if (errno == EPIPE)
				exit(0);
			die("write");
		}
		c += r;
		n -= (size_t)r;
	}
}
#endif
