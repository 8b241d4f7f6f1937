/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/supervisor/workers/said.h"

#include "daemon/core/records/slot.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

static void drop_first(struct said *said)
{
	struct said_line *line = STAILQ_FIRST(&said->lines);

	STAILQ_REMOVE_HEAD(&said->lines, link);
	said->count--;
	said->bytes -= line->size;
	free(line);
}

static int64_t now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_REALTIME, &time);
	return (int64_t)time.tv_sec * 1000 + time.tv_nsec / 1000000;
}

void said_add(struct said *said, const struct log_stream *stream, const char *text, size_t size)
{
	struct said_line *line = malloc(sizeof *line + size);

	if (said->count == 0)
		STAILQ_INIT(&said->lines);
	said->last++;
	if (!line)
		return;
	line->number = said->last;
	line->at = now();
	line->slot = stream->slot ? (int64_t)stream->slot->index : -1;
	line->stream = stream->name;
	line->size = size;
	memcpy(line->text, text, size);
	STAILQ_INSERT_TAIL(&said->lines, line, link);
	said->count++;
	said->bytes += size;
	while (said->count > SAID_LINES || said->bytes > SAID_BYTES)
		drop_first(said);
}

const struct said_line *said_after(const struct said *said, uint64_t number)
{
	const struct said_line *line = said->count > 0 && number < said->last ? STAILQ_FIRST(&said->lines) : NULL;

	while (line && line->number <= number)
		line = STAILQ_NEXT(line, link);
	return line;
}

static const struct said_line *last_error(const struct said *said, int64_t slot, uint64_t after)
{
	const struct said_line *line, *found = NULL;

	for (line = said_after(said, after); line; line = STAILQ_NEXT(line, link))
		if (line->slot == slot && strcmp(line->stream, "stderr") == 0)
			found = line;
	return found;
}

const struct said_line *said_last(const struct said *said, uint32_t slot, uint64_t after)
{
	return last_error(said, slot, after);
}

const struct said_line *said_last_of_template(const struct said *said, uint64_t after)
{
	return last_error(said, -1, after);
}

void said_move(struct said *to, struct said *from)
{
	*to = (struct said){.last = from->last};
	STAILQ_INIT(&to->lines);
	if (from->count > 0)
		STAILQ_CONCAT(&to->lines, &from->lines);
	to->count = from->count;
	to->bytes = from->bytes;
	*from = (struct said){0};
}

void said_clear(struct said *said)
{
	while (said->count > 0)
		drop_first(said);
}
