/* SPDX-License-Identifier: Apache-2.0 */
/* procfs: what the kernel counts for a process. It is read when a client asks for it, at most twice a second for each process. */
#ifndef SUPERVISOR_PROCFS_H
#define SUPERVISOR_PROCFS_H

#include <stddef.h>
#include <stdint.h>

struct procfs {
	uint64_t rss; /* bytes of memory that it has */
	uint64_t
		own; /* of these, bytes of its own: not of files or of mappings that it shares with others */
	double cpu_s; /* seconds that its threads ran, in user and system mode */
};

/* Reads as much of a file below /proc or /sys as fits. The text is "" if the file can't be read. */
void procfs_slurp(const char *path, char *text, size_t size);

/* All 0 for pid 0, and for a process that has gone. */
struct procfs procfs_read(int64_t pid);

/* What was read of a process, and when. Begins as zeros. */
struct procfs_memo {
	struct procfs known;
	int64_t pid;
	uint64_t until; /* until when it is used instead of reading again */
};

/* As procfs_read, but reads at most twice a second. `now` is in nanoseconds. */
struct procfs procfs_recall(struct procfs_memo *memo, int64_t pid, uint64_t now);

#endif
