/* SPDX-License-Identifier: Apache-2.0 */
/*
 * task: the call of a method that the instance runs: its arguments, made objects, where its result goes, and its error.
 */
#ifndef WORKER_TASK_H
#define WORKER_TASK_H

#include "daemon/worker/method_error.h"
#include "daemon/worker/plugin_load.h"
#include "daemon/worker/reply.h"
#include "proto/channel.h"
#include "proto/read.h"
#include "proto/timers.h"
#include "proto/traceparent.h"

/* Arguments as objects. They refer to the message that they came in. */
struct task_args {
	msgpack_object *values;
	msgpack_object_kv *kwargs;
	uint32_t count, room, kwcount, kwroom;
};

/* The objpool_call that the functions of a class get, and the error that they set with objpool_fail. */
struct task_handle {
	struct objpool_call call;
	struct task *task;       /* NULL: the call has been deferred */
	struct method_error error;
};

/* What a caller has been told of how far its call is. */
struct task_progress {
	bool wanted;
	bool ended;  /* it was told that all is done */
	uint64_t at; /* when it was last told, CLOCK_MONOTONIC */
};

/* What a class has told with objpool_describe. */
struct task_described {
	bool given;
	uint32_t hooks;
	char *doc, *signature;
	char **types; /* ends with NULL; NULL: it has told none */
};

struct deferrals;
struct direct_call;
struct inbox;
struct invoker;
struct many;
struct watch;
struct worker_files;
struct mappings;

struct task;
typedef const struct objpool_args *task_next_fn(struct task *task);

/* The host's functions find the task by its handle (task_of). */
struct task {
	struct task_handle handle;
	struct objpool_place place;
	const struct plugin *plugin;
	void *self;
	struct board *board;
	uint32_t id;           /* of the batch */
	struct task_args args;
	struct objpool_args given; /* the same, as a method gets them */
	bool uses_zone;        /* some of them lie in `zone` */
	task_next_fn *next;    /* while an objpool_many_fn runs: gives the item after this one */
	bool asked;            /* it has asked for the item that runs */
	struct many *many;     /* the batch that it runs, for `next` */
	struct mappings *mappings; /* where arguments may lie */
	struct worker_files *files;   /* what values of the arguments stand for; NULL: nothing */
	msgpack_zone zone;
	msgpack_packer packer; /* writes to *reply */
	struct reply *reply;
	uint64_t max_result;
	struct task_progress progress;
	bool single;           /* the task is a batch of its own */
	bool wants_values;     /* the caller takes what the method yields */
	uint64_t yielded;      /* bytes that it has yielded and that are not taken */
	char traceparent[TRACEPARENT + 1]; /* the trace that its call belongs to; "": none */
	struct inbox *inbox;     /* where a method that waits gets messages from */
	struct invoker *invoker; /* NULL: nothing can be called or yielded */
	struct task_described described;
	struct watch *watch;   /* NULL: nothing can be watched */
	struct deferrals *deferrals; /* NULL: nothing can be deferred */
	struct direct_call *direct; /* it came on a direct channel; NULL: from the supervisor */
	uint64_t deferred_tag; /* the method has deferred the call; 0: not */
};

/* The task that this call belongs to. NULL: the call has been deferred. */
static inline struct task *task_of(const struct objpool_call *call)
{
	return container_of(call, const struct task_handle, call)->task;
}

int task_init(struct task *task, const struct plugin *plugin, const struct objpool_host *host, struct reply *reply,
	      struct board *board);

void task_free(struct task *task);

/* A copy of the texts, which end with NULL. NULL: there are none, or there is no memory. */
char **task_copy_list(const char *const *texts);

/* Forgets what the class has told with objpool_describe. */
void task_forget_description(struct task *task);

/* A batch begins: its method may tell no progress and yield nothing, unless that is allowed afterwards. `single`: each task is a
 * call of its own. */
void task_begin(struct task *task, bool single);

/* The call belongs to that trace. -1: it is no traceparent. */
int task_trace_by(struct task *task, struct span text);

/* Empty the arguments; add positional ones and keywords. 0, or -1 with the error set. */
void task_clear(struct task *task);
int task_add_array(struct task *task, struct span array);
int task_add_values(struct task *task, struct reader *reader); /* of the array that comes next */
int task_add_value(struct task *task, struct reader *reader);
int task_add_map(struct task *task, struct span map);
int task_add_keyword(struct task *task, struct span key, struct reader *reader);

/* Sets the error, as objpool_fail would; ran: "no" or "yes". */
__attribute__((format(printf, 4, 5)))
int task_fail(struct task *task, const char *code, const char *ran, const char *format, ...);

/* The same if there is no memory, and if a file that came with the call can't be mapped. */
int task_no_memory(struct task *task, const char *ran);
int task_no_map(struct task *task);

/* Writes the error as proto/channel.h draws it, and forgets it. Writes a short error instead if there is no memory for it. */
void task_put_error(struct task *task);

#endif
