/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/supervisor/config/config_users.h"

#include "daemon/supervisor/config/config_table.h"
#include "daemon/supervisor/config/config_words.h"

#include <stdlib.h>

enum { SECTIONS_MAX = 10000 };

/* ---- adding one ---- */

const struct config_role *config_find_role(const struct config *config, const char *name)
{
	for (uint32_t i = 0; i < config->role_count; i++)
		if (!strcmp(config->roles[i].name, name))
			return &config->roles[i];
	return NULL;
}

const struct config_user *config_find_user(const struct config *config, const char *name)
{
	for (uint32_t i = 0; i < config->user_count; i++)
		if (!strcmp(config->users[i].own.name, name))
			return &config->users[i];
	return NULL;
}

/* Makes the place for one more section, and clears it. NULL: out of memory. */
static void *add_place(void **list, uint32_t *count, size_t size)
{
	char *grown = realloc(*list, (*count + 1) * size);

	if (!grown)
		return NULL;
	*list = grown;
	return memset(grown + (*count)++ * size, 0, size);
}

/* `other` is a section of that name, or NULL. */
static int check_name(struct config *config, const char *kind, const char *name, const char *place, uint32_t count,
		      const struct config_role *other)
{
	if (!config_is_user_name(name))
		return config_fail(config,
				   "%s: \"%.100s\" can't be a %s's name: use up to %d letters, digits and the characters "
				   "_ - . @ /",
				   place, name, kind, CONFIG_USER_NAME_MAX);
	if (other)
		return config_fail(config, "%s: %s %s is given twice: see %s", place, kind, name, other->place);
	if (count == SECTIONS_MAX)
		return config_fail(config, "%s: these are more than %d %ss", place, SECTIONS_MAX, kind);
	return 0;
}

static int name_section(struct config *config, struct config_role *section, const char *name, const char *place)
{
	if (!section)
		return config_no_memory(config);
	section->name = strdup(name);
	section->place = strdup(place);
	return section->name && section->place ? 0 : config_no_memory(config);
}

int config_add_role(struct config *config, const char *name, const char *place)
{
	void *list = config->roles;

	if (check_name(config, "role", name, place, config->role_count, config_find_role(config, name)) < 0)
		return -1;
	struct config_role *role = add_place(&list, &config->role_count, sizeof *role);
	config->roles = list;
	return name_section(config, role, name, place);
}

int config_add_user(struct config *config, const char *name, const char *place)
{
	const struct config_user *other = config_find_user(config, name);
	void *list = config->users;

	if (check_name(config, "user", name, place, config->user_count, other ? &other->own : NULL) < 0)
		return -1;
	struct config_user *user = add_place(&list, &config->user_count, sizeof *user);
	config->users = list;
	if (user) {
		user->max_sessions = user->max_inflight = user->max_memory = CONFIG_UNSET;
		user->max_priority = CONFIG_INTEGER_UNSET;
	}
	return name_section(config, user ? &user->own : NULL, name, place);
}

void *config_last_role(struct config *config)
{
	return &config->roles[config->role_count - 1];
}

void *config_last_user(struct config *config)
{
	return &config->users[config->user_count - 1];
}

/* ---- checking ---- */

static int check_roles(struct config *config, const struct config_user *user)
{
	for (uint32_t i = 0; i < user->is.count; i++)
		if (!config_find_role(config, user->is.words[i].text))
			return config_fail(config, "%s: user %s: is = %s: there is no [role %s]", user->is.words[i].place,
					   user->own.name, user->is.words[i].text, user->is.words[i].text);
	return 0;
}

/* [user *] is who is nobody else: it has nothing to be known by. */
static int check_anyone(struct config *config, const struct config_user *user)
{
	const struct config_words *const known_by[] = {&user->uids, &user->gids, &user->certificates, &user->tokens};

	for (size_t i = 0; i < sizeof known_by / sizeof *known_by && !strcmp(user->own.name, "*"); i++)
		if (known_by[i]->count > 0)
			return config_fail(config, "%s: [user *] is for clients that are no other user: it takes no uid, gid, "
					   "cert or token_sha256", known_by[i]->words[0].place);
	return 0;
}

static bool is_same(const struct config_word *a, const struct config_word *b, bool by_number)
{
	return by_number ? a->number == b->number : strcmp(a->text, b->text) == 0;
}

static const struct config_words *list_at(const struct config_user *user, size_t at)
{
	return (const struct config_words *)((const char *)user + at);
}

/* Two users must not be known by the same uid, or token. `key` is that of the list at `at`. */
static int check_unique(struct config *config, uint32_t index, size_t at, const char *key, bool by_number)
{
	const struct config_user *user = &config->users[index], *other;
	const struct config_words *list = list_at(user, at);

	for (other = config->users; other < user; other++)
		for (uint32_t i = 0; i < list->count; i++)
			for (uint32_t k = 0; k < list_at(other, at)->count; k++) {
				const struct config_word *word = &list->words[i], *same = &list_at(other, at)->words[k];
				if (is_same(word, same, by_number))
					return config_fail(config, "%s: user %s: %s = %s is that of user %s, too: see %s",
							   word->place, user->own.name, key, word->text, other->own.name,
							   same->place);
			}
	return 0;
}

static int check_user(struct config *config, uint32_t i)
{
	if (check_roles(config, &config->users[i]) < 0 || check_anyone(config, &config->users[i]) < 0)
		return -1;
	if (check_unique(config, i, offsetof(struct config_user, uids), "uid", true) < 0)
		return -1;
	return check_unique(config, i, offsetof(struct config_user, tokens), "token_sha256", false);
}

static int check_policy(struct config *config)
{
	if (config->user_count == 0 || !config->policy)
		return 0;
	return config_fail(config, "%s: where there is a [user] section, rights decide: see %s", config->policy,
			   config->users[0].own.place);
}

/* A pool of the configuration: objpool.create checks its own. */
static int check_run_as(struct config *config, const struct config_pool *pool)
{
	if (!pool->run_as || config_find_user(config, pool->run_as))
		return 0;
	return config_fail(config, "%s: pool %s: run_as = %s: there is no [user %s]", pool->place, pool->name, pool->run_as,
			   pool->run_as);
}

int config_check_users(struct config *config)
{
	if (check_policy(config) < 0)
		return -1;
	for (uint32_t i = 0; i < config->user_count; i++)
		if (check_user(config, i) < 0)
			return -1;
	for (uint32_t i = 0; i < config->pool_count; i++)
		if (check_run_as(config, &config->pools[i]) < 0)
			return -1;
	return 0;
}
