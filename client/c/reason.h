/* SPDX-License-Identifier: Apache-2.0 */
/* reason: a sentence that says why there is no connection, where an errno does not say enough. */
#ifndef CLIENT_C_REASON_H
#define CLIENT_C_REASON_H

#include <stdarg.h>
#include <stdio.h>

struct reason {
	char text[512]; /* empty: the errno says all */
};

/* Returns `rc`. */
__attribute__((format(printf, 3, 4))) static inline int reason_give(struct reason *reason, int rc, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	(void)vsnprintf(reason->text, sizeof reason->text, format, arguments);
	va_end(arguments);
	return rc;
}

#endif
