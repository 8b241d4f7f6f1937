/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The memory that the elements of an array argument lie in. If the worker has mapped the call's bytes, the array uses them where
 * they are, without a copy. If the array still exists when the call is over, the memory is kept: the host then puts a copy in
 * its place. All of it is read-only to Python, except what `private` gives.
 */
#include "plugins/python/python.h"

#include <pthread.h>
#include <sys/queue.h>

struct memory {
	PyObject_HEAD
	const char *bytes;
	Py_ssize_t size;
	const struct objpool_host *host;
	struct objpool_kept *kept; /* NULL: not yet, or never */
	struct objpool_call *call; /* NULL: it is over */
	bool is_private;           /* Python may write to it; it belongs to the call until it is kept again */
	struct memory *next;       /* of the call's; the list has a reference to each */
	LIST_ENTRY(memory) link;   /* in the list of private memory, while `call` is set */
};

struct gone {
	struct gone *next;
	const struct objpool_host *host;
	struct objpool_kept *kept;
};

static struct memory *of_call;
static LIST_HEAD(, memory) privates = LIST_HEAD_INITIALIZER(privates);
static struct gone *gone; /* memory that other threads have released; guarded by the interpreter's lock */
static pthread_t owner;

static int memory_get_buffer(PyObject *self, Py_buffer *view, int flags)
{
	struct memory *memory = (struct memory *)self;
	return PyBuffer_FillInfo(view, self, (void *)(uintptr_t)memory->bytes, memory->size, !memory->is_private, flags);
}

static Py_ssize_t memory_length(PyObject *self)
{
	return ((struct memory *)self)->size;
}

static void let_go(const struct objpool_host *host, struct objpool_kept *kept)
{
	if (pthread_equal(owner, pthread_self())) {
		objpool_let_go(host, kept);
		return;
	}
	struct gone *one = PyMem_Malloc(sizeof *one); /* out of memory: the memory is kept for ever */
	if (one) {
		*one = (struct gone){.next = gone, .host = host, .kept = kept};
		gone = one;
	}
}

static void memory_free(PyObject *self)
{
	struct memory *memory = (struct memory *)self;

	if (memory->is_private && memory->call)
		LIST_REMOVE(memory, link);
	if (memory->kept)
		let_go(memory->host, memory->kept);
	Py_TYPE(self)->tp_free(self);
}

static PyTypeObject memory_type;

static struct memory *memory_new(struct objpool_call *call, const char *bytes, Py_ssize_t size)
{
	struct memory *memory = PyObject_New(struct memory, &memory_type);

	if (!memory)
		return NULL;
	memory->bytes = bytes;
	memory->size = size;
	memory->host = call->host;
	memory->kept = NULL;
	memory->call = call;
	memory->is_private = false;
	return memory;
}

static PyObject *memory_private(PyObject *self, PyObject *unused)
{
	const struct memory *memory = (struct memory *)self;
	const bool can = memory->call && !memory->is_private && pthread_equal(owner, pthread_self()) && !handle_is_forked();
	struct objpool_kept *kept = NULL;
	void *view;

	(void)unused;
	if (can)
		kept = objpool_private(memory->call, memory->bytes, (size_t)memory->size, &view);
	if (!kept)
		return PyByteArray_FromStringAndSize(memory->bytes, memory->size);
	struct memory *made = memory_new(memory->call, view, memory->size);
	if (!made) {
		objpool_let_go(memory->host, kept);
		return NULL;
	}
	made->kept = kept;
	made->is_private = true;
	LIST_INSERT_HEAD(&privates, made, link);
	return (PyObject *)made;
}

static PyMethodDef memory_methods[] = {
	{"private", memory_private, METH_NOARGS,
	 "The same bytes, to be written to, which nobody else sees: copied where they are."},
	{0},
};
static PyBufferProcs memory_buffer = {.bf_getbuffer = memory_get_buffer};
static PySequenceMethods memory_sequence = {.sq_length = memory_length};
static PyTypeObject memory_type = {
	PyVarObject_HEAD_INIT(NULL, 0)
	.tp_name = "objpool.memory",
	.tp_basicsize = sizeof(struct memory),
	.tp_flags = Py_TPFLAGS_DEFAULT,
	.tp_dealloc = memory_free,
	.tp_methods = memory_methods,
	.tp_as_buffer = &memory_buffer,
	.tp_as_sequence = &memory_sequence,
};

PyObject *memory_of(struct objpool_call *call, const char *bytes, size_t size)
{
	if (!call || !objpool_can_keep(call, bytes, size))
		return PyBytes_FromStringAndSize(bytes, (Py_ssize_t)size);
	if (PyType_Ready(&memory_type) < 0)
		return NULL;
	struct memory *memory = memory_new(call, bytes, (Py_ssize_t)size);
	if (!memory)
		return NULL;
	owner = pthread_self();
	memory->next = of_call;
	of_call = memory;
	Py_INCREF(memory);
	return (PyObject *)memory;
}

/* Others use the memory, too: it must stay as it is. */
static void keep(struct objpool_call *call, struct memory *memory)
{
	struct objpool_kept *before = memory->kept;

	memory->kept = objpool_keep(call, memory->bytes, (size_t)memory->size);
	if (before)
		objpool_let_go(memory->host, before);
	if (memory->kept)
		return;
	(void)fprintf(stderr, "out of memory: an array that outlives its call can't be kept\n");
	abort();
}

void memory_end(struct objpool_call *call)
{
	struct memory *memory;
	struct gone *one;

	while ((memory = of_call)) {
		owner = pthread_self();
		of_call = memory->next;
		memory->call = NULL;
		if (Py_REFCNT(memory) > 1)
			keep(call, memory);
		Py_DECREF(memory);
	}
	while ((memory = LIST_FIRST(&privates))) {
		LIST_REMOVE(memory, link);
		memory->call = NULL;
		keep(call, memory);
	}
	while ((one = gone)) {
		gone = one->next;
		objpool_let_go(one->host, one->kept);
		PyMem_Free(one);
	}
}
