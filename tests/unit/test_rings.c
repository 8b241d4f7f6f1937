/* SPDX-License-Identifier: Apache-2.0 */
/* proto/rings.h: bytes both ways, sleeping and waking, the end, and another side that breaks the rules. */
#include "proto/rings.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cmocka.h>

/* Both sides in one process. */
struct pair {
	struct rings maker, opener;
};

static int set_up(void **state)
{
	struct pair *pair = calloc(1, sizeof *pair);
	int files[RINGS_FILES];

	assert_int_equal(rings_make(&pair->maker, files), 0);
	assert_int_equal(rings_open(&pair->opener, files), 0);
	*state = pair;
	return 0;
}

static int tear_down(void **state)
{
	struct pair *pair = *state;

	rings_close(&pair->maker);
	rings_close(&pair->opener);
	free(pair);
	return 0;
}

static bool mmap_fails;

#ifdef __GLIBC__ /* whose mmap with offsets of 64 bits is mmap64 */
#define __real_mmap __real_mmap64
#define __wrap_mmap __wrap_mmap64
#endif

void *__real_mmap(void *at, size_t size, int protection, int flags, int fd, off_t offset);
void *__wrap_mmap(void *at, size_t size, int protection, int flags, int fd, off_t offset);

void *__wrap_mmap(void *at, size_t size, int protection, int flags, int fd, off_t offset)
{
	if (!mmap_fails)
		return __real_mmap(at, size, protection, flags, fd, offset);
	errno = ENOMEM;
	return MAP_FAILED;
}

/* The lowest descriptor that is free. */
static int next_descriptor(void)
{
	const int fd = dup(STDERR_FILENO);

	assert_true(fd >= 0 && close(fd) == 0);
	return fd;
}

static unsigned open_descriptors(void)
{
	unsigned count = 0;

	for (int fd = 0; fd < 256; fd++)
		count += fcntl(fd, F_GETFD) >= 0;
	return count;
}

static void what_can_not_be_made_leaves_nothing_open(void **state)
{
	const unsigned open_before = open_descriptors();
	const int next = next_descriptor();
	struct rlimit limit, less;
	struct rings rings;
	int files[RINGS_FILES];

	(void)state;
	mmap_fails = true;
	assert_int_equal(rings_make(&rings, files), -ENOMEM);
	mmap_fails = false;
	assert_int_equal(open_descriptors(), open_before);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
	less = limit;
	for (rlim_t room = 0; room < 5; room++) { /* a memory file, and the ends of two pipes */
		less.rlim_cur = (rlim_t)next + room;
		assert_int_equal(setrlimit(RLIMIT_NOFILE, &less), 0);
		assert_int_equal(rings_make(&rings, files), -EMFILE);
		assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
		assert_int_equal(open_descriptors(), open_before);
	}
}

static bool is_woken(const struct rings *rings)
{
	struct pollfd pollfd = {.fd = rings->wakes_us, .events = POLLIN};

	return poll(&pollfd, 1, 0) == 1;
}

static void bytes_go_both_ways_and_around(void **state)
{
	struct pair *pair = *state;
	static char sent[RINGS_BYTES], got[RINGS_BYTES];

	for (int i = 0; i < 50; i++) {
		const size_t n = (size_t)(i * 1997 % 40000 + 1);
		memset(sent, 'a' + i % 26, n);
		assert_int_equal(rings_put(&pair->opener, sent, n), n);
		assert_int_equal(rings_take(&pair->maker, got, sizeof got), n);
		assert_memory_equal(sent, got, n);
		assert_int_equal(rings_put(&pair->maker, got, n), n);
		assert_int_equal(rings_take(&pair->opener, got, n / 2), n / 2);
		assert_int_equal(rings_take(&pair->opener, got + n / 2, sizeof got - n / 2), n - n / 2);
		assert_memory_equal(sent, got, n);
	}
	assert_int_equal(rings_take(&pair->maker, got, sizeof got), 0);
	assert_false(is_woken(&pair->maker) || is_woken(&pair->opener)); /* nobody slept */
}

static void who_sleeps_is_woken_once(void **state)
{
	struct pair *pair = *state;
	char byte;

	assert_true(rings_fall_asleep(&pair->maker));
	assert_int_equal(rings_put(&pair->opener, "a", 1), 1);
	assert_true(is_woken(&pair->maker));
	rings_wake(&pair->maker, true);
	assert_int_equal(rings_put(&pair->opener, "b", 1), 1);
	assert_false(is_woken(&pair->maker));
	assert_false(rings_fall_asleep(&pair->maker)); /* there is something to read */
	assert_int_equal(rings_take(&pair->maker, &byte, 1), 1);
	assert_int_equal(byte, 'a');
}

static void who_waits_for_room_is_woken(void **state)
{
	struct pair *pair = *state;
	static char bytes[RINGS_BYTES];

	assert_int_equal(rings_put(&pair->opener, bytes, sizeof bytes), sizeof bytes);
	assert_int_equal(rings_put(&pair->opener, "x", 1), 0);
	assert_false(is_woken(&pair->opener));
	assert_int_equal(rings_take(&pair->maker, bytes, 3), 3);
	assert_true(is_woken(&pair->opener));
	assert_int_equal(rings_put(&pair->opener, "xyzu", 4), 3);
}

static void what_is_written_before_the_end_is_read(void **state)
{
	struct pair *pair = *state;
	char bytes[8];

	assert_int_equal(rings_put(&pair->opener, "last", 4), 4);
	rings_shut(&pair->maker);
	assert_int_equal(rings_put(&pair->opener, "late", 4), -EPIPE);
	assert_int_equal(rings_take(&pair->maker, bytes, sizeof bytes), 4);
	assert_int_equal(rings_take(&pair->maker, bytes, sizeof bytes), -EPIPE);
	assert_int_equal(rings_put(&pair->maker, "on", 2), 2); /* the other way is open */
	assert_int_equal(rings_take(&pair->opener, bytes, sizeof bytes), 2);
}

static void nonsense_is_found_and_hurts_nobody(void **state)
{
	struct pair *pair = *state;
	static const uint64_t nonsense[] = {1, RINGS_BYTES - 1, RINGS_BYTES + 1, UINT64_C(1) << 40, RING_SHUT - 1, UINT64_MAX};
	static char bytes[2 * RINGS_BYTES];

	for (size_t i = 0; i < sizeof nonsense / sizeof *nonsense; i++) {
		atomic_store(&pair->maker.in->written, nonsense[i]);
		pair->maker.read = 0;
		const ssize_t n = rings_take(&pair->maker, bytes, sizeof bytes);
		assert_true(n == -EPROTO || (uint64_t)n == nonsense[i]);
		pair->maker.written = 0;
		atomic_store(&pair->maker.out->written, 0);
		atomic_store(&pair->maker.out->read, -nonsense[i]);
		const ssize_t m = rings_put(&pair->maker, bytes, sizeof bytes);
		assert_true(m == -EPROTO || (m >= 0 && m <= RINGS_BYTES));
	}
	atomic_store(&pair->maker.out->written, 12345); /* the other side writes where it must not */
	atomic_store(&pair->maker.out->read, pair->maker.written);
	assert_int_equal(rings_put(&pair->maker, "x", 1), -EPROTO);
}

/* What the other side does to its ends of the pipes does not make this side wait. */
static void a_pipe_that_nobody_reads_blocks_nobody(void **state)
{
	struct pair *pair = *state;
	char byte;

	assert_int_equal(fcntl(pair->opener.wakes_us, F_SETPIPE_SZ, 4096), 4096);
	assert_int_equal(fcntl(pair->opener.wakes_us, F_SETFL, 0), 0);
	assert_int_equal(fcntl(pair->opener.wakes_other, F_SETFL, 0), 0);
	for (int i = 0; i < 5000; i++) {
		assert_true(rings_fall_asleep(&pair->opener));
		assert_int_equal(rings_put(&pair->maker, "x", 1), 1);
		assert_int_equal(rings_take(&pair->opener, &byte, 1), 1);
	}
	rings_wake(&pair->maker, true); /* nothing has come */
}

/* The other side has gone: to wake it costs nothing, whatever this process does with SIGPIPE. */
static void nobody_is_killed_by_a_pipe_that_is_closed(void **state)
{
	struct pair *pair = *state;
	sigset_t set;

	assert_true(rings_fall_asleep(&pair->opener));
	close(pair->opener.wakes_us);
	pair->opener.wakes_us = -1;
	assert_int_equal(rings_put(&pair->maker, "x", 1), 1);
	assert_int_equal(sigpending(&set), 0);
	assert_false(sigismember(&set, SIGPIPE));
	assert_int_equal(pthread_sigmask(SIG_BLOCK, NULL, &set), 0);
	assert_false(sigismember(&set, SIGPIPE));
}

static void files_that_are_no_rings(void **state)
{
	struct rings rings, maker;
	int files[RINGS_FILES];

	(void)state;
	for (int wrong = 0; wrong < RINGS_FILES; wrong++) {
		assert_int_equal(rings_make(&maker, files), 0);
		close(files[wrong]);
		files[wrong] = memfd_create("wrong", MFD_CLOEXEC | MFD_ALLOW_SEALING);
		assert_int_equal(fcntl(files[wrong], F_ADD_SEALS, F_SEAL_SHRINK), 0);
		assert_int_equal(rings_open(&rings, files), -EPROTO);
		for (int i = 0; i < RINGS_FILES; i++)
			assert_int_equal(fcntl(files[i], F_GETFD), -1); /* they were taken over */
		rings_close(&maker);
	}
}

/* ---- two threads ---- */

enum { STRESS = 20 << 20 };

static uint8_t byte_at(size_t i)
{
	return (uint8_t)(i * 2654435761u >> 13);
}

static void sleep_until_woken(struct rings *rings)
{
	struct pollfd pollfd = {.fd = rings->wakes_us, .events = POLLIN};
	const int ready = poll(&pollfd, 1, 20000);

	rings_wake(rings, ready == 1);
	assert_int_equal(ready, 1);
}

static void *write_all(void *context)
{
	struct rings *rings = context;
	uint8_t bytes[5000];
	unsigned seed = 7;

	for (size_t at = 0; at < STRESS;) {
		size_t n = (size_t)rand_r(&seed) % sizeof bytes + 1;
		n = n < STRESS - at ? n : STRESS - at;
		for (size_t i = 0; i < n; i++)
			bytes[i] = byte_at(at + i);
		for (size_t done = 0; done < n;) {
			const ssize_t put = rings_put(rings, bytes + done, n - done);
			assert_true(put >= 0);
			done += (size_t)put;
			if (put == 0)
				sleep_until_woken(rings);
		}
		at += n;
	}
	return NULL;
}

static void two_threads_lose_no_byte_and_no_wake_up(void **state)
{
	struct pair *pair = *state;
	uint8_t bytes[3000];
	unsigned seed = 1;
	pthread_t writer;

	assert_int_equal(pthread_create(&writer, NULL, write_all, &pair->opener), 0);
	for (size_t at = 0; at < STRESS;) {
		const ssize_t n = rings_take(&pair->maker, bytes, (size_t)rand_r(&seed) % sizeof bytes + 1);
		assert_true(n >= 0);
		for (size_t i = 0; i < (size_t)n; i++)
			assert_int_equal(bytes[i], byte_at(at + i));
		at += (size_t)n;
		if (n == 0 && rings_fall_asleep(&pair->maker))
			sleep_until_woken(&pair->maker);
	}
	pthread_join(writer, NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(bytes_go_both_ways_and_around, set_up, tear_down),
		cmocka_unit_test_setup_teardown(who_sleeps_is_woken_once, set_up, tear_down),
		cmocka_unit_test_setup_teardown(who_waits_for_room_is_woken, set_up, tear_down),
		cmocka_unit_test_setup_teardown(what_is_written_before_the_end_is_read, set_up, tear_down),
		cmocka_unit_test_setup_teardown(nonsense_is_found_and_hurts_nobody, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_pipe_that_nobody_reads_blocks_nobody, set_up, tear_down),
		cmocka_unit_test_setup_teardown(nobody_is_killed_by_a_pipe_that_is_closed, set_up, tear_down),
		cmocka_unit_test(what_can_not_be_made_leaves_nothing_open),
		cmocka_unit_test(files_that_are_no_rings),
		cmocka_unit_test_setup_teardown(two_threads_lose_no_byte_and_no_wake_up, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
