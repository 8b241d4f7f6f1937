/* SPDX-License-Identifier: Apache-2.0 */
/* Descriptors that a program is started with, wherever they lie in this process. */
#include "daemon/supervisor/base/spawn.h"
#include "proto/channel.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

enum { FREE = 40 /* a number above those that are in use */ };

/* The writing end of a new pipe at `place`, its other end in *reader. */
static int make(int place, int *reader)
{
	int ends[2];

	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	*reader = fcntl(ends[0], F_DUPFD_CLOEXEC, FREE);
	const int writer = fcntl(ends[1], F_DUPFD_CLOEXEC, FREE);
	(void)close(ends[0]);
	(void)close(ends[1]);
	assert_int_equal(dup3(writer, place, O_CLOEXEC), place);
	(void)close(writer);
	return place;
}

static void says(int reader, char what)
{
	char byte = 0;

	assert_int_equal(read(reader, &byte, 1), 1);
	assert_int_equal(byte, what);
	assert_int_equal(read(reader, &byte, 1), 0);
	(void)close(reader);
}

static void start(int channel, int second)
{
	static char sh[] = "sh", option[] = "-c", script[] = "printf c >&3; printf s >&4";
	char *const argv[] = {sh, option, script, NULL}, *const environment[] = {NULL};
	const int low = open("/dev/null", O_WRONLY | O_CLOEXEC), null = fcntl(low, F_DUPFD_CLOEXEC, FREE);
	int of_channel, of_second, status;
	pid_t pid;

	(void)close(low);
	const struct spawn what = {.program = "/bin/sh", .argv = argv, .environment = environment, .output = null, .errors = null,
				   .channel = make(channel, &of_channel), .second = make(second, &of_second)};
	assert_int_equal(spawn(&what, &pid), 0);
	(void)close(channel);
	(void)close(second);
	(void)close(null);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	says(of_channel, 'c');
	says(of_second, 's');
}

static void each_goes_where_it_belongs(void **state)
{
	(void)state;
	start(30, 31);
	start(30, CHANNEL_FD);                 /* where the channel goes */
	start(CHANNEL_FD + 1, 30);             /* where the second goes */
	start(CHANNEL_FD, CHANNEL_FD + 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(each_goes_where_it_belongs)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
