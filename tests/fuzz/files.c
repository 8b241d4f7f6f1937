/* SPDX-License-Identifier: Apache-2.0 */
/* The main program of a fuzz target without a fuzzer: runs it on files, those of its corpus. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

static int run(const char *path)
{
	FILE *file = fopen(path, "re");
	uint8_t *bytes = NULL;
	size_t room = 0, size = 0, n = 1;

	while (file && n > 0) {
		uint8_t *grown = size == room ? realloc(bytes, room = 2 * room + 4096) : bytes;
		if (!grown)
			abort();
		bytes = grown;
		n = fread(bytes + size, 1, room - size, file);
		size += n;
	}
	if (!file || ferror(file) || fclose(file) != 0) {
		perror(path);
		exit(1);
	}
	const int r = LLVMFuzzerTestOneInput(bytes, size);
	free(bytes);
	return r;
}

int main(int argc, char **argv)
{
	for (int i = 1; i < argc; i++)
		if (run(argv[i]) != 0)
			return 1;
	return 0;
}
