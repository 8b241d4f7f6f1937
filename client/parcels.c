/* SPDX-License-Identifier: Apache-2.0 */
#include "client/parcels.h"

#include "client/pack.h"
#include "client/shared.h"
#include "proto/payload_ref.h"
#include "proto/scan.h"

#include <stdlib.h>
#include <string.h>

enum { PARCELS_SEARCH = 1 << 20 }; /* bytes in which a search for two is no slower than to pass the values one by one */

/* ---- what travels by descriptor --------------------------------------------------------------------------------------- */

/* A large bin or ext at `at`, which ends at `end`: where its bytes begin, and what they are. */
static const uint8_t *large_bytes(const uint8_t *at, const uint8_t *end, uint32_t *kind)
{
	if (end - at < PARCELS_LEAST || (*at != 0xc6 && *at != 0xc9)) /* with a length of 32 bits */
		return NULL;
	*kind = *at == 0xc6 ? 0 : PAYLOAD_EXT | at[5];
	return at + (*at == 0xc6 ? 5 : 6);
}

/* An ext that the program made itself, and the daemon would take for one that stands for a descriptor. */
static bool looks_alike(const uint8_t *at, const uint8_t *end)
{
	return payload_is_ref(at, (size_t)(end - at), PAYLOAD_BYTES);
}

bool parcels_may_be_alike(const struct parcels *parcels, struct objpool_bytes values)
{
	static const uint8_t head[] = {0xd8, PAYLOAD_BYTES};

	return parcels->on && (values.size > PARCELS_SEARCH || memmem(values.data, values.size, head, sizeof head));
}

unsigned parcels_find(const struct parcels *parcels, struct objpool_bytes values)
{
	const uint8_t *at = values.data;
	unsigned found = 0;
	uint32_t kind;

	if (!parcels->on || !at || (values.size < PARCELS_LEAST && !parcels_may_be_alike(parcels, values)))
		return 0;
	const uint8_t *const end = at + values.size;
	for (const uint8_t *p = at; at < end && scan_step(&p, end) == 0; at = p)
		found |= large_bytes(at, p, &kind) ? PARCELS_LARGE : looks_alike(at, p) ? PARCELS_ALIKE : 0;
	return found;
}

/* ---- packing -------------------------------------------------------------------------------------------------------- */

static void pack_span(struct objpool_packer *output, const uint8_t *from, const uint8_t *end)
{
	objpool_pack_raw(output, (struct objpool_bytes){from, (size_t)(end - from)});
}

/* Another of the format's forms of the same value, which stands for nothing else. */
static void pack_look_alike(struct objpool_packer *output, const uint8_t *at)
{
	static const uint8_t head[] = {0xc7, 16, PAYLOAD_BYTES};

	pack_span(output, head, head + sizeof head);
	pack_span(output, at + 2, at + PAYLOAD_REF);
}

static struct block *fill(struct parcels *parcels, const uint8_t *bytes, size_t size)
{
	struct block *block = parcels->warm.shortage ? NULL : payload_new(&parcels->warm, size, 0);

	if (!block)
		return NULL;
	memcpy(block->bytes, bytes, size);
	payload_filled(block, size);
	return block;
}

static bool add_parcel(struct parcels *parcels, struct parcel **list, struct block *block)
{
	struct parcel *parcel = malloc(sizeof *parcel);

	if (!parcel)
		return false;
	*parcel = (struct parcel){.next = *list, .block = block};
	*list = parcel;
	parcels->out++;
	return true;
}

/* False: it must be packed as bytes. */
static bool pack_large(struct parcels *parcels, struct wire *wire, size_t mark, const uint8_t *bytes, size_t size, uint32_t kind,
		       struct parcel **list)
{
	struct payload_ref ref = {.kind = kind, .length = size};

	if (parcels->out == PARCELS_OUT || wire_passing(wire, mark) == PAYLOAD_FILES)
		return false;
	struct block *block = shared_find(parcels->shared, bytes, size, &ref.offset);
	if (!block)
		block = fill(parcels, bytes, size);
	if (!block || !add_parcel(parcels, list, block)) {
		(void)block_unref(block);
		return false;
	}
	uint8_t *p = pack_room(&wire->output, PAYLOAD_REF);
	if (!p)
		return true; /* the packer's error undoes the message, and the call its parcels */
	wire_pass(wire, mark, block);
	payload_write_ref(p, PAYLOAD_BYTES, ref);
	wire->output.size += PAYLOAD_REF;
	return true;
}

void parcels_pack(struct parcels *parcels, struct wire *wire, size_t mark, struct objpool_bytes values, struct parcel **list)
{
	const uint8_t *from = values.data, *const end = from + values.size;
	uint32_t kind;

	for (const uint8_t *at = from, *p = from; at < end && scan_step(&p, end) == 0; at = p) {
		const uint8_t *bytes = list ? large_bytes(at, p, &kind) : NULL;
		const bool alike = looks_alike(at, p);
		if (!bytes && !alike)
			continue;
		pack_span(&wire->output, from, at);
		from = at;
		if (alike)
			pack_look_alike(&wire->output, at);
		if (alike || pack_large(parcels, wire, mark, bytes, (size_t)(p - bytes), kind, list))
			from = p;
	}
	pack_span(&wire->output, from, end);
}

/* ---- afterwards ------------------------------------------------------------------------------------------------------- */

void parcels_done(struct parcels *parcels, struct parcel **list, bool spoilt)
{
	struct parcel *parcel;

	while ((parcel = *list)) {
		*list = parcel->next;
		parcel->block->spoilt = parcel->block->spoilt || spoilt;
		(void)block_unref(parcel->block);
		free(parcel);
		parcels->out--;
	}
}

void parcels_free(struct parcels *parcels)
{
	payload_pool_clear(&parcels->warm);
	shared_leave(&parcels->shared);
}
