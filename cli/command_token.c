/* SPDX-License-Identifier: Apache-2.0 */
/* command_token: token: makes a token, and the line for the section of its user. It asks no daemon. */
#include "cli/base64.h"
#include "cli/cli.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

const struct option token_options[] = {
	{'o', "output", "FILE", "write the token to a new file, for its user only, and not to standard output"},
	{'j', "json", NULL, "print JSON"},
	{0},
};

enum { TOKEN_BYTES = 32, TOKEN_TEXT = (TOKEN_BYTES + 2) / 3 * 4 };

/* The token as its user gives it, and the SHA-256 of that text as the configuration has it. */
struct token {
	char text[TOKEN_TEXT + 1];
	char sha256[2 * SHA256_DIGEST_LENGTH + 1];
};

static void hash(struct token *token)
{
	uint8_t digest[SHA256_DIGEST_LENGTH];

	(void)SHA256((const unsigned char *)token->text, strlen(token->text), digest);
	for (size_t i = 0; i < sizeof digest; i++)
		snprintf(token->sha256 + 2 * i, 3, "%02x", digest[i]);
}

/* 0 or a negative errno. */
static int make(struct token *token)
{
	uint8_t bytes[TOKEN_BYTES];
	FILE *out = fmemopen(token->text, sizeof token->text, "w");

	if (!out)
		return -errno;
	const ssize_t n = getrandom(bytes, sizeof bytes, 0);
	const int r = n == (ssize_t)sizeof bytes ? 0 : n < 0 ? -errno : -EIO;
	base64_write(out, bytes, sizeof bytes);
	if (fclose(out) != 0)
		return -errno;
	hash(token);
	return r;
}

/* An existing file is left alone: it may be the token of a user. 0 or a negative errno. */
static int keep(const struct token *token, const char *path)
{
	const int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	FILE *out = fd >= 0 ? fdopen(fd, "w") : NULL;

	if (fd < 0)
		return -errno;
	if (!out) {
		(void)close(fd);
		(void)unlink(path);
		return -ENOMEM;
	}
	const int written = fprintf(out, "%s\n", token->text);
	if (fclose(out) == 0 && written > 0)
		return 0;
	const int r = -errno;
	(void)unlink(path);
	return r;
}

static void print_json(const struct token *token, bool shown)
{
	putchar('{');
	if (shown)
		printf("\"token\": \"%s\", ", token->text);
	printf("\"token_sha256\": \"%s\"}\n", token->sha256);
}

static void print(const struct token *token, bool shown)
{
	if (shown)
		puts(token->text);
	printf("token_sha256 = %s\n", token->sha256);
}

enum exit_status command_token(struct cli *cli)
{
	const char *path = arguments_get(&cli->arguments, "output");
	char shown[CLI_SHOWN];
	struct token token;

	int r = make(&token);
	if (r < 0)
		return cli_fail(EXIT_CALL_FAILED, "no random bytes: %s", strerror(-r));
	r = path ? keep(&token, path) : 0;
	if (r < 0)
		return cli_fail(EXIT_CALL_FAILED, "%s: %s", cli_shown(shown, path), strerror(-r));
	(arguments_get(&cli->arguments, "json") ? print_json : print)(&token, !path);
	return cli_end_output(EXIT_DONE);
}
