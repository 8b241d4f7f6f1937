/* SPDX-License-Identifier: Apache-2.0 */
/* client_lease: objpool_lease and objpool_release. */
#include "client/c/routing.h"
#include "client/c/options.h"
#include "objpool/client.h"

#include <errno.h>
#include <string.h>

static void pack_limit(struct objpool_packer *args, const char *key, uint32_t ms)
{
	if (ms)
		objpool_pack(args, "s I", key, (int64_t)ms);
}

/* [pool, {timeout_ms, lease_ms, slot}] */
static void pack_lease(struct objpool_packer *args, const char *name, const struct objpool_lease_options *options)
{
	const uint32_t count = (options->timeout_ms ? 1u : 0) + (options->lease_ms ? 1u : 0) + (options->slot >= 0 ? 1u : 0);

	objpool_pack_array(args, 2);
	objpool_pack_cstr(args, name);
	objpool_pack_map(args, count);
	pack_limit(args, "timeout_ms", options->timeout_ms);
	pack_limit(args, "lease_ms", options->lease_ms);
	if (options->slot >= 0)
		objpool_pack(args, "s I", "slot", options->slot);
}

/* A name of a host. One that does not fit is none. */
static int read_host(struct objpool_reader *reader, char host[OBJPOOL_HOST_SIZE])
{
	const char *name;
	size_t size;

	if (objpool_read_str(reader, &name, &size) < 0 || size >= OBJPOOL_HOST_SIZE)
		return -EPROTO;
	memcpy(host, name, size);
	host[size] = '\0';
	return 0;
}

/* {slot, generation, host}; host only if it is another's, or if any was asked */
static int read_lease(struct objpool_lease *lease, char host[OBJPOOL_HOST_SIZE], struct objpool_bytes answer)
{
	struct objpool_reader reader = objpool_reader(answer);
	const char *key;
	size_t size;
	uint32_t count;
	int64_t number;

	*lease = (struct objpool_lease){.slot = -1};
	if (objpool_read_map(&reader, &count) < 0)
		return -EPROTO;
	for (; count > 0; count--) {
		if (objpool_read_str(&reader, &key, &size) < 0)
			return -EPROTO;
		const bool is_slot = size == 4 && memcmp(key, "slot", 4) == 0;
		const bool is_generation = size == 10 && memcmp(key, "generation", 10) == 0;
		if ((is_slot || is_generation) && objpool_read_int(&reader, &number) == 0)
			*(is_slot ? &lease->slot : &lease->generation) = number;
		else if (size == 4 && memcmp(key, "host", 4) == 0) {
			if (read_host(&reader, host) < 0)
				return -EPROTO;
		} else if (objpool_read_value(&reader, NULL) < 0)
			return -EPROTO;
	}
	return lease->slot < 0 ? -EPROTO : 0;
}

/* Calls a method of the daemon, and frees the arguments. */
static int ask(struct objpool_client *client, const char *method, struct objpool_packer *args, struct objpool_result *answer)
{
	int rc = args->error;

	if (rc == 0)
		rc = objpool_call(client, method, objpool_packed(args), NULL, answer);
	objpool_packer_free(args);
	return rc;
}

/* Moves an error to the caller's result, if there is one. Frees any other answer. */
static int conclude(int rc, struct objpool_result *answer, struct objpool_result *result)
{
	if (rc == -EREMOTEIO && result)
		*result = *answer;
	else
		objpool_result_free(answer);
	return rc;
}

int objpool_lease(struct objpool_client *client, const char *name, const struct objpool_lease_options *given,
		  struct objpool_lease *lease, struct objpool_result *result)
{
	const struct objpool_lease_options none = OBJPOOL_LEASE_OPTIONS_INIT;
	struct objpool_packer args = OBJPOOL_PACKER_INIT;
	struct objpool_lease_options options;
	struct objpool_result answer = {{NULL, 0}, NULL, NULL};
	char host[OBJPOOL_HOST_SIZE] = "";

	*lease = (struct objpool_lease){.slot = -1};
	if (result)
		*result = answer;
	if (OPTIONS_TAKE(&options, given ? given : &none) < 0)
		return -EINVAL;
	pack_lease(&args, name, &options);
	int rc = ask(client, "objpool.lease", &args, &answer);
	if (rc == 0)
		rc = read_lease(lease, host, answer.value);
	if (rc == 0 && !*host)
		routing_on_lease(client, name, lease->slot);
	if (rc == 0 && options.host)
		memcpy(options.host, host, sizeof host);
	return conclude(rc, &answer, result);
}

int objpool_release(struct objpool_client *client, const char *name, int64_t slot, struct objpool_result *result)
{
	struct objpool_packer args = OBJPOOL_PACKER_INIT;
	struct objpool_result answer = {{NULL, 0}, NULL, NULL};
	bool held = false;

	if (result)
		*result = answer;
	objpool_pack(&args, slot < 0 ? "[s]" : "[s I]", name, slot);
	int rc = ask(client, "objpool.release", &args, &answer);
	if (rc == 0) {
		struct objpool_reader reader = objpool_reader(answer.value);
		rc = objpool_read_bool(&reader, &held) < 0 ? -EPROTO : held;
		routing_on_release(client, name, slot);
	}
	return conclude(rc, &answer, result);
}
