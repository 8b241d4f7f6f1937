/* SPDX-License-Identifier: Apache-2.0 */
/* history_json: what /history answers, packed. */
#ifndef SUPERVISOR_HISTORY_JSON_H
#define SUPERVISOR_HISTORY_JSON_H

#include "daemon/supervisor/http/pool_views.h"

#include <msgpack.h>

/* Of one pool: a sample for each second. */
void history_json_pack(const struct history *history, msgpack_packer *packer);

/* Of all pools that the rights allow to be seen: the calls of each in each ten seconds, and the samples of all together. */
void history_json_pack_all(const struct pool_views *views, const struct rights *rights, msgpack_packer *packer);

#endif
