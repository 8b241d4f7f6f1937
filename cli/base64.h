/* SPDX-License-Identifier: Apache-2.0 */
/* base64: writes bytes to a file as base64 (proto/base64.h). */
#ifndef CLI_BASE64_H
#define CLI_BASE64_H

#include <stddef.h>
#include <stdio.h>

void base64_write(FILE *out, const void *bytes, size_t size);

#endif
