/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/core/serve.h"

#include "gateway/core/allowance.h"

#include <stdlib.h>

struct served {
	struct gateway_ending ending;
	struct gateway *gateway;
	struct host *host;
	struct channel *channel; /* NULL: it has ended */
	struct local *local;     /* likewise */
	size_t unwritten;        /* bytes of local->out, when it was last looked at */
};

static void reap(struct gateway_ending *ending)
{
	free(container_of(ending, struct served, ending));
}

static void end(struct served *served)
{
	if (served->ending.listed)
		return;
	served->gateway->served--;
	served->host->sessions--;
	served->host->users--;
	gateway_end(served->gateway, &served->ending);
}

/* ---- from the other host ---- */

static void channel_data(struct channel *channel, struct span bytes)
{
	struct served *served = channel->owner;
	struct local *local = served->local;
	const size_t before = local->out.bytes;

	sendq_copy(&local->out, bytes.bytes, bytes.size);
	served->unwritten += bytes.size;
	if (!local->out.failed) {
		local_wrote(local, before);
		return;
	}
	served->local = NULL;
	served->channel = NULL;
	local_close(local);
	channel_close(channel, CHANNEL_ENDED, "the gateway is out of memory");
	end(served);
}

static void channel_left(struct channel *channel)
{
	const struct served *served = channel->owner;

	if (channel->out.bytes == 0 || (channel->out.bytes <= SERVE_HOLDS_MIN && allowance_has_memory(served->host)))
		local_read(served->local, true);
}

static void channel_closed(struct channel *channel, enum channel_end why, struct span text)
{
	struct served *served = channel->owner;
	struct local *local = served->local;

	(void)why, (void)text;
	served->local = NULL;
	served->channel = NULL;
	local_close(local);
	end(served);
}

/* ---- from the daemon ---- */

static void local_bytes(struct local *local, struct span bytes)
{
	const struct served *served = local->user_side;
	struct channel *channel = served->channel;

	sendq_copy(&channel->out, bytes.bytes, bytes.size);
	if (channel->out.failed) {
		gateway_log(local->gateway, LOG_ERR, "%s", NO_MEMORY);
		channel_closed(channel, CHANNEL_LOST, (struct span){0});
		channel_close(channel, CHANNEL_ENDED, "the gateway is out of memory");
		return;
	}
	channel_wrote(channel);
	if (channel->out.bytes >= SERVE_HOLDS_MAX || !allowance_has_memory(served->host))
		local_read(local, false);
}

static void local_sent(struct local *local)
{
	struct served *served = local->user_side;
	const size_t taken = served->unwritten - local->out.bytes;

	served->unwritten = local->out.bytes;
	channel_taken(served->channel, taken);
}

static void local_gone(struct local *local)
{
	struct served *served = local->user_side;
	struct channel *channel = served->channel;

	served->local = NULL;
	served->channel = NULL;
	channel_close(channel, CHANNEL_ENDED, "its daemon has closed the session");
	end(served);
}

const char *serve_opened(struct channel *channel)
{
	static const struct channel_ops channel_ops = {.data = channel_data, .left = channel_left, .closed = channel_closed};
	static const struct local_ops local_ops = {.bytes = local_bytes, .sent = local_sent, .gone = local_gone};
	struct gateway *gateway = channel->conduit->gateway;
	struct host *host = channel->conduit->host;

	if (gateway->state != GATEWAY_SERVING)
		return "it is stopping";
	if (!allowance_has_session(host))
		return "this host has as many sessions there as it may (max_sessions in its section [cluster])";
	if (!allowance_has_memory(host))
		return "its gateway holds as much for this host as it may (max_memory in its section [cluster])";
	struct served *served = calloc(1, sizeof *served);
	if (!served)
		return NO_MEMORY;
	served->ending.reap = reap;
	served->gateway = gateway;
	served->host = host;
	served->channel = channel;
	served->local = local_open(gateway, host->name, channel->user, 0, &local_ops, served);
	if (!served->local) {
		free(served);
		return "its daemon takes no session";
	}
	served->local->out.account = host->memory;
	channel->ops = &channel_ops;
	channel->owner = served;
	gateway->served++;
	host->sessions++;
	host->users++;
	return NULL;
}
