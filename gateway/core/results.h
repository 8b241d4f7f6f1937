/* SPDX-License-Identifier: Apache-2.0 */
/*
 * results: the results of a call that has many, from several hosts: each comes once, in any order. They leave as the client wants
 * them: one by one, in order or as they come, or all together in the answer.
 *
 *   results_take(index) --> leaves at once            streamed, and it is its turn, or order does not matter
 *                      \--> waits by its index        else: until those before it have left, or until all are there
 *
 * Errors are kept as maps (host and index in them), and take the client's form when they leave.
 */
#ifndef GATEWAY_RESULTS_H
#define GATEWAY_RESULTS_H

#include "gateway/core/ask.h"
#include "gateway/core/call.h"

/* A result that waits. A short one lies in the cell itself. */
struct cell {
	union {
		uint8_t *bytes;
		uint8_t here[sizeof(uint8_t *)];
	};
	uint32_t size; /* 0: none has come */
	bool is_error;
};

struct results {
	struct call *call;
	struct account *account;
	char *pool; /* NULL: there was no memory for its name */
	bool streams, runs, ordered, collects, first, progress;
	/* The host and the slot of a result, if the client wants labels; else NULL. */
	void (*label)(const struct results *results, uint64_t index, const char **host, uint32_t *slot);
	struct cell *cells; /* cells[start] is that of result `base` */
	uint64_t base;
	uint32_t start, count, room;
	uint64_t bytes;         /* of all that wait */
	uint64_t taken, failed; /* how many came, and were errors */
	uint64_t left;          /* how many left, if streamed */
	uint64_t total;         /* UINT64_MAX: not known yet */
	uint64_t told;          /* when progress was last told; 0: not yet */
	uint64_t told_taken;    /* what was told then */
	bool told_total;        /* likewise */
	uint64_t failed_index;  /* of the failure that comes first by index; UINT64_MAX: none */
	uint8_t *failure;
	size_t failure_size;
	/* A run: values of results that follow each other, which leave in one message. */
	struct sendq run;
	uint64_t run_first;
	uint32_t run_count;
};

void results_open(struct results *results, struct call *call, const struct ask *ask);
void results_close(struct results *results);

/* A result: `error` size 0: it is good. `block` holds the value; NULL: it is gone when this returns. The call may be over after
 * it (errors: "first"; too large; no memory): look at call->over. False: this result had come before. */
bool results_take(struct results *results, uint64_t index, struct span error, struct span value, struct block *block);

/* Whoever has taken results calls this before others have their turn: the last run leaves. */
void results_flush(struct results *results);

/* An error of the gateway's own as a result. */
void results_take_error(struct results *results, uint64_t index, struct error *error);

/* An error result: as a host has sent it, a map, with what is known of it. */
void results_take_failure(struct results *results, uint64_t index, struct span error, const struct error_context *context);

/* All have come: answers the call. */
void results_answer(struct results *results);

/* The call fails as a whole. `may_have_run`: some of it, whatever the error says. */
void results_fail(struct results *results, struct error *error);
void results_fail_for_memory(struct results *results);
void results_fail_for_cancel(struct results *results);
void results_fail_for_time(struct results *results);
void results_fail_with(struct results *results, struct span error, const char *host, bool may_have_run);

#endif
