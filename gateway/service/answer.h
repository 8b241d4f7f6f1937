/* SPDX-License-Identifier: Apache-2.0 */
/*
 * answer: what programs on the bus are answered, in the form of their request. A failure has a body, too: the error as a map
 * (code, message, ran, …); and the headers of NATS services, Nats-Service-Error-Code (a number as of HTTP) and Nats-Service-Error
 * ("CODE: message").
 */
#ifndef GATEWAY_ANSWER_H
#define GATEWAY_ANSWER_H

#include "gateway/bus/bus.h"
#include "gateway/core/base.h"
#include "gateway/service/body.h"

enum { ANSWER_TEXT = 256 };

/* Where answers go. */
struct outlet {
	const struct bus_engine *engine;
	struct bus *bus; /* NULL: none is open */
	struct account *account;
};

/* A subject is named by whoever asks, and the answer is sent with this host's permissions: it must not reach where only hosts may
 * write, or the server's own subjects. */
bool answer_may_go_to(const char *reply);

/* 0; or -1 with *error made: it can't be sent so, and nothing was. An answer is lost silently if the bus is not there. */
int answer_value(struct outlet *outlet, const char *reply, enum body_form form, struct span value, struct error *error);

/* What was written to the queue, which is emptied: one value. Likewise. */
int answer_written(struct outlet *outlet, const char *reply, struct sendq *written, struct error *error);

/* `map` is the error in packed form. Writes "CODE: message" to `text`. */
void answer_error(struct outlet *outlet, const char *reply, enum body_form form, struct span map, char text[ANSWER_TEXT]);
void answer_failure(struct outlet *outlet, const char *reply, enum body_form form, const struct error *error,
		    char text[ANSWER_TEXT]);

#endif
