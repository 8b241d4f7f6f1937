/* SPDX-License-Identifier: Apache-2.0 */
/* Cgroups of pools that go: the kernel removes none that a process is in, and a process that was killed is in it for a while. */
#include "daemon/supervisor/base/cgroup.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

/* ---- a directory in the place of the kernel's ---- */

static char base[] = "/tmp/objpool-cgroup-XXXXXX";
static const char *busy[3]; /* ends of paths that processes are in */
static char removed[256];   /* the ends of those that were removed, in order */

int __wrap_rmdir(const char *path);
int __wrap_rmdir(const char *path)
{
	for (size_t i = 0; i < sizeof busy / sizeof *busy; i++)
		if (busy[i] && strstr(path + strlen(base), busy[i])) { /* also what is above one that is busy */
			errno = EBUSY;
			return -1;
		}
	snprintf(removed + strlen(removed), sizeof removed - strlen(removed), "%s ", path + strlen(base));
	return 0;
}

static int make_base(void **state)
{
	char path[64];

	(void)state;
	if (!mkdtemp(base) || setenv("OBJPOOL_CGROUP", base, 1) < 0)
		return -1;
	snprintf(path, sizeof path, "%s/cgroup.controllers", base);
	FILE *file = fopen(path, "w");
	return file && fputs("cpu memory\n", file) >= 0 && fclose(file) == 0 ? 0 : -1;
}

static int remove_base(void **state)
{
	char command[64];

	(void)state;
	snprintf(command, sizeof command, "rm -r %s", base);
	return system(command);
}

/* ---- */

static char *make_pool(struct cgroups *cgroups)
{
	const struct cgroup_pool pool = {.name = "p", .version = 1, .max = 1 << 20};
	char reason[256], *path = NULL;

	assert_int_equal(cgroup_make(cgroups, &pool, &path, reason, sizeof reason), 0);
	return path;
}

static char *make_worker(const char *pool)
{
	char *path = NULL;
	int fd = -1;

	assert_int_equal(cgroup_make_worker(pool, 0, 1, &path, &fd), 0);
	assert_int_equal(close(fd), 0);
	return path;
}

static void what_is_empty_goes_at_once(void **state)
{
	struct cgroups cgroups = {0};

	(void)state;
	removed[0] = '\0';
	assert_null(cgroup_remove(&cgroups, make_pool(&cgroups)));
	assert_string_equal(removed, "/p.1 /p.1/template ");
	assert_null(cgroups.first);
	cgroups_free(&cgroups);
}

static void what_is_busy_goes_when_its_process_has_ended(void **state)
{
	struct cgroups cgroups = {0};
	char *pool = make_pool(&cgroups), *worker = make_worker(pool);

	(void)state;
	busy[0] = "/p.1";
	removed[0] = '\0';
	assert_null(cgroup_remove(&cgroups, pool));
	assert_null(cgroup_remove_worker(&cgroups, worker));
	assert_string_equal(removed, "");
	busy[0] = "/p.1/0.1";
	cgroups_tidy(&cgroups); /* the template has ended */
	assert_non_null(strstr(removed, "/p.1/template "));
	assert_non_null(cgroups.first);
	busy[0] = NULL;
	removed[0] = '\0';
	cgroups_tidy(&cgroups);
	assert_non_null(strstr(removed, "/p.1/0.1 "));
	assert_null(cgroups.first);
	cgroups_free(&cgroups);
}

static void what_never_ends_is_freed(void **state)
{
	struct cgroups cgroups = {0};

	(void)state;
	busy[0] = "/p.1";
	assert_null(cgroup_remove(&cgroups, make_pool(&cgroups)));
	assert_non_null(cgroups.first);
	cgroups_free(&cgroups);
	busy[0] = NULL;
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(what_is_empty_goes_at_once),
					   cmocka_unit_test(what_is_busy_goes_when_its_process_has_ended),
					   cmocka_unit_test(what_never_ends_is_freed)};

	return cmocka_run_group_tests(tests, make_base, remove_base);
}
