/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/supervisor/http/accept.h"

#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <strings.h>

/* A piece of the header; not terminated. */
struct part {
	const char *text;
	size_t size;
};

/* How specific a media range is. */
enum depth { DEPTH_NONE, DEPTH_ANY, DEPTH_TYPE, DEPTH_NAMED };

/* What the header says of one format. */
struct choice {
	const char *type, *range;        /* "text/plain", and the range that covers all of "text" */
	const char *const *versions;     /* NULL at the end */
	enum depth depth;                /* of the range that counts */
	unsigned quality;                /* in thousandths */
	unsigned position;               /* of that range in the header */
};

static const char *const classic_versions[] = {"0.0.4", NULL};
static const char *const openmetrics_versions[] = {"1.0.0", "0.0.1", NULL};

/* ---- pieces ---- */

static bool is_blank(char c)
{
	return c == ' ' || c == '\t';
}

static struct part trim(struct part part)
{
	while (part.size > 0 && is_blank(part.text[0])) {
		part.text++;
		part.size--;
	}
	while (part.size > 0 && is_blank(part.text[part.size - 1]))
		part.size--;
	return part;
}

/* Takes the piece before the next `separator` off the front. A separator within quotes is none. */
static struct part next_part(struct part *rest, char separator)
{
	bool quoted = false;
	size_t n = 0;

	for (; n < rest->size && (quoted || rest->text[n] != separator); n++) {
		if (rest->text[n] == '"')
			quoted = !quoted;
		else if (quoted && rest->text[n] == '\\' && n + 1 < rest->size)
			n++;
	}
	const struct part part = {.text = rest->text, .size = n};
	const size_t used = n < rest->size ? n + 1 : n;
	rest->text += used;
	rest->size -= used;
	return trim(part);
}

static struct part unquote(struct part part)
{
	if (part.size >= 2 && part.text[0] == '"' && part.text[part.size - 1] == '"')
		return (struct part){.text = part.text + 1, .size = part.size - 2};
	return part;
}

static bool part_is(struct part part, const char *text)
{
	return part.size == strlen(text) && strncasecmp(part.text, text, part.size) == 0;
}

/* "0.25" as 250. What is no quality counts as 1000, as if it were not there. */
static unsigned read_quality(struct part text)
{
	unsigned quality = 0, unit = 100;

	if (text.size == 0 || text.size > 5 || (text.text[0] != '0' && text.text[0] != '1') ||
	    (text.size > 1 && text.text[1] != '.'))
		return 1000;
	for (size_t i = 2; i < text.size; i++, unit /= 10) {
		if (text.text[i] < '0' || text.text[i] > '9')
			return 1000;
		quality += (unsigned)(text.text[i] - '0') * unit;
	}
	return text.text[0] == '1' ? 1000 : quality;
}

/* ---- ranges ---- */

struct range {
	struct part type, version;
	unsigned quality, position;
};

static struct range read_range(struct part text, unsigned position)
{
	struct range range = {.type = next_part(&text, ';'), .quality = 1000, .position = position};

	while (text.size > 0) {
		struct part value = next_part(&text, ';');
		const struct part name = next_part(&value, '=');
		value = unquote(trim(value));
		if (part_is(name, "q"))
			range.quality = read_quality(value);
		else if (part_is(name, "version"))
			range.version = value;
	}
	return range;
}

static bool has_version(const struct choice *choice, struct part version)
{
	for (size_t i = 0; choice->versions[i]; i++)
		if (part_is(version, choice->versions[i]))
			return true;
	return version.size == 0;
}

static enum depth depth_of(const struct choice *choice, const struct range *range)
{
	if (part_is(range->type, choice->type))
		return has_version(choice, range->version) ? DEPTH_NAMED : DEPTH_NONE;
	if (part_is(range->type, choice->range))
		return DEPTH_TYPE;
	return part_is(range->type, "*/*") ? DEPTH_ANY : DEPTH_NONE;
}

static void weigh(struct choice *choice, const struct range *range)
{
	const enum depth depth = depth_of(choice, range);

	if (depth == DEPTH_NONE || depth < choice->depth || (depth == choice->depth && range->quality <= choice->quality))
		return;
	choice->depth = depth;
	choice->quality = range->quality;
	choice->position = range->position;
}

bool accept_prefers_openmetrics(const char *header)
{
	struct choice classic = {.type = "text/plain", .range = "text/*", .versions = classic_versions};
	struct choice open = {.type = "application/openmetrics-text", .range = "application/*", .versions = openmetrics_versions};
	struct part rest = {.text = header ? header : "", .size = header ? strlen(header) : 0};

	for (unsigned position = 0; rest.size > 0; position++) {
		const struct range range = read_range(next_part(&rest, ','), position);
		weigh(&classic, &range);
		weigh(&open, &range);
	}
	if (open.quality != classic.quality || open.quality == 0)
		return open.quality > classic.quality;
	return open.depth == DEPTH_NAMED && (classic.depth != DEPTH_NAMED || open.position < classic.position);
}

bool accept_names(const char *header, const char *type)
{
	struct part rest = {.text = header ? header : "", .size = header ? strlen(header) : 0};

	while (rest.size > 0) {
		const struct range range = read_range(next_part(&rest, ','), 0);
		if (part_is(range.type, type) && range.quality > 0)
			return true;
	}
	return false;
}
