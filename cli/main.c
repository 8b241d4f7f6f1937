/* SPDX-License-Identifier: Apache-2.0 */
/*
 * objpool: the command line. start() finds the command, takes its arguments apart, and runs it. command_manage.c,
 * command_inspect.c and command_rights.c hold several commands, the other files command_*.c one each.
 */
#include "cli/cli.h"

#include "proto/similar.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const struct command commands[] = {
	{"call", "TARGET.METHOD [ARG...]", "call a method and print its result",
	 "TARGET is POOL, POOL:SLOT, POOL:all, POOL:key=KEY, POOL:map or POOL:scatter; POOL@HOST and POOL@* are on other hosts.\n"
	 "Each ARG is JSON, or else a string.",
	 call_options, 1, -1, command_call},
	{"map", "POOL.METHOD", "call a method for each line of JSON, and print the results",
	 "Items come from standard input, one JSON value a line; results leave in the same order as they come.", map_options, 1,
	 1, command_map},
	{"pools", "", "list the pools", NULL, look_options, 0, 0, command_pools},
	{"describe", "POOL", "show a pool's class and its methods, or print a typed client of it", NULL, describe_options, 1, 1,
	 command_describe},
	{"status", "[POOL]", "show how pools and their slots are", NULL, look_options, 0, 1, command_status},
	{"top", "[POOL]", "watch pools and slots on a full screen",
	 "With POOL: that one, and its slots. On the screen, h lists the keys. Where there is no terminal for it: plain text.",
	 top_options, 0, 1, command_top},
	{"clients", "", "list the connections: who, from where, and what they wait for", NULL, look_options, 0, 0,
	 command_clients},
	{"hosts", "", "list the hosts of the cluster, with the pools that they share", NULL, look_options, 0, 0, command_hosts},
	{"create", "POOL [KEY=VALUE...]", "make a pool, and wait until its instances are built",
	 "The keys are those of a [pool] section; each VALUE is JSON, or else a string. The daemon keeps the pool until it is "
	 "dropped.",
	 create_options, 1, -1, command_create},
	{"drop", "POOL", "end a pool", NULL, NULL, 1, 1, command_drop},
	{"scale", "POOL WORKERS", "change how many slots a pool has", NULL, NULL, 2, 2, command_scale},
	{"restart", "POOL [SLOT]", "build a pool's instances, or one of them, anew", NULL, NULL, 1, 2, command_restart},
	{"forget", "POOL [METHOD]", "forget sticky calls, so that they are not repeated on instances built later", NULL,
	 timeout_options, 1, 2, command_forget},
	{"pause", "POOL", "have a pool's calls wait, and wait until nothing runs in it",
	 "The pool stays paused until `objpool resume`, also when this command is interrupted.", NULL, 1, 1, command_pause},
	{"resume", "POOL", "have the calls of a paused pool go on", NULL, NULL, 1, 1, command_resume},
	{"kick", "SESSION", "close a connection; its calls end as when its client leaves",
	 "SESSION is the number that `objpool clients` shows.", timeout_options, 1, 1, command_kick},
	{"config", "", "print the configuration that is in force", "Hashes of tokens are left out.", timeout_options, 0, 0,
	 command_config},
	{"log-level", "[LEVEL]", "set how much the daemon logs until the next reload, or print it",
	 "LEVEL is error, warning, info or debug.", timeout_options, 0, 1, command_log_level},
	{"drain", "", "have the daemon finish what it has, and stop; say what it waits for",
	 "Ends when the daemon has stopped. The daemon stops also when this command is interrupted.", NULL, 0, 0, command_drain},
	{"reload", "", "have the daemon read its configuration, or a pool's code, again", NULL, reload_options, 0, 0,
	 command_reload},
	{"logs", "POOL", "show the last lines that a pool's workers have printed", NULL, logs_options, 1, 1, command_logs},
	{"events", "[POOL]", "show what has happened in the daemon, as lines of JSON, and what happens",
	 "With POOL: only what is about that one. The daemon keeps the last 1000 events.", events_options, 0, 1, command_events},
	{"ping", "[POOL@HOST]", "ask the daemon for a sign of life",
	 "With POOL@HOST: the daemon of that host, through a pool that it shares with this one.", timeout_options, 0, 1,
	 command_ping},
	{"metrics", "", "print the daemon's metrics, as OpenMetrics text", NULL, timeout_options, 0, 0, command_metrics},
	{"whoami", "", "show which user the daemon takes this client for, and what it may do", NULL, look_options, 0, 0,
	 command_whoami},
	{"acl", "check USER RIGHT NAME", "say whether a user may do something, and by which rule",
	 "RIGHT is call, all, describe, create, code, admin, direct, watch or operate; NAME is POOL.METHOD or POOL.\n"
	 "Exit status: 0 allowed, 1 not, 2 there is no such user or right.",
	 look_options, 4, 4, command_acl},
	{"token", "", "make a token, and the line for the section of its user", "No daemon is asked.", token_options, 0, 0,
	 command_token},
	{"new", "plugin NAME", "write a folder with a plugin that builds, is tested, and runs", "No daemon is asked.",
	 new_options, 2, 2, command_new},
	{"check-plugin", "FILE", "say all that is wrong with a plugin",
	 "FILE is a shared object, or a file of Python: then its classes are loaded one by one. A process with limits and "
	 "without\n"
	 "a network loads it. Exit status: 0 if nothing is wrong.",
	 check_plugin_options, 1, 1, command_check_plugin},
	{"bench", "TARGET.METHOD [ARG...]", "measure calls per second, and how long they take", NULL, bench_options, 1, -1,
	 command_bench},
	{"complete", "[WORD...]", "print what may stand next on a command line, for shells",
	 "The WORDs are those of the line behind \"objpool\"; the last is the one that is typed, and may be empty.", NULL, 0, -1,
	 command_complete},
	{0},
};
enum { COMMANDS = sizeof commands / sizeof *commands - 1 };

static const struct option common_options[] = {
	{'s', "server", "ADDRESS", "unix:PATH, tcp:HOST:PORT or tls:HOST:PORT (default: $OBJPOOL_ADDRESS, or the usual places)"},
	{0, "tls-ca", "FILE", "the CAs that may vouch for a tls: server (default: $OBJPOOL_TLS_CA, or the system's)"},
	{0, "tls-cert", "FILE", "the certificate to show to it (default: $OBJPOOL_TLS_CERT)"},
	{0, "tls-key", "FILE", "the key of this certificate (default: $OBJPOOL_TLS_KEY, or in the same file)"},
	{0, "tls-name", "NAME", "the name in the server's certificate (default: $OBJPOOL_TLS_NAME, or HOST)"},
	{0, "token-file", "FILE", "a file, for you only, with the token to show (default: $OBJPOOL_TOKEN_FILE)"},
	{'h', "help", NULL, "print this, and exit"},
	{'V', "version", NULL, "print the version, and exit"},
	{0},
};

static enum exit_status help(FILE *out)
{
	fprintf(out, "usage: objpool [-s ADDRESS] COMMAND [OPTION...] [WORD...]\n\n");
	for (int i = 0; i < COMMANDS; i++)
		fprintf(out, "  %-12s %s\n", commands[i].name, commands[i].summary);
	fprintf(out, "\n");
	arguments_help(common_options, out);
	fprintf(out, "\n`objpool COMMAND --help` says more. Exit status: 0 done, 1 the call failed, 2 usage, 3 no daemon there,\n"
		     "75 the call failed but may be tried again, 77 not allowed.\n");
	return cli_end_output(EXIT_DONE);
}

static enum exit_status help_command(const struct command *command)
{
	printf("usage: objpool %s [OPTION...]%s%s\n\n%s.\n", command->name, *command->words ? " " : "", command->words,
	       command->summary);
	if (command->more)
		printf("%s\n", command->more);
	printf("\n");
	if (command->options)
		arguments_help(command->options, stdout);
	arguments_help(common_options, stdout);
	return cli_end_output(EXIT_DONE);
}

/* "; did you mean NAME?", or nothing. */
static const char *hint_of_command(const char *name, char hint[SIMILAR_HINT])
{
	struct similar similar = similar_to(name, strlen(name));

	for (int i = 0; i < COMMANDS; i++)
		similar_offer(&similar, commands[i].name);
	return similar_hint(&similar, "", hint);
}

static const struct command *find_command(const char *name)
{
	for (int i = 0; i < COMMANDS; i++)
		if (strcmp(commands[i].name, name) == 0)
			return &commands[i];
	return NULL;
}

static enum exit_status version(void)
{
	printf("objpool %s\n", OBJPOOL_VERSION);
	return cli_end_output(EXIT_DONE);
}

/* The words after the command's name, and its options. Common options may stand before the name, too. */
static enum exit_status run(struct cli *cli, char **argv, int count)
{
	struct arguments *arguments = &cli->arguments;
	const struct command *command = cli->command;

	arguments->tables[1] = command->options;
	if (arguments_parse(arguments, argv, count, false) < 0)
		return cli_fail(EXIT_USAGE, "%s: %s", command->name, arguments->reason);
	if (arguments_get(arguments, "help"))
		return help_command(command);
	if (arguments_get(arguments, "version"))
		return version();
	cli->address = arguments_get(arguments, "server");
	if (arguments->count < command->min || (command->max >= 0 && arguments->count > command->max))
		return cli_fail(EXIT_USAGE, "usage: objpool %s [OPTION...]%s%s", command->name, *command->words ? " " : "",
				command->words);
	const enum exit_status status = command->run(cli);
	cli->client = objpool_close(cli->client);
	return status;
}

static enum exit_status start(char **argv, int count)
{
	struct cli cli = {.commands = commands, .arguments = {.tables = {common_options}}};
	struct arguments *arguments = &cli.arguments;
	char shown[CLI_SHOWN], hint[SIMILAR_HINT];

	if (arguments_parse(arguments, argv, count, true) < 0)
		return cli_fail(EXIT_USAGE, "%s", arguments->reason);
	if (arguments_get(arguments, "help"))
		return help(stdout);
	if (arguments_get(arguments, "version"))
		return version();
	if (arguments->count == 0) {
		(void)help(stderr);
		return EXIT_USAGE;
	}
	cli.command = find_command(arguments->words[0]);
	if (!cli.command)
		return cli_fail(EXIT_USAGE, "there is no command %s%s (objpool --help lists them)",
				cli_shown(shown, arguments->words[0]), hint_of_command(arguments->words[0], hint));
	return run(&cli, arguments->words + 1, arguments->count - 1);
}

/*
 * A closed standard descriptor must not become the connection to the daemon. It is replaced by one that can't be read or written
 * either, so that cli_end_output reports lost output.
 */
static void hold_standard_descriptors(void)
{
	for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
		if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY) != fd)
			_exit(EXIT_CALL_FAILED);
}

int main(int argc, char **argv)
{
	hold_standard_descriptors();
	return argc > 0 ? (int)start(argv + 1, argc - 1) : EXIT_USAGE;
}
