/* SPDX-License-Identifier: Apache-2.0 */
/* fake: a played worker. It does in steps what a real worker does, and sometimes what no worker should do. */
#ifndef SIM_FAKE_H
#define SIM_FAKE_H

#include "proto/traceparent.h"
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
	uint32_t yields_left;
	uint64_t ahead; /* as fake->ahead */
	bool at_work;   /* it does not only wait */
	bool waits;     /* nothing has been done for it */
};

/* A small set of numbers. */
struct numbers {
	uint64_t *at;
	uint32_t count, room;
};

struct fake {
	struct fake *next;
	struct world *world;
	struct slot *slot;
	struct board *board;
	struct listener listener;    /* reads the answers to its nested calls */
	const struct arrived *files; /* the files of the answer that listener.read reads */
	bool stopped;                /* does nothing until it is continued, as after SIGSTOP */
	bool steps;                  /* a task that was put off runs for long */
	bool dead;                   /* it has died; the core will be told */
	bool failing;                /* its constructor will fail */
	bool cramped;                /* it has no memory, and refuses its tasks */
	bool started;                /* START has come */
	bool ready;
	bool owed_state;             /* its predecessor has handed over a state, and it has not been told to restore it */
	uint8_t *in;                 /* bytes that have come from the supervisor */
	size_t in_size;
	int fds[256];                /* descriptors that have come */
	uint32_t fd_count;
	struct arrived announced;    /* the files of the next message, as FILES has said */
	struct parcel *held;         /* messages that came while a method waited */
	struct parcel *task;         /* the message that it works on; NULL: none */
	bool items;                  /* `task` is ITEMS or CALLS; else CALL */
	bool train;                  /* `task` is CALLS */
	uint32_t *msgids;            /* of these calls */
	bool takes_yields;           /* the caller takes values that the method yields */
	bool named_gen;
	char trace[TRACEPARENT + 1]; /* the trace of the call of `task`; "": none */
	uint32_t id, first, count, item; /* of the batch of `task` */
	uint64_t session;            /* the session of that batch */
	uint32_t *tokens;
	bool running;                /* the item has begun */
	struct question *asked;      /* the nested call that its method waits for; NULL: none */
	uint32_t yields_left;
	bool yielding;
	uint64_t ahead;              /* bytes that were yielded, and that TAKEN has not told of */
	struct sendq out;            /* finished messages that are not flushed */
	struct sendq results;        /* values of items, behind `out`, without the head of their message */
	uint32_t results_count, results_id;
	uint64_t results_first;
	struct put_off put_off[FAKE_PUT_OFF];
	uint64_t last_tag;
	struct put_off *asker;       /* that has made the nested call `asked`; NULL: the running method has */
	struct numbers bound;        /* the bindings that it keeps */
	struct numbers applied;      /* tokens of the sticky calls that it has run */
	struct numbers served;       /* sessions whose calls it has run, and whose end it was not told */
	struct numbers ended;        /* sessions that it was told have ended */
	uint64_t leased;             /* the session that has leased it; 0: none */
	struct loan loans[LENT_PLACES];
	struct fake_channel {        /* its direct channels, by place */
		bool open, told;     /* told: by DETACH to close it */
		uint64_t session, number;
		uint64_t put_off;    /* number + 1 of a message whose answer was put off; 0: none */
	} channels[DIRECT_MAX];
	struct fake_channel *at;     /* whose message runs; NULL: none does */
};

/* The slot's worker. NULL: it has none. */
static inline struct fake *fake_of(const struct slot *slot)
{
	return slot->owner;
}

void fake_new(struct slot *slot);

/* A worker, chosen by the dice, does a step. */
void fake_work(struct world *world);
void fake_kill_one(struct world *world);

/* Gives the core the messages that the worker has finished. */
void fake_flush(struct fake *fake);

/* Tells the core that the worker has ended. `reason` as for slot_on_gone. */
void fake_gone(struct fake *fake, int status, const char *reason);

/* Has the worker nothing to do, and nothing to read? */
bool fake_is_idle(const struct fake *fake);

/* Prints what each worker does. */
void fake_say_all(const struct world *world);

/* Checks that every idle instance has got each remembered sticky call once, and was told of the end of each session. */
void fake_check_all(struct world *world);

/* ---- for liar.c ---- */

void fake_put(struct fake *fake, const uint8_t *bytes, const uint8_t *end);
uint8_t *fake_pack_failure(uint8_t *p, const char *ran);

/* The worker has lied: errors about the tasks in its hands need not be true any more. */
void fake_lies_of_all(struct fake *fake);

#endif
