/* SPDX-License-Identifier: Apache-2.0 */
/*
 * failing: allocations that fail when a test says so. The program is linked with -Wl,--wrap for these functions
 * (tests/tests.mk), so that what it was built from gets no memory, and the libraries that it uses do. Included by one file of a
 * program.
 */
#ifndef TESTS_FAILING_H
#define TESTS_FAILING_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

/* Which allocation fails; may lie in memory that is shared with a child. */
struct failing {
	atomic_int left;  /* how many succeed before; negative: none fails */
	atomic_int asked; /* how many there were since failing_begin */
	bool lasting;     /* all after it fail, too */
};

static _Thread_local struct failing *failing; /* NULL: none fails on this thread */

/* From now on: `left` allocations succeed, then one fails. */
static inline void failing_begin(struct failing *plan, int left, bool lasting)
{
	plan->lasting = lasting;
	atomic_store(&plan->asked, 0);
	atomic_store(&plan->left, left);
}

/* None fails any more. Returns whether one has. */
static inline bool failing_end(struct failing *plan)
{
	const int left = atomic_exchange(&plan->left, -1);
	return left >= 0 && atomic_load(&plan->asked) > left;
}

static bool fails(void)
{
	const int left = failing ? atomic_load(&failing->left) : -1;

	if (left < 0)
		return false;
	const int before = atomic_fetch_add(&failing->asked, 1);
	return before == left || (failing->lasting && before > left);
}

void *__real_malloc(size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_malloc(size_t size)
{
	return fails() ? NULL : __real_malloc(size);
}

void *__real_calloc(size_t count, size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_calloc(size_t count, size_t size)
{
	return fails() ? NULL : __real_calloc(count, size);
}

void *__real_realloc(void *old, size_t size);
void *__wrap_realloc(void *old, size_t size);
void *__wrap_realloc(void *old, size_t size)
{
	return fails() ? NULL : __real_realloc(old, size);
}

char *__real_strdup(const char *text);
char *__wrap_strdup(const char *text);
char *__wrap_strdup(const char *text)
{
	return fails() ? NULL : __real_strdup(text);
}

char *__real_strndup(const char *text, size_t size);
char *__wrap_strndup(const char *text, size_t size);
char *__wrap_strndup(const char *text, size_t size)
{
	return fails() ? NULL : __real_strndup(text, size);
}

#endif
