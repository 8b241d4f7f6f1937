/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Event: one word.
 *
 *   [ how often it was set : 31 | is it set : 1 ]
 *
 * Who waits sees that it was set also if it has been cleared since.
 */
#include "client/python/sync/sync.h"

#include <limits.h>

struct event {
	PyObject_HEAD struct block *block;
	_Atomic uint32_t *word;
};

static PyObject *event_make(PyTypeObject *type, PyObject *args, PyObject *keywords)
{
	if (keywords && PyDict_GET_SIZE(keywords))
		return PyErr_Format(PyExc_TypeError, "no keywords are taken");
	struct block *block = block_from(args, sizeof(uint32_t));
	struct event *event = block ? (struct event *)type->tp_alloc(type, 0) : NULL;
	if (!event) {
		Py_XDECREF((PyObject *)block);
		return NULL;
	}
	event->block = block;
	event->word = block_memory(block);
	return (PyObject *)event;
}

static void event_dealloc(PyObject *self)
{
	PyTypeObject *type = Py_TYPE(self);

	Py_DECREF((PyObject *)((struct event *)self)->block);
	type->tp_free(self);
}

static PyObject *event_is_set(PyObject *self, PyObject *unused)
{
	(void)unused;
	return PyBool_FromLong(atomic_load(((struct event *)self)->word) & 1);
}

static PyObject *event_set(PyObject *self, PyObject *unused)
{
	struct event *event = (struct event *)self;
	uint32_t seen = atomic_load(event->word);

	(void)unused;
	while (!(seen & 1) && !atomic_compare_exchange_weak(event->word, &seen, (seen + 2) | 1))
		;
	/* Also if it was set already: whoever has set it may have been killed before it woke anybody. */
	(void)futex_wake((const uint32_t *)event->word, INT_MAX);
	return Py_NewRef(Py_None);
}

static PyObject *event_clear(PyObject *self, PyObject *unused)
{
	(void)unused;
	(void)atomic_fetch_and(((struct event *)self)->word, ~1u);
	return Py_NewRef(Py_None);
}

static PyObject *event_wait(PyObject *self, PyObject *const *args, Py_ssize_t count, PyObject *names)
{
	struct event *event = (struct event *)self;
	const uint32_t first = atomic_load(event->word);
	PyObject *const block_and_timeout[] = {Py_True, count ? args[0] : Py_None};

	if (count > 1)
		return PyErr_Format(PyExc_TypeError, "wait() takes one argument, timeout");
	const int64_t deadline = names ? deadline_of(args, count, names) : deadline_of(block_and_timeout, 2, NULL);
	if (deadline < 0)
		return NULL;
	struct patience patience = patience_begin();
	for (;;) {
		const uint32_t seen = atomic_load(event->word);
		if (seen & 1 || seen != first)
			return Py_NewRef(Py_True);
		if (deadline != NEVER && now_ns() >= deadline)
			return Py_NewRef(Py_False);
		if (patience_sleep(&patience, (const uint32_t *)event->word, seen, deadline) < 0)
			return NULL;
	}
}

static PyObject *event_arguments(PyObject *self, PyObject *unused)
{
	(void)unused;
	return PyTuple_Pack(1, ((struct event *)self)->block);
}

static PyMethodDef methods[] = {
	{"is_set", event_is_set, METH_NOARGS, NULL},
	{"set", event_set, METH_NOARGS, NULL},
	{"clear", event_clear, METH_NOARGS, NULL},
	{"wait", (PyCFunction)(void (*)(void))event_wait, METH_FASTCALL | METH_KEYWORDS,
	 "wait(timeout=None): True if it is set, or was while this waited."},
	{"_arguments", event_arguments, METH_NOARGS, "What makes it in another process."},
	{NULL, NULL, 0, NULL},
};

PyTypeObject event_type = {
	PyVarObject_HEAD_INIT(NULL, 0).tp_name = "objpool_sync.Event",
	.tp_basicsize = sizeof(struct event),
	.tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE,
	.tp_doc = "Event(), Event(block)",
	.tp_dealloc = event_dealloc,
	.tp_methods = methods,
	.tp_new = event_make,
};
