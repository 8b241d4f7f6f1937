/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/core/channel.h"

#include "gateway/core/allowance.h"
#include "proto/pack.h"

#include <errno.h>
#include <stdlib.h>

enum frame { FRAME_OPEN = 1, FRAME_DATA = 2, FRAME_CREDIT = 3, FRAME_CLOSE = 4 };
enum {
	FRAME_HEAD = 9,
	FRAME_BY_OPENER = 0x80, /* the channel was opened by the sender of the frame */
	FRAME_CONTROL_MAX = 3 * FRAME_HEAD + CHANNEL_USER_MAX + 4 + 1 + CHANNEL_TEXT_MAX,
	PIECE = 16 << 10, /* of one channel, while others wait */
	CREDIT_EVERY = CHANNEL_WINDOW / 4,
};

static uint64_t key_of(uint32_t id, bool opened_here)
{
	return (uint64_t)id << 1 | opened_here;
}

static bool has_control(const struct channel *channel)
{
	return channel->open_due || (channel->close_due && channel->out.bytes == 0) ||
	       (!channel->close_due && (channel->taken >= CREDIT_EVERY || (channel->taken && !channel->widened)));
}

static size_t may_leave(const struct channel *channel)
{
	return channel->out.bytes < channel->may_send ? channel->out.bytes : (size_t)channel->may_send;
}

/* ---- life ---- */

static void reap(struct gateway_ending *ending)
{
	struct channel *channel = container_of(ending, struct channel, ending);
	sendq_clear(&channel->out);
	free(channel);
}

static void set_ready(struct channel *channel, bool ready)
{
	if (channel->is_ready == ready)
		return;
	channel->is_ready = ready;
	if (ready)
		TAILQ_INSERT_TAIL(&channel->conduit->ready, channel, entry);
	else
		TAILQ_REMOVE(&channel->conduit->ready, channel, entry);
}

static void promise(const struct channel *channel, int64_t bytes)
{
	struct gateway *gateway = channel->conduit->gateway;

	*(channel->opened_here ? &gateway->promised : &gateway->others_promised) += (uint64_t)bytes;
	if (!channel->opened_here)
		channel->conduit->host->promised += (uint64_t)bytes;
}

static void forget(struct channel *channel)
{
	struct conduit *conduit = channel->conduit;

	if (channel->over)
		return;
	channel->over = true;
	set_ready(channel, false);
	(void)idmap_remove(&conduit->channels, key_of(channel->id, channel->opened_here));
	if (!channel->opened_here) {
		conduit->opened_by_peer--;
		account_credit(conduit->host->memory, sizeof *channel);
	}
	promise(channel, channel->widened ? -(int64_t)CHANNEL_WINDOW : 0);
	sendq_clear(&channel->out);
	gateway_end(conduit->gateway, &channel->ending);
}

static struct channel *channel_new(struct conduit *conduit, uint32_t id, bool opened_here, struct span user)
{
	struct channel *channel = calloc(1, sizeof *channel);

	if (!channel)
		return NULL;
	if (idmap_add(&conduit->channels, key_of(id, opened_here), channel) < 0) {
		free(channel);
		return NULL;
	}
	channel->ending.reap = reap;
	channel->conduit = conduit;
	channel->id = id;
	channel->opened_here = opened_here;
	channel->may_send = channel->may_come = CHANNEL_FIRST;
	channel->out.account = opened_here ? &conduit->gateway->memory : conduit->host->memory;
	memcpy(channel->user, user.bytes, user.size);
	if (!opened_here) {
		conduit->opened_by_peer++;
		account_charge(conduit->host->memory, sizeof *channel);
	}
	return channel;
}

static void update(struct channel *channel)
{
	set_ready(channel, has_control(channel) || may_leave(channel) > 0);
	conduit_touch(channel->conduit);
}

struct channel *channel_open(struct host *host, const char *user, const struct channel_ops *ops, void *owner)
{
	struct conduit *conduit = conduit_to(host);
	const size_t size = strlen(user);

	if (!conduit)
		return NULL;
	const struct span name = {.bytes = (const uint8_t *)user, .size = size < CHANNEL_USER_MAX ? size : CHANNEL_USER_MAX};
	struct channel *channel = channel_new(conduit, ++conduit->last_channel, true, name);
	if (!channel)
		return NULL;
	channel->ops = ops;
	channel->owner = owner;
	channel->open_due = true;
	update(channel);
	return channel;
}

void channel_wrote(struct channel *channel)
{
	if (!channel->over)
		update(channel);
}

void channel_taken(struct channel *channel, size_t bytes)
{
	if (channel->over)
		return;
	channel->taken += bytes;
	update(channel);
}

void channel_close(struct channel *channel, enum channel_end end, const char *text)
{
	if (channel->over)
		return;
	channel->ops = NULL;
	channel->owner = NULL;
	channel->close_due = true;
	channel->end = end;
	const size_t size = strlen(text), n = size < CHANNEL_TEXT_MAX ? size : CHANNEL_TEXT_MAX;
	memcpy(channel->text, text, n);
	channel->text[n] = 0;
	update(channel);
}

/* ---- frames out ---- */

static size_t waiting(const struct conduit *conduit)
{
	const struct channel *channel;
	size_t size = 0;

	TAILQ_FOREACH(channel, &conduit->ready, entry) {
		size += may_leave(channel) + (has_control(channel) ? FRAME_CONTROL_MAX : 0) + FRAME_HEAD;
		if (size >= GATEWAY_PACKET)
			break;
	}
	return size;
}

static uint8_t *put_head(uint8_t *p, const struct channel *channel, enum frame kind, size_t size)
{
	*p++ = (uint8_t)(kind | (channel->opened_here ? FRAME_BY_OPENER : 0));
	p = pack_be32(p, channel->id);
	return pack_be32(p, (uint32_t)size);
}

static uint8_t *put_open(uint8_t *p, struct channel *channel)
{
	const size_t size = strlen(channel->user);

	channel->open_due = false;
	p = put_head(p, channel, FRAME_OPEN, size);
	memcpy(p, channel->user, size);
	return p + size;
}

/* All that the other sides may send at once is within the limit, too. */
static bool may_widen(const struct channel *channel)
{
	const struct gateway *gateway = channel->conduit->gateway;

	return channel->opened_here ? gateway->promised + CHANNEL_WINDOW <= gateway->memory.limit / 2
				    : allowance_has_window(channel->conduit->host, CHANNEL_WINDOW);
}

static uint8_t *put_credit(uint8_t *p, struct channel *channel)
{
	uint64_t credit = channel->taken;

	channel->taken = 0;
	if (!channel->widened && may_widen(channel)) {
		channel->widened = true;
		promise(channel, CHANNEL_WINDOW);
		credit += CHANNEL_WINDOW - CHANNEL_FIRST;
	}
	channel->may_come += credit;
	return pack_be32(put_head(p, channel, FRAME_CREDIT, 4), (uint32_t)credit);
}

static uint8_t *put_data(uint8_t *p, struct channel *channel, size_t size)
{
	p = put_head(p, channel, FRAME_DATA, size);
	for (size_t left = size; left > 0;) {
		struct iovec iov[8];
		const int n = sendq_iov(&channel->out, iov, 8);
		size_t copied = 0;
		for (int i = 0; i < n && left > 0; i++) {
			const size_t part = iov[i].iov_len < left ? iov[i].iov_len : left;
			memcpy(p, iov[i].iov_base, part);
			p += part;
			left -= part;
			copied += part;
		}
		sendq_sent(&channel->out, copied);
	}
	channel->may_send -= size;
	channel->left += size;
	return p;
}

static uint8_t *put_close(uint8_t *p, struct channel *channel)
{
	const size_t size = strlen(channel->text);

	p = put_head(p, channel, FRAME_CLOSE, 1 + size);
	*p++ = (uint8_t)channel->end;
	memcpy(p, channel->text, size);
	return p + size;
}

/* What one channel has to say in its turn. */
static uint8_t *put_channel(uint8_t *p, const uint8_t *end, struct channel *channel, bool alone)
{
	if (channel->open_due)
		p = put_open(p, channel);
	if (channel->taken && has_control(channel) && !channel->close_due)
		p = put_credit(p, channel);
	size_t size = may_leave(channel);
	if (size > 0 && end - p > FRAME_HEAD) {
		const size_t room = (size_t)(end - p) - FRAME_HEAD;
		size = size < room ? size : room;
		if (!alone && size > PIECE)
			size = PIECE;
		p = put_data(p, channel, size);
	}
	return p;
}

static size_t fill(struct conduit *conduit, uint8_t *to, size_t room)
{
	const uint8_t *end = to + room;
	struct channel *channel;
	uint8_t *p = to;

	while ((channel = TAILQ_FIRST(&conduit->ready)) &&
	       (size_t)(end - p) >= (has_control(channel) ? FRAME_CONTROL_MAX : FRAME_HEAD + 1)) {
		const uint64_t before = channel->left;
		set_ready(channel, false);
		p = put_channel(p, end, channel, TAILQ_EMPTY(&conduit->ready));
		if (channel->close_due && channel->out.bytes == 0 && end - p >= FRAME_HEAD + 1 + CHANNEL_TEXT_MAX) {
			p = put_close(p, channel);
			forget(channel);
			continue;
		}
		set_ready(channel, has_control(channel) || may_leave(channel) > 0);
		if (channel->ops && channel->left > before)
			channel->ops->left(channel);
	}
	return (size_t)(p - to);
}

/* ---- frames in ---- */

struct head {
	enum frame kind;
	bool by_opener;
	uint32_t id;
	struct span payload;
};

static uint32_t get_be32(const uint8_t *p)
{
	uint32_t v;
	memcpy(&v, p, sizeof v);
	return be32toh(v);
}

static int take_open(struct conduit *conduit, const struct head *head)
{
	const uint64_t key = key_of(head->id, false);

	if (!head->by_opener || head->payload.size == 0 || head->payload.size > CHANNEL_USER_MAX ||
	    idmap_get(&conduit->channels, key) || memchr(head->payload.bytes, 0, head->payload.size) ||
	    conduit->opened_by_peer >= conduit->host->sessions + CHANNELS_UNSERVED)
		return -EBADMSG;
	struct channel *channel = channel_new(conduit, head->id, false, head->payload);
	if (!channel)
		return -EBADMSG; /* no memory: the conduit dies, and the other side learns of it */
	const char *refused = conduit->gateway->channel_opened(channel);
	if (refused)
		channel_close(channel, CHANNEL_REFUSED, refused);
	return 0;
}

static int take_data(struct channel *channel, struct span bytes)
{
	if (bytes.size > channel->may_come)
		return -EBADMSG;
	channel->may_come -= bytes.size;
	if (channel->ops)
		channel->ops->data(channel, bytes);
	return 0;
}

static int take_credit(struct channel *channel, struct span payload)
{
	if (payload.size != 4)
		return -EBADMSG;
	channel->may_send += get_be32(payload.bytes);
	update(channel);
	return 0;
}

static int take_close(struct channel *channel, struct span payload)
{
	if (payload.size < 1 || payload.bytes[0] > CHANNEL_REFUSED)
		return -EBADMSG;
	const struct channel_ops *ops = channel->ops;
	forget(channel);
	if (ops)
		ops->closed(channel, (enum channel_end)payload.bytes[0],
			    (struct span){.bytes = payload.bytes + 1, .size = payload.size - 1});
	return 0;
}

static int take_frame(struct conduit *conduit, const struct head *head)
{
	if (head->kind == FRAME_OPEN)
		return take_open(conduit, head);
	struct channel *channel = idmap_get(&conduit->channels, key_of(head->id, !head->by_opener));
	if (!channel)
		return 0; /* it was closed here, and the other side did not know yet */
	switch (head->kind) {
	case FRAME_DATA:
		return take_data(channel, head->payload);
	case FRAME_CREDIT:
		return take_credit(channel, head->payload);
	case FRAME_CLOSE:
		return take_close(channel, head->payload);
	case FRAME_OPEN:
		break;
	}
	return -EBADMSG;
}

static int take(struct conduit *conduit, struct span frames)
{
	const uint8_t *p = frames.bytes, *end = p + frames.size;

	while (p < end) {
		if (end - p < FRAME_HEAD)
			return -EBADMSG;
		const struct head head = {.kind = (enum frame)(*p & ~FRAME_BY_OPENER),
					  .by_opener = *p & FRAME_BY_OPENER,
					  .id = get_be32(p + 1),
					  .payload = {.bytes = p + FRAME_HEAD, .size = get_be32(p + 5)}};
		if (head.payload.size > (size_t)(end - p) - FRAME_HEAD)
			return -EBADMSG;
		p += FRAME_HEAD + head.payload.size;
		if (take_frame(conduit, &head) < 0)
			return -EBADMSG;
		if (conduit->dead)
			return 0;
	}
	return 0;
}

/* What has never left this host counts as not sent. */
static void unsent(struct conduit *conduit, struct span frames)
{
	const uint8_t *p = frames.bytes, *end = p + frames.size;

	while (p < end) {
		const uint32_t size = get_be32(p + 5);
		struct channel *channel = (*p & ~FRAME_BY_OPENER) == FRAME_DATA
						  ? idmap_get(&conduit->channels, key_of(get_be32(p + 1), *p & FRAME_BY_OPENER))
						  : NULL;
		if (channel)
			channel->left -= size;
		p += FRAME_HEAD + size;
	}
}

static void died(struct conduit *conduit)
{
	const struct span text = {.bytes = (const uint8_t *)"", .size = 0};

	/* Each is forgotten before its owner hears of it: the owner may open others, on the next conduit. */
	for (uint32_t i = 0; conduit->channels.mask && i <= conduit->channels.mask;) {
		struct channel *channel = conduit->channels.entries[i].value;
		if (!channel) {
			i++;
			continue;
		}
		const struct channel_ops *ops = channel->ops;
		forget(channel);
		if (ops)
			ops->closed(channel, CHANNEL_LOST, text);
	}
}

void channels_open(struct gateway *gateway, const char *(*opened)(struct channel *channel))
{
	static const struct conduit_ops ops = {.waiting = waiting, .fill = fill, .take = take, .died = died, .unsent = unsent};

	gateway->conduit_ops = &ops;
	gateway->channel_opened = opened;
}
