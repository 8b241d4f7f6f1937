/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A daemon that says whatever it likes to libobjpool and to the command line. The first byte of the input says what is under way:
 * calls, a stream and a map at once, or a command. What the daemon says lies in the socket when its answer is waited for; then
 * the connection ends.
 */
#include "cli/cli.h"
#include "cli/json.h"
#include "cli/top_model.h"
#include "cli/top_view.h"
#include "objpool/client.h"
#include "proto/scan.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

enum { PENDING = 4, FILES = 2, FILE_SIZE = 70000 };

struct run {
	struct objpool_client *client;
	FILE *out; /* what is printed */
	bool files; /* the client takes descriptors */
	int daemon; /* its end of the connection */
	const uint8_t *next, *end; /* what it has not said yet */
	int answered, asked, ended, streams;
	int items;
};

/* A sealed file of FILE_SIZE bytes, which hold small integers. */
static int file(void)
{
	static int fd = -1;
	static const uint8_t zeros[FILE_SIZE];

	if (fd >= 0)
		return fd;
	fd = memfd_create("payload", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (write(fd, zeros, sizeof zeros) != (ssize_t)sizeof zeros || fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW) < 0)
		abort();
	return fd;
}

/* Sends the bytes, with FILES descriptors if the client takes them. */
static void send_to(const struct run *run, const uint8_t *bytes, size_t size)
{
	struct iovec span = {.iov_base = (void *)(uintptr_t)bytes, .iov_len = size};
	union {
		struct cmsghdr head;
		char room[CMSG_SPACE(FILES * sizeof(int))];
	} control = {.head = {.cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS, .cmsg_len = CMSG_LEN(FILES * sizeof(int))}};
	struct msghdr message = {.msg_iov = &span, .msg_iovlen = 1};
	const int fds[FILES] = {file(), file()};

	memcpy(CMSG_DATA(&control.head), fds, sizeof fds);
	if (run->files) {
		message.msg_control = &control;
		message.msg_controllen = sizeof control;
	}
	(void)!sendmsg(run->daemon, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
}

static void say(struct run *run, size_t size)
{
	send_to(run, run->next, size);
	run->next += size;
	if (run->next == run->end)
		(void)shutdown(run->daemon, SHUT_WR);
}

static void say_all(struct run *run)
{
	say(run, (size_t)(run->end - run->next));
}

static void say_one(struct run *run)
{
	const size_t left = (size_t)(run->end - run->next);
	const int64_t n = left ? scan_length(run->next, left) : 0;

	say(run, n > 0 && (size_t)n <= left ? (size_t)n : left);
}

/* ---- the library's callbacks ---- */

static void show_error(struct run *run, const struct objpool_error *error)
{
	if (strlen(error->code) == 0 || !error->message)
		abort();
	json_write_error(run->out, error);
	(void)cli_complain(-EREMOTEIO, error);
}

static void show(struct run *run, struct objpool_bytes value)
{
	if (scan_length(value.data, value.size) != (int64_t)value.size)
		abort(); /* it was given as a value */
	json_write(run->out, value);
	json_show(run->out, value);
}

static void on_answer(void *context, const struct objpool_result *result)
{
	struct run *run = context;

	run->answered++;
	if (result->error)
		show_error(run, result->error);
	else
		show(run, result->value);
}

static int on_each(void *context, uint64_t index, struct objpool_bytes value, const struct objpool_error *error)
{
	struct run *run = context;

	if (error)
		show_error(run, error);
	else
		show(run, value);
	return index == 1000 ? -1 : 0;
}

static int on_next(void *context, struct objpool_packer *item)
{
	struct run *run = context;

	if (run->items++ > 20)
		return OBJPOOL_NEXT_END;
	objpool_pack_int(item, run->items);
	return run->items % 7 == 0 ? -EAGAIN : OBJPOOL_NEXT_ITEM;
}

static void on_done(void *context, int status, const struct objpool_error *error)
{
	struct run *run = context;

	run->ended++;
	if (status == -EREMOTEIO && !error)
		abort();
}

static int on_progress(void *context, int64_t done, int64_t total, const char *text)
{
	fprintf(((struct run *)context)->out, "%lld %lld %s\n", (long long)done, (long long)total, text ? text : "");
	return 0;
}

static void on_notification(void *context, const char *method, struct objpool_bytes params)
{
	fputs(method, ((struct run *)context)->out);
	show(context, params);
}

/* ---- what is under way ---- */

static void talk(struct run *run)
{
	const struct objpool_call_options progress = {
		.size = sizeof progress, .on_progress = on_progress, .progress_context = run};
	const struct objpool_map_options map = {.size = sizeof map, .errors = "collect"};
	struct objpool_stream *stream = NULL;

	objpool_on_notification(run->client, on_notification, run);
	for (int i = 0; i < PENDING; i++)
		run->asked += objpool_call_async(run->client, "p.m", (struct objpool_bytes){0}, i == 0 ? &progress : NULL,
						 on_answer, run, NULL) == 0;
	run->streams += objpool_call_each_async(run->client, "p:all.m", (struct objpool_bytes){0}, NULL, on_each, run, on_done,
						run, NULL) == 0;
	run->streams += objpool_map_async(run->client, "p.m", on_next, run, on_each, run, &map, on_done, run, &stream) == 0;
	say_all(run);
	for (int i = 0; i < 1000 && objpool_dispatch(run->client, POLLIN) == 0; i++)
		if (stream && run->ended == 0)
			objpool_stream_more(stream);
	(void)objpool_close(run->client);
	if (run->answered != run->asked || run->ended != run->streams)
		abort(); /* each call has one end */
}

static void print_line(void *context, int y, enum top_style style, const char *text)
{
	(void)y, (void)style;
	fputs(text, ((struct run *)context)->out);
}

static void keep(void *context, const struct objpool_result *result)
{
	(void)objpool_result_copy(context, result);
}

/* Two looks, as top does. */
static void look(struct run *run)
{
	struct top_look before = {0}, now;
	static struct top_view view;
	struct objpool_result results[2] = {0}; /* until the connection is closed */

	for (int i = 0; i < 2; i++) {
		(void)objpool_call_async(run->client, "objpool.status", (struct objpool_bytes){0}, NULL, keep, &results[i], NULL);
		if (i == 0)
			say_one(run);
		else
			say_all(run);
		(void)objpool_dispatch(run->client, POLLIN);
		if (!results[i].value.data || top_look_read(&now, results[i].value) < 0)
			continue;
		(void)top_look_add_hosts(&now, results[i].value);
		top_look_compare(&now, &before);
		top_look_free(&before);
		before = now;
		if (before.count > 0)
			before.pools[0].expanded = true;
		view = (struct top_view){.delay_ms = 1000};
		top_view_draw(&view, &before, 80, 25, print_line, run);
		top_view_print(&view, &before, print_line, run);
	}
	top_look_free(&before);
	(void)objpool_close(run->client);
	for (int i = 0; i < 2; i++)
		objpool_result_free(&results[i]);
}

static void command(struct run *run, enum exit_status (*execute)(struct cli *cli), bool json, const char *language)
{
	static const struct option options[] = {{'j', "json", NULL, NULL}, {'g', "generate", "LANGUAGE", NULL}, {0}};
	char *words[] = {(char[]){"p"}, NULL};
	struct cli cli = {.client = run->client, .arguments = {.tables = {options}, .words = words, .count = 1}};

	say_all(run);
	cli.arguments.given[0][0] = json ? "" : NULL;
	cli.arguments.given[0][1] = language;
	(void)execute(&cli);
	(void)objpool_close(run->client);
}

static void perform(struct run *run, uint8_t what)
{
	static const char *const languages[] = {"python", "ts", "go", "c", "rust", "java"};

	switch (what & 7) {
	case 1: command(run, command_status, what & 8, NULL); break;
	case 2: command(run, command_pools, what & 8, NULL); break;
	case 3: command(run, command_describe, what & 8, NULL); break;
	case 4: command(run, command_metrics, what & 8, NULL); break;
	case 6: command(run, command_describe, false, languages[(what >> 5) % 6]); break;
	case 5: look(run); break;
	default: talk(run);
	}
}

/* ---- the daemon ---- */

/* [1, 1, nil, {"server": "objpool", "fds": false, "fds_mark": 7}], or with true. */
static void greet(int fd, bool fds)
{
	static const char hello[] = "\x94\x01\x01\xc0\x83\xa6server\xa7objpool\xa3" "fds\xc2\xa8" "fds_mark\x07";
	char copy[sizeof hello];

	memcpy(copy, hello, sizeof hello);
	if (fds)
		*strchr(copy, '\xc2') = '\xc3';
	(void)!write(fd, copy, sizeof hello - 1);
}

static void quiet(void)
{
	static bool done;
	const int null = done ? -1 : open("/dev/null", O_WRONLY | O_CLOEXEC);

	if (null >= 0 && getenv("FUZZ_OUTPUT") == NULL) /* libFuzzer's own words are on 2 */
		(void)dup2(null, STDOUT_FILENO);
	done = true;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	struct run run = {.files = size > 0 && (*bytes & 0x10), .next = bytes + 1, .end = bytes + size};
	int fds[2];

	quiet();
	if (size == 0 || size > 100000 || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) < 0)
		return 0;
	run.out = fopen("/dev/null", "we");
	FILE *err = stderr;
	stderr = run.out; /* glibc's may be assigned: cli_complain speaks to people */
	greet(fds[0], run.files);
	run.daemon = fds[0];
	if (objpool_adopt(&run.client, fds[1], NULL) == 0)
		perform(&run, *bytes);
	(void)close(fds[0]);
	stderr = err;
	(void)fclose(run.out);
	return 0;
}
