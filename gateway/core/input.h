/* SPDX-License-Identifier: Apache-2.0 */
/*
 * input: the items of a map over hosts that no host has: those in the request, those that the client has fed, and those that
 * lost hosts have given back.
 *
 *   the request's items --.
 *   feed, by credit ------+--> input --input_hand--> a host's items
 *   of a lost host -------'
 */
#ifndef GATEWAY_INPUT_H
#define GATEWAY_INPUT_H

#include "gateway/core/call.h"
#include "gateway/core/items.h"
#include "gateway/core/slices.h"

struct input {
	struct account *account;
	struct block *block;   /* holds the request's items; NULL: it is fed */
	struct slices slices;  /* likewise */
	struct items waiting;  /* items that were fed, or that lost hosts had */
	enum ask_args args_as; /* what an item is */
	bool is_fed, is_over, window_is_fixed;
	uint64_t next;    /* index of the next new item */
	uint64_t window;  /* items that the client may feed ahead of the results that have left */
	uint64_t granted; /* items that it may feed in all */
};

/* `block` holds the message. 0; or -EINVAL with *error made: then there is nothing to close. */
int input_open(struct input *input, struct account *account, const struct ask *ask, struct block *block, struct error *error);
void input_close(struct input *input);

/* How many items wait. */
static inline uint64_t input_waiting(const struct input *input)
{
	return input->waiting.count + (input->is_fed ? 0 : input->slices.count - input->slices.taken);
}

/* Moves the next `count` items, which must be there, to the end of `to`. 0; or -ENOMEM: none was moved, or all are lost. */
int input_hand(struct input *input, struct items *to, uint32_t count);

/* The item is handed out again; its reference is taken. 0 or -ENOMEM: then it is still the caller's. */
int input_give_back(struct input *input, struct item item);

/* The client has fed these items; `block` holds them, or NULL. 0; or -EINVAL or -ENOMEM with *error made. */
int input_feed(struct input *input, struct span items, struct block *block, struct error *error);

/* More credit for the client, if so many results have left. */
void input_grant(struct input *input, struct call *call, uint64_t left);

/* The window is that much at least, unless the client has named one. */
void input_widen(struct input *input, uint64_t window);

#endif
