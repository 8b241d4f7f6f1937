/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/supervisor/base/spawn.h"

#include "daemon/supervisor/config/paths.h"
#include "proto/channel.h"

#include <assert.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

char *spawn_find_worker(const char *configured)
{
	return configured ? strdup(configured) : paths_find("objpool-worker", paths_worker);
}

char *const *spawn_environment(void)
{
	static const char *const kept[] = {"PATH",
					   "HOME",
					   "USER",
					   "LOGNAME",
					   "LANG",
					   "LC_ALL",
					   "LC_CTYPE",
					   "LC_NUMERIC",
					   "TZ",
					   "TMPDIR",
					   "XDG_RUNTIME_DIR",
					   "LD_LIBRARY_PATH",
					   "OBJPOOL_PYTHON",
					   "ASAN_OPTIONS",
					   "UBSAN_OPTIONS",
					   "LSAN_OPTIONS"};
	static char *environment[sizeof kept / sizeof *kept + 1];
	bool complete = false;
	size_t n = 0;

	if (environment[0])
		return environment;
	for (size_t i = 0; i < sizeof kept / sizeof *kept; i++) {
		const char *value = getenv(kept[i]);
		if (value && asprintf(&environment[n], "%s=%s", kept[i], value) < 0)
			break;
		n += value != NULL;
		complete = i + 1 == sizeof kept / sizeof *kept;
	}
	environment[n] = NULL;
	while (!complete && n > 0) {
		free(environment[--n]);
		environment[n] = NULL;
	}
	return complete ? environment : NULL;
}

/* The one that lies where the other goes is moved first. */
static int add_channels(posix_spawn_file_actions_t *actions, const struct spawn *what)
{
	const bool channel_first = what->channel == CHANNEL_FD + 1;
	int r = 0;

	assert(!channel_first || what->second != CHANNEL_FD);
	for (int i = 0; i < 2 && r == 0; i++) {
		if (channel_first == (i == 0))
			r = what->channel >= 0 ? posix_spawn_file_actions_adddup2(actions, what->channel, CHANNEL_FD) : 0;
		else
			r = what->second ? posix_spawn_file_actions_adddup2(actions, what->second, CHANNEL_FD + 1) : 0;
	}
	return r;
}

static int add_descriptors(posix_spawn_file_actions_t *actions, const struct spawn *what)
{
	const int first_other = what->channel < 0 ? STDERR_FILENO + 1 : what->second ? CHANNEL_FD + 2 : CHANNEL_FD + 1;
	int r = posix_spawn_file_actions_addopen(actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);

	if (r == 0)
		r = posix_spawn_file_actions_adddup2(actions, what->output, STDOUT_FILENO);
	if (r == 0)
		r = posix_spawn_file_actions_adddup2(actions, what->errors, STDERR_FILENO);
	if (r == 0)
		r = add_channels(actions, what);
	return r ? r : posix_spawn_file_actions_addclosefrom_np(actions, first_other);
}

static int set_signals(posix_spawnattr_t *attributes)
{
	sigset_t none, all;

	sigemptyset(&none);
	sigfillset(&all);
	const int r = posix_spawnattr_setflags(attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSID);
	return r ? r : posix_spawnattr_setsigmask(attributes, &none) | posix_spawnattr_setsigdefault(attributes, &all);
}

int spawn(const struct spawn *what, pid_t *pid)
{
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attributes;
	int r = posix_spawn_file_actions_init(&actions);

	if (r != 0)
		return -r;
	r = posix_spawnattr_init(&attributes);
	if (r == 0) {
		r = add_descriptors(&actions, what);
		if (r == 0)
			r = set_signals(&attributes);
		if (r == 0)
			r = posix_spawn(pid, what->program, &actions, &attributes, what->argv, what->environment);
		posix_spawnattr_destroy(&attributes);
	}
	posix_spawn_file_actions_destroy(&actions);
	return -r;
}
