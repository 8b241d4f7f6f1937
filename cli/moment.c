/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/moment.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* The seconds of a unit; 0: there is none of that letter. */
static double seconds_of(char unit)
{
	return unit == 's' ? 1 : unit == 'm' ? 60 : unit == 'h' ? 3600 : unit == 'd' ? 86400 : 0;
}

/* "1h30m" */
static int parse_duration(const char *text, double *seconds)
{
	char *end;

	*seconds = 0;
	do {
		if (!isdigit((unsigned char)*text))
			return -1;
		const double count = strtod(text, &end);
		const double unit = seconds_of(*end);
		if (unit == 0)
			return -1;
		*seconds += count * unit;
		text = end + 1;
	} while (*text);
	return 0;
}

static int parse_number(const char *text, double *seconds)
{
	char *end;

	if (!isdigit((unsigned char)*text) || strspn(text, "0123456789.") != strlen(text))
		return -1;
	*seconds = strtod(text, &end);
	return *end ? -1 : 0;
}

/* ".25"; nothing is 0. */
static const char *parse_fraction(const char *text, double *fraction)
{
	char *end;

	*fraction = 0;
	if (*text != '.' || !isdigit((unsigned char)text[1]))
		return text;
	*fraction = strtod(text, &end);
	return end;
}

/* "Z", "+01:00", or nothing: the machine's zone. */
static int end_date(struct tm *tm, const char *zone, double fraction, double *seconds)
{
	struct tm offset = {0};

	if (*zone == '\0') {
		tm->tm_isdst = -1;
		*seconds = (double)mktime(tm) + fraction;
		return *seconds < 0 ? -1 : 0;
	}
	const char *end = strptime(zone, "%z", &offset);
	if (!end || *end)
		return -1;
	*seconds = (double)(timegm(tm) - offset.tm_gmtoff) + fraction;
	return 0;
}

static int parse_date(const char *text, double *seconds)
{
	static const char *const forms[] = {"%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M",
					    "%Y-%m-%d"};
	double fraction;

	for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
		struct tm tm = {0};
		const char *rest = strptime(text, forms[i], &tm);
		if (!rest)
			continue;
		rest = parse_fraction(rest, &fraction);
		if (end_date(&tm, rest, fraction, seconds) == 0)
			return 0;
	}
	return -1;
}

int moment_parse(const char *text, double now, double *seconds)
{
	double ago;

	if (parse_duration(text, &ago) == 0) {
		*seconds = now > ago ? now - ago : 0;
		return 0;
	}
	return parse_number(text, seconds) == 0 ? 0 : parse_date(text, seconds);
}
