/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cli: what the commands of `objpool` have in common. A command is one function and one row of the table in main.c; its
 * options are a table, which the parser and --help both read.
 */
#ifndef CLI_CLI_H
#define CLI_CLI_H

#include "cli/arguments.h"
#include "objpool/client.h"

enum exit_status {
	EXIT_DONE = 0,
	EXIT_CALL_FAILED = 1,
	EXIT_USAGE = 2,
	EXIT_NO_DAEMON = 3,  /* no daemon, or it does not answer */
	EXIT_TRY_AGAIN = 75, /* the call has not run, and may do so later */
	EXIT_DENIED = 77,
};

struct cli {
	const char *address; /* or NULL: the default */
	struct arguments arguments;
	const struct command *commands; /* all; the last has no name */
	const struct command *command;
	struct objpool_client *client; /* after cli_connect */
	/* Limit for connecting, and for each answer of cli_ask; 0: the library's limit for connecting, none for answers. */
	uint32_t answer_ms;
};

struct command {
	const char *name;
	const char *words;   /* what stands after the options */
	const char *summary; /* one line */
	const char *more;    /* further lines of --help, or NULL */
	const struct option *options;
	int min, max; /* words; max -1: any number */
	enum exit_status (*run)(struct cli *cli);
};

/* Prints "objpool: ..." on standard error. Returns `status`. */
enum exit_status cli_fail(enum exit_status status, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* A word of the command line as errors show it: only the beginning of a long one. */
enum { CLI_SHOWN = 80 };
const char *cli_shown(char room[CLI_SHOWN], const char *word);

/* Why there is no connection: the exit status, and the reason for people. */
struct cli_reason {
	enum exit_status status;
	char text[8192]; /* an address, a path and two names */
};

/* objpool_connect, with the options of the command line. `said`: a reason, or nothing. */
enum { CLI_SAID = 512 };
int cli_open(struct cli *cli, struct objpool_client **client, uint32_t timeout_ms, char said[CLI_SAID]);

/* Connects, and prints nothing. EXIT_DONE, or the status of `reason`. */
enum exit_status cli_try_connect(struct cli *cli, struct cli_reason *reason);

/* Connects. Returns EXIT_DONE, or prints an error and returns its status. */
enum exit_status cli_connect(struct cli *cli);

/* Opens one more connection to the same daemon. NULL: it has printed an error. */
struct objpool_client *cli_connect_another(struct cli *cli, enum exit_status *status);

/* Connects for methods that a daemon answers at once: each answer may take ten seconds, or --timeout. */
enum exit_status cli_connect_briefly(struct cli *cli);

/* The exit status for a call that failed with `error`. */
enum exit_status cli_status_of(const struct objpool_error *error);

/* Prints the error of a call that failed. `rc` is what objpool_call returned; `error` may be NULL. Returns the exit status. */
enum exit_status cli_complain(int rc, const struct objpool_error *error);

/*
 * Connects, and calls one of the daemon's own methods with arguments as for objpool_pack. cli_ask is for methods that the daemon
 * answers at once (cli_connect_briefly), cli_order for methods whose answer waits for workers. EXIT_DONE: the caller frees the
 * result; else the error has been printed.
 */
enum exit_status cli_ask(struct cli *cli, struct objpool_result *result, const char *method, const char *format, ...);
enum exit_status cli_order(struct cli *cli, struct objpool_result *result, const char *method, const char *format, ...);

/* Prints one value as a line of JSON. */
void cli_print(struct objpool_bytes value);

/* Ends a command that has written to standard output: reports output that was lost, as on a full disk. */
enum exit_status cli_end_output(enum exit_status status);

enum exit_status command_call(struct cli *cli);
enum exit_status command_map(struct cli *cli);
enum exit_status command_bench(struct cli *cli);
enum exit_status command_pools(struct cli *cli);
enum exit_status command_describe(struct cli *cli);
enum exit_status command_status(struct cli *cli);
enum exit_status command_top(struct cli *cli);
enum exit_status command_create(struct cli *cli);
enum exit_status command_drop(struct cli *cli);
enum exit_status command_scale(struct cli *cli);
enum exit_status command_restart(struct cli *cli);
enum exit_status command_forget(struct cli *cli);
enum exit_status command_pause(struct cli *cli);
enum exit_status command_resume(struct cli *cli);
enum exit_status command_clients(struct cli *cli);
enum exit_status command_hosts(struct cli *cli);
enum exit_status command_kick(struct cli *cli);
enum exit_status command_log_level(struct cli *cli);
enum exit_status command_config(struct cli *cli);
enum exit_status command_drain(struct cli *cli);
enum exit_status command_reload(struct cli *cli);
enum exit_status command_ping(struct cli *cli);
enum exit_status command_metrics(struct cli *cli);
enum exit_status command_logs(struct cli *cli);
enum exit_status command_events(struct cli *cli);
enum exit_status command_whoami(struct cli *cli);
enum exit_status command_acl(struct cli *cli);
enum exit_status command_token(struct cli *cli);
enum exit_status command_new(struct cli *cli);
enum exit_status command_complete(struct cli *cli);
enum exit_status command_check_plugin(struct cli *cli);

extern const struct option call_options[], map_options[], bench_options[], json_options[], look_options[], describe_options[],
	timeout_options[], top_options[], create_options[], token_options[], new_options[], check_plugin_options[],
	reload_options[], logs_options[], events_options[];

#endif
