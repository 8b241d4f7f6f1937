/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/top_screen.h"

#include "cli/top_text.h"

#include <curses.h>
#include <errno.h>
#include <langinfo.h>
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <term.h>
#include <unistd.h>

enum { ESCAPE_MS = 50 }; /* in which the later bytes of a key come, over a slow line */

static SCREEN *screen;
static bool is_utf8;

const char *top_screen_trouble(void)
{
	const char *type = getenv("TERM");
	int rc;

	if (!type || !*type)
		return "TERM is not set";
	if (setupterm(NULL, STDOUT_FILENO, &rc) == ERR)
		return "the terminal's type (TERM) is not known here";
	const bool can_move = cursor_address != NULL;
	(void)del_curterm(cur_term);
	if (!can_move)
		return "the terminal (TERM) cannot move its cursor";
	return isatty(STDIN_FILENO) ? NULL : "standard input is no terminal";
}

static void begin_colors(void)
{
	if (!has_colors() || getenv("NO_COLOR"))
		return;
	(void)start_color();
	(void)use_default_colors();
	(void)init_pair(TOP_BUSY, COLOR_YELLOW, -1);
	(void)init_pair(TOP_TROUBLED, COLOR_RED, -1);
	(void)init_pair(TOP_MESSAGE, COLOR_RED, -1);
}

int top_screen_begin(void)
{
	(void)setlocale(LC_CTYPE, "");
	is_utf8 = strcmp(nl_langinfo(CODESET), "UTF-8") == 0;
	screen = newterm(NULL, stdout, stdin);
	if (!screen)
		return -ENOTTY;
	(void)set_term(screen);
	(void)cbreak();
	(void)noecho();
	(void)nonl();
	(void)curs_set(0);
	(void)keypad(stdscr, TRUE);
	(void)nodelay(stdscr, TRUE);
	(void)set_escdelay(ESCAPE_MS);
	begin_colors();
	top_screen_resize();
	return 0;
}

void top_screen_end(void)
{
	if (!screen)
		return;
	(void)endwin();
	delscreen(screen);
	screen = NULL;
}

void top_screen_resize(void)
{
	struct winsize size;

	if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_row > 0 && size.ws_col > 0)
		(void)resize_term(size.ws_row, size.ws_col);
	(void)clearok(stdscr, TRUE);
}

int top_screen_height(void)
{
	return getmaxy(stdscr);
}

static attr_t attributes(enum top_style style)
{
	static const attr_t plain[] = {
		[TOP_PLAIN] = A_NORMAL, [TOP_HEADER] = A_BOLD,   [TOP_TITLES] = A_UNDERLINE, [TOP_SELECTED] = A_REVERSE,
		[TOP_BUSY] = A_NORMAL,  [TOP_TROUBLED] = A_BOLD, [TOP_MESSAGE] = A_BOLD,
	};
	const bool colored = style == TOP_BUSY || style == TOP_TROUBLED || style == TOP_MESSAGE;

	return plain[style] | (colored ? (attr_t)COLOR_PAIR(style) : 0);
}

/* `text` is not wider than the screen. */
static void draw_line(void *context, int y, enum top_style style, const char *text)
{
	char ascii[TOP_LINE];

	(void)context;
	if (!is_utf8) {
		(void)snprintf(ascii, sizeof ascii, "%s", text);
		top_text_to_ascii(ascii);
		text = ascii;
	}
	(void)attrset((int)attributes(style));
	(void)move(y, 0);
	if (style == TOP_SELECTED)
		(void)hline(' ' | A_REVERSE, COLS);
	(void)addstr(text);
}

void top_screen_draw(struct top_view *view, const struct top_look *look)
{
	(void)erase();
	view->ascii = !is_utf8;
	top_view_draw(view, look, COLS, LINES, draw_line, NULL);
	(void)refresh();
}

int top_screen_key(void)
{
	static const struct {
		int curses, key;
	} keys[] = {
		{KEY_UP, TOP_KEY_UP},
		{KEY_DOWN, TOP_KEY_DOWN},
		{KEY_PPAGE, TOP_KEY_PAGE_UP},
		{KEY_NPAGE, TOP_KEY_PAGE_DOWN},
		{KEY_HOME, TOP_KEY_HOME},
		{KEY_END, TOP_KEY_END},
		{KEY_ENTER, '\n'},
	};
	const int key = getch();

	if (key == ERR)
		return TOP_KEY_NONE;
	for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
		if (keys[i].curses == key)
			return keys[i].key;
	return key > 0 && key < 256 ? key : TOP_KEY_OTHER;
}
