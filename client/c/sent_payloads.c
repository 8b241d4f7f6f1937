/* SPDX-License-Identifier: Apache-2.0 */
#include "client/c/sent_payloads.h"

#include "client/c/packer.h"
#include "client/c/shared_memory.h"
#include "proto/payload_ref.h"
#include "proto/scan.h"

#include <stdlib.h>
#include <string.h>

enum { SEARCH_MAX = 1 << 20 }; /* in more bytes than these, a search is slower than a scan of the values one by one */

/* ---- what travels by descriptor -------------------------------------------------------------------------------------- */

/*
 * Returns where the bytes of a large bin or ext begin, and sets the kind for its reference. NULL: the value is neither, or
 * small.
 */
static const uint8_t *large_bytes(const uint8_t *at, const uint8_t *end, uint32_t *kind)
{
	if (end - at < SENT_PAYLOAD_MIN || (*at != BYTE_BIN32 && *at != BYTE_EXT32)) /* with a length of 32 bits */
		return NULL;
	*kind = *at == BYTE_BIN32 ? 0 : PAYLOAD_EXT | at[5];
	return at + (*at == BYTE_BIN32 ? 5 : 6);
}

/* Is it an ext of the program's own that the daemon would take for a reference to a descriptor? */
static bool is_lookalike(const uint8_t *at, const uint8_t *end)
{
	return payload_is_ref(at, (size_t)(end - at), PAYLOAD_BYTES);
}

bool sent_payloads_may_have_lookalike(const struct sent_payloads *sent, struct objpool_bytes values)
{
	static const uint8_t head[] = {BYTE_FIXEXT16, PAYLOAD_BYTES};

	return sent->enabled && (values.size > SEARCH_MAX || memmem(values.data, values.size, head, sizeof head));
}

unsigned sent_payloads_find(const struct sent_payloads *sent, struct objpool_bytes values)
{
	const uint8_t *at = values.data;
	unsigned found = 0;
	uint32_t kind;

	if (!sent->enabled || !at || (values.size < SENT_PAYLOAD_MIN && !sent_payloads_may_have_lookalike(sent, values)))
		return 0;
	const uint8_t *const end = at + values.size;
	for (const uint8_t *p = at; at < end && scan_step(&p, end) == 0; at = p)
		found |= large_bytes(at, p, &kind) ? SENT_LARGE : is_lookalike(at, p) ? SENT_LOOKALIKE : 0;
	return found;
}

/* ---- packing --------------------------------------------------------------------------------------------------------- */

static void pack_span(struct objpool_packer *output, const uint8_t *from, const uint8_t *end)
{
	objpool_pack_raw(output, (struct objpool_bytes){from, (size_t)(end - from)});
}

/* Packs the same ext in another form of the format, which the daemon takes for no reference. */
static void pack_lookalike(struct objpool_packer *output, const uint8_t *at)
{
	static const uint8_t head[] = {BYTE_EXT8, 16, PAYLOAD_BYTES};

	pack_span(output, head, head + sizeof head);
	pack_span(output, at + 2, at + PAYLOAD_REF);
}

static struct block *fill(struct sent_payloads *sent, const uint8_t *bytes, size_t size)
{
	struct block *block = sent->idle.shortage ? NULL : payload_new(&sent->idle, size, 0);

	if (!block)
		return NULL;
	memcpy(block->bytes, bytes, size);
	payload_filled(block, size);
	return block;
}

static bool add_payload(struct sent_payloads *sent, struct sent_payload **list, struct block *block)
{
	struct sent_payload *payload = malloc(sizeof *payload);

	if (!payload)
		return false;
	*payload = (struct sent_payload){.next = *list, .block = block};
	*list = payload;
	sent->count++;
	return true;
}

/* Packs a reference to a large value. False: the value must be packed as bytes. */
static bool pack_large(struct sent_payloads *sent, struct wire *wire, size_t mark, const uint8_t *bytes, size_t size,
		       uint32_t kind, struct sent_payload **list)
{
	struct payload_ref ref = {.kind = kind, .length = size};

	if (sent->count == SENT_PAYLOADS_MAX || wire_attached(wire, mark) == PAYLOAD_FILES)
		return false;
	struct block *block = shared_memory_find(sent->shared, bytes, size, &ref.offset);
	if (!block)
		block = fill(sent, bytes, size);
	if (!block || !add_payload(sent, list, block)) {
		(void)block_unref(block);
		return false;
	}
	uint8_t *p = packer_room(&wire->output, PAYLOAD_REF);
	if (!p)
		return true; /* connection_commit sees the packer's error; the call then releases its list */
	wire_attach(wire, mark, block);
	payload_write_ref(p, PAYLOAD_BYTES, ref);
	wire->output.size += PAYLOAD_REF;
	return true;
}

void sent_payloads_pack(struct sent_payloads *sent, struct wire *wire, size_t mark, struct objpool_bytes values,
			struct sent_payload **list)
{
	const uint8_t *from = values.data, *const end = from + values.size;
	uint32_t kind;

	for (const uint8_t *at = from, *p = from; at < end && scan_step(&p, end) == 0; at = p) {
		const uint8_t *bytes = list ? large_bytes(at, p, &kind) : NULL;
		const bool lookalike = is_lookalike(at, p);
		if (!bytes && !lookalike)
			continue;
		pack_span(&wire->output, from, at);
		from = at;
		if (lookalike)
			pack_lookalike(&wire->output, at);
		if (lookalike || pack_large(sent, wire, mark, bytes, (size_t)(p - bytes), kind, list))
			from = p;
	}
	pack_span(&wire->output, from, end);
}

/* ---- afterwards ------------------------------------------------------------------------------------------------------ */

void sent_payloads_release(struct sent_payloads *sent, struct sent_payload **list, bool in_use)
{
	struct sent_payload *payload;

	while ((payload = *list)) {
		*list = payload->next;
		payload->block->spoilt = payload->block->spoilt || in_use;
		(void)block_unref(payload->block);
		free(payload);
		sent->count--;
	}
}

void sent_payloads_free(struct sent_payloads *sent)
{
	payload_pool_clear(&sent->idle);
	shared_memory_forget(&sent->shared);
}
