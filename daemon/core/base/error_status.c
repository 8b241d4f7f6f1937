/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/core/base/error_status.h"

static const int statuses[ERROR_CODES] = {
	[ERROR_BAD_REQUEST] = 400,    [ERROR_BAD_TARGET] = 400,  [ERROR_NO_SUCH_POOL] = 404, [ERROR_NO_SUCH_SLOT] = 404,
	[ERROR_NO_SUCH_METHOD] = 404, [ERROR_BAD_ARGUMENT] = 400, [ERROR_DENIED] = 403,      [ERROR_FAILED] = 500,
	[ERROR_WORKER_LOST] = 502,    [ERROR_TIMEOUT] = 504,     [ERROR_CANCELLED] = 503,    [ERROR_OVERLOADED] = 429,
	[ERROR_TOO_LARGE] = 413,      [ERROR_UNAVAILABLE] = 503, [ERROR_HOST_LOST] = 502,    [ERROR_UNREACHABLE] = 503,
	[ERROR_INTERNAL] = 500,
};

int error_status_of(enum error_code code)
{
	return statuses[code];
}

int error_status(struct span code)
{
	for (int i = 0; i < ERROR_CODES; i++)
		if (span_is(code, error_code_name((enum error_code)i)))
			return statuses[i];
	return 500;
}
