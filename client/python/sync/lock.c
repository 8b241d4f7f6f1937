/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Lock and RLock. The word says which process has it; the holder writes beside it which of its threads, and how often.
 */
#include "client/python/sync/sync.h"

#include <stddef.h>

struct shared {
	struct word word;
	uint64_t thread; /* of the holder */
	uint32_t count;
	uint32_t is_recursive;
};

struct lock {
	PyObject_HEAD struct block *block;
	struct shared *shared;
};

static struct shared *shared_of(PyObject *self)
{
	return ((struct lock *)self)->shared;
}

/* Lock(is_recursive), or Lock(block) */
static PyObject *lock_make(PyTypeObject *type, PyObject *args, PyObject *keywords)
{
	int is_recursive = 0;
	const bool is_new = PyTuple_GET_SIZE(args) == 1 && PyBool_Check(PyTuple_GET_ITEM(args, 0));

	if (keywords && PyDict_GET_SIZE(keywords))
		return PyErr_Format(PyExc_TypeError, "no keywords are taken");
	if (is_new && !PyArg_ParseTuple(args, "p", &is_recursive))
		return NULL;
	struct block *block = is_new ? block_new(sizeof(struct shared)) : block_from(args, sizeof(struct shared));
	struct lock *lock = block ? (struct lock *)type->tp_alloc(type, 0) : NULL;
	if (!lock) {
		Py_XDECREF((PyObject *)block);
		return NULL;
	}
	lock->block = block;
	lock->shared = block_memory(block);
	if (is_new)
		lock->shared->is_recursive = (uint32_t)is_recursive;
	return (PyObject *)lock;
}

static void lock_dealloc(PyObject *self)
{
	PyTypeObject *type = Py_TYPE(self);

	Py_DECREF((PyObject *)((struct lock *)self)->block);
	type->tp_free(self);
}

static bool is_mine(struct shared *shared)
{
	return word_holder(&shared->word) == identity_self() && shared->thread == PyThread_get_thread_ident();
}

/* The holder before has died. Returns -1 if the warning is an error: then it isn't taken. */
static int tell_abandoned(struct shared *shared)
{
	if (PyErr_WarnEx(
		    PyExc_RuntimeWarning,
		    "the process that held this lock has ended without releasing it: what the lock protects may be half done",
		    1) == 0)
		return 0;
	shared->thread = shared->count = 0;
	(void)word_release(&shared->word);
	return -1;
}

static PyObject *acquire_until(PyObject *self, int64_t deadline)
{
	struct shared *shared = shared_of(self);

	if (shared->is_recursive && is_mine(shared)) {
		shared->count++;
		return Py_NewRef(Py_True);
	}
	const enum taken taken = word_take(&shared->word, deadline, ((struct lock *)self)->block->arena->is_foreign);
	if (taken == FAILED)
		return NULL;
	if (taken == NOT_TAKEN)
		return Py_NewRef(Py_False);
	shared->thread = PyThread_get_thread_ident();
	shared->count = 1;
	if (taken == TAKEN_OVER && tell_abandoned(shared) < 0)
		return NULL;
	return Py_NewRef(Py_True);
}

static PyObject *lock_acquire(PyObject *self, PyObject *const *args, Py_ssize_t count, PyObject *names)
{
	const int64_t deadline = count || names ? deadline_of(args, count, names) : NEVER;

	return deadline < 0 ? NULL : acquire_until(self, deadline);
}

/* True: it was taken over from a process that has ended. */
static PyObject *lock_take(PyObject *self, PyObject *unused)
{
	struct shared *shared = shared_of(self);

	if (shared->is_recursive && is_mine(shared)) {
		shared->count++;
		return Py_NewRef(Py_False);
	}
	const enum taken taken = word_take(&shared->word, NEVER, ((struct lock *)self)->block->arena->is_foreign);

	(void)unused;
	if (taken == FAILED)
		return NULL;
	shared->thread = PyThread_get_thread_ident();
	shared->count = 1;
	return PyBool_FromLong(taken == TAKEN_OVER);
}

static PyObject *lock_enter(PyObject *self, PyObject *unused)
{
	(void)unused;
	return acquire_until(self, NEVER);
}

static PyObject *lock_release(PyObject *self, PyObject *unused)
{
	struct shared *shared = shared_of(self);

	(void)unused;
	if (shared->is_recursive) {
		if (!is_mine(shared))
			return PyErr_Format(PyExc_AssertionError, "attempt to release recursive lock not owned by thread");
		if (shared->count > 1) {
			shared->count--;
			return Py_NewRef(Py_None);
		}
	}
	if (!word_holder(&shared->word))
		return PyErr_Format(PyExc_ValueError, "semaphore or lock released too many times");
	shared->thread = shared->count = 0;
	if (!word_release(&shared->word))
		return PyErr_Format(PyExc_ValueError, "semaphore or lock released too many times");
	return Py_NewRef(Py_None);
}

static PyObject *lock_exit(PyObject *self, PyObject *const *args, Py_ssize_t count)
{
	(void)args, (void)count;
	return lock_release(self, NULL);
}

static bool is_free(struct lock *lock)
{
	const uint64_t holder = word_holder(&lock->shared->word);

	return !holder || (!lock->block->arena->is_foreign && identity_is_dead(holder));
}

static PyObject *lock_value(PyObject *self, PyObject *unused)
{
	(void)unused;
	return PyLong_FromLong(is_free((struct lock *)self));
}

static PyObject *lock_is_orphaned(PyObject *self, PyObject *unused)
{
	(void)unused;
	return PyBool_FromLong(word_holder(&shared_of(self)->word) && is_free((struct lock *)self));
}

static PyObject *lock_is_zero(PyObject *self, PyObject *unused)
{
	(void)unused;
	return PyBool_FromLong(!is_free((struct lock *)self));
}

static PyObject *lock_count(PyObject *self, PyObject *unused)
{
	struct shared *shared = shared_of(self);

	(void)unused;
	return PyLong_FromUnsignedLong(word_holder(&shared->word) == identity_self() ? shared->count : 0);
}

static PyObject *lock_is_mine(PyObject *self, PyObject *unused)
{
	(void)unused;
	return PyBool_FromLong(is_mine(shared_of(self)));
}

static PyObject *lock_arguments(PyObject *self, PyObject *unused)
{
	(void)unused;
	return PyTuple_Pack(1, ((struct lock *)self)->block);
}

static PyObject *lock_abandoned(PyObject *self, void *unused)
{
	(void)unused;
	return PyBool_FromLong((atomic_load(&shared_of(self)->word.value) & ABANDONED) != 0);
}

static PyMethodDef methods[] = {
	{"acquire", (PyCFunction)(void (*)(void))lock_acquire, METH_FASTCALL | METH_KEYWORDS,
	 "acquire(block=True, timeout=None): returns True once it is held, False if it is not held by then."},
	{"release", lock_release, METH_NOARGS, "release(): a Lock may be released by any process."},
	{"__enter__", lock_enter, METH_NOARGS, NULL},
	{"__exit__", (PyCFunction)(void (*)(void))lock_exit, METH_FASTCALL, NULL},
	{"_take", lock_take, METH_NOARGS,
	 "Acquires it, without a warning. True: it was taken over from a process that has ended."},
	{"_is_orphaned", lock_is_orphaned, METH_NOARGS, "Whether the process that holds it has ended."},
	{"_count", lock_count, METH_NOARGS, "How often this process holds it."},
	{"_is_mine", lock_is_mine, METH_NOARGS, "Whether this thread holds it."},
	{"_get_value", lock_value, METH_NOARGS, "1 if it is free, else 0."},
	{"_is_zero", lock_is_zero, METH_NOARGS, "Whether it is held."},
	{"_arguments", lock_arguments, METH_NOARGS, "What makes it in another process."},
	{NULL, NULL, 0, NULL},
};

static PyGetSetDef attributes[] = {
	{"abandoned", lock_abandoned, NULL,
	 "True from an acquire that took it over from a process that has ended, until it is released.", NULL},
	{NULL, NULL, NULL, NULL, NULL},
};

PyTypeObject lock_type = {
	PyVarObject_HEAD_INIT(NULL, 0).tp_name = "objpool_sync.Lock",
	.tp_basicsize = sizeof(struct lock),
	.tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE,
	.tp_doc = "Lock(is_recursive), Lock(block)",
	.tp_dealloc = lock_dealloc,
	.tp_methods = methods,
	.tp_getset = attributes,
	.tp_new = lock_make,
};
