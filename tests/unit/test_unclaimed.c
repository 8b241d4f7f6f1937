/* SPDX-License-Identifier: Apache-2.0 */
/* Ends of children that nobody knew when they were waited for: whose are they? */
#include "daemon/supervisor/base/unclaimed.h"

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static pid_t child(void)
{
	const pid_t pid = fork();

	if (pid == 0) {
		for (;;)
			(void)pause();
	}
	assert_true(pid > 0);
	return pid;
}

static int end(pid_t pid)
{
	int status;

	assert_int_equal(kill(pid, SIGKILL), 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return status;
}

static void an_end_is_claimed_once(void **state)
{
	struct unclaimed unclaimed = {0};
	const pid_t pid = child();
	int status = 0;

	(void)state;
	assert_int_equal(unclaimed_take(&unclaimed, pid, &status), 0);
	unclaimed_add(&unclaimed, pid, end(pid));
	assert_int_equal(unclaimed_take(&unclaimed, pid, &status), 1);
	assert_int_equal(status, SIGKILL);
	assert_int_equal(unclaimed_take(&unclaimed, pid, &status), -ESRCH);
}

/* The pid of an orphan that ended long ago is another process's now. */
static void an_old_end_is_not_a_new_process_s(void **state)
{
	struct unclaimed unclaimed = {0};
	const pid_t pid = child();
	int status = 0;

	(void)state;
	unclaimed_add(&unclaimed, pid, 7 << 8);
	assert_int_equal(unclaimed_take(&unclaimed, pid, &status), 0);
	unclaimed_add(&unclaimed, pid, end(pid));
	assert_int_equal(unclaimed_take(&unclaimed, pid, &status), 1);
	assert_int_equal(status, SIGKILL);
}

static void the_oldest_are_forgotten(void **state)
{
	struct unclaimed unclaimed = {0};
	const pid_t first = child(), last = child();
	int status = 0;

	(void)state;
	unclaimed_add(&unclaimed, first, end(first));
	for (pid_t pid = 0; pid < UNCLAIMED_MAX - 1; pid++)
		unclaimed_add(&unclaimed, INT32_MAX - pid, 0);
	unclaimed_add(&unclaimed, last, end(last));
	assert_int_equal(unclaimed_take(&unclaimed, first, &status), -ESRCH);
	assert_int_equal(unclaimed_take(&unclaimed, last, &status), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_end_is_claimed_once),
		cmocka_unit_test(an_old_end_is_not_a_new_process_s),
		cmocka_unit_test(the_oldest_are_forgotten),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
