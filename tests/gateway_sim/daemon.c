/* SPDX-License-Identifier: Apache-2.0 */
/*
 * daemon: a daemon that is played: one pool, "p", of a few slots. Each slot runs one task after the other. It understands what a
 * gateway sends on its sessions: calls of any instance, of a slot, a key, all and scatter, streamed maps that are fed, leases,
 * cancel, deadlines. Its methods:
 *
 *   echo(token, …)   returns [host, slot, token], or as many bytes as the second argument says behind it
 *   fail(token)      fails with FAILED
 *
 * An argument that is no token, or one that runs where or when it must not, fails the seed.
 */
#include "tests/gateway_sim/world.h"

#include <stdlib.h>

struct session_of_daemon {
	TAILQ_ENTRY(session_of_daemon) entry;
	struct daemon *daemon;
	struct local *local; /* NULL: it has ended */
	uint64_t number;
	struct sendq in, out; /* bytes that came; bytes that wait for the gateway to read */
	bool said_hello, closing, maps;
	struct timer step;
	uint32_t tasks; /* that refer to it */
};

/* A request. */
struct job {
	TAILQ_ENTRY(job) entry;
	struct daemon *daemon;
	struct session_of_daemon *session; /* NULL: nobody waits for it */
	uint64_t msgid;
	bool asks, gathers, collects, first, streams, runs, fed, ended, answered, cancelled, fails, ordered;
	uint32_t window, items, done, failed, alive; /* alive: tasks that have not ended */
	struct sendq *results;                       /* of each item: [error, value] */
	uint32_t next_out;
	const char *failure; /* the first one's code */
	struct timer deadline;
	bool has_deadline;
};

struct task {
	TAILQ_ENTRY(task) entry;
	struct job *job;
	struct daemon *daemon;
	uint32_t token, index, size;
	bool fails;
};
TAILQ_HEAD(task_list, task);

struct slot_of_daemon {
	struct daemon *daemon;
	unsigned number;
	struct task_list queue;
	struct task *runs;
	struct timer timer;
	uint64_t leased_by; /* a session's number */
	bool building;
};

struct daemon {
	struct node *node;
	struct world *world;
	unsigned slots;
	bool paused; /* no slot begins anything */
	struct slot_of_daemon slot[SLOTS_MAX];
	TAILQ_HEAD(, session_of_daemon) sessions;
	TAILQ_HEAD(, job) jobs;
	uint64_t last_number;
	uint32_t *stuck; /* tokens of sticky calls that have run here */
	unsigned stuck_count;
};

/* ---- answers ---- */

static void push(struct session_of_daemon *session);

static void put_daemon_error(struct sendq *to, const char *code, const char *ran)
{
	put_map(to, 3);
	put_text(to, "code");
	put_text(to, code);
	put_text(to, "message");
	put_text(to, "as it was played");
	put_text(to, "ran");
	put_text(to, ran);
}

static void put_echo(const struct task *task, const struct slot_of_daemon *slot, struct sendq *to)
{
	put_array(to, task->size ? 4 : 3);
	put_text(to, task->daemon->node->name);
	put_uint(to, slot->number);
	put_uint(to, task->token);
	if (!task->size)
		return;
	uint8_t head[5] = {BYTE_BIN32};
	(void)pack_be32(head + 1, task->size);
	sendq_copy(to, head, 5);
	uint8_t *bytes = malloc(task->size);
	memset(bytes, (int)(task->token & 255), task->size);
	sendq_copy(to, bytes, task->size);
	free(bytes);
}

static void copy_queue(struct sendq *to, const struct sendq *from)
{
	size_t size;
	uint8_t *flat = world_flat(from, &size);
	sendq_copy(to, flat, size);
	free(flat);
}

static void put_response(struct job *job, struct sendq *out)
{
	put_array(out, 4);
	put_uint(out, RPC_RESPONSE);
	put_uint(out, job->msgid);
}

static void forget_job(struct job *job)
{
	struct daemon *daemon = job->daemon;

	if (job->alive > 0 || !job->answered)
		return;
	for (uint32_t i = 0; i < job->items && job->results; i++)
		sendq_clear(&job->results[i]);
	free(job->results);
	timer_close(&daemon->world->timers, &job->deadline);
	TAILQ_REMOVE(&daemon->jobs, job, entry);
	free(job);
}

/* Answers the job with an error; the tasks that wait are dropped. */
static void fail_job(struct job *job, const char *code, const char *ran)
{
	struct daemon *daemon = job->daemon;

	if (job->answered)
		return;
	job->answered = true;
	job->cancelled = true;
	if (job->session && job->asks) {
		put_response(job, &job->session->out);
		put_daemon_error(&job->session->out, code, ran);
		put_nil(&job->session->out);
		push(job->session);
	}
	for (unsigned i = 0; i < SLOTS_MAX; i++)
		for (struct task *task = TAILQ_FIRST(&daemon->slot[i].queue), *next; task; task = next) {
			next = TAILQ_NEXT(task, entry);
			if (task->job != job)
				continue;
			TAILQ_REMOVE(&daemon->slot[i].queue, task, entry);
			job->alive--;
			free(task);
		}
	forget_job(job);
}

static bool has_begun(const struct job *job)
{
	for (unsigned i = 0; i < SLOTS_MAX; i++)
		if (job->daemon->slot[i].runs && job->daemon->slot[i].runs->job == job)
			return true;
	return job->done > 0;
}

static void say_summary(struct job *job)
{
	put_nil(&job->session->out);
	put_map(&job->session->out, 2);
	put_pair(&job->session->out, "items", job->items);
	put_pair(&job->session->out, "failed", job->failed);
}

/* All tasks have ended. */
static void answer_job(struct job *job)
{
	if (job->answered)
		return;
	if (job->failed > 0 && !job->collects) {
		fail_job(job, job->failure, "maybe");
		return;
	}
	job->answered = true;
	if (job->session && job->asks) {
		struct sendq *out = &job->session->out;
		put_response(job, out);
		if (job->streams) {
			say_summary(job);
		} else if (!job->gathers) {
			copy_queue(out, &job->results[0]);
		} else {
			put_nil(out);
			put_array(out, job->items);
			for (uint32_t i = 0; i < job->items; i++) {
				if (job->collects)
					put_array(out, 2);
				size_t size;
				uint8_t *flat = world_flat(&job->results[i], &size);
				const size_t skip = job->collects ? 0 : 1; /* the nil of the error */
				sendq_copy(out, flat + skip, size - skip);
				free(flat);
			}
		}
		push(job->session);
	}
	forget_job(job);
}

static void stream_result(struct job *job, uint32_t index, const struct sendq *result, bool good)
{
	struct sendq *out = &job->session->out;

	if (job->runs && good) {
		put_array(out, 3);
		put_uint(out, RPC_NOTIFICATION);
		put_text(out, "objpool.results");
		put_array(out, 3);
		put_uint(out, job->msgid);
		put_uint(out, index);
		put_array(out, 1);
		size_t size;
		uint8_t *flat = world_flat(result, &size);
		sendq_copy(out, flat + 1, size - 1);
		free(flat);
	} else {
		put_array(out, 3);
		put_uint(out, RPC_NOTIFICATION);
		put_text(out, "objpool.result");
		put_array(out, 4);
		put_uint(out, job->msgid);
		put_uint(out, index);
		copy_queue(out, result);
	}
	if (job->fed) {
		put_array(out, 3);
		put_uint(out, RPC_NOTIFICATION);
		put_text(out, "objpool.credit");
		put_array(out, 2);
		put_uint(out, job->msgid);
		put_uint(out, 1);
	}
	push(job->session);
}

static void finish(struct job *job)
{
	if (job->alive == 0 && (!job->fed || job->ended) && !job->answered)
		answer_job(job);
	else
		forget_job(job);
}

/* A task has ended: its result is `result`; `failure` NULL: it is good. */
static void give_result(struct task *task, struct sendq *result, const char *failure)
{
	struct job *job = task->job;
	const bool good = !failure;
	const uint32_t index = task->index;

	job->alive--;
	job->done++;
	job->failed += !good;
	job->failure = job->failure ? job->failure : failure;
	free(task);
	if (job->answered) {
		sendq_clear(result);
		forget_job(job);
		return;
	}
	job->results[index] = *result;
	if (job->streams && job->session) {
		while (job->ordered && job->next_out < job->items && job->results[job->next_out].bytes > 0) {
			const bool is_good = job->results[job->next_out].head->bytes[0] == BYTE_NIL;
			stream_result(job, job->next_out, &job->results[job->next_out], is_good);
			job->next_out++;
		}
		if (!job->ordered)
			stream_result(job, index, result, good);
	}
	if (!good && (!job->gathers || job->first)) {
		fail_job(job, job->failure, "maybe");
		return;
	}
	finish(job);
}

/* ---- slots ---- */

static void start(struct slot_of_daemon *slot)
{
	struct world *world = slot->daemon->world;
	struct task *task;

	if (slot->runs || slot->building || slot->daemon->paused)
		return;
	TAILQ_FOREACH(task, &slot->queue, entry)
		if (!slot->leased_by || (task->job->session && task->job->session->number == slot->leased_by))
			break;
	if (!task)
		return;
	TAILQ_REMOVE(&slot->queue, task, entry);
	slot->runs = task;
	struct token *token = &world->tokens[task->token];
	HOLDS(world, !token->must_not, "token %u runs, though its caller was told that it has not run and never will",
	      task->token);
	if (token->sticky) {
		struct daemon *daemon = slot->daemon;
		daemon->stuck = realloc(daemon->stuck, (daemon->stuck_count + 1) * sizeof *daemon->stuck);
		daemon->stuck[daemon->stuck_count++] = task->token;
	} else if (token->runs_on_all) {
		const uint32_t here = slot->daemon->node->number << 8 | slot->number | 1u << 31;
		for (unsigned i = 0; i < token->ran && i < 8; i++)
			HOLDS(world, token->where[i] != here, "token %u runs twice on %s:%u", task->token,
			      slot->daemon->node->name, slot->number);
		if (token->ran < 8)
			token->where[token->ran] = here;
	} else {
		HOLDS(world, token->ran == 0 || token->idempotent, "token %u runs twice", task->token);
		token->where[0] = slot->daemon->node->number << 8 | slot->number;
	}
	token->ran++;
	const uint32_t kind = world_dice(world, 100);
	const uint64_t takes = kind < 70   ? world_dice(world, 3000) * 1000ull
			       : kind < 98 ? world_dice(world, 80) * MILLISECOND
					   : world_dice(world, 2500) * MILLISECOND;
	timer_set(&world->timers, &slot->timer, world->now + takes);
}

static void on_slot(struct timer *timer)
{
	struct slot_of_daemon *slot = container_of(timer, struct slot_of_daemon, timer);
	struct task *task = slot->runs;
	struct sendq result = {0};

	if (slot->building) {
		slot->building = false;
		start(slot);
		return;
	}
	slot->runs = NULL;
	if (task->fails) {
		put_daemon_error(&result, "FAILED", "yes");
		put_nil(&result);
	} else {
		put_nil(&result);
		put_echo(task, slot, &result);
	}
	give_result(task, &result, task->fails ? "FAILED" : NULL);
	start(slot);
}

void daemon_crash_worker(struct daemon *daemon)
{
	struct slot_of_daemon *slot = &daemon->slot[world_dice(daemon->world, daemon->slots)];
	struct task *task = slot->runs;
	struct sendq result = {0};

	if (slot->building)
		return;
	slot->building = true;
	slot->runs = NULL;
	slot->leased_by = 0;
	timer_set(&daemon->world->timers, &slot->timer, daemon->world->now + world_dice(daemon->world, 300) * MILLISECOND);
	if (!task)
		return;
	put_daemon_error(&result, "WORKER_LOST", "maybe");
	put_nil(&result);
	give_result(task, &result, "WORKER_LOST");
}

void daemon_pause(struct daemon *daemon, bool paused)
{
	world_say(daemon->world, "%s: its pool is %s", daemon->node->name, paused ? "paused" : "resumed");
	daemon->paused = paused;
	for (unsigned i = 0; i < SLOTS_MAX && !paused; i++)
		start(&daemon->slot[i]);
}

/* Tasks of slots that are gone still run. */
void daemon_resize(struct daemon *daemon)
{
	daemon->slots = 1 + world_dice(daemon->world, SLOTS_MAX);
}

static struct slot_of_daemon *shortest(struct daemon *daemon)
{
	unsigned best = 0, best_length = 1000000;

	for (unsigned i = 0; i < daemon->slots; i++) {
		unsigned length = daemon->slot[i].runs ? 1 : 0;
		struct task *task;
		if (daemon->slot[i].leased_by || daemon->slot[i].building)
			length += 1000;
		TAILQ_FOREACH(task, &daemon->slot[i].queue, entry)
			length++;
		if (length < best_length) {
			best = i;
			best_length = length;
		}
	}
	return &daemon->slot[best];
}

/* ---- requests ---- */

static void refuse(struct session_of_daemon *session, const struct rpc *rpc, const char *code)
{
	if (rpc->type != RPC_REQUEST)
		return;
	put_array(&session->out, 4);
	put_uint(&session->out, RPC_RESPONSE);
	put_uint(&session->out, rpc->msgid);
	put_daemon_error(&session->out, code, "no");
	put_nil(&session->out);
	push(session);
}

static void on_deadline(struct timer *timer)
{
	struct job *job = container_of(timer, struct job, deadline);
	fail_job(job, "TIMEOUT", has_begun(job) ? "maybe" : "no");
}

/* An item: a token, or [token, size]. */
static void add_task(struct job *job, struct slot_of_daemon *slot, struct span token_value, struct span size_value)
{
	struct daemon *daemon = job->daemon;
	struct task *task = calloc(1, sizeof *task);
	struct reader reader = reader_of(token_value), size_reader = reader_of(size_value);
	uint64_t token, size = 0;

	HOLDS(daemon->world, read_uint(&reader, &token) == 0 && token < daemon->world->token_count, "an argument is no token");
	if (size_value.size)
		HOLDS(daemon->world, read_uint(&size_reader, &size) == 0, "the second argument is no number");
	*task = (struct task){.job = job,
			      .daemon = daemon,
			      .token = (uint32_t)token,
			      .index = job->items,
			      .size = (uint32_t)size,
			      .fails = job->fails};
	job->results = realloc(job->results, (job->items + 1) * sizeof *job->results);
	job->results[job->items++] = (struct sendq){0};
	job->alive++;
	TAILQ_INSERT_TAIL(&slot->queue, task, entry);
	start(slot);
}

static struct job *job_new(struct session_of_daemon *session, const struct rpc *rpc)
{
	struct job *job = calloc(1, sizeof *job);

	job->daemon = session->daemon;
	job->session = session;
	job->msgid = rpc->msgid;
	job->asks = rpc->type == RPC_REQUEST;
	job->ordered = true;
	TAILQ_INSERT_TAIL(&session->daemon->jobs, job, entry);
	if (timer_open(&job->daemon->world->timers, &job->deadline, on_deadline) < 0)
		abort();
	return job;
}

static struct job *find_job(struct session_of_daemon *session, uint64_t msgid)
{
	struct job *job;

	TAILQ_FOREACH(job, &session->daemon->jobs, entry)
		if (job->session == session && job->msgid == msgid && job->asks && !job->answered)
			return job;
	return NULL;
}

static void say_credit(struct job *job, uint32_t n)
{
	struct sendq *out = &job->session->out;

	put_array(out, 3);
	put_uint(out, RPC_NOTIFICATION);
	put_text(out, "objpool.credit");
	put_array(out, 2);
	put_uint(out, job->msgid);
	put_uint(out, n);
	push(job->session);
}

static void read_options(struct job *job, struct reader *reader)
{
	struct daemon *daemon = job->daemon;
	struct span key, value, text;
	uint32_t count;
	uint64_t n;

	if (read_map(reader, &count) < 0)
		return;
	for (; count > 0 && read_text(reader, &key) == 0 && read_value(reader, &value) == 0; count--) {
		struct reader inside = reader_of(value);
		if (span_is(key, "timeout_ms") && read_uint(&inside, &n) == 0) {
			job->has_deadline = true;
			timer_set(&daemon->world->timers, &job->deadline, daemon->world->now + n * MILLISECOND);
		} else if (span_is(key, "errors") && read_text(&inside, &text) == 0) {
			job->collects = span_is(text, "collect");
			job->first = span_is(text, "first");
		} else if (span_is(key, "stream")) {
			job->streams = read_bool(&inside, &job->streams) < 0 ? true : job->streams;
			job->runs = read_text(&inside, &text) == 0;
		} else if (span_is(key, "ordered")) {
			(void)read_bool(&inside, &job->ordered);
		} else if (span_is(key, "window") && read_uint(&inside, &n) == 0) {
			job->window = (uint32_t)n;
		} else {
			HOLDS(daemon->world, !span_is(key, "labels") && !span_is(key, "sync"),
			      "an option of the gateway's own has come to a daemon");
			HOLDS(daemon->world, !span_is(key, "sticky") || job->gathers, "a call of one instance is sticky");
		}
	}
}

static void split_args(struct span args, struct span *first, struct span *second)
{
	struct reader reader = reader_of(args);
	uint32_t count = 0;

	*first = *second = (struct span){0};
	if (args.size && read_array(&reader, &count) == 0 && count >= 1)
		(void)read_value(&reader, first);
	if (count >= 2)
		(void)read_value(&reader, second);
}

static void call(struct session_of_daemon *session, const struct rpc *rpc, const struct target *target, struct span method,
		 struct span args, struct reader *options)
{
	struct daemon *daemon = session->daemon;
	struct span first, second;
	char key[8] = "";

	HOLDS(daemon->world, span_is(target->host, daemon->node->name), "a call for another host, or none, has come to %s",
	      daemon->node->name);
	if (!span_is(target->pool, "p")) {
		refuse(session, rpc, "NO_SUCH_POOL");
		return;
	}
	if (target->select == SELECT_SLOT && target->slot >= daemon->slots) {
		refuse(session, rpc, "NO_SUCH_SLOT");
		return;
	}
	struct job *job = job_new(session, rpc);
	job->gathers = target->select == SELECT_ALL || target->select == SELECT_MAP || target->select == SELECT_SCATTER;
	job->fails = span_is(method, "fail");
	if (options)
		read_options(job, options);
	split_args(args, &first, &second);
	memcpy(key, target->key.bytes ? target->key.bytes : (const uint8_t *)"", target->key.size < 7 ? target->key.size : 7);
	switch (target->select) {
	case SELECT_ANY:
		add_task(job, shortest(daemon), first, second);
		break;
	case SELECT_SLOT:
		add_task(job, &daemon->slot[target->slot], first, second);
		break;
	case SELECT_KEY:
		add_task(job, &daemon->slot[(unsigned char)key[0] % daemon->slots], first, second);
		break;
	case SELECT_ALL:
		job->gathers = true;
		for (unsigned i = 0; i < daemon->slots; i++)
			add_task(job, &daemon->slot[i], first, second);
		break;
	case SELECT_SCATTER: {
		struct reader items = reader_of(first);
		struct span item;
		uint32_t count = 0;
		job->gathers = true;
		if (read_array(&items, &count) < 0 || count != daemon->slots) {
			job->collects = job->streams = false;
			fail_job(job, "BAD_ARGUMENT", "no");
			return;
		}
		for (unsigned i = 0; i < daemon->slots && read_value(&items, &item) == 0; i++)
			add_task(job, &daemon->slot[i], item, (struct span){0});
		break;
	}
	case SELECT_MAP: {
		struct reader items = reader_of(first);
		struct span item;
		uint32_t count = 0;
		job->gathers = true;
		job->fed = args.size == 0 || first.size == 0;
		if (job->fed) {
			job->window = job->window ? job->window : 2 * daemon->slots;
			say_credit(job, job->window);
			return;
		}
		(void)read_array(&items, &count);
		for (; count > 0 && read_value(&items, &item) == 0; count--)
			add_task(job, shortest(daemon), item, (struct span){0});
		if (job->items == 0)
			answer_job(job);
		break;
	}
	}
}

static void full_call(struct session_of_daemon *session, const struct rpc *rpc)
{
	struct reader reader = reader_of(rpc->params);
	struct world *world = session->daemon->world;
	struct span text, method, args = {0};
	struct target target;
	struct error error;
	uint32_t count;

	HOLDS(world,
	      read_array(&reader, &count) == 0 && count == 4 && read_text(&reader, &text) == 0 &&
		      target_parse_bare(text, &target, &error) == 0 && read_text(&reader, &method) == 0,
	      "objpool.call is not as it must be");
	if (read_nil(&reader) < 0)
		(void)read_value(&reader, &args);
	call(session, rpc, &target, method, args, &reader);
}

static void lease(struct session_of_daemon *session, const struct rpc *rpc, bool release)
{
	struct daemon *daemon = session->daemon;
	unsigned i;

	for (i = 0; i < daemon->slots; i++)
		if (release ? daemon->slot[i].leased_by == session->number
			    : daemon->slot[i].leased_by == 0 && !daemon->slot[i].runs)
			break;
	if (i == daemon->slots) {
		refuse(session, rpc, release ? "BAD_ARGUMENT" : "UNAVAILABLE");
		return;
	}
	daemon->slot[i].leased_by = release ? 0 : session->number;
	put_array(&session->out, 4);
	put_uint(&session->out, RPC_RESPONSE);
	put_uint(&session->out, rpc->msgid);
	put_nil(&session->out);
	if (release) {
		put_bool(&session->out, true);
	} else {
		put_map(&session->out, 2);
		put_pair(&session->out, "slot", i);
		put_pair(&session->out, "generation", 1);
	}
	push(session);
	if (release)
		start(&daemon->slot[i]);
}

static void hello(struct session_of_daemon *session, const struct rpc *rpc)
{
	HOLDS(session->daemon->world, !session->said_hello, "a session has said hello twice");
	session->said_hello = true;
	put_array(&session->out, 4);
	put_uint(&session->out, RPC_RESPONSE);
	put_uint(&session->out, rpc->msgid);
	put_nil(&session->out);
	put_map(&session->out, 1);
	put_text(&session->out, "server");
	put_text(&session->out, "objpool");
	push(session);
}

static void of_call(struct session_of_daemon *session, const struct rpc *rpc)
{
	struct reader reader = reader_of(rpc->params);
	struct span items = {0}, item;
	uint32_t count, n = 0;
	uint64_t msgid;

	if (read_array(&reader, &count) < 0 || read_uint(&reader, &msgid) < 0)
		return;
	struct job *job = find_job(session, msgid);
	if (!job)
		return;
	if (span_is(rpc->method, "objpool.cancel")) {
		fail_job(job, "CANCELLED", has_begun(job) ? "maybe" : "no");
	} else if (span_is(rpc->method, "objpool.feed")) {
		HOLDS(job->daemon->world, job->fed && !job->ended && read_value(&reader, &items) == 0,
		      "a job that is not fed is fed");
		struct reader inside = reader_of(items);
		(void)read_array(&inside, &n);
		for (; n > 0 && read_value(&inside, &item) == 0; n--) {
			HOLDS(job->daemon->world, job->alive < job->window, "more was fed than there is credit for");
			uint32_t columns;
			for (struct reader parts = reader_of(item); read_array(&parts, &columns) == 0; parts = reader_of(item))
				(void)read_value(&parts, &item); /* [token], or [[token], keywords] */
			add_task(job, shortest(job->daemon), item, (struct span){0});
		}
	} else {
		job->ended = true;
		finish(job);
	}
}

static void take(struct session_of_daemon *session, struct span message)
{
	struct world *world = session->daemon->world;
	struct target target;
	struct error error;
	struct rpc rpc;

	HOLDS(world, rpc_parse(message, &rpc) == 0, "what has come to a daemon is no message");
	if (rpc.type == RPC_RESPONSE)
		return;
	HOLDS(world, session->said_hello || span_is(rpc.method, "objpool.hello"), "the first request is not hello");
	if (span_is(rpc.method, "objpool.hello"))
		hello(session, &rpc);
	else if (span_is(rpc.method, "objpool.call"))
		full_call(session, &rpc);
	else if (span_is(rpc.method, "objpool.lease") || span_is(rpc.method, "objpool.release"))
		lease(session, &rpc, span_is(rpc.method, "objpool.release"));
	else if (rpc.method.size > 8 && memcmp(rpc.method.bytes, "objpool.", 8) == 0)
		of_call(session, &rpc);
	else if (target_parse(rpc.method, &target, &error) == 0)
		call(session, &rpc, &target, target.method, rpc.params, NULL);
	else
		world_fail(world, "\"%.*s\" is no method", SPAN_TEXT(rpc.method, 80));
}

/* ---- sessions ---- */

static void end_session(struct session_of_daemon *session)
{
	struct daemon *daemon = session->daemon;
	struct job *job, *next;

	for (unsigned i = 0; i < SLOTS_MAX; i++)
		if (daemon->slot[i].leased_by == session->number) {
			daemon->slot[i].leased_by = 0;
			start(&daemon->slot[i]);
		}
	for (job = TAILQ_FIRST(&daemon->jobs); job; job = next) {
		next = TAILQ_NEXT(job, entry);
		if (job->session != session)
			continue;
		job->session = NULL;
		if (job->asks)
			fail_job(job, "CANCELLED", "maybe");
	}
	sendq_clear(&session->in);
	sendq_clear(&session->out);
	timer_close(&daemon->world->timers, &session->step);
	TAILQ_REMOVE(&daemon->sessions, session, entry);
	free(session);
}

static void take_in(struct session_of_daemon *session)
{
	size_t size;
	uint8_t *flat = world_flat(&session->in, &size);
	size_t at = 0;

	while (at < size) {
		const int64_t n = scan_length(flat + at, size - at);
		HOLDS(session->daemon->world, n >= 0, "what has come to a daemon is no msgpack");
		if (n == 0)
			break;
		take(session, (struct span){.bytes = flat + at, .size = (size_t)n});
		at += (size_t)n;
	}
	sendq_sent(&session->in, at);
	free(flat);
}

static void give_bytes(struct held *held, struct node *node)
{
	struct session_of_daemon *session;

	TAILQ_FOREACH(session, &node->daemon->sessions, entry)
		if (session->number == held->number && session->local)
			gateway_on_local_bytes(session->local, (struct span){.bytes = held->bytes, .size = held->size});
}

/* Moves some bytes in each direction, cut anywhere. */
static void on_step(struct timer *timer)
{
	struct session_of_daemon *session = container_of(timer, struct session_of_daemon, step);
	struct daemon *daemon = session->daemon;
	struct world *world = daemon->world;
	struct local *local = session->local;
	struct iovec iov[1];

	if (!local)
		return;
	if (daemon->node->frozen_until || daemon->node->stalled_until) {
		timer_set(&world->timers, timer, world->now + 10 * MILLISECOND);
		return;
	}
	if (sendq_iov(&local->out, iov, 1) == 1) {
		const size_t size = 1 + world_dice(world, world_one_in(world, 4) ? 64 : 1 << 20);
		const size_t n = size < iov->iov_len ? size : iov->iov_len;
		sendq_copy(&session->in, iov->iov_base, n);
		sendq_sent(&local->out, n);
		daemon->node->touched = true;
		daemon->node->gateway->now = world->now;
		gateway_on_local_sent(local);
		take_in(session);
	}
	if (session->closing && local->out.bytes == 0) {
		session->local = local_free(local);
		end_session(session);
		return;
	}
	if (!session->closing && local->reads && sendq_iov(&session->out, iov, 1) == 1) {
		const size_t size = 1 + world_dice(world, world_one_in(world, 4) ? 64 : 1 << 16);
		const size_t n = size < iov->iov_len ? size : iov->iov_len;
		node_event(daemon->node, give_bytes, NULL, session->number, NULL, iov->iov_base, n);
		sendq_sent(&session->out, n);
	}
	push(session);
}

/* Something may be to do for the session. */
static void push(struct session_of_daemon *session)
{
	struct world *world = session->daemon->world;
	const bool sends = session->local && session->local->out.bytes > 0;
	const bool reads = session->local && session->local->reads && session->out.bytes > 0 && !session->closing;

	if ((sends || reads || session->closing) && !timer_is_set(&session->step))
		timer_set(&world->timers, &session->step, world->now + 1000 + world_dice(world, 50000));
}

int daemon_open(struct daemon *daemon, struct local *local)
{
	struct session_of_daemon *session;

	if (!daemon->world->flavour.calm && !daemon->world->quieting && world_one_in(daemon->world, 200))
		return -1;
	session = calloc(1, sizeof *session);
	session->daemon = daemon;
	session->local = local;
	session->number = ++daemon->last_number;
	local->owner = session;
	if (timer_open(&daemon->world->timers, &session->step, on_step) < 0)
		abort();
	TAILQ_INSERT_TAIL(&daemon->sessions, session, entry);
	return 0;
}

void daemon_wrote(struct local *local)
{
	push(local->owner);
}

void daemon_reads(struct local *local)
{
	push(local->owner);
}

void daemon_close(struct local *local)
{
	struct session_of_daemon *session = local->owner;

	if (local->gateway->ending) {
		session->local = local_free(local);
		return;
	}
	session->closing = true;
	push(session);
}

void daemon_drop_closing(struct daemon *daemon)
{
	struct session_of_daemon *session;

	TAILQ_FOREACH(session, &daemon->sessions, entry)
		if (session->closing)
			session->local = local_free(session->local);
}

void daemon_lose_gateway(struct daemon *daemon)
{
	while (!TAILQ_EMPTY(&daemon->sessions)) {
		struct session_of_daemon *session = TAILQ_FIRST(&daemon->sessions);
		session->local = local_free(session->local);
		end_session(session);
	}
}

/* ---- all of it ---- */

void daemon_put_pools(const struct daemon *daemon, struct sendq *to)
{
	unsigned ready = 0, queued = 0, running = 0;
	struct task *task;

	for (unsigned i = 0; i < daemon->slots; i++) {
		ready += !daemon->slot[i].building && !daemon->paused;
		running += daemon->slot[i].runs != NULL;
		TAILQ_FOREACH(task, &daemon->slot[i].queue, entry)
			queued++;
	}
	put_array(to, 1);
	put_array(to, 8);
	put_text(to, "p");
	put_text(to, "Played");
	put_uint(to, daemon->slots);
	put_array(to, ready);
	for (unsigned i = 0; i < daemon->slots; i++)
		if (!daemon->slot[i].building && !daemon->paused)
			put_uint(to, i);
	put_uint(to, queued);
	put_uint(to, running);
	put_bool(to, false);
	put_nil(to);
}

struct daemon *daemon_new(struct node *node)
{
	struct daemon *daemon = calloc(1, sizeof *daemon);

	daemon->node = node;
	daemon->world = node->world;
	daemon->slots = 1 + world_dice(node->world, SLOTS_MAX);
	TAILQ_INIT(&daemon->sessions);
	TAILQ_INIT(&daemon->jobs);
	for (unsigned i = 0; i < SLOTS_MAX; i++) {
		daemon->slot[i].daemon = daemon;
		daemon->slot[i].number = i;
		TAILQ_INIT(&daemon->slot[i].queue);
		if (timer_open(&node->world->timers, &daemon->slot[i].timer, on_slot) < 0)
			abort();
	}
	return daemon;
}

struct daemon *daemon_free(struct daemon *daemon)
{
	if (!daemon)
		return NULL;
	daemon_lose_gateway(daemon);
	for (unsigned i = 0; i < SLOTS_MAX; i++) {
		struct slot_of_daemon *slot = &daemon->slot[i];
		while (!TAILQ_EMPTY(&slot->queue)) {
			struct task *task = TAILQ_FIRST(&slot->queue);
			TAILQ_REMOVE(&slot->queue, task, entry);
			free(task);
		}
		free(slot->runs);
		timer_close(&daemon->world->timers, &slot->timer);
	}
	while (!TAILQ_EMPTY(&daemon->jobs)) {
		struct job *job = TAILQ_FIRST(&daemon->jobs);
		job->alive = 0;
		job->answered = true;
		forget_job(job);
	}
	free(daemon->stuck);
	free(daemon);
	return NULL;
}

bool daemon_is_quiet(const struct daemon *daemon)
{
	return TAILQ_EMPTY(&daemon->jobs) && TAILQ_EMPTY(&daemon->sessions);
}

void daemon_end_leases(struct daemon *daemon)
{
	for (unsigned i = 0; i < SLOTS_MAX; i++) {
		daemon->slot[i].leased_by = 0;
		start(&daemon->slot[i]);
	}
}

bool daemon_has_run(const struct daemon *daemon, uint32_t token)
{
	for (unsigned i = 0; i < daemon->stuck_count; i++)
		if (daemon->stuck[i] == token)
			return true;
	return false;
}

unsigned daemon_slots(const struct daemon *daemon)
{
	return daemon->slots;
}

unsigned daemon_sessions(const struct daemon *daemon)
{
	const struct session_of_daemon *session;
	unsigned n = 0;

	TAILQ_FOREACH(session, &daemon->sessions, entry)
		n++;
	return n;
}
