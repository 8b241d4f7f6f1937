/* SPDX-License-Identifier: Apache-2.0 */
/* words: packs values that are given on the command line. */
#ifndef CLI_WORDS_H
#define CLI_WORDS_H

#include "cli/cli.h"

/* Packs the word as JSON, or, if it is no JSON, as a string. EXIT_DONE, or EXIT_USAGE after it has printed an error. */
enum exit_status words_pack(struct objpool_packer *packer, const char *word);

/* Packs several words as an array. */
enum exit_status words_pack_array(struct objpool_packer *packer, char *const *words, int count);

/* Packs an option's value, which must be JSON of that type. Packs nothing if the option was not given. */
enum exit_status words_pack_option(struct objpool_packer *packer, const struct arguments *arguments, const char *name,
				   enum objpool_type type);

#endif
