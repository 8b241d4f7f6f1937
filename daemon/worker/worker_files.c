/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/worker/worker_files.h"

#include "proto/clock.h"
#include "proto/payload.h"
#include "proto/payload_ref.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define PATIENCE UINT64_C(2500000000) /* nanoseconds */
#define WHOLE (UINT64_C(1) << 30) /* a caller's files up to this size are mapped from their beginning */

struct file {
	uint32_t number;
	int fd;
	struct mapping *mapping; /* NULL: not yet */
};

struct worker_files {
	struct mappings *mappings;
	uint32_t count;
	bool of_caller;     /* some of them are the caller's own */
	struct file file[];
};

/* ---- mappings ---- */

static void mapping_free(struct mapping *mapping)
{
	(void)munmap((void *)(uintptr_t)mapping->bytes, mapping->size);
	free(mapping);
}

static void remove_idle(struct mappings *mappings, uint32_t i)
{
	mappings->count--;
	memmove(&mappings->idle[i], &mappings->idle[i + 1], (mappings->count - i) * sizeof *mappings->idle);
}

static void use(struct mappings *mappings, struct mapping *mapping)
{
	if (mapping->users++ > 0)
		return;
	mapping->owner = mappings;
	LIST_INSERT_HEAD(&mappings->busy, mapping, link);
}

static void leave(struct mapping *mapping)
{
	struct mappings *mappings = mapping->owner;

	if (--mapping->users > 0)
		return;
	LIST_REMOVE(mapping, link);
	if (mapping->kept) {
		mapping_free(mapping);
		return;
	}
	if (mappings->count == MAPPINGS)
		mapping_free(mappings->idle[--mappings->count]);
	memmove(&mappings->idle[1], &mappings->idle[0], mappings->count * sizeof *mappings->idle);
	mapping->used = (uint64_t)clock_now_coarse();
	mappings->idle[0] = mapping;
	mappings->count++;
}

void mappings_tidy(struct mappings *mappings, uint64_t now)
{
	while (mappings->count > 0 && now > mappings->idle[mappings->count - 1]->used + PATIENCE)
		mapping_free(mappings->idle[--mappings->count]);
}

void mappings_clear(struct mappings *mappings)
{
	while (mappings->count > 0)
		mapping_free(mappings->idle[--mappings->count]);
}

/* ---- what outlives its message ---- */

static bool contains(const struct mapping *mapping, const uint8_t *bytes, size_t size)
{
	return bytes >= mapping->bytes && bytes < mapping->bytes + mapping->size &&
	       size <= (size_t)(mapping->bytes + mapping->size - bytes);
}

static struct mapping *find_busy(const struct mappings *mappings, const uint8_t *bytes, size_t size)
{
	struct mapping *mapping;

	LIST_FOREACH(mapping, &mappings->busy, link)
		if (contains(mapping, bytes, size))
			return mapping;
	return NULL;
}

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23 /* of Linux 5.14; headers may be older */
#endif

/* Puts a copy of these pages in their place. In a private mapping a recent kernel does so itself, for the pages that are still
 * the file's. */
static int copy_pages(const struct mapping *mapping, const uint8_t *bytes, size_t size)
{
	const uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE), from = (uintptr_t)bytes / page * page;
	const size_t length = ((uintptr_t)bytes + size - from + page - 1) / page * page;

	if (mapping->is_private && madvise((void *)from, length, MADV_POPULATE_WRITE) == 0)
		return 0;
	void *copy = mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (copy == MAP_FAILED)
		return -ENOMEM;
	memcpy(copy, (const void *)from, length);
	if (mremap(copy, length, length, MREMAP_MAYMOVE | MREMAP_FIXED, (void *)from) != MAP_FAILED)
		return 0;
	(void)munmap(copy, length);
	return -ENOMEM;
}

struct mapping *worker_files_keep(struct mappings *mappings, const void *bytes, size_t size)
{
	struct mapping *mapping = size > 0 ? find_busy(mappings, bytes, size) : NULL;

	if (!mapping || copy_pages(mapping, bytes, size) < 0)
		return NULL;
	mapping->kept = true;
	mapping->users++;
	return mapping;
}

bool worker_files_can_keep(const struct mappings *mappings, const void *bytes, size_t size)
{
	return size > 0 && find_busy(mappings, bytes, size);
}

void worker_files_unkeep(struct mapping *mapping)
{
	leave(mapping);
}

/* ---- what is written to ---- */

static const struct file *file_of(const struct worker_files *files, const uint8_t *bytes, size_t size)
{
	for (uint32_t i = 0; files && i < files->count; i++)
		if (files->file[i].mapping && contains(files->file[i].mapping, bytes, size))
			return &files->file[i];
	return NULL;
}

struct mapping *worker_files_private(struct worker_files *files, const void *bytes, size_t size, void **view)
{
	const struct file *file = size > 0 ? file_of(files, bytes, size) : NULL;
	struct mapping *mapping = file ? calloc(1, sizeof *mapping) : NULL;

	if (!mapping)
		return NULL;
	const uint64_t offset = file->mapping->start + (uint64_t)((const uint8_t *)bytes - file->mapping->bytes);
	const size_t before = (size_t)(offset % (uint64_t)sysconf(_SC_PAGESIZE));
	mapping->start = offset - before;
	mapping->size = before + size;
	mapping->kept = mapping->is_private = true;
	uint8_t *mapped = mmap(NULL, mapping->size, PROT_READ | PROT_WRITE, MAP_PRIVATE, file->fd, (off_t)mapping->start);
	if (mapped == MAP_FAILED) {
		free(mapping);
		return NULL;
	}
	mapping->bytes = mapped;
	*view = mapped + before;
	use(files->mappings, mapping);
	return mapping;
}

/* ---- looking for them ---- */

static bool covers(const struct mapping *mapping, const struct stat *st, uint64_t offset, uint64_t length)
{
	return mapping->inode == st->st_ino && mapping->device == st->st_dev && mapping->start <= offset &&
	       offset + length <= mapping->start + mapping->size;
}

static struct mapping *find_idle(struct mappings *mappings, const struct stat *st, uint64_t offset, uint64_t length)
{
	for (uint32_t i = 0; i < mappings->count; i++) {
		struct mapping *mapping = mappings->idle[i];
		if (!covers(mapping, st, offset, length))
			continue;
		remove_idle(mappings, i);
		return mapping;
	}
	return NULL;
}

static struct mapping *make(const struct file *file, const struct stat *st, uint64_t offset, uint64_t length)
{
	const uint64_t size = (uint64_t)st->st_size, page = 4096;
	const bool whole = file->number == PAYLOAD_SELF || size <= WHOLE;
	struct mapping *mapping = calloc(1, sizeof *mapping);

	if (!mapping)
		return NULL;
	mapping->device = st->st_dev;
	mapping->inode = st->st_ino;
	mapping->start = whole ? 0 : offset / page * page;
	mapping->size = (size_t)(whole ? size : offset + length - mapping->start);
	void *bytes =
		mapping->size ? mmap(NULL, mapping->size, PROT_READ, MAP_SHARED, file->fd, (off_t)mapping->start) : MAP_FAILED;
	if (bytes == MAP_FAILED) {
		free(mapping);
		return NULL;
	}
	mapping->bytes = bytes;
	return mapping;
}

/* ---- a message's files ---- */

struct worker_files *worker_files_free(struct worker_files *files)
{
	if (!files)
		return NULL;
	for (uint32_t i = 0; i < files->count; i++) {
		if (files->file[i].mapping)
			leave(files->file[i].mapping);
		if (files->file[i].fd >= 0)
			(void)close(files->file[i].fd);
	}
	free(files);
	return NULL;
}

struct worker_files *worker_files_new(struct mappings *mappings, struct arrivals *arrivals, struct span numbers)
{
	struct reader reader = reader_of(numbers);
	uint64_t number;
	uint32_t n;

	if (read_array(&reader, &n) < 0 || n > PAYLOAD_FILES + 1)
		return NULL;
	struct worker_files *files = calloc(1, sizeof *files + n * sizeof *files->file);
	if (!files)
		return NULL;
	files->mappings = mappings;
	for (uint32_t i = 0; i < n; i++) {
		const int fd = read_uint(&reader, &number) < 0 ? -1 : arrivals_take(arrivals);
		if (fd < 0)
			return worker_files_free(files);
		files->file[files->count++] = (struct file){.number = (uint32_t)number, .fd = fd};
		files->of_caller = files->of_caller || number < PAYLOAD_SELF;
	}
	return files;
}

int worker_files_take(struct worker_files *files)
{
	if (!files || files->count != 1 || files->file[0].mapping)
		return -1;
	const int fd = files->file[0].fd;
	files->file[0].fd = -1;
	return fd;
}

static int map(struct worker_files *files, struct file *file, uint64_t offset, uint64_t length)
{
	struct stat st;

	if (payload_check(file->fd, offset, length) < 0 || fstat(file->fd, &st) < 0)
		return -EINVAL;
	file->mapping = find_idle(files->mappings, &st, offset, length);
	if (!file->mapping)
		file->mapping = make(file, &st, offset, length);
	if (!file->mapping)
		return -EINVAL;
	use(files->mappings, file->mapping);
	return 0;
}

static int locate(struct worker_files *files, struct payload_ref ref, struct span *span)
{
	for (uint32_t i = 0; i < files->count; i++) {
		struct file *file = &files->file[i];
		if (file->number != ref.file)
			continue;
		if (!file->mapping && map(files, file, ref.offset, ref.length) < 0)
			return -EINVAL;
		const struct mapping *m = file->mapping;
		if (ref.offset < m->start || ref.offset - m->start > m->size || ref.length > m->size - (ref.offset - m->start))
			return -EINVAL;
		*span = (struct span){.bytes = m->bytes + (ref.offset - m->start), .size = (size_t)ref.length};
		return 0;
	}
	return -EINVAL;
}

int worker_files_values(struct worker_files *files, struct span *value)
{
	if (!files || !payload_is_ref(value->bytes, value->size, PAYLOAD_VALUES))
		return 0;
	return locate(files, payload_read_ref(value->bytes), value) < 0 ? -EINVAL : 1;
}

/* ---- values that stand for bytes ---- */

static int bytes_of(struct worker_files *files, msgpack_object *object)
{
	struct span span;

	if (object->via.ext.type != PAYLOAD_BYTES || object->via.ext.size != 16)
		return 0;
	/* The payload lies behind the two bytes of its header. */
	const struct payload_ref ref = payload_read_ref((const uint8_t *)object->via.ext.ptr - 2);
	if (locate(files, ref, &span) < 0 || span.size > UINT32_MAX)
		return -EINVAL;
	if (ref.kind & PAYLOAD_EXT) {
		object->via.ext = (msgpack_object_ext){
			.type = (int8_t)(ref.kind & 0xff), .ptr = (const char *)span.bytes, .size = (uint32_t)span.size};
		return 0;
	}
	object->type = MSGPACK_OBJECT_BIN;
	object->via.bin = (msgpack_object_bin){.ptr = (const char *)span.bytes, .size = (uint32_t)span.size};
	return 0;
}

static int bytes_of_array(struct worker_files *files, msgpack_object_array *array)
{
	for (uint32_t i = 0; i < array->size; i++)
		if (worker_files_bytes(files, &array->ptr[i]) < 0)
			return -EINVAL;
	return 0;
}

static int bytes_of_map(struct worker_files *files, msgpack_object_map *map_of)
{
	for (uint32_t i = 0; i < map_of->size; i++)
		if (worker_files_bytes(files, &map_of->ptr[i].key) < 0 || worker_files_bytes(files, &map_of->ptr[i].val) < 0)
			return -EINVAL;
	return 0;
}

int worker_files_bytes(struct worker_files *files, msgpack_object *object)
{
	if (!files || !files->of_caller)
		return 0;
	switch (object->type) {
	case MSGPACK_OBJECT_EXT:
		return bytes_of(files, object);
	case MSGPACK_OBJECT_ARRAY:
		return bytes_of_array(files, &object->via.array);
	case MSGPACK_OBJECT_MAP:
		return bytes_of_map(files, &object->via.map);
	default:
		return 0;
	}
}
