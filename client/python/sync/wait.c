/* SPDX-License-Identifier: Apache-2.0 */
#include "client/python/sync/sync.h"

#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <math.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { SECOND = 1000000000, FIRST_LOOK = 1000000, LAST_STEP = 50000000 }; /* ns */

int64_t now_ns(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * SECOND + now.tv_nsec;
}

int64_t deadline_from(PyObject *block, PyObject *timeout)
{
	const int blocks = block ? PyObject_IsTrue(block) : 1;
	if (blocks < 0)
		return -1;
	if (!blocks)
		return 0;
	if (!timeout || timeout == Py_None)
		return NEVER;
	const double seconds = PyFloat_AsDouble(timeout);
	if (seconds == -1 && PyErr_Occurred())
		return -1;
	if (isnan(seconds)) {
		PyErr_SetString(PyExc_ValueError, "the timeout is not a number");
		return -1;
	}
	if (seconds <= 0)
		return 0;
	return seconds > 1e9 ? NEVER : now_ns() + (int64_t)(seconds * SECOND);
}

int64_t deadline_of(PyObject *const *args, Py_ssize_t count, PyObject *names)
{
	static const char *const known[] = {"block", "timeout"};
	PyObject *given[2] = {NULL, NULL};

	if (count > 2) {
		PyErr_SetString(PyExc_TypeError, "at most two arguments are taken: block, timeout");
		return -1;
	}
	for (Py_ssize_t i = 0; i < count; i++)
		given[i] = args[i];
	for (Py_ssize_t i = 0; names && i < PyTuple_GET_SIZE(names); i++) {
		PyObject *name = PyTuple_GET_ITEM(names, i);
		const int which = PyUnicode_CompareWithASCIIString(name, known[0]) == 0   ? 0
				  : PyUnicode_CompareWithASCIIString(name, known[1]) == 0 ? 1
											  : -1;
		if (which < 0 || given[which]) {
			PyErr_Format(PyExc_TypeError, "an unknown or repeated argument: %U", name);
			return -1;
		}
		given[which] = args[count + i];
	}
	return deadline_from(given[0], given[1]);
}

struct patience patience_begin(void)
{
	return (struct patience){.step = FIRST_LOOK, .next = now_ns() + FIRST_LOOK};
}

static int futex_sleep(const uint32_t *word, uint32_t seen, int64_t until)
{
	const long end[] = {(long)(until / SECOND), (long)(until % SECOND)}; /* as this call has it, also where time_t is wider */

	return syscall(SYS_futex, word, FUTEX_WAIT_BITSET, seen, end, NULL, FUTEX_BITSET_MATCH_ANY) < 0 ? -errno : 0;
}

int patience_sleep(struct patience *patience, const uint32_t *word, uint32_t seen, int64_t deadline)
{
	const int64_t until = deadline < patience->next ? deadline : patience->next;
	int result;

	Py_BEGIN_ALLOW_THREADS result = futex_sleep(word, seen, until);
	/* A signal that comes just before the system call does not end it: so look for signals after each. */
	Py_END_ALLOW_THREADS if (result != 0 && PyErr_CheckSignals() < 0) return -1;
	if (result != -ETIMEDOUT)
		return 0;
	if (patience->step < LAST_STEP)
		patience->step *= 2;
	patience->next = now_ns() + patience->step;
	return 1;
}

int futex_wake(const uint32_t *word, int how_many)
{
	return (int)syscall(SYS_futex, word, FUTEX_WAKE, how_many, NULL, NULL, 0);
}
