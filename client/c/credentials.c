/* SPDX-License-Identifier: Apache-2.0 */
#include "client/c/credentials.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *given(const char *option, const char *variable)
{
	const char *value = option ? option : getenv(variable);

	return value && *value ? value : NULL;
}

struct credentials credentials_of(const struct objpool_connect_options *options)
{
	struct credentials credentials = {
		.ca = given(options->tls_ca, "OBJPOOL_TLS_CA"),
		.cert = given(options->tls_cert, "OBJPOOL_TLS_CERT"),
		.key = given(options->tls_key, "OBJPOOL_TLS_KEY"),
		.name = given(options->tls_name, "OBJPOOL_TLS_NAME"),
		.token = given(options->token_file, "OBJPOOL_TOKEN_FILE"),
	};

	if (!credentials.key)
		credentials.key = credentials.cert; /* one file may have both */
	return credentials;
}

/* A group may read a file of root's: so a service gets what it may know. */
static bool others_may_read(const struct stat *info)
{
	return info->st_mode & (info->st_uid == 0 ? S_IRWXO : S_IRWXG | S_IRWXO);
}

/* The text without blanks around it. */
static int trim(const char *path, char *token, size_t size, struct reason *reason)
{
	static const char blanks[] = " \t\r\n";
	const size_t before = strspn(token, blanks);

	while (size > before && memchr(blanks, token[size - 1], sizeof blanks - 1))
		size--;
	if (size <= before)
		return reason_give(reason, -EINVAL, "the token file %s is empty", path);
	memmove(token, token + before, size - before);
	token[size - before] = '\0';
	if (strcspn(token, blanks) != size - before)
		return reason_give(reason, -EINVAL, "the token file %s must hold a token, and nothing else", path);
	return 0;
}

static int read_token(int fd, const char *path, char token[TOKEN_ROOM], struct reason *reason)
{
	struct stat info;

	if (fstat(fd, &info) < 0)
		return reason_give(reason, -EINVAL, "the token file %s: %s", path, strerror(errno));
	if (!S_ISREG(info.st_mode))
		return reason_give(reason, -EINVAL, "the token file %s is no ordinary file", path);
	if (others_may_read(&info))
		return reason_give(reason, -EINVAL, "the token file %s is open to others: its mode is %04o; chmod 600 it", path,
				   info.st_mode & 07777);
	const ssize_t n = read(fd, token, TOKEN_ROOM);
	if (n < 0)
		return reason_give(reason, -EINVAL, "the token file %s: %s", path, strerror(errno));
	if (n == TOKEN_ROOM)
		return reason_give(reason, -EINVAL, "the token file %s is too long for a token", path);
	token[n] = '\0';
	return trim(path, token, (size_t)n, reason);
}

int credentials_read_token(const struct credentials *credentials, char token[TOKEN_ROOM], struct reason *reason)
{
	const int fd = open(credentials->token, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);

	if (fd < 0)
		return reason_give(reason, -EINVAL, "the token file %s: %s", credentials->token, strerror(errno));
	const int rc = read_token(fd, credentials->token, token, reason);
	(void)close(fd);
	return rc;
}
