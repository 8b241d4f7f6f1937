/* SPDX-License-Identifier: Apache-2.0 */
/* words: values that stand on the command line, made msgpack. */
#ifndef CLI_WORDS_H
#define CLI_WORDS_H

#include "cli/cli.h"

/* JSON, or else a string. EXIT_DONE, or EXIT_USAGE after a complaint. */
enum exit_status words_pack(struct objpool_packer *packer, const char *word);

/* Likewise several, as an array. */
enum exit_status words_pack_array(struct objpool_packer *packer, char *const *words, int count);

/* An option's value, which must be JSON of that type; nothing is packed when it was not given. */
enum exit_status words_pack_option(struct objpool_packer *packer, const struct arguments *arguments, const char *name,
				   enum objpool_type type);

#endif
