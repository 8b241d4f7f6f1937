/* SPDX-License-Identifier: Apache-2.0 */
/* Patterns of rules, and what rights allow. */
#include "daemon/core/base/glob.h"
#include "daemon/core/records/rights.h"

#include <errno.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <setjmp.h>
#include <cmocka.h>

static struct span span_of(const char *text)
{
	return (struct span){.bytes = (const uint8_t *)text, .size = strlen(text)};
}

static bool matches(const char *pattern, const char *text)
{
	return glob_matches(pattern, span_of(text));
}

static void test_patterns(void **state)
{
	(void)state;
	assert_true(matches("step", "step") && !matches("step", "steps") && !matches("step", "ste") && !matches("step", ""));
	assert_true(matches("*", "") && matches("*", "a.b") && matches("**", "a") && matches("get*", "get") &&
		    matches("get*", "get.x"));
	assert_true(matches("*.delete*", "a.delete") && !matches("*.delete*", "delete"));
	assert_true(matches("a*b*c", "abc") && matches("a*b*c", "axbbxc") && !matches("a*b*c", "acb") && !matches("a*a", "a"));
	assert_true(matches("*ab*ab", "abab") && !matches("*ab*ab", "aab"));
	assert_true(matches("", "") && !matches("", "a"));
	assert_true(glob_matches("*", (struct span){0}) && !glob_matches("a", (struct span){0}));
	assert_true(glob_matches_all("*") && glob_matches_all("***") && !glob_matches_all("") && !glob_matches_all("*a"));
}

/* The plain definition of a pattern: exponential, and good for short texts. */
static bool matches_plainly(const char *pattern, const char *text)
{
	if (*pattern == '*')
		return matches_plainly(pattern + 1, text) || (*text && matches_plainly(pattern, text + 1));
	return *pattern == *text && (!*pattern || matches_plainly(pattern + 1, text + 1));
}

static void test_patterns_as_defined(void **state)
{
	char pattern[7] = "", text[8] = "";
	unsigned seed = 7;

	(void)state;
	for (int round = 0; round < 200000; round++) {
		size_t n = (size_t)rand_r(&seed) % 7, m = (size_t)rand_r(&seed) % 8;
		for (size_t i = 0; i < n; i++)
			pattern[i] = "ab*"[rand_r(&seed) % 3];
		for (size_t i = 0; i < m; i++)
			text[i] = "ab"[rand_r(&seed) % 2];
		pattern[n] = text[m] = '\0';
		assert_int_equal(matches(pattern, text), matches_plainly(pattern, text));
	}
}

/* A pattern that makes matchers that go back slow. */
static void test_long_names(void **state)
{
	struct rights *rights = rights_new("u", "c:1");
	char *name = malloc(1 << 20);

	(void)state;
	memset(name, 'a', 1 << 20);
	const struct span all = {.bytes = (const uint8_t *)name, .size = 1 << 20};
	assert_false(glob_matches("*a*a*a*a*a*a*a*ab*a", all));
	assert_int_equal(rights_add(rights, RIGHT_CALL, "*", "*", "c:2"), 0);
	assert_false(rights_judge(rights, RIGHT_CALL, span_of("p"), all).allowed);
	assert_true(rights_judge(rights, RIGHT_CALL, span_of("p"), (struct span){all.bytes, RIGHTS_NAME_MAX}).allowed);
	rights_unref(rights);
	free(name);
}

static struct rights *ci(void)
{
	struct rights *rights = rights_new("ci", "x.conf:1");

	assert_int_equal(rights_add(rights, RIGHT_CALL, "sim", "get*", "x.conf:2") |
				 rights_add(rights, RIGHT_CALL, "dice", "*", "x.conf:3"),
			 0);
	assert_int_equal(rights_add(rights, RIGHT_ALL, "dice", "set", "x.conf:4") |
				 rights_add(rights, RIGHT_DENY, "*", "delete*", "x.conf:5"),
			 0);
	assert_int_equal(rights_add(rights, RIGHT_DIRECT, "*", NULL, "x.conf:6") |
				 rights_add(rights, RIGHT_CODE, "*", NULL, "x.conf:7"),
			 0);
	assert_int_equal(rights_add(rights, RIGHT_CREATE, "tmp-*", NULL, "x.conf:8"), 0);
	return rights;
}

static void check(const struct rights *rights, const char *right, const char *name, bool allowed, const char *where)
{
	struct ruling ruling;

	assert_int_equal(rights_answer(rights, span_of(right), span_of(name), &ruling), 0);
	assert_int_equal(ruling.allowed, allowed);
	assert_string_equal(ruling.where, where);
}

static void test_judging(void **state)
{
	struct rights *rights = ci(), *united = rights_new("ci,b", "x.conf:1");
	struct ruling ruling;

	(void)state;
	check(rights, "call", "sim.get_x", true, "x.conf:2");
	check(rights, "call", "sim.step", false, "x.conf:1");
	check(rights, "call", "sim", true, "x.conf:2");
	check(rights, "call", "dice.delete_all", false, "x.conf:5");
	check(rights, "all", "dice.set", true, "x.conf:4");
	check(rights, "all", "dice.roll", false, "x.conf:1");
	check(rights, "direct", "dice", false, "x.conf:5");
	check(rights, "direct", "sim", false, "x.conf:5");
	check(rights, "create", "tmp-1", true, "x.conf:8");
	check(rights, "code", "tmp-1", true, "x.conf:7");
	check(rights, "code", "other", false, "x.conf:1");
	check(rights, "watch", "status", false, "x.conf:1");
	assert_int_equal(rights_add(united, RIGHT_OPERATE, "*", NULL, "y.conf:1") | rights_unite(united, rights), 0);
	check(united, "operate", "reload", true, "y.conf:1");
	check(united, "call", "dice.delete_all", false, "x.conf:5");
	assert_int_equal(rights_answer(rights, span_of("deny"), span_of("x"), &ruling), -EINVAL);
	rights_unref(rights);
	rights_unref(united);
}

static void test_refusals(void **state)
{
	struct rights *rights = ci(), *nobody = rights_new(NULL, NULL);
	struct error error;

	(void)state;
	assert_int_equal(rights_check(NULL, RIGHT_OPERATE, span_of("x"), (struct span){0}, &error), 0);
	assert_int_equal(rights_check(rights, RIGHT_ALL, span_of("dice"), span_of("set_property"), &error), -EACCES);
	assert_string_equal(error.text, "user ci may not \"all\" dice.set_property (x.conf:1)");
	assert_string_equal(error.user, "ci");
	assert_string_equal(error.right, "all");
	assert_int_equal(rights_check(nobody, RIGHT_CALL, span_of("p"), span_of("m"), &error), -EACCES);
	assert_null(error.user);
	rights_unref(rights);
	rights_unref(nobody);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_patterns), cmocka_unit_test(test_patterns_as_defined), cmocka_unit_test(test_long_names),
		cmocka_unit_test(test_judging),  cmocka_unit_test(test_refusals),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
