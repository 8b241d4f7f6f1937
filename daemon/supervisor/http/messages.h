/* SPDX-License-Identifier: Apache-2.0 */
/* messages: whole messages out of the queue of a client's answers, for a client that is no socket. A message lies there in
 * pieces. */
#ifndef SUPERVISOR_MESSAGES_H
#define SUPERVISOR_MESSAGES_H

#include "proto/read.h"
#include "proto/scan.h"
#include "proto/sendq.h"

struct messages {
	struct account *account; /* is charged the memory; NULL: none is */
	uint64_t limit;          /* of a message's size */
	uint8_t *bytes;
	size_t begin, have, room; /* bytes[begin] to bytes[have] were taken out of the queue */
	size_t given;             /* the size of the message that was given last */
	struct scan scan;
	bool scanning;
};

/* Takes the next message out of the queue: it stays where it is until the next call. 1; 0: none is whole; -EMSGSIZE: it is over
 * the limit; -ENOMEM; -EBADMSG. After an error nothing more can be taken. */
int messages_next(struct messages *messages, struct sendq *from, struct span *message);

void messages_free(struct messages *messages);

#endif
