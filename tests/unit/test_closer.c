/* SPDX-License-Identifier: Apache-2.0 */
/* Descriptors that strangers have handed over count for them until they are closed. */
#include "daemon/supervisor/base/closer.h"

#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

static void settle_one(struct account *account)
{
	const uint32_t before = account->files;
	struct pollfd wait = {.fd = closer_fd(), .events = POLLIN};

	while (account->files == before) {
		assert_int_equal(poll(&wait, 1, 10000), 1);
		closer_settle();
	}
}

static void what_is_to_be_closed_counts(void **state)
{
	struct account account = {0};
	int ends[2];
	char byte;

	(void)state;
	assert_int_equal(pipe(ends), 0);
	closer_put(&account, ends[1]);
	assert_int_equal(account.files, 1);
	settle_one(&account);
	assert_int_equal(account.files, 0);
	assert_int_equal(read(ends[0], &byte, 1), 0); /* the end of the file: it was closed */
	(void)close(ends[0]);
}

static void a_connection_with_something_in_it_counts(void **state)
{
	struct account account = {0};
	int ends[2];

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
	closer_put_connection(&account, ends[0]); /* it is empty: closed at once */
	assert_int_equal(account.files, 0);
	(void)close(ends[1]);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
	assert_int_equal(write(ends[1], "x", 1), 1);
	closer_put_connection(&account, ends[0]);
	assert_int_equal(account.files, 1);
	settle_one(&account);
	assert_int_equal(account.files, 0);
	(void)close(ends[1]);
}

/* Its owner has gone before it is closed: the last descriptor frees the account. */
static void an_account_waits_for_its_descriptors(void **state)
{
	struct account all = {0};
	struct account *account = account_new(&all);
	int ends[2];

	(void)state;
	assert_int_equal(pipe(ends), 0);
	closer_put(account, ends[0]);
	closer_put(account, ends[1]);
	account_close(account);
	assert_int_equal(all.files, 2);
	settle_one(&all);
	while (all.files > 0)
		settle_one(&all);
}

static int start(void **state)
{
	(void)state;
	return closer_start();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_to_be_closed_counts),
		cmocka_unit_test(a_connection_with_something_in_it_counts),
		cmocka_unit_test(an_account_waits_for_its_descriptors),
	};
	return cmocka_run_group_tests(tests, start, NULL);
}
