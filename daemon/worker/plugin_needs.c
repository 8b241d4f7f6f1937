/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/worker/plugin_needs.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <link.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* A file in memory. Nothing in it is believed: each part is looked at only where it lies within the file. */
struct object {
	const char *bytes;
	size_t size;
	const char *path;
};

/* `count` parts of `size` bytes at `offset`; NULL: they don't lie in the file. */
static const void *part(const struct object *object, uint64_t offset, uint64_t count, size_t size)
{
	const bool fits = offset <= object->size && count <= (object->size - offset) / size;

	return fits && offset % sizeof(ElfW(Addr)) == 0 ? object->bytes + offset : NULL;
}

static const ElfW(Shdr) * section(const struct object *object, uint32_t i)
{
	const ElfW(Ehdr) *head = part(object, 0, 1, sizeof *head);
	const ElfW(Shdr) * all;

	if (!head || memcmp(head->e_ident, ELFMAG, SELFMAG) != 0 ||
	    head->e_ident[EI_CLASS] != (sizeof(void *) == 8 ? ELFCLASS64 : ELFCLASS32) || head->e_shentsize != sizeof *all ||
	    i >= head->e_shnum)
		return NULL;
	all = part(object, head->e_shoff, head->e_shnum, sizeof *all);
	return all ? &all[i] : NULL;
}

static const ElfW(Shdr) * section_of_type(const struct object *object, uint32_t type)
{
	const ElfW(Shdr) *found = section(object, 0);

	for (uint32_t i = 0; found && found->sh_type != type; i++)
		found = section(object, i + 1);
	return found;
}

/* A text of the table of texts that the section uses. NULL: it does not end. */
static const char *text(const struct object *object, const ElfW(Shdr) * of, uint64_t at)
{
	const ElfW(Shdr) *table = section(object, of->sh_link);

	if (!table || at >= table->sh_size || table->sh_offset > object->size || table->sh_size > object->size - table->sh_offset)
		return NULL;
	const char *begin = object->bytes + table->sh_offset + at;
	return memchr(begin, '\0', (size_t)(table->sh_size - at)) ? begin : NULL;
}

/* ---- libraries ---- */

/* Beside the plugin, where its own path of libraries may point. */
static bool lies_beside(const struct object *object, const char *name)
{
	const char *slash = strrchr(object->path, '/');
	char beside[4096];

	const int n = snprintf(beside, sizeof beside, "%.*s/%s", slash ? (int)(slash - object->path) : 1,
			       slash ? object->path : ".", name);
	return n > 0 && (size_t)n < sizeof beside && dlopen(beside, RTLD_LAZY | RTLD_GLOBAL);
}

static void check_libraries(const struct object *object, struct plugin_faults *faults)
{
	const ElfW(Shdr) *dynamic = section_of_type(object, SHT_DYNAMIC);
	const uint64_t count = dynamic ? dynamic->sh_size / sizeof(ElfW(Dyn)) : 0;
	const ElfW(Dyn) *entries = dynamic ? part(object, dynamic->sh_offset, count, sizeof *entries) : NULL;

	for (uint64_t i = 0; entries && i < count && entries[i].d_tag != DT_NULL; i++) {
		const char *name = entries[i].d_tag == DT_NEEDED ? text(object, dynamic, entries[i].d_un.d_val) : NULL;
		if (name && !dlopen(name, RTLD_LAZY | RTLD_GLOBAL) && !lies_beside(object, name))
			(void)plugin_fault(faults, FAULT_ERROR, "it needs the library %s, which is not found", name);
	}
}

/* ---- symbols ---- */

static void check_symbol(const char *name, struct plugin_faults *faults)
{
	if (dlsym(RTLD_DEFAULT, name))
		return;
	if (strncmp(name, "objpool_", strlen("objpool_")) == 0)
		(void)plugin_fault(faults, FAULT_ERROR, "it needs the function %s, which this objpool does not have", name);
	else
		(void)plugin_fault(faults, FAULT_ERROR, "it needs the symbol %s, which no library that it is linked with has",
				   name);
}

/* All libraries that are there have been loaded. */
static void check_symbols(const struct object *object, struct plugin_faults *faults)
{
	const ElfW(Shdr) *table = section_of_type(object, SHT_DYNSYM);
	const uint64_t count = table ? table->sh_size / sizeof(ElfW(Sym)) : 0;
	const ElfW(Sym) *symbols = table ? part(object, table->sh_offset, count, sizeof *symbols) : NULL;

	for (uint64_t i = 0; symbols && i < count; i++) {
		const bool needed = symbols[i].st_shndx == SHN_UNDEF && ELF64_ST_BIND(symbols[i].st_info) == STB_GLOBAL;
		const char *name = needed ? text(object, table, symbols[i].st_name) : NULL;
		if (name && name[0])
			check_symbol(name, faults);
	}
}

void plugin_needs(const char *path, struct plugin_faults *faults)
{
	const int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat status;
	void *bytes = MAP_FAILED;

	if (fd >= 0 && fstat(fd, &status) == 0 && status.st_size > 0)
		bytes = mmap(NULL, (size_t)status.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	if (fd >= 0)
		(void)close(fd);
	if (bytes == MAP_FAILED)
		return;
	const struct object object = {.bytes = bytes, .size = (size_t)status.st_size, .path = path};
	check_libraries(&object, faults);
	check_symbols(&object, faults);
	(void)munmap(bytes, object.size);
}
