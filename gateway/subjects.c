/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/subjects.h"

#include "gateway/service/services.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

enum {
	SUBJECT = 256, /* bytes in a subject, and a NUL: two names of 64 and what stands around them */
	REASON = 256,
	REFUSED_SECONDS = 10, /* that the bus lets nothing be sent is logged once in so many: it says so of each beat */
};

/* Contexts of the two subscriptions; others are of gateway/service. */
static char beats, packets;

/* ---- what comes ---- */

/* The last token of a subject. */
static struct span sender(struct span subject)
{
	const uint8_t *dot = memrchr(subject.bytes, '.', subject.size);
	const size_t before = dot ? (size_t)(dot + 1 - subject.bytes) : 0;

	return (struct span){.bytes = subject.bytes + before, .size = subject.size - before};
}

static void on_message(void *owner, const struct bus_message *message)
{
	struct program *program = owner;

	program_tick(program);
	if (message->context == &beats)
		gateway_on_beat(program->gateway, sender(message->subject), message->bytes);
	else if (message->context != &packets)
		services_on_message(program->services, message);
	else
		gateway_on_packet(program->gateway, sender(message->subject), message->bytes);
}

static void on_up(void *owner, const char *server)
{
	struct program *program = owner;

	program_tick(program);
	gateway_on_bus_up(program->gateway, program->engine->max_message(program->bus), server);
}

static void on_down(void *owner, const char *reason)
{
	struct program *program = owner;

	const struct settings *settings = &program->settings;
	char text[REASON + SUBJECT];

	program_tick(program);
	snprintf(text, sizeof text, "%s%s: %s", settings->server_count > 0 ? settings->servers[0] : "the bus",
		 settings->server_count > 1 ? " and the others" : "", reason);
	gateway_on_bus_down(program->gateway, text);
}

/* Connections are named "objpool DOMAIN HOST": see open_bus. */
static void on_left(void *owner, const char *name)
{
	struct program *program = owner;
	const struct span whole = {.bytes = (const uint8_t *)name, .size = strlen(name)};
	char before[SUBJECT];

	const size_t size = (size_t)snprintf(before, sizeof before, "objpool %s ", program->settings.domain);
	program_tick(program);
	if (whole.size > size && memcmp(name, before, size) == 0)
		gateway_on_disconnect(program->gateway, (struct span){.bytes = whole.bytes + size, .size = whole.size - size});
}

/* Is it time to log again that this host may not publish? */
static bool is_time(struct program *program)
{
	const uint64_t now = program->gateway->now;

	if (program->refused_at && now - program->refused_at < REFUSED_SECONDS * SECOND)
		return false;
	program->refused_at = now;
	return true;
}

static void on_said(void *owner, const char *text)
{
	struct program *program = owner;

	program_tick(program);
	if (strstr(text, "Publish to \"objpool.") && strstr(text, ".beat."))
		gateway_on_beat_refused(program->gateway);
	if (strstr(text, "\"$SYS."))
		gateway_log(program->gateway, LOG_INFO, "the bus does not tell of hosts that disconnect: their silence does");
	else if (!strstr(text, "Violation for Publish"))
		gateway_log(program->gateway, LOG_WARNING, "the bus says: %s", text);
	else if (is_time(program))
		gateway_log(program->gateway, LOG_WARNING, "the bus says: %s (objpool-gateway(8) tells what a host needs)", text);
}

static const struct bus_events events = {.message = on_message, .up = on_up, .down = on_down, .left = on_left, .said = on_said};

/* ---- what goes ---- */

static int publish(struct program *program, const char *subject, const void *bytes, size_t size)
{
	if (!program->bus)
		return -ENOTCONN;
	return program->engine->publish(program->bus, subject, NULL, (struct span){.bytes = bytes, .size = size});
}

/* snprintf would take a tenth of the instructions for a small call. A subject that is too long is cut off. */
static void join(char subject[SUBJECT], unsigned count, const char *const words[])
{
	size_t at = 0;

	for (unsigned i = 0; i < count; i++) {
		const size_t size = strlen(words[i]), room = SUBJECT - 1 - at, n = size < room ? size : room;
		memcpy(subject + at, words[i], n);
		at += n;
	}
	subject[at] = '\0';
}

int subjects_publish(struct gateway *gateway, const char *host, const void *bytes, size_t size)
{
	struct program *program = program_of(gateway);
	char subject[SUBJECT];

	join(subject, 6, (const char *const[]){"objpool.", program->settings.domain, ".to.", host, ".", program->settings.name});
	return publish(program, subject, bytes, size);
}

int subjects_publish_beat(struct gateway *gateway, const void *bytes, size_t size)
{
	struct program *program = program_of(gateway);
	char subject[SUBJECT];

	snprintf(subject, sizeof subject, "objpool.%s.beat.%s", program->settings.domain, program->settings.name);
	return publish(program, subject, bytes, size);
}

bool subjects_have_room(struct gateway *gateway)
{
	const struct program *program = program_of(gateway);

	return !program->bus || program->engine->has_room(program->bus);
}

/* ---- the bus ---- */

static int subscribe(struct program *program)
{
	char pattern[SUBJECT];

	snprintf(pattern, sizeof pattern, "objpool.%s.beat.*", program->settings.domain);
	const int r = program->engine->subscribe(program->bus, pattern, NULL, &beats);
	if (r < 0)
		return r;
	snprintf(pattern, sizeof pattern, "objpool.%s.to.%s.*", program->settings.domain, program->settings.name);
	return program->engine->subscribe(program->bus, pattern, NULL, &packets);
}

static int open_bus(struct program *program)
{
	const struct settings *settings = &program->settings;
	char name[SUBJECT], inbox[SUBJECT], reason[REASON];

	snprintf(name, sizeof name, "objpool %s %s", settings->domain, settings->name);
	snprintf(inbox, sizeof inbox, "_INBOX_objpool_%s", settings->name);
	const struct bus_options options = {
		.servers = (const char *const *)settings->servers,
		.server_count = settings->server_count,
		.name = name,
		.inbox = inbox,
		.ca = settings->ca,
		.cert = settings->cert,
		.key = settings->key,
		.creds = settings->creds,
	};
	program->bus = program->engine->open(&options, program->base, &events, program, reason, sizeof reason);
	if (!program->bus) {
		gateway_on_bus_down(program->gateway, reason); /* the next CONFIG tries again */
		return 0;
	}
	services_set_bus(program->services, program->bus, settings->domain);
	return subscribe(program);
}

int subjects_configure(struct program *program, struct span message)
{
	struct settings settings;
	const int r = settings_read(&settings, message);

	if (r < 0)
		return r;
	if (program->bus && settings_equal(&settings, &program->settings)) {
		settings_free(&settings);
		return 0;
	}
	if (program->bus && strcmp(settings.name, program->settings.name) != 0) { /* the process ends, and another one comes */
		gateway_leave(program->gateway);
		program->engine->flush(program->bus);
	}
	if (program->bus)
		gateway_on_bus_down(program->gateway, "its configuration has changed");
	subjects_close(program);
	program->settings = settings;
	return open_bus(program);
}

void subjects_close(struct program *program)
{
	if (program->services)
		services_set_bus(program->services, NULL, NULL);
	program->outlived |= !program->engine->close(program->bus);
	program->bus = NULL;
	settings_free(&program->settings);
}

void subjects_count(struct program *program)
{
	struct bus_counts counts;

	if (!program->bus)
		return;
	program->engine->counts(program->bus, &counts);
	program->gateway->bus = (struct gateway_bus_counts){.reconnects = counts.reconnects,
							    .slow = counts.dropped,
							    .in_bytes = counts.in_bytes,
							    .out_bytes = counts.out_bytes,
							    .in_messages = counts.in,
							    .out_messages = counts.out};
}
