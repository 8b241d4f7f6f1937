/* SPDX-License-Identifier: Apache-2.0 */
/* Accounts: what is charged is credited, to the same one, through queues that move and blocks that change hands. */
#include "proto/payload.h"
#include "proto/sendq.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

enum { MIB = 1 << 20 };

struct bank {
	struct account all;
	struct account *a, *b;
};

static struct bank *open_bank(void **state)
{
	static struct bank bank;

	bank = (struct bank){.all = {.limit = 10 * MIB}};
	bank.a = account_new(&bank.all);
	bank.b = account_new(&bank.all);
	*state = &bank;
	return &bank;
}

/* What is left of an account that was closed is freed with its last credit: under AddressSanitizer this is checked. */
static int close_bank(void **state)
{
	struct bank *bank = *state;

	assert_int_equal(bank->all.used, 0);
	assert_int_equal(bank->all.holders, 0);
	account_close(bank->a);
	account_close(bank->b);
	account_close(&bank->all);
	return 0;
}

static void test_charges_add_up(void **state)
{
	struct bank *bank = open_bank(state);

	account_charge(bank->a, 100);
	account_charge(bank->b, 5000);
	account_charge(&bank->all, 7);
	account_charge(NULL, 1);
	assert_int_equal(bank->a->used, 100);
	assert_int_equal(bank->all.used, 5107);
	assert_int_equal(bank->all.holders, 1);
	account_charge(bank->a, ACCOUNT_SMALL);
	assert_int_equal(bank->all.holders, 2);
	account_credit(bank->a, ACCOUNT_SMALL);
	assert_int_equal(bank->all.holders, 1);
	account_credit(bank->a, 100);
	account_credit(bank->b, 5000);
	account_credit(&bank->all, 7);
	account_credit(NULL, 1);
}

static void test_who_is_greedy(void **state)
{
	struct bank *bank = open_bank(state);

	account_charge(bank->a, 9 * MIB);
	assert_false(account_is_over(&bank->all));
	assert_false(account_is_greedy(bank->a));
	account_charge(bank->b, 2 * MIB);
	assert_true(account_is_over(&bank->all));
	assert_true(account_is_greedy(bank->a));
	assert_false(account_is_greedy(bank->b)); /* its share is 5 MiB */
	assert_false(account_is_greedy(&bank->all));
	account_charge(bank->b, 4 * MIB);
	assert_true(account_is_greedy(bank->b));
	account_credit(bank->a, 9 * MIB);
	assert_false(account_is_greedy(bank->b));
	account_credit(bank->b, 6 * MIB);
}

/* A user between its sessions and the daemon. */
static void test_users(void **state)
{
	struct bank *bank = open_bank(state);
	struct account *user = account_new(&bank->all), *one = account_new(user), *two = account_new(user);

	user->limit = 4 * MIB;
	account_charge(one, 3 * MIB);
	account_charge(two, MIB);
	assert_true(user->used == 4 * MIB && bank->all.used == 4 * MIB && user->holders == 2 && bank->all.holders == 1);
	assert_false(account_is_greedy(one));
	account_charge(two, MIB / 2); /* 4.5 of 4, and each session's share is 2 */
	assert_ptr_equal(account_pressed_by(one), user);
	assert_false(account_is_greedy(two) || account_is_greedy(bank->a));
	assert_false(account_may_keep(two));
	user->limit = 0;
	account_charge(bank->a, 6 * MIB); /* the daemon has 10.5 of 10; the user's share is 5, which it keeps to */
	assert_true(account_is_greedy(bank->a));
	assert_false(account_is_greedy(one) || account_is_greedy(two));
	account_charge(two, MIB); /* 5.5: the share of each of its sessions is 2.5 */
	assert_ptr_equal(account_pressed_by(one), &bank->all);
	assert_false(account_is_greedy(two));
	account_credit(bank->a, 6 * MIB);
	account_close(one);
	account_close(two);
	account_close(user); /* it lives until what is left of its sessions has gone */
	account_credit(one, 3 * MIB);
	assert_int_equal(bank->all.used, 2 * MIB + MIB / 2);
	account_credit(two, 2 * MIB + MIB / 2);
}

static void test_an_account_moves(void **state)
{
	struct bank *bank = open_bank(state);
	struct account *user = account_new(&bank->all), *other = account_new(&bank->all), *session = account_new(user);

	account_charge(session, 5000);
	account_add_file(session);
	account_add_file(session);
	account_move(session, other);
	assert_true(user->used == 0 && user->files == 0 && user->holders == 0);
	assert_true(other->used == 5000 && other->files == 2 && other->holders == 1);
	assert_true(bank->all.used == 5000 && bank->all.files == 2 && bank->all.holders == 1);
	account_close(user);
	account_move(session, &bank->all);
	assert_true(other->used == 0 && bank->all.used == 5000 && bank->all.holders == 1 && bank->all.files == 2);
	account_move(session, other);
	account_close(other);
	account_move(session, &bank->all); /* that was the last of the closed account */
	account_remove_file(session);
	account_remove_file(session);
	account_credit(session, 5000);
	account_move(&bank->all, session);
	assert_null(bank->all.parent);
	account_close(session);
	assert_int_equal(bank->all.files, 0);
}

static void test_no_limit(void **state)
{
	struct bank *bank = open_bank(state);

	bank->all.limit = 0;
	account_charge(bank->a, 1000 * (size_t)MIB);
	assert_false(account_is_over(&bank->all));
	assert_false(account_is_greedy(bank->a));
	assert_true(account_may_keep(bank->a));
	account_credit(bank->a, 1000 * (size_t)MIB);
}

static void test_what_may_be_kept(void **state)
{
	struct bank *bank = open_bank(state);

	account_charge(bank->a, 5 * MIB);
	assert_true(account_may_keep(bank->a));
	account_charge(bank->a, MIB);
	assert_false(account_may_keep(bank->a));
	account_charge(bank->b, 2 * MIB); /* there is always something left for another */
	assert_true(account_may_keep(bank->b));
	account_credit(bank->a, 6 * MIB);
	account_credit(bank->b, 2 * MIB);
}

static void test_an_account_outlives_its_owner(void **state)
{
	struct bank *bank = open_bank(state);
	struct block *block = block_new(bank->a, 8000);

	account_close(bank->a);
	assert_true(bank->all.used >= 8000);
	assert_int_equal(bank->all.holders, 1);
	block_unref(block); /* and the account with it */
	bank->a = NULL;
}

static void test_blocks(void **state)
{
	struct bank *bank = open_bank(state);
	struct block *small = block_new(bank->a, 1000), *large = block_new(bank->a, BLOCK_LARGE),
		     *uncounted = block_new(NULL, 1000);

	assert_int_equal(bank->a->used, 2 * sizeof *small + 1000 + large->capacity);
	assert_int_equal(block_grow(large, 4 * BLOCK_LARGE), 0);
	assert_int_equal(bank->a->used, 2 * sizeof *small + 1000 + large->capacity);
	block_move(large, bank->b);
	assert_int_equal(bank->a->used, sizeof *small + 1000);
	assert_int_equal(bank->b->used, sizeof *small + large->capacity);
	block_move(uncounted, bank->b);
	assert_int_equal(bank->b->used, sizeof *small + large->capacity);
	block_unref(block_ref(small));
	assert_int_equal(bank->a->used, sizeof *small + 1000);
	block_unref(small);
	block_unref(large);
	block_unref(uncounted);
}

static void test_queues(void **state)
{
	static uint8_t bytes[40000];
	struct bank *bank = open_bank(state);
	struct block *block = block_new(bank->b, sizeof bytes);
	struct sendq from = {.account = bank->a}, to = {.account = bank->b};
	const uint64_t of_block = bank->b->used;

	sendq_copy(&from, "abc", 3);
	sendq_copy(&from, bytes, sizeof bytes);
	sendq_span(&from, block, block->bytes, sizeof bytes);
	sendq_pass(&from, block);
	const uint64_t queued = bank->a->used;
	assert_true(queued > sizeof bytes && queued < sizeof bytes + 2048);
	sendq_move(&to, &from); /* what was charged to a stays with a */
	assert_int_equal(bank->a->used, queued);
	sendq_copy(&from, "abc", 3);
	sendq_clear(&from);
	assert_int_equal(bank->a->used, queued);
	sendq_sent(&to, 3 + sizeof bytes);
	assert_true(bank->a->used < 512);
	sendq_clear(&to);
	assert_int_equal(bank->a->used, 0);
	assert_int_equal(bank->b->used, of_block);
	block_unref(block);
}

static void test_many_small_queues(void **state)
{
	struct bank *bank = open_bank(state);
	struct sendq one = {.account = bank->a, .many = true};

	sendq_copy(&one, "a", 1);
	assert_true(bank->a->used < 128);
	for (int i = 0; i < 100000; i++)
		sendq_copy(&one, "b", 1);
	assert_int_equal(one.bytes, 100001);
	assert_true(bank->a->used < 120000);
	sendq_clear(&one);
}

static void test_payloads(void **state)
{
	struct bank *bank = open_bank(state);
	struct payload_pool pool;

	payload_pool_init(&pool, &bank->all);
	struct block *block = payload_new(&pool, MIB, 1);
	assert_non_null(block);
	block_move(block, bank->a);
	assert_int_equal(bank->a->used, sizeof *block); /* the rest is address space */
	payload_filled(block, 700000);
	payload_filled(block, 600000);
	assert_int_equal(bank->a->used, sizeof *block + 700000);
	block_unref(block);
	assert_int_equal(bank->a->used, 0);
	assert_int_equal(bank->all.used, sizeof *block + 700000); /* idle, it is the pool's */
	block = payload_new(&pool, MIB, 1);
	block_move(block, bank->b);
	assert_int_equal(bank->b->used, sizeof *block + 700000);
	block_unref(block);
	pool.max = 1;
	block_unref(payload_new(&pool, MIB, 1));
	assert_int_equal(bank->all.used, 0);
	payload_pool_clear(&pool);
}

static void test_files_of_others(void **state)
{
	struct bank *bank = open_bank(state);
	const int fd = memfd_create("test", MFD_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, 3 * MIB), 0);
	struct block *block = payload_of(fd, bank->a, NULL);
	assert_int_equal(bank->a->used, sizeof *block + 3 * MIB);
	block_unref(block);
}

static int closed_elsewhere;

static void close_elsewhere(struct account *account, int fd)
{
	(void)account;
	closed_elsewhere++;
	(void)close(fd);
}

/* To close the last descriptor of a large file frees its memory, which takes too long for a loop. */
static void test_large_files_are_closed_elsewhere(void **state)
{
	struct bank *bank = open_bank(state);
	struct payload_pool pool;

	payload_pool_init(&pool, &bank->all);
	pool.close = close_elsewhere;
	for (size_t size = MIB; size <= 8 * MIB; size *= 8) {
		struct block *block = payload_new(&pool, size, 1);
		payload_filled(block, size);
		block_unref(block);
		const int fd = memfd_create("test", MFD_CLOEXEC);
		assert_int_equal(ftruncate(fd, (off_t)size), 0);
		block_unref(payload_of(fd, bank->a, close_elsewhere));
	}
	assert_int_equal(closed_elsewhere, 1);
	payload_pool_clear(&pool);
	assert_int_equal(closed_elsewhere, 2);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, NULL, close_bank)
	const struct CMUnitTest tests[] = {
		TEST(test_charges_add_up), TEST(test_who_is_greedy), TEST(test_users), TEST(test_an_account_moves),
		TEST(test_no_limit), TEST(test_what_may_be_kept),
		TEST(test_an_account_outlives_its_owner), TEST(test_blocks), TEST(test_queues), TEST(test_many_small_queues),
		TEST(test_payloads), TEST(test_files_of_others), TEST(test_large_files_are_closed_elsewhere),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
