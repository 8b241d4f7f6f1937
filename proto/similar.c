/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/similar.h"

#include <ctype.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

struct similar similar_to(const char *word, size_t size)
{
	/* Of two characters one may be wrong, of six two. */
	return (struct similar){.word = word, .size = size, .distance = size < 2 ? 0 : size < 6 ? 2 : 3};
}

static size_t least(size_t a, size_t b)
{
	return a < b ? a : b;
}

static bool same(char a, char b)
{
	return tolower((unsigned char)a) == tolower((unsigned char)b);
}

/* How many characters must be put in, left out, replaced, or changed with their neighbour to make one word of the other (the
 * restricted Damerau-Levenshtein distance). Both words have at most SIMILAR_MAX characters. */
static size_t distance_of(const char *a, size_t a_size, const char *b, size_t b_size)
{
	size_t rows[3][SIMILAR_MAX + 1];
	size_t *before = rows[0], *last = rows[1], *row = rows[2];

	for (size_t j = 0; j <= b_size; j++)
		last[j] = before[j] = j;
	for (size_t i = 1; i <= a_size; i++) {
		row[0] = i;
		for (size_t j = 1; j <= b_size; j++) {
			row[j] = least(least(last[j], row[j - 1]) + 1, last[j - 1] + !same(a[i - 1], b[j - 1]));
			if (i > 1 && j > 1 && same(a[i - 1], b[j - 2]) && same(a[i - 2], b[j - 1]))
				row[j] = least(row[j], before[j - 2] + 1);
		}
		size_t *const oldest = before;
		before = last;
		last = row;
		row = oldest;
	}
	return last[b_size];
}

void similar_offer(struct similar *similar, const char *word)
{
	const size_t size = strlen(word);

	if (similar->size > SIMILAR_MAX || size > SIMILAR_MAX)
		return;
	const size_t distance = distance_of(similar->word, similar->size, word, size);
	if (distance >= similar->distance || distance >= size)
		return;
	similar->best = word;
	similar->distance = distance;
}

const char *similar_hint(const struct similar *similar, const char *before, char hint[SIMILAR_HINT])
{
	hint[0] = '\0';
	if (similar->best)
		(void)snprintf(hint, SIMILAR_HINT, "; did you mean %s%s?", before, similar->best);
	return hint;
}
