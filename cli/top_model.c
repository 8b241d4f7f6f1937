/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/top_model.h"

#include "cli/fields.h"
#include "cli/top_text.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- taking an answer apart ------------------------------------------------------------------------------------------------ */

struct key {
	const char *name;
	bool is_text;
	int place; /* enum top_text or enum top_value */
};

static const struct key pool_keys[] = {
	{"name", true, TOP_NAME},        {"state", true, TOP_STATE},        {"error", true, TOP_TROUBLE},
	{"workers", false, TOP_WORKERS}, {"ready", false, TOP_READY},       {"queue", false, TOP_QUEUE},
	{"running", false, TOP_RUNNING}, {"calls", false, TOP_CALLS},       {"failures", false, TOP_FAILURES},
	{"lost", false, TOP_LOST},       {"restarts", false, TOP_RESTARTS}, {0},
};

static const struct key slot_keys[] = {
	{"state", true, TOP_STATE},
	{"running", true, TOP_METHOD},
	{"last_failure", true, TOP_TROUBLE},
	{"slot", false, TOP_SLOT},
	{"generation", false, TOP_GENERATION},
	{"pid", false, TOP_PID},
	{"running_s", false, TOP_RUNNING},
	{"queue", false, TOP_QUEUE},
	{"calls", false, TOP_CALLS},
	{"failures", false, TOP_FAILURES},
	{"lost", false, TOP_LOST},
	{"restarts", false, TOP_RESTARTS},
	{"rss", false, TOP_RSS},
	{"cpu_s", false, TOP_CPU_S},
	{0},
};

static const struct key user_keys[] = {
	{"name", true, TOP_NAME},           {"sessions", false, TOP_SESSIONS},
	{"inflight", false, TOP_IN_FLIGHT}, {"calls", false, TOP_CALLS},
	{"denied", false, TOP_DENIED},      {"overloaded", false, TOP_OVERLOADED},
	{"memory", false, TOP_MEMORY},      {0},
};

static const struct key host_keys[] = {
	{"name", true, TOP_NAME},           {"state", true, TOP_STATE}, {"calls", false, TOP_CALLS},
	{"inflight", false, TOP_IN_FLIGHT}, {"lost", false, TOP_LOST},  {0},
};

static const char *read_text(struct top_texts *texts, struct objpool_bytes value)
{
	struct objpool_reader reader = objpool_reader(value);
	char *clean = texts->bytes + texts->used;
	const char *text;
	size_t size;

	if (objpool_read_str(&reader, &text, &size) < 0 || size >= texts->room - texts->used)
		return "";
	texts->used += top_text_clean(clean, text, size) + 1;
	return clean;
}

static void read_entry(struct top_texts *texts, struct top_item *item, const struct key *key, struct objpool_bytes value)
{
	if (key->is_text)
		item->texts[key->place] = read_text(texts, value);
	else
		item->values[key->place] = field_number(value, NAN);
}

static void clear_item(struct top_item *item)
{
	for (int i = 0; i < TOP_VALUES; i++)
		item->values[i] = NAN;
	for (int i = 0; i < TOP_TEXTS; i++)
		item->texts[i] = "";
}

/* One pass over the map: there can be thousands. */
static void read_item(struct top_texts *texts, struct top_item *item, const struct key *keys, struct objpool_bytes map)
{
	struct objpool_reader reader = objpool_reader(map);
	struct objpool_bytes value;
	const char *name;
	uint32_t count = 0;
	size_t size;

	clear_item(item);
	(void)objpool_read_map(&reader, &count);
	while (count-- > 0 && objpool_read_str(&reader, &name, &size) == 0 && objpool_read_value(&reader, &value) == 0)
		for (const struct key *key = keys; key->name; key++)
			if (size == strlen(key->name) && memcmp(name, key->name, size) == 0)
				read_entry(texts, item, key, value);
}

/* Room for the elements of a packed array, of which *reader then is at the first. */
static void *begin_array(struct objpool_bytes array, size_t size, struct objpool_reader *reader, uint32_t *count)
{
	*reader = objpool_reader(array);
	*count = 0;
	if (objpool_read_array(reader, count) == 0 && *count > array.size)
		*count = 0;
	return calloc(*count ? *count : 1, size);
}

/* What is unknown of one is not counted. */
static double sum(const struct top_pool *pool, enum top_value value)
{
	double total = NAN;

	for (size_t i = 0; i < pool->count; i++) {
		const double v = pool->slots[i].values[value];
		if (!isnan(v))
			total = isnan(total) ? v : total + v;
	}
	return total;
}

static int read_pool(struct top_look *look, struct top_pool *pool, struct objpool_bytes map)
{
	struct objpool_reader reader;
	struct objpool_bytes slot;
	uint32_t count;

	read_item(&look->texts, &pool->item, pool_keys, map);
	pool->item.values[TOP_P99] = field_number(field(field(map, "latency"), "p99_s"), NAN);
	pool->slots = begin_array(field(map, "slots"), sizeof *pool->slots, &reader, &count);
	if (!pool->slots)
		return -ENOMEM;
	while (count-- > 0 && objpool_read_value(&reader, &slot) == 0)
		read_item(&look->texts, &pool->slots[pool->count++], slot_keys, slot);
	pool->item.values[TOP_RSS] = sum(pool, TOP_RSS);
	pool->item.values[TOP_CPU_S] = sum(pool, TOP_CPU_S);
	return 0;
}

static int read_pools(struct top_look *look, struct objpool_bytes pools)
{
	struct objpool_reader reader;
	struct objpool_bytes pool;
	uint32_t count;

	look->pools = begin_array(pools, sizeof *look->pools, &reader, &count);
	if (!look->pools)
		return -ENOMEM;
	while (count-- > 0 && objpool_read_value(&reader, &pool) == 0)
		if (read_pool(look, &look->pools[look->count++], pool) < 0)
			return -ENOMEM;
	return 0;
}

static int read_users(struct top_look *look, struct objpool_bytes users)
{
	struct objpool_reader reader;
	struct objpool_bytes user;
	uint32_t count;

	look->users = begin_array(users, sizeof *look->users, &reader, &count);
	if (!look->users)
		return -ENOMEM;
	while (count-- > 0 && objpool_read_value(&reader, &user) == 0)
		read_item(&look->texts, &look->users[look->user_count++], user_keys, user);
	return 0;
}

static void read_daemon(struct top_look *look, struct objpool_bytes status)
{
	look->server = read_text(&look->texts, field(status, "server"));
	look->version = read_text(&look->texts, field(status, "version"));
	look->state = read_text(&look->texts, field(status, "state"));
	look->pid = field_number(field(status, "pid"), NAN);
	look->uptime_s = field_number(field(status, "uptime_s"), NAN);
	look->sessions = field_number(field(status, "sessions"), NAN);
	look->late = field_number(field(status, "late"), NAN);
	look->hosts = field_number(field(field(status, "cluster"), "hosts"), NAN);
	look->calls_rate = NAN;
}

static void add_up(struct top_look *look)
{
	for (size_t i = 0; i < look->count; i++) {
		const double *values = look->pools[i].item.values;
		look->workers += isnan(values[TOP_WORKERS]) ? 0 : values[TOP_WORKERS];
		look->ready += isnan(values[TOP_READY]) ? 0 : values[TOP_READY];
	}
}

static int make_texts(struct top_texts *texts, size_t room)
{
	*texts = (struct top_texts){.bytes = malloc(room), .room = room};
	return texts->bytes ? 0 : -ENOMEM;
}

int top_look_read(struct top_look *look, struct objpool_bytes status)
{
	struct objpool_reader reader = objpool_reader(status);

	*look = (struct top_look){0};
	if (objpool_read_type(&reader) != OBJPOOL_MAP)
		return -EINVAL;
	if (make_texts(&look->texts, status.size) < 0)
		return -ENOMEM;
	read_daemon(look, status);
	if (read_pools(look, field(status, "pools")) < 0 || read_users(look, field(status, "users")) < 0) {
		top_look_free(look);
		return -ENOMEM;
	}
	add_up(look);
	return 0;
}

/* ---- hosts ---- */

static void add_to(double *total, double value)
{
	if (!isnan(value))
		*total = isnan(*total) ? value : *total + value;
}

/* Puts `sim 4/4` behind the pools that stand there, if there is room. */
static void write_pool(struct top_texts *texts, size_t begun, const char *name, double ready, double slots)
{
	char *at = texts->bytes + texts->used, first[TOP_NUMBER], second[TOP_NUMBER];
	const size_t room = texts->room - texts->used;
	const int n = snprintf(at, room, "%s%s %s/%s", texts->used > begun ? ", " : "", name, top_number(first, ready, TOP_COUNT),
			       top_number(second, slots, TOP_COUNT));

	if (n > 0 && (size_t)n < room)
		texts->used += (size_t)n;
}

/* Adds a pool up with the host's others. */
static void read_shared(struct top_texts *texts, struct top_item *host, size_t begun, struct objpool_bytes shared)
{
	const double ready = field_number(field(shared, "ready"), NAN), slots = field_number(field(shared, "slots"), NAN);
	struct objpool_reader reader = objpool_reader(field(shared, "pool"));
	char clean[64];
	const char *name;
	size_t size;

	add_to(&host->values[TOP_READY], ready);
	add_to(&host->values[TOP_WORKERS], slots);
	add_to(&host->values[TOP_QUEUE], field_number(field(shared, "queue"), NAN));
	add_to(&host->values[TOP_RUNNING], field_number(field(shared, "running"), NAN));
	if (objpool_read_str(&reader, &name, &size) < 0)
		return;
	(void)top_text_clean(clean, name, size < sizeof clean ? size : sizeof clean - 1);
	write_pool(texts, begun, clean, ready, slots);
}

static void read_host(struct top_texts *texts, struct top_item *host, struct objpool_bytes map)
{
	struct objpool_reader reader = objpool_reader(field(map, "pools"));
	struct objpool_bytes shared;
	uint32_t count = 0;

	read_item(texts, host, host_keys, map);
	host->values[TOP_RTT] = field_number(field(map, "rtt_us"), NAN) / 1e6;
	const size_t begun = texts->used;
	host->texts[TOP_TROUBLE] = texts->bytes + begun;
	(void)objpool_read_array(&reader, &count);
	while (count-- > 0 && objpool_read_value(&reader, &shared) == 0)
		read_shared(texts, host, begun, shared);
	texts->bytes[texts->used] = '\0';
	texts->used += texts->used + 1 < texts->room;
}

int top_look_add_hosts(struct top_look *look, struct objpool_bytes hosts)
{
	struct objpool_reader reader;
	struct objpool_bytes host;
	uint32_t count;

	if (make_texts(&look->host_texts, hosts.size + 1) < 0)
		return -ENOMEM;
	look->others = begin_array(field(hosts, "hosts"), sizeof *look->others, &reader, &count);
	if (!look->others)
		return -ENOMEM;
	while (count-- > 0 && objpool_read_value(&reader, &host) == 0)
		read_host(&look->host_texts, &look->others[look->other_count++], host);
	return 0;
}

void top_look_free(struct top_look *look)
{
	for (size_t i = 0; i < look->count; i++)
		free(look->pools[i].slots);
	free(look->pools);
	free(look->users);
	free(look->others);
	free(look->texts.bytes);
	free(look->host_texts.bytes);
	*look = (struct top_look){0};
}

/* ---- comparing two --------------------------------------------------------------------------------------------------------- */

/* A count that has become less is another one's. */
static double rate(double now, double before, double seconds)
{
	return now >= before ? (now - before) / seconds : NAN;
}

static void compare_items(struct top_item *item, const struct top_item *before, double seconds)
{
	item->values[TOP_CALLS_RATE] = rate(item->values[TOP_CALLS], before->values[TOP_CALLS], seconds);
	item->values[TOP_FAILURES_RATE] = rate(item->values[TOP_FAILURES], before->values[TOP_FAILURES], seconds);
}

/* The processor's time is a process's. */
static void compare_slots(struct top_item *slot, const struct top_item *before, double seconds)
{
	compare_items(slot, before, seconds);
	if (slot->values[TOP_PID] == before->values[TOP_PID])
		slot->values[TOP_CPU] = 100 * rate(slot->values[TOP_CPU_S], before->values[TOP_CPU_S], seconds);
}

static const struct top_item *find_slot(const struct top_pool *pool, double number, size_t guess)
{
	if (guess < pool->count && pool->slots[guess].values[TOP_SLOT] == number)
		return &pool->slots[guess];
	for (size_t i = 0; i < pool->count; i++)
		if (pool->slots[i].values[TOP_SLOT] == number)
			return &pool->slots[i];
	return NULL;
}

static void compare_pools(struct top_pool *pool, const struct top_pool *before, double seconds)
{
	pool->expanded = before->expanded;
	compare_items(&pool->item, &before->item, seconds);
	if (isnan(pool->item.values[TOP_CALLS_RATE]))
		return; /* another one of that name */
	for (size_t i = 0; i < pool->count; i++) {
		const struct top_item *slot = find_slot(before, pool->slots[i].values[TOP_SLOT], i);
		if (slot)
			compare_slots(&pool->slots[i], slot, seconds);
	}
	pool->item.values[TOP_CPU] = sum(pool, TOP_CPU);
}

/* Of users, or of hosts: what has the same name. They mostly have the places that they had. */
static void compare_named(struct top_item *items, size_t count, const struct top_item *before, size_t count_before,
			  double seconds)
{
	for (size_t i = 0; i < count; i++)
		for (size_t j = 0; j < count_before; j++) {
			const struct top_item *same = &before[(i + j) % count_before];
			if (strcmp(items[i].texts[TOP_NAME], same->texts[TOP_NAME]) != 0)
				continue;
			compare_items(&items[i], same, seconds);
			break;
		}
}

void top_look_compare(struct top_look *look, const struct top_look *before)
{
	const double since = look->uptime_s - before->uptime_s;
	const double seconds = since > 0 && look->pid == before->pid ? since : NAN;
	double total = 0;

	compare_named(look->users, look->user_count, before->users, before->user_count, seconds);
	compare_named(look->others, look->other_count, before->others, before->other_count, seconds);
	for (size_t i = 0; i < look->count; i++) {
		struct top_pool *pool = &look->pools[i];
		const struct top_pool *same = top_look_pool(before, pool->item.texts[TOP_NAME]);
		if (!same)
			continue;
		compare_pools(pool, same, seconds);
		if (!isnan(pool->item.values[TOP_CALLS_RATE]))
			total += pool->item.values[TOP_CALLS_RATE];
	}
	look->calls_rate = isnan(seconds) ? NAN : total;
}

struct top_pool *top_look_pool(const struct top_look *look, const char *name)
{
	for (size_t i = 0; i < look->count; i++)
		if (strcmp(look->pools[i].item.texts[TOP_NAME], name) == 0)
			return &look->pools[i];
	return NULL;
}

/* ---- rows ------------------------------------------------------------------------------------------------------------------ */

enum { BY_TEXT = -1 };

static const struct {
	const char *name;
	int of_pool, of_slot; /* enum top_value, or BY_TEXT */
	enum top_text text;
} sorts[] = {
	[TOP_BY_NAME] = {"name", BY_TEXT, BY_TEXT, TOP_NAME},
	[TOP_BY_STATE] = {"state", BY_TEXT, BY_TEXT, TOP_STATE},
	[TOP_BY_QUEUE] = {"queue", TOP_QUEUE, TOP_QUEUE, 0},
	[TOP_BY_RUNNING] = {"running", TOP_RUNNING, TOP_RUNNING, 0},
	[TOP_BY_CALLS] = {"calls/s", TOP_CALLS_RATE, TOP_CALLS_RATE, 0},
	[TOP_BY_FAILURES] = {"failures", TOP_FAILURES_RATE, TOP_FAILURES, 0},
	[TOP_BY_P99] = {"p99", TOP_P99, TOP_P99, 0},
	[TOP_BY_RSS] = {"RSS", TOP_RSS, TOP_RSS, 0},
	[TOP_BY_CPU] = {"CPU", TOP_CPU, TOP_CPU, 0},
	[TOP_BY_RESTARTS] = {"restarts", TOP_RESTARTS, TOP_RESTARTS, 0},
	[TOP_BY_LOST] = {"lost", TOP_LOST, TOP_LOST, 0},
};

const char *top_sort_name(enum top_sort sort)
{
	return sorts[sort].name;
}

struct order {
	enum top_sort sort;
	bool reverse;
};

static int compare_numbers(double a, double b)
{
	return (a > b) - (a < b);
}

/* Largest first. */
static int compare_values(double a, double b, bool reverse)
{
	if (isnan(a) || isnan(b))
		return isnan(a) - isnan(b);
	return reverse ? compare_numbers(a, b) : compare_numbers(b, a);
}

/* By what is wanted, or else 0. */
static int compare_wanted(const struct top_item *a, const struct top_item *b, int value, const struct order *order)
{
	const enum top_text text = sorts[order->sort].text;

	if (value != BY_TEXT)
		return compare_values(a->values[value], b->values[value], order->reverse);
	const int way = strcmp(a->texts[text], b->texts[text]);
	return order->reverse ? -way : way;
}

static int compare_pool_rows(const void *a, const void *b, void *context)
{
	const struct top_pool *pool = ((const struct top_row *)a)->pool, *other = ((const struct top_row *)b)->pool;
	const struct order *order = context;
	const int way = compare_wanted(&pool->item, &other->item, sorts[order->sort].of_pool, order);

	return way ? way : strcmp(pool->item.texts[TOP_NAME], other->item.texts[TOP_NAME]);
}

/* A slot's name is its number. */
static int compare_slot_rows(const void *a, const void *b, void *context)
{
	const struct top_item *slot = ((const struct top_row *)a)->slot, *other = ((const struct top_row *)b)->slot;
	const struct order *order = context;
	const int way = compare_wanted(slot, other, sorts[order->sort].of_slot, order);
	const int numbers = compare_numbers(slot->values[TOP_SLOT], other->values[TOP_SLOT]);

	return way ? way : order->sort == TOP_BY_NAME && order->reverse ? -numbers : numbers;
}

/* Of users and hosts, with their titles. */
static size_t count_other_rows(const struct top_look *look)
{
	return (look->user_count > 0 ? look->user_count + 1 : 0) + (look->other_count > 0 ? look->other_count + 1 : 0);
}

static size_t count_rows(const struct top_look *look)
{
	size_t count = look->count + count_other_rows(look);

	for (size_t i = 0; i < look->count; i++)
		if (look->pools[i].expanded)
			count += look->pools[i].count + 1;
	return count;
}

/* Titles and slots of one pool. */
static size_t add_slots(struct top_row *rows, struct top_pool *pool, struct order *order)
{
	rows[0] = (struct top_row){.pool = pool};
	for (size_t i = 0; i < pool->count; i++)
		rows[1 + i] = (struct top_row){.pool = pool, .slot = &pool->slots[i]};
	qsort_r(rows + 1, pool->count, sizeof *rows, compare_slot_rows, order);
	return pool->count + 1;
}

/* Titles, and users or hosts. */
static size_t add_others(struct top_row *rows, const struct top_item *items, size_t count, bool of_host)
{
	if (count == 0)
		return 0;
	rows[0] = (struct top_row){.of_host = of_host};
	for (size_t i = 0; i < count; i++)
		rows[1 + i] = (struct top_row){.other = &items[i], .of_host = of_host};
	return count + 1;
}

struct top_row *top_rows(const struct top_look *look, enum top_sort sort, bool reverse, size_t *count)
{
	struct order order = {sort, reverse};
	const size_t all = count_rows(look);
	struct top_row *rows = calloc(all ? all : 1, sizeof *rows);

	*count = 0;
	if (!rows || all == 0) {
		free(rows);
		return NULL;
	}
	/* At the end at first: they move up, and slots in between. */
	struct top_row *pools = rows + all - count_other_rows(look) - look->count;
	for (size_t i = 0; i < look->count; i++)
		pools[i] = (struct top_row){.pool = &look->pools[i], .is_pool = true};
	qsort_r(pools, look->count, sizeof *pools, compare_pool_rows, &order);
	for (size_t i = 0; i < look->count; i++) {
		rows[(*count)++] = pools[i];
		if (rows[*count - 1].pool->expanded)
			*count += add_slots(rows + *count, rows[*count - 1].pool, &order);
	}
	*count += add_others(rows + *count, look->users, look->user_count, false);
	*count += add_others(rows + *count, look->others, look->other_count, true);
	return rows;
}
