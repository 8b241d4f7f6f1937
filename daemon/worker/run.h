/* SPDX-License-Identifier: Apache-2.0 */
/*
 * run: calls the functions of a class: its methods, its constructor, its hooks. Checks that each gives exactly one value, or an
 * error with a message.
 */
#ifndef WORKER_RUN_H
#define WORKER_RUN_H

#include "daemon/worker/task.h"

/* A method by name, remembered: batches and pipelined calls name the same one again and again. */
struct run_method {
	struct objpool_method method; /* .call and .many NULL: the class has none of that name */
};

/* Finds the method; `name` must stay valid as long as `found` is used. */
void run_find(const struct task *task, const char *name, struct run_method *found);

/* Calls the method with the task's arguments. 0: its value is at the end of the reply, not sealed; 1: the call was deferred; -1:
 * the error is set, and nothing is written. */
int run_method(struct task *task, const struct run_method *method);

/* The parts of it, for a batch of tasks. run_prepare checks the arguments: 0, or -1 with the error set. Then the head of the
 * answer is written, and reply_mark is called. run_one calls the method for the task; run_many calls its objpool_many_fn for
 * the task and those that `next` gives after it. Both return what the method has returned for the last of them. run_finish gets
 * this, and returns what run_method returns. */
int run_prepare(struct task *task, const struct run_method *method);
int run_one(struct task *task, const struct run_method *method);
int run_many(struct task *task, const struct run_method *method, task_next_fn *next);
int run_finish(struct task *task, const struct run_method *method, int r);

/* Drops what a method has written, failed or deferred although there was no task for it any more. */
void run_drop(struct task *task);

/* Has the class write the state of its instance, one value. Returns what run_method returns. */
int run_snapshot(struct task *task);

/* Call the constructor, the class's preload, and its check with the task's arguments. 0, or -1 with the error set. */
int run_constructor(struct task *task);
int run_preload(struct task *task);
int run_check(struct task *task);

/* The function `name` of the class has returned `r`. 0; -1: it has failed. The error is then set, by the function or here. */
int run_outcome(struct task *task, const char *name, int r);

#endif
