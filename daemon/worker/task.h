/* SPDX-License-Identifier: Apache-2.0 */
/*
 * task: runs one method of the instance: arguments from bytes to objects, the call itself, and what becomes of what it
 * wrote: exactly one value, or an error with a sentence.
 */
#ifndef WORKER_TASK_H
#define WORKER_TASK_H

#include "daemon/worker/plugin.h"
#include "daemon/worker/reply.h"
#include "proto/channel.h"
#include "proto/read.h"

enum { TASK_SHORT_ERROR = 64 };

/* An error, copied from what a method said. `code` is NULL when there is none. */
struct task_error {
	const char *code;
	const char *ran;
	char *message, *type, *traceback;
	void *data;
	size_t data_size;
	bool no_memory; /* there was no memory to keep all of the error: all of it is dropped */
};

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
	struct task_error error;
};

/* What a class has said of itself with objpool_describe. */
struct task_described {
	bool given;
	uint32_t hooks;
	char *doc, *signature;
};

struct deferrals;
struct invoker;
struct files;
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
	struct files *files;   /* what values of the arguments stand for; NULL: nothing */
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
	struct invoker *invoker; /* NULL: nothing can be called */
	struct task_described described;
	struct deferrals *deferrals; /* NULL: nothing can be deferred */
	uint64_t deferred_tag; /* the method has deferred the call; 0: not */
};

/* A method by name, remembered: batches and pipelined calls name the same one again and again. */
struct task_method {
	struct objpool_method method; /* .call NULL: the class has none of that name */
	bool dispatched;              /* by the catch-all */
};

/* The task that the call is, or NULL: it is one that was deferred. */
static inline struct task *task_of(const struct objpool_call *call)
{
	return ((const struct task_handle *)call)->task;
}

int task_init(struct task *task, const struct plugin *plugin, struct reply *reply, struct board *board);

void task_free(struct task *task);

/* Finds the method; `name` must stay valid as long as `found` is used. */
void task_find(const struct task *task, const char *name, struct task_method *found);

/* Empties the arguments; adds positional ones and keywords. 0, or -1 with the error set. */
void task_clear(struct task *task);
int task_add_array(struct task *task, struct span array);
int task_add_value(struct task *task, struct reader *reader);
int task_add_map(struct task *task, struct span map);
int task_add_keyword(struct task *task, struct span key, struct reader *reader);

/* Calls the method. Its value is at the end of the reply, not sealed; 1: it was deferred; or -1 with the error set and nothing
 * written. */
int task_run(struct task *task, const struct task_method *method);

/* The class writes one value: its instance's state. As task_run. */
int task_write(struct task *task, int (*write)(void *self, struct objpool_call *call, msgpack_packer *packer));

/* Constructor, and the class's preload. 0, or -1 with the error set. */
int task_create(struct task *task);
int task_preload(struct task *task);

/* A function of the class has returned `r`: 0; or -1 with the error set, by the function, or here with `what` as its name. */
int task_outcome(struct task *task, const char *what, int r);

/* Sets the error, as objpool_fail would; ran: "no" or "yes". */
__attribute__((format(printf, 4, 5)))
int task_fail(struct task *task, const char *code, const char *ran, const char *format, ...);

/* What came beside the call can't be mapped. */
int task_no_map(struct task *task);

/* The same for the error of any call. */
__attribute__((format(printf, 4, 5)))
void task_set_error(struct task_error *error, const char *code, const char *ran, const char *format, ...);
void task_forget_error(struct task_error *error);

/* The error's message, for people. */
const char *task_message(const struct task_error *error);

/* Writes the error as in proto/channel.h, and forgets it. When there is no memory for it, writes a short error instead. */
void task_put_error(struct task *task);

/* The same for other packers, without forgetting. task_pack_short_error needs TASK_SHORT_ERROR bytes at most. */
void task_pack_error(const struct task_error *error, msgpack_packer *packer);
void task_pack_short_error(const struct task_error *error, msgpack_packer *packer);

#endif
