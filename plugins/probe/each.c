/* SPDX-License-Identifier: Apache-2.0 */
/* Methods that take runs of items, made of those that take one. */
#include "plugins/probe/probe.h"

/* What the method returns counts only together with objpool_fail, which has failed the item at hand. */
static int each(void *self, struct objpool_call *call, msgpack_packer *result, objpool_method_fn *method)
{
	probe_args *args;

	while ((args = objpool_next_item(call)))
		(void)method(self, call, args, result);
	return 0;
}

#define EACH(name)                                                                                                               \
	int probe_each_##name(void *self, struct objpool_call *call, msgpack_packer *result)                                     \
	{                                                                                                                        \
		return each(self, call, result, probe_##name);                                                                   \
	}

EACH(echo)
EACH(add)
EACH(sleep)
EACH(index)
EACH(traceparent)
EACH(fail)
EACH(crash)
EACH(relay)
