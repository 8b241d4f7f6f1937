/* SPDX-License-Identifier: Apache-2.0 */
/* Root sets the rights of sockets in folders of other users: never those of what they have put in a socket's place. */
#include "daemon/supervisor/connections/socketfile.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static char folder[] = "/tmp/socketfile.XXXXXX";

static int make_folder(void **state)
{
	(void)state;
	return mkdtemp(folder) && chdir(folder) == 0 ? 0 : -1;
}

static int remove_folder(void **state)
{
	static const char *const names[] = {"socket", "file", "link"};

	(void)state;
	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		(void)unlink(names[i]);
	return chdir("/") == 0 && rmdir(folder) == 0 ? 0 : -1;
}

static unsigned mode_of(const char *name)
{
	struct stat st;

	assert_int_equal(stat(name, &st), 0);
	return st.st_mode & 0777;
}

static int set_rights(const char *name, char reason[256])
{
	const struct config config = {.socket_mode = 0666};
	struct address address;
	char text[64];

	snprintf(text, sizeof text, "unix:%s/%s", folder, name);
	assert_int_equal(address_parse(&address, text, reason, 256), 0);
	return socketfile_set_rights(&config, &address, reason, 256);
}

static void a_socket_gets_its_mode(void **state)
{
	const int fd = socket(AF_UNIX, SOCK_STREAM, 0);
	struct sockaddr_un at = {.sun_family = AF_UNIX, .sun_path = "socket"};
	char reason[256];

	(void)state;
	assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof at), 0);
	assert_int_equal(chmod("socket", 0600), 0);
	assert_int_equal(set_rights("socket", reason), 0);
	assert_int_equal(mode_of("socket"), 0666);
	(void)close(fd);
}

static void what_stands_in_its_place_stays_as_it_is(void **state)
{
	const int fd = open("file", O_WRONLY | O_CREAT, 0600);
	char reason[256];

	(void)state;
	assert_true(fd >= 0);
	(void)close(fd);
	assert_int_equal(chmod("socket", 0600), 0);
	for (int i = 0; i < 3; i++) {
		static const char *const targets[] = {"file", "socket", "nowhere"};
		(void)unlink("link");
		assert_int_equal(symlink(targets[i], "link"), 0);
		assert_int_equal(set_rights("link", reason), -1);
		assert_non_null(strstr(reason, "link: Socket operation on non-socket"));
	}
	assert_int_equal(set_rights("file", reason), -1);
	assert_int_equal(mode_of("file"), 0600);
	assert_int_equal(mode_of("socket"), 0600);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_socket_gets_its_mode),
		cmocka_unit_test(what_stands_in_its_place_stays_as_it_is),
	};
	return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
