/* SPDX-License-Identifier: Apache-2.0 */
/* base64: RFC 4648, with padding. */
#ifndef CLI_BASE64_H
#define CLI_BASE64_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

void base64_write(FILE *out, const void *bytes, size_t size);

/* Decodes `size` characters to `bytes`, which has room for size / 4 * 3. Returns how many bytes, or -EINVAL. */
int64_t base64_read(unsigned char *bytes, const char *text, size_t size);

#endif
