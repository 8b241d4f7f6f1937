/* SPDX-License-Identifier: Apache-2.0 */
/*
 * client: large values as a program with libobjpool has them: one bin of SIZE bytes as argument, the result looked at and freed.
 *   client HOW SOCKET METHOD SIZE N
 * HOW is `bytes`: without descriptors; `copy`: with them, the arguments in the program's own memory; `place`: packed where they are
 * passed on.
 */
#include "bench/bench.h"

#include <objpool/client.h>

static volatile uint64_t sink;

static void look_at(struct objpool_bytes value)
{
	const unsigned char *bytes = value.data;
	uint64_t sum = 0, word;

	for (size_t i = 0; i + 8 <= value.size; i += 8)
		memcpy(&word, bytes + i, 8), sum += word;
	sink = sum;
}

int main(int argc, char **argv)
{
	struct objpool_connect_options options = OBJPOOL_CONNECT_OPTIONS_INIT;
	struct objpool_packer args = OBJPOOL_PACKER_INIT;
	struct objpool_result result;
	struct objpool_client *client;
	char address[256];

	if (argc != 6)
		return 2;
	const size_t size = (size_t)atol(argv[4]), n = (size_t)atol(argv[5]);
	uint64_t *times = malloc(n * sizeof *times);
	snprintf(address, sizeof address, "unix:%s", argv[2]);
	options.no_descriptors = !strcmp(argv[1], "bytes");
	if (objpool_connect(&client, address, &options) < 0)
		die(address);
	if (!strcmp(argv[1], "place") && objpool_packer_share(&args, client, size) < 0)
		return 1;
	objpool_pack_array(&args, 1);
	memset(objpool_pack_bin_room(&args, size), 7, size);
	for (size_t i = 0; i < n + n / 10 + 3; i++) {
		const uint64_t begin = now_ns();
		if (objpool_call(client, argv[3], objpool_packed(&args), NULL, &result) < 0)
			return fprintf(stderr, "an error came back\n"), 1;
		look_at(result.value);
		objpool_result_free(&result);
		times[i % n] = now_ns() - begin;
	}
	result_rtt("", times, n);
	result_total(n + n / 10 + 3);
	objpool_close(client);
	objpool_packer_free(&args);
	return 0;
}
