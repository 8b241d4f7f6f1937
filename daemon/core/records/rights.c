/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/core/records/rights.h"

#include "daemon/core/base/glob.h"

#include <errno.h>
#include <stdlib.h>

static const char *const names[RIGHTS] = {
	[RIGHT_CALL] = "call",     [RIGHT_ALL] = "all",     [RIGHT_DESCRIBE] = "describe", [RIGHT_CREATE] = "create",
	[RIGHT_CODE] = "code",     [RIGHT_ADMIN] = "admin", [RIGHT_DIRECT] = "direct",     [RIGHT_WATCH] = "watch",
	[RIGHT_OPERATE] = "operate", [RIGHT_DENY] = "deny",
};

const char *right_name(enum right right)
{
	return names[right];
}

enum right right_of(struct span name)
{
	for (int i = 0; i < RIGHTS; i++)
		if (span_is(name, names[i]))
			return (enum right)i;
	return RIGHTS;
}

/* ---- making ---- */

static bool keep(char **copy, const char *text)
{
	*copy = text ? strdup(text) : NULL;
	return *copy || !text;
}

static void rights_free(struct rights *rights)
{
	for (int i = 0; i < RIGHTS; i++) {
		struct rules *list = &rights->of[i];
		for (uint32_t k = 0; k < list->count; k++) {
			free(list->rules[k].pool);
			free(list->rules[k].method);
			free(list->rules[k].place);
		}
		free(list->rules);
	}
	quota_unref(rights->quota);
	free(rights->host);
	free(rights->user);
	free(rights->place);
	free(rights);
}

struct rights *rights_new(const char *user, const char *place)
{
	struct rights *rights = calloc(1, sizeof *rights);

	if (!rights)
		return NULL;
	rights->references = 1;
	if (keep(&rights->user, user) && keep(&rights->place, place))
		return rights;
	rights_free(rights);
	return NULL;
}

int rights_add(struct rights *rights, enum right right, const char *pool, const char *method, const char *place)
{
	struct rules *list = &rights->of[right];
	struct rule *rules = realloc(list->rules, (list->count + 1) * sizeof *rules);

	if (!rules)
		return -ENOMEM;
	list->rules = rules;
	struct rule *rule = &rules[list->count++];
	*rule = (struct rule){0};
	return keep(&rule->pool, pool) && keep(&rule->method, method) && keep(&rule->place, place) ? 0 : -ENOMEM;
}

int rights_unite(struct rights *rights, const struct rights *other)
{
	for (int i = 0; i < RIGHTS; i++)
		for (uint32_t k = 0; k < other->of[i].count; k++) {
			const struct rule *rule = &other->of[i].rules[k];
			if (rights_add(rights, (enum right)i, rule->pool, rule->method, rule->place) < 0)
				return -ENOMEM;
		}
	return 0;
}

struct rights *rights_copy(const struct rights *rights)
{
	struct rights *copy = rights_new(rights->user, rights->place);

	if (copy && rights_unite(copy, rights) == 0 && keep(&copy->host, rights->host)) {
		copy->sees = rights->sees;
		copy->seer = rights->seer;
		copy->quota = quota_ref(rights->quota);
		return copy;
	}
	rights_unref(copy);
	return NULL;
}

void rights_set_quota(struct rights *rights, struct quota *quota)
{
	quota_unref(rights->quota);
	rights->quota = quota;
}

struct rights *rights_ref(struct rights *rights)
{
	if (rights)
		rights->references++;
	return rights;
}

void rights_unref(struct rights *rights)
{
	if (rights && --rights->references == 0)
		rights_free(rights);
}

void rights_set(struct rights **place, struct rights *rights)
{
	struct rights *before = *place;

	*place = rights_ref(rights);
	rights_unref(before);
}

/* ---- judging ---- */

/* Is the rule about this method of the pool? An empty `method` is any one. */
static bool is_about_method(const struct rule *rule, struct span pool, struct span method)
{
	return glob_matches(rule->pool, pool) && (method.size == 0 || glob_matches(rule->method, method));
}

/* Is it about each method of the pool? */
static bool is_about_all_methods(const struct rule *rule, struct span pool, struct span method)
{
	(void)method;
	return glob_matches(rule->pool, pool) && glob_matches_all(rule->method);
}

static bool is_about_pool(const struct rule *rule, struct span pool, struct span method)
{
	(void)method;
	return pool.size == 0 || glob_matches(rule->pool, pool);
}

typedef bool about_fn(const struct rule *rule, struct span pool, struct span method);

/* The first rule of this right that is about what is asked for. NULL: there is none. */
static const struct rule *find(const struct rights *rights, enum right right, about_fn *is_about, struct span pool,
			       struct span method)
{
	const struct rules *list = &rights->of[right];

	for (uint32_t i = 0; i < list->count; i++)
		if (is_about(&list->rules[i], pool, method))
			return &list->rules[i];
	return NULL;
}

static struct ruling refused(const struct rights *rights, const struct rule *by)
{
	return (struct ruling){.allowed = false, .where = by ? by->place : rights->place};
}

static struct ruling allowed_if(const struct rights *rights, const struct rule *by)
{
	return by ? (struct ruling){.allowed = true, .where = by->place} : refused(rights, NULL);
}

static struct ruling judge_method(const struct rights *rights, enum right right, struct span pool, struct span method)
{
	const struct rule *denial =
		find(rights, RIGHT_DENY, method.size > 0 ? is_about_method : is_about_all_methods, pool, method);

	return denial ? refused(rights, denial) : allowed_if(rights, find(rights, right, is_about_method, pool, method));
}

/* On a direct channel the daemon does not see which method is called. */
static struct ruling judge_direct(const struct rights *rights, struct span pool)
{
	const struct span none = {0};
	const struct rule *denial = find(rights, RIGHT_DENY, is_about_method, pool, none);

	if (denial || !find(rights, RIGHT_CALL, is_about_all_methods, pool, none))
		return refused(rights, denial);
	return allowed_if(rights, find(rights, RIGHT_DIRECT, is_about_pool, pool, none));
}

struct ruling rights_judge(const struct rights *rights, enum right right, struct span pool, struct span method)
{
	const struct span none = {0};

	if (pool.size > RIGHTS_NAME_MAX || method.size > RIGHTS_NAME_MAX)
		return refused(rights, NULL);
	if (rights->sees && pool.size > 0 && !rights->sees(rights, pool))
		return refused(rights, NULL);
	if (right_has_methods(right))
		return judge_method(rights, right, pool, method);
	if (right == RIGHT_DIRECT)
		return judge_direct(rights, pool);
	if (right == RIGHT_CODE && !find(rights, RIGHT_CREATE, is_about_pool, pool, none))
		return refused(rights, NULL);
	return allowed_if(rights, find(rights, right, is_about_pool, pool, none));
}

int rights_answer(const struct rights *rights, struct span right, struct span name, struct ruling *ruling)
{
	const enum right asked = right_of(right);
	const uint8_t *dot = name.size ? memchr(name.bytes, '.', name.size) : NULL;
	struct span pool = name, method = {0};

	if (asked >= RIGHT_DENY)
		return -EINVAL;
	if (dot && right_has_methods(asked)) {
		pool.size = (size_t)(dot - name.bytes);
		method = (struct span){.bytes = dot + 1, .size = name.size - pool.size - 1};
	}
	*ruling = rights_judge(rights, asked, pool, method);
	return 0;
}

bool rights_allow(const struct rights *rights, enum right right, const char *pool)
{
	const struct span name = {.bytes = (const uint8_t *)pool, .size = strlen(pool)};

	return !rights || rights_judge(rights, right, name, (struct span){0}).allowed;
}

/* ---- refusing ---- */

void rights_say_denied(const struct rights *rights, enum right right, struct span pool, struct span method, const char *where,
		       struct error *error)
{
	static const struct span any = {.bytes = (const uint8_t *)"*", .size = 1};
	char pools[ERROR_SHOWN], methods[ERROR_SHOWN];
	const char *name = error_shown(pool.size > 0 ? pool : any, pools), *dot = method.size > 0 ? "." : "",
		   *no_rule = rights->host ? "no rule, or no pool of that name is shared" : "no rule";

	if (rights->user)
		error_say(error, ERROR_DENIED, RAN_NO, "user %.192s may not \"%s\" %s%s%s (%.64s)", rights->user, names[right],
			  name, dot, error_shown(method, methods), where ? where : no_rule);
	else
		error_say(error, ERROR_DENIED, RAN_NO,
			  "a client that is no user may not \"%s\" %s%s%s (no [user] section is for it)", names[right], name, dot,
			  error_shown(method, methods));
	error->user = rights->user;
	error->right = names[right];
}

int rights_check(const struct rights *rights, enum right right, struct span pool, struct span method, struct error *error)
{
	if (!rights)
		return 0;
	const struct ruling ruling = rights_judge(rights, right, pool, method);
	if (ruling.allowed)
		return 0;
	rights_say_denied(rights, right, pool, method, ruling.where, error);
	return -EACCES;
}
