/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/worker/template.h"

#include "daemon/worker/loop.h"
#include "daemon/worker/quit.h"
#include "daemon/worker/run.h"
#include "daemon/worker/services.h"
#include "proto/groups.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum { PACKET = 256 << 10, THREADS_PATIENCE = 100 /* milliseconds */ };

struct template {
	int channel;
	const struct objpool_plugin *linked; /* NULL: this process is objpool-worker, and loads its plugin */
	struct plugin plugin;
	msgpack_zone settings; /* what plugin.settings lies in */
	bool threads; /* instances are threads of this process, not processes */
	char fault[512];
	uint8_t *packet;
	struct {
		sigset_t mask;
		struct sigaction on_child;
	} before; /* of a program's process, as its workers shall have it */
};

/* ---- its workers' ends, in a program's process, which is their parent ---- */

/* The groups of this template's workers, when it is a program's fork. Else it is empty: the supervisor has their groups. */
static struct groups groups;

/* Ends the template: the supervisor has gone, or wants no more workers. */
_Noreturn static void end(int status)
{
	groups_end_all(&groups);
	_exit(status);
}

static void on_child(int signal)
{
	(void)signal; /* it has ended a wait */
}

static void watch_children(struct template *template)
{
	const struct sigaction action = {.sa_handler = on_child};
	sigset_t child;

	sigemptyset(&child);
	sigaddset(&child, SIGCHLD);
	if (sigprocmask(SIG_BLOCK, &child, &template->before.mask) < 0 ||
	    sigaction(SIGCHLD, &action, &template->before.on_child) < 0)
		quit_memory();
}

static void unwatch_children(const struct template *template)
{
	if (sigaction(SIGCHLD, &template->before.on_child, NULL) < 0 ||
	    sigprocmask(SIG_SETMASK, &template->before.mask, NULL) < 0)
		quit_memory();
}

static void send_packet(const struct template *template, const struct objpool_buffer *packet)
{
	if (packet->failed)
		quit_memory(); /* the supervisor logs the status */
	if (send(template->channel, packet->data, packet->size, MSG_NOSIGNAL) < 0)
		end(0); /* the supervisor has gone */
}

/* A packer that writes to the packet, which begins with its type and has so many fields. */
static msgpack_packer begin_packet(struct objpool_buffer *packet, size_t fields, enum from_template type)
{
	msgpack_packer packer;

	msgpack_packer_init(&packer, packet, objpool_buffer_write);
	msgpack_pack_array(&packer, fields);
	msgpack_pack_int(&packer, (int)type);
	return packer;
}

static void tell_of_exit(const struct template *template, pid_t pid, int status)
{
	struct objpool_buffer packet = OBJPOOL_BUFFER_INIT;
	msgpack_packer packer = begin_packet(&packet, 3, FROM_EXITED);

	msgpack_pack_int(&packer, pid);
	msgpack_pack_int(&packer, status);
	send_packet(template, &packet);
	objpool_buffer_free(&packet);
}

/* Waits for workers that have ended; before that, kills what they have forked, while the group's number is still its own. */
static void reap(const struct template *template)
{
	siginfo_t ended = {0};
	int status = 0;

	while (waitid(P_ALL, 0, &ended, WEXITED | WNOHANG | WNOWAIT) == 0 && ended.si_pid > 0) {
		(void)groups_end(&groups, ended.si_pid);
		(void)waitpid(ended.si_pid, &status, 0);
		tell_of_exit(template, ended.si_pid, status);
		ended.si_pid = 0;
	}
}

/* Until there is a message. */
static void watch(const struct template *template)
{
	struct pollfd input = {.fd = template->channel, .events = POLLIN};
	sigset_t mask = template->before.mask;
	int n;

	sigdelset(&mask, SIGCHLD);
	do {
		reap(template);
		n = ppoll(&input, 1, NULL, &mask);
	} while (n < 0 && errno == EINTR);
}

static void on_kill(struct reader *reader)
{
	int64_t pid;

	/* Still a child, if only a dead one: the number can't be another process's. */
	if (read_int(reader, &pid) == 0 && pid > 1 && waitid(P_PID, (id_t)pid, &(siginfo_t){0}, WEXITED | WNOHANG | WNOWAIT) == 0)
		(void)kill((pid_t)pid, SIGKILL);
}

/* ---- packets ---- */

/* One message and the descriptors that came with it; *count becomes how many. Returns its length; 0 or less: the end. */
static ssize_t receive(const struct template *template, uint8_t *packet, int *fds, int *count)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(FORK_FILES * sizeof(int))];
	} control;
	struct iovec iov = {.iov_base = packet, .iov_len = PACKET};
	struct msghdr message = {
		.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control.bytes, .msg_controllen = sizeof control.bytes};
	ssize_t n;

	if (template->linked)
		watch(template);
	do {
		n = recvmsg(template->channel, &message, MSG_CMSG_CLOEXEC);
	} while (n < 0 && errno == EINTR);
	*count = 0;
	for (struct cmsghdr *c = CMSG_FIRSTHDR(&message); n > 0 && c; c = CMSG_NXTHDR(&message, c))
		if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS) {
			*count = (int)((c->cmsg_len - CMSG_LEN(0)) / sizeof(int));
			memcpy(fds, CMSG_DATA(c), (size_t)*count * sizeof(int));
		}
	return n;
}

/* ---- LOAD ---- */

static void pack_text(msgpack_packer *packer, const char *text)
{
	const size_t n = text ? strlen(text) : 0;
	msgpack_pack_str(packer, n);
	msgpack_pack_str_body(packer, text, n);
}

static void pack_pair(msgpack_packer *packer, const char *key, const char *text)
{
	pack_text(packer, key);
	pack_text(packer, text);
}

static void pack_flag(msgpack_packer *packer, const char *key, bool flag)
{
	pack_text(packer, key);
	if (flag)
		msgpack_pack_true(packer);
	else
		msgpack_pack_false(packer);
}

static void pack_table(const struct plugin *plugin, msgpack_packer *packer)
{
	msgpack_pack_array(packer, plugin->methods_count);
	for (uint32_t i = 0; i < plugin->methods_count; i++) {
		const struct objpool_method method = plugin_method(plugin, i);
		msgpack_pack_map(packer, 3);
		pack_pair(packer, "name", method.name);
		pack_pair(packer, "signature", method.signature);
		pack_pair(packer, "doc", method.doc);
	}
}

/* A class that has dispatch says itself what it takes; else its table does. */
static int pack_methods(struct task *task, msgpack_packer *packer)
{
	const struct objpool_class *class = &task->plugin->class;
	if (!class->list_methods) {
		pack_table(task->plugin, packer);
		return 0;
	}
	return run_outcome(task, "list_methods", class->list_methods(&task->handle.call, packer));
}

static int pack_description(struct task *task, msgpack_packer *packer)
{
	const struct plugin *plugin = task->plugin;
	const struct task_described *described = &task->described;
	const uint32_t hooks = described->given ? described->hooks : UINT32_MAX;

	msgpack_pack_array(packer, 2);
	msgpack_pack_int(packer, FROM_LOADED);
	msgpack_pack_map(packer, 10);
	pack_pair(packer, "plugin", plugin->exported->name);
	pack_pair(packer, "version", plugin->exported->version);
	pack_pair(packer, "class", plugin->class.name);
	pack_pair(packer, "doc", described->doc ? described->doc : plugin->class.doc);
	pack_pair(packer, "signature", described->signature ? described->signature : plugin->class.signature);
	pack_flag(packer, "open", plugin->class.dispatch);
	pack_flag(packer, "session_end", plugin->class.session_end && hooks & OBJPOOL_HOOK_SESSION_END);
	pack_flag(packer, "leased", (plugin->class.leased || plugin->class.released) && hooks & OBJPOOL_HOOK_LEASED);
	pack_flag(packer, "snapshot", plugin->class.snapshot && plugin->class.restore && hooks & OBJPOOL_HOOK_SNAPSHOT);
	pack_text(packer, "methods");
	return pack_methods(task, packer);
}

static void send_fault(const struct template *template, const char *fault)
{
	struct objpool_buffer packet = OBJPOOL_BUFFER_INIT;
	msgpack_packer packer = begin_packet(&packet, 3, FROM_LOADED);

	msgpack_pack_nil(&packer);
	pack_text(&packer, fault);
	send_packet(template, &packet);
	_exit(1);
}

/* How many threads this process has. 0: not known. */
static unsigned count_threads(void)
{
	DIR *tasks = opendir("/proc/self/task");
	unsigned count = 0;

	while (tasks && readdir(tasks))
		count++;
	if (tasks)
		(void)closedir(tasks);
	return count > 2 ? count - 2 : 0; /* "." and ".." */
}

/* Refuses the class if `what` has left threads running: a fork has only the thread that forks, and code that waits for another
 * would wait for ever. Waits a moment: a thread that has just ended is counted a little longer. */
static void refuse_threads(struct template *template, unsigned before, const char *what, const char *whose)
{
	const bool bears = template->threads || template->linked || template->plugin.class.flags & OBJPOOL_CLASS_FORK_SAFE;
	unsigned now = bears ? 0 : count_threads();

	for (int i = 0; i < THREADS_PATIENCE && now > before; i++) {
		(void)poll(NULL, 0, 1);
		now = count_threads();
	}
	if (now <= before)
		return;
	snprintf(template->fault, sizeof template->fault,
		 "%s %s has started %u thread%s, which forked workers don't have: start them in the constructor; where workers "
		 "can do without them, the class says so (OBJPOOL_CLASS_FORK_SAFE)",
		 what, whose, now - before, now - before > 1 ? "s" : "");
	send_fault(template, template->fault);
}

/* A task for the functions of the class that are called here. */
static void begin_task(struct template *template, struct task *task, const char *pool)
{
	static struct reply unused;

	if (reply_init(&unused, -1, NULL) < 0 || task_init(task, &template->plugin, &services, &unused, NULL) < 0)
		send_fault(template, "out of memory");
	task->place.pool = pool;
}

static void preload(struct template *template, struct task *task, struct span args, struct span kwargs, unsigned threads)
{
	if (task_add_array(task, args) < 0 || task_add_map(task, kwargs) < 0 || run_preload(task) < 0) {
		snprintf(template->fault, sizeof template->fault, "preload of class %s failed: %s", template->plugin.class.name,
			 method_error_message(&task->handle.error));
		send_fault(template, template->fault);
	}
	refuse_threads(template, threads, "preload of class", template->plugin.class.name);
}

/* What the class offers. */
static void describe(struct template *template, struct task *task)
{
	struct objpool_buffer packet = OBJPOOL_BUFFER_INIT;
	msgpack_packer packer;

	msgpack_packer_init(&packer, &packet, objpool_buffer_write);
	if (pack_description(task, &packer) < 0)
		send_fault(template, method_error_message(&task->handle.error));
	if (packet.failed)
		send_fault(template, "out of memory");
	if (packet.size > PACKET / 2)
		send_fault(template, "the class describes itself in more than 128 KiB");
	send_packet(template, &packet);
	objpool_buffer_free(&packet);
}

/* For the life of the process: the workers, forked from here, have them too. */
static int keep_settings(struct template *template, struct span settings)
{
	char *bytes = malloc(settings.size);

	if (!bytes || !msgpack_zone_init(&template->settings, 1024))
		return -1;
	memcpy(bytes, settings.bytes, settings.size);
	return msgpack_unpack(bytes, settings.size, NULL, &template->settings, &template->plugin.settings) ==
			       MSGPACK_UNPACK_SUCCESS
		       ? 0
		       : -1;
}

/* What LOAD and CHECK begin with. */
struct order {
	char *pool, *path, *class;
	struct span args, kwargs;
	unsigned threads; /* of this process before anything was loaded */
};

static char *read_string(const struct template *template, struct reader *reader)
{
	struct span text;
	char *copy;

	if (read_text(reader, &text) < 0)
		quit_protocol();
	if (!(copy = strndup((const char *)text.bytes, text.size)))
		send_fault(template, "out of memory");
	return copy;
}

static void read_order(struct template *template, struct reader *reader, struct order *order)
{
	struct span settings;

	order->pool = read_string(template, reader);
	order->path = read_string(template, reader);
	order->class = read_string(template, reader);
	if (read_value(reader, &order->args) < 0 || read_value(reader, &order->kwargs) < 0 ||
	    read_bool(reader, &template->threads) < 0 || read_value(reader, &settings) < 0)
		quit_protocol();
	if (keep_settings(template, settings) < 0)
		send_fault(template, "out of memory");
	order->threads = count_threads();
}

/* Loads the plugin and finds its class. */
static void load(struct template *template, const struct order *order)
{
	struct plugin *plugin = &template->plugin;
	char *fault = template->fault;
	const int loaded = template->linked ? plugin_link(plugin, template->linked, order->class, fault, sizeof template->fault)
					    : plugin_load(plugin, order->path, order->class, fault, sizeof template->fault);

	if (loaded < 0)
		send_fault(template, fault);
	refuse_threads(template, order->threads, "loading", plugin->exported->name ? plugin->exported->name : order->path);
	if (!template->threads || plugin->class.flags & OBJPOOL_CLASS_THREAD_SAFE)
		return;
	snprintf(fault, sizeof template->fault,
		 "class %s does not say that it is safe for threads (OBJPOOL_CLASS_THREAD_SAFE): it needs isolation = process",
		 plugin->class.name);
	send_fault(template, fault);
}

static void on_load(struct template *template, struct reader *reader)
{
	struct order order;
	struct task task;

	read_order(template, reader, &order);
	load(template, &order);
	begin_task(template, &task, order.pool);
	preload(template, &task, order.args, order.kwargs, order.threads);
	describe(template, &task);
	(void)prctl(PR_SET_NAME, "objpool-templ.", 0, 0, 0);
	free(order.path);
}

/* ---- CHECK ---- */

static void check_arguments(struct template *template, struct task *task, const struct order *order, struct span slot_kwargs)
{
	const bool own = slot_kwargs.size > 0;
	int n = 0;

	task_clear(task);
	if (task_add_array(task, order->args) == 0 && task_add_map(task, order->kwargs) == 0 &&
	    (!own || task_add_map(task, slot_kwargs) == 0) && run_check(task) == 0)
		return;
	if (own)
		n = snprintf(template->fault, sizeof template->fault, "slot %u: ", task->place.slot);
	snprintf(template->fault + n, sizeof template->fault - (size_t)n, "%s", method_error_message(&task->handle.error));
	send_fault(template, template->fault);
}

/* Those of the pool, or, where slots have arguments of their own, those of each. */
static void check_all_arguments(struct template *template, struct task *task, const struct order *order, struct span slots)
{
	struct reader reader = reader_of(slots);
	struct span one;
	uint32_t n;

	if (read_array(&reader, &n) < 0) {
		check_arguments(template, task, order, (struct span){0});
		return;
	}
	for (task->place.slot = 0; task->place.slot < n; task->place.slot++) {
		if (read_value(&reader, &one) < 0)
			quit_protocol();
		check_arguments(template, task, order, one);
	}
}

static void on_check(struct template *template, struct reader *reader)
{
	struct objpool_buffer packet = OBJPOOL_BUFFER_INIT;
	bool with_preload, whole;
	struct order order;
	struct span slots;
	struct task task;

	read_order(template, reader, &order);
	if (read_value(reader, &slots) < 0 || read_bool(reader, &with_preload) < 0 || read_bool(reader, &whole) < 0)
		quit_protocol();
	load(template, &order);
	begin_task(template, &task, order.pool);
	if (with_preload)
		preload(template, &task, order.args, order.kwargs, order.threads);
	if (whole)
		check_all_arguments(template, &task, &order, slots);
	(void)begin_packet(&packet, 1, FROM_LOADED);
	send_packet(template, &packet);
	_exit(0);
}

/* ---- FORK ---- */

/* Of the program, that is: what it prints goes where the program's goes, and what the program has asked to be done at its own
 * end is not for it. */
_Noreturn static void become_program_worker(const struct template *template, const int *fds, pid_t parent)
{
	struct board *board = mmap(NULL, sizeof *board, PROT_READ | PROT_WRITE, MAP_SHARED, fds[FORK_BOARD], 0);

	if (board == MAP_FAILED)
		quit_memory();
	(void)setpgid(0, 0);
	unwatch_children(template);
	(void)close(template->channel);
	for (int i = FORK_BOARD; i < FORK_FILES; i++)
		(void)close(fds[i]);
	_exit(loop_run(&template->plugin, board, fds[FORK_CHANNEL], parent) == HOST_STOPPED ? 0 : 1);
}

/* In the new worker: moves its descriptors to their numbers, and closes the template's. */
_Noreturn static void become_worker(const struct template *template, const int *fds)
{
	struct board *board = mmap(NULL, sizeof *board, PROT_READ | PROT_WRITE, MAP_SHARED, fds[FORK_BOARD], 0);

	(void)setpgid(0, 0);
	if (board == MAP_FAILED || dup3(fds[FORK_CHANNEL], CHANNEL_FD, O_CLOEXEC) < 0 ||
	    dup2(fds[FORK_OUTPUT], STDOUT_FILENO) < 0 || dup2(fds[FORK_ERRORS], STDERR_FILENO) < 0)
		quit_memory();
	for (int i = 0; i < FORK_FILES; i++)
		(void)close(fds[i]);
	(void)prctl(PR_SET_NAME, "objpool-worker", 0, 0, 0);
	(void)setvbuf(stdout, NULL, _IOLBF, 0);
	if (loop_run(&template->plugin, board, CHANNEL_FD, 0) == HOST_STOPPED)
		exit(0); /* what the plugin has asked to be done at an orderly end, is */
	_exit(1); /* the constructor failed; if the supervisor has gone, nobody looks */
}

/* ---- threads ---- */

struct thread {
	const struct template *template;
	int fd;
	struct board *board;
};

static void *run_thread(void *data)
{
	struct thread *thread = data;

	(void)prctl(PR_SET_NAME, "objpool-thread", 0, 0, 0);
	(void)loop_run(&thread->template->plugin, thread->board, thread->fd, 0);
	(void)munmap(thread->board, sizeof *thread->board);
	(void)close(thread->fd);
	free(thread);
	return NULL;
}

/* An instance on a thread of this process. 0 or a negative errno. */
static int start_thread(const struct template *template, const int *fds)
{
	struct thread *thread = calloc(1, sizeof *thread);
	pthread_attr_t attributes;
	pthread_t id;
	int r;

	if (!thread || pthread_attr_init(&attributes) != 0) {
		free(thread);
		return -ENOMEM;
	}
	*thread = (struct thread){.template = template, .fd = fcntl(fds[FORK_CHANNEL], F_DUPFD_CLOEXEC, CHANNEL_FD + 1)};
	thread->board = mmap(NULL, sizeof *thread->board, PROT_READ | PROT_WRITE, MAP_SHARED, fds[FORK_BOARD], 0);
	r = thread->fd < 0 || thread->board == MAP_FAILED ? -errno : 0;
	if (r == 0) {
		(void)pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
		r = -pthread_create(&id, &attributes, run_thread, thread);
	}
	(void)pthread_attr_destroy(&attributes);
	if (r == 0)
		return 0;
	if (thread->board != MAP_FAILED)
		(void)munmap(thread->board, sizeof *thread->board);
	if (thread->fd >= 0)
		(void)close(thread->fd);
	free(thread);
	return r;
}

/*
 * The worker must be the supervisor's child, so that its exit status is the supervisor's to read, and its death follows the
 * supervisor's and not this process's. So it is forked twice: when the process between ends, the supervisor, which
 * is the subreaper, adopts it.
 */
static pid_t fork_twice(const struct template *template, const int *fds)
{
	pid_t worker = -1;
	int pipe_ends[2];

	if (pipe2(pipe_ends, O_CLOEXEC) < 0)
		return -errno;
	const pid_t between = fork();
	if (between == 0) {
		worker = fork();
		if (worker == 0)
			become_worker(template, fds);
		if (worker < 0)
			worker = -errno;
		else
			(void)setpgid(worker, worker); /* before the supervisor hears of it: it kills the template's group */
		_exit(write(pipe_ends[1], &worker, sizeof worker) == sizeof worker ? 0 : 1);
	}
	const int error = errno;
	(void)close(pipe_ends[1]);
	if (between > 0 && read(pipe_ends[0], &worker, sizeof worker) != sizeof worker)
		worker = -EAGAIN;
	(void)close(pipe_ends[0]);
	if (between < 0)
		return -error;
	while (waitpid(between, NULL, 0) < 0 && errno == EINTR)
		;
	return worker; /* adopted by now: a child is handed on before its parent can be waited for */
}

/* What the supervisor would learn of its child, this process tells it: of a process that isn't its descendant it can't adopt
 * any. Their lives hang on this one's. */
static pid_t fork_from_program(const struct template *template, const int *fds)
{
	const pid_t parent = getpid(), worker = fork();

	if (worker == 0)
		become_program_worker(template, fds, parent);
	if (worker < 0)
		return -errno;
	(void)setpgid(worker, worker);
	groups_add(&groups, worker);
	return worker;
}

static pid_t start(const struct template *template, const int *fds)
{
	if (template->threads) {
		const int r = start_thread(template, fds);
		return r < 0 ? r : getpid();
	}
	return template->linked ? fork_from_program(template, fds) : fork_twice(template, fds);
}

static void on_fork(const struct template *template, struct reader *reader, const int *fds)
{
	struct objpool_buffer packet = OBJPOOL_BUFFER_INIT;
	uint64_t slot, generation;

	if (read_uint(reader, &slot) < 0 || read_uint(reader, &generation) < 0)
		end(70);
	const pid_t worker = start(template, fds);
	for (int i = 0; i < FORK_FILES; i++)
		(void)close(fds[i]);
	msgpack_packer packer = begin_packet(&packet, 4, FROM_FORKED);
	msgpack_pack_uint64(&packer, slot);
	msgpack_pack_uint64(&packer, generation);
	msgpack_pack_int(&packer, worker);
	send_packet(template, &packet);
	objpool_buffer_free(&packet);
}

/* ---- the loop ---- */

void template_run(int channel, const struct objpool_plugin *linked)
{
	static struct template template;
	int fds[FORK_FILES], count;
	uint32_t fields;
	uint64_t type;
	ssize_t n;

	groups_forget(&groups);
	(void)setsid(); /* what is typed at the daemon's terminal, or the program's, is not for us */
	template.channel = channel;
	template.linked = linked;
	if (!(template.packet = malloc(PACKET)))
		quit_memory();
	if (linked)
		watch_children(&template);
	while ((n = receive(&template, template.packet, fds, &count)) > 0) {
		struct reader reader = reader_of((struct span){.bytes = template.packet, .size = (size_t)n});
		if (read_array(&reader, &fields) < 0 || read_uint(&reader, &type) < 0)
			end(70);
		if (type == TO_LOAD)
			on_load(&template, &reader);
		else if (type == TO_FORK && count == FORK_FILES)
			on_fork(&template, &reader, fds);
		else if (type == TO_CHECK)
			on_check(&template, &reader);
		else if (type == TO_KILL && linked)
			on_kill(&reader);
		else
			end(70);
	}
	end(0);
}
