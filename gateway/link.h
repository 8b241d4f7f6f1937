/* SPDX-License-Identifier: Apache-2.0 */
/* link: the socket to the supervisor: messages of proto/gateway_link.h, both ways. */
#ifndef GATEWAY_LINK_H
#define GATEWAY_LINK_H

#include "gateway/program.h"

/* Each whole message that comes is given to `on_message`; `block` holds its bytes. A negative result ends the program. NULL:
 * out of memory. */
struct link *link_new(struct program *program, int fd,
		      int (*on_message)(struct program *program, struct span message, struct block *block));
struct link *link_free(struct link *link); /* accepts NULL; returns NULL */

/* gateway_ops.supervisor_wrote. */
void link_on_wrote(struct gateway *gateway);

/* A turn is over: sends, and reads on or not, as the core wants. */
void link_end_turn(struct link *link);

#endif
