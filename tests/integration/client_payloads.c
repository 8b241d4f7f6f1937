/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libobjpool's large values against a daemon with a pool p of three Probes. `client_payloads all` and `... bytes`: everything,
 * with descriptors or (the option, TCP, payload_min = 0) without; `... vanish`: dies with descriptors on their way in both
 * directions. Exits 1 at a surprise, and says where.
 */
#include <objpool/client.h>

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define EXPECT(condition) do { if (!(condition)) { printf("line %d: %s\n", __LINE__, #condition); return 1; } } while (0)

enum { MIN = 64 << 10, MIB = 1 << 20 };

static bool descriptors; /* are to be used */
static bool fresh = true; /* nothing stands in the way of every large result's coming so */

/* ---- bytes of which no two places look alike ------------------------------------------------------------------------- */

static unsigned char byte_at(size_t i, unsigned seed)
{
	return (unsigned char)(i * 131 + (i >> 8) * 7 + (i >> 16) * 3 + seed * 29);
}

static void fill(unsigned char *bytes, size_t size, unsigned seed)
{
	for (size_t i = 0; i < size; i++)
		bytes[i] = byte_at(i, seed);
}

static bool is_filled(const unsigned char *bytes, size_t size, unsigned seed)
{
	for (size_t i = 0; i < size; i++)
		if (bytes[i] != byte_at(i, seed))
			return false;
	return true;
}

static void pack_filled(struct objpool_packer *packer, size_t size, unsigned seed)
{
	unsigned char *room = objpool_pack_bin_room(packer, size);

	if (room)
		fill(room, size, seed);
}

static bool next_is_filled(struct objpool_reader *reader, size_t size, unsigned seed)
{
	const void *bytes;
	size_t found;

	return objpool_read_bin(reader, &bytes, &found) == 0 && found == size && is_filled(bytes, size, seed);
}

/* ---- what the process has ---------------------------------------------------------------------------------------------- */

static int count_files(const char *of)
{
	DIR *dir = opendir("/proc/self/fd");
	char path[512], target[256];
	int n = 0;

	for (struct dirent *entry; (entry = readdir(dir));) {
		snprintf(path, sizeof path, "/proc/self/fd/%s", entry->d_name);
		const ssize_t size = readlink(path, target, sizeof target - 1);
		target[size < 0 ? 0 : size] = '\0';
		n += strstr(target, of) != NULL;
	}
	closedir(dir);
	return n;
}

/* Mappings of payloads; with an address, of the one that it lies in. */
static int count_mapped(const void *address)
{
	FILE *maps = fopen("/proc/self/maps", "r");
	unsigned long begin, end;
	char line[512];
	int n = 0;

	while (fgets(line, sizeof line, maps))
		if (strstr(line, "memfd:objpool-payload") && sscanf(line, "%lx-%lx", &begin, &end) == 2)
			n += !address || ((uintptr_t)address >= begin && (uintptr_t)address < end);
	fclose(maps);
	return n;
}

/* ---- plain calls --------------------------------------------------------------------------------------------------------- */

static int echo(struct objpool_client *client, size_t size, unsigned seed)
{
	struct objpool_packer args = OBJPOOL_PACKER_INIT;
	struct objpool_result result;
	struct objpool_reader reader;

	objpool_pack_array(&args, 1);
	pack_filled(&args, size, seed);
	EXPECT(objpool_call(client, "p.echo", objpool_packed(&args), NULL, &result) == 0);
	objpool_packer_free(&args);
	reader = objpool_reader(result.value);
	EXPECT(next_is_filled(&reader, size, seed) && reader.next == reader.end);
	EXPECT(!fresh || count_mapped(result.value.data) == (descriptors && size >= MIN));
	objpool_result_free(&result);
	return 0;
}

static int plain(struct objpool_client *client)
{
	static const size_t sizes[] = {1, MIN - 1, MIN, MIN + 1, 200 << 10, MIB, 8 * MIB + 3, 64 * MIB};

	for (unsigned i = 0; i < sizeof sizes / sizeof *sizes; i++)
		for (unsigned round = 0; round < 3; round++)
			EXPECT(echo(client, sizes[i], i + round) == 0);
	return 0;
}

static int the_same_memory_again(struct objpool_client *client)
{
	EXPECT(echo(client, 3 * MIB, 1) == 0);
	const int before = count_files("objpool-payload");
	EXPECT((before > 0) == descriptors);
	for (unsigned i = 0; i < 30; i++)
		EXPECT(echo(client, 3 * MIB - i, i) == 0);
	EXPECT(count_files("objpool-payload") <= before); /* fewer: what is not used for some seconds is let go */
	return 0;
}

static int nested(struct objpool_client *client)
{
	struct objpool_packer args = OBJPOOL_PACKER_INIT;
	struct objpool_result result;
	uint32_t n;

	for (unsigned round = 0; round < 3; round++) { /* more than go with a message */
		objpool_pack_array(&args, 1);
		objpool_pack_array(&args, 71);
		objpool_pack_cstr(&args, "first");
		for (unsigned i = 0; i < 70; i++)
			pack_filled(&args, MIN + i, i);
		EXPECT(objpool_call(client, "p.echo", objpool_packed(&args), NULL, &result) == 0);
		EXPECT(result.value.size == args.size - 1 && memcmp(result.value.data, args.data + 1, args.size - 1) == 0);
		objpool_result_free(&result);
		args.size = 0;
	}
	struct objpool_packer kwargs = OBJPOOL_PACKER_INIT, bind = OBJPOOL_PACKER_INIT;
	struct objpool_call_options options = OBJPOOL_CALL_OPTIONS_INIT;
	objpool_pack(&args, "[i]", 5);
	objpool_pack_map(&kwargs, 1);
	objpool_pack_cstr(&kwargs, "k");
	pack_filled(&kwargs, MIB, 1);
	objpool_pack_array(&bind, 1);
	pack_filled(&bind, 2 * MIB, 2);
	options.kwargs = objpool_packed(&kwargs);
	options.bind = objpool_packed(&bind);
	EXPECT(objpool_call(client, "p.echo", objpool_packed(&args), &options, &result) == 0);
	struct objpool_reader reader = objpool_reader(result.value);
	EXPECT(objpool_read_map(&reader, &n) == 0 && n == 2 && objpool_read_value(&reader, NULL) == 0);
	EXPECT(objpool_read_array(&reader, &n) == 0 && n == 2 && next_is_filled(&reader, 2 * MIB, 2));
	EXPECT(objpool_read_value(&reader, NULL) == 0 && objpool_read_value(&reader, NULL) == 0);
	EXPECT(objpool_read_map(&reader, &n) == 0 && n == 1 && objpool_read_value(&reader, NULL) == 0 &&
	       next_is_filled(&reader, MIB, 1));
	objpool_result_free(&result);
	objpool_packer_free(&args);
	objpool_packer_free(&kwargs);
	objpool_packer_free(&bind);
	return 0;
}

/* Values that look as if they stood for a descriptor come back as they are, and so do exts. */
static int exts(struct objpool_client *client)
{
	struct objpool_packer args = OBJPOOL_PACKER_INIT;
	struct objpool_result result;
	unsigned char *large = malloc(MIB);
	unsigned char alike[16] = {0};

	fill(large, MIB, 3);
	alike[14] = 1;
	objpool_pack_array(&args, 1);
	objpool_pack_ext(&args, -5, large, MIB);
	for (int i = 0; i < 4; i++) {
		EXPECT(objpool_call(client, "p.echo", objpool_packed(&args), NULL, &result) == 0);
		EXPECT(result.value.size == args.size - 1 && memcmp(result.value.data, args.data + 1, args.size - 1) == 0);
		objpool_result_free(&result);
		args.size = 0;
		objpool_pack_array(&args, 1);
		objpool_pack_array(&args, i ? 3 : 1);
		objpool_pack_ext(&args, 112, alike, sizeof alike);
		if (i == 0)
			continue;
		pack_filled(&args, MIN + (size_t)i, 9);
		objpool_pack_ext(&args, 112, large, sizeof alike);
	}
	objpool_packer_free(&args);
	free(large);
	return 0;
}

static int where_none_may_go(struct objpool_client *client)
{
	struct objpool_packer args = OBJPOOL_PACKER_INIT;
	struct objpool_call_options options = OBJPOOL_CALL_OPTIONS_INIT;
	struct objpool_result result;
	unsigned char alike[16] = {0};

	objpool_pack_array(&args, 2);
	pack_filled(&args, MIB, 1);
	objpool_pack_ext(&args, 112, alike, sizeof alike);
	EXPECT(objpool_call(client, "objpool.ping", objpool_packed(&args), NULL, &result) == 0);
	EXPECT(result.value.size >= args.size);
	objpool_result_free(&result);
	args.size = 0;
	objpool_pack_array(&args, 1);
	pack_filled(&args, MIB, 2);
	options.sticky = "append";
	EXPECT(objpool_call(client, "p:all.set", objpool_packed(&args), &options, &result) == 0);
	objpool_result_free(&result);
	EXPECT(objpool_callf(client, "p.get", &result, "[]") == 0);
	struct objpool_reader reader = objpool_reader(result.value);
	EXPECT(next_is_filled(&reader, MIB, 2));
	objpool_result_free(&result);
	EXPECT(objpool_notify(client, "p.echo", objpool_packed(&args)) == 0);
	EXPECT(objpool_callf(client, "objpool.forget", &result, "[s]", "p") == 0);
	objpool_result_free(&result);
	objpool_packer_free(&args);
	return 0;
}

static void ignore(void *context, const struct objpool_result *result)
{
	(void)context;
	(void)result;
}

/* What a failure leaves behind is not written over: others may still be at work on it. */
static int failures(struct objpool_client *client)
{
	struct objpool_packer args = OBJPOOL_PACKER_INIT;
	struct objpool_call_options options = OBJPOOL_CALL_OPTIONS_INIT;
	struct objpool_result result;

	objpool_pack_array(&args, 3);
	pack_filled(&args, MIB, 1);
	pack_filled(&args, MIB, 2);
	objpool_pack_int(&args, 1);
	EXPECT(objpool_call(client, "p.nonsense", objpool_packed(&args), NULL, &result) == -EREMOTEIO);
	objpool_result_free(&result);
	options.timeout_ms = 30;
	for (int i = 0; i < 3; i++) {
		const struct objpool_bytes seconds = {"\x91\x1e", 2}; /* 30 */
		uint32_t sleepers = 0;
		EXPECT(objpool_call_async(client, "p:all.sleep", seconds, NULL, ignore, NULL, &sleepers) == 0);
		/* Where the sleeper is: what is for any instance may come before it. */
		EXPECT(objpool_call(client, i == 2 ? "p:all.echo" : "p:0.echo", objpool_packed(&args), &options, &result) ==
		       -EREMOTEIO);
		EXPECT(objpool_cancel(client, sleepers) == 0);
		objpool_result_free(&result);
		EXPECT(objpool_drain(client) == 0);
	}
	objpool_packer_free(&args);
	return echo(client, MIB, 7);
}

/* ---- many at once -------------------------------------------------------------------------------------------------------- */

struct many {
	unsigned answers, wrong;
};

static void on_answer(void *context, const struct objpool_result *result)
{
	struct many *many = context;
	struct objpool_reader reader = objpool_reader(result->value);
	uint32_t n;
	uint64_t i = 0;

	const bool right = objpool_read_array(&reader, &n) == 0 && n == 2 && objpool_read_uint(&reader, &i) == 0 &&
			   next_is_filled(&reader, MIB + i, (unsigned)i);
	many->wrong += !right;
	many->answers++;
}

static int at_once(struct objpool_client *client)
{
	struct many many = {0};

	for (unsigned i = 0; i < 100; i++) {
		struct objpool_packer args = OBJPOOL_PACKER_INIT;
		objpool_pack(&args, "[i]", (int)i);
		args.data[0] = 0x92;
		pack_filled(&args, MIB + i, i);
		EXPECT(objpool_call_async(client, "p.echo", objpool_packed(&args), NULL, on_answer, &many, NULL) == 0);
		objpool_packer_free(&args);
	}
	EXPECT(count_files("objpool-payload") <= 80);
	EXPECT(objpool_drain(client) == 0 && many.answers == 100 && many.wrong == 0);
	return 0;
}

struct tour {
	uint64_t given, count, seen, wrong, failed;
	bool same; /* all results have the first item's bytes */
};

static size_t item_size(uint64_t i)
{
	static const size_t sizes[] = {MIN, 1, 300 << 10, MIB, MIN - 1, 5};
	return sizes[i % 6];
}

static int next(void *context, struct objpool_packer *item)
{
	struct tour *tour = context;

	if (tour->given == tour->count)
		return OBJPOOL_NEXT_END;
	pack_filled(item, item_size(tour->given), (unsigned)tour->given);
	tour->given++;
	return OBJPOOL_NEXT_ITEM;
}

static int each(void *context, uint64_t index, struct objpool_bytes value, const struct objpool_error *error)
{
	struct tour *tour = context;
	struct objpool_reader reader = objpool_reader(value);
	const uint64_t i = tour->same ? 0 : index;

	tour->seen++;
	tour->failed += error != NULL;
	tour->wrong += !error && !next_is_filled(&reader, item_size(i), (unsigned)i);
	return 0;
}

static int streams(struct objpool_client *client)
{
	struct objpool_map_options map = OBJPOOL_MAP_OPTIONS_INIT;
	struct objpool_packer args = OBJPOOL_PACKER_INIT, items = OBJPOOL_PACKER_INIT;
	struct objpool_result result;
	struct tour tour;

	for (int i = 0; i < 3; i++) {
		map.unordered = i == 1;
		map.sync = i == 2;
		tour = (struct tour){.count = 60};
		EXPECT(objpool_map(client, "p.echo", next, &tour, each, &tour, &map, &result) == 0);
		EXPECT(tour.seen == 60 && tour.wrong == 0 && tour.failed == 0);
	}
	tour = (struct tour){.count = 20};
	EXPECT(objpool_map(client, "p.fail", next, &tour, each, &tour, NULL, &result) == -EREMOTEIO && tour.failed == 20);
	objpool_result_free(&result);

	objpool_pack_array(&args, 1);
	pack_filled(&args, item_size(0), 0);
	tour = (struct tour){.same = true};
	for (int i = 0; i < 5; i++)
		EXPECT(objpool_all(client, "p.echo", objpool_packed(&args), NULL, each, &tour, &result) == 0);
	EXPECT(tour.seen == 15 && tour.wrong == 0 && tour.failed == 0);

	objpool_pack_array(&items, 1);
	objpool_pack_array(&items, 12);
	for (unsigned i = 0; i < 12; i++)
		pack_filled(&items, item_size(i), i);
	tour = (struct tour){0};
	EXPECT(objpool_call_each(client, "p:map.echo", objpool_packed(&items), NULL, each, &tour, &result) == 0);
	EXPECT(tour.seen == 12 && tour.wrong == 0 && tour.failed == 0);

	EXPECT(objpool_call(client, "p:map.echo", objpool_packed(&items), NULL, &result) == 0);
	EXPECT(result.value.size == items.size - 1 && memcmp(result.value.data, items.data + 1, items.size - 1) == 0);
	objpool_result_free(&result);
	EXPECT(objpool_call(client, "p:all.echo", objpool_packed(&args), NULL, &result) == 0);
	EXPECT(result.value.size == 1 + 3 * (args.size - 1));
	for (unsigned i = 0; i < 3; i++)
		EXPECT(memcmp((const char *)result.value.data + 1 + i * (args.size - 1), args.data + 1, args.size - 1) == 0);
	objpool_result_free(&result);
	objpool_packer_free(&args);
	objpool_packer_free(&items);
	return 0;
}

/* ---- results that are kept ----------------------------------------------------------------------------------------------- */

enum { KEPT = 30 };

static int keep(struct objpool_client *client, struct objpool_result *kept)
{
	for (int i = 0; i < KEPT; i++)
		EXPECT(objpool_callf(client, "p.blob", &kept[i], "[i]", MIB + i) == 0);
	return 0;
}

static int are_whole(const struct objpool_result *kept)
{
	for (int i = 0; i < KEPT; i++) {
		struct objpool_reader reader = objpool_reader(kept[i].value);
		const void *bytes;
		size_t size;
		EXPECT(objpool_read_bin(&reader, &bytes, &size) == 0 && size == (size_t)(MIB + i));
		for (size_t k = 0; k < size; k++)
			if (((const unsigned char *)bytes)[k] != (k & 0xff))
				return 1;
	}
	return 0;
}

static void *free_them(void *results)
{
	for (int i = 0; i < KEPT; i++)
		objpool_result_free((struct objpool_result *)results + i);
	return NULL;
}

/* While another thread frees those of the round before. */
static int freed_elsewhere(struct objpool_client *client)
{
	struct objpool_result kept[2][KEPT];
	pthread_t thread;

	EXPECT(keep(client, kept[0]) == 0);
	for (int round = 0; round < 4; round++) {
		EXPECT(are_whole(kept[round % 2]) == 0);
		EXPECT(pthread_create(&thread, NULL, free_them, kept[round % 2]) == 0);
		EXPECT(keep(client, kept[(round + 1) % 2]) == 0);
		pthread_join(thread, NULL);
	}
	free_them(kept[0]);
	return 0;
}

/* ---- a packer whose room is shared ---------------------------------------------------------------------------------------- */

static int shared(struct objpool_client *client, struct objpool_packer *left)
{
	struct objpool_packer args = OBJPOOL_PACKER_INIT;
	struct objpool_result result;
	struct objpool_reader reader;
	uint32_t n;

	EXPECT(objpool_packer_share(&args, client, 3 * MIB) == 0);
	EXPECT(objpool_packer_share(&args, client, MIB) == -EINVAL);
	for (unsigned round = 0; round < 5; round++) {
		args.size = 0;
		objpool_pack_array(&args, 3);
		pack_filled(&args, MIB + round, round);
		pack_filled(&args, 100, round);
		pack_filled(&args, MIN, round + 1);
		EXPECT((count_mapped(args.data) == 1) == descriptors);
		EXPECT(objpool_call(client, "p.echo", objpool_packed(&args), NULL, &result) == 0);
		reader = objpool_reader(result.value);
		EXPECT(objpool_read_array(&reader, &n) == 0 && n == 3 && next_is_filled(&reader, MIB + round, round));
		EXPECT(next_is_filled(&reader, 100, round) && next_is_filled(&reader, MIN, round + 1));
		objpool_result_free(&result);
	}
	pack_filled(&args, 3 * MIB, 1); /* more than it has room for */
	EXPECT(count_mapped(args.data) == 0);
	args.data[0] = 0x94;
	EXPECT(objpool_call(client, "p.echo", objpool_packed(&args), NULL, &result) == 0);
	EXPECT(result.value.size == args.size && memcmp(result.value.data, args.data, args.size) == 0);
	objpool_result_free(&result);
	objpool_packer_free(&args);

	struct many many = {0};
	EXPECT(objpool_packer_share(&args, client, 2 * MIB) == 0); /* freed before it is sent */
	objpool_pack(&args, "[i]", 5);
	args.data[0] = 0x92;
	pack_filled(&args, MIB + 5, 5);
	EXPECT(objpool_call_async(client, "p.echo", objpool_packed(&args), NULL, on_answer, &many, NULL) == 0);
	objpool_packer_free(&args);
	EXPECT(objpool_drain(client) == 0 && many.answers == 1 && many.wrong == 0);

	EXPECT(objpool_packer_share(left, client, 2 * MIB) == 0);
	pack_filled(left, MIB, 1);
	return 0;
}

/* ---- all of it ------------------------------------------------------------------------------------------------------------ */

static int everything(struct objpool_client *client)
{
	EXPECT(plain(client) == 0);
	fresh = false;
	EXPECT(the_same_memory_again(client) == 0);
	EXPECT(nested(client) == 0);
	EXPECT(exts(client) == 0);
	EXPECT(where_none_may_go(client) == 0);
	EXPECT(failures(client) == 0);
	EXPECT(at_once(client) == 0);
	EXPECT(streams(client) == 0);
	EXPECT(freed_elsewhere(client) == 0);
	return 0;
}

/* Dies where it stands: requests half sent, results not read or not given back. */
static int vanish(struct objpool_client *client)
{
	struct objpool_result kept[KEPT];
	struct many many = {0};

	EXPECT(keep(client, kept) == 0);
	for (unsigned i = 0; i < 20; i++) {
		struct objpool_packer args = OBJPOOL_PACKER_INIT;
		objpool_pack(&args, "[i]", (int)i);
		args.data[0] = 0x93;
		pack_filled(&args, MIB + i, i);
		objpool_pack_array(&args, 20000);
		for (int k = 0; k < 20000; k++)
			objpool_pack_int(&args, k);
		EXPECT(objpool_call_async(client, "p.echo", objpool_packed(&args), NULL, on_answer, &many, NULL) == 0);
	}
	(void)objpool_flush(client);
	return raise(SIGKILL);
}

int main(int argc, char **argv)
{
	struct objpool_connect_options options = OBJPOOL_CONNECT_OPTIONS_INIT;
	struct objpool_packer left = OBJPOOL_PACKER_INIT;
	struct objpool_result kept[KEPT];
	struct objpool_client *client;
	const int before = count_files("/");

	descriptors = argc < 2 || strcmp(argv[1], "bytes") != 0;
	options.no_descriptors = argc > 2;
	if (objpool_connect(&client, NULL, &options) < 0)
		return 3;
	if (argc > 1 && strcmp(argv[1], "vanish") == 0)
		return vanish(client);
	EXPECT(everything(client) == 0);
	EXPECT(shared(client, &left) == 0);
	EXPECT(keep(client, kept) == 0);
	objpool_close(client);
	EXPECT(are_whole(kept) == 0); /* they outlive the connection */
	free_them(kept);
	objpool_packer_free(&left);
	EXPECT(count_files("/") == before);
	EXPECT(count_mapped(NULL) == 0);
	return 0;
}
