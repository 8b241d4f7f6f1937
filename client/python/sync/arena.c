/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Shared memory: arenas, which are memfds, and blocks of them.
 *
 *   arena   [ header | block | block | ...            ]   4 MiB, of which the kernel keeps the pages that were written to
 *
 * A process makes blocks in an arena of its own; a fork begins another. The kernel frees an arena when no process maps it or has
 * its descriptor. A block is used again only if no other process can know it: it was not pickled, and this process has not forked
 * since it was made.
 */
#include "client/python/sync/sync.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stddef.h>
#include <string.h>
#include <structmember.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <unistd.h>

#define MAGIC 0x6f626a706f6f6c31u /* "objpool1" */

enum { ARENA_SIZE = 4 << 20, LINE = 64, PAGE = 4096, CLASSES = 17 /* of sizes: 64 << n */ };

struct header {
	uint64_t magic;
	uint64_t id[2];
	uint64_t namespaces;
	uint64_t size;
};

static struct arena *arenas; /* that this process has */
static unsigned forks;

/* Where this process makes blocks. */
static struct {
	struct arena *arena;
	uint64_t owner;
	size_t used;
	size_t vacant[CLASSES]; /* offset of a block to use again, which begins with the offset of the next one */
} current;

static void count_fork(void)
{
	forks++;
}

int arena_init(void)
{
	if (pthread_atfork(count_fork, NULL, NULL) != 0) {
		PyErr_NoMemory();
		return -1;
	}
	return 0;
}

int memory_file(size_t size)
{
	const int fd = memfd_create("objpool", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	if (fd < 0) {
		PyErr_SetFromErrnoWithFilename(PyExc_OSError, "memfd_create");
		return -1;
	}
	if (ftruncate(fd, (off_t)size) == 0 && fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK) == 0)
		return fd;
	PyErr_SetFromErrno(PyExc_OSError);
	(void)close(fd);
	return -1;
}

/* Takes the descriptor, also if it fails. */
static struct arena *arena_map(int fd, size_t size)
{
	struct arena *arena = PyObject_New(struct arena, &arena_type);
	if (!arena) {
		(void)close(fd);
		return NULL;
	}
	arena->fd = fd;
	arena->size = size;
	arena->next = NULL;
	arena->memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (arena->memory == MAP_FAILED) {
		PyErr_SetFromErrno(PyExc_OSError);
		Py_DECREF(arena);
		return NULL;
	}
	arena->is_foreign = false;
	arena->next = arenas;
	arenas = arena;
	return arena;
}

static struct arena *arena_new(size_t size)
{
	const int fd = memory_file(size);
	struct arena *arena = fd < 0 ? NULL : arena_map(fd, size);
	if (!arena)
		return NULL;
	struct header *header = (void *)arena->memory;
	*header = (struct header){.magic = MAGIC, .namespaces = identity_namespaces(), .size = size};
	if (getrandom(header->id, sizeof header->id, 0) != sizeof header->id) {
		PyErr_SetFromErrno(PyExc_OSError);
		Py_CLEAR(arena);
	}
	return arena;
}

static void arena_dealloc(PyObject *self)
{
	struct arena *arena = (struct arena *)self;

	for (struct arena **link = &arenas; *link; link = &(*link)->next)
		if (*link == arena) {
			*link = arena->next;
			break;
		}
	if (arena->memory != MAP_FAILED)
		(void)munmap(arena->memory, arena->size);
	(void)close(arena->fd);
	PyObject_Free(self);
}

static struct arena *arena_known(const struct header *header)
{
	for (struct arena *arena = arenas; arena; arena = arena->next)
		if (memcmp(((struct header *)(void *)arena->memory)->id, header->id, sizeof header->id) == 0)
			return arena;
	return NULL;
}

/* Arena(fd): the arena of that descriptor, which it takes. */
static PyObject *arena_attach(PyTypeObject *type, PyObject *args, PyObject *keywords)
{
	struct header header;
	int fd;

	(void)type, (void)keywords;
	if (!PyArg_ParseTuple(args, "i:Arena", &fd))
		return NULL;
	const ssize_t size = pread(fd, &header, sizeof header, 0);
	if (size != sizeof header || header.magic != MAGIC || header.size > PTRDIFF_MAX) {
		if (size < 0)
			return PyErr_SetFromErrno(PyExc_OSError);
		PyErr_SetString(PyExc_OSError, "the descriptor is of no shared memory");
		return NULL;
	}
	struct arena *known = arena_known(&header);
	if (known) {
		if (known->fd != fd)
			(void)close(fd);
		return Py_NewRef((PyObject *)known);
	}
	if (fcntl(fd, F_SETFD, FD_CLOEXEC) < 0)
		return PyErr_SetFromErrno(PyExc_OSError);
	struct arena *arena = arena_map(fd, (size_t)header.size);
	if (arena)
		arena->is_foreign = header.namespaces != identity_namespaces();
	return (PyObject *)arena;
}

static PyObject *arena_fileno(PyObject *self, PyObject *unused)
{
	(void)unused;
	return PyLong_FromLong(((struct arena *)self)->fd);
}

static PyMethodDef arena_methods[] = {
	{"fileno", arena_fileno, METH_NOARGS, "fileno(): its descriptor."},
	{NULL, NULL, 0, NULL},
};

PyTypeObject arena_type = {
	PyVarObject_HEAD_INIT(NULL, 0).tp_name = "objpool_sync.Arena",
	.tp_basicsize = sizeof(struct arena),
	.tp_flags = Py_TPFLAGS_DEFAULT,
	.tp_doc = "Arena(fd): shared memory of that descriptor, which it takes.",
	.tp_dealloc = arena_dealloc,
	.tp_methods = arena_methods,
	.tp_new = arena_attach,
};

/* Blocks */

static int class_of(size_t size)
{
	int class = 0;

	while (class < CLASSES - 1 && (size_t)LINE << class < size)
		class ++;
	return class;
}

static struct block *block_at(struct arena *arena, size_t offset, size_t size)
{
	struct block *block = PyObject_New(struct block, &block_type);
	if (!block)
		return NULL;
	block->arena = (struct arena *)Py_NewRef((PyObject *)arena);
	block->offset = offset;
	block->size = size;
	block->forks = forks;
	block->is_exported = false;
	return block;
}

/* A new arena for small blocks. What the one before has is kept by its blocks. */
static bool begin_arena(void)
{
	/* After a fork it is the parent's: the child has this reference to it as the parent has. */
	struct arena *arena = arena_new(ARENA_SIZE);
	if (!arena)
		return false;
	Py_XDECREF((PyObject *)current.arena);
	memset(&current, 0, sizeof current);
	current.arena = arena;
	current.owner = identity_self();
	current.used = LINE;
	return true;
}

struct block *block_new(size_t size)
{
	const int class = class_of(size);
	const size_t whole = (size_t)LINE << class;

	if (whole < size || whole > ARENA_SIZE / 4) {
		struct arena *arena = arena_new(size + PAGE);
		struct block *block = arena ? block_at(arena, PAGE, size) : NULL;
		Py_XDECREF((PyObject *)arena);
		return block;
	}
	if ((!current.arena || current.owner != identity_self()) && !begin_arena())
		return NULL;
	const size_t vacant = current.vacant[class];
	if (vacant) {
		size_t *memory = (void *)(current.arena->memory + vacant);
		current.vacant[class] = *memory;
		memset(memory, 0, whole);
		return block_at(current.arena, vacant, size);
	}
	const size_t align = whole < PAGE ? LINE : PAGE;
	if ((current.used + align - 1) / align * align + whole > ARENA_SIZE && !begin_arena())
		return NULL;
	const size_t offset = (current.used + align - 1) / align * align;
	current.used = offset + whole;
	return block_at(current.arena, offset, size);
}

struct block *block_from(PyObject *args, size_t size)
{
	PyObject *given;

	if (PyTuple_GET_SIZE(args) == 0)
		return block_new(size);
	if (!PyArg_ParseTuple(args, "O!", &block_type, &given))
		return NULL;
	if (((struct block *)given)->size < size) {
		PyErr_SetString(PyExc_ValueError, "the block is too small");
		return NULL;
	}
	return (struct block *)Py_NewRef(given);
}

static void block_dealloc(PyObject *self)
{
	struct block *block = (struct block *)self;
	const int class = class_of(block->size);

	if (block->arena == current.arena && current.owner == identity_self() && block->forks == forks && !block->is_exported) {
		*(size_t *)block_memory(block) = current.vacant[class];
		current.vacant[class] = block->offset;
	}
	Py_DECREF((PyObject *)block->arena);
	PyObject_Free(self);
}

/* Block(size), or Block(arena, offset, size) */
static PyObject *block_make(PyTypeObject *type, PyObject *args, PyObject *keywords)
{
	Py_ssize_t offset, size;
	PyObject *arena;

	(void)type, (void)keywords;
	if (PyTuple_GET_SIZE(args) == 1)
		return PyArg_ParseTuple(args, "n:Block", &size) && size >= 0 ? (PyObject *)block_new((size_t)size)
		       : PyErr_Occurred()                                    ? NULL
					  : PyErr_Format(PyExc_ValueError, "a size can't be negative");
	if (!PyArg_ParseTuple(args, "O!nn:Block", &arena_type, &arena, &offset, &size))
		return NULL;
	const size_t most = ((struct arena *)arena)->size;
	if (offset < LINE || size < 0 || (size_t)size > most || (size_t)offset > most - (size_t)size || offset % 8)
		return PyErr_Format(PyExc_ValueError, "the block lies outside of its arena");
	struct block *block = block_at((struct arena *)arena, (size_t)offset, (size_t)size);
	if (block)
		block->is_exported = true;
	return (PyObject *)block;
}

static PyObject *block_export(PyObject *self, PyObject *unused)
{
	struct block *block = (struct block *)self;

	(void)unused;
	block->is_exported = true;
	return Py_BuildValue("Onn", block->arena, (Py_ssize_t)block->offset, (Py_ssize_t)block->size);
}

static int block_get_buffer(PyObject *self, Py_buffer *view, int flags)
{
	struct block *block = (struct block *)self;

	return PyBuffer_FillInfo(view, self, block_memory(block), (Py_ssize_t)block->size, 0, flags);
}

static PyBufferProcs block_buffer = {.bf_getbuffer = block_get_buffer};

static PyMethodDef block_methods[] = {
	{"export", block_export, METH_NOARGS, "export(): the arguments that make it in a process that has the arena."},
	{NULL, NULL, 0, NULL},
};

PyTypeObject block_type = {
	PyVarObject_HEAD_INIT(NULL, 0).tp_name = "objpool_sync.Block",
	.tp_basicsize = sizeof(struct block),
	.tp_flags = Py_TPFLAGS_DEFAULT,
	.tp_doc = "Block(size), Block(arena, offset, size): a piece of shared memory, at first zero. Has a buffer.",
	.tp_dealloc = block_dealloc,
	.tp_methods = block_methods,
	.tp_as_buffer = &block_buffer,
	.tp_new = block_make,
};
