/* SPDX-License-Identifier: Apache-2.0 */
/* The scanner against msgpack-c: on values made at random, on the same mutated, and cut at every place. */
#include "proto/scan.h"

#include <errno.h>
#include <msgpack.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

enum { ROUNDS = 40000, DEPTH = 6 };

static uint64_t seed = 20260101; /* printed when a test fails */

static uint32_t dice(uint32_t sides)
{
	seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (uint32_t)(seed >> 33) % sides;
}

static void make_value(msgpack_packer *packer, int depth);

static void make_container(msgpack_packer *packer, int depth)
{
	const uint32_t n = dice(4) ? dice(5) : dice(40);
	const bool is_map = dice(2);

	if (is_map)
		msgpack_pack_map(packer, n);
	else
		msgpack_pack_array(packer, n);
	for (uint32_t i = 0; i < n * (1u + is_map); i++)
		make_value(packer, depth - 1);
}

static void make_bytes(msgpack_packer *packer)
{
	static const char bytes[70000];
	const uint32_t n = dice(3) ? dice(40) : dice(3) ? dice(300) : dice(70000);

	switch (dice(3)) {
	case 0:
		msgpack_pack_str_with_body(packer, bytes, n);
		break;
	case 1:
		msgpack_pack_bin_with_body(packer, bytes, n);
		break;
	default:
		msgpack_pack_ext_with_body(packer, bytes, n, 5);
	}
}

static void make_value(msgpack_packer *packer, int depth)
{
	switch (dice(depth > 0 ? 9 : 7)) {
	case 0:
		msgpack_pack_nil(packer);
		break;
	case 1:
		msgpack_pack_int64(packer, (int64_t)dice(UINT32_MAX) << dice(32));
		break;
	case 2:
		msgpack_pack_int64(packer, -(int64_t)dice(UINT32_MAX) * (INT64_C(1) << dice(31)));
		break;
	case 3:
		msgpack_pack_double(packer, dice(1000) / 3.0);
		break;
	case 4:
		msgpack_pack_float(packer, (float)dice(1000) / 3);
		break;
	case 5:
		msgpack_pack_true(packer);
		break;
	case 6:
		make_bytes(packer);
		break;
	default:
		make_container(packer, depth);
	}
}

/* What msgpack-c makes of it: the value's length, 0 for half of one, -1 for nonsense, -2 for what it can't hold. */
static int64_t reference(const char *bytes, size_t size)
{
	msgpack_zone zone;
	msgpack_object object;
	size_t used = 0;

	assert_true(msgpack_zone_init(&zone, 8192));
	const msgpack_unpack_return r = size ? msgpack_unpack(bytes, size, &used, &zone, &object) : MSGPACK_UNPACK_CONTINUE;
	msgpack_zone_destroy(&zone);
	switch (r) {
	case MSGPACK_UNPACK_SUCCESS:
		return (int64_t)size;
	case MSGPACK_UNPACK_EXTRA_BYTES:
		return (int64_t)used;
	case MSGPACK_UNPACK_CONTINUE:
		return 0;
	case MSGPACK_UNPACK_PARSE_ERROR:
		return -1;
	default:
		return -2;
	}
}

/* A count that msgpack-c would reserve gigabytes for. */
static bool is_bomb(const uint8_t *bytes, size_t size)
{
	struct scan scan;
	scan_begin(&scan, 1 << 20);
	return scan_run(&scan, bytes, size) >= 0 && scan.over;
}

static void compare(const msgpack_sbuffer *buffer, uint64_t from)
{
	const uint8_t *bytes = (const uint8_t *)buffer->data;
	if (is_bomb(bytes, buffer->size))
		return;
	const int64_t theirs = reference(buffer->data, buffer->size), ours = scan_length(bytes, buffer->size);
	if (theirs == -2 || (theirs == -1 && ours == -EBADMSG) || theirs == ours)
		return;
	fail_msg("seed %llu: msgpack-c says %lld, scan %lld", (unsigned long long)from, (long long)theirs, (long long)ours);
}

static void test_like_msgpack_c(void **state)
{
	(void)state;
	for (int i = 0; i < ROUNDS; i++) {
		const uint64_t from = seed;
		msgpack_sbuffer buffer;
		msgpack_packer packer;
		msgpack_sbuffer_init(&buffer);
		msgpack_packer_init(&packer, &buffer, msgpack_sbuffer_write);
		make_value(&packer, DEPTH);
		assert_int_equal(scan_length((uint8_t *)buffer.data, buffer.size), buffer.size);
		compare(&buffer, from);
		for (int m = 0; m < 3; m++) { /* and mutated */
			buffer.data[dice((uint32_t)buffer.size)] = (char)dice(256);
			compare(&buffer, from);
		}
		buffer.size = dice((uint32_t)buffer.size + 1); /* and cut */
		compare(&buffer, from);
		msgpack_sbuffer_destroy(&buffer);
	}
}

/* Any sequence of pieces gives what the whole gives. */
static void test_in_pieces(void **state)
{
	(void)state;
	for (int i = 0; i < 2000; i++) {
		msgpack_sbuffer buffer;
		msgpack_packer packer;
		struct scan scan;
		size_t seen = 0;
		int r = 0;
		msgpack_sbuffer_init(&buffer);
		msgpack_packer_init(&packer, &buffer, msgpack_sbuffer_write);
		make_value(&packer, DEPTH);
		scan_begin(&scan, INT64_MAX);
		while (r == 0) {
			assert_true(seen < buffer.size);
			seen += 1 + dice(buffer.size < 300 ? 1 : 700);
			seen = seen < buffer.size ? seen : buffer.size;
			r = scan_run(&scan, (uint8_t *)buffer.data, seen);
		}
		assert_int_equal(r, 1);
		assert_int_equal(seen, buffer.size);
		assert_int_equal(scan.pos, buffer.size);
		msgpack_sbuffer_destroy(&buffer);
	}
}

static void test_nesting(void **state)
{
	uint8_t bytes[200];
	(void)state;
	for (uint32_t levels = 0; levels < 150; levels++) {
		memset(bytes, 0x91, levels);
		bytes[levels] = 1;
		assert_int_equal(scan_length(bytes, levels + 1), levels + 1);
		assert_int_equal(scan_length(bytes, levels), 0);
		assert_int_equal(scan_nesting(bytes, levels + 1), levels <= SCAN_STACK ? levels : UINT32_MAX);
		bytes[levels] = 0x90; /* an empty array is a level, too */
		assert_int_equal(scan_length(bytes, levels + 1), levels + 1);
		if (levels < SCAN_STACK)
			assert_int_equal(scan_nesting(bytes, levels + 1), levels + 1);
	}
}

static void test_limit(void **state)
{
	static const uint8_t bin[] = {0xc6, 0, 1, 0, 0}, array[] = {0xdd, 0xff, 0xff, 0xff, 0xff}, map[] = {0xdf, 0, 0, 0x80, 0};
	struct scan scan;
	(void)state;
	scan_begin(&scan, 65541);
	assert_int_equal(scan_run(&scan, bin, sizeof bin), 0);
	assert_false(scan.over);
	scan_begin(&scan, 65540);
	assert_int_equal(scan_run(&scan, bin, sizeof bin), 0);
	assert_true(scan.over);
	scan_begin(&scan, 1 << 20);
	assert_int_equal(scan_run(&scan, array, sizeof array), 0);
	assert_true(scan.over);
	scan_begin(&scan, 5 + 65536 - 1);
	assert_int_equal(scan_run(&scan, map, sizeof map), 0);
	assert_true(scan.over);
}

/* Bombs in bombs, for ever: no number overflows into "done". */
static void test_bombs(void **state)
{
	uint8_t bytes[5 * 4000];
	struct scan scan;
	(void)state;
	for (size_t i = 0; i < sizeof bytes; i += 5)
		memcpy(bytes + i, "\xdf\xff\xff\xff\xff", 5);
	scan_begin(&scan, INT64_MAX);
	assert_int_not_equal(scan_run(&scan, bytes, sizeof bytes), 1);
	assert_true(scan.deep);
	/* Deep, and cut within a header: too large all the same. */
	memset(bytes, 0x91, 60);
	memcpy(bytes + 60, "\xdd\xff\xff\xff\xff\xdd\xff", 7);
	scan_begin(&scan, 1 << 20);
	assert_int_equal(scan_run(&scan, bytes, 67), 0);
	assert_true(scan.deep && scan.over);
}

static void test_dropped_bytes(void **state)
{
	static const uint8_t value[] = {0x93, 0xa3, 'a', 'b', 'c', 1, 0xcd, 1, 2};
	struct scan scan;
	(void)state;
	scan_begin(&scan, INT64_MAX);
	assert_int_equal(scan_run(&scan, value, 3), 0);
	scan_forget(&scan, 3);
	assert_int_equal(scan_run(&scan, value + 3, sizeof value - 3), 1);
	assert_int_equal(scan.pos, sizeof value - 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_like_msgpack_c), cmocka_unit_test(test_in_pieces), cmocka_unit_test(test_nesting),
		cmocka_unit_test(test_limit),          cmocka_unit_test(test_bombs),     cmocka_unit_test(test_dropped_bytes),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
