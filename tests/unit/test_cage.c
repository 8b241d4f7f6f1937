/* SPDX-License-Identifier: Apache-2.0 */
/* What an older kernel's Landlock leaves open, the filter of system calls closes. And lists of CPUs. */
#include "daemon/worker/cage/cage_steps.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static char path[] = "/tmp/objpool-cage-XXXXXX";

static bool is_denied(long result)
{
	return result < 0 && errno == EPERM;
}

/* In a process of its own: exits with the number of the first thing that was not as it should be. */
static int try_old_kernel(void)
{
	static const char no_paths[] = "\x90";
	const struct cage_kernel old = {0};
	char reason[256];
	const struct cage cage = {.network = CAGE_UNSET,
				  .syscalls = CAGE_UNSET,
				  .write = {.bytes = (const uint8_t *)no_paths, .size = 1},
				  .reason = reason,
				  .reason_size = sizeof reason};

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || cage_filter_syscalls(&cage, &old) < 0)
		return 1;
	if (!is_denied(kill(getppid(), 0)) || !is_denied(raise(SIGCONT) == 0 ? 0 : -1) || !is_denied(kill(0, 0)))
		return 2;
	if (!is_denied(truncate(path, 0)) || !is_denied(open(path, O_RDONLY | O_TRUNC)))
		return 3;
	const int fd = open(path, O_RDWR);
	if (fd < 0 || !is_denied(fcntl(fd, F_SETOWN, getppid())) || fcntl(fd, F_GETFL) < 0)
		return 4;
	return 0;
}

static void test_old_kernel(void **state)
{
	int status;

	(void)state;
	const int fd = mkstemp(path);
	assert_true(fd >= 0);
	const pid_t child = fork();
	if (child == 0)
		_exit(try_old_kernel());
	assert_int_equal(waitpid(child, &status, 0), child);
	(void)close(fd);
	(void)unlink(path);
	assert_int_equal(status, 0);
}

static void test_kernels(void **state)
{
	(void)state;
	assert_false(cage_kernel_of(2).guards_truncation);
	assert_true(cage_kernel_of(3).guards_truncation);
	assert_false(cage_kernel_of(5).scopes_signals);
	assert_true(cage_kernel_of(6).scopes_signals);
}

static void test_cpus(void **state)
{
	static const struct {
		const char *text;
		int count, last; /* 0: it is no list */
	} lists[] = {{"0", 1, 0},    {"0-3,8", 5, 8}, {"1023", 1, 1023}, {"5,5", 1, 5},  {"", 0, 0},
		     {"1024", 0, 0}, {"3-1", 0, 0},   {"0,", 0, 0},      {",0", 0, 0},   {"0-", 0, 0},
		     {"-1", 0, 0},   {"0 1", 0, 0},   {"0x1", 0, 0},     {"0--1", 0, 0}, {"99999999999999999999", 0, 0}};
	cpu_set_t set;

	(void)state;
	for (size_t i = 0; i < sizeof lists / sizeof *lists; i++) {
		const int r = cage_parse_cpus(lists[i].text, strlen(lists[i].text), &set);
		assert_int_equal(r, lists[i].count > 0 ? 0 : -1);
		if (r == 0)
			assert_true(CPU_COUNT(&set) == lists[i].count && CPU_ISSET((size_t)lists[i].last, &set));
	}
}

/* A key that the template doesn't know would be a cage with a hole. */
static void test_unknown_key(void **state)
{
	static const uint8_t known[] = "\x81\xa4nice\x05", unknown[] = "\x81\xa4nicf\x05", wrong[] = "\x81\xa4nice\xa1x";
	struct cage cage = {0};

	(void)state;
	assert_int_equal(cage_read(&cage, (struct span){.bytes = known, .size = sizeof known - 1}), 0);
	assert_int_equal(cage.nice, 5);
	assert_int_equal(cage_read(&cage, (struct span){.bytes = unknown, .size = sizeof unknown - 1}), -1);
	assert_int_equal(cage_read(&cage, (struct span){.bytes = wrong, .size = sizeof wrong - 1}), -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_old_kernel), cmocka_unit_test(test_kernels),
					   cmocka_unit_test(test_cpus), cmocka_unit_test(test_unknown_key)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
