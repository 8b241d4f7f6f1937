/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/meant.h"
#include "cli/fields.h"
#include "cli/shown.h"
#include "proto/similar.h"

#include <stdlib.h>
#include <string.h>

enum { MEANT_MS = 1000 };

struct nearest {
	struct similar similar;
	char *best; /* similar's, which lives here */
};

static void offer(void *context, struct objpool_bytes map)
{
	struct nearest *nearest = context;
	struct objpool_reader reader = objpool_reader(field(map, "name"));
	const char *text;
	size_t size;

	if (objpool_read_str(&reader, &text, &size) < 0)
		return;
	char *name = strndup(text, size);
	if (!name)
		return;
	similar_offer(&nearest->similar, name);
	if (nearest->similar.best == name) {
		free(nearest->best);
		nearest->best = name;
	} else {
		free(name);
	}
}

/* Has `offer` called for each name that the answer has below `key`; NULL: for each of the answer itself. */
static void offer_all(struct nearest *nearest, struct objpool_client *client, const char *method, struct objpool_bytes args,
		      const char *key)
{
	const struct objpool_call_options options = {.size = sizeof options, .timeout_ms = MEANT_MS};
	struct objpool_result result = {{NULL, 0}, NULL, NULL};

	if (objpool_call(client, method, args, &options, &result) == 0)
		field_each(key ? field(result.value, key) : result.value, offer, nearest);
	objpool_result_free(&result);
}

static struct nearest nearest_to(const char *word, size_t size)
{
	return (struct nearest){similar_to(word, size), NULL};
}

/* `before` and `behind` are what stands around the name in TARGET.METHOD. */
static void tell(const struct nearest *nearest, const char *before, size_t size, const char *behind)
{
	if (!nearest->best)
		return;
	fputs("did you mean ", stderr);
	shown_text(stderr, before, size);
	shown_text(stderr, nearest->best, strlen(nearest->best));
	shown_text(stderr, behind, strlen(behind));
	fputs("?\n", stderr);
}

void meant_tell(struct objpool_client *client, const char *method, const struct objpool_error *error)
{
	const size_t pool = strcspn(method, ".:@");
	const char *dot = strrchr(method, '.');
	struct objpool_packer args = OBJPOOL_PACKER_INIT;
	struct nearest nearest;

	if (!dot || method[pool] == '@')
		return;
	if (strcmp(error->code, "NO_SUCH_POOL") == 0) {
		objpool_pack_array(&args, 0);
		nearest = nearest_to(method, pool);
		offer_all(&nearest, client, "objpool.pools", objpool_packed(&args), NULL);
		tell(&nearest, "", 0, method + pool);
		free(nearest.best);
	} else if (strcmp(error->code, "NO_SUCH_METHOD") == 0) {
		objpool_pack_array(&args, 1);
		objpool_pack_str(&args, method, pool);
		nearest = nearest_to(dot + 1, strlen(dot + 1));
		offer_all(&nearest, client, "objpool.describe", objpool_packed(&args), "methods");
		tell(&nearest, method, (size_t)(dot + 1 - method), "");
		free(nearest.best);
	}
	objpool_packer_free(&args);
}
