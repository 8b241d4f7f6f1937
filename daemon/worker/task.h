/* SPDX-License-Identifier: Apache-2.0 */
/*
 * task: the method call that the instance is at: its arguments, from bytes to objects, where its result goes, and its error.
 */
#ifndef WORKER_TASK_H
#define WORKER_TASK_H

#include "daemon/worker/method_error.h"
#include "daemon/worker/plugin_load.h"
#include "daemon/worker/reply.h"
#include "proto/channel.h"
#include "proto/read.h"
#include "proto/timers.h"

/* Arguments as objects; they refer to the message they came in. */
struct task_args {
	msgpack_object *values;
	msgpack_object_kv *kwargs;
	uint32_t count, room, kwcount, kwroom;
};

/* What the functions of a class are called with, and what they say with objpool_fail. */
struct task_handle {
	struct objpool_call call;
	struct task *task;       /* NULL: it has been deferred */
	struct method_error error;
};

/* What a class has said of itself with objpool_describe. */
struct task_described {
	bool given;
	uint32_t hooks;
	char *doc, *signature;
};

struct deferrals;
struct inbox;
struct invoker;
struct worker_files;
struct mappings;

/* The task at hand. The handle is first: the host's functions get at the rest from it. */
struct task {
	struct task_handle handle;
	struct objpool_place place;
	const struct plugin *plugin;
	void *self;
	struct board *board;
	uint32_t id;           /* of the batch */
	struct task_args args;
	struct mappings *mappings; /* where arguments may lie */
	struct worker_files *files;   /* what values of the arguments stand for; NULL: nothing */
	msgpack_zone zone;
	msgpack_packer packer; /* writes to *reply */
	struct reply *reply;
	uint64_t max_result;
	bool wants_progress;   /* the caller does */
	uint64_t progress_at;  /* when it was last told, CLOCK_MONOTONIC */
	bool progress_ended;   /* told that all is done */
	bool single;           /* it is a batch of its own */
	bool wants_values;     /* the caller takes what the method yields */
	uint64_t yielded;      /* bytes that it has yielded and that are not taken */
	struct inbox *inbox;     /* where a method that waits gets messages from */
	struct invoker *invoker; /* NULL: nothing can be called or yielded */
	struct task_described described;
	struct deferrals *deferrals; /* NULL: nothing can be deferred */
	uint64_t deferred_tag; /* the method has deferred the call; 0: not */
};

/* The task that the call is, or NULL: it is one that was deferred. */
static inline struct task *task_of(const struct objpool_call *call)
{
	return container_of(call, const struct task_handle, call)->task;
}

int task_init(struct task *task, const struct plugin *plugin, const struct objpool_host *host, struct reply *reply,
	      struct board *board);

void task_free(struct task *task);

/* Empties the arguments; adds positional ones and keywords. 0, or -1 with the error set. */
void task_clear(struct task *task);
int task_add_array(struct task *task, struct span array);
int task_add_value(struct task *task, struct reader *reader);
int task_add_map(struct task *task, struct span map);
int task_add_keyword(struct task *task, struct span key, struct reader *reader);

/* Sets the error, as objpool_fail would; ran: "no" or "yes". */
__attribute__((format(printf, 4, 5)))
int task_fail(struct task *task, const char *code, const char *ran, const char *format, ...);

/* The same for want of memory; and when what came beside the call can't be mapped. */
int task_no_memory(struct task *task, const char *ran);
int task_no_map(struct task *task);

/* Writes the error as in proto/channel.h, and forgets it. When there is no memory for it, writes a short error instead. */
void task_put_error(struct task *task);

#endif
