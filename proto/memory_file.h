/* SPDX-License-Identifier: Apache-2.0 */
/* memory_file: files without a name, in memory, which processes share by passing descriptors on. */
#ifndef PROTO_MEMORY_FILE_H
#define PROTO_MEMORY_FILE_H

#include <stddef.h>

/* A file of `size` zero bytes, which can be sealed; never a program. `name` is for /proc. Its descriptor, or a negative errno. */
int memory_file(const char *name, size_t size);

#endif
