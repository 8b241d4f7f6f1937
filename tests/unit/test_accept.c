/* SPDX-License-Identifier: Apache-2.0 */
/* accept: which format of /metrics goes to whom. */
#include "daemon/supervisor/http/accept.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#define OPEN "application/openmetrics-text"

static const struct {
	const char *header;
	bool openmetrics;
} table[] = {
	/* the text format is the default */
	{NULL, false},
	{"", false},
	{"*/*", false},
	{"text/plain", false},
	{"text/plain; version=0.0.4", false},
	{"text/*", false},
	{"application/json", false},
	{",;=,q=1;;", false},
	{"application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited", false},
	/* what scrapers send */
	{OPEN ";version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1", true},
	{OPEN ";version=1.0.0;escaping=allow-utf-8;q=0.5," OPEN ";version=0.0.1;q=0.4,"
	 "text/plain;version=1.0.0;escaping=allow-utf-8;q=0.3,text/plain;version=0.0.4;q=0.2,*/*;q=0.1", true},
	{OPEN "; version=0.0.1; q=1, text/plain; version=0.0.4; q=0.5, */*; q=0.1", true},
	{"text/plain;version=0.0.4;q=1,*/*;q=0.1", false},
	/* qualities */
	{OPEN ";q=0.3, text/plain;q=0.7", false},
	{OPEN ";q=0.7, text/plain;q=0.3", true},
	{"text/plain;q=0.3," OPEN ";q=0.301", true},
	{OPEN ";q=0, text/plain;q=0.1", false},
	{OPEN ";q=0", false},
	{"text/plain;q=0, " OPEN ";q=0.001", true},
	{"text/plain;q=0, */*", true},
	{OPEN ", */*;q=0.1", true},
	{OPEN ";q=0.1, */*;q=0.9", false},
	/* of equals the first, and a name before a pattern */
	{OPEN ", text/plain", true},
	{"text/plain, " OPEN, false},
	{"*/*, " OPEN, true},
	{OPEN ", */*", true},
	/* versions, spelling */
	{OPEN ";version=2.0.0, text/plain;q=0.1", false},
	{OPEN ";version=\"1.0.0\"", true},
	{OPEN ";charset=\"a,b;q=0\";q=0.9, text/plain;q=0.8", true},
	{"APPLICATION/OpenMetrics-Text ; Q=1.000 , text/plain ; q=0.5", true},
	{"application/openmetrics-text-2", false},
	{OPEN ";q=\"", true},
};

static void test_who_gets_what(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
		if (accept_prefers_openmetrics(table[i].header) != table[i].openmetrics)
			fail_msg("Accept: %s", table[i].header ? table[i].header : "(none)");
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_who_gets_what)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
