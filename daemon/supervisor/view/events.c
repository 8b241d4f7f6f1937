/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/supervisor/view/events.h"

#include "daemon/supervisor/base/packtext.h"
#include "proto/plural.h"

#include <stdio.h>
#include <sys/wait.h>
#include <time.h>

_Static_assert(HAPPENED_KINDS <= 64, "a wish has a bit for each kind");

static uint64_t bit(enum happened_kind kind)
{
	return UINT64_C(1) << kind;
}

uint64_t events_usual_kinds(void)
{
	uint64_t kinds = 0;

	for (enum happened_kind kind = 0; kind < HAPPENED_KINDS; kind++)
		kinds |= happened_is_coming(kind) ? 0 : bit(kind);
	return kinds;
}

bool events_add_kinds(uint64_t *kinds, struct span word)
{
	uint64_t named = 0;

	for (enum happened_kind kind = 0; word.size > 0 && kind < HAPPENED_KINDS; kind++)
		named |= happened_is_named(kind, (const char *)word.bytes, word.size) ? bit(kind) : 0;
	*kinds |= named;
	return named != 0;
}

bool events_want_comings(const struct events_wish *wish)
{
	return wish->kinds & ~events_usual_kinds();
}

bool events_show(const struct events_wish *wish, const struct rights *rights, bool all, const struct happened_event *event)
{
	if (!(wish->kinds & bit(event->kind)) || event->number <= wish->after || event->at < wish->since)
		return false;
	if (wish->pool[0] && strcmp(wish->pool, event->pool) != 0)
		return false;
	if (all || happened_is_of_cluster(event->kind))
		return true;
	return event->pool[0] && !happened_is_of_client(event->kind) && rights_may_see(rights, event->pool);
}

/* ---- packing ---- */

static void pair_time(msgpack_packer *packer, int64_t at)
{
	const time_t seconds = (time_t)(at / 1000);
	char text[40] = "";
	struct tm tm;

	if (gmtime_r(&seconds, &tm)) {
		const size_t n = strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &tm);
		snprintf(text + n, sizeof text - n, ".%03dZ", (int)(at % 1000));
	}
	pair_text(packer, "time", text);
	pack_text(packer, "at_s");
	msgpack_pack_double(packer, (double)at / 1000);
}

static void pair_status(msgpack_packer *packer, int status)
{
	if (WIFSIGNALED(status))
		pair_number(packer, "signal", (uint64_t)WTERMSIG(status));
	else
		pair_number(packer, "exit_status", (uint64_t)WEXITSTATUS(status));
}

enum { ALWAYS = 5 /* keys of each event */ };

void events_pack(const struct happened_event *event, msgpack_packer *packer)
{
	const bool has_pool = event->pool[0], has_host = event->host[0], has_words = event->words[0];

	msgpack_pack_map(packer, (size_t)(ALWAYS + has_pool + has_host + event->has_slot + (event->generation > 0) + (event->pid > 0) +
					  (event->session > 0) + event->has_status + has_words));
	pair_time(packer, event->at);
	pair_number(packer, "number", event->number);
	pair_text(packer, "kind", happened_name(event->kind));
	if (has_pool)
		pair_text(packer, "pool", event->pool);
	if (has_host)
		pair_text(packer, "host", event->host);
	if (event->has_slot)
		pair_number(packer, "slot", event->slot);
	if (event->generation > 0)
		pair_number(packer, "generation", event->generation);
	if (event->pid > 0)
		pair_number(packer, "pid", (uint64_t)event->pid);
	if (event->session > 0)
		pair_number(packer, "session", event->session);
	if (event->has_status)
		pair_status(packer, event->status);
	pair_text(packer, "text", event->text);
	if (has_words)
		pair_text(packer, "last_words", event->words);
}

void events_pack_lost(const struct happened_event *before, uint64_t lost, msgpack_packer *packer)
{
	char text[160];

	snprintf(text, sizeof text, "%llu event%s of all kinds %s overwritten before this reader came to read %s",
		 (unsigned long long)lost, plural(lost), lost == 1 ? "was" : "were", lost == 1 ? "it" : "them");
	msgpack_pack_map(packer, ALWAYS + 1);
	pair_time(packer, before->at);
	pair_number(packer, "number", before->number - 1);
	pair_text(packer, "kind", "events.lost");
	pair_number(packer, "lost", lost);
	pair_text(packer, "text", text);
}
