/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Calls of `async def` methods are put off (objpool_defer), and go on in steps of the instance's event loop, between ordinary
 * methods. Here is a Python object for each such call, by which host/coroutines.py answers it, and what calls that file:
 *
 *   a method has returned a coroutine    concurrent_begin -> start
 *   the loop has something to do         concurrent_step  -> step
 *   something happened to the call       concurrent_event -> gone, room
 *   Python code has run                  concurrent_watch -> wants: what the loop waits for
 */
#include "plugins/python/python.h"

#include <structmember.h>

struct pending {
	PyObject_HEAD
	struct objpool_call *call; /* has a reference to this object, in `own`; NULL: it is answered, or nobody waits for it */
	bool gone;                 /* nobody waits for it */
	bool interrupted;          /* its code has got the exception Cancelled */
	bool streams;              /* its caller takes values one by one */
	PyObject *task;            /* host/coroutines.py's; NULL: the call waits for its turn */
	PyObject *room;            /* the future that it waits for until it may give more */
	struct objpool_buffer buffer; /* of a caller that takes one value: the items so far */
	uint32_t count;
};

static PyTypeObject pending_type;
static PyObject *current;  /* the context variable: the pending call whose code runs */
static bool has_loop;

/* ---- its end ---- */

/* The call is the host's no more. */
static void let_go(struct pending *pending)
{
	pending->call = NULL;
	Py_DECREF(pending);
}

/* Answers the call with the bytes, or with the error that is set on it. */
static PyObject *end(struct pending *pending, const char *bytes, size_t size)
{
	(void)objpool_answer(pending->call, bytes, size); /* its caller may have given up */
	let_go(pending);
	return Py_NewRef(Py_None);
}

static int pending_traverse(PyObject *self, visitproc visit, void *arg)
{
	Py_VISIT(((struct pending *)self)->task);
	Py_VISIT(((struct pending *)self)->room);
	return 0;
}

static int pending_clear(PyObject *self)
{
	Py_CLEAR(((struct pending *)self)->task);
	Py_CLEAR(((struct pending *)self)->room);
	return 0;
}

static void pending_free(PyObject *self)
{
	PyObject_GC_UnTrack(self);
	objpool_buffer_free(&((struct pending *)self)->buffer);
	(void)pending_clear(self);
	PyObject_GC_Del(self);
}

/* ---- what host/coroutines.py does with it ---- */

static int pack(struct pending *pending, PyObject *value, int depth)
{
	msgpack_packer packer;

	msgpack_packer_init(&packer, &pending->buffer, objpool_buffer_write);
	const int r = write_item(value, &packer, may_pickle, depth);
	end_if_forked();
	if (r == 0 && !pending->buffer.failed)
		return 0;
	if (r == 0)
		PyErr_NoMemory();
	return -1;
}

static PyObject *pending_answer(PyObject *self, PyObject *value)
{
	struct pending *pending = (struct pending *)self;

	if (!pending->call)
		return Py_NewRef(Py_None);
	objpool_buffer_clear(&pending->buffer);
	return pack(pending, value, 0) < 0 ? NULL : end(pending, pending->buffer.data, pending->buffer.size);
}

static PyObject *pending_fail(PyObject *self, PyObject *exception)
{
	struct pending *pending = (struct pending *)self;

	PyErr_SetObject((PyObject *)Py_TYPE(exception), exception);
	end_if_forked();
	if (pending->call)
		(void)fail_with_exception(pending->call);
	PyErr_Clear();
	return pending->call ? end(pending, NULL, 0) : Py_NewRef(Py_None);
}

/* Sends one value. True; False: when there is room. */
static PyObject *give(struct pending *pending)
{
	const int r = objpool_yield(pending->call, pending->buffer.data, pending->buffer.size);

	if (r == 0 || r == -ECANCELED)
		return Py_NewRef(Py_True);
	if (r == -EAGAIN)
		return Py_NewRef(Py_False);
	return PyErr_Format(PyExc_ValueError, "an item of %zu bytes could not be sent: %s", pending->buffer.size,
			    r == -EINVAL ? "it is over max_message" : strerror(-r));
}

static PyObject *pending_give(PyObject *self, PyObject *value)
{
	struct pending *pending = (struct pending *)self;

	if (!pending->call || pending->buffer.size > max_result)
		return Py_NewRef(Py_None);
	if (pending->streams)
		objpool_buffer_clear(&pending->buffer);
	if (pack(pending, value, pending->streams ? 0 : 1) < 0)
		return NULL;
	pending->count++;
	return pending->streams ? give(pending) : Py_NewRef(Py_True);
}

static PyObject *end_array(struct pending *pending)
{
	struct objpool_buffer whole = OBJPOOL_BUFFER_INIT;
	msgpack_packer packer;

	msgpack_packer_init(&packer, &whole, objpool_buffer_write);
	msgpack_pack_array(&packer, pending->count);
	(void)objpool_buffer_write(&whole, pending->buffer.data, pending->buffer.size);
	PyObject *done = whole.failed ? PyErr_NoMemory() : end(pending, whole.data, whole.size);
	objpool_buffer_free(&whole);
	return done;
}

static PyObject *pending_end(PyObject *self, PyObject *unused)
{
	struct pending *pending = (struct pending *)self;

	(void)unused;
	end_if_forked();
	if (!pending->call)
		return Py_NewRef(Py_None);
	return pending->streams ? end(pending, "\xc0", 1) : end_array(pending);
}

static PyMethodDef pending_methods[] = {
	{"answer", pending_answer, METH_O, "Answers the call with a value."},
	{"fail", pending_fail, METH_O, "Answers it with an exception."},
	{"give", pending_give, METH_O,
	 "Gives one item of its result. True; False: it must be given again when there is room; None: no more are taken."},
	{"end", pending_end, METH_NOARGS, "Answers it: all items have been given."},
	{0},
};
static PyMemberDef pending_members[] = {
	{"task", T_OBJECT, offsetof(struct pending, task), 0, NULL},
	{"room", T_OBJECT, offsetof(struct pending, room), 0, NULL},
	{0},
};
static PyTypeObject pending_type = {
	PyVarObject_HEAD_INIT(NULL, 0)
	.tp_name = "objpool.pending",
	.tp_basicsize = sizeof(struct pending),
	.tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC,
	.tp_traverse = pending_traverse,
	.tp_clear = pending_clear,
	.tp_dealloc = pending_free,
	.tp_methods = pending_methods,
	.tp_members = pending_members,
};

/* ---- beginning ---- */

int concurrent_init(PyObject *module)
{
	if (PyType_Ready(&pending_type) < 0)
		return -1;
	current = PyContextVar_New("objpool_call", NULL);
	return current ? PyModule_AddObjectRef(module, "current", current) : -1;
}

static struct pending *pending_new(struct objpool_call *deferred)
{
	struct pending *pending = PyObject_GC_New(struct pending, &pending_type);

	if (!pending)
		return NULL;
	memset((char *)pending + sizeof(PyObject), 0, sizeof *pending - sizeof(PyObject));
	pending->call = deferred;
	pending->streams = objpool_yield(deferred, NULL, 0) == 0;
	deferred->own = pending;
	Py_INCREF(pending);
	PyObject_GC_Track(pending);
	return pending;
}

static uint64_t max_concurrent(const struct objpool_call *call)
{
	const msgpack_object *setting = objpool_setting(call, "max_concurrent");
	return setting && setting->type == MSGPACK_OBJECT_POSITIVE_INTEGER ? setting->via.u64 : 100;
}

int concurrent_begin(struct objpool_call *call, PyObject *work)
{
	struct objpool_call *deferred = objpool_defer(call, 0);

	if (!deferred)
		return 0;
	(void)objpool_at_work(deferred);
	struct pending *pending = pending_new(deferred);
	if (!pending)
		return -1;
	struct objpool_call *before = handle_set(NULL); /* a cancel must not raise an exception in the midst of this */
	PyObject *started = host_call("start", "(OOK)", work, pending, (unsigned long long)max_concurrent(deferred));
	handle_set(before);
	has_loop = has_loop || started;
	if (!started)
		let_go(pending); /* the method fails, and so the host frees the deferred call */
	Py_DECREF(pending);
	Py_XDECREF(started);
	return started ? 1 : -1;
}

/* ---- going on ---- */

void concurrent_watch(struct objpool_call *call, bool soon)
{
	unsigned long long wake_at;
	int fd;

	if (!has_loop || handle_is_forked())
		return;
	PyObject *wants = host_call("wants", "()");
	if (wants && PyArg_ParseTuple(wants, "iK", &fd, &wake_at))
		(void)objpool_watch(call, fd, soon ? 1 : wake_at);
	else
		failure_print();
	Py_XDECREF(wants);
}

void concurrent_step(void)
{
	PyObject *done = host_call("step", "()");

	end_if_forked();
	if (!done)
		failure_print();
	Py_XDECREF(done);
}

void concurrent_tell_cancelled(void)
{
	if (!has_loop)
		return;
	cancel_begin_step();
	concurrent_step();
	cancel_end_step();
}

int concurrent_settle(void)
{
	PyObject *done = has_loop ? host_call("settle", "()") : Py_NewRef(Py_None);

	Py_XDECREF(done);
	return done ? 0 : -1;
}

bool concurrent_is(const struct objpool_call *deferred)
{
	return Py_TYPE((PyObject *)deferred->own) == &pending_type;
}

void concurrent_event(struct objpool_call *call, enum objpool_event event)
{
	struct pending *pending = call->own;

	Py_INCREF(pending);
	if (event == OBJPOOL_GONE) {
		pending->gone = true;
		let_go(pending);
	}
	PyObject *done = host_call(event == OBJPOOL_GONE ? "gone" : "room", "(O)", pending);
	if (!done)
		failure_print();
	Py_XDECREF(done);
	Py_DECREF(pending);
}

/* ---- whose code runs? ---- */

/* A new reference. NULL: that of no call that was put off. */
static struct pending *pending_current(void)
{
	PyObject *found = NULL;

	if (!has_loop || PyContextVar_Get(current, NULL, &found) < 0) {
		PyErr_Clear();
		return NULL;
	}
	return (struct pending *)found;
}

bool concurrent_current(struct objpool_call **call)
{
	struct pending *pending = pending_current();

	if (!pending)
		return false;
	*call = pending->call;
	Py_DECREF(pending);
	return true;
}

static bool is_cancelled(const struct pending *pending)
{
	return pending->call ? objpool_cancelled(pending->call) : pending->gone;
}

bool concurrent_is_cancelled(bool *cancelled)
{
	struct pending *pending = pending_current();

	if (!pending)
		return false;
	*cancelled = is_cancelled(pending);
	Py_DECREF(pending);
	return true;
}

bool concurrent_interrupts(bool *interrupts)
{
	struct pending *pending = pending_current();

	if (!pending)
		return false;
	*interrupts = !pending->interrupted && is_cancelled(pending);
	pending->interrupted = pending->interrupted || *interrupts;
	Py_DECREF(pending);
	return true;
}
