/* SPDX-License-Identifier: Apache-2.0 */
/* What a gateway remembers of the leases of a client: gateway/core/leases.c. */
#include "gateway/core/leases.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static struct span span_of(const char *text)
{
	return (struct span){.bytes = (const uint8_t *)text, .size = strlen(text)};
}

static void add(struct leases *leases, const char *host, int64_t slot, uint64_t until, bool of_any)
{
	struct remote_lease lease = {.slot = slot, .until = until, .of_any = of_any};

	(void)snprintf(lease.host, sizeof lease.host, "%s", host);
	leases_add(leases, span_of("p"), lease);
}

/* "host:slot" of what is given back; "": nothing. */
static const char *take(struct leases *leases, const char *of, int64_t slot)
{
	static char text[GATEWAY_NAME_MAX + 24];
	struct remote_lease lease;

	text[0] = 0;
	if (leases_take(leases, span_of("p"), span_of(of), slot, &lease))
		(void)snprintf(text, sizeof text, "%s:%lld", lease.host, (long long)lease.slot);
	return text;
}

static void test_which_is_given_back(void **state)
{
	struct leases leases = {0};
	struct remote_lease lease;

	(void)state;
	add(&leases, "h1", 0, UINT64_MAX, true);
	add(&leases, "h2", 0, UINT64_MAX, true);
	add(&leases, "h2", 1, UINT64_MAX, true);
	add(&leases, "h3", 7, UINT64_MAX, false);
	assert_false(leases_take(&leases, span_of("q"), span_of(""), LEASE_ANY_SLOT, &lease));
	assert_string_equal(take(&leases, "", LEASE_ANY_SLOT), "h2:1"); /* the last that any host was asked for */
	assert_string_equal(take(&leases, "", 0), "h2:0");
	assert_string_equal(take(&leases, "", 7), "");
	assert_string_equal(take(&leases, "h3", LEASE_ANY_SLOT), "h3:7");
	add(&leases, "h1", 3, UINT64_MAX, true);
	assert_string_equal(take(&leases, "h1", LEASE_ANY_SLOT), "h1:0"); /* the oldest of a host, as the host itself does */
	assert_string_equal(take(&leases, "h1", LEASE_ANY_SLOT), "h1:3");
	assert_string_equal(take(&leases, "h1", LEASE_ANY_SLOT), "");
	leases_free(&leases);
}

static void test_leases_that_are_over(void **state)
{
	struct leases leases = {0};

	(void)state;
	assert_false(leases_hold(&leases, 0));
	add(&leases, "h1", 0, 100, true);
	assert_true(leases_hold(&leases, 99));
	assert_false(leases_hold(&leases, 100));
	add(&leases, "h2", 0, 200, true);
	assert_true(leases_hold(&leases, 100));
	leases_lose(&leases, "h2");
	assert_false(leases_hold(&leases, 100));
	assert_string_equal(take(&leases, "", LEASE_ANY_SLOT), "h1:0"); /* its host must hear that it is given back */
	leases_free(&leases);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_which_is_given_back),
		cmocka_unit_test(test_leases_that_are_over),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
