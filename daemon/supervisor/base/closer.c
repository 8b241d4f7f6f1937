/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/supervisor/base/closer.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
	BREAK_OFF = SIGURG,
	STACK = 64 << 10,
	PIPE = 1 << 20, /* bytes; /proc/sys/fs/pipe-max-size allows it */
	ROOM = PIPE / sizeof(int),
};

static const struct itimerspec never, again_and_again = {.it_value = {.tv_nsec = 10000000}, .it_interval = {.tv_nsec = 10000000}};

static struct {
	int in, out; /* ends of the pipe */
	int done;    /* an eventfd: how many have been closed */
	struct account *accounts[ROOM]; /* a ring: of those that have not, in their order; memory that is used as they come */
	uint32_t first, count;
} closer;

/* ---- the thread ---- */

static void on_break_off(int number)
{
	(void)number;
}

#ifndef sigev_notify_thread_id
#define sigev_notify_thread_id _sigev_un._tid /* <signal.h> of glibc before 2.38 has no better name for it */
#endif

/* Has the kernel send BREAK_OFF to this thread. False: nothing breaks a close off. */
static bool make_timer(timer_t *timer)
{
	struct sigevent event = {.sigev_notify = SIGEV_THREAD_ID, .sigev_signo = BREAK_OFF};

	event.sigev_notify_thread_id = gettid();
	return timer_create(CLOCK_MONOTONIC, &event, timer) == 0;
}

static void tell_closed(void)
{
	const uint64_t one = 1;

	while (write(closer.done, &one, sizeof one) < 0 && errno == EINTR)
		;
}

static void *run(void *unused)
{
	timer_t timer;
	int fd;

	(void)unused;
	(void)prctl(PR_SET_NAME, "objpoold-close", 0, 0, 0);
	const bool timed = make_timer(&timer);
	for (;;) {
		const ssize_t n = read(closer.out, &fd, sizeof fd);
		if (n < 0 && errno == EINTR)
			continue;
		if (n != sizeof fd)
			return NULL;
		if (timed)
			(void)timer_settime(timer, 0, &again_and_again, NULL);
		(void)close(fd);
		if (timed)
			(void)timer_settime(timer, 0, &never, NULL);
		tell_closed();
	}
}

static int start_thread(void)
{
	pthread_attr_t attributes;
	sigset_t mask, before;
	pthread_t thread;

	int r = pthread_attr_init(&attributes);
	if (r != 0)
		return -r;
	(void)pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
	(void)pthread_attr_setstacksize(&attributes, STACK);
	sigfillset(&mask); /* signals are the loop's */
	sigdelset(&mask, BREAK_OFF);
	(void)pthread_sigmask(SIG_SETMASK, &mask, &before);
	r = pthread_create(&thread, &attributes, run, NULL);
	(void)pthread_sigmask(SIG_SETMASK, &before, NULL);
	(void)pthread_attr_destroy(&attributes);
	return -r;
}

int closer_start(void)
{
	const struct sigaction action = {.sa_handler = on_break_off, .sa_flags = SA_RESTART};
	int ends[2];

	closer.done = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (closer.done < 0 || pipe2(ends, O_CLOEXEC) < 0 || sigaction(BREAK_OFF, &action, NULL) < 0)
		return -errno;
	closer.out = ends[0];
	closer.in = ends[1];
	(void)fcntl(closer.in, F_SETFL, O_NONBLOCK);
	(void)fcntl(closer.in, F_SETPIPE_SZ, PIPE); /* else it has room for 16,384 descriptors */
	return start_thread();
}

/* ---- the loop's side ---- */

int closer_fd(void)
{
	return closer.done;
}

void closer_settle(void)
{
	uint64_t closed;

	if (read(closer.done, &closed, sizeof closed) != sizeof closed)
		return;
	for (; closed > 0; closed--) {
		account_remove_file(closer.accounts[closer.first]);
		closer.first = (closer.first + 1) % ROOM;
		closer.count--;
	}
}

static bool pass_on(struct account *account, int fd)
{
	if (closer.count == ROOM || write(closer.in, &fd, sizeof fd) != sizeof fd)
		return false;
	closer.accounts[(closer.first + closer.count++) % ROOM] = account;
	account_add_file(account);
	return true;
}

void closer_put(struct account *account, int fd)
{
	const struct linger none = {0};

	(void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &none,
			 sizeof none); /* so that it rarely takes long; who has it still may undo this */
	if (!pass_on(account, fd))
		(void)close(fd); /* there are more than the pipe has room for */
}

void closer_put_connection(struct account *account, int fd)
{
	int waiting = 0;

	(void)shutdown(fd, SHUT_RDWR);
	if (ioctl(fd, FIONREAD, &waiting) == 0 && waiting == 0)
		(void)close(fd);
	else
		closer_put(account, fd);
}
