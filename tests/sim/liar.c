/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/liar.h"

#include "daemon/core/calls/nested.h"
#include "daemon/core/records/slot.h"
#include "daemon/core/life/slot_life.h"
#include "proto/pack.h"
#include "proto/rpc.h"

enum { NOBODY = 100000 /* an id, or a tag, that is not in use */ };

static uint8_t *pack_numbers(uint8_t *p, uint32_t fields, const uint64_t *numbers, unsigned count)
{
	p = pack_array(p, fields);
	for (unsigned i = 0; i < count; i++)
		p = pack_uint(p, numbers[i]);
	return p;
}

#define NUMBERS(fields, ...) \
	pack_numbers(p, fields, (const uint64_t[]){__VA_ARGS__}, sizeof(const uint64_t[]){__VA_ARGS__} / sizeof(uint64_t))

/* ---- lies that anybody can tell ---- */

static uint8_t *no_message(struct fake *fake, uint8_t *p)
{
	static const uint8_t garbage[][4] = {{0x07}, {0x90}, {0x91, 0xc0}, {0x91, 0x63}, {0x80}};
	return mempcpy(p, garbage[world_dice(fake->world, 5)], world_one_in(fake->world, 2) ? 2 : 1);
}

static uint8_t *half_a_message(struct fake *fake, uint8_t *p)
{
	(void)fake;
	return NUMBERS(4, FROM_REPLY, 1);
}

static uint8_t *unknown_id(struct fake *fake, uint8_t *p)
{
	static const enum from_worker types[] = {FROM_REPLY,    FROM_RESULTS, FROM_ITEM_ERROR,
						 FROM_DEFERRED, FROM_INVOKE,  FROM_PROGRESS};
	const enum from_worker type = types[world_dice(fake->world, 6)];

	p = NUMBERS(type == FROM_PROGRESS ? 5 : 4, type, fake->id + NOBODY, 0, 0);
	return type == FROM_PROGRESS ? pack_nil(p) : p;
}

static uint8_t *unknown_tag(struct fake *fake, uint8_t *p)
{
	return pack_nil(pack_nil(NUMBERS(4, FROM_ANSWER, fake->last_tag + NOBODY)));
}

static uint8_t *no_error(struct fake *fake, uint8_t *p)
{
	(void)fake;
	return pack_nil(NUMBERS(2, FROM_RESTORED));
}

static uint8_t *unasked_leased(struct fake *fake, uint8_t *p)
{
	return fake->slot->leases_asked == 0 ? NUMBERS(1, FROM_LEASED) : p;
}

static uint8_t *ready_again(struct fake *fake, uint8_t *p)
{
	return fake->slot->state != SLOT_STARTING ? NUMBERS(1, FROM_READY) : p;
}

static uint8_t *unasked_state(struct fake *fake, uint8_t *p)
{
	return fake->slot->state != SLOT_STOPPING ? NUMBERS(2, FROM_STATE, 0) : p;
}

static uint8_t *unasked_restored(struct fake *fake, uint8_t *p)
{
	return !fake->slot->replay.restoring ? NUMBERS(1, FROM_RESTORED) : p;
}

static uint8_t *replays_nothing(struct fake *fake, uint8_t *p)
{
	const struct slot *slot = fake->slot;
	return slot->state != SLOT_STARTING && slot->replay.ahead == 0 ? pack_str(NUMBERS(2, FROM_REPLAYING), "x", 1) : p;
}

static uint8_t *payload_of_nothing(struct fake *fake, uint8_t *p)
{
	return NUMBERS(6, FROM_PAYLOAD, fake->id, LENT_PLACES + 1, 0, 1, 1);
}

/* ---- those of the batch that it works on ---- */

static uint8_t *other_form(struct fake *fake, uint8_t *p)
{
	if (fake->items)
		return pack_nil(pack_nil(NUMBERS(4, FROM_REPLY, fake->id)));
	return pack_nil(pack_array(NUMBERS(4, FROM_RESULTS, fake->id, 0), 1));
}

static uint8_t *answers_another(struct fake *fake, uint8_t *p)
{
	if (!fake->train)
		return p;
	p = pack_array(NUMBERS(4, FROM_RESULTS, fake->id, fake->first + fake->item), 1);
	if (world_one_in(fake->world, 2))
		return pack_nil(p); /* no response at all */
	p = pack_uint(pack_uint(pack_array(p, 4), RPC_RESPONSE), fake->msgids[fake->item] + 1);
	return pack_nil(pack_nil(p));
}

static uint8_t *another_item(struct fake *fake, uint8_t *p)
{
	if (!fake->items)
		return p;
	return pack_nil(pack_array(NUMBERS(4, FROM_RESULTS, fake->id, fake->first + fake->item + 1), 1));
}

static uint8_t *too_many(struct fake *fake, uint8_t *p)
{
	const uint32_t more = fake->count - fake->item + 1;

	if (!fake->items)
		return p;
	p = pack_array(NUMBERS(4, FROM_RESULTS, fake->id, fake->first + fake->item), more);
	for (uint32_t i = 0; i < more; i++)
		p = pack_nil(p);
	return p;
}

static uint8_t *no_tag(struct fake *fake, uint8_t *p)
{
	const struct batch *other = TAILQ_FIRST(&fake->slot->deferred);
	const uint64_t used = other ? other->tag : 0; /* 0: no tag at all */
	return NUMBERS(4, FROM_DEFERRED, fake->id, fake->items ? fake->first + fake->item : 0, used);
}

static uint8_t *unwanted_yield(struct fake *fake, uint8_t *p)
{
	return fake->takes_yields ? p : NUMBERS(3, FROM_YIELD, fake->id, 1);
}

static uint8_t *asks_twice(struct fake *fake, uint8_t *p)
{
	const bool waits = fake->slot->nested.on && !TAILQ_EMPTY(&fake->slot->nested.client.tickets);
	return waits ? pack_array(pack_str(NUMBERS(4, FROM_INVOKE, fake->id), "p.echo", 6), 0) : p;
}

static uint8_t *passes_over(struct fake *fake, uint8_t *p)
{
	const struct batch *batch = fake->slot->by_id[fake->id % BOARD_ENTRIES];
	return batch && batch->id == fake->id ? NUMBERS(2, FROM_PASSED, fake->id) : p;
}

typedef uint8_t *lie(struct fake *fake, uint8_t *p);

static lie *const lies[] = {no_message,     half_a_message, unknown_id,    unknown_tag,       no_error,
			    unasked_leased, ready_again,    unasked_state, payload_of_nothing, unasked_restored, replays_nothing};
static lie *const lies_at_work[] = {other_form, answers_another, another_item, too_many,
				    no_tag,     unwanted_yield,  asks_twice,   passes_over};

/* Says what it must not: the core has to kill it. */
static void say(struct fake *fake)
{
	const bool at_work = fake->task && world_one_in(fake->world, 2);
	lie *const tell = at_work ? lies_at_work[world_dice(fake->world, sizeof lies_at_work / sizeof *lies_at_work)]
				  : lies[world_dice(fake->world, sizeof lies / sizeof *lies)];
	uint8_t room[512];

	fake_flush(fake);
	const uint8_t *end = tell(fake, room);
	if (end == room || fake->dead || fake->slot->killed)
		return; /* it would be no lie now */
	world_say(fake->world, "%s:%u: lies, type %u", fake->slot->pool->name, fake->slot->index, room[1]);
	fake_put(fake, room, end);
	fake_flush(fake);
	if (!fake->slot->killed)
		world_fail(fake->world, "a worker that lies lives on");
}

/* Has begun more than there is, or what it has not, and dies. */
static void boast(struct fake *fake)
{
	fake_flush(fake);
	if (!fake->task)
		return;
	world_say(fake->world, "%s:%u: boasts of what it has begun", fake->slot->pool->name, fake->slot->index);
	const uint64_t begun = fake->count + world_dice(fake->world, 1000);
	board_entry(fake->board, fake->id)->items = board_items(fake->id, (uint32_t)begun, (uint32_t)begun);
	fake_lies_of_all(fake);
	fake_gone(fake, 9, NULL);
}

void liar_lie(struct fake *fake)
{
	if (world_one_in(fake->world, 4))
		boast(fake);
	else
		say(fake);
}

/* ---- ends ---- */

static int odd_status(struct world *world)
{
	static const int statuses[] = {0, 0x7f, 0xffff, -1, 0x80 | 11, 255 << 8};
	return statuses[world_dice(world, sizeof statuses / sizeof *statuses)];
}

/* It is told of twice, or there never was one. */
static void end_again(struct world *world)
{
	struct pool *pool = world->pools[world_dice(world, WORLD_POOLS)];

	if (!pool || pool->size == 0)
		return;
	struct slot *slot = pool->slots[world_dice(world, pool->size)];
	if (fake_of(slot) || slot->state != SLOT_WAITING)
		return;
	faults_arm(true);
	slot_on_gone(slot, odd_status(world), NULL);
	faults_arm(false);
}

void liar_end(struct world *world)
{
	struct fake *fake = world->fakes;

	if (!world->flavour.liars)
		return;
	while (fake && fake->ready)
		fake = fake->next;
	if (fake)
		fake_gone(fake, odd_status(world), world_one_in(world, 2) ? "it could not be started" : NULL);
	else
		end_again(world);
}
