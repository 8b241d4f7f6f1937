/* SPDX-License-Identifier: Apache-2.0 */
/* meant: after a call of a pool or a method that there is not, the name that somebody may have meant. */
#ifndef CLI_MEANT_H
#define CLI_MEANT_H

#include "objpool/client.h"

/* Asks the daemon which names there are, as far as the caller may know them, and prints one that is near, if there is one.
 * `method`: the word TARGET.METHOD. */
void meant_tell(struct objpool_client *client, const char *method, const struct objpool_error *error);

#endif
