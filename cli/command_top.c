/* SPDX-License-Identifier: Apache-2.0 */
/*
 * command_top: calls objpool.status, and in a cluster objpool.hosts, again and again over one connection, and shows the answers: on a full screen (top_screen.c),
 * or printed. top_model.c and top_view.c make what is shown.
 *
 * A look begins with a request, when its time has come. It ends with an answer, or with a message that there is none. The first
 * look is made before anything is shown, so that errors at the beginning are reported as other commands report them. Only run()
 * waits, and connecting anew, for a second at most.
 */
#include "cli/cli.h"
#include "cli/fields.h"
#include "cli/top_screen.h"
#include "proto/clock.h"

#include <errno.h>
#include <math.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

enum { RECONNECT_MS = 1000, WORRY_S = 2 };

const struct option top_options[] = {
	{'d', "delay", "SECONDS", "between two looks (default: 1)"},
	{'n', "iterations", "N", "how many looks (default: until q; one, where there is no terminal)"},
	{'b', "batch", NULL, "plain text, until interrupted: for pipes and files"},
	{0},
};

struct top {
	struct cli *cli;
	struct top_view view;
	struct top_look look;
	struct objpool_result hosts; /* the last answer; or none */
	uint32_t times, looks; /* times 0: no end */
	bool full;             /* the screen is ours */
	bool waiting;          /* for an answer */
	bool done;
	enum exit_status status; /* of the last look */
	int64_t asked, next;     /* when; when again */
	int signals;             /* signalfd, or -1 */
	int killed;              /* by this signal */
};

/* ---- looks ----------------------------------------------------------------------------------------------------------------- */

static void print_line(void *context, int y, enum top_style style, const char *text)
{
	(void)context, (void)y, (void)style;
	(void)puts(text);
}

static void print(struct top *top)
{
	if (top->looks > 1)
		(void)putchar('\n');
	top_view_print(&top->view, &top->look, print_line, NULL);
	if (cli_end_output(EXIT_DONE) != EXIT_DONE) {
		top->status = EXIT_CALL_FAILED;
		top->done = true;
	}
}

static void draw(struct top *top)
{
	if (top->full)
		top_screen_draw(&top->view, &top->look);
}

static void count_look(struct top *top, enum exit_status status)
{
	top->status = status;
	top->looks++;
	top->done = top->done || top->looks == top->times;
}

/* Ends a look that has failed. When looks are printed, the same message is printed only once. */
static void fail(struct top *top, enum exit_status status, const char *text)
{
	char before[sizeof top->view.message];

	memcpy(before, top->view.message, sizeof before);
	top_trend_add(&top->view.trend, NULL);
	top_view_say(&top->view, text);
	if (!top->full && strcmp(before, top->view.message) != 0)
		(void)cli_fail(status, "%s", top->view.message);
	count_look(top, status);
	draw(top);
}

/* If the user asked for one pool, it is shown with its slots. */
static int take(struct top *top, struct objpool_bytes status)
{
	struct top_look look;
	const int rc = top_look_read(&look, status);

	if (rc < 0)
		return rc;
	if (top->hosts.value.data && !isnan(look.hosts))
		(void)top_look_add_hosts(&look, top->hosts.value); /* without memory it shows none */
	top_look_compare(&look, &top->look);
	top_look_free(&top->look);
	top->look = look;
	top_trend_add(&top->view.trend, &look);
	top->view.time = time(NULL);
	top_view_say(&top->view, "");
	if (top->cli->arguments.count > 0 && look.count > 0 && !top->full)
		look.pools[0].expanded = true;
	return 0;
}

static const char *reason_of(int rc)
{
	return rc == -EINVAL ? "what the daemon answers is no status" : strerror(-rc);
}

static void succeed(struct top *top, struct objpool_bytes status)
{
	const int rc = take(top, status);

	if (rc < 0) {
		fail(top, EXIT_CALL_FAILED, reason_of(rc));
		return;
	}
	count_look(top, EXIT_DONE);
	if (top->full)
		draw(top);
	else
		print(top);
}

/* The client library calls this once for each look. */
static void on_answer(void *context, const struct objpool_result *result)
{
	struct top *top = context;
	char text[1024];

	top->waiting = false;
	if (!result->error) {
		succeed(top, result->value);
	} else if (strcmp(result->error->code, "DISCONNECTED") != 0) {
		(void)snprintf(text, sizeof text, "%s: %s", result->error->code, result->error->message);
		fail(top, EXIT_CALL_FAILED, text);
	}
}

/* ---- the connection -------------------------------------------------------------------------------------------------------- */

static void say_no_daemon(struct top *top, int rc, const char *said)
{
	const char *address = top->cli->address;
	char usual[512], text[2048];

	if (!address)
		address = objpool_default_address(usual, sizeof usual) == 0 ? usual : "?";
	(void)snprintf(text, sizeof text, "no daemon at %s: %s; trying again", address,
		       *said ? said : rc == -EPROTO ? "what answers there is none" : strerror(-rc));
	fail(top, EXIT_NO_DAEMON, text);
}

static void disconnect(struct top *top)
{
	top->cli->client = objpool_close(top->cli->client);
	top->waiting = false;
	fail(top, EXIT_NO_DAEMON, "the daemon has closed the connection; trying again");
}

static int pack_target(const struct top *top, struct objpool_packer *args)
{
	const struct arguments *arguments = &top->cli->arguments;

	return arguments->count > 0 ? objpool_pack(args, "[s]", arguments->words[0]) : objpool_pack(args, "[]");
}

/* The client library's. It comes before the answer that ends the look. */
static void on_hosts(void *context, const struct objpool_result *result)
{
	struct top *top = context;

	objpool_result_free(&top->hosts);
	if (!result->error)
		(void)objpool_result_copy(&top->hosts, result); /* without memory it is empty */
}

/* Who looks at one pool is shown no hosts. */
static bool wants_hosts(const struct top *top)
{
	return top->cli->arguments.count == 0;
}

static int begin_call(struct top *top)
{
	struct objpool_packer args = OBJPOOL_PACKER_INIT;
	int rc = pack_target(top, &args);

	if (rc == 0 && wants_hosts(top) && !isnan(top->look.hosts))
		rc = objpool_call_async(top->cli->client, "objpool.hosts", (struct objpool_bytes){0}, NULL, on_hosts, top, NULL);
	if (rc == 0)
		rc = objpool_call_async(top->cli->client, "objpool.status", objpool_packed(&args), NULL, on_answer, top, NULL);
	objpool_packer_free(&args);
	top->waiting = rc == 0;
	return rc;
}

static void ask(struct top *top)
{
	char said[CLI_SAID];
	int rc = top->cli->client ? 0 : cli_open(top->cli, &top->cli->client, RECONNECT_MS, said);

	top->asked = clock_now();
	if (rc < 0) {
		say_no_daemon(top, rc, said);
		return;
	}
	rc = begin_call(top);
	if (rc == -ENOTCONN)
		disconnect(top);
	else if (rc < 0)
		fail(top, EXIT_CALL_FAILED, strerror(-rc));
}

/* The answer takes long. There is no second request until it has come. */
static void say_waiting(struct top *top)
{
	const double seconds = (double)(clock_now() - top->asked) / 1e9;
	char text[64];

	if (seconds < WORRY_S)
		return;
	(void)snprintf(text, sizeof text, "no answer for %.0f s", seconds);
	top_view_say(&top->view, text);
	draw(top);
}

static void on_time(struct top *top)
{
	top->next = clock_now() + (int64_t)top->view.delay_ms * CLOCK_NS_PER_MS;
	if (top->waiting)
		say_waiting(top);
	else
		ask(top);
}

static void on_connection(struct top *top, short events)
{
	const int rc = objpool_dispatch(top->cli->client, events);

	if (rc == -ENOTCONN)
		disconnect(top);
}

/* ---- the terminal ---------------------------------------------------------------------------------------------------------- */

/* A new delay counts from now. The end of a pause looks at once. */
static void on_key(struct top *top, int key)
{
	const uint32_t delay_ms = top->view.delay_ms;
	const bool paused = top->view.paused;

	if (key == 'q' || key == 'Q') {
		top->done = true;
		top->status = EXIT_DONE;
		return;
	}
	top_view_key(&top->view, &top->look, top_screen_height(), key);
	if (top->view.delay_ms != delay_ms)
		top->next = clock_now() + (int64_t)top->view.delay_ms * CLOCK_NS_PER_MS;
	if (paused && !top->view.paused)
		top->next = clock_now();
}

/* The program ends with its terminal. */
static void on_keys(struct top *top, short events)
{
	int key = top_screen_key();

	if (key == TOP_KEY_NONE && (events & (POLLHUP | POLLERR | POLLNVAL)))
		top->done = true;
	for (; key != TOP_KEY_NONE && !top->done; key = top_screen_key())
		on_key(top, key);
	if (!top->done)
		draw(top);
}

/* Ctrl-C does what q does. The other signals end the program after the terminal has been restored. */
static void on_signal(struct top *top)
{
	struct signalfd_siginfo info;

	if (read(top->signals, &info, sizeof info) != sizeof info)
		return;
	if (info.ssi_signo == SIGWINCH) {
		top_screen_resize();
		draw(top);
		return;
	}
	top->killed = info.ssi_signo == SIGINT ? 0 : (int)info.ssi_signo;
	top->status = EXIT_DONE;
	top->done = true;
}

static int begin_screen(struct top *top, sigset_t *before)
{
	sigset_t set;

	sigemptyset(&set);
	for (const int *signal = (const int[]){SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGWINCH, 0}; *signal; signal++)
		sigaddset(&set, *signal);
	if (sigprocmask(SIG_BLOCK, &set, before) < 0)
		return -errno;
	top->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (top->signals < 0)
		return -errno;
	const int rc = top_screen_begin();
	top->full = rc == 0;
	return rc;
}

static void end_screen(struct top *top, const sigset_t *before)
{
	top_screen_end();
	top->full = false;
	if (top->signals >= 0)
		(void)close(top->signals);
	if (top->killed) {
		(void)signal(top->killed, SIG_DFL);
		(void)raise(top->killed);
	}
	(void)sigprocmask(SIG_SETMASK, before, NULL);
}

/* ---- the command ----------------------------------------------------------------------------------------------------------- */

static int timeout_ms(const struct top *top)
{
	int64_t until = top->view.paused ? 0 : top->next;
	const int library = top->cli->client ? objpool_timeout_ms(top->cli->client) : -1;

	if (library >= 0)
		until = clock_earlier(until, clock_now() + (int64_t)library * CLOCK_NS_PER_MS);
	return clock_ms_until(until);
}

static void run(struct top *top)
{
	while (!top->done) {
		struct objpool_client *client = top->cli->client;
		struct pollfd fds[] = {
			{.fd = client ? objpool_fd(client) : -1, .events = client ? objpool_events(client) : (short)0},
			{.fd = top->full ? STDIN_FILENO : -1, .events = POLLIN},
			{.fd = top->signals, .events = POLLIN},
		};
		(void)poll(fds, sizeof fds / sizeof *fds, timeout_ms(top));
		if (fds[2].revents)
			on_signal(top);
		if (fds[1].revents && !top->done)
			on_keys(top, fds[1].revents);
		if (client && !top->done)
			on_connection(top, fds[0].revents);
		if (!top->done && !top->view.paused && clock_now() >= top->next)
			on_time(top);
	}
}

static enum exit_status run_printed(struct top *top)
{
	run(top);
	return top->status;
}

static enum exit_status run_full(struct top *top)
{
	sigset_t before;
	const int rc = begin_screen(top, &before);

	if (rc == 0) {
		count_look(top, EXIT_DONE);
		draw(top);
		run(top);
	}
	end_screen(top, &before);
	return rc < 0 ? cli_fail(EXIT_CALL_FAILED, "top: the terminal: %s", strerror(-rc)) : top->status;
}

static enum exit_status first_look(struct top *top)
{
	struct cli *cli = top->cli;
	struct objpool_result result;
	const enum exit_status status = cli->arguments.count > 0
						? cli_ask(cli, &result, "objpool.status", "[s]", cli->arguments.words[0])
						: cli_ask(cli, &result, "objpool.status", "[]");

	if (status != EXIT_DONE)
		return status;
	if (wants_hosts(top) && field_is_set(field(result.value, "cluster")))
		(void)objpool_call(cli->client, "objpool.hosts", (struct objpool_bytes){0}, NULL, &top->hosts);
	const int rc = take(top, result.value);
	objpool_result_free(&result);
	return rc < 0 ? cli_fail(EXIT_CALL_FAILED, "top: %s", reason_of(rc)) : EXIT_DONE;
}

/* Decides between a full screen (true) and plain text. Without --batch, plain text to something that is no terminal is printed
 * once. */
static bool choose_screen(struct top *top)
{
	if (arguments_get(&top->cli->arguments, "batch"))
		return false;
	if (!isatty(STDOUT_FILENO)) {
		top->times = top->times ? top->times : 1;
		return false;
	}
	const char *reason = top_screen_trouble();
	if (reason)
		(void)cli_fail(EXIT_DONE, "top: %s: plain text instead of a full screen", reason);
	return !reason;
}

enum exit_status command_top(struct cli *cli)
{
	struct arguments *arguments = &cli->arguments;
	struct top top = {.cli = cli, .view = {.delay_ms = 1000}, .signals = -1};

	if (arguments_seconds(arguments, "delay", &top.view.delay_ms) < 0 ||
	    arguments_number(arguments, "iterations", 1, &top.times) < 0)
		return cli_fail(EXIT_USAGE, "top: %s", arguments->reason);
	const bool full = choose_screen(&top);
	enum exit_status status = first_look(&top);
	top.next = clock_now() + (int64_t)top.view.delay_ms * CLOCK_NS_PER_MS;
	if (status == EXIT_DONE)
		status = full ? run_full(&top) : run_printed(&top);
	top_look_free(&top.look);
	objpool_result_free(&top.hosts);
	return status;
}
