/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/worker/cage/cage_keys.h"

#include <stdarg.h>
#include <stdio.h>

/* ---- reading ---- */

enum kind { K_TEXT, K_NUMBER, K_VALUE };

#define KEY(kind, name)                                                                                                          \
	{                                                                                                                        \
#name, kind, offsetof(struct cage, name)                                                                         \
	}
static const struct key {
	const char *name;
	enum kind kind;
	size_t at;
} keys[] = {
	KEY(K_TEXT, user),
	KEY(K_TEXT, group),
	KEY(K_TEXT, directory),
	KEY(K_TEXT, cpus),
	KEY(K_TEXT, cgroup),
	KEY(K_NUMBER, nice),
	KEY(K_NUMBER, umask),
	KEY(K_VALUE, slot_cpus),
	KEY(K_VALUE, env),
	KEY(K_VALUE, slot_env),
	KEY(K_NUMBER, limit_memory),
	KEY(K_NUMBER, limit_files),
	KEY(K_NUMBER, limit_processes),
	KEY(K_NUMBER, limit_cpu),
	KEY(K_NUMBER, memory_max),
	KEY(K_VALUE, read),
	KEY(K_VALUE, write),
	KEY(K_VALUE, own),
	KEY(K_NUMBER, network),
	KEY(K_NUMBER, syscalls),
};

static const struct key *find(struct span name)
{
	for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
		if (name.size == strlen(keys[i].name) && memcmp(name.bytes, keys[i].name, name.size) == 0)
			return &keys[i];
	return NULL;
}

static int take(struct cage *cage, struct reader *reader)
{
	struct span name;

	const struct key *key = read_text(reader, &name) == 0 ? find(name) : NULL;
	if (!key)
		return -1; /* a key that this template doesn't know would be a cage with a hole */
	void *field = (char *)cage + key->at;
	return key->kind == K_TEXT     ? read_text(reader, field)
	       : key->kind == K_NUMBER ? read_int(reader, field)
				       : read_value(reader, field);
}

int cage_read(struct cage *cage, struct span map)
{
	struct reader reader = reader_of(map);
	uint32_t n;

	cage->map = map;
	cage->nice = cage->umask = cage->limit_memory = cage->limit_files = cage->limit_processes = cage->limit_cpu =
		cage->memory_max = cage->network = cage->syscalls = CAGE_UNSET;
	if (read_nil(&reader) == 0)
		return 0;
	if (read_map(&reader, &n) < 0)
		return -1;
	while (n-- > 0)
		if (take(cage, &reader) < 0)
			return -1;
	return 0;
}

/* ---- what others ask ---- */

bool cage_confines(const struct cage *cage)
{
	return cage->network == 0 || cage->syscalls != CAGE_UNSET || cage->read.size > 0 || cage->write.size > 0;
}

int cage_fail(const struct cage *cage, const char *format, ...)
{
	va_list list;

	va_start(list, format);
	(void)vsnprintf(cage->reason, cage->reason_size, format, list);
	va_end(list);
	return -1;
}

bool cage_copy(struct span text, char *string, size_t size)
{
	if (text.size >= size)
		return false;
	memcpy(string, text.bytes, text.size);
	string[text.size] = '\0';
	return true;
}
