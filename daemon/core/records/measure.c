/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/core/records/measure.h"

#include <stdlib.h>

/* ---- names that can be shown: UTF-8 without control characters ---- */

/* The length of the character that begins at `text`; 0: there is none. */
static size_t character(const uint8_t *text)
{
	static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
	const size_t n = text[0] < 0x80 ? 1 : text[0] >> 5 == 6 ? 2 : text[0] >> 4 == 14 ? 3 : text[0] >> 3 == 30 ? 4 : 0;
	uint32_t value = n > 1 ? text[0] & (0x7fu >> n) : text[0];

	for (size_t i = 1; i < n; i++) {
		if (text[i] >> 6 != 2)
			return 0;
		value = value << 6 | (text[i] & 0x3f);
	}
	const bool surrogate = value >= 0xd800 && value < 0xe000;
	return n == 0 || value < least[n] || value > 0x10ffff || surrogate || value < 0x20 || value == 0x7f ? 0 : n;
}

static bool can_be_shown(const char *name)
{
	const uint8_t *text = (const uint8_t *)name;
	size_t at = 0;

	while (at <= MEASURE_NAME_MAX && text[at]) {
		const size_t n = character(text + at);
		if (n == 0)
			return false;
		at += n;
	}
	return at > 0 && at <= MEASURE_NAME_MAX;
}

/* ---- adding ---- */

static struct measure *measure_new(struct methods *methods, struct method *method)
{
	if (!method || methods->measured == MEASURE_MAX || !can_be_shown(method->name))
		return methods_others(methods);
	method->measure = calloc(1, sizeof *method->measure);
	methods->measured += method->measure != NULL;
	return method->measure;
}

/* NULL: out of memory, and it is not measured. */
static struct measure *measure_of(struct methods *methods, struct method *method)
{
	return method && method->measure ? method->measure : measure_new(methods, method);
}

void measure_add_calls(struct methods *methods, struct method *method, uint64_t nanoseconds, uint32_t count, uint32_t failed)
{
	struct measure *measure = measure_of(methods, method);
	if (!measure)
		return;
	histogram_add(&measure->calls, nanoseconds, count);
	measure->failures += failed;
}

void measure_add_runs(struct methods *methods, struct method *method, uint64_t nanoseconds, uint32_t count)
{
	struct measure *measure = measure_of(methods, method);
	if (measure)
		histogram_add(&measure->runs, nanoseconds, count);
}

/* ---- looking ---- */

const struct measure *measure_next(const struct methods *methods, uint32_t *at, const char **name)
{
	const uint32_t places = methods->by_name.mask ? methods->by_name.mask + 1 : 0;

	while (*at < places) {
		const struct method *method = methods->by_name.entries[(*at)++].value;
		if (method && method->measure) {
			*name = method->name;
			return method->measure;
		}
	}
	*name = "(other)";
	return (*at)++ == places ? methods->others : NULL;
}

void measure_all_calls(const struct methods *methods, struct histogram *sum)
{
	const struct measure *measure;
	const char *name;
	uint32_t at = 0;

	*sum = (struct histogram){0};
	while ((measure = measure_next(methods, &at, &name)))
		histogram_merge(sum, &measure->calls);
}
