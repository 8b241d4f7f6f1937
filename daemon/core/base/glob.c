/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/core/base/glob.h"

#include <string.h>

static bool begins_with(struct span text, const char *part, size_t size)
{
	return text.size >= size && (size == 0 || memcmp(text.bytes, part, size) == 0);
}

static bool ends_with(struct span text, const char *part, size_t size)
{
	return text.size >= size && (size == 0 || memcmp(text.bytes + text.size - size, part, size) == 0);
}

/* Drops what comes before the first occurrence of the part, and the part itself. False: it does not occur. */
static bool pass(struct span *text, const char *part, size_t size)
{
	const uint8_t *end = text->bytes + text->size;
	const uint8_t *found = text->size >= size ? memmem(text->bytes, text->size, part, size) : NULL;

	if (!found)
		return false;
	text->bytes = found + size;
	text->size = (size_t)(end - text->bytes);
	return true;
}

/* What stands before the first star begins the text, what stands behind the last one ends it. Each part between two stars may be
 * taken where it occurs first: that leaves the most to those that follow. */
bool glob_matches(const char *pattern, struct span text)
{
	const char *star = strchr(pattern, '*');

	if (!star)
		return span_is(text, pattern);
	const size_t head = (size_t)(star - pattern);
	if (!begins_with(text, pattern, head))
		return false;
	text.bytes += head;
	text.size -= head;
	for (const char *part = star + 1; (star = strchr(part, '*')); part = star + 1)
		if (star > part && !pass(&text, part, (size_t)(star - part)))
			return false;
	const char *tail = strrchr(pattern, '*') + 1;
	return ends_with(text, tail, strlen(tail));
}

bool glob_matches_all(const char *pattern)
{
	return *pattern && pattern[strspn(pattern, "*")] == '\0';
}
