/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A configuration: as a file (what is good must be printed so that it is read again as the same), or, when the input begins
 * with a msgpack map, as what objpool.create gives of a pool.
 */
#include "daemon/supervisor/config/config.h"
#include "proto/read.h"
#include "proto/scan.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

/* Reads the bytes as a file. 0, or -1 and an error that names the file. */
static int load(struct config *config, const void *bytes, size_t size)
{
	const int fd = memfd_create("objpoold.conf", MFD_CLOEXEC);
	char path[64];

	if (fd < 0 || write(fd, bytes, size) != (ssize_t)size)
		abort();
	snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
	const int r = config_load(config, path);
	(void)close(fd);
	if (r < 0 && !strstr(config->reason, "/proc/self/fd/"))
		abort();
	return r < 0 ? r : config_check(config);
}

static char *print(const struct config *config, size_t *size)
{
	char *text = NULL;
	FILE *out = open_memstream(&text, size);

	if (!out)
		abort();
	config_print(config, out);
	if (fclose(out) != 0)
		abort();
	return text;
}

static void as_file(const uint8_t *bytes, size_t size)
{
	struct config config, again;
	size_t first_size, second_size;

	if (load(&config, bytes, size) == 0) {
		char *first = print(&config, &first_size);
		if (load(&again, first, first_size) < 0)
			abort();
		char *second = print(&again, &second_size);
		if (first_size != second_size || memcmp(first, second, first_size) != 0)
			abort();
		free(first);
		free(second);
		config_free(&again);
	}
	config_free(&config);
}

static void as_map(const uint8_t *bytes, size_t size)
{
	struct config config = {0};
	struct reader reader;
	struct scan scan;
	struct span key, value;
	uint32_t n;

	scan_begin(&scan, 1 << 20);
	if (scan_run(&scan, bytes, size) != 1 || scan.over || scan.deep)
		return;
	reader = reader_of((struct span){.bytes = bytes, .size = (size_t)scan.pos});
	if (read_map(&reader, &n) == 0 &&
	    config_add_pool(&config, (struct span){.bytes = (const uint8_t *)"made", .size = 4}, "objpool.create") == 0) {
		for (; n > 0; n--) {
			if (read_text(&reader, &key) < 0 || read_value(&reader, &value) < 0 ||
			    config_set_pool(&config, key, value) < 0)
				break;
		}
		if (n == 0 && config_check(&config) == 0)
			(void)config_pool_settings(&config.pools[0]);
	}
	config_free(&config);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	if (size > 0 && (*bytes & 0xf0) == 0x80)
		as_map(bytes, size);
	else
		as_file(bytes, size);
	return 0;
}
