/* SPDX-License-Identifier: Apache-2.0 */
/*
 * python: classes written in Python. The plugin embeds CPython; its one class, "*", takes `module:Class`.
 *
 *   class.c        the class's functions: preload, create, dispatch, …
 *   interpreter.c  CPython: started in the template, through the forks, its lock
 *   read.c         makes Python objects of msgpack objects
 *   memory.c       the memory that arrays lie in
 *   write.c        packs Python objects
 *   failure.c      makes errors of calls from exceptions
 *   handle.c       the module _objpool, with which Python code asks about the running call
 *   later.c        calls that a method leaves unanswered
 *   cancel.c       raises an exception in a method that nobody waits for any more
 *   concurrent.c   calls of `async def` methods, many at once
 *   host/          the part that is written in Python, compiled into the plugin. C calls the functions of its __init__.py
 *   forked/        all this and the worker image as a module, with which a process of a Python program becomes a template
 *
 * A function that returns an int returns 0, or -1 with a Python exception set, unless it says otherwise.
 */
#ifndef PYTHON_PYTHON_H
#define PYTHON_PYTHON_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <objpool/plugin.h>

#if PY_VERSION_HEX < 0x030a0000
static inline PyObject *Py_NewRef(PyObject *object)
{
	Py_INCREF(object);
	return object;
}

static inline int PyModule_AddObjectRef(PyObject *module, const char *name, PyObject *value)
{
	return PyObject_SetAttrString(module, name, value);
}
#endif

enum { EXT_TIMESTAMP = -1, EXT_OBJECT = 80, EXT_ARRAY = 81, DEEPEST = 32 };

/* ---- interpreter.c ---- */

/* Starts CPython in this process, with host/ and _objpool in it. 0; -1: it has failed the call. */
int interpreter_start(struct objpool_call *call);

/* The same where the interpreter runs already: in a program whose forks will be templates (in_program), or in a Python that was
 * started to be one. Does nothing the second time. 0, or -1 with an exception set. */
int interpreter_adopt(bool in_program);

/* From now on a fork of this process is a fork of the interpreter. */
void interpreter_forks(void);

/* In the worker: its forks are its own affair. */
void interpreter_is_worker(void);

/* Call this at an orderly end. It does not end the interpreter, which would only take time. */
void interpreter_end(void);

/* Takes the interpreter's lock, if interpreter_idle has released it. */
void interpreter_enter(void);
void interpreter_idle(void);

/* In a child that Python code has forked, maybe on another thread than the one that had released the lock: the child has it. */
void interpreter_was_forked(void);

/* Calls a function of host/__init__.py. A new reference, or NULL with an exception set. */
PyObject *host_call(const char *function, const char *format, ...);

/* ---- read.c ---- */

extern bool may_pickle;     /* the pool's `unpickle` */
extern uint64_t max_result; /* the daemon's max_message */

/* A new reference, or NULL with an exception set. */
PyObject *read_object(const msgpack_object *object, bool unpickle);

/* The same for an argument of the call: arrays may use the call's own bytes, until memory_end. */
PyObject *read_argument(struct objpool_call *call, const msgpack_object *object, bool unpickle);

/* ---- memory.c ---- */

/* An object with these bytes. It has a copy of them if there is no call, or if the call's bytes can't be kept. */
PyObject *memory_of(struct objpool_call *call, const char *bytes, size_t size);

/* Keeps the bytes of the call that are still in use: the call is about to end. */
void memory_end(struct objpool_call *call);

/* ---- write.c ---- */

/* Writes what a method has returned. The items of an iterator go one by one to a caller that streams; otherwise they become an
 * array of about `limit` bytes at most. */
int write_result(struct objpool_call *call, PyObject *value, msgpack_packer *packer, bool pickle, uint64_t limit);
int write_object(PyObject *value, msgpack_packer *packer, bool pickle);

/* The same for a value that lies `depth` levels deep in what is sent. */
int write_item(PyObject *value, msgpack_packer *packer, bool pickle, int depth);

/* The packed value, as bytes. NULL with an exception set. */
PyObject *write_bytes(PyObject *value, bool pickle);

/* The same for a list of values. */
PyObject *write_arguments(PyObject *list, bool pickle);
void write_text(msgpack_packer *packer, const char *text);

/* ---- failure.c ---- */

/* Fails the call with the exception that is set, and clears it. Returns -1. */
int fail_with_exception(struct objpool_call *call);

/* Prints the exception that is set, and clears it. Unlike PyErr_Print it does not end the process for SystemExit: that is for a
 * method's caller to be told, not for others' calls to die of. */
void failure_print(void);

/* To be called after Python code. In a child that the code has forked it ends the process, with the exception that is set, if
 * any. */
void end_if_forked(void);

/* The same with a code, and the message "context: Type: message". */
int fail_with_words(struct objpool_call *call, const char *code, const char *context);

/* ---- handle.c ---- */

PyMODINIT_FUNC handle_module(void);

/* Sets the running call, while Python code runs for it. Returns the call before. */
struct objpool_call *handle_set(struct objpool_call *call);
const struct objpool_call *handle_running(void);

/* Declares that this process is a worker. It may have been a fork of a worker: a method can make a pool from forks of its
 * worker. */
void handle_is_worker(void);

/* Is this a process that the worker's Python has forked? */
bool handle_is_forked(void);

/* ---- later.c ---- */

/* Puts off the answer of the running method's call. `on_event`: a callable, or None. `wake_at`: seconds of time.monotonic(), or
 * 0. A new reference to a Deferred, or to None: it can't be put off. NULL with an exception set. */
PyObject *later_new(struct objpool_call *call, PyObject *on_event, double wake_at);

/* To be called after each method: has it put its answer off? `failed`: it has raised an exception after all. */
bool later_was_made(bool failed);

void later_happened(struct objpool_call *call, enum objpool_event event);

/* ---- concurrent.c ---- */

/* Adds what host/coroutines.py needs to the module _objpool. */
int concurrent_init(PyObject *module);

/* The method has returned `work`, a coroutine or an asynchronous generator: puts its call off, and starts it. 1; 0: the call
 * can't be put off; -1: it has set an exception. */
int concurrent_begin(struct objpool_call *call, PyObject *work);

/* Has concurrent_begin put the call off? */
bool concurrent_is(const struct objpool_call *deferred);

/* Something happened to it. */
void concurrent_event(struct objpool_call *call, enum objpool_event event);

/* Has the loop do what there is to do. */
void concurrent_step(void);

/* Python code has run: tells the worker what the loop waits for. `soon`: it will run, and may give the loop something to do. */
void concurrent_watch(struct objpool_call *call, bool soon);

/* Ends what is under way and nobody waits for. */
int concurrent_settle(void);

/* Has calls that have been cancelled get the exception for that, which otherwise comes with the next step. */
void concurrent_tell_cancelled(void);

/* Is the Python code that runs that of a call which was put off? Then *call is this call, or NULL if it has been answered. */
bool concurrent_current(struct objpool_call **call);

/* The same: has this call been cancelled? Must an exception be raised in it now, since it has been cancelled? */
bool concurrent_is_cancelled(bool *cancelled);
bool concurrent_interrupts(bool *interrupts);

/* ---- cancel.c ---- */

/* Starts the thread that watches this process's calls, if the pool has a cancel_grace. */
int cancel_start(struct objpool_call *call);

/* To be called when a call begins, on the main thread. */
void cancel_begin(void);

/* Likewise when a step of the event loop begins, and ends. */
void cancel_begin_step(void);
void cancel_end_step(void);

#endif
