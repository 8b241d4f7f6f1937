/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/rings.h"

#include "proto/memory_file.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { WORDS = RINGS_MEMORY - 2 * RINGS_BYTES };

static_assert(2 * sizeof(struct ring_words) <= WORDS && (RINGS_BYTES & (RINGS_BYTES - 1)) == 0, "layout of the memory file");

/* ---- made, opened, closed ---- */

/* `side`: 0: the opener, who writes to ring 0; 1: the maker. */
static int map(struct rings *rings, int memory, unsigned side)
{
	uint8_t *bytes = mmap(NULL, RINGS_MEMORY, PROT_READ | PROT_WRITE, MAP_SHARED, memory, 0);

	if (bytes == MAP_FAILED)
		return -errno;
	struct ring_words *words = (struct ring_words *)(void *)bytes;
	*rings = (struct rings){
		.memory = bytes,
		.out = &words[side],
		.in = &words[!side],
		.out_bytes = bytes + WORDS + side * (size_t)RINGS_BYTES,
		.in_bytes = bytes + WORDS + !side * (size_t)RINGS_BYTES,
		.wakes_us = -1,
		.wakes_other = -1,
	};
	return 0;
}

static int make_memory(void)
{
	const int fd = memory_file("objpool-rings", RINGS_MEMORY);

	if (fd < 0 || fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) == 0)
		return fd;
	const int error = errno;
	(void)close(fd);
	return -error;
}

static void close_all(const int *files, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (files[i] >= 0)
			(void)close(files[i]);
}

int rings_make(struct rings *rings, int files[RINGS_FILES])
{
	int to_us[2], to_other[2];

	files[0] = make_memory();
	if (files[0] < 0)
		return files[0];
	int r = pipe2(to_us, O_CLOEXEC | O_NONBLOCK) < 0 ? -errno : 0;
	if (r < 0)
		goto without_pipes;
	r = pipe2(to_other, O_CLOEXEC | O_NONBLOCK) < 0 ? -errno : 0;
	if (r < 0)
		goto with_one_pipe;
	r = map(rings, files[0], 1);
	if (r < 0)
		goto with_both_pipes;
	(void)madvise(rings->memory, RINGS_MEMORY, MADV_DONTFORK); /* what a plugin forks has no part in it */
	rings->wakes_us = to_us[0];
	rings->wakes_other = to_other[1];
	files[1] = to_us[1];
	files[2] = to_other[0];
	return 0;
with_both_pipes:
	close_all(to_other, 2);
with_one_pipe:
	close_all(to_us, 2);
without_pipes:
	close_all(files, 1);
	return r;
}

/* A file of that size which can't shrink, and the ends of pipes? */
static bool are_rings(const int files[RINGS_FILES])
{
	struct stat memory, pipes[2];
	const int seals = fcntl(files[0], F_GET_SEALS);

	return seals >= 0 && (seals & F_SEAL_SHRINK) && fstat(files[0], &memory) == 0 && memory.st_size == RINGS_MEMORY &&
	       fstat(files[1], &pipes[0]) == 0 && S_ISFIFO(pipes[0].st_mode) && fstat(files[2], &pipes[1]) == 0 &&
	       S_ISFIFO(pipes[1].st_mode);
}

int rings_open(struct rings *rings, const int files[RINGS_FILES])
{
	int r = are_rings(files) ? 0 : -EPROTO;

	for (unsigned i = 1; i < RINGS_FILES && r == 0; i++)
		r = fcntl(files[i], F_SETFL, O_NONBLOCK) < 0 ? -errno : 0;
	if (r == 0)
		r = map(rings, files[0], 0);
	if (r < 0) {
		close_all(files, RINGS_FILES);
		return r;
	}
	(void)close(files[0]);
	rings->wakes_other = files[1];
	rings->wakes_us = files[2];
	return 0;
}

void rings_close(struct rings *rings)
{
	close_all((int[]){rings->wakes_us, rings->wakes_other}, 2);
	(void)munmap(rings->memory, RINGS_MEMORY);
	*rings = (struct rings){.wakes_us = -1, .wakes_other = -1};
}

/* ---- bytes ---- */

static size_t smaller(size_t a, size_t b)
{
	return a < b ? a : b;
}

/* As write of one byte into a pipe, but if nobody reads it, no signal is left: the process has its own ways with SIGPIPE. */
static void write_quietly(int fd)
{
	sigset_t broken, before, pending;

	(void)sigemptyset(&broken);
	(void)sigaddset(&broken, SIGPIPE);
	(void)sigpending(&pending);
	(void)pthread_sigmask(SIG_BLOCK, &broken, &before);
	if (write(fd, "", 1) < 0 && errno == EPIPE && !sigismember(&pending, SIGPIPE))
		(void)sigtimedwait(&broken, NULL, &(const struct timespec){0});
	(void)pthread_sigmask(SIG_SETMASK, &before, NULL);
}

/* Wakes the other side if the flag is set. A full pipe wakes it, too. */
static void wake_other(const struct rings *rings, _Atomic uint32_t *sleeps)
{
	const int before = errno;

	if (atomic_load(sleeps) && atomic_exchange(sleeps, 0))
		write_quietly(rings->wakes_other);
	errno = before;
}

/* Bytes that can be written; RINGS_BYTES + 1 or more: the other side has written nonsense. */
static uint64_t room(const struct rings *rings)
{
	return RINGS_BYTES - (rings->written - atomic_load(&rings->out->read));
}

bool rings_await_room(struct rings *rings)
{
	atomic_store(&rings->out->writer_waits, 1);
	if (room(rings) == 0)
		return true;
	atomic_store(&rings->out->writer_waits, 0);
	return false;
}

ssize_t rings_put(struct rings *rings, const void *bytes, size_t size)
{
	const size_t at = rings->written % RINGS_BYTES;
	const uint64_t free = room(rings) > 0 || !rings_await_room(rings) ? room(rings) : 0;

	if (free > RINGS_BYTES)
		return -EPROTO;
	const size_t n = smaller(size, (size_t)free), first = smaller(n, RINGS_BYTES - at);
	memcpy(rings->out_bytes + at, bytes, first);
	memcpy(rings->out_bytes, (const uint8_t *)bytes + first, n - first);
	uint64_t before = rings->written;
	if (!atomic_compare_exchange_strong(&rings->out->written, &before, rings->written + n))
		return before == (rings->written | RING_SHUT) ? -EPIPE : -EPROTO;
	rings->written += n;
	wake_other(rings, &rings->out->reader_sleeps);
	return (ssize_t)n;
}

ssize_t rings_take(struct rings *rings, void *bytes, size_t size)
{
	const uint64_t written = atomic_load_explicit(&rings->in->written, memory_order_acquire);
	const uint64_t have = (written & ~RING_SHUT) - rings->read;
	const size_t at = rings->read % RINGS_BYTES;

	if (have > RINGS_BYTES)
		return -EPROTO;
	if (have == 0)
		return written & RING_SHUT ? -EPIPE : 0;
	const size_t n = smaller(size, (size_t)have), first = smaller(n, RINGS_BYTES - at);
	memcpy(bytes, rings->in_bytes + at, first);
	memcpy((uint8_t *)bytes + first, rings->in_bytes, n - first);
	rings->read += n;
	atomic_store(&rings->in->read, rings->read);
	wake_other(rings, &rings->in->writer_waits);
	return (ssize_t)n;
}

bool rings_have(const struct rings *rings)
{
	return atomic_load(&rings->in->written) != rings->read;
}

bool rings_fall_asleep(struct rings *rings)
{
	atomic_store(&rings->in->reader_sleeps, 1);
	if (!rings_have(rings))
		return true;
	atomic_store(&rings->in->reader_sleeps, 0);
	return false;
}

void rings_wake(struct rings *rings, bool woken)
{
	char bytes[64]; /* the other side owes one; if it writes more, they wake this side for nothing */

	atomic_store_explicit(&rings->in->reader_sleeps, 0, memory_order_relaxed);
	if (woken && read(rings->wakes_us, bytes, sizeof bytes) < 0)
		return; /* somebody else has read them */
}

void rings_shut(struct rings *rings)
{
	(void)atomic_fetch_or(&rings->in->written, RING_SHUT);
}
