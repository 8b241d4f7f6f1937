/* SPDX-License-Identifier: Apache-2.0 */
/* The scanner on any bytes: against msgpack-c, and in pieces (the first byte says how large) against itself. */
#include "proto/scan.h"

#include <errno.h>
#include <msgpack.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

static void in_pieces(const uint8_t *bytes, size_t size, size_t piece, int whole, uint64_t end)
{
	struct scan scan;
	int r = 0;

	scan_begin(&scan, 1 << 20);
	for (size_t seen = piece; r == 0; seen += piece) {
		r = scan_run(&scan, bytes, seen < size ? seen : size);
		if (seen >= size)
			break;
	}
	if ((whole > 0) != (r > 0) || (whole > 0 && scan.pos != end))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	struct scan scan;
	msgpack_zone zone;
	msgpack_object object;
	size_t used = 0;

	if (size < 2)
		return 0;
	const size_t piece = 1 + bytes[0] % 64;
	bytes++, size--;
	scan_begin(&scan, 1 << 20);
	const int r = scan_run(&scan, bytes, size);
	in_pieces(bytes, size, piece, r, scan.pos);
	if (r < 0 || scan.over || !msgpack_zone_init(&zone, 4096))
		return 0; /* over: msgpack-c would reserve what a stranger's number says */
	const msgpack_unpack_return theirs = msgpack_unpack((const char *)bytes, size, &used, &zone, &object);
	if (theirs == MSGPACK_UNPACK_SUCCESS && (r != 1 || scan.pos != size))
		abort();
	if (theirs == MSGPACK_UNPACK_EXTRA_BYTES && (r != 1 || scan.pos != used))
		abort();
	if (theirs == MSGPACK_UNPACK_CONTINUE && r != 0)
		abort();
	msgpack_zone_destroy(&zone);
	return 0;
}
