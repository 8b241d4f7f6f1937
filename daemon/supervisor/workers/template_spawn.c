/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/supervisor/workers/template_spawn.h"

#include "daemon/core/records/pool.h"
#include "daemon/supervisor/base/cgroup.h"
#include "daemon/supervisor/workers/keeper.h"
#include "daemon/supervisor/workers/lines.h"
#include "daemon/supervisor/base/spawn.h"
#include "daemon/supervisor/workers/template_channel.h"
#include "daemon/supervisor/workers/template_process.h"
#include "proto/channel.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

static int spawn_worker_program(struct template *template, int channel, const int printed[2])
{
	char *const argv[] = {(char *)"objpool-worker", template->pool->name, (char *)COMMAND_LINE_ROOM, NULL};
	const struct spawn program = {.program = template->daemon->worker_program,
				      .argv = argv,
				      .environment = spawn_environment(),
				      .output = printed[0],
				      .errors = printed[1],
				      .channel = channel};
	const int r = program.environment ? spawn(&program, &template->pid) : -ENOMEM;
	if (r == 0)
		keeper_add(template->daemon->keeper, template->pid);
	return r;
}

static int start_process(struct template *template)
{
	int channel[2], printed[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, channel) < 0)
		return -errno;
	(void)evutil_make_socket_nonblocking(channel[0]);
	int r = lines_open_both(template->daemon, template->pool, NULL, template->printed, printed);
	if (r == 0) {
		r = spawn_worker_program(template, channel[1], printed);
		(void)close(printed[0]);
		(void)close(printed[1]);
	}
	(void)close(channel[1]);
	if (r == 0)
		return template_attach(template, channel[0]);
	(void)close(channel[0]);
	return r;
}

static int make_cgroup(struct template *template, char *reason, size_t size)
{
	const struct cgroup_pool pool = {
		.name = template->section.name, .version = template->version, .max = template->section.cage.memory_max};

	if (pool.max == 0)
		return 0;
	if (cgroup_make(&template->daemon->cgroups, &pool, &template->cgroup, reason, size) < 0)
		return -1;
	template->killed_before = cgroup_template_kills(template->cgroup);
	return 0;
}

void template_spawn(struct template *template)
{
	char reason[512];

	if (make_cgroup(template, reason, sizeof reason) < 0) {
		template_fail(template, reason);
		return;
	}
	const int r = start_process(template);

	if (r == 0)
		return;
	snprintf(reason, sizeof reason, "%s could not be started: %s", template->daemon->worker_program, strerror(-r));
	template_fail(template, reason);
}
