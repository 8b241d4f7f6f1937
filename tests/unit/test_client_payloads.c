/* SPDX-License-Identifier: Apache-2.0 */
/* Large values by descriptor. The test itself is the daemon: it sends and receives descriptors byte by byte. */
#include "tests/unit/client_server.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

enum { DESCRIBED = 100000, MARK = 0x1234 };

static struct objpool_client *start_with_descriptors(int *fd)
{
	struct objpool_packer hello = OBJPOOL_PACKER_INIT;
	struct objpool_client *client;
	char said[256];
	int fds[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	objpool_pack(&hello, "[i i n {s s, s b, s i}]", 1, 1, "server", "x", "fds", true, "fds_mark", MARK);
	send_all(fds[0], hello.data, hello.size);
	objpool_packer_free(&hello);
	assert_int_equal(objpool_adopt(&client, fds[1], NULL), 0);
	const ssize_t n = recv(fds[0], said, sizeof said, 0);
	assert_true(n > 0 && memmem(said, (size_t)n,
				    "\xa3"
				    "fds\xc3",
				    5));
	*fd = fds[0];
	return client;
}

static int filled_memfd(int seals, const void *bytes, size_t size)
{
	const int fd = memfd_create("daemon", MFD_ALLOW_SEALING | MFD_CLOEXEC);

	assert_int_equal(write(fd, bytes, size), size);
	assert_true(seals == 0 || fcntl(fd, F_ADD_SEALS, seals) == 0);
	return fd;
}

/* Sends bytes and, unless it is -1, the descriptor, which it closes. */
static void send_described(int fd, const void *bytes, size_t size, int described)
{
	union {
		struct cmsghdr head;
		char room[CMSG_SPACE(sizeof(int))];
	} control = {.head = {.cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS, .cmsg_len = CMSG_LEN(sizeof(int))}};
	struct iovec iov = {.iov_base = (void *)(uintptr_t)bytes, .iov_len = size};
	struct msghdr message = {.msg_iov = &iov, .msg_iovlen = 1};

	if (described >= 0) {
		memcpy(CMSG_DATA(&control.head), &described, sizeof described);
		message.msg_control = &control;
		message.msg_controllen = sizeof control;
	}
	assert_int_equal(sendmsg(fd, &message, 0), size);
	if (described >= 0)
		close(described);
}

/* What one read brings; `*described` is how many descriptors, which are closed. */
static size_t receive_described(int fd, void *bytes, size_t size, unsigned *described)
{
	char control[CMSG_SPACE(64 * sizeof(int))] __attribute__((aligned(8)));
	struct iovec iov = {.iov_base = bytes, .iov_len = size};
	struct msghdr message = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
	const ssize_t n = recvmsg(fd, &message, MSG_DONTWAIT);

	*described = 0;
	for (struct cmsghdr *c = n > 0 ? CMSG_FIRSTHDR(&message) : NULL; c; c = CMSG_NXTHDR(&message, c))
		for (size_t at = CMSG_LEN(0); at < c->cmsg_len; at += sizeof(int), ++*described) {
			int found;
			memcpy(&found, (char *)c + at, sizeof found);
			close(found);
		}
	return n > 0 ? (size_t)n : 0;
}

/* Each message with descriptors begins a write, whatever was left of the one before it, and has no more than 64. */
static void test_descriptors_leave_with_their_message(void **state)
{
	struct objpool_packer plain = OBJPOOL_PACKER_INIT, large = OBJPOOL_PACKER_INIT;
	struct tally tally = {0};
	unsigned char *bytes = calloc(1, 1 << 20), *in = malloc(1 << 20);
	unsigned described, messages = 0, passed[2] = {0};
	int fd;
	struct objpool_client *client = start_with_descriptors(&fd);

	(void)state;
	objpool_pack(&plain, "[S]", bytes, (size_t)900000);
	objpool_pack_array(&large, 66);
	for (int i = 0; i < 66; i++)
		objpool_pack_bin(&large, bytes, i < 2 ? 65536 : 65536 + (size_t)i);
	assert_int_equal(objpool_call_async(client, "sim.plain", objpool_packed(&plain), NULL, count_answer, &tally, NULL), 0);
	assert_int_equal(objpool_call_async(client, "sim.large", objpool_packed(&large), NULL, count_answer, &tally, NULL), 0);
	assert_true(objpool_unsent(client) > 0);
	for (size_t n; objpool_flush(client), (n = receive_described(fd, in, 1 << 20, &described)) > 0;)
		if (described > 0) {
			assert_non_null(memmem(in, n, "sim.large", 9));
			passed[messages++] = described;
		}
	assert_int_equal(messages, 1);
	assert_int_equal(passed[0], 64);
	assert_int_equal(objpool_unsent(client), 0);
	objpool_packer_free(&plain);
	objpool_packer_free(&large);
	objpool_close(client);
	close(fd);
	free(bytes);
	free(in);
}

/* Takes the request, and says which file has come with it. */
static ino_t receive_file(int fd)
{
	char bytes[1024], control[CMSG_SPACE(sizeof(int))] __attribute__((aligned(8)));
	struct iovec iov = {.iov_base = bytes, .iov_len = sizeof bytes};
	struct msghdr message = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
	struct stat st;
	int found;

	assert_true(recvmsg(fd, &message, MSG_DONTWAIT) > 0 && CMSG_FIRSTHDR(&message));
	memcpy(&found, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof found);
	assert_int_equal(fstat(found, &st), 0);
	close(found);
	return st.st_ino;
}

/* Calls with a large argument, and answers with `error`, or nil. */
static ino_t call_with_file(struct objpool_client *client, int fd, int msgid, const char *error)
{
	static const unsigned char zeros[DESCRIBED];
	struct objpool_packer args = OBJPOOL_PACKER_INIT, answer = OBJPOOL_PACKER_INIT;
	struct tally tally = {0};

	objpool_pack_array(&args, 1);
	objpool_pack_bin(&args, zeros, DESCRIBED);
	assert_int_equal(objpool_call_async(client, "sim.x", objpool_packed(&args), NULL, count_answer, &tally, NULL), 0);
	assert_int_equal(objpool_flush(client), 0);
	const ino_t file = receive_file(fd);
	if (error)
		objpool_pack(&answer, "[i i s n]", 1, msgid, error);
	else
		objpool_pack(&answer, "[i i n [i]]", 1, msgid, 0);
	send_all(fd, answer.data, answer.size);
	assert_int_equal(objpool_dispatch(client, POLLIN), 0);
	assert_int_equal(tally.answers, 1);
	objpool_packer_free(&args);
	objpool_packer_free(&answer);
	return file;
}

/* The method of a call that failed may be at work on them still. */
static void test_memory_of_arguments_is_used_again_after_a_success_only(void **state)
{
	int fd;
	struct objpool_client *client = start_with_descriptors(&fd);

	(void)state;
	const ino_t first = call_with_file(client, fd, 2, NULL);
	assert_int_equal(call_with_file(client, fd, 3, NULL), first);
	assert_int_equal(call_with_file(client, fd, 4, "TIMEOUT: late"), first);
	assert_int_not_equal(call_with_file(client, fd, 5, NULL), first);
	objpool_close(client);
	close(fd);
}

/* [1, 2, nil, what stands for the descriptor's bytes from `offset` on] */
static size_t write_answer(unsigned char *answer, int mark, size_t offset, size_t size)
{
	const unsigned char head[] = {0x94, 1, 2, 0xc0, 0xd8, 112, (unsigned char)(mark >> 8), (unsigned char)mark};

	memset(answer, 0, 22);
	memcpy(answer, head, sizeof head);
	for (int i = 0; i < 4; i++) {
		answer[13 - i] = (unsigned char)(offset >> (8 * i));
		answer[21 - i] = (unsigned char)(size >> (8 * i));
	}
	return 22;
}

/* A value that lies there packed is given back when its result is freed; one that doesn't is copied, and given back at once. */
static void test_results_by_descriptor(void **state)
{
	const unsigned char header[] = {0xc6, 0, DESCRIBED >> 16, (DESCRIBED >> 8) & 0xff, DESCRIBED & 0xff};

	(void)state;
	for (size_t offset = 0; offset <= 5; offset += 5) {
		unsigned char *bytes = calloc(1, 5 + DESCRIBED), answer[22], said[256];
		struct objpool_result result;
		unsigned described;
		int fd;
		struct objpool_client *client = start_with_descriptors(&fd);
		memcpy(bytes, header, offset);
		memset(bytes + offset, 7, DESCRIBED);
		send_described(fd, answer, write_answer(answer, MARK, offset, DESCRIBED),
			       filled_memfd(F_SEAL_SHRINK, bytes, offset + DESCRIBED));
		assert_int_equal(objpool_callf(client, "sim.x", &result, "[]"), 0);
		assert_int_equal(result.value.size, 5 + DESCRIBED);
		assert_memory_equal(result.value.data, header, 5);
		assert_int_equal(((const unsigned char *)result.value.data)[4 + DESCRIBED], 7);
		assert_int_equal(objpool_events(client) & POLLOUT, 0);
		size_t n = receive_described(fd, said, sizeof said, &described); /* the request */
		assert_true(n > 0 && !memmem(said, n, "give_back", 9) == (offset == 5));
		objpool_result_free(&result);
		assert_int_equal(objpool_events(client) & POLLOUT, offset == 5 ? POLLOUT : 0);
		assert_int_equal(objpool_flush(client), 0);
		n = receive_described(fd, said, sizeof said, &described);
		assert_int_equal(n, offset == 5 ? 22 : 0);
		assert_memory_equal(said, offset == 5 ? "\x93\2\xb1objpool.give_back\x91" : "", n);
		objpool_close(client);
		close(fd);
		free(bytes);
	}
}

/* What can't be what it is said to be ends the connection; what has not the mark is a value. */
static void test_wrong_descriptors(void **state)
{
	char bytes[1000] = {0};
	unsigned char answer[22];
	struct objpool_result result;
	struct objpool_client *client;
	int fd;

	(void)state;
	for (int i = 0; i < 4; i++) {
		const int described = i == 0 ? -1 : filled_memfd(i == 1 ? 0 : F_SEAL_SHRINK, bytes, sizeof bytes);
		client = start_with_descriptors(&fd);
		send_described(fd, answer, write_answer(answer, MARK, 0, i == 2 ? 1001 : 1000), described);
		assert_int_equal(objpool_callf(client, "sim.x", &result, "[]"), i == 3 ? 0 : -EREMOTEIO);
		if (i < 3)
			assert_string_equal(result.error->code, "DISCONNECTED");
		objpool_result_free(&result);
		objpool_close(client);
		close(fd);
	}
	client = start_with_descriptors(&fd);
	send_described(fd, answer, write_answer(answer, MARK + 1, 0, 1000), -1);
	assert_int_equal(objpool_callf(client, "sim.x", &result, "[]"), 0);
	assert_int_equal(result.value.size, 18);
	assert_memory_equal(result.value.data, answer + 4, 18);
	objpool_result_free(&result);
	objpool_close(client);
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_descriptors_leave_with_their_message),
		cmocka_unit_test(test_memory_of_arguments_is_used_again_after_a_success_only),
		cmocka_unit_test(test_results_by_descriptor),
		cmocka_unit_test(test_wrong_descriptors),
	};

	return cmocka_run_group_tests_name("client payloads", tests, NULL, NULL);
}
