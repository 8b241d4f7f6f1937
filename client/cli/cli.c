/* SPDX-License-Identifier: Apache-2.0 */
#include "client/cli/cli.h"

#include "client/cli/json.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum exit_status cli_fail(enum exit_status status, const char *format, ...)
{
	va_list arguments;

	(void)fflush(stdout);
	fputs("objpool: ", stderr);
	va_start(arguments, format);
	vfprintf(stderr, format, arguments);
	va_end(arguments);
	fputc('\n', stderr);
	return status;
}

static enum exit_status complain_of_address(const char *address, int rc)
{
	char text[512];

	if (!address && objpool_default_address(text, sizeof text) == 0)
		address = text;
	if (rc == -EINVAL)
		return cli_fail(EXIT_USAGE, "\"%s\" is no address: write unix:PATH or tcp:HOST:PORT", address);
	if (rc == -EPROTO)
		return cli_fail(EXIT_NO_DAEMON, "what answers at %s is no objpoold", address);
	return cli_fail(EXIT_NO_DAEMON, "no daemon at %s: %s", address, strerror(-rc));
}

struct objpool *cli_connect_another(struct cli *cli, enum exit_status *status)
{
	struct objpool *pool;
	const int rc = objpool_connect(&pool, cli->address, NULL);

	*status = rc < 0 ? complain_of_address(cli->address, rc) : EXIT_DONE;
	return pool;
}

enum exit_status cli_connect(struct cli *cli)
{
	enum exit_status status;

	cli->pool = cli_connect_another(cli, &status);
	return status;
}

/* What the message says already, in other words or the same, is not said again. */
static bool is_said(const struct objpool_error *error, const char *words)
{
	return strstr(error->message, words) != NULL;
}

/* Prints a part of what stands in parentheses behind the message. */
static void print_part(bool *any, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void print_part(bool *any, const char *format, ...)
{
	va_list arguments;

	fputs(*any ? ", " : " (", stderr);
	va_start(arguments, format);
	vfprintf(stderr, format, arguments);
	va_end(arguments);
	*any = true;
}

/* ` (pool sim, slot 2, generation 3, it may have run)` */
static void print_circumstances(const struct objpool_error *error)
{
	static const char *const ran[] = {NULL, "it has not run", "it may have run", "it has run"};
	const bool complete = is_said(error, "slot ") || is_said(error, " run");
	bool any = false;

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

enum exit_status cli_complain(int rc, const struct objpool_error *error)
{
	if (!error)
		return cli_fail(EXIT_CALL_FAILED, "%s", rc == -EINVAL ? "that is no TARGET.METHOD, or no mode of that name" : strerror(-rc));
	(void)fflush(stdout);
	fprintf(stderr, "objpool: %s: ", error->code);
	if (error->type)
		fprintf(stderr, "%s: ", error->type);
	fputs(error->message, stderr);
	print_circumstances(error);
	fputc('\n', stderr);
	if (error->traceback)
		fprintf(stderr, "%s%s", error->traceback, error->traceback[0] && strchr(error->traceback, 0)[-1] == '\n' ? "" : "\n");
	if (error->data.data) {
		fputs("data: ", stderr);
		json_write(stderr, error->data);
		fputc('\n', stderr);
	}
	return EXIT_CALL_FAILED;
}

enum exit_status cli_ask(struct cli *cli, struct objpool_result *result, const char *method, const char *format, ...)
{
	struct objpool_packer args = OBJPOOL_PACKER_INIT;
	va_list arguments;

	va_start(arguments, format);
	int rc = objpool_vpack(&args, format, arguments);
	va_end(arguments);
	enum exit_status status = cli->pool ? EXIT_DONE : cli_connect(cli);
	*result = (struct objpool_result){{NULL, 0}, NULL, NULL};
	if (status == EXIT_DONE && rc == 0)
		rc = objpool_call(cli->pool, method, objpool_packed(&args), NULL, result);
	objpool_packer_free(&args);
	if (status == EXIT_DONE && rc < 0) {
		status = cli_complain(rc, result->error);
		objpool_result_free(result);
	}
	return status;
}

void cli_print(struct objpool_bytes value)
{
	json_write(stdout, value);
	(void)putchar('\n');
}

enum exit_status cli_end_output(enum exit_status status)
{
	if (fflush(stdout) == 0 && !ferror(stdout))
		return status;
	if (errno == EPIPE)
		return EXIT_CALL_FAILED; /* whoever read it has seen enough */
	return cli_fail(EXIT_CALL_FAILED, "standard output: %s", strerror(errno));
}
