/* SPDX-License-Identifier: Apache-2.0 */
/* objpoold: the command line. See objpoold(8). */
#include "daemon/supervisor/check.h"
#include "daemon/supervisor/check_acl.h"
#include "daemon/supervisor/base/closer.h"
#include "daemon/supervisor/cluster/gateway_process.h"
#include "daemon/supervisor/config/config.h"
#include "daemon/supervisor/log/log.h"
#include "daemon/supervisor/loop.h"
#include "daemon/supervisor/setup.h"
#include "daemon/supervisor/base/parent_watch.h"
#include "daemon/supervisor/config/config_cluster.h"
#include "daemon/supervisor/config/paths.h"
#include "daemon/supervisor/base/signals.h"
#include "daemon/supervisor/transport/tls_context.h"
#include "proto/escape.h"
#include "proto/similar.h"
#include "proto/standard.h"

#include <errno.h>
#include <getopt.h>
#include <pwd.h>
#include <stdarg.h>
#include <stdlib.h>
#include <unistd.h>

enum { LISTEN_MAX = 64 };

/* A status of its own, that of <sysexits.h>: whoever starts the daemon need not try again. */
enum { EXIT_USAGE = 2, EXIT_CONFIG = 78 };

enum mode { MODE_RUN, MODE_CHECK, MODE_PLUGIN, MODE_PRINT };
enum extent { CHECK_LOAD, CHECK_PRELOAD, CHECK_SYNTAX };

struct options {
	const char *config;
	char *listen[LISTEN_MAX];
	uint32_t listen_count;
	enum mode mode;
	enum extent extent;      /* of MODE_CHECK */
	const char *user;        /* likewise, and of MODE_PLUGIN; NULL: the service's */
	const char *plugin;      /* of MODE_PLUGIN: the file */
	struct acl_question acl; /* likewise; without a user: nothing is asked */
	bool until_eof;
};

static void print_help(void)
{
	printf("usage: objpoold [--config FILE] [--listen ADDRESS]... [--until-eof]\n"
	       "                [--check[=preload|=syntax] [--user NAME] | --print-config]\n"
	       "       objpoold [--config FILE] --check --acl USER RIGHT NAME\n"
	       "       objpoold [--config FILE] --check-plugin FILE [--user NAME]\n"
	       "\n"
	       "Serves pools of objects over MessagePack-RPC. Stays in the foreground.\n"
	       "\n"
	       "  --config FILE      default: %s, then conf.d/*.conf beside it\n"
	       "  --listen ADDRESS   also listen on unix:PATH, tcp:HOST:PORT or tls:HOST:PORT (port 0: any)\n"
	       "  --until-eof        stop when standard input ends: for a program that has a daemon of its own\n"
	       "  --check            check the configuration, load each pool's plugin, check its class and arguments, and exit:\n"
	       "                     0 if all is good, else 1. --check=preload: the classes preload, too. --check=syntax: no plugin is "
	       "loaded\n"
	       "  --user NAME        with --check, for root: the user who loads the plugins (default: " OBJPOOL_USER
	       ", or else nobody); never root\n"
	       "  --acl USER         with --check: say whether that user would have RIGHT (" RIGHTS_NAMES ")\n"
	       "                     to NAME, which is POOL.METHOD or POOL, and by which rule. No plugin is loaded. Exit\n"
	       "                     status: 0 allowed, 1 not, 2 there is no such user or right, 78 the configuration is wrong\n"
	       "  --check-plugin FILE  say all that is wrong with a plugin, or with the classes of a file of Python, and exit:\n"
	       "                     0 if nothing is. The process that loads it has limits, and no network\n"
	       "  --print-config     print the configuration with all defaults and exit\n"
	       "  -V, --version      print the version and exit\n"
	       "  -h, --help         print this and exit\n"
	       "\n"
	       "SIGTERM: finish what runs, then stop; again: stop now. SIGHUP: reload the configuration.\n"
	       "SIGUSR1: open log_file anew. SIGUSR2: restart the workers one by one.\n"
	       "Manuals: objpoold(8), objpoold.conf(5), objpool(1).\n",
	       paths_config);
}

/* Before there is a log. */
__attribute__((format(printf, 1, 2))) static void complain(const char *format, ...)
{
	char text[1024], escaped[ESCAPE_MAX * sizeof text];
	va_list list;

	va_start(list, format);
	(void)vsnprintf(text, sizeof text, format, list);
	va_end(list);
	(void)escape_text(escaped, sizeof escaped, text, strlen(text));
	fprintf(stderr, "objpoold: %s\n", escaped);
}

/* `word` is NULL when there is none. 0, or -1: wrong usage. */
static int parse_extent(struct options *options, const char *word)
{
	options->extent = !word ? CHECK_LOAD : !strcmp(word, "preload") ? CHECK_PRELOAD : CHECK_SYNTAX;
	if (options->extent != CHECK_SYNTAX || !strcmp(word, "syntax"))
		return 0;
	complain("--check=%s: it is --check, --check=preload or --check=syntax", word);
	return -1;
}

static int add_listen(struct options *options, char *address)
{
	if (options->listen_count == LISTEN_MAX) {
		complain("--listen is given more than %d times", LISTEN_MAX);
		return -1;
	}
	options->listen[options->listen_count++] = address;
	return 0;
}

static int set_mode(struct options *options, enum mode mode)
{
	if (options->mode != MODE_RUN && options->mode != mode) {
		complain("--check, --check-plugin and --print-config exclude each other");
		return -1;
	}
	options->mode = mode;
	return 0;
}

/* 0; 1: nothing is left to do; -1: wrong usage. */
static int parse_one(struct options *options, int c)
{
	switch (c) {
	case 'c':
		options->config = optarg;
		return 0;
	case 'l':
		return add_listen(options, optarg);
	case 'k':
		return set_mode(options, MODE_CHECK) < 0 ? -1 : parse_extent(options, optarg);
	case 'P':
		options->plugin = optarg;
		return set_mode(options, MODE_PLUGIN);
	case 'u':
		options->user = optarg;
		return 0;
	case 'a':
		options->acl.user = optarg;
		return 0;
	case 'p':
		return set_mode(options, MODE_PRINT);
	case 'e':
		options->until_eof = true;
		return 0;
	case 'V':
		(void)puts("objpoold " OBJPOOL_VERSION);
		return 1;
	case 'h':
		print_help();
		return 1;
	default:
		return -1;
	}
}

/* The words are the rest of the question that --acl begins. 0, or -1: wrong usage. */
static int take_words(struct options *options, int count, char **words)
{
	const int wanted = options->acl.user ? 2 : 0;

	if (count != wanted && wanted > 0)
		complain("it is --check --acl USER RIGHT NAME");
	else if (count != wanted)
		complain("\"%s\" is no option: objpoold takes no words", words[0]);
	if (count != wanted)
		return -1;
	if (wanted > 0) {
		options->acl.right = words[0];
		options->acl.name = words[1];
	}
	return 0;
}

static int check_options(struct options *options, int count, char **words)
{
	if (options->user && options->mode != MODE_CHECK && options->mode != MODE_PLUGIN)
		complain("--user goes with --check and --check-plugin");
	else if (options->acl.user && options->mode != MODE_CHECK)
		complain("--acl goes with --check");
	else if (options->until_eof && options->mode != MODE_RUN)
		complain("--until-eof goes neither with --check, nor with --check-plugin, nor with --print-config");
	else
		return take_words(options, count, words);
	return -1;
}

/* getopt has refused the word. Says which option may have been meant. Returns -1. */
static int say_similar(const struct option *known, const char *word)
{
	const bool is_long = strncmp(word, "--", 2) == 0;
	struct similar similar = similar_to(is_long ? word + 2 : "", is_long ? strcspn(word + 2, "=") : 0);
	char hint[SIMILAR_HINT];

	for (; known->name; known++)
		similar_offer(&similar, known->name);
	if (similar.best && similar.distance > 0)
		complain("%s is no option%s", word, similar_hint(&similar, "--", hint));
	return -1;
}

/* As parse_one. */
static int parse(struct options *options, int argc, char **argv)
{
	static const struct option known[] = {
		{"config", required_argument, NULL, 'c'},
		{"listen", required_argument, NULL, 'l'},
		{"check", optional_argument, NULL, 'k'},
		{"check-plugin", required_argument, NULL, 'P'},
		{"print-config", no_argument, NULL, 'p'},
		{"until-eof", no_argument, NULL, 'e'},
		{"user", required_argument, NULL, 'u'},
		{"acl", required_argument, NULL, 'a'},
		{"version", no_argument, NULL, 'V'},
		{"help", no_argument, NULL, 'h'},
		{0},
	};
	int c, r = 0;

	while (r == 0 && (c = getopt_long(argc, argv, "c:l:hV", known, NULL)) != -1)
		r = c == '?' ? say_similar(known, argv[optind - 1]) : parse_one(options, c);
	return r != 0 ? r : check_options(options, argc - optind, argv + optind);
}

/* The command line's addresses are checked with the file's, and kept apart: a reload reads the file alone. */
static int check_with_listen(struct config *config, const struct options *options)
{
	const uint32_t of_file = config->listen_count;
	int r = 0;

	for (uint32_t i = 0; i < options->listen_count && r == 0; i++)
		r = config_add_listen(config, options->listen[i], "--listen");
	if (r == 0)
		r = config_check(config);
	if (options->mode == MODE_PRINT)
		return r;
	while (config->listen_count > of_file)
		config_drop_listen(config);
	return r;
}

static int load(struct config *config, struct options *options)
{
	if (!options->config && access(paths_config, F_OK) == 0)
		options->config = paths_config;
	if (config_load(config, options->config) == 0 && check_with_listen(config, options) == 0)
		return 0;
	complain("%s", config->reason);
	return -1;
}

static int run_for_owner(struct daemon *daemon)
{
	struct parent_watch *watch = parent_watch_new(daemon);
	if (!watch)
		return 1;
	const int status = loop_run(daemon);
	(void)parent_watch_free(watch);
	return status;
}

static bool open_log(const struct config *config)
{
	const int r = log_open((struct log_levels){.own = config->log_level, .workers = config->worker_log_level},
			       config->log_file);

	if (r < 0)
		complain("the log's thread can't be started: %s", strerror(-r));
	return r == 0;
}

static bool start_closer(void)
{
	const int r = closer_start();

	if (r < 0)
		log_say(LOG_ERR, "the thread that closes what clients hand over can't be started: %s", strerror(-r));
	return r == 0;
}

enum { CERTIFICATE_REASON = 768 };

/* -1: standard error has said why. */
static int load_certificates(struct tls_context **tls, const struct config *config, bool takes_outdated,
			     char warning[CERTIFICATE_REASON])
{
	if (tls_context_load(tls, config, takes_outdated, warning, CERTIFICATE_REASON) == 0)
		return 0;
	complain("%s", warning);
	return -1;
}

static int check_certificates(const struct config *config)
{
	char reason[CERTIFICATE_REASON];
	struct tls_context *tls;
	const int r = load_certificates(&tls, config, false, reason);

	(void)tls_context_free(tls);
	return r;
}

static void say_no_pools(const char *config)
{
	if (config)
		log_say(LOG_WARNING, "there are no pools in %s or in conf.d beside it", config);
	else
		log_say(LOG_WARNING, "there are no pools in the configuration (no file was found)");
}

static int run(struct config *config, struct options *options)
{
	static struct daemon daemon;
	char outdated[CERTIFICATE_REASON];
	struct tls_context *tls;
	int status = 1;

	/* Local clients need no certificate: the daemon starts with one that is out of date. */
	if (load_certificates(&tls, config, true, outdated) < 0)
		return EXIT_CONFIG;
	signals_take();
	if (!open_log(config) || !start_closer())
		return 1;
	if (outdated[0])
		log_say(LOG_WARNING, "%s; clients over TLS will not be served", outdated);
	if (config->pool_count == 0 && !options->until_eof)
		say_no_pools(options->config);
	if (setup(&daemon, config, tls, options->config, options->listen, options->listen_count) == 0)
		status = options->until_eof ? run_for_owner(&daemon) : loop_run(&daemon);
	setup_undo(&daemon);
	log_close();
	return status;
}

/* Returns the exit status. */
static int answer_acl(const struct config *config, const struct acl_question *question)
{
	char text[600], escaped[ESCAPE_MAX * sizeof text];
	const int r = check_acl(config, question, text, sizeof text);

	if (r < 0) {
		complain("%s", text);
		return EXIT_USAGE;
	}
	(void)escape_text(escaped, sizeof escaped, text, strlen(text));
	(void)puts(escaped);
	return r == 0;
}

/* Is the file one that services read? Another may be a draft of root's own. */
static bool is_installed(const char *path)
{
	return strncmp(path, paths_config, (size_t)(strrchr(paths_config, '/') + 1 - paths_config)) == 0;
}

/* Root has read the files, and has become the user as whom the daemon will read them. One that root starts reads them as root.
 * 0, or -1: standard error has said why. */
static int check_files(const struct config *config, const struct options *options, const char *user)
{
	struct config again;
	int r = 0;

	if (config->user || !options->config || (!options->user && !is_installed(options->config)))
		return 0;
	if (config_load(&again, options->config) < 0) {
		complain("%s", again.reason);
		complain("user %s can't read the configuration", user);
		r = -1;
	}
	config_free(&again);
	return r;
}

static void say_warning(const char *text)
{
	complain("warning: %s", text);
}

/* The files of [cluster] that the gateway reads, as the user that the daemon has. */
static int check_bus_files(const struct config_cluster *cluster)
{
	const struct {
		const char *key, *path;
	} files[] = {{"bus_ca", cluster->bus_ca},
		     {"bus_cert", cluster->bus_cert},
		     {"bus_key", cluster->bus_key},
		     {"bus_creds", cluster->bus_creds}};
	int r = 0;

	for (size_t i = 0; i < sizeof files / sizeof *files; i++)
		if (files[i].path && access(files[i].path, R_OK) < 0) {
			complain("%s: [cluster] %s = %s can't be read: %s", cluster->place, files[i].key, files[i].path,
				 strerror(errno));
			r = -1;
		}
	return r;
}

/* Where there is a cluster: can its program be run, and are its files there? */
static int check_gateway(const struct config *config)
{
	char *program = config->cluster.place ? gateway_process_find(config) : NULL;
	const int r = program ? access(program, X_OK) : 0;

	if (r < 0)
		complain("%s: [cluster] needs objpool-gateway: %s: %s", config->cluster.place, program, strerror(errno));
	free(program);
	return check_bus_files(&config->cluster) < 0 ? -1 : r;
}

/* The configuration has been read, and is right in itself. Returns the exit status. */
static int check(const struct config *config, const struct options *options)
{
	static const char *const done[] = {
		[CHECK_LOAD] = "all plugins load", [CHECK_PRELOAD] = "all plugins load, and all classes preload"};
	char reason[256];

	if (options->acl.user)
		return answer_acl(config, &options->acl);
	config_warn_of_cluster(config, say_warning);
	if (options->extent == CHECK_SYNTAX || config->pool_count == 0) {
		if (check_certificates(config) < 0 || (options->extent != CHECK_SYNTAX && check_gateway(config) < 0))
			return 1;
		(void)puts("the configuration is good; no plugin was loaded");
		return 0;
	}
	const bool root = geteuid() == 0, preload = options->extent == CHECK_PRELOAD;
	uint32_t failed = root ? check_pools(config, preload, CHECK_OF_OTHERS) : 0;
	if (check_leave_root(options->user ? options->user : config->user, reason, sizeof reason) < 0) {
		complain("%s; --check=syntax loads none", reason);
		return 1;
	}
	const struct passwd *user = getpwuid(geteuid());
	const char *name = user ? user->pw_name : "without a name";
	if (root && check_files(config, options, name) < 0)
		return 1;
	if (check_certificates(config) < 0) {
		complain("for user %s, TLS can't start", name);
		return 1;
	}
	if (check_gateway(config) < 0)
		return 1;
	failed += check_pools(config, preload, root ? CHECK_REST : CHECK_ALL);
	if (failed > 0)
		complain("for user %s, %u of %u pools can't start", name, failed, config->pool_count);
	else
		printf("the configuration is good: for user %s, %s\n", name, done[options->extent]);
	return failed > 0;
}

/* Returns the exit status. */
static int check_file(struct config *config, const struct options *options)
{
	char reason[256];

	if (check_leave_root(options->user, reason, sizeof reason) < 0) {
		complain("%s", reason);
		return 1;
	}
	return check_plugin(config, options->plugin) < 0;
}

static int act(struct config *config, struct options *options)
{
	int status = 0;

	switch (options->mode) {
	case MODE_RUN:
		return run(config, options);
	case MODE_CHECK:
		status = check(config, options);
		break;
	case MODE_PLUGIN:
		status = check_file(config, options);
		break;
	case MODE_PRINT:
		config_print(config, stdout);
		break;
	}
	if (fflush(stdout) == 0)
		return status;
	complain("standard output: %s", strerror(errno));
	return 1;
}

int main(int argc, char **argv)
{
	struct options options = {.mode = MODE_RUN};
	struct config config = {0};
	int status = 1;

	if (standard_open() < 0)
		return 1;
	const int r = parse(&options, argc, argv);
	if (r < 0)
		fputs("try objpoold --help\n", stderr);
	if (r != 0)
		return r < 0 ? EXIT_USAGE : 0;
	if (load(&config, &options) == 0)
		status = act(&config, &options);
	else if (options.mode == MODE_RUN || options.acl.user)
		status = EXIT_CONFIG; /* 1 would say that --acl is not allowed */
	config_free(&config);
	return status;
}
