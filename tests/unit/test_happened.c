/* SPDX-License-Identifier: Apache-2.0 */
/* The rings of events, and who sees which. */
#include "daemon/supervisor/log/happened.h"
#include "daemon/supervisor/view/events.h"

#include "daemon/core/records/pool.h"
#include "daemon/core/records/slot.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
/* after these */
#include <cmocka.h>

static char name[] = "p";
static struct pool pool = {.name = name};

/* Records so many events that nothing bounds. */
static void record(uint32_t count)
{
	const uint64_t before = happened_last();

	for (uint32_t i = 1; i <= count; i++)
		happened(HAPPENED_POOL_CHANGED, &(struct happened_about){.pool = &pool}, "event %u", i);
	assert_int_equal(happened_last(), before + count);
}

static void test_a_reader_gets_each_event_once_in_order(void **state)
{
	const struct slot slot = {.pool = &pool, .index = 3, .generation = 7, .pid = 4711};
	const struct happened_about about = {
		.slot = &slot, .ended = true, .status = 9, .words = "bye\n\033[31m", .words_size = 9};
	const struct happened_event *event;
	struct happened_place place;
	uint64_t lost = 0;

	(void)state;
	happened_enter(&place, false);
	assert_null(happened_next(&place, &lost));
	record(2);
	happened(HAPPENED_SLOT_DIED, &about, "killed\n%d", 9);
	assert_true(happened_has_more(&place));
	for (uint64_t i = 1; i <= 2; i++) {
		event = happened_next(&place, &lost);
		assert_int_equal(event->number, i);
		assert_string_equal(event->pool, "p");
		assert_false(event->has_slot);
	}
	event = happened_next(&place, &lost);
	assert_int_equal(event->kind, HAPPENED_SLOT_DIED);
	assert_true(event->has_slot && event->slot == 3 && event->generation == 7 && event->pid == 4711);
	assert_true(event->has_status && event->status == 9);
	assert_string_equal(event->text, "killed\\n9");
	assert_string_equal(event->words, "bye\\n\\e[31m");
	assert_null(happened_next(&place, &lost));
	assert_int_equal(lost, 0);
	assert_false(happened_has_more(&place));
	happened_leave(&place);
}

static void test_a_reader_that_is_overtaken_is_told_how_many_it_has_lost(void **state)
{
	struct happened_place place, late;
	uint64_t lost = 0;
	uint32_t n = 0;

	(void)state;
	happened_enter(&place, false);
	while (happened_next(&place, &lost))
		;
	lost = 0;
	record(HAPPENED_EVENTS + 5);
	const struct happened_event *event = happened_next(&place, &lost);
	assert_int_equal(lost, 5);
	assert_string_equal(event->text, "event 6");
	happened_enter(&late, false); /* who comes late has lost nothing, and finds what is kept */
	lost = 0;
	for (; happened_next(&late, &lost); n++)
		;
	assert_int_equal(n, HAPPENED_EVENTS);
	assert_int_equal(lost, 0);
}

static void test_comings_are_recorded_for_readers_only_and_displace_nothing(void **state)
{
	const struct happened_event *event;
	struct happened_place place, usual;
	uint64_t lost = 0, last = happened_last();

	(void)state;
	happened(HAPPENED_CLIENT_CONNECTED, NULL, "nobody reads");
	assert_int_equal(happened_last(), last);
	happened_enter(&place, true);
	while (happened_next(&place, &lost))
		;
	happened_enter(&usual, false);
	while (happened_next(&usual, &lost))
		;
	lost = 0;
	happened(HAPPENED_CLIENT_CONNECTED, NULL, "one");
	record(1);
	happened(HAPPENED_CLIENT_GONE, NULL, "two");
	assert_string_equal(happened_next(&place, &lost)->text, "one");
	assert_string_equal(happened_next(&place, &lost)->text, "event 1");
	assert_string_equal(happened_next(&place, &lost)->text, "two");
	assert_null(happened_next(&place, &lost));
	record(1);
	for (int i = 0; i < HAPPENED_COMINGS + 3; i++)
		happened(HAPPENED_LEASE_OPENED, NULL, "%d", i);
	event = happened_next(&place, &lost);
	assert_int_equal(event->kind, HAPPENED_POOL_CHANGED);
	assert_int_equal(lost, 3);
	assert_string_equal(happened_next(&place, &lost)->text, "3");
	assert_string_equal(happened_next(&usual, &lost)->text, "event 1");
	assert_string_equal(happened_next(&usual, &lost)->text, "event 1");
	assert_null(happened_next(&usual, &lost));
	happened_leave(&place);
	last = happened_last();
	happened(HAPPENED_CLIENT_GONE, NULL, "nobody reads any more");
	assert_int_equal(happened_last(), last);
}

static void test_what_clients_cause_is_bounded(void **state)
{
	const uint64_t last = happened_last();

	(void)state;
	for (int i = 0; i < 3 * HAPPENED_QUOTA; i++)
		happened(HAPPENED_CLIENT_DENIED, NULL, "%d", i);
	assert_int_equal(happened_last(), last + HAPPENED_QUOTA);
	happened(HAPPENED_CLIENT_REFUSED, NULL, "another kind");
	assert_int_equal(happened_last(), last + HAPPENED_QUOTA + 1);
}

static struct span word(const char *text)
{
	return (struct span){.bytes = (const uint8_t *)text, .size = strlen(text)};
}

static void test_words_name_kinds(void **state)
{
	uint64_t kinds = 0;

	(void)state;
	assert_true(events_add_kinds(&kinds, word("slot.died")));
	assert_int_equal(kinds, UINT64_C(1) << HAPPENED_SLOT_DIED);
	assert_true(events_add_kinds(&kinds, word("config")));
	assert_int_equal(kinds, UINT64_C(1) << HAPPENED_SLOT_DIED | UINT64_C(1) << HAPPENED_CONFIG_RELOADED |
					UINT64_C(1) << HAPPENED_CONFIG_REFUSED);
	for (const char *const *wrong = (const char *const[]){"", "slo", "slot.", "slot.die", "slot.died2", "events.lost", NULL};
	     *wrong; wrong++)
		assert_false(events_add_kinds(&kinds, word(*wrong)));
	assert_false(events_add_kinds(&kinds, (struct span){.bytes = (const uint8_t *)"slot\0died", .size = 9}));
	for (enum happened_kind kind = 0; kind < HAPPENED_KINDS; kind++) {
		kinds = 0;
		assert_true(events_add_kinds(&kinds, word(happened_name(kind))));
		assert_int_equal(kinds, UINT64_C(1) << kind);
	}
	struct events_wish wish = {.kinds = events_usual_kinds()};
	assert_false(events_want_comings(&wish));
	(void)events_add_kinds(&wish.kinds, word("client"));
	assert_true(events_want_comings(&wish));
}

static void test_rights_and_wishes(void **state)
{
	struct events_wish wish = {.kinds = UINT64_MAX};
	struct happened_event event = {.number = 5, .at = 1000, .kind = HAPPENED_SLOT_DIED, .pool = "p"};
	struct rights *rights = rights_new("reader", NULL);

	(void)state;
	assert_int_equal(rights_add(rights, RIGHT_DESCRIBE, "p", NULL, "here:1"), 0);
	assert_true(events_show(&wish, rights, false, &event));
	event.kind = HAPPENED_CLIENT_DENIED;
	assert_false(events_show(&wish, rights, false, &event));
	assert_true(events_show(&wish, rights, true, &event));
	event.kind = HAPPENED_SLOT_DIED;
	strcpy(event.pool, "q");
	assert_false(events_show(&wish, rights, false, &event));
	event.pool[0] = '\0';
	assert_false(events_show(&wish, NULL, false, &event));
	assert_true(events_show(&wish, NULL, true, &event));
	event.kind = HAPPENED_HOST_GONE;
	assert_true(events_show(&wish, rights, false, &event));
	event.kind = HAPPENED_SLOT_DIED;
	strcpy(wish.pool, "p");
	assert_false(events_show(&wish, NULL, true, &event));
	strcpy(event.pool, "p");
	assert_true(events_show(&wish, NULL, false, &event));
	wish.after = 5;
	assert_false(events_show(&wish, NULL, true, &event));
	wish.after = 4;
	wish.since = 1001;
	assert_false(events_show(&wish, NULL, true, &event));
	wish.since = 1000;
	assert_true(events_show(&wish, NULL, true, &event));
	rights_unref(rights);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_reader_gets_each_event_once_in_order),
		cmocka_unit_test(test_a_reader_that_is_overtaken_is_told_how_many_it_has_lost),
		cmocka_unit_test(test_comings_are_recorded_for_readers_only_and_displace_nothing),
		cmocka_unit_test(test_what_clients_cause_is_bounded),
		cmocka_unit_test(test_words_name_kinds),
		cmocka_unit_test(test_rights_and_wishes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
