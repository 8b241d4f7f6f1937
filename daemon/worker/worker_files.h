/* SPDX-License-Identifier: Apache-2.0 */
/*
 * worker_files: the files whose descriptors came with a message, and the memory where they are mapped.
 *
 * A mapping stays for a while after the last message that used it, to be used again for the same file: senders fill the same
 * files again and again, and mapped pages are warm.
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
	bool kept;       /* some pages are, or may be, copies: it no longer shows the file */
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

/* Takes a descriptor from the front of the queue for each number in a packed array. NULL: there are too few, or no memory. */
struct worker_files *worker_files_new(struct mappings *mappings, struct arrivals *arrivals, struct span numbers);

/* Closes them. Accepts NULL; returns NULL. */
struct worker_files *worker_files_free(struct worker_files *files);

/* Takes the descriptor of the only file, which is not mapped: a socket. -1: there is none. */
int worker_files_take(struct worker_files *files);

/* If *value is an ext PAYLOAD_VALUES, sets it to the values that the ext stands for. 1: done; 0: it is no such ext; -EINVAL: the
 * values can't be mapped. */
int worker_files_values(struct worker_files *files, struct span *value);

/* Makes a bin or ext of each reference in the object, at any depth. 0 or -EINVAL. Files may be NULL. */
int worker_files_bytes(struct worker_files *files, msgpack_object *object);

/* For objpool_keep: keeps bytes of arguments. NULL: they lie in no file, or there is no memory. */
struct mapping *worker_files_keep(struct mappings *mappings, const void *bytes, size_t size);
void worker_files_unkeep(struct mapping *mapping);
bool worker_files_can_keep(const struct mappings *mappings, const void *bytes, size_t size);

/* For objpool_private: maps bytes of this message's files once more. NULL: they lie in no file, or there is no memory. Files may
 * be NULL. */
struct mapping *worker_files_private(struct worker_files *files, const void *bytes, size_t size, void **view);

/* Unmaps what has not been used for some seconds. */
void mappings_tidy(struct mappings *mappings, uint64_t now);

/* Unmaps all that no message uses. What is kept stays. */
void mappings_clear(struct mappings *mappings);

#endif
