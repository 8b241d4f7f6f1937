/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mapped_files: files of the daemon that are mapped here, with large values of results in them.
 *
 * The daemon fills the same files again and again. A mapping is kept for some seconds after its use, because its pages are
 * present: the first access to fresh pages costs several times as much as the copy.
 */
#ifndef CLIENT_C_MAPPED_FILES_H
#define CLIENT_C_MAPPED_FILES_H

#include "proto/payload_ref.h"

enum { MAPPED_FILES_KEPT = 8 };

struct mapped_file;

struct mapped_files {
	struct mapped_file *kept[MAPPED_FILES_KEPT];
	unsigned count;
};

/*
 * Maps the file that `ref` speaks of, or finds its mapping, and adds a reference for the caller. 0; -EBADMSG: the file does not
 * have these bytes, or is not sealed; -ENOMEM.
 */
int mapped_files_get(struct mapped_files *files, int fd, const struct payload_ref *ref, struct mapped_file **file);

/* Unmaps what no result has used for PAYLOAD_PATIENCE calls of this function. */
void mapped_files_trim(struct mapped_files *files);

/* Drops all; files that a result still refers to stay until mapped_file_unref. */
void mapped_files_clear(struct mapped_files *files);

/* The first byte of the file. */
const unsigned char *mapped_file_bytes(const struct mapped_file *file);

/* Drops a reference, on any thread. */
void mapped_file_unref(struct mapped_file *file);

#endif
