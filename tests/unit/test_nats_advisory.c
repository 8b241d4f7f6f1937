/* SPDX-License-Identifier: Apache-2.0 */
/* What a NATS server tells of a connection that has ended. */
#include "gateway/bus/nats_advisory.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* As nats-server 2.9.10 writes it. */
static const char real[] =
	"{\"type\":\"io.nats.server.advisory.v1.client_disconnect\",\"id\":\"NDFM7pxUcBRgn9UllzJETe\","
	"\"timestamp\":\"2026-11-29T19:32:07.794604434Z\",\"server\":{\"name\":\"n1\",\"host\":\"127.0.0.1\","
	"\"id\":\"NB4P\",\"ver\":\"2.9.10\",\"seq\":23,\"jetstream\":false,"
	"\"time\":\"2026-11-29T19:32:07.794853173Z\"},"
	"\"client\":{\"start\":\"2026-11-29T19:32:07.693193598Z\",\"host\":\"127.0.0.1\",\"id\":6,"
	"\"acc\":\"OBJPOOL\",\"user\":\"h2\",\"name\":\"objpool prod h2\",\"lang\":\"c\",\"ver\":\"1\","
	"\"rtt\":600000,\"kind\":\"Client\",\"client_type\":\"nats\"},\"sent\":{\"msgs\":0,\"bytes\":0},"
	"\"received\":{\"msgs\":0,\"bytes\":0},\"reason\":\"Client Closed\"}";

static int read_text_of(const char *json, char name[NATS_ADVISORY_NAME])
{
	return nats_advisory_read((struct span){.bytes = (const uint8_t *)json, .size = strlen(json)}, name);
}

static void test_a_name_is_read(void **state)
{
	char name[NATS_ADVISORY_NAME];

	(void)state;
	assert_int_equal(read_text_of(real, name), 0);
	assert_string_equal(name, "objpool prod h2");
	assert_int_equal(read_text_of("{\"reason\": \"\", \"client\": {\"name\": \"\"}}", name), 0);
	assert_string_equal(name, "");
}

static void test_a_server_that_stops_says_nothing_of_its_clients(void **state)
{
	char name[NATS_ADVISORY_NAME];

	(void)state;
	assert_int_equal(read_text_of("{\"client\": {\"name\": \"h\"}, \"reason\": \"Server Shutdown\"}", name), -EBADMSG);
}

static void test_what_is_none(void **state)
{
	static const char *const none[] = {
		"",
		"x",
		"7",
		"[]",
		"{}",
		"{\"reason\": \"Client Closed\"}",
		"{\"client\": {\"name\": \"h\"}}",
		"{\"client\": \"h\", \"reason\": \"x\"}",
		"{\"client\": {\"name\": 7}, \"reason\": \"x\"}",
		"{\"client\": {\"name\": \"h\"}, \"reason\": 7}",
		"{\"client\": {\"name\": \"h\"}, \"reason\": \"x\"",
		"{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{"
		"\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":1}}}}}}}}}}}}}}}}}",
	};
	char name[NATS_ADVISORY_NAME];

	(void)state;
	for (size_t i = 0; i < sizeof none / sizeof *none; i++)
		assert_int_equal(read_text_of(none[i], name), -EBADMSG);
}

static void test_what_is_too_long(void **state)
{
	static const char head[] = "{\"reason\": \"x\", \"client\": {\"name\": \"", end[] = "\"}}";
	char *json = calloc(1, 100 << 10), name[NATS_ADVISORY_NAME];

	(void)state;
	assert_non_null(json);
	memcpy(json, head, sizeof head - 1);
	memset(json + sizeof head - 1, 'n', 255);
	memcpy(json + sizeof head - 1 + 255, end, sizeof end);
	assert_int_equal(read_text_of(json, name), 0);
	assert_int_equal(strlen(name), 255);
	memset(json + sizeof head - 1, 'n', 256);
	memcpy(json + sizeof head - 1 + 256, end, sizeof end);
	assert_int_equal(read_text_of(json, name), -EBADMSG);
	memset(json, ' ', 99 << 10);
	assert_int_equal(read_text_of(json, name), -EBADMSG);
	free(json);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_name_is_read),
		cmocka_unit_test(test_a_server_that_stops_says_nothing_of_its_clients),
		cmocka_unit_test(test_what_is_none),
		cmocka_unit_test(test_what_is_too_long),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
