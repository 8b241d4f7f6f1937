/* SPDX-License-Identifier: Apache-2.0 */
/* The names of a model in a language: words, and what makes them differ. */
#include "cli/generate/model.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { NAME_MAX_BYTES = 200 };

/* How near a name is to its form in the language. The nearest choose first: they keep their names, and others get numbers. */
enum nearness { NEAR_SAME, NEAR_FIRST_LETTER, NEAR_OTHER, NEAR_COUNT };

/* Names that are taken, in one scope. */
struct scope {
	const char **taken;
	uint32_t count, room;
};

static bool is_lower(char c)
{
	return c >= 'a' && c <= 'z';
}

static bool is_upper(char c)
{
	return c >= 'A' && c <= 'Z';
}

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static char upper(char c)
{
	return is_lower(c) ? (char)(c - 'a' + 'A') : c;
}

static char lower(char c)
{
	return is_upper(c) ? (char)(c - 'A' + 'a') : c;
}

/* Does a word begin at `i`: behind what is no letter, or at a capital behind a small letter? */
static bool begins_word(model_text text, uint32_t i)
{
	if (i == 0)
		return true;
	const char before = text.ptr[i - 1], c = text.ptr[i];
	return !(is_lower(before) || is_upper(before) || is_digit(before)) || (is_upper(c) && !is_upper(before));
}

static size_t put_letter(char *name, size_t n, model_text text, uint32_t i, enum name_style style)
{
	const char c = text.ptr[i];
	const bool first = begins_word(text, i);

	if (style == NAME_AS_IS) {
		name[n++] = c;
	} else if (style == NAME_SNAKE) {
		if (first && n > 0 && name[n - 1] != '_')
			name[n++] = '_';
		name[n++] = lower(c);
	} else {
		name[n] = first && (n > 0 || style == NAME_PASCAL) ? upper(c) : n == 0 ? lower(c) : c;
		n++;
	}
	return n;
}

const char *model_identifier(struct model *model, model_text text, enum name_style style)
{
	char *name = msgpack_zone_malloc(&model->zone, 2 * (size_t)NAME_MAX_BYTES + 4);
	size_t n = 0;

	if (!name)
		return NULL;
	for (uint32_t i = 0; i < text.size && i < NAME_MAX_BYTES; i++) {
		const char c = text.ptr[i];
		if (is_lower(c) || is_upper(c) || is_digit(c)) {
			if (n == 0 && is_digit(c))
				name[n++] = style == NAME_PASCAL ? 'X' : 'x';
			n = put_letter(name, n, text, i, style);
		} else if (style == NAME_AS_IS || (style == NAME_SNAKE && n > 0 && name[n - 1] != '_')) {
			name[n++] = '_';
		}
	}
	while (style == NAME_SNAKE && n > 0 && name[n - 1] == '_')
		n--;
	if (n == 0)
		name[n++] = style == NAME_PASCAL ? 'X' : 'x';
	name[n] = '\0';
	return name;
}

static bool is_listed(const char *const *words, const char *name)
{
	for (; words && *words; words++)
		if (strcmp(*words, name) == 0)
			return true;
	return false;
}

static bool is_taken(const struct scope *scope, const char *name)
{
	for (uint32_t i = 0; i < scope->count; i++)
		if (strcmp(scope->taken[i], name) == 0)
			return true;
	return false;
}

static int take(struct scope *scope, const char *name)
{
	if (scope->count == scope->room) {
		const uint32_t room = 2 * scope->room + 64;
		const char **taken = realloc(scope->taken, room * sizeof *taken);
		if (!taken)
			return -ENOMEM;
		scope->taken = taken;
		scope->room = room;
	}
	scope->taken[scope->count++] = name;
	return 0;
}

static int take_all(struct scope *scope, const char *const *words)
{
	int r = 0;

	for (; r == 0 && words && *words; words++)
		r = take(scope, *words);
	return r;
}

/* Leaves one of the underscores in front of a name that is not special. */
static void drop_underscores(char *name)
{
	const size_t n = strspn(name, "_");

	if (n > 1)
		memmove(name, name + n - 1, strlen(name) - n + 2);
}

/* A name's form in the language: with an underscore where it is one of its words. NULL: no memory. */
static char *form(struct model *model, const struct naming *naming, model_text text, enum name_style style)
{
	char *name = (char *)(uintptr_t)model_identifier(model, text, style);

	if (!name)
		return NULL;
	if (naming->special && !is_listed(naming->special, name))
		drop_underscores(name);
	if (is_listed(naming->reserved, name))
		strcat(name, "_");
	return name;
}

static enum nearness nearness_of(model_text text, const char *name)
{
	if (text.size != strlen(name) || memcmp(text.ptr + 1, name + 1, text.size - 1) != 0)
		return NEAR_OTHER;
	if (text.ptr[0] == name[0])
		return NEAR_SAME;
	return lower(text.ptr[0]) == lower(name[0]) ? NEAR_FIRST_LETTER : NEAR_OTHER;
}

/* Takes a name that differs from those that the scope has: with a number where it is taken. */
static int take_free(struct scope *scope, char *name, enum name_style style)
{
	const size_t size = strlen(name);

	for (unsigned n = 2; is_taken(scope, name) && n < 10000; n++)
		(void)snprintf(name + size, NAME_MAX_BYTES, style == NAME_AS_IS || style == NAME_SNAKE ? "_%u" : "%u", n);
	return take(scope, name);
}

static int choose(struct model *model, struct scope *scope, const struct naming *naming, model_text text, enum name_style style,
		  const char **ident)
{
	char *name = form(model, naming, text, style);

	*ident = name;
	return name ? take_free(scope, name, style) : -ENOMEM;
}

/* The same for a name that is so near; others wait. */
static int choose_near(struct model *model, struct scope *scope, const struct naming *naming, enum nearness nearness,
		       model_text text, enum name_style style, const char **ident)
{
	char *name = form(model, naming, text, style);

	if (!name)
		return -ENOMEM;
	if (nearness_of(text, name) != nearness)
		return 0;
	*ident = name;
	return take_free(scope, name, style);
}

/* "has_x" of a field x. */
static int name_given(struct model *model, const struct naming *naming, struct scope *scope, struct field *field)
{
	const size_t size = strlen(naming->given) + strlen(field->ident);
	char *text = msgpack_zone_malloc(&model->zone, size + 1);

	if (!text)
		return -ENOMEM;
	(void)snprintf(text, size + 1, "%s%s", naming->given, field->ident);
	return choose(model, scope, naming, (model_text){.ptr = text, .size = (uint32_t)size}, naming->fields, &field->given);
}

static int name_fields(struct model *model, const struct naming *naming, struct scope *scope, struct field *fields,
		       uint32_t count, enum name_style style)
{
	int r = 0;

	for (enum nearness near = NEAR_SAME; near < NEAR_COUNT; near++)
		for (uint32_t i = 0; r == 0 && i < count; i++)
			r = choose_near(model, scope, naming, near, fields[i].name, style, &fields[i].ident);
	return r;
}

static int name_arguments(struct model *model, const struct naming *naming, const struct method *method)
{
	struct scope scope = {0};
	int r = take_all(&scope, naming->locals);

	if (r == 0)
		r = name_fields(model, naming, &scope, method->fields, method->count, naming->arguments);
	free(scope.taken);
	return r;
}

static int name_record(struct model *model, const struct naming *naming, const struct record *record)
{
	struct scope scope = {0};
	int r = name_fields(model, naming, &scope, record->fields, record->count, naming->fields);

	for (uint32_t i = 0; r == 0 && naming->given && i < record->count; i++)
		if (record->fields[i].optional)
			r = name_given(model, naming, &scope, &record->fields[i]);
	free(scope.taken);
	return r;
}

/* Takes "read_point" of a record Point, for each prefix. */
static int take_of_record(struct model *model, const struct naming *naming, struct scope *scope, const char *ident)
{
	int r = 0;

	for (const char *const *prefix = naming->prefixes; r == 0 && prefix && *prefix; prefix++) {
		const size_t size = strlen(*prefix) + strlen(ident);
		char *name = msgpack_zone_malloc(&model->zone, size + 1);
		if (!name)
			return -ENOMEM;
		(void)snprintf(name, size + 1, "%s%s", *prefix, ident);
		const char *taken = model_identifier(model, (model_text){.ptr = name, .size = (uint32_t)size}, naming->methods);
		r = taken ? take(scope, taken) : -ENOMEM;
	}
	return r;
}

static int name_methods(struct model *model, const struct naming *naming)
{
	struct scope scope = {0};
	int r = take_all(&scope, naming->members);

	for (uint32_t i = 0; r == 0 && i < model->record_count; i++)
		r = take_of_record(model, naming, &scope, model->records[i].ident);
	for (enum nearness near = NEAR_SAME; near < NEAR_COUNT; near++)
		for (uint32_t i = 0; r == 0 && i < model->method_count; i++)
			r = choose_near(model, &scope, naming, near, model->methods[i].name, naming->methods,
					&model->methods[i].ident);
	for (uint32_t i = 0; r == 0 && i < model->method_count; i++)
		r = name_arguments(model, naming, &model->methods[i]);
	free(scope.taken);
	return r;
}

/* The class's name is what stands behind the last colon or dot. */
static model_text last_part(model_text class)
{
	uint32_t begin = 0;

	for (uint32_t i = 0; i < class.size; i++)
		if (class.ptr[i] == ':' || class.ptr[i] == '.')
			begin = i + 1;
	return (model_text){.ptr = class.ptr + begin, .size = class.size - begin};
}

static int name_globals(struct model *model, const struct naming *naming)
{
	struct scope scope = {0};
	int r = take_all(&scope, naming->globals);

	if (r == 0)
		r = choose(model, &scope, naming, last_part(model->class), NAME_PASCAL, &model->ident);
	for (enum nearness near = NEAR_SAME; near < NEAR_COUNT; near++)
		for (uint32_t i = 0; r == 0 && i < model->record_count; i++)
			r = choose_near(model, &scope, naming, near, model->records[i].name, NAME_PASCAL,
					&model->records[i].ident);
	for (uint32_t i = 0; r == 0 && i < model->record_count; i++)
		r = name_record(model, naming, &model->records[i]);
	free(scope.taken);
	return r;
}

/* "SimStepOptions" of a class Sim and its method step. */
static int name_options_of(struct model *model, const struct naming *naming, struct scope *scope, struct method *method,
			   const char *ident)
{
	const size_t room = strlen(model->ident) + strlen(ident) + sizeof "_Options";
	char *text = msgpack_zone_malloc(&model->zone, room + 1);

	if (!text)
		return -ENOMEM;
	const int size = snprintf(text, room + 1, "%s_%sOptions", model->ident, ident);
	return choose(model, scope, naming, (model_text){.ptr = text, .size = (uint32_t)size}, NAME_PASCAL, &method->options);
}

static int name_options(struct model *model, const struct naming *naming)
{
	struct scope scope = {0};
	int r = take_all(&scope, naming->globals);

	if (r == 0)
		r = take(&scope, model->ident);
	for (uint32_t i = 0; r == 0 && i < model->record_count; i++)
		r = take(&scope, model->records[i].ident);
	if (r == 0)
		r = name_options_of(model, naming, &scope, &model->constructor, "create");
	for (uint32_t i = 0; r == 0 && i < model->method_count; i++)
		r = name_options_of(model, naming, &scope, &model->methods[i], model->methods[i].ident);
	free(scope.taken);
	return r;
}

int model_name(struct model *model, const struct naming *naming)
{
	int r = name_globals(model, naming);

	if (r == 0)
		r = name_methods(model, naming);
	if (r == 0)
		r = name_options(model, naming);
	return r == 0 ? name_arguments(model, naming, &model->constructor) : r;
}
