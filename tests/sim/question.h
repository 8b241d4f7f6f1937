/* SPDX-License-Identifier: Apache-2.0 */
/* question: a request of a client, or of a method of a played worker; and checks of its answer. */
#ifndef SIM_QUESTION_H
#define SIM_QUESTION_H

#include "proto/rpc.h"
#include "tests/sim/value.h"

enum { QUESTION_ITEMS = 60, QUESTION_YIELDS = 12 };

enum kind { KIND_SINGLE, KIND_ALL, KIND_MAP, KIND_SCATTER, KIND_LEASE };

struct question {
	struct question *next;
	uint32_t msgid;
	enum kind kind;
	unsigned pool;            /* number of the pool */
	char target[16];          /* "p:0" */
	bool plain;               /* it is pool.method; else objpool.call */
	bool nested;              /* a worker's method asks */
	bool denied;              /* who asks has no right to it */
	bool limited;             /* who asks is a user, with limits */
	bool cancelled;           /* its client has cancelled it */
	bool too_late;            /* its method had committed itself before that */
	bool early;               /* it, or its client, came before the daemon was asked to stop */
	bool yields;              /* the method yields, if its caller takes what it yields */
	uint32_t token, count;    /* the first token, and how many follow */
	enum errors errors;
	int priority;             /* 0: the option is not given */
	bool idempotent, notification, sticky, sync, timeout, bind, traced;
	bool stream, ordered, fed;
	bool fed_up;              /* objpool.feed_end was sent */
	bool input_failed;
	bool may_go;              /* of a nested call: an instance that could do it waits for nobody */
	uint32_t window;          /* 0: the option is not given */
	uint32_t granted, given;  /* credit, and items fed against it */
	uint32_t results, failures;
	uint8_t seen[QUESTION_ITEMS + 1];
};

/* How the values of an answer are read. */
struct listener {
	struct world *world;
	bool (*read)(struct listener *listener, struct reader *reader, uint32_t *token); /* reads the next token */
};

struct question *question_new(struct world *world, bool nested);

/* Makes a plain call of the same method, with a token of its own. NULL: the question could not travel in a train. */
struct question *question_like(struct world *world, const struct question *question);

/* How many bytes the question's params take at most. */
size_t question_size(const struct question *question);

/* The method string of the request: "p.echo" or "objpool.call". */
struct span question_method(const struct question *question, char room[32]);

/* Writes the args, or the four params of objpool.call. */
void question_write(const struct question *question, struct writing *writing);

/* How many tasks the question has. */
uint32_t question_tasks(const struct question *question);

/* Checks an answer: it must belong to this question, and be true. */
void question_on_answer(struct listener *listener, struct question *question, const struct rpc *rpc);

/* A notification of the daemon about this question has come: result, results, credit or progress. */
void question_on_notification(struct listener *listener, struct question *question, const struct rpc *rpc);

/* How often each task of the question may run at most. */
void question_check_runs(const struct world *world, const struct question *question);

#endif
