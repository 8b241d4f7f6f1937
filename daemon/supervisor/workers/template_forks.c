/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/supervisor/workers/template_forks.h"

#include "daemon/core/records/pool.h"
#include "daemon/supervisor/log/log.h"
#include "daemon/supervisor/workers/template_process.h"
#include "daemon/supervisor/workers/worker.h"
#include "daemon/supervisor/workers/worker_maker.h"
#include "proto/pack.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

enum { FORKS_AT_ONCE = 64 };
#define FORK_PATIENCE  (10 * SECOND)      /* how long a fork is tried that fails for want of processes, descriptors or memory */
#define FORK_PAUSE     (10 * MILLISECOND) /* before it is tried again; doubles */
#define FORK_PAUSE_MAX (1 * SECOND)

/* ---- one fork ---- */

static int send_fork(struct template *template, const struct worker *worker, const int fds[FORK_FILES])
{
	uint8_t packet[2 + 2 * PACK_UINT], *p = packet;
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(FORK_FILES * sizeof(int))];
	} control = {0};
	struct iovec iov = {.iov_base = packet};
	const size_t count = fds[FORK_CGROUP] >= 0 ? FORK_FILES : fds[FORK_OUTPUT] >= 0 ? FORK_CGROUP : FORK_OUTPUT;
	const struct msghdr message = {.msg_iov = &iov,
				       .msg_iovlen = 1,
				       .msg_control = control.bytes,
				       .msg_controllen = CMSG_SPACE(count * sizeof(int))};
	struct cmsghdr *c = CMSG_FIRSTHDR(&message);

	*p++ = 0x93;
	*p++ = TO_FORK;
	p = pack_uint(p, worker->slot->index);
	p = pack_uint(p, worker->slot->generation);
	iov.iov_len = (size_t)(p - packet);
	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(count * sizeof(int));
	memcpy(CMSG_DATA(c), fds, count * sizeof(int));
	return sendmsg(template->fd, &message, MSG_NOSIGNAL) < 0 ? -errno : 0;
}

void template_on_again(struct timer *timer)
{
	struct template *template = container_of(timer, struct template, again);
	template->daemon->forks_wanted = true;
}

static bool is_for_want(int error)
{
	return error == EAGAIN || error == ENOMEM || error == EMFILE || error == ENFILE || error == ETOOMANYREFS ||
	       error == ENOBUFS;
}

/* A fork has failed with `error`: true if the worker waits for another try, false if there is to be none. */
static bool try_again(struct template *template, struct worker *worker, int error)
{
	struct core *core = &template->daemon->core;

	if (!is_for_want(error) || worker->kill_wanted)
		return false;
	if (!worker->fork_failed_at)
		worker->fork_failed_at = core->now;
	if (core->now - worker->fork_failed_at >= FORK_PATIENCE)
		return false;
	if (!timer_is_set(&template->again)) {
		if (!template->pause)
			log_pool(LOG_WARNING, template->pool, "a worker could not be forked: %s; it is tried again",
				 strerror(error));
		template->pause = !template->pause                       ? FORK_PAUSE
				  : template->pause < FORK_PAUSE_MAX / 2 ? 2 * template->pause
									 : FORK_PAUSE_MAX;
		timer_set(&core->timers, &template->again, core->now + template->pause);
	}
	worker_close(worker);
	worker_move(worker, &template->waiting);
	return true;
}

void template_on_fork_failed(struct template *template, struct worker *worker, int error)
{
	char reason[128];

	if (try_again(template, worker, error))
		return;
	worker_move(worker, NULL);
	snprintf(reason, sizeof reason, "the worker could not be forked: %s", strerror(error));
	worker_on_refused(worker, reason);
}

static void fork_now(struct template *template, struct worker *worker)
{
	int fds[FORK_FILES];
	int r = worker_open(worker, fds);

	if (r == 0) {
		worker_move(worker, &template->forking);
		worker->template_life = template->life;
		r = send_fork(template, worker, fds);
		for (int i = 0; i < FORK_FILES; i++)
			if (i != FORK_BOARD && fds[i] >= 0)
				(void)close(fds[i]);
	}
	if (r < 0)
		template_on_fork_failed(template, worker, -r);
}

/* ---- what is wanted ---- */

/* Those that are to end before they were forked. */
static void refuse_unwanted(struct template *template)
{
	struct worker *worker, *next;
	struct worker_list unwanted;

	TAILQ_INIT(&unwanted);
	for (worker = TAILQ_FIRST(&template->waiting); worker; worker = next) {
		next = TAILQ_NEXT(worker, link);
		if (worker->kill_wanted)
			worker_move(worker, &unwanted);
	}
	template_refuse_all(&unwanted, template->state == TEMPLATE_READY
					       ? "the worker could not be forked within start_timeout"
					       : "the template process was not ready within start_timeout");
}

/* May another FORK be sent? Only as many are under way as the socket takes, whatever the pool's size. */
static bool may_fork(const struct template *template)
{
	const struct worker *worker;
	uint32_t under_way = 0;

	if (template->state != TEMPLATE_READY || timer_is_set(&template->again))
		return false;
	TAILQ_FOREACH(worker, &template->forking, link)
	if (++under_way == FORKS_AT_ONCE)
		return false;
	return true;
}

static void run(struct template *template)
{
	refuse_unwanted(template);
	if (TAILQ_EMPTY(&template->waiting))
		return;
	if (template->state == TEMPLATE_NONE)
		template->maker->start(template);
	struct worker *last = TAILQ_LAST(&template->waiting, worker_list), *worker = NULL;
	while (worker != last && may_fork(template) && (worker = TAILQ_FIRST(&template->waiting)))
		fork_now(template, worker);
}

void template_run(struct template *template)
{
	if (!TAILQ_EMPTY(&template->waiting))
		run(template);
}
