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
	for (; count > 0; count--)
		if (read_value(&reader, &name) < 0 || add_column(slices, name, &reader, error) < 0)
			return -EINVAL;
	return 0;
}

static int open_zip(struct slices *slices, const struct ask *ask, struct error *error)
{
	struct reader reader = reader_of(ask->args);
	uint32_t count = 0;

	slices->zips = true;
	if (ask->args.size)
		(void)read_array(&reader, &count); /* ask_read has looked */
	for (; count > 0; count--)
		if (add_column(slices, (struct span){0}, &reader, error) < 0)
			return -EINVAL;
	slices->keywords = slices->columns == 0;
	if (open_keywords(slices, ask, error) < 0)
		return -EINVAL;
	return slices->columns ? 0 : refuse(error, "a map or scatter needs an array of items");
}

static int open_items(struct slices *slices, const struct ask *ask, struct error *error)
{
	struct reader reader = reader_of(ask->args);

	if (!ask->args.size)
		return refuse(error, "a map or scatter needs an array of items");
	if (add_column(slices, (struct span){0}, &reader, error) < 0)
		return -EINVAL;
	return open_keywords(slices, ask, error);
}

int slices_open(struct slices *slices, const struct ask *ask, struct error *error)
{
	*slices = (struct slices){0};
	const int r = ask->args_as == ASK_ZIP ? open_zip(slices, ask, error) : open_items(slices, ask, error);
	if (r < 0)
		slices_close(slices);
	return r;
}

void slices_close(struct slices *slices)
{
	free(slices->column);
	*slices = (struct slices){0};
}

const char *slices_args_as(const struct slices *slices, const struct ask *ask)
{
	static const char *const names[] = {"single", "single", "positional", "keyword"}; /* as enum ask_args */

	if (!slices->zips)
		return names[ask->args_as];
	return slices->keywords ? "keyword" : slices->columns > 1 ? "positional" : "single";
}

void slices_next(struct slices *slices, struct sendq *to, struct span *where)
{
	struct span value;

	slices->taken++;
	*where = (struct span){0};
	if (!slices->keywords && slices->columns == 1) {
		(void)read_value(&slices->column[0].reader, where); /* the scan has seen all of it; so below */
		return;
	}
	if (slices->keywords)
		put_map(to, slices->columns);
	else
		put_array(to, slices->columns);
	for (uint32_t i = 0; i < slices->columns; i++) {
		sendq_copy(to, slices->column[i].name.bytes, slices->column[i].name.size);
		if (read_value(&slices->column[i].reader, &value) == 0)
			sendq_copy(to, value.bytes, value.size);
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

static uint32_t positional(const struct slices *slices)
{
	uint32_t n = 0;

	while (n < slices->columns && slices->column[n].name.size == 0)
		n++;
	return n;
}

void slices_put_args(const struct slices *slices, uint32_t count, struct sendq *to)
{
	const uint32_t n = positional(slices);

	if (slices->zips)
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
