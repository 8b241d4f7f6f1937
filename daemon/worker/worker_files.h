/* SPDX-License-Identifier: Apache-2.0 */
/*
 * worker_files: what came with a message beside the socket, and the memory where it is mapped.
 *
 * A mapping is looked for by its file before a new one is made, and stays for a while after the last message that used
 * it: senders fill the same files again and again, and mapped pages are warm.
 */
#ifndef WORKER_WORKER_FILES_H
#define WORKER_WORKER_FILES_H

#include "proto/arrivals.h"
#include "proto/payload_ref.h"
#include "proto/read.h"

#include <msgpack.h>
#include <sys/queue.h>

enum { MAPPINGS = 8 };

struct mapping {
	dev_t device;
	ino_t inode;
	uint64_t start;  /* in the file */
	size_t size;
	const uint8_t *bytes;
	uint32_t users;  /* messages, and keeps */
	bool kept;       /* some of it is a copy now, or may be: it is no more what the file is */
	bool is_private; /* copy-on-write: its pages are the file's until they are written to */
	uint64_t used;   /* CLOCK_MONOTONIC, when the last one left */
	LIST_ENTRY(mapping) link; /* in mappings->busy, while somebody uses it */
	struct mappings *owner;
};

struct mappings {
	struct mapping *idle[MAPPINGS]; /* without users, the latest first */
	uint32_t count;
	LIST_HEAD(, mapping) busy;
};

struct worker_files;

/* The descriptors for the numbers in a packed array, from the front of the queue. NULL: there are not as many, or no memory. */
struct worker_files *worker_files_new(struct mappings *mappings, struct arrivals *arrivals, struct span numbers);

/* Closes them. Accepts NULL; returns NULL. */
struct worker_files *worker_files_free(struct worker_files *files);

/* Makes *value the values that it stands for if it is an ext PAYLOAD_VALUES. 1: it was; 0: it wasn't; -EINVAL: they can't be
 * mapped. */
int worker_files_values(struct worker_files *files, struct span *value);

/* Makes bins and exts of what stands for them, as deep as it may be. 0 or -EINVAL. Files may be NULL. */
int worker_files_bytes(struct worker_files *files, msgpack_object *object);

/* objpool_keep, for bytes of arguments: NULL when they lie in no file, or there is no memory. */
struct mapping *worker_files_keep(struct mappings *mappings, const void *bytes, size_t size);
void worker_files_unkeep(struct mapping *mapping);
bool worker_files_can_keep(const struct mappings *mappings, const void *bytes, size_t size);

/* objpool_private, for bytes of this message's files. NULL: they lie in none, or there is no memory. Files may be NULL. */
struct mapping *worker_files_private(struct worker_files *files, const void *bytes, size_t size, void **view);

/* Gives back what has not been used for some seconds. */
void mappings_tidy(struct mappings *mappings, uint64_t now);

/* Gives back all that no message uses; what is kept lives on. */
void mappings_clear(struct mappings *mappings);

#endif
