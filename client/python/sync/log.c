/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A queue of messages in a memfd of its own, which is as long as it has to be.
 *
 *   [ struct shared | records ...            | ...                      ]
 *   0               AREA                     AREA + WINDOW
 *                   mapped: copied           beyond: pread and pwrite; given back to the kernel once it was read
 *
 *   not wrapped     ....[head  records  tail)......
 *   wrapped         [records  tail)....[head  records  end)
 *
 * A record is its size, and the message; places are counted in lines of 64 bytes. head and tail are one word: one store puts a
 * message or gets it. `count` is derived from the records. What a process has got from a joinable queue, and has not reported as
 * done, it holds: that is counted before the message is got, so what is unfinished is what lies here and what the living hold.
 *
 * The bell is an eventfd, for those that wait by poll(). It is rung before a message is put where there was none, and hushed
 * after the last one was got: a process that dies between may leave it rung too much, until the next that takes the guard.
 */
#include "client/python/sync/sync.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stddef.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <unistd.h>

#define MAGIC 0x6f626a706f6f6c32u /* "objpool2" */

enum {
	AREA = 32768,
	LINE = 64,
	WINDOW = 1 << 20, /* bytes */
	STEP = 1 << 20,   /* bytes; what was read is given back in such steps */
	LARGE = 1 << 16,  /* bytes; copied without the GIL */
	LINES = WINDOW / LINE,
};

/* What sleeps until something changes. */
struct change {
	uint32_t count; /* a futex */
	uint32_t is_awaited;
};

struct shared {
	uint64_t magic;
	uint64_t id[2];
	uint64_t namespaces;
	struct word guard;
	uint64_t places; /* tail << 32 | head */
	uint32_t end;    /* of the records at the end, when wrapped */
	uint32_t count;
	uint32_t max;       /* messages; 0: any number */
	uint32_t lines_max; /* of more than one message; 0: any number */
	uint32_t is_joinable;
	uint32_t done_early; /* reported as done before it was got */
	uint32_t given_back; /* lines; of those beyond the window, these are no memory any more */
	uint32_t written;    /* lines; those beyond have never been written to since */
	uint32_t is_polled;  /* somebody has asked for the bell */
	uint32_t is_rung;
	struct change put, got, done;
	struct holders holders;
};

_Static_assert(sizeof(struct shared) <= AREA, "the records begin after it");

struct places {
	uint32_t head, tail;
};

struct log {
	PyObject_HEAD struct log *next; /* of this process */
	char *memory;
	int fd, bell;
	bool is_foreign;
};

static struct log *logs;

static struct shared *shared_of(struct log *log)
{
	return (void *)log->memory;
}

static struct places places_now(const struct shared *shared)
{
	const uint64_t places = __atomic_load_n(&shared->places, __ATOMIC_ACQUIRE);

	return (struct places){.head = (uint32_t)places, .tail = (uint32_t)(places >> 32)};
}

static void commit(struct shared *shared, struct places places)
{
	__atomic_store_n(&shared->places, (uint64_t)places.tail << 32 | places.head, __ATOMIC_SEQ_CST);
}

/* Making, and finding again */

static int log_map(struct log *log)
{
	log->memory = mmap(NULL, AREA + WINDOW, PROT_READ | PROT_WRITE, MAP_SHARED, log->fd, 0);
	if (log->memory != MAP_FAILED)
		return 0;
	PyErr_SetFromErrno(PyExc_OSError);
	return -1;
}

/* Takes the descriptors, also if it fails. */
static struct log *log_of(PyTypeObject *type, int fd, int bell)
{
	struct log *log = (struct log *)type->tp_alloc(type, 0);
	if (!log) {
		(void)close(fd);
		(void)close(bell);
		return NULL;
	}
	log->fd = fd;
	log->bell = bell;
	if (log_map(log) < 0) {
		Py_DECREF((PyObject *)log);
		return NULL;
	}
	log->next = logs;
	logs = log;
	return log;
}

static struct log *log_begin(PyTypeObject *type)
{
	const int fd = memory_file(AREA + WINDOW);
	if (fd < 0)
		return NULL;
	const int bell = eventfd(0, EFD_CLOEXEC);
	if (bell >= 0)
		return log_of(type, fd, bell);
	PyErr_SetFromErrno(PyExc_OSError);
	(void)close(fd);
	return NULL;
}

static PyObject *log_create(PyTypeObject *type, unsigned int max, unsigned int bytes_max, int is_joinable)
{
	struct log *log = log_begin(type);
	if (!log)
		return NULL;
	struct shared *shared = shared_of(log);
	shared->magic = MAGIC;
	shared->namespaces = identity_namespaces();
	shared->max = max;
	shared->lines_max = bytes_max / LINE;
	shared->is_joinable = (uint32_t)is_joinable;
	if (getrandom(shared->id, sizeof shared->id, 0) != sizeof shared->id) {
		Py_DECREF((PyObject *)log);
		return PyErr_SetFromErrno(PyExc_OSError);
	}
	return (PyObject *)log;
}

/* The same queue may come to a process more than once. */
static PyObject *log_again(struct log *log, int fd, int bell)
{
	if (log->fd != fd)
		(void)close(fd);
	if (log->bell != bell)
		(void)close(bell);
	return Py_NewRef((PyObject *)log);
}

static PyObject *log_attach(PyTypeObject *type, int fd, int bell)
{
	uint64_t begin[4] = {0};

	const ssize_t size = pread(fd, begin, sizeof begin, 0);
	if (size < 0)
		return PyErr_SetFromErrno(PyExc_OSError);
	if (begin[0] != MAGIC)
		return PyErr_Format(PyExc_OSError, "the descriptor is of no queue");
	for (struct log *log = logs; log; log = log->next)
		if (memcmp(shared_of(log)->id, &begin[1], sizeof shared_of(log)->id) == 0)
			return log_again(log, fd, bell);
	if (fcntl(fd, F_SETFD, FD_CLOEXEC) < 0 || fcntl(bell, F_SETFD, FD_CLOEXEC) < 0)
		return PyErr_SetFromErrno(PyExc_OSError);
	struct log *log = log_of(type, fd, bell);
	if (log)
		log->is_foreign = begin[3] != identity_namespaces();
	return (PyObject *)log;
}

/* Log(max, bytes_max, is_joinable), or Log(fd, bell), which takes the descriptors */
static PyObject *log_make(PyTypeObject *type, PyObject *args, PyObject *keywords)
{
	unsigned int max, bytes_max;
	int is_joinable, fd, bell;

	(void)keywords;
	if (PyTuple_GET_SIZE(args) == 2)
		return PyArg_ParseTuple(args, "ii:Log", &fd, &bell) ? log_attach(type, fd, bell) : NULL;
	return PyArg_ParseTuple(args, "IIp:Log", &max, &bytes_max, &is_joinable) ? log_create(type, max, bytes_max, is_joinable)
										 : NULL;
}

static void log_dealloc(PyObject *self)
{
	struct log *log = (struct log *)self;

	for (struct log **link = &logs; *link; link = &(*link)->next)
		if (*link == log) {
			*link = log->next;
			break;
		}
	if (log->memory && log->memory != MAP_FAILED)
		(void)munmap(log->memory, AREA + WINDOW);
	(void)close(log->fd);
	(void)close(log->bell);
	Py_TYPE(self)->tp_free(self);
}

/* Bytes of the records */

static int area_write(struct log *log, uint64_t offset, const char *data, size_t size)
{
	if (offset + size <= WINDOW) {
		memcpy(log->memory + AREA + offset, data, size);
		return 0;
	}
	while (size) {
		const ssize_t done = pwrite(log->fd, data, size, (off_t)(AREA + offset));
		if (done < 0 && errno != EINTR)
			return -errno;
		if (done > 0)
			data += done, offset += (size_t)done, size -= (size_t)done;
	}
	return 0;
}

static int area_read(struct log *log, uint64_t offset, char *data, size_t size)
{
	if (offset + size <= WINDOW) {
		memcpy(data, log->memory + AREA + offset, size);
		return 0;
	}
	while (size) {
		const ssize_t done = pread(log->fd, data, size, (off_t)(AREA + offset));
		if (done == 0)
			return -EIO;
		if (done < 0 && errno != EINTR)
			return -errno;
		if (done > 0)
			data += done, offset += (size_t)done, size -= (size_t)done;
	}
	return 0;
}

static uint64_t lines_of(uint64_t size)
{
	return (sizeof(uint64_t) + size + LINE - 1) / LINE;
}

static int record_size(struct log *log, uint32_t place, uint64_t *size)
{
	return area_read(log, (uint64_t)place * LINE, (char *)size, sizeof *size);
}

/* The places once the record of so many lines at the head is got. */
static struct places without_first(const struct shared *shared, struct places places, uint64_t lines)
{
	const bool is_wrapped = places.tail < places.head;

	places.head += (uint32_t)lines;
	if (is_wrapped && places.head == shared->end)
		places.head = 0;
	if (places.head == places.tail)
		places.head = places.tail = 0;
	return places;
}

static void ring(struct log *log)
{
	const uint64_t one = 1;

	if (shared_of(log)->is_polled && !shared_of(log)->is_rung && write(log->bell, &one, sizeof one) > 0)
		shared_of(log)->is_rung = 1;
}

static void hush(struct log *log)
{
	struct pollfd bell = {.fd = log->bell, .events = POLLIN};
	uint64_t rung;

	if (!shared_of(log)->is_rung || shared_of(log)->count)
		return;
	shared_of(log)->is_rung = 0;
	if (poll(&bell, 1, 0) > 0 && read(log->bell, &rung, sizeof rung) < 0)
		shared_of(log)->is_rung = 1;
}

static void repair(void *object)
{
	struct log *log = object;
	struct shared *shared = shared_of(log);
	struct places places = places_now(shared);
	uint32_t count = 0;
	uint64_t size;

	while (places.head != places.tail && record_size(log, places.head, &size) == 0) {
		places = without_first(shared, places, lines_of(size));
		count++;
	}
	shared->count = count;
	shared->is_rung = shared->is_polled;
	hush(log);
	shared->put.is_awaited = shared->got.is_awaited = shared->done.is_awaited = 1;
}

static void tell(struct change *change, int how_many)
{
	change->count++;
	if (change->is_awaited && futex_wake(&change->count, how_many) == 0)
		change->is_awaited = 0;
}

/* Sleeps until the change; gives up the guard, which it does not take again. As patience_sleep. */
static int await(struct shared *shared, struct change *change, struct patience *patience, int64_t deadline)
{
	const uint32_t seen = change->count;

	change->is_awaited = 1;
	(void)word_release(&shared->guard);
	if (!patience->step)
		*patience = patience_begin();
	return patience_sleep(patience, &change->count, seen, deadline);
}

static bool take_guard(struct log *log)
{
	return guard_take(&shared_of(log)->guard, log->is_foreign, repair, log);
}

/* Putting */

/* Moves the records at the beginning behind those at the end, over nothing that is in use. */
static int unwrap(struct log *log, struct places *places)
{
	struct shared *shared = shared_of(log);
	char *copy = PyMem_RawMalloc(STEP);
	const uint64_t end = (uint64_t)shared->end * LINE, size = (uint64_t)places->tail * LINE;
	int error = copy ? 0 : -ENOMEM;

	for (uint64_t at = 0; at < size && !error; at += STEP) {
		const size_t part = size - at < STEP ? (size_t)(size - at) : STEP;
		error = area_read(log, at, copy, part);
		if (!error)
			error = area_write(log, end + at, copy, part);
	}
	PyMem_RawFree(copy);
	if (error)
		return error;
	places->tail += shared->end;
	if (shared->written < places->tail)
		shared->written = places->tail;
	commit(shared, *places);
	return 0;
}

/* Where a record of so many lines goes: the new places, of which `start` is the record's. */
static int find_place(struct log *log, uint64_t lines, uint32_t *start, struct places *places)
{
	struct shared *shared = shared_of(log);
	int error;

	*places = places_now(shared);
	if (places->tail < places->head && places->tail + lines >= places->head && (error = unwrap(log, places)) < 0)
		return error;
	*start = places->tail;
	if (places->tail >= places->head && places->tail + lines > LINES && lines < places->head) {
		shared->end = places->tail;
		*start = 0;
	}
	if (*start + lines > UINT32_MAX)
		return -ENOSPC;
	places->tail = (uint32_t)(*start + lines);
	return 0;
}

static int write_record(struct log *log, uint32_t start, const Py_buffer *message)
{
	const uint64_t offset = (uint64_t)start * LINE, size = (uint64_t)message->len;
	const int error = area_write(log, offset, (const char *)&size, sizeof size);

	return error ? error : area_write(log, offset + sizeof size, message->buf, (size_t)size);
}

/* Under the guard. */
static int put_one(struct log *log, const Py_buffer *message)
{
	struct shared *shared = shared_of(log);
	struct places places;
	uint32_t start;

	int error = find_place(log, lines_of((uint64_t)message->len), &start, &places);
	if (error)
		return error;
	if (shared->written < places.tail)
		shared->written = places.tail;
	if (message->len < LARGE)
		error = write_record(log, start, message);
	else {
		Py_BEGIN_ALLOW_THREADS error = write_record(log, start, message);
		Py_END_ALLOW_THREADS
	}
	if (error)
		return error;
	ring(log);
	commit(shared, places);
	shared->count++;
	tell(&shared->put, 1);
	return 0;
}

static bool has_room(const struct shared *shared, uint64_t size)
{
	const struct places places = places_now(shared);
	const uint64_t end = places.tail < places.head ? shared->end : 0, used = end + places.tail - places.head;

	if (shared->max && shared->count >= shared->max)
		return false;
	return !shared->lines_max || !shared->count || used + lines_of(size) <= shared->lines_max;
}

static PyObject *put_until(struct log *log, const Py_buffer *message, int64_t deadline)
{
	struct shared *shared = shared_of(log);
	struct patience patience = {.step = 0};

	for (;;) {
		if (!take_guard(log))
			return NULL;
		if (has_room(shared, (uint64_t)message->len)) {
			const int error = put_one(log, message);
			(void)word_release(&shared->guard);
			if (!error)
				return Py_NewRef(Py_True);
			errno = -error;
			return PyErr_SetFromErrno(PyExc_OSError);
		}
		if (deadline != NEVER && now_ns() >= deadline) {
			(void)word_release(&shared->guard);
			return Py_NewRef(Py_False);
		}
		if (await(shared, &shared->got, &patience, deadline) < 0)
			return NULL;
	}
}

/* put(message, block=True, timeout=None) */
static PyObject *log_put(PyObject *self, PyObject *const *args, Py_ssize_t count)
{
	Py_buffer message;

	if (count < 1)
		return PyErr_Format(PyExc_TypeError, "a message is needed");
	const int64_t deadline = count > 1 ? deadline_of(args + 1, count - 1, NULL) : NEVER;
	if (deadline < 0 || PyObject_GetBuffer(args[0], &message, PyBUF_SIMPLE) < 0)
		return NULL;
	PyObject *result = put_until((struct log *)self, &message, deadline);
	PyBuffer_Release(&message);
	return result;
}

/* Getting */

static void give_back(struct log *log, uint32_t from, uint32_t to)
{
	if (to > from)
		(void)fallocate(log->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, AREA + (off_t)from * LINE,
				(off_t)(to - from) * LINE);
}

/* Gives memory beyond the window back to the kernel that has been read. */
static void trim(struct log *log, struct places places)
{
	struct shared *shared = shared_of(log);
	const bool is_in_window = places.tail >= places.head && places.tail <= LINES;

	if (is_in_window && shared->written > LINES) {
		give_back(log, LINES, shared->written);
		shared->written = shared->given_back = 0;
		return;
	}
	const uint32_t from = shared->given_back > LINES ? shared->given_back : LINES;
	if (places.tail >= places.head && places.head > from && places.head - from >= STEP / LINE) {
		give_back(log, from, places.head);
		shared->given_back = places.head;
	}
}

static PyObject *read_record(struct log *log, uint32_t place, uint64_t *size)
{
	int error = record_size(log, place, size);
	PyObject *message = error || *size > PY_SSIZE_T_MAX ? NULL : PyBytes_FromStringAndSize(NULL, (Py_ssize_t)*size);

	if (message) {
		const uint64_t offset = (uint64_t)place * LINE + sizeof *size;
		if (*size < LARGE)
			error = area_read(log, offset, PyBytes_AS_STRING(message), (size_t)*size);
		else {
			Py_BEGIN_ALLOW_THREADS error = area_read(log, offset, PyBytes_AS_STRING(message), (size_t)*size);
			Py_END_ALLOW_THREADS
		}
	}
	if (!error)
		return message;
	Py_XDECREF(message);
	errno = -error;
	return PyErr_SetFromErrno(PyExc_OSError);
}

/* Under the guard. If there is no room for one more process, what it gets counts as done at once. */
static void hold_one(struct shared *shared)
{
	struct holder *own = shared->is_joinable ? holders_own(&shared->holders, true) : NULL;

	if (own)
		own->count++;
}

static PyObject *get_one(struct log *log)
{
	struct shared *shared = shared_of(log);
	struct places places = places_now(shared);
	uint64_t size;

	PyObject *message = read_record(log, places.head, &size);
	if (!message)
		return NULL;
	places = without_first(shared, places, lines_of(size));
	hold_one(shared);
	commit(shared, places);
	shared->count--;
	hush(log);
	tell(&shared->got, 1);
	if (shared->written > LINES)
		trim(log, places);
	return message;
}

static PyObject *get_until(struct log *log, int64_t deadline)
{
	struct shared *shared = shared_of(log);
	struct patience patience = {.step = 0};

	for (;;) {
		if (!take_guard(log))
			return NULL;
		if (shared->count) {
			PyObject *message = get_one(log);
			(void)word_release(&shared->guard);
			return message;
		}
		if (deadline != NEVER && now_ns() >= deadline) {
			(void)word_release(&shared->guard);
			return Py_NewRef(Py_None);
		}
		if (await(shared, &shared->put, &patience, deadline) < 0)
			return NULL;
	}
}

/* get(block=True, timeout=None) */
static PyObject *log_get(PyObject *self, PyObject *const *args, Py_ssize_t count)
{
	const int64_t deadline = count ? deadline_of(args, count, NULL) : NEVER;

	return deadline < 0 ? NULL : get_until((struct log *)self, deadline);
}

/* What is unfinished */

static uint64_t unfinished(const struct shared *shared)
{
	const uint64_t open = shared->count + holders_sum(&shared->holders);

	return open > shared->done_early ? open - shared->done_early : 0;
}

/* task_done(): False: nothing is unfinished. */
static PyObject *log_task_done(PyObject *self, PyObject *unused)
{
	struct log *log = (struct log *)self;
	struct shared *shared = shared_of(log);

	(void)unused;
	if (!take_guard(log))
		return NULL;
	const bool is_open = unfinished(shared) != 0;
	if (is_open) {
		struct holder *own = holders_own(&shared->holders, false);
		struct holder *holder = own && own->count ? own : holders_any(&shared->holders);
		if (holder)
			holder->count--;
		else
			shared->done_early++;
		if (!unfinished(shared))
			tell(&shared->done, INT_MAX);
	}
	(void)word_release(&shared->guard);
	return PyBool_FromLong(is_open);
}

/* join(): returns when nothing is unfinished. */
static PyObject *log_join(PyObject *self, PyObject *unused)
{
	struct log *log = (struct log *)self;
	struct shared *shared = shared_of(log);
	struct patience patience = {.step = 0};
	int look = 1;

	(void)unused;
	for (;;) {
		if (!take_guard(log))
			return NULL;
		if (look && !log->is_foreign && holders_bury(&shared->holders))
			tell(&shared->done, INT_MAX);
		if (!unfinished(shared)) {
			(void)word_release(&shared->guard);
			return Py_NewRef(Py_None);
		}
		look = await(shared, &shared->done, &patience, NEVER);
		if (look < 0)
			return NULL;
	}
}

/* poll(timeout): whether there is a message; waits for one. */
static PyObject *log_poll(PyObject *self, PyObject *args)
{
	struct log *log = (struct log *)self;
	struct shared *shared = shared_of(log);
	struct patience patience = {.step = 0};
	PyObject *timeout;

	if (!PyArg_ParseTuple(args, "O:poll", &timeout))
		return NULL;
	const int64_t deadline = deadline_from(NULL, timeout);
	if (deadline < 0)
		return NULL;
	for (;;) {
		if (!take_guard(log))
			return NULL;
		if (shared->count || (deadline != NEVER && now_ns() >= deadline)) {
			const bool is_there = shared->count != 0;
			if (is_there)
				tell(&shared->put, 1); /* this may have been woken in place of somebody who gets it */
			(void)word_release(&shared->guard);
			return PyBool_FromLong(is_there);
		}
		if (await(shared, &shared->put, &patience, deadline) < 0)
			return NULL;
	}
}

static PyObject *log_count(PyObject *self, PyObject *unused)
{
	struct log *log = (struct log *)self;

	(void)unused;
	if (word_holder(&shared_of(log)->guard)) { /* it may be dead, and the number wrong */
		if (!take_guard(log))
			return NULL;
		(void)word_release(&shared_of(log)->guard);
	}
	return PyLong_FromUnsignedLong(__atomic_load_n(&shared_of(log)->count, __ATOMIC_ACQUIRE));
}

/* bell(): a descriptor that is readable while there is a message; it may be, too, when there is none. */
static PyObject *log_bell(PyObject *self, PyObject *unused)
{
	struct log *log = (struct log *)self;
	struct shared *shared = shared_of(log);

	(void)unused;
	if (!shared->is_polled) {
		if (!take_guard(log))
			return NULL;
		shared->is_polled = 1;
		if (shared->count)
			ring(log);
		(void)word_release(&shared->guard);
	}
	return PyLong_FromLong(log->bell);
}

static PyObject *log_files(PyObject *self, PyObject *unused)
{
	(void)unused;
	return Py_BuildValue("ii", ((struct log *)self)->fd, ((struct log *)self)->bell);
}

static PyObject *log_fileno(PyObject *self, PyObject *unused)
{
	(void)unused;
	return PyLong_FromLong(((struct log *)self)->fd);
}

static PyMethodDef methods[] = {
	{"put", (PyCFunction)(void (*)(void))log_put, METH_FASTCALL,
	 "put(message, block=True, timeout=None): False: it is full."},
	{"get", (PyCFunction)(void (*)(void))log_get, METH_FASTCALL,
	 "get(block=True, timeout=None): the message; None: there is none."},
	{"poll", log_poll, METH_VARARGS, "poll(timeout): whether there is a message; waits for one."},
	{"count", log_count, METH_NOARGS, "count(): how many messages there are."},
	{"task_done", log_task_done, METH_NOARGS, "task_done(): False: nothing is unfinished."},
	{"join", log_join, METH_NOARGS, "join(): returns when nothing is unfinished that a living process could finish."},
	{"bell", log_bell, METH_NOARGS, "bell(): a descriptor that is readable while there is a message."},
	{"files", log_files, METH_NOARGS, "files(): its two descriptors, of the memory and of the bell."},
	{"fileno", log_fileno, METH_NOARGS, "fileno(): its descriptor."},
	{NULL, NULL, 0, NULL},
};

PyTypeObject log_type = {
	PyVarObject_HEAD_INIT(NULL, 0).tp_name = "objpool_sync.Log",
	.tp_basicsize = sizeof(struct log),
	.tp_flags = Py_TPFLAGS_DEFAULT,
	.tp_doc = "Log(max, bytes_max, is_joinable), Log(fd, bell): a queue of messages; 0: of any number, of any size.",
	.tp_dealloc = log_dealloc,
	.tp_methods = methods,
	.tp_new = log_make,
};
