/* SPDX-License-Identifier: Apache-2.0 */
#include "client/c/mapped_files.h"

#include "proto/payload.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>

/* A whole file. */
struct mapped_file {
	atomic_uint refs; /* one of `kept`, one of each result that has a value in it */
	unsigned age;     /* calls of mapped_files_trim since it was used */
	dev_t device;
	ino_t inode;
	const unsigned char *bytes;
	size_t size;
};

const unsigned char *mapped_file_bytes(const struct mapped_file *file)
{
	return file->bytes;
}

void mapped_file_unref(struct mapped_file *file)
{
	if (atomic_fetch_sub_explicit(&file->refs, 1, memory_order_acq_rel) > 1)
		return;
	(void)munmap((void *)(uintptr_t)file->bytes, file->size);
	free(file);
}

static void ref(struct mapped_file *file)
{
	atomic_fetch_add_explicit(&file->refs, 1, memory_order_relaxed);
}

static bool is_idle(const struct mapped_file *file)
{
	return atomic_load_explicit(&file->refs, memory_order_relaxed) == 1;
}

static void drop(struct mapped_files *files, unsigned i)
{
	mapped_file_unref(files->kept[i]);
	files->kept[i] = files->kept[--files->count];
}

/* Keeps a file, in the place of the oldest if there are too many. */
static void keep(struct mapped_files *files, struct mapped_file *file)
{
	unsigned oldest = 0;

	for (unsigned i = 1; i < files->count; i++)
		if (files->kept[i]->age > files->kept[oldest]->age)
			oldest = i;
	if (files->count == MAPPED_FILES_KEPT)
		drop(files, oldest);
	files->kept[files->count++] = file;
	ref(file);
}

static struct mapped_file *find(const struct mapped_files *files, const struct stat *st)
{
	for (unsigned i = 0; i < files->count; i++) {
		struct mapped_file *file = files->kept[i];
		if (file->inode == st->st_ino && file->device == st->st_dev && file->size == (size_t)st->st_size)
			return file;
	}
	return NULL;
}

static struct mapped_file *map(struct mapped_files *files, int fd, const struct stat *st)
{
	struct mapped_file *file = malloc(sizeof *file);
	void *bytes = file ? mmap(NULL, (size_t)st->st_size, PROT_READ, MAP_SHARED, fd, 0) : MAP_FAILED;

	if (bytes == MAP_FAILED) {
		free(file);
		return NULL;
	}
	*file = (struct mapped_file){.device = st->st_dev, .inode = st->st_ino, .bytes = bytes, .size = (size_t)st->st_size};
	keep(files, file);
	return file;
}

int mapped_files_get(struct mapped_files *files, int fd, const struct payload_ref *payload, struct mapped_file **file)
{
	struct stat st;

	if (payload_check(fd, payload->offset, payload->length) < 0 || fstat(fd, &st) < 0 || st.st_size == 0)
		return -EBADMSG;
	*file = find(files, &st);
	if (!*file)
		*file = map(files, fd, &st);
	if (!*file)
		return -ENOMEM;
	(*file)->age = 0;
	ref(*file);
	return 0;
}

void mapped_files_trim(struct mapped_files *files)
{
	for (unsigned i = files->count; i-- > 0;)
		if (is_idle(files->kept[i]) && ++files->kept[i]->age > PAYLOAD_PATIENCE)
			drop(files, i);
}

void mapped_files_clear(struct mapped_files *files)
{
	while (files->count > 0)
		drop(files, files->count - 1);
}
