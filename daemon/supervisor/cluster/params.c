/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/supervisor/cluster/params.h"

#include "proto/pack.h"

#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

/* A part of a file, mapped to be read. */
struct mapping {
	struct block block; /* first: send queues refer to it */
	struct block *file;
	void *start;
	size_t length;
};

/* block->drop */
static void unmap(struct block *block)
{
	struct mapping *mapping = (struct mapping *)block;

	(void)munmap(mapping->start, mapping->length);
	block_unref(mapping->file);
	free(mapping);
}

/* client_files_take has checked that the file has these bytes, and keeps them. NULL: out of memory. */
static struct mapping *map_file(struct block *file, const struct payload_ref *ref)
{
	const uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE), before = ref->offset % page;
	struct mapping *mapping = malloc(sizeof *mapping);

	if (!mapping)
		return NULL;
	*mapping = (struct mapping){.block = {.refs = 1, .fd = -1, .drop = unmap}, .length = (size_t)(before + ref->length)};
	mapping->start = mmap(NULL, mapping->length, PROT_READ, MAP_SHARED, file->fd, (off_t)(ref->offset - before));
	if (mapping->start == MAP_FAILED) {
		free(mapping);
		return NULL;
	}
	mapping->block.bytes = (uint8_t *)mapping->start + before;
	mapping->block.capacity = (size_t)ref->length;
	mapping->file = block_ref(file);
	return mapping;
}

/* A bin, or an ext, with a length of 32 bits. */
static void put_head(struct sendq *to, const struct payload_ref *ref)
{
	const bool is_ext = ref->kind & PAYLOAD_EXT;
	uint8_t *p = sendq_reserve(to, PACK_HEAD + 1);

	if (!p)
		return;
	p[0] = is_ext ? BYTE_EXT32 : BYTE_BIN32;
	(void)pack_be32(p + 1, (uint32_t)ref->length);
	if (is_ext)
		p[PACK_HEAD] = (uint8_t)ref->kind;
	sendq_commit(to, PACK_HEAD + is_ext);
}

/* A small value is read, not touched in a mapping: where memory is short, that would be a signal. */
static bool copy_file(struct sendq *to, const struct block *file, const struct payload_ref *ref)
{
	uint8_t *p = sendq_reserve(to, (size_t)ref->length);

	if (!p || pread(file->fd, p, (size_t)ref->length, (off_t)ref->offset) != (ssize_t)ref->length)
		return false;
	sendq_commit(to, (size_t)ref->length);
	return true;
}

/* The kernel reads the mapping when it is sent. */
static bool share_file(struct sendq *to, struct block *file, const struct payload_ref *ref)
{
	struct mapping *mapping = map_file(file, ref);

	if (!mapping)
		return false;
	sendq_span(to, &mapping->block, mapping->block.bytes, mapping->block.capacity);
	(void)block_unref(&mapping->block);
	return true;
}

static void put_file(struct sendq *to, struct block *file, const struct payload_ref *ref)
{
	put_head(to, ref);
	if (ref->length > 0 && !(ref->length < SENDQ_SHARE ? copy_file(to, file, ref) : share_file(to, file, ref)))
		to->failed = true;
}

uint64_t params_size(struct span params, const struct block *block)
{
	struct reader reader = reader_of(params);
	struct payload_ref ref;
	uint64_t size = params.size;

	while (block && block->files && read_find_ref(&reader, &ref))
		size += ref.length + PACK_HEAD + 1;
	return size;
}

void params_put(struct sendq *to, struct span params, struct block *block)
{
	struct reader reader = reader_of(params);
	const uint8_t *from = params.bytes;
	struct payload_ref ref;

	while (block && block->files && read_find_ref(&reader, &ref)) {
		const uint8_t *at = reader.p - PAYLOAD_REF;
		sendq_span(to, block, from, (size_t)(at - from));
		put_file(to, block->files->file[ref.file], &ref);
		from = reader.p;
	}
	sendq_span(to, block, from, (size_t)(params.bytes + params.size - from));
}
