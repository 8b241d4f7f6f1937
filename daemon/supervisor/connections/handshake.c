/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/supervisor/connections/handshake.h"

#include "daemon/supervisor/connections/session_life.h"
#include "daemon/supervisor/log/happened.h"
#include "daemon/supervisor/log/log.h"
#include "daemon/supervisor/transport/socket.h"
#include "daemon/supervisor/transport/tls.h"
#include "proto/plural.h"

#include <errno.h>
#include <stdlib.h>

#define PATIENCE   (10 * SECOND) /* for a whole handshake */
#define LEAVING    (2 * SECOND)  /* for the peer to read why it failed */
#define TURN       MILLISECOND   /* of a turn of the loop; a step takes as long as that at most */
#define LOG_PERIOD (10 * SECOND)

enum {
	SHARE = 8, /* of max_connections: one of so many may be a handshake */
	LEAST = 16,
	MOST = 512,
	LINES_A_PERIOD = 20,
	DISCARDS = 16, /* reads of one that leaves, in one step */
};

struct handshake {
	TAILQ_ENTRY(handshake) link;       /* in `shaking` or `leaving` */
	TAILQ_ENTRY(handshake) ready_link; /* in `ready`, if it is */
	struct handshakes *all;
	struct transport transport;
	struct handshake_owner *owner; /* has the socket and `ssl`; NULL: the handshake has the socket, and is to become a session */
	SSL *ssl;
	struct address peer; /* a socket that has failed does not tell it any more */
	uint64_t ends;
	bool ready, leaves;
};

TAILQ_HEAD(handshake_list, handshake);

struct handshakes {
	struct daemon *daemon;
	struct handshake_list shaking, leaving; /* each: the oldest first */
	struct handshake_list ready;            /* an event has come for them */
	uint32_t count;
	uint64_t failed;
	uint64_t period;        /* when the log's present period began */
	uint32_t lines, unsaid; /* failures that the log has said in this period, and that it has not */
	struct timer overdue;
};

/* ---- coming and going ---- */

/* Forgets it. The caller has the connection. */
static struct transport take_away(struct handshake *handshake)
{
	struct handshakes *all = handshake->all;
	const struct transport transport = handshake->transport;

	TAILQ_REMOVE(handshake->leaves ? &all->leaving : &all->shaking, handshake, link);
	if (handshake->ready)
		TAILQ_REMOVE(&all->ready, handshake, ready_link);
	all->count--;
	account_remove_file(&all->daemon->core.memory);
	free(handshake);
	return transport;
}

/* Leaves the socket and its TLS to the owner. */
static void give_back(struct handshake *handshake)
{
	handshake->owner->handshake = NULL;
	(void)transport_want_read(&handshake->transport, false);
	if (handshake->transport.tls)
		tls_leave(&handshake->transport);
	(void)take_away(handshake);
}

static void end_for_owner(struct handshake *handshake, bool done)
{
	struct handshake_owner *owner = handshake->owner;

	give_back(handshake);
	owner->over(owner, done);
}

static void drop(struct handshake *handshake)
{
	struct account *account = &handshake->all->daemon->core.memory;

	if (handshake->owner) {
		end_for_owner(handshake, false);
		return;
	}
	transport_close(&handshake->transport, account);
	(void)take_away(handshake);
}

void handshake_forget(struct handshake_owner *owner)
{
	if (owner->handshake)
		give_back(owner->handshake);
}

/* ---- what the log says ---- */

static void say_unsaid(struct handshakes *all)
{
	if (all->unsaid > 0)
		log_say(LOG_INFO, "TLS: %u more handshake%s failed", all->unsaid, plural(all->unsaid));
	all->lines = all->unsaid = 0;
}

/* Strangers must not fill the log. */
static bool may_say(struct handshakes *all)
{
	const uint64_t now = all->daemon->core.now;

	if (now - all->period >= LOG_PERIOD) {
		say_unsaid(all);
		all->period = now;
	}
	if (all->lines++ < LINES_A_PERIOD)
		return true;
	all->unsaid++;
	return false;
}

static void note_failure(const struct handshake *handshake, const char *reason)
{
	char peer[ADDRESS_TEXT];

	handshake->all->failed++;
	if (!may_say(handshake->all))
		return;
	address_format(&handshake->peer, peer, sizeof peer);
	log_say(LOG_INFO, "TLS: the handshake with %s failed: %s", peer, reason);
	happened(HAPPENED_CLIENT_REFUSED, NULL, "TLS: the handshake with %s failed: %s", peer, reason);
}

/* ---- steps ---- */

static void on_event(struct transport *transport)
{
	struct handshake *handshake = container_of(transport, struct handshake, transport);

	if (handshake->ready)
		return;
	handshake->ready = true;
	TAILQ_INSERT_TAIL(&handshake->all->ready, handshake, ready_link);
}

static void become_session(struct handshake *handshake)
{
	struct daemon *daemon = handshake->all->daemon;

	(void)transport_want_read(&handshake->transport, false);
	struct transport transport = take_away(handshake);
	if (!session_new(daemon, &transport, false))
		log_say(LOG_ERR, "out of memory for a new connection");
}

/* The last that was sent may say why it failed. A socket that is closed with unread bytes in it may lose what was sent: so what
 * comes is read for a while. */
static void leave(struct handshake *handshake, const char *reason)
{
	struct handshakes *all = handshake->all;

	note_failure(handshake, reason);
	if (handshake->transport.tls)
		tls_leave(&handshake->transport);
	transport_shutdown(&handshake->transport, SHUT_WR);
	TAILQ_REMOVE(&all->shaking, handshake, link);
	TAILQ_INSERT_TAIL(&all->leaving, handshake, link);
	handshake->leaves = true;
	handshake->ends = all->daemon->core.now + LEAVING;
	if (transport_want_read(&handshake->transport, true) < 0)
		drop(handshake);
	else
		on_event(&handshake->transport); /* bytes that have come may have been read by an event that is over */
}

/* Reads and drops what one that leaves still sends. */
static void discard(struct handshake *handshake)
{
	struct daemon *daemon = handshake->all->daemon;

	for (int i = 0; i < DISCARDS; i++) {
		const ssize_t n = transport_read(&handshake->transport, daemon->scratch->bytes, daemon->scratch->capacity, NULL);
		if (n == -EAGAIN)
			return;
		if (n <= 0) {
			drop(handshake);
			return;
		}
	}
}

static int open_tls(struct handshake *handshake)
{
	const struct daemon *daemon = handshake->all->daemon;
	struct account *account = &handshake->all->daemon->core.memory;

	return handshake->owner ? tls_join(&handshake->transport, handshake->ssl, account)
				: tls_open(&handshake->transport, daemon->tls, account);
}

/* The first byte has come. Only now memory is needed for TLS. 0; -EAGAIN; -EPROTO with a reason; another negative errno: the peer
 * has gone without a word. */
static int meet(struct handshake *handshake, char *reason, size_t size)
{
	const int first = tls_begins(handshake->transport.fd);

	if (first < 0)
		return first;
	if (first == 0)
		snprintf(reason, size, "the client does not speak TLS");
	else if (!handshake->owner && !handshake->all->daemon->tls)
		snprintf(reason, size, "the configuration has no certificate any more");
	else if (open_tls(handshake) < 0)
		snprintf(reason, size, "out of memory");
	else
		return 0;
	return -EPROTO;
}

static void step(struct handshake *handshake)
{
	char reason[384];
	int r = handshake->transport.tls ? 0 : meet(handshake, reason, sizeof reason);

	if (r == 0)
		r = tls_accept(&handshake->transport, reason, sizeof reason);
	if (r == 0 && handshake->owner)
		end_for_owner(handshake, true);
	else if (r == 0)
		become_session(handshake);
	else if (r == -EPROTO)
		leave(handshake, reason);
	else if (r != -EAGAIN || transport_want_read(&handshake->transport, true) < 0)
		drop(handshake);
}

static void go_on(struct handshake *handshake)
{
	TAILQ_REMOVE(&handshake->all->ready, handshake, ready_link);
	handshake->ready = false;
	if (handshake->leaves)
		discard(handshake);
	else
		step(handshake);
}

/* ---- turns ---- */

static void take_turns(struct handshakes *all)
{
	const uint64_t until = all->daemon->core.now + TURN;
	struct handshake *handshake;

	while ((handshake = TAILQ_FIRST(&all->ready)) && all->daemon->core.now < until) {
		go_on(handshake);
		daemon_tick(all->daemon);
	}
}

static void drop_overdue(struct handshakes *all)
{
	const uint64_t now = all->daemon->core.now;
	struct handshake *handshake;

	while ((handshake = TAILQ_FIRST(&all->leaving)) && handshake->ends <= now)
		drop(handshake);
	while ((handshake = TAILQ_FIRST(&all->shaking)) && handshake->ends <= now) {
		note_failure(handshake, "it was not done within 10 seconds");
		drop(handshake);
	}
}

static void set_overdue(struct handshakes *all)
{
	const struct handshake *shaking = TAILQ_FIRST(&all->shaking), *leaving = TAILQ_FIRST(&all->leaving);
	uint64_t next = shaking ? shaking->ends : UINT64_MAX;

	if (leaving && leaving->ends < next)
		next = leaving->ends;
	if (next < UINT64_MAX)
		timer_set(&all->daemon->core.timers, &all->overdue, next);
	else
		timer_clear(&all->daemon->core.timers, &all->overdue);
}

void handshakes_end_turn(struct handshakes *all)
{
	if (all->count == 0)
		return;
	take_turns(all);
	drop_overdue(all);
	set_overdue(all);
}

bool handshakes_have_work(const struct handshakes *all)
{
	return !TAILQ_EMPTY(&all->ready);
}

/* ---- all of them ---- */

bool handshakes_give_way(struct handshakes *all)
{
	struct handshake *oldest = TAILQ_FIRST(&all->leaving);

	if (!oldest && (oldest = TAILQ_FIRST(&all->shaking)))
		note_failure(oldest, "there are too many others, and it was the oldest");
	if (oldest)
		drop(oldest);
	return oldest != NULL;
}

static uint64_t most(const struct handshakes *all)
{
	const uint64_t share = all->daemon->config.max_connections / SHARE;

	return share < LEAST ? LEAST : share < MOST ? share : MOST;
}

/* NULL: out of memory. */
static struct handshake *handshake_new(struct handshakes *all, int fd, const struct address *peer)
{
	struct handshake *handshake = calloc(1, sizeof *handshake);

	if (!handshake)
		return NULL;
	if (all->count >= most(all))
		(void)handshakes_give_way(all);
	*handshake = (struct handshake){.all = all,
					.transport = transport_of(&socket_transport, fd),
					.peer = *peer,
					.ends = all->daemon->core.now + PATIENCE};
	handshake->peer.tls = true;
	TAILQ_INSERT_TAIL(&all->shaking, handshake, link);
	all->count++;
	account_add_file(&all->daemon->core.memory);
	transport_open(&handshake->transport, all->daemon->base, on_event, on_event);
	return handshake;
}

void handshakes_add(struct handshakes *all, int fd, const struct address *peer)
{
	struct handshake *handshake = handshake_new(all, fd, peer);
	struct transport transport = transport_of(&socket_transport, fd);

	if (!handshake) {
		transport_close(&transport, NULL);
		log_say(LOG_ERR, "out of memory for a new connection");
	} else if (transport_want_read(&handshake->transport, true) < 0) {
		drop(handshake);
	}
}

void handshakes_add_for(struct handshakes *all, struct handshake_owner *owner, int fd, SSL *ssl, const struct address *peer)
{
	struct handshake *handshake = handshake_new(all, fd, peer);

	if (!handshake) {
		owner->over(owner, false);
		return;
	}
	handshake->owner = owner;
	handshake->ssl = ssl;
	owner->handshake = handshake;
	if (transport_want_read(&handshake->transport, true) < 0)
		drop(handshake);
}

/* Only wakes the loop: handshakes_end_turn closes what is overdue. */
static void on_overdue(struct timer *timer)
{
	(void)timer;
}

struct handshakes *handshakes_new(struct daemon *daemon)
{
	struct handshakes *all = calloc(1, sizeof *all);

	if (!all)
		return NULL;
	all->daemon = daemon;
	TAILQ_INIT(&all->shaking);
	TAILQ_INIT(&all->leaving);
	TAILQ_INIT(&all->ready);
	if (timer_open(&daemon->core.timers, &all->overdue, on_overdue) == 0)
		return all;
	free(all);
	return NULL;
}

struct handshakes *handshakes_free(struct handshakes *all)
{
	struct handshake *handshake;

	if (!all)
		return NULL;
	while ((handshake = TAILQ_FIRST(&all->leaving)) || (handshake = TAILQ_FIRST(&all->shaking)))
		drop(handshake);
	say_unsaid(all);
	timer_close(&all->daemon->core.timers, &all->overdue);
	free(all);
	return NULL;
}

uint32_t handshakes_count(const struct handshakes *all)
{
	return all->count;
}

uint64_t handshakes_failed(const struct handshakes *all)
{
	return all->failed;
}
