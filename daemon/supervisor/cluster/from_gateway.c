/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/supervisor/cluster/from_gateway.h"

#include "daemon/supervisor/cluster/abroad.h"
#include "daemon/supervisor/cluster/host_events.h"
#include "daemon/supervisor/cluster/offers.h"
#include "daemon/supervisor/connections/guests.h"
#include "daemon/supervisor/connections/session_life.h"
#include "daemon/supervisor/log/log.h"
#include "daemon/supervisor/transport/socket.h"
#include "proto/gateway_link.h"

#include <errno.h>
#include <event2/util.h>
#include <stdlib.h>
#include <unistd.h>

#define LINES "lines of the gateway were left out"

/* ---- SESSION ---- */

/* Reads `host, user`. NULL: it is no such message (errno is EBADMSG), or there is no memory. */
static struct behalf *read_behalf(struct reader *reader)
{
	struct span host = {0}, user = {0};
	uint64_t local = 0;

	const bool is_local = read_nil(reader) == 0;
	const int r = is_local ? read_uint(reader, &local) : read_text(reader, &host) < 0 ? -1 : read_text(reader, &user);
	errno = EBADMSG;
	if (r < 0 || (!is_local && (host.size == 0 || host.size > GATEWAY_NAME_MAX || user.size == 0)))
		return NULL;
	errno = ENOMEM;
	return behalf_new(host, user, local);
}

/* The gateway keeps to max_sessions, and opens one more for each client here that calls this host as one of several. It may have
 * half of the descriptors. If there is no room, it sees that the session is closed. */
static bool has_room(const struct daemon *daemon)
{
	const struct config *config = &daemon->config;
	const struct account *all = &daemon->core.memory;

	return daemon->behalf_count < config->cluster.max_sessions + config->max_connections && account_has_room_for_file(all) &&
	       (all->files_max == 0 || daemon->behalf_count < all->files_max / 2);
}

static void say_refused(struct cluster *cluster, uint64_t number, const char *why)
{
	if (log_quota_take(&cluster->lines, cluster->daemon->core.now, LINES))
		log_say(LOG_WARNING, "the gateway's session %llu is refused: %s", (unsigned long long)number, why);
}

static int on_session(struct cluster *cluster, struct reader *reader)
{
	struct daemon *daemon = cluster->daemon;
	const int fd = arrivals_take(&cluster->intake.arrivals);
	uint64_t number;

	if (fd < 0)
		return -EBADMSG;
	errno = EBADMSG;
	struct behalf *behalf = read_uint(reader, &number) == 0 ? read_behalf(reader) : NULL;
	const bool bad = !behalf && errno == EBADMSG;
	if (!behalf || !has_room(daemon) || evutil_make_socket_nonblocking(fd) < 0) {
		free(behalf);
		(void)close(fd);
		if (!bad)
			say_refused(cluster, number, "there are as many as there may be");
		return bad ? -EBADMSG : 0;
	}
	const struct abroad *abroad = behalf->host[0] ? NULL : idmap_get(&cluster->by_number, behalf->local);
	struct transport transport = transport_of(&socket_transport_unix, fd);
	struct session *session = session_new_on_behalf(daemon, &transport, behalf);
	if (session)
		session->client.acts_for = abroad ? abroad->client->id : 0;
	else
		say_refused(cluster, number, "out of memory");
	return 0;
}

/* ---- the others ---- */

static int on_client_message(struct cluster *cluster, struct reader *reader, struct block *block)
{
	struct span message;
	uint64_t number;

	if (read_uint(reader, &number) < 0 || read_value(reader, &message) < 0)
		return -EBADMSG;
	return abroad_on_message(cluster, number, message, block);
}

static int on_hosts(struct cluster *cluster, struct reader *reader)
{
	struct hosts now = {0};
	struct span list, bus;

	if (read_value(reader, &list) < 0 || read_value(reader, &bus) < 0)
		return -EBADMSG;
	const int r = hosts_read(&now, list, bus);
	if (r < 0)
		return r == -EBADMSG ? -EBADMSG : 0;
	for (uint32_t i = 0; i < now.count; i++)
		now.hosts[i].counts[HOST_SERVED] = guests_calls(cluster->daemon, now.hosts[i].name);
	host_events_tell(&cluster->hosts, &now);
	hosts_free(&cluster->hosts);
	cluster->hosts = now;
	offers_look_at_hosts(cluster);
	return 0;
}

static void copy_line(char *to, size_t size, struct span text)
{
	snprintf(to, size, "%.*s", SPAN_TEXT(text, size - 1));
	error_make_utf8(to, strlen(to));
}

static int on_state(struct cluster *cluster, struct reader *reader)
{
	struct span state, text;

	if (read_text(reader, &state) < 0 || read_text(reader, &text) < 0)
		return -EBADMSG;
	const bool changed = !span_is(state, cluster->bus_state) || !span_is(text, cluster->bus_text);
	if (!span_is(state, cluster->bus_state))
		host_events_tell_bus(cluster->bus_state, state, text);
	copy_line(cluster->bus_state, sizeof cluster->bus_state, state);
	copy_line(cluster->bus_text, sizeof cluster->bus_text, text);
	offers_look_at_hosts(cluster);
	if (changed)
		log_say(span_is(state, "connected") ? LOG_INFO : LOG_WARNING, "cluster: %s: %s", cluster->bus_state,
			cluster->bus_text);
	return 0;
}

static int level_of(uint64_t level)
{
	return level <= LOG_ERR ? LOG_ERR : level >= LOG_DEBUG ? LOG_DEBUG : (int)level;
}

static int on_log(struct cluster *cluster, struct reader *reader)
{
	struct span text;
	uint64_t level;

	if (read_uint(reader, &level) < 0 || read_text(reader, &text) < 0)
		return -EBADMSG;
	if (log_quota_take(&cluster->lines, cluster->daemon->core.now, LINES))
		log_say(level_of(level), "gateway: %.*s", SPAN_TEXT(text, 1000));
	return 0;
}

int from_gateway_on_message(struct cluster *cluster, struct span message, struct block *block)
{
	struct reader reader = reader_of(message);
	uint32_t count;
	uint64_t type;

	if (read_array(&reader, &count) < 0 || read_uint(&reader, &type) < 0)
		return -EBADMSG;
	if (type == FROM_GATEWAY_SESSION)
		return count < 4 ? -EBADMSG : on_session(cluster, &reader);
	if (type == FROM_GATEWAY_MESSAGE)
		return count < 3 ? -EBADMSG : on_client_message(cluster, &reader, block);
	if (type == FROM_GATEWAY_HOSTS)
		return count < 3 ? -EBADMSG : on_hosts(cluster, &reader);
	if (type == FROM_GATEWAY_STATE)
		return count < 3 ? -EBADMSG : on_state(cluster, &reader);
	return type == FROM_GATEWAY_LOG && count >= 3 ? on_log(cluster, &reader) : -EBADMSG;
}
