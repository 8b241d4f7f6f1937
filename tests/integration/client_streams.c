/* SPDX-License-Identifier: Apache-2.0 */
/* libobjpool's streams and leases against a daemon with a pool p of three Probes: prints a line for each thing, exits 1 at a surprise. */
#include <objpool/client.h>

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define EXPECT(condition) do { if (!(condition)) { printf("line %d: " #condition "\n", __LINE__); return 1; } } while (0)

struct run {
	int64_t given, count, fail_at, stop_at;
	int64_t seen, failed, sum, progress;
};

static int next(void *context, struct objpool_packer *item)
{
	struct run *run = context;

	if (run->given == run->fail_at) {
		objpool_pack_cstr(item, "the tape is torn");
		return OBJPOOL_NEXT_FAILED;
	}
	if (run->given == run->count)
		return OBJPOOL_NEXT_END;
	objpool_pack_int(item, run->given++);
	return OBJPOOL_NEXT_ITEM;
}

static int each(void *context, uint64_t index, struct objpool_bytes value, const struct objpool_error *error)
{
	struct run *run = context;
	struct objpool_reader reader = objpool_reader(value);
	int64_t number = 0;

	(void)index;
	run->seen++;
	run->failed += error != NULL;
	if (!error && objpool_read_int(&reader, &number) == 0)
		run->sum += number;
	return run->seen == run->stop_at ? 99 : 0;
}

static int progress(void *context, int64_t done, int64_t total, const char *text)
{
	struct run *run = context;

	(void)total;
	(void)text;
	run->progress = done;
	return 0;
}

static int maps(struct objpool_client *client)
{
	struct objpool_map_options options = OBJPOOL_MAP_OPTIONS_INIT;
	struct objpool_result result;
	struct run run = {.count = 100000, .fail_at = -1};

	options.on_progress = progress;
	options.progress_context = &run;
	EXPECT(objpool_map(client, "p.echo", next, &run, each, &run, &options, &result) == 0);
	EXPECT(run.seen == 100000 && run.failed == 0 && run.sum == INT64_C(4999950000) && run.progress == 100000);
	options.sync = options.unordered = true;
	options.window = 7;
	run = (struct run){.count = 100, .fail_at = -1};
	EXPECT(objpool_map(client, "p.echo", next, &run, each, &run, &options, &result) == 0 && run.seen == 100);
	run = (struct run){.count = 100, .fail_at = 30};
	EXPECT(objpool_map(client, "p.echo", next, &run, each, &run, NULL, &result) == -EREMOTEIO);
	EXPECT(strstr(result.error->message, "the tape is torn") && result.error->index == 30 && run.seen == 31 &&
	       run.failed == 1);
	objpool_result_free(&result);
	run = (struct run){.count = -1, .fail_at = -1, .stop_at = 5000}; /* an endless one */
	EXPECT(objpool_map(client, "p.echo", next, &run, each, &run, NULL, &result) == 99 && run.seen == 5000);
	EXPECT(objpool_drain(client) == 0);
	return 0;
}

static int targets(struct objpool_client *client)
{
	static const char *const methods[] = {"p.echo", "p:1.echo", "p:all.echo", "p:key=k.echo"};
	struct objpool_result result;
	const struct objpool_bytes seven = {"\x91\x07", 2}, list = {"\x91\x93\x01\x02\x03", 5};

	for (int i = 0; i < 4; i++) {
		struct run run = {0};
		const int64_t results = i == 2 ? 3 : 1;
		EXPECT(objpool_call_each(client, methods[i], seven, NULL, each, &run, &result) == 0);
		EXPECT(run.seen == results && run.sum == 7 * results);
	}
	struct run all = {0}, scatter = {0}, map = {0}, failed = {0};
	EXPECT(objpool_all(client, "p.slot", (struct objpool_bytes){NULL, 0}, NULL, each, &all, &result) == 0 && all.sum == 3);
	EXPECT(objpool_call_each(client, "p:scatter.echo", list, NULL, each, &scatter, &result) == 0 && scatter.sum == 6);
	EXPECT(objpool_call_each(client, "p:map.echo", list, NULL, each, &map, &result) == 0 && map.seen == 3);
	EXPECT(objpool_call_each(client, "p:all.fail", seven, NULL, each, &failed, &result) == -EREMOTEIO && result.error);
	EXPECT(failed.seen == 3 && failed.failed == 3);
	objpool_result_free(&result);
	return 0;
}

static int leases(struct objpool_client *client)
{
	struct objpool_lease_options options = OBJPOOL_LEASE_OPTIONS_INIT;
	struct objpool_lease lease, other;
	struct objpool_result result;

	options.slot = 2;
	EXPECT(objpool_lease(client, "p", &options, &lease, &result) == 0 && lease.slot == 2 && lease.generation == 1);
	EXPECT(objpool_lease(client, "p", NULL, &other, NULL) == 0 && other.slot != 2);
	options.timeout_ms = 30;
	options.slot = 2;
	EXPECT(objpool_lease(client, "p", &options, &other, &result) == -EREMOTEIO && result.error);
	objpool_result_free(&result);
	EXPECT(objpool_release(client, "p", 2, &result) == 1);
	EXPECT(objpool_release(client, "p", -1, NULL) == 1);
	EXPECT(objpool_release(client, "p", -1, NULL) == 0);
	EXPECT(objpool_release(client, "none", -1, &result) == -EREMOTEIO && strcmp(result.error->code, "NO_SUCH_POOL") == 0);
	objpool_result_free(&result);
	return 0;
}

int main(void)
{
	struct objpool_client *client;
	int rc = objpool_connect(&client, NULL, NULL);

	if (rc < 0)
		return 3;
	rc = maps(client) || targets(client) || leases(client);
	objpool_close(client);
	return rc;
}
