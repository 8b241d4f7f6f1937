/* SPDX-License-Identifier: Apache-2.0 */
/*
 * stream: the results of a call leave one by one, each as a notification `objpool.result [msgid, index, error, value]`, in
 * task order or as they come. With `runs`, values of tasks that follow each other leave together, as `objpool.results [msgid,
 * first, [value, …]]`. Results that are ready before their turn are kept. Neighbours are one piece:
 *
 *     sent ----.      .-- piece 7..9 --.   .- piece 12 -.
 *   0 1 2 3 4 5|6     |7 8 9           |   |12          |      task 6 runs; when it is done, 6..9 leave
 */
#ifndef CORE_STREAM_H
#define CORE_STREAM_H

#include "daemon/core/records/client.h"

TAILQ_HEAD(stream_piece_list, stream_piece);

struct stream {
	bool on;
	bool ordered;
	bool runs;                      /* values of tasks that follow each other leave together */
	uint64_t sent;                  /* results that have left; if ordered, the number of the task whose turn it is */
	uint64_t failed;                /* errors among the results that have left */
	uint64_t bytes;                 /* of all values that have come */
	uint64_t values;                /* how many values have come */
	struct stream_piece_list early; /* results that came before their turn, in task order */
	uint64_t early_bytes;
	struct account *account;        /* `early` is charged to it */
	const struct core *labels;      /* each value has its host and slot before it, see label.h; NULL: it hasn't */
};

/* The fields on, ordered and runs are set by the request's options, and stay. `labels` may be NULL. */
void stream_init(struct stream *stream, struct account *account, const struct core *labels);
void stream_free(struct stream *stream);

/* The values of `count` tasks from `first` on have come; or a task has failed. They leave, or wait for their turn. 0 or
 * -ENOMEM. */
int stream_values(struct stream *stream, const struct ticket *ticket, uint64_t first, uint32_t count, struct span values,
		  struct block *block);
int stream_failure(struct stream *stream, const struct ticket *ticket, uint64_t index, const struct error *error);

/* Appends items and failed, STREAM_COUNTS fields of a map: of the summary, and of the error of a stream that fails. */
enum { STREAM_COUNTS = 2 };
void stream_put_counts(const struct stream *stream, struct sendq *out);

/* Ends the ticket with the summary {items, failed}; with `runs` also item_ns: nanoseconds that an item is estimated to take. */
void stream_close(const struct stream *stream, struct ticket *ticket, uint64_t item_ns);

/* Sends objpool.progress [msgid, done, total, text]. `values` has the last three, packed. */
void stream_progress(const struct ticket *ticket, struct span values);

/* Sends objpool.credit [msgid, n]. */
void stream_credit(const struct ticket *ticket, uint64_t n);

#endif
