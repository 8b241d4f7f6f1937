/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/supervisor/view/config_text.h"

#include "daemon/core/records/pool.h"
#include "daemon/supervisor/connections/listener.h"
#include "daemon/supervisor/workers/template.h"

#include <stdio.h>
#include <stdlib.h>

/* ---- addresses: those that are bound, also of the command line and of systemd ---- */

struct bound {
	struct config_address *addresses;
	char (*texts)[ADDRESS_TEXT];
	uint32_t count;
};

static int find_bound(const struct daemon *daemon, struct bound *bound)
{
	const struct listener *listener;
	uint32_t n = 0;

	TAILQ_FOREACH(listener, &daemon->listeners, link)
		n++;
	*bound = (struct bound){.addresses = calloc(n + 1, sizeof *bound->addresses),
				.texts = calloc(n + 1, sizeof *bound->texts)};
	if (!bound->addresses || !bound->texts)
		return -1;
	TAILQ_FOREACH(listener, &daemon->listeners, link) {
		address_format(&listener->bound, bound->texts[bound->count], ADDRESS_TEXT);
		bound->addresses[bound->count].text = bound->texts[bound->count];
		bound->count++;
	}
	return 0;
}

static int print_daemon(const struct daemon *daemon, FILE *to)
{
	struct config shown = daemon->config;
	struct bound bound;
	const int r = find_bound(daemon, &bound);

	shown.listen = bound.addresses;
	shown.listen_count = bound.count;
	if (r == 0)
		config_print_open(&shown, to);
	free(bound.addresses);
	free(bound.texts);
	return r;
}

/* ---- pools ---- */

static void print_pool(const struct pool *pool, FILE *to)
{
	const struct template *template = template_of(pool);
	struct config_pool shown = template->before ? template->before->section : template->section;

	if (template->scaled) {
		shown.workers = template->scaled;
		shown.workers_cpus = false;
		shown.workers_min = pool->settings.workers_min;
		shown.workers_max = pool->settings.workers_max;
	}
	config_print_pool(&shown, to);
	if (template->created_by_client)
		fprintf(to, "; made by a client%s\n", template->creator ? ", and goes with it" : "");
	if (pool->paused)
		fputs("; paused\n", to);
}

char *config_text(const struct daemon *daemon, size_t *size)
{
	const struct pool *pool;
	char *text = NULL;
	FILE *to = open_memstream(&text, size);

	if (!to)
		return NULL;
	bool failed = print_daemon(daemon, to) < 0;
	TAILQ_FOREACH(pool, &daemon->core.pools, link)
		if (!pool->leaving)
			print_pool(pool, to);
	failed = ferror(to) || failed;
	if (fclose(to) == 0 && !failed)
		return text;
	free(text);
	return NULL;
}
