/* SPDX-License-Identifier: Apache-2.0 */
/* intake: how often it reads for messages of many shapes, and that it takes what was sent. */
#include "daemon/supervisor/transport/intake.h"
#include "daemon/supervisor/transport/socket.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

enum { LIMIT = 16 << 20, BYTES = 1 << 20, PAYLOAD_MIN = 64 << 10, BEHIND = 3 };

struct text {
	uint8_t *bytes;
	size_t size;
};

static void add(struct text *text, const void *bytes, size_t size)
{
	memcpy(text->bytes + text->size, bytes, size);
	text->size += size;
}

/* ---- shapes ---- */

/* [[[...[0]...]]] */
static void make_deep(struct text *text)
{
	memset(text->bytes, 0x91, BYTES);
	text->size = BYTES;
	add(text, "\x00", 1);
}

/* Pairs of pairs of pairs: what is known to come is never more than the levels that are open. */
static void make_tree(struct text *text, int levels)
{
	add(text, levels > 0 ? "\x92" : "\x00", 1);
	for (int i = 0; i < 2 && levels > 0; i++)
		make_tree(text, levels - 1);
}

static void make_pairs(struct text *text)
{
	make_tree(text, 18);
}

/* A list of lists of 1000 numbers each. */
static void make_lists(struct text *text)
{
	static const uint8_t numbers[1000];

	add(text, "\xdc\x04\x00", 3);
	for (int i = 0; i < 1024; i++) {
		add(text, "\xdc\x03\xe8", 3);
		add(text, numbers, sizeof numbers);
	}
}

static void make_bin(struct text *text)
{
	add(text, "\xc6\x00\x10\x00\x00", 5);
	memset(text->bytes + text->size, 7, BYTES);
	text->size += BYTES;
}

/* ---- playing ---- */

/* Sends as much as the socket takes; the bytes that are left. */
static size_t pump(int fd, const uint8_t *bytes, size_t size)
{
	const ssize_t n = size > 0 ? send(fd, bytes, size, MSG_DONTWAIT) : 0;
	return n > 0 ? size - (size_t)n : size;
}

/* The sent bytes come as messages of these sizes, the first of them in a payload of its own. Returns how often it was read. */
static unsigned receive(const struct text *sent, const size_t *sizes, unsigned count)
{
	struct block *scratch = block_new(NULL, INTAKE_SCRATCH), *block;
	const uint8_t *expected = sent->bytes;
	size_t left = sent->size;
	unsigned reads = 0, taken = 0;
	struct payload_pool pool;
	struct intake intake;
	struct span message;
	int fds[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
	payload_pool_init(&pool, NULL);
	struct transport transport = transport_of(&socket_transport, fds[1]);
	intake_init(&intake, LIMIT, NULL);
	intake_use_payloads(&intake, &pool, PAYLOAD_MIN);
	while (taken < count) {
		left = pump(fds[0], sent->bytes + sent->size - left, left);
		const ssize_t n = intake_read(&intake, &transport, scratch);
		assert_true(n > 0);
		reads++;
		while (intake_next(&intake, &message, &block) == 1) {
			assert_int_equal(message.size, sizes[taken]);
			assert_memory_equal(message.bytes, expected, message.size);
			assert_true(taken > 0 || (block && block->fd >= 0 && block->bytes == message.bytes));
			expected += message.size;
			taken++;
		}
		assert_int_equal(intake_keep(&intake), 0);
	}
	assert_false(intake_has(&intake));
	intake_free(&intake);
	payload_pool_clear(&pool);
	block_unref(scratch);
	(void)close(fds[0]);
	(void)close(fds[1]);
	return reads;
}

static void play(void (*make)(struct text *))
{
	struct text text = {.bytes = malloc(2 * BYTES)};
	size_t sizes[1 + BEHIND];

	assert_non_null(text.bytes);
	make(&text);
	sizes[0] = text.size;
	for (int i = 1; i <= BEHIND; i++) {
		add(&text, "\x93\x01\x02\x03", 4);
		sizes[i] = 4;
	}
	assert_true(receive(&text, sizes, 1 + BEHIND) <= 8 + text.size / (INTAKE_READ_MIN / 2));
	free(text.bytes);
}

static void test_deep(void **state)
{
	(void)state;
	play(make_deep);
}

static void test_pairs(void **state)
{
	(void)state;
	play(make_pairs);
}

static void test_lists(void **state)
{
	(void)state;
	play(make_lists);
}

static void test_bin(void **state)
{
	(void)state;
	play(make_bin);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_deep),
		cmocka_unit_test(test_pairs),
		cmocka_unit_test(test_lists),
		cmocka_unit_test(test_bin),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
