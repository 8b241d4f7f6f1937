/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/core/records/methods.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum {
	METHODS_MAX = 4096, /* a pool has no more records of names that calls bring */
	SURPRISE_MAX = 16,
};

static struct method *add_method(struct methods *methods, struct span name)
{
	const uint64_t key = name_hash(name.bytes, name.size);
	struct method *method = calloc(1, sizeof *method);

	if (!method || !(method->name = strndup((const char *)name.bytes, name.size)) ||
	    idmap_add(&methods->by_name, key, method) < 0) {
		free(method ? method->name : NULL);
		free(method);
		return NULL;
	}
	return method;
}

struct method *methods_find(struct methods *methods, struct span name)
{
	struct method *method = idmap_get(&methods->by_name, name_hash(name.bytes, name.size));

	if (method)
		return span_is(name, method->name) ? method : NULL;
	if ((methods->known && !methods->open) || methods->by_name.count >= METHODS_MAX)
		return NULL;
	return add_method(methods, name); /* the class may have such a method; without a record it has no estimate */
}

/* The measure of the methods that have none of their own. NULL: out of memory. */
static struct measure *measure_of_others(struct methods *methods)
{
	if (!methods->others)
		methods->others = calloc(1, sizeof *methods->others);
	return methods->others;
}

/* Adds the method's measure to that of the other methods. */
static void forget_measure(struct methods *methods, const struct method *method)
{
	const struct measure *gone = method->measure;
	struct measure *to = measure_of_others(methods);

	methods->measured--;
	if (!to)
		return;
	histogram_merge(&to->calls, &gone->calls);
	histogram_merge(&to->runs, &gone->runs);
	to->failures += gone->failures;
}

static void method_free(struct methods *methods, struct method *method)
{
	if (method->measure)
		forget_measure(methods, method);
	free(method->measure);
	free(method->name);
	free(method);
}

static void free_all(struct methods *methods, struct idmap *map)
{
	for (uint32_t i = 0; map->mask && i <= map->mask; i++)
		if (map->entries[i].value)
			method_free(methods, map->entries[i].value);
	idmap_free(map);
}

void methods_free(struct methods *methods)
{
	free_all(methods, &methods->by_name);
	free(methods->others);
	methods->others = NULL;
}

/* ---- what the template has told ---- */

/* Adds a method that the class has. A method that was known `before` keeps its record. */
static int keep_method(struct methods *methods, struct idmap *before, struct span name)
{
	const uint64_t key = name_hash(name.bytes, name.size);
	struct method *method = idmap_get(before, key);

	if (idmap_get(&methods->by_name, key))
		return 0;
	if (!method || !span_is(name, method->name))
		return add_method(methods, name) ? 0 : -ENOMEM;
	if (idmap_add(&methods->by_name, key, method) < 0)
		return -ENOMEM;
	idmap_remove(before, key);
	return 0;
}

/* Reads a packed map, and returns the value of its key "name". */
static int read_name(struct reader *reader, struct span *name)
{
	struct span key, value;
	uint32_t n;

	*name = (struct span){0};
	if (read_map(reader, &n) < 0)
		return -EINVAL;
	for (; n > 0; n--) {
		struct reader look;
		if (read_text(reader, &key) < 0)
			return -EINVAL;
		look = *reader;
		if (read_value(reader, &value) < 0)
			return -EINVAL;
		if (span_is(key, "name") && read_text(&look, name) < 0)
			return -EINVAL;
	}
	return name->size > 0 ? 0 : -EINVAL;
}

/* Calls that came before may refer to methods that the class doesn't have. The worker refuses these calls, and methods_find
 * all later ones. */
static int read_all(struct methods *methods, struct idmap *before, struct reader *reader, uint32_t n)
{
	struct span name;
	int r = 0;

	for (; n > 0 && r == 0; n--)
		r = read_name(reader, &name) < 0 ? -EINVAL : keep_method(methods, before, name);
	return r;
}

int methods_set(struct methods *methods, struct span packed, bool open, bool in_use)
{
	struct reader reader = reader_of(packed);
	struct idmap before = {0};
	uint32_t n;

	if (read_array(&reader, &n) < 0)
		return -EINVAL;
	if (!in_use) {
		before = methods->by_name;
		methods->by_name = (struct idmap){0};
	}
	const int r = read_all(methods, &before, &reader, n);
	free_all(methods, &before);
	if (r < 0)
		return r;
	methods->known = true;
	methods->open = open;
	return 0;
}

/* ---- how long they take ---- */

/* What a batch that took much longer than expected counts for: the more, the more of them come in a row. */
static uint64_t at_most(const struct method *method, uint64_t nanoseconds)
{
	const uint64_t most = method->estimate << method->surprise;
	return nanoseconds < most ? nanoseconds : most;
}

void method_learn(struct method *method, uint64_t nanoseconds)
{
	const uint64_t estimate = method->estimate;

	if (!estimate) {
		method->estimate = nanoseconds + 1;
	} else if (nanoseconds / 2 > estimate) {
		method->surprise = method->surprise < 1 ? 1 : method->surprise + (method->surprise < SURPRISE_MAX);
		method->estimate = (7 * estimate + at_most(method, nanoseconds)) / 8;
	} else if (nanoseconds < estimate / 2 && method->surprise < 0) {
		method->estimate = estimate / 2;
	} else {
		method->surprise = nanoseconds < estimate / 2 ? -1 : 0;
		method->estimate = (7 * estimate + nanoseconds + 1) / 8;
	}
	if (!method->estimate)
		method->estimate = 1;
}

uint32_t method_pace(const struct method *method, uint64_t nanoseconds)
{
	if (!method || !method->estimate)
		return 1;
	const uint64_t n = nanoseconds / method->estimate;
	return n < 1 ? 1 : n < METHOD_PACE_MAX ? (uint32_t)n : METHOD_PACE_MAX;
}

/* ---- what calls of a method took, for the metrics ---- */

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

/* Is the name short UTF-8 without control characters? */
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

static struct measure *measure_new(struct methods *methods, struct method *method)
{
	if (!method || methods->measured == MEASURE_MAX || !can_be_shown(method->name))
		return measure_of_others(methods);
	method->measure = calloc(1, sizeof *method->measure);
	methods->measured += method->measure != NULL;
	return method->measure;
}

/* The method's measure, or that of the other methods. NULL: out of memory, and nothing is measured. */
static struct measure *measure_of(struct methods *methods, struct method *method)
{
	return method && method->measure ? method->measure : measure_new(methods, method);
}

void methods_add_calls(struct methods *methods, struct method *method, uint64_t nanoseconds, uint32_t count, uint32_t failed)
{
	struct measure *measure = measure_of(methods, method);
	if (!measure)
		return;
	histogram_add(&measure->calls, nanoseconds, count);
	measure->failures += failed;
}

void methods_add_runs(struct methods *methods, struct method *method, uint64_t nanoseconds, uint32_t count)
{
	struct measure *measure = measure_of(methods, method);
	if (measure)
		histogram_add(&measure->runs, nanoseconds, count);
}

void methods_add_direct(struct methods *methods, struct method *method, const struct histogram *runs, uint64_t failed)
{
	struct measure *measure = measure_of(methods, method);
	if (!measure)
		return;
	histogram_merge(&measure->calls, runs);
	histogram_merge(&measure->runs, runs);
	measure->failures += failed;
}

const struct measure *methods_next_measure(const struct methods *methods, uint32_t *at, const char **name)
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

void methods_all_calls(const struct methods *methods, struct histogram *sum)
{
	const struct measure *measure;
	const char *name;
	uint32_t at = 0;

	*sum = (struct histogram){0};
	while ((measure = methods_next_measure(methods, &at, &name)))
		histogram_merge(sum, &measure->calls);
}
