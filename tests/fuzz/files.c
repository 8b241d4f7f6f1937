/* SPDX-License-Identifier: Apache-2.0 */
/* The main program of a fuzz target without a fuzzer: runs it on files, those of its corpus. NAME.hex has the bytes in hexadecimal. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

/* The bytes that the text says, in its place. Returns how many. */
static size_t from_hex(uint8_t *text, size_t size)
{
	static const char digits[] = "0123456789abcdef";
	size_t n = 0;

	for (size_t i = 0; i < size; i++) {
		const char *digit = text[i] ? strchr(digits, text[i]) : NULL;
		if (!digit)
			continue;
		const uint8_t value = (uint8_t)(digit - digits);
		text[n / 2] = (uint8_t)(n % 2 ? text[n / 2] | value : value << 4);
		n++;
	}
	return n / 2;
}

static int run(const char *path)
{
	const char *ending = strrchr(path, '.');
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
	if (ending && strcmp(ending, ".hex") == 0)
		size = from_hex(bytes, size);
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
