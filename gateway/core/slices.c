/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/core/slices.h"

#include <errno.h>
#include <stdlib.h>

static int refuse(struct error *error, const char *text)
{
	error_say(error, ERROR_BAD_ARGUMENT, RAN_NO, "%s", text);
	return -EINVAL;
}

static int add_column(struct slices *slices, struct span name, struct reader *reader, struct error *error)
{
	struct span value;
	uint32_t count;

	if (slices->columns >= SLICES_COLUMNS)
		return refuse(error, "at most 1024 arguments can be zipped");
	struct column *column = realloc(slices->column, (slices->columns + 1) * sizeof *column);
	if (!column) {
		error_no_memory(error, RAN_NO);
		return -EINVAL;
	}
	slices->column = column;
	column += slices->columns++;
	if (read_value(reader, &value) < 0)
		return refuse(error, "the arguments are not whole");
	*column = (struct column){.name = name, .reader = reader_of(value)};
	if (read_array(&column->reader, &count) < 0)
		return refuse(error, "each argument of a map or scatter must be an array");
	slices->count = slices->columns == 1 || count < slices->count ? count : slices->count;
	return 0;
}

static int open_keywords(struct slices *slices, const struct ask *ask, struct error *error)
{
	struct reader reader = reader_of(ask->kwargs);
	struct span name;
	uint32_t count = 0;

	if (!ask->kwargs.size || read_map(&reader, &count) < 0)
		return 0;
	for (; count > 0; count--, slices->keywords++)
		if (read_value(&reader, &name) < 0 || add_column(slices, name, &reader, error) < 0)
			return -EINVAL;
	return 0;
}

static int open_arguments(struct slices *slices, const struct ask *ask, struct error *error)
{
	struct reader reader = reader_of(ask->args);
	uint32_t count = 1;

	if (!ask->args.size)
		return 0;
	if (ask->args_as == ASK_ZIP)
		(void)read_array(&reader, &count); /* ask_read has looked */
	for (; count > 0; count--)
		if (add_column(slices, (struct span){0}, &reader, error) < 0)
			return -EINVAL;
	return 0;
}

int slices_open(struct slices *slices, const struct ask *ask, struct error *error)
{
	*slices = (struct slices){.args_as = ask->args_as};
	int r = open_arguments(slices, ask, error);
	if (r == 0 && slices->columns == 0 && ask->args_as != ASK_ZIP)
		r = refuse(error, "with this args_as, args must be an array of items");
	if (r == 0)
		r = open_keywords(slices, ask, error);
	if (r == 0 && slices->columns == 0)
		r = refuse(error, "a map or scatter needs an array of items");
	if (r < 0)
		slices_close(slices);
	return r;
}

void slices_close(struct slices *slices)
{
	free(slices->column);
	*slices = (struct slices){0};
}

static uint32_t positional(const struct slices *slices)
{
	return slices->columns - slices->keywords;
}

enum ask_args slices_args_as(const struct slices *slices)
{
	if (slices->args_as != ASK_ZIP)
		return slices->keywords ? ASK_BOTH : slices->args_as;
	if (slices->keywords)
		return positional(slices) ? ASK_BOTH : ASK_KEYWORD;
	return slices->columns > 1 ? ASK_POSITIONAL : ASK_SINGLE;
}

/* The scan has seen all of the columns. */
static struct span next_of(struct column *column)
{
	struct span value = {0};

	(void)read_value(&column->reader, &value);
	return value;
}

struct span slices_take(struct slices *slices)
{
	slices->taken++;
	return next_of(&slices->column[0]);
}

static void put_value(struct sendq *to, struct span value)
{
	sendq_copy(to, value.bytes, value.size);
}

static void put_arguments(struct slices *slices, struct sendq *to)
{
	const uint32_t n = positional(slices);

	put_array(to, n);
	for (uint32_t i = 0; i < n; i++)
		put_value(to, next_of(&slices->column[i]));
}

static void put_keywords(struct slices *slices, struct sendq *to)
{
	for (uint32_t i = positional(slices); i < slices->columns; i++) {
		put_value(to, slices->column[i].name);
		put_value(to, next_of(&slices->column[i]));
	}
}

/* The map with the keywords behind what it has. What is no map is written as it is: its task fails for it. */
static void put_with_keywords(struct slices *slices, struct sendq *to, struct span map)
{
	struct reader reader = reader_of(map);
	uint32_t count;

	if (read_map(&reader, &count) < 0) {
		struct sendq dropped = {0};
		put_value(to, map);
		put_keywords(slices, &dropped);
		sendq_clear(&dropped);
		return;
	}
	put_map(to, count + slices->keywords);
	put_value(to, reader_rest(&reader));
	put_keywords(slices, to);
}

/* [arguments, keywords] of an item that is not zipped. */
static void put_item_with_keywords(struct slices *slices, struct sendq *to)
{
	const struct span item = next_of(&slices->column[0]);
	struct reader reader = reader_of(item);
	struct span args = item, kwargs = {.bytes = (const uint8_t *)"\x80", .size = 1};
	uint32_t two;

	put_array(to, 2);
	switch (slices->args_as) {
	case ASK_ZIP:
	case ASK_SINGLE:
		put_array(to, 1);
		break;
	case ASK_POSITIONAL:
		break;
	case ASK_KEYWORD:
		args = (struct span){.bytes = (const uint8_t *)"\x90", .size = 1};
		kwargs = item;
		break;
	case ASK_BOTH:
		if (read_array(&reader, &two) < 0 || two != 2 || read_value(&reader, &args) < 0 ||
		    read_value(&reader, &kwargs) < 0)
			args = kwargs = item; /* one of them is of the wrong type: its task fails for it */
		break;
	}
	put_value(to, args);
	put_with_keywords(slices, to, kwargs);
}

void slices_put(struct slices *slices, struct sendq *to)
{
	const uint32_t n = positional(slices);

	slices->taken++;
	if (slices->args_as != ASK_ZIP) {
		put_item_with_keywords(slices, to);
		return;
	}
	if (n > 0 && slices->keywords > 0)
		put_array(to, 2);
	if (n > 0)
		put_arguments(slices, to);
	if (slices->keywords > 0) {
		put_map(to, slices->keywords);
		put_keywords(slices, to);
	}
}

static void put_part(const struct column *column, uint32_t count, struct sendq *to)
{
	struct reader reader = column->reader;
	struct span values = {0};

	put_array(to, count);
	(void)read_values(&reader, count, &values);
	sendq_copy(to, values.bytes, values.size);
}

void slices_put_args(const struct slices *slices, uint32_t count, struct sendq *to)
{
	const uint32_t n = positional(slices);

	if (slices->args_as == ASK_ZIP)
		put_array(to, n);
	for (uint32_t i = 0; i < n; i++)
		put_part(&slices->column[i], count, to);
}

void slices_put_kwargs(const struct slices *slices, uint32_t count, struct sendq *to)
{
	const uint32_t first = positional(slices);

	put_map(to, slices->columns - first);
	for (uint32_t i = first; i < slices->columns; i++) {
		sendq_copy(to, slices->column[i].name.bytes, slices->column[i].name.size);
		put_part(&slices->column[i], count, to);
	}
}

void slices_skip(struct slices *slices, uint32_t count)
{
	struct span values;

	for (uint32_t i = 0; i < slices->columns; i++)
		(void)read_values(&slices->column[i].reader, count, &values);
	slices->taken += count;
}
