/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/core/beat.h"

#include "gateway/core/put.h"
#include "gateway/core/sum.h"
#include "proto/scan.h"

#include <errno.h>
#include <stdlib.h>

enum { BEAT_VERSION = 1, BEAT_SUM = 8, BEAT_FIELDS = 6 /* and `quiet`, which came later */ };

/* ---- reading ---- */

/* Takes the sum off its end. */
static bool is_whole(struct span *bytes)
{
	uint8_t sum[BEAT_SUM];

	if (bytes->size < BEAT_SUM || bytes->size > BEAT_ROOM + BEAT_SUM) /* no host says more */
		return false;
	bytes->size -= BEAT_SUM;
	(void)pack_be64(sum, sum_of(0, bytes->bytes, bytes->size));
	return memcmp(sum, bytes->bytes + bytes->size, BEAT_SUM) == 0;
}

int beat_read(struct span bytes, struct beat *beat)
{
	uint64_t version;
	uint32_t count;

	if (!is_whole(&bytes) || scan_length(bytes.bytes, bytes.size) != (int64_t)bytes.size)
		return -EBADMSG;
	struct reader reader = reader_of(bytes);
	if (read_array(&reader, &count) < 0 || count < BEAT_FIELDS || read_uint(&reader, &version) < 0 ||
	    version != BEAT_VERSION || read_uint(&reader, &beat->incarnation) < 0 || read_uint(&reader, &beat->number) < 0 ||
	    read_uint(&reader, &beat->age) < 0 || read_bool(&reader, &beat->bye) < 0 || read_value(&reader, &beat->pools) < 0)
		return -EBADMSG;
	beat->quiet = 0;
	if (count > BEAT_FIELDS && read_uint(&reader, &beat->quiet) < 0)
		return -EBADMSG;
	return beat->incarnation ? 0 : -EBADMSG;
}

/* ---- saying ---- */

static void publish(struct gateway *gateway, struct sendq *from)
{
	uint8_t *bytes = malloc(from->bytes + BEAT_SUM);
	struct iovec iov[64];
	size_t size = 0;

	if (bytes && !from->failed) {
		const int n = sendq_iov(from, iov, 64);
		for (int i = 0; i < n; i++) {
			memcpy(bytes + size, iov[i].iov_base, iov[i].iov_len);
			size += iov[i].iov_len;
		}
		(void)pack_be64(bytes + size, sum_of(0, bytes, size));
		size += BEAT_SUM;
		(void)gateway->ops->publish_beat(gateway, bytes, size); /* one that is lost is followed by others */
	}
	free(bytes);
}

int beat_publish(struct gateway *gateway, const struct beat *beat, const struct host_pools *pools, size_t *size)
{
	struct sendq to = {0};

	put_array(&to, BEAT_FIELDS + 1);
	put_uint(&to, BEAT_VERSION);
	put_uint(&to, beat->incarnation);
	put_uint(&to, beat->number);
	put_uint(&to, beat->age);
	put_bool(&to, beat->bye);
	if (pools)
		host_pools_put(pools, &to, false);
	else
		put_nil(&to);
	put_uint(&to, beat->quiet);
	*size = to.bytes;
	const bool fits = to.bytes <= BEAT_ROOM && to.bytes <= gateway->packet_max;
	if (fits)
		publish(gateway, &to);
	sendq_clear(&to);
	return fits ? 0 : -EMSGSIZE;
}
