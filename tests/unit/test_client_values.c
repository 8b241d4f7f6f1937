/* SPDX-License-Identifier: Apache-2.0 */
/* What libobjpool packs and reads: objpool_pack_*, objpool_pack, objpool_read_*. */
#include "tests/unit/client_server.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <cmocka.h>

static void assert_packs(const char *bytes, size_t size, struct objpool_packer *packer)
{
	assert_int_equal(packer->error, 0);
	assert_int_equal(packer->size, size);
	assert_memory_equal(packer->data, bytes, size);
	objpool_packer_free(packer);
}

#define ASSERT_PACKS(bytes, packer) assert_packs(bytes, sizeof(bytes) - 1, packer)

static void test_format(void **state)
{
	struct objpool_packer p = OBJPOOL_PACKER_INIT;

	(void)state;
	assert_int_equal(objpool_pack(&p, "[i, {s: f, s: [b n]}, B S v]", -7, "rate", 0.5, "flags", 1, "\1\2", (size_t)2, "xyz",
				      (size_t)2, (struct objpool_bytes){"\x05", 1}),
			 0);
	ASSERT_PACKS("\x95\xf9\x82\xa4rate\xcb\x3f\xe0\0\0\0\0\0\0\xa5"
		     "flags\x92\xc3\xc0\xc4\2\1\2\xa2xy\5",
		     &p);
	static const char *const malformed[] = {"[", "]", "[i", "{s}", "[}", "{]", "q", "[i]]", "{[i}"};
	for (size_t i = 0; i < sizeof malformed / sizeof *malformed; i++) {
		assert_int_equal(objpool_pack(&p, malformed[i], 1, "", 2), -EINVAL);
		assert_int_equal(p.size, 0);
	}
	objpool_packer_free(&p);
}

static void test_integers_are_shortest_and_come_back(void **state)
{
	static const int64_t numbers[] = {0,     1,          127,        128,       255,         256,         65535,
					  65536, 4294967295, 4294967296, INT64_MAX, -1,          -32,         -33,
					  -128,  -129,       -32768,     -32769,    -2147483648, -2147483649, INT64_MIN};
	static const unsigned char sizes[] = {1, 1, 1, 2, 2, 3, 3, 5, 5, 9, 9, 1, 1, 2, 2, 3, 3, 5, 5, 9, 9};
	int64_t number;
	uint64_t large;

	(void)state;
	for (size_t i = 0; i < sizeof sizes; i++) {
		struct objpool_packer p = OBJPOOL_PACKER_INIT;
		objpool_pack_int(&p, numbers[i]);
		assert_int_equal(p.size, sizes[i]);
		struct objpool_reader reader = objpool_reader(objpool_packed(&p));
		assert_int_equal(objpool_read_int(&reader, &number), 0);
		assert_true(number == numbers[i] && reader.next == reader.end);
		objpool_packer_free(&p);
	}
	struct objpool_reader reader = objpool_reader((struct objpool_bytes){"\xcf\xff\xff\xff\xff\xff\xff\xff\xff", 9});
	assert_int_equal(objpool_read_int(&reader, &number), -EINVAL);
	assert_int_equal(objpool_read_uint(&reader, &large), 0);
	assert_true(large == UINT64_MAX);
}

/* What one packs, msgpack-c unpacks and packs to the same bytes, and the other reads. */
static void test_sizes(void **state)
{
	static const size_t sizes[] = {0, 1, 2, 3, 4, 8, 15, 16, 17, 31, 32, 255, 256, 65535, 65536};
	static char text[65536];

	(void)state;
	memset(text, 'x', sizeof text);
	for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
		struct objpool_packer p = OBJPOOL_PACKER_INIT, q = OBJPOOL_PACKER_INIT;
		const char *str;
		const void *bytes;
		size_t size;
		int8_t type;
		uint32_t count;
		objpool_pack_array(&p, 3);
		objpool_pack_str(&p, text, sizes[i]);
		objpool_pack_bin(&p, text, sizes[i]);
		objpool_pack_ext(&p, -3, text, sizes[i]);
		msgpack_unpacked unpacked;
		msgpack_unpacked_init(&unpacked);
		assert_int_equal(msgpack_unpack_next(&unpacked, (char *)p.data, p.size, NULL), MSGPACK_UNPACK_SUCCESS);
		pack_object(&q, unpacked.data);
		msgpack_unpacked_destroy(&unpacked);
		assert_int_equal(q.size, p.size);
		assert_memory_equal(q.data, p.data, p.size);
		struct objpool_reader r = objpool_reader(objpool_packed(&p));
		assert_int_equal(objpool_read_array(&r, &count), 0);
		assert_true(objpool_read_str(&r, &str, &size) == 0 && size == sizes[i]);
		assert_true(objpool_read_bin(&r, &bytes, &size) == 0 && size == sizes[i]);
		assert_true(objpool_read_ext(&r, &type, &bytes, &size) == 0 && size == sizes[i]);
		assert_true(type == -3 && r.next == r.end);
		objpool_packer_free(&p);
		objpool_packer_free(&q);
	}
}

/* Every beginning of a value that is cut short, and every single first byte, is refused or read within bounds. */
static void test_reader_is_safe(void **state)
{
	(void)state;
	for (unsigned first = 0; first < 256; first++)
		for (size_t size = 0; size <= 4; size++) {
			unsigned char *bytes = malloc(size + 1); /* exactly as large as it is, for the sanitizer */
			struct objpool_bytes values = {bytes, size};
			const char *text;
			const void *data;
			size_t n;
			int64_t number;
			double real;
			int8_t type;
			uint32_t count;
			memset(bytes, 0xff, size + 1);
			bytes[0] = (unsigned char)first;
			unsigned char *exact = realloc(bytes, size ? size : 1);
			values.data = exact;
			for (int i = 0; i < 8; i++) {
				struct objpool_reader r = objpool_reader(values);
				switch (i) {
				case 0:
					(void)objpool_read_str(&r, &text, &n);
					break;
				case 1:
					(void)objpool_read_bin(&r, &data, &n);
					break;
				case 2:
					(void)objpool_read_ext(&r, &type, &data, &n);
					break;
				case 3:
					(void)objpool_read_int(&r, &number);
					break;
				case 4:
					(void)objpool_read_double(&r, &real);
					break;
				case 5:
					(void)objpool_read_array(&r, &count);
					break;
				case 6:
					(void)objpool_read_map(&r, &count);
					break;
				default:
					(void)objpool_read_value(&r, NULL);
					break;
				}
				assert_true(r.next <= r.end);
			}
			free(exact);
		}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_format),
		cmocka_unit_test(test_integers_are_shortest_and_come_back),
		cmocka_unit_test(test_sizes),
		cmocka_unit_test(test_reader_is_safe),
	};

	return cmocka_run_group_tests_name("client values", tests, NULL, NULL);
}
