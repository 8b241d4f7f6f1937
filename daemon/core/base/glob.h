/* SPDX-License-Identifier: Apache-2.0 */
/* glob: patterns of rules: `*` stands for any run of bytes, also none; every other byte for itself. */
#ifndef CORE_GLOB_H
#define CORE_GLOB_H

#include "proto/read.h"

#include <stdbool.h>

/* Does the pattern match the whole text? The time grows with the length of the text, not with its product by the pattern's. */
bool glob_matches(const char *pattern, struct span text);

/* Does the pattern match every text? */
bool glob_matches_all(const char *pattern);

#endif
