/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/value.h"

#include "proto/channel.h"
#include "proto/pack.h"
#include "proto/payload_ref.h"
#include "proto/scan.h"

#include <stdlib.h>

enum { SPOILT = 0xc1, HUGE = 17000, LARGE = 100 };

/* ---- files ---- */

/* Nobody in the core has it any more: it may be filled with something else, and here it is. */
static void on_dropped(struct block *block)
{
	struct file *file = container_of(block, struct file, block);

	file->held = false;
	if (!file->loan && !file->first) {
		memset(file->bytes, SPOILT, file->size);
		return;
	}
	const enum lent_state state = block->spoilt ? LENT_LOST : block->shown_to ? LENT_SHOWN : LENT_FREE;
	if (file->loan)
		atomic_store(file->loan->state, state);
}

struct file *file_new(struct world *world, const void *bytes, size_t size, bool mapped)
{
	struct file *file = calloc(1, sizeof *file);

	file->world = world;
	file->fd = ++world->last_fd;
	file->bytes = calloc(1, size);
	file->size = size;
	if (bytes)
		memcpy(file->bytes, bytes, size);
	file->block = (struct block){.refs = 1, .capacity = size, .bytes = mapped ? file->bytes : NULL, .fd = file->fd,
				     .drop = on_dropped, .touched = SIZE_MAX};
	file->held = true;
	block_charge(&file->block, &world->core.memory, mapped ? size : 0);
	file->next = world->files;
	world->files = file;
	return file;
}

struct file *file_find(const struct world *world, int fd)
{
	struct file *file = world->files;
	while (file && file->fd != fd)
		file = file->next;
	if (!file)
		world_fail(world, "a descriptor that nobody has opened");
	return file;
}

void files_free(struct world *world)
{
	struct file *file;

	while ((file = world->files)) {
		if (file->held)
			world_fail(world, "a file of %zu bytes (descriptor %d%s) whose block has %u references still", file->size,
				   file->fd, file->first ? ", lent" : file->block.bytes ? "" : ", a client's", file->block.refs);
		world->files = file->next;
		free(file->bytes);
		free(file);
	}
}

struct file *loan_file(struct world *world, struct loan *loan)
{
	if (!loan->file) {
		loan->file = file_new(world, NULL, LOAN_SIZE, true);
		loan->file->loan = loan;
		loan->file->first = UINT64_MAX; /* nobody's yet */
		loan->file->block.touched = 0;
		block_unref(&loan->file->block);
	}
	atomic_store(loan->state, LENT_OUT);
	return loan->file;
}

struct block *loan_taken(struct loan *loan)
{
	struct file *file = loan->file;

	if (!file || file->held)
		return NULL;
	file->block.refs = 1;
	file->held = true;
	block_charge(&file->block, &file->world->core.memory, LOAN_SIZE);
	return &file->block;
}

/* ---- values ---- */

static size_t bin_size(uint32_t token)
{
	return token % 401 == 5 ? HUGE : LARGE;
}

bool value_is_large(uint32_t token)
{
	return token % 7 == 5 || token % 401 == 5;
}

size_t value_size(uint32_t token)
{
	return value_is_large(token) ? bin_size(token) + PACK_HEAD : PACK_UINT;
}

static uint8_t *fill(uint8_t *p, uint32_t token)
{
	memset(p, 0x5a, bin_size(token));
	memcpy(p, &token, sizeof token);
	return p + bin_size(token);
}

uint8_t *value_bin(uint8_t *p, uint32_t token)
{
	*p = 0xc5; /* bin 16 */
	return fill(pack_be16(p + 1, (uint16_t)bin_size(token)), token);
}

void value_write(struct writing *writing, uint32_t token)
{
	uint8_t bytes[HUGE];

	if (!value_is_large(token)) {
		writing->p = pack_uint(writing->p, token);
		return;
	}
	if (!writing->files || writing->files->count == PAYLOAD_FILES) {
		writing->p = value_bin(writing->p, token);
		return;
	}
	(void)fill(bytes, token);
	struct file *file = file_new(writing->world, bytes, bin_size(token), false);
	payload_write_ref(writing->p, PAYLOAD_BYTES, (struct payload_ref){.file = writing->files->count, .length = file->size});
	writing->files->file[writing->files->count++] = &file->block;
	writing->p += PAYLOAD_REF;
}

static bool is_ref(const struct reader *reader, int type, struct payload_ref *ref)
{
	if (!payload_is_ref(reader->p, (size_t)(reader->end - reader->p), type))
		return false;
	*ref = payload_read_ref(reader->p);
	return true;
}

bool value_is_ref(const struct reader *reader, struct payload_ref *ref)
{
	return is_ref(reader, PAYLOAD_BYTES, ref);
}

static const struct file *file_of(const struct world *world, const struct arrived *files, const struct payload_ref *ref)
{
	for (uint32_t i = 0; files && i < files->count; i++)
		if (files->number[i] == ref->file)
			return file_find(world, files->fd[i]);
	world_fail(world, "what stands for a file that has not come");
}

static bool token_of(struct span bytes, uint32_t *token)
{
	if (bytes.size < LARGE)
		return false;
	memcpy(token, bytes.bytes, sizeof *token);
	return true;
}

bool value_read(const struct world *world, struct reader *reader, const struct arrived *files, uint32_t *token)
{
	struct payload_ref ref;
	struct span bytes;
	uint64_t number;

	if (read_uint(reader, &number) == 0) {
		*token = (uint32_t)number;
		return true;
	}
	if (read_bytes(reader, &bytes) == 0)
		return token_of(bytes, token);
	if (!value_is_ref(reader, &ref))
		return false;
	const struct file *file = file_of(world, files, &ref);
	reader->p += PAYLOAD_REF;
	return ref.offset + ref.length <= file->size &&
	       token_of((struct span){.bytes = file->bytes + ref.offset, .size = (size_t)ref.length}, token);
}

bool values_read(const struct world *world, struct reader *reader, const struct arrived *files, struct reader *values)
{
	struct payload_ref ref;
	struct span span;

	if (is_ref(reader, PAYLOAD_VALUES, &ref)) {
		const struct file *file = file_of(world, files, &ref);
		if (ref.offset + ref.length > file->size)
			return false;
		reader->p += PAYLOAD_REF;
		*values = (struct reader){.p = file->bytes + ref.offset, .end = file->bytes + ref.offset + ref.length};
		return true;
	}
	if (read_value(reader, &span) < 0)
		return false;
	*values = reader_of(span);
	return true;
}
