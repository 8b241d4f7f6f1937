/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/core/records/quota.h"

#include "proto/plural.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- making ---- */

static struct quota *quota_new(struct core *core, const char *name)
{
	struct quota *quota = calloc(1, sizeof *quota);

	if (!quota || !(quota->name = strdup(name)) || (quota->account = account_new(&core->memory)) == &core->memory) {
		free(quota ? quota->name : NULL);
		free(quota);
		return NULL;
	}
	quota->references = 1;
	quota->core = core;
	quota->id = ++core->last_quota;
	return quota;
}

static void quota_free(struct quota *quota)
{
	account_close(quota->account);
	free(quota->name);
	free(quota);
}

struct quota *quota_get(struct core *core, const char *name)
{
	const uint64_t hash = name_hash(name, strlen(name));
	struct quota *quota = idmap_get(&core->quotas_by_name, hash);

	if (quota && !strcmp(quota->name, name))
		return quota_ref(quota);
	const bool collides = quota != NULL; /* then its counts begin anew when the configuration is read again */
	quota = quota_new(core, name);
	if (!quota || collides || idmap_add(&core->quotas_by_name, hash, quota) == 0)
		return quota;
	quota_free(quota);
	return NULL;
}

struct quota *quota_ref(struct quota *quota)
{
	if (quota)
		quota->references++;
	return quota;
}

void quota_unref(struct quota *quota)
{
	if (!quota || --quota->references > 0)
		return;
	const uint64_t hash = name_hash(quota->name, strlen(quota->name));
	if (idmap_get(&quota->core->quotas_by_name, hash) == quota)
		(void)idmap_remove(&quota->core->quotas_by_name, hash);
	quota_free(quota);
}

/* ---- limits ---- */

/* Nanoseconds in which one call comes into the bucket. */
static uint64_t interval_of(const struct quota_rate *rate)
{
	return rate->period / rate->calls;
}

/* How much later than now the bucket will be full. */
static uint64_t missing(const struct quota *quota)
{
	return quota->full_at > quota->core->now ? quota->full_at - quota->core->now : 0;
}

/* How many calls were taken from the bucket that have not come back yet. */
static uint64_t taken(const struct quota *quota)
{
	const uint64_t interval = interval_of(&quota->limits.rate);
	return (missing(quota) + interval - 1) / interval;
}

void quota_set_limits(struct quota *quota, const struct quota_limits *limits)
{
	const uint64_t before = quota->limits.rate.calls ? taken(quota) : 0;
	const uint64_t still = before < limits->rate.burst ? before : limits->rate.burst;

	quota->limits = *limits;
	quota->account->limit = limits->max_memory;
	quota->full_at = limits->rate.calls ? quota->core->now + still * interval_of(&limits->rate) : 0;
}

static uint64_t smaller(uint64_t a, uint64_t b)
{
	return a && (!b || a < b) ? a : b;
}

static struct quota_rate slower(const struct quota_rate *a, const struct quota_rate *b)
{
	if (!a->calls || !b->calls)
		return a->calls ? *a : *b;
	struct quota_rate rate = interval_of(a) > interval_of(b) ? *a : *b;
	rate.burst = smaller(a->burst, b->burst);
	return rate;
}

struct quota_limits quota_smallest(const struct quota_limits *a, const struct quota_limits *b)
{
	return (struct quota_limits){.max_sessions = (uint32_t)smaller(a->max_sessions, b->max_sessions),
				     .max_memory = smaller(a->max_memory, b->max_memory),
				     .max_inflight = (uint32_t)smaller(a->max_inflight, b->max_inflight),
				     .rate = slower(&a->rate, &b->rate),
				     .max_priority = a->max_priority < b->max_priority ? a->max_priority : b->max_priority};
}

/* ---- room ---- */

static uint32_t room_in_flight(const struct quota *quota)
{
	const uint64_t has = (uint64_t)quota->inflight + quota->lingering, max = quota->limits.max_inflight;

	return max == 0 ? UINT32_MAX : has < max ? (uint32_t)(max - has) : 0;
}

static uint32_t room_in_bucket(const struct quota *quota)
{
	const struct quota_rate *rate = &quota->limits.rate;

	if (rate->calls == 0)
		return UINT32_MAX;
	const uint64_t used = taken(quota);
	const uint64_t room = used < rate->burst ? rate->burst - used : 0;
	return room < UINT32_MAX ? (uint32_t)room : UINT32_MAX;
}

uint32_t quota_room(const struct quota *quota)
{
	const uint32_t flight = room_in_flight(quota), bucket = room_in_bucket(quota);

	return flight < bucket ? flight : bucket;
}

void quota_take(struct quota *quota, uint32_t count)
{
	const struct quota_rate *rate = &quota->limits.rate;

	if (rate->calls > 0)
		quota->full_at = quota->core->now + missing(quota) + count * interval_of(rate);
}

/* ---- refusing ---- */

static int refuse(struct quota *quota, struct error *error)
{
	quota->overloaded++;
	error->user = quota->name;
	return -EBUSY;
}

static const char *unit_of(const struct quota_rate *rate)
{
	return rate->period == SECOND ? "s" : rate->period == 60 * SECOND ? "m" : "h";
}

/* When the next call will be in the bucket. */
static uint64_t wait_of(const struct quota *quota)
{
	const struct quota_rate *rate = &quota->limits.rate;
	return missing(quota) - (rate->burst - 1) * interval_of(rate);
}

static int refuse_rate(struct quota *quota, struct error *error)
{
	const struct quota_rate *rate = &quota->limits.rate;
	const uint64_t wait = (wait_of(quota) + MILLISECOND - 1) / MILLISECOND;

	error_say(error, ERROR_OVERLOADED, RAN_NO,
		  "user %.64s has made as many calls as rate = %llu/%s burst %llu allows: try again in %llu ms", quota->name,
		  (unsigned long long)rate->calls, unit_of(rate), (unsigned long long)rate->burst, (unsigned long long)wait);
	error->retry_after = wait;
	return refuse(quota, error);
}

static int refuse_flight(struct quota *quota, struct error *error)
{
	char given_up[64] = "";

	if (quota->lingering > 0)
		snprintf(given_up, sizeof given_up, " and %u that were given up and still run", quota->lingering);
	error_say(error, ERROR_OVERLOADED, RAN_NO, "user %.64s has %u call%s in flight%s: max_inflight = %u allows no more",
		  quota->name, quota->inflight, plural(quota->inflight), given_up, quota->limits.max_inflight);
	return refuse(quota, error);
}

int quota_take_request(struct quota *quota, struct error *error)
{
	if (room_in_bucket(quota) == 0)
		return refuse_rate(quota, error);
	quota_take(quota, 1);
	return 0;
}

int quota_take_call(struct quota *quota, struct error *error)
{
	return room_in_flight(quota) == 0 ? refuse_flight(quota, error) : quota_take_request(quota, error);
}

static int refuse_session(struct quota *quota, struct error *error)
{
	error_say(error, ERROR_OVERLOADED, RAN_NO,
		  "user %.64s has %u session%s: max_sessions = %u allows no more; the connection is closed", quota->name,
		  quota->sessions, plural(quota->sessions), quota->limits.max_sessions);
	return refuse(quota, error);
}

int quota_check_connection(struct quota *quota, struct error *error)
{
	const uint64_t most = (uint64_t)quota->limits.max_sessions + QUOTA_STRANGERS;

	if (quota->limits.max_sessions == 0 || quota->connections <= most)
		return 0;
	return refuse_session(quota, error);
}

int quota_check_session(struct quota *quota, struct error *error)
{
	if (quota->limits.max_sessions == 0 || quota->sessions < quota->limits.max_sessions)
		return 0;
	return refuse_session(quota, error);
}

int quota_check_held(struct quota *quota, uint32_t held, const char *what, struct error *error)
{
	if (quota->limits.max_inflight == 0 || held < quota->limits.max_inflight)
		return 0;
	error_say(error, ERROR_OVERLOADED, RAN_NO, "user %.64s has %u %s%s: max_inflight = %u allows no more", quota->name, held,
		  what, plural(held), quota->limits.max_inflight);
	return refuse(quota, error);
}
