/* SPDX-License-Identifier: Apache-2.0 */
/* What `objpool top` shows, without a daemon and without a terminal: two answers in, lines out. */
#include "cli/top_model.h"
#include "cli/top_text.h"
#include "cli/top_view.h"

#include <errno.h>
#include <locale.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* ---- texts -------------------------------------------------------------------------------------------------------------------- */

static void check_clean(const char *text, const char *expected)
{
	char clean[256];
	const size_t size = top_text_clean(clean, text, strlen(text));

	assert_string_equal(clean, expected);
	assert_int_equal(size, strlen(expected));
}

static void test_clean(void **state)
{
	(void)state;
	check_clean("plain", "plain");
	check_clean("a\033[2Jb\r\n\tc\177", "a [2Jb   c ");
	check_clean("gr\303\274n \344\270\255 \360\237\230\200", "gr\303\274n \344\270\255 \360\237\230\200");
	check_clean("\302\2332J", " 2J");     /* CSI in C1 */
	check_clean("a\342\200\256b", "a b"); /* right to left from here */
	check_clean("\303", "?");             /* not whole */
	check_clean("\344\270", "??");
	check_clean("\300\200\355\240\200\364\220\200\200\377", "??????????"); /* too long, surrogate, too large, none */
	char clean[8];
	assert_int_equal(top_text_clean(clean, "a\0b", 3), 3);
	assert_memory_equal(clean, "a b", 4);
}

static void check_fit(const char *text, int width, size_t most, size_t bytes, int cells)
{
	int used;

	assert_int_equal(top_text_fit(text, width, most, &used), bytes);
	assert_int_equal(used, cells);
}

static void test_fit(void **state)
{
	(void)state;
	check_fit("plain", 10, 100, 5, 5);
	check_fit("plain", 3, 100, 3, 3);
	check_fit("plain", 0, 100, 0, 0);
	check_fit("gr\303\274n", 3, 100, 4, 3);
	check_fit("gr\303\274n", 10, 3, 2, 2);               /* no half of it */
	check_fit("\344\270\255\344\270\255", 3, 100, 3, 2); /* two cells each */
	check_fit("e\314\201x", 1, 100, 3, 1);               /* an accent of its own takes none */
	assert_int_equal(top_text_width("\344\270\255x"), 3);
	char text[] = "gr\303\274n \344\270\255";
	top_text_to_ascii(text);
	assert_string_equal(text, "gr?n ?");
}

static void check_number(double number, enum top_format format, const char *expected)
{
	char text[TOP_NUMBER];

	assert_string_equal(top_number(text, number, format), expected);
	assert_true(strlen(text) <= 7);
}

static void test_numbers(void **state)
{
	(void)state;
	check_number(0, TOP_COUNT, "0");
	check_number(999999, TOP_COUNT, "999999");
	check_number(1234567, TOP_COUNT, "1.23M");
	check_number(9e18, TOP_COUNT, "9.00E");
	check_number(NAN, TOP_COUNT, "-");
	check_number(INFINITY, TOP_RATE, "-");
	check_number(-1, TOP_SECONDS, "-");
	check_number(0.25, TOP_RATE, "0.2");
	check_number(99.96, TOP_RATE, "100");
	check_number(12345.6, TOP_RATE, "12346");
	check_number(1.25, TOP_SECONDS, "1.2s");
	check_number(59.96, TOP_SECONDS, "1m00s");
	check_number(185, TOP_SECONDS, "3m05s");
	check_number(7800, TOP_SECONDS, "2h10m");
	check_number(442800, TOP_SECONDS, "5d03h");
	check_number(12e-6, TOP_LATENCY, "12us");
	check_number(0.0034, TOP_LATENCY, "3.40ms");
	check_number(0.25, TOP_LATENCY, "250ms");
	check_number(2, TOP_LATENCY, "2.0s");
	check_number(512, TOP_BYTES, "512");
	check_number(1536, TOP_BYTES, "1.50K");
	check_number(230.0 * 1048576, TOP_BYTES, "230M");
	check_number(1023.9 * 1048576, TOP_BYTES, "1.00G");
}

/* ---- looks -------------------------------------------------------------------------------------------------------------------- */

/* What a daemon answers; the arguments are packed pools. */
static struct top_look look_at(int pid, double uptime_s, const char *format, ...)
{
	struct objpool_packer packer = OBJPOOL_PACKER_INIT, pools = OBJPOOL_PACKER_INIT;
	struct top_look look;
	va_list arguments;

	va_start(arguments, format);
	assert_int_equal(objpool_vpack(&pools, format, arguments), 0);
	va_end(arguments);
	assert_int_equal(objpool_pack(&packer, "{s s, s s, s s, s i, s f, s i, s i, s v}", "server", "objpool", "version",
				      "0.1.0", "state", "running", "pid", pid, "uptime_s", uptime_s, "sessions", 2, "late", 0,
				      "pools", objpool_packed(&pools)),
			 0);
	assert_int_equal(top_look_read(&look, objpool_packed(&packer)), 0);
	objpool_packer_free(&packer); /* it is not needed any more */
	objpool_packer_free(&pools);
	return look;
}

#define POOL "{s s, s s, s i, s i, s i, s i, s []}"
#define POOL_IS(name, calls, failures, queue)                                                                                    \
	"name", name, "state", "ready", "workers", 2, "calls", calls, "failures", failures, "queue", queue, "slots"
#define SLOT                                  "{s i, s i, s i, s i, s f}"
#define SLOT_IS(slot, pid, calls, rss, cpu_s) "slot", slot, "pid", pid, "calls", calls, "rss", rss, "cpu_s", cpu_s

/* The pool's values. */
static const double *of(const struct top_look *look, const char *name)
{
	const struct top_pool *pool = top_look_pool(look, name);

	assert_non_null(pool);
	return pool->item.values;
}

static void assert_near(double a, double b)
{
	assert_true(fabs(a - b) < 1e-6);
}

static void test_rates(void **state)
{
	struct top_look before = look_at(1, 10, "[" POOL "," POOL "]", POOL_IS("a", 100, 10, 0), POOL_IS("b", 7, 0, 0));
	struct top_look after = look_at(1, 12, "[" POOL "," POOL "]", POOL_IS("b", 7, 0, 0), POOL_IS("a", 150, 11, 3));

	(void)state;
	assert_true(isnan(of(&before, "a")[TOP_CALLS_RATE]) && isnan(before.calls_rate));
	top_look_compare(&after, &before);
	assert_near(of(&after, "a")[TOP_CALLS_RATE], 25);
	assert_near(of(&after, "a")[TOP_FAILURES_RATE], 0.5);
	assert_near(of(&after, "a")[TOP_QUEUE], 3);
	assert_near(of(&after, "b")[TOP_CALLS_RATE], 0);
	assert_near(after.calls_rate, 25);
	assert_near(after.workers, 4);
	assert_true(isnan(of(&after, "a")[TOP_P99]));
	top_look_free(&before);
	top_look_free(&after);
}

/* What can't be compared has no rate: new pools, other ones of the same name, another daemon, no time in between. */
static void test_no_rates(void **state)
{
	struct top_look before = look_at(1, 10, "[" POOL "," POOL "]", POOL_IS("a", 100, 10, 0), POOL_IS("gone", 7, 0, 0));
	struct top_look after = look_at(1, 11, "[" POOL "," POOL "]", POOL_IS("new", 5, 0, 0), POOL_IS("a", 3, 0, 0));
	struct top_look other = look_at(2, 20, "[" POOL "]", POOL_IS("a", 200, 10, 0));
	struct top_look same = look_at(1, 10, "[" POOL "]", POOL_IS("a", 100, 10, 0));

	(void)state;
	top_look_compare(&after, &before);
	assert_true(isnan(of(&after, "new")[TOP_CALLS_RATE]) && isnan(of(&after, "a")[TOP_CALLS_RATE]));
	assert_null(top_look_pool(&after, "gone"));
	assert_near(after.calls_rate, 0);
	top_look_compare(&other, &before);
	assert_true(isnan(of(&other, "a")[TOP_CALLS_RATE]) && isnan(other.calls_rate));
	top_look_compare(&same, &before);
	assert_true(isnan(of(&same, "a")[TOP_CALLS_RATE]));
	top_look_free(&before);
	top_look_free(&after);
	top_look_free(&other);
	top_look_free(&same);
}

static void test_slots(void **state)
{
	static const char pool[] = "[{s s, s i, s {s f}, s [" SLOT "," SLOT "]}]";
	struct top_look before = look_at(1, 10, pool, "name", "a", "calls", 1, "latency", "p99_s", 0.5, "slots",
					 SLOT_IS(0, 11, 10, 1000, 1.0), SLOT_IS(1, 12, 10, 2000, 5.0));
	struct top_look after = look_at(1, 12, pool, "name", "a", "calls", 1, "latency", "p99_s", 0.25, "slots",
					SLOT_IS(1, 13, 30, 3000, 6.0), SLOT_IS(0, 11, 14, 1000, 2.5));

	(void)state;
	before.pools[0].expanded = true;
	top_look_compare(&after, &before);
	assert_true(after.pools[0].expanded);
	const struct top_item *slots = after.pools[0].slots;
	assert_near(slots[1].values[TOP_CALLS_RATE], 2);
	assert_near(slots[1].values[TOP_CPU], 75);
	assert_near(slots[0].values[TOP_CALLS_RATE], 10);
	assert_true(isnan(slots[0].values[TOP_CPU])); /* another process */
	assert_near(of(&after, "a")[TOP_RSS], 4000);
	assert_near(of(&after, "a")[TOP_CPU], 75);
	assert_near(of(&after, "a")[TOP_P99], 0.25);
	top_look_free(&before);
	top_look_free(&after);
}

/* Whatever a daemon says, and however little. */
static void test_odd_answers(void **state)
{
	struct top_look look;
	struct objpool_packer packer = OBJPOOL_PACKER_INIT;

	(void)state;
	assert_int_equal(top_look_read(&look, (struct objpool_bytes){"\x90", 1}), -EINVAL);
	assert_int_equal(top_look_read(&look, (struct objpool_bytes){"\x80", 1}), 0);
	assert_int_equal(look.count, 0);
	top_look_free(&look);
	assert_int_equal(objpool_pack(&packer, "{s i, s [i, {i i}, {s i, s s, s {}}]}", "server", 1, "pools", 5, 1, 2, "name", 3,
				      "calls", "x", "slots"),
			 0);
	assert_int_equal(top_look_read(&look, objpool_packed(&packer)), 0);
	assert_int_equal(look.count, 3);
	assert_string_equal(look.pools[2].item.texts[TOP_NAME], "");
	assert_true(isnan(look.pools[2].item.values[TOP_CALLS]));
	top_look_free(&look);
	for (size_t size = 1; size < packer.size; size++)
		if (top_look_read(&look, (struct objpool_bytes){packer.data, size}) == 0)
			top_look_free(&look);
	objpool_packer_free(&packer);
	look = look_at(1, 1, "[{s s}]", "name", "a\033[31m\303");
	assert_string_equal(look.pools[0].item.texts[TOP_NAME], "a [31m?");
	top_look_free(&look);
}

/* The names of pools, and numbers of slots, as they would be shown. */
static void check_rows(const struct top_look *look, enum top_sort sort, bool reverse, const char *expected)
{
	char text[256] = "";
	size_t count;
	struct top_row *rows = top_rows(look, sort, reverse, &count);

	for (size_t i = 0; i < count; i++) {
		char *end = text + strlen(text);
		if (rows[i].is_pool)
			snprintf(end, 32, "%s ", rows[i].pool->item.texts[TOP_NAME]);
		else if (rows[i].slot)
			snprintf(end, 32, "%.0f ", rows[i].slot->values[TOP_SLOT]);
		else
			snprintf(end, 32, ": ");
	}
	assert_string_equal(text, expected);
	free(rows);
}

static void test_sorting(void **state)
{
	struct top_look look =
		look_at(1, 10, "[{s s, s i}, {s s}, {s s, s i, s [" SLOT "," SLOT "," SLOT "]}, {s s, s i}]", "name", "b",
			"queue", 5, "name", "c", "name", "a", "queue", 5, "slots", SLOT_IS(0, 1, 1, 10, 0.0),
			SLOT_IS(1, 2, 1, 30, 0.0), SLOT_IS(2, 3, 1, 10, 0.0), "name", "d", "queue", 9);
	struct top_look none = look_at(1, 10, "[]");

	(void)state;
	check_rows(&look, TOP_BY_NAME, false, "a b c d ");
	check_rows(&look, TOP_BY_NAME, true, "d c b a ");
	check_rows(&look, TOP_BY_QUEUE, false, "d a b c "); /* ties by name, unknown last */
	check_rows(&look, TOP_BY_QUEUE, true, "a b d c ");
	look.pools[2].expanded = true;
	check_rows(&look, TOP_BY_NAME, false, "a : 0 1 2 b c d ");
	check_rows(&look, TOP_BY_NAME, true, "d c b a : 2 1 0 ");
	check_rows(&look, TOP_BY_RSS, false, "a : 1 0 2 b c d ");
	look.pools[0].expanded = true;
	look.pools[3].expanded = true;
	check_rows(&look, TOP_BY_NAME, false, "a : 0 1 2 b : c d : ");
	check_rows(&none, TOP_BY_NAME, false, "");
	for (int sort = 0; sort < TOP_SORTS; sort++)
		assert_non_null(top_sort_name((enum top_sort)sort));
	top_look_free(&look);
	top_look_free(&none);
}

/* ---- lines -------------------------------------------------------------------------------------------------------------------- */

enum { LINES_MAX = 64 };

struct page {
	char lines[LINES_MAX][TOP_LINE];
	enum top_style styles[LINES_MAX];
	int count, width;
};

static void keep(void *context, int y, enum top_style style, const char *text)
{
	struct page *page = context;

	assert_in_range(y, 0, LINES_MAX - 1);
	assert_true(top_text_width(text) <= page->width);
	snprintf(page->lines[y], TOP_LINE, "%s", text);
	page->styles[y] = style;
	page->count = y + 1 > page->count ? y + 1 : page->count;
}

static struct page page;

static void draw(struct top_view *view, const struct top_look *look, int width, int height)
{
	page.count = 0;
	page.width = width;
	top_view_draw(view, look, width, height, keep, &page);
	assert_true(page.count <= height);
}

#define HOST_POOL                        "{s s, s i, s i, s i, s i}"
#define HOST_POOL_IS(name, ready, slots) "pool", name, "ready", ready, "slots", slots, "queue", 1, "running", 2

static void add_hosts(struct top_look *look, int calls)
{
	struct objpool_packer packer = OBJPOOL_PACKER_INIT;

	assert_int_equal(objpool_pack(&packer,
				      "{s [{s s, s s, s []}, {s s, s s, s i, s i, s i, s i, s [" HOST_POOL "," HOST_POOL "]}]}",
				      "hosts", "name", "h1", "state", "self", "pools", "name", "h2", "state", "gone", "rtt_us",
				      250, "calls", calls, "inflight", 3, "lost", 4, "pools", HOST_POOL_IS("sim", 3, 4),
				      HOST_POOL_IS("dice", 1, 1)),
			 0);
	assert_int_equal(top_look_add_hosts(look, objpool_packed(&packer)), 0);
	for (size_t size = 1; size < packer.size; size++) {
		struct top_look half = {0};
		assert_int_equal(top_look_add_hosts(&half, (struct objpool_bytes){packer.data, size}), 0);
		top_look_free(&half);
	}
	objpool_packer_free(&packer);
}

static void test_hosts(void **state)
{
	struct top_look before = look_at(1, 10, "[{s s}]", "name", "a"), look = look_at(1, 12, "[{s s}]", "name", "a");
	struct top_view view = {.delay_ms = 1000};

	(void)state;
	add_hosts(&before, 100);
	add_hosts(&look, 150);
	top_look_compare(&look, &before);
	draw(&view, &look, 80, 9);
	assert_string_equal(page.lines[4], "HOST  STATE       READY    QUEUE  RUNNING  CALLS/s  IN FLIGHT   LOST     RTT");
	assert_int_equal(page.styles[4], TOP_TITLES);
	assert_string_equal(page.lines[5], "h1    self          -/-        -        -        -          -      -       -");
	assert_string_equal(page.lines[6], "h2    gone          4/5        2        4     25.0          3      4   250us");
	assert_int_equal(page.styles[6], TOP_TROUBLED);
	draw(&view, &look, 120, 9);
	assert_non_null(strstr(page.lines[6], "250us  sim 3/4, dice 1/1"));
	top_look_free(&before);
	top_look_free(&look);
}

/* The selected line's first word; "" when it is not on the page. */
static const char *selected(void)
{
	static char word[64];

	word[0] = '\0';
	for (int y = 0; y < page.count; y++)
		if (page.styles[y] == TOP_SELECTED)
			assert_int_equal(sscanf(page.lines[y], "%63s", word), 1);
	return word;
}

static void test_columns_go_from_the_right(void **state)
{
	struct top_look look =
		look_at(1, 3, "[{s s, s s, s s, s i, s i}]", "name", "gr\303\274n\344\270\255", "state", "degraded", "error",
			"all \344\270\255\344\270\255\344\270\255\344\270\255\344\270\255\344\270\255", "ready", 1, "workers", 2);
	struct top_view view = {.delay_ms = 1000};

	(void)state;
	draw(&view, &look, 200, 10);
	assert_non_null(strstr(page.lines[2], "ERROR"));
	assert_non_null(strstr(page.lines[3], "\344\270\255\344\270\255\344\270\255\344\270\255\344\270\255\344\270\255"));
	assert_non_null(strstr(page.lines[3], "1/2"));
	for (int width = 199; width >= 0; width--) {
		const size_t before = strlen(page.lines[2]);
		draw(&view, &look, width, 10);
		assert_true(strlen(page.lines[2]) <= before);
		char clean[TOP_LINE];
		(void)top_text_clean(clean, page.lines[3], strlen(page.lines[3]));
		assert_string_equal(clean, page.lines[3]); /* no half characters */
	}
	draw(&view, &look, 30, 10);
	assert_string_equal(page.lines[2], "POOL    STATE            READY");
	draw(&view, &look, 29, 10);
	assert_string_equal(page.lines[2], "POOL    STATE");
	for (int height = 0; height < 6; height++)
		draw(&view, &look, 80, height);
	top_look_free(&look);
}

static void test_header_and_message(void **state)
{
	struct top_look look = look_at(1, 185, "[" POOL "]", POOL_IS("a", 1, 0, 0));
	struct top_view view = {.delay_ms = 1500, .sort = TOP_BY_CPU, .reverse = true};

	(void)state;
	draw(&view, &look, 120, 10);
	assert_non_null(strstr(page.lines[0], "objpool 0.1.0, up 3m05s, 2 sessions, 1 pool, 0/2 instances, - calls/s, 0 late, "));
	assert_string_equal(page.lines[1], "every 1.5 s, by CPU, reversed; h: help, q: quit");
	top_view_say(&view, "no\033daemon");
	draw(&view, &look, 120, 10);
	assert_string_equal(page.lines[1], "no daemon");
	assert_int_equal(page.styles[1], TOP_MESSAGE);
	char text[2 * sizeof view.message];
	memset(text, 'x', sizeof text);
	memcpy(text + sizeof view.message - 2, "\303\274", 3);
	top_view_say(&view, text);
	assert_int_equal(strlen(view.message), sizeof view.message - 2);
	top_look_free(&look);
}

static void test_selecting(void **state)
{
	struct top_look look = look_at(1, 10, "[" POOL "," POOL "," POOL "]", POOL_IS("a", 1, 0, 3), POOL_IS("b", 1, 0, 2),
				       POOL_IS("c", 1, 0, 1));
	struct top_look less = look_at(1, 11, "[" POOL "," POOL "]", POOL_IS("a", 1, 0, 3), POOL_IS("c", 1, 0, 1));
	struct top_view view = {.delay_ms = 1000};

	(void)state;
	draw(&view, &look, 80, 10);
	assert_string_equal(selected(), "a");
	top_view_key(&view, &look, 10, TOP_KEY_UP);
	top_view_key(&view, &look, 10, TOP_KEY_DOWN);
	draw(&view, &look, 80, 10);
	assert_string_equal(selected(), "b");
	view.reverse = true; /* the selection stays with its pool */
	draw(&view, &look, 80, 10);
	assert_string_equal(selected(), "b");
	top_view_key(&view, &look, 10, TOP_KEY_DOWN);
	draw(&view, &look, 80, 10);
	assert_string_equal(selected(), "a");
	top_view_key(&view, &look, 10, TOP_KEY_DOWN);
	top_view_key(&view, &look, 10, TOP_KEY_UP);
	draw(&view, &look, 80, 10);
	assert_string_equal(selected(), "b");
	view.reverse = false;
	draw(&view, &look, 80, 10);
	draw(&view, &less, 80, 10); /* b is gone: who has its place */
	assert_string_equal(selected(), "c");
	top_look_free(&look);
	top_look_free(&less);
}

static void test_keys(void **state)
{
	struct top_look look = look_at(1, 10, "[{s s, s [" SLOT "]}]", "name", "a", "slots", SLOT_IS(0, 77, 1, 10, 0.0));
	struct top_view view = {.delay_ms = 1000};

	(void)state;
	draw(&view, &look, 100, 10);
	assert_int_equal(page.count, 4);
	top_view_key(&view, &look, 10, '\n');
	draw(&view, &look, 100, 10);
	assert_int_equal(page.count, 6);
	assert_non_null(strstr(page.lines[4], "SLOT"));
	assert_non_null(strstr(page.lines[5], "77"));
	top_view_key(&view, &look, 10, ' ');
	draw(&view, &look, 100, 10);
	assert_int_equal(page.count, 4);
	top_view_key(&view, &look, 10, 'S');
	assert_int_equal(view.sort, TOP_SORTS - 1);
	top_view_key(&view, &look, 10, 's');
	assert_int_equal(view.sort, 0);
	top_view_key(&view, &look, 10, 'r');
	assert_true(view.reverse);
	top_view_key(&view, &look, 10, '5');
	assert_int_equal(view.delay_ms, 5000);
	top_view_key(&view, &look, 10, 'p');
	assert_true(view.paused);
	top_view_key(&view, &look, 10, '?');
	draw(&view, &look, 100, 20);
	assert_non_null(strstr(page.lines[2], "select a pool"));
	top_view_key(&view, &look, 10, 'p'); /* leaves the help, and does no more */
	assert_true(view.paused && !view.help);
	top_look_free(&look);
}

static struct top_look many_slots(uint32_t count)
{
	struct objpool_packer slots = OBJPOOL_PACKER_INIT;

	objpool_pack_array(&slots, count);
	for (uint32_t i = 0; i < count; i++)
		objpool_pack(&slots, SLOT, SLOT_IS((int)i, 1, 1, 10, 0.0));
	struct top_look look = look_at(1, 10, "[{s s, s v}]", "name", "a", "slots", objpool_packed(&slots));
	objpool_packer_free(&slots);
	look.pools[0].expanded = true;
	return look;
}

static void test_scrolling(void **state)
{
	enum { SLOTS = 4096, HEIGHT = 23, BODY = HEIGHT - 3 };
	struct top_look look = many_slots(SLOTS), few = many_slots(3);
	struct top_view view = {.delay_ms = 1000};
	int slot;

	(void)state;
	draw(&view, &look, 80, HEIGHT);
	assert_int_equal(page.count, HEIGHT);
	top_view_key(&view, &look, HEIGHT, TOP_KEY_END);
	draw(&view, &look, 80, HEIGHT);
	assert_int_equal(sscanf(page.lines[HEIGHT - 1], "%d", &slot), 1);
	assert_int_equal(slot, SLOTS - 1);
	top_view_key(&view, &look, HEIGHT, TOP_KEY_PAGE_UP);
	assert_int_equal(view.first, SLOTS + 2 - BODY - (BODY - 1));
	top_view_key(&view, &look, HEIGHT, TOP_KEY_PAGE_DOWN);
	top_view_key(&view, &look, HEIGHT, TOP_KEY_PAGE_DOWN);
	assert_int_equal(view.first, SLOTS + 2 - BODY);
	top_view_key(&view, &look, HEIGHT, TOP_KEY_HOME);
	top_view_key(&view, &look, HEIGHT, TOP_KEY_DOWN); /* no other pool: by a line */
	assert_int_equal(view.first, 1);
	top_view_key(&view, &look, HEIGHT, TOP_KEY_END);
	draw(&view, &few, 80, HEIGHT); /* it has become smaller */
	assert_int_equal(view.first, 0);
	assert_string_equal(selected(), "a");
	top_look_free(&look);
	top_look_free(&few);
}

static void test_printing(void **state)
{
	struct top_look look = many_slots(2);
	struct top_view view = {.delay_ms = 1000};

	(void)state;
	page.count = 0;
	page.width = TOP_ALL;
	top_view_print(&view, &look, keep, &page);
	assert_int_equal(page.count, 6);
	assert_int_equal(strncmp(page.lines[1], "POOL", 4), 0);
	assert_int_equal(strncmp(page.lines[2], "a ", 2), 0);
	assert_non_null(strstr(page.lines[3], "LAST FAILURE"));
	top_look_free(&look);
}

/* ---- graphs -------------------------------------------------------------------------------------------------------------------- */

static struct top_trend trend_of(int count, double first, double step)
{
	struct top_trend trend = {0};
	struct top_look look = {0};

	for (int i = 0; i < count; i++) {
		look.calls_rate = first + step * i;
		top_trend_add(&trend, &look);
	}
	return trend;
}

static void check_graph(const struct top_trend *trend, enum top_trend_of of, int cells, const char *expected)
{
	char text[TREND_TEXT];

	assert_string_equal(top_trend_graph(trend, of, cells, true, text), expected);
}

static void test_graphs(void **state)
{
	(void)state;
	char text[TREND_TEXT];
	const struct top_trend none = {0}, rising = trend_of(180, 0, 1), longer = trend_of(1000, 0, 1);

	check_graph(&none, TREND_CALLS, 4, "    ");
	assert_true(isnan(top_trend_last(&none, TREND_CALLS)));
	check_graph(&rising, TREND_CALLS, 9, "_.:-=+*##");
	check_graph(&longer, TREND_CALLS, 9, "**#######"); /* 820 to 999 */
	assert_true(top_trend_last(&longer, TREND_CALLS) == 999);
	check_graph(&rising, TREND_BUSY, 3, "   "); /* no slots */
	check_graph(&rising, TREND_QUEUE, 3, "___");
	check_graph(&rising, TREND_CALLS, -5, "#");
	assert_string_equal(top_trend_graph(&rising, TREND_CALLS, 3, false, text), "\342\226\203\342\226\206\342\226\210");
	top_trend_graph(&longer, TREND_CALLS, 1000, false, text);
	assert_int_equal(strlen(text), 3 * 90 + 30); /* 120 cells: 90 of them have two samples each, the first 30 none */
	struct top_trend gap = trend_of(180, 1, 0);
	for (int i = 0; i < 90; i++)
		top_trend_add(&gap, NULL);
	check_graph(&gap, TREND_CALLS, 2, "# ");
}

static void test_graphs_are_drawn_where_there_is_room(void **state)
{
	(void)state;
	struct top_look look = look_at(1, 10, "[]");
	struct top_view view = {.ascii = true};

	draw(&view, &look, 80, 24);
	assert_int_equal(strncmp(page.lines[2], "POOL", 4), 0);
	top_trend_add(&view.trend, &look);
	draw(&view, &look, 80, 24);
	assert_int_equal(strncmp(page.lines[2], "calls/s ", 8), 0);
	assert_non_null(strstr(page.lines[2], "queue"));
	assert_int_equal(strncmp(page.lines[3], "POOL", 4), 0);
	draw(&view, &look, 60, 24);
	assert_int_equal(strncmp(page.lines[2], "POOL", 4), 0);
	top_look_free(&look);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_clean),
		cmocka_unit_test(test_fit),
		cmocka_unit_test(test_numbers),
		cmocka_unit_test(test_rates),
		cmocka_unit_test(test_no_rates),
		cmocka_unit_test(test_slots),
		cmocka_unit_test(test_odd_answers),
		cmocka_unit_test(test_sorting),
		cmocka_unit_test(test_hosts),
		cmocka_unit_test(test_columns_go_from_the_right),
		cmocka_unit_test(test_header_and_message),
		cmocka_unit_test(test_selecting),
		cmocka_unit_test(test_keys),
		cmocka_unit_test(test_scrolling),
		cmocka_unit_test(test_printing),
		cmocka_unit_test(test_graphs),
		cmocka_unit_test(test_graphs_are_drawn_where_there_is_room),
	};

	if (!setlocale(LC_CTYPE, "C.UTF-8"))
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
