/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/cli.h"

#include "proto/address_form.h"

#include "cli/json.h"
#include "cli/ndarray.h"
#include "cli/shown.h"

#include <errno.h>
#include <grp.h>
#include <inttypes.h>
#include <limits.h>
#include <pwd.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>

enum exit_status cli_fail(enum exit_status status, const char *format, ...)
{
	va_list arguments;
	char *text;

	(void)fflush(stdout);
	va_start(arguments, format);
	const int n = vasprintf(&text, format, arguments);
	va_end(arguments);
	fputs("objpool: ", stderr);
	if (n >= 0) {
		shown_lines(stderr, text, (size_t)n, "  ");
		free(text);
	} else {
		fputs("out of memory", stderr);
	}
	fputc('\n', stderr);
	return status;
}

const char *cli_shown(char room[CLI_SHOWN], const char *word)
{
	if (strlen(word) < CLI_SHOWN)
		return word;
	snprintf(room, CLI_SHOWN, "%.*s...", CLI_SHOWN - 4, word);
	return room;
}

enum { CLI_ANSWER_MS = 10000 };

static enum exit_status give_reason(struct cli_reason *reason, enum exit_status status, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
static enum exit_status give_reason(struct cli_reason *reason, enum exit_status status, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	(void)vsnprintf(reason->text, sizeof reason->text, format, arguments);
	va_end(arguments);
	return reason->status = status;
}

/* Says who may use the socket, or the directory on its path that can't be searched: "/run/objpool is for user root and group
 * objpool only". */
static enum exit_status reason_of_permission(struct cli_reason *reason, const char *address)
{
	struct stat info = {0};
	char path[PATH_MAX];

	snprintf(path, sizeof path, "%s", address + strlen("unix:"));
	while (stat(path, &info) < 0 && errno == EACCES && strrchr(path, '/') > path)
		*strrchr(path, '/') = '\0';
	const struct passwd *user = getpwuid(info.st_uid);
	const struct group *group = getgrgid(info.st_gid);
	const bool for_group = info.st_mode & (S_ISDIR(info.st_mode) ? S_IXGRP : S_IWGRP);
	const char *group_name = group ? group->gr_name : "?";

	return give_reason(reason, EXIT_DENIED, "no permission to connect to %s: %s is for user %s%s%s only (its mode is %04o)",
			   address, path, user ? user->pw_name : "?", for_group ? " and members of group " : "",
			   for_group ? group_name : "", info.st_mode & 07777);
}

/* Why nobody could be connected to at `address` (NULL: the default): `rc` is what objpool_connect returned, and `said` what it
 * said. */
static enum exit_status reason_of(struct cli_reason *reason, const char *address, int rc, const char *said)
{
	char text[ADDRESS_FORM_MAX], form[ADDRESS_FORM_MAX], shown[CLI_SHOWN];

	if (!address && objpool_default_address(text, sizeof text) == 0)
		address = text;
	address = address_form(address, form);
	if (*said)
		return give_reason(reason,
				   rc == -EINVAL   ? EXIT_USAGE
				   : rc == -EACCES ? EXIT_DENIED
				   : rc == -EBUSY  ? EXIT_TRY_AGAIN
						   : EXIT_NO_DAEMON,
				   "%s: %s", cli_shown(shown, address), said);
	if (rc == -EINVAL && strncmp(address, "unix:", 5) == 0 && address[5])
		return give_reason(reason, EXIT_USAGE, "%s: the path of a Unix socket has %zu bytes at most",
				   cli_shown(shown, address), sizeof((struct sockaddr_un *)0)->sun_path - 1);
	if (rc == -EINVAL)
		return give_reason(reason, EXIT_USAGE, "\"%s\" is no address: write unix:PATH, tcp:HOST:PORT or tls:HOST:PORT",
				   cli_shown(shown, address));
	if (rc == -EPROTO)
		return give_reason(reason, EXIT_NO_DAEMON,
				   "no objpoold answers at %s: it can't start, perhaps (its log says why), or another program "
				   "listens there",
				   cli_shown(shown, address));
	if (rc == -EACCES && strncmp(address, "unix:", 5) == 0)
		return reason_of_permission(reason, address);
	if (rc == -ETIMEDOUT)
		return give_reason(reason, EXIT_NO_DAEMON, "the daemon at %s does not answer", address);
	return give_reason(reason, EXIT_NO_DAEMON, "no daemon at %s: %s", address, strerror(-rc));
}

int cli_open(struct cli *cli, struct objpool_client **client, uint32_t timeout_ms, char said[CLI_SAID])
{
	const struct arguments *arguments = &cli->arguments;
	const struct objpool_connect_options options = {
		.size = sizeof options,
		.timeout_ms = timeout_ms < INT_MAX ? (int)timeout_ms : INT_MAX,
		.tls_ca = arguments_get(arguments, "tls-ca"),
		.tls_cert = arguments_get(arguments, "tls-cert"),
		.tls_key = arguments_get(arguments, "tls-key"),
		.tls_name = arguments_get(arguments, "tls-name"),
		.token_file = arguments_get(arguments, "token-file"),
		.reason = said,
		.reason_size = CLI_SAID,
	};

	return objpool_connect(client, cli->address, &options);
}

static struct objpool_client *try_connect(struct cli *cli, struct cli_reason *reason)
{
	struct objpool_client *client;
	char said[CLI_SAID];
	const int rc = cli_open(cli, &client, cli->answer_ms, said);

	reason->status = rc < 0 ? reason_of(reason, cli->address, rc, said) : EXIT_DONE;
	return client;
}

enum exit_status cli_try_connect(struct cli *cli, struct cli_reason *reason)
{
	cli->client = try_connect(cli, reason);
	return reason->status;
}

struct objpool_client *cli_connect_another(struct cli *cli, enum exit_status *status)
{
	struct cli_reason reason;
	struct objpool_client *client = try_connect(cli, &reason);

	*status = reason.status;
	if (!client)
		(void)cli_fail(reason.status, "%s", reason.text);
	return client;
}

enum exit_status cli_connect(struct cli *cli)
{
	enum exit_status status;

	cli->client = cli_connect_another(cli, &status);
	return status;
}

enum exit_status cli_connect_briefly(struct cli *cli)
{
	cli->answer_ms = CLI_ANSWER_MS;
	if (arguments_seconds(&cli->arguments, "timeout", &cli->answer_ms) < 0)
		return cli_fail(EXIT_USAGE, "%s: %s", cli->command->name, cli->arguments.reason);
	return cli_connect(cli);
}

/* Does the message of the error contain these words already? Then they are not printed again. */
static bool is_said(const struct objpool_error *error, const char *words)
{
	return strstr(error->message, words) != NULL;
}

/* Prints one part of the parentheses behind the message. */
static void print_part(bool *any, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void print_part(bool *any, const char *format, ...)
{
	va_list arguments;
	char text[512];

	va_start(arguments, format);
	(void)vsnprintf(text, sizeof text, format, arguments);
	va_end(arguments);
	fputs(*any ? ", " : " (", stderr);
	shown_text(stderr, text, strlen(text));
	*any = true;
}

/* ` (host h2, pool sim, slot 2, generation 3, it may have run)` */
static void print_circumstances(const struct objpool_error *error)
{
	static const char *const ran[] = {NULL, "it has not run", "it may have run", "it has run"};
	const bool complete = is_said(error, "slot ") || is_said(error, " run");
	bool any = false;

	char host[80];

	(void)snprintf(host, sizeof host, "host %s", error->host ? error->host : "");
	if (error->host && !is_said(error, host))
		print_part(&any, "%s", host);
	if (error->pool && !is_said(error, "pool "))
		print_part(&any, "pool %s", error->pool);
	if (error->slot >= 0 && !is_said(error, "slot "))
		print_part(&any, "slot %" PRId64, error->slot);
	if (error->generation >= 0 && !complete)
		print_part(&any, "generation %" PRId64, error->generation);
	if (error->index >= 0)
		print_part(&any, "item %" PRId64, error->index);
	if (error->signal > 0 && !is_said(error, "signal "))
		print_part(&any, "killed by signal %d, %s", error->signal, strsignal(error->signal));
	if (error->exit_status >= 0 && !is_said(error, "status "))
		print_part(&any, "exit status %d", error->exit_status);
	if (ran[error->ran] && !is_said(error, " run"))
		print_part(&any, "%s", ran[error->ran]);
	if (any)
		fputc(')', stderr);
}

/* Is the error's data a bin with a packed ext OBJECT? Then it is a pickled exception, whose text has been printed already. */
static bool is_pickle(struct objpool_bytes data)
{
	struct objpool_reader reader = objpool_reader(data);
	const void *bytes;
	size_t size;
	int8_t type;

	if (objpool_read_bin(&reader, &bytes, &size) < 0)
		return false;
	reader = objpool_reader((struct objpool_bytes){bytes, size});
	return objpool_read_ext(&reader, &type, &bytes, &size) == 0 && type == EXT_OBJECT;
}

/* EXIT_TRY_AGAIN only if no task of the call has run: the error of one item says nothing of the other items. */
enum exit_status cli_status_of(const struct objpool_error *error)
{
	static const char *const passing[] = {"UNAVAILABLE", "OVERLOADED", "WORKER_LOST", "TIMEOUT", "CANCELLED", "UNREACHABLE",
					      "HOST_LOST"};

	if (strcmp(error->code, "DENIED") == 0)
		return EXIT_DENIED;
	for (size_t i = 0; i < sizeof passing / sizeof *passing; i++)
		if (error->ran == OBJPOOL_RAN_NO && error->index < 0 && strcmp(error->code, passing[i]) == 0)
			return EXIT_TRY_AGAIN;
	return EXIT_CALL_FAILED;
}

enum exit_status cli_complain(int rc, const struct objpool_error *error)
{
	if (!error)
		return cli_fail(EXIT_CALL_FAILED, "%s",
				rc == -EINVAL ? "that is no TARGET.METHOD, or no mode of that name" : strerror(-rc));
	(void)fflush(stdout);
	fputs("objpool: ", stderr);
	shown_text(stderr, error->code, strlen(error->code));
	fputs(": ", stderr);
	if (error->type) {
		shown_text(stderr, error->type, strlen(error->type));
		fputs(": ", stderr);
	}
	shown_lines(stderr, error->message, strlen(error->message), "  ");
	print_circumstances(error);
	fputc('\n', stderr);
	if (error->traceback) {
		fputs("  ", stderr);
		shown_lines(stderr, error->traceback, strlen(error->traceback), "  ");
		fputc('\n', stderr);
	}
	if (error->data.data && !is_pickle(error->data)) {
		fputs("data: ", stderr);
		json_show(stderr, error->data);
		fputc('\n', stderr);
	}
	return cli_status_of(error);
}

static enum exit_status complain_of_answer(const struct cli *cli, int rc, const struct objpool_error *error)
{
	struct cli_reason reason = {0};

	if (cli->answer_ms > 0 && error && strcmp(error->code, "TIMEOUT") == 0)
		return cli_fail(reason_of(&reason, cli->address, -ETIMEDOUT, ""), "%s", reason.text);
	return cli_complain(rc, error);
}

/* `status` is what connecting has returned. */
static enum exit_status ask(struct cli *cli, enum exit_status status, struct objpool_result *result, const char *method,
			    const char *format, va_list arguments)
{
	const struct objpool_call_options options = {.size = sizeof options, .timeout_ms = cli->answer_ms};
	struct objpool_packer args = OBJPOOL_PACKER_INIT;

	if (status != EXIT_DONE)
		return status;
	*result = (struct objpool_result){{NULL, 0}, NULL, NULL};
	int rc = objpool_vpack(&args, format, arguments);
	if (rc == 0)
		rc = objpool_call(cli->client, method, objpool_packed(&args), &options, result);
	objpool_packer_free(&args);
	if (rc < 0) {
		status = complain_of_answer(cli, rc, result->error);
		objpool_result_free(result);
	}
	return status;
}

enum exit_status cli_ask(struct cli *cli, struct objpool_result *result, const char *method, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	const enum exit_status status =
		ask(cli, cli->client ? EXIT_DONE : cli_connect_briefly(cli), result, method, format, arguments);
	va_end(arguments);
	return status;
}

enum exit_status cli_order(struct cli *cli, struct objpool_result *result, const char *method, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	const enum exit_status status = ask(cli, cli_connect(cli), result, method, format, arguments);
	va_end(arguments);
	return status;
}

void cli_print(struct objpool_bytes value)
{
	json_write(stdout, value);
	(void)putchar('\n');
}

enum exit_status cli_end_output(enum exit_status status)
{
	const bool failed = ferror(stdout);

	if (fflush(stdout) == 0 && !failed)
		return status;
	if (errno == EPIPE)
		return EXIT_CALL_FAILED; /* the reader has closed the pipe: it wants no more */
	return cli_fail(EXIT_CALL_FAILED, "standard output: %s", strerror(errno));
}
