/* SPDX-License-Identifier: Apache-2.0 */
#include "client/c/client_target.h"

#include <string.h>

const char *client_target_select(char target[CLIENT_TARGET_SIZE], const char *method, const char *selector)
{
	const char *dot = strchr(method, '.');
	const size_t n = dot ? (size_t)(dot - method) : 0;
	const size_t m = strlen(selector);

	if (n == 0 || n + m >= CLIENT_TARGET_SIZE)
		return NULL;
	memcpy(target, method, n);
	target[n] = '\0';
	if (!strchr(target, ':'))
		memcpy(target + n, selector, m + 1);
	return strcmp(strchr(target, ':'), selector) == 0 ? dot + 1 : NULL;
}
