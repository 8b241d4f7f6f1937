/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/supervisor/log/logwriter.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/prctl.h>
#include <time.h>

enum { ROOM = 512 << 10, ROOM_OF_OTHERS = ROOM / 4 * 3, LOST_LINE = 1024, STACK = 256 << 10 };
#define STALLED_AFTER UINT64_C(1000000000) /* nanoseconds without progress after which the sink counts as stalled */

struct buffer {
	size_t size;
	uint64_t told; /* lost lines that the buffer's first line tells of */
	char bytes[ROOM];
};

static struct {
	const struct logwriter_sink *sink;
	pthread_mutex_t lock;
	pthread_cond_t wake, ended;
	struct buffer buffers[2];
	struct buffer *filling;
	uint64_t lost; /* lines that were lost, and that no line tells of yet */
	bool failed;   /* the last write failed: the lost lines are not told of before another line comes */
	bool reopening, stopping, has_ended;
	_Atomic uint64_t moved; /* when the sink last made progress */
} writer = {.lock = PTHREAD_MUTEX_INITIALIZER,
	    .wake = PTHREAD_COND_INITIALIZER,
	    .ended = PTHREAD_COND_INITIALIZER,
	    .filling = &writer.buffers[0]};

static uint64_t now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static void add(const char *line, size_t size)
{
	memcpy(writer.filling->bytes + writer.filling->size, line, size);
	writer.filling->size += size;
}

/* ---- the thread ---- */

/* Returns the filled buffer, to be written, and makes the other one the buffer to fill. A line about lost lines goes first into
 * the new buffer: they were lost between the two. */
static struct buffer *swap(void)
{
	struct buffer *full = writer.filling;
	char line[LOST_LINE];

	writer.filling = full == &writer.buffers[0] ? &writer.buffers[1] : &writer.buffers[0];
	writer.filling->size = 0;
	writer.filling->told = writer.failed ? 0 : writer.lost;
	if (writer.filling->told > 0)
		add(line, writer.sink->tell_lost(line, sizeof line, writer.lost));
	writer.lost -= writer.filling->told;
	return full;
}

/* Returns how many lines could not be written. */
static uint64_t write_out(const struct buffer *buffer)
{
	const char *from = buffer->bytes, *end = buffer->bytes + buffer->size;
	uint64_t failed = 0;

	while (from < end) {
		atomic_store(&writer.moved, now());
		const ssize_t n = writer.sink->write(from, (size_t)(end - from));
		if (n >= 0) {
			from += n;
			continue;
		}
		from = (const char *)memchr(from, writer.sink->end, (size_t)(end - from)) + 1;
		failed++;
	}
	return failed;
}

static void reopen(void)
{
	writer.reopening = false;
	(void)pthread_mutex_unlock(&writer.lock);
	writer.sink->reopen();
	(void)pthread_mutex_lock(&writer.lock);
}

static bool has_something(void)
{
	return writer.filling->size > 0 || (writer.lost > 0 && !writer.failed);
}

static void *run(void *unused)
{
	(void)unused;
	(void)prctl(PR_SET_NAME, "objpoold-log", 0, 0, 0);
	(void)pthread_mutex_lock(&writer.lock);
	while (!writer.stopping || has_something()) {
		if (writer.reopening) {
			reopen();
			continue;
		}
		if (!has_something()) {
			(void)pthread_cond_wait(&writer.wake, &writer.lock);
			continue;
		}
		const struct buffer *full = swap();
		(void)pthread_mutex_unlock(&writer.lock);
		const uint64_t failed = write_out(full);
		(void)pthread_mutex_lock(&writer.lock);
		writer.failed = failed > 0;
		if (writer.failed)
			writer.lost += failed + full->told - (full->told > 0);
	}
	writer.has_ended = true;
	(void)pthread_cond_signal(&writer.ended);
	(void)pthread_mutex_unlock(&writer.lock);
	return NULL;
}

int logwriter_start(const struct logwriter_sink *sink)
{
	pthread_attr_t attributes;
	sigset_t all, before;
	pthread_t thread;

	writer.sink = sink;
	int r = pthread_attr_init(&attributes);
	if (r != 0)
		return -r;
	(void)pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
	(void)pthread_attr_setstacksize(&attributes, STACK);
	sigfillset(&all);
	(void)pthread_sigmask(SIG_SETMASK, &all, &before); /* signals are the loop's */
	r = pthread_create(&thread, &attributes, run, NULL);
	(void)pthread_sigmask(SIG_SETMASK, &before, NULL);
	(void)pthread_attr_destroy(&attributes);
	return -r;
}

/* ---- the loop's side ---- */

void logwriter_put(const char *line, size_t size, bool own)
{
	(void)pthread_mutex_lock(&writer.lock);
	if (writer.filling->size + size <= (own ? ROOM : ROOM_OF_OTHERS))
		add(line, size);
	else
		writer.lost++;
	(void)pthread_cond_signal(&writer.wake);
	(void)pthread_mutex_unlock(&writer.lock);
}

void logwriter_reopen(void)
{
	(void)pthread_mutex_lock(&writer.lock);
	writer.reopening = writer.sink->reopen;
	(void)pthread_cond_signal(&writer.wake);
	(void)pthread_mutex_unlock(&writer.lock);
}

bool logwriter_is_behind(void)
{
	(void)pthread_mutex_lock(&writer.lock);
	const bool full = writer.filling->size > ROOM_OF_OTHERS / 2;
	(void)pthread_mutex_unlock(&writer.lock);
	return full && now() - atomic_load(&writer.moved) < STALLED_AFTER;
}

void logwriter_stop(unsigned seconds)
{
	struct timespec until;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += (time_t)seconds;
	(void)pthread_mutex_lock(&writer.lock);
	writer.stopping = true;
	(void)pthread_cond_signal(&writer.wake);
	while (!writer.has_ended && pthread_cond_clockwait(&writer.ended, &writer.lock, CLOCK_MONOTONIC, &until) == 0)
		;
	(void)pthread_mutex_unlock(&writer.lock);
}
