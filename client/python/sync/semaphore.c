/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Semaphore and BoundedSemaphore.
 *
 * `total` and what each process holds are what is true; `value`, what is left, is derived:
 *
 *   acquire                          holds + 1
 *   release by one who holds         holds - 1
 *   release by one who does not      another's holds - 1; if nobody holds any, total + 1
 *   the end of a process             its entry is removed
 *
 * A semaphore that begins with 0 counts events: what is acquired is used up, so nobody holds any of it, and nothing is given
 * back. Its value is all there is.
 */
#include "client/python/sync/sync.h"

#include <limits.h>
#include <stddef.h>

struct shared {
	struct word guard;
	uint32_t value;
	uint32_t releases; /* the futex of those who wait */
	uint32_t total;
	uint32_t max;
	uint32_t is_waited_for;
	uint32_t counts_events;
	uint32_t given_back; /* by the dead, and not acquired since */
	struct holders holders;
};

struct semaphore {
	PyObject_HEAD struct block *block;
	struct shared *shared;
	bool abandoned;
};

static struct shared *shared_of(PyObject *self)
{
	return ((struct semaphore *)self)->shared;
}

static bool is_foreign(PyObject *self)
{
	return ((struct semaphore *)self)->block->arena->is_foreign;
}

/* Semaphore(value, max), or Semaphore(block) */
static PyObject *semaphore_make(PyTypeObject *type, PyObject *args, PyObject *keywords)
{
	long long value = 0, max = 0;
	const bool is_new = PyTuple_GET_SIZE(args) == 2;

	if (keywords && PyDict_GET_SIZE(keywords))
		return PyErr_Format(PyExc_TypeError, "no keywords are taken");
	if (is_new && !PyArg_ParseTuple(args, "LL", &value, &max))
		return NULL;
	if (is_new && (value < 0 || max > INT_MAX || value > max))
		return PyErr_Format(PyExc_ValueError, "invalid value");
	struct block *block = is_new ? block_new(sizeof(struct shared)) : block_from(args, sizeof(struct shared));
	struct semaphore *semaphore = block ? (struct semaphore *)type->tp_alloc(type, 0) : NULL;
	if (!semaphore) {
		Py_XDECREF((PyObject *)block);
		return NULL;
	}
	semaphore->block = block;
	semaphore->shared = block_memory(block);
	if (is_new) {
		semaphore->shared->value = semaphore->shared->total = (uint32_t)value;
		semaphore->shared->max = (uint32_t)max;
		semaphore->shared->counts_events = value == 0;
	}
	return (PyObject *)semaphore;
}

static void semaphore_dealloc(PyObject *self)
{
	PyTypeObject *type = Py_TYPE(self);

	Py_DECREF((PyObject *)((struct semaphore *)self)->block);
	type->tp_free(self);
}

static void wake(struct shared *shared, int how_many)
{
	shared->releases++;
	if (shared->is_waited_for && futex_wake(&shared->releases, how_many) == 0)
		shared->is_waited_for = 0;
}

static void repair(void *object)
{
	struct shared *shared = object;

	if (shared->counts_events)
		return;
	const uint64_t held = holders_sum(&shared->holders);
	shared->value = shared->total > held ? (uint32_t)(shared->total - held) : 0;
	shared->is_waited_for = 1;
}

static void bury(struct shared *shared)
{
	const uint64_t found = holders_bury(&shared->holders);

	if (!found)
		return;
	repair(shared);
	shared->given_back += (uint32_t)found;
	wake(shared, INT_MAX);
}

/* Under the guard. */
static bool take_one(struct semaphore *semaphore, bool may_bury)
{
	struct shared *shared = semaphore->shared;

	if (!shared->value && may_bury && !shared->counts_events)
		bury(shared);
	if (!shared->value)
		return false;
	if (!shared->counts_events) {
		/* If there is no room for one more process, what it acquires isn't given back. */
		struct holder *own = holders_own(&shared->holders, true);
		if (own)
			own->count++;
		else
			shared->total--;
	}
	shared->value--;
	semaphore->abandoned = shared->given_back != 0;
	if (shared->given_back)
		shared->given_back--;
	return true;
}

static PyObject *give_one(PyObject *self)
{
	struct shared *shared = shared_of(self);

	if (shared->value >= shared->max)
		return PyErr_Format(PyExc_ValueError, "semaphore or lock released too many times");
	if (!shared->counts_events) {
		struct holder *own = holders_own(&shared->holders, false);
		struct holder *holder = own && own->count ? own : holders_any(&shared->holders);
		if (holder)
			holder->count--;
		else
			shared->total++;
	}
	shared->value++;
	wake(shared, 1);
	((struct semaphore *)self)->abandoned = false;
	return Py_NewRef(Py_None);
}

static PyObject *acquired(PyObject *self)
{
	if (((struct semaphore *)self)->abandoned &&
	    PyErr_WarnEx(PyExc_RuntimeWarning, "a process that had acquired this semaphore has ended without releasing it", 1) <
		    0)
		return NULL;
	return Py_NewRef(Py_True);
}

static PyObject *acquire_until(PyObject *self, int64_t deadline)
{
	struct shared *shared = shared_of(self);
	struct patience patience = {.step = 0};
	bool may_bury = deadline == 0 && !is_foreign(self);

	for (;;) {
		if (!guard_take(&shared->guard, is_foreign(self), repair, shared))
			return NULL;
		const bool taken = take_one((struct semaphore *)self, may_bury);
		const uint32_t seen = shared->releases;
		if (!taken && deadline != 0)
			shared->is_waited_for = 1;
		(void)word_release(&shared->guard);
		if (taken)
			return acquired(self);
		if (deadline != NEVER && now_ns() >= deadline)
			return Py_NewRef(Py_False);
		if (!patience.step)
			patience = patience_begin();
		const int look = patience_sleep(&patience, &shared->releases, seen, deadline);
		if (look < 0)
			return NULL;
		may_bury = !is_foreign(self) && (look || (deadline != NEVER && now_ns() >= deadline));
	}
}

static PyObject *semaphore_acquire(PyObject *self, PyObject *const *args, Py_ssize_t count, PyObject *names)
{
	const int64_t deadline = count || names ? deadline_of(args, count, names) : NEVER;

	return deadline < 0 ? NULL : acquire_until(self, deadline);
}

static PyObject *semaphore_enter(PyObject *self, PyObject *unused)
{
	(void)unused;
	return acquire_until(self, NEVER);
}

static PyObject *semaphore_release(PyObject *self, PyObject *unused)
{
	struct shared *shared = shared_of(self);

	(void)unused;
	if (!guard_take(&shared->guard, is_foreign(self), repair, shared))
		return NULL;
	PyObject *result = give_one(self);
	(void)word_release(&shared->guard);
	return result;
}

static PyObject *semaphore_exit(PyObject *self, PyObject *const *args, Py_ssize_t count)
{
	(void)args, (void)count;
	return semaphore_release(self, NULL);
}

/* What is left, when the dead have given back what they held; -1: an exception. */
static long value_now(PyObject *self)
{
	struct shared *shared = shared_of(self);

	if (!guard_take(&shared->guard, is_foreign(self), repair, shared))
		return -1;
	if (!shared->counts_events && !is_foreign(self))
		bury(shared);
	const long value = (long)shared->value;
	(void)word_release(&shared->guard);
	return value;
}

static PyObject *semaphore_value(PyObject *self, PyObject *unused)
{
	const long value = value_now(self);

	(void)unused;
	return value < 0 ? NULL : PyLong_FromLong(value);
}

static PyObject *semaphore_is_zero(PyObject *self, PyObject *unused)
{
	const long value = value_now(self);

	(void)unused;
	return value < 0 ? NULL : PyBool_FromLong(value == 0);
}

static uint32_t held_here(struct shared *shared)
{
	struct holder *own = holders_own(&shared->holders, false);

	return own ? own->count : 0;
}

static PyObject *semaphore_count(PyObject *self, PyObject *unused)
{
	(void)unused;
	return PyLong_FromUnsignedLong(held_here(shared_of(self)));
}

static PyObject *semaphore_is_mine(PyObject *self, PyObject *unused)
{
	struct shared *shared = shared_of(self);

	(void)unused;
	return PyBool_FromLong(held_here(shared) != 0);
}

static PyObject *semaphore_arguments(PyObject *self, PyObject *unused)
{
	(void)unused;
	return PyTuple_Pack(1, ((struct semaphore *)self)->block);
}

static PyObject *semaphore_abandoned(PyObject *self, void *unused)
{
	(void)unused;
	return PyBool_FromLong(((struct semaphore *)self)->abandoned);
}

static PyObject *semaphore_max(PyObject *self, void *unused)
{
	(void)unused;
	return PyLong_FromUnsignedLong(shared_of(self)->max);
}

static PyMethodDef methods[] = {
	{"acquire", (PyCFunction)(void (*)(void))semaphore_acquire, METH_FASTCALL | METH_KEYWORDS,
	 "acquire(block=True, timeout=None): True: it has taken one; False: none was left by then."},
	{"release", semaphore_release, METH_NOARGS, "release(): gives one back; any process may."},
	{"__enter__", semaphore_enter, METH_NOARGS, NULL},
	{"__exit__", (PyCFunction)(void (*)(void))semaphore_exit, METH_FASTCALL, NULL},
	{"get_value", semaphore_value, METH_NOARGS, "How many are left."},
	{"_get_value", semaphore_value, METH_NOARGS, "How many are left."},
	{"_is_zero", semaphore_is_zero, METH_NOARGS, "Whether none is left."},
	{"_count", semaphore_count, METH_NOARGS, "How many this process holds."},
	{"_is_mine", semaphore_is_mine, METH_NOARGS, "Whether this process holds any."},
	{"_arguments", semaphore_arguments, METH_NOARGS, "What makes it in another process."},
	{NULL, NULL, 0, NULL},
};

static PyGetSetDef attributes[] = {
	{"abandoned", semaphore_abandoned, NULL, "True if what was acquired last had been held by a process that has ended.",
	 NULL},
	{"maxvalue", semaphore_max, NULL, NULL, NULL},
	{NULL, NULL, NULL, NULL, NULL},
};

PyTypeObject semaphore_type = {
	PyVarObject_HEAD_INIT(NULL, 0).tp_name = "objpool_sync.Semaphore",
	.tp_basicsize = sizeof(struct semaphore),
	.tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE,
	.tp_doc = "Semaphore(value, max), Semaphore(block)",
	.tp_dealloc = semaphore_dealloc,
	.tp_methods = methods,
	.tp_getset = attributes,
	.tp_new = semaphore_make,
};
