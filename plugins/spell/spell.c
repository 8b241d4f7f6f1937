/* SPDX-License-Identifier: Apache-2.0 */
/*
 * spell: class Dictionary, a Hunspell dictionary that is loaded once and serves many clients.
 *
 * A typical class for objpool: slow to build (an English dictionary takes some 30 ms and 8 MB), quick to ask, and with a state of
 * its own (the words that clients add). `preload` loads the dictionary in the template, so that workers start
 * with it; a worker whose arguments differ from the pool's loads its own.
 *
 * Text is UTF-8 in arguments and results, whatever encoding the dictionary has. Offsets are bytes of that UTF-8 text: every
 * language can slice by them, which is not so for any way to count characters.
 *
 * libhunspell keeps unprotected global tables: the class is not marked thread-safe.
 */
#include <objpool/plugin.h>

#include <dlfcn.h>
#include <errno.h>
#include <hunspell/hunspell.h>
#include <iconv.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

enum { WORD_MAX = 400, SUGGEST_MAX = 100 }; /* Hunspell itself gives up on words of 100 characters */

#define DEFAULT_LANGUAGE "en_US"
#define DEFAULT_PATH     "/usr/share/hunspell"
#define NO_ICONV         ((iconv_t)-1)

struct dictionary {
	Hunhandle *hunspell;
	iconv_t to_own, from_own; /* NO_ICONV where the dictionary is UTF-8 itself */
	char *language, *path;
	uint64_t added;
	bool preloaded;
};

/* The constructor's arguments. It owns the strings. */
struct settings {
	char *language, *path;
	const msgpack_object *words;
};

static struct dictionary *preloaded; /* made in the template; one instance per process takes it */

/* ---- UTF-8 ---- */

static const struct {
	uint32_t first, last;
} no_letters[] = {
	{0x80, 0xa9},     {0xab, 0xb4},     {0xb6, 0xb9},     {0xbb, 0xbf},     {0xd7, 0xd7},     {0xf7, 0xf7},
	{0x2000, 0x2bff}, {0x3000, 0x303f}, {0xd800, 0xf8ff}, {0xfe00, 0xfe6f}, {0xfeff, 0xff20}, {0x1f000, 0x1ffff},
};

/* Is it a letter, as far as finding words needs? Beyond ASCII all characters are that are not known as punctuation or symbols. */
static bool is_letter(uint32_t c)
{
	if (c < 0x80)
		return (c | 0x20) >= 'a' && (c | 0x20) <= 'z';
	for (size_t i = 0; i < sizeof no_letters / sizeof *no_letters; i++)
		if (c >= no_letters[i].first && c <= no_letters[i].last)
			return false;
	return true;
}

static bool is_digit(uint32_t c)
{
	return c >= '0' && c <= '9';
}

static bool is_apostrophe(uint32_t c)
{
	return c == '\'' || c == 0x2019;
}

/* The character at p, and how many bytes it has; 0: there is none, or it is not UTF-8. */
static size_t next_character(const char *p, const char *end, uint32_t *c)
{
	static const uint32_t min[] = {0, 0, 0x80, 0x800, 0x10000};
	const uint8_t lead = p < end ? (uint8_t)*p : 0xff;
	const size_t n = lead < 0x80 ? 1 : lead < 0xc0 ? 0 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : lead < 0xf8 ? 4 : 0;

	if (n == 0 || (size_t)(end - p) < n)
		return 0;
	*c = n == 1 ? lead : lead & (0x7fu >> n);
	for (size_t i = 1; i < n; i++) {
		if (((uint8_t)p[i] & 0xc0) != 0x80)
			return 0;
		*c = *c << 6 | ((uint8_t)p[i] & 0x3f);
	}
	return *c < min[n] || *c > 0x10ffff || (*c >= 0xd800 && *c <= 0xdfff) ? 0 : n;
}

static bool is_utf8(const msgpack_object_str *text)
{
	const char *p = text->ptr, *end = p + text->size;
	uint32_t c;

	while (p < end) {
		const size_t n = next_character(p, end, &c);
		if (n == 0)
			return false;
		p += n;
	}
	return true;
}

/* ---- arguments ---- */

static int want_text(struct objpool_call *call, const char *name, const msgpack_object *value)
{
	if (!value || value->type != MSGPACK_OBJECT_STR)
		return objpool_bad_argument(call, "%s must be a string", name);
	return is_utf8(&value->via.str) ? 0 : objpool_bad_argument(call, "%s is not UTF-8", name);
}

/* Reads a count from 0 to SUGGEST_MAX. *count stays as it is if there is no value. */
static int want_count(struct objpool_call *call, const char *name, const msgpack_object *value, uint32_t *count)
{
	if (!value)
		return 0;
	if (value->type != MSGPACK_OBJECT_POSITIVE_INTEGER || value->via.u64 > SUGGEST_MAX)
		return objpool_bad_argument(call, "%s must be an integer from 0 to %d", name, SUGGEST_MAX);
	*count = (uint32_t)value->via.u64;
	return 0;
}

static int no_memory(struct objpool_call *call)
{
	return objpool_fail(call, "MemoryError", "out of memory");
}

static int copy_text(struct objpool_call *call, const char *name, const msgpack_object *value, const char *otherwise,
		     char **copy)
{
	if (value && want_text(call, name, value) < 0)
		return -1;
	if (value && (value->via.str.size == 0 || memchr(value->via.str.ptr, '\0', value->via.str.size)))
		return objpool_bad_argument(call, "%s must not be empty or have NUL bytes", name);
	*copy = value ? strndup(value->via.str.ptr, value->via.str.size) : strdup(otherwise);
	return *copy ? 0 : no_memory(call);
}

/* Has the folder a dictionary of the language? */
static bool has_language(const char *folder, const char *language)
{
	char *affixes;

	if (asprintf(&affixes, "%s/%s.aff", folder, language) < 0)
		return false;
	const bool found = access(affixes, R_OK) == 0;
	free(affixes);
	return found;
}

/* The folder of dictionaries where none is given: the system's, or `hunspell` beside this plugin if that alone has the language.
 * To be freed; NULL: out of memory. */
static char *default_path(const char *language)
{
	static const char here;
	char *folder;
	Dl_info plugin;

	const char *slash = dladdr(&here, &plugin) ? strrchr(plugin.dli_fname, '/') : NULL;
	if (!slash || has_language(DEFAULT_PATH, language))
		return strdup(DEFAULT_PATH);
	if (asprintf(&folder, "%.*s/hunspell", (int)(slash - plugin.dli_fname), plugin.dli_fname) < 0)
		return NULL;
	if (has_language(folder, language))
		return folder;
	free(folder);
	return strdup(DEFAULT_PATH);
}

static void settings_free(struct settings *settings)
{
	free(settings->language);
	free(settings->path);
}

static int read_settings(struct objpool_call *call, const struct objpool_args *args, struct settings *settings)
{
	static const char *const names[] = {"language", "path", "words", NULL};
	const msgpack_object *values[3] = {NULL};

	if (objpool_take(call, args, names, 1, values) < 0 ||
	    copy_text(call, "language", values[0], DEFAULT_LANGUAGE, &settings->language) < 0)
		return -1;
	if (strchr(settings->language, '/'))
		return objpool_bad_argument(call, "language is a name such as en_US; directories go into path");
	if (values[1] && copy_text(call, "path", values[1], NULL, &settings->path) < 0)
		return -1;
	if (!settings->path && !(settings->path = default_path(settings->language)))
		return no_memory(call);
	settings->words = values[2];
	if (settings->words && settings->words->type != MSGPACK_OBJECT_ARRAY)
		return objpool_bad_argument(call, "words must be an array of strings");
	return 0;
}

/* ---- between UTF-8 and the dictionary's encoding ---- */

static void put_text(msgpack_packer *packer, const char *text, size_t size)
{
	msgpack_pack_str(packer, size);
	msgpack_pack_str_body(packer, text, size);
}

/* The dictionaries that are not UTF-8 don't have the typographic apostrophe. Returns the new size. */
static size_t plain_apostrophes(const char *text, size_t size, char *plain)
{
	size_t n = 0;
	for (size_t i = 0; i < size; i++) {
		const bool curly = size - i >= 3 && memcmp(text + i, "\xe2\x80\x99", 3) == 0;
		plain[n++] = curly ? '\'' : text[i];
		i += curly ? 2 : 0;
	}
	return n;
}

/* Converts the word to the dictionary's encoding. False: it can't contain the word. No encoding of Hunspell is longer than
 * UTF-8. */
static bool to_own(const struct dictionary *dictionary, const char *word, size_t size, char own[WORD_MAX + 1])
{
	char plain[WORD_MAX], *from = plain, *to = own;
	size_t room = WORD_MAX, left;

	if (size == 0 || size > WORD_MAX || memchr(word, '\0', size))
		return false;
	if (dictionary->to_own == NO_ICONV) {
		memcpy(own, word, size);
		own[size] = '\0';
		return true;
	}
	left = plain_apostrophes(word, size, plain);
	(void)iconv(dictionary->to_own, NULL, NULL, NULL, NULL);
	if (iconv(dictionary->to_own, &from, &left, &to, &room) == (size_t)-1)
		return false;
	*to = '\0';
	return true;
}

static void put_own(const struct dictionary *dictionary, char *own, msgpack_packer *packer)
{
	char text[4 * WORD_MAX], *from = own, *to = text;
	size_t left = strlen(own), room = sizeof text;

	if (dictionary->from_own == NO_ICONV) {
		put_text(packer, own, left);
		return;
	}
	(void)iconv(dictionary->from_own, NULL, NULL, NULL, NULL);
	(void)iconv(dictionary->from_own, &from, &left, &to, &room); /* text of a damaged dictionary is cut off */
	put_text(packer, text, (size_t)(to - text));
}

/* ---- life ---- */

static struct dictionary *dictionary_free(struct dictionary *dictionary)
{
	if (!dictionary)
		return NULL;
	if (dictionary->hunspell)
		Hunspell_destroy(dictionary->hunspell);
	if (dictionary->to_own != NO_ICONV)
		(void)iconv_close(dictionary->to_own);
	if (dictionary->from_own != NO_ICONV)
		(void)iconv_close(dictionary->from_own);
	free(dictionary->language);
	free(dictionary->path);
	free(dictionary);
	return NULL;
}

static int open_encoding(struct dictionary *dictionary, char *reason, size_t size)
{
	const char *encoding = Hunspell_get_dic_encoding(dictionary->hunspell);

	if (strcasecmp(encoding, "UTF-8") == 0)
		return 0;
	if (strncasecmp(encoding, "microsoft-", 10) == 0) /* microsoft-cp1251: iconv knows it without the maker */
		encoding += 10;
	dictionary->to_own = iconv_open(encoding, "UTF-8");
	dictionary->from_own = iconv_open("UTF-8", encoding);
	if (dictionary->to_own != NO_ICONV && dictionary->from_own != NO_ICONV)
		return 0;
	snprintf(reason, size, "dictionary %s has an unknown encoding: %s", dictionary->language, encoding);
	return -1;
}

/* Checks that the files are there: without them Hunspell makes a dictionary that knows no word. */
static int open_files(struct dictionary *dictionary, char *reason, size_t size)
{
	char *affixes = NULL, *words = NULL;
	const char *missing = NULL;

	if (asprintf(&affixes, "%s/%s.aff", dictionary->path, dictionary->language) < 0)
		affixes = NULL;
	if (asprintf(&words, "%s/%s.dic", dictionary->path, dictionary->language) < 0)
		words = NULL;
	if (affixes && words) {
		missing = access(affixes, R_OK) < 0 ? affixes : access(words, R_OK) < 0 ? words : NULL;
		if (missing)
			snprintf(reason, size, "no dictionary for language \"%s\": %s: %s", dictionary->language, missing,
				 strerror(errno));
		else
			dictionary->hunspell = Hunspell_create(affixes, words);
	}
	free(affixes);
	free(words);
	return dictionary->hunspell ? 0 : -1;
}

/* Takes over the settings' strings. NULL, with the reason in `reason`. */
static struct dictionary *dictionary_open(struct settings *settings, char *reason, size_t size)
{
	struct dictionary *dictionary = calloc(1, sizeof *dictionary);

	snprintf(reason, size, "out of memory");
	if (!dictionary)
		return NULL;
	dictionary->to_own = dictionary->from_own = NO_ICONV;
	dictionary->language = settings->language;
	dictionary->path = settings->path;
	settings->language = settings->path = NULL;
	if (open_files(dictionary, reason, size) < 0 || open_encoding(dictionary, reason, size) < 0)
		return dictionary_free(dictionary);
	return dictionary;
}

static int add_word(struct objpool_call *call, struct dictionary *dictionary, const msgpack_object *word)
{
	char own[WORD_MAX + 1];

	if (want_text(call, "a word to add", word) < 0)
		return -1;
	if (!to_own(dictionary, word->via.str.ptr, word->via.str.size, own))
		return objpool_bad_argument(call, "a word to add must have 1 to %d bytes and fit the dictionary's encoding, %s",
					    WORD_MAX, Hunspell_get_dic_encoding(dictionary->hunspell));
	if (Hunspell_add(dictionary->hunspell, own) != 0)
		return objpool_fail(call, "DictionaryError", "the dictionary refused the word");
	dictionary->added++;
	return 0;
}

static int add_words(struct objpool_call *call, struct dictionary *dictionary, const msgpack_object *words)
{
	for (uint32_t i = 0; words && i < words->via.array.size; i++) {
		if (objpool_cancelled(call))
			return objpool_fail(call, "Cancelled", "cancelled while adding words");
		if (add_word(call, dictionary, &words->via.array.ptr[i]) < 0)
			return -1;
	}
	return 0;
}

/* Ignores failures: slots may have other arguments than the pool, and `create` reports what can't be loaded. */
static int dictionary_preload(struct objpool_call *call, const struct objpool_args *args)
{
	struct settings settings = {0};
	char reason[512];

	const int r = read_settings(call, args, &settings);
	if (r == 0) {
		dictionary_free(preloaded);
		preloaded = dictionary_open(&settings, reason, sizeof reason);
	}
	settings_free(&settings);
	return r;
}

static int dictionary_check_args(struct objpool_call *call, const struct objpool_args *args)
{
	struct settings settings = {0};
	const int r = read_settings(call, args, &settings);

	settings_free(&settings);
	return r;
}

/* Takes the template's dictionary, if it fits these settings and no other instance of this process has it. */
static struct dictionary *take_preloaded(const struct settings *settings)
{
	struct dictionary *dictionary = preloaded;

	if (!dictionary || strcmp(dictionary->language, settings->language) != 0 ||
	    strcmp(dictionary->path, settings->path) != 0)
		return NULL;
	preloaded = NULL;
	dictionary->preloaded = true;
	return dictionary;
}

static int dictionary_create(struct objpool_call *call, const struct objpool_args *args, void **self)
{
	struct settings settings = {0};
	struct dictionary *dictionary = NULL;
	char reason[512];

	if (read_settings(call, args, &settings) < 0)
		goto out;
	dictionary = take_preloaded(&settings);
	if (!dictionary)
		dictionary = dictionary_open(&settings, reason, sizeof reason);
	if (!dictionary)
		objpool_fail(call, "DictionaryError", "%s", reason);
	else if (add_words(call, dictionary, settings.words) < 0)
		dictionary = dictionary_free(dictionary);
out:
	settings_free(&settings);
	*self = dictionary;
	return dictionary ? 0 : -1;
}

static void dictionary_destroy(void *self)
{
	dictionary_free(self);
}

/* ---- check, suggest ---- */

static bool knows(struct dictionary *dictionary, const char *word, size_t size)
{
	char own[WORD_MAX + 1];
	return to_own(dictionary, word, size, own) && Hunspell_spell(dictionary->hunspell, own) != 0;
}

static int dictionary_check(void *self, struct objpool_call *call, const struct objpool_args *args,
			    msgpack_packer *result)
{
	static const char *const names[] = {"word", NULL};
	const msgpack_object *word = NULL;

	if (objpool_take(call, args, names, 1, &word) < 0 || want_text(call, "word", word) < 0)
		return -1;
	if (knows(self, word->via.str.ptr, word->via.str.size))
		msgpack_pack_true(result);
	else
		msgpack_pack_false(result);
	return 0;
}

static void put_suggestions(struct dictionary *dictionary, const char *word, size_t size, uint32_t limit,
			    msgpack_packer *result)
{
	char own[WORD_MAX + 1], **list = NULL;
	int n = 0;

	if (limit > 0 && to_own(dictionary, word, size, own))
		n = Hunspell_suggest(dictionary->hunspell, &list, own);
	const uint32_t count = n < 0 ? 0 : (uint32_t)n < limit ? (uint32_t)n : limit;
	msgpack_pack_array(result, count);
	for (uint32_t i = 0; i < count; i++)
		put_own(dictionary, list[i], result);
	if (n > 0)
		Hunspell_free_list(dictionary->hunspell, &list, n);
}

static int dictionary_suggest(void *self, struct objpool_call *call, const struct objpool_args *args,
			      msgpack_packer *result)
{
	static const char *const names[] = {"word", "limit", NULL};
	const msgpack_object *values[2] = {NULL};
	uint32_t limit = 8;

	if (objpool_take(call, args, names, 1, values) < 0 || want_text(call, "word", values[0]) < 0 ||
	    want_count(call, "limit", values[1], &limit) < 0)
		return -1;
	put_suggestions(self, values[0]->via.str.ptr, values[0]->via.str.size, limit, result);
	return 0;
}

/* ---- check_text ---- */

/* Goes through a text that is UTF-8. A word is a run of letters, with apostrophes inside it: don't, o’clock. */
struct words {
	const char *begin, *end; /* the word */
	const char *text_end;
	bool digits;             /* it has digits (mp3, 2nd), so no dictionary knows it */
};

static bool continues(const struct words *words, uint32_t c, size_t n)
{
	uint32_t after;

	if (is_letter(c) || is_digit(c))
		return true;
	return is_apostrophe(c) && next_character(words->end + n, words->text_end, &after) > 0 && is_letter(after);
}

static bool next_word(struct words *words)
{
	uint32_t c;
	size_t n;

	words->begin = words->end;
	while ((n = next_character(words->begin, words->text_end, &c)) > 0 && !is_letter(c) && !is_digit(c))
		words->begin += n;
	words->end = words->begin;
	words->digits = false;
	while ((n = next_character(words->end, words->text_end, &c)) > 0 && continues(words, c, n)) {
		words->digits |= is_digit(c);
		words->end += n;
	}
	return words->end > words->begin;
}

struct found {
	struct place {
		size_t offset, size;
	} *places;
	uint32_t count, room;
};

static int found_add(struct found *found, size_t offset, size_t size)
{
	if (found->count == found->room) {
		const uint32_t room = found->room ? 2 * found->room : 64;
		struct place *places = realloc(found->places, room * sizeof *places);
		if (!places)
			return -ENOMEM;
		found->places = places;
		found->room = room;
	}
	found->places[found->count++] = (struct place){.offset = offset, .size = size};
	return 0;
}

static int find_unknown(struct dictionary *dictionary, struct objpool_call *call, const msgpack_object_str *text,
			struct found *found)
{
	struct words words = {.end = text->ptr, .text_end = text->ptr + text->size};

	while (next_word(&words)) {
		const size_t size = (size_t)(words.end - words.begin);
		if (objpool_cancelled(call))
			return objpool_fail(call, "Cancelled", "cancelled while checking a text");
		if (words.digits || knows(dictionary, words.begin, size))
			continue;
		if (found_add(found, (size_t)(words.begin - text->ptr), size) < 0)
			return no_memory(call);
	}
	return 0;
}

static int put_found(struct dictionary *dictionary, struct objpool_call *call, const struct found *found,
		     const char *text, uint32_t suggestions, msgpack_packer *result)
{
	msgpack_pack_array(result, found->count);
	for (uint32_t i = 0; i < found->count; i++) {
		const struct place *place = &found->places[i];
		if (objpool_cancelled(call)) /* a suggestion may take milliseconds */
			return objpool_fail(call, "Cancelled", "cancelled while looking for suggestions");
		msgpack_pack_map(result, suggestions ? 3 : 2);
		put_text(result, "word", 4);
		put_text(result, text + place->offset, place->size);
		put_text(result, "offset", 6);
		msgpack_pack_uint64(result, place->offset);
		if (suggestions) {
			put_text(result, "suggestions", 11);
			put_suggestions(dictionary, text + place->offset, place->size, suggestions, result);
		}
	}
	return 0;
}

static int dictionary_check_text(void *self, struct objpool_call *call, const struct objpool_args *args,
				 msgpack_packer *result)
{
	static const char *const names[] = {"text", "suggestions", NULL};
	const msgpack_object *values[2] = {NULL};
	struct found found = {0};
	uint32_t suggestions = 0;

	if (objpool_take(call, args, names, 1, values) < 0 || want_text(call, "text", values[0]) < 0 ||
	    want_count(call, "suggestions", values[1], &suggestions) < 0)
		return -1;
	const msgpack_object_str *text = &values[0]->via.str;
	int r = find_unknown(self, call, text, &found);
	if (r == 0)
		r = put_found(self, call, &found, text->ptr, suggestions, result);
	free(found.places);
	return r;
}

/* ---- add, info ---- */

static int dictionary_add(void *self, struct objpool_call *call, const struct objpool_args *args,
			  msgpack_packer *result)
{
	static const char *const names[] = {"word", NULL};
	const msgpack_object *word = NULL;

	(void)result; /* a method that writes nothing answers nil */
	return objpool_take(call, args, names, 1, &word) < 0 ? -1 : add_word(call, self, word);
}

static int dictionary_info(void *self, struct objpool_call *call, const struct objpool_args *args,
			   msgpack_packer *result)
{
	const struct dictionary *dictionary = self;
	const char *encoding = Hunspell_get_dic_encoding(dictionary->hunspell);

	(void)call;
	(void)args;
	msgpack_pack_map(result, 5);
	put_text(result, "language", 8);
	put_text(result, dictionary->language, strlen(dictionary->language));
	put_text(result, "path", 4);
	put_text(result, dictionary->path, strlen(dictionary->path));
	put_text(result, "encoding", 8);
	put_text(result, encoding, strlen(encoding));
	put_text(result, "added", 5);
	msgpack_pack_uint64(result, dictionary->added);
	put_text(result, "preloaded", 9);
	if (dictionary->preloaded)
		msgpack_pack_true(result);
	else
		msgpack_pack_false(result);
	return 0;
}

/* ---- what the plugin exports ---- */

#define KWARGS   OBJPOOL_METHOD_KWARGS
#define READONLY OBJPOOL_METHOD_READONLY

static const struct objpool_method methods[] = {
	{.name = "check", .signature = "(word: str) -> bool", .doc = "Is the word spelt correctly?",
	 .flags = KWARGS | READONLY, .call = dictionary_check, .max_args = 1},
	{.name = "suggest", .signature = "(word: str, *, limit: int = 8) -> list[str]",
	 .doc = "What may have been meant, the likeliest first.",
	 .flags = KWARGS | READONLY, .call = dictionary_suggest, .max_args = 1},
	{.name = "check_text", .signature = "(text: str, *, suggestions: int = 0) -> list[Unknown]",
	 .doc = "The unknown words of a text in order. Offsets are bytes of its UTF-8; words with digits are skipped.",
	 .flags = KWARGS | READONLY, .call = dictionary_check_text, .max_args = 1},
	{.name = "add", .signature = "(word: str) -> None",
	 .doc = "Makes a word known to this instance, for as long as it lives.",
	 .flags = KWARGS, .call = dictionary_add, .max_args = 1},
	{.name = "info", .signature = "() -> Info",
	 .doc = "Which dictionary this is, and how many words were added to it.",
	 .flags = READONLY, .call = dictionary_info},
	{.name = NULL},
};

static const char *const types[] = {
	"Unknown(word: str, offset: int, suggestions: list[str] = ...)", /* suggestions: where they were asked for */
	"Info(language: str, path: str, encoding: str, added: int, preloaded: bool)",
	NULL,
};

static const struct objpool_class dictionary_class = {
	OBJPOOL_CLASS_HEAD,
	.name = "Dictionary",
	.doc = "A Hunspell dictionary.",
	.signature = "(language: str = \"en_US\", *, path: str = \"/usr/share/hunspell\", words: list[str] = [])",
	.preload = dictionary_preload,
	.create = dictionary_create,
	.check = dictionary_check_args,
	.destroy = dictionary_destroy,
	.methods = methods,
	.types = types,
};

static const struct objpool_class *const classes[] = {&dictionary_class, NULL};

const struct objpool_plugin objpool_plugin = {
	OBJPOOL_PLUGIN_HEAD,
	.name = "spell",
	.version = "1.0",
	.classes = classes,
};
