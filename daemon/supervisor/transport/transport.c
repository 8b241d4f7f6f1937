/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/supervisor/transport/transport.h"

#include <errno.h>
#include <event2/event.h>

/* libevent's. */
static void on_event(evutil_socket_t fd, short what, void *data)
{
	struct transport *transport = data;
	const enum transport_event event = what & EV_READ ? TRANSPORT_READABLE : TRANSPORT_WRITABLE;
	const bool reads = transport->reading && transport->read_awaits == event;
	const bool sends = transport->sending && transport->send_awaits == event;

	(void)fd;
	if (reads)
		transport->on_readable(transport);
	if (sends)
		transport->on_sendable(transport);
}

void transport_open(struct transport *transport, struct event_base *base, void (*on_readable)(struct transport *transport),
		    void (*on_sendable)(struct transport *transport))
{
	transport->on_readable = on_readable;
	transport->on_sendable = on_sendable;
	(void)event_assign(&transport->readable, base, transport->fd, EV_READ | EV_PERSIST, on_event, transport);
	(void)event_assign(&transport->writable, base, transport->fd, EV_WRITE | EV_PERSIST, on_event, transport);
}

static int watch(struct transport *transport, enum transport_event event, bool on)
{
	struct event *of = event == TRANSPORT_READABLE ? &transport->readable : &transport->writable;

	if ((on ? event_add(of, NULL) : event_del(of)) < 0)
		return -ENOMEM;
	transport->watched ^= event;
	return 0;
}

/* Sets the events that what is wanted awaits, and no others. */
static int settle(struct transport *transport)
{
	const unsigned wanted = (transport->reading ? transport->read_awaits : 0U) |
				(transport->sending ? transport->send_awaits : 0U);
	const unsigned changed = wanted ^ transport->watched;
	int r = 0;

	if (changed & TRANSPORT_READABLE)
		r = watch(transport, TRANSPORT_READABLE, wanted & TRANSPORT_READABLE);
	if (r == 0 && (changed & TRANSPORT_WRITABLE))
		r = watch(transport, TRANSPORT_WRITABLE, wanted & TRANSPORT_WRITABLE);
	return r;
}

int transport_want_read(struct transport *transport, bool wanted)
{
	transport->reading = wanted;
	const int r = settle(transport);
	if (r < 0)
		transport->reading = false;
	return r;
}

int transport_want_send(struct transport *transport, bool wanted)
{
	transport->sending = wanted;
	const int r = settle(transport);
	if (r < 0)
		transport->sending = false;
	return r;
}

void transport_close(struct transport *transport, struct account *account)
{
	if (transport->fd < 0)
		return;
	(void)transport_want_read(transport, false);
	(void)transport_want_send(transport, false);
	transport->ops->close(transport, account);
	transport->fd = -1;
}
