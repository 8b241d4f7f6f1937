/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/supervisor/config/config_words.h"

#include "daemon/supervisor/config/config.h"
#include "proto/gateway_link.h"

#include <ctype.h>
#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdlib.h>

#define LETTERS_AND_DIGITS "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
#define SHA256_HEX 64

/* ---- checking one word: NULL, or what is wrong with it. It may be written in another way. ---- */

typedef const char *check_fn(struct config_word *word);

static const char *check_pool(struct config_word *word)
{
	static const char of_pools[] = LETTERS_AND_DIGITS "_-*";

	static const char reason[] = "must be names of pools: letters, digits, _ and -, with * for any run of them";

	return word->text[strspn(word->text, of_pools)] ? reason : NULL;
}

static const char *check_method(struct config_word *word)
{
	static const char reason[] = "must be POOL.METHOD, as in sim.step, sim.get* or *.*";
	static const char of_pools[] = LETTERS_AND_DIGITS "_-*";
	const size_t n = strspn(word->text, of_pools);

	return n > 0 && word->text[n] == '.' && word->text[n + 1] ? NULL : reason;
}

static const char *check_name(struct config_word *word)
{
	return config_is_user_name(word->text) ? NULL : "must be names of roles";
}

static bool read_id(const char *text, uint32_t *number)
{
	char *end;

	if (!isdigit((unsigned char)*text))
		return false;
	errno = 0;
	const unsigned long long value = strtoull(text, &end, 10);
	*number = (uint32_t)value;
	return !errno && !*end && value < UINT32_MAX;
}

static const char *check_uid(struct config_word *word)
{
	const struct passwd *user = getpwnam(word->text);

	if (user)
		word->number = user->pw_uid;
	return user || read_id(word->text, &word->number) ? NULL : "there is no such user of this machine";
}

static const char *check_gid(struct config_word *word)
{
	const struct group *group = getgrnam(word->text);

	if (group)
		word->number = group->gr_gid;
	return group || read_id(word->text, &word->number) ? NULL : "there is no such group of this machine";
}

/* Makes hexadecimal digits lower case. */
static bool settle_hex(char *text)
{
	const size_t n = strspn(text, "0123456789abcdefABCDEF");

	for (char *p = text; *p; p++)
		*p = (char)tolower((unsigned char)*p);
	return n == SHA256_HEX && !text[n];
}

static const char *check_token(struct config_word *word)
{
	return settle_hex(word->text) ? NULL : "must be the SHA-256 of a token: 64 hexadecimal digits";
}

static const char *check_certificate(struct config_word *word)
{
	static const char *const kinds[] = {"san:dns:", "san:uri:", "san:email:", "cn:", "subject:"};
	static const char of_hash[] = "sha256:";

	for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
		if (!strncmp(word->text, kinds[i], strlen(kinds[i])) && word->text[strlen(kinds[i])])
			return NULL;
	if (!strncmp(word->text, of_hash, sizeof of_hash - 1))
		return settle_hex(word->text + sizeof of_hash - 1) ? NULL : "sha256: must have 64 hexadecimal digits";
	return "must be san:dns:NAME, san:uri:URI, san:email:ADDRESS, cn:NAME, subject:DN or sha256:HEX";
}

/* Names are compared in lower case. */
static const char *check_host(struct config_word *word)
{
	for (char *p = word->text; *p; p++)
		*p = (char)tolower((unsigned char)*p);
	return word->text[strspn(word->text, LETTERS_AND_DIGITS "-_.")] ? "must be names of hosts, without ports" : NULL;
}

static const char *check_origin(struct config_word *word)
{
	const bool http = !strncmp(word->text, "http://", 7), https = !strncmp(word->text, "https://", 8);
	const char *host = word->text + (http ? 7 : 8);

	return (http || https) && *host && !host[strcspn(host, "/?#*")] ? NULL : "must be as https://HOST or https://HOST:PORT";
}

static const char *check_machine(struct config_word *word)
{
	return config_is_host_name(word->text) || !strcmp(word->text, "*")
		       ? NULL
		       : "must be names of hosts, as their [cluster] sections say them, or *";
}

/* Who may use the bus is no part of its address: objpool.config shows it, and so does ps. */
static const char *check_bus(struct config_word *word)
{
	const bool nats = !strncmp(word->text, "nats://", 7), tls = !strncmp(word->text, "tls://", 6);
	const char *host = word->text + (nats ? 7 : 6);

	if (strchr(word->text, '@'))
		return "must have no user and password: these go into the file that bus_creds names";
	return (nats || tls) && *host && !host[strcspn(host, "/?#,")] ? NULL : "must be as nats://HOST:PORT or tls://HOST:PORT";
}

static check_fn *const checks[] = {
	[T_METHODS] = check_method, [T_POOLS] = check_pool, [T_NAMES] = check_name,
	[T_UIDS] = check_uid,       [T_GIDS] = check_gid,   [T_CERTIFICATES] = check_certificate,
	[T_TOKENS] = check_token,   [T_HOSTS] = check_host, [T_ORIGINS] = check_origin,
	[T_MACHINES] = check_machine, [T_BUS] = check_bus,
};

/* ---- lists ---- */

/* Takes the text. */
static const char *add(struct config_words *list, char *text, check_fn *check)
{
	struct config_word *words = text ? realloc(list->words, (list->count + 1) * sizeof *words) : NULL;

	if (!words) {
		free(text);
		return config_not_kept;
	}
	list->words = words;
	struct config_word *word = &words[list->count++];
	*word = (struct config_word){.text = text};
	return check ? check(word) : NULL;
}

static const char *set_yes(struct config_words *list, const char *text)
{
	if (!strcmp(text, "yes"))
		return add(list, strdup(text), NULL);
	return strcmp(text, "no") != 0 ? "must be yes or no" : NULL;
}

/* The length of the word at the front. The subject of a certificate has blanks, and takes the rest of the line. */
static size_t word_size(const char *text, enum config_type type)
{
	return type == T_CERTIFICATES && !strncmp(text, "subject:", 8) ? strlen(text) : strcspn(text, " \t");
}

const char *config_set_words(void *field, const struct config_option *option, const char *text)
{
	const char *reason = NULL;

	if (option->type == T_YES)
		return set_yes(field, text);
	for (text += strspn(text, " \t"); *text && !reason; text += strspn(text, " \t")) {
		const size_t n = word_size(text, option->type);
		reason = add(field, strndup(text, n), checks[option->type]);
		text += n;
	}
	return reason;
}

int config_words_place(struct config_words *list, const char *place)
{
	for (uint32_t i = list->count; i > 0 && !list->words[i - 1].place; i--)
		if (!(list->words[i - 1].place = strdup(place)))
			return -ENOMEM;
	return 0;
}

bool config_is_user_name(const char *name)
{
	const size_t n = strspn(name, LETTERS_AND_DIGITS "_-.@/");
	const bool any = name[n] == '*' && (n == 0 || name[n - 1] == '/'); /* "*", and "HOST/" with a star */

	const char *slash = strchr(name, '/');
	const size_t host = slash ? (size_t)(slash + 1 - name) : 0; /* of HOST/NAME */

	return n + any > 0 && host <= GATEWAY_NAME_MAX + 1 && n + any - host <= CONFIG_USER_NAME_MAX && !name[n + any];
}

bool config_is_host_name(const char *name)
{
	const size_t n = strspn(name, LETTERS_AND_DIGITS "_-");

	return n > 0 && n <= GATEWAY_NAME_MAX && !name[n];
}

bool config_has_host(const struct config_words *hosts, struct span host)
{
	for (uint32_t i = 0; i < hosts->count; i++)
		if (!strcmp(hosts->words[i].text, "*") || span_is(host, hosts->words[i].text))
			return true;
	return false;
}
