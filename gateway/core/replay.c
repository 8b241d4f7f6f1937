/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/core/replay.h"

#include "gateway/core/gather.h"
#include "gateway/core/session.h"

#include <stdlib.h>

#define TRY_EVERY (HOST_BEAT / 2) /* after a failure; then hosts.c calls at each beat */

struct replay {
	struct host *host;
	uint64_t incarnation;
	struct sticky *sent; /* NULL: nothing yet */
};

/* The host did not take it: it is tried again when replay_look is called next. */
static bool was_in_vain(const struct replay *replay)
{
	return replay->sent && !sticky_has_had(replay->sent, replay->host);
}

static void end(struct replay *replay)
{
	struct host *host = replay->host;
	struct gateway *gateway = host->hosts->gateway;

	host->replay_fails = host->state == HOST_READY && was_in_vain(replay) ? host->replay_fails + 1 : 0;
	(void)sticky_unref(replay->sent);
	free(replay);
	host->replays = false;
	host->users--;
	gateway->replays--;
	if (!gateway->ending)
		gateway->clients->released(gateway);
}

static void go_on(void *context);

/* 0, or negative: then go_on will not be called. */
static int send(struct replay *replay, struct sticky *sticky)
{
	struct gateway *gateway = replay->host->hosts->gateway;
	struct session *session = sticky_set_had(sticky, replay->host) == 0 ? session_of_user(gateway, sticky->user) : NULL;

	(void)sticky_unref(replay->sent);
	sticky->refs++;
	replay->sent = sticky;
	if (!session)
		return -1;
	gateway_log(gateway, replay->host->replay_fails ? LOG_DEBUG : LOG_INFO, "host %s gets the sticky call %.*s of pool %.*s",
		    replay->host->name, SPAN_TEXT(sticky->ask.method, 64), SPAN_TEXT(sticky->ask.target.pool, 64));
	const int r = gather_replay(session, sticky, replay->host, go_on, replay);
	if (r < 0) {
		sticky_lost(sticky, replay->host, false);
		session_free_if_over(session);
	}
	return r;
}

static void go_on(void *context)
{
	struct replay *replay = context;
	const struct host *host = replay->host;
	const bool is_there =
		host->state == HOST_READY && host->incarnation == replay->incarnation && !host->hosts->gateway->ending;
	struct sticky *due = is_there && !was_in_vain(replay) ? sticky_due(host->hosts->gateway, host) : NULL;

	if (!due || send(replay, due) < 0)
		end(replay);
}

void replay_look(struct host *host)
{
	struct gateway *gateway = host->hosts->gateway;

	if (host->replays)
		return;
	if (gateway->sticky_count == 0 || !sticky_due(gateway, host)) {
		host->replay_fails = 0; /* what it has not taken is forgotten */
		return;
	}
	if (host->state != HOST_READY || (!host->self && gateway->state != GATEWAY_SERVING) ||
	    (host->replay_fails > 0 && gateway->now < host->replayed + TRY_EVERY))
		return;
	struct replay *replay = calloc(1, sizeof *replay);
	if (!replay)
		return; /* it is looked at again soon */
	replay->host = host;
	replay->incarnation = host->incarnation;
	host->replays = true;
	host->replayed = gateway->now;
	host->users++;
	gateway->replays++;
	go_on(replay);
}
