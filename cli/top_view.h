/* SPDX-License-Identifier: Apache-2.0 */
/*
 * top_view: a look as lines of text, so wide and so many as there is room for, and what keys do to that. It knows no
 * terminal: lines go to a function, the screen's (top_screen.c) or one that prints.
 */
#ifndef CLI_TOP_VIEW_H
#define CLI_TOP_VIEW_H

#include "cli/top_model.h"
#include "cli/top_trend.h"

#include <time.h>

/* Other keys are the characters they type. */
enum top_key {
	TOP_KEY_NONE = 0,
	TOP_KEY_UP = 256,
	TOP_KEY_DOWN,
	TOP_KEY_PAGE_UP,
	TOP_KEY_PAGE_DOWN,
	TOP_KEY_HOME,
	TOP_KEY_END,
	TOP_KEY_OTHER
};

enum top_style { TOP_PLAIN, TOP_HEADER, TOP_TITLES, TOP_SELECTED, TOP_BUSY, TOP_TROUBLED, TOP_MESSAGE };

enum { TOP_LINE = 4096, TOP_ALL = 1 << 20 }; /* bytes of a line, with its NUL; a width and a height that cut nothing */

struct top_view {
	enum top_sort sort;
	bool reverse, paused, help;
	bool ascii;          /* the terminal knows no other characters */
	bool graphs;         /* a line of them is on the screen: there is room */
	struct top_trend trend;
	size_t first;        /* row on the screen */
	size_t selected;     /* pool, counted in the order they are shown */
	char name[TOP_LINE]; /* of that pool */
	uint32_t delay_ms;
	time_t time;       /* of the answer that is shown */
	char message[512]; /* instead of what the second line says otherwise; clean */
};

typedef void top_line(void *context, int y, enum top_style style, const char *text);

/* What stands in the message's place until it is replaced; "" ends it. Cut if need be, and made clean. */
void top_view_say(struct top_view *view, const char *text);

/* Gives `line` all lines of a screen, from the top. */
void top_view_draw(struct top_view *view, const struct top_look *look, int width, int height, top_line *line, void *context);

/* The same without anything that is about a screen: for batches. */
void top_view_print(const struct top_view *view, const struct top_look *look, top_line *line, void *context);

/* Does what a key says, on a screen of that height. */
void top_view_key(struct top_view *view, struct top_look *look, int height, int key);

#endif
