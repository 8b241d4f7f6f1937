/* SPDX-License-Identifier: Apache-2.0 */
/* top_screen: the terminal of `objpool top`. No other file uses ncurses. There is one screen at most. */
#ifndef CLI_TOP_SCREEN_H
#define CLI_TOP_SCREEN_H

#include "cli/top_view.h"

/* The reason why there can be no full screen here, as the beginning of a sentence; NULL: there can be one. */
const char *top_screen_trouble(void);

/* Takes over the terminal. 0 or a negative errno. */
int top_screen_begin(void);

/* Restores the terminal. */
void top_screen_end(void);

/* To be called when the size of the terminal may have changed. */
void top_screen_resize(void);

int top_screen_height(void);
void top_screen_draw(struct top_view *view, const struct top_look *look);

/* The next key that has been pressed; TOP_KEY_NONE: there is none. */
int top_screen_key(void);

#endif
