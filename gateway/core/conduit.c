/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/core/conduit.h"

#include "gateway/core/allowance.h"
#include "gateway/core/sum.h"
#include "proto/pack.h"

#include <errno.h>
#include <stdlib.h>

enum {
	PACKET_VERSION = 2,
	PACKET_PING = 1, /* flags */
	PACKET_PONG = 2,
	AT_FROM = 4,
	AT_TO = 12,
	AT_EPOCH = 20,
	AT_SEQ = 28,
	AT_ACK = 36,
	AT_SUM = 44,
	/* So many packets with frames, or so many bytes, are acknowledged at once. Fewer are by the next packet that goes anyway,
	 * or after ACK_AFTER. */
	ACK_PACKETS = CONDUIT_PACKETS / 8,
	ACK_BYTES = CONDUIT_WINDOW / 4,
	SAME_ACKS_TELL = 3, /* that a packet is lost */
};

#define RESEND_FIRST (100 * MILLISECOND)
#define RESEND_MAX   (800 * MILLISECOND)
#define ACK_AFTER    (20 * MILLISECOND)
#define PING_EVERY   (400 * MILLISECOND)
#define SILENCE_MAX  (2400 * MILLISECOND) /* of a conduit with channels: pings are answered */

static uint64_t get_be64(const uint8_t *p)
{
	uint64_t v;
	memcpy(&v, p, sizeof v);
	return be64toh(v);
}

/* Is the other side of concern? It is asked now and then whether it is there. */
static bool is_in_use(const struct conduit *conduit)
{
	return conduit->channels.count > 0 || conduit->early;
}

/* ---- life ---- */

static void set_list(struct conduit *conduit, struct conduit_list *list)
{
	if (conduit->list)
		TAILQ_REMOVE(conduit->list, conduit, entry);
	conduit->list = list;
	if (list)
		TAILQ_INSERT_TAIL(list, conduit, entry);
}

static struct packet *free_packets(struct conduit *conduit, struct packet *packet)
{
	while (packet) {
		struct packet *next = packet->next;
		account_credit(conduit->host->memory, sizeof *packet + packet->size);
		free(packet);
		packet = next;
	}
	return NULL;
}

static void reap(struct gateway_ending *ending)
{
	struct conduit *conduit = container_of(ending, struct conduit, ending);
	idmap_free(&conduit->channels);
	free(conduit);
}

static void tell_unsent(struct conduit *conduit)
{
	for (const struct packet *packet = conduit->unacked; packet; packet = packet->next)
		if (!packet->published)
			conduit->gateway->conduit_ops->unsent(conduit, (struct span){.bytes = packet->bytes + CONDUIT_HEAD,
										     .size = packet->size - CONDUIT_HEAD});
}

static void die(struct conduit *conduit)
{
	struct host *host = conduit->host;

	if (conduit->dead)
		return;
	conduit->dead = true;
	host->conduit = NULL;
	if (host->next_epoch <= conduit->epoch)
		host->next_epoch = conduit->epoch + 1;
	timer_close(&conduit->gateway->timers, &conduit->tick);
	tell_unsent(conduit);
	conduit->gateway->conduit_ops->died(conduit);
	conduit->unacked = free_packets(conduit, conduit->unacked);
	conduit->early = free_packets(conduit, conduit->early);
	set_list(conduit, NULL);
	gateway_end(conduit->gateway, &conduit->ending);
}

void conduit_host_gone(struct host *host)
{
	if (host->conduit)
		die(host->conduit);
}

static void on_tick(struct timer *timer);

static struct conduit *conduit_new(struct host *host, uint64_t epoch)
{
	struct gateway *gateway = host->hosts->gateway;
	struct conduit *conduit = calloc(1, sizeof *conduit);

	if (!conduit)
		return NULL;
	if (timer_open(&gateway->timers, &conduit->tick, on_tick) < 0) {
		free(conduit);
		return NULL;
	}
	conduit->ending.reap = reap;
	conduit->gateway = gateway;
	conduit->host = host;
	conduit->epoch = host->next_epoch = epoch;
	conduit->heard = conduit->pinged = conduit->acked_at = gateway->now;
	conduit->resend_after = RESEND_FIRST;
	TAILQ_INIT(&conduit->ready);
	host->conduit = conduit;
	return conduit;
}

struct conduit *conduit_to(struct host *host)
{
	if (host->conduit || host->state == HOST_GONE || host->self)
		return host->conduit;
	return conduit_new(host, host->next_epoch);
}

void conduit_touch(struct conduit *conduit)
{
	if (!conduit->list && !conduit->dead)
		set_list(conduit, &conduit->gateway->dirty);
}

/* ---- sending ---- */

static uint64_t sum_of_packet(const uint8_t *bytes, size_t size)
{
	return sum_of(sum_of(0, bytes, AT_SUM), bytes + CONDUIT_HEAD, size - CONDUIT_HEAD);
}

static void write_head(struct gateway *gateway, const struct host *host, uint8_t *p, unsigned flags, uint64_t epoch, uint64_t seq,
		       uint64_t ack)
{
	*p++ = PACKET_VERSION;
	*p++ = (uint8_t)flags;
	p = pack_be16(p, 0);
	p = pack_be64(p, gateway->incarnation);
	p = pack_be64(p, host->incarnation);
	p = pack_be64(p, epoch);
	p = pack_be64(p, seq);
	(void)pack_be64(p, ack);
}

/* False: it has not left this host. It is lost, and sent again later. */
static bool publish(struct gateway *gateway, const struct host *host, uint8_t *bytes, size_t size)
{
	(void)pack_be64(bytes + AT_SUM, sum_of_packet(bytes, size));
	return gateway->bus_is_up && gateway->ops->publish(gateway, host->name, bytes, size) == 0;
}

/* A packet without frames. */
static void send_bare(struct host *host, unsigned flags, uint64_t epoch, uint64_t ack)
{
	uint8_t bytes[CONDUIT_HEAD];

	write_head(host->hosts->gateway, host, bytes, flags, epoch, 0, ack);
	publish(host->hosts->gateway, host, bytes, sizeof bytes);
}

static void acknowledged(struct conduit *conduit)
{
	conduit->ack_now = false;
	conduit->ack_since = 0;
	conduit->ack_packets = 0;
	conduit->ack_bytes = 0;
}

static void send_ack(struct conduit *conduit, unsigned flags)
{
	send_bare(conduit->host, flags, conduit->epoch, conduit->received);
	acknowledged(conduit);
}

static void send_packet(struct conduit *conduit, struct packet *packet)
{
	packet->sent = conduit->gateway->now;
	packet->tries++;
	write_head(conduit->gateway, conduit->host, packet->bytes, 0, conduit->epoch, packet->seq, conduit->received);
	if (publish(conduit->gateway, conduit->host, packet->bytes, packet->size))
		packet->published = true;
	acknowledged(conduit);
}

static void resend_first(struct conduit *conduit)
{
	conduit->host->resent++;
	conduit->recover = conduit->last_seq;
	conduit->same_acks = 0;
	send_packet(conduit, conduit->unacked);
}

/* A new packet with as many frames as fit; so many bytes of them are waiting. False: the conduit has died. */
static bool send_next(struct conduit *conduit, size_t waiting)
{
	struct gateway *gateway = conduit->gateway;
	const size_t max = gateway->packet_max - CONDUIT_HEAD, room = waiting < max ? waiting : max;
	struct packet *packet = malloc(sizeof *packet + CONDUIT_HEAD + room);
	if (!packet) {
		die(conduit);
		return false;
	}
	*packet = (struct packet){.size = CONDUIT_HEAD};
	packet->size += gateway->conduit_ops->fill(conduit, packet->bytes + CONDUIT_HEAD, room);
	if (packet->size == CONDUIT_HEAD) {
		free(packet);
		return false;
	}
	account_charge(conduit->host->memory, sizeof *packet + packet->size);
	packet->seq = ++conduit->last_seq;
	packet->first_sent = gateway->now;
	if (conduit->unacked)
		conduit->unacked_last->next = packet;
	else
		conduit->unacked = packet;
	conduit->unacked_last = packet;
	conduit->unacked_count++;
	conduit->unacked_bytes += packet->size;
	send_packet(conduit, packet);
	return true;
}

static uint64_t dies_at(const struct conduit *conduit)
{
	const uint64_t silent = is_in_use(conduit) ? conduit->heard + SILENCE_MAX : UINT64_MAX;
	if (!conduit->unacked)
		return silent;
	const uint64_t since =
		conduit->unacked->first_sent > conduit->acked_at ? conduit->unacked->first_sent : conduit->acked_at;
	return since + CONDUIT_DEAD_AFTER < silent ? since + CONDUIT_DEAD_AFTER : silent;
}

static uint64_t min_of(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static void schedule(struct conduit *conduit)
{
	uint64_t at = dies_at(conduit);

	if (conduit->unacked)
		at = min_of(at, conduit->unacked->sent + conduit->resend_after);
	if (conduit->ack_since)
		at = min_of(at, conduit->ack_since + ACK_AFTER);
	if (is_in_use(conduit))
		at = min_of(at, conduit->pinged + PING_EVERY);
	if (at == UINT64_MAX)
		timer_clear(&conduit->gateway->timers, &conduit->tick);
	else
		timer_set(&conduit->gateway->timers, &conduit->tick, at);
}

/* New packets. They are made when they can be sent, so that what is urgent needn't wait behind much that is not. */
static void send_frames(struct conduit *conduit)
{
	struct gateway *gateway = conduit->gateway;
	size_t waiting;

	while (conduit->unacked_count < CONDUIT_PACKETS && conduit->unacked_bytes < CONDUIT_WINDOW &&
	       (waiting = gateway->conduit_ops->waiting(conduit)) > 0) {
		if (!gateway->ops->has_room(gateway)) {
			set_list(conduit, &gateway->stuck);
			return;
		}
		if (!send_next(conduit, waiting))
			return;
	}
}

static void flush(struct conduit *conduit)
{
	send_frames(conduit);
	if (conduit->dead)
		return;
	if (conduit->ack_now || conduit->ponged || conduit->ack_packets >= ACK_PACKETS || conduit->ack_bytes >= ACK_BYTES)
		send_ack(conduit, conduit->ponged ? PACKET_PONG : 0);
	conduit->ponged = false;
	schedule(conduit);
}

/* Those that waited for room come first, in the order in which they began to wait. */
static void unstick(struct gateway *gateway)
{
	struct conduit *conduit;

	while ((conduit = TAILQ_LAST(&gateway->stuck, conduit_list))) {
		set_list(conduit, NULL);
		conduit->list = &gateway->dirty;
		TAILQ_INSERT_HEAD(&gateway->dirty, conduit, entry);
	}
}

void conduits_flush(struct gateway *gateway)
{
	struct conduit *conduit;

	unstick(gateway);
	while ((conduit = TAILQ_FIRST(&gateway->dirty))) {
		set_list(conduit, NULL);
		flush(conduit);
	}
}

/* When something is due: to give up, to send again, to acknowledge, to ask whether the other side is there. */
static void on_tick(struct timer *timer)
{
	struct conduit *conduit = container_of(timer, struct conduit, tick);
	const uint64_t now = conduit->gateway->now;

	if (now >= dies_at(conduit)) {
		if (host_may_log(conduit->host))
			gateway_log(conduit->gateway, LOG_WARNING, "host %s does not answer: what it owes is given up",
				    conduit->host->name);
		die(conduit);
		return;
	}
	if (conduit->unacked && now >= conduit->unacked->sent + conduit->resend_after) {
		conduit->resend_after = min_of(2 * conduit->resend_after, RESEND_MAX);
		resend_first(conduit);
	}
	if (is_in_use(conduit) && now >= conduit->pinged + PING_EVERY) {
		conduit->pinged = now;
		send_ack(conduit, PACKET_PING);
	}
	if (conduit->ack_since && now >= conduit->ack_since + ACK_AFTER)
		send_ack(conduit, 0);
	conduit_touch(conduit);
}

/* ---- receiving ---- */

struct head {
	unsigned flags;
	uint64_t from, to, epoch, seq, ack;
};

static int read_head(struct span bytes, struct head *head)
{
	if (bytes.size < CONDUIT_HEAD || bytes.bytes[0] != PACKET_VERSION ||
	    get_be64(bytes.bytes + AT_SUM) != sum_of_packet(bytes.bytes, bytes.size))
		return -EBADMSG;
	*head = (struct head){.flags = bytes.bytes[1],
			      .from = get_be64(bytes.bytes + AT_FROM),
			      .to = get_be64(bytes.bytes + AT_TO),
			      .epoch = get_be64(bytes.bytes + AT_EPOCH),
			      .seq = get_be64(bytes.bytes + AT_SEQ),
			      .ack = get_be64(bytes.bytes + AT_ACK)};
	return head->epoch && (head->seq == 0) == (bytes.size == CONDUIT_HEAD) ? 0 : -EBADMSG;
}

static void drop_acked(struct conduit *conduit, uint64_t ack)
{
	while (conduit->unacked && conduit->unacked->seq <= ack) {
		struct packet *packet = conduit->unacked;
		conduit->unacked = packet->next;
		conduit->unacked_count--;
		conduit->unacked_bytes -= packet->size;
		packet->next = NULL;
		(void)free_packets(conduit, packet);
	}
}

static void on_ack(struct conduit *conduit, const struct head *head)
{
	if (!conduit->unacked || head->ack > conduit->last_seq)
		return;
	if (head->ack >= conduit->unacked->seq) {
		drop_acked(conduit, head->ack);
		conduit->acked_at = conduit->gateway->now;
		conduit->resend_after = conduit->host->rtt ? 4 * conduit->host->rtt : RESEND_FIRST;
		if (conduit->resend_after < RESEND_FIRST)
			conduit->resend_after = RESEND_FIRST;
		conduit->resend_after = min_of(conduit->resend_after, RESEND_MAX);
		conduit->same_acks = 0;
		/* What comes next after a loss is a gap, too: all that has arrived behind the first was acknowledged with it. */
		if (conduit->unacked && conduit->unacked->seq <= conduit->recover && conduit->unacked->tries == 1)
			resend_first(conduit);
	} else if (head->seq == 0 && head->flags == 0 && ++conduit->same_acks == SAME_ACKS_TELL) {
		resend_first(conduit);
	}
	conduit_touch(conduit);
}

static void on_pong(struct conduit *conduit)
{
	const uint64_t took = conduit->gateway->now - conduit->pinged;
	if (took >= PING_EVERY)
		return; /* of an earlier one */
	conduit->host->rtt = conduit->host->rtt ? (7 * conduit->host->rtt + took) / 8 : took;
}

/* Keeps a packet that has come before its turn, if there is room: else it will be sent again. */
static void keep_early(struct conduit *conduit, uint64_t seq, struct span bytes)
{
	struct packet **at = &conduit->early;

	while (*at && (*at)->seq < seq)
		at = &(*at)->next;
	if (*at && (*at)->seq == seq) {
		conduit->host->duplicates++;
		return;
	}
	if (seq - conduit->received > CONDUIT_PACKETS || conduit->early_count >= CONDUIT_PACKETS ||
	    conduit->early_bytes >= CONDUIT_WINDOW + GATEWAY_PACKET || !allowance_has_memory(conduit->host))
		return;
	struct packet *packet = malloc(sizeof *packet + bytes.size);
	if (!packet)
		return;
	*packet = (struct packet){.next = *at, .seq = seq, .size = bytes.size};
	memcpy(packet->bytes, bytes.bytes, bytes.size);
	account_charge(conduit->host->memory, sizeof *packet + packet->size);
	conduit->early_count++;
	conduit->early_bytes += packet->size;
	*at = packet;
}

static void deliver(struct conduit *conduit, struct span bytes)
{
	const struct span frames = {.bytes = bytes.bytes + CONDUIT_HEAD, .size = bytes.size - CONDUIT_HEAD};

	conduit->received++;
	conduit->ack_packets++;
	conduit->ack_bytes += bytes.size;
	if (!conduit->ack_since)
		conduit->ack_since = conduit->gateway->now;
	if (conduit->gateway->conduit_ops->take(conduit, frames) == 0)
		return;
	if (host_may_log(conduit->host))
		gateway_log(conduit->gateway, LOG_ERR, "host %s does not keep to the protocol: what it owes is given up",
			    conduit->host->name);
	die(conduit);
}

static void deliver_early(struct conduit *conduit)
{
	while (!conduit->dead && conduit->early && conduit->early->seq == conduit->received + 1) {
		struct packet *packet = conduit->early;
		conduit->early = packet->next;
		packet->next = NULL;
		conduit->early_count--;
		conduit->early_bytes -= packet->size;
		deliver(conduit, (struct span){.bytes = packet->bytes, .size = packet->size});
		(void)free_packets(conduit, packet);
		conduit->ack_now = true;
	}
}

static void on_frames(struct conduit *conduit, uint64_t seq, struct span bytes)
{
	if (seq <= conduit->received) {
		conduit->host->duplicates++;
		conduit->ack_now = true;
	} else if (seq > conduit->received + 1) {
		keep_early(conduit, seq, bytes);
		conduit->ack_now = true;
	} else {
		deliver(conduit, bytes);
		deliver_early(conduit);
	}
}

/* The conduit that a packet of this epoch belongs to. NULL: none; then nothing is to be done. */
static struct conduit *of_epoch(struct host *host, const struct head *head)
{
	const uint64_t now = host->conduit ? host->conduit->epoch : host->next_epoch;

	if (head->epoch < now) {
		host->late++;
		send_bare(host, 0, now, host->conduit ? host->conduit->received : 0);
		return NULL;
	}
	if (head->epoch > now) {
		conduit_host_gone(host);
		host->next_epoch = head->epoch;
	}
	if (!host->conduit && head->seq > 0)
		return conduit_new(host, head->epoch);
	return host->conduit;
}

void conduit_on_packet(struct gateway *gateway, struct span from, struct span bytes)
{
	struct host *host = hosts_find(gateway->hosts, from);
	struct head head;

	if (!host || host->self || read_head(bytes, &head) < 0 || head.to != gateway->incarnation ||
	    (gateway->state != GATEWAY_SERVING && gateway->state != GATEWAY_DRAINING)) {
		gateway->late++;
		return;
	}
	if (head.from != host->incarnation || host->state == HOST_GONE) {
		host->late++;
		return;
	}
	struct conduit *conduit = of_epoch(host, &head);
	if (!conduit)
		return;
	conduit->heard = gateway->now;
	if (head.flags & PACKET_PONG)
		on_pong(conduit);
	if (head.flags & PACKET_PING)
		conduit->ponged = true;
	on_ack(conduit, &head);
	if (head.seq > 0)
		on_frames(conduit, head.seq, bytes);
	if (!conduit->dead)
		conduit_touch(conduit);
}

bool conduits_are_quiet(const struct gateway *gateway)
{
	const struct host *host;

	TAILQ_FOREACH(host, &gateway->hosts->list, entry)
		if (host->conduit && (host->conduit->unacked || gateway->conduit_ops->waiting(host->conduit) > 0))
			return false;
	return true;
}

void conduits_forgive(struct gateway *gateway, uint64_t time)
{
	struct host *host;

	TAILQ_FOREACH(host, &gateway->hosts->list, entry) {
		if (!host->conduit)
			continue;
		host->conduit->heard = gateway_later(gateway, host->conduit->heard, time);
		host->conduit->acked_at = gateway_later(gateway, host->conduit->acked_at, time);
		schedule(host->conduit);
	}
}
