/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Line: the way of one small call on a connection of the client (objpool/_connection.py), there and back.
 *
 *   call(entry, method, params) -> value    the answer has come, and was a plain value
 *                               -> entry    it is left to the caller. entry.id is 0: nothing has been sent. Otherwise the entry
 *                                           is in `pending`: its request is sent, or lies in `out`
 *
 *   tell(method, params)                    sends what nobody answers, unless something waits to be sent
 *
 * A call is made here only while nothing else is under way on the connection. The thread holds the lead while it waits, as the
 * Python code does. Whatever comes that is not exactly the answer goes into `chunks`, where the Python code finds it.
 *
 * The exception of a signal handler is raised only while the thread waits for input. The entry is in `pending` then, so the
 * caller can cancel the call.
 */
#include "client/python/wire/wire.h"

#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

enum {
	ROOM = 64 << 10,    /* bytes that are read at once */
	CONTROL_MAX = 4096, /* bytes for descriptors */
	AWAKE = 200000,     /* nanoseconds for which a wait polls before it sleeps */
	CALM = 50,          /* waits that sleep at once after polling was in vain */
	SIGNALS = 1000,     /* milliseconds after which a wait looks for signals */
};

/* What the line shares with its connection: containers, which are empty while the connection is quiet, and functions. */
enum part { PENDING, OUT, CHUNKS, INBOX, RAW, FILENO, TAKE_LEAD, GIVE_LEAD, IS_WRITING, IDS, NUMBERS, PARTS };

struct line {
	PyObject base;
	PyObject *parts[PARTS];
	bool without_target; /* a direct channel: its requests have none, and their messages are numbered */
	bool may_poll;       /* there is a CPU for others while this thread polls */
	int calm;            /* so many of the next waits sleep at once */
	int control;         /* bytes for what comes beside the messages; 0: nothing does */
	uint8_t *bytes;      /* [ROOM] of the request, then of what comes, [CONTROL_MAX] of what comes beside: for whoever leads */
};

/* One call. */
struct trip {
	struct line *line;
	PyObject *entry;
	PyObject *id, *number;
	uint32_t msgid;
	int fd;
	size_t size;         /* bytes that came */
	size_t beside;       /* bytes of what came beside them */
	PyObject *ancillary; /* the same, as a list, or NULL */
};

static PyObject *name_id, *name_sent;

/* ---- the lead ---- */

/* 1: this thread leads now; 0: another does. -1: an exception is set. */
static int take_lead(const struct line *line)
{
	PyObject *taken = PyObject_CallFunctionObjArgs(line->parts[TAKE_LEAD], Py_False, NULL);
	const int leads = taken ? PyObject_IsTrue(taken) : -1;

	Py_XDECREF(taken);
	return leads;
}

/* Keeps the exception that is set, if one is. */
static void give_lead(const struct line *line)
{
	PyObject *type, *value, *trace;

	PyErr_Fetch(&type, &value, &trace);
	PyObject *given = PyObject_CallNoArgs(line->parts[GIVE_LEAD]);
	Py_XDECREF(given);
	PyErr_Restore(type, value, trace);
}

static bool is_empty(PyObject *container)
{
	return PyObject_Size(container) == 0;
}

static bool is_writing(const struct line *line)
{
	PyObject *locked = PyObject_CallNoArgs(line->parts[IS_WRITING]);

	Py_XDECREF(locked);
	return locked != Py_False;
}

/* Is nothing else under way on the connection? To be asked by who leads. */
static bool is_quiet(const struct line *line)
{
	for (enum part part = PENDING; part <= RAW; part++)
		if (!is_empty(line->parts[part]))
			return false;
	return !is_writing(line);
}

/* ---- what is left to the Python code ---- */

static int append(PyObject *list, PyObject *item)
{
	PyObject *done = item ? PyObject_CallMethod(list, "append", "(O)", item) : NULL;

	Py_XDECREF(done);
	Py_XDECREF(item);
	return done ? 0 : -1;
}

/* From now on the answer is for this entry. */
static int enter(const struct trip *trip)
{
	if (PyDict_SetItem(trip->line->parts[PENDING], trip->id, trip->entry) < 0)
		return -1;
	return PyObject_SetAttr(trip->entry, name_id, trip->id);
}

/* The answer is here, or the request has not been sent. Another thread, for which the connection was lost, may have done it. */
static int withdraw(const struct trip *trip)
{
	PyObject *pending = trip->line->parts[PENDING];
	const int is_there = PyDict_Contains(pending, trip->id);

	return is_there > 0 ? PyDict_DelItem(pending, trip->id) : is_there;
}

/* Notes where the message of a channel stands among those that were sent. */
static int note_number(const struct trip *trip)
{
	if (!trip->number)
		return 0;
	PyObject *sent = Py_BuildValue("[(OO)]", Py_None, trip->number);
	const int r = sent ? PyObject_SetAttr(trip->entry, name_sent, sent) : -1;
	Py_XDECREF(sent);
	return r;
}

/* The rest of a request of which the socket has taken a part. */
static int keep_rest(const struct line *line, const uint8_t *message, size_t size, size_t sent)
{
	PyObject *bytes = PyBytes_FromStringAndSize((const char *)message, (Py_ssize_t)size);
	PyObject *view = bytes ? PyMemoryView_FromObject(bytes) : NULL;

	Py_XDECREF(bytes);
	return append(line->parts[OUT], view ? Py_BuildValue("(N[n]O)", view, (Py_ssize_t)sent, Py_None) : NULL);
}

/* What has come is not the answer, or not only. */
static int keep_chunk(struct trip *trip)
{
	PyObject *chunk = PyBytes_FromStringAndSize((const char *)trip->line->bytes, (Py_ssize_t)trip->size);

	if (chunk && trip->ancillary)
		chunk = Py_BuildValue("(NO)", chunk, trip->ancillary);
	return append(trip->line->parts[CHUNKS], chunk);
}

/* ---- reading ---- */

static ssize_t receive_message(struct trip *trip)
{
	struct line *line = trip->line;
	struct iovec iov = {.iov_base = line->bytes, .iov_len = ROOM};
	struct msghdr message = {
		.msg_iov = &iov, .msg_iovlen = 1, .msg_control = line->bytes + ROOM, .msg_controllen = (size_t)line->control};
	const ssize_t n = recvmsg(trip->fd, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);

	trip->beside = n > 0 ? message.msg_controllen : 0;
	return n;
}

/* 1: something has been read. 0: nothing has come yet. -1: the connection has ended, or is about to: the Python code reads it
 * then. */
static int receive(struct trip *trip)
{
	ssize_t n;

	do
		n = trip->line->control > 0 ? receive_message(trip) : recv(trip->fd, trip->line->bytes, ROOM, MSG_DONTWAIT);
	while (n < 0 && errno == EINTR);
	trip->size = n > 0 ? (size_t)n : 0;
	if (n > 0)
		return 1;
	return n < 0 && errno == EAGAIN ? 0 : -1;
}

/* What came beside the bytes, as socket.recvmsg gives it. */
static PyObject *list_ancillary(const struct trip *trip)
{
	struct msghdr message = {.msg_control = trip->line->bytes + ROOM, .msg_controllen = trip->beside};
	PyObject *list = PyList_New(0);

	for (struct cmsghdr *c = CMSG_FIRSTHDR(&message); list && c; c = CMSG_NXTHDR(&message, c)) {
		const Py_ssize_t size = (Py_ssize_t)(c->cmsg_len - CMSG_LEN(0));
		if (append(list, Py_BuildValue("(iiy#)", c->cmsg_level, c->cmsg_type, CMSG_DATA(c), size)) < 0)
			Py_CLEAR(list);
	}
	return list;
}

/* ---- waiting ---- */

static int64_t now(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* Tries for a moment: to be woken on a CPU that sleeps takes longer than the rest of a short call (_connection.py says more). */
static int receive_awake(struct trip *trip)
{
	struct line *line = trip->line;

	if (line->calm > 0 || !line->may_poll) {
		line->calm -= line->calm > 0;
		return 0;
	}
	for (const int64_t until = now() + AWAKE; now() < until; (void)sched_yield()) {
		const int r = receive(trip);
		if (r != 0)
			return r;
	}
	line->calm = CALM;
	return 0;
}

/* As receive, once something comes. 0: look for signals, and come again. One that comes just before poll() begins does not end
 * it; so it ends by itself. */
static int receive_asleep(struct trip *trip)
{
	struct pollfd input = {.fd = trip->fd, .events = POLLIN};

	return poll(&input, 1, SIGNALS) < 0 && errno == EINTR ? 0 : receive(trip);
}

/* As receive, waiting. 0: an exception is set, a signal handler's. */
static int await_bytes(struct trip *trip)
{
	PyThreadState *thread = PyEval_SaveThread();
	int r = receive_awake(trip);

	PyEval_RestoreThread(thread);
	while (r == 0 && PyErr_CheckSignals() == 0) {
		thread = PyEval_SaveThread();
		r = receive_asleep(trip);
		PyEval_RestoreThread(thread);
	}
	return r;
}

/* Waits for the answer, reads it, and copies the bytes of its value to `room`; returns their number. 0: it is left to the Python
 * code, or an exception is set. */
static size_t await_answer(struct trip *trip, uint8_t *room)
{
	const uint8_t *result;

	if (await_bytes(trip) <= 0)
		return 0;
	if (trip->beside > 0) {
		trip->ancillary = list_ancillary(trip);
		return 0;
	}
	const size_t size = wire_result(trip->line->bytes, trip->size, trip->msgid, &result);
	if (size > 0)
		memcpy(room, result, size);
	return size;
}

/* ---- a call ---- */

static int take_fd(struct trip *trip)
{
	PyObject *fd = PyObject_CallNoArgs(trip->line->parts[FILENO]);

	trip->fd = fd ? (int)PyLong_AsLong(fd) : -1;
	Py_XDECREF(fd);
	return PyErr_Occurred() ? -1 : 0;
}

static int take_id(struct trip *trip)
{
	PyObject *next = PyIter_Next(trip->line->parts[IDS]);

	if (!next)
		return -1;
	trip->msgid = (uint32_t)PyLong_AsUnsignedLongMask(next);
	Py_DECREF(next);
	trip->id = PyLong_FromUnsignedLong(trip->msgid);
	return trip->id ? 0 : -1;
}

/* 1: the request is on its way, at least its beginning. 0: it is not. -1: an exception is set. */
static int send_request(struct trip *trip, PyObject *method, PyObject *params)
{
	struct line *line = trip->line;
	const size_t size = wire_pack(line->bytes, trip->msgid, method, line->without_target, params);
	const ssize_t n = size > 0 ? send(trip->fd, line->bytes, size, MSG_DONTWAIT | MSG_NOSIGNAL) : -1;

	if (n < 0)
		return 0;
	if (line->without_target && !(trip->number = PyIter_Next(line->parts[NUMBERS])))
		return -1;
	return (size_t)n == size || keep_rest(line, line->bytes, size, (size_t)n) == 0 ? 1 : -1;
}

static int take_back(const struct trip *trip)
{
	PyObject *none = PyLong_FromLong(0);
	const int r = none ? PyObject_SetAttr(trip->entry, name_id, none) : -1;

	Py_XDECREF(none);
	return r < 0 ? -1 : withdraw(trip);
}

/* Leaves the rest to the Python code. Keeps the exception that is set, if one is. */
static int leave(struct trip *trip)
{
	PyObject *type, *value, *trace;

	PyErr_Fetch(&type, &value, &trace);
	const bool kept = (trip->size == 0 || keep_chunk(trip) == 0) && note_number(trip) == 0;
	if (!kept) /* there is no memory, and nobody would ever read the answer */
		(void)shutdown(trip->fd, SHUT_RDWR);
	if (type)
		PyErr_Restore(type, value, trace);
	return type || !kept ? -1 : 0;
}

/* The size of the value whose bytes are in `room`. 0: it is left to the Python code; -1: an exception is set. */
static ssize_t there_and_back(struct trip *trip, PyObject *method, PyObject *params, uint8_t *room)
{
	size_t size = 0;

	if (take_fd(trip) < 0 || take_id(trip) < 0 || enter(trip) < 0)
		return -1;
	const int sent = send_request(trip, method, params);
	if (sent <= 0)
		return sent < 0 ? -1 : take_back(trip);
	if (is_empty(trip->line->parts[OUT]))
		size = await_answer(trip, room);
	if (size == 0)
		return leave(trip);
	return withdraw(trip) < 0 ? -1 : (ssize_t)size;
}

static PyObject *line_call(PyObject *self, PyObject *const *args, Py_ssize_t count)
{
	struct line *line = (struct line *)self;
	struct trip trip = {.line = line};
	uint8_t room[WIRE_MAX];

	if (count != 3) {
		PyErr_SetString(PyExc_TypeError, "call takes entry, method, params");
		return NULL;
	}
	trip.entry = args[0];
	const int leads = is_quiet(line) ? take_lead(line) : 0;
	if (leads <= 0)
		return leads < 0 ? NULL : Py_NewRef(trip.entry);
	const ssize_t size = there_and_back(&trip, args[1], args[2], room);
	give_lead(line);
	Py_XDECREF(trip.id);
	Py_XDECREF(trip.number);
	Py_XDECREF(trip.ancillary);
	if (size <= 0)
		return size < 0 ? NULL : Py_NewRef(trip.entry);
	return wire_load(room, (size_t)size);
}

/* ---- a notification ---- */

/* The fd of the connection; -1 with an exception set. */
static int fd_of(const struct line *line)
{
	struct trip trip = {.line = (struct line *)line};
	return take_fd(&trip) < 0 ? -1 : trip.fd;
}

/* The socket has taken `sent` bytes of the notification. */
static int note_sent(struct line *line, const uint8_t *bytes, size_t size, size_t sent)
{
	if (line->without_target) {
		PyObject *number = PyIter_Next(line->parts[NUMBERS]);
		if (!number)
			return -1;
		Py_DECREF(number);
	}
	return sent == size ? 0 : keep_rest(line, bytes, size, sent);
}

/* No other thread and no signal handler comes between the looks at the connection and the end. */
static PyObject *line_tell(PyObject *self, PyObject *const *args, Py_ssize_t count)
{
	struct line *line = (struct line *)self;
	uint8_t bytes[WIRE_MAX];

	if (count != 2) {
		PyErr_SetString(PyExc_TypeError, "tell takes method, params");
		return NULL;
	}
	if (!is_empty(line->parts[OUT]) || is_writing(line))
		return Py_NewRef(Py_False);
	const size_t size = wire_pack_notice(bytes, args[0], line->without_target, args[1]);
	const int fd = size > 0 ? fd_of(line) : -1;
	const ssize_t n = fd >= 0 ? send(fd, bytes, size, MSG_DONTWAIT | MSG_NOSIGNAL) : -1;
	if (n < 0)
		return PyErr_Occurred() ? NULL : Py_NewRef(Py_False);
	return note_sent(line, bytes, size, (size_t)n) < 0 ? NULL : Py_NewRef(Py_True);
}

/* ---- the type ---- */

static PyObject *line_new(PyTypeObject *type, PyObject *args, PyObject *keywords)
{
	PyObject *parts[PARTS];
	int control, may_poll;

	(void)keywords;
	if (!PyArg_ParseTuple(args, "O!OO!OOOOOOOOip:Line", &PyDict_Type, &parts[PENDING], &parts[OUT], &PyList_Type,
			      &parts[CHUNKS], &parts[INBOX], &parts[RAW], &parts[FILENO], &parts[TAKE_LEAD], &parts[GIVE_LEAD],
			      &parts[IS_WRITING], &parts[IDS], &parts[NUMBERS], &control, &may_poll))
		return NULL;
	if (control < 0 || control > CONTROL_MAX)
		return PyErr_Format(PyExc_ValueError, "control must be 0 to %d", CONTROL_MAX);
	struct line *line = (struct line *)type->tp_alloc(type, 0);
	if (!line)
		return NULL;
	line->bytes = PyMem_RawMalloc(ROOM + CONTROL_MAX); /* mostly not touched beyond the first page */
	if (!line->bytes) {
		Py_DECREF(line);
		return PyErr_NoMemory();
	}
	for (int i = 0; i < PARTS; i++)
		line->parts[i] = Py_NewRef(parts[i]);
	line->without_target = parts[NUMBERS] != Py_None;
	line->control = control;
	line->may_poll = may_poll;
	return (PyObject *)line;
}

static int line_traverse(PyObject *self, visitproc visit, void *arg)
{
	struct line *line = (struct line *)self;

	for (int i = 0; i < PARTS; i++)
		Py_VISIT(line->parts[i]);
	return 0;
}

static int line_clear(PyObject *self)
{
	struct line *line = (struct line *)self;

	for (int i = 0; i < PARTS; i++)
		Py_CLEAR(line->parts[i]);
	return 0;
}

static void line_dealloc(PyObject *self)
{
	PyObject_GC_UnTrack(self);
	(void)line_clear(self);
	PyMem_RawFree(((struct line *)self)->bytes);
	Py_TYPE(self)->tp_free(self);
}

static PyMethodDef methods[] = {
	{"call", (PyCFunction)(void (*)(void))line_call, METH_FASTCALL,
	 "call(entry, method, params): the value; or the entry, if the call is left to the caller."},
	{"tell", (PyCFunction)(void (*)(void))line_tell, METH_FASTCALL,
	 "tell(method, params): sends a notification. False: nothing has been sent, and it is left to the caller."},
	{NULL, NULL, 0, NULL},
};

PyTypeObject line_type = {
	PyVarObject_HEAD_INIT(NULL, 0).tp_name = "objpool_wire.Line",
	.tp_doc = "The way of small calls on a connection.",
	.tp_basicsize = sizeof(struct line),
	.tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC,
	.tp_new = line_new,
	.tp_traverse = line_traverse,
	.tp_clear = line_clear,
	.tp_dealloc = line_dealloc,
	.tp_methods = methods,
};

int line_init(void)
{
	name_id = PyUnicode_InternFromString("id");
	name_sent = PyUnicode_InternFromString("sent");
	return name_id && name_sent ? PyType_Ready(&line_type) : -1;
}
