/* SPDX-License-Identifier: Apache-2.0 */
/* Whose turn it is: users first, then their sessions. One instance, whose method is slow; each client asks again when it is
 * answered, or has many calls wait. */
#include "tests/unit/core_world.h"

enum { MANY = 40, TURNS = 120 };

/* A user with many clients. */
struct user {
	struct rights *rights; /* NULL: they are no user's */
	struct client *clients;
	uint32_t count;
	uint32_t msgid;
	uint32_t served[MANY]; /* of each client */
};

struct stage {
	struct core_world world;
	struct pool *pool;
	struct slot *slot;
	struct user users[3];
};

static struct rights *rights_of(struct core *core, const char *name)
{
	struct rights *rights = rights_new(name, "conf:1");

	rights_set_quota(rights, quota_get(core, name));
	assert_int_equal(rights_add(rights, RIGHT_CALL, "*", "*", "conf:2"), 0);
	return rights;
}

static void add_user(struct stage *stage, struct user *user, const char *name, uint32_t count)
{
	struct core *core = &stage->world.core;

	*user = (struct user){.count = count, .clients = calloc(count, sizeof *user->clients)};
	user->rights = name ? rights_of(core, name) : NULL;
	for (uint32_t i = 0; i < count; i++) {
		client_init(&user->clients[i], core);
		client_set_rights(&user->clients[i], user->rights);
	}
}

static void ask(struct user *user, uint32_t i, const char *method)
{
	world_ask(&user->clients[i], ++user->msgid, method, "[i", 1, 1);
}

static void stage_open(struct stage *stage)
{
	world_open(&stage->world);
	stage->pool = world_pool(&stage->world, "p", 1, &world_settings);
	stage->slot = stage->pool->slots[0];
}

static void stage_close(struct stage *stage)
{
	for (int u = 0; u < 3; u++) {
		struct user *user = &stage->users[u];
		for (uint32_t i = 0; i < user->count; i++)
			client_gone(&user->clients[i]);
		rights_unref(user->rights);
		free(user->clients);
	}
	core_end_event(&stage->world.core);
	world_close(&stage->world);
}

static void note_served(struct stage *stage, uint64_t session, bool asks_again, const char *method)
{
	for (int u = 0; u < 3; u++)
		for (uint32_t i = 0; i < stage->users[u].count; i++)
			if (stage->users[u].clients[i].id == session) {
				stage->users[u].served[i]++;
				if (asks_again)
					ask(&stage->users[u], i, method);
				return;
			}
	fail_msg("nobody's call was served");
}

/* The instance does so many calls, one after the other. */
static void serve(struct stage *stage, int turns, bool they_ask_again, const char *method)
{
	for (int i = 0; i < turns; i++) {
		const uint64_t session = TAILQ_FIRST(&stage->slot->handed)->call->session;
		const uint32_t id = world_begin(stage->slot);
		world_pass(&stage->world, 10 * MILLISECOND);
		world_reply(stage->slot, id, 10 * MILLISECOND);
		note_served(stage, session, they_ask_again, method);
	}
}

static uint32_t served(const struct user *user)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < user->count; i++)
		n += user->served[i];
	return n;
}

/* How often the client that was served least, or most, had its turn. */
static void extremes(const struct user *user, uint32_t *least, uint32_t *most)
{
	*least = UINT32_MAX;
	*most = 0;
	for (uint32_t i = 0; i < user->count; i++) {
		*least = user->served[i] < *least ? user->served[i] : *least;
		*most = user->served[i] > *most ? user->served[i] : *most;
	}
}

/* A user with many clients that each wait for one answer, a user with one client, and a client that is nobody's. */
static void play(const char *method)
{
	struct stage stage;
	uint32_t least, most;

	stage_open(&stage);
	add_user(&stage, &stage.users[0], "many", MANY);
	add_user(&stage, &stage.users[1], "one", 1);
	add_user(&stage, &stage.users[2], NULL, 1);
	for (uint32_t i = 0; i < MANY; i++)
		ask(&stage.users[0], i, method);
	for (int i = 0; i < 2; i++) { /* one waits while one runs */
		ask(&stage.users[1], 0, method);
		ask(&stage.users[2], 0, method);
	}
	serve(&stage, TURNS, true, method);
	for (int u = 0; u < 3; u++)
		assert_in_range(served(&stage.users[u]), TURNS / 3 - 2, TURNS / 3 + 2);
	extremes(&stage.users[0], &least, &most);
	assert_true(most <= least + 1);
	stage_close(&stage);
}

static void test_a_user_with_many_sessions_gets_as_much_as_one(void **state)
{
	(void)state;
	play("p.x");
	play("p:0.x"); /* in the instance's own queue, too */
}

/* Without users each session is one for itself. */
static void test_without_users_sessions_take_turns(void **state)
{
	struct stage stage;
	uint32_t least, most;

	(void)state;
	stage_open(&stage);
	add_user(&stage, &stage.users[0], NULL, MANY);
	add_user(&stage, &stage.users[1], NULL, 1);
	add_user(&stage, &stage.users[2], NULL, 0);
	for (uint32_t i = 0; i < MANY; i++)
		ask(&stage.users[0], i, "p.x");
	ask(&stage.users[1], 0, "p.x");
	ask(&stage.users[1], 0, "p.x");
	serve(&stage, TURNS, true, "p.x");
	extremes(&stage.users[0], &least, &most);
	assert_true(most <= least + 1 && served(&stage.users[1]) <= most + 1);
	stage_close(&stage);
}

/* A client that becomes another user in the middle is in that user's party from its next call on. */
static void test_a_client_becomes_another_user(void **state)
{
	struct stage stage;

	(void)state;
	stage_open(&stage);
	add_user(&stage, &stage.users[0], "many", 10);
	add_user(&stage, &stage.users[1], "one", 1);
	add_user(&stage, &stage.users[2], "third", 1);
	for (uint32_t i = 0; i < 10; i++)
		for (int k = 0; k < 20; k++)
			ask(&stage.users[0], i, "p.x");
	for (int k = 0; k < 60; k++) {
		ask(&stage.users[1], 0, "p.x");
		ask(&stage.users[2], 0, "p.x");
	}
	client_set_rights(&stage.users[2].clients[0], stage.users[1].rights);
	ask(&stage.users[2], 0, "p.x");
	serve(&stage, 60, false, "p.x");
	assert_in_range(served(&stage.users[0]), 28, 32);
	assert_in_range(served(&stage.users[1]), 13, 17);
	assert_in_range(served(&stage.users[2]), 13, 17);
	client_set_rights(&stage.users[2].clients[0], NULL);
	ask(&stage.users[2], 0, "p.x");
	serve(&stage, 60, false, "p.x");
	assert_in_range(served(&stage.users[2]), 13 + 18, 17 + 22);
	stage_close(&stage);
}

/* Sessions that do not read their answers have no turns; their user's others have. */
static void test_a_session_that_does_not_read(void **state)
{
	struct stage stage;

	(void)state;
	stage_open(&stage);
	add_user(&stage, &stage.users[0], "many", 3);
	add_user(&stage, &stage.users[1], "one", 1);
	add_user(&stage, &stage.users[2], NULL, 0);
	for (uint32_t i = 0; i < 3; i++)
		for (int k = 0; k < 30; k++)
			ask(&stage.users[0], i, "p.x");
	for (int k = 0; k < 90; k++)
		ask(&stage.users[1], 0, "p.x");
	stage.users[0].clients[1].stalled = true;
	serve(&stage, 30, false, "p.x");
	assert_in_range(served(&stage.users[0]), 14, 16);
	assert_int_equal(stage.users[0].served[1], 0);
	client_on_sent(&stage.users[0].clients[1]);
	world_pass(&stage.world, 0);
	serve(&stage, 60, false, "p.x");
	assert_in_range(stage.users[0].served[1], 9, 11);
	assert_in_range(served(&stage.users[1]), 44, 46);
	stage_close(&stage);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_user_with_many_sessions_gets_as_much_as_one),
		cmocka_unit_test(test_without_users_sessions_take_turns),
		cmocka_unit_test(test_a_client_becomes_another_user),
		cmocka_unit_test(test_a_session_that_does_not_read),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
