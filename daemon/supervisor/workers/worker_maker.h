/* SPDX-License-Identifier: Apache-2.0 */
/*
 * worker_maker: how a template gets its process, and how workers come from it and end. There are three ways, and each is a
 * table in a file of its own: worker_maker_forked, worker_maker_threads, worker_maker_program. template_new chooses one.
 * Whoever acts on a template or a worker asks its table, and not which of the three it is.
 */
#ifndef SUPERVISOR_WORKER_MAKER_H
#define SUPERVISOR_WORKER_MAKER_H

#include <stdbool.h>

struct template;
struct worker;

struct worker_maker {
	const char *name; /* in status */
	/* The process stays the parent of its workers: it tells how they end, and they die with it. If it isn't, they are
	 * children of the supervisor, which waits for them and kills their groups. */
	bool is_parent;
	/* The workers are threads of the process, and end with it. */
	bool has_threads;

	/* Gets the process, and has it load the plugin. If that can't be, it has called template_fail. */
	void (*start)(struct template *template);
	/* Ends a worker that has a pid. */
	void (*kill)(struct template *template, struct worker *worker);
	/* A worker has ended before it was ready. NULL: that is no fault of the process. */
	void (*on_start_failed)(struct template *template, const struct worker *worker);
	/* The process has closed its channel. */
	void (*on_channel_end)(struct template *template);
	/* The process has not told of a worker's fork or end for TEMPLATE_PATIENCE. */
	void (*on_silence)(struct template *template);
	/* The process has ended, and has been waited for. NULL: it is no child of the supervisor. */
	void (*on_exit)(struct template *template, int status);
};

#endif
