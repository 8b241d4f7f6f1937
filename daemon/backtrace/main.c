/* SPDX-License-Identifier: Apache-2.0 */
/*
 * objpool-backtrace PID: prints the stack of each thread of a process, with the names of functions. objpoold runs it when a
 * method is slow (slow_log), because the daemon itself must neither wait nor trace. It can be run by hand, too.
 *
 * Each thread is stopped only while its stack is read, and runs again before names are looked up.
 */
#include "daemon/backtrace/frames.h"
#include "daemon/backtrace/thread_stop.h"
#include "proto/clock.h"
#include "proto/plural.h"
#include "proto/standard.h"

#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

enum { THREADS_MAX = 16, SECONDS_MAX = 2, PLACES_SECONDS = 1 };

/* daemon/supervisor/workers/slowlog.c knows EXIT_DENIED. */
enum { EXIT_GONE = 1, EXIT_USAGE = 2, EXIT_DENIED = 3 };

struct threads {
	uint32_t count, more; /* in `at`, and beyond it */
	pid_t at[THREADS_MAX];
};

static int64_t started;

static bool in_time(void)
{
	return clock_now() - started < PLACES_SECONDS * INT64_C(1000000000);
}

/* Ends this process soon, whatever happens, and not later than its parent. */
static void limit_self(void)
{
	const pid_t parent = getppid();
	sigset_t set;

	started = clock_now();
	sigemptyset(&set);
	sigaddset(&set, SIGALRM);
	(void)signal(SIGALRM, SIG_DFL);
	(void)sigprocmask(SIG_UNBLOCK, &set, NULL);
	(void)alarm(SECONDS_MAX);
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(EXIT_GONE);
	(void)unsetenv("DEBUGINFOD_URLS"); /* libdw would ask the network */
	(void)setvbuf(stdout, NULL, _IOLBF, 0);
	thread_stop_prepare();
}

/* ---- what /proc knows ---- */

/* Reads what follows `key` in the file's first line that begins with it; "" if there is no such line. */
static void read_line(const char *path, const char *key, char *text, int size)
{
	const size_t n = strlen(key);
	FILE *file = fopen(path, "re");
	bool found = false;

	while (file && !found && fgets(text, size, file))
		found = !strncmp(text, key, n);
	if (file)
		(void)fclose(file);
	if (found)
		memmove(text, text + n, strlen(text + n) + 1);
	text[found ? strcspn(text, "\n") : 0] = '\0';
}

static void read_status(pid_t pid, const char *key, char *text, int size)
{
	char path[64];
	snprintf(path, sizeof path, "/proc/%d/status", (int)pid);
	read_line(path, key, text, size);
}

/* Lists the threads. The process's first thread, which runs methods in a worker, comes first. */
static void list_threads(pid_t pid, struct threads *threads)
{
	struct dirent *entry;
	char path[64];

	*threads = (struct threads){.count = 1, .at = {pid}};
	snprintf(path, sizeof path, "/proc/%d/task", (int)pid);
	DIR *directory = opendir(path);
	while (directory && (entry = readdir(directory))) {
		const pid_t thread = (pid_t)strtol(entry->d_name, NULL, 10);
		if (thread <= 0 || thread == pid)
			continue;
		if (threads->count < THREADS_MAX)
			threads->at[threads->count++] = thread;
		else
			threads->more++;
	}
	if (directory)
		(void)closedir(directory);
}

/* ---- failing ---- */

static int say_gone(pid_t pid)
{
	fprintf(stderr, "objpool-backtrace: there is no process %d\n", (int)pid);
	return EXIT_GONE;
}

/* Explains EPERM: the process has ended and has not been reaped, another process traces it, or the system forbids it. */
static int say_denied(pid_t pid, int error)
{
	char state[64], tracer[64], scope[64];

	read_status(pid, "State:\t", state, sizeof state);
	read_status(pid, "TracerPid:\t", tracer, sizeof tracer);
	read_line("/proc/sys/kernel/yama/ptrace_scope", "", scope, sizeof scope);
	if (!state[0] || state[0] == 'Z' || state[0] == 'X')
		return say_gone(pid);
	if (strtol(tracer, NULL, 10) > 0) {
		fprintf(stderr, "objpool-backtrace: process %d is being traced by process %s\n", (int)pid, tracer);
		return EXIT_GONE;
	}
	fprintf(stderr, "objpool-backtrace: no backtrace: the system does not permit to trace process %d: %s%s%s\n", (int)pid,
		strerror(error), scope[0] ? "; kernel.yama.ptrace_scope is " : "", scope);
	return EXIT_DENIED;
}

static int say_failed(pid_t pid, int error)
{
	if (error == ENOENT || error == ESRCH)
		return say_gone(pid);
	if (error == EPERM || error == EACCES || error == ENOSYS)
		return say_denied(pid, error);
	fprintf(stderr, "objpool-backtrace: process %d can't be traced: %s\n", (int)pid,
		error > 0 ? strerror(error) : dwfl_errmsg(-1));
	return EXIT_GONE;
}

/* ---- the backtrace ---- */

static void print_head(pid_t pid, pid_t thread)
{
	char path[64], name[64];

	snprintf(path, sizeof path, "/proc/%d/task/%d/comm", (int)pid, (int)thread);
	read_line(path, "", name, sizeof name);
	printf("thread %d (", (int)thread);
	frames_print_name(name, strlen(name));
	(void)puts(")");
}

/* 0 or a negative errno. */
static int trace_thread(Dwfl *dwfl, pid_t pid, pid_t thread)
{
	struct frames frames;
	int signal;
	const int r = thread_stop_begin(thread, &signal);

	if (r < 0 && r != -ETIMEDOUT)
		return r;
	if (r == 0) {
		frames_collect(dwfl, thread, &frames);
		thread_stop_end(thread, signal);
	}
	print_head(pid, thread);
	if (r == 0)
		frames_print(dwfl, &frames, in_time);
	else
		(void)puts("it sits in the kernel, and did not stop");
	return 0;
}

static int trace(Dwfl *dwfl, pid_t pid)
{
	struct threads threads;
	int r = dwfl_linux_proc_report(dwfl, pid);

	if (r == 0)
		r = dwfl_report_end(dwfl, NULL, NULL);
	if (r == 0)
		r = dwfl_linux_proc_attach(dwfl, pid, true); /* true: this program stops the threads */
	if (r != 0)
		return say_failed(pid, r);
	frames_prepare(dwfl);
	list_threads(pid, &threads);
	r = trace_thread(dwfl, pid, threads.at[0]);
	if (r < 0)
		return say_failed(pid, -r);
	for (uint32_t i = 1; i < threads.count; i++)
		(void)trace_thread(dwfl, pid, threads.at[i]); /* a thread may have ended meanwhile */
	if (threads.more > 0)
		printf("... and %u more thread%s\n", threads.more, plural(threads.more));
	return 0;
}

int main(int argc, char **argv)
{
	static const Dwfl_Callbacks callbacks = {.find_elf = dwfl_linux_proc_find_elf,
						 .find_debuginfo = dwfl_standard_find_debuginfo};
	char *end = NULL;
	const long pid = argc == 2 ? strtol(argv[1], &end, 10) : 0;

	if (standard_open() < 0)
		return EXIT_USAGE;
	if (pid <= 0 || pid > INT32_MAX || *end) {
		(void)fputs("usage: objpool-backtrace PID\nPrints the native backtraces of the process's threads.\n", stderr);
		return EXIT_USAGE;
	}
	limit_self();
	Dwfl *dwfl = dwfl_begin(&callbacks);
	if (!dwfl)
		return say_failed((pid_t)pid, -1);
	const int status = trace(dwfl, (pid_t)pid);
	dwfl_end(dwfl);
	return status;
}
