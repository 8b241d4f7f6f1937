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
	struct objpool_method method; /* .call NULL: the class has none of that name */
};

/* Finds the method; `name` must stay valid as long as `found` is used. */
void run_find(const struct task *task, const char *name, struct run_method *found);

/* Calls the method with the task's arguments. 0: its value is at the end of the reply, not sealed; 1: the call was deferred; -1:
 * the error is set, and nothing is written. */
int run_method(struct task *task, const struct run_method *method);

/* Has the class write the state of its instance, one value. Returns what run_method returns. */
int run_snapshot(struct task *task);

/* Call the constructor, the class's preload, and its check with the task's arguments. 0, or -1 with the error set. */
int run_constructor(struct task *task);
int run_preload(struct task *task);
int run_check(struct task *task);

/* The function `name` of the class has returned `r`. 0; -1: it has failed. The error is then set, by the function or here. */
int run_outcome(struct task *task, const char *name, int r);

#endif
