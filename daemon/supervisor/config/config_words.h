/* SPDX-License-Identifier: Apache-2.0 */
/* config_words: values that are lists of words: patterns of rules, names of roles, and by what users are known. */
#ifndef SUPERVISOR_CONFIG_WORDS_H
#define SUPERVISOR_CONFIG_WORDS_H

#include "daemon/supervisor/config/config_table.h"

struct config_words;

/* Adds the words of the value to the struct config_words `field`, each without a place. As config_set_value. */
const char *config_set_words(void *field, const struct config_option *option, const char *text);

/* Says where the words without a place were given. 0 or -ENOMEM. */
int config_words_place(struct config_words *list, const char *place);

/* Is this a name of a role or a user? "*" is one of a user. */
bool config_is_user_name(const char *name);

/* Is this a name of a host, or of a domain, as [cluster] gives it? */
bool config_is_host_name(const char *name);

#endif
