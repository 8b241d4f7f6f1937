/* SPDX-License-Identifier: Apache-2.0 */
/*
 * slices: the items of a map or scatter, as the arguments have them: columns that are zipped, or one array of items (`args_as`).
 * They are taken from front to back. An item is what a fed map takes: one argument, or an array or a map of them.
 *
 *   zip         [[a0, a1, …], [b0, b1, …]]    item 0 is [a0, b0]; with one column it is a0
 *   otherwise   [i0, i1, …]                   item 0 is i0
 *
 * Keywords are columns, too (kwargs: {"k": [k0, k1, …]}). With them, and no other columns, item 0 is {"k": k0}; else it is
 * [arguments, {"k": k0}].
 */
#ifndef GATEWAY_SLICES_H
#define GATEWAY_SLICES_H

#include "gateway/core/ask.h"

enum { SLICES_COLUMNS = 1024 };

struct column {
	struct span name;     /* of a keyword; with its header. size 0: none */
	struct reader reader; /* behind the items that have been taken */
};

struct slices {
	uint32_t count; /* items in all */
	uint32_t taken;
	uint32_t columns, keywords; /* how many of the columns, the last ones, are keywords */
	struct column *column;
	enum ask_args args_as; /* as the request has it */
};

/* 0; or -EINVAL with *error made. The spans of `ask` must stay. */
int slices_open(struct slices *slices, const struct ask *ask, struct error *error);
void slices_close(struct slices *slices);

/* How a fed map takes the items. */
enum ask_args slices_args_as(const struct slices *slices);

/* Does each item lie in one piece in the request? Then slices_take takes the next one, else slices_put writes it. */
static inline bool slices_are_whole(const struct slices *slices)
{
	return slices->columns == 1 && slices->keywords == 0;
}
struct span slices_take(struct slices *slices);
void slices_put(struct slices *slices, struct sendq *to);

/* Writes the next `count` items as arguments of a scatter, in the form in which they came: args, then the option kwargs if there
 * is one: slices_put_kwargs. */
void slices_put_args(const struct slices *slices, uint32_t count, struct sendq *to);
void slices_put_kwargs(const struct slices *slices, uint32_t count, struct sendq *to);
void slices_skip(struct slices *slices, uint32_t count);

#endif
