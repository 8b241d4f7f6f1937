/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gateway-sim: several gateways, each with a daemon and clients that are played, on a bus that loses, delays, doubles, reorders
 * and parts hosts, on virtual time. The cores of the gateways are the real ones.
 *
 *   gateway-sim --seeds 1-4000        each seed is one world; a seed that fails is printed
 *   gateway-sim --seed 17 --verbose   plays one again, and prints what happens
 *
 * What happens: calls of every kind, cancels, deadlines, leases, clients that leave or read slowly; gateways and hosts that are
 * killed, stopped in good order, frozen, started again under the same name; daemons that stand still while their gateways live;
 * pools that are paused; workers that die; two hosts of one name; a host that comes while a map runs.
 *
 * What must hold (the file that looks at it):
 *   clients.c  every request has exactly one answer, and its own; gathers are whole and in order, streams have each item once; an
 *              error is one that this world may give; in a calm world all goes well. What `ran` "no" is said of has not run.
 *   daemon.c   nothing runs twice that is not idempotent, and nothing that was said not to have run; what comes is a message, for
 *              this host; no more is fed than there is credit for.
 *   bus.c      no packet is larger than the bus takes.
 *   wires.c    no more is under way than there are windows for; no byte of credit is lost or made.
 *   here       nobody waits for ever; hosts that come later have had the sticky calls; when all clients have gone nothing is
 *              left, in no table, and not a byte; what other hosts have of a gateway is bounded, and no host has all of it; any
 *              number of names that are made up keeps no host out.
 */
#include "tests/gateway_sim/world.h"

#include "gateway/core/channel.h"
#include "gateway/core/sticky.h"
#include "gateway/core/sum.h"

#include <stdlib.h>

enum { ACTIONS = 600, QUIET_SECONDS = 60 };
enum { TIGHT_SESSIONS = 4, TIGHT_MEMORY = 2 << 20 };

static struct node *node_of(struct gateway *gateway)
{
	return gateway->owner;
}

/* ---- the gateway's ops ---- */

static int op_publish(struct gateway *gateway, const char *host, const void *bytes, size_t size)
{
	bus_publish(node_of(gateway), host, bytes, size);
	return 0;
}

static int op_publish_beat(struct gateway *gateway, const void *bytes, size_t size)
{
	bus_publish(node_of(gateway), NULL, bytes, size);
	return 0;
}

/* Now and then the bus has none, for up to a millisecond. */
static bool op_has_room(struct gateway *gateway)
{
	struct node *node = node_of(gateway);

	if (node->bus_full)
		return false;
	if (!world_one_in(node->world, 20))
		return true;
	node->bus_full = true;
	timer_set(&node->world->timers, &node->room, node->world->now + world_dice(node->world, 1000000));
	return false;
}

static void on_room(struct timer *timer)
{
	struct node *node = container_of(timer, struct node, room);

	node->bus_full = false;
	node->touched = true;
}

static void op_supervisor_wrote(struct gateway *gateway)
{
	node_of(gateway)->touched = true;
}

static int op_local_open(struct local *local)
{
	return daemon_open(node_of(local->gateway)->daemon, local);
}

static const struct gateway_ops gateway_ops = {
	.publish = op_publish,
	.publish_beat = op_publish_beat,
	.has_room = op_has_room,
	.supervisor_wrote = op_supervisor_wrote,
	.local_open = op_local_open,
	.local_wrote = daemon_wrote,
	.local_reads = daemon_reads,
	.local_close = daemon_close,
};

/* ---- the supervisor ---- */

static void give_supervisor(struct held *held, struct node *node)
{
	struct world *world = node->world;
	struct block *block = world_one_in(world, 2) ? block_new(NULL, held->size) : NULL;
	struct span message = {.bytes = held->bytes, .size = held->size};

	if (block) {
		memcpy(block->bytes, held->bytes, held->size);
		message.bytes = block->bytes;
	}
	HOLDS(world, gateway_on_supervisor(node->gateway, message, block) == 0, "the gateway does not understand the supervisor");
	block_unref(block);
}

void node_tell(struct node *node, struct sendq *message)
{
	size_t size;
	uint8_t *flat = world_flat(message, &size);

	sendq_clear(message);
	if (node->gateway)
		node_event(node, give_supervisor, NULL, 0, NULL, flat, size);
	free(flat);
}

static void put_remotes(const struct node *node, struct sendq *to)
{
	char name[8];
	uint32_t count = 0;

	put_map(to, node->remote);
	if (!node->remote)
		return;
	put_text(to, "p");
	put_map(to, 2);
	put_text(to, "prefer");
	put_text(to, node->prefers_load ? "load" : "local");
	put_text(to, "hosts");
	for (unsigned i = 0; i < NODES; i++)
		count += (node->remote_hosts & 1u << i) != 0;
	if (count == 0)
		put_text(to, "*");
	else
		put_array(to, count);
	for (unsigned i = 0; i < NODES; i++) {
		(void)snprintf(name, sizeof name, "h%u", i % 10);
		if (node->remote_hosts & 1u << i)
			put_text(to, name);
	}
}

static void tell_config(struct node *node)
{
	struct sendq to = {0};

	put_array(&to, 2);
	put_uint(&to, TO_GATEWAY_CONFIG);
	put_map(&to, node->world->flavour.tight ? 4 : 2);
	if (node->world->flavour.tight) {
		put_pair(&to, "max_sessions", TIGHT_SESSIONS);
		put_pair(&to, "max_memory", TIGHT_MEMORY);
	}
	put_text(&to, "name");
	put_text(&to, node->name);
	put_text(&to, "remotes");
	put_remotes(node, &to);
	node_tell(node, &to);
}

static void tell_pools(struct node *node)
{
	struct sendq to = {0};

	put_array(&to, 2);
	put_uint(&to, TO_GATEWAY_POOLS);
	daemon_put_pools(node->daemon, &to);
	node_tell(node, &to);
}

static void on_pools(struct timer *timer)
{
	struct node *node = container_of(timer, struct node, pools);

	if (!node->gateway || node->stalled_until)
		return;
	tell_pools(node);
	timer_set(&node->world->timers, timer, node->world->now + GATEWAY_POOLS_MS * MILLISECOND);
}

static void hear_message(struct node *node, struct span message)
{
	struct world *world = node->world;
	struct reader reader = reader_of(message);
	struct span rpc, text;
	uint32_t count;
	uint64_t kind, sid;

	HOLDS(world, read_array(&reader, &count) == 0 && read_uint(&reader, &kind) == 0, "what a gateway says is no message");
	if (kind == FROM_GATEWAY_MESSAGE) {
		HOLDS(world, read_uint(&reader, &sid) == 0 && read_value(&reader, &rpc) == 0 && reader.p == reader.end,
		      "MESSAGE is not whole");
		clients_hear(node->clients, sid, rpc);
	} else if (kind == FROM_GATEWAY_LOG && read_uint(&reader, &sid) == 0 && read_text(&reader, &text) == 0) {
		world_say(world, "%s: log: %.*s", node->name, SPAN_TEXT(text, 200));
	} else if (kind == FROM_GATEWAY_STATE && read_text(&reader, &text) == 0) {
		(void)snprintf(node->state, sizeof node->state, "%.*s", SPAN_TEXT(text, 15));
	}
}

/* What the gateway has written. Clients may answer at once: that is another turn. */
static void hear_gateway(struct node *node)
{
	size_t size, at = 0;
	uint8_t *flat = world_flat(&node->gateway->to_supervisor, &size);

	sendq_clear(&node->gateway->to_supervisor);
	while (at < size) {
		const int64_t n = scan_length(flat + at, size - at);
		HOLDS(node->world, n > 0, "what a gateway says is no msgpack, or not whole");
		hear_message(node, (struct span){.bytes = flat + at, .size = (size_t)n});
		at += (size_t)n;
	}
	free(flat);
}

/* What other hosts have of this one (allowance.h). A session may have sent its first window, and what the daemon said may have
 * come when the share was used up; a packet goes when it is whole. */
static void check_shares(const struct node *node)
{
	const struct world *world = node->world;
	const struct gateway *gateway = node->gateway;
	const uint64_t half = gateway->memory.limit / 2;
	uint64_t sessions = 0, used = 0, promised = 0, hosts = 0;
	const struct host *host;

	TAILQ_FOREACH(host, &gateway->hosts->list, entry) {
		sessions += host->sessions;
		used += host->memory->used;
		promised += host->promised;
		hosts++;
		HOLDS(world, host->sessions <= gateway->max_sessions / 2, "%s: host %s has %u of %u sessions", node->name,
		      host->name, host->sessions, (unsigned)gateway->max_sessions);
	}
	HOLDS(world, sessions == gateway->served && sessions <= gateway->max_sessions, "%s: hosts have %u sessions, not %u",
	      node->name, (unsigned)sessions, gateway->served);
	HOLDS(world, promised == gateway->others_promised && promised <= half / 2, "%s: hosts may send %llu bytes at once",
	      node->name, (unsigned long long)promised);
	HOLDS(world, used <= gateway->others.used, "%s: what is held for hosts is not counted", node->name);
	HOLDS(world, gateway->others.used <= half + promised + (sessions + 1) * 3 * CHANNEL_FIRST + hosts * 2 * CONDUIT_WINDOW,
	      "%s: %llu bytes are held for other hosts", node->name, (unsigned long long)gateway->others.used);
}

static void end_turns(struct world *world)
{
	for (unsigned i = 0; i < world->node_count; i++) {
		struct node *node = &world->nodes[i];
		if (!node->touched || node->frozen_until)
			continue;
		node->touched = false;
		if (!node->gateway)
			continue;
		node->gateway->now = world->now;
		gateway_end_turn(node->gateway);
		wires_check(node);
		check_shares(node);
		if (node->gateway->to_supervisor.bytes > 0 && !node->stalled_until)
			hear_gateway(node);
	}
}

/* ---- life and death ---- */

static void bus_comes(struct node *node)
{
	node->bus_up = true;
	node->touched = true;
	node->gateway->now = node->world->now;
	gateway_on_bus_up(node->gateway, node->world->flavour.lossy && node->number % 2 ? 32 << 10 : 1 << 20,
			  "nats://played:4222");
}

static void start_gateway(struct node *node)
{
	struct world *world = node->world;

	world_say(world, "%s: its gateway starts", node->name);
	node->gateway = gateway_new(&gateway_ops, node, world->now, world->state + node->number);
	(void)world_dice(world, 2);
	tell_config(node);
	bus_comes(node);
	tell_pools(node);
	timer_set(&world->timers, &node->pools, world->now + GATEWAY_POOLS_MS * MILLISECOND);
}

static void thaw(struct node *node)
{
	if (!node->frozen_until)
		return;
	world_say(node->world, "%s: its gateway goes on", node->name);
	node->frozen_until = 0;
	timer_clear(&node->world->timers, &node->thaw);
	struct held *held = node->held;
	node->held = NULL;
	node->held_end = &node->held;
	node->touched = true;
	node->gateway->now = node->world->now;
	gateway_run(node->gateway);
	while (held) {
		struct held *next = held->next;
		held->give(held, node);
		free(held);
		held = next;
	}
}

/* The daemon goes on: it reads what has come, and tells of its pools. */
static void unstall(struct node *node)
{
	if (!node->stalled_until)
		return;
	world_say(node->world, "%s: its daemon goes on", node->name);
	node->stalled_until = 0;
	timer_clear(&node->world->timers, &node->unstall);
	node->touched = true;
	if (node->gateway)
		timer_set(&node->world->timers, &node->pools, node->world->now + MILLISECOND);
}

static void on_unstall(struct timer *timer)
{
	unstall(container_of(timer, struct node, unstall));
}

static void on_thaw(struct timer *timer)
{
	thaw(container_of(timer, struct node, thaw));
}

static void stop_gateway(struct node *node, bool in_order)
{
	if (!node->gateway)
		return;
	world_say(node->world, "%s: its gateway %s", node->name, in_order ? "stops" : "is killed");
	node->frozen_until = 0;
	timer_clear(&node->world->timers, &node->thaw);
	node_drop_held(node);
	if (!in_order)
		node->gateway->bus_is_up = false; /* no goodbye */
	node->gateway->now = node->world->now;
	daemon_drop_closing(node->daemon);
	node->gateway = gateway_free(node->gateway);
	daemon_lose_gateway(node->daemon);
	clients_lose_gateway(node->clients);
	node->touched = false;
	bus_tell_left(node);
}

static void stop_node(struct node *node)
{
	world_say(node->world, "%s is killed", node->name);
	unstall(node);
	stop_gateway(node, false);
	node->daemon = daemon_free(node->daemon);
	node->up = false;
}

static void on_restart(struct timer *timer)
{
	struct node *node = container_of(timer, struct node, restart);

	if (!node->up) {
		node->up = true;
		node->daemon = daemon_new(node);
	}
	if (!node->gateway)
		start_gateway(node);
}

static void freeze(struct node *node)
{
	if (!node->gateway || node->frozen_until)
		return;
	end_turns(node->world);
	if (!node->gateway)
		return;
	node->frozen_until = node->world->now + (100 + world_dice(node->world, 4000)) * MILLISECOND;
	timer_set(&node->world->timers, &node->thaw, node->frozen_until);
	world_say(node->world, "%s: its gateway stands still", node->name);
}

static void stall(struct world *world, struct node *node, uint64_t time)
{
	end_turns(world);
	if (!node->gateway || node->stalled_until)
		return;
	node->stalled_until = world->now + time;
	timer_set(&world->timers, &node->unstall, node->stalled_until);
	world_say(world, "%s: its daemon stands still", node->name);
}

static void kill_something(struct world *world)
{
	struct node *node = &world->nodes[world_dice(world, world->node_count)];
	const uint32_t dice = world_dice(world, 10);

	if (dice < 3)
		freeze(node);
	else if (dice < 5)
		stop_gateway(node, true);
	else if (dice < 8)
		stop_gateway(node, false);
	else if (node->up)
		stop_node(node);
	if (!node->gateway && !timer_is_set(&node->restart))
		timer_set(&world->timers, &node->restart, world->now + (50 + world_dice(world, 2500)) * MILLISECOND);
}

static void cut_something(struct world *world)
{
	const unsigned a = world_dice(world, world->node_count), b = world_dice(world, world->node_count);
	struct node *node = &world->nodes[a];

	switch (world_dice(world, 5)) {
	case 0: /* all is well again */
		memset(world->cut, 0, sizeof world->cut);
		break;
	case 1: /* one way */
		world->cut[a][b] = true;
		break;
	case 2:
		world->cut[a][b] = world->cut[b][a] = true;
		break;
	case 3: /* somebody else's, who calls itself so */
		bus_tell_left(node);
		break;
	default: /* the host's connection with the bus */
		if (!node->gateway || node->frozen_until)
			break;
		node->gateway->now = world->now;
		node->touched = true;
		if (node->bus_up) {
			node->bus_up = false;
			gateway_on_bus_down(node->gateway, "the connection is lost");
			bus_tell_left(node);
		} else {
			bus_comes(node);
		}
	}
}

static void act(struct world *world)
{
	struct node *node = &world->nodes[world_dice(world, world->node_count)];
	const uint32_t dice = world_dice(world, 1000);

	if (dice < 800)
		clients_act(node->clients);
	else if (dice < 960 && (!world->flavour.slow || world_one_in(world, 20)))
		clients_take(node->clients);
	else if (dice < 960 && world->flavour.resizes && node->daemon && world_one_in(world, 10))
		daemon_resize(node->daemon);
	else if (dice >= 960 && dice < 966)
		clients_leave(node->clients);
	else if (dice >= 972 && dice < 980 && world->flavour.kills)
		kill_something(world);
	else if (dice >= 980 && dice < 988 && world->flavour.cuts)
		cut_something(world);
	else if (dice >= 988 && dice < 990 && world->flavour.pauses && node->daemon)
		daemon_pause(node->daemon, world_one_in(world, 2));
	else if (dice >= 966 && dice < 972 && world->flavour.stalls)
		stall(world, node, (50 + world_dice(world, 4000)) * MILLISECOND);
	else if (dice >= 990 && world->flavour.crashes && node->daemon)
		daemon_crash_worker(node->daemon);
}

/* ---- a world ---- */

static void choose_flavour(struct world *world)
{
	struct flavour *flavour = &world->flavour;

	flavour->calm = world_one_in(world, 5);
	flavour->large = world_one_in(world, 3);
	flavour->slow = world_one_in(world, 3);
	if (flavour->calm)
		return;
	flavour->lossy = world_one_in(world, 2);
	flavour->tells = world_one_in(world, 2);
	flavour->cuts = world_one_in(world, 2);
	flavour->kills = world_one_in(world, 2);
	flavour->crashes = world_one_in(world, 2);
	flavour->twins = world_one_in(world, 6);
	flavour->resizes = world_one_in(world, 3);
	flavour->stalls = world_one_in(world, 3);
	flavour->pauses = world_one_in(world, 3);
	flavour->tight = world->seed % 4 == 3;
	if (!flavour->lossy)
		return;
	world->loss = world_dice(world, world_one_in(world, 3) ? 300 : 50);
	world->doubles = world_dice(world, 100);
	world->delays = world_dice(world, 200);
}

static void begin(struct world *world, uint64_t seed, bool verbose)
{
	*world =
		(struct world){.seed = seed, .state = seed * UINT64_C(0x9e3779b97f4a7c15) + 1, .verbose = verbose, .now = SECOND};
	choose_flavour(world);
	world->node_count = 2 + world_dice(world, NODES - 1);
	for (unsigned i = 0; i < world->node_count; i++) {
		struct node *node = &world->nodes[i];
		*node = (struct node){.world = world, .number = i, .up = true};
		node->held_end = &node->held;
		(void)snprintf(node->name, sizeof node->name, "h%u",
			       world->flavour.twins && i == world->node_count - 1 ? 0 : i % 10);
		node->remote = world_one_in(world, 2);
		node->prefers_load = world_one_in(world, 2);
		node->remote_hosts = world_one_in(world, 2) ? world_dice(world, 1u << world->node_count) : 0;
		if (timer_open(&world->timers, &node->pools, on_pools) < 0 ||
		    timer_open(&world->timers, &node->restart, on_restart) < 0 ||
		    timer_open(&world->timers, &node->thaw, on_thaw) < 0 ||
		    timer_open(&world->timers, &node->room, on_room) < 0 ||
		    timer_open(&world->timers, &node->unstall, on_unstall) < 0)
			abort();
		node->daemon = daemon_new(node);
		node->clients = clients_new(node);
		start_gateway(node);
	}
	end_turns(world);
}

/* Does what is next. */
static void step(struct world *world, uint64_t until)
{
	uint64_t at = timers_next(&world->timers);
	struct node *next = NULL;

	for (unsigned i = 0; i < world->node_count; i++) {
		struct node *node = &world->nodes[i];
		if (node->gateway && !node->frozen_until && gateway_next(node->gateway) < at) {
			at = gateway_next(node->gateway);
			next = node;
		}
	}
	if (at > until) {
		world->now = until;
		return;
	}
	world->now = at > world->now ? at : world->now;
	if (next) {
		next->touched = true;
		next->gateway->now = world->now;
		gateway_run(next->gateway);
	} else {
		timers_run(&world->timers, world->now, 1);
	}
	end_turns(world);
}

static void run_until(struct world *world, uint64_t until)
{
	while (world->now < until)
		step(world, until);
}

/* Clients of a daemon that stands still hear nothing, whatever has come for them. */
static bool somebody_waits(const struct world *world)
{
	for (unsigned i = 0; i < world->node_count; i++)
		if (!world->nodes[i].stalled_until && clients_wait(world->nodes[i].clients))
			return true;
	return false;
}

static void heal(struct world *world)
{
	world->loss = world->doubles = world->delays = 0;
	memset(world->cut, 0, sizeof world->cut);
	for (unsigned i = 0; i < world->node_count; i++) {
		struct node *node = &world->nodes[i];
		thaw(node);
		unstall(node);
		if (node->daemon)
			daemon_pause(node->daemon, false);
		if (node->gateway && !node->bus_up)
			bus_comes(node);
	}
	end_turns(world);
}

/* Until nobody waits. */
static void wait_for_all(struct world *world)
{
	for (unsigned i = 0; i < QUIET_SECONDS * 20 && somebody_waits(world); i++) {
		for (unsigned k = 0; k < world->node_count; k++) {
			struct node *node = &world->nodes[k];
			if (node->stalled_until)
				continue;
			clients_take(node->clients);
			if (node->daemon)
				daemon_end_leases(node->daemon); /* else others wait until their holders leave */
		}
		end_turns(world);
		run_until(world, world->now + 50 * MILLISECOND);
	}
	for (unsigned i = 0; i < world->node_count; i++)
		if (somebody_waits(world) && !world->nodes[i].stalled_until)
			clients_say_waiting(world->nodes[i].clients);
	HOLDS(world, !somebody_waits(world), "somebody waits for ever");
}

/* One daemon stands still for longer than the others wait: nobody else waits for it. */
static void wait_without_one(struct world *world)
{
	struct node *node = &world->nodes[world_dice(world, world->node_count)];

	stall(world, node, 2 * QUIET_SECONDS * SECOND);
	if (node->stalled_until)
		wait_for_all(world);
	unstall(node);
}

static void check_quiet(struct world *world)
{
	for (unsigned i = 0; i < world->node_count; i++) {
		struct node *node = &world->nodes[i];
		if (!node->gateway)
			continue;
		HOLDS(world, gateway_is_quiet(node->gateway), "%s: something is left in the gateway: %u sessions served",
		      node->name, node->gateway->served);
		HOLDS(world, node->gateway->memory.used == 0, "%s: the gateway still holds %llu bytes", node->name,
		      (unsigned long long)node->gateway->memory.used);
		HOLDS(world, node->gateway->promised == 0 && node->gateway->others_promised == 0,
		      "%s: windows of no channel are promised", node->name);
		HOLDS(world, daemon_is_quiet(node->daemon), "%s: %u sessions of the daemon are left", node->name,
		      daemon_sessions(node->daemon));
	}
}

static void say_counts(const struct world *world)
{
	printf("%llu calls, %llu answered, %llu failed, %llu HOST_LOST, %llu UNREACHABLE; good, by kind:",
	       (unsigned long long)world->calls, (unsigned long long)world->answered, (unsigned long long)world->failed,
	       (unsigned long long)world->lost, (unsigned long long)world->unreachable);
	for (unsigned i = 0; i < 16; i++)
		printf(" %llu", (unsigned long long)world->good[i]);
	printf("\n");
}

/* Each host that a gateway knows has run the sticky calls that this gateway remembers, and no other of [remote p]. */
static void check_sticky(struct world *world, const struct node *origin)
{
	const struct sticky *sticky;

	if (!origin->gateway || origin->gateway->state != GATEWAY_SERVING)
		return;
	TAILQ_FOREACH(sticky, &origin->gateway->stickies, entry)
		for (unsigned i = 0; i < world->node_count; i++) {
			const struct node *node = &world->nodes[i];
			struct reader reader = reader_of(sticky->ask.args);
			uint32_t count;
			uint64_t token;
			if (!node->gateway || node->gateway->state != GATEWAY_SERVING)
				continue;
			const bool is_meant = sticky->ask.target.host.size > 0 || node == origin || !origin->remote_hosts ||
					      (origin->remote_hosts & 1u << (node->name[1] - '0'));
			HOLDS(world, read_array(&reader, &count) == 0 && read_uint(&reader, &token) == 0,
			      "a sticky call has no token");
			HOLDS(world, daemon_has_run(node->daemon, (uint32_t)token) == is_meant,
			      "%s has%s had the sticky call %u of %s", node->name, is_meant ? " not" : "", (unsigned)token,
			      origin->name);
		}
}

/* A gateway stands still until the others have forgotten it. It has forgotten none of them. */
#define SLEEP (610 * SECOND)

static void sleep_long(struct world *world)
{
	struct node *node = &world->nodes[world_dice(world, world->node_count)];

	if (!node->gateway || node->frozen_until)
		return;
	end_turns(world);
	for (unsigned i = 0; i < world->node_count; i++)
		clients_close_all(world->nodes[i].clients); /* what is in use is asked whether it is there, and ends by itself */
	end_turns(world);
	run_until(world, world->now + SECOND);
	if (!node->gateway || node->frozen_until)
		return;
	node->frozen_until = world->now + SLEEP;
	timer_set(&world->timers, &node->thaw, node->frozen_until);
	world_say(world, "%s: its gateway sleeps", node->name);
	run_until(world, node->frozen_until + SECOND);
}

enum { JOINED = 1500 }; /* items: enough for some seconds */

/* A host that comes while a map runs gets some of its items. */
static void join(struct world *world)
{
	struct node *node = &world->nodes[world->node_count - 1];

	stop_gateway(node, true);
	run_until(world, world->now + SECOND);
	const uint32_t token = clients_ask_map(world->nodes[0].clients, JOINED);
	end_turns(world);
	run_until(world, world->now + world_dice(world, 200) * MILLISECOND);
	start_gateway(node);
	for (unsigned i = 0; i < QUIET_SECONDS * 20 && clients_wait(world->nodes[0].clients); i++) {
		clients_take(world->nodes[0].clients);
		end_turns(world);
		run_until(world, world->now + 50 * MILLISECOND);
	}
	HOLDS(world, !clients_wait(world->nodes[0].clients), "a map waits for ever");
	for (uint32_t i = 0; i < JOINED; i++)
		if (world->tokens[token + i].where[0] >> 8 == node->number)
			return;
	world_fail(world, "%s came while a map ran, and had none of its items", node->name);
}

/* One pool is paused, and all know: nobody who asks any host waits for it. */
static void ask_beside_a_pause(struct world *world)
{
	struct node *node = &world->nodes[world_dice(world, world->node_count)];

	if (!node->daemon || world->flavour.twins || world->flavour.tight) /* tight: the others may have no session for it */
		return;
	daemon_pause(node->daemon, true);
	run_until(world, world->now + 4 * SECOND); /* also a gateway that has just been started serves then */
	for (unsigned i = 0; i < 40; i++) {
		struct node *asks = &world->nodes[world_dice(world, world->node_count)];
		if (!asks->remote || !asks->remote_hosts) /* else it may name nobody but the one that is paused */
			clients_ask_any(asks->clients);
		end_turns(world);
		run_until(world, world->now + world_dice(world, 16) * MILLISECOND);
	}
	wait_for_all(world);
	daemon_pause(node->daemon, false);
}

/* A beat of a host that is made up. */
static void give_made_up(struct gateway *gateway, unsigned number)
{
	struct sendq to = {0};
	uint8_t sum[8];
	char name[16];
	size_t size;

	const int length = snprintf(name, sizeof name, "x%u", number);
	put_array(&to, 6);
	put_uint(&to, 1); /* version */
	put_uint(&to, number + 1); /* incarnation */
	put_uint(&to, 1);
	put_uint(&to, 1000);
	put_bool(&to, false);
	put_nil(&to);
	uint8_t *flat = world_flat(&to, &size);
	(void)pack_be64(sum, sum_of(0, flat, size));
	sendq_copy(&to, sum, sizeof sum);
	free(flat);
	flat = world_flat(&to, &size);
	gateway_on_beat(gateway, (struct span){.bytes = (const uint8_t *)name, .size = (size_t)length},
			(struct span){.bytes = flat, .size = size});
	free(flat);
	sendq_clear(&to);
}

/* Many names are made up; then one comes that is not, and the hosts that are there stay. */
static void check_crowd(struct world *world)
{
	struct node *node = &world->nodes[world_dice(world, world->node_count)];
	const char newcomer[] = "x9999";

	if (!node->gateway)
		return;
	struct gateway *gateway = node->gateway;
	const struct host *host;
	unsigned there = 0, still = 0;
	gateway->now = world->now;
	TAILQ_FOREACH(host, &gateway->hosts->list, entry)
		there += host->state == HOST_READY;
	for (unsigned i = 0; i < HOSTS_MAX; i++)
		give_made_up(gateway, i);
	node->touched = true;
	end_turns(world);
	run_until(world, world->now + 3 * SECOND);
	gateway->now = world->now;
	give_made_up(gateway, 9999);
	const struct span name = {.bytes = (const uint8_t *)newcomer, .size = sizeof newcomer - 1};
	HOLDS(world, hosts_find(gateway->hosts, name), "%s: a host can't come, as there have been many", node->name);
	TAILQ_FOREACH(host, &gateway->hosts->list, entry)
		still += host->state == HOST_READY && host->name[0] == 'h';
	HOLDS(world, still == there, "%s: %u of %u hosts were forgotten", node->name, there - still, there);
	node->touched = true;
	end_turns(world);
}

static void play(uint64_t seed, bool verbose)
{
	static struct world world_of_seed;
	struct world *world = &world_of_seed;

	begin(world, seed, verbose);
	run_until(world, world->now + 1700 * MILLISECOND); /* they find each other */
	if (world->flavour.calm && world_one_in(world, 4))
		join(world);
	const bool sleeps = world->flavour.kills && world_one_in(world, 20);
	for (unsigned i = 0; i < ACTIONS; i++) {
		if (sleeps && i == ACTIONS / 2)
			sleep_long(world);
		act(world);
		end_turns(world);
		run_until(world, world->now + world_dice(world, 16) * MILLISECOND);
	}
	world->quieting = true;
	heal(world);
	if (world->flavour.stalls)
		wait_without_one(world);
	wait_for_all(world);
	if (world->flavour.pauses)
		ask_beside_a_pause(world);
	run_until(world, world->now + SECOND); /* what is under way arrives */
	for (unsigned i = 0; i < world->node_count; i++)
		if (world->nodes[i].gateway)
			wires_check_quiet(&world->nodes[i]);
	for (unsigned i = 0; i < world->node_count; i++)
		clients_close_all(world->nodes[i].clients);
	end_turns(world);
	run_until(world, world->now + 8 * SECOND);
	check_quiet(world);
	for (unsigned i = 0; i < world->node_count; i++)
		check_sticky(world, &world->nodes[i]);
	if (seed % 20 == 7)
		check_crowd(world);
	for (unsigned i = 0; i < world->node_count; i++) {
		struct node *node = &world->nodes[i];
		stop_gateway(node, true);
		node->clients = clients_free(node->clients);
		node->daemon = daemon_free(node->daemon);
		timer_close(&world->timers, &node->pools);
		timer_close(&world->timers, &node->restart);
		timer_close(&world->timers, &node->thaw);
		timer_close(&world->timers, &node->room);
		timer_close(&world->timers, &node->unstall);
	}
	world->node_count = 0;
	while (timers_next(&world->timers) != UINT64_MAX) /* messages that are still under way */
		timers_run(&world->timers, UINT64_MAX, 1);
	if (verbose)
		say_counts(world);
	timers_free(&world->timers);
	free(world->tokens);
}

int main(int argc, char **argv)
{
	unsigned long long from = 1, to = 1;
	bool verbose = false;

	for (int i = 1; i < argc; i++) {
		if (!strcmp(argv[i], "--verbose")) {
			verbose = true;
		} else if (!strcmp(argv[i], "--seed") && i + 1 < argc) {
			from = to = strtoull(argv[++i], NULL, 10);
		} else if (strcmp(argv[i], "--seeds") != 0 || i + 1 >= argc || sscanf(argv[++i], "%llu-%llu", &from, &to) != 2) {
			fprintf(stderr, "usage: gateway-sim [--seed N | --seeds FROM-TO] [--verbose]\n");
			return 2;
		}
	}
	for (unsigned long long seed = from; seed <= to; seed++)
		play(seed, verbose);
	printf("%llu passed, 0 failed\n", to - from + 1);
	return 0;
}
