/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Users and rights: a configuration, a NUL, and names that are separated by NULs. Each user is asked for each right to each name.
 * The answer must be that of a simple model, which reads the rules as they were written, and compares patterns slowly. An error
 * must say who was refused, in UTF-8. Names are also certificates' names and tokens, by which users are found.
 */
#include "daemon/supervisor/config/config_users.h"
#include "daemon/supervisor/users/users.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

enum { NAME_MAX_BYTES = 200, QUESTIONS = 3000 };

static void check(bool right)
{
	if (!right)
		abort();
}

static int load(struct config *config, const void *bytes, size_t size)
{
	const int fd = memfd_create("objpoold.conf", MFD_CLOEXEC);
	char path[64];

	check(fd >= 0 && write(fd, bytes, size) == (ssize_t)size);
	snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
	const int r = config_load(config, path);
	(void)close(fd);
	return r < 0 ? r : config_check(config);
}

/* ---- the model ---- */

/* reached[k]: the first i bytes of the pattern match the first k of the text. */
static bool matches(const char *pattern, size_t pattern_size, struct span text)
{
	bool reached[NAME_MAX_BYTES + 1] = {true};

	for (size_t i = 0; i < pattern_size; i++) {
		bool next[NAME_MAX_BYTES + 1] = {false};
		for (size_t k = 0; k <= text.size; k++)
			if (pattern[i] == '*')
				next[k] = reached[k] || (k > 0 && next[k - 1]);
			else
				next[k] = k > 0 && reached[k - 1] && (uint8_t)pattern[i] == text.bytes[k - 1];
		memcpy(reached, next, sizeof reached);
	}
	return reached[text.size];
}

static bool is_all(const char *pattern)
{
	return *pattern && !pattern[strspn(pattern, "*")];
}

/* How a rule must be about what is asked for. */
enum about { THE_POOL, THE_METHOD, ANY_METHOD, ALL_METHODS };

static bool word_is_about(const char *word, enum about about, struct span pool, struct span method)
{
	if (about == THE_POOL)
		return matches(word, strlen(word), pool);
	const char *dot = strchr(word, '.');
	if (!matches(word, (size_t)(dot - word), pool))
		return false;
	return about == ANY_METHOD    ? true
	       : about == ALL_METHODS ? is_all(dot + 1)
				      : matches(dot + 1, strlen(dot + 1), method);
}

static bool section_has(const struct config_role *section, enum right right, enum about about, struct span pool,
			struct span method)
{
	const struct config_words *list = &section->of[right];

	for (uint32_t i = 0; i < list->count; i++)
		if (right == RIGHT_WATCH || right == RIGHT_OPERATE || word_is_about(list->words[i].text, about, pool, method))
			return true;
	return false;
}

static bool has(const struct config *config, const struct config_user *user, enum right right, enum about about, struct span pool,
		struct span method)
{
	if (section_has(&user->own, right, about, pool, method))
		return true;
	for (uint32_t i = 0; i < user->is.count; i++)
		if (section_has(config_find_role(config, user->is.words[i].text), right, about, pool, method))
			return true;
	return false;
}

/* Without a method, a call of any method of the pool is asked for. */
static bool may(const struct config *config, const struct config_user *user, enum right right, struct span pool,
		struct span method)
{
	const bool one = method.size > 0;

	if (right == RIGHT_CALL || right == RIGHT_ALL)
		return has(config, user, right, one ? THE_METHOD : ANY_METHOD, pool, method) &&
		       !has(config, user, RIGHT_DENY, one ? THE_METHOD : ALL_METHODS, pool, method);
	if (right == RIGHT_DIRECT)
		return has(config, user, right, THE_POOL, pool, method) &&
		       has(config, user, RIGHT_CALL, ALL_METHODS, pool, method) &&
		       !has(config, user, RIGHT_DENY, ANY_METHOD, pool, method);
	return has(config, user, right, THE_POOL, pool, method) &&
	       (right != RIGHT_CODE || has(config, user, RIGHT_CREATE, THE_POOL, pool, method));
}

/* ---- asking ---- */

static void check_error(const struct rights *rights, enum right right, const struct error *error)
{
	char text[sizeof error->text];

	check(error->code == ERROR_DENIED && error->ran == RAN_NO && error->message.size < sizeof text);
	check(!strcmp(error->user, rights->user) && !strcmp(error->right, right_name(right)));
	memcpy(text, error->message.bytes, error->message.size);
	error_make_utf8(text, error->message.size);
	check(!memcmp(text, error->message.bytes, error->message.size) && !memchr(text, '\n', error->message.size));
}

static void ask(const struct config *config, const struct config_user *user, const struct rights *rights, struct span name)
{
	const uint8_t *dot = memchr(name.bytes, '.', name.size);
	struct error error;

	for (int i = 0; i < RIGHT_DENY; i++) {
		const enum right right = (enum right)i;
		const char *word = right_name(right);
		struct span pool = name, method = {0};
		struct ruling ruling;
		if (dot && right_has_methods(right)) {
			pool.size = (size_t)(dot - name.bytes);
			method = (struct span){.bytes = dot + 1, .size = name.size - pool.size - 1};
		}
		if (pool.size == 0)
			continue; /* no request names no pool; it would ask for any */
		const bool allowed = may(config, user, right, pool, method);
		check(rights_answer(rights, (struct span){.bytes = (const uint8_t *)word, .size = strlen(word)}, name, &ruling) ==
		      0);
		check(ruling.allowed == allowed && ruling.where);
		const int r = rights_check(rights, right, pool, method, &error);
		check((r == 0) == allowed);
		if (r < 0)
			check_error(rights, right, &error);
	}
}

/* Whoever shows this name, in any way, is some user or nobody, and never root. */
static void identify(struct users *users, struct span name)
{
	uint8_t hash[TOKEN_HASH];
	char text[NAME_MAX_BYTES + 1], *names[] = {text}, reason[320];
	struct certificate certificate = {.dns = {names, 1}, .uris = {names, 1}, .cns = {names, 1}, .subject = text};
	struct credentials credentials = {.is_local = name.size > 0, .uid = 1 + (name.size > 0 ? name.bytes[0] : 0u)};
	const struct identity *identity;
	enum known_by by;

	memcpy(text, name.bytes, name.size);
	text[name.size] = '\0';
	check(users_identify(users, &credentials, &identity, &by, reason, sizeof reason) == 0 && identity->rights);
	users_hash_token(name, hash);
	credentials.token = hash;
	check(users_identify(users, &credentials, &identity, &by, reason, sizeof reason) == 0);
	check(identity->rights && by == (users_know_token(users, hash) ? KNOWN_BY_TOKEN : KNOWN_BY_NOTHING));
	credentials.certificate = &certificate;
	if (users_identify(users, &credentials, &identity, &by, reason, sizeof reason) == 0)
		check(identity->rights);
	else
		check(strlen(reason) > 0);
}

static void ask_all(const struct config *config, struct users *users, struct span name)
{
	for (uint32_t i = 0; i < config->user_count; i++) {
		const char *user = config->users[i].own.name;
		const struct identity *identity = users_find(users, (struct span){(const uint8_t *)user, strlen(user)});
		check(identity && !strcmp(identity->name, user));
		ask(config, &config->users[i], identity->rights, name);
	}
	identify(users, name);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	const uint8_t *end = size > 0 ? memchr(bytes, '\0', size) : NULL;
	struct config config;
	size_t asked = 0;

	if (!end)
		return 0;
	struct users *users =
		load(&config, bytes, (size_t)(end - bytes)) == 0 && config.user_count > 0 ? users_new(&config) : NULL;
	for (const uint8_t *name = end + 1, *last = bytes + size; users && name < last && asked < QUESTIONS;) {
		const uint8_t *stop = memchr(name, '\0', (size_t)(last - name));
		const size_t n = (size_t)((stop ? stop : last) - name);
		ask_all(&config, users, (struct span){.bytes = name, .size = n < NAME_MAX_BYTES ? n : NAME_MAX_BYTES});
		asked += config.user_count;
		name += n + 1;
	}
	users_free(users);
	config_free(&config);
	return 0;
}
