/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gateway_link: what the supervisor and objpool-gateway say to each other. The gateway is a child of the supervisor. It speaks
 * with the gateways of other hosts, so that calls reach pools of other machines. Messages are msgpack arrays, one behind the
 * other, on a Unix stream socket: descriptor GATEWAY_FD of the gateway. The first element of each is its number below. Readers
 * ignore elements and keys that they do not know.
 *
 *   to the gateway                                          from the gateway
 *   [0 CONFIG, {…}]                                         [1 SESSION, number, host, user]  + 1 descriptor
 *   [1 OPEN, session, {…}]                                  [2 MESSAGE, session, rpc]
 *   [2 MESSAGE, session, rpc]                               [3 HOSTS, [{…}, …], {…}]
 *   [3 CLOSE, session]                                      [4 STATE, state, text]
 *   [4 TAKEN, session, bytes]                               [5 LOG, level, text]
 *   [5 POOLS, [[…], …]]
 *   [6 DRAIN]
 *
 * CONFIG    The first message, and again after each reload. A map: `name` (this host's), `domain`, `bus` (array of addresses),
 *           `ca`, `cert`, `key`, `creds` (paths, or nil), `remotes`: a map from pool to {`hosts`: "*" or an array of names,
 *           `prefer`: "local" or "load"}, `max_message` (bytes: the largest message that either side may send), `build` (a text:
 *           the supervisor's version), `max_sessions` and `max_memory` (what other hosts may have: gateway/core/allowance.h).
 * OPEN      Comes before the first MESSAGE of a session of the daemon. A map: `user` (the names of its user, or nil), `errors`:
 *           "string", "map" or "pair" (the form in which the gateway packs errors for it), `client` (the name that it gave in
 *           hello, or nil). It comes again when one of these has changed.
 * MESSAGE   To the gateway: a client's whole request or notification, a value in its place: `pool@host[:selector].method`, a
 *           plain target of a [remote] pool, objpool.call, lease, release, forget, describe, status that name such a target, and
 *           feed, feed_end and cancel of a msgid that was given to the gateway. The supervisor has checked the session's rights.
 *           For each request the gateway answers exactly one response, until CLOSE.
 *           From the gateway: a response or a notification for the client. Others are dropped; a response to a msgid that the
 *           gateway does not owe is dropped and counted.
 * CLOSE     The session is gone: all that it had is given up. No MESSAGE of that number follows in either direction, but for
 *           those that were under way. Numbers are never used twice.
 * TAKEN     The client has taken so many bytes of the session's MESSAGEs (of their rpc alone) since the last TAKEN. The gateway
 *           keeps at most GATEWAY_AHEAD bytes and one message unconfirmed for each session.
 * POOLS     The pools of this daemon that are shared: [pool, class, slots, [slot that is ready, …], queued, running, unpickle?,
 *           trust, finished] each; `trust` is nil, "*" or an array of hosts; `finished` changes whenever a task has ended. All of
 *           them, every GATEWAY_POOLS_MS, and soon after one has changed.
 * DRAIN     The daemon stops: the gateway says goodbye to the bus, finishes what it has, and ends when the socket is closed.
 *
 * SESSION   The descriptor comes with the message's first byte. It is one end of a Unix stream socket pair, which becomes a
 *           session of the daemon. Its client acts for user HOST/USER: `host` is a host's name, or "bus" for a program on the bus
 *           that is no gateway; `user` is "-" if that host has no user for it. host nil: the session acts for the local session
 *           whose number is `user`, with its rights. `number` is the gateway's own, for the log.
 * HOSTS     Who is there, on change and every second, also while the bus is away: it tells that the gateway lives. For each host
 *           a map: `name`, `state` ("self", "ready", "silent", "gone"), `incarnation`, `since_ms` (since it was first heard),
 *           `heard_ms` (since it was last heard), `rtt_us` (or nil), `pools`: [[pool, class, slots, ready, queued, running, may
 *           be called from here?], …], and counts: `calls` (sent to it), `inflight`, `late`, `duplicates`, `resent`, `lost`.
 *           Then a map about the bus: `server` (address or nil), `reconnects`, `slow`, `in_bytes`, `out_bytes`, `in_messages`,
 *           `out_messages`; and about the gateway: `late` (packets and beats that are no known host's, or for another
 *           incarnation), `memory` (bytes that it holds), `memory_limit`.
 * STATE     "connecting", "connected" or "refused": how the gateway stands with the bus, and a sentence. "refused": it serves
 *           nobody, as another host has its name.
 * LOG       A line for the daemon's log: level 3 (error), 4 (warning), 6 (info) or 7 (debug).
 */
#ifndef PROTO_GATEWAY_LINK_H
#define PROTO_GATEWAY_LINK_H

enum { GATEWAY_FD = 3 };

enum {
	GATEWAY_AHEAD = 1 << 20, /* bytes: see TAKEN */
	GATEWAY_RPC_MAX = 256 << 20, /* bytes of the rpc of a MESSAGE */
	GATEWAY_POOLS_MS = 250,
	GATEWAY_PATIENCE_MS = 3000, /* a gateway that has sent nothing for so long is killed */
	GATEWAY_START_MS = 10000, /* one that has just been started, and has never sent anything */
	GATEWAY_NAME_MAX = 63,   /* bytes of a host's name, and of a domain's */
	GATEWAY_SERVERS_MAX = 16, /* addresses in `bus` */
	GATEWAY_SHARED_MAX = 1024, /* pools in POOLS */
};

/* The host of users of programs on the bus that are no gateways: no host has this name. */
#define GATEWAY_BUS_HOST "bus"

enum to_gateway {
	TO_GATEWAY_CONFIG = 0,
	TO_GATEWAY_OPEN = 1,
	TO_GATEWAY_MESSAGE = 2,
	TO_GATEWAY_CLOSE = 3,
	TO_GATEWAY_TAKEN = 4,
	TO_GATEWAY_POOLS = 5,
	TO_GATEWAY_DRAIN = 6,
};

enum from_gateway {
	FROM_GATEWAY_SESSION = 1,
	FROM_GATEWAY_MESSAGE = 2,
	FROM_GATEWAY_HOSTS = 3,
	FROM_GATEWAY_STATE = 4,
	FROM_GATEWAY_LOG = 5,
};

#endif
