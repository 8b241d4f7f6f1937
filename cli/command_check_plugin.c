/* SPDX-License-Identifier: Apache-2.0 */
/* command_check_plugin: check-plugin: objpoold says what is wrong with a plugin. */
#include "cli/cli.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

const struct option check_plugin_options[] = {
	{'u', "user", "NAME", "for root: the user who loads the plugin (default: objpool, or else nobody); never root"},
	{0},
};

enum { PATH_BYTES = 4096 };

/* Becomes the program, if it is there: `beside` is where, seen from the folder of this program. */
static void run_beside(const char *beside, char *const *argv)
{
	char path[PATH_BYTES + 32];
	const ssize_t n = readlink("/proc/self/exe", path, PATH_BYTES);
	char *slash = n > 0 ? memrchr(path, '/', (size_t)n) : NULL;

	if (!slash)
		return;
	(void)snprintf(slash, sizeof path - (size_t)(slash - path), "/%s", beside);
	(void)execv(path, argv);
}

enum exit_status command_check_plugin(struct cli *cli)
{
	const char *user = arguments_get(&cli->arguments, "user");
	char *check, *as = NULL;

	if (asprintf(&check, "--check-plugin=%s", cli->arguments.words[0]) < 0 || (user && asprintf(&as, "--user=%s", user) < 0))
		return cli_fail(EXIT_CALL_FAILED, "out of memory");
	char *const argv[] = {(char *)"objpoold", check, as, NULL};
	run_beside("objpoold", argv);
	run_beside("../sbin/objpoold", argv);
	(void)execvp("objpoold", argv);
	const int r = errno;
	free(check);
	free(as);
	return cli_fail(EXIT_CALL_FAILED, "check-plugin needs objpoold: %s", strerror(r));
}
