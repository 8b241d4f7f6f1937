/* SPDX-License-Identifier: Apache-2.0 */
/*
 * request_train: small plain calls of the method that the client called last, one behind the other among bytes that wait. Such calls
 * begin together (train.h). All others, and all that would be refused, come in by request.h.
 */
#ifndef CORE_REQUEST_TRAIN_H
#define CORE_REQUEST_TRAIN_H

#include "daemon/core/records/train.h"

/* Begins the plain calls that `waiting`, which need not be whole messages, begins with. Returns how many bytes they were, and *count
 * of them; 0 when there are not two at least. */
size_t request_train(struct client *client, struct span waiting, uint32_t *count);

#endif
