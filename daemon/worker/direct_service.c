/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/worker/direct_service.h"

#include "proto/clock.h"
#include "proto/pack.h"
#include "proto/rpc.h"

#include <errno.h>

enum { PROGRESS_TEXT = 1024 };

static enum direct_state state_of(const struct task *task)
{
	return board_direct_state_in(atomic_load_explicit(&task->board->direct.word, memory_order_acquire));
}

bool direct_service_cancelled(const struct task *task)
{
	return state_of(task) == DIRECT_CANCELLED;
}

int direct_service_commit(const struct task *task)
{
	return board_direct_move(&task->board->direct, DIRECT_STARTED, DIRECT_COMMITTED) || state_of(task) == DIRECT_COMMITTED
		       ? 0
		       : -ECANCELED;
}

bool direct_service_is_committed(const struct task *task)
{
	return state_of(task) == DIRECT_COMMITTED;
}

int direct_service_progress(struct direct_channel *channel, uint32_t msgid, uint64_t done, uint64_t total, const char *text)
{
	static const char name[] = "objpool.progress";
	uint8_t room[3 + sizeof name + 3 * PACK_UINT + 2 * PACK_HEAD + PROGRESS_TEXT], *p = room;

	*p++ = BYTE_FIXARRAY | 3;
	*p++ = RPC_NOTIFICATION;
	p = pack_str(p, name, sizeof name - 1);
	p = pack_array(p, 4);
	p = pack_uint(pack_uint(p, msgid), done);
	p = total ? pack_uint(p, total) : pack_nil(p);
	p = text ? pack_str(p, text, strnlen(text, PROGRESS_TEXT)) : pack_nil(p);
	if (channel->size - channel->sent > DIRECT_UNSENT)
		return 0; /* its client does not read: progress is no answer, and may be left out */
	(void)direct_channel_put(channel, room, (size_t)(p - room));
	direct_channel_flush(channel, (uint64_t)clock_now_coarse());
	return channel->dead ? -EIO : 0;
}
