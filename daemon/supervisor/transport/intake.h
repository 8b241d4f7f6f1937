/* SPDX-License-Identifier: Apache-2.0 */
/*
 * intake: reads from a transport, and gives whole messages. An idle connection holds no buffer: all connections read into one
 * scratch block, messages are taken from there, and only the beginning of an unfinished message is kept. A long message grows in
 * a block of its own, which may then be passed on without a copy.
 *
 * Nothing is allocated by a number that a stranger sent: the block doubles as bytes arrive. intake_next reports a message over
 * the limit once, and drops its bytes up to its end.
 *
 * With intake_use_payloads, a message that is certain to be large grows alone in a block that can be handed to a worker
 * by descriptor (proto/payload.h). Such a block has room for the size that the message claims; this room is address space until
 * bytes arrive. Only bytes that certainly belong to the message are read into it. When these are few, because the message has
 * many small values, INTAKE_READ_MIN bytes are read at once, and bytes behind the message's end are moved out.
 */
#ifndef SUPERVISOR_INTAKE_H
#define SUPERVISOR_INTAKE_H

#include "daemon/supervisor/transport/transport.h"
#include "proto/payload.h"
#include "proto/read.h"
#include "proto/scan.h"

#include <sys/types.h>

enum { INTAKE_SCRATCH = 256 << 10, INTAKE_READ_MIN = 16 << 10 };

struct intake {
	struct block *own;     /* an unfinished message and what follows; NULL: nothing is kept */
	struct block *scratch; /* borrowed between intake_read and intake_keep */
	size_t begin, end;     /* bytes not taken yet, in whichever of the two */
	uint64_t limit;
	struct account *account; /* bytes that are kept are charged to it */
	bool dropping;         /* the rest of a message over the limit, or one that was given up */
	bool given_up;         /* intake_give_up was called for the unfinished message */
	uint32_t deepest;      /* levels of the message just taken */
	bool deep;             /* the message just taken is nested beyond what the scan keeps count of */
	struct scan scan;
	struct payload_pool *payloads; /* NULL: no payloads are made */
	uint64_t payload_min;
	struct block *whole;   /* the block in which the large message just taken lies alone; NULL: it was not large */
	bool passing;          /* descriptors may come: those of messages, or for `discard` */
	bool lost;             /* some descriptors could not be received; it is not known which */
	uint32_t refs;         /* values of the message just taken that stand for descriptors */
	uint64_t begins;       /* its place in what arrivals has read */
	struct arrivals arrivals;
};

void intake_init(struct intake *intake, uint64_t limit, struct account *account);
void intake_use_payloads(struct intake *intake, struct payload_pool *payloads, uint64_t least);
void intake_free(struct intake *intake);

/* Descriptors may come. Until intake_pass, each is given to `discard`, which closes it. */
void intake_expect_files(struct intake *intake, void (*discard)(struct account *account, int fd));

/* From here on, descriptors of sealed memory files are kept. */
void intake_pass(struct intake *intake);

/* Reads once. Returns how many bytes, also when descriptors that came with them were `lost`; 0: end of input; a negative errno,
 * -EAGAIN among them. */
ssize_t intake_read(struct intake *intake, struct transport *transport, struct block *scratch);

/*
 * Takes the next whole message. 1; 0: more bytes are needed; -EBADMSG: this is no msgpack; -ENOMEM; -EMSGSIZE, once per
 * message: the message is over the limit, and *message is the part of its beginning that has come; -ENOBUFS: likewise, for a
 * message that was given up. *block holds the bytes, or is NULL: then they are gone after intake_keep.
 */
int intake_next(struct intake *intake, struct span *message, struct block **block);

/* The bytes that have not been taken, where a message begins: for a caller that takes small messages by itself, and says with
 * intake_pass_over how many bytes they were. None while a message is unfinished, or large. */
struct span intake_waiting(const struct intake *intake);
void intake_pass_over(struct intake *intake, size_t size);

/* There is no memory for the unfinished message: drops its bytes, and the rest as it comes. True: there is an unfinished
 * message, and the next call of intake_next returns -ENOBUFS for it. */
bool intake_give_up(struct intake *intake);

/* Before the scratch block is used by another: keeps what has not been taken. 0 or -ENOMEM. */
int intake_keep(struct intake *intake);

/* Is there something that intake_next may find a message in? */
static inline bool intake_has(const struct intake *intake)
{
	return intake->end > intake->begin;
}

#endif
