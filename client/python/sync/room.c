/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A waiting room: a chair for each thread that waits. Condition and Barrier are made of it (synchronize.py).
 *
 *   chair: identity 0                   vacant
 *   chair: identity, WAITING            somebody waits
 *   chair: identity, another state      it was told that, and may go
 *
 * What a process was told that has died since, another one hears that waited at that time: those that wait look for such chairs.
 * So to tell takes no look at who lives.
 *
 * A chair is taken and vacated by one store each, that of the identity. The room has members, too: processes that a barrier
 * counts on (`tag`: in which round they took part last).
 */
#include "client/python/sync/sync.h"

#include <stddef.h>

enum { CHAIRS = 4096, WAITING = 1, GLANCE = 8 /* processes that one look is for */ };

struct chair {
	uint64_t identity;
	uint32_t state; /* a futex */
	uint32_t order; /* of sitting down; then of being told */
};

struct shared {
	uint32_t word; /* for the owner of the room */
	uint32_t next_order;
	uint32_t used; /* taken chairs are below */
	uint32_t unused;
	struct chair chairs[CHAIRS];
	struct holders members;
};

struct room {
	PyObject_HEAD struct block *block;
	struct shared *shared;
	uint32_t looked_at;
};

static struct shared *shared_of(PyObject *self)
{
	return ((struct room *)self)->shared;
}

static PyObject *room_make(PyTypeObject *type, PyObject *args, PyObject *keywords)
{
	if (keywords && PyDict_GET_SIZE(keywords))
		return PyErr_Format(PyExc_TypeError, "no keywords are taken");
	struct block *block = block_from(args, sizeof(struct shared));
	struct room *room = block ? (struct room *)type->tp_alloc(type, 0) : NULL;
	if (!room) {
		Py_XDECREF((PyObject *)block);
		return NULL;
	}
	room->block = block;
	room->shared = block_memory(block);
	return (PyObject *)room;
}

static void room_dealloc(PyObject *self)
{
	PyTypeObject *type = Py_TYPE(self);

	Py_DECREF((PyObject *)((struct room *)self)->block);
	type->tp_free(self);
}

static uint32_t used(const struct shared *shared)
{
	const uint32_t end = __atomic_load_n(&shared->used, __ATOMIC_ACQUIRE);

	return end < CHAIRS ? end : CHAIRS;
}

static bool can_tell(PyObject *self)
{
	return !((struct room *)self)->block->arena->is_foreign;
}

static bool is_waiting(const struct chair *chair)
{
	return __atomic_load_n(&chair->identity, __ATOMIC_ACQUIRE) && __atomic_load_n(&chair->state, __ATOMIC_ACQUIRE) == WAITING;
}

static bool claim(struct chair *chair, uint32_t order)
{
	uint64_t nobody = 0;

	if (!__atomic_compare_exchange_n(&chair->identity, &nobody, identity_self(), false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
		return false;
	chair->order = order;
	__atomic_store_n(&chair->state, WAITING, __ATOMIC_RELEASE);
	return true;
}

/* A process may die between the two stores of claim(): then the state is that of a vacant chair, 0. */
static void vacate(struct chair *chair)
{
	__atomic_store_n(&chair->state, 0, __ATOMIC_RELEASE);
	__atomic_store_n(&chair->identity, 0, __ATOMIC_RELEASE);
}

static void vacate_dead(struct shared *shared)
{
	for (uint32_t i = 0; i < used(shared); i++) {
		struct chair *chair = &shared->chairs[i];
		if (chair->identity && identity_is_dead(chair->identity))
			vacate(chair);
	}
}

static int take_chair(struct shared *shared)
{
	const uint32_t order = __atomic_fetch_add(&shared->next_order, 1, __ATOMIC_SEQ_CST);

	for (uint32_t i = 0; i < CHAIRS; i++) {
		if (!claim(&shared->chairs[i], order))
			continue;
		uint32_t end = used(shared);
		while (end <= i &&
		       !__atomic_compare_exchange_n(&shared->used, &end, i + 1, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
			;
		return (int)i;
	}
	return -1;
}

static PyObject *room_enter(PyObject *self, PyObject *unused)
{
	struct shared *shared = shared_of(self);
	int chair = take_chair(shared);

	(void)unused;
	if (chair < 0 && can_tell(self)) {
		vacate_dead(shared);
		chair = take_chair(shared);
	}
	return chair < 0 ? PyErr_Format(PyExc_OSError, "%d threads wait already, more can't", CHAIRS) : PyLong_FromLong(chair);
}

static struct chair *chair_of(PyObject *self, unsigned long index)
{
	return &shared_of(self)->chairs[index % CHAIRS];
}

static bool is_told(const struct chair *chair)
{
	return chair->identity && __atomic_load_n(&chair->state, __ATOMIC_ACQUIRE) > WAITING;
}

/* Takes over what one was told that has died, while `mine` waited. */
static void hear_for_dead(struct shared *shared, struct chair *mine)
{
	for (uint32_t i = 0; i < used(shared); i++) {
		struct chair *chair = &shared->chairs[i];
		uint32_t waiting = WAITING, state = chair->state;
		if (!is_told(chair) || (int32_t)(chair->order - mine->order) < 0 || !identity_is_dead(chair->identity))
			continue;
		/* One of those that look gets it. */
		if (state <= WAITING ||
		    !__atomic_compare_exchange_n(&chair->state, &state, 0, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
			continue;
		vacate(chair);
		(void)__atomic_compare_exchange_n(&mine->state, &waiting, state, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
		return;
	}
}

/* sleep(chair, timeout): what it was told; 0: nothing by then. */
static PyObject *room_sleep(PyObject *self, PyObject *args)
{
	unsigned int index;
	PyObject *timeout;

	if (!PyArg_ParseTuple(args, "IO:sleep", &index, &timeout))
		return NULL;
	struct chair *chair = chair_of(self, index);
	const int64_t deadline = deadline_from(NULL, timeout);
	if (deadline < 0)
		return NULL;
	struct patience patience = patience_begin();
	while (is_waiting(chair)) {
		if (deadline != NEVER && now_ns() >= deadline)
			return PyLong_FromLong(0);
		const int look = patience_sleep(&patience, &chair->state, WAITING, deadline);
		if (look < 0)
			return NULL;
		if (look && can_tell(self))
			hear_for_dead(shared_of(self), chair);
	}
	return PyLong_FromUnsignedLong(chair->state);
}

/* leave(chair): what it was told; 0: nothing. */
static PyObject *room_leave(PyObject *self, PyObject *index)
{
	const unsigned long at = PyLong_AsUnsignedLong(index);
	if (at == (unsigned long)-1 && PyErr_Occurred())
		return NULL;
	struct chair *chair = chair_of(self, at);
	const uint32_t state = __atomic_load_n(&chair->state, __ATOMIC_ACQUIRE);
	vacate(chair);
	return PyLong_FromUnsignedLong(state == WAITING ? 0 : state);
}

static struct chair *longest_waiting(struct shared *shared)
{
	struct chair *first = NULL;

	for (uint32_t i = 0; i < used(shared); i++) {
		struct chair *chair = &shared->chairs[i];
		if (is_waiting(chair) && (!first || (int32_t)(chair->order - first->order) < 0))
			first = chair;
	}
	return first;
}

/* tell(n, state): tells the n that have waited longest. Returns how many. */
static PyObject *room_tell(PyObject *self, PyObject *args)
{
	struct shared *shared = shared_of(self);
	Py_ssize_t most, told = 0;
	unsigned int state;

	if (!PyArg_ParseTuple(args, "nI:tell", &most, &state))
		return NULL;
	while (told < most) {
		struct chair *chair = longest_waiting(shared);
		uint32_t waiting = WAITING;
		if (!chair)
			break;
		chair->order = __atomic_fetch_add(&shared->next_order, 1, __ATOMIC_SEQ_CST);
		if (!__atomic_compare_exchange_n(&chair->state, &waiting, state, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
			continue;
		(void)futex_wake(&chair->state, 1);
		told++;
	}
	return PyLong_FromSsize_t(told);
}

static PyObject *room_waiting(PyObject *self, PyObject *unused)
{
	struct shared *shared = shared_of(self);
	long count = 0;

	(void)unused;
	for (uint32_t i = 0; i < used(shared); i++)
		count += is_waiting(&shared->chairs[i]);
	return PyLong_FromLong(count);
}

/* Members. Under a guard of the owner's. */

/* join(round): this process, and all who wait, are members. What took part in earlier rounds only is no member any more. */
static PyObject *room_join(PyObject *self, PyObject *round)
{
	struct shared *shared = shared_of(self);
	const uint32_t tag = (uint32_t)PyLong_AsUnsignedLongMask(round);
	uint32_t members = 0;

	if (PyErr_Occurred())
		return NULL;
	for (uint32_t i = 0; i < used(shared); i++) {
		const struct chair *chair = &shared->chairs[i];
		if (is_waiting(chair) && members < HOLDERS)
			shared->members.entries[members++] = (struct holder){.identity = chair->identity, .count = 1, .tag = tag};
	}
	if (members < HOLDERS)
		shared->members.entries[members++] = (struct holder){.identity = identity_self(), .count = 1, .tag = tag};
	shared->members.used = members;
	return Py_NewRef(Py_None);
}

/* quit(): this process is no member any more. */
static PyObject *room_quit(PyObject *self, PyObject *unused)
{
	struct shared *shared = shared_of(self);

	(void)unused;
	for (uint32_t i = 0; i < shared->members.used && i < HOLDERS; i++)
		if (shared->members.entries[i].identity == identity_self())
			shared->members.entries[i].identity = 0;
	return Py_NewRef(Py_None);
}

static uint64_t nth_of_all(struct shared *shared, uint32_t n)
{
	const uint32_t chairs = used(shared);

	if (n < chairs)
		return shared->chairs[n].identity;
	n -= chairs;
	return n < shared->members.used && n < HOLDERS ? shared->members.entries[n].identity : 0;
}

/* has_lost(everybody): whether one who waits, or a member, has died. Not everybody: looks at a few of them, by turns. */
static PyObject *room_has_lost(PyObject *self, PyObject *everybody)
{
	struct room *room = (struct room *)self;
	const uint32_t all = used(room->shared) + room->shared->members.used;
	const uint32_t most = everybody == Py_True || all < GLANCE ? all : GLANCE;
	bool has_lost = false;

	for (uint32_t i = 0; i < most && can_tell(self) && !has_lost; i++) {
		const uint64_t identity = nth_of_all(room->shared, room->looked_at++ % all);
		has_lost = identity && identity_is_dead(identity);
	}
	return PyBool_FromLong(has_lost);
}

/* forget(): vacates the chairs of the dead, and has no members any more. */
static PyObject *room_forget(PyObject *self, PyObject *unused)
{
	struct shared *shared = shared_of(self);

	(void)unused;
	if (can_tell(self))
		vacate_dead(shared);
	shared->members.used = 0;
	return Py_NewRef(Py_None);
}

static PyObject *room_arguments(PyObject *self, PyObject *unused)
{
	(void)unused;
	return PyTuple_Pack(1, ((struct room *)self)->block);
}

static PyObject *room_get_word(PyObject *self, void *unused)
{
	(void)unused;
	return PyLong_FromUnsignedLong(__atomic_load_n(&shared_of(self)->word, __ATOMIC_ACQUIRE));
}

static int room_set_word(PyObject *self, PyObject *value, void *unused)
{
	(void)unused;
	const unsigned long word = value ? PyLong_AsUnsignedLongMask(value) : 0;
	if (PyErr_Occurred())
		return -1;
	__atomic_store_n(&shared_of(self)->word, (uint32_t)word, __ATOMIC_RELEASE);
	return 0;
}

static PyMethodDef methods[] = {
	{"enter", room_enter, METH_NOARGS, "enter(): the number of a chair, in which this thread waits."},
	{"sleep", room_sleep, METH_VARARGS, "sleep(chair, timeout): what it was told; 0: nothing by then."},
	{"leave", room_leave, METH_O, "leave(chair): what it was told; 0: nothing."},
	{"tell", room_tell, METH_VARARGS,
	 "tell(n, state): tells the n that have waited longest; state is 2 or more. How many it told."},
	{"waiting", room_waiting, METH_NOARGS, "waiting(): how many wait."},
	{"join", room_join, METH_O, "join(round): this process, and those that wait, are the members."},
	{"quit", room_quit, METH_NOARGS, "quit(): this process is no member."},
	{"has_lost", room_has_lost, METH_O,
	 "has_lost(everybody): whether one that waits, or a member, has died; else looks at a few."},
	{"forget", room_forget, METH_NOARGS, "forget(): those that have died don't wait any more, and nobody is a member."},
	{"_arguments", room_arguments, METH_NOARGS, "What makes it in another process."},
	{NULL, NULL, 0, NULL},
};

static PyGetSetDef attributes[] = {
	{"word", room_get_word, room_set_word, "A number for the owner of the room.", NULL},
	{NULL, NULL, NULL, NULL, NULL},
};

PyTypeObject room_type = {
	PyVarObject_HEAD_INIT(NULL, 0).tp_name = "objpool_sync.Room",
	.tp_basicsize = sizeof(struct room),
	.tp_flags = Py_TPFLAGS_DEFAULT,
	.tp_doc = "Room(), Room(block)",
	.tp_dealloc = room_dealloc,
	.tp_methods = methods,
	.tp_getset = attributes,
	.tp_new = room_make,
};
