/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/supervisor/workers/worker.h"

#include "daemon/core/entry/from_worker.h"
#include "daemon/core/records/pool.h"
#include "daemon/core/life/slot_life.h"
#include "daemon/core/dispatch/to_worker.h"
#include "daemon/supervisor/base/closer.h"
#include "daemon/supervisor/base/cgroup.h"
#include "daemon/supervisor/workers/keeper.h"
#include "daemon/supervisor/log/happened.h"
#include "daemon/supervisor/log/log.h"
#include "daemon/supervisor/transport/outlet.h"
#include "daemon/supervisor/transport/socket.h"
#include "daemon/supervisor/workers/template.h"
#include "daemon/supervisor/workers/worker_maker.h"
#include "proto/memory_file.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static const struct worker_maker *maker_of(const struct worker *worker)
{
	return template_of(worker->slot->pool)->maker;
}

void worker_move(struct worker *worker, struct worker_list *to)
{
	if (worker->listed)
		TAILQ_REMOVE(worker->listed, worker, link);
	worker->listed = to;
	if (to)
		TAILQ_INSERT_TAIL(to, worker, link);
}

/* ---- starting ---- */

/* The board lives as long as the slot. Its size is sealed: whoever maps it can't be made to fault. */
static int make_board(struct worker *worker)
{
	struct slot *slot = worker->slot;
	void *board = MAP_FAILED;

	if (slot->board)
		return 0;
	const int fd = memory_file("objpool-board", sizeof *slot->board);
	if (fd < 0) {
		log_slot(LOG_WARNING, slot, "there is no memory to share with the worker (memfd_create): %s", strerror(-fd));
		return fd;
	}
	if (fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) == 0)
		board = mmap(NULL, sizeof *slot->board, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (board == MAP_FAILED) {
		const int r = -errno;
		(void)close(fd);
		return r;
	}
	worker->board_fd = fd;
	slot->board = board;
	return 0;
}

int worker_make(struct slot *slot)
{
	const struct template *template = template_of(slot->pool);
	struct worker *worker = calloc(1, sizeof *worker);
	if (!worker)
		return -ENOMEM;
	worker->daemon = template->daemon;
	worker->slot = slot;
	worker->transport.fd = worker->board_fd = -1;
	slot->owner = worker;
	return 0;
}

void worker_start(struct slot *slot)
{
	struct worker *worker = worker_of(slot);

	worker->kill_wanted = worker->announced = worker->kill_told = false;
	worker->killed_at = 0;
	worker->fork_failed_at = 0;
	worker_move(worker, &template_of(worker->slot->pool)->waiting);
	worker->daemon->forks_wanted = true;
}

static void close_fds(int *fds, int count)
{
	for (int i = 0; i < count; i++)
		if (fds[i] >= 0)
			(void)close(fds[i]);
}

static void on_readable(struct transport *transport);
static void on_sendable(struct transport *transport);

/* A thread is in its template's. */
static int make_cgroup(struct worker *worker, int *fd)
{
	const struct slot *slot = worker->slot;
	const char *pool = template_of(slot->pool)->cgroup;

	*fd = -1;
	return pool && !maker_of(worker)->has_threads
		       ? cgroup_make_worker(pool, slot->index, slot->generation, &worker->cgroup, fd)
		       : 0;
}

/* A thread prints where its process does. */
static int open_output(struct worker *worker, int fds[2])
{
	fds[0] = fds[1] = -1;
	return maker_of(worker)->has_threads
		       ? 0
		       : lines_open_both(worker->daemon, worker->slot->pool, worker->slot, worker->printed, fds);
}

int worker_open(struct worker *worker, int fds[FORK_FILES])
{
	struct slot *slot = worker->slot;
	int channel[2] = {-1, -1};
	int r = make_board(worker);

	if (r == 0 && socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, channel) < 0)
		r = -errno;
	if (r == 0 && evutil_make_socket_nonblocking(channel[0]) < 0)
		r = -EIO;
	if (r == 0)
		r = make_cgroup(worker, &fds[FORK_CGROUP]);
	if (r == 0 && (r = open_output(worker, &fds[FORK_OUTPUT])) < 0)
		close_fds(&fds[FORK_CGROUP], 1);
	if (r < 0) {
		close_fds(channel, 2);
		worker->cgroup = cgroup_remove_worker(&worker->daemon->cgroups, worker->cgroup);
		return r;
	}
	worker->transport = transport_of(&socket_transport, channel[0]);
	transport_open(&worker->transport, worker->daemon->base, on_readable, on_sendable);
	atomic_store(&slot->board->since, 0);
	intake_init(&worker->intake, worker->daemon->core.limits.max_message + RESULTS_AHEAD + 4096,
		    &worker->daemon->core.memory);
	intake_use_payloads(&worker->intake, &worker->daemon->payloads, worker->daemon->core.limits.payload_min);
	worker->intake.passing = true;
	loans_open(&worker->loans, slot->board, &worker->daemon->loans, &worker->daemon->core.memory);
	fds[FORK_CHANNEL] = channel[1];
	fds[FORK_BOARD] = worker->board_fd;
	return 0;
}

static struct span slot_kwargs(const struct config_pool *section, uint32_t index)
{
	struct reader reader = reader_of(section->slot_kwargs.value);
	struct span item = {0};
	uint32_t n;

	if (!section->slot_kwargs.text || read_array(&reader, &n) < 0 || index >= n)
		return item;
	for (uint32_t i = 0; i <= index; i++)
		if (read_value(&reader, &item) < 0)
			return (struct span){0};
	return item;
}

/* If the worker has ended, and was waited for, before its pid was known: acts on its end. True: it has ended. */
static bool act_on_early_end(struct worker *worker)
{
	struct slot *slot = worker->slot;
	int status = 0;
	const int r = unclaimed_take(&worker->daemon->unclaimed, (pid_t)slot->pid, &status);

	if (r == -ESRCH)
		snprintf(slot->reason, sizeof slot->reason, "the worker ended as soon as it was forked, and how is not known");
	if (r != 0)
		worker_on_exit(worker, status);
	return r != 0;
}

void worker_on_forked(struct worker *worker, pid_t pid)
{
	struct slot *slot = worker->slot;
	const struct config_pool *section = &template_of(worker->slot->pool)->section;

	slot->pid = pid;
	worker->version = template_of(worker->slot->pool)->version;
	worker->said_before = template_of(worker->slot->pool)->said.last;
	slot_on_connected(slot, getpid(), section->args.value, section->kwargs.value, slot_kwargs(section, slot->index));
	worker_on_wrote(slot);
	log_slot(LOG_DEBUG, slot, "worker %lld forked, generation %llu", (long long)pid, (unsigned long long)slot->generation);
	happened(HAPPENED_SLOT_STARTING, &(struct happened_about){.slot = slot}, "the instance is built%s%s",
		 slot->cause ? ", to take another's place: " : "", slot->cause ? slot->cause : "");
	if (transport_want_read(&worker->transport, true) < 0)
		slot_kill(slot, NO_MEMORY);
	else if (worker->kill_wanted)
		worker_kill(slot);
	if (maker_of(worker)->is_parent)
		return; /* the template kills its group, too */
	if (!act_on_early_end(worker))
		keeper_add(worker->daemon->keeper, pid);
}

/* ---- ending ---- */

void worker_close(struct worker *worker)
{
	if (worker->dirty)
		TAILQ_REMOVE(&worker->daemon->dirty_workers, worker, dirty_link);
	worker->dirty = false;
	transport_close(&worker->transport, NULL);
	intake_free(&worker->intake);
	loans_close(&worker->loans);
	worker->cgroup = cgroup_remove_worker(&worker->daemon->cgroups, worker->cgroup);
	for (int i = 0; i < 2; i++)
		worker->printed[i] = lines_free(worker->printed[i]);
}

static void log_end(struct slot *slot, int status, const char *reason)
{
	char how[200];

	slot_describe_end(slot, status, how, sizeof how);
	if (slot->state == SLOT_STOPPING || slot->plan == PLAN_LEAVE || (slot->killed && slot->pool->core->draining))
		log_slot(LOG_DEBUG, slot, "worker %lld stopped: %s", (long long)slot->pid, how);
	else if (slot->state == SLOT_READY)
		log_slot(LOG_WARNING, slot, "worker %lld was lost: %s", (long long)slot->pid, how);
	else if (slot->state == SLOT_STARTING) {
		slot_describe_start(slot, status, reason);
		log_slot(LOG_ERR, slot, "no instance: %s", slot->reason);
	}
}

/* `had_process`: `status` says how it ended. Its last lines have been read. */
static void tell_end(const struct worker *worker, bool had_process, int status)
{
	const struct slot *slot = worker->slot;
	const struct said_line *words = said_last(&template_of(slot->pool)->said, slot->index, worker->said_before);
	struct happened_about about = {.slot = slot, .ended = had_process, .status = status};
	char how[200];

	slot_describe_end(slot, status, how, sizeof how);
	if (words && had_process) {
		about.words = words->text;
		about.words_size = words->size;
	}
	if (slot->state == SLOT_STARTING && slot->plan != PLAN_LEAVE && !(slot->killed && slot->pool->core->draining))
		happened(HAPPENED_SLOT_FAILED, &about, "there is no instance: %s", slot->reason);
	else if (slot->state == SLOT_READY && slot->plan != PLAN_LEAVE && !(slot->killed && slot->pool->core->draining))
		happened(HAPPENED_SLOT_DIED, &about, "the worker was lost: %s", how);
	else
		happened(HAPPENED_SLOT_STOPPED, &(struct happened_about){.slot = slot, .ended = had_process, .status = status},
			 "the worker has stopped: %s", how);
}

/* slot_on_gone, and when the next start follows, if it is not at once. */
static void leave(struct worker *worker, int status, const char *reason)
{
	struct slot *slot = worker->slot;

	slot->pid = 0;
	slot_on_gone(slot, status, reason);
	if (slot->state == SLOT_WAITING && timer_is_set(&slot->timer) && slot->timer.at > slot->pool->core->now)
		happened(HAPPENED_SLOT_BACKOFF, &(struct happened_about){.slot = slot}, "the next start follows in %.3f s",
			 (double)(slot->timer.at - slot->pool->core->now) / (double)SECOND);
}

void worker_on_refused(struct worker *worker, const char *reason)
{
	worker_close(worker);
	log_end(worker->slot, 0, reason);
	tell_end(worker, false, 0);
	leave(worker, 0, reason);
}

/* A message that lends a large result comes with the descriptor of its memory. */
static int on_message(struct worker *worker, struct span message, struct block *block)
{
	if (!loan_is_spoken_of(message))
		return slot_on_message(worker->slot, message, block);
	struct block *lent = loan_take(&worker->loans, message, &worker->intake.arrivals, worker->intake.limit);
	const int r = slot_on_message(worker->slot, message, lent);
	block_unref(lent);
	return r;
}

static int take_in(struct worker *worker)
{
	struct span message;
	struct block *block;
	int got;

	while ((got = intake_next(&worker->intake, &message, &block)) == 1)
		if (on_message(worker, message, block) < 0)
			return -EBADMSG;
	if (worker->slow.since)
		worker->daemon->ops->worker_read(worker);
	if (got == 0)
		got = intake_keep(&worker->intake);
	if (got == -ENOMEM || got == -ENOBUFS)
		slot_kill(worker->slot, NO_MEMORY);
	else if (got < 0)
		(void)slot_on_message(worker->slot, (struct span){0}, NULL); /* breaks the protocol, as what came does */
	return got;
}

/* Reads once. 1: there may be more; 0: nothing now; -1: the channel is of no more use. */
static int read_once(struct worker *worker)
{
	const ssize_t n = intake_read(&worker->intake, &worker->transport, worker->daemon->scratch);
	if (worker->intake.lost) {
		worker->daemon->payloads.shortage = PAYLOAD_PATIENCE;
		log_slot(LOG_ERR, worker->slot, "descriptors that the worker sent were lost: the daemon has too many files open");
		return -1;
	}
	if (n == -EAGAIN)
		return 0;
	if (n == -ENOMEM)
		slot_kill(worker->slot, NO_MEMORY);
	return n > 0 && take_in(worker) == 0 ? 1 : -1;
}

/* The channel has ended because its thread did, in good order or in its constructor, and not its process? */
static bool thread_has_ended(const struct worker *worker)
{
	const struct slot *slot = worker->slot;
	return maker_of(worker)->has_threads && !slot->killed &&
	       (slot->state == SLOT_STOPPING || (slot->state == SLOT_STARTING && slot->reason[0]));
}

static void on_readable(struct transport *transport)
{
	struct worker *worker = container_of(transport, struct worker, transport);

	daemon_tick(worker->daemon);
	if (read_once(worker) >= 0)
		return;
	if (thread_has_ended(worker)) {
		worker_on_exit(worker, worker->slot->state == SLOT_STOPPING ? 0 : 1 << 8);
		return;
	}
	/* It has closed its channel, or broken the protocol: it is killed if it still lives. Its exit status tells more. */
	(void)transport_want_read(transport, false);
	if (worker->slot->pid > 0)
		maker_of(worker)->kill(template_of(worker->slot->pool), worker);
}

static bool read_verdict(const struct worker *worker, char *text, size_t size)
{
	const struct template *template = template_of(worker->slot->pool);

	if (worker->cgroup)
		return cgroup_worker_verdict(worker->cgroup, text, size);
	return maker_of(worker)->has_threads && template->cgroup &&
	       cgroup_template_verdict(template->cgroup, template->killed_before, text, size);
}

/* Only the kernel can tell: the slot's reason says so then. */
static void note_verdict(const struct worker *worker, int status)
{
	struct slot *slot = worker->slot;
	char verdict[96];

	if (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL && !slot->killed && read_verdict(worker, verdict, sizeof verdict))
		snprintf(slot->reason, sizeof slot->reason, "%s", verdict);
}

void worker_on_exit(struct worker *worker, int status)
{
	struct slot *slot = worker->slot;
	const bool reads = worker->transport.reading;

	if (worker->transport.fd >= 0)
		transport_shutdown(&worker->transport, SHUT_RD); /* processes that have inherited its channel can add nothing */
	while (reads && read_once(worker) > 0)
		; /* what it sent before it died counts */
	note_verdict(worker, status);
	worker->daemon->ops->worker_gone(worker, status);
	log_end(slot, status, NULL);
	if (slot->state == SLOT_STARTING && slot->plan != PLAN_LEAVE && maker_of(worker)->on_start_failed)
		maker_of(worker)->on_start_failed(template_of(worker->slot->pool), worker);
	worker_close(worker);
	tell_end(worker, true, status);
	leave(worker, status, NULL);
}

void worker_expect_end(struct worker *worker)
{
	worker->killed_at = worker->daemon->core.now;
	template_expect_word(template_of(worker->slot->pool));
}

/* If the worker has no process yet, it gets none: worker_on_refused follows, or worker_on_forked if it is too late. */
void worker_kill(struct slot *slot)
{
	struct worker *worker = worker_of(slot);

	if (slot->pid > 0) {
		maker_of(worker)->kill(template_of(worker->slot->pool), worker);
		return;
	}
	worker->kill_wanted = true;
	if (worker->listed == &template_of(worker->slot->pool)->forking)
		worker_expect_end(worker);
	else
		worker->daemon->forks_wanted = true;
}

struct procfs worker_usage(const struct slot *slot)
{
	struct worker *worker = worker_of(slot);
	return worker ? procfs_recall(&worker->procfs, slot->pid, worker->daemon->core.now) : (struct procfs){0};
}

struct procfs worker_last_usage(const struct slot *slot)
{
	const struct worker *worker = worker_of(slot);
	return worker && worker->procfs.pid == slot->pid ? worker->procfs.known : (struct procfs){0};
}

void worker_nudge(struct slot *slot)
{
	atomic_fetch_add(&slot->board->nudge, 1);
	(void)syscall(SYS_futex, &slot->board->nudge, FUTEX_WAKE, 1, NULL, NULL, 0);
}

void worker_free(struct slot *slot)
{
	struct worker *worker = worker_of(slot);

	worker_move(worker, NULL);
	worker_close(worker);
	if (slot->board)
		(void)munmap(slot->board, sizeof *slot->board);
	if (worker->board_fd >= 0)
		(void)close(worker->board_fd);
	free(worker);
}

/* ---- sending ---- */

void worker_on_wrote(struct slot *slot)
{
	struct worker *worker = worker_of(slot);
	if (worker->dirty || worker->transport.fd < 0)
		return;
	worker->dirty = true;
	TAILQ_INSERT_TAIL(&worker->daemon->dirty_workers, worker, dirty_link);
}

static void on_sendable(struct transport *transport)
{
	struct worker *worker = container_of(transport, struct worker, transport);

	daemon_tick(worker->daemon);
	worker_on_wrote(worker->slot);
}

void worker_flush(struct worker *worker)
{
	/* While descriptors are short, results come as bytes. */
	const uint64_t least = worker->daemon->payloads.shortage ? 0 : worker->daemon->core.limits.payload_min;
	if (worker->slot->board)
		atomic_store_explicit(&worker->slot->board->payload_min, least, memory_order_relaxed);
	const size_t before = worker->slot->out.bytes;
	const int r = outlet_flush(&worker->slot->out, &worker->transport);

	slot_on_sent(worker->slot, before);
	if (r < 0 && !worker->slot->killed && r != -EPIPE && r != -ECONNRESET)
		slot_kill(worker->slot,
			  r == -ENOMEM ? NO_MEMORY : strerror(-r)); /* else it would wait for the other half of a message */
	if (transport_want_send(&worker->transport, r > 0) < 0)
		slot_kill(worker->slot, NO_MEMORY);
}
