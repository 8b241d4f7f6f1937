/* SPDX-License-Identifier: Apache-2.0 */
/*
 * result: the memory that an owned objpool_result lies in. It is a copy, an input buffer, or a mapped file that the daemon filled
 * (received_payloads.h). objpool_result_free drops it, on any thread, without knowing which of them it is.
 */
#ifndef CLIENT_C_RESULT_H
#define CLIENT_C_RESULT_H

#include "objpool/client.h"

struct result_memory {
	void (*drop)(struct result_memory *memory);
};

/* Allocates `size` bytes, which `*bytes` points to. NULL: out of memory. */
struct result_memory *result_memory_new(size_t size, unsigned char **bytes);

/* Takes memory that came from malloc: it is freed together with `memory`, which result_memory_new made. */
void result_memory_attach(struct result_memory *memory, void *allocated);

/* Accepts NULL; returns NULL. */
static inline struct result_memory *result_memory_drop(struct result_memory *memory)
{
	if (memory)
		memory->drop(memory);
	return NULL;
}

#endif
