/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/core/share.h"

enum {
	/* What the gateway sees to, or what is different for the host. */
	OWN = OPTION_ERRORS | OPTION_LABELS | OPTION_ORDERED | OPTION_WINDOW | OPTION_PROGRESS | OPTION_TIMEOUT | OPTION_STREAM,
	OWN_OF_ITEMS = OWN | OPTION_ARGS_AS | OPTION_SYNC | OPTION_STICKY | OPTION_KWARGS,
};

static bool has_keywords(const struct share *share, const struct ask *ask)
{
	return share->slices && (ask->given & OPTION_KWARGS);
}

static void put_args(const struct share *share, const struct ask *ask, struct sendq *to)
{
	if (share->is_fed)
		put_nil(to);
	else if (share->slices)
		slices_put_args(share->slices, share->count, to);
	else
		ask_put_args(ask, to);
}

static void put_options(const struct share *share, const struct ask *ask, struct sendq *to)
{
	const bool keywords = has_keywords(share, ask), timed = share->time_left != UINT64_MAX;
	const bool streams = share->how != SHARE_GATHERED;

	ask_put_options(ask, to, share->is_fed ? OWN_OF_ITEMS : OWN | (keywords ? OPTION_KWARGS : 0),
			1u + (streams ? 2 : 0) + (share->args_as != NULL) + (share->window > 0) + keywords + timed);
	put_text(to, "errors");
	put_text(to, "collect");
	if (streams) { /* each result as it comes: the order is made here */
		put_text(to, "stream");
		if (share->how == SHARE_RUNS)
			put_text(to, "runs");
		else
			put_bool(to, true);
		put_text(to, "ordered");
		put_bool(to, false);
	}
	if (share->args_as) {
		put_text(to, "args_as");
		put_text(to, share->args_as);
	}
	if (share->window > 0)
		put_pair(to, "window", share->window);
	if (keywords) {
		put_text(to, "kwargs");
		slices_put_kwargs(share->slices, share->count, to);
	}
	if (timed)
		put_pair(to, "timeout_ms", share->time_left);
}

int share_ask(const struct share *share, const struct ask *ask, struct lane *lane, struct sub *sub, const struct sub_ops *ops)
{
	const uint32_t number = lane_number(lane);
	struct sendq *to = lane_begin(lane);

	ask_put_call(ask, to, number, lane->host->name, share->selector);
	put_args(share, ask, to);
	put_options(share, ask, to);
	return lane_end(lane, sub, number, ops);
}
