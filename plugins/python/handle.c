/* SPDX-License-Identifier: Apache-2.0 */
/* The module _objpool, from which host/objpool_worker.py makes its class Call. */
#include "plugins/python/python.h"

#include <pthread.h>
#include <stdatomic.h>

static struct objpool_call *_Atomic running; /* also read by the thread that watches for cancelled calls */
static pthread_t owner;                      /* the thread that runs methods */
static bool forked;                          /* this is a child of the worker */

struct objpool_call *handle_set(struct objpool_call *call)
{
	struct objpool_call *before = atomic_load_explicit(&running, memory_order_relaxed);

	atomic_store_explicit(&running, call, memory_order_release);
	owner = pthread_self();
	return before;
}

const struct objpool_call *handle_running(void)
{
	return atomic_load_explicit(&running, memory_order_acquire);
}

/* The call whose code runs. */
static struct objpool_call *current(void)
{
	struct objpool_call *call;

	return concurrent_current(&call) ? call : atomic_load_explicit(&running, memory_order_relaxed);
}

static PyObject *seconds_or_none(uint64_t nanoseconds)
{
	if (nanoseconds == 0)
		return Py_NewRef(Py_None);
	return PyFloat_FromDouble((double)nanoseconds / 1e9);
}

static PyObject *handle_info(PyObject *module, PyObject *unused)
{
	const struct objpool_call *call = current();

	(void)module;
	(void)unused;
	if (!call)
		return Py_NewRef(Py_None);
	const struct objpool_place *place = call->place;
	return Py_BuildValue("(zIIKzKKNKz)", place->pool, place->slot, place->slots, (unsigned long long)place->generation,
			     call->method, (unsigned long long)call->session, (unsigned long long)call->caller,
			     seconds_or_none(call->deadline), (unsigned long long)call->index, objpool_traceparent(call));
}

static PyObject *handle_cancelled(PyObject *module, PyObject *unused)
{
	const struct objpool_call *call = handle_running();
	bool cancelled;

	(void)module;
	(void)unused;
	if (!concurrent_is_cancelled(&cancelled))
		cancelled = call && call->method && objpool_cancelled(call);
	return PyBool_FromLong(cancelled);
}

/* Must the code that runs get an exception? It gets one once. */
static PyObject *handle_interrupts(PyObject *module, PyObject *unused)
{
	bool interrupts;

	return concurrent_interrupts(&interrupts) ? PyBool_FromLong(interrupts) : handle_cancelled(module, unused);
}

bool handle_is_forked(void)
{
	return forked;
}

void handle_is_worker(void)
{
	forked = false;
}

static PyObject *handle_forked(PyObject *module, PyObject *unused)
{
	(void)module;
	(void)unused;
	forked = true;
	interpreter_was_forked();
	return Py_NewRef(Py_None);
}

static PyObject *handle_progress(PyObject *module, PyObject *args)
{
	unsigned long long done, total;
	const char *text;

	(void)module;
	if (!PyArg_ParseTuple(args, "KKz:progress", &done, &total, &text))
		return NULL;
	struct objpool_call *call = current();
	if (call && !forked)
		(void)objpool_progress(call, done, total, text);
	return Py_NewRef(Py_None);
}

/* ---- calling others ---- */

static PyObject *raise_failed(const struct objpool_failure *error)
{
	PyObject *module = PyImport_ImportModule("_objpool");
	PyObject *type = module ? PyObject_GetAttrString(module, "CallFailed") : NULL;
	PyObject *value =
		type ? PyObject_CallFunction(type, "zzzz", error->code, error->message, error->type, error->traceback) : NULL;

	if (value)
		PyErr_SetObject(type, value);
	Py_XDECREF(value);
	Py_XDECREF(type);
	Py_XDECREF(module);
	return NULL;
}

static PyObject *invoke(struct objpool_call *call, const char *target, PyObject *args)
{
	struct objpool_outcome result;
	int r;

	Py_BEGIN_ALLOW_THREADS
	r = objpool_invoke(call, target, PyBytes_AS_STRING(args), (size_t)PyBytes_GET_SIZE(args), &result);
	Py_END_ALLOW_THREADS
	if (r == 0)
		return read_object(&result.value, may_pickle);
	if (r == -EREMOTEIO)
		return raise_failed(&result.error);
	if (r == -EINVAL)
		return PyErr_Format(PyExc_ValueError, "\"%s\" can't be called, or not from here", target);
	if (r == -ENOMEM)
		return PyErr_NoMemory();
	errno = -r;
	return PyErr_SetFromErrno(PyExc_OSError);
}

static PyObject *handle_invoke(PyObject *module, PyObject *args)
{
	const char *target;
	PyObject *list;

	(void)module;
	if (!PyArg_ParseTuple(args, "sO!:invoke", &target, &PyList_Type, &list))
		return NULL;
	struct objpool_call *call = current();
	if (!call || forked || !pthread_equal(owner, pthread_self())) {
		PyErr_SetString(PyExc_RuntimeError, "only a method can call others, on its own thread");
		return NULL;
	}
	PyObject *packed = write_arguments(list, may_pickle);
	PyObject *result = packed ? invoke(call, target, packed) : NULL;
	Py_XDECREF(packed);
	return result;
}

static PyObject *handle_commit(PyObject *module, PyObject *unused)
{
	(void)module;
	(void)unused;
	if (!running || !running->method || forked || !pthread_equal(owner, pthread_self())) {
		PyErr_SetString(PyExc_RuntimeError, "only a method can commit itself, on its own thread");
		return NULL;
	}
	return PyBool_FromLong(objpool_commit(running) == 0);
}

static PyObject *handle_defer(PyObject *module, PyObject *args)
{
	PyObject *on_event;
	double wake_at;

	(void)module;
	if (!PyArg_ParseTuple(args, "Od:defer", &on_event, &wake_at))
		return NULL;
	if (running && running->method && !forked && pthread_equal(owner, pthread_self()))
		return later_new(running, on_event, wake_at);
	PyErr_SetString(PyExc_RuntimeError, "only a method can put its answer off, on its own thread");
	return NULL;
}

/* ---- msgpack for host/ ---- */

static PyObject *handle_pack(PyObject *module, PyObject *value)
{
	(void)module;
	return write_bytes(value, false);
}

static PyObject *handle_pack_ext(PyObject *module, PyObject *args)
{
	struct objpool_buffer buffer = OBJPOOL_BUFFER_INIT;
	PyObject *packed = NULL;
	msgpack_packer packer;
	const char *bytes;
	Py_ssize_t size;
	int type;

	(void)module;
	if (!PyArg_ParseTuple(args, "iy#:pack_ext", &type, &bytes, &size))
		return NULL;
	msgpack_packer_init(&packer, &buffer, objpool_buffer_write);
	msgpack_pack_ext(&packer, (size_t)size, (int8_t)type);
	msgpack_pack_ext_body(&packer, bytes, (size_t)size);
	packed = buffer.failed ? PyErr_NoMemory() : PyBytes_FromStringAndSize(buffer.data, (Py_ssize_t)buffer.size);
	objpool_buffer_free(&buffer);
	return packed;
}

PyMODINIT_FUNC handle_module(void)
{
	static PyMethodDef methods[] = {
		{"info", handle_info, METH_NOARGS, NULL},
		{"cancelled", handle_cancelled, METH_NOARGS, NULL},
		{"interrupts", handle_interrupts, METH_NOARGS, NULL},
		{"forked", handle_forked, METH_NOARGS, NULL},
		{"progress", handle_progress, METH_VARARGS, NULL},
		{"invoke", handle_invoke, METH_VARARGS, NULL},
		{"defer", handle_defer, METH_VARARGS, NULL},
		{"commit", handle_commit, METH_NOARGS, NULL},
		{"pack", handle_pack, METH_O, NULL},
		{"pack_ext", handle_pack_ext, METH_VARARGS, NULL},
		{NULL, NULL, 0, NULL},
	};
	static struct PyModuleDef definition = {PyModuleDef_HEAD_INIT, .m_name = "_objpool", .m_size = -1, .m_methods = methods};

	PyObject *module = PyModule_Create(&definition);
	if (module && concurrent_init(module) < 0)
		Py_CLEAR(module);
	return module;
}
