/* SPDX-License-Identifier: Apache-2.0 */
/* top_screen_absent: in the place of top_screen.c where objpool is built without ncurses. There is no full screen. */
#include "cli/top_screen.h"

#include <errno.h>

const char *top_screen_trouble(void)
{
	return "objpool was built without ncurses";
}

int top_screen_begin(void)
{
	return -ENOSYS;
}

void top_screen_end(void)
{
}

void top_screen_resize(void)
{
}

int top_screen_height(void)
{
	return 0;
}

void top_screen_draw(struct top_view *view, const struct top_look *look)
{
	(void)view;
	(void)look;
}

int top_screen_key(void)
{
	return TOP_KEY_NONE;
}
