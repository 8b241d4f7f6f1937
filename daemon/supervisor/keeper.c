/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/supervisor/keeper.h"

#include "daemon/supervisor/log.h"
#include "daemon/supervisor/spawn.h"
#include "proto/groups.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

struct keeper {
	const char *program;
	int table;             /* the file of *groups */
	struct groups *groups;
	int end; /* of the pipe to the process. Only the supervisor has it open: the kernel closes it when the supervisor ends */
	pid_t pid;             /* 0: the process is not there */
};

static int start(struct keeper *keeper)
{
	char *const argv[] = {(char *)"objpool-keeper", NULL}, *const environment[] = {NULL};
	const int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	int tube[2] = {-1, -1}, r = 0;

	if (null < 0 || pipe2(tube, O_CLOEXEC) < 0)
		r = -errno;
	const struct spawn program = {.program = keeper->program,
				      .argv = argv,
				      .environment = environment,
				      .output = null,
				      .errors = null,
				      .channel = tube[0],
				      .second = keeper->table};
	if (r == 0)
		r = spawn(&program, &keeper->pid);
	if (null >= 0)
		(void)close(null);
	if (tube[0] >= 0)
		(void)close(tube[0]);
	if (r == 0)
		keeper->end = tube[1];
	else if (tube[1] >= 0)
		(void)close(tube[1]);
	return r;
}

static int make_table(struct keeper *keeper)
{
	void *memory;

	keeper->table = memfd_create("objpool-groups", MFD_CLOEXEC);
	if (keeper->table < 0 || ftruncate(keeper->table, sizeof *keeper->groups) < 0)
		return -errno;
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
	if (r == 0)
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

void keeper_end(struct keeper *keeper, pid_t pid)
{
	groups_end(keeper->groups, pid);
}

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
	const int r = keeper->pid ? 0 : start(keeper);
	if (r < 0)
		log_say(LOG_ERR, "can't start the process that ends what workers have forked: %s", strerror(-r));
}

struct keeper *keeper_free(struct keeper *keeper)
{
	if (!keeper)
		return NULL;
	if (keeper->groups) {
		groups_end_all(keeper->groups);
		(void)munmap(keeper->groups, sizeof *keeper->groups);
	}
	if (keeper->pid > 0) {
		(void)kill(keeper->pid, SIGKILL);
		(void)waitpid(keeper->pid, NULL, 0);
	}
	if (keeper->end >= 0)
		(void)close(keeper->end);
	if (keeper->table >= 0)
		(void)close(keeper->table);
	free(keeper);
	return NULL;
}
