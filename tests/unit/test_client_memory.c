/* SPDX-License-Identifier: Apache-2.0 */
/* libobjpool when there is no memory: each allocation fails in turn (tests/unit/failing.h). */
#include "tests/unit/client_server.h"
#include "tests/unit/failing.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

/* An array of texts, each larger than what there was room for. */
static void pack_texts(struct objpool_packer *packer)
{
	static char text[20000];

	objpool_pack_array(packer, 3);
	for (int i = 0; i < 3; i++) {
		memset(text, 'a' + i, sizeof text);
		objpool_pack_str(packer, text, sizeof text);
	}
}

/* What could not be packed is not "none", nor a part of itself, wherever it is used. */
static void assert_refused(struct objpool_client *client, struct objpool_bytes failed)
{
	const struct objpool_call_options kwargs = {.size = sizeof kwargs, .kwargs = failed},
					  bind = {.size = sizeof bind, .bind = failed},
					  bind_kwargs = {.size = sizeof bind_kwargs, .bind_kwargs = failed};
	const struct objpool_bytes none = {NULL, 0};
	struct objpool_packer other = OBJPOOL_PACKER_INIT;
	struct objpool_result result;

	assert_null(failed.data);
	assert_int_equal(objpool_call(client, "sim.echo", failed, NULL, &result), -ENOMEM);
	assert_int_equal(objpool_call(client, "sim.echo", none, &kwargs, &result), -ENOMEM);
	assert_int_equal(objpool_call(client, "sim.echo", none, &bind, &result), -ENOMEM);
	assert_int_equal(objpool_call(client, "sim.echo", none, &bind_kwargs, &result), -ENOMEM);
	assert_int_equal(objpool_notify(client, "sim.echo", failed), -ENOMEM);
	assert_int_equal(objpool_unsent(client), 0);
	assert_int_equal(objpool_pack(&other, "[v]", failed), -ENOMEM);
	objpool_packer_free(&other);
	struct objpool_reader reader = objpool_reader(failed);
	assert_int_equal(objpool_read_type(&reader), OBJPOOL_END);
}

/* Packs with the n-th allocation failing. False: none did. */
static bool pack_without_memory(struct objpool_client *client, struct objpool_bytes right, int n, bool lasting)
{
	struct objpool_packer packer = OBJPOOL_PACKER_INIT;
	struct failing plan;

	failing = &plan;
	failing_begin(&plan, n, lasting);
	pack_texts(&packer);
	const bool failed = failing_end(&plan);
	failing = NULL;
	const struct objpool_bytes packed = objpool_packed(&packer);
	if (failed) {
		assert_int_equal(packer.error, -ENOMEM);
		assert_refused(client, packed);
	} else {
		assert_int_equal(packed.size, right.size);
		assert_memory_equal(packed.data, right.data, right.size);
	}
	objpool_packer_free(&packer);
	return failed;
}

static void test_packing_without_memory(void **state)
{
	int fd;
	struct objpool_client *client = connect_without_server(&fd);
	struct objpool_packer right = OBJPOOL_PACKER_INIT;

	(void)state;
	pack_texts(&right);
	for (int lasting = 0; lasting < 2; lasting++)
		for (int n = 0; pack_without_memory(client, objpool_packed(&right), n, lasting);)
			assert_true(++n < 100);
	objpool_packer_free(&right);
	objpool_close(client);
	close(fd);
}

/* A whole call. The connection may be lost for want of memory, but then every call says so. False: no allocation failed. */
static bool call_without_memory(int n, bool lasting)
{
	static const char text[100000];
	struct server server;
	struct objpool_client *client = server_start(&server);
	struct objpool_result result;
	struct failing plan;

	failing = &plan;
	failing_begin(&plan, n, lasting);
	const int rc = objpool_callf(client, "sim.echo", &result, "[S]", text, sizeof text);
	const bool failed = failing_end(&plan);
	failing = NULL;
	assert_true(rc == 0 || failed);
	if (rc == 0)
		assert_true(result.value.size == 6 + sizeof text &&
			    memcmp((const char *)result.value.data + 6, text, sizeof text) == 0);
	else
		assert_true(rc == -ENOMEM || (rc == -EREMOTEIO && strcmp(result.error->code, "DISCONNECTED") == 0));
	objpool_result_free(&result);
	const int again = objpool_callf(client, "sim.echo", &result, "[i]", n);
	assert_true(again == 0 || again == -ENOTCONN);
	objpool_result_free(&result);
	server_stop(&server, client);
	return failed;
}

static void test_calls_without_memory(void **state)
{
	(void)state;
	for (int lasting = 0; lasting < 2; lasting++)
		for (int n = 0; call_without_memory(n, lasting);)
			assert_true(++n < 100);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_packing_without_memory),
		cmocka_unit_test(test_calls_without_memory),
	};

	return cmocka_run_group_tests_name("client memory", tests, NULL, NULL);
}
