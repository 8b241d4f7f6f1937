/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/supervisor/workers/keeper.h"

#include "daemon/supervisor/log/log.h"
#include "daemon/supervisor/base/spawn.h"
#include "proto/groups.h"
#include "proto/memory_file.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { END_SECONDS = 2, LOOK_MILLISECONDS = 20 };

struct keeper {
	const char *program;
	int table;             /* the file of *groups */
	struct groups *groups;
	int end; /* of the pipe to the process. Only the supervisor has it open: the kernel closes it when the supervisor ends */
	pid_t pid;             /* 0: the process is not there */
	pid_t *dying;          /* groups that were killed, and may have processes left */
	uint32_t dying_count, dying_room;
};

static int start(struct keeper *keeper)
{
	char *const argv[] = {(char *)"objpool-keeper", NULL}, *const environment[] = {NULL};
	const int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	int pipe_ends[2] = {-1, -1}, r = 0;

	if (null < 0 || pipe2(pipe_ends, O_CLOEXEC) < 0)
		r = -errno;
	const struct spawn program = {.program = keeper->program,
				      .argv = argv,
				      .environment = environment,
				      .output = null,
				      .errors = null,
				      .channel = pipe_ends[0],
				      .second = keeper->table};
	if (r == 0)
		r = spawn(&program, &keeper->pid);
	if (null >= 0)
		(void)close(null);
	if (pipe_ends[0] >= 0)
		(void)close(pipe_ends[0]);
	if (r == 0)
		keeper->end = pipe_ends[1];
	else if (pipe_ends[1] >= 0)
		(void)close(pipe_ends[1]);
	return r;
}

static int make_table(struct keeper *keeper)
{
	void *memory;

	keeper->table = memory_file("objpool-groups", sizeof *keeper->groups);
	if (keeper->table < 0)
		return keeper->table;
	memory = mmap(NULL, sizeof *keeper->groups, PROT_READ | PROT_WRITE, MAP_SHARED, keeper->table, 0);
	if (memory == MAP_FAILED)
		return -errno;
	keeper->groups = memory;
	return 0;
}

struct keeper *keeper_new(const char *program)
{
	struct keeper *keeper = calloc(1, sizeof *keeper);
	int r = -ENOMEM;

	if (keeper) {
		*keeper = (struct keeper){.program = program, .table = -1, .end = -1};
		r = make_table(keeper);
	}
	if (r < 0) {
		log_say(LOG_ERR, "there is no memory to share with workers (memfd_create): %s", strerror(-r));
		return keeper_free(keeper);
	}
	r = start(keeper);
	if (r == 0)
		return keeper;
	log_say(LOG_ERR, "can't start the process that ends what workers have forked: %s", strerror(-r));
	return keeper_free(keeper);
}

void keeper_add(struct keeper *keeper, pid_t leader)
{
	groups_add(keeper->groups, leader);
}

/* ---- groups that have been killed ---- */

/* Without memory nobody waits for the group. */
static void note_dying(struct keeper *keeper, pid_t group)
{
	if (keeper->dying_count == keeper->dying_room) {
		const uint32_t room = keeper->dying_room ? 2 * keeper->dying_room : 16;
		pid_t *dying = realloc(keeper->dying, room * sizeof *dying);
		if (!dying)
			return;
		keeper->dying = dying;
		keeper->dying_room = room;
	}
	keeper->dying[keeper->dying_count++] = group;
}

/* A process that has ended belongs to its group until it has been waited for. */
static void forget_dead(struct keeper *keeper)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < keeper->dying_count; i++)
		if (kill(-keeper->dying[i], 0) == 0)
			keeper->dying[n++] = keeper->dying[i];
	keeper->dying_count = n;
}

void keeper_end(struct keeper *keeper, pid_t pid)
{
	if (groups_end(keeper->groups, pid))
		note_dying(keeper, pid);
}

static uint64_t milliseconds(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* What has left its group on purpose is not waited for. */
static void wait_for_dying(struct keeper *keeper)
{
	static const struct timespec look = {.tv_nsec = LOOK_MILLISECONDS * 1000000};
	const uint64_t until = milliseconds() + END_SECONDS * 1000;
	sigset_t child;

	sigemptyset(&child);
	sigaddset(&child, SIGCHLD);
	for (;;) {
		while (waitpid(-1, NULL, WNOHANG) > 0)
			;
		forget_dead(keeper);
		if (keeper->dying_count == 0 || milliseconds() >= until)
			return;
		(void)sigtimedwait(&child, NULL, &look); /* the daemon has SIGCHLD blocked */
	}
}

/* ---- the process's own end ---- */

bool keeper_on_child(struct keeper *keeper, pid_t pid)
{
	if (keeper->pid != pid)
		return false;
	keeper->pid = 0;
	(void)close(keeper->end);
	keeper->end = -1;
	log_say(LOG_WARNING, "the process that ends what workers have forked was killed: it is started again");
	return true;
}

void keeper_tidy(struct keeper *keeper)
{
	forget_dead(keeper);
	const int r = keeper->pid ? 0 : start(keeper);
	if (r < 0)
		log_say(LOG_ERR, "can't start the process that ends what workers have forked: %s", strerror(-r));
}

static void end_all(struct keeper *keeper)
{
	for (pid_t leader = 0; (leader = groups_next(keeper->groups, leader + 1)) > 0;)
		keeper_end(keeper, leader);
	wait_for_dying(keeper);
}

struct keeper *keeper_free(struct keeper *keeper)
{
	if (!keeper)
		return NULL;
	if (keeper->pid > 0) {
		(void)kill(keeper->pid, SIGKILL);
		(void)waitpid(keeper->pid, NULL, 0);
	}
	if (keeper->groups) {
		end_all(keeper);
		(void)munmap(keeper->groups, sizeof *keeper->groups);
	}
	free(keeper->dying);
	if (keeper->end >= 0)
		(void)close(keeper->end);
	if (keeper->table >= 0)
		(void)close(keeper->table);
	free(keeper);
	return NULL;
}
