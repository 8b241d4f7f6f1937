/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/core/records/target.h"

#include <errno.h>

static bool is_name(struct span text)
{
	for (size_t i = 0; i < text.size; i++) {
		const uint8_t c = text.bytes[i];
		if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-'))
			return false;
	}
	return text.size > 0;
}

static int parse_slot(struct span text, uint32_t *slot)
{
	uint64_t n = 0;
	if (text.size == 0 || text.size > 10)
		return -EINVAL;
	for (size_t i = 0; i < text.size; i++) {
		if (text.bytes[i] < '0' || text.bytes[i] > '9')
			return -EINVAL;
		n = 10 * n + (text.bytes[i] - '0');
	}
	*slot = n > UINT32_MAX ? UINT32_MAX : (uint32_t)n;
	return 0;
}

static int parse_selector(struct span text, struct target *target)
{
	if (span_is(text, "all"))
		target->select = SELECT_ALL;
	else if (span_is(text, "map"))
		target->select = SELECT_MAP;
	else if (span_is(text, "scatter"))
		target->select = SELECT_SCATTER;
	else if (text.size > 4 && memcmp(text.bytes, "key=", 4) == 0) {
		target->select = SELECT_KEY;
		target->key = (struct span){.bytes = text.bytes + 4, .size = text.size - 4};
	} else if (parse_slot(text, &target->slot) == 0)
		target->select = SELECT_SLOT;
	else
		return -EINVAL;
	return 0;
}

/* Takes `@host` off the end of target->pool. */
static int split_host(struct target *target, struct error *error)
{
	char room[ERROR_SHOWN];
	const uint8_t *at = target->pool.size ? memchr(target->pool.bytes, '@', target->pool.size) : NULL;

	if (!at)
		return 0;
	target->host = (struct span){.bytes = at + 1, .size = (size_t)(target->pool.bytes + target->pool.size - at - 1)};
	target->pool.size = (size_t)(at - target->pool.bytes);
	if (target_is_of_hosts(target) || is_name(target->host))
		return 0;
	error_say(error, ERROR_BAD_TARGET, RAN_NO, "\"%s\" names no host: names are made of A-Z a-z 0-9 _ -, and * is any host",
		  error_shown(target->host, room));
	return -EINVAL;
}

int target_parse_bare(struct span text, struct target *target, struct error *error)
{
	char room[ERROR_SHOWN];
	const uint8_t *colon = text.size ? memchr(text.bytes, ':', text.size) : NULL;
	const size_t before = colon ? (size_t)(colon - text.bytes) : text.size;

	*target = (struct target){.pool = {.bytes = text.bytes, .size = before}, .select = SELECT_ANY};
	if (split_host(target, error) < 0)
		return -EINVAL;
	if (!is_name(target->pool)) {
		error_say(error, ERROR_BAD_TARGET, RAN_NO, "\"%s\" names no pool: names are made of A-Z a-z 0-9 _ -",
			  error_shown(text, room));
		return -EINVAL;
	}
	if (!colon)
		return 0;
	const struct span selector = {.bytes = colon + 1, .size = text.size - before - 1};
	if (parse_selector(selector, target) < 0) {
		error_say(error, ERROR_BAD_TARGET, RAN_NO, "\"%s\" is no selector: a slot's number, all, map, scatter or key=K",
			  error_shown(selector, room));
		return -EINVAL;
	}
	return 0;
}

int target_parse(struct span text, struct target *target, struct error *error)
{
	char room[ERROR_SHOWN];
	const uint8_t *dot = text.size ? memchr(text.bytes, '.', text.size) : NULL;

	if (!dot) {
		error_say(error, ERROR_BAD_TARGET, RAN_NO, "\"%s\" has no dot: a method is called as pool.method",
			  error_shown(text, room));
		return -EINVAL;
	}
	const size_t before = (size_t)(dot - text.bytes);
	if (target_parse_bare((struct span){.bytes = text.bytes, .size = before}, target, error) < 0)
		return -EINVAL;
	target->method = (struct span){.bytes = dot + 1, .size = text.size - before - 1};
	if (target->method.size == 0) {
		error_say(error, ERROR_BAD_TARGET, RAN_NO, "\"%s\" names no method", error_shown(text, room));
		return -EINVAL;
	}
	return 0;
}
