/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/supervisor/connections/behalf.h"

#include "daemon/supervisor/workers/template.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

struct behalf *behalf_new(struct span host, struct span user, uint64_t local)
{
	struct behalf *behalf = calloc(1, sizeof *behalf);

	if (!behalf)
		return NULL;
	behalf->local = local;
	if (!host.bytes)
		return behalf;
	snprintf(behalf->host, sizeof behalf->host, "%.*s", SPAN_TEXT(host, GATEWAY_NAME_MAX));
	snprintf(behalf->name, sizeof behalf->name, "%s/%.*s", behalf->host, SPAN_TEXT(user, BEHALF_USER_MAX));
	error_make_utf8(behalf->name, strlen(behalf->name));
	return behalf;
}

bool behalf_is_shared_with(const struct pool *pool, struct span host)
{
	const struct config_pool *section = &template_of(pool)->section;

	return section->share && (!section->unpickle || config_has_host(&section->trust, host));
}

/* rights->sees. A daemon that stops has fewer and fewer pools: that it stops is what callers are to hear, for any name. */
static bool sees(const struct rights *rights, struct span name)
{
	const struct core *core = rights->seer;
	const struct pool *pool = pool_find(core, name);
	const struct span host = {.bytes = (const uint8_t *)rights->host, .size = strlen(rights->host)};

	return pool ? behalf_is_shared_with(pool, host) : core->draining;
}

/* Without users: they may call and describe what is shared. */
static int add_all(struct rights *rights)
{
	if (rights_add(rights, RIGHT_CALL, "*", "*", NULL) < 0 || rights_add(rights, RIGHT_ALL, "*", "*", NULL) < 0)
		return -ENOMEM;
	return rights_add(rights, RIGHT_DESCRIBE, "*", NULL, NULL);
}

/* What concerns pools, but for those that they could make, and direct channels, which are sockets. */
static int add_those_of(struct rights *rights, const struct rights *from)
{
	static const enum right taken[] = {RIGHT_CALL, RIGHT_ALL, RIGHT_DESCRIBE, RIGHT_ADMIN, RIGHT_DENY};

	for (size_t i = 0; i < sizeof taken / sizeof *taken; i++)
		for (uint32_t k = 0; k < from->of[taken[i]].count; k++) {
			const struct rule *rule = &from->of[taken[i]].rules[k];
			if (rights_add(rights, taken[i], rule->pool, rule->method, rule->place) < 0)
				return -ENOMEM;
		}
	return 0;
}

/* `from` is NULL: there are no users. */
static struct rights *make_rights(const struct core *core, const struct behalf *behalf, const struct rights *from)
{
	struct rights *rights = rights_new(from ? from->user : behalf->name, from ? from->place : NULL);

	if (!rights)
		return NULL;
	rights->sees = sees;
	rights->seer = core;
	rights->host = strdup(behalf->host);
	if (rights->host && (from ? add_those_of(rights, from) : add_all(rights)) == 0) {
		rights_set_quota(rights, from ? quota_ref(from->quota) : NULL);
		return rights;
	}
	rights_unref(rights);
	return NULL;
}

int behalf_find(const struct core *core, const struct users *users, const struct behalf *behalf, struct known *known,
		struct rights **rights)
{
	const struct span name = {.bytes = (const uint8_t *)behalf->name, .size = strlen(behalf->name)};

	*known = (struct known){.identity = users ? users_of_host(users, name) : NULL, .by = KNOWN_BY_HOST};
	*rights = make_rights(core, behalf, known->identity ? known->identity->rights : NULL);
	return *rights ? 0 : -ENOMEM;
}
