/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/supervisor/check.h"

#include "daemon/core/records/slot.h"
#include "daemon/supervisor/base/cgroup.h"
#include "daemon/supervisor/base/identity.h"
#include "daemon/supervisor/workers/loading.h"
#include "daemon/supervisor/base/spawn.h"
#include "proto/escape.h"
#include "proto/plural.h"
#include "proto/read.h"
#include "proto/scan.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum {
	PACKET = 256 << 10,
	REASON = 1024,
	LINE = 1024,
	LINES_SHOWN = 100,
	READS_AT_END = 17,
	END_PATIENCE = 1000 /* milliseconds */
};

/* ---- the user ---- */

static const struct passwd *find_user(const char *name)
{
	const struct passwd *user = getpwnam(name ? name : OBJPOOL_USER);

	return user || name ? user : getpwnam("nobody");
}

int check_leave_root(const char *name, char *reason, size_t reason_size)
{
	int r;

	if (geteuid() != 0) {
		snprintf(reason, reason_size, "--user is for root");
		return name ? -1 : 0;
	}
	errno = 0;
	const struct passwd *user = find_user(name);
	if (!user)
		snprintf(reason, reason_size, "plugins are not loaded as root, and there is no user %s%s%s",
			 name ? name : OBJPOOL_USER, errno ? ": " : "", errno ? strerror(errno) : "");
	else if (user->pw_uid == 0)
		snprintf(reason, reason_size, "plugins are not loaded as root");
	else if ((r = identity_become(user, user->pw_gid)) < 0)
		snprintf(reason, reason_size, "can't become user %s: %s", user->pw_name, strerror(-r));
	else
		return 0;
	return -1;
}

/* ---- one template process ---- */

struct template
{
	const struct config_pool *pool;
	const char *about; /* stands before each line that is said */
	FILE *to;
	bool faulty; /* it has told of an error */
	pid_t pid;
	int channel, printed; /* its output and errors */
	char line[LINE];      /* of what it prints, so far */
	size_t size;
	uint64_t lines;
	char *reason; /* [REASON] */
};

__attribute__((format(printf, 2, 3))) static int fail(struct template *template, const char *format, ...)
{
	va_list list;

	va_start(list, format);
	(void)vsnprintf(template->reason, REASON, format, list);
	va_end(list);
	return -1;
}

/* What is not the program's own is escaped: it could act on the terminal. */
static void say(const struct template *template, const char *kind, const char *text, size_t size)
{
	char escaped[ESCAPE_MAX * REASON + 1];

	(void)escape_text(escaped, sizeof escaped, text, size);
	fprintf(template->to, "%s: %s%s\n", template->about, kind, escaped);
}

static void print_line(struct template *template)
{
	char text[LINE + 16];
	const int n = snprintf(text, sizeof text, "printed: %.*s", (int)template->size, template->line);

	if (template->size > 0 && template->lines++ < LINES_SHOWN)
		say(template, "", text, (size_t)n < sizeof text ? (size_t)n : sizeof text - 1);
	template->size = 0;
}

static void say_left_out(const struct template *template)
{
	char text[64];

	if (template->lines <= LINES_SHOWN)
		return;
	snprintf(text, sizeof text, "printed %llu more line%s", (unsigned long long)template->lines - LINES_SHOWN,
		 plural(template->lines - LINES_SHOWN));
	say(template, "", text, strlen(text));
}

/* Passes on what the process has printed. False: no more will come. */
static bool pass_on(struct template *template)
{
	char bytes[4096];
	const ssize_t n = read(template->printed, bytes, sizeof bytes);

	for (ssize_t i = 0; i < n; i++) {
		if (bytes[i] == '\n' || template->size == sizeof template->line)
			print_line(template);
		if (bytes[i] != '\n')
			template->line[template->size++] = bytes[i];
	}
	return n > 0 || (n < 0 && (errno == EAGAIN || errno == EINTR));
}

static int start(struct template *template, const char *program)
{
	char *const argv[] = {(char *)"objpool-worker", template->pool->name, NULL};
	int channel[2], printed[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, channel) < 0)
		return -errno;
	if (pipe2(printed, O_CLOEXEC) < 0) {
		const int r = -errno;
		(void)close(channel[0]);
		(void)close(channel[1]);
		return r;
	}
	template->channel = channel[0];
	template->printed = printed[0];
	(void)fcntl(printed[0], F_SETFL, O_NONBLOCK);
	const struct spawn what = {.program = program,
				   .argv = argv,
				   .environment = spawn_environment(),
				   .output = printed[1],
				   .errors = printed[1],
				   .channel = channel[1]};
	const int r = what.environment ? spawn(&what, &template->pid) : -ENOMEM;
	(void)close(channel[1]);
	(void)close(printed[1]);
	return r;
}

/* glibc has a function for it since 2.36. */
static int open_process(pid_t pid)
{
	return (int)syscall(SYS_pidfd_open, pid, 0);
}

/* Ends the process, and what it has started: it leads its group. Returns its status. */
static int end(struct template *template)
{
	int status = 0;

	(void)kill(-template->pid, SIGKILL);
	while (waitpid(template->pid, &status, 0) < 0 && errno == EINTR)
		;
	for (int i = 0; i < READS_AT_END && pass_on(template); i++)
		; /* what a pipe holds; what the process has started may still print */
	print_line(template);
	say_left_out(template);
	return status;
}

/* Its channel has ended. */
static int died(struct template *template)
{
	struct pollfd process = {.fd = open_process(template->pid), .events = POLLIN};
	siginfo_t info = {0};
	char how[96];

	(void)poll(&process, 1, END_PATIENCE);
	if (process.fd >= 0)
		(void)close(process.fd);
	if (waitid(P_PID, (id_t) template->pid, &info, WEXITED | WNOHANG | WNOWAIT) < 0 || info.si_pid == 0)
		return fail(template, "the template process closed its channel while it loaded the plugin");
	slot_describe_status(info.si_code == CLD_EXITED ? info.si_status << 8 : info.si_status, how, sizeof how);
	return fail(template, "the template process %s%s while it loaded the plugin", info.si_code == CLD_EXITED ? "" : "was ",
		    how);
}

/* What follows [FAULT. */
static int say_fault(struct template *template, struct reader *reader)
{
	static const char *const kinds[] = {[FAULT_NOTE] = "", [FAULT_WARNING] = "warning: ", [FAULT_ERROR] = "error: "};
	struct span text;
	uint64_t kind;

	if (read_uint(reader, &kind) < 0 || kind > FAULT_ERROR || read_text(reader, &text) < 0)
		return fail(template, "the template process sent what is no message of a template");
	say(template, kinds[kind], (const char *)text.bytes, text.size < REASON ? text.size : REASON - 1);
	template->faulty |= kind == FAULT_ERROR;
	return 1;
}

/* [LOADED] or [LOADED, nil, error]; or before it [FAULT, kind, text]: then 1. */
static int read_answer(struct template *template)
{
	uint8_t *packet = malloc(PACKET);
	const ssize_t n = packet ? recv(template->channel, packet, PACKET, 0) : -1;
	struct reader reader = reader_of((struct span){.bytes = packet, .size = n > 0 ? (size_t)n : 0});
	struct span reason;
	uint64_t type;
	uint32_t count;
	int r = -1;

	if (n <= 0)
		(void)died(template);
	else if (scan_length(packet, (size_t)n) != n || read_array(&reader, &count) < 0 || read_uint(&reader, &type) < 0)
		(void)fail(template, "the template process sent what is no message of a template");
	else if (type == FROM_FAULT)
		r = say_fault(template, &reader);
	else if (count == 1)
		r = template->faulty ? -1 : 0;
	else if (read_nil(&reader) == 0 && read_text(&reader, &reason) == 0)
		(void)fail(template, "%.*s", (int)reason.size, (const char *)reason.bytes);
	free(packet);
	return r;
}

static int milliseconds_left(const struct timespec *since, uint64_t patience)
{
	struct timespec now;

	if (patience == NEVER)
		return -1;
	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	const int64_t passed = (now.tv_sec - since->tv_sec) * 1000 + (now.tv_nsec - since->tv_nsec) / 1000000;
	const int64_t left = (int64_t)(patience / MILLISECOND) - passed;
	return left > 0 ? (int)(left < 1000000 ? left : 1000000) : 0;
}

/* The process may have left its channel to one that it has started: its end is seen by itself. */
static int await_any(struct template *template, int process)
{
	struct pollfd fds[] = {{.fd = template->channel, .events = POLLIN},
			       {.fd = template->printed, .events = POLLIN},
			       {.fd = process, .events = POLLIN}};
	const uint64_t patience = template->pool->start_timeout;
	struct timespec since;
	int n, r;

	(void)clock_gettime(CLOCK_MONOTONIC, &since);
	for (;;) {
		n = poll(fds, 3, milliseconds_left(&since, patience));
		if (n == 0 && milliseconds_left(&since, patience) == 0)
			return fail(template, "loading the plugin took longer than start_timeout");
		if (n < 0 && errno != EINTR)
			return fail(template, "poll: %s", strerror(errno));
		if (n > 0 && fds[1].revents && !pass_on(template))
			fds[1].fd = -1;
		if (n > 0 && fds[0].revents && (r = read_answer(template)) <= 0)
			return r;
		if (n > 0 && !fds[0].revents && fds[2].revents)
			return died(template);
	}
}

static int await(struct template *template)
{
	const int process = open_process(template->pid);
	const int r = await_any(template, process);

	if (process >= 0)
		(void)close(process);
	return r;
}

static int check(struct template *template, const char *program, const struct loading *loading)
{
	int r = start(template, program);

	if (r < 0)
		return fail(template, "can't run %s: %s", program, strerror(-r));
	r = loading_send(template->channel, loading);
	r = r < 0 ? fail(template, "can't be told what to load: %s", strerror(-r)) : await(template);
	(void)end(template);
	return r;
}

/* ---- all pools ---- */

int check_loading(const struct loading *loading, const char *program, const char *about, FILE *to)
{
	char reason[REASON] = "";
	struct template template = {
		.pool = loading->section, .about = about, .to = to, .channel = -1, .printed = -1, .reason = reason};
	const bool allowed = !loading->section->cage.memory_max || cgroup_check(reason, sizeof reason) == 0;
	const int r = allowed ? check(&template, program, loading) : -1;

	if (reason[0])
		say(&template, loading->all || loading->only ? "error: " : "", reason, strlen(reason));
	if (template.channel >= 0)
		(void)close(template.channel);
	if (template.printed >= 0)
		(void)close(template.printed);
	return r;
}

static int check_pool(const struct config *config, const struct config_pool *pool, const char *program, bool preload)
{
	struct loading loading = {.section = pool, .max_message = config->max_message, .check = true, .preload = preload};
	char *path = loading_path(config, pool), *about;
	int r = -1;

	if (asprintf(&about, "objpoold: %s: pool %s", pool->place, pool->name) < 0)
		about = NULL;
	loading.plugin_path = path;
	if (path && about)
		r = check_loading(&loading, program, about, stderr);
	else
		fprintf(stderr, "objpoold: pool %s: out of memory\n", pool->name);
	free(path);
	free(about);
	return r;
}

static bool is_wanted(const struct config_pool *pool, enum check_which which)
{
	const struct passwd *user = pool->cage.user ? getpwnam(pool->cage.user) : NULL;

	return which == CHECK_ALL || (which == CHECK_OF_OTHERS) == (user && user->pw_uid != 0);
}

uint32_t check_pools(const struct config *config, bool preload, enum check_which which)
{
	char *program = spawn_find_worker(config->worker_program);
	uint32_t failed = 0;

	for (uint32_t i = 0; i < config->pool_count; i++)
		if (is_wanted(&config->pools[i], which))
			failed += !program || check_pool(config, &config->pools[i], program, preload) < 0;
	free(program);
	return failed;
}
