/* SPDX-License-Identifier: Apache-2.0 */
/*
 * similar: the word that somebody may have meant. Begin with the word that nobody knows, offer each word that is known, and put
 * the hint behind the error.
 */
#ifndef PROTO_SIMILAR_H
#define PROTO_SIMILAR_H

#include <stddef.h>

enum { SIMILAR_MAX = 40, SIMILAR_HINT = SIMILAR_MAX + 24 };

struct similar {
	const char *word;
	size_t size;
	const char *best; /* NULL: none is near */
	size_t distance;  /* of the best; before there is one: the first that is too far */
};

/* Of `word` are `size` characters meant. It must live until the hint is made, as the words that are offered. */
struct similar similar_to(const char *word, size_t size);
void similar_offer(struct similar *similar, const char *word);
/* `hint` gets "; did you mean BEST?", or nothing if no word is near. `before` stands before BEST. Returns `hint`. */
const char *similar_hint(const struct similar *similar, const char *before, char hint[SIMILAR_HINT]);

#endif
