/* SPDX-License-Identifier: Apache-2.0 */
/* fake: a played worker: what a real one does, in steps, and sometimes what none should. */
#ifndef SIM_FAKE_H
#define SIM_FAKE_H

#include "daemon/core/records/slot.h"
#include "tests/sim/question.h"

enum { FAKE_PUT_OFF = 6 };

/* A message from the supervisor, with its descriptors. */
struct parcel {
	struct parcel *next;
	struct arrived files;
	size_t size;
	uint8_t bytes[];
};

struct put_off {
	uint64_t tag;   /* 0: free */
	uint32_t token;
};

/* Numbers, few of them. */
struct numbers {
	uint64_t *at;
	uint32_t count, room;
};

struct fake {
	struct fake *next;
	struct world *world;
	struct slot *slot;
	struct board *board;
	struct listener listener;    /* of what its methods ask */
	const struct arrived *files; /* what listener.read looks into */
	bool stopped;                /* does nothing until it is continued, as after SIGSTOP */
	bool dead;                   /* it has died; the core will be told */
	bool failing;                /* its constructor will fail */
	bool cramped;                /* it has no memory for what it is given */
	bool started;                /* START has come */
	bool ready;
	bool owed_state;             /* its predecessor has handed over a state, and it has not been told to restore it */
	uint8_t *in;                 /* bytes that have come from the supervisor */
	size_t in_size;
	int fds[256];                /* descriptors, likewise */
	uint32_t fd_count;
	struct arrived announced;    /* by FILES: of the next message */
	struct parcel *held;         /* put aside while a method waited */
	struct parcel *task;         /* the message that it works on; NULL: none */
	bool items;                  /* ITEMS, or CALLS; else CALL */
	bool train;                  /* CALLS */
	uint32_t *msgids;            /* of these calls */
	bool takes_yields;           /* the caller takes values that the method yields */
	bool named_gen;
	uint32_t id, first, count, item; /* of that batch */
	uint64_t session;            /* whose it is */
	uint32_t *tokens;
	bool running;                /* the item has begun */
	struct question *asked;      /* what its method waits for; NULL: nothing */
	uint32_t yields_left;
	bool yielding;
	uint64_t ahead;              /* bytes yielded that were not taken */
	struct sendq out;            /* finished, not flushed */
	struct sendq results;        /* values of items, behind `out`, without the head of their message */
	uint32_t results_count, results_id;
	uint64_t results_first;
	struct put_off put_off[FAKE_PUT_OFF];
	uint64_t last_tag;
	struct numbers bound;        /* bindings that it has */
	struct numbers applied;      /* sticky tokens that it has had */
	struct numbers served;       /* sessions whose calls it ran, and that have not ended for it */
	struct numbers ended;        /* sessions that it was told have ended */
	uint64_t leased;             /* the session that has leased it; 0: none */
	struct loan loans[LENT_PLACES];
};

/* The slot's worker. NULL: it has none. */
static inline struct fake *fake_of(const struct slot *slot)
{
	return slot->owner;
}

void fake_new(struct slot *slot);

/* Some worker does something. */
void fake_work(struct world *world);
void fake_kill_one(struct world *world);

/* Gives the core the messages that the worker has finished. */
void fake_flush(struct fake *fake);

/* Tells the core that the worker has ended. `reason` as for slot_on_gone. */
void fake_gone(struct fake *fake, int status, const char *reason);

/* Has it nothing to do, and nothing to read? */
bool fake_is_idle(const struct fake *fake);

/* What each does. */
void fake_say_all(const struct world *world);

/* Every idle instance has been told every sticky call that is remembered, once, and of each session's end. */
void fake_check_all(struct world *world);

/* ---- for liar.c ---- */

void fake_put(struct fake *fake, const uint8_t *bytes, const uint8_t *end);
uint8_t *fake_pack_failure(uint8_t *p, const char *ran);

/* The worker has lied: errors of the tasks in its hands need not be true any more. */
void fake_lies_of_all(struct fake *fake);

#endif
