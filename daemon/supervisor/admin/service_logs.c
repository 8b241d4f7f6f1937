/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/core/records/pool.h"
#include "daemon/supervisor/admin/admin.h"
#include "daemon/supervisor/base/packtext.h"
#include "daemon/supervisor/workers/template.h"
#include "proto/escape.h"

static void pack_line(const struct said_line *line, msgpack_packer *result)
{
	char text[ESCAPE_MAX * LOG_PIECE + 1];
	const size_t size = escape_text(text, sizeof text, line->text, line->size);

	msgpack_pack_map(result, 5);
	pair_number(result, "number", line->number);
	pack_text(result, "at_s");
	msgpack_pack_double(result, (double)line->at / 1000);
	pack_text(result, "slot");
	if (line->slot < 0)
		msgpack_pack_nil(result);
	else
		msgpack_pack_int64(result, line->slot);
	pair_text(result, "stream", line->stream);
	pack_text(result, "text");
	msgpack_pack_str_with_body(result, text, size);
}

static uint32_t count_after(const struct said *said, uint64_t number)
{
	const struct said_line *line;
	uint32_t n = 0;

	for (line = said_after(said, number); line; line = STAILQ_NEXT(line, link))
		n++;
	return n;
}

static void pack_after(const struct said *said, uint64_t number, msgpack_packer *result)
{
	const uint32_t n = count_after(said, number);
	const struct said_line *line;

	msgpack_pack_map(result, 3);
	pair_number(result, "last", said->last);
	pair_number(result, "missed", said->last > number ? said->last - number - n : 0);
	pack_text(result, "lines");
	msgpack_pack_array(result, n);
	for (line = said_after(said, number); line; line = STAILQ_NEXT(line, link))
		pack_line(line, result);
}

int admin_logs(struct request *request)
{
	const struct pool *pool = admin_pool(request, RIGHT_WATCH);
	uint64_t after = 0;

	if (!pool)
		return -1;
	if (request->count > 1 || (request->count == 1 && read_whole(&request->args, &after) < 0))
		return admin_refuse_params(request, "a pool, and optionally the number of a line");
	pack_after(&template_of(pool)->said, after, request->result);
	return 0;
}
