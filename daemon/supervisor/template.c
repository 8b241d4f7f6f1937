/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/supervisor/template.h"

#include "daemon/core/pool.h"
#include "daemon/supervisor/closer.h"
#include "daemon/supervisor/keeper.h"
#include "daemon/supervisor/loading.h"
#include "daemon/supervisor/log.h"
#include "daemon/supervisor/spawn.h"
#include "daemon/supervisor/worker.h"
#include "proto/arrivals.h"
#include "proto/pack.h"
#include "proto/scan.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { PACKET = 256 << 10, ERRNO_MOST = 4095 };
enum { FORKS_AT_ONCE = 64, STARTS_TOLERATED = 3 };
#define PATIENCE (10 * SECOND) /* with a template that has been told to kill, or to fork what is to be killed */
#define FORK_PATIENCE (10 * SECOND) /* how long a fork is tried that fails for want of processes, descriptors or memory */
#define FORK_PAUSE (10 * MILLISECOND) /* before it is tried again; doubles */
#define FORK_PAUSE_MOST (1 * SECOND)

static void on_silence(struct timer *timer);
static void on_again(struct timer *timer);

struct template *template_new(struct daemon *daemon, struct config_pool *section)
{
	struct template *template = calloc(1, sizeof *template);

	if (!template)
		return NULL;
	if (!(template->plugin_path = loading_path(&daemon->config, section))) {
		free(template);
		return NULL;
	}
	template->daemon = daemon;
	template->version = ++daemon->serial;
	if (timer_open(&daemon->core.timers, &template->patience, on_silence) < 0 ||
	    timer_open(&daemon->core.timers, &template->again, on_again) < 0) {
		timer_close(&daemon->core.timers, &template->patience);
		free(template->plugin_path);
		free(template);
		return NULL;
	}
	template->section = *section;
	*section = (struct config_pool){0};
	template->fd = -1;
	template->tolerated_starts = STARTS_TOLERATED;
	TAILQ_INIT(&template->waiting);
	TAILQ_INIT(&template->forking);
	return template;
}

/* ---- lists ---- */

static void list(struct worker *worker, struct worker_list *to)
{
	if (worker->listed)
		TAILQ_REMOVE(worker->listed, worker, link);
	worker->listed = to;
	if (to)
		TAILQ_INSERT_TAIL(to, worker, link);
}

/* The template's process will not report these forks any more: its successor `next` is to make them again. A worker that was
 * forked all the same has lost its channel, and ends. */
static void ask_again(struct worker_list *forking, struct template *next)
{
	struct worker *worker;

	while ((worker = TAILQ_FIRST(forking))) {
		worker_close(worker);
		worker->killed_at = 0;
		list(worker, &next->waiting);
	}
	next->daemon->forks_wanted = true;
}

/* Those in the list will get no process from this template. */
static void refuse_all(struct worker_list *refused, const char *why)
{
	struct worker_list now;
	struct worker *worker;

	TAILQ_INIT(&now);
	while ((worker = TAILQ_FIRST(refused)))
		list(worker, &now);
	while ((worker = TAILQ_FIRST(&now))) {
		list(worker, NULL);
		worker_on_refused(worker, why);
	}
}

/* ---- the process ---- */

static void end_process(struct template *template)
{
	if (template->event)
		event_free(template->event);
	template->event = NULL;
	if (template->fd >= 0)
		(void)close(template->fd); /* it ends at that; the loop reaps it */
	template->fd = -1;
	if (template->pid > 0)
		keeper_end(template->daemon->keeper, template->pid); /* it leads its group */
	template->pid = 0;
	template->state = TEMPLATE_NONE;
	for (int i = 0; i < 2; i++)
		template->printed[i] = lines_free(template->printed[i]);
}

/* Those that it has been told to fork will not come; the others are asked for again. */
static void fail_those_that_wait(struct template *template, const char *why)
{
	refuse_all(&template->forking, why);
	template->daemon->forks_wanted = true;
}

static struct slot *slot_of_process(const struct pool *pool, int64_t pid)
{
	struct slot *slot;

	for (uint32_t i = 0; i < pool->size; i++)
		if (pool->slots[i]->pid == pid)
			return pool->slots[i];
	TAILQ_FOREACH(slot, &pool->detached, link)
		if (slot->pid == pid)
			return slot;
	return NULL;
}

static struct slot *slot_with_process(const struct pool *pool)
{
	struct slot *slot;

	for (uint32_t i = 0; i < pool->size; i++)
		if (pool->slots[i]->pid > 0)
			return pool->slots[i];
	TAILQ_FOREACH(slot, &pool->detached, link)
		if (slot->pid > 0)
			return slot;
	return NULL;
}

static void fail(struct template *template, const char *why)
{
	struct slot *slot;

	end_process(template);
	while (template_is_program(template) && (slot = slot_with_process(template->pool)))
		worker_on_exit(slot->owner, SIGKILL); /* what becomes of a child of that process when it ends */
	refuse_all(&template->forking, why);
	refuse_all(&template->waiting, why);
}

/* ---- workers that shall end ---- */

/* Since when the template has owed word of this one; UINT64_MAX: it owes none. */
static uint64_t owed_since(const struct template *template, const struct slot *slot)
{
	const struct worker *worker = slot->owner;

	if (!worker || !worker->killed_at)
		return UINT64_MAX;
	return worker->listed == &template->forking || (template_is_program(template) && slot->pid > 0) ? worker->killed_at : UINT64_MAX;
}

static uint64_t first_owed(const struct template *template)
{
	const struct pool *pool = template->pool;
	uint64_t first = UINT64_MAX, since;
	const struct slot *slot;

	for (uint32_t i = 0; i < pool->size; i++)
		if ((since = owed_since(template, pool->slots[i])) < first)
			first = since;
	TAILQ_FOREACH(slot, &pool->detached, link)
		if ((since = owed_since(template, slot)) < first)
			first = since;
	return first;
}

static void on_silence(struct timer *timer)
{
	struct template *template = container_of(timer, struct template, patience);
	struct core *core = &template->daemon->core;
	const uint64_t since = first_owed(template);

	if (since == UINT64_MAX)
		return;
	if (core->now - since < PATIENCE) {
		timer_set(&core->timers, timer, since + PATIENCE);
		return;
	}
	log_pool(LOG_WARNING, template->pool, "the pool's template process does not answer");
	if (template_has_threads(template) && template->pid > 0)
		(void)kill(template->pid, SIGKILL); /* it takes its instances with it: template_on_exit tells them */
	else
		fail(template, "the template process does not answer");
}

static void expect_end(struct template *template, struct worker *worker)
{
	struct core *core = &template->daemon->core;

	worker->killed_at = core->now;
	if (!timer_is_set(&template->patience))
		timer_set(&core->timers, &template->patience, core->now + PATIENCE);
}

void template_on_unwanted(struct template *template, struct worker *worker)
{
	if (worker->listed == &template->forking)
		expect_end(template, worker);
	else
		template->daemon->forks_wanted = true;
}

void template_kill(struct template *template, struct worker *worker)
{
	const pid_t pid = (pid_t)worker->slot->pid;
	uint8_t packet[2 + PACK_UINT], *p = packet;

	if (!template_is_program(template)) {
		(void)kill(pid, SIGKILL);
		return;
	}
	/* Whose pid that is, only its parent knows for sure. One that doesn't take this will not tell of the end, either. */
	*p++ = 0x92;
	*p++ = TO_KILL;
	p = pack_uint(p, (uint64_t)pid);
	(void)send(template->fd, packet, (size_t)(p - packet), MSG_NOSIGNAL);
	expect_end(template, worker);
}

/* Those that are to end before they were forked. */
static void refuse_unwanted(struct template *template)
{
	struct worker *worker, *next;
	struct worker_list unwanted;

	TAILQ_INIT(&unwanted);
	for (worker = TAILQ_FIRST(&template->waiting); worker; worker = next) {
		next = TAILQ_NEXT(worker, link);
		if (worker->kill_wanted)
			list(worker, &unwanted);
	}
	refuse_all(&unwanted, template->state == TEMPLATE_READY ? "the worker could not be forked within start_timeout"
								 : "the template process was not ready within start_timeout");
}

/* ---- starting ---- */

static int start_program(struct template *template, int channel, const int printed[2])
{
	char *const argv[] = {(char *)"objpool-worker", template->pool->name, NULL};
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

static int send_load(const struct template *template)
{
	return loading_send(template->fd, &(struct loading){.section = &template->section,
							     .plugin_path = template->plugin_path,
							     .max_message = template->daemon->config.max_message});
}

/* ---- a fork of a client's program that waits to be the template ---- */

static bool is_own(int fd)
{
	struct ucred peer;
	socklen_t size = sizeof peer;

	return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 && (peer.uid == 0 || peer.uid == geteuid());
}

/* Connects to the abstract name where it waits. The socket, or a negative errno. */
static int meet(const struct template *template)
{
	const char *name = template->section.offered;
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	const size_t size = strlen(name);

	_Static_assert(TEMPLATE_NAME_MOST < sizeof address.sun_path, "a name fits");
	memcpy(address.sun_path + 1, name, size);
	const int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	if (connect(fd, (const struct sockaddr *)&address, (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + size)) == 0 && is_own(fd))
		return fd;
	(void)close(fd);
	return -ECONNREFUSED;
}

static void on_readable(evutil_socket_t fd, short what, void *data);

static int attach(struct template *template, int fd)
{
	template->fd = fd;
	template->event = event_new(template->daemon->base, fd, EV_READ | EV_PERSIST, on_readable, template);
	template->state = TEMPLATE_LOADING;
	template->life = ++template->daemon->serial;
	template->failed_starts = 0;
	if (!template->event || event_add(template->event, NULL) < 0)
		return -ENOMEM;
	return send_load(template);
}

/* The program's process is there once: the program can't be forked again as it was then. */
static int start_offered(struct template *template)
{
	const int fd = template->met ? -ESRCH : meet(template);

	template->met = true;
	return fd < 0 ? fd : attach(template, fd);
}

static int start_process(struct template *template)
{
	int channel[2], printed[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, channel) < 0)
		return -errno;
	(void)evutil_make_socket_nonblocking(channel[0]);
	int r = lines_open_both(template->daemon, template->pool, NULL, template->printed, printed);
	if (r == 0) {
		r = start_program(template, channel[1], printed);
		(void)close(printed[0]);
		(void)close(printed[1]);
	}
	(void)close(channel[1]);
	if (r == 0)
		return attach(template, channel[0]);
	(void)close(channel[0]);
	return r;
}

/* ---- forking ---- */

static int send_fork(struct template *template, const struct worker *worker, const int fds[FORK_FILES])
{
	uint8_t packet[2 + 2 * PACK_UINT], *p = packet;
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(FORK_FILES * sizeof(int))];
	} control = {0};
	struct iovec iov = {.iov_base = packet};
	const struct msghdr message = {
		.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control.bytes, .msg_controllen = sizeof control.bytes};
	struct cmsghdr *c = CMSG_FIRSTHDR(&message);

	*p++ = 0x93;
	*p++ = TO_FORK;
	p = pack_uint(p, worker->slot->index);
	p = pack_uint(p, worker->slot->generation);
	iov.iov_len = (size_t)(p - packet);
	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(FORK_FILES * sizeof(int));
	memcpy(CMSG_DATA(c), fds, FORK_FILES * sizeof(int));
	return sendmsg(template->fd, &message, MSG_NOSIGNAL) < 0 ? -errno : 0;
}

static void on_again(struct timer *timer)
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
		template->pause = !template->pause                        ? FORK_PAUSE
				  : template->pause < FORK_PAUSE_MOST / 2 ? 2 * template->pause
									  : FORK_PAUSE_MOST;
		timer_set(&core->timers, &template->again, core->now + template->pause);
	}
	worker_close(worker);
	list(worker, &template->waiting);
	return true;
}

static void on_fork_failed(struct template *template, struct worker *worker, int error)
{
	char why[128];

	if (try_again(template, worker, error))
		return;
	list(worker, NULL);
	snprintf(why, sizeof why, "the worker could not be forked: %s", strerror(error));
	worker_on_refused(worker, why);
}

static void fork_now(struct template *template, struct worker *worker)
{
	int fds[FORK_FILES];
	int r = worker_open(worker, fds);

	if (r == 0) {
		list(worker, &template->forking);
		worker->template_life = template->life;
		r = send_fork(template, worker, fds);
		(void)close(fds[FORK_CHANNEL]);
		(void)close(fds[FORK_OUTPUT]);
		(void)close(fds[FORK_ERRORS]);
	}
	if (r < 0)
		on_fork_failed(template, worker, -r);
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

void template_fork(struct template *template, struct worker *worker)
{
	/* Always from the loop: the core must not be called from within itself. */
	list(worker, &template->waiting);
	template->daemon->forks_wanted = true;
}

static void run(struct template *template)
{
	char why[192];
	int r;

	refuse_unwanted(template);
	if (TAILQ_EMPTY(&template->waiting))
		return;
	if (template->state == TEMPLATE_NONE && template_is_program(template) && (r = start_offered(template)) < 0) {
		fail(template, r == -ESRCH ? "the process that the program had forked for its workers has ended"
					   : "the process that the program has forked for its workers can't be reached");
		return;
	}
	if (template->state == TEMPLATE_NONE && (r = start_process(template)) < 0) {
		snprintf(why, sizeof why, "%s could not be started: %s", template->daemon->worker_program, strerror(-r));
		fail(template, why);
		return;
	}
	struct worker *last = TAILQ_LAST(&template->waiting, worker_list), *worker = NULL;
	while (worker != last && may_fork(template) && (worker = TAILQ_FIRST(&template->waiting)))
		fork_now(template, worker);
}

void template_run(struct template *template)
{
	if (!TAILQ_EMPTY(&template->waiting))
		run(template);
}

/* ---- what it says ---- */

/* Tells the pool what the class offers. */
static int describe_to_pool(const struct template *template)
{
	struct reader reader = reader_of(template->described), look;
	struct span key, value, methods = {0};
	bool open = false;
	uint32_t n;

	if (read_map(&reader, &n) < 0)
		return -EBADMSG;
	for (; n > 0; n--) {
		if (read_text(&reader, &key) < 0)
			return -EBADMSG;
		look = reader;
		if (read_value(&reader, &value) < 0)
			return -EBADMSG;
		if (span_is(key, "methods"))
			methods = value;
		if (span_is(key, "open") && read_bool(&look, &open) < 0)
			return -EBADMSG;
		if (span_is(key, "leased") && read_bool(&look, &template->pool->has_leased) < 0)
			return -EBADMSG;
		if (span_is(key, "snapshot") && read_bool(&look, &template->pool->has_snapshot) < 0)
			return -EBADMSG;
		if (span_is(key, "session_end") && read_bool(&look, &template->pool->tells_sessions) < 0)
			return -EBADMSG;
	}
	return pool_set_methods(template->pool, methods, open);
}

static int keep_description(struct template *template, struct span description)
{
	template->described = (struct span){0};
	template->description = block_unref(template->description);
	template->description = block_new(NULL, description.size);
	if (!template->description)
		return -ENOMEM;
	memcpy(template->description->bytes, description.bytes, description.size);
	template->described = (struct span){.bytes = template->description->bytes, .size = description.size};
	return describe_to_pool(template);
}

static int on_loaded(struct template *template, struct reader *reader, uint32_t count)
{
	struct span value;
	char why[600];

	if (count == 3) {
		if (read_nil(reader) < 0 || read_text(reader, &value) < 0)
			return -EBADMSG;
		snprintf(why, sizeof why, "%.*s", (int)value.size, (const char *)value.bytes);
		fail(template, why);
		return 0;
	}
	const int r = read_value(reader, &value) < 0 ? -EBADMSG : keep_description(template, value);
	if (r == -ENOMEM)
		fail(template, "the daemon is out of memory");
	if (r < 0)
		return r == -ENOMEM ? 0 : -EBADMSG;
	template->state = TEMPLATE_READY;
	template->daemon->forks_wanted = true;
	return 0;
}

static int on_forked(struct template *template, struct reader *reader)
{
	struct worker *worker = TAILQ_FIRST(&template->forking);
	uint64_t slot, generation;
	int64_t pid;

	if (!worker || read_uint(reader, &slot) < 0 || read_uint(reader, &generation) < 0 || read_int(reader, &pid) < 0 ||
	    slot != worker->slot->index || generation != worker->slot->generation || pid > INT32_MAX || pid < -ERRNO_MOST ||
	    pid == 1 || pid == getpid())
		return -EBADMSG;
	template->daemon->forks_wanted = true; /* another fork may have waited for this one */
	if (pid <= 0) {
		on_fork_failed(template, worker, (int)-pid);
		return 0;
	}
	list(worker, NULL);
	template->pause = 0;
	worker_on_forked(worker, (pid_t)pid);
	return 0;
}

/* [EXITED, pid, status]: it is the worker's parent. */
static int on_exited(struct template *template, struct reader *reader)
{
	int64_t pid, status;

	if (!template_is_program(template) || read_int(reader, &pid) < 0 || read_int(reader, &status) < 0 || pid <= 0)
		return -EBADMSG;
	struct slot *slot = slot_of_process(template->pool, pid);
	if (!slot)
		return 0;
	worker_on_exit(slot->owner, (int)status);
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

static void on_death(struct template *template)
{
	const bool loading = template->state == TEMPLATE_LOADING;

	log_pool(LOG_WARNING, template->pool, "the pool's template process died%s", loading ? " while it loaded the plugin" : "");
	fail(template, loading ? "the template process died while it loaded the plugin" : "the template process died");
}

/* Takes one packet. False: there is none, nor is there the channel's end. */
static bool receive(struct template *template)
{
	struct block *scratch = template->daemon->scratch;
	struct arrivals arrivals = {.refusing = true, .discard = closer_put}; /* of a program that a client has offered */
	const ssize_t n = arrivals_recv(&arrivals, template->fd, scratch->bytes, scratch->capacity, MSG_DONTWAIT);

	if (n == -EAGAIN)
		return false;
	if (n <= 0 && template->state != TEMPLATE_LOADING && template_has_threads(template)) {
		(void)event_del(template->event); /* it takes its instances with it: template_on_exit tells them */
		(void)kill(template->pid, SIGKILL);
	} else if (n <= 0) {
		on_death(template);
	} else if (on_packet(template, (struct span){.bytes = scratch->bytes, .size = (size_t)n}) < 0) {
		fail(template, "the template process sent what is no message of a template");
	}
	return true;
}

static void on_readable(evutil_socket_t fd, short what, void *data)
{
	struct template *template = data;

	(void)fd, (void)what;
	daemon_tick(template->daemon);
	(void)receive(template);
}

/* What it has said before it ended counts. The channel's end may never come: what it has forked may hold the channel. */
static void end_channel(struct template *template)
{
	while (template->fd >= 0)
		if (!receive(template))
			on_death(template);
}

/* ---- whether what it forks lives ---- */

void template_on_start_worked(struct template *template, const struct worker *worker)
{
	if (worker->template_life != template->life)
		return;
	template->failed_starts = 0;
	template->tolerated_starts = STARTS_TOLERATED;
}

void template_on_start_failed(struct template *template, const struct worker *worker)
{
	if (worker->template_life != template->life || template->state != TEMPLATE_READY || template_has_threads(template) ||
	    template_is_program(template) || ++template->failed_starts < template->tolerated_starts)
		return;
	log_pool(LOG_WARNING, template->pool,
		 "%u workers in a row have ended before they were ready: the template process is replaced",
		 template->failed_starts);
	if (template->tolerated_starts < UINT32_MAX / 2)
		template->tolerated_starts *= 2; /* if a new process doesn't help, the process is not at fault */
	end_process(template);
	ask_again(&template->forking, template);
}

/* What `old` was to fork, `next` forks. */
static void take_over(struct template *old, struct template *next)
{
	struct worker *worker;

	next->scaled = old->scaled;
	old->pool->owner = next;
	while ((worker = TAILQ_FIRST(&old->waiting)))
		list(worker, &next->waiting);
	next->daemon->forks_wanted = true;
	ask_again(&old->forking, next);
}

void template_succeed(struct template *old, struct template *next)
{
	next->pool = old->pool;
	next->made = old->made;
	next->made_by = old->made_by;
	take_over(old, next);
	next->before = old->before ? old->before : old;
	if (!old->before)
		return;
	old->before = NULL;
	template_free(old); /* nobody knows whether it works */
}

void template_commit(struct template *template)
{
	if (template->before)
		template_free(template->before);
	template->before = NULL;
}

void template_revert(struct template *template)
{
	struct template *before = template->before;

	template->before = NULL;
	take_over(template, before);
	if (before->description && describe_to_pool(before) < 0)
		log_pool(LOG_ERR, before->pool, "out of memory: some of its methods are not known");
	template_free(template);
}

void template_on_exit(struct template *template, int status)
{
	const pid_t pid = template->pid;
	struct pool *pool = template->pool;
	struct slot *slot;

	template->pid = 0;
	if (!template_has_threads(template)) {
		end_channel(template);
		return;
	}
	end_process(template);
	while ((slot = slot_of_process(pool, pid)))
		worker_on_exit(slot->owner, status); /* it has no pid then */
	fail_those_that_wait(template, "the pool's process died");
}

void template_free(struct template *template)
{
	template_commit(template);
	end_process(template);
	timer_close(&template->daemon->core.timers, &template->patience);
	timer_close(&template->daemon->core.timers, &template->again);
	block_unref(template->description);
	free(template->plugin_path);
	config_pool_free(&template->section);
	free(template);
}
