/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/top_view.h"

#include "cli/top_text.h"

#include <limits.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { HEAD = 3, PAGE_OVERLAP = 1, REST_MIN = 6 };
/* The least screen that has graphs; the width of their numbers. */
enum { GRAPHS_WIDTH = 72, GRAPHS_HEIGHT = 10, GRAPH_NUMBER = 8 };

/* ---- columns --------------------------------------------------------------------------------------------------------------- */

enum kind { TEXT, NUMBER, READY, METHOD_S };

struct top_column {
	const char *title;
	enum kind kind;
	int place; /* enum top_text or enum top_value */
	enum top_format format;
	int width; /* 0: as wide as its texts, within bounds; the last column has the rest of the line */
	bool right;
};

static const struct top_column pool_columns[] = {
	{"POOL", TEXT, TOP_NAME, 0, 0, false},
	{"STATE", TEXT, TOP_STATE, 0, 11, false},
	{"READY", READY, 0, 0, 9, true},
	{"QUEUE", NUMBER, TOP_QUEUE, TOP_COUNT, 7, true},
	{"RUNNING", NUMBER, TOP_RUNNING, TOP_COUNT, 7, true},
	{"CALLS/s", NUMBER, TOP_CALLS_RATE, TOP_RATE, 7, true},
	{"FAIL/s", NUMBER, TOP_FAILURES_RATE, TOP_RATE, 7, true},
	{"RESTARTS", NUMBER, TOP_RESTARTS, TOP_COUNT, 8, true},
	{"LOST", NUMBER, TOP_LOST, TOP_COUNT, 7, true},
	{"P99", NUMBER, TOP_P99, TOP_LATENCY, 7, true},
	{"RSS", NUMBER, TOP_RSS, TOP_BYTES, 6, true},
	{"CPU%", NUMBER, TOP_CPU, TOP_RATE, 6, true},
	{"ERROR", TEXT, TOP_TROUBLE, 0, INT_MAX, false},
	{0},
};

static const struct top_column slot_columns[] = {
	{"  SLOT", NUMBER, TOP_SLOT, TOP_COUNT, 6, true},
	{"STATE", TEXT, TOP_STATE, 0, 8, false},
	{"GEN", NUMBER, TOP_GENERATION, TOP_COUNT, 5, true},
	{"PID", NUMBER, TOP_PID, TOP_COUNT, 7, true},
	{"RUNNING", TEXT, TOP_METHOD, 0, 0, false},
	{"FOR", METHOD_S, TOP_RUNNING, TOP_SECONDS, 6, true},
	{"QUEUE", NUMBER, TOP_QUEUE, TOP_COUNT, 7, true},
	{"CALLS/s", NUMBER, TOP_CALLS_RATE, TOP_RATE, 7, true},
	{"FAILED", NUMBER, TOP_FAILURES, TOP_COUNT, 7, true},
	{"RESTARTS", NUMBER, TOP_RESTARTS, TOP_COUNT, 8, true},
	{"RSS", NUMBER, TOP_RSS, TOP_BYTES, 6, true},
	{"CPU%", NUMBER, TOP_CPU, TOP_RATE, 6, true},
	{"LAST FAILURE", TEXT, TOP_TROUBLE, 0, INT_MAX, false},
	{0},
};

static const struct top_column user_columns[] = {
	{"USER", TEXT, TOP_NAME, 0, 0, false},
	{"SESSIONS", NUMBER, TOP_SESSIONS, TOP_COUNT, 8, true},
	{"IN FLIGHT", NUMBER, TOP_IN_FLIGHT, TOP_COUNT, 9, true},
	{"CALLS/s", NUMBER, TOP_CALLS_RATE, TOP_RATE, 7, true},
	{"CALLS", NUMBER, TOP_CALLS, TOP_COUNT, 7, true},
	{"DENIED", NUMBER, TOP_DENIED, TOP_COUNT, 7, true},
	{"OVERLOADED", NUMBER, TOP_OVERLOADED, TOP_COUNT, 10, true},
	{"MEMORY", NUMBER, TOP_MEMORY, TOP_BYTES, 6, true},
	{0},
};

static const struct top_column host_columns[] = {
	{"HOST", TEXT, TOP_NAME, 0, 0, false},
	{"STATE", TEXT, TOP_STATE, 0, 6, false},
	{"READY", READY, 0, 0, 9, true},
	{"QUEUE", NUMBER, TOP_QUEUE, TOP_COUNT, 7, true},
	{"RUNNING", NUMBER, TOP_RUNNING, TOP_COUNT, 7, true},
	{"CALLS/s", NUMBER, TOP_CALLS_RATE, TOP_RATE, 7, true},
	{"IN FLIGHT", NUMBER, TOP_IN_FLIGHT, TOP_COUNT, 9, true},
	{"LOST", NUMBER, TOP_LOST, TOP_COUNT, 5, true},
	{"RTT", NUMBER, TOP_RTT, TOP_LATENCY, 6, true},
	{"POOLS", TEXT, TOP_TROUBLE, 0, INT_MAX, false},
	{0},
};

/* ---- a line ---------------------------------------------------------------------------------------------------------------- */

struct text_line {
	char bytes[TOP_LINE];
	size_t size;
	int used, width;
};

static void begin_line(struct text_line *line, int width)
{
	line->bytes[0] = '\0';
	line->size = 0;
	line->used = 0;
	line->width = width;
}

/* As many whole characters as fit; returns how wide they are. */
static int put(struct text_line *line, const char *text, int width)
{
	const int left = line->width - line->used;
	int used;
	const size_t n = top_text_fit(text, width < left ? width : left, TOP_LINE - 1 - line->size, &used);

	memcpy(line->bytes + line->size, text, n);
	line->size += n;
	line->bytes[line->size] = '\0';
	line->used += used;
	return used;
}

static void put_blanks(struct text_line *line, int count)
{
	while (count-- > 0)
		(void)put(line, " ", 1);
}

static void put_cell(struct text_line *line, const char *text, int width, bool right, bool last)
{
	const int left = width < INT_MAX ? width - top_text_width(text) : 0;

	if (right)
		put_blanks(line, left);
	(void)put(line, text, width);
	if (!right && !last)
		put_blanks(line, left);
}

__attribute__((format(printf, 2, 3))) static void put_format(struct text_line *line, const char *format, ...)
{
	char text[TOP_LINE];
	va_list arguments;

	va_start(arguments, format);
	(void)vsnprintf(text, sizeof text, format, arguments);
	va_end(arguments);
	(void)put(line, text, INT_MAX);
}

/* ---- cells ----------------------------------------------------------------------------------------------------------------- */

/* Without an item: the title. The text is in the item, the column or `room`. */
static const char *cell(const struct top_column *column, const struct top_item *item, char room[2 * TOP_NUMBER])
{
	char ready[TOP_NUMBER], workers[TOP_NUMBER];

	if (!item)
		return column->title;
	switch (column->kind) {
	case TEXT:
		return item->texts[column->place];
	case READY:
		snprintf(room, (size_t)2 * TOP_NUMBER, "%s/%s", top_number(ready, item->values[TOP_READY], TOP_COUNT),
			 top_number(workers, item->values[TOP_WORKERS], TOP_COUNT));
		return room;
	case METHOD_S:
		return item->texts[TOP_METHOD][0] ? top_number(room, item->values[column->place], column->format) : "-";
	case NUMBER:
		return top_number(room, item->values[column->place], column->format);
	}
	return "";
}

/* A missing text is shown as such between others, not at the end of the line. */
static const char *shown(const struct top_column *column, const char *text)
{
	return *text || column->width == INT_MAX ? text : "-";
}

/* `fitted` is the width of the column that has none of its own. A column that does not fit is dropped, with all to its right. */
static void put_row(struct text_line *line, const struct top_column *columns, const struct top_item *item, int fitted)
{
	for (const struct top_column *column = columns; column->title; column++) {
		const int width = column->width ? column->width : fitted;
		const int needed = width == INT_MAX ? REST_MIN : width;
		char room[2 * TOP_NUMBER];
		if (column != columns) {
			if (line->used + 2 + needed > line->width)
				break;
			put_blanks(line, 2);
		}
		put_cell(line, shown(column, cell(column, item, room)), width, column->right, !column[1].title);
	}
	while (line->size > 0 && line->bytes[line->size - 1] == ' ') {
		line->bytes[--line->size] = '\0';
		line->used--;
	}
}

static int at_least(int min, const char *text, int max)
{
	const int width = top_text_width(text);

	return width > max ? max : width > min ? width : min;
}

/* A quarter of the screen is enough for names. */
static int most_fitted(int width)
{
	return width / 4 > 16 ? width / 4 : 16;
}

static int name_width(const struct top_look *look, int width)
{
	int fitted = top_text_width("POOL");

	for (size_t i = 0; i < look->count; i++)
		fitted = at_least(fitted, look->pools[i].item.texts[TOP_NAME], most_fitted(width));
	return fitted;
}

/* Of users, or of hosts. */
static int other_width(const struct top_item *items, size_t count, int width)
{
	int fitted = top_text_width("USER");

	for (size_t i = 0; i < count; i++)
		fitted = at_least(fitted, items[i].texts[TOP_NAME], most_fitted(width));
	return fitted;
}

static int method_width(const struct top_pool *pool, int width)
{
	int fitted = 12; /* it changes all the time: the columns should not dance */

	for (size_t i = 0; i < pool->count; i++)
		fitted = at_least(fitted, pool->slots[i].texts[TOP_METHOD], most_fitted(width));
	return fitted;
}

/* ---- the head -------------------------------------------------------------------------------------------------------------- */

static void put_uptime(struct text_line *line, double seconds)
{
	char text[TOP_NUMBER];

	if (seconds < 60)
		put_format(line, ", up %.0fs", floor(seconds));
	else if (seconds >= 60)
		put_format(line, ", up %s", top_number(text, seconds, TOP_SECONDS));
}

static void put_number(struct text_line *line, double number, enum top_format format, const char *one, const char *more)
{
	char text[TOP_NUMBER];

	put_format(line, ", %s %s", top_number(text, number, format), number == 1 ? one : more);
}

/* `objpool 0.1.0, up 3m05s, 2 sessions, 3 pools, 7/8 instances, 123 calls/s, 0 late, 12:34:56` */
static void put_header(struct text_line *line, const struct top_view *view, const struct top_look *look)
{
	char ready[TOP_NUMBER], workers[TOP_NUMBER], clock[16] = "";
	struct tm tm;

	put_format(line, "%s %s", look->server, look->version);
	if (strcmp(look->state, "running") != 0)
		put_format(line, ", %s", look->state);
	put_uptime(line, look->uptime_s);
	put_number(line, look->sessions, TOP_COUNT, "session", "sessions");
	put_number(line, (double)look->count, TOP_COUNT, "pool", "pools");
	put_format(line, ", %s/%s instances", top_number(ready, look->ready, TOP_COUNT),
		   top_number(workers, look->workers, TOP_COUNT));
	put_number(line, look->calls_rate, TOP_RATE, "calls/s", "calls/s");
	put_number(line, look->late, TOP_COUNT, "late", "late");
	if (!isnan(look->hosts))
		put_number(line, look->hosts, TOP_COUNT, "other host", "other hosts");
	if (localtime_r(&view->time, &tm) && strftime(clock, sizeof clock, "%H:%M:%S", &tm) > 0)
		put_format(line, ", %s", clock);
}

void top_view_say(struct top_view *view, const char *text)
{
	char clean[TOP_LINE];
	size_t size = strlen(text);
	int used;

	size = top_text_clean(clean, text, size < sizeof clean ? size : sizeof clean - 1);
	size = top_text_fit(clean, INT_MAX, sizeof view->message - 1, &used);
	memcpy(view->message, clean, size);
	view->message[size] = '\0';
}

static void put_message(struct text_line *line, const struct top_view *view)
{
	if (view->message[0])
		put_format(line, "%s", view->message);
	else if (view->paused)
		put_format(line, "paused: p goes on");
	else
		put_format(line, "every %g s, by %s%s; h: help, q: quit", view->delay_ms / 1000.0, top_sort_name(view->sort),
			   view->reverse ? ", reversed" : "");
}

/* ---- rows ------------------------------------------------------------------------------------------------------------------ */

static bool is_one_of(const char *state, const char *const *states)
{
	for (; *states; states++)
		if (strcmp(state, *states) == 0)
			return true;
	return false;
}

static enum top_style style_of(const struct top_item *item)
{
	static const char *const troubled[] = {"degraded", "unavailable", "failed", "gone", NULL};
	static const char *const quiet[] = {"ready", "self", "asleep", "", NULL};
	const char *state = item->texts[TOP_STATE];

	return is_one_of(state, troubled) ? TOP_TROUBLED : is_one_of(state, quiet) ? TOP_PLAIN : TOP_BUSY;
}

/* Widths of the columns that have none of their own. */
struct fitted {
	int name, method, user, host;
	const struct top_pool *pool; /* whose methods */
};

static struct fitted fitted_to(const struct top_look *look, int width)
{
	return (struct fitted){.name = name_width(look, width),
			       .user = other_width(look->users, look->user_count, width),
			       .host = other_width(look->others, look->other_count, width)};
}

static enum top_style put_any_row(struct text_line *line, const struct top_row *row, struct fitted *fitted)
{
	if (row->is_pool) {
		put_row(line, pool_columns, &row->pool->item, fitted->name);
		return style_of(&row->pool->item);
	}
	if (!row->pool) {
		put_row(line, row->of_host ? host_columns : user_columns, row->other, row->of_host ? fitted->host : fitted->user);
		return row->other ? style_of(row->other) : TOP_TITLES;
	}
	if (fitted->pool != row->pool) {
		fitted->pool = row->pool;
		fitted->method = method_width(row->pool, line->width);
	}
	put_row(line, slot_columns, row->slot, fitted->method);
	return row->slot ? style_of(row->slot) : TOP_TITLES;
}

/* The selected one is where its name has gone, or when that is gone, who has its place. Returns its row. */
static size_t find_selected(struct top_view *view, const struct top_row *rows, size_t count)
{
	size_t number = 0, row = 0;

	for (size_t i = 0; i < count; i++) {
		if (!rows[i].is_pool)
			continue;
		const bool same = strcmp(rows[i].pool->item.texts[TOP_NAME], view->name) == 0;
		if (same || number <= view->selected)
			row = i;
		if (same) {
			view->selected = number;
			return row;
		}
		number++;
	}
	if (number > 0) {
		view->selected = view->selected < number ? view->selected : number - 1;
		snprintf(view->name, sizeof view->name, "%s", rows[row].pool->item.texts[TOP_NAME]);
	}
	return row;
}

/* Lines above the rows. */
static int head_height(const struct top_view *view)
{
	return view->graphs ? HEAD + 1 : HEAD;
}

static size_t body_height(const struct top_view *view, int height)
{
	return height > head_height(view) ? (size_t)(height - head_height(view)) : 0;
}

static void clamp_first(struct top_view *view, size_t count, int height)
{
	const size_t body = body_height(view, height), max = count > body ? count - body : 0;

	view->first = view->first < max ? view->first : max;
}

static void draw_rows(struct top_view *view, const struct top_look *look, int width, int height, top_line *line, void *context)
{
	size_t count;
	struct top_row *rows = top_rows(look, view->sort, view->reverse, &count);
	const size_t selected = find_selected(view, rows, count);
	struct fitted fitted = fitted_to(look, width);
	struct text_line text;
	int y = head_height(view);

	clamp_first(view, count, height);
	for (size_t i = view->first; i < count && y < height; i++, y++) {
		begin_line(&text, width);
		const enum top_style style = put_any_row(&text, &rows[i], &fitted);
		line(context, y, i == selected ? TOP_SELECTED : style, text.bytes);
	}
	free(rows);
}

/* ---- help ------------------------------------------------------------------------------------------------------------------ */

static const char *const help_lines[] = {
	"up, down   select a pool; scroll where there is none further",
	"PgUp, PgDn scroll by a page; Home, End: to the first line, the last",
	"Enter      show the slots of the selected pool, or hide them (also Space)",
	"s, S       sort by the next column, the one before",
	"r          reverse the order",
	"p          pause, and go on",
	"1 ... 9    look every so many seconds",
	"h, ?       this",
	"q          quit",
	"",
	"The graphs are of the last looks, three minutes of them where there is one each second. They",
	"show the largest of each piece of time.",
	"Rates, CPU% among them, are of the time between the last two looks. \"-\": not known.",
	"A pool's RSS and CPU% are those of its slots together.",
	"Any key goes back.",
};

static void draw_help(int width, int height, top_line *line, void *context)
{
	struct text_line text;

	for (int i = 0; i < (int)(sizeof help_lines / sizeof *help_lines) && HEAD - 1 + i < height; i++) {
		begin_line(&text, width);
		(void)put(&text, help_lines[i], INT_MAX);
		line(context, HEAD - 1 + i, TOP_PLAIN, text.bytes);
	}
}

/* ---- all of it ------------------------------------------------------------------------------------------------------------- */

static void draw_head(const struct top_view *view, const struct top_look *look, int width, int height, top_line *line,
		      void *context)
{
	struct text_line text;

	begin_line(&text, width);
	put_header(&text, view, look);
	if (height > 0)
		line(context, 0, TOP_HEADER, text.bytes);
	begin_line(&text, width);
	put_message(&text, view);
	if (height > 1)
		line(context, 1, view->message[0] ? TOP_MESSAGE : TOP_PLAIN, text.bytes);
}

/* `calls/s ▁▂▅█ 123     busy ▃▃▃▅ 50%     queue ▁▁▁▁ 0`, a third of the line each */
static void put_graphs(struct text_line *line, const struct top_view *view)
{
	static const char *const titles[] = {[TREND_CALLS] = "calls/s", [TREND_BUSY] = "busy", [TREND_QUEUE] = "queue"};
	char text[TREND_TEXT], number[TOP_NUMBER];

	for (int of = 0; of < TREND_GRAPHS; of++) {
		const int end = line->width * (of + 1) / TREND_GRAPHS;
		const double last = top_trend_last(&view->trend, (enum top_trend_of)of);
		put_format(line, "%s ", titles[of]);
		const int cells = end - line->used - GRAPH_NUMBER - 1;
		(void)put(line, top_trend_graph(&view->trend, (enum top_trend_of)of, cells, view->ascii, text), INT_MAX);
		if (of == TREND_BUSY && last >= 0)
			put_format(line, " %.0f%%", 100 * last);
		else
			put_format(line, " %s", top_number(number, last, of == TREND_QUEUE ? TOP_COUNT : TOP_RATE));
		put_blanks(line, of + 1 < TREND_GRAPHS ? end - line->used : 0);
	}
}

static void draw_graphs(const struct top_view *view, int width, top_line *line, void *context)
{
	struct text_line text;

	begin_line(&text, width);
	put_graphs(&text, view);
	line(context, HEAD - 1, TOP_PLAIN, text.bytes);
}

static void draw_titles(const struct top_look *look, int y, int width, top_line *line, void *context)
{
	struct text_line text;

	begin_line(&text, width);
	put_row(&text, pool_columns, NULL, name_width(look, width));
	line(context, y, TOP_TITLES, text.bytes);
}

void top_view_draw(struct top_view *view, const struct top_look *look, int width, int height, top_line *line, void *context)
{
	draw_head(view, look, width, height, line, context);
	if (view->help) {
		draw_help(width, height, line, context);
		return;
	}
	view->graphs = view->trend.count > 0 && width >= GRAPHS_WIDTH && height >= GRAPHS_HEIGHT;
	if (view->graphs)
		draw_graphs(view, width, line, context);
	if (height >= HEAD)
		draw_titles(look, head_height(view) - 1, width, line, context);
	draw_rows(view, look, width, height, line, context);
}

void top_view_print(const struct top_view *view, const struct top_look *look, top_line *line, void *context)
{
	size_t count;
	struct top_row *rows = top_rows(look, view->sort, view->reverse, &count);
	struct fitted fitted = fitted_to(look, TOP_ALL);
	struct text_line text;
	int y = 0;

	begin_line(&text, TOP_ALL);
	put_header(&text, view, look);
	line(context, y++, TOP_HEADER, text.bytes);
	draw_titles(look, y++, TOP_ALL, line, context);
	for (size_t i = 0; i < count; i++) {
		begin_line(&text, TOP_ALL);
		const enum top_style style = put_any_row(&text, &rows[i], &fitted);
		line(context, y++, style, text.bytes);
	}
	free(rows);
}

/* ---- keys ------------------------------------------------------------------------------------------------------------------ */

static void scroll_by(struct top_view *view, long rows)
{
	if (rows < 0 && (size_t)-rows > view->first)
		view->first = 0;
	else
		view->first += (size_t)rows;
}

static void show_row(struct top_view *view, size_t row, int height)
{
	const size_t body = body_height(view, height);

	if (row < view->first)
		view->first = row;
	else if (body > 0 && row >= view->first + body)
		view->first = row - body + 1;
}

/* To the next pool, or if there is none that way, by a line. */
static void select_by(struct top_view *view, const struct top_row *rows, size_t count, int height, int step)
{
	const size_t from = find_selected(view, rows, count);

	for (size_t i = from + (size_t)step; i < count; i += (size_t)step) {
		if (!rows[i].is_pool)
			continue;
		snprintf(view->name, sizeof view->name, "%s", rows[i].pool->item.texts[TOP_NAME]);
		show_row(view, i, height);
		return;
	}
	scroll_by(view, step);
}

static void move(struct top_view *view, const struct top_look *look, int height, int key)
{
	const int body = height - head_height(view);
	const long page = body > PAGE_OVERLAP ? body - PAGE_OVERLAP : 1;
	size_t count;
	struct top_row *rows = top_rows(look, view->sort, view->reverse, &count);

	if (key == TOP_KEY_UP || key == TOP_KEY_DOWN)
		select_by(view, rows, count, height, key == TOP_KEY_UP ? -1 : 1);
	else if (key == TOP_KEY_PAGE_UP || key == TOP_KEY_PAGE_DOWN)
		scroll_by(view, key == TOP_KEY_PAGE_UP ? -page : page);
	else
		view->first = key == TOP_KEY_HOME ? 0 : count;
	clamp_first(view, count, height);
	free(rows);
}

static void expand(struct top_view *view, const struct top_look *look)
{
	struct top_pool *pool = top_look_pool(look, view->name);

	if (pool)
		pool->expanded = !pool->expanded;
}

static void sort_by_next(struct top_view *view, int step)
{
	view->sort = (enum top_sort)(((int)view->sort + TOP_SORTS + step) % TOP_SORTS);
}

void top_view_key(struct top_view *view, struct top_look *look, int height, int key)
{
	if (view->help) {
		view->help = false;
		return;
	}
	if (key >= TOP_KEY_UP && key <= TOP_KEY_END)
		move(view, look, height, key);
	else if (key == '\n' || key == '\r' || key == ' ')
		expand(view, look);
	else if (key == 's' || key == 'S')
		sort_by_next(view, key == 's' ? 1 : -1);
	else if (key == 'r')
		view->reverse = !view->reverse;
	else if (key == 'p')
		view->paused = !view->paused;
	else if (key == 'h' || key == '?')
		view->help = true;
	else if (key >= '1' && key <= '9')
		view->delay_ms = (uint32_t)(key - '0') * 1000;
}
