/* SPDX-License-Identifier: Apache-2.0 */
/* top_screen: the terminal as `objpool top` uses it, by way of ncurses, which no other file knows. There is one at most. */
#ifndef CLI_TOP_SCREEN_H
#define CLI_TOP_SCREEN_H

#include "cli/top_view.h"

/* Why there can be no full screen here, as the beginning of a sentence; NULL: there can. */
const char *top_screen_trouble(void);

/* Takes the terminal over. 0 or a negative errno. */
int top_screen_begin(void);

/* Gives it back as it was. */
void top_screen_end(void);

/* The terminal has another size now, or may have. */
void top_screen_resize(void);

int top_screen_height(void);
void top_screen_draw(struct top_view *view, const struct top_look *look);

/* The next key that has been pressed; TOP_KEY_NONE: none waits. */
int top_screen_key(void);

#endif
