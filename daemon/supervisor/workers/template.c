/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/supervisor/workers/template.h"

#include "daemon/core/records/pool.h"
#include "daemon/supervisor/log/happened.h"

#include <errno.h>

int template_describe_to_pool(const struct template *template)
{
	struct reader reader = reader_of(template->described), look;
	struct span key, value, methods = {0};
	bool open = false;
	uint32_t n;

	if (read_map(&reader, &n) < 0)
		return -EBADMSG;
	for (; n > 0; n--) {
		if (read_text(&reader, &key) < 0)
			return -EBADMSG;
		look = reader;
		if (read_value(&reader, &value) < 0)
			return -EBADMSG;
		if (span_is(key, "methods"))
			methods = value;
		if (span_is(key, "open") && read_bool(&look, &open) < 0)
			return -EBADMSG;
		if (span_is(key, "leased") && read_bool(&look, &template->pool->has_leased) < 0)
			return -EBADMSG;
		if (span_is(key, "snapshot") && read_bool(&look, &template->pool->has_snapshot) < 0)
			return -EBADMSG;
		if (span_is(key, "session_end") && read_bool(&look, &template->pool->tells_sessions) < 0)
			return -EBADMSG;
	}
	return pool_set_methods(template->pool, methods, open);
}

static void on_loading(struct template *template)
{
	template->generation = ++template->loads.started;
	template->said_before = template->said.last;
	happened(HAPPENED_TEMPLATE_STARTED, &(struct happened_about){.pool = template->pool, .pid = template->pid},
		 "template %llu loads %s of %s", (unsigned long long)template->generation, template->section.class,
		 template->section.plugin);
}

static void on_ready(struct template *template, uint64_t now)
{
	template->loads.took = now - template->since;
	happened(HAPPENED_TEMPLATE_READY, &(struct happened_about){.pool = template->pool, .pid = template->pid},
		 "template %llu has loaded its class in %.3f s", (unsigned long long)template->generation,
		 (double)template->loads.took / (double)SECOND);
}

void template_set_state(struct template *template, enum template_state state)
{
	const uint64_t now = template->daemon->core.now;

	if (template->state == state)
		return;
	if (state == TEMPLATE_LOADING)
		on_loading(template);
	if (state == TEMPLATE_READY)
		on_ready(template, now);
	if (state == TEMPLATE_NONE && template->state == TEMPLATE_LOADING)
		template->loads.failed++;
	template->since = now;
	template->state = state;
}

struct procfs template_usage(struct template *template)
{
	return procfs_recall(&template->procfs, template->pid, template->daemon->core.now);
}

int template_keep_description(struct template *template, struct span description)
{
	template->described = (struct span){0};
	template->description = block_unref(template->description);
	template->description = block_new(NULL, description.size);
	if (!template->description)
		return -ENOMEM;
	memcpy(template->description->bytes, description.bytes, description.size);
	template->described = (struct span){.bytes = template->description->bytes, .size = description.size};
	return template_describe_to_pool(template);
}

void template_on_start_worked(struct template *template, uint64_t life)
{
	if (life != template->life)
		return;
	template->failed_starts = 0;
	template->tolerated_starts = TEMPLATE_STARTS_TOLERATED;
}

void template_expect_word(struct template *template)
{
	struct core *core = &template->daemon->core;

	if (!timer_is_set(&template->patience))
		timer_set(&core->timers, &template->patience, core->now + TEMPLATE_PATIENCE);
}
