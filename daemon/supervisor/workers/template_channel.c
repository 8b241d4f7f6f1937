/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/supervisor/workers/template_channel.h"

#include "daemon/core/records/pool.h"
#include "daemon/supervisor/base/closer.h"
#include "daemon/supervisor/workers/loading.h"
#include "daemon/supervisor/workers/template_forks.h"
#include "daemon/supervisor/workers/template_process.h"
#include "daemon/supervisor/workers/worker.h"
#include "daemon/supervisor/workers/worker_maker.h"
#include "proto/arrivals.h"
#include "proto/scan.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

enum { ERRNO_MAX = 4095 };

/* ---- what it says ---- */

static int on_loaded(struct template *template, struct reader *reader, uint32_t count)
{
	struct span value;
	char reason[600];

	if (count == 3) {
		if (read_nil(reader) < 0 || read_text(reader, &value) < 0)
			return -EBADMSG;
		snprintf(reason, sizeof reason, "%.*s", (int)value.size, (const char *)value.bytes);
		template_fail(template, reason);
		return 0;
	}
	const int r = read_value(reader, &value) < 0 ? -EBADMSG : template_keep_description(template, value);
	if (r == -ENOMEM)
		template_fail(template, NO_MEMORY);
	if (r < 0)
		return r == -ENOMEM ? 0 : -EBADMSG;
	template_set_state(template, TEMPLATE_READY);
	template->daemon->forks_wanted = true;
	return 0;
}

static int on_forked(struct template *template, struct reader *reader)
{
	struct worker *worker = TAILQ_FIRST(&template->forking);
	uint64_t slot, generation;
	int64_t pid;

	if (!worker || read_uint(reader, &slot) < 0 || read_uint(reader, &generation) < 0 || read_int(reader, &pid) < 0 ||
	    slot != worker->slot->index || generation != worker->slot->generation || pid > INT32_MAX || pid < -ERRNO_MAX ||
	    pid == 1 || pid == getpid())
		return -EBADMSG;
	template->daemon->forks_wanted = true; /* another fork may have waited for this one */
	if (pid <= 0) {
		template_on_fork_failed(template, worker, (int)-pid);
		return 0;
	}
	worker_move(worker, NULL);
	template->pause = 0;
	worker_on_forked(worker, (pid_t)pid);
	return 0;
}

/* [EXITED, pid, status]: it is the worker's parent. */
static int on_exited(struct template *template, struct reader *reader)
{
	int64_t pid, status;

	if (!template->maker->is_parent || read_int(reader, &pid) < 0 || read_int(reader, &status) < 0 || pid <= 0)
		return -EBADMSG;
	struct slot *slot = template_slot_of(template->pool, pid);
	if (!slot)
		return 0;
	worker_on_exit(worker_of(slot), (int)status);
	return 0;
}

/* Acts on one message of the template. 0 or -EBADMSG. */
static int on_packet(struct template *template, struct span packet)
{
	struct reader reader = reader_of(packet);
	uint32_t count;
	uint64_t type;

	if (scan_length(packet.bytes, packet.size) != (int64_t)packet.size || read_array(&reader, &count) < 0 ||
	    read_uint(&reader, &type) < 0)
		return -EBADMSG;
	if (type == FROM_LOADED && template->state == TEMPLATE_LOADING)
		return on_loaded(template, &reader, count);
	if (type == FROM_EXITED)
		return on_exited(template, &reader);
	return type == FROM_FORKED ? on_forked(template, &reader) : -EBADMSG;
}

/* ---- the channel ---- */

/* Takes one packet. False: nothing has come. The channel's end counts as a packet. */
static bool receive(struct template *template)
{
	struct block *scratch = template->daemon->scratch;
	struct arrivals arrivals = {.refusing = true, .discard = closer_put}; /* of a program that a client has offered */
	const ssize_t n = arrivals_recv(&arrivals, template->fd, scratch->bytes, scratch->capacity, MSG_DONTWAIT);

	if (n == -EAGAIN)
		return false;
	if (n <= 0)
		template->maker->on_channel_end(template);
	else if (on_packet(template, (struct span){.bytes = scratch->bytes, .size = (size_t)n}) < 0)
		template_fail(template, "the template process sent what is no message of a template");
	return true;
}

static void on_readable(evutil_socket_t fd, short what, void *data)
{
	struct template *template = data;

	(void)fd, (void)what;
	daemon_tick(template->daemon);
	(void)receive(template);
}

static int send_load(const struct template *template)
{
	return loading_send(template->fd, &(struct loading){.section = &template->section,
							    .plugin_path = template->plugin_path,
							    .cgroup = template->cgroup,
							    .max_message = template->daemon->config.max_message});
}

int template_attach(struct template *template, int fd)
{
	template->fd = fd;
	template->event = event_new(template->daemon->base, fd, EV_READ | EV_PERSIST, on_readable, template);
	template_set_state(template, TEMPLATE_LOADING);
	template->life = ++template->daemon->serial;
	template->failed_starts = 0;
	if (!template->event || event_add(template->event, NULL) < 0)
		return -ENOMEM;
	return send_load(template);
}

void template_drain_channel(struct template *template)
{
	while (template->fd >= 0)
		if (!receive(template))
			template_on_death(template);
}
