/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/supervisor/connections/client_files.h"

#include "daemon/supervisor/base/closer.h"
#include "proto/payload.h"
#include "proto/payload_ref.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/random.h>
#include <unistd.h>

void client_files_offer(struct client *client, struct intake *intake, bool fds)
{
	if (client->core->limits.payload_min == 0 || client->fds)
		return; /* once said, it stays */
	client->fds = fds;
	if (!fds)
		return;
	while (client->fds_mark == 0)
		if (getrandom(&client->fds_mark, sizeof client->fds_mark, 0) < 0)
			client->fds_mark = 1 + (uint16_t)(client->id % UINT16_MAX);
	client->out.kept = &client->kept;
	intake_pass(intake);
}

/* The message in a block of its own: what stands for descriptors is rewritten there. */
static struct block *own_block(const struct client *client, struct span *message, struct block *block)
{
	if (block && block->fd >= 0)
		return block_ref(block); /* it lies there alone */
	struct block *own = block_new(client->account, message->size);
	if (!own)
		return NULL;
	memcpy(own->bytes, message->bytes, message->size);
	message->bytes = own->bytes;
	return own;
}

static int refuse(struct error *error, enum error_code code, const char *text)
{
	error_say(error, code, RAN_NO, "%s", text);
	return -EINVAL;
}

static int refuse_for_memory(struct error *error)
{
	error_no_memory(error, RAN_NO);
	return -EINVAL;
}

static const char wrong_kind[] = "a descriptor must be a memfd with F_SEAL_SHRINK that can be sealed with F_SEAL_GROW, and have "
				 "the bytes that are said to be there";

/* Makes the error for a descriptor that was closed when it came, or that is one too many of its message. */
static int refuse_one(struct core *core, int fd, struct error *error)
{
	if (fd == ARRIVAL_NO_MEMORY) {
		core->memory_refused++;
		return refuse(error, ERROR_OVERLOADED,
			      "with the file of a descriptor the session would hold more than its share of max_memory");
	}
	if (fd == ARRIVAL_FOREIGN)
		return refuse(error, ERROR_BAD_ARGUMENT, wrong_kind);
	if (fd == ARRIVAL_NO_ROOM)
		return refuse(error, ERROR_OVERLOADED,
			      "the daemon holds as many descriptors for this client, or for all, as it may (see LimitNOFILE=)");
	return refuse(error, ERROR_BAD_REQUEST, "more than 64 descriptors in a message");
}

/* Takes the descriptor. */
static int add(const struct client *client, struct block_files *files, int fd, const struct payload_ref *ref, struct error *error)
{
	struct block *file = NULL;

	if (ref->length > client->core->limits.max_message)
		error_say(error, ERROR_TOO_LARGE, RAN_NO, "a value in a descriptor is %llu bytes, over max_message = %llu bytes",
			  (unsigned long long)ref->length, (unsigned long long)client->core->limits.max_message);
	else if (ref->file > 0 || (ref->kind & ~0xffu) > PAYLOAD_EXT || payload_check(fd, ref->offset, ref->length) < 0)
		(void)refuse(error, ERROR_BAD_ARGUMENT, wrong_kind);
	else if (!(file = payload_of(fd, client->account, closer_put)))
		return refuse_for_memory(error);
	if (!file) {
		(void)close(fd);
		return -EINVAL;
	}
	files->file[files->count++] = file;
	return 0;
}

/* Every value takes its descriptor, also when another was wrong: the next message's come behind them. */
static int take_all(const struct client *client, struct intake *intake, struct block_files *files, struct span message,
		    struct error *error)
{
	struct reader reader = reader_of(message);
	struct payload_ref ref;
	int r = 0;

	while (read_find_ref(&reader, &ref)) {
		const int fd = arrivals_take(&intake->arrivals);
		if (fd == -1)
			return refuse(error, ERROR_BAD_REQUEST, "fewer descriptors came than values that stand for them");
		const uint32_t number = files->count;
		if (r < 0 || fd < 0 || number == PAYLOAD_FILES) {
			r = r < 0 ? r : refuse_one(client->core, fd, error);
			if (fd >= 0)
				(void)close(fd);
			continue;
		}
		r = add(client, files, fd, &ref, error);
		ref.file = number;
		payload_write_ref((uint8_t *)(uintptr_t)reader.p - PAYLOAD_REF, PAYLOAD_BYTES, ref);
	}
	return r;
}

int client_files_take(struct client *client, struct intake *intake, struct span *message, struct block **block,
		      struct error *error)
{
	const uint32_t count = intake->refs;

	arrivals_drop(&intake->arrivals, intake->begins); /* more than the messages before had values for */
	if (count == 0)
		return 0;
	struct block *own = own_block(client, message, *block);
	struct block_files *files = malloc(sizeof *files + PAYLOAD_FILES * sizeof(struct block *));
	if (own && files) {
		files->count = 0;
		own->files = files;
		*block = own;
		return take_all(client, intake, files, *message, error) < 0 ? -EINVAL : 1;
	}
	free(files);
	*block = own;
	for (uint32_t i = 0; i < count; i++) {
		const int fd = arrivals_take(&intake->arrivals);
		if (fd >= 0)
			(void)close(fd);
	}
	return refuse_for_memory(error);
}

int client_files_on_give_back(struct client *client, struct span numbers)
{
	struct reader reader = reader_of(numbers);
	uint64_t number;
	uint32_t n;

	if (!client->fds || read_array(&reader, &n) < 0)
		return -EINVAL;
	for (; n > 0; n--) {
		if (read_uint(&reader, &number) < 0)
			return -EINVAL;
		(void)sendq_given_back(&client->kept, number);
	}
	return 0;
}
