/* SPDX-License-Identifier: Apache-2.0 */
/* config_values: the value of a key, from its text into the field of the configuration: a function for each type. */
#ifndef SUPERVISOR_CONFIG_VALUES_H
#define SUPERVISOR_CONFIG_VALUES_H

#include "daemon/supervisor/config/config_table.h"

/* Sets the field. NULL, or what is wrong with the value, as the end of a sentence: it holds until the next call. */
const char *config_set_value(void *field, const struct config_option *option, const char *text);

/* Sets all fields of `base`, a struct config or config_pool, to what they are where nothing is said. */
void config_preset(void *base, const struct config_table *table);

#endif
