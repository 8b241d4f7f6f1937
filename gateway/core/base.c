/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/core/base.h"

#include "proto/pack.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

/* splitmix64 (Steele, Lea, Flood: Fast Splittable Pseudorandom Number Generators, 2014). */
uint64_t gateway_random(struct gateway *gateway)
{
	uint64_t z = gateway->random += UINT64_C(0x9e3779b97f4a7c15);
	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

void gateway_supervisor_wrote(struct gateway *gateway, size_t bytes_before)
{
	if (bytes_before > 0 || gateway->to_supervisor.bytes == 0)
		return;
	gateway->told = 0;
	gateway->ops->supervisor_wrote(gateway);
}

void gateway_log(struct gateway *gateway, int level, const char *format, ...)
{
	const size_t before = gateway->to_supervisor.bytes;
	char text[400];
	va_list list;

	if (!gateway_may_tell(gateway))
		return;
	va_start(list, format);
	int n = vsnprintf(text, sizeof text, format, list);
	va_end(list);
	if (n < 0)
		return;
	if ((size_t)n >= sizeof text)
		n = (int)sizeof text - 1;
	error_make_utf8(text, (size_t)n);
	uint8_t *p = sendq_reserve(&gateway->to_supervisor, 2 * PACK_HEAD + 2 * PACK_UINT + sizeof text);
	if (!p)
		return;
	uint8_t *end = pack_uint(pack_array(p, 3), FROM_GATEWAY_LOG);
	end = pack_str(pack_uint(end, (uint64_t)level), text, (size_t)n);
	sendq_commit(&gateway->to_supervisor, (size_t)(end - p));
	gateway_supervisor_wrote(gateway, before);
	gateway->told += gateway->to_supervisor.bytes - before;
}

struct local *local_free(struct local *local)
{
	if (!local)
		return NULL;
	sendq_clear(&local->out);
	free(local->user);
	free(local->host);
	free(local);
	return NULL;
}
