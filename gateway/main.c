/* SPDX-License-Identifier: Apache-2.0 */
/*
 * objpool-gateway: carries calls between this host's daemon and those of other hosts, over a bus. Started by objpoold where its
 * configuration has a section [cluster], with the link on descriptor 3; of no use by itself.
 */
#include "gateway/link.h"
#include "gateway/locals.h"
#include "gateway/program.h"
#include "gateway/service/services.h"
#include "gateway/subjects.h"
#include "proto/clock.h"
#include "proto/gateway_link.h"

#include <errno.h>
#include <event2/thread.h>
#include <fcntl.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <unistd.h>

/* For malloc. Fresh pages cost more than what is done with a packet: the heap must not shrink and grow with each burst. */
enum {
	MAPPED = 1 << 20, /* bytes: so large pieces are mapped, and given back, each for itself */
	KEPT = 16 << 20,  /* free bytes of the heap that are kept */
};

static int on_message(struct program *program, struct span message, struct block *block)
{
	int r = settings_are_in(message) ? subjects_configure(program, message) : 0;

	if (r == 0)
		r = gateway_on_supervisor(program->gateway, message, block);
	if (r == 0)
		services_on_supervisor(program->services, message);
	return r;
}

/* ---- the loop ---- */

static void on_timer(evutil_socket_t fd, short what, void *context)
{
	struct program *program = context;
	uint64_t times;

	(void)what;
	if (read(fd, &times, sizeof times) < 0 && errno != EAGAIN && errno != EINTR)
		program->over = true;
	program->timer_at = UINT64_MAX;
	subjects_count(program); /* the core tells it on, now and then */
}

/* Most turns only put off what is due next. Then the timer fires too early, and is set anew: that is rarer than turns. A timer of
 * libevent would have the kernel set one in each turn. */
static void set_timer(struct program *program)
{
	const uint64_t at = gateway_next(program->gateway);

	if (at >= program->timer_at)
		return;
	program->timer_at = at;
	const struct itimerspec when = {.it_value = {.tv_sec = (time_t)(at / SECOND), .tv_nsec = (long)(at % SECOND)}};
	if (timerfd_settime(program->timer_fd, TFD_TIMER_ABSTIME, &when, NULL) < 0)
		program->over = true;
}

static void end_turn(struct program *program)
{
	program_tick(program);
	gateway_run(program->gateway);
	gateway_end_turn(program->gateway);
	locals_end_turn(program);
	gateway_end_turn(program->gateway); /* what the sending has brought about */
	services_end_turn(program->services);
	if (program->bus)
		program->engine->flush(program->bus);
	link_end_turn(program->link);
	set_timer(program);
}

static void run(struct program *program)
{
	end_turn(program);
	while (!program->over && event_base_loop(program->base, EVLOOP_ONCE) == 0)
		end_turn(program);
}

/* ---- begin and end ---- */

static const struct gateway_ops ops = {
	.publish = subjects_publish,
	.publish_beat = subjects_publish_beat,
	.has_room = subjects_have_room,
	.supervisor_wrote = link_on_wrote,
	.local_open = locals_open,
	.local_wrote = locals_wrote,
	.local_reads = locals_reads,
	.local_close = locals_close,
};

static int open_timer(struct program *program)
{
	program->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	if (program->timer_fd < 0)
		return -1;
	program->timer = event_new(program->base, program->timer_fd, EV_READ | EV_PERSIST, on_timer, program);
	return program->timer ? event_add(program->timer, NULL) : -1;
}

static int open_program(struct program *program)
{
	uint64_t seed;

	if (getrandom(&seed, sizeof seed, 0) != (ssize_t)sizeof seed ||
	    getrandom(&idmap_salt, sizeof idmap_salt, 0) != (ssize_t)sizeof idmap_salt || evthread_use_pthreads() < 0)
		return -1;
	program->base = event_base_new();
	program->gateway = gateway_new(&ops, program, (uint64_t)clock_now(), seed);
	if (!program->base || !program->gateway)
		return -1;
	program->services = services_new(program->gateway, program->engine);
	if (!program->services)
		return -1;
	program->link = link_new(program, GATEWAY_FD, on_message);
	return program->link ? open_timer(program) : -1;
}

static void close_program(struct program *program)
{
	if (program->gateway)
		program->gateway->ending = true;
	program->services = services_free(program->services);
	program->link = link_free(program->link); /* what it has read is charged to the gateway */
	locals_free_closing(program);
	program->gateway = gateway_free(program->gateway);
	subjects_close(program);
	if (program->timer)
		event_free(program->timer);
	if (program->timer_fd >= 0)
		(void)close(program->timer_fd);
	if (program->base && !program->outlived)
		event_base_free(program->base);
}

static bool is_started_by_daemon(void)
{
	int type;
	socklen_t size = sizeof type;

	return getsockopt(GATEWAY_FD, SOL_SOCKET, SO_TYPE, &type, &size) == 0 && type == SOCK_STREAM &&
	       fcntl(GATEWAY_FD, F_SETFL, O_NONBLOCK) == 0 && fcntl(GATEWAY_FD, F_SETFD, FD_CLOEXEC) == 0;
}

int main(int argc, char **argv)
{
	struct program program = {.engine = &bus_nats,
				  .timer_fd = -1,
				  .timer_at = UINT64_MAX,
				  .locals = TAILQ_HEAD_INITIALIZER(program.locals),
				  .dirty_locals = TAILQ_HEAD_INITIALIZER(program.dirty_locals)};

	if (argc == 2 && (strcmp(argv[1], "--version") == 0 || strcmp(argv[1], "-V") == 0))
		return printf("objpool-gateway %s\n", OBJPOOL_VERSION) < 0;
	if (argc > 1 || !is_started_by_daemon()) {
		fputs("objpool-gateway is started by objpoold, not by hand: see objpool-gateway(8)\n", stderr);
		return 2;
	}
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL); /* end-of-file on the link is the second line */
	(void)signal(SIGPIPE, SIG_IGN);
	(void)mallopt(M_MMAP_THRESHOLD, MAPPED);
	(void)mallopt(M_TRIM_THRESHOLD, KEPT);
	if (open_program(&program) < 0) {
		fputs("objpool-gateway: out of memory\n", stderr);
		program.exit_status = 1;
	} else {
		run(&program);
	}
	close_program(&program);
	if (program.outlived)
		_exit(program.exit_status); /* that thread is not waited for */
	return program.exit_status;
}
