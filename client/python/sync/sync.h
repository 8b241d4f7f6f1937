/* SPDX-License-Identifier: Apache-2.0 */
/*
 * objpool_sync: locks, semaphores, waiting rooms, events and queues that processes share, and that survive their holders.
 * objpool.compat.multiprocess makes of them what the standard library has (synchronize.py, queues.py, sharedctypes.py).
 *
 *   memory       A memfd that each process maps (arena.c). It has no name, so nothing can stay behind. A fork inherits the
 *                mapping; other processes get the descriptor, and attach. Blocks of it are the objects.
 *   waiting      By futex (wait.c). Each sleep ends after 50 ms at most, and the sleeper looks again: at the state, so
 *                that a wake-up that a killed process owed is only late, and at the process that it waits for.
 *   who          A process is known by pid and start time, in one word (identity.c). A pid that is used again has another
 *                start time. Only a process that has ended altogether is dead: its threads can no longer write.
 *   ownership    Whoever takes something is recorded by the same store that takes it. Where there is more to write, a
 *                guard is held: a lock word as that of Lock. One store commits the change; what can be derived from it is
 *                derived anew by the next that takes the guard, if its holder has died (the `repair` of each file).
 *
 * Processes of different pid or time namespaces can't tell whether one another lives: with them nothing is given back
 * (`is_foreign`).
 */
#ifndef OBJPOOL_SYNC_H
#define OBJPOOL_SYNC_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#if PY_VERSION_HEX < 0x030a0000
static inline PyObject *Py_NewRef(PyObject *object)
{
	Py_INCREF(object);
	return object;
}
#endif

/* Time. */

#define NEVER INT64_MAX

int64_t now_ns(void);

/* The arguments (block=True, timeout=None) as multiprocessing takes them: the time until which to wait. 0: not at all. -1: an
 * exception is set. */
int64_t deadline_from(PyObject *block, PyObject *timeout);

/* Processes. */

#define PID_MASK       0x3fffffffu
#define ABANDONED      0x40000000u /* flags of lock words, which else are identities */
#define WAITED         0x80000000u
#define IDENTITY(word) ((word) & ~(uint64_t)(ABANDONED | WAITED))

/* In a page that is all zero again in a fork, however that is made. NULL: not known yet. */
extern uint64_t *identity_page;

uint64_t identity_find(void);

/* This process's identity, never 0. */
static inline uint64_t identity_self(void)
{
	return identity_page && *identity_page ? *identity_page : identity_find();
}

/* True if that process has ended, with all of its threads. */
bool identity_is_dead(uint64_t identity);

/* The namespaces in which identities mean something. */
uint64_t identity_namespaces(void);

/* The time until which acquire(block=True, timeout=None) waits; -1: an exception. */
int64_t deadline_of(PyObject *const *args, Py_ssize_t count, PyObject *names);

/* Futexes in shared memory. */

/* When to look again whether something has died. */
struct patience {
	int64_t step;
	int64_t next;
};

struct patience patience_begin(void);

/* Sleeps while *word is `seen`, without the GIL: until the deadline, or the time to look again. Returns 1 if it is time to look
 * again, 0 if not yet, -1 with an exception from a signal's handler. */
int patience_sleep(struct patience *patience, const uint32_t *word, uint32_t seen, int64_t deadline);

/* How many were woken. */
int futex_wake(const uint32_t *word, int how_many);

/* Lock words. */

struct word {
	_Atomic uint64_t value; /* 0: free; else the holder's identity, and flags */
};

enum taken { NOT_TAKEN, TAKEN, TAKEN_OVER, FAILED };

enum taken word_take_slowly(struct word *word, int64_t deadline, bool foreign);
void word_wake(struct word *word);

static inline bool word_take_free(struct word *word)
{
	uint64_t nobody = 0;

	return atomic_compare_exchange_strong(&word->value, &nobody, identity_self());
}

/* Takes it, or takes it over from a dead process. Returns FAILED with an exception. */
static inline enum taken word_take(struct word *word, int64_t deadline, bool foreign)
{
	return word_take_free(word) ? TAKEN : word_take_slowly(word, deadline, foreign);
}

/* False: it was free. */
static inline bool word_release(struct word *word)
{
	const uint64_t was = atomic_exchange(&word->value, 0);

	if (was & WAITED)
		word_wake(word);
	return was != 0;
}

/* Takes the guard of a structure in shared memory. If its holder has died, calls `repair`. Returns false with an exception. */
static inline bool guard_take(struct word *guard, bool foreign, void (*repair)(void *), void *object)
{
	const enum taken taken = word_take(guard, NEVER, foreign);

	if (taken == TAKEN_OVER)
		repair(object);
	return taken != FAILED;
}

/* Who has it; 0: nobody. */
static inline uint64_t word_holder(struct word *word)
{
	return IDENTITY(__atomic_load_n((uint64_t *)&word->value, __ATOMIC_RELAXED));
}

/* Memory. */

struct arena {
	PyObject_HEAD struct arena *next; /* of this process */
	char *memory;
	size_t size;
	int fd;
	bool is_foreign;
};

struct block {
	PyObject_HEAD struct arena *arena;
	size_t offset, size;
	unsigned forks; /* of this process, when the block was made */
	bool is_exported;
};

extern PyTypeObject arena_type, block_type;

/* Zeroed memory in an arena of this process. */
struct block *block_new(size_t size);

/* The block that (args) has, which must have that size at least; or a new one, if args is (). A reference; NULL: an exception. */
struct block *block_from(PyObject *args, size_t size);

/* (block,): how an object in shared memory is made in another process. */
PyObject *block_arguments(struct block *block);

static inline void *block_memory(const struct block *block)
{
	return block->arena->memory + block->offset;
}

int arena_init(void);

/* What processes hold: a table in shared memory, under a guard. */

enum { HOLDERS = 1000 };

struct holder {
	uint64_t identity;
	uint32_t count;
	uint32_t tag;
};

struct holders {
	uint32_t used; /* entries that may be in use are below */
	uint32_t unused;
	struct holder entries[HOLDERS];
};

/* This process's entry; made: it is made if there is none. NULL: there is none, or no room. */
struct holder *holders_own(struct holders *holders, bool made);

/* An entry that counts; NULL: none does. */
struct holder *holders_any(struct holders *holders);

uint64_t holders_sum(const struct holders *holders);

/* Removes what dead processes hold. Returns how much that was. */
uint64_t holders_bury(struct holders *holders);

/* A memfd, sealed against shrinking; -1 with an exception. */
int memory_file(size_t size);

extern PyTypeObject lock_type, semaphore_type, room_type, event_type, log_type;

#endif
