/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Calls that a method leaves unanswered: another call, or an event, answers them later.
 *
 * The method asks _objpool.defer for a Deferred, keeps it, and returns; what it returns is dropped. The Deferred is the `own` of
 * the host's deferred call, and has a pointer to it until the call is answered or gone. Whoever uses it later only gets False.
 */
#include "plugins/python/python.h"

#include <pthread.h>

struct deferred {
	PyObject_HEAD
	struct objpool_call *call; /* NULL: answered, or nobody waits any more */
	PyObject *on_event;        /* is called with the Deferred and "wake" or "gone"; or None */
	unsigned long long session;
};

static struct deferred *of_method; /* what the running method has put off */
static pthread_t owner;            /* of all deferred calls: the thread that runs methods */

/* Takes the call from its Deferred. It was kept alive by it. */
static struct objpool_call *take(struct deferred *deferred)
{
	struct objpool_call *call = deferred->call;

	deferred->call = NULL;
	Py_CLEAR(deferred->on_event);
	return call;
}

/* Whether the call can be answered: by this thread, of this process. Sets an exception if not. */
static bool is_here(void)
{
	if (!handle_is_forked() && pthread_equal(owner, pthread_self()))
		return true;
	PyErr_SetString(PyExc_RuntimeError, "a deferred call can be answered only on the thread that runs the methods");
	return false;
}

/* True: the caller gets the answer. False: it has given up. */
static PyObject *sent(struct deferred *deferred, const char *bytes, size_t size)
{
	const int r = objpool_answer(take(deferred), bytes, size);

	Py_DECREF(deferred); /* the call's reference */
	return PyBool_FromLong(r == 0);
}

static PyObject *deferred_answer(PyObject *self, PyObject *value)
{
	struct deferred *deferred = (struct deferred *)self;

	if (!is_here())
		return NULL;
	if (!deferred->call)
		return Py_NewRef(Py_False);
	PyObject *packed = write_bytes(value, may_pickle);
	if (!packed)
		return NULL;
	PyObject *done = sent(deferred, PyBytes_AS_STRING(packed), (size_t)PyBytes_GET_SIZE(packed));
	Py_DECREF(packed);
	return done;
}

static PyObject *deferred_fail(PyObject *self, PyObject *exception)
{
	struct deferred *deferred = (struct deferred *)self;

	if (!PyExceptionInstance_Check(exception))
		return PyErr_Format(PyExc_TypeError, "fail() takes an exception, and no %.100s", Py_TYPE(exception)->tp_name);
	if (!is_here())
		return NULL;
	if (!deferred->call)
		return Py_NewRef(Py_False);
	PyErr_SetObject((PyObject *)Py_TYPE(exception), exception);
	(void)fail_with_exception(deferred->call);
	return sent(deferred, NULL, 0);
}

static PyObject *deferred_waits(PyObject *self, void *unused)
{
	(void)unused;
	return PyBool_FromLong(((struct deferred *)self)->call != NULL);
}

static PyObject *deferred_session(PyObject *self, void *unused)
{
	(void)unused;
	return PyLong_FromUnsignedLongLong(((struct deferred *)self)->session);
}

static void deferred_dealloc(PyObject *self)
{
	Py_XDECREF(((struct deferred *)self)->on_event);
	PyObject_Free(self);
}

static PyMethodDef methods[] = {
	{"answer", deferred_answer, METH_O, "Answers the call. False: nobody waits for it any more, and nobody gets the value."},
	{"fail", deferred_fail, METH_O, "Answers the call with an exception. False: nobody waits for it any more."},
	{NULL, NULL, 0, NULL},
};

static PyGetSetDef attributes[] = {
	{"waits", deferred_waits, NULL, "False once it was answered, or its caller has gone.", NULL},
	{"session", deferred_session, NULL, "Who waits: see Call.session.", NULL},
	{NULL, NULL, NULL, NULL, NULL},
};

static PyTypeObject deferred_type = {
	PyVarObject_HEAD_INIT(NULL, 0)
	.tp_name = "objpool_worker.Deferred",
	.tp_doc = "A call that a method has left unanswered.",
	.tp_basicsize = sizeof(struct deferred),
	.tp_flags = Py_TPFLAGS_DEFAULT,
	.tp_dealloc = deferred_dealloc,
	.tp_methods = methods,
	.tp_getset = attributes,
};

static struct deferred *make(const struct objpool_call *call, PyObject *on_event)
{
	struct deferred *deferred = PyType_Ready(&deferred_type) < 0 ? NULL : PyObject_New(struct deferred, &deferred_type);

	if (!deferred)
		return NULL;
	deferred->call = NULL;
	deferred->session = call->session;
	deferred->on_event = on_event == Py_None ? NULL : Py_NewRef(on_event);
	return deferred;
}

PyObject *later_new(struct objpool_call *call, PyObject *on_event, double wake_at)
{
	struct deferred *deferred = make(call, on_event);

	if (!deferred)
		return NULL;
	deferred->call = objpool_defer(call, wake_at > 0 ? (uint64_t)(wake_at * 1e9) : 0);
	if (!deferred->call) {
		Py_DECREF(deferred);
		return Py_NewRef(Py_None);
	}
	owner = pthread_self();
	Py_INCREF(deferred);
	deferred->call->own = deferred;
	of_method = deferred;
	return (PyObject *)deferred;
}

bool later_was_made(bool failed)
{
	struct deferred *deferred = of_method;

	of_method = NULL;
	if (deferred && failed && deferred->call) { /* the host forgets the deferred call, and the method's own fails */
		(void)take(deferred);
		Py_DECREF(deferred);
	}
	return deferred;
}

void later_happened(struct objpool_call *call, enum objpool_event event)
{
	struct deferred *deferred = call->own;
	PyObject *on_event = deferred->on_event ? Py_NewRef(deferred->on_event) : NULL;

	Py_INCREF(deferred);
	if (event == OBJPOOL_GONE) {
		(void)take(deferred);
		Py_DECREF(deferred);
	}
	PyObject *done = on_event ? PyObject_CallFunction(on_event, "Os", deferred, event == OBJPOOL_GONE ? "gone" : "wake") : NULL;
	end_if_forked();
	if (PyErr_Occurred())
		failure_print();
	Py_XDECREF(done);
	Py_XDECREF(on_event);
	Py_DECREF(deferred);
}
