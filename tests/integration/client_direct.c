/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Calls p.add on direct channels, 16 at a time, from the program's own loop, until standard input ends. Prints a line for each
 * call that failed, and then how many were right.
 */
#include <objpool/client.h>

#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static struct {
	struct objpool_client *client;
	long right, wrong;
	bool ends;
} load;

static void call(long number);

static void on_answer(void *context, const struct objpool_result *result)
{
	static const char *const ran[] = {"unknown", "no", "maybe", "yes"};
	const long number = (long)context;
	struct objpool_reader reader = objpool_reader(result->value);
	int64_t sum;

	if (result->error)
		printf("%s %s %d\n", result->error->code, ran[result->error->ran], result->error->signal);
	else if (objpool_read_int(&reader, &sum) == 0 && sum == number + 1)
		load.right++;
	else
		load.wrong++;
	if (!load.ends)
		call(number + 1);
}

static void call(long number)
{
	struct objpool_packer args = OBJPOOL_PACKER_INIT;

	objpool_pack(&args, "[I i]", (int64_t)number, 1);
	if (objpool_call_async(load.client, "p.add", objpool_packed(&args), NULL, on_answer, (void *)number, NULL) < 0)
		load.wrong++;
	objpool_packer_free(&args);
}

/* One turn. Waits for the daemon, the workers, or the end of standard input. */
static int turn(void)
{
	struct pollfd fds[2] = {{.fd = objpool_fd(load.client), .events = objpool_events(load.client)},
				{.fd = load.ends ? -1 : STDIN_FILENO, .events = POLLIN}};

	if (poll(fds, 2, objpool_timeout_ms(load.client)) < 0 && errno != EINTR)
		return -errno;
	load.ends = load.ends || fds[1].revents;
	return objpool_dispatch(load.client, fds[0].revents);
}

int main(void)
{
	const struct objpool_connect_options options = {
		.size = sizeof options, .direct = getenv("RINGS") ? OBJPOOL_DIRECT_RINGS : OBJPOOL_DIRECT};

	if (objpool_connect(&load.client, NULL, &options) < 0)
		return 1;
	for (int i = 0; i < 16; i++)
		call(1000000L * i);
	int rc = 0;
	while (rc == 0 && (!load.ends || objpool_in_flight(load.client) > 0))
		rc = turn();
	printf("%ld right, %ld wrong, %d\n", load.right, load.wrong, rc);
	objpool_close(load.client);
	return 0;
}
