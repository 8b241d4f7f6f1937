/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/supervisor/admin/changes.h"

#include "daemon/supervisor/log/happened.h"
#include "daemon/supervisor/log/log.h"
#include "daemon/supervisor/base/packtext.h"
#include "proto/plural.h"

#include <stdlib.h>

enum { LINE = 1024 };

struct change {
	TAILQ_ENTRY(change) link;
	struct changes *changes;
	enum change_kind kind;
	char *reason;  /* NULL: it has not failed */
	char *scaled; /* NULL: its size is the configuration's */
	char name[];
};

struct changes {
	TAILQ_HEAD(, change) list;
	uint32_t open;        /* changes whose outcome is not known, and 1 while the caller holds it */
	struct ticket ticket; /* of who has asked; closed: nobody waits */
};

static const char *const kinds[] = {"started", "stopped", "resized", "restarted", "unchanged"}; /* as enum change_kind */

struct changes *changes_new(void)
{
	struct changes *changes = calloc(1, sizeof *changes);

	if (!changes)
		return NULL;
	TAILQ_INIT(&changes->list);
	changes->open = 1;
	return changes;
}

struct change *change_add(struct changes *changes, enum change_kind kind, const char *name)
{
	struct change *change = calloc(1, sizeof *change + strlen(name) + 1);

	if (!change) {
		log_say(LOG_ERR, "out of memory: pool %s: %s, and the reload's answer does not say so", name, kinds[kind]);
		return NULL;
	}
	change->changes = changes;
	change->kind = kind;
	strcpy(change->name, name);
	TAILQ_INSERT_TAIL(&changes->list, change, link);
	return change;
}

void change_keeps_size(struct change *change, uint32_t size, uint32_t configured)
{
	if (change &&
	    asprintf(&change->scaled, "%u worker%s, as objpool scale has set; the configuration says %u", size, plural(size),
		     configured) < 0)
		change->scaled = NULL;
}

/* ---- telling ---- */

static bool is_of(const struct change *change, enum change_kind kind)
{
	return change->kind == kind && !change->reason;
}

static uint32_t count(const struct changes *changes, enum change_kind kind)
{
	const struct change *change;
	uint32_t n = 0;

	TAILQ_FOREACH(change, &changes->list, link)
	n += is_of(change, kind);
	return n;
}

static void log_kind(const struct changes *changes, enum change_kind kind)
{
	const uint32_t all = count(changes, kind);
	const struct change *change;
	char line[LINE] = "";
	uint32_t told = 0;
	size_t n = 0;

	TAILQ_FOREACH(change, &changes->list, link)
	{
		if (!is_of(change, kind) || n + strlen(change->name) + 1 >= sizeof line)
			continue;
		n += (size_t)snprintf(line + n, sizeof line - n, " %s", change->name);
		told++;
	}
	if (all > told)
		log_say(LOG_NOTICE, "reload: %s:%s and %u more", kinds[kind], line, all - told);
	else if (all > 0)
		log_say(LOG_NOTICE, "reload: %s:%s", kinds[kind], line);
}

/* Of pools that are there, and were before. What comes and goes is told of when it does. */
static void tell_changed(const struct change *change)
{
	const struct happened_about about = {.pool_name = change->name};

	if (change->reason)
		happened(HAPPENED_POOL_CHANGED, &about, "reload: failed: %s", change->reason);
	else if (change->kind == CHANGE_RESIZED || change->kind == CHANGE_RESTARTED)
		happened(HAPPENED_POOL_CHANGED, &about, "reload: %s", kinds[change->kind]);
}

/* In the words of `objpool reload`. */
static void tell_log(const struct changes *changes)
{
	const struct change *change;

	for (enum change_kind kind = CHANGE_STARTED; kind <= CHANGE_UNCHANGED; kind++)
		log_kind(changes, kind);
	TAILQ_FOREACH(change, &changes->list, link)
	if (change->reason)
		log_say(LOG_ERR, "reload: failed: %s: %s", change->name, change->reason);
	TAILQ_FOREACH(change, &changes->list, link)
	if (change->scaled)
		log_say(LOG_NOTICE, "reload: scaled: %s: %s", change->name, change->scaled);
	TAILQ_FOREACH(change, &changes->list, link)
	tell_changed(change);
}

static void pack_kind(const struct changes *changes, enum change_kind kind, msgpack_packer *packer)
{
	const struct change *change;

	pack_text(packer, kinds[kind]);
	msgpack_pack_array(packer, count(changes, kind));
	TAILQ_FOREACH(change, &changes->list, link)
	if (is_of(change, kind))
		pack_text(packer, change->name);
}

static const char *fault_of(const struct change *change)
{
	return change->reason;
}

static const char *scaled_of(const struct change *change)
{
	return change->scaled;
}

static uint32_t count_sentences(const struct changes *changes, const char *(*sentence)(const struct change *))
{
	const struct change *change;
	uint32_t n = 0;

	TAILQ_FOREACH(change, &changes->list, link)
	n += sentence(change) != NULL;
	return n;
}

/* {pool: sentence, ...}, if there is any */
static void pack_sentences(const struct changes *changes, const char *key, const char *(*sentence)(const struct change *),
			   msgpack_packer *packer)
{
	const uint32_t n = count_sentences(changes, sentence);
	const struct change *change;

	if (n == 0)
		return;
	pack_text(packer, key);
	msgpack_pack_map(packer, n);
	TAILQ_FOREACH(change, &changes->list, link)
	{
		if (!sentence(change))
			continue;
		pack_text(packer, change->name);
		pack_text(packer, sentence(change));
	}
}

static void answer(struct changes *changes)
{
	const bool failed = count_sentences(changes, fault_of) > 0, scaled = count_sentences(changes, scaled_of) > 0;
	struct sendq *out = ticket_value(&changes->ticket);
	msgpack_packer packer;

	if (out) {
		msgpack_packer_init(&packer, out, sendq_write);
		msgpack_pack_map(&packer, sizeof kinds / sizeof *kinds + failed + scaled);
		for (enum change_kind kind = CHANGE_STARTED; kind <= CHANGE_UNCHANGED; kind++)
			pack_kind(changes, kind, &packer);
		pack_sentences(changes, "failed", fault_of, &packer);
		pack_sentences(changes, "scaled", scaled_of, &packer);
	}
	ticket_close(&changes->ticket);
}

/* ---- until all is known ---- */

void changes_release(struct changes *changes)
{
	struct change *change;

	if (--changes->open > 0)
		return;
	tell_log(changes);
	answer(changes);
	while ((change = TAILQ_FIRST(&changes->list))) {
		TAILQ_REMOVE(&changes->list, change, link);
		free(change->reason);
		free(change->scaled);
		free(change);
	}
	free(changes);
}

void change_open(struct change *change)
{
	if (change)
		change->changes->open++;
}

void change_close(struct change *change, const char *reason)
{
	if (!change)
		return;
	if (reason && !(change->reason = strdup(reason)))
		log_say(LOG_ERR, "out of memory: the reload's answer says %s, but: %s: %s", kinds[change->kind], change->name,
			reason);
	changes_release(change->changes);
}

void changes_answer_to(struct changes *changes, struct client *client, const struct rpc *rpc)
{
	if (ticket_open(&changes->ticket, client, rpc, ticket_on_abandoned) < 0)
		log_say(LOG_ERR, "out of memory: the configuration is reloaded, but the request can't be answered");
	changes_release(changes);
}
