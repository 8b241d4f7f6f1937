/* SPDX-License-Identifier: Apache-2.0 */
/*
 * inih gives its handler a line of at most 199 bytes. So each logical line is read here, whole; its name and as much as
 * fits go to inih, which knows the syntax, and the value is taken from our copy, cut as inih cuts it.
 */
#include "daemon/supervisor/config/inifile.h"

#include <ctype.h>
#include <errno.h>
#include <ini.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct state {
	const struct inifile_reader *reader;
	FILE *file;
	char *line; /* the logical line: continuation lines joined */
	size_t size, room;
	char *next; /* the physical line that follows it */
	size_t next_room;
	ssize_t next_size;
	int next_number; /* its number */
	int number;      /* where the logical line begins */
	int result;
};

static void read_ahead(struct state *state)
{
	state->next_size = getline(&state->next, &state->next_room, state->file);
	state->next_number++;
}

static void trim(char *text)
{
	size_t n = strlen(text);
	while (n > 0 && isspace((unsigned char)text[n - 1]))
		text[--n] = '\0';
}

/* As inih does: a ';' after white space begins a comment. */
static void cut_comment(char *text)
{
	for (char *p = text; *p; p++)
		if (*p == ';' && p > text && isspace((unsigned char)p[-1])) {
			*p = '\0';
			break;
		}
	trim(text);
}

static int append(struct state *state, const char *text)
{
	const size_t more = strlen(text), needed = state->size + more + 2;
	if (state->room < needed) {
		const size_t room = 2 * needed;
		char *grown = realloc(state->line, room);
		if (!grown)
			return -ENOMEM;
		state->line = grown;
		state->room = room;
	}
	if (state->size > 0)
		state->line[state->size++] = ' ';
	memcpy(state->line + state->size, text, more + 1);
	state->size += more;
	return 0;
}

static int is_continuation(const struct state *state)
{
	const char *p = state->next;
	if (state->next_size <= 0 || !isspace((unsigned char)*p))
		return 0;
	while (isspace((unsigned char)*p))
		p++;
	if (strchr(";#[", *p)) /* true at the end of the text, too: strchr finds the '\0' */
		return 0;
	const size_t name = strspn(p, "abcdefghijklmnopqrstuvwxyz_");
	return name == 0 || p[name + strspn(p + name, " \t")] != '='; /* an indented `name =` is a line of its own */
}

/* Makes state->line the next logical line. 1, 0 at the end, or a negative errno. */
static int read_line(struct state *state)
{
	if (state->next_size < 0)
		return 0;
	state->number = state->next_number;
	state->size = 0;
	do {
		if (memchr(state->next, '\0', (size_t)state->next_size))
			return -EBADMSG; /* a '\0' in the line would silently cut it short */
		const char *text = state->next + strspn(state->next, " \t");
		char *copy = strdup(text);
		if (!copy)
			return -ENOMEM;
		cut_comment(copy);
		const int r = append(state, copy);
		free(copy);
		if (r < 0)
			return r;
		read_ahead(state);
	} while (state->line[0] && state->line[0] != '[' && state->line[0] != '#' && state->line[0] != ';' &&
		 is_continuation(state));
	return 1;
}

/* inih finds the others too, but knows its own count of lines only. */
static bool is_line(const char *line)
{
	return *line == '\0' || strchr(";#[", *line) || strpbrk(line, "=:");
}

/* inih's reader: the logical line, as far as its buffer goes. */
static char *give_line(char *buffer, int size, void *stream)
{
	struct state *state = stream;
	int r;

	if (state->result)
		return NULL;
	if ((r = read_line(state)) <= 0) {
		state->result = r;
		return NULL;
	}
	if (!is_line(state->line)) {
		state->result = -EBADMSG;
		return NULL;
	}
	snprintf(buffer, (size_t)size, "%s", state->line);
	if (state->line[0] == '[') {
		const size_t n = strcspn(state->line + 1, "]");
		if (!state->line[1 + n]) {
			state->result = -EBADMSG;
			return NULL;
		}
		char *section = strndup(state->line + 1, n);
		state->result = section ? state->reader->section(state->reader->data, section, state->number) : -ENOMEM;
		free(section);
	}
	return state->result ? NULL : buffer;
}

static int on_pair(void *data, const char *section, const char *name, const char *value)
{
	struct state *state = data;
	char *whole = strpbrk(state->line, "=:");

	(void)section, (void)value;
	whole += 1 + strspn(whole + 1, " \t");
	state->result = state->reader->value(state->reader->data, name, whole, state->number);
	return state->result == 0;
}

int inifile_read(char *text, size_t size, const struct inifile_reader *reader, int *line)
{
	struct state state = {.reader = reader, .file = fmemopen(text, size, "r")};
	int r;

	if (!state.file)
		return -errno;
	read_ahead(&state);
	if (state.next_size >= 3 && !memcmp(state.next, "\xef\xbb\xbf", 3))
		memmove(state.next, state.next + 3, (size_t)state.next_size - 2);
	const int at = ini_parse_stream(give_line, &state, on_pair, &state);
	*line = state.number;
	r = state.result ? state.result : at > 0 ? -EBADMSG : at < 0 ? -ENOMEM : 0;
	if (r == 0 && ferror(state.file))
		r = -EIO;
	free(state.line);
	free(state.next);
	(void)fclose(state.file);
	return r;
}
