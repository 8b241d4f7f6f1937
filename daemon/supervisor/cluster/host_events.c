/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/supervisor/cluster/host_events.h"

#include "daemon/supervisor/log/happened.h"

#include <string.h>

static void tell(const struct host *host, const struct host *before)
{
	const struct happened_about about = {.host = host->name};

	switch (host->state) {
	case HOST_SELF:
	case HOST_STATES:
		break;
	case HOST_READY:
		happened(HAPPENED_HOST_READY, &about, "host %s %s", host->name,
			 !before                                    ? "is ready"
			 : before->incarnation == host->incarnation ? "is heard again"
								    : "has started again");
		break;
	case HOST_SILENT:
		happened(HAPPENED_HOST_SILENT, &about, "host %s is not heard: it gets no new calls", host->name);
		break;
	case HOST_GONE:
		happened(HAPPENED_HOST_GONE, &about, "host %s is gone", host->name);
		break;
	}
}

static bool is_as_before(const struct host *host, const struct host *before)
{
	return before && before->state == host->state && before->incarnation == host->incarnation;
}

void host_events_tell(const struct hosts *before, const struct hosts *now)
{
	uint32_t at = 0;

	for (uint32_t i = 0; i < now->count; i++) {
		const struct host *host = &now->hosts[i], *was = NULL;
		while (at < before->count && strcmp(before->hosts[at].name, host->name) < 0)
			at++;
		if (at < before->count && strcmp(before->hosts[at].name, host->name) == 0)
			was = &before->hosts[at];
		if (!is_as_before(host, was))
			tell(host, was);
	}
}

void host_events_tell_bus(const char *before, struct span now, struct span text)
{
	if (span_is(now, "connected"))
		happened(HAPPENED_BUS_CONNECTED, NULL, "the bus is connected: %.*s", SPAN_TEXT(text, 256));
	else if (span_is(now, "refused"))
		happened(HAPPENED_BUS_REFUSED, NULL, "%.*s", SPAN_TEXT(text, 256));
	else if (strcmp(before, "connected") == 0)
		happened(HAPPENED_BUS_LOST, NULL, "the connection to the bus is lost: %.*s", SPAN_TEXT(text, 256));
}
