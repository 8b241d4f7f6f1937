/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/supervisor/users/users.h"

#include "daemon/core/base/glob.h"
#include "daemon/supervisor/config/config_users.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <openssl/sha.h>
#include <stdlib.h>

_Static_assert(TOKEN_HASH == SHA256_DIGEST_LENGTH && CERTIFICATE_HASH == SHA256_DIGEST_LENGTH, "the hashes are SHA-256");

/* A section [user NAME]. */
struct user {
	struct identity identity;
	uint32_t *uids, *gids;
	uint32_t uid_count, gid_count, token_count;
	uint8_t (*tokens)[TOKEN_HASH];
	struct config_words certificates;
};

/* Several users that a client is by its groups. */
struct united {
	struct united *next;
	struct identity identity;
	uint32_t count;
	const struct user *of[]; /* in the order of the sections */
};

struct users {
	struct user *users;
	uint32_t count;
	struct united *united;
	struct user *anyone; /* [user *], or NULL */
	struct identity nobody, root;
	struct core *core; /* has the users' quotas; NULL: there are none */
	bool in_use;       /* the quotas have the limits of this table */
};

/* ---- making the table ---- */

static const char *base_name(const char *place)
{
	const char *slash = strrchr(place, '/');
	return slash ? slash + 1 : place;
}

/* `word` is POOL.METHOD. */
static int add_method_rule(struct rights *rights, enum right right, const struct config_word *word)
{
	const char *dot = strchr(word->text, '.');
	char *pool = strndup(word->text, (size_t)(dot - word->text));
	const int r = pool ? rights_add(rights, right, pool, dot + 1, base_name(word->place)) : -ENOMEM;

	free(pool);
	return r;
}

static int add_rule(struct rights *rights, enum right right, const struct config_word *word)
{
	if (right_has_methods(right))
		return add_method_rule(rights, right, word);
	const bool is_switch = right == RIGHT_WATCH || right == RIGHT_OPERATE;
	return rights_add(rights, right, is_switch ? "*" : word->text, NULL, base_name(word->place));
}

static int add_rules(struct rights *rights, const struct config_role *section)
{
	for (int i = 0; i < RIGHTS; i++)
		for (uint32_t k = 0; k < section->of[i].count; k++)
			if (add_rule(rights, (enum right)i, &section->of[i].words[k]) < 0)
				return -ENOMEM;
	return 0;
}

static int add_all_rules(struct rights *rights, const struct config *config, const struct config_user *section)
{
	if (add_rules(rights, &section->own) < 0)
		return -ENOMEM;
	for (uint32_t i = 0; i < section->is.count; i++) {
		const struct config_role *role = config_find_role(config, section->is.words[i].text);
		if (role && add_rules(rights, role) < 0)
			return -ENOMEM;
	}
	return 0;
}

static int copy_words(struct config_words *to, const struct config_words *from)
{
	*to = (struct config_words){.words = calloc(from->count + 1, sizeof *to->words)};
	if (!to->words)
		return -ENOMEM;
	for (; to->count < from->count; to->count++)
		if (!(to->words[to->count].text = strdup(from->words[to->count].text)))
			return -ENOMEM;
	return 0;
}

static void free_words(struct config_words *list)
{
	for (uint32_t i = 0; i < list->count; i++)
		free(list->words[i].text);
	free(list->words);
}

static int copy_numbers(uint32_t **to, uint32_t *count, const struct config_words *from)
{
	*to = calloc(from->count + 1, sizeof **to);
	for (uint32_t i = 0; *to && i < from->count; i++)
		(*to)[i] = from->words[i].number;
	*count = *to ? from->count : 0;
	return *to ? 0 : -ENOMEM;
}

static uint8_t value_of_hex(char digit)
{
	return (uint8_t)(digit <= '9' ? digit - '0' : digit - 'a' + 10);
}

/* config_words.c has checked the digits. */
static void read_hex(const char *text, uint8_t hash[TOKEN_HASH])
{
	for (int i = 0; i < TOKEN_HASH; i++)
		hash[i] = (uint8_t)(value_of_hex(text[2 * i]) << 4 | value_of_hex(text[2 * i + 1]));
}

static int copy_tokens(struct user *user, const struct config_words *from)
{
	user->tokens = calloc(from->count + 1, sizeof *user->tokens);
	for (uint32_t i = 0; user->tokens && i < from->count; i++)
		read_hex(from->words[i].text, user->tokens[i]);
	user->token_count = user->tokens ? from->count : 0;
	return user->tokens ? 0 : -ENOMEM;
}

static struct quota_limits limits_of(const struct config_user *section)
{
	const struct config_rate *rate = &section->rate;

	return (struct quota_limits){
		.max_sessions = section->max_sessions == CONFIG_UNSET ? 0 : (uint32_t)section->max_sessions,
		.max_inflight = section->max_inflight == CONFIG_UNSET ? 0 : (uint32_t)section->max_inflight,
		.max_memory = section->max_memory == CONFIG_UNSET ? 0 : section->max_memory,
		.rate = {.calls = rate->calls, .period = rate->period, .burst = rate->burst},
		.max_priority = section->max_priority == CONFIG_INTEGER_UNSET ? 0 : (int8_t)section->max_priority,
	};
}

static int fill_user(struct user *user, const struct config *config, const struct config_user *section)
{
	user->identity.rights = rights_new(section->own.name, base_name(section->own.place));
	if (!user->identity.rights || add_all_rules(user->identity.rights, config, section) < 0)
		return -ENOMEM;
	user->identity.name = user->identity.rights->user;
	user->identity.limits = limits_of(section);
	if (copy_words(&user->identity.roles, &section->is) < 0 || copy_words(&user->certificates, &section->certificates) < 0)
		return -ENOMEM;
	return copy_numbers(&user->uids, &user->uid_count, &section->uids) < 0 ||
			       copy_numbers(&user->gids, &user->gid_count, &section->gids) < 0 ||
			       copy_tokens(user, &section->tokens) < 0
		       ? -ENOMEM
		       : 0;
}

static int fill(struct users *users, const struct config *config)
{
	users->root.name = "root";
	users->nobody.rights = rights_new(NULL, NULL);
	users->users = calloc(config->user_count + 1, sizeof *users->users);
	if (!users->users || !users->nobody.rights)
		return -ENOMEM;
	for (; users->count < config->user_count; users->count++) {
		struct user *user = &users->users[users->count];
		const struct config_user *section = &config->users[users->count];
		if (fill_user(user, config, section) < 0) {
			users->count++; /* it is freed with the others */
			return -ENOMEM;
		}
		if (!strcmp(section->own.name, "*"))
			users->anyone = user;
	}
	return 0;
}

struct users *users_new(const struct config *config)
{
	struct users *users = calloc(1, sizeof *users);

	if (users && fill(users, config) == 0)
		return users;
	users_free(users);
	return NULL;
}

static void free_user(struct user *user)
{
	rights_unref(user->identity.rights);
	free_words(&user->identity.roles);
	free_words(&user->certificates);
	free(user->uids);
	free(user->gids);
	free(user->tokens);
}

static void free_united(struct united *united)
{
	rights_unref(united->identity.rights);
	free(united->identity.roles.words);
	free(united);
}

void users_free(struct users *users)
{
	struct united *united;

	if (!users)
		return;
	while ((united = users->united)) {
		users->united = united->next;
		free_united(united);
	}
	for (uint32_t i = 0; i < users->count; i++)
		free_user(&users->users[i]);
	free(users->users);
	rights_unref(users->nobody.rights);
	free(users);
}

/* ---- quotas ---- */

static int open_quota(const struct users *users, struct identity *identity)
{
	struct quota *quota = quota_get(users->core, identity->name);

	if (!quota)
		return -ENOMEM;
	rights_set_quota(identity->rights, quota);
	if (users->in_use)
		quota_set_limits(quota, &identity->limits);
	return 0;
}

static int open_quotas(struct users *users, struct core *core)
{
	users->core = core;
	for (uint32_t i = 0; i < users->count; i++)
		if (open_quota(users, &users->users[i].identity) < 0)
			return -ENOMEM;
	return 0;
}

int users_make(const struct config *config, struct core *core, struct users **users)
{
	*users = NULL;
	if (config->user_count == 0)
		return 0;
	*users = users_new(config);
	if (*users && open_quotas(*users, core) == 0)
		return 0;
	users_free(*users);
	*users = NULL;
	return -ENOMEM;
}

void users_set_limits(struct users *users)
{
	struct united *united;

	users->in_use = true;
	for (uint32_t i = 0; i < users->count; i++)
		quota_set_limits(users->users[i].identity.rights->quota, &users->users[i].identity.limits);
	for (united = users->united; united; united = united->next)
		quota_set_limits(united->identity.rights->quota, &united->identity.limits);
}

/* ---- certificates ---- */

static bool has_name(const struct certificate_names *names, const char *name)
{
	for (size_t i = 0; i < names->count; i++)
		if (!strcmp(names->names[i], name))
			return true;
	return false;
}

/* The names of hosts and domains are the same in upper and lower case. */
static bool has_domain(const struct certificate_names *names, const char *name)
{
	for (size_t i = 0; i < names->count; i++)
		if (!strcasecmp(names->names[i], name))
			return true;
	return false;
}

/* What stands behind the prefix, if the word has it. NULL: it doesn't. */
static const char *behind(const char *word, const char *prefix)
{
	const size_t n = strlen(prefix);
	return strncmp(word, prefix, n) == 0 ? word + n : NULL;
}

static bool certificate_has(const struct certificate *certificate, const char *word)
{
	uint8_t hash[CERTIFICATE_HASH];
	const char *name;

	if ((name = behind(word, "san:dns:")))
		return has_domain(&certificate->dns, name);
	if ((name = behind(word, "san:uri:")))
		return has_name(&certificate->uris, name);
	if ((name = behind(word, "san:email:")))
		return has_name(&certificate->emails, name);
	if ((name = behind(word, "cn:")))
		return has_name(&certificate->cns, name);
	if ((name = behind(word, "subject:")))
		return certificate->subject && strcmp(certificate->subject, name) == 0;
	if (!(name = behind(word, "sha256:")))
		return false;
	read_hex(name, hash);
	return memcmp(certificate->sha256, hash, sizeof hash) == 0;
}

static bool has_certificate(const struct user *user, const struct certificate *certificate)
{
	for (uint32_t i = 0; i < user->certificates.count; i++)
		if (certificate_has(certificate, user->certificates.words[i].text))
			return true;
	return false;
}

/* The user of the certificate, or NULL. -EEXIST: it is that of two users. */
static int find_by_certificate(const struct users *users, const struct certificate *certificate, const struct user **user,
			       char *reason, size_t size)
{
	*user = NULL;
	for (uint32_t i = 0; certificate && i < users->count; i++) {
		if (!has_certificate(&users->users[i], certificate))
			continue;
		if (*user) {
			snprintf(reason, size, "the certificate is that of user %s (%s) and of user %s (%s)",
				 (*user)->identity.name, (*user)->identity.rights->place, users->users[i].identity.name,
				 users->users[i].identity.rights->place);
			return -EEXIST;
		}
		*user = &users->users[i];
	}
	return 0;
}

/* ---- tokens, uids ---- */

void users_hash_token(struct span token, uint8_t hash[TOKEN_HASH])
{
	(void)SHA256(token.bytes, token.size, hash);
}

/* All tokens are compared, each in constant time. */
static const struct user *find_by_token(const struct users *users, const uint8_t *hash)
{
	const struct user *found = NULL;

	for (uint32_t i = 0; i < users->count; i++)
		for (uint32_t k = 0; k < users->users[i].token_count; k++)
			if (CRYPTO_memcmp(users->users[i].tokens[k], hash, TOKEN_HASH) == 0)
				found = &users->users[i];
	return found;
}

bool users_know_token(const struct users *users, const uint8_t hash[TOKEN_HASH])
{
	return find_by_token(users, hash) != NULL;
}

static bool has_number(const uint32_t *numbers, uint32_t count, uint32_t number)
{
	for (uint32_t i = 0; i < count; i++)
		if (numbers[i] == number)
			return true;
	return false;
}

static const struct user *find_by_uid(const struct users *users, uid_t uid)
{
	for (uint32_t i = 0; i < users->count; i++)
		if (has_number(users->users[i].uids, users->users[i].uid_count, uid))
			return &users->users[i];
	return NULL;
}

/* ---- groups ---- */

static bool has_group(const struct user *user, const struct credentials *credentials)
{
	for (uint32_t i = 0; i < credentials->gid_count; i++)
		if (has_number(user->gids, user->gid_count, credentials->gids[i]))
			return true;
	return false;
}

/* The roles of all users. The words stay theirs. */
static int unite_roles(struct united *united)
{
	struct config_words *roles = &united->identity.roles;
	uint32_t count = 0;

	for (uint32_t i = 0; i < united->count; i++)
		count += united->of[i]->identity.roles.count;
	roles->words = calloc(count + 1, sizeof *roles->words);
	for (uint32_t i = 0; roles->words && i < united->count; i++)
		for (uint32_t k = 0; k < united->of[i]->identity.roles.count; k++)
			roles->words[roles->count++] = united->of[i]->identity.roles.words[k];
	return roles->words ? 0 : -ENOMEM;
}

/* "a,b": to be freed. NULL: out of memory. */
static char *unite_names(const struct united *united)
{
	char *text = NULL;
	size_t size;
	FILE *to = open_memstream(&text, &size);

	if (!to)
		return NULL;
	for (uint32_t i = 0; i < united->count; i++)
		fprintf(to, "%s%s", i > 0 ? "," : "", united->of[i]->identity.name);
	if (fclose(to) == 0)
		return text;
	free(text);
	return NULL;
}

/* The smallest limit holds. */
static void unite_limits(struct united *united)
{
	struct quota_limits *limits = &united->identity.limits;

	*limits = united->of[0]->identity.limits;
	for (uint32_t i = 1; i < united->count; i++)
		*limits = quota_smallest(limits, &united->of[i]->identity.limits);
}

static int unite(struct united *united)
{
	char *name = unite_names(united);
	struct rights *rights = name ? rights_new(name, united->of[0]->identity.rights->place) : NULL;

	free(name);
	united->identity.rights = rights;
	if (!rights)
		return -ENOMEM;
	united->identity.name = rights->user;
	unite_limits(united);
	for (uint32_t i = 0; i < united->count; i++)
		if (rights_unite(rights, united->of[i]->identity.rights) < 0)
			return -ENOMEM;
	return unite_roles(united);
}

static uint32_t count_by_groups(const struct users *users, const struct credentials *credentials, const struct user **first)
{
	uint32_t count = 0;

	*first = NULL;
	for (uint32_t i = 0; i < users->count; i++)
		if (has_group(&users->users[i], credentials)) {
			*first = *first ? *first : &users->users[i];
			count++;
		}
	return count;
}

static struct united *united_new(const struct users *users, const struct credentials *credentials, uint32_t count)
{
	struct united *united = calloc(1, sizeof *united + count * sizeof *united->of);

	for (uint32_t i = 0; united && i < users->count; i++)
		if (has_group(&users->users[i], credentials))
			united->of[united->count++] = &users->users[i];
	return united;
}

/* All clients that are the same users have one identity: the table has no more of them than there are such sets of groups. */
static const struct identity *united_keep(struct users *users, struct united *united)
{
	struct united *other;

	for (other = users->united; other; other = other->next)
		if (other->count == united->count && !memcmp(other->of, united->of, united->count * sizeof *united->of)) {
			free(united);
			return &other->identity;
		}
	if (unite(united) < 0 || (users->core && open_quota(users, &united->identity) < 0)) {
		free_united(united);
		return NULL;
	}
	united->next = users->united;
	users->united = united;
	return &united->identity;
}

/* 1: *identity is set; 0: it is nobody by its groups; -ENOMEM. */
static int find_by_groups(struct users *users, const struct credentials *credentials, const struct identity **identity)
{
	const struct user *first;
	const uint32_t count = count_by_groups(users, credentials, &first);

	if (count == 0)
		return 0;
	if (count == 1) {
		*identity = &first->identity;
		return 1;
	}
	struct united *united = united_new(users, credentials, count);
	*identity = united ? united_keep(users, united) : NULL;
	return *identity ? 1 : -ENOMEM;
}

/* ---- asking ---- */

static int settle(const struct identity **identity, enum known_by *by, const struct identity *is, enum known_by known)
{
	*identity = is;
	*by = known;
	return 0;
}

int users_identify(struct users *users, const struct credentials *credentials, const struct identity **identity,
		   enum known_by *by, char *reason, size_t size)
{
	const struct user *user;

	if (find_by_certificate(users, credentials->certificate, &user, reason, size) < 0)
		return -EEXIST;
	if (user)
		return settle(identity, by, &user->identity, KNOWN_BY_CERT);
	if (credentials->token) {
		user = find_by_token(users, credentials->token);
		return user ? settle(identity, by, &user->identity, KNOWN_BY_TOKEN)
			    : settle(identity, by, &users->nobody, KNOWN_BY_NOTHING);
	}
	if (credentials->is_local && (user = find_by_uid(users, credentials->uid)))
		return settle(identity, by, &user->identity, KNOWN_BY_UID);
	if (credentials->is_local && credentials->uid == 0)
		return settle(identity, by, &users->root, KNOWN_AS_ROOT);
	*by = KNOWN_BY_GID;
	const int r = credentials->is_local ? find_by_groups(users, credentials, identity) : 0;
	if (r != 0)
		return r < 0 ? r : 0;
	if (users->anyone)
		return settle(identity, by, &users->anyone->identity, KNOWN_AS_ANYONE);
	return settle(identity, by, &users->nobody, KNOWN_BY_NOTHING);
}

static const struct user *longest_match(const struct users *users, struct span name)
{
	const struct user *found = NULL;

	for (uint32_t i = 0; i < users->count; i++) {
		const struct user *user = &users->users[i];
		const char *pattern = user->identity.name;
		if (strchr(pattern, '/') && strchr(pattern, '*') && glob_matches(pattern, name) &&
		    (!found || strlen(pattern) > strlen(found->identity.name)))
			found = user;
	}
	return found;
}

const struct identity *users_of_host(const struct users *users, struct span name)
{
	const struct identity *identity = users_find(users, name);

	if (identity)
		return identity;
	const struct user *user = longest_match(users, name);
	if (!user)
		user = users->anyone;
	return user ? &user->identity : &users->nobody;
}

const struct identity *users_nobody(const struct users *users)
{
	return &users->nobody;
}

const struct identity *users_find(const struct users *users, struct span name)
{
	for (uint32_t i = 0; i < users->count; i++)
		if (span_is(name, users->users[i].identity.name))
			return &users->users[i].identity;
	return NULL;
}

const struct identity *users_named(const struct users *users, struct span name)
{
	return memchr(name.bytes, '/', name.size) ? users_of_host(users, name) : users_find(users, name);
}

uint32_t users_count(const struct users *users)
{
	return users ? users->count : 0;
}

static void add_state(struct user_state *state, const struct quota *quota)
{
	state->sessions += quota->sessions;
	state->memory += quota->account->used;
	state->inflight += quota->inflight;
	state->lingering += quota->lingering;
	state->leases += quota->leases;
	state->directs += quota->directs;
	state->calls += quota->calls;
	state->denied += quota->denied;
	state->overloaded += quota->overloaded;
}

struct user_state users_state(const struct users *users, uint32_t index)
{
	const struct user *user = &users->users[index];
	struct user_state state = {.name = user->identity.name};
	const struct united *united;

	add_state(&state, user->identity.rights->quota);
	for (united = users->united; united; united = united->next)
		for (uint32_t i = 0; i < united->count; i++)
			if (united->of[i] == user)
				add_state(&state, united->identity.rights->quota);
	return state;
}

struct quota *users_quota(const struct users *users, uint32_t index)
{
	const struct united *united = users->united;

	if (index < users->count)
		return users->users[index].identity.rights->quota;
	for (index -= users->count; united && index > 0; index--)
		united = united->next;
	return united ? united->identity.rights->quota : NULL;
}

const char *users_known_by(enum known_by by)
{
	static const char *const names[] = {
		[KNOWN_AS_ROOT] = "root", [KNOWN_BY_CERT] = "cert",     [KNOWN_BY_TOKEN] = "token",  [KNOWN_BY_UID] = "uid",
		[KNOWN_BY_GID] = "gid",   [KNOWN_AS_ANYONE] = "anyone", [KNOWN_BY_NOTHING] = "none",
		[KNOWN_BY_HOST] = "host",
	};
	return names[by];
}
