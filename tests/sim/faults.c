/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/faults.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct {
	uint64_t state;
	uint32_t odds, count;
	bool armed, verbose;
} faults;

void faults_begin(uint64_t seed, uint32_t odds, bool verbose)
{
	faults.state = seed * UINT64_C(0x9e3779b97f4a7c15) + 1;
	faults.odds = odds;
	faults.verbose = verbose;
	faults.count = 0;
}

void faults_end(void)
{
	faults.odds = 0;
}

bool faults_arm(bool on)
{
	const bool was = faults.armed;
	faults.armed = on;
	return was;
}

uint32_t faults_count(void)
{
	return faults.count;
}

static bool fails(const void *where)
{
	if (!faults.armed || faults.odds == 0)
		return false;
	faults.state = faults.state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	if ((uint32_t)(faults.state >> 33) % faults.odds != 0)
		return false;
	faults.count++;
	if (faults.verbose)
		printf("             an allocation fails at %p\n", where);
	return true;
}

/* What the linker renames calls of malloc to, and what it names malloc itself. */
void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *old, size_t size);
char *__real_strdup(const char *text);
char *__real_strndup(const char *text, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *old, size_t size);
char *__wrap_strdup(const char *text);
char *__wrap_strndup(const char *text, size_t size);

void *__wrap_malloc(size_t size)
{
	return fails(__builtin_return_address(0)) ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size)
{
	return fails(__builtin_return_address(0)) ? NULL : __real_calloc(count, size);
}

void *__wrap_realloc(void *old, size_t size)
{
	return fails(__builtin_return_address(0)) ? NULL : __real_realloc(old, size);
}

char *__wrap_strdup(const char *text)
{
	return fails(__builtin_return_address(0)) ? NULL : __real_strdup(text);
}

char *__wrap_strndup(const char *text, size_t size)
{
	return fails(__builtin_return_address(0)) ? NULL : __real_strndup(text, size);
}
