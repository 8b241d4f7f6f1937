/* SPDX-License-Identifier: Apache-2.0 */
/* Text that is meant as a signature: what is parsed can be packed, within the levels that a description has, and is parsed as the
 * same when it is written again. What is not parsed is refused with a place. */
#include "proto/scan.h"
#include "tests/unit/signature_text.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

enum { LEVELS = 26 };

static const msgpack_object_str names[] = {{5, "Point"}};
static const struct type_names records = {.names = names, .count = 1};

static void check_packed(const struct signature *signature)
{
	msgpack_sbuffer packed;
	msgpack_packer packer;

	msgpack_sbuffer_init(&packed);
	msgpack_packer_init(&packer, &packed, msgpack_sbuffer_write);
	msgpack_pack_map(&packer, SIGNATURE_PAIRS);
	signature_pack(signature, false, &packer);
	const uint8_t *value = (const uint8_t *)packed.data;
	if (scan_length(value, packed.size) != (int64_t)packed.size || scan_nesting(value, packed.size) > LEVELS)
		abort();
	msgpack_sbuffer_destroy(&packed);
}

static void check_again(const struct signature *signature, msgpack_zone *zone)
{
	char *text = signature_text(signature), *same, reason[128];
	struct signature again;

	if (strlen(text) <= TYPE_TEXT_MAX) {
		if (signature_parse(&again, text, strlen(text), zone, &records, reason, sizeof reason) < 0)
			abort();
		same = signature_text(&again);
		if (strcmp(text, same) != 0)
			abort();
		free(same);
	}
	free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	struct signature signature;
	msgpack_object_str name;
	msgpack_zone zone;
	char reason[128];

	if (!msgpack_zone_init(&zone, 4096))
		abort();
	char *text = malloc(size + 1);
	memcpy(text, bytes, size);
	if (signature_parse(&signature, text, size, &zone, &records, reason, sizeof reason) == 0) {
		check_packed(&signature);
		check_again(&signature, &zone);
	} else if (strncmp(reason, "column ", 7) != 0) {
		abort();
	}
	(void)signature_parse_record(&signature, &name, text, size, &zone, &records, reason, sizeof reason);
	free(text);
	msgpack_zone_destroy(&zone);
	return 0;
}
