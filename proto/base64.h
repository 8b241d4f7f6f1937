/* SPDX-License-Identifier: Apache-2.0 */
/* base64: RFC 4648, with padding. */
#ifndef PROTO_BASE64_H
#define PROTO_BASE64_H

#include <stddef.h>
#include <stdint.h>

/* Encodes `size` bytes, from 1 to 3, as four characters. */
void base64_encode(char four[4], const uint8_t *bytes, size_t size);

/* Decodes `size` characters to `bytes`, which has room for size / 4 * 3, and may be where the characters are. Returns how many
 * bytes, or -EINVAL. */
int64_t base64_read(unsigned char *bytes, const char *text, size_t size);

#endif
