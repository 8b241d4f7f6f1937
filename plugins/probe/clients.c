/* SPDX-License-Identifier: Apache-2.0 */
/* What a Probe hears of clients: leases, and the ends of sessions; and the methods that tell of it. */
#include "plugins/probe/arguments.h"

#include <stdio.h>

int probe_leased(void *self, struct objpool_call *call)
{
	struct probe *probe = self;

	if (probe->lease_fail)
		return objpool_fail(call, "ProbeError", "%s", probe->lease_fail);
	probe->leased++;
	probe->lease_session = call->session;
	return 0;
}

void probe_released(void *self, struct objpool_call *call)
{
	struct probe *probe = self;

	probe->released++;
	probe->lease_session = call->session;
}

int probe_leases(void *self, struct objpool_call *call, probe_args *args, msgpack_packer *result)
{
	const struct probe *probe = probe_called(self);

	(void)call;
	(void)args;
	msgpack_pack_map(result, 3);
	put_text(result, "leased");
	msgpack_pack_uint64(result, probe->leased);
	put_text(result, "released");
	msgpack_pack_uint64(result, probe->released);
	put_text(result, "session");
	msgpack_pack_uint64(result, probe->lease_session);
	return 0;
}

void probe_session_end(void *self, struct objpool_call *call, uint64_t session)
{
	const msgpack_object ended = {.type = MSGPACK_OBJECT_POSITIVE_INTEGER, .via.u64 = session};

	(void)call;
	if (series_add(&((struct probe *)self)->ended, &ended) < 0)
		(void)fprintf(stderr, "no memory to remember that session %llu ended\n", (unsigned long long)session);
}

int probe_ended(void *self, struct objpool_call *call, probe_args *args, msgpack_packer *result)
{
	(void)call;
	(void)args;
	put_series(result, &probe_called(self)->ended);
	return 0;
}
