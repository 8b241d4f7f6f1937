/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/worker/plugin_faults.h"

#include <stdarg.h>
#include <stdio.h>

enum { SENTENCE = 1024 };

int plugin_fault(struct plugin_faults *faults, enum fault_kind kind, const char *format, ...)
{
	char text[SENTENCE];
	va_list list;

	va_start(list, format);
	(void)vsnprintf(text, sizeof text, format, list);
	va_end(list);
	faults->say(faults, kind, text);
	faults->count += kind == FAULT_ERROR;
	return -1;
}

static void keep_first(struct plugin_faults *faults, enum fault_kind kind, const char *text)
{
	struct plugin_first_fault *first = (struct plugin_first_fault *)faults; /* its first member */

	if (kind == FAULT_ERROR && faults->count == 0)
		(void)snprintf(first->reason, first->size, "%s", text);
}

struct plugin_first_fault plugin_first_fault(char *reason, size_t size)
{
	return (struct plugin_first_fault){.faults = {.say = keep_first}, .reason = reason, .size = size};
}
