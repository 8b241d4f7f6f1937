/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/supervisor/workers/slowlog.h"

#include "daemon/core/calls/direct.h"
#include "daemon/core/records/pool.h"
#include "daemon/supervisor/workers/keeper.h"
#include "daemon/supervisor/workers/lines.h"
#include "daemon/supervisor/log/log.h"
#include "daemon/supervisor/base/spawn.h"
#include "daemon/supervisor/workers/template.h"
#include "daemon/supervisor/workers/worker.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#define LOOK_MAX           (500 * MILLISECOND)
#define LOOK_MIN           (50 * MILLISECOND)
#define BETWEEN_BACKTRACES (10 * SECOND) /* of one pool */

enum { WAITING_MAX = 4, PATIENCE_SECONDS = 3 };
enum { DENIED = 3, NOT_LOADED = 127 }; /* exit status of objpool-backtrace; 127 is the dynamic linker's */

struct slowlog {
	struct daemon *daemon;
	struct event *look;
	uint64_t looks_at; /* when that is due; 0: it is not */
	char *program;
	bool unusable; /* it can't be run, and that has been logged */
	pid_t pid;   /* of the one that runs; 0: none does */
	struct event *patience;
	struct lines *output;
	struct worker *traced; /* NULL: it is gone */
	struct worker *waiting[WAITING_MAX];
	uint32_t waiting_count;
};

static double seconds(uint64_t nanoseconds)
{
	return (double)nanoseconds / (double)SECOND;
}

/* ---- the program ---- */

/* It lies beside the worker image. */
static char *find_program(const struct daemon *daemon)
{
	const char *slash = strrchr(daemon->worker_program, '/');
	char *program;
	const int directory = slash ? (int)(slash - daemon->worker_program) + 1 : 0;
	return asprintf(&program, "%.*sobjpool-backtrace", directory, daemon->worker_program) < 0 ? NULL : program;
}

static void give_up(struct slowlog *slowlog, int error)
{
	if (!slowlog->unusable)
		log_say(LOG_WARNING, "can't run %s: %s; slow methods are logged without backtraces", slowlog->program,
			strerror(error));
	slowlog->unusable = true;
	slowlog->waiting_count = 0;
}

static int start_program(struct slowlog *slowlog, pid_t traced, int output)
{
	char number[16];
	char *const argv[] = {(char *)"objpool-backtrace", number, NULL};
	char *const environment[] = {NULL};
	const struct spawn program = {.program = slowlog->program,
				      .argv = argv,
				      .environment = environment,
				      .output = output,
				      .errors = output,
				      .channel = -1};

	snprintf(number, sizeof number, "%d", (int)traced);
	const int r = spawn(&program, &slowlog->pid);
	if (r == 0)
		keeper_add(slowlog->daemon->keeper, slowlog->pid);
	else
		slowlog->pid = 0;
	return r;
}

static int start_backtrace(struct slowlog *slowlog, struct worker *worker)
{
	static const struct timeval patience = {.tv_sec = PATIENCE_SECONDS};
	struct slot *slot = worker->slot;
	int printed;

	slowlog->output = lines_open(slowlog->daemon, LINES_BACKTRACE, slot->pool, slot, &printed);
	if (!slowlog->output)
		return -errno;
	const int r = start_program(slowlog, (pid_t)slot->pid, printed);
	(void)close(printed);
	if (r < 0) {
		slowlog->output = lines_free(slowlog->output);
		return r;
	}
	slowlog->traced = worker;
	(void)evtimer_add(slowlog->patience, &patience); /* without memory its own alarm must do */
	return 0;
}

static void start_next(struct slowlog *slowlog)
{
	while (slowlog->pid == 0 && slowlog->waiting_count > 0) {
		struct worker *worker = slowlog->waiting[0];
		slowlog->waiting_count--;
		memmove(slowlog->waiting, slowlog->waiting + 1, slowlog->waiting_count * sizeof *slowlog->waiting);
		if (!worker->slow.since) {
			template_of(worker->slot->pool)->slow.left_out++; /* it has ended meanwhile */
			continue;
		}
		const int r = start_backtrace(slowlog, worker);
		if (r < 0)
			give_up(slowlog, -r);
	}
}

static void forget(struct slowlog *slowlog, const struct worker *worker)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < slowlog->waiting_count; i++)
		if (slowlog->waiting[i] != worker)
			slowlog->waiting[n++] = slowlog->waiting[i];
	slowlog->waiting_count = n;
	if (slowlog->traced != worker)
		return;
	slowlog->traced = NULL;
	slowlog->output = lines_free(slowlog->output);
	(void)kill(slowlog->pid, SIGKILL);
}

static void on_patience(evutil_socket_t fd, short what, void *data)
{
	const struct slowlog *slowlog = data;
	(void)fd, (void)what;
	if (slowlog->pid > 0)
		(void)kill(slowlog->pid, SIGKILL);
}

static void log_outcome(struct slowlog *slowlog, const struct worker *worker, int status)
{
	struct template *template = template_of(worker->slot->pool);
	char how[96];

	if (WIFSIGNALED(status)) {
		slot_describe_status(status, how, sizeof how);
		log_slot(LOG_WARNING, worker->slot, "the backtrace is not complete: objpool-backtrace was %s", how);
	} else if (WEXITSTATUS(status) == DENIED) {
		template->slow.denied = true;
		log_pool(LOG_WARNING, template->pool,
			 "slow methods are logged without backtraces until the configuration is reloaded");
	} else if (WEXITSTATUS(status) == NOT_LOADED) {
		give_up(slowlog, ELIBACC);
	}
}

bool slowlog_on_child(struct daemon *daemon, pid_t pid, int status)
{
	struct slowlog *slowlog = daemon->slowlog;

	if (!slowlog || slowlog->pid != pid)
		return false;
	slowlog->pid = 0;
	(void)evtimer_del(slowlog->patience);
	slowlog->output = lines_free(slowlog->output);
	if (slowlog->traced)
		log_outcome(slowlog, slowlog->traced, status);
	slowlog->traced = NULL;
	start_next(slowlog);
	return true;
}

/* ---- the lines ---- */

static void describe(const struct batch *batch, char *text, size_t size)
{
	const struct call *call = batch->call;
	const int most = call->name.size < 64 ? (int)call->name.size : 64;
	int n = snprintf(text, size, "%.*s", most, (const char *)call->name.bytes);

	if (batch->count > 1)
		snprintf(text + n, size - (size_t)n, " of items %llu to %llu", (unsigned long long)batch->first,
			 (unsigned long long)(batch->first + batch->count - 1));
	else if (call->columns > 0)
		snprintf(text + n, size - (size_t)n, " of item %llu", (unsigned long long)batch->first);
}

/* Of a batch of many: which item the method is at. */
static void describe_item(const struct slot *slot, const struct batch *batch, char *text, size_t size)
{
	const uint32_t begun = board_begun(slot->board, batch->id);

	text[0] = '\0';
	if (batch->count > 1 && begun > 0 && begun <= batch->count)
		snprintf(text, size, ", at item %llu", (unsigned long long)(batch->first + begun - 1));
}

/* Takes a backtrace, or counts one that is left out; *note becomes what the line says of it. */
static bool reserve_backtrace(struct slowlog *slowlog, struct slowlog_pool *pool, char *note, size_t size)
{
	note[0] = '\0';
	if (slowlog->unusable || pool->denied)
		return false;
	const uint64_t now = slowlog->daemon->core.now;
	if (now < pool->next || slowlog->waiting_count == WAITING_MAX) {
		pool->left_out++;
		snprintf(note, size, "; no backtrace (%u left out since the last)", pool->left_out);
		return false;
	}
	if (pool->left_out > 0)
		snprintf(note, size, "; backtraces left out since the last: %u", pool->left_out);
	pool->left_out = 0;
	pool->next = now + BETWEEN_BACKTRACES;
	return true;
}

/* What runs, since when, and whose it is. */
static void on_slow(struct slowlog *slowlog, struct worker *worker, const struct slowlog_task *found, const char *item)
{
	const struct slot *slot = worker->slot;
	char note[96];

	worker->slow = *found;
	const bool wanted = reserve_backtrace(slowlog, &template_of(worker->slot->pool)->slow, note, sizeof note);
	log_slot(LOG_WARNING, slot, "slow: %s has been running for %.3f s%s (pid %lld, generation %llu, session %llu%s)%s",
		 found->what, seconds(slowlog->daemon->core.now - found->since), item, (long long)slot->pid,
		 (unsigned long long)slot->generation, (unsigned long long)found->session, found->trace, note);
	if (!wanted)
		return;
	slowlog->waiting[slowlog->waiting_count++] = worker;
	start_next(slowlog);
}

/* `how` begins with a blank, or is empty. */
static void on_ended(struct worker *worker, const char *how)
{
	const struct slot *slot = worker->slot;

	log_slot(LOG_WARNING, slot, "slow: %s took %.3f s in all%s (pid %lld, generation %llu, session %llu%s)",
		 worker->slow.what, seconds(worker->daemon->core.now - worker->slow.since), how, (long long)slot->pid,
		 (unsigned long long)slot->generation, (unsigned long long)worker->slow.session, worker->slow.trace);
	worker->slow.since = 0;
}

void slowlog_on_read(struct worker *worker)
{
	if (atomic_load(&worker->slot->board->since) != worker->slow.since)
		on_ended(worker, "");
}

void slowlog_on_gone(struct worker *worker, int status)
{
	char how[128], status_text[96];

	if (worker->slow.since) {
		slot_describe_status(status, status_text, sizeof status_text);
		snprintf(how, sizeof how, " and has ended with its worker: %s", status_text);
		on_ended(worker, how);
	}
	if (worker->daemon->slowlog)
		forget(worker->daemon->slowlog, worker);
}

/* ---- looking ---- */

/* The batch that the worker is at, and since when. The worker may be about to begin another: then NULL, this time. */
static const struct batch *running(const struct slot *slot, uint64_t *since)
{
	*since = atomic_load(&slot->board->since);
	const uint32_t id = atomic_load(&slot->board->running);
	const struct batch *batch = slot->by_id[id % BOARD_ENTRIES];
	const bool is_it = batch && batch->id == id && *since && atomic_load(&slot->board->since) == *since;
	return is_it ? batch : NULL;
}

static bool find_running(const struct slot *slot, struct slowlog_task *found, char *item, size_t item_size)
{
	item[0] = found->trace[0] = '\0';
	if (direct_running(slot, found->what, DIRECT_NAME, &found->since, &found->session))
		return true;
	const struct batch *batch = running(slot, &found->since);
	if (!batch)
		return false;
	found->session = batch->call->session;
	describe(batch, found->what, sizeof found->what);
	if (batch->call->traceparent)
		snprintf(found->trace, sizeof found->trace, ", traceparent %s", batch->call->traceparent);
	describe_item(slot, batch, item, item_size);
	return true;
}

static void look_at_slot(struct slowlog *slowlog, const struct slot *slot, uint64_t limit)
{
	struct worker *worker = worker_of(slot);
	const uint64_t now = slowlog->daemon->core.now;
	struct slowlog_task found;
	char item[32];

	if (!worker || !slot->board || slot->pid <= 0)
		return;
	if (worker->slow.since)
		slowlog_on_read(worker);
	if (worker->slow.since)
		return;
	if (find_running(slot, &found, item, sizeof item) && now > found.since && now - found.since >= limit)
		on_slow(slowlog, worker, &found, item);
}

static void look_at_pool(struct slowlog *slowlog, const struct pool *pool, uint64_t limit)
{
	const struct slot *slot;

	SLOT_FOREACH(slot, pool)
		look_at_slot(slowlog, slot, limit);
}

static uint64_t limit_of(const struct pool *pool)
{
	const struct template *template = template_of(pool);
	return template->section.slow_log;
}

/* Between two looks; NEVER when no pool wants any. */
static uint64_t look_period(const struct daemon *daemon)
{
	const struct pool *pool;
	uint64_t least = NEVER;

	TAILQ_FOREACH(pool, &daemon->core.pools, link)
	if (limit_of(pool) < least)
		least = limit_of(pool);
	if (least == NEVER)
		return NEVER;
	return least / 4 < LOOK_MIN ? LOOK_MIN : least / 4 > LOOK_MAX ? LOOK_MAX : least / 4;
}

static void plan_look(struct slowlog *slowlog)
{
	const uint64_t period = look_period(slowlog->daemon);
	const uint64_t at = slowlog->daemon->core.now + period;
	const struct timeval wait = {.tv_usec = (suseconds_t)(period / 1000)};

	if (period == NEVER || (slowlog->looks_at && slowlog->looks_at <= at))
		return;
	slowlog->looks_at = evtimer_add(slowlog->look, &wait) == 0 ? at : 0;
}

static void on_look(evutil_socket_t fd, short what, void *data)
{
	struct slowlog *slowlog = data;
	const struct pool *pool;

	(void)fd, (void)what;
	daemon_tick(slowlog->daemon);
	slowlog->looks_at = 0;
	TAILQ_FOREACH(pool, &slowlog->daemon->core.pools, link)
	if (limit_of(pool) != NEVER)
		look_at_pool(slowlog, pool, limit_of(pool));
	plan_look(slowlog);
}

/* ---- its life ---- */

static struct slowlog *slowlog_new(struct daemon *daemon)
{
	struct slowlog *slowlog = calloc(1, sizeof *slowlog);

	if (!slowlog)
		return NULL;
	slowlog->daemon = daemon;
	slowlog->program = find_program(daemon);
	slowlog->look = evtimer_new(daemon->base, on_look, slowlog);
	slowlog->patience = evtimer_new(daemon->base, on_patience, slowlog);
	if (!slowlog->program || !slowlog->look || !slowlog->patience)
		return slowlog_free(slowlog);
	if (access(slowlog->program, X_OK) < 0)
		give_up(slowlog, errno);
	return slowlog;
}

void slowlog_settle(struct daemon *daemon)
{
	if (!daemon->slowlog && look_period(daemon) != NEVER && !(daemon->slowlog = slowlog_new(daemon)))
		log_say(LOG_ERR, "out of memory: slow methods are not logged");
	if (daemon->slowlog)
		plan_look(daemon->slowlog);
}

void slowlog_on_reload(struct daemon *daemon)
{
	struct slowlog *slowlog = daemon->slowlog;
	const struct pool *pool;

	TAILQ_FOREACH(pool, &daemon->core.pools, link)
	template_of(pool)->slow.denied = false;
	if (slowlog && slowlog->unusable && access(slowlog->program, X_OK) == 0)
		slowlog->unusable = false;
	slowlog_settle(daemon);
}

struct slowlog *slowlog_free(struct slowlog *slowlog)
{
	if (!slowlog)
		return NULL;
	if (slowlog->pid > 0)
		(void)kill(slowlog->pid, SIGKILL);
	lines_free(slowlog->output);
	if (slowlog->look)
		event_free(slowlog->look);
	if (slowlog->patience)
		event_free(slowlog->patience);
	free(slowlog->program);
	free(slowlog);
	return NULL;
}
